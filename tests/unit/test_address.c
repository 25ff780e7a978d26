/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "mail/address.h"

#include "check.h"

#define A64	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define L63	"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* Spellings, and the one form that all of them have. */
static void
test_canonical(void)
{
	static const struct {
		const char *text, *want;	/* NULL: refused */
	} cases[] = {
		{ "Jane.Doe@Example.COM", "jane.doe@example.com" },
		{ "<Jane.Doe@Example.COM>", "jane.doe@example.com" },
		{ "  <jane.doe@example.com> ", "jane.doe@example.com" },
		{ "\"jane.doe\"@example.com", "jane.doe@example.com" },
		{ "\"Jane\\.Doe\"@example.com", "jane.doe@example.com" },
		{ "janedoe@example.com", "janedoe@example.com" },
		{ "jane.doe+x@example.com", "jane.doe+x@example.com" },
		{ "jane.doe@example.com.", "jane.doe@example.com" },
		{ "\"a b\"@example.com", "a b@example.com" },
		{ "\"a@b\"@example.com", "a@b@example.com" },
		{ "\"a\\\"b\"@example.com", "a\"b@example.com" },
		{ ".a..b.@example.com", ".a..b.@example.com" },
		{ "a_b@c_d.example", "a_b@c_d.example" },
		{ "postmaster@[192.0.2.1]", "postmaster@[192.0.2.1]" },
		{ "x@[IPv6:2001:DB8::1]", "x@[ipv6:2001:db8::1]" },
		/* domains: U-labels, A-labels, case, NFD, ideographic stop */
		{ "user@b\xc3\xbc" "cher.example",
		    "user@xn--bcher-kva.example" },
		{ "USER@xn--bcher-kva.example",
		    "user@xn--bcher-kva.example" },
		{ "user@B\xc3\x9c" "CHER.example.",
		    "user@xn--bcher-kva.example" },
		{ "user@bu\xcc\x88" "cher.example",
		    "user@xn--bcher-kva.example" },
		{ "user@b\xc3\xbc" "cher\xe3\x80\x82" "example",
		    "user@xn--bcher-kva.example" },
		/* sharp s is a letter of its own (IDNA2008) */
		{ "a@fa\xc3\x9f.de", "a@xn--fa-hia.de" },
		{ "a@fass.de", "a@fass.de" },
		/* local parts: NFC and simple case folding */
		{ "Gr\xc3\x9cn@example.com", "gr\xc3\xbcn@example.com" },
		{ "gru\xcc\x88n@example.com", "gr\xc3\xbcn@example.com" },
		{ "stra\xc3\x9f" "e@example.com",
		    "stra\xc3\x9f" "e@example.com" },
		{ "\xe1\xba\x9e@example.com", "\xc3\x9f@example.com" },
		{ "\xcf\x83\xcf\x82@example.com",
		    "\xcf\x83\xcf\x83@example.com" },
		{ "\xce\xa3@example.com", "\xcf\x83@example.com" },
		{ "\xc4\xb0@example.com", "\xc4\xb0@example.com" },
		{ "\xc4\xb1@example.com", "\xc4\xb1@example.com" },
		{ A64 "@example.com", A64 "@example.com" },
		{ "a@" L63 ".example", "a@" L63 ".example" },
		/* refused */
		{ A64 "a@example.com", NULL },
		{ "a@" L63 "b.example", NULL },
		{ "a@" L63 "." L63 "." L63 "." L63 ".bb", NULL },
		{ "", NULL }, { "<>", NULL }, { "<@>", NULL }, { "@b", NULL },
		{ "a@", NULL }, { "a@.", NULL }, { "postmaster", NULL },
		{ "<postmaster>", NULL }, { "a@b..c", NULL },
		{ "a@.b", NULL }, { "a@b@c", NULL },
		{ "<@relay:bob@example.org>", NULL },
		{ "@a,@b:c@d", NULL }, { "a b@example.com", NULL },
		{ "a,b@example.com", NULL }, { "(x)a@example.com", NULL },
		{ "<a@example.com", NULL }, { "a>@example.com", NULL },
		{ "\"@example.com", NULL }, { "\"\"@example.com", NULL },
		{ "\"a@example.com", NULL }, { "\"a\"b\"@example.com", NULL },
		{ "\"a\\\"@example.com", NULL }, { "a@exa mple.com", NULL },
		{ "a@example.com\r\nRCPT TO:<b@c>", NULL },
		{ "a\n@example.com", NULL }, { "\"a\r\n\"@b.c", NULL },
		{ "a\x7f@example.com", NULL },
		{ "a\xc2\x85@example.com", NULL },	/* a C1 control */
		{ "a\xff@example.com", NULL }, { "a@b\xff.example", NULL },
		{ "a@[192.0.2.256]", NULL }, { "a@[192.0.2.1", NULL },
		{ "a@[]", NULL }, { "a@[IPv6:::::]", NULL },
		{ "a@[example.com]", NULL }, { "a@exam!ple.com", NULL },
		{ "a@xn--\xc3\xbc.example", NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct address address;
		struct fail fail;
		int rc;

		check_case((long)i);
		rc = address_parse(span_str(cases[i].text), &address, &fail);
		CHECK_INT(rc, cases[i].want == NULL ? -1 : 0);
		if (rc == 0 && cases[i].want != NULL)
			CHECK_STR(address.text, cases[i].want);
		if (rc == -1)
			CHECK_INT(fail.class, FAIL_INPUT);
	}
}

static void
test_nul_and_length(void)
{
	struct address address;
	struct fail fail;
	char big[ADDRESS_PATH_MAX + 2];

	CHECK_INT(address_parse(span_of("a\0b@c.de", 8), &address, &fail), -1);
	CHECK_INT(address_parse(span_of("a@b\0.de", 7), &address, &fail), -1);
	CHECK_INT(address_parse(span_of("\"\0\"@c.de", 8), &address, &fail),
	    -1);
	memset(big, ' ', sizeof(big));
	memcpy(big, "a@b.de", 6);
	CHECK_INT(address_parse(span_of(big, sizeof(big) - 1), &address,
	    &fail), -1);
	CHECK_INT(address_parse(span_of(big, ADDRESS_PATH_MAX), &address,
	    &fail), 0);
}

static void
test_parts(void)
{
	struct address a;
	struct fail fail;

	CHECK_INT(address_parse(SPAN("\"x@y\"@Example.org"), &a, &fail), 0);
	CHECK(span_is(address_local(&a), SPAN("x@y")));
	CHECK(span_is(address_domain(&a), SPAN("example.org")));
	CHECK(address_is_null_path(SPAN("<>")));
	CHECK(address_is_null_path(SPAN("")));
	CHECK(!address_is_null_path(SPAN("<a@b>")));
}

/* xorshift: the same sequence each time */
static uint32_t
next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Quoting a canonical local part and reading it again gives the same. */
static void
test_idempotent(void)
{
	static const char *const pieces[] = { "a", "B", ".", "+", "\"", "\\",
	    "@", " ", "\xc3\xbc", "\xc3\x9c", "u\xcc\x88", "\xe1\xba\x9e",
	    "\xce\xa3", "\xc4\xb0", "\xef\xac\x81", "9", "\xcd\x85" };
	uint32_t state = 2463534242u;
	int read_back = 0;

	for (int round = 0; round < 5000; round++) {
		struct buf first = BUF_INIT(500), again = BUF_INIT(1000);
		struct address a, b;
		struct fail fail;
		unsigned n = next_random(&state) % 8;

		check_case(round);
		buf_add_char(&first, '"');
		for (unsigned i = 0; i <= n; i++) {
			const char *p = pieces[next_random(&state) %
			    (sizeof(pieces) / sizeof(pieces[0]))];

			if (*p == '"' || *p == '\\')
				buf_add_char(&first, '\\');
			buf_add_str(&first, p);
		}
		buf_add_str(&first, "\"@Example.com.");
		if (address_parse(buf_span(&first), &a, &fail) == 0) {
			buf_add_char(&again, '"');
			for (size_t i = 0; i < a.local_len; i++) {
				if (a.text[i] == '"' || a.text[i] == '\\')
					buf_add_char(&again, '\\');
				buf_add_char(&again, a.text[i]);
			}
			buf_add_str(&again, "\"@");
			buf_add_span(&again, address_domain(&a));
			CHECK_INT(address_parse(buf_span(&again), &b, &fail),
			    0);
			CHECK_STR(b.text, a.text);
			read_back++;
		}
		buf_fini(&first);
		buf_fini(&again);
	}
	CHECK(read_back > 4000);
}

static void
test_shown(void)
{
	static const struct {
		const char *path, *masked, *printable;
	} cases[] = {
		{ "<alice@example.org>", "a***@example.org",
		    "alice@example.org" },
		{ "\"bob smith\"@example.org", "b***@example.org",
		    "\"bob smith\"@example.org" },
		{ "<\xc3\xbc" "ber@ex\xc3\xa4mple.org>",
		    "\\x{FC}***@ex\\x{E4}mple.org",
		    "\\x{FC}ber@ex\\x{E4}mple.org" },
		{ "nobody", "n***", "nobody" },
		{ "<>", "***", "" },
		{ "<a\r\nb@c>", "a***@c", "a\\x{D}\\x{A}b@c" },
	};
	struct buf out = BUF_INIT(2000);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		buf_clear(&out);
		address_add_masked(&out, span_str(cases[i].path));
		CHECK_STR(buf_get(&out), cases[i].masked);
		buf_clear(&out);
		address_add_printable(&out, span_str(cases[i].path), 100);
		CHECK_STR(buf_get(&out), cases[i].printable);
	}
	buf_clear(&out);
	address_add_printable(&out, SPAN("<abcdefghij@example.org>"), 10);
	CHECK_STR(buf_get(&out), "abcdefg...");
	buf_fini(&out);
}

static const struct check_test tests[] = {
	{ "canonical", test_canonical },
	{ "nul_and_length", test_nul_and_length },
	{ "parts", test_parts },
	{ "idempotent", test_idempotent },
	{ "shown", test_shown },
};

CHECK_MAIN("address", tests)
