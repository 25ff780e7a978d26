/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "consent/decision.h"
#include "check.h"
#include "some_events.h"

#define NOW	SOME_TIME_MS
#define SKEW	DECISION_CLOCK_SKEW_MS
#define AGE	INT64_C(600000)
#define ROUNDS	20000

static const struct list plain = { .id = "weekly" };
static const struct list confirmed = { .id = "weekly", .double_opt_in = true };
static const struct list aging = { .id = "weekly", .max_age = { 0, AGE } };
/* A new notice, before and after its day; and with an age. */
static const struct list renewed = { .id = "weekly", .notice_since_ms = NOW };
static const struct list to_renew = { .id = "weekly",
    .notice_since_ms = NOW + 1 };
static const struct list aging_renewed = { .id = "weekly",
    .max_age = { 0, AGE }, .notice_since_ms = NOW };
static const struct list strict = { .id = "weekly", .double_opt_in = true,
    .max_age = { 0, AGE } };

static void
test_names(void)
{
	static const char *const reasons[] = {
		"granted", "no-consent", "pending", "withdrawn", "expired",
		"objected", "erased", "restricted", "unproven",
		"store-failure", "unlisted-bulk", "not-bulk", "exempt",
		"second-recipient",
	};
	enum reason reason;

	for (int i = 0; i <= REASON_SECOND_RECIPIENT; i++) {
		check_case(i);
		CHECK_STR(reason_name((enum reason)i), reasons[i]);
		CHECK_INT(reason_parse(span_str(reasons[i]), &reason), 1);
		CHECK_INT(reason, i);
	}
	check_case(-1);
	CHECK_INT(reason_parse(SPAN("Granted"), &reason), 0);
	CHECK_INT(reason_parse(SPAN("granted "), &reason), 0);
	CHECK_INT(reason_parse(SPAN(""), &reason), 0);
	CHECK_STR(action_name(ACTION_ACCEPT), "accept");
	CHECK_STR(action_name(ACTION_REJECT), "reject");
	CHECK_STR(action_name(ACTION_REMOVE), "remove");
	CHECK_STR(action_name(ACTION_TEMPFAIL), "tempfail");
}

/* Each reason on both sides of its border. */
static void
test_state(void)
{
	static const struct {
		const struct list *list;
		struct record record;
		enum reason want;
	} cases[] = {
		{ &plain, { 0 }, REASON_NO_CONSENT },
		{ &plain, { .confirm_ms = NOW }, REASON_NO_CONSENT },
		{ &plain, { .unrestrict_ms = NOW }, REASON_NO_CONSENT },
		{ &plain, { .grant_ms = NOW }, REASON_GRANTED },
		{ &plain, { .grant_ms = 1 }, REASON_GRANTED },
		{ &plain, { .grant_ms = NOW, .unproven_ms = NOW + 1 },
		    REASON_GRANTED },
		/* the clock of another host */
		{ &plain, { .grant_ms = NOW + SKEW }, REASON_GRANTED },
		{ &plain, { .grant_ms = NOW + SKEW + 1 }, REASON_NO_CONSENT },
		{ &plain, { .grant_ms = DATE_MAX_MS }, REASON_NO_CONSENT },
		/* each opt-out, one before, at, and after the grant */
		{ &plain, { .grant_ms = NOW, .withdraw_ms = NOW - 1 },
		    REASON_GRANTED },
		{ &plain, { .grant_ms = NOW, .withdraw_ms = NOW },
		    REASON_WITHDRAWN },
		{ &plain, { .grant_ms = NOW, .withdraw_ms = NOW + 1 },
		    REASON_WITHDRAWN },
		{ &plain, { .grant_ms = NOW, .all_withdraw_ms = NOW - 1 },
		    REASON_GRANTED },
		{ &plain, { .grant_ms = NOW, .all_withdraw_ms = NOW },
		    REASON_WITHDRAWN },
		{ &plain, { .grant_ms = NOW, .object_ms = NOW - 1 },
		    REASON_GRANTED },
		{ &plain, { .grant_ms = NOW, .object_ms = NOW },
		    REASON_OBJECTED },
		{ &plain, { .grant_ms = NOW, .erase_ms = NOW - 1 },
		    REASON_GRANTED },
		{ &plain, { .grant_ms = NOW, .erase_ms = NOW },
		    REASON_ERASED },
		/* opt-outs from the future count */
		{ &plain, { .grant_ms = NOW, .withdraw_ms = DATE_MAX_MS },
		    REASON_WITHDRAWN },
		/* opt-outs alone */
		{ &plain, { .withdraw_ms = 1 }, REASON_WITHDRAWN },
		{ &plain, { .all_withdraw_ms = 1 }, REASON_WITHDRAWN },
		{ &plain, { .object_ms = 1 }, REASON_OBJECTED },
		{ &plain, { .erase_ms = 1 }, REASON_ERASED },
		/* several: objected, erased, withdrawn, whatever their order */
		{ &plain, { .object_ms = 3, .erase_ms = 2, .withdraw_ms = 4 },
		    REASON_OBJECTED },
		{ &plain, { .erase_ms = 2, .all_withdraw_ms = 3 },
		    REASON_ERASED },
		/* ... but not those that a grant outlived */
		{ &plain, { .object_ms = 1, .grant_ms = 2, .erase_ms = 3 },
		    REASON_ERASED },
		{ &plain, { .object_ms = 1, .erase_ms = 1, .grant_ms = 2,
		    .withdraw_ms = 2 }, REASON_WITHDRAWN },
		{ &plain, { .object_ms = 2, .grant_ms = 2, .withdraw_ms = 9 },
		    REASON_OBJECTED },
		/* unproven: only when later than all that is an opt-out */
		{ &plain, { .unproven_ms = 1 }, REASON_UNPROVEN },
		{ &plain, { .unproven_ms = 2, .withdraw_ms = 1 },
		    REASON_UNPROVEN },
		{ &plain, { .unproven_ms = 2, .withdraw_ms = 2 },
		    REASON_WITHDRAWN },
		{ &plain, { .unproven_ms = 3, .object_ms = 4 },
		    REASON_OBJECTED },
		{ &plain, { .grant_ms = 1, .withdraw_ms = 2,
		    .unproven_ms = 3 }, REASON_UNPROVEN },
		/* nothing of before an erasure is a reason, nor of its time */
		{ &plain, { .object_ms = 2, .erase_ms = 2, .withdraw_ms = 3 },
		    REASON_ERASED },
		{ &plain, { .erase_ms = 2, .restrict_ms = 1 }, REASON_ERASED },
		{ &plain, { .erase_ms = 2, .restrict_ms = 2 }, REASON_ERASED },
		{ &plain, { .erase_ms = 2, .restrict_ms = 3 },
		    REASON_RESTRICTED },
		{ &plain, { .grant_ms = 3, .erase_ms = 2, .restrict_ms = 2 },
		    REASON_GRANTED },
		{ &plain, { .grant_ms = 3, .erase_ms = 2, .restrict_ms = 3,
		    .unrestrict_ms = 2 }, REASON_RESTRICTED },
		{ &plain, { .erase_ms = 2, .unproven_ms = 2 }, REASON_ERASED },
		{ &plain, { .grant_ms = 1, .confirm_ms = 3, .erase_ms = 2 },
		    REASON_ERASED },
		/* age: exactly max_age is not older than it */
		{ &aging, { .grant_ms = NOW - AGE }, REASON_GRANTED },
		{ &aging, { .grant_ms = NOW - AGE - 1 }, REASON_EXPIRED },
		{ &aging, { .grant_ms = NOW - AGE - 1,
		    .withdraw_ms = NOW - AGE - 1 }, REASON_WITHDRAWN },
		/* a new notice: what was granted before its day ends with it */
		{ &renewed, { .grant_ms = NOW - 1 }, REASON_EXPIRED },
		{ &renewed, { .grant_ms = NOW }, REASON_GRANTED },
		{ &renewed, { .grant_ms = NOW - 1, .withdraw_ms = NOW - 1 },
		    REASON_WITHDRAWN },
		{ &to_renew, { .grant_ms = 1 }, REASON_GRANTED },
		{ &aging_renewed, { .grant_ms = NOW }, REASON_GRANTED },
		{ &aging_renewed, { .grant_ms = NOW - AGE }, REASON_EXPIRED },
		/* no mail depends on an objection to profiling */
		{ &plain, { .grant_ms = 1, .object_profiling_ms = 2 },
		    REASON_GRANTED },
		{ &plain, { .allow_profiling_ms = 2 }, REASON_NO_CONSENT },
		/* double opt-in: at the grant will do, before it will not */
		{ &confirmed, { .grant_ms = NOW }, REASON_PENDING },
		{ &confirmed, { .grant_ms = NOW, .confirm_ms = NOW - 1 },
		    REASON_PENDING },
		{ &confirmed, { .grant_ms = NOW, .confirm_ms = NOW },
		    REASON_GRANTED },
		{ &confirmed, { .grant_ms = NOW, .confirm_ms = NOW + SKEW },
		    REASON_GRANTED },
		{ &confirmed, { .grant_ms = NOW,
		    .confirm_ms = NOW + SKEW + 1 }, REASON_PENDING },
		{ &confirmed, { .grant_ms = NOW - 2, .confirm_ms = NOW,
		    .withdraw_ms = NOW - 1 }, REASON_WITHDRAWN },
		{ &confirmed, { .confirm_ms = NOW }, REASON_NO_CONSENT },
		{ &plain, { .grant_ms = NOW, .confirm_ms = DATE_MAX_MS },
		    REASON_GRANTED },
		/* expired is said before pending */
		{ &strict, { .grant_ms = NOW - AGE - 1 }, REASON_EXPIRED },
		{ &strict, { .grant_ms = NOW - AGE }, REASON_PENDING },
		/* restriction comes before all, and ends when lifted later */
		{ &plain, { .grant_ms = NOW, .restrict_ms = 1 },
		    REASON_RESTRICTED },
		{ &plain, { .restrict_ms = 1 }, REASON_RESTRICTED },
		{ &plain, { .object_ms = 5, .restrict_ms = 1 },
		    REASON_RESTRICTED },
		{ &plain, { .grant_ms = NOW, .restrict_ms = 2,
		    .unrestrict_ms = 2 }, REASON_RESTRICTED },
		{ &plain, { .grant_ms = NOW, .restrict_ms = 2,
		    .unrestrict_ms = 3 }, REASON_GRANTED },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct decision d = decide_listed(cases[i].list,
		    &cases[i].record, NOW);

		check_case((long)i);
		CHECK_STR(reason_name(consent_state(cases[i].list,
		    &cases[i].record, NOW)), reason_name(cases[i].want));
		CHECK_INT(d.reason, cases[i].want);
		CHECK_INT(d.action, cases[i].want == REASON_GRANTED ?
		    ACTION_ACCEPT : ACTION_REJECT);
	}
}

/* Months are calendar months: 24 of them end on the same day of the month. */
static void
test_calendar(void)
{
	static const struct {
		int months;
		const char *grant, *last;	/* the last millisecond */
	} cases[] = {
		{ 24, "2024-11-24T10:00:00Z", "2026-11-24T10:00:00Z" },
		{ 12, "2024-02-29T10:00:00Z", "2025-02-28T10:00:00Z" },
		{ 1, "2026-01-31T10:00:00Z", "2026-02-28T10:00:00Z" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct list list = { .max_age = { cases[i].months, 0 } };
		struct record record = { 0 };
		int64_t last = 0;

		check_case((long)i);
		CHECK_INT(date_parse(span_str(cases[i].grant),
		    &record.grant_ms), 0);
		CHECK_INT(date_parse(span_str(cases[i].last), &last), 0);
		CHECK_INT(consent_state(&list, &record, last),
		    REASON_GRANTED);
		CHECK_INT(consent_state(&list, &record, last + 1),
		    REASON_EXPIRED);
	}
}

static void
test_last_ms(void)
{
	static const struct list later = { .max_age = { 0, AGE },
	    .notice_since_ms = NOW + 3 * AGE };

	CHECK_INT(consent_last_ms(&plain, 1), INT64_MAX);
	CHECK_INT(consent_last_ms(&aging, NOW), NOW + AGE);
	CHECK_INT(consent_last_ms(&renewed, NOW), INT64_MAX);
	CHECK_INT(consent_last_ms(&renewed, NOW - 1), NOW - 1);
	CHECK_INT(consent_last_ms(&aging_renewed, NOW - 1), NOW - 1);
	CHECK_INT(consent_last_ms(&aging_renewed, NOW - 2 * AGE), NOW - AGE);
	CHECK_INT(consent_last_ms(&later, NOW), NOW + AGE);
	CHECK_INT(consent_last_ms(&later, NOW + 3 * AGE - 1),
	    NOW + 3 * AGE - 1);
}

static void
test_profiling(void)
{
	static const struct {
		struct record record;
		bool objected;
	} cases[] = {
		{ { 0 }, false },
		{ { .grant_ms = 5 }, false },
		{ { .object_profiling_ms = 5 }, true },
		{ { .object_profiling_ms = 5, .grant_ms = 6 }, true },
		{ { .object_profiling_ms = 5, .allow_profiling_ms = 5 }, true },
		{ { .object_profiling_ms = 5, .allow_profiling_ms = 6 },
		    false },
		{ { .allow_profiling_ms = 6 }, false },
		{ { .object_ms = 5 }, true },
		{ { .object_ms = 5, .grant_ms = 6 }, true },
		{ { .object_ms = 7, .allow_profiling_ms = 6 }, true },
		{ { .erase_ms = 5 }, true },
		{ { .erase_ms = 5, .grant_ms = 6 }, true },
		{ { .erase_ms = 5, .allow_profiling_ms = 6 }, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		CHECK_INT(consent_objects_to_profiling(&cases[i].record),
		    cases[i].objected);
	}
}

static void
test_confirmation(void)
{
	static const struct {
		struct record record;
		enum action action;
		enum reason reason;
	} cases[] = {
		{ { 0 }, ACTION_ACCEPT, REASON_EXEMPT },
		{ { .grant_ms = NOW, .confirm_ms = NOW }, ACTION_ACCEPT,
		    REASON_EXEMPT },
		{ { .grant_ms = NOW }, ACTION_ACCEPT, REASON_EXEMPT },
		{ { .grant_ms = 1, .confirm_ms = 1 }, ACTION_ACCEPT,
		    REASON_EXEMPT },			/* expired */
		{ { .withdraw_ms = NOW }, ACTION_ACCEPT, REASON_EXEMPT },
		{ { .all_withdraw_ms = NOW }, ACTION_ACCEPT, REASON_EXEMPT },
		{ { .unproven_ms = NOW }, ACTION_ACCEPT, REASON_EXEMPT },
		{ { .object_ms = 1 }, ACTION_REJECT, REASON_OBJECTED },
		{ { .erase_ms = 1 }, ACTION_REJECT, REASON_ERASED },
		{ { .restrict_ms = 1 }, ACTION_REJECT, REASON_RESTRICTED },
		{ { .grant_ms = NOW, .restrict_ms = 1 }, ACTION_REJECT,
		    REASON_RESTRICTED },
		{ { .grant_ms = NOW, .erase_ms = 1, .restrict_ms = 1 },
		    ACTION_ACCEPT, REASON_EXEMPT },
		{ { .object_ms = 1, .erase_ms = 1 }, ACTION_REJECT,
		    REASON_ERASED },
		/* signed up again since */
		{ { .object_ms = 1, .grant_ms = NOW }, ACTION_ACCEPT,
		    REASON_EXEMPT },
		{ { .erase_ms = 1, .grant_ms = NOW }, ACTION_ACCEPT,
		    REASON_EXEMPT },
		{ { .object_ms = NOW, .grant_ms = NOW }, ACTION_REJECT,
		    REASON_OBJECTED },
		{ { .object_ms = 1, .grant_ms = 2, .withdraw_ms = 3 },
		    ACTION_ACCEPT, REASON_EXEMPT },
		/* a claim and a grant from the future do not lift it */
		{ { .object_ms = 1, .unproven_ms = 2 }, ACTION_REJECT,
		    REASON_OBJECTED },
		{ { .erase_ms = 1, .unproven_ms = 2 }, ACTION_REJECT,
		    REASON_ERASED },
		{ { .object_ms = 1, .grant_ms = 2, .withdraw_ms = 3,
		    .unproven_ms = 4 }, ACTION_ACCEPT, REASON_EXEMPT },
		{ { .object_ms = 1, .grant_ms = DATE_MAX_MS }, ACTION_REJECT,
		    REASON_OBJECTED },
		{ { .withdraw_ms = 1, .grant_ms = DATE_MAX_MS },
		    ACTION_ACCEPT, REASON_EXEMPT },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct decision d = decide_confirmation(&strict,
		    &cases[i].record, NOW);

		check_case((long)i);
		CHECK_STR(action_name(d.action), action_name(cases[i].action));
		CHECK_STR(reason_name(d.reason), reason_name(cases[i].reason));
	}
}

/* Whoever was turned away for want of an opt-in may have given one that was
 * lost; all else stays as it is. */
static void
test_without_opt_ins(void)
{
	static const struct {
		struct decision decision;
		bool is_doubtful;
	} cases[] = {
		{ { ACTION_ACCEPT, REASON_GRANTED }, false },
		{ { ACTION_ACCEPT, REASON_EXEMPT }, false },
		{ { ACTION_REJECT, REASON_NO_CONSENT }, true },
		{ { ACTION_REJECT, REASON_PENDING }, true },
		{ { ACTION_REJECT, REASON_EXPIRED }, true },
		{ { ACTION_REJECT, REASON_UNPROVEN }, true },
		{ { ACTION_REJECT, REASON_WITHDRAWN }, false },
		{ { ACTION_REJECT, REASON_OBJECTED }, false },
		{ { ACTION_REJECT, REASON_ERASED }, false },
		{ { ACTION_REJECT, REASON_RESTRICTED }, false },
		{ { ACTION_REJECT, REASON_SECOND_RECIPIENT }, false },
	};
	static const struct {
		enum failure_action configured;
		enum action want;
	} actions[] = {
		{ FAILURE_TEMPFAIL, ACTION_TEMPFAIL },
		{ FAILURE_REJECT, ACTION_REJECT },
		/* Nothing recorded, nothing sent. */
		{ FAILURE_ACCEPT, ACTION_REJECT },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t j = 0; j < 3; j++) {
			struct policy policy = {
			    .on_store_failure = actions[j].configured };
			bool fails = cases[i].is_doubtful &&
			    actions[j].configured != FAILURE_ACCEPT;
			struct decision d = decide_without_opt_ins(&policy,
			    &cases[i].decision);

			check_case((long)(i * 10 + j));
			CHECK_INT(d.action, fails ? actions[j].want :
			    cases[i].decision.action);
			CHECK_INT(d.reason, fails ? REASON_STORE_FAILURE :
			    cases[i].decision.reason);
		}
}

static void
test_configured_actions(void)
{
	static const struct {
		enum failure_action configured;
		enum action want;
	} cases[] = {
		{ FAILURE_TEMPFAIL, ACTION_TEMPFAIL },
		{ FAILURE_ACCEPT, ACTION_ACCEPT },
		{ FAILURE_REJECT, ACTION_REJECT },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		for (size_t j = 0; j < sizeof(cases) / sizeof(cases[0]); j++) {
			/* two settings that do not get mixed up */
			struct policy policy = {
			    .on_store_failure = cases[i].configured,
			    .unlisted_bulk = cases[j].configured };
			struct decision store = decide_store_failure(&policy);
			struct decision bulk = decide_unlisted(&policy,
			    CLASS_UNLISTED_BULK);
			struct decision other = decide_unlisted(&policy,
			    CLASS_NOT_BULK);
			struct decision exempt = decide_unlisted(&policy,
			    CLASS_EXEMPT);

			check_case((long)(i * 10 + j));
			CHECK_INT(store.action, cases[i].want);
			CHECK_INT(store.reason, REASON_STORE_FAILURE);
			CHECK_INT(bulk.action, cases[j].want);
			CHECK_INT(bulk.reason, REASON_UNLISTED_BULK);
			CHECK_INT(other.action, ACTION_ACCEPT);
			CHECK_INT(other.reason, REASON_NOT_BULK);
			CHECK_INT(exempt.action, ACTION_ACCEPT);
			CHECK_INT(exempt.reason, REASON_EXEMPT);
		}
}

static bool
is_opt_out(const struct event *e)
{
	return e->kind == EVENT_WITHDRAW || e->kind == EVENT_OBJECT ||
	    e->kind == EVENT_ERASE;
}

/* The latest event of a kind, or NULL. */
static const struct event *
latest(const struct event *events, size_t n, enum event_kind kind)
{
	const struct event *found = NULL;

	for (size_t i = 0; i < n; i++)
		if (events[i].kind == kind &&
		    (found == NULL || events[i].at_ms > found->at_ms))
			found = &events[i];
	return found;
}

/*
 * interface.md, "Consent, exactly", word for word and over the events
 * themselves; and Art. 18, which stops all use of a record, unless that is
 * erased since.
 */
static bool
is_granted(const struct list *list, const struct event *events, size_t n,
    int64_t now)
{
	const struct event *grant = latest(events, n, EVENT_GRANT);
	const struct event *confirm = latest(events, n, EVENT_CONFIRM);
	const struct event *restricted = latest(events, n, EVENT_RESTRICT);
	const struct event *lifted = latest(events, n, EVENT_UNRESTRICT);
	const struct event *erased = latest(events, n, EVENT_ERASE);

	if (grant == NULL || grant->at_ms - now > SKEW)
		return false;
	for (size_t i = 0; i < n; i++)
		if (is_opt_out(&events[i]) &&
		    !(grant->at_ms > events[i].at_ms))
			return false;
	if (list->max_age.ms != 0 && now - grant->at_ms > list->max_age.ms)
		return false;
	if (list->double_opt_in && (confirm == NULL ||
	    confirm->at_ms < grant->at_ms || confirm->at_ms - now > SKEW))
		return false;
	return restricted == NULL || (erased != NULL &&
	    erased->at_ms >= restricted->at_ms) || (lifted != NULL &&
	    lifted->at_ms > restricted->at_ms);
}

static void
apply_all(struct record *record, const struct event *events, size_t n)
{
	for (size_t i = 0; i < n; i++)
		record_apply(record, &events[i]);
}

static const struct list *const policies[] =
    { &plain, &confirmed, &aging, &strict };

/* The answer is the plain reading's, and both answers do occur. */
static void
test_against_plain_reading(void)
{
	uint64_t state = 679;
	struct event events[SOME_EVENTS];
	long granted = 0, blocked = 0;

	for (long round = 0; round < ROUNDS; round++) {
		size_t n = some_events(&state, events);
		const struct list *list = policies[some_below(&state, 4)];
		/* from ten minutes before to forty after the first event */
		int64_t now = SOME_TIME_MS - 600000 +
		    (int64_t)some_below(&state, 50) * SOME_STEP_MS;
		struct record record = { 0 };
		bool want;

		if (some_below(&state, 3) == 0)
			now += (int64_t)some_below(&state, 3) - 1;
		check_case(round);
		apply_all(&record, events, n);
		want = is_granted(list, events, n, now);
		CHECK_INT(consent_state(list, &record, now) == REASON_GRANTED,
		    want);
		if (want)
			granted++;
		else
			blocked++;
	}
	check_case(-1);
	CHECK(granted > ROUNDS / 100);
	CHECK(blocked > ROUNDS / 100);
}

/* The one promise: who opted out at or after the last grant gets nothing,
 * whatever the list wants, whatever else is known, whatever the time. */
static void
test_opt_out_wins(void)
{
	static const int64_t clocks[] = { INT64_MIN, -1, 0, 1,
	    SOME_TIME_MS - 1, SOME_TIME_MS, SOME_TIME_MS + 3600000,
	    DATE_MAX_MS, INT64_MAX };
	static const struct event opt_outs[] = {
		{ .kind = EVENT_WITHDRAW, .list = "weekly" },
		{ .kind = EVENT_WITHDRAW }, { .kind = EVENT_OBJECT },
		{ .kind = EVENT_ERASE },
	};
	uint64_t state = 21;
	struct event events[SOME_EVENTS + 1];

	for (long round = 0; round < ROUNDS / 4; round++) {
		size_t n = some_events(&state, events);
		const struct event *grant = latest(events, n, EVENT_GRANT);
		struct event out = opt_outs[some_below(&state, 4)];
		struct record record = { 0 };

		out.at_ms = (grant != NULL ? grant->at_ms : SOME_TIME_MS) +
		    (int64_t)some_below(&state, 3) * SOME_STEP_MS;
		events[n++] = out;
		apply_all(&record, events, n);
		check_case(round);
		for (size_t i = 0; i < 4; i++)
			for (size_t j = 0; j < sizeof(clocks) /
			    sizeof(clocks[0]); j++)
				CHECK(decide_listed(policies[i], &record,
				    clocks[j]).action == ACTION_REJECT);
	}
}

/* Without a grant nothing is consent, whatever else is known. */
static void
test_no_grant(void)
{
	static const int64_t clocks[] = { INT64_MIN, 0, SOME_TIME_MS,
	    INT64_MAX };
	uint64_t state = 4;
	struct event events[SOME_EVENTS];

	for (long round = 0; round < ROUNDS / 4; round++) {
		size_t n = some_events(&state, events);
		struct record record = { 0 };

		check_case(round);
		for (size_t i = 0; i < n; i++)
			if (events[i].kind != EVENT_GRANT)
				record_apply(&record, &events[i]);
		for (size_t i = 0; i < 4; i++)
			for (size_t j = 0; j < 4; j++)
				CHECK(consent_state(policies[i], &record,
				    clocks[j]) != REASON_GRANTED);
	}
}

/* a accept, r reject, t tempfail; want: the same with m for remove, and the
 * recipient whose answer the message gets (-1: it goes on). */
static void
test_message(void)
{
	static const struct {
		const char *before, *after;
		bool several;
		enum multiple_recipients multiple;
		int whole;
	} cases[] = {
		{ "a", "a", false, MULTIPLE_SHARED, -1 },
		{ "r", "r", false, MULTIPLE_SHARED, 0 },
		{ "rrr", "rrr", false, MULTIPLE_SHARED, 0 },
		{ "rar", "mam", false, MULTIPLE_SHARED, -1 },
		{ "aar", "aam", true, MULTIPLE_SHARED, -1 },
		{ "art", "art", false, MULTIPLE_SHARED, 2 },
		{ "tt", "tt", false, MULTIPLE_SINGLE, 0 },
		{ "aar", "rrr", true, MULTIPLE_SINGLE, 0 },
		{ "aa", "rr", true, MULTIPLE_REJECT, 0 },
		{ "aa", "aa", false, MULTIPLE_SINGLE, -1 },
		{ "ar", "am", false, MULTIPLE_REJECT, -1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct list list = { .multiple_recipients =
		    cases[i].multiple };
		struct decision d[4];
		size_t n = strlen(cases[i].before), whole;
		char after[5] = "";

		check_case((long)i);
		for (size_t k = 0; k < n; k++)
			d[k] = (struct decision){ cases[i].before[k] == 'a' ?
			    ACTION_ACCEPT : cases[i].before[k] == 'r' ?
			    ACTION_REJECT : ACTION_TEMPFAIL,
			    REASON_NO_CONSENT };
		whole = decide_message(&list, d, n, cases[i].several);
		for (size_t k = 0; k < n; k++)
			after[k] = "armt"[d[k].action];
		CHECK_STR(after, cases[i].after);
		CHECK_INT(whole == n ? -1 : (int)whole, cases[i].whole);
	}
}

static const struct check_test tests[] = {
	{ "message", test_message },
	{ "names", test_names },
	{ "state", test_state },
	{ "calendar", test_calendar },
	{ "confirmation", test_confirmation },
	{ "last_ms", test_last_ms },
	{ "profiling", test_profiling },
	{ "configured_actions", test_configured_actions },
	{ "without_opt_ins", test_without_opt_ins },
	{ "against_plain_reading", test_against_plain_reading },
	{ "opt_out_wins", test_opt_out_wins },
	{ "no_grant", test_no_grant },
};

CHECK_MAIN("decision", tests)
