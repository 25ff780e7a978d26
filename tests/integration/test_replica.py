# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Look-ups from a replica: as good as the primary's within the bound, and not
reachable beyond it; what this host was told counts at once."""
import select
import socket
import threading
import time

from rig import Filter, Redis, TestCase, UNVERIFIED, Web, wait_for

TIMEOUT_MS = 1000
WITHIN_MS = 2000
PATIENT_MS = 60000      # for a filter that is content with old data


class Wire:
    """A port that leads to another one; hold(): what comes from there stays
    on its way."""

    def __init__(self, rig, to):
        self._to = to
        self._flows = threading.Event()
        self._flows.set()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()
        rig.on_close(self._close)

    def hold(self):
        self._flows.clear()

    def release(self):
        self._flows.set()

    def _close(self):
        self.release()
        self._socket.close()

    def _serve(self):
        while True:
            try:
                near, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(near,),
                             daemon=True).start()

    def _carry(self, near):
        try:
            with near, socket.create_connection(
                    ("127.0.0.1", self._to)) as far:
                while True:
                    ready, _, _ = select.select([near, far], [], [])
                    for s in ready:
                        data = s.recv(65536)
                        if not data:
                            return
                        if s is far:
                            self._flows.wait()
                        (near if s is far else far).sendall(data)
        except OSError:
            pass


def info(redis, name, section="replication"):
    for line in redis.call("INFO", section).decode().split("\r\n"):
        if line.startswith(name + ":"):
            return line.split(":", 1)[1]
    return None


class Replica(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.primary = Redis(cls.rig, tcp=True,
                            options=["repl-diskless-sync-delay 0"])
        cls.wire = Wire(cls.rig, cls.primary.port)
        cls.replica = Redis(cls.rig, options=[
            f"replicaof 127.0.0.1 {cls.wire.port}"])
        cls.filter = cls.make_filter(WITHIN_MS)
        cls.patient = cls.make_filter(PATIENT_MS)
        cls.web = Web(cls.rig, cls.patient)
        cls.filter.grant("ann@example.org", "ben@example.org",
                         "cid@example.org")
        cls.patient.grant(*[f"p{i}@example.org" for i in range(9)])

    @classmethod
    def make_filter(cls, within_ms):
        return Filter(cls.rig, cls.primary, keygen=not hasattr(cls, "filter"),
                      redis={"timeout_ms": TIMEOUT_MS,
                             "read_from": cls.replica.url,
                             "read_within_ms": within_ms},
                      **({"keys": cls.filter.keys_dir}
                         if hasattr(cls, "filter") else {}))

    def setUp(self):
        self.wire.release()
        wait_for(self.in_step, 20, "the replica to be in step")
        self.assert_goes_on()

    def in_step(self):
        return info(self.replica, "master_link_status") == "up" and \
            info(self.replica, "slave_repl_offset") == \
            info(self.primary, "master_repl_offset")

    def rcpt(self, name="ann", filter_=None):
        with (filter_ or self.filter).client() as client:
            client.connect()
            client.mail("<n@news.example.com>")
            return client.rcpt(f"<{name}@example.org>")

    def assert_goes_on(self, filter_=None, name="ann"):
        wait_for(lambda: self.rcpt(name, filter_).kind == "continue", 10,
                 "mail to go on")

    def assert_deferred(self, name="ann", filter_=None):
        answer = self.rcpt(name, filter_)
        self.assertEqual(answer.kind, "replycode", answer)
        ref = self.assert_reply(answer.text, UNVERIFIED).group(1)
        self.assertEqual((filter_ or self.filter).decision(ref)["reason"],
                         "store-failure")

    def wait_deferred(self, name="ann", filter_=None):
        """Mail goes on until it is deferred, and then it is deferred."""
        start = time.monotonic()
        wait_for(lambda: self.rcpt(name, filter_).kind != "continue", 10,
                 "mail to be deferred")
        self.assert_deferred(name, filter_)
        return time.monotonic() - start

    def assert_said(self, since, *texts):
        """The log tells the changes in this order, each once."""
        def said():
            return [line for line in self.filter.log()[since:].split("\n")
                    if "consent store can" in line]
        wait_for(lambda: len(said()) >= len(texts), 10, "word in the log")
        lines = said()
        self.assertEqual(len(lines), len(texts), lines)
        for line, text in zip(lines, texts):
            self.assertRegex(line, text)

    def look_ups(self, redis):
        stats = info(redis, "cmdstat_hmget", "commandstats")
        return int(stats.split(",")[0].split("=")[1]) if stats else 0

    def test_only_the_replica_is_asked(self):
        before = self.look_ups(self.primary), self.look_ups(self.replica)
        for _ in range(20):
            self.assertEqual(self.rcpt().kind, "continue")
        self.assertEqual(self.look_ups(self.primary), before[0])
        self.assertGreaterEqual(self.look_ups(self.replica), before[1] + 20)
        self.assert_refused(self.rcpt("nobody").text, "nobody@example.org")

    def test_replica_hung(self):
        since = len(self.filter.log())
        self.replica.sigstop()
        try:
            self.wait_deferred()
            start = time.monotonic()
            for _ in range(5):
                self.assert_deferred()
            self.assertLess(time.monotonic() - start, 5 * TIMEOUT_MS / 1000)
            self.filter.wait_log("can't be reached", since)
        finally:
            self.replica.cont()
        self.assert_goes_on()
        self.assert_said(since, "can't be reached.*replica", "can be reached")

    def test_replica_killed(self):
        self.replica.kill9()
        self.assert_deferred()
        self.replica.start()
        self.assert_goes_on()

    def test_connection_ended(self):
        """A new connection is compared at once."""
        for _ in range(3):
            time.sleep(1.1)     # one that lasts no second is none
            self.replica.call("CLIENT", "KILL", "TYPE", "normal",
                              "SKIPME", "yes")
            self.assertEqual(self.rcpt().kind, "continue")

    def test_primary_hung(self):
        since = len(self.filter.log())
        self.primary.sigstop()
        start = time.monotonic()
        try:
            self.wait_deferred()
            self.filter.wait_log("can't be reached", since)
            self.assertLess(time.monotonic() - start, WITHIN_MS / 1000 + 3.0)
            # whoever is content with older data goes on
            self.assertEqual(self.rcpt(filter_=self.patient).kind, "continue")
        finally:
            self.primary.cont()
        self.assert_goes_on()
        self.assert_said(since, "can't be reached.*less than 2000 ms old.*"
                         "the primary", "can be reached.*replica")

    def test_primary_killed(self):
        """It comes back with nothing, and the replica follows."""
        since = len(self.filter.log())
        self.primary.kill9()
        self.wait_deferred()
        self.primary.start()
        self.filter.wait_log("lacks what it had confirmed", since, 20)
        self.assert_deferred()
        self.filter.ctl("rebuild")
        self.patient.ctl("rebuild")
        self.assert_goes_on()
        self.assert_goes_on(self.patient, "p0")

    def test_promoted(self):
        """On its own it has a history of its own."""
        self.replica.call("REPLICAOF", "NO", "ONE")
        try:
            self.wait_deferred()
            # also with a bound that is far: it is another history
            self.wait_deferred("p0", self.patient)
        finally:
            self.replica.call("REPLICAOF", "127.0.0.1", self.wire.port)
        self.assert_goes_on()

    def test_primary_itself(self):
        self.filter.reload(redis={"read_from": self.primary.url})
        self.assert_goes_on()
        self.filter.reload(redis={"read_from": self.replica.url})
        self.assert_goes_on()

    def test_other_host(self):
        """An opt-out elsewhere counts after the bound, at the latest."""
        self.wire.hold()
        try:
            self.patient.withdraw("ben@example.org")
            start = time.monotonic()
            while time.monotonic() < start + WITHIN_MS / 1000 + 1.5:
                asked = time.monotonic()
                if self.rcpt("ben").kind == "continue":
                    self.assertLess(asked, start + WITHIN_MS / 1000)
            self.assert_deferred("ben")
        finally:
            self.wire.release()
        wait_for(lambda: self.rcpt("ben").text[:3] == "550", 10,
                 "word of it")
        self.assert_goes_on()

    def test_this_host(self):
        """An opt-out here counts at once, while the replica stays in the
        past, and nobody else's consent is forgotten."""
        links = [self.web.link(f"p{i}@example.org") for i in range(1, 5)]
        self.wire.hold()
        try:
            for i, link in enumerate(links, 1):
                self.assertEqual(self.web.click(link).status, 200)
                # Deferred until the filter has read the ledger again.
                self.assertNotEqual(self.rcpt(f"p{i}", self.patient).kind,
                                    "continue")
            wait_for(lambda: {self.rcpt(f"p{i}", self.patient).text[:3]
                              for i in range(1, 5)} == {"550"}, 3,
                     "all refused")
            end = time.monotonic() + 3.0
            while time.monotonic() < end:
                for i in range(1, 5):
                    answer = self.rcpt(f"p{i}", self.patient)
                    self.assert_refused(answer.text, f"p{i}@example.org")
            self.assertEqual(self.rcpt("p0", self.patient).kind, "continue")
            # a filter that starts now, with nothing in mind
            self.patient.restart()
            for _ in range(20):
                self.assertNotEqual(self.rcpt("p1", self.patient).kind,
                                    "continue")
                time.sleep(0.05)
        finally:
            self.wire.release()
        wait_for(self.in_step, 20, "the replica to be in step")
        self.assert_goes_on(self.patient, "p0")
        self.assert_refused(self.rcpt("p1", self.patient).text,
                            "p1@example.org")

    def test_changed_to_a_replica(self):
        """What the primary had, and the filter forgot, the replica lacks."""
        self.patient.reload(redis={"read_from": None, "read_within_ms": None})
        self.wire.hold()
        try:
            self.patient.withdraw("p8@example.org")
            time.sleep(1.0)
            self.patient.reload(redis={"read_from": self.replica.url,
                                       "read_within_ms": PATIENT_MS})
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                self.assertNotEqual(self.rcpt("p8", self.patient).kind,
                                    "continue")
        finally:
            self.wire.release()
        wait_for(lambda: self.rcpt("p8", self.patient).text[:3] == "550", 10,
                 "the replica's word")
