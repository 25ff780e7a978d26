/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "base/histogram.h"

#include "base/counter.h"

const uint32_t histogram_bounds[HISTOGRAM_BOUNDS] = {
	100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000,
	500000, 1000000, 5000000
};

void
histogram_add(struct histogram *h, int64_t us)
{
	size_t i = 0;

	if (us < 0)
		us = 0;
	while (i < HISTOGRAM_BOUNDS && us > histogram_bounds[i])
		i++;
	counter_add(&h->counts[i], 1);
	counter_add(&h->sum_us, (uint64_t)us);
}

void
histogram_sum(const struct histogram *h, struct histogram_counts *sum)
{
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		sum->counts[i] += counter_get(&h->counts[i]);
	sum->sum_us += counter_get(&h->sum_us);
}
