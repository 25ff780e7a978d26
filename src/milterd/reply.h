/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The words of an SMTP reply (RFC 5321 4.2, RFC 3463).  They never say why a
 * person has no consent: that is the person's business; the reference finds
 * the entry in the decision log, which does.  Pure.
 */
#ifndef MILTERD_REPLY_H
#define MILTERD_REPLY_H

#include <stddef.h>

#include "base/buf.h"
#include "consent/decision.h"
#include "consent/policy.h"
#include "consent/reply_text.h"
#include "settings/settings.h"

enum reply_kind {
	REPLY_NONE,		/* nothing to say: the MTA goes on */
	REPLY_NO_CONSENT,
	REPLY_STORE_TEMPFAIL,
	REPLY_STORE_REJECT,
	REPLY_SECOND_TEMPFAIL,	/* the list takes one per message */
	REPLY_SECOND_REJECT,
	REPLY_BULK_REJECT,
	REPLY_BULK_TEMPFAIL,
	REPLY_UNRECORDED,	/* the decision log can't be written */
	REPLY_TOO_MANY,		/* recipients in one message */
	REPLY_HEADER_TOO_LARGE,
	REPLY_TOO_MANY_CONNECTIONS,
	REPLY_INTERNAL		/* our own invariant broke */
};

struct reply {
	enum reply_kind	 kind;
	const char	*code;		/* "550"; static */
	const char	*status;	/* "5.7.1", enhanced status; static */
	char		 text[REPLY_TEXT_MAX + 1];	/* printable ASCII */
};

/* All of it is borrowed. */
struct reply_facts {
	const struct settings *settings;
	const struct list *list;	/* NULL where the kind names none */
	/* The address as the log may show it or as the client gave it; either
	 * way printable ASCII, see address_add_printable(). */
	const char	*recipient;
	size_t		 others;	/* that share the answer */
	const char	*ref;
};

/* Words a reply, as the list has it, or the settings, or we have. */
void	reply_format(struct reply *out, enum reply_kind kind,
	    const struct reply_facts *facts);

/* The answer that a decision asks for; REPLY_NONE when it accepts. */
enum reply_kind reply_for(struct decision decision);

#endif
