/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "monitor/reach.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

void
reach_init(struct reach *reach)
{
	memset(reach, 0, sizeof(*reach));
	(void)pthread_mutex_init(&reach->lock, NULL);
}

void
reach_fini(struct reach *reach)
{
	(void)pthread_mutex_destroy(&reach->lock);
}

void
reach_note(struct reach *reach, bool is_reachable, const char *text)
{
	struct reach_state *s = &reach->state;

	(void)pthread_mutex_lock(&reach->lock);
	/* Another primary is no change of state. */
	if (!s->is_known || s->is_reachable != is_reachable) {
		s->since_ms = clock_now_ms();
		if (is_reachable)
			s->closed++;
		else
			s->opened++;
	}
	s->is_known = true;
	s->is_reachable = is_reachable;
	(void)snprintf(s->text, sizeof(s->text), "%s", text);
	(void)pthread_mutex_unlock(&reach->lock);
}

void
reach_get(struct reach *reach, struct reach_state *out)
{
	(void)pthread_mutex_lock(&reach->lock);
	*out = reach->state;
	(void)pthread_mutex_unlock(&reach->lock);
}
