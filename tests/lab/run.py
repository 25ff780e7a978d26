#!/usr/bin/python3
# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The fault laboratory: breaks what can break while mail flows and people opt
in and out, and has an independent checker look at what came of it.

usage: run.py [-b BUILDDIR] [--runs N] [--seed S] [--seconds T]
              [--fault NAME]... [--keep DIRECTORY] [--list]

    -b         build directory with the programs (CONSENT_MILTER_BUILD)
    --runs     how many, spread over the faults (one of each)
    --seed     of everything that is chosen by chance (1)
    --seconds  of activity in each run (4)
    --fault    only these; --list prints their names
    --keep     where the evidence of runs with violations is left, which
               checker.py reads again

Real processes only, on loopback and below /tmp; needs root.  What is chosen is
repeated with the seed, when it happens is not: the machine has a say in that.
Prints violations, then a table: recipients that campaigns sent to, of these
delivered and deferred; questions to the filter itself; opt-outs that were
acknowledged; answers that were judged while one had to hold.  The last line is
`N passed, N failed', which counts runs.  `make lab LAB_OPTIONS="--runs 1000"'
runs it from a build.
"""
import argparse
import collections
import os
import random
import shutil
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from lab import checker, faults_cluster, faults_replica     # noqa: E402,F401
from lab.faults import FAULTS                               # noqa: E402
from lab.history import History                             # noqa: E402
from lab.people import (Asker, Campaign, Clicker, Colleague,    # noqa: E402
                        Operator)
from lab.world import World, can_step_clocks                # noqa: E402
from rig import RigError                                    # noqa: E402

PEOPLE = 16
RUNS_PER_WORLD = 8
SHOWN = 10              # violations of a run
BREAK_SEC = 0.1, 1.2    # between two faults
AFTER_SEC = 1.5, 2.5    # ... and after the last: now it shows what was lost


def why_impossible(needs):
    """Why there can't be such a world here, or None."""
    if needs.get("clocks") and not can_step_clocks():
        return "libfaketime is missing, or the build has a sanitizer"
    if needs.get("disk") == "ext4" and not os.path.exists("/dev/loop-control"):
        return "there are no loop devices"
    return None


class Row:
    """Of the table: a fault."""

    def __init__(self):
        self.runs = self.messages = self.delivered = self.deferred = 0
        self.asked = self.opt_outs = self.judged = self.failed = 0
        self.violations = []

    def add(self, counts, directory):
        """A run: the history's counts, and the evidence."""
        evidence = checker.Evidence(directory)
        lines = evidence.lines
        self.messages += counts.get("rcpt", 0)
        self.asked += counts.get("ask", 0)
        self.delivered += sum(len(d["recipients"]) for d in lines["delivery"])
        self.judged += checker.judged_opt_outs(evidence)
        self.deferred += sum(
            (r["final"] or r["reply"] or "").startswith("451")
            for r in lines["rcpt"])
        self.opt_outs += sum(
            c["acknowledged"] and c["kind"] in checker.OPT_OUTS
            for c in lines["change"])


def run_once(world, name, seed, seconds, directory):
    """One run in this world; returns (history's counts, violations)."""
    rng = random.Random(seed)
    world.rng.seed(seed)
    label = f"r{seed % 10 ** 9}"
    people = [f"{label}-{i}@example.org" for i in range(PEOPLE)]
    world.links.clear()
    sizes = world.rig.log_sizes()
    world.history = history = History(directory)
    try:
        act(world, name, rng, people, label, seconds)
        world.wait_until_well()
        world.collect(people)
        world.note_sanitizers(sizes)
    finally:
        history.close()
    return history.counts, checker.check(directory)


def act(world, name, rng, people, label, seconds):
    operator = Operator(world, people, rng.random())
    operator.grant(*people[:PEOPLE // 2])
    parties = [operator, Clicker(world, people, rng.random()),
               Asker(world, people, rng.random())]
    if world.elsewhere:
        parties.append(Colleague(world, people, rng.random()))
    for i in range(2):
        parties.append(Campaign(world, people, rng.random()))
        parties[-1].name = f"{label}-{i}"
    for party in parties:
        party.start()
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(rng.uniform(*BREAK_SEC))
            with world.history.span("fault", kind=name):
                FAULTS[name].inject(world)
        time.sleep(rng.uniform(*AFTER_SEC))
    finally:
        for party in parties:
            party.stop()
    for party in parties:
        party.finish()


class Laboratory:
    def __init__(self, options):
        self.options = options
        self.rows = collections.OrderedDict()
        self.top = tempfile.mkdtemp(prefix="cm-evidence-")

    def run_fault(self, name, runs, seed):
        """runs of this fault, each with the next seed."""
        self.rows[name] = Row()
        world = None
        try:
            for i in range(runs):
                if world is not None and i % RUNS_PER_WORLD == 0:
                    world.close()
                    world = None
                if world is None:
                    world = World(random.Random(seed + i),
                                  **FAULTS[name].world)
                if not self._run(world, name, seed + i):
                    # What is wrong must not be found in the next run again.
                    world, last = None, world
                    last.close()
        finally:
            if world is not None:
                world.close()

    def _run(self, world, name, seed):
        row = self.rows[name]
        directory = os.path.join(self.top, f"{name}-{seed}")
        os.mkdir(directory)
        try:
            counts, violations = run_once(world, name, seed,
                                          self.options.seconds, directory)
            row.add(counts, directory)
        except RigError as e:
            # It counts against the run, but says nothing of the next ones.
            violations = [checker.Violation("laboratory", str(e))]
        row.runs += 1
        for violation in violations[:SHOWN]:
            print(f"VIOLATION {name}, seed {seed}: {violation.check}: "
                  f"{violation.text}", flush=True)
        if len(violations) > SHOWN:
            print(f"... and {len(violations) - SHOWN} more", flush=True)
        if violations:
            row.failed += 1
            row.violations += violations
            self._keep(world, directory)
        shutil.rmtree(directory)
        return not violations

    def _keep(self, world, directory):
        """With copies where there were links, and the logs."""
        if not self.options.keep:
            return
        target = os.path.join(self.options.keep, os.path.basename(directory))
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(directory, target)
        with open(os.path.join(target, "logs"), "w") as f:
            f.write(world.rig.log_report(limit=200000))
        print(f"evidence in {target}", flush=True)

    def table(self):
        columns = ("runs", "messages", "delivered", "deferred", "asked",
                   "opt_outs", "judged")
        form = ("{:26} {:9} {:>5}" + " {:>9}" * 6 + " {:>11}").format
        print(form("fault", "world", *(c.replace("_", "-") for c in columns),
                   "violations"))
        for name, row in self.rows.items():
            print(form(name, FAULTS[name].place,
                       *(getattr(row, c) for c in columns),
                       len(row.violations)))
        print(form("all", "", *map(self._sum, columns),
                   sum(len(r.violations) for r in self.rows.values())))

    def _sum(self, what):
        return sum(getattr(row, what) for row in self.rows.values())

    def run(self):
        """Returns (passed, failed) runs."""
        names = []
        for name in self.options.fault or FAULTS:
            why = why_impossible(FAULTS[name].world)
            if why:
                print(f"{name}: left out, {why}")
            else:
                names.append(name)
        runs = self.options.runs or len(names)
        try:
            for i, name in enumerate(names):
                n = runs // len(names) + (i < runs % len(names))
                if n:
                    self.run_fault(name, n, self.options.seed + 1000 * i)
        finally:
            shutil.rmtree(self.top, ignore_errors=True)
            self.table()
        failed = self._sum("failed")
        return self._sum("runs") - failed, failed


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-b", default=os.environ.get("CONSENT_MILTER_BUILD"))
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--fault", action="append", choices=list(FAULTS))
    parser.add_argument("--keep")
    parser.add_argument("--list", action="store_true")
    return parser.parse_args()


def main():
    options = parse()
    if options.list:
        print("\n".join(FAULTS))
        return
    if options.b:
        os.environ["CONSENT_MILTER_BUILD"] = os.path.abspath(options.b)
    if os.geteuid() != 0:
        sys.exit("run.py: the laboratory starts mail servers and needs root")
    passed, failed = Laboratory(options).run()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
