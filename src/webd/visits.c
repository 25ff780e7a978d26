/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/visits.h"

#include <sys/socket.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"

#define LOOK_MS		500
#define PATIENT_MS	60000
#define PRESSED_MS	2000
#define SERVED		INT64_MAX	/* it is not their turn */

struct visit {
	struct visit	*next, **at;	/* *at is this one */
	int		 fd;
	int64_t		 since_ms;	/* monotonic; or SERVED */
};

struct visits {
	pthread_t	 thread;
	pthread_mutex_t	 lock;		/* for what follows */
	pthread_cond_t	 wakes;
	struct visit	*first;
	size_t		 places, count;
	bool		 is_pressed;
	bool		 stopping;
};

/* First nothing more is read: what has come already is, and answered if it is a
 * request.  Who is still there later is cut off. */
static size_t
turn_away(const struct visits *v, int64_t before_ms)
{
	size_t n = 0;

	for (const struct visit *one = v->first; one != NULL; one = one->next)
		n += one->since_ms < before_ms && shutdown(one->fd,
		    one->since_ms < before_ms - PRESSED_MS ? SHUT_RDWR :
		    SHUT_RD) == 0;
	return n;
}

static void
look(struct visits *v)
{
	bool was_pressed = v->is_pressed;
	size_t n;

	v->is_pressed = v->count > v->places / 4 * 3;
	n = turn_away(v, clock_monotonic_ms() - (v->is_pressed ? PRESSED_MS :
	    PATIENT_MS));
	if (v->is_pressed && !was_pressed)
		log_warn("%zu are connected: who does not complete a request "
		    "in time is turned away (%zu at once)", v->count, n);
}

static void *
watch(void *argument)
{
	struct visits *v = argument;

	(void)pthread_mutex_lock(&v->lock);
	while (!v->stopping) {
		struct timespec until = clock_deadline(clock_monotonic_ms() +
		    LOOK_MS);

		while (!v->stopping && pthread_cond_timedwait(&v->wakes,
		    &v->lock, &until) != ETIMEDOUT)
			;
		look(v);
	}
	(void)pthread_mutex_unlock(&v->lock);
	return NULL;
}

int
visits_open(size_t places, struct visits **out, struct fail *fail)
{
	struct visits *v = xcalloc(1, sizeof(*v));
	int err;

	v->places = places;
	(void)pthread_mutex_init(&v->lock, NULL);
	clock_cond_init(&v->wakes);
	err = pthread_create(&v->thread, NULL, watch, v);
	if (err != 0) {
		free(v);
		return fail_errno(fail, FAIL_SETUP, err,
		    "can't start a thread");
	}
	*out = v;
	return 0;
}

void
visits_close(struct visits **visits)
{
	struct visits *v = *visits;

	if (v == NULL)
		return;
	*visits = NULL;
	(void)pthread_mutex_lock(&v->lock);
	v->stopping = true;
	(void)pthread_cond_signal(&v->wakes);
	(void)pthread_mutex_unlock(&v->lock);
	(void)pthread_join(v->thread, NULL);
	(void)pthread_cond_destroy(&v->wakes);
	(void)pthread_mutex_destroy(&v->lock);
	free(v);
}

struct visit *
visits_begin(struct visits *v, int fd)
{
	struct visit *one = xcalloc(1, sizeof(*one));

	one->fd = fd;
	one->since_ms = clock_monotonic_ms();
	(void)pthread_mutex_lock(&v->lock);
	one->next = v->first;
	one->at = &v->first;
	if (one->next != NULL)
		one->next->at = &one->next;
	v->first = one;
	v->count++;
	(void)pthread_mutex_unlock(&v->lock);
	return one;
}

void
visits_end(struct visits *v, struct visit *one)
{
	(void)pthread_mutex_lock(&v->lock);
	*one->at = one->next;
	if (one->next != NULL)
		one->next->at = one->at;
	v->count--;
	(void)pthread_mutex_unlock(&v->lock);
	free(one);
}

static void
set_since(struct visits *v, struct visit *one, int64_t since_ms)
{
	(void)pthread_mutex_lock(&v->lock);
	one->since_ms = since_ms;
	(void)pthread_mutex_unlock(&v->lock);
}

void
visits_serve(struct visits *v, struct visit *one)
{
	set_since(v, one, SERVED);
}

void
visits_await(struct visits *v, struct visit *one)
{
	set_since(v, one, clock_monotonic_ms());
}
