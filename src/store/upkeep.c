/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What is asked of Redis beside the records of persons: how far it has each
 * ledger, and that its files forget what is erased.
 */
#include "store/private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CURSOR_ID_MAX	64
#define REWRITES	2

static int
ask(struct link *link, const struct buf *commands, struct reply **replies,
    size_t n, struct fail *fail)
{
	struct request request = {
		.bytes = buf_span(commands),
		.expected = n,
		.replies = replies,
		.max_bytes = LINK_REPLY_SMALL,
		.deadline_ms = link_deadline(link),
	};
	int rc = link_ask(link, &request, fail);

	/* Of several replies some may be there. */
	if (rc == -1)
		link_request_clear(&request);
	return rc;
}

int
upkeep_check_id(const char *id, struct fail *fail)
{
	size_t len = strlen(id);
	bool good = len >= 1 && len <= CURSOR_ID_MAX;

	for (size_t i = 0; good && i < len; i++)
		good = ascii_isalnum((unsigned char)id[i]) ||
		    strchr("._-", id[i]) != NULL;
	return good ? 0 : fail_set(fail, FAIL_BUG,
	    "\"%.80s\" is no id of a ledger", id);
}

void
upkeep_add_cursor(struct buf *out, const char *id, unsigned partition,
    unsigned partitions)
{
	command_begin(out, 3);
	command_add(out, SPAN("HMGET"));
	command_cursor_key(out, partition, partitions);
	command_add(out, span_str(id));
}

int
upkeep_read_cursor(const struct reply *reply, uint64_t *seq,
    struct fail *fail)
{
	const struct reply *value;

	*seq = 0;
	if (reply->type != REPLY_ARRAY || reply->len != 1)
		return reply_fail(reply, fail);
	value = reply->elements[0];
	if (value->type == REPLY_NIL)
		return 0;
	if (value->type != REPLY_STRING ||
	    span_to_u64(reply_span(value), seq) == -1)
		return fail_set(fail, FAIL_TEMP, "Redis holds a number in "
		    "c:applied that can't be read");
	return 0;
}

void
upkeep_set_cursor(struct buf *out, const char *id, unsigned partition,
    unsigned partitions, uint64_t seq)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, seq);
	command_begin(out, 4);
	command_add(out, SPAN("HSET"));
	command_cursor_key(out, partition, partitions);
	command_add(out, span_str(id));
	command_add(out, span_str(text));
}

int
upkeep_read_set(const struct reply *reply, struct fail *fail)
{
	return reply->type == REPLY_INTEGER ? 0 : reply_fail(reply, fail);
}

/* A command that makes Redis write a file anew. */
struct rewrite {
	const char *command;
	const char *rule;	/* of the ACL */
	const char *file;
};

static const struct rewrite rewrite_log =
    { "BGREWRITEAOF", "+bgrewriteaof", "append-only file" };
static const struct rewrite rewrite_dump =
    { "BGSAVE", "+bgsave", "dump" };

/* Redis 6 does not tell the numbers; then there may be a dump. */
static bool
may_have_dump(const struct reply *info)
{
	return !span_is(reply_info(info, "rdb_saves"), SPAN("0")) ||
	    !span_is(reply_info(info, "rdb_last_load_keys_loaded"), SPAN("0"));
}

/* Which files Redis has to write anew. */
static int
choose_rewrites(struct link *link, const struct rewrite **chosen, size_t *n,
    struct fail *fail)
{
	struct buf command = BUF_INIT(256);
	struct reply *info = NULL;
	int rc;

	*n = 0;
	command_format(&command, "INFO", "persistence", (char *)NULL);
	rc = ask(link, &command, &info, 1, fail);
	if (rc == 0 && info->type != REPLY_STRING)
		rc = reply_fail(info, fail);
	else if (rc == 0 && reply_info(info, "aof_enabled").len == 0)
		rc = fail_set(fail, FAIL_TEMP,
		    "Redis does not tell whether aof_enabled");
	if (rc == 0) {
		if (!span_is(reply_info(info, "aof_enabled"), SPAN("0")))
			chosen[(*n)++] = &rewrite_log;
		if (may_have_dump(info))
			chosen[(*n)++] = &rewrite_dump;
	}
	reply_free(&info);
	buf_fini(&command);
	return rc;
}

/* Did Redis take it?  Returns 0, or -1 with what to do. */
static int
check_taken(const struct rewrite *rewrite, const struct reply *reply,
    struct fail *fail)
{
	if (reply->type == REPLY_STATUS)
		return 0;
	if (reply_is_error(reply, "NOPERM"))
		return fail_set(fail, FAIL_SETUP, "the Redis user may not use "
		    "%s, so the %s keeps what was erased until Redis rewrites "
		    "it: add %s to its ACL rule", rewrite->command,
		    rewrite->file, rewrite->rule);
	if (reply->type == REPLY_ERROR &&
	    strstr((const char *)reply->text, "already in progress") != NULL)
		return fail_set(fail, FAIL_TEMP, "Redis is writing its %s "
		    "just now and may have begun before the erasure: ask for "
		    "%s once more when it has finished", rewrite->file,
		    rewrite->command);
	(void)reply_fail(reply, fail);
	return fail_prefix(fail, "%s", rewrite->command);
}

int
upkeep_compact(struct link *link, bool *asked, struct fail *fail)
{
	const struct rewrite *chosen[REWRITES];
	struct reply *replies[REWRITES] = { NULL };
	struct buf commands = BUF_INIT(256);
	struct fail later;
	size_t n;
	int rc;

	*asked = false;
	if (choose_rewrites(link, chosen, &n, fail) == -1)
		return -1;
	/* SCHEDULE: not an error while the append-only file is rewritten. */
	for (size_t i = 0; i < n; i++)
		command_format(&commands, chosen[i]->command,
		    chosen[i] == &rewrite_dump ? "SCHEDULE" : NULL,
		    (char *)NULL);
	rc = n > 0 ? ask(link, &commands, replies, n, fail) : 0;
	buf_fini(&commands);
	if (rc == -1)
		return -1;
	*asked = true;
	fail->text[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		if (check_taken(chosen[i], replies[i],
		    *asked ? fail : &later) == -1)
			*asked = false;
		reply_free(&replies[i]);
	}
	return 0;
}
