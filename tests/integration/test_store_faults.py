# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Redis absent, hung, full, wrong or changed: mail is deferred within the
time-out, never accepted, and goes on by itself."""
import socket
import threading
import time

from rig import (Filter, Postfix, Redis, Sink, TestCase, UNVERIFIED,
                 in_threads, make_message, wait_for)

TIMEOUT_MS = 300


class FakeRedis:
    """Accepts and then does what `talk' says, for what no Redis would do."""

    def __init__(self, rig, talk):
        self.path = f"{rig.subdir('fake')}/redis.sock"
        self.url = f"unix:{self.path}"
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(self.path)
        self._socket.listen(50)
        self._talk = talk
        threading.Thread(target=self._serve, daemon=True).start()
        rig.on_close(self._socket.close)

    def _serve(self):
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(peer,),
                             daemon=True).start()

    def _one(self, peer):
        try:
            while data := peer.recv(65536):
                if b"INFO" in data.upper():
                    # as many replies as there are questions
                    for _ in range(data.upper().count(b"INFO")):
                        text = (b"redis_version:7.0.15\r\nloading:0\r\n"
                                b"maxmemory_policy:noeviction\r\n")
                        peer.sendall(b"$%d\r\n%s\r\n" % (len(text), text))
                elif not self._talk(peer, data):
                    return
        except OSError:
            pass
        finally:
            peer.close()


class StoreFaults(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis,
                            redis={"timeout_ms": TIMEOUT_MS})
        cls.sink = Sink(cls.rig)
        cls.postfix = Postfix(cls.rig, cls.sink, [cls.filter])
        cls.filter.grant("ann@example.org")

    def rcpt(self, recipient="<ann@example.org>"):
        """The reply to one recipient, and how long it took."""
        with self.filter.client() as client:
            client.connect()
            client.mail("<n@news.example.com>")
            start = time.monotonic()
            answer = client.rcpt(recipient)
            return answer, time.monotonic() - start

    def assert_deferred(self):
        answer, took = self.rcpt()
        self.assertEqual(answer.kind, "replycode", answer)
        ref = self.assert_reply(answer.text, UNVERIFIED).group(1)
        self.assertEqual(self.filter.decision(ref)["reason"], "store-failure")
        self.assertLess(took, TIMEOUT_MS / 1000 + 1.0)
        return took

    def assert_recovers(self):
        wait_for(lambda: self.rcpt()[0].kind == "continue", 5,
                 "mail to go on")

    def setUp(self):
        self.assert_recovers()

    def test_killed_and_back(self):
        self.redis.kill9()
        self.assert_deferred()
        # the breaker: nobody waits once it is known
        self.assertLess(self.assert_deferred(), 0.2)
        self.redis.start()
        # An empty Redis is no consent, and no word that there was none.
        self.filter.wait_store()
        self.assert_deferred()
        self.filter.ctl("rebuild")
        self.assert_recovers()

    def reason(self, name):
        """Why this recipient is not accepted."""
        answer, _ = self.rcpt(f"<{name}@example.org>")
        self.assertEqual(answer.kind, "replycode")
        return answer.text[:3], self.filter.decisions()[-1]["reason"]

    def test_all_is_lost(self):
        """Nobody who opted in is turned away for good because Redis forgot
        it; and nobody gets mail whom it doesn't know."""
        self.filter.grant("out@example.org")
        self.filter.withdraw("out@example.org")
        # one who has a record, and no opt-in in it
        for command in "restrict", "unrestrict":
            self.filter.ctl(command, "known@example.org")
        for name in "known", "stranger":
            self.assertEqual(self.reason(name), ("550", "no-consent"))
        size = len(self.filter.log())
        self.redis.call("FLUSHALL")
        wait_for(lambda: self.reason("ann") == ("451", "store-failure"), 5,
                 "the filter to notice")
        self.assertEqual(self.reason("stranger"), ("451", "store-failure"))
        self.assertEqual(self.reason("out"), ("550", "withdrawn"))
        # what does not pass by itself is told
        self.filter.wait_log("lacks what it had confirmed", size, 20)
        self.assertEqual(self.filter.control()["problems"],
                         ["redis-incomplete"])
        self.filter.ctl("rebuild")
        self.filter.wait_log("Redis has all again", size)
        self.assertEqual(self.filter.control()["problems"], [])
        self.redis.call("FLUSHALL")
        # so does one that starts only now, from its first answer on
        self.filter.restart()
        self.assertEqual(self.reason("ann"), ("451", "store-failure"))
        # and whatever is to be done when Redis can't be asked
        for action, expected in (("accept", ("550", "no-consent")),
                                 ("reject", ("550", "store-failure"))):
            self.filter.reload(on_store_failure=action)
            self.assertEqual(self.reason("ann"), expected)
        self.filter.reload(on_store_failure="tempfail")
        self.filter.ctl("rebuild")
        self.assert_recovers()
        wait_for(lambda: self.reason("stranger") == ("550", "no-consent"), 5,
                 "strangers to be refused again")
        self.assertEqual(self.reason("out"), ("550", "withdrawn"))

    def test_hung(self):
        self.redis.sigstop()
        try:
            answers = in_threads(20, lambda i: self.rcpt())
            for answer, took in answers:
                self.assertEqual(answer.text[:9], "451 4.4.3")
                self.assertLess(took, TIMEOUT_MS / 1000 + 3.0)
            # who comes now may wait for the attempt to connect anew, the
            # next one for nothing
            self.assert_deferred()
            self.assertLess(self.assert_deferred(), 0.2)
        finally:
            self.redis.cont()
        self.assert_recovers()

    def test_wrong_type_and_garbage(self):
        subject = self.filter.decisions(recipient="ann@example.org")[0][
            "subject"]
        key = f"c:{subject}"
        before = self.redis.call("HGET", key, "weekly")
        for value in (b"g1x", b"", b"\xff\x00", b"g99999999999999999999",
                      b"c1 g2", b"g-1", b"g1764000000000 "):
            with self.subTest(value):
                self.redis.call("HSET", key, "weekly", value)
                self.assert_deferred()
        self.redis.call("HSET", key, "weekly", before)
        self.redis.call("HSET", key, "*", "nonsense")
        self.assert_deferred()
        self.redis.call("HDEL", key, "*")
        self.redis.call("RENAME", key, "aside")
        self.redis.call("SET", key, "a string")
        self.assert_deferred()
        self.redis.call("DEL", key)
        self.redis.call("RENAME", "aside", key)
        self.assert_recovers()

    def test_begins_to_evict(self):
        self.redis.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        wait_for(lambda: self.rcpt()[0].text[:9] == "451 4.4.3", 15,
                 "the policy to be noticed")
        self.assertIn("noeviction", self.filter.log())
        self.redis.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
        self.assert_recovers()

    def test_full_and_read_only_can_be_read(self):
        self.redis.call("CONFIG", "SET", "maxmemory", "1mb")
        self.assertEqual(self.rcpt()[0].kind, "continue")
        done = self.filter.ctl("withdraw", "--list", "weekly",
                               "oom@example.org", check=False)
        self.assertEqual(done.returncode, 75, done.stderr)
        self.redis.call("CONFIG", "SET", "maxmemory", "0")
        self.redis.call("REPLICAOF", "127.0.0.1", "1")
        answer, _ = self.rcpt()
        self.assertIn(answer.kind + answer.text[:3],
                      ("continue", "replycode451"))
        self.redis.call("REPLICAOF", "NO", "ONE")

    def test_wrong_replies(self):
        talks = {
            "half a reply": lambda p, d: p.sendall(b"*2\r\n$20\r\ng17") or True,
            "garbage": lambda p, d: p.sendall(b"\x00HTTP/1.0 200\r\n\r\n") or
            True,
            "huge": lambda p, d: p.sendall(b"*2\r\n$400000000\r\n") or True,
            "deep": lambda p, d: p.sendall(b"*1\r\n" * 50) or True,
            "integer": lambda p, d: p.sendall(b":1\r\n") or True,
            "short array": lambda p, d: p.sendall(b"*1\r\n$-1\r\n") or True,
            "loading": lambda p, d: p.sendall(b"-LOADING Redis\r\n") or True,
            "closes": lambda p, d: False,
            "silence": lambda p, d: True,
            "granted, but an integer": lambda p, d: p.sendall(
                b"*2\r\n:1764000000000\r\n$-1\r\n") or True,
        }
        for what, talk in talks.items():
            with self.subTest(what):
                fake = FakeRedis(self.rig, talk)
                self.filter.reload(redis={"url": fake.url})
                self.assert_deferred()
        self.filter.reload(redis={"url": self.redis.url})
        self.assert_recovers()

    def test_policy_on_failure(self):
        self.redis.stop()
        try:
            self.filter.reload(on_store_failure="reject")
            answer, _ = self.rcpt()
            self.assertRegex(answer.text, r"^550 5\.7\.1 consent can't be "
                             r"verified \(ref \w+\)$")
            self.filter.reload(on_store_failure="accept")
            answer, _ = self.rcpt()
            self.assertEqual(answer.kind, "continue")
            self.assertEqual(self.filter.decisions()[-1]["reason"],
                             "store-failure")
        finally:
            self.redis.start()
            self.filter.reload(on_store_failure="tempfail")
            self.filter.ctl("rebuild")

    def test_late_and_multiple(self):
        self.redis.stop()
        try:
            sent = self.postfix.send(
                "x@example.com", ["ann@example.org", "bob@example.org"],
                make_message(fields=[("List-Id",
                                      "<weekly.news.example.com>")]))
            self.assert_reply(sent.end, UNVERIFIED)
            # other mail is no business of the store
            sent = self.postfix.send("x@example.com", "bob@example.org",
                                     make_message())
            self.assertTrue(sent.accepted)
        finally:
            self.redis.start()
            self.filter.ctl("rebuild")

    def test_opt_out_while_redis_is_away(self):
        """It was acknowledged, so it holds a second later, though Redis is
        back and nobody has applied it there."""
        self.filter.grant("out@example.org", "in@example.org")
        self.redis.call("SAVE")
        self.redis.kill9()
        done = self.filter.ctl("withdraw", "--list", "weekly",
                               "out@example.org", check=False)
        self.assertEqual(done.returncode, 75, done.stderr)
        self.redis.start()              # with the old consent in it
        self.assertNotEqual(self.redis.call("DBSIZE"), 0)
        self.assert_recovers()
        wait_for(lambda: self.rcpt("<out@example.org>")[0].text[:9] ==
                 "550 5.7.1", 1, "the opt-out in force", 0.1)
        self.assertEqual(self.filter.decisions()[-1]["reason"], "withdrawn")
        # the next change applies it
        self.filter.grant("another@example.org")
        self.filter.restart()
        answer, _ = self.rcpt("<out@example.org>")
        self.assertEqual(answer.text[:9], "550 5.7.1")
        self.assertEqual(self.rcpt("<in@example.org>")[0].kind, "continue")

    def restore(self, dump):
        """Redis as it was, without a restart."""
        self.redis.call("FLUSHALL")
        for key, value in dump.items():
            self.redis.call("RESTORE", key, 0, value)

    def test_opt_out_that_a_restored_redis_lost(self):
        """Nobody applies the ledger again, and it holds all the same; an
        opt-in that was lost does not."""
        self.filter.grant("out@example.org")
        dump = {key: self.redis.call("DUMP", key)
                for key in self.redis.call("KEYS", "*")}
        self.filter.withdraw("out@example.org")
        self.filter.grant("late@example.org")
        self.assertEqual(self.rcpt("<late@example.org>")[0].kind, "continue")
        self.restore(dump)
        wait_for(lambda: self.rcpt("<out@example.org>")[0].kind != "continue",
                 5, "the filter to notice")
        self.assertEqual(self.filter.decisions()[-1]["reason"], "withdrawn")
        self.assertEqual(self.rcpt("<late@example.org>")[0].text[:3], "550")
        self.assertEqual(self.rcpt()[0].kind, "continue")
        # and one that starts only now
        self.filter.restart()
        self.assertEqual(self.rcpt("<out@example.org>")[0].text[:3], "550")
        self.filter.grant("another@example.org")
        self.assertEqual(self.rcpt("<late@example.org>")[0].kind, "continue")
        self.assertEqual(self.rcpt("<out@example.org>")[0].text[:3], "550")

    def test_opt_out_behind_an_opt_in_while_redis_is_away(self):
        """An opt-in was recorded by a clock that is ahead of ours: who opts
        out now is out all the same, though Redis can't tell of it."""
        ahead = time.strftime("%Y-%m-%dT%H:%M:%SZ",
                              time.gmtime(time.time() + 240))
        outs = {"a@example.org": ("withdraw", "--list", "weekly"),
                "b@example.org": ("withdraw", "--all"),
                "c@example.org": ("object",), "d@example.org": ("erase",)}
        self.filter.grant(*outs, "stays@example.org", at=ahead)
        self.redis.stop()
        try:
            for address, command in outs.items():
                done = self.filter.ctl(*command, address, check=False)
                self.assertEqual(done.returncode, 75, done.stderr)
        finally:
            self.redis.start()
        self.filter.grant("another@example.org")
        for address in outs:
            done = self.filter.ctl("check", "--list", "weekly", address,
                                   check=False)
            self.assertEqual(done.returncode, 1, address)
        self.filter.ctl("check", "--list", "weekly", "stays@example.org")

    def test_older_dump(self):
        """Redis loses an opt-out that it had confirmed, and nobody is there
        to apply it again: the filter of the host that took it knows."""
        self.filter.grant("old@example.org")
        self.redis.call("SAVE")
        self.filter.ctl("withdraw", "--list", "weekly", "old@example.org")
        for _ in range(3):
            self.redis.kill9()
            self.redis.start()
            self.assertEqual(self.filter.ctl("check", "--list", "weekly",
                                             "old@example.org").stdout,
                             "granted\n")
            # From the first answer on, not only when the filter has looked.
            while (answer := self.rcpt("<old@example.org>")[0]).text[:3] == \
                    "451":
                time.sleep(0.001)
            self.assertEqual(answer.text[:3], "550")
            self.assertEqual(self.filter.decisions()[-1]["reason"],
                             "withdrawn")
            self.assertEqual(self.rcpt()[0].kind, "continue")
        # the next change finds out as well, and says so
        done = self.filter.ctl("grant", "--list", "weekly",
                               "new@example.org")
        self.assertIn("Redis has lost what it confirmed", done.stderr)
        done = self.filter.ctl("check", "--list", "weekly",
                               "old@example.org", check=False)
        self.assertEqual(done.stdout, "withdrawn\n")
