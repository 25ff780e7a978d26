/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/metrics.h"

#include <stdio.h>

#include "base/counter.h"
#include "base/json.h"
#include "monitor/prometheus.h"
#include "webd/webhook.h"

#define WEBHOOK_LABEL	64

static const unsigned statuses[METRICS_STATUSES - 1] = {
	200, 202, 400, 401, 404, 405, 410, 413, 415, 429, 503
};

void
metrics_count_answer(struct metrics *metrics, unsigned status)
{
	size_t i = 0;

	while (i < METRICS_STATUSES - 1 && statuses[i] != status)
		i++;
	counter_add(&metrics->answers[i], 1);
}

void
metrics_count_events(struct metrics *metrics, const struct event *events,
    size_t n, bool recorded)
{
	uint64_t opt_outs = 0;

	for (size_t i = 0; i < n; i++)
		opt_outs += events[i].kind == EVENT_WITHDRAW ||
		    events[i].kind == EVENT_OBJECT;
	counter_add(recorded ? &metrics->opt_outs : &metrics->opt_outs_failed,
	    opt_outs);
}

static void
add_answers(const struct prometheus *p, const struct metrics *metrics)
{
	static const char name[] = "requests_total";
	char label[32];

	prometheus_head(p, name, "counter",
	    "Requests answered, by HTTP status.");
	for (size_t i = 0; i < METRICS_STATUSES - 1; i++) {
		(void)snprintf(label, sizeof(label), "{status=\"%u\"}",
		    statuses[i]);
		prometheus_add(p, name, label,
		    counter_get(&metrics->answers[i]));
	}
	prometheus_add(p, name, "{status=\"other\"}",
	    counter_get(&metrics->answers[METRICS_STATUSES - 1]));
}

/* A name is letters, digits and -, so it needs no escape. */
static void
label_webhook(char label[WEBHOOK_LABEL], const struct webhook_status *status)
{
	(void)snprintf(label, WEBHOOK_LABEL, "{webhook=\"%s\"}",
	    status->name);
}

static void
add_backlogs(const struct prometheus *p, const struct metrics_state *state)
{
	static const char name[] = "webhook_backlog_entries";
	char label[WEBHOOK_LABEL];

	prometheus_head(p, name, "gauge",
	    "Entries of the ledger that were not told yet.");
	for (size_t i = 0; i < state->webhook_count; i++) {
		int64_t backlog = state->webhooks[i].backlog;

		label_webhook(label, &state->webhooks[i]);
		if (backlog == -1)
			buf_addf(p->out, "%s%s%s NaN\n", p->prefix, name,
			    label);
		else
			prometheus_add(p, name, label, (uint64_t)backlog);
	}
}

static void
add_webhooks(const struct prometheus *p, const struct metrics_state *state)
{
	static const char failures[] = "webhook_failures_total";
	static const char success[] = "webhook_last_success_timestamp_seconds";
	char label[WEBHOOK_LABEL];

	if (state->webhook_count == 0)
		return;
	add_backlogs(p, state);
	prometheus_head(p, failures, "counter",
	    "Times that a webhook could not be told.");
	for (size_t i = 0; i < state->webhook_count; i++) {
		label_webhook(label, &state->webhooks[i]);
		prometheus_add(p, failures, label,
		    state->webhooks[i].failures);
	}
	prometheus_head(p, success, "gauge", "When a webhook was told last; 0 "
	    "when not since the start.");
	for (size_t i = 0; i < state->webhook_count; i++) {
		label_webhook(label, &state->webhooks[i]);
		prometheus_add_ms(p, success, label,
		    state->webhooks[i].last_success_ms);
	}
}

void
metrics_format(struct buf *out, const struct metrics *metrics,
    const struct metrics_state *state)
{
	const struct prometheus p = { out, METRICS_PREFIX };

	add_answers(&p, metrics);
	prometheus_one(&p, "opt_outs_total", "counter",
	    "Opt-outs recorded in the ledger.",
	    counter_get(&metrics->opt_outs));
	prometheus_one(&p, "opt_outs_failed_total", "counter",
	    "Opt-outs that could not be recorded, and the client was told so.",
	    counter_get(&metrics->opt_outs_failed));
	prometheus_head(&p, "redis_behind_since_timestamp_seconds", "gauge",
	    "Since when Redis has not confirmed all that is in the ledger; 0 "
	    "when it has.");
	prometheus_add_ms(&p, "redis_behind_since_timestamp_seconds", "",
	    state->behind_since_ms);
	prometheus_one(&p, "unapplied_entries", "gauge", "Entries of the "
	    "ledger that Redis is not known to have.", state->unapplied);
	prometheus_one(&p, "ledger_writable", "gauge",
	    "Whether opt-outs can be recorded now: 1 yes, 0 no.",
	    state->ledger_is_writable ? 1 : 0);
	add_webhooks(&p, state);
}

void
metrics_add_members(struct buf *out, const struct metrics *metrics)
{
	char name[16];

	json_add_name(out, "answers");
	buf_add_char(out, '{');
	for (size_t i = 0; i < METRICS_STATUSES - 1; i++) {
		(void)snprintf(name, sizeof(name), "%u", statuses[i]);
		json_add_member_i64(out, name,
		    (int64_t)counter_get(&metrics->answers[i]));
	}
	json_add_member_i64(out, "other",
	    (int64_t)counter_get(&metrics->answers[METRICS_STATUSES - 1]));
	buf_add_char(out, '}');
	json_add_member_i64(out, "opt_outs",
	    (int64_t)counter_get(&metrics->opt_outs));
	json_add_member_i64(out, "opt_outs_failed",
	    (int64_t)counter_get(&metrics->opt_outs_failed));
}
