# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Rights under attack: erasures that meet, fields that nobody can read, disks
that are full, and documents that somebody reads who knows nothing of us."""
import base64
import copy
import fcntl
import glob
import json
import os
import re
import subprocess
import time

from rig import Filter, Redis, TestCase, WEEKLY, program, read_text, wait_for
from rig.filter import in_threads

LISTS = [copy.deepcopy(WEEKLY),
         {"id": "second", "name": "Second",
          "match": [{"sender": "*@second.example.com"}]}]


class Rights(TestCase):
    """What the classes share."""

    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig, options=cls.redis_options)
        cls.filter = Filter(cls.rig, cls.redis, lists=LISTS)
        cls.ledger = os.path.join(cls.filter.audit_dir, "ledger")

    redis_options = ()

    def ctl(self, *args, code=0, filter_=None, **options):
        done = (filter_ or self.filter).ctl(*args, check=False, **options)
        self.assertEqual(done.returncode, code,
                         f"{args}: {done.stdout}{done.stderr}")
        return done

    def check(self, address, list_id="weekly", filter_=None):
        return (filter_ or self.filter).ctl(
            "check", "--list", list_id, address, check=False).stdout.strip()

    def subject(self, address):
        return json.loads(self.ctl("show", "--json", address).stdout)[
            "subject"]

    def mail(self, *recipients, sender="n@news.example.com"):
        with self.filter.client() as client:
            client.connect()
            client.helo()
            client.mail(f"<{sender}>")
            return [client.rcpt(f"<{r}>") for r in recipients]

    def blanked(self):
        told = json.loads(self.ctl("verify", "--json").stdout)
        self.assertTrue(told["good"])
        return [j["blanked"] for j in told["journals"]]


class Erasing(Rights):
    redis_options = ("appendonly yes", 'save "3600 1"')

    def test_several_at_once(self):
        """Processes that erase different and the same people: each entry is
        blanked once, counted once, and announced."""
        people = [f"many{i}@example.org" for i in range(6)]
        for a in people:
            self.filter.grant(a, source="form")
            self.filter.grant(a, list_id="second")
            self.mail(a)
        before = self.blanked()

        def erase(i):
            return json.loads(self.ctl(
                "erase", "--json", people[i],
                people[(i * 3 + 1) % 6]).stdout)
        receipts = in_threads(6, erase)
        after = self.blanked()
        for n, name in enumerate(("ledger_entries_blanked",
                                  "decisions_blanked")):
            self.assertEqual(sum(r[name] for r in receipts),
                             after[n] - before[n], name)
        for a in people:
            self.assertEqual(self.check(a), "erased")
            self.assertEqual(self.check(a, "second"), "erased")
            events = json.loads(self.ctl("export", a).stdout)["events"]
            self.assertEqual([e["event"] for e in events], ["erase"])
        self.redis.call("FLUSHALL")
        self.ctl("rebuild")
        for a in people:
            self.assertEqual(self.check(a), "erased")

    def test_erasing_waits_its_turn(self):
        a = "turn@example.org"
        self.filter.grant(a)
        self.ctl("erase", "first-makes-the-file@example.org")
        before = self.blanked()
        with open(os.path.join(self.ledger, ".erasing.lock"), "rb") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            process = subprocess.Popen(
                [program("consentctl"), "-c", self.filter.config_path,
                 "erase", a], stdout=subprocess.DEVNULL)
            # The event does not wait: the person is blocked at once.
            wait_for(lambda: self.check(a) == "erased", text="the event")
            time.sleep(1)
            self.assertIsNone(process.poll())
            self.assertEqual(self.blanked(), before)
        self.assertEqual(process.wait(30), 0)
        self.assertGreater(self.blanked()[0], before[0])

    def files(self):
        """path -> bytes, of all that is kept about people."""
        found = {}
        for top in (self.filter.dir, self.redis.dir):
            for path in glob.glob(os.path.join(top, "**"), recursive=True,
                                  include_hidden=True):
                if os.path.isfile(path) and not path.endswith(".log"):
                    with open(path, "rb") as f:
                        found[path] = f.read()
        return found

    def settled(self):
        info = self.redis.call("INFO", "persistence")
        return (b"rdb_bgsave_in_progress:0" in info and
                b"aof_rewrite_in_progress:0" in info and
                b"aof_rewrite_scheduled:0" in info)

    def test_no_form_is_left(self):
        a = "Find.Me-Everywhere@xn--bcher-kva.example"
        subject = self.subject(a)
        self.ctl("grant", "--list", "weekly", "--source", "trace-of-a-form",
                 "--guardian", "Trace Guardian", "--ip", "198.51.100.77",
                 "--purpose", "trace purpose", a)
        self.ctl("confirm", "--list", "weekly", a)
        self.ctl("withdraw", "--list", "second", a)
        self.ctl("object", "--profiling", a)
        self.mail(a)
        csv_path = os.path.join(self.filter.dir, "in.csv")
        with open(csv_path, "w") as f:
            f.write(f"address,list,at,source\n{a},weekly,"
                    "2026-01-05T09:00:00Z,trace-of-an-import\n")
        self.ctl("import", csv_path)
        os.unlink(csv_path)
        self.redis.call("SAVE")
        raw = bytes.fromhex(subject)
        traces = [b"find.me", b"Find.Me", b"bcher-kva", b"b\xc3\xbccher",
                  b"trace-of-a-form", b"trace-of-an-import", b"Trace",
                  b"trace%20purpose", b"trace purpose", b"198.51.100",
                  base64.b64encode(raw).rstrip(b"=")[:-1],
                  base64.urlsafe_b64encode(raw).rstrip(b"=")[:-1], raw]
        before = self.files()
        self.assertTrue(any(b"trace-of-a-form" in d
                            for d in before.values()))
        self.ctl("erase", a)
        wait_for(self.settled, text="Redis has rewritten its files")
        for path, data in self.files().items():
            for trace in traces:
                self.assertEqual(data.lower().count(trace.lower()), 0,
                                 (path, trace))
            # The suppression, and nothing else.
            if subject.encode() in data:
                self.assertRegex(os.path.basename(path),
                                 r"^(ledger-|appendonly|dump)")
        entries = [json.loads(line) for path in glob.glob(
            os.path.join(self.ledger, "ledger-*.jsonl"))
            for line in read_text(path).splitlines() if subject in line]
        self.assertEqual([(e["type"], e["event"]) for e in entries],
                         [("event", "erase")])
        self.assertEqual(set(entries[0]) - {"salt", "digest", "chain"},
                         {"seq", "type", "time", "event", "subject", "at",
                          "actor"})
        fields = self.redis.call("HGETALL", "c:" + subject)
        self.assertEqual(fields[0], b"*")
        self.assertRegex(fields[1].decode(), r"^e\d+$")
        self.assertEqual(len(fields), 2)

    def test_unreadable_field(self):
        """A field that nobody can read does not keep the person there, nor
        others out."""
        a, b = "unreadable@example.org", "innocent@example.org"
        self.filter.grant(a, b, source="damaged-form")
        self.filter.grant(a, list_id="second", source="other-form")
        key = "c:" + self.subject(a)
        self.redis.call("HSET", key, "weekly", "rubbish about a person")
        self.redis.call("HSET", key, "weekly.e", "more rubbish")
        self.ctl("erase", a)
        fields = self.redis.call("HGETALL", key)
        self.assertEqual(fields[::2], [b"*"])
        self.assertEqual(self.check(a), "erased")
        self.ctl("withdraw", "--list", "weekly", b)
        self.assertEqual(self.check(b), "withdrawn")

    def test_damage_keeps_nobody_else_out(self):
        a, b = "damaged@example.org", "behind@example.org"
        self.filter.grant(a, b)
        key, other = ("c:" + self.subject(x) for x in (a, b))
        good = self.redis.call("HGET", key, "weekly")
        for damage in (("HSET", key, "weekly", "rubbish"),
                       ("SET", key, "a string")):
            with self.subTest(damage[0]):
                self.redis.call(*damage)
                told = self.ctl("withdraw", "--list", "weekly", a, code=75)
                self.assertIn(key[2:], told.stderr)
                self.assertIn("rebuild --from-start", told.stderr)
                # recorded behind it, and in Redis all the same
                self.ctl("withdraw", "--list", "weekly", b, code=75)
                self.assertIn(b" w", self.redis.call("HGET", other,
                                                     "weekly"))
                self.filter.ctl("grant", "--list", "weekly", b, check=False)
                # mended, and nothing is lost
                self.redis.call("DEL", key)
                self.redis.call("HSET", key, "weekly", good)
                self.ctl("grant", "--list", "second", b)
                self.assertEqual(self.check(a), "withdrawn")
                self.assertEqual(self.check(b), "granted")
