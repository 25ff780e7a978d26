/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A file of words, of all or of a list, and a header that chooses among
 * languages: whatever comes, one of those that are there is chosen.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "webd/words.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All words are there, none is empty or long, and buttons stay. */
static void
parse_own(struct span text)
{
	static char word[] = "word";
	const struct template_place places[WORDS_PLACES] = {
	    { "list", SPAN("{list}\xc3\xbc") }, { "controller", SPAN("C") } };
	struct words instead = { .tag = "en" }, own;
	struct fail unused;

	for (size_t i = 0; i < WORDS; i++)
		instead.text[i] = word;
	if (words_parse_own(text, &instead, places, &own, &unused) == -1)
		return;
	for (size_t i = 0; i < WORDS; i++)
		if (own.text[i][0] == '\0' || strlen(own.text[i]) > 1000)
			abort();
	if (strcmp(own.text[WORD_ASK_BUTTON], word) != 0 ||
	    strcmp(own.text[WORD_RIGHTS_TEXT], word) != 0)
		abort();
	words_fini(&own);
}

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
	parse_own(span_of(data, size));
	header = xmemdupz(data, size);
	chosen = words_choose(&languages, header);
	if (chosen != &two[0] && chosen != &two[1])
		abort();
	free(header);
	return 0;
}
