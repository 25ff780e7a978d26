/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Giving up root for good.  Call before the first thread exists.
 */
#ifndef BASE_PRIVILEGE_H
#define BASE_PRIVILEGE_H

#include <sys/types.h>

#include "base/fail.h"

/* Looks a user up.  Returns 0, or -1 with FAIL_SETUP. */
int	privilege_user(const char *user, uid_t *uid, gid_t *gid,
	    struct fail *fail) __attribute__((warn_unused_result));
int	privilege_group(const char *group, gid_t *gid, struct fail *fail)
	    __attribute__((warn_unused_result));
/*
 * Becomes user, with its groups, and makes sure that there is no way back.
 * Does nothing when user is "" or already the one we run as.  Returns 0, or
 * -1 with FAIL_SETUP.
 */
int	privilege_drop(const char *user, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Raises the soft limit on open files to the hard one; returns the limit. */
unsigned long privilege_raise_files(void);

#endif
