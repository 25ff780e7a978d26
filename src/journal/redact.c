/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "journal/redact.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "journal/private.h"

#define READ_BYTES	(256 * 1024)

void
journal_set_add(struct journal_set *set, uint64_t from, uint64_t to)
{
	struct journal_range *last = set->count == 0 ? NULL :
	    &set->ranges[set->count - 1];

	if (last != NULL && last->to != UINT64_MAX && from == last->to + 1) {
		last->to = to;
		return;
	}
	if (set->count == set->room) {
		set->room = set->room ? set->room * 2 : 64;
		set->ranges = xrealloc(set->ranges, set->room,
		    sizeof(*set->ranges));
	}
	set->ranges[set->count++] = (struct journal_range){ from, to };
}

static int
by_from(const void *a, const void *b)
{
	const struct journal_range *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

void
journal_set_tidy(struct journal_set *set)
{
	size_t kept = 0;

	if (set->count == 0)
		return;
	qsort(set->ranges, set->count, sizeof(*set->ranges), by_from);
	for (size_t i = 1; i < set->count; i++) {
		struct journal_range *last = &set->ranges[kept];
		const struct journal_range *next = &set->ranges[i];

		if (next->from > last->to && next->from - last->to > 1)
			set->ranges[++kept] = *next;
		else if (next->to > last->to)
			last->to = next->to;
	}
	set->count = kept + 1;
}

bool
journal_set_has(const struct journal_set *set, uint64_t seq)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->ranges[middle].to < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low < set->count && set->ranges[low].from <= seq;
}

uint64_t
journal_set_count(const struct journal_set *set)
{
	uint64_t count = 0;

	for (size_t i = 0; i < set->count; i++)
		count += set->ranges[i].to - set->ranges[i].from + 1;
	return count;
}

void
journal_set_fini(struct journal_set *set)
{
	free(set->ranges);
	memset(set, 0, sizeof(*set));
}

void
journal_set_format(struct buf *out, const struct journal_set *set, size_t *at,
    size_t max)
{
	size_t end = out->len + max;

	while (*at < set->count && out->len + 44 <= end) {
		const struct journal_range *r = &set->ranges[(*at)++];

		buf_addf(out, "%s%" PRIu64, out->len + max == end ? "" : " ",
		    r->from);
		if (r->to > r->from)
			buf_addf(out, "-%" PRIu64, r->to);
	}
}

int
journal_set_parse(struct journal_set *set, struct span text,
    struct fail *fail)
{
	while (text.len > 0) {
		ptrdiff_t end = span_index(text, ' '), dash;
		struct span word = end == -1 ? text :
		    span_head(text, (size_t)end);
		uint64_t from, to;

		text = span_from(text, word.len + 1);
		dash = span_index(word, '-');
		if (span_to_u64(dash == -1 ? word : span_head(word,
		    (size_t)dash), &from) == -1 || span_to_u64(dash == -1 ?
		    word : span_from(word, (size_t)dash + 1), &to) == -1 ||
		    to < from)
			return fail_set(fail, FAIL_INPUT,
			    "no numbers of entries");
		journal_set_add(set, from, to);
	}
	return 0;
}

/* -- in place -- */

struct redaction {
	const struct journal_set *entries;
	const char	*path;
	int		 fd;
	uint64_t	 blanked;
	bool		 changed;
	void		(*on_bytes)(uint64_t bytes, void *context);
	void		*context;
	uint64_t	 bytes;		/* of all files */
};

static int
blank(struct redaction *r, uint64_t offset, size_t len, struct fail *fail)
{
	size_t mark = sizeof(JOURNAL_BLANKED) - 1;
	char *text = xcalloc(len, 1);
	size_t done = 0;

	memset(text, ' ', len);
	memcpy(text, JOURNAL_BLANKED, mark);
	while (done < len) {
		ssize_t n = pwrite(r->fd, text + done, len - done,
		    (off_t)(offset + done));

		if (n == -1 && errno != EINTR) {
			free(text);
			return fail_errno(fail, FAIL_SETUP, errno, "%s",
			    r->path);
		}
		done += n > 0 ? (size_t)n : 0;
	}
	free(text);
	r->blanked++;
	r->changed = true;
	return 0;
}

static int
redact_line(struct redaction *r, struct span line, uint64_t offset,
    struct fail *fail)
{
	struct span middle;
	uint64_t seq;

	if (!journal_line_frame(line, &seq, &middle) ||
	    !journal_set_has(r->entries, seq) ||
	    middle.len < sizeof(JOURNAL_BLANKED) - 1 || journal_is_blanked(middle))
		return 0;
	return blank(r, offset + (uint64_t)(middle.p - line.p), middle.len,
	    fail);
}

/* Whole lines off the front of ahead, which begins at *offset of the file. */
static int
redact_lines(struct redaction *r, struct buf *ahead, uint64_t *offset,
    struct fail *fail)
{
	struct span rest = buf_span(ahead);
	ptrdiff_t end;

	while ((end = span_index(rest, '\n')) != -1) {
		if (redact_line(r, span_head(rest, (size_t)end), *offset,
		    fail) == -1)
			return -1;
		*offset += (uint64_t)end + 1;
		rest = span_from(rest, (size_t)end + 1);
	}
	buf_consume(ahead, ahead->len - rest.len);
	if (ahead->len > JOURNAL_LINE_MAX) {
		*offset += ahead->len;
		buf_clear(ahead);
	}
	return 0;
}

static int
redact_open_file(struct redaction *r, struct fail *fail)
{
	struct buf ahead = BUF_INIT(JOURNAL_LINE_MAX + 2 * READ_BYTES);
	uint64_t offset = 0;
	ssize_t n = 1;
	int rc = 0;

	while (rc == 0 && n != 0) {
		n = read(r->fd, buf_reserve(&ahead, READ_BYTES), READ_BYTES);
		if (n == -1 && errno != EINTR)
			rc = fail_errno(fail, FAIL_SETUP, errno, "%s",
			    r->path);
		if (n > 0) {
			ahead.len += (size_t)n;
			r->bytes += (uint64_t)n;
			if (r->on_bytes != NULL)
				r->on_bytes(r->bytes, r->context);
			rc = redact_lines(r, &ahead, &offset, fail);
		}
	}
	buf_fini(&ahead);
	if (r->changed && fsync(r->fd) == -1 && rc == 0)
		rc = fail_errno(fail, FAIL_SETUP, errno, "%s", r->path);
	return rc;
}

/* Security: root may work in a directory that another user owns. */
static int
redact_file(struct redaction *r, const char *path, struct fail *fail)
{
	int rc;

	r->path = path;
	r->changed = false;
	r->fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (r->fd == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s can't be "
		    "opened for blanking", path);
	rc = redact_open_file(r, fail);
	(void)close(r->fd);
	return rc;
}

int
journal_redact(const char *directory, const char *name,
    const struct journal_set *entries,
    void (*on_bytes)(uint64_t bytes, void *context), void *context,
    uint64_t *blanked, struct fail *fail)
{
	struct redaction r = { .entries = entries, .on_bytes = on_bytes,
	    .context = context };
	struct buf path = BUF_INIT(8192);
	char **names;
	size_t count;
	int rc = 0;

	*blanked = 0;
	if (entries->count == 0)
		return 0;
	if (journal_segments(directory, name, &names, &count, fail) == -1)
		return -1;
	for (size_t i = 0; rc == 0 && i < count; i++) {
		buf_clear(&path);
		buf_addf(&path, "%s/%s", directory, names[i]);
		rc = redact_file(&r, buf_get(&path), fail);
	}
	*blanked = r.blanked;
	journal_segments_free(names, count);
	buf_fini(&path);
	return rc;
}
