# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Measures consent-web: clicks a second, and how long a click takes; that each
200 is in the ledger; and whether the time of a 404 tells anything."""
import base64
import glob
import hashlib
import hmac
import json
import os
import random
import signal
import socket
import statistics
import time

from rig import (Filter, Nginx, Redis, Service, Web, program, read_text, run,
                 wait_for, write_file)
from rig.process import RigError, accepts, descendants, find_program

LIST = "weekly"
CONNECTIONS = (1, 16, 200)


class PlainNginx(Nginx):
    """Without TLS, whose handshakes would be measured otherwise."""

    def shown(self, name):
        return super().shown(name).replace(" ssl;", ";").replace(
            "listen 443;", "listen 443 ssl;").replace(
            "listen [::]:443;", "listen [::]:443 ssl;")

    def prepare(self):
        argv = super().prepare()
        text = read_text(self.conf).replace(
            f"listen 127.0.0.1:{self.port} ssl", f"listen 127.0.0.1:"
            f"{self.port}").replace("events {}", "events "
                                    "{ worker_connections 4096; }")
        write_file(self.conf, text)
        return argv

    def is_up(self):
        return accepts(("127.0.0.1", self.port))


class WebBench:
    def __init__(self, rig, build, people, directory=None):
        self.rig, self.build, self.people = rig, build, people
        self.redis = Redis(rig)
        audit = {"recipients": "masked"}
        if directory is not None:
            audit["ledger"] = directory
        self.filter = Filter(rig, self.redis, start=False, audit=audit,
                             redis={"timeout_ms": 200})
        self.ledger = directory or os.path.join(self.filter.audit_dir,
                                                "ledger")
        self.web = Web(rig, self.filter)
        self.key = bytes.fromhex(read_text(os.path.join(
            self.filter.keys_dir, "token-0.key")).strip())
        self.subjects = []

    def import_people(self):
        path = self.rig.path("people.csv")
        with open(path, "w") as f:
            f.write("address,list,at\n")
            for i in range(self.people):
                f.write(f"p{i}@example.org,{LIST},2026-01-05T09:00:00Z\n")
        self.filter.ctl("import", path, timeout=600)
        self.subjects = [e["subject"] for e in self.events("grant")]

    def events(self, kind):
        return [e for path in sorted(glob.glob(os.path.join(
            self.ledger, "*.jsonl"))) for e in map(
                json.loads, read_text(path).splitlines())
                if e.get("event") == kind]

    def token(self, subject, list_id=LIST, key_id=0, key=None):
        body = (bytes([1 << 4 | key_id]) +
                hashlib.sha256(list_id.encode()).digest()[:3] +
                bytes.fromhex(subject) + b"\x03\x00")
        return body + hmac.digest(key or self.key, body, "sha256")[:16]

    def target(self, token):
        return "/u/" + base64.urlsafe_b64encode(token).decode().rstrip("=")

    def click(self, address, connections, subjects):
        """Each of these people once: the result of webload, and who got a
        200."""
        targets, out = self.rig.path("targets"), self.rig.path("answers")
        by_target = {self.target(self.token(s)): s for s in subjects}
        write_file(targets, "".join(t + "\n" for t in by_target))
        done = run([os.path.join(self.build, "tests/bench/webload"), "-c",
                    str(connections), "-o", out, "%s:%d" % address, targets],
                   timeout=600)
        answers = [line.split() for line in read_text(out).splitlines()]
        return json.loads(done.stdout), [by_target[t] for t, status, _ in
                                         answers if status == "200"]

    def missing_in_redis(self, subjects):
        return [s for s in subjects if b"w" not in (self.redis.call(
            "HGET", "c:" + s, LIST) or b"")]

    def check(self, told):
        """Each 200 is in the ledger at once, and in Redis soon."""
        recorded = {e["subject"] for e in self.events("withdraw")}
        lost = [s for s in told if s not in recorded]
        try:
            wait_for(lambda: not self.missing_in_redis(told), 60)
        except RigError:
            lost += self.missing_in_redis(told)
        return len(lost)


def say(name, result, lost):
    print(f"{name:44} {result['per_second']:8,} {result['p50']:8.2f} "
          f"{result['p99']:8.2f} {result['max']:8.1f} {result['ok']:7} "
          f"{result['later']:6} {lost:5}", flush=True)


def bench_clicks(bench):
    print(f"{'clicks, all from one address':44} {'per s':>8} {'p50 ms':>8} "
          f"{'p99 ms':>8} {'max ms':>8} {'200':>7} {'503':>6} {'lost':>5}")
    nginx = PlainNginx(bench.rig, "%s:%d" % bench.web.address)
    for name, address in (("direct", bench.web.address),
                          ("nginx", ("127.0.0.1", nginx.port))):
        for connections in CONNECTIONS:
            result, told = bench.click(address, connections, bench.subjects)
            say(f"{name}, {connections} connections", result,
                bench.check(told))
    bench.redis.stop()
    result, told = bench.click(bench.web.address, 16, bench.subjects)
    bench.redis.start()
    say("direct, 16, Redis away", result, bench.check(told))
    bench.redis.sigstop()
    result, told = bench.click(bench.web.address, 16, bench.subjects[:2000])
    bench.redis.cont()
    say("direct, 16, Redis hangs", result, bench.check(told))
    bench_slow_disk(bench)


def bench_slow_disk(bench):
    """Each sync takes 20 ms more."""
    bench.web.stop()
    service = Service(
        [find_program("strace"), "-f", "--seccomp-bpf", "-qq", "-o",
         bench.rig.path("strace.out"), "-e", "trace=fdatasync", "-e",
         "inject=fdatasync:delay_enter=20000", program("consent-web"), "-c",
         bench.filter.config_path], bench.rig.path("strace.log"))
    service.wait_ready(lambda: accepts(bench.web.address), 30)
    for connections in (16, 200):
        result, told = bench.click(bench.web.address, connections,
                                   bench.subjects[:2000])
        say(f"direct, {connections}, syncs take 20 ms more", result,
            bench.check(told))
    for pid in descendants(service.pid):
        os.kill(pid, signal.SIGTERM)
    service.popen.wait(30)
    bench.web.start()


def bench_full_disk(rig, build, people):
    """The ledger on a file system that is too small."""
    top = rig.subdir("small")
    done = run(["mount", "-t", "tmpfs", "-o", f"size={people * 600}",
                "tmpfs", top],
               check=False)
    if done.returncode != 0:
        print("no tmpfs here: not measured with a disk that fills up")
        return
    rig.on_close(lambda: run(["umount", top], check=False))
    bench = WebBench(rig, build, people, os.path.join(top, "ledger"))
    bench.import_people()
    result, told = bench.click(bench.web.address, 16, bench.subjects)
    say("direct, 16, disk fills up", result, bench.check(told))
    health = bench.web.request("GET", "/healthz")
    print(f"    /healthz says {health.status} {health.body.decode().strip()}")
    bench.web.stop()
    bench.filter.ctl("verify")


# -- the time of a 404

def bad_tokens(bench):
    known, key = bench.subjects[0], os.urandom(32)

    def forged(subject, **more):
        return bench.target(bench.token(subject, key=key, **more))
    good = bench.target(bench.token(known))
    return {
        "wrong MAC, known person": lambda: forged(known),
        "wrong MAC, unknown person": lambda: forged(os.urandom(16).hex()),
        "wrong MAC, first byte right": lambda: bench.target(
            bench.token(known)[:23] + os.urandom(15)),
        "wrong MAC, last byte wrong": lambda: bench.target(
            bench.token(known)[:37] + bytes([bench.token(known)[37] ^ 1])),
        "unknown list": lambda: forged(known, list_id="nolist"),
        "unknown key": lambda: forged(known, key_id=9),
        "unknown version": lambda: bench.target(
            b"\x90" + bench.token(known)[1:]),
        "too short": lambda: good[:-1],
        "no base64": lambda: good[:-1] + "!",
    }


def bench_404(bench, rounds):
    """Interleaved at random over one connection."""
    shapes = bad_tokens(bench)
    order = list(shapes) * rounds
    random.shuffle(order)
    took = {name: [] for name in shapes}
    with bench.web.connect() as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for name in order:
            data = (f"POST {shapes[name]()} HTTP/1.1\r\nHost: x\r\n"
                    "Content-Length: 0\r\n\r\n").encode()
            start = time.perf_counter_ns()
            s.sendall(data)
            answer = s.recv(65536)
            while not answer.endswith(b"</html>\n"):
                answer += s.recv(65536)
            took[name].append(time.perf_counter_ns() - start)
            assert answer.startswith(b"HTTP/1.1 404 "), answer[:40]
    base = took["wrong MAC, unknown person"]
    print(f"\n404s, {rounds} of each, interleaved{'':12} {'median us':>10} "
          f"{'p10 us':>8} {'difference of medians':>22}, in standard errors")
    for name, ns in took.items():
        difference = statistics.median(ns) - statistics.median(base)
        error = (spread(ns) ** 2 + spread(base) ** 2) ** 0.5
        print(f"  {name:40} {statistics.median(ns) / 1e3:10.1f} "
              f"{statistics.quantiles(ns, n=10)[0] / 1e3:8.1f} "
              f"{difference / 1e3:19.2f} us {difference / error:8.1f}")


def spread(samples):
    """The standard error of the median."""
    low, _, high = statistics.quantiles(samples, n=4)
    return 1.2533 * (high - low) / 1.349 / len(samples) ** 0.5


def bench_web(rig, build, quick):
    people = 2000 if quick else 10000
    bench = WebBench(rig, build, people)
    bench.import_people()
    bench_clicks(bench)
    bench_full_disk(rig, build, people)
    bench_404(bench, 500 if quick else 3000)
