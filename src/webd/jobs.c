/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/jobs.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/xalloc.h"

struct job {
	void (*run)(void *argument);
	void *argument;
};

struct jobs {
	pthread_mutex_t	 lock;
	pthread_cond_t	 wakes;
	struct job	*ring;
	size_t		 room, first, count;
	bool		 stopping;
	pthread_t	*threads;
	unsigned	 thread_count;
};

static void *
work(void *argument)
{
	struct jobs *j = argument;

	(void)pthread_mutex_lock(&j->lock);
	for (;;) {
		struct job job;

		while (j->count == 0 && !j->stopping)
			(void)pthread_cond_wait(&j->wakes, &j->lock);
		if (j->count == 0)
			break;
		job = j->ring[j->first];
		j->first = (j->first + 1) % j->room;
		j->count--;
		(void)pthread_mutex_unlock(&j->lock);
		job.run(job.argument);
		(void)pthread_mutex_lock(&j->lock);
	}
	(void)pthread_mutex_unlock(&j->lock);
	return NULL;
}

int
jobs_open(unsigned threads, size_t waiting_max, struct jobs **out,
    struct fail *fail)
{
	struct jobs *j = xcalloc(1, sizeof(*j));

	(void)pthread_mutex_init(&j->lock, NULL);
	(void)pthread_cond_init(&j->wakes, NULL);
	j->room = waiting_max;
	j->ring = xcalloc(j->room, sizeof(*j->ring));
	j->threads = xcalloc(threads, sizeof(*j->threads));
	for (; j->thread_count < threads; j->thread_count++) {
		int err = pthread_create(&j->threads[j->thread_count], NULL,
		    work, j);

		if (err != 0) {
			jobs_close(&j);
			return fail_errno(fail, FAIL_SETUP, err,
			    "can't start a thread");
		}
	}
	*out = j;
	return 0;
}

void
jobs_stop(struct jobs *j)
{
	(void)pthread_mutex_lock(&j->lock);
	j->stopping = true;
	(void)pthread_cond_broadcast(&j->wakes);
	(void)pthread_mutex_unlock(&j->lock);
	for (; j->thread_count > 0; j->thread_count--)
		(void)pthread_join(j->threads[j->thread_count - 1], NULL);
}

void
jobs_close(struct jobs **jobs)
{
	struct jobs *j = *jobs;

	if (j == NULL)
		return;
	*jobs = NULL;
	jobs_stop(j);
	(void)pthread_cond_destroy(&j->wakes);
	(void)pthread_mutex_destroy(&j->lock);
	free(j->ring);
	free(j->threads);
	free(j);
}

bool
jobs_add(struct jobs *j, void (*run)(void *argument), void *argument)
{
	bool added;

	(void)pthread_mutex_lock(&j->lock);
	added = !j->stopping && j->count < j->room;
	if (added) {
		j->ring[(j->first + j->count) % j->room] =
		    (struct job){ run, argument };
		j->count++;
		(void)pthread_cond_signal(&j->wakes);
	}
	(void)pthread_mutex_unlock(&j->lock);
	return added;
}
