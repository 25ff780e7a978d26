/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Events are merged by merge.lua, called by its digest.  Redis tells the
 * digest when it is given the script, and forgets scripts when it restarts:
 * then it says NOSCRIPT, and what it refused is sent once more.  A reader
 * never sends the script, so its ACL user needs no right to run any.
 *
 * Calls go out in windows, two of them under way, so that Redis works on one
 * while we write the next.
 */
#include "store/private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/date.h"
#include "base/xalloc.h"

/* Events of one call.  More would save little, and nobody else is served
 * while Redis works on them. */
#define CALL_EVENTS	32
#define WINDOW_CALLS	16
#define FACT_BYTES	((size_t)8 * 1024)	/* no fact has more */
#define WINDOW_BYTES	(FACT_BYTES * CALL_EVENTS * WINDOW_CALLS)
/* Loading the script that often without getting further is enough: somebody
 * flushes scripts all the time. */
#define LOADS_MAX	10

static const char merge_script[] =
#include "store/merge.inc"
;

struct window {
	struct buf	 commands;
	struct reply	*replies[WINDOW_CALLS];
	size_t		 ends[WINDOW_CALLS];	/* event behind each call */
	size_t		 calls;
	struct request	 request;
};

static char
letter_of(enum event_kind kind)
{
	switch (kind) {
	case EVENT_GRANT:
		return 'g';
	case EVENT_UNPROVEN:
		return 'u';
	case EVENT_CONFIRM:
		return 'c';
	case EVENT_WITHDRAW:
		return 'w';
	case EVENT_OBJECT:
		return 'o';
	case EVENT_ERASE:
		return 'e';
	case EVENT_RESTRICT:
		return 'r';
	case EVENT_UNRESTRICT:
		return 'l';
	case EVENT_OBJECT_PROFILING:
		return 'p';
	case EVENT_ALLOW_PROFILING:
		return 'a';
	}
	return '?';
}

static int
check_event(const struct event *event, struct fail *fail)
{
	bool on_list = event->list[0] != '\0';

	if (event->at_ms < 1 || event->at_ms > DATE_MAX_MS ||
	    (on_list ? !event_kind_has_list(event->kind) ||
	    !list_name_is_valid(span_str(event->list)) :
	    !event_kind_has_person(event->kind)))
		return fail_set(fail, FAIL_BUG,
		    "an event that can't be: kind %d, list \"%.32s\", at %"
		    PRId64, (int)event->kind, event->list, event->at_ms);
	return 0;
}

static bool
has_evidence(const struct event *event)
{
	if (event->kind != EVENT_GRANT)
		return false;
	/* None may be what is left of it. */
	if (event->restated)
		return true;
	for (unsigned i = 0; i < EVIDENCE_FIELDS; i++)
		if (evidence_get(&event->evidence, i)[0] != '\0')
			return true;
	return false;
}

static void
add_fact(struct buf *out, const struct event *event)
{
	char fact[24];
	int len = snprintf(fact, sizeof(fact), "%c%" PRId64,
	    letter_of(event->kind), event->at_ms);

	command_add(out, span_str(event->list));
	command_add(out, span_of(fact, (size_t)len));
	if (has_evidence(event)) {
		struct buf text = BUF_INIT(FACT_BYTES);

		evidence_field_format(&text, event->at_ms, &event->evidence);
		command_add(out, buf_span(&text));
		buf_fini(&text);
	} else if (event->kind == EVENT_ERASE) {
		len = snprintf(fact, sizeof(fact), "%" PRId64,
		    clock_now_ms());
		command_add(out, span_of(fact, (size_t)len));
	} else {
		command_add(out, span_of(NULL, 0));
	}
}

static void
add_number(struct buf *out, uint64_t number)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%" PRIu64, number);

	command_add(out, span_of(text, (size_t)len));
}

static size_t
place_of(const struct job *job, size_t i)
{
	return job->order == NULL ? i : job->order[i];
}

static const struct event *
event_of(const struct job *job, size_t i)
{
	return &job->events[place_of(job, i)];
}

/* What the cursor is before event i. */
static uint64_t
cursor_before(const struct job *job, size_t i)
{
	const struct store_progress *p = job->progress;

	return i == 0 ? p->from[job->partition] :
	    p->seqs[place_of(job, i - 1)];
}

static size_t
cursors_of(const struct job *job, size_t end)
{
	if (job->progress == NULL)
		return 0;
	return end == job->n && job->progress->end_id != NULL ? 2 : 1;
}

/* For the events from `from' to before `end'. */
static void
add_cursors(struct buf *out, const struct job *job, size_t from, size_t end)
{
	const struct store_progress *p = job->progress;
	size_t cursors = cursors_of(job, end);

	if (cursors == 0)
		return;
	command_add(out, span_str(p->id));
	add_number(out, cursor_before(job, from));
	add_number(out, end == job->n ? job->to : cursor_before(job, end));
	if (cursors == 1)
		return;
	command_add(out, span_str(p->end_id));
	command_add(out, span_of(NULL, 0));
	add_number(out, p->end_to[job->partition]);
}

void
apply_add_call(struct buf *out, const char *sha, const struct job *job,
    size_t from, size_t end)
{
	size_t cursors = cursors_of(job, end), keys = cursors + end - from;

	command_begin(out, 3 + 4 * keys);
	command_add(out, SPAN("EVALSHA"));
	command_add(out, span_str(sha));
	add_number(out, keys);
	for (size_t i = 0; i < cursors; i++)
		command_cursor_key(out, job->partition, job->partitions);
	for (size_t i = from; i < end; i++)
		command_key(out, &event_of(job, i)->subject, job->partitions);
	add_cursors(out, job, from, end);
	for (size_t i = from; i < end; i++)
		add_fact(out, event_of(job, i));
}

/* A job without events is one call all the same. */
static void
fill_window(struct window *w, const char *sha, const struct job *job,
    size_t from)
{
	size_t n = job->n;

	buf_clear(&w->commands);
	w->calls = 0;
	while ((from < n || n == 0) && w->calls < WINDOW_CALLS) {
		size_t k = n - from < CALL_EVENTS ? n - from : CALL_EVENTS;

		apply_add_call(&w->commands, sha, job, from, from + k);
		from += k;
		w->ends[w->calls++] = from;
		if (n == 0)
			break;
	}
}

static void
start_window(struct link *link, struct window *w)
{
	w->request = (struct request){
		.bytes = buf_span(&w->commands),
		.expected = w->calls,
		.replies = w->replies,
		.max_bytes = LINK_REPLY_SMALL,
		.deadline_ms = link_deadline(link),
	};
	link_start(link, &w->request);
}

/* It is this person's record, and no other, that can't be merged with. */
static bool
is_damage(const struct reply *why)
{
	return span_has_prefix(reply_span(why), SPAN("BADRECORD ")) ||
	    strstr((const char *)why->text, "WRONGTYPE") != NULL;
}

int
apply_read_merged(const struct reply *reply, size_t k, size_t *applied,
    struct fail *fail)
{
	const struct reply *done = reply;

	if (reply->type == REPLY_ARRAY && reply->len == 2 &&
	    reply->elements[1]->type == REPLY_STRING)
		done = reply->elements[0];
	if (done->type != REPLY_INTEGER || done->integer < 0 ||
	    (unsigned long long)done->integer > k) {
		(void)reply_fail(reply, fail);
		return reply_is_error(reply, "NOSCRIPT") ? 0 : -1;
	}
	if (done != reply) {
		*applied += (size_t)done->integer;
		(void)reply_fail_text(reply->elements[1], fail);
		if (is_damage(reply->elements[1]))
			fail->class = FAIL_INPUT;
		return -1;
	}
	if ((size_t)done->integer != k)
		return fail_set(fail, FAIL_TEMP, "Redis merged fewer events "
		    "than it was given and did not say why");
	*applied += k;
	return 1;
}

/* As apply_read_merged(), for all calls of a window. */
static int
finish_window(struct link *link, struct window *w, size_t *applied,
    struct fail *fail)
{
	int rc = link_finish(link, &w->request, fail) == 0 ? 1 : -1;

	for (size_t i = 0; i < w->calls && rc == 1; i++)
		rc = apply_read_merged(w->replies[i], w->ends[i] - *applied,
		    applied, fail);
	link_request_clear(&w->request);
	/* From the script it comes as text, otherwise as the error itself. */
	if (rc == -1 && strstr(fail->text, "READONLY") != NULL)
		link_distrust(link);
	return rc;
}

/* After a failure nothing that came later counts. */
static void
drop_window(struct link *link, struct window *w)
{
	struct fail ignored;

	if (link_finish(link, &w->request, &ignored) == -1)
		w->calls = 0;
	link_request_clear(&w->request);
}

/* Sends events from *applied on until all are confirmed or one is not.
 * Returns as finish_window(). */
static int
send_events(struct link *link, const char *sha, const struct job *job,
    struct window *windows, size_t *applied, struct fail *fail)
{
	struct window *ahead = NULL, *w = &windows[0];
	size_t from = *applied;
	bool more = from < job->n || job->n == 0;
	int rc = 1;

	while (rc == 1 && (more || ahead != NULL)) {
		struct window *behind = ahead;

		ahead = NULL;
		if (more) {
			fill_window(w, sha, job, from);
			start_window(link, w);
			from = w->ends[w->calls - 1];
			more = from < job->n;
			ahead = w;
			w = &windows[w == &windows[0]];
		}
		if (behind != NULL)
			rc = finish_window(link, behind, applied, fail);
	}
	if (ahead != NULL)
		drop_window(link, ahead);
	return rc;
}

void
apply_get_sha(struct script *script, char sha[SCRIPT_SHA_LEN + 1])
{
	(void)pthread_mutex_lock(&script->lock);
	memcpy(sha, script->sha, SCRIPT_SHA_LEN + 1);
	(void)pthread_mutex_unlock(&script->lock);
}

int
apply_load_script(struct link *link, struct script *script, struct fail *fail)
{
	struct buf command = BUF_INIT(LINK_REPLY_SMALL);
	struct reply *reply = NULL;
	struct request request = {
		.expected = 1,
		.replies = &reply,
		.max_bytes = LINK_REPLY_SMALL,
		.deadline_ms = link_deadline(link),
	};
	unsigned char digest[SCRIPT_SHA_LEN / 2];
	int rc;

	command_format(&command, "SCRIPT", "LOAD", merge_script, (char *)NULL);
	request.bytes = buf_span(&command);
	rc = link_ask(link, &request, fail);
	buf_fini(&command);
	if (rc == 0 && (reply->type != REPLY_STRING ||
	    hex_parse(reply_span(reply), digest, sizeof(digest)) == -1)) {
		rc = reply_fail(reply, fail);
	} else if (rc == 0) {
		(void)pthread_mutex_lock(&script->lock);
		memcpy(script->sha, reply->text, SCRIPT_SHA_LEN + 1);
		(void)pthread_mutex_unlock(&script->lock);
	}
	link_request_clear(&request);
	return rc;
}

static int
apply_windows(struct link *link, struct script *script,
    const struct job *job, struct window *windows, size_t *applied,
    struct fail *fail)
{
	char sha[SCRIPT_SHA_LEN + 1];
	size_t loads = 0, before;
	int rc;

	apply_get_sha(script, sha);
	for (;;) {
		if (sha[0] == '\0' || loads > 0) {
			if (apply_load_script(link, script, fail) == -1)
				return -1;
			apply_get_sha(script, sha);
		}
		before = *applied;
		rc = send_events(link, sha, job, windows, applied, fail);
		if (rc != 0)
			return rc == 1 ? 0 : -1;
		loads = *applied > before ? 1 : loads + 1;
		if (loads > LOADS_MAX)
			return -1;
	}
}

int
apply_check(const struct event *events, size_t n,
    const struct store_progress *p, struct fail *fail)
{
	for (size_t i = 0; i < n; i++)
		if (check_event(&events[i], fail) == -1)
			return -1;
	if (p == NULL)
		return 0;
	if (upkeep_check_id(p->id, fail) == -1)
		return -1;
	return p->end_id == NULL ? 0 : upkeep_check_id(p->end_id, fail);
}

bool
apply_is_lost(const struct fail *fail)
{
	return fail->class == FAIL_TEMP &&
	    strstr(fail->text, "LOSTCURSOR") != NULL;
}

int
apply_events(struct link *link, struct script *script,
    const struct event *events, size_t n, struct store_progress *progress,
    size_t *applied, struct fail *fail)
{
	const struct job job = { .events = events, .n = n, .partitions = 1,
	    .progress = progress, .to = progress != NULL ? progress->to : 0 };
	struct window *windows;
	int rc;

	*applied = 0;
	if (apply_check(events, n, progress, fail) == -1)
		return -1;
	windows = xcalloc(2, sizeof(*windows));
	for (size_t i = 0; i < 2; i++)
		buf_init(&windows[i].commands, WINDOW_BYTES);
	rc = apply_windows(link, script, &job, windows, applied, fail);
	for (size_t i = 0; i < 2; i++)
		buf_fini(&windows[i].commands);
	free(windows);
	if (progress == NULL)
		return rc;
	progress->lost = rc == -1 && apply_is_lost(fail);
	progress->from[0] = rc == 0 ? progress->to :
	    cursor_before(&job, *applied);
	return rc;
}

/* WAIT answers how many replicas have what this connection wrote last. */
void
apply_add_wait(struct buf *out, const struct wait *wait)
{
	char replicas[24], ms[24];

	(void)snprintf(replicas, sizeof(replicas), "%d", wait->replicas);
	(void)snprintf(ms, sizeof(ms), "%d", wait->ms);
	command_format(out, "WAIT", replicas, ms, (char *)NULL);
}

int
apply_read_waited(const struct reply *reply, const struct wait *wait,
    struct fail *fail)
{
	if (reply->type != REPLY_INTEGER)
		return reply_fail(reply, fail);
	if (reply->integer >= wait->replicas)
		return 0;
	return fail_set(fail, FAIL_TEMP, "%lld replicas of Redis have it, and "
	    "redis.wait_replicas wants %d", reply->integer, wait->replicas);
}

/*
 * The cursor once more, as it is, for setting a field always counts as a write:
 * so WAIT behind it waits for all that was written before, over whatever
 * connection.  The two are one request, for no new connection may part them.
 * The second cursor may be another host's, which goes on.
 */
int
apply_wait(struct link *link, struct script *script,
    struct store_progress *progress, const struct wait *wait,
    struct fail *fail)
{
	struct store_progress same = { .id = progress->id,
	    .from = &progress->to };
	const struct job job = { .partitions = 1, .progress = &same,
	    .to = progress->to };
	char sha[SCRIPT_SHA_LEN + 1];
	struct buf commands = BUF_INIT(1024);
	struct reply *replies[2] = { NULL };
	struct request request = {
		.expected = 2,
		.replies = replies,
		.max_bytes = LINK_REPLY_SMALL,
		.deadline_ms = link_deadline(link),
	};
	size_t none = 0;
	int rc;

	apply_get_sha(script, sha);
	apply_add_call(&commands, sha, &job, 0, 0);
	apply_add_wait(&commands, wait);
	request.bytes = buf_span(&commands);
	rc = link_ask(link, &request, fail);
	if (rc == 0 && apply_read_merged(replies[0], 0, &none, fail) != 1)
		rc = -1;
	if (rc == 0)
		rc = apply_read_waited(replies[1], wait, fail);
	progress->lost = rc == -1 && apply_is_lost(fail);
	link_request_clear(&request);
	buf_fini(&commands);
	return rc;
}
