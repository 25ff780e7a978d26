/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/reach.h"

#include <sys/stat.h>

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fail.h"
#include "base/privilege.h"

#define REACH_PASS	1	/* through a directory */

bool
reach_look_up(const char *name, struct reach_user *out)
{
	int count = REACH_GROUPS;
	struct fail unused;

	memset(out, 0, sizeof(*out));
	if (name[0] == '\0') {
		out->uid = geteuid();
		out->gid = getegid();
		count = getgroups(REACH_GROUPS - 1, out->groups);
		out->count = count > 0 ? (size_t)count : 0;
		out->groups[out->count++] = out->gid;
		return true;
	}
	if (privilege_user(name, &out->uid, &out->gid, &unused) == -1)
		return false;
	/* With more groups than there is room, those that fit are filled in. */
	(void)getgrouplist(name, out->gid, out->groups, &count);
	out->count = count < 0 ? 0 : count > REACH_GROUPS ? REACH_GROUPS :
	    (size_t)count;
	return true;
}

static bool
may(const struct reach_user *user, const struct stat *st, unsigned want)
{
	unsigned mode = (unsigned)st->st_mode & 7;

	if (user->uid == 0)
		return true;
	if (st->st_uid == user->uid)
		return (((unsigned)st->st_mode >> 6) & want) == want;
	for (size_t i = 0; i < user->count; i++)
		if (st->st_gid == user->groups[i]) {
			mode = ((unsigned)st->st_mode >> 3) & 7;
			break;
		}
	return (mode & want) == want;
}

static enum reach
reach_one(const struct reach_user *user, const char *path, unsigned want)
{
	struct stat st;

	if (stat(path, &st) == 0)
		return may(user, &st, want) ? REACH_YES : REACH_NO;
	return errno == EACCES ? REACH_UNKNOWN : REACH_ABSENT;
}

enum reach
reach_path(const struct reach_user *user, const char *path, unsigned want,
    char *where, size_t size)
{
	char part[PATH_MAX];
	const char *slash = path;
	enum reach result = REACH_YES;

	while (result == REACH_YES && (slash = strchr(slash + 1, '/')) !=
	    NULL) {
		(void)snprintf(part, sizeof(part), "%.*s",
		    (int)(slash - path), path);
		result = reach_one(user, part, REACH_PASS);
	}
	if (result == REACH_YES) {
		(void)snprintf(part, sizeof(part), "%s", path);
		result = reach_one(user, path, want);
	}
	if (where != NULL)
		(void)snprintf(where, size, "%s", part);
	return result;
}
