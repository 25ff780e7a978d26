# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Measures what reads whole journals: run.py --audit.

A decision log and a ledger of many entries are made by filllog, with the keys
of an installation, and each command is run over them once: wall time, entries
per second, and the most memory that was resident.  "per entry" is the cost to
look at when the machine is busy: user and system time.
"""
import glob
import os
import subprocess
import sys
import tempfile
import time

from rig import Filter, Redis, Rig

ADDRESS = "somebody@example.org"
LISTS = [{"id": f"list{i}", "name": f"List {i}", "max_age": "36 months",
          "match": [{"sender": f"*@list{i}.example.com"}]} for i in range(3)]


class Journals:
    def __init__(self, build, entries):
        self.build, self.entries = build, entries
        os.environ["CONSENT_MILTER_BUILD"] = build
        self.rig = Rig("audit")
        self.redis = Redis(self.rig)
        self.filter = Filter(self.rig, self.redis, start=False, lists=LISTS,
                             redis={"timeout_ms": 5000},
                             retention={"ip": "12 months"})
        with open(os.path.join(self.filter.keys_dir, "checkpoint.key")) as f:
            self.seed = f.read().strip()
        self.ledger = os.path.join(self.filter.audit_dir, "ledger")
        os.makedirs(self.ledger, exist_ok=True)
        subject = self.filter.ctl("subject", ADDRESS).stdout.split()[0]
        for directory, name in ((self.filter.audit_dir, "decisions"),
                                (self.ledger, "ledger")):
            self.say(f"filllog {name}", [
                os.path.join(build, "tests/bench/filllog"), directory, name,
                str(entries), self.seed, subject])

    @staticmethod
    def wait(pid):
        """Status, usage, and the peak of resident memory in KiB: ru_maxrss
        counts ours from before exec() as well."""
        resident = 0
        while True:
            done, status, used = os.wait4(pid, os.WNOHANG)
            if done:
                return status, used, resident
            with open(f"/proc/{pid}/status") as f:
                for line in f:
                    if line.startswith("VmHWM:"):
                        resident = max(resident, int(line.split()[1]))
            time.sleep(0.01)

    def say(self, name, argv):
        """Runs it; what it prints goes to a file."""
        with tempfile.TemporaryFile() as out:
            start = time.monotonic()
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                                     stdout=out, stderr=subprocess.STDOUT)
            status, used, resident = self.wait(child.pid)
            took = time.monotonic() - start
            out.seek(0)
            text = out.read(2000).decode("utf-8", "replace")
            size = out.seek(0, os.SEEK_END)
        cpu = used.ru_utime + used.ru_stime
        print(f"{name:34} {took:8.1f} s  {cpu:7.1f} s cpu  "
              f"{cpu / self.entries * 1e6:6.2f} us/entry  "
              f"{resident / 1024:7.1f} MiB  {size:>10,} bytes told",
              flush=True)
        code = os.waitstatus_to_exitcode(status)
        if code != 0:
            print(f"  exit {code}: {text[:500].strip()}")
        return took

    def ctl(self, name, *args):
        return self.say(name or " ".join(args), [
            os.path.join(self.build, "src/ctl/consentctl"), "-c",
            self.filter.config_path, *args])

    def files(self):
        return sorted(glob.glob(os.path.join(self.filter.audit_dir,
                                             "decisions-*.jsonl")))

    def compare_verify(self, rounds):
        ratios = []
        size = sum(map(os.path.getsize, self.files()))
        for _ in range(rounds):
            told = self.ctl("verify, decision log", "verify", *self.files())
            summed = self.say("sha256sum of the same",
                              ["sha256sum", *self.files()])
            ratios.append(summed / told)
        print(f"verify, bytes/s against sha256sum: "
              f"{sorted(ratios)[len(ratios) // 2]:.2f} "
              f"({size / 1e9:.1f} GB, target 0.5)")

    def run(self, rounds):
        self.ctl("verify, both", "verify")
        self.compare_verify(rounds)
        for args in (("--address", ADDRESS), ("--list", "none"),
                     ("--reason", "pending", "--list", "list1"),
                     ("--since", "2025-06-01", "--until", "2025-06-02"),
                     ("--until", "2025-01-02"),
                     ("--ref", "r000009000001"),
                     ("--reason", "pending", "--last", "20")):
            self.ctl("", "log", *args)
        self.ctl("report, a month", "report", "--since", "2025-06-01",
                 "--until", "2025-06-30", "--no-verify")
        self.ctl("report, all, verified", "report", "--since", "2025-01-01",
                 "--until", "2025-12-31")
        self.ctl("rebuild", "rebuild")
        self.ctl("stale", "stale", "--days", "365")
        self.ctl("export", "export", ADDRESS)
        self.ctl("prune --dry-run", "prune", "--dry-run")
        self.ctl("erase", "erase", ADDRESS)
        self.ctl("prune (IP addresses of a year)", "prune")
        self.ctl("verify, both", "verify")


def main(build, entries, rounds):
    print(f"{entries:,} decisions and as many events", file=sys.stderr)
    journals = Journals(build, entries)
    try:
        journals.run(rounds)
    finally:
        journals.rig.close()
