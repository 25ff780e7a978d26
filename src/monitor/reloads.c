/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "monitor/reloads.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

void
reloads_init(struct reloads *reloads)
{
	memset(reloads, 0, sizeof(*reloads));
	(void)pthread_mutex_init(&reloads->lock, NULL);
	reloads_note(reloads);
}

void
reloads_fini(struct reloads *reloads)
{
	(void)pthread_mutex_destroy(&reloads->lock);
}

void
reloads_note(struct reloads *reloads)
{
	(void)pthread_mutex_lock(&reloads->lock);
	reloads->state.generation++;
	reloads->state.loaded_ms = clock_now_ms();
	/* What was wrong is so no more. */
	reloads->state.refused_ms = 0;
	reloads->state.error[0] = '\0';
	(void)pthread_mutex_unlock(&reloads->lock);
}

void
reloads_note_refusal(struct reloads *reloads, const char *error)
{
	(void)pthread_mutex_lock(&reloads->lock);
	reloads->state.refused++;
	reloads->state.refused_ms = clock_now_ms();
	(void)snprintf(reloads->state.error, sizeof(reloads->state.error),
	    "%.*s", (int)strcspn(error, "\n"), error);
	(void)pthread_mutex_unlock(&reloads->lock);
}

void
reloads_get(struct reloads *reloads, struct reloads_state *out)
{
	(void)pthread_mutex_lock(&reloads->lock);
	*out = reloads->state;
	(void)pthread_mutex_unlock(&reloads->lock);
}
