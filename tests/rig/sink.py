# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""A capturing SMTP server in a thread: where the MTA delivers to."""
import os
import re
import socketserver
import threading

from .message import Message
from .process import wait_for, write_file


class _Session(socketserver.StreamRequestHandler):
    def _say(self, text):
        self.wfile.write(text.encode("utf-8", "surrogateescape") + b"\r\n")

    def handle(self):
        try:
            self._say("220 sink ESMTP")
            self._talk()
        except ConnectionError:
            pass

    def _talk(self):
        sender, recipients = None, []
        while True:
            line = self.rfile.readline()
            if not line:
                return
            text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            verb = text[:4].upper()
            if verb == "EHLO":
                self._say("250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n"
                          "250-ENHANCEDSTATUSCODES\r\n250-SMTPUTF8\r\n250 DSN")
            elif verb == "MAIL":
                sender, recipients = _path(text), []
                self._say("250 2.1.0 ok")
            elif verb == "RCPT":
                reply = self.server.sink.refusal(_path(text))
                if reply is None:
                    recipients.append(_path(text))
                self._say(reply or "250 2.1.5 ok")
            elif verb == "DATA":
                if not recipients:
                    self._say("554 5.5.1 no valid recipients")
                    continue
                self._say("354 go on")
                raw = self._data()
                if raw is None:
                    return
                self.server.sink.take(Message(raw, sender, recipients))
                self._say("250 2.0.0 ok")
                sender, recipients = None, []
            elif verb == "QUIT":
                self._say("221 2.0.0 bye")
                return
            else:
                self._say("250 2.0.0 ok")

    def _data(self):
        lines = []
        while True:
            line = self.rfile.readline()
            if not line:
                return None
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)


def _path(command):
    found = re.search(r":\s*<?([^>\s]*)", command)
    return found.group(1) if found else ""


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 200


class Sink:
    """Sink(rig): address is ("127.0.0.1", port).

    refuse   {regular expression: reply}, searched in each recipient, for
             example {"bounce": "550 5.1.1 no such user"}
    save     a directory for the messages as files, 0001.eml and so on
    """

    def __init__(self, rig=None, refuse=None, save=None):
        self.refuse = refuse or {}
        self._save = save
        self.sources = []               # MTAs that deliver here
        self._messages = []
        self._taken = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Session)
        self._server.sink = self
        self.address = self._server.server_address
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        if rig is not None:
            rig.on_close(self.close)

    def refusal(self, recipient):
        for pattern, reply in self.refuse.items():
            if re.search(pattern, recipient):
                return reply
        return None

    def take(self, message):
        with self._lock:
            self._messages.append(message)
            self._taken += 1
            if self._save:
                write_file(os.path.join(self._save, f"{self._taken:04d}.eml"),
                           message.raw)

    @property
    def messages(self):
        """What has arrived, in order."""
        with self._lock:
            return list(self._messages)

    def clear(self):
        """Forgets everything, also what the MTAs are about to deliver."""
        for mta in self.sources:
            mta.settle()
        with self._lock:
            self._messages.clear()

    def wait(self, n=1, timeout=15.0):
        """Waits for n messages in all and returns them.  That no more come is
        another matter: see Postfix.wait_idle()."""
        wait_for(lambda: len(self.messages) >= n, timeout,
                 f"{n} messages in the sink ({len(self.messages)} there)")
        return self.messages

    def for_recipient(self, address):
        return [m for m in self.messages if address in m.recipients]

    def close(self):
        self._server.shutdown()
        self._server.server_close()
