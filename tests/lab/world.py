# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Everything that runs in the laboratory: Postfix with the filter, consent-web
and Redis behind a bad network, the disk below ledger and decision log, and the
clocks.  One world serves several runs; each run has people and a history of
its own."""
import fcntl
import glob
import json
import os
import re
import struct
import subprocess
import time

from rig import (Filter, Postfix, Redis, Rig, RigError, Sentinels, Service,
                 Sink, Smtp, WEEKLY, Web, milter, program, read_text, run, wait_for,
                 write_file)
from rig.process import accepts

from .nodes import Nodes
from .wire import Wire

LISTS = ("weekly", "club")
SENDER = {"weekly": "n@news.example.com", "club": "c@club.example.com"}
LINKS = "https://news.example.com/u/"
RECOVERY_SEC = 15       # after the last fault until mail flows
PROBE_S = 10            # until an answer that is not "later"
SETTLING_SEC = 20       # ... until Redis has everything, and the queue nothing
DOWN_MS = 1500          # after which Sentinels look for another primary
DISK_BYTES = 64 * 1024 * 1024
EXT4_IOC_SHUTDOWN = 0x8004587D
SHUTDOWN_LOSES_LOG = 2
_FAKETIME = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")


# What there is to keep consents in, and the method of World that starts it.
STORES = {
    "redis": "start_redis",             # one, behind a bad network
    "sentinels": "start_sentinels",     # three, and three Sentinels
    "cluster": "start_cluster",         # six nodes, behind bad networks
    "replica": "start_replica",         # two; the filter looks up in one that
                                        # follows the other, all behind bad
                                        # networks (redis.read_from)
}


def follows(replica, primary):
    """Has it all that the other has?"""
    def told(redis):
        return dict(line.split(":", 1) for line in redis.call(
            "INFO", "replication").decode().split("\r\n") if ":" in line)
    mine, other = told(replica), told(primary)
    return mine.get("master_link_status") == "up" and \
        mine["slave_repl_offset"] == other["master_repl_offset"] and \
        mine["master_replid"] == other["master_replid"]


def can_step_clocks():
    """libfaketime is there, and gets along with the build: a sanitizer wants
    to be loaded first."""
    return bool(_FAKETIME) and not re.search(
        "lib(asan|tsan)", run(["ldd", program("consent-milter")]).stdout)


class Clock:
    """The clock of one program, which can be stepped while it runs."""

    def __init__(self, path):
        self.path = path
        self.hours = 0
        self.step(0)

    def step(self, hours):
        self.hours = hours
        write_file(self.path + ".new", f"{hours * 3600:+d}\n")
        os.rename(self.path + ".new", self.path)

    def environment(self):
        return dict(os.environ, LD_PRELOAD=_FAKETIME[0],
                    FAKETIME_TIMESTAMP_FILE=self.path, FAKETIME_NO_CACHE="1",
                    FAKETIME_DONT_FAKE_MONOTONIC="1",
                    DONT_FAKE_MONOTONIC="1")


class LabFilter(Filter):
    """The rig's, with environments: env of the daemon, ctl_env."""

    env = ctl_env = None

    def start(self, wait=True):
        self.service = Service([program("consent-milter"), "-f", "-c",
                                self.config_path], self.log_path, env=self.env)
        if wait:
            self.service.wait_ready(lambda: milter.is_ready(self.address), 30)

    def ctl_argv(self, *args):
        return [program("consentctl"), "-c", self.config_path, *args]

    def ctl(self, *args, check=True, input=None, timeout=60):
        return run(self.ctl_argv(*args), check=check, input=input,
                   timeout=timeout, env=self.ctl_env)


class LabWeb(Web):
    env = None

    def start(self):
        self.service = Service([program("consent-web"), "-c",
                                self.filter.config_path], self.log_path,
                               env=self.env)
        self.service.wait_ready(lambda: accepts(self.address), 30)


class LabSink(Sink):
    """The next mail server: notes what it takes in world.history."""

    world = None

    def take(self, message):
        raw = message.raw.decode("utf-8", "replace")
        found = re.search(r"^Message-Id: <([^>]+)>", raw, re.M)
        if message.sender == "":
            # The original is in the report, behind its own header.
            ids = re.findall(r"^Message-Id: <([^>]+)>", raw, re.M)
            self.world.history.note(
                "bounce", id=ids[-1] if ids else None, recipients=re.findall(
                    r"^Final-Recipient: rfc822; *(\S+)", raw, re.M))
            return
        self.world.history.note(
            "delivery", id=found and found.group(1),
            time=time.monotonic(), recipients=message.recipients,
            link=any(f"<{LINKS}" in v for v in
                     message.all("List-Unsubscribe")),
            post=message.all("List-Unsubscribe-Post") ==
            ["List-Unsubscribe=One-Click"])
        list_id = "club" if message.sender == SENDER["club"] else "weekly"
        for value in message.all("List-Unsubscribe"):
            link = re.search(rf"<{re.escape(LINKS)}([^>]+)>", value)
            if link and len(message.recipients) == 1:
                self.world.links[message.recipients[0], list_id] = \
                    "/u/" + link.group(1)


class World:
    """disk: None, "tmpfs" (it can be filled, and mounted read-only) or "ext4"
    (its power can be cut).  clocks: the programs have clocks of their own.
    stores: of STORES.  elsewhere: consents are recorded on a second host as
    well, which has no filter.  settings: more for the filter."""

    def __init__(self, rng, disk=None, clocks=False, stores="redis",
                 elsewhere=False, **settings):
        self.rng = rng
        self.history = None             # of the run
        self.links = {}                 # (address, list): path of the link
        self.clocks = {}
        self.kills_consentctl = False
        self.is_quiet = False           # nobody changes a consent on this host
        self.takes_imports = True
        self._redis = self.sentinels = self.cluster = self.replica = None
        self.rig = Rig("lab")
        try:
            self._start(disk, clocks, stores, elsewhere, settings)
        except BaseException:
            self.rig.close()
            raise

    def _start(self, disk, clocks, stores, elsewhere, settings):
        self.wire = self.elsewhere = None
        redis = {"timeout_ms": 500, **settings.pop("redis", {}),
                 **getattr(self, STORES[stores])()}
        club = dict(WEEKLY, id="club", name="Club", double_opt_in=True,
                    list_id="club.example.com",
                    match=[{"sender": "*@club.example.com"}])
        self.filter = LabFilter(
            self.rig, self.wire, start=False, lists=[WEEKLY, club],
            redis=redis, **settings)
        if elsewhere:
            self.elsewhere = LabFilter(
                self.rig, self.wire, start=False, keygen=False,
                keys=self.filter.keys_dir, lists=[WEEKLY, club], redis=redis)
        self.web = LabWeb(self.rig, self.filter, start=False)
        self.disk = disk
        if disk:
            self._image = self.rig.path("disk")
            # Below it: while the disk is away nobody shall write beside it.
            for _ in range(2):
                self.rig.on_close(lambda: subprocess.run(
                    ["umount", "-l", self.filter.audit_dir], check=False))
            run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs",
                 self.filter.audit_dir])
            self.mount()
        if clocks:
            self.clocks = {name: Clock(self.rig.path(f"clock-{name}"))
                           for name in ("filter", "web", "ctl")}
            self.filter.env = self.clocks["filter"].environment()
            self.filter.ctl_env = self.clocks["ctl"].environment()
            self.web.env = self.clocks["web"].environment()
        self.filter.start()
        self.web.start()
        self.sink = LabSink(self.rig)
        self.sink.world = self
        self.postfix = Postfix(self.rig, self.sink, [self.filter])
        self.control = "control@example.org"
        self.filter.grant(self.control)
        # Under which name Redis keeps how far it has the filter's ledger.
        self.cursors = {name for redis in self.primaries()
                        for key in redis.call("KEYS", "c:applied*")
                        for name in redis.call("HKEYS", key)}

    # -- what STORES name: each returns settings for `redis'

    def start_redis(self):
        self.redis = Redis(self.rig, options=["repl-diskless-sync-delay 0"])
        self.wire = Wire(self.rig, self.redis.socket, self.rng)
        return {}

    def start_sentinels(self):
        self.sentinels = Sentinels(self.rig, 2, down_ms=DOWN_MS,
                                   failover_ms=1000)
        # The programs ask those first that faults happen to.
        return {"url": self.sentinels.settings["url"], "sentinel": {
            "master": "consent", "hosts": self.sentinels.hosts[::-1]}}

    def start_cluster(self):
        self.cluster = Nodes(self.rig, self.rng, DOWN_MS)
        return self.cluster.settings

    def start_replica(self):
        settings = self.start_redis()
        self.link = Wire(self.rig, self.redis.socket, self.rng, tcp=True)
        self.replica = Redis(self.rig, options=[
            f"replicaof 127.0.0.1 {self.link.port}"])
        self.replica_wire = Wire(self.rig, self.replica.socket, self.rng)
        return dict(settings, read_from=self.replica_wire.url)

    @property
    def redis(self):
        """The one that is used; of several the primary, who has been waited
        for where a fault is about that."""
        return self._redis or self.sentinels.primary()

    @redis.setter
    def redis(self, redis):
        self._redis = redis

    def primaries(self):
        """Those that have the data: one, or all of a cluster."""
        return self.cluster.primaries() if self.cluster else [self.redis]

    def is_in_step(self):
        """Has whoever is asked for records what was written elsewhere?"""
        if self.cluster:
            return self.cluster.is_settled()
        return self.replica is None or follows(self.replica, self.redis)

    # -- the disk of ledger and decision log

    def mount(self):
        if self.disk == "tmpfs":
            run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs",
                 self.filter.audit_dir])
            return
        if not os.path.exists(self._image):
            with open(self._image, "wb") as f:
                f.truncate(DISK_BYTES)
            run(["mkfs.ext4", "-q", "-F", self._image])
        run(["mount", "-o", "loop", self._image, self.filter.audit_dir])

    def remount(self, how):
        wait_for(lambda: run(["mount", "-o", f"remount,{how}",
                              self.filter.audit_dir],
                             check=False).returncode == 0, 20,
                 f"nobody has files open, to mount {how}")

    def cut_power(self):
        """From now on the disk fails, and what was not synced is gone."""
        fd = os.open(self.filter.audit_dir, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN,
                        struct.pack("I", SHUTDOWN_LOSES_LOG))
        finally:
            os.close(fd)

    def restore_power(self):
        wait_for(lambda: run(["umount", self.filter.audit_dir],
                             check=False).returncode == 0, 20,
                 "nobody uses the disk, to unmount it")
        self.mount()

    # -- looking

    def pids(self, name):
        """Of what can be frozen: process groups."""
        return getattr(self, name).service.pid

    def accepts_control(self):
        """Mail to somebody who certainly opted in is taken."""
        try:
            smtp = Smtp(self.postfix.smtp, timeout=5)
            try:
                smtp.mail(SENDER["weekly"])
                return smtp.rcpt(self.control).code == 250
            finally:
                smtp.close()
        except (OSError, ValueError):
            return False

    def last_events(self):
        """{partition: number of the ledger's last event about its people}; a
        cluster has a partition for the first two digits of each subject, and
        one Redis has one, ""."""
        last = {}
        for path in glob.glob(os.path.join(self.filter.audit_dir, "ledger",
                                           "ledger-*.jsonl")):
            for seq, digits in re.findall(
                    r'^\{"seq":(\d+),"type":"event",.*"subject":"(..)',
                    read_text(path), re.M):
                partition = digits if self.cluster else ""
                last[partition] = max(last.get(partition, 0), int(seq))
        return last

    def redis_has(self):
        """How far Redis says that it has the ledger, in the same way."""
        has = {}
        for redis in self.primaries():
            for key in redis.call("KEYS", "c:applied*"):
                fields = redis.call("HGETALL", key)
                # c:applied, or c:applied:{ab}
                has[key.decode()[11:13]] = max(
                    [int(v) for k, v in zip(fields[::2], fields[1::2])
                     if k in self.cursors], default=0)
        return has

    def redis_has_all(self):
        has = self.redis_has()
        return all(has.get(partition, 0) >= seq
                   for partition, seq in self.last_events().items())

    def dump(self):
        """{key: {field: value}}, as text."""
        found = {}
        for redis in self.primaries():
            for key in redis.call("KEYS", "*"):
                words = [w.decode("utf-8", "backslashreplace") for w in
                         redis.call("HGETALL", key)]
                if key.decode() in found:
                    self.history.note("problem", text=f"two nodes have {key}")
                found[key.decode()] = dict(zip(words[::2], words[1::2]))
        return found

    # -- the end of a run

    def wait_until_well(self):
        """Notes what does not become well again."""
        self._expect(self.accepts_control, RECOVERY_SEC,
                     "mail to somebody who opted in is taken")
        if self.elsewhere:
            # There nobody applies what could not be applied at once.
            self._expect(lambda: self.elsewhere.ctl(
                "rebuild", check=False).returncode == 0, SETTLING_SEC,
                "the other host's ledger is applied")
        self._expect(self.redis_has_all, SETTLING_SEC,
                     "Redis has all of the ledger")
        self._expect(self.is_in_step, SETTLING_SEC,
                     "replicas, or nodes, are in step")
        self._expect(self._queue_is_empty, SETTLING_SEC,
                     "the queue of Postfix is empty")

    def _queue_is_empty(self):
        if not self.postfix.queue():
            return True
        self.postfix.flush()
        time.sleep(0.2)
        return False

    def _expect(self, what, seconds, text):
        begin = time.monotonic()

        def quietly():
            try:
                return what()
            except (OSError, RigError):
                return False            # not yet
        try:
            wait_for(quietly, seconds, text, pause=0.05)
        except RigError as e:
            self.history.note("problem", text=str(e))
        return time.monotonic() - begin

    def probe(self, people):
        """Asks for everybody, by SMTP.  A machine with too much to do makes
        Redis late: who is deferred is asked for again."""
        for list_id in LISTS:
            smtp = Smtp(self.postfix.smtp, timeout=30)
            try:
                smtp.mail(SENDER[list_id])
                for address in people:
                    self._probe(smtp, list_id, address)
            finally:
                smtp.close()

    def _probe(self, smtp, list_id, address):
        until = time.monotonic() + PROBE_S
        while True:
            with self.history.span("probe", list=list_id,
                                   address=address) as probe:
                probe["reply"] = smtp.rcpt(address)
            if probe["reply"][:1] != "4" or time.monotonic() > until:
                return
            time.sleep(0.2)

    def collect(self, people):
        """Leaves in the history's directory what checker.py wants."""
        directory = self.history.directory
        self.probe(people)
        self._write(directory, "settled.json")
        for redis in self.primaries():
            redis.call("FLUSHALL")
        others = [os.path.join(self.elsewhere.audit_dir, "ledger")] \
            if self.elsewhere else []
        done = self.filter.ctl("rebuild", *others, check=False)
        if done.returncode != 0:
            self.history.note("problem", text="consentctl rebuild: exit "
                              f"{done.returncode}: {done.stderr[-500:]}")
        self._write(directory, "rebuilt.json")
        done = self.filter.ctl("verify", check=False)
        self.history.note("verify", exit=done.returncode,
                          output=done.stdout + done.stderr)
        for name, path in [("audit", self.filter.audit_dir),
                           ("keys", self.filter.keys_dir)] + [
                           ("elsewhere", path) for path in others]:
            os.symlink(path, os.path.join(directory, name))

    def _write(self, directory, name):
        with open(os.path.join(directory, name), "w") as f:
            json.dump(self.dump(), f, indent=1)

    def note_sanitizers(self, since):
        """since: sizes of logs before the run."""
        for label, path in self.rig.logs:
            text = read_text(path)[since.get(path, 0):]
            found = re.search(r"(ERROR: |WARNING: )\w*Sanitizer|"
                              r"runtime error:", text)
            if found:
                self.history.note("problem", text=f"{label}: " +
                                  text[found.start():][:3000])

    def close(self):
        self.rig.close()
