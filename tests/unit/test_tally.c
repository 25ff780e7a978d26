/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "milterd/tally.h"

#include "check.h"

#define THREADS	4
#define ROUNDS	10000

static const struct decision granted = { ACTION_ACCEPT, REASON_GRANTED };
static const struct decision withdrawn = { ACTION_REJECT, REASON_WITHDRAWN };

static bool
has(struct tally *tally, const char *line)
{
	struct buf text = BUF_INIT(4 * 1024 * 1024);
	char want[200];
	bool found;

	(void)snprintf(want, sizeof(want), "\nconsent_milter_%s\n", line);
	tally_add_metrics(&text, tally);
	found = !text.overflow && strstr(buf_get(&text), want) != NULL;
	buf_fini(&text);
	return found;
}

static void
test_decisions(void)
{
	static struct tally tally;
	struct tally_list *weekly;

	tally_init(&tally);
	weekly = tally_list(&tally, "weekly");
	CHECK(has(&tally, "decisions_total{list=\"weekly\",action=\"accept\","
	    "reason=\"granted\"} 0"));
	CHECK(!has(&tally, "decisions_total{list=\"weekly\","
	    "action=\"reject\",reason=\"withdrawn\"} 0"));
	tally_decision(weekly, false, granted);
	tally_decision(weekly, false, granted);
	tally_decision(weekly, false, withdrawn);
	tally_decision(weekly, true, withdrawn);
	tally_decision(tally.none, false, (struct decision){ ACTION_ACCEPT,
	    REASON_NOT_BULK });
	CHECK(has(&tally, "decisions_total{list=\"weekly\",action=\"accept\","
	    "reason=\"granted\"} 2"));
	CHECK(has(&tally, "decisions_total{list=\"weekly\",action=\"reject\","
	    "reason=\"withdrawn\"} 1"));
	CHECK(has(&tally, "decisions_total{list=\"weekly\","
	    "action=\"would-reject\",reason=\"withdrawn\"} 1"));
	CHECK(has(&tally, "decisions_total{list=\"-\",action=\"accept\","
	    "reason=\"not-bulk\"} 1"));
}

/* A list keeps its counters, whoever asks; and there is an end to lists. */
static void
test_lists(void)
{
	static struct tally tally;
	struct tally_list *first, *other;
	char id[16];

	tally_init(&tally);
	first = tally_list(&tally, "l0");
	for (int i = 0; i < TALLY_LISTS_MAX + 50; i++) {
		(void)snprintf(id, sizeof(id), "l%d", i);
		(void)tally_list(&tally, id);
	}
	CHECK(tally_list(&tally, "l0") == first);
	other = tally_list(&tally, "one-more");
	CHECK(other == tally_list(&tally, "and-another"));
	CHECK(other != first);
	tally_decision(other, false, granted);
	CHECK(has(&tally, "decisions_total{list=\"_other\","
	    "action=\"accept\",reason=\"granted\"} 1"));
}

static void
test_others(void)
{
	static struct tally tally;

	tally_init(&tally);
	tally_unrecorded(&tally, 3);
	tally_limit(&tally, TALLY_HEADER_BYTES);
	tally_connection(&tally);
	tally_reply(&tally, TALLY_RCPT, 100);
	tally_reply(&tally, TALLY_RCPT, 101);
	tally_reply(&tally, TALLY_EOM, 6000000);
	CHECK(has(&tally, "decisions_unrecorded_total 3"));
	CHECK(has(&tally, "limit_reached_total{limit=\"header_bytes\"} 1"));
	CHECK(has(&tally, "limit_reached_total{limit=\"recipients\"} 0"));
	CHECK(has(&tally, "connections_total 1"));
	CHECK(has(&tally, "reply_duration_seconds_bucket{stage=\"rcpt\","
	    "le=\"0.0001\"} 1"));
	CHECK(has(&tally, "reply_duration_seconds_bucket{stage=\"rcpt\","
	    "le=\"0.00025\"} 2"));
	CHECK(has(&tally, "reply_duration_seconds_count{stage=\"rcpt\"} 2"));
	CHECK(has(&tally,
	    "reply_duration_seconds_sum{stage=\"rcpt\"} 0.000201"));
	CHECK(has(&tally, "reply_duration_seconds_bucket{stage=\"eom\","
	    "le=\"5\"} 0"));
	CHECK(has(&tally, "reply_duration_seconds_bucket{stage=\"eom\","
	    "le=\"+Inf\"} 1"));
}

static void
test_members(void)
{
	static struct tally tally;
	struct buf text = BUF_INIT(4096);

	tally_init(&tally);
	tally_decision(tally_list(&tally, "a"), false, granted);
	tally_decision(tally_list(&tally, "b"), false, granted);
	tally_decision(tally_list(&tally, "b"), true, withdrawn);
	tally_add_members(&text, &tally);
	CHECK_STR(buf_get(&text), "\"decisions\":{\"accept\":2,\"reject\":0,"
	    "\"remove\":0,\"tempfail\":0,\"would-accept\":0,"
	    "\"would-reject\":1,\"would-remove\":0,\"would-tempfail\":0,"
	    "\"unrecorded\":0}");
	buf_fini(&text);
}

static void *
count_many(void *argument)
{
	struct tally *tally = argument;

	for (unsigned i = 0; i < ROUNDS; i++) {
		tally_decision(tally_list(tally, i % 2 == 0 ? "a" : "b"),
		    false, granted);
		tally_reply(tally, TALLY_EOM, i);
	}
	return NULL;
}

static void
test_threads(void)
{
	static struct tally tally;
	pthread_t threads[THREADS];

	tally_init(&tally);
	for (int i = 0; i < THREADS; i++)
		CHECK_INT(pthread_create(&threads[i], NULL, count_many,
		    &tally), 0);
	for (int i = 0; i < THREADS; i++)
		CHECK_INT(pthread_join(threads[i], NULL), 0);
	CHECK(has(&tally, "decisions_total{list=\"a\",action=\"accept\","
	    "reason=\"granted\"} 20000"));
	CHECK(has(&tally, "reply_duration_seconds_count{stage=\"eom\"} "
	    "40000"));
}

static const struct check_test tests[] = {
	{ "decisions", test_decisions },
	{ "lists", test_lists },
	{ "others", test_others },
	{ "members", test_members },
	{ "threads", test_threads },
};

CHECK_MAIN("tally", tests)
