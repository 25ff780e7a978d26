/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The control socket: whoever connects gets one JSON object, which describes
 * the process, and the end of the connection.  Nothing is read, and what does
 * not fit into the peer's socket at once is not sent, so that nobody can keep
 * the thread busy.  Who may connect is the file's mode.
 */
#ifndef MONITOR_CONTROL_H
#define MONITOR_CONTROL_H

#include "base/buf.h"
#include "base/fail.h"

#define CONTROL_TEXT_MAX	(64 * 1024)
/* The member "format": raised when a member is taken away or means another
 * thing. */
#define CONTROL_FORMAT		1

/*
 * Listens at this path, for user ("": who we are) and the group of that user,
 * mode 0660; called while we may still give files away.  key names the setting
 * in errors.  Returns the descriptor, or -1 with FAIL_SETUP.
 */
int	control_listen(const char *key, const char *path, const char *user,
	    struct fail *fail) __attribute__((warn_unused_result));

struct control;
/*
 * Takes the socket over; path is copied.  add adds the members of the object,
 * called by the thread.  Returns 0, or -1 with FAIL_SETUP.
 */
int	control_start(int fd, const char *path,
	    void (*add)(struct buf *out, void *context), void *context,
	    struct control **out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Removes the socket, where we may.  NULL is none. */
void	control_stop(struct control **control);

#endif
