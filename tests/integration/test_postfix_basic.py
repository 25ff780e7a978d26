# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The main job, through Postfix: refusal per recipient, unsubscribe header
fields, and mail that is none of the filter's business."""
import re

from rig import (Filter, Postfix, Redis, Sink, Smtp, TestCase, UNLISTED,
                 UNVERIFIED, make_message, send, wait_for)

SENDER = "news@news.example.com"
UNSUBSCRIBE = re.compile(
    r"<https://news\.example\.com/u/([A-Za-z0-9_-]{51})>,\s*"
    r"<mailto:u\+([a-z2-7]{61})@news\.example\.com>|"
    r"<mailto:u\+([a-z2-7]{61})@news\.example\.com>,\s*"
    r"<https://news\.example\.com/u/([A-Za-z0-9_-]{51})>")


class PostfixBasic(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis)
        cls.sink = Sink(cls.rig)
        cls.postfix = Postfix(cls.rig, cls.sink, [cls.filter])
        cls.filter.grant("ann@example.org", "amy@example.org")
        cls.filter.grant("wes@example.org", at="2026-01-05T10:00:00Z")
        cls.filter.withdraw("wes@example.org")

    def setUp(self):
        self.sink.clear()

    def tearDown(self):
        self.filter.check_sanitizers()

    def delivered(self):
        self.postfix.wait_idle()
        return self.sink.messages

    def test_each_recipient_gets_an_answer(self):
        sent = self.postfix.send(
            SENDER, ["ann@example.org", "bob@example.org", "amy@example.org",
                     "wes@example.org"], make_message())
        self.assertEqual(sent.mail.code, 250)
        for address in ("ann@example.org", "amy@example.org"):
            self.assertEqual(sent.rcpt[address].code, 250, sent.rcpt)
        for address, reason in (("bob@example.org", "no-consent"),
                                ("wes@example.org", "withdrawn")):
            ref = self.assert_refused(sent.rcpt[address], address)
            entry = self.filter.decision(ref)
            self.assertEqual(
                (entry["recipient"], entry["reason"], entry["action"],
                 entry["stage"], entry["list"], entry["sender"]),
                (address, reason, "reject", "rcpt", "weekly", SENDER))
        self.assertEqual(sent.end.code, 250)
        got = self.delivered()
        self.assertEqual(sorted(r for m in got for r in m.recipients),
                         ["amy@example.org", "ann@example.org"])

    def test_consenting_recipient_gets_it_once_with_the_fields(self):
        message = make_message()
        sent = self.postfix.send(SENDER, "ann@example.org", message)
        self.assertTrue(sent.accepted, sent.end)
        got = self.delivered()
        self.assertEqual([m.recipients for m in got], [["ann@example.org"]])
        mail = got[0]
        value = mail.one("List-Unsubscribe")
        self.assertRegex(value, f"^(?:{UNSUBSCRIBE.pattern})$")
        self.assertEqual(mail.one("List-Unsubscribe-Post"),
                         "List-Unsubscribe=One-Click")
        self.assertRegex(mail.one("List-Id"),
                         r"<weekly\.news\.example\.com>$")
        # Nothing else has changed.
        ours = (b"list-unsubscribe:", b"list-unsubscribe-post:", b"list-id:")
        rest = [f for f in mail.fields[1:] if not f.lower().startswith(ours)]
        head, _, body = message.partition(b"\r\n\r\n")
        self.assertEqual(b"\r\n".join(rest), head)
        self.assertEqual(mail.body, body)
        self.assertNotIn(b"\r\r\n", mail.raw)

    def test_the_link_is_the_persons_own(self):
        links = []
        for address in ("ann@example.org", "amy@example.org"):
            self.sink.clear()
            self.postfix.send(SENDER, address, make_message(to=address))
            value = self.delivered()[0].one("List-Unsubscribe")
            link = re.search(r"<(https:[^>]*)>", value).group(1)
            # The same URL as consentctl makes.
            self.assertEqual(self.filter.ctl(
                "token", "--list", "weekly", address).stdout.strip(), link)
            links.append(link)
        self.assertNotEqual(*links)

    def test_fields_of_the_sender_are_replaced(self):
        self.postfix.send(SENDER, "ann@example.org", make_message(fields=[
            ("List-Unsubscribe", "<https://tracker.example/x>"),
            ("list-unsubscribe", "<https://tracker.example/y>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
            ("List-Id", "Mine <weekly.news.example.com>")]))
        mail = self.delivered()[0]
        self.assertNotIn("tracker", mail.one("List-Unsubscribe"))
        mail.one("List-Unsubscribe-Post")
        self.assertEqual(mail.one("List-Id"), "Mine <weekly.news.example.com>")

    def test_several_recipients_get_no_personal_link(self):
        self.postfix.send(SENDER, ["ann@example.org", "amy@example.org"],
                          make_message())
        got = self.delivered()
        self.assertGreaterEqual(len(got), 1)
        for mail in got:
            self.assertEqual(mail.all("List-Unsubscribe-Post"), [])
            value = mail.one("List-Unsubscribe")
            for address in ("ann@example.org", "amy@example.org"):
                url = self.filter.ctl("token", "--list", "weekly",
                                      address).stdout.strip()
                self.assertNotIn(url, value)

    def test_transactional_mail_passes_untouched(self):
        for sender, recipient in (("shop@example.com", "bob@example.org"),
                                  ("shop@example.com", "wes@example.org")):
            self.sink.clear()
            message = make_message(sender=sender, to=recipient,
                                   subject="Your order 17",
                                   body="Dots:\n.\n..\nIt is on its way.\n")
            sent = self.postfix.send(sender, recipient, message)
            self.assertTrue(sent.accepted, sent.rcpt)
            got = self.delivered()
            self.assertEqual(len(got), 1)
            self.assertEqual(got[0].below_received(), message)

    def test_null_sender_passes_untouched(self):
        message = make_message(
            sender="mailer-daemon@news.example.com", subject="Undelivered",
            fields=[("Precedence", "bulk"), ("Auto-Submitted",
                                             "auto-replied")])
        sent = self.postfix.send("", "bob@example.org", message)
        self.assertTrue(sent.accepted, (sent.rcpt, sent.end))
        got = self.delivered()
        self.assertEqual([m.sender for m in got], [""])
        self.assertEqual(got[0].below_received(), message)

    def test_list_known_by_login(self):
        sent = self.send_authenticated("campaigns", "bob@example.org")
        self.assert_refused(sent.rcpt["bob@example.org"], "bob@example.org")
        sent = self.send_authenticated("somebody", "bob@example.org")
        self.assertTrue(sent.accepted, sent.rcpt)

    def send_authenticated(self, user, recipient):
        return send(self.postfix.submission, "x@example.com", recipient,
                    make_message(sender="x@example.com"), auth=user)

    def test_list_known_by_header(self):
        fields = [("List-Id", "Weekly <weekly.news.example.com>")]
        message = make_message(sender="crm@example.com", fields=fields)
        sent = self.postfix.send("crm@example.com", "bob@example.org", message)
        self.assertEqual(sent.rcpt["bob@example.org"].code, 250)
        self.assert_refused(sent.end, "bob@example.org")
        # Several: the others get it.
        sent = self.postfix.send("crm@example.com",
                                 ["bob@example.org", "ann@example.org"],
                                 message)
        self.assertTrue(sent.accepted, sent.end)
        got = self.delivered()
        self.assertEqual([m.recipients for m in got], [["ann@example.org"]])
        removed = self.filter.decisions(recipient="bob@example.org",
                                        action="remove", stage="eom")
        self.assertEqual(len(removed), 1)

    def test_sendmail_program(self):
        self.postfix.sendmail(SENDER, ["bob@example.org", "ann@example.org"],
                              make_message())
        self.sink.wait(1)
        got = self.delivered()
        self.assertEqual([m.recipients for m in got], [["ann@example.org"]])

    def test_unlisted_bulk_is_refused(self):
        sent = self.postfix.send(
            "crm@example.com", "ann@example.org",
            make_message(fields=[("Precedence", "bulk")]))
        ref = self.assert_reply(sent.end, UNLISTED).group(1)
        self.assertEqual(self.filter.decision(ref)["reason"], "unlisted-bulk")
        self.assertEqual(self.delivered(), [])

    def test_two_messages_in_one_session(self):
        with Smtp(self.postfix.smtp) as smtp:
            smtp.mail(SENDER)
            self.assert_refused(smtp.rcpt("bob@example.org"),
                                "bob@example.org")
            self.assertEqual(smtp.command("RSET").code, 250)
            smtp.mail("shop@example.com")
            self.assertEqual(smtp.rcpt("bob@example.org").code, 250)
            self.assertEqual(smtp.data(make_message()).code, 250)
            smtp.mail(SENDER)
            self.assertEqual(smtp.rcpt("ann@example.org").code, 250)
            self.assertEqual(smtp.data(make_message()).code, 250)
        first, second = sorted(self.delivered(), key=lambda m: m.sender,
                               reverse=True)
        self.assertEqual(first.all("List-Unsubscribe"), [])
        second.one("List-Unsubscribe")

    def test_mail_log_line(self):
        before = len(self.filter.log())
        self.postfix.send(SENDER, "bob@example.org", make_message())
        self.filter.wait_log(
            r"NOQUEUE: list=weekly, to=<bob@example\.org>, "
            r"action=reject, reason=no-consent, stage=rcpt", since=before)


class StoreDown(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis)
        cls.sink = Sink(cls.rig)
        cls.postfix = Postfix(cls.rig, cls.sink, [cls.filter])
        cls.filter.grant("ann@example.org")

    def test_lists_wait_and_other_mail_passes(self):
        self.redis.kill9()
        sent = self.postfix.send(SENDER, "ann@example.org", make_message())
        ref = self.assert_reply(sent.rcpt["ann@example.org"],
                                UNVERIFIED).group(1)
        self.assertEqual(self.filter.decision(ref)["reason"], "store-failure")
        sent = self.postfix.send("shop@example.com", "ann@example.org",
                                 make_message(sender="shop@example.com"))
        self.assertTrue(sent.accepted)
        # Redis comes back empty; the ledger brings it back.
        self.redis.start()
        wait_for(lambda: self.filter.ctl("rebuild", check=False).returncode
                 == 0, text="consentctl rebuild")
        wait_for(lambda: self.postfix.send(
            SENDER, "ann@example.org", make_message()).accepted,
            text="mail passes again", pause=0.1)


class Masked(TestCase):
    def test_logs_hold_no_address(self):
        """audit.recipients is "masked" unless it is set."""
        redis = Redis(self.rig)
        filter = Filter(self.rig, redis, audit={"recipients": None})
        with filter.client() as client:
            client.connect()
            client.helo()
            client.mail(f"<{SENDER}>")
            answer = client.rcpt("<bob@example.org>")
        self.assert_refused(answer.text, "bob@example.org")
        filter.wait_log(r"NOQUEUE: list=weekly, to=<b\*\*\*@example\.org>, "
                        r"action=reject, reason=no-consent, stage=rcpt")
        entry = filter.decisions()[0]
        self.assertEqual(entry["recipient"], "b***@example.org")
        self.assertNotIn("bob@", filter.log() + str(entry))
