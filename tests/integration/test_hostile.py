# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Addresses and header fields that no honest client sends: bounded memory, a
correct answer, nothing injected anywhere."""
import json
import struct

from rig import Closed, Filter, Redis, TestCase, in_threads, read_text
from rig.milter import NOEOH

LATE = ("List-Id", "<weekly.news.example.com>")
NASTY = [
    "<>", "<", "", "<@>", "<a@>", "<@b>", "<a@b@c>", "<@relay:bob@example.org>",
    "<bob\r\nRCPT TO:<x@y>@example.org>", "<bob\n@example.org>",
    b"<b\xffb@example.org>", b"<\xc3\x28@example.org>", "<bob%s%n@example.org>",
    "<" + "a" * 65 + "@example.org>", "<a@" + "b" * 300 + ".org>",
    "<" + "x" * 60000 + "@example.org>", "<a@xn--.org>",
    "<a@[IPv6:::::]>", '<"@example.org>', '<"\\>', "<a b@example.org>",
    "<'; FLUSHALL @example.org>", "<*@example.org>", "<c:00@example.org>",
]


def resident_kib(pid):
    for line in read_text(f"/proc/{pid}/status").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


class Hostile(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis)
        cls.filter.grant("ann@example.org")

    def assert_sound(self):
        """The filter still answers, and the log is JSON line by line."""
        with self.filter.client() as client:
            client.mail("<n@news.example.com>")
            self.assertEqual(client.rcpt("<ann@example.org>").kind,
                             "continue")
        for entry in self.filter.decisions():
            json.dumps(entry)

    def test_addresses(self):
        for address in NASTY:
            with self.subTest(address), self.filter.client() as client:
                client.mail("<n@news.example.com>")
                answer = client.rcpt(address)
                self.assertEqual(answer.text[:9], "550 5.7.1", answer)
                self.assertTrue(answer.text.isascii())
                self.assertLessEqual(len(answer.text), 510)
                self.assertNotIn("\n", answer.text.strip("\r\n"))
        self.assertEqual(len([key for key in self.redis.call("KEYS", "*")
                              if key != b"c:applied"]), 1)
        self.assert_sound()

    def test_addresses_late(self):
        with self.filter.client() as client:
            client.mail("<x@example.com>")
            # libmilter refuses to delete an empty address, which no MTA has
            nasty = [a for a in NASTY if a]
            for address in ["<ann@example.org>"] + nasty:
                self.assertEqual(client.rcpt(address).kind, "continue")
            answer = client.message([LATE])
            self.assertEqual(answer.kind, "continue")
            self.assertEqual([a[1] for a in answer.of("delrcpt")], [
                a.decode("utf-8", "surrogateescape")
                if isinstance(a, bytes) else a for a in nasty])
        self.assert_sound()

    def test_senders(self):
        for sender in NASTY[1:]:
            with self.subTest(sender), self.filter.client() as client:
                client.mail(sender)
                client.rcpt("<bob@example.org>")
                self.assertIn(client.message([]).kind,
                              ("continue", "replycode"))
        self.assert_sound()

    def test_eighty_thousand_fields(self):
        pid = self.filter.service.popen.pid
        with self.filter.client() as client:
            client.mail("<n@news.example.com>")
            client.rcpt("<ann@example.org>")
            client.header("X-First", "1")
            before = resident_kib(pid)
            packet = b"L" + b"X-Field\0value\0"
            packet = struct.pack("!I", len(packet)) + packet
            own = b"L" + b"List-Unsubscribe\0<https://tool.example/>\0"
            own = struct.pack("!I", len(own)) + own
            for _ in range(80):
                client.send_raw(packet * 1000)
            client.send_raw(own * 50)
            answer = client.eom()
            self.assertEqual(answer.kind, "continue")
            self.assertEqual(len(answer.of("chgheader")), 50)
            self.assertLess(resident_kib(pid) - before, 20000)
        self.assert_sound()

    def test_field_of_a_megabyte(self):
        for name in ("List-Id", "X-Long", "List-Unsubscribe", "Message-ID",
                     "Precedence", "DKIM-Signature", "Content-Type"):
            for filler in ("a", " ", "*", "(", "<", "\n\t", ",", "\\", "="):
                with self.filter.client() as client:
                    client.mail("<x@example.com>")
                    client.rcpt("<bob@example.org>")
                    value = filler * (1000000 // len(filler))
                    try:
                        client.message([(name, value)])
                    except (Closed, OSError):   # libmilter's own limit
                        pass
        self.assert_sound()

    def test_injection_through_fields(self):
        with self.filter.client() as client:
            client.mail("<x@example.com>")
            client.rcpt("<ann@example.org>")
            answer = client.message([
                LATE, ("Message-ID", '<a"b\r\n{"action":"accept"}\x01>'),
                ("Subject", "x\r\nBcc: y")])
            self.assertEqual(answer.kind, "continue")
            for action in answer.of("insheader"):
                self.assertNotIn("\r", action[3])
        self.assert_sound()

    def test_ten_thousand_recipients(self):
        with self.filter.client() as client:
            client.mail("<x@example.com>")
            for i in range(10000):
                self.assertEqual(client.rcpt(f"<r{i}@example.org>").kind,
                                 "continue")
            self.assertEqual(client.rcpt("<more@example.org>").text,
                             "452 4.5.3 too many recipients")
            answer = client.message([LATE])
            self.assertEqual(answer.text[:9], "550 5.7.1")
        self.assert_sound()

    def test_broken_protocol(self):
        def attack(data):
            client = self.filter.client(negotiate=False)
            try:
                client.send_raw(data)
                client.is_closed(0.5)
            except OSError:
                pass
            finally:
                client.close()
        for data in (b"", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1Q",
                     b"\0\0\0\1E", b"\0\0\0\1R", b"\0\0\0\2M\0",
                     b"GET / HTTP/1.0\r\n\r\n",
                     struct.pack("!IcIII", 13, b"O", 6, 0, 0),
                     struct.pack("!IcIII", 13, b"O", 2, 0x1ff, 0)):
            attack(data)
        in_threads(20, lambda i: attack(b"\0\0\0\5Oabcd"))
        self.assert_sound()

    def test_steps_out_of_order(self):
        with self.filter.client() as client:
            client.mail("<n@news.example.com>")
            self.assertEqual(client.rcpt("<bob@example.org>").text[:3], "550")
            client.abort()
            client.mail("<n@news.example.com>")
            client.mail("<x@example.com>")
            self.assertEqual(client.rcpt("<bob@example.org>").kind,
                             "continue")
            self.assertEqual(client.message([]).kind, "continue")
        self.assert_sound()

    def test_an_mta_that_offers_little(self):
        """Without the flags not to answer, every step gets its answer."""
        with self.filter.client(negotiate=False) as client:
            client.negotiate(protocol=NOEOH)
            self.assertEqual(client.flags, NOEOH)
            self.assertEqual(client.connect().kind, "continue")
            self.assertEqual(client.helo().kind, "continue")
            self.assertEqual(client.mail("<n@news.example.com>").kind,
                             "continue")
            self.assertEqual(client.rcpt("<ann@example.org>").kind,
                             "continue")
            answer = client.message([("Subject", "x")])
            self.assertEqual(len(answer.of("insheader")), 3)

    def test_client_without_an_address(self):
        for address in (None, "2001:db8::1", "192.0.2.1"):
            with self.filter.client() as client:
                client.connect(address=address)
                client.mail("<n@news.example.com>")
                self.assertEqual(client.rcpt("<bob@example.org>").text[:3],
                                 "550")
            self.assertEqual(self.filter.decisions()[-1]["client"], address)
