/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/target.h"

#include "check.h"

static void
test_prefix(void)
{
	static const struct {
		const char *url, *prefix;
	} cases[] = {
		{ "https://c.example.com/u/", "/u/" },
		{ "https://c.example.com/a/b?t=", "/a/b?t=" },
		{ "https://c.example.com:8443/", "/" },
		{ "https://c.example.com?t=", "?t=" },
		{ "https://c.example.com", "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		CHECK(span_is(target_prefix(cases[i].url),
		    span_str(cases[i].prefix)));
	}
}

static void
test_path(void)
{
	static const struct {
		const char *target, *path;
	} cases[] = {
		{ "/u/A", "/u/A" }, { "/u?x=http://y/z", "/u?x=http://y/z" },
		{ "http://c.example.com/u/A?b", "/u/A?b" },
		{ "HTTPS://c.example.com:8443/u/A", "/u/A" },
		{ "https://c.example.com", "/" }, { "https://", "/" },
		{ "http:/", "http:/" }, { "ftp://x/u/A", "ftp://x/u/A" },
		{ "*", "*" }, { "", "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		CHECK(span_is(target_path(span_str(cases[i].target)),
		    span_str(cases[i].path)));
	}
}

static void
test_token(void)
{
	static const struct {
		const char *target, *prefix;
		const char *token;	/* NULL: none */
	} cases[] = {
		{ "/u/AbC-_9", "/u/", "AbC-_9" },
		{ "/u/AbC?List-Unsubscribe=One-Click", "/u/", "AbC" },
		{ "/u/AbC&utm=1", "/u/", "AbC" },
		{ "/u/AbC#x", "/u/", "AbC" },
		{ "/u/A%2DB%5f", "/u/", "A-B_" },
		{ "/u/A%", "/u/", "A%" }, { "/u/A%2", "/u/", "A%2" },
		{ "/u/A%zz", "/u/", "A%zz" },
		{ "/u/A/", "/u/", "A/" },
		{ "/b?t=AbC&x=y", "/b?t=", "AbC" },
		{ "/u/", "/u/", NULL }, { "/u", "/u/", NULL },
		{ "/u/?x", "/u/", NULL },
		{ "/v/A", "/u/", NULL }, { "", "/u/", NULL },
		{ "A", "", NULL },
		{ "/u/0123456789012345", "/u/", "0123456789012345" },
		{ "/u/01234567890123456", "/u/", NULL },	/* no room */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_INIT(16);
		bool found = target_token(span_str(cases[i].target),
		    span_str(cases[i].prefix), &out);

		check_case((long)i);
		CHECK_INT(found, cases[i].token != NULL);
		if (found)
			CHECK_STR(buf_get(&out), cases[i].token);
		buf_fini(&out);
	}
}

static void
test_is(void)
{
	CHECK(target_is(SPAN("/healthz"), SPAN("/healthz")));
	CHECK(target_is(SPAN("/healthz?x"), SPAN("/healthz")));
	CHECK(!target_is(SPAN("/healthz/"), SPAN("/healthz")));
	CHECK(!target_is(SPAN("/health"), SPAN("/healthz")));
}

static const struct check_test tests[] = {
	{ "prefix", test_prefix },
	{ "path", test_path },
	{ "token", test_token },
	{ "is", test_is },
};

CHECK_MAIN("target", tests)
