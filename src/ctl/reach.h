/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What another user could do with a file, by owners and modes of it and of the
 * directories before it.  Access control lists are not looked at.
 */
#ifndef CTL_REACH_H
#define CTL_REACH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define REACH_GROUPS	64

struct reach_user {
	uid_t	uid;
	gid_t	gid;			/* also the first of groups */
	gid_t	groups[REACH_GROUPS];
	size_t	count;
};

#define REACH_READ	4
#define REACH_WRITE	2

enum reach {
	REACH_YES,
	REACH_NO,
	REACH_ABSENT,		/* it is not there */
	REACH_UNKNOWN		/* we may not look ourselves */
};

/* The user with all of his groups; "": ourselves.  False where there is none. */
bool	reach_look_up(const char *name, struct reach_user *out);
/* May he do this with the file?  path is absolute.  where (may be NULL) gets
 * the part of it that stands in the way. */
enum reach reach_path(const struct reach_user *user, const char *path,
	    unsigned want, char *where, size_t size);

#endif
