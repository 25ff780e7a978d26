# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""An SMTP client that keeps every line and never decides anything itself."""
import base64

from .process import connect


class Reply(str):
    """The text of a reply: lines joined by line breaks, code on each."""

    @property
    def code(self):
        return int(self[:3])


class Smtp:
    """One session; the greeting has been read and EHLO sent.

    transcript   [(">" or "<", line)]
    """

    def __init__(self, address, helo="client.example.com", timeout=30.0):
        self.transcript = []
        self._socket = connect(address, timeout)
        self._file = self._socket.makefile("rb")
        self.greeting = self.reply()
        self.ehlo = self.command(f"EHLO {helo}") if helo else None

    def send_line(self, text):
        self.transcript.append((">", text))
        self._socket.sendall(text.encode("utf-8", "surrogateescape") + b"\r\n")

    def reply(self):
        lines = []
        while True:
            line = self._file.readline()
            if not line:
                raise ConnectionError("the server closed the session")
            text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
            self.transcript.append(("<", text))
            lines.append(text)
            if text[3:4] != "-":
                return Reply("\n".join(lines))

    def command(self, text):
        self.send_line(text)
        return self.reply()

    def auth(self, user, password="secret"):
        token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        return self.command(f"AUTH PLAIN {token}")

    def mail(self, sender, parameters=""):
        return self.command(f"MAIL FROM:<{sender}>{parameters}")

    def rcpt(self, recipient, parameters=""):
        return self.command(f"RCPT TO:<{recipient}>{parameters}")

    def data(self, message):
        """message: bytes with CRLF, or a str."""
        if isinstance(message, str):
            message = message.replace("\n", "\r\n").encode()
        reply = self.command("DATA")
        if reply.code != 354:
            return reply
        stuffed = b"".join(b"." + line if line.startswith(b".") else line
                           for line in message.splitlines(keepends=True))
        if not stuffed.endswith(b"\r\n"):
            stuffed += b"\r\n"
        self._socket.sendall(stuffed + b".\r\n")
        self.transcript.append(
            (">", f"[message of {len(message)} bytes]"))
        self.transcript.append((">", "."))
        return self.reply()

    def close(self):
        """Drops the connection without a word."""
        self._file.close()
        self._socket.close()

    def quit(self):
        try:
            self.command("QUIT")
        except OSError:
            pass
        self.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Sent:
    """What the server said to one message.

    mail, end      replies (end: after the final dot, or to DATA; None when no
                   recipient was accepted)
    rcpt           {recipient: reply}
    """

    def __init__(self):
        self.mail = self.end = None
        self.rcpt = {}
        self.transcript = []

    @property
    def accepted(self):
        return self.end is not None and self.end.code == 250


def send(address, sender, recipients, message, auth=None, xclient=None,
         helo="client.example.com", parameters=""):
    """Sends one message in a session of its own, as a careful client does.

    auth      user name, on a submission port
    xclient   attributes, for example "ADDR=192.0.2.7 NAME=news.example"
    """
    if isinstance(recipients, str):
        recipients = [recipients]
    sent = Sent()
    smtp = Smtp(address, helo)
    sent.transcript = smtp.transcript
    try:
        if xclient:
            smtp.command(f"XCLIENT {xclient}")
            smtp.command(f"EHLO {helo}")
        if auth:
            smtp.auth(auth)
        sent.mail = smtp.mail(sender, parameters)
        if sent.mail.code == 250:
            for recipient in recipients:
                sent.rcpt[recipient] = smtp.rcpt(recipient)
            if any(r.code == 250 for r in sent.rcpt.values()):
                sent.end = smtp.data(message)
        smtp.quit()
    finally:
        smtp.close()
    return sent
