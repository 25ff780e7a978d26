/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/mailto.h"

#include <string.h>

#include "mail/field.h"
#include "mail/mime.h"

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
field_speaks_against(const struct mime_field *f)
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
	struct mime_field field;
	const char *why = NULL;

	while (why == NULL && mime_next_field(&header, &field))
		why = field_speaks_against(&field);
	return why;
}

void
mailto_add(struct mailto *m, const struct token_keys *keys, struct span text)
{
	struct token token;
	struct fail unused;

	if (token_check(keys, text, &token, &unused) == -1 ||
	    !token_is_personal(&token))
		return;
	for (size_t i = 0; i < m->count; i++)
		if (subject_is(&m->tokens[i].subject, &token.subject) &&
		    memcmp(m->tokens[i].list, token.list,
		    sizeof(token.list)) == 0)
			return;
	if (m->count < MAILTO_TOKENS_MAX)
		m->tokens[m->count++] = token;
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

		while (end < text.len && is_token_byte(text.p[end]))
			end++;
		if (end - i == TOKEN_MAILTO_LEN && (i == 0 ||
		    text.p[i - 1] == '+') && (end == text.len ||
		    text.p[end] == '@'))
			mailto_add(m, keys, span_from(span_head(text, end),
			    i));
		i = end + 1;
	}
}

void
mailto_take_header(struct mailto *m, const struct token_keys *keys,
    struct span header)
{
	static const char *const recipients[] = { "Delivered-To",
	    "X-Original-To", "Envelope-To", "To", "Cc", NULL };
	struct mime_field field;

	while (mime_next_field(&header, &field))
		if (is_one_of(field.name, recipients))
			mailto_take(m, keys, field.value);
}
