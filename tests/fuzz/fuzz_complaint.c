/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A report out of which no token comes that our key did not make.
 */
#include <stdint.h>
#include <stdlib.h>

#include "ctl/complaint.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned char secret[CRYPTO_KEY_BYTES] = { 1 };
	struct token_keys keys = { .key = { crypto_hmac_new(secret) } };
	struct mailto mailto = { .count = 0 };

	(void)complaint_is_report(span_of(data, size));
	if (complaint_take(&mailto, &keys, SPAN("mx.a"), span_of(data,
	    size)) == NULL || mailto.count != 0)
		abort();
	crypto_hmac_free(&keys.key[0]);
	return 0;
}
