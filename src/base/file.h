/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Small files, whole, and directories.  Blocking; thread-safe.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/fail.h"
#include "base/span.h"

/* Adds the file's bytes to out; more than out has room for is an error.
 * Returns 0, or -1 with FAIL_SETUP. */
int	file_read(const char *path, struct buf *out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* The same for a secret: others must not be able to read it, nor anybody but its
 * owner to write it. */
int	file_read_secret(const char *path, struct buf *out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Makes a file that must not exist yet, with this mode, and syncs it and its
 * directory.  Returns 0, or -1 with FAIL_SETUP (errno EEXIST stays visible). */
int	file_create(const char *path, struct span content, mode_t mode,
	    struct fail *fail) __attribute__((warn_unused_result));
/* Puts the file in the place of the one that has this name, at once or not at
 * all: first as path + ".new", synced, and given to the owner of the directory.
 * One writer at a time.  Returns 0, or -1 with FAIL_SETUP. */
int	file_replace(const char *path, struct span content, mode_t mode,
	    struct fail *fail) __attribute__((warn_unused_result));
/* Writes all of it, over short writes and EINTR.  0 or -1 with errno. */
int	file_write_all(int fd, struct span content)
	    __attribute__((warn_unused_result));
/* Gives what root has just made to the owner and group of the directory that it
 * is in: a command that root ran must not lock the daemon's user out.  Does
 * nothing for others.  0 or -1 with errno. */
int	file_give_to_owner(const char *path)
	    __attribute__((warn_unused_result));
/* Makes the directory and its missing parents, mode 0750; each
 * goes through file_give_to_owner(). */
int	file_make_directory(const char *path, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Makes the entries of a directory durable.  0 or -1 with errno. */
int	file_sync_directory(const char *path)
	    __attribute__((warn_unused_result));

#endif
