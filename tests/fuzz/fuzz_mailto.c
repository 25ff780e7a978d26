/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A header section out of which no token comes that our key did not make.
 */
#include <stdint.h>
#include <stdlib.h>

#include "ctl/mailto.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned char secret[CRYPTO_KEY_BYTES] = { 1 };
	struct token_keys keys = { .key = { crypto_hmac_new(secret) } };
	struct mailto mailto = { .count = 0 };

	(void)mailto_automatic(span_of(data, size));
	mailto_take(&mailto, &keys, span_of(data, size));
	mailto_take_header(&mailto, &keys, span_of(data, size));
	if (mailto.count != 0)
		abort();
	crypto_hmac_free(&keys.key[0]);
	return 0;
}
