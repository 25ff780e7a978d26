/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ledger/append.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/date.h"
#include "base/json.h"
#include "base/xalloc.h"

int
ledger_append(struct journal *ledger, const struct event *events, size_t n,
    const char *actor, struct fail *fail)
{
	struct buf *bodies = xcalloc(n, sizeof(*bodies));
	struct span *spans = xcalloc(n, sizeof(*spans));
	struct buf now = BUF_INIT(64);
	int rc;

	date_format(&now, clock_now_ms());
	for (size_t i = 0; i < n; i++) {
		buf_init(&bodies[i], JOURNAL_BODY_MAX);
		buf_addf(&bodies[i], "\"time\":\"%s\",", buf_get(&now));
		event_format(&bodies[i], &events[i]);
		json_add_member_str(&bodies[i], "actor", actor);
		spans[i] = buf_span(&bodies[i]);
	}
	rc = journal_append_many(ledger, "event", spans, n, true, fail);
	for (size_t i = 0; i < n; i++)
		buf_fini(&bodies[i]);
	buf_fini(&now);
	free(bodies);
	free(spans);
	return rc;
}
