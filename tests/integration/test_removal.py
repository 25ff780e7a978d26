# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""No blocked recipient is ever delivered to, whatever the address looks like
and whatever the MTA makes of it: an MTA reports success for the removal of an
address that it does not have."""
from rig import (Filter, Postfix, Redis, Sendmail, Sink, TestCase,
                 make_message, send)

LATE = [("List-Id", "<weekly.news.example.com>")]
BLOCKED = [
    "bob@example.org", "Bob@Example.ORG", "BOB@EXAMPLE.ORG",
    '"bob"@example.org', '"bob smith"@example.org', "bob+tag@example.org",
    '"b\\@b"@example.org', "bob@[192.0.2.1]",
]


class PostfixRemoval(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis)
        cls.sink = Sink(cls.rig)
        cls.postfix = Postfix(
            cls.rig, cls.sink, [cls.filter],
            virtual={"alias@va.example": "bob@example.org",
                     "many@va.example": "bob@example.org, cat@example.org",
                     "ann@va.example": "ann@example.org"},
            canonical={"old@example.org": "bob@example.org"})
        cls.filter.grant("ann@example.org", "ann@va.example")

    def setUp(self):
        self.sink.clear()

    def everyone(self):
        self.postfix.wait_idle()
        return sorted({r for m in self.sink.messages for r in m.recipients})

    def test_forms_of_an_address(self):
        for address in BLOCKED:
            with self.subTest(address):
                self.sink.clear()
                sent = self.postfix.send("x@example.com",
                                         ["ann@example.org", address],
                                         make_message(fields=LATE))
                self.assertTrue(sent.accepted, sent.transcript)
                self.assertEqual(self.everyone(), ["ann@example.org"])

    def test_all_forms_and_duplicates_at_once(self):
        sent = self.postfix.send(
            "x@example.com", ["ann@example.org", *BLOCKED, *BLOCKED,
                              "ann@example.org"], make_message(fields=LATE))
        self.assertTrue(sent.accepted)
        self.assertEqual(self.everyone(), ["ann@example.org"])

    def test_aliases_and_canonical(self):
        sent = self.postfix.send(
            "x@example.com", ["alias@va.example", "many@va.example",
                              "old@example.org", "ann@va.example"],
            make_message(fields=LATE))
        self.assertTrue(sent.accepted)
        self.assertEqual(self.everyone(), ["ann@example.org"])

    def test_smtputf8(self):
        address = "gr\u00fcn@ex\u00e4mple.com"
        sent = self.postfix.send("x@example.com",
                                 ["ann@example.org", address],
                                 make_message(fields=LATE),
                                 parameters=" SMTPUTF8")
        self.assertTrue(sent.accepted, sent.transcript)
        self.assertEqual(self.everyone(), ["ann@example.org"])
        # and consent is found whatever form the address has
        self.filter.grant("GR\u00dcN@xn--exmple-cua.com")
        self.sink.clear()
        sent = self.postfix.send("n@news.example.com", address,
                                 make_message(), parameters=" SMTPUTF8")
        self.assertTrue(sent.accepted, sent.transcript)
        self.filter.withdraw("gr\u00fcn@EX\u00c4MPLE.com.")
        sent = self.postfix.send("n@news.example.com", address,
                                 make_message(), parameters=" SMTPUTF8")
        self.assertEqual(sent.rcpt[address].code, 550)
        self.assertTrue(sent.rcpt[address].isascii())

    def test_bare_local_part_belongs_to_the_mta(self):
        sent = self.postfix.send("x@example.com", ["bob", "ann@example.org"],
                                 make_message(fields=LATE))
        self.assertEqual(self.everyone(), ["ann@example.org"])
        self.filter.grant("local@test.invalid")
        sent = self.postfix.send("n@news.example.com", "local",
                                 make_message())
        self.assertEqual(sent.rcpt["local"].code, 250)

    def test_thousand_recipients(self):
        people = [f"p{i}@example.org" for i in range(1000)]
        yes = people[::50]
        self.filter.grant(*yes)
        sent = self.postfix.send("x@example.com", people,
                                 make_message(fields=LATE))
        self.assertTrue(sent.accepted, str(sent.end))
        self.assertEqual(self.everyone(), sorted(yes))

    def test_some_refused_at_rcpt_are_not_in_the_message(self):
        sent = self.postfix.send("n@news.example.com",
                                 ["ann@example.org", *BLOCKED],
                                 make_message())
        self.assertEqual({sent.rcpt[a].code for a in BLOCKED}, {550})
        self.assertEqual(self.everyone(), ["ann@example.org"])


class SendmailRemoval(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis)
        cls.sink = Sink(cls.rig)
        cls.sendmail = Sendmail(cls.rig, cls.sink, [cls.filter])
        cls.filter.grant("ann@example.org")

    def test_forms_of_an_address(self):
        forms = [a for a in BLOCKED if "[" not in a]
        sent = send(self.sendmail.smtp, "x@example.com",
                    ["ann@example.org", *forms], make_message(fields=LATE))
        self.assertTrue(sent.accepted, sent.transcript)
        self.sendmail.wait_idle()
        self.assertEqual(sorted({r for m in self.sink.messages
                                 for r in m.recipients}), ["ann@example.org"])
