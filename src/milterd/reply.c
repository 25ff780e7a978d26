/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "milterd/reply.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* A list's name may be UTF-8; a reply is ASCII (spec Z-02). */
#define NAME_MAX_BYTES	120

static const struct {
	const char *code, *status;
	const char *text;	/* where there is nothing to fill in */
} codes[] = {
	[REPLY_NONE] = { "250", "2.0.0", "" },
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

static void
list_name(char *out, size_t size, const struct list *list)
{
	struct buf name = BUF_INIT(NAME_MAX_BYTES * 10);

	if (list != NULL)
		utf8_add_ascii(&name, span_str(list->name));
	if (name.len > NAME_MAX_BYTES) {
		buf_truncate(&name, NAME_MAX_BYTES - 3);
		buf_add_str(&name, "...");
	}
	(void)snprintf(out, size, "%s", buf_get(&name));
	buf_fini(&name);
}

static void
no_consent(struct reply *out, const char *recipient, size_t others,
    const char *name, const char *ref)
{
	char more[48] = "";

	if (others == 1)
		(void)snprintf(more, sizeof(more), ", like 1 other,");
	else if (others > 1)
		(void)snprintf(more, sizeof(more), ", like %zu others,",
		    others);
	(void)snprintf(out->text, sizeof(out->text),
	    "<%.250s>%s has not opted in to \"%s\" (ref %s)", recipient, more,
	    name, ref);
}

void
reply_format(struct reply *out, enum reply_kind kind, const char *recipient,
    size_t others, const struct list *list, const char *ref)
{
	char name[NAME_MAX_BYTES + 1];
	size_t size = sizeof(out->text);
	char *text = out->text;

	out->kind = kind;
	out->code = codes[kind].code;
	out->status = codes[kind].status;
	text[0] = '\0';
	if (codes[kind].text != NULL) {
		(void)snprintf(text, size, "%s", codes[kind].text);
		return;
	}
	list_name(name, sizeof(name), list);
	switch (kind) {
	case REPLY_NONE:
	case REPLY_TOO_MANY:
	case REPLY_HEADER_TOO_LARGE:
	case REPLY_TOO_MANY_CONNECTIONS:
		break;
	case REPLY_NO_CONSENT:
		no_consent(out, recipient, others, name, ref);
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
