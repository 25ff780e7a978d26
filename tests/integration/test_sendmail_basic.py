# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The main job, through Sendmail."""
from rig import Filter, Redis, Sendmail, Sink, TestCase, make_message

SENDER = "news@news.example.com"


class SendmailBasic(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis)
        cls.sink = Sink(cls.rig)
        cls.sendmail = Sendmail(cls.rig, cls.sink, [cls.filter])
        cls.filter.grant("ann@example.org")

    def setUp(self):
        self.sink.clear()

    def tearDown(self):
        self.filter.check_sanitizers()

    def delivered(self, n):
        self.sink.wait(n)
        self.sendmail.wait_idle()
        return self.sink.messages

    def test_each_recipient_gets_an_answer(self):
        sent = self.sendmail.send(SENDER, ["ann@example.org",
                                           "bob@example.org"], make_message())
        self.assertEqual(sent.rcpt["ann@example.org"].code, 250)
        # Sendmail puts the address before the text of a refusal.
        match = self.assert_reply(
            sent.rcpt["bob@example.org"],
            r"550 5\.7\.1 (?:<bob@example\.org>\.\.\. )?"
            r'<bob@example\.org> has not opted in to "Weekly news" '
            r"\(ref (\S+)\)")
        self.assertEqual(self.filter.decision(match.group(1))["reason"],
                         "no-consent")
        got = self.delivered(1)
        self.assertEqual([m.recipients for m in got], [["ann@example.org"]])

    def test_fields_stand_once(self):
        self.sendmail.send(SENDER, "ann@example.org", make_message(fields=[
            ("List-Unsubscribe", "<https://tracker.example/x>"),
            ("List-Unsubscribe", "<https://tracker.example/y>")]))
        mail = self.delivered(1)[0]
        link = self.filter.ctl("token", "--list", "weekly",
                               "ann@example.org").stdout.strip()
        self.assertIn(f"<{link}>", mail.one("List-Unsubscribe"))
        self.assertNotIn("tracker", mail.one("List-Unsubscribe"))
        self.assertEqual(mail.one("List-Unsubscribe-Post"),
                         "List-Unsubscribe=One-Click")
        self.assertNotIn(b"\r\r\n", mail.raw)

    def test_removed_at_the_end_of_the_message(self):
        message = make_message(sender="crm@example.com", fields=[
            ("List-Id", "Weekly <weekly.news.example.com>")])
        sent = self.sendmail.send(
            "crm@example.com", ["bob@example.org", "BOB@Example.org",
                                "ann@example.org"], message)
        self.assertEqual(sent.end.code, 250, sent.end)
        got = self.delivered(1)
        self.assertEqual([m.recipients for m in got], [["ann@example.org"]])

    def test_transactional_mail_and_null_sender_pass_untouched(self):
        for sender in ("shop@example.com", ""):
            self.sink.clear()
            message = make_message(sender="shop@example.com")
            sent = self.sendmail.send(sender, "bob@example.org", message)
            self.assertTrue(sent.accepted, sent.rcpt)
            got = self.delivered(1)
            self.assertEqual(got[0].below_received(), message)
