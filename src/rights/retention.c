/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The ledger is read twice: who is restricted, and what an interrupted run has
 * restated already, may stand behind the entries that are due.
 */
#include "rights/retention.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/date.h"
#include "base/json.h"
#include "base/xalloc.h"

#define BATCH		500	/* entries recorded and synced at once */
#define RESTATED	",\"restated_at\":\""

/* A person who is, or was, under a restriction. */
struct restricted {
	struct subject	 subject;
	int64_t		 since_ms, lifted_ms;
};

struct retention {
	const struct redaction *redaction;
	bool		 dry_run;
	/* What is not later is too old. */
	int64_t		 full_ip_ms, ip_ms, requests_ms;

	struct restricted *restricted;
	size_t		 restricted_count, restricted_room;
	struct journal_set restated;	/* entries that stand again already */

	struct journal_set addresses, requests;	/* due */
	uint64_t	 address_count, request_count;
	struct buf	 bodies[BATCH];	/* to be recorded */
	size_t		 body_count;
};

/* -- who is restricted -- */

static struct restricted *
find_restricted(const struct retention *r, const struct subject *subject)
{
	for (size_t i = 0; i < r->restricted_count; i++)
		if (subject_is(&r->restricted[i].subject, subject))
			return &r->restricted[i];
	return NULL;
}

static bool
is_restricted(const struct retention *r, const struct subject *subject)
{
	const struct restricted *found = find_restricted(r, subject);

	return found != NULL && found->since_ms != 0 &&
	    found->since_ms >= found->lifted_ms;
}

static void
note_restriction(struct retention *r, const struct event *event)
{
	struct restricted *found = find_restricted(r, &event->subject);
	int64_t *to;

	if (found == NULL) {
		if (r->restricted_count == r->restricted_room) {
			r->restricted_room = r->restricted_room ?
			    r->restricted_room * 2 : 64;
			r->restricted = xrealloc(r->restricted,
			    r->restricted_room, sizeof(*r->restricted));
		}
		found = &r->restricted[r->restricted_count++];
		*found = (struct restricted){ .subject = event->subject };
	}
	to = event->kind == EVENT_RESTRICT ? &found->since_ms :
	    &found->lifted_ms;
	if (event->at_ms > *to)
		*to = event->at_ms;
}

/* -- the first reading -- */

static bool
has_text(struct span body, const char *text)
{
	return body.len > 0 && memmem(body.p, body.len, text,
	    strlen(text)) != NULL;
}

static void
note_restated(struct retention *r, const struct journal_entry *entry)
{
	struct json_object *object;
	struct fail unused;
	int64_t seq;

	if (json_object_parse(entry->object, &object, &unused) == -1)
		return;
	if (json_object_i64(object, "restates", &seq) == 1 && seq > 0)
		journal_set_add(&r->restated, (uint64_t)seq, (uint64_t)seq);
	json_object_free(&object);
}

static int
learn(struct retention *r, const struct journal_entry *entry,
    struct fail *fail)
{
	struct event event;
	struct fail unused;

	(void)fail;
	if (!span_is(entry->type, SPAN("event")))
		return 0;
	if (has_text(entry->body, RESTATED))
		note_restated(r, entry);
	if (has_text(entry->body, "restrict\"") &&
	    event_read_body(entry->body, &event, &unused) == 0 &&
	    (event.kind == EVENT_RESTRICT || event.kind == EVENT_UNRESTRICT))
		note_restriction(r, &event);
	return 0;
}

/* -- the second: what is due -- */

static int
record_bodies(struct retention *r, struct fail *fail)
{
	struct span bodies[BATCH];
	size_t n = r->body_count;

	for (size_t i = 0; i < n; i++)
		bodies[i] = buf_span(&r->bodies[i]);
	r->body_count = 0;
	return n == 0 ? 0 : journal_append_many(r->redaction->ledger, "event",
	    bodies, n, true, fail);
}

/* The body once more, with this ip instead of the one that it has.  A quote in
 * a value is escaped, so that no value looks like a member. */
static int
restate_body(struct buf *out, const struct journal_entry *entry,
    const char *ip)
{
	static const char member[] = ",\"ip\":\"";
	struct span body = entry->body, rest;
	const unsigned char *at = memmem(body.p, body.len, member,
	    sizeof(member) - 1), *end;
	struct buf time = BUF_INIT(64);
	size_t before;

	if (at == NULL)
		return -1;
	before = (size_t)(at - body.p);
	rest = span_from(body, before + sizeof(member) - 1);
	if (span_index(rest, '"') == -1)
		return -1;
	rest = span_from(rest, (size_t)span_index(rest, '"') + 1);
	end = memmem(rest.p, rest.len, RESTATED, sizeof(RESTATED) - 1);
	if (end != NULL)
		rest.len = (size_t)(end - rest.p);
	buf_clear(out);
	buf_add_span(out, span_head(body, before));
	if (ip[0] != '\0')
		json_add_member_str(out, "ip", ip);
	buf_add_span(out, rest);
	date_format(&time, clock_now_ms());
	buf_addf(out, RESTATED "%s\"", buf_get(&time));
	json_add_member_i64(out, "restates", (int64_t)entry->seq);
	buf_fini(&time);
	return out->overflow ? -1 : 0;
}

static void
say_stays(const struct retention *r, const struct journal_entry *entry)
{
	const struct watch *watch = r->redaction->watch;
	char text[128];

	(void)snprintf(text, sizeof(text), "ledger entry %" PRIu64 " is not of "
	    "our form, and the IP address in it stays: only erasing the "
	    "person removes it", entry->seq);
	watch->warn(text, watch->context);
}

static enum evidence_ip
most_of_ip(const struct retention *r, int64_t at_ms)
{
	if (at_ms <= r->ip_ms)
		return EVIDENCE_IP_OFF;
	return at_ms <= r->full_ip_ms ? EVIDENCE_IP_TRUNCATED :
	    EVIDENCE_IP_FULL;
}

static int
check_grant(struct retention *r, const struct journal_entry *entry,
    struct fail *fail)
{
	struct event event;
	struct fail unused;

	if (!has_text(entry->body, "\"ip\"") ||
	    event_read_body(entry->body, &event, &unused) == -1 ||
	    !evidence_limit_ip(&event.evidence, most_of_ip(r, event.at_ms)) ||
	    is_restricted(r, &event.subject))
		return 0;
	if (restate_body(&r->bodies[r->body_count], entry,
	    event.evidence.ip) == -1) {
		say_stays(r, entry);
		return 0;
	}
	r->address_count++;
	journal_set_add(&r->addresses, entry->seq, entry->seq);
	if (r->dry_run || journal_set_has(&r->restated, entry->seq))
		return 0;
	return ++r->body_count == BATCH ? record_bodies(r, fail) : 0;
}

static void
check_access(struct retention *r, const struct journal_entry *entry)
{
	struct json_object *object;
	struct subject subject;
	struct span time, text;
	struct fail unused;
	int64_t ms;

	if (json_object_parse(entry->object, &object, &unused) == -1)
		return;
	if (json_object_string(object, "time", &time) == 1 &&
	    date_parse(time, &ms) == 0 && ms <= r->requests_ms &&
	    json_object_string(object, "subject", &text) == 1 &&
	    subject_parse(text, &subject) == 0 &&
	    !is_restricted(r, &subject)) {
		r->request_count++;
		journal_set_add(&r->requests, entry->seq, entry->seq);
	}
	json_object_free(&object);
}

static int
check(struct retention *r, const struct journal_entry *entry,
    struct fail *fail)
{
	if (span_is(entry->type, SPAN("event")))
		return check_grant(r, entry, fail);
	if (span_is(entry->type, SPAN("access")))
		check_access(r, entry);
	return 0;
}

/* -- reading and doing -- */

static int
read_ledger(struct retention *r, int (*take)(struct retention *r,
    const struct journal_entry *entry, struct fail *fail),
    struct fail *fail)
{
	const struct watch *watch = r->redaction->watch;
	struct journal_reader *reader;
	struct journal_entry entry;
	int rc;

	if (journal_reader_open(r->redaction->settings->audit.ledger,
	    "ledger", 1, &reader, fail) == -1)
		return -1;
	/* A line that can't be read was told of by whoever applied it. */
	while ((rc = journal_reader_next(reader, &entry, fail)) != 0) {
		if (rc == -1 && fail->class != FAIL_INPUT)
			break;
		if (rc == -1 || entry.blanked)
			continue;
		if (take(r, &entry, fail) == -1) {
			rc = -1;
			break;
		}
		if ((entry.seq & 0xfff) == 0 && watch->is_stopped != NULL &&
		    watch->is_stopped(watch->context)) {
			rc = fail_set(fail, FAIL_TEMP, "interrupted");
			break;
		}
	}
	journal_reader_close(&reader);
	return rc;
}

static int
blank(struct retention *r, struct journal_set *due, const char *why,
    struct fail *fail)
{
	struct redaction redaction = *r->redaction;
	uint64_t unused;

	redaction.why = why;
	journal_set_tidy(due);
	return redaction_entries(&redaction, REDACT_LEDGER, due, &unused,
	    fail);
}

static int
run(struct retention *r, struct fail *fail)
{
	if (read_ledger(r, learn, fail) == -1)
		return -1;
	journal_set_tidy(&r->restated);
	if (read_ledger(r, check, fail) == -1)
		return -1;
	if (r->dry_run)
		return 0;
	if (record_bodies(r, fail) == -1 ||
	    blank(r, &r->addresses, "retention.ip", fail) == -1)
		return -1;
	return blank(r, &r->requests, "retention.requests", fail);
}

/* An erasure that came between would not find what we are about to record. */
static int
run_in_turn(struct retention *r, struct fail *fail)
{
	int lock = redaction_turn(r->redaction, fail), rc;

	if (lock == -1)
		return -1;
	rc = run(r, fail);
	(void)close(lock);
	return rc;
}

int
retention_run(const struct redaction *redaction, int64_t now_ms,
    bool dry_run, struct retention_counts *counts, struct fail *fail)
{
	const struct settings *s = redaction->settings;
	struct retention *r = xcalloc(1, sizeof(*r));
	int rc;

	r->redaction = redaction;
	r->dry_run = dry_run;
	r->full_ip_ms = date_subtract(now_ms, s->retention.full_ip);
	r->ip_ms = date_subtract(now_ms, s->retention.ip);
	r->requests_ms = date_subtract(now_ms, s->retention.requests);
	for (size_t i = 0; i < BATCH; i++)
		buf_init(&r->bodies[i], JOURNAL_BODY_MAX);
	rc = dry_run ? run(r, fail) : run_in_turn(r, fail);
	counts->addresses = r->address_count;
	counts->requests = r->request_count;
	for (size_t i = 0; i < BATCH; i++)
		buf_fini(&r->bodies[i]);
	journal_set_fini(&r->restated);
	journal_set_fini(&r->addresses);
	journal_set_fini(&r->requests);
	free(r->restricted);
	free(r);
	return rc;
}
