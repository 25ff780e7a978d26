# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The reverse proxies that contrib/proxy shows, with a certificate."""
import glob
import os
import socket
import ssl

from .http import Answer
from .process import (Service, find_program, free_ports, read_text, replace,
                      run, write_file)

PROXIES = os.path.join(os.path.dirname(__file__), "..", "..", "contrib",
                       "proxy")
HOST = "news.example.com"


class Proxy:
    """Proxy(rig, upstream): .fetch() .top .logs(), in front of "host:port".

    pem       key and certificate (Authority.issue()) instead of its own
    changes   (old, new) pairs, made to what contrib/proxy has (nginx)

    The part that is the same for all: below, one for each program writes
    self.conf and says what to run."""

    def __init__(self, rig, upstream, pem=None, changes=()):
        self.top = rig.subdir(type(self).__name__.lower())
        self.port = free_ports(1)[0]
        self.upstream = upstream
        self.changes = changes
        self.key = os.path.join(self.top, "key")
        self.pem = os.path.join(self.top, "pem")
        self.conf = os.path.join(self.top, "conf")
        if pem is None:
            run([find_program("openssl"), "req", "-x509", "-newkey",
                 "rsa:2048", "-nodes", "-keyout", self.key, "-out", self.pem,
                 "-days", "2", "-subj", f"/CN={HOST}", "-addext",
                 f"subjectAltName=DNS:{HOST}"])
            self.context = ssl.create_default_context(cafile=self.pem)
        else:
            # For a client of the test's own, who looks at it.
            self.key = self.pem = pem
            self.context = ssl.create_default_context()
            self.context.check_hostname = False
            self.context.verify_mode = ssl.CERT_NONE
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
            (f"/etc/ssl/{HOST}.key", self.key), *self.changes)
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
