# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Redis over TLS: used with a certificate that can be relied on, and with no
other."""
import os
import socket
import threading
import time

from rig import (Authority, Filter, Redis, TestCase, UNVERIFIED, in_threads,
                 wait_for)

TIMEOUT_MS = 500
PAST, FUTURE = "20210101000000Z", "20370101000000Z"


class Listener:
    """Takes connections and hands each to `talk', in a thread of its own."""

    def __init__(self, rig, talk):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"rediss://localhost:{self._socket.getsockname()[1]}"
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
        with peer:
            try:
                self._talk(peer)
            except OSError:
                pass


class RedisTls(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.authority = Authority(cls.rig)
        cls.good = cls.authority.issue()
        cls.redis = Redis(cls.rig, tcp=True,
                          tls=(cls.good, cls.authority.path))
        cls.filter = Filter(cls.rig, cls.redis, redis={
            "url": cls.redis.tls_url, "ca_file": cls.authority.path,
            "timeout_ms": TIMEOUT_MS})
        # for what is not TLS, and to try settings with
        cls.aside = Filter(cls.rig, cls.redis, start=False, keygen=False,
                           keys=cls.filter.keys_dir)
        cls.filter.grant("ann@example.org")

    def rcpt(self):
        """The reply to one recipient, and how long it took."""
        with self.filter.client() as client:
            client.connect()
            client.mail("<n@news.example.com>")
            start = time.monotonic()
            answer = client.rcpt("<ann@example.org>")
            return answer, time.monotonic() - start

    def assert_deferred(self):
        answer, took = self.rcpt()
        self.assertEqual(answer.kind, "replycode", answer)
        self.assert_reply(answer.text, UNVERIFIED)
        self.assertLess(took, TIMEOUT_MS / 1000 + 1.0)

    def assert_recovers(self):
        wait_for(lambda: self.rcpt()[0].kind == "continue", 5,
                 "mail to go on")

    def setUp(self):
        self.assert_recovers()

    def check(self, **redis):
        """What consentctl makes of these settings: status and text."""
        self.aside.settings["redis"] = dict(
            {"url": self.redis.tls_url, "ca_file": self.authority.path,
             "timeout_ms": TIMEOUT_MS}, **redis)
        self.aside.write_config()
        done = self.aside.ctl("check", "--list", "weekly", "ann@example.org",
                              check=False)
        return done.returncode, done.stderr

    def test_mail_goes_by_consent(self):
        self.assertEqual(self.rcpt()[0].kind, "continue")
        self.filter.withdraw("ann@example.org")
        self.assertEqual(self.rcpt()[0].text[:9], "550 5.7.1")
        self.filter.grant("ann@example.org")
        self.assertEqual(self.rcpt()[0].kind, "continue")

    def test_many_at_once(self):
        rows = "".join(f"p{i}@example.org,weekly,2026-01-05T10:00:00Z\n"
                       for i in range(2000))
        self.filter.ctl("import", "-", input="address,list,at\n" + rows)

        def look(i):
            with self.filter.client() as client:
                client.connect()
                client.mail("<n@news.example.com>")
                return [client.rcpt(f"<p{(i * 100 + j) % 2000}@example.org>")
                        .kind for j in range(100)]
        for answers in in_threads(16, look):
            self.assertEqual(set(answers), {"continue"})

    def test_certificates_that_do_not_count(self):
        cases = [
            ("wrong name", self.authority.issue("other.example.com"),
             "is not for localhost: give a host"),
            ("address instead of name", self.authority.issue("127.0.0.1"),
             "is not for localhost: give a host"),
            ("expired", self.authority.issue(not_after=PAST),
             "has expired: renew it"),
            ("not yet valid", self.authority.issue(not_before=FUTURE),
             "is not valid yet: check the clock"),
            ("self-signed", self.authority.issue(self_signed=True),
             "is self-signed: if it is the right one, set redis.ca_file"),
            ("wrong authority", Authority(self.rig, "Other").issue(),
             "comes from an authority that is not known here: set "
             "redis.ca_file"),
        ]
        try:
            for what, pem, text in cases:
                with self.subTest(what):
                    self.redis.use_certificate(pem)
                    status, told = self.check()
                    self.assertEqual(status, 69, told)
                    self.assertIn(text, told)
                    self.assertIn(self.redis.tls_url, told)
                    # and so for the filter, once it has to connect again
                    size = len(self.filter.log())
                    self.redis.call("CLIENT", "KILL", "TYPE", "normal",
                                    "SKIPME", "yes")
                    wait_for(lambda: self.rcpt()[0].text[:3] == "451" and
                             text in self.filter.log()[size:], 5, what)
                    self.redis.use_certificate(self.good)
                    # one that is right again needs no restart
                    self.assert_recovers()
        finally:
            self.redis.use_certificate(self.good)

    def test_self_signed_that_is_known(self):
        pem = self.authority.issue(self_signed=True)
        self.redis.use_certificate(pem)
        try:
            self.assertEqual(self.check(ca_file=pem)[0], 0)
        finally:
            self.redis.use_certificate(self.good)

    def test_system_authorities_do_not_know_ours(self):
        self.aside.settings["redis"] = {"url": self.redis.tls_url}
        self.aside.write_config()
        done = self.aside.ctl("check", "--list", "weekly", "ann@example.org",
                              check=False)
        self.assertEqual(done.returncode, 69)
        self.assertIn("an authority that is not known here", done.stderr)

    def test_addresses(self):
        port = self.redis.tls_port
        self.assertIn("is not for 127.0.0.1", self.check(
            url=f"rediss://127.0.0.1:{port}")[1])
        self.redis.use_certificate(self.authority.issue("127.0.0.1"))
        try:
            self.assertEqual(self.check(
                url=f"rediss://127.0.0.1:{port}/0")[0], 0)
        finally:
            self.redis.use_certificate(self.good)

    def test_mutual(self):
        ours = self.authority.issue("client.example.com")
        other = Authority(self.rig, "Other").issue("client.example.com")
        old = self.authority.issue("client.example.com", not_after=PAST)
        self.redis.call("CONFIG", "SET", "tls-auth-clients", "yes")
        try:
            for protocols in ("TLSv1.2", "TLSv1.3"):
                with self.subTest(protocols):
                    self.redis.call("CONFIG", "SET", "tls-protocols",
                                    protocols)
                    self.assertEqual(self.check(certificate=ours,
                                                key=ours)[0], 0)
                    for pem, text in (
                            (None, "wants a certificate of ours"),
                            (other, "does not know the authority that our "
                             "certificate comes from"),
                            (old, "our certificate has expired")):
                        files = {"certificate": pem, "key": pem} if pem else {}
                        status, told = self.check(**files)
                        self.assertEqual(status, 69, told)
                        self.assertIn(text, told)
        finally:
            self.redis.call("CONFIG", "SET", "tls-auth-clients", "no")
            self.redis.call("CONFIG", "SET", "tls-protocols", "")

    def test_replica(self):
        """redis.read_from: the same files for TLS, and no more trust."""
        pem = self.authority.issue()
        replica = Redis(self.rig, tls=(pem, self.authority.path), options=[
            f"replicaof 127.0.0.1 {self.redis.port}"])
        reading = Filter(
            self.rig, None, keygen=False, keys=self.filter.keys_dir,
            redis=dict(self.filter.settings["redis"],
                       read_from=replica.tls_url))

        def rcpt():
            with reading.client() as client:
                client.connect()
                client.mail("<n@news.example.com>")
                return client.rcpt("<ann@example.org>")
        wait_for(lambda: rcpt().kind == "continue", 20, "the replica")
        self.assertGreater(replica.call("INFO", "commandstats").count(
            b"cmdstat_hmget"), 0)
        replica.use_certificate(self.authority.issue("other.example.com"))
        size = len(reading.log())
        replica.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        wait_for(lambda: rcpt().text[:3] == "451", 10, "mail to wait")
        reading.wait_log("is not for localhost: give a host", size)
        replica.use_certificate(pem)
        wait_for(lambda: rcpt().kind == "continue", 10, "mail to go on")

    def test_bad_files(self):
        ours = self.authority.issue("client.example.com")
        other = self.authority.issue("client.example.com")
        for what, files, text in (
                ("absent", {"ca_file": "/nonexistent/ca.pem"},
                 "/nonexistent/ca.pem: No such file"),
                ("no PEM", {"ca_file": self.aside.config_path},
                 "holds no certificates that can be used"),
                ("no certificate", {"certificate": self.aside.config_path,
                                    "key": ours},
                 "holds no certificate that can be used"),
                ("another's key", {"certificate": ours, "key": other},
                 "key values mismatch")):
            with self.subTest(what):
                status, told = self.check(**files)
                self.assertEqual(status, 78, told)
                self.assertIn(text, told)
        os.chmod(ours, 0o644)
        status, told = self.check(certificate=ours, key=ours)
        self.assertEqual(status, 78, told)
        self.assertIn("chmod o-rw", told)

    def test_port_without_tls(self):
        status, told = self.check(
            url=f"rediss://localhost:{self.redis.port}")
        self.assertEqual(status, 69)
        self.assertIn("is this its tls-port?", told)

    def test_handshake_that_hangs_or_breaks(self):
        def slow(peer):
            peer.recv(65536)
            time.sleep(20)

        def cut(peer):
            peer.recv(65536)
            # the first bytes of a handshake record that never comes
            peer.sendall(b"\x16\x03\x03\x00\x7a\x02\x00")

        def nonsense(peer):
            peer.recv(65536)
            peer.sendall(os.urandom(4096))

        for what, talk in (("silent", lambda peer: time.sleep(20)),
                           ("hangs", slow), ("cut", cut),
                           ("nonsense", nonsense)):
            with self.subTest(what):
                listener = Listener(self.rig, talk)
                size = len(self.filter.log())
                self.filter.reload(redis={"url": listener.url})
                self.assert_deferred()
                self.filter.wait_log("TLS", size)
        self.filter.reload(redis={"url": self.redis.tls_url})
        self.assert_recovers()

    def test_hung_and_killed(self):
        self.redis.sigstop()
        try:
            for answer, took in in_threads(10, lambda i: self.rcpt()):
                self.assertEqual(answer.text[:9], "451 4.4.3")
                self.assertLess(took, TIMEOUT_MS / 1000 + 2.0)
        finally:
            self.redis.cont()
        self.assert_recovers()
        self.redis.kill9()
        self.assert_deferred()
        self.redis.start()
        self.redis.use_certificate(self.good)
        self.filter.wait_store()
        self.assert_deferred()
        self.filter.ctl("rebuild")
        self.assert_recovers()
