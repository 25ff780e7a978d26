/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The two clocks.  Only the edges of the programs read them; the core gets the
 * time as an argument.  Thread-safe.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

int64_t	clock_now_ms(void);		/* Unix time, see date.h */
int64_t	clock_monotonic_ms(void);	/* for time-outs only */

#endif
