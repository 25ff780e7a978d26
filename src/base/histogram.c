/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "base/histogram.h"

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
	(void)atomic_fetch_add_explicit(&h->counts[i], 1,
	    memory_order_relaxed);
	(void)atomic_fetch_add_explicit(&h->sum_us, (uint64_t)us,
	    memory_order_relaxed);
}

void
histogram_sum(const struct histogram *h, struct histogram_counts *sum)
{
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		sum->counts[i] += atomic_load_explicit(&h->counts[i],
		    memory_order_relaxed);
	sum->sum_us += atomic_load_explicit(&h->sum_us, memory_order_relaxed);
}
