# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The network between our programs and Redis, or between several Redis, which
can be bad."""
import os
import socket
import struct
import threading
import time

_PEER = struct.Struct("3i")             # struct ucred


class _Flow:
    """One connection: two sockets, and who made it."""

    def __init__(self, wire, client, server, who):
        self.wire = wire
        self.sockets = client, server
        self.who = who
        self._pumps = [threading.Thread(target=self._pump, args=pair,
                                        daemon=True)
                       for pair in ((client, server, False),
                                    (server, client, True))]
        for pump in self._pumps:
            pump.start()

    def close(self):
        for s in self.sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass                    # the other pump was first

    def has_ended(self):
        return not any(pump.is_alive() for pump in self._pumps)

    def forget(self):
        for s in self.sockets:
            s.close()

    def _pump(self, source, target, is_reply):
        try:
            while data := source.recv(65536):
                self._pass(target, data, is_reply)
        except OSError:
            pass
        self.close()

    def _pass(self, target, data, is_reply):
        trouble = self.wire.trouble_for(self.who)
        if trouble is None:
            target.sendall(data)
        elif trouble == "cut" and is_reply:
            # Somewhere inside: the rest never comes.
            target.sendall(data[:self.wire.rng.randrange(len(data))])
            self.close()
        elif trouble == "delay":
            time.sleep(self.wire.rng.uniform(0.02, 0.6))
            target.sendall(data)
        elif trouble == "stall":
            while self.wire.trouble_for(self.who) == "stall":
                time.sleep(0.02)
            self._pass(target, data, is_reply)
        elif trouble != "drop":
            target.sendall(data)


class Wire:
    """Wire(rig, target, rng): a UNIX socket, or with tcp=True a loopback
    port, that leads to the UNIX socket or (host, port) target.

    trouble    what happens to bytes: None, "delay", "cut" (in the middle of a
               reply), "drop" (nothing arrives, nobody hears of it), "stall"
               (arrives when that is over)
    victims    whom it happens to: programs by the names of their processes,
               on a port by the addresses that they call from; None: all
    """

    def __init__(self, rig, target, rng, tcp=False):
        self.target = target
        self.rng = rng
        self.trouble = self.victims = None
        self._flows = []
        self._lock = threading.Lock()
        if tcp:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.port = self._listener.getsockname()[1]
        else:
            self.path = os.path.join(rig.subdir("wire"), "redis.sock")
            self.url = f"unix:{self.path}"
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(self.path)
            os.chmod(self.path, 0o666)
            self._listener.listen(200)
        threading.Thread(target=self._serve, daemon=True).start()
        rig.on_close(self._close)

    def trouble_for(self, who):
        return self.trouble if self._hits(who) else None

    def _hits(self, who):
        return self.victims is None or who in self.victims

    def hang_up(self):
        """Ends all connections of those whom the trouble happens to."""
        with self._lock:
            flows = [flow for flow in self._flows if self._hits(flow.who)]
        for flow in flows:
            flow.close()

    def _close(self):
        # Who waits in accept() does not notice a mere close().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = self._reach_target()
            except OSError:
                client.close()
                continue
            with self._lock:
                self._forget_ended()
                self._flows.append(_Flow(self, client, server,
                                         _who_is_at(client)))

    def _forget_ended(self):
        ended = [flow for flow in self._flows if flow.has_ended()]
        for flow in ended:
            flow.forget()
            self._flows.remove(flow)

    def _reach_target(self):
        if isinstance(self.target, tuple):
            server = socket.create_connection(self.target, 5)
            server.settimeout(None)
            return server
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.target)
        return server


def _who_is_at(client):
    """The other end: the name of its process, or its address."""
    try:
        if client.family != socket.AF_UNIX:
            return client.getpeername()[0]
        pid = _PEER.unpack(client.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))[0]
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()
    except OSError:
        return None                     # it has gone again
