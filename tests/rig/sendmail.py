# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""A private Sendmail 8.17 beside an installed Postfix.

Debian's packages exclude each other, so the files are unpacked into a cache
directory (CONSENT_MILTER_CACHE) instead of being installed.
"""
import fcntl
import glob
import os
import pwd
import re
import shutil

from .cache import cache_dir, download
from .process import (RigError, Service, accepts, find_program, free_ports,
                      read_text, run, write_file, wait_for)
from .smtp import send

_PACKAGES = ["sendmail-bin", "sendmail-base", "sendmail-cf", "libwrap0",
             "libnsl2", "libtirpc3"]

# Sendmail has no log file of its own; and a host name without a dot would
# cost it a minute at each start.
_SHIM = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void
write_line(const char *format, va_list ap)
{
	char line[8192];
	int saved = errno, n, m, fd;

	n = snprintf(line, sizeof(line), "[%d] ", (int)getpid());
	m = vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, ap);
	n += m;
	if (m < 0 || n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	line[n++] = '\n';
	fd = open(SHIM_LOG, O_WRONLY | O_APPEND | O_CREAT, 0666);
	if (fd != -1) {
		if (write(fd, line, (size_t)n) == -1)
			n = 0;
		close(fd);
	}
	errno = saved;
}

void
syslog(int level, const char *format, ...)
{
	va_list ap;

	(void)level;
	va_start(ap, format);
	write_line(format, ap);
	va_end(ap);
}

void
__syslog_chk(int level, int flag, const char *format, ...)
{
	va_list ap;

	(void)level;
	(void)flag;
	va_start(ap, format);
	write_line(format, ap);
	va_end(ap);
}

void
openlog(const char *name, int option, int facility)
{
	(void)name;
	(void)option;
	(void)facility;
}

void
closelog(void)
{
}

int
gethostname(char *name, size_t size)
{
	snprintf(name, size, "mta.test.invalid");
	return 0;
}
"""

_MC = """\
divert(-1)
include(`@ROOT@/usr/share/sendmail/cf/m4/cf.m4')
divert(0)
OSTYPE(`linux')
define(`confDOMAIN_NAME', `mta.test.invalid')
define(`confPID_FILE', `@DIR@/sendmail.pid')
define(`QUEUE_DIR', `@DIR@/mqueue')
define(`ALIAS_FILE', `@DIR@/aliases')
define(`STATUS_FILE', `@DIR@/statistics')
define(`HELP_FILE', `@DIR@/helpfile')
define(`confCW_FILE', `@DIR@/local-host-names')
define(`confSERVICE_SWITCH_FILE', `@DIR@/service.switch')
define(`confDEF_USER_ID', `nobody:nogroup')
define(`confDONT_BLAME_SENDMAIL', `GroupWritableDirPathSafe,TrustStickyBit')
define(`confTO_IDENT', `0')
define(`confTO_CONNECT', `5s')
define(`confLOG_LEVEL', `14')
define(`confMILTER_LOG_LEVEL', `14')
define(`confDELIVERY_MODE', `background')
define(`confQUEUE_LA', `500')
define(`confREFUSE_LA', `500')
define(`confBIND_OPTS', `-DNSRCH -DEFNAMES')
define(`SMART_HOST', `relay:[@SINK_HOST@]')
define(`RELAY_MAILER_ARGS', `TCP $h @SINK_PORT@')
FEATURE(`nocanonify')
FEATURE(`accept_unresolvable_domains')
FEATURE(`accept_unqualified_senders')
FEATURE(`promiscuous_relay')
FEATURE(`no_default_msa')
DAEMON_OPTIONS(`Family=inet, Address=127.0.0.1, Port=@PORT@, Name=MTA')
DAEMON_OPTIONS(`Family=inet, Address=127.0.0.1, Port=@MSA@, Name=MSA-v4, M=E')
@FILTERS@
@EXTRA@
MAILER(`local')
MAILER(`smtp')
"""


def fetch():
    """Downloads and unpacks Sendmail once; returns the root of its files."""
    cache = cache_dir()
    root = os.path.join(cache, "sendmail")
    with open(os.path.join(cache, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(os.path.join(root, "sendmail")):
            return root
        shutil.rmtree(root, ignore_errors=True)
        debs = os.path.join(root, "debs")
        os.makedirs(debs)
        download(debs, _PACKAGES)
        for deb in glob.glob(os.path.join(debs, "*.deb")):
            run(["dpkg", "-x", deb, root])
        found = [p for p in glob.glob(f"{root}/usr/**/sendmail",
                                      recursive=True)
                 if os.path.isfile(p) and ("libexec" in p or "sm.bin" in p)]
        if not found:
            raise RigError("no sendmail binary in its packages")
        # The shipped binary is setgid, which would switch LD_PRELOAD off.
        shutil.copyfile(found[0], os.path.join(root, "sendmail.new"))
        os.chmod(os.path.join(root, "sendmail.new"), 0o755)
        shutil.rmtree(debs)
        os.rename(os.path.join(root, "sendmail.new"),
                  os.path.join(root, "sendmail"))
    return root


class Sendmail:
    """Sendmail(rig, sink, milters)

    milters    as for Postfix
    flag       F= of INPUT_MAIL_FILTER: "T" tempfail, "R" reject, "4" shut
               down, None: mail passes unchecked when the filter fails
    extra      further lines of sendmail.mc

    Addresses: smtp (daemon "MTA"), submission (daemon "MSA-v4").
    """

    def __init__(self, rig, sink, milters=(), flag="T", extra=""):
        self.rig = rig
        self.root = fetch()
        self.dir = rig.subdir("sendmail")
        self.log_path = os.path.join(self.dir, "syslog")
        ports = free_ports(2)
        self.smtp, self.submission = [("127.0.0.1", p) for p in ports]
        self._sink = getattr(sink, "address", sink)
        # Sendmail's own way to write a TCP socket.
        self._milters = [re.sub(r"^inet:(.*):(\d+)$", r"inet:\2@\1",
                                getattr(m, "milter", m)) for m in milters]
        self._flag = flag
        self._extra = extra
        self.service = None
        if hasattr(sink, "sources"):
            sink.sources.append(self)
        self._prepare()
        rig.add_log("sendmail", self.log_path)
        rig.on_close(self.stop)
        self.start()

    def _file(self, name):
        return os.path.join(self.dir, name)

    def _prepare(self):
        for queue in ("mqueue", "mqueue-client"):
            os.mkdir(self._file(queue), 0o700)
        nobody = pwd.getpwnam("nobody")
        os.chown(self._file("mqueue-client"), nobody.pw_uid, nobody.pw_gid)
        write_file(self.log_path, "", 0o666)
        write_file(self._file("service.switch"), "hosts files\naliases files\n")
        write_file(self._file("aliases"), "root: root@test.invalid\n")
        write_file(self._file("local-host-names"), "")
        write_file(self._file("helpfile"), "")
        write_file(self._file("shim.c"), _SHIM)
        run(["cc", "-shared", "-fPIC", "-O1", f'-DSHIM_LOG="{self.log_path}"',
             "-o", self._file("shim.so"), self._file("shim.c")])
        values = {"ROOT": self.root, "DIR": self.dir,
                  "SINK_HOST": self._sink[0], "SINK_PORT": self._sink[1],
                  "PORT": self.smtp[1], "MSA": self.submission[1],
                  "FILTERS": self._filters(), "EXTRA": self._extra}
        text = _MC
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        write_file(self._file("sendmail.mc"), text)
        done = run([find_program("m4"),
                    f"-D_CF_DIR_={self.root}/usr/share/sendmail/cf/",
                    self._file("sendmail.mc")])
        write_file(self._file("sendmail.cf"), done.stdout)
        run(self._argv("-bi"), check=False, env=self._environment())

    def _filters(self):
        flag = f"F={self._flag}, " if self._flag else ""
        return "\n".join(
            f"INPUT_MAIL_FILTER(`filter{i}', `S={socket}, {flag}"
            "T=C:5s;S:10s;R:10s;E:20s')"
            for i, socket in enumerate(self._milters))

    def _argv(self, *options):
        return [os.path.join(self.root, "sendmail"), "-C",
                self._file("sendmail.cf"), *options]

    def _environment(self):
        libraries = {os.path.dirname(p) for p in glob.glob(
            f"{self.root}/**/lib*.so.*", recursive=True)}
        return {"PATH": "/usr/bin:/bin", "LANG": "C",
                "LD_PRELOAD": self._file("shim.so"),
                "LD_LIBRARY_PATH": ":".join(sorted(libraries))}

    def start(self):
        # -bD: a daemon that stays in the foreground.
        self.service = Service(self._argv("-bD", "-q5s"),
                               self._file("sendmail.out"),
                               env=self._environment())
        try:
            self.service.wait_ready(lambda: accepts(self.smtp) and
                                    accepts(self.submission))
        except RigError as e:
            raise RigError(f"{e}\n{read_text(self.log_path)}") from None

    def stop(self):
        self.service.stop()

    def kill9(self):
        self.service.kill9()

    def send(self, sender, recipients, message, **options):
        return send(self.smtp, sender, recipients, message, **options)

    def wait_idle(self, timeout=20.0):
        """Waits until the queue is empty: what was accepted is delivered."""
        wait_for(lambda: not [n for n in os.listdir(self._file("mqueue"))
                              if n[:2] in ("qf", "df", "tf")],
                 timeout, "the queue of Sendmail is empty")

    def settle(self):
        """Gives what is under way some time."""
        try:
            self.wait_idle(5)
        except RigError:
            pass                        # it is deferred, or Sendmail is away

    def log(self):
        return read_text(self.log_path)
