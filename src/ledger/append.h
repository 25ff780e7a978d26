/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Events into the ledger: {"time":…,EVENT,"actor":…}, where time is when it is
 * recorded, and EVENT is event_format()'s.  Thread-safe.
 */
#ifndef LEDGER_APPEND_H
#define LEDGER_APPEND_H

#include "consent/event.h"
#include "journal/journal.h"

/* Durably, all or none.  actor tells who recorded them.  Returns 0, or -1 with
 * FAIL_TEMP: then none counts. */
int	ledger_append(struct journal *ledger, const struct event *events,
	    size_t n, const char *actor, struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
