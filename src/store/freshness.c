/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Offsets count the bytes of one history of writes (master_replid), so that two
 * of the same history can be compared, and no others.  A primary tells up to
 * where it has written, a replica up to where it has applied.  Nothing needs to
 * be written for this, and a chain of replicas makes no difference.
 */
#include "store/private.h"

#include <string.h>

static bool
is_history(struct span text)
{
	bool good = text.len == HISTORY_ID_LEN;

	for (size_t i = 0; good && i < text.len; i++)
		good = ascii_isalnum(text.p[i]);
	return good;
}

int
freshness_read(const struct reply *reply, struct position *out,
    struct fail *fail)
{
	struct span role, history, offset;

	if (reply->type != REPLY_STRING)
		return reply_fail(reply, fail);
	role = reply_info(reply, "role");
	history = reply_info(reply, "master_replid");
	out->is_primary = span_is(role, SPAN("master"));
	if (!out->is_primary && !span_is(role, SPAN("slave")))
		return fail_set(fail, FAIL_TEMP, "Redis does not tell its role");
	out->is_linked = out->is_primary || span_is(reply_info(reply,
	    "master_link_status"), SPAN("up"));
	offset = reply_info(reply, out->is_primary ? "master_repl_offset" :
	    "slave_repl_offset");
	if (!is_history(history) ||
	    span_to_u64(offset, &out->offset) == -1)
		return fail_set(fail, FAIL_TEMP,
		    "Redis does not tell how far its replication is");
	memcpy(out->history, history.p, history.len);
	out->history[history.len] = '\0';
	return 0;
}

/* Samples that are kept are so far apart. */
static int64_t
apart_ms(const struct freshness *f)
{
	return f->within_ms * 2 / (FRESHNESS_SAMPLES - 1);
}

int
freshness_add(struct freshness *f, const struct position *primary,
    int64_t at_ms, struct fail *fail)
{
	size_t last = f->taken - 1, i = f->taken;

	if (!primary->is_primary)
		return fail_set(fail, FAIL_TEMP, "redis.url is no primary");
	if (f->taken > 1 && f->samples[last % FRESHNESS_SAMPLES].at_ms -
	    f->samples[(last - 1) % FRESHNESS_SAMPLES].at_ms < apart_ms(f))
		i = last;
	else
		f->taken++;
	f->samples[i % FRESHNESS_SAMPLES].position = *primary;
	f->samples[i % FRESHNESS_SAMPLES].at_ms = at_ms;
	return 0;
}

/* The last sample of which the replica has everything; NULL when there is
 * none. */
static const int64_t *
last_reached(const struct freshness *f, const struct position *replica,
    bool *same_history)
{
	const int64_t *last = NULL;

	*same_history = false;
	for (size_t i = 0; i < FRESHNESS_SAMPLES && i < f->taken; i++) {
		const struct position *p = &f->samples[i].position;

		if (strcmp(p->history, replica->history) != 0)
			continue;
		*same_history = true;
		if (p->offset <= replica->offset &&
		    (last == NULL || *last < f->samples[i].at_ms))
			last = &f->samples[i].at_ms;
	}
	return last;
}

int
freshness_prove(struct freshness *f, const struct position *replica,
    uint64_t connection, struct fail *fail)
{
	bool same_history;
	const int64_t *at_ms;

	/* What was proven only grows old by this. */
	if (!replica->is_linked)
		return fail_set(fail, FAIL_TEMP,
		    "the replica has lost its link to the primary");
	at_ms = last_reached(f, replica, &same_history);
	f->is_proven = at_ms != NULL;
	if (at_ms != NULL) {
		f->proven_ms = *at_ms;
		f->connection = connection;
		return 0;
	}
	return fail_set(fail, FAIL_TEMP, same_history ?
	    "the replica lags behind the primary" : "the replica does not "
	    "follow the primary of redis.url, or not yet");
}

bool
freshness_holds(const struct freshness *f, int64_t now_ms)
{
	return f->is_proven && now_ms - f->proven_ms <= f->within_ms;
}
