/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "consent/subject.h"

#include <string.h>

#include "base/codec.h"

void
subject_of(const struct crypto_hmac *pseudonym_key,
    const struct address *address, struct subject *out)
{
	/* The NUL of the literal separates: no address holds one. */
	static const char context[] = "consent-milter subject v1";
	struct span pieces[] = {
		span_of(context, sizeof(context)), address_span(address)
	};
	unsigned char sum[CRYPTO_DIGEST_BYTES];

	crypto_hmac_sum(pseudonym_key, pieces, 2, sum);
	memcpy(out->id, sum, SUBJECT_BYTES);
}

void
subject_format(struct buf *out, const struct subject *subject)
{
	hex_format(out, subject->id, SUBJECT_BYTES);
}

int
subject_parse(struct span text, struct subject *out)
{
	return hex_parse(text, out->id, SUBJECT_BYTES);
}

bool
subject_is(const struct subject *a, const struct subject *b)
{
	return memcmp(a->id, b->id, SUBJECT_BYTES) == 0;
}
