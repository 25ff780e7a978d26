/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "milterd/reply.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static const struct {
	const char *code, *status;
	const char *text;	/* where there is nothing to fill in */
} codes[] = {
	[REPLY_NONE] = { "250", "2.0.0", NULL },
	[REPLY_NO_CONSENT] = { "550", "5.7.1", NULL },
	[REPLY_STORE_TEMPFAIL] = { "451", "4.4.3", NULL },
	[REPLY_STORE_REJECT] = { "550", "5.7.1", NULL },
	[REPLY_SECOND_TEMPFAIL] = { "452", "4.5.3", NULL },
	[REPLY_SECOND_REJECT] = { "550", "5.5.3", NULL },
	[REPLY_BULK_REJECT] = { "550", "5.7.1", NULL },
	[REPLY_BULK_TEMPFAIL] = { "451", "4.3.5", NULL },
	[REPLY_UNRECORDED] = { "451", "4.3.0", NULL },
	[REPLY_TOO_MANY] = { "452", "4.5.3", "too many recipients" },
	[REPLY_HEADER_TOO_LARGE] = { "451", "4.3.4", "the header of the "
	    "message is too large for the consent filter" },
	[REPLY_TOO_MANY_CONNECTIONS] = { "451", "4.3.2", "too many "
	    "connections to the consent filter, try again later" },
	[REPLY_INTERNAL] = { "451", "4.3.0", NULL },
};

/* A list's name may be UTF-8; a reply is ASCII (spec Z-02). */
static void
list_name(char *out, size_t size, const struct list *list)
{
	char room[2 * REPLY_TEXT_NAME_MAX];
	struct buf name = BUF_ON(room, REPLY_TEXT_NAME_MAX * 10);

	if (list != NULL)
		utf8_add_ascii(&name, span_str(list->name));
	if (name.len > REPLY_TEXT_NAME_MAX) {
		buf_truncate(&name, REPLY_TEXT_NAME_MAX - 3);
		buf_add_str(&name, "...");
	}
	(void)snprintf(out, size, "%s", buf_get(&name));
	buf_fini(&name);
}

static void
no_consent(struct reply *out, const struct reply_facts *facts,
    const char *name)
{
	char more[48] = "";

	if (facts->others == 1)
		(void)snprintf(more, sizeof(more), ", like 1 other,");
	else if (facts->others > 1)
		(void)snprintf(more, sizeof(more), ", like %zu others,",
		    facts->others);
	(void)snprintf(out->text, sizeof(out->text),
	    "<%.250s>%s has not opted in to \"%s\" (ref %s)",
	    facts->recipient, more, name, facts->ref);
}

/* Our own words. */
static void
add_built_in(struct reply *out, const struct reply_facts *facts)
{
	char name[REPLY_TEXT_NAME_MAX + 1];
	size_t size = sizeof(out->text);
	const char *ref = facts->ref;
	char *text = out->text;

	list_name(name, sizeof(name), facts->list);
	switch (out->kind) {
	case REPLY_NONE:
		break;
	case REPLY_TOO_MANY:
	case REPLY_HEADER_TOO_LARGE:
	case REPLY_TOO_MANY_CONNECTIONS:
		(void)snprintf(text, size, "%s", codes[out->kind].text);
		break;
	case REPLY_NO_CONSENT:
		no_consent(out, facts, name);
		break;
	case REPLY_STORE_TEMPFAIL:
		(void)snprintf(text, size, "consent can't be verified now, "
		    "try again later (ref %s)", ref);
		break;
	case REPLY_STORE_REJECT:
		(void)snprintf(text, size,
		    "consent can't be verified (ref %s)", ref);
		break;
	case REPLY_SECOND_TEMPFAIL:
		(void)snprintf(text, size,
		    "one recipient per message for \"%s\"", name);
		break;
	case REPLY_SECOND_REJECT:
		(void)snprintf(text, size, "one recipient per message for "
		    "\"%s\": set the sending program to send each recipient "
		    "a message of their own (ref %s)", name, ref);
		break;
	case REPLY_BULK_REJECT:
	case REPLY_BULK_TEMPFAIL:
		(void)snprintf(text, size, "bulk mail that belongs to no "
		    "configured list (ref %s)", ref);
		break;
	case REPLY_UNRECORDED:
		(void)snprintf(text, size, "the decision can't be recorded "
		    "now, try again later (ref %s)", ref);
		break;
	case REPLY_INTERNAL:
		(void)snprintf(text, size,
		    "local error, try again later (ref %s)", ref);
		break;
	}
}

/* The words that were configured for this kind, or NULL. */
static const char *
words_of(const struct replies *replies, enum reply_kind kind)
{
	switch (kind) {
	case REPLY_NO_CONSENT:
		return replies->no_consent;
	case REPLY_STORE_TEMPFAIL:
	case REPLY_STORE_REJECT:
		return replies->store_failure;
	case REPLY_SECOND_TEMPFAIL:
	case REPLY_SECOND_REJECT:
		return replies->second_recipient;
	case REPLY_BULK_REJECT:
	case REPLY_BULK_TEMPFAIL:
		return replies->unlisted_bulk;
	case REPLY_NONE:
	case REPLY_UNRECORDED:
	case REPLY_TOO_MANY:
	case REPLY_HEADER_TOO_LARGE:
	case REPLY_TOO_MANY_CONNECTIONS:
	case REPLY_INTERNAL:
		break;
	}
	return NULL;
}

void
reply_format(struct reply *out, enum reply_kind kind,
    const struct reply_facts *facts)
{
	const struct settings *s = facts->settings;
	const char *words = NULL;

	out->kind = kind;
	out->code = codes[kind].code;
	out->status = codes[kind].status;
	out->text[0] = '\0';
	if (kind == REPLY_NONE)
		return;
	if (facts->list != NULL)
		words = words_of(&facts->list->replies, kind);
	if (words == NULL)
		words = words_of(&s->policy.replies, kind);
	if (words == NULL)
		add_built_in(out, facts);
	else
		reply_text_expand(out->text, words, &(struct reply_values){
		    .recipient = facts->recipient, .others = facts->others,
		    .list = facts->list != NULL ? facts->list->name : NULL,
		    .ref = facts->ref, .contact = s->controller.email,
		    .pages = s->web.url });
}

static enum reply_kind
reply_for_reject(enum reason reason)
{
	if (reason == REASON_STORE_FAILURE)
		return REPLY_STORE_REJECT;
	if (reason == REASON_UNLISTED_BULK)
		return REPLY_BULK_REJECT;
	if (reason == REASON_SECOND_RECIPIENT)
		return REPLY_SECOND_REJECT;
	return REPLY_NO_CONSENT;
}

enum reply_kind
reply_for(struct decision decision)
{
	switch (decision.action) {
	case ACTION_ACCEPT:
		return REPLY_NONE;
	case ACTION_REJECT:
	case ACTION_REMOVE:
		return reply_for_reject(decision.reason);
	case ACTION_TEMPFAIL:
		break;
	}
	if (decision.reason == REASON_UNLISTED_BULK)
		return REPLY_BULK_TEMPFAIL;
	if (decision.reason == REASON_SECOND_RECIPIENT)
		return REPLY_SECOND_TEMPFAIL;
	return REPLY_STORE_TEMPFAIL;
}
