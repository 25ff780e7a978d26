# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""A Redis Cluster: slots, redirections, slots on the move, failovers, nodes
that lose what they had; and no answer is wrong meanwhile."""
import contextlib
import hashlib
import hmac
import json
import os
import re
import threading
import time

from rig import (Authority, Cluster, Filter, Redis, RespClient, TestCase,
                 UNVERIFIED, Web, in_threads, read_text, slot_of,
                 verify_chain, wait_for)
from test_selftest import SelftestCase

PERSONS = 120


class Load:
    """Mail to people who have opted in, and to people who have opted out, and
    opt-outs, all at once."""

    def __init__(self, test, names, leaving):
        self.test, self.names, self.leaving = test, names, list(leaving)
        self.links = {n: test.web.link(f"{n}@example.org") for n in leaving}
        self.gone, self.wrong, self.deferred, self.asked = [], [], 0, 0
        self._stop = threading.Event()

    def _look_up(self):
        turn = 0
        while not self._stop.is_set():
            gone = list(self.gone)
            for name, out in [(self.names[turn % len(self.names)], False)] + \
                    [(n, True) for n in gone[turn % 7::7]]:
                answer = self.test.rcpt(name)
                self.asked += 1
                if (answer.text or "").startswith("451"):
                    self.deferred += 1
                elif (answer.kind == "continue") == out:
                    self.wrong.append((name, answer.kind, answer.text))
            turn += 1

    def _opt_out(self):
        while not self._stop.is_set() and self.leaving:
            name = self.leaving.pop()
            if self.test.web.click(self.links[name]).status == 200:
                self.gone.append(name)
            time.sleep(0.05)

    def __enter__(self):
        self._threads = [threading.Thread(target=t)
                         for t in (self._look_up, self._opt_out)]
        for t in self._threads:
            t.start()
        return self

    def __exit__(self, *exc):
        self._stop.set()
        for t in self._threads:
            t.join()

    def wait(self, n):
        """Until n more have been asked for."""
        target = self.asked + n
        wait_for(lambda: self.asked >= target, 60, "look-ups")


class Clustered(TestCase):
    @classmethod
    def set_up_rig(cls):
        # A node that is away shall cost nobody but those whose slots it has.
        cls.cluster = Cluster(cls.rig, options=[
            "cluster-require-full-coverage no"])
        cls.filter = Filter(cls.rig, None, redis=cls.cluster.settings)
        cls.web = Web(cls.rig, cls.filter)
        cls.names = [f"p{i}" for i in range(PERSONS)]
        cls.filter.grant(*[f"{n}@example.org" for n in cls.names])
        cls.fresh = iter(range(10 ** 6))

    def setUp(self):
        self.cluster.wait_ok()
        self.wait_served(self.names[:12])

    def rcpt(self, name):
        with self.filter.client() as client:
            client.connect()
            client.mail("<n@news.example.com>")
            return client.rcpt(f"<{name}@example.org>")

    def wait_served(self, names):
        wait_for(lambda: all(self.rcpt(n).kind == "continue" for n in names),
                 30, "mail to go on")

    def assert_out(self, name):
        self.assert_refused(self.rcpt(name).text, f"{name}@example.org")

    def newcomers(self, n):
        """People of this test alone, who have opted in."""
        names = [f"n{next(self.fresh)}" for _ in range(n)]
        self.filter.grant(*[f"{name}@example.org" for name in names])
        return names

    def key(self, name):
        """As src/consent/subject.c makes it."""
        secret = bytes.fromhex(read_text(os.path.join(
            self.filter.keys_dir, "pseudonym.key")).strip())
        subject = hmac.new(secret, b"consent-milter subject v1\0" +
                           f"{name}@example.org".encode(),
                           hashlib.sha256).hexdigest()[:32]
        return f"c:{{{subject[:2]}}}{subject}".encode()

    def record(self, name):
        return self.cluster.call("HGET", self.key(name), "weekly") or b""

    def applied(self):
        """The entry up to which everything is confirmed."""
        return int(read_text(os.path.join(
            self.filter.audit_dir, "ledger", ".applied")).split()[0])

    def neighbours(self):
        """Two people with keys in one slot, that slot, and its cursor."""
        seen = {}
        while True:
            name = f"n{next(self.fresh)}"
            key = self.key(name)
            slot = slot_of(key)
            if slot in seen:
                pair = seen[slot], (name, key)
                self.filter.grant(*[f"{n}@example.org" for n, _ in pair])
                return *pair, slot, b"c:applied:" + key[2:6]
            seen[slot] = (name, key)

    def other(self, server):
        return next(s for s in self.cluster.primaries() if s is not server)


class Everyday(Clustered):
    def test_all_nodes(self):
        """Everybody is found, whichever node has them."""
        for primary in self.cluster.primaries():
            self.assertGreater(primary.call("DBSIZE"), PERSONS // 6)
        self.assertEqual({self.rcpt(n).kind for n in self.names},
                         {"continue"})
        self.assert_out("nobody")
        with self.filter.client() as client:
            client.connect()
            client.mail("<n@news.example.com>")
            kinds = [client.rcpt(f"<{n}@example.org>").kind
                     for n in self.names + ["nobody"]]
        self.assertEqual(kinds, ["continue"] * PERSONS + ["replycode"])

    def test_consentctl(self):
        name, = self.newcomers(1)
        address = f"{name}@example.org"
        check = ["check", "--list", "weekly", address]
        self.assertEqual(self.filter.ctl(*check).returncode, 0)
        self.filter.withdraw(address)
        done = self.filter.ctl(*check, check=False)
        self.assertEqual((done.returncode, done.stdout.strip()),
                         (1, "withdrawn"))
        self.assert_out(name)
        self.assertIn(b"w", self.record(name))
        self.filter.ctl("erase", address)
        done = self.filter.ctl("export", address, "--format", "json")
        self.assertIn("erase", done.stdout)
        self.assertEqual(self.record(name), b"")

    def test_old_setting(self):
        """A node in redis.url, and something that is no node in
        redis.cluster."""
        alone = Redis(self.rig, tcp=True)
        for redis, told in [
                ({"url": self.cluster.servers[0].tcp_url},
                 "this Redis is a node of a cluster: name its nodes in "
                 "redis.cluster"),
                ({"url": "redis://c",
                  "cluster": [f"127.0.0.1:{alone.port}"]},
                 "this Redis is no node of a cluster (cluster-enabled): name "
                 "it in redis.url, and leave redis.cluster out")]:
            aside = Filter(self.rig, None, start=False, keygen=False,
                           keys=self.filter.keys_dir, redis=redis)
            done = aside.ctl("check", "--list", "weekly", "a@example.org",
                             check=False)
            self.assertEqual(done.returncode, 78, done.stderr)
            self.assertIn(told, done.stderr)

    def test_users(self):
        """What conf/redis-acl.conf allows is enough, ASK included."""
        conf = os.path.join(os.path.dirname(__file__), "..", "..", "conf",
                            "redis-acl.conf")
        for line in read_text(conf).splitlines():
            if line.startswith("user "):
                words = line.replace("CHANGE-ME", "secret").split()[1:]
                for server in self.cluster.servers:
                    server.call("ACL", "SETUSER", *words)
        password = self.rig.path("password")
        with open(password, "w") as f:
            f.write("secret\n")
        os.chmod(password, 0o600)
        user = Filter(self.rig, None, redis=dict(
            self.cluster.settings, username="consent-milter",
            password_file=password, writer_username="consentctl",
            writer_password_file=password))
        user.grant("user@example.org")
        told = json.loads(user.ctl("show", "user@example.org",
                                   "--json").stdout)
        slot = slot_of(f"{{{told['subject'][:2]}}}".encode())
        target = self.other(self.cluster.owner(slot))
        source = self.cluster.start_move(slot, target)
        self.cluster.move_keys(source, target, source.call(
            "CLUSTER", "GETKEYSINSLOT", slot, 100))
        with user.client() as client:
            client.connect()
            client.mail("<n@news.example.com>")
            self.assertEqual(client.rcpt("<user@example.org>").kind,
                             "continue")
        user.withdraw("user@example.org")
        self.cluster.end_move(slot, source, target)
        user.ctl("erase", "user@example.org")
        user.stop()

    def test_rebuild(self):
        """From one Redis to the cluster: the ledger is all it takes."""
        mover = Filter(self.rig, Redis(self.rig))
        mover.grant(*[f"m{i}@example.org" for i in range(60)])
        mover.withdraw("m0@example.org")
        since = len(mover.log())
        mover.reload(redis=self.cluster.settings)
        mover.wait_log("can be reached: Redis Cluster with 3 primaries",
                       since)
        done = mover.ctl("rebuild")
        self.assertEqual(done.stdout, "61 events applied\n")
        for name, code in [("m0", 1), ("m1", 0), ("m59", 0)]:
            done = mover.ctl("check", "--list", "weekly",
                             f"{name}@example.org", check=False)
            self.assertEqual(done.returncode, code, done.stderr)
        with mover.client() as client:
            client.connect()
            client.mail("<n@news.example.com>")
            # The filter has to hear that the ledger is in the cluster now.
            self.assertNotEqual(client.rcpt("<m0@example.org>").kind,
                                "continue")
            wait_for(lambda: client.rcpt("<m0@example.org>").text[:3] ==
                     "550", 10, "m0 refused")
            self.assert_refused(client.rcpt("<m0@example.org>").text,
                                "m0@example.org")
            wait_for(lambda: client.rcpt("<m1@example.org>").kind ==
                     "continue", 10, "mail to go on")
        # And again, which changes nothing; and what follows goes on there.
        self.assertEqual(mover.ctl("rebuild", "--from-start").stdout,
                         "61 events applied\n")
        mover.withdraw("m1@example.org")
        done = mover.ctl("check", "--list", "weekly", "m1@example.org",
                         check=False)
        self.assertEqual(done.stdout.strip(), "withdrawn")
        mover.stop()

    def test_tls(self):
        """Each node's certificate names its address."""
        authority = Authority(self.rig)
        cluster = Cluster(
            self.rig, replicas=0, options=["tls-cluster yes"],
            tls=(authority.issue("127.0.0.1"), authority.path))
        user = Filter(self.rig, None, start=False, redis=dict(
            cluster.settings, ca_file=authority.path))
        user.grant(*[f"t{i}@example.org" for i in range(20)])
        self.assertEqual(user.ctl("check", "--list", "weekly",
                                  "t7@example.org").stdout.strip(), "granted")
        for server in cluster.servers:
            self.assertGreater(server.call("DBSIZE"), 0)
            server.use_certificate(authority.issue("10.9.8.7"))
        done = user.ctl("check", "--list", "weekly", "t7@example.org",
                        check=False)
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertIn("127.0.0.1", done.stderr)

    def test_replicas_are_waited_for(self):
        careful = Filter(self.rig, None, start=False, redis=dict(
            self.cluster.settings, wait_replicas=1))
        careful.grant(*[f"c{i}@example.org" for i in range(20)])
        told = json.loads(careful.ctl("show", "c1@example.org",
                                      "--json").stdout)
        slot = slot_of(f"{{{told['subject'][:2]}}}".encode())
        replica = self.cluster.replica_of(self.cluster.owner(slot))
        applied = os.path.join(careful.audit_dir, "ledger", ".applied")
        before = read_text(applied)
        replica.sigstop()
        try:
            done = careful.ctl("withdraw", "--list", "weekly",
                               "c1@example.org", check=False)
        finally:
            replica.cont()
        self.assertEqual(done.returncode, 75, done.stderr)
        self.assertIn("0 replicas of Redis have it, and "
                      "redis.wait_replicas wants 1", done.stderr)
        self.assertEqual(read_text(applied), before)
        self.cluster.wait_ok()
        careful.grant("later@example.org")
        self.assertNotEqual(read_text(applied), before)


class Slots(Clustered):
    def test_moved(self):
        name, = self.newcomers(1)
        key = self.key(name)
        slot = slot_of(key)
        target = self.other(self.cluster.owner(slot))
        self.cluster.move(slot, target)
        self.assertEqual(target.call("EXISTS", key), 1)
        self.assertEqual(self.rcpt(name).kind, "continue")
        self.filter.withdraw(f"{name}@example.org")
        self.assert_out(name)
        self.assertIn(b"w", target.call("HGET", key, "weekly"))

    def test_half_moved(self):
        """One of two people of a slot has been moved, the cursor has not:
        both are found, both can leave at once; an opt-in waits."""
        (here, kept), (there, key), slot, cursor = self.neighbours()
        target = self.other(self.cluster.owner(slot))
        source = self.cluster.start_move(slot, target)
        self.cluster.move_keys(source, target, [key])
        for turn in range(2):
            self.assertEqual(self.rcpt(here).kind, "continue")
            self.assertEqual(self.rcpt(there).kind, "continue")
            self.assert_out("nobody")
            if turn == 0:       # and the other way round
                self.cluster.move_keys(source, target, [cursor])
        for name in (here, there):
            self.assertEqual(self.web.click(self.web.link(
                f"{name}@example.org")).status, 200)
        # Not only by the ledger of this host: each node has it.
        wait_for(lambda: b"w" in source.call("HGET", kept, "weekly"), 20,
                 "the opt-out of who stayed")
        wait_for(lambda: b"w" in self.asking(target, "HGET", key, "weekly"),
                 20, "the opt-out of who was moved")
        self.assert_out(here)
        self.assert_out(there)
        done = self.filter.ctl("grant", "--list", "weekly",
                               f"{there}@example.org", check=False)
        self.assertEqual(done.returncode, 75, done.stderr)
        self.assertIn("a slot is being moved", done.stderr)
        self.assert_out_by(there, self.asking(target, "HGET", key, "weekly"))
        self.cluster.end_move(slot, source, target)
        self.filter.ctl("withdraw", "--list", "weekly", f"{here}@example.org")
        self.assertEqual(target.call("EXISTS", cursor), 1)
        self.assertEqual(self.rcpt(there).kind, "continue")

    def assert_out_by(self, name, record):
        """The record has no opt-in later than the opt-out."""
        times = {f[:1]: int(f[1:]) for f in record.split()}
        self.assertGreaterEqual(times[b"w"], times[b"g"], name)

    @staticmethod
    def asking(server, *command):
        client = RespClient(server.socket)
        try:
            client.call("ASKING")
            return client.call(*command)
        finally:
            client.close()

    def test_resharding(self):
        """All slots of a node that has ours go to another, and back, one key
        after the other, under load."""
        leaving = self.newcomers(12)
        first, second = self.cluster.primaries()[:2]
        ours = sorted({slot_of(b"{%02x}" % p) for p in range(256)
                       if self.cluster.owner(slot_of(b"{%02x}" % p))
                       is first})
        with Load(self, self.names, leaving) as load:
            for source, target in [(first, second), (second, first)]:
                for slot in ours:
                    self.cluster.start_move(slot, target)
                    self.cluster.end_move(slot, source, target)
            load.wait(50)
        self.assertEqual(load.wrong, [])
        self.assertEqual(load.deferred, 0)
        self.assertGreater(len(load.gone), 3)
        for name in load.gone:
            self.assert_out(name)

    def test_nobody_has_it(self):
        """A slot that was taken from its node: those in it wait, the others
        do not."""
        name, = self.newcomers(1)
        slot = slot_of(self.key(name))
        owner = self.cluster.owner(slot)
        for server in self.cluster.servers:
            server.call("CLUSTER", "DELSLOTS", slot)
        try:
            self.assert_reply(self.rcpt(name).text, UNVERIFIED)
            spared = next(n for n in self.names
                          if slot_of(self.key(n)) != slot)
            self.assertEqual(self.rcpt(spared).kind, "continue")
        finally:
            owner.call("CLUSTER", "ADDSLOTS", slot)
            self.cluster.wait_ok()
        self.wait_served([name])


class Failover(Clustered):
    def test_asked_to(self):
        """A failover of a primary that lives, under load."""
        leaving = self.newcomers(8)
        old = self.cluster.primaries()[0]
        new = self.cluster.replica_of(old)
        with Load(self, self.names, leaving) as load:
            load.wait(20)
            new.call("CLUSTER", "FAILOVER")
            wait_for(lambda: b"role:master" in new.call(
                "INFO", "replication"), 30, "the failover")
            load.wait(100)
        self.assertEqual(load.wrong, [])
        for name in load.gone:
            self.assert_out(name)

    def test_killed(self):
        """Its slots wait until the replica has them; nobody else does."""
        leaving = self.newcomers(8)
        old = self.cluster.primaries()[1]
        new = self.cluster.replica_of(old)
        has = {n: self.cluster.owner(slot_of(self.key(n)))
               for n in self.names}
        spared = next(n for n, owner in has.items() if owner is not old)
        hit = next(n for n, owner in has.items() if owner is old)
        with Load(self, self.names, leaving) as load:
            load.wait(20)
            old.kill9()
            self.assert_reply(self.rcpt(hit).text, UNVERIFIED)
            start = time.monotonic()
            self.assert_reply(self.rcpt(hit).text, UNVERIFIED)
            self.assertLess(time.monotonic() - start, 2.0)
            self.assertEqual(self.rcpt(spared).kind, "continue")
            wait_for(lambda: b"role:master" in new.call(
                "INFO", "replication"), 30, "the failover")
            self.wait_served([hit])
            load.wait(100)
        old.start()
        self.assertEqual(load.wrong, [])
        self.assertIn("parts of the Redis Cluster: ", self.filter.log())
        self.wait_served(self.names[:12])
        for name in load.gone:
            self.assert_out(name)

    def test_went_back(self):
        """A node has what it had before an opt-out, as a replica that lags and
        is promoted: nobody gets mail by that, and it gets what it lost."""
        name, = self.newcomers(1)
        key = self.key(name)
        cursor = b"c:applied:" + key[2:6]
        owner = self.cluster.owner(slot_of(key))
        before = {k: owner.call("DUMP", k) for k in (key, cursor)}
        self.web.stop()         # nobody mends it meanwhile
        try:
            self.filter.withdraw(f"{name}@example.org")
            self.assert_out(name)
            wait_for(lambda: self.applied() >= self.seq_of(owner, cursor), 10)
            time.sleep(0.7)     # so the filter has forgotten it
            for k, dump in before.items():
                owner.call("RESTORE", k, 0, dump, "REPLACE")
            for _ in range(20):
                self.assertNotEqual(self.rcpt(name).kind, "continue")
            wait_for(lambda: (self.rcpt(name).text or "").startswith("550"),
                     10, "the ledger to be gone by")
            self.assertNotIn(b"w", owner.call("HGET", key, "weekly"))
            done = self.filter.ctl("grant", "--list", "weekly",
                                   "another@example.org")
            self.assertIn("Redis has lost what it confirmed", done.stderr)
            self.assertIn(b"w", owner.call("HGET", key, "weekly"))
        finally:
            self.web.start()
        self.assert_out(name)

    @staticmethod
    def seq_of(server, cursor):
        return max(int(v) for v in server.call("HVALS", cursor))

    def test_flushed(self):
        """One node forgets everything, and gets it again; by the applier that
        is there."""
        name, out = self.newcomers(2)
        self.filter.withdraw(f"{out}@example.org")
        for primary in self.cluster.primaries():
            primary.call("FLUSHALL")
            self.assertNotEqual(self.rcpt(out).kind, "continue")
            self.web.click(self.web.link(f"{self.newcomers(1)[0]}"
                                         "@example.org"))
            wait_for(lambda p=primary: p.call("DBSIZE") > PERSONS // 6, 30,
                     "the node to be filled")
        self.wait_served(self.names + [name])
        self.assert_out(out)

    def test_all_down(self):
        name, out = self.newcomers(2)
        self.filter.withdraw(f"{out}@example.org")
        for server in self.cluster.servers:
            server.kill9()
        try:
            self.assert_reply(self.rcpt(name).text, UNVERIFIED)
            self.assert_reply(self.rcpt(out).text, UNVERIFIED)
            link = self.web.request("GET", "/").status     # it lives
            self.assertNotEqual(link, 500)
        finally:
            for server in self.cluster.servers:
                server.start()
        self.cluster.wait_ok()
        self.wait_served([name])
        self.assert_out(out)


class Commands(SelftestCase):
    """The commands of consentctl that go through everybody, or through all of
    one person, whichever nodes that takes."""
    ROWS = 3000

    @classmethod
    def make_filter(cls):
        # Nobody takes over: what a node had is away until it is back.
        cls.cluster = Cluster(cls.rig, replicas=0, options=[
            "cluster-require-full-coverage no"])
        return Filter(cls.rig, None, redis=cls.cluster.settings,
                      audit={"evidence_ip": "full"},
                      retention={"ip": "36 months"})

    def setUp(self):
        self.cluster.wait_ok()

    def ctl(self, *args, code=0):
        done = self.filter.ctl(*args, check=False)
        self.assertEqual(done.returncode, code,
                         f"{args}: {done.stdout}{done.stderr}")
        return done

    def key(self, address):
        told = json.loads(self.ctl("show", address, "--json").stdout)
        return b"c:{%s}%s" % (told["subject"][:2].encode(),
                              told["subject"].encode())

    def rows(self, name, n=ROWS):
        path = self.rig.path(f"{name}.csv")
        with open(path, "w", encoding="ascii") as f:
            f.write("address,list,at,source\n" + "".join(
                f"{name}{i}@example.org,weekly,2026-01-05T09:00:00Z,shop\n"
                for i in range(n)))
        return path

    def records(self):
        """{key: record} of all nodes, as dumped."""
        found = {}
        for server in self.cluster.servers:
            for key in server.call("KEYS", "c:{*"):
                self.assertNotIn(key, found)
                flat = server.call("HGETALL", key)
                found[key] = dict(zip(flat[::2], flat[1::2]))
        return found

    def slots(self, source):
        return sorted({slot_of(b"{%02x}" % p) for p in range(256)
                       if self.cluster.owner(slot_of(b"{%02x}" % p))
                       is source})

    @contextlib.contextmanager
    def moved(self, source, target):
        """All slots in which persons are, and back."""
        slots = self.slots(source)
        try:
            for slot in slots:
                self.cluster.move(slot, target)
            yield
        finally:
            for slot in slots:
                if self.cluster.owner(slot) is not source:
                    self.cluster.move(slot, source)

    def assert_clean(self):
        self.assertIn("good", self.ctl("verify").stdout)
        verify_chain(os.path.join(self.filter.audit_dir, "ledger"), "ledger")

    def test_selftest(self):
        self.assert_good(*self.run_json())

    def test_import(self):
        path = self.rows("i")
        known = len(self.records())
        before = [s.call("DBSIZE") for s in self.cluster.servers]
        done = self.ctl("import", path)
        self.assertIn(f"{self.ROWS} rows imported", done.stdout)
        after = [s.call("DBSIZE") for s in self.cluster.servers]
        for a, b in zip(before, after):
            self.assertGreater(b - a, self.ROWS // 5)
        self.assertEqual(len(self.records()) - known, self.ROWS)
        # Twice is as good as once.
        records = self.records()
        self.ctl("import", path)
        self.assertEqual(self.records(), records)

    def test_import_while_slots_move(self):
        first, second = self.cluster.servers[:2]
        before = len(self.records())
        path = self.rows("m")

        def work(i):
            if i == 0:
                return self.filter.ctl("import", path, check=False)
            with self.moved(first, second):
                pass
            return None
        done = in_threads(2, work)[0]
        # A half-moved slot may make it say that some of it waits in the
        # ledger; the next command takes that to Redis.
        self.assertIn(done.returncode, (0, 75), done.stderr)
        self.filter.grant("after-moves@example.org")
        self.assertEqual(len(self.records()), before + self.ROWS + 1)
        self.assert_clean()

    def test_import_without_a_node(self):
        away = self.cluster.servers[2]
        before = len(self.records())
        self.ctl("import", self.rows("warm", 10))
        away.kill9()
        try:
            done = self.ctl("import", self.rows("w", 16000), code=75)
            # It stops not far behind the first that Redis has not got, and
            # says where.
            taken = int(re.match(r"(\d+) rows imported", done.stdout)[1])
            self.assertLess(taken, 16000)
            self.assertRegex(done.stderr, f"stopped at line {taken + 1}: "
                             "what is counted above is recorded")
            self.ctl("rebuild", code=69)
        finally:
            away.start()            # with nothing in it
        self.cluster.wait_ok()
        self.ctl("rebuild")
        self.assertEqual(len(self.records()), before + taken + 10)
        self.ctl("import", self.rows("w", 16000))
        self.assertEqual(len(self.records()), before + 16000 + 10)
        self.assertEqual(self.state("w77@example.org"), "granted")
        self.assert_clean()

    def test_rebuild(self):
        self.ctl("import", self.rows("r"))
        self.filter.withdraw("r1@example.org", "r2@example.org")
        records = self.records()
        for server in self.cluster.servers:
            server.call("FLUSHALL")
        self.ctl("rebuild")
        self.assertEqual(self.records(), records)
        # One that lost all, and whose slots are another's meanwhile.
        first, second = self.cluster.servers[:2]
        with self.moved(first, second):
            second.call("FLUSHALL")
            self.assertEqual(first.call("KEYS", "c:{*"), [])
            self.ctl("rebuild")
            self.assertEqual(self.records(), records)
        self.assertEqual(self.state("r1@example.org"), "withdrawn")

    def test_erase_and_export(self):
        people = [f"e{i}@example.org" for i in range(40)]
        self.filter.grant(*people, source="form-9")
        self.assertEqual({self.cluster.owner(slot_of(self.key(a)))
                          for a in people}, set(self.cluster.servers))
        for address in people[:12]:
            told = json.loads(self.ctl("export", address).stdout)
            self.assertIn("form-9", json.dumps(told))
        # One whose key has gone ahead of its slot.
        key = self.key(people[0])
        slot = slot_of(key)
        target = next(s for s in self.cluster.servers
                      if s is not self.cluster.owner(slot))
        source = self.cluster.start_move(slot, target)
        self.cluster.move_keys(source, target, [key])
        try:
            self.assertIn("form-9", self.ctl("export", people[0]).stdout)
            done = self.ctl("erase", people[0], code=75)
            self.assertIn("a slot is being moved", done.stderr)
            # The node where the record is has heard of it all the same.
            flat = Slots.asking(target, "HGETALL", key)
            self.assertNotIn(b"weekly", flat)
        finally:
            self.cluster.end_move(slot, source, target)
        self.ctl("erase", *people[1:])
        for address in people[:12]:
            self.assertEqual(self.state(address), "erased")
            told = self.ctl("export", address).stdout
            self.assertNotIn("form-9", told)
            self.assertNotIn(b"weekly", self.records().get(
                self.key(address), {}))
        self.assert_clean()
        # Nor does a rebuild bring them back.
        self.ctl("rebuild", "--from-start")
        for address in people[:12]:
            self.assertEqual(self.state(address), "erased")

    def test_prune(self):
        def ago(days):
            return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(
                time.time() - days * 86400))
        people = [f"p{i}@example.org" for i in range(12)]
        for i, address in enumerate(people):
            self.filter.grant(address, at=ago(1200), source="slip",
                              ip=f"198.51.100.{100 + i}")
        gone = [f"g{i}@example.org" for i in range(40)]
        self.filter.grant(*gone, at=ago(1500))
        self.ctl("withdraw", "--list", "weekly", "--at", ago(1300), *gone)
        keys = [self.key(a) for a in gone]
        self.assertEqual({self.cluster.owner(slot_of(k)) for k in keys},
                         set(self.cluster.servers))
        told = json.loads(self.ctl("prune", "--json").stdout)
        self.assertEqual((told["addresses"], told["persons"]), (12, 40))
        records = self.records()
        self.assertNotIn(b"198.51.100.", b"".join(
            v for r in records.values() for v in r.values()))
        for key in keys:
            self.assertNotIn(b"weekly", records.get(key, {}))
        for address in people:
            self.assertEqual(self.state(address), "granted")
        told = json.loads(self.ctl("prune", "--json").stdout)
        self.assertEqual((told["addresses"], told["persons"]), (0, 0))
        self.assert_clean()
