# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""consentctl selftest: a good set-up, and whose consent is touched."""
import itertools
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading

from rig import (Authority, Filter, Nginx, OpenDkim, Postfix, Redis, Sink,
                 TestCase, Web, program, read_text, run, write_file)

CHECKS = ["mode", "list", "sent", "arrived", "unsubscribe",
          "unsubscribe-post", "link", "dkim", "dkim-covers", "dkim-length",
          "dkim-aligned", "certificate", "link-forged", "link-get",
          "link-head", "link-safe", "one-click", "redirect", "cookie",
          "opt-out", "refused", "clean-up"]
_numbers = itertools.count(1)


class Resolver:
    """A DNS server on a loopback address of its own that knows TXT records."""

    def __init__(self, rig, texts):
        self.texts = texts
        self.address = "127.53.%d.%d" % (os.getpid() % 250 + 1,
                                         os.getpid() // 250 % 250 + 1)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.address, 53))
        rig.on_close(self.close)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        # A thread that reads keeps the socket open.
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def _serve(self):
        self.asked = 0
        while True:
            try:
                query, client = self.socket.recvfrom(4096)
            except OSError:
                return
            if not query:
                return
            self.asked += 1
            self.socket.sendto(self._answer(query), client)

    def _answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        question = query[12:at + 5]
        text = self.texts.get(".".join(labels).lower())
        if text is None:                # NXDOMAIN
            return query[:2] + struct.pack(">5H", 0x8183, 1, 0, 0, 0) + \
                question
        data = b"".join(bytes([len(text[i:i + 255])]) +
                        text[i:i + 255].encode()
                        for i in range(0, len(text), 255))
        return query[:2] + struct.pack(">5H", 0x8180, 1, 1, 0, 0) + \
            question + struct.pack(">HHHIH", 0xc00c, 16, 1, 60,
                                   len(data)) + data


class SelftestCase(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.filter = cls.make_filter()
        cls.web = Web(cls.rig, cls.filter)
        cls.authority = Authority(cls.rig)
        cls.pem = cls.authority.issue("localhost")
        cls.proxy = cls.make_proxy()
        cls.point_at(cls.proxy)
        cls.maildir = cls.rig.subdir("Maildir")
        for name in ("new", "cur", "tmp"):
            os.mkdir(os.path.join(cls.maildir, name))
        cls.sink = Sink(cls.rig, save=os.path.join(cls.maildir, "new"))
        cls.dkim = OpenDkim(cls.rig)
        cls.postfix = Postfix(cls.rig, cls.sink, [cls.filter, cls.dkim])

    @classmethod
    def make_filter(cls):
        cls.redis = Redis(cls.rig)
        return Filter(cls.rig, cls.redis)

    @classmethod
    def make_proxy(cls, pem=None, changes=()):
        return Nginx(cls.rig, "%s:%d" % cls.web.address, pem or cls.pem,
                     changes)

    @classmethod
    def point_at(cls, proxy, **settings):
        cls.filter.reload(unsubscribe={
            "url": f"https://localhost:{proxy.port}/u/"}, **settings)

    def address(self):
        return f"probe{next(_numbers)}@example.org"

    def options(self, address, mailbox=None, postfix=None, dkim=None):
        return ["selftest", "--list", "weekly", "--from",
                "news@news.example.com", "--to", address, "--smtp",
                "%s:%d" % (postfix or self.postfix).smtp, "--mailbox",
                mailbox or self.maildir, "--dkim-key",
                (dkim or self.dkim).key_text, "--ca", self.authority.path]

    def run_json(self, *more, grant=True, address=None, **options):
        """(exit code, {check: finding}); the consent never survives."""
        address = address or self.address()
        done = self.filter.ctl(
            *self.options(address, **options), "--json",
            *(["--grant"] if grant else []), *more, check=False)
        self.assertTrue(done.stdout, done.stderr)
        self.assertEqual(self.state(address), "withdrawn")
        # A link is a key, and belongs into no report.
        self.assertNotRegex(done.stdout, "/u/[A-Za-z0-9_-]{51}")
        answer = json.loads(done.stdout)
        found = {c["check"]: c for c in answer["checks"]}
        self.assertEqual(len(found), len(answer["checks"]))
        return done.returncode, found

    def state(self, address):
        return self.filter.ctl("check", "--list", "weekly", address,
                               check=False).stdout.strip()

    def assert_good(self, code, found, but=()):
        bad = {name: c for name, c in found.items()
               if c["status"] not in ("ok", "warn") and name not in but}
        self.assertEqual(bad, {})
        if not but:
            # On a busy machine the opt-out may be late.
            late = {n for n, c in found.items() if c["status"] == "warn"}
            self.assertLessEqual(late, {"opt-out"})
            self.assertEqual(list(found), CHECKS)
            self.assertEqual(code, 0)

    def assert_fails(self, found, check, text, fix):
        self.assertEqual(found[check]["status"], "fail", found[check])
        self.assertRegex(found[check]["text"], text)
        self.assertRegex("\n".join(found[check]["fixes"]), fix)


class Good(SelftestCase):
    def test_all_is_well(self):
        address = self.address()
        self.assert_good(*self.run_json(address=address))
        # A test that was, is no consent and no opt-out of a person.
        self.assert_good(*self.run_json(address=address))

    def test_text(self):
        done = self.filter.ctl(*self.options(self.address()), "--grant")
        lines = done.stdout.splitlines()
        self.assertEqual([line.split()[1] for line in lines
                          if not line.startswith(" ")], CHECKS)
        self.assertNotIn("\033", done.stdout)

    def test_mbox(self):
        path = self.rig.path("mbox")
        sink = Sink(self.rig)

        def take(message):
            with open(path, "ab") as f:
                f.write(b"From news@news.example.com Mon Jan  5 10:00:00 2026"
                        b"\n" + message.raw.replace(b"\r\n", b"\n") + b"\n")
        sink.take = take
        postfix = Postfix(self.rig, sink, [self.filter, self.dkim])
        for _ in range(2):              # before there is one, and behind mail
            self.assert_good(*self.run_json(mailbox=path, postfix=postfix))

    def test_double_opt_in(self):
        lists = self.filter.settings["lists"]
        strict = [{**lists[0], "double_opt_in": True, "notice": "signup 3",
                   "special_category": True}]
        self.filter.reload(lists=strict)
        try:
            self.assert_good(*self.run_json())
        finally:
            self.filter.reload(lists=lists)

    def test_known_by_its_header(self):
        """Then it is refused only at the end of the message."""
        lists = self.filter.settings["lists"]
        self.filter.reload(lists=[{**lists[0], "match": [
            {"header": "X-Campaign", "value": "7"}]}])
        try:
            self.assert_good(*self.run_json("--header", "X-Campaign: 7"))
        finally:
            self.filter.reload(lists=lists)

    def test_message(self):
        """Two steps, where no mailbox is at hand; no consent between them."""
        address = self.address()
        options = self.options(address)
        at = options.index("--mailbox")
        del options[at:at + 2]
        self.sink.clear()
        done = self.filter.ctl(*options, "--grant", check=False)
        self.assertEqual(done.returncode, 75, done.stdout)
        self.assertIn("--message", done.stdout)
        self.assertEqual(self.state(address), "withdrawn")
        raw = self.sink.wait(1)[-1].raw.decode()
        done = self.filter.ctl(*options, "--grant", "--json", "--message",
                               "-", check=False, input=raw)
        found = {c["check"]: c for c in json.loads(done.stdout)["checks"]}
        self.assertEqual(done.returncode, 0, found)
        self.assertEqual(list(found), [c for c in CHECKS if c not in (
            "sent", "arrived")])

    def run_dns(self, resolver, *more):
        """Without --dkim-key, the key is asked for."""
        options = [*self.options(self.address()), *more]
        if more:
            at = options.index("--mailbox")
            del options[at:at + 2]
        at = options.index("--dkim-key")
        del options[at:at + 2]
        path = self.rig.path("resolv.conf")
        write_file(path, f"nameserver {resolver.address}\n"
                   "options attempts:1 timeout:1\n")
        done = run(["unshare", "-m", "sh", "-c", 'mount --bind "$0" '
                    '/etc/resolv.conf && exec "$@"', path,
                    program("consentctl"), "-c", self.filter.config_path,
                    *options, "--grant", "--json"], check=False)
        self.assertTrue(done.stdout, done.stderr)
        found = {c["check"]: c for c in json.loads(done.stdout)["checks"]}
        return done.returncode, found

    def test_dns(self):
        if run(["unshare", "-m", "true"], check=False).returncode != 0:
            self.skipTest("no mount namespace for an own resolv.conf")
        key = "".join(re.findall('"([^"]*)"', read_text(self.dkim.key_text)))
        resolver = Resolver(self.rig, {
            "rig._domainkey.news.example.com": key})
        self.assert_good(*self.run_dns(resolver))
        # Where it is not published.
        resolver.texts.clear()
        code, found = self.run_dns(resolver)
        self.assertEqual(code, 1, found["dkim"])
        self.assert_fails(found, "dkim", "can't be verified",
                          "DNS: rig._domainkey.news.example.com. IN TXT")
        # A message can have as many as it likes, and each is a question.
        path = self.rig.path("many.eml")
        write_file(path, "".join(
            f"DKIM-Signature: v=1; a=rsa-sha256; d=d{i}.example.com; s=rig; "
            "h=From; bh=KytHotBDA56CbiUisGzHpcaLkLXCIBkztXwAVtb5gfI=; "
            "b=AAAA\n" for i in range(100)) +
            "From: a@example.com\n\nbody\n")
        resolver.asked = 0
        code, found = self.run_dns(resolver, "--message", path)
        self.assert_fails(found, "dkim", "can't be verified", "DNS: ")
        self.assertLess(resolver.asked, 40)
        # Nobody answers: that is no verdict.
        resolver.close()
        code, found = self.run_dns(resolver)
        self.assertEqual((code, found["dkim"]["status"]), (75, "skipped"))
        self.assert_good(75, found, but=["dkim"])


class Consent(SelftestCase):
    """Whose consent it may touch."""

    def refused(self, address, *more):
        done = self.filter.ctl(*self.options(address), *more, check=False)
        self.assertEqual((done.returncode, done.stdout), (64, ""))
        return done.stderr

    def test_nobody_is_opted_in_unasked(self):
        address = self.address()
        self.assertIn("--grant", self.refused(address))
        self.assertEqual(self.state(address), "no-consent")
        self.assertIn("--grant", self.refused(address, "--end-consent"))

    def test_a_real_consent_stays(self):
        address = self.address()
        self.filter.grant(address, method="web-form")
        self.assertIn("--end-consent", self.refused(address, "--grant"))
        self.assertEqual(self.state(address), "granted")
        self.run_json("--end-consent", address=address, grant=False)

    def test_an_opt_out_stays(self):
        for command in (["withdraw", "--list", "weekly"], ["object"],
                        ["erase"], ["restrict"]):
            address = self.address()
            self.filter.grant(address)
            self.filter.ctl(*command, address)
            before = self.filter.ctl("show", address, "--json").stdout
            with self.subTest(command):
                self.assertIn("opted out", self.refused(
                    address, "--grant", "--end-consent"))
                self.assertEqual(self.filter.ctl("show", address,
                                                 "--json").stdout, before)

    def test_a_lost_redis_hides_no_opt_out(self):
        address = self.address()
        self.filter.grant(address)
        self.filter.withdraw(address)
        self.redis.call("FLUSHALL")
        self.assertIn("opted out", self.refused(address, "--grant"))

    def test_interrupted(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            address = self.address()
            options = self.options(address, mailbox=self.rig.path("none"))
            self.sink.clear()
            process = subprocess.Popen(
                [program("consentctl"), "-c", self.filter.config_path,
                 *options, "--grant"], stdout=subprocess.PIPE, text=True)
            # It waits for what will not come to the mailbox that it knows.
            self.sink.wait(1, 60)
            self.assertEqual(self.state(address), "granted")
            process.send_signal(number)
            out = process.communicate(timeout=60)[0]
            with self.subTest(number):
                self.assertEqual(process.returncode, 75, out)
                self.assertIn("interrupted", out)
                self.assertEqual(self.state(address), "withdrawn")

    def test_usage(self):
        good = self.options(self.address())
        for bad in (good + ["--wait", "0"], good + ["x"], good[:3],
                    good + ["--header", "A: b\r\nBcc: c"],
                    good + ["--message", "x"]):
            done = self.filter.ctl(*bad, "--grant", check=False)
            self.assertEqual(done.returncode, 64, bad)
        done = self.filter.ctl(*good, "--envelope-sender", "a@b.c> SIZE=1",
                               "--grant", check=False)
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertIn("--envelope-sender a@b.c> SIZE=1: ", done.stderr)
