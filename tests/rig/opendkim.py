# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""A private OpenDKIM that signs, and verification without DNS."""
import os

from .process import (Service, accepts, find_program, run, write_file)

_VERIFY = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "dkim_verify.pl")
# RFC 8058: the signature has to cover both List-Unsubscribe fields, which
# OpenDKIM's defaults do not.
SIGN_HEADERS = "*,+List-Unsubscribe,+List-Unsubscribe-Post"
OVERSIGN_HEADERS = "From,List-Unsubscribe,List-Unsubscribe-Post"


def make_key(directory, domain):
    """Makes a key with the selector "rig": its file, and that of its record
    in the DNS."""
    run([find_program("opendkim-genkey"), "-D", directory, "-d", domain,
         "-s", "rig", "-b", "2048"])
    return [os.path.join(directory, name) for name in ("rig.private",
                                                       "rig.txt")]


def verify(directory, key_text, raw):
    """Returns (passed, signed header names in order, detail)."""
    path = os.path.join(directory, "verify.eml")
    write_file(path, raw)
    done = run([find_program("perl"), _VERIFY, key_text, path], check=False)
    lines = dict(line.split("=", 1) for line in done.stdout.splitlines()
                 if "=" in line)
    if "result" not in lines:
        raise AssertionError(f"dkim_verify.pl: {done.stdout}{done.stderr}")
    return (done.returncode == 0,
            [n for n in lines.get("h", "").split(":") if n],
            lines["result"])


class OpenDkim:
    """OpenDkim(rig): `milter' for Postfix(milters=…), behind the filter.

    options    {name: value} of opendkim.conf, over the rig's own; None
               leaves one out
    port       listens on this loopback TCP port instead of a UNIX socket
    """

    def __init__(self, rig, domain="news.example.com", options=None,
                 port=None):
        self.dir = rig.subdir("opendkim")
        self.domain = domain
        if port:
            self.socket = ("127.0.0.1", port)
            self.milter = f"inet:127.0.0.1:{port}"
            place = f"inet:{port}@127.0.0.1"
        else:
            self.socket = os.path.join(self.dir, "opendkim.sock")
            self.milter = f"unix:{self.socket}"
            place = f"local:{self.socket}"
        self.log_path = os.path.join(self.dir, "opendkim.out")
        key, self.key_text = make_key(self.dir, domain)
        values = {
            "Mode": "s", "Domain": domain, "Selector": "rig", "KeyFile": key,
            "Socket": place, "UMask": "000",
            "InternalHosts": "127.0.0.0/8", "Background": "no",
            "Canonicalization": "relaxed/simple", "Syslog": "no",
            "RequireSafeKeys": "no", "UserID": "root",
            "SignHeaders": SIGN_HEADERS, "OversignHeaders": OVERSIGN_HEADERS,
        }
        values.update(options or {})
        config = os.path.join(self.dir, "opendkim.conf")
        write_file(config, "".join(f"{k} {v}\n" for k, v in values.items()
                                   if v is not None))
        rig.add_log("opendkim", self.log_path)
        rig.on_close(self.stop)
        self.service = Service([find_program("opendkim"), "-f", "-x", config],
                               self.log_path)
        self.service.wait_ready(lambda: accepts(self.socket))

    def stop(self):
        self.service.kill9()            # libmilter would take five seconds

    def verify(self, raw):
        """See verify()."""
        return verify(self.dir, self.key_text, raw)
