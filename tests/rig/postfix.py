# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""A private Postfix: own directories and ports, beside an installed one.

Two things make it quick to start: its queue directories are made here instead
of by `postfix check'; configuration and maps are back-dated, for Postfix reads
files again until they are two seconds old.
"""
import base64
import grp
import json
import os
import pwd
import re
import signal
import socketserver
import threading

from .process import (RigError, Service, accepts, find_program, free_ports,
                      read_text, run, wait_for, write_file)
from .smtp import send

_DAEMONS = "/usr/lib/postfix/sbin"

_MAIN = {
    "compatibility_level": "3.6",
    "command_directory": "/usr/sbin",
    "daemon_directory": _DAEMONS,
    "mail_owner": "postfix",
    "setgid_group": "postdrop",
    "syslog_name": "rig",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "myhostname": "mta.test.invalid",
    "mydomain": "test.invalid",
    "myorigin": "test.invalid",
    "mydestination": "",
    "local_recipient_maps": "",
    "local_transport": "error:no local delivery in the rig",
    "mynetworks": "127.0.0.0/8",
    "default_transport": "smtp",
    "smtp_dns_support_level": "disabled",
    "smtp_host_lookup": "native",
    "smtp_tls_security_level": "none",
    "smtpd_relay_restrictions":
        "permit_mynetworks, permit_sasl_authenticated, reject",
    "smtpd_recipient_restrictions": "",
    "smtpd_client_connection_count_limit": "0",
    "smtpd_client_restrictions": "",
    # Tests are refused a lot, and would be made to wait a second each time.
    "smtpd_soft_error_limit": "10000",
    "smtpd_hard_error_limit": "10000",
    "smtpd_sasl_type": "dovecot",
    "alias_maps": "",
    "alias_database": "",
    "notify_classes": "",
    "smtputf8_enable": "yes",
    "milter_default_action": "tempfail",
    "smtp_destination_concurrency_limit": "20",
    "queue_run_delay": "5s",
    "minimal_backoff_time": "5s",
    "maximal_backoff_time": "10s",
    "default_process_limit": "200",
}

_MASTER = """\
pickup    unix  n - n 2 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


class _AuthHandler(socketserver.StreamRequestHandler):
    """Dovecot's auth protocol: every user of PLAIN is let in, but for those
    whose password is "bad"."""

    def handle(self):
        self.wfile.write(b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\n"
                         b"CUID\t1\nCOOKIE\t" + b"0" * 32 + b"\nDONE\n")
        for line in self.rfile:
            words = line.decode().rstrip("\n").split("\t")
            if words[0] != "AUTH":
                continue
            resp = [w[5:] for w in words if w.startswith("resp=")]
            parts = base64.b64decode(resp[0]).split(b"\0") if resp else []
            user = parts[1].decode() if len(parts) == 3 else "?"
            ok = len(parts) == 3 and parts[2] != b"bad"
            self.wfile.write(
                f"{'OK' if ok else 'FAIL'}\t{words[1]}\tuser={user}\n".encode())


class _AuthServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class Postfix:
    """Postfix(rig, sink, milters)

    sink       a Sink or (host, port): everything is delivered there
    milters    socket specifications ("unix:/path", "inet:host:port",
               "{ unix:/path, default_action=accept }"), or objects that have
               one as `milter' (Filter, OpenDkim); each is asked in turn
    main       {parameter: value} of main.cf, over the rig's own
    master     further lines of master.cf
    virtual, canonical, aliases
               {left: right}, become texthash maps
    daemon_name  milter_macro_daemon_name of the submission port

    Addresses for Smtp() and send(): smtp; submission (AUTH, any user);
    xclient (XCLIENT is allowed, and every client may relay); plain (no
    milter).
    """

    def __init__(self, rig, sink, milters=(), main=None, master="",
                 virtual=None, canonical=None, aliases=None,
                 daemon_name="ORIGINATING"):
        self.rig = rig
        self.dir = rig.subdir("postfix")
        self.config_dir = os.path.join(self.dir, "etc")
        self.spool = os.path.join(self.dir, "spool")
        self.log_path = os.path.join(self.dir, "mail.log")
        self._sink = getattr(sink, "address", sink)
        self._milters = [getattr(m, "milter", m) for m in milters]
        self._main = dict(main or {})
        self._master = master
        self._maps = {"virtual": virtual, "canonical": canonical,
                      "aliases": aliases}
        self._daemon_name = daemon_name
        ports = free_ports(4)
        self.smtp, self.submission, self.xclient, self.plain = [
            ("127.0.0.1", p) for p in ports]
        self.service = None
        if hasattr(sink, "sources"):
            sink.sources.append(self)
        self._make_directories()
        self._start_auth()
        self.configure()
        rig.add_log("postfix", self.log_path)
        rig.on_close(self.stop)
        self.start()

    def _make_directories(self):
        postfix = pwd.getpwnam("postfix").pw_uid
        postdrop = grp.getgrnam("postdrop").gr_gid

        def make(path, uid, gid, mode):
            os.mkdir(path)
            os.chown(path, uid, gid)
            os.chmod(path, mode)
        os.mkdir(self.config_dir)
        make(self.spool, 0, 0, 0o755)
        make(os.path.join(self.dir, "data"), postfix, 0, 0o700)
        for name in ("active bounce corrupt defer deferred flush hold incoming"
                     " private saved trace").split():
            make(os.path.join(self.spool, name), postfix, 0, 0o700)
        make(os.path.join(self.spool, "pid"), 0, 0, 0o755)
        make(os.path.join(self.spool, "maildrop"), postfix, postdrop, 0o730)
        make(os.path.join(self.spool, "public"), postfix, postdrop, 0o2710)
        write_file(self.log_path, "")
        # Debian's dynamic map types, where they are installed.
        if os.path.exists("/etc/postfix/dynamicmaps.cf"):
            write_file(os.path.join(self.config_dir, "dynamicmaps.cf"),
                       read_text("/etc/postfix/dynamicmaps.cf"))
        os.mkdir(os.path.join(self.config_dir, "dynamicmaps.cf.d"))

    def _start_auth(self):
        self._auth_path = os.path.join(self.dir, "auth.sock")
        server = _AuthServer(self._auth_path, _AuthHandler)
        os.chmod(self._auth_path, 0o666)
        threading.Thread(target=server.serve_forever, args=(0.05,),
                         daemon=True).start()

        def close():
            server.shutdown()
            server.server_close()
        self.rig.on_close(close)

    def configure(self, milters=None, main=None, master=None, **maps):
        """Writes the configuration, with what is given changed; reload() or
        a restart puts it to use."""
        if milters is not None:
            self._milters = [getattr(m, "milter", m) for m in milters]
        self._main.update(main or {})
        if master is not None:
            self._master = master
        self._maps.update(maps)
        values = dict(_MAIN)
        milter_list = ", ".join(self._milters)
        values.update({
            "queue_directory": self.spool,
            "data_directory": os.path.join(self.dir, "data"),
            "maillog_file": self.log_path,
            "maillog_file_prefixes": self.dir,
            "relayhost": f"[{self._sink[0]}]:{self._sink[1]}",
            "smtpd_sasl_path": self._auth_path,
            "smtpd_milters": milter_list,
            "non_smtpd_milters": milter_list,
        })
        for name, parameter in (("virtual", "virtual_alias_maps"),
                                ("canonical", "canonical_maps"),
                                ("aliases", "alias_maps")):
            if self._maps[name]:
                path = os.path.join(self.config_dir, name)
                write_file(path, "".join(
                    f"{k} {v}\n" for k, v in self._maps[name].items()), age=10)
                values[parameter] = f"texthash:{path}"
        values.update(self._main)
        write_file(os.path.join(self.config_dir, "main.cf"), "".join(
            f"{k} = {v}\n" for k, v in values.items()), age=10)
        write_file(os.path.join(self.config_dir, "master.cf"),
                   self._master_text(), age=10)

    def _master_text(self):
        text = f"{self.smtp[1]} inet n - n - - smtpd\n"
        text += (f"{self.submission[1]} inet n - n - - smtpd\n"
                 "  -o syslog_name=rig/submission\n"
                 f"  -o milter_macro_daemon_name={self._daemon_name}\n"
                 "  -o smtpd_sasl_auth_enable=yes\n")
        text += (f"{self.xclient[1]} inet n - n - - smtpd\n"
                 "  -o syslog_name=rig/xclient\n"
                 "  -o mynetworks=0.0.0.0/0,[::]/0\n"
                 "  -o smtpd_authorized_xclient_hosts=127.0.0.0/8\n")
        text += (f"{self.plain[1]} inet n - n - - smtpd\n"
                 "  -o syslog_name=rig/plain\n"
                 "  -o smtpd_milters=\n")
        return text + _MASTER + self._master

    def start(self):
        # master(8) itself, not postfix(1): its process id is known then, and
        # it ends with us.  -d keeps it in the foreground.
        size = len(self.log())
        self.service = Service(
            [f"{_DAEMONS}/master", "-c", self.config_dir, "-d"],
            os.path.join(self.dir, "master.out"),
            env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
                 "MAIL_CONFIG": self.config_dir,
                 "MAIL_LOGTAG": "rig", "LANG": "C"})
        try:
            # The ports are open before master catches its signals.
            self.service.wait_ready(lambda: accepts(self.plain) and
                                    "daemon started" in self.log()[size:])
        except RigError as e:
            raise RigError(f"{e}\n{read_text(self.log_path)}") from None

    def stop(self):
        # master passes TERM on to its process group.
        self.service.stop()

    def kill9(self):
        self.service.kill9()

    def restart(self):
        self.stop()
        self.start()

    def reload(self):
        """Like `postfix reload'."""
        size = len(self.log())
        self.service.signal(signal.SIGHUP)
        wait_for(lambda: "reload" in self.log()[size:], text="postfix reload")
        wait_for(lambda: accepts(self.plain), text="postfix after its reload")

    def send(self, sender, recipients, message, **options):
        """send() to the smtp port; see smtp.send."""
        return send(self.smtp, sender, recipients, message, **options)

    def sendmail(self, sender, recipients, message, options=(), check=True):
        """sendmail(1): mail that does not come by SMTP."""
        return run([find_program("sendmail"), "-C", self.config_dir, "-f",
                    sender, *options, *recipients], check=check,
                   input=message.decode("utf-8", "surrogateescape").replace(
                       "\r\n", "\n"))

    def queue(self):
        """The queue as postqueue(1) shows it, and the maildrop."""
        done = run([find_program("postqueue"), "-c", self.config_dir, "-j"],
                   check=False)
        if done.returncode != 0:
            raise RigError(f"postqueue: {done.stdout}{done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def wait_idle(self, timeout=20.0):
        """Waits until the queue is empty: what was accepted is delivered."""
        wait_for(lambda: not self.queue() and not os.listdir(
            os.path.join(self.spool, "maildrop")), timeout,
            "the queue of Postfix is empty")

    def settle(self):
        """Waits until nothing is under way; what is deferred may stay."""
        if self.service.is_running():
            wait_for(lambda: all(m["queue_name"] in ("deferred", "hold")
                                 for m in self.queue()), 20,
                     "Postfix has tried to deliver everything")

    def flush(self):
        run([find_program("postqueue"), "-c", self.config_dir, "-f"])

    def log(self):
        return read_text(self.log_path)

    def wait_log(self, pattern, since=0, timeout=10.0):
        """Waits for a line of the log and returns the match."""
        return wait_for(lambda: re.search(pattern, self.log()[since:]),
                        timeout, f"/{pattern}/ in the log of Postfix")
