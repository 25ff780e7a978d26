/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "mail/field.h"

#include "check.h"

static void
test_unfold(void)
{
	static const struct {
		const char *value, *want;
	} cases[] = {
		{ "plain", "plain" }, { "  a  b  ", "a  b" },
		{ "a\n\tb", "a b" }, { "a \n  b", "a b" },
		{ "a\r\n b\r\n\tc", "a b c" }, { "\n a", "a" },
		{ "a\x01" "b\x7f", "ab" }, { "", "" }, { " \n\t ", "" },
		{ "a\tb", "a\tb" }, { "a\nb", "a b" },
	};
	struct buf out = BUF_INIT(1000);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		buf_clear(&out);
		field_unfold(&out, span_str(cases[i].value));
		/* a tab inside a line stays: it is no fold */
		CHECK_STR(buf_get(&out), cases[i].want);
	}
	buf_fini(&out);
}

static void
test_keyword(void)
{
	static const struct {
		const char *value, *want;
	} cases[] = {
		{ "auto-replied", "auto-replied" },
		{ " auto-replied (vacation); x=y", "auto-replied" },
		{ "(a (nested) comment) bulk", "bulk" },
		{ "bulk, list", "bulk" }, { "", "" }, { "(open", "" },
		{ "(a\\)b) list", "list" }, { ";", "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct span got = field_keyword(span_str(cases[i].value));

		check_case((long)i);
		CHECK_BYTES(got.p, got.len, cases[i].want,
		    strlen(cases[i].want));
	}
}

static void
test_media_type(void)
{
	static const struct {
		const char *value;
		bool want;
	} cases[] = {
		{ "multipart/report; report-type=delivery-status", true },
		{ "Multipart/REPORT", true },
		{ "multipart (x) / (y) report;z", true },
		{ "multipart/reports", false }, { "multipart", false },
		{ "multipart/", false }, { "text/plain", false },
		{ "", false }, { "x multipart/report", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		CHECK_INT(field_is_media_type(span_str(cases[i].value),
		    SPAN("multipart/report")), cases[i].want);
	}
}

static void
test_phrase(void)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "Weekly news", "Weekly news" },
		{ "News, \"50%\" <a>", "\"News, \\\"50%\\\" <a>\"" },
		{ "=?x", "\"=?x\"" },
		{ "Gr\xc3\xbc\xc3\x9f" "e", "=?UTF-8?B?R3LDvMOfZQ==?=" },
		{ "a\r\nBcc: b", "\"aBcc: b\"" }, { "", "" },
	};
	struct buf out = BUF_INIT(10000);
	char many[301];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		buf_clear(&out);
		field_add_phrase(&out, span_str(cases[i].text));
		CHECK_STR(buf_get(&out), cases[i].want);
	}
	check_case(-1);
	/* long text: words of at most 75 characters, cut between letters */
	for (size_t i = 0; i < 300; i += 3)
		memcpy(many + i, "\xe2\x82\xac", 3);
	buf_clear(&out);
	field_add_phrase(&out, span_of(many, 300));
	for (struct span rest = buf_span(&out); rest.len > 0;) {
		ptrdiff_t space = span_index(rest, ' ');
		size_t len = space == -1 ? rest.len : (size_t)space;

		CHECK(len <= 75);
		/* 3 bytes a letter: whole letters need no padding */
		CHECK(span_index(span_head(rest, len - 2), '=') == 0 &&
		    rest.p[len - 3] != '=');
		rest = span_from(rest, len + 1);
	}
	CHECK(span_is_ascii(buf_span(&out)));
	buf_fini(&out);
}

static void
test_dkim(void)
{
	static const struct {
		const char *value;
		bool want;
	} cases[] = {
		{ "v=1; h=From:To:List-Unsubscribe; b=x", true },
		{ "v=1; h = from : list-unsubscribe ;b=x", true },
		{ "v=1;\n\th=From:\n\t list-unsubscribe\n\t:To; b=x", true },
		{ "v=1; h=From:List-Unsubscribe-Post; b=x", false },
		{ "v=1; bh=List-Unsubscribe; h=From", false },
		{ "h=", false }, { "", false }, { "List-Unsubscribe", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		CHECK_INT(field_dkim_signs(span_str(cases[i].value),
		    SPAN("List-Unsubscribe")), cases[i].want);
	}
}

static const struct check_test tests[] = {
	{ "unfold", test_unfold },
	{ "keyword", test_keyword },
	{ "media_type", test_media_type },
	{ "phrase", test_phrase },
	{ "dkim", test_dkim },
};

CHECK_MAIN("field", tests)
