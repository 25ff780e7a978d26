/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The mails, in each language that we ship: that they are well formed.  That
 * they say what they should, a mail program's parser tells in the integration
 * tests.
 */
#include "webd/letter.h"

#include <stdlib.h>
#include <string.h>

#include "check.h"

static char from[] = "news@news.example.com", name[] = "Example AB";
static char odd_name[] = "Ex\xc3\xa4mple, \"AB\" & more \xe2\x82\xac";
static char url[] = "https://news.example.com/my/";
static char list_name[] = "Weekly <news>", purpose[] = ".dot\xc3\xa9";

static const char notice[] = "First line.\n.second line begins with a dot\n"
    "trailing blank \nequals = sign, \xc3\xbc\n\n"
    "a very long line without any end in sight, which goes on and on and on "
    "until it is long enough to need a soft break, and a bit more than that\n";

static void
load(struct languages *languages)
{
	const char *source = getenv("srcdir");
	struct buf path = BUF_INIT(4096);
	struct fail fail = { .text = "" };

	buf_addf(&path, "%s/conf/languages", source != NULL ? source : ".");
	CHECK_INT(words_load(buf_get(&path), languages, &fail), 0);
	CHECK_STR(fail.text, "");
	buf_fini(&path);
}

/* Printable ASCII, CRLF alone ends lines, none is longer than 78, and none is
 * a lone dot. */
static void
check_lines(struct span message)
{
	size_t column = 0;

	for (size_t i = 0; i < message.len; i++) {
		unsigned char c = message.p[i];

		if (c == '\r') {
			CHECK(i + 1 < message.len && message.p[i + 1] == '\n');
			continue;
		}
		if (c == '\n') {
			CHECK(i > 0 && message.p[i - 1] == '\r');
			CHECK(column <= 78);
			column = 0;
			continue;
		}
		CHECK(ascii_isprint(c));
		CHECK(column > 0 || c != '.');
		column++;
	}
	CHECK_INT(column, 0);
}

static void
check_header(const char *text)
{
	static const char *const once[] = { "From:", "To:", "Subject:",
	    "Date:", "Message-ID:", "Auto-Submitted: auto-generated\r\n",
	    "MIME-Version: 1.0\r\n", "Content-Type: text/plain; "
	    "charset=utf-8\r\n" };
	const char *end = strstr(text, "\r\n\r\n");

	CHECK(end != NULL);
	for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++) {
		struct buf line = BUF_INIT(200);
		const char *at;

		buf_addf(&line, "\r\n%s", once[i]);
		check_case((long)i);
		at = strncmp(text, once[i], strlen(once[i])) == 0 ? text :
		    strstr(text, buf_get(&line));
		CHECK(at != NULL && at < end);
		if (at != NULL)
			at = strstr(at + 2, buf_get(&line));
		CHECK(at == NULL || at > end);
		buf_fini(&line);
	}
	check_case(-1);
	CHECK(strstr(text, "Precedence") == NULL);
	CHECK(strstr(text, "List-") == NULL);
}

static void
test_every_language(void)
{
	struct settings settings = { .web.url = url, .mail.from = from,
	    .controller.name = name, .controller.email = from };
	const struct list list = { .name = list_name, .purpose = purpose };
	struct languages languages;

	load(&languages);
	for (size_t i = 0; i < 2 * languages.count; i++) {
		const struct letter letter = { .settings = &settings,
		    .words = &languages.all[i / 2],
		    .recipient = "ann@example.org",
		    .link = "https://news.example.com/my/data/x",
		    .now_ms = INT64_C(1795000000000) };
		struct buf confirm = BUF_INIT(LETTER_MAX);
		struct buf data = BUF_INIT(LETTER_MAX);

		settings.controller.name = i % 2 == 0 ? name : odd_name;
		letter_confirm(&confirm, &letter, &list,
		    INT64_C(1795600000000), span_str(notice));
		letter_data(&data, &letter);
		CHECK(!confirm.overflow && !data.overflow);
		check_lines(buf_span(&confirm));
		check_lines(buf_span(&data));
		check_header(buf_get(&confirm));
		check_header(buf_get(&data));
		CHECK(strstr(buf_get(&confirm), "\r\nDate: Wed, 18 Nov 2026 "
		    "11:06:40 +0000\r\n") != NULL);
		buf_fini(&confirm);
		buf_fini(&data);
	}
	words_free(&languages);
}

static const struct check_test tests[] = {
	{ "every language", test_every_language },
};

CHECK_MAIN("letter", tests)
