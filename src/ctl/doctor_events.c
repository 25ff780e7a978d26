/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The events of the ledger: does Redis have all of them, and is none of them
 * from the future?
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/date.h"
#include "base/json.h"
#include "consent/event.h"
#include "ctl/doctor.h"
#include "journal/journal.h"
#include "ledger/identity.h"
#include "store/inspect.h"
#include "store/store.h"

#define UNAPPLIED_MAX	100000
#define UNAPPLIED_MS	60000	/* what waits so long does not apply itself */
#define FUTURE_MS	INT64_C(300000)

/* How far Redis has the ledger, in each of its partitions. */
struct cursors {
	unsigned n;
	uint64_t seqs[STORE_PARTITIONS_MAX];
};

struct waiting {
	uint64_t events;	/* behind the cursors */
	unsigned partitions;	/* that have such */
	int64_t	 since_ms;	/* when the first was recorded; 0: not known */
};

static int64_t
entry_ms(const struct journal_entry *entry)
{
	struct json_object *object;
	struct fail unused;
	struct span text;
	int64_t ms = 0;

	if (entry->blanked ||
	    json_object_parse(entry->object, &object, &unused) == -1)
		return 0;
	if (json_object_string(object, "time", &text) != 1 ||
	    date_parse(text, &ms) == -1)
		ms = 0;
	json_object_free(&object);
	return ms;
}

/* Is it an event that Redis does not have?  In a cluster one that can't be read
 * is of no partition, and who applies them passes over it as well. */
static bool
waits(const struct cursors *c, const struct journal_entry *entry,
    unsigned *partition)
{
	struct event event;
	struct fail unused;
	int64_t recorded_ms;

	*partition = 0;
	if (!span_is(entry->type, SPAN("event")))
		return false;
	if (c->n > 1) {
		if (entry->blanked || (event_scan(entry->body, &event,
		    &recorded_ms) == -1 && event_read_body(entry->body, &event,
		    &unused) == -1))
			return false;
		*partition = store_partition_of(&event.subject, c->n);
	}
	return entry->seq > c->seqs[*partition];
}

/* The lowest and the highest. */
static void
cursors_range(const struct cursors *c, uint64_t *low, uint64_t *high)
{
	*low = *high = c->seqs[0];
	for (unsigned i = 1; i < c->n; i++) {
		if (c->seqs[i] < *low)
			*low = c->seqs[i];
		if (c->seqs[i] > *high)
			*high = c->seqs[i];
	}
}

/* A partition that no event touched has no cursor: then all is read. */
static int
count_waiting(const char *directory, const struct cursors *c, uint64_t from,
    struct waiting *out, struct fail *fail)
{
	bool seen[STORE_PARTITIONS_MAX] = { false };
	struct journal_reader *reader;
	struct journal_entry entry;
	unsigned partition;
	int rc;

	memset(out, 0, sizeof(*out));
	if (journal_reader_open(directory, "ledger", from + 1, &reader,
	    fail) == -1)
		return -1;
	while (out->events < UNAPPLIED_MAX &&
	    (rc = journal_reader_next(reader, &entry, fail)) != 0) {
		/* A line that can't be read is the chain's to tell. */
		if (rc == -1 && fail->class != FAIL_INPUT)
			break;
		if (rc == -1 || !waits(c, &entry, &partition))
			continue;
		if (out->events++ == 0)
			out->since_ms = entry_ms(&entry);
		out->partitions += !seen[partition];
		seen[partition] = true;
	}
	journal_reader_close(&reader);
	return 0;
}

static void
tell_waiting(struct doctor *d, const struct cursors *c, uint64_t high,
    const struct waiting *w)
{
	struct findings *f = &d->findings;
	char text[32], where[64] = "";
	/* Or it was emptied, or is another one. */
	bool old = high == 0 || d->now_ms - w->since_ms > UNAPPLIED_MS;

	if (high == 0)
		(void)snprintf(where, sizeof(where), ", which has none of it");
	else if (c->n > 1)
		(void)snprintf(where, sizeof(where), ", in %u of %u "
		    "partitions", w->partitions, c->n);
	findings_add(f, "unapplied", old ? FINDING_FAIL : FINDING_WARN,
	    "%" PRIu64 "%s events of the ledger are not in Redis%s, the first "
	    "of %s ago%s", w->events, w->events == UNAPPLIED_MAX ?
	    " or more" : "", where, doctor_span_of_time(d->now_ms -
	    w->since_ms, text), old ? "" : ", and may be on their way");
	findings_fix(f, "consentctl rebuild, which says what stands in the "
	    "way; consent-web applies them by itself while it runs");
}

static void
judge_waiting(struct doctor *d, const struct cursors *c, uint64_t head)
{
	struct findings *f = &d->findings;
	struct waiting waiting;
	uint64_t low, high;
	struct fail fail;

	cursors_range(c, &low, &high);
	if (high > head) {
		findings_add(f, "unapplied", FINDING_FAIL, "Redis has this "
		    "ledger up to entry %" PRIu64 ", and it ends with %" PRIu64
		    ": its end is lost", high, head);
		findings_fix(f, "put the ledger back from your backup, then "
		    "consentctl rebuild --from-start");
	} else if (count_waiting(d->settings->audit.ledger, c, low, &waiting,
	    &fail) == -1)
		findings_add(f, "unapplied", FINDING_SKIPPED, "%s", fail.text);
	else if (waiting.events == 0)
		findings_add(f, "unapplied", FINDING_OK, "Redis has all of the "
		    "ledger");
	else
		tell_waiting(d, c, high, &waiting);
}

/* How far Redis has it, by itself. */
static int
ask_cursor(struct doctor *d, const char *id, uint64_t *seq,
    struct fail *fail)
{
	const char *words[] = { "HMGET", "c:applied", id, NULL };
	struct buf answer = BUF_INIT(4096);
	struct inspector *redis = NULL;
	struct span text;
	int rc = doctor_redis_open(d, DOCTOR_FILTER, &redis, fail);

	if (rc == 0)
		rc = inspect_ask(redis, words, &answer, fail);
	text = span_trim(buf_span(&answer));
	*seq = 0;
	if (rc == 0 && text.len > 0 && span_to_u64(text, seq) == -1)
		rc = fail_set(fail, FAIL_TEMP, "c:applied in Redis is no "
		    "number");
	inspect_close(&redis);
	buf_fini(&answer);
	return rc;
}

/* Of a cluster, which has to be found first; with what is asked of a Redis that
 * is used. */
static int
ask_partitions(struct doctor *d, const char *id, struct cursors *c,
    struct fail *fail)
{
	struct store_options options;
	struct store *store;
	int rc;

	doctor_redis_options(d, &options);
	if (store_open(&options, &store, fail) == -1)
		return -1;
	c->n = store_partitions(store);
	rc = store_cursor_get(store, id, c->seqs, fail);
	store_close(&store);
	return rc;
}

static int
ask_cursors(struct doctor *d, const unsigned char bytes[LEDGER_ID_BYTES],
    struct cursors *c, struct fail *fail)
{
	struct buf id = BUF_INIT(64);
	int rc;

	hex_format(&id, bytes, LEDGER_ID_BYTES);
	c->n = 1;
	if (d->settings->redis.cluster != NULL)
		rc = ask_partitions(d, buf_get(&id), c, fail);
	else
		rc = ask_cursor(d, buf_get(&id), &c->seqs[0], fail);
	buf_fini(&id);
	return rc;
}

static void
judge_applied(struct doctor *d)
{
	const char *directory = d->settings->audit.ledger;
	unsigned char id[LEDGER_ID_BYTES], chain[JOURNAL_CHAIN_BYTES];
	struct findings *f = &d->findings;
	struct cursors cursors;
	uint64_t head = 0;
	struct fail fail;
	int rc = ledger_identity(directory, id, &fail);

	/* The cursors first: they never pass an end that is read later. */
	if (rc == 1 && ask_cursors(d, id, &cursors, &fail) == -1)
		rc = -1;
	if (rc == 1)
		rc = journal_head(directory, "ledger", &head, chain, &fail);
	if (rc == 1)
		judge_waiting(d, &cursors, head);
	else if (rc == -1)
		findings_add(f, "unapplied", FINDING_SKIPPED, "whether Redis "
		    "has all of the ledger can't be looked at: %s", fail.text);
	else if (access(directory, F_OK) == 0 || errno == ENOENT) {
		findings_add(f, "unapplied", FINDING_WARN, "the ledger is "
		    "empty: nobody has ever opted in here, and every "
		    "recipient of a list is refused");
		findings_fix(f, "consentctl import FILE, or consentctl "
		    "rebuild LEDGER of another host");
	}
}

/* -- a clock that was ahead -- */

/* A clock that was ahead leaves entries that everything later seems older
 * than. */
static void
judge_future(struct doctor *d)
{
	const char *directory = d->settings->audit.ledger;
	struct findings *f = &d->findings;
	struct journal_reader *reader;
	struct journal_entry entry;
	int64_t last_ms = 0;
	uint64_t from = 1, head;
	unsigned char chain[JOURNAL_CHAIN_BYTES];
	struct fail fail;
	char text[32];

	if (journal_head(directory, "ledger", &head, chain, &fail) != 1)
		return;
	if (head > 64)
		from = head - 64;
	if (journal_reader_open(directory, "ledger", from, &reader,
	    &fail) == -1)
		return;
	while (journal_reader_next(reader, &entry, &fail) == 1) {
		int64_t ms = entry_ms(&entry);

		last_ms = ms > last_ms ? ms : last_ms;
	}
	journal_reader_close(&reader);
	if (last_ms <= d->now_ms + FUTURE_MS) {
		findings_add(f, "ledger-clock", FINDING_OK, "the ledger's last "
		    "entry is not from the future");
		return;
	}
	findings_add(f, "ledger-clock", FINDING_FAIL, "the ledger has an entry "
	    "that is %s ahead of the clock: this clock is wrong, or was",
	    doctor_span_of_time(last_ms - d->now_ms, text));
	findings_fix(f, "timedatectl; with the right time, opt-ins of that "
	    "time do not count until then, and opt-outs always do");
}

void
doctor_events(struct doctor *d)
{
	judge_applied(d);
	judge_future(d);
}
