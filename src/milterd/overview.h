/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What the filter tells of itself: numbers for Prometheus at `metrics', and a
 * description at `control'.
 */
#ifndef MILTERD_OVERVIEW_H
#define MILTERD_OVERVIEW_H

#include "base/fail.h"
#include "milterd/runtime.h"
#include "settings/settings.h"

/* The sockets, opened while we may still bind; -1 is none. */
struct overview_sockets {
	int	metrics;
	int	control;
};
/* Returns 0, or -1 with FAIL_SETUP when the metrics can't be had.  The control
 * socket is no reason to turn mail away: *warning says what is wrong with it,
 * "" nothing. */
int	overview_listen(const struct settings *settings,
	    struct overview_sockets *out, struct fail *warning,
	    struct fail *fail) __attribute__((warn_unused_result));

struct overview;
/* Takes the sockets over; the rest is borrowed until _stop.  Starts threads.
 * Returns 0, or -1 with FAIL_SETUP. */
int	overview_start(const struct overview_sockets *sockets,
	    struct runtime *runtime, const struct settings *settings,
	    struct overview **out, struct fail *fail)
	    __attribute__((warn_unused_result));
void	overview_stop(struct overview **overview);

#endif
