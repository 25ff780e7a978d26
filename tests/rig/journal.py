# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The journals' hash chain, computed again from the documentation in
src/journal/journal.h alone."""
import glob
import hashlib
import os
import struct


def _text(data):
    return struct.pack(">Q", len(data)) + data


def verify_chain(directory, name="decisions"):
    """Checks every digest and the chain of a journal's segments; raises
    AssertionError.  Returns how many entries there are."""
    chain, count, expected = bytes(32), 0, None
    for path in sorted(glob.glob(os.path.join(directory, f"{name}-*.jsonl"))):
        with open(path, "rb") as f:
            lines = f.read().split(b"\n")
        assert lines.pop() == b"", f"{path} ends in half a line"
        for line in lines:
            head, _, rest = line.partition(b',"type":"')
            seq = int(head.removeprefix(b'{"seq":'))
            kind, _, rest = rest.partition(b'",')
            body, _, rest = rest.rpartition(b'"digest":"')
            digest, _, rest = rest.partition(b'","chain":"')
            made = bytes.fromhex(digest.decode())
            if body.rstrip(b" ") != b'"blanked":true,':
                body, _, salt = body.rpartition(b',"salt":"')
                salt = bytes.fromhex(salt.removesuffix(b'",').decode())
                assert made == hashlib.sha256(
                    _text(b"consent-milter journal body v1\0") +
                    _text(salt) + _text(body)).digest(), \
                    f"digest of {seq} in {path}"
            chain = hashlib.sha256(
                _text(b"consent-milter journal chain v1\0") + _text(chain) +
                struct.pack(">Q", seq) + _text(kind) + _text(made)).digest()
            assert rest == chain.hex().encode() + b'"}', \
                f"chain of {seq} in {path}"
            assert expected is None or seq == expected, f"{seq} in {path}"
            expected = seq + 1
            count += 1
    return count
