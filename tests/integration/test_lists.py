# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""How a message finds its list: by the envelope at MAIL, by header fields at
the end, or not at all."""
from rig import (Filter, Postfix, Redis, Sink, TestCase, UNLISTED,
                 make_message, send)

LISTS = [
    {"id": "weekly", "name": "Weekly news",
     "list_id": "weekly.news.example.com",
     "match": [{"sender": "*@news.example.com"},
               {"header": "List-Id", "value": "*<weekly.news.example.com>*"}]},
    {"id": "shop", "name": "Shop offers",
     "match": [{"sasl_user": "campaigns", "daemon": "ORIGINATING"}]},
    {"id": "garden", "name": "Garden letter",
     "match": [{"client": "192.0.2.0/24"}, {"client": "2001:db8::/32"}]},
    {"id": "mixed", "name": "Mixed",
     "match": [{"sender": "tool@example.com", "header": "X-Campaign",
                "value": "spring*"}]},
]


class Lists(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(
            cls.rig, cls.redis, lists=LISTS,
            exempt=[{"sender": "orders@shop.example.com"},
                    {"header": "X-Order", "value": "*"}])
        cls.sink = Sink(cls.rig)
        cls.postfix = Postfix(cls.rig, cls.sink, [cls.filter])
        cls.filter.grant("ann@example.org")
        cls.filter.grant("sam@example.org", list_id="shop")
        cls.filter.grant("gus@example.org", list_id="garden")
        cls.filter.grant("mia@example.org", list_id="mixed")

    def setUp(self):
        self.sink.clear()

    def test_sender_without_case(self):
        sent = self.postfix.send("Bounce@NEWS.Example.com",
                                 ["ann@example.org", "bob@example.org"],
                                 make_message())
        self.assertEqual(sent.rcpt["ann@example.org"].code, 250)
        ref = self.assert_refused(sent.rcpt["bob@example.org"],
                                  "bob@example.org")
        entry = self.filter.decision(ref)
        self.assertEqual((entry["list"], entry["reason"], entry["stage"]),
                         ("weekly", "no-consent", "rcpt"))
        self.assertEqual(entry["rule"], "weekly:match:1")
        self.postfix.wait_idle()
        self.assertEqual([m.recipients for m in self.sink.messages],
                         [["ann@example.org"]])

    def test_sender_of_another_domain_is_not_the_list(self):
        sent = self.postfix.send("a@news.example.com.evil.test",
                                 "bob@example.org", make_message())
        self.assertTrue(sent.accepted, sent.transcript)

    def test_sasl_user_and_daemon(self):
        sent = send(self.postfix.submission, "x@example.com",
                    ["sam@example.org", "ann@example.org"], make_message(),
                    auth="campaigns")
        self.assertEqual(sent.rcpt["sam@example.org"].code, 250)
        self.assert_refused(sent.rcpt["ann@example.org"], "ann@example.org",
                            "Shop offers")
        sent = send(self.postfix.submission, "x@example.com",
                    "ann@example.org", make_message(), auth="alice")
        self.assertTrue(sent.accepted)

    def test_client_network(self):
        for address, code in (("192.0.2.7", 550), ("192.0.3.7", 250)):
            with self.subTest(address):
                sent = send(self.postfix.xclient, "x@example.com",
                            ["gus@example.org", "bob@example.org"],
                            make_message(), xclient=f"ADDR={address}")
                self.assertEqual(sent.rcpt["gus@example.org"].code, 250)
                self.assertEqual(sent.rcpt["bob@example.org"].code, code)
        for address, kind in (("2001:db8::9", "replycode"),
                              ("2001:db9::9", "continue"),
                              (None, "continue")):
            with self.subTest(address), self.filter.client() as client:
                client.connect(address=address)
                client.mail("<x@example.com>")
                self.assertEqual(client.rcpt("<bob@example.org>").kind, kind)

    def test_header_rule_one_recipient(self):
        message = make_message(fields=[
            ("List-Id", "Weekly\n <WEEKLY.news.example.com>")])
        sent = self.postfix.send("x@example.com", "bob@example.org", message)
        self.assertEqual(sent.rcpt["bob@example.org"].code, 250)
        ref = self.assert_refused(sent.end, "bob@example.org")
        entry = self.filter.decision(ref)
        self.assertEqual((entry["stage"], entry["action"], entry["rule"]),
                         ("eom", "reject", "weekly:match:2"))
        sent = self.postfix.send("x@example.com", "ann@example.org", message)
        self.assertTrue(sent.accepted)
        self.postfix.wait_idle()
        self.sink.messages[0].one("List-Unsubscribe-Post")

    def test_header_rule_several_recipients(self):
        message = make_message(fields=[
            ("List-Id", "<weekly.news.example.com>")])
        sent = self.postfix.send(
            "several@example.com",
            ["bob@example.org", "ann@example.org", "cat@example.org"], message)
        self.assertTrue(sent.accepted)
        self.postfix.wait_idle()
        self.assertEqual([m.recipients for m in self.sink.messages],
                         [["ann@example.org"]])
        # the link is personal: Ann is the only one who gets it
        self.sink.messages[0].one("List-Unsubscribe-Post")
        actions = {e["recipient"]: (e["action"], e["reason"]) for e in
                   self.filter.decisions(sender="several@example.com")}
        self.assertEqual(actions, {
            "ann@example.org": ("accept", "granted"),
            "bob@example.org": ("remove", "no-consent"),
            "cat@example.org": ("remove", "no-consent")})

    def test_header_rule_nobody_left(self):
        message = make_message(fields=[
            ("List-Id", "<weekly.news.example.com>")])
        sent = self.postfix.send("nobody@example.com",
                                 ["bob@example.org", "cat@example.org"],
                                 message)
        self.assertRegex(sent.end, r"^550 5\.7\.1 <bob@example\.org>, like 1 "
                         r"other, has not opted in to .Weekly news. \(ref ")
        self.assertEqual(
            {e["action"] for e in
             self.filter.decisions(sender="nobody@example.com")}, {"reject"})
        self.postfix.wait_idle()
        self.assertEqual(self.sink.messages, [])

    def test_envelope_and_header_in_one_rule(self):
        for fields, code in ((("X-Campaign", "Spring-2"), 550),
                             (("X-Campaign", "autumn"), 550),
                             (("X-Other", "spring"), 250)):
            sent = self.postfix.send("tool@example.com", "bob@example.org",
                                     make_message(fields=[fields]))
            with self.subTest(fields):
                self.assertEqual(sent.end.code, code)
        sent = self.postfix.send("tool@example.com", "mia@example.org",
                                 make_message(fields=[
                                     ("X-Campaign", "spring")]))
        self.assertTrue(sent.accepted)

    def test_unlisted_bulk(self):
        for name, value in (("Precedence", "bulk"), ("precedence", "LIST"),
                            ("List-Unsubscribe", "<https://x.example/1>"),
                            ("Feedback-ID", "a:b:c:sender"),
                            ("X-Listmonk-Campaign", "1"),
                            ("List-Id", "<other.example.com>")):
            with self.subTest(name):
                sent = self.postfix.send(
                    "x@example.com", "bob@example.org",
                    make_message(fields=[(name, value)]))
                ref = self.assert_reply(sent.end, UNLISTED).group(1)
                entry = self.filter.decision(ref)
                self.assertEqual(entry["reason"], "unlisted-bulk")
                self.assertEqual(entry["rule"].lower(),
                                 f"bulk:{name.lower()}")

    def test_transactional_is_untouched(self):
        message = make_message(sender="shop@example.com",
                               subject="Your order", body="Thanks.\n")
        sent = self.postfix.send("shop@example.com",
                                 ["bob@example.org", "cat@example.org"],
                                 message)
        self.assertTrue(sent.accepted)
        self.postfix.wait_idle()
        got = [m for m in self.sink.messages if "bob@example.org" in
               m.recipients]
        self.assertEqual(got[0].below_received(), message)
        found = self.filter.decisions(sender="shop@example.com")
        self.assertEqual([(e["action"], e["reason"], e["list"]) for e in found],
                         [("accept", "not-bulk", None)] * 2)
        self.assertEqual({e["subject"] for e in found}, {None})

    def test_exempt_by_configuration(self):
        for sender, fields in (("orders@shop.example.com", []),
                               ("x@example.com", [("X-Order", "12")])):
            message = make_message(fields=[
                ("List-Unsubscribe", "<https://x.example/1>")] + fields)
            sent = self.postfix.send(sender, "bob@example.org", message)
            self.assertTrue(sent.accepted, sent.transcript)
        self.postfix.wait_idle()
        for m in self.sink.messages:
            self.assertEqual(m.all("List-Unsubscribe"),
                             ["<https://x.example/1>"])
        self.assertTrue(self.filter.decisions(
            sender="orders@shop.example.com", reason="exempt"))

    def test_never_touched(self):
        bulk = ("Precedence", "bulk")
        cases = {
            "null sender": ("", [("List-Id", "<weekly.news.example.com>")]),
            "auto-replied": ("ann@example.com", [
                bulk, ("Auto-Submitted", "auto-replied (vacation)")]),
            "administration": ("m@example.com", [
                bulk, ("X-List-Administrivia", "yes")]),
        }
        for what, (sender, fields) in cases.items():
            with self.subTest(what):
                message = make_message(fields=fields)
                self.sink.clear()
                sent = self.postfix.send(sender, "bob@example.org", message)
                self.assertTrue(sent.accepted, sent.transcript)
                self.postfix.wait_idle()
                self.assertEqual(self.sink.messages[0].below_received(),
                                 message)
        report = make_message().replace(
            b"text/plain; charset=utf-8",
            b"multipart/report; report-type=disposition-notification;\r\n"
            b"\tboundary=x")
        sent = self.postfix.send("ann@example.com", "bob@example.org",
                                 report.replace(b"\r\n\r\n",
                                                b"\r\nPrecedence: bulk"
                                                b"\r\n\r\n", 1))
        self.assertTrue(sent.accepted)

    def test_auto_replied_frees_no_campaign(self):
        sent = self.postfix.send("x@example.com", "bob@example.org",
                                 make_message(fields=[
                                     ("Auto-Submitted", "auto-replied"),
                                     ("List-Id",
                                      "<weekly.news.example.com>")]))
        self.assert_refused(sent.end, "bob@example.org")
        sent = self.postfix.send("x@example.com", "bob@example.org",
                                 make_message(fields=[
                                     ("Auto-Submitted", "auto-generated"),
                                     ("Precedence", "bulk")]))
        self.assert_reply(sent.end, UNLISTED)

    def test_transactions_do_not_leak(self):
        from rig import Smtp
        with Smtp(self.postfix.smtp) as smtp:
            smtp.mail("n@news.example.com")
            self.assertEqual(smtp.rcpt("bob@example.org").code, 550)
            smtp.command("RSET")
            smtp.mail("x@example.com")
            self.assertEqual(smtp.rcpt("bob@example.org").code, 250)
            smtp.command("EHLO again.example.com")
            smtp.mail("n@news.example.com")
            self.assertEqual(smtp.rcpt("ann@example.org").code, 250)
            self.assertEqual(smtp.rcpt("bob@example.org").code, 550)
            self.assertEqual(smtp.data(make_message()).code, 250)
            smtp.mail("x@example.com")
            self.assertEqual(smtp.rcpt("bob@example.org").code, 250)
            self.assertEqual(smtp.data(make_message()).code, 250)
        self.postfix.wait_idle()
        with_header = [m for m in self.sink.messages
                       if m.all("List-Unsubscribe")]
        self.assertEqual([m.recipients for m in with_header],
                         [["ann@example.org"]])
