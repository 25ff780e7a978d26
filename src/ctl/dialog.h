/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A few bytes to somebody who listens, and what he answers.  Blocking, with
 * a deadline; one thread.
 */
#ifndef CTL_DIALOG_H
#define CTL_DIALOG_H

#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/fail.h"
#include "base/span.h"
#include "ctl/mtaconf.h"

/* Connects within the time.  Returns a descriptor, or -1 with FAIL_TEMP; then
 * fail->error is errno's, where there is one. */
int	dialog_open(const struct mta_socket *place, int timeout_ms,
	    struct fail *fail) __attribute__((warn_unused_result));
/* Who listens at a UNIX socket; false at others. */
bool	dialog_peer(int fd, pid_t *pid, uid_t *uid);
/* Sends, and reads until there are `want' bytes of an answer, or its end, or
 * out is full.  Returns 0, or -1 with FAIL_TEMP. */
int	dialog_ask(int fd, struct span question, size_t want, int timeout_ms,
	    struct buf *out, struct fail *fail)
	    __attribute__((warn_unused_result));

/* Negotiates with a filter as an MTA does, and leaves.  Returns its version of
 * the milter protocol, or -1 with FAIL_TEMP. */
int	dialog_milter(int fd, int timeout_ms, struct fail *fail)
	    __attribute__((warn_unused_result));
/* GET of a path.  Returns the status, with the first line of the body in text,
 * or -1 with FAIL_TEMP. */
int	dialog_get(int fd, const char *path, int timeout_ms, char *text,
	    size_t size, struct fail *fail)
	    __attribute__((warn_unused_result));

/* What is read there, for tests: both return as the functions above. */
int	dialog_read_negotiation(struct span answer, struct fail *fail)
	    __attribute__((warn_unused_result));
int	dialog_read_http(struct span answer, char *text, size_t size,
	    struct fail *fail) __attribute__((warn_unused_result));

#endif
