/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Group commit: whoever comes first leads, takes everything that waits, and
 * writes and syncs it once for all; the others wait.  A lone caller pays for
 * no second thread.  The writer belongs to the leader while `leading' is set,
 * so the lock is held across no I/O.
 *
 * Batches are numbered and those who wait for one sleep on the condition of
 * its parity: the end of a batch wakes these and not the next one's.
 */
#include "journal/journal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "journal/checkpoint.h"
#include "journal/private.h"

/* A write without a sync is over in microseconds, a sleep is not: it pays to
 * look again for about as long before going to sleep.  Not so when others
 * sleep already: the leader seems to have lost its processor, and to look is
 * to keep it from getting one. */
#define LOOKS		2000

struct waiter {
	struct journal_request request;	/* first: the queue links these */
	uint64_t	 batch;
	int		 rc;
	struct fail	*fail;
	int		*copy;		/* of the file, for the sync thread */
	bool		 is_last;	/* after it the journal is stopped */
};

struct journal {
	pthread_mutex_t	 lock;		/* for all but the writer */
	pthread_cond_t	 over[2];	/* batches, by parity */
	struct journal_request *first, **last;
	uint64_t	 batch;		/* that is being collected */
	_Atomic uint64_t batches_over;	/* changes under the lock */
	_Atomic bool	 leading;	/* as well */
	unsigned	 asleep[2];
	bool		 unsynced;	/* written and not known to be on disk */
	bool		 sync_failed;
	int64_t		 uncovered_ms;	/* since when a checkpoint is due;
					   0: all is covered */

	struct journal_stats stats;	/* but unsynced_ms */
	int64_t		 unsynced_ms;	/* since when `unsynced' */
	int64_t		 syncing_ms;	/* the same, of what is being synced */

	pthread_cond_t	 close;
	bool		 closing;
	bool		 stopped;	/* no entry comes any more */
	bool		 has_syncer;
	pthread_t	 syncer;
	int		 sync_interval_ms;

	struct journal_writer writer;	/* the leader's own */
};

void
journal_set_clock(struct journal *journal, int64_t (*now_ms)(void))
{
	journal->writer.now_ms = now_ms != NULL ? now_ms : clock_now_ms;
}

void
journal_set_lock_wait(struct journal *journal, int ms)
{
	journal->writer.lock_wait_ms = ms;
}

static struct waiter *
next_waiter(const struct waiter *w)
{
	return (struct waiter *)w->request.next;
}

static void
pause_a_bit(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

static bool
is_over(struct journal *j, uint64_t batch)
{
	return atomic_load_explicit(&j->batches_over, memory_order_acquire) >=
	    batch;
}

/* What the leader does with its batch, without the lock. */
static int
write_batch(struct journal *j, struct waiter *first, bool sync_failed,
    struct fail *fail)
{
	int rc = 0;

	if (sync_failed) {
		journal_writer_distrust(&j->writer);
		return fail_set(fail, FAIL_TEMP, "%s: what was written last "
		    "could not be synced", j->writer.directory);
	}
	/* Nothing but the sync thread, asking for a copy? */
	if (first->copy == NULL || first->request.next != NULL ||
	    first->request.checkpoint)
		rc = journal_writer_write(&j->writer, &first->request, fail);
	for (struct waiter *w = first; w != NULL; w = next_waiter(w))
		if (w->copy != NULL && j->writer.fd != -1)
			*w->copy = dup(j->writer.fd);
	return rc;
}

/* Tells those of the batch, and one of the next batch that it may lead.
 * With the lock held; the batch is not touched any more after it. */
static void
end_batch(struct journal *j, struct waiter *first, uint64_t batch, int rc,
    const struct fail *fail)
{
	for (struct waiter *w = first; w != NULL; w = next_waiter(w)) {
		w->rc = rc;
		if (rc == -1)
			*w->fail = *fail;
	}
	j->leading = false;
	atomic_store_explicit(&j->batches_over, batch, memory_order_release);
	if (j->asleep[batch & 1] > 0)
		(void)pthread_cond_broadcast(&j->over[batch & 1]);
	if (j->first != NULL && j->asleep[(batch + 1) & 1] > 0)
		(void)pthread_cond_signal(&j->over[(batch + 1) & 1]);
}

/* With the lock held. */
static void
note_synced(struct journal *j)
{
	j->stats.synced_ms = clock_now_ms();
}

/* A durable batch has synced what was written before it as well; the sync
 * thread's question alone has written nothing. */
static void
note_written(struct journal *j, const struct waiter *first)
{
	bool wrote = false, durable = false;

	for (const struct waiter *w = first; w != NULL; w = next_waiter(w)) {
		wrote |= w->copy == NULL || w->request.checkpoint;
		durable |= w->request.durable;
	}
	if (durable)
		note_synced(j);
	else if (wrote && !j->unsynced)
		j->unsynced_ms = clock_monotonic_ms();
	if (wrote)
		j->unsynced = !durable;
	j->stats.seq = j->writer.next_seq - 1;
	/* The writer is still the leader's. */
	if (!journal_writer_is_uncovered(&j->writer))
		j->uncovered_ms = 0;
	else if (j->uncovered_ms == 0)
		j->uncovered_ms = clock_monotonic_ms();
}

/* Leads one batch.  Called and returns with the lock held. */
static void
lead(struct journal *j)
{
	struct waiter *first = (struct waiter *)j->first;
	uint64_t batch = j->batch++;
	bool sync_failed = j->sync_failed;
	struct fail fail;
	int rc;

	j->first = NULL;
	j->last = &j->first;
	j->leading = true;
	j->sync_failed = false;
	(void)pthread_mutex_unlock(&j->lock);
	rc = write_batch(j, first, sync_failed, &fail);
	(void)pthread_mutex_lock(&j->lock);
	if (rc == 0)
		note_written(j, first);
	else
		j->stats.failures++;
	end_batch(j, first, batch, rc, &fail);
}

/* Looks for a while, without the lock; returns how much is left of it. */
static int
look(struct journal *j, uint64_t batch, int looks)
{
	while (--looks > 0 && !is_over(j, batch) &&
	    atomic_load_explicit(&j->leading, memory_order_relaxed))
		pause_a_bit();
	return looks;
}

static bool
nobody_sleeps(const struct journal *j)
{
	return j->asleep[0] + j->asleep[1] == 0;
}

/* Queues w and blocks until its batch is over. */
static void
wait_in_queue(struct journal *j, struct waiter *w)
{
	/* A sync takes long. */
	int looks = w->request.durable ? 0 : LOOKS;

	(void)pthread_mutex_lock(&j->lock);
	if (j->stopped) {
		(void)pthread_mutex_unlock(&j->lock);
		w->rc = fail_set(w->fail, FAIL_TEMP, "%s: the journal is "
		    "closed", j->writer.directory);
		return;
	}
	j->stopped = w->is_last;
	w->batch = j->batch;
	*j->last = &w->request;
	j->last = &w->request.next;
	while (!is_over(j, w->batch)) {
		if (!j->leading) {
			lead(j);
		} else if (looks > 0 && nobody_sleeps(j)) {
			(void)pthread_mutex_unlock(&j->lock);
			looks = look(j, w->batch, looks);
			if (is_over(j, w->batch))
				return;
			(void)pthread_mutex_lock(&j->lock);
		} else {
			j->asleep[w->batch & 1]++;
			(void)pthread_cond_wait(&j->over[w->batch & 1],
			    &j->lock);
			j->asleep[w->batch & 1]--;
		}
	}
	(void)pthread_mutex_unlock(&j->lock);
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
	struct waiter w = { .request = { .type = span_str(type),
	    .bodies = bodies, .n = n, .durable = durable }, .fail = fail };

	if (check_bodies(type, bodies, n, fail) == -1)
		return -1;
	if (n == 0)
		return 0;
	wait_in_queue(j, &w);
	if (w.rc == 0 && seq_out != NULL)
		*seq_out = w.request.first_seq;
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

/* -- the sync thread -- */

/* Keeps account of a sync.  Where there is no file (fd -1), the batches fail. */
static void
end_sync(struct journal *j, int fd)
{
	bool failed = fd != -1 && fdatasync(fd) == -1;

	(void)pthread_mutex_lock(&j->lock);
	j->syncing_ms = 0;
	if (failed) {
		j->sync_failed = true;
		j->stats.failures++;
	} else if (fd != -1) {
		note_synced(j);
		/* What came in before the last one was written with it. */
		if (j->stopped)
			j->unsynced = false;
	}
	(void)pthread_mutex_unlock(&j->lock);
	if (fd != -1)
		(void)close(fd);
}

/* With the lock held: is there anything to do? */
static bool
begin_sync(struct journal *j, struct waiter *w, bool last)
{
	w->request.checkpoint = j->uncovered_ms != 0 && (last ||
	    clock_monotonic_ms() - j->uncovered_ms >= CHECKPOINT_MS);
	if (!j->unsynced && !w->request.checkpoint && !last)
		return false;
	j->syncing_ms = j->unsynced ? j->unsynced_ms : 0;
	j->unsynced = false;
	return true;
}

/*
 * Syncs what was written since the last time.  The thread queues like
 * everybody for a copy of the file, and syncs that while others write; a
 * segment that ends meanwhile is synced by who ends it.
 */
static void
sync_written(struct journal *j, bool last)
{
	struct fail unused;
	int fd = -1;
	struct waiter w = { .request = { .durable = false }, .fail = &unused,
	    .copy = &fd, .is_last = last };

	(void)pthread_mutex_lock(&j->lock);
	if (!begin_sync(j, &w, last)) {
		(void)pthread_mutex_unlock(&j->lock);
		return;
	}
	(void)pthread_mutex_unlock(&j->lock);
	wait_in_queue(j, &w);
	end_sync(j, fd);
}

static void *
sync_loop(void *argument)
{
	struct journal *j = argument;
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	(void)pthread_mutex_lock(&j->lock);
	while (!j->closing) {
		until.tv_sec += j->sync_interval_ms / 1000;
		until.tv_nsec += (j->sync_interval_ms % 1000) * 1000000L;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000L;
		}
		while (!j->closing && pthread_cond_timedwait(&j->close,
		    &j->lock, &until) == 0)
			;
		(void)pthread_mutex_unlock(&j->lock);
		sync_written(j, false);
		(void)clock_gettime(CLOCK_MONOTONIC, &until);
		(void)pthread_mutex_lock(&j->lock);
	}
	(void)pthread_mutex_unlock(&j->lock);
	return NULL;
}

static int
start_syncer(struct journal *j, struct fail *fail)
{
	int rc;

	if (j->sync_interval_ms == 0)
		return 0;
	rc = pthread_create(&j->syncer, NULL, sync_loop, j);
	if (rc != 0)
		return fail_errno(fail, FAIL_SETUP, rc, "a thread");
	j->has_syncer = true;
	return 0;
}

/* -- open and close -- */

static struct journal *
new_journal(const struct journal_options *options)
{
	struct journal *j = xcalloc(1, sizeof(*j));
	pthread_mutexattr_t adaptive;

	(void)pthread_mutexattr_init(&adaptive);
	(void)pthread_mutexattr_settype(&adaptive, PTHREAD_MUTEX_ADAPTIVE_NP);
	(void)pthread_mutex_init(&j->lock, &adaptive);
	(void)pthread_mutexattr_destroy(&adaptive);
	(void)pthread_cond_init(&j->over[0], NULL);
	(void)pthread_cond_init(&j->over[1], NULL);
	clock_cond_init(&j->close);
	j->last = &j->first;
	j->batch = 1;
	j->sync_interval_ms = options->sync_interval_ms;
	return j;
}

static void
free_journal(struct journal *j)
{
	journal_writer_fini(&j->writer);
	(void)pthread_cond_destroy(&j->close);
	(void)pthread_cond_destroy(&j->over[0]);
	(void)pthread_cond_destroy(&j->over[1]);
	(void)pthread_mutex_destroy(&j->lock);
	free(j);
}

int
journal_open(const struct journal_options *options, struct journal **out,
    uint64_t *recovered_bytes, struct fail *fail)
{
	struct journal *j = new_journal(options);
	int rc = journal_writer_init(&j->writer, options, fail);

	if (recovered_bytes != NULL)
		*recovered_bytes = j->writer.cut_off;
	if (rc == -1 || start_syncer(j, fail) == -1) {
		free_journal(j);
		return -1;
	}
	j->stats.seq = j->writer.next_seq - 1;
	*out = j;
	return 0;
}

void
journal_stats(struct journal *j, struct journal_stats *out)
{
	(void)pthread_mutex_lock(&j->lock);
	*out = j->stats;
	out->unsynced_ms = j->syncing_ms != 0 ? j->syncing_ms :
	    j->unsynced ? j->unsynced_ms : 0;
	(void)pthread_mutex_unlock(&j->lock);
}

void
journal_stop(struct journal *j)
{
	(void)pthread_mutex_lock(&j->lock);
	j->closing = true;
	(void)pthread_cond_signal(&j->close);
	(void)pthread_mutex_unlock(&j->lock);
	if (j->has_syncer)
		(void)pthread_join(j->syncer, NULL);
	j->has_syncer = false;
	sync_written(j, true);
}

void
journal_close(struct journal **journal)
{
	struct journal *j = *journal;

	if (j == NULL)
		return;
	*journal = NULL;
	journal_stop(j);
	free_journal(j);
}
