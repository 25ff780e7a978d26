# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""A message as bytes, with as little interpretation as tests need."""


class Message:
    """raw: as received, CRLF, dots unstuffed."""

    def __init__(self, raw, sender="", recipients=()):
        self.raw = raw
        self.sender = sender
        self.recipients = list(recipients)
        head, _, self.body = raw.partition(b"\r\n\r\n")
        self.fields = []                # bytes of each field, folds kept
        for line in head.split(b"\r\n"):
            if line[:1] in (b" ", b"\t") and self.fields:
                self.fields[-1] += b"\r\n" + line
            elif line:
                self.fields.append(line)

    def all(self, name):
        """The values of a field, unfolded and stripped."""
        want = name.lower().encode()
        values = []
        for field in self.fields:
            key, _, value = field.partition(b":")
            if key.rstrip().lower() == want:
                values.append(value.replace(b"\r\n", b"").strip().decode(
                    "utf-8", "surrogateescape"))
        return values

    def one(self, name):
        """The value of a field that has to be there exactly once."""
        values = self.all(name)
        if len(values) != 1:
            raise AssertionError(f"{name} stands {len(values)} times: {values}")
        return values[0]

    def names(self):
        return [f.partition(b":")[0].rstrip().decode("ascii", "replace")
                for f in self.fields]

    def below_received(self):
        """The bytes below the topmost Received field: what the MTA was given,
        when it adds nothing else."""
        if not self.fields or not self.fields[0].lower().startswith(
                b"received:"):
            raise AssertionError("no Received field on top")
        return self.raw[len(self.fields[0]) + 2:]

    @property
    def head(self):
        return self.raw.partition(b"\r\n\r\n")[0].decode("utf-8", "replace")


def make_message(sender="news@news.example.com", to="ann@example.org",
                 subject="Weekly news", body="Hello.\n", fields=()):
    """Bytes with CRLF.  A complete header, so that the MTA adds nothing but
    its Received field.  fields: further (name, value)."""
    lines = [f"From: {sender}", f"To: {to}", f"Subject: {subject}",
             "Date: Mon, 05 Jan 2026 10:00:00 +0000",
             "Message-Id: <rig@news.example.com>",
             "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8"]
    lines += [f"{name}: {value}" for name, value in fields]
    text = "\n".join(lines) + "\n\n" + body
    return text.replace("\r\n", "\n").replace("\n", "\r\n").encode(
        "utf-8", "surrogateescape")
