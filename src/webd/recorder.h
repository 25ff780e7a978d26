/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Records what people decide: durably in the ledger before it returns, and
 * then, for as long as it takes, in Redis, by a thread of its own.  The filter
 * of this host follows the ledger as well, so an opt-out does not wait for
 * Redis.
 *
 * Thread-safe; callers that come together share one fsync.
 */
#ifndef WEBD_RECORDER_H
#define WEBD_RECORDER_H

#include "consent/link.h"
#include "consent/token.h"
#include "journal/journal.h"
#include "monitor/report.h"
#include "settings/settings.h"
#include "store/store.h"
#include "webd/metrics.h"

struct recorder;
/* settings and metrics are borrowed until _close; keys are not needed. */
int	recorder_open(const struct settings *settings, struct metrics *metrics,
	    struct recorder **out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Stops the thread and closes the ledger.  No call may be running. */
void	recorder_close(struct recorder **recorder);

/*
 * The person is out of the list (NULL: of all lists) when this returns 0.
 * actor says how it was asked for, for the ledger.  Returns 0, or -1 with
 * FAIL_TEMP: nothing is recorded.
 */
int	recorder_opt_out(struct recorder *recorder,
	    const struct subject *subject, const struct list *list,
	    const char *actor, struct fail *fail)
	    __attribute__((warn_unused_result));

/* Waits until Redis has all that was in the ledger of this host when this was
 * called, whoever wrote it, so that a look-up misses no opt-out; some seconds at
 * most.  Returns 0, or -1 with FAIL_TEMP. */
int	recorder_catch_up(struct recorder *recorder, struct fail *fail)
	    __attribute__((warn_unused_result));

/* The time of an opt-out that is made now (when_opted_out()). */
int64_t	recorder_opt_out_ms(struct recorder *recorder,
	    const struct subject *subject, const struct list *list);
/* Records n events, all or none.  Returns 0, or -1 with FAIL_TEMP. */
int	recorder_append(struct recorder *recorder, const struct event *events,
	    size_t n, const char *actor, struct fail *fail)
	    __attribute__((warn_unused_result));

/*
 * Records, durably, that a person looked at their own data: an entry of type
 * "access" with "time", "subject", "what" and, of the link that was used,
 * "link" (NULL: no link).  Returns 0, or -1 with FAIL_TEMP.
 */
int	recorder_note_access(struct recorder *recorder,
	    const struct subject *subject, const char *what,
	    const unsigned char link[LINK_DETAIL_BYTES], struct fail *fail)
	    __attribute__((warn_unused_result));
/* Calls take for each link that was used at that time or later.  Returns 0, or
 * -1 with FAIL_SETUP. */
int	recorder_used_links(const struct recorder *recorder, int64_t since_ms,
	    void (*take)(const struct link *link, void *context),
	    void *context, struct fail *fail)
	    __attribute__((warn_unused_result));

/* For look-ups; NULL when Redis must not be used.  Borrowed. */
struct store *recorder_store(const struct recorder *recorder);
struct journal *recorder_ledger(const struct recorder *recorder);

/* Why nothing could be recorded now, in a word for a monitor, or NULL.
 * Static. */
const char *recorder_fault(const struct recorder *recorder);
/* Fills in what is known of Redis and the ledger. */
void	recorder_report(struct recorder *recorder, struct report *report);
/* Entries of the ledger that Redis is not known to have. */
uint64_t recorder_backlog(const struct recorder *recorder);
/* Since when Redis has not confirmed all that the ledger has; 0 when it has. */
int64_t	recorder_behind_since_ms(struct recorder *recorder);

#endif
