# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The commands that read journals, where disks are read-only, full, or
somebody else's: an auditor's copy often is."""
import glob
import os
import subprocess

from rig import Filter, Redis, TestCase, program, read_text

NOBODY = 65534
READERS = [("verify",), ("log",), ("report",), ("report", "--format", "html"),
           ("report", "--format", "json"), ("checkpoint",),
           ("stale", "--days", "30"), ("changes", "--after", "0"), ("export", "in@example.org"),
           ("prune", "--dry-run")]


class Reading(TestCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis)
        cls.filter.grant("in@example.org", at="2026-01-05T10:00:00Z")
        with cls.filter.client() as client:
            client.connect()
            client.helo()
            client.mail("<news@news.example.com>")
            for who in ("in", "out"):
                client.rcpt(f"<{who}@example.org>")
        cls.filter.stop()
        cls.filter.ctl("verify")

    def run_ctl(self, *args, prefix=(), stdout=subprocess.PIPE):
        done = subprocess.run(
            [*prefix, program("consentctl"), "-c", self.filter.config_path,
             *args], stdout=stdout, stderr=subprocess.PIPE, text=True,
            timeout=60)
        self.assertNotIn("Sanitizer", done.stderr)
        return done

    def journals(self):
        return {path: (read_text(path), os.stat(path).st_mtime_ns)
                for path in glob.glob(self.filter.audit_dir + "/**/*.jsonl",
                                      recursive=True)}

    def test_read_only(self):
        """Reading needs no right to write, and changes nothing."""
        before = self.journals()
        subprocess.run(["mount", "--bind", self.filter.audit_dir,
                        self.filter.audit_dir], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,ro,bind",
                            self.filter.audit_dir], check=True)
            for args in READERS:
                with self.subTest(args):
                    done = self.run_ctl(*args)
                    self.assertEqual((done.returncode, done.stderr), (0, ""))
            done = self.run_ctl("prune")
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("Read-only file system", done.stderr)
            self.assertIn(self.filter.audit_dir, done.stderr)
        finally:
            subprocess.run(["umount", "-l", self.filter.audit_dir],
                           check=True)
        self.assertEqual(self.journals(), before)

    def test_full_output(self):
        """Half an answer is none: what is cut off does not look good."""
        for args in READERS:
            with self.subTest(args), open("/dev/full", "w") as full:
                done = self.run_ctl(*args, stdout=full)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("the output is not complete", done.stderr)

    def test_somebody_elses(self):
        """Who may not read is told which file, and never that all is well."""
        for path in (self.rig.dir, self.filter.dir, self.redis.dir):
            os.chmod(path, 0o755)
        os.chmod(self.filter.audit_dir, 0o700)
        as_nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}",
                     "--clear-groups")
        for args in (("verify",), ("log",), ("report",), ("checkpoint",)):
            with self.subTest(args):
                done = self.run_ctl(*args, prefix=as_nobody)
                self.assertNotEqual(done.returncode, 0, done.stdout)
                self.assertIn("Permission denied", done.stderr)
                self.assertIn(self.filter.dir, done.stderr)


if __name__ == "__main__":
    import unittest
    unittest.main()
