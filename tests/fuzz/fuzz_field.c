/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Header field values.
 */
#include <stdlib.h>

#include "mail/field.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(int ok)
{
	if (!ok)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size), word;
	struct buf out = BUF_INIT(4 * FIELD_VALUE_MAX);

	field_unfold(&out, in);
	must(!out.overflow && out.len <= size);
	must(span_index(buf_span(&out), '\n') == -1 &&
	    span_index(buf_span(&out), '\r') == -1);
	word = field_keyword(in);
	must(word.len <= size);
	(void)field_is_media_type(in, SPAN("multipart/report"));
	(void)field_dkim_signs(in, SPAN("List-Unsubscribe"));
	buf_clear(&out);
	field_add_phrase(&out, span_head(in, 4096));
	for (size_t i = 0; i < out.len; i++)
		must(ascii_isprint((unsigned char)out.data[i]));
	buf_fini(&out);
	return 0;
}
