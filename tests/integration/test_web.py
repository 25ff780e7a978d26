# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The endpoint behind the unsubscribe links."""
import copy
import glob
import json
import os
import re
import signal
import socket
import subprocess
import time

from rig import (Browser, Filter, Nginx, Postfix, Redis, Sink, TestCase,
                 WEEKLY, Web, in_threads, make_message, program, read_text,
                 run, wait_for, write_file)

LISTS = [copy.deepcopy(WEEKLY),
         {"id": "other", "name": "Other <b>&</b>",
          "match": [{"sender": "*@other.example.com"}]}]
FORM = "Content-Type: application/x-www-form-urlencoded"
BOUNDARY = "-FormBoundaryjWmhtjORrn"


def part(name, value, newline="\r\n", more=""):
    return (f"--{BOUNDARY}{newline}Content-Disposition: form-data; "
            f'name="{name}"{newline}{more}{newline}{value}{newline}')


class WebTest(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, start=False, lists=LISTS)
        cls.web = Web(cls.rig, cls.filter)
        cls.filter.start()
        # How it stops is tested elsewhere, and libmilter races with itself
        # then, which the thread sanitizer sees.
        cls.rig.on_close(cls.filter.kill9)

    def check(self, address, list_id="weekly"):
        return self.filter.ctl("check", "--list", list_id, address,
                               check=False).stdout.strip()

    def is_mailed(self, address, sender="n@news.example.com"):
        """What the filter says, now."""
        with self.filter.client() as client:
            client.connect()
            client.helo()
            client.mail(f"<{sender}>")
            return client.rcpt(f"<{address}>").kind == "continue"

    def assert_out(self, address, sender="n@news.example.com"):
        """What a 200 promises: within a second."""
        wait_for(lambda: not self.is_mailed(address, sender), 1,
                 f"{address} is out")

    def wait_in_redis(self, address, reason="withdrawn", list_id="weekly"):
        # consentctl check asks Redis, and applies nothing
        wait_for(lambda: self.check(address, list_id) == reason, 10,
                 f"{address}: {reason}")

    def ledger_events(self):
        return [e for path in sorted(glob.glob(os.path.join(
            self.filter.audit_dir, "ledger", "*.jsonl")))
            for e in map(json.loads, read_text(path).splitlines())
            if e["type"] == "event" and not e.get("blanked")]

    # -- one click

    def test_one_click(self):
        a = "click@example.org"
        self.filter.grant(a)
        self.assertTrue(self.is_mailed(a))
        link = self.web.link(a)
        answer = self.web.click(link)
        self.assertEqual(answer.status, 200)
        self.assert_out(a)
        self.wait_in_redis(a)
        self.assertEqual(self.ledger_events()[-1]["actor"], "one-click")
        for _ in range(3):
            self.assertEqual(self.web.click(link).status, 200)
        # Whoever opts in again can opt out with the old link again.
        time.sleep(0.002)
        self.filter.grant(a)
        self.assertTrue(self.is_mailed(a))
        self.assertEqual(self.web.click(link).status, 200)
        self.assert_out(a)

    def test_bodies(self):
        multipart = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
        quoted = (f'Content-Type: multipart/form-data; charset=utf-8; '
                  f'boundary="{BOUNDARY}"')
        one = part("List-Unsubscribe", "One-Click")
        end = f"--{BOUNDARY}--\r\n"
        form = "List-Unsubscribe=One-Click"
        cases = [
            (form, [FORM]), (form, [FORM + "; charset=UTF-8"]),
            (form + "\r\n", [FORM]),
            (one + end, [multipart]), (one + end, [quoted]),
            (part("x", "y") + one + end, [multipart]),
            (part("List-Unsubscribe", "One-Click",
                  more="Content-Type: text/plain\r\n") + end, [multipart]),
            (part("List-Unsubscribe", "One-Click", "\n") +
             f"--{BOUNDARY}--\n", [multipart]),
            ("preamble\r\n" + one + end, [multipart]),
            (form, [FORM, "Expect: 100-continue"]),
            (form, [FORM, "User-Agent: "]),
            ("", [FORM]), ("", []), (form, []),
            (form, ["Content-Type: text/plain"]),
            (one, [multipart]), ("\x00\xff", [multipart]),
            ("x=" + "y" * 16000, [FORM]),
        ]
        for i, (body, headers) in enumerate(cases):
            a = f"body{i}@example.org"
            self.filter.grant(a)
            answer = self.web.request("POST", self.web.link(a),
                                      body.encode("latin-1"), headers)
            self.assertEqual(answer.status, 200, (i, body))
            self.assert_out(a)

    def test_framings(self):
        body = "List-Unsubscribe=One-Click"
        for i, raw in enumerate([
                "POST {} HTTP/1.0\r\nContent-Length: 26\r\n" + FORM +
                "\r\n\r\n" + body,
                "POST {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + FORM
                + "\r\nTransfer-Encoding: chunked\r\n\r\n"
                "10\r\n" + body[:16] + "\r\na\r\n" + body[16:] +
                "\r\n0\r\n\r\n",
                "POST {} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                "Content-Length: 0\r\n\r\n",
                "POST {}?List-Unsubscribe=One-Click HTTP/1.1\r\nHost: x\r\n"
                "Connection: close\r\nContent-Length: 0\r\n\r\n"]):
            a = f"frame{i}@example.org"
            self.filter.grant(a)
            answer = self.web.raw(raw.format(self.web.link(a)).encode())
            self.assertEqual(answer.status, 200, raw)
            self.assert_out(a)

    def test_split_into_bytes(self):
        a = "slow@example.org"
        self.filter.grant(a)
        data = (f"POST {self.web.link(a)} HTTP/1.1\r\nHost: x\r\n{FORM}\r\n"
                "Connection: close\r\nContent-Length: 26\r\n\r\n"
                "List-Unsubscribe=One-Click").encode()
        with self.web.connect() as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(len(data)):
                s.send(data[i:i + 1])
            self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 200"))
        self.assert_out(a)

    # -- what changes nothing

    def test_nothing_but_post(self):
        a = "scanned@example.org"
        self.filter.grant(a)
        link = self.web.link(a)
        before = len(self.ledger_events())
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH",
                       "TRACE", "FOO"):
            for target in (link, link + "?List-Unsubscribe=One-Click",
                           link + "?action=confirm-unsubscribe"):
                answer = self.web.request(
                    method, target, b"List-Unsubscribe=One-Click" if method
                    in ("PUT", "PATCH", "FOO") else None, [FORM])
                self.assertEqual(answer.status, 200 if method in
                                 ("GET", "HEAD") else 405, method)
        for i in range(300):
            self.web.request("GET", link)
        answer = self.web.request("POST", link, b"List-Unsubscribe=One-Click",
                                  [FORM, "X-HTTP-Method-Override: GET"])
        self.assertEqual(answer.status, 400)
        answer = self.web.request("POST", link, b"x" * 16385, [FORM])
        self.assertEqual(answer.status, 413)
        self.assertIsNone(self.web.request("POST", link, b"x" * 3000000,
                                           [FORM]))
        self.assertEqual(len(self.ledger_events()), before)
        self.assertTrue(self.is_mailed(a))

    def test_bad_tokens_look_the_same(self):
        a = "forged@example.org"
        self.filter.grant(a)
        link = self.web.link(a)
        before = len(self.ledger_events())
        bad = ["/u/", "/u/x", link[:-1], link + "A", link[:-1] + "!",
               link.swapcase(), "/u/" + "A" * 51, "/u/" + "A" * 5000,
               "/u/%00", "/u/../" + link[3:], "/", "/favicon.ico",
               "/robots.txt", link + "/", "/x" + link]
        # each character changed, but for those bits that base64 ignores
        bad += [link[:i] + ("A" if link[i] != "A" else "B") + link[i + 1:]
                for i in range(3, len(link))]
        pages = set()
        for target in bad:
            for answer in (self.web.request("GET", target),
                           self.web.click(target)):
                self.assertEqual(answer.status, 404, target)
                headers = dict(answer.headers)
                headers.pop("date")
                pages.add((answer.body, json.dumps(headers)))
        self.assertEqual(len(pages), 1)
        self.assertEqual(len(self.ledger_events()), before)
        self.assertTrue(self.is_mailed(a))

    def test_headers(self):
        a = "headers@example.org"
        self.filter.grant(a)
        link = self.web.link(a)
        for answer in (self.web.request("GET", link), self.web.click(link),
                       self.web.request("GET", "/u/x"),
                       self.web.request("PUT", link),
                       self.web.request("GET", "/healthz")):
            for name, value in (
                    ("cache-control", "no-store"),
                    ("referrer-policy", "no-referrer"),
                    ("x-robots-tag", "noindex"),
                    ("x-content-type-options", "nosniff")):
                self.assertEqual(answer.headers[name], [value])
            policy = answer.headers["content-security-policy"][0]
            self.assertIn("default-src 'none'", policy)
            self.assertIn("frame-ancestors 'none'", policy)
            self.assertIn("strict-transport-security", answer.headers)
            self.assertNotIn("set-cookie", answer.headers)
            self.assertNotIn("location", answer.headers)
            self.assertFalse(300 <= answer.status < 400)

    # -- the page

    def test_page(self):
        a = "page.person@example.org"
        self.filter.grant(a, list_id="other")
        self.filter.grant(a)
        link = self.web.link(a, "other")
        page = self.web.request("GET", link)
        text = page.body.decode()
        self.assertEqual(page.headers["content-type"],
                         ["text/html; charset=utf-8"])
        self.assertIn("Other &lt;b&gt;&amp;&lt;/b&gt;", text)
        self.assertIn("Example AB", text)
        # Not a word about the person, nor of other lists.
        for secret in ("page.person", "example.org", "Weekly", link[3:]):
            self.assertNotIn(secret, text)
        for outside in ("<script", "http:", "https:", "src=", "@import",
                        "url("):
            self.assertNotIn(outside, text)
        self.assertNotIn("action=\"/", text)
        names = re.findall(r'<button[^>]*value="([^"]+)"', text)
        self.assertEqual(names, ["confirm-unsubscribe", "stop-everything"])
        done = self.web.request("POST", link, b"action=confirm-unsubscribe",
                                [FORM])
        self.assertEqual(done.status, 200)
        self.assertIn(b"You are unsubscribed", done.body)
        self.assertEqual(self.ledger_events()[-1]["actor"], "web page")
        self.assert_out(a, "n@other.example.com")
        self.assertTrue(self.is_mailed(a))
        done = self.web.request("POST", link, b"action=stop-everything",
                                [FORM])
        self.assertIn(b"from everything", done.body)
        self.assert_out(a)

    def test_languages(self):
        a = "polyglot@example.org"
        self.filter.grant(a)
        link = self.web.link(a)
        for wanted, tag, word in (
                ("de-DE,de;q=0.9,en;q=0.5", "de", "Abmelden"),
                ("sv", "sv", "Avsluta prenumerationen"),
                ("fr-CA, en;q=0.1", "fr", "Me d\u00e9sabonner"),
                ("es", "es", "Darme de baja"),
                ("it-CH", "it", "Annulla l\u2019iscrizione"),
                ("zz", "en", "Unsubscribe"), ("", "en", "Unsubscribe")):
            page = self.web.request("GET", link, headers=[
                f"Accept-Language: {wanted}"])
            text = page.body.decode()
            self.assertIn(f'<html lang="{tag}">', text)
            self.assertIn(f">{word}</button>", text)
            self.assertEqual(page.headers["content-language"], [tag])
            self.assertEqual(page.headers["vary"], ["Accept-Language"])
        done = self.web.request("POST", link, b"action=confirm-unsubscribe",
                                [FORM, "Accept-Language: sv"])
        self.assertIn("Prenumerationen \u00e4r avslutad",
                      done.body.decode())

    # -- faults

    def test_redis_is_away(self):
        people = [f"away{i}@example.org" for i in range(5)]
        self.filter.grant(*people)
        links = [self.web.link(a) for a in people]
        self.redis.stop()
        for link in links:
            self.assertEqual(self.web.click(link).status, 200)
        self.assertEqual(self.web.request("GET", "/healthz").status, 200)
        self.redis.start()
        wait_for(lambda: self.check(people[0]) != "store-failure")
        # Without any consentctl that would apply it.
        for a in people:
            self.wait_in_redis(a)

    def test_redis_hangs(self):
        a = "hangs@example.org"
        self.filter.grant(a)
        link = self.web.link(a)
        self.redis.sigstop()
        try:
            start = time.monotonic()
            for _ in range(5):
                self.assertEqual(self.web.click(link).status, 200)
            self.assertLess(time.monotonic() - start, 12)
        finally:
            self.redis.cont()
        self.wait_in_redis(a)

    def test_kill_9_while_people_click(self):
        people = [f"kill{i}@example.org" for i in range(60)]
        self.filter.grant(*people)
        links = {a: self.web.link(a) for a in people}
        acknowledged = []

        def click(i):
            if i == 30:
                self.web.kill9()
                return
            try:
                answer = self.web.click(links[people[i]])
            except OSError:
                return
            if answer is not None and answer.status == 200:
                acknowledged.append(people[i])
        in_threads(60, click)
        self.web.start()
        for a in acknowledged:
            self.assert_out(a)
            self.wait_in_redis(a)

    def test_clock_behind_the_grant(self):
        """A grant of another host, whose clock is ahead."""
        a = "ahead@example.org"
        self.filter.grant(a, at=time.strftime(
            "%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 120)))
        self.assertTrue(self.is_mailed(a))
        self.assertEqual(self.web.click(self.web.link(a)).status, 200)
        self.assert_out(a)

    def test_clock_set_back(self):
        """An opt-in from before the opt-out, imported after it, must not win
        because the clock was set back in between."""
        path = os.path.join(self.filter.audit_dir, "ledger", ".clock")
        clicks, types = "back1@example.org", "back2@example.org"
        self.filter.grant(clicks, types)
        boot, booted, until = read_text(path).split()
        self.addCleanup(os.unlink, path)
        write_file(path, f"{boot} {int(booted) + 7200_000} {until}\n")
        self.assertEqual(self.web.click(self.web.link(clicks)).status, 200)
        self.filter.withdraw(types)
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ",
                              time.gmtime(time.time() + 120))
        self.filter.ctl("import", "-", input="address,list,at\n" + "".join(
            f"{a},weekly,{later}\n" for a in (clicks, types)))
        for a in (clicks, types):
            self.assert_out(a)
            self.wait_in_redis(a)
            self.assert_out(a)

    def test_many_clicks_from_one_address(self):
        people = [f"many{i}@example.org" for i in range(40)]
        self.filter.grant(*people)
        links = [self.web.link(a) for a in people]

        def clicks(i):
            return [self.web.click(links[(i + k) % 40]).status
                    for k in range(25)]
        for statuses in in_threads(40, clicks):
            self.assertEqual(set(statuses), {200})
        for a in people:
            self.assert_out(a)

    def test_beside_consentctl(self):
        """Both write the ledger, in turns."""
        people = [f"both{i}@example.org" for i in range(20)]
        self.filter.grant(*people)
        links = [self.web.link(a) for a in people]

        def work(i):
            if i % 2:
                return self.web.click(links[i]).status
            self.filter.withdraw(people[i])
            return 200
        self.assertEqual(set(in_threads(20, work)), {200})
        for a in people:
            self.assert_out(a)
        self.filter.ctl("verify")

    def test_log_names_nobody(self):
        a = "logged@example.org"
        self.filter.grant(a)
        link = self.web.link(a)
        self.web.click(link)
        log = self.web.log()
        self.assertRegex(log, r"one-click: list=weekly, key=0, "
                         r"token=[0-9a-f]{8}\b")
        self.assertNotIn("logged", log)
        self.assertNotIn(link[3:], log)


class InABrowser(TestCase):
    """Without script, by the keyboard alone."""

    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, start=False)
        cls.web = Web(cls.rig, cls.filter)

    def url(self, target):
        return "http://%s:%d" % self.web.address + target

    def check(self, address):
        return self.filter.ctl("check", "--list", "weekly", address,
                               check=False).stdout.strip()

    def click_through(self, language, width, button, done):
        a = f"{language}{width}@example.org"
        self.filter.grant(a)
        browser = Browser(self.rig, language, width)
        browser.open(self.url(self.web.link(a)))
        # Loading, and whatever the page does by itself, changes nothing.
        self.assertEqual(self.check(a), "granted")
        self.assertEqual(browser.evaluate("document.documentElement.lang"),
                         language)
        # It is styled (the policy fits), and fits the window.
        self.assertEqual(browser.evaluate(
            "getComputedStyle(document.querySelector('button')).display"),
            "block")
        self.assertLessEqual(browser.evaluate(
            "document.documentElement.scrollWidth"), width)
        self.assertGreaterEqual(browser.evaluate(
            "document.querySelector('button').offsetHeight"), 44)
        browser.press("Tab")
        self.assertEqual(browser.focused(), button)
        browser.press("Enter")
        wait_for(lambda: done in browser.text(), 20, done)
        wait_for(lambda: self.check(a) == "withdrawn")
        return browser

    def test_german_on_a_phone(self):
        self.click_through("de", 360, "Abmelden", "Sie sind abgemeldet")

    def test_swedish(self):
        self.click_through("sv", 1000, "Avsluta prenumerationen",
                           "Prenumerationen är avslutad")

    def test_stop_everything_after_the_click(self):
        browser = self.click_through("en", 800, "Unsubscribe",
                                     "You are unsubscribed")
        browser.press("Tab")
        self.assertEqual(browser.focused(), "Stop everything from this sender")
        browser.press("Enter")
        wait_for(lambda: "unsubscribed from everything" in browser.text())

    def test_bad_link(self):
        browser = Browser(self.rig, "fr")
        browser.open(self.url("/u/x"))
        self.assertIn("Ce lien ne fonctionne pas", browser.text())


class DiskFull(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, start=False)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs",
                        cls.filter.audit_dir], check=True)
        cls.rig.on_close(lambda: subprocess.run(
            ["umount", "-l", cls.filter.audit_dir], check=False))
        cls.web = Web(cls.rig, cls.filter)

    def test_said_and_not_lost(self):
        a = "full@example.org"
        self.filter.grant(a)
        link = self.web.link(a)
        self.assertEqual(self.web.request("GET", "/healthz").body, b"ok\n")
        ballast = os.path.join(self.filter.audit_dir, "ballast")
        with open(ballast, "wb", buffering=0) as f:
            try:
                while f.write(b"x" * 4096):
                    pass
            except OSError:
                pass
        # What is left in the last block may still take some.
        for _ in range(50):
            answer = self.web.click(link)
            if answer.status != 200:
                break
        self.assertEqual(answer.status, 503)
        self.assertIn(b"Nothing has changed yet", answer.body)
        health = self.web.request("GET", "/healthz")
        self.assertEqual((health.status, health.body),
                         (503, b"disk-full\n"))
        os.unlink(ballast)
        self.assertEqual(self.web.request("GET", "/healthz").status, 200)
        self.assertEqual(self.web.click(link).status, 200)
        wait_for(lambda: self.filter.ctl(
            "check", "--list", "weekly", a,
            check=False).stdout == "withdrawn\n")
        self.assertIn("good", self.filter.ctl("verify").stdout)


class BehindNginx(TestCase):
    """From Postfix to the click, through the proxy that contrib/ shows."""

    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, start=False)
        cls.web = Web(cls.rig, cls.filter)
        cls.filter.start()
        # How it stops is tested elsewhere, and libmilter races with itself
        # then, which the thread sanitizer sees.
        cls.rig.on_close(cls.filter.kill9)
        cls.sink = Sink(cls.rig)
        cls.postfix = Postfix(cls.rig, cls.sink, [cls.filter])
        cls.proxy = Nginx(cls.rig, "%s:%d" % cls.web.address)

    def test_from_the_message_to_the_click(self):
        a = "reader@example.org"
        self.filter.grant(a)
        self.sink.clear()
        sent = self.postfix.send("n@news.example.com", a, make_message(to=a))
        self.assertTrue(sent.accepted)
        message = self.sink.wait(1)[0]
        link = re.match(r"<https://news\.example\.com(/[^>]+)>",
                        message.one("List-Unsubscribe")).group(1)
        page = self.proxy.fetch("GET", link)
        self.assertEqual(page.status, 200)
        self.assertIn(b"Weekly news", page.body)
        self.assertEqual(page.headers["cache-control"], ["no-store"])
        self.assertEqual(self.proxy.fetch("GET", link[:-2]).status, 404)
        done = self.proxy.fetch(
            "POST", link, b"List-Unsubscribe=One-Click", [FORM])
        self.assertEqual(done.status, 200)
        self.assertNotIn("location", done.headers)
        self.assertNotIn("set-cookie", done.headers)
        wait_for(lambda: self.filter.ctl(
            "check", "--list", "weekly", a, check=False).returncode == 1, 1)
        sent = self.postfix.send("n@news.example.com", a, make_message(to=a))
        self.assertEqual(sent.rcpt[a].code, 550)
        for log in glob.glob(os.path.join(self.proxy.top, "*.log")):
            self.assertNotIn(link[3:], read_text(log), log)


class Places(TestCase):
    def test_unix_socket_and_query_links(self):
        redis = Redis(self.rig)
        filter_ = Filter(self.rig, redis, start=False, unsubscribe={
            "url": "https://news.example.com/bye?t="})
        web = Web(self.rig, filter_, unix=True)
        filter_.grant("unix@example.org")
        link = web.link("unix@example.org")
        self.assertTrue(link.startswith("/bye?t="))
        self.assertEqual(web.click(link + "&utm_source=x").status, 200)
        wait_for(lambda: filter_.ctl(
            "check", "--list", "weekly", "unix@example.org",
            check=False).stdout == "withdrawn\n")
        self.assertEqual(web.stop(), 0)

    def test_reload(self):
        """A new key and a new list, without a moment's pause."""
        redis = Redis(self.rig)
        filter_ = Filter(self.rig, redis, start=False)
        web = Web(self.rig, filter_)
        filter_.grant("old@example.org", "new@example.org")
        old = web.link("old@example.org")
        key = os.path.join(filter_.keys_dir, "token-1.key")
        write_file(key, "5" * 64 + "\n", 0o600)
        link = web.link("new@example.org")
        self.assertEqual(web.click(link).status, 404)
        good = filter_.settings
        filter_.settings = dict(good, mode="both")
        filter_.write_config()
        self.reload(web, "reload refused")
        self.assertEqual(web.request("GET", old).status, 200)
        filter_.settings = good
        filter_.write_config()
        self.reload(web, "configuration reloaded")
        for target in (link, old):
            self.assertEqual(web.click(target).status, 200)

    def reload(self, web, word):
        size = len(web.log())
        web.service.signal(signal.SIGUSR1)
        wait_for(lambda: word in web.log()[size:], 10, word)

    def test_erased_and_clicked(self):
        """The link of somebody who was forgotten works as before."""
        redis = Redis(self.rig)
        filter_ = Filter(self.rig, redis, start=False)
        web = Web(self.rig, filter_)
        a = "gone@example.org"
        filter_.grant(a)
        link = web.link(a)
        filter_.ctl("erase", a)
        self.assertEqual(web.click(link).status, 200)
        self.assertEqual(web.request("GET", link).status, 200)
        filter_.ctl("verify")

    def test_configuration(self):
        filter_ = Filter(self.rig, None, start=False, keygen=False,
                         web={"listen": "localhost"})
        done = self.run_web(filter_, "-t")
        self.assertEqual(done.returncode, 78)
        self.assertIn("web.listen", done.stderr)
        self.assertEqual(self.run_web(filter_, "-x").returncode, 64)
        own = os.path.join(filter_.dir, "languages")
        os.mkdir(own)
        write_file(os.path.join(own, "nl.lang"), "langauge = Nederlands\n")
        filter_.settings["web"] = {"languages": own}
        filter_.write_config()
        done = self.run_web(filter_, "-t")
        self.assertEqual(done.returncode, 78)
        self.assertIn('nl.lang: line 1: there is no key "langauge", did you '
                      'mean "language"?', done.stderr)
        # One of an older version must not keep opt-outs from being answered.
        write_file(os.path.join(own, "nl.lang"), "language = Nederlands\n")
        done = self.run_web(filter_, "-t")
        self.assertEqual(done.returncode, 0)
        self.assertIn("nl is not complete", done.stderr)
        self.assertIn("libmicrohttpd", self.run_web(filter_, "-V").stdout)

    def run_web(self, filter_, *args):
        return run([program("consent-web"), "-c", filter_.config_path,
                    *args], check=False)
