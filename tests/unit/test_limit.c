/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/limit.h"

#include "check.h"

#define NOW_MS	INT64_C(1795000000000)

static unsigned
take_many(struct limit *l, const char *key, int64_t now_ms, unsigned n)
{
	unsigned allowed = 0;

	for (unsigned i = 0; i < n; i++)
		allowed += limit_take(l, span_str(key), now_ms);
	return allowed;
}

static void
test_burst_and_rate(void)
{
	struct limit *l = limit_new(3, 1000, 64);

	CHECK_INT(take_many(l, "a", NOW_MS, 10), 3);
	CHECK_INT(take_many(l, "a", NOW_MS + 999, 10), 0);
	CHECK_INT(take_many(l, "a", NOW_MS + 1000, 10), 1);
	CHECK_INT(take_many(l, "a", NOW_MS + 3500, 10), 2);
	/* Being quiet for long saves up no more than the burst. */
	CHECK_INT(take_many(l, "a", NOW_MS + 900000, 10), 3);
	limit_free(&l);
}

static void
test_keys_are_apart(void)
{
	struct limit *l = limit_new(1, 1000, 1024);
	char key[32];
	unsigned allowed = 0;

	for (int i = 0; i < 100; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i);
		allowed += take_many(l, key, NOW_MS, 3);
	}
	CHECK_INT(allowed, 100);
	CHECK(limit_take(l, SPAN(""), NOW_MS));
	CHECK(!limit_take(l, SPAN(""), NOW_MS));
	limit_free(&l);
}

/* An hour back, and an hour forth. */
static void
test_clock(void)
{
	struct limit *l = limit_new(2, 1000, 64);

	CHECK_INT(take_many(l, "a", NOW_MS, 5), 2);
	CHECK_INT(take_many(l, "a", NOW_MS - 3600000, 5), 2);
	CHECK_INT(take_many(l, "a", NOW_MS + 3600000, 5), 2);
	limit_free(&l);
}

/* A flood of others fills the table, and nobody is refused for it. */
static void
test_full(void)
{
	struct limit *l = limit_new(1, 1000, 8);
	char key[32];
	unsigned allowed = 0;

	for (int i = 0; i < 10000; i++) {
		(void)snprintf(key, sizeof(key), "flood%d", i);
		allowed += limit_take(l, span_str(key), NOW_MS);
	}
	CHECK_INT(allowed, 10000);
	limit_free(&l);
}

static const struct check_test tests[] = {
	{ "burst and rate", test_burst_and_rate },
	{ "keys are apart", test_keys_are_apart },
	{ "clock", test_clock },
	{ "full", test_full },
};

CHECK_MAIN("limit", tests)
