/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The events of the ledger: does Redis have all of them, and is none of them
 * from the future?
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/date.h"
#include "base/json.h"
#include "ctl/doctor.h"
#include "journal/journal.h"
#include "ledger/identity.h"
#include "store/inspect.h"

#define UNAPPLIED_MAX	100000
#define UNAPPLIED_MS	60000	/* what waits so long does not apply itself */
#define FUTURE_MS	INT64_C(300000)

struct waiting {
	uint64_t events;	/* behind the cursor */
	int64_t	 since_ms;	/* when the first was recorded; 0: not known */
	int64_t	 last_ms;	/* of the last entry with a time */
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

static int
count_waiting(const char *directory, uint64_t from, struct waiting *out,
    struct fail *fail)
{
	struct journal_reader *reader;
	struct journal_entry entry;
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
		if (rc == -1 || !span_is(entry.type, SPAN("event")))
			continue;
		if (out->events++ == 0)
			out->since_ms = entry_ms(&entry);
	}
	journal_reader_close(&reader);
	return 0;
}

static void
judge_waiting(struct doctor *d, uint64_t cursor, uint64_t head)
{
	struct findings *f = &d->findings;
	struct waiting waiting;
	struct fail fail;
	char text[32];
	bool old;

	if (cursor > head) {
		findings_add(f, "unapplied", FINDING_FAIL, "Redis has this "
		    "ledger up to entry %" PRIu64 ", and it ends with %" PRIu64
		    ": its end is lost", cursor, head);
		findings_fix(f, "put the ledger back from your backup, then "
		    "consentctl rebuild --from-start");
		return;
	}
	if (count_waiting(d->settings->audit.ledger, cursor, &waiting,
	    &fail) == -1) {
		findings_add(f, "unapplied", FINDING_SKIPPED, "%s", fail.text);
		return;
	}
	if (waiting.events == 0) {
		findings_add(f, "unapplied", FINDING_OK, "Redis has all of the "
		    "ledger");
		return;
	}
	/* Or it was emptied, or is another one. */
	old = cursor == 0 ||
	    d->now_ms - waiting.since_ms > UNAPPLIED_MS;
	findings_add(f, "unapplied", old ? FINDING_FAIL : FINDING_WARN,
	    "%" PRIu64 "%s events of the ledger are not in Redis%s, the first "
	    "of %s ago%s", waiting.events, waiting.events == UNAPPLIED_MAX ?
	    " or more" : "", cursor == 0 ? ", which has none of it" : "",
	    doctor_span_of_time(d->now_ms - waiting.since_ms, text), old ? "" :
	    ", and may be on their way");
	findings_fix(f, "consentctl rebuild, which says what stands in the "
	    "way; consent-web applies them by itself while it runs");
}

/* How far Redis has it, by itself. */
static int
ask_cursor(struct doctor *d, const unsigned char id[LEDGER_ID_BYTES],
    uint64_t *seq, struct fail *fail)
{
	struct buf hex = BUF_INIT(64), answer = BUF_INIT(4096);
	const char *words[] = { "HMGET", "c:applied", NULL, NULL };
	struct inspector *redis = NULL;
	struct span text;
	int rc = doctor_redis_open(d, DOCTOR_FILTER, &redis, fail);

	hex_format(&hex, id, LEDGER_ID_BYTES);
	words[2] = buf_get(&hex);
	if (rc == 0)
		rc = inspect_ask(redis, words, &answer, fail);
	text = span_trim(buf_span(&answer));
	*seq = 0;
	if (rc == 0 && text.len > 0 && span_to_u64(text, seq) == -1)
		rc = fail_set(fail, FAIL_TEMP, "c:applied in Redis is no "
		    "number");
	inspect_close(&redis);
	buf_fini(&hex);
	buf_fini(&answer);
	return rc;
}

static void
judge_applied(struct doctor *d)
{
	const char *directory = d->settings->audit.ledger;
	unsigned char id[LEDGER_ID_BYTES], chain[JOURNAL_CHAIN_BYTES];
	struct findings *f = &d->findings;
	uint64_t head = 0, cursor;
	struct fail fail;
	int rc = ledger_identity(directory, id, &fail);

	if (rc == 1 && d->settings->redis.cluster != NULL) {
		findings_add(f, "unapplied", FINDING_SKIPPED, "a cluster has a "
		    "cursor for each partition, which are not looked at");
		findings_fix(f, "consentctl rebuild --dry-run tells");
		return;
	}
	if (rc == 1)
		rc = journal_head(directory, "ledger", &head, chain, &fail);
	if (rc == 1 && ask_cursor(d, id, &cursor, &fail) == -1)
		rc = -1;
	if (rc == 1)
		judge_waiting(d, cursor, head);
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
