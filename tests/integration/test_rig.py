# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The rig itself: that its servers run and that its checks can fail."""
import os
import unittest

from rig import (Closed, MilterClient, OpenDkim, Postfix, Redis, RedisError,
                 Sendmail, Sink, Smtp, TestCase, libconfig, make_message,
                 merge)
from rig.process import descendants


class RigRedis(TestCase):
    def test_commands(self):
        redis = Redis(self.rig, tcp=True)
        self.assertEqual(redis.call("HSET", "k", "f", b"\x00\r\n"), 1)
        self.assertEqual(redis.call("HGETALL", "k"), [b"f", b"\x00\r\n"])
        self.assertIsNone(redis.call("GET", "absent"))
        with self.assertRaisesRegex(RedisError, "WRONGTYPE"):
            redis.call("GET", "k")
        redis.kill9()
        redis.start()
        self.assertEqual(redis.call("DBSIZE"), 0)


class RigPostfix(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.dkim = OpenDkim(cls.rig)
        cls.sink = Sink(cls.rig, {"full": "552 5.2.2 mailbox full"})
        cls.postfix = Postfix(
            cls.rig, cls.sink, [cls.dkim],
            virtual={"all@example.org": "one@example.org,two@example.org"},
            canonical={"old@example.org": "new@example.org"})

    def setUp(self):
        self.sink.clear()

    def test_unsigned_mail_arrives_unchanged(self):
        message = make_message(sender="a@example.net",
                               body="dots:\n.\n..\nend\n")
        sent = self.postfix.send("a@example.net", ["x@example.org"], message)
        self.assertEqual(sent.end.code, 250, sent.end)
        self.postfix.wait_idle()
        self.assertEqual(self.postfix.queue(), [])
        self.assertEqual(len(self.sink.messages), 1)
        got = self.sink.messages[0]
        self.assertEqual((got.sender, got.recipients),
                         ("a@example.net", ["x@example.org"]))
        self.assertEqual(got.below_received(), message)

    def test_plain_port_has_no_milter(self):
        with Smtp(self.postfix.plain) as smtp:
            smtp.mail("news@news.example.com")
            smtp.rcpt("x@example.org")
            self.assertEqual(smtp.data(make_message()).code, 250)
        got = self.sink.wait(1)[0]
        self.assertEqual(got.all("DKIM-Signature"), [])
        self.assertEqual(got.below_received(), make_message())

    def test_dkim_verification_can_fail(self):
        self.postfix.send("news@news.example.com", ["x@example.org"],
                          make_message())
        raw = self.sink.wait(1)[0].raw
        passed, signed, detail = self.dkim.verify(raw)
        self.assertTrue(passed, detail)
        self.assertEqual(signed.count("list-unsubscribe-post"), 1)
        self.assertFalse(self.dkim.verify(
            raw.replace(b"Subject: W", b"Subject: V"))[0])
        self.assertFalse(self.dkim.verify(
            b"List-Unsubscribe: <https://evil.example/>\r\n" + raw)[0])

    def test_maps_and_refusals_of_the_sink(self):
        self.postfix.send("a@example.net", [
            "all@example.org", "old@example.org", "full@example.org"],
            make_message())
        self.postfix.wait_log("dsn=5.2.2, status=bounced")
        self.postfix.wait_idle()
        found = {r for m in self.sink.messages for r in m.recipients}
        # The last one is the bounce.
        self.assertEqual(found, {"one@example.org", "two@example.org",
                                 "new@example.org", "a@example.net"})

    def test_submission_and_xclient(self):
        with Smtp(self.postfix.submission) as smtp:
            self.assertEqual(smtp.auth("ann", "bad").code, 535)
            self.assertEqual(smtp.auth("ann").code, 235)
        with Smtp(self.postfix.xclient) as smtp:
            self.assertEqual(smtp.command("XCLIENT ADDR=192.0.2.7").code, 220)
            smtp.command("EHLO x.example")
            smtp.mail("a@example.net")
            smtp.rcpt("x@example.org")
            self.assertEqual(smtp.data(make_message()).code, 250)
        self.assertIn("[192.0.2.7]", self.sink.wait(1)[0].head)

    def test_sendmail_program(self):
        self.postfix.sendmail("a@example.net", ["x@example.org"],
                              make_message())
        self.assertEqual(self.sink.wait(1)[0].recipients, ["x@example.org"])

    def test_kill_and_reload(self):
        self.postfix.kill9()
        self.postfix.start()
        self.postfix.configure(main={"smtpd_banner": "rig was here"})
        self.postfix.reload()
        with Smtp(self.postfix.smtp) as smtp:
            self.assertEqual(smtp.greeting, "220 rig was here")

    def test_milter_client_with_another_milter(self):
        with MilterClient(self.dkim.socket) as client:
            client.negotiate()
            client.connect(address="127.0.0.1")
            client.helo()
            client.mail("<news@news.example.com>")
            client.rcpt("<x@example.org>", macros={"i": "RIG1"})
            end = client.message([("From", "news@news.example.com"),
                                  ("Subject", "x")], macros={"i": "RIG1"})
            self.assertEqual(end.kind, "accept")
            self.assertEqual(end.actions[0][2], "DKIM-Signature")
        with MilterClient(self.dkim.socket) as client:
            client.send_raw(b"\xff\xff\xff\xffM")
            self.assertTrue(client.is_closed())
            with self.assertRaises(Closed):
                client.read()


class RigSendmail(TestCase):
    def test_delivery(self):
        sink = Sink(self.rig)
        sendmail = Sendmail(self.rig, sink)
        for address in (sendmail.smtp, sendmail.submission):
            with Smtp(address) as smtp:
                smtp.mail("a@example.net")
                smtp.rcpt("x@example.org")
                self.assertEqual(smtp.data(make_message()).code, 250)
        sink.wait(2)
        sendmail.wait_idle()
        self.assertEqual([m.below_received() for m in sink.messages],
                         [make_message()] * 2)


class RigPieces(unittest.TestCase):
    def test_libconfig(self):
        self.assertEqual(
            libconfig({"a": 'q"\\', "b": True, "c": [1, {"d": "e"}]}),
            '{\n\ta = "q\\"\\\\";\n\tb = true;\n'
            '\tc = ( 1, {\n\t\td = "e";\n\t} );\n}')

    def test_merge(self):
        self.assertEqual(merge({"a": {"b": 1, "c": 2}, "d": 3},
                               {"a": {"b": 4, "c": None}, "d": [5]}),
                         {"a": {"b": 4}, "d": [5]})

def tearDownModule():
    left = descendants(os.getpid())
    if left:
        raise AssertionError(f"still running: {left}")
