/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/complaint.h"

#include "check.h"

#define FIELDS	"Feedback-Type: abuse\nUser-Agent: a/1\nVersion: 1\n"

/* A report; what is NULL is as in a good one.  %u is a good token for a URL,
 * %m one for an address, %b a base64 text that has it in a field. */
struct report {
	const char *top;	/* before Content-Type */
	const char *type, *second, *fields, *third, *original;
	size_t tokens;
};

static const char *
either(const char *text, const char *otherwise)
{
	return text != NULL ? text : otherwise;
}

struct tokens {
	struct buf url, address, base64;
};

static void
add_text(struct buf *out, const char *text, const struct tokens *tokens)
{
	for (; *text != '\0'; text++)
		if (*text != '%')
			buf_add_char(out, *text);
		else if (*++text == 'u')
			buf_add_span(out, buf_span(&tokens->url));
		else
			buf_add_span(out, *text == 'm' ?
			    buf_span(&tokens->address) :
			    buf_span(&tokens->base64));
}

static void
format_report(struct buf *out, const struct report *r,
    const struct tokens *tokens)
{
	add_text(out, either(r->top, "Authentication-Results: mx.a; "
	    "dkim=pass header.d=b.example\nFrom: FBL <f@b.example>\n"),
	    tokens);
	buf_addf(out, "Content-Type: %s\n\n--x\n\nfor people\n--x\n"
	    "Content-Type: %s\n\n%s--x\nContent-Type: %s\n\n",
	    either(r->type, "multipart/report; report-type=feedback-report; "
	    "boundary=x"), either(r->second, "message/feedback-report"),
	    either(r->fields, FIELDS "Original-Rcpt-To: a@example.org\n"),
	    either(r->third, "message/rfc822"));
	add_text(out, either(r->original,
	    "List-Unsubscribe: <https://h/u/%u>\n\ntext\n--x--\n"), tokens);
}

static void
make_tokens(struct tokens *tokens, const struct token_keys *keys)
{
	static const struct subject person = { { 1, 2, 3 } };
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned char bytes[TOKEN_BYTES];
	struct buf plain = BUF_INIT(200);
	struct fail fail;

	buf_init(&tokens->url, 100);
	buf_init(&tokens->address, 100);
	buf_init(&tokens->base64, 300);
	CHECK_INT(token_make(keys, SPAN("weekly"), &person,
	    INT64_C(1764000000000), bytes, &fail), 0);
	token_format_url(&tokens->url, bytes);
	token_format_mailto(&tokens->address, bytes);
	buf_addf(&plain, "List-Unsubscribe: <https://h/u/%s>\r\n\r\n",
	    buf_get(&tokens->url));
	while (plain.len % 3 != 0)
		buf_add_char(&plain, ' ');
	for (size_t i = 0; i < plain.len; i += 3) {
		uint32_t bits = 0;

		for (size_t j = 0; j < 3; j++)
			bits = bits << 8 | (unsigned char)plain.data[i + j];
		for (int shift = 18; shift >= 0; shift -= 6)
			buf_add_char(&tokens->base64,
			    alphabet[bits >> shift & 63]);
		if (i % 48 == 45)
			buf_add_char(&tokens->base64, '\n');
	}
	buf_fini(&plain);
}

static void
fini_tokens(struct tokens *tokens)
{
	buf_fini(&tokens->url);
	buf_fini(&tokens->address);
	buf_fini(&tokens->base64);
}

#define GOOD_AR	"Authentication-Results: mx.a; dkim=pass header.d=b.example\n"
#define TYPE	"multipart/report; report-type=feedback-report"

static const struct report reports[] = {
	{ .tokens = 1 },
	/* where the token stands */
	{ .original = "List-Unsubscribe: <mailto:u+%m@h?subject=x>\n\n",
	  .tokens = 1 },
	{ .original = "List-Unsubscribe: <https://h/u-%u>,\n"
	  " <mailto:u+%m@h>\n", .tokens = 1 },
	{ .original = "CFBL-Feedback-ID: 1:%u:y", .tokens = 1 },
	{ .original = "list-unsubscribe: <https://h/?t=%u&a=b>\r\n\r\n",
	  .tokens = 1 },
	{ .third = "text/rfc822-headers", .tokens = 1 },
	{ .original = "Subject: %u\nTo: u+%m@h\n\n" },
	{ .original = "A: b\n\nList-Unsubscribe: <https://h/u/%u>\n" },
	{ .original = "List-Unsubscribe: <https://h/u/%ux>\n\n" },
	{ .original = "List-Unsubscribe: <https://h/u/>\n\n" },
	{ .original = "" },
	{ .third = "text/plain" },
	{ .third = "multipart/mixed; boundary=y",
	  .original = "--y\nContent-Type: message/rfc822\n\n"
	  "List-Unsubscribe: <https://h/u/%u>\n\n--y--\n--x--\n" },
	{ .original = "Subject: x\n--x--\nList-Unsubscribe: "
	  "<https://h/u/%u>\n" },
	/* encodings */
	{ .third = "message/rfc822\nContent-Transfer-Encoding: base64",
	  .original = "%b\n--x--\n", .tokens = 1 },
	{ .third = "message/rfc822\nContent-Transfer-Encoding: "
	  "quoted-printable", .original =
	  "List-Unsubscribe: <https:=2F/h/u/=\n%u>\n=\n\n", .tokens = 1 },
	{ .third = "message/rfc822\nContent-Transfer-Encoding: x-zip" },
	{ .third = "message/rfc822\nContent-Transfer-Encoding: 7bit\n"
	  "Content-Transfer-Encoding: 7bit" },
	{ .second = "message/feedback-report\nContent-Transfer-Encoding: "
	  "quoted-printable", .fields = "Feedback-Type: abu=\nse\n"
	  "User-Agent: a\nVersion: 1\n", .tokens = 1 },
	/* what it says */
	{ .fields = "Feedback-Type: not-spam\nUser-Agent: a\nVersion: 1\n" },
	{ .fields = "Feedback-Type: fraud\nUser-Agent: a\nVersion: 1\n" },
	{ .fields = "User-Agent: a\nVersion: 1\n" },
	{ .fields = "Feedback-Type: abuse\nVersion: 1\n" },
	{ .fields = FIELDS "Feedback-Type: abuse\n" },
	{ .fields = FIELDS "Version: 1\n" },
	{ .fields = "feedback-type: (c) ABUSE\r\nUser-Agent: a\r\n"
	  "Version: 1\r\n", .tokens = 1 },
	{ .fields = "" },
	{ .second = "text/plain" },
	/* whose word it is */
	{ .top = GOOD_AR "From: \"x, <y@c.example>\" (z) <f@b.example> (:)\n",
	  .tokens = 1 },
	{ .top = GOOD_AR "From: f@B.Example (x)\n", .tokens = 1 },
	{ .top = GOOD_AR "From: \"f f\"@b.example\n", .tokens = 1 },
	{ .top = GOOD_AR "From: f@c.example\n" },
	{ .top = GOOD_AR "From: f@x.b.example\n" },
	{ .top = GOOD_AR "From: \"f@b.example\" <f@c.example>\n" },
	{ .top = GOOD_AR "From: f@c.example, f@b.example\n" },
	{ .top = GOOD_AR "From: <f@b.example>, <f@c.example>\n" },
	{ .top = GOOD_AR "From: g: f@b.example;\n" },
	{ .top = GOOD_AR "From: f@b.example\nFrom: f@b.example\n" },
	{ .top = GOOD_AR "From: <f@b.example\n" },
	{ .top = GOOD_AR "From: \"\n" }, { .top = GOOD_AR "From:\n" },
	{ .top = GOOD_AR },
	{ .top = "From: f@b.example\n" },
	{ .top = "Authentication-Results: mx.b; dkim=pass "
	  "header.d=b.example\nFrom: f@b.example\n" },
	{ .top = "From: f@b.example\n"
	  "Authentication-Results: mx.a; dkim=fail header.d=b.example\n"
	  GOOD_AR },
	/* the outer frame */
	{ .type = TYPE }, { .type = TYPE "; boundary=\"\"" },
	{ .type = TYPE "; boundary=y" },
	{ .type = TYPE "; boundary=x; boundary=x" },
	{ .type = TYPE "; boundary=x\nContent-Type: text/plain" },
	{ .type = TYPE "; boundary=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	  "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" },
};

static void
test_take(void)
{
	static const unsigned char secret[CRYPTO_KEY_BYTES] = { 7 };
	struct token_keys keys = { .key = { crypto_hmac_new(secret) } };
	struct tokens tokens;

	make_tokens(&tokens, &keys);
	for (size_t i = 0; i < sizeof(reports) / sizeof(reports[0]); i++) {
		struct mailto mailto = { .count = 0 }, none = { .count = 0 };
		struct buf text = BUF_INIT(10000);

		check_case((long)i);
		format_report(&text, &reports[i], &tokens);
		CHECK_INT(complaint_take(&mailto, &keys, SPAN("mx.a"),
		    buf_span(&text)) == NULL, reports[i].tokens > 0);
		CHECK_INT(mailto.count, reports[i].tokens);
		/* Who is not told whom to trust trusts nobody. */
		CHECK(complaint_take(&none, &keys, SPAN(""),
		    buf_span(&text)) != NULL);
		CHECK_INT(none.count, 0);
		buf_fini(&text);
	}
	fini_tokens(&tokens);
	crypto_hmac_free(&keys.key[0]);
}

/* A report is good from the end of the header section that came back on, and
 * never before; and what follows may be as long as it likes. */
static void
test_cut_and_huge(void)
{
	static const unsigned char secret[CRYPTO_KEY_BYTES] = { 7 };
	struct token_keys keys = { .key = { crypto_hmac_new(secret) } };
	struct buf text = BUF_INIT((size_t)4 << 20);
	struct mailto mailto = { .count = 0 };
	struct tokens tokens;
	ptrdiff_t end;

	make_tokens(&tokens, &keys);
	format_report(&text, &reports[0], &tokens);
	end = span_rindex(buf_span(&text), '>');
	for (size_t len = 0; len <= text.len; len++) {
		check_case((long)len);
		mailto.count = 0;
		(void)complaint_take(&mailto, &keys, SPAN("mx.a"),
		    span_head(buf_span(&text), len));
		CHECK_INT(mailto.count, len >= (size_t)end);
	}
	buf_truncate(&text, (size_t)end + 1);
	for (int i = 0; i < 300000; i++)
		buf_add_str(&text, "\n--xy\n(\"<=");
	check_case(-1);
	mailto.count = 0;
	CHECK(complaint_take(&mailto, &keys, SPAN("mx.a"),
	    buf_span(&text)) == NULL);
	CHECK_INT(mailto.count, 1);
	buf_fini(&text);
	fini_tokens(&tokens);
	crypto_hmac_free(&keys.key[0]);
}

static void
test_is_report(void)
{
	static const struct {
		const char *header;
		bool is_report;
	} cases[] = {
		{ "Content-Type: " TYPE "; boundary=x\n", true },
		{ "content-type: Multipart/Report; boundary=\"x\";\r\n"
		  "\treport-type=\"Feedback-Report\"", true },
		{ "Content-Type: multipart/report; "
		  "report-type=delivery-status\n", false },
		{ "Content-Type: multipart/report\n", false },
		{ "Content-Type: multipart/mixed; "
		  "report-type=feedback-report\n", false },
		{ "Content-Type: " TYPE "\nContent-Type: " TYPE "\n", false },
		{ "Subject: x\n Content-Type: " TYPE "\n", false },
		{ "", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		CHECK_INT(complaint_is_report(span_str(cases[i].header)),
		    cases[i].is_report);
	}
}

static const struct check_test tests[] = {
	{ "take", test_take },
	{ "cut and huge", test_cut_and_huge },
	{ "is report", test_is_report },
};

CHECK_MAIN("complaint", tests)
