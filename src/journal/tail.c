/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A segment is read backwards from its end, for it may be large and only its
 * last two entries matter.  What a crash leaves behind the last line break may
 * be long as well (some file systems leave zeroes).
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "journal/private.h"

#define CHUNK	4096

struct segment {
	int		 fd;
	const char	*path;
	struct crypto_hash *hash;
};

struct line {
	uint64_t	 start, end;	/* end: behind the line break */
	struct buf	 text;		/* without it; empty if too long */
};

static int
read_at(const struct segment *s, void *to, size_t len, uint64_t offset,
    struct fail *fail)
{
	ssize_t n = pread(s->fd, to, len, (off_t)offset);

	if (n == (ssize_t)len)
		return 0;
	return fail_errno(fail, FAIL_SETUP, n == -1 ? errno : EIO, "%s",
	    s->path);
}

/* Where the last line break before end ends; 0 when there is none. */
static int
find_break(const struct segment *s, uint64_t end, uint64_t *at,
    struct fail *fail)
{
	char chunk[CHUNK];

	*at = 0;
	while (end > 0) {
		size_t len = end < CHUNK ? (size_t)end : CHUNK;
		ptrdiff_t i;

		if (read_at(s, chunk, len, end - len, fail) == -1)
			return -1;
		i = span_rindex(span_of(chunk, len), '\n');
		if (i != -1) {
			*at = end - len + (uint64_t)i + 1;
			return 0;
		}
		end -= len;
	}
	return 0;
}

/* The line that ends at end.  Returns 1, 0 at the start of the file, -1. */
static int
line_before(const struct segment *s, uint64_t end, struct line *line,
    struct fail *fail)
{
	uint64_t len;
	char *to;

	buf_clear(&line->text);
	line->start = line->end = end;
	if (end == 0)
		return 0;
	if (find_break(s, end - 1, &line->start, fail) == -1)
		return -1;
	len = end - 1 - line->start;
	if (len == 0 || len > JOURNAL_LINE_MAX)
		return 1;
	to = buf_reserve(&line->text, (size_t)len);	/* never too much */
	if (read_at(s, to, (size_t)len, line->start, fail) == -1)
		return -1;
	line->text.len = (size_t)len;
	return 1;
}

/* Does the last entry fit the one before it (NULL: it is the first)? */
static bool
fits(const struct segment *s, const struct journal_entry *last,
    const struct line *before)
{
	unsigned char previous[JOURNAL_CHAIN_BYTES], sum[CRYPTO_DIGEST_BYTES];
	struct journal_entry entry;
	struct fail unused;

	if (!last->blanked) {
		journal_digest(s->hash, last->salt, last->body, sum);
		if (memcmp(sum, last->digest, sizeof(sum)) != 0)
			return false;
	}
	if (before == NULL) {
		if (!journal_segment_previous(last, previous))
			return false;
	} else {
		if (journal_line_parse(buf_span(&before->text), &entry,
		    &unused) == -1 || entry.seq + 1 != last->seq)
			return false;
		memcpy(previous, entry.chain, sizeof(previous));
	}
	journal_chain(s->hash, previous, last->seq, last->type, last->digest,
	    sum);
	return memcmp(sum, last->chain, sizeof(sum)) == 0;
}

/* Says which line is wrong; counting them may take a while. */
static int
refuse(const struct segment *s, uint64_t start, struct fail *fail)
{
	unsigned long long line = 1;
	char chunk[CHUNK];

	for (uint64_t at = 0; at < start; at += CHUNK) {
		size_t len = start - at < CHUNK ? (size_t)(start - at) : CHUNK;

		if (read_at(s, chunk, len, at, fail) == -1)
			return -1;
		for (size_t i = 0; i < len; i++)
			line += chunk[i] == '\n';
	}
	return fail_set(fail, FAIL_SETUP, "%s:%llu: this entry does not fit "
	    "the one before it: look at the file, and put it aside to start "
	    "anew", s->path, line);
}

/* last and before are scratch. */
static int
read_end(const struct segment *s, uint64_t size, struct line *last,
    struct line *before, struct journal_tail *out, struct fail *fail)
{
	struct journal_entry entry;
	int rc;

	if (find_break(s, size, &out->size, fail) == -1)
		return -1;
	rc = line_before(s, out->size, last, fail);
	if (rc == 1 && journal_line_parse(buf_span(&last->text), &entry,
	    fail) == -1) {
		/* One such line may be what a crash left; two are not. */
		out->size = last->start;
		rc = line_before(s, out->size, last, fail);
		if (rc == 1 && journal_line_parse(buf_span(&last->text),
		    &entry, fail) == -1)
			return refuse(s, last->start, fail);
	}
	out->torn = size - out->size;
	if (rc != 1)
		return rc;
	rc = line_before(s, last->start, before, fail);
	if (rc == -1)
		return -1;
	if (!fits(s, &entry, rc == 1 ? before : NULL))
		return refuse(s, last->start, fail);
	out->has_entry = true;
	out->seq = entry.seq;
	memcpy(out->chain, entry.chain, sizeof(out->chain));
	return 0;
}

int
journal_tail_read(int fd, const char *path, struct crypto_hash *hash,
    struct journal_tail *out, struct fail *fail)
{
	struct segment s = { .fd = fd, .path = path, .hash = hash };
	struct line last = { .text = BUF_INIT(JOURNAL_LINE_MAX) };
	struct line before = { .text = BUF_INIT(JOURNAL_LINE_MAX) };
	struct stat st;
	int rc;

	memset(out, 0, sizeof(*out));
	if (fstat(fd, &st) == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return fail_set(fail, FAIL_SETUP, "%s: not a plain file",
		    path);
	rc = read_end(&s, (uint64_t)st.st_size, &last, &before, out, fail);
	buf_fini(&last.text);
	buf_fini(&before.text);
	return rc;
}

static int
segment_head(const char *path, struct crypto_hash *hash,
    struct journal_tail *tail, struct fail *fail)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc;

	if (fd == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s", path);
	rc = journal_tail_read(fd, path, hash, tail, fail);
	(void)close(fd);
	return rc == -1 ? -1 : tail->has_entry;
}

int
journal_head(const char *directory, const char *name, uint64_t *seq,
    unsigned char chain[JOURNAL_CHAIN_BYTES], struct fail *fail)
{
	struct crypto_hash *hash = crypto_hash_new();
	struct buf path = BUF_INIT(8192);
	struct journal_tail tail;
	char **names;
	size_t count;
	int rc = 0;

	if (journal_segments(directory, name, &names, &count, fail) == -1) {
		crypto_hash_free(&hash);
		return -1;
	}
	/* The last may have been made just now and be empty. */
	for (size_t i = count; rc == 0 && i > 0; i--) {
		buf_clear(&path);
		buf_addf(&path, "%s/%s", directory, names[i - 1]);
		rc = segment_head(buf_get(&path), hash, &tail, fail);
	}
	if (rc == 1) {
		*seq = tail.seq;
		memcpy(chain, tail.chain, sizeof(tail.chain));
	}
	journal_segments_free(names, count);
	crypto_hash_free(&hash);
	buf_fini(&path);
	return rc;
}
