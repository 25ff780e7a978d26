/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What a program sends to sign somebody up.  What is taken has an address and a
 * list, and no method that can't count.
 */
#include <stdint.h>
#include <stdlib.h>

#include "webd/program.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct program_wish wish;
	struct fail unused;

	if (program_parse(span_of(data, size), &wish, &unused) == 0 &&
	    (wish.address[0] == '\0' || wish.list[0] == '\0' ||
	    wish.evidence.basis[0] != '\0' ||
	    !evidence_method_counts(span_str(wish.evidence.method))))
		abort();
	return 0;
}
