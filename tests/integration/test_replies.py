# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The words of replies that an administrator chose, as a client of Postfix
gets them, for each list."""
import copy
import re

from rig import (Filter, Postfix, Redis, Sink, TestCase, WEEKLY, make_message)

REF = r"([a-z2-7]{13})"


def lists():
    weekly = dict(copy.deepcopy(WEEKLY), name="Wöchentlich {ref} 100%",
                  replies={"no_consent": "{recipient} - {list}; 100%s {{ref} "
                                         "%n }{url} ({ref})"})
    return [weekly,
            {"id": "plain", "name": "Plain", "multiple_recipients": "single",
             "match": [{"sender": "*@plain.example.com"}]}]


class Replies(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(
            cls.rig, cls.redis, lists=lists(),
            web={"url": "https://news.example.com/my/"},
            mail={"from": "news@news.example.com"},
            controller={"name": "Example AB", "email": "p@example.com"},
            audit={"recipients": "masked"},
            replies={"no_consent": "not on {list} ({ref}) {contact}",
                     "second_recipient": "one each for {list} ({ref})",
                     "store_failure": "later, 50% ({ref})",
                     "unlisted_bulk": "what is this ({ref})"})
        cls.sink = Sink(cls.rig)
        cls.postfix = Postfix(cls.rig, cls.sink, [cls.filter])
        cls.filter.grant("ann@example.org", list_id="plain")

    def tearDown(self):
        self.filter.check_sanitizers()

    def refused(self, sender, recipients, pattern):
        """The last recipient gets this reply; its REF."""
        sent = self.postfix.send(sender, recipients, make_message())
        reply = str(sent.rcpt[recipients[-1]])
        self.assertRegex(reply, f"^{pattern}$")
        return re.search(pattern, reply).group(1)

    def test_of_a_list(self):
        ref = self.refused(
            "n@news.example.com", ["bob@example.org"],
            r"550 5\.7\.1 <bob@example\.org> - W\\x\{F6\}chentlich \{ref\} "
            r"100%; 100%s \{ref\} %n \}https://news\.example\.com/my/data "
            rf"\({REF}\)")
        # The log has the reply without the address.
        self.assertIn("<b***@example.org> - W", self.filter.decision(
            ref)["reply"])

    def test_hostile_recipient(self):
        for local in ('"{ref}%n{url}"', "%s%n%%", "{list}", "l" * 64):
            address = f"{local}@{'d' * 60}.{'e' * 60}.example.org"
            sent = self.postfix.send("n@news.example.com", [address],
                                     make_message())
            reply = str(sent.rcpt[address])
            self.assertLessEqual(len(reply), 510)
            self.assertRegex(reply, rf"^550 5\.7\.1 <{re.escape(local)}@d+.*> "
                             rf"- W.*\({REF}\)$")

    def test_of_all_lists(self):
        self.refused("n@plain.example.com", ["bob@example.org"],
                     rf"550 5\.7\.1 not on Plain \({REF}\) p@example\.com")
        self.refused("n@plain.example.com",
                     ["ann@example.org", "bob@example.org"],
                     rf"452 4\.5\.3 one each for Plain \({REF}\)")

    def test_unlisted(self):
        sent = self.postfix.send("n@other.example.com", ["bob@example.org"],
                                 make_message(fields=[
                                     ("Precedence", "bulk")]))
        self.assertRegex(str(sent.end),
                         rf"^550 5\.7\.1 what is this \({REF}\)$")

    def test_store_failure(self):
        self.redis.stop()
        try:
            self.refused("n@news.example.com", ["ann@example.org"],
                         rf"451 4\.4\.3 later, 50% \({REF}\)")
        finally:
            self.redis.start()
        self.filter.wait_store()
