/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/metrics.h"

#include <inttypes.h>

#include "webd/webhook.h"

static const unsigned statuses[METRICS_STATUSES - 1] = {
	200, 202, 400, 401, 404, 405, 410, 413, 415, 429, 503
};

static void
add(_Atomic uint64_t *counter, uint64_t n)
{
	(void)atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static uint64_t
get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void
metrics_count_answer(struct metrics *metrics, unsigned status)
{
	size_t i = 0;

	while (i < METRICS_STATUSES - 1 && statuses[i] != status)
		i++;
	add(&metrics->answers[i], 1);
}

void
metrics_count_events(struct metrics *metrics, const struct event *events,
    size_t n, bool recorded)
{
	uint64_t opt_outs = 0;

	for (size_t i = 0; i < n; i++)
		opt_outs += events[i].kind == EVENT_WITHDRAW ||
		    events[i].kind == EVENT_OBJECT;
	add(recorded ? &metrics->opt_outs : &metrics->opt_outs_failed,
	    opt_outs);
}

static void
add_head(struct buf *out, const char *name, const char *type,
    const char *help)
{
	buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
add_answers(struct buf *out, const struct metrics *metrics)
{
	static const char name[] = "consent_web_requests_total";

	add_head(out, name, "counter", "Requests answered, by HTTP status.");
	for (size_t i = 0; i < METRICS_STATUSES - 1; i++)
		buf_addf(out, "%s{status=\"%u\"} %" PRIu64 "\n", name,
		    statuses[i], get(&metrics->answers[i]));
	buf_addf(out, "%s{status=\"other\"} %" PRIu64 "\n", name,
	    get(&metrics->answers[METRICS_STATUSES - 1]));
}

static void
add_number(struct buf *out, const char *name, const char *type,
    const char *help, uint64_t value)
{
	add_head(out, name, type, help);
	buf_addf(out, "%s %" PRIu64 "\n", name, value);
}

/* Prometheus counts in seconds. */
static void
add_seconds(struct buf *out, int64_t ms)
{
	if (ms < 0)
		ms = 0;
	buf_addf(out, " %" PRId64 ".%03d\n", ms / 1000, (int)(ms % 1000));
}

static void
add_behind(struct buf *out, int64_t since_ms)
{
	static const char name[] =
	    "consent_web_redis_behind_since_timestamp_seconds";

	add_head(out, name, "gauge", "Since when Redis has not confirmed all "
	    "that is in the ledger; 0 when it has.");
	buf_add_str(out, name);
	add_seconds(out, since_ms);
}

/* A name is letters, digits and -, so it needs no escape. */
static void
add_of_webhook(struct buf *out, const char *metric,
    const struct webhook_status *status)
{
	buf_addf(out, "%s{webhook=\"%s\"}", metric, status->name);
}

static void
add_backlogs(struct buf *out, const struct metrics_state *state)
{
	static const char name[] = "consent_web_webhook_backlog_entries";

	add_head(out, name, "gauge",
	    "Entries of the ledger that were not told yet.");
	for (size_t i = 0; i < state->webhook_count; i++) {
		add_of_webhook(out, name, &state->webhooks[i]);
		if (state->webhooks[i].backlog == -1)
			buf_add_str(out, " NaN\n");
		else
			buf_addf(out, " %" PRId64 "\n",
			    state->webhooks[i].backlog);
	}
}

static void
add_webhooks(struct buf *out, const struct metrics_state *state)
{
	static const char failures[] = "consent_web_webhook_failures_total";
	static const char success[] =
	    "consent_web_webhook_last_success_timestamp_seconds";

	if (state->webhook_count == 0)
		return;
	add_backlogs(out, state);
	add_head(out, failures, "counter",
	    "Times that a webhook could not be told.");
	for (size_t i = 0; i < state->webhook_count; i++) {
		add_of_webhook(out, failures, &state->webhooks[i]);
		buf_addf(out, " %" PRIu64 "\n", state->webhooks[i].failures);
	}
	add_head(out, success, "gauge", "When a webhook was told last; 0 "
	    "when not since the start.");
	for (size_t i = 0; i < state->webhook_count; i++) {
		add_of_webhook(out, success, &state->webhooks[i]);
		add_seconds(out, state->webhooks[i].last_success_ms);
	}
}

void
metrics_format(struct buf *out, const struct metrics *metrics,
    const struct metrics_state *state)
{
	add_answers(out, metrics);
	add_number(out, "consent_web_opt_outs_total", "counter",
	    "Opt-outs recorded in the ledger.", get(&metrics->opt_outs));
	add_number(out, "consent_web_opt_outs_failed_total", "counter",
	    "Opt-outs that could not be recorded, and the client was told so.",
	    get(&metrics->opt_outs_failed));
	add_behind(out, state->behind_since_ms);
	add_number(out, "consent_web_ledger_writable", "gauge",
	    "Whether opt-outs can be recorded now: 1 yes, 0 no.",
	    state->ledger_is_writable ? 1 : 0);
	add_webhooks(out, state);
}
