/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/member.h"

#include <string.h>

#include "check.h"

static const struct span names[] = { SPAN("a"), SPAN("b") };

/* NULL: the parser has to be asked; "-": not there or no string. */
static void
test_scan(void)
{
	static const struct {
		const char *text;
		const char *a, *b;
	} cases[] = {
		{ "\"a\":\"x\",\"b\":\"y\"", "x", "y" },
		{ "\"b\":\"\",\"c\":\"z\"", "-", "" },
		{ "\"a\":null,\"b\":-1.5e+3", "-", "-" },
		{ "\"c\":\"q\\\"\\\\\",\"a\":\"x\"", "x", "-" },
		{ "\"c\":\"\\\\\\\"\",\"a\":\"x\"", "x", "-" },
		{ "\"c\":\"\xc3\xa4\",\"a\":\"x\"", "x", "-" },
		{ "\"c\":\"a\",\"d\":\"\\\"a\\\":\"", "-", "-" },
		{ "\"aa\":\"x\",\"\":\"y\"", "-", "-" },
		{ "\"c\":1,\"c\":2,\"a\":\"x\"", "x", "-" },
		{ "\"a\":\"x\",\"a\":\"y\"", NULL, NULL },
		{ "\"a\":1,\"a\":\"y\"", NULL, NULL },
		{ "\"a\":\"\\u0078\"", NULL, NULL },
		{ "\"a\":\"\xc3\xa4\"", NULL, NULL },
		{ "\"a\":\"\n\"", NULL, NULL },
		{ "\"\\u0061\":\"x\"", NULL, NULL },
		{ "\"c\":{\"a\":\"x\"}", NULL, NULL },
		{ "\"c\":[\"a\"]", NULL, NULL }, { "", NULL, NULL },
		{ "{\"a\":\"x\"}", NULL, NULL },
		{ "\"a\":\"x", NULL, NULL },
		{ "\"a\":\"x\"}", NULL, NULL },
		{ "\"a\":\"x\" ", NULL, NULL },
		{ "\"a\":\"x\",", NULL, NULL },
		{ "\"a\" :\"x\"", NULL, NULL },
		{ "\"a\":", NULL, NULL }, { "\"a\":\"", NULL, NULL },
		{ "\"a\":\"\\", NULL, NULL }, { "\"a\":\"\\\"", NULL, NULL },
		{ "[\"a\"]", NULL, NULL }, { "\"a", NULL, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const want[2] = { cases[i].a, cases[i].b };
		struct span values[2];
		int rc = member_scan(span_str(cases[i].text), names, 2,
		    values);

		check_case((long)i);
		CHECK_INT(rc, cases[i].a == NULL ? -1 : 0);
		for (size_t v = 0; rc == 0 && v < 2; v++) {
			CHECK_INT(values[v].p == NULL,
			    strcmp(want[v], "-") == 0);
			if (values[v].p != NULL)
				CHECK(span_is(values[v], span_str(want[v])));
		}
	}
}

/* No byte of what comes after the text is looked at. */
static void
test_bounds(void)
{
	static const char whole[] = "\"a\":\"x\",\"b\":true,\"c\":\"\\\"\"";
	struct span values[2];

	for (size_t len = 0; len < sizeof(whole) - 1; len++) {
		char *copy = malloc(len + 1);

		memcpy(copy, whole, len);
		check_case((long)len);
		/* a whole member, a shorter word, or a piece */
		CHECK_INT(member_scan(span_of(copy, len), names, 2, values),
		    len == 7 || (len > 12 && len < 17) ? 0 : -1);
		free(copy);
	}
	CHECK_INT(member_scan(span_str(whole), names, 2, values), 0);
}

static const struct check_test tests[] = {
	{ "scan", test_scan },
	{ "bounds", test_bounds },
};

CHECK_MAIN("member", tests)
