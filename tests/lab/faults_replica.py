# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""What goes wrong where the filter looks up in a replica on its own host
(redis.read_from).  Here too an opt-out holds whatever happens: what can't be
known to be fresh is not used, and that is all that keeps mail from those who
opted out on another host.  Where Redis itself goes back there is none: the
filter's host can't make good what that had recorded."""
import contextlib
import os

from .faults import (FAULTS, fault, hold, keep_dump, nobody_applies,
                     spoil)
from .faults_cluster import together

ALONE = {"stores": "replica"}
REPLICA = {"elsewhere": True, **ALONE}


def _hold(world):
    """Half the time so long that what the other host records meanwhile has to
    hold, and with nobody who changes anything on the filter's host: what its
    own ledger has would hide what the replica has not."""
    world.is_quiet = world.rng.random() < 0.5
    try:
        hold(world, *((3, 4.5) if world.is_quiet else (0.3, 2.5)))
    finally:
        world.is_quiet = False


@fault("replica-lags", **REPLICA)
def lags(world):
    """A little, or so much that it must not be used."""
    world.link.trouble = world.rng.choice(("delay", "stall", "drop"))
    try:
        _hold(world)
    finally:
        world.link.trouble = None
        world.link.hang_up()


@fault("replica-freeze", **REPLICA)
def freeze(world):
    world.replica.sigstop()
    try:
        hold(world, 0.1, 2.5)
    finally:
        world.replica.cont()


@fault("replica-kill", **REPLICA)
def kill(world):
    """It comes back empty, and fetches everything."""
    world.replica.kill9()
    hold(world, 0, 0.7)
    world.replica.start()


@fault("replica-old-dump", **REPLICA)
def old_dump(world):
    """It comes back with what it had a while ago, and can't reach the primary
    at first."""
    dump = keep_dump(world.replica)
    hold(world, 0.5, 1.5)
    world.replica.kill9()
    os.replace(dump + ".old", dump)
    world.link.trouble = world.rng.choice((None, "stall", "drop", "delay"))
    try:
        world.replica.start()
        _hold(world)
    finally:
        world.link.trouble = None
        world.link.hang_up()


@fault("replica-of-old-dump", **ALONE)
def of_old_dump(world):
    """The primary is given a dump of a while ago, and the replica follows it
    into the past."""
    _go_back(world, contextlib.nullcontext())


@fault("replica-of-old-dump-quiet", **ALONE)
def of_old_dump_quiet(world):
    _go_back(world, nobody_applies(world))


def _go_back(world, quiet):
    dump = keep_dump(world.redis)
    hold(world, 0.5, 1.5)
    with quiet:
        world.redis.kill9()
        os.replace(dump + ".old", dump)
        world.redis.start()
        hold(world, 2, 3)


@fault("replica-promoted", **REPLICA)
def promoted(world):
    """Somebody takes it for a spare primary, for a while."""
    world.replica.call("REPLICAOF", "NO", "ONE")
    try:
        _hold(world)
    finally:
        world.replica.call("REPLICAOF", "127.0.0.1", world.link.port)


@fault("replica-bad-network", **REPLICA)
def bad_network(world):
    """Between the filter and the replica, the programs and the primary."""
    wire = world.rng.choice((world.replica_wire, world.wire))
    spoil(world, wire, world.rng.choice(("delay", "cut", "drop", "stall")),
          0.2, 1.5)


@fault("replica-primary-kill", **ALONE)
def primary_kill(world):
    """It comes back empty, and the replica loses everything."""
    world.redis.kill9()
    hold(world, 0, 1.5)
    world.redis.start()


@fault("replica-primary-freeze", **REPLICA)
def primary_freeze(world):
    world.redis.sigstop()
    try:
        hold(world, 0.1, 2.5)
    finally:
        world.redis.cont()


@fault("replica-mixed", **REPLICA)
def mixed(world):
    """One of these, and at the same time the programs suffer."""
    together(world, [n for n, f in FAULTS.items()
                     if f.world == REPLICA and n != "replica-mixed"])
