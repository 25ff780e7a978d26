# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Web servers that take what is sent to them, over TLS with a CA of their
own."""
import http.server
import os
import re
import ssl
import threading
import time

from .process import find_program, run, wait_for, write_file


# Quicker to make than RSA.
_CURVE = ("-pkeyopt", "ec_paramgen_curve:P-256")


class Authority:
    """Authority(rig): a CA; .path is its certificate."""

    def __init__(self, rig, name="Rig CA"):
        self.dir = rig.subdir("ca")
        self.path = os.path.join(self.dir, "ca.pem")
        self._key = os.path.join(self.dir, "ca.key")
        self._n = 0
        run([find_program("openssl"), "req", "-x509", "-newkey", "ec", *_CURVE,
             "-nodes", "-days", "30", "-subj", f"/CN={name}",
             "-keyout", self._key, "-out", self.path])

    def issue(self, host="localhost", not_after=None, self_signed=False,
              not_before="20200101000000Z"):
        """The path of a PEM file with key and certificate, for a name or an IP
        address.

        not_before, not_after   YYYYMMDDHHMMSSZ
        """
        kind = "IP" if re.fullmatch(r"[0-9.]+|.*:.*", host) else "DNS"
        self._n += 1
        stem = os.path.join(self.dir, f"server{self._n}")
        key, request, out = stem + ".key", stem + ".csr", stem + ".pem"
        openssl = find_program("openssl")
        run([openssl, "req", "-newkey", "ec", *_CURVE, "-nodes", "-subj",
             f"/CN={host}", "-keyout", key, "-out", request])
        write_file(stem + ".cnf", f"""
[ca]
default_ca = rig
[rig]
database = {stem}.index
new_certs_dir = {self.dir}
serial = {stem}.serial
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
x509_extensions = server
[any]
commonName = supplied
[server]
subjectAltName = {kind}:{host}
""")
        write_file(stem + ".index", "")
        write_file(stem + ".serial", f"{self._n + 1:04x}\n")
        signer = (["-selfsign", "-keyfile", key] if self_signed else
                  ["-keyfile", self._key, "-cert", self.path])
        run([openssl, "ca", "-batch", "-notext", "-config", stem + ".cnf",
             "-startdate", not_before, "-enddate",
             not_after or "20380101000000Z", "-in", request, "-out",
             stem + ".crt", *signer])
        with open(out, "wb", opener=lambda p, flags: os.open(
                p, flags, 0o600)) as f:
            for path in (key, stem + ".crt"):
                with open(path, "rb") as part:
                    f.write(part.read())
        return out


class Request:
    """.time .method .path .headers (names in lower case) .body"""

    def __init__(self, method, path, headers, body):
        self.time = time.time()
        self.method, self.path, self.body = method, path, body
        self.headers = {name.lower(): value for name, value in headers.items()}


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def setup(self):
        # The handshake is this thread's, so that a client that hangs in it
        # stops nobody else.
        receiver = self.server.receiver
        if receiver.context is not None:
            self.request.settimeout(self.timeout)
            self.request = receiver.context.wrap_socket(
                self.request, server_side=True)
        super().setup()

    def _take(self):
        receiver = self.server.receiver
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        request = Request(self.command, self.path, self.headers, body)
        receiver.take(request)
        receiver.answer(self, request)

    do_GET = do_POST = _take

    def reply(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, format, *args):
        pass


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 100

    def handle_error(self, request, client_address):
        pass                            # a client that went away


class Receiver:
    """Receiver(rig, pem): .url; requests in .requests.

    pem       key and certificate; None: without TLS
    behave    called with (handler, request) instead of answering 204: .hang,
              .cut, .status(500), or one's own that calls handler.reply(status,
              body, Header=…).  The request is in .requests before.
    """

    def __init__(self, rig, pem=None, port=0, host="localhost"):
        self.context = None
        if pem is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(pem)
        self.behave = None
        self.released = threading.Event()
        self._requests = []
        self._lock = threading.Lock()
        self._server = None
        self.port = port
        self.start()
        scheme = "http" if pem is None else "https"
        self.url = f"{scheme}://{host}:{self.port}/hook"
        rig.on_close(self.stop)

    def start(self):
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.receiver = self
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,),
                         daemon=True).start()

    def stop(self):
        """Nobody listens any more."""
        self.released.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def take(self, request):
        with self._lock:
            self._requests.append(request)

    def answer(self, handler, request):
        behave = self.behave
        if behave is None:
            handler.reply(204)
        else:
            behave(handler, request)

    @property
    def requests(self):
        with self._lock:
            return list(self._requests)

    def clear(self):
        with self._lock:
            self._requests.clear()

    def wait(self, n=1, timeout=30.0):
        wait_for(lambda: len(self.requests) >= n, timeout,
                 f"{n} requests ({len(self.requests)} there)")
        return self.requests

    # -- behaviours

    def hang(self, handler, _request):
        """No answer until the test lets go (.released)."""
        self.released.wait(60)
        handler.close_connection = True

    @staticmethod
    def cut(handler, _request):
        """The connection ends without an answer."""
        handler.close_connection = True

    @staticmethod
    def status(status, body=b"", **headers):
        return lambda handler, _request: handler.reply(status, body,
                                                       **headers)
