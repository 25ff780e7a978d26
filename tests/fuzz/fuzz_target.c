/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A target never gives more than the room there is, nor a token out of nothing;
 * and what comes out of a hostile one is no token that verifies.
 */
#include <stdint.h>
#include <stdlib.h>

#include "consent/token.h"
#include "webd/target.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned char secret[CRYPTO_KEY_BYTES] = { 1 };
	struct token_keys keys = { .key = { crypto_hmac_new(secret) } };
	struct buf out = BUF_INIT(64);
	struct token token;
	struct fail unused;

	if (target_token(target_path(span_of(data, size)), SPAN("/u/"),
	    &out)) {
		if (out.len == 0 || out.len > 64 || size < 4)
			abort();
		if (token_check(&keys, buf_span(&out), &token, &unused) == 0)
			abort();
	}
	(void)target_is(span_of(data, size), SPAN("/healthz"));
	buf_fini(&out);
	crypto_hmac_free(&keys.key[0]);
	return 0;
}
