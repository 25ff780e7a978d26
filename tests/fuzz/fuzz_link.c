/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The text of a link that came by mail.  What is accepted has one spelling, and
 * says what was put in.
 */
#include <stdint.h>
#include <stdlib.h>

#include "consent/link.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned char key_bytes[CRYPTO_KEY_BYTES] = "link";
	struct crypto_hmac *key = crypto_hmac_new(key_bytes);
	struct span text = span_of(data, size);
	struct link link;

	for (int purpose = LINK_CONFIRM; purpose <= LINK_ACCESS; purpose++)
		if (link_check(key, text, (enum link_purpose)purpose,
		    INT64_C(1795000000000), INT64_C(86400000), &link) != -1) {
			struct buf again = BUF_INIT(LINK_LEN);

			link_add(&again, key, &link);
			if (!span_is(buf_span(&again), text))
				abort();
			buf_fini(&again);
		}
	crypto_hmac_free(&key);
	return 0;
}
