/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Events on a cluster.  A script's keys are in one slot, so each partition has
 * its own cursor and gets its events one call after the other; those of
 * different partitions go out together.
 *
 * While a slot is on its way to another node, Redis takes no script whose keys
 * are in both places (TRYAGAIN).  Opt-outs are merged there and then all the
 * same, without their cursor, which is one key each; the cursor follows when
 * the slot has arrived.  Opt-ins have to wait: without the cursor nobody knows
 * that the opt-outs before them are still there.
 */
#include "store/private.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/xalloc.h"

/* Of a time: 32 MiB if all of them are as long as can be. */
#define SLICE_EVENTS	4096
#define CALL_EVENTS	32
#define ROUND_BYTES	((size_t)64 * 1024 * 1024)
#define AGAIN_MS	20
/* So long a slot is waited for; whoever applies keeps others from doing so, and
 * comes again. */
#define AGAIN_MAX_MS	1000
/* As often in a row somebody may have flushed the scripts. */
#define LOADS_MAX	10

enum part_state {
	PART_GOES,
	PART_DONE,
	PART_DAMAGED,		/* a person's record can't be merged with */
	PART_FAILED
};

/* The events of one partition. */
struct part {
	struct job	 job;
	enum part_state	 state;
	size_t		 done;		/* confirmed */
	size_t		 end;		/* of the call under way */
	bool		 is_moving;	/* TRYAGAIN */
	bool		 is_ahead;	/* its opt-outs are merged */
};

struct spread {
	struct cluster	*cluster;
	struct script	*script;
	struct store_progress *progress;	/* may be NULL */
	/* The same without end_id, for the calls that have events. */
	struct store_progress plain;
	int		 timeout_ms;
	int64_t		 deadline_ms;	/* for a slot to arrive */
	unsigned	 loads;
	bool		 unknown;	/* a node does not know the script */
	bool		 lost;

	struct part	*parts;
	size_t		 count;
	size_t		*order;		/* of events, part by part */
	struct errand	*errands;
	struct buf	 commands;
	size_t		 damaged;	/* the first event that is */
	bool		 failed;
	struct fail	*fail;		/* of the first failure */
	struct fail	 damage;	/* of the first damage */
};

static void
note_failure(struct spread *s, const struct fail *why)
{
	bool lost = apply_is_lost(why);

	if (!s->failed || (lost && !s->lost))
		*s->fail = *why;
	s->failed = true;
	s->lost |= lost;
}

/* To all nodes that are known: a slot may be on its way to any. */
static void
load_everywhere(struct spread *s)
{
	struct node **nodes;
	struct fail unused;
	size_t n = cluster_hold_each(s->cluster, true, &nodes);

	s->loads++;
	s->unknown = false;
	for (size_t i = 0; i < n; i++) {
		/* Who can't be reached says so when it gets its call. */
		(void)!apply_load_script(cluster_link(nodes[i]), s->script,
		    &unused);
		cluster_release(s->cluster, nodes[i]);
	}
	free(nodes);
}

/* Sends what was added to commands, for n errands. */
static void
run_errands(struct spread *s, size_t n)
{
	struct fail why;
	int64_t deadline_ms = clock_monotonic_ms() + s->timeout_ms;

	if (errand_run(s->cluster, s->errands, n, buf_span(&s->commands),
	    LINK_REPLY_SMALL, deadline_ms, &why) == -1)
		note_failure(s, &why);
	buf_clear(&s->commands);
}

static void
add_errand(struct spread *s, struct errand *e, const struct job *job,
    size_t from, size_t end)
{
	char sha[SCRIPT_SHA_LEN + 1];

	apply_get_sha(s->script, sha);
	apply_add_call(&s->commands, sha, job, from, end);
	e->partition = job->partition;
	e->is_tied = false;
	e->count = 1;
	e->ends[0] = s->commands.len;
}

static size_t
event_at(const struct part *part, size_t i)
{
	return part->job.order[i];
}

/* What the cursor is after as many events. */
static uint64_t
cursor_after(const struct part *part, size_t done)
{
	return done == part->job.n ? part->job.to :
	    part->job.progress->seqs[event_at(part, done - 1)];
}

static void
note_damage(struct spread *s, struct part *part, const struct fail *why)
{
	size_t at = event_at(part, part->done);

	part->state = PART_DAMAGED;
	if (s->damage.text[0] != '\0' && s->damaged < at)
		return;
	s->damaged = at;
	s->damage = *why;
}

/* The answer to a part's call. */
static void
read_call(struct spread *s, struct part *part, const struct errand *e)
{
	struct fail why;
	int rc;

	if (e->failed) {
		part->state = PART_FAILED;
		return;
	}
	part->is_moving = reply_is_error(e->replies[0], "TRYAGAIN");
	rc = apply_read_merged(e->replies[0], part->end - part->done,
	    &part->done, &why);
	if (rc == 0) {
		s->unknown = true;
	} else if (rc == 1) {
		if (part->done == part->job.n)
			part->state = PART_DONE;
		if (part->job.progress != NULL)
			s->progress->from[part->job.partition] =
			    cursor_after(part, part->done);
	} else if (part->is_moving) {
		if (clock_monotonic_ms() < s->deadline_ms)
			return;
		part->state = PART_FAILED;
		(void)fail_prefix(&why, "a slot is being moved");
		note_failure(s, &why);
	} else if (why.class == FAIL_INPUT) {
		note_damage(s, part, &why);
	} else {
		part->state = PART_FAILED;
		note_failure(s, &why);
	}
}

/* Sends a call for each part that has more.  Returns whether there was any. */
static bool
run_calls(struct spread *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->count; i++) {
		struct part *part = &s->parts[i];
		size_t left = part->job.n - part->done;

		if (part->state != PART_GOES)
			continue;
		part->end = part->done + (left < CALL_EVENTS ? left :
		    CALL_EVENTS);
		add_errand(s, &s->errands[n++], &part->job, part->done,
		    part->end);
	}
	if (n == 0)
		return false;
	run_errands(s, n);
	n = 0;
	for (size_t i = 0; i < s->count; i++)
		if (s->parts[i].state == PART_GOES)
			read_call(s, &s->parts[i], &s->errands[n++]);
	errand_clear(s->errands, n);
	return true;
}

/* Opt-outs of a part whose slot is on its way. */
static void
merge_ahead(struct spread *s, struct part *part)
{
	struct job alone = part->job;
	size_t n = 0, merged;
	struct fail why;

	alone.progress = NULL;
	for (size_t i = part->done; i < part->job.n; i++)
		if (event_kind_is_opt_out(
		    part->job.events[event_at(part, i)].kind))
			add_errand(s, &s->errands[n++], &alone, i, i + 1);
	part->is_ahead = true;
	if (n == 0)
		return;
	run_errands(s, n);
	for (size_t i = 0; i < n; i++) {
		merged = 0;
		if (!s->errands[i].failed && apply_read_merged(
		    s->errands[i].replies[0], 1, &merged, &why) == 0) {
			s->unknown = true;
			part->is_ahead = false;
		}
	}
	errand_clear(s->errands, n);
}

/* Returns whether a slot is on its way. */
static bool
merge_all_ahead(struct spread *s)
{
	bool moving = false;

	for (size_t i = 0; i < s->count; i++) {
		struct part *part = &s->parts[i];

		if (part->state != PART_GOES || !part->is_moving)
			continue;
		moving = true;
		if (!part->is_ahead)
			merge_ahead(s, part);
	}
	return moving;
}

/* All parts, to their end or failure.  Returns 0, or -1. */
static int
run_parts(struct spread *s)
{
	const struct timespec pause = { .tv_nsec = AGAIN_MS * 1000000L };
	char sha[SCRIPT_SHA_LEN + 1];

	s->deadline_ms = clock_monotonic_ms() +
	    (s->timeout_ms < AGAIN_MAX_MS ? s->timeout_ms : AGAIN_MAX_MS);
	s->loads = 0;
	apply_get_sha(s->script, sha);
	s->unknown = sha[0] == '\0';
	do {
		if (s->unknown && s->loads < LOADS_MAX)
			load_everywhere(s);
		else if (s->unknown) {
			(void)fail_set(s->fail, FAIL_TEMP, "the nodes of the "
			    "Redis Cluster do not keep scripts");
			s->failed = true;
			break;
		}
		if (!run_calls(s))
			break;
		if (merge_all_ahead(s))
			(void)nanosleep(&pause, NULL);
	} while (true);
	return s->failed ? -1 : 0;
}

/* Parts out of events, in the order that these have. */
static void
sort_slice(struct spread *s, const struct event *events, size_t from,
    size_t end)
{
	size_t starts[STORE_PARTITIONS_MAX + 1] = { 0 }, at = 0;

	for (size_t i = from; i < end; i++)
		starts[store_partition_of(&events[i].subject,
		    STORE_PARTITIONS_MAX) + 1]++;
	s->count = 0;
	for (unsigned p = 0; p < STORE_PARTITIONS_MAX; p++) {
		size_t n = starts[p + 1];
		struct part *part = &s->parts[s->count];

		starts[p + 1] = starts[p] + n;
		if (n == 0)
			continue;
		*part = (struct part){ .job = { .events = events,
		    .order = s->order + starts[p], .n = n, .partition = p,
		    .partitions = STORE_PARTITIONS_MAX,
		    .progress = s->progress != NULL ? &s->plain : NULL } };
		s->count++;
	}
	for (size_t i = from; i < end; i++) {
		unsigned p = store_partition_of(&events[i].subject,
		    STORE_PARTITIONS_MAX);

		at = starts[p]++;
		s->order[at] = i;
	}
	for (size_t i = 0; i < s->count && s->progress != NULL; i++) {
		struct part *part = &s->parts[i];

		part->job.to = s->plain.seqs[event_at(part,
		    part->job.n - 1)];
	}
}

/* One part for each partition, with its cursors alone. */
static void
take_cursors(struct spread *s)
{
	s->count = STORE_PARTITIONS_MAX;
	for (unsigned p = 0; p < STORE_PARTITIONS_MAX; p++)
		s->parts[p] = (struct part){ .job = { .partition = p,
		    .partitions = STORE_PARTITIONS_MAX,
		    .progress = s->progress, .to = s->progress->from[p] } };
}

/*
 * One write and WAIT behind it on each node that has something of it, as
 * apply_wait(): the cursor of one partition there.
 */
static int
wait_everywhere(struct spread *s, const bool *touched,
    const struct wait *wait)
{
	struct node *seen[STORE_PARTITIONS_MAX], *node;
	size_t n = 0, none = 0;
	struct fail why;

	for (unsigned p = 0; p < STORE_PARTITIONS_MAX; p++) {
		struct job job = { .partition = p,
		    .partitions = STORE_PARTITIONS_MAX,
		    .progress = &s->plain, .to = s->plain.from[p] };
		bool again = false;

		if (!touched[p] ||
		    (node = cluster_hold(s->cluster, p, &why)) == NULL)
			continue;
		for (size_t i = 0; i < n; i++)
			again |= seen[i] == node;
		if (again) {
			cluster_release(s->cluster, node);
			continue;
		}
		seen[n] = node;
		add_errand(s, &s->errands[n], &job, 0, 0);
		apply_add_wait(&s->commands, wait);
		s->errands[n].ends[s->errands[n].count++] = s->commands.len;
		s->errands[n].is_tied = true;
		n++;
	}
	run_errands(s, n);
	for (size_t i = 0; i < n; i++) {
		struct reply **replies = s->errands[i].replies;

		if (!s->errands[i].failed && (apply_read_merged(replies[0],
		    0, &none, &why) != 1 || apply_read_waited(replies[1],
		    wait, &why) == -1))
			note_failure(s, &why);
		cluster_release(s->cluster, seen[i]);
	}
	errand_clear(s->errands, n);
	return s->failed ? -1 : 0;
}

static int
run_slices(struct spread *s, const struct event *events, size_t n,
    bool *touched, size_t *applied)
{
	size_t end = 0;
	int rc = 0;

	for (size_t from = 0; from < n && rc == 0; from = end) {
		end = n - from < SLICE_EVENTS ? n : from + SLICE_EVENTS;
		sort_slice(s, events, from, end);
		rc = run_parts(s);
		for (size_t i = 0; i < s->count; i++)
			touched[s->parts[i].job.partition] = true;
		if (rc == 0 && s->damage.text[0] != '\0') {
			*s->fail = s->damage;
			*applied = s->damaged;
			return -1;
		}
		if (rc == 0)
			*applied = end;
	}
	if (rc == 0 && s->progress != NULL && s->progress->end_id != NULL) {
		take_cursors(s);
		rc = run_parts(s);
		memset(touched, true, STORE_PARTITIONS_MAX);
	}
	return rc;
}

int
spread_events(struct cluster *cluster, struct script *script,
    const struct event *events, size_t n, struct store_progress *progress,
    const struct wait *wait, int timeout_ms, size_t *applied,
    struct fail *fail)
{
	size_t most = n < SLICE_EVENTS ? n : SLICE_EVENTS;
	struct spread s = { .cluster = cluster, .script = script,
	    .progress = progress, .timeout_ms = timeout_ms,
	    .commands = BUF_INIT(ROUND_BYTES), .fail = fail };
	bool touched[STORE_PARTITIONS_MAX] = { false };
	int rc;

	*applied = 0;
	if (apply_check(events, n, progress, fail) == -1)
		return -1;
	if (most < STORE_PARTITIONS_MAX)
		most = STORE_PARTITIONS_MAX;
	if (progress != NULL)
		s.plain = *progress;
	s.plain.end_id = NULL;
	s.parts = xcalloc(STORE_PARTITIONS_MAX, sizeof(*s.parts));
	s.order = xcalloc(SLICE_EVENTS, sizeof(*s.order));
	s.errands = xcalloc(most, sizeof(*s.errands));
	rc = run_slices(&s, events, n, touched, applied);
	if (rc == 0 && progress != NULL && wait->replicas > 0)
		rc = wait_everywhere(&s, touched, wait);
	if (progress != NULL)
		progress->lost = s.lost;
	buf_fini(&s.commands);
	free(s.errands);
	free(s.order);
	free(s.parts);
	return rc;
}
