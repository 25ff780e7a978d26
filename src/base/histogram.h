/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * How long things took, counted by bounds that serve both a look-up in Redis
 * and an answer to an MTA.  Adding is thread-safe and waits for nobody; what is
 * read meanwhile may be of different moments.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BOUNDS	14
#define HISTOGRAM_BUCKETS	(HISTOGRAM_BOUNDS + 1)	/* the last: no bound */

/* Microseconds, ascending; each bucket has what is not above its bound. */
extern const uint32_t histogram_bounds[HISTOGRAM_BOUNDS];

struct histogram {		/* all zero at the start */
	_Atomic uint64_t counts[HISTOGRAM_BUCKETS];
	_Atomic uint64_t sum_us;
};

/* A moment of it, or the sum of several. */
struct histogram_counts {
	uint64_t	 counts[HISTOGRAM_BUCKETS];
	uint64_t	 sum_us;
};

/* What is negative counts as nothing. */
void	histogram_add(struct histogram *histogram, int64_t us);
/* Adds what it has to *sum. */
void	histogram_sum(const struct histogram *histogram,
	    struct histogram_counts *sum);

#endif
