/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "base/file.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"

int
file_read(const char *path, struct buf *out, struct fail *fail)
{
	char chunk[4096];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s", path);
	while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1) {
			(void)fail_errno(fail, FAIL_SETUP, errno, "%s", path);
			break;
		}
		buf_add(out, chunk, (size_t)n);
		if (out->overflow) {
			(void)fail_set(fail, FAIL_SETUP,
			    "%s: longer than %zu bytes", path, out->max);
			break;
		}
	}
	(void)close(fd);
	return n == 0 ? 0 : -1;
}

int
file_write_all(int fd, struct span content)
{
	while (content.len > 0) {
		ssize_t n = write(fd, content.p, content.len);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -1;
		content = span_from(content, (size_t)n);
	}
	return 0;
}

static char *
parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return xstrdup(".");
	return slash == path ? xstrdup("/") :
	    xmemdupz(path, (size_t)(slash - path));
}

int
file_read_secret(const char *path, struct buf *out, struct fail *fail)
{
	struct stat st;

	if (stat(path, &st) == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s", path);
	if ((st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0)
		return fail_set(fail, FAIL_SETUP, "%s: others can read it, or "
		    "others than its owner write to it (mode %04o); chmod "
		    "0640", path, (unsigned)(st.st_mode & 07777));
	return file_read(path, out, fail);
}

int
file_create(const char *path, struct span content, mode_t mode,
    struct fail *fail)
{
	char *parent = parent_of(path);
	int rc = 0;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	if (fd == -1)
		rc = fail_errno(fail, FAIL_SETUP, errno, "%s", path);
	else if (fchmod(fd, mode) == -1 || file_write_all(fd, content) == -1 ||
	    fsync(fd) == -1 || file_sync_directory(parent) == -1) {
		rc = fail_errno(fail, FAIL_SETUP, errno, "%s", path);
		/* Half a file would be taken for the whole one later. */
		(void)unlink(path);
	}
	if (fd != -1)
		(void)close(fd);
	free(parent);
	return rc;
}

int
file_give_to_owner(const char *path)
{
	char *parent;
	struct stat st;
	int rc;

	if (geteuid() != 0)
		return 0;
	parent = parent_of(path);
	rc = stat(parent, &st) == -1 ||
	    chown(path, st.st_uid, st.st_gid) == -1 ? -1 : 0;
	free(parent);
	return rc;
}

static int
make_one(const char *path)
{
	if (mkdir(path, 0750) == -1)
		return errno == EEXIST ? 0 : -1;
	return file_give_to_owner(path);
}

int
file_replace(const char *path, struct span content, mode_t mode,
    struct fail *fail)
{
	struct buf fresh = BUF_INIT(8192);
	int rc;

	buf_addf(&fresh, "%s.new", path);
	(void)unlink(buf_get(&fresh));
	rc = file_create(buf_get(&fresh), content, mode, fail);
	if (rc == 0 && (file_give_to_owner(buf_get(&fresh)) == -1 ||
	    rename(buf_get(&fresh), path) == -1))
		rc = fail_errno(fail, FAIL_SETUP, errno, "%s",
		    buf_get(&fresh));
	buf_fini(&fresh);
	return rc;
}

int
file_make_directory(const char *path, struct fail *fail)
{
	char *copy = xstrdup(path);
	int rc = 0;

	for (char *p = copy + 1; rc == 0; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (make_one(copy) == -1)
			rc = fail_errno(fail, FAIL_SETUP, errno, "%s", copy);
		*p = c;
		if (c == '\0')
			break;
	}
	free(copy);
	return rc;
}

int
file_sync_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	if (fd == -1)
		return -1;
	rc = fsync(fd);
	(void)close(fd);
	return rc;
}
