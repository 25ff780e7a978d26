# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""consentctl doctor: a good set-up, and the mistakes that admins make, each made
for real and told by the name of its check."""
import contextlib
import datetime
import glob
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import time

from rig import (Authority, Cluster, Filter, OpenDkim, Postfix, Redis,
                 Sentinels, Sink, TestCase, Web, free_ports, make_message)
from rig.filter import libconfig, merge, program
from rig.process import read_text, run, wait_for, write_file

AREAS = ("configuration rules files redis ledger clock daemons units postfix "
         "sendmail").split()
ACL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                   "conf", "redis-acl.conf")
HERE = "https://localhost/u/"

SENDMAIL = """\
DMexample.org
O InputMailFilters=%s
O Milter.LogLevel=9
Xconsent, S=unix:%s, %s
Xopendkim, S=local:/run/opendkim/opendkim.sock, F=T
"""


def acl_users(password):
    """The users of conf/redis-acl.conf."""
    return [line.replace("CHANGE-ME", password) for line in
            read_text(ACL).splitlines() if line.startswith("user ")]


class DoctorCase(TestCase):
    """cls.filter's configuration is looked at, or changes of it."""

    numbers = iter(range(1000))

    @classmethod
    def write(cls, changes, text=None):
        """A configuration of its own for these changes."""
        path = os.path.join(cls.filter.dir, f"variant{next(cls.numbers)}.conf")
        write_file(path, text if text is not None else "".join(
            f"{k} = {libconfig(v)};\n" for k, v in merge(
                cls.filter.settings, changes).items()))
        return path

    @classmethod
    def ask(cls, areas, *options, config=None, json_=True, user=None):
        """Returns the exit code and the findings, or the text."""
        argv = [program("consentctl"), "-c", config or cls.filter.config_path,
                "doctor", *options]
        for area in AREAS:
            if areas is not None and area not in areas.split():
                argv += ["--skip", area]
        done = subprocess.run(argv + (["--json"] if json_ else []),
                              capture_output=True, text=True, timeout=60,
                              user=user, stdin=subprocess.DEVNULL)
        if done.stderr or done.returncode not in (0, 1):
            raise AssertionError(f"{argv}: {done.returncode}\n{done.stderr}"
                                 f"{done.stdout}")
        if not json_:
            return done.returncode, done.stdout
        return done.returncode, json.loads(done.stdout)["checks"]

    def assert_tells(self, found, check, status, text=".", fix="."):
        """One finding is this, and its fixes."""
        self.assertIn(check, {c["check"] for c in found})
        worst = [c for c in found if c["check"] == check and
                 c["status"] == status]
        self.assertTrue(worst, [c for c in found if c["check"] == check])
        self.assertTrue(any(re.search(text, c["text"]) for c in worst), worst)
        if status != "ok" and fix:
            self.assertTrue(any(re.search(fix, "\n".join(c["fixes"]))
                                for c in worst), worst)

    def assert_mistake(self, answer, check, status, text=".", fix=".",
                       also=()):
        """The mistake is told, and no other is invented."""
        code, found = answer
        self.assert_tells(found, check, status, text, fix)
        wrong = {c["check"] for c in found if c["status"] == "fail"}
        self.assertLessEqual(wrong, {check, *also}, found)
        self.assertEqual(code, 1 if wrong else 0)


class Doctor(DoctorCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig, options=[
            "appendonly yes", "enable-protected-configs yes",
            *acl_users("rig-password")])
        for name in ("filter", "writer", "web"):
            write_file(cls.rig.path(name + ".password"), "rig-password\n",
                       0o600)
        cls.filter = Filter(cls.rig, cls.redis, redis={
            "username": "consent-milter",
            "password_file": cls.rig.path("filter.password"),
            "writer_username": "consentctl",
            "writer_password_file": cls.rig.path("writer.password")}, web={
                "redis_username": "consent-web",
                "redis_password_file": cls.rig.path("web.password")},
            unsubscribe={"url": HERE})
        cls.web = Web(cls.rig, cls.filter)
        cls.filter.signal_reload()
        cls.dkim = OpenDkim(cls.rig)
        cls.sink = Sink(cls.rig)
        cls.postfix = Postfix(cls.rig, cls.sink, [cls.filter, cls.dkim])
        cls.filter.grant("ann@example.org")
        cls.postfix.send("news@news.example.com", "bob@example.org",
                         make_message(to="bob@example.org"))
        wait_for(cls.filter.decisions, text="a decision in the log")

    # -- what is changed for a while

    def settings(self, areas, *options, **changes):
        return self.ask(areas, *options, config=self.write(changes))

    def with_postfix(self, *options, main=None, replace=(), master="",
                     milters=None, config=None):
        """A copy of Postfix' configuration with changes."""
        top = os.path.join(self.rig.dir, f"postfix{next(self.numbers)}")
        shutil.copytree(self.postfix.config_dir, top)
        if milters is not None:
            text = ", ".join(getattr(m, "milter", m) for m in milters)
            main = {"smtpd_milters": text, "non_smtpd_milters": text,
                    **(main or {})}
        lines = [line for line in
                 read_text(os.path.join(top, "main.cf")).splitlines()
                 if line.split(" = ")[0] not in (main or {})]
        lines += [f"{k} = {v}" for k, v in (main or {}).items()]
        write_file(os.path.join(top, "main.cf"), "\n".join(lines) + "\n")
        path = os.path.join(top, "master.cf")
        text = read_text(path) + master
        for old, new in replace:
            self.assertIn(old, text)
            text = text.replace(old, new)
        write_file(path, text)
        return self.ask("postfix", "--postfix-config", top,
                        *(options or self.opendkim()), config=config)

    def opendkim(self, name="opendkim.conf"):
        return "--opendkim-config", os.path.join(self.dkim.dir, name)

    @contextlib.contextmanager
    def mode(self, path, mode):
        before = os.stat(path).st_mode & 0o7777
        os.chmod(path, mode)
        try:
            yield
        finally:
            os.chmod(path, before)

    @contextlib.contextmanager
    def redis_set(self, *words, back):
        self.redis.call(*words)
        try:
            yield
        finally:
            for one in back if isinstance(back[0], tuple) else (back,):
                self.redis.call(*one)

    @contextlib.contextmanager
    def web_asleep(self):
        """Does not put right what is looked at."""
        self.web.service.sigstop()
        try:
            yield
        finally:
            self.web.service.cont()

    # -- good

    def test_good(self):
        code, found = self.ask(
            None, "--postfix-config", self.postfix.config_dir,
            *self.opendkim())
        self.assertEqual([c for c in found if c["status"] == "fail"], [])
        self.assertEqual(code, 0)
        # The port of the rig that no filter sees is one to think about.
        self.assertEqual({c["check"] for c in found if c["status"] == "warn"}
                         - {"clock"}, {"postfix-service"})
        self.assertGreaterEqual(sum(c["status"] == "ok" for c in found), 45)
        code, _ = self.ask("postfix", "--postfix-config",
                           self.postfix.config_dir, "--strict",
                           *self.opendkim())
        self.assertEqual(code, 1)

    def test_changes_nothing(self):
        def state():
            self.redis.call("PING")
            files = {}
            for top, _, names in os.walk(self.filter.audit_dir):
                for name in names:
                    path = os.path.join(top, name)
                    files[path] = (read_text(path), os.stat(path).st_mode,
                                   os.stat(path).st_uid)
            return files, self.redis.call("DBSIZE"), \
                self.redis.call("HGETALL", "c:applied")
        with self.web_asleep():
            before = state()
            self.ask("files redis ledger")
            self.assertEqual(state(), before)

    def test_text(self):
        code, text = self.ask("configuration", json_=False)
        self.assertEqual(code, 0)
        self.assertNotIn("ok   ", text)
        self.assertRegex(text, r"0 wrong, 0 to think about, 0 not looked at, "
                         r"\d+ good \(--verbose shows them\)\nFor a probe .* "
                         r"consentctl selftest")
        code, text = self.ask("configuration", "--verbose", json_=False)
        self.assertRegex(text, "(?m)^ok +mode +the filter enforces$")
        code, text = self.ask("configuration", "--verbose", json_=False,
                              config=self.write({"mode": "observe",
                                                 "unsubscribe": {
                                  "url": "https://news.example.com/u/"}}))
        # What is wrong first, then what to think about.
        self.assertRegex(text, r"^FAIL  unsubscribe-url .*\n      fix: .*\n"
                         r"warn  mode .*\n      fix: ")

    def test_usage(self):
        for words in (["--skip", "rediss"], ["--nonsense"], ["x"]):
            done = self.filter.ctl("doctor", *words, check=False)
            self.assertEqual(done.returncode, 64)
        self.assertIn("did you mean redis?", self.filter.ctl(
            "doctor", "--skip", "rediss", check=False).stderr)

    # -- the configuration

    def test_configuration(self):
        two = [{"id": "daily", "name": "Daily",
                "match": [{"sender": "*@news.example.com"}]},
               {"id": "weekly", "name": "Weekly", "match": [
                   {"sender": "weekly@news.example.com",
                    "client": "192.0.2.1"}]}]
        # Without header keys comes before all with them.
        early = [{"id": "weekly", "name": "Weekly", "match": [
            {"sender": "weekly@news.example.com", "header": "List-Id"}]},
            two[0]]
        twice = [{**two[0]}, {**two[1], "match": two[1]["match"] + [
            {"sender": "*@weekly.example.com"}]}]
        weekly = self.filter.settings["lists"][0]
        for changes, check, status, text, fix in (
                ({"mode": "observe"}, "mode", "warn", "only observes",
                 'mode = "enforce"'),
                ({"lists": [{**weekly, "mode": "observe"}]}, "mode", "warn",
                 "only observes ", 'mode = "enforce"'),
                ({"on_store_failure": "accept"}, "store-failure", "warn",
                 "unchecked", "tempfail"),
                ({"on_store_failure": "reject"}, "store-failure", "warn",
                 "for good", "tempfail"),
                ({"bulk": {"unlisted": "accept"}}, "unlisted-bulk", "warn",
                 "unchecked", "reject"),
                ({"unsubscribe": {"url": "https://news.example.com/u/"}},
                 "unsubscribe-url", "fail", "sample's", "url = "),
                # Longer than a label may be, so that no resolver is asked.
                ({"unsubscribe": {"url": f"https://{'x' * 64}.se/u/"}},
                 "unsubscribe-host", "fail", "no address", "DNS: x"),
                ({"unsubscribe": {"existing": "keep"}}, "existing-links",
                 "warn", "not recorded here", '"replace"'),
                ({"controller": {"email": None}}, "controller", "warn",
                 "controller.email is missing", "email = "),
                ({"lists": [{**weekly, "double_opt_in": True}]},
                 "double-opt-in", "warn", "weekly", "confirmation = "),
                ({"lists": two}, "lists", "fail", '"weekly"', "match = "),
                ({"lists": early}, "lists", "fail", '"weekly"', "match = "),
                ({"lists": twice}, "rules", "warn",
                 "weekly:match:1 never decides: daily:match:1", "narrower"),
                ({"exempt": [{"sender": "*.example.com"}]}, "rules", "warn",
                 "weekly:match:1 never decides: exempt:1", "narrower"),
                ({"web": {"url": "https://localhost/my/"}, "mail": {
                    "from": "news@localhost.se",
                    "envelope_sender": "bounces@news.example.com"}},
                 "envelope-sender", "fail", "weekly:match:1",
                 "envelope_sender"),
                ({"user": "nobody-here"}, "configuration", "fail",
                 "nobody-here", "consent-milter -t")):
            with self.subTest(check=check, text=text):
                self.assert_mistake(
                    self.settings("configuration rules", **changes), check,
                    status, text, fix)

    def test_rules_beside_each_other(self):
        """What only looks like a shadow."""
        for first, second in (
                ({"sender": "a*@x.se"}, {"sender": "*@x.se"}),
                ({"sender": "?@x.se"}, {"sender": "*@x.se"}),
                ({"sender": "*@x.se", "client": "192.0.2.0/24"},
                 {"sender": "a@x.se"}),
                ({"sender": "*@x.se", "client": "192.0.2.0/24"},
                 {"sender": "a@x.se", "client": "192.0.2.0/23"}),
                ({"sender": "*@x.se", "header": "X-A"}, {"sender": "a@x.se"}),
                ({"header": "X-A", "value": "1"}, {"header": "X-A"}),
                ({"sender": "*@x.se", "without": "X-A"},
                 {"sender": "*@x.se", "header": "X-B"})):
            code, found = self.settings("rules", lists=[
                {"id": "one", "name": "One", "match": [first]},
                {"id": "two", "name": "Two", "match": [second]}])
            with self.subTest(first=first, second=second):
                self.assertEqual(code, 0)
                self.assert_tells(found, "rules", "ok")

    def test_unreadable_configuration(self):
        path = self.write({}, "mode = \"enforced\";\nredis_url = 1;\n")
        code, found = self.ask("configuration postfix", "--postfix-config",
                               self.postfix.config_dir, config=path)
        self.assertEqual(code, 1)
        self.assert_tells(found, "configuration", "fail",
                          "variant.*:1: .*enforce", "")
        self.assert_tells(found, "configuration", "fail", ":2: ",
                          "consent-milter -t")
        # It goes on with what it can.
        self.assert_tells(found, "postfix-action", "ok")
        code, found = self.ask("", config=self.rig.path("nowhere.conf"))
        self.assertEqual(code, 1)
        self.assert_tells(found, "configuration", "fail", "No such file",
                          "consentctl -c FILE")

    # -- files

    def test_files(self):
        key = os.path.join(self.filter.keys_dir, "pseudonym.key")
        for path, mode, check, text, fix in (
                (self.filter.config_path, 0o666, "config-file", "0666",
                 "chmod go-w"),
                (key, 0o644, "keys", "others can read it", "chmod 0640"),
                (os.path.join(self.filter.keys_dir, "token-0.key"), 0o604,
                 "keys", "token-0.key", "chmod"),
                (self.rig.path("writer.password"), 0o644, "secrets",
                 "writer.password", "chmod 0640"),
                # This one is read with the configuration.
                (self.rig.path("filter.password"), 0o644, "configuration",
                 "by everybody", ".")):
            with self.subTest(path=path), self.mode(path, mode):
                self.assert_mistake(self.ask("files"), check, "fail", text,
                                    fix)

    def test_key_gone_or_another(self):
        key = os.path.join(self.filter.keys_dir, "pseudonym.key")
        os.rename(key, key + ".old")
        try:
            self.assert_mistake(self.ask("files"), "keys", "fail",
                                "pseudonym.key is not there.*nobody's consent",
                                "backup")
            # keygen makes none beside a ledger.
            with open(key, "w", opener=lambda path, flags: os.open(
                    path, flags, 0o600)) as f:
                f.write(secrets.token_hex(32) + "\n")
            then = time.time() + 60
            os.utime(key, (then, then))
            self.assert_mistake(self.ask("files"), "key-age", "warn",
                                "newer than the ledger's first event",
                                "consentctl show", also=["key-match"])
            # The log has addresses as they are, so that it is certain.
            self.assert_mistake(self.ask("files"), "key-match", "fail",
                                "filter uses another", "backup")
        finally:
            os.rename(key + ".old", key)

    def test_not_the_daemons(self):
        """Root's files, where the daemons are not root."""
        config = self.write({"user": "nobody"})
        with self.mode(self.filter.keys_dir, 0o755):
            code, found = self.ask("files", config=config)
        self.assertEqual(code, 1)
        self.assert_tells(found, "keys", "fail", "can't be read by the "
                          'daemons\' user "nobody"', "chgrp")
        self.assert_tells(found, "secrets", "fail", "filter.password")
        nobody = pwd.getpwnam("nobody")
        ledger = os.path.join(self.filter.audit_dir, "ledger")
        paths = [self.filter.audit_dir, *glob.glob(
            os.path.join(self.filter.audit_dir, "**"), recursive=True),
            *glob.glob(os.path.join(self.filter.audit_dir, ".*")),
            *glob.glob(os.path.join(ledger, ".*"))]
        try:
            for path in paths:
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
            code, found = self.ask("ledger", config=config)
            self.assert_tells(found, "owner", "ok")
            last = sorted(glob.glob(os.path.join(ledger, "*.jsonl")))[-1]
            os.chown(last, 0, 0)
            self.assert_mistake(self.ask("ledger", config=config), "owner",
                                "fail", re.escape(last), "chown nobody: " +
                                re.escape(last))
        finally:
            for path in paths:
                os.chown(path, 0, 0)

    def test_as_nobody(self):
        """What an ordinary user may not look at, it says; and no more."""
        os.chmod(self.filter.dir, 0o755)
        config = self.write({"redis": {"password_file": None,
                                       "username": None}})
        with self.mode(self.filter.keys_dir, 0o700), \
                self.mode(self.filter.audit_dir, 0o700):
            code, found = self.ask("files ledger", config=config,
                                   user="nobody")
        for check in ("keys", "owner"):
            self.assert_tells(found, check, "skipped", "can't be looked at",
                              "run it as root")
        self.assertEqual([c for c in found if c["status"] == "fail"], [])
        # The password can't be read either, and so not the configuration.
        code, found = self.ask("files", user="nobody")
        self.assertEqual(code, 0)
        self.assert_tells(found, "configuration", "skipped", "filter.password",
                          "run it as root")

    # -- Redis

    def test_redis_away(self):
        self.assert_mistake(
            self.settings("redis", redis={"url": "unix:/nowhere.sock"}),
            "redis", "fail", "No such file", "systemctl start redis-server")
        write_file(self.rig.path("wrong.password"), "wrong\n", 0o600)
        wrong = self.rig.path("wrong.password")
        self.assert_mistake(
            self.settings("redis", redis={"password_file": wrong}),
            "redis", "fail", "WRONGPASS", "ACL LIST")
        self.assert_mistake(
            self.settings("redis", redis={"writer_password_file": wrong}),
            "redis-acl-writer", "fail", "WRONGPASS", "writer_password_file")
        self.assert_mistake(
            self.settings("redis", redis={"wait_replicas": 1}),
            "redis-replicas", "fail", "wait_replicas wants 1",
            "wait_replicas = 0")
        self.assert_mistake(
            self.settings("redis", redis={"read_from": "unix:/nowhere.sock"}),
            "redis-read-from", "fail", "No such file", "read_from")

    def test_redis(self):
        for words, back, check, status, text, fix, also in (
                (("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"),
                 ("CONFIG", "SET", "maxmemory-policy", "noeviction"),
                 "redis-eviction", "fail", "allkeys-lru",
                 "maxmemory-policy noeviction", ()),
                (("CONFIG", "SET", "maxmemory", "1000000"),
                 ("CONFIG", "SET", "maxmemory", "0"),
                 "redis-memory", "fail", "MiB", "maxmemory",
                 ("redis-writes",)),
                (("CONFIG", "SET", "maxmemory", "1000000"),
                 ("CONFIG", "SET", "maxmemory", "0"),
                 "redis-writes", "fail", "OOM", ".", ("redis-memory",)),
                (("CONFIG", "SET", "appendonly", "no"),
                 ("CONFIG", "SET", "appendonly", "yes"),
                 "redis-persistence", "ok", "dumps", "", ()),
                (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"),
                 "redis-role", "fail", "replica", "REPLICAOF NO ONE",
                 ("redis-writes",)),
                (("CONFIG", "SET", "min-replicas-to-write", "1"),
                 ("CONFIG", "SET", "min-replicas-to-write", "0"),
                 "redis-writes", "fail", "NOREPLICAS", ".", ()),
                (("ACL", "SETUSER", "consent-milter", "+hset"),
                 ("ACL", "SETUSER", "consent-milter", "-hset"),
                 "redis-acl-filter", "warn", "may write", "redis-acl.conf",
                 ()),
                (("ACL", "SETUSER", "consentctl", "-evalsha", "-script"),
                 ("ACL", "SETUSER", "consentctl", "+evalsha",
                  "+script|load"), "redis-acl-writer", "fail",
                 r"\+evalsha \+script\|load", "ACL SETUSER", ()),
                (("ACL", "SETUSER", "consent-web", "resetkeys"),
                 ("ACL", "SETUSER", "consent-web", "~c:*"), "redis-acl-web",
                 "fail", "hset", "~c:", ()),
                (("ACL", "SETUSER", "consent-milter", "-info"),
                 ("ACL", "SETUSER", "consent-milter", "+info"), "redis",
                 "fail", "NOPERM", r"\+info", ())):
            with self.subTest(check=check, text=text), \
                    self.redis_set(*words, back=back):
                self.assert_mistake(self.ask("redis"), check, status, text,
                                    fix, also)

    def test_redis_keeps_nothing(self):
        config = self.write({"redis": {"username": None,
                                       "password_file": None}})
        with self.redis_set("CONFIG", "SET", "appendonly", "no", back=(
                "CONFIG", "SET", "appendonly", "yes")):
            self.assert_mistake(self.ask("redis", config=config),
                                "redis-persistence", "warn",
                                "keeps nothing", "appendonly yes")

    def test_redis_open(self):
        port = free_ports(1)[0]
        with self.redis_set(
                "CONFIG", "SET", "bind", "127.0.0.1 -::1", "protected-mode",
                "no", "port", str(port),
                back=("CONFIG", "SET", "bind", "127.0.0.1", "protected-mode",
                      "yes", "port", "0")):
            self.assert_tells(self.ask("redis")[1], "redis-open", "ok",
                              "this machine alone")
        # An address that this machine does not have is passed over for its -.
        with self.redis_set(
                "CONFIG", "SET", "bind", "127.0.0.1 -192.0.2.1",
                "protected-mode", "no", "port", str(port),
                back=("CONFIG", "SET", "bind", "127.0.0.1", "protected-mode",
                      "yes", "port", "0")):
            self.assert_mistake(self.ask("redis"), "redis-open", "fail",
                                "without a password", "user default off")

    def bgsave(self, status):
        self.redis.call("BGSAVE")
        wait_for(lambda: b"rdb_last_bgsave_status:" + status in
                 self.redis.call("INFO", "persistence"), text="a dump")

    def test_redis_can_not_save(self):
        top = self.rig.subdir("gone")
        for words in (("appendonly", "no"), ("dir", top),
                      ("save", "3600 1")):
            self.redis.call("CONFIG", "SET", *words)
        os.rmdir(top)
        try:
            self.bgsave(b"err")
            self.assert_mistake(
                self.ask("redis"), "redis-saving", "fail",
                "rdb_last_bgsave_status: err", "full disk",
                also=["redis-writes"])
            self.assert_mistake(
                self.ask("redis"), "redis-writes", "fail", "MISCONF",
                also=["redis-saving"])
        finally:
            self.redis.call("CONFIG", "SET", "dir", self.redis.dir)
            self.bgsave(b"ok")
            for words in (("save", ""), ("appendonly", "yes")):
                self.redis.call("CONFIG", "SET", *words)

    # -- the ledger

    @property
    def last_ledger(self):
        return sorted(glob.glob(os.path.join(
            self.filter.audit_dir, "ledger", "ledger-*.jsonl")))[-1]

    def test_ledger(self):
        with open(self.last_ledger, "rb") as f:
            text = f.read()
        name = self.redis.call("HKEYS", "c:applied")[0]
        with self.web_asleep():
            good = self.redis.call("HGET", "c:applied", name)
            try:
                for content, cursor, check, status, words, fix in (
                        (text + b'{"seq":9', good, "torn", "warn",
                         "half an entry", "dmesg"),
                        (text.replace(b'"weekly"', b'"daily!"'), good,
                         "chain", "fail", "not as it was written",
                         "consentctl verify"),
                        (text, b"0", "unapplied", "fail",
                         "1 events .* has none of it", "consentctl rebuild"),
                        (text, b"999", "unapplied", "fail",
                         "up to entry 999", "backup")):
                    with open(self.last_ledger, "r+b") as f:
                        f.write(content)
                        f.truncate()
                    self.redis.call("HSET", "c:applied", name, cursor)
                    with self.subTest(words):
                        self.assert_mistake(self.ask("ledger"), check, status,
                                            words, fix)
            finally:
                with open(self.last_ledger, "r+b") as f:
                    f.write(text)
                    f.truncate()
                self.redis.call("HSET", "c:applied", name, good)

    def test_ledger_of_another_time(self):
        """One that a clock wrote which was ahead; and none at all."""
        other = Filter(self.rig, self.redis, start=False)
        self.assert_mistake(self.ask("ledger", config=other.config_path),
                            "unapplied", "warn", "ledger is empty", "import")
        shutil.rmtree(other.audit_dir)
        self.assert_mistake(self.ask("ledger", config=other.config_path),
                            "owner", "warn", "neither daemon", "systemctl")

    def test_disk(self):
        other = Filter(self.rig, self.redis, start=False)
        run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs",
             other.audit_dir])
        self.rig.on_close(lambda: run(["umount", "-l", other.audit_dir]))
        code, found = self.ask("ledger", config=other.config_path)
        self.assert_tells(found, "disk", "ok")
        with open(os.path.join(other.audit_dir, "big"), "wb") as f:
            f.write(bytes(8 * 1024 * 1024))
        self.assert_mistake(self.ask("ledger", config=other.config_path),
                            "disk", "fail", "12 MiB left", "prune")
        # The ledger may have a disk of its own.
        ledger = self.rig.subdir("ledger")
        run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", ledger])
        self.rig.on_close(lambda: run(["umount", "-l", ledger]))
        os.unlink(os.path.join(other.audit_dir, "big"))
        self.assert_mistake(
            self.ask("ledger", config=self.write({"audit": {
                "directory": other.audit_dir, "ledger": ledger}})),
            "disk", "fail", f"{ledger} is full", "prune")
        run(["mount", "-o", "remount,ro", other.audit_dir])
        self.assert_mistake(self.ask("ledger", config=other.config_path),
                            "disk", "fail", "read-only", "remount,rw")

    def test_retention(self):
        other = Filter(self.rig, self.redis, start=False)
        write_file(os.path.join(
            other.audit_dir, "decisions-20200101-000001.jsonl"), "")
        self.assert_mistake(self.ask("ledger", config=other.config_path),
                            "retention", "warn", "decisions-20200101",
                            "consentctl prune")
        ledger = os.path.join(other.audit_dir, "ledger")
        os.mkdir(ledger)
        write_file(os.path.join(ledger, "ledger-20200101-000001.jsonl"), "")
        self.assert_mistake(self.ask("ledger", config=other.config_path),
                            "prune", "warn", r"has not run for \d\d+ days",
                            "cron: ")

    # -- daemons

    def test_daemons(self):
        port = free_ports(1)[0]
        for changes, check, text, fix, also in (
                ({"socket": "unix:/run/nobody.sock"}, "filter",
                 "nobody answers", "enable --now consent-milter", ()),
                ({"socket": "inet:%d@127.0.0.1" % self.postfix.smtp[1],
                  "socket_mode": None}, "filter", "milter protocol",
                 "ss -lp", ()),
                ({"web": {"listen": f"127.0.0.1:{port}"}}, "web",
                 "nobody answers", "enable --now consent-web", ()),
                ({"web": {"listen": "%s:%d" % self.postfix.smtp}}, "web",
                 "does not speak HTTP", "ss -lp", ()),
                ({"web": {"url": "https://localhost/my/"}, "mail": {
                    "from": "news@localhost.se",
                    "server": f"127.0.0.1:{port}"}}, "mail-server",
                 "can't send its mails", "mail = ", ()),
                ({}, "filter-config", "runs with .*consent-milter.conf",
                 "consentctl -c", ()),
                ({"user": "nobody"}, "filter-user", 'says "nobody"',
                 "start it as root", ())):
            with self.subTest(check=check, text=text):
                # Each is a file that no daemon runs with.
                self.assert_mistake(
                    self.settings("daemons", **changes), check, "fail", text,
                    fix, also=["filter-config"])

    def test_not_reloaded(self):
        path = self.filter.config_path
        with open(path, encoding="utf-8") as f:
            good = f.read()
        try:
            write_file(path, good + "# changed\n")
            found = self.ask("daemons")
            self.assert_mistake(found, "filter-reload", "warn",
                                "changed since", "reload consent-milter")
            self.assert_mistake(found, "web-reload", "warn", "changed since",
                                "reload consent-web")
            write_file(path, good + "mode = \"no\";\n")
            self.filter.signal_reload()
            write_file(path, good)
            self.assert_mistake(self.ask("daemons"), "filter-reload", "fail",
                                "refused the last one: .", "-t")
        finally:
            write_file(path, good)
            self.filter.signal_reload()
            size = len(self.web.log())
            self.web.service.signal(signal.SIGUSR1)
            wait_for(lambda: "reloaded" in self.web.log()[size:],
                     text="the reload of consent-web")
        self.assert_tells(self.ask("daemons")[1], "filter-reload", "ok")

    def test_filter_that_hangs(self):
        self.filter.service.sigstop()
        try:
            self.assert_mistake(self.ask("daemons"), "filter", "fail",
                                "no answer", "restart consent-milter")
        finally:
            self.filter.service.cont()

    # -- Postfix

    def test_postfix(self):
        ours, signer = self.filter.milter, self.dkim.milter
        submission = "submission inet n - n - - smtpd\n  -o %s\n"
        for options, check, status, text, fix, also in (
                ({"milters": [signer]}, "postfix-milter", "fail",
                 "does not have its socket",
                 f"smtpd_milters = {ours}, {signer}", ["postfix-non-smtp"]),
                ({"main": {"non_smtpd_milters": ""}}, "postfix-non-smtp",
                 "fail", "non_smtpd_milters is empty",
                 f"non_smtpd_milters = {ours}", []),
                ({"milters": [signer, ours]}, "signer-order", "fail",
                 "before the filter", "in front", []),
                ({"milters": [ours]}, "signer", "warn", "no DKIM signer",
                 "8891", []),
                ({"main": {"milter_default_action": "accept"}},
                 "postfix-action", "fail", "unchecked",
                 "milter_default_action = tempfail", []),
                ({"milters": [f"{{ {ours}, default_action = accept }}",
                              signer]}, "postfix-action", "fail",
                 "its own default_action", "default_action=tempfail", []),
                ({"main": {"milter_default_action": "reject"}},
                 "postfix-action", "warn", "for good", "tempfail", []),
                ({"main": {"milter_protocol": "2"}}, "postfix-protocol",
                 "fail", "milter_protocol is 2", "milter_protocol = 6", []),
                ({"master": submission % "smtpd_milters="},
                 "postfix-service", "fail", "service submission",
                 "below submission", []),
                ({"master": submission %
                  "receive_override_options=no_address_mappings,no_milters"},
                 "postfix-service", "fail", "no_milters", "submission", []),
                ({"master": "smtps inet n - y - - smtpd\n"},
                 "postfix-chroot", "fail", "smtps is chrooted",
                 "consent-milter/milter.sock", []),
                ({"main": {"milter_command_timeout": "5s"}},
                 "postfix-timeout", "fail", "after 5s",
                 "milter_command_timeout = 30s", []),
                ({"replace": [("  -o smtpd_sasl_auth_enable=yes\n", "")]},
                 "postfix-sasl", "fail", "nobody can log in",
                 "smtpd_sasl_auth_enable=yes", []),
                ({"main": {"smtpd_milter": "inet:127.0.0.1:8892"}},
                 "postfix-typo", "fail", "unused parameter: smtpd_milter=",
                 "no parameter of that name", []),
                ({"main": {"maximal_queue_lifetime": "10d"}},
                 "postfix-queue", "warn", "10d",
                 "maximal_queue_lifetime = 5d", []),
                ({"main": {"content_filter": "scan:127.0.0.1:10025"},
                  "replace": [("  -o smtpd_milters=\n", "")]},
                 "postfix-content", "warn", "a second time", "no_milters",
                 []),
                ({"main": {"multi_instance_directories": "/etc/postfix-out"}},
                 "postfix-instances", "warn", "/etc/postfix-out",
                 "--postfix-config", []),
                ({"main": {"smtpd_milter_maps": "cidr:/etc/postfix/m"}},
                 "postfix-maps", "warn", "cidr:", "DISABLE", [])):
            with self.subTest(check=check, text=text):
                self.assert_mistake(self.with_postfix(**options), check,
                                    status, text, fix, also)

    def test_postfix_and_ours(self):
        weekly = self.filter.settings["lists"][0]
        config = self.write({"lists": [{**weekly, "match": [
            {"daemon": "campaign"}]}]})
        self.assert_mistake(self.with_postfix(config=config),
                            "postfix-daemon", "fail", '"campaign"',
                            "milter_macro_daemon_name=NAME")
        code, found = self.with_postfix(config=config, replace=[
            ("daemon_name=ORIGINATING", "daemon_name=Campaign")])
        self.assert_tells(found, "postfix-daemon", "ok")
        with self.mode(self.filter.address, 0o600):
            self.assert_mistake(self.with_postfix(), "postfix-socket", "fail",
                                "milter.sock is in the way", "socket_group")
        with self.mode(self.filter.dir, 0o700):
            self.assert_mistake(self.with_postfix(), "postfix-socket", "fail",
                                "filter is in the way", r"chmod a\+x")

    def test_postfix_inside(self):
        """Where a content filter gives mail back."""
        line = "%s inet n - n - - smtpd\n  -o smtpd_milters=\n"
        code, found = self.with_postfix(master="".join(line % name for name in (
            "127.0.0.1:10026", "[::1]:10026", "localhost:10026",
            "127.0.0.1:submission", "192.0.2.1:10026")))
        told = [(c["status"], re.search("service (\\S+)", c["text"]).group(1))
                for c in found if c["check"] == "postfix-service"]
        self.assertEqual(told, [
            ("warn", str(self.postfix.plain[1])),
            ("fail", "127.0.0.1:submission"), ("warn", "192.0.2.1:10026")])

    def test_postfix_broken(self):
        self.assert_mistake(
            self.ask("postfix", "--postfix-config", self.rig.path("none")),
            "postfix", "fail", "No such file", "postfix check")
        self.assert_mistake(
            self.with_postfix(master="smtp inet n\n"), "postfix", "fail",
            "master.cf", "postfix check")

    def test_signer(self):
        text = read_text(os.path.join(self.dkim.dir, "opendkim.conf"))
        for n, (old, new, check, words) in enumerate((
                (r"SignHeaders .*\n.*\n", "", "signer-headers",
                 "does not sign List-Unsubscribe-Post"),
                (r"SignHeaders .*", "SignHeaders From,To,Subject",
                 "signer-headers",
                 "List-Unsubscribe and List-Unsubscribe-Post"),
                (r"SignHeaders .*", r"\g<0>\nOmitHeaders *,+List-Unsubscribe",
                 "signer-headers", "does not sign List-Unsubscribe:"),
                (r"Mode s", "Mode v", "signer-mode", "only verifies"))):
            changed = re.sub(old, new, text, count=1)
            self.assertNotEqual(changed, text)
            write_file(os.path.join(self.dkim.dir, f"{n}.conf"), changed)
            with self.subTest(words):
                self.assert_mistake(
                    self.with_postfix(*self.opendkim(f"{n}.conf")), check,
                    "fail", words, "opendkim.conf: ")
        top = self.rig.subdir("rspamd")
        os.mkdir(os.path.join(top, "local.d"))
        path = os.path.join(top, "local.d", "dkim_signing.conf")
        write_file(path, 'sign_headers = "(o)from:(x)date:list-unsubscribe";')
        milters = [self.filter.milter, "inet:localhost:11332"]
        self.assert_mistake(
            self.with_postfix("--rspamd-config", top, milters=milters),
            "signer-headers", "fail", "rspamd", "list-unsubscribe-post")
        write_file(path, "enabled = true;\n")
        code, found = self.with_postfix("--rspamd-config", top,
                                        milters=milters)
        self.assert_tells(found, "signer-headers", "ok")

    # -- Sendmail

    def test_sendmail(self):
        ours = self.filter.address
        path = self.rig.path("sendmail.cf")
        for text, check, status, words in (
                (SENDMAIL % ("consent, opendkim", ours, "F=T"),
                 "sendmail-action", "ok", "waits"),
                (SENDMAIL % ("consent, opendkim", ours, "T=R:5m"),
                 "sendmail-action", "fail", "has no F="),
                (SENDMAIL % ("consent, opendkim", ours, "F=R"),
                 "sendmail-action", "warn", "for good"),
                (SENDMAIL % ("opendkim", ours, "F=T"), "sendmail-milter",
                 "fail", "not among InputMailFilters"),
                (SENDMAIL % ("opendkim,consent", ours, "F=T"),
                 "signer-order", "fail", "before the filter"),
                (SENDMAIL % ("consent", "/elsewhere.sock", "F=T"),
                 "sendmail-milter", "fail", "no filter with our socket")):
            write_file(path, text)
            with self.subTest(words):
                self.assert_mistake(
                    self.ask("sendmail", "--sendmail-config", path,
                             *self.opendkim()), check, status, words,
                    "sendmail.mc")


class DoctorAway(DoctorCase):
    """Redis behind TLS, and behind Sentinels."""

    @classmethod
    def set_up_rig(cls):
        cls.authority = Authority(cls.rig)
        then = datetime.datetime.now(datetime.timezone.utc) + \
            datetime.timedelta(days=5)
        pem = cls.authority.issue("localhost", then.strftime("%Y%m%d%H%M%SZ"))
        cls.redis = Redis(cls.rig, tls=(pem, cls.authority.path))
        cls.filter = Filter(cls.rig, cls.redis, start=False, redis={
            "url": cls.redis.tls_url, "ca_file": cls.authority.path})

    def test_certificate(self):
        self.assert_mistake(self.ask("redis"), "redis-tls", "fail",
                            "ends in 4 days", "tls-cert-file")
        config = self.write({"redis": {"ca_file": None}})
        code, found = self.ask("redis", config=config)
        self.assertEqual(code, 1)
        self.assert_tells(found, "redis", "fail", "certificate")

    def test_sentinels(self):
        sentinels = Sentinels(self.rig, replicas=0)
        config = self.write({"redis": {
            "ca_file": None, **sentinels.settings}})
        code, found = self.ask("redis", config=config)
        self.assertEqual(code, 0, found)
        self.assertEqual([c["status"] for c in found
                          if c["check"] == "redis-sentinel"], ["ok"] * 3)
        wrong = merge(sentinels.settings, {"sentinel": {"master": "wrong"}})
        code, found = self.ask("redis", config=self.write({
            "redis": {"ca_file": None, **wrong}}))
        self.assertEqual(code, 1)
        self.assert_tells(found, "redis-sentinel", "fail", "No such master",
                          'master = "wrong"')
        sentinels.services[0].stop()
        self.assert_mistake(self.ask("redis", config=config),
                            "redis-sentinel", "warn", "refused",
                            "SENTINEL MASTERS")

    def test_cluster(self):
        cluster = Cluster(self.rig, replicas=0)
        config = self.write({"redis": {"ca_file": None, **cluster.settings}})
        code, found = self.ask("redis", config=config)
        self.assertEqual(code, 0, found)
        self.assertEqual([c["status"] for c in found
                          if c["check"] == "redis"], ["ok"] * 2)
        cluster.servers[1].call("CONFIG", "SET", "maxmemory-policy",
                                "allkeys-lru")
        self.assert_mistake(self.ask("redis", config=config),
                            "redis-eviction", "fail", "allkeys-lru")


class DoctorCluster(DoctorCase):
    """Each of 256 partitions has a cursor of its own."""

    @classmethod
    def set_up_rig(cls):
        cls.cluster = Cluster(cls.rig, replicas=0)
        cls.filter = Filter(cls.rig, start=False, redis=cls.cluster.settings)

    def cursors(self, server):
        """{key: [ledger, number]} of a node."""
        return {key: server.call("HGETALL", key)
                for key in server.call("KEYS", "c:applied:*")}

    def assert_all_there(self):
        code, found = self.ask("ledger")
        self.assertEqual(code, 0)
        self.assert_tells(found, "unapplied", "ok", "has all of the ledger")

    def test_events_that_are_missing(self):
        # The other partitions have no cursor, for they have no event.
        self.filter.grant("ann@example.org")
        self.assert_all_there()
        self.filter.grant(*[f"p{i}@example.org" for i in range(60)])
        self.filter.withdraw("ann@example.org")
        self.assert_all_there()
        has_some = [(s, c) for s in self.cluster.servers
                    if (c := self.cursors(s))]
        self.assertEqual(len(has_some), 3)

        # Redis lost the end of one partition, and one node has lost all.
        server, cursors = has_some[0]
        key, (ledger, seq) = max(cursors.items(), key=lambda c: int(c[1][1]))
        server.call("HSET", key, ledger, int(seq) - 1)
        self.assert_mistake(self.ask("ledger"), "unapplied", "warn",
                            "^1 events .*, in 1 of 256 partitions, the first "
                            "of .* on their way", "consentctl rebuild")
        server.call("HSET", key, ledger, seq)
        self.assert_all_there()
        people = len(server.call("KEYS", "c:{*"))
        server.call("FLUSHALL")
        code, found = self.ask("ledger")
        self.assertEqual(code, 0)
        self.assert_tells(found, "unapplied", "warn",
                          f"in {len(cursors)} of 256 partitions")
        [told] = [c for c in found if c["check"] == "unapplied"]
        # Ann has two events.
        self.assertIn(int(told["text"].split()[0]), (people, people + 1))
        self.filter.ctl("rebuild")
        self.assert_all_there()

        # They have all lost everything.
        for server, _ in has_some:
            server.call("FLUSHALL")
        self.assert_mistake(self.ask("ledger"), "unapplied", "fail",
                            "^62 events .* has none of it", "rebuild")
        self.filter.ctl("rebuild")
        self.assert_all_there()

        # The ledger has lost its end.
        server, cursors = has_some[1]
        key, (ledger, seq) = cursors.popitem()
        server.call("HSET", key, ledger, "999")
        self.assert_mistake(self.ask("ledger"), "unapplied", "fail",
                            "up to entry 999", "backup")
        server.call("HSET", key, ledger, "nonsense")
        self.assert_tells(self.ask("ledger")[1], "unapplied", "skipped",
                          "can't be looked at", fix=None)
        server.call("HSET", key, ledger, seq)
        self.assert_all_there()

    def test_node_that_is_away(self):
        self.filter.grant("eve@example.org")
        # It is not among those that are named.
        server = self.cluster.servers[2]
        server.sigstop()
        try:
            self.assert_tells(self.ask("ledger")[1], "unapplied", "skipped",
                              "can't be looked at", fix=None)
        finally:
            server.cont()
        self.cluster.wait_ok()
