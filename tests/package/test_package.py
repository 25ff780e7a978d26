# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The packages: what is in them, and the life of the Debian one in a clean
chroot, from the installation to the purge, with mail flowing meanwhile.

The tests go on from each other, in the order of their numbers.
"""
import glob
import os
import re
import stat
import threading

from chroot import Chroot, cut_network, enter_namespaces
from rig import (Postfix, Redis, Sink, TestCase, make_message, run,
                 wait_for)
from rig.process import accepts

HERE = os.path.dirname(os.path.abspath(__file__))
SRC = os.path.dirname(os.path.dirname(HERE))
NAME = "consent-milter"
UNITS = ("consent-milter", "consent-web")
# Of `systemd-analyze security', whose scale ends at 10: beyond this something
# that was closed is open.
EXPOSURE = 2.4

KEYS = "etc/consent-milter/keys"
STATE = "var/lib/consent-milter"
CONF = "etc/consent-milter/consent-milter.conf"
MILTER, WEB = ("127.0.0.1", 8892), ("127.0.0.1", 8092)
SENDER = "news@news.example.com"

CONTENTS = """\
etc/consent-milter/consent-milter.conf
lib/systemd/system/consent-milter.service
lib/systemd/system/consent-web.service
usr/bin/consentctl
usr/lib/sysusers.d/consent-milter.conf
usr/lib/tmpfiles.d/consent-milter.conf
usr/sbin/consent-milter
usr/sbin/consent-web
usr/share/bash-completion/completions/consentctl
usr/share/consent-milter/languages/
usr/share/doc/consent-milter/
usr/share/lintian/overrides/consent-milter
usr/share/man/man1/consentctl.1
usr/share/man/man5/consent-milter.conf.5
usr/share/man/man8/consent-milter.8
usr/share/man/man8/consent-web.8
"""


def read(path):
    with open(os.path.join(SRC, path), encoding="utf-8") as f:
        return f.read()


def version():
    return re.search(r"AC_INIT\(\[.*?\], \[(.*?)\]\)",
                     read("configure.ac")).group(1)


def unlike(paths):
    """Those of paths that CONTENTS does not tell of."""
    known = CONTENTS.split()
    return [p for p in paths
            if not any(p == k or p == k + ".gz" or
                       (k.endswith("/") and p.startswith(k)) for k in known)]


class Campaign(threading.Thread):
    """Sends a message after the other, each until it is taken or refused for
    good, as a careful client does."""

    def __init__(self, postfix, people, stranger):
        super().__init__(daemon=True)
        self._postfix, self._people = postfix, people
        self._stranger = stranger
        self._over = threading.Event()
        self.taken = []
        self.refused = self.deferred = 0
        self.wrong = []

    def run(self):
        number = 0
        while not self._over.is_set():
            number += 1
            if number % 4 == 0:
                self._send(number, self._stranger)
            else:
                self._send(number, self._people[number % len(self._people)])

    def _send(self, number, address):
        message = make_message(to=address, subject=f"Issue {number}")
        while not self._over.is_set():
            sent = self._postfix.send(SENDER, address, message)
            reply = sent.end or sent.rcpt.get(address) or sent.mail
            if reply.code // 100 == 4:
                self.deferred += 1
                # Not at once again: the filter may be starting.
                self._over.wait(0.1)
                continue
            if (reply.code == 250) == (address == self._stranger):
                self.wrong.append((address, str(reply)))
            elif reply.code == 250:
                self.taken.append(number)
            else:
                self.refused += 1
            return

    def wait_more(self, n=8):
        """Until n more have been taken and one refused."""
        taken, refused = len(self.taken), self.refused
        wait_for(lambda: self.wrong or (len(self.taken) >= taken + n and
                                        self.refused > refused), 60,
                 f"{n} more messages of the campaign")

    def end(self):
        self._over.set()
        self.join()


class Package(TestCase):
    @classmethod
    def set_up_rig(cls):
        enter_namespaces()
        cls.chroot = Chroot(cls.rig)
        cls.chroot.begin()
        cls.build_dir = os.environ["CONSENT_MILTER_BUILD"]
        cls.make_deb()
        cls.chroot.finish()
        cls.fetch_dependencies()
        cls.chroot.offer_systemd()
        # Nothing from outside is wanted any more.
        cut_network()
        cls.redis = Redis(cls.rig, tcp=True)
        cls.postfix = None

    @classmethod
    def make_deb(cls):
        jobs = os.cpu_count() or 1
        os.environ["DEB_BUILD_OPTIONS"] = \
            f"nocheck noautodbgsym parallel={jobs}"
        run(["make", "-s", "-C", cls.build_dir, "deb"], timeout=1500)
        cls.deb = glob.glob(f"{cls.build_dir}/deb/{NAME}_*.deb")[0]
        cls.tree = cls.rig.path("deb")
        run(["dpkg-deb", "-R", cls.deb, cls.tree])

    @classmethod
    def fetch_dependencies(cls):
        """The package, and an older one, are in the chroot's /root."""
        run(["cp", cls.deb, cls.chroot.path("root/new.deb")])
        old = cls.rig.path("old")
        run(["cp", "-a", cls.tree, old])
        run(["sed", "-i", r"s/^Version: .*/Version: 0.0.9-1/",
             f"{old}/DEBIAN/control"])
        # Its configuration was another, so that dpkg has to take sides.
        run(["sed", "-i", "1i # As of 0.0.9.", f"{old}/{CONF}"])
        run(["dpkg-deb", "-b", old, cls.chroot.path("root/old.deb")])
        cls.chroot.apt("install", "--download-only", "/root/old.deb")

    def wait_listens(self, *addresses):
        for address in addresses or (MILTER, WEB):
            wait_for(lambda a=address: accepts(a), 60,
                     f"somebody listens at {address}: " + "".join(
                         self.chroot.read(f"run/{u}.log") for u in UNITS))

    def proof(self):
        """The keys, and the ledger, by their bytes."""
        return self.chroot.files(KEYS, f"{STATE}/audit/ledger")

    def keys(self):
        return self.chroot.files(KEYS)

    def check_owner(self, path, mode):
        st = os.stat(self.chroot.path(path))
        owner = self.chroot.run("stat", "-c", "%U:%G", "/" + path).stdout
        self.assertEqual((owner.strip(), oct(stat.S_IMODE(st.st_mode))),
                         ("consent-milter:consent-milter", oct(mode)), path)

    # -- what is in them

    def test_00_versions(self):
        changelog = re.match(r"consent-milter \((.+)-\d+\)",
                             read("debian/changelog")).group(1)
        spec = re.search(r"^Version: +(\S+)$", read(
            "contrib/rpm/consent-milter.spec"), re.M).group(1)
        self.assertEqual((changelog, spec), (version(), version()))
        self.assertIn(f"{NAME} {version()}\n", run(
            [f"{self.tree}/usr/sbin/consent-milter", "-V"]).stdout)

    def test_01_lintian(self):
        done = run(["lintian", "--allow-root", "-i", "-E", "--pedantic",
                    "--fail-on", "error,warning",
                    *glob.glob(f"{self.build_dir}/deb/*.changes")],
                   check=False, timeout=600)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_02_contents(self):
        paths = []
        for at, _, names in os.walk(self.tree):
            for name in names:
                path = os.path.join(at, name)
                paths.append(os.path.relpath(path, self.tree))
                mode = stat.S_IMODE(os.stat(path).st_mode)
                self.assertIn(mode, (0o755, 0o644), path)
        self.assertEqual(unlike(p for p in paths
                                if not p.startswith("DEBIAN/")), [])
        for known in CONTENTS.split():
            self.assertTrue(any(p.startswith(known) for p in paths), known)
        with open(f"{self.tree}/DEBIAN/conffiles", encoding="ascii") as f:
            self.assertEqual(f.read(), f"/{CONF}\n")

    def test_03_units_are_closed(self):
        for unit in UNITS:
            path = f"{self.tree}/lib/systemd/system/{unit}.service"
            said = run(["systemd-analyze", "security", "--no-pager",
                        "--offline=true", path]).stdout
            score = re.search(r"exposure level for \S+: ([\d.]+)", said)
            self.assertLessEqual(float(score.group(1)), EXPOSURE, said)
            # It knows each line, and the program is where it says; that
            # there is nothing else in this root is said as well.
            said = run(["systemd-analyze", "verify", "--man=no",
                        f"--root={self.tree}",
                        f"{unit}.service"], check=False)
            self.assertEqual([line for line in said.stderr.splitlines()
                              if re.search(r"service:\d+:|/usr/sbin/", line)],
                             [], said.stderr)

    # -- its life

    def test_10_installs_without_redis(self):
        said = self.chroot.apt("install", "/root/old.deb").stdout
        self.assertEqual(self.chroot.status(), "install ok installed 0.0.9-1",
                         said)
        self.assertIn("made /etc/consent-milter/keys/pseudonym.key", said)
        self.check_owner(KEYS, 0o750)
        self.check_owner(f"{KEYS}/pseudonym.key", 0o600)
        self.check_owner(STATE, 0o750)
        for unit in UNITS:
            self.assertTrue(os.path.islink(self.chroot.path(
                f"etc/systemd/system/multi-user.target.wants/{unit}.service")))
        self.assertFalse(os.path.exists(self.chroot.path("etc/postfix")))
        self.assertEqual(self.chroot.run("consent-milter", "-t").stdout, "")

    def test_11_runs_as_it_comes(self):
        """Without Redis, in observe mode."""
        self.assertIn("start consent-milter.service consent-web.service",
                      self.chroot.asked_of_systemd())
        self.wait_listens()
        wait_for(lambda: "mode observe" in self.chroot.read(
            "run/consent-milter.log"), text="the filter tells its mode")
        self.check_owner(f"{STATE}/audit", 0o750)

    def test_12_upgrade_amid_a_campaign(self):
        self.configure()
        people = [f"r{n}@example.org" for n in range(20)]
        self.chroot.run("consentctl", "grant", "--list", "weekly", *people)
        self.chroot.run("consentctl", "withdraw", "--list", "weekly",
                        "out@example.org")
        self.chroot.systemctl("restart", *UNITS)
        self.wait_listens()
        sink = Sink(self.rig)
        type(self).postfix = Postfix(self.rig, sink, ["inet:127.0.0.1:8892"])
        campaign = Campaign(self.postfix, people, "out@example.org")
        campaign.start()
        try:
            campaign.wait_more()
            before, conf, pid = self.proof(), self.chroot.read(CONF), \
                self.chroot.read("run/consent-milter.pid")
            self.chroot.asked_of_systemd()
            self.chroot.apt("install", "/root/new.deb")
            asked = self.chroot.asked_of_systemd()
            campaign.wait_more()
        finally:
            campaign.end()
        self.assertRegex(asked, r"(?m)restart consent-milter\.service "
                         r"consent-web\.service$")
        self.assertNotRegex(asked, "(?m) stop ")
        self.assertNotEqual(self.chroot.read("run/consent-milter.pid"), pid)
        self.assertEqual(self.chroot.status(),
                         f"install ok installed {version()}-1")
        self.assertEqual(self.chroot.read(CONF), conf)
        self.assertEqual(self.proof(), before)
        self.check_campaign(campaign, sink)

    def configure(self):
        text = self.chroot.read(CONF)
        for old, new in (('mode = "observe"', 'mode = "enforce"'),
                         ("redis://127.0.0.1:6379/0", self.redis.tcp_url),
                         ("#timeout_ms = 200", "timeout_ms = 3000")):
            self.assertIn(old, text)
            text = text.replace(old, new)
        self.chroot.write(CONF, text)

    def check_campaign(self, campaign, sink):
        """Each message that was taken has arrived, once, with its link, and
        none of the others."""
        self.assertEqual(campaign.wrong, [])
        self.postfix.wait_idle(60)
        arrived = sorted(int(m.one("Subject").split()[1])
                         for m in sink.messages)
        self.assertEqual(arrived, sorted(campaign.taken))
        for message in sink.messages:
            self.assertIn("/u/", message.one("List-Unsubscribe"))
        self.assertEqual(sink.for_recipient("out@example.org"), [])
        self.chroot.run("consentctl", "verify")

    def test_13_a_start_that_fails_leaves_the_package_configured(self):
        good = self.chroot.read(CONF)
        self.chroot.write(CONF, good + "nonsense")
        self.chroot.write("run/systemctl.fails", "")
        self.chroot.run("dpkg", "-i", "/root/new.deb")
        self.assertEqual(self.chroot.status(),
                         f"install ok installed {version()}-1")
        self.assertFalse(accepts(MILTER))
        os.unlink(self.chroot.path("run/systemctl.fails"))
        self.chroot.write(CONF, good)
        self.chroot.systemctl("start", *UNITS)
        self.wait_listens()

    def test_14_remove_keeps_and_reinstall_goes_on(self):
        before, conf = self.proof(), self.chroot.read(CONF)
        self.chroot.asked_of_systemd()
        self.chroot.run("dpkg", "--remove", NAME)
        self.assertIn("stop consent-milter.service consent-web.service",
                      self.chroot.asked_of_systemd())
        self.assertFalse(accepts(MILTER) or accepts(WEB))
        self.assertEqual(self.proof(), before)
        self.assertEqual(self.chroot.read(CONF), conf)
        said = self.chroot.run("dpkg", "-i", "/root/new.deb").stdout
        self.assertNotIn("made ", said)
        self.wait_listens()
        self.assertEqual(self.proof(), before)
        self.assertEqual(self.chroot.read(CONF), conf)
        for address, word in (("r1@example.org", "granted"),
                              ("out@example.org", "withdrawn")):
            self.assertIn(word, self.chroot.run(
                "consentctl", "check", "--list", "weekly", address,
                check=False).stdout)

    def test_15_no_new_keys_beside_a_ledger(self):
        """As on a host whose ledger came from a backup, and the keys not
        yet."""
        aside = self.chroot.path("root/state")
        self.chroot.run("mkdir", "/root/state")
        for path in (KEYS, STATE):
            os.rename(self.chroot.path(path), os.path.join(
                aside, os.path.basename(path)))
        self.chroot.run("dpkg", "--purge", NAME)
        run(["cp", "-a", f"{aside}/{NAME}", self.chroot.path(STATE)])
        said = self.chroot.run("dpkg", "-i", "/root/new.deb").stdout
        self.assertIn("Restore\nthe keys from their backup", said)
        self.assertEqual(self.keys(), {})
        self.assertEqual(self.chroot.status(),
                         f"install ok installed {version()}-1")
        self.assertFalse(accepts(MILTER) or accepts(WEB))
        run(["cp", "-a", f"{aside}/keys", self.chroot.path(KEYS)])
        self.chroot.systemctl("start", *UNITS)
        self.wait_listens()

    def test_16_purge_names_all_that_it_deletes(self):
        self.chroot.write("etc/consent-milter/redis.password", "secret\n")
        held = set(self.chroot.files(KEYS, STATE))
        self.assertTrue(any("ledger/" in p for p in held) and
                        any("pseudonym" in p for p in held), held)
        self.chroot.run("dpkg", "--remove", NAME)
        held |= set(self.chroot.files(KEYS, STATE))
        said = self.chroot.run("dpkg", "--purge", NAME).stdout
        named = set(re.findall(r"(?m)^    /(\S+) \(\d+ bytes\)$", said))
        self.assertEqual(named, held, said)
        self.assertEqual(self.chroot.files(KEYS, STATE), {})
        for path in (KEYS, STATE):
            self.assertFalse(os.path.exists(self.chroot.path(path)), path)
        self.assertIn("other files in /etc/consent-milter stay", said)
        self.assertEqual(list(self.chroot.files("etc/consent-milter")),
                         ["etc/consent-milter/redis.password"])
        self.assertNotIn("ok", self.chroot.status())

    # -- the other one

    def test_20_rpm(self):
        """Not for its code, which is the same: so without optimization."""
        spec = os.path.join(SRC, "contrib/rpm/consent-milter.spec")
        top = self.rig.path("rpm")
        done = run(["rpmbuild", "-bb", "--nodeps", "--quiet",
                    "--load", os.path.join(HERE, "macros.systemd"),
                    "--define", f"_topdir {top}",
                    "--define", f"_sourcedir {self.build_dir}",
                    "--define", "debug_package %{nil}",
                    "--define", "optflags -O0",
                    "--define", "_sysconfdir /etc",
                    "--define", "_localstatedir /var",
                    "--define", f"_smp_mflags -j{os.cpu_count() or 1}",
                    spec], check=False, timeout=1500)
        self.assertEqual(done.returncode, 0, (done.stdout + done.stderr)[-6000:])
        rpm = glob.glob(f"{top}/RPMS/*/*.rpm")[0]
        paths = run(["rpm", "-qlp", rpm]).stdout.split()
        for known in CONTENTS.replace("\nlib/", "\nusr/lib/").split():
            if "lintian" not in known:
                self.assertTrue(any(p.startswith("/" + known)
                                    for p in paths), (known, paths))
        self.assertEqual(run(["rpm", "-qcp", rpm]).stdout, f"/{CONF}\n")
        self.assertNotIn("%", run(["rpm", "-qp", "--scripts", rpm]).stdout)
