# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Telling other systems: each change, in order, signed, until it is taken."""
import base64
import glob
import hashlib
import hmac
import json
import os
import time

from rig import (Authority, Filter, Receiver, Redis, TestCase, Web, read_text,
                 wait_for, write_file)


class Webhook(TestCase):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.rig)
        self.receiver = Receiver(self.rig, self.authority.issue())
        self.secrets = [os.urandom(32)]
        self.secret_file = os.path.join(self.rig.subdir("secret"), "crm")
        self.write_secrets()
        self.redis = Redis(self.rig)
        self.filter = Filter(
            self.rig, self.redis, start=False,
            webhooks=[{"name": "crm", "url": self.receiver.url,
                       "secret_file": self.secret_file,
                       "ca_file": self.authority.path}])
        self.filter.grant("before@example.org")
        self.web = Web(self.rig, self.filter)

    def write_secrets(self):
        write_file(self.secret_file, "".join(
            f"whsec_{base64.b64encode(s).decode()}\n" for s in self.secrets))
        os.chmod(self.secret_file, 0o600)

    def ledger(self):
        return [e for path in sorted(glob.glob(os.path.join(
            self.filter.audit_dir, "ledger", "*.jsonl")))
            for e in map(json.loads, read_text(path).splitlines())
            if e["type"] == "event"]

    def check_signature(self, request):
        """Computed here, from the convention's text alone."""
        signed = b".".join([request.headers["webhook-id"].encode(),
                            request.headers["webhook-timestamp"].encode(),
                            request.body])
        self.assertLess(abs(time.time() - int(
            request.headers["webhook-timestamp"])), 60)
        want = ["v1," + base64.b64encode(hmac.new(
            s, signed, hashlib.sha256).digest()).decode()
            for s in self.secrets]
        self.assertEqual(request.headers["webhook-signature"].split(), want)

    def told(self):
        """The numbers of what came with a 2xx or without, in order."""
        return [e["seq"] for r in list(self.receiver.requests)
                for e in json.loads(r.body)["data"]["events"]]

    def wait_told(self, seqs):
        wait_for(lambda: set(seqs) <= set(self.told()), 30,
                 f"{seqs} in {self.told()}")

    def test_each_change(self):
        self.filter.grant("a@example.org")
        self.assertEqual(self.web.click(
            self.web.link("a@example.org")).status, 200)
        self.filter.ctl("object", "b@example.org")
        new = self.ledger()[1:]
        self.wait_told([e["seq"] for e in new])
        # A receiver that is new is told what comes from now on.
        self.assertEqual(self.told(), [e["seq"] for e in new])
        for request in self.receiver.requests:
            self.check_signature(request)
            self.assertNotIn(b"example.org", request.body)
        events = [e for r in self.receiver.requests
                  for e in json.loads(r.body)["data"]["events"]]
        self.assertEqual([e["event"] for e in events],
                         ["grant", "withdraw", "object"])
        self.assertEqual([e["subject"] for e in events],
                         [e["subject"] for e in new])

    def test_rotation(self):
        self.secrets.append(os.urandom(24))
        self.write_secrets()
        self.filter.grant("a@example.org")
        self.wait_told([self.ledger()[-1]["seq"]])
        self.check_signature(self.receiver.requests[-1])

    def test_refused_and_killed(self):
        """500, a redirect, a cut connection, and kill -9 in the middle: all of
        it arrives in the end, and opt-outs don't wait for it."""
        answers = [lambda h, r: h.reply(500),
                   lambda h, r: h.reply(302, location="https://x.example/"),
                   lambda h, r: h.connection.close(),
                   lambda h, r: h.reply(410)]
        self.receiver.behave = lambda h, r: answers[
            len(self.receiver.requests) % len(answers)](h, r)
        for i in range(4):
            a = f"r{i}@example.org"
            self.filter.grant(a)
            begun = time.monotonic()
            self.assertEqual(self.web.click(self.web.link(a)).status, 200)
            self.assertLess(time.monotonic() - begun, 5)
            self.web.kill9()
            self.web.start()
        wait_for(lambda: len(self.receiver.requests) >= 3, 30, "attempts")
        taken = []

        def take(handler, request):
            taken.extend(e["seq"] for e in json.loads(
                request.body)["data"]["events"])
            handler.reply(204)
        self.receiver.behave = take
        # Whoever waits longer than a moment is woken by a restart.
        self.web.stop()
        self.web.start()
        want = [e["seq"] for e in self.ledger()[1:]]
        wait_for(lambda: set(want) <= set(taken), 60, f"{want} in {taken}")
        first = sorted(set(taken), key=taken.index)
        self.assertEqual(first, sorted(first))
        log = self.web.log()
        self.assertNotIn(base64.b64encode(self.secrets[0]).decode(), log)

    def test_bad_secret(self):
        os.chmod(self.secret_file, 0o644)
        self.filter.grant("a@example.org")
        wait_for(lambda: "webhook crm: not told for now" in self.web.log(),
                 10)
        self.assertEqual(self.receiver.requests, [])
        os.chmod(self.secret_file, 0o600)
        self.wait_told([self.ledger()[-1]["seq"]])


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
