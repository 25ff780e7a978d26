/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/session.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "base/xalloc.h"

#define KEY_BYTES	16
#define SESSIONS_MAX	1000
#define LINKS_MAX	5000

_Static_assert(SESSION_KEY_LEN == 2 * KEY_BYTES, "length of a key");

struct session {
	unsigned char	 key[KEY_BYTES];
	struct subject	 subject;
	int64_t		 used_ms;	/* 0: free */
};

struct used_link {
	struct subject	 subject;
	unsigned char	 detail[LINK_DETAIL_BYTES];
	int64_t		 lapses_ms;	/* 0: free */
};

struct sessions {
	pthread_mutex_t	 lock;
	struct session	 sessions[SESSIONS_MAX];
	struct used_link links[LINKS_MAX];
};

struct sessions *
sessions_new(void)
{
	struct sessions *s = xcalloc(1, sizeof(*s));

	(void)pthread_mutex_init(&s->lock, NULL);
	return s;
}

void
sessions_free(struct sessions **sessions)
{
	struct sessions *s = *sessions;

	if (s == NULL)
		return;
	*sessions = NULL;
	(void)pthread_mutex_destroy(&s->lock);
	crypto_wipe(s->sessions, sizeof(s->sessions));
	free(s);
}

static bool
is_link(const struct used_link *used, const struct link *link)
{
	return used->lapses_ms != 0 && subject_is(&used->subject,
	    &link->subject) && memcmp(used->detail, link->detail,
	    sizeof(used->detail)) == 0;
}

bool
sessions_use_link(struct sessions *s, const struct link *link, int64_t now_ms,
    int64_t lapses_ms)
{
	struct used_link *room = NULL;
	bool first = true;

	(void)pthread_mutex_lock(&s->lock);
	for (size_t i = 0; first && i < LINKS_MAX; i++) {
		if (is_link(&s->links[i], link))
			first = false;
		if (room == NULL && s->links[i].lapses_ms < now_ms)
			room = &s->links[i];
	}
	if (first && room != NULL) {
		room->subject = link->subject;
		memcpy(room->detail, link->detail, sizeof(room->detail));
		room->lapses_ms = lapses_ms;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return first && room != NULL;
}

void
sessions_unuse_link(struct sessions *s, const struct link *link)
{
	(void)pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < LINKS_MAX; i++)
		if (is_link(&s->links[i], link))
			s->links[i].lapses_ms = 0;
	(void)pthread_mutex_unlock(&s->lock);
}

void
sessions_begin(struct sessions *s, const struct subject *subject,
    int64_t now_ms, struct buf *key)
{
	struct session *at = &s->sessions[0];

	(void)pthread_mutex_lock(&s->lock);
	for (size_t i = 1; i < SESSIONS_MAX; i++)
		if (s->sessions[i].used_ms < at->used_ms)
			at = &s->sessions[i];
	crypto_random(at->key, sizeof(at->key));
	at->subject = *subject;
	at->used_ms = now_ms;
	hex_format(key, at->key, sizeof(at->key));
	(void)pthread_mutex_unlock(&s->lock);
}

bool
sessions_find(struct sessions *s, struct span text, int64_t now_ms,
    struct subject *subject)
{
	unsigned char key[KEY_BYTES];
	bool found = false;

	if (hex_parse(text, key, sizeof(key)) == -1)
		return false;
	(void)pthread_mutex_lock(&s->lock);
	/* Security: all of them are compared, each in constant time. */
	for (size_t i = 0; i < SESSIONS_MAX; i++) {
		struct session *at = &s->sessions[i];

		if (!crypto_equal(at->key, key, sizeof(key)) ||
		    at->used_ms == 0 || at->used_ms + SESSION_MS < now_ms)
			continue;
		at->used_ms = now_ms;
		*subject = at->subject;
		found = true;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return found;
}

void
sessions_end(struct sessions *s, const struct subject *subject)
{
	(void)pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < SESSIONS_MAX; i++)
		if (s->sessions[i].used_ms != 0 &&
		    subject_is(&s->sessions[i].subject, subject))
			s->sessions[i].used_ms = 0;
	(void)pthread_mutex_unlock(&s->lock);
}
