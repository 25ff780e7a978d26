/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/repeats.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "consent/event.h"

#define SLOTS	4096		/* a power of two */

/* One slot for all persons whose pseudonyms begin alike: those wait for each
 * other, and the later one replaces the earlier. */
struct repeat {
	pthread_mutex_t	 lock;
	struct subject	 subject;
	char		 list[LIST_NAME_MAX + 1];
	int64_t		 at_ms;		/* 0: nothing remembered */
	int64_t		 monotonic_ms;	/* when that was recorded */
};

struct repeats {
	struct repeat	 slots[SLOTS];
};

struct repeats *
repeats_new(void)
{
	struct repeats *repeats = xcalloc(1, sizeof(*repeats));

	for (size_t i = 0; i < SLOTS; i++)
		(void)pthread_mutex_init(&repeats->slots[i].lock, NULL);
	return repeats;
}

void
repeats_free(struct repeats **repeats)
{
	if (*repeats == NULL)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		(void)pthread_mutex_destroy(&(*repeats)->slots[i].lock);
	free(*repeats);
	*repeats = NULL;
}

static struct repeat *
slot_of(struct repeats *repeats, const struct subject *subject)
{
	unsigned int i = (unsigned int)subject->id[0] << 8 | subject->id[1];

	return &repeats->slots[i % SLOTS];
}

struct repeat *
repeats_begin_other(struct repeats *repeats, const struct subject *subject)
{
	struct repeat *slot = slot_of(repeats, subject);

	(void)pthread_mutex_lock(&slot->lock);
	if (subject_is(&slot->subject, subject))
		slot->at_ms = 0;
	return slot;
}

struct repeat *
repeats_begin(struct repeats *repeats, const struct subject *subject,
    const char *list, int64_t monotonic_ms, int64_t *at_ms)
{
	struct repeat *slot = slot_of(repeats, subject);

	(void)pthread_mutex_lock(&slot->lock);
	*at_ms = 0;
	if (slot->at_ms != 0 &&
	    monotonic_ms - slot->monotonic_ms <= REPEATS_MS &&
	    subject_is(&slot->subject, subject) &&
	    strcmp(slot->list, list) == 0)
		*at_ms = slot->at_ms;
	else {
		slot->at_ms = 0;
		slot->subject = *subject;
		(void)strncpy(slot->list, list, sizeof(slot->list) - 1);
	}
	return slot;
}

void
repeats_end(struct repeat *slot, int64_t at_ms, int64_t monotonic_ms)
{
	if (at_ms != 0) {
		slot->at_ms = at_ms;
		slot->monotonic_ms = monotonic_ms;
	}
	(void)pthread_mutex_unlock(&slot->lock);
}
