/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Carries erasures out behind the back of who answers pages: the event that is
 * recorded blocks the person at once, and blanking what the journals hold may
 * take minutes.  A file beside the ledger, `.erasing', says that there is
 * something to do, so that a crash anywhere is made good at the next start.
 * Thread-safe.
 */
#ifndef WEBD_ERASER_H
#define WEBD_ERASER_H

#include "settings/settings.h"
#include "webd/recorder.h"

struct eraser;
/* Both are borrowed until _close.  Goes on with what was not finished.
 * Returns 0, or -1 with FAIL_SETUP. */
int	eraser_open(const struct settings *settings,
	    struct recorder *recorder, struct eraser **out,
	    struct fail *fail) __attribute__((warn_unused_result));
/* Stops in between; the rest is done after the next start. */
void	eraser_close(struct eraser **eraser);

/* Before the event is recorded: the file is there, on disk, when this returns
 * 0.  Returns -1 with FAIL_TEMP otherwise. */
int	eraser_prepare(struct eraser *eraser, struct fail *fail)
	    __attribute__((warn_unused_result));
/* After it: begins, or begins again. */
void	eraser_begin(struct eraser *eraser);

#endif
