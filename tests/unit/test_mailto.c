/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/mailto.h"

#include <stdio.h>

#include "check.h"

static void
test_automatic(void)
{
	static const struct {
		const char *header;
		bool automatic;
	} cases[] = {
		{ "From: a@example.org\nSubject: unsubscribe\n", false },
		{ "", false }, { "no field\n", false },
		{ "Auto-Submitted: no\n", false },
		{ "Auto-Submitted: auto-replied\n", true },
		{ "auto-submitted: (x) auto-generated; y=z\n", true },
		{ "Auto-Submitted:\n auto-replied\n", true },
		{ "Auto-Submitted:\n", true },
		{ "X-Autoreply: yes\n", true },
		{ "X-Auto-Response-Suppress: All\n", false },
		{ "Precedence: bulk\n", true }, { "Precedence: JUNK\n", true },
		{ "Precedence: first-class\n", false },
		{ "List-Id: <a.b>\n", true },
		{ "Return-Path: <>\n", true },
		{ "Return-Path: <a@example.org>\n", false },
		{ "Content-Type: multipart/report; report-type=x\n", true },
		{ "Content-Type: text/plain; x=\"multipart/report\"\n",
		    false },
		{ "Subject: x\n Auto-Submitted: auto-replied\n", false },
		{ "Subject: x\nAuto-Submitted : auto-replied", true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		CHECK_INT(mailto_automatic(span_str(cases[i].header)) != NULL,
		    cases[i].automatic);
	}
}

/* %s is a good token. */
static void
test_take(void)
{
	static const unsigned char secret[CRYPTO_KEY_BYTES] = { 7 };
	static const struct subject person = { { 1, 2, 3 } };
	static const struct {
		const char *text;
		size_t alone, header;
	} cases[] = {
		{ "u+%s@example.com", 1, 0 }, { "%s", 1, 0 },
		{ "u+%s", 1, 0 }, { "<u+%s@x>, <u+%s@x>", 1, 0 },
		{ "u-%s@example.com", 0, 0 }, { "u+%sa@example.com", 0, 0 },
		{ "u+a%s@example.com", 0, 0 }, { "u+%s.x", 0, 0 },
		{ "To: u+%s@x\n", 1, 1 }, { "Cc: a@b,\n u+%s@x\n", 1, 1 },
		{ "Delivered-To: u+%s@x\nTo: u+%s@x\n", 1, 1 },
		{ "Subject: u+%s@x\n", 1, 0 }, { "From: u+%s@x\n", 1, 0 },
	};
	struct token_keys keys = { .key = { crypto_hmac_new(secret) } };
	struct buf token = BUF_INIT(100);
	unsigned char bytes[TOKEN_BYTES];
	struct fail fail;

	CHECK_INT(token_make(&keys, SPAN("weekly"), &person,
	    INT64_C(1764000000000), bytes, &fail), 0);
	token_format_mailto(&token, bytes);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mailto alone = { .count = 0 }, header = { .count = 0 };
		struct buf text = BUF_INIT(1000);

		for (const char *p = cases[i].text; *p != '\0'; p++)
			if (p[0] == '%' && p[1] == 's') {
				buf_add_str(&text, buf_get(&token));
				p++;
			} else
				buf_add_char(&text, *p);
		check_case((long)i);
		mailto_take(&alone, &keys, buf_span(&text));
		mailto_take_header(&header, &keys, buf_span(&text));
		CHECK_INT(alone.count, cases[i].alone);
		CHECK_INT(header.count, cases[i].header);
		if (alone.count > 0)
			CHECK(subject_is(&alone.tokens[0].subject, &person));
		buf_fini(&text);
	}
	buf_fini(&token);
	crypto_hmac_free(&keys.key[0]);
}

static const struct check_test tests[] = {
	{ "automatic", test_automatic },
	{ "take", test_take },
};

CHECK_MAIN("mailto", tests)
