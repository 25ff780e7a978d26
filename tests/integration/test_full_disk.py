# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The disk of the ledger and of the decision log runs full in mid-campaign,
while people click; in the morning somebody makes room."""
import contextlib
import glob
import json
import os
import subprocess
import threading
import time

from rig import (Filter, Postfix, Redis, Sink, TestCase, Web, in_threads,
                 make_message, verify_chain, wait_for)

MIB = 1 << 20
FREE = "consent_%s_journal_free_bytes{journal=\"%s\"}"
FAILED = "consent_%s_journal_failures_total{journal=\"%s\"}"
DECISIONS = ("milter", "decisions")
LEDGER = ("web", "ledger")
WRITABLE = "consent_web_ledger_writable"
OPT_OUTS_FAILED = "consent_web_opt_outs_failed_total"
UNAPPLIED = "consent_web_unapplied_entries"


class FullAtNight(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, start=False, metrics=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs",
                        cls.filter.audit_dir], check=True)
        cls.rig.on_close(lambda: subprocess.run(
            ["umount", "-l", cls.filter.audit_dir], check=False))
        cls.web = Web(cls.rig, cls.filter, metrics=True)
        cls.filter.start()
        cls.sink = Sink(cls.rig)
        cls.postfix = Postfix(cls.rig, cls.sink, [cls.filter])
        cls.ballast = os.path.join(cls.filter.audit_dir, "ballast")
        cls.readers = [f"yes{i}@example.org" for i in range(40)]
        cls.others = [f"no{i}@example.org" for i in range(20)]
        # These click until they are heard, those only once.
        cls.leavers = [f"out{i}@example.org" for i in range(40)]
        cls.once = [f"once{i}@example.org" for i in range(10)]
        cls.filter.grant(*cls.readers, *cls.leavers, *cls.once)
        cls.links = {a: cls.web.link(a) for a in cls.leavers + cls.once}

    def setUp(self):
        self.is_day = threading.Event()
        self.acknowledged = {}          # address: when
        self.refused_clicks = 0
        self.done = {}                  # (address, number): reply
        self.deferred = []              # replies
        self.given = []                 # to sendmail(1)

    # -- what goes on meanwhile

    def fill(self):
        with open(self.ballast, "ab", buffering=0) as f:
            for size in (1 << 20, 4096):
                try:
                    while f.write(bytes(size)) > 0:
                        pass
                except OSError:
                    pass                # that was the aim

    def click(self, address):
        status = self.web.click(self.links[address]).status
        if status == 200:
            self.acknowledged.setdefault(address, time.monotonic())
        else:
            self.assertEqual(status, 503)
            self.refused_clicks += 1
        return status == 200

    def people(self):
        """Each tries again until it works, as mailbox providers do."""
        left = list(self.leavers)
        while left:
            address = left.pop(0)
            if not self.click(address):
                left.append(address)
            time.sleep(0.03)

    def sender(self, recipients):
        """A message each, again after a deferral; more until it is day, and
        once more then."""
        left, number, is_over = [(a, 0) for a in recipients], 0, False
        while left or not is_over:
            is_over = self.is_day.is_set()
            if not left:
                number += 1
                left = [(a, number) for a in recipients]
            left = [one for one in left if not self.send(*one)]

    def send(self, address, number):
        began = time.monotonic()
        sent = self.postfix.send(
            "n@news.example.com", address, make_message(
                to=address, fields=[("X-Number", f"{address} {number}")]))
        reply = sent.end or sent.rcpt.get(address) or sent.mail
        self.assertIn(reply.code, (250, 550, 451), reply)
        if reply.code == 451:
            self.deferred.append(reply)
            time.sleep(0.02)
            return False
        self.done[address, number] = reply.code
        # An acknowledged opt-out holds from the next second on.
        clicked = self.acknowledged.get(address)
        if clicked is not None and began > clicked + 1:
            self.assertEqual(reply.code, 550, address)
        return True

    def local(self, address):
        """sendmail(1) has taken it, so that it is for Postfix to keep."""
        self.given.append(address)
        self.postfix.sendmail("n@news.example.com", [address], make_message(
            to=address, fields=[("X-Number", f"{address} local")]))

    # -- what is said of it

    def problems(self):
        done = self.filter.ctl("status", "--json", check=False)
        return {d["program"]: d["status"]["problems"]
                for d in json.loads(done.stdout)["daemons"]}

    def disk(self):
        done = self.filter.ctl("doctor", "--json", check=False)
        [disk] = [c for c in json.loads(done.stdout)["checks"]
                  if c["check"] == "disk"]
        return disk

    def assert_well(self):
        wait_for(lambda: self.problems() == {
            "consent-milter": [], "consent-web": []}, 20, "both to be well")
        self.assertEqual(self.disk()["status"], "ok")
        self.assertGreater(self.filter.numbers()[FREE % DECISIONS], 16 * MIB)
        numbers = self.web.numbers()
        self.assertGreater(numbers[FREE % LEDGER], 16 * MIB)
        self.assertEqual(numbers[WRITABLE], 1)
        self.assertEqual(self.web.request("GET", "/healthz").status, 200)

    def assert_told(self):
        """Whatever an admin asks names the disk."""
        told = self.problems()
        self.assertIn("disk-full", told["consent-milter"])
        self.assertIn("disk-full", told["consent-web"])
        text = self.filter.ctl("status", check=False).stdout
        self.assertEqual(text.count("disk-full"), 2, text)
        disk = self.disk()
        self.assertEqual(disk["status"], "fail")
        self.assertIn("is full", disk["text"])
        numbers = self.filter.numbers()
        # A batch that was taken back may have left a block.
        self.assertLess(numbers[FREE % DECISIONS], MIB)
        self.assertGreater(numbers[FAILED % DECISIONS], 0)
        wait_for(lambda: self.web.request("GET", "/healthz").body ==
                 b"disk-full\n", text="consent-web to name it")
        numbers = self.web.numbers()
        self.assertLess(numbers[FREE % LEDGER], MIB)
        self.assertGreater(numbers[FAILED % LEDGER], 0)
        self.assertEqual(numbers[WRITABLE], 0)
        self.assertGreater(numbers[OPT_OUTS_FAILED], 0)
        for log in (self.filter.log(), self.web.log()):
            self.assertIn("No space left on device", log)

    def night(self):
        try:
            wait_for(lambda: len(self.acknowledged) > 10 and
                     len(self.done) > 10, 20, "the evening")
            self.fill()
            wait_for(lambda: len(self.deferred) > 10 and
                     self.refused_clicks > 10, 20, "the disk to be missed")
            for address in self.readers[:3] + self.others[:1]:
                self.local(address)
            self.unheard = [a for a in self.once if not self.click(a)]
            self.assertTrue(self.unheard)
            self.assert_told()
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.ballast)
            self.is_day.set()
        self.assert_well()

    # -- and what is there in the morning

    def allowed(self, address):
        return self.filter.ctl("check", "--list", "weekly", address,
                               check=False).stdout.strip()

    def recorded(self):
        """How many opt-outs the ledger has, and not by our word."""
        found = 0
        for path in glob.glob(os.path.join(
                self.filter.audit_dir, "ledger", "ledger-*.jsonl")):
            with open(path, encoding="utf-8") as f:
                found += sum('"event":"withdraw"' in line for line in f)
        return found

    def check_people(self):
        wait_for(lambda: self.web.numbers()[UNAPPLIED] == 0, 20,
                 "Redis to have all")
        self.assertLessEqual(set(self.leavers), set(self.acknowledged))
        self.assertEqual({self.allowed(a) for a in self.acknowledged},
                         {"withdrawn"})
        self.assertEqual({self.allowed(a) for a in self.unheard},
                         {"granted"})
        self.assertEqual(self.recorded(), len(self.acknowledged))

    def check_mail(self):
        """Who was told 250 has it, once; who was told something else does
        not."""
        wait_for(lambda: self.postfix.flush() or not self.postfix.queue(), 60,
                 "the queue to empty")
        self.postfix.wait_idle(30)
        got = sorted(m.one("X-Number") for m in self.sink.messages
                     if m.sender)
        want = sorted(
            [f"{a} {n}" for (a, n), code in self.done.items() if code == 250] +
            [f"{a} local" for a in self.given if a in self.readers])
        self.assertEqual(got, want)
        self.assertEqual({c for (a, _), c in self.done.items()
                          if a in self.readers}, {250})
        self.assertEqual({c for (a, _), c in self.done.items()
                          if a in self.others}, {550})
        # The sender hears of the one that sendmail(1) took for nobody.
        self.assertEqual(len([m for m in self.sink.messages
                              if not m.sender]), 1)

    def test_through_the_night(self):
        self.assert_well()
        daemons = self.filter.service.pid, self.web.service.pid
        work = [lambda: self.sender(self.readers + self.others),
                lambda: self.sender(self.leavers), self.people, self.night]
        in_threads(len(work), lambda i: work[i]())
        self.check_people()
        self.check_mail()
        for address in self.leavers:
            sent = self.postfix.send("n@news.example.com", address,
                                     make_message(to=address))
            self.assertEqual(sent.rcpt[address].code, 550)
        self.assertEqual(daemons, (self.filter.service.pid,
                                   self.web.service.pid))
        self.assertTrue(self.filter.service.is_running())
        self.assertTrue(self.web.service.is_running())
        self.assertEqual(self.filter.ctl("verify").returncode, 0)
        verify_chain(os.path.join(self.filter.audit_dir, "ledger"), "ledger")
        self.filter.stop()
        verify_chain(self.filter.audit_dir)
        self.filter.start()


if __name__ == "__main__":
    import unittest
    unittest.main()
