/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A row of an import: a JSON object, or fields separated by commas.  Whatever
 * it holds, its events are of the person and list that it names, none is of
 * the future, and a row with an opt-out never brings an opt-in without a time.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "consent/decision.h"
#include "ctl/row.h"

#define NOW_MS	INT64_C(1767603600000)

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(int ok)
{
	if (!ok)
		abort();
}

static void
check_events(const struct row *row, const struct policy *policy,
    const struct crypto_hmac *key)
{
	struct row_events events;
	struct fail fail;

	if (row_to_events(row, policy, key, NOW_MS, NOW_MS, &events,
	    &fail) == -1)
		return;
	must(events.list != NULL && events.count <= ROW_EVENTS_MAX);
	must(!(events.timeless && events.opts_out));
	for (size_t i = 0; i < events.count; i++) {
		const struct event *e = &events.event[i];

		must(e->at_ms > 0 &&
		    e->at_ms <= NOW_MS + DECISION_CLOCK_SKEW_MS);
		must(subject_is(&e->subject, &events.subject));
		must(e->list[0] == '\0' ||
		    strcmp(e->list, events.list->id) == 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct crypto_hmac *key;
	static char name[] = "Weekly";
	static struct list list = { .id = "weekly", .name = name };
	const struct policy policy = { .lists = &list, .list_count = 1 };
	struct json_object *object = NULL;
	struct span rest = span_of(data, size);
	struct row row = { 0 };
	struct fail fail;

	if (key == NULL)
		key = crypto_hmac_new((const unsigned char *)
		    "0123456789abcdef0123456789abcdef");
	if (row_from_json(rest, &object, &row, &fail) == 0)
		check_events(&row, &policy, key);
	json_object_free(&object);
	memset(&row, 0, sizeof(row));
	for (unsigned i = 0; i < ROW_COLUMNS; i++) {
		ptrdiff_t comma = span_index(rest, ',');

		row.value[i] = comma == -1 ? rest :
		    span_head(rest, (size_t)comma);
		rest = span_from(rest, row.value[i].len + 1);
	}
	check_events(&row, &policy, key);
	return 0;
}
