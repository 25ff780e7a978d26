/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What consent-web tells of itself: numbers for Prometheus at web.metrics, and
 * a description at web.control.
 */
#ifndef WEBD_MONITOR_H
#define WEBD_MONITOR_H

#include "base/fail.h"
#include "monitor/reloads.h"
#include "webd/metrics.h"
#include "webd/recorder.h"
#include "webd/webhook.h"

/* Who is asked; borrowed until _stop. */
struct monitor_sources {
	const char	*config_path;
	struct reloads	*reloads;
	const struct metrics *metrics;
	struct recorder	*recorder;
	struct webhooks	*webhooks;
};

struct monitor;
/* Takes the sockets over, of which -1 is none; control_path is copied.  Returns
 * 0, or -1 with FAIL_SETUP. */
int	monitor_start(int metrics_fd, int control_fd,
	    const char *control_path, const struct monitor_sources *sources,
	    struct monitor **out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* NULL is none. */
void	monitor_stop(struct monitor **monitor);

#endif
