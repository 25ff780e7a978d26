/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A file of words, and a header that chooses among languages: whatever comes,
 * one of those that are there is chosen.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "webd/words.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct words two[2] = { { .tag = "en" }, { .tag = "de" } }, words;
	struct languages languages = { two, 2 };
	const struct words *chosen;
	struct fail unused;
	char *header;

	if (words_parse(span_of(data, size), NULL, &words, &unused) == 0) {
		for (size_t i = 0; i < WORDS; i++)
			if (words.text[i][0] == '\0')
				abort();
		words_fini(&words);
	}
	header = xmemdupz(data, size);
	chosen = words_choose(&languages, header);
	if (chosen != &two[0] && chosen != &two[1])
		abort();
	free(header);
	return 0;
}
