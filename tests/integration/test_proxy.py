# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Clicks through each reverse proxy that contrib/proxy shows."""
import re
import socket
import threading

from rig import (Caddy, Filter, Haproxy, Nginx, Redis, TestCase, Web,
                 wait_for)

FORM = "Content-Type: application/x-www-form-urlencoded"
BOUNDARY = "-FormBoundaryjWmhtjORrn"
ONE_CLICK = b"List-Unsubscribe=One-Click"
MULTIPART = (f"--{BOUNDARY}\r\nContent-Disposition: form-data; "
             'name="List-Unsubscribe"\r\n\r\nOne-Click\r\n'
             f"--{BOUNDARY}--\r\n").encode()


class Tap:
    """Passes connections on to an address and keeps what clients sent."""

    def __init__(self, rig, to):
        self.to = to
        self.seen = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "%s:%d" % self.listener.getsockname()
        rig.on_close(self.listener.close)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            try:
                server = socket.create_connection(self.to, 20)
            except OSError:
                client.close()
                continue
            for pair in ((client, server, self.seen), (server, client, [])):
                threading.Thread(target=self._pass, args=pair,
                                 daemon=True).start()

    @staticmethod
    def _pass(source, sink, seen):
        try:
            while True:
                data = source.recv(65536)
                seen.append(data)
                if not data:
                    break
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def text(self):
        return b"".join(self.seen).decode("latin-1")


class Proxies(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, start=False)
        cls.web = Web(cls.rig, cls.filter)

    def assert_plain(self, answer, status):
        self.assertEqual(answer.status, status)
        for name in ("location", "set-cookie"):
            self.assertNotIn(name, answer.headers)

    def click(self, proxy, name, body, headers):
        a = f"{name}@example.org"
        self.filter.grant(a)
        link = self.web.link(a)
        page = proxy.fetch("GET", link)
        self.assert_plain(page, 200)
        self.assertIn(b"Weekly news", page.body)
        self.assertEqual(page.headers["cache-control"], ["no-store"])
        self.assert_plain(proxy.fetch("GET", link[:-2]), 404)
        self.assert_plain(proxy.fetch("GET", "/other/x"), 404)
        # Of consent-web as well, where nothing else is passed on.
        for target, from_us in (("/my/x", True), ("/other/x", False)):
            answer = proxy.fetch("GET", target)
            self.assertEqual("x-robots-tag" in answer.headers, from_us,
                             target)
        self.assert_plain(proxy.fetch("POST", link, body, headers), 200)
        wait_for(lambda: self.filter.ctl(
            "check", "--list", "weekly", a,
            check=False).stdout == "withdrawn\n", 10, f"{a} is out")
        return link

    def click_through(self, program):
        tap = Tap(self.rig, self.web.address)
        proxy = program(self.rig, tap.address)
        name = program.__name__.lower()
        links = [
            self.click(proxy, f"{name}-form", ONE_CLICK, [FORM]),
            self.click(proxy, f"{name}-multipart", MULTIPART,
                       ["Content-Type: multipart/form-data; "
                        f"boundary={BOUNDARY}",
                        "X-Forwarded-For: 192.0.2.1"])]
        # Whose address it is, not whose it is said to be.
        fields = re.findall(r"(?im)^x-forwarded-for: *(.*?)\r$", tap.text())
        self.assertEqual(set(fields), {"127.0.0.1"})
        # An error is a reason to log, and the link not a part of it.
        self.web.kill9()
        try:
            self.assertIn(proxy.fetch("POST", links[0], ONE_CLICK,
                                      [FORM]).status, (502, 503))
        finally:
            self.web.start()
        logs = proxy.logs()
        for link in links:
            self.assertNotIn(link[3:], logs)
            self.assertNotIn(link[3:23], logs)

    def test_nginx(self):
        self.click_through(Nginx)

    def test_caddy(self):
        self.click_through(Caddy)

    def test_haproxy(self):
        self.click_through(Haproxy)
