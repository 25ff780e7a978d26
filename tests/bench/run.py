#!/usr/bin/python3
# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Measures consent-milter against filters that do less.

usage: run.py [--quick] [--rounds N] [--only TEXT] [--postfix] [--persons N]
              BUILDDIR
       run.py --audit [--entries N] BUILDDIR
       run.py --web [--quick] BUILDDIR

Each scenario runs the filter (A) and the reference (B) in turn, A B A B …; what
counts is the median of the ratios of neighbours, for the machine's speed
drifts.  The reference is nullcons: a libmilter program with the callbacks that
a consent filter needs, and no look-up.  Build without sanitizers, with -O2.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
sys.dont_write_bytecode = True

import audit  # noqa: E402
import resources  # noqa: E402
from rig import Filter, OpenDkim, Postfix, Redis, Rig, Service, Sink, run  # noqa
from rig.process import accepts  # noqa: E402
from web import bench_web  # noqa: E402

PEOPLE = 100000

# name, options of milterload, figure, better when, target, stretch
SCENARIOS = [
    ("64 connections x 20 recipients", (64, 20, 2500, 0),
     "per_second", "more", 0.60, 0.80),
    ("8 x 20", (8, 20, 2500, 0), "per_second", "more", 0.60, 0.80),
    ("64 x 1", (64, 1, 12000, 0), "per_second", "more", 0.70, 0.85),
    ("256 x 20, RCPT p99.9", (256, 20, 2500, 0),
     "rcpt_p999", "less", 1.0, 0.5),
    ("1 x 20, RCPT p50", (1, 20, 800, 0), "rcpt_p50", "less", 1.6, 1.3),
    ("3000 recipients/s, RCPT p99", (32, 20, 750, 150),
     "rcpt_p99", "less", 1.5, 1.2),
    ("64 x 20, CPU per recipient with Redis", (64, 20, 2500, 0),
     "cpu_us", "less", 1.5, 1.2),
]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        words = f.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class Bench:
    def __init__(self, build):
        self.build = build
        os.environ["CONSENT_MILTER_BUILD"] = build
        self.rig = Rig("bench")
        self.redis = Redis(self.rig)
        self.filter = Filter(self.rig, self.redis, start=False, lists=[{
            "id": "weekly", "name": "Weekly news",
            "list_id": "weekly.news.example.com",
            "match": [{"sender": "*@news.example.com"}]}],
            redis={"timeout_ms": 1000}, audit={"recipients": "masked"})
        self.fill()
        # with -f: a system call for each line of the mail log, whether or not
        # this machine has a syslog daemon
        self.filter.start()
        self.references = {}

    def fill(self):
        path = os.path.join(self.rig.path("people.csv"))
        with open(path, "w") as f:
            f.write("address,list,at,source,method\n")
            for i in range(PEOPLE):
                if i % 10:
                    f.write(f"p{i}@example.org,weekly,2026-01-05T09:00:00Z,"
                            "shop,web-form\n")
        start = time.monotonic()
        self.filter.ctl("import", path, timeout=600)
        took = time.monotonic() - start
        print(f"import: {PEOPLE * 9 // 10 / took:,.0f} records/s "
              f"({PEOPLE * 9 // 10} records, ledger synced per batch)")
        before = self.redis.call("INFO", "memory").decode()
        used = int(before.split("used_memory_dataset:")[1].split("\r")[0])
        print(f"Redis: {used / (PEOPLE * 0.9):.0f} bytes per person with one "
              "list and evidence (used_memory_dataset)")

    def fill_naive(self):
        pipe = self.redis
        for i in range(PEOPLE):
            if i % 10:
                pipe.call("HSET", f"naive:<p{i}@example.org>", "list", "1")

    def reference(self, option):
        """nullcons with an option: (socket, pid)."""
        if option not in self.references:
            socket = self.rig.path(f"nullcons{option}.sock")
            argv = [os.path.join(self.build, "tests/bench/nullcons"),
                    *([option] if option else []), socket]
            if option == "-N":
                self.fill_naive()
                argv.append(self.redis.socket)
            service = Service(argv, self.rig.path(f"nullcons{option}.log"))
            service.wait_ready(lambda: accepts(socket))
            self.rig.on_close(service.kill9)
            self.references[option] = (socket, service.popen.pid)
        return self.references[option]

    def load(self, socket, pids, shape):
        connections, recipients, messages, rate = shape
        before = sum(map(cpu_seconds, pids))
        done = subprocess.run(
            [os.path.join(self.build, "tests/bench/milterload"),
             "-c", str(connections), "-r", str(recipients),
             "-m", str(messages), "-R", str(rate), socket],
            capture_output=True, text=True, timeout=200)
        if done.returncode != 0:
            sys.exit(f"milterload: {done.stdout}{done.stderr}")
        result = json.loads(done.stdout)
        used = sum(map(cpu_seconds, pids)) - before
        result["cpu_us"] = used / result["recipients"] * 1e6
        return result

    def pair(self, shape, figure, rounds, option):
        mine, ratios, other = [], [], []
        socket, pid = self.reference(option)
        own = (self.filter.address, [self.filter.service.popen.pid,
                                     self.redis.service.popen.pid])
        pids = [pid] + ([self.redis.service.popen.pid]
                        if option == "-N" else [])
        for i in range(rounds + 1):
            a = self.load(*own, shape)[figure]
            b = self.load(socket, pids, shape)[figure]
            if i == 0:
                continue                # warm-up
            mine.append(a)
            other.append(b)
            ratios.append(a / b if b else float("nan"))
        return mine, other, ratios


def say(name, figure, mine, other, ratios, target="", stretch=""):
    print(f"{name:40} {statistics.median(ratios):6.2f}  "
          f"({min(ratios):.2f}-{max(ratios):.2f})  {target!s:>6} "
          f"{stretch!s:>7}   {statistics.median(mine):10,.1f} "
          f"{statistics.median(other):10,.1f}  {figure}", flush=True)


def postfix_rate(rig, milters, recipients, messages):
    """Messages per second through a Postfix that discards."""
    sink = Sink(rig)
    postfix = Postfix(rig, sink, milters, main={
        "default_transport": "discard", "relayhost": "",
        "smtpd_recipient_limit": "1000"})
    source = "/usr/sbin/smtp-source"
    start = time.monotonic()
    run([source, "-s", "20", "-m", str(messages), "-r", str(recipients),
         "-l", "2000", "-d", "-f", "news@news.example.com", "-t",
         "p1@example.org", f"127.0.0.1:{postfix.smtp[1]}"], timeout=200)
    took = time.monotonic() - start
    postfix.stop()
    return messages / took


def bench_postfix(bench, rounds):
    # smtp-source numbers its recipients: 1p1@example.org, 2p1@…
    bench.filter.ctl("grant", "--list", "weekly", "p1@example.org",
                     *[f"{i}p1@example.org" for i in range(1000)])
    others = [("nullcons", f"unix:{bench.reference('')[0]}", (0.90, 0.97)),
              ("do-nothing", f"unix:{bench.reference('-n')[0]}", ()),
              ("OpenDKIM", OpenDkim(bench.rig).milter, (1.5, 2.5))]
    print("\nPostfix messages/s, against Postfix with ...")
    for recipients, messages in ((1, 1500), (20, 400), (50, 200)):
        for name, milter, targets in others:
            mine, other, ratios = [], [], []
            for i in range(rounds + 1):
                a = postfix_rate(bench.rig, [bench.filter], recipients,
                                 messages)
                b = postfix_rate(bench.rig, [milter], recipients, messages)
                if i:
                    mine.append(a)
                    other.append(b)
                    ratios.append(a / b)
            say(f"{recipients} recipients vs {name}", "messages/s", mine,
                other, ratios, *targets)


def main():
    p = argparse.ArgumentParser(usage=__doc__)
    p.add_argument("--quick", action="store_true")
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--only", default="")
    p.add_argument("--postfix", action="store_true")
    p.add_argument("--audit", action="store_true")
    p.add_argument("--entries", type=int, default=10000000)
    p.add_argument("--persons", type=int, default=0)
    p.add_argument("--web", action="store_true", help="consent-web alone")
    p.add_argument("build")
    args = p.parse_args()
    rounds = 2 if args.quick else args.rounds
    cpu = [line.split(":")[1].strip() for line in open("/proc/cpuinfo")
           if line.startswith("model name")]
    machine = f"{len(cpu)} x {cpu[0]}, Linux {platform.release()}"
    build = os.path.abspath(args.build)
    if args.web:
        print(f"{machine}, load {os.getloadavg()[0]:.1f}")
        os.environ["CONSENT_MILTER_BUILD"] = build
        with Rig("bench-web") as rig:
            bench_web(rig, build, args.quick)
        return
    print(f"{machine}, {rounds} rounds; medians of paired ratios (min-max)")
    if args.audit:
        audit.main(build, args.entries, 3)
        return
    bench = Bench(build)
    try:
        print(f"\n{'against nullcons':40} {'ratio':>6}  {'':11}  "
              f"target stretch   {'filter':>10} {'nullcons':>10}")
        for name, shape, figure, _, target, stretch in SCENARIOS:
            if args.only in name:
                say(name, figure, *bench.pair(shape, figure, rounds, ""),
                    target, stretch)
        if not args.only:
            print("\nagainst the naive filter (more is better)")
            say("64 x 20", "per_second",
                *bench.pair((64, 20, 2500, 0), "per_second", rounds, "-N"))
            resources.measure(bench, args.persons, rounds)
        if args.postfix:
            bench_postfix(bench, rounds)
    finally:
        bench.rig.close()


main()
