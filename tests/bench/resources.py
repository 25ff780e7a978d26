# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""What it takes in memory, and how fast records and journals are: the rows of
the table of targets that no load over the milter protocol tells."""
import glob
import os
import re
import resource
import statistics
import subprocess
import time

from rig import Filter, MilterClient, Redis, run

PERSONS = 200000
IDLE = 1000
AOF = ("appendonly yes", "appendfsync everysec")


def row(name, value, unit, target, stretch, detail=""):
    print(f"{name:44} {value:10,.2f} {unit:10} {target!s:>7} {stretch!s:>7}"
          f"   {detail}", flush=True)


def resident_mib(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) / 1024


def measure_idle(bench):
    """Resident memory with idle connections, after load."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    pid = bench.filter.service.popen.pid
    before = resident_mib(pid)
    clients = [MilterClient(bench.filter.address).negotiate()
               for _ in range(IDLE)]
    row(f"memory at {IDLE} idle connections", resident_mib(pid), "MiB",
        "<=64", "<=24", f"{before:.1f} before")
    for client in clients:
        client.close()


def lists_of(count):
    return [{"id": f"list{i}", "name": f"List {i}",
             "list_id": f"list{i}.example.com",
             "match": [{"sender": f"*@list{i}.example.com"}]}
            for i in range(count)]


def import_people(bench, lists):
    """A filter of its own, with a Redis that keeps an append-only file:
    (bytes of Redis, seconds)."""
    redis = Redis(bench.rig, options=AOF)
    target = Filter(bench.rig, redis, start=False, lists=lists_of(lists))
    path = bench.rig.path(f"people{lists}.csv")
    with open(path, "w") as f:
        f.write("address,list,at,source,method\n")
        for i in range(PERSONS):
            for n in range(lists):
                f.write(f"p{i}@example.org,list{n},2026-01-05T09:00:00Z,"
                        "shop,web-form\n")
    start = time.monotonic()
    target.ctl("import", path, timeout=900)
    took = time.monotonic() - start
    info = redis.call("INFO", "memory").decode()
    redis.stop()
    return int(info.split("used_memory_dataset:")[1].split("\r")[0]), took


def bare_loader(bench):
    """Records per second of a pipelined HSET loader, and of the store alone:
    medians of three."""
    redis = Redis(bench.rig, options=AOF)
    done = run([os.path.join(bench.build, "tests/bench/bench_store"),
                redis.socket, "0", str(PERSONS)], timeout=600)
    redis.stop()
    pairs = re.findall(r"evidence: bare HSET (\d+)/s, store (\d+)/s",
                       done.stdout)
    return [sorted(map(float, column))[1] for column in zip(*pairs)]


def measure_records(bench):
    for lists, target, stretch in ((1, "<=150", "<=110"), (3, "<=90", "<=60")):
        used, took = import_people(bench, lists)
        row(f"Redis per consent, {lists} of a person, evidence",
            used / PERSONS / lists, "bytes", target, stretch)
        if lists == 1:
            rate = PERSONS / took
    bare, store = bare_loader(bench)
    row("import vs a bare HSET loader, AOF everysec", rate / bare, "ratio",
        ">=0.5", ">=0.8", f"{rate:,.0f}/s, {bare:,.0f}/s; "
        f"store alone {store / bare:.2f}")


def measure_journals(bench):
    done = run([os.path.join(bench.build, "tests/bench/bench_journal"),
                bench.rig.dir, "50000", "5"], timeout=300)
    ratio = [line.split()[-1] for line in done.stdout.splitlines()
             if line.startswith("8 ")]
    row("journal vs write(2), 8 threads", float(ratio[0]), "ratio", ">=0.5",
        ">=0.8")
    files = glob.glob(bench.filter.audit_dir + "/**/*.jsonl", recursive=True)
    times = []
    for argv in ([os.path.join(bench.build, "src/ctl/consentctl"), "-c",
                  bench.filter.config_path, "verify"], ["sha256sum", *files]):
        start = time.monotonic()
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        times.append(time.monotonic() - start)
    size = sum(map(os.path.getsize, files)) / 1e6
    row("verify vs sha256sum", times[1] / times[0], "ratio", ">=0.5", ">=1",
        f"{size:.0f} MB")


def measure_growth(bench, persons, rounds):
    """Look-ups from 8 threads: time in a large store against one of 10^5
    persons, in turn."""
    program = os.path.join(bench.build, "tests/bench/bench_store")
    stores = [(n, Redis(bench.rig)) for n in (100000, persons)]
    for n, redis in stores:
        run([program, redis.socket, "0", str(n), "fill"], timeout=3000)
    p50 = [[float(re.search(r" p50 +(\d+) us", run(
        [program, redis.socket, "2", str(n), "look"]).stdout)[1])
        for n, redis in stores] for _ in range(rounds)]
    for _, redis in stores:
        redis.stop()
    ratios = [b / a for a, b in p50]
    row(f"look-up p50, {persons:,} persons vs 100,000",
        statistics.median(ratios), "ratio", "<=1.3", "1",
        f"({min(ratios):.2f}-{max(ratios):.2f}), "
        "{:.0f} and {:.0f} us".format(*map(statistics.median, zip(*p50))))


def measure(bench, persons, rounds):
    print(f"\n{'resources':44} {'':10} {'':10}  target stretch")
    measure_idle(bench)
    measure_journals(bench)
    measure_records(bench)
    if persons:
        measure_growth(bench, persons, rounds)
