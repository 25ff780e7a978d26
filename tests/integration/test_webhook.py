# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Receivers that are told of each change: whatever they and the machine do,
nothing is left out."""
import base64
import glob
import hashlib
import hmac
import json
import os
import re
import shutil
import time

from rig import (Authority, Filter, Receiver, Redis, TestCase, Web, in_threads,
                 program, read_text, run, wait_for, write_file)


def new_secret(n=32):
    return "whsec_" + base64.b64encode(os.urandom(n)).decode()


def signature(secret, request):
    """By the words of the specification, independently."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join([request.headers["webhook-id"].encode(),
                        request.headers["webhook-timestamp"].encode(),
                        request.body])
    return "v1," + base64.b64encode(
        hmac.new(key, signed, hashlib.sha256).digest()).decode()


def message(request):
    return json.loads(request.body)


def events(requests):
    return [e for r in requests for e in message(r)["data"]["events"]]


class Told(TestCase):
    """With one receiver, over TLS; each test its own consent-web."""

    @classmethod
    def set_up_rig(cls):
        cls.authority = Authority(cls.rig)
        cls.pem = cls.authority.issue()

    def setUp(self):
        self.receiver = Receiver(self.rig, self.pem)
        self.filter = Filter(self.rig, Redis(self.rig), start=False)
        self.secret = new_secret()
        self.secret_path = os.path.join(self.filter.dir, "crm.secret")
        write_file(self.secret_path, self.secret + "\n", 0o600)
        self.ledger = os.path.join(self.filter.audit_dir, "ledger")
        self.cursor = os.path.join(self.ledger, ".webhook-crm")
        self.hook = {"name": "crm", "url": self.receiver.url,
                     "secret_file": self.secret_path,
                     "ca_file": self.authority.path}
        self.filter.settings["webhooks"] = [self.hook]
        self.web = Web(self.rig, self.filter)
        # Its socket is there a moment before; what is recorded until then is
        # not for a new one.
        self.wait_log("webhook crm is new")

    def tearDown(self):
        self.receiver.released.set()
        if self.web.service.is_running():
            self.assertEqual(self.web.stop(), 0)

    def restart(self):
        self.assertEqual(self.web.stop(), 0)
        self.filter.write_config()
        self.web.start()

    def ledger_events(self):
        """(seq, kind) of what the ledger holds and was not blanked."""
        return [(e["seq"], e["event"])
                for path in sorted(glob.glob(self.ledger + "/*.jsonl"))
                for e in map(json.loads, read_text(path).splitlines())
                if e["type"] == "event" and not e.get("blanked")]

    def wait_told(self, receiver=None, timeout=60):
        """Until the last event of the ledger was told; returns all of them,
        in order, each by its first telling."""
        receiver = receiver or self.receiver
        last = self.ledger_events()[-1][0]
        wait_for(lambda: receiver.requests and message(
            receiver.requests[-1])["data"]["to"] >= last, timeout,
            f"entry {last} to be told")
        told = {}
        for e in events(receiver.requests):
            told.setdefault(e["seq"], e)
        return list(told.values())

    def wait_kept(self):
        """Until the cursor has what was told."""
        to = message(self.receiver.requests[-1])["data"]["to"]
        wait_for(lambda: int(read_text(self.cursor).split()[0]) >= to, 10,
                 "the cursor")

    def assert_complete(self, told):
        self.assertEqual([(e["seq"], e["event"]) for e in told],
                         self.ledger_events())

    def assert_no_gap(self, requests):
        """Each begins no later than where those before it ended."""
        end = message(requests[0])["data"]["from"] - 1
        for data in (message(r)["data"] for r in requests):
            self.assertLessEqual(data["from"], end + 1)
            self.assertLessEqual(data["from"], data["to"])
            end = max(end, data["to"])

    def wait_log(self, pattern, since=0, timeout=20):
        return wait_for(lambda: re.search(pattern, self.web.log()[since:]),
                        timeout, f"/{pattern}/ in the log of consent-web")

    # -- what is told

    def test_all_that_is_recorded(self):
        a, b, c = (f"{x}@example.org" for x in "abc")
        self.filter.grant(a, b)
        self.assertEqual(self.web.click(self.web.link(a)).status, 200)
        rows = "address,list,at\n" + "".join(
            f"import{i}@example.org,weekly,2026-01-05T10:00:00Z\n"
            for i in range(250))
        self.filter.ctl("import", "-", input=rows)
        self.filter.ctl("object", b)
        self.filter.ctl("withdraw", "--all", c)
        told = self.wait_told()
        self.assert_complete(told)
        self.assert_no_gap(self.receiver.requests)
        subjects = {s["address"]: s["subject"] for s in json.loads(
            self.filter.ctl("subject", "--json", a, "-",
                            input=f"# ours\n{b}\n\n{c}\n").stdout)}
        by_kind = {e["event"]: e for e in told[:3] + told[-2:]}
        self.assertEqual(by_kind["object"]["subject"], subjects[b])
        self.assertNotIn("list", by_kind["object"])
        withdrawn = [e for e in told if e["event"] == "withdraw"]
        self.assertEqual([(e["subject"], e.get("list")) for e in withdrawn],
                         [(subjects[a], "weekly"), (subjects[c], None)])
        changes = {e["seq"]: e for e in json.loads(
            self.filter.ctl("changes", "--json").stdout)}
        self.assertEqual(changes, {e["seq"]: e for e in told})
        for r in self.receiver.requests:
            self.assertEqual(r.method, "POST")
            self.assertEqual(r.headers["content-type"], "application/json")
            self.assertEqual(r.headers["webhook-signature"],
                             signature(self.secret, r))
            self.assertLess(abs(int(r.headers["webhook-timestamp"]) -
                                r.time), 60)
            self.assertNotIn(b"example.org", r.body)
            self.assertLessEqual(len(events([r])), 100)
            self.assertEqual(message(r)["type"], "consent.changed")
            self.assertEqual(message(r)["timestamp"],
                             events([r])[-1]["recorded_at"])
        ids = [r.headers["webhook-id"] for r in self.receiver.requests]
        self.assertEqual(len(set(ids)), len(ids))

    def test_only_some_kinds(self):
        self.hook["events"] = "withdraw erase"
        self.restart()
        self.filter.grant("a@example.org")
        self.filter.withdraw("a@example.org")
        self.filter.grant("b@example.org")
        self.filter.ctl("erase", "b@example.org")
        wait_for(lambda: len(events(self.receiver.requests)) == 2, 20,
                 "two events")
        self.assertEqual([e["event"] for e in events(self.receiver.requests)],
                         ["withdraw", "erase"])
        self.assert_no_gap(self.receiver.requests)

    def test_who_was_forgotten_meanwhile(self):
        self.receiver.behave = self.receiver.status(503)
        self.filter.grant("stays@example.org", "gone@example.org")
        self.receiver.wait(1)
        self.assertEqual(self.web.stop(), 0)
        self.filter.ctl("erase", "gone@example.org")
        self.receiver.behave = None
        self.receiver.clear()
        self.web.start()
        told = self.wait_told()
        self.assertEqual([e["event"] for e in told], ["grant", "erase"])
        self.assert_no_gap(self.receiver.requests)

    # -- receivers that do not take it

    def test_taken_in_the_end(self):
        other = Receiver(self.rig, self.pem)
        bad = [self.receiver.status(500), self.receiver.cut,
               self.receiver.status(307, Location=other.url),
               self.receiver.status(410)]
        left = list(bad)

        def behave(handler, request):
            (left.pop(0) if left else
             lambda h, r: h.reply(204))(handler, request)
        self.receiver.behave = behave
        self.filter.grant("a@example.org")
        told = self.wait_told()
        wait_for(lambda: not left, 90, "each of them to be tried")
        self.receiver.wait(len(bad) + 1)
        self.assert_complete(told)
        requests = self.receiver.requests
        self.assertEqual(len({r.headers["webhook-id"] for r in requests}), 1)
        self.assertEqual(len({r.body for r in requests}), 1)
        self.assertEqual(other.requests, [])
        pauses = [b.time - a.time for a, b in zip(requests, requests[1:])]
        for i, pause in enumerate(pauses):
            self.assertGreaterEqual(pause, 0.9 * 2 ** i, pauses)
        self.wait_log("crm is told again, after 4 failures")
        self.assertEqual(len(re.findall("crm: not told for now",
                                        self.web.log())), 2, "and 410")
        self.assertRegex(self.web.log(), "not told for now.*answers 500")
        self.assertRegex(self.web.log(), "not told for now.*answers 410")

    def test_receiver_that_hangs(self):
        """Its time is up after twenty seconds."""
        first = []

        def behave(handler, request):
            if not first:
                first.append(request)
                self.receiver.hang(handler, request)
            else:
                handler.reply(200, b"thank you")
        self.receiver.behave = behave
        self.filter.grant("a@example.org")
        self.receiver.wait(2, 60)
        self.assert_complete(self.wait_told())
        self.wait_log("crm is told again, after 1 failures")
        self.assertRegex(self.web.log(), "not told for now.*[Tt]imed out")

    def test_stop_while_it_hangs(self):
        self.receiver.behave = self.receiver.hang
        self.filter.grant("a@example.org")
        self.receiver.wait(1)
        started = time.monotonic()
        self.assertEqual(self.web.stop(), 0)
        self.assertLess(time.monotonic() - started, 10)
        self.receiver.behave = None
        self.receiver.released.set()
        self.receiver.clear()
        self.web.start()
        self.assert_complete(self.wait_told())

    def test_certificate_that_is_not_good(self):
        self.hook["ca_file"] = Authority(self.rig, "Other").path
        self.restart()
        self.filter.grant("a@example.org")
        self.wait_log("crm: not told for now.*the server's certificate comes "
                      "from an authority that is not known here")
        self.assertEqual(self.receiver.requests, [])
        self.hook["ca_file"] = self.authority.path
        self.restart()
        self.assert_complete(self.wait_told())

    def test_opt_outs_wait_for_nobody(self):
        self.receiver.stop()
        people = [f"down{i}@example.org" for i in range(300)]
        self.filter.ctl("import", "-", input="address,list,at\n" + "".join(
            f"{a},weekly,2026-01-05T10:00:00Z\n" for a in people))
        links = [self.web.link(a) for a in people[:20]]
        self.wait_log("crm: not told for now")

        def click(i):
            started = time.monotonic()
            statuses = {self.web.click(link).status for link in links}
            return statuses, time.monotonic() - started
        for statuses, seconds in in_threads(5, click):
            self.assertEqual(statuses, {200})
            self.assertLess(seconds, 20)
        self.receiver.released.clear()
        self.receiver.start()
        self.assert_complete(self.wait_told(timeout=120))
        self.assert_no_gap(self.receiver.requests)
        self.assertEqual(len(re.findall("crm: not told for now",
                                        self.web.log())), 1)

    def test_numbers(self):
        self.assertEqual(self.web.stop(), 0)
        self.web = Web(self.rig, self.filter, metrics=True)

        def number(what):
            return self.web.numbers()[
                f'consent_web_webhook_{what}{{webhook="crm"}}']
        self.filter.grant("a@example.org")
        self.wait_told()
        wait_for(lambda: number("backlog_entries") == 0, 10, "no backlog")
        self.assertEqual(number("failures_total"), 0)
        self.assertLess(abs(number("last_success_timestamp_seconds") -
                            time.time()), 60)
        self.receiver.behave = self.receiver.status(500)
        self.filter.grant("b@example.org", "c@example.org")
        wait_for(lambda: number("failures_total") > 0, 20, "a failure")
        self.assertGreaterEqual(number("backlog_entries"), 2)
        self.receiver.behave = None
        wait_for(lambda: number("backlog_entries") == 0, 60, "no backlog")

    # -- crashes, restarts, backups

    def test_kill_9(self):
        people = [f"kill{i}@example.org" for i in range(60)]
        self.filter.grant(*people)
        links = [self.web.link(a) for a in people]
        turn = [0]

        def behave(handler, _request):
            turn[0] += 1
            if turn[0] % 3 == 0:
                handler.close_connection = True
            else:
                time.sleep(0.02)
                handler.reply(500 if turn[0] % 5 == 0 else 200)
        self.receiver.behave = behave
        acknowledged = []

        def click(i):
            if i % 12 == 5:
                time.sleep(0.05 * i)
                self.web.kill9()
                self.web.start()
                return
            time.sleep(0.02 * i)
            for _ in range(20):
                try:
                    answer = self.web.click(links[i])
                except OSError:
                    time.sleep(0.1)
                    continue
                if answer is not None and answer.status == 200:
                    acknowledged.append(i)
                    return
        # One at a time may kill and start it.
        in_threads(60, lambda i: click(i) if i % 12 != 5 or i == 29 else None)
        for _ in range(4):
            click(5)
            self.filter.withdraw(people[5])
        self.receiver.behave = None
        told = self.wait_told(timeout=120)
        self.assert_complete(told)
        self.assert_no_gap(self.receiver.requests)
        for r in self.receiver.requests:
            self.assertEqual(r.headers["webhook-signature"],
                             signature(self.secret, r))
        self.assertGreater(len(acknowledged), 30)
        out = {e["subject"] for e in told if e["event"] == "withdraw"}
        subjects = [line.split()[0] for line in self.filter.ctl(
            "subject", *people).stdout.splitlines()]
        for i in acknowledged:
            self.assertIn(subjects[i], out)

    def test_nothing_again_after_a_restart(self):
        self.filter.grant("a@example.org")
        self.wait_told()
        self.wait_kept()
        self.receiver.clear()
        self.restart()
        self.filter.withdraw("a@example.org")
        self.wait_told()
        self.assertEqual([e["event"] for e in events(self.receiver.requests)],
                         ["withdraw"])

    def test_new_and_old_names(self):
        self.filter.grant("a@example.org")
        self.wait_told()
        self.wait_kept()
        late, all_ = (Receiver(self.rig, self.pem) for _ in range(2))
        hook = self.hook
        self.filter.settings["webhooks"] = [
            dict(hook, name="late", url=late.url),
            dict(hook, name="all", url=all_.url, from_start=True)]
        self.receiver.clear()
        self.restart()
        self.wait_log("webhook late is new, and told what comes after entry")
        self.filter.withdraw("a@example.org")
        self.assertEqual([e["event"] for e in self.wait_told(late)],
                         ["withdraw"])
        self.assert_complete(self.wait_told(all_))
        self.assertEqual(self.receiver.requests, [])
        self.filter.settings["webhooks"].append(hook)
        self.restart()
        self.assertEqual([e["event"] for e in self.wait_told()], ["withdraw"])

    def test_other_ledger(self):
        """One from a backup, which has grown again where it had been told."""
        self.filter.grant("a@example.org")
        self.wait_told()
        self.assertEqual(self.web.stop(), 0)
        backup = self.ledger + ".backup"
        shutil.copytree(self.ledger, backup)
        self.web.start()
        self.filter.withdraw("a@example.org")
        self.wait_told()
        self.wait_kept()
        self.assertEqual(self.web.stop(), 0)
        cursor = read_text(self.cursor)
        shutil.rmtree(self.ledger)
        os.rename(backup, self.ledger)
        write_file(self.cursor, cursor, 0o640)
        self.filter.ctl("object", "b@example.org")
        self.filter.ctl("restrict", "c@example.org")
        self.receiver.clear()
        self.web.start()
        self.wait_log("the ledger does not have the entry [0-9]+ that was "
                      "told")
        told = self.wait_told()
        self.assertEqual([e["event"] for e in told],
                         ["grant", "object", "restrict"])

    def test_cursor_that_is_none(self):
        self.filter.grant("a@example.org")
        self.wait_told()
        self.assertEqual(self.web.stop(), 0)
        write_file(self.cursor, "0\n", 0o640)
        self.receiver.clear()
        self.web.start()
        self.assert_complete(self.wait_told())
        self.assertIn("can't be read, so it is told all again",
                      self.web.log())

    # -- secrets

    def test_rotation(self):
        second = new_secret(24)
        for secrets in ([self.secret], [second, self.secret], [second]):
            fresh = self.secret_path + ".new"
            write_file(fresh, "# rotated\n" + "\n".join(secrets) + "\n",
                       0o600)
            os.rename(fresh, self.secret_path)
            self.receiver.clear()
            self.filter.grant("a@example.org")
            request = self.receiver.wait(1)[0]
            self.assertEqual(request.headers["webhook-signature"].split(" "),
                             [signature(s, request) for s in secrets])

    def test_secret_that_others_can_read(self):
        os.chmod(self.secret_path, 0o644)
        self.filter.grant("a@example.org")
        self.wait_log("crm: not told for now.*crm.secret: others can read it")
        done = run([program("consent-web"), "-t", "-c",
                    self.filter.config_path], check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn("webhook crm: ", done.stderr)
        self.assertEqual(self.web.click(self.web.link(
            "a@example.org")).status, 200)
        self.assertEqual(self.receiver.requests, [])
        write_file(self.secret_path, "secret\n", 0o600)
        done = run([program("consent-web"), "-t", "-c",
                    self.filter.config_path], check=False)
        self.assertIn("line 1 is no secret", done.stderr)
        write_file(self.secret_path, self.secret, 0o600)
        self.assert_complete(self.wait_told())
        self.assertNotIn(self.secret[6:], self.web.log())


class Subjects(TestCase):
    def test_subject(self):
        filter_ = Filter(self.rig, None, start=False)
        done = filter_.ctl("subject", "A@EXAMPLE.org", "b@example.org")
        lines = done.stdout.splitlines()
        self.assertRegex(lines[0], r"^[0-9a-f]{32} A@EXAMPLE\.org$")
        same = filter_.ctl("subject", "-", input="A@example.ORG\n").stdout
        self.assertEqual(same.split()[0], lines[0].split()[0])
        done = filter_.ctl("subject", "--json", "-", check=False,
                           input="# x\n\nno address\nb@example.org\n")
        self.assertEqual(done.returncode, 65)
        self.assertIn("-:3: ", done.stderr)
        self.assertEqual([s["address"] for s in json.loads(done.stdout)],
                         ["b@example.org"])
        self.assertEqual(filter_.ctl("subject", "--json", "-").stdout, "[]\n")
        self.assertEqual(filter_.ctl("subject", check=False).returncode, 64)
