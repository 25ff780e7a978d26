# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""The rig: real mail servers, Redis and filters, privately and disposably.

Needs root, Python 3.9 or later, nothing from outside the standard library.
Works on loopback and in /tmp only; what it starts ends with it, and an
installed MTA or Redis is not touched.  Environment:

    CONSENT_MILTER_BUILD   build directory with the programs under test
    CONSENT_MILTER_CACHE   where Sendmail and Valkey are unpacked
                           (/var/cache/consent-milter-tests)
    CONSENT_MILTER_REDIS   a program that stands in for redis-server: the path
                           of valkey-server, or of another version
    CONSENT_MILTER_KEEP    not empty: temporary directories stay
    CONSENT_MILTER_SESSIONS
                           SMTP sessions at once in test_many (400)

A test module (tests/integration/test_*.py) looks like this:

    from rig import Filter, Postfix, Redis, Sink, TestCase, make_message

    class Example(TestCase):
        @classmethod
        def set_up_rig(cls):            # once for all tests of the class
            cls.redis = Redis(cls.rig)
            cls.filter = Filter(cls.rig, cls.redis)
            cls.sink = Sink(cls.rig)
            cls.postfix = Postfix(cls.rig, cls.sink, [cls.filter])

        def test_refusal(self):
            sent = self.postfix.send("n@news.example.com", "bob@example.org",
                                     make_message(to="bob@example.org"))
            ref = self.assert_refused(sent.rcpt["bob@example.org"],
                                      "bob@example.org")
            self.assertEqual(self.filter.decision(ref)["reason"],
                             "no-consent")

What there is (each class says more):

    Rig(name)              directory, logs, clean-up; .path(), .subdir()
    TestCase               unittest.TestCase with cls.rig; assert_reply,
                           assert_refused; logs of a failed test are shown
    Redis(rig, tcp, options, tls)
                           .url .tcp_url .tls_url .call("HGETALL", key)
                           .stop() .start() .kill9() .sigstop() .cont()
                           .restart() .use_certificate(pem)
    Sentinels(rig, replicas, tls, password)
                           a primary, replicas and three Sentinels: .settings
                           .servers .services .primary() .wait_failover(old)
    fetch_valkey()         the path of valkey-server
    Filter(rig, redis, **settings)
                           .milter .address .start() .reload(**changes)
                           .stop() .kill9() .client() .log() .wait_log()
                           .decisions(**fields) .decision(ref)
                           .ctl(…) .grant() .confirm() .withdraw()
    Web(rig, filter)       consent-web beside it: .link(address) .click(link)
                           .request(method, target, body, headers) .raw(bytes)
                           .stop() .start() .kill9() .log()
    Browser(rig, language, width)
                           Chromium: .open(url) .press("Tab") .focused()
                           .text() .evaluate(expression)
    MilterClient(address)  the protocol without an MTA: .negotiate()
                           .connect() .helo() .mail() .rcpt() .message()
                           .eom() .abort() .quit(); .send(), .send_raw(),
                           .read() for what is not protocol
    Sink(rig, refuse)      .messages .wait(n) .for_recipient() .clear()
    Message                .raw .head .body .all(name) .one(name) .names()
                           .below_received() .sender .recipients
    make_message(…)        bytes, with a header that no MTA adds to
    Postfix(rig, sink, milters, main, master, virtual, …)
                           ports .smtp .submission .xclient .plain;
                           .send() .sendmail() .queue() .wait_idle()
                           .configure() .reload() .kill9() .wait_log()
    Sendmail(rig, sink, milters, flag)
                           ports .smtp .submission; .send() .wait_idle()
    OpenDkim(rig)          .milter (behind the filter) .verify(raw)
    Rspamd(rig, port, local)
                           the same with rspamd
    Guide()                doc/guide: .take(name) .blocks .untaken()
    Nginx(rig, upstream)   and Caddy, Haproxy, as contrib/ shows them:
                           .fetch() .top .logs()
    Authority(rig)         a CA: .path .issue(host, not_after)
    Receiver(rig, pem)     a web server: .url .requests .wait(n) .behave
    Smtp(address)          one SMTP session, step by step; .transcript
    send(address, sender, recipients, message, auth, xclient)
                           one message: .mail .rcpt{} .end .accepted
    verify_chain(filter.audit_dir)
                           recomputes the decision log's hash chain
    wait_for(what)         instead of sleeping
    in_threads(n, work)    n at the same time

No test sleeps to see that something does not happen: after
postfix.wait_idle() everything that was accepted has been delivered, so what
is not in the sink then will not come.
"""
from .browser import Browser
from .filter import Filter, WEEKLY, in_threads, libconfig, merge, program
from .guide import Guide, main_cf, with_settings
from .journal import verify_chain
from .message import Message, make_message
from .milter import Answer, Closed, MilterClient
from .opendkim import OpenDkim
from .postfix import Postfix
from .process import (Rig, RigError, Service, find_program, free_ports,
                      read_text, replace, run, wait_for, write_file)
from .proxy import Caddy, Haproxy, Nginx
from .receiver import Authority, Receiver
from .redis import (Cluster, Redis, RedisError, RespClient, Sentinels,
                    slot_of)
from .rspamd import Rspamd
from .sendmail import Sendmail
from .sink import Sink
from .smtp import Reply, Sent, Smtp, send
from .testcase import REF, TestCase, UNLISTED, UNVERIFIED, refusal
from .valkey import fetch_valkey
from .web import Web

__all__ = [name for name in dir() if name[0] != "_"]
