/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/readable.h"

#include <stdbool.h>

#include "base/utf8.h"

#define LONG_WORD	6	/* letters; more are long */

/* Part of a word?  Of what is not ASCII, all but blanks and punctuation
 * (Latin-1's, and U+2000 to U+206F). */
static bool
is_letter(int32_t c)
{
	if (c >= 0 && c < 0x80)
		return ascii_isalnum((unsigned char)c);
	if (c >= 0xa0 && c <= 0xbf)
		return c == 0xaa || c == 0xb5 || c == 0xba;
	return c < 0x2000 || c > 0x206f;
}

static bool
is_apostrophe(int32_t c)
{
	return c == '\'' || c == '-' || c == 0x2019;
}

struct readable
readable_measure(struct span text)
{
	struct readable r = { 0, 0, 0 };
	size_t letters = 0, in_sentence = 0, line = 0;
	bool may_end = false;

	while (text.len > 0) {
		size_t n;
		int32_t c = utf8_decode(text, &n);
		bool blank = c == ' ' || c == '\n' || c == '\r' || c == '\t';
		bool empty_line = c == '\n' && line == 0;

		text = span_from(text, n);
		if (is_letter(c)) {
			letters++;
			may_end = false;
		} else if (!(is_apostrophe(c) && letters > 0)) {
			r.words += letters > 0;
			in_sentence += letters > 0;
			r.long_words += letters > LONG_WORD;
			letters = 0;
		}
		if (in_sentence > 0 && (empty_line || (may_end && blank))) {
			r.sentences++;
			in_sentence = 0;
		}
		if (c == '.' || c == '!' || c == '?')
			may_end = true;
		line = c == '\n' ? 0 : line + !blank;
	}
	r.words += letters > 0;
	r.long_words += letters > LONG_WORD;
	r.sentences += in_sentence > 0 || letters > 0;
	return r;
}

unsigned
readable_words_per_sentence(const struct readable *r)
{
	return r->sentences == 0 ? 0 : (unsigned)(r->words / r->sentences);
}

unsigned
readable_lix(const struct readable *r)
{
	return r->words == 0 ? 0 : (unsigned)(r->words / r->sentences +
	    r->long_words * 100 / r->words);
}
