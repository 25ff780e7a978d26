# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The auditor, the attacker and the person who wants to be forgotten."""
import copy
import csv
import glob
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import time

from rig import (Filter, Redis, TestCase, WEEKLY, program, read_text,
                 verify_chain, wait_for)

LISTS = [copy.deepcopy(WEEKLY),
         {"id": "aged", "name": "Aged", "max_age": "24 months",
          "match": [{"sender": "*@aged.example.com"}]},
         {"id": "second", "name": "Second",
          "match": [{"sender": "*@second.example.com"}]}]


class Audit(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, lists=LISTS)
        cls.ledger = os.path.join(cls.filter.audit_dir, "ledger")
        cls.public = glob.glob(os.path.join(cls.filter.dir, "**",
                                            "checkpoint.pub"),
                               recursive=True)[0]

    def ctl(self, *args, code=0, **options):
        done = self.filter.ctl(*args, check=False, **options)
        self.assertEqual(done.returncode, code,
                         f"{args}: {done.stdout}{done.stderr}")
        return done

    def check(self, address, list_id="weekly"):
        return self.filter.ctl("check", "--list", list_id, address,
                               check=False).stdout.strip()

    def mail(self, *recipients, sender="n@news.example.com"):
        with self.filter.client() as client:
            client.connect()
            client.helo()
            client.mail(f"<{sender}>")
            return [client.rcpt(f"<{r}>") for r in recipients]

    def segments(self, directory=None, name="decisions"):
        return sorted(glob.glob(os.path.join(
            directory or self.filter.audit_dir, f"{name}-*.jsonl")))

    def everything(self):
        """All bytes that are on disk about people: journals and Redis."""
        data = b""
        for top in (self.filter.dir, self.redis.dir):
            for path in glob.glob(os.path.join(top, "**"), recursive=True):
                # the mail log is the MTA's
                if os.path.isfile(path) and not path.endswith(".log"):
                    with open(path, "rb") as f:
                        data += f.read()
        return data

    def auditor(self, *args, code=0):
        """verify with no configuration at all, elsewhere."""
        done = subprocess.run(
            [program("consentctl"), "-c", "/nonexistent", "verify", "--key",
             self.public, *args], capture_output=True, text=True,
            timeout=60, cwd="/")
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    # -- verify

    def test_verify_while_it_runs(self):
        self.filter.grant("v1@example.org")
        self.mail("v1@example.org", "v2@example.org")
        done = self.ctl("verify")
        self.assertIn("good: nothing was changed", done.stdout)
        self.assertIn("unproven tail", done.stdout)
        told = json.loads(self.ctl("verify", "--json").stdout)
        self.assertTrue(told["good"])
        self.assertEqual([j["journal"] for j in told["journals"]],
                         ["ledger", "decisions"])
        self.assertGreater(told["journals"][1]["checkpoints"], 0)

    def test_auditor_on_a_copy(self):
        self.filter.grant("copy@example.org")
        self.mail("copy@example.org")
        self.filter.stop()
        copied = os.path.join(self.filter.dir, "copy")
        shutil.copytree(self.filter.audit_dir, copied)
        self.filter.start()
        self.auditor("--dir", copied)
        self.auditor(*self.segments(copied))
        # one flipped byte
        path = self.segments(copied)[-1]
        with open(path, "r+b") as f:
            data = f.read()
            f.seek(data.rindex(b'"action"') + 2)
            f.write(b"X")
        done = self.auditor("--dir", copied, code=1)
        self.assertRegex(done.stdout, r"BAD  decisions decisions-\d+-\d+\."
                         r"jsonl:\d+: the content of entry \d+ was changed")
        self.assertIn("NOT GOOD", done.stdout)
        shutil.rmtree(copied)

    def test_blanked_by_somebody_else(self):
        self.mail("hide@example.org")
        self.filter.stop()
        copied = os.path.join(self.filter.dir, "copy2")
        shutil.copytree(self.filter.audit_dir, copied)
        self.filter.start()
        path = self.segments(copied)[-1]
        with open(path, "rb") as f:
            lines = f.read().split(b"\n")
        i = next(i for i, line in enumerate(lines)
                 if b'"type":"decision"' in line)
        head, rest = lines[i].split(b'"decision",', 1)
        tail = rest[rest.rindex(b'"digest"'):]
        lines[i] = (head + b'"decision",' + b'"blanked":true,'
                    + b" " * (len(rest) - len(tail) - 15) + tail)
        with open(path, "wb") as f:
            f.write(b"\n".join(lines))
        done = self.auditor("--dir", copied, code=1)
        self.assertIn("blanked that no erasure", done.stdout)
        shutil.rmtree(copied)

    def test_checkpoint_in_a_mail(self):
        self.filter.grant("kept@example.org")
        self.mail("kept@example.org")
        head = self.ctl("checkpoint").stdout
        self.assertEqual(len(re.findall(r"^checkpoint journal=", head,
                                        re.M)), 2)
        mail = os.path.join(self.filter.dir, "mail.txt")
        with open(mail, "w") as f:
            f.write("Dear officer,\n> " + head.replace("\n", "\n> "))
        self.ctl("verify", "--checkpoint", mail)
        # The tail is cut off, behind everybody's back but the officer's.
        self.filter.stop()
        copied = os.path.join(self.filter.dir, "copy3")
        shutil.copytree(self.filter.audit_dir, copied)
        self.filter.start()
        path = self.segments(copied)[-1]
        with open(path, "rb") as f:
            lines = f.read().splitlines(True)
        with open(path, "wb") as f:
            f.writelines(lines[:1])
        self.auditor("--dir", copied)
        done = self.auditor("--checkpoint", mail, "--dir", copied, code=1)
        self.assertIn("cut off", done.stdout)
        shutil.rmtree(copied)

    def test_checkpoints_are_counted(self):
        self.mail("mine@example.org")
        mail = os.path.join(self.filter.dir, "mail.mbox")
        with open(mail, "w") as f:
            f.write(self.ctl("checkpoint").stdout)
        self.filter.stop()
        copied = os.path.join(self.filter.dir, "copy4")
        shutil.copytree(self.filter.audit_dir, copied)
        self.filter.start()
        done = self.auditor("--dir", copied, "--checkpoint", mail)
        self.assertRegex(done.stdout, r"kept elsewhere 1 checkpoints "
                         r"compared, 0 about what was pruned")
        shutil.rmtree(copied)

    def test_nothing_is_not_good(self):
        empty = os.path.join(self.filter.dir, "empty")
        os.mkdir(empty)
        for directory in (empty, empty + "/mistyped"):
            done = self.auditor("--dir", directory, code=66)
            self.assertIn("has a journal", done.stderr)
            self.assertNotIn("good", done.stdout)
        # one of the two may be taken away as a whole
        self.filter.grant("half@example.org")
        shutil.copytree(self.ledger, empty + "/ledger")
        done = self.auditor("--dir", empty)
        self.assertIn("decisions: there is none here", done.stdout)
        self.assertNotIn("ledger: there is none here", done.stdout)

    def test_mail_log_has_checkpoints(self):
        self.mail("log@example.org")
        self.filter.wait_log("checkpoint journal=decisions")

    def test_foreign_key(self):
        key = os.path.join(self.filter.dir, "other.pub")
        with open(key, "w") as f:
            f.write("d75a980182b10ab7d54bfed3c964073a"
                    "0ee172f3daa62325af021a68f707511a\n")
        done = self.ctl("verify", "--key", key, code=1)
        self.assertIn("foreign key", done.stdout)
        with open(key, "w") as f:
            f.write("nothing")
        done = self.ctl("verify", "--key", key, code=78)
        self.assertIn("not a public key", done.stderr)

    # -- erase

    def test_erase(self):
        a = "forget-me@example.org"
        self.filter.grant(a, source="a-telling-form")
        self.ctl("grant", "--list", "second", "--guardian", "Mother Teller",
                 a)
        self.mail(a, "stay@example.org")
        self.assertEqual(self.check(a), "granted")
        before = self.everything()
        self.assertIn(b"a-telling-form", before)
        self.assertIn(b"Mother Teller", before)
        done = self.ctl("erase", a)
        self.assertRegex(done.stdout, r"Receipt \w+")
        self.assertNotIn("forget", done.stdout)
        self.assertEqual(self.check(a), "erased")
        self.assertEqual(self.check(a, "second"), "erased")
        wait_for(lambda: b"rdb_bgsave_in_progress:0" in self.redis.call(
            "INFO", "persistence"), text="the dump")
        after = self.everything()
        for trace in (b"a-telling-form", b"Mother Teller",
                      b"Mother%20Teller", b"forget-me"):
            if trace in after:		# not the whole dump in the report
                self.fail(f"{trace} is still there")
        [reply] = self.mail(a)
        self.assertIn("550", repr(reply))
        self.assertIn("good", self.ctl("verify").stdout)
        told = json.loads(self.ctl("verify", "--json").stdout)
        self.assertGreaterEqual(told["journals"][0]["blanked"], 2)
        self.assertGreaterEqual(told["journals"][1]["blanked"], 1)
        # An old import and a rebuild do not bring the person back.
        self.ctl("grant", "--list", "weekly", "--at", "2026-01-05", a)
        self.assertEqual(self.check(a), "erased")
        self.redis.call("FLUSHALL")
        self.ctl("rebuild")
        self.assertEqual(self.check(a), "erased")
        # A new opt-in does.
        time.sleep(0.002)
        self.filter.grant(a)
        self.assertEqual(self.check(a), "granted")
        # Nobody else was touched.
        self.assertTrue([d for d in self.filter.decisions()
                         if d.get("recipient") == "stay@example.org"])

    def test_erase_again_and_json(self):
        self.filter.grant("twice@example.org")
        first = json.loads(self.ctl("erase", "--json",
                                    "twice@example.org").stdout)
        self.assertEqual(first["persons"], 1)
        self.assertGreaterEqual(first["ledger_entries_blanked"], 1)
        second = json.loads(self.ctl("erase", "--json",
                                     "twice@example.org").stdout)
        # the first erasure, which the second one covers
        self.assertEqual(second["ledger_entries_blanked"], 1)
        self.assertEqual(self.check("twice@example.org"), "erased")

    def test_erase_while_redis_is_away(self):
        a = "away@example.org"
        self.filter.grant(a)
        self.redis.stop()
        done = self.ctl("erase", a, code=75)
        self.assertIn("waits", done.stdout)
        self.redis.start()
        self.filter.wait_store()
        self.filter.ctl("rebuild")
        self.assertEqual(self.check(a), "erased")

    def test_erase_is_killed(self):
        """Killed at any moment and run again it completes."""
        people = [f"kill{i}@example.org" for i in range(12)]
        for a in people:
            self.filter.grant(a, source=f"src-{a[:-12]}-x")
            self.mail(a)
        for i, a in enumerate(people):
            process = subprocess.Popen(
                [program("consentctl"), "-c", self.filter.config_path, "erase", a],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.004 * i)
            process.send_signal(signal.SIGKILL)
            process.wait()
            self.ctl("erase", a)
            self.assertEqual(self.check(a), "erased")
        self.assertIn("good", self.ctl("verify").stdout)
        verify_chain(self.ledger, "ledger")
        for path in self.segments(self.ledger, "ledger"):
            for a in people:
                self.assertNotIn(f"src-{a[:-12]}-x", read_text(path))

    def test_restored_backup(self):
        """A copy from before the erasure learns of it by the list."""
        a = "backup@example.org"
        self.filter.grant(a, source="old-backup-form")
        saved = {p: read_text(p)
                 for p in self.segments(self.ledger, "ledger")}
        self.ctl("erase", a)
        listed = os.path.join(self.filter.dir, "erasures.jsonl")
        with open(listed, "w") as f:
            f.write(self.ctl("erase", "--list").stdout)
        self.assertNotIn("backup@", read_text(listed))
        kept = {p: read_text(p)
                for p in self.segments(self.ledger, "ledger")}
        for path, text in saved.items():
            with open(path, "w") as f:
                f.write(text)
        self.redis.call("FLUSHALL")
        self.ctl("rebuild")
        self.assertEqual(self.check(a), "granted")
        self.ctl("erase", "--replay", listed)
        self.assertEqual(self.check(a), "erased")
        self.assertNotIn("old-backup-form", "".join(
            read_text(p) for p in self.segments(self.ledger, "ledger")))
        for path, text in kept.items():
            with open(path, "w") as f:
                f.write(text)
        self.redis.call("FLUSHALL")
        self.ctl("rebuild")

    def test_erase_mistakes(self):
        path = os.path.join(self.filter.dir, "future.jsonl")
        with open(path, "w", encoding="ascii") as f:
            f.write('{"event":"erase","subject":"%032x",'
                    '"at":"2999-01-01T00:00:00Z"}\n' % 7)
        done = self.ctl("erase", "--replay", path, code=65)
        self.assertIn("from the future", done.stderr)
        self.ctl("erase", code=64)
        self.ctl("erase", "nonsense", code=65)
        self.ctl("erase", "--list", "a@example.org", code=64)
        self.ctl("erase", "--replay", "/nonexistent", code=65)

    # -- rebuild

    def state(self, *people):
        return {a: (self.check(a), self.check(a, "second"), self.redis.call(
            "HGETALL", "c:" + json.loads(self.ctl(
                "show", "--json", a).stdout)["subject"])) for a in people}

    def test_rebuild_brings_back_everything(self):
        people = [f"r{i}@example.org" for i in range(6)]
        self.filter.grant(*people, source="form", notice="n 1.0")
        self.ctl("confirm", "--list", "weekly", people[0])
        self.filter.withdraw(people[1])
        self.ctl("object", people[2])
        self.ctl("restrict", people[3])
        self.ctl("erase", people[4])

        def sorted_state():
            return {a: (w, s, sorted(zip(h[::2], h[1::2])))
                    for a, (w, s, h) in self.state(*people).items()}

        before = sorted_state()
        self.redis.call("FLUSHALL")
        self.ctl("rebuild")
        self.assertEqual(sorted_state(), before)
        # Redis that lost its data says so by itself.
        self.redis.call("FLUSHALL")
        done = self.ctl("grant", "--list", "second", "other@example.org")
        self.assertIn("Redis has lost what it confirmed", done.stderr)
        self.assertEqual(sorted_state(), before)
        self.filter.wait_complete()

    def test_rebuild_from_another_host(self):
        other = Filter(self.rig, self.redis, start=False, lists=LISTS,
                       keygen=False, keys=self.filter.keys_dir)
        other.ctl("grant", "--list", "weekly", "elsewhere@example.org")
        self.assertEqual(self.check("elsewhere@example.org"), "granted")
        self.redis.call("FLUSHALL")
        self.ctl("rebuild")
        self.assertEqual(self.check("elsewhere@example.org"), "no-consent")
        self.ctl("rebuild", os.path.join(other.audit_dir, "ledger"))
        self.assertEqual(self.check("elsewhere@example.org"), "granted")

    # -- prune

    def test_prune_proof(self):
        a, b = "longgone@example.org", "restricted@example.org"
        for address in (a, b):
            self.filter.grant(address, at="2018-01-05T09:00:00Z",
                              source="paper-slip-2018")
            self.ctl("withdraw", "--all", "--at", "2019-01-05", address)
        self.ctl("restrict", b)
        self.filter.grant("still@example.org", at="2018-01-05T09:00:00Z")
        told = json.loads(self.ctl("prune", "--dry-run", "--json").stdout)
        self.assertEqual(told["persons"], 1)
        self.assertEqual(self.check(a), "withdrawn")
        told = json.loads(self.ctl("prune", "--json").stdout)
        self.assertEqual(told["persons"], 1)
        self.assertEqual(self.check(a), "erased")
        self.assertEqual(self.check(b), "restricted")
        self.assertEqual(self.check("still@example.org"), "granted")
        self.assertEqual(json.loads(self.ctl(
            "prune", "--json").stdout)["persons"], 0)
        self.assertIn("good", self.ctl("verify").stdout)
        # An opt-in that had not arrived here yet is none of prune's.
        self.filter.grant(a, at="2019-01-04T23:59:59Z")
        self.assertEqual(self.check(a), "erased")
        self.filter.grant(a, at="2019-01-06T09:00:00Z")
        self.assertEqual(self.check(a), "granted")

    def test_prune_decisions(self):
        self.mail("p1@example.org")
        told = json.loads(self.ctl("prune", "--json").stdout)
        self.assertEqual(told["files"], 0)

    # -- stale, ropa

    def test_stale(self):
        now = time.time()

        def at(days):
            return time.strftime("%Y-%m-%dT%H:%M:%SZ",
                                 time.gmtime(now - days * 86400))

        soon = at(720)
        for i, when in enumerate([soon, soon, soon, soon, at(10), at(900)]):
            self.ctl("grant", "--list", "aged", "--at", when,
                     f"stale{i}@example.org")
        self.ctl("withdraw", "--list", "aged", "stale1@example.org")
        self.ctl("object", "stale2@example.org")
        told = json.loads(self.ctl("stale", "--json").stdout)
        aged = {e["list"]: e for e in told["lists"]}["aged"]
        self.assertEqual((aged["granted"], aged["expiring"]), (3, 2))
        text = self.ctl("stale", "--list", "aged", "--subjects").stdout
        subjects = {json.loads(self.ctl(
            "show", "--json", f"stale{i}@example.org").stdout)["subject"]
            for i in (0, 3)}
        self.assertEqual({line.split()[1] for line in text.splitlines()},
                         subjects)
        told = json.loads(self.ctl("stale", "--days", "2", "--list", "aged",
                                   "--json").stdout)
        self.assertEqual(told["lists"][0]["expiring"], 0)
        self.ctl("stale", "--days", "-1", code=64)

    def test_ropa(self):
        done = self.ctl("ropa", code=1)
        self.assertIn("list aged has no purpose", done.stderr)
        self.assertIn("Example AB", done.stdout)
        self.assertIn("product news by e-mail", done.stdout)
        told = json.loads(self.ctl("ropa", "--json", code=1).stdout)
        self.assertEqual(told["controller"]["name"], "Example AB")
        self.assertEqual(told["retention"]["decisions"], "12 months")
        self.assertEqual([e["list"] for e in told["purposes"]["lists"]],
                         ["weekly", "aged", "second"])
        self.assertEqual(told["purposes"]["lists"][1][
            "consent_expires_after"], "24 months")

    # -- export

    def test_export(self):
        a = "Export.Me@example.org"
        self.filter.grant(a, source="=SUM(1)", notice="n1 2.0",
                          method="web-form", language="en")
        self.ctl("confirm", "--list", "weekly", a)
        self.ctl("grant", "--list", "second", a)
        self.ctl("withdraw", "--list", "second", a)
        self.mail(a)
        self.mail(a, sender="n@second.example.com")
        told = json.loads(self.ctl("export", a).stdout)
        self.assertEqual(told["schema_version"], "cm-27560-1")
        self.assertEqual(told["pii_principal_id"], a)
        self.assertTrue(told["complete"])
        self.assertEqual({r["list"]: r["state"] for r in told["records"]},
                         {"weekly": "given", "second": "withdrawn"})
        weekly = told["records"][0]
        self.assertEqual(weekly["processing"]["lawful_basis"],
                         "eu-gdpr:A6-1-a")
        self.assertEqual(weekly["privacy_notice"]["id"], "n1 2.0")
        self.assertEqual([e["event"] for e in told["events"]],
                         ["grant", "confirm", "grant", "withdraw"])
        self.assertEqual(told["events"][1]["event_state"],
                         "dpv:ConsentGiven")
        self.assertEqual([(d["list"], d["action"], d["reason"])
                          for d in told["decisions"]],
                         [("weekly", "accept", "granted"),
                          ("second", "reject", "withdrawn")])
        text = self.ctl("export", "--format", "csv", a).stdout
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        self.assertEqual([r["what"] for r in rows],
                         ["grant", "confirm", "grant", "withdraw", "accept",
                          "reject"])
        self.assertEqual(rows[0]["source"], "'=SUM(1)")
        nobody = json.loads(self.ctl("export", "nobody@example.org").stdout)
        self.assertEqual((nobody["records"], nobody["events"],
                          nobody["decisions"]), ([], [], []))

    def test_export_knows_what_the_store_alone_has(self):
        other = Filter(self.rig, self.redis, start=False, lists=LISTS,
                       keygen=False, keys=self.filter.keys_dir)
        other.ctl("grant", "--list", "weekly", "--source", "far",
                  "far@example.org")
        told = json.loads(self.ctl("export", "far@example.org").stdout)
        self.assertEqual([(e["event"], e["source"], e["held_in"])
                          for e in told["events"]],
                         [("grant", "far", "consent store")])
        told = json.loads(self.ctl(
            "export", "--ledger", os.path.join(other.audit_dir, "ledger"),
            "far@example.org").stdout)
        self.assertEqual([e["held_in"] for e in told["events"]], ["ledger"])

    def test_export_while_redis_is_away(self):
        self.filter.grant("offline@example.org")
        self.redis.stop()
        told = json.loads(self.ctl("export", "offline@example.org",
                                   code=69).stdout)
        self.redis.start()
        self.assertFalse(told["complete"])
        self.assertEqual(len(told["events"]), 1)
        self.filter.wait_store()
        self.filter.ctl("rebuild")

    def test_export_can_be_imported(self):
        """Into an empty installation with other keys: the same answers."""
        people = {"m-granted@example.org": [],
                  "m-withdrawn@example.org": ["withdraw", "--list",
                                              "weekly"],
                  "m-all@example.org": ["withdraw", "--all"],
                  "m-objected@example.org": ["object"],
                  "m-restricted@example.org": ["restrict"],
                  "m-erased@example.org": ["erase"]}
        redis = Redis(self.rig)
        other = Filter(self.rig, redis, start=False, lists=LISTS)
        for address, change in people.items():
            self.filter.grant(address, source="shop", method="web-form")
            self.ctl("grant", "--list", "aged", "--at", "2019-01-05",
                     address)
            if change:
                self.ctl(*change, address)
            path = os.path.join(other.dir, "export.json")
            with open(path, "w") as f:
                f.write(self.ctl("export", address).stdout)
            other.ctl("import", path)
            for list_id in ("weekly", "aged", "second"):
                self.assertEqual(
                    other.ctl("check", "--list", list_id, address,
                              check=False).stdout.strip(),
                    self.check(address, list_id), (address, list_id))
        with open(path) as f:
            text = f.read()
        for broken in (text[:len(text) // 2],
                       text.replace('"event":"erase"', '"event":"bogus"'),
                       text.replace('"pii_principal_id":"m', '"x":"m'),
                       text.replace('"events":[', '"events":[7,'),
                       text.replace('"events":[', '"other":[')):
            with open(path, "w") as f:
                f.write(broken)
            done = other.ctl("import", path, check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertRegex(done.stderr, r"export\.json:(\d+:)? ")
            self.assertIn("0 events", done.stdout)
        with open(path, "w") as f:
            json.dump(json.loads(text), f, indent=4)
        other.ctl("import", path)

    # -- log

    def test_the_last_of_the_log(self):
        top = os.path.join(self.filter.dir, "many")
        os.mkdir(top)
        seq = 0
        for n in range(1, 6):
            path = os.path.join(top, f"decisions-2026010{n}-{n:06}.jsonl")
            with open(path, "w") as f:
                for i in range(4):
                    seq += 1
                    f.write(json.dumps({
                        "seq": seq, "type": "decision",
                        "time": f"2026-01-0{n}T09:0{i}:00.000Z",
                        "list": "weekly" if i else "other",
                        "salt": "0" * 32, "digest": "0" * 64,
                        "chain": "0" * 64}, separators=(",", ":")) + "\n")

        def found(*args):
            told = self.ctl("log", "--dir", top, "--json", *args).stdout
            return [e["seq"] for e in json.loads(told)]
        for args in ((), ("--list", "other"),
                     ("--until", "2026-01-04T09:01:00Z"),
                     ("--since", "2026-01-03", "--until", "2026-01-04")):
            every = found(*args)
            for n in (1, 4, 5, 21):
                self.assertEqual(found("--last", str(n), *args), every[-n:])
        self.assertEqual(len(found("--last", "1", "--dir", top)), 2)
        self.ctl("log", "--last", "0", code=64)
        shutil.rmtree(top)

    def test_log_over_directories(self):
        self.mail("dir1@example.org")
        other = Filter(self.rig, self.redis, lists=LISTS, keygen=False,
                       keys=self.filter.keys_dir)
        with other.client() as client:
            client.connect()
            client.mail("<n@news.example.com>")
            client.rcpt("<dir1@example.org>")

        def found(*args, code=0):
            return json.loads(self.ctl("log", "--json", *args,
                                       code=code).stdout)

        one = found("--address", "dir1@example.org")
        both = found("--address", "dir1@example.org", "--dir",
                     self.filter.audit_dir, "--dir", other.audit_dir)
        self.assertEqual(len(both), len(one) + 1)
        self.assertEqual(len(found("--address", "dir1@example.org", "--since",
                                   "2 hours", "--until", "1 hour")), 0)
        self.assertEqual(found("--since", "1 hour", "--address",
                               "dir1@example.org"), one)
        self.assertEqual(found("--reason", "no-consent", "--address",
                               "dir1@example.org"), one)
        self.assertEqual(found("--reason", "granted", "--address",
                               "dir1@example.org"), [])
        self.ctl("log", "--dir", "/nonexistent", code=66)

    # -- notices

    def test_notices(self):
        path = os.path.join(self.filter.dir, "notice.txt")
        words = "Yes, send me \u201cthe news\u201d.\nI can stop any time.\n"

        def write(text):
            with open(path, "w") as f:
                f.write(text)

        write(words)
        add = ["notice", "add", path, "--id", "signup", "--version", "2.1",
               "--language", "en"]
        digest = self.ctl(*add).stdout.split()[0]
        self.assertEqual(digest, hashlib.sha256(words.encode()).hexdigest())
        self.assertIn("already", self.ctl(*add).stdout)
        write("Other words")
        done = self.ctl(*add, code=1)
        self.assertIn("can't be changed", done.stderr)
        self.ctl(*add[:-3], "2.2", "--language", "en")
        self.assertEqual(len(json.loads(self.ctl(
            "notice", "list", "--json").stdout)), 2)
        self.assertEqual(self.ctl("notice", "show", "signup", "2.1",
                                  "en").stdout, words)
        self.assertEqual(self.ctl("notice", "show", digest).stdout, words)
        self.ctl("notice", "show", "signup", "9", "en", code=1)
        self.ctl("notice", "show", "../../keys/pseudonym.key", code=1)
        self.ctl("notice", "add", path, "--id", "a/b", "--version", "1",
                 "--language", "en", code=64)
        # A grant points to the words, an export prints them.
        a = "words@example.org"
        self.filter.grant(a, notice="signup 2.1", language="en")
        told = json.loads(self.ctl("export", a).stdout)
        notice = told["records"][0]["privacy_notice"]
        self.assertEqual((notice["sha256"], notice["text"]), (digest, words))
        self.assertEqual((notice["id"], notice["version"]), ("signup", "2.1"))
        # So does an import; a wrong digest is refused.
        rows = os.path.join(self.filter.dir, "rows.csv")
        with open(rows, "w") as f:
            f.write("address,list,at,notice,language,digest\n"
                    "i1@example.org,weekly,2026-01-05,signup 2.1,en,\n"
                    f"i2@example.org,weekly,2026-01-05,signup 2.1,en,"
                    f"{'0' * 64}\n"
                    "i3@example.org,weekly,2026-01-05,gone 1,en,\n")
        done = self.ctl("import", rows, code=1)
        self.assertIn("rows.csv:3: the digest is not that of", done.stderr)
        self.assertIn("rows.csv:4: notice \"gone 1\" is not stored",
                      done.stderr)
        told = json.loads(self.ctl("export", "i1@example.org").stdout)
        self.assertEqual(told["records"][0]["privacy_notice"]["text"], words)
        done = self.filter.ctl("grant", "--list", "weekly", "--notice",
                               "nothing 1", "--language", "en", a)
        self.assertIn("is not stored", done.stderr)
        # Words that somebody changed are not shown as those that were seen.
        stored = os.path.join(self.filter.audit_dir, "notices",
                              f"{digest}.txt")
        with open(stored, "a") as f:
            f.write("!")
        done = self.ctl("notice", "show", digest, code=65)
        self.assertIn("not the text that was stored", done.stderr)
        os.remove(stored)

    def test_export_is_about_one_person(self):
        """A stranger who knows a pseudonym can't get entries of others into
        that person's hands."""
        a, other = "one@example.org", "somebody-else@example.org"
        self.filter.grant(a)
        subject = json.loads(self.ctl("show", "--json", a).stdout)["subject"]
        self.mail(other, sender=f"{subject}@news.example.com")
        self.mail(a)
        self.assertTrue([d for d in self.filter.decisions()
                         if subject in (d.get("sender") or "")])
        text = self.ctl("export", a).stdout
        self.assertNotIn("somebody-else", text)
        self.assertEqual(len(json.loads(text)["decisions"]), 1)
        text = self.ctl("export", "--format", "csv", a).stdout
        self.assertNotIn("somebody-else", text)
        self.assertNotIn(subject, text)

    def test_export_says_when_it_is_not_complete(self):
        a = "part@example.org"
        self.ctl("grant", "--list", "weekly", "--basis", "explicit-consent",
                 "--guardian", "Mother", "--ip", "192.0.2.77", a)
        self.ctl("confirm", "--list", "weekly", a)
        told = json.loads(self.ctl("export", a).stdout)
        self.assertTrue(told["complete"])
        self.assertEqual([e["event_type"] for e in told["events"]],
                         ["eu-gdpr:A9-2-a"] * 2)
        row = next(csv.DictReader(io.StringIO(self.ctl(
            "export", "--format", "csv", a).stdout, newline="")))
        self.assertEqual((row["guardian"], row["ip"]),
                         ("Mother", "192.0.2.0"))
        for option in ("--log", "--ledger"):
            done = self.ctl("export", option, "/nonexistent", a, code=69)
            self.assertFalse(json.loads(done.stdout)["complete"])
            self.assertIn("/nonexistent", done.stderr)
        broken = os.path.join(self.filter.dir, "broken")
        os.mkdir(broken)
        with open(os.path.join(broken, "decisions-20260101-000001.jsonl"),
                  "w") as f:
            f.write("no entry\n")
        done = self.ctl("export", "--log", broken, a, code=69)
        self.assertFalse(json.loads(done.stdout)["complete"])
