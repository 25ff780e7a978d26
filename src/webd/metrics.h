/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What consent-web counts, and that as text for Prometheus.  Nothing of it is about a person, a list or a link.
 *
 * Counting is thread-safe and waits for nobody; numbers read meanwhile may be
 * of different moments.
 */
#ifndef WEBD_METRICS_H
#define WEBD_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "consent/event.h"

struct webhook_status;

#define METRICS_STATUSES	12	/* the last: all others */
#define METRICS_PREFIX		"consent_web_"

/* All zero at the start. */
struct metrics {
	_Atomic uint64_t answers[METRICS_STATUSES];
	_Atomic uint64_t opt_outs;		/* in the ledger */
	_Atomic uint64_t opt_outs_failed;	/* and the client knows */
};

/* What is not counted, but looked at when somebody asks. */
struct metrics_state {
	bool	 ledger_is_writable;
	int64_t	 behind_since_ms;	/* 0: Redis has everything */
	uint64_t unapplied;	/* entries of the ledger */
	const struct webhook_status *webhooks;	/* borrowed */
	size_t	 webhook_count;
};

void	metrics_count_answer(struct metrics *metrics, unsigned status);
/* Of the events, those that are opt-outs (withdrawals and objections). */
void	metrics_count_events(struct metrics *metrics,
	    const struct event *events, size_t n, bool recorded);
/* Adds the text for Prometheus. */
void	metrics_format(struct buf *out, const struct metrics *metrics,
	    const struct metrics_state *state);

/* Members of an object of JSON: answers by status, and opt-outs. */
void	metrics_add_members(struct buf *out, const struct metrics *metrics);

#endif
