# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Valkey instead of Redis: the core of what the store is asked for.  Any other
module, and the unit tests, run on it with CONSENT_MILTER_REDIS."""
import itertools
import json
import os
import unittest

import test_doctor
import test_selftest
from rig import (Cluster, Filter, Redis, RigError, Sentinels, TestCase,
                 fetch_valkey, wait_for, write_file)

VERSION = r"Valkey [89]\.[0-9.]+"
EARLY, LATE = "2026-01-05T10:00:00Z", "2026-01-06T10:00:00Z"


def setUpModule():
    try:
        os.environ["CONSENT_MILTER_REDIS"] = fetch_valkey()
    except RigError as e:
        # Debian 12 itself does not have it.
        raise unittest.SkipTest(f"not to be had: {e}")


class ValkeyCase(TestCase):
    def rcpt(self, name, filter_):
        with filter_.client() as client:
            client.connect()
            client.mail("<n@news.example.com>")
            return client.rcpt(f"<{name}@example.org>")

    def wait_rcpt(self, name, filter_, kind="continue"):
        wait_for(lambda: self.rcpt(name, filter_).kind == kind, 20,
                 f"{kind} for {name}")


class Store(ValkeyCase):
    """With the users of conf/redis-acl.conf."""

    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig, options=[
            "enable-protected-configs yes",
            *test_doctor.acl_users("rig-password")])
        password = cls.rig.path("password")
        write_file(password, "rig-password\n", 0o600)
        cls.filter = Filter(cls.rig, cls.redis, redis={
            "username": "consent-milter", "password_file": password,
            "writer_username": "consentctl",
            "writer_password_file": password})

    def state(self, address):
        return self.filter.ctl("check", "--list", "weekly", address,
                               check=False).stdout.strip()

    def apply(self, event, address):
        kind, at = event
        self.filter.ctl(kind, "--list", "weekly", "--at", at, address)

    def test_version(self):
        self.filter.wait_log(f"can be reached: {VERSION} at unix:")
        done = self.filter.ctl("doctor", "--json", check=False)
        found = {c["check"]: c for c in json.loads(done.stdout)["checks"]
                 if c["check"].startswith("redis")}
        self.assertRegex(found["redis"]["text"], f"is {VERSION}$")
        for name in "redis", "redis-eviction", "redis-role", "redis-clock":
            self.assertEqual(found[name]["status"], "ok", found[name])

    def test_order_does_not_matter(self):
        """merge.lua, there and from the ledger."""
        events = [("grant", EARLY), ("withdraw", LATE), ("grant", EARLY)]
        for n, order in enumerate(itertools.permutations(events)):
            for event in order:
                self.apply(event, f"past{n}@example.org")
            self.assertEqual(self.state(f"past{n}@example.org"), "withdrawn")
        self.apply(("withdraw", EARLY), "back@example.org")
        self.assertEqual(self.state("back@example.org"), "withdrawn")
        self.apply(("grant", LATE), "back@example.org")
        self.assertEqual(self.state("back@example.org"), "granted")
        self.filter.ctl("object", "back@example.org")
        self.assertEqual(self.state("back@example.org"), "objected")
        self.filter.grant("gone@example.org", at=EARLY)
        self.filter.ctl("erase", "gone@example.org")
        self.filter.grant("gone@example.org", at=LATE)
        self.assertEqual(self.state("gone@example.org"), "erased")

    def test_restart(self):
        """It knows no script any more, and nobody."""
        self.filter.grant("ann@example.org")
        self.wait_rcpt("ann", self.filter)
        self.redis.restart()
        self.filter.ctl("rebuild")
        self.wait_rcpt("ann", self.filter)
        self.filter.withdraw("ann@example.org")
        self.assert_refused(self.rcpt("ann", self.filter).text,
                            "ann@example.org")

    def test_eviction(self):
        self.filter.grant("eve@example.org")
        self.redis.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        try:
            done = self.filter.ctl("check", "--list", "weekly",
                                   "eve@example.org", check=False)
            self.assertEqual(done.returncode, 78, done.stderr)
            self.assertIn("may evict keys", done.stderr)
        finally:
            self.redis.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
        self.wait_rcpt("eve", self.filter)


class Several(ValkeyCase):
    def test_failover(self):
        group = Sentinels(self.rig, replicas=1)
        filter_ = Filter(self.rig, None, redis=dict(group.settings,
                                                    wait_replicas=1))
        filter_.grant("ann@example.org")
        self.wait_rcpt("ann", filter_)
        old = group.primary()
        old.kill9()
        group.wait_failover(old)
        self.wait_rcpt("ann", filter_)
        filter_.wait_log(f'{VERSION}, the primary "consent"')

    def test_cluster(self):
        cluster = Cluster(self.rig, replicas=0)
        filter_ = Filter(self.rig, None, redis=cluster.settings)
        people = [f"p{i}@example.org" for i in range(20)]
        filter_.grant(*people)
        for person in people:
            self.wait_rcpt(person.partition("@")[0], filter_)
        filter_.withdraw(*people)
        for person in people:
            self.assert_refused(
                self.rcpt(person.partition("@")[0], filter_).text, person)
        alone = Filter(self.rig, cluster.servers[0], start=False)
        done = alone.ctl("check", "--list", "weekly", people[0], check=False)
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertIn("name its nodes in redis.cluster", done.stderr)


class Selftest(test_selftest.SelftestCase):
    def test_all_is_well(self):
        self.assert_good(*self.run_json())


if __name__ == "__main__":
    import unittest
    unittest.main()
