/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Commands that find their node.  Those for one node go out as one request, and
 * those for all nodes before the first answer is waited for.  What a node
 * redirects goes out again, to the node that it names, a few times and within
 * the time that the caller gave.
 *
 * A node that a slot is on its way to (ASK) answers for the keys it has got, and
 * of the others it would say that there is nothing: so only the one command goes
 * there, and what follows asks the slot's owner again.
 */
#include "store/private.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/xalloc.h"

#define ROUNDS_MAX		12
/* So many go out at once.  Nodes that do not agree with each other who has a
 * slot do so a moment later. */
#define ROUNDS_QUICK		4
#define PAUSE_MS		10
#define BATCH_BYTES		((size_t)64 * 1024 * 1024)
#define ASKING			SPAN("*1\r\n$6\r\nASKING\r\n")

/* What goes to one node. */
struct batch {
	struct batch	*next;
	struct node	*node;		/* borrowed from its errands */
	struct buf	 commands;
	struct request	 request;
};

struct run {
	struct cluster	*cluster;
	struct errand	*errands;
	size_t		 n;
	struct span	 bytes;
	size_t		 max_bytes;
	int64_t		 deadline_ms;
	struct batch	*batches;
	bool		 failed;
	struct fail	*fail;		/* of the first that failed */
};

/* From command `from' on. */
static void
clear_replies(struct errand *e, size_t from)
{
	for (size_t i = from; i < e->count; i++)
		reply_free(&e->replies[i]);
}

void
errand_clear(struct errand *errands, size_t n)
{
	for (size_t i = 0; i < n; i++)
		clear_replies(&errands[i], 0);
}

static void
finish(struct run *run, struct errand *e)
{
	if (e->node != NULL)
		cluster_release(run->cluster, e->node);
	e->node = NULL;
	e->is_pending = false;
}

static void
fail_errand(struct run *run, struct errand *e, const struct fail *why)
{
	if (!run->failed) {
		*run->fail = *why;
		run->fail->class = FAIL_TEMP;
	}
	run->failed = true;
	e->failed = true;
	clear_replies(e, 0);
	finish(run, e);
}

/* Command k of an errand. */
static struct span
command_of(const struct run *run, const struct errand *e, size_t k)
{
	size_t from = 0;

	if (k > 0)
		from = e->ends[k - 1];
	else if (e != run->errands)
		from = e[-1].ends[e[-1].count - 1];
	return span_from(span_head(run->bytes, e->ends[k]), from);
}

static void
find_nodes(struct run *run)
{
	struct fail why;

	for (size_t i = 0; i < run->n; i++) {
		struct errand *e = &run->errands[i];

		if (!e->is_pending || e->node != NULL)
			continue;
		e->node = cluster_hold(run->cluster, e->partition, &why);
		if (e->node == NULL)
			fail_errand(run, e, &why);
	}
}

static void
add_errand(struct run *run, struct batch *b, struct errand *e)
{
	e->sent = e->is_asking && !e->is_tied ? 1 : e->count - e->done;
	if (e->is_asking)
		buf_add_span(&b->commands, ASKING);
	for (size_t k = e->done; k < e->done + e->sent; k++)
		buf_add_span(&b->commands, command_of(run, e, k));
	b->request.expected += e->sent + e->is_asking;
	e->batch = b;
}

/* All that the node of this errand gets. */
static void
start_batch(struct run *run, struct errand *first)
{
	struct batch *b = xcalloc(1, sizeof(*b));

	b->node = first->node;
	buf_init(&b->commands, BATCH_BYTES);
	for (struct errand *e = first; e < run->errands + run->n; e++)
		if (e->is_pending && e->node == b->node)
			add_errand(run, b, e);
	b->request.bytes = buf_span(&b->commands);
	b->request.replies = xcalloc(b->request.expected,
	    sizeof(struct reply *));
	b->request.max_bytes = run->max_bytes;
	b->request.deadline_ms = run->deadline_ms;
	b->next = run->batches;
	run->batches = b;
	link_start(cluster_link(b->node), &b->request);
}

/* The answers of a batch, to its errands. */
static void
hand_out(struct run *run, struct batch *b)
{
	struct reply **next = b->request.replies;
	struct fail why;

	for (size_t i = 0; i < run->n; i++) {
		struct errand *e = &run->errands[i];
		bool refused = false;

		if (e->batch != b)
			continue;
		if (e->is_asking) {
			refused = (*next)->type != REPLY_STATUS &&
			    reply_fail(*next, &why) == -1;
			reply_free(next++);
		}
		for (size_t k = e->done; k < e->done + e->sent; k++)
			e->replies[k] = *next++;
		if (refused)
			fail_errand(run, e, &why);
	}
}

static void
finish_batch(struct run *run, struct batch *b)
{
	struct fail why;

	if (link_finish(cluster_link(b->node), &b->request, &why) == 0) {
		hand_out(run, b);
	} else {
		link_request_clear(&b->request);
		cluster_doubt(run->cluster);
		for (size_t i = 0; i < run->n; i++)
			if (run->errands[i].batch == b)
				fail_errand(run, &run->errands[i], &why);
	}
	for (size_t i = 0; i < run->n; i++)
		if (run->errands[i].batch == b)
			run->errands[i].batch = NULL;
	buf_fini(&b->commands);
	free(b->request.replies);
	free(b);
}

/* Is one of the answers a redirection?  Then those before it are done.  As
 * slots_read_redirect(). */
static int
read_redirect(struct run *run, struct errand *e, struct redirect *redirect,
    struct fail *why)
{
	unsigned slot = slots_of_partition(e->partition);
	size_t end = e->done + e->sent;

	for (; e->done < end; e->done++) {
		const struct reply *reply = e->replies[e->done];
		int rc;

		redirect->url = *cluster_url(e->node);
		rc = slots_read_redirect(reply, slot, redirect, why);
		if (rc != 0)
			return rc;
		if (reply_is_error(reply, "CLUSTERDOWN"))
			cluster_doubt(run->cluster);
	}
	return 0;
}

/* To another node; NULL: whoever has the partition. */
static void
send_to(struct run *run, struct errand *e, struct node *node, bool is_asking)
{
	cluster_release(run->cluster, e->node);
	e->node = node;
	e->is_asking = is_asking;
}

/* Looks at the answers: that was it, or it goes on somewhere else. */
static void
settle(struct run *run, struct errand *e)
{
	struct redirect redirect;
	struct node *node;
	struct fail why;
	int rc = read_redirect(run, e, &redirect, &why);

	if (rc == 0 && e->done == e->count) {
		finish(run, e);
		return;
	}
	if (rc == 0) {
		send_to(run, e, NULL, false);
		return;
	}
	node = rc == -1 ? NULL : cluster_hold_redirected(run->cluster,
	    e->partition, &redirect, &why);
	if (node == NULL) {
		fail_errand(run, e, &why);
		return;
	}
	clear_replies(e, e->done);
	send_to(run, e, node, redirect.is_ask);
}

/* Returns whether there is more to do. */
static bool
run_round(struct run *run)
{
	bool more = false;

	find_nodes(run);
	for (size_t i = 0; i < run->n; i++)
		if (run->errands[i].is_pending && run->errands[i].batch == NULL)
			start_batch(run, &run->errands[i]);
	while (run->batches != NULL) {
		struct batch *b = run->batches;

		run->batches = b->next;
		finish_batch(run, b);
	}
	for (size_t i = 0; i < run->n; i++) {
		if (run->errands[i].is_pending)
			settle(run, &run->errands[i]);
		more |= run->errands[i].is_pending;
	}
	return more;
}

int
errand_run(struct cluster *cluster, struct errand *errands, size_t n,
    struct span bytes, size_t max_bytes, int64_t deadline_ms,
    struct fail *fail)
{
	struct run run = { .cluster = cluster, .errands = errands, .n = n,
	    .bytes = bytes, .max_bytes = max_bytes,
	    .deadline_ms = deadline_ms, .fail = fail };
	const struct timespec pause = { .tv_nsec = PAUSE_MS * 1000000L };
	struct fail why;
	int rounds = 0;

	for (size_t i = 0; i < n; i++) {
		errands[i].node = NULL;
		errands[i].batch = NULL;
		errands[i].done = 0;
		errands[i].failed = errands[i].is_asking = false;
		errands[i].is_pending = true;
		for (size_t k = 0; k < errands[i].count; k++)
			errands[i].replies[k] = NULL;
	}
	while (n > 0 && run_round(&run)) {
		if (++rounds >= ROUNDS_QUICK)
			(void)nanosleep(&pause, NULL);
		if (rounds >= ROUNDS_MAX ||
		    clock_monotonic_ms() >= deadline_ms)
			break;
	}
	(void)fail_set(&why, FAIL_TEMP, "the nodes of the Redis Cluster "
	    "redirected %d times, and nobody answered", rounds);
	for (size_t i = 0; i < n; i++)
		if (errands[i].is_pending)
			fail_errand(&run, &errands[i], &why);
	return run.failed ? -1 : 0;
}
