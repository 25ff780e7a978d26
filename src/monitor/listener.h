/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers /metrics by a libmicrohttpd daemon of its own: a proxy in front of
 * another socket does not pass it on by mistake, and neither keeps the other
 * waiting.
 */
#ifndef MONITOR_LISTENER_H
#define MONITOR_LISTENER_H

#include "base/buf.h"
#include "base/fail.h"

struct listener;
/*
 * Takes the socket over.  add adds the whole text, called by the daemon's
 * thread.  key names the setting in errors.  Returns 0, or -1 with FAIL_SETUP.
 */
int	listener_start(const char *key, int fd,
	    void (*add)(struct buf *out, void *context), void *context,
	    struct listener **out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* NULL is none. */
void	listener_stop(struct listener **listener);
/* For -V: libmicrohttpd's version.  Static. */
const char *listener_library_version(void);

#endif
