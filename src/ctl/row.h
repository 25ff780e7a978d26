/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * One row of an import, from CSV fields or a JSON object, into events.  Pure:
 * addresses and lists are resolved by the caller's policy and key.
 */
#ifndef CTL_ROW_H
#define CTL_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/crypto.h"
#include "base/fail.h"
#include "base/span.h"
#include "consent/event.h"
#include "consent/policy.h"

#define ROW_COLUMNS	17
#define ROW_BYTES_MAX	(64 * 1024)
#define ROW_EVENTS_MAX	5

/* The columns are address, list, at, confirmed_at, withdrawn_at, objected_at,
 * profiling_objected_at and the evidence fields, in this order.  Returns 1, or 0 with *fail naming
 * the nearest column. */
int	row_column_parse(struct span name, unsigned *column,
	    struct fail *fail) __attribute__((warn_unused_result));

struct row {
	struct span value[ROW_COLUMNS];	/* empty: missing; borrowed */
};

struct row_events {
	const struct list *list;
	struct subject	 subject;
	struct event	 event[ROW_EVENTS_MAX];
	size_t		 count;
	bool		 timeless;	/* event[0] is an opt-in that got
					   default_at_ms as its time */
	bool		 opts_out;	/* an opt-out is among them */
};

/*
 * Checks a row and makes its events.  A row without `at' gets default_at_ms
 * as the time of its opt-in, unless it brings an opt-out or an objection to
 * profiling itself: then it has no opt-in at all, for nobody knows which came first.
 * Returns 0, or -1 with FAIL_INPUT: the reason for the report.
 */
int	row_to_events(const struct row *row, const struct policy *policy,
	    const struct crypto_hmac *pseudonym_key, int64_t default_at_ms,
	    int64_t now_ms, struct row_events *out, struct fail *fail)
	    __attribute__((warn_unused_result));

/* Reads one line of JSON into fields that live in *object, which the caller
 * frees after the row.  Returns 0, or -1 with FAIL_INPUT. */
struct json_object;
int	row_from_json(struct span line, struct json_object **object,
	    struct row *out, struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
