# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Observe mode, reload, and what a wrong configuration gets."""
import json
import os
import subprocess

from rig import (Filter, Postfix, Redis, Sink, Smtp, TestCase, WEEKLY,
                 make_message, program, run)


class Observe(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, mode="observe")
        cls.sink = Sink(cls.rig)
        cls.postfix = Postfix(cls.rig, cls.sink, [cls.filter])
        cls.filter.grant("ann@example.org")

    def setUp(self):
        self.sink.clear()

    def actions(self, sender):
        return {e["recipient"]: (e["action"], e["reason"])
                for e in self.filter.decisions(sender=sender)}

    def test_everything_passes_untouched(self):
        message = make_message(fields=[("List-Unsubscribe", "<mailto:a@b>")])
        sent = self.postfix.send("n@news.example.com",
                                 ["ann@example.org", "bob@example.org"],
                                 message)
        self.assertEqual({r.code for r in sent.rcpt.values()}, {250})
        self.assertTrue(sent.accepted)
        self.postfix.wait_idle()
        for address in sent.rcpt:
            got = self.sink.for_recipient(address)
            self.assertEqual(got[0].below_received(), message)
        self.assertEqual(self.actions("n@news.example.com"), {
            "ann@example.org": ("would-accept", "granted"),
            "bob@example.org": ("would-reject", "no-consent")})

    def test_header_rules(self):
        message = make_message(fields=[
            ("List-Id", "<weekly.news.example.com>")])
        sent = self.postfix.send("h@example.com",
                                 ["ann@example.org", "bob@example.org"],
                                 message)
        self.assertTrue(sent.accepted)
        self.postfix.wait_idle()
        self.assertEqual(self.sink.for_recipient("bob@example.org")[0]
                         .below_received(), message)
        self.assertEqual(self.actions("h@example.com"), {
            "ann@example.org": ("would-accept", "granted"),
            "bob@example.org": ("would-remove", "no-consent")})

    def test_unlisted_bulk_and_store_failure(self):
        sent = self.postfix.send("u@example.com", "bob@example.org",
                                 make_message(fields=[("Precedence",
                                                       "bulk")]))
        self.assertTrue(sent.accepted)
        self.assertEqual(self.actions("u@example.com"), {
            "bob@example.org": ("would-reject", "unlisted-bulk")})
        self.redis.stop()
        sent = self.postfix.send("f@news.example.com", "ann@example.org",
                                 make_message())
        size = len(self.filter.log())
        self.redis.start()
        self.assertTrue(sent.accepted)
        self.assertEqual(self.actions("f@news.example.com"), {
            "ann@example.org": ("would-tempfail", "store-failure")})
        self.filter.wait_log("store can be reached", size)
        self.filter.ctl("rebuild")

    def test_would_word_is_in_the_mail_log(self):
        self.postfix.send("l@news.example.com", "log@example.org",
                          make_message())
        self.filter.wait_log(r"(NOQUEUE|\w+): list=weekly, "
                             r"to=<log@example.org>, action=would-reject, "
                             r"reason=no-consent, stage=rcpt")


class RollOut(TestCase):
    """From observing to enforcing, list by list."""

    LISTS = [WEEKLY,
             {"id": "offers", "name": "Offers",
              "match": [{"header": "X-List", "value": "offers"}]},
             {"id": "quiet", "name": "Quiet",
              "match": [{"sender": "*@quiet.example.com"}]}]

    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, mode="observe",
                            lists=[dict(x) for x in cls.LISTS],
                            audit={"recipients": "masked"},
                            limits={"recipients": 20})
        cls.sink = Sink(cls.rig)
        cls.postfix = Postfix(cls.rig, cls.sink, [cls.filter])
        cls.filter.grant("ann@example.org")
        cls.filter.grant("ann@example.org", list_id="offers")

    def setUp(self):
        self.sink.clear()
        self.switch()
        self.filter.reload(mode="observe")

    def switch(self, **modes):
        """Writes the modes of lists, without a reload."""
        self.filter.settings["lists"] = [
            dict(x, mode=modes[x["id"]]) if x["id"] in modes else dict(x)
            for x in self.LISTS]
        self.filter.write_config()

    def offer(self, *recipients):
        return self.postfix.send("o@example.com", list(recipients),
                                 make_message(fields=[("X-List", "offers")]))

    def weekly(self, *recipients):
        return self.postfix.send("n@news.example.com", list(recipients),
                                 make_message())

    def would(self, *args):
        return json.loads(self.filter.ctl("report", "--would", "--format",
                                          "json", *args).stdout)

    def test_a_campaign_list_by_list(self):
        # The first by its name: it counts all that is in the log.
        self.assertTrue(self.weekly("ann@example.org", "bob@example.org",
                                    "cat@example.org").accepted)
        self.assertTrue(self.weekly("bob@example.org").accepted)
        self.assertTrue(self.offer("ann@example.org").accepted)
        told = self.would()
        states = {x["list"]: (x["state"], x["would_accept"], x["would_block"])
                  for x in told["lists"]}
        self.assertEqual(states, {"weekly": ("not-ready", 1, 3),
                                  "offers": ("ready", 1, 0),
                                  "quiet": ("unseen", 0, 0)})
        self.assertEqual(told["lists"][0]["list"], "offers")
        self.assertIn('mode = "enforce"; in list "offers"',
                      told["lists"][0]["advice"])
        row, = told["blocked"]
        self.assertEqual(
            {k: row[k] for k in ("list", "action", "reason", "domain",
                                 "sender", "recipients", "messages")},
            {"list": "weekly", "action": "would-reject",
             "reason": "no-consent", "domain": "news.example.com",
             "sender": "n@news.example.com", "recipients": 3, "messages": 2})
        # As the log holds them, and to be found there.
        self.assertEqual([e["recipient"] for e in row["examples"]],
                         ["b***@example.org", "c***@example.org"])
        for example in row["examples"]:
            found = json.loads(self.filter.ctl("log", "--ref", example["ref"],
                                               "--json").stdout)
            self.assertEqual(len(found), 1)
        # The list that is ready enforces, the others go on as before.
        self.switch(offers="enforce")
        self.filter.signal_reload()
        self.assertTrue(self.weekly("bob@example.org").accepted)
        sent = self.offer("ann@example.org", "bob@example.org")
        self.assertTrue(sent.accepted)
        self.postfix.wait_idle()
        self.assertEqual(len(self.sink.for_recipient("ann@example.org")), 3)
        got = self.sink.for_recipient("ann@example.org")[-1]
        self.assertIn(b"List-Unsubscribe:", got.below_received())
        last = self.filter.decisions(list="offers")[-2:]
        self.assertEqual([e["action"] for e in last], ["accept", "remove"])
        states = {x["list"]: x["state"] for x in self.would()["lists"]}
        self.assertEqual(states["offers"], "enforced")
        # Then people are taken off, and weekly follows.
        for address in ("bob@example.org", "cat@example.org"):
            self.filter.withdraw(address)
        since = self.filter.decisions()[-1]["time"]
        self.weekly("ann@example.org", "bob@example.org")
        told = self.would("--list", "weekly", "--since", since)
        self.assertEqual(told["lists"][0]["state"], "ready-but-opted-out")
        self.switch(offers="enforce", weekly="enforce")
        self.filter.signal_reload()
        self.assert_refused(self.weekly("bob@example.org").rcpt[
            "bob@example.org"], "bob@example.org")
        explained = self.filter.ctl("explain", "-f", "n@news.example.com",
                                    "bob@example.org", input="\n").stdout
        self.assertNotIn("observe", explained)
        self.switch(offers="enforce")

    def test_one_list_observes_while_all_else_enforces(self):
        self.switch(weekly="observe")
        log = self.filter.reload(mode="enforce")
        self.assertIn("reloaded", log)
        message = make_message(fields=[("List-Unsubscribe", "<mailto:a@b>")])
        sent = self.postfix.send("n@news.example.com", "bob@example.org",
                                 message)
        self.assertTrue(sent.accepted)
        self.postfix.wait_idle()
        self.assertEqual(self.sink.for_recipient("bob@example.org")[0]
                         .below_received(), message)
        self.assertEqual(self.filter.decisions()[-1]["action"],
                         "would-reject")
        sent = self.offer("bob@example.org")
        self.assertFalse(sent.accepted)
        sent = self.postfix.send("u@example.com", "bob@example.org",
                                 make_message(fields=[("Precedence",
                                                       "bulk")]))
        self.assertFalse(sent.accepted)
        told = json.loads(self.filter.ctl(
            "explain", "--json", "-f", "n@news.example.com",
            "bob@example.org", input="\n").stdout)
        self.assertIs(told["observe"], True)
        self.assertIn("mode of list weekly is observe", self.filter.ctl(
            "explain", "-f", "n@news.example.com", "bob@example.org",
            input="\n").stdout)
        told = self.filter.ctl("check", "--list", "weekly", "--json",
                               "bob@example.org", check=False).stdout
        self.assertIs(json.loads(told)["enforced"], False)
        # Of a list that observes it passes, of the other it waits.
        self.redis.stop()
        size = len(self.filter.log())
        observed = self.weekly("ann@example.org")
        enforced = self.offer("ann@example.org")
        self.redis.start()
        self.filter.wait_log("store can be reached", size)
        self.filter.ctl("rebuild")
        self.assertTrue(observed.accepted)
        self.assertFalse(enforced.accepted)
        self.assertEqual(enforced.end.code, 451)

    def test_nothing_of_a_list_that_enforces_slips_through(self):
        """While no list is known, a message may be of one that enforces:
        then limits hold."""
        recipients = [f"many{i}@example.org" for i in range(25)]
        with Smtp(self.postfix.smtp) as smtp:
            smtp.mail("o@example.com")
            codes = [smtp.rcpt(r).code for r in recipients]
        self.assertEqual(set(codes), {250})
        self.switch(offers="enforce")
        self.filter.signal_reload()
        with Smtp(self.postfix.smtp) as smtp:
            smtp.mail("o@example.com")
            codes = [smtp.rcpt(r).code for r in recipients]
            self.assertEqual((codes[19], codes[20]), (250, 452))
            # Its envelope tells that this one observes.
            smtp.command("RSET")
            smtp.mail("n@news.example.com")
            self.assertEqual({smtp.rcpt(r).code for r in recipients}, {250})


class Reload(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis)
        cls.sink = Sink(cls.rig)
        cls.postfix = Postfix(cls.rig, cls.sink, [cls.filter])

    def test_rules_hold_to_the_end_of_the_message(self):
        self.filter.reload(mode="enforce")
        with Smtp(self.postfix.smtp) as smtp:
            smtp.mail("n@news.example.com")
            self.assertEqual(smtp.rcpt("bob@example.org").code, 550)
            self.filter.reload(mode="observe")
            self.assertEqual(smtp.rcpt("cat@example.org").code, 550)
            smtp.command("RSET")
            # the session goes on, and the next message has the new rules
            smtp.mail("n@news.example.com")
            self.assertEqual(smtp.rcpt("cat@example.org").code, 250)
        self.filter.reload(mode="enforce")

    def test_a_bad_file_is_refused(self):
        good = dict(self.filter.settings)
        self.filter.write_config('mode = "enforec";\n')
        log = self.filter.signal_reload()
        self.assertIn("consent-milter.conf:1:", log)
        self.filter.wait_log("reload refused")
        sent = self.postfix.send("n@news.example.com", "bob@example.org",
                                 make_message())
        self.assert_refused(sent.rcpt["bob@example.org"], "bob@example.org")
        self.filter.settings = good
        self.filter.write_config()

    def test_another_redis(self):
        other = Redis(self.rig)
        self.filter.reload(redis={"url": other.url})
        self.filter.grant("new@example.org")
        sent = self.postfix.send("n@news.example.com", "new@example.org",
                                 make_message())
        self.assertTrue(sent.accepted)
        self.filter.reload(redis={"url": self.redis.url})
        # what the other one was given meanwhile
        self.filter.ctl("rebuild")


    def test_reload_without_lists(self):
        with open(self.filter.config_path) as f:
            text = f.read()
        self.filter.write_config(text[:text.index("lists =")])
        try:
            log = self.filter.signal_reload()
        finally:
            self.filter.write_config(text)
        self.assertIn("no lists: nobody's consent would be asked for", log)
        self.assertIn("reload refused", log)


class Configuration(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.filter = Filter(cls.rig, start=False)

    def check(self, text):
        path = os.path.join(self.filter.dir, "test.conf")
        with open(path, "w") as f:
            f.write(text)
        return path, run([program("consent-milter"), "-t", "-c", path],
                         check=False)

    def test_good(self):
        done = run([program("consent-milter"), "-t", "-c",
                    self.filter.config_path], check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_every_mistake_at_once(self):
        path, done = self.check('''mode = "observ";
socket = "carrier-pigeon:3";
redis = { url = "unix:/x"; timeout_ms = 0; timout_ms = 5; };
audit = { directory = "/tmp/x"; recipients = "plain"; };
unsubscribe = { url = "http://news.example.com/u/"; };
lists = ( { id = "Weekly"; name = "W"; match = ( { sendr = "*@x"; } );
  max_age = "2 fortnights"; } );
''')
        self.assertEqual(done.returncode, 78)
        lines = done.stderr.strip().splitlines()
        for number, word in ((1, "mode"), (2, "socket"), (3, "timeout_ms"),
                             (3, "timout_ms"), (4, "recipients"),
                             (5, "https"), (6, "id"), (6, "sender"),
                             (7, "max_age")):
            self.assertTrue(any(line.startswith(f"{path}:{number}: ") and
                                word in line for line in lines),
                            f"{number} {word}: {done.stderr}")

    def test_cut_off(self):
        """Before the lists: what is there is good, and lets all pass."""
        with open(self.filter.config_path) as f:
            text = f.read()
        path, done = self.check(text[:text.index("lists =")])
        self.assertEqual(done.returncode, 78)
        self.assertIn(f"{path}: no lists", done.stderr)

    def test_missing_file(self):
        done = run([program("consent-milter"), "-t", "-c", "/nonexistent"],
                   check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn("/nonexistent", done.stderr)

    def test_usage_and_version(self):
        done = run([program("consent-milter"), "-x"], check=False)
        self.assertEqual(done.returncode, 64)
        done = run([program("consent-milter"), "-V"], check=False)
        self.assertEqual(done.returncode, 0)
        for word in ("consent-milter 0", "libmilter", "hiredis", "libconfig",
                     "OpenSSL"):
            self.assertIn(word, done.stdout)

    def test_evicting_redis_is_refused(self):
        redis = Redis(self.rig, options=["maxmemory 100mb"])
        redis.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        filter = Filter(self.rig, redis, start=False)
        done = subprocess.run([program("consent-milter"), "-f", "-c",
                               filter.config_path], capture_output=True,
                              text=True, timeout=30)
        self.assertEqual(done.returncode, 78)
        self.assertIn("noeviction", done.stderr)

    def test_second_instance_leaves_the_first_its_socket(self):
        redis = Redis(self.rig)
        filter = Filter(self.rig, redis)
        done = subprocess.run([program("consent-milter"), "-f", "-c",
                               filter.config_path], capture_output=True,
                              text=True, timeout=30)
        self.assertEqual(done.returncode, 78)
        self.assertIn("in use", done.stderr)
        with filter.client() as client:
            client.mail("<n@news.example.com>")
            self.assertEqual(client.rcpt("<bob@example.org>").text[:9],
                             "550 5.7.1")
