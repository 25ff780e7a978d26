# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Signing up, confirming, and the pages on which people see their data."""
import copy
import csv
import email
import email.policy
import glob
import html
import io
import json
import os
import re
import signal
import time
import urllib.parse

from rig import (Browser, Filter, Postfix, Redis, RedisError, RespClient, Sink,
                 TestCase, WEEKLY, Web, in_threads, program, read_text, run,
                 wait_for, write_file)

FORM = "Content-Type: application/x-www-form-urlencoded"
KEY = "0123456789abcdefghij"


def lists():
    weekly = dict(copy.deepcopy(WEEKLY), double_opt_in=True)
    return [weekly,
            {"id": "plain", "name": "Plain <i>&</i> simple",
             "match": [{"sender": "*@plain.example.com"}]},
            {"id": "health", "name": "Health", "special_category": True,
             "basis": "explicit-consent", "double_opt_in": True,
             "match": [{"sender": "*@health.example.com"}]},
            {"id": "closed", "name": "Closed", "sign_up": False,
             "match": [{"sender": "*@closed.example.com"}]}]


class Site(TestCase):
    """consent-web with its pages, and a mail server behind the filter."""

    @classmethod
    def set_up_rig(cls):
        # consent-web has a user of its own in Redis.
        acl = read_text(os.path.join(
            os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf",
            "redis-acl.conf"))
        cls.redis = Redis(cls.rig, options=[
            line.replace("CHANGE-ME", "its-own") for line in acl.splitlines()
            if line.startswith("user consent-web ")])
        password = os.path.join(cls.rig.subdir("redis-web"), "password")
        write_file(password, "its-own\n", 0o600)
        cls.sink = Sink(cls.rig)
        cls.filter = Filter(
            cls.rig, cls.redis, start=False, lists=lists(),
            web={"url": "https://news.example.com/my/",
                 "embed": "https://www.example.com",
                 "api_keys": os.path.join(cls.rig.subdir("api"), "keys"),
                 "redis_username": "consent-web",
                 "redis_password_file": password},
            mail={"from": "news@news.example.com"},
            audit={"recipients": "masked"},
            controller={"dpo": "dpo@example.com",
                        "authority": "The authority"})
        write_file(cls.filter.settings["web"]["api_keys"],
                   f"# a comment\nshop {KEY}\n")
        os.chmod(cls.filter.settings["web"]["api_keys"], 0o600)
        cls.filter.start()
        cls.rig.on_close(cls.filter.kill9)
        # The mails pass the filter, as they would: their sender is null.
        cls.postfix = Postfix(cls.rig, cls.sink, [cls.filter])
        cls.filter.settings["mail"]["server"] = \
            "%s:%d" % cls.postfix.smtp
        for tag, text in (("en", "You agree to <b>weekly</b> mail."),
                          ("de", "Sie stimmen wöchentlicher Post zu.")):
            path = os.path.join(cls.filter.dir, "notice." + tag)
            write_file(path, text + "\n")
            cls.filter.ctl("notice", "add", path, "--id", "weekly",
                           "--version", "1.0", "--language", tag)
        cls.web = Web(cls.rig, cls.filter)

    def setUp(self):
        super().setUp()
        # Each test comes from somewhere else, for there are limits.
        Site.client = getattr(Site, "client", 0) + 1

    # -- tools

    def headers(self, language="en"):
        return [f"X-Forwarded-For: 203.0.113.9, 198.51.100.{Site.client}",
                f"Accept-Language: {language}"]

    def get(self, path, language="en"):
        return self.web.request("GET", path, None, self.headers(language))

    def post(self, path, language="en", **fields):
        return self.web.request(
            "POST", path, urllib.parse.urlencode(fields).encode(),
            [FORM, *self.headers(language)])

    def text(self, answer):
        return html.unescape(re.sub(r"<[^>]*>", " ", answer.body.decode()
                                    .partition("</style>")[2]))

    def hidden(self, answer, name):
        return re.search(f'name="{name}" value="([^"]*)"',
                         answer.body.decode()).group(1)

    def check(self, address, list_id="weekly"):
        return self.filter.ctl("check", "--list", list_id, address,
                               check=False).stdout.strip()

    def wait_state(self, address, state, list_id="weekly"):
        wait_for(lambda: self.check(address, list_id) == state, 10,
                 f"{address}: {state}")

    def mail_for(self, address, n=1):
        found = wait_for(lambda: [m for m in self.sink.messages
                                  if address in m.recipients][n - 1:], 15,
                         f"mail {n} for {address}")
        return found[0]

    def parsed(self, message):
        return email.message_from_bytes(message.raw,
                                        policy=email.policy.default)

    def link_in(self, message):
        body = self.parsed(message).get_content()
        return re.search(r"https://news\.example\.com(/my/(?:confirm|data)/"
                         r"[\w-]+)", body).group(1)

    def ledger(self, kind="event"):
        return [e for path in sorted(glob.glob(os.path.join(
            self.filter.audit_dir, "ledger", "*.jsonl")))
            for e in map(json.loads, read_text(path).splitlines())
            if e["type"] == kind]

    def sign_up(self, address, list_id="weekly", language="en", **more):
        return self.post(f"/my/subscribe/{list_id}", language,
                         action="subscribe", address=address, **more)

    def open_data(self, address):
        """The page of what is held, and the key of its session."""
        self.assertEqual(self.post("/my/data", address=address).status, 200)
        link = self.link_in(self.mail_for(address, self.mails(address)))
        answer = self.post(link, action="open")
        self.assertEqual(answer.status, 200)
        return answer, self.hidden(answer, "key")

    def mails(self, address):
        """How many are there once one more has come."""
        Site.seen = getattr(Site, "seen", {})
        Site.seen[address] = Site.seen.get(address, 0) + 1
        return Site.seen[address]


class Pages(Site):
    # -- signing up

    def test_double_opt_in(self):
        a = "doi@example.org"
        page = self.get("/my/subscribe/weekly", "de")
        self.assertEqual(page.status, 200)
        self.assertIn("Sie stimmen wöchentlicher Post zu.", self.text(page))
        self.assertIn("Weekly news", self.text(page))
        self.assertIn("Example AB", self.text(page))
        self.assertIn("frame-ancestors https://www.example.com",
                      page.headers["content-security-policy"][0])
        digest = self.hidden(page, "notice")
        answer = self.sign_up(f" {a} ", language="de", notice=digest)
        self.assertEqual(answer.status, 200)
        self.wait_state(a, "pending")
        message = self.mail_for(a)
        self.assertEqual(message.sender, "")
        mail = self.parsed(message)
        self.assertEqual(mail["Auto-Submitted"], "auto-generated")
        self.assertEqual(mail["Content-Language"], "de")
        self.assertIn("Bitte bestätigen", mail["Subject"])
        self.assertIn(a, mail["To"])
        for name in ("List-Unsubscribe", "Precedence", "List-Id"):
            self.assertIsNone(mail[name])
        for line in message.raw.split(b"\n"):
            self.assertLessEqual(len(line.rstrip(b"\r")), 998)
        body = mail.get_content()
        for text in ("Weekly news", "Example AB", "dpo@example.com",
                     "Sie stimmen wöchentlicher Post zu."):
            self.assertIn(text, body)
        link = self.link_in(message)
        # Scanners open links.
        for method in ("GET", "HEAD", "OPTIONS", "PUT"):
            self.web.request(method, link, None, self.headers())
        self.assertEqual(self.check(a), "pending")
        answer = self.post(link, action="confirm")
        self.assertEqual(answer.status, 200)
        self.wait_state(a, "granted")
        # Again: the same answer, and no harm.
        self.assertEqual(self.post(link, action="confirm").status, 200)
        shown = json.loads(self.filter.ctl("show", "--json", a).stdout)
        evidence = json.dumps(shown)
        self.assertIn("weekly 1.0", evidence)
        self.assertIn(digest, evidence)
        self.assertIn("web-form", evidence)
        self.assertIn("198.51.100.0", evidence)
        self.assertNotIn(f"198.51.100.{Site.client}\"", evidence)

    def test_stranger_changes_nothing(self):
        """Whoever types somebody else's address neither ends a consent nor
        lifts an opt-out."""
        a, b, c = "kept@example.org", "out@example.org", "never@example.org"
        self.filter.grant(a)
        self.filter.confirm(a)
        self.filter.grant(b, list_id="plain")
        self.filter.ctl("object", b)
        for address, list_id in ((a, "weekly"), (b, "plain"), (c, "plain")):
            self.assertEqual(self.sign_up(address, list_id).status, 200)
        self.wait_state(c, "granted", "plain")
        self.assertEqual(self.check(a), "granted")
        self.assertEqual(self.check(b, "plain"), "objected")
        # Who reads the mail is who may.
        time.sleep(0.01)
        answer = self.post(self.link_in(self.mail_for(b)), action="confirm")
        self.assertEqual(answer.status, 200)
        self.wait_state(b, "granted", "plain")

    def test_opt_outs_are_not_told(self):
        """Where no confirmation is asked for, the answer does not tell who has
        opted out before, nor does how often one may ask."""
        out, new = "told-out@example.org", "told-new@example.org"
        self.filter.ctl("object", out)
        answers = {a: [self.sign_up(a, "plain") for _ in range(4)]
                   for a in (out, new)}
        for x, y in zip(answers[out], answers[new]):
            self.assertEqual((x.status, x.body), (y.status, y.body))
        self.assertEqual([x.status for x in answers[new]],
                         [200, 200, 200, 429])
        self.mail_for(out, 3)
        self.wait_state(new, "granted", "plain")
        self.assertEqual(self.check(out, "plain"), "objected")

    def test_emptied_redis(self):
        """A Redis that forgot an opt-out lets no stranger lift it."""
        a = "emptied@example.org"
        self.filter.grant(a, list_id="plain")
        subject = self.ledger()[-1]["subject"]
        self.assertEqual(self.web.click(self.web.link(a, "plain")).status,
                         200)
        self.wait_state(a, "withdrawn", "plain")
        self.redis.call("FLUSHALL")
        self.assertEqual(self.sign_up(a, "plain").status, 200)
        self.mail_for(a)
        self.assertEqual([e["event"] for e in self.ledger()
                          if e["subject"] == subject],
                         ["grant", "withdraw"])
        self.wait_state(a, "withdrawn", "plain")

    def test_opt_out_overtakes_the_link(self):
        a = "overtaken@example.org"
        self.sign_up(a)
        link = self.link_in(self.mail_for(a))
        self.assertEqual(self.web.click(self.web.link(a)).status, 200)
        self.wait_state(a, "withdrawn")
        self.assertEqual(self.post(link, action="confirm").status, 410)
        self.assertEqual(self.check(a), "withdrawn")

    def test_explicit(self):
        a = "explicit@example.org"
        self.assertEqual(self.sign_up(a, "health").status, 400)
        self.assertEqual(self.sign_up(a, "health", agree="yes").status, 200)
        self.post(self.link_in(self.mail_for(a)), action="confirm")
        self.wait_state(a, "granted", "health")

    def test_mistakes(self):
        before = len(self.sink.messages)
        for address in ("", "x", "a@", "@example.org", "a b@example.org",
                        "a@example.org\r\nBcc: b@example.org",
                        "<a@b@c>", "a@example.org>", "x" * 2000,
                        "a@example.org\0"):
            self.assertEqual(self.sign_up(address).status, 400, address)
        self.assertEqual(self.get("/my/subscribe/closed").status, 404)
        self.assertEqual(self.get("/my/subscribe/nolist").status, 404)
        self.assertEqual(self.sign_up("a@example.org", "closed").status, 404)
        self.assertEqual(self.get("/my/confirm/x").status, 404)
        self.assertEqual(self.get("/my/").status, 404)
        page = self.get("/my/subscribe/plain").body
        self.assertIn(b"Plain &lt;i&gt;&amp;&lt;/i&gt; simple", page)
        self.assertEqual(len(self.sink.messages), before)

    def test_limits(self):
        a = "bombed@example.org"
        self.assertEqual([self.sign_up(a).status for _ in range(5)],
                         [200, 200, 200, 429, 429])
        # And one client, whoever it asks for.
        answers = [self.sign_up(f"many{i}@example.org").status
                   for i in range(25)]
        self.assertEqual(answers[:15], [200] * 15)
        self.assertEqual(answers[-5:], [429] * 5)
        # A key that is none is no way around.
        answer = self.web.request(
            "POST", "/my/subscribe/weekly",
            b"action=subscribe&address=around@example.org",
            [FORM, "Authorization: Bearer x", *self.headers()])
        self.assertEqual(answer.status, 429)
        # Opting out has none.
        self.filter.grant(a)
        self.assertEqual(self.web.click(self.web.link(a)).status, 200)

    def test_clients(self):
        """All addresses of an IPv6 network are one client, and nobody is who
        they say they are: what the proxy says comes last."""
        def ask(name, *forwarded):
            return self.web.request(
                "POST", "/my/data", f"address={name}@example.org".encode(),
                [FORM, *[f"X-Forwarded-For: {at}" for at in forwarded]]
            ).status
        n = Site.client
        statuses = [ask(f"six{i}", f"2001:db8:0:{n}::{i:x}")
                    for i in range(25)]
        self.assertEqual(statuses, [200] * 20 + [429] * 5)
        self.assertEqual(ask("six", f"2001:db8:1:{n}::1"), 200)
        statuses = [ask(f"said{i}", f"192.0.2.{i}", f"198.51.100.{n}")
                    for i in range(25)]
        self.assertEqual(statuses, [200] * 20 + [429] * 5)

    def test_own_redis_user(self):
        """All tests here run with it; it can do no more."""
        a = "acl@example.org"
        self.filter.grant(a, list_id="plain")
        self.web.click(self.web.link(a, "plain"))
        self.wait_state(a, "withdrawn", "plain")
        names = re.findall(r"\buser=([\w-]+)",
                           self.redis.call("CLIENT", "LIST").decode())
        self.assertIn("consent-web", names)
        client = RespClient(self.redis.socket)
        self.addCleanup(client.close)
        client.call("AUTH", "consent-web", "its-own")
        for words in (("KEYS", "*"), ("SCAN", "0"), ("GET", "c:x"),
                      ("SET", "c:x", "1"), ("DEL", "c:x"), ("FLUSHALL",),
                      ("EVAL", "return 1", "0"), ("CONFIG", "GET", "*"),
                      ("ACL", "LIST"), ("HGETALL", "other"),
                      ("SUBSCRIBE", "x"), ("MONITOR",), ("SHUTDOWN",)):
            with self.assertRaisesRegex(RedisError, "NOPERM"):
                client.call(*words)

    def test_mail_server_away(self):
        a = "later@example.org"
        self.postfix.stop()
        try:
            self.assertEqual(self.sign_up(a).status, 503)
            self.assertEqual(self.check(a), "no-consent")
        finally:
            self.postfix.start()
        self.assertEqual(self.sign_up(a).status, 200)
        self.mail_for(a)

    def test_redis_away(self):
        a = "noredis@example.org"
        self.filter.grant(a, list_id="plain")
        link = self.web.link(a, "plain")
        self.redis.stop()
        try:
            self.assertEqual(self.sign_up(a).status, 503)
            self.assertEqual(self.web.click(link).status, 200)
        finally:
            self.redis.start()
        self.filter.wait_store()
        self.wait_state(a, "withdrawn", "plain")

    # -- programs

    def program(self, body, key=KEY, kind="application/json"):
        answer = self.web.request(
            "POST", "/my/api/subscribe", json.dumps(body).encode()
            if not isinstance(body, bytes) else body,
            [f"Content-Type: {kind}", f"Authorization: Bearer {key}",
             *self.headers()])
        return answer.status, json.loads(answer.body)

    def test_program(self):
        a = "api@example.org"
        wish = {"address": a, "list": "weekly", "source": "shop",
                "notice": "weekly 1.0", "language": "de",
                "ip": "192.0.2.77"}
        self.assertEqual(self.program(wish), (202, {"state": "pending"}))
        mail = self.parsed(self.mail_for(a))
        self.assertIn("Bitte bestätigen", mail["Subject"])
        shown = self.filter.ctl("show", "--json", a).stdout
        for text in ("shop", "weekly 1.0", "192.0.2.0"):
            self.assertIn(text, shown)
        self.assertEqual(self.ledger()[-1]["actor"], "api shop")
        self.post(self.link_in(self.mail_for(a)), action="confirm")
        self.wait_state(a, "granted")
        # It asks for many people.
        for i in range(25):
            self.assertEqual(self.program(
                {"address": f"api{i}@example.org", "list": "plain"}),
                (200, {"state": "granted"}))

    def test_program_refused(self):
        wish = {"address": "x@example.org", "list": "plain"}
        for key in ("", "x", KEY[:-1], KEY + "x", "shop", "# a comment"):
            self.assertEqual(self.program(wish, key)[0], 401, key)
        for body, status in (
                (b"", 400), (b"[]", 400), (b"{", 400), (b"\xff", 400),
                ({}, 400), ({"address": "x@example.org"}, 400),
                ({"address": 1, "list": "plain"}, 400),
                (dict(wish, list="nolist"), 404),
                (dict(wish, list="closed"), 404),
                (dict(wish, address="x"), 400),
                (dict(wish, method="pre-ticked"), 400),
                (dict(wish, basis="legitimate-interest"), 400),
                (dict(wish, ip="hop"), 400), (dict(wish, what="x"), 400)):
            self.assertEqual(self.program(body)[0], status, body)
        self.assertEqual(self.program(wish, kind="text/plain")[0], 415)
        self.assertEqual(self.check("x@example.org", "plain"), "no-consent")

    # -- what is held

    def test_data(self):
        a = "data@example.org"
        self.filter.grant(a, source="fair", method="paper",
                          notice="weekly 1.0", language="en")
        self.filter.confirm(a)
        answer, key = self.open_data(a)
        text = self.text(answer)
        for word in ("Weekly news", "subscribed", "fair", "paper",
                     "consent", "You agree to <b>weekly</b> mail.",
                     "Example AB", "dpo@example.com", "The authority",
                     "12 months", "36 months", "confirmed: 90 days",
                     "Profiling"):
            self.assertIn(word, text)
        self.assertNotIn(b"<b>weekly", answer.body)
        self.assertNotIn("Closed", text)

        def press(action, **more):
            done = self.post("/my/data/session", key=key, action=action,
                             **more)
            self.assertEqual(done.status, 200, action)
            return done
        self.assertIn("unsubscribed", self.text(
            press("list-off", list="weekly")))
        self.wait_state(a, "withdrawn")
        self.assertIn("subscribed", self.text(press(
            "list-on", list="weekly", notice=self.hidden(
                press("show"), "notice"))))
        self.wait_state(a, "granted")
        press("list-on", list="plain")
        self.wait_state(a, "granted", "plain")
        self.assertIn("objected to profiling", self.text(
            press("profiling-off")))
        wait_for(lambda: self.filter.ctl(
            "check", "--profiling", a, check=False).returncode == 1)
        press("profiling-on")
        press("object")
        self.wait_state(a, "objected")
        self.wait_state(a, "objected", "plain")
        # A key that is not one, and a change that is none.
        self.assertEqual(self.post("/my/data/session", key="0" * 32,
                                   action="object").status, 410)
        press("nothing")
        press("list-off", list="nolist")
        # A button that the page does not have.
        press("list-on", list="closed")
        self.assertEqual(self.ledger()[-1]["event"], "object")
        self.filter.ctl("verify")

    def test_link_opens_once(self):
        a = "once@example.org"
        self.filter.grant(a)
        self.post("/my/data", address=a)
        link = self.link_in(self.mail_for(a))
        for _ in range(3):
            page = self.get(link)
            self.assertEqual(page.status, 200)
            self.assertNotIn(b"key", page.body.partition(b"</style>")[2])
        self.assertEqual(self.post(link, action="open").status, 200)
        self.assertEqual(self.post(link, action="open").status, 410)
        self.web.stop()
        self.web.start()
        self.assertEqual(self.post(link, action="open").status, 410)
        # In parallel it opens once as well.
        self.post("/my/data", address=a)
        link = self.link_in(self.mail_for(a, 2))
        done = in_threads(8, lambda i: self.post(link, action="open").status)
        self.assertEqual(sorted(done), [200] + [410] * 7)

    def test_newsletter_opens_nothing(self):
        a = "forwarded@example.org"
        self.filter.grant(a)
        token = self.web.link(a).rsplit("/", 1)[1]
        for path in (f"/my/data/{token}", f"/my/confirm/{token}"):
            self.assertEqual(self.get(path).status, 404)
            self.assertEqual(self.post(path, action="open").status, 404)
        # nor the link that confirms, and the other way round
        self.sign_up("fw2@example.org")
        confirm = self.link_in(self.mail_for("fw2@example.org"))
        self.assertEqual(self.post(confirm.replace("confirm", "data"),
                                   action="open").status, 404)
        self.post("/my/data", address=a)
        data = self.link_in(self.mail_for(a))
        self.assertEqual(self.post(data.replace("/data/", "/confirm/"),
                                   action="confirm").status, 404)
        self.assertEqual(self.web.click("/u/" + data.rsplit("/", 1)[1])
                         .status, 404)
        page = self.get(self.web.link(a))
        self.assertNotIn("example.org", self.text(page))

    def test_unknown_looks_the_same(self):
        a = "known@example.org"
        self.filter.grant(a)
        answers = [self.post("/my/data", address=x)
                   for x in (a, "unknown@example.org")]
        self.assertEqual(answers[0].body, answers[1].body)
        self.assertEqual(answers[0].status, answers[1].status)
        self.mail_for(a)
        time.sleep(1)
        self.assertEqual([m for m in self.sink.messages if
                          "unknown@example.org" in m.recipients], [])

    def test_download(self):
        a = "download@example.org"
        self.filter.grant(a, source="=cmd()")
        with self.filter.client() as client:
            client.connect()
            client.helo()
            client.mail("<n@news.example.com>")
            client.rcpt(f"<{a}>")
        _, key = self.open_data(a)
        answer = self.post("/my/data/session", key=key, action="json")
        self.assertEqual(answer.headers["content-type"],
                         ["application/json"])
        self.assertIn("attachment", answer.headers["content-disposition"][0])
        document = json.loads(answer.body)
        self.assertTrue(document["complete"])
        self.assertEqual([e["event"] for e in document["events"]], ["grant"])
        self.assertEqual(len(document["decisions"]), 1)
        self.assertEqual([x["what"] for x in document["accesses"]],
                         ["opened", "downloaded as JSON"])
        answer = self.post("/my/data/session", key=key, action="csv")
        self.assertEqual([self.post("/my/data/session", key=key,
                                    action="csv").status
                          for _ in range(3)], [200, 200, 429])
        rows = list(csv.reader(io.StringIO(answer.body.decode())))
        self.assertEqual({len(row) for row in rows}, {len(rows[0])})
        self.assertIn("'=cmd()", [cell for row in rows for cell in row])

    def test_erase(self):
        a = "erase@example.org"
        self.filter.grant(a)
        subject = self.ledger()[-1]["subject"]
        link = self.web.link(a)
        _, key = self.open_data(a)
        asked = self.post("/my/data/session", key=key, action="erase")
        self.assertIn("can't be undone", self.text(asked))
        self.assertEqual(self.check(a), "pending")
        done = self.post("/my/data/session", key=key, action="erase-confirm")
        self.assertEqual(done.status, 200)
        self.assertIsNotNone(re.search(r"<strong>[a-z2-7]{16}</strong>",
                                       done.body.decode()))
        self.wait_state(a, "erased")
        # All that is left is the erasure itself, which keeps them out.
        wait_for(lambda: [e["event"] for e in self.ledger() if
                          e.get("subject") == subject] == ["erase"] and not
                 any(e.get("subject") == subject
                     for e in self.ledger("access")), 20, "the rest blanked")
        marker = os.path.join(self.filter.audit_dir, "ledger", ".erasing")
        wait_for(lambda: not os.path.exists(marker), 20, "all is done")
        self.filter.ctl("verify")
        # The session is over, and the old link works.
        self.assertEqual(self.post("/my/data/session", key=key,
                                   action="show").status, 410)
        self.assertEqual(self.web.click(link).status, 200)

    def test_erase_and_kill(self):
        for i in range(4):
            a = f"killed{i}@example.org"
            self.filter.grant(a)
            subject = self.ledger()[-1]["subject"]
            _, key = self.open_data(a)
            done = self.post("/my/data/session", key=key,
                             action="erase-confirm")
            self.assertEqual(done.status, 200)
            time.sleep(0.01 * i)
            self.web.kill9()
            self.web.start()
            wait_for(lambda: [e["event"] for e in self.ledger() if
                              e.get("subject") == subject] == ["erase"], 20,
                     "blanked after the next start")
        self.filter.ctl("verify")

    def test_names_nobody(self):
        a = "secret-name@example.org"
        self.sign_up(a)
        link = self.link_in(self.mail_for(a))
        self.post(link, action="confirm")
        self.post("/my/data", address=a)
        self.mail_for(a, 2)
        log = self.web.log()
        self.assertNotIn("secret-name", log)
        self.assertNotIn(link.rsplit("/", 1)[1], log)
        for path in glob.glob(os.path.join(self.filter.audit_dir, "**"),
                              recursive=True):
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    self.assertNotIn(b"secret-name", f.read())

    def test_way_back(self):
        a = "wayback@example.org"
        self.filter.grant(a)
        done = self.web.click(self.web.link(a))
        self.assertIn(b'href="/my/subscribe/weekly"', done.body)
        self.assertIn(b'href="/my/data"', done.body)

    def test_every_page(self):
        """Headers, languages, and nothing from elsewhere."""
        for path in ("/my/subscribe/weekly", "/my/data"):
            for tag in ("en", "de", "fr", "es", "it", "sv"):
                page = self.get(path, tag)
                self.assertEqual(page.headers["content-language"], [tag])
                self.assertIn(f'<html lang="{tag}">'.encode(), page.body)
                self.assertNotIn("set-cookie", page.headers)
                self.assertEqual(page.headers["cache-control"], ["no-store"])
                self.assertIsNone(re.search(rb"<script|src=|url\(|@import",
                                            page.body))

    def test_in_a_browser(self):
        """Without script: from the sign-up to the data, on a phone."""
        a = "browser@example.org"
        base = "http://%s:%d" % self.web.address
        browser = Browser(self.rig, "sv", width=390)
        browser.open(base + "/my/subscribe/weekly")
        self.assertEqual(browser.evaluate("document.documentElement."
                                          "scrollWidth <= 390"), True)
        browser.evaluate("document.getElementById('address').value = "
                         f"'{a}'")
        browser.click("button")
        wait_for(lambda: "En länk är på väg" in browser.text(), 10)
        browser.open(base + self.link_in(self.mail_for(a)))
        browser.click("button")
        wait_for(lambda: "Du prenumererar" in browser.text(), 10)
        self.wait_state(a, "granted")
        self.post("/my/data", address=a)
        browser.open(base + self.link_in(self.mail_for(a, 2)))
        browser.click("button")
        wait_for(lambda: "Nyhetsbrev" in browser.text(), 10)
        self.assertEqual(browser.evaluate("document.documentElement."
                                          "scrollWidth <= 390"), True)


# What of WCAG 2.2 AA a program can see of a page: labels (3.3.2), language
# (3.1.1), title, headings, contrast of text (1.4.3) and of edges (1.4.11),
# targets (2.5.8).  Returns what is wrong.
LOOK = """(() => {
const wrong = [];
const numbers = c => c.match(/[\\d.]+/g).map(Number);
const light = c => { const [r, g, b] = numbers(c).map(v => { v /= 255;
    return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
    return .2126 * r + .7152 * g + .0722 * b; };
const contrast = (a, b) => { const x = light(a), y = light(b);
    return (Math.max(x, y) + .05) / (Math.min(x, y) + .05); };
const paper = e => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (numbers(c)[3] !== 0) return c; } return "rgb(255, 255, 255)"; };
const say = (e, what) => wrong.push(what + ": " +
    e.outerHTML.slice(0, 100));
for (const e of document.querySelectorAll("main, main *")) {
    const style = getComputedStyle(e);
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) ||
        !e.getClientRects().length) continue;
    if (contrast(style.color, paper(e)) < 4.5) say(e, "contrast");
}
for (const e of document.querySelectorAll(
        "a, button, summary, input:not([type=hidden])")) {
    const box = e.getBoundingClientRect(), style = getComputedStyle(e);
    if (box.width < 24 || box.height < 24) say(e, "target");
    if (e.matches("button, input[type=email]") &&
        contrast(style.borderTopColor, paper(e.parentElement)) < 3)
        say(e, "edge");
    if (e.matches("input") && !e.labels.length) say(e, "label");
}
if (!document.documentElement.lang) wrong.push("no language");
if (!document.title) wrong.push("no title");
const levels = [...document.querySelectorAll("h1, h2, h3")].map(
    e => Number(e.tagName[1]));
if (levels.filter(n => n === 1).length !== 1) wrong.push("not one h1");
levels.forEach((n, i) => { if (i && n > levels[i - 1] + 1)
    wrong.push("a level of headings is left out"); });
if (document.documentElement.scrollWidth > innerWidth)
    wrong.push("wider than the window");
const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
if (new Set(ids).size !== ids.length) wrong.push("an id twice");
return wrong; })()"""


class Accessible(Site):
    """Every page in every language, as those see it who can't see all."""

    def look(self, browser, what):
        for width, is_dark in ((320, True), (1000, False)):
            browser.resize(width)
            browser.dark(is_dark)
            self.assertEqual(browser.evaluate(LOOK), [], (what, width))
        buttons = browser.names("button") + browser.names("link")
        self.assertEqual(len(set(buttons)), len(buttons), (what, buttons))
        self.assertNotIn("", buttons)

    def look_at_focus(self, browser, what):
        """Each stop of the Tab key can be seen."""
        for _ in range(4):
            browser.press("Tab")
            self.assertEqual(browser.evaluate(
                "(s => s.outlineStyle + parseFloat(s.outlineWidth))("
                "getComputedStyle(document.activeElement))"), "solid3", what)

    def click(self, browser, selector):
        before = browser.text()
        browser.click(selector)
        wait_for(lambda: browser.evaluate("document.readyState") ==
                 "complete" and browser.text() not in ("", before), 15,
                 f"the page behind {selector}")

    def test_pages(self):
        base = "http://%s:%d" % self.web.address
        browser = Browser(self.rig)
        for tag in ("en", "de", "fr", "es", "it", "sv"):
            a = f"seen-{tag}@example.org"
            for list_id, basis in (("weekly", "consent"),
                                   ("plain", "consent"),
                                   ("health", "explicit-consent")):
                self.filter.grant(a, list_id=list_id, notice="weekly 1.0",
                                  language="en", basis=basis)
            browser.speak(tag)
            if tag in ("en", "de"):
                for path in ("subscribe/weekly", "subscribe/health", "data",
                             "confirm/x"):
                    browser.open(f"{base}/my/{path}")
                    self.look(browser, (tag, path))
                browser.open(base + self.web.link(a))
                self.look(browser, (tag, "link"))
                self.click(browser, "button")
                self.look(browser, (tag, "unsubscribed"))
            self.assertEqual(self.post("/my/data", address=a).status, 200)
            browser.open(base + self.link_in(self.mail_for(a)))
            self.click(browser, "button")
            self.look(browser, (tag, "data"))
            self.assertEqual(browser.evaluate(
                "document.documentElement.lang"), tag)
            heard = browser.names("button")
            for name in ("Weekly news", "Plain <i>&</i> simple", "Health"):
                self.assertEqual(len([x for x in heard if name in x]), 1,
                                 heard)
            if tag == "sv":
                browser.resize(390, 2600)
                self.look_at_focus(browser, tag)
            self.click(browser, "button[value=erase]")
            self.look(browser, (tag, "erase"))

    def test_mistakes(self):
        """What is wrong is told, and belongs to its field (3.3.1)."""
        page = self.sign_up("x@").body.decode()
        self.assertRegex(page, r'role="alert" id="mistake"')
        self.assertRegex(page, r'value="x@" aria-invalid="true" '
                         r'aria-describedby="mistake"')
        page = self.sign_up("x@example.org", "health").body.decode()
        self.assertRegex(page, r'name="agree" value="yes" required '
                         r'aria-invalid="true" aria-describedby="mistake"')
        self.assertNotRegex(page, r'type="email"[^>]*aria-invalid')
        page = self.post("/my/data", address="x@").body.decode()
        self.assertRegex(page, r'aria-describedby="mistake"')


class OwnTexts(Site):
    """Lists that say some things in words of their own."""

    def texts(self, list_id, **files):
        path = os.path.join(self.filter.dir, "texts", list_id)
        os.makedirs(path, exist_ok=True)
        for tag, text in files.items():
            write_file(os.path.join(path, tag + ".lang"), text)
        return path

    def configure(self, **texts):
        entries = [dict(entry, texts=texts[entry["id"]])
                   if entry["id"] in texts else entry for entry in lists()]
        self.filter.settings["lists"] = entries
        self.filter.write_config()

    def reload(self, word="configuration reloaded"):
        size = len(self.web.log())
        self.web.service.signal(signal.SIGUSR1)
        wait_for(lambda: word in self.web.log()[size:], text=word)
        return self.web.log()[size:]

    def test_pages_of_a_list(self):
        self.configure(
            plain=self.texts(
                "plain",
                en="ask_title = Leave {list}? <script>alert(1)</script>\n"
                   "done_text = Farewell, says {controller} & \"all\" {{}\n"
                   "subscribe_text = Join us.\n",
                de="done_text = Auf Wiedersehen, {list}.\n"))
        self.reload()
        link = self.web.link("own@example.org", "plain")
        page = self.get(link).body.decode()
        self.assertEqual(page.count(
            "Leave Plain &lt;i&gt;&amp;&lt;/i&gt; simple? "
            "&lt;script&gt;alert(1)&lt;/script&gt;"), 2)
        self.assertNotIn("<script", page)
        self.assertNotIn("<i>", page)
        # What the law wants said is there all the same.
        self.assertIn(">Unsubscribe</button>", page)
        self.assertIn("Example AB", page)
        # German has no title of its own, nor has Swedish anything.
        self.assertIn("<h1>Abmelden", self.get(link, "de").body.decode())
        self.assertIn("<html lang=\"sv\"", self.get(link, "sv").body.decode())
        self.assertNotIn("Leave Plain", self.get(link, "sv").body.decode())
        for language, text in (
                ("en", "Farewell, says Example AB &amp; &quot;all&quot; {}"),
                ("de", "Auf Wiedersehen, Plain &lt;i&gt;&amp;&lt;/i&gt;")):
            done = self.post(link, language, action="confirm-unsubscribe")
            self.assertEqual(done.status, 200)
            self.assertIn(text, done.body.decode())
        # Out of everything is no matter of one list.
        done = self.post(link, action="stop-everything")
        self.assertNotIn("Farewell", done.body.decode())
        self.assertIn("Join us.", self.text(self.get("/my/subscribe/plain")))
        self.assertNotIn("Join us.",
                         self.text(self.get("/my/subscribe/weekly")))

    def test_mail_of_a_list(self):
        self.configure(weekly=self.texts(
            "weekly",
            en="mail_confirm_subject = One click to {list}\n",
            de="mail_confirm_subject = Nur noch ein Klick für {list}\n"
               "mail_confirm_text = Sie möchten {list} von {controller}?\n"
               "confirm_title = Fast fertig mit <b>{list}</b>\n"))
        self.reload()
        for language, subject in (("en", "One click to Weekly news"),
                                  ("de", "Nur noch ein Klick für "
                                         "Weekly news")):
            a = f"own-mail-{language}@example.org"
            self.assertEqual(self.sign_up(a, language=language).status, 200)
            message = self.mail_for(a)
            mail = self.parsed(message)
            self.assertEqual(mail["Subject"], subject)
            self.assertEqual(mail["Content-Language"], language)
            self.assertIn("dpo@example.com", mail.get_content())
        self.assertIn("Sie möchten Weekly news von Example AB?",
                      mail.get_content())
        page = self.get(self.link_in(message), "de").body.decode()
        self.assertIn("<h1>Fast fertig mit &lt;b&gt;Weekly news&lt;/b&gt;",
                      page)
        # A program that signs people up gets the same mail.
        a = "own-mail-api@example.org"
        answer = self.web.request(
            "POST", "/my/api/subscribe", json.dumps(
                {"address": a, "list": "weekly", "language": "de",
                 "notice": "weekly 1.0"}).encode(),
            ["Content-Type: application/json",
             f"Authorization: Bearer {KEY}", *self.headers()])
        self.assertEqual(answer.status, 202, answer.body)
        self.assertEqual(self.parsed(self.mail_for(a))["Subject"],
                         "Nur noch ein Klick für Weekly news")

    def test_mistakes(self):
        """They are told with file and line, and nothing changes."""
        path = self.texts("closed", en="done_title = Gone from {list}\n")
        self.configure(closed=path)
        self.reload()
        link = self.web.link("own-bad@example.org", "closed")
        for files, mistake in (
                ({"en": "# x\nask_button = Stay\n"},
                 'en.lang: line 2: "ask_button" is the same for all lists'),
                ({"en": "done_titel = x\n"},
                 'en.lang: line 1: there is no key "done_titel", did you '
                 'mean "done_title"?'),
                ({"en": "done_title = {reason}\n"},
                 "en.lang: line 1: {reason} stands for nothing here"),
                ({"en": "", "nl": "done_title = Weg\n"},
                 "nl.lang: web.languages has no such language")):
            self.texts("closed", **files)
            self.assertIn(mistake, self.reload("reload refused"))
            done = run([program("consent-web"), "-t", "-c",
                        self.filter.config_path], check=False)
            self.assertEqual(done.returncode, 78)
            self.assertIn(mistake, done.stderr)
        self.assertIn("Gone from Closed", self.text(self.post(
            link, action="confirm-unsubscribe")))
        self.configure(closed="/nonexistent/texts")
        self.assertIn("/nonexistent/texts", self.reload("reload refused"))


class NoPages(TestCase):
    def test_without_url(self):
        filter_ = Filter(self.rig, Redis(self.rig), start=False)
        web = Web(self.rig, filter_)
        a = "plain@example.org"
        filter_.grant(a)
        for path in ("/my/data", "/data", "/subscribe/weekly",
                     "/api/subscribe"):
            self.assertEqual(web.request("GET", path).status, 404)
        done = web.click(web.link(a))
        self.assertEqual(done.status, 200)
        self.assertNotIn(b"href=\"/", done.body)

    def test_settings(self):
        filter_ = Filter(self.rig, None, start=False, keygen=False,
                         web={"url": "https://news.example.com/my"})
        done = run([program("consent-web"), "-t", "-c",
                    filter_.config_path], check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn("must end in a /", done.stderr)
