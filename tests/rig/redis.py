# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""A private redis-server and a small RESP client."""
import os

from .process import (RigError, Service, accepts, connect, find_program,
                      free_ports)


class RedisError(Exception):
    """An error reply."""


class RespClient:
    """One connection.  call("GET", "k") returns bytes, int, list or None."""

    def __init__(self, address, timeout=5.0):
        self._socket = connect(address, timeout)
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
            self._options += [
                f"tls-port {self.tls_port}", f"tls-cert-file {tls[0]}",
                f"tls-key-file {tls[0]}", f"tls-ca-cert-file {tls[1]}",
                "tls-auth-clients no"]
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
            [find_program("redis-server"), self._config], self.log_path)
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
        """One command on a connection that is kept."""
        if self._client is None:
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
