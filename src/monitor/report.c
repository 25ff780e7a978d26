/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "monitor/report.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/date.h"
#include "base/json.h"
#include "monitor/prometheus.h"

void
report_take_journal(struct report *r, const char *name,
    const char *directory, struct journal *journal)
{
	struct report_journal *j = &r->journals[r->journal_count++];
	struct fail unused;

	j->name = name;
	j->directory = directory;
	if (journal != NULL)
		journal_stats(journal, &j->stats);
	j->has_size = journal_size(directory, name, &j->bytes,
	    &j->free_bytes, &unused) == 0;
}

void
report_add_problem(struct report *r, const char *problem)
{
	if (r->problem_count < REPORT_PROBLEMS)
		r->problems[r->problem_count++] = problem;
}

static int64_t
unsynced_for_ms(const struct report_journal *j)
{
	return j->stats.unsynced_ms == 0 ? 0 :
	    clock_monotonic_ms() - j->stats.unsynced_ms;
}

void
report_find_problems(struct report *r)
{
	bool lacks = false, full = false, hangs = false;

	for (size_t i = 0; i < r->journal_count; i++) {
		const struct report_journal *j = &r->journals[i];

		lacks |= !j->has_size;
		full |= j->has_size && j->free_bytes < REPORT_FULL_BYTES;
		hangs |= unsynced_for_ms(j) > REPORT_UNSYNCED_MS;
	}
	if (!r->store_is_reachable)
		report_add_problem(r, "store-unreachable");
	if (r->reloads.refused_ms != 0)
		report_add_problem(r, "reload-refused");
	if (lacks)
		report_add_problem(r, "journal-missing");
	if (full)
		report_add_problem(r, "disk-full");
	if (hangs)
		report_add_problem(r, "journal-not-synced");
}

/* -- for Prometheus -- */

static void
add_process(const struct prometheus *p, const struct report *r)
{
	prometheus_head(p, "build_info", "gauge",
	    "Always 1; the version is a label.");
	prometheus_add(p, "build_info",
	    "{version=\"" PACKAGE_VERSION "\"}", 1);
	prometheus_head(p, "start_time_seconds", "gauge",
	    "When the process was ready, as Unix time.");
	prometheus_add_ms(p, "start_time_seconds", "", r->started_ms);
	prometheus_one(p, "config_generation", "gauge", "Which configuration "
	    "runs: 1 after the start, and one more with each reload.",
	    r->reloads.generation);
	prometheus_head(p, "config_load_timestamp_seconds", "gauge",
	    "When the configuration that runs was read, as Unix time.");
	prometheus_add_ms(p, "config_load_timestamp_seconds", "",
	    r->reloads.loaded_ms);
	prometheus_one(p, "config_reload_success", "gauge",
	    "Whether the last reload was taken: 1 yes or none, 0 refused.",
	    r->reloads.refused_ms == 0);
	prometheus_one(p, "config_reloads_refused_total", "counter",
	    "Reloads that were refused.", r->reloads.refused);
}

static void
add_breaker(const struct prometheus *p, const struct report *r)
{
	prometheus_one(p, "store_reachable", "gauge", "Whether Redis can be "
	    "asked, and a replica is new enough: 1 yes, 0 no.",
	    r->store_is_reachable);
	prometheus_one(p, "store_breaker_open", "gauge", "Whether commands "
	    "to Redis fail at once: 1 yes, 0 no.",
	    r->reach.is_known && !r->reach.is_reachable);
	prometheus_head(p, "store_breaker_changes_total", "counter",
	    "How often the breaker opened and closed; it closes with the "
	    "first connection as well.");
	prometheus_add(p, "store_breaker_changes_total", "{to=\"open\"}",
	    r->reach.opened);
	prometheus_add(p, "store_breaker_changes_total", "{to=\"closed\"}",
	    r->reach.closed);
	prometheus_head(p, "store_breaker_change_timestamp_seconds", "gauge",
	    "When it did last, as Unix time; 0 when not yet.");
	prometheus_add_ms(p, "store_breaker_change_timestamp_seconds", "",
	    r->reach.since_ms);
}

static void
add_store(const struct prometheus *p, const struct report *r)
{
	const struct store_stats *s = &r->store;

	prometheus_one(p, "store_connection_attempts_total", "counter",
	    "Attempts to connect to Redis.", s->attempts);
	prometheus_one(p, "store_connections_total", "counter",
	    "Attempts that brought a connection.", s->connections);
	prometheus_head(p, "store_failures_total", "counter",
	    "What went wrong with Redis, by kind.");
	for (unsigned i = 0; i < STORE_FAILURES; i++) {
		char label[64];

		(void)snprintf(label, sizeof(label), "{kind=\"%s\"}",
		    store_failure_name(i));
		prometheus_add(p, "store_failures_total", label,
		    s->failures[i]);
	}
	prometheus_one(p, "store_failed_fast_total", "counter", "Requests "
	    "that failed at once, for the breaker was open.",
	    s->failed_fast);
	prometheus_head(p, "store_request_duration_seconds", "histogram",
	    "How long Redis took for requests that it answered.");
	prometheus_add_histogram(p, "store_request_duration_seconds", "",
	    &s->latency);
	prometheus_head(p, "store_latency_seconds", "gauge",
	    "The moving average of that; 0 when nothing was asked yet.");
	prometheus_add_us(p, "store_latency_seconds", "", s->average_us);
}

enum quantity { SEQ, BYTES, FREE, SYNCED, UNSYNCED, FAILED };

static void
add_quantity(const struct prometheus *p, const char *name,
    const struct report_journal *j, enum quantity quantity)
{
	char label[64];

	(void)snprintf(label, sizeof(label), "{journal=\"%s\"}", j->name);
	switch (quantity) {
	case SEQ:
		prometheus_add(p, name, label, j->stats.seq);
		break;
	case BYTES:
		if (j->has_size)
			prometheus_add(p, name, label, j->bytes);
		break;
	case FREE:
		if (j->has_size)
			prometheus_add(p, name, label, j->free_bytes);
		break;
	case SYNCED:
		prometheus_add_ms(p, name, label, j->stats.synced_ms);
		break;
	case UNSYNCED:
		prometheus_add_ms(p, name, label, unsynced_for_ms(j));
		break;
	case FAILED:
		prometheus_add(p, name, label, j->stats.failures);
		break;
	}
}

static void
add_journals(const struct prometheus *p, const struct report *r)
{
	static const struct {
		const char *name, *type, *help;
		enum quantity quantity;
	} all[] = {
		{ "journal_last_sequence", "gauge", "The number of the last "
		  "entry that this process wrote or found.", SEQ },
		{ "journal_size_bytes", "gauge", "All files of the journal "
		  "together.", BYTES },
		{ "journal_free_bytes", "gauge", "What is left of the disk "
		  "that it is on.", FREE },
		{ "journal_sync_timestamp_seconds", "gauge", "When it was "
		  "synced to the disk last, as Unix time; 0 when not yet.",
		  SYNCED },
		{ "journal_lag_seconds", "gauge", "For how long an entry has "
		  "waited for a sync; 0 when all is on disk.", UNSYNCED },
		{ "journal_failures_total", "counter", "Writes and syncs that "
		  "failed.", FAILED },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		prometheus_head(p, all[i].name, all[i].type, all[i].help);
		for (size_t k = 0; k < r->journal_count; k++)
			add_quantity(p, all[i].name, &r->journals[k],
			    all[i].quantity);
	}
}

void
report_add_metrics(struct buf *out, const struct report *r)
{
	const struct prometheus p = { out, r->prefix };

	add_process(&p, r);
	add_breaker(&p, r);
	add_store(&p, r);
	add_journals(&p, r);
}

/* -- at the control socket -- */

void
report_add_time(struct buf *out, const char *name, int64_t ms)
{
	struct buf text = BUF_INIT(64);

	if (ms == 0) {
		json_add_name(out, name);
		buf_add_str(out, "null");
		return;
	}
	date_format(&text, ms);
	json_add_member(out, name, buf_span(&text));
	buf_fini(&text);
}

static void
add_config(struct buf *out, const struct report *r)
{
	json_add_name(out, "config");
	buf_add_char(out, '{');
	json_add_member_str(out, "file", r->config_path);
	json_add_member_i64(out, "generation",
	    (int64_t)r->reloads.generation);
	report_add_time(out, "loaded", r->reloads.loaded_ms);
	report_add_time(out, "refused", r->reloads.refused_ms);
	json_add_member_str(out, "error", r->reloads.error);
	buf_add_char(out, '}');
}

static void
add_store_member(struct buf *out, const struct report *r)
{
	const struct store_stats *s = &r->store;
	uint64_t requests = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		requests += s->latency.counts[i];
	json_add_name(out, "store");
	buf_add_char(out, '{');
	json_add_member_bool(out, "reachable", r->store_is_reachable);
	json_add_member_str(out, "breaker", !r->reach.is_known ? "unknown" :
	    r->reach.is_reachable ? "closed" : "open");
	report_add_time(out, "since", r->reach.since_ms);
	json_add_member_str(out, "why", r->reach.text);
	json_add_member_i64(out, "opened", (int64_t)r->reach.opened);
	json_add_member_i64(out, "closed", (int64_t)r->reach.closed);
	json_add_member_i64(out, "attempts", (int64_t)s->attempts);
	json_add_member_i64(out, "connections", (int64_t)s->connections);
	json_add_member_i64(out, "requests", (int64_t)requests);
	json_add_member_i64(out, "failed_fast", (int64_t)s->failed_fast);
	json_add_member_i64(out, "latency_us", s->average_us);
	json_add_name(out, "failures");
	buf_add_char(out, '{');
	for (unsigned i = 0; i < STORE_FAILURES; i++)
		json_add_member_i64(out, store_failure_name(i),
		    (int64_t)s->failures[i]);
	buf_add_str(out, "}}");
}

static void
add_journal_members(struct buf *out, const struct report *r)
{
	json_add_name(out, "journals");
	buf_add_char(out, '[');
	for (size_t i = 0; i < r->journal_count; i++) {
		const struct report_journal *j = &r->journals[i];

		buf_add_str(out, i > 0 ? ",{" : "{");
		json_add_member_str(out, "name", j->name);
		json_add_member_str(out, "directory", j->directory);
		json_add_member_i64(out, "seq", (int64_t)j->stats.seq);
		report_add_time(out, "synced", j->stats.synced_ms);
		json_add_member_i64(out, "unsynced_ms", unsynced_for_ms(j));
		json_add_member_i64(out, "failures",
		    (int64_t)j->stats.failures);
		if (j->has_size) {
			json_add_member_i64(out, "bytes", (int64_t)j->bytes);
			json_add_member_i64(out, "free_bytes",
			    (int64_t)j->free_bytes);
		}
		buf_add_char(out, '}');
	}
	buf_add_char(out, ']');
}

void
report_add_members(struct buf *out, const struct report *r)
{
	json_add_member_str(out, "program", r->program);
	json_add_member_str(out, "version", PACKAGE_VERSION);
	json_add_member_i64(out, "pid", getpid());
	report_add_time(out, "started", r->started_ms);
	json_add_member_i64(out, "uptime_seconds",
	    (r->now_ms - r->started_ms) / 1000);
	json_add_name(out, "problems");
	buf_add_char(out, '[');
	for (size_t i = 0; i < r->problem_count; i++)
		buf_addf(out, "%s\"%s\"", i > 0 ? "," : "", r->problems[i]);
	buf_add_char(out, ']');
	add_config(out, r);
	add_store_member(out, r);
	add_journal_members(out, r);
}
