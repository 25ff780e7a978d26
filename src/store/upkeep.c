/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What is not about one person: how far Redis has a ledger, and its files.
 */
#include "store/private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CURSORS		"c:applied"
#define COMMAND_BYTES	1024

/* One command and its answer, which lives until link_request_clear(). */
static int
ask(struct store *store, struct buf *command, size_t max_bytes,
    struct request *request, struct reply **reply, struct fail *fail)
{
	*request = (struct request){
		.bytes = buf_span(command),
		.expected = 1,
		.replies = reply,
		.max_bytes = max_bytes,
		.deadline_ms = link_deadline(store->link),
	};
	return link_ask(store->link, request, fail);
}

int
store_cursor_get(struct store *store, const char *id, uint64_t *seq,
    struct fail *fail)
{
	struct buf command = BUF_INIT(COMMAND_BYTES);
	struct request request;
	struct reply *reply = NULL;
	int rc;

	*seq = 0;
	command_format(&command, "HGET", CURSORS, id, (char *)NULL);
	rc = ask(store, &command, LINK_REPLY_SMALL, &request, &reply, fail);
	if (rc == 0 && reply->type != REPLY_NIL &&
	    (reply->type != REPLY_STRING ||
	    span_to_u64(reply_span(reply), seq) == -1))
		rc = reply_fail(reply, fail);
	link_request_clear(&request);
	buf_fini(&command);
	return rc;
}

int
store_cursor_set(struct store *store, const char *id, uint64_t seq,
    struct fail *fail)
{
	struct buf command = BUF_INIT(COMMAND_BYTES);
	struct request request;
	struct reply *reply = NULL;
	char number[24];
	int rc;

	(void)snprintf(number, sizeof(number), "%" PRIu64, seq);
	command_format(&command, "HSET", CURSORS, id, number, (char *)NULL);
	rc = ask(store, &command, LINK_REPLY_SMALL, &request, &reply, fail);
	if (rc == 0 && reply->type != REPLY_INTEGER)
		rc = reply_fail(reply, fail);
	link_request_clear(&request);
	buf_fini(&command);
	return rc;
}

/* Does `INFO persistence' have this line? */
static int
has_line(struct store *store, const char *line, bool *has, struct fail *fail)
{
	struct buf command = BUF_INIT(COMMAND_BYTES);
	struct request request;
	struct reply *reply = NULL;
	int rc;

	command_format(&command, "INFO", "persistence", (char *)NULL);
	rc = ask(store, &command, LINK_REPLY_LARGE, &request, &reply, fail);
	if (rc == 0 && reply->type != REPLY_STRING)
		rc = reply_fail(reply, fail);
	if (rc == 0)
		*has = memmem(reply->text, reply->len, line,
		    strlen(line)) != NULL;
	link_request_clear(&request);
	buf_fini(&command);
	return rc;
}

/* Redis answers with a status: it has begun, or will when it can. */
static int
order(struct store *store, const char *verb, const char *option,
    struct fail *fail)
{
	struct buf command = BUF_INIT(COMMAND_BYTES);
	struct request request;
	struct reply *reply = NULL;
	int rc;

	command_format(&command, verb, option, (char *)NULL);
	rc = ask(store, &command, LINK_REPLY_SMALL, &request, &reply, fail);
	if (rc == 0 && reply->type != REPLY_STATUS)
		rc = reply_fail(reply, fail);
	link_request_clear(&request);
	buf_fini(&command);
	return rc;
}

int
store_compact(struct store *store, bool *asked, struct fail *fail)
{
	bool has_aof;

	*asked = false;
	if (has_line(store, "aof_enabled:1", &has_aof, fail) == -1 ||
	    (has_aof && order(store, "BGREWRITEAOF", NULL, fail) == -1) ||
	    order(store, "BGSAVE", "SCHEDULE", fail) == -1)
		return -1;
	*asked = true;
	return 0;
}
