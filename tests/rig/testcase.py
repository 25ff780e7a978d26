# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""unittest with a Rig per class."""
import re
import unittest

from .process import Rig

REF = "[A-Za-z0-9_-]+"


def refusal(address, list_name="Weekly news"):
    """The pattern of the reply to a recipient without consent."""
    return re.compile(
        rf'550 5\.7\.1 <{re.escape(address)}> has not opted in to '
        rf'"{re.escape(list_name)}" \(ref ({REF})\)')


UNVERIFIED = re.compile(rf"451 4\.4\.3 consent can't be verified now, "
                        rf"try again later \(ref ({REF})\)")
UNLISTED = re.compile(rf"550 5\.7\.1 bulk mail that belongs to no configured "
                      rf"list \(ref ({REF})\)")


class TestCase(unittest.TestCase):
    """A class shares one rig: what set_up_rig() (a class method) starts in
    cls.rig lives until the last test of the class.  A test that fails shows
    what was logged meanwhile."""

    rig = None
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.rig = Rig(cls.__name__)
        try:
            cls.set_up_rig()
        except BaseException:
            print(cls.rig.log_report())
            cls.rig.close()
            raise

    @classmethod
    def set_up_rig(cls):
        """For subclasses."""

    @classmethod
    def tearDownClass(cls):
        cls.rig.close()

    def run(self, result=None):
        before = self.rig.log_sizes()
        known = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > known:
            result.note(self.rig.log_report(before))

    def assert_reply(self, reply, pattern):
        """The whole reply is the pattern; returns the match."""
        match = re.fullmatch(pattern, reply or "")
        self.assertIsNotNone(match, f"{reply!r} is not {pattern!r}")
        return match

    def assert_refused(self, reply, address, list_name="Weekly news"):
        """Returns the REF."""
        return self.assert_reply(reply, refusal(address, list_name)).group(1)
