/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A thread compares the replica with the primary, several times within the
 * bound, and remembers until when the replica has everything.  A look-up costs
 * no question more: its answer counts when, at the moment at which it is there,
 * that is not longer ago than the bound.
 *
 * An answer that comes on a connection that was not compared yet does not
 * count; who got it compares, and asks again.
 */
#include "store/private.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/xalloc.h"

/* So often within the bound, and so often at the least, that half of the bound
 * is left for the lag. */
#define COMPARISONS	4
#define INTERVAL_MAX_MS	250

struct replica {
	struct link	*primary;	/* borrowed */
	struct link	*link;
	char		*where;		/* the URL, for people */
	int		 within_ms;
	void		(*on_state)(bool, const char *, void *);
	void		*context;
	bool		 told, told_up;	/* of the thread alone */
	int		 stop_fd;
	pthread_t	 thread;

	pthread_mutex_t	 lock;		/* for all below */
	struct freshness freshness;
	struct fail	 fail;		/* why the last comparison failed */
};

struct link *
replica_link(struct replica *replica)
{
	return replica->link;
}

/* *connection: over which the answer came. */
static int
ask_position(struct replica *r, bool is_primary, struct position *out,
    uint64_t *connection, struct fail *fail)
{
	struct reply *reply = NULL;
	struct request request = {
		.bytes = SPAN("*2\r\n$4\r\nINFO\r\n$11\r\nreplication\r\n"),
		.expected = 1,
		.replies = &reply,
		.max_bytes = LINK_REPLY_SMALL,
		.deadline_ms = clock_monotonic_ms() + r->within_ms,
	};
	struct link *link = is_primary ? r->primary : r->link;
	int rc;

	if (request.deadline_ms > link_deadline(link))
		request.deadline_ms = link_deadline(link);
	rc = link_ask(link, &request, fail);
	if (rc == 0)
		rc = freshness_read(reply, out, fail);
	*connection = request.connection;
	link_request_clear(&request);
	return rc == -1 ? fail_prefix(fail, is_primary ? "the primary" :
	    "the replica") : 0;
}

static int
sample_primary(struct replica *r, struct fail *fail)
{
	int64_t at_ms = clock_monotonic_ms();
	uint64_t unused;
	struct position position;
	int rc = ask_position(r, true, &position, &unused, fail);

	(void)pthread_mutex_lock(&r->lock);
	if (rc == 0)
		rc = freshness_add(&r->freshness, &position, at_ms, fail);
	(void)pthread_mutex_unlock(&r->lock);
	return rc;
}

static int
sample_replica(struct replica *r, struct fail *fail)
{
	struct position position;
	uint64_t connection;
	int rc = ask_position(r, false, &position, &connection, fail);

	(void)pthread_mutex_lock(&r->lock);
	if (rc == 0)
		rc = freshness_prove(&r->freshness, &position, connection,
		    fail);
	(void)pthread_mutex_unlock(&r->lock);
	return rc;
}

/* By any thread.  Of a primary that is silent the last answers still serve, for
 * as long as they are new enough. */
static void
compare(struct replica *r)
{
	struct fail fail = { .text = "" }, later;
	int rc = sample_primary(r, &fail);

	if (sample_replica(r, rc == 0 ? &fail : &later) == -1)
		rc = -1;
	(void)pthread_mutex_lock(&r->lock);
	if (rc == -1)
		r->fail = fail;
	else
		(void)fail_set(&r->fail, FAIL_TEMP,
		    "the replica lags behind the primary");
	(void)pthread_mutex_unlock(&r->lock);
}

/* With the lock held. */
static int
check(const struct replica *r, struct fail *fail)
{
	if (freshness_holds(&r->freshness, clock_monotonic_ms()))
		return 0;
	*fail = r->fail;
	fail->class = FAIL_TEMP;
	return fail_prefix(fail, "not known to be less than %d ms old",
	    r->within_ms);
}

int
replica_check(struct replica *r, struct fail *fail)
{
	int rc;

	(void)pthread_mutex_lock(&r->lock);
	rc = check(r, fail);
	(void)pthread_mutex_unlock(&r->lock);
	return rc;
}

int
replica_check_answer(struct replica *r, uint64_t connection,
    struct fail *fail)
{
	bool is_new;
	int rc;

	(void)pthread_mutex_lock(&r->lock);
	rc = check(r, fail);
	is_new = !r->freshness.is_proven ||
	    r->freshness.connection != connection;
	(void)pthread_mutex_unlock(&r->lock);
	if (rc == 0 && is_new) {
		compare(r);
		return 0;
	}
	return rc == 0 ? 1 : -1;
}

/*
 * The thread.
 */

static void
tell(struct replica *r)
{
	char text[sizeof(((struct fail *)0)->text)];
	struct fail fail;
	bool up = replica_check(r, &fail) == 0;

	if (r->told && r->told_up == up)
		return;
	r->told = true;
	r->told_up = up;
	if (r->on_state == NULL)
		return;
	(void)snprintf(text, sizeof(text), "the replica %s, with all that the "
	    "primary had %d ms ago or later", r->where, r->within_ms);
	r->on_state(up, up ? text : fail.text, r->context);
}

static void *
keep_comparing(void *context)
{
	struct replica *r = context;
	struct pollfd stop = { .fd = r->stop_fd, .events = POLLIN };
	int interval_ms = r->within_ms / COMPARISONS;

	if (interval_ms > INTERVAL_MAX_MS)
		interval_ms = INTERVAL_MAX_MS;
	tell(r);
	while (poll(&stop, 1, interval_ms) <= 0) {
		compare(r);
		tell(r);
	}
	return NULL;
}

/* Its thread is not there, or not any more. */
static void
replica_free(struct replica *r)
{
	link_close(&r->link);
	if (r->stop_fd != -1)
		(void)close(r->stop_fd);
	(void)pthread_mutex_destroy(&r->lock);
	free(r->where);
	free(r);
}

static int
start_thread(struct replica *r, struct fail *fail)
{
	int err;

	r->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = r->stop_fd == -1 ? errno :
	    pthread_create(&r->thread, NULL, keep_comparing, r);
	return err == 0 ? 0 : fail_errno(fail, FAIL_SETUP, err,
	    "starting the thread that watches the replica");
}

int
replica_open(const struct store_options *options, struct link *primary,
    struct replica **out, struct fail *fail)
{
	struct store_options own = *options;
	struct replica *r = xcalloc(1, sizeof(*r));

	own.url = options->read_from;
	own.sentinels = NULL;
	own.on_state = NULL;
	r->primary = primary;
	r->where = xstrdup(options->read_from);
	r->within_ms = r->freshness.within_ms = options->read_within_ms;
	r->on_state = options->on_state;
	r->context = options->context;
	r->stop_fd = -1;
	(void)pthread_mutex_init(&r->lock, NULL);
	if (link_open(&own, &r->link, fail) == -1) {
		(void)fail_prefix(fail, "read_from");
		replica_free(r);
		return -1;
	}
	compare(r);
	if (replica_check(r, fail) == 0)
		fail->text[0] = '\0';
	if (start_thread(r, fail) == -1) {
		replica_free(r);
		return -1;
	}
	*out = r;
	return 0;
}

void
replica_close(struct replica **rp)
{
	struct replica *r = *rp;
	uint64_t one = 1;

	if (r == NULL)
		return;
	(void)!write(r->stop_fd, &one, sizeof(one));
	(void)pthread_join(r->thread, NULL);
	replica_free(r);
	*rp = NULL;
}
