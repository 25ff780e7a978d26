# Copyright the consent-milter authors.
# SPDX-License-Identifier: BSD-2-Clause
"""consentctl selftest: the ways in which a set-up is broken, with the line that
mends each."""
import datetime

from rig import Filter, OpenDkim, Postfix, Nginx, Redis, Web, free_ports
from test_selftest import SelftestCase

PASS = "\t\tproxy_pass http://consent_web;\n"


def in_days(days):
    then = datetime.datetime.now(datetime.timezone.utc) + \
        datetime.timedelta(days=days)
    return then.strftime("%Y%m%d%H%M%SZ")


class BrokenMail(SelftestCase):
    def test_filter_missing(self):
        postfix = Postfix(self.rig, self.sink, [self.dkim])
        code, found = self.run_json(postfix=postfix)
        self.assertEqual(code, 1)
        milter = f"smtpd_milters = {self.filter.milter}, inet:127.0.0.1:8891"
        self.assert_fails(found, "unsubscribe", "not there", milter)
        self.assert_fails(found, "unsubscribe-post", "not there", milter)
        self.assert_fails(found, "refused", "not refused", milter)
        self.assertEqual(found["link"]["status"], "skipped")
        self.assertEqual(found["one-click"]["status"], "ok")

    def test_no_signer(self):
        postfix = Postfix(self.rig, self.sink, [self.filter])
        code, found = self.run_json(postfix=postfix)
        self.assertEqual(code, 1)
        self.assert_fails(found, "dkim", "no DKIM signature",
                          "smtpd_milters = .*8891(.|\n)*SignHeaders")
        self.assert_good(1, found, but=["dkim"])

    def test_stock_opendkim(self):
        dkim = OpenDkim(self.rig, options={"SignHeaders": None,
                                           "OversignHeaders": "From"})
        postfix = Postfix(self.rig, self.sink, [self.filter, dkim])
        code, found = self.run_json(postfix=postfix, dkim=dkim)
        self.assertEqual(code, 1)
        self.assert_fails(found, "dkim-covers",
                          "^not signed: List-Unsubscribe-Post$",
                          r"SignHeaders \*,\+List-Unsubscribe,"
                          r"\+List-Unsubscribe-Post")
        self.assert_good(1, found, but=["dkim-covers"])
        # The same signer in front signs neither, and is valid.
        postfix = Postfix(self.rig, self.sink, [dkim, self.filter])
        code, found = self.run_json(postfix=postfix, dkim=dkim)
        self.assert_fails(found, "dkim-covers", "List-Unsubscribe, List",
                          f"smtpd_milters = {self.filter.milter}, ")
        self.assert_good(1, found, but=["dkim-covers"])

    def test_oversigning_is_worth_a_word(self):
        dkim = OpenDkim(self.rig, options={"OversignHeaders": "From"})
        postfix = Postfix(self.rig, self.sink, [self.filter, dkim])
        code, found = self.run_json(postfix=postfix, dkim=dkim)
        self.assertEqual((code, found["dkim-covers"]["status"]), (0, "warn"))
        self.assertIn("OversignHeaders", found["dkim-covers"]["fixes"][0])

    def test_order_breaks_signature(self):
        postfix = Postfix(self.rig, self.sink, [self.dkim, self.filter])
        code, found = self.run_json(postfix=postfix)
        self.assertEqual(code, 1)
        self.assert_fails(found, "dkim", "header was changed",
                          f"smtpd_milters = {self.filter.milter}, ")

    def test_observe(self):
        self.filter.reload(mode="observe")
        try:
            code, found = self.run_json()
        finally:
            self.filter.reload(mode="enforce")
        self.assertEqual(code, 1)
        for check in ("mode", "unsubscribe", "refused"):
            self.assert_fails(found, check, ".", 'mode = "enforce";')

    def test_kept_link(self):
        self.filter.reload(unsubscribe={"existing": "keep"})
        try:
            code, found = self.run_json(
                "--header", "List-Unsubscribe: <https://tool.example/x>")
        finally:
            self.filter.reload(unsubscribe={"existing": "replace"})
        self.assertEqual(code, 1)
        self.assert_fails(found, "link", "does not begin with",
                          'existing = "replace"')

    def test_added_behind(self):
        """A second field that a later hop adds."""
        postfix = Postfix(
            self.rig, self.sink, [self.filter, self.dkim], main={
                "smtp_header_checks":
                "regexp:{{/^Subject: Self-test/ PREPEND List-Unsubscribe: "
                "<mailto:x@tool.example>}}"})
        code, found = self.run_json(postfix=postfix)
        self.assertEqual(code, 1)
        self.assert_fails(found, "unsubscribe", "2 times", "smtpd_milters")
        self.assert_fails(found, "dkim", "header was changed",
                          "smtpd_milters")

    def test_footer(self):
        postfix = Postfix(
            self.rig, self.sink, [self.filter, self.dkim], main={
                "smtp_body_checks":
                "regexp:{{/^Nobody has/ PREPEND A footer}}"})
        code, found = self.run_json(postfix=postfix)
        self.assertEqual(code, 1)
        self.assert_fails(found, "dkim", "body was changed", "smtpd_milters")

    def test_not_of_the_list(self):
        lists = self.filter.settings["lists"]
        self.filter.reload(lists=[{
            **lists[0], "match": [{"sender": "*@other.example"}]}])
        try:
            code, found = self.run_json()
        finally:
            self.filter.reload(lists=lists)
        self.assertEqual((code, found["list"]["status"]), (1, "warn"))
        self.assertIn('match = ( { sender = "*@news.example.com"; } );',
                      found["list"]["fixes"][0])
        self.assert_fails(found, "sent", "550 5.7.1", "match = ")

    def test_refused_by_the_mail_server(self):
        postfix = Postfix(self.rig, self.sink, [self.filter, self.dkim],
                          main={"smtpd_recipient_restrictions": "reject"})
        code, found = self.run_json(postfix=postfix)
        self.assertEqual(code, 1)
        self.assert_fails(found, "sent", "554 5.7.1", "mynetworks")

    def test_filter_away(self):
        postfix = Postfix(self.rig, self.sink,
                          [f"unix:{self.rig.path('nobody')}", self.dkim])
        code, found = self.run_json(postfix=postfix)
        self.assertEqual(code, 75)
        self.assertEqual(found["sent"]["status"], "skipped")
        self.assertIn("451", found["sent"]["text"])

    def test_never_arrives(self):
        code, found = self.run_json("--wait", "1",
                                    mailbox=self.rig.path("none"))
        self.assertEqual(code, 75)
        self.assertIn("did not arrive", found["arrived"]["text"])


class BrokenWeb(SelftestCase):
    def through(self, proxy, **options):
        self.point_at(proxy)
        try:
            return self.run_json(**options)
        finally:
            self.point_at(self.proxy)

    def test_redirect(self):
        proxy = self.make_proxy(changes=[
            (PASS, "\t\treturn 301 https://www.example.org$request_uri;\n" +
             PASS)])
        code, found = self.through(proxy)
        self.assertEqual(code, 1)
        for check in ("redirect", "one-click", "link-get", "link-forged"):
            self.assert_fails(found, check, ".",
                              'nginx: remove "return 301(.|\n)*'
                              'url = "https://www.example.org/u/"')
        self.assertEqual(found["opt-out"]["status"], "skipped")
        # The filter's part is tried all the same.
        self.assertEqual(found["refused"]["status"], "ok")

    def test_cookie(self):
        proxy = self.make_proxy(changes=[
            (PASS, '\t\tadd_header Set-Cookie "sid=1";\n' + PASS)])
        code, found = self.through(proxy)
        self.assertEqual(code, 1)
        self.assert_fails(found, "cookie", "sets a cookie",
                          "proxy_hide_header Set-Cookie;")
        self.assert_good(1, found, but=["cookie"])

    def test_get_becomes_post(self):
        proxy = self.make_proxy(changes=[
            (PASS, '\t\tproxy_method POST;\n\t\tproxy_set_body '
             '"List-Unsubscribe=One-Click";\n\t\tproxy_set_header '
             'Content-Type application/x-www-form-urlencoded;\n' + PASS)])
        code, found = self.through(proxy)
        self.assertEqual(code, 1)
        self.assert_fails(found, "link-safe", "opted out", "proxy_method")

    def test_certificates(self):
        for pem, status, text, fix in (
                (self.authority.issue("localhost", in_days(5)), "fail",
                 "another [45] days", "certbot renew --cert-name localhost"),
                (self.authority.issue("localhost", in_days(15)), "warn",
                 "another 1[45] days", "certbot renew"),
                (self.authority.issue("localhost", in_days(-1)), "fail",
                 "expired", "certbot renew"),
                (self.authority.issue("www.example.org"), "fail",
                 "not valid", "certbot certonly --nginx -d localhost"),
                (self.authority.issue("localhost", self_signed=True), "fail",
                 "self-signed", "fullchain.pem")):
            code, found = self.through(self.make_proxy(pem))
            with self.subTest(text):
                self.assertEqual(code, int(status == "fail"))
                self.assertEqual(found["certificate"]["status"], status)
                self.assertRegex(found["certificate"]["text"], text)
                self.assertRegex(found["certificate"]["fixes"][0], fix)

    def test_nobody_there(self):
        self.filter.reload(unsubscribe={
            "url": f"https://localhost:{free_ports(1)[0]}/u/"})
        try:
            code, found = self.run_json()
        finally:
            self.point_at(self.proxy)
        self.assertEqual(code, 1)
        self.assert_fails(found, "link-forged", "does not answer",
                          "unsubscribe = { url = (.|\n)*server_name "
                          "localhost;")

    def test_consent_web_away(self):
        proxy = self.make_proxy(changes=[
            (PASS, PASS.replace("consent_web",
                                f"127.0.0.1:{free_ports(1)[0]}"))])
        code, found = self.through(proxy)
        self.assertEqual(code, 1)
        self.assert_fails(found, "one-click", "502",
                          "systemctl restart consent-web")

    def test_other_keys(self):
        other = Filter(self.rig, self.redis, start=False)
        web = Web(self.rig, other)
        proxy = Nginx(self.rig, "%s:%d" % web.address, self.pem)
        code, found = self.through(proxy)
        self.assertEqual(code, 1)
        for check in ("link-get", "one-click"):
            self.assert_fails(found, check, "404", r"token-\*\.key")
        self.assertEqual(found["link-forged"]["status"], "ok")

    def test_other_redis(self):
        """The keys are the same, but the opt-out goes to another store."""
        other = Filter(self.rig, Redis(self.rig), start=False, keygen=False,
                       keys=self.filter.keys_dir)
        web = Web(self.rig, other)
        proxy = Nginx(self.rig, "%s:%d" % web.address, self.pem)
        code, found = self.through(proxy)
        self.assertEqual(code, 1)
        self.assert_fails(found, "opt-out", "does not count here", "redis = ")
        self.assertEqual(found["refused"]["status"], "ok")
