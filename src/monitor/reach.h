/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Whether a store can be reached, since when and why, as it told last
 * (store_options.on_state).  Locks inside.
 */
#ifndef MONITOR_REACH_H
#define MONITOR_REACH_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct reach_state {
	bool		 is_known;	/* it has told at all */
	bool		 is_reachable;
	int64_t		 since_ms;	/* Unix time */
	uint64_t	 opened;	/* times that the breaker did, ... */
	uint64_t	 closed;	/* ... the first connection among these */
	char		 text[256];
};

struct reach {
	pthread_mutex_t	 lock;
	struct reach_state state;
};

void	reach_init(struct reach *reach);
void	reach_fini(struct reach *reach);
void	reach_note(struct reach *reach, bool is_reachable, const char *text);
void	reach_get(struct reach *reach, struct reach_state *out);

#endif
