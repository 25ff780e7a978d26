# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The blocks of the administrator's guide, doc/guide/*.md.

A block is fenced; behind the fence stand where it goes, and its name:

    ```main.cf milters
"""
import glob
import os
import re

from .filter import libconfig
from .process import read_text, replace

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
_FENCE = re.compile(r"^```(\S+) (\S+)\n(.*?)^```$",
                    re.MULTILINE | re.DOTALL)


class Block:
    """place: "main.cf"; name; text; page."""

    def __init__(self, page, match):
        self.page = page
        self.place, self.name, self.text = match.groups()


class Guide:
    """take() hands out blocks; .untaken() are those that it did not."""

    def __init__(self):
        self.pages = {os.path.relpath(path, TOP): read_text(path) for path in
                      sorted(glob.glob(f"{TOP}/doc/guide/*.md"))}
        self.blocks = [Block(page, match)
                       for page, text in self.pages.items()
                       for match in _FENCE.finditer(text)]
        self._taken = set()

    def take(self, name, *pairs):
        """The text of a block, with what is another thing in a test (ports,
        directories) replaced: (old, new), and old has to be there."""
        found = [b for b in self.blocks if b.name == name]
        if len(found) != 1:
            raise AssertionError(f"{len(found)} blocks are called {name}")
        self._taken.add(name)
        return replace(found[0].text, *pairs)

    def untaken(self):
        return sorted(b.name for b in self.blocks
                      if b.name not in self._taken)


def main_cf(text):
    """{parameter: value}, for Postfix(main=…)."""
    return dict(re.split(r"\s*=\s*", line, maxsplit=1)
                for line in text.splitlines() if line and line[0] != "#")


def with_settings(settings, *texts):
    """A configuration of these texts as they stand, and of those settings
    that they don't have.  A group is filled up with the keys it lacks."""
    rest = dict(settings)
    out = []
    for text in texts:
        for key in re.findall(r"^(\w+)\s*=", text, re.MULTILINE):
            value = rest.pop(key, None)
            if isinstance(value, dict):
                text = replace(text, (f"{key} = {{\n", f"{key} = {{\n" + "".join(
                    f"\t{k} = {libconfig(v, 2)};\n" for k, v in value.items()
                    if not re.search(rf"^\t{k}\s*=", text, re.MULTILINE))))
        out.append(text)
    return "".join(f"{k} = {libconfig(v)};\n" for k, v in rest.items()) + \
        "".join(out)
