/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/redaction.h"

#include <sys/stat.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "base/date.h"
#include "base/file.h"
#include "base/json.h"
#include "base/xalloc.h"
#include "ctl/progress.h"

#define LIST_FILE_MAX	((size_t)256 * 1024 * 1024)
#define ENTRIES_BYTES	(48 * 1024)	/* of an announcement */
#define SUBJECT_HEX	32

static const char *const journals[REDACT_JOURNALS] = {
	"ledger", "decisions"
};

void
erasures_add(struct erasures *e, const struct subject *subject, int64_t at_ms,
    uint64_t seq)
{
	if (e->count == e->room) {
		e->room = e->room ? e->room * 2 : 64;
		e->all = xrealloc(e->all, e->room, sizeof(*e->all));
	}
	e->all[e->count++] = (struct erasure){ *subject, at_ms, seq };
}

static int
by_subject(const void *a, const void *b)
{
	const struct erasure *x = a, *y = b;
	int order = memcmp(&x->subject, &y->subject, sizeof(x->subject));

	if (order != 0)
		return order;
	return x->at_ms < y->at_ms ? -1 : x->at_ms > y->at_ms;
}

void
erasures_tidy(struct erasures *e)
{
	size_t kept = 0;

	if (e->count == 0)
		return;
	qsort(e->all, e->count, sizeof(*e->all), by_subject);
	for (size_t i = 0; i < e->count; i++) {
		const struct erasure *next = &e->all[i];
		struct erasure *last = kept == 0 ? NULL : &e->all[kept - 1];

		if (last == NULL || !subject_is(&last->subject,
		    &next->subject)) {
			e->all[kept++] = *next;
			continue;
		}
		/* The latest time; and the last entry, which stays. */
		last->at_ms = next->at_ms;
		if (next->seq > last->seq)
			last->seq = next->seq;
	}
	e->count = kept;
}

const struct erasure *
erasures_find(const struct erasures *e, const struct subject *subject)
{
	size_t low = 0, high = e->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = memcmp(&e->all[middle].subject, subject,
		    sizeof(*subject));

		if (order == 0)
			return &e->all[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

void
erasures_fini(struct erasures *e)
{
	free(e->all);
	memset(e, 0, sizeof(*e));
}

/* -- reading -- */

/* The subject of an entry without parsing all of it. */
static bool
quick_subject(struct span body, struct subject *out)
{
	static const char name[] = "\"subject\":\"";
	const unsigned char *at = body.len == 0 ? NULL :
	    memmem(body.p, body.len, name, sizeof(name) - 1);
	size_t from;

	if (at == NULL)
		return false;
	from = (size_t)(at - body.p) + sizeof(name) - 1;
	return body.len >= from + SUBJECT_HEX && subject_parse(
	    span_head(span_from(body, from), SUBJECT_HEX), out) == 0;
}

static void
take_announced(const struct journal_entry *entry,
    struct journal_set announced[REDACT_JOURNALS])
{
	struct json_object *object;
	struct span name, entries;
	struct fail unused;

	if (json_object_parse(entry->object, &object, &unused) == -1)
		return;
	if (json_object_string(object, "journal", &name) == 1 &&
	    json_object_string(object, "entries", &entries) == 1)
		for (int i = 0; i < REDACT_JOURNALS; i++)
			if (span_is(name, span_str(journals[i])))
				(void)!journal_set_parse(&announced[i],
				    entries, &unused);
	json_object_free(&object);
}

static void
take_erasure(const struct journal_entry *entry, bool own,
    struct erasures *out)
{
	struct event event;
	struct fail unused;

	if (memmem(entry->body.p, entry->body.len, "\"erase\"", 7) != NULL &&
	    event_read(entry->object, &event, &unused) == 0 &&
	    event.kind == EVENT_ERASE)
		erasures_add(out, &event.subject, event.at_ms,
		    own ? entry->seq : 0);
}

static int
read_ledger(const char *directory, bool own, struct erasures *out,
    struct journal_set announced[REDACT_JOURNALS], struct fail *fail)
{
	struct journal_reader *reader;
	struct journal_entry entry;
	int rc;

	if (journal_reader_open(directory, "ledger", 1, &reader, fail) == -1)
		return -1;
	while ((rc = journal_reader_next(reader, &entry, fail)) != 0) {
		if (rc == -1 && fail->class != FAIL_INPUT)
			break;
		if (rc == -1)
			ctl_warn("%s: passed over", fail->text);
		else if (entry.blanked)
			continue;
		else if (span_is(entry.type, SPAN("event")))
			take_erasure(&entry, own, out);
		else if (own && span_is(entry.type, SPAN("redaction")))
			take_announced(&entry, announced);
	}
	journal_reader_close(&reader);
	return rc;
}

/* {"event":"erase","subject":"…","at":"…"} a line */
static int
read_list(const char *path, struct erasures *out, struct fail *fail)
{
	struct buf text = BUF_INIT(LIST_FILE_MAX);
	struct span rest;
	unsigned long long line = 0;
	int rc = file_read(path, &text, fail);

	for (rest = buf_span(&text); rc == 0 && rest.len > 0;) {
		ptrdiff_t end = span_index(rest, '\n');
		size_t len = end == -1 ? rest.len : (size_t)end;
		struct event event;

		line++;
		if (len > 0 && (event_read(span_head(rest, len), &event,
		    fail) == -1 || (event.kind != EVENT_ERASE &&
		    fail_set(fail, FAIL_INPUT, "not an erasure") == -1)))
			rc = fail_prefix(fail, "%s:%llu", path, line);
		else if (len > 0)
			erasures_add(out, &event.subject, event.at_ms, 0);
		rest = span_from(rest, len + 1);
	}
	buf_fini(&text);
	return rc;
}

int
erasures_read(const char *path, bool own, struct erasures *out,
    struct journal_set announced[REDACT_JOURNALS])
{
	struct fail fail;
	struct stat st;
	int rc;

	if (!own && stat(path, &st) == -1)
		rc = fail_errno(&fail, FAIL_INPUT, errno, "%s", path);
	else if (own || S_ISDIR(st.st_mode))
		rc = read_ledger(path, own, out, announced, &fail);
	else
		rc = read_list(path, out, &fail);
	return rc == 0 ? EX_OK : ctl_error(&fail);
}

/* -- what is to be blanked -- */

/* An event of the ledger about somebody who was erased. */
static bool
is_due_event(const struct journal_entry *entry, const struct erasure *erasure)
{
	struct event event;
	struct fail unused;

	/* What can't be read can't be consent either. */
	if (event_read(entry->object, &event, &unused) == -1)
		return entry->seq < erasure->seq;
	if (event.kind == EVENT_ERASE)
		return entry->seq < erasure->seq &&
		    event.at_ms <= erasure->at_ms;
	return event.at_ms <= erasure->at_ms;
}

static bool
is_due_decision(const struct journal_entry *entry,
    const struct erasure *erasure)
{
	struct json_object *object;
	struct fail unused;
	struct span text;
	int64_t ms;
	bool due = true;

	if (json_object_parse(entry->object, &object, &unused) == -1)
		return true;
	if (json_object_string(object, "time", &text) == 1 &&
	    date_parse(text, &ms) == 0)
		due = ms <= erasure->at_ms;
	json_object_free(&object);
	return due;
}

static void
on_bytes(uint64_t bytes, void *context)
{
	progress_bytes(context, bytes);
}

static int
find_due(const char *directory, int journal, const struct erasures *erasures,
    struct progress *progress, struct journal_set *out, struct fail *fail)
{
	bool ledger = journal == REDACT_LEDGER;
	struct span type = ledger ? SPAN("event") : SPAN("decision");
	struct journal_reader *reader;
	struct journal_entry entry;
	uint64_t bytes = 0;
	int rc;

	if (journal_reader_open(directory, journals[journal], 1, &reader,
	    fail) == -1)
		return -1;
	progress_begin(progress, journals[journal]);
	while ((rc = journal_reader_next(reader, &entry, fail)) != 0) {
		const struct erasure *erasure;
		struct subject subject;

		if (rc == -1 && fail->class != FAIL_INPUT)
			break;
		/* Nobody can tell whom it is about. */
		if (rc == -1) {
			ctl_warn("%s: passed over", fail->text);
			continue;
		}
		bytes += entry.object.len + 1;
		if ((entry.seq & 0xfff) == 0)
			progress_bytes(progress, bytes);
		if (!entry.blanked && span_is(entry.type, type) &&
		    quick_subject(entry.body, &subject) &&
		    (erasure = erasures_find(erasures, &subject)) != NULL &&
		    (ledger ? is_due_event(&entry, erasure) :
		    is_due_decision(&entry, erasure)))
			journal_set_add(out, entry.seq, entry.seq);
	}
	progress_clear(progress);
	journal_reader_close(&reader);
	return rc;
}

/* -- announcing and doing -- */

static int
announce(struct ctl *ctl, int journal, const struct journal_set *due,
    const char *why, struct fail *fail)
{
	size_t at = 0;
	int rc = 0;

	while (rc == 0 && at < due->count) {
		struct buf body = BUF_INIT(JOURNAL_BODY_MAX);
		struct buf text = BUF_INIT(ENTRIES_BYTES + 64);

		date_format(&text, clock_now_ms());
		buf_addf(&body, "\"journal\":\"%s\"", journals[journal]);
		json_add_member(&body, "time", buf_span(&text));
		json_add_member_str(&body, "why", why);
		ledger_add_actor(&body);
		buf_clear(&text);
		journal_set_format(&text, due, &at, ENTRIES_BYTES);
		json_add_member(&body, "entries", buf_span(&text));
		rc = journal_append(ctl->ledger, "redaction", buf_span(&body),
		    true, NULL, fail);
		buf_fini(&text);
		buf_fini(&body);
	}
	return rc;
}

static int
redact_journal(struct ctl *ctl, int journal, const char *directory,
    const struct erasures *erasures, struct journal_set *announced,
    const char *why, uint64_t *count)
{
	struct journal_set due = { .count = 0 };
	struct fail fail;
	struct progress progress = { .terminal = ctl_is_terminal(2) };
	int rc = find_due(directory, journal, erasures, &progress, &due,
	    &fail);

	if (rc == 0) {
		journal_set_tidy(&due);
		rc = announce(ctl, journal, &due, why, &fail);
	}
	if (rc == 0) {
		for (size_t i = 0; i < due.count; i++)
			journal_set_add(announced, due.ranges[i].from,
			    due.ranges[i].to);
		journal_set_tidy(announced);
		progress_begin(&progress, "blanking");
		rc = journal_redact(directory, journals[journal], announced,
		    on_bytes, &progress, count, &fail);
		progress_clear(&progress);
	}
	journal_set_fini(&due);
	if (rc == 0)
		return EX_OK;
	ctl_warn("%s", fail.text);
	ctl_warn("not everything is blanked yet: run `consentctl erase "
	    "--replay' once that is mended");
	return fail.class == FAIL_TEMP ? EX_TEMPFAIL :
	    fail_exit_code(fail.class);
}

int
redaction_run(struct ctl *ctl, const struct erasures *erasures,
    struct journal_set announced[REDACT_JOURNALS], const char *why,
    uint64_t counts[REDACT_JOURNALS])
{
	int rc = redact_journal(ctl, REDACT_LEDGER,
	    ctl->settings->audit.ledger, erasures, &announced[REDACT_LEDGER],
	    why, &counts[REDACT_LEDGER]);

	if (rc == EX_OK)
		rc = redact_journal(ctl, REDACT_DECISIONS,
		    ctl->settings->audit.directory, erasures,
		    &announced[REDACT_DECISIONS], why,
		    &counts[REDACT_DECISIONS]);
	return rc;
}
