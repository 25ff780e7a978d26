/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What a self-test makes of messages, mailboxes and keys.
 */
#include "ctl/probe.h"

#include "base/crypto.h"
#include "ctl/mailbox.h"

#include "check.h"

#define BASE	"https://h.example/u/"
#define ONE_CLICK	"List-Unsubscribe=One-Click"

static struct list lists[] = {
	{ .id = "weekly", .name = (char[]){ "Weekly" },
	  .list_id = (char[]){ "weekly.h.example" } },
	{ .id = "other", .name = (char[]){ "Other" } },
};

/* A probe for the person of all zeroes but one. */
struct rig {
	struct settings	 settings;
	struct probe	 probe;
	struct findings	 findings;
};

static void
rig_init(struct rig *r)
{
	static const unsigned char secret[CRYPTO_KEY_BYTES] = { 1 };
	static char socket[] = "inet:8892@127.0.0.1", keys[] = "/keys",
	    base[] = BASE;
	struct fail fail;

	memset(r, 0, sizeof(*r));
	r->settings.socket = socket;
	r->settings.keys = keys;
	r->settings.unsubscribe.url = base;
	r->settings.token_keys.key[0] = crypto_hmac_new(secret);
	r->settings.policy.lists = lists;
	r->settings.policy.list_count = 2;
	r->probe.settings = &r->settings;
	r->probe.list = &lists[0];
	r->probe.subject.id[0] = 7;
	r->probe.from = "news@news.example.com";
	r->probe.envelope_sender = "x@y.example";
	r->probe.to = "a@example.org";
	r->probe.now_ms = INT64_C(1767603600000);
	r->probe.is_listed = true;
	CHECK_INT(address_parse(span_str(r->probe.from), &r->probe.sender,
	    &fail), 0);
}

static void
rig_fini(struct rig *r)
{
	findings_fini(&r->findings);
	crypto_hmac_free(&r->settings.token_keys.key[0]);
}

static void
check_finding(const struct rig *r, const char *check, const char *word,
    const char *text)
{
	static const char *const words[] = { "ok", "warn", "fail", "skip" };
	const struct finding *f = findings_find(&r->findings, check);

	CHECK(f != NULL);
	if (f == NULL)
		return;
	CHECK_STR(words[f->status], word);
	CHECK(strstr(f->text, text) != NULL);
	CHECK((f->fixes != NULL) == (f->status == FINDING_FAIL ||
	    f->status == FINDING_WARN));
}

/* A token for: p the person, o the other list, l the list alone, s somebody
 * else, x made by another key. */
static void
add_token(struct buf *out, const struct rig *r, char whose)
{
	static const unsigned char secret[CRYPTO_KEY_BYTES] = { 2 };
	struct token_keys foreign = { .key = { crypto_hmac_new(secret) } };
	unsigned char token[TOKEN_BYTES];
	struct subject subject = r->probe.subject;
	struct fail fail;

	if (whose == 's')
		subject.id[1] = 1;
	CHECK_INT(token_make(whose == 'x' ? &foreign :
	    &r->settings.token_keys, whose == 'o' ? SPAN("other") :
	    SPAN("weekly"), whose == 'l' ? NULL : &subject,
	    r->probe.now_ms, token, &fail), 0);
	token_add_url(out, "", token);
	crypto_hmac_free(&foreign.key[0]);
}

static void
test_fields(void)
{
	static const struct {
		const char *before;	/* the token */
		char whose;
		const char *after;
		const char *unsubscribe, *post, *link, *text;
	} cases[] = {
		{ "List-Unsubscribe: <" BASE, 'p', ">\r\n"
		  "List-Unsubscribe-Post: " ONE_CLICK "\r\n",
		  "ok", "ok", "ok", "person's own" },
		{ "list-unsubscribe: <mailto:x@h.example>,\r\n <" BASE, 'p',
		  ">\r\nLIST-UNSUBSCRIBE-POST:\r\n " ONE_CLICK "\r\n",
		  "ok", "ok", "ok", "person's own" },
		{ "X: ", 'p', "\r\n", "fail", "fail", "skip", "" },
		{ "List-Unsubscribe: <" BASE, 'p', ">\r\n"
		  "List-Unsubscribe: <https://t.example/>\r\n"
		  "List-Unsubscribe-Post: " ONE_CLICK "\r\n"
		  "List-Unsubscribe-Post: " ONE_CLICK "\r\n",
		  "fail", "fail", "ok", "" },
		{ "List-Unsubscribe: <" BASE, 'p', ">\r\n"
		  "List-Unsubscribe-Post: List-Unsubscribe=one-click\r\n",
		  "ok", "fail", "ok", "" },
		{ "List-Unsubscribe: <" BASE, 'o', ">\r\n"
		  "List-Unsubscribe-Post: " ONE_CLICK "\r\n",
		  "ok", "ok", "fail", "another list" },
		{ "List-Unsubscribe: <" BASE, 'l', ">\r\n",
		  "ok", "fail", "fail", "names no person" },
		{ "List-Unsubscribe: <" BASE, 's', ">\r\n",
		  "ok", "fail", "fail", "somebody else" },
		{ "List-Unsubscribe: <" BASE, 'x', ">\r\n",
		  "ok", "fail", "fail", "keys here did not make" },
		{ "List-Unsubscribe: <" BASE "x", 'p', ">\r\n",
		  "ok", "fail", "fail", "keys here did not make" },
		{ "List-Unsubscribe: <https://t.example/", 'p', ">\r\n",
		  "ok", "fail", "fail", "does not begin with" },
		{ "List-Unsubscribe: <http://h.example/u/", 'p', ">\r\n",
		  "ok", "fail", "fail", "no https link" },
		{ "List-Unsubscribe: " BASE, 'p', "\r\n",
		  "ok", "fail", "fail", "no https link" },
		/* What stands in the body is no field. */
		{ "A: b\r\n\r\nList-Unsubscribe: <" BASE, 'p', ">\r\n",
		  "fail", "fail", "skip", "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf message = BUF_INIT(4096), out = BUF_INIT(65536);
		struct buf token = BUF_INIT(64);
		struct rig r;

		check_case((long)i);
		rig_init(&r);
		add_token(&token, &r, cases[i].whose);
		buf_addf(&message, "%s%s%s\r\nbody\r\n", cases[i].before,
		    buf_get(&token), cases[i].after);
		probe_judge_fields(&r.findings, &r.probe,
		    buf_span(&message));
		check_finding(&r, "unsubscribe", cases[i].unsubscribe, "");
		check_finding(&r, "unsubscribe-post", cases[i].post, "");
		check_finding(&r, "link", cases[i].link, cases[i].text);
		findings_print(&out, &r.findings, true);
		findings_print_json(&out, &r.findings);
		CHECK(strstr(buf_get(&out), buf_get(&token)) == NULL);
		rig_fini(&r);
		buf_fini(&message);
		buf_fini(&token);
		buf_fini(&out);
	}
}

#define BOTH	"list-unsubscribe:list-unsubscribe-post"

static void
test_signatures(void)
{
	static const struct {
		struct signature s[2];
		size_t n;
		const char *dkim, *covers, *length, *aligned;
	} cases[] = {
		{ { { SIGNATURE_GOOD, "", "news.example.com", "s",
		      "from:" BOTH ":" BOTH, false } }, 1,
		  "ok", "ok", "ok", "ok" },
		{ { { SIGNATURE_GOOD, "", "EXAMPLE.com", "s",
		      "From: List-Unsubscribe :List-Unsubscribe-Post",
		      false } }, 1, "ok", "warn", "ok", "ok" },
		{ { { SIGNATURE_GOOD, "", "a.news.example.com", "s",
		      "list-unsubscribe", true } }, 1,
		  "ok", "fail", "fail", "ok" },
		{ { { SIGNATURE_GOOD, "", "xample.com", "s",
		      "list-unsubscribe-post", false } }, 1,
		  "ok", "fail", "ok", "fail" },
		{ { { SIGNATURE_GOOD, "", "", "", "", false } }, 1,
		  "ok", "fail", "ok", "fail" },
		{ { { SIGNATURE_HEADER_CHANGED, "x", "news.example.com", "s",
		      BOTH ":" BOTH, false } }, 1, "fail", "ok", "ok", "ok" },
		{ { { SIGNATURE_BODY_CHANGED, "x", "news.example.com", "s",
		      BOTH ":" BOTH, false } }, 1, "fail", "ok", "ok", "ok" },
		{ { { SIGNATURE_NO_KEY, "x", "news.example.com", "s",
		      BOTH ":" BOTH, false } }, 1, "fail", "ok", "ok", "ok" },
		{ { { SIGNATURE_LATER, "x", "news.example.com", "s",
		      BOTH ":" BOTH, false } }, 1, "skip", "ok", "ok", "ok" },
		{ { { SIGNATURE_UNREADABLE, "x", "news.example.com", "s",
		      BOTH ":" BOTH, false } }, 1, "fail", "ok", "ok", "ok" },
		/* The best one counts, whichever comes first. */
		{ { { SIGNATURE_GOOD, "", "sender.example", "s", BOTH, false },
		    { SIGNATURE_GOOD, "", "news.example.com", "s",
		      BOTH ":" BOTH, false } }, 2, "ok", "ok", "ok", "ok" },
		{ { { SIGNATURE_GOOD, "", "news.example.com", "s",
		      BOTH ":" BOTH, false },
		    { SIGNATURE_NO_KEY, "", "news.example.com", "s", BOTH,
		      false } }, 2, "ok", "ok", "ok", "ok" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig r;

		check_case((long)i);
		rig_init(&r);
		probe_judge_signatures(&r.findings, &r.probe, cases[i].s,
		    cases[i].n);
		check_finding(&r, "dkim", cases[i].dkim, "");
		check_finding(&r, "dkim-covers", cases[i].covers, "");
		check_finding(&r, "dkim-length", cases[i].length, "");
		check_finding(&r, "dkim-aligned", cases[i].aligned, "");
		rig_fini(&r);
	}
}

static void
test_no_signature(void)
{
	struct rig r;

	rig_init(&r);
	probe_judge_signatures(&r.findings, &r.probe, NULL, 0);
	check_finding(&r, "dkim", "fail", "no DKIM signature");
	CHECK_INT(r.findings.count, 1);
	rig_fini(&r);
}

static void
test_format(void)
{
	static const char *const fields[] = { "X-Campaign: 1" };
	struct buf out = BUF_INIT(PROBE_MAX);
	struct classification class;
	struct rule rule = { .header = (char[]){ "List-Id" },
	    .value = (char[]){ "*<weekly.h.example>*" }, .header_slot = 0 };
	struct rig r;

	rig_init(&r);
	r.probe.fields = fields;
	r.probe.field_count = 1;
	probe_format(&out, &r.probe);
	CHECK(strstr(buf_get(&out), "Date: Mon, 5 Jan 2026 09:00:00 +0000\r\n"
	    "Message-ID: <selftest-000000000000000000000000@news.example.com>"
	    "\r\nList-Id: <weekly.h.example>\r\nX-Campaign: 1\r\n") != NULL);
	lists[0].match = &rule;
	lists[0].match_count = 1;
	r.settings.policy.header_slots = 1;
	probe_classify(&r.probe, NULL, &class);
	CHECK_INT(class.class, CLASS_LISTED);
	CHECK(class.list == &lists[0]);
	lists[0].match = NULL;
	lists[0].match_count = 0;
	buf_fini(&out);
	rig_fini(&r);
}

static void
test_given_fields(void)
{
	static const struct {
		const char *text;
		bool valid;
	} cases[] = {
		{ "A: b", true }, { "A:b", true }, { "A:", true },
		{ "X-A: b\tc", true }, { "", false }, { ":", false },
		{ "A", false }, { "A : b", false }, { " A: b", false },
		{ "A: b\r\nBcc: c", false }, { "A: b\n", false },
		{ "A: \xc3\xa5", false }, { "A: \x7f", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		CHECK_INT(probe_field_is_valid(span_str(cases[i].text)),
		    cases[i].valid);
	}
}

static void
test_milters(void)
{
	static const struct {
		const char *socket, *milter;
	} cases[] = {
		{ "inet:8892@127.0.0.1", "inet:127.0.0.1:8892" },
		{ "inet6:8892@::1", "inet:::1:8892" },
		{ "inet:8892", "inet:127.0.0.1:8892" },
		{ "unix:/run/m.sock", "unix:/run/m.sock" },
		{ "local:/run/m.sock", "unix:/run/m.sock" },
		{ "/run/m.sock", "unix:/run/m.sock" },
		{ "unix:/var/spool/postfix/cm/m.sock", "unix:cm/m.sock" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_INIT(256);

		check_case((long)i);
		probe_add_milter(&out, cases[i].socket);
		CHECK_STR(buf_get(&out), cases[i].milter);
		buf_fini(&out);
	}
}

static void
test_mbox(void)
{
	static const struct {
		const char *text;
		const char *messages[3];
	} cases[] = {
		{ "", { NULL } },
		{ "no mbox\n", { NULL } },
		{ "From x", { NULL } },
		{ "From x\n", { "" } },
		{ "From x\nA: 1\n\nb\n", { "A: 1\n\nb\n" } },
		{ "From x\nA: 1\n\nb\n\nFrom y\nA: 2\n\nc\n",
		  { "A: 1\n\nb\n", "A: 2\n\nc\n" } },
		/* An empty one ends where the next empty line is. */
		{ "From x\nA: 1\n\nFrom y\n\nFrom z\n",
		  { "A: 1\n", "\nFrom z\n" } },
		{ "From x\n\nb\nFrom here\n", { "\nb\nFrom here\n" } },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct span rest = span_str(cases[i].text), message;
		size_t n = 0;

		check_case((long)i);
		for (; mailbox_next(&rest, &message) && n < 3; n++) {
			const char *want = cases[i].messages[n];

			CHECK(want != NULL);
			if (want != NULL)
				CHECK_BYTES(message.p, message.len, want,
				    strlen(want));
		}
		CHECK(n == 3 || cases[i].messages[n] == NULL);
	}
}

static void
test_line_ends(void)
{
	static const char *const cases[][2] = {
		{ "", "" }, { "a", "a" }, { "a\n", "a\r\n" },
		{ "a\r\nb\n\nc\r", "a\r\nb\r\n\r\nc\r" }, { "\n", "\r\n" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_INIT(64);

		check_case((long)i);
		mailbox_add_crlf(&out, span_str(cases[i][0]));
		CHECK_STR(buf_get(&out), cases[i][1]);
		buf_fini(&out);
	}
}

static void
test_keys(void)
{
	static const struct {
		const char *text, *key;
	} cases[] = {
		{ "v=DKIM1; p=abc\n", "v=DKIM1; p=abc" },
		{ "s._domainkey IN TXT ( \"v=DKIM1; h=sha256; \"\n"
		  "\t\"p=abc\" \"def\" )  ; ----- DKIM key s for \"x\"\n",
		  "v=DKIM1; h=sha256; p=abcdef" },
		{ "\"v=DKIM1\\; p=a\\\"b\"", "v=DKIM1; p=a\"b" },
		{ "\"v=DKIM1; p=open", "v=DKIM1; p=open" },
		{ "", NULL }, { "\"\"", NULL }, { "-----BEGIN", NULL },
	};
	char key[SIGNATURE_KEY_MAX + 1];
	struct buf longest = BUF_INIT(8192);
	struct fail fail;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		CHECK_INT(signature_read_key(span_str(cases[i].text), key,
		    &fail), cases[i].key != NULL ? 0 : -1);
		if (cases[i].key != NULL)
			CHECK_STR(key, cases[i].key);
	}
	check_case(-1);
	buf_add_str(&longest, "p=");
	while (longest.len < SIGNATURE_KEY_MAX)
		buf_add_char(&longest, 'a');
	CHECK_INT(signature_read_key(buf_span(&longest), key, &fail), 0);
	buf_add_char(&longest, 'a');
	CHECK_INT(signature_read_key(buf_span(&longest), key, &fail), -1);
	CHECK_INT(signature_read_key(SPAN("p=a\0b"), key, &fail), -1);
	buf_fini(&longest);
}

static void
test_printing(void)
{
	struct findings f = { NULL, 0, 0 };
	struct buf out = BUF_INIT(4096);

	findings_print_json(&out, &f);
	CHECK_STR(buf_get(&out), "{\"result\":\"ok\",\"checks\":[]}\n");
	buf_clear(&out);
	findings_add(&f, "a", FINDING_OK, "fine %d", 1);
	findings_add(&f, "b", FINDING_FAIL, "\033[31mred\n"
	    "\xc2\x9b" "2J\x9b" "1m \xc3\xa4");
	findings_fix(&f, "x.conf: a = \"%s\";", "b");
	findings_fix(&f, "then");
	findings_add(&f, "c", FINDING_WARN, "the same");
	findings_fix(&f, "x.conf: a = \"b\";");
	findings_fix(&f, "then");
	findings_print(&out, &f, false);
	CHECK_STR(buf_get(&out),
	    "ok    a                 fine 1\n"
	    "FAIL  b                 ?[31mred??2J?1m \xc3\xa4\n"
	    "      fix: x.conf: a = \"b\";\n"
	    "      fix: then\n"
	    "warn  c                 the same\n"
	    "      fix: as for b\n");
	buf_clear(&out);
	findings_print_json(&out, &f);
	CHECK_STR(buf_get(&out), "{\"result\":\"fail\",\"checks\":["
	    "{\"check\":\"a\",\"status\":\"ok\",\"text\":\"fine 1\","
	    "\"fixes\":[]},{\"check\":\"b\",\"status\":\"fail\","
	    "\"text\":\"\\u001b[31mred\\u000a\xc2\x9b" "2J"
	    "\xef\xbf\xbd" "1m \xc3\xa4\",\"fixes\":["
	    "\"x.conf: a = \\\"b\\\";\",\"then\"]},"
	    "{\"check\":\"c\",\"status\":\"warn\",\"text\":\"the same\","
	    "\"fixes\":[\"x.conf: a = \\\"b\\\";\",\"then\"]}]}\n");
	CHECK_INT(findings_count(&f, FINDING_FAIL), 1);
	CHECK(findings_find(&f, "d") == NULL);
	findings_fini(&f);
	buf_fini(&out);
}

static const struct check_test tests[] = {
	{ "fields", test_fields },
	{ "signatures", test_signatures },
	{ "no signature", test_no_signature },
	{ "format", test_format },
	{ "given fields", test_given_fields },
	{ "milters", test_milters },
	{ "mbox", test_mbox },
	{ "line ends", test_line_ends },
	{ "keys", test_keys },
	{ "printing", test_printing },
};
CHECK_MAIN("test_probe", tests)
