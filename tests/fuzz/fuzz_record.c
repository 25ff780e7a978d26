/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What Redis answers, in the three forms that we keep there.  A text that is
 * read is written again as it was; and of two texts, separated by a line feed,
 * one is the later evidence.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "consent/record.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must_be(const struct buf *got, struct span want)
{
	if (got->overflow || !span_is(buf_span(got), want))
		abort();
}

static void
try_times(struct span text)
{
	struct record record = { 0 };
	struct buf again = BUF_INIT(400);
	struct fail fail;

	if (record_list_parse(text, &record, &fail) == 0) {
		record_list_format(&again, &record);
		must_be(&again, text);
	}
	buf_clear(&again);
	if (record_person_parse(text, &record, &fail) == 0) {
		record_person_format(&again, &record);
		must_be(&again, text);
	}
	buf_fini(&again);
}

/* Evidence can be spelt in several ways, but reads the same ever after. */
static void
try_evidence(struct span text)
{
	struct evidence evidence, back;
	struct buf again = BUF_INIT(8192);
	struct fail fail;
	int64_t ms, back_ms;

	if (evidence_field_parse(text, &ms, &evidence, &fail) == 0) {
		evidence_field_format(&again, ms, &evidence);
		if (again.overflow || evidence_field_parse(buf_span(&again),
		    &back_ms, &back, &fail) == -1 || back_ms != ms)
			abort();
		for (unsigned i = 0; i < EVIDENCE_FIELDS; i++)
			if (strcmp(evidence_get(&evidence, i),
			    evidence_get(&back, i)) != 0)
				abort();
	}
	buf_fini(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of(data, size), a, b;
	ptrdiff_t end = span_index(text, '\n');

	try_times(text);
	try_evidence(text);
	if (end == -1)
		return 0;
	a = span_head(text, (size_t)end);
	b = span_from(text, (size_t)end + 1);
	/* Exactly one wins, unless they are the same. */
	if (evidence_field_wins(a, b) == evidence_field_wins(b, a) &&
	    !span_is(a, b))
		abort();
	return 0;
}
