/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Group commit: whoever comes first leads, takes everything that waits, and
 * writes and syncs it once for all; the others sleep.  A lone caller pays for
 * no second thread.  What the leader touches (file, chain) is its own while
 * `leading' is set, so no lock is held across I/O.
 */
#include "journal/journal.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/date.h"
#include "base/file.h"
#include "base/json.h"
#include "base/xalloc.h"
#include "journal/private.h"

#define SEGMENT_BYTES	(UINT64_C(256) * 1024 * 1024)
#define TAIL_BYTES	(2 * (JOURNAL_LINE_MAX + 1))
#define SALTS		64	/* drawn at once */
#define WRITE_BYTES	(1024 * 1024)

struct waiter {
	struct waiter	*next;
	struct span	 type;
	const struct span *bodies;
	size_t		 n;
	bool		 durable;
	bool		 done;
	int		 rc;
	struct fail	*fail;
	uint64_t	 seq;		/* of the first body */
};

struct journal {
	pthread_mutex_t	 lock;		/* queue, leading, flags of syncing */
	pthread_cond_t	 changed;
	struct waiter	*first, **last;
	bool		 leading;
	bool		 unsynced;	/* written and not known to be on disk */
	bool		 sync_failed;
	bool		 closing;
	pthread_t	 syncer;
	bool		 has_syncer;
	int		 sync_interval_ms;

	char		*directory;
	char		*name;
	char		*host;
	uint64_t	 segment_bytes;
	bool		 exclusive;
	int64_t		 (*now_ms)(void);

	/* The leader's own. */
	int		 lock_fd;
	int		 fd;		/* -1: the tail is not known */
	char		 file[64];
	char		 day[9];
	uint64_t	 size;
	uint64_t	 next_seq;
	unsigned char	 chain[JOURNAL_CHAIN_BYTES];
	uint64_t	 recovered_bytes;	/* cut off since _open */
	struct buf	 out;
	unsigned char	 salts[SALTS][JOURNAL_SALT_BYTES];
	size_t		 salts_left;
};

void
journal_set_clock(struct journal *journal, int64_t (*now_ms)(void))
{
	journal->now_ms = now_ms != NULL ? now_ms : clock_now_ms;
}

static const unsigned char *
next_salt(struct journal *j)
{
	if (j->salts_left == 0) {
		crypto_random(j->salts, sizeof(j->salts));
		j->salts_left = SALTS;
	}
	return j->salts[--j->salts_left];
}

/* Files that root makes belong to whom the directory belongs to: the daemon
 * writes the same journal. */
static int
give_to_owner(const struct journal *j, int fd)
{
	struct stat st;

	if (geteuid() != 0)
		return 0;
	if (stat(j->directory, &st) == -1)
		return -1;
	return fchown(fd, st.st_uid, st.st_gid);
}

static int
open_in(const struct journal *j, const char *file, int flags)
{
	struct buf path = BUF_INIT(8192);
	int fd;

	buf_addf(&path, "%s/%s", j->directory, file);
	fd = open(buf_get(&path), flags | O_CLOEXEC, 0640);
	buf_fini(&path);
	return fd;
}

static int
open_lock(struct journal *j, struct fail *fail)
{
	char file[32];

	(void)snprintf(file, sizeof(file), ".%s.lock", j->name);
	j->lock_fd = open_in(j, file, O_RDWR | O_CREAT);
	if (j->lock_fd == -1 || give_to_owner(j, j->lock_fd) == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s/%s",
		    j->directory, file);
	if (j->exclusive && flock(j->lock_fd, LOCK_EX | LOCK_NB) == -1)
		return errno == EWOULDBLOCK ? fail_set(fail, FAIL_SETUP,
		    "%s: the %s are in use by another process", j->directory,
		    j->name) : fail_errno(fail, FAIL_SETUP, errno, "%s/%s",
		    j->directory, file);
	return 0;
}

static int
lock_turn(const struct journal *j, int how)
{
	int rc;

	if (j->exclusive)
		return 0;
	do
		rc = flock(j->lock_fd, how);
	while (rc == -1 && errno == EINTR);
	return rc;
}

static void
add_segment_body(const struct journal *j, struct buf *body, int64_t now_ms)
{
	struct buf text = BUF_INIT(64);

	buf_add_str(body, "\"version\":1");
	json_add_member_str(body, "journal", j->name);
	json_add_member_str(body, "host", j->host);
	date_format(&text, now_ms);
	json_add_member(body, "time", buf_span(&text));
	buf_clear(&text);
	hex_format(&text, j->chain, sizeof(j->chain));
	json_add_member(body, "previous", buf_span(&text));
	buf_fini(&text);
}

/* Leaves the tail unknown: it is read again from the file before the next
 * entry is written. */
static void
forget_tail(struct journal *j)
{
	if (j->fd != -1)
		(void)close(j->fd);
	j->fd = -1;
}

/* Takes back what a failed write left. */
static void
take_back(struct journal *j)
{
	if (ftruncate(j->fd, (off_t)j->size) == -1)
		forget_tail(j);
}

/* Writes what is in j->out at the end of the segment. */
static int
write_out(struct journal *j, struct fail *fail)
{
	if (file_write_all(j->fd, buf_span(&j->out)) == -1)
		return fail_errno(fail, FAIL_TEMP, errno, "%s/%s",
		    j->directory, j->file);
	return 0;
}

static int
start_segment(struct journal *j, uint64_t number, struct fail *fail)
{
	int64_t now_ms = j->now_ms();
	struct buf body = BUF_INIT(JOURNAL_BODY_MAX), day = BUF_INIT(16);
	unsigned char chain[JOURNAL_CHAIN_BYTES];
	int fd, rc = 0;

	if (j->fd != -1 && fsync(j->fd) == -1) {
		(void)fail_errno(fail, FAIL_TEMP, errno, "%s/%s",
		    j->directory, j->file);
		forget_tail(j);
		return -1;
	}
	forget_tail(j);
	date_format_day(&day, now_ms);
	memcpy(j->day, buf_get(&day), sizeof(j->day));
	(void)snprintf(j->file, sizeof(j->file), "%s-%s-%06" PRIu64 ".jsonl",
	    j->name, j->day, number);
	fd = open_in(j, j->file, O_RDWR | O_CREAT | O_EXCL | O_APPEND);
	if (fd == -1)
		rc = fail_errno(fail, FAIL_TEMP, errno, "%s/%s", j->directory,
		    j->file);
	else {
		j->fd = fd;
		j->size = 0;
		memcpy(chain, j->chain, sizeof(chain));
		add_segment_body(j, &body, now_ms);
		buf_clear(&j->out);
		journal_line_format(&j->out, j->next_seq, SPAN("segment"),
		    buf_span(&body), next_salt(j), chain);
		if (give_to_owner(j, fd) == -1)
			rc = fail_errno(fail, FAIL_TEMP, errno, "%s/%s",
			    j->directory, j->file);
		if (rc == 0)
			rc = write_out(j, fail);
		if (rc == 0 && (fsync(fd) == -1 ||
		    file_sync_directory(j->directory) == -1))
			rc = fail_errno(fail, FAIL_TEMP, errno, "%s/%s",
			    j->directory, j->file);
	}
	if (rc == 0) {
		memcpy(j->chain, chain, sizeof(chain));
		j->next_seq++;
		j->size = j->out.len;
	} else if (fd != -1) {
		/* A segment without its first entry is none. */
		take_back(j);
		forget_tail(j);
	}
	buf_fini(&body);
	buf_fini(&day);
	return rc;
}

/* The last two lines of a segment; empty spans where there are fewer. */
struct tail {
	struct buf	 bytes;
	struct span	 before, last;	/* without line breaks */
	uint64_t	 torn;		/* bytes behind the last line break */
};

static int
read_tail(const struct journal *j, int fd, uint64_t size, struct tail *tail,
    struct fail *fail)
{
	size_t want = size < TAIL_BYTES ? (size_t)size : TAIL_BYTES;
	struct span all;
	ptrdiff_t end;
	char *to;

	buf_init(&tail->bytes, TAIL_BYTES);
	to = buf_reserve(&tail->bytes, want);
	if (want > 0 && pread(fd, to, want, (off_t)(size - want)) !=
	    (ssize_t)want)
		return fail_errno(fail, FAIL_SETUP, errno, "%s/%s",
		    j->directory, j->file);
	tail->bytes.len = want;
	all = buf_span(&tail->bytes);
	end = span_rindex(all, '\n');
	tail->torn = all.len - (size_t)(end + 1);
	tail->last = tail->before = span_of(NULL, 0);
	if (end == -1)
		return 0;
	all = span_head(all, (size_t)end);
	end = span_rindex(all, '\n');
	tail->last = span_from(all, (size_t)(end + 1));
	if (end == -1)
		return 0;
	all = span_head(all, (size_t)end);
	end = span_rindex(all, '\n');
	tail->before = span_from(all, (size_t)(end + 1));
	return 0;
}

/* Finds the chain before the first entry of a segment in its body. */
static int
previous_of_segment(const struct journal_entry *entry,
    unsigned char chain[JOURNAL_CHAIN_BYTES])
{
	struct json_object *object;
	struct fail unused;
	struct span text;
	int rc = -1;

	if (entry->blanked || json_object_parse(entry->object, &object,
	    &unused) == -1)
		return -1;
	if (json_object_string(object, "previous", &text) == 1)
		rc = hex_parse(text, chain, JOURNAL_CHAIN_BYTES);
	json_object_free(&object);
	return rc;
}

/* Does the last entry fit the one before it? */
static int
check_last(const struct tail *tail, const struct journal_entry *last)
{
	unsigned char previous[JOURNAL_CHAIN_BYTES], sum[32];
	struct journal_entry before;
	struct fail unused;

	if (!last->blanked) {
		journal_digest(last->salt, last->body, sum);
		if (memcmp(sum, last->digest, sizeof(sum)) != 0)
			return -1;
	}
	if (tail->before.len == 0) {
		if (previous_of_segment(last, previous) == -1)
			return -1;
	} else {
		if (journal_line_parse(tail->before, &before, &unused) == -1)
			return -1;
		memcpy(previous, before.chain, sizeof(previous));
	}
	journal_chain(previous, last->seq, last->type, last->digest, sum);
	return memcmp(sum, last->chain, sizeof(sum)) == 0 ? 0 : -1;
}

static int
cut(struct journal *j, uint64_t size, uint64_t bytes, struct fail *fail)
{
	if (ftruncate(j->fd, (off_t)size) == -1 || fsync(j->fd) == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s/%s",
		    j->directory, j->file);
	j->recovered_bytes += bytes;
	return 0;
}

/*
 * Learns from the open segment where the journal ends.  Returns 1, 0 when the
 * segment holds no entry at all, -1.
 */
static int
learn_tail(struct journal *j, struct fail *fail)
{
	struct journal_entry last;
	struct tail tail;
	struct stat st;
	int rc = 1;

	if (fstat(j->fd, &st) == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s/%s",
		    j->directory, j->file);
	j->size = (uint64_t)st.st_size;
	if (read_tail(j, j->fd, j->size, &tail, fail) == -1)
		rc = -1;
	else if (tail.torn > 0) {
		j->size -= tail.torn;
		rc = cut(j, j->size, tail.torn, fail) == -1 ? -1 : 1;
	}
	if (rc == 1 && tail.last.len == 0)
		rc = 0;
	else if (rc == 1 && (journal_line_parse(tail.last, &last, fail) ==
	    -1 || check_last(&tail, &last) == -1))
		rc = fail_set(fail, FAIL_SETUP, "%s/%s: the last entry does "
		    "not fit the one before it: look at the file, and put "
		    "it aside to start anew", j->directory, j->file);
	if (rc == 1) {
		j->next_seq = last.seq + 1;
		memcpy(j->chain, last.chain, sizeof(j->chain));
	}
	buf_fini(&tail.bytes);
	return rc;
}

static int
drop_segment(struct journal *j, const char *file, struct fail *fail)
{
	struct buf path = BUF_INIT(8192);
	int rc = 0;

	forget_tail(j);
	buf_addf(&path, "%s/%s", j->directory, file);
	if (unlink(buf_get(&path)) == -1)
		rc = fail_errno(fail, FAIL_SETUP, errno, "%s",
		    buf_get(&path));
	buf_fini(&path);
	return rc;
}

static int
open_segment(struct journal *j, const char *file, struct fail *fail)
{
	const char *day = file + strlen(j->name) + 1;

	forget_tail(j);
	if (strlen(file) >= sizeof(j->file))
		return fail_set(fail, FAIL_SETUP, "%s: too long a name", file);
	memcpy(j->file, file, strlen(file) + 1);
	memcpy(j->day, day, 8);
	j->day[8] = '\0';
	j->fd = open_in(j, file, O_RDWR | O_APPEND);
	if (j->fd == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s/%s",
		    j->directory, file);
	return 0;
}

static int
append_recovered(struct journal *j, uint64_t bytes, struct fail *fail)
{
	struct buf body = BUF_INIT(1024), text = BUF_INIT(64);
	unsigned char chain[JOURNAL_CHAIN_BYTES];
	int rc;

	memcpy(chain, j->chain, sizeof(chain));
	buf_addf(&body, "\"bytes\":%" PRIu64, bytes);
	date_format(&text, j->now_ms());
	json_add_member(&body, "time", buf_span(&text));
	buf_clear(&j->out);
	journal_line_format(&j->out, j->next_seq, SPAN("recovered"),
	    buf_span(&body), next_salt(j), chain);
	rc = write_out(j, fail);
	if (rc == -1)
		take_back(j);
	else {
		memcpy(j->chain, chain, sizeof(chain));
		j->next_seq++;
		j->size += j->out.len;
	}
	buf_fini(&body);
	buf_fini(&text);
	return rc;
}

/* Opens the last segment that holds an entry, or starts the first one. */
static int
find_tail(struct journal *j, struct fail *fail)
{
	char **names;
	size_t count;
	uint64_t number = 0, recovered = j->recovered_bytes;
	int rc = 0;

	forget_tail(j);
	if (journal_segments(j->directory, j->name, &names, &count, fail) ==
	    -1)
		return -1;
	j->next_seq = 1;
	memset(j->chain, 0, sizeof(j->chain));
	for (size_t i = count; i > 0 && rc == 0; i--) {
		rc = open_segment(j, names[i - 1], fail) == -1 ? -1 :
		    learn_tail(j, fail);
		/* A crash between making a segment and its first entry. */
		if (rc == 0 && drop_segment(j, names[i - 1], fail) == -1)
			rc = -1;
	}
	if (count > 0)
		number = journal_segment_number(names[count - 1]);
	journal_segments_free(names, count);
	if (rc == 0)
		rc = start_segment(j, number + 1, fail);
	else if (rc == 1)
		rc = 0;
	if (rc == 0 && j->recovered_bytes > recovered)
		rc = append_recovered(j, j->recovered_bytes - recovered,
		    fail);
	return rc;
}

/* Has somebody else appended, rotated, or moved the file away? */
static bool
tail_has_moved(const struct journal *j)
{
	struct buf path = BUF_INIT(8192);
	struct stat here, there;
	bool moved;

	buf_addf(&path, "%s/%s", j->directory, j->file);
	moved = fstat(j->fd, &here) == -1 ||
	    here.st_nlink == 0 || (uint64_t)here.st_size != j->size;
	if (!moved && !j->exclusive) {
		char **names = NULL;
		size_t count = 0;
		struct fail unused;

		moved = stat(buf_get(&path), &there) == -1 ||
		    there.st_ino != here.st_ino ||
		    journal_segments(j->directory, j->name, &names, &count,
		    &unused) == -1 || count == 0 ||
		    strcmp(names[count - 1], j->file) != 0;
		journal_segments_free(names, count);
	}
	buf_fini(&path);
	return moved;
}

static int
rotate_if_due(struct journal *j, struct fail *fail)
{
	struct buf day = BUF_INIT(16);
	bool due;

	date_format_day(&day, j->now_ms());
	/* A clock that is set back starts no segment. */
	due = j->size >= j->segment_bytes || strcmp(buf_get(&day), j->day) > 0;
	buf_fini(&day);
	return due ? start_segment(j, journal_segment_number(j->file) + 1,
	    fail) : 0;
}

static int
prepare(struct journal *j, struct fail *fail)
{
	struct stat st;

	/* Removed under us: the chain goes on in a new segment. */
	if (j->fd != -1 && j->exclusive && fstat(j->fd, &st) == 0 &&
	    st.st_nlink == 0 &&
	    start_segment(j, journal_segment_number(j->file) + 1, fail) == -1)
		return -1;
	if ((j->fd == -1 || tail_has_moved(j)) && find_tail(j, fail) == -1)
		return -1;
	return rotate_if_due(j, fail);
}

static int
write_waiter(struct journal *j, struct waiter *w, uint64_t *seq,
    unsigned char chain[JOURNAL_CHAIN_BYTES], uint64_t *written,
    struct fail *fail)
{
	w->seq = *seq;
	for (size_t i = 0; i < w->n; i++) {
		journal_line_format(&j->out, (*seq)++, w->type, w->bodies[i],
		    next_salt(j), chain);
		if (j->out.len < WRITE_BYTES)
			continue;
		*written += j->out.len;
		if (write_out(j, fail) == -1)
			return -1;
		buf_clear(&j->out);
	}
	return 0;
}

/* Writes a batch: all of it or nothing. */
static int
write_batch(struct journal *j, struct waiter *first, struct fail *fail)
{
	unsigned char chain[JOURNAL_CHAIN_BYTES];
	uint64_t seq, written = 0;
	bool durable = false;
	int rc = 0;

	if (prepare(j, fail) == -1)
		return -1;
	seq = j->next_seq;
	memcpy(chain, j->chain, sizeof(chain));
	buf_clear(&j->out);
	for (struct waiter *w = first; rc == 0 && w != NULL; w = w->next) {
		durable |= w->durable;
		rc = write_waiter(j, w, &seq, chain, &written, fail);
	}
	if (rc == 0 && j->out.len > 0) {
		written += j->out.len;
		rc = write_out(j, fail);
	}
	if (rc == -1) {
		take_back(j);
		return -1;
	}
	if (durable && fdatasync(j->fd) == -1) {
		/* What the page cache says now is no longer to be trusted. */
		(void)fail_errno(fail, FAIL_TEMP, errno, "%s/%s",
		    j->directory, j->file);
		forget_tail(j);
		return -1;
	}
	j->next_seq = seq;
	memcpy(j->chain, chain, sizeof(chain));
	j->size += written;
	return 0;
}

/* Leads one batch.  Called and returns with the lock held. */
static void
lead(struct journal *j)
{
	struct waiter *first = j->first;
	bool sync_failed = j->sync_failed;
	struct fail fail;
	int rc;

	j->first = NULL;
	j->last = &j->first;
	j->leading = true;
	j->sync_failed = false;
	(void)pthread_mutex_unlock(&j->lock);
	if (sync_failed) {
		forget_tail(j);
		rc = fail_set(&fail, FAIL_TEMP, "%s: the %s that were written "
		    "last could not be synced", j->directory, j->name);
	} else if (lock_turn(j, LOCK_EX) == -1)
		rc = fail_errno(&fail, FAIL_TEMP, errno, "%s", j->directory);
	else {
		rc = write_batch(j, first, &fail);
		(void)lock_turn(j, LOCK_UN);
	}
	if (rc == -1)
		fail.class = FAIL_TEMP;
	(void)pthread_mutex_lock(&j->lock);
	j->leading = false;
	if (rc == 0)
		j->unsynced = true;
	while (first != NULL) {
		struct waiter *next = first->next;

		first->rc = rc;
		if (rc == -1)
			*first->fail = fail;
		first->done = true;
		first = next;
	}
	(void)pthread_cond_broadcast(&j->changed);
}

static int
check_bodies(const char *type, const struct span *bodies, size_t n,
    struct fail *fail)
{
	if (!journal_type_is_valid(span_str(type)))
		return fail_set(fail, FAIL_BUG, "no type of an entry: %s",
		    type);
	for (size_t i = 0; i < n; i++) {
		if (bodies[i].len > JOURNAL_BODY_MAX)
			return fail_set(fail, FAIL_BUG, "an entry of %zu "
			    "bytes is too long", bodies[i].len);
		if (span_index(bodies[i], '\n') != -1)
			return fail_set(fail, FAIL_BUG,
			    "an entry with a line break");
	}
	return 0;
}

static int
append(struct journal *j, const char *type, const struct span *bodies,
    size_t n, bool durable, uint64_t *seq_out, struct fail *fail)
{
	struct waiter w = { .type = span_str(type), .bodies = bodies, .n = n,
	    .durable = durable, .fail = fail };

	if (check_bodies(type, bodies, n, fail) == -1)
		return -1;
	if (n == 0)
		return 0;
	(void)pthread_mutex_lock(&j->lock);
	*j->last = &w;
	j->last = &w.next;
	while (!w.done)
		if (j->leading)
			(void)pthread_cond_wait(&j->changed, &j->lock);
		else
			lead(j);
	(void)pthread_mutex_unlock(&j->lock);
	if (w.rc == 0 && seq_out != NULL)
		*seq_out = w.seq;
	return w.rc;
}

int
journal_append(struct journal *journal, const char *type, struct span body,
    bool durable, uint64_t *seq_out, struct fail *fail)
{
	return append(journal, type, &body, 1, durable, seq_out, fail);
}

int
journal_append_many(struct journal *journal, const char *type,
    const struct span *bodies, size_t n, bool durable, struct fail *fail)
{
	return append(journal, type, bodies, n, durable, NULL, fail);
}

/* Syncs what was written since the last time.  With the lock held. */
static void
sync_written(struct journal *j)
{
	int fd, rc;

	if (!j->unsynced || j->leading || j->fd == -1)
		return;
	j->unsynced = false;
	/* A copy: the leader may start another segment meanwhile (and syncs
	 * the old one then). */
	fd = dup(j->fd);
	(void)pthread_mutex_unlock(&j->lock);
	rc = fd == -1 ? -1 : fdatasync(fd);
	if (fd != -1)
		(void)close(fd);
	(void)pthread_mutex_lock(&j->lock);
	if (rc == -1)
		j->sync_failed = true;
}

static void *
sync_loop(void *argument)
{
	struct journal *j = argument;

	(void)pthread_mutex_lock(&j->lock);
	while (!j->closing) {
		struct timespec until;

		(void)clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += j->sync_interval_ms / 1000;
		until.tv_nsec += (j->sync_interval_ms % 1000) * 1000000L;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000L;
		}
		while (!j->closing && pthread_cond_timedwait(&j->changed,
		    &j->lock, &until) != ETIMEDOUT)
			;
		while (j->leading)
			(void)pthread_cond_wait(&j->changed, &j->lock);
		sync_written(j);
	}
	(void)pthread_mutex_unlock(&j->lock);
	return NULL;
}

static void
release(struct journal *j)
{
	forget_tail(j);
	if (j->lock_fd != -1)
		(void)close(j->lock_fd);
	buf_fini(&j->out);
	free(j->directory);
	free(j->name);
	free(j->host);
	(void)pthread_cond_destroy(&j->changed);
	(void)pthread_mutex_destroy(&j->lock);
	free(j);
}

static int
start(struct journal *j, uint64_t *recovered_bytes, struct fail *fail)
{
	int rc;

	if (!journal_type_is_valid(span_str(j->name)))
		return fail_set(fail, FAIL_BUG, "no name of a journal: %s",
		    j->name);
	if (file_make_directory(j->directory, fail) == -1 ||
	    open_lock(j, fail) == -1)
		return -1;
	if (lock_turn(j, LOCK_EX) == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s",
		    j->directory);
	rc = find_tail(j, fail);
	if (recovered_bytes != NULL)
		*recovered_bytes = j->recovered_bytes;
	(void)lock_turn(j, LOCK_UN);
	if (rc == -1) {
		fail->class = FAIL_SETUP;
		return -1;
	}
	if (j->sync_interval_ms == 0)
		return 0;
	rc = pthread_create(&j->syncer, NULL, sync_loop, j);
	if (rc != 0)
		return fail_errno(fail, FAIL_SETUP, rc, "a thread");
	j->has_syncer = true;
	return 0;
}

int
journal_open(const struct journal_options *options, struct journal **out,
    uint64_t *recovered_bytes, struct fail *fail)
{
	struct journal *j = xcalloc(1, sizeof(*j));

	(void)pthread_mutex_init(&j->lock, NULL);
	(void)pthread_cond_init(&j->changed, NULL);
	j->last = &j->first;
	j->directory = xstrdup(options->directory);
	j->name = xstrdup(options->name);
	j->host = xstrdup(options->host);
	j->segment_bytes = options->segment_bytes != 0 ?
	    options->segment_bytes : SEGMENT_BYTES;
	j->exclusive = options->exclusive;
	j->sync_interval_ms = options->sync_interval_ms;
	j->now_ms = clock_now_ms;
	j->fd = j->lock_fd = -1;
	buf_init(&j->out, WRITE_BYTES + 2 * JOURNAL_LINE_MAX);
	if (start(j, recovered_bytes, fail) == -1) {
		release(j);
		return -1;
	}
	*out = j;
	return 0;
}

void
journal_close(struct journal **journal)
{
	struct journal *j = *journal;

	if (j == NULL)
		return;
	*journal = NULL;
	(void)pthread_mutex_lock(&j->lock);
	j->closing = true;
	(void)pthread_cond_broadcast(&j->changed);
	(void)pthread_mutex_unlock(&j->lock);
	if (j->has_syncer)
		(void)pthread_join(j->syncer, NULL);
	if (j->fd != -1)
		(void)fdatasync(j->fd);
	release(j);
}
