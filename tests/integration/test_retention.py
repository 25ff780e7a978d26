# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""What may not be kept any longer goes, from disk and from Redis, and stays
away; what may stays, and every decision is as before."""
import copy
import glob
import json
import os
import shutil
import signal
import subprocess
import time

from rig import Filter, Redis, TestCase, WEEKLY, program, verify_chain

LISTS = [copy.deepcopy(WEEKLY),
         {"id": "twice", "name": "Twice", "double_opt_in": True,
          "match": [{"sender": "*@twice.example.com"}]}]


def ago(days):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ",
                         time.gmtime(time.time() - days * 86400))


class Retention(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, start=False, lists=LISTS,
                            audit={"evidence_ip": "full"},
                            retention={"full_ip": "6 months",
                                       "ip": "36 months",
                                       "pending": "30 days"})
        cls.ledger = os.path.join(cls.filter.audit_dir, "ledger")

    def ctl(self, *args, code=0):
        done = self.filter.ctl(*args, check=False)
        self.assertEqual(done.returncode, code,
                         f"{args}: {done.stdout}{done.stderr}")
        return done

    def prune(self, *args):
        return json.loads(self.ctl("prune", "--json", *args).stdout)

    def check(self, address, list_id="weekly"):
        return self.filter.ctl("check", "--list", list_id, address,
                               check=False).stdout.strip()

    def evidence(self, address):
        told = json.loads(self.ctl("show", address, "--json").stdout)
        return [e for e in told["lists"]
                if e["list"] == "weekly"][0].get("evidence", {})

    def on_disk(self):
        data = b""
        for path in glob.glob(os.path.join(self.filter.audit_dir, "**",
                                           "*.jsonl"), recursive=True):
            with open(path, "rb") as f:
                data += f.read()
        return data

    def in_redis(self):
        return b"".join(self.redis.call("HGETALL", key)[i]
                        for key in self.redis.call("KEYS", "c:*")
                        for i in range(len(self.redis.call("HGETALL", key))))

    def test_addresses(self):
        rows = {"new@example.org": (10, "198.51.100.71", "198.51.100.71"),
                "half@example.org": (400, "198.51.100.72", "198.51.100.0"),
                "old@example.org": (1200, "198.51.100.73", None)}
        for address, (days, ip, _) in rows.items():
            self.filter.grant(address, at=ago(days), ip=ip, source="form-7",
                              method="web-form")
        # nothing but the address stood there
        self.filter.grant("bare@example.org", at=ago(1200),
                          ip="198.51.100.74")
        before = os.path.join(self.filter.dir, "before")
        shutil.copytree(self.ledger, before)
        last = json.loads(self.ctl("changes", "--json").stdout)[-1]["seq"]

        self.assertEqual(self.prune("--dry-run")["addresses"], 3)
        self.assertIn(b"198.51.100.72", self.on_disk())
        self.assertEqual(self.prune()["addresses"], 3)

        def holds():
            for text in (self.on_disk(), self.in_redis()):
                for ip in (b"100.72", b"100.73", b"100.74"):
                    self.assertNotIn(ip, text)
                self.assertIn(b"198.51.100.71", text)
            for address, (_, _, ip) in rows.items():
                self.assertEqual(self.check(address), "granted")
                evidence = self.evidence(address)
                self.assertEqual(evidence.get("ip"), ip)
                self.assertEqual(evidence["source"], "form-7")
            self.assertEqual(self.check("bare@example.org"), "granted")
        holds()
        self.assertEqual(self.prune()["addresses"], 0)
        told = self.ctl("verify").stdout
        self.assertIn("good", told)
        self.assertRegex(told, r"blanked +3\n")
        verify_chain(self.ledger, "ledger")
        # nothing happened that a tool would want to hear of
        self.assertEqual(json.loads(self.ctl(
            "changes", "--json", "--after", str(last)).stdout), [])
        # nor does it come back
        self.ctl("rebuild", "--from-start")
        holds()
        self.ctl("rebuild", before)
        holds()
        self.redis.call("FLUSHALL")
        self.ctl("rebuild", before)
        holds()
        told = json.loads(self.ctl("export", "half@example.org").stdout)
        text = json.dumps(told)
        self.assertIn("198.51.100.0", text)
        self.assertIn("form-7", text)
        self.assertNotIn("198.51.100.72", text)
        shutil.rmtree(before)

    def test_killed(self):
        people = [f"killed{i}@example.org" for i in range(40)]
        for i in range(8):
            self.filter.grant(*people[i::8], at=ago(1300), source="slip",
                              ip=f"203.0.113.{100 + i}")
            prune = subprocess.Popen(
                [program("consentctl"), "-c", self.filter.config_path,
                 "prune"], stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL)
            time.sleep(0.005 * i)
            prune.send_signal(signal.SIGKILL)
            prune.wait()
        self.prune()
        self.assertNotIn(b"203.0.113.", self.on_disk())
        self.assertNotIn(b"203.0.113.", self.in_redis())
        for a in people:
            self.assertEqual(self.check(a), "granted")
        self.assertEqual(self.prune()["addresses"], 0)
        self.assertIn("good", self.ctl("verify").stdout)

    def test_never_confirmed(self):
        def sign_up(address, days):
            self.filter.grant(address, list_id="twice", at=ago(days),
                              source="never-confirmed")
        sign_up("stranger@example.org", 31)
        sign_up("fresh@example.org", 29)
        sign_up("done@example.org", 31)
        self.ctl("confirm", "--list", "twice", "--at", ago(30),
                 "done@example.org")
        sign_up("reader@example.org", 31)
        self.filter.grant("reader@example.org", at=ago(40))
        sign_up("asked@example.org", 31)
        self.ctl("restrict", "asked@example.org")
        self.assertEqual(self.prune("--dry-run")["pending"], 1)
        self.assertEqual(self.check("stranger@example.org", "twice"),
                         "pending")
        told = self.prune()
        self.assertEqual((told["pending"], told["persons"]), (1, 0))
        for address, word in (("stranger", "erased"), ("fresh", "pending"),
                              ("done", "granted"), ("reader", "pending"),
                              ("asked", "restricted")):
            self.assertEqual(self.check(f"{address}@example.org", "twice"),
                             word)
        self.assertEqual(self.check("reader@example.org"), "granted")
        self.assertEqual(self.on_disk().count(b"never-confirmed"), 4)
        self.assertIn("good", self.ctl("verify").stdout)
        # who comes back is welcome
        sign_up("stranger@example.org", 1)
        self.ctl("confirm", "--list", "twice", "stranger@example.org")
        self.assertEqual(self.check("stranger@example.org", "twice"),
                         "granted")
        self.assertEqual(self.prune()["pending"], 0)

    def test_clock_ahead(self):
        """A clock that is years ahead must not take all proof with it."""
        mark = os.path.join(self.ledger, ".pruned")
        self.addCleanup(os.unlink, mark)

        def last(days):
            with open(mark, "w", encoding="ascii") as f:
                f.write(ago(days) + "\n")

        self.filter.grant("kept@example.org", at=ago(1500))
        self.filter.withdraw("kept@example.org")
        self.filter.grant("ended@example.org", at=ago(1500))
        self.ctl("withdraw", "--list", "weekly", "--at", ago(1300),
                 "ended@example.org")
        self.prune()
        self.filter.grant("again@example.org", at=ago(1500))
        self.ctl("withdraw", "--list", "weekly", "--at", ago(1300),
                 "again@example.org")
        # as if ten years were gone since
        last(3650)
        before = self.on_disk()
        done = self.filter.ctl("prune", check=False)
        self.assertEqual(done.returncode, 75, done.stderr)
        self.assertIn("--clock-is-right", done.stderr)
        self.assertIn("3650 days after the last prune", done.stderr)
        self.assertRegex(done.stderr, "--clock-is-right if it is\n$")
        self.assertEqual(self.on_disk(), before)
        done = self.ctl("prune", "--dry-run", "--json")
        self.assertEqual(json.loads(done.stdout)["persons"], 1)
        self.assertIn("--clock-is-right", done.stderr)
        # it was not the clock
        self.assertEqual(self.prune("--clock-is-right")["persons"], 1)
        self.assertEqual(self.prune()["persons"], 0)
        # once a month is often enough, and half a file is none
        for text in (ago(61) + "\n", "20", ""):
            with open(mark, "w", encoding="ascii") as f:
                f.write(text)
            self.prune()
