/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Group commit: whoever comes while nobody leads does so, takes everything that
 * waits, and writes and syncs it once for all; the others wait.  A lone caller
 * pays for no second thread.  The writer belongs to the leader.
 *
 * Who comes puts himself on a stack and looks whether somebody leads; who ends
 * to lead says so and looks whether somebody came.  Both are sequentially
 * consistent, so that one of the two sees the other, and nobody is forgotten.
 */
#include "journal/journal.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "journal/checkpoint.h"
#include "journal/private.h"

/* A write without a sync is over in microseconds, a sleep is not: it pays to
 * look again for about as long before going to sleep, and then to let others
 * run, for the leader may have lost his processor. */
#define LOOKS		200
#define YIELDS		20
/* Batches that a leader writes for others after his own. */
#define ROUNDS		8

enum turn {
	TURN_WAITS,
	TURN_SLEEPS,		/* and has to be woken */
	TURN_LEADS,		/* was handed the lead */
	TURN_OVER
};

struct waiter {
	struct journal_request request;	/* first: stack and queue link these */
	_Atomic int	 turn;		/* enum turn */
	sem_t		 woken;		/* posted where he slept */
	int		 rc;
	struct fail	*fail;
	int		*copy;		/* of the file, for the sync thread */
	bool		 is_last;	/* after it the journal is stopped */
};

struct journal {
	_Atomic(struct journal_request *) newest;	/* of the stack */
	_Atomic bool	 leading;

	/* The leader's. */
	struct journal_request *first, **last;	/* taken off the stack */
	struct journal_writer writer;

	pthread_mutex_t	 lock;		/* for all that follows */
	bool		 unsynced;	/* written and not known to be on disk */
	bool		 sync_failed;
	int64_t		 uncovered_ms;	/* since when a checkpoint is due;
					   0: all is covered */

	struct journal_stats stats;	/* but unsynced_ms */
	int64_t		 unsynced_ms;	/* since when `unsynced' */
	int64_t		 syncing_ms;	/* the same, of what is being synced */

	pthread_cond_t	 close;
	bool		 closing;
	bool		 stopped;	/* no entry comes any more; changed
					   by the leader */
	bool		 has_syncer;
	pthread_t	 syncer;
	int		 sync_interval_ms;
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

/* What the leader does with a batch. */
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

/* With the lock held. */
static void
note_synced(struct journal *j)
{
	j->stats.synced_ms = clock_now_ms();
}

/* A durable batch has synced what was written before it as well; the sync
 * thread's question alone has written nothing. */
static void
note_written(struct journal *j, const struct waiter *first, bool durable)
{
	bool wrote = false;

	for (const struct waiter *w = first; w != NULL; w = next_waiter(w))
		wrote |= w->copy == NULL || w->request.checkpoint;
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

static void
give_turn(struct waiter *w, enum turn turn)
{
	/* Where he does not sleep he may be gone right after it. */
	if (atomic_exchange(&w->turn, turn) == TURN_SLEEPS)
		(void)sem_post(&w->woken);
}

static void
end_batch(struct waiter *first, int rc, const struct fail *fail)
{
	for (struct waiter *w = first, *next; w != NULL; w = next) {
		next = next_waiter(w);
		w->rc = rc;
		if (rc == -1)
			*w->fail = *fail;
		give_turn(w, TURN_OVER);
	}
}

/* Takes what came to the end of the queue, oldest first. */
static void
collect(struct journal *j)
{
	struct journal_request *r = atomic_exchange(&j->newest, NULL);
	struct journal_request *oldest = NULL, **last = j->last;

	if (r != NULL)
		last = &r->next;
	while (r != NULL) {
		struct journal_request *older = r->next;

		r->next = oldest;
		oldest = r;
		r = older;
	}
	*j->last = oldest;
	j->last = last;
}

/* Takes the whole queue, or as far as an entry may still come. */
static struct waiter *
take_batch(struct journal *j)
{
	struct waiter *first = (struct waiter *)j->first, *w = first;

	while (!w->is_last && w->request.next != NULL)
		w = next_waiter(w);
	j->first = w->request.next;
	if (j->first == NULL)
		j->last = &j->first;
	w->request.next = NULL;
	return first;
}

/* Returns whether it had to be synced. */
static bool
lead_batch(struct journal *j)
{
	struct waiter *first = take_batch(j);
	bool sync_failed, stopped, durable = false;
	struct fail fail;
	int rc;

	(void)pthread_mutex_lock(&j->lock);
	stopped = j->stopped;
	sync_failed = j->sync_failed && !stopped;
	if (sync_failed)
		j->sync_failed = false;
	(void)pthread_mutex_unlock(&j->lock);
	if (stopped) {
		(void)fail_set(&fail, FAIL_TEMP, "%s: the journal is closed",
		    j->writer.directory);
		end_batch(first, -1, &fail);
		return false;
	}
	rc = write_batch(j, first, sync_failed, &fail);
	(void)pthread_mutex_lock(&j->lock);
	for (const struct waiter *w = first; w != NULL; w = next_waiter(w)) {
		durable |= w->request.durable;
		j->stopped |= w->is_last;
	}
	if (rc == 0)
		note_written(j, first, durable);
	else
		j->stats.failures++;
	(void)pthread_mutex_unlock(&j->lock);
	end_batch(first, rc, &fail);
	return durable;
}

/* Returns whether nobody waits, and nobody leads any more. */
static bool
end_lead(struct journal *j)
{
	atomic_store(&j->leading, false);
	return atomic_load(&j->newest) == NULL ||
	    atomic_exchange(&j->leading, true);
}

/* Until nobody waits; but nobody writes for others for ever, nor more than once
 * for those who wait for the disk. */
static void
lead(struct journal *j)
{
	int rounds = 0;

	for (;;) {
		collect(j);
		if (j->first == NULL) {
			if (end_lead(j))
				return;
		} else if (rounds >= ROUNDS) {
			give_turn((struct waiter *)j->first, TURN_LEADS);
			return;
		} else
			rounds += lead_batch(j) ? ROUNDS : 1;
	}
}

static enum turn
await_turn(struct waiter *w)
{
	/* A sync takes long. */
	int looks = w->request.durable ? LOOKS + YIELDS : 0, turn;

	for (; looks < LOOKS + YIELDS; looks++) {
		turn = atomic_load_explicit(&w->turn, memory_order_acquire);
		if (turn != TURN_WAITS)
			return turn;
		if (looks < LOOKS)
			pause_a_bit();
		else
			(void)sched_yield();
	}
	turn = TURN_WAITS;
	if (!atomic_compare_exchange_strong(&w->turn, &turn, TURN_SLEEPS))
		return turn;
	while (sem_wait(&w->woken) == -1)
		;			/* EINTR */
	return atomic_load(&w->turn);
}

/* Queues w and blocks until its batch is over. */
static void
wait_in_queue(struct journal *j, struct waiter *w)
{
	(void)sem_init(&w->woken, 0, 0);
	w->request.next = atomic_load(&j->newest);
	while (!atomic_compare_exchange_weak(&j->newest, &w->request.next,
	    &w->request))
		;
	if (!atomic_load(&j->leading) &&
	    !atomic_exchange(&j->leading, true))
		lead(j);
	while (await_turn(w) == TURN_LEADS) {
		atomic_store(&w->turn, TURN_WAITS);
		lead(j);
	}
	(void)sem_destroy(&w->woken);
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
	/* There was no file, or no descriptor for a copy: the next time. */
	if (fd == -1 && j->syncing_ms != 0) {
		j->unsynced = true;
		j->unsynced_ms = j->syncing_ms;
	}
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
	clock_cond_init(&j->close);
	j->last = &j->first;
	j->sync_interval_ms = options->sync_interval_ms;
	return j;
}

static void
free_journal(struct journal *j)
{
	journal_writer_fini(&j->writer);
	(void)pthread_cond_destroy(&j->close);
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
