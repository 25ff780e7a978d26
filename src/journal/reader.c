/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Reading goes by file names alone: a writer in another process may append
 * and start new segments meanwhile.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "journal/private.h"

#define READ_BYTES	(64 * 1024)

struct journal_reader {
	char		*directory;
	char		*name;
	uint64_t	 from_seq;
	int		 fd;		/* -1: no segment is open */
	char		*file;		/* its name in the directory */
	uint64_t	 number;	/* of the segment; 0: none yet */
	uint64_t	 line;		/* of the file, counted from 1 */
	struct buf	 bytes;		/* read ahead */
	size_t		 taken;		/* of bytes, by the last entry */
	bool		 last_look;	/* at a segment that has a successor */
};

/* NAME-YYYYMMDD-NNNNNN.jsonl */
static bool
is_segment(const char *file, const char *name)
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
	    strcmp(p + digits, ".jsonl") == 0;
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

	return x < y ? -1 : x > y;
}

int
journal_segments(const char *directory, const char *name, char ***names,
    size_t *count, struct fail *fail)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	*names = NULL;
	*count = 0;
	if (dir == NULL)
		return errno == ENOENT ? 0 :
		    fail_errno(fail, FAIL_SETUP, errno, "%s", directory);
	while ((entry = readdir(dir)) != NULL)
		if (is_segment(entry->d_name, name)) {
			*names = xrealloc(*names, *count + 1,
			    sizeof(**names));
			(*names)[(*count)++] = xstrdup(entry->d_name);
		}
	(void)closedir(dir);
	if (*count > 0)
		qsort(*names, *count, sizeof(**names), by_number);
	return 0;
}

void
journal_segments_free(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

static int
open_segment(struct journal_reader *r, const char *file, struct fail *fail)
{
	struct buf path = BUF_INIT(8192);
	int fd;

	buf_addf(&path, "%s/%s", r->directory, file);
	fd = open(buf_get(&path), O_RDONLY | O_CLOEXEC);
	if (fd == -1) {
		(void)fail_errno(fail, FAIL_SETUP, errno, "%s",
		    buf_get(&path));
		buf_fini(&path);
		return -1;
	}
	buf_fini(&path);
	if (r->fd != -1)
		(void)close(r->fd);
	free(r->file);
	r->fd = fd;
	r->file = xstrdup(file);
	r->number = journal_segment_number(file);
	r->line = 0;
	r->taken = 0;
	buf_clear(&r->bytes);
	return 0;
}

/* Opens the first segment with a number above that of the one that is open.
 * Returns 1, 0 when there is none, or -1. */
static int
next_segment(struct journal_reader *r, struct fail *fail)
{
	char **names;
	size_t count;
	int rc = 0;

	if (journal_segments(r->directory, r->name, &names, &count, fail) ==
	    -1)
		return -1;
	for (size_t i = 0; rc == 0 && i < count; i++)
		if (r->number < journal_segment_number(names[i]))
			rc = open_segment(r, names[i], fail) == -1 ? -1 : 1;
	journal_segments_free(names, count);
	return rc;
}

static bool
has_next_segment(struct journal_reader *r)
{
	char **names;
	size_t count;
	bool found;
	struct fail unused;

	if (r->fd == -1 || journal_segments(r->directory, r->name, &names,
	    &count, &unused) == -1)
		return false;
	found = count > 0 &&
	    journal_segment_number(names[count - 1]) > r->number;
	journal_segments_free(names, count);
	return found;
}

/* Makes sure that a whole line is in bytes.  Returns its length, 0 when the
 * file has none (now), -1 with *fail. */
static ptrdiff_t
fill_line(struct journal_reader *r, struct fail *fail)
{
	size_t searched = 0;

	buf_consume(&r->bytes, r->taken);
	r->taken = 0;
	for (;;) {
		struct span ahead = buf_span(&r->bytes);
		ptrdiff_t end = span_index(span_from(ahead, searched), '\n');
		char *to;
		ssize_t n;

		if (end != -1)
			return (ptrdiff_t)searched + end + 1;
		searched = ahead.len;
		if (ahead.len > JOURNAL_LINE_MAX)
			return fail_set(fail, FAIL_INPUT,
			    "a line that is too long");
		to = buf_reserve(&r->bytes, READ_BYTES);
		n = read(r->fd, to, READ_BYTES);
		if (n == -1)
			return fail_errno(fail, FAIL_SETUP, errno, "%s/%s",
			    r->directory, r->file);
		if (n == 0)
			return 0;
		r->bytes.len += (size_t)n;
	}
}

/* Passes over a line that is too long to be one. */
static void
skip_long_line(struct journal_reader *r)
{
	ptrdiff_t end;
	struct fail unused;

	do {
		end = span_index(buf_span(&r->bytes), '\n');
		r->taken = end == -1 ? r->bytes.len : (size_t)end + 1;
		if (end != -1)
			return;
	} while (fill_line(r, &unused) != 0);
}

static int
read_entry(struct journal_reader *r, struct journal_entry *out,
    struct fail *fail)
{
	ptrdiff_t len = fill_line(r, fail);

	if (len == 0)
		return 0;
	r->line++;
	if (len == -1 && fail->class == FAIL_INPUT)
		skip_long_line(r);
	if (len > 0) {
		r->taken = (size_t)len;
		len = journal_line_parse(span_head(buf_span(&r->bytes),
		    (size_t)len - 1), out, fail) == -1 ? -1 : 1;
	}
	if (len == -1 && fail->class == FAIL_INPUT)
		return fail_prefix(fail, "%s/%s:%llu", r->directory, r->file,
		    (unsigned long long)r->line);
	return (int)len;
}

int
journal_reader_next(struct journal_reader *r, struct journal_entry *out,
    struct fail *fail)
{
	for (;;) {
		int rc = r->fd == -1 ? 0 : read_entry(r, out, fail);

		if (rc == -1 || (rc == 1 && out->seq >= r->from_seq))
			return rc;
		if (rc == 1)
			continue;
		/* A writer finishes a segment before it makes the next, so
		 * what came after the read above is seen by looking again. */
		if (!r->last_look && has_next_segment(r)) {
			r->last_look = true;
			continue;
		}
		r->last_look = false;
		rc = next_segment(r, fail);
		if (rc != 1)
			return rc;
	}
}

int
journal_reader_open(const char *directory, const char *name,
    uint64_t from_seq, struct journal_reader **out, struct fail *fail)
{
	struct journal_reader *r = xcalloc(1, sizeof(*r));
	struct journal_entry entry;
	char **names;
	size_t count;

	r->directory = xstrdup(directory);
	r->name = xstrdup(name);
	r->fd = -1;
	r->from_seq = from_seq;
	buf_init(&r->bytes, 4 * JOURNAL_LINE_MAX);
	if (journal_segments(directory, name, &names, &count, fail) == -1) {
		journal_reader_close(&r);
		return -1;
	}
	/* The last segment whose first entry is not behind what is wanted. */
	for (size_t i = count; i > 0; i--) {
		struct fail unused;

		if (open_segment(r, names[i - 1], fail) == -1)
			continue;
		if (i == 1 || (read_entry(r, &entry, &unused) == 1 &&
		    entry.seq <= from_seq)) {
			(void)open_segment(r, names[i - 1], fail);
			break;
		}
	}
	journal_segments_free(names, count);
	*out = r;
	return 0;
}

void
journal_reader_close(struct journal_reader **reader)
{
	struct journal_reader *r = *reader;

	if (r == NULL)
		return;
	*reader = NULL;
	if (r->fd != -1)
		(void)close(r->fd);
	buf_fini(&r->bytes);
	free(r->file);
	free(r->directory);
	free(r->name);
	free(r);
}
