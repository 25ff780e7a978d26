# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Raw HTTP, and what Prometheus reads by it."""
import re

from .process import connect


class Answer:
    """status, headers (names in lower case, each a list), body."""

    def __init__(self, data):
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        # after the interim answer to Expect: 100-continue
        if re.match(r"HTTP/1\.[01] 100", lines[0]):
            head, _, self.body = self.body.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers.setdefault(name.lower(), []).append(value.strip())


def ask(address, data, timeout=20):
    """Sends these bytes and reads to the end of the connection, which the other
    side may put before the end of ours."""
    answer = b""
    with connect(address, timeout) as s:
        try:
            s.sendall(data)
            cut = ()
        except (BrokenPipeError, ConnectionResetError):
            cut = ConnectionResetError
        try:
            while more := s.recv(65536):
                answer += more
        except cut:
            pass
    return Answer(answer) if answer else None


def scrape(address, method="GET", target="/metrics"):
    return ask(address, f"{method} {target} HTTP/1.1\r\nHost: x\r\n"
               "Connection: close\r\n\r\n".encode())


def read_numbers(body):
    """{'name{labels}': number}"""
    return {name: float(value) for name, value in (
        line.rsplit(" ", 1) for line in body.decode().splitlines()
        if not line.startswith("#"))}
