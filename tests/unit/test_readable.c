/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/readable.h"

#include "check.h"

static void
test_measure(void)
{
	static const struct {
		const char *text;
		size_t words, long_words, sentences;
		unsigned per_sentence, lix;
	} cases[] = {
		{ "", 0, 0, 0, 0, 0 },
		{ " \n\n. ! ?", 0, 0, 0, 0, 0 },
		{ "One", 1, 0, 1, 1, 1 },
		{ "We write to you. You can stop it! Always?", 9, 0, 3, 3, 3 },
		/* A line that goes on, and an empty one. */
		{ "We write\nto you\n\nNews", 5, 0, 2, 2, 2 },
		{ "We write\r\nto you\r\n\r\nNews\r\n", 5, 0, 2, 2, 2 },
		/* No ends: a version, a domain, an ellipsis inside. */
		{ "See news.example.com v1.2 now", 7, 1, 1, 7, 21 },
		/* Seven letters, of which two are two bytes each. */
		{ "\xc3\xa4rliga \xc3\xa5" "terkalla", 2, 1, 1, 2, 52 },
		{ "l\xe2\x80\x99" "adresse d'or", 2, 1, 1, 2, 52 },
		{ "\xc2\xab" "Oui\xc2\xbb\xc2\xa0! Non.", 2, 0, 2, 1, 1 },
		/* What is no UTF-8 harms nobody. */
		{ "\xff\xfe\xc3", 1, 0, 1, 1, 1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct readable r = readable_measure(span_str(cases[i].text));

		check_case((long)i);
		CHECK_INT(r.words, cases[i].words);
		CHECK_INT(r.long_words, cases[i].long_words);
		CHECK_INT(r.sentences, cases[i].sentences);
		CHECK_INT(readable_words_per_sentence(&r),
		    cases[i].per_sentence);
		CHECK_INT(readable_lix(&r), cases[i].lix);
	}
}

static const struct check_test tests[] = {
	{ "measure", test_measure },
};

CHECK_MAIN("readable", tests)
