# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Clicks through each reverse proxy that contrib/proxy shows."""
import glob
import os
import re
import socket
import ssl
import threading

from rig.web import Answer
from rig import (Filter, Redis, Service, TestCase, Web, find_program,
                 free_ports, read_text, run, wait_for, write_file)

PROXIES = os.path.join(os.path.dirname(__file__), "..", "..", "contrib",
                       "proxy")
HOST = "news.example.com"
FORM = "Content-Type: application/x-www-form-urlencoded"
BOUNDARY = "-FormBoundaryjWmhtjORrn"
ONE_CLICK = b"List-Unsubscribe=One-Click"
MULTIPART = (f"--{BOUNDARY}\r\nContent-Disposition: form-data; "
             'name="List-Unsubscribe"\r\n\r\nOne-Click\r\n'
             f"--{BOUNDARY}--\r\n").encode()


def replace(text, *pairs):
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    return text


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


class Proxy:
    """The part that is the same for all: below, one for each program writes
    self.conf and says what to run."""

    def __init__(self, rig, upstream):
        self.top = rig.subdir(type(self).__name__.lower())
        self.port = free_ports(1)[0]
        self.upstream = upstream
        self.key = os.path.join(self.top, "key")
        self.pem = os.path.join(self.top, "pem")
        self.conf = os.path.join(self.top, "conf")
        run([find_program("openssl"), "req", "-x509", "-newkey", "rsa:2048",
             "-nodes", "-keyout", self.key, "-out", self.pem, "-days", "2",
             "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"])
        self.context = ssl.create_default_context(cafile=self.pem)
        self.log_path = os.path.join(self.top, "out.log")
        rig.add_log(type(self).__name__, self.log_path)
        service = Service(self.prepare(), self.log_path, env=dict(
            os.environ, HOME=self.top, XDG_DATA_HOME=self.top,
            XDG_CONFIG_HOME=self.top))
        rig.on_close(service.stop)
        service.wait_ready(self.is_up, 30)

    def shown(self, name):
        return read_text(os.path.join(PROXIES, name))

    def is_up(self):
        try:
            return self.fetch("GET", "/") is not None
        except OSError:
            return False

    def fetch(self, method, target, body=None, headers=()):
        raw = socket.create_connection(("127.0.0.1", self.port), 20)
        with self.context.wrap_socket(raw, server_hostname=HOST) as s:
            lines = [f"{method} {target} HTTP/1.1", f"Host: {HOST}",
                     "Connection: close", *headers]
            if body is not None:
                lines.append(f"Content-Length: {len(body)}")
            s.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" +
                      (body or b""))
            answer = b""
            while True:
                more = s.recv(65536)
                if not more:
                    return Answer(answer)
                answer += more

    def logs(self):
        return "".join(map(read_text, glob.glob(
            os.path.join(self.top, "*.log"))))


class Nginx(Proxy):
    def prepare(self):
        site = replace(
            self.shown("nginx.conf"), ("127.0.0.1:8092", self.upstream),
            ("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl"),
            ("\tlisten [::]:443 ssl;\n", ""),
            (f"/etc/ssl/{HOST}.pem", self.pem),
            (f"/etc/ssl/{HOST}.key", self.key))
        temporary = "".join(
            f"    {name}_temp_path {self.top}/{name};\n" for name in
            ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        # With the logs of Debian's nginx.conf.
        write_file(self.conf, f"""daemon off; user root; pid {self.top}/pid;
error_log {self.top}/error.log;
events {{}}
http {{
    access_log {self.top}/access.log;
{temporary}
{site}
}}
""")
        return [find_program("nginx"), "-c", self.conf, "-p", self.top,
                "-e", os.path.join(self.top, "error.log")]


class Caddy(Proxy):
    def prepare(self):
        write_file(self.conf, replace(
            self.shown("Caddyfile"), ("127.0.0.1:8092", self.upstream),
            (f"https://{HOST} {{",
             f"https://{HOST}:{self.port} {{\n\tbind 127.0.0.1"),
            ("\tauto_https", "\tadmin off\n\tauto_https"),
            (f"/etc/ssl/{HOST}.pem", self.pem),
            (f"/etc/ssl/{HOST}.key", self.key)))
        return [find_program("caddy"), "run", "--adapter", "caddyfile",
                "--config", self.conf]


class Haproxy(Proxy):
    def prepare(self):
        both = os.path.join(self.top, "both")
        write_file(both, read_text(self.pem) + read_text(self.key), 0o600)
        # With the logs of Debian's haproxy.cfg, though not by syslog.
        write_file(self.conf, """global
    log stdout format raw local0
defaults
    log global
    option httplog
""" + replace(
            self.shown("haproxy.cfg"), ("127.0.0.1:8092", self.upstream),
            ("bind :443", f"bind 127.0.0.1:{self.port}"),
            (f"/etc/ssl/{HOST}.pem", both)))
        return [find_program("haproxy"), "-db", "-f", self.conf]


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
