/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/limit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"
#include "base/xalloc.h"

#define SECRET_BYTES	16
#define WAYS		8	/* places that one key may be in */

/* Full again at full_ms: a bucket is told by that alone. */
struct place {
	uint64_t key;		/* 0: free */
	int64_t	 full_ms;
};

struct limit {
	pthread_mutex_t	 lock;
	unsigned	 burst;
	int64_t		 period_ms;
	unsigned char	 secret[SECRET_BYTES];
	size_t		 sets;
	struct place	*places;	/* sets times WAYS */
};

struct limit *
limit_new(unsigned burst, int64_t period_ms, size_t places)
{
	struct limit *l = xcalloc(1, sizeof(*l));

	(void)pthread_mutex_init(&l->lock, NULL);
	l->burst = burst;
	l->period_ms = period_ms;
	crypto_random(l->secret, sizeof(l->secret));
	l->sets = places < WAYS ? 1 : places / WAYS;
	l->places = xcalloc(l->sets * WAYS, sizeof(*l->places));
	return l;
}

void
limit_free(struct limit **limit)
{
	struct limit *l = *limit;

	if (l == NULL)
		return;
	*limit = NULL;
	(void)pthread_mutex_destroy(&l->lock);
	free(l->places);
	free(l);
}

static uint64_t
hash(const struct limit *l, struct span key)
{
	struct span pieces[] = { span_of(l->secret, sizeof(l->secret)), key };
	unsigned char digest[CRYPTO_DIGEST_BYTES];
	uint64_t value;

	crypto_sha256(pieces, 2, digest);
	memcpy(&value, digest, sizeof(value));
	return value != 0 ? value : 1;
}

/* Where the key is, or is to be. */
static struct place *
find(struct limit *l, uint64_t key)
{
	struct place *set = &l->places[key % l->sets * WAYS];
	struct place *best = set;

	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].key == key)
			return &set[i];
		if (set[i].full_ms < best->full_ms)
			best = &set[i];
	}
	*best = (struct place){ .key = key, .full_ms = 0 };
	return best;
}

bool
limit_take(struct limit *l, struct span key, int64_t now_ms)
{
	int64_t room_ms = l->period_ms * (int64_t)l->burst;
	struct place *place;
	bool allowed;

	(void)pthread_mutex_lock(&l->lock);
	place = find(l, hash(l, key));
	/* A clock that went back must not lock anybody out for long. */
	if (place->full_ms < now_ms || place->full_ms > now_ms + room_ms)
		place->full_ms = now_ms;
	allowed = place->full_ms + l->period_ms <= now_ms + room_ms;
	if (allowed)
		place->full_ms += l->period_ms;
	(void)pthread_mutex_unlock(&l->lock);
	return allowed;
}
