# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The mailto: form of an unsubscribe link and complaint reports, through
consentctl and Postfix."""
import base64
import json
import os
import pwd
import re
import shutil
import subprocess
import time

from rig import (Filter, OpenDkim, Postfix, Redis, Sink, TestCase,
                 make_message, program, wait_for)

PLAIN = "From: me@example.org\nSubject: \n\nApple Mail sent this.\n"
VERIFIED = ("Authentication-Results: mx.example.com;\n"
            "\tdkim=pass (2048-bit key) header.d=provider.example "
            "header.s=a\n")


def complaint(original, top=VERIFIED, kind="abuse", third="message/rfc822"):
    """A report as a provider sends it, original being what comes back."""
    return (top + "Return-Path: <>\n"
            "Auto-Submitted: auto-generated\n"
            "From: Feedback Loop <fbl@provider.example>\n"
            "To: fbl@news.example.com\nSubject: FW: news\n"
            "MIME-Version: 1.0\nContent-Type: multipart/report;\n"
            "\treport-type=feedback-report; boundary=\"=_b\"\n\n"
            "--=_b\nContent-Type: text/plain\n\nThis is a report.\n\n"
            "--=_b\nContent-Type: message/feedback-report\n\n"
            f"Feedback-Type: {kind}\nUser-Agent: Provider/1\nVersion: 1\n\n"
            f"--=_b\nContent-Type: {third}\n\n{original}\n--=_b--\n")


class Mailto(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis)

    def check(self, address, list_id="weekly"):
        return self.filter.ctl("check", "--list", list_id, address,
                               check=False).stdout.strip()

    def address(self, person):
        """u+TOKEN@news.example.com"""
        out = self.filter.ctl("token", "--list", "weekly", "--mailto",
                              person).stdout
        return re.search(r"mailto:(\S+)", out).group(1)

    def receive(self, message, *args, code=0):
        done = self.filter.ctl("unsubscribe-mail", *args, input=message,
                               check=False)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def test_where_the_token_may_stand(self):
        for i, (args, header) in enumerate([
                (["{}"], ""), ([], "To: Unsubscribe <{}>\n"),
                ([], "Delivered-To: {}\nTo: x@example.org\n"),
                ([], "To: x@example.org,\n\t<{}>\n"),
                (["{}"], "Auto-Submitted: no\n")]):
            a = f"place{i}@example.org"
            self.filter.grant(a)
            to = self.address(a).upper() if i == 1 else self.address(a)
            self.receive(header.format(to) + PLAIN,
                         *[x.format(to) for x in args])
            self.assertEqual(self.check(a), "withdrawn", (args, header))
            time.sleep(0.002)

    def test_what_opts_nobody_out(self):
        a = "stays@example.org"
        self.filter.grant(a)
        to = self.address(a)
        for header in ("Auto-Submitted: auto-replied\n", "X-Autoreply: yes\n",
                       "Precedence: bulk\n", "Return-Path: <>\n",
                       "List-Id: <a.example.org>\n",
                       "Content-Type: multipart/report;\n"
                       "\treport-type=delivery-status; boundary=x\n"):
            self.receive(header + f"To: {to}\n" + PLAIN, to)
            self.assertEqual(self.check(a), "granted", header)
        forged = to[:10] + ("a" if to[10] != "a" else "b") + to[11:]
        for message, args in ((PLAIN, []), ("", []), (PLAIN, [forged]),
                              (f"Subject: {to}\n\n{to}\n", []),
                              ("\x00\xff" * 1000, ["u+@x", "+"]),
                              ("X" * 500000, [])):
            self.receive(message, *args)
            self.assertEqual(self.check(a), "granted")

    def test_redis_is_away(self):
        a = "patient@example.org"
        self.filter.grant(a)
        to = self.address(a)
        self.redis.stop()
        try:
            self.receive(PLAIN, to)
        finally:
            self.redis.start()
        wait_for(lambda: self.check(a) != "store-failure")
        self.filter.grant("next@example.org")
        self.assertEqual(self.check(a), "withdrawn")

    def test_not_recorded_means_later(self):
        a = "later@example.org"
        self.filter.grant(a)
        to = self.address(a)
        ledger = os.path.join(self.filter.audit_dir, "ledger")
        os.rename(ledger, ledger + ".away")
        with open(ledger, "wb"):
            pass
        try:
            self.receive(PLAIN, to, code=75)
        finally:
            os.unlink(ledger)
            os.rename(ledger + ".away", ledger)
        self.assertEqual(self.check(a), "granted")
        self.receive(PLAIN, to)
        self.assertEqual(self.check(a), "withdrawn")

    def links(self, person):
        """The field of a newsletter to this person."""
        url = self.filter.ctl("token", "--list", "weekly",
                              person).stdout.strip()
        return (f"List-Unsubscribe: <{url}>,\n <mailto:"
                f"{self.address(person)}>\nSubject: news\n\nNews.\n")

    def test_complaint(self):
        encoded = "message/rfc822\nContent-Transfer-Encoding: base64"
        for i, (change, third) in enumerate([
                (str, "message/rfc822"), (str, "text/rfc822-headers"),
                (lambda x: base64.encodebytes(x.encode()).decode(), encoded),
                (lambda x: x.replace("\n", "\r\n") + "x" * 3000000,
                 "message/rfc822")]):
            a = f"complains{i}@example.org"
            self.filter.grant(a)
            message = complaint(change(self.links(a)), third=third)
            self.receive(message, "fbl@news.example.com")
            self.assertEqual(self.check(a), "granted", "nobody is trusted")
            self.receive(message, "--authserv-id", "mx.example.com",
                         "fbl@news.example.com")
            self.assertEqual(self.check(a), "withdrawn", third)
            time.sleep(0.002)
        self.filter.ctl("verify")
        self.assertEqual(self.actors().count("complaint report"), 4)

    def actors(self):
        ledger = os.path.join(self.filter.audit_dir, "ledger")
        return [entry.get("actor") for name in sorted(os.listdir(ledger))
                if name.endswith(".jsonl")
                for entry in map(json.loads, open(
                    os.path.join(ledger, name), encoding="utf-8"))]

    def test_what_is_no_complaint(self):
        a = "content@example.org"
        self.filter.grant(a)
        good = self.links(a)
        to = self.address(a)
        forged = VERIFIED.replace("mx.", "mx2.")
        for message in (
                complaint(good, top=""), complaint(good, top=forged),
                complaint(good, top=VERIFIED.replace("pass", "fail")),
                complaint(good, top=VERIFIED.replace("provider", "other")),
                complaint(good, top=VERIFIED.replace("pass", "none")
                          + VERIFIED),
                complaint(good, kind="not-spam"),
                complaint(good, third="text/plain"),
                complaint(f"To: {a}\nSubject: no token\n\n" + good),
                complaint(good).replace('boundary="=_b"', "x=y"),
                complaint(good)[:600],
                complaint(complaint(good))):
            self.receive(message, "--authserv-id", "mx.example.com", to)
            self.assertEqual(self.check(a), "granted", message)

    def test_unreadable_means_later(self):
        directory = os.open("/", os.O_RDONLY)
        try:
            done = subprocess.run(
                [program("consentctl"), "-c", self.filter.config_path,
                 "unsubscribe-mail"], stdin=directory, check=False)
        finally:
            os.close(directory)
        self.assertEqual(done.returncode, 75)

    def test_complaint_not_recorded_means_later(self):
        a = "angry@example.org"
        self.filter.grant(a)
        message = complaint(self.links(a))
        args = ("--authserv-id", "MX.example.com")
        ledger = os.path.join(self.filter.audit_dir, "ledger")
        os.rename(ledger, ledger + ".away")
        with open(ledger, "wb"):
            pass
        try:
            self.receive(message, *args, code=75)
        finally:
            os.unlink(ledger)
            os.rename(ledger + ".away", ledger)
        self.assertEqual(self.check(a), "granted")
        self.receive(message, *args)
        self.assertEqual(self.check(a), "withdrawn")

    def test_verified_by_opendkim(self):
        """A provider's signature, and a mail server that checks it."""
        signer = OpenDkim(self.rig, domain="provider.example")
        with open(signer.key_text, encoding="ascii") as f:
            record = "".join(re.findall(r'"([^"]*)"', f.read()))
        keys = os.path.join(signer.dir, "keys")
        with open(keys, "w", encoding="ascii") as f:
            f.write(f"rig._domainkey.provider.example {record}\n")
        verifier = OpenDkim(self.rig, options={
            "Mode": "v", "InternalHosts": "192.0.2.1", "TestPublicKeys": keys,
            "AuthservID": "mx.example.com", "RemoveARFrom": "mx.example.com",
            "RemoveARAll": "yes", "Domain": None, "KeyFile": None,
            "Selector": None})
        sink = Sink(self.rig)
        postfix = Postfix(self.rig, sink, [signer, verifier])
        a = "signed@example.org"
        self.filter.grant(a)
        report = complaint(self.links(a))
        other = report.replace("provider.example", "other.example")
        for n, message, state in ((1, other, "granted"),
                                  (2, report, "withdrawn")):
            postfix.send("", "fbl@news.example.com",
                         message.replace("\n", "\r\n").encode())
            taken = sink.wait(n)[-1]
            self.receive(taken.raw.decode("ascii"), "--authserv-id",
                         "mx.example.com")
            self.assertEqual(self.check(a), state, taken.raw)
            self.assertNotIn("(2048-bit key) header.d=other", taken.head)

    def trust(self, authserv_id):
        self.filter.settings["unsubscribe"].pop("authserv_id", None)
        if authserv_id:
            self.filter.settings["unsubscribe"]["authserv_id"] = authserv_id
        self.filter.write_config()

    def test_through_postfix(self):
        """From the field in the newsletter to the opt-out, with the lines of
        consentctl(1)."""
        a, b = "writer@example.org", "presses-spam@example.org"
        self.filter.grant(a)
        self.filter.grant(b)
        self.trust("mx.example.com")
        self.addCleanup(self.trust, None)
        command = os.path.join(self.filter.dir, "consentctl")
        shutil.copy(program("consentctl"), command)
        nobody = pwd.getpwnam("nobody")
        for top, dirs, files in os.walk(self.filter.dir):
            for name in [".", *files]:
                path = os.path.join(top, name)
                if not os.path.islink(path):
                    os.chown(path, nobody.pw_uid, nobody.pw_gid)
        sink = Sink(self.rig)
        postfix = Postfix(
            self.rig, sink, [self.filter], main={
                "recipient_delimiter": "+",
                "transport_maps": "inline:{ {u@news.example.com = "
                                  "unsubscribe:}, {fbl@news.example.com = "
                                  "unsubscribe:} }"},
            master="unsubscribe unix - n n - 4 pipe\n"
                   f"  flags=Rq user=nobody argv={command} -c "
                   f"{self.filter.config_path} unsubscribe-mail "
                   "${original_recipient}\n")
        postfix.send("n@news.example.com", a, make_message(to=a))
        field = sink.wait(1)[0].one("List-Unsubscribe")
        to = re.search(r"<mailto:([^>]+)>", field).group(1)
        # A vacation reply, then the person.
        postfix.send("w@example.org", to,
                     b"Auto-Submitted: auto-replied\r\n" + make_message(to=to))
        postfix.wait_idle()
        self.assertEqual(self.check(a), "granted")
        postfix.send("w@example.org", to, make_message(to=to))
        postfix.wait_idle()
        wait_for(lambda: self.check(a) == "withdrawn", 10, "the opt-out")
        # A newsletter comes back from a feedback loop.
        postfix.send("n@news.example.com", b, make_message(to=b))
        returned = sink.wait(2)[1].raw.decode("ascii")
        for top, state in (("", "granted"), (VERIFIED, "withdrawn")):
            postfix.send("", "fbl@news.example.com", complaint(
                returned, top).replace("\r\n", "\n").replace(
                    "\n", "\r\n").encode())
            postfix.wait_idle()
            wait_for(lambda: self.check(b) == state, 10, state)
