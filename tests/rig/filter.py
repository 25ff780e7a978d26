# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""consent-milter and consentctl, with a configuration of their own."""
import copy
import glob
import json
import os
import re
import signal
import threading
import time

from . import milter
from .http import read_numbers, scrape
from .process import (RigError, Service, accepts, connect, free_ports,
                      read_text, run, wait_for, write_file)

# Where a build has the programs, relative to its directory.
_PLACES = ("", "src/milterd", "src/ctl", "src/webd", "src", "sbin", "bin",
           "tests/rig")

WEEKLY = {
    "id": "weekly",
    "name": "Weekly news",
    "purpose": "product news by e-mail, once a week",
    "list_id": "weekly.news.example.com",
    "match": [{"sender": "*@news.example.com"},
              {"sasl_user": "campaigns"},
              {"header": "List-Id", "value": "*<weekly.news.example.com>*"}],
}


def program(name):
    """A program of the build under test: CONSENT_MILTER_BUILD, or PATH when
    that is not set."""
    build = os.environ.get("CONSENT_MILTER_BUILD")
    if not build:
        return name
    for place in _PLACES:
        path = os.path.join(build, place, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise RigError(f"{name} is not in {build}: build it first")


def libconfig(value, indent=1):
    """A Python value in libconfig's syntax."""
    pad = "\t" * indent
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, dict):
        return "{\n" + "".join(
            f"{pad}{k} = {libconfig(v, indent + 1)};\n"
            for k, v in value.items()) + pad[1:] + "}"
    if isinstance(value, (list, tuple)):
        return "( " + ", ".join(libconfig(v, indent) for v in value) + " )"
    raise TypeError(f"libconfig has no {type(value).__name__}")


def merge(base, changes):
    """base with changes over it, groups merged; None takes a key away."""
    out = dict(base)
    for key, value in changes.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merge(out[key], value)
        else:
            out[key] = value
    return out


class Filter:
    """Filter(rig, redis, **settings): consent-milter on a UNIX socket.

    inet=True   listens on a loopback TCP port instead
    start=False writes configuration and keys only; keygen=False not even the
                keys
    settings    keys of the configuration, over the defaults: groups are
                merged, None takes a key away, for example
                    Filter(rig, redis, mode="observe",
                           audit={"recipients": "clear"})
                The default has the list WEEKLY, and time enough for slow
                builds: redis.timeout_ms is 3000.

    metrics     True: it has .metrics, the address of those, and .numbers()

    milter      specification for Postfix (and, on a UNIX socket, Sendmail)
    address     for MilterClient
    """

    def __init__(self, rig, redis=None, /, inet=False, start=True,
                 keygen=True, metrics=False, **settings):
        self.rig = rig
        self.dir = rig.subdir("filter")
        self.log_path = os.path.join(self.dir, "filter.log")
        self.config_path = os.path.join(self.dir, "consent-milter.conf")
        self.audit_dir = os.path.join(self.dir, "audit")
        self.keys_dir = os.path.join(self.dir, "keys")
        if inet:
            port = free_ports(1)[0]
            self.address = ("127.0.0.1", port)
            self.socket = f"inet:{port}@127.0.0.1"
            self.milter = f"inet:127.0.0.1:{port}"
        else:
            self.address = os.path.join(self.dir, "milter.sock")
            self.socket = self.milter = f"unix:{self.address}"
        self.settings = merge({
            "mode": "enforce",
            "socket": self.socket,
            "socket_mode": None if inet else "0666",
            "user": "",
            "keys": self.keys_dir,
            "control": os.path.join(self.dir, "milter.control"),
            "redis": {"url": redis.url if redis else
                      f"unix:{self.dir}/no-redis.sock", "timeout_ms": 3000},
            "on_store_failure": "tempfail",
            "audit": {"directory": self.audit_dir, "recipients": "clear"},
            "unsubscribe": {"url": "https://news.example.com/u/",
                            "mailto": "u@news.example.com",
                            "existing": "replace"},
            "controller": {"name": "Example AB", "address": "Example Street 1",
                           "email": "privacy@example.com"},
            "lists": [copy.deepcopy(WEEKLY)],
            "bulk": {"unlisted": "reject"},
        }, settings)
        if inet:
            self.settings.pop("socket_mode", None)
        if metrics:
            self.metrics = ("127.0.0.1", free_ports(1)[0])
            self.settings["metrics"] = "%s:%d" % self.metrics
        os.mkdir(self.audit_dir, 0o750)
        self.service = None
        self.write_config()
        rig.add_log("consent-milter", self.log_path)
        if keygen:
            self.ctl("keygen")
        rig.on_close(self._close)
        if start:
            self.start()

    def write_config(self, text=None):
        """Writes self.settings, or text as it stands."""
        if text is None:
            text = "".join(f"{k} = {libconfig(v)};\n"
                           for k, v in self.settings.items())
        write_file(self.config_path, text)

    # -- the daemon

    def start(self, wait=True):
        self.service = Service([program("consent-milter"), "-f", "-c",
                                self.config_path], self.log_path)
        if wait:
            self.service.wait_ready(lambda: milter.is_ready(self.address), 30)

    def reload(self, **changes):
        """Changes the settings and sends SIGUSR1; returns when the log has
        told what became of it: the text that was logged."""
        self.settings = merge(self.settings, changes)
        self.write_config()
        return self.signal_reload()

    def signal_reload(self):
        size = len(self.log())
        self.service.signal(signal.SIGUSR1)
        wait_for(lambda: re.search(
            "configuration reloaded from|reload refused", self.log()[size:]),
                 text="word of the reload in the log")
        time.sleep(0.05)
        return self.log()[size:]

    def stop(self, timeout=40.0):
        """SIGTERM, and waits for the end; returns the exit status.

        libmilter looks for the end only every five seconds, or when somebody
        connects: so somebody does."""
        if self.service is None or not self.service.is_running():
            return None if self.service is None else \
                self.service.popen.returncode
        self.service.signal(signal.SIGTERM)
        self.service.cont()
        end = time.monotonic() + timeout
        while self.service.is_running() and time.monotonic() < end:
            accepts(self.address)
            time.sleep(0.05)
        if self.service.is_running():
            self.service.kill9()
            raise AssertionError("consent-milter did not leave on SIGTERM")
        return self.service.popen.returncode

    def kill9(self):
        self.service.kill9()

    def restart(self):
        self.stop()
        self.start()

    def _close(self):
        if self.service is None:
            return
        if self.service.is_running():
            status = self.stop()
            if status != 0:
                raise AssertionError(
                    f"consent-milter ended with {status}:\n"
                    f"{self.log()[-4000:]}")
        self.check_sanitizers()

    def client(self, negotiate=True):
        """A MilterClient."""
        client = milter.MilterClient(self.address)
        return client.negotiate() if negotiate else client

    # -- what it writes

    def log(self):
        """Standard error of all its runs."""
        return read_text(self.log_path)

    def wait_log(self, pattern, since=0, timeout=10.0):
        return wait_for(lambda: re.search(pattern, self.log()[since:]),
                        timeout, f"/{pattern}/ in the log of consent-milter")

    def numbers(self):
        """What Prometheus reads: {'name{labels}': number}."""
        return read_numbers(scrape(self.metrics).body)

    def control(self):
        """What it says of itself, without consentctl."""
        with connect(self.settings["control"], 10) as s:
            return json.loads(b"".join(iter(lambda: s.recv(65536), b"")))

    def wait_store(self):
        """Until the daemon has noticed that Redis is back, which takes it up
        to half a second."""
        wait_for(lambda: self.control()["store"]["reachable"], 20,
                 "consent-milter to reach Redis")

    def wait_complete(self):
        """Until it has noticed that Redis lacks nothing any more, which takes
        it a third of a second; not for ever, where that is not so."""
        try:
            wait_for(lambda: self.control()["store_complete"], 5)
        except (OSError, RigError):
            pass

    def check_sanitizers(self):
        """Fails when a sanitizer has complained."""
        found = re.search(r"(ERROR: |WARNING: )\w*Sanitizer|runtime error:",
                          self.log())
        if found:
            raise AssertionError("sanitizer report:\n" +
                                 self.log()[found.start():][:6000])

    def decisions(self, **fields):
        """Entries of the decision log that have these fields, in order."""
        entries = []
        for path in sorted(glob.glob(os.path.join(self.audit_dir,
                                                  "*.jsonl"))):
            # Without the last piece: nothing, or a line being written.
            for line in read_text(path).split("\n")[:-1]:
                entry = json.loads(line)
                if entry.get("type") == "decision":
                    entries.append(entry)
        return [e for e in entries
                if all(e.get(k) == v for k, v in fields.items())]

    def decision(self, ref):
        """The entry that a reply's REF names, however often it is there: it
        has to be once."""
        found = self.decisions(ref=ref)
        if len(found) != 1:
            raise AssertionError(f"{len(found)} decisions have ref {ref}")
        return found[0]

    # -- consentctl

    def ctl(self, *args, check=True, input=None, timeout=60):
        """Runs consentctl with this configuration: .stdout, .stderr,
        .returncode.  A sanitizer's report always fails."""
        done = run([program("consentctl"), "-c", self.config_path, *args],
                   check=check, input=input, timeout=timeout)
        if re.search(r"Sanitizer|runtime error:", done.stderr):
            raise AssertionError(f"consentctl {' '.join(args)}:\n"
                                 f"{done.stderr}")
        if args[:1] == ("rebuild",) and done.returncode == 0 and \
                self.service is not None and self.service.is_running():
            self.wait_complete()
        return done

    def grant(self, *addresses, list_id="weekly", **evidence):
        """evidence: at="2026-01-05T10:00:00Z", source="shop", …"""
        options = [t for k, v in evidence.items()
                   for t in (f"--{k.replace('_', '-')}", v)]
        return self.ctl("grant", "--list", list_id, *options, *addresses)

    def confirm(self, *addresses, list_id="weekly"):
        return self.ctl("confirm", "--list", list_id, *addresses)

    def withdraw(self, *addresses, list_id="weekly"):
        return self.ctl("withdraw", "--list", list_id, *addresses)


def in_threads(n, work):
    """Runs work(0) … work(n - 1) at the same time; returns their results and
    raises the first exception."""
    results, errors = [None] * n, []

    def one(i):
        try:
            results[i] = work(i)
        except BaseException as e:      # shown by the caller's thread
            errors.append(e)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]
    return results
