# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""What one message and one MTA may take of the filter, and what they are told
beyond that."""
import re
import resource
import subprocess

from rig import (Closed, Filter, Postfix, Redis, Service, Sink, Smtp, TestCase,
                 program, wait_for)

CROWDED = (r"451 4\.3\.2 too many connections to the consent filter, try "
           r"again later")


class Limits(TestCase):
    @classmethod
    def set_up_rig(cls):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis)
        cls.filter.grant("a@example.org", "b@example.org", "c@example.org")

    def limit(self, mode="enforce", **limits):
        told = self.filter.reload(mode=mode, limits={
            "recipients": 10000, "header_bytes": 1048576, "connections": 0,
            **limits})
        self.assertIn("configuration reloaded", told)

    def client(self):
        client = self.filter.client()
        self.addCleanup(client.close)
        client.connect()
        client.helo()
        return client

    def send(self, client, fields=(), sender="<news@news.example.com>"):
        client.mail(sender)
        said = client.rcpt("<a@example.org>")
        if said.kind != "continue":
            client.abort()
            return said
        return client.message([("From", "news@news.example.com"),
                               ("Subject", "x"), *fields])

    def test_recipients(self):
        self.limit(recipients=2)
        client = self.client()
        client.mail("<news@news.example.com>")
        said = [client.rcpt(f"<{who}@example.org>") for who in "abc"]
        self.assertEqual([s.kind for s in said],
                         ["continue", "continue", "replycode"])
        self.assertRegex(said[2].text, r"^452 4\.5\.3 too many recipients")
        # Those who were taken get it.
        self.assertEqual(client.message([("Subject", "x")]).kind, "continue")

    def test_a_refused_recipient_takes_no_room(self):
        self.limit(recipients=1)
        client = self.client()
        client.mail("<news@news.example.com>")
        self.assertRegex(client.rcpt("<no@example.org>").text, "^550")
        self.assertEqual(client.rcpt("<a@example.org>").kind, "continue")

    def test_header(self):
        self.limit(header_bytes=16384)
        client = self.client()
        big = [(f"X-{i}", "y" * 1000) for i in range(17)]
        said = self.send(client, big)
        self.assertRegex(said.text, r"^451 4\.3\.4 the header of the message "
                         "is too large for the consent filter")
        self.filter.wait_log(r"limits\.header_bytes = 16384 bytes: deferred")
        self.assertEqual(self.send(client, big[:15]).kind, "continue")
        # A delivery report is nobody's newsletter, however long.
        self.assertIn(self.send(client, big, sender="<>").kind,
                      ("continue", "accept"))

    def test_observe_stops_nothing(self):
        self.limit(mode="observe", header_bytes=16384, recipients=1,
                   connections=1)
        first, second = self.client(), self.client()
        for client in first, second:
            client.mail("<news@news.example.com>")
            for who in "abc":
                self.assertEqual(client.rcpt(f"<{who}@example.org>").kind,
                                 "continue")
            end = client.message([(f"X-{i}", "y" * 1000) for i in range(17)])
            self.assertEqual((end.kind, end.actions), ("continue", []))

    def test_connections(self):
        self.limit(connections=3)
        size = len(self.filter.log())
        clients = [self.client() for _ in range(5)]
        said = [self.send(c) for c in clients]
        self.assertEqual([s.kind for s in said],
                         ["continue"] * 3 + ["replycode"] * 2)
        for s in said[3:]:
            self.assertRegex(s.text, f"^{CROWDED}")
        told = self.filter.log()[size:]
        self.assertEqual(told.count("more than 3 connections of MTAs"), 1,
                         told)
        for c in clients[:4]:
            c.close()
        self.filter.wait_log("there is room for connections of MTAs again",
                             size)
        self.assertEqual(self.send(self.client()).kind, "continue")
        # One that came when it was full stays turned away to its end.
        self.assertRegex(self.send(clients[4]).text, f"^{CROWDED}")

    def test_postfix_defers(self):
        self.limit(connections=1)
        self.client()
        postfix = Postfix(self.rig, Sink(self.rig), [self.filter])
        smtp = Smtp(postfix.smtp)
        smtp.mail("news@news.example.com")
        self.assertRegex(smtp.rcpt("a@example.org"), f"^{CROWDED}")

    # -- file descriptors

    def test_more_than_there_are_files_for(self):
        with open(self.filter.config_path, encoding="utf-8") as f:
            text = f.read()
        text = re.sub(r"limits = \{.*?\};\n", "", text, flags=re.S)
        path = self.filter.rig.path("many.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(re.sub(r'socket = ".*?"', f'socket = "unix:{path}.sock"',
                           text) + "limits = { connections = 500; };\n")
        done = subprocess.run(
            ["prlimit", "--nofile=512", program("consent-milter"), "-f",
             "-c", path], capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertIn("limits.connections = 500 needs 564 file descriptors "
                      "and 512 are allowed: raise LimitNOFILE", done.stderr)

    def few_files(self, files):
        """A filter that may open no more."""
        few = Filter(self.rig, self.redis, start=False)
        few.start()
        few.stop()
        few.grant("a@example.org")
        self.addCleanup(few.stop)
        few.service = Service(
            ["prlimit", f"--nofile={files}", program("consent-milter"), "-f",
             "-c", few.config_path], few.log_path)
        wait_for(lambda: "listens on" in few.log().rsplit("stopped", 1)[-1],
                 30, "the filter")
        return few

    def fill(self, few, n):
        """n connections to it, as far as they are let in, and how many were
        closed instead."""
        clients, closed = [], 0
        for _ in range(n):
            client = few.client(negotiate=False)
            self.addCleanup(client.close)
            try:
                client.negotiate()
                client.connect()
                clients.append(client)
            except Closed:
                closed += 1
        return clients, closed

    def test_few_files(self):
        """Mail is deferred in words before the descriptors run out."""
        few = self.few_files(256)
        clients, closed = self.fill(few, 220)
        self.assertEqual(closed, 0)
        said = [self.send(c) for c in clients]
        kinds = [s.kind for s in said]
        room = 256 - 64
        self.assertEqual(set(kinds[:room - 5]), {"continue"})
        self.assertEqual(set(kinds[room:]), {"replycode"})
        self.assertRegex(said[-1].text, f"^{CROWDED}")

    def test_files_never_run_out(self):
        """Those that are served are served to their end, however many come
        and stay."""
        few = self.few_files(256)
        size = len(few.log())
        clients, closed = self.fill(few, 300)
        self.assertGreaterEqual(closed, 300 - (256 - 32))
        self.assertEqual(len(clients), 300 - closed)
        for c in clients[:20]:
            self.assertEqual(self.send(c).kind, "continue")
        self.assertIn("too-many-connections", few.control()["problems"])
        postfix = Postfix(self.rig, Sink(self.rig), [few])
        smtp = Smtp(postfix.smtp)
        self.assertRegex(smtp.mail("news@news.example.com"), r"^451 4\.7\.1")
        told = few.log()[size:]
        for text in ("more than 192 connections of MTAs",
                     "224 connections of MTAs leave no file descriptors"):
            self.assertEqual(told.count(text), 1, told)
        self.assertNotIn("can't be followed", told)
        for c in clients:
            c.close()
        few.wait_log("there is room for connections of MTAs again", size)
        smtp = Smtp(postfix.smtp)
        smtp.mail("news@news.example.com")
        self.assertEqual(smtp.rcpt("a@example.org").code, 250)


if __name__ == "__main__":
    import unittest
    unittest.main()
