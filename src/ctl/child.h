/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Runs a program of the system and takes what it prints.  No shell, no input,
 * LC_ALL=C and nothing else of our environment; it has its time and is killed
 * then, with what it started.  Thread-safe.
 */
#ifndef CTL_CHILD_H
#define CTL_CHILD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/fail.h"

/* Finds a program in the directories where systems have theirs, whatever PATH
 * says.  Fills path and returns true, or false. */
bool	child_find(const char *name, char *path, size_t size);

/*
 * argv[0] is a name for child_find(); NULL at the end.  Adds stdout and stderr,
 * up to the maximum of each buffer, to out and err.
 * Returns the exit status, or -1: FAIL_SETUP when there is no such program or
 * it can't be started, FAIL_TEMP when it took too long, printed too much or was
 * ended by a signal.
 */
int	child_run(const char *const *argv, int timeout_ms, struct buf *out,
	    struct buf *err, struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
