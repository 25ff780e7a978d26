# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The header fields that leave, byte by byte, and a real signature on them."""
import re

from rig import (Filter, OpenDkim, Postfix, Redis, Sendmail, Sink, TestCase,
                 make_message, send)

GOLDEN = re.compile(
    rb"\r\nList-Id: Weekly news <weekly\.news\.example\.com>\r\n"
    rb"List-Unsubscribe: <https://news\.example\.com/u/[A-Za-z0-9_-]{51}>,\r\n"
    rb" <mailto:u\+[a-z2-7]{61}@news\.example\.com>\r\n"
    rb"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")


class Headers(TestCase):
    mta_class = Postfix

    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis)
        cls.sink = Sink(cls.rig)
        cls.mta = cls.mta_class(cls.rig, cls.sink, [cls.filter])
        cls.filter.grant("ann@example.org", "ben@example.org")

    def setUp(self):
        self.sink.clear()

    def deliver(self, recipient="ann@example.org", fields=()):
        sent = send(self.mta.smtp, "n@news.example.com", recipient,
                    make_message(fields=fields))
        self.assertTrue(sent.accepted, sent.transcript)
        self.mta.wait_idle()
        message = self.sink.messages[-1]
        self.assertTrue(message.head.isascii())
        return message

    def test_exact_bytes(self):
        message = self.deliver()
        self.assertRegex(message.raw, GOLDEN)
        self.assertEqual(len(re.findall(rb"(?im)^list-", message.raw)), 3)

    def test_link_is_the_person_s_own(self):
        links = {}
        for address in ("ann@example.org", "ben@example.org"):
            message = self.deliver(address)
            url = self.filter.ctl("token", "--list", "weekly",
                                  address).stdout.split()[0]
            links[address] = message.one("List-Unsubscribe")
            self.assertIn(f"<{url}>", links[address])
            for form in (b"ann", b"ben"):
                self.assertNotIn(form, message.one(
                    "List-Unsubscribe").encode())
        self.assertEqual(len(set(links.values())), 2)

    def test_existing_are_replaced(self):
        for n in range(4):
            fields = [("List-Unsubscribe", f"<https://tool.example/{i}>")
                      for i in range(n)]
            fields += [("list-unsubscribe-POST", "List-Unsubscribe=One-Click")
                       for _ in range(n)]
            fields += [("List-ID", f"Tool <l{i}.tool.example>")
                       for i in range(n)]
            message = self.deliver(fields=fields)
            with self.subTest(n):
                self.assertIn("news.example.com/u/",
                              message.one("List-Unsubscribe"))
                self.assertEqual(message.one("List-Unsubscribe-Post"),
                                 "List-Unsubscribe=One-Click")
                list_id = message.one("List-Id")
                if n > 0:
                    self.assertEqual(list_id, "Tool <l0.tool.example>")

    def test_twice_through_the_filter(self):
        first = self.deliver()
        again = send(self.mta.smtp, "n@news.example.com", "ann@example.org",
                     first.below_received())
        self.assertTrue(again.accepted)
        self.mta.wait_idle()
        second = self.sink.messages[-1]
        for name in ("List-Unsubscribe", "List-Unsubscribe-Post", "List-Id"):
            self.assertEqual(second.one(name), first.one(name))

    def test_keep(self):
        self.filter.reload(unsubscribe={"existing": "keep"})
        own = [("List-Unsubscribe", "<https://tool.example/1>"),
               ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")]
        message = self.deliver(fields=own)
        self.assertEqual(message.one("List-Unsubscribe"),
                         "<https://tool.example/1>")
        message = self.deliver()
        self.assertIn("news.example.com/u/", message.one("List-Unsubscribe"))
        # what no client can use is not worth keeping
        message = self.deliver(fields=[("List-Unsubscribe", "see below")])
        self.assertIn("news.example.com/u/", message.one("List-Unsubscribe"))
        self.filter.reload(unsubscribe={"existing": "replace"})

    def test_hostile_list_name(self):
        lists = [dict(self.filter.settings["lists"][0],
                      name='News "50% off" <a@b>, Gr\u00fc\u00dfe')]
        old = self.filter.settings["lists"]
        self.filter.reload(lists=lists)
        message = self.deliver()
        self.assertRegex(message.one("List-Id"),
                         r"<weekly\.news\.example\.com>$")
        self.assertEqual(len(re.findall(rb"(?im)^list-", message.raw)), 3)
        sent = send(self.mta.smtp, "n@news.example.com", "100%s@example.org",
                    make_message())
        reply = sent.rcpt["100%s@example.org"]
        self.assertTrue(reply.isascii())
        self.assertIn("<100%s@example.org> has not opted in to", reply)
        self.assertIn("50% off", reply)
        self.filter.reload(lists=old)


class SendmailHeaders(Headers):
    mta_class = Sendmail


class Dkim(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis)
        cls.filter.grant("ann@example.org")

    def deliver(self, **options):
        sink = Sink(self.rig)
        dkim = OpenDkim(self.rig, **options)
        postfix = Postfix(self.rig, sink, [self.filter, dkim])
        sent = postfix.send("n@news.example.com", "ann@example.org",
                            make_message())
        self.assertTrue(sent.accepted, sent.transcript)
        message = sink.wait(1)[0]
        postfix.stop()
        return dkim, message

    def test_shipped_configuration_covers_everything(self):
        # as the guide (README.md) gives it
        dkim, message = self.deliver(options={
            "SignHeaders":
                "*,+List-Unsubscribe,+List-Unsubscribe-Post,+List-Id",
            "OversignHeaders":
                "From,List-Unsubscribe,List-Unsubscribe-Post,List-Id",
            "Canonicalization": "relaxed/relaxed"})
        passed, signed, detail = dkim.verify(message.raw)
        self.assertTrue(passed, detail)
        names = [n.lower() for n in signed]
        for name in ("from", "list-id", "list-unsubscribe",
                     "list-unsubscribe-post"):
            self.assertEqual(names.count(name), 2, signed)
        # a changed link, or a second one on top, breaks it
        changed = message.raw.replace(b"news.example.com/u/",
                                      b"evil.example.com/u/", 1)
        self.assertFalse(dkim.verify(changed)[0])
        for name in (b"List-Unsubscribe", b"List-Unsubscribe-Post",
                     b"List-Id"):
            self.assertFalse(dkim.verify(
                name + b": <https://evil.example.com/>\r\n" +
                message.raw)[0], name)

    def test_stock_configuration_does_not(self):
        dkim, message = self.deliver(options={"SignHeaders": None,
                                              "OversignHeaders": None})
        passed, signed, detail = dkim.verify(message.raw)
        self.assertTrue(passed, detail)
        self.assertNotIn("list-unsubscribe-post",
                         [n.lower() for n in signed])
