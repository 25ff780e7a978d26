# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The numbers that the daemons have for Prometheus."""
import os
import re
import subprocess
import time

from rig import (Filter, Redis, TestCase, Web, find_program, free_ports,
                 program, run, wait_for)
from rig.http import scrape

RECORDED = "consent_web_opt_outs_total"
FAILED = "consent_web_opt_outs_failed_total"
BEHIND = "consent_web_redis_behind_since_timestamp_seconds"
WRITABLE = "consent_web_ledger_writable"


UNAPPLIED = "consent_web_unapplied_entries"
# What changes by itself.
RESTLESS = re.compile(r"consent_web_(store_|journal_|redis_behind|unapplied)")


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
                   if after[name] != before[name] and
                   not RESTLESS.match(name)}
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
            self.assertGreaterEqual(self.web.numbers()[UNAPPLIED], 2)
            self.assertEqual(
                self.web.numbers()["consent_web_store_reachable"], 0)
        finally:
            self.redis.start()
        wait_for(lambda: self.web.numbers()[BEHIND] == 0, 30, "caught up")
        wait_for(lambda: self.web.numbers()[UNAPPLIED] == 0, 30, "applied")
        numbers = self.web.numbers()
        self.assertGreater(numbers[
            'consent_web_store_failures_total{kind="connect"}'], 0)
        self.assertGreater(
            numbers["consent_web_store_request_duration_seconds_count"], 0)

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


def decisions(action, reason, list_id="weekly"):
    return (f'consent_milter_decisions_total{{list="{list_id}",'
            f'action="{action}",reason="{reason}"}}')


def observes(list_id):
    return f'consent_milter_list_observe{{list="{list_id}"}}'


class OfTheFilter(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, metrics=True)
        cls.filter.grant("a@example.org", "b@example.org")
        cls.filter.withdraw("b@example.org")

    def client(self):
        client = self.filter.client()
        self.addCleanup(client.close)
        client.connect()
        client.helo()
        return client

    def send(self, *names, sender="<news@news.example.com>", fields=()):
        client = self.client()
        client.mail(sender)
        said = [client.rcpt(f"<{name}@example.org>") for name in names]
        if any(s.kind == "continue" for s in said):
            client.message([("Subject", "x"), *fields])
        client.close()

    def changes(self, before):
        after = self.filter.numbers()
        return {name: after[name] - before.get(name, 0) for name in after
                if after[name] != before.get(name, 0) and
                name.startswith("consent_milter_decisions_")}

    def test_promtool(self):
        self.send("a", "b", "c")
        answer = scrape(self.filter.metrics)
        self.assertEqual(answer.headers["content-type"],
                         ["text/plain; version=0.0.4; charset=utf-8"])
        done = subprocess.run([find_program("promtool"), "check", "metrics"],
                              input=answer.body, capture_output=True,
                              check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (0, b"", b""))
        for secret in b"example.org", b"news.example":
            self.assertNotIn(secret, answer.body)

    def test_decisions(self):
        before = self.filter.numbers()
        self.assertIn(decisions("accept", "granted"), before)
        self.send("a", "b", "c", "a")
        self.assertEqual(self.changes(before), {
            decisions("accept", "granted"): 2,
            decisions("reject", "withdrawn"): 1,
            decisions("reject", "no-consent"): 1})
        after = self.filter.numbers()
        rcpt = 'consent_milter_reply_duration_seconds_count{stage="rcpt"}'
        self.assertEqual(after[rcpt] - before[rcpt], 4)
        self.assertGreaterEqual(
            after["consent_milter_store_request_duration_seconds_count"] -
            before["consent_milter_store_request_duration_seconds_count"], 3)
        # At the end of the message, and of no list.
        before = self.filter.numbers()
        self.send("a", "c", sender="<x@elsewhere.example>", fields=[
            ("List-Id", "<weekly.news.example.com>")])
        self.send("a", sender="<x@elsewhere.example>")
        self.send("a", sender="<x@elsewhere.example>",
                  fields=[("Precedence", "bulk"), ("List-Unsubscribe", "<https://x.example/>")])
        self.assertEqual(self.changes(before), {
            decisions("accept", "granted"): 1,
            decisions("remove", "no-consent"): 1,
            decisions("accept", "not-bulk", "-"): 1,
            decisions("reject", "unlisted-bulk", "-"): 1})

    def test_reload(self):
        """A list that goes keeps its numbers, one that comes has some."""
        self.send("a")
        before = self.filter.numbers()
        lists = self.filter.settings["lists"]
        generation = "consent_milter_config_generation"
        self.filter.reload(mode="observe", lists=[
            {**lists[0], "id": "daily"}])
        self.send("a", "c")
        after = self.filter.numbers()
        self.assertEqual(after[generation], before[generation] + 1)
        self.assertEqual(after["consent_milter_observe"], 1)
        self.assertEqual(after[observes("daily")], 1)
        self.assertNotIn(observes("weekly"), after)
        self.assertEqual(after[decisions("accept", "granted")],
                         before[decisions("accept", "granted")])
        self.assertEqual(after[decisions("accept", "granted", "daily")], 0)
        self.assertEqual(
            after[decisions("would-reject", "no-consent", "daily")], 2)
        self.filter.reload(lists=lists, mode="enforce")
        self.send("a")
        self.assertEqual(self.changes(after),
                         {decisions("accept", "granted"): 1})
        # Each list has the filter's mode or one of its own.
        self.filter.reload(lists=[lists[0], {
            **lists[0], "id": "daily", "mode": "observe",
            "match": [{"sender": "daily@example.com"}]}])
        numbers = self.filter.numbers()
        self.assertEqual([numbers["consent_milter_observe"],
                          numbers[observes("weekly")],
                          numbers[observes("daily")]], [0, 0, 1])
        self.filter.reload(lists=lists)
        self.filter.write_config("x = 1;\n")
        self.filter.signal_reload()
        numbers = self.filter.numbers()
        self.assertEqual(numbers["consent_milter_config_reload_success"], 0)
        self.assertEqual(
            numbers["consent_milter_config_reloads_refused_total"], 1)
        self.filter.write_config()
        self.filter.signal_reload()
        self.assertEqual(self.filter.numbers()[
            "consent_milter_config_reload_success"], 1)

    def test_limits(self):
        before = self.filter.numbers()
        self.filter.reload(limits={"recipients": 1})
        self.send("a", "a")
        self.filter.reload(limits=None)
        after = self.filter.numbers()
        name = 'consent_milter_limit_reached_total{limit="recipients"}'
        self.assertEqual(after[name] - before[name], 1)
        client = self.client()
        wait_for(lambda: self.filter.numbers()["consent_milter_connections"]
                 == 1, 10, "one connection")
        client.close()
        wait_for(lambda: self.filter.numbers()["consent_milter_connections"]
                 == 0, 10, "no connection")

    def test_store(self):
        opened = 'consent_milter_store_breaker_changes_total{to="open"}'
        before = self.filter.numbers()
        self.assertEqual(before["consent_milter_store_reachable"], 1)
        self.assertEqual(before["consent_milter_store_breaker_open"], 0)
        self.redis.stop()
        try:
            wait_for(lambda: self.filter.numbers()[
                "consent_milter_store_breaker_open"] == 1, 20, "open")
            self.send("a")
            numbers = self.filter.numbers()
            self.assertEqual(numbers["consent_milter_store_reachable"], 0)
            self.assertEqual(numbers[opened] - before[opened], 1)
            self.assertGreater(
                numbers["consent_milter_store_failed_fast_total"], 0)
            self.assertEqual(
                numbers[decisions("tempfail", "store-failure")], 1)
            self.assertGreater(
                numbers["consent_milter_store_connection_attempts_total"],
                numbers["consent_milter_store_connections_total"])
            # The ledger has it, Redis has not.
            done = self.filter.ctl("withdraw", "--list", "weekly",
                                   "z@example.org", check=False)
            self.assertEqual(done.returncode, 75)
            wait_for(lambda: self.filter.numbers()[
                "consent_milter_unapplied_events"] == 1, 20, "backlog")
        finally:
            self.redis.start()
        wait_for(lambda: self.filter.numbers()[
            "consent_milter_store_breaker_open"] == 0, 20, "closed")
        self.filter.ctl("rebuild")
        wait_for(lambda: self.filter.numbers()[
            "consent_milter_unapplied_events"] == 0, 20, "no backlog")

    def test_journal(self):
        before = self.filter.numbers()
        label = '{journal="decisions"}'
        self.send("a", "a")
        wait_for(lambda: self.filter.numbers()[
            "consent_milter_journal_lag_seconds" + label] == 0, 20, "sync")
        after = self.filter.numbers()
        for name, least in (("last_sequence", 2), ("size_bytes", 1000)):
            name = f"consent_milter_journal_{name}{label}"
            self.assertGreaterEqual(after[name] - before[name], least)
        self.assertAlmostEqual(
            after["consent_milter_journal_sync_timestamp_seconds" + label],
            time.time(), delta=60)
        self.assertGreater(
            after["consent_milter_journal_free_bytes" + label], 0)

    def test_nothing_else(self):
        for method, target, status in (("HEAD", "/metrics", 200),
                                       ("GET", "/", 404),
                                       ("POST", "/metrics", 405)):
            self.assertEqual(
                scrape(self.filter.metrics, method, target).status, status)

    def test_address_in_use(self):
        other = Filter(self.rig, self.redis, start=False,
                       metrics=True)
        other.settings["metrics"] = "%s:%d" % self.filter.metrics
        other.write_config()
        done = run([program("consent-milter"), "-f", "-c",
                    other.config_path], check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn("metrics: 127.0.0.1:", done.stderr)


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
