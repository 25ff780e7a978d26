/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * One connection for all threads.  Replies come in the order of the commands,
 * so a queue of requests is all it takes to tell whose they are.
 *
 * A caller appends its request to the queue and its bytes to `out', and sends
 * `out' itself unless another caller is just doing so, who then sends these
 * bytes as well.  One of those who wait reads for all, hands replies over until
 * his own is there, and then leaves the reading to another: a look-up costs no
 * wake-up but its caller's own.  The store's thread connects, notices the end
 * of a connection, and reads only what it asked itself.  The lock is never held
 * across a system call that could block.
 *
 *	CONNECTING  after start and after a loss, while the first attempt to
 *		    connect lasts: requests wait in `waiting'
 *	UP	    requests are in `sent' until they have all their replies
 *	DOWN	    requests fail at once; attempts go on in the background
 *
 * A connection that Redis closed (restart, idle time-out, CLIENT KILL) is no
 * news for callers: what was under way is sent again, once, for every command
 * we have may be repeated.  A connection on which Redis kept someone waiting
 * for too long, or talked nonsense, is given up with all that was under way.
 * Nothing is ever read from a connection that was given up, so a late reply
 * can't be taken for the answer to something else.
 */
#include "store/private.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/xalloc.h"

#define QUEUE_MAX		16384	/* requests under way */
#define OUT_MAX			((size_t)64 * 1024 * 1024)
#define CHECK_MAX		128	/* our own question, beside that */
#define READ_BYTES		LINK_REPLY_SMALL
#define BATCH			128	/* replies handed over at a time */
#define TRIES_MAX		2
#define SEND_ROUNDS		16	/* of others' bytes, for one caller */
/* Who waits lets others run this often before he sleeps: with many callers the
 * answer is there by then, and it is sleeping and waking that costs most. */
#define YIELDS			5
/* Unless that took long, and each turn of ours on that processor longer than it
 * needs: a program that computes was given its whole time slice.  Who sleeps and
 * is woken goes before it, so nobody yields there for a while, the longer the
 * more often it was so. */
#define YIELD_DEAR_US		1000
#define YIELD_TURN_US		200
#define REST_MIN_US		10000
#define REST_MAX_US		1280000
#define PROCESSORS		64	/* known apart; of more, some together */
#define CHECK_INTERVAL_MS	5000
#define ROLE_INTERVAL_MS	1000	/* with Sentinels */
#define DELAY_MIN_MS		100
#define DELAY_MAX_MS		500
/* A connection that does not last this long, this many times in a row, is no
 * better than none. */
#define SHORT_MS		1000
#define SHORT_MAX		3

enum state {
	STATE_CONNECTING,
	STATE_UP,
	STATE_DOWN
};

/* Who may read from the connection: has `reader' and `read_buffer'. */
enum reading {
	READING_NOBODY,		/* so may the next caller */
	READING_CALLER,
	READING_THREAD		/* the store's thread */
};

/* What the owner was told last. */
enum told {
	TOLD_NOTHING,
	TOLD_UP,
	TOLD_DOWN
};

TAILQ_HEAD(request_list, request);

/* What became of letting others run there.  No lock: a guess will do. */
struct processor {
	atomic_uint	 turns;		/* of ours */
	_Atomic int64_t	 rest_us;	/* the last; 0: it was no bad idea */
	_Atomic int64_t	 rests_until_us;
};

struct link {
	/* Immutable, or of the store's thread alone. */
	struct url	 url;
	char		*where;		/* the URL, for people */
	char		*username;
	char		*password;
	struct tls_files files;
	int		 timeout_ms;
	bool		 is_cluster;	/* to a node of one */
	void		(*on_state)(bool, const char *, void *);
	void		*context;
	pthread_t	 thread;
	int		 wake_fd;
	enum told	 told;
	struct url	 told_url;	/* while TOLD_UP */
	struct reply_reader *reader;	/* see enum reading */
	char		*read_buffer;
	struct request	 check;		/* INFO memory, and replication */
	struct reply	*check_replies[2];
	int		 check_interval_ms;
	struct sentinels *sentinels;	/* NULL: the URL says where */
	struct watch	*watch;
	int64_t		 next_check_ms;
	struct stats	 stats;

	pthread_mutex_t	 lock;		/* for all that follows */
	pthread_cond_t	 changed;	/* first_ended, sending, reading */
	enum state	 state;
	bool		 stop;
	bool		 first_ended;
	bool		 first_awaited;	/* store_open() is still there */
	struct fail	 fail;		/* why there is no connection */
	uint64_t	 epoch;		/* of the primary in `url' */
	/* Its number, which no other has: when it was made, in microseconds.
	 * Written under the lock. */
	_Atomic uint64_t connection;
	struct processor processors[PROCESSORS];
	struct transport transport;
	struct request_list waiting;
	struct request_list sent;
	size_t		 queued;	/* requests in both lists */
	size_t		 queued_bytes;	/* and their commands */
	struct buf	 out;		/* nobody sends these yet */
	struct buf	 wire;		/* of whoever has set `sending' */
	bool		 sending;
	bool		 blocked;	/* the socket is full */
	enum reading	 reading;
	bool		 lost;		/* a caller saw the end */
};

static void
wake(struct link *link)
{
	uint64_t one = 1;

	/* Can only fail when there are 2^64-2 wake-ups to come already. */
	(void)!write(link->wake_fd, &one, sizeof(one));
}

static void
drain(struct link *link)
{
	uint64_t count;

	(void)!read(link->wake_fd, &count, sizeof(count));
}

uint64_t
link_connection(struct link *link)
{
	return atomic_load(&link->connection);
}

bool
link_is_up(struct link *link)
{
	bool up;

	(void)pthread_mutex_lock(&link->lock);
	up = link->state == STATE_UP;
	(void)pthread_mutex_unlock(&link->lock);
	return up;
}

void
link_stats_sum(const struct link *link, struct store_stats *sum)
{
	stats_sum(&link->stats, sum);
}

int64_t
link_deadline(const struct link *link)
{
	return clock_monotonic_ms() + link->timeout_ms;
}

/*
 * Requests.  Whoever sets `done' posts; from then on the request is the
 * caller's again, as soon as he has taken all posts.
 */

static void
drop_replies(struct request *r)
{
	for (size_t i = 0; i < r->received; i++)
		reply_free(&r->replies[i]);
	r->received = 0;
}

void
link_request_clear(struct request *r)
{
	drop_replies(r);
}

static void
unqueue(struct link *link, struct request_list *list, struct request *r)
{
	TAILQ_REMOVE(list, r, entry);
	link->queued--;
	link->queued_bytes -= r->bytes.len;
}

/* With the lock held; the post is still to come. */
static void
set_done(struct request *r)
{
	r->posts++;
	atomic_store_explicit(&r->done, true, memory_order_release);
}

static bool
is_done(struct request *r)
{
	return atomic_load_explicit(&r->done, memory_order_acquire);
}

/* Of a request that is in no list any more. */
static void
fail_request(struct link *link, struct request *r, const struct fail *fail)
{
	if (r == &link->check) {
		r->queued = false;
		drop_replies(r);
		return;
	}
	r->failed = true;
	r->fail = *fail;
	r->fail.class = FAIL_TEMP;
	set_done(r);
	(void)sem_post(&r->posted);
}

static void
fail_all(struct link *link, struct request_list *list, const struct fail *fail)
{
	struct request *r;

	while ((r = TAILQ_FIRST(list)) != NULL) {
		unqueue(link, list, r);
		fail_request(link, r, fail);
	}
}

/* Ends the use of the connection from any thread; the store's thread sees it,
 * closes and connects again. */
static void
give_up(struct link *link, enum state state, const struct fail *fail)
{
	link->state = state;
	link->fail = *fail;
	if (link->transport.fd != -1)
		(void)shutdown(link->transport.fd, SHUT_RDWR);
	wake(link);
	fail_all(link, &link->sent, fail);
	if (state == STATE_DOWN)
		fail_all(link, &link->waiting, fail);
}

/*
 * Sending.  Called and returns with the lock held, which it gives away while
 * it sends.
 */

/* Returns how many bytes of the wire went out. */
static size_t
send_wire(struct link *link)
{
	ssize_t n;

	(void)pthread_mutex_unlock(&link->lock);
	do
		n = transport_send(&link->transport, link->wire.data,
		    link->wire.len);
	while (n == -1 && errno == EINTR);
	(void)pthread_mutex_lock(&link->lock);
	return n > 0 ? (size_t)n : 0;
}

static void
flush(struct link *link)
{
	int rounds = 0;

	link->sending = true;
	while (link->state == STATE_UP && !link->blocked) {
		if (link->wire.len == 0) {
			struct buf empty = link->wire;

			link->wire = link->out;
			link->out = empty;
		}
		if (link->wire.len == 0)
			break;
		buf_consume(&link->wire, send_wire(link));
		/* A full socket, or a broken one: the store's thread sees
		 * which.  It also relieves a caller who would be sending for
		 * others for ever. */
		if (link->wire.len > 0 || ++rounds == SEND_ROUNDS) {
			link->blocked = true;
			wake(link);
		}
	}
	link->sending = false;
	if (link->state != STATE_UP)
		(void)pthread_cond_broadcast(&link->changed);
}

static void
rest_longer(struct processor *p, int64_t now_us)
{
	int64_t rest_us = 2 * atomic_load(&p->rest_us);

	if (rest_us < REST_MIN_US)
		rest_us = REST_MIN_US;
	if (rest_us > REST_MAX_US)
		rest_us = REST_MAX_US;
	atomic_store(&p->rest_us, rest_us);
	atomic_store(&p->rests_until_us, now_us + rest_us);
}

/* Returns whether they may have run. */
static bool
let_others_run(struct link *link)
{
	struct processor *p =
	    &link->processors[(unsigned)sched_getcpu() % PROCESSORS];
	int64_t since_us = clock_monotonic_us(), now_us;
	unsigned before;

	if (since_us < atomic_load(&p->rests_until_us))
		return false;
	before = atomic_fetch_add(&p->turns, 1);
	(void)sched_yield();
	now_us = clock_monotonic_us();
	if (now_us - since_us <= YIELD_DEAR_US || now_us - since_us <=
	    (int64_t)YIELD_TURN_US * (atomic_load(&p->turns) - before)) {
		if (atomic_load(&p->rest_us) != 0)
			atomic_store(&p->rest_us, 0);
	} else
		rest_longer(p, now_us);
	return true;
}

/* Where some wait already, more are about to ask: they run first, so that all
 * goes out at once.  The system calls and wake-ups of a batch cost as much as
 * those of one command. */
static void
gather(struct link *link)
{
	link->sending = true;
	(void)pthread_mutex_unlock(&link->lock);
	(void)let_others_run(link);
	(void)pthread_mutex_lock(&link->lock);
}

static void
enqueue_sent(struct link *link, struct request *r)
{
	r->waiting = false;
	r->tries++;
	r->connection = link->connection;
	TAILQ_INSERT_TAIL(&link->sent, r, entry);
	buf_add_span(&link->out, r->bytes);
}

void
link_start(struct link *link, struct request *r)
{
	r->received = 0;
	r->tries = 0;
	r->failed = r->asleep = r->reads = false;
	r->posts = 0;
	r->started_us = clock_monotonic_us();
	atomic_init(&r->done, false);
	(void)sem_init(&r->posted, 0, 0);
	(void)pthread_mutex_lock(&link->lock);
	r->queued = false;
	if (link->state == STATE_DOWN) {
		stats_count_failed_fast(&link->stats);
		r->failed = true;
		r->fail = link->fail;
		r->fail.class = FAIL_TEMP;
	} else if (link->queued >= QUEUE_MAX ||
	    link->queued_bytes > OUT_MAX ||
	    r->bytes.len > OUT_MAX - link->queued_bytes) {
		stats_count_failure(&link->stats, STORE_FAILURE_OVERLOAD);
		r->failed = true;
		(void)fail_set(&r->fail, FAIL_TEMP,
		    "too many requests to Redis are under way");
	} else {
		r->queued = true;
		link->queued++;
		link->queued_bytes += r->bytes.len;
		if (link->state == STATE_CONNECTING) {
			r->waiting = true;
			TAILQ_INSERT_TAIL(&link->waiting, r, entry);
		} else {
			enqueue_sent(link, r);
			if (!link->sending && !link->blocked) {
				if (link->queued > 1)
					gather(link);
				flush(link);
			}
		}
	}
	(void)pthread_mutex_unlock(&link->lock);
}

/*
 * Reading, by whoever may.
 */

/* May this Redis still be used?  Its answers are ours alone by now. */
static int
finish_check(struct link *link)
{
	struct fail fail, ignored;
	int rc = handshake_check_policy(link->check_replies[0], &fail);
	bool demoted = rc == 0 && link->sentinels != NULL &&
	    handshake_check_role(link->check_replies[1], &ignored) == -1;

	drop_replies(&link->check);
	(void)pthread_mutex_lock(&link->lock);
	link->check.queued = false;
	if (rc == -1) {
		stats_count_failure(&link->stats, STORE_FAILURE_REFUSED);
		(void)fail_prefix(&fail, "%s", link->where);
		give_up(link, STATE_DOWN, &fail);
	}
	(void)pthread_mutex_unlock(&link->lock);
	/* What is under way is sent again, to the new primary. */
	return demoted ? -1 : rc;
}

/* What is sent again is no failure: a script that Redis does not know yet, and
 * in a cluster what is for another node or another moment. */
static void
note_error(struct link *link, const struct reply *reply)
{
	static const char *const again[] = { "NOSCRIPT", "MOVED", "ASK",
	    "TRYAGAIN" };

	if (reply->type != REPLY_ERROR)
		return;
	for (size_t i = 0; i < sizeof(again) / sizeof(again[0]); i++)
		if (reply_is_error(reply, again[i]))
			return;
	stats_count_failure(&link->stats, STORE_FAILURE_ERROR);
}

/*
 * Gives replies to the requests they belong to.  Those that got their last one
 * are posted without the lock, for their callers will want it.
 */
static int
deliver(struct link *link, struct reply **batch, size_t n)
{
	struct request *complete[BATCH], *r;
	size_t completed = 0, i;
	bool checked = false;
	struct fail fail;

	(void)pthread_mutex_lock(&link->lock);
	for (i = 0; i < n && link->state == STATE_UP; i++) {
		r = TAILQ_FIRST(&link->sent);
		if (r == NULL) {
			stats_count_failure(&link->stats,
			    STORE_FAILURE_PROTOCOL);
			(void)fail_set(&fail, FAIL_TEMP, "Redis broke the "
			    "protocol: an answer that nobody asked for");
			give_up(link, STATE_CONNECTING, &fail);
			break;
		}
		note_error(link, batch[i]);
		r->replies[r->received++] = batch[i];
		if (r->received < r->expected)
			continue;
		unqueue(link, &link->sent, r);
		if (r == &link->check) {
			checked = true;
			continue;
		}
		set_done(r);
		complete[completed++] = r;
	}
	(void)pthread_mutex_unlock(&link->lock);
	for (; i < n; i++)
		reply_free(&batch[i]);
	for (i = 0; i < completed; i++)
		(void)sem_post(&complete[i]->posted);
	if (!checked)
		return 0;
	return finish_check(link);
}

/* How long the reply may be that comes next.  Replies behind it in the same
 * batch get the same limit, which is never less than what one read brings. */
static size_t
next_max_bytes(struct link *link)
{
	struct request *r;
	size_t max_bytes;

	(void)pthread_mutex_lock(&link->lock);
	r = TAILQ_FIRST(&link->sent);
	max_bytes = r == NULL ? LINK_REPLY_SMALL : r->max_bytes;
	(void)pthread_mutex_unlock(&link->lock);
	return max_bytes;
}

static int
parse_replies(struct link *link)
{
	struct reply *batch[BATCH];
	struct fail fail;
	size_t n;
	int rc;

	do {
		size_t max_bytes = next_max_bytes(link);

		for (n = 0; n < BATCH; n++)
			if ((rc = reply_reader_next(link->reader, max_bytes,
			    &batch[n], &fail)) != 1)
				break;
		if (n > 0 && deliver(link, batch, n) == -1)
			return -1;
	} while (n == BATCH);
	if (rc == 0)
		return 0;
	stats_count_failure(&link->stats, STORE_FAILURE_PROTOCOL);
	(void)pthread_mutex_lock(&link->lock);
	if (link->state == STATE_UP)
		give_up(link, STATE_CONNECTING, &fail);
	(void)pthread_mutex_unlock(&link->lock);
	return -1;
}

/* Returns -1 when the connection is of no use any more. */
static int
receive(struct link *link)
{
	struct fail fail;
	ssize_t n;

	do {
		n = transport_recv(&link->transport, link->read_buffer,
		    READ_BYTES);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0 || reply_reader_feed(link->reader,
		    link->read_buffer, (size_t)n, &fail) == -1 ||
		    parse_replies(link) == -1)
			return -1;
	} while (transport_is_pending(&link->transport));
	return 0;
}

/* Leaves the reading to the first who waits, or to nobody.  With the lock
 * held. */
static void
pass_on(struct link *link)
{
	struct request *r = NULL;

	if (link->state == STATE_UP && !link->lost)
		TAILQ_FOREACH(r, &link->sent, entry)
			if (r->asleep)
				break;
	link->reading = r != NULL ? READING_CALLER : READING_NOBODY;
	if (r != NULL) {
		r->asleep = false;
		r->reads = true;
		r->posts++;
		(void)sem_post(&r->posted);
		return;
	}
	if (link->state != STATE_UP || link->lost || link->check.queued)
		wake(link);
	(void)pthread_cond_broadcast(&link->changed);
}

/* Either the caller reads, or he is to sleep until he is posted. */
static bool
start_reading(struct link *link, struct request *r)
{
	bool reads;

	(void)pthread_mutex_lock(&link->lock);
	reads = link->state == STATE_UP && !link->lost && !r->waiting &&
	    link->reading == READING_NOBODY && !is_done(r);
	if (reads)
		link->reading = READING_CALLER;
	else
		r->asleep = !is_done(r);
	(void)pthread_mutex_unlock(&link->lock);
	return reads;
}

/* Reads until the request is done or its time is over. */
static void
read_for_all(struct link *link, struct request *r)
{
	struct pollfd p = { .fd = link->transport.fd, .events = POLLIN };
	bool lost;

	/* What has come by the deadline has come in time, whenever we run. */
	for (int looks = 0;; looks++) {
		int64_t left_ms;

		lost = receive(link) == -1;
		if (lost || is_done(r))
			break;
		if (looks < YIELDS && let_others_run(link))
			continue;
		left_ms = r->deadline_ms - clock_monotonic_ms();
		if (left_ms <= 0)
			break;
		(void)poll(&p, 1, (int)left_ms);
	}
	(void)pthread_mutex_lock(&link->lock);
	link->lost |= lost && link->state == STATE_UP;
	pass_on(link);
	(void)pthread_mutex_unlock(&link->lock);
}

static void
expire(struct link *link, struct request *r)
{
	struct fail fail;

	(void)fail_set(&fail, FAIL_TEMP, "Redis did not answer within %d ms",
	    link->timeout_ms);
	(void)pthread_mutex_lock(&link->lock);
	if (is_done(r)) {
		/* Its reply came just now. */
	} else if (r->waiting) {
		stats_count_failure(&link->stats, STORE_FAILURE_TIMEOUT);
		unqueue(link, &link->waiting, r);
		(void)fail_prefix(&fail, "%s: not connected", link->where);
		fail_request(link, r, &fail);
	} else {
		stats_count_failure(&link->stats, STORE_FAILURE_TIMEOUT);
		give_up(link, STATE_CONNECTING, &fail);
	}
	(void)pthread_mutex_unlock(&link->lock);
}

/* Takes a post that comes while others run. */
static bool
take_post_soon(struct link *link, struct request *r)
{
	for (int i = 0; i < YIELDS; i++) {
		if (sem_trywait(&r->posted) == 0)
			return true;
		if (!let_others_run(link))
			break;
	}
	return false;
}

/* Sleeps until it is posted, or its time is over.  Returns whether it falls to
 * the caller to read. */
static bool
sleep_until_posted(struct link *link, struct request *r, unsigned *taken)
{
	struct timespec ts = clock_deadline(r->deadline_ms);
	bool reads;
	int rc = 0;

	if (!take_post_soon(link, r))
		do
			rc = sem_clockwait(&r->posted, CLOCK_MONOTONIC, &ts);
		while (rc == -1 && errno == EINTR);
	if (rc == 0)
		++*taken;
	/* Then it is ours alone. */
	if (is_done(r))
		return r->reads;
	(void)pthread_mutex_lock(&link->lock);
	r->asleep = false;
	reads = r->reads;
	r->reads = false;
	(void)pthread_mutex_unlock(&link->lock);
	return reads;
}

static void
await(struct link *link, struct request *r)
{
	unsigned taken = 0;

	do
		if (start_reading(link, r) ||
		    sleep_until_posted(link, r, &taken))
			read_for_all(link, r);
	while (!is_done(r) && clock_monotonic_ms() < r->deadline_ms);
	if (!is_done(r))
		expire(link, r);
	/* Who posts has set `done' before: not one is missed. */
	while (taken < r->posts)
		if (sem_wait(&r->posted) == 0)
			taken++;
}

int
link_finish(struct link *link, struct request *r, struct fail *fail)
{
	if (r->queued)
		await(link, r);
	(void)sem_destroy(&r->posted);
	if (!r->failed) {
		stats_count_answer(&link->stats, clock_monotonic_us() -
		    r->started_us);
		return 0;
	}
	*fail = r->fail;
	return -1;
}

int
link_ask(struct link *link, struct request *r, struct fail *fail)
{
	link_start(link, r);
	return link_finish(link, r, fail);
}

/*
 * The store's thread.
 */

static void
tell(struct link *link, bool reachable, const char *text)
{
	enum told told = reachable ? TOLD_UP : TOLD_DOWN;

	bool moved = strcmp(link->told_url.host, link->url.host) != 0 ||
	    strcmp(link->told_url.port, link->url.port) != 0;

	if (link->told == told && !(reachable && moved))
		return;
	link->told = told;
	link->told_url = link->url;
	if (link->on_state != NULL)
		link->on_state(reachable, text, link->context);
}

/* Sends what waited for the connection, oldest first. */
static void
go_up(struct link *link)
{
	struct request *r;

	(void)pthread_mutex_lock(&link->lock);
	link->state = STATE_UP;
	link->connection = (uint64_t)clock_monotonic_us();
	link->reading = READING_NOBODY;
	link->lost = false;
	while ((r = TAILQ_FIRST(&link->waiting)) != NULL) {
		TAILQ_REMOVE(&link->waiting, r, entry);
		enqueue_sent(link, r);
	}
	link->first_ended = true;
	(void)pthread_cond_broadcast(&link->changed);
	flush(link);
	if (link->reading == READING_NOBODY)
		pass_on(link);
	(void)pthread_mutex_unlock(&link->lock);
}

/* Returns whether the one who opens the store hears that this Redis must not be
 * used; then there is nothing more to do. */
static bool
go_down(struct link *link, const struct fail *fail)
{
	bool refused;

	(void)pthread_mutex_lock(&link->lock);
	link->state = STATE_DOWN;
	link->fail = *fail;
	fail_all(link, &link->waiting, fail);
	refused = link->first_awaited && !link->first_ended &&
	    fail->class == FAIL_SETUP;
	link->first_ended = true;
	(void)pthread_cond_broadcast(&link->changed);
	(void)pthread_mutex_unlock(&link->lock);
	return refused;
}

/* Lets Sentinels say where to connect to. */
static int
find_primary(struct link *link, struct fail *fail)
{
	struct primary primary = { .url = link->url };

	if (sentinel_ask(link->sentinels, link->epoch, link->wake_fd,
	    &primary, fail) == -1)
		return -1;
	(void)pthread_mutex_lock(&link->lock);
	link->url = primary.url;
	link->epoch = primary.epoch;
	(void)pthread_mutex_unlock(&link->lock);
	return 0;
}

/* Ends the connection as Redis would; what is under way is sent again on the
 * next. */
static void
leave(struct link *link)
{
	if (link->state == STATE_UP && link->transport.fd != -1)
		(void)shutdown(link->transport.fd, SHUT_RDWR);
}

/* Called by the thread that asks Sentinels. */
static void
hear_primary(const struct primary *primary, void *context)
{
	struct link *link = context;

	(void)pthread_mutex_lock(&link->lock);
	if (primary->epoch >= link->epoch &&
	    (strcmp(primary->url.host, link->url.host) != 0 ||
	    strcmp(primary->url.port, link->url.port) != 0))
		leave(link);
	(void)pthread_mutex_unlock(&link->lock);
}

void
link_distrust(struct link *link)
{
	(void)pthread_mutex_lock(&link->lock);
	if (link->sentinels != NULL)
		leave(link);
	(void)pthread_mutex_unlock(&link->lock);
}

static int
attempt(struct link *link, char *version, size_t size, struct fail *fail)
{
	struct handshake handshake = {
		.username = link->username,
		.password = link->password,
		.database = link->url.database,
		.is_primary = link->sentinels != NULL,
		.is_cluster = link->is_cluster,
	};
	struct transport transport;
	int64_t deadline_ms;

	stats_count_attempt(&link->stats);
	if ((link->sentinels != NULL && find_primary(link, fail) == -1) ||
	    transport_open(&link->url, &link->files, link->timeout_ms,
	    link->wake_fd, &transport, fail) == -1) {
		stats_count_failure(&link->stats, STORE_FAILURE_CONNECT);
		return -1;
	}
	deadline_ms = clock_monotonic_ms() + link->timeout_ms;
	link->reader = reply_reader_new();
	if (link->is_cluster)
		reply_reader_allow_nested(link->reader);
	if (handshake_run(&transport, link->reader, &handshake, link->wake_fd,
	    deadline_ms, fail) == -1) {
		stats_count_failure(&link->stats, STORE_FAILURE_REFUSED);
		(void)fail_prefix(fail, "%s", link->where);
		reply_reader_free(&link->reader);
		transport_close(&transport);
		return -1;
	}
	stats_count_connection(&link->stats);
	memcpy(version, handshake.version, size);
	(void)pthread_mutex_lock(&link->lock);
	link->transport = transport;
	(void)pthread_mutex_unlock(&link->lock);
	return 0;
}

/* Closes the connection; what was under way on it waits for the next one. */
static void
hang_up(struct link *link)
{
	struct request_list again = TAILQ_HEAD_INITIALIZER(again);
	struct request *r;
	struct fail fail;

	(void)fail_set(&fail, FAIL_TEMP, "%s: the connection was closed",
	    link->where);
	(void)pthread_mutex_lock(&link->lock);
	if (link->state == STATE_UP) {
		if (!link->stop)
			stats_count_failure(&link->stats,
			    STORE_FAILURE_CLOSED);
		link->state = STATE_CONNECTING;
		link->fail = fail;
	}
	while (link->sending || link->reading == READING_CALLER)
		(void)pthread_cond_wait(&link->changed, &link->lock);
	while ((r = TAILQ_FIRST(&link->sent)) != NULL) {
		if (r->tries < TRIES_MAX && r != &link->check) {
			TAILQ_REMOVE(&link->sent, r, entry);
			drop_replies(r);
			r->waiting = true;
			TAILQ_INSERT_TAIL(&again, r, entry);
		} else {
			unqueue(link, &link->sent, r);
			fail_request(link, r, &fail);
		}
	}
	/* They are older than those that came since. */
	TAILQ_CONCAT(&again, &link->waiting, entry);
	TAILQ_CONCAT(&link->waiting, &again, entry);
	transport_close(&link->transport);
	link->blocked = false;
	buf_fini(&link->out);
	buf_fini(&link->wire);
	if (!link->stop)
		drain(link);
	(void)pthread_mutex_unlock(&link->lock);
	reply_reader_free(&link->reader);
}

static void
start_check(struct link *link)
{
	struct request *r = &link->check;

	r->queued = true;
	r->received = 0;
	r->tries = 0;
	r->deadline_ms = link_deadline(link);
	link->queued++;
	link->queued_bytes += r->bytes.len;
	enqueue_sent(link, r);
	if (!link->sending && !link->blocked)
		flush(link);
}

/* The store's thread reads while nobody else would read its answer. */
static void
choose_reader(struct link *link)
{
	if (link->reading == READING_NOBODY && link->check.queued)
		link->reading = READING_THREAD;
	else if (link->reading == READING_THREAD && !link->check.queued)
		pass_on(link);
}

/*
 * What is due by the clock.  Returns how long there is nothing more to do, or
 * -1 when the connection is over.
 */
static int
keep_time(struct link *link, short *events)
{
	int64_t now_ms = clock_monotonic_ms(), next_ms;
	struct fail fail;
	int wait_ms = -1;

	(void)pthread_mutex_lock(&link->lock);
	if (now_ms >= link->next_check_ms && !link->check.queued &&
	    link->state == STATE_UP) {
		link->next_check_ms = now_ms + link->check_interval_ms;
		start_check(link);
	}
	/* Callers look at the clock themselves; one who is late, for he waits
	 * for another node, does not say that this one is. */
	if (link->check.queued && now_ms > link->check.deadline_ms &&
	    link->state == STATE_UP) {
		stats_count_failure(&link->stats, STORE_FAILURE_TIMEOUT);
		(void)fail_set(&fail, FAIL_TEMP,
		    "Redis did not answer within %d ms", link->timeout_ms);
		give_up(link, STATE_CONNECTING, &fail);
	}
	choose_reader(link);
	if (link->state == STATE_UP && !link->stop && !link->lost) {
		next_ms = link->next_check_ms;
		if (link->check.queued &&
		    link->check.deadline_ms + 1 < next_ms)
			next_ms = link->check.deadline_ms + 1;
		wait_ms = next_ms > now_ms ? (int)(next_ms - now_ms) : 0;
		*events = POLLRDHUP;
		if (link->reading == READING_THREAD)
			*events |= POLLIN;
		if (link->blocked && !link->sending)
			*events |= POLLOUT;
	}
	(void)pthread_mutex_unlock(&link->lock);
	return wait_ms;
}

/* Makes sure that it is the store's thread that reads. */
static bool
claim_reading(struct link *link)
{
	bool mine;

	(void)pthread_mutex_lock(&link->lock);
	if (link->reading == READING_NOBODY)
		link->reading = READING_THREAD;
	mine = link->reading == READING_THREAD;
	(void)pthread_mutex_unlock(&link->lock);
	return mine;
}

static void
serve(struct link *link)
{
	struct pollfd fds[2] = {
		{ .fd = link->transport.fd },
		{ .fd = link->wake_fd, .events = POLLIN },
	};
	int wait_ms;

	link->next_check_ms = clock_monotonic_ms() + link->check_interval_ms;
	while ((wait_ms = keep_time(link, &fds[0].events)) != -1) {
		if (poll(fds, 2, wait_ms) <= 0)
			continue;
		if (fds[1].revents != 0)
			drain(link);
		if (fds[0].revents & POLLOUT) {
			(void)pthread_mutex_lock(&link->lock);
			link->blocked = false;
			if (!link->sending)
				flush(link);
			(void)pthread_mutex_unlock(&link->lock);
		}
		if ((fds[0].revents & ~POLLOUT) == 0)
			continue;
		if (!claim_reading(link))
			/* The caller who reads is about to see the end. */
			(void)poll(NULL, 0, 1);
		else if (receive(link) == -1)
			break;
	}
}

static bool
is_stopping(struct link *link)
{
	bool stop;

	(void)pthread_mutex_lock(&link->lock);
	stop = link->stop;
	(void)pthread_mutex_unlock(&link->lock);
	return stop;
}

/* While there is no connection, only link_close() wakes us. */
static void
pause_for(struct link *link, int ms)
{
	struct pollfd p = { .fd = link->wake_fd, .events = POLLIN };

	(void)poll(&p, 1, ms);
}

/* Uses a connection until it is lost.  Returns how long it lasted. */
static int64_t
use_connection(struct link *link, const char *version)
{
	int64_t since_ms = clock_monotonic_ms();
	char text[sizeof(((struct fail *)0)->text)];

	if (link->sentinels != NULL)
		(void)snprintf(text, sizeof(text), "%s, %s, at %.100s:%s",
		    version, link->where, link->url.host, link->url.port);
	else
		(void)snprintf(text, sizeof(text), "%s at %s", version,
		    link->where);
	go_up(link);
	tell(link, true, text);
	serve(link);
	hang_up(link);
	return clock_monotonic_ms() - since_ms;
}

/* Goes down and waits before the next attempt.  Returns false when there shall
 * be none. */
static bool
rest(struct link *link, int *delay_ms, const struct fail *fail)
{
	if (go_down(link, fail))
		return false;
	tell(link, false, fail->text);
	*delay_ms = *delay_ms == 0 ? DELAY_MIN_MS : *delay_ms * 2;
	if (*delay_ms > DELAY_MAX_MS)
		*delay_ms = DELAY_MAX_MS;
	pause_for(link, *delay_ms);
	return true;
}

static bool
is_down(struct link *link, struct fail *why)
{
	bool down;

	(void)pthread_mutex_lock(&link->lock);
	down = link->state == STATE_DOWN;
	*why = link->fail;
	(void)pthread_mutex_unlock(&link->lock);
	return down;
}

static void *
run(void *context)
{
	struct link *link = context;
	int delay_ms = 0, short_lived = 0;
	char version[sizeof(((struct handshake *)0)->version)];
	struct fail fail;

	while (!is_stopping(link)) {
		if (attempt(link, version, sizeof(version), &fail) == -1) {
			if (is_stopping(link) || !rest(link, &delay_ms, &fail))
				break;
			continue;
		}
		if (use_connection(link, version) >= SHORT_MS)
			delay_ms = short_lived = 0;
		else
			short_lived++;
		if (is_stopping(link))
			break;
		if (is_down(link, &fail) || short_lived >= SHORT_MAX)
			(void)rest(link, &delay_ms, &fail);
	}
	return NULL;
}

/* It is held for less time than it takes to go to sleep. */
static void
init_lock(pthread_mutex_t *lock)
{
	pthread_mutexattr_t adaptive;

	(void)pthread_mutexattr_init(&adaptive);
	(void)pthread_mutexattr_settype(&adaptive, PTHREAD_MUTEX_ADAPTIVE_NP);
	(void)pthread_mutex_init(lock, &adaptive);
	(void)pthread_mutexattr_destroy(&adaptive);
}

static void
init_link(struct link *link, const struct store_options *options)
{
	pthread_condattr_t attr;

	link->where = xstrdup(options->url);
	if (options->username != NULL)
		link->username = xstrdup(options->username);
	if (options->password != NULL)
		link->password = xstrdup(options->password);
	tls_copy_files(&link->files, options);
	link->timeout_ms = options->timeout_ms;
	link->on_state = options->on_state;
	link->context = options->context;
	link->is_cluster = options->cluster != NULL;
	link->transport.fd = link->wake_fd = -1;
	link->read_buffer = xcalloc(READ_BYTES, 1);
	link->check_interval_ms = CHECK_INTERVAL_MS;
	link->check.bytes = SPAN("*2\r\n$4\r\nINFO\r\n$6\r\nmemory\r\n");
	link->check.expected = 1;
	link->check.replies = link->check_replies;
	link->check.max_bytes = LINK_REPLY_SMALL;
	TAILQ_INIT(&link->waiting);
	TAILQ_INIT(&link->sent);
	buf_init(&link->out, OUT_MAX + CHECK_MAX);
	buf_init(&link->wire, OUT_MAX + CHECK_MAX);
	init_lock(&link->lock);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&link->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
}

/* Two objects, for this thread and for the one that watches. */
static int
init_sentinels(struct link *link, const struct store_options *options,
    struct fail *fail)
{
	struct sentinels *watching;
	char where[128];

	if (link->url.is_unix)
		return fail_set(fail, FAIL_SETUP, "with Sentinels the Redis "
		    "URL begins with redis:// or rediss://");
	if (sentinel_new(options, &link->files, link->url.is_tls,
	    &link->sentinels, fail) == -1 || sentinel_new(options,
	    &link->files, link->url.is_tls, &watching, fail) == -1)
		return -1;
	(void)snprintf(where, sizeof(where), "the primary \"%s\"",
	    options->master);
	free(link->where);
	link->where = xstrdup(where);
	link->check_interval_ms = ROLE_INTERVAL_MS;
	link->check.bytes = SPAN("*2\r\n$4\r\nINFO\r\n$6\r\nmemory\r\n"
	    "*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n");
	link->check.expected = 2;
	return sentinel_watch(watching, &link->url, hear_primary, link,
	    &link->watch, fail);
}

static void
free_link(struct link *link)
{
	sentinel_unwatch(&link->watch);
	sentinel_free(&link->sentinels);
	if (link->wake_fd != -1)
		(void)close(link->wake_fd);
	(void)pthread_cond_destroy(&link->changed);
	(void)pthread_mutex_destroy(&link->lock);
	buf_fini(&link->out);
	buf_fini(&link->wire);
	free(link->read_buffer);
	free(link->username);
	if (link->password != NULL)
		explicit_bzero(link->password, strlen(link->password));
	free(link->password);
	tls_free_files(&link->files);
	free(link->where);
	free(link);
}

int
link_await(struct link *link, int64_t deadline_ms, struct fail *fail)
{
	struct timespec ts = clock_deadline(deadline_ms);
	int rc = 0;

	(void)pthread_mutex_lock(&link->lock);
	while (!link->first_ended && rc == 0)
		rc = pthread_cond_timedwait(&link->changed, &link->lock, &ts);
	link->first_awaited = false;
	fail->text[0] = '\0';
	rc = 0;
	if (!link->first_ended)
		(void)fail_set(fail, FAIL_TEMP,
		    "%s: no answer within %d ms", link->where,
		    link->timeout_ms);
	else if (link->state == STATE_DOWN) {
		rc = link->fail.class == FAIL_SETUP ? -1 : 0;
		*fail = link->fail;
	}
	(void)pthread_mutex_unlock(&link->lock);
	return rc;
}

static int
start_link(const struct store_options *options, bool awaited,
    struct link **out, struct fail *fail)
{
	struct link *link = xcalloc(1, sizeof(*link));
	int err;

	if (url_parse(options->url, &link->url, fail) == -1) {
		free(link);
		return -1;
	}
	init_link(link, options);
	if ((link->url.is_tls &&
	    tls_check_files(&link->files, fail) == -1) ||
	    (options->sentinels != NULL &&
	    init_sentinels(link, options, fail) == -1)) {
		free_link(link);
		return -1;
	}
	link->first_awaited = awaited;
	link->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = link->wake_fd == -1 ? errno :
	    pthread_create(&link->thread, NULL, run, link);
	if (err != 0) {
		free_link(link);
		return fail_errno(fail, FAIL_SETUP, err,
		    "starting the store's thread");
	}
	*out = link;
	return 0;
}

int
link_new(const struct store_options *options, struct link **out,
    struct fail *fail)
{
	return start_link(options, false, out, fail);
}

int
link_open(const struct store_options *options, struct link **out,
    struct fail *fail)
{
	struct link *link;

	if (start_link(options, true, &link, fail) == -1)
		return -1;
	if (link_await(link, link_deadline(link), fail) == -1) {
		link_close(&link);
		return -1;
	}
	*out = link;
	return 0;
}

void
link_close(struct link **linkp)
{
	struct link *link = *linkp;

	if (link == NULL)
		return;
	(void)pthread_mutex_lock(&link->lock);
	link->stop = true;
	wake(link);
	(void)pthread_mutex_unlock(&link->lock);
	(void)pthread_join(link->thread, NULL);
	free_link(link);
	*linkp = NULL;
}
