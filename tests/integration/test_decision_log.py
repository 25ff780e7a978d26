# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""What auditors read."""
import json
import os
import re

from rig import (Filter, Postfix, Redis, Sink, TestCase, make_message,
                 read_text, verify_chain)

FIELDS = ["time", "host", "ref", "queue_id", "stage", "list", "rule",
          "subject", "recipient", "action", "reason", "sender", "client",
          "auth", "message_id", "reply"]


class DecisionLog(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis,
                            audit={"recipients": "masked"})
        cls.sink = Sink(cls.rig)
        cls.postfix = Postfix(cls.rig, cls.sink, [cls.filter])
        cls.filter.grant("ann@example.org")

    def everything_written(self):
        return "".join(read_text(os.path.join(self.filter.audit_dir, n))
                       for n in os.listdir(self.filter.audit_dir)
                       if n.endswith(".jsonl"))

    def refuse(self, sender, recipient, **options):
        sent = self.postfix.send(sender, recipient, make_message(), **options)
        text = sent.rcpt[recipient]
        self.assertEqual(text.code, 550, text)
        return self.filter.decision(re.search(r"\(ref (\w+)\)",
                                              text).group(1))

    def test_fields(self):
        entry = self.refuse("news@news.example.com", "bob@example.org")
        self.assertEqual([k for k in entry if k in FIELDS], FIELDS)
        self.assertRegex(entry["time"],
                         r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(entry["recipient"], "b***@example.org")
        self.assertEqual(entry["sender"], "news@news.example.com")
        self.assertEqual(entry["client"], "127.0.0.1")
        self.assertIn("550 5.7.1 <b***@example.org> has not opted in",
                      entry["reply"])
        self.assertRegex(entry["subject"], r"^[0-9a-f]{32}$")

    def test_queue_and_message_id(self):
        self.postfix.send("q@example.com", "ann@example.org", make_message(
            fields=[("List-Id", "<weekly.news.example.com>")]))
        entry = self.filter.decisions(sender="q@example.com")[-1]
        self.assertEqual(entry["message_id"], "<rig@news.example.com>")
        self.assertRegex(self.postfix.log(), entry["queue_id"])

    def test_no_address_in_the_log(self):
        self.refuse("verp+secretive=example.org@news.example.com",
                    "secretive@example.org")
        self.refuse("n@news.example.com", '"very secretive"@example.org')
        self.postfix.send("x@example.com", "secretive@example.org",
                          make_message())
        self.assertNotIn("secretive", self.everything_written())
        self.assertNotIn("secretive", self.filter.log())

    def test_hashed(self):
        self.filter.reload(audit={"recipients": "hashed"})
        entry = self.refuse("n@news.example.com", "hash@example.org")
        self.assertEqual(entry["recipient"], entry["subject"])
        self.assertNotIn("hash@", entry["reply"])
        self.filter.reload(audit={"recipients": "masked"})

    def test_every_reason_looks_the_same_outside(self):
        people = {"no-consent": "none@example.org",
                  "withdrawn": "withdrawn@example.org",
                  "objected": "objected@example.org"}
        self.filter.grant(people["withdrawn"], people["objected"])
        self.filter.withdraw(people["withdrawn"])
        self.filter.ctl("object", people["objected"])
        for reason, address in people.items():
            with self.subTest(reason):
                sent = self.postfix.send("n@news.example.com", address,
                                         make_message())
                ref = self.assert_refused(sent.rcpt[address], address)
                self.assertEqual(self.filter.decision(ref)["reason"], reason)

    def test_log_command_finds_it(self):
        entry = self.refuse("n@news.example.com", "find@example.org")
        found = json.loads(self.filter.ctl(
            "log", "--ref", entry["ref"], "--json").stdout)
        found = found if isinstance(found, list) else found["decisions"]
        self.assertEqual([e["ref"] for e in found], [entry["ref"]])
        found = json.loads(self.filter.ctl(
            "log", "--address", "FIND@example.org", "--action", "reject",
            "--json").stdout)
        found = found if isinstance(found, list) else found["decisions"]
        self.assertEqual([e["ref"] for e in found], [entry["ref"]])

    def test_chain(self):
        self.refuse("n@news.example.com", "sooner@example.org")
        self.filter.stop()
        self.assertGreater(verify_chain(self.filter.audit_dir), 1)
        self.filter.start()
        self.refuse("n@news.example.com", "later@example.org")
        self.filter.stop()
        verify_chain(self.filter.audit_dir)
        self.filter.start()
