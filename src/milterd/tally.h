/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What the filter counts: decisions by list, action and reason, how long its
 * answers took, and what it turned away.  Counting is thread-safe and waits for
 * nobody.  Counters only grow while the process lives: a list that a reload
 * takes out of the configuration keeps its numbers.
 */
#ifndef MILTERD_TALLY_H
#define MILTERD_TALLY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/histogram.h"
#include "consent/decision.h"
#include "consent/policy.h"

#define TALLY_ACTIONS	(ACTION_TEMPFAIL + 1)
#define TALLY_REASONS	(REASON_SECOND_RECIPIENT + 1)
/* Lists that come over all reloads; further ones share a name. */
#define TALLY_LISTS_MAX	2000

enum tally_stage {
	TALLY_RCPT,
	TALLY_EOM
};
#define TALLY_STAGES	(TALLY_EOM + 1)

/* What passed a limit of the configuration. */
enum tally_limit {
	TALLY_RECIPIENTS,
	TALLY_HEADER_BYTES,
	TALLY_CONNECTIONS
};
#define TALLY_LIMITS	(TALLY_CONNECTIONS + 1)

/* Of one list; [1] is what observe mode would have done. */
struct tally_list {
	struct tally_list *next;	/* set before it can be seen */
	char		 id[LIST_NAME_MAX + 1];
	_Atomic uint64_t decisions[2][TALLY_ACTIONS][TALLY_REASONS];
};

struct tally {
	pthread_mutex_t	 lock;		/* of who adds a list */
	struct tally_list *_Atomic lists;
	size_t		 list_count;
	struct tally_list *none;	/* mail of no list */
	_Atomic uint64_t unrecorded;
	_Atomic uint64_t limits[TALLY_LIMITS];
	_Atomic uint64_t connections;
	struct histogram replies[TALLY_STAGES];
};

void	tally_init(struct tally *tally);
/* The counters of the list with this id, for ever; made where they are
 * missing. */
struct tally_list *tally_list(struct tally *tally, const char *id)
	    __attribute__((returns_nonnull));
/* A decision that is on record. */
void	tally_decision(struct tally_list *list, bool observe,
	    struct decision decision);
/* n that could not be put on record. */
void	tally_unrecorded(struct tally *tally, size_t n);
void	tally_limit(struct tally *tally, enum tally_limit limit);
void	tally_connection(struct tally *tally);
void	tally_reply(struct tally *tally, enum tally_stage stage, int64_t us);

/* The text for Prometheus. */
void	tally_add_metrics(struct buf *out, struct tally *tally);
/* The member "decisions" of an object of JSON: how often each action, with
 * would- before it in observe mode. */
void	tally_add_members(struct buf *out, struct tally *tally);

#endif
