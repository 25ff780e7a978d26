/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The segments of a journal by their names.  The number alone gives the order:
 * a clock that was set back may give a later segment an earlier day.
 */
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "journal/private.h"

#define SEGMENT		".jsonl"
#define TOMBSTONE	".tombstone"

/* NAME-YYYYMMDD-NNNNNN and the suffix */
static bool
has_form(const char *file, const char *name, const char *suffix)
{
	size_t len = strlen(name);
	const char *p = file + len;
	size_t digits = 0;

	if (strncmp(file, name, len) != 0 || *p++ != '-')
		return false;
	for (int i = 0; i < 8; i++)
		if (!ascii_isdigit((unsigned char)*p++))
			return false;
	if (*p++ != '-')
		return false;
	while (ascii_isdigit((unsigned char)p[digits]))
		digits++;
	return digits >= 6 && digits <= 18 &&
	    strcmp(p + digits, suffix) == 0;
}

static bool
is_segment(const char *file, const char *name)
{
	return has_form(file, name, SEGMENT);
}

bool
journal_is_tombstone(const char *file, const char *name)
{
	return has_form(file, name, TOMBSTONE);
}

uint64_t
journal_segment_number(const char *file)
{
	return strtoull(strrchr(file, '-') + 1, NULL, 10);
}

static int
by_number(const void *a, const void *b)
{
	uint64_t x = journal_segment_number(*(char *const *)a);
	uint64_t y = journal_segment_number(*(char *const *)b);

	if (x != y)
		return x < y ? -1 : 1;
	return strcmp(strrchr(*(char *const *)a, '.'),
	    strrchr(*(char *const *)b, '.'));
}

static int
list_files(const char *directory, const char *name, bool tombstones,
    char ***names, size_t *count, struct fail *fail)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	*names = NULL;
	*count = 0;
	if (dir == NULL)
		return errno == ENOENT ? 0 :
		    fail_errno(fail, FAIL_SETUP, errno, "%s", directory);
	while ((entry = readdir(dir)) != NULL)
		if (is_segment(entry->d_name, name) || (tombstones &&
		    journal_is_tombstone(entry->d_name, name))) {
			*names = xrealloc(*names, *count + 1,
			    sizeof(**names));
			(*names)[(*count)++] = xstrdup(entry->d_name);
		}
	(void)closedir(dir);
	if (*count > 0)
		qsort(*names, *count, sizeof(**names), by_number);
	return 0;
}

int
journal_segments(const char *directory, const char *name, char ***names,
    size_t *count, struct fail *fail)
{
	return list_files(directory, name, false, names, count, fail);
}

int
journal_files(const char *directory, const char *name, char ***names,
    size_t *count, struct fail *fail)
{
	size_t kept = 0;

	if (list_files(directory, name, true, names, count, fail) == -1)
		return -1;
	/* A segment that is still there beside its tombstone: pruning was
	 * interrupted, and the segment tells more.  ".jsonl" comes first. */
	for (size_t i = 0; i < *count; i++) {
		if (kept > 0 && journal_segment_number((*names)[kept - 1]) ==
		    journal_segment_number((*names)[i]))
			free((*names)[i]);
		else
			(*names)[kept++] = (*names)[i];
	}
	*count = kept;
	return 0;
}

void
journal_segments_free(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

/* A segment that is pruned meanwhile counts for nothing. */
static uint64_t
size_in(int directory, const char *file)
{
	struct stat st;

	return fstatat(directory, file, &st, AT_SYMLINK_NOFOLLOW) == 0 ?
	    (uint64_t)st.st_size : 0;
}

int
journal_size(const char *directory, const char *name, uint64_t *bytes,
    uint64_t *free_bytes, struct fail *fail)
{
	struct statvfs fs;
	char **names;
	size_t count;
	int fd;

	*bytes = *free_bytes = 0;
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || fstatvfs(fd, &fs) == -1) {
		(void)fail_errno(fail, FAIL_SETUP, errno, "%s", directory);
		if (fd != -1)
			(void)close(fd);
		return -1;
	}
	*free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (journal_segments(directory, name, &names, &count, fail) == -1) {
		(void)close(fd);
		return -1;
	}
	for (size_t i = 0; i < count; i++)
		*bytes += size_in(fd, names[i]);
	journal_segments_free(names, count);
	(void)close(fd);
	return 0;
}

int
journal_written_ms(const char *directory, const char *name, int64_t *ms,
    struct fail *fail)
{
	struct stat st;
	char **names;
	size_t count;
	int fd, rc = 0;

	*ms = 0;
	if (journal_segments(directory, name, &names, &count, fail) == -1)
		return -1;
	if (count > 0) {
		fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd == -1 || fstatat(fd, names[count - 1], &st,
		    AT_SYMLINK_NOFOLLOW) == -1)
			rc = fail_errno(fail, FAIL_SETUP, errno, "%s",
			    directory);
		else
			*ms = (int64_t)st.st_mtim.tv_sec * 1000 +
			    st.st_mtim.tv_nsec / 1000000;
		if (fd != -1)
			(void)close(fd);
	}
	journal_segments_free(names, count);
	return rc;
}

int
journal_segment_last(const char *directory, const char *name,
    uint64_t *number, struct fail *fail)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	*number = 0;
	if (dir == NULL)
		return errno == ENOENT ? 0 :
		    fail_errno(fail, FAIL_SETUP, errno, "%s", directory);
	while ((entry = readdir(dir)) != NULL) {
		if (!is_segment(entry->d_name, name))
			continue;
		if (journal_segment_number(entry->d_name) > *number)
			*number = journal_segment_number(entry->d_name);
	}
	(void)closedir(dir);
	return 0;
}
