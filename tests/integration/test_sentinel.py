# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""A Redis that Sentinels watch over: failovers are followed, the primary of
yesterday is not used, and no opt-out is lost with it."""
import os
import threading
import time

from rig import Filter, Sentinels, TestCase, Web, read_text, wait_for

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
