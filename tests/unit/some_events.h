/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Random sets of events about one person and one list, the same in every run:
 * times come from a short range, so that equal ones are common.
 */
#ifndef TESTS_UNIT_SOME_EVENTS_H
#define TESTS_UNIT_SOME_EVENTS_H

#include <stdint.h>
#include <string.h>

#include "consent/event.h"

#define SOME_EVENTS	12
#define SOME_TIME_MS	INT64_C(1767603600000)	/* 2026-01-05T09:00:00Z */
#define SOME_STEP_MS	60000
#define SOME_STEPS	20

/* xorshift64*; the state is never 0. */
static inline uint64_t
some_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(2685821657736338717);
}

static inline unsigned
some_below(uint64_t *state, unsigned n)
{
	return (unsigned)(some_random(state) >> 33) % n;
}

static inline struct event
some_event(uint64_t *state)
{
	struct event event = { .kind =
	    (enum event_kind)some_below(state, EVENT_KINDS) };

	event.at_ms = SOME_TIME_MS +
	    (int64_t)some_below(state, SOME_STEPS) * SOME_STEP_MS;
	if (event_kind_has_list(event.kind) &&
	    !(event_kind_has_person(event.kind) && some_below(state, 2)))
		memcpy(event.list, "weekly", sizeof("weekly"));
	return event;
}

/* Between none and SOME_EVENTS of them; returns how many. */
static inline size_t
some_events(uint64_t *state, struct event events[SOME_EVENTS])
{
	size_t n = some_below(state, SOME_EVENTS + 1);

	for (size_t i = 0; i < n; i++)
		events[i] = some_event(state);
	return n;
}

#endif
