/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Threads for what may take longer than an fsync (Redis, the mail server, whole
 * journals), so that no opt-out waits behind it.  Bounded: what does not fit is
 * refused.  Thread-safe.
 */
#ifndef WEBD_JOBS_H
#define WEBD_JOBS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/fail.h"

struct jobs;
/* Returns 0, or -1 with FAIL_SETUP. */
int	jobs_open(unsigned threads, size_t waiting_max, struct jobs **out,
	    struct fail *fail) __attribute__((warn_unused_result));
/* Does what waits, takes no more, and ends the threads; jobs may still be
 * offered meanwhile, and are refused. */
void	jobs_stop(struct jobs *jobs);
void	jobs_close(struct jobs **jobs);

/* Runs run(argument) on a thread, soon.  false: there are too many. */
bool	jobs_add(struct jobs *jobs, void (*run)(void *argument),
	    void *argument);

#endif
