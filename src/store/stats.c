/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What a link counts.  Counters only grow; nobody waits for them.
 */
#include "store/private.h"

#include "base/counter.h"

/* An answer weighs so much in the average: one of 16. */
#define AVERAGE_SHIFT	4

void
stats_count_attempt(struct stats *stats)
{
	counter_add(&stats->attempts, 1);
}

void
stats_count_connection(struct stats *stats)
{
	counter_add(&stats->connections, 1);
}

void
stats_count_failure(struct stats *stats, enum store_failure kind)
{
	counter_add(&stats->failures[kind], 1);
}

void
stats_count_failed_fast(struct stats *stats)
{
	counter_add(&stats->failed_fast, 1);
}

/* Of two that come together the average may miss one. */
void
stats_count_answer(struct stats *stats, int64_t us)
{
	int64_t average = atomic_load_explicit(&stats->average_us,
	    memory_order_relaxed);

	histogram_add(&stats->latency, us);
	average = average == 0 ? us : average + (us - average) /
	    (1 << AVERAGE_SHIFT);
	atomic_store_explicit(&stats->average_us, average,
	    memory_order_relaxed);
}

void
stats_sum(const struct stats *stats, struct store_stats *sum)
{
	int64_t average = atomic_load_explicit(&stats->average_us,
	    memory_order_relaxed);

	sum->attempts += counter_get(&stats->attempts);
	sum->connections += counter_get(&stats->connections);
	for (size_t i = 0; i < STORE_FAILURES; i++)
		sum->failures[i] += counter_get(&stats->failures[i]);
	sum->failed_fast += counter_get(&stats->failed_fast);
	histogram_sum(&stats->latency, &sum->latency);
	if (average > sum->average_us)
		sum->average_us = average;
}

void
stats_add_sum(const struct store_stats *part, struct store_stats *sum)
{
	sum->attempts += part->attempts;
	sum->connections += part->connections;
	for (size_t i = 0; i < STORE_FAILURES; i++)
		sum->failures[i] += part->failures[i];
	sum->failed_fast += part->failed_fast;
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		sum->latency.counts[i] += part->latency.counts[i];
	sum->latency.sum_us += part->latency.sum_us;
}

const char *
store_failure_name(enum store_failure kind)
{
	switch (kind) {
	case STORE_FAILURE_CONNECT:
		return "connect";
	case STORE_FAILURE_REFUSED:
		return "refused";
	case STORE_FAILURE_TIMEOUT:
		return "timeout";
	case STORE_FAILURE_CLOSED:
		return "closed";
	case STORE_FAILURE_PROTOCOL:
		return "protocol";
	case STORE_FAILURE_OVERLOAD:
		return "overload";
	case STORE_FAILURE_ERROR:
		return "error";
	}
	return "unknown";
}
