# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Many sessions at once, without an MTA.  Run with ThreadSanitizer too."""
from rig import (Filter, Redis, TestCase, in_threads, wait_for)

SESSIONS = 24
MESSAGES = 6


class Load(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis)
        cls.filter.grant(*[f"yes{i}@example.org" for i in range(SESSIONS)])

    def session(self, i):
        """Returns what the filter said, for MESSAGES messages."""
        said = []
        with self.filter.client() as client:
            client.connect()
            client.helo()
            for n in range(MESSAGES):
                client.mail("<news@news.example.com>",
                            macros={"{mail_addr}": "news@news.example.com"})
                for who in ("yes", "no"):
                    said.append(client.rcpt(
                        f"<{who}{i}@example.org>",
                        macros={"i": f"Q{i}X{n}"}).kind)
                end = client.message([("From", "news@news.example.com"),
                                      ("Subject", "x")],
                                     macros={"i": f"Q{i}X{n}"})
                fields = [a[2] for a in end.of("insheader")] + \
                    [a[1] for a in end.of("addheader")]
                said.append((end.kind,
                             fields.count("List-Unsubscribe"),
                             fields.count("List-Unsubscribe-Post")))
            client.quit()
        return said

    def test_sessions_in_parallel(self):
        """Also with reloads and sessions that are dropped meanwhile."""
        def work(i):
            if i == SESSIONS:
                return [self.filter.signal_reload() for _ in range(3)]
            if i > SESSIONS:
                client = self.filter.client()
                client.connect()
                client.mail("<news@news.example.com>")
                return client.close()
            return self.session(i)
        before = len(self.filter.decisions(action="reject"))
        want = ["continue", "replycode", ("continue", 1, 1)] * MESSAGES
        results = in_threads(SESSIONS + 4, work)
        for said in results[:SESSIONS]:
            self.assertEqual([s if not isinstance(s, tuple) else
                              ("continue" if s[0] in ("continue", "accept")
                               else s[0], *s[1:]) for s in said], want)
        for text in results[SESSIONS]:
            self.assertIn("configuration reloaded", text)
        refused = self.filter.decisions(action="reject")[before:]
        self.assertEqual(len(refused), SESSIONS * MESSAGES)
        self.assertEqual(len({d["ref"] for d in refused}), len(refused))

    def test_redis_restarts_under_load(self):
        """Every answer is one of three, and in the end all is well."""
        def work(i):
            if i == 0:
                self.redis.kill9()
                return self.redis.start()
            with self.filter.client() as client:
                client.connect()
                client.helo()
                kinds = set()
                for _ in range(20):
                    client.mail("<news@news.example.com>")
                    answer = client.rcpt("<yes1@example.org>")
                    kinds.add((answer.kind, answer.text[:3]))
                    client.abort()
                return kinds
        for kinds in in_threads(8, work)[1:]:
            # An empty Redis after the restart: no consent is known.
            self.assertLessEqual(kinds, {("continue", ""),
                                         ("replycode", "550"),
                                         ("replycode", "451")})
        wait_for(lambda: self.filter.ctl("rebuild", check=False).returncode
                 == 0, text="consentctl rebuild")
        wait_for(lambda: self.session(1)[0] == "continue",
                 text="consent is known again")
