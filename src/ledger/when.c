/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ledger/when.h"

#include <stddef.h>
#include <string.h>

#include "base/buf.h"
#include "journal/journal.h"

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

/* Is it an opt-in of this person to this list (NULL: any)?  name is the
 * subject as text: few entries have it, and only those are parsed. */
static bool
is_opt_in(const struct journal_entry *entry, struct span name,
    const char *list, struct event *out)
{
	struct fail unused;

	return !entry->blanked && span_is(entry->type, SPAN("event")) &&
	    memmem(entry->body.p, entry->body.len, name.p, name.len) != NULL &&
	    event_read_body(entry->body, out, &unused) == 0 &&
	    out->kind == EVENT_GRANT &&
	    (list == NULL || strcmp(out->list, list) == 0);
}

int
when_opted_out_by_ledger(const char *directory,
    const struct subject *subject, const char *list, int64_t now_ms,
    int64_t *at_ms, struct fail *fail)
{
	struct buf name = BUF_INIT(64);
	struct journal_reader *reader;
	struct journal_entry entry;
	struct event event;
	uint64_t from;
	int rc;

	*at_ms = now_ms;
	if (journal_seq_at(directory, "ledger", now_ms, &from, fail) == -1 ||
	    journal_reader_open(directory, "ledger", from, &reader, fail) ==
	    -1)
		return -1;
	subject_format(&name, subject);
	while ((rc = journal_reader_next(reader, &entry, fail)) != 0) {
		if (rc == -1 && fail->class != FAIL_INPUT)
			break;
		if (rc == 1 && is_opt_in(&entry, buf_span(&name), list,
		    &event) && event.at_ms > *at_ms)
			*at_ms = event.at_ms;
	}
	journal_reader_close(&reader);
	buf_fini(&name);
	return rc;
}
