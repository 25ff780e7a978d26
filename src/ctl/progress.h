/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * How far we are, on a terminal, for what reads a lot.
 */
#ifndef CTL_PROGRESS_H
#define CTL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char	*what;		/* is read */
	bool		 terminal;	/* stderr is one */
	uint64_t	 total_bytes;	/* 0: not known */
	int64_t		 start_ms, said_ms;
};

/* From now on this is read; keeps `terminal'. */
void	progress_begin(struct progress *progress, const char *what);
/* bytes of it are read; often enough is as often as one likes. */
void	progress_bytes(struct progress *progress, uint64_t bytes);
/* Clears the line for something else. */
void	progress_clear(const struct progress *progress);

#endif
