/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Records opt-outs: durably in the ledger before it returns, and then, for as
 * long as it takes, in Redis, by a thread of its own.  The filter of this host
 * follows the ledger as well, so it does not wait for Redis.
 *
 * Thread-safe; callers that come together share one fsync.
 */
#ifndef WEBD_OPTOUT_H
#define WEBD_OPTOUT_H

#include "consent/token.h"
#include "settings/settings.h"

struct optout;
/* settings are borrowed until _close; their keys are not needed. */
int	optout_open(const struct settings *settings, struct optout **out,
	    struct fail *fail) __attribute__((warn_unused_result));
/* Stops the thread and closes the ledger.  No call may be running. */
void	optout_close(struct optout **optout);

/*
 * The person is out of the list (NULL: of all lists) when this returns 0.
 * actor says how it was asked for, for the ledger.  Returns 0, or -1 with
 * FAIL_TEMP: nothing is recorded.
 */
int	optout_record(struct optout *optout, const struct subject *subject,
	    const struct list *list, const char *actor, struct fail *fail)
	    __attribute__((warn_unused_result));

/* Why no opt-out could be recorded now, in a word for a monitor, or NULL.
 * Static. */
const char *optout_fault(const struct optout *optout);

#endif
