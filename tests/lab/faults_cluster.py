# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""What goes wrong with a Redis Cluster (nodes.py).  An acknowledged opt-out
holds through all of it: the ledger of the filter's own host has it, and each
look-up is compared with how far its node has that."""
import contextlib
import time

from rig import RigError, in_threads, wait_for

from .faults import FAULTS, fault, hold, nobody_applies

CLUSTER = {"stores": "cluster"}
FAILOVER_SEC = 60
ASKED_SEC = 6           # Redis gives up after five; it can be asked again
SLOTS_MAX = 6           # moved at once
IMPORT_SEC = 1.0        # no import takes longer


def _is_primary(server):
    return b"role:master" in server.call("INFO", "replication")


def _some_primary(world):
    return world.rng.choice(world.cluster.primaries())


def _fail_over(world, begin, mend, old=None, new=None):
    """begin() makes old's replica take its place, mend() brings it back."""
    old = old or _some_primary(world)
    new = new or world.cluster.replica_of(old)
    begin(old)
    try:
        wait_for(lambda: _is_primary(new), FAILOVER_SEC, "a failover")
    finally:
        mend(old)
    world.cluster.wait_settled()


def _kill(server):
    server.kill9()


def _start(server):
    server.start()


# -- kill -9

@fault("cluster-kill", **CLUSTER)
def kill(world):
    """What it had not handed on is lost."""
    _fail_over(world, _kill, _start)


@fault("cluster-kill-waited-for", redis={"wait_replicas": 1}, **CLUSTER)
def kill_waited_for(world):
    _fail_over(world, _kill, _start)


@fault("cluster-kill-empty", **CLUSTER)
def kill_empty(world):
    """It is back before anybody missed it, and its replica throws away what it
    had."""
    old = _some_primary(world)
    old.kill9()
    hold(world, 0, 0.3)
    old.start()
    world.cluster.wait_settled()


@fault("cluster-kill-replica", redis={"wait_replicas": 1}, **CLUSTER)
def kill_replica(world):
    """Nothing of its slots is confirmed until it is there again."""
    replica = world.cluster.replica_of(_some_primary(world))
    replica.kill9()
    hold(world, 0, 2)
    replica.start()
    world.cluster.wait_settled()


@fault("cluster-kill-all", **CLUSTER)
def kill_all(world):
    """Nothing is left."""
    for server in world.cluster.servers:
        server.kill9()
    hold(world, 0, 1)
    for server in world.cluster.servers:
        server.start()
    world.cluster.wait_settled()


# -- SIGSTOP

@fault("cluster-freeze", **CLUSTER)
def freeze(world):
    """Any node, for shorter or longer than the others wait for it."""
    server = world.rng.choice(world.cluster.servers)
    server.sigstop()
    try:
        hold(world, 0.1, 3)
    finally:
        server.cont()
    world.cluster.wait_settled()


@fault("cluster-freeze-replaced", **CLUSTER)
def freeze_replaced(world):
    """When it goes on it takes itself for the primary that it was."""
    _fail_over(world, lambda old: old.sigstop(), lambda old: old.cont())


# -- the network between the nodes

@fault("cluster-lagging", **CLUSTER)
def lagging(world):
    """A primary dies, and its replica has not heard of the last second."""
    _replace_by_one_that_lags(world, contextlib.nullcontext())


@fault("cluster-lagging-quiet", **CLUSTER)
def lagging_quiet(world):
    _replace_by_one_that_lags(world, nobody_applies(world))


def _replace_by_one_that_lags(world, quiet):
    old = _some_primary(world)
    replica = world.cluster.replica_of(old)

    def kill(old):
        wire.trouble = "drop"           # what it has not, it won't get
        old.kill9()
        wire.hang_up()
    wire = world.cluster.hold_back(replica, "stall")
    try:
        hold(world, 0.5, 1.5)
        with quiet:
            _fail_over(world, kill, _start, old, replica)
            hold(world, 1, 2)
    finally:
        world.cluster.join()


@fault("cluster-cut-off", **CLUSTER)
def cut_off(world):
    """A node is cut off, mostly a primary, whose replica takes its place while
    the programs may still reach it."""
    server = _some_primary(world)
    if world.rng.random() < 0.25:
        server = world.cluster.replica_of(server)
    successor = world.cluster.replica_of(server) if _is_primary(server) \
        else None
    world.cluster.cut_off(server, world.rng.choice(("drop", "stall")),
                          programs=world.rng.random() < 0.4)
    try:
        if successor and world.rng.random() < 0.7:
            wait_for(lambda: _is_primary(successor), FAILOVER_SEC,
                     "a failover")
            hold(world, 0, 1)
        else:
            hold(world, 0.3, 2)
    finally:
        world.cluster.join()
    world.cluster.wait_settled()


# -- what an administrator does

@fault("cluster-failover-asked", **CLUSTER)
def failover_asked(world):
    """With the primary's consent, without, or without anybody's."""
    old = _some_primary(world)
    new = world.cluster.replica_of(old)
    how = world.rng.choice(((), ("FORCE",), ("TAKEOVER",)))
    end = time.monotonic() + FAILOVER_SEC
    while not _is_primary(new):
        if time.monotonic() > end:
            raise RigError("nobody would vote for a failover")
        new.call("CLUSTER", "FAILOVER", *how)
        again = time.monotonic() + ASKED_SEC
        while not _is_primary(new) and time.monotonic() < again:
            time.sleep(0.01)
    world.cluster.wait_settled()


@fault("cluster-flush-node", **CLUSTER)
def flush_node(world):
    with world.history.span("loss"):
        _some_primary(world).call("FLUSHALL")
    hold(world, 0.2, 1)


def _some_slots(world):
    """(some slots that have people, their primary, another one)"""
    source, target = world.rng.sample(world.cluster.primaries(), 2)
    slots = world.cluster.used_slots(source)
    return world.rng.sample(slots, min(len(slots), SLOTS_MAX)), source, target


def _move_half(world, slot, source, target):
    world.cluster.start_move(slot, target)
    keys = source.call("CLUSTER", "GETKEYSINSLOT", slot, 100)
    world.rng.shuffle(keys)
    world.cluster.move_keys(source, target, keys[:len(keys) // 2 + 1])


@fault("cluster-resharding", **CLUSTER)
def resharding(world):
    """Slots are moved, and are half here and half there for a while."""
    slots, source, target = _some_slots(world)
    for slot in slots:
        _move_half(world, slot, source, target)
    hold(world, 0, 1)
    for slot in slots:
        world.cluster.end_move(slot, source, target)
        world.cluster.wait_settled()


@fault("cluster-resharding-kill", **CLUSTER)
def resharding_kill(world):
    """The node that slots are moved to dies, and with it people of whom Redis
    knows nothing any more: as documented, nobody may import until `consentctl
    rebuild --from-start' has been run."""
    slots, source, target = _some_slots(world)
    world.takes_imports = False
    try:
        time.sleep(IMPORT_SEC)          # who is at it comes to an end
        for slot in slots:
            _move_half(world, slot, source, target)
        _fail_over(world, _kill, _start, target)
        target = world.cluster.primary_of(target)
        for slot in slots:
            for server in (source, target):
                server.call("CLUSTER", "SETSLOT", slot, "STABLE")
            world.cluster.move(slot, target)
            world.cluster.wait_settled()
        world.filter.ctl("rebuild", "--from-start")
    finally:
        world.takes_imports = True


# -- and the programs

@fault("cluster-mixed", **CLUSTER)
def mixed(world):
    """One of these, and at the same time the programs suffer."""
    together(world, [n for n, f in FAULTS.items()
                     if f.world == CLUSTER and n != "cluster-mixed"])


def together(world, names):
    """One of these faults, and one that may come anywhere."""
    name = world.rng.choice(sorted(names))
    other = world.rng.choice(sorted(n for n, f in FAULTS.items()
                                    if f.anywhere))

    def inject(i):
        with world.history.span("fault", kind=(name, other)[i]):
            FAULTS[(name, other)[i]].inject(world)
    in_threads(2, inject)
