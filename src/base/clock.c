/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "base/clock.h"

static int64_t
read_ms(clockid_t id)
{
	struct timespec ts;

	/* Fails only for an unknown clock. */
	(void)clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t
clock_now_ms(void)
{
	return read_ms(CLOCK_REALTIME);
}

int64_t
clock_monotonic_ms(void)
{
	return read_ms(CLOCK_MONOTONIC);
}

int64_t
clock_since_boot_ms(void)
{
	return read_ms(CLOCK_BOOTTIME);
}

int64_t
clock_monotonic_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void
clock_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t monotonic;

	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(cond, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
}

struct timespec
clock_deadline(int64_t monotonic_ms)
{
	return (struct timespec){ .tv_sec = (time_t)(monotonic_ms / 1000),
	    .tv_nsec = (long)(monotonic_ms % 1000) * 1000000L };
}
