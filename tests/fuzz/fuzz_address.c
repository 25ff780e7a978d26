/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Whatever a client sends as a path: what is accepted has one form, which
 * reads as itself, and what is shown of it is printable ASCII.
 */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "mail/address.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(int ok)
{
	if (!ok)
		abort();
}

static void
read_again(const struct address *a)
{
	struct buf quoted = BUF_INIT(2048);
	struct address b;
	struct fail fail;

	buf_add_char(&quoted, '"');
	for (size_t i = 0; i < a->local_len; i++) {
		if (a->text[i] == '"' || a->text[i] == '\\')
			buf_add_char(&quoted, '\\');
		buf_add_char(&quoted, a->text[i]);
	}
	buf_add_str(&quoted, "\"@");
	buf_add_span(&quoted, address_domain(a));
	/* Quotes and foldings can pass the 64 octets of a local part. */
	if (quoted.len - address_domain(a).len - 1 <= ADDRESS_LOCAL_MAX) {
		must(address_parse(buf_span(&quoted), &b, &fail) == 0);
		must(strcmp(a->text, b.text) == 0);
	}
	buf_fini(&quoted);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = BUF_INIT(1024 * 1024);
	struct address a;
	struct fail fail;

	if (address_parse(span_of(data, size), &a, &fail) == 0) {
		must(a.len == strlen(a.text) && a.local_len > 0);
		must(utf8_is_valid(address_span(&a)));
		must(span_is_ascii(address_domain(&a)));
		read_again(&a);
	}
	address_add_masked(&out, span_of(data, size));
	address_add_printable(&out, span_of(data, size), 200);
	for (size_t i = 0; i < out.len; i++)
		must(ascii_isprint((unsigned char)out.data[i]));
	must(out.len <= 200 + 300);
	buf_fini(&out);
	return 0;
}
