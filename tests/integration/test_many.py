# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""As many at once as a large site has: SMTP sessions of a real Postfix, and
connections of MTAs that do nothing.

CONSENT_MILTER_SESSIONS is the number of the former.  1,000 take up to a minute
on two processors and 2.5 GiB, nearly all of it Postfix's, which starts two
processes for each.
"""
import os
import re
import resource
import threading
import time

from rig import (Filter, Postfix, Redis, Sink, Smtp, TestCase, in_threads,
                 make_message, read_text, wait_for)

SESSIONS = int(os.environ.get("CONSENT_MILTER_SESSIONS") or 400)
IDLE = 10000
BESIDE = 300        # files, of this process and of the filter
THREADS = 50


def raise_files(wanted):
    """As many files as that, or as there may be; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for files in max(wanted, hard), hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
            return files
        except ValueError:              # it takes the right to raise it
            pass
    return hard


def import_consents(filter, count):
    filter.ctl("import", "-", input="address,list\n" + "".join(
        f"yes{i}@example.org,weekly\n" for i in range(count)))


class Sessions(TestCase):
    @classmethod
    def set_up_rig(cls):
        raise_files(2 * SESSIONS + BESIDE)
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, metrics=True)
        import_consents(cls.filter, SESSIONS)
        cls.sink = Sink(cls.rig)
        # Also of cleanup(8), whose processes stay from a session's first
        # recipient to the end of its message.
        cls.postfix = Postfix(cls.rig, cls.sink, [cls.filter], main={
            "default_process_limit": str(SESSIONS + 50)})

    @staticmethod
    def each(work):
        """Calls work(0) … work(SESSIONS - 1), some at the same time."""
        results = [None] * SESSIONS

        def share(first):
            for i in range(first, SESSIONS, THREADS):
                results[i] = work(i)
        in_threads(THREADS, share)
        return results

    def check_log(self):
        """Everybody's decisions are on record, each once."""
        for action, who in ("accept", "yes"), ("reject", "no"):
            told = [d["recipient"] for d in
                    self.filter.decisions(action=action)]
            self.assertCountEqual(told, [f"{who}{i}@example.org"
                                         for i in range(SESSIONS)])

    def check_numbers(self):
        numbers = self.filter.numbers()
        count = 'consent_milter_decisions_total{list="weekly",action='
        self.assertEqual(numbers[count + '"accept",reason="granted"}'],
                         SESSIONS)
        self.assertEqual(numbers[count + '"reject",reason="no-consent"}'],
                         SESSIONS)
        self.assertEqual(sum(v for k, v in numbers.items() if k.startswith(
            "consent_milter_decisions_total")), 2 * SESSIONS)
        for name in ('limit_reached_total{limit="connections"}',
                     "decisions_unrecorded_total", "connections"):
            self.assertEqual(numbers[f"consent_milter_{name}"], 0, name)

    def test_all_at_once(self):
        began = time.monotonic()
        sessions = self.each(lambda i: Smtp(self.postfix.smtp, timeout=60))
        self.assertEqual({s.mail("news@news.example.com").code
                          for s in sessions}, {250})
        said = self.each(
            lambda i: sessions[i].rcpt(f"yes{i}@example.org"))
        self.assertEqual({s.code for s in said}, {250}, set(said))
        said = self.each(lambda i: sessions[i].rcpt(f"no{i}@example.org"))
        for i, reply in enumerate(said):
            self.assert_refused(reply, f"no{i}@example.org")
        self.assertEqual(self.filter.numbers()["consent_milter_connections"],
                         SESSIONS)
        print(f"     {SESSIONS} SMTP sessions were open at once after "
              f"{time.monotonic() - began:.1f} s")
        said = self.each(lambda i: sessions[i].data(
            make_message(to=f"yes{i}@example.org")))
        self.assertEqual({s.code for s in said}, {250}, set(said))
        for s in sessions:
            s.quit()
        self.sink.wait(SESSIONS, 60)
        self.postfix.wait_idle(30)
        self.assertCountEqual(
            [m.recipients for m in self.sink.messages],
            [[f"yes{i}@example.org"] for i in range(SESSIONS)])
        # A link of one's own each.
        self.assertEqual(len({m.one("List-Unsubscribe")
                              for m in self.sink.messages}), SESSIONS)
        wait_for(lambda: self.filter.control()["connections"] == 0,
                 text="the end of the sessions")
        self.check_log()
        self.check_numbers()


class Campaign(threading.Thread):
    """Messages to one recipient with and one without consent, over one
    connection, until stop()."""

    def __init__(self, filter, number):
        super().__init__(daemon=True)
        self._filter = filter
        self._number = number
        self._ends = threading.Event()
        self.said = []
        self.start()

    def run(self):
        with self._filter.client() as client:
            client.connect()
            client.helo()
            while not self._ends.is_set():
                self.said.append(one_message(client, self._number))
            client.quit()

    def stop(self):
        self._ends.set()
        self.join(30)


def one_message(client, number):
    client.mail("<news@news.example.com>")
    said = [client.rcpt(f"<{who}{number}@example.org>")
            for who in ("yes", "no")]
    end = client.message([("From", "news@news.example.com"),
                          ("Subject", "x")])
    fields = [a[2] for a in end.of("insheader")]
    return (said[0].kind, said[1].text[:9], end.kind,
            "List-Unsubscribe" in fields)


RIGHT = ("continue", "550 5.7.1", "continue", True)


class Idle(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.idle = min(IDLE, raise_files(IDLE + BESIDE) - BESIDE)
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis)
        import_consents(cls.filter, 4)

    def proc(self, name):
        text = read_text(f"/proc/{self.filter.service.pid}/status")
        return int(re.search(rf"^{name}:\s+(\d+)", text, re.M)[1])

    def sockets(self):
        """How many it has; other files come and go with the ledger."""
        top = f"/proc/{self.filter.service.pid}/fd"
        count = 0
        for name in os.listdir(top):
            try:
                count += os.readlink(f"{top}/{name}").startswith("socket:")
            except FileNotFoundError:
                pass
        return count

    def open_client(self):
        client = self.filter.client()
        self.addCleanup(client.close)
        client.connect()
        client.helo()
        return client

    def time_one_more(self):
        began = time.monotonic()
        self.assertEqual(one_message(self.open_client(), 0), RIGHT)
        return time.monotonic() - began

    def test_idle_connections(self):
        self.assertEqual(one_message(self.open_client(), 0), RIGHT)
        sockets, resident = self.sockets(), self.proc("VmRSS")
        clients = [self.open_client() for _ in range(self.idle)]
        self.assertGreater(self.filter.control()["connections"], self.idle)
        wait_for(lambda: self.sockets() == sockets + self.idle,
                 text="a socket for each connection")
        # Before the load: a sanitizer keeps what is freed.
        each = (self.proc("VmRSS") - resident) * 1024 / self.idle
        campaigns = [Campaign(self.filter, i) for i in (1, 2, 3)]
        for campaign in campaigns:
            self.addCleanup(campaign.stop)
        # Others may keep the machine busy, not each time.
        taken = min(self.time_one_more() for _ in range(3))
        for campaign in campaigns:
            count = len(campaign.said)
            wait_for(lambda: len(campaign.said) >= count + 10, 30,
                     "the campaign to go on")
            campaign.stop()
            self.assertEqual(set(campaign.said), {RIGHT})
        print(f"     {self.idle} idle connections: {each:.0f} bytes of memory "
              f"each, {self.proc('Threads')} threads, one more session "
              f"served within {taken * 1000:.0f} ms")
        self.assertLess(taken, 1)
        self.assertLess(each, 8192)
        # They are still of use.
        for c in clients[0], clients[self.idle // 2], clients[-1]:
            self.assertEqual(one_message(c, 0), RIGHT)
        self.doCleanups()
        wait_for(lambda: self.sockets() == sockets - 1, 30,
                 "the connections to be closed")
        self.assertEqual(self.filter.control()["connections"], 0)


if __name__ == "__main__":
    import unittest
    unittest.main()
