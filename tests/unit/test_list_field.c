/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "mail/list_field.h"

#include "check.h"

/* RFC 2369 sections 2, 3.2 and the examples of RFC 8058 section 8. */
static void
test_parse(void)
{
	static const struct {
		const char *value, *want;	/* URIs, joined by a blank */
	} cases[] = {
		{ "<mailto:list@host.com?subject=unsubscribe>",
		    "mailto:list@host.com?subject=unsubscribe" },
		{ "(Use this command to get off the list)\n"
		    "     <mailto:list-manager@host.com?body=unsubscribe%20list>",
		    "mailto:list-manager@host.com?body=unsubscribe%20list" },
		{ "<http://www.host.com/list.cgi?cmd=unsub&lst=list>,\n"
		    "    <mailto:list-request@host.com?subject=unsubscribe>",
		    "http://www.host.com/list.cgi?cmd=unsub&lst=list "
		    "mailto:list-request@host.com?subject=unsubscribe" },
		{ "<https://a> ignored, <mailto:b@c>", "https://a mailto:b@c" },
		{ "< https://a >", "https://a" },
		{ "<https://a>, no brackets, <https://b>", "https://a" },
		{ "https://a", "" }, { "", "" }, { "<https://a", "" },
		{ "<>", "" }, { "(only (a) comment)", "" },
		{ "<a>,<b>,<c>,<d>,<e>,<f>,<g>,<h>,<i>", "a b c d e f g h" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct list_unsubscribe lu;
		struct buf got = BUF_INIT(1000);

		check_case((long)i);
		list_unsubscribe_parse(span_str(cases[i].value), &lu);
		for (size_t u = 0; u < lu.count; u++) {
			if (u > 0)
				buf_add_char(&got, ' ');
			buf_add_span(&got, lu.uri[u]);
		}
		CHECK_STR(buf_get(&got), cases[i].want);
		buf_fini(&got);
	}
}

static void
test_scheme(void)
{
	struct list_unsubscribe lu;

	list_unsubscribe_parse(SPAN("<HTTPS://a>, <mailto:b@c>"), &lu);
	CHECK(list_unsubscribe_has_scheme(&lu, SPAN("https")));
	CHECK(list_unsubscribe_has_scheme(&lu, SPAN("mailto")));
	CHECK(!list_unsubscribe_has_scheme(&lu, SPAN("http")));
}

static void
test_format(void)
{
	static const struct {
		const char *url, *mailto, *want;	/* NULL: refused */
	} cases[] = {
		{ "https://x.example/u/TOK", "u+TOK@x.example",
		    "<https://x.example/u/TOK>,\n <mailto:u+TOK@x.example>" },
		{ "https://x.example/u/TOK", "", "<https://x.example/u/TOK>" },
		{ "http://x.example/u/TOK", "", NULL },
		{ "https://x.example/u,TOK", "", NULL },
		{ "https://x.example/<TOK", "", NULL },
		{ "https://x.example/ TOK", "", NULL },
		{ "https://x.example/\r\nBcc: a@b", "", NULL },
		{ "https://x.example/\xc3\xbc", "", NULL },
		{ "https://x.example/\"", "", NULL },
		{ "https://x.example/", "a>b@c", NULL },
		{ "", "a@b", NULL },
	};
	struct buf out = BUF_INIT(4000);
	struct fail fail;
	char big[1100];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		buf_clear(&out);
		CHECK_INT(list_unsubscribe_format(&out,
		    span_str(cases[i].url), span_str(cases[i].mailto), &fail),
		    cases[i].want ? 0 : -1);
		if (cases[i].want != NULL)
			CHECK_STR(buf_get(&out), cases[i].want);
	}
	check_case(-1);
	memset(big, 'a', sizeof(big));
	memcpy(big, "https://", 8);
	CHECK_INT(list_unsubscribe_format(&out, span_of(big, 990), SPAN(""),
	    &fail), -1);
	buf_clear(&out);
	CHECK_INT(list_unsubscribe_format(&out, span_of(big, 960), SPAN(""),
	    &fail), 0);
	buf_fini(&out);
}

static void
test_list_id(void)
{
	/* the examples of RFC 2919 section 3, and what it forbids */
	static const struct {
		const char *value, *want;	/* NULL: none */
	} cases[] = {
		{ "List Header Mailing List <list-header.nisto.com>",
		    "list-header.nisto.com" },
		{ "<commonspace-users.list-id.within.com>",
		    "commonspace-users.list-id.within.com" },
		{ "\"Lena's Personal Joke List\"\n <lenas-jokes.da39efc25c53"
		    "0ad145d41b86f7420c3b.021999.localhost>", "lenas-jokes."
		    "da39efc25c530ad145d41b86f7420c3b.021999.localhost" },
		{ "\"An internal CMU List\" <0Jks9449.list-id.cmu.edu>",
		    "0Jks9449.list-id.cmu.edu" },
		{ "<da39efc25c530ad145d41b86f7420c3b.052000.localhost>",
		    "da39efc25c530ad145d41b86f7420c3b.052000.localhost" },
		{ "a < b <x.example>", "x.example" },
		{ "<a b.example>", NULL }, { "x.example", NULL },
		{ "<x>", NULL }, { "<x.>", NULL }, { "<.x>", NULL },
		{ "<a..b>", NULL }, { "<>", NULL }, { "", NULL },
		{ "> <", NULL }, { "<a.b\xc3\xbc>", NULL },
	};
	char id[LIST_ID_MAX + 2];
	struct buf out = BUF_INIT(1000);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct span got = SPAN("");
		int rc;

		check_case((long)i);
		rc = list_id_parse(span_str(cases[i].value), &got);
		CHECK_INT(rc, cases[i].want != NULL);
		if (rc == 1 && cases[i].want != NULL)
			CHECK_BYTES(got.p, got.len, cases[i].want,
			    strlen(cases[i].want));
	}
	check_case(-1);
	memset(id, 'a', sizeof(id));
	id[5] = '.';
	CHECK(list_id_is_valid(span_of(id, LIST_ID_MAX)));
	CHECK(!list_id_is_valid(span_of(id, LIST_ID_MAX + 1)));
	list_id_format(&out, SPAN("Weekly news"), SPAN("w.example"));
	CHECK_STR(buf_get(&out), "Weekly news <w.example>");
	buf_clear(&out);
	list_id_format(&out, SPAN(""), SPAN("w.example"));
	CHECK_STR(buf_get(&out), "<w.example>");
	buf_fini(&out);
}

static const struct check_test tests[] = {
	{ "parse", test_parse },
	{ "scheme", test_scheme },
	{ "format", test_format },
	{ "list_id", test_list_id },
};

CHECK_MAIN("list_field", tests)
