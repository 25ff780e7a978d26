/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Erasure (GDPR Art. 17).  The event is recorded first: from then on the person
 * is blocked, on all hosts, and whatever interrupts the rest, running it again
 * completes it.  The event itself, which names a keyed pseudonym and a time,
 * stays as the suppression (Art. 17(3)(b), 21(3)).
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "base/date.h"
#include "base/json.h"
#include "base/xalloc.h"
#include "consent/decision.h"
#include "ctl/ctl.h"

#define RECEIPT_BYTES	10

struct erase {
	struct ctl	*ctl;
	bool		 json, list, replay, dry_run;
	struct erasures	 own;		/* of our ledger */
	struct erasures	 wanted;	/* whose entries go now */
	struct journal_set announced[REDACT_JOURNALS];
	uint64_t	 counts[REDACT_JOURNALS];
	size_t		 recorded;	/* erasures that are new here */
	bool		 in_redis;
	bool		 compacted;
};

/* Returns -1 to go on, or an exit code. */
static int
parse(struct erase *e, int argc, char **argv)
{
	int c;

	while ((c = ctl_getopt(argc, argv)) != -1)
		switch (c) {
		case 'l':
			e->list = true;
			break;
		case 'r':
			e->replay = true;
			break;
		case 'j':
			e->json = true;
			break;
		case 'n':
			e->dry_run = true;
			break;
		case 'h':
			return EX_OK;
		default:
			return EX_USAGE;
		}
	if (e->list && (e->replay || e->json || e->dry_run ||
	    optind < argc))
		return ctl_usage(argv[0], "--list stands alone");
	if (!e->list && !e->replay && optind == argc)
		return ctl_usage(argv[0], "wants an address");
	return -1;
}

/* For who keeps it beside the backups. */
static int
print_list(const struct erase *e)
{
	for (size_t i = 0; i < e->own.count; i++) {
		struct event event = { .kind = EVENT_ERASE,
		    .subject = e->own.all[i].subject,
		    .at_ms = e->own.all[i].at_ms };
		struct buf out = BUF_INIT(1024);

		event_format(&out, &event);
		printf("{%s}\n", buf_get(&out));
		buf_fini(&out);
	}
	return EX_OK;
}

/* The people on the command line, from now on. */
static int
take_addresses(struct erase *e, char **addresses, size_t n)
{
	int rc = ctl_need_keys(e->ctl);

	for (size_t i = 0; rc == EX_OK && i < n; i++) {
		struct address address;
		struct subject subject;

		rc = ctl_subject(e->ctl, addresses[i], &address, &subject);
		if (rc == EX_OK)
			erasures_add(&e->wanted, &subject,
			    ledger_opt_out_ms(e->ctl, &subject, NULL), 0);
	}
	return rc;
}

/* One from the future would keep out every opt-in until then. */
static int
check_times(const struct erase *e, size_t from, const char *path)
{
	for (size_t i = from; i < e->wanted.count; i++)
		if (e->wanted.all[i].at_ms > e->ctl->now_ms +
		    DECISION_CLOCK_SKEW_MS) {
			ctl_warn("%s: an erasure in it is from the future; "
			    "compare the clocks, or mend the list", path);
			return EX_DATAERR;
		}
	return EX_OK;
}

/* What other ledgers and lists hold, and everything of our own. */
static int
take_replay(struct erase *e, char **paths, size_t n)
{
	int rc = EX_OK;

	for (size_t i = 0; rc == EX_OK && i < n; i++) {
		size_t before = e->wanted.count;

		rc = ctl_read_erasures(paths[i], false, &e->wanted, NULL);
		if (rc == EX_OK)
			rc = check_times(e, before, paths[i]);
	}
	for (size_t i = 0; i < e->own.count; i++)
		erasures_add(&e->wanted, &e->own.all[i].subject,
		    e->own.all[i].at_ms, e->own.all[i].seq);
	return rc;
}

/* Erasures that our ledger does not have, or has earlier. */
static size_t
new_events(const struct erase *e, struct event *events)
{
	size_t n = 0;

	for (size_t i = 0; i < e->wanted.count; i++) {
		const struct erasure *want = &e->wanted.all[i];
		const struct erasure *have = erasures_find(&e->own,
		    &want->subject);

		if (have != NULL && have->at_ms >= want->at_ms)
			continue;
		events[n++] = (struct event){ .kind = EVENT_ERASE,
		    .subject = want->subject, .at_ms = want->at_ms };
	}
	return n;
}

static int
record(struct erase *e)
{
	struct event *events = xcalloc(e->wanted.count + 1, sizeof(*events));
	bool recorded = false;
	int rc;

	e->recorded = new_events(e, events);
	rc = ledger_record(e->ctl, events, e->recorded, &recorded);
	free(events);
	e->in_redis = rc == EX_OK;
	/* Redis may wait; the journals need not. */
	return recorded ? EX_OK : rc;
}

/* Our ledger again, now with the numbers of the new entries. */
static int
read_own(struct erase *e)
{
	int rc;

	erasures_fini(&e->own);
	for (int i = 0; i < REDACT_JOURNALS; i++)
		journal_set_fini(&e->announced[i]);
	rc = ctl_read_erasures(e->ctl->settings->audit.ledger, true, &e->own,
	    e->announced);
	erasures_tidy(&e->own);
	return rc;
}

static void
number_wanted(struct erase *e)
{
	for (size_t i = 0; i < e->wanted.count; i++) {
		struct erasure *want = &e->wanted.all[i];
		const struct erasure *have = erasures_find(&e->own,
		    &want->subject);

		if (have != NULL && have->at_ms >= want->at_ms)
			*want = *have;
		else
			want->seq = UINT64_MAX;
	}
}

static void
compact(struct erase *e)
{
	struct fail fail;

	if (!e->in_redis)
		return;
	if (store_compact(e->ctl->store, &e->compacted, &fail) == -1 ||
	    !e->compacted)
		ctl_warn("Redis was not asked to rewrite its files, which "
		    "hold what was erased until it does: %s", fail.text);
}

static void
add_counts(struct buf *out, const struct erase *e)
{
	json_add_member_i64(out, "persons", (int64_t)e->wanted.count);
	json_add_member_i64(out, "recorded", (int64_t)e->recorded);
	json_add_member_i64(out, "ledger_entries_blanked",
	    (int64_t)e->counts[REDACT_LEDGER]);
	json_add_member_i64(out, "decisions_blanked",
	    (int64_t)e->counts[REDACT_DECISIONS]);
}

static void
receipt_json(const struct erase *e, const char *id, const char *time)
{
	struct buf out = BUF_INIT(4096);

	buf_add_char(&out, '{');
	json_add_member_str(&out, "receipt", id);
	json_add_member_str(&out, "time", time);
	add_counts(&out, e);
	json_add_member_bool(&out, "redis_erased", e->in_redis);
	json_add_member_bool(&out, "redis_files_rewritten", e->compacted);
	json_add_member_str(&out, "kept", "keyed suppression "
	    "(GDPR Art. 17(3)(b), 21(3))");
	buf_add_char(&out, '}');
	puts(buf_get(&out));
	buf_fini(&out);
}

/* Says what was done to how much, and nothing about whom. */
static void
print_receipt(const struct erase *e)
{
	struct buf id = BUF_INIT(64), time = BUF_INIT(64);
	unsigned char bytes[RECEIPT_BYTES];

	crypto_random(bytes, sizeof(bytes));
	base32_format(&id, bytes, sizeof(bytes));
	date_format(&time, e->ctl->now_ms);
	if (e->json)
		receipt_json(e, buf_get(&id), buf_get(&time));
	else {
		printf("Receipt %s, %s\n", buf_get(&id), buf_get(&time));
		printf("  persons erased               %zu (%zu of them now)\n",
		    e->wanted.count, e->recorded);
		printf("  entries of the ledger        %" PRIu64 " blanked\n",
		    e->counts[REDACT_LEDGER]);
		printf("  entries of the decision log  %" PRIu64 " blanked\n",
		    e->counts[REDACT_DECISIONS]);
		printf("  consent store                %s\n", e->in_redis ?
		    "erased" : "waits; blocked all the same");
		printf("  files of the consent store   %s\n", e->compacted ?
		    "being rewritten" : "not rewritten yet");
		puts("  kept: a keyed suppression, so that nothing brings "
		    "the person back\n        (GDPR Art. 17(3)(b), 21(3))");
		puts("  not reached from here: the mail log, backups, other "
		    "hosts' logs\n        (there: consentctl erase --replay)");
	}
	buf_fini(&id);
	buf_fini(&time);
}

/* What it would do, and nothing of it. */
static int
plan(struct erase *e)
{
	struct event *events = xcalloc(e->wanted.count + 1, sizeof(*events));
	struct buf out = BUF_INIT(1024);
	int rc;

	e->recorded = new_events(e, events);
	free(events);
	number_wanted(e);
	rc = ctl_redact(e->ctl, &e->wanted, NULL, NULL, e->counts);
	if (rc != EX_OK)
		return rc;
	if (e->json) {
		buf_add_char(&out, '{');
		json_add_member_bool(&out, "dry_run", true);
		add_counts(&out, e);
		buf_add_char(&out, '}');
		puts(buf_get(&out));
	} else {
		puts("Nothing is changed (--dry-run)");
		printf("  persons                      %zu would be erased, %zu "
		    "of them now\n", e->wanted.count, e->recorded);
		printf("  entries of the ledger        %" PRIu64 " would be "
		    "blanked\n", e->counts[REDACT_LEDGER]);
		printf("  entries of the decision log  %" PRIu64 " would be "
		    "blanked\n", e->counts[REDACT_DECISIONS]);
	}
	buf_fini(&out);
	return EX_OK;
}

static int
run(struct erase *e, char **arguments, size_t n)
{
	struct ctl *ctl = e->ctl;
	int rc = ctl_need_settings(ctl);

	if (rc != EX_OK || (rc = read_own(e)) != EX_OK)
		return rc;
	if (e->list)
		return print_list(e);
	rc = e->replay ? take_replay(e, arguments, n) :
	    take_addresses(e, arguments, n);
	if (rc != EX_OK)
		return rc;
	erasures_tidy(&e->wanted);
	if (e->dry_run)
		return plan(e);
	if ((rc = record(e)) != EX_OK || (rc = read_own(e)) != EX_OK)
		return rc;
	number_wanted(e);
	rc = ctl_redact(ctl, &e->wanted, e->announced, "erasure",
	    e->counts);
	if (rc != EX_OK)
		return rc;
	compact(e);
	print_receipt(e);
	return e->in_redis ? EX_OK : EX_TEMPFAIL;
}

int
command_erase(struct ctl *ctl, int argc, char **argv)
{
	struct erase e = { .ctl = ctl };
	int rc = parse(&e, argc, argv);

	if (rc == -1)
		rc = run(&e, argv + optind, (size_t)(argc - optind));
	erasures_fini(&e.own);
	erasures_fini(&e.wanted);
	for (int i = 0; i < REDACT_JOURNALS; i++)
		journal_set_fini(&e.announced[i]);
	return rc;
}
