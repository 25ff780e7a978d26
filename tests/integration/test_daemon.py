# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The filter as a daemon: privileges, background, a stop in mid-work."""
import glob
import grp
import os
import pwd
import shutil
import signal
import subprocess
import threading
import time

from rig import (Closed, Filter, Redis, Service, TestCase, program, read_text,
                 run, wait_for, write_file)

NOBODY = pwd.getpwnam("nobody")


def status(pid):
    return dict(line.split(":\t", 1) for line in read_text(
        f"/proc/{pid}/status").splitlines() if ":\t" in line)


class Privileges(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, start=False, user="nobody")
        # as README.md says: the state directory belongs to the user
        os.chown(cls.filter.audit_dir, NOBODY.pw_uid, NOBODY.pw_gid)
        cls.filter.ctl("keygen")
        shutil.rmtree(cls.filter.keys_dir)
        cls.filter.ctl("keygen")
        # root loads consents before the daemon ever ran
        cls.filter.grant("ann@example.org")
        cls.filter.start()

    def test_root_is_gone_for_good(self):
        s = status(self.filter.service.popen.pid)
        self.assertEqual(set(s["Uid"].split()), {str(NOBODY.pw_uid)})
        self.assertEqual(set(s["Gid"].split()), {str(NOBODY.pw_gid)})
        for name in ("CapEff", "CapPrm", "CapInh"):
            self.assertEqual(int(s[name], 16), 0, name)

    def test_it_works_and_its_files_are_its_own(self):
        with self.filter.client() as client:
            client.mail("<n@news.example.com>")
            self.assertEqual(client.rcpt("<ann@example.org>").kind,
                             "continue")
        for path in glob.glob(f"{self.filter.audit_dir}/**", recursive=True):
            st = os.stat(path)
            self.assertEqual(st.st_uid, NOBODY.pw_uid, path)
            self.assertEqual(st.st_mode & 0o007, 0, path)
        for path in glob.glob(f"{self.filter.keys_dir}/*"):
            self.assertEqual(os.stat(path).st_uid, NOBODY.pw_uid, path)

    def test_reload_without_root(self):
        self.assertIn("reloaded", self.filter.reload(mode="observe"))
        self.assertIn("reloaded", self.filter.reload(mode="enforce"))

    def test_changes_by_root_while_it_runs(self):
        self.filter.withdraw("ann@example.org")
        with self.filter.client() as client:
            client.mail("<n@news.example.com>")
            self.assertEqual(client.rcpt("<ann@example.org>").text[:3],
                             "550")
        self.filter.grant("ann@example.org")


class Daemon(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, start=False)
        cls.filter.grant("ann@example.org")

    def pids(self):
        found = []
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                words = read_text(path).split("\0")
            except OSError:
                continue
            if words[0].endswith("consent-milter") and \
                    self.filter.config_path in words:
                found.append(int(path.split("/")[2]))
        return found

    def test_background(self):
        """The command comes back when the filter serves."""
        done = subprocess.run([program("consent-milter"), "-c",
                               self.filter.config_path], timeout=30,
                              stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0)
        pids = self.pids()
        self.assertEqual(len(pids), 1)
        try:
            with self.filter.client() as client:
                client.mail("<n@news.example.com>")
                self.assertEqual(client.rcpt("<ann@example.org>").kind,
                                 "continue")
            for fd in (0, 1, 2):
                self.assertEqual(os.readlink(f"/proc/{pids[0]}/fd/{fd}"),
                                 "/dev/null")
        finally:
            os.kill(pids[0], signal.SIGKILL)
            wait_for(lambda: not self.pids())

    def test_failure_is_told_to_who_started_it(self):
        done = subprocess.run([program("consent-milter"), "-c",
                               self.filter.config_path + ".missing"],
                              timeout=30, capture_output=True, text=True)
        self.assertEqual(done.returncode, 78)
        self.assertIn(".missing", done.stderr)
        good = dict(self.filter.settings)
        self.filter.settings["socket"] = "unix:/nonexistent/dir/m.sock"
        self.filter.write_config()
        # libmilter's children may keep stderr open: ask for the code alone
        done = subprocess.run([program("consent-milter"), "-c",
                               self.filter.config_path], timeout=30,
                              stderr=subprocess.DEVNULL)
        self.filter.settings = good
        self.filter.write_config()
        self.assertEqual(done.returncode, 78)

    def test_stop_finishes_what_is_in_flight(self):
        self.filter.settings["redis"]["timeout_ms"] = 2000
        self.filter.write_config()
        self.filter.start()
        answers = []

        def ask():
            with self.filter.client() as client:
                client.mail("<n@news.example.com>")
                answers.append(client.rcpt("<ann@example.org>"))
        with self.filter.client() as client:    # the store is known to work
            client.mail("<n@news.example.com>")
            client.rcpt("<ann@example.org>")
        self.redis.sigstop()
        thread = threading.Thread(target=ask)
        thread.start()
        time.sleep(0.3)
        stopper = threading.Thread(target=self.filter.stop)
        stopper.start()
        time.sleep(0.3)
        self.redis.cont()
        thread.join()
        stopper.join()
        self.assertEqual([a.kind for a in answers], ["continue"])
        self.assertEqual(self.filter.service.popen.returncode, 0)


# libmilter with the fault that its pool sometimes has: it is told to stop, and
# never ends.
STUCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>

int smfi_main(void);

int
smfi_main(void)
{
	int (*real)(void);

	*(void **)&real = dlsym(RTLD_NEXT, "smfi_main");
	(void)real();
	for (;;)
		(void)pause();
}
"""


class Stuck(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, start=False)
        cls.filter.grant("ann@example.org")
        source = cls.rig.path("stuck.c")
        cls.library = cls.rig.path("stuck.so")
        write_file(source, STUCK)
        run(["cc", "-shared", "-fPIC", "-o", cls.library, source, "-ldl"])

    def test_stop_without_libmilter(self):
        """It leaves all the same, with its log complete and on disk."""
        env = {**os.environ, "LD_PRELOAD": self.library,
               "ASAN_OPTIONS": "verify_asan_link_order=0:" +
               os.environ.get("ASAN_OPTIONS", "")}
        f = self.filter
        f.service = Service([program("consent-milter"), "-f", "-c",
                             f.config_path], f.log_path, env=env)
        f.service.wait_ready(lambda: "listens on" in f.log(), 30)
        with f.client() as client:
            client.mail("<n@news.example.com>")
            for _ in range(2):
                self.assertEqual(client.rcpt("<ann@example.org>").kind,
                                 "continue")
            start = time.monotonic()
            self.assertEqual(f.stop(), 0)
            self.assertGreater(time.monotonic() - start, 9)
            # Mail under way is deferred: its connection breaks.
            self.assertRaises((Closed, OSError), client.rcpt,
                              "<bob@example.org>")
        self.assertRegex(f.log(), "libmilter has not ended 10 seconds after "
                         "it was told to: leaving without it, with 1 "
                         "connections of MTAs open")
        self.assertTrue(f.log().rstrip().endswith("stopped"), f.log())
        self.assertEqual(len(f.decisions()), 2)
        # One with the first decision, and one at the end.
        self.assertEqual(f.log().count("checkpoint journal=decisions"), 2)
        f.ctl("verify")
        f.start()
        f.stop()


class SocketRights(TestCase):
    def test_postfix_gets_in_without_a_setting(self):
        redis = Redis(self.rig)
        filter = Filter(self.rig, redis, socket_mode=None)
        st = os.stat(filter.address)
        self.assertEqual((st.st_gid, st.st_mode & 0o777),
                         (grp.getgrnam("postfix").gr_gid, 0o660))
        filter.reload(socket_mode="0600")
        filter.wait_log("socket changed: takes effect after a restart")
        filter.restart()
        self.assertEqual(os.stat(filter.address).st_mode & 0o777, 0o600)


class Acl(TestCase):
    """The users of conf/redis-acl.conf: the filter reads, consentctl writes."""

    @classmethod
    def set_up_rig(cls):
        conf = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                            "..", "..", "conf", "redis-acl.conf")
        users = [line.replace("CHANGE-ME", "secret")
                 for line in read_text(conf).splitlines()
                 if line.startswith("user ")]
        cls.redis = Redis(cls.rig, options=users)
        password = cls.rig.path("password")
        with open(password, "w") as f:
            f.write("secret\n")
        os.chmod(password, 0o600)
        cls.filter = Filter(cls.rig, cls.redis, redis={
            "username": "consent-milter", "password_file": password,
            "writer_username": "consentctl",
            "writer_password_file": password})

    def rcpt(self):
        with self.filter.client() as client:
            client.mail("<n@news.example.com>")
            return client.rcpt("<ann@example.org>")

    def test_life_under_the_acl(self):
        self.filter.grant("ann@example.org", source="shop")
        self.assertEqual(self.rcpt().kind, "continue")
        self.assertIn("shop", self.filter.ctl("show",
                                              "ann@example.org").stdout)
        self.filter.withdraw("ann@example.org")
        self.assertEqual(self.rcpt().text[:9], "550 5.7.1")
        self.filter.ctl("rebuild")

    def test_the_filter_s_user_can_not_write(self):
        done = Filter(self.rig, self.redis, start=False, redis={
            **self.filter.settings["redis"], "writer_username": None,
            "writer_password_file": None}).ctl(
                "grant", "--list", "weekly", "bob@example.org", check=False)
        self.assertEqual(done.returncode, 75, done.stderr)
        self.assertIn("NOPERM", done.stderr)
