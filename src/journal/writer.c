/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Writes batches at the end of the last segment.  What we know of the end
 * (size, next number, chain) moves on only when a batch counts; so whatever
 * fails, the next batch continues from the last entry that did count.
 *
 * Security: root may run us in a directory that another user owns.  Nothing is
 * opened through a symbolic link there, and only files that we made change
 * their owner.
 */
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/date.h"
#include "base/file.h"
#include "base/json.h"
#include "base/xalloc.h"
#include "journal/checkpoint.h"
#include "journal/private.h"

#define SEGMENT_BYTES	(UINT64_C(256) * 1024 * 1024)
#define WRITE_BYTES	(1024 * 1024)
#define LOCK_WAIT_MS	10000
#define LOOK_MS		10	/* see has_looked() */
#define DAY_MS		INT64_C(86400000)

static int
set_path(char path[PATH_MAX], const char *directory, const char *file,
    struct fail *fail)
{
	int n = snprintf(path, PATH_MAX, "%s/%s", directory, file);

	if (n > 0 && n < PATH_MAX)
		return 0;
	return fail_errno(fail, FAIL_SETUP, ENAMETOOLONG, "%s", directory);
}

/* A file that root makes belongs to whom the directory belongs to: a daemon
 * writes the same journal. */
static int
create_file(const struct journal_writer *w, const char *path, int flags)
{
	struct stat st;
	int fd = open(path, flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	    0640);

	if (fd == -1)
		return -1;
	if (fchmod(fd, 0640) == -1 || (geteuid() == 0 &&
	    (stat(w->directory, &st) == -1 ||
	    fchown(fd, st.st_uid, st.st_gid) == -1))) {
		int saved = errno;

		(void)close(fd);
		(void)unlink(path);
		errno = saved;
		return -1;
	}
	return fd;
}

/* -- the lock -- */

static int
open_lock(struct journal_writer *w, struct fail *fail)
{
	char file[32], path[PATH_MAX];

	(void)snprintf(file, sizeof(file), ".%s.lock", w->name);
	if (set_path(path, w->directory, file, fail) == -1)
		return -1;
	if (w->lock_fd != -1)
		(void)close(w->lock_fd);
	w->lock_fd = create_file(w, path, O_RDWR);
	if (w->lock_fd == -1 && errno == EEXIST)
		w->lock_fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (w->lock_fd == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s", path);
	return 0;
}

static int
in_use(const struct journal_writer *w, enum fail_class class,
    struct fail *fail)
{
	return fail_set(fail, class, "%s: the journal \"%s\" is in use by "
	    "another process", w->directory, w->name);
}

/* Waits for a limited time: who holds the lock may have been stopped, or keep
 * it for good. */
static int
wait_for_lock(const struct journal_writer *w, struct fail *fail)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	int64_t until = clock_monotonic_ms() + w->lock_wait_ms;

	while (flock(w->lock_fd, LOCK_EX | LOCK_NB) == -1) {
		if (errno == EINTR)
			continue;
		if (errno != EWOULDBLOCK)
			return fail_errno(fail, FAIL_TEMP, errno, "%s",
			    w->directory);
		if (clock_monotonic_ms() >= until)
			return in_use(w, FAIL_TEMP, fail);
		(void)nanosleep(&pause, NULL);
	}
	return 0;
}

static int
take_lock(struct journal_writer *w, struct fail *fail)
{
	struct stat st;

	if (w->exclusive)
		return 0;
	for (;;) {
		if (wait_for_lock(w, fail) == -1)
			return -1;
		if (fstat(w->lock_fd, &st) == 0 && st.st_nlink > 0)
			return 0;
		/* Somebody tidied up; others lock a newer file. */
		if (open_lock(w, fail) == -1)
			return -1;
	}
}

static void
release_lock(const struct journal_writer *w)
{
	if (!w->exclusive)
		(void)flock(w->lock_fd, LOCK_UN);
}

/* -- the end of the file -- */

/* It is looked for again before the next entry is written. */
static void
forget_end(struct journal_writer *w)
{
	if (w->fd != -1)
		(void)close(w->fd);
	w->fd = -1;
	w->cut_due = false;
}

void
journal_writer_distrust(struct journal_writer *w)
{
	forget_end(w);
	w->distrust = true;
}

/* Takes back what a failed write left, now or before the next entry. */
static void
take_back(struct journal_writer *w)
{
	struct stat st;

	if (w->fd == -1 || ftruncate(w->fd, (off_t)w->size) == 0)
		return;
	if (fstat(w->fd, &st) == -1) {
		forget_end(w);
		return;
	}
	w->cut_due = true;
	w->left_size = (uint64_t)st.st_size;
	w->left_at = st.st_mtim;
}

static int
take_back_again(struct journal_writer *w, struct fail *fail)
{
	struct stat st;

	if (fstat(w->fd, &st) == -1)
		return fail_errno(fail, FAIL_TEMP, errno, "%s", w->path);
	/* Another process has gone on from there: then it stays. */
	if ((uint64_t)st.st_size != w->left_size ||
	    st.st_mtim.tv_sec != w->left_at.tv_sec ||
	    st.st_mtim.tv_nsec != w->left_at.tv_nsec)
		forget_end(w);
	else if (ftruncate(w->fd, (off_t)w->size) == -1)
		return fail_errno(fail, FAIL_TEMP, errno, "%s", w->path);
	w->cut_due = false;
	return 0;
}

static const unsigned char *
next_salt(struct journal_writer *w)
{
	if (w->salts_left == 0) {
		crypto_random(w->salts, sizeof(w->salts));
		w->salts_left = JOURNAL_SALTS;
	}
	return w->salts[--w->salts_left];
}

static int
write_out(struct journal_writer *w, struct fail *fail)
{
	if (file_write_all(w->fd, buf_span(&w->out)) == -1)
		return fail_errno(fail, FAIL_TEMP, errno, "%s", w->path);
	return 0;
}

/* Writes and syncs an entry of our own. */
static int
write_own(struct journal_writer *w, struct span type, struct span body,
    struct fail *fail)
{
	unsigned char chain[JOURNAL_CHAIN_BYTES];

	memcpy(chain, w->chain, sizeof(chain));
	buf_clear(&w->out);
	journal_line_format(&w->out, w->hash, w->next_seq, type, body,
	    next_salt(w), chain);
	if (write_out(w, fail) == -1) {
		take_back(w);
		return -1;
	}
	if (fsync(w->fd) == -1) {
		(void)fail_errno(fail, FAIL_TEMP, errno, "%s", w->path);
		journal_writer_distrust(w);
		return -1;
	}
	memcpy(w->chain, chain, sizeof(w->chain));
	w->next_seq++;
	w->size += w->out.len;
	return 0;
}

static int
tell_cut(struct journal_writer *w, struct fail *fail)
{
	struct buf body = BUF_INIT(256), time = BUF_INIT(64);
	int rc;

	buf_addf(&body, "\"bytes\":%" PRIu64, w->untold);
	date_format(&time, w->now_ms());
	json_add_member(&body, "time", buf_span(&time));
	rc = write_own(w, SPAN("recovered"), buf_span(&body), fail);
	if (rc == 0)
		w->untold = 0;
	buf_fini(&body);
	buf_fini(&time);
	return rc;
}

/* -- checkpoints -- */

bool
journal_writer_is_uncovered(const struct journal_writer *w)
{
	return w->signer != NULL && w->signed_ms != 0 &&
	    w->next_seq > w->covered_seq;
}

static bool
is_checkpoint_due(const struct journal_writer *w, uint64_t next_seq)
{
	int64_t now_ms;

	if (w->signer == NULL)
		return false;
	/* A clock that is set back must not put it off. */
	now_ms = w->now_ms();
	return w->signed_ms == 0 || now_ms < w->signed_ms ||
	    now_ms - w->signed_ms >= CHECKPOINT_MS ||
	    next_seq - w->covered_seq >= CHECKPOINT_ENTRIES;
}

/* About the entry before next_seq, whose chain is given. */
static void
make_checkpoint(const struct journal_writer *w, uint64_t next_seq,
    const unsigned char *chain, struct checkpoint *out, struct buf *body)
{
	memset(out, 0, sizeof(*out));
	(void)snprintf(out->journal, sizeof(out->journal), "%s", w->name);
	(void)snprintf(out->host, sizeof(out->host), "%s", w->host);
	out->seq = next_seq - 1;
	memcpy(out->chain, chain, sizeof(out->chain));
	out->time_ms = w->now_ms();
	checkpoint_sign(out, w->signer);
	checkpoint_format(body, out);
}

static void
note_checkpoint(struct journal_writer *w, const struct checkpoint *checkpoint)
{
	w->covered_seq = w->next_seq;
	w->signed_ms = checkpoint->time_ms;
	if (w->on_checkpoint != NULL)
		w->on_checkpoint(checkpoint, w->context);
}

/* Covers what was written to the open segment. */
static int
write_checkpoint(struct journal_writer *w, struct fail *fail)
{
	struct buf body = BUF_INIT(JOURNAL_BODY_MAX);
	struct checkpoint checkpoint;
	int rc;

	make_checkpoint(w, w->next_seq, w->chain, &checkpoint, &body);
	rc = write_own(w, SPAN("checkpoint"), buf_span(&body), fail);
	if (rc == 0)
		note_checkpoint(w, &checkpoint);
	buf_fini(&body);
	return rc;
}

/* -- segments -- */

static void
add_segment_body(const struct journal_writer *w, struct buf *body)
{
	struct buf text = BUF_INIT(64);

	buf_add_str(body, "\"version\":1");
	json_add_member_str(body, "journal", w->name);
	json_add_member_str(body, "host", w->host);
	date_format(&text, w->now_ms());
	json_add_member(body, "time", buf_span(&text));
	buf_clear(&text);
	hex_format(&text, w->chain, sizeof(w->chain));
	json_add_member(body, "previous", buf_span(&text));
	buf_fini(&text);
}

/* Makes a segment of the open file, which is empty. */
static int
begin_segment(struct journal_writer *w, struct fail *fail)
{
	struct buf body = BUF_INIT(JOURNAL_BODY_MAX);
	int rc;

	w->size = 0;
	add_segment_body(w, &body);
	rc = write_own(w, SPAN("segment"), buf_span(&body), fail);
	buf_fini(&body);
	if (rc == 0 && file_sync_directory(w->directory) == -1)
		rc = fail_errno(fail, FAIL_TEMP, errno, "%s", w->directory);
	if (rc == -1)
		forget_end(w);
	return rc;
}

/* The day in the name of a segment, which ends with the file's name. */
static int64_t
day_end(const char *file, const char *name)
{
	const char *day = file + strlen(name) + 1;
	char text[16];
	int64_t ms;

	(void)snprintf(text, sizeof(text), "%.4s-%.2s-%.2s", day, day + 4,
	    day + 6);
	return date_parse(span_str(text), &ms) == 0 ? ms + DAY_MS : 0;
}

/* From here on w->fd is this file. */
static int
adopt(struct journal_writer *w, int fd, const char *file, struct fail *fail)
{
	struct stat st;

	w->fd = fd;
	if (fstat(fd, &st) == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s", w->path);
	w->device = st.st_dev;
	w->inode = st.st_ino;
	w->looked_ms = clock_monotonic_ms();
	w->number = journal_segment_number(file);
	w->day_ends_ms = day_end(file, w->name);
	return 0;
}

static int
open_segment(struct journal_writer *w, const char *file, struct fail *fail)
{
	int fd;

	forget_end(w);
	if (set_path(w->path, w->directory, file, fail) == -1)
		return -1;
	fd = open(w->path, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s", w->path);
	/* After a failed sync the pages in memory may be more than what the
	 * disk has got. */
	if (w->distrust)
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return adopt(w, fd, file, fail);
}

/* Finishes the open segment, if any, and starts one with the next number. */
static int
start_segment(struct journal_writer *w, struct fail *fail)
{
	struct buf day = BUF_INIT(16);
	char file[64];
	uint64_t last;
	int fd;

	if (w->fd != -1 && fsync(w->fd) == -1) {
		(void)fail_errno(fail, FAIL_TEMP, errno, "%s", w->path);
		journal_writer_distrust(w);
		return -1;
	}
	if (journal_segment_last(w->directory, w->name, &last, fail) == -1)
		return -1;
	if (last < w->number)
		last = w->number;
	forget_end(w);
	date_format_day(&day, w->now_ms());
	(void)snprintf(file, sizeof(file), "%s-%s-%06" PRIu64 ".jsonl",
	    w->name, buf_get(&day), last + 1);
	buf_fini(&day);
	if (set_path(w->path, w->directory, file, fail) == -1)
		return -1;
	fd = create_file(w, w->path, O_RDWR | O_APPEND);
	if (fd == -1)
		return fail_errno(fail, FAIL_TEMP, errno, "%s", w->path);
	if (adopt(w, fd, file, fail) == -1) {
		forget_end(w);
		return -1;
	}
	return begin_segment(w, fail);
}

/* Opens a segment and learns how it ends; cuts off what is no entry.  Returns
 * 1, 0 when it has no entry, or -1. */
static int
recover_segment(struct journal_writer *w, const char *file,
    struct fail *fail)
{
	struct journal_tail tail;

	if (open_segment(w, file, fail) == -1 || journal_tail_read(w->fd,
	    w->path, w->hash, &tail, fail) == -1)
		return -1;
	if (tail.torn > 0) {
		if (ftruncate(w->fd, (off_t)tail.size) == -1 ||
		    fsync(w->fd) == -1)
			return fail_errno(fail, FAIL_SETUP, errno, "%s",
			    w->path);
		w->cut_off += tail.torn;
		w->untold += tail.torn;
	}
	w->size = tail.size;
	if (!tail.has_entry)
		return 0;
	w->next_seq = tail.seq + 1;
	memcpy(w->chain, tail.chain, sizeof(w->chain));
	return 1;
}

/*
 * Opens the last segment.  When it has no entry (a crash while it was being
 * started), it continues the one before it; it is not removed, for a reader
 * may already wait in it.
 */
static int
recover_last(struct journal_writer *w, char **names, size_t count,
    struct fail *fail)
{
	int rc = 0;

	w->next_seq = 1;
	memset(w->chain, 0, sizeof(w->chain));
	if (count == 0)
		return start_segment(w, fail);
	for (size_t i = count; rc == 0 && i > 0; i--) {
		rc = recover_segment(w, names[i - 1], fail);
		if (rc == 1 && i == count)
			return 0;
	}
	if (rc == -1 || open_segment(w, names[count - 1], fail) == -1)
		return -1;
	return begin_segment(w, fail);
}

static int
find_end(struct journal_writer *w, struct fail *fail)
{
	char **names;
	size_t count;
	int rc;

	forget_end(w);
	if (journal_segments(w->directory, w->name, &names, &count, fail) ==
	    -1)
		return -1;
	rc = recover_last(w, names, count, fail);
	journal_segments_free(names, count);
	if (rc == 0)
		w->distrust = false;
	if (rc == 0 && w->untold > 0)
		rc = tell_cut(w, fail);
	if (rc == -1)
		forget_end(w);
	return rc;
}

/* -- before each batch -- */

enum change { CHANGE_NONE, CHANGE_GROWN, CHANGE_LOST };

/*
 * Is the file still there, and does it end where we know?  Asked with statx,
 * and not for the times: on kernels that keep fine times only of files that
 * somebody looks at, asking for them makes the next write dearer.
 */
static enum change
find_change(const struct journal_writer *w)
{
	struct statx st;

	if (statx(AT_FDCWD, w->path, AT_SYMLINK_NOFOLLOW, STATX_INO |
	    STATX_SIZE, &st) == -1 || st.stx_ino != w->inode ||
	    makedev(st.stx_dev_major, st.stx_dev_minor) != w->device)
		return CHANGE_LOST;
	return st.stx_size == w->size ? CHANGE_NONE :
	    st.stx_size < w->size ? CHANGE_LOST : CHANGE_GROWN;
}

/* The segment was taken away or cut under us.  The chain goes on in another
 * one, but the entries are lost to readers, so somebody has to hear of it. */
static int
go_on_elsewhere(struct journal_writer *w, struct fail *fail)
{
	char lost[PATH_MAX];

	memcpy(lost, w->path, sizeof(lost));
	if (start_segment(w, fail) == -1)
		return -1;
	return fail_set(fail, FAIL_TEMP, "%s was removed, replaced or cut "
	    "while in use; going on in another segment", lost);
}

/*
 * Nobody else should touch an exclusive journal.  Who removes its file takes
 * what was written before as well, so that what a few milliseconds add to it
 * is not worth a system call for each entry; it is for each durable one.
 */
static bool
has_looked(const struct journal_writer *w, bool durable, int64_t now_ms)
{
	return w->exclusive && !durable && now_ms - w->looked_ms < LOOK_MS;
}

static int
look(struct journal_writer *w, struct fail *fail)
{
	enum change change = find_change(w);
	uint64_t last;

	if (change == CHANGE_GROWN)
		return find_end(w, fail);
	if (!w->exclusive) {
		if (journal_segment_last(w->directory, w->name, &last,
		    fail) == -1)
			return -1;
		if (last > w->number)
			return find_end(w, fail);
	}
	return change == CHANGE_LOST ? go_on_elsewhere(w, fail) : 0;
}

static int
find_place(struct journal_writer *w, bool durable, struct fail *fail)
{
	int64_t now_ms = clock_monotonic_ms();

	if (w->cut_due && take_back_again(w, fail) == -1)
		return -1;
	if (w->fd == -1)
		return find_end(w, fail);
	if (has_looked(w, durable, now_ms))
		return 0;
	if (look(w, fail) == -1)
		return -1;
	w->looked_ms = now_ms;
	return 0;
}

static int
prepare(struct journal_writer *w, bool durable, struct fail *fail)
{
	if (find_place(w, durable, fail) == -1)
		return -1;
	/* A clock that is set back starts no segment. */
	if (w->size < w->segment_bytes && w->now_ms() < w->day_ends_ms)
		return 0;
	if (journal_writer_is_uncovered(w) && write_checkpoint(w, fail) == -1)
		return -1;
	return start_segment(w, fail);
}

/* -- batches -- */

struct batch {
	uint64_t	 seq;		/* of the next entry */
	uint64_t	 written;
	unsigned char	 chain[JOURNAL_CHAIN_BYTES];
	bool		 durable;
	bool		 has_checkpoint;
	struct checkpoint checkpoint;
};

static int
flush_batch(struct journal_writer *w, struct batch *batch, struct fail *fail)
{
	if (w->out.len == 0)
		return 0;
	batch->written += w->out.len;
	if (write_out(w, fail) == -1)
		return -1;
	buf_clear(&w->out);
	return 0;
}

static int
write_requests(struct journal_writer *w, struct journal_request *first,
    struct batch *batch, struct fail *fail)
{
	for (struct journal_request *r = first; r != NULL; r = r->next) {
		r->first_seq = batch->seq;
		for (size_t i = 0; i < r->n; i++) {
			journal_line_format(&w->out, w->hash, batch->seq++,
			    r->type, r->bodies[i], next_salt(w),
			    batch->chain);
			if (w->out.len >= WRITE_BYTES &&
			    flush_batch(w, batch, fail) == -1)
				return -1;
		}
	}
	return 0;
}

/* Behind the requests, in the same write. */
static void
add_checkpoint(struct journal_writer *w, struct batch *batch)
{
	struct buf body = BUF_INIT(JOURNAL_BODY_MAX);

	make_checkpoint(w, batch->seq, batch->chain, &batch->checkpoint,
	    &body);
	journal_line_format(&w->out, w->hash, batch->seq++,
	    SPAN("checkpoint"), buf_span(&body), next_salt(w), batch->chain);
	batch->has_checkpoint = true;
	buf_fini(&body);
}

/* All requests, and a checkpoint where one is due, into the file. */
static int
fill_batch(struct journal_writer *w, struct journal_request *first,
    struct batch *batch, struct fail *fail)
{
	bool due = false;

	batch->seq = w->next_seq;
	memcpy(batch->chain, w->chain, sizeof(batch->chain));
	buf_clear(&w->out);
	for (const struct journal_request *r = first; r != NULL; r = r->next)
		due |= r->checkpoint && journal_writer_is_uncovered(w);
	if (write_requests(w, first, batch, fail) == -1)
		return -1;
	if (due || (batch->seq > w->next_seq &&
	    is_checkpoint_due(w, batch->seq)))
		add_checkpoint(w, batch);
	return flush_batch(w, batch, fail);
}

static int
write_batch(struct journal_writer *w, struct journal_request *first,
    struct fail *fail)
{
	struct batch batch = { .written = 0 };

	for (struct journal_request *r = first; r != NULL; r = r->next)
		batch.durable |= r->durable;
	if (prepare(w, batch.durable, fail) == -1)
		return -1;
	if (fill_batch(w, first, &batch, fail) == -1) {
		take_back(w);
		return -1;
	}
	if (batch.durable && fdatasync(w->fd) == -1) {
		(void)fail_errno(fail, FAIL_TEMP, errno, "%s", w->path);
		journal_writer_distrust(w);
		return -1;
	}
	w->next_seq = batch.seq;
	memcpy(w->chain, batch.chain, sizeof(w->chain));
	w->size += batch.written;
	if (batch.has_checkpoint)
		note_checkpoint(w, &batch.checkpoint);
	return 0;
}

int
journal_writer_write(struct journal_writer *w, struct journal_request *first,
    struct fail *fail)
{
	int rc;

	if (take_lock(w, fail) == -1)
		rc = -1;
	else {
		rc = write_batch(w, first, fail);
		release_lock(w);
	}
	if (rc == -1)
		fail->class = FAIL_TEMP;
	return rc;
}

int
journal_writer_init(struct journal_writer *w,
    const struct journal_options *options, struct fail *fail)
{
	int rc;

	memset(w, 0, sizeof(*w));
	w->directory = xstrdup(options->directory);
	w->name = xstrdup(options->name);
	w->host = xstrdup(options->host);
	w->segment_bytes = options->segment_bytes != 0 ?
	    options->segment_bytes : SEGMENT_BYTES;
	w->exclusive = options->exclusive;
	w->lock_wait_ms = LOCK_WAIT_MS;
	w->now_ms = clock_now_ms;
	w->signer = options->signer;
	w->on_checkpoint = options->on_checkpoint;
	w->context = options->context;
	w->lock_fd = w->fd = -1;
	w->hash = crypto_hash_new();
	buf_init(&w->out, WRITE_BYTES + 2 * JOURNAL_LINE_MAX);
	if (!journal_type_is_valid(span_str(w->name)))
		return fail_set(fail, FAIL_SETUP, "no name of a journal: %s",
		    w->name);
	if (file_make_directory(w->directory, fail) == -1 ||
	    open_lock(w, fail) == -1)
		return -1;
	if (w->exclusive && flock(w->lock_fd, LOCK_EX | LOCK_NB) == -1)
		return errno == EWOULDBLOCK ? in_use(w, FAIL_SETUP, fail) :
		    fail_errno(fail, FAIL_SETUP, errno, "%s", w->directory);
	rc = take_lock(w, fail);
	if (rc == 0) {
		rc = find_end(w, fail);
		release_lock(w);
	}
	if (rc == -1)
		fail->class = FAIL_SETUP;
	return rc;
}

void
journal_writer_fini(struct journal_writer *w)
{
	struct fail unused;

	if (w->cut_due && take_lock(w, &unused) == 0) {
		(void)take_back_again(w, &unused);
		release_lock(w);
	}
	forget_end(w);
	if (w->lock_fd != -1)
		(void)close(w->lock_fd);
	crypto_hash_free(&w->hash);
	buf_fini(&w->out);
	free(w->directory);
	free(w->name);
	free(w->host);
}
