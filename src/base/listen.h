/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Sockets to listen on.  A UNIX socket that a process left behind (kill -9) is
 * replaced; one at which somebody answers is not taken away.
 */
#ifndef BASE_LISTEN_H
#define BASE_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/fail.h"

/*
 * place: "unix:/path", made with this mode, or "host:port" ("[::1]:port").
 * key names the setting in errors.  The descriptor does not block, and is the
 * caller's.  Returns it, or -1 with FAIL_SETUP.
 */
int	listen_open(const char *key, const char *place, mode_t mode,
	    struct fail *fail) __attribute__((warn_unused_result));
/* Does somebody listen at this path?  Asked by connecting. */
bool	listen_is_alive(const char *path);

#endif
