# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""A private rspamd that signs and does nothing else."""
import os

from .opendkim import make_key, verify
from .process import Service, accepts, find_program, write_file

# What the distribution's rspamd.conf does with local.d, and nothing of what
# takes rspamd half a minute to load.
_CONF = """\
options {
  pidfile = "@DIR@/pid";
  filters = "dkim";
  url_tld = "@DIR@/tld";
  cache_file = "@DIR@/symbols.cache";
  tempdir = "@DIR@";
  hs_cache_dir = "@DIR@";
  control_socket = "@DIR@/control.sock mode=0600";
  dns { timeout = 0.1s; retransmits = 1; nameserver = ["127.0.0.1:9"]; }
}
logging { type = "console"; level = "info"; }
dkim { .include "@DIR@/dkim.conf" }
dkim_signing { .include "@DIR@/dkim_signing.conf" }
modules { path = "/usr/share/rspamd/plugins/dkim_signing.lua"; }
worker "rspamd_proxy" {
  count = 1;
  .include(duplicate=merge) "@DIR@/worker-proxy.inc"
}
"""


class Rspamd:
    """Rspamd(rig, port, local): `milter' for Postfix(milters=…).

    port     what worker-proxy.inc binds of 127.0.0.1
    local    {file in local.d: text}: worker-proxy.inc, dkim.conf and
             dkim_signing.conf; @KEY@ stands for the key's file
    """

    def __init__(self, rig, port, local, domain="news.example.com"):
        self.dir = rig.subdir("rspamd")
        self.milter = f"inet:127.0.0.1:{port}"
        self.log_path = os.path.join(self.dir, "log")
        key, self.key_text = make_key(self.dir, domain)
        for name, text in {"rspamd.conf": _CONF, "tld": "com\n",
                           **local}.items():
            write_file(os.path.join(self.dir, name), text.replace(
                "@DIR@", self.dir).replace("@KEY@", key))
        rig.add_log("rspamd", self.log_path)
        self.service = Service([find_program("rspamd"), "-i", "-f", "-c",
                                os.path.join(self.dir, "rspamd.conf")],
                               self.log_path)
        rig.on_close(self.service.stop)
        self.service.wait_ready(lambda: accepts(("127.0.0.1", port)), 60)

    def verify(self, raw):
        return verify(self.dir, self.key_text, raw)
