/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Reading goes by file names alone: a writer in another process may append
 * and start new segments meanwhile.  It may also take back what a failed write
 * left, which we may have read: so nothing of half a line is kept at the end
 * of the file, and what comes later has to follow from what came before.
 */
#include <errno.h>
#include <fcntl.h>
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
	uint64_t	 offset;	/* of the file, behind bytes */
	struct buf	 bytes;		/* read ahead */
	size_t		 start;		/* of bytes: where the last entry is */
	size_t		 taken;		/* behind start, by that entry */
	bool		 last_look;	/* at a segment that has a successor */

	struct crypto_hash *hash;
	bool		 was_at_end;	/* before the entry that comes */
	bool		 has_chain;	/* the last entry's, of this segment */
	unsigned char	 chain[JOURNAL_CHAIN_BYTES];
	uint64_t	 again_seq;	/* the first that may have changed */
};

/* Goes to the start of the open segment. */
static void
rewind_segment(struct journal_reader *r)
{
	r->line = 0;
	r->offset = 0;
	r->start = 0;
	r->taken = 0;
	r->was_at_end = false;
	r->has_chain = false;
	buf_clear(&r->bytes);
}

static int
open_segment(struct journal_reader *r, const char *file, struct fail *fail)
{
	struct buf path = BUF_INIT(8192);
	int fd;

	buf_addf(&path, "%s/%s", r->directory, file);
	fd = open(buf_get(&path), O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		(void)fail_errno(fail, FAIL_SETUP, errno, "%s",
		    buf_get(&path));
	buf_fini(&path);
	if (fd == -1)
		return -1;
	if (r->fd != -1)
		(void)close(r->fd);
	free(r->file);
	r->fd = fd;
	r->file = xstrdup(file);
	r->number = journal_segment_number(file);
	r->again_seq = 0;
	rewind_segment(r);
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
has_next_segment(const struct journal_reader *r)
{
	struct fail unused;
	uint64_t last;

	return r->fd != -1 && journal_segment_last(r->directory, r->name,
	    &last, &unused) == 0 && last > r->number;
}

/* Reads more of the file.  Returns 1, 0 at its end, or -1. */
static int
read_more(struct journal_reader *r, struct fail *fail)
{
	char *to = buf_reserve(&r->bytes, READ_BYTES);
	ssize_t n;

	do
		n = pread(r->fd, to, READ_BYTES, (off_t)r->offset);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s/%s",
		    r->directory, r->file);
	r->bytes.len += (size_t)n;
	r->offset += (uint64_t)n;
	return n > 0;
}

/* Passes over a line that is too long to be an entry, as far as it is there:
 * what follows later is a line that can't be read either. */
static int
skip_long_line(struct journal_reader *r, struct fail *fail)
{
	for (;;) {
		ptrdiff_t end = span_index(buf_span(&r->bytes), '\n');
		int rc;

		r->taken = end == -1 ? r->bytes.len : (size_t)end + 1;
		if (end != -1)
			break;
		buf_clear(&r->bytes);
		r->taken = 0;
		rc = read_more(r, fail);
		if (rc == -1)
			return -1;
		if (rc == 0)
			break;
	}
	return fail_set(fail, FAIL_INPUT, "a line that is too long");
}

/* Makes sure that a whole line is in bytes.  Returns its length, 0 when the
 * file has none (now), -1 with *fail. */
static ptrdiff_t
fill_line(struct journal_reader *r, struct fail *fail)
{
	size_t searched = 0;

	r->start += r->taken;
	r->taken = 0;
	for (;;) {
		struct span ahead = span_from(buf_span(&r->bytes), r->start);
		ptrdiff_t end = span_index(span_from(ahead, searched), '\n');
		int rc;

		if (end != -1)
			return (ptrdiff_t)searched + end + 1;
		searched = ahead.len;
		/* Only now, for moving what is left costs more than a line. */
		buf_consume(&r->bytes, r->start);
		r->start = 0;
		if (ahead.len > JOURNAL_LINE_MAX)
			return skip_long_line(r, fail);
		rc = read_more(r, fail);
		if (rc == -1)
			return -1;
		if (rc == 0) {
			/* Half a line: it is read again as a whole. */
			r->offset -= r->bytes.len;
			buf_clear(&r->bytes);
			return 0;
		}
	}
}

/* Does the entry follow from the one before it? */
static bool
follows(const struct journal_reader *r, const struct journal_entry *entry)
{
	unsigned char sum[JOURNAL_CHAIN_BYTES];

	if (!r->has_chain)
		return true;
	journal_chain(r->hash, r->chain, entry->seq, entry->type,
	    entry->digest, sum);
	return memcmp(sum, entry->chain, sizeof(sum)) == 0;
}

static int
read_line(struct journal_reader *r, struct journal_entry *out,
    struct fail *fail)
{
	ptrdiff_t len = fill_line(r, fail);
	int rc = (int)len;

	if (len == 0)
		return 0;
	if (len > 0) {
		r->taken = (size_t)len;
		rc = journal_line_parse(span_head(span_from(
		    buf_span(&r->bytes), r->start), (size_t)len - 1), out,
		    fail) == -1 ? -1 : 1;
	}
	if (rc == 1 || fail->class == FAIL_INPUT)
		r->line++;
	if (rc == -1 && fail->class == FAIL_INPUT)
		return fail_prefix(fail, "%s/%s:%llu", r->directory, r->file,
		    (unsigned long long)r->line);
	return rc;
}

static int
read_entry(struct journal_reader *r, struct journal_entry *out,
    struct fail *fail)
{
	int rc = read_line(r, out, fail);
	bool was_at_end = r->was_at_end;

	if (rc == 0) {
		r->was_at_end = true;
		return 0;
	}
	r->was_at_end = false;
	if (was_at_end && r->has_chain && ((rc == -1 &&
	    fail->class == FAIL_INPUT) || (rc == 1 && !follows(r, out)))) {
		/* The end that we had read was taken back, and others wrote
		 * there.  What we read since the end before may have changed:
		 * once more. */
		if (r->from_seq < r->again_seq)
			r->from_seq = r->again_seq;
		rewind_segment(r);
		return read_entry(r, out, fail);
	}
	if (rc == 1) {
		if (was_at_end || !r->has_chain)
			r->again_seq = out->seq;
		r->has_chain = true;
		memcpy(r->chain, out->chain, sizeof(r->chain));
	}
	return rc;
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

/* Makes next_segment() open the last segment whose first entry is not behind
 * from_seq. */
static void
choose_segment(struct journal_reader *r, char **names, size_t count)
{
	struct journal_entry entry;
	struct fail unused;

	for (size_t i = count; i > 0; i--) {
		bool found = open_segment(r, names[i - 1], &unused) == 0 &&
		    read_entry(r, &entry, &unused) == 1 &&
		    entry.seq <= r->from_seq;

		if (r->fd != -1)
			(void)close(r->fd);
		r->fd = -1;
		r->number = i == 1 ? 0 :
		    journal_segment_number(names[i - 2]);
		if (found)
			return;
	}
}

int
journal_seq_at(const char *directory, const char *name, int64_t ms,
    uint64_t *seq, struct fail *fail)
{
	struct journal_reader *r;
	struct journal_entry entry;
	struct fail unused;
	char **names;
	size_t count;

	*seq = 1;
	if (journal_reader_open(directory, name, 1, &r, fail) == -1)
		return -1;
	if (journal_segments(directory, name, &names, &count, fail) == -1) {
		journal_reader_close(&r);
		return -1;
	}
	for (size_t i = count; i > 0; i--) {
		int64_t begun_ms;

		if (open_segment(r, names[i - 1], &unused) == -1 ||
		    read_entry(r, &entry, &unused) != 1)
			continue;
		/* One that does not tell is read. */
		if (!journal_segment_time(&entry, &begun_ms) ||
		    begun_ms <= ms) {
			*seq = entry.seq;
			break;
		}
	}
	journal_segments_free(names, count);
	journal_reader_close(&r);
	return 0;
}

int
journal_segment_starts(const char *directory, const char *name,
    uint64_t **starts, size_t *count, struct fail *fail)
{
	struct journal_reader *r;
	struct journal_entry entry;
	struct fail unused;
	char **names;
	size_t segments;

	*starts = NULL;
	*count = 0;
	if (journal_reader_open(directory, name, 1, &r, fail) == -1)
		return -1;
	if (journal_segments(directory, name, &names, &segments, fail) ==
	    -1) {
		journal_reader_close(&r);
		return -1;
	}
	*starts = xcalloc(segments + 1, sizeof(**starts));
	/* One whose first entry can't be read counts with the one before. */
	for (size_t i = 0; i < segments; i++)
		if (open_segment(r, names[i], &unused) == 0 &&
		    read_entry(r, &entry, &unused) == 1)
			(*starts)[(*count)++] = entry.seq;
	journal_segments_free(names, segments);
	journal_reader_close(&r);
	return 0;
}

int
journal_reader_open(const char *directory, const char *name,
    uint64_t from_seq, struct journal_reader **out, struct fail *fail)
{
	struct journal_reader *r = xcalloc(1, sizeof(*r));
	char **names;
	size_t count;

	r->directory = xstrdup(directory);
	r->name = xstrdup(name);
	r->hash = crypto_hash_new();
	r->fd = -1;
	r->from_seq = from_seq;
	buf_init(&r->bytes, JOURNAL_LINE_MAX + 2 * READ_BYTES);
	if (journal_segments(directory, name, &names, &count, fail) == -1) {
		journal_reader_close(&r);
		return -1;
	}
	choose_segment(r, names, count);
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
	crypto_hash_free(&r->hash);
	buf_fini(&r->bytes);
	free(r->file);
	free(r->directory);
	free(r->name);
	free(r);
}

/* Of the open segment; a writer syncs those before it as it ends them. */
int
journal_reader_sync(struct journal_reader *r, struct fail *fail)
{
	if (r->fd != -1 && fdatasync(r->fd) == -1)
		return fail_errno(fail, FAIL_TEMP, errno, "%s/%s",
		    r->directory, r->file);
	return 0;
}
