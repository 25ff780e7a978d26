/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "base/buf.h"
#include "base/closest.h"
#include "base/codec.h"
#include "base/crypto.h"
#include "base/date.h"
#include "base/json.h"
#include "base/span.h"
#include "base/utf8.h"
#include "check.h"

static void
test_glob(void)
{
	static const struct {
		const char *pattern, *text;
		bool want;
	} cases[] = {
		{ "*", "", true },
		{ "", "", true },
		{ "", "a", false },
		{ "?", "", false },
		{ "*@news.example.com", "Bounce@NEWS.example.com", true },
		{ "*@news.example.com", "a@news.example.com.evil", false },
		{ "*<weekly.*>*", "W <weekly.news.example.com> x", true },
		{ "a*b*c", "aXbXbXc", true },
		{ "a*b*c", "aXbXbX", false },
		{ "**", "abc", true },
		{ "a?c", "abc", true },
		{ "a?c", "ac", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		CHECK_INT(span_glob(span_str(cases[i].pattern),
		    span_str(cases[i].text)), cases[i].want);
	}
}

static void
test_numbers(void)
{
	static const struct {
		const char *text;
		int rc;
		uint64_t value;
	} cases[] = {
		{ "0", 0, 0 }, { "7", 0, 7 },
		{ "18446744073709551615", 0, UINT64_MAX },
		{ "18446744073709551616", -1, 0 }, { "", -1, 0 },
		{ "01", -1, 0 }, { "+1", -1, 0 }, { "-1", -1, 0 },
		{ "1 ", -1, 0 }, { "1x", -1, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t value = 0;

		check_case((long)i);
		CHECK_INT(span_to_u64(span_str(cases[i].text), &value),
		    cases[i].rc);
		CHECK(value == cases[i].value);
	}
	check_case(-1);
	int64_t n;
	CHECK_INT(span_to_i64(SPAN("9223372036854775808"), &n), -1);
}

static void
test_span_take(void)
{
	struct span rest = SPAN("a  b");

	CHECK(span_is(span_take(&rest, ' '), SPAN("a")));
	CHECK(span_is(span_take(&rest, ' '), SPAN("")));
	CHECK(span_is(rest, SPAN("b")));
	CHECK(span_is(span_take(&rest, ' '), SPAN("b")));
	CHECK_INT((int64_t)rest.len, 0);
	CHECK(span_is(span_take(&rest, ' '), SPAN("")));
	rest = SPAN("c ");
	CHECK(span_is(span_take(&rest, ' '), SPAN("c")));
	CHECK_INT((int64_t)rest.len, 0);
}

static void
test_buf_maximum(void)
{
	struct buf b = BUF_INIT(4);

	CHECK_STR(buf_get(&b), "");
	buf_add_str(&b, "abcd");
	CHECK(!b.overflow);
	buf_add_char(&b, 'e');
	CHECK(b.overflow);
	CHECK_STR(buf_get(&b), "abcd");
	buf_truncate(&b, 1);
	buf_add_char(&b, 'x');	/* stays refused: the flag is sticky */
	CHECK_STR(buf_get(&b), "a");
	buf_clear(&b);
	buf_addf(&b, "%d", 42);
	CHECK_STR(buf_get(&b), "42");
	buf_consume(&b, 1);
	CHECK_STR(buf_get(&b), "2");
	buf_fini(&b);
}

/* What begins in an array moves out of it when it gets too long, and leaves
 * nothing of the caller's to be freed. */
static void
test_buf_on(void)
{
	char room[8];
	struct buf b = BUF_ON(room, 20);
	char *taken;

	memset(room, 'x', sizeof(room));
	CHECK_STR(buf_get(&b), "");
	taken = buf_take(&b);
	CHECK_STR(taken, "");
	free(taken);

	b = (struct buf)BUF_ON(room, 20);
	buf_add_str(&b, "abcdefg");
	CHECK(buf_get(&b) == room);
	buf_add_char(&b, 'h');
	CHECK(buf_get(&b) != room);
	CHECK_STR(buf_get(&b), "abcdefgh");
	CHECK_STR(room, "abcdefg");
	buf_add_str(&b, "0123456789ab");
	CHECK(!b.overflow);
	buf_add_char(&b, '!');
	CHECK(b.overflow);
	buf_fini(&b);
	CHECK_STR(buf_get(&b), "");

	b = (struct buf)BUF_ON(room, 20);
	buf_add_str(&b, "abc");
	taken = buf_take(&b);
	CHECK(taken != room);
	CHECK_STR(taken, "abc");
	free(taken);
	buf_fini(&b);
}

static void
test_codecs(void)
{
	static const unsigned char bytes[] = { 0xfb, 0xef, 0xff, 0x00, 0x01 };
	unsigned char back[5];
	struct buf b = BUF_INIT(100);

	hex_format(&b, bytes, 5);
	CHECK_STR(buf_get(&b), "fbefff0001");
	CHECK_INT(hex_parse(buf_span(&b), back, 5), 0);
	CHECK_BYTES(back, 5, bytes, 5);
	CHECK_INT(hex_parse(SPAN("FBefff0001"), back, 5), -1);
	CHECK_INT(hex_parse(SPAN("fbefff000"), back, 5), -1);
	buf_clear(&b);
	base32_format(&b, bytes, 5);
	CHECK_STR(buf_get(&b), "7px76aab");
	CHECK_INT(base32_parse(SPAN("7PX76AaB"), back, 5), 0);
	CHECK_BYTES(back, 5, bytes, 5);
	buf_clear(&b);
	base64url_format(&b, bytes, 5);
	CHECK_STR(buf_get(&b), "--__AAE");
	CHECK_INT(base64url_parse(buf_span(&b), back, 5), 0);
	CHECK_BYTES(back, 5, bytes, 5);
	/* the last character has two bits that must be zero */
	CHECK_INT(base64url_parse(SPAN("--__AAF"), back, 5), -1);
	CHECK_INT(base64url_parse(SPAN("--__AA="), back, 5), -1);
	CHECK_INT(base64url_parse(span_of("--__AA\0", 7), back, 5), -1);
	buf_fini(&b);
}

static void
test_base64(void)
{
	/* RFC 4648 section 10, and what has two letters of its own */
	static const struct {
		const char *bytes, *text;
	} good[] = {
		{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" },
		{ "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" },
		{ "\xfb\xef\xff", "++//" },
	};
	static const char *const bad[] = {
		"Z", "Zg", "Zg=", "Zg===", "=", "====", "Z===", "Zh==",
		"Zm9=", "Zm9v=", "Z=g=", "Zm 9", "Zm9-", "Zm9_", "Zm9v\n",
		"Zm9vYmFyYg==",		/* seven bytes */
	};
	char back[6];
	size_t len;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct buf b = BUF_INIT(100);

		check_case((long)i);
		base64_format(&b, good[i].bytes, strlen(good[i].bytes));
		CHECK_STR(buf_get(&b), good[i].text);
		CHECK_INT(base64_parse(buf_span(&b), back, sizeof(back),
		    &len), 0);
		CHECK_BYTES(back, len, good[i].bytes, strlen(good[i].bytes));
		buf_fini(&b);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		check_case((long)i);
		CHECK_INT(base64_parse(span_str(bad[i]), back, sizeof(back),
		    &len), -1);
	}
}

static void
test_hmac(void)
{
	/* RFC 4231 test case 2, its key padded with zeroes as HMAC does */
	unsigned char key[CRYPTO_KEY_BYTES] = "Jefe";
	struct span text[] = { SPAN("what do ya want "), SPAN("for nothing?") };
	unsigned char sum[CRYPTO_DIGEST_BYTES];
	struct crypto_hmac *hmac = crypto_hmac_new(key);
	struct buf b = BUF_INIT(100);

	crypto_hmac_sum(hmac, text, 2, sum);
	hex_format(&b, sum, sizeof(sum));
	CHECK_STR(buf_get(&b), "5bdcc146bf60754e6a042426089575c7"
	    "5a003f089d2739839dec58b964ec3843");
	crypto_hmac_sum(hmac, text, 2, sum);
	buf_clear(&b);
	hex_format(&b, sum, 4);
	CHECK_STR(buf_get(&b), "5bdcc146");
	crypto_hmac_free(&hmac);
	crypto_hmac_free(&hmac);
	buf_fini(&b);
}

static void
test_dates(void)
{
	static const struct {
		const char *text;
		int64_t ms;	/* -1: refused */
	} cases[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2026-01-05T09:00:00Z", 1767603600000 },
		{ "2026-01-05 09:00:00z", 1767603600000 },
		{ "2026-01-05T11:00:00+02:00", 1767603600000 },
		{ "2026-01-05T09:00:00.1239Z", 1767603600123 },
		{ "2026-01-05", 1767571200000 },
		{ "2024-02-29", 1709164800000 },
		{ "9999-12-31T23:59:59.999Z", DATE_MAX_MS },
		{ "2023-02-29", -1 }, { "1969-12-31", -1 },
		{ "2026-13-01", -1 }, { "2026-01-32", -1 },
		{ "2026-01-05T24:00:00Z", -1 }, { "2026-01-05T09:00:00", -1 },
		{ "2026-01-05T09:00Z", -1 }, { "2026-01-05T09:00:00.Z", -1 },
		{ "2026-01-05T09:00:00Zx", -1 }, { "", -1 },
		{ "1970-01-01T00:00:00+01:00", -1 },
		{ "9999-12-31T23:59:59-23:00", -1 },
	};
	struct buf b = BUF_INIT(100);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t ms = -1;

		check_case((long)i);
		CHECK_INT(date_parse(span_str(cases[i].text), &ms),
		    cases[i].ms == -1 ? -1 : 0);
		CHECK_INT(ms, cases[i].ms);
	}
	check_case(-1);
	date_format(&b, 1767603600123);
	CHECK_STR(buf_get(&b), "2026-01-05T09:00:00.123Z");
	for (int64_t ms = 0; ms < DATE_MAX_MS; ms += 86400000 * 11 + 12345) {
		int64_t back = -1;

		buf_clear(&b);
		date_format(&b, ms);
		CHECK_INT(date_parse(buf_span(&b), &back), 0);
		CHECK_INT(back, ms);
	}
	buf_clear(&b);
	date_format_day(&b, 1767603600123);
	CHECK_STR(buf_get(&b), "20260105");
	buf_fini(&b);
}

static void
test_duration_format(void)
{
	static const struct {
		const char *length, *want;
	} cases[] = {
		{ "3 years", "P3Y" }, { "24 months", "P2Y" },
		{ "18 months", "P18M" }, { "30 days", "P30D" },
		{ "2 weeks", "P14D" }, { "36 hours", "P1DT43200S" },
		{ "90 seconds", "PT90S" },
	};
	const struct duration both = { 1, 86400000 }, none = { 0, 0 };
	struct buf out = BUF_INIT(64);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct duration d = { 0, 0 };

		check_case((long)i);
		CHECK_INT(duration_parse(span_str(cases[i].length), &d), 0);
		duration_format(&out, d);
		CHECK_STR(buf_get(&out), cases[i].want);
		buf_clear(&out);
	}
	check_case(-1);
	duration_format(&out, both);
	CHECK_STR(buf_get(&out), "P1M1D");
	buf_clear(&out);
	duration_format(&out, none);
	CHECK_STR(buf_get(&out), "PT0S");
	buf_fini(&out);
}

static void
test_durations(void)
{
	static const struct {
		const char *from, *length, *to;
	} cases[] = {
		{ "2026-01-31", "1 month", "2026-02-28T00:00:00.000Z" },
		{ "2024-02-29", "1 year", "2025-02-28T00:00:00.000Z" },
		{ "2024-11-24", "24 months", "2026-11-24T00:00:00.000Z" },
		{ "2026-01-01", "2weeks", "2026-01-15T00:00:00.000Z" },
		{ "2026-01-01", "90 SECONDS", "2026-01-01T00:01:30.000Z" },
		{ "9999-12-31", "1 month", "9999-12-31T23:59:59.999Z" },
	};
	static const char *const bad[] =
	    { "", "month", "0 days", "-1 days", "1 fortnight", "1.5 days",
	      "1000001 days", "1 s" };
	struct buf b = BUF_INIT(100);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct duration d = { 0, 0 };
		int64_t from = 0;

		check_case((long)i);
		CHECK_INT(date_parse(span_str(cases[i].from), &from), 0);
		CHECK_INT(duration_parse(span_str(cases[i].length), &d), 0);
		buf_clear(&b);
		/* back again: as late as possible */
		CHECK(date_add(date_subtract(from, d), d) <= from);
		CHECK(date_add(date_subtract(from, d) + 1, d) > from);
		date_format(&b, date_add(from, d));
		CHECK_STR(buf_get(&b), cases[i].to);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct duration d;

		check_case((long)i);
		CHECK_INT(duration_parse(span_str(bad[i]), &d), -1);
	}
	buf_fini(&b);
}

static void
test_utf8(void)
{
	CHECK(utf8_is_valid(SPAN("gr\xc3\xbcn \xf0\x9f\x8d\x8f")));
	CHECK(!utf8_is_valid(SPAN("\xc0\x80")));		/* overlong */
	CHECK(!utf8_is_valid(SPAN("\xed\xa0\x80")));		/* surrogate */
	CHECK(!utf8_is_valid(SPAN("\xf4\x90\x80\x80")));	/* too large */
	CHECK(!utf8_is_valid(SPAN("\xe2\x82")));		/* cut */

	struct buf b = BUF_INIT(100);
	utf8_add_ascii(&b, SPAN("gr\xc3\xbcn\r\n\xff"));
	CHECK_STR(buf_get(&b), "gr\\x{FC}n\\x{D}\\x{A}\\x{FF}");
	buf_fini(&b);
}

static void
test_json_lines(void)
{
	static const char text[] = "{\"a\":{\"e\":[1,\n2]},\"x\":\"e\",\n"
	    "\"y\":[\"e\",[3]],\"s\":\"\\\"e\\\":[\",\n\"e\" :\n"
	    "[{\"e\":[7,8]},\n\n {\"t\":\"]},{\"},{\"u\":[[],[1,2]]}\n"
	    ", 5 ]}";
	static const struct {
		const char *name;
		size_t i;
		uint64_t want;
	} cases[] = {
		{ "e", 0, 5 }, { "e", 1, 7 }, { "e", 2, 7 }, { "e", 3, 8 },
		{ "e", 4, 0 }, { "y", 0, 3 }, { "y", 1, 3 }, { "a", 0, 0 },
		{ "x", 0, 0 }, { "z", 0, 0 }, { "", 0, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		CHECK_INT(json_element_line(span_str(text), cases[i].name,
		    cases[i].i), cases[i].want);
	}
	/* Whatever is cut off, it ends. */
	for (size_t len = 0; len < sizeof(text); len++) {
		check_case((long)len);
		CHECK(json_element_line(span_of(text, len), "e", 3) <= 8);
	}
	check_case(-1);
}

static void
test_json(void)
{
	struct buf b = BUF_INIT(1000);
	struct json_object *o = NULL;
	struct fail fail;
	struct span s = SPAN("");
	int64_t n = 0;

	buf_add_char(&b, '{');
	json_add_member(&b, "a", span_of("\"\\\r\n\0\xc3\xbc\xff", 8));
	json_add_member_i64(&b, "n", -7);
	json_add_member_bool(&b, "t", true);
	buf_add_char(&b, '}');
	CHECK_STR(buf_get(&b), "{\"a\":\"\\\"\\\\\\u000d\\u000a\\u0000"
	    "\xc3\xbc\xef\xbf\xbd\",\"n\":-7,\"t\":true}");
	CHECK_INT(json_object_parse(buf_span(&b), &o, &fail), 0);
	CHECK_INT(json_object_string(o, "a", &s), 1);
	CHECK_INT(s.len, 10);
	CHECK_INT(json_object_string(o, "n", &s), -1);
	CHECK_INT(json_object_string(o, "x", &s), 0);
	CHECK_INT(json_object_i64(o, "n", &n), 1);
	CHECK_INT(n, -7);
	json_object_free(&o);
	CHECK_INT(json_object_parse(SPAN("{\"a\":1,\"a\":2}"), &o, &fail), -1);
	CHECK_INT(json_object_parse(SPAN("[]"), &o, &fail), -1);
	CHECK_INT(json_object_parse(SPAN("{} x"), &o, &fail), -1);
	buf_fini(&b);
}

static void
test_closest(void)
{
	static const char *const names[] = { "sender", "sasl_user", "client" };

	CHECK_STR(closest_name("sneder", names, 3), "sender");
	CHECK_STR(closest_name("sasluser", names, 3), "sasl_user");
	CHECK(closest_name("purpose", names, 3) == NULL);
}

static const struct check_test tests[] = {
	{ "glob", test_glob },
	{ "numbers", test_numbers },
	{ "span_take", test_span_take },
	{ "buf_maximum", test_buf_maximum },
	{ "buf_on", test_buf_on },
	{ "codecs", test_codecs },
	{ "base64", test_base64 },
	{ "hmac", test_hmac },
	{ "dates", test_dates },
	{ "durations", test_durations },
	{ "duration_format", test_duration_format },
	{ "utf8", test_utf8 },
	{ "json", test_json },
	{ "json_lines", test_json_lines },
	{ "closest", test_closest },
};

CHECK_MAIN("base", tests)
