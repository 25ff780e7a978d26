/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/words.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "check.h"

static void
source_path(struct buf *out, const char *file)
{
	const char *source = getenv("srcdir");

	buf_addf(out, "%s/conf/languages/%s", source != NULL ? source : ".",
	    file);
}

/* All languages that we ship are whole. */
static void
test_shipped(void)
{
	static const char *const tags[] = { "en", "de", "es", "fr", "it",
	    "sv" };
	struct buf path = BUF_INIT(4096);
	struct languages languages;
	struct fail fail = { .text = "" };

	source_path(&path, "");
	CHECK_INT(words_load(buf_get(&path), &languages, &fail), 0);
	CHECK_STR(fail.text, "");
	CHECK_INT(languages.count, 6);
	for (size_t i = 0; i < 6; i++)
		CHECK_STR(words_choose(&languages, tags[i])->tag, tags[i]);
	CHECK_STR(words_choose(&languages, "sv")->text[WORD_LANGUAGE],
	    "Svenska");
	words_free(&languages);
	CHECK_INT(words_load("/nonexistent", &languages, &fail), 0);
	CHECK_INT(languages.count, 1);
	CHECK_STR(languages.all[0].text[WORD_ASK_BUTTON], "Unsubscribe");
	words_free(&languages);
	buf_fini(&path);
}

static void
test_parse(void)
{
	static const struct {
		const char *from, *to;	/* changed in the English file */
		const char *error;
	} cases[] = {
		{ "language =", "  language  =  ", NULL },
		{ "\nask_title", "\n\n# x\n\nask_title", NULL },
		{ "newsletter =", "newsleter =", "line 5: there is no key "
		    "\"newsleter\", did you mean \"newsletter\"?" },
		{ "newsletter =", "newspaper of the day =", "line 5: there is "
		    "no key \"newspaper of the day\"" },
		{ "ask_button = Unsubscribe", "ask_button = \xc2\xa0"
		    "\xe2\x80\x8b", "line 8: the text has to be UTF-8, 1 to "
		    "1000 bytes, without control characters" },
		{ "newsletter = Newsletter", "", "the key \"newsletter\" is "
		    "missing" },
		{ "newsletter =", "language =", "line 5: \"language\" is there "
		    "twice" },
		{ "newsletter =", "newsletter", "line 5: wants \"key = "
		    "text\"" },
		{ "= Newsletter", "=", "line 5: the text has to be UTF-8, 1 to "
		    "1000 bytes, without control characters" },
		{ "= Newsletter", "= \xff", "line 5: the text has to be UTF-8, "
		    "1 to 1000 bytes, without control characters" },
		{ "= Newsletter", "= a\x1b[b", "line 5: the text has to be "
		    "UTF-8, 1 to 1000 bytes, without control characters" },
	};
	struct buf path = BUF_INIT(4096), file = BUF_INIT(WORDS_FILE_MAX);
	struct fail fail;

	source_path(&path, "en.lang");
	CHECK_INT(file_read(buf_get(&path), &file, &fail), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *at = strstr(buf_get(&file), cases[i].from);
		struct buf text = BUF_INIT(2 * WORDS_FILE_MAX);
		struct words words;
		int rc;

		check_case((long)i);
		CHECK(at != NULL);
		if (at == NULL)
			continue;
		buf_add(&text, buf_get(&file), (size_t)(at - buf_get(&file)));
		buf_add_str(&text, cases[i].to);
		buf_add_str(&text, at + strlen(cases[i].from));
		rc = words_parse(buf_span(&text), NULL, &words, &fail);
		CHECK_INT(rc, cases[i].error == NULL ? 0 : -1);
		if (rc == 0)
			words_fini(&words);
		else
			CHECK_STR(fail.text, cases[i].error);
		buf_fini(&text);
	}
	buf_fini(&path);
	buf_fini(&file);
}

/* A file of an older version: what it lacks is English, and noted. */
static void
test_instead(void)
{
	struct buf path = BUF_INIT(4096), file = BUF_INIT(WORDS_FILE_MAX);
	struct words english, words;
	struct fail fail;

	source_path(&path, "en.lang");
	CHECK_INT(file_read(buf_get(&path), &file, &fail), 0);
	CHECK_INT(words_parse(buf_span(&file), NULL, &english, &fail), 0);
	CHECK(english.missing == NULL);
	CHECK_INT(words_parse(SPAN("newsletter = Nyhetsbrev\n"), &english,
	    &words, &fail), 0);
	CHECK_STR(words.text[WORD_NEWSLETTER], "Nyhetsbrev");
	CHECK_STR(words.text[WORD_ASK_BUTTON], "Unsubscribe");
	CHECK(words.missing != NULL);
	words_fini(&words);
	CHECK_INT(words_parse(SPAN("newsleter = x\n"), &english, &words,
	    &fail), -1);
	words_fini(&english);
	buf_fini(&path);
	buf_fini(&file);
}

/* Words of a list, over those of its language. */
static void
test_own(void)
{
	static const struct {
		const char *text;
		const char *error;	/* NULL: it is good */
	} cases[] = {
		{ "", NULL },
		{ "# only a title\nask_title = Leave {list}, {{sorry}\n", NULL },
		{ "ask_button = Stay\n", "line 1: \"ask_button\" is the same "
		    "for all lists" },
		{ "\nrights_text = none\n", "line 2: \"rights_text\" is the "
		    "same for all lists" },
		{ "leave_text = none\n", "line 1: \"leave_text\" is the same "
		    "for all lists" },
		{ "ask_tilte = x\n", "line 1: there is no key \"ask_tilte\", "
		    "did you mean \"ask_title\"?" },
		{ "ask_title = {name}\n", "line 1: {name} stands for nothing "
		    "here, known are {list}, {controller}, and {{ for a "
		    "brace" },
		{ "ask_title = {controller}\n", "line 1: {controller} is not "
		    "known: set controller.name, or leave it out" },
		{ "ask_title = x\nask_title = y\n", "line 2: \"ask_title\" is "
		    "there twice" },
		{ "ask_title = \n", "line 1: the text has to be UTF-8, 1 to "
		    "1000 bytes, without control characters" },
	};
	const struct template_place places[WORDS_PLACES] = {
	    { "list", SPAN("<b>{controller}</b>") },
	    { "controller", SPAN("") } };
	struct words english, own;
	struct languages languages;
	char long_text[1100];
	struct fail fail;

	CHECK_INT(words_load("/nonexistent", &languages, &fail), 0);
	english = languages.all[0];
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc = words_parse_own(span_str(cases[i].text), &english,
		    places, &own, &fail);

		check_case((long)i);
		CHECK_INT(rc, cases[i].error == NULL ? 0 : -1);
		if (rc == -1) {
			CHECK_STR(fail.text, cases[i].error != NULL ?
			    cases[i].error : "");
			continue;
		}
		CHECK_STR(own.tag, "en");
		CHECK_STR(own.text[WORD_ASK_TITLE], i == 0 ? "Unsubscribe" :
		    "Leave <b>{controller}</b>, {sorry}");
		CHECK_STR(own.text[WORD_ASK_BUTTON], "Unsubscribe");
		words_fini(&own);
	}
	check_case(-1);
	/* Bounded as it is shown. */
	(void)snprintf(long_text, sizeof(long_text), "ask_text = {list}%0990d",
	    1);
	CHECK_INT(words_parse_own(span_str(long_text), &english, places, &own,
	    &fail), -1);
	CHECK_STR(fail.text, "line 1: the text is longer than 1000 bytes once "
	    "it is filled in");
	(void)snprintf(long_text, sizeof(long_text), "mail_confirm_subject = "
	    "%0251d", 1);
	CHECK_INT(words_parse_own(span_str(long_text), &english, places, &own,
	    &fail), -1);
	CHECK(strstr(fail.text, "1 to 250 bytes") != NULL);
	words_free(&languages);
}

static void
test_choose(void)
{
	struct words all[] = { { .tag = "en" }, { .tag = "de" },
	    { .tag = "pt-BR" }, { .tag = "sv" } };
	const struct languages languages = { all, 4 };
	static const struct {
		const char *header, *tag;
	} cases[] = {
		{ NULL, "en" }, { "", "en" }, { "de", "de" }, { "DE-ch", "de" },
		{ "de-CH-1996,en;q=0.5", "de" }, { "pt-BR", "pt-BR" },
		{ "pt", "en" }, { "pt-PT, sv;q=0.1", "sv" },
		{ "xx, yy;q=0.9", "en" }, { "*", "en" },
		{ "en;q=0.4, sv;q=0.8, de;q=0.7", "sv" },
		{ "sv;q=0.8,de;q=0.8", "sv" }, { "de;q=0, sv;q=0.1", "sv" },
		{ "de;q=0", "en" }, { "de; q=0.5", "de" },
		{ "de;q=1.000", "de" }, { "de;q=2, sv;q=0.1", "sv" },
		{ "de;q=x, sv", "sv" }, { "de;q=, sv;q=0.1", "sv" },
		{ "de;q=0.9999, sv;q=0.1", "sv" },
		{ " , ;,,;q=1, sv ", "sv" }, { "-", "en" }, { "--de", "en" },
		{ "../de", "en" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		CHECK_STR(words_choose(&languages, cases[i].header)->tag,
		    cases[i].tag);
	}
}

static const struct check_test tests[] = {
	{ "shipped", test_shipped },
	{ "parse", test_parse },
	{ "instead", test_instead },
	{ "own", test_own },
	{ "choose", test_choose },
};

CHECK_MAIN("words", tests)
