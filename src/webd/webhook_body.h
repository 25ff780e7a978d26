/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What a receiver of changes gets, and how it is signed: as the open
 * specification "Standard Webhooks" has it (standardwebhooks.com), so that
 * receivers can use its libraries.  Pure; one object per thread.
 */
#ifndef WEBD_WEBHOOK_BODY_H
#define WEBD_WEBHOOK_BODY_H

#include <stdint.h>

#include "base/buf.h"
#include "base/fail.h"
#include "consent/event.h"
#include "journal/journal.h"
#include "ledger/identity.h"

/* -- how far a receiver was told -- */

/* All zeroes: nothing yet. */
struct webhook_cursor {
	uint64_t	seq;		/* the last entry that was told */
	/* Its chain, which no other ledger has there. */
	unsigned char	chain[JOURNAL_CHAIN_BYTES];
	unsigned char	ledger[LEDGER_ID_BYTES];
};

/* One line: "7 64-hex 16-hex". */
void	webhook_cursor_format(struct buf *out,
	    const struct webhook_cursor *cursor);
/* Returns 0, or -1 with *out untouched. */
int	webhook_cursor_parse(struct span text, struct webhook_cursor *out)
	    __attribute__((warn_unused_result));

/* -- what is told -- */

#define WEBHOOK_EVENTS_MAX	100	/* in one request */
#define WEBHOOK_BODY_MAX	(64 * 1024)

/*
 * One request tells all that lies between two entries, ends included:
 *
 *	{"type":"consent.changed","timestamp":TIME,"data":{"ledger":"16 hex",
 *	 "from":12,"to":15,"events":[{"seq":14,"recorded_at":TIME,"at":TIME,
 *	 "event":"withdraw","list":"weekly","subject":"32 hex"}]}}
 *
 * without "list" for what is about the person.  The timestamp is that of the
 * last event, so the same changes always make the same bytes.
 */
struct webhook_batch {
	struct webhook_cursor end;	/* seq and chain of the last entry */
	uint64_t	 from;		/* 0: it is not begun */
	size_t		 count;		/* of events */
	int64_t		 last_ms;	/* when the last was recorded */
	struct buf	 events;
	struct buf	 body;		/* after _finish */
};

void	webhook_batch_init(struct webhook_batch *batch);
void	webhook_batch_fini(struct webhook_batch *batch);
void	webhook_batch_clear(struct webhook_batch *batch);
/* Up to WEBHOOK_EVENTS_MAX of them. */
void	webhook_batch_add(struct webhook_batch *batch, uint64_t seq,
	    const struct event *event, int64_t recorded_ms);
/* Makes the body, of the ledger that end names. */
void	webhook_batch_finish(struct webhook_batch *batch);
/* Adds the id of this message: the same for the same body, and no other. */
void	webhook_batch_id(struct buf *out, const struct webhook_batch *batch);

/* -- signing -- */

#define WEBHOOK_SECRETS_MAX	4
#define WEBHOOK_SECRETS_BYTES	1024	/* of a file of them */

struct webhook_secrets {
	size_t		 count;
	struct crypto_hmac *key[WEBHOOK_SECRETS_MAX];
};

/* Reads "whsec_" and base64 of 24 to 64 bytes, one a line; empty lines and
 * those with # are passed over.  Returns 0, or -1 with FAIL_SETUP, whose text
 * never holds a secret, and nothing to free. */
int	webhook_secrets_parse(struct span text, struct webhook_secrets *out,
	    struct fail *fail) __attribute__((warn_unused_result));
/* Wipes them. */
void	webhook_secrets_free(struct webhook_secrets *secrets);
/* Adds the value of webhook-signature: "v1,BASE64" by each, blanks between. */
void	webhook_secrets_sign(struct buf *out,
	    const struct webhook_secrets *secrets, struct span id,
	    int64_t seconds, struct span body);

/* -- trying again -- */

/* How long to wait after so many failures (1 or more): twice as long each time,
 * 1 second to 5 minutes; random spreads it over half of that. */
int64_t	webhook_pause_ms(unsigned failures, uint32_t random);

#endif
