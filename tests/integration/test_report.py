# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""What the auditor and the manager read."""
import collections
import copy
import csv
import glob
import html.parser
import io
import json
import os
import random
import re
import shutil
import subprocess
import time

from rig import Filter, Redis, TestCase, WEEKLY, program

NAME = "A <script>alert(1)</script> & \"B\" \u00e4"
LISTS = [copy.deepcopy(WEEKLY),
         {"id": "odd", "name": NAME,
          "match": [{"sender": "*@odd.example.com"}]}]
ACTIONS = ["accept", "reject", "remove", "tempfail"]
REASONS = ["granted", "no-consent", "pending", "withdrawn", "expired",
           "objected", "erased", "restricted", "unproven", "store-failure",
           "unlisted-bulk", "not-bulk", "exempt", "second-recipient"]
VOID = {"meta", "rect", "line", "br", "link", "img"}


class Page(html.parser.HTMLParser):
    """Well-formed, inert, and what its tables say."""

    def __init__(self, text):
        super().__init__()
        self.open, self.faults, self.tables = [], [], []
        self.style, self.cell = "", None
        self.feed(text)
        self.close()
        if self.open:
            self.faults.append(f"open at the end: {self.open}")

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "iframe", "object", "img", "link", "base",
                   "form"):
            self.faults.append(f"<{tag}>")
        for name, value in attrs:
            if name.startswith("on") or name in ("src", "href", "style"):
                self.faults.append(f"{name}={value}")
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.cell = ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}>")
        if tag in ("td", "th"):
            self.tables[-1][-1].append(self.cell)
            self.cell = None

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            self.style += data
        if self.cell is not None:
            self.cell += data


def number(text):
    return int(text.replace("\u202f", ""))


class Report(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, lists=LISTS)

    def run_report(self, *args, code=0, **options):
        done = self.filter.ctl("report", *args, check=False, **options)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout

    def mail(self, sender, *recipients):
        with self.filter.client() as client:
            client.connect()
            client.helo()
            client.mail(f"<{sender}>")
            for r in recipients:
                client.rcpt(f"<{r}>")

    def elsewhere(self, *args, code=0):
        """With no configuration at all."""
        done = subprocess.run(
            [program("consentctl"), "-c", "/nonexistent", "report", *args],
            capture_output=True, text=True, timeout=60, cwd="/")
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout

    def forge(self, days=40, seed=1):
        """Logs as another host may have them, or a liar."""
        rng = random.Random(seed)
        top = os.path.join(self.filter.dir, f"forged{seed}")
        shutil.rmtree(top, ignore_errors=True)
        os.makedirs(os.path.join(top, "ledger"))
        counts = collections.Counter()
        start = int(time.time()) // 86400 - days + 1

        def line(seq, kind, body):
            object_ = {"seq": seq, "type": kind, **body,
                       "salt": f"{rng.getrandbits(128):032x}",
                       "digest": f"{rng.getrandbits(256):064x}",
                       "chain": f"{rng.getrandbits(256):064x}"}
            return json.dumps(object_, separators=(",", ":"),
                              ensure_ascii=False) + "\n"

        def day(i):
            return time.strftime("%Y-%m-%d", time.gmtime((start + i) * 86400))

        lists = ["weekly", None, "=cmd|'/c calc'!A0", "<b>x</b>\u202e",
                 "l" * 300, "\u001b[31mred"]
        with open(os.path.join(top, "decisions-20260101-000001.jsonl"),
                  "w", encoding="utf-8") as f:
            seq = 0
            for i in range(days):
                for _ in range(30 + 20 * (i % 7)):
                    seq += 1
                    where = rng.choice(lists)
                    action = rng.choice(["", "would-"]) + rng.choice(ACTIONS)
                    reason = rng.choice(REASONS)
                    counts[day(i), where or "", action, reason] += 1
                    f.write(line(seq, "decision", {
                        "time": f"{day(i)}T00:00:00.000Z", "list": where,
                        "action": action, "reason": reason}))
        with open(os.path.join(top, "ledger", "ledger-20260101-000001.jsonl"),
                  "w", encoding="utf-8") as f:
            seq = 0
            for i in range(days):
                for kind in ["grant"] * (i % 5) + ["withdraw"] * (i % 3) + \
                        ["object", "erase"][:i % 3]:
                    seq += 1
                    body = {"time": f"{day(days - 1)}T00:00:00.000Z",
                            "event": kind}
                    if kind in ("grant", "withdraw"):
                        body["list"] = "weekly"
                    f.write(line(seq, "event", {
                        **body, "subject": f"{rng.getrandbits(128):032x}",
                        "at": f"{day(i)}T00:00:00Z"}))
        return top, counts, day(0)

    # -- what the filter wrote

    def test_formats_agree_with_what_was_sent(self):
        before = json.loads(self.run_report("--format", "json"))["totals"]
        self.filter.grant("in@example.org")
        self.mail("n@news.example.com", "in@example.org", "out@example.org",
                  "out2@example.org")
        self.mail("x@odd.example.com", "in@example.org")
        self.filter.ctl("object", "angry@example.org")
        self.filter.stop()
        told = json.loads(self.run_report("--format", "json"))
        totals = told["totals"]
        for name, more in (("decisions", 4), ("accepted", 1),
                           ("refused", 3), ("deferred", 0), ("requests", 1),
                           ("events", 2)):
            self.assertEqual(totals[name] - before[name], more, name)
        today = time.strftime("%Y-%m-%d", time.gmtime())
        self.assertIn({"day": today, "list": "odd", "action": "reject",
                       "reason": "no-consent", "count": 1},
                      told["decisions"])
        self.assertEqual([c["state"] for c in told["chains"]],
                         ["good", "good"])
        self.assertTrue(told["checked_with_key"])
        rows = list(csv.DictReader(io.StringIO(
            self.run_report("--format", "csv"))))
        self.assertEqual(sum(int(r["count"]) for r in rows
                             if r["table"] == "decision"),
                         totals["decisions"])
        text = self.run_report()
        self.assertRegex(text, rf"{totals['decisions']} decisions")
        self.assertRegex(text, r"odd +0 +1 +0 +0")
        page = self.run_report("--format", "html")
        self.assertEqual(Page(page).faults, [])
        self.assertIn("&lt;script&gt;alert(1)&lt;/script&gt;", page)
        self.assertIn("\u00e4", page)
        # Nothing about one person, in any form.
        for out in (text, page, json.dumps(told),
                    self.run_report("--format", "csv")):
            self.assertNotIn("example.org", out)
            self.assertNotRegex(out, r"\b[0-9a-f]{32}\b")
        only = json.loads(self.run_report("--format", "json", "--list",
                                          "odd"))
        self.assertEqual(only["totals"]["decisions"], 1)
        self.filter.start()

    def test_empty_period(self):
        for form in ("text", "csv", "json", "html"):
            out = self.run_report("--since", "2001-01-01", "--until",
                                  "2001-02-01", "--format", form)
            if form == "json":
                self.assertEqual(json.loads(out)["totals"]["decisions"], 0)
            if form == "html":
                self.assertEqual(Page(out).faults, [])

    def test_mistakes(self):
        for wrong in (["--format", "pdf"], ["--since", "soon"], ["x"],
                      ["--since", "2026-01-02", "--until", "2026-01-01"],
                      ["--since", "1970-01-01", "--until", "9999-01-01"]):
            self.run_report(*wrong, code=64)
        self.run_report("--dir", "/nonexistent", code=66)
        self.run_report("--key", "/nonexistent", code=78)

    def test_late_request(self):
        self.filter.ctl("object", "--at", time.strftime(
            "%Y-%m-%dT00:00:00Z", time.gmtime(time.time() - 60 * 86400)),
            "late@example.org")
        told = json.loads(self.run_report("--since", "90 days", "--format",
                                          "json"))
        late = [q for q in told["requests"] if q["late"]]
        self.assertEqual(len(late), 1)
        self.assertEqual(told["totals"]["requests_late"], 1)
        self.assertLess(late[0]["due_at"], late[0]["recorded_at"])
        self.assertIn("late", self.run_report("--since", "90 days"))

    # -- what others may have written

    def test_forged_logs(self):
        top, counts, first = self.forge()
        args = ("--dir", top, "--since", first)
        told = json.loads(self.elsewhere(*args, "--format", "json", code=1))
        self.assertEqual(
            {(r["day"], r["list"], r["action"], r["reason"]): r["count"]
             for r in told["decisions"]}, dict(counts))
        self.assertEqual([c["state"] for c in told["chains"]],
                         ["BROKEN", "BROKEN"])
        rows = list(csv.DictReader(io.StringIO(
            self.elsewhere(*args, "--format", "csv", code=1))))
        self.assertEqual(sum(int(r["count"]) for r in rows
                             if r["table"] == "decision"),
                         sum(counts.values()))
        for row in rows:
            for cell in row.values():
                self.assertNotIn(cell[:1], set("=+-@\t"))
        text = self.elsewhere(*args, code=1)
        self.assertNotIn("\x1b", text)
        for row in text.splitlines():
            self.assertLessEqual(len(row), 80, row)
        for reason in REASONS:
            self.assertIn(reason, text)
        out = self.elsewhere(*args, "--format", "html", code=1)
        page = Page(out)
        self.assertEqual(page.faults, [])
        self.assertNotIn("url(", page.style)
        self.assertNotIn("http", out.replace("http-equiv", ""))
        self.assertLess(len(out), 200_000)
        by_day = page.tables[0]
        self.assertEqual(by_day[0][0], "day")
        self.assertEqual(sum(number(row[-1]) for row in by_day[1:]),
                         sum(counts.values()))
        # No two labels below a chart are over each other.
        for chart in out.split("<svg")[1:]:
            at = [float(x) for x in re.findall(
                r'<text x="([0-9.]+)" y="222"', chart)]
            for a, b in zip(at, at[1:]):
                self.assertGreater(b - a, 60)

    def test_would_with_forged_logs(self):
        """Every format stands whatever a log holds, and counts all of it."""
        top = self.rig.subdir("would")
        os.mkdir(os.path.join(top, "ledger"))
        rng = random.Random(7)
        nasty = ["=1+1", "<script>x</script>", "\u001b[31m", "a" * 5000,
                 "\u202e", "n@news.example.com"]
        blocked = passed = 0
        with open(os.path.join(top, "decisions-20260101-000001.jsonl"), "w",
                  encoding="utf-8") as f:
            for seq in range(1, 3001):
                action = rng.choice(["would-accept", "would-reject",
                                     "would-remove", "would-tempfail"])
                blocked += action != "would-accept"
                passed += action == "would-accept"
                # Far more senders than are kept apart.
                sender = rng.choice(nasty) if rng.random() < 0.05 else \
                    f"x@s{seq}.example.com"
                f.write(json.dumps({
                    "seq": seq, "type": "decision",
                    "time": "2026-01-02T00:00:00.000Z",
                    "list": rng.choice(["weekly", None, nasty[1], nasty[3]]),
                    "action": action, "reason": rng.choice(REASONS),
                    "sender": sender, "client": rng.choice(nasty + [None]),
                    "auth": rng.choice(nasty + [None]),
                    "queue_id": rng.choice(["A1", "B2", None]),
                    "recipient": rng.choice(nasty), "ref": "R1",
                    "salt": "0" * 32, "digest": "0" * 64, "chain": "0" * 64},
                    separators=(",", ":")) + "\n")
        period = ["--would", "--since", "2026-01-01", "--until", "2026-01-03"]
        told = json.loads(self.elsewhere("--dir", top, "--format", "json",
                                         *period))
        self.assertEqual(sum(x["would_block"] for x in told["lists"]),
                         blocked)
        self.assertEqual(sum(x["would_accept"] for x in told["lists"]),
                         passed)
        self.assertEqual(sum(x["recipients"] for x in told["blocked"]),
                         blocked)
        self.assertLess(len(told["blocked"]), 2500)
        self.assertIn("(other senders)", {x["domain"]
                                          for x in told["blocked"]})
        page = self.elsewhere("--dir", top, "--format", "html", *period)
        self.assertEqual(Page(page).faults, [])
        rows = list(csv.DictReader(io.StringIO(self.elsewhere(
            "--dir", top, "--format", "csv", *period))))
        self.assertEqual(sum(int(r["recipients"]) for r in rows), blocked)
        self.assertFalse([r for r in rows if r["sender"].startswith("=")])
        text = self.elsewhere("--dir", top, *period)
        self.assertNotIn("\x1b", text)
        self.assertRegex(text, "weekly: not ready, [0-9]+ would have been")

    def test_long_periods(self):
        top, counts, first = self.forge(days=400, seed=2)
        for since, unit in ((first, "week"), ("2020-01-01", "year"),
                            ("2023-06-01", "month")):
            page = Page(self.elsewhere("--dir", top, "--since", since,
                                       "--format", "html", code=1))
            self.assertEqual(page.faults, [])
            self.assertIn(unit, page.tables[0][0][0])
            self.assertEqual(sum(number(row[-1])
                                 for row in page.tables[0][1:]),
                             sum(counts.values()))

    def test_damaged_and_blanked(self):
        self.filter.grant("gone@example.org")
        self.mail("n@news.example.com", "gone@example.org")
        self.filter.ctl("erase", "gone@example.org")
        told = json.loads(self.run_report("--format", "json"))
        self.assertGreaterEqual(told["totals"]["blanked"], 1)
        self.assertEqual(told["chains"][1]["state"], "good")
        top = os.path.join(self.filter.dir, "damaged")
        shutil.copytree(self.filter.audit_dir, top)
        path = sorted(glob.glob(os.path.join(top, "decisions-*.jsonl")))[0]
        with open(path, "ab") as f:
            f.write(b"{\"seq\":1,\xff\xfe\n\x00\n")
        told = json.loads(self.elsewhere("--dir", top, "--format", "json",
                                         code=1))
        self.assertEqual(told["totals"]["unreadable_lines"], 2)
        self.assertEqual(told["chains"][1]["state"], "BROKEN")
        told = json.loads(self.elsewhere("--dir", top, "--no-verify",
                                         "--format", "json", code=65))
        self.assertEqual(told["chains"][1]["state"], "not checked")
