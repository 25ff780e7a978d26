/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/repeats.h"

#include <pthread.h>

#include "check.h"

#define AT_MS	INT64_C(1795000000000)

static struct subject
person(unsigned char a, unsigned char b)
{
	return (struct subject){ .id = { 1, a, b } };
}

/* What is remembered; it is recorded as of at_ms (0: it is not). */
static int64_t
opt_out(struct repeats *r, struct subject who, const char *list,
    int64_t monotonic_ms, int64_t at_ms)
{
	int64_t before_ms;
	struct repeat *repeat = repeats_begin(r, &who, list, monotonic_ms,
	    &before_ms);

	repeats_end(repeat, at_ms, monotonic_ms);
	return before_ms;
}

static void
test_again(void)
{
	struct repeats *r = repeats_new();
	struct subject ann = person(1, 1);

	CHECK_INT(opt_out(r, ann, "weekly", 5, AT_MS), 0);
	CHECK_INT(opt_out(r, ann, "weekly", 5, 0), AT_MS);
	CHECK_INT(opt_out(r, ann, "weekly", 5 + REPEATS_MS, 0), AT_MS);
	CHECK_INT(opt_out(r, ann, "weekly", 6 + REPEATS_MS, 0), 0);
	/* What was too long ago is so even when time seems to go back. */
	CHECK_INT(opt_out(r, ann, "weekly", 5, 0), 0);
	repeats_free(&r);
}

static void
test_not_recorded(void)
{
	struct repeats *r = repeats_new();
	struct subject ann = person(1, 1);

	CHECK_INT(opt_out(r, ann, "weekly", 5, 0), 0);
	CHECK_INT(opt_out(r, ann, "weekly", 6, AT_MS), 0);
	CHECK_INT(opt_out(r, ann, "weekly", 7, 0), AT_MS);
	repeats_free(&r);
}

static void
test_other(void)
{
	struct repeats *r = repeats_new();
	struct subject ann = person(1, 1), like = person(1, 2);

	/* Another list, all lists, and somebody with the same slot. */
	CHECK_INT(opt_out(r, ann, "weekly", 5, AT_MS), 0);
	CHECK_INT(opt_out(r, ann, "", 5, AT_MS), 0);
	CHECK_INT(opt_out(r, ann, "weekly", 5, AT_MS), 0);
	CHECK_INT(opt_out(r, like, "weekly", 5, AT_MS + 1), 0);
	CHECK_INT(opt_out(r, ann, "weekly", 5, 0), 0);

	/* Something else about the person, or about another. */
	CHECK_INT(opt_out(r, ann, "weekly", 5, AT_MS), 0);
	repeats_end(repeats_begin_other(r, &like), 0, 0);
	CHECK_INT(opt_out(r, ann, "weekly", 5, 0), AT_MS);
	repeats_end(repeats_begin_other(r, &ann), 0, 0);
	CHECK_INT(opt_out(r, ann, "weekly", 5, 0), 0);
	repeats_free(&r);
}

static void *
opt_out_at_once(void *argument)
{
	struct repeats *r = argument;

	return (void *)(uintptr_t)(opt_out(r, person(1, 1), "weekly", 5,
	    AT_MS) == 0);
}

/* Who comes while one is recorded waits, and hears of it. */
static void
test_together(void)
{
	struct repeats *r = repeats_new();
	pthread_t threads[8];
	uintptr_t first = 0;

	for (size_t i = 0; i < 8; i++)
		CHECK_INT(pthread_create(&threads[i], NULL, opt_out_at_once,
		    r), 0);
	for (size_t i = 0; i < 8; i++) {
		void *one;

		CHECK_INT(pthread_join(threads[i], &one), 0);
		first += (uintptr_t)one;
	}
	CHECK_INT(first, 1);
	repeats_free(&r);
}

static const struct check_test tests[] = {
	{ "again", test_again },
	{ "not recorded", test_not_recorded },
	{ "other", test_other },
	{ "together", test_together },
};

CHECK_MAIN("repeats", tests)
