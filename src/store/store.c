/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The room's door: what is asked of Redis, and what its answers mean.
 */
#include "store/private.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

#define CHUNK		256	/* look-ups sent together */
#define LOOKUP_BYTES	((size_t)160)	/* no HMGET of ours is longer */

struct store {
	struct link	*link;
	struct script	 script;
};

int
store_url_check(const char *url, struct fail *fail)
{
	struct url ignored;

	return url_parse(url, &ignored, fail);
}

int
store_open(const struct store_options *options, struct store **out,
    struct fail *fail)
{
	struct store *store = xcalloc(1, sizeof(*store));
	struct fail first;

	if (options->timeout_ms < 1 || options->timeout_ms > 60000) {
		free(store);
		return fail_set(fail, FAIL_SETUP,
		    "the time-out for Redis must be 1 to 60000 ms");
	}
	if (link_open(options, &store->link, fail != NULL ? fail : &first) ==
	    -1) {
		free(store);
		return -1;
	}
	(void)pthread_mutex_init(&store->script.lock, NULL);
	*out = store;
	return 0;
}

void
store_close(struct store **store)
{
	if (*store == NULL)
		return;
	link_close(&(*store)->link);
	(void)pthread_mutex_destroy(&(*store)->script.lock);
	free(*store);
	*store = NULL;
}

bool
store_is_reachable(struct store *store)
{
	return link_is_up(store->link);
}

const char *
store_library_version(void)
{
	return reply_library_version();
}

/* "*" and "LIST.e" are fields as well, and no lists. */
static int
check_list(const char *list, struct fail *fail)
{
	if (list_name_is_valid(span_str(list)))
		return 0;
	return fail_set(fail, FAIL_BUG, "\"%.40s\" is no name of a list",
	    list);
}

static int
fail_person(struct fail *fail, const struct subject *subject)
{
	struct buf text = BUF_INIT((size_t)2 * SUBJECT_BYTES);

	subject_format(&text, subject);
	(void)fail_prefix(fail, "person %s", buf_get(&text));
	buf_fini(&text);
	return -1;
}

static void
add_lookup(struct buf *out, const struct subject *subject, struct span list)
{
	command_begin(out, 4);
	command_add(out, SPAN("HMGET"));
	command_key(out, subject);
	command_add(out, list);
	command_add(out, SPAN("*"));
}

/* One round trip for up to CHUNK persons. */
static int
lookup_chunk(struct link *link, const struct subject *subjects, size_t n,
    const char *list, int64_t deadline_ms, struct record *out, int *results,
    struct fail *fail)
{
	struct reply *replies[CHUNK];
	struct buf commands = BUF_INIT(CHUNK * LOOKUP_BYTES);
	struct request request = {
		.expected = n,
		.replies = replies,
		.max_bytes = LINK_REPLY_SMALL,
		.deadline_ms = deadline_ms,
	};
	struct fail one;
	int rc;

	(void)buf_reserve(&commands, n * LOOKUP_BYTES);
	for (size_t i = 0; i < n; i++)
		add_lookup(&commands, &subjects[i], span_str(list));
	request.bytes = buf_span(&commands);
	rc = link_ask(link, &request, fail);
	for (size_t i = 0; i < n; i++) {
		results[i] = -1;
		if (request.failed)
			continue;
		results[i] = reply_to_record(replies[i], &out[i], &one);
		if (results[i] != -1)
			continue;
		(void)fail_person(&one, &subjects[i]);
		if (rc == 0)
			*fail = one;
		rc = -1;
	}
	link_request_clear(&request);
	buf_fini(&commands);
	return rc;
}

int
store_lookup_many(struct store *store, const struct subject *subjects,
    size_t n, const char *list, struct record *out, int *results,
    struct fail *fail)
{
	int64_t deadline_ms = link_deadline(store->link);
	struct fail later;
	int rc;

	for (size_t i = 0; i < n; i++)
		results[i] = -1;
	if (n > 0)
		memset(out, 0, n * sizeof(*out));
	rc = check_list(list, fail);
	if (rc == -1)
		return -1;
	for (size_t i = 0; i < n; i += CHUNK)
		if (lookup_chunk(store->link, subjects + i,
		    n - i < CHUNK ? n - i : CHUNK, list, deadline_ms, out + i,
		    results + i, rc == 0 ? fail : &later) == -1)
			rc = -1;
	return rc;
}

int
store_lookup(struct store *store, const struct subject *subject,
    const char *list, struct record *out, struct fail *fail)
{
	int result;

	return store_lookup_many(store, subject, 1, list, out, &result,
	    fail) == -1 ? -1 : result;
}

int
store_visit(struct store *store, const struct subject *subject,
    void (*visit)(const char *list, const struct record *record,
    const struct evidence *evidence, void *context), void *context,
    struct fail *fail)
{
	struct buf command = BUF_INIT(LOOKUP_BYTES);
	struct reply *reply = NULL;
	struct request request = {
		.expected = 1,
		.replies = &reply,
		.max_bytes = LINK_REPLY_LARGE,
		.deadline_ms = link_deadline(store->link),
	};
	int rc;

	command_begin(&command, 2);
	command_add(&command, SPAN("HGETALL"));
	command_key(&command, subject);
	request.bytes = buf_span(&command);
	rc = link_ask(store->link, &request, fail);
	if (rc == 0) {
		rc = reply_visit(reply, visit, context, fail);
		if (rc == -1)
			(void)fail_person(fail, subject);
	}
	link_request_clear(&request);
	buf_fini(&command);
	return rc;
}

int
store_apply(struct store *store, const struct event *events, size_t n,
    size_t *applied, struct fail *fail)
{
	size_t done;
	int rc = apply_events(store->link, &store->script, events, n, &done,
	    fail);

	if (rc == -1 && fail->class == FAIL_INPUT)
		(void)fail_person(fail, &events[done].subject);
	if (applied != NULL)
		*applied = done;
	return rc;
}

int
store_cursor_get(struct store *store, const char *id, uint64_t *seq,
    struct fail *fail)
{
	return upkeep_cursor_get(store->link, id, seq, fail);
}

int
store_cursor_set(struct store *store, const char *id, uint64_t seq,
    struct fail *fail)
{
	return upkeep_cursor_set(store->link, id, seq, fail);
}

int
store_cursor_move(struct store *store, const char *id, uint64_t from,
    uint64_t to, struct fail *fail)
{
	return upkeep_cursor_move(store->link, id, from, to, fail);
}

int
store_compact(struct store *store, bool *asked, struct fail *fail)
{
	return upkeep_compact(store->link, asked, fail);
}
