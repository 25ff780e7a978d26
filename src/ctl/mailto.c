/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/mailto.h"

#include <string.h>

#include "mail/field.h"

/* A field of the header section, with its folds. */
struct field {
	struct span	 name, value;
};

/* Takes the first field off *header; false at its end. */
static bool
next_field(struct span *header, struct field *out)
{
	while (header->len > 0) {
		size_t end = 0;
		struct span all;
		ptrdiff_t colon;

		do {
			while (end < header->len && header->p[end] != '\n')
				end++;
			end += end < header->len;
		} while (end < header->len && (header->p[end] == ' ' ||
		    header->p[end] == '\t'));
		all = span_head(*header, end);
		*header = span_from(*header, end);
		colon = span_index(all, ':');
		if (colon == -1)
			continue;
		out->name = span_trim(span_head(all, (size_t)colon));
		out->value = span_trim(span_from(all, (size_t)colon + 1));
		return true;
	}
	return false;
}

static bool
is_one_of(struct span text, const char *const *names)
{
	for (; *names != NULL; names++)
		if (span_is_nocase(text, span_str(*names)))
			return true;
	return false;
}

/* What one field says about the message, or NULL. */
static const char *
field_speaks_against(const struct field *f)
{
	static const char *const responders[] = { "X-Autoreply",
	    "X-Autorespond", "X-Auto-Reply", NULL };
	static const char *const of_lists[] = { "List-Id", "List-Post",
	    "List-Unsubscribe", NULL };
	static const char *const bulk[] = { "bulk", "junk", "list",
	    "auto_reply", "auto-reply", NULL };

	if (span_is_nocase(f->name, SPAN("Auto-Submitted")) &&
	    !span_is_nocase(field_keyword(f->value), SPAN("no")))
		return "sent automatically";
	if (is_one_of(f->name, responders))
		return "answered automatically";
	if (is_one_of(f->name, of_lists))
		return "mail of a list";
	if (span_is_nocase(f->name, SPAN("Precedence")) &&
	    is_one_of(field_keyword(f->value), bulk))
		return "bulk mail";
	if (span_is_nocase(f->name, SPAN("Return-Path")) &&
	    span_is(f->value, SPAN("<>")))
		return "a bounce";
	if (span_is_nocase(f->name, SPAN("Content-Type")) &&
	    field_is_media_type(f->value, SPAN("multipart/report")))
		return "a report";
	return NULL;
}

const char *
mailto_automatic(struct span header)
{
	struct field field;
	const char *why = NULL;

	while (why == NULL && next_field(&header, &field))
		why = field_speaks_against(&field);
	return why;
}

static void
add_token(struct mailto *m, const struct token *token)
{
	for (size_t i = 0; i < m->count; i++)
		if (subject_is(&m->tokens[i].subject, &token->subject) &&
		    memcmp(m->tokens[i].list, token->list,
		    sizeof(token->list)) == 0)
			return;
	if (m->count < MAILTO_TOKENS_MAX)
		m->tokens[m->count++] = *token;
}

static bool
is_token_byte(unsigned char c)
{
	return ascii_isalpha(c) || (c >= '2' && c <= '7');
}

void
mailto_take(struct mailto *m, const struct token_keys *keys,
    struct span text)
{
	for (size_t i = 0; i < text.len;) {
		size_t end = i;
		struct token token;
		struct fail unused;

		while (end < text.len && is_token_byte(text.p[end]))
			end++;
		if (end - i == TOKEN_MAILTO_LEN && (i == 0 ||
		    text.p[i - 1] == '+') && (end == text.len ||
		    text.p[end] == '@') && token_check(keys, span_head(
		    span_from(text, i), TOKEN_MAILTO_LEN), &token,
		    &unused) == 0 && token_is_personal(&token))
			add_token(m, &token);
		i = end + 1;
	}
}

void
mailto_take_header(struct mailto *m, const struct token_keys *keys,
    struct span header)
{
	static const char *const recipients[] = { "Delivered-To",
	    "X-Original-To", "Envelope-To", "To", "Cc", NULL };
	struct field field;

	while (next_field(&header, &field))
		if (is_one_of(field.name, recipients))
			mailto_take(m, keys, field.value);
}
