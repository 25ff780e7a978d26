# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Rights under attack: erasures that meet, fields that nobody can read, disks
that are full, and documents that somebody reads who knows nothing of us."""
import base64
import copy
import csv
import fcntl
import glob
import io
import json
import os
import re
import subprocess
import time
from random import Random

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


STATES = {"given", "requested", "renewed", "refused", "withdrawn", "expired",
          "terminated", "invalidated", "unknown", "unproven", "objected",
          "restricted"}
EVENT_STATES = {"dpv:ConsentRequested", "dpv:ConsentGiven",
                "dpv:ConsentWithdrawn", "dpv:ConsentUnknown", "eu-gdpr:A21",
                "eu-gdpr:A17", "eu-gdpr:A18"}


class Document(Rights):
    """An export in the hands of somebody who has spec.md and nothing else."""

    lists = LISTS + [
        {"id": "health", "name": "Health", "special_category": True,
         "max_age": "24 months", "double_opt_in": True,
         "match": [{"sender": "*@health.example.com"}]},
        {"id": "ended", "name": "Ended",
         "match": [{"sender": "*@ended.example.com"}]}]

    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = cls.installation(cls.redis)

    @classmethod
    def installation(cls, redis, **settings):
        return Filter(cls.rig, redis, start=False, lists=cls.lists,
                      controller={"dpo": "dpo@example.com",
                                  "recipients": "Mailings GmbH",
                                  "transfers": "none",
                                  "authority": "IMY"}, **settings)

    def people(self):
        """address -> what is done to it, in each state that there is."""
        grant = ("grant", "--list", "weekly", "--source", "shop")
        return {
            "d-granted@example.org": [grant],
            "d-unproven@example.org": [
                ("grant", "--list", "weekly", "--method", "pre-ticked")],
            "d-pending@example.org": [
                ("grant", "--list", "health", "--basis",
                 "explicit-consent")],
            "d-confirmed@example.org": [
                ("grant", "--list", "health", "--basis",
                 "explicit-consent", "--language", "de-CH",
                 "--jurisdiction", "ch", "--guardian", "Mother"),
                ("confirm", "--list", "health")],
            "d-expired@example.org": [
                ("grant", "--list", "health", "--basis",
                 "explicit-consent", "--at", "2019-01-05"),
                ("confirm", "--list", "health", "--at", "2019-01-06")],
            "d-withdrawn@example.org": [
                grant, ("withdraw", "--list", "weekly")],
            "d-all@example.org": [grant, ("withdraw", "--all")],
            "d-objected@example.org": [grant, ("object",)],
            "d-profiling@example.org": [grant, ("object", "--profiling")],
            "d-lifted@example.org": [
                grant, ("object", "--profiling"),
                ("object", "--profiling", "--lift")],
            "d-restricted@example.org": [grant, ("restrict",)],
            "d-unrestricted@example.org": [grant, ("restrict",),
                                           ("unrestrict",)],
            "d-erased@example.org": [grant, ("erase",)],
            "d-back@example.org": [grant, ("erase",), grant],
            "d-ended@example.org": [
                ("grant", "--list", "ended", "--source", "old-form",
                 "--method", "paper")],
            "d-ended-out@example.org": [
                ("grant", "--list", "ended"),
                ("withdraw", "--list", "ended")],
            "d-nobody@example.org": [],
        }

    def do(self, address, steps):
        for step in steps:
            self.ctl(*step, address)
            time.sleep(0.002)

    def answers(self, address, filter_=None):
        filter_ = filter_ or self.filter
        shown = json.loads(filter_.ctl("show", "--json", address).stdout)
        return [l["reason"] for l in shown["lists"]] + [filter_.ctl(
            "check", "--profiling", address, check=False).stdout.strip()]

    def test_round_trip_over_all_states(self):
        """Into an empty installation with other keys: the same answers; and
        what that exports is the same again."""
        other = self.installation(Redis(self.rig))
        path = os.path.join(other.dir, "export.json")
        seen = set()
        for address, steps in self.people().items():
            with self.subTest(address):
                self.do(address, steps)
                text = self.ctl("export", address).stdout
                with open(path, "w") as f:
                    f.write(text)
                self.ctl("import", path, filter_=other)
                want = self.answers(address)
                self.assertEqual(self.answers(address, other), want)
                seen.update(want)
                again = json.loads(self.ctl("export", address,
                                            filter_=other).stdout)
                told = json.loads(text)
                self.assertNotEqual(again["subject"], told["subject"])
                for document in (told, again):
                    for record in document["records"]:
                        del record["record_id"]
                self.assertEqual(again["records"], told["records"])
                self.assertEqual(
                    [(e["event"], e.get("list"), e["at"])
                     for e in again["events"]],
                    [(e["event"], e.get("list"), e["at"])
                     for e in told["events"]])
        self.assertLessEqual(
            {"granted", "no-consent", "pending", "withdrawn", "expired",
             "objected", "erased", "restricted", "unproven"}, seen)

    def test_document_that_was_touched(self):
        """Refused by file and line; and what can't count is no consent."""
        a = "touched@example.org"
        self.do(a, [("grant", "--list", "weekly", "--method", "web-form",
                     "--ip", "192.0.2.77"),
                    ("withdraw", "--list", "second")])
        text = self.ctl("export", a).stdout
        other = self.installation(Redis(self.rig))
        path = os.path.join(other.dir, "touched.json")

        def import_(changed, code):
            with open(path, "w") as f:
                f.write(changed)
            return self.ctl("import", path, code=code, filter_=other).stderr

        line = 1 + text[:text.index('{"event":"withdraw"')].count("\n")
        for find, put, why in (
                ('"event":"withdraw"', '"event":"bogus"', "event"),
                ('"list":"second"', '"list":"Se cond"', "list"),
                ('"event":"withdraw"', '"event":"withdraw","basis":"x"', ""),
                (re.search('"event":"withdraw".*?"at":"([^"]*)"',
                           text).group(1), "2999-01-01T00:00:00Z",
                 "from the future")):
            with self.subTest(put):
                told = import_(text.replace(find, put), 1)
                self.assertIn(f"touched.json:{line}: event 2 of", told)
                self.assertIn(why, told)
        told = import_(json.dumps(json.loads(text.replace(
            '"event":"withdraw"', '"event":"bogus"')), indent=1), 1)
        at = int(re.search(r"touched\.json:(\d+): event 2", told).group(1))
        with open(path) as f:
            lines = f.read().split("\n")
        self.assertEqual(lines[at - 1].strip(), "{")
        self.assertIn("bogus", lines[at])
        self.assertIn("line", import_(text[:-200], 1))
        self.assertEqual(self.answers(a, other)[0], "no-consent")
        import_(text.replace('"method":"web-form"', '"method":"pre-ticked"'),
                0)
        self.assertEqual(self.answers(a, other)[0], "unproven")
        import_(text, 0)
        self.assertEqual(self.answers(a, other)[0], "granted")
        for path in glob.glob(os.path.join(other.audit_dir, "ledger", "*")):
            self.assertNotIn("192.0.2.77", read_text(path))

    def test_lists_that_have_ended(self):
        a, b = "e-given@example.org", "e-out@example.org"
        self.ctl("grant", "--list", "ended", "--source", "old-form",
                 "--method", "paper", a, b)
        self.ctl("withdraw", "--list", "ended", b)
        without = Filter(self.rig, self.redis, start=False, keygen=False,
                         keys=self.filter.keys_dir, lists=self.lists[:-1],
                         audit={"directory": self.filter.audit_dir})
        [record] = json.loads(self.ctl("export", a,
                                       filter_=without).stdout)["records"]
        self.assertEqual((record["list"], record["state"], record["reason"],
                          record["mail_allowed"]),
                         ("ended", "terminated", "list-ended", False))
        self.assertEqual(record["processing"]["collection_method"],
                         {"method": "paper", "source": "old-form"})
        [record] = json.loads(self.ctl("export", b,
                                       filter_=without).stdout)["records"]
        self.assertEqual((record["state"], record["mail_allowed"]),
                         ("withdrawn", False))
        self.ctl("object", a)
        [record] = json.loads(self.ctl("export", a,
                                       filter_=without).stdout)["records"]
        self.assertEqual(record["state"], "objected")

    def assert_shape(self, told):
        """The names of ISO/IEC TS 27560 as spec.md section 8 has them."""
        time_form = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
        self.assertEqual(told["schema_version"], "cm-27560-1")
        self.assertRegex(told["dct:conformsTo"], "dpv-27560#record-eu-gdpr$")
        self.assertRegex(told["exported_at"], time_form)
        self.assertIn("@", told["pii_principal_id"])
        self.assertIs(told["complete"], True)
        parties = {p["party_id"]: p for p in told["parties"]}
        for name in ("party_role", "party_name", "party_address",
                     "party_contact", "party_type"):
            self.assertTrue(parties["p1"][name], name)
        self.assertEqual({p["party_role"] for p in parties.values()},
                         {"controller", "data protection officer",
                          "recipients", "authority"})
        for r in told["records"]:
            self.assertRegex(r["record_id"], r"^[0-9a-f]{8}-[0-9a-f]{4}-8"
                             r"[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
            self.assertIn(r["state"], STATES)
            self.assertEqual(r["mail_allowed"], r["state"] == "given")
            p = r["processing"]
            for name in ("purpose", "lawful_basis", "pii_information",
                         "withdrawal_method", "service", "retention_period",
                         "pii_controllers",
                         "recipient_third_parties", "authority_party"):
                self.assertTrue(p[name], name)
            self.assertIsInstance(p["collection_method"], dict)
            for party in (*p["pii_controllers"],
                          *p["recipient_third_parties"],
                          p["authority_party"]):
                self.assertIn(party, parties)
            self.assertRegex(p["retention_period"], r"^P\d+[YMD]\b")
            self.assertEqual(p["purpose"][0]["code"], "dpv:DirectMarketing")
            self.assertIs(p["special_pii_category"],
                          p["service"] == "health")
        for e in told["events"]:
            self.assertRegex(e["event_time"], time_form)
            self.assertIn(e["event_state"], EVENT_STATES)
            self.assertRegex(e["event_type"], r"^[a-zA-Z-]+:\w[\w-]*$")
            self.assertIn(e["entity_id"], ("data-subject", "guardian"))
            if e["event"] == "grant" and e["list"] == "health":
                self.assertEqual(e["validity_duration"], "P2Y")
        times = [e["event_time"] for e in told["events"]]
        self.assertEqual(times, sorted(times))

    def test_shape(self):
        for address, steps in self.people().items():
            address = "s" + address
            self.do(address, steps)
            with self.subTest(address):
                told = json.loads(self.ctl("export", address).stdout)
                self.assert_shape(told)
                self.assertEqual(
                    {r["list"] for r in told["records"]},
                    {e["list"] for e in told["events"] if "list" in e})

    def test_csv_in_a_spreadsheet(self):
        """RFC 4180, and nothing that a spreadsheet runs."""
        a = "csv@example.org"
        hostile = ["=1+1", "+1", "-1", "@SUM(1)", '"quoted", and more',
                   "=cmd|' /C calc'!A0"]
        for text in hostile:
            self.ctl("grant", "--list", "weekly", "--source", text,
                     "--purpose", text, a)
            time.sleep(0.002)
        text = self.ctl("export", "--format", "csv", a).stdout
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
        self.assertEqual({len(r) for r in rows}, {len(rows[0])})
        column = rows[0].index("source")
        self.assertEqual([r[column].removeprefix("'") for r in rows[1:]],
                         hostile)
        for row in rows:
            for cell in row:
                self.assertNotIn(cell.lstrip()[:1], ("=", "+", "@"), cell)
                self.assertNotRegex(cell, r"^\s*-")

    def test_ropa_names_who_is_configured(self):
        told = json.loads(self.filter.ctl("ropa", "--json",
                                          check=False).stdout)
        self.assertEqual(told["recipients"]["recipients"], "Mailings GmbH")
        self.assertEqual(told["recipients"]["third_countries"], "none")
        self.assertEqual(told["controller"]["authority"], "IMY")
        lists = {e["list"]: e for e in told["purposes"]["lists"]}
        self.assertRegex(lists["weekly"]["legal_basis"],
                         r"^consent \(GDPR Art\. 6\(1\)\(a\)")
        self.assertNotIn("special_category", lists["weekly"])
        self.assertIn("Art. 9", lists["health"]["special_category"])
        self.assertRegex(lists["health"]["legal_basis"],
                         "^explicit consent .*second step$")
        self.assertEqual(
            {k: told["retention"][k] for k in ("full_ip", "ip", "pending",
                                               "requests")},
            {"full_ip": "6 months", "ip": "36 months", "pending": "90 days",
             "requests": "36 months"})


class Disks(Rights):
    """Disks that are full, read-only or somebody else's: what was acknowledged
    stays, nothing else is said to be, and the message says why."""

    nobody = 65534

    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, start=False, lists=LISTS)
        cls.ledger = os.path.join(cls.filter.audit_dir, "ledger")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k,mode=750",
                        "tmpfs", cls.filter.audit_dir], check=True)
        cls.rig.on_close(lambda: subprocess.run(
            ["umount", "-l", cls.filter.audit_dir], check=False))
        for path in (cls.rig.dir, cls.filter.dir, cls.redis.dir):
            os.chmod(path, 0o755)

    def text(self, name, text):
        path = os.path.join(self.filter.dir, name)
        with open(path, "w") as f:
            f.write(text)
        return path

    def as_nobody(self, *args, code):
        done = subprocess.run(
            ["setpriv", f"--reuid={self.nobody}", f"--regid={self.nobody}",
             "--clear-groups", program("consentctl"), "-c",
             self.filter.config_path, *args], capture_output=True, text=True,
            timeout=60)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def commands(self, n):
        """What records something: (arguments, …), about people n."""
        rows = self.text("in.csv", "address,list,at\n" + "".join(
            f"i{n}-{i}@example.org,weekly,2026-01-05\n" for i in range(5)))
        words = self.text("notice.txt", f"Number {n}\n")
        return [("grant", "--list", "second", f"g{n}@example.org"),
                ("withdraw", "--list", "weekly", f"g{n}@example.org"),
                ("object", f"g{n}@example.org"),
                ("import", rows),
                ("erase", f"g{n}@example.org"),
                ("notice", "add", words, "--id", "n", "--version", str(n),
                 "--language", "en")]

    def set_up(self, n):
        """What is acknowledged before it goes wrong."""
        self.filter.grant(f"g{n}@example.org", f"x{n}@example.org")
        self.filter.withdraw(f"x{n}@example.org")
        self.ctl("notice", "add", self.text("first.txt", "First\n"), "--id",
                 "first", "--version", "1", "--language", "en")
        return self.journal()

    def journal(self):
        return "".join(read_text(p) for p in sorted(glob.glob(
            os.path.join(self.ledger, "ledger-*.jsonl"))))

    def assert_nothing_lost(self, before, n):
        self.assertTrue(self.journal().startswith(before))
        self.ctl("verify")
        self.assertEqual(self.check(f"x{n}@example.org"), "withdrawn")
        self.redis.call("FLUSHALL")
        self.ctl("rebuild")
        self.assertEqual(self.check(f"x{n}@example.org"), "withdrawn")
        self.assertIn("First", self.ctl("notice", "show", "first", "1",
                                        "en").stdout)
        for args in self.commands(n):
            self.ctl(*args)
        self.assertEqual(self.check(f"g{n}@example.org"), "erased")

    def test_read_only(self):
        before = self.set_up(1)
        subprocess.run(["mount", "-o", "remount,ro", self.filter.audit_dir],
                       check=True)
        try:
            for args in (*self.commands(1), ("rebuild",),
                         ("erase", "--replay")):
                with self.subTest(args[0]):
                    told = self.ctl(*args, code=75)
                    self.assertIn("Read-only file system", told.stderr)
            # who only reads is not kept from it
            told = json.loads(self.ctl("export", "g1@example.org").stdout)
            self.assertTrue(told["complete"])
            self.ctl("stale")
            self.ctl("notice", "list")
            self.assertEqual(self.check("x1@example.org"), "withdrawn")
        finally:
            subprocess.run(["mount", "-o", "remount,rw",
                            self.filter.audit_dir], check=True)
        self.assertEqual(self.journal(), before)
        self.assert_nothing_lost(before, 1)

    def test_full(self):
        before = self.set_up(2)
        ballast = os.path.join(self.filter.audit_dir, "ballast")
        fd = os.open(ballast, os.O_WRONLY | os.O_CREAT)
        try:
            while True:
                os.write(fd, bytes(4096))
        except OSError:
            os.close(fd)
        recorded = []
        try:
            for i in range(40):
                a = f"full{i}@example.org"
                done = self.filter.ctl("withdraw", "--list", "weekly", a,
                                       check=False)
                self.assertEqual(done.returncode, 75, done.stderr)
                self.assertIn("No space left on device", done.stderr)
                if "nothing is recorded" in done.stderr:
                    break
                self.assertIn("recorded on disk", done.stderr)
                recorded.append(a)
            for args in (*self.commands(2), ("rebuild",),
                         ("erase", "--replay")):
                with self.subTest(args[0]):
                    told = self.ctl(*args, code=75)
                    self.assertIn("No space left on device", told.stderr)
            told = json.loads(self.ctl("export", "g2@example.org").stdout)
            self.assertTrue(told["complete"])
        finally:
            os.unlink(ballast)
        for a in recorded:
            self.assertEqual(self.check(a), "withdrawn")
        self.assert_nothing_lost(before, 2)

    def test_no_permission(self):
        before = self.set_up(3)
        # Nobody may read keys, and nothing else.
        for path in glob.glob(os.path.join(self.filter.keys_dir, "*")):
            os.chown(path, self.nobody, self.nobody)
        os.chmod(self.filter.keys_dir, 0o755)
        try:
            for args in (*self.commands(3), ("rebuild",),
                         ("erase", "--replay"), ("erase", "--list"),
                         ("notice", "list"),
                         ("notice", "show", "first", "1", "en"),
                         ("grant", "--list", "weekly", "--notice", "first 1",
                          "--language", "en", "y3@example.org")):
                with self.subTest(args):
                    told = self.as_nobody(*args, code=77)
                    self.assertIn("Permission denied", told.stderr)
            told = self.as_nobody("export", "g3@example.org", code=69)
            self.assertFalse(json.loads(told.stdout)["complete"])
            self.assertIn("Permission denied", told.stderr)
        finally:
            for path in glob.glob(os.path.join(self.filter.keys_dir, "*")):
                os.chown(path, 0, 0)
            os.chmod(self.filter.keys_dir, 0o750)
        self.assertEqual(self.journal(), before)
        self.assert_nothing_lost(before, 3)

    def test_garbage_in_the_journals(self):
        """Told with file and line by whoever reads, and in nobody's way."""
        self.set_up(5)
        self.filter.grant("later5@example.org")
        junk = {"NUL bytes": bytes(300) + b"\n",
                "half an entry": b'{"seq":9,"type":"event","event":"gra\n',
                "no UTF-8": b'{"seq":9,"type":"event","x":"\xff\xfe"}\n',
                "a huge line": b"x" * 200000 + b"\n"}
        log = os.path.join(self.filter.audit_dir,
                           "decisions-20260101-000001.jsonl")
        path = glob.glob(os.path.join(self.ledger, "ledger-*.jsonl"))[0]
        with open(path, "rb") as f:
            good = f.read()
        first, rest = good.split(b"\n", 1)
        for what, text in junk.items():
            with self.subTest(what):
                for name, content in ((path, first + b"\n" + text + rest),
                                      (log, text)):
                    with open(name, "wb") as f:
                        f.write(content)
                told = self.ctl("verify", code=1).stdout
                self.assertRegex(told, r"BAD  ledger ledger-\S+:2: ")
                self.assertRegex(told, r"BAD  decisions decisions-\S+:1: ")
                told = self.ctl("log", code=65).stderr
                self.assertIn(f"{log}:1: ", told)
                told = self.ctl("report", code=1).stderr
                self.assertRegex(told, r"\.jsonl:\d+: ")
                told = self.ctl("prune", "--dry-run").stderr
                self.assertIn(f"{path}:2: ", told)
                told = self.ctl("rebuild", code=65)
                self.assertIn(f"{path}:2: ", told.stderr)
                self.assertEqual(self.check("x5@example.org"), "withdrawn")
                self.assertEqual(self.check("later5@example.org"), "granted")
        with open(path, "wb") as f:
            f.write(good)
        os.unlink(log)
        self.ctl("verify")

    def test_index_of_notices_was_torn(self):
        """Half a line, of a machine that went down, does not need a person."""
        path = self.text("torn.txt", "Torn\n")
        self.set_up(4)
        index = os.path.join(self.filter.audit_dir, "notices", "index.jsonl")
        whole = read_text(index)
        for half in ('{"id":"to', "{", whole.splitlines()[0]):
            with self.subTest(half), open(index, "w") as f:
                f.write(whole + half)
            self.ctl("notice", "list")
            self.ctl("notice", "add", path, "--id", "torn", "--version",
                     str(len(half)), "--language", "en")
            self.assertTrue(read_text(index).startswith(whole + "{"))
            shown = self.ctl("notice", "show", "torn", str(len(half)), "en")
            self.assertEqual(shown.stdout, "Torn\n")

    def test_lost_words_can_be_brought_back(self):
        """By adding the same again, and by nothing else."""
        path = self.text("lost.txt", "Lost\n")
        args = ("--id", "lost", "--version", "1", "--language", "en")
        digest = self.ctl("notice", "add", path, *args).stdout.split()[0]
        kept = os.path.join(self.filter.audit_dir, "notices",
                            f"{digest}.txt")
        for damage in (lambda: os.unlink(kept),
                       lambda: self.text(kept, "Changed\n")):
            damage()
            self.assertNotEqual(self.filter.ctl(
                "notice", "show", digest, check=False).returncode, 0)
            self.ctl("notice", "add", self.text("x.txt", "Other\n"), *args,
                     code=1)
            self.ctl("notice", "add", path, *args)
            self.assertEqual(self.ctl("notice", "show", digest).stdout,
                             "Lost\n")
        told = self.ctl("notice", "add", path, *args)
        self.assertIn("stored already", told.stdout)


class Rebuilding(Rights):
    """Random histories on several hosts, rebuilt into an empty and into a
    stale Redis, and killed on the way: record by record as before."""

    hosts, people, events = 3, 6, 400
    kinds = {"grant": "g", "confirm": "c", "withdraw": "w", "unproven": "u",
             "withdraw-all": "w", "object": "o", "erase": "e",
             "restrict": "r", "unrestrict": "l", "object-profiling": "p",
             "allow-profiling": "a"}
    on_list = ("grant", "confirm", "withdraw", "unproven")

    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, start=False, lists=LISTS)
        cls.others = [Filter(cls.rig, cls.redis, start=False, lists=LISTS,
                             keygen=False, keys=cls.filter.keys_dir)
                      for _ in range(cls.hosts - 1)]
        cls.ledgers = [os.path.join(f.audit_dir, "ledger")
                       for f in cls.others]

    def history(self, random):
        """Times from a short range, so that equal ones are common."""
        for _ in range(self.events):
            kind = random.choice(list(self.kinds))
            if kind == "erase" and random.random() < 0.7:
                continue
            ms = 1767603600000 + 1000 * random.randrange(200)
            event = {"event": kind.removesuffix("-all"), "subject": "0" * 32,
                     "at": time.strftime("%Y-%m-%dT%H:%M:%S.000Z",
                                         time.gmtime(ms // 1000))}
            if kind in self.on_list:
                event["list"] = random.choice(("weekly", "second", "gone"))
            if kind == "grant" and random.random() < 0.8:
                event["source"] = f"form{random.randrange(9)}"
            yield kind, ms, event

    def model(self, told):
        """What Redis has to hold of a person, from nothing but the words of
        consent/record.h."""
        erased = max([ms for kind, ms, _ in told if kind == "erase"],
                     default=0)
        fields = {}
        for kind, ms, event in told:
            if ms <= erased and kind != "erase":
                continue
            name, letter = event.get("list", "*"), self.kinds[kind]
            times = fields.setdefault(name, {})
            times[letter] = max(times.get(letter, 0), ms)
            if event.get("source"):
                e = fields.setdefault(name + ".e", {})
                e["e"] = max(e.get("e", ""),
                             f"g{ms} source={event['source']}")
        return {name.encode(): (times["e"] if name.endswith(".e") else
                                " ".join(f"{l}{times[l]}" for l in
                                         ("gcwu" if name != "*" else
                                          "woerlpa") if l in times)).encode()
                for name, times in fields.items()}

    def state(self):
        found = {}
        for key in self.redis.call("KEYS", "c:*"):
            if key != b"c:applied":
                flat = self.redis.call("HGETALL", key)
                found[key] = dict(zip(flat[::2], flat[1::2]))
        return found

    def import_all(self, random, told, n):
        """n documents of random people, each into a random host's ledger."""
        for _ in range(n):
            who = random.randrange(self.people)
            events = list(self.history(random))
            document = {"schema_version": "cm-27560-1",
                        "pii_principal_id": f"p{who}@example.org",
                        "events": [e for _, _, e in events]}
            host = random.choice([self.filter, *self.others])
            path = os.path.join(host.dir, "history.json")
            with open(path, "w") as f:
                json.dump(document, f)
            self.ctl("import", path, filter_=host)
            told.setdefault(who, []).extend(events)

    def rebuild_killed(self, random):
        """Killed some times at any point, then left in peace."""
        for _ in range(random.randrange(1, 5)):
            process = subprocess.Popen(
                [program("consentctl"), "-c", self.filter.config_path,
                 "rebuild", *random.sample(self.ledgers,
                                           len(self.ledgers))],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(random.random() * 0.5)
            process.kill()
            process.wait()
            if random.random() < 0.2:
                self.redis.call("FLUSHALL")
        self.ctl("rebuild", *random.sample(self.ledgers, len(self.ledgers)))

    def test_random_histories(self):
        seed = int(os.environ.get("SEED", 20260125))
        random = Random(seed)
        told = {}
        keys = {who: b"c:" + self.subject(f"p{who}@example.org").encode()
                for who in range(self.people)}
        self.import_all(random, told, 8)
        self.redis.call("SAVE")
        stale = {key: self.redis.call("DUMP", key)
                 for key in self.redis.call("KEYS", "*")}
        self.import_all(random, told, 8)
        want = {keys[who]: self.model(events)
                for who, events in told.items()}
        self.assertEqual(self.state(), want, f"SEED={seed}")
        for round_ in range(6):
            with self.subTest(seed=seed, round=round_):
                self.redis.call("FLUSHALL")
                if round_ % 2 == 1:
                    for key, data in stale.items():
                        self.redis.call("RESTORE", key, 0, data)
                self.rebuild_killed(random)
                self.assertEqual(self.state(), want)


class ClockAhead(Rights):
    """Another host's clock, or ours until somebody set it back, was ahead when
    the opt-in was recorded: whoever opts out now is out all the same."""

    def opt_in_ahead(self, address, ahead_sec, list_id="weekly"):
        """As a ledger has it whose host was that far ahead."""
        at = time.time() + ahead_sec
        self.redis.call("HSET", "c:" + self.subject(address), list_id,
                        f"g{int(at * 1000)}")

    def out_for_ever(self, address, list_id="weekly"):
        """Nothing lets them in later, when the clock has come that far."""
        fields = self.redis.call("HGETALL", "c:" + self.subject(address))
        fields = dict(zip(fields[::2], fields[1::2]))

        def latest(name, letters):
            return max([int(w[1:]) for w in fields.get(name, b"").decode()
                        .split() if w[0] in letters], default=0)
        out = max(latest(list_id.encode(), "w"), latest(b"*", "woe"))
        self.assertLessEqual(latest(list_id.encode(), "g"), out)
        self.assertNotEqual(self.check(address, list_id), "granted")

    def test_each_way_out(self):
        url = self.filter.settings["unsubscribe"]["mailto"]
        for i, ahead in enumerate((120, 86400)):
            for j, way in enumerate((
                    ("withdraw", "--list", "weekly"), ("withdraw", "--all"),
                    ("object",), ("erase",), ("mail",))):
                a = f"ahead{i}-{j}@example.org"
                with self.subTest(ahead=ahead, way=way):
                    self.opt_in_ahead(a, ahead)
                    self.opt_in_ahead(a, ahead - 60, "second")
                    if way[0] == "mail":
                        to = self.ctl("token", "--list", "weekly",
                                      "--mailto", a).stdout.strip()
                        self.ctl("unsubscribe-mail",
                                 to.removeprefix("mailto:"),
                                 input=f"From: <{a}>\nTo: <{url}>\n\n")
                    else:
                        self.ctl(*way, a)
                    self.out_for_ever(a)
                    if way[-1] in ("--all", "object", "erase"):
                        self.out_for_ever(a, "second")

    def test_a_given_time_is_kept(self):
        a = "given@example.org"
        self.filter.grant(a)
        self.ctl("withdraw", "--list", "weekly", "--at",
                 "2026-01-05T09:00:00Z", a)
        self.assertEqual(self.check(a), "granted")


class Stale(Rights):
    """Asking again whose consent expires, and nobody who opted out."""

    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        lists = [{"id": "aged", "name": "Aged", "max_age": "24 months",
                  "match": [{"sender": "*@aged.example.com"}]}, *LISTS]
        cls.filter = Filter(cls.rig, cls.redis, start=False, lists=lists)
        cls.other = Filter(cls.rig, cls.redis, start=False, lists=lists,
                           keygen=False, keys=cls.filter.keys_dir)

    def expiring(self):
        told = json.loads(self.ctl("stale", "--subjects", "--json").stdout)
        [aged] = [e for e in told["lists"] if e["list"] == "aged"]
        self.assertEqual(aged["expiring"], len(told["subjects"]))
        return aged["granted"], {e["subject"] for e in told["subjects"]}

    def test_opted_out_on_another_host(self):
        people = [f"host{i}@example.org" for i in range(6)]
        soon = time.strftime("%Y-%m-%dT%H:%M:%SZ",
                             time.gmtime(time.time() - 720 * 86400))
        self.filter.grant(*people, list_id="aged", at=soon)
        names = [self.subject(a) for a in people]
        self.assertEqual(self.expiring(), (6, set(names)))
        for i, step in enumerate((("withdraw", "--list", "aged"),
                                  ("withdraw", "--all"), ("object",),
                                  ("erase",),
                                  ("grant", "--list", "aged"))):
            self.ctl(*step, people[i], filter_=self.other)
        self.assertEqual(self.expiring(), (2, {names[5]}))
        text = self.ctl("stale", "--list", "aged", "--subjects").stdout
        self.assertEqual([line.split()[1] for line in text.splitlines()],
                         [names[5]])
        self.redis.sigstop()
        try:
            told = self.ctl("stale", "--subjects", code=69)
        finally:
            self.redis.cont()
        self.assertEqual(told.stdout, "")
        self.assertIn("not everybody is told", told.stderr)
