# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The MTA's side of the milter protocol, version 6, byte by byte: for faults
and hostile input that no real MTA would send."""
import socket
import struct

from .process import connect

# Protocol flags that a filter may set (SMFIP_*).
NOCONNECT, NOHELO, NOMAIL, NORCPT = 0x1, 0x2, 0x4, 0x8
NOBODY, NOHDRS, NOEOH, NR_HDR = 0x10, 0x20, 0x40, 0x80
NOUNKNOWN, NODATA, SKIP, RCPT_REJ = 0x100, 0x200, 0x400, 0x800
NR_CONN, NR_HELO, NR_MAIL, NR_RCPT = 0x1000, 0x2000, 0x4000, 0x8000
NR_DATA, NR_UNKN, NR_EOH, NR_BODY = 0x10000, 0x20000, 0x40000, 0x80000
HDR_LEADSPC = 0x100000

# command: (flag not to send it, flag not to wait for an answer)
_STEPS = {"C": (NOCONNECT, NR_CONN), "H": (NOHELO, NR_HELO),
          "M": (NOMAIL, NR_MAIL), "R": (NORCPT, NR_RCPT),
          "T": (NODATA, NR_DATA), "L": (NOHDRS, NR_HDR),
          "N": (NOEOH, NR_EOH), "B": (NOBODY, NR_BODY),
          "U": (NOUNKNOWN, NR_UNKN), "E": (0, 0)}

_FINAL = {"c": "continue", "a": "accept", "r": "reject", "t": "tempfail",
          "d": "discard", "y": "replycode", "s": "skip", "4": "shutdown",
          "f": "conn_fail"}
_ACTIONS = {"h": "addheader", "m": "chgheader", "i": "insheader",
            "+": "addrcpt", "-": "delrcpt", "b": "replbody",
            "q": "quarantine", "e": "chgfrom", "2": "addrcpt_par"}


class Closed(Exception):
    """The filter closed the connection."""


class Answer:
    """kind: one of _FINAL's names; text: of a replycode; actions: what came
    before it, as tuples ("insheader", index, name, value), ("chgheader",
    index, name, value), ("addheader", name, value), ("delrcpt", address)."""

    def __init__(self, kind, text="", actions=()):
        self.kind = kind
        self.text = text
        self.actions = list(actions)

    def __repr__(self):
        return f"<{self.kind} {self.text!r} {self.actions}>"

    def of(self, action):
        return [a for a in self.actions if a[0] == action]


def _z(*texts):
    return b"".join((t if isinstance(t, bytes) else
                     t.encode("utf-8", "surrogateescape")) + b"\0"
                    for t in texts)


class MilterClient:
    """MilterClient(filter.address): connected, nothing sent yet.

    Steps return an Answer, or None where the filter asked not to be sent the
    step or not to answer.  send() and read() are for what is not protocol.
    """

    def __init__(self, address, timeout=15.0):
        self._socket = connect(address, timeout)
        self.flags = 0
        self.actions = 0
        self.macro_lists = {}           # stage number: names asked for

    # -- packets

    def send_raw(self, data):
        self._socket.sendall(data)

    def send(self, command, payload=b""):
        self.send_raw(struct.pack("!I", len(payload) + 1) + command.encode() +
                      payload)

    def read(self):
        """(command, payload); raises Closed at the end."""
        length = struct.unpack("!I", self._exactly(4))[0]
        data = self._exactly(length)
        return chr(data[0]), data[1:]

    def _exactly(self, n):
        data = b""
        while len(data) < n:
            try:
                part = self._socket.recv(n - len(data))
            except ConnectionError:
                part = b""
            if not part:
                raise Closed()
            data += part
        return data

    def is_closed(self, timeout=10.0):
        """Does the filter close the connection within the time?"""
        self._socket.settimeout(timeout)
        try:
            return not self._socket.recv(1)
        except ConnectionError:
            return True
        except socket.timeout:
            return False

    # -- the protocol

    def negotiate(self, version=6, actions=0x1ff, protocol=0x1fffff):
        self.send("O", struct.pack("!III", version, actions, protocol))
        command, payload = self.read()
        if command != "O":
            raise AssertionError(f"negotiation answered by {command!r}")
        _, self.actions, self.flags = struct.unpack("!III", payload[:12])
        rest = payload[12:]
        while len(rest) > 4:
            stage = struct.unpack("!I", rest[:4])[0]
            text, _, rest = rest[4:].partition(b"\0")
            self.macro_lists[stage] = text.decode().split()
        return self

    def macros(self, command, values):
        """values: {"i": "4AB…", "{rcpt_addr}": "…"}"""
        if values:
            self.send("D", command.encode() + _z(*[
                t for pair in values.items() for t in pair]))

    def step(self, command, payload, macros=None):
        skip, no_reply = _STEPS[command]
        if self.flags & skip:
            return None
        self.macros(command, macros)
        self.send(command, payload)
        if self.flags & no_reply:
            return None
        return self.answer()

    def answer(self):
        actions = []
        while True:
            command, payload = self.read()
            if command == "p":          # progress
                continue
            if command in _FINAL:
                text = payload.rstrip(b"\0").decode("utf-8", "surrogateescape")
                return Answer(_FINAL[command], text, actions)
            if command not in _ACTIONS:
                raise AssertionError(f"unknown answer {command!r}")
            actions.append(self._action(_ACTIONS[command], payload))

    def _action(self, name, payload):
        index = ()
        if name in ("insheader", "chgheader"):
            index = (struct.unpack("!I", payload[:4])[0],)
            payload = payload[4:]
        if name == "replbody":
            return (name, payload)
        texts = payload[:-1].split(b"\0")
        return (name, *index, *[t.decode("utf-8", "surrogateescape")
                                for t in texts])

    def connect(self, host="client.example.com", address="192.0.2.1",
                port=40000, macros=None):
        """address: IPv4, IPv6 ("IPv6:" is put before it) or None (unknown)."""
        payload = _z(host)
        if address is None:
            payload += b"U"
        elif ":" in address:
            payload += b"6" + struct.pack("!H", port) + _z("IPv6:" + address)
        else:
            payload += b"4" + struct.pack("!H", port) + _z(address)
        return self.step("C", payload, macros)

    def helo(self, name="client.example.com", macros=None):
        return self.step("H", _z(name), macros)

    def mail(self, sender, *parameters, macros=None):
        """sender as it stands in the command: "<news@example.com>"; without
        the angle brackets it is mail that did not come by SMTP."""
        return self.step("M", _z(sender, *parameters), macros)

    def rcpt(self, recipient, *parameters, macros=None):
        return self.step("R", _z(recipient, *parameters), macros)

    def data(self, macros=None):
        return self.step("T", b"", macros)

    def header(self, name, value):
        return self.step("L", _z(name, value))

    def eoh(self, macros=None):
        return self.step("N", b"", macros)

    def body(self, data):
        return self.step("B", data)

    def eom(self, macros=None):
        return self.step("E", b"", macros)

    def message(self, fields, macros=None):
        """DATA to the end of the message; fields: (name, value).  Returns the
        first answer that is not "continue", or that of the end."""
        steps = [lambda: self.data(macros)]
        steps += [lambda f=f: self.header(*f) for f in fields]
        steps += [lambda: self.eoh(macros), lambda: self.body(b"Hello.\r\n")]
        for step in steps:
            answer = step()
            if answer is not None and answer.kind not in ("continue", "skip"):
                return answer
        return self.eom(macros)

    def abort(self):
        """Ends the message; there is no answer."""
        self.send("A")

    def quit(self):
        try:
            self.send("Q")
        except OSError:
            pass
        self.close()

    def close(self):
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def is_ready(address):
    """Does a filter at this address negotiate?"""
    try:
        client = MilterClient(address, 5)
    except OSError:
        return False
    try:
        client.negotiate()
        return True
    except (Closed, OSError):
        return False
    finally:
        client.quit()
