# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The fault laboratory in brief (tests/lab/run.py runs it at length), and
whether its checker sees what it should: each promise is broken in a copy of
the evidence of a good run."""
import argparse
import collections
import json
import os
import random
import shutil
import tempfile
import unittest

from lab import checker
from lab.run import Laboratory, run_once
from lab.world import World

# One of each world that the store makes.
FAULTS_IN_BRIEF = ["old-dump-quiet", "freeze-sentinel", "cluster-lagging",
                   "replica-old-dump"]
SECONDS = 2
SEED = 1


class InBrief(unittest.TestCase):
    def test_faults(self):
        laboratory = Laboratory(argparse.Namespace(
            fault=FAULTS_IN_BRIEF, runs=len(FAULTS_IN_BRIEF), seed=SEED,
            seconds=SECONDS, keep=None))
        passed, _ = laboratory.run()
        self.assertEqual(passed, len(FAULTS_IN_BRIEF))


class Broken(unittest.TestCase):
    """Each test changes the evidence and expects a promise to be broken."""

    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="cm-checker-")
        cls.addClassCleanup(shutil.rmtree, cls.top)
        cls.good = os.path.join(cls.top, "good")
        world = World(random.Random(SEED))
        try:
            # Longer where the machine is slow.
            for seconds in 2, 6, 18:
                cls.found = cls.run_in(world, seconds)
                if all(map(cls.deliveries, ("rcpt", "eom"))):
                    break
        finally:
            world.close()

    @classmethod
    def run_in(cls, world, seconds):
        """Leaves the evidence, journals and all, in cls.good."""
        work = os.path.join(cls.top, "work")
        for directory in work, cls.good:
            shutil.rmtree(directory, ignore_errors=True)
        os.mkdir(work)
        found = run_once(world, "none", SEED + seconds, seconds, work)[1]
        shutil.copytree(work, cls.good)
        return found

    @classmethod
    def deliveries(cls, stage):
        """(delivery, its rcpt) of mail to one person, decided there."""
        lines = checker.Evidence(cls.good).lines
        asked = collections.Counter(r["id"] for r in lines["rcpt"])
        return [(d, r) for r in lines["rcpt"] for d in lines["delivery"]
                if r["stage"] == stage and d["id"] == r["id"] and
                d["recipients"] == [r["address"]] and asked[r["id"]] == 1]

    def setUp(self):
        self.directory = os.path.join(self.top, "changed")
        shutil.copytree(self.good, self.directory)
        self.addCleanup(shutil.rmtree, self.directory)
        self.read_history()

    def read_history(self):
        with open(os.path.join(self.good, "history.jsonl")) as f:
            self.history = [json.loads(line) for line in f]

    def write_history(self):
        with open(os.path.join(self.directory, "history.jsonl"), "w") as f:
            for entry in self.history:
                f.write(json.dumps(entry) + "\n")

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def lines(self, what, **fields):
        return [e for e in self.history if e["what"] == what and
                all(e[k] == v for k, v in fields.items())]

    def breaks(self, promise, text=""):
        """Writes the history; the checker has to name this promise, and say
        this of it."""
        self.write_history()
        found = checker.check(self.directory)
        self.assertTrue(any(v.check == promise.__name__ and text in v.text
                            for v in found), found[:20])

    def change_dump(self, name, change):
        with open(self.path(name)) as f:
            dump = json.load(f)
        change(dump)
        with open(self.path(name), "w") as f:
            json.dump(dump, f)

    def a_delivery(self, stage="rcpt"):
        """Of these, the lines of self.history."""
        delivery, rcpt = self.deliveries(stage)[0]
        return (self.history[self.history.index(delivery)],
                self.history[self.history.index(rcpt)])

    def add_change(self, kind, address, begin, end, **more):
        self.history.append({
            "what": "change", "kind": kind, "list": None, "address": address,
            "given_at": None, "acknowledged": True, "complete": False,
            "begin": begin, "end": end, "clock": "right", **more})

    # -- the good run, and what does not count

    def test_nothing_is_found_where_nothing_is(self):
        self.assertEqual(self.found, [])
        self.assertEqual(checker.check(self.directory), [])

    def test_opt_out_that_is_not_a_second_old(self):
        """... or was not acknowledged says nothing."""
        _, rcpt = self.a_delivery()
        for ago, acknowledged in (0.5, True), (3, False):
            opt_out = {"end": rcpt["begin"] - ago,
                       "begin": rcpt["begin"] - ago - 0.01, "list": None,
                       "kind": "object", "address": rcpt["address"],
                       "clock": "right", "acknowledged": acknowledged}
            evidence = checker.Evidence(self.directory)
            evidence.changes[rcpt["address"]].append(
                checker.Change(opt_out, evidence.start))
            self.assertEqual(list(checker.nothing_recorded_nothing_sent(
                evidence)), [])

    # -- nothing recorded, nothing sent

    def test_mail_without_opt_in(self):
        _, rcpt = self.a_delivery()
        self.history = [e for e in self.history if e["what"] != "change" or
                        e["address"] != rcpt["address"]]
        self.breaks(checker.nothing_recorded_nothing_sent)

    def test_mail_after_an_opt_out(self):
        for kind in "withdraw", "object", "erase":
            with self.subTest(kind):
                self.read_history()
                _, rcpt = self.a_delivery()
                end = rcpt["begin"] - 1.2
                for change in self.lines("change", address=rcpt["address"]):
                    change["begin"] = min(change["begin"], end - 1)
                    change["end"] = end - 0.9
                self.add_change(kind, rcpt["address"], end - 0.1, end)
                self.breaks(checker.nothing_recorded_nothing_sent)

    def test_mail_after_an_opt_out_elsewhere(self):
        """... which has a second more."""
        _, rcpt = self.a_delivery()
        end = rcpt["begin"] - 1.5
        for change in self.lines("change", address=rcpt["address"]):
            change["begin"] = min(change["begin"], end - 2)
            change["end"] = end - 1.9
        self.add_change("withdraw", rcpt["address"], end - 0.1, end,
                        elsewhere=True)
        self.write_history()
        evidence = checker.Evidence(self.directory)
        self.assertFalse(any(rcpt["id"] + " " in text for text in
                             checker.nothing_recorded_nothing_sent(evidence)))
        self.history[-1]["end"] -= 0.7
        self.history[-1]["begin"] -= 0.7
        self.breaks(checker.nothing_recorded_nothing_sent)

    def test_mail_after_an_opt_out_that_an_old_import_does_not_undo(self):
        _, rcpt = self.a_delivery()
        begin = rcpt["begin"]
        self.history = [e for e in self.history if e["what"] != "change" or
                        e["address"] != rcpt["address"]]
        self.add_change("withdraw", rcpt["address"], begin - 3, begin - 2.9)
        wall = self.lines("start")[0]
        self.add_change("grant", rcpt["address"], begin - 1, begin - 0.9,
                        list=rcpt["list"], given_at=wall["wall"] - 3600)
        self.breaks(checker.nothing_recorded_nothing_sent)

    def test_opt_in_after_a_confirmation_wants_another(self):
        """... so that nobody has to be granted."""
        evidence = checker.Evidence(self.directory)
        begin = evidence.start["monotonic"] + 900
        for i, (kind, must) in enumerate((("grant", False), ("confirm", True),
                                          ("grant", False))):
            evidence.changes["new@example.org"].append(checker.Change(
                {"kind": kind, "list": "club", "address": "new@example.org",
                 "begin": begin + i, "end": begin + i + 0.5,
                 "acknowledged": True, "clock": "right"}, evidence.start))
            self.assertEqual(evidence.must_be_granted(
                "new@example.org", "club"), must)

    def test_mail_that_was_never_confirmed(self):
        _, rcpt = self.a_delivery()
        for e in self.history:
            if e.get("address") == rcpt["address"] and e.get("list"):
                e["list"] = "club"
        self.breaks(checker.nothing_recorded_nothing_sent)

    def test_accepted_without_mail(self):
        ask = next(a for a in reversed(self.lines("ask"))
                   if a["reply"].startswith("550"))
        self.add_change("withdraw", ask["address"], ask["begin"] - 1.2,
                        ask["begin"] - 1.1)
        ask["reply"] = "250"
        self.history = [e for e in self.history if e["what"] != "change" or
                        e["address"] != ask["address"] or
                        e["kind"] == "withdraw"]
        self.breaks(checker.accepted_is_granted)

    def test_accepted_in_the_end(self):
        probe = next(p for p in reversed(self.lines("probe"))
                     if p["reply"].startswith("550"))
        probe["reply"] = "250 2.1.5 Ok"
        self.history = [e for e in self.history if e["what"] != "change" or
                        e["address"] != probe["address"]]
        self.breaks(checker.filter_answers_rightly_in_the_end)

    def test_opt_out_that_a_frozen_filter_could_not_hear_of(self):
        """... has its second from when it goes on."""
        evidence = checker.Evidence(self.directory)
        evidence.lines["freeze"] = [{"begin": 100, "end": 102}]
        opt_out = checker.Change({"end": 101, "begin": 100.9, "list": None,
                                  "kind": "object", "address": "a",
                                  "clock": "right", "acknowledged": True},
                                 evidence.start)
        for end, holds_by in ((98.9, 99.9), (99.5, 103), (101, 103),
                              (102.1, 103.1)):
            opt_out.end = end
            self.assertAlmostEqual(evidence.holds_by(opt_out), holds_by)

    def refuse_who_opted_in(self):
        """The address; begin and end of the question."""
        ask = next(a for a in reversed(self.lines("ask"))
                   if a["reply"].startswith("250"))
        self.history = [e for e in self.history if e["what"] != "change" or
                        e["address"] != ask["address"]]
        self.add_change("grant", ask["address"], ask["begin"] - 9,
                        ask["begin"] - 8, list="weekly")
        ask["reply"] = "550 5.7.1 has not opted in"
        return ask

    def test_refused_who_opted_in(self):
        ask = self.refuse_who_opted_in()
        self.breaks(checker.nobody_is_refused_who_opted_in,
                    f"[{ask['begin']:.3f}")

    def test_refused_who_opted_in_at_the_end_of_the_message(self):
        _, rcpt = self.a_delivery("eom")
        self.history = [e for e in self.history if e["what"] != "change" or
                        e["address"] != rcpt["address"]]
        self.add_change("grant", rcpt["address"], rcpt["begin"] - 9,
                        rcpt["begin"] - 8, list=rcpt["list"])
        rcpt["final"] = "550 5.7.1 nobody has opted in"
        self.breaks(checker.nobody_is_refused_who_opted_in, "nobody has")

    def test_refused_whom_redis_forgot(self):
        ask = self.refuse_who_opted_in()
        self.history.append({"what": "loss", "begin": ask["begin"] - 0.4,
                             "end": ask["begin"] - 0.3})
        self.write_history()
        self.assertFalse(any(f"[{ask['begin']:.3f}" in text for text in
                             checker.nobody_is_refused_who_opted_in(
                                 checker.Evidence(self.directory))))

    # -- no opt-out is lost

    def recorded(self):
        """A change that was acknowledged, of one who was never erased."""
        erased = {c["address"] for c in self.lines("change", kind="erase")}
        return next(c for c in self.lines("change", acknowledged=True,
                                          kind="withdraw")
                    if c["address"] not in erased)

    def test_opt_out_that_another_one_stands_for(self):
        """It has an event of its own, of when it was asked for."""
        change = self.recorded()
        change["begin"] += 500
        change["end"] += 500
        self.breaks(checker.acknowledged_is_recorded, "no event")

    def test_event_that_nobody_asked_for(self):
        change = self.recorded()
        self.history = [e for e in self.history if e["what"] != "change" or
                        (e["address"], e["kind"], e["list"]) !=
                        (change["address"], change["kind"], change["list"])]
        if not self.lines("change", address=change["address"]):
            self.add_change("confirm", change["address"], 0, 1,
                            acknowledged=False)
        self.breaks(checker.acknowledged_is_recorded, "asked for")

    def test_opt_out_on_a_disk_without_power(self):
        """Nobody hears of it, but for who asked when it still had some."""
        end = max(c["end"] for c in self.lines("probe"))
        self.history.append({"what": "crash", "of": "disk", "begin": end,
                             "cut": end + 0.1, "end": end + 1})
        self.add_change("withdraw", "r1-0@example.org", end + 0.05, end + 0.2,
                        list="other")
        self.write_history()
        self.assertFalse(any("other" in text for text in
                             checker.acknowledged_is_recorded(
                                 checker.Evidence(self.directory))))
        self.history[-1]["begin"] = end + 0.2
        self.history[-1]["end"] = end + 0.3
        self.breaks(checker.acknowledged_is_recorded, "other")

    def test_opt_out_that_is_not_in_the_ledger(self):
        self.add_change("withdraw", "r1-0@example.org", 0, 1, list="other")
        self.breaks(checker.acknowledged_is_recorded)

    def test_opt_out_that_redis_does_not_have(self):
        for name in "settled.json", "rebuilt.json":
            with self.subTest(name):
                evidence = checker.Evidence(self.directory)
                opt_out = next(c for c in self.lines("change", kind="withdraw",
                                                     list="weekly")
                               if not checker.is_erased(evidence,
                                                        c["address"]))
                key = "c:" + evidence.subject(opt_out["address"])
                self.change_dump(name, lambda dump: dump[key].update(
                    weekly="g1764000000000"))
                self.breaks(checker.redis_is_the_ledger)

    def test_key_of_a_cluster(self):
        """... has the first digits of the subject in it, as its node."""
        subject = "ab" + 30 * "0"
        record = {"weekly": "g1764000000000"}
        for key in f"c:{subject}", f"c:{{ab}}{subject}":
            self.assertEqual(checker.records_of_redis({key: record}),
                             {subject: {("weekly", "g"): 1764000000000}})
        for keys in [f"c:{{ba}}{subject}"], \
                [f"c:{subject}", f"c:{{ab}}{subject}"]:
            with self.assertRaises(ValueError):
                checker.records_of_redis({key: record for key in keys})

    def test_record_that_can_not_be_read(self):
        self.change_dump("settled.json", lambda dump: dump.update(
            {"c:" + 32 * "0": {"weekly": "g12 nonsense"}}))
        self.breaks(checker.redis_is_the_ledger)

    def test_granted_in_the_end_after_an_opt_out(self):
        evidence = checker.Evidence(self.directory)
        address = self.a_delivery()[1]["address"]
        self.add_change("object", address, evidence.start["monotonic"] + 900,
                        evidence.start["monotonic"] + 901)
        self.change_dump("rebuilt.json", lambda dump: dump.update(
            {"c:" + evidence.subject(address): {"weekly": "g1764000000000"}}))
        self.breaks(checker.final_state_is_right)

    def test_opt_in_that_is_not_granted_in_the_end(self):
        evidence = checker.Evidence(self.directory)
        address = self.a_delivery()[1]["address"]
        self.add_change("grant", address, evidence.start["monotonic"] + 900,
                        evidence.start["monotonic"] + 901, list="weekly")
        self.change_dump("settled.json", lambda dump: dump.pop(
            "c:" + evidence.subject(address), None))
        self.breaks(checker.final_state_is_right)

    def test_evidence_of_another_grant(self):
        for name in "settled.json", "rebuilt.json":
            with self.subTest(name):
                self.change_dump(name, lambda dump: next(
                    fields for fields in dump.values()
                    if fields.get("weekly", "").startswith("g")).update(
                        {"weekly.e": "g9999999999999 source=shop"}))
                self.breaks(checker.redis_is_the_ledger, "evidence")
                shutil.copy(os.path.join(self.good, name), self.path(name))

    def test_answer_in_the_end_that_redis_does_not_have(self):
        probe = next(p for p in self.lines("probe", list="weekly")
                     if p["reply"].startswith("250"))
        evidence = checker.Evidence(self.directory)
        self.change_dump("settled.json", lambda dump: dump[
            "c:" + evidence.subject(probe["address"])].update(
                weekly="g1 w2"))
        self.breaks(checker.filter_answers_rightly_in_the_end, "Redis has")

    def test_erasure_that_blanked_nothing(self):
        address = self.a_delivery()[1]["address"]
        self.history = [e for e in self.history if e["what"] != "change" or
                        e["address"] != address]
        self.add_change("erase", address,
                        self.lines("start")[0]["monotonic"] + 900,
                        self.lines("start")[0]["monotonic"] + 901,
                        complete=True)
        self.breaks(checker.erased_is_blanked)

    # -- mail is not lost

    def test_mail_that_vanished(self):
        delivery, _ = self.a_delivery()
        self.history.remove(delivery)
        self.breaks(checker.accepted_mail_arrives)

    def test_mail_that_vanished_and_an_erasure(self):
        """... is no excuse where it was decided on before it was taken."""
        delivery, rcpt = self.a_delivery()
        self.history.remove(delivery)
        self.add_change("erase", rcpt["address"], rcpt["end"] + 50,
                        rcpt["end"] + 51, acknowledged=False)
        self.breaks(checker.accepted_mail_arrives)

    def test_mail_that_came_twice(self):
        self.history.append(self.a_delivery()[0])
        self.breaks(checker.accepted_mail_arrives)

    def test_mail_that_was_refused(self):
        for name, stage in ("reply", "rcpt"), ("final", "eom"):
            with self.subTest(stage):
                self.read_history()
                self.a_delivery(stage)[1][name] = "550 5.7.1 no"
                self.breaks(checker.refused_is_not_delivered)

    def test_mail_that_nobody_sent(self):
        self.a_delivery()[0]["recipients"].append("eve@example.org")
        self.breaks(checker.nothing_is_sent_that_nobody_sent)

    def test_mail_that_went_past_the_filter(self):
        for field in "link", "post":
            with self.subTest(field):
                self.read_history()
                self.a_delivery()[0][field] = False
                self.breaks(checker.mail_has_links)

    def test_link_of_one_for_several(self):
        delivery, _ = self.a_delivery()
        self.assertTrue(delivery["post"])
        delivery["recipients"].append("eve@example.org")
        self.breaks(checker.mail_has_links, "one person's")

    # -- the journals

    def change_journal(self, pattern, change):
        path = self.path("audit", pattern)
        directory, prefix = os.path.split(path)
        name = next(n for n in sorted(os.listdir(directory))
                    if n.startswith(prefix) and n.endswith(".jsonl"))
        path = os.path.join(directory, name)
        with open(path, "rb") as f:
            lines = f.read().split(b"\n")
        with open(path, "wb") as f:
            f.write(b"\n".join(change(lines)))

    def test_journal_that_was_edited(self):
        changes = {
            "changed": lambda lines: [line.replace(b"weekly", b"weakly", 1)
                                      for line in lines],
            "cut out": lambda lines: lines[:3] + lines[4:],
            "turned": lambda lines: lines[:3] + [lines[4], lines[3]] +
            lines[5:],
            "torn": lambda lines: lines[:-2] + [lines[-2][:-9]],
        }
        for journal in "decisions-", "ledger/ledger-":
            for what, change in changes.items():
                with self.subTest(journal + what):
                    shutil.rmtree(self.path("audit"))
                    shutil.copytree(os.path.join(self.good, "audit"),
                                    self.path("audit"))
                    self.change_journal(journal, change)
                    self.breaks(checker.chains_are_whole)

    def test_decision_that_is_not_on_record(self):
        self.change_journal("decisions-", lambda lines: lines[:2] + [b""])
        self.breaks(checker.decisions_are_on_record)

    def test_reply_that_names_another_decision(self):
        replies = [r for r in self.lines("ask") + self.lines("rcpt")
                   if (r["reply"] or "").startswith("550")]
        first = replies[0]
        other = next(r for r in replies if r["address"] != first["address"])
        first["reply"] = other["reply"]
        self.breaks(checker.decisions_are_on_record, "another decision")

    def test_reply_that_is_on_record_as_another(self):
        ask = next(a for a in self.lines("ask")
                   if a["reply"].startswith("550"))
        ask["reply"] = "451" + ask["reply"][3:]
        self.breaks(checker.decisions_are_on_record, "as reject")

    def test_reply_from_before_its_decision(self):
        ask = next(a for a in self.lines("ask")
                   if a["reply"].startswith("550"))
        ask["begin"] -= 1
        ask["end"] -= 1
        self.breaks(checker.decisions_are_on_record, "afterwards")

    def test_message_of_which_no_decision_is_on_record(self):
        """Questions to the filter itself don't stand for mail."""
        _, rcpt = self.a_delivery("eom")
        self.change_journal("decisions-", lambda lines: [
            line for line in lines if rcpt["id"].encode() not in line])
        self.write_history()
        evidence = checker.Evidence(self.directory)
        # What is behind the gap is not read: that would hide it.
        evidence.decisions.entries = [
            d for d in checker.Evidence(self.good).decisions.entries
            if d.get("message_id") != f"<{rcpt['id']}>"]
        self.assertTrue(any(rcpt["id"] in text for text in
                            checker.decisions_are_on_record(evidence)))

    def test_blanked_entry_that_says_something(self):
        self.change_journal("decisions-", lambda lines: [
            line.replace(b'"decision",', b'"decision","blanked":true,', 1)
            for line in lines])
        self.breaks(checker.chains_are_whole, "says something")

    def test_verdict_of_verify(self):
        self.lines("verify")[0]["exit"] = 1
        self.breaks(checker.chains_are_whole)

    # -- afterwards

    def test_what_stays_broken(self):
        self.history.append({"what": "problem", "text": "no mail"})
        self.breaks(checker.all_goes_on_afterwards)

    def test_nothing_happened(self):
        self.history = self.history[:1]
        shutil.rmtree(self.path("audit"))
        self.breaks(checker.something_happened, "is not there")
        self.breaks(checker.something_happened, "verify")

    def test_somebody_was_not_asked_for_in_the_end(self):
        self.history.remove(self.lines("probe")[0])
        self.breaks(checker.something_happened, "in the end")

    def test_deferral_in_the_end(self):
        self.lines("probe")[-1]["reply"] = "451 4.4.3 later"
        self.breaks(checker.filter_answers_rightly_in_the_end)

    def test_every_promise_is_broken_above(self):
        with open(__file__) as f:
            text = f.read()
        self.assertEqual([p.__name__ for p in checker.PROMISES
                          if f"breaks(checker.{p.__name__}" not in text], [])
