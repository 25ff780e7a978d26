# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""kill -9 in mid-campaign, a decision log that can't be written, and a Redis
that forgets in the wrong moment."""
import os
import random
import select
import socket
import subprocess
import threading
import time

from rig import (Filter, Postfix, Redis, Sink, TestCase, make_message,
                 verify_chain, wait_for)


class Crash(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig, options=["appendonly yes",
                                            "appendfsync always"])
        cls.filter = Filter(cls.rig, cls.redis)
        cls.sink = Sink(cls.rig)
        cls.postfix = Postfix(cls.rig, cls.sink, [cls.filter])
        cls.yes = [f"yes{i}@example.org" for i in range(40)]
        cls.no = [f"no{i}@example.org" for i in range(40)]
        cls.filter.grant(*cls.yes)

    def campaign(self, disturb):
        """One message each, again after a deferral, while `disturb' runs."""
        random.seed(7)
        left = [(a, i) for i, a in enumerate(self.yes + self.no)]
        random.shuffle(left)
        done, rounds = {}, 0
        thread = threading.Thread(target=disturb)
        thread.start()
        while left and rounds < 200:
            rounds += 1
            later = []
            for address, i in left:
                try:
                    sent = self.postfix.send(
                        "n@news.example.com", address, make_message(
                            to=address, fields=[("X-Number", str(i))]))
                except OSError:         # Postfix itself is away
                    later.append((address, i))
                    time.sleep(0.05)
                    continue
                reply = sent.end or sent.rcpt.get(address) or sent.mail
                if reply.code in (250, 550):
                    done[address] = reply.code
                else:
                    later.append((address, i))
            left = later
        thread.join()
        self.assertEqual(left, [])
        return done

    def check(self, done):
        self.assertEqual({done[a] for a in self.yes}, {250})
        self.assertEqual({done[a] for a in self.no}, {550})
        wait_for(lambda: self.postfix.flush() or not self.postfix.queue(), 30,
                 "the queue to empty")
        got = sorted(r for m in self.sink.messages for r in m.recipients)
        self.assertEqual(got, sorted(self.yes))
        for message in self.sink.messages:
            message.one("List-Unsubscribe-Post")

    def setUp(self):
        self.sink.clear()

    def test_filter(self):
        def disturb():
            for _ in range(6):
                time.sleep(0.3)
                self.filter.kill9()
                self.filter.start()
        self.check(self.campaign(disturb))
        self.filter.stop()
        self.assertGreater(verify_chain(self.filter.audit_dir), 80)
        self.filter.start()

    def test_redis(self):
        def disturb():
            for _ in range(6):
                time.sleep(0.3)
                self.redis.kill9()
                self.redis.start()
        self.check(self.campaign(disturb))

    def test_postfix(self):
        def disturb():
            for _ in range(3):
                time.sleep(0.4)
                self.postfix.kill9()
                time.sleep(0.2)
                self.postfix.start()
        done = self.campaign(disturb)
        # A client that lost its connection before the 250 has to send again:
        # that one duplicate is SMTP's own (RFC 1047), so look at people.
        self.assertEqual({done[a] for a in self.no}, {550})
        wait_for(lambda: self.postfix.flush() or not self.postfix.queue(), 30,
                 "the queue to empty")
        got = {r for m in self.sink.messages for r in m.recipients}
        self.assertEqual(got, set(self.yes))


class DiskFull(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, start=False)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs",
                        cls.filter.audit_dir], check=True)
        cls.rig.on_close(lambda: subprocess.run(
            ["umount", "-l", cls.filter.audit_dir], check=False))
        cls.filter.grant("ann@example.org")
        cls.filter.start()

    def rcpt(self, address):
        with self.filter.client() as client:
            client.mail("<n@news.example.com>")
            return client.rcpt(address)

    def test_deferred_until_there_is_room(self):
        self.assertEqual(self.rcpt("<ann@example.org>").kind, "continue")
        ballast = os.path.join(self.filter.audit_dir, "ballast")
        fd = os.open(ballast, os.O_WRONLY | os.O_CREAT)
        try:
            while True:
                os.write(fd, bytes(4096))
        except OSError:
            os.close(fd)
        try:
            seen = [self.rcpt("<ann@example.org>") for _ in range(30)]
            self.assertEqual(seen[-1].text[:9], "451 4.3.0", seen[-1])
            self.assertIn("decision can't be recorded", seen[-1].text)
            self.assertEqual(self.rcpt("<bob@example.org>").text[:3], "451")
            # an opt-out that can't be kept is not acknowledged
            people = [f"out{i}@example.org" for i in range(50)]
            done = self.filter.ctl("withdraw", "--list", "weekly", *people,
                                   check=False)
            self.assertEqual(done.returncode, 75, done.stderr)
            self.assertIn("nothing is recorded", done.stderr)
        finally:
            os.unlink(ballast)
        wait_for(lambda: self.rcpt("<ann@example.org>").kind == "continue", 5,
                 "mail to go on")
        self.assertEqual(self.rcpt("<bob@example.org>").text[:3], "550")
        self.filter.stop()
        verify_chain(self.filter.audit_dir)
        self.filter.start()


class LostWhileApplied(TestCase):
    """Redis loses everything between taking events and hearing how far it has
    the ledger now."""

    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.wire = Wire(cls.rig, cls.redis)
        cls.filter = Filter(cls.rig, cls.wire, start=False)

    def allowed(self, address):
        return self.filter.ctl("check", "--list", "weekly", address,
                               check=False).stdout.strip()

    def lose_while(self, *command):
        self.wire.is_to_flush = True
        done = self.filter.ctl(*command, check=False)
        self.assertFalse(self.wire.is_to_flush, "no events were applied")
        return done

    def test_is_noticed(self):
        self.filter.grant("ann@example.org", "bob@example.org")
        self.filter.withdraw("bob@example.org")
        self.lose_while("grant", "--list", "weekly", "eve@example.org")
        done = self.filter.grant("joe@example.org")
        self.assertIn("Redis has lost what it confirmed", done.stderr)
        self.assertEqual(
            [self.allowed(f"{name}@example.org")
             for name in ("ann", "bob", "eve", "joe")],
            ["granted", "withdrawn", "granted", "granted"])

    def test_is_noticed_when_it_was_empty(self):
        self.redis.call("FLUSHALL")
        self.filter.grant("zoe@example.org")
        self.redis.call("FLUSHALL")
        done = self.lose_while("rebuild")
        self.assertEqual(done.returncode, 69, done.stderr)
        self.filter.ctl("rebuild")
        self.assertEqual(self.allowed("zoe@example.org"), "granted")

    def test_answer_is_lost(self):
        """Redis has taken the events of a rebuild, and the connection ends
        before anybody hears of it: they are sent again."""
        self.filter.grant("kim@example.org")
        self.wire.is_to_cut = True
        done = self.filter.ctl("rebuild", "--from-start", check=False)
        self.assertFalse(self.wire.is_to_cut, "no events were applied")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("lost", done.stderr)
        self.assertEqual(self.allowed("kim@example.org"), "granted")


class PowerCut(TestCase):
    """The disk forgot the end of the ledger, which was not acknowledged yet,
    and kept what says that Redis has it."""

    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, start=False)

    def test_numbers_that_are_used_again(self):
        self.filter.grant("ann@example.org", "bob@example.org")
        ledger = os.path.join(self.filter.audit_dir, "ledger")
        path = os.path.join(ledger, next(
            n for n in os.listdir(ledger) if n.endswith(".jsonl")))
        size = os.path.getsize(path)
        self.filter.grant("eve@example.org", "joe@example.org")
        os.truncate(path, size)
        self.filter.withdraw("bob@example.org")
        done = self.filter.ctl("check", "--list", "weekly", "bob@example.org",
                               check=False)
        self.assertEqual(done.stdout.strip(), "withdrawn")


class Wire:
    """A socket before Redis that flushes it, once, when it has answered to
    events and the client has not heard of it yet; or hangs up then."""

    def __init__(self, rig, redis):
        self.redis = redis
        self.is_to_flush = False
        self.is_to_cut = False
        self.path = f"{rig.subdir('wire')}/redis.sock"
        self.url = f"unix:{self.path}"
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(self.path)
        self._socket.listen(50)
        threading.Thread(target=self._serve, daemon=True).start()
        rig.on_close(self._socket.close)

    def _serve(self):
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(client,),
                             daemon=True).start()

    def _talk(self, client):
        """Neither side says anything while it waits for the other."""
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(self.redis.socket)
            asked = b""
            while True:
                for s in select.select([client, server], [], [])[0]:
                    try:
                        data = s.recv(65536)
                    except OSError:
                        return
                    if not data:
                        return
                    if s is client:
                        asked = data
                        server.sendall(data)
                        continue
                    # Opt-outs that come first are not kept account of.
                    merged = b"EVALSHA" in asked and \
                        b"c:applied" in asked and b"NOSCRIPT" not in data
                    if self.is_to_cut and merged:
                        self.is_to_cut = False
                        return
                    if self.is_to_flush and merged:
                        self.is_to_flush = False
                        self.redis.call("FLUSHALL")
                    client.sendall(data)
