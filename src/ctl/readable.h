/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * How hard a text is to read: words per sentence, and LIX (Bjoernsson, 1968),
 * which counts words of more than six letters and needs to know nothing of the
 * language.  Pure; thread-safe.
 */
#ifndef CTL_READABLE_H
#define CTL_READABLE_H

#include <stddef.h>

#include "base/span.h"

struct readable {
	size_t	 words, long_words;
	size_t	 sentences;	/* ended by . ! ? before a blank, by an empty
				   line, or by the end */
};

/* Measures UTF-8; what is none counts as letters. */
struct readable readable_measure(struct span text);
/* Rounded down; 0 for no words. */
unsigned readable_words_per_sentence(const struct readable *readable);
/* Up to 30 is very easy, 40 easy, 50 medium, 60 hard. */
unsigned readable_lix(const struct readable *readable);

#endif
