/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A row of an import or of the ledger.  An event that is read can be written
 * and read again, and stays the same; it never says what its kind can't say.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "consent/event.h"
#include "consent/record.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
parse(struct span text, struct event *event)
{
	struct json_object *object = NULL;
	struct fail fail;
	int rc = json_object_parse(text, &object, &fail);

	if (rc == 0)
		rc = event_parse(object, event, &fail);
	json_object_free(&object);
	return rc;
}

static void
check_event(const struct event *event)
{
	bool list = event->list[0] != '\0';
	struct record record = { 0 };

	if (list ? !event_kind_has_list(event->kind) ||
	    !list_name_is_valid(span_str(event->list)) :
	    !event_kind_has_person(event->kind))
		abort();
	record_apply(&record, event);
	if (record.grant_ms != (event->kind == EVENT_GRANT ? event->at_ms : 0))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf text = BUF_INIT(65536);
	struct event event, back;

	if (parse(span_of(data, size), &event) == -1)
		return 0;
	check_event(&event);
	buf_add_char(&text, '{');
	event_format(&text, &event);
	buf_add_char(&text, '}');
	if (text.overflow || parse(buf_span(&text), &back) == -1)
		abort();
	if (back.kind != event.kind || back.at_ms != event.at_ms ||
	    strcmp(back.list, event.list) != 0 ||
	    !subject_is(&back.subject, &event.subject))
		abort();
	for (unsigned i = 0; i < EVIDENCE_FIELDS; i++)
		if (strcmp(evidence_get(&event.evidence, i),
		    evidence_get(&back.evidence, i)) != 0)
			abort();
	buf_fini(&text);
	return 0;
}
