/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "base/codec.h"
#include "consent/token.h"
#include "check.h"

#define NOW	INT64_C(1767603600000)	/* 2026-01-05, day 735 */

static const struct subject jane = { { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55,
    0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff } };

/* Key number id is 32 times the byte 0xa0 + id. */
static void
add_key(struct token_keys *keys, unsigned id)
{
	unsigned char bytes[CRYPTO_KEY_BYTES];

	memset(bytes, (int)(0xa0 + id), sizeof(bytes));
	crypto_hmac_free(&keys->key[id]);
	keys->key[id] = crypto_hmac_new(bytes);
}

static void
free_keys(struct token_keys *keys)
{
	for (unsigned i = 0; i < TOKEN_KEYS; i++)
		crypto_hmac_free(&keys->key[i]);
}

static void
make(const struct token_keys *keys, const struct subject *subject,
    int64_t now_ms, unsigned char out[TOKEN_BYTES])
{
	struct fail fail;

	CHECK_INT(token_make(keys, SPAN("weekly"), subject, now_ms, out,
	    &fail), 0);
}

static int
check_text(const struct token_keys *keys, struct span text,
    struct token *out)
{
	struct fail fail = { .class = FAIL_BUG };
	int rc = token_check(keys, text, out, &fail);

	if (rc == -1)
		CHECK_INT(fail.class, FAIL_INPUT);
	return rc;
}

/* Are these bytes good in both forms, or bad in both? */
static bool
verifies(const struct token_keys *keys, const unsigned char *bytes)
{
	struct buf url = BUF_INIT(100), mailto = BUF_INIT(100);
	struct token token;
	bool good;

	token_format_url(&url, bytes);
	token_format_mailto(&mailto, bytes);
	CHECK_INT(url.len, TOKEN_URL_LEN);
	CHECK_INT(mailto.len, TOKEN_MAILTO_LEN);
	good = check_text(keys, buf_span(&url), &token) == 0;
	CHECK_INT(check_text(keys, buf_span(&mailto), &token) == 0, good);
	buf_fini(&url);
	buf_fini(&mailto);
	return good;
}

/* Made with Python's hmac and base64 modules: links in mail that was sent
 * years ago must go on working. */
static void
test_vectors(void)
{
	static const struct {
		unsigned key_id;
		const char *list;
		bool personal;
		int64_t now_ms;
		const char *url, *mailto;
	} cases[] = {
		{ 0, "weekly", true, INT64_C(1767603600000),
		    "EIhQ7AARIjNEVWZ3iJmqu8zd7v8C3160"
		    "oyyKlb7XYKNMld0Crgc",
		    "ccefb3aacerdgrcvmz3yrgnkxpgn33x7"
		    "alpv5nfdfsfjlpwxmcruzfo5akxao" },
		{ 15, "weekly", false, INT64_C(1767603600000),
		    "H4hQ7AAAAAAAAAAAAAAAAAAAAAAC30MX"
		    "OKWUX8pR7QWlsbrl4I4",
		    "d6efb3aaaaaaaaaaaaaaaaaaaaaaaaaa"
		    "alpugfzyuwkf7ssr5uc2lmn24xqi4" },
		{ 5, "a", true, INT64_C(0),
		    "FcqXgQARIjNEVWZ3iJmqu8zd7v8AANLQ"
		    "ltKaEtNrKlKll2ky4YE",
		    "cxfjpaiacerdgrcvmz3yrgnkxpgn33x7"
		    "aaanfuew2knbfu3lfjjklf3jglqyc" },
		{ 9, "abcdefghijklmnopqrstuvwxyz012345", true,
		    INT64_C(253402300799999),
		    "GWU7sQARIjNEVWZ3iJmqu8zd7v___5LV"
		    "9wMXwzLQq1e82jVtEoY",
		    "dfstxmiacerdgrcvmz3yrgnkxpgn33x7"
		    "777zfvpxaml4gmwqvnl3zwrvnujim" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct token_keys keys = { { NULL } };
		unsigned char bytes[TOKEN_BYTES];
		struct buf text = BUF_INIT(100);
		struct token token;
		struct fail fail;

		check_case((long)i);
		add_key(&keys, cases[i].key_id);
		CHECK_INT(token_make(&keys, span_str(cases[i].list),
		    cases[i].personal ? &jane : NULL, cases[i].now_ms, bytes,
		    &fail), 0);
		token_format_url(&text, bytes);
		CHECK_STR(buf_get(&text), cases[i].url);
		buf_clear(&text);
		token_format_mailto(&text, bytes);
		CHECK_STR(buf_get(&text), cases[i].mailto);
		CHECK_INT(check_text(&keys, span_str(cases[i].url), &token),
		    0);
		CHECK_INT(token.key_id, cases[i].key_id);
		CHECK_INT(token_is_personal(&token), cases[i].personal);
		if (cases[i].personal)
			CHECK(subject_is(&token.subject, &jane));
		buf_fini(&text);
		free_keys(&keys);
	}
}

static void
test_parts(void)
{
	struct token_keys keys = { { NULL } };
	unsigned char bytes[TOKEN_BYTES], list[TOKEN_LIST_BYTES];
	struct buf text = BUF_INIT(100);
	struct token token;

	add_key(&keys, 0);
	make(&keys, &jane, NOW, bytes);
	token_format_mailto(&text, bytes);
	CHECK_INT(check_text(&keys, buf_span(&text), &token), 0);
	token_list(SPAN("weekly"), list);
	CHECK_BYTES(token.list, TOKEN_LIST_BYTES, list, TOKEN_LIST_BYTES);
	token_list(SPAN("daily"), list);
	CHECK(memcmp(token.list, list, TOKEN_LIST_BYTES) != 0);
	CHECK_INT(token.day, 735);
	CHECK(token_is_personal(&token));
	buf_fini(&text);
	free_keys(&keys);
}

/* One bit of a subject is enough for it to name somebody. */
static void
test_personal(void)
{
	struct token token = { .key_id = 0 };

	CHECK(!token_is_personal(&token));
	for (int i = 0; i < SUBJECT_BYTES; i++) {
		check_case(i);
		memset(&token.subject, 0, sizeof(token.subject));
		token.subject.id[i] = 1;
		CHECK(token_is_personal(&token));
	}
}

static void
test_bit_flips(void)
{
	struct token_keys keys = { { NULL } };
	unsigned char bytes[TOKEN_BYTES];

	/* All key ids are there, so a flipped id meets a key as well. */
	for (unsigned id = 0; id < TOKEN_KEYS; id++)
		add_key(&keys, id);
	make(&keys, &jane, NOW, bytes);
	CHECK(verifies(&keys, bytes));
	for (int bit = 0; bit < TOKEN_BYTES * 8; bit++) {
		check_case(bit);
		bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
		CHECK(!verifies(&keys, bytes));
		bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	check_case(-1);
	CHECK(verifies(&keys, bytes));
	free_keys(&keys);
}

/* Every single character of a text matters, the last ones too; where case
 * does not, the other case is no change. */
static void
change_characters(const struct token_keys *keys, struct buf *text,
    bool folded)
{
	struct token token;

	CHECK_INT(check_text(keys, buf_span(text), &token), 0);
	for (size_t i = 0; i < text->len; i++)
		for (int c = 0; c < 256; c++) {
			char was = text->data[i];

			if (c == (unsigned char)was || (folded &&
			    ascii_tolower((unsigned char)c) == was))
				continue;
			check_case((long)(i * 1000) + c);
			text->data[i] = (char)c;
			CHECK_INT(check_text(keys, buf_span(text), &token),
			    -1);
			text->data[i] = was;
		}
	check_case(-1);
}

static void
test_text_changes(void)
{
	struct token_keys keys = { { NULL } };
	unsigned char bytes[TOKEN_BYTES];
	struct buf text = BUF_INIT(100);

	add_key(&keys, 0);
	make(&keys, &jane, NOW, bytes);
	token_format_url(&text, bytes);
	change_characters(&keys, &text, false);
	buf_clear(&text);
	token_format_mailto(&text, bytes);
	change_characters(&keys, &text, true);
	buf_fini(&text);
	free_keys(&keys);
}

/* Local parts get folded on their way, URLs do not. */
static void
test_case(void)
{
	struct token_keys keys = { { NULL } };
	unsigned char bytes[TOKEN_BYTES];
	struct buf text = BUF_INIT(100);
	struct token token;

	add_key(&keys, 0);
	make(&keys, &jane, NOW, bytes);
	token_format_mailto(&text, bytes);
	for (size_t i = 0; i < text.len; i++)
		if (text.data[i] >= 'a' && text.data[i] <= 'z')
			text.data[i] = (char)(text.data[i] - 'a' + 'A');
	CHECK_INT(check_text(&keys, buf_span(&text), &token), 0);
	CHECK(subject_is(&token.subject, &jane));
	buf_clear(&text);
	token_format_url(&text, bytes);
	for (size_t i = 0; i < text.len; i++)
		text.data[i] =
		    (char)ascii_tolower((unsigned char)text.data[i]);
	CHECK_INT(check_text(&keys, buf_span(&text), &token), -1);
	buf_fini(&text);
	free_keys(&keys);
}

static void
test_rotation(void)
{
	struct token_keys keys = { { NULL } };
	unsigned char old[TOKEN_BYTES], new[TOKEN_BYTES];
	struct fail fail = { .class = FAIL_BUG };

	CHECK_INT(token_make(&keys, SPAN("weekly"), &jane, NOW, old, &fail),
	    -1);
	CHECK_INT(fail.class, FAIL_SETUP);
	add_key(&keys, 3);
	make(&keys, &jane, NOW, old);
	CHECK_INT(old[0], 0x13);
	CHECK(verifies(&keys, old));
	add_key(&keys, 15);
	add_key(&keys, 0);
	make(&keys, &jane, NOW, new);
	CHECK_INT(new[0], 0x1f);	/* the highest id signs */
	CHECK(verifies(&keys, old));
	CHECK(verifies(&keys, new));
	crypto_hmac_free(&keys.key[3]);
	CHECK(!verifies(&keys, old));
	CHECK(verifies(&keys, new));
	free_keys(&keys);
	CHECK(!verifies(&keys, new));	/* no key at all */
}

/* A good MAC does not make up for a version that we do not know. */
static void
test_versions(void)
{
	struct token_keys keys = { { NULL } };

	add_key(&keys, 0);
	for (unsigned version = 0; version < 16; version++) {
		unsigned char bytes[TOKEN_BYTES];
		unsigned char sum[CRYPTO_DIGEST_BYTES];
		struct span piece = span_of(bytes, 22);

		check_case((long)version);
		make(&keys, &jane, NOW, bytes);
		bytes[0] = (unsigned char)(version << 4);
		crypto_hmac_sum(keys.key[0], &piece, 1, sum);
		memcpy(bytes + 22, sum, 16);
		CHECK_INT(verifies(&keys, bytes), version == 1);
	}
	free_keys(&keys);
}

static void
test_days(void)
{
	static const struct {
		int64_t now_ms;
		unsigned day;
	} cases[] = {
		{ INT64_C(1704067200000), 0 },
		{ INT64_C(1704067200000) + 86399999, 0 },
		{ INT64_C(1704067200000) + 86400000, 1 },
		{ INT64_C(1704067199999), 0 }, { 0, 0 }, { -1, 0 },
		{ INT64_MIN, 0 }, { NOW, 735 },
		{ INT64_C(1704067200000) + INT64_C(65534) * 86400000, 65534 },
		{ INT64_C(1704067200000) + INT64_C(65535) * 86400000, 65535 },
		{ INT64_C(1704067200000) + INT64_C(65536) * 86400000, 65535 },
		{ INT64_MAX, 65535 },
	};
	struct token_keys keys = { { NULL } };

	add_key(&keys, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned char bytes[TOKEN_BYTES];
		struct buf text = BUF_INIT(100);
		struct token token = { .day = 7 };

		check_case((long)i);
		make(&keys, &jane, cases[i].now_ms, bytes);
		token_format_url(&text, bytes);
		CHECK_INT(check_text(&keys, buf_span(&text), &token), 0);
		CHECK_INT(token.day, cases[i].day);
		buf_fini(&text);
	}
	free_keys(&keys);
}

/* Cut, lengthened, padded, with a NUL, or something else altogether. */
static void
test_hostile_text(void)
{
	struct token_keys keys = { { NULL } };
	unsigned char bytes[TOKEN_BYTES];
	struct buf url = BUF_INIT(100);
	struct token token = { .day = 7 };
	char text[200];

	add_key(&keys, 0);
	make(&keys, &jane, NOW, bytes);
	token_format_url(&url, bytes);
	memset(text, 'a', sizeof(text));
	memcpy(text, url.data, TOKEN_URL_LEN);
	for (size_t len = 0; len < sizeof(text); len++) {
		check_case((long)len);
		CHECK_INT(check_text(&keys, span_of(text, len), &token),
		    len == TOKEN_URL_LEN ? 0 : -1);
	}
	check_case(-1);
	CHECK_INT(check_text(&keys, span_of(NULL, 0), &token), -1);
	text[TOKEN_URL_LEN] = '\0';
	CHECK_INT(check_text(&keys, span_of(text, TOKEN_URL_LEN + 1), &token),
	    -1);
	text[TOKEN_URL_LEN - 1] = '\0';
	token.day = 7;
	CHECK_INT(check_text(&keys, span_of(text, TOKEN_URL_LEN), &token),
	    -1);
	text[TOKEN_URL_LEN - 1] = '=';
	CHECK_INT(check_text(&keys, span_of(text, TOKEN_URL_LEN), &token),
	    -1);
	memset(text, 0, sizeof(text));
	CHECK_INT(check_text(&keys, span_of(text, TOKEN_MAILTO_LEN), &token),
	    -1);
	CHECK_INT(token.day, 7);	/* filled on success only */
	buf_fini(&url);
	free_keys(&keys);
}

static const struct check_test tests[] = {
	{ "vectors", test_vectors },
	{ "parts", test_parts },
	{ "personal", test_personal },
	{ "bit_flips", test_bit_flips },
	{ "text_changes", test_text_changes },
	{ "case", test_case },
	{ "rotation", test_rotation },
	{ "versions", test_versions },
	{ "days", test_days },
	{ "hostile_text", test_hostile_text },
};

CHECK_MAIN("token", tests)
