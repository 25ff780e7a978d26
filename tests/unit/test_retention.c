/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What is too old goes from a ledger on disk, once, and nothing else does.
 */
#include <sys/wait.h>

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/date.h"
#include "base/file.h"
#include "check.h"
#include "ledger/append.h"
#include "rights/retention.h"

#define NOW_MS	INT64_C(1767603600000)	/* 2026-01-05T09:00:00Z */
#define DAY_MS	INT64_C(86400000)

static char top[] = "/tmp/test_retention.XXXXXX";
static char ledger_path[64];
static int warnings;

static void
on_warning(const char *text, void *context)
{
	(void)text;
	(void)context;
	warnings++;
}

static const struct watch watch = { .warn = on_warning };

static struct journal *
fresh_ledger(void)
{
	static int number;
	struct journal_options options = { .directory = ledger_path,
	    .name = "ledger", .host = "here" };
	struct journal *ledger = NULL;
	struct fail fail;

	(void)snprintf(ledger_path, sizeof(ledger_path), "%s/%d", top,
	    number++);
	CHECK_INT(file_make_directory(ledger_path, &fail), 0);
	CHECK_INT(journal_open(&options, &ledger, NULL, &fail), 0);
	return ledger;
}

static void
record(struct journal *ledger, enum event_kind kind, unsigned person,
    int days, const char *ip)
{
	struct event event = { .kind = kind, .at_ms = NOW_MS - days * DAY_MS };
	struct fail fail;

	event.subject.id[0] = (unsigned char)person;
	if (kind == EVENT_GRANT)
		memcpy(event.list, "weekly", sizeof("weekly"));
	if (kind == EVENT_GRANT)
		memcpy(event.evidence.source, "shop", sizeof("shop"));
	(void)snprintf(event.evidence.ip, sizeof(event.evidence.ip), "%s",
	    ip);
	CHECK_INT(ledger_append(ledger, &event, 1, "ann", &fail), 0);
}

static void
record_access(struct journal *ledger, unsigned person, int days)
{
	struct buf body = BUF_INIT(1024), time = BUF_INIT(64);
	struct fail fail;

	date_format(&time, NOW_MS - days * DAY_MS);
	buf_addf(&body, "\"time\":\"%s\",\"subject\":\"%02x%030x\",\"what\":"
	    "\"opened\"", buf_get(&time), person, 0);
	CHECK_INT(journal_append(ledger, "access", buf_span(&body), true,
	    NULL, &fail), 0);
	buf_fini(&body);
	buf_fini(&time);
}

/* As it stands in consent-milter.conf(5), with 100 and 200 days. */
static const struct settings settings = {
	.audit = { .directory = top, .ledger = ledger_path },
	.retention = { .full_ip = { 0, 100 * DAY_MS },
	    .ip = { 0, 200 * DAY_MS }, .requests = { 0, 200 * DAY_MS } } };

static struct retention_counts
retain_at(struct journal *ledger, int days_on, bool dry_run)
{
	const struct redaction redaction = { .settings = &settings,
	    .ledger = ledger, .actor = "cron", .watch = &watch };
	struct retention_counts counts = { 0 };
	struct fail fail = { .text = "" };

	CHECK_INT(retention_run(&redaction, NOW_MS + days_on * DAY_MS,
	    dry_run, &counts, &fail), 0);
	CHECK_STR(fail.text, "");
	return counts;
}

/* What is left, by person: "ip" of each grant in the order of the ledger, with
 * "+" before one that stands again, and "A" for an access. */
static void
read_back(char out[256], unsigned person)
{
	struct journal_reader *reader;
	struct journal_entry entry;
	struct event event;
	struct fail fail;
	char mark[64];

	out[0] = '\0';
	(void)snprintf(mark, sizeof(mark), "\"subject\":\"%02x", person);
	CHECK_INT(journal_reader_open(ledger_path, "ledger", 1, &reader,
	    &fail), 0);
	while (journal_reader_next(reader, &entry, &fail) == 1) {
		size_t len = strlen(out);

		if (entry.blanked || memmem(entry.body.p, entry.body.len,
		    mark, strlen(mark)) == NULL)
			continue;
		if (span_is(entry.type, SPAN("access"))) {
			(void)snprintf(out + len, 256 - len, "A ");
			continue;
		}
		CHECK_INT(event_read(entry.object, &event, &fail), 0);
		if (event.kind == EVENT_GRANT)
			(void)snprintf(out + len, 256 - len, "%s%s ",
			    event.restated ? "+" : "", event.evidence.ip);
		if (event.kind == EVENT_GRANT)
			CHECK_STR(event.evidence.source, "shop");
	}
	journal_reader_close(&reader);
}

static void
check_left(unsigned person, const char *want)
{
	char have[256];

	read_back(have, person);
	CHECK_STR(have, want);
}

static void
test_addresses(void)
{
	static const struct {
		int days;
		const char *ip, *left;
	} rows[] = {
		{ 99, "192.0.2.77", "192.0.2.77 " },
		{ 100, "192.0.2.77", "+192.0.2.0 " },
		{ 199, "192.0.2.77", "+192.0.2.0 " },
		{ 199, "192.0.2.0", "192.0.2.0 " },
		{ 200, "192.0.2.0", "+ " },
		{ 200, "192.0.2.77", "+ " },
		{ 150, "2001:db8:1:2::7", "+2001:db8:1:: " },
		{ 150, "no address", "+ " },
		{ 900, "", " " },
	};
	unsigned n = sizeof(rows) / sizeof(rows[0]);
	struct journal *ledger = fresh_ledger();
	struct retention_counts counts;

	for (unsigned i = 0; i < n; i++)
		record(ledger, EVENT_GRANT, i, rows[i].days, rows[i].ip);
	counts = retain_at(ledger, 0, true);
	CHECK_INT(counts.addresses, 6);
	check_left(1, "192.0.2.77 ");
	counts = retain_at(ledger, 0, false);
	CHECK_INT(counts.addresses, 6);
	for (unsigned i = 0; i < n; i++) {
		check_case((long)i);
		check_left(i, rows[i].left);
	}
	check_case(-1);
	CHECK_INT(retain_at(ledger, 0, false).addresses, 0);
	/* What was cut down goes when its time has come. */
	CHECK_INT(retain_at(ledger, 100, false).addresses, 5);
	check_left(0, "+192.0.2.0 ");
	check_left(1, "+ ");
	CHECK_INT(retain_at(ledger, 1000, false).addresses, 1);
	check_left(0, "+ ");
	CHECK_INT(warnings, 0);
	journal_close(&ledger);
}

/* The old entry was restated, and the run ended before it was blanked. */
static void
test_interrupted(void)
{
	static const char body[] = "\"time\":\"2025-01-01T00:00:00.000Z\","
	    "\"event\":\"grant\",\"list\":\"weekly\",\"subject\":"
	    "\"01000000000000000000000000000000\",\"at\":"
	    "\"2025-08-19T09:00:00.000Z\",\"source\":\"shop\",\"ip\":"
	    "\"192.0.2.0\",\"actor\":\"ann\",\"restated_at\":"
	    "\"2026-01-05T09:00:00.000Z\",\"restates\":2";
	struct journal *ledger = fresh_ledger();
	struct fail fail;

	record(ledger, EVENT_GRANT, 1, 139, "192.0.2.77");
	CHECK_INT(journal_append(ledger, "event", span_str(body), true, NULL,
	    &fail), 0);
	check_left(1, "192.0.2.77 +192.0.2.0 ");
	CHECK_INT(retain_at(ledger, 0, false).addresses, 1);
	check_left(1, "+192.0.2.0 ");
	CHECK_INT(retain_at(ledger, 0, false).addresses, 0);
	journal_close(&ledger);
}

static void
test_requests(void)
{
	struct journal *ledger = fresh_ledger();

	record_access(ledger, 1, 201);
	record_access(ledger, 1, 199);
	record_access(ledger, 2, 201);
	CHECK_INT(retain_at(ledger, 0, true).requests, 2);
	check_left(1, "A A ");
	CHECK_INT(retain_at(ledger, 0, false).requests, 2);
	check_left(1, "A ");
	check_left(2, "");
	CHECK_INT(retain_at(ledger, 0, false).requests, 0);
	journal_close(&ledger);
}

/* Stored, not used, and not deleted either; the ledger may say so later. */
static void
test_restricted(void)
{
	struct journal *ledger = fresh_ledger();

	record(ledger, EVENT_GRANT, 1, 300, "192.0.2.77");
	record_access(ledger, 1, 300);
	record(ledger, EVENT_GRANT, 2, 300, "192.0.2.77");
	record(ledger, EVENT_RESTRICT, 1, 10, "");
	record(ledger, EVENT_RESTRICT, 2, 10, "");
	record(ledger, EVENT_UNRESTRICT, 2, 9, "");
	CHECK_INT(retain_at(ledger, 0, false).addresses, 1);
	check_left(1, "192.0.2.77 A ");
	check_left(2, "+ ");
	record(ledger, EVENT_UNRESTRICT, 1, 8, "");
	CHECK_INT(retain_at(ledger, 0, false).addresses, 1);
	check_left(1, "+ ");
	journal_close(&ledger);
}

/* Whoever wrote it, our readers take it; but nobody guesses at its text. */
static void
test_foreign_form(void)
{
	static const char body[] = "\"event\":\"grant\",\"list\":\"weekly\","
	    "\"subject\":\"01000000000000000000000000000000\",\"at\":"
	    "\"2020-01-01T00:00:00.000Z\",\"source\":\"shop\","
	    "\"ip\": \"192.0.2.77\"";
	struct journal *ledger = fresh_ledger();
	struct fail fail;

	CHECK_INT(journal_append(ledger, "event", span_str(body), true, NULL,
	    &fail), 0);
	warnings = 0;
	CHECK_INT(retain_at(ledger, 0, false).addresses, 0);
	CHECK_INT(warnings, 1);
	check_left(1, "192.0.2.77 ");
	warnings = 0;
	journal_close(&ledger);
}

static const struct check_test tests[] = {
	{ "addresses", test_addresses },
	{ "interrupted", test_interrupted },
	{ "requests", test_requests },
	{ "restricted", test_restricted },
	{ "foreign_form", test_foreign_form },
};

int
main(void)
{
	pid_t child;
	int rc;

	if (mkdtemp(top) == NULL)
		return 99;
	rc = check_main("retention", tests, sizeof(tests) / sizeof(tests[0]));
	child = fork();
	if (child == 0) {
		(void)execlp("rm", "rm", "-rf", top, (char *)NULL);
		_exit(127);
	}
	(void)waitpid(child, NULL, 0);
	return rc;
}
