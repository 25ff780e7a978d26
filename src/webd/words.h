/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The words of the pages, a file TAG.lang for each language, which an
 * administrator can add: "key = text" a line, '#' for comments, UTF-8.  Pure
 * but for words_load(); what is loaded is immutable and may be shared.
 */
#ifndef WEBD_WORDS_H
#define WEBD_WORDS_H

#include "base/buf.h"
#include "base/fail.h"
#include "base/span.h"

#define WORDS_TAG_MAX	35		/* RFC 5646 section 4.4.1 */
#define WORDS_FILE_MAX	((size_t)64 * 1024)
#define WORDS_LANGUAGES_MAX	100

enum word {
	WORD_LANGUAGE,		/* its own name */
	WORD_NEWSLETTER,
	WORD_ASK_TITLE, WORD_ASK_TEXT, WORD_ASK_BUTTON,
	WORD_ALL_BUTTON,
	WORD_DONE_TITLE, WORD_DONE_TEXT,
	WORD_ALL_TITLE, WORD_ALL_TEXT,
	WORD_SEVERAL_TITLE, WORD_SEVERAL_TEXT,
	WORD_UNKNOWN_TITLE, WORD_UNKNOWN_TEXT,
	WORD_LATER_TITLE, WORD_LATER_TEXT,
	WORD_RESPONSIBLE
};
#define WORDS	17

struct words {
	char	tag[WORDS_TAG_MAX + 1];
	char	*text[WORDS];		/* owned; never NULL */
};

struct languages {
	struct words	*all;		/* English, which is built in, first */
	size_t		 count;
};

/* Reads the content of a file.  Every key has to be there once.  Returns 0, or
 * -1 with FAIL_SETUP that names the line or the key, and nothing to free. */
int	words_parse(struct span text, struct words *out, struct fail *fail)
	    __attribute__((warn_unused_result));
void	words_fini(struct words *words);

/* Reads all files TAG.lang of a directory; one that does not exist has none.
 * Returns 0, or -1 with FAIL_SETUP. */
int	words_load(const char *directory, struct languages *out,
	    struct fail *fail) __attribute__((warn_unused_result));
void	words_free(struct languages *languages);

/*
 * The language for the value of Accept-Language (RFC 9110 section 12.5.4), NULL
 * or hostile for all we know: of what is wanted most, the first that we have,
 * by lookup (RFC 4647 section 3.4: de-CH finds de); otherwise English.
 */
const struct words *words_choose(const struct languages *languages,
	    const char *accept_language);

#endif
