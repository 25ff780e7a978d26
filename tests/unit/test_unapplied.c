/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What lies on top of Redis' answer while a ledger, the file `.applied' and
 * the number that Redis has say this and that.  The thread looks several times
 * a second; each expectation is waited for.
 */
#include <sys/stat.h>

#include <glob.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/xalloc.h"
#include "check.h"
#include "ledger/append.h"
#include "milterd/unapplied.h"

#define WAIT_MS		20000
#define AGAIN_MS	2000
#define BUSY_EVENTS	30000
#define BUSY_THREADS	16
#define GRANT_MS	INT64_C(1764000000000)
#define WITHDRAW_MS	INT64_C(1764000000001)
#define LATE_MS		INT64_C(1764000000002)
#define LAST_MS		INT64_C(1764000000003)

static char top[] = "/tmp/test_unapplied.XXXXXX";
static const struct subject who = { { 1 } };

/* What Redis says; above all entries: it is away. */
#define AWAY	UINT64_MAX
static _Atomic uint64_t in_redis;
static _Atomic uint64_t connected;	/* the number of the connection to it */

static int
ask(const char *id, unsigned *partitions, uint64_t *connection,
    uint64_t *seqs, void *context, struct fail *fail)
{
	uint64_t now = atomic_load(&in_redis);

	(void)context;
	*partitions = 1;
	*connection = atomic_load(&connected);
	CHECK(id == NULL || strlen(id) == 16);
	if (id == NULL || now == AWAY)
		return fail_set(fail, FAIL_TEMP, "away");
	seqs[0] = now;
	return 0;
}

static void
set_applied_in(const char *directory, uint64_t seq)
{
	char path[128], text[32];
	struct fail fail;

	(void)snprintf(path, sizeof(path), "%s/.applied", directory);
	(void)snprintf(text, sizeof(text), "%llu\n", (unsigned long long)seq);
	CHECK_INT(file_replace(path, span_str(text), 0640, &fail), 0);
}

static void
set_applied(uint64_t seq)
{
	set_applied_in(top, seq);
}

/* One of the test's own, in a directory of that name below `top'. */
static struct journal *
new_ledger(const char *name, char *directory, size_t size)
{
	struct journal_options options = { .directory = directory,
	    .name = "ledger", .host = "test" };
	struct journal *ledger;
	struct fail fail;
	uint64_t recovered;

	(void)snprintf(directory, size, "%s/%s", top, name);
	CHECK_INT(mkdir(directory, 0700), 0);
	CHECK_INT(journal_open(&options, &ledger, &recovered, &fail), 0);
	return ledger;
}

static void
record(struct journal *ledger, enum event_kind kind, int64_t at_ms)
{
	struct event event = { .kind = kind, .subject = who,
	    .list = "weekly", .at_ms = at_ms };
	struct fail fail;

	CHECK_INT(ledger_append(ledger, &event, 1, "test", &fail), 0);
}

static struct record
on_top(struct unapplied *u)
{
	struct record r = { .grant_ms = 0 };
	struct fail fail;

	if (unapplied_waits(u))
		CHECK_INT(unapplied_apply(u, &who, "weekly", &r, &fail), 0);
	return r;
}

/* At once, and up to where it has been forgotten. */
static uint64_t
view(struct unapplied *u, int64_t withdraw_ms)
{
	struct record r = { .grant_ms = 1 };
	uint64_t seq = 0;
	struct unapplied_view view = { .records = &r, .seqs = &seq };
	struct fail fail;

	CHECK_INT(unapplied_view(u, 1, &who, 1, "weekly", &view, &fail), 0);
	CHECK_INT((int64_t)strlen(view.id), 16);
	CHECK_INT(r.grant_ms, 0);
	CHECK_INT(r.withdraw_ms, withdraw_ms);
	return seq;
}

static void
expect(struct unapplied *u, int64_t grant_ms, int64_t withdraw_ms)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	int64_t until = clock_monotonic_ms() + WAIT_MS;
	struct record r = on_top(u);

	while ((r.grant_ms != grant_ms || r.withdraw_ms != withdraw_ms) &&
	    clock_monotonic_ms() < until) {
		(void)nanosleep(&pause, NULL);
		r = on_top(u);
	}
	CHECK_INT(r.grant_ms, grant_ms);
	CHECK_INT(r.withdraw_ms, withdraw_ms);
}

/* Entry 1 begins the segment, 2 is the grant, 3 the withdrawal. */
static void
test_follow(void)
{
	struct journal_options journal = { .directory = top, .name = "ledger",
	    .host = "test" };
	struct unapplied_options options = { .ledger = top, .ask = ask };
	const struct timespec pause = { .tv_nsec = 700000000 };
	struct unapplied_view none = { .records = NULL };
	struct journal *ledger;
	struct unapplied *u;
	struct fail fail;
	uint64_t recovered;

	CHECK_INT(journal_open(&journal, &ledger, &recovered, &fail), 0);
	record(ledger, EVENT_GRANT, GRANT_MS);
	record(ledger, EVENT_WITHDRAW, WITHDRAW_MS);
	atomic_store(&in_redis, AWAY);
	CHECK_INT(unapplied_new(&options, &u, &fail), 0);
	check_case(1);	/* nothing is confirmed */
	expect(u, GRANT_MS, WITHDRAW_MS);
	check_case(2);	/* all is, as far as the file knows */
	set_applied(3);
	expect(u, 0, 0);
	check_case(3);	/* Redis comes with less: opt-ins wait for it */
	atomic_store(&in_redis, 1);
	expect(u, 0, WITHDRAW_MS);
	check_case(4);	/* and goes away again */
	atomic_store(&in_redis, AWAY);
	expect(u, 0, WITHDRAW_MS);
	check_case(5);	/* it has got it */
	atomic_store(&in_redis, 3);
	expect(u, 0, 0);
	check_case(6);	/* who applies has noticed first */
	set_applied(1);
	expect(u, 0, WITHDRAW_MS);
	check_case(7);	/* a new opt-in counts, the old one does not */
	record(ledger, EVENT_GRANT, LATE_MS);
	expect(u, LATE_MS, WITHDRAW_MS);
	check_case(8);	/* Redis is ahead of the file: after a crash */
	atomic_store(&in_redis, 4);
	expect(u, LATE_MS, WITHDRAW_MS);
	set_applied(4);
	expect(u, 0, 0);
	CHECK(!unapplied_waits(u));
	check_case(9);	/* flushed */
	atomic_store(&in_redis, 0);
	expect(u, 0, WITHDRAW_MS);
	check_case(10);	/* at once, for who looks up in a replica */
	atomic_store(&in_redis, 4);
	expect(u, 0, 0);
	record(ledger, EVENT_WITHDRAW, LAST_MS);
	CHECK_INT((int64_t)view(u, LAST_MS), 4);
	check_case(11);	/* the primary has it, the replica has not */
	set_applied(5);
	(void)nanosleep(&pause, NULL);
	expect(u, 0, LAST_MS);
	CHECK_INT((int64_t)view(u, LAST_MS), 4);
	atomic_store(&in_redis, 5);
	expect(u, 0, 0);
	CHECK_INT((int64_t)view(u, 0), 5);
	check_case(12);	/* it starts again with an old dump */
	atomic_store(&in_redis, 2);
	expect(u, 0, LAST_MS);
	CHECK_INT((int64_t)view(u, LAST_MS), 2);
	check_case(13);	/* so does one that is asked without a replica */
	atomic_store(&in_redis, 5);
	expect(u, 0, 0);
	atomic_store(&in_redis, 2);
	atomic_store(&connected, 8);
	CHECK_INT(unapplied_compare(u, 8, &fail), 0);
	CHECK_INT(on_top(u).withdraw_ms, LAST_MS);
	check_case(14);	/* it has gone again, and has not been asked */
	atomic_store(&in_redis, AWAY);
	CHECK_INT(unapplied_compare(u, 8, &fail), 0);
	CHECK_INT(unapplied_compare(u, 9, &fail), -1);
	CHECK_INT(fail.class, FAIL_TEMP);
	CHECK(strstr(fail.text, "away") != NULL);
	check_case(15);	/* of another number of partitions nothing is known */
	CHECK_INT(unapplied_view(u, 256, &who, 1, "weekly", &none, &fail), -1);
	CHECK_INT(fail.class, FAIL_TEMP);
	journal_close(&ledger);
}

/* A writer whose disk is full takes back an opt-in that we have read: it was
 * never recorded. */
static void
test_taken_back(void)
{
	char directory[64], pattern[96];
	struct journal_options journal = { .directory = directory,
	    .name = "ledger", .host = "test" };
	struct unapplied_options options = { .ledger = directory, .ask = ask };
	struct journal *ledger = new_ledger("taken-back", directory,
	    sizeof(directory));
	struct unapplied *u;
	struct stat st;
	struct fail fail;
	uint64_t recovered;
	glob_t found;

	atomic_store(&in_redis, AWAY);
	record(ledger, EVENT_UNPROVEN, GRANT_MS);
	(void)snprintf(pattern, sizeof(pattern), "%s/ledger*.jsonl",
	    directory);
	CHECK_INT(glob(pattern, 0, NULL, &found), 0);
	CHECK_INT(stat(found.gl_pathv[0], &st), 0);
	CHECK_INT(unapplied_new(&options, &u, &fail), 0);
	record(ledger, EVENT_GRANT, GRANT_MS);
	expect(u, GRANT_MS, 0);
	journal_close(&ledger);
	CHECK_INT(truncate(found.gl_pathv[0], st.st_size), 0);
	globfree(&found);
	CHECK_INT(journal_open(&journal, &ledger, &recovered, &fail), 0);
	record(ledger, EVENT_WITHDRAW, WITHDRAW_MS);
	expect(u, 0, WITHDRAW_MS);
	journal_close(&ledger);
}

/* While the ledger is read again, what waits is never taken for nothing. */
static void
test_read_again(void)
{
	struct journal_options journal = { .directory = top,
	    .name = "ledger", .host = "test" };
	struct unapplied_options options = { .ledger = top, .ask = ask };
	struct span bodies[1000];
	struct journal *ledger;
	struct unapplied *u;
	struct fail fail;
	uint64_t recovered;
	int64_t until;

	atomic_store(&in_redis, AWAY);
	CHECK_INT(journal_open(&journal, &ledger, &recovered, &fail), 0);
	for (size_t i = 0; i < 1000; i++)
		bodies[i] = SPAN("\"what\":\"nothing that counts\"");
	for (size_t i = 0; i < 30; i++)
		CHECK_INT(journal_append_many(ledger, "access", bodies, 1000,
		    false, &fail), 0);
	record(ledger, EVENT_WITHDRAW, LATE_MS);
	set_applied(5);
	CHECK_INT(unapplied_new(&options, &u, &fail), 0);
	expect(u, 0, LATE_MS);
	set_applied(4);
	until = clock_monotonic_ms() + AGAIN_MS;
	while (unapplied_waits(u) && clock_monotonic_ms() < until)
		;
	CHECK(unapplied_waits(u));
	CHECK(clock_monotonic_ms() >= until);
	journal_close(&ledger);
}

static atomic_bool is_quiet;

/* Somebody whom no event is about, and who is sought among all of them. */
static void *
look_up(void *u)
{
	const struct subject other = { { who.id[0], who.id[1], 1 } };
	struct record r;
	struct fail fail;

	while (!atomic_load(&is_quiet))
		CHECK_INT(unapplied_apply(u, &other, "weekly", &r, &fail), 0);
	return NULL;
}

/* However many look up, and each for long, the ledger is followed. */
static void
test_busy(void)
{
	char directory[64];
	struct unapplied_options options = { .ledger = directory, .ask = ask };
	struct event *events = xcalloc(BUSY_EVENTS, sizeof(*events));
	pthread_t threads[BUSY_THREADS];
	struct journal *ledger = new_ledger("busy", directory,
	    sizeof(directory));
	struct unapplied *u;
	struct fail fail;

	atomic_store(&in_redis, AWAY);
	for (size_t i = 0; i < BUSY_EVENTS; i++)
		events[i] = (struct event){ .kind = EVENT_WITHDRAW,
		    .subject = who, .list = "weekly", .at_ms = WITHDRAW_MS };
	CHECK_INT(ledger_append(ledger, events, BUSY_EVENTS, "test", &fail),
	    0);
	free(events);
	CHECK_INT(unapplied_new(&options, &u, &fail), 0);
	for (size_t i = 0; i < BUSY_THREADS; i++)
		CHECK_INT(pthread_create(&threads[i], NULL, look_up, u), 0);
	record(ledger, EVENT_WITHDRAW, LATE_MS);
	expect(u, 0, LATE_MS);
	atomic_store(&is_quiet, true);
	for (size_t i = 0; i < BUSY_THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	journal_close(&ledger);
}

/* Each person finds their own events among those of many who begin alike, also
 * when some of them are confirmed. */
#define CROWD		2000

static struct subject
person(size_t i)
{
	return (struct subject){ { (unsigned char)(i % 7), 0,
	    (unsigned char)i, (unsigned char)(i >> 8) } };
}

static void
check_crowd(struct unapplied *u, size_t confirmed)
{
	struct fail fail;

	for (size_t i = 0; i < CROWD; i++) {
		struct subject subject = person(i);
		struct record r = { .grant_ms = 0 };

		check_case(i);
		CHECK_INT(unapplied_apply(u, &subject, "weekly", &r, &fail),
		    0);
		CHECK_INT(r.grant_ms, i < confirmed ? 0 :
		    GRANT_MS + (int64_t)i);
		CHECK_INT(r.withdraw_ms, i % 2 == 0 ? LATE_MS + (int64_t)i :
		    0);
	}
}

static void
test_crowd(void)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	char directory[64];
	struct unapplied_options options = { .ledger = directory, .ask = ask };
	struct event *events = xcalloc(2 * CROWD, sizeof(*events));
	struct journal *ledger = new_ledger("crowd", directory,
	    sizeof(directory));
	struct unapplied_state state;
	size_t count = 0;
	struct unapplied *u;
	struct fail fail;

	atomic_store(&in_redis, 0);
	/* Entry 1 begins the segment. */
	for (size_t i = 0; i < CROWD; i++)
		events[count++] = (struct event){ .kind = EVENT_GRANT,
		    .subject = person(i), .list = "weekly",
		    .at_ms = GRANT_MS + (int64_t)i };
	for (size_t i = 0; i < CROWD; i += 2)
		events[count++] = (struct event){ .kind = EVENT_WITHDRAW,
		    .subject = person(i), .list = "weekly",
		    .at_ms = LATE_MS + (int64_t)i };
	CHECK_INT(ledger_append(ledger, events, count, "test", &fail), 0);
	free(events);
	CHECK_INT(unapplied_new(&options, &u, &fail), 0);
	check_crowd(u, 0);
	/* The grants of the first half are. */
	atomic_store(&in_redis, 1 + CROWD / 2);
	set_applied_in(directory, 1 + CROWD / 2);
	do {
		(void)nanosleep(&pause, NULL);
		unapplied_get(u, &state);
	} while (state.events > count - CROWD / 2);
	CHECK_INT((int64_t)state.events, (int64_t)count - CROWD / 2);
	check_crowd(u, CROWD / 2);
	journal_close(&ledger);
}

static bool
has_lost(struct unapplied *u)
{
	bool *lost = unapplied_lost(u, &who, 1), answer = lost != NULL;

	CHECK(lost == NULL || *lost);
	free(lost);
	return answer;
}

static void
expect_lost(struct unapplied *u, bool want)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	int64_t until = clock_monotonic_ms() + WAIT_MS;
	struct unapplied_state state;

	while (has_lost(u) != want && clock_monotonic_ms() < until)
		(void)nanosleep(&pause, NULL);
	CHECK_INT(has_lost(u), want);
	/* What passes by itself is not told. */
	unapplied_get(u, &state);
	CHECK(want || !state.has_lost);
}

/* Entry 2 is the grant. */
static void
test_lost(void)
{
	char directory[64];
	struct unapplied_options options = { .ledger = directory, .ask = ask };
	struct journal *ledger = new_ledger("lost", directory,
	    sizeof(directory));
	struct unapplied_state state = { .has_lost = false };
	struct unapplied *u, *second;
	struct fail fail;

	record(ledger, EVENT_GRANT, GRANT_MS);
	atomic_store(&in_redis, 2);
	set_applied_in(directory, 2);
	CHECK_INT(unapplied_new(&options, &u, &fail), 0);
	check_case(1);	/* it has all */
	CHECK(!has_lost(u));
	check_case(2);	/* and then less */
	atomic_store(&in_redis, 1);
	expect_lost(u, true);
	CHECK_INT(on_top(u).grant_ms, 0);
	check_case(3);	/* who starts now knows at once */
	CHECK_INT(unapplied_new(&options, &second, &fail), 0);
	CHECK(has_lost(second));
	check_case(4);	/* it can't be asked: as before */
	atomic_store(&in_redis, AWAY);
	CHECK_INT(unapplied_compare(u, UINT64_MAX, &fail), -1);
	CHECK(has_lost(u));
	check_case(50);	/* and it is told, when it stays so */
	atomic_store(&in_redis, 1);
	for (int64_t until = clock_monotonic_ms() + WAIT_MS;
	    !state.has_lost && clock_monotonic_ms() < until;
	    unapplied_get(u, &state))
		(void)usleep(20000);
	CHECK(state.has_lost);
	check_case(5);	/* who applies begins anew */
	set_applied_in(directory, 1);
	atomic_store(&in_redis, 1);
	CHECK(has_lost(u));
	atomic_store(&in_redis, 2);
	set_applied_in(directory, 2);
	expect_lost(u, false);
	check_case(6);	/* of what was never confirmed nothing is lost */
	record(ledger, EVENT_GRANT, LATE_MS);
	expect(u, LATE_MS, 0);
	CHECK(!has_lost(u));
	check_case(7);	/* nor of what the ledger hasn't got itself */
	atomic_store(&in_redis, 3);
	set_applied_in(directory, 50);
	expect(u, 0, 0);
	CHECK_INT(unapplied_new(&options, &second, &fail), 0);
	CHECK(!has_lost(second));
	CHECK(!has_lost(u));
	check_case(8);	/* one more is confirmed, and Redis goes away */
	(void)usleep(700000);
	record(ledger, EVENT_WITHDRAW, LAST_MS);
	set_applied_in(directory, 4);
	atomic_store(&in_redis, AWAY);
	(void)usleep(1000000);
	CHECK(!has_lost(u));
	journal_close(&ledger);
}

/* A part of the ledger was put back under another number as well. */
static void
test_numbers_that_come_again(void)
{
	char directory[64], command[256];
	struct unapplied_options options = { .ledger = directory, .ask = ask };
	struct journal *ledger = new_ledger("again", directory,
	    sizeof(directory));
	struct record r = { .grant_ms = 0 };
	struct unapplied *u;
	struct fail fail;

	atomic_store(&in_redis, 0);
	for (int i = 0; i < 5; i++)
		record(ledger, EVENT_GRANT, GRANT_MS);
	journal_close(&ledger);
	(void)snprintf(command, sizeof(command), "cd %s && tail -n +3 "
	    "ledger-*.jsonl >ledger-99991231-000002.jsonl", directory);
	CHECK_INT(system(command), 0);
	(void)alarm(WAIT_MS / 1000);
	CHECK_INT(unapplied_new(&options, &u, &fail), 0);
	(void)alarm(0);
	CHECK(unapplied_waits(u));
	CHECK_INT(unapplied_apply(u, &who, "weekly", &r, &fail), -1);
	CHECK_INT(fail.class, FAIL_TEMP);
	CHECK(strstr(fail.text, "consentctl verify") != NULL);
}

#define VAIN_THREADS	40

static atomic_int asked;

static int
ask_in_vain(const char *id, unsigned *partitions, uint64_t *connection,
    uint64_t *seqs, void *context, struct fail *fail)
{
	const struct timespec pause = { .tv_nsec = 200000000 };

	(void)id;
	(void)seqs;
	(void)context;
	*partitions = 1;
	*connection = 7;
	atomic_fetch_add(&asked, 1);
	(void)nanosleep(&pause, NULL);
	return fail_set(fail, FAIL_TEMP, "it hangs");
}

static void *
compare(void *context)
{
	struct fail fail;

	CHECK_INT(unapplied_compare(context, 7, &fail), -1);
	CHECK(strstr(fail.text, "it hangs") != NULL);
	return NULL;
}

/* Nobody waits for the time-outs of all others. */
static void
test_compared_in_vain(void)
{
	char directory[64];
	struct unapplied_options options = { .ledger = directory,
	    .ask = ask_in_vain };
	struct journal *ledger = new_ledger("vain", directory,
	    sizeof(directory));
	pthread_t threads[VAIN_THREADS];
	struct unapplied *u;
	struct fail fail;

	record(ledger, EVENT_GRANT, GRANT_MS);
	CHECK_INT(unapplied_new(&options, &u, &fail), 0);
	atomic_store(&asked, 0);
	for (size_t i = 0; i < VAIN_THREADS; i++)
		CHECK_INT(pthread_create(&threads[i], NULL, compare, u), 0);
	for (size_t i = 0; i < VAIN_THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	CHECK(atomic_load(&asked) < VAIN_THREADS / 2);
	journal_close(&ledger);
}

static const struct check_test tests[] = {
	{ "lost", test_lost },
	{ "numbers that come again", test_numbers_that_come_again },
	{ "compared in vain", test_compared_in_vain },
	{ "crowd", test_crowd },
	{ "busy", test_busy },
	{ "follow", test_follow },
	{ "read again", test_read_again },
	{ "taken back", test_taken_back },
};

int
main(void)
{
	char command[128];
	int rc;

	if (mkdtemp(top) == NULL)
		return EXIT_FAILURE;
	rc = check_main("test_unapplied", tests,
	    sizeof(tests) / sizeof(tests[0]));
	/* The thread stays; what it misses then, it defers mail for. */
	(void)snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command) == 0 ? rc : EXIT_FAILURE;
}
