# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""A link is personal and a header is not: what happens to messages with
several recipients."""
import copy
import re

from rig import (Filter, Postfix, Redis, Sink, TestCase, WEEKLY, make_message)

PEOPLE = ["ann@example.org", "ben@example.org", "cat@example.org"]


def weekly(multiple):
    entry = copy.deepcopy(WEEKLY)
    entry["multiple_recipients"] = multiple
    return [entry]


class MultipleRecipients(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis)
        cls.sink = Sink(cls.rig)
        cls.postfix = Postfix(cls.rig, cls.sink, [cls.filter])
        cls.filter.grant(*PEOPLE)

    def setUp(self):
        self.sink.clear()

    def token(self, message):
        value = message.one("List-Unsubscribe")
        return re.match(r"<https://news\.example\.com/u/([\w-]{51})>",
                        value).group(1)

    def test_shared(self):
        self.filter.reload(lists=weekly("shared"))
        sent = self.postfix.send("n@news.example.com",
                                 PEOPLE + ["bob@example.org"], make_message())
        self.assertEqual(sent.rcpt["bob@example.org"].code, 550)
        self.assertTrue(sent.accepted)
        self.postfix.wait_idle()
        self.assertEqual(len(self.sink.messages), 1)
        message = self.sink.messages[0]
        self.assertEqual(sorted(message.recipients), PEOPLE)
        self.assertEqual(message.all("List-Unsubscribe-Post"), [])
        # nobody's own link is in it
        for address in PEOPLE:
            url = self.filter.ctl("token", "--list", "weekly",
                                  address).stdout.split()[0]
            self.assertNotEqual(self.token(message)[:30],
                                url.rsplit("/", 1)[1][:30])
        self.filter.wait_log("no personal unsubscribe link")

    def test_shared_same_person_twice(self):
        self.filter.reload(lists=weekly("shared"))
        self.postfix.send("n@news.example.com",
                          ["ann@example.org", "ANN@Example.org"],
                          make_message())
        self.postfix.wait_idle()
        for message in self.sink.messages:
            message.one("List-Unsubscribe-Post")

    def test_single(self):
        self.filter.reload(lists=weekly("single"))
        sent = self.postfix.send("n@news.example.com", PEOPLE, make_message())
        self.assertEqual(sent.rcpt[PEOPLE[0]].code, 250)
        for address in PEOPLE[1:]:
            self.assertEqual(sent.rcpt[address], '452 4.5.3 one recipient per '
                             'message for "Weekly news"')
        self.postfix.wait_idle()
        self.assertEqual([m.recipients for m in self.sink.messages],
                         [PEOPLE[:1]])
        self.sink.messages[0].one("List-Unsubscribe-Post")

    def test_single_counts_who_was_taken(self):
        self.filter.reload(lists=weekly("single"))
        sent = self.postfix.send("n@news.example.com",
                                 ["bob@example.org"] + PEOPLE[:2],
                                 make_message())
        self.assertEqual([sent.rcpt[a].code for a in
                          ["bob@example.org"] + PEOPLE[:2]], [550, 250, 452])

    def test_reject(self):
        self.filter.reload(lists=weekly("reject"))
        sent = self.postfix.send("n@news.example.com", PEOPLE, make_message())
        self.assertEqual(sent.rcpt[PEOPLE[0]].code, 250)
        for address in PEOPLE[1:]:
            self.assertRegex(sent.rcpt[address], r"^550 5\.5\.3 one recipient "
                             r"per message for \"Weekly news\": .*\(ref \w+\)")

    def test_found_by_header(self):
        message = make_message(fields=[
            ("List-Id", "<weekly.news.example.com>")])
        for multiple in ("single", "reject"):
            with self.subTest(multiple):
                self.filter.reload(lists=weekly(multiple))
                self.sink.clear()
                sent = self.postfix.send("x@example.com", PEOPLE, message)
                self.assertRegex(sent.end, r"^550 5\.5\.3 ")
                # one who may have it is one recipient
                sent = self.postfix.send(
                    "x@example.com", PEOPLE[:1] + ["bob@example.org"], message)
                self.assertTrue(sent.accepted)
                self.postfix.wait_idle()
                self.assertEqual([m.recipients for m in self.sink.messages],
                                 [PEOPLE[:1]])
