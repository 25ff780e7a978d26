# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""A private redis-server and a small RESP client."""
import binascii
import os
import re
import ssl

from .process import (RigError, Service, accepts, connect, find_program,
                      free_ports, wait_for)


class RedisError(Exception):
    """An error reply."""


class RespClient:
    """One connection, with TLS where a CA is given.  call("GET", "k") returns
    bytes, int, list or None."""

    def __init__(self, address, timeout=5.0, ca=None):
        self._socket = connect(address, timeout)
        if ca:
            self._socket = ssl.create_default_context(
                cafile=ca).wrap_socket(self._socket,
                                       server_hostname=address[0])
        self._file = self._socket.makefile("rb")

    def call(self, *args):
        out = [b"*%d\r\n" % len(args)]
        for arg in args:
            data = arg if isinstance(arg, bytes) else str(arg).encode()
            out.append(b"$%d\r\n%s\r\n" % (len(data), data))
        self._socket.sendall(b"".join(out))
        return self._read()

    def _read(self):
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise RigError("redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise RedisError(rest.decode("utf-8", "replace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if int(rest) < 0:
                return None
            return self._file.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return None if int(rest) < 0 else [
                self._read() for _ in range(int(rest))]
        raise RigError(f"not RESP: {line!r}")

    def close(self):
        self._file.close()
        self._socket.close()


def _server():
    """Another one stands in for Redis where the environment says so."""
    return find_program(os.environ.get("CONSENT_MILTER_REDIS") or
                        "redis-server")


def _tls_lines(port, pem, ca):
    return [f"tls-port {port}", f"tls-cert-file {pem}", f"tls-key-file {pem}",
            f"tls-ca-cert-file {ca}", "tls-auth-clients no"]


class Redis:
    """Redis(rig): on a UNIX socket; tcp=True: on a loopback port as well;
    tls=(PEM file, CA file): on a port with TLS.

    url, tcp_url, tls_url   for `redis.url' of the configuration
    options                 further lines of redis.conf
    """

    def __init__(self, rig, tcp=False, options=(), tls=None):
        self.dir = rig.subdir("redis")
        self.socket = os.path.join(self.dir, "redis.sock")
        self.url = f"unix:{self.socket}"
        self.port = free_ports(1)[0] if tcp else 0
        self.tcp_url = f"redis://127.0.0.1:{self.port}" if tcp else None
        self.tls_port = free_ports(1)[0] if tls else 0
        self.tls_url = f"rediss://localhost:{self.tls_port}" if tls else None
        self.log_path = os.path.join(self.dir, "redis.log")
        self._config = os.path.join(self.dir, "redis.conf")
        self._options = list(options)
        if tls:
            self._options += _tls_lines(self.tls_port, *tls)
        self._client = None
        self.service = None
        rig.add_log("redis", self.log_path)
        rig.on_close(self.stop)
        self.start()

    def start(self):
        lines = [f"port {self.port}", "bind 127.0.0.1",
                 f"unixsocket {self.socket}", "unixsocketperm 666",
                 f"dir {self.dir}", 'save ""', "appendonly no",
                 "maxmemory-policy noeviction", "daemonize no",
                 "logfile \"\""] + self._options
        with open(self._config, "w") as f:
            f.write("\n".join(lines) + "\n")
        self.service = Service(
            [_server(), self._config], self.log_path)
        self.service.wait_ready(lambda: accepts(self.socket) and
                                self._answers())

    def _answers(self):
        client = RespClient(self.socket)
        try:
            client.call("PING")
            return True
        except RedisError as e:         # with a password it still answers
            return "NOAUTH" in str(e)
        except (OSError, RigError):
            return False
        finally:
            client.close()

    def call(self, *args):
        """One command on a connection that is kept.  One that Redis has ended
        meanwhile, as in a failover, is replaced."""
        if self._client is not None:
            try:
                return self._client.call(*args)
            except (OSError, RigError):
                self._forget()
        self._client = RespClient(self.socket)
        return self._client.call(*args)

    def use_certificate(self, pem):
        """From the next connection on."""
        self.call("CONFIG", "SET", "tls-cert-file", pem, "tls-key-file", pem)

    def _forget(self):
        if self._client is not None:
            self._client.close()
            self._client = None

    def stop(self):
        self._forget()
        self.service.stop()

    def kill9(self):
        self._forget()
        self.service.kill9()

    def sigstop(self):
        self.service.sigstop()

    def cont(self):
        self.service.cont()

    def restart(self):
        """Stops it and starts it with nothing in it."""
        self.stop()
        self.start()


class Sentinels:
    """Sentinels(rig, replicas=1): a primary with replicas, on loopback ports,
    and three Sentinels that watch it as "consent".

    tls=(PEM file, CA file)   nobody talks to anybody without TLS
    password    of the Sentinels' default user
    options     further lines of sentinel.conf

    hosts       for `redis.sentinel.hosts'
    settings    for `redis', without the password
    servers     the Redis instances; .primary() is the one that the Sentinels
                name

    An instance is down for them after down_ms, which has to be more than a
    loaded machine keeps one of them waiting: a failover that nobody asked for
    follows otherwise, and another one after it.  Between two failovers they
    wait for twice failover_ms.
    """

    def __init__(self, rig, replicas=1, down_ms=3000, failover_ms=5000,
                 tls=None, password=None, options=()):
        self._rig = rig
        self._tls = tls
        self._password = password
        self._options = list(options)
        self.servers = [self._start_redis()]
        for _ in range(replicas):
            self.servers.append(self._start_redis(
                f"replicaof 127.0.0.1 {self.port(self.servers[0])}"))
        wait_for(lambda: all(self.is_linked(r) for r in self.servers[1:]), 20,
                 "the replicas to be linked")
        self.ports = free_ports(3)
        self.hosts = [f"127.0.0.1:{port}" for port in self.ports]
        self.settings = {"url": "redis://sentinel/0", "sentinel": {
            "master": "consent", "hosts": self.hosts}}
        if tls:
            self.settings.update(url="rediss://sentinel/0", ca_file=tls[1])
        self.services = [self._start(rig, port, down_ms, failover_ms)
                         for port in self.ports]
        wait_for(self.know_each_other, 20, "the Sentinels to know each other")

    def port(self, server):
        """By which Sentinels know it."""
        return server.tls_port if self._tls else server.port

    def _start_redis(self, *options):
        if self._tls:
            options += ("tls-replication yes",)
        return Redis(self._rig, tcp=not self._tls, tls=self._tls, options=[
            "repl-diskless-sync-delay 0", *options])

    def _start(self, rig, port, down_ms, failover_ms):
        lines = [f"port {port}"]
        if self._tls:
            lines = ["port 0", "tls-replication yes",
                     *_tls_lines(port, *self._tls)]
        if self._password:
            lines.append(f"requirepass {self._password}")
        lines = "\n".join(lines + self._options)
        top = rig.subdir("sentinel")
        log = os.path.join(top, "log")
        config = os.path.join(top, "conf")
        with open(config, "w") as f:
            f.write(f"""{lines}
bind 127.0.0.1
dir {top}
logfile ""
sentinel monitor consent 127.0.0.1 {self.port(self.servers[0])} 2
sentinel down-after-milliseconds consent {down_ms}
sentinel failover-timeout consent {failover_ms}
""")
        rig.add_log("sentinel", log)
        service = Service([_server(), config,
                           "--sentinel"], log)
        rig.on_close(service.stop)
        service.wait_ready(lambda: accepts(("127.0.0.1", port)))
        return service

    def restart_sentinel(self, i):
        """One that was killed goes on with what it had written down."""
        old = self.services[i]
        self.services[i] = Service(old.argv, old.log_path)
        self._rig.on_close(self.services[i].stop)

    @staticmethod
    def is_linked(replica):
        return b"master_link_status:up" in replica.call("INFO", "replication")

    def ask(self, port, *args):
        client = RespClient(("127.0.0.1", port),
                            ca=self._tls[1] if self._tls else None)
        try:
            if self._password:
                client.call("AUTH", self._password)
            return client.call("SENTINEL", *args)
        finally:
            client.close()

    def _details(self, port):
        flat = self.ask(port, "MASTER", "consent")
        return dict(zip(flat[::2], flat[1::2]))

    def know_each_other(self):
        return all(d[b"num-other-sentinels"] == b"2" and
                   d[b"num-slaves"] == b"%d" % (len(self.servers) - 1)
                   for d in map(self._details, self.ports))

    def is_complete(self):
        """All name the same primary, with all replicas linked to it."""
        primary = self.primary()
        return self.know_each_other() and all(
            self.primary(i) is primary for i in range(3)) and all(
            s is primary or self.is_linked(s) for s in self.servers)

    def primary(self, sentinel=0):
        """The instance that one of the Sentinels names."""
        _, port = self.ask(self.ports[sentinel], "get-master-addr-by-name",
                           "consent")
        return next(s for s in self.servers if self.port(s) == int(port))

    def wait_failover(self, old, timeout=30):
        """Until the first Sentinel names another primary; returns it."""
        named = None

        def is_another():
            nonlocal named
            named = self.primary()
            return named is not old

        wait_for(is_another, timeout, "a failover")
        return named


SLOTS = 16384


def slot_of(key):
    """The hash slot of a key in a Redis Cluster."""
    tag = re.search(rb"\{([^}]+)\}", key)
    return binascii.crc_hqx(tag[1] if tag else key, 0) % SLOTS


class Cluster:
    """Cluster(rig): a Redis Cluster on loopback ports, each of three primaries
    with a replica (or as many as `replicas' says).

    settings    for `redis'
    servers     the instances, those that began as primaries first
    options     further lines of redis.conf
    """

    def __init__(self, rig, primaries=3, replicas=1, down_ms=1000,
                 options=(), tls=None):
        n = primaries * (1 + replicas)
        self.servers = [Redis(rig, tcp=True, tls=tls, options=[
            "cluster-enabled yes", "cluster-config-file nodes.conf",
            f"cluster-port {port}", f"cluster-node-timeout {down_ms}",
            "cluster-replica-validity-factor 0",
            "repl-diskless-sync-delay 0", "repl-ping-replica-period 1",
            *self._reached_by(port), *options]) for port in free_ports(n)]
        self.tls = tls is not None
        self.settings = {"url": "rediss://c" if tls else "redis://c",
                         "cluster": [f"127.0.0.1:{self.port(s)}"
                                     for s in self.servers[:2]]}
        self._create(primaries)

    def _reached_by(self, bus_port):
        """Lines of redis.conf for where others reach this node."""
        return []

    def port(self, server):
        return server.tls_port if self.tls else server.port

    def bus_port(self, server):
        return next(o.split()[1] for o in server._options
                    if o.startswith("cluster-port"))

    def _create(self, primaries):
        first = self.servers[0]
        for i, server in enumerate(self.servers):
            server.id = server.call("CLUSTER", "MYID").decode()
            server.call("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
            if i < primaries:
                server.call("CLUSTER", "ADDSLOTSRANGE",
                            SLOTS * i // primaries,
                            SLOTS * (i + 1) // primaries - 1)
            if server is not first:
                self.meet(server)
        self.wait_known()
        for i, server in enumerate(self.servers[primaries:]):
            server.call("CLUSTER", "REPLICATE",
                        self.servers[i % primaries].id)
        self.wait_ok()

    def meet(self, server):
        first = self.servers[0]
        server.call("CLUSTER", "MEET", "127.0.0.1", self.port(first),
                    self.bus_port(first))

    def info(self, server):
        return dict(line.split(":", 1) for line in
                    server.call("CLUSTER", "INFO").decode().split("\r\n")
                    if ":" in line)

    def wait_known(self):
        wait_for(lambda: all(
            int(self.info(s)["cluster_known_nodes"]) == len(self.servers)
            for s in self.servers), 30, "the nodes to know each other")

    def is_ok(self):
        """Is everybody there, content, and in step?"""
        try:
            return all(map(self.is_content, self.servers))
        except (OSError, RigError):
            return False

    def is_content(self, server):
        """Without full coverage a node says that all is well though it has not
        yet heard who has a slot."""
        info = self.info(server)
        return info["cluster_state"] == "ok" and \
            int(info["cluster_slots_assigned"]) == SLOTS and \
            self.is_linked(server)

    def wait_ok(self, timeout=60):
        wait_for(self.is_ok, timeout, "the cluster to be well")

    @staticmethod
    def is_linked(server):
        info = server.call("INFO", "replication")
        return b"role:master" in info or b"master_link_status:up" in info

    def primaries(self):
        return [s for s in self.servers
                if b"role:master" in s.call("INFO", "replication")]

    def owner(self, slot, ask=None):
        """Who has the slot, by what one of them says."""
        for first, last, node, *_ in (ask or self.servers[0]).call(
                "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(s for s in self.servers if node[1] in
                            (self.port(s), s.port, s.tls_port))
        return None

    def replica_of(self, primary):
        return next(s for s in self.servers if
                    b"master_port:%d\r" % self.port(primary) in
                    s.call("INFO", "replication"))

    def start_move(self, slot, target):
        """From here on the slot is on its way; returns who has it now."""
        source = self.owner(slot)
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        return source

    def move_keys(self, source, target, keys):
        if keys:
            source.call("MIGRATE", "127.0.0.1", self.port(target), "", 0,
                        5000, "KEYS", *keys)

    def end_move(self, slot, source, target):
        while keys := source.call("CLUSTER", "GETKEYSINSLOT", slot, 100):
            self.move_keys(source, target, keys)
        for server in [target, source] + self.primaries():
            server.call("CLUSTER", "SETSLOT", slot, "NODE", target.id)

    def move(self, slot, target):
        self.end_move(slot, self.start_move(slot, target), target)

    def call(self, command, key, *args):
        """A command to whoever has the key."""
        key = key.encode() if isinstance(key, str) else key
        return self.owner(slot_of(key)).call(command, key, *args)
