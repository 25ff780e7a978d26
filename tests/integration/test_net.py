# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Connections that the programs open themselves: to a mail server and to web
servers."""
import calendar
import socket
import threading
import time

from rig import (Authority, Postfix, Receiver, Sink, TestCase, free_ports,
                 program, run)


def call(*args, input=""):
    return run([program("netcall"), *map(str, args)], input=input).stdout


class SmtpTest(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.sink = Sink(cls.rig)
        cls.postfix = Postfix(cls.rig, cls.sink, main={
            "smtputf8_enable": "yes", "message_size_limit": "100000",
            "smtpd_recipient_restrictions": "check_recipient_access inline:{"
            "{busy@example.org=450 4.2.1 come back later}, "
            "{gone@example.org=550 5.1.1 no such person}}, "
            "permit_mynetworks, reject"})
        cls.server = "%s:%d" % cls.postfix.smtp

    def send(self, recipient, message="Subject: hello\n\nhello\n", sender="",
             server=None, ms=30000):
        return call("smtp", server or self.server, sender, recipient, ms,
                    input=message.replace("\n", "\r\n"))

    def test_delivers(self):
        text = ("From: a@news.example.com\nSubject: dots\n\n"
                ".\n..\n.dot\nlast\n.")
        self.assertEqual(self.send("dots@example.org", text + "\n",
                                   "bounces@news.example.com"), "ok\n")
        self.postfix.wait_idle()
        found, = self.sink.for_recipient("dots@example.org")
        self.assertEqual(found.sender, "bounces@news.example.com")
        self.assertTrue(found.raw.decode().endswith(
            text.split("\n\n", 1)[1].replace("\n", "\r\n") + "\r\n"),
            found.raw)

    def test_null_sender(self):
        self.assertEqual(self.send("null@example.org"), "ok\n")
        self.postfix.wait_idle()
        self.assertEqual(self.sink.for_recipient("null@example.org")[0].sender,
                         "")

    def test_large(self):
        body = "Subject: x\n\n" + ("." * 70 + "\n") * 1000
        self.assertEqual(self.send("large@example.org", body), "ok\n")
        self.postfix.wait_idle()
        found, = self.sink.for_recipient("large@example.org")
        self.assertEqual(found.raw.count(b"\r\n" + b"." * 70), 1000)

    def test_smtputf8(self):
        self.assertEqual(self.send("zoë@example.org",
                                   "Subject: Zoë\n\nx\n"), "ok\n")
        self.postfix.wait_idle()
        self.assertEqual(len(self.sink.for_recipient("zoë@example.org")), 1)

    def test_refusals(self):
        for recipient, wanted in (
                ("busy@example.org", 'TEMP .* said "later" \\(450 4.2.1\\)'),
                ("gone@example.org", "INPUT .* refused it "
                 "\\(550 5.1.1\\).*")):
            self.assert_reply(self.send(recipient).rstrip(), wanted)
        self.assert_reply(self.send(
            "big@example.org", "Subject: x\n\n" + "x" * 70 * 2000 + "\n"
        ).rstrip(), "INPUT .*\\(5(52|34) .*")
        self.postfix.wait_idle()
        self.assertEqual(self.sink.for_recipient("gone@example.org"), [])

    def test_unreachable(self):
        self.assert_reply(self.send("a@example.org", server="127.0.0.1:%d" %
                                    free_ports(1)[0]).rstrip(), "TEMP .*")

    def scripted(self, script, ms=30000):
        """A server that says these lines, one after each of ours, and then
        hangs (None) or closes.  Returns (output, seconds)."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            over = threading.Event()

            def serve():
                conn, _ = listener.accept()
                with conn, conn.makefile("rb") as lines:
                    data = False
                    for reply in script:
                        if reply is None:
                            over.wait(60)
                            return
                        conn.sendall(reply.encode() + b"\r\n")
                        data = reply.startswith("354")
                        while True:
                            line = lines.readline()
                            if not line or not data or line == b".\r\n":
                                break

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            started = time.monotonic()
            output = self.send("a@example.org", ms=ms, server="127.0.0.1:%d" %
                               listener.getsockname()[1])
            over.set()
            thread.join(10)
            return output.rstrip(), time.monotonic() - started

    def test_scripted_servers(self):
        for script, wanted in (
                (["421 4.3.2 shutting down"], "TEMP .*\\(421 4.3.2\\)"),
                (["554 5.7.1 go away", "221 bye"], "INPUT .*\\(554 5.7.1\\).*"),
                (["HTTP/1.1 400 what"], "TEMP .*"),
                (["220 x", "250 x", "250 ok", "250 ok", "354 go",
                  "451 4.3.0 disk full", "221 bye"],
                 "TEMP .*\\(451 4.3.0\\)"),
                (["220 x", "250 x", "250 ok", "250 ok", "354 go",
                  "554 5.7.0 spam", "221 bye"], "INPUT .*\\(554 5.7.0\\).*"),
                (["220 x", "250 x", "250 ok", "250 ok", "354 go"],
                 "TEMP .*"),
                (["220 x", "250 x", "550-5.1.8<x@y>\r\n550 a@b 5.1", "221 bye"],
                 "INPUT .*\\(550\\).*"),
                # an old server
                (["220 x", "500 what", "250 x", "250 ok", "250 ok", "354 go",
                  "250 ok", "221 bye"], "ok"),
                # taken, and then no good-bye
                (["220 x", "250 x", "250 ok", "250 ok", "354 go", "250 ok"],
                 "ok")):
            output, _ = self.scripted(script, 5000)
            self.assert_reply(output, wanted)

    def test_hanging_servers(self):
        for script, wanted in (
                ([None], "TEMP .*"), (["220 x", None], "TEMP .*"),
                (["220 x", "250 x", "250 ok", "250 ok", "354 go", None],
                 "TEMP .*"),
                (["220 x", "250 x", "250 ok", "250 ok", "354 go", "250 ok",
                  None], "ok")):
            output, seconds = self.scripted(script, 1500)
            self.assert_reply(output, wanted)
            self.assertLess(seconds, 15)


class HttpTest(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.authority = Authority(cls.rig)
        cls.web = Receiver(cls.rig, cls.authority.issue())
        cls.ca = f"ca={cls.authority.path}"

    def setUp(self):
        self.web.behave = None
        self.web.released.clear()
        self.web.clear()

    def send(self, *args, method="POST", url=None, ms=30000, body="", ca=None):
        return call("http", method, url or self.web.url, ms, ca or self.ca,
                    *args, input=body).rstrip()

    def test_post_and_get(self):
        ends = calendar.timegm((2038, 1, 1, 0, 0, 0)) * 1000
        body = "x" * 200000
        self.assertEqual(self.send("X-One: 1", "Content-Type: text/plain",
                                   body=body), f"ok 204 0 {ends} -")
        self.web.behave = self.web.status(200, b"hello")
        self.assertEqual(self.send(method="GET"), f"ok 200 5 {ends} -")
        post, get = self.web.requests
        self.assertEqual((post.method, post.body.decode()), ("POST", body))
        self.assertEqual(post.headers["x-one"], "1")
        self.assertEqual(post.headers["content-type"], "text/plain")
        self.assertTrue(post.headers["user-agent"].startswith(
            "consent-milter/"))
        self.assertEqual(get.method, "GET")

    def test_without_tls(self):
        plain = Receiver(self.rig)
        self.assertEqual(self.send(url=plain.url, body="x"), "ok 204 0 0 -")

    def test_redirects_are_told(self):
        for status in (301, 302, 303, 307, 308):
            self.web.behave = self.web.status(status, Location="/else?a=b")
            self.web.clear()
            self.assert_reply(
                self.send(body="x"), f"ok {status} 0 [0-9]+ "
                f"https://localhost:{self.web.port}/else\\?a=b")
            self.assertEqual(len(self.web.requests), 1)

    def test_large_answers_are_cut(self):
        self.web.behave = self.web.status(200, b"x" * 10000000)
        self.assert_reply(self.send(), "ok 200 65536 .*")
        self.web.behave = self.web.status(200, b"x" * 65536)
        self.assert_reply(self.send(), "ok 200 65536 .*")

    def test_no_answer(self):
        self.web.behave = self.web.cut
        self.assert_reply(self.send(), "TEMP .*")
        self.web.behave = self.web.hang
        started = time.monotonic()
        self.assert_reply(self.send(ms=1000), "TEMP .*[Tt]imed out.*")
        self.assert_reply(self.send(ms=-500), "TEMP given up")
        self.assertLess(time.monotonic() - started, 15)

    def test_certificates(self):
        for pem, wanted in (
                (self.authority.issue(not_after="20200202000000Z"),
                 "SETUP the server's certificate has expired"),
                (self.authority.issue(self_signed=True),
                 "SETUP the server's certificate is self-signed"),
                (self.authority.issue("other.example"),
                 "SETUP the server's certificate .*localhost.*"),
                (Authority(self.rig, "Other").issue(),
                 "SETUP the server's certificate comes from an authority "
                 "that is not known here.*")):
            server = Receiver(self.rig, pem)
            self.assert_reply(self.send(url=server.url, body="x"), wanted)
            self.assertEqual(server.requests, [])
        self.assert_reply(self.send(ca="ca=/nowhere.pem"), "SETUP .*")
        # Not known to the system.
        self.assert_reply(call("http", "GET", self.web.url, 30000).rstrip(),
                          "SETUP .*authority that is not known here.*")

    def test_connect_to(self):
        pem = self.authority.issue("news.example.com")
        server = Receiver(self.rig, pem)
        self.assert_reply(self.send(
            f"to=news.example.com:443:127.0.0.1:{server.port}", method="GET",
            url="https://news.example.com/u/x"), "ok 204 .*")
        self.assertEqual(server.requests[0].headers["host"],
                         "news.example.com")
