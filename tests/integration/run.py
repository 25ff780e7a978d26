#!/usr/bin/python3
# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the integration tests.

usage: run.py [-j N] [-b BUILDDIR] [-k TEXT] [-t SECONDS] [MODULE…]

    -j N   modules at the same time (1)
    -b     build directory with the programs (CONSENT_MILTER_BUILD)
    -k     only tests whose name contains the text
    -t     how long a module may take (600)
    MODULE test_postfix_basic or tests/integration/test_postfix_basic.py, or
           test_package, which is a stage of its own

Prints a line per test and at the end `N passed, N failed'.  With CI=true a
skipped test has failed, unless Debian does not have what it needs.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import signal
import subprocess
import sys
import time
import unittest

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))


class Result(unittest.TestResult):
    """One line per test; what went wrong below it."""

    def __init__(self):
        super().__init__()
        self.passed = self.failed = 0
        self._started = time.monotonic()

    def startTest(self, test):
        super().startTest(test)
        self._started = time.monotonic()

    def _line(self, word, test):
        seconds = time.monotonic() - self._started
        name = " ".join(test.id().split())
        if len(name) > 150:
            name = name[:147] + "..."
        print(f"{word} {seconds:7.2f} s  {name}", flush=True)

    def _fail(self, test, text):
        self.failed += 1
        self._line("FAIL", test)
        print(text.rstrip(), flush=True)

    def note(self, text):
        print(text, flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1
        self._line("ok  ", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._fail(test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self._fail(test, self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            broken = self.failures if issubclass(
                err[0], test.failureException) else self.errors
            self._fail(subtest, broken[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        # Of what Debian 12 has; the rest may be out of reach.
        if os.environ.get("CI") == "true" and not reason.startswith(
                "not to be had: "):
            self._fail(test, f"skipped, which CI does not allow: {reason}")
        else:
            self._line("skip", test)
            print(f"     {reason}", flush=True)

    def addExpectedFailure(self, test, err):
        self._fail(test, "expected failures are not used here")

    def addUnexpectedSuccess(self, test):
        self._fail(test, "expected failures are not used here")


def run_module(name, wanted):
    """In the process of one module."""
    tests = os.path.dirname(HERE)
    sys.path[:0] = [HERE, tests, os.path.join(tests, "package")]
    from rig.process import adopt_orphans
    adopt_orphans()
    loader = unittest.TestLoader()
    if wanted:
        loader.testNamePatterns = [f"*{wanted}*"]
    suite = loader.loadTestsFromName(name)
    result = Result()
    suite.run(result)
    print(f"{name}: {result.passed} passed, {result.failed} failed",
          flush=True)
    sys.exit(1 if result.failed else 0)


def start_module(name, options):
    """In the parent: runs the module, returns (output, passed, failed)."""
    argv = [sys.executable, os.path.abspath(__file__), "--module", name]
    if options.k:
        argv += ["-k", options.k]
    child = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace",
        start_new_session=True)
    try:
        output = child.communicate(timeout=options.t)[0]
    except subprocess.TimeoutExpired:
        child.terminate()               # it cleans up then
        try:
            output = child.communicate(timeout=20)[0]
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            output = child.communicate()[0]
        return (output + f"FAIL {name}: not done after "
                f"{options.t} s\n", 0, 1)
    summary = re.search(rf"^{name}: (\d+) passed, (\d+) failed$", output,
                        re.MULTILINE)
    if summary is None:
        return output + f"FAIL {name}: ended without a result\n", 0, 1
    passed, failed = int(summary.group(1)), int(summary.group(2))
    if child.returncode != 0 and failed == 0:
        return output + f"FAIL {name}: exit {child.returncode}\n", passed, 1
    return output, passed, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-j", type=int, default=1)
    parser.add_argument("-b", default=os.environ.get("CONSENT_MILTER_BUILD"))
    parser.add_argument("-k", default="")
    parser.add_argument("-t", type=int, default=600)
    parser.add_argument("--module", help=argparse.SUPPRESS)
    parser.add_argument("modules", nargs="*")
    options = parser.parse_args()
    if options.b:
        os.environ["CONSENT_MILTER_BUILD"] = os.path.abspath(options.b)
    if options.module:
        run_module(options.module, options.k)
    if os.geteuid() != 0:
        sys.exit("run.py: the integration tests start mail servers and need "
                 "root")
    names = [os.path.basename(m).removesuffix(".py") for m in
             options.modules or sorted(glob.glob(f"{HERE}/test_*.py"))]
    started = time.monotonic()
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(options.j) as pool:
        jobs = [pool.submit(start_module, n, options) for n in names]
        for job in concurrent.futures.as_completed(jobs):
            output, ok, bad = job.result()
            sys.stdout.write(output)
            sys.stdout.flush()
            passed += ok
            failed += bad
    print(f"integration: {time.monotonic() - started:.1f} s")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
