# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Mail given to sendmail(1): Postfix can't refuse one recipient of it."""
from rig import (Filter, Postfix, Redis, Sink, TestCase, make_message,
                 wait_for)


class NonSmtp(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis)
        cls.sink = Sink(cls.rig)
        cls.postfix = Postfix(cls.rig, cls.sink, [cls.filter])
        cls.filter.grant("ann@example.org", "ben@example.org")

    def setUp(self):
        self.sink.clear()

    def delivered(self):
        self.postfix.wait_idle()
        return sorted(r for m in self.sink.messages for r in m.recipients)

    def test_those_without_consent_are_taken_off(self):
        self.postfix.sendmail("n@news.example.com",
                              ["bob@example.org", "ann@example.org"],
                              make_message())
        self.assertEqual(self.delivered(), ["ann@example.org"])
        self.sink.messages[0].one("List-Unsubscribe-Post")
        found = {e["recipient"]: e["action"] for e in
                 self.filter.decisions(sender="n@news.example.com")}
        self.assertEqual(found, {"ann@example.org": "accept",
                                 "bob@example.org": "remove"})

    def test_nobody_left_bounces(self):
        self.postfix.sendmail("only@news.example.com", ["bob@example.org"],
                              make_message())
        # the bounce goes to the sender, and the filter lets it
        self.assertEqual(self.delivered(), ["only@news.example.com"])
        self.assertIn(b"has not opted in to", self.sink.messages[0].raw)
        self.assertEqual(self.sink.messages[0].sender, "")

    def test_transactional(self):
        self.postfix.sendmail("shop@example.com", ["bob@example.org"],
                              make_message(sender="shop@example.com"))
        self.assertEqual(self.delivered(), ["bob@example.org"])
        self.assertEqual(self.sink.messages[0].all("List-Unsubscribe"), [])

    def test_null_sender(self):
        self.postfix.sendmail("<>", ["bob@example.org"], make_message(
            fields=[("List-Id", "<weekly.news.example.com>")]))
        self.assertEqual(self.delivered(), ["bob@example.org"])

    def test_store_down_waits_in_the_maildrop(self):
        self.redis.stop()
        self.postfix.sendmail("w@news.example.com", ["ben@example.org"],
                              make_message())
        self.filter.wait_log("reason=store-failure")
        self.assertEqual(self.sink.messages, [])
        self.redis.start()
        self.filter.ctl("rebuild")
        wait_for(lambda: self.sink.messages, 30, "the message to come through")
        self.assertEqual(self.delivered(), ["ben@example.org"])
