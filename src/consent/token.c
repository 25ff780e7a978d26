/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "consent/token.h"

#include <string.h>

#include "base/codec.h"

#define TOKEN_VERSION	1
#define SIGNED_BYTES	22	/* all before the MAC */
#define MAC_BYTES	16
#define DAY_ZERO_MS	INT64_C(1704067200000)	/* 2024-01-01 */
#define MS_PER_DAY	INT64_C(86400000)

/* Where the parts lie. */
#define AT_LIST		1
#define AT_SUBJECT	4
#define AT_DAY		20

void
token_list(struct span list_id, unsigned char out[TOKEN_LIST_BYTES])
{
	unsigned char digest[CRYPTO_DIGEST_BYTES];

	crypto_sha256(&list_id, 1, digest);
	memcpy(out, digest, TOKEN_LIST_BYTES);
}

bool
token_is_personal(const struct token *token)
{
	static const struct subject nobody;

	return !subject_is(&token->subject, &nobody);
}

/* Days since DAY_ZERO_MS, as many as two bytes can say. */
static uint16_t
day_of(int64_t now_ms)
{
	int64_t day;

	if (now_ms < DAY_ZERO_MS)
		return 0;
	day = (now_ms - DAY_ZERO_MS) / MS_PER_DAY;
	return day < UINT16_MAX ? (uint16_t)day : UINT16_MAX;
}

static void
mac(const struct crypto_hmac *key, const unsigned char token[SIGNED_BYTES],
    unsigned char out[CRYPTO_DIGEST_BYTES])
{
	struct span piece = span_of(token, SIGNED_BYTES);

	crypto_hmac_sum(key, &piece, 1, out);
}

int
token_make(const struct token_keys *keys, struct span list_id,
    const struct subject *subject, int64_t now_ms,
    unsigned char out[TOKEN_BYTES], struct fail *fail)
{
	unsigned char sum[CRYPTO_DIGEST_BYTES];
	uint16_t day = day_of(now_ms);
	unsigned id = TOKEN_KEYS;

	while (id > 0 && keys->key[id - 1] == NULL)
		id--;
	if (id-- == 0)
		return fail_set(fail, FAIL_SETUP, "there is no token key: run "
		    "`consentctl keygen'");
	memset(out, 0, TOKEN_BYTES);
	out[0] = (unsigned char)(TOKEN_VERSION << 4 | id);
	token_list(list_id, out + AT_LIST);
	if (subject != NULL)
		memcpy(out + AT_SUBJECT, subject->id, SUBJECT_BYTES);
	out[AT_DAY] = (unsigned char)(day >> 8);
	out[AT_DAY + 1] = (unsigned char)day;
	mac(keys->key[id], out, sum);
	memcpy(out + SIGNED_BYTES, sum, MAC_BYTES);
	return 0;
}

void
token_format_url(struct buf *out, const unsigned char token[TOKEN_BYTES])
{
	base64url_format(out, token, TOKEN_BYTES);
}

void
token_format_mailto(struct buf *out, const unsigned char token[TOKEN_BYTES])
{
	base32_format(out, token, TOKEN_BYTES);
}

void
token_add_url(struct buf *out, const char *base,
    const unsigned char token[TOKEN_BYTES])
{
	buf_add_str(out, base);
	token_format_url(out, token);
}

void
token_add_address(struct buf *out, const char *address,
    const unsigned char token[TOKEN_BYTES])
{
	const char *at = strrchr(address, '@');

	buf_add(out, address, (size_t)(at - address));
	buf_add_char(out, '+');
	token_format_mailto(out, token);
	buf_add_str(out, at);
}

/* The key of that number or, where it is not here, any: the answer to a token
 * of ours must not come later than that to another. */
static const struct crypto_hmac *
key_to_check(const struct token_keys *keys, unsigned id)
{
	const struct crypto_hmac *key = keys->key[id];

	for (unsigned i = 0; key == NULL && i < TOKEN_KEYS; i++)
		key = keys->key[i];
	return key;
}

int
token_check(const struct token_keys *keys, struct span text,
    struct token *out, struct fail *fail)
{
	unsigned char bytes[TOKEN_BYTES], sum[CRYPTO_DIGEST_BYTES] = { 0 };
	const struct crypto_hmac *key;
	bool is_signed;
	unsigned id;
	int rc = -1;

	if (text.len == TOKEN_URL_LEN)
		rc = base64url_parse(text, bytes, sizeof(bytes));
	else if (text.len == TOKEN_MAILTO_LEN)
		rc = base32_parse(text, bytes, sizeof(bytes));
	if (rc == -1)
		return fail_set(fail, FAIL_INPUT, "the token is malformed");
	id = bytes[0] & 0xf;
	key = key_to_check(keys, id);
	if (key != NULL)
		mac(key, bytes, sum);
	is_signed = crypto_equal(sum, bytes + SIGNED_BYTES, MAC_BYTES);
	if (bytes[0] >> 4 != TOKEN_VERSION)
		return fail_set(fail, FAIL_INPUT,
		    "the token has an unknown version");
	if (keys->key[id] == NULL)
		return fail_set(fail, FAIL_INPUT,
		    "the token's key %u is not here", id);
	if (!is_signed)
		return fail_set(fail, FAIL_INPUT, "the token is forged");
	out->key_id = id;
	memcpy(out->list, bytes + AT_LIST, TOKEN_LIST_BYTES);
	memcpy(out->subject.id, bytes + AT_SUBJECT, SUBJECT_BYTES);
	out->day = (uint16_t)(bytes[AT_DAY] << 8 | bytes[AT_DAY + 1]);
	return 0;
}
