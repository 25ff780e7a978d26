/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A thread that brings Redis up to the ledger's end while the command goes on
 * recording: so the disk, Redis and who reads a file wait for none of the
 * others.  For one thread of the command.
 */
#ifndef CTL_APPLYING_H
#define CTL_APPLYING_H

#include "base/fail.h"

struct applier;
struct applying;

/* applier is borrowed, and the thread's own, until _end.  Returns 0, or -1 with
 * FAIL_SETUP. */
int	applying_begin(struct applier *applier, struct applying **out,
	    struct fail *fail) __attribute__((warn_unused_result));
/* The ledger has grown.  Waits where the thread is far behind.  Returns 0, or -1
 * with the *fail of applier_apply() when it failed: then the thread does no
 * more. */
int	applying_go_on(struct applying *applying, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Waits until what the ledger holds by now is applied.  Returns as
 * applying_go_on(). */
int	applying_wait(struct applying *applying, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Lets the thread finish, and ends it. */
void	applying_end(struct applying **applying);

#endif
