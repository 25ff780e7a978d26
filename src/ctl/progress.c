/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/progress.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"

#define PROGRESS_MS	100
#define BAR_LEN		20

void
progress_begin(struct progress *p, const char *what)
{
	p->what = what;
	p->total_bytes = 0;
	p->start_ms = clock_monotonic_ms();
	p->said_ms = p->start_ms;
}

void
progress_bytes(struct progress *p, uint64_t bytes)
{
	int64_t now, took;

	if (!p->terminal)
		return;
	now = clock_monotonic_ms();
	took = now - p->start_ms;
	if (now - p->said_ms < PROGRESS_MS)
		return;
	p->said_ms = now;
	fprintf(stderr, "\r%s: %" PRIu64 " MiB, %" PRIu64 " MiB/s", p->what,
	    bytes >> 20, took > 0 ? (bytes >> 10) * 1000 / 1024 /
	    (uint64_t)took : 0);
	if (p->total_bytes > 0) {
		uint64_t done = bytes * BAR_LEN / p->total_bytes;

		fputs(" [", stderr);
		for (unsigned i = 0; i < BAR_LEN; i++)
			fputc(i < done ? '#' : '.', stderr);
		fputc(']', stderr);
	}
	fputc(' ', stderr);
}

void
progress_clear(const struct progress *p)
{
	if (p->terminal)
		fputs("\r\033[K", stderr);
}
