/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Which configuration runs: how many have been read, when, and what was wrong
 * with the one that was refused.  Locks inside.
 */
#ifndef MONITOR_RELOADS_H
#define MONITOR_RELOADS_H

#include <pthread.h>
#include <stdint.h>

struct reloads_state {
	uint64_t	 generation;	/* of what runs; 1 after the start */
	int64_t		 loaded_ms;	/* Unix time, when it was read */
	uint64_t	 refused;	/* how many were */
	int64_t		 refused_ms;	/* the last, when none was read since */
	char		 error[512];	/* of that one */
};

struct reloads {
	pthread_mutex_t	 lock;
	struct reloads_state state;
};

/* The first has been read just now. */
void	reloads_init(struct reloads *reloads);
void	reloads_fini(struct reloads *reloads);
void	reloads_note(struct reloads *reloads);
/* Of the error the first line is kept. */
void	reloads_note_refusal(struct reloads *reloads, const char *error);
void	reloads_get(struct reloads *reloads, struct reloads_state *out);

#endif
