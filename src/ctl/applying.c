/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/applying.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "ledger/applier.h"

/* Nobody records further ahead: the filter keeps in mind what Redis lacks, and
 * not without end. */
#define ROUNDS_AHEAD	8

struct applying {
	struct applier	*applier;
	pthread_t	 thread;
	pthread_mutex_t	 lock;		/* for all below */
	pthread_cond_t	 wakes, finishes;
	uint64_t	 wanted, done;	/* rounds */
	bool		 is_ending;
	int		 rc;		/* of the round that ended last */
	struct fail	 fail;
};

/* A round sees what was in the ledger when it began, at least. */
static void *
keep_applying(void *argument)
{
	struct applying *a = argument;
	struct fail fail;
	uint64_t round;
	int rc;

	(void)pthread_mutex_lock(&a->lock);
	while (a->rc == 0 && (!a->is_ending || a->done != a->wanted)) {
		if (a->done == a->wanted) {
			(void)pthread_cond_wait(&a->wakes, &a->lock);
			continue;
		}
		round = a->wanted;
		(void)pthread_mutex_unlock(&a->lock);
		rc = applier_apply(a->applier, &fail);
		(void)pthread_mutex_lock(&a->lock);
		a->rc = rc;
		if (rc == -1)
			a->fail = fail;
		a->done = round;
		(void)pthread_cond_signal(&a->finishes);
	}
	(void)pthread_mutex_unlock(&a->lock);
	return NULL;
}

int
applying_begin(struct applier *applier, struct applying **out,
    struct fail *fail)
{
	struct applying *a = xcalloc(1, sizeof(*a));
	int err;

	a->applier = applier;
	(void)pthread_mutex_init(&a->lock, NULL);
	(void)pthread_cond_init(&a->wakes, NULL);
	(void)pthread_cond_init(&a->finishes, NULL);
	err = pthread_create(&a->thread, NULL, keep_applying, a);
	if (err != 0) {
		free(a);
		return fail_errno(fail, FAIL_SETUP, err, "can't start a "
		    "thread");
	}
	*out = a;
	return 0;
}

static int
ask(struct applying *a, uint64_t ahead, struct fail *fail)
{
	uint64_t mine;
	int rc;

	(void)pthread_mutex_lock(&a->lock);
	mine = ++a->wanted;
	(void)pthread_cond_signal(&a->wakes);
	while (a->rc == 0 && mine - a->done > ahead)
		(void)pthread_cond_wait(&a->finishes, &a->lock);
	rc = a->rc;
	if (rc == -1)
		*fail = a->fail;
	(void)pthread_mutex_unlock(&a->lock);
	return rc;
}

int
applying_go_on(struct applying *a, struct fail *fail)
{
	return ask(a, ROUNDS_AHEAD, fail);
}

int
applying_wait(struct applying *a, struct fail *fail)
{
	return ask(a, 0, fail);
}

void
applying_end(struct applying **applying)
{
	struct applying *a = *applying;

	if (a == NULL)
		return;
	*applying = NULL;
	(void)pthread_mutex_lock(&a->lock);
	a->is_ending = true;
	(void)pthread_cond_signal(&a->wakes);
	(void)pthread_mutex_unlock(&a->lock);
	(void)pthread_join(a->thread, NULL);
	(void)pthread_mutex_destroy(&a->lock);
	(void)pthread_cond_destroy(&a->wakes);
	(void)pthread_cond_destroy(&a->finishes);
	free(a);
}
