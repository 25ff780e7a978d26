# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The administrator's guide: every block of configuration and every command in
it is run, as it stands but for ports, hosts and directories."""
import os
import re
import smtplib
import ssl
import stat

from rig import (Authority, Cluster, Filter, Guide, OpenDkim, Postfix, Redis,
                 RedisError, RespClient, Rspamd, Sendmail, Service, Sink,
                 TestCase, find_program, free_ports, main_cf,
                 make_message, milter, program, read_text, replace, run, send,
                 wait_for, with_settings, write_file)

GUIDE = Guide()
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, "..", "..")
SENDER = "bounces@news.example.com"
ANN, BOB = "ann@example.org", "bob@example.org"
BOTH_FIELDS = ["list-unsubscribe", "list-unsubscribe-post"]


class GuideCase(TestCase):
    """With .filter, .sink and .mta, whose port for campaigns is .campaign."""

    seen = set()

    def setUp(self):
        self.seen.add(self.id())
        if hasattr(self, "sink"):
            self.sink.clear()

    @classmethod
    def configure(cls, *names, then=()):
        """Lets the filter go by these blocks, and what else is given."""
        cls.filter.write_config(with_settings(
            cls.filter.settings, *[GUIDE.take(n) for n in names], *then))
        if cls.filter.service is None:
            cls.filter.start()
            return
        log = cls.filter.signal_reload()
        assert "configuration reloaded" in log, log

    def personal_link(self, message, list_id="weekly"):
        link = self.filter.ctl("token", "--list", list_id,
                               message.recipients[0]).stdout.strip()
        self.assertIn(f"<{link}>", message.one("List-Unsubscribe"))
        self.assertEqual(message.one("List-Unsubscribe-Post"),
                         "List-Unsubscribe=One-Click")

    def only_ann(self, address, sender=SENDER, **options):
        """Ann gets it and Bob is refused at RCPT."""
        sent = send(address, sender, [ANN, BOB], make_message(), **options)
        self.assertEqual(sent.rcpt[ANN].code, 250, sent.transcript)
        self.assertRegex(sent.rcpt[BOB], "550 5.7.1 .*has not opted in")
        self.mta.wait_idle()
        got, = self.sink.messages
        self.assertEqual(got.recipients, [ANN])
        self.personal_link(got)
        return got

    def passes(self, address, sender, **options):
        """Mail that is none of a list's."""
        sent = send(address, sender, BOB, make_message(), **options)
        self.assertTrue(sent.accepted, sent.transcript)
        self.mta.wait_idle()


class OnPostfix(GuideCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, inet=True, start=False)
        cls.configure("by-port")
        cls.sink = Sink(cls.rig)
        signer = free_ports(1)[0]
        # The rig's own lines must not stand in for those of the guide.
        cls.dkim = OpenDkim(cls.rig, port=signer, options={
            "SignHeaders": None, "OversignHeaders": None,
            "Canonicalization": None,
            **dict(line.split(maxsplit=1)
                   for line in GUIDE.take("opendkim").splitlines())})
        campaign, submission, hop = free_ports(3)
        cls.campaign, cls.login, cls.hop = [
            ("127.0.0.1", port) for port in (campaign, submission, hop)]
        pem = Authority(cls.rig).issue("mta.test.invalid")
        cls.mta = Postfix(
            cls.rig, cls.sink,
            main={**main_cf(GUIDE.take(
                "milters", ("8892", cls.filter.address[1]), ("8891", signer))),
                **main_cf(GUIDE.take("submission-main",
                                     ("/etc/ssl/mta.pem", pem))),
                **main_cf(GUIDE.take("queue")), **main_cf(GUIDE.take("hop"))},
            master=GUIDE.take("campaign-port", ("2525 inet",
                                                f"{campaign} inet")) +
            GUIDE.take("submission-port", ("submission inet",
                                           f"{submission} inet")) +
            GUIDE.take("hop-port", ("2526 inet", f"{hop} inet"),
                       (":2525", f":{campaign}")))
        # Where Dovecot would put it, within the chroot.
        os.link(os.path.join(cls.mta.dir, "auth.sock"),
                os.path.join(cls.mta.spool, "private", "auth"))
        cls.filter.grant(ANN)

    def test_port(self):
        self.configure("by-port")
        got = self.only_ann(self.campaign, sender="who@example.com")
        passed, signed, detail = self.dkim.verify(got.raw)
        self.assertTrue(passed, detail)
        for name in BOTH_FIELDS:
            self.assertEqual(signed.count(name), 2, signed)
        self.assertIn("list-id", signed)
        self.passes(self.mta.smtp, SENDER)

    def log_in(self, user, sender):
        """Each reply to RCPT, or what refused the sender."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with smtplib.SMTP(*self.login) as smtp:
            smtp.starttls(context=context)
            smtp.login(user, "secret")
            try:
                return smtp.sendmail(sender, [ANN, BOB], make_message())
            except smtplib.SMTPRecipientsRefused as e:
                return e.recipients

    def test_login(self):
        self.configure("by-login")
        refused = self.log_in("campaigns", SENDER)
        self.assertEqual(list(refused), [BOB])
        self.assertIn(b"has not opted in", refused[BOB][1])
        self.mta.wait_idle()
        self.personal_link(self.sink.messages[0])
        self.assertEqual(self.filter.decisions(recipient=BOB)[-1]["auth"],
                         "campaigns")
        # Others log in and send, but not as the newsletter.
        self.assertEqual(self.log_in("alice", "alice@example.com"), {})
        refused = self.log_in("alice", SENDER)
        self.assertIn(b"not owned by user alice", refused[ANN][1])
        with smtplib.SMTP(*self.login) as smtp:
            self.assertEqual(smtp.mail(SENDER)[0], 530)     # no TLS, no mail

    def test_sender_domain(self):
        self.configure("by-sender")
        self.only_ann(self.mta.smtp)
        self.passes(self.mta.smtp, "news@example.com")

    def test_command_line(self):
        self.configure("by-sender")
        self.mta.sendmail(SENDER, [ANN, BOB], make_message())
        self.mta.wait_idle()
        got, = self.sink.messages
        self.assertEqual(got.recipients, [ANN])
        self.assertEqual(self.filter.decisions(recipient=BOB)[-1]["action"],
                         "remove")

    def test_filter_away(self):
        self.configure("by-sender")
        self.filter.stop()
        try:
            sent = self.mta.send(SENDER, ANN, make_message())
            self.assertFalse(sent.accepted)
            self.assertIn("451", str(sent.transcript))
        finally:
            self.filter.start()

    def test_hop(self):
        self.configure("by-sender")     # which holds on every port
        amy = "amy@example.org"
        self.filter.grant(amy)
        sent = send(self.hop, SENDER, [ANN, BOB, amy], make_message())
        self.assertEqual({r.code for r in sent.rcpt.values()}, {250})
        self.assertTrue(sent.accepted)
        self.mta.wait_idle()
        got = [m for m in self.sink.messages if m.sender == SENDER]
        self.assertEqual(sorted(m.recipients for m in got), [[amy], [ANN]])
        for message in got:
            self.personal_link(message)
        bounce, = [m for m in self.sink.messages if m.sender == ""]
        self.assertEqual(bounce.recipients, [SENDER])
        self.assertRegex(re.sub(rb"\s+", b" ", bounce.raw),
                         rb"550 5\.7\.1 <bob@example\.org> has not opted in")

    def test_hop_waits_for_redis(self):
        self.configure("by-port")
        self.redis.sigstop()
        try:
            sent = send(self.hop, SENDER, ANN, make_message())
            self.assertTrue(sent.accepted)
            self.mta.wait_log("451 4.4.3", timeout=30)
            since = len(self.mta.log())
        finally:
            self.redis.cont()
        self.mta.wait_log("to=<ann@example.org>.*status=sent", since, 60)
        self.mta.wait_idle()
        self.assertEqual([m.recipients for m in self.sink.messages], [[ANN]])

    def test_queue(self):
        for name in ("maximal_queue_lifetime", "bounce_queue_lifetime"):
            self.assertEqual(run([
                find_program("postconf"), "-h", "-c", self.mta.config_dir,
                name]).stdout, "1d\n")

    def test_check(self):
        """The last block: the same programs, with the test's configuration."""
        bin_dir = self.rig.subdir("bin")
        for name, line in (
                ("postfix", f"{find_program('postfix')} -c "
                 f"{self.mta.config_dir}"),
                ("consent-milter", f"{program('consent-milter')} -c "
                 f"{self.filter.config_path}"),
                ("consentctl", f"{program('consentctl')} -c "
                 f"{self.filter.config_path}")):
            write_file(os.path.join(bin_dir, name),
                       f'#!/bin/sh\nexec {line} "$@"\n', 0o755)
        done = run(["sh", "-e"], input=GUIDE.take("postfix-check"),
                   env={"PATH": f"{bin_dir}:{os.environ['PATH']}"})
        self.assertEqual(done.stdout, "no-consent\n", done.stderr)


class InTheChroot(GuideCase):
    def test_socket(self):
        redis = Redis(self.rig)
        self.sink = Sink(self.rig)
        signer, port = free_ports(2)
        OpenDkim(self.rig, port=signer)
        cls = type(self)
        cls.filter = Filter(self.rig, redis, start=False)
        self.mta = Postfix(
            self.rig, self.sink,
            main=main_cf(GUIDE.take("chroot-milters", ("8891", signer))),
            master=GUIDE.take("campaign-port", ("2525", port)))
        spool = ("/var/spool/postfix", self.mta.spool)
        run(["sh", "-e"], input=GUIDE.take(
            "chroot-directory", spool, ("-o consent-milter", "-o root")))
        self.filter.settings.pop("socket_mode")
        self.filter.address = os.path.join(self.mta.spool, "consent-milter",
                                           "milter.sock")
        self.filter.write_config(with_settings(
            self.filter.settings, GUIDE.take("chroot-socket", spool)))
        self.filter.start()
        self.filter.grant(ANN)
        self.assertEqual(stat.S_IMODE(os.stat(self.filter.address).st_mode),
                         0o660)
        self.only_ann(("127.0.0.1", port))
        self.mta.sendmail(SENDER, [BOB], make_message())
        wait_for(lambda: any(m.sender == "" for m in self.sink.messages), 20,
                 "the bounce of what sendmail(1) sent to Bob")


class OnRspamd(GuideCase):
    def test_signs(self):
        redis = Redis(self.rig)
        self.sink = Sink(self.rig)
        cls = type(self)
        cls.filter = Filter(self.rig, redis, inet=True)
        port = free_ports(1)[0]
        rspamd = Rspamd(self.rig, port, {
            "worker-proxy.inc": GUIDE.take("rspamd-proxy", ("11332", port)),
            "dkim_signing.conf": GUIDE.take("rspamd-signing", (
                "/var/lib/rspamd/dkim/news.example.com.key", "@KEY@")),
            "dkim.conf": GUIDE.take("rspamd-dkim")})
        self.mta = Postfix(self.rig, self.sink, [self.filter, rspamd])
        self.filter.grant(ANN)
        got = self.only_ann(self.mta.smtp, sender="b@news.example.com")
        passed, signed, detail = rspamd.verify(got.raw)
        self.assertTrue(passed, detail)
        for name in BOTH_FIELDS + ["from", "list-id"]:
            self.assertEqual(signed.count(name), 2, signed)


class OnSendmail(GuideCase):
    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, inet=True, start=False)
        cls.configure("sendmail-by-port")
        cls.sink = Sink(cls.rig)
        signer, port = free_ports(2)
        cls.dkim = OpenDkim(cls.rig, port=signer)
        cls.campaign = ("127.0.0.1", port)
        cls.mta = Sendmail(cls.rig, cls.sink, extra=GUIDE.take(
            "sendmail", ("8892", cls.filter.address[1]), ("8891", signer),
            ("Port=2525", f"Port={port}, Address=127.0.0.1")))
        cls.filter.grant(ANN)

    def test_port(self):
        got = self.only_ann(self.campaign)
        passed, signed, detail = self.dkim.verify(got.raw)
        self.assertTrue(passed, detail)
        self.assertTrue(set(BOTH_FIELDS) <= set(signed), signed)
        self.passes(self.mta.smtp, SENDER)

    def test_filter_away(self):
        self.filter.stop()
        try:
            sent = send(self.campaign, SENDER, ANN, make_message())
            self.assertFalse(sent.accepted)
            self.assertIn("451 4.3.2", str(sent.transcript))
        finally:
            self.filter.start()


class OnRedis(GuideCase):
    def rcpt(self, address=ANN):
        with self.filter.client() as client:
            client.mail(f"<{SENDER}>")
            return client.rcpt(f"<{address}>")

    def start_filter(self, redis, *texts):
        cls = type(self)
        # Without a Redis of its own: as the configuration that is installed.
        cls.filter = Filter(self.rig, redis, start=False, redis={} if redis
                            else {"url": "redis://127.0.0.1:6379/0"})
        self.filter.write_config(with_settings(self.filter.settings, *texts))
        self.filter.start()
        self.filter.grant(ANN)
        self.assertEqual(self.rcpt().kind, "continue")
        self.assertEqual(self.rcpt(BOB).text[:9], "550 5.7.1")

    def test_persistence(self):
        redis = Redis(self.rig,
                      options=GUIDE.take("persistence").splitlines())
        self.start_filter(redis)
        redis.stop()
        redis.start()
        wait_for(lambda: self.rcpt().kind == "continue", 10,
                 "the consent to be there without a rebuild")

    def test_users(self):
        top = self.rig.subdir("acl")
        acl, password = [os.path.join(top, n) for n in ("users", "password")]
        write_file(acl, replace(
            read_text(os.path.join(TOP, "conf", "redis-acl.conf")),
            ("CHANGE-ME", "secret")))
        write_file(password, "secret\n", 0o600)
        redis = Redis(self.rig, options=GUIDE.take(
            "redis-users", ("/etc/redis/redis-acl.conf", acl)).splitlines())
        self.start_filter(redis, GUIDE.take(
            "users", *((f"/etc/consent-milter/{name}.password", password)
                     for name in ("redis", "redis-writer", "redis-web"))))
        web = Service([program("consent-web"), "-t", "-c",
                       self.filter.config_path],
                      os.path.join(top, "web.log"))
        self.assertEqual(web.popen.wait(30), 0)
        client = RespClient(redis.socket)
        with self.assertRaisesRegex(RedisError, "NOAUTH"):
            client.call("HGETALL", "c:applied")
        client.close()

    def test_tls(self):
        authority = Authority(self.rig)
        pem = authority.issue()
        port = free_ports(1)[0]
        redis = Redis(self.rig, options=GUIDE.take(
            "redis-tls", ("6380", port), ("/etc/redis/redis.pem", pem),
            ("/etc/redis/ca.pem", authority.path)).splitlines())
        self.start_filter(redis, GUIDE.take(
            "tls", ("redis.example.com:6380", f"localhost:{port}"),
            ("/etc/consent-milter/redis-ca.pem", authority.path)))

    def test_sentinel(self):
        primary = Redis(self.rig, tcp=True)
        first = f"127.0.0.1 {primary.port}"
        replica = Redis(self.rig, tcp=True, options=GUIDE.take(
            "replica", ("10.0.0.1 6379", first)).splitlines())
        ports = free_ports(3)
        for port in ports:
            top = self.rig.subdir("sentinel")
            conf, log = os.path.join(top, "conf"), os.path.join(top, "log")
            write_file(conf, GUIDE.take(
                "sentinels", ("26379", port),
                ("10.0.0.1 6379", first)) + f"dir {top}\nbind 127.0.0.1\n")
            self.rig.add_log("sentinel", log)
            service = Service([find_program("redis-server"), conf,
                               "--sentinel"], log)
            self.rig.on_close(service.stop)

        def ask(port, *args):
            client = RespClient(("127.0.0.1", port))
            try:
                return client.call("SENTINEL", *args)
            finally:
                client.close()

        def seen(port):
            try:
                flat = ask(port, "MASTER", "consent")
            except OSError:
                return False
            facts = dict(zip(flat[::2], flat[1::2]))
            return (facts[b"num-other-sentinels"], facts[b"num-slaves"]) == \
                (b"2", b"1")
        wait_for(lambda: all(seen(p) for p in ports), 60,
                 "the Sentinels to know all")
        wait_for(lambda: b"master_link_status:up" in
                 replica.call("INFO", "replication"), 30, "a linked replica")
        self.start_filter(None, GUIDE.take(
            "sentinel", *((f"10.0.0.{i}:26379", f"127.0.0.1:{port}")
                          for i, port in enumerate(ports, 1))))
        wait_for(lambda: replica.call("DBSIZE") == primary.call("DBSIZE"), 20,
                 "the replica to have it all")
        def named():
            return ask(ports[0], "get-master-addr-by-name", "consent")
        old = named()
        try:
            ask(ports[0], "FAILOVER", "consent")
        except RedisError:              # a loaded machine: one is under way
            pass
        wait_for(lambda: named() != old, 60, "the failover")
        wait_for(lambda: f":{int(named()[1])}" in self.filter.log() and
                 self.rcpt().kind == "continue", 30, "mail to go on")


    def test_cluster(self):
        """To which a ledger moves."""
        single = Redis(self.rig)
        self.start_filter(single)
        before = self.filter
        before.stop()
        cluster = Cluster(self.rig, replicas=0)
        hosts = cluster.settings["cluster"]
        after = Filter(self.rig, None, start=False, keygen=False,
                       keys=before.keys_dir,
                       audit={"directory": before.audit_dir},
                       redis={"url": "redis://127.0.0.1:6379/0"})
        after.write_config(with_settings(after.settings, GUIDE.take(
            "cluster", ("h1:6379", hosts[0]), ("h2:6379", hosts[1]))))
        after.start()
        after.ctl("rebuild")
        type(self).filter = after
        wait_for(lambda: self.rcpt().kind == "continue", 20,
                 "the consent to be in the cluster")
        self.assertEqual(self.rcpt(BOB).text[:9], "550 5.7.1")


# Of each tool: its envelope sender, as the guide says.
TOOLS = {
    "listmonk": "weekly@listmonk.example.com",
    "phplist": "bounces@phplist.example.com",
    "mautic": "weekly@mautic.example.com",
    "mailpoet": "weekly@mailpoet.example.com",
    "mailman": "weekly-bounces@lists.example.com",
    "sympa": "weekly-owner@lists.example.net",
}


def tool_mail(tool, kind, recipient):
    """A message of the form that the tool gives it."""
    return read_text(os.path.join(HERE, "guide", f"{tool}-{kind}.eml")) \
        .replace("RECIPIENT", recipient).replace("\n", "\r\n").encode()


class Tools(GuideCase):
    """All of their rules in one configuration: none takes another's mail."""

    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.filter = Filter(cls.rig, cls.redis, start=False)
        lists = []
        for tool in TOOLS:
            text = GUIDE.take(tool)
            lists.append(re.fullmatch(r"lists = \(\n(.*)\n\);\n", text,
                                      re.DOTALL).group(1))
        cls.configure("exempt", then=[
            "lists = (\n" + ",\n".join(lists) + "\n);\n"])
        cls.sink = Sink(cls.rig)
        cls.mta = Postfix(cls.rig, cls.sink, [cls.filter])
        for tool in TOOLS:
            cls.filter.grant(ANN, "amy@example.org", list_id=f"{tool}-weekly")
            cls.filter.confirm(ANN, "amy@example.org",
                               list_id=f"{tool}-weekly")

    def post(self, tool, kind, recipient):
        self.sink.clear()
        message = tool_mail(tool, kind, recipient)
        return message, self.mta.send(TOOLS[tool], recipient, message)

    def got(self):
        self.mta.wait_idle()
        message, = self.sink.messages
        return message

    def test_campaign_with_consent(self):
        for tool in TOOLS:
            with self.subTest(tool):
                _, sent = self.post(tool, "campaign", ANN)
                self.assertTrue(sent.accepted, sent.transcript)
                got = self.got()
                self.personal_link(got, f"{tool}-weekly")
                self.assertNotIn(tool, got.one("List-Unsubscribe"))
                self.assertEqual(
                    self.filter.decisions(recipient=ANN)[-1]["list"],
                    f"{tool}-weekly")

    def test_campaign_without_consent(self):
        for tool in TOOLS:
            with self.subTest(tool):
                _, sent = self.post(tool, "campaign", BOB)
                ref = self.assert_refused(sent.end or sent.rcpt[BOB], BOB)
                entry = self.filter.decision(ref)
                self.assertEqual((entry["list"], entry["reason"]),
                                 (f"{tool}-weekly", "no-consent"))

    def test_confirmation(self):
        for tool in TOOLS:
            with self.subTest(tool):
                message, sent = self.post(tool, "confirmation", BOB)
                self.assertTrue(sent.accepted, sent.transcript)
                self.assertEqual(self.got().below_received(), message)

    def test_notice(self):
        message = tool_mail("listmonk", "notice", BOB)
        sent = self.mta.send("noreply@listmonk.example.com", BOB, message)
        self.assertTrue(sent.accepted, sent.transcript)
        self.assertEqual(self.got().below_received(), message)

    def test_bounces_and_automatic_replies(self):
        for tool in TOOLS:
            message = tool_mail(tool, "campaign", BOB)
            for what, sender, sent_as in (
                    ("bounce", "", message),
                    ("reply", "bob@example.com", make_message(fields=[
                        ("Auto-Submitted", "auto-replied (vacation)"),
                        ("Precedence", "bulk")])),
                    ("report", "bob@example.com", make_message(fields=[
                        ("Precedence", "bulk")]).replace(
                            b"text/plain; charset=utf-8",
                            b"multipart/report; boundary=x"))):
                with self.subTest(f"{tool} {what}"):
                    self.sink.clear()
                    sent = self.mta.send(sender, BOB, sent_as)
                    self.assertTrue(sent.accepted, sent.transcript)
                    self.assertEqual(self.got().below_received(), sent_as)

    def test_many_at_once(self):
        """Mailman's default: those without consent are taken off, and the
        link is nobody's."""
        sent = self.mta.send(TOOLS["mailman"], [ANN, BOB, "amy@example.org"],
                             tool_mail("mailman", "campaign", ANN))
        self.assertTrue(sent.accepted, sent.transcript)
        got = self.got()
        self.assertEqual(sorted(got.recipients), ["amy@example.org", ANN])
        self.assertEqual(got.all("List-Unsubscribe-Post"), [])

    def test_sympa_by_the_command_line(self):
        message = tool_mail("sympa", "campaign", ANN)
        self.mta.sendmail(TOOLS["sympa"], [ANN, BOB], message)
        got = self.got()
        self.assertEqual(got.recipients, [ANN])
        self.personal_link(got, "sympa-weekly")
        # nrcpt 1: the refusal becomes a bounce.
        self.sink.clear()
        self.mta.sendmail(TOOLS["sympa"], [BOB], message)
        bounce = self.got()
        self.assertEqual((bounce.sender, bounce.recipients),
                         ("", [TOOLS["sympa"]]))

    def test_exempt(self):
        message = make_message(fields=[("List-Id", "<x.tickets.example.com>")])
        sent = self.mta.send("t@tickets.example.com", BOB, message)
        self.assertTrue(sent.accepted, sent.transcript)
        self.assertEqual(self.got().below_received(), message)


_SYSTEMCTL = """\
#!/bin/bash
# start, stop and reload, as the units do.
action=$1; shift
for unit; do
	pid=$(cat @TOP@/$unit.pid 2>/dev/null)
	case $action in
	start)
		case $unit in consent-milter) f=-f ;; *) f= ;; esac
		setsid @TOP@/bin/$unit $f </dev/null >>@TOP@/$unit.log 2>&1 &
		echo $! >@TOP@/$unit.pid ;;
	stop)
		kill -TERM $pid
		# libmilter looks for the end when somebody connects.
		(: </dev/tcp/127.0.0.1/@PORT@) 2>/dev/null
		# A zombie has no executable.
		while readlink /proc/$pid/exe >/dev/null; do sleep 0.1; done ;;
	reload)
		kill -USR1 $pid ;;
	esac
done
"""


class Operation(GuideCase):
    """operation.md from its beginning to its end, on the configuration that is
    installed: observed, enforced, backed up, restored, and all of it lost."""

    @classmethod
    def set_up_rig(cls):
        cls.redis = Redis(cls.rig)
        cls.top = cls.rig.subdir("host")
        for path in ("bin", "backup", "safe", "tmp", "etc/consent-milter",
                     "var/lib/consent-milter"):
            os.makedirs(os.path.join(cls.top, path))
        cls.conf = os.path.join(cls.top, "etc/consent-milter",
                                "consent-milter.conf")
        cls.port, web = free_ports(2)
        cls.address = ("127.0.0.1", cls.port)
        cls.web_address = ("127.0.0.1", web)
        write_file(cls.conf, replace(
            read_text(os.path.join(TOP, "conf", "consent-milter.conf")),
            ("inet:8892@127.0.0.1\";", f"inet:{cls.port}@127.0.0.1\";"),
            ('"redis://127.0.0.1:6379/0"', f'"{cls.redis.url}"'),
            ("#timeout_ms = 200;", "timeout_ms = 3000;"),
            ('user = "consent-milter";', 'user = "";'),
            ('#keys = "/etc', f'keys = "{cls.top}/etc'),
            ('#directory = "/var', f'directory = "{cls.top}/var'),
            ('#listen = "127.0.0.1:8092"', f'listen = "127.0.0.1:{web}"'),
            ('#control = "/run/consent-milter', f'control = "{cls.top}')))
        cls.make_programs()
        cls.sink = Sink(cls.rig)
        cls.mta = Postfix(cls.rig, cls.sink, [f"inet:127.0.0.1:{cls.port}"])
        for unit in ("consent-milter", "consent-web"):
            cls.rig.add_log(unit, os.path.join(cls.top, f"{unit}.log"))

    @classmethod
    def make_programs(cls):
        lines = {name: f'exec {program(name)} -c {cls.conf} "$@"'
                 for name in ("consent-milter", "consent-web", "consentctl")}
        lines["redis-cli"] = (f"exec {find_program('redis-cli')} -s "
                              f'{cls.redis.socket} "$@"')
        lines["mail"] = f"cat >>{cls.top}/mail"
        # There need be no such user here.
        lines["chown"] = 'test "$1" = consent-milter && test -e "$2"'
        for name, line in lines.items():
            write_file(os.path.join(cls.top, "bin", name),
                       f"#!/bin/sh\n{line}\n", 0o755)
        write_file(os.path.join(cls.top, "bin", "systemctl"),
                   _SYSTEMCTL.replace("@TOP@", cls.top).replace(
                       "@PORT@", str(cls.port)), 0o755)

    def run_block(self, name):
        """Its output; every command in it has to end with 0."""
        text = re.sub(r"(?<!\w)/(etc/consent-milter|var/lib/consent-milter|"
                      r"backup|safe|tmp)\b", rf"{self.top}/\1",
                      GUIDE.take(name))
        done = run(["sh", "-ec", f"cd {self.top}/tmp\n{text}"], timeout=120,
                   env={"PATH": f"{self.top}/bin:{os.environ['PATH']}"})
        self.assertNotRegex(done.stderr, "Sanitizer|runtime error:")
        return done.stdout

    def ctl(self, *args):
        return run([os.path.join(self.top, "bin", "consentctl"), *args],
                   check=False)

    def state(self, address):
        return self.ctl("check", "--list", "weekly", address).stdout.strip()

    def wait_up(self):
        wait_for(lambda: milter.is_ready(self.address), 30, "the filter")

    def put(self, name, text):
        write_file(os.path.join(self.top, "tmp", name), text)

    def wait_log(self, unit, pattern, count=1):
        wait_for(lambda: len(re.findall(pattern, read_text(os.path.join(
            self.top, f"{unit}.log")))) >= count, 20, f"{pattern} of {unit}")

    def both(self):
        """What a campaign to Ann and Bob is answered."""
        sent = self.mta.send(SENDER, [ANN, BOB], make_message())
        self.mta.wait_idle()
        return [sent.rcpt[a].code for a in (ANN, BOB)]

    def test_all_of_it(self):
        self.import_rows()
        self.observe()
        self.enforce()
        self.keep()
        self.rotate()
        self.lose_and_restore()
        self.lose_keys()
        for unit in ("consent-milter", "consent-web"):
            self.assertNotRegex(read_text(os.path.join(
                self.top, f"{unit}.log")), "Sanitizer|runtime error:")

    def import_rows(self):
        self.ctl("keygen")
        self.put("subscribers.csv", "uuid,email,name,attributes,status,"
                 "created_at,updated_at\n"
                 'u1,zoe@example.org,"Zoe, Z.",{},enabled,'
                 "2026-01-05 10:00:00.123+00,2026-01-05 10:00:00+00\n")
        self.run_block("import")
        self.assertEqual(self.state("zoe@example.org"), "granted")
        self.put("opt-outs.csv", GUIDE.take("opt-outs"))
        self.put("consents.csv", "address,list,at\n"
                 f"{ANN},weekly,2026-01-05T10:00:00Z\n"
                 "carol@example.org,weekly,2026-01-05T10:00:00Z\n")

    def observe(self):
        self.run_block("observe")
        self.wait_up()
        self.run_block_web()
        message = make_message(fields=[("List-Unsubscribe", "<https://x/>")])
        sent = self.mta.send(SENDER, [ANN, BOB], message)
        self.assertTrue(sent.accepted, sent.transcript)
        self.mta.wait_idle()
        self.assertEqual(self.sink.messages[0].below_received(), message)
        out = self.run_block("look")
        self.assertIn("would-reject", out)
        self.assertIn("weekly", out)
        self.put("campaign.eml", message.decode())
        self.assertIn("weekly", self.run_block("explain"))

    def run_block_web(self):
        """consent-web, as the guide's README has it started."""
        run([os.path.join(self.top, "bin", "systemctl"), "start",
             "consent-web"])
        self.wait_log("consent-web", "listens on")

    def enforce(self):
        """The list first, which other mail does not notice."""
        unlisted = make_message(fields=[("Precedence", "bulk")])
        for count, (name, line, code) in enumerate((
                ("enforce-list", 'id   = "weekly";\n', 250),
                ("enforce-mode", 'mode = "observe";\n', 550)), 1):
            text = GUIDE.take(name)
            write_file(self.conf, replace(read_text(self.conf), (
                line, line + text if name == "enforce-list" else text)))
            self.run_block("enforce")
            self.wait_log("consent-milter", "configuration reloaded", count)
            self.assertEqual(self.both(), [250, 550])
            sent = self.mta.send("x@example.com", BOB, unlisted)
            self.assertEqual(sent.end.code, code, sent.transcript)

    def keep(self):
        self.run_block("daily")
        self.assertIn("checkpoint", read_text(os.path.join(self.top, "mail")))
        self.assertEqual(self.ctl("erase", "eve@example.org").returncode, 0)
        self.run_block("backup")
        out = self.run_block("broken")
        for word in ("consent-milter", "consent-web", "running", "granted"):
            self.assertIn(word, out)

    def rotate(self):
        old = self.ctl("token", "--list", "weekly", ANN).stdout
        self.run_block("rotate")
        self.wait_log("consent-milter", "configuration reloaded", 3)
        self.wait_log("consent-web", "reload", 1)
        new = self.ctl("token", "--list", "weekly", ANN).stdout
        self.assertNotEqual(old, new)
        self.assertEqual(self.both(), [250, 550])
        self.assertIn(f"<{new.strip()}>",
                      self.sink.messages[-1].one("List-Unsubscribe"))

    def lose_and_restore(self):
        self.redis.call("FLUSHALL")
        self.run_block("redis-lost")
        wait_for(lambda: self.both() == [250, 550], 20, "mail to go on")
        self.ctl("withdraw", "--list", "weekly", ANN)
        self.run_block("restore")
        self.wait_up()
        # What Redis had is not taken back by an older ledger.
        self.assertEqual(self.state(ANN), "withdrawn")
        self.assertEqual(self.both(), [550, 550])
        # And what comes in now is taken, though Redis was further on.
        zoe = "zoe@example.org"
        self.assertEqual(self.state(zoe), "granted")
        self.ctl("withdraw", "--list", "weekly", zoe)
        self.assertEqual(self.state(zoe), "withdrawn")
        self.ctl("grant", "--list", "weekly", ANN)
        self.assertEqual(self.both(), [250, 550])

    def lose_keys(self):
        self.run_block("keys-lost")
        self.wait_up()
        self.assertEqual(self.state(ANN), "granted")
        self.assertEqual(self.state("carol@example.org"), "withdrawn")
        self.assertEqual(self.both(), [250, 550])


class WholeGuide(TestCase):
    """Runs after the others."""

    def test_every_block_is_run(self):
        tests = {f"{__name__}.{case.__name__}.{name}"
                 for case in GuideCase.__subclasses__()
                 for name in dir(case) if name.startswith("test_")}
        if tests - GuideCase.seen:
            self.skipTest("not all of the tests were run")
        names = [b.name for b in GUIDE.blocks]
        self.assertEqual(len(set(names)), len(names), "names are unique")
        self.assertEqual(GUIDE.untaken(), [])

    def test_fences(self):
        """Each has a place and a name."""
        for page, text in GUIDE.pages.items():
            fences = re.findall(r"^```.*$", text, re.MULTILINE)
            blocks = [b for b in GUIDE.blocks if b.page == page]
            self.assertEqual(len(fences), 2 * len(blocks), page)

    def test_links(self):
        """To files that are there, and to headings."""
        pages = dict(GUIDE.pages, **{
            "README.md": read_text(os.path.join(TOP, "README.md"))})
        for page, text in pages.items():
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                if "://" in target:
                    continue
                name, _, anchor = target.partition("#")
                path = os.path.join(TOP, os.path.dirname(page), name) \
                    if name else os.path.join(TOP, page)
                self.assertTrue(os.path.exists(path), f"{page}: {target}")
                if anchor:
                    self.assertIn(anchor, [
                        re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-")
                        for h in re.findall(r"^#+ (.*)$", read_text(path),
                                            re.MULTILINE)], page)

    def test_readme_shows_the_same(self):
        """README's lines for mail servers and signers are lines of blocks."""
        text = read_text(os.path.join(TOP, "README.md"))
        shown = [b.text.splitlines() for b in GUIDE.blocks]
        pieces = [piece for piece in re.findall(r"(?:^    .*\n)+", text,
                                                re.MULTILINE)
                  if re.search("milter|MILTER|SignHeaders", piece) and
                  re.search("smtpd|INPUT|Headers", piece)]
        self.assertEqual(len(pieces), 4, "main.cf, master.cf, sendmail.mc, "
                         "opendkim.conf")
        for piece in pieces:
            lines = [line[4:] for line in piece.splitlines()]
            self.assertTrue(any(set(lines) <= set(b) for b in shown), piece)

    def test_commands_are_there(self):
        manual = read_text(os.path.join(TOP, "src", "ctl", "consentctl.1"))
        known = set(re.findall(r"^\.It Cm (\S+)", manual, re.MULTILINE))
        for page, text in GUIDE.pages.items():
            for command in re.findall(r"consentctl ([a-z][a-z-]+)", text):
                self.assertIn(command, known, page)
