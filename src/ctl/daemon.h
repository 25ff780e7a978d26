/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What a daemon says of itself at its control socket (monitor/control.h).
 */
#ifndef CTL_DAEMON_H
#define CTL_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/fail.h"
#include "base/span.h"

#define DAEMON_TEXT_MAX	(256 * 1024)

/*
 * Reads all that comes from the socket at this path, for five seconds at most.
 * Returns 0, or -1 with FAIL_TEMP when nobody answers, or FAIL_SETUP when we
 * may not ask (fail->error).
 */
int	daemon_ask(const char *path, struct buf *text, struct fail *fail)
	    __attribute__((warn_unused_result));
/*
 * Puts it for people: lines that begin with the program's name, control
 * characters as '?'.  What is missing in it is left out.  Returns 0, or -1 with
 * FAIL_INPUT when it is no description of this program in a format that we
 * know; then out may hold a part.  Pure.
 */
int	daemon_describe(struct span text, const char *program,
	    struct buf *out, bool *has_problem, struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
