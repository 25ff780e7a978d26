/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/mtaconf.h"

#include <stdio.h>
#include <string.h>

#include "check.h"

#include "base/buf.h"
#include "ctl/dialog.h"
#include "ctl/doctor.h"

/* Borrowed text, shown. */
static const char *
shown(struct span s, char text[256])
{
	(void)snprintf(text, 256, "%.*s", (int)s.len, (const char *)s.p);
	return text;
}

static void
test_sockets(void)
{
	static const struct {
		const char *text, *want;	/* NULL: none */
	} cases[] = {
		{ "unix:/run/x.sock", "/run/x.sock" },
		{ "local:/run/x.sock", "/run/x.sock" },
		{ "UNIX:consent/x.sock", "consent/x.sock" },
		{ "/run/x.sock", "/run/x.sock" },
		{ "inet:8892@127.0.0.1", "127.0.0.1 8892" },
		{ "inet6:8892@[::1]", "::1 8892" },
		{ "inet:127.0.0.1:8892", "127.0.0.1 8892" },
		{ "inet:[::1]:8892", "::1 8892" },
		{ "inet:localhost:milter", "localhost milter" },
		{ "inet:8892", " 8892" },
		{ " 127.0.0.1:8092 ", "127.0.0.1 8092" },
		{ "[::1]:8092", "::1 8092" },
		{ "", NULL }, { "unix:", NULL }, { "inet:", NULL },
		{ "inet:host:", NULL }, { "inet:@host", NULL },
	};
	char long_one[400];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct mta_socket s;
		char got[600];
		bool is = mtaconf_socket(span_str(cases[i].text), &s);

		check_case((long)i);
		CHECK(is == (cases[i].want != NULL));
		if (!is)
			continue;
		if (s.is_unix)
			(void)snprintf(got, sizeof(got), "%s", s.path);
		else
			(void)snprintf(got, sizeof(got), "%s %s", s.host,
			    s.port);
		CHECK_STR(got, cases[i].want);
	}
	check_case(-1);
	memset(long_one, 'x', sizeof(long_one));
	memcpy(long_one, "unix:/", 6);
	CHECK(!mtaconf_socket(span_of(long_one, sizeof(long_one)),
	    &(struct mta_socket){ 0 }));
	CHECK(!mtaconf_socket(SPAN("unix:/a\0b"), &(struct mta_socket){ 0 }));
}

static void
test_same_sockets(void)
{
	static const struct {
		const char *a, *b;
		bool want;
	} cases[] = {
		{ "inet:8892@127.0.0.1", "inet:localhost:8892", true },
		{ "inet:8892", "inet:127.0.0.1:8892", true },
		{ "inet:8892@0.0.0.0", "inet:[::1]:8892", true },
		{ "inet:8892@127.0.0.1", "inet:127.0.0.1:8891", false },
		{ "inet:8892@127.0.0.1", "inet:192.0.2.1:8892", false },
		{ "inet:8892@mx.example", "inet:MX.example:8892", true },
		{ "unix:/q/c/m.sock", "unix:c/m.sock", true },
		{ "unix:/q/c/m.sock", "unix:/c/m.sock", true },
		{ "unix:/q/c/m.sock", "unix:/q/c/m.sock", true },
		{ "unix:/r/c/m.sock", "unix:c/m.sock", false },
		{ "unix:/q/8892", "inet:8892", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct mta_socket a, b;

		check_case((long)i);
		CHECK(mtaconf_socket(span_str(cases[i].a), &a));
		CHECK(mtaconf_socket(span_str(cases[i].b), &b));
		CHECK(mtaconf_same_socket(&a, &b, "/q") == cases[i].want);
		CHECK(mtaconf_same_socket(&b, &a, "/q") == cases[i].want);
	}
	check_case(-1);
}

static void
test_milters(void)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "", "" },
		{ "unix:/a, inet:h:1", "unix:/a||;inet:h:1||;" },
		{ "unix:/a\tinet:h:1 ,", "unix:/a||;inet:h:1||;" },
		{ "{ unix:/a, default_action=accept, command_timeout=5s } x:1",
		    "unix:/a|accept|5s;x:1||;" },
		{ "{unix:/a,default_action = accept}",
		    "unix:/a|accept|;" },
		{ "{ unix:/a default_action= reject connect_timeout=1s}",
		    "unix:/a|reject|;" },
		/* Open ends. */
		{ "{ unix:/a, default_action=accept", "unix:/a|accept|;" },
		{ "{", "||;" }, { "{}", "||;" },
		{ "{ unix:/a, default_action", "unix:/a||;" },
		{ "{ unix:/a, default_action =", "unix:/a||;" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct span rest = span_str(cases[i].text);
		struct buf got = BUF_INIT(4096);
		struct mta_milter m;
		char a[256], b[256], c[256];

		check_case((long)i);
		while (mtaconf_next_milter(&rest, &m))
			buf_addf(&got, "%s|%s|%s;", shown(m.socket, a),
			    shown(m.action, b), shown(m.timeout, c));
		CHECK_STR(buf_get(&got), cases[i].want);
		buf_fini(&got);
	}
	check_case(-1);
}

static void
test_times(void)
{
	static const struct {
		const char *text;
		char unit;
		long long want;		/* -1: none */
	} cases[] = {
		{ "30s", 's', 30000 }, { "5", 's', 5000 }, { "5m", 's',
		    300000 }, { "1h", 's', 3600000 }, { "5d", 'd', 432000000 },
		{ "5", 'd', 432000000 }, { "1w", 's', 604800000 },
		{ "", 's', -1 }, { "s", 's', -1 }, { "5x", 's', -1 },
		{ "-5s", 's', -1 }, { "99999999999s", 's', -1 },
		{ "$x", 's', -1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int64_t ms = -1;

		check_case((long)i);
		CHECK(mtaconf_time(span_str(cases[i].text), cases[i].unit,
		    &ms) == (cases[i].want != -1));
		CHECK_INT(ms, cases[i].want);
	}
	check_case(-1);
}

static void
test_postconf(void)
{
	static const char services[] =
	    "smtp       inet  n       -       y       -       -       smtpd -v\n"
	    "# a b c d e f g\n"
	    "half line\n"
	    "127.0.0.1:10026 inet n - n - - /usr/lib/postfix/sbin/smtpd\n";
	static const char overrides[] =
	    "smtp/inet/smtpd_milters = \n"
	    "private/x/unix/smtpd_milters = unix:/x\n"
	    "nonsense\n"
	    "smtp/inet/receive_override_options = a,no_milters\n";
	struct span value, rest = span_str(services);
	struct mta_service s;
	char text[256];

	CHECK(mtaconf_value(SPAN("a = 1\nb =\nab = 2\n"), "ab", &value));
	CHECK_STR(shown(value, text), "2");
	CHECK(mtaconf_value(SPAN("a = 1\nb ="), "b", &value));
	CHECK_INT(value.len, 0);
	CHECK(!mtaconf_value(SPAN("a = 1\n"), "b", &value));
	CHECK(mtaconf_next_service(&rest, &s));
	CHECK_STR(shown(s.name, text), "smtp");
	CHECK_STR(shown(s.chroot, text), "y");
	CHECK_STR(shown(s.command, text), "smtpd");
	CHECK(mtaconf_override(span_str(overrides), &s, "smtpd_milters",
	    &value));
	CHECK_INT(value.len, 0);
	CHECK(mtaconf_override(span_str(overrides), &s,
	    "receive_override_options", &value));
	CHECK(mtaconf_has_word(value, SPAN("no_milters")));
	CHECK(!mtaconf_has_word(value, SPAN("no_milter")));
	CHECK(!mtaconf_override(span_str(overrides), &s, "x", &value));
	CHECK(mtaconf_next_service(&rest, &s));
	CHECK_STR(shown(s.command, text), "/usr/lib/postfix/sbin/smtpd");
	CHECK(!mtaconf_next_service(&rest, &s));
	s = (struct mta_service){ .name = SPAN("private/x"),
	    .type = SPAN("unix") };
	CHECK(mtaconf_override(span_str(overrides), &s, "smtpd_milters",
	    &value));
	CHECK(mtaconf_is_yes(SPAN(" YES")));
	CHECK(!mtaconf_is_yes(SPAN("yesterday")));
}

static void
test_sendmail(void)
{
	struct span value, rest = SPAN("D{X}y\n"
	    "Xconsent, S=inet:8892@127.0.0.1, F=T, T=C:5m;S:10s\n"
	    "X\nXopen\nO InputMailFilters=consent,open\n");
	struct mta_filter f;
	char text[256];

	CHECK(mtaconf_sendmail_option(rest, "inputmailfilters", &value));
	CHECK_STR(shown(value, text), "consent,open");
	CHECK(!mtaconf_sendmail_option(rest, "InputMail", &value));
	CHECK(mtaconf_next_filter(&rest, &f));
	CHECK_STR(shown(f.name, text), "consent");
	CHECK_STR(shown(f.socket, text), "inet:8892@127.0.0.1");
	CHECK_STR(shown(f.flags, text), "T");
	CHECK(mtaconf_next_filter(&rest, &f));
	CHECK_STR(shown(f.name, text), "open");
	CHECK_INT(f.flags.len, 0);
	CHECK(!mtaconf_next_filter(&rest, &f));
}

static void
test_signers(void)
{
	struct span value, text = SPAN("# SignHeaders no\nsignheaders a\n"
	    "Mode\tsv # both\nSignHeaders  *,+X\n");
	char got[256];

	CHECK(mtaconf_opendkim(text, "SignHeaders", &value));
	CHECK_STR(shown(value, got), "*,+X");
	CHECK(mtaconf_opendkim(text, "Mode", &value));
	CHECK_STR(shown(value, got), "sv");
	CHECK(!mtaconf_opendkim(text, "Socket", &value));
	CHECK(mtaconf_names_header(SPAN("*,+X"), SPAN("x"), false));
	CHECK(mtaconf_names_header(SPAN("*"), SPAN("x"), true));
	CHECK(!mtaconf_names_header(SPAN("*,-X"), SPAN("x"), true));
	CHECK(!mtaconf_names_header(SPAN("A,B"), SPAN("x"), true));
	CHECK(mtaconf_names_header(SPAN("A, x"), SPAN("X"), false));
	CHECK(!mtaconf_names_header(SPAN(""), SPAN("x"), true));
	CHECK(mtaconf_rspamd(SPAN("# no\n sign_headers = \"(o)a:b\";\n"),
	    "sign_headers", &value));
	CHECK_STR(shown(value, got), "(o)a:b");
	CHECK(mtaconf_rspamd_signs(value, SPAN("A")));
	CHECK(mtaconf_rspamd_signs(value, SPAN("b")));
	CHECK(!mtaconf_rspamd_signs(value, SPAN("c")));
	CHECK(!mtaconf_rspamd_signs(SPAN(""), SPAN("c")));
}

static void
test_answers(void)
{
	static const struct {
		struct span answer;
		int want;
		const char *text;
	} http[] = {
		{ SPAN("HTTP/1.1 200 OK\r\nA: b\r\n\r\nok\n"), 200, "ok" },
		{ SPAN("HTTP/1.1 503 X\r\n\r\nredis\033[2J"), 503, "redis" },
		{ SPAN("HTTP/1.0 404"), 404, "" },
		{ SPAN("HTTP/1.1 2x0 OK\r\n\r\n"), -1, "" },
		{ SPAN("220 mx ESMTP Postfix\r\n"), -1, "" },
		{ SPAN(""), -1, "" },
	};
	struct fail fail;
	char text[64];

	for (size_t i = 0; i < sizeof(http) / sizeof(*http); i++) {
		check_case((long)i);
		CHECK_INT(dialog_read_http(http[i].answer, text, sizeof(text),
		    &fail), http[i].want);
		CHECK_STR(text, http[i].text);
	}
	check_case(-1);
	CHECK_INT(dialog_read_negotiation(SPAN("\0\0\0\15O\0\0\0\6\0\0\1\377"
	    "\0\37\377\377"), &fail), 6);
	CHECK_INT(dialog_read_negotiation(SPAN("\0\0\0\15O\0\0\0\6\0\0\1\377"
	    "\0\37\377"), &fail), -1);
	CHECK_INT(dialog_read_negotiation(SPAN("220 mx.example ESMTP"),
	    &fail), -1);
	CHECK_INT(dialog_read_negotiation(SPAN("\0\0\0\15O\377\0\0\6\0\0\1\377"
	    "\0\37\377\377"), &fail), -1);
}

/* What systemd says; it does not run where tests do. */
static void
test_units(void)
{
	static const struct {
		const char *shown, *want;	/* of the first finding */
		enum finding_status status;
	} cases[] = {
		{ "LoadState=loaded\nActiveState=active\nUnitFileState=enabled"
		    "\nNRestarts=0\nNeedDaemonReload=no\nLimitNOFILE=65536\n",
		    "u runs", FINDING_OK },
		{ "LoadState=loaded\nActiveState=active\nNRestarts=0\n"
		    "LimitNOFILE=infinity\n", "u runs", FINDING_OK },
		{ "LoadState=not-found\nActiveState=inactive\n",
		    "systemd has no u: nobody starts it with the machine, or "
		    "again when it ends", FINDING_WARN },
		{ "LoadState=loaded\nActiveState=failed\n"
		    "UnitFileState=enabled\n", "u does not run",
		    FINDING_FAIL },
		{ "LoadState=loaded\nActiveState=active\nNRestarts=12\n",
		    "u ended 12 times by itself and was started again",
		    FINDING_WARN },
		{ "LoadState=loaded\nActiveState=active\n"
		    "UnitFileState=disabled\n",
		    "u does not start with the machine", FINDING_FAIL },
		{ "LoadState=loaded\nActiveState=active\n"
		    "NeedDaemonReload=yes\n", "the file of u was changed, and "
		    "systemd does not know yet", FINDING_WARN },
		{ "LoadState=loaded\nActiveState=active\nLimitNOFILE=1024\n",
		    "u may open 1024 files, too few for limits.connections = "
		    "1000", FINDING_FAIL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct findings f = { NULL, 0, 0 };

		check_case((long)i);
		doctor_units_judge(&f, "u", span_str(cases[i].shown), 1000);
		CHECK_INT(f.count, 1);
		CHECK_STR(f.all[0].text, cases[i].want);
		CHECK(f.all[0].status == cases[i].status);
		CHECK((f.all[0].fixes != NULL) ==
		    (cases[i].status != FINDING_OK));
		findings_fini(&f);
	}
	check_case(-1);
}

static void
test_sorting(void)
{
	struct findings f = { NULL, 0, 0 };
	char got[8] = "";

	findings_add(&f, "a", FINDING_OK, "x");
	findings_add(&f, "b", FINDING_SKIPPED, "x");
	findings_add(&f, "c", FINDING_FAIL, "x");
	findings_add(&f, "d", FINDING_WARN, "x");
	findings_add(&f, "e", FINDING_FAIL, "x");
	findings_sort(&f);
	for (size_t i = 0; i < f.count; i++)
		got[i] = f.all[i].check[0];
	CHECK_STR(got, "cedba");
	findings_fini(&f);
}

static const struct check_test tests[] = {
	{ "sockets", test_sockets },
	{ "same sockets", test_same_sockets },
	{ "milters", test_milters },
	{ "times", test_times },
	{ "postconf", test_postconf },
	{ "sendmail", test_sendmail },
	{ "signers", test_signers },
	{ "answers", test_answers },
	{ "units", test_units },
	{ "sorting", test_sorting },
};

CHECK_MAIN("mtaconf", tests)
