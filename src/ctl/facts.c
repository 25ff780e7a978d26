/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/xalloc.h"

#define PROGRESS_MS	100
#define PROGRESS_EVENTS	4096	/* between two looks at the clock */

static void
add_fact(struct facts *f, const struct policy *policy,
    const struct event *event)
{
	const struct list *list = policy_list(policy, span_str(event->list));
	struct fact *fact;

	if (f->count == f->room) {
		f->room = f->room ? f->room * 2 : 1024;
		f->all = xrealloc(f->all, f->room, sizeof(*f->all));
	}
	fact = &f->all[f->count++];
	memset(fact, 0, sizeof(*fact));
	fact->subject = event->subject;
	fact->list = event->list[0] == '\0' ? FACT_PERSON : list == NULL ?
	    (int32_t)policy->list_count : (int32_t)(list - policy->lists);
	fact->kind = event->kind;
	fact->at_ms = event->at_ms;
}

static void
take_entry(struct facts *f, const struct policy *policy,
    const struct journal_entry *entry)
{
	struct event event;
	struct fail unused;
	int64_t recorded_ms;

	if (!entry->blanked && span_is(entry->type, SPAN("event")) &&
	    (event_scan(entry->body, &event, &recorded_ms) == 0 ||
	    event_read_body(entry->body, &event, &unused) == 0))
		add_fact(f, policy, &event);
}

static void
say_progress(const struct facts *f, int64_t *said_ms)
{
	int64_t now_ms = clock_monotonic_ms();

	if (now_ms - *said_ms < PROGRESS_MS)
		return;
	*said_ms = now_ms;
	fprintf(stderr, "\r%zu events ", f->count);
}

static int
read_all(struct ctl *ctl, struct journal_reader *reader, struct facts *out,
    struct fail *fail)
{
	bool terminal = ctl_is_terminal(2);
	int64_t said_ms = clock_monotonic_ms();
	struct journal_entry entry;
	int rc;

	while ((rc = journal_reader_next(reader, &entry, fail)) != 0 &&
	    ctl->interrupted == 0) {
		if (rc == -1 && fail->class != FAIL_INPUT)
			break;
		if (rc == -1)
			ctl_warn("%s: passed over", fail->text);
		else
			take_entry(out, &ctl->settings->policy, &entry);
		if (terminal && out->count % PROGRESS_EVENTS == 0)
			say_progress(out, &said_ms);
	}
	if (terminal)
		fputs("\r\033[K", stderr);
	if (ctl->interrupted != 0)
		return fail_set(fail, FAIL_TEMP, "interrupted");
	return rc;
}

static int
by_subject_and_list(const void *a, const void *b)
{
	const struct fact *x = a, *y = b;
	int order = memcmp(&x->subject, &y->subject, sizeof(x->subject));

	return order != 0 ? order : x->list - y->list;
}

int
facts_read(struct ctl *ctl, struct facts *out, struct fail *fail)
{
	struct journal_reader *reader;
	int rc;

	if (journal_reader_open(ctl->settings->audit.ledger, "ledger", 1,
	    &reader, fail) == -1)
		return -1;
	rc = read_all(ctl, reader, out, fail);
	journal_reader_close(&reader);
	if (out->count > 0)
		qsort(out->all, out->count, sizeof(*out->all),
		    by_subject_and_list);
	return rc;
}

void
facts_fini(struct facts *facts)
{
	free(facts->all);
	memset(facts, 0, sizeof(*facts));
}

size_t
facts_same_person(const struct facts *f, size_t i)
{
	size_t n = 1;

	while (i + n < f->count && subject_is(&f->all[i].subject,
	    &f->all[i + n].subject))
		n++;
	return n;
}

size_t
facts_same_list(const struct facts *f, size_t i)
{
	size_t n = 1;

	while (i + n < f->count && by_subject_and_list(&f->all[i],
	    &f->all[i + n]) == 0)
		n++;
	return n;
}
