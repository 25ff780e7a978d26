/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "consent/link.h"

#include <string.h>

#include "base/codec.h"
#include "consent/decision.h"

#define LINK_VERSION	1
#define SIGNED_BYTES	34	/* all before the MAC */
#define MAC_BYTES	16
#define TIME_BYTES	6

/* Where the parts lie. */
#define AT_LIST		1
#define AT_SUBJECT	4
#define AT_TIME		20
#define AT_DETAIL	26

static void
mac(const struct crypto_hmac *key, const unsigned char link[SIGNED_BYTES],
    unsigned char out[CRYPTO_DIGEST_BYTES])
{
	/* Security: a key that were ever shared would still sign two things
	 * that can't be taken for each other. */
	struct span pieces[] = { SPAN("consent-milter link v1"),
	    span_of(link, SIGNED_BYTES) };

	crypto_hmac_sum(key, pieces, 2, out);
}

void
link_add(struct buf *out, const struct crypto_hmac *key,
    const struct link *link)
{
	unsigned char bytes[LINK_BYTES], sum[CRYPTO_DIGEST_BYTES];
	uint64_t ms = (uint64_t)link->at_ms;

	bytes[0] = (unsigned char)(LINK_VERSION << 4 | link->purpose);
	memcpy(bytes + AT_LIST, link->list, TOKEN_LIST_BYTES);
	memcpy(bytes + AT_SUBJECT, link->subject.id, SUBJECT_BYTES);
	for (int i = TIME_BYTES; i > 0; i--, ms >>= 8)
		bytes[AT_TIME + i - 1] = (unsigned char)ms;
	memcpy(bytes + AT_DETAIL, link->detail, LINK_DETAIL_BYTES);
	mac(key, bytes, sum);
	memcpy(bytes + SIGNED_BYTES, sum, MAC_BYTES);
	base64url_format(out, bytes, sizeof(bytes));
}

int
link_check(const struct crypto_hmac *key, struct span text,
    enum link_purpose purpose, int64_t now_ms, int64_t valid_ms,
    struct link *out)
{
	unsigned char bytes[LINK_BYTES], sum[CRYPTO_DIGEST_BYTES];
	uint64_t ms = 0;

	if (text.len != LINK_LEN ||
	    base64url_parse(text, bytes, sizeof(bytes)) == -1)
		return -1;
	mac(key, bytes, sum);
	if (!crypto_equal(sum, bytes + SIGNED_BYTES, MAC_BYTES) ||
	    bytes[0] != (LINK_VERSION << 4 | purpose))
		return -1;
	for (int i = 0; i < TIME_BYTES; i++)
		ms = ms << 8 | bytes[AT_TIME + i];
	out->purpose = purpose;
	memcpy(out->list, bytes + AT_LIST, TOKEN_LIST_BYTES);
	memcpy(out->subject.id, bytes + AT_SUBJECT, SUBJECT_BYTES);
	out->at_ms = (int64_t)ms;
	memcpy(out->detail, bytes + AT_DETAIL, LINK_DETAIL_BYTES);
	return out->at_ms <= now_ms + DECISION_CLOCK_SKEW_MS &&
	    out->at_ms >= now_ms - valid_ms;
}
