# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Double opt-in: pending people get the confirmation mail and nothing else."""
from rig import Filter, Postfix, Redis, Sink, TestCase, make_message

OPT_IN = [("X-Listmonk-Subscriber", "8f1c"),
          ("List-Unsubscribe", "<https://tool.example.com/u>")]
CAMPAIGN = [("X-Listmonk-Campaign", "77")] + OPT_IN
LISTS = [
    {"id": "weekly", "name": "Weekly news", "double_opt_in": True,
     "list_id": "weekly.news.example.com",
     "match": [{"sender": "*@news.example.com"},
               {"header": "X-Listmonk-Campaign", "value": "*"}],
     "confirmation": [{"sender": "confirm@news.example.com"},
                      {"header": "X-Listmonk-Subscriber",
                       "without": "X-Listmonk-Campaign"}]},
]


class Confirmation(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, lists=LISTS)
        cls.sink = Sink(cls.rig)
        cls.postfix = Postfix(cls.rig, cls.sink, [cls.filter])
        cls.filter.grant("pending@example.org", "full@example.org")
        cls.filter.confirm("full@example.org")
        cls.filter.ctl("object", "objected@example.org")

    def setUp(self):
        self.sink.clear()

    def send(self, sender, recipient, fields=()):
        return self.postfix.send(sender, recipient,
                                 make_message(fields=fields))

    def final(self, sent, recipient):
        reply = sent.rcpt[recipient]
        return reply if reply.code != 250 else sent.end

    def test_by_envelope(self):
        for recipient, code in (("pending@example.org", 250),
                                ("full@example.org", 250),
                                ("unknown@example.org", 250),
                                ("objected@example.org", 550)):
            with self.subTest(recipient):
                sent = self.send("confirm@news.example.com", recipient)
                self.assertEqual(sent.rcpt[recipient].code, code)
        self.postfix.wait_idle()
        for message in self.sink.messages:
            self.assertEqual(message.all("List-Unsubscribe"), [])

    def test_by_header_under_a_sender_rule(self):
        for recipient, code in (("pending@example.org", 250),
                                ("unknown@example.org", 250),
                                ("objected@example.org", 550)):
            with self.subTest(recipient):
                sent = self.send("n@news.example.com", recipient, OPT_IN)
                self.assertEqual(self.final(sent, recipient).code, code)
        self.postfix.wait_idle()
        # no header is touched
        for message in self.sink.messages:
            self.assertEqual(message.one("List-Unsubscribe"),
                             "<https://tool.example.com/u>")

    def test_a_campaign_is_none(self):
        for recipient, code in (("pending@example.org", 550),
                                ("unknown@example.org", 550),
                                ("full@example.org", 250)):
            with self.subTest(recipient):
                for sender in ("n@news.example.com", "x@example.com"):
                    sent = self.send(sender, recipient, CAMPAIGN)
                    self.assertEqual(self.final(sent, recipient).code, code)

    def test_reasons(self):
        sent = self.send("n@news.example.com", "pending@example.org", CAMPAIGN)
        ref = self.assert_refused(sent.end, "pending@example.org")
        entry = self.filter.decision(ref)
        self.assertEqual((entry["reason"], entry["stage"]),
                         ("pending", "eom"))
