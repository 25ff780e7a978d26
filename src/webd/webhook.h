/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Tells others what changed.  The ledger is the outbox: a thread for each
 * receiver follows it, whoever writes it, from the entry that was told last,
 * which the file `.webhook-NAME' beside it holds.  In order, again and again
 * until the receiver takes it, so that nothing is left out; what was told right
 * before a crash may be told again.
 *
 * Nobody waits for a receiver.  Thread-safe.
 */
#ifndef WEBD_WEBHOOK_H
#define WEBD_WEBHOOK_H

#include <stdbool.h>

#include "settings/settings.h"

struct webhooks;
/* After net_open(), and after the ledger was opened by whoever writes it, before
 * anything is recorded.  Takes a reference to settings.  What is wrong with a
 * receiver or its secrets is logged and tried again, for it must not keep
 * opt-outs from being taken.  Returns 0, or -1 with FAIL_SETUP. */
int	webhooks_open(struct settings *settings, struct webhooks **out,
	    struct fail *fail) __attribute__((warn_unused_result));
/* Gives up what is under way, within about a second, and ends the threads. */
void	webhooks_close(struct webhooks **webhooks);

struct webhook_status {
	const char	*name;		/* borrowed until _close */
	/* Entries of the ledger behind the last one told; -1: not known. */
	int64_t		 backlog;
	uint64_t	 failures;	/* times it was not told, since the start */
	bool		 is_failing;	/* the last was not */
	int64_t		 last_success_ms;	/* 0: none since the start */
};

size_t	webhooks_count(const struct webhooks *webhooks);
/* Of one of them, i < _count.  Looks at the end of the ledger's file. */
void	webhooks_status(struct webhooks *webhooks, size_t i,
	    struct webhook_status *out);

/* Can the secrets of all be read, by this user?  Returns 0, or -1 with
 * FAIL_SETUP. */
int	webhooks_check(const struct settings *settings, struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
