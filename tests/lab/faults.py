# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""What goes wrong; faults_cluster.py and faults_replica.py have more, for the
worlds of these names.  A fault is a function that breaks something in a world,
holds it for a while and mends it; it may be called again and again in a run.
What the checker has to know of it is noted in the history."""
import contextlib
import os
import shutil
import signal
import time

from rig import MilterClient, Redis, RedisError, read_text, wait_for

from .wire import Wire

FAULTS = {}             # name: Fault


class Fault:
    def __init__(self, inject, mixes, anywhere, world):
        self.inject = inject
        self.mixes = mixes              # may come together with others
        self.anywhere = anywhere        # ... whatever consents are kept in
        self.world = world              # what World() needs for it

    @property
    def place(self):
        """The world, as the table names it."""
        return self.world.get("disk") or self.world.get("stores", "redis")


def fault(name, mixes=False, anywhere=False, **world):
    def register(inject):
        FAULTS[name] = Fault(inject, mixes or anywhere, anywhere, world)
        return inject
    return register


def hold(world, least, most):
    time.sleep(world.rng.uniform(least, most))


@fault("none", mixes=True)
def nothing(world):
    hold(world, 0.5, 1)


# -- kill -9

@fault("kill-filter", anywhere=True)
def kill_filter(world):
    world.filter.kill9()
    hold(world, 0, 0.5)
    world.filter.start()


@fault("kill-consent-web", anywhere=True)
def kill_web(world):
    world.web.kill9()
    hold(world, 0, 0.5)
    world.web.start()


@fault("kill-redis")
def kill_redis(world):
    """It comes back with everything that it had confirmed."""
    _persist(world)
    world.redis.kill9()
    hold(world, 0, 0.7)
    world.redis.start()


def _persist(world):
    wanted = ["appendonly yes", "appendfsync always"]
    if world.redis._options == wanted:
        return
    world.redis._options = wanted
    world.redis.call("CONFIG", "SET", "appendfsync", "always")
    world.redis.call("CONFIG", "SET", "appendonly", "yes")
    wait_for(lambda: b"aof_rewrite_in_progress:0" in
             world.redis.call("INFO", "persistence") and
             b"aof_rewrite_scheduled:0" in
             world.redis.call("INFO", "persistence"), 20, "the AOF is there")


@fault("kill-empty-redis", mixes=True)
def kill_empty_redis(world):
    """It comes back with nothing."""
    world.redis.kill9()
    hold(world, 0, 0.7)
    world.redis.start()


@fault("kill-postfix")
def kill_postfix(world):
    with world.history.span("crash", of="postfix"):
        world.postfix.kill9()
        hold(world, 0, 0.3)
        world.postfix.start()


@fault("kill-consentctl", anywhere=True)
def kill_consentctl(world):
    world.kills_consentctl = True
    try:
        hold(world, 0.5, 1.5)
    finally:
        world.kills_consentctl = False


# -- SIGSTOP

def _freeze(world, name):
    pid = world.pids(name)
    os.killpg(pid, signal.SIGSTOP)
    try:
        hold(world, 0.1, 2.5)
    finally:
        os.killpg(pid, signal.SIGCONT)


@fault("freeze-filter", anywhere=True)
def freeze_filter(world):
    with world.history.span("freeze"):
        _freeze(world, "filter")


@fault("freeze-consent-web", anywhere=True)
def freeze_web(world):
    _freeze(world, "web")


@fault("freeze-redis", mixes=True)
def freeze_redis(world):
    _freeze(world, "redis")


@fault("freeze-postfix", anywhere=True)
def freeze_postfix(world):
    _freeze(world, "postfix")


# -- the network between Redis and one of the programs, or all

def _bad_network(world, trouble):
    world.wire.victims = world.rng.choice(
        (None, None, ("consent-milter",), ("consent-web",),
         ("consentctl",)))
    spoil(world, world.wire, trouble, 0.2, 1.5)


def spoil(world, wire, trouble, least, most):
    """So long, then it is well again."""
    wire.trouble = trouble
    try:
        hold(world, least, most)
    finally:
        wire.trouble = None
        if trouble == "drop":
            # TCP would end it some day.
            wire.hang_up()


@fault("network-delays", mixes=True)
def network_delays(world):
    _bad_network(world, "delay")


@fault("network-cuts-replies", mixes=True)
def network_cuts(world):
    _bad_network(world, "cut")


@fault("network-drops", mixes=True)
def network_drops(world):
    _bad_network(world, "drop")


# -- Redis loses what it had

@fault("flushall", mixes=True)
def flush(world):
    with world.history.span("loss"):
        world.redis.call("FLUSHALL")
    hold(world, 0.2, 1)


def keep_dump(redis):
    """Of now, beside the one that Redis writes over.  An erasure may just have
    asked for a background save, and there is one at a time."""
    def is_saved():
        try:
            return redis.call("SAVE") is not None
        except RedisError as e:
            if "already in progress" not in str(e):
                raise
            return False

    wait_for(is_saved, text="a dump")
    dump = os.path.join(redis.dir, "dump.rdb")
    shutil.copy(dump, dump + ".old")
    return dump


@fault("old-dump")
def old_dump(world):
    """An administrator restores the dump of a while ago."""
    dump = keep_dump(world.redis)
    hold(world, 0.5, 2)
    world.redis.kill9()
    os.replace(dump + ".old", dump)
    world.redis.start()
    hold(world, 1.5, 2.5)


@fault("old-dump-quiet")
def old_dump_quiet(world):
    dump = keep_dump(world.redis)
    hold(world, 0.5, 1.5)
    with nobody_applies(world):
        world.redis.kill9()
        os.replace(dump + ".old", dump)
        world.redis.start()
        hold(world, 2.5, 3.5)


@contextlib.contextmanager
def nobody_applies(world):
    """What is lost meanwhile stays lost: no consentctl is run, and consent-web
    is down."""
    world.is_quiet = True
    try:
        world.web.kill9()
        yield
        world.web.start()
    finally:
        world.is_quiet = False


@fault("old-replica")
def old_replica(world):
    """The primary dies, and a replica that lags behind takes its place."""
    primary = world.redis
    link = Wire(world.rig, primary.socket, world.rng, tcp=True)
    replica = Redis(world.rig, tcp=True)
    replica.call("REPLICAOF", "127.0.0.1", link.port)
    wait_for(lambda: b"master_link_status:up" in
             replica.call("INFO", "replication"), 20, "the replica follows")
    link.trouble = "stall"
    hold(world, 0.5, 1.5)
    link.trouble = "drop"               # what it has not, it won't get
    primary.kill9()
    link.hang_up()
    replica.call("REPLICAOF", "NO", "ONE")
    world.redis = replica
    world.wire.target = replica.socket
    world.wire.hang_up()
    hold(world, 1.5, 2.5)


# -- several Redis, and Sentinels that choose among them

REPLICATED = {"stores": "sentinels"}


def _fail_over(world, begin, mend):
    """What Redis has confirmed, and no replica has, is lost with it."""
    group = world.sentinels
    old = group.primary()
    begin(old)
    try:
        group.wait_failover(old, 60)
    finally:
        mend(old)
    # An old primary is used for as long as nobody told it.
    wait_for(lambda: _is_replica(old), 60, "the old primary follows")
    wait_for(group.is_complete, 60, "all Sentinels know all replicas")


def _is_replica(server):
    return b"role:slave" in server.call("INFO", "replication")


@fault("failover-kill", **REPLICATED)
def failover_kill(world):
    _fail_over(world, Redis.kill9, Redis.start)


@fault("failover-freeze", **REPLICATED)
def failover_freeze(world):
    """It goes on as if nothing had been, until the Sentinels tell it."""
    _fail_over(world, Redis.sigstop, Redis.cont)


@fault("failover-asked", **REPLICATED)
def failover_asked(world):
    def ask(_):
        world.sentinels.ask(world.sentinels.ports[0], "FAILOVER", "consent")
    _fail_over(world, ask, lambda _: None)


@fault("failover-lagging", **REPLICATED)
def failover_lagging(world):
    """What takes its place has not heard of the last second or so."""
    group = world.sentinels
    replicas = [s for s in group.servers if s is not group.primary()]

    def kill(primary):
        primary.kill9()
        for replica in replicas:
            replica.call("CONFIG", "SET", "masterauth", "")
    for replica in replicas:
        # One that was stopped would have it all in its socket.
        replica.call("CONFIG", "SET", "masterauth", "wrong")
        replica.call("CLIENT", "KILL", "TYPE", "master")
    hold(world, 0.3, 1)
    _fail_over(world, kill, Redis.start)


@fault("failover-waited-for", redis={"wait_replicas": 1}, **REPLICATED)
def failover_waited_for(world):
    _fail_over(world, Redis.kill9, Redis.start)


@fault("failover-missed", **REPLICATED)
def failover_missed(world):
    """The primary is back, with nothing, before a Sentinel missed it, and its
    replicas throw away what they had."""
    primary = world.sentinels.primary()
    primary.kill9()
    hold(world, 0, 0.3)
    primary.start()
    wait_for(world.sentinels.is_complete, 60, "all Sentinels know all replicas")


def _some_replica(world):
    primary = world.sentinels.primary()
    return world.rng.choice([s for s in world.sentinels.servers
                             if s is not primary])


@fault("kill-replica", redis={"wait_replicas": 2}, **REPLICATED)
def kill_replica(world):
    """Nothing is confirmed until it is there again."""
    replica = _some_replica(world)
    replica.kill9()
    hold(world, 0, 2)
    replica.start()
    wait_for(world.sentinels.is_complete, 60, "all Sentinels know all replicas")


@fault("freeze-replica", redis={"wait_replicas": 2}, **REPLICATED)
def freeze_replica(world):
    replica = _some_replica(world)
    replica.sigstop()
    try:
        hold(world, 0.1, 3)
    finally:
        replica.cont()
    wait_for(world.sentinels.is_complete, 60, "all Sentinels know all replicas")


def _some_sentinels(world):
    """Not the first one: it tells the laboratory."""
    return world.rng.sample((1, 2), world.rng.randint(1, 2))


@fault("kill-sentinel", **REPLICATED)
def kill_sentinel(world):
    killed = _some_sentinels(world)
    for i in killed:
        world.sentinels.services[i].kill9()
    hold(world, 0.3, 1.5)
    for i in killed:
        world.sentinels.restart_sentinel(i)


@fault("freeze-sentinel", **REPLICATED)
def freeze_sentinel(world):
    """The programs ask one that does not answer."""
    frozen = [world.sentinels.services[i] for i in _some_sentinels(world)]
    for service in frozen:
        service.sigstop()
    try:
        hold(world, 0.3, 3)
    finally:
        for service in frozen:
            service.cont()


# -- the disk

@fault("disk-full", disk="tmpfs")
def disk_full(world):
    ballast = os.path.join(world.filter.audit_dir, "ballast")
    with open(ballast, "wb", buffering=0) as f:
        for size in (1 << 20, 4096):
            try:
                while True:
                    f.write(bytes(size))
            except OSError:
                pass                    # that was the aim
    hold(world, 0.2, 1.2)
    os.unlink(ballast)


@fault("disk-read-only", disk="tmpfs")
def disk_read_only(world):
    """It can only be mounted so when nobody writes to it: daemons start on
    it, or refuse to."""
    world.filter.kill9()
    world.web.kill9()
    world.remount("ro")
    world.filter.start(wait=False)
    hold(world, 0.3, 1)
    world.filter.kill9()
    world.remount("rw")
    world.filter.start()
    world.web.start()


@fault("power-cut", disk="ext4")
def power_cut(world):
    with world.history.span("crash", of="disk") as crash:
        world.cut_power()
        crash["cut"] = time.monotonic()
        hold(world, 0, 0.5)
        world.filter.kill9()
        world.web.kill9()
        world.restore_power()
    world.filter.start()
    world.web.start()


# -- time

@fault("clock-steps", clocks=True)
def clock_steps(world):
    """The filter's, or of those who write the ledger: they have one clock."""
    names = world.rng.choice((("filter",), ("ctl", "web")))
    hours = world.rng.choice((-1, 1)) * world.rng.randint(1, 12)
    with world.history.span("clock"):
        for name in names:
            world.clocks[name].step(hours)
        hold(world, 0.3, 1.5)
        for name in names:
            world.clocks[name].step(0)


@fault("clock-steps-redis-away", clocks=True)
def clock_steps_redis_away(world):
    """The machine's clock: who opts out then can't be looked up."""
    _persist(world)
    hours = world.rng.choice((-1, 1)) * world.rng.randint(1, 12)
    world.redis.kill9()
    with world.history.span("clock"):
        for clock in world.clocks.values():
            clock.step(hours)
        hold(world, 0.5, 1.2)
        for clock in world.clocks.values():
            clock.step(0)
    world.redis.start()
    hold(world, 0.5, 1)


# -- configuration and rotation

@fault("reload-storm", anywhere=True)
def reload_storm(world):
    """Good files and bad ones, many times a second."""
    good = read_text(world.filter.config_path)
    end = time.monotonic() + world.rng.uniform(0.3, 1)
    try:
        while time.monotonic() < end:
            text = good if world.rng.random() < 0.6 else \
                good[:world.rng.randrange(len(good))] + " = ="
            _replace(world.filter.config_path, text)
            for service in (world.filter.service, world.web.service):
                service.signal(signal.SIGUSR1)
            time.sleep(0.02)
    finally:
        _replace(world.filter.config_path, good)
        for service in (world.filter.service, world.web.service):
            service.signal(signal.SIGUSR1)


def _replace(path, text):
    with open(path + ".new", "w") as f:
        f.write(text)
    os.replace(path + ".new", path)


@fault("kill-in-rotation", audit={"segment_mib": 1})
def kill_in_rotation(world):
    """As many decisions as a file of the log holds, in the middle of which
    the filter is killed."""
    def files():
        return len(os.listdir(world.filter.audit_dir))
    before = files()
    try:
        with MilterClient(world.filter.address) as client:
            client.negotiate()
            client.mail("<n@news.example.com>")
            wait_for(lambda: client.rcpt("<nobody@example.org>") and
                     files() > before, 60, "the log begins a file")
    except OSError:
        pass                            # somebody else killed it
    kill_filter(world)


@fault("mixed")
def mixed(world):
    """One of those that go together, by chance."""
    names = sorted(n for n, f in FAULTS.items() if f.mixes)
    FAULTS[world.rng.choice(names)].inject(world)
