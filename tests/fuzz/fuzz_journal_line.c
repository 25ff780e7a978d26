/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A line of a journal that somebody may have edited: what is read as an entry
 * lies inside the line, and what was not blanked is written the same again.
 */
#include <stdlib.h>

#include "journal/private.h"

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
	struct journal_entry e;
	struct fail fail;
	struct buf line = BUF_INIT(2 * JOURNAL_LINE_MAX);
	unsigned char chain[JOURNAL_CHAIN_BYTES] = { 0 };
	struct journal_entry again;
	struct crypto_hash *hash;

	if (journal_line_parse(span_of(data, size), &e, &fail) == -1)
		return 0;
	must(e.body.len == 0 || (e.body.p >= data &&
	    e.body.p + e.body.len <= data + size));
	must(journal_type_is_valid(e.type));
	hash = crypto_hash_new();
	if (!e.blanked) {
		journal_line_format(&line, hash, e.seq, e.type, e.body, e.salt,
		    chain);
		must(journal_line_parse(span_head(buf_span(&line),
		    line.len - 1), &again, &fail) == 0);
		must(again.seq == e.seq && span_is(again.body, e.body));
	}
	crypto_hash_free(&hash);
	buf_fini(&line);
	return 0;
}
