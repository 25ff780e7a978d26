# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""consentctl status, and the control sockets that it asks."""
import contextlib
import json
import os
import signal
import socket
import stat
import threading

from rig import Filter, Redis, TestCase, Web, in_threads, run, program, \
    wait_for
from rig.process import connect


def problems(document):
    return {d["program"]: d["status"] and d["status"]["problems"]
            for d in document["daemons"]}


class Status(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis)
        cls.web = Web(cls.rig, cls.filter)
        cls.filter.grant("a@example.org")

    def status(self, *args):
        done = self.filter.ctl("status", "--json", *args, check=False)
        return done.returncode, json.loads(done.stdout)

    def wait_status(self, code, want):
        wait_for(lambda: (lambda s: (s[0], problems(s[1])))(self.status()) ==
                 (code, want), 30, f"status {code} {want}, not "
                 f"{self.status()}")

    def test_1_well(self):
        self.wait_status(0, {"consent-milter": [], "consent-web": []})
        client = self.filter.client()
        self.addCleanup(client.close)
        client.connect()
        client.mail("<news@news.example.com>")
        client.rcpt("<a@example.org>")
        client.rcpt("<b@example.org>")
        code, document = self.status("consent-milter")
        self.assertEqual(code, 0)
        [daemon] = document["daemons"]
        said = daemon["status"]
        self.assertEqual(daemon["socket"], self.filter.settings["control"])
        self.assertEqual(said["format"], 1)
        self.assertEqual(said["pid"], self.filter.service.pid)
        self.assertEqual(said["mode"], "enforce")
        self.assertEqual(said["lists"],
                         {"enforce": 1, "observe": 0, "others": []})
        self.assertEqual(said["config"]["file"], self.filter.config_path)
        self.assertEqual(said["connections"], 1)
        self.assertEqual((said["decisions"]["accept"],
                          said["decisions"]["reject"]), (1, 1))
        self.assertEqual(said["store"]["breaker"], "closed")
        self.assertRegex(said["store"]["why"], r"^(Redis|Valkey) [0-9.]+ at unix:")
        [journal] = said["journals"]
        self.assertEqual(journal["name"], "decisions")
        # Two decisions behind the entry that begins the segment; a checkpoint
        # may follow.
        self.assertGreaterEqual(journal["seq"], 3)
        self.assertGreater(journal["bytes"], 500)
        self.assertLessEqual(said["limits"]["recipients"], 10000)
        # Nobody's address, whatever happened.
        self.assertNotIn("example.org", json.dumps(said))

    def test_1_for_people(self):
        text = self.filter.ctl("status").stdout
        self.assertRegex(text, r"(?m)^consent-milter \S+: running since \S+ "
                         r"\(.* s\), process \d+, mode enforce$")
        self.assertRegex(text, r"(?m)^consent-web \S+: running since ")
        self.assertRegex(text, r"(?m)^  store          reachable since \S+: "
                         r"(Redis|Valkey) ")
        self.assertRegex(text, r"(?m)^  configuration  /.*, generation \d+, ")
        self.assertNotIn("PROBLEMS", text)

    def test_1_modes_of_lists(self):
        lists = self.filter.settings["lists"]
        many = [{**lists[0], "id": f"daily{i}",
                 "match": [{"sender": f"daily{i}@example.com"}]}
                for i in range(7)]
        for n, names in ((1, "daily0"),
                         (5, "daily0, daily1, daily2, daily3, daily4"),
                         (7, "daily0, daily1, daily2, daily3, daily4 and 2 "
                             "more")):
            for mode, of_list in (("enforce", "observe"),
                                  ("observe", "enforce")):
                self.filter.reload(mode=mode, lists=[
                    lists[0], *[{**one, "mode": of_list}
                                for one in many[:n]]])
                self.assertEqual(self.filter.control()["lists"], {
                    mode: 1, of_list: n,
                    "others": [one["id"] for one in many[:n]]})
                self.assertIn(
                    f"mode {mode}, but {n} of {n + 1} lists in mode "
                    f"{of_list} ({names})\n",
                    self.filter.ctl("status", "consent-milter").stdout)
        self.filter.reload(mode="enforce", lists=lists)

    def test_1_as_many_lists_as_there_may_be(self):
        lists = self.filter.settings["lists"]
        others = [f"a-name-as-long-as-it-may-be-{i:04}" for i in range(999)]
        self.filter.reload(lists=[lists[0], *[{
            **lists[0], "id": id_, "mode": "observe",
            "match": [{"sender": f"{id_}@example.com"}]} for id_ in others]])
        self.assertEqual(self.status("consent-milter")[1]["daemons"][0][
            "status"]["lists"]["others"], others)
        self.filter.reload(lists=lists)

    def test_2_redis_stops(self):
        self.redis.stop()
        try:
            self.wait_status(1, {"consent-milter": ["store-unreachable"],
                                 "consent-web": ["store-unreachable",
                                                 "redis-behind"]})
            done = self.filter.ctl("status", "consent-milter", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stdout, r"(?m)^  store          NOT "
                             r"reachable since \S+: .*redis\.sock")
            self.assertRegex(done.stdout,
                             r"(?m)^  PROBLEMS       store-unreachable$")
            store = self.filter.control()["store"]
            self.assertEqual(store["breaker"], "open")
            self.assertEqual(store["opened"], 1)
            self.assertGreater(store["failures"]["connect"], 0)
        finally:
            self.redis.start()
        self.wait_status(0, {"consent-milter": [], "consent-web": []})
        store = self.filter.control()["store"]
        self.assertEqual((store["opened"], store["closed"]), (1, 2))

    def test_2_reload(self):
        before = self.filter.control()["config"]["generation"]
        with open(self.filter.config_path, encoding="utf-8") as f:
            good = f.read()
        self.filter.write_config(good + "moda = 1;\n")
        self.addCleanup(self.filter.write_config, good)
        self.filter.signal_reload()
        self.web.service.signal(signal.SIGUSR1)
        # consentctl reads the same file.
        wait_for(lambda: "reload refused" in self.web.log(), 10, "refusal")
        said = self.filter.control()
        self.assertEqual(said["problems"], ["reload-refused"])
        self.assertEqual(said["config"]["generation"], before)
        self.assertRegex(said["config"]["error"], r"^/.*:\d+: moda: unknown key")
        self.assertIsNotNone(said["config"]["refused"])
        self.filter.write_config(good)
        done = self.filter.ctl("status", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout.count("the last reload was refused "), 2)
        self.filter.signal_reload()
        self.web.service.signal(signal.SIGUSR1)
        self.wait_status(0, {"consent-milter": [], "consent-web": []})
        said = self.filter.control()
        self.assertEqual(said["config"]["generation"], before + 1)
        self.assertIsNone(said["config"]["refused"])

    def test_3_hostile_peers(self):
        """Those who do not read, do not leave, or write keep nobody
        waiting."""
        path = self.filter.settings["control"]
        peers = [connect(path, 10) for _ in range(200)]
        for peer in peers:
            self.addCleanup(peer.close)
        for peer in peers[::2]:
            try:
                peer.sendall(b"\0" * 1000)
            except OSError:     # it has hung up already
                pass
        in_threads(8, lambda i: [self.filter.control() for _ in range(20)])
        client = self.filter.client()
        self.addCleanup(client.close)
        client.connect()
        client.mail("<news@news.example.com>")
        self.assertEqual(client.rcpt("<a@example.org>").kind, "continue")

    def test_3_mode_and_a_living_socket(self):
        path = self.filter.settings["control"]
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o660)
        # Another filter with the same control socket runs without it.
        other = Filter(self.rig, self.redis, control=path)
        self.assertRegex(other.log(), r"control: \S+ is in use by a process "
                         r"that runs: `consentctl status' can't ask this")
        self.assertEqual(self.filter.control()["pid"],
                         self.filter.service.pid)
        other.stop()
        self.assertEqual(self.filter.control()["pid"],
                         self.filter.service.pid)

    def test_4_no_answer(self):
        self.web.stop()
        done = self.filter.ctl("status", check=False)
        self.assertEqual(done.returncode, 69)
        self.assertRegex(done.stdout, "(?m)^consent-web: no answer$")
        self.assertRegex(done.stdout, "(?m)^consent-milter .*: running since")
        self.assertIn("web.control: No such file", done.stderr)
        code, document = self.status()
        self.assertEqual(code, 69)
        self.assertIsNone(document["daemons"][1]["status"])
        self.assertIn("web.control", document["daemons"][1]["error"])
        # Who does not want to hear of it does not.
        self.assertEqual(self.status("consent-milter")[0], 0)
        self.web.start()
        self.wait_status(0, {"consent-milter": [], "consent-web": []})

    def test_5_killed(self):
        """What kill -9 leaves behind is replaced."""
        path = self.filter.settings["control"]
        self.filter.kill9()
        self.assertTrue(os.path.exists(path))
        done = self.filter.ctl("status", "consent-milter", check=False)
        self.assertEqual(done.returncode, 69)
        self.assertIn("Connection refused", done.stderr)
        self.filter.start()
        self.assertEqual(self.filter.control()["pid"],
                         self.filter.service.pid)
        self.assertEqual(self.status()[0], 0)
        # A stop takes it away.
        self.filter.stop()
        self.assertFalse(os.path.exists(path))
        self.filter.start()


class Impostor(TestCase):
    """Whoever answers in the place of a daemon."""

    @classmethod
    def set_up_rig(cls):
        cls.filter = Filter(cls.rig, None, start=False)

    def ask(self, answer):
        path = self.filter.settings["control"]
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        s = socket.socket(socket.AF_UNIX)
        s.bind(path)
        s.listen()
        self.addCleanup(s.close)

        def serve():
            peer, _ = s.accept()
            with peer:
                try:
                    peer.sendall(answer)
                except OSError:
                    pass
        thread = threading.Thread(target=serve)
        thread.start()
        done = self.filter.ctl("status", "consent-milter", check=False)
        thread.join()
        return done

    def check(self, answer, word):
        done = self.ask(answer)
        self.assertEqual((done.returncode, done.stdout),
                         (69, "consent-milter: no answer\n"))
        self.assertIn(word, done.stderr)

    def test_nothing(self):
        self.check(b"", "no answer")

    def test_no_json(self):
        self.check(b"hello\n", "can't be read")

    def test_another_format(self):
        self.check(b'{"format":2}', "has format 2, and this consentctl")

    def test_another_program(self):
        self.check(b'{"format":1,"program":"consent-web"}', "not that of")

    def test_no_end(self):
        self.check(b"[" * 1000000, "has no end")

    def test_older_filter(self):
        """It does not say which lists, and another one not all."""
        for others, names in (("", ""), (',"others":["a"]', " (a and 2 more)"),
                              (',"others":["a","b","c","d"]', " (a, b, c)"),
                              (',"others":[1]', "")):
            done = self.ask(
                b'{"format":1,"program":"consent-milter","mode":"enforce",'
                b'"lists":{"enforce":1,"observe":3%s},"problems":[]}' %
                others.encode())
            self.assertIn(f", but 3 of 4 lists in mode observe{names}\n",
                          done.stdout)

    def test_control_characters(self):
        done = self.ask(b'{"format":1,"program":"consent-milter",'
                        b'"version":"\\u001b[31m","problems":["x\\u0007"]}')
        self.assertEqual(done.returncode, 1)
        self.assertIn("consent-milter ?[31m: running", done.stdout)
        self.assertRegex(done.stdout, r"(?m)^  PROBLEMS       x\?$")


class Options(TestCase):
    def test_usage(self):
        filter_ = Filter(self.rig, None, start=False)
        for args, code, word in (
                (["consent-wep"], 64, 'there is no daemon "consent-wep"'),
                (["--yes"], 64, "unknown option '--yes'"),
                (["--help"], 0, "")):
            done = filter_.ctl("status", *args, check=False)
            self.assertEqual(done.returncode, code)
            self.assertIn(word, done.stderr)
        filter_.settings["control"] = ""
        filter_.settings["web"] = {"control": ""}
        filter_.write_config()
        done = filter_.ctl("status", check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn("nobody can be asked", done.stderr)

    def test_versions(self):
        self.assertIn("libmicrohttpd ", run([program("consent-milter"),
                                             "-V"]).stdout)


if __name__ == "__main__":
    import unittest
    unittest.main()
