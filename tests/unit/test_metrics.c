/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/metrics.h"

#include <pthread.h>

#include "check.h"
#include "webd/webhook.h"

#define THREADS	4
#define ROUNDS	10000

static bool
has(const struct metrics *metrics, const struct metrics_state *state,
    const char *line)
{
	struct buf text = BUF_INIT(64 * 1024);
	char want[200];
	bool found;

	(void)snprintf(want, sizeof(want), "\n%s\n", line);
	metrics_format(&text, metrics, state);
	found = !text.overflow && strstr(buf_get(&text), want) != NULL;
	buf_fini(&text);
	return found;
}

static void
test_zero(void)
{
	static const char *const lines[] = {
		"# TYPE consent_web_requests_total counter",
		"consent_web_requests_total{status=\"200\"} 0",
		"consent_web_requests_total{status=\"503\"} 0",
		"consent_web_requests_total{status=\"other\"} 0",
		"consent_web_opt_outs_total 0",
		"consent_web_opt_outs_failed_total 0",
		"consent_web_redis_behind_since_timestamp_seconds 0.000",
		"consent_web_ledger_writable 0",
	};
	static struct metrics metrics;
	const struct metrics_state state = { .behind_since_ms = 0 };

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		check_case((long)i);
		CHECK(has(&metrics, &state, lines[i]));
	}
	check_case(-1);
}

static void
test_state(void)
{
	static const struct {
		int64_t behind_since_ms;
		const char *line;
	} cases[] = {
		{ 1, "consent_web_redis_behind_since_timestamp_seconds 0.001" },
		{ INT64_C(1795000000042), "consent_web_redis_behind_since_"
		  "timestamp_seconds 1795000000.042" },
		{ -5, "consent_web_redis_behind_since_timestamp_seconds "
		  "0.000" },
	};
	static struct metrics metrics;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct metrics_state state = { true,
		    .behind_since_ms = cases[i].behind_since_ms };

		check_case((long)i);
		CHECK(has(&metrics, &state, cases[i].line));
		CHECK(has(&metrics, &state, "consent_web_ledger_writable 1"));
	}
	check_case(-1);
}

static void
test_events(void)
{
	static const struct event events[] = {
		{ .kind = EVENT_WITHDRAW }, { .kind = EVENT_GRANT },
		{ .kind = EVENT_OBJECT }, { .kind = EVENT_CONFIRM },
		{ .kind = EVENT_WITHDRAW },
	};
	static struct metrics metrics;
	const struct metrics_state state = { true, .behind_since_ms = 0 };

	metrics_count_events(&metrics, events, 5, true);
	metrics_count_events(&metrics, events, 1, true);
	metrics_count_events(&metrics, events + 1, 2, false);
	metrics_count_events(&metrics, events, 0, false);
	CHECK(has(&metrics, &state, "consent_web_opt_outs_total 4"));
	CHECK(has(&metrics, &state, "consent_web_opt_outs_failed_total 1"));
}

static void *
count_many(void *argument)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		metrics_count_answer(argument, 200);
		metrics_count_answer(argument, 503);
		metrics_count_answer(argument, i % 2 == 0 ? 299 : 0);
	}
	return NULL;
}

static void
test_threads(void)
{
	static struct metrics metrics;
	const struct metrics_state state = { true, .behind_since_ms = 0 };
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		CHECK_INT(pthread_create(&threads[i], NULL, count_many,
		    &metrics), 0);
	for (int i = 0; i < THREADS; i++)
		CHECK_INT(pthread_join(threads[i], NULL), 0);
	CHECK(has(&metrics, &state,
	    "consent_web_requests_total{status=\"200\"} 40000"));
	CHECK(has(&metrics, &state,
	    "consent_web_requests_total{status=\"503\"} 40000"));
	CHECK(has(&metrics, &state,
	    "consent_web_requests_total{status=\"other\"} 40000"));
	CHECK(has(&metrics, &state,
	    "consent_web_requests_total{status=\"404\"} 0"));
}

static void
test_webhooks(void)
{
	static const struct webhook_status webhooks[] = {
		{ .name = "crm", .backlog = 7, .failures = 3,
		  .last_success_ms = 1795000000042 },
		{ .name = "shop-2", .backlog = -1 },
	};
	static const char *const lines[] = {
		"consent_web_webhook_backlog_entries{webhook=\"crm\"} 7",
		"consent_web_webhook_backlog_entries{webhook=\"shop-2\"} NaN",
		"consent_web_webhook_failures_total{webhook=\"crm\"} 3",
		"consent_web_webhook_failures_total{webhook=\"shop-2\"} 0",
		"consent_web_webhook_last_success_timestamp_seconds"
		"{webhook=\"crm\"} 1795000000.042",
		"consent_web_webhook_last_success_timestamp_seconds"
		"{webhook=\"shop-2\"} 0.000",
	};
	static struct metrics metrics;
	const struct metrics_state none = { true, .behind_since_ms = 0 };
	const struct metrics_state state = { true, .webhooks = webhooks,
	    .webhook_count = 2 };
	const char *head = "# TYPE consent_web_webhook_failures_total counter";

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		check_case((long)i);
		CHECK(has(&metrics, &state, lines[i]));
	}
	check_case(-1);
	CHECK(has(&metrics, &state, head));
	CHECK(!has(&metrics, &none, head));
}

static const struct check_test tests[] = {
	{ "zero", test_zero },
	{ "state", test_state },
	{ "events", test_events },
	{ "threads", test_threads },
	{ "webhooks", test_webhooks },
};

CHECK_MAIN("metrics", tests)
