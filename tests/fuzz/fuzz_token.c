/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The text of a token, as a URL or a local part brings it.  What is accepted
 * has one spelling, and no text of the corpus but those made with the keys
 * below is accepted.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/codec.h"
#include "consent/token.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_spelling(struct span text)
{
	unsigned char bytes[TOKEN_BYTES];
	struct buf again = BUF_INIT(TOKEN_MAILTO_LEN);
	bool url = text.len == TOKEN_URL_LEN;

	if ((url ? base64url_parse(text, bytes, sizeof(bytes)) :
	    base32_parse(text, bytes, sizeof(bytes))) == -1)
		abort();
	if (url)
		token_format_url(&again, bytes);
	else
		token_format_mailto(&again, bytes);
	if (url ? !span_is(buf_span(&again), text) :
	    !span_is_nocase(buf_span(&again), text))
		abort();
	buf_fini(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned char key_bytes[CRYPTO_KEY_BYTES] = "fuzz";
	struct token_keys keys = { { NULL } };
	struct span text = span_of(data, size);
	struct token token;
	struct fail fail;

	keys.key[0] = crypto_hmac_new(key_bytes);
	keys.key[5] = crypto_hmac_new(key_bytes);
	if (token_check(&keys, text, &token, &fail) == 0) {
		if (token.key_id != 0 && token.key_id != 5)
			abort();
		check_spelling(text);
	}
	crypto_hmac_free(&keys.key[0]);
	crypto_hmac_free(&keys.key[5]);
	return 0;
}
