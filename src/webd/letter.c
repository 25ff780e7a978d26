/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/letter.h"

#include <string.h>

#include "base/codec.h"
#include "base/date.h"
#include "mail/address.h"
#include "mail/field.h"

#define LINE_MAX_QP	76	/* RFC 2045 section 6.7, "=" included */

/* -- header -- */

/* Folds text, whose words are separated by one blank, below 78 columns. */
static void
add_folded(struct buf *out, size_t column, struct span text)
{
	while (text.len > 0) {
		ptrdiff_t blank = span_index(text, ' ');
		struct span word = span_head(text, blank == -1 ? text.len :
		    (size_t)blank);

		if (column + 1 + word.len > 76) {
			buf_add_str(out, "\r\n");
			column = 0;
		}
		buf_add_char(out, ' ');
		buf_add_span(out, word);
		column += 1 + word.len;
		text = span_from(text, word.len + 1);
	}
}

static void
add_phrase_field(struct buf *out, const char *name, struct span text)
{
	struct buf phrase = BUF_INIT(4096);

	field_add_phrase(&phrase, text);
	buf_add_str(out, name);
	add_folded(out, strlen(name), buf_span(&phrase));
	buf_fini(&phrase);
}

/* A subject is no phrase: printable ASCII stays as it is (RFC 5322 3.6.5). */
static void
add_subject(struct buf *out, const char *text)
{
	struct span s = span_str(text);
	bool plain = memmem(s.p, s.len, "=?", 2) == NULL;

	for (size_t i = 0; i < s.len; i++)
		plain = plain && ascii_isprint(s.p[i]);
	if (plain) {
		buf_add_str(out, "Subject:");
		add_folded(out, strlen("Subject:"), s);
	} else
		add_phrase_field(out, "Subject:", s);
	buf_add_str(out, "\r\n");
}

static void
add_message_id(struct buf *out, const struct letter *letter)
{
	const char *at = strrchr(letter->settings->mail.from, '@');
	struct address address;
	struct fail unused;

	buf_add_str(out, "Message-ID: <");
	hex_format(out, letter->id, sizeof(letter->id));
	/* Its domain as A-labels. */
	if (address_parse(span_str(letter->settings->mail.from), &address,
	    &unused) == 0) {
		buf_add_char(out, '@');
		buf_add_span(out, address_domain(&address));
	} else
		buf_add_str(out, at != NULL ? at : "@localhost");
	buf_add_str(out, ">\r\n");
}

static void
add_header(struct buf *out, const struct letter *letter, enum word subject)
{
	const struct settings *s = letter->settings;

	add_phrase_field(out, "From:", span_str(s->controller.name != NULL ?
	    s->controller.name : s->mail.from));
	buf_addf(out, "\r\n <%s>\r\nTo: <%s>\r\n", s->mail.from,
	    letter->recipient);
	add_subject(out, letter->words->text[subject]);
	buf_add_str(out, "Date: ");
	date_format_mail(out, letter->now_ms);
	buf_add_str(out, "\r\n");
	add_message_id(out, letter);
	buf_addf(out, "Auto-Submitted: auto-generated\r\n"
	    "Content-Language: %s\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
	    letter->words->tag);
}

/* -- body -- */

/* Quoted-printable (RFC 2045 section 6.7) of text with LF line ends. */
static void
add_quoted(struct buf *out, struct span text)
{
	size_t column = 0;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = text.p[i];
		bool last = i + 1 == text.len || text.p[i + 1] == '\n';
		bool plain = ascii_isprint(c) && c != '=' &&
		    !(c == ' ' && last) && !(c == '.' && column == 0);

		if (c == '\n') {
			buf_add_str(out, "\r\n");
			column = 0;
			continue;
		}
		if (column + (plain ? 1 : 3) > LINE_MAX_QP - 1) {
			buf_add_str(out, "=\r\n");
			column = 0;
			plain = plain && c != '.';
		}
		if (plain)
			buf_add_char(out, (char)c);
		else
			buf_addf(out, "=%02X", c);
		column += plain ? 1 : 3;
	}
}

/* Paragraphs of one line: the reader's program wraps them. */
static void
add_paragraph(struct buf *text, const char *words)
{
	buf_addf(text, "%s\n\n", words);
}

static void
add_labelled(struct buf *text, const struct words *words, enum word label,
    const char *value)
{
	if (value != NULL)
		buf_addf(text, "%s: %s\n", words->text[label], value);
}

/* Who writes, and what one can ask for (GDPR Art. 13). */
static void
add_who(struct buf *text, const struct letter *letter)
{
	const struct settings *s = letter->settings;
	const struct words *words = letter->words;

	buf_add_str(text, "-- \n");
	buf_addf(text, "%s: %s", words->text[WORD_CONTROLLER_LABEL],
	    s->controller.name != NULL ? s->controller.name : "");
	if (s->controller.address != NULL)
		buf_addf(text, ", %s", s->controller.address);
	buf_add_char(text, '\n');
	add_labelled(text, words, WORD_CONTACT_LABEL, s->controller.email);
	add_labelled(text, words, WORD_OFFICER_LABEL, s->controller.dpo);
	buf_addf(text, "%s: %sdata\n", words->text[WORD_DATA_LINK],
	    s->web.url);
	buf_addf(text, "%s\n", words->text[WORD_RIGHTS_TEXT]);
}

void
letter_confirm(struct buf *out, const struct letter *letter,
    const struct list *list, int64_t lapses_ms, struct span notice)
{
	struct buf text = BUF_INIT(LETTER_MAX / 4), time = BUF_INIT(64);
	const struct words *words = letter->words;

	date_format(&time, lapses_ms);
	add_header(out, letter, WORD_MAIL_CONFIRM_SUBJECT);
	add_paragraph(&text, words->text[WORD_MAIL_CONFIRM_TEXT]);
	buf_addf(&text, "    %s\n", list->name);
	if (list->purpose != NULL)
		buf_addf(&text, "    %s: %s\n",
		    words->text[WORD_PURPOSE_LABEL], list->purpose);
	buf_addf(&text, "\n%s\n\n%s\n\n",
	    words->text[WORD_MAIL_CONFIRM_LINK], letter->link);
	buf_addf(&text, "%s %.10s %.5s UTC.\n\n",
	    words->text[WORD_MAIL_CONFIRM_IGNORE], buf_get(&time),
	    buf_get(&time) + 11);
	if (notice.len > 0) {
		buf_addf(&text, "%s:\n\n", words->text[WORD_NOTICE_LABEL]);
		buf_add_span(&text, span_trim(notice));
		buf_add_str(&text, "\n\n");
	}
	add_paragraph(&text, words->text[WORD_LEAVE_TEXT]);
	add_who(&text, letter);
	add_quoted(out, buf_span(&text));
	buf_fini(&text);
	buf_fini(&time);
}

void
letter_data(struct buf *out, const struct letter *letter)
{
	struct buf text = BUF_INIT(LETTER_MAX / 4);
	const struct words *words = letter->words;

	add_header(out, letter, WORD_MAIL_DATA_SUBJECT);
	add_paragraph(&text, words->text[WORD_MAIL_DATA_TEXT]);
	add_paragraph(&text, letter->link);
	add_paragraph(&text, words->text[WORD_MAIL_DATA_IGNORE]);
	add_who(&text, letter);
	add_quoted(out, buf_span(&text));
	buf_fini(&text);
}
