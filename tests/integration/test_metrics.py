# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The numbers that consent-web has for Prometheus."""
import os
import subprocess
import time

from rig import (Filter, Redis, TestCase, Web, find_program, free_ports,
                 program, run, wait_for)

RECORDED = "consent_web_opt_outs_total"
FAILED = "consent_web_opt_outs_failed_total"
BEHIND = "consent_web_redis_behind_since_timestamp_seconds"
WRITABLE = "consent_web_ledger_writable"


def requests(status):
    return f'consent_web_requests_total{{status="{status}"}}'


class Metrics(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, start=False)
        cls.web = Web(cls.rig, cls.filter, metrics=True)

    def test_promtool(self):
        answer = self.web.ask_monitor()
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["content-type"],
                         ["text/plain; version=0.0.4; charset=utf-8"])
        done = subprocess.run([find_program("promtool"), "check", "metrics"],
                              input=answer.body, capture_output=True,
                              check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (0, b"", b""))

    def test_counts(self):
        a = "counted@example.org"
        self.filter.grant(a)
        link = self.web.link(a)
        before = self.web.numbers()
        self.web.request("GET", link)
        self.web.click(link)
        self.web.click(link)
        self.web.click("/u/x")
        self.web.request("PUT", link)
        after = self.web.numbers()
        changed = {name: after[name] - before[name] for name in after
                   if after[name] != before[name] and name != BEHIND}
        self.assertEqual(changed, {requests(200): 3, requests(404): 1,
                                   requests(405): 1, RECORDED: 2})
        self.assertEqual(after[WRITABLE], 1)
        text = self.web.ask_monitor().body.decode()
        for secret in (link[3:], "example.org", "weekly"):
            self.assertNotIn(secret, text)

    def test_redis_is_behind(self):
        a = "behind@example.org"
        self.filter.grant(a)
        link = self.web.link(a)
        wait_for(lambda: self.web.numbers()[BEHIND] == 0, 20, "not behind")
        start = time.time()
        self.redis.stop()
        try:
            self.assertEqual(self.web.click(link).status, 200)
            wait_for(lambda: self.web.numbers()[BEHIND] != 0, 20, "behind")
            since = self.web.numbers()[BEHIND]
            self.assertTrue(start - 1 <= since <= time.time() + 1, since)
            # It stays when more comes.
            self.web.click(link)
            time.sleep(1)
            self.assertEqual(self.web.numbers()[BEHIND], since)
        finally:
            self.redis.start()
        wait_for(lambda: self.web.numbers()[BEHIND] == 0, 30, "caught up")

    def test_nothing_else(self):
        for method, target, status in (
                ("HEAD", "/metrics", 200), ("GET", "/", 404),
                ("GET", "/healthz", 404), ("POST", "/metrics", 405)):
            self.assertEqual(self.web.ask_monitor(method, target).status,
                             status, (method, target))
        a = "elsewhere@example.org"
        self.filter.grant(a)
        link = self.web.link(a)
        self.assertEqual(self.web.ask_monitor("POST", link).status, 405)
        self.assertEqual(self.web.ask_monitor("GET", link).status, 404)
        # Nor are they where the proxy could pass them on.
        self.assertEqual(self.web.request("GET", "/metrics").status, 404)


class DiskFull(TestCase):
    def test_failures_are_counted(self):
        redis = Redis(self.rig)
        filter_ = Filter(self.rig, redis, start=False)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs",
                        filter_.audit_dir], check=True)
        self.rig.on_close(lambda: subprocess.run(
            ["umount", "-l", filter_.audit_dir], check=False))
        web = Web(self.rig, filter_, metrics=True)
        a = "full@example.org"
        filter_.grant(a)
        link = web.link(a)
        self.assertEqual(web.numbers()[WRITABLE], 1)
        with open(os.path.join(filter_.audit_dir, "ballast"), "wb",
                  buffering=0) as f:
            try:
                while f.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        # What is left in the last block may still take some.
        recorded = 0
        for _ in range(50):
            if web.click(link).status != 200:
                break
            recorded += 1
        numbers = web.numbers()
        self.assertEqual(numbers[WRITABLE], 0)
        self.assertEqual(numbers[FAILED], 1)
        self.assertEqual(numbers[RECORDED], recorded)
        self.assertEqual(numbers[requests(503)], 1)


class Address(TestCase):
    def test_wrong_and_taken(self):
        filter_ = Filter(self.rig, None, start=False)
        place = "127.0.0.1:%d" % free_ports(1)[0]
        for value, status, word in (
                ("nowhere", 78, "web.metrics: \"nowhere\" is no place"),
                (place, 78, "web.metrics: " + place)):
            # The same place twice.
            filter_.settings["web"] = {"listen": place, "metrics": value}
            filter_.write_config()
            done = run([program("consent-web"), "-c", filter_.config_path],
                       check=False)
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertIn(word, done.stderr)
