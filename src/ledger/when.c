/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ledger/when.h"

#include <stddef.h>

static void
take_later(const char *list, const struct record *record,
    const struct evidence *evidence, void *context)
{
	int64_t *at_ms = context;

	(void)evidence;
	if (list[0] != '\0' && record->grant_ms > *at_ms)
		*at_ms = record->grant_ms;
}

int
when_opted_out(struct store *store, const struct subject *subject,
    const char *list, int64_t now_ms, int64_t *at_ms, struct fail *fail)
{
	int64_t latest_ms = now_ms;
	struct record record;
	int rc;

	*at_ms = now_ms;
	if (list != NULL) {
		rc = store_lookup(store, subject, list, &record, fail);
		if (rc == 1)
			take_later(list, &record, NULL, &latest_ms);
	} else
		rc = store_visit(store, subject, take_later, &latest_ms, fail);
	if (rc == -1)
		return -1;
	*at_ms = latest_ms;
	return 0;
}
