/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Erasures of a ledger on disk.  Whatever the history was, and however often
 * and in which order it was erased: what is left says the same as all of it
 * said, and nothing more.
 */
#include <sys/wait.h>

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "check.h"
#include "consent/record.h"
#include "ledger/append.h"
#include "rights/redaction.h"
#include "some_events.h"

#define PEOPLE	3
#define ROUNDS	60
#define EVENTS	40	/* of a round */

static char top[] = "/tmp/test_redaction.XXXXXX";
static char audit_path[64], ledger_path[80];
static int warnings;

static void
on_warning(const char *text, void *context)
{
	(void)context;
	fprintf(stderr, "%s\n", text);
	warnings++;
}

static const struct watch watch = { .warn = on_warning };

static void
fresh_directories(void)
{
	static int number;
	struct fail fail;

	(void)snprintf(audit_path, sizeof(audit_path), "%s/%d", top,
	    number++);
	(void)snprintf(ledger_path, sizeof(ledger_path), "%s/ledger",
	    audit_path);
	CHECK_INT(file_make_directory(ledger_path, &fail), 0);
}

static struct journal *
open_ledger(void)
{
	const struct journal_options options = { .directory = ledger_path,
	    .name = "ledger", .host = "here" };
	struct journal *ledger = NULL;
	struct fail fail;

	CHECK_INT(journal_open(&options, &ledger, NULL, &fail), 0);
	return ledger;
}

static struct event
make_event(uint64_t *seed)
{
	struct event event = some_event(seed);

	/* Often enough that erasures come in every order. */
	if (some_below(seed, 3) == 0) {
		event.kind = EVENT_ERASE;
		event.list[0] = '\0';
	}
	event.subject.id[0] = (unsigned char)some_below(seed, PEOPLE);
	return event;
}

/* What the ledger says now of each person, in how many erasures; *old counts
 * events that an erasure should have taken with it. */
static void
read_back(struct record records[PEOPLE], int erasures[PEOPLE], int *old)
{
	struct journal_reader *reader;
	struct journal_entry entry;
	struct event event;
	struct fail fail;

	memset(records, 0, PEOPLE * sizeof(*records));
	memset(erasures, 0, PEOPLE * sizeof(*erasures));
	*old = 0;
	for (int pass = 0; pass < 2; pass++) {
		CHECK_INT(journal_reader_open(ledger_path, "ledger", 1,
		    &reader, &fail), 0);
		while (journal_reader_next(reader, &entry, &fail) == 1) {
			struct record *r;

			if (entry.blanked ||
			    !span_is(entry.type, SPAN("event")))
				continue;
			CHECK_INT(event_read(entry.object, &event, &fail), 0);
			r = &records[event.subject.id[0]];
			if (pass == 0)
				record_apply(r, &event);
			else if (event.kind == EVENT_ERASE)
				erasures[event.subject.id[0]]++;
			else if (event.at_ms <= r->erase_ms)
				++*old;
		}
		journal_reader_close(&reader);
	}
}

/* As a run of `erase --replay'. */
static void
erase(struct journal *ledger)
{
	struct journal_set announced[REDACT_JOURNALS] = { { .count = 0 } };
	uint64_t counts[REDACT_JOURNALS] = { 0 };
	struct erasures erasures = { .count = 0 };
	struct settings settings = { .audit = { .directory = audit_path,
	    .ledger = ledger_path } };
	const struct redaction redaction = { .settings = &settings,
	    .ledger = ledger, .actor = "test", .why = "erasure",
	    .watch = &watch };
	struct fail fail;

	CHECK_INT(erasures_read(ledger_path, true, &erasures, announced,
	    &watch, &fail), 0);
	erasures_tidy(&erasures);
	CHECK_INT(redaction_run(&redaction, &erasures, announced, counts,
	    &fail), 0);
	erasures_fini(&erasures);
	for (int i = 0; i < REDACT_JOURNALS; i++)
		journal_set_fini(&announced[i]);
}

static void
test_histories(void)
{
	for (long round = 0; round < ROUNDS; round++) {
		uint64_t seed = (uint64_t)round + 1;
		struct record all[PEOPLE] = { { 0 } }, left[PEOPLE];
		struct journal *ledger;
		int erasures[PEOPLE], old;
		struct fail fail;

		check_case(round);
		fresh_directories();
		ledger = open_ledger();
		for (int i = 0; i < EVENTS; i++) {
			struct event event = make_event(&seed);

			record_apply(&all[event.subject.id[0]], &event);
			CHECK_INT(ledger_append(ledger, &event, 1, "test",
			    &fail), 0);
			if (some_below(&seed, 8) == 0)
				erase(ledger);
		}
		erase(ledger);
		read_back(left, erasures, &old);
		CHECK(memcmp(all, left, sizeof(all)) == 0);
		CHECK_INT(old, 0);
		for (int p = 0; p < PEOPLE; p++)
			CHECK_INT(erasures[p], all[p].erase_ms != 0);
		journal_close(&ledger);
	}
	check_case(-1);
	CHECK_INT(warnings, 0);
}

/* The latest time stays, and of equal ones the last entry. */
static void
test_tidy(void)
{
	static const struct {
		int64_t	 at_ms[3];
		uint64_t seq[3];
		int64_t	 want_ms;
		uint64_t want_seq;
	} rows[] = {
		{ { 100, 50, 20 }, { 5, 9, 12 }, 100, 5 },
		{ { 50, 100, 20 }, { 5, 9, 12 }, 100, 9 },
		{ { 100, 100, 100 }, { 9, 5, 7 }, 100, 9 },
		{ { 100, 100, 50 }, { 0, 3, 8 }, 100, 3 },
		{ { 100, 50, 50 }, { 0, 3, 8 }, 100, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct subject subject = { { 7 } }, other = { { 8 } };
		struct erasures e = { .count = 0 };
		const struct erasure *found;

		check_case((long)i);
		for (size_t k = 0; k < 3; k++)
			erasures_add(&e, &subject, rows[i].at_ms[k],
			    rows[i].seq[k]);
		erasures_add(&e, &other, 1, 1);
		erasures_tidy(&e);
		CHECK_INT(e.count, 2);
		found = erasures_find(&e, &subject);
		CHECK(found != NULL);
		if (found != NULL) {
			CHECK_INT(found->at_ms, rows[i].want_ms);
			CHECK_INT(found->seq, rows[i].want_seq);
		}
		erasures_fini(&e);
	}
	check_case(-1);
}

static const struct check_test tests[] = {
	{ "tidy", test_tidy },
	{ "histories", test_histories },
};

int
main(void)
{
	pid_t child;
	int rc;

	if (mkdtemp(top) == NULL)
		return 99;
	rc = check_main("redaction", tests, sizeof(tests) / sizeof(tests[0]));
	child = fork();
	if (child == 0) {
		(void)execlp("rm", "rm", "-rf", top, (char *)NULL);
		_exit(127);
	}
	(void)waitpid(child, NULL, 0);
	return rc;
}
