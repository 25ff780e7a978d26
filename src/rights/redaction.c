/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "rights/redaction.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/date.h"
#include "base/file.h"
#include "base/json.h"
#include "base/xalloc.h"

#define LIST_FILE_MAX	((size_t)256 * 1024 * 1024)
#define ENTRIES_BYTES	(48 * 1024)	/* of an announcement */
#define SUBJECT_HEX	32
#define TURN_PAUSE_MS	50

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
by_subject_and_time(const void *a, const void *b)
{
	const struct erasure *x = a, *y = b;
	int order = memcmp(&x->subject, &y->subject, sizeof(x->subject));

	if (order != 0)
		return order;
	if (x->at_ms != y->at_ms)
		return x->at_ms < y->at_ms ? -1 : 1;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

void
erasures_tidy(struct erasures *e)
{
	size_t kept = 0;

	if (e->count == 0)
		return;
	qsort(e->all, e->count, sizeof(*e->all), by_subject_and_time);
	for (size_t i = 0; i < e->count; i++) {
		const struct erasure *next = &e->all[i];
		struct erasure *last = kept == 0 ? NULL : &e->all[kept - 1];

		if (last == NULL || !subject_is(&last->subject,
		    &next->subject))
			e->all[kept++] = *next;
		else
			*last = *next;
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

static void
say_passed_over(const struct watch *watch, const struct fail *fail)
{
	char text[sizeof(fail->text) + 32];

	(void)snprintf(text, sizeof(text), "%s: passed over", fail->text);
	watch->warn(text, watch->context);
}

static void
say_progress(const struct watch *watch, const char *what, uint64_t bytes)
{
	if (watch->progress != NULL)
		watch->progress(what, bytes, watch->context);
}

static bool
is_stopped(const struct watch *watch)
{
	return watch->is_stopped != NULL && watch->is_stopped(watch->context);
}

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
	    event_read_body(entry->body, &event, &unused) == 0 &&
	    event.kind == EVENT_ERASE)
		erasures_add(out, &event.subject, event.at_ms,
		    own ? entry->seq : 0);
}

static int
read_ledger(const char *directory, bool own, struct erasures *out,
    struct journal_set announced[REDACT_JOURNALS], const struct watch *watch,
    struct fail *fail)
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
			say_passed_over(watch, fail);
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
		struct span body = span_take(&rest, '\n');
		struct event event;

		line++;
		if (body.len > 0 && (event_read(body, &event, fail) == -1 ||
		    (event.kind != EVENT_ERASE &&
		    fail_set(fail, FAIL_INPUT, "not an erasure") == -1)))
			rc = fail_prefix(fail, "%s:%llu", path, line);
		else if (body.len > 0)
			erasures_add(out, &event.subject, event.at_ms, 0);
	}
	buf_fini(&text);
	return rc;
}

int
erasures_read(const char *path, bool own, struct erasures *out,
    struct journal_set announced[REDACT_JOURNALS], const struct watch *watch,
    struct fail *fail)
{
	struct stat st;

	if (!own && stat(path, &st) == -1)
		return fail_errno(fail, FAIL_INPUT, errno, "%s", path);
	return own || S_ISDIR(st.st_mode) ?
	    read_ledger(path, own, out, announced, watch, fail) :
	    read_list(path, out, fail);
}

/* -- what is to be blanked -- */

/* An event of the ledger about somebody who was erased. */
static bool
is_due_event(const struct journal_entry *entry, const struct erasure *erasure)
{
	struct event event;
	struct fail unused;

	/* What can't be read can't be consent either. */
	if (event_read_body(entry->body, &event, &unused) == -1)
		return entry->seq < erasure->seq;
	/* One stays, and by an order on which all who erase agree: the latest,
	 * of equal ones the last.  An earlier time would let opt-ins back in
	 * that another host's ledger holds. */
	if (event.kind == EVENT_ERASE && event.at_ms == erasure->at_ms)
		return entry->seq < erasure->seq;
	return event.at_ms <= erasure->at_ms;
}

/* Of what has a "time" of its own.  What can't be read goes. */
static bool
is_not_later(const struct journal_entry *entry,
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
	const struct watch *watch = context;

	say_progress(watch, "blanking", bytes);
}

/* Is it about somebody who was erased, and of before that? */
static bool
is_due(int journal, const struct journal_entry *entry,
    const struct erasures *erasures)
{
	const struct erasure *erasure;
	struct subject subject;

	if (entry->blanked || !quick_subject(entry->body, &subject) ||
	    (erasure = erasures_find(erasures, &subject)) == NULL)
		return false;
	if (journal == REDACT_DECISIONS)
		return span_is(entry->type, SPAN("decision")) &&
		    is_not_later(entry, erasure);
	if (span_is(entry->type, SPAN("access")))
		return is_not_later(entry, erasure);
	return span_is(entry->type, SPAN("event")) &&
	    is_due_event(entry, erasure);
}

static int
find_due(const char *directory, int journal, const struct erasures *erasures,
    const struct watch *watch, struct journal_set *out, struct fail *fail)
{
	struct journal_reader *reader;
	struct journal_entry entry;
	uint64_t bytes = 0;
	int rc;

	if (journal_reader_open(directory, journals[journal], 1, &reader,
	    fail) == -1)
		return -1;
	say_progress(watch, journals[journal], 0);
	while ((rc = journal_reader_next(reader, &entry, fail)) != 0) {
		if (rc == -1 && fail->class != FAIL_INPUT)
			break;
		/* Nobody can tell whom it is about. */
		if (rc == -1) {
			say_passed_over(watch, fail);
			continue;
		}
		bytes += entry.object.len + 1;
		if ((entry.seq & 0xfff) == 0) {
			say_progress(watch, journals[journal], bytes);
			if (is_stopped(watch)) {
				rc = fail_set(fail, FAIL_TEMP, "interrupted");
				break;
			}
		}
		if (is_due(journal, &entry, erasures))
			journal_set_add(out, entry.seq, entry.seq);
	}
	say_progress(watch, NULL, 0);
	journal_reader_close(&reader);
	return rc;
}

/* -- announcing and doing -- */

static int
announce(const struct redaction *r, int journal,
    const struct journal_set *due, struct fail *fail)
{
	size_t at = 0;
	int rc = 0;

	while (rc == 0 && at < due->count) {
		struct buf body = BUF_INIT(JOURNAL_BODY_MAX);
		struct buf text = BUF_INIT(ENTRIES_BYTES + 64);

		date_format(&text, clock_now_ms());
		buf_addf(&body, "\"journal\":\"%s\"", journals[journal]);
		json_add_member(&body, "time", buf_span(&text));
		json_add_member_str(&body, "why", r->why);
		json_add_member_str(&body, "actor", r->actor);
		buf_clear(&text);
		journal_set_format(&text, due, &at, ENTRIES_BYTES);
		json_add_member(&body, "entries", buf_span(&text));
		rc = journal_append(r->ledger, "redaction", buf_span(&body),
		    true, NULL, fail);
		buf_fini(&text);
		buf_fini(&body);
	}
	return rc;
}

static const char *
directory_of(const struct redaction *r, int journal)
{
	return journal == REDACT_LEDGER ? r->settings->audit.ledger :
	    r->settings->audit.directory;
}

static int
blank(const struct redaction *r, int journal,
    const struct journal_set *entries, uint64_t *count, struct fail *fail)
{
	int rc;

	say_progress(r->watch, "blanking", 0);
	rc = journal_redact(directory_of(r, journal), journals[journal],
	    entries, on_bytes, (void *)(uintptr_t)r->watch, count, fail);
	say_progress(r->watch, NULL, 0);
	return rc;
}

int
redaction_count(const struct redaction *r, const struct erasures *erasures,
    uint64_t counts[REDACT_JOURNALS], struct fail *fail)
{
	int rc = 0;

	for (int j = 0; rc == 0 && j < REDACT_JOURNALS; j++) {
		struct journal_set due = { .count = 0 };

		rc = find_due(directory_of(r, j), j, erasures, r->watch, &due,
		    fail);
		journal_set_tidy(&due);
		counts[j] = 0;
		for (size_t i = 0; i < due.count; i++)
			counts[j] += due.ranges[i].to - due.ranges[i].from + 1;
		journal_set_fini(&due);
	}
	return rc;
}

static int
redact_journal(const struct redaction *r, int journal,
    const struct erasures *erasures, struct journal_set *announced,
    uint64_t *count, struct fail *fail)
{
	struct journal_set due = { .count = 0 };
	int rc = find_due(directory_of(r, journal), journal, erasures,
	    r->watch, &due, fail);

	if (rc == 0) {
		journal_set_tidy(&due);
		rc = announce(r, journal, &due, fail);
	}
	if (rc == 0) {
		for (size_t i = 0; i < due.count; i++)
			journal_set_add(announced, due.ranges[i].from,
			    due.ranges[i].to);
		journal_set_tidy(announced);
		rc = blank(r, journal, announced, count, fail);
	}
	journal_set_fini(&due);
	return rc;
}

int
redaction_turn(const struct redaction *r, struct fail *fail)
{
	const struct timespec pause = { 0, TURN_PAUSE_MS * 1000000L };
	struct buf path = BUF_INIT(8192);
	int fd, rc = 0;

	buf_addf(&path, "%s/.erasing.lock", r->settings->audit.ledger);
	fd = open(buf_get(&path), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
	    0640);
	if (fd == -1)
		rc = fail_errno(fail, FAIL_SETUP, errno, "%s",
		    buf_get(&path));
	else
		/* That others can take it too is their concern. */
		(void)!file_give_to_owner(buf_get(&path));
	while (rc == 0 && flock(fd, LOCK_EX | LOCK_NB) == -1) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			rc = fail_errno(fail, FAIL_TEMP, errno, "%s",
			    buf_get(&path));
		else if (is_stopped(r->watch))
			rc = fail_set(fail, FAIL_TEMP, "interrupted");
		else
			(void)nanosleep(&pause, NULL);
	}
	buf_fini(&path);
	if (rc == 0)
		return fd;
	if (fd != -1)
		(void)close(fd);
	return -1;
}

int
redaction_run(const struct redaction *r, const struct erasures *erasures,
    struct journal_set announced[REDACT_JOURNALS],
    uint64_t counts[REDACT_JOURNALS], struct fail *fail)
{
	int lock = redaction_turn(r, fail), rc = 0;

	if (lock == -1)
		return -1;
	for (int i = 0; rc == 0 && i < REDACT_JOURNALS; i++)
		rc = redact_journal(r, i, erasures, &announced[i],
		    &counts[i], fail);
	(void)close(lock);
	return rc;
}

int
redaction_entries(const struct redaction *r, int journal,
    const struct journal_set *entries, uint64_t *count, struct fail *fail)
{
	int rc;

	*count = 0;
	if (entries->count == 0)
		return 0;
	rc = announce(r, journal, entries, fail);
	return rc == 0 ? blank(r, journal, entries, count, fail) : -1;
}
