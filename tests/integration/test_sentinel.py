# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""A Redis that Sentinels watch over: failovers are followed, the primary of
yesterday is not used, and no opt-out is lost with it."""
import json
import os
import threading
import time

from rig import (Authority, Filter, Sentinels, TestCase, Web, merge, read_text,
                 wait_for, write_file)

TIMEOUT_MS = 500
FOLLOWED_S = 2.0
SLACK_S = 1.0           # of a loaded machine


def applied(filter_):
    """Up to which entry of the ledger Redis has confirmed everything."""
    return int(read_text(os.path.join(filter_.audit_dir, "ledger",
                                      ".applied")))


class Sentinel(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.group = Sentinels(cls.rig, replicas=2)
        cls.filter = Filter(cls.rig, None, redis=dict(
            cls.group.settings, timeout_ms=TIMEOUT_MS))
        cls.web = Web(cls.rig, cls.filter)
        cls.filter.grant("ann@example.org",
                         *[f"p{i}@example.org" for i in range(200)])

    def setUp(self):
        wait_for(self.group.is_complete, 60, "quiet Sentinels")
        wait_for(lambda: self.rcpt("ann").kind == "continue", 10,
                 "mail to go on")

    def rcpt(self, name):
        with self.filter.client() as client:
            client.connect()
            client.mail("<n@news.example.com>")
            return client.rcpt(f"<{name}@example.org>")

    def wait_followed(self, old):
        """The new primary, when mail goes on; the time since the Sentinels
        had it."""
        new = self.group.wait_failover(old)
        start = time.monotonic()
        wait_for(lambda: self.rcpt("ann").kind == "continue", 20,
                 "mail to go on")
        took = time.monotonic() - start
        self.assertLess(took, FOLLOWED_S + SLACK_S)
        wait_for(lambda: f":{new.port}" in self.filter.log(), 5,
                 "word of the new primary")
        return new

    def rejoin(self, old):
        """The old one comes back as a replica."""
        wait_for(lambda: b"role:slave" in old.call("INFO", "replication") and
                 self.group.is_linked(old), 40, "the old primary to join")

    def test_killed(self):
        old = self.group.primary()
        old.kill9()
        self.wait_followed(old)
        old.start()
        self.rejoin(old)

    def test_asked_to(self):
        """A failover of a primary that lives: it goes on answering."""
        old = self.group.primary()
        self.group.ask(self.group.ports[1], "FAILOVER", "consent")
        self.wait_followed(old)
        self.rejoin(old)

    def test_sentinels_away(self):
        """The first one dead, the second one hung, the third one knows."""
        self.group.services[1].sigstop()
        try:
            done = self.filter.ctl("check", "--list", "weekly",
                                   "ann@example.org", check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
        finally:
            self.group.services[1].cont()

    def test_unknown_name(self):
        aside = Filter(self.rig, None, start=False, keygen=False,
                       keys=self.filter.keys_dir, redis=dict(
                           self.group.settings, sentinel={
                               "master": "other", "hosts": self.group.hosts}))
        done = aside.ctl("check", "--list", "weekly", "ann@example.org",
                         check=False)
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertIn("watches no primary of that name: check "
                      "redis.sentinel.master", done.stderr)

    def test_no_opt_out_is_lost(self):
        """The primary hangs, the others go on without it, it comes back;
        people opt out all the while."""
        old = self.group.primary()
        acknowledged, stop = [], threading.Event()

        def opt_out(i):
            while not stop.is_set() and (n := next(numbers, None)) is not None:
                link = self.web.link(f"p{n}@example.org")
                if self.web.click(link).status == 200:
                    acknowledged.append(n)
                time.sleep(0.05)

        numbers = iter(range(200))
        threads = [threading.Thread(target=opt_out, args=(i,))
                   for i in range(1)]
        for t in threads:
            t.start()
        try:
            time.sleep(0.5)
            old.sigstop()
            new = self.group.wait_failover(old)
            old.cont()
            self.wait_followed(old)
            self.rejoin(old)
        finally:
            old.cont()
            stop.set()
            for t in threads:
                t.join()
        self.assertGreater(len(acknowledged), 10)
        wait_for(lambda: self.in_redis(new) >= len(acknowledged), 20,
                 "all opt-outs to be in the new primary")
        for n in acknowledged[:5] + acknowledged[-20:]:
            self.assert_refused(self.rcpt(f"p{n}").text, f"p{n}@example.org")

    def test_replicas_are_waited_for(self):
        """With redis.wait_replicas nothing counts as applied that a failover
        could lose."""
        primary = self.group.primary()
        replicas = [s for s in self.group.servers if s is not primary]
        careful = Filter(self.rig, None, start=False, redis=dict(
            self.group.settings, wait_replicas=2))
        careful.grant("careful@example.org")
        before = applied(careful)
        replicas[0].sigstop()
        try:
            done = careful.ctl("withdraw", "--list", "weekly",
                               "careful@example.org", check=False)
            self.assertEqual(done.returncode, 75, done.stderr)
            self.assertIn("1 replicas of Redis have it, and "
                          "redis.wait_replicas wants 2", done.stderr)
            self.assertEqual(applied(careful), before)
        finally:
            replicas[0].cont()
        careful.grant("other@example.org")
        self.assertGreater(applied(careful), before + 1)

    @staticmethod
    def in_redis(server):
        """How many have withdrawn there."""
        return sum(b"w" in (server.call("HGET", key, "weekly") or b"")
                   for key in server.call("KEYS", "c:*")
                   if key != b"c:applied")


class Guarded(TestCase):
    """Nobody talks to anybody without TLS, the Sentinels want a password, and
    the filter looks up in a replica beside it."""

    @classmethod
    def set_up_rig(cls):
        cls.authority = Authority(cls.rig)
        cls.pem = cls.authority.issue("127.0.0.1")
        cls.group = Sentinels(
            cls.rig, replicas=2, password="watchword", options=[
                "user consent-milter on >s3cret "
                "+sentinel|get-master-addr-by-name +sentinel|master "
                "+sentinel|ckquorum"],
            tls=(cls.pem, cls.authority.path))
        # Never a primary: it is the one beside the filter.
        cls.local = cls.group.servers[2]
        cls.local.call("CONFIG", "SET", "replica-priority", 0)
        cls.settings = merge(cls.group.settings, {
            "timeout_ms": TIMEOUT_MS, "sentinel": cls.login("watchword")})
        cls.filter = Filter(cls.rig, None, redis=cls.settings)
        cls.reading = Filter(
            cls.rig, None, keygen=False, keys=cls.filter.keys_dir,
            redis=dict(cls.settings, read_within_ms=2000,
                       read_from=f"rediss://127.0.0.1:{cls.local.tls_port}"))
        cls.web = Web(cls.rig, cls.filter)
        cls.aside = Filter(cls.rig, None, start=False, keygen=False,
                           keys=cls.filter.keys_dir)
        cls.filter.grant("ann@example.org", "ben@example.org")

    @classmethod
    def login(cls, password, **more):
        path = cls.rig.path(f"{password}.password")
        write_file(path, f"{password}\n", 0o600)
        return dict(more, password_file=path)

    def setUp(self):
        wait_for(self.group.is_complete, 60, "quiet Sentinels")
        for filter_ in self.filter, self.reading:
            self.assert_goes_on(filter_)

    def rcpt(self, name, filter_):
        with filter_.client() as client:
            client.connect()
            client.mail("<n@news.example.com>")
            return client.rcpt(f"<{name}@example.org>")

    def assert_goes_on(self, filter_):
        wait_for(lambda: self.rcpt("ann", filter_).kind == "continue", 20,
                 "mail to go on")

    def ask(self, *command, ca_file=None, **sentinel):
        """What consentctl says with this login."""
        hosts = {"master": "consent", "hosts": self.group.hosts}
        self.aside.settings["redis"] = dict(
            self.group.settings, ca_file=ca_file or self.authority.path,
            sentinel=dict(hosts, **sentinel))
        self.aside.write_config()
        return self.aside.ctl(*command, check=False)

    def check(self, **options):
        done = self.ask("check", "--list", "weekly", "ann@example.org",
                        **options)
        return done.returncode, done.stderr

    def test_passwords(self):
        self.assertEqual(self.check(**self.login("watchword"))[0], 0)
        least = self.login("s3cret", username="consent-milter")
        self.assertEqual(self.check(**least)[0], 0)
        for sentinel, text in (
                ({}, "wants a password: set redis.sentinel.password_file"),
                (self.login("wrong"), "WRONGPASS"),
                (self.login("watchword", username="nobody"), "WRONGPASS")):
            with self.subTest(text):
                status, told = self.check(**sentinel)
                self.assertEqual(status, 69, told)
                self.assertIn(text, told)
                self.assertIn(f"Sentinel {self.group.hosts[2]}", told)

    def test_doctor(self):
        for sentinel, status in (
                (self.login("watchword"), "ok"),
                (self.login("s3cret", username="consent-milter"), "ok"),
                ({}, "fail"), (self.login("wrong"), "fail")):
            with self.subTest(sentinel):
                done = self.ask("doctor", "--json", **sentinel)
                found = [c for c in json.loads(done.stdout)["checks"]
                         if c["check"] == "redis-sentinel"]
                self.assertEqual([c["status"] for c in found], [status] * 3)
                for c in found:
                    self.assertEqual("password_file" in str(c.get("fixes")),
                                     status == "fail", c)

    def test_a_new_password_is_taken_with_a_reload(self):
        self.filter.reload(redis={"sentinel": self.login("wrong")})
        try:
            self.filter.wait_log("can't be reached.*Sentinel .*WRONGPASS")
            self.assertEqual(self.rcpt("ann", self.filter).text[:9],
                             "451 4.4.3")
        finally:
            self.filter.reload(redis={"sentinel": self.login("watchword")})
        self.assert_goes_on(self.filter)

    def test_certificate_of_a_sentinel(self):
        """All of them are asked, and none of them is believed."""
        other = Authority(self.rig, "Other").path
        status, told = self.check(ca_file=other, **self.login("watchword"))
        self.assertEqual(status, 69, told)
        self.assertIn(f"rediss://{self.group.hosts[2]}", told)
        self.assertIn("an authority that is not known here", told)

    def test_the_primary_dies(self):
        old = self.group.primary()
        old.kill9()
        self.addCleanup(old.start)
        new = self.group.wait_failover(old)
        self.assertIsNot(new, self.local)
        for filter_ in self.filter, self.reading:
            self.assert_goes_on(filter_)
        self.filter.wait_log(f"consent\", at 127.0.0.1:{new.tls_port}\\b")
        # What was written to the new one is read in the replica.
        self.assertEqual(self.web.click(self.web.link(
            "ben@example.org")).status, 200)
        for filter_ in self.filter, self.reading:
            wait_for(lambda: self.rcpt("ben", filter_).kind == "replycode", 10,
                     "the opt-out to be known")
            self.assert_refused(self.rcpt("ben", filter_).text,
                                "ben@example.org")
