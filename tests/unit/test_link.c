/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "consent/link.h"

#include "consent/decision.h"

#include "check.h"

#define NOW_MS	INT64_C(1795000000000)
#define DAY_MS	INT64_C(86400000)

static const unsigned char key_bytes[CRYPTO_KEY_BYTES] = "link";

static struct link
sample(enum link_purpose purpose)
{
	struct link link = { .purpose = purpose, .list = { 1, 2, 3 },
	    .at_ms = NOW_MS, .detail = { 9, 8, 7, 6, 5, 4, 3, 2 } };

	for (unsigned i = 0; i < SUBJECT_BYTES; i++)
		link.subject.id[i] = (unsigned char)(0xf0 + i);
	return link;
}

static void
test_round_trip(void)
{
	struct crypto_hmac *key = crypto_hmac_new(key_bytes);

	for (int purpose = LINK_CONFIRM; purpose <= LINK_ACCESS; purpose++) {
		struct link link = sample((enum link_purpose)purpose), got;
		struct buf text = BUF_INIT(LINK_LEN);

		link_add(&text, key, &link);
		CHECK_INT(text.len, LINK_LEN);
		CHECK_INT(link_check(key, buf_span(&text), link.purpose,
		    NOW_MS, DAY_MS, &got), 1);
		CHECK_INT(got.purpose, purpose);
		CHECK_BYTES(got.list, sizeof(got.list), link.list,
		    sizeof(link.list));
		CHECK(subject_is(&got.subject, &link.subject));
		CHECK_INT(got.at_ms, NOW_MS);
		CHECK_BYTES(got.detail, sizeof(got.detail), link.detail,
		    sizeof(link.detail));
		/* A link to confirm opens nothing, and the other way round. */
		CHECK_INT(link_check(key, buf_span(&text),
		    purpose == LINK_CONFIRM ? LINK_ACCESS : LINK_CONFIRM,
		    NOW_MS, DAY_MS, &got), -1);
		buf_fini(&text);
	}
	crypto_hmac_free(&key);
}

static void
test_time(void)
{
	static const struct {
		int64_t after_ms;
		int rc;
	} cases[] = {
		{ 0, 1 }, { 1, 1 }, { DAY_MS, 1 }, { DAY_MS + 1, 0 },
		{ 400 * DAY_MS, 0 }, { -1, 1 },
		{ -DECISION_CLOCK_SKEW_MS, 1 },
		{ -DECISION_CLOCK_SKEW_MS - 1, 0 },
	};
	struct crypto_hmac *key = crypto_hmac_new(key_bytes);
	struct link link = sample(LINK_CONFIRM), got;
	struct buf text = BUF_INIT(LINK_LEN);

	link_add(&text, key, &link);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		CHECK_INT(link_check(key, buf_span(&text), LINK_CONFIRM,
		    NOW_MS + cases[i].after_ms, DAY_MS, &got), cases[i].rc);
	}
	buf_fini(&text);
	crypto_hmac_free(&key);
}

/* Each character changed to each other one, and other lengths. */
static void
test_forged(void)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij"
	    "klmnopqrstuvwxyz0123456789-_=+/ .%";
	struct crypto_hmac *key = crypto_hmac_new(key_bytes), *other;
	struct link link = sample(LINK_ACCESS), got;
	struct buf text = BUF_INIT(LINK_LEN + 1);
	unsigned char other_bytes[CRYPTO_KEY_BYTES] = "other";

	link_add(&text, key, &link);
	for (size_t i = 0; i < LINK_LEN; i++)
		for (size_t j = 0; j < sizeof(alphabet) - 1; j++) {
			char was = text.data[i];

			text.data[i] = alphabet[j];
			CHECK_INT(link_check(key, buf_span(&text), LINK_ACCESS,
			    NOW_MS, DAY_MS, &got), alphabet[j] == was ? 1 :
			    -1);
			text.data[i] = was;
		}
	for (size_t len = 0; len < LINK_LEN; len++)
		CHECK_INT(link_check(key, span_of(text.data, len), LINK_ACCESS,
		    NOW_MS, DAY_MS, &got), -1);
	buf_add_char(&text, 'A');
	CHECK_INT(link_check(key, buf_span(&text), LINK_ACCESS, NOW_MS, DAY_MS,
	    &got), -1);
	buf_truncate(&text, LINK_LEN);
	other = crypto_hmac_new(other_bytes);
	CHECK_INT(link_check(other, buf_span(&text), LINK_ACCESS, NOW_MS,
	    DAY_MS, &got), -1);
	crypto_hmac_free(&other);
	buf_fini(&text);
	crypto_hmac_free(&key);
}

/* With one key for both, a newsletter's token is still no link. */
static void
test_no_token(void)
{
	struct token_keys keys = { { NULL } };
	unsigned char bytes[TOKEN_BYTES];
	struct link link = sample(LINK_ACCESS), got;
	struct token token;
	struct buf text = BUF_INIT(LINK_LEN);
	struct fail fail;

	keys.key[0] = crypto_hmac_new(key_bytes);
	CHECK_INT(token_make(&keys, SPAN("weekly"), &link.subject, NOW_MS,
	    bytes, &fail), 0);
	token_format_url(&text, bytes);
	CHECK_INT(link_check(keys.key[0], buf_span(&text), LINK_ACCESS, NOW_MS,
	    DAY_MS, &got), -1);
	buf_clear(&text);
	link_add(&text, keys.key[0], &link);
	CHECK_INT(token_check(&keys, buf_span(&text), &token, &fail), -1);
	buf_fini(&text);
	crypto_hmac_free(&keys.key[0]);
}

static const struct check_test tests[] = {
	{ "round trip", test_round_trip },
	{ "time", test_time },
	{ "forged", test_forged },
	{ "no token", test_no_token },
};

CHECK_MAIN("link", tests)
