# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Bytes and connections that no honest client makes: nothing smuggled, nothing
recorded that nobody asked for, bounded memory, and a click answered all the
same."""
import glob
import os
import re
import socket
import time

from rig import (Filter, Nginx, Redis, TestCase, Web, read_text)

FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
HOST = "Host: news.example.com\r\n"
BODY = "List-Unsubscribe=One-Click"
PLACES = 4000           # connections that consent-web takes
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")

# What a proxy may take for the end of a request where we take another.
AMBIGUOUS = [
    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "Content-Length: 5\r\nContent-Length: 0\r\n\r\n",
    "Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "Content-Length: 0\r\ncontent-length: 0\r\n\r\n",
    "Content-Length: 0, 0\r\n\r\n", "Content-Length: +0\r\n\r\n",
    "Content-Length: -1\r\n\r\n", "Content-Length: 0x0\r\n\r\n",
    "Content-Length: 0 0\r\n\r\n", "Content-Length:\r\n\r\n",
    "Content-Length: 99999999999999999999999\r\n\r\n",
    "Transfer-Encoding: xchunked\r\n\r\n",
    "Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n",
    "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n",
    "Transfer-Encoding:\x0bchunked\r\nContent-Length: 0\r\n\r\n",
    "Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n",
    "Content-Length : 5\r\nContent-Length: 0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "Transfer-Encoding: chunked\r\n\r\n-1\r\n",
    "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    "Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFF\r\n",
    "Transfer-Encoding: chunked\r\n\r\n1\r\naXX0\r\n\r\n",
]

# {} is a link that works.  Whether it opts out is the client's business, for
# it has the link; it must be a whole answer, or none.
ODD = [
    "POST {} HTTP/1.1\n" + HOST.replace("\r", "") + "Content-Length: 0\n\n",
    "POST {} HTTP/1.1\r\n" + HOST + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "POST {} HTTP/1.1\r\n" + HOST + "X: a\0b\r\nContent-Length: 0\r\n\r\n",
    "POST {} HTTP/1.1\r\n" + HOST + "X\0Y: b\r\nContent-Length: 0\r\n\r\n",
    "POST {} HTTP/1.1\r\n" + HOST + "\xff\x80: \xfe\r\n\r\n",
    "POST {} HTTP/1.1\r\n" + HOST + "X: a\rY: b\r\n\r\n",
    "POST {} HTTP/1.1\r\n" + HOST + "no colon\r\n\r\n",
    "POST {} HTTP/1.1\r\n" + HOST + ": no name\r\n\r\n",
    "POST {}\0x HTTP/1.1\r\n" + HOST + "\r\n",
    "POST {}\xff HTTP/1.1\r\n" + HOST + "\r\n",
    "POST  {}  HTTP/1.1\r\n" + HOST + "\r\n",
    "POST\t{}\tHTTP/1.1\r\n" + HOST + "\r\n",
    "post {} HTTP/1.1\r\n" + HOST + "\r\n",
    "POST {} HTTP/3.7\r\n" + HOST + "\r\n",
    "POST {} HTTP/1.\r\n" + HOST + "\r\n",
    "POST {} \r\n\r\n", "GET {}\r\n", "GET {}\r\n\r\n", "POST\r\n\r\n",
    "\r\n\r\n\r\n\r\n", " \r\n\r\n", "\0\0\0\0\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\n" + HOST + "\r\n",
    "CONNECT news.example.com:443 HTTP/1.1\r\n" + HOST + "\r\n",
    "POST * HTTP/1.1\r\n" + HOST + "\r\n",
    "POST ../..{} HTTP/1.1\r\n" + HOST + "\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04\0\0\0\0\0",
    "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",
    "POST {} HTTP/1.1\r\n" + HOST + "X: " + "a" * 100000 + "\r\n\r\n",
    "POST {} HTTP/1.1\r\n" + HOST + "a: b\r\n" * 20000 + "\r\n",
    "POST {}" + "a" * 60000 + " HTTP/1.1\r\n" + HOST + "\r\n",
    "POST {}" + "a" * 200000 + " HTTP/1.1\r\n" + HOST + "\r\n",
    "a" * 200000,
    "POST {} HTTP/1.1\r\n" + HOST + "Cookie: " + "a=b; " * 5000 + "\r\n\r\n",
    "POST {} HTTP/1.1\r\n" + HOST + "Expect: something\r\n"
    "Content-Length: 0\r\n\r\n",
    "POST {} HTTP/1.1\r\n" + HOST + "Connection: upgrade\r\nUpgrade: h2c\r\n"
    "HTTP2-Settings: AAAA\r\nContent-Length: 0\r\n\r\n",
    "POST {} HTTP/1.1\r\n" + HOST + "Content-Encoding: gzip\r\n"
    "Content-Length: 3\r\n\r\n\x1f\x8b\x08",
    "POST {} HTTP/1.1\r\n" + HOST + "Accept-Language: " + "de;q=0," * 4000 +
    "\r\nContent-Length: 0\r\n\r\n",
    "POST {} HTTP/1.1\r\n" + HOST + "X-Forwarded-For: " + "1.2.3.4, " * 3000 +
    "x\r\nContent-Length: 0\r\n\r\n",
    "POST {} HTTP/1.1\r\n" + HOST + "Content-Type: multipart/form-data; "
    "boundary=" + "b" * 3000 + "\r\nContent-Length: 5\r\n\r\n--bbb",
    "POST {} HTTP/1.1\r\n" + HOST + "Content-Type: multipart/form-data\r\n"
    "Content-Length: 5\r\n\r\n--bbb",
    "POST {} HTTP/1.1\r\n" + HOST + FORM + "Content-Length: 12\r\n\r\n"
    "%%%=%0&=%zz&",
]


def resident_kib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", read_text(
        f"/proc/{pid}/status")).group(1))


class HostileWeb(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, start=False)
        cls.web = Web(cls.rig, cls.filter)
        cls.filter.grant("odd@example.org", "victim@example.org")
        cls.odd = cls.web.link("odd@example.org")
        cls.victim = cls.web.link("victim@example.org")

    def opt_outs(self):
        return sum(read_text(path).count('"withdraw"') for path in glob.glob(
            os.path.join(self.filter.audit_dir, "ledger", "*.jsonl")))

    def send(self, data, quiet=20, half_close=False):
        """All that comes back, until the other side closes or is quiet for so
        many seconds."""
        with self.web.connect(quiet) as s:
            answer = b""
            try:
                s.sendall(data.encode("latin-1"))
                if half_close:
                    s.shutdown(socket.SHUT_WR)
            except OSError:     # it has heard enough
                pass
            while True:
                try:
                    more = s.recv(65536)
                except (ConnectionResetError, TimeoutError):
                    more = b""
                if not more:
                    return answer
                answer += more

    def assert_sound(self):
        answer = self.web.click(self.odd)
        self.assertEqual(answer.status, 200)
        self.assertEqual(self.web.request("GET", "/healthz").status, 200)

    def test_nothing_is_smuggled(self):
        """What follows a request whose end is in doubt is not read."""
        second = (f"POST {self.victim} HTTP/1.1\r\n{HOST}"
                  "Connection: close\r\nContent-Length: 0\r\n\r\n")
        before = self.opt_outs()
        for shape in AMBIGUOUS:
            with self.subTest(shape):
                answer = self.send(f"POST /u/x HTTP/1.1\r\n{HOST}{FORM}"
                                   f"{shape}{second}")
                self.assertRegex(answer, rb"^HTTP/1\.1 (400|413) ")
                self.assertNotIn(b" 200 ", answer)
                # Nor is the first one carried out.
                answer = self.send(f"POST {self.victim} HTTP/1.1\r\n{HOST}"
                                   f"{FORM}{shape}")
                self.assertNotIn(b" 200 ", answer)
        self.assertEqual(self.opt_outs(), before)
        self.assert_sound()

    def test_odd_bytes(self):
        for data in ODD:
            with self.subTest(data[:120]):
                answer = self.send(data.replace("{}", self.odd), quiet=0.3)
                if answer:
                    self.assertRegex(answer, rb"^HTTP/1\.[01] "
                                     rb"(200|4\d\d|505) ")
                    self.assertNotIn(b"Location:", answer)
        self.assert_sound()

    def test_absolute_form(self):
        before = self.opt_outs()
        answer = self.send(f"POST https://news.example.com{self.odd} "
                           f"HTTP/1.1\r\n{HOST}Connection: close\r\n"
                           "Content-Length: 0\r\n\r\n")
        self.assertRegex(answer, rb"^HTTP/1\.1 200 ")
        self.assertEqual(self.opt_outs(), before + 1)

    def test_pipelined(self):
        before = self.opt_outs()
        one = (f"POST {self.odd} HTTP/1.1\r\n{HOST}{FORM}"
               f"Content-Length: {len(BODY)}\r\n\r\n{BODY}")
        answer = self.send(one * 99 + one.replace(
            FORM, FORM + "Connection: close\r\n"))
        self.assertEqual(STATUS.findall(answer), [b"200"] * 100)
        self.assertEqual(self.opt_outs(), before + 100)

    def test_half_closed(self):
        before = self.opt_outs()
        answer = self.send(f"POST {self.odd} HTTP/1.1\r\n{HOST}{FORM}"
                           "Connection: close\r\n"
                           f"Content-Length: {len(BODY)}\r\n\r\n{BODY}",
                           half_close=True)
        self.assertRegex(answer, rb"^HTTP/1\.1 200 ")
        self.assertEqual(self.opt_outs(), before + 1)
        # Half a body is no request.
        self.send(f"POST {self.odd} HTTP/1.1\r\n{HOST}{FORM}"
                  f"Content-Length: {len(BODY)}\r\n\r\n{BODY[:9]}",
                  quiet=1, half_close=True)
        self.assertEqual(self.opt_outs(), before + 1)

    def test_memory(self):
        """Requests that fail in every way leave nothing behind."""
        shapes = [f"POST /u/x HTTP/1.1\r\n{HOST}{FORM}{shape}"
                  for shape in AMBIGUOUS]
        shapes += [data.replace("{}", "/u/x") for data in ODD]

        def round_of_all():
            for data in shapes:
                self.send(data, quiet=0.02)
        for _ in range(3):
            round_of_all()
        before = resident_kib(self.web.service.pid)
        for _ in range(6):
            round_of_all()
        self.assertLess(resident_kib(self.web.service.pid) - before, 20000)

    # -- many connections

    def open_many(self, count, data):
        many = []
        self.addCleanup(lambda: [s.close() for s in many])
        for _ in range(count):
            s = self.web.connect()
            s.setblocking(False)
            try:
                s.send(data)
            except OSError:     # turned away already
                pass
            many.append(s)
        return many

    def timed_click(self, link):
        start = time.monotonic()
        self.assertEqual(self.web.click(link).status, 200)
        return time.monotonic() - start

    def test_many_idle(self):
        before = resident_kib(self.web.service.pid)
        many = self.open_many(1500, b"")
        many += self.open_many(500, f"POST {self.odd} HTTP/1.1\r\n".encode())
        self.assertLess(self.timed_click(self.odd), 10)
        # 64 KiB a connection is what the library takes at most.
        self.assertLess(resident_kib(self.web.service.pid) - before,
                        2000 * 80)

    def test_drips(self):
        """More connections than there are places for, each with a byte now
        and then, which never become a request."""
        many = self.open_many(PLACES // 2, f"POST {self.odd} HTTP/1.1\r\n"
                              "X: ".encode())
        many += self.open_many(PLACES // 2 + 300, (
            f"POST {self.odd} HTTP/1.1\r\n{HOST}Content-Length: 1000\r\n"
            "\r\n").encode())
        for _ in range(3):
            self.assertLess(self.timed_click(self.odd), 15)
            for s in many:
                try:
                    s.send(b"x")
                except OSError:
                    pass
        self.assertIn("turned away", self.web.log())

    # -- behind a proxy

    def test_through_nginx(self):
        nginx = Nginx(self.rig, "%s:%d" % self.web.address)
        before = self.opt_outs()

        def send(data):
            with socket.create_connection(("127.0.0.1", nginx.port),
                                          20) as raw, \
                    nginx.context.wrap_socket(
                        raw, server_hostname="news.example.com") as s:
                answer = b""
                try:
                    s.sendall(data.encode("latin-1"))
                    while True:
                        more = s.recv(65536)
                        if not more:
                            break
                        answer += more
                except OSError:     # closed in the middle, which is fine
                    pass
                return answer
        end = f"GET / HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n"
        second = (f"POST {self.victim} HTTP/1.1\r\n{HOST}"
                  "Connection: close\r\nContent-Length: 0\r\n\r\n")
        for shape in AMBIGUOUS:
            # The victim's request is inside of a body, whoever counts.
            inside = (f"POST /u/x HTTP/1.1\r\n{HOST}Content-Length: "
                      f"{len(shape) + len(second)}\r\n\r\n{shape}{second}")
            send(inside + end)
        self.assertEqual(self.opt_outs(), before)
        for data in ODD:
            answer = send(data.replace("{}", "/u/x") + end)
            self.assertNotIn(b" 502 ", answer)
        # Drips keep to the proxy, and get no connection of ours.
        many = []
        self.addCleanup(lambda: [s.close() for s in many])
        for _ in range(200):
            raw = socket.create_connection(("127.0.0.1", nginx.port), 20)
            s = nginx.context.wrap_socket(raw,
                                          server_hostname="news.example.com")
            s.send(f"POST {self.odd} HTTP/1.1\r\n".encode())
            many.append(s)
        start = time.monotonic()
        self.assertEqual(nginx.fetch("POST", self.odd, BODY.encode(), [
            FORM.strip()]).status, 200)
        self.assertLess(time.monotonic() - start, 10)
