/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * One mail transaction, from MAIL to its end: collects the facts, asks the
 * core for decisions, puts them on record, and says what the MTA shall do.
 * Knows nothing of libmilter.  One object belongs to one session at a time.
 */
#ifndef MILTERD_MESSAGE_H
#define MILTERD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"
#include "milterd/edits.h"
#include "milterd/reply.h"
#include "milterd/runtime.h"

/* The facts of MAIL; everything is copied. */
struct message_origin {
	const char	*sender;	/* argument of MAIL as received */
	const char	*sasl_user;	/* NULL: not authenticated */
	const char	*daemon;	/* NULL */
	bool		 has_client;
	unsigned char	 client[16];	/* IPv4 as IPv4-mapped */
};

struct message;

/* Takes a snapshot of the configuration that holds for the whole message. */
struct message *message_new(struct runtime *runtime,
	    const struct message_origin *origin)
	    __attribute__((returns_nonnull));
void	message_free(struct message **message);

/* The queue ID as soon as the MTA has one; NULL is ignored.  Copied. */
void	message_set_queue_id(struct message *message, const char *queue_id);

/*
 * One recipient.  argument is RCPT's as received; rewritten may be NULL or the
 * MTA's own idea of the address (macro {rcpt_addr}), used only where the
 * argument has no domain.  reply->kind is REPLY_NONE when the MTA shall take
 * the recipient (for now), otherwise what to answer.
 */
void	message_add_recipient(struct message *message, const char *argument,
	    const char *rewritten, struct reply *reply);

/* One header field, as libmilter gives it. */
void	message_add_header(struct message *message, const char *name,
	    const char *value);

/* What to do with the whole message. */
struct outcome {
	struct reply	 reply;		/* REPLY_NONE: let it pass ... */
	const char	**remove;	/* ... without these recipients: the
					   arguments as received; borrowed */
	size_t		 remove_count;
	const struct edits *edits;	/* ... and with these; borrowed */
};

/* The end of the message.  *out is valid until message_free(). */
void	message_end(struct message *message, struct outcome *out);

#endif
