/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The two clocks.  Only the edges of the programs read them; the core gets the
 * time as an argument.  Thread-safe.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

int64_t	clock_now_ms(void);		/* Unix time, see date.h */
int64_t	clock_monotonic_ms(void);	/* for time-outs only */
int64_t	clock_monotonic_us(void);	/* for how long something took */
int64_t	clock_since_boot_ms(void);	/* of the machine, with its sleep */

/* A condition whose time-outs are of the monotonic clock: one that is set back
 * must not make anybody wait.  And such a time-out, for a time of
 * clock_monotonic_ms(). */
void	clock_cond_init(pthread_cond_t *cond);
struct timespec clock_deadline(int64_t monotonic_ms);

#endif
