# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""consentctl against a real Redis: changes, import, looking, exit codes."""
import calendar
import copy
import glob
import json
import os
import signal
import subprocess
import time

from rig import (Filter, Redis, TestCase, WEEKLY, in_threads, program,
                 read_text, wait_for)

LISTS = [copy.deepcopy(WEEKLY),
         {"id": "double", "name": "Double", "double_opt_in": True,
          "match": [{"sender": "*@double.example.com"}]},
         {"id": "aged", "name": "Aged", "max_age": "24 months",
          "match": [{"sender": "*@aged.example.com"}]},
         {"id": "renewed", "name": "Renewed", "notice": "terms 2",
          "notice_since": "2026-06-01",
          "match": [{"sender": "*@renewed.example.com"}]}]


class Ctl(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, start=False, lists=LISTS)
        cls.ledger = os.path.join(cls.filter.audit_dir, "ledger")

    def ctl(self, *args, code=0, **options):
        done = self.filter.ctl(*args, check=False, **options)
        self.assertEqual(done.returncode, code,
                         f"{args}: {done.stdout}{done.stderr}")
        return done

    def check(self, address, list_id="weekly"):
        done = self.filter.ctl("check", "--list", list_id, address,
                               check=False)
        self.assertEqual(done.returncode,
                         0 if done.stdout == "granted\n" else 1)
        return done.stdout.strip()

    def import_text(self, text, *options, code=0):
        path = os.path.join(self.filter.dir, "import.txt")
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        return path, self.ctl("import", *options, path, code=code)

    def everything(self):
        """All that a command could change: files, and Redis' keys."""
        files = {}
        for top, _, names in os.walk(self.filter.dir):
            for name in names:
                path = os.path.join(top, name)
                with open(path, "rb") as f:
                    files[path] = (f.read(), os.stat(path).st_mtime_ns)
        return files, {k: self.redis.call("DUMP", k)
                       for k in self.redis.call("KEYS", "*")}

    # -- dry runs, JSON, colour

    def test_no_new_key_beside_a_ledger(self):
        aside = Filter(self.rig, self.redis, start=False)
        aside.grant("a@example.org")
        key = os.path.join(aside.keys_dir, "pseudonym.key")
        os.rename(key, key + ".away")
        done = aside.ctl("keygen", check=False)
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertIn("put it back from the backup", done.stderr)
        self.assertFalse(os.path.exists(key))
        os.rename(key + ".away", key)
        self.assertIn("all keys are there", aside.ctl("keygen").stdout)

    def test_dry_runs_change_nothing(self):
        a, b = "dry@example.org", "dry-two@example.org"
        self.filter.grant(a)
        self.ctl("grant", "--list", "double", a)
        path, _ = self.import_text("address,list\nnew@example.org,weekly\n"
                                   "broken,weekly\n", code=1)
        with open(path, "a", encoding="utf-8") as f:
            f.write("newer@example.org,weekly\n")
        before = self.everything()

        def dry(*args, code=0):
            done = self.ctl(args[0], "--dry-run", *args[1:], code=code)
            self.assertEqual(self.everything(), before, args)
            return done.stdout

        self.assertEqual(
            dry("grant", "--list", "weekly", b, a),
            f"{b}: would be recorded: granted\n"
            f"{a}: would be recorded: granted\n"
            "nothing is changed (--dry-run): 2 events would be recorded\n")
        self.assertIn("would be recorded: pending",
                      dry("grant", "--list", "double", b))
        self.assertIn("would be recorded: granted",
                      dry("confirm", "--list", "double", a))
        self.assertIn("would be recorded: withdrawn",
                      dry("withdraw", "--list", "weekly", a))
        self.assertIn("unproven", dry("grant", "--list", "weekly", "--method",
                                      "purchased", b))
        for args in (("withdraw", "--all", a), ("object", a, b),
                     ("object", "--profiling", a), ("restrict", a),
                     ("unrestrict", a)):
            self.assertIn(f"{a}: would be recorded\n", dry(*args))
        self.assertIn("1 events would be", dry("object", a, "broken",
                                               code=65))
        self.assertIn("2 rows would be imported, 1 refused",
                      dry("import", path, code=1))
        out = dry("erase", a, b)
        self.assertIn("2 would be erased, 2 of them now", out)
        self.assertRegex(out, "entries of the ledger +2 would be blanked")
        self.assertEqual(json.loads(dry("erase", "--json", a)), {
            "dry_run": True, "persons": 1, "recorded": 1,
            "ledger_entries_blanked": 2, "decisions_blanked": 0})
        dry("erase", "--replay")
        dry("prune")
        told = json.loads(dry("rebuild", "--json"))
        self.assertEqual((told["dry_run"], told["unreadable"]), (True, 0))
        self.assertEqual(dry("rebuild", "--from-start"),
                         f"{told['events']} events would be applied\n")
        # The real ones do what was told.
        self.assertEqual(json.loads(self.ctl("rebuild", "--json").stdout),
                         dict(told, dry_run=False))
        done = json.loads(self.ctl("erase", "--json", a).stdout)
        self.assertEqual((done["recorded"], done["ledger_entries_blanked"]),
                         (1, 2))

    def test_json_of_changes(self):
        a = "json@example.org"
        told = json.loads(self.ctl("grant", "--list", "double", "--at",
                                   "2026-01-05T09:00:00Z", "--json", a
                                   ).stdout)
        self.assertEqual(told, {
            "dry_run": False, "in_redis": True, "events": [
                {"address": a, "event": "grant", "list": "double",
                 "at": "2026-01-05T09:00:00.000Z", "state": "pending"}]})
        told = json.loads(self.ctl("confirm", "--list", "double", "--json",
                                   "--dry-run", a, "nonsense", code=65).stdout)
        self.assertEqual([e["state"] for e in told["events"]], ["granted"])
        told = json.loads(self.ctl("object", "--json", a).stdout)
        self.assertEqual(told["events"][0]["event"], "object")
        self.assertNotIn("state", told["events"][0])

    def test_json_of_check(self):
        a = "json-check@example.org"
        self.assertEqual(json.loads(self.ctl("check", "--list", "weekly",
                                             "--json", a, code=1).stdout),
                         {"address": a, "list": "weekly", "profiling": False,
                          "allowed": False, "enforced": True,
                          "reason": "no-consent"})
        self.assertEqual(json.loads(self.ctl("check", "--profiling", "--json",
                                             a).stdout),
                         {"address": a, "profiling": True, "allowed": True,
                          "reason": "not-objected"})

    def on_terminal(self, *args, **env):
        """stdout of a run with a terminal for it."""
        master, slave = os.openpty()
        environment = {k: v for k, v in os.environ.items()
                       if k not in ("NO_COLOR", "TERM")}
        with subprocess.Popen([program("consentctl"), "-c",
                               self.filter.config_path, *args],
                              stdin=subprocess.DEVNULL, stdout=slave,
                              stderr=subprocess.DEVNULL,
                              env=dict(environment, **env)) as child:
            os.close(slave)
            out = b""
            while True:
                try:
                    piece = os.read(master, 65536)
                except OSError:         # the other end is closed
                    break
                if not piece:
                    break
                out += piece
            child.wait(60)
        os.close(master)
        return out.decode().replace("\r\n", "\n")

    def test_colour_only_for_who_wants_it(self):
        a = "colour@example.org"
        self.filter.grant(a)
        check = ("check", "--list", "weekly", a)
        green, red, end = "\033[32m", "\033[31m", "\033[0m"
        self.assertEqual(self.on_terminal(*check, TERM="xterm"),
                         f"{green}granted{end}\n")
        self.assertEqual(self.on_terminal(*check, TERM="xterm", NO_COLOR=""),
                         f"{green}granted{end}\n")
        for env in ({"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}, {}):
            self.assertEqual(self.on_terminal(*check, **env), "granted\n")
        self.assertEqual(self.ctl(*check).stdout, "granted\n")
        show = self.on_terminal("show", a, TERM="xterm")
        self.assertIn(f"{green}allowed {end}", show)
        self.assertIn(f"{red}blocked {end}", show)
        self.assertEqual(self.ctl("show", a).stdout, show.replace(
            green, "").replace(red, "").replace(end, ""))
        self.assertEqual(self.on_terminal("verify", TERM="xterm").splitlines(
            )[-1], f"{green}good: nothing was changed{end}")

    # -- changes

    def test_life_of_a_consent(self):
        a = "life@example.org"
        self.assertEqual(self.check(a), "no-consent")
        self.filter.grant(a)
        self.assertEqual(self.check(a), "granted")
        self.assertEqual(self.check("LIFE@Example.ORG."), "granted")
        self.assertEqual(self.check("life+tag@example.org"), "no-consent")
        self.assertEqual(self.check(a, "double"), "no-consent")
        self.filter.withdraw(a)
        self.assertEqual(self.check(a), "withdrawn")
        time.sleep(0.002)
        self.filter.grant(a)
        self.assertEqual(self.check(a), "granted")
        self.ctl("restrict", a)
        self.assertEqual(self.check(a), "restricted")
        time.sleep(0.002)
        self.ctl("unrestrict", a)
        self.assertEqual(self.check(a), "granted")
        self.ctl("object", a)
        self.assertEqual(self.check(a), "objected")

    def test_objection_to_profiling(self):
        a = "profile@example.org"

        def profiling(code):
            return self.ctl("check", "--profiling", a, code=code).stdout

        self.filter.grant(a)
        self.assertEqual(profiling(0), "not-objected\n")
        self.ctl("object", "--profiling", a)
        self.assertEqual(profiling(1), "objected\n")
        self.assertEqual(self.check(a), "granted")
        time.sleep(0.002)
        self.filter.grant(a)
        self.assertEqual(profiling(1), "objected\n")
        person = json.loads(self.ctl("show", "--json", a).stdout)
        self.assertIn("profiling_objected_at", person)
        time.sleep(0.002)
        self.ctl("object", "--profiling", "--lift", a)
        self.assertEqual(profiling(0), "not-objected\n")
        # What was objected to before an erasure nobody knows any more.
        time.sleep(0.002)
        self.ctl("erase", a)
        time.sleep(0.002)
        self.filter.grant(a)
        self.assertEqual(self.check(a), "granted")
        self.assertEqual(profiling(1), "objected\n")
        self.import_text("address,list,at,profiling_objected_at\n"
                         "import.p@example.org,weekly,"
                         "2026-01-01T00:00:00Z,2026-02-01T00:00:00Z\n"
                         "timeless.p@example.org,weekly,,2026-02-01\n")
        self.assertEqual(self.check("import.p@example.org"), "granted")
        self.assertEqual(self.check("timeless.p@example.org"), "no-consent")
        for a in ("import.p@example.org", "timeless.p@example.org"):
            self.assertEqual(profiling(1), "objected\n")
        for wrong in (["withdraw", "--all", "--profiling", a],
                      ["object", "--lift", a],
                      ["check", "--profiling", "--list", "weekly", a],
                      ["show", "--profiling", a]):
            self.ctl(*wrong, code=64)

    def test_new_notice(self):
        for a, at, notice, result in (
                ("old@example.org", "2026-05-31T23:59:59Z", "", "expired"),
                ("new@example.org", "2026-06-01", "terms 2.1", "granted"),
                ("named@example.org", "2026-06-02", "terms 1", "unproven"),
                ("none@example.org", "2026-06-02", "", "unproven")):
            done = self.ctl("grant", "--list", "renewed", "--at", at,
                            "--notice", notice, a,
                            code=1 if result == "unproven" else 0)
            if result == "unproven":
                self.assertIn('wants notice "terms 2"', done.stderr)
            self.assertEqual(self.check(a, "renewed"), result)
        self.import_text("address,list,at,notice\n"
                         "row1@example.org,renewed,2026-07-01,terms 2\n"
                         "row2@example.org,renewed,2026-07-01,terms 1.9\n")
        self.assertEqual(self.check("row1@example.org", "renewed"), "granted")
        self.assertEqual(self.check("row2@example.org", "renewed"),
                         "unproven")

    def test_notice_to_come(self):
        """Until its day nobody is blocked, and `stale' counts who will be."""
        day = time.strftime("%Y-%m-%d", time.gmtime(time.time() + 5 * 86400))
        later = Filter(self.rig, self.redis, start=False, lists=[
            {"id": "soon", "name": "Soon", "notice_since": day,
             "match": [{"sender": "*@soon.example.com"}]}])
        later.ctl("grant", "--list", "soon", "soon@example.org")
        self.assertEqual(later.ctl("check", "--list", "soon",
                                   "soon@example.org").stdout, "granted\n")
        for days, expiring in ((3, 0), (6, 1)):
            found = json.loads(later.ctl("stale", "--days", str(days),
                                         "--json").stdout)
            self.assertEqual(found["lists"], [
                {"list": "soon", "granted": 1, "expiring": expiring}])
        eve = time.strftime("%Y-%m-%dT23:59:59.999Z", time.gmtime(
            calendar.timegm(time.strptime(day, "%Y-%m-%d")) - 1))
        self.assertIn(eve, later.ctl("stale", "--days", "6",
                                     "--subjects").stdout)

    def test_changes(self):
        a, b = "change.a@example.org", "change.b@example.org"
        before = json.loads(self.ctl("changes", "--json").stdout)
        last = max([e["seq"] for e in before], default=0)
        self.filter.grant(a, b)
        self.filter.withdraw(a)
        self.ctl("object", b)
        told = json.loads(self.ctl("changes", "--json", "--after",
                                   str(last)).stdout)
        self.assertEqual([e["event"] for e in told],
                         ["grant", "grant", "withdraw", "object"])
        self.assertNotIn("address", told[0])
        self.assertEqual(told[2]["subject"], told[0]["subject"])
        known = "# of the shop\nChange.A@EXAMPLE.org\nnobody@example.org\n"
        told = json.loads(self.ctl("changes", "--json", "--after", str(last),
                                   "-", input=known).stdout)
        self.assertEqual([(e["event"], e["address"]) for e in told],
                         [("grant", "Change.A@EXAMPLE.org"),
                          ("withdraw", "Change.A@EXAMPLE.org")])
        # An objection is about every list.
        text = self.ctl("changes", "--after", str(last), "--list",
                        "double").stdout
        self.assertRegex(text, r"^\d+ +\S+ object +- +[0-9a-f]{32}\n$")
        done = self.ctl("changes", "--after", str(last), "-",
                        input="no address\n" + b + "\n", code=65)
        self.assertIn("-:1: ", done.stderr)
        self.assertEqual(len(done.stdout.splitlines()), 2)
        self.assertEqual(self.ctl("changes", "--json", "--since",
                                  "2999-01-01").stdout, "[]\n")
        self.ctl("changes", "--after", "-1", code=64)
        self.ctl("changes", "/nonexistent", code=66)

    def test_double_opt_in(self):
        done = self.ctl("grant", "--list", "double", "d@example.org")
        self.assertIn("pending", done.stdout)
        self.assertEqual(self.check("d@example.org", "double"), "pending")
        self.ctl("confirm", "--list", "double", "d@example.org")
        self.assertEqual(self.check("d@example.org", "double"), "granted")

    def test_withdraw_all(self):
        self.filter.grant("all@example.org")
        self.ctl("grant", "--list", "aged", "all@example.org")
        self.ctl("withdraw", "--all", "all@example.org")
        for list_id in ("weekly", "aged", "double"):
            self.assertEqual(self.check("all@example.org", list_id),
                             "withdrawn")

    def test_older_grant_does_not_come_back(self):
        self.filter.withdraw("old@example.org")
        done = self.ctl("grant", "--list", "weekly", "--at",
                        "2026-01-05T09:00:00Z", "old@example.org")
        self.assertIn("withdrawn", done.stdout)
        self.assertEqual(self.check("old@example.org"), "withdrawn")

    def test_equal_times(self):
        at = "2026-01-05T09:00:00.123Z"
        self.filter.grant("tie@example.org", at=at)
        self.ctl("withdraw", "--list", "weekly", "--at", at,
                 "tie@example.org")
        self.assertEqual(self.check("tie@example.org"), "withdrawn")

    def test_expiry_and_proof(self):
        self.ctl("grant", "--list", "aged", "--at", "2020-01-01",
                 "e@example.org")
        self.assertEqual(self.check("e@example.org", "aged"), "expired")
        done = self.ctl("grant", "--list", "weekly", "--method",
                        "pre-ticked", "u@example.org")
        self.assertIn("unproven", done.stdout)
        self.assertEqual(self.check("u@example.org"), "unproven")

    def test_mistakes(self):
        self.ctl("grant", "--list", "weekly", code=64)
        self.ctl("grant", "x@example.org", code=64)
        self.ctl("grant", "--list", "weekly", "--at", "soon",
                 "x@example.org", code=64)
        self.ctl("grant", "--list", "weekly", "--at", "2999-01-01",
                 "x@example.org", code=64)
        self.ctl("withdraw", "x@example.org", code=64)
        self.ctl("object", "--list", "weekly", "x@example.org", code=64)
        self.ctl("confirm", "--list", "weekly", "--source", "x",
                 "x@example.org", code=64)
        done = self.ctl("grant", "--list", "weekyl", "x@example.org", code=65)
        self.assertIn('did you mean "weekly"', done.stderr)
        done = self.ctl("grnat", code=64)
        self.assertIn("did you mean 'grant'?", done.stderr)
        # a bad address is reported, the others are done
        done = self.ctl("grant", "--list", "weekly", "no address",
                        "good@example.org", code=65)
        self.assertIn("no address", done.stderr)
        self.assertEqual(self.check("good@example.org"), "granted")

    def test_help(self):
        for args in (["--help"], ["--version"], ["grant", "--help"],
                     ["import", "--help"], ["log", "--help"],
                     ["keygen", "--help"], ["rebuild", "--help"],
                     ["show", "--help"], ["explain", "--help"]):
            self.assertTrue(self.ctl(*args).stdout)
        self.ctl(code=64)

    # -- looking

    def test_show(self):
        self.filter.grant("Show@example.org", at="2026-01-05T09:00:00Z",
                          source="shop", method="web-form", language="en",
                          notice="n1 v2 & more = 100%", basis="consent",
                          guardian="parent", ip="192.0.2.0")
        shown = json.loads(self.ctl("show", "Show@example.org",
                                    "--json").stdout)
        self.assertEqual(shown["canonical"], "show@example.org")
        weekly = [e for e in shown["lists"] if e["list"] == "weekly"][0]
        self.assertEqual(weekly["granted_at"], "2026-01-05T09:00:00.000Z")
        self.assertEqual((weekly["allowed"], weekly["reason"]),
                         (True, "granted"))
        self.assertEqual(weekly["evidence"], {
            "source": "shop", "method": "web-form", "language": "en",
            "notice": "n1 v2 & more = 100%", "basis": "consent",
            "guardian": "parent", "ip": "192.0.2.0"})
        self.assertEqual(shown["controller"]["name"], "Example AB")
        text = self.ctl("show", "show@example.org").stdout
        self.assertIn("allowed", text)
        self.assertNotIn("\033", text)

    def test_no_address_in_redis_or_ledger(self):
        self.filter.grant("secretive@example.org")
        for key in self.redis.call("KEYS", "*"):
            self.assertRegex(key.decode(), r"^c:([0-9a-f]{32}|applied)$")
            self.assertNotIn(b"secretive", b"".join(
                self.redis.call("HGETALL", key)))
        for path in glob.glob(f"{self.ledger}/*.jsonl"):
            self.assertNotIn("secretive", read_text(path))

    def test_explain(self):
        message = ("From: a@b.c\nList-Id: W\n <weekly.news.example.com>\n\n"
                   "List-Id: body\n")
        self.filter.grant("ex@example.org")
        done = json.loads(self.ctl(
            "explain", "--json", "ex@example.org", "none@example.org",
            input=message).stdout)
        self.assertEqual((done["class"], done["list"], done["stage"],
                          done["rule"]),
                         ("listed", "weekly", "eom", "weekly:match:3"))
        self.assertEqual([(r["action"], r["reason"])
                          for r in done["recipients"]],
                         [("accept", "granted"), ("remove", "no-consent")])
        text = self.ctl("explain", "-f", "x@news.example.com",
                        "none@example.org", input="Subject: x\n\n").stdout
        self.assertIn("weekly:match:1", text)
        self.assertIn("reject", text)
        text = self.ctl("explain", "-f", "", "none@example.org",
                        input=message).stdout
        self.assertIn("null-sender", text)

    # -- import

    def test_csv(self):
        path, done = self.import_text(
            "\ufeffList,Address,at,confirmed_at,withdrawn_at,objected_at,"
            "source,method\r\n"
            "weekly,c1@example.org,2026-01-05T09:00:00Z,,,,\"a \"\"b\"\"\","
            "web-form\r\n"
            "\r\n"
            "double,c2@example.org,2026-01-05,2026-01-06,,,,\r\n"
            "weekly,c3@example.org,2026-01-05,,2026-02-01,,,\r\n"
            "weekly,c4@example.org,2026-01-05,,,2026-02-01,,\r\n"
            "weekly,c5@example.org,2026-01-05,,,,,unknown\r\n"
            "weekly,c6@example.org,,,,,\"two\nlines\",\r\n"
            "weekly,\"C7@Example.org\",,,,,,", code=1)
        self.assertIn("6 rows imported, 1 refused", done.stdout)
        self.assertIn(":8: source has a control character", done.stderr)
        for address, list_id, want in (
                ("c1", "weekly", "granted"), ("c2", "double", "granted"),
                ("c3", "weekly", "withdrawn"), ("c4", "weekly", "objected"),
                ("c5", "weekly", "unproven"), ("c7", "weekly", "granted")):
            self.assertEqual(self.check(f"{address}@example.org", list_id),
                             want, address)

    def test_refused_rows_by_line(self):
        path, done = self.import_text(
            "address,list,at,confirmed_at\n"                    # 1
            "good@example.com,weekly,2026-01-05,\n"             # 2
            "bad address,weekly,2026-01-05,\n"                  # 3
            "x@example.com,weekyl,2026-01-05,\n"                # 4
            "x@example.com,weekly,yesterday,\n"                 # 5
            "x@example.com,weekly,2999-01-05,\n"                # 6
            "x@example.com,weekly,2026-01-05\n"                 # 7
            "x@example.com,weekly,2026-01-05,,more\n"           # 8
            "x@example.com,weekly,2026-01-05,2026-01-01\n"      # 9
            ",weekly,2026-01-05,\n"                             # 10
            "x@example.com,,2026-01-05,\n"                      # 11
            "\"x@example.com\"y,weekly,2026-01-05,\n"           # 12
            "last@example.com,weekly,2026-01-05,\n", code=1)    # 13
        lines = done.stderr.strip().splitlines()
        self.assertEqual([int(line.split(":")[1]) for line in lines],
                         [3, 4, 5, 6, 7, 8, 9, 10, 11, 12], done.stderr)
        self.assertTrue(all(line.startswith(path) for line in lines))
        self.assertIn("2 rows imported, 10 refused", done.stdout)
        self.assertEqual(self.check("good@example.com"), "granted")
        self.assertEqual(self.check("last@example.com"), "granted")

    def test_wrong_header(self):
        for header in ("adress,list", "address,at", "address,list,list",
                       "a\"b,c"):
            _, done = self.import_text(f"{header}\nx@y.example,weekly\n",
                                       code=65)
        _, done = self.import_text("adress,list\n", code=65)
        self.assertIn('did you mean "address"', done.stderr)

    def test_json_lines(self):
        rows = [{"address": "j1@example.org", "list": "weekly",
                 "at": "2026-01-05T09:00:00+02:00", "source": "app"},
                {"address": "j2@example.org", "list": "weekly",
                 "at": None},
                {"address": "j3@example.org", "list": "weekly",
                 "at": 5}, ["x"], {"adres": "x"}]
        _, done = self.import_text("\n\n".join(map(json.dumps, rows)) +
                                   "\n{broken\n", "--json", code=1)
        summary = json.loads(done.stdout)
        self.assertEqual((summary["imported"], summary["refused"]), (2, 4))
        self.assertEqual(self.check("j1@example.org"), "granted")
        self.assertEqual(self.check("j2@example.org"), "granted")

    def test_never_over_an_opt_out(self):
        self.filter.withdraw("gone@example.org")
        self.ctl("object", "gone2@example.org")
        text = ("address,list,at\ngone@example.org,weekly,2020-01-01\n"
                "gone@example.org,weekly,\ngone2@example.org,weekly,\n")
        _, done = self.import_text(text, code=1)
        self.assertIn(":3: this person opted out", done.stderr)
        self.assertIn(":4: this person opted out", done.stderr)
        self.assertEqual(self.check("gone@example.org"), "withdrawn")
        self.assertEqual(self.check("gone2@example.org"), "objected")

    def test_timeless_row_and_opt_out_in_one_file(self):
        """Whatever stands first, whether in one batch or in two."""
        header = "address,list,withdrawn_at\n"
        timeless, out = "{},weekly,\n", "{},weekly,2026-01-05\n"
        filler = "".join(f"f{i}@example.net,weekly,\n" for i in range(1500))
        for i, order in enumerate(([timeless, out], [out, timeless],
                                   [timeless, filler, out],
                                   [out, filler, timeless])):
            address = f"mixed{i}@example.org"
            self.filter.ctl("import", "-", check=False, input=header +
                            "".join(order).replace("{}", address))
            self.assertEqual(self.check(address), "withdrawn", str(i))

    def test_hostile_files(self):
        cases = [b"", b"\n\n", b"\0\0\0", b"\xff\xfe\xfd",
                 b"address,list\n" + b"\"" + b"x" * 200000,
                 b"address,list\n" + b"x" * 200000 + b"\nh@example.org,weekly",
                 b"address,list\nx\0y@example.org,weekly\n",
                 b"{\"address\":\"" + b"x" * 200000 + b"\"}\n",
                 b"{" * 100000, b"address,list\n" + b"," * 70000,
                 b"address,list\n=cmd|' /C calc'!A0,weekly\n"]
        for i, data in enumerate(cases):
            path = os.path.join(self.filter.dir, "hostile")
            with open(path, "wb") as f:
                f.write(data)
            done = self.filter.ctl("import", path, check=False)
            with self.subTest(i):
                self.assertIn(done.returncode, (0, 1, 65), done.stderr)
        self.assertEqual(self.check("h@example.org"), "granted")

    def test_dry_run(self):
        before = read_text(glob.glob(f"{self.ledger}/*.jsonl")[0]) \
            if glob.glob(f"{self.ledger}/*.jsonl") else ""
        self.import_text("address,list\ndry@example.org,weekly\n",
                         "--dry-run")
        self.assertEqual(self.check("dry@example.org"), "no-consent")
        after = "".join(map(read_text, glob.glob(f"{self.ledger}/*.jsonl")))
        self.assertNotIn("dry", after)
        self.assertTrue(after.startswith(before))

    def test_big_import_and_rebuild(self):
        text = "address,list,at,source\n" + "".join(
            f"p{i}@example.org,weekly,2026-01-05T09:00:00Z,shop\n"
            for i in range(20000))
        _, done = self.import_text(text)
        self.assertIn("20000 rows imported", done.stdout)
        keys = self.redis.call("DBSIZE")
        self.redis.call("FLUSHALL")
        self.assertEqual(self.check("p77@example.org"), "no-consent")
        self.ctl("rebuild")
        self.assertEqual(self.redis.call("DBSIZE"), keys)
        self.assertEqual(self.check("p77@example.org"), "granted")

    def test_interrupted_import(self):
        reader, writer = os.pipe()
        child = subprocess.Popen([program("consentctl"), "-c",
                                  self.filter.config_path, "import", "-"],
                                 stdin=reader, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True)
        os.close(reader)
        os.write(writer, b"address,list\n" + b"".join(
            b"i%d@example.org,weekly\n" % i for i in range(1500)))
        wait_for(lambda: self.check("i999@example.org") == "granted", 10,
                 "the first batch")
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=20)
        os.close(writer)
        self.assertEqual(child.returncode, 75, err)
        self.assertIn("interrupted at line", err)
        self.assertEqual(self.check("i1400@example.org"), "granted")

    # -- Redis away

    def test_recorded_while_redis_is_away(self):
        self.filter.grant("away@example.org")
        self.redis.stop()
        try:
            done = self.ctl("withdraw", "--list", "weekly",
                            "away@example.org", code=75)
            self.assertIn("recorded", done.stderr)
            done = self.filter.ctl("check", "--list", "weekly",
                                   "away@example.org", check=False)
            self.assertEqual((done.returncode, done.stdout),
                             (69, "store-failure\n"))
            self.ctl("show", "away@example.org", code=69)
            self.ctl("rebuild", code=69)
        finally:
            self.redis.start()
        self.ctl("rebuild")
        self.assertEqual(self.check("away@example.org"), "withdrawn")

    def test_next_command_applies_what_waits(self):
        self.filter.grant("wait@example.org")
        self.redis.sigstop()
        try:
            self.ctl("withdraw", "--list", "weekly", "wait@example.org",
                     code=75)
        finally:
            self.redis.cont()
        self.assertEqual(self.check("wait@example.org"), "granted")
        self.filter.grant("somebody.else@example.org")
        self.assertEqual(self.check("wait@example.org"), "withdrawn")

    def test_many_at_once(self):
        in_threads(8, lambda i: [self.filter.grant(f"m{i}-{k}@example.org")
                                 for k in range(5)])
        for i in range(8):
            for k in range(5):
                self.assertEqual(self.check(f"m{i}-{k}@example.org"),
                                 "granted")
        seq = int(read_text(f"{self.ledger}/.applied"))
        last = read_text(sorted(glob.glob(f"{self.ledger}/*.jsonl"))[-1])
        self.assertEqual(seq, json.loads(last.splitlines()[-1])["seq"])

    def test_killed_between_ledger_and_redis(self):
        """kill -9 at any moment: what the ledger has, Redis gets."""
        for i in range(15):
            child = subprocess.Popen(
                [program("consentctl"), "-c", self.filter.config_path,
                 "grant", "--list", "weekly", f"k{i}@example.org"])
            time.sleep(0.004 * i)
            child.kill()
            child.wait()
        self.filter.grant("after@example.org")
        ledger = "".join(map(read_text, sorted(glob.glob(
            f"{self.ledger}/*.jsonl"))))
        subjects = {json.loads(line)["subject"]
                    for line in ledger.splitlines() if '"event":' in line}
        for subject in subjects:
            self.assertEqual(self.redis.call("EXISTS", f"c:{subject}"), 1)

    def test_unreadable_ledger_line(self):
        self.filter.grant("before@example.org")
        path = sorted(glob.glob(f"{self.ledger}/*.jsonl"))[-1]
        text = read_text(path)
        broken = text.replace('"event":"grant"', '"event":"grnat"', 1)
        with open(path, "w") as f:
            f.write(broken)
        self.redis.call("FLUSHALL")
        done = self.ctl("rebuild", code=65)
        self.assertIn("can't be read", done.stderr)
        self.assertEqual(self.check("before@example.org"), "granted")
        with open(path, "w") as f:
            f.write(text)
        self.ctl("rebuild")

    # -- keys

    def test_keygen_never_overwrites(self):
        key = os.path.join(self.filter.keys_dir, "pseudonym.key")
        before = read_text(key)
        self.assertIn("all keys are there", self.ctl("keygen").stdout)
        self.assertEqual(read_text(key), before)
        self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)

    def test_token(self):
        done = self.ctl("token", "--list", "weekly", "--mailto",
                        "t@example.org").stdout.split()
        self.assertRegex(done[0],
                         r"^https://news\.example\.com/u/[\w-]{51}$")
        self.assertRegex(done[1], r"^mailto:u\+[a-z2-7]{61}@news\."
                         r"example\.com$")
