/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/session.h"

#include "check.h"

#define NOW_MS	INT64_C(1795000000000)
#define HOUR_MS	INT64_C(3600000)

static struct subject
person(unsigned n)
{
	struct subject subject = { { 0 } };

	subject.id[0] = (unsigned char)n;
	subject.id[1] = (unsigned char)(n >> 8);
	return subject;
}

static void
test_session(void)
{
	struct sessions *s = sessions_new();
	struct subject one = person(1), two = person(2), got;
	struct buf a = BUF_INIT(64), b = BUF_INIT(64);

	sessions_begin(s, &one, NOW_MS, &a);
	sessions_begin(s, &two, NOW_MS, &b);
	CHECK_INT(a.len, SESSION_KEY_LEN);
	CHECK(!span_is(buf_span(&a), buf_span(&b)));
	CHECK(sessions_find(s, buf_span(&a), NOW_MS, &got));
	CHECK(subject_is(&got, &one));
	CHECK(sessions_find(s, buf_span(&b), NOW_MS, &got));
	CHECK(subject_is(&got, &two));
	CHECK(!sessions_find(s, span_head(buf_span(&a), 31), NOW_MS, &got));
	CHECK(!sessions_find(s, SPAN(""), NOW_MS, &got));
	/* The key of a place that is free. */
	CHECK(!sessions_find(s, SPAN("00000000000000000000000000000000"),
	    NOW_MS, &got));
	/* Each use keeps it. */
	CHECK(sessions_find(s, buf_span(&a), NOW_MS + SESSION_MS, &got));
	CHECK(sessions_find(s, buf_span(&a), NOW_MS + 2 * SESSION_MS, &got));
	CHECK(!sessions_find(s, buf_span(&a), NOW_MS + 3 * SESSION_MS + 1,
	    &got));
	CHECK(!sessions_find(s, buf_span(&b), NOW_MS + SESSION_MS + 1, &got));
	buf_fini(&a);
	buf_fini(&b);
	sessions_free(&s);
}

static void
test_end(void)
{
	struct sessions *s = sessions_new();
	struct subject one = person(1), two = person(2), got;
	struct buf a = BUF_INIT(64), b = BUF_INIT(64), c = BUF_INIT(64);

	sessions_begin(s, &one, NOW_MS, &a);
	sessions_begin(s, &one, NOW_MS, &b);
	sessions_begin(s, &two, NOW_MS, &c);
	sessions_end(s, &one);
	CHECK(!sessions_find(s, buf_span(&a), NOW_MS, &got));
	CHECK(!sessions_find(s, buf_span(&b), NOW_MS, &got));
	CHECK(sessions_find(s, buf_span(&c), NOW_MS, &got));
	buf_fini(&a);
	buf_fini(&b);
	buf_fini(&c);
	sessions_free(&s);
}

/* Of too many, those that were not used the longest go. */
static void
test_many(void)
{
	struct sessions *s = sessions_new();
	struct buf first = BUF_INIT(64), last = BUF_INIT(64);
	struct subject subject, got;

	for (unsigned i = 0; i < 5000; i++) {
		struct buf key = BUF_INIT(64);

		subject = person(i);
		sessions_begin(s, &subject, NOW_MS + i, i == 0 ? &first :
		    i == 4999 ? &last : &key);
		buf_fini(&key);
	}
	CHECK(!sessions_find(s, buf_span(&first), NOW_MS + 5000, &got));
	CHECK(sessions_find(s, buf_span(&last), NOW_MS + 5000, &got));
	buf_fini(&first);
	buf_fini(&last);
	sessions_free(&s);
}

static void
test_links(void)
{
	struct sessions *s = sessions_new();
	struct link link = { .subject = person(1), .detail = { 1 } };
	struct link other = { .subject = person(1), .detail = { 2 } };

	CHECK(sessions_use_link(s, &link, NOW_MS, NOW_MS + HOUR_MS));
	CHECK(!sessions_use_link(s, &link, NOW_MS, NOW_MS + HOUR_MS));
	CHECK(sessions_use_link(s, &other, NOW_MS, NOW_MS + HOUR_MS));
	sessions_unuse_link(s, &link);
	CHECK(sessions_use_link(s, &link, NOW_MS, NOW_MS + HOUR_MS));
	CHECK(!sessions_use_link(s, &link, NOW_MS + HOUR_MS,
	    NOW_MS + HOUR_MS));
	sessions_free(&s);
}

/* A table that is full refuses rather than forgets. */
static void
test_full(void)
{
	struct sessions *s = sessions_new();
	struct link link = { .detail = { 0 } };
	unsigned taken = 0;

	for (unsigned i = 0; i < 5100; i++) {
		link.subject = person(i);
		link.detail[0] = (unsigned char)(i >> 16);
		taken += sessions_use_link(s, &link, NOW_MS, NOW_MS + HOUR_MS);
	}
	CHECK_INT(taken, 5000);
	link.subject = person(0);
	link.detail[0] = 0;
	CHECK(!sessions_use_link(s, &link, NOW_MS, NOW_MS + HOUR_MS));
	link.detail[0] = 7;
	CHECK(sessions_use_link(s, &link, NOW_MS + HOUR_MS + 1,
	    NOW_MS + 2 * HOUR_MS));
	sessions_free(&s);
}

static const struct check_test tests[] = {
	{ "session", test_session },
	{ "end", test_end },
	{ "many", test_many },
	{ "links", test_links },
	{ "full", test_full },
};

CHECK_MAIN("session", tests)
