/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "base/date.h"
#include "consent/record.h"
#include "check.h"
#include "some_events.h"

#define ROUNDS	5000

static void
check_same(const struct record *a, const struct record *b)
{
	CHECK_INT(a->grant_ms, b->grant_ms);
	CHECK_INT(a->confirm_ms, b->confirm_ms);
	CHECK_INT(a->withdraw_ms, b->withdraw_ms);
	CHECK_INT(a->unproven_ms, b->unproven_ms);
	CHECK_INT(a->all_withdraw_ms, b->all_withdraw_ms);
	CHECK_INT(a->object_ms, b->object_ms);
	CHECK_INT(a->erase_ms, b->erase_ms);
	CHECK_INT(a->restrict_ms, b->restrict_ms);
	CHECK_INT(a->unrestrict_ms, b->unrestrict_ms);
	CHECK_INT(a->object_profiling_ms, b->object_profiling_ms);
	CHECK_INT(a->allow_profiling_ms, b->allow_profiling_ms);
}

static void
check_same_text(const struct record *a, const struct record *b)
{
	struct buf x = BUF_INIT(400), y = BUF_INIT(400);

	record_list_format(&x, a);
	record_list_format(&y, b);
	CHECK_STR(buf_get(&x), buf_get(&y));
	buf_clear(&x);
	buf_clear(&y);
	record_person_format(&x, a);
	record_person_format(&y, b);
	CHECK_STR(buf_get(&x), buf_get(&y));
	buf_fini(&x);
	buf_fini(&y);
}

/* Each event raises its own time and no other. */
static void
test_apply(void)
{
	static const struct {
		enum event_kind kind;
		const char *list;
		struct record want;
	} cases[] = {
		{ EVENT_GRANT, "weekly", { .grant_ms = 5 } },
		{ EVENT_CONFIRM, "weekly", { .confirm_ms = 5 } },
		{ EVENT_UNPROVEN, "weekly", { .unproven_ms = 5 } },
		{ EVENT_WITHDRAW, "weekly", { .withdraw_ms = 5 } },
		{ EVENT_WITHDRAW, "", { .all_withdraw_ms = 5 } },
		{ EVENT_OBJECT, "", { .object_ms = 5 } },
		{ EVENT_ERASE, "", { .erase_ms = 5 } },
		{ EVENT_RESTRICT, "", { .restrict_ms = 5 } },
		{ EVENT_UNRESTRICT, "", { .unrestrict_ms = 5 } },
		{ EVENT_OBJECT_PROFILING, "", { .object_profiling_ms = 5 } },
		{ EVENT_ALLOW_PROFILING, "", { .allow_profiling_ms = 5 } },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct record record = { 0 };
		struct event event = { .kind = cases[i].kind, .at_ms = 5 };

		check_case((long)i);
		memcpy(event.list, cases[i].list, strlen(cases[i].list));
		record_apply(&record, &event);
		check_same(&record, &cases[i].want);
		event.at_ms = 4;	/* earlier: no effect */
		record_apply(&record, &event);
		check_same(&record, &cases[i].want);
		event.at_ms = 6;
		record_apply(&record, &event);
		CHECK(memcmp(&record, &cases[i].want, sizeof(record)) != 0);
	}
}

/* Two of each time, around an erasure at 5. */
static void
test_erasure(void)
{
	static const struct record all = { 5, 6, 4, 7, 8, 1, 3, 5, 6, 4, 7 };
	static const struct record left = { .confirm_ms = 6, .unproven_ms = 7,
	    .all_withdraw_ms = 8, .erase_ms = 5, .unrestrict_ms = 6,
	    .allow_profiling_ms = 7 };
	static const struct record erased = { .erase_ms = 5 };
	struct event erase = { .kind = EVENT_ERASE, .at_ms = 5 };
	struct record record = all, back = erased;

	record_apply(&record, &erase);
	check_same(&record, &left);
	record_merge(&back, &all);
	check_same(&back, &left);
	back = all;
	record_merge(&back, &erased);
	check_same(&back, &left);
	/* Its own time and no earlier one comes back, not even by itself. */
	for (int kind = 0; kind < EVENT_KINDS; kind++) {
		struct event event = { .kind = (enum event_kind)kind };

		check_case(kind);
		record = erased;
		if (event_kind_has_list(event.kind))
			memcpy(event.list, "weekly", sizeof("weekly"));
		for (event.at_ms = 1; event.at_ms <= 5; event.at_ms++)
			record_apply(&record, &event);
		check_same(&record, &erased);
		event.at_ms = 6;
		record_apply(&record, &event);
		CHECK(memcmp(&record, &erased, sizeof(record)) != 0);
	}
}

static void
test_normalise(void)
{
	static const struct record none = { 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1 };
	static const struct record all = { 5, 6, 4, 7, 8, 1, 5, 5, 6, 4, 7 };
	static const struct record left = { .confirm_ms = 6, .unproven_ms = 7,
	    .all_withdraw_ms = 8, .erase_ms = 5, .unrestrict_ms = 6,
	    .allow_profiling_ms = 7 };
	struct record record = none;

	record_normalise(&record);
	check_same(&record, &none);
	for (int i = 0; i < 2; i++) {
		record = i == 0 ? all : left;
		record_normalise(&record);
		check_same(&record, &left);
	}
}

/*
 * The rule over the events themselves: of each kind the latest counts, if it
 * is later than all erasures.
 */
static int64_t
latest(const struct event *events, size_t n, enum event_kind kind,
    const char *list, int64_t after)
{
	int64_t found = 0;

	for (size_t i = 0; i < n; i++)
		if (events[i].kind == kind && events[i].at_ms > after &&
		    events[i].at_ms > found &&
		    strcmp(events[i].list, list) == 0)
			found = events[i].at_ms;
	return found;
}

static void
test_plain_reading(void)
{
	static const char on[] = "weekly";
	uint64_t state = 17;
	struct event ev[SOME_EVENTS];

	for (long round = 0; round < ROUNDS; round++) {
		size_t n = some_events(&state, ev);
		int64_t e = latest(ev, n, EVENT_ERASE, "", 0);
		struct record record = { 0 }, want = {
			.grant_ms = latest(ev, n, EVENT_GRANT, on, e),
			.confirm_ms = latest(ev, n, EVENT_CONFIRM, on, e),
			.withdraw_ms = latest(ev, n, EVENT_WITHDRAW, on, e),
			.unproven_ms = latest(ev, n, EVENT_UNPROVEN, on, e),
			.all_withdraw_ms = latest(ev, n, EVENT_WITHDRAW, "",
			    e),
			.object_ms = latest(ev, n, EVENT_OBJECT, "", e),
			.erase_ms = e,
			.restrict_ms = latest(ev, n, EVENT_RESTRICT, "", e),
			.unrestrict_ms = latest(ev, n, EVENT_UNRESTRICT, "",
			    e),
			.object_profiling_ms = latest(ev, n,
			    EVENT_OBJECT_PROFILING, "", e),
			.allow_profiling_ms = latest(ev, n,
			    EVENT_ALLOW_PROFILING, "", e),
		};

		check_case(round);
		for (size_t i = 0; i < n; i++)
			record_apply(&record, &ev[i]);
		check_same(&record, &want);
	}
}

static void
shuffle(uint64_t *state, struct event *events, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t j = some_below(state, (unsigned)i);
		struct event swap = events[i - 1];

		events[i - 1] = events[j];
		events[j] = swap;
	}
}

/* In any order, any of them any number of times. */
static void
test_order_and_repetition(void)
{
	uint64_t state = 20260105;
	struct event events[SOME_EVENTS];

	for (long round = 0; round < ROUNDS; round++) {
		size_t n = some_events(&state, events);
		struct record a = { 0 }, b = { 0 };

		check_case(round);
		for (size_t i = 0; i < n; i++)
			record_apply(&a, &events[i]);
		shuffle(&state, events, n);
		for (size_t i = 0; i < n; i++) {
			record_apply(&b, &events[i]);
			if (some_below(&state, 2) == 0)
				record_apply(&b, &events[some_below(&state,
				    (unsigned)i + 1)]);
		}
		check_same(&a, &b);
		check_same_text(&a, &b);
	}
}

/* In parts that several hosts saw, overlapping or not, merged in any order. */
static void
test_parts(void)
{
	uint64_t state = 7;
	struct event events[SOME_EVENTS];

	for (long round = 0; round < ROUNDS; round++) {
		size_t n = some_events(&state, events);
		struct record whole = { 0 }, part[3] = { { 0 } };
		struct record ab, ba;

		check_case(round);
		for (size_t i = 0; i < n; i++) {
			record_apply(&whole, &events[i]);
			record_apply(&part[some_below(&state, 3)], &events[i]);
			record_apply(&part[some_below(&state, 3)], &events[i]);
		}
		ab = part[0];
		record_merge(&ab, &part[1]);
		record_merge(&ab, &part[2]);
		record_merge(&ab, &part[0]);	/* once more */
		ba = part[2];
		record_merge(&part[1], &part[0]);
		record_merge(&ba, &part[1]);
		check_same(&ab, &whole);
		check_same(&ba, &whole);
		check_same_text(&ab, &ba);
	}
}

static void
test_round_trip(void)
{
	uint64_t state = 8058;
	struct event events[SOME_EVENTS];
	struct buf list = BUF_INIT(400), person = BUF_INIT(400);

	for (long round = 0; round < ROUNDS; round++) {
		size_t n = some_events(&state, events);
		struct record record = { 0 }, back = { 0 };
		struct fail fail;

		check_case(round);
		for (size_t i = 0; i < n; i++)
			record_apply(&record, &events[i]);
		buf_clear(&list);
		buf_clear(&person);
		record_list_format(&list, &record);
		record_person_format(&person, &record);
		/* No time, no text: such a field is not written. */
		if (list.len != 0)
			CHECK_INT(record_list_parse(buf_span(&list), &back,
			    &fail), 0);
		if (person.len != 0)
			CHECK_INT(record_person_parse(buf_span(&person),
			    &back, &fail), 0);
		check_same(&record, &back);
	}
	buf_fini(&list);
	buf_fini(&person);
}

static void
test_format(void)
{
	static const struct record record = {
		.grant_ms = 1764000000000, .confirm_ms = 1764000300000,
		.withdraw_ms = 1764000400000, .unproven_ms = 1763000000000,
		.all_withdraw_ms = 1, .object_ms = 2, .erase_ms = 3,
		.restrict_ms = 4, .unrestrict_ms = DATE_MAX_MS,
		.object_profiling_ms = 6, .allow_profiling_ms = 7,
	};
	static const struct record nothing;
	struct buf text = BUF_INIT(400);

	record_list_format(&text, &record);
	CHECK_STR(buf_get(&text), "g1764000000000 c1764000300000 "
	    "w1764000400000 u1763000000000");
	buf_clear(&text);
	record_person_format(&text, &record);
	CHECK_STR(buf_get(&text), "w1 o2 e3 r4 l253402300799999 "
	    "p6 a7");
	buf_clear(&text);
	record_list_format(&text, &nothing);
	record_person_format(&text, &nothing);
	CHECK_STR(buf_get(&text), "");
	buf_fini(&text);
}

static void
test_parse(void)
{
	static const struct {
		struct span text;
		int list, person;
	} cases[] = {
		{ SPAN("w7"), 0, 0 },
		{ SPAN("g1 u2"), 0, -1 },
		{ SPAN("g1 c2 w3 u4"), 0, -1 },
		{ SPAN("w1 o2 e3 r4 l5"), -1, 0 },
		{ SPAN("l5"), -1, 0 }, { SPAN("p5"), -1, 0 },
		{ SPAN("w1 o2 e3 r4 l5 p6 a7"), -1, 0 },
		{ SPAN("l5 a7 p6"), -1, -1 }, { SPAN("p6 p7"), -1, -1 },
		{ SPAN("w253402300799999"), 0, 0 },
		{ SPAN("w253402300800000"), -1, -1 },
		{ SPAN("w9223372036854775808"), -1, -1 },
		{ SPAN("w18446744073709551617"), -1, -1 },
		{ SPAN(""), -1, -1 }, { SPAN(" "), -1, -1 },
		{ SPAN("w"), -1, -1 }, { SPAN("7"), -1, -1 },
		{ SPAN("w0"), -1, -1 }, { SPAN("w07"), -1, -1 },
		{ SPAN("w-7"), -1, -1 }, { SPAN("w+7"), -1, -1 },
		{ SPAN("w7 "), -1, -1 }, { SPAN(" w7"), -1, -1 },
		{ SPAN("w7\n"), -1, -1 }, { SPAN("w7\0"), -1, -1 },
		{ SPAN("w 7"), -1, -1 }, { SPAN("w7x"), -1, -1 },
		{ SPAN("W7"), -1, -1 }, { SPAN("x7"), -1, -1 },
		{ SPAN("w7 w8"), -1, -1 }, { SPAN("w7 w7"), -1, -1 },
		{ SPAN("g1  c2"), -1, -1 }, { SPAN("g1\tc2"), -1, -1 },
		{ SPAN("g1c2"), -1, -1 }, { SPAN("c2 g1"), -1, -1 },
		{ SPAN("g1 c2 w3 u4 u5"), -1, -1 },
		{ SPAN("g1 c2 w3 u4 x"), -1, -1 },
		{ SPAN("o2 w1"), -1, -1 }, { SPAN("w1 o2 g3"), -1, -1 },
		{ SPAN("g\xb2"), -1, -1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static const struct record before = {
			.grant_ms = 901, .confirm_ms = 902, .withdraw_ms = 903,
			.unproven_ms = 904, .all_withdraw_ms = 905,
			.object_ms = 906, .erase_ms = 907, .restrict_ms = 908,
			.unrestrict_ms = 909,
			.object_profiling_ms = 910, .allow_profiling_ms = 911,
		};
		struct record list = before, person = before;
		struct fail fail = { .class = FAIL_BUG };

		check_case((long)i);
		CHECK_INT(record_list_parse(cases[i].text, &list, &fail),
		    cases[i].list);
		CHECK_INT(record_person_parse(cases[i].text, &person, &fail),
		    cases[i].person);
		if (cases[i].list == -1)
			check_same(&list, &before);
		if (cases[i].person == -1)
			check_same(&person, &before);
		if (cases[i].list == -1 || cases[i].person == -1)
			CHECK_INT(fail.class, FAIL_INPUT);
	}
}

/* Reading one half leaves the other, and clears what its own text lacks. */
static void
test_halves(void)
{
	struct record record = { .grant_ms = 1, .unproven_ms = 2,
	    .all_withdraw_ms = 3, .object_ms = 4 };
	static const struct record after_list = { .confirm_ms = 9,
	    .all_withdraw_ms = 3, .object_ms = 4 };
	static const struct record after_both = { .confirm_ms = 9,
	    .erase_ms = 8 };
	struct fail fail;

	CHECK_INT(record_list_parse(SPAN("c9"), &record, &fail), 0);
	check_same(&record, &after_list);
	CHECK_INT(record_person_parse(SPAN("e8"), &record, &fail), 0);
	check_same(&record, &after_both);
}

static void
test_evidence_format(void)
{
	struct evidence evidence = { .source = "" };
	struct fail fail;
	struct buf text = BUF_INIT(8192);

	evidence_field_format(&text, 1764000000000, &evidence);
	CHECK_STR(buf_get(&text), "g1764000000000");
	CHECK_INT(evidence_set(&evidence, "source", SPAN("shop"), &fail), 0);
	CHECK_INT(evidence_set(&evidence, "method", SPAN("web-form"), &fail),
	    0);
	buf_clear(&text);
	evidence_field_format(&text, 1764000000000, &evidence);
	CHECK_STR(buf_get(&text),
	    "g1764000000000 source=shop&method=web-form");
	CHECK_INT(evidence_set(&evidence, "source",
	    SPAN("https://a.example/~x?q=1&r=%41 \xc3\xbc_@+"), &fail), 0);
	buf_clear(&text);
	evidence_field_format(&text, 1, &evidence);
	CHECK_STR(buf_get(&text), "g1 source=https://a.example/~x%3Fq%3D1%26r"
	    "%3D%2541%20%C3%BC_@%2B&method=web-form");
	buf_fini(&text);
}

static void
test_evidence_parse(void)
{
	static const struct {
		struct span text;
		int rc;
		const char *source, *ip;
	} cases[] = {
		{ SPAN("g5"), 0, "", "" },
		{ SPAN("g5 source=shop"), 0, "shop", "" },
		{ SPAN("g5 source=a%20b&ip=::1"), 0, "a b", "::1" },
		{ SPAN("g5 source=%C3%BC&ip="), 0, "\xc3\xbc", "" },
		{ SPAN("g5 source=a=b"), 0, "a=b", "" },
		{ SPAN("g5 source=%4A%4F%AF"), -1, NULL, NULL },
		{ SPAN("g5 source=%4A%4F%C3%AF"), 0, "JO\xc3\xaf", "" },
		/* the span ends before the digit that lies behind it */
		{ { (const unsigned char *)"g5 source=%41", 12 }, -1, NULL,
		    NULL },
		{ SPAN("g5 "), -1, NULL, NULL },
		{ SPAN("g5 &"), -1, NULL, NULL },
		{ SPAN("g5 source=a&"), -1, NULL, NULL },
		{ SPAN("g5 source"), -1, NULL, NULL },
		{ SPAN("g5 =a"), -1, NULL, NULL },
		{ SPAN("g5 colour=a"), -1, NULL, NULL },
		{ SPAN("g5 Source=a"), -1, NULL, NULL },
		{ SPAN("g5 source\0=a"), -1, NULL, NULL },
		{ SPAN("g5 source=%"), -1, NULL, NULL },
		{ SPAN("g5 source=%4"), -1, NULL, NULL },
		{ SPAN("g5 source=%4&ip=a"), -1, NULL, NULL },
		{ SPAN("g5 source=%4g"), -1, NULL, NULL },
		{ SPAN("g5 source=%c3%bc"), -1, NULL, NULL },
		{ SPAN("g5 source=%00"), -1, NULL, NULL },
		{ SPAN("g5 source=a%0Ab"), -1, NULL, NULL },
		{ SPAN("g5 source=%FF"), -1, NULL, NULL },
		{ SPAN("g5&source=a"), -1, NULL, NULL },
		{ SPAN("g0 source=a"), -1, NULL, NULL },
		{ SPAN("g05"), -1, NULL, NULL },
		{ SPAN("c5"), -1, NULL, NULL },
		{ SPAN("g"), -1, NULL, NULL },
		{ SPAN(""), -1, NULL, NULL },
		{ SPAN("g253402300800000"), -1, NULL, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct evidence evidence = { .source = "before" };
		struct fail fail = { .class = FAIL_BUG };
		int64_t ms = -7;

		check_case((long)i);
		CHECK_INT(evidence_field_parse(cases[i].text, &ms, &evidence,
		    &fail), cases[i].rc);
		if (cases[i].rc == -1) {
			CHECK_INT(fail.class, FAIL_INPUT);
			CHECK_INT(ms, -7);
			CHECK_STR(evidence.source, "before");
			continue;
		}
		CHECK_INT(ms, 5);
		CHECK_STR(evidence.source, cases[i].source);
		CHECK_STR(evidence.ip, cases[i].ip);
	}
}

/* The longest evidence there is, each byte of it encoded. */
static void
test_evidence_round_trip(void)
{
	struct evidence evidence, back;
	struct buf text = BUF_INIT(8192);
	struct fail fail;
	int64_t ms = 0;
	char longest[EVIDENCE_TEXT_MAX];

	memset(&evidence, 0, sizeof(evidence));
	memset(longest, '%', sizeof(longest));
	for (unsigned i = 0; i < EVIDENCE_FIELDS; i++)
		CHECK_INT(evidence_set(&evidence, evidence_name(i),
		    span_of(longest, sizeof(longest)), &fail), 0);
	evidence_field_format(&text, DATE_MAX_MS, &evidence);
	CHECK(!text.overflow);
	CHECK_INT(evidence_field_parse(buf_span(&text), &ms, &back, &fail), 0);
	CHECK_INT(ms, DATE_MAX_MS);
	CHECK(memcmp(&evidence, &back, sizeof(back)) == 0);
	buf_fini(&text);
}

static void
test_evidence_wins(void)
{
	/* each wins over all that stand before it */
	static const struct span rising[] = {
		SPAN(""), SPAN("\0"), SPAN("0"),
		SPAN("c5 source=z"),		/* no evidence at all: bytes */
		SPAN("g"), SPAN("g0"), SPAN("g01"),
		SPAN("g1000000000000000000 source=a"),
		SPAN("g5x"),
		SPAN("g999999999999999999 source=a"),
		SPAN("g1"), SPAN("g1 source=b"),
		SPAN("g1 source=ba"), SPAN("g1 source=bb"),
		SPAN("g9"), SPAN("g10 ip=192.0.2.77&source=z"),
		SPAN("g10 source=z&ip=192.0.2.7"),
		SPAN("g10 ip=192.0.2.0"),
		SPAN("g10 source=a&ip=192.0.2.0"),
		SPAN("g10 ip=a"), SPAN("g10"), SPAN("g10 source=ip%3D192"),
		SPAN("g10 zip=a"),
		SPAN("g1764000000000"), SPAN("g253402300799999"),
	};
	size_t n = sizeof(rising) / sizeof(rising[0]);

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++) {
			check_case((long)(i * 100 + j));
			CHECK_INT(evidence_field_wins(rising[i], rising[j]),
			    i > j);
		}
}

static const struct check_test tests[] = {
	{ "apply", test_apply },
	{ "erasure", test_erasure },
	{ "normalise", test_normalise },
	{ "plain_reading", test_plain_reading },
	{ "order_and_repetition", test_order_and_repetition },
	{ "parts", test_parts },
	{ "round_trip", test_round_trip },
	{ "format", test_format },
	{ "parse", test_parse },
	{ "halves", test_halves },
	{ "evidence_format", test_evidence_format },
	{ "evidence_parse", test_evidence_parse },
	{ "evidence_round_trip", test_evidence_round_trip },
	{ "evidence_wins", test_evidence_wins },
};

CHECK_MAIN("record", tests)
