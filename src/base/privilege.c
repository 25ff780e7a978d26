/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "base/privilege.h"

#include <sys/resource.h>

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <unistd.h>

int
privilege_user(const char *user, uid_t *uid, gid_t *gid, struct fail *fail)
{
	struct passwd pw, *found = NULL;
	char text[4096];
	int err = getpwnam_r(user, &pw, text, sizeof(text), &found);

	if (found == NULL)
		return err != 0 ?
		    fail_errno(fail, FAIL_SETUP, err, "user \"%s\"", user) :
		    fail_set(fail, FAIL_SETUP, "there is no user \"%s\"",
		    user);
	*uid = pw.pw_uid;
	*gid = pw.pw_gid;
	return 0;
}

int
privilege_group(const char *group, gid_t *gid, struct fail *fail)
{
	struct group gr, *found = NULL;
	char text[16384];
	int err = getgrnam_r(group, &gr, text, sizeof(text), &found);

	if (found == NULL)
		return err != 0 ?
		    fail_errno(fail, FAIL_SETUP, err, "group \"%s\"", group) :
		    fail_set(fail, FAIL_SETUP, "there is no group \"%s\"",
		    group);
	*gid = gr.gr_gid;
	return 0;
}

int
privilege_drop(const char *user, struct fail *fail)
{
	uid_t uid;
	gid_t gid;

	if (user[0] == '\0')
		return 0;
	if (privilege_user(user, &uid, &gid, fail) == -1)
		return -1;
	if (geteuid() == uid)
		return 0;
	if (geteuid() != 0)
		return fail_set(fail, FAIL_SETUP,
		    "can't become \"%s\": not started as root", user);
	if (initgroups(user, gid) == -1 || setgid(gid) == -1 ||
	    setuid(uid) == -1)
		return fail_errno(fail, FAIL_SETUP, errno,
		    "can't become \"%s\"", user);
	/* Security: a saved root identity would let an intruder climb back. */
	if (uid != 0 && (setuid(0) == 0 || seteuid(0) == 0))
		return fail_set(fail, FAIL_BUG,
		    "root could be regained after becoming \"%s\"", user);
	return 0;
}

unsigned long
privilege_raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return 0;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	return (unsigned long)limit.rlim_cur;
}
