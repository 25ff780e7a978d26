# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The demonstration, which is the first that anybody runs, holds."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

DEMO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                    "contrib", "demo", "demo.py")


class Demonstration(unittest.TestCase):
    def test_all_holds(self):
        work = tempfile.mkdtemp(prefix="cm-demo-")
        self.addCleanup(shutil.rmtree, work)
        os.chmod(work, 0o755)           # Postfix is somebody else
        done = subprocess.run([sys.executable, "-B", DEMO, work],
                              capture_output=True, text=True, timeout=300,
                              stdin=subprocess.DEVNULL, check=False)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] +
                         done.stderr[-3000:])
        self.assertTrue(re.search(r"^All \d+ checks hold\.$", done.stdout,
                                  re.M), done.stdout[-3000:])
