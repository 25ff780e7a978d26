# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""A Redis Cluster whose nodes are reached by wires alone, so that any of them
can be cut off from the others, from our programs, or from both."""
from rig import Cluster, RedisError, RigError, slot_of, wait_for

from .wire import Wire

PROGRAMS = "127.0.0.1"  # the address that these call from
WELL_SEC = 60


class _Door:
    """The two ports of a node; host is where it calls the others from."""

    def __init__(self, rig, rng, host, bus_port):
        self.host = host
        self.clients = Wire(rig, None, rng, tcp=True)
        self.bus = Wire(rig, ("127.0.0.1", bus_port), rng, tcp=True)

    def wires(self):
        return self.clients, self.bus


class Nodes(Cluster):
    """Three primaries, each with a replica.  Nobody keeps anything on disk but
    who is who: a node that was killed comes back empty."""

    def __init__(self, rig, rng, down_ms):
        self._rig, self._rng = rig, rng
        self._doors = []                # in the order of servers
        super().__init__(rig, down_ms=down_ms, options=[
            # Who is away shall cost nobody but those whose slots it has.
            "cluster-require-full-coverage no"])

    def _reached_by(self, bus_port):
        host = f"127.0.1.{len(self._doors) + 1}"
        door = _Door(self._rig, self._rng, host, bus_port)
        self._doors.append(door)
        return [f"bind-source-addr {host}", "cluster-announce-ip 127.0.0.1",
                f"cluster-announce-port {door.clients.port}",
                f"cluster-announce-bus-port {door.bus.port}"]

    def _create(self, primaries):
        for server in self.servers:
            self.door(server).clients.target = server.socket
        super()._create(primaries)
        self.count = primaries
        self.wait_settled()

    def door(self, server):
        return self._doors[self.servers.index(server)]

    def port(self, server):
        return self.door(server).clients.port

    def bus_port(self, server):
        return self.door(server).bus.port

    # -- the network

    def cut_off(self, server, trouble, programs):
        """From the other nodes, and from our programs or not."""
        own = self.door(server)
        others = {d.host for d in self._doors if d is not own}
        for door in self._doors:
            for wire in door.wires():
                wire.victims = {own.host}
                if door is own:
                    wire.victims = others | ({PROGRAMS} if programs else set())
                wire.trouble = trouble

    def hold_back(self, replica, trouble):
        """What its primary tells this replica; they still know each other."""
        wire = self.door(self.primary_of(replica)).clients
        wire.victims = {self.door(replica).host}
        wire.trouble = trouble
        return wire

    def join(self):
        """All again.  What was under way won't come any more."""
        for door in self._doors:
            for wire in door.wires():
                if wire.trouble:
                    wire.trouble = None
                    wire.hang_up()
                    wire.victims = None

    # -- who is who

    def primary_of(self, replica):
        return next(s for s in self.servers if
                    b"master_port:%d\r" % self.port(s) in
                    replica.call("INFO", "replication"))

    def is_settled(self):
        """Is all well, in the eyes of all the same, and as it was?  Who takes
        a slot raises its epoch above all that it has heard of, and may lose the
        slot to one that it has not heard of."""
        if not self.is_ok() or len(self.primaries()) != self.count:
            return False
        return len(set(map(self._view, self.servers))) == 1

    def _view(self, server):
        owners = sorted((first, last, primary[2]) for first, last, primary, *_
                        in server.call("CLUSTER", "SLOTS"))
        return self.info(server)["cluster_current_epoch"], tuple(owners)

    def wait_settled(self):
        wait_for(self.is_settled_by_now, WELL_SEC,
                 "the nodes to be of one mind", pause=0.05)

    def is_settled_by_now(self):
        try:
            return self.is_settled()
        except (OSError, RigError, RedisError):
            return False

    def used_slots(self, server):
        """Those of its slots that people are in."""
        return sorted({slot_of(key) for key in server.call("KEYS", "c:{*")})
