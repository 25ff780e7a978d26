/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers /metrics at web.metrics, by a libmicrohttpd daemon of its own: the
 * proxy in front of the other socket does not pass it on by mistake, and
 * neither keeps the other waiting.
 */
#ifndef WEBD_MONITOR_H
#define WEBD_MONITOR_H

#include "base/fail.h"
#include "webd/metrics.h"
#include "webd/recorder.h"
#include "webd/webhook.h"

struct monitor;
/* Takes the socket over; the others are borrowed until _stop.  Returns 0, or -1
 * with FAIL_SETUP. */
int	monitor_start(int fd, const struct metrics *metrics,
	    struct recorder *recorder, struct webhooks *webhooks,
	    struct monitor **out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* NULL is none. */
void	monitor_stop(struct monitor **monitor);

#endif
