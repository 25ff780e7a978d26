/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The two files of a webhook: how far it was told (written back the same, and
 * one text for one cursor), and its secrets.
 */
#include <stdint.h>
#include <stdlib.h>

#include "webd/webhook_body.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of(data, size);
	struct webhook_cursor cursor;
	struct webhook_secrets secrets;
	struct buf out = BUF_INIT(1000);
	struct fail fail = { .text = "" };

	if (webhook_cursor_parse(text, &cursor) == 0) {
		webhook_cursor_format(&out, &cursor);
		require(span_has_prefix(buf_span(&out), text) &&
		    out.len - size <= 1);
		buf_clear(&out);
	}
	if (webhook_secrets_parse(text, &secrets, &fail) == 0) {
		require(secrets.count >= 1 &&
		    secrets.count <= WEBHOOK_SECRETS_MAX);
		webhook_secrets_sign(&out, &secrets, text, 1, text);
		require(!out.overflow && out.len == secrets.count * 48 - 1);
		webhook_secrets_free(&secrets);
	} else
		require(fail.text[0] != '\0');
	buf_fini(&out);
	return 0;
}
