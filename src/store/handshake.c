/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * All questions go out together and cost one round trip: who we are, which
 * database, which Redis this is, whether it may evict keys, and, with a
 * look-up of a key that nobody has, whether it answers look-ups (it does not
 * while it loads its data, or when our ACL user may not).
 *
 * Security: a Redis that evicts keys loses withdrawals and objections without
 * a word.  It must not be used, not even when it would be the only one.
 */
#include "store/private.h"

#include <stdio.h>
#include <string.h>

#define VERSION_MIN	6
#define STEPS_MAX	6

enum step {
	STEP_AUTH,
	STEP_SELECT,
	STEP_VERSION,
	STEP_POLICY,
	STEP_ROLE,
	STEP_LOOKUP
};

static int
fail_info(const struct reply *reply, struct fail *fail)
{
	if (reply_is_error(reply, "NOPERM"))
		return fail_set(fail, FAIL_SETUP, "the Redis user may not use "
		    "INFO, which tells whether Redis evicts keys: add +info to "
		    "its ACL rule");
	return reply_fail(reply, fail);
}

/* Who it is, as it says.  Valkey tells the version of Redis that it can stand in
 * for, and its own beside it. */
static void
name_server(const struct reply *reply, char *version, size_t size)
{
	struct span own = reply_info(reply, "valkey_version");
	struct span text = own.len > 0 ? own :
	    reply_info(reply, "redis_version");
	size_t n = (size_t)snprintf(version, size, "%s ", own.len > 0 ?
	    "Valkey" : "Redis");

	text = span_head(text, size - n - 1);
	for (size_t i = 0; i < text.len; i++)
		version[n++] = (char)(ascii_isprint(text.p[i]) ? text.p[i] :
		    '?');
	version[n] = '\0';
}

int
handshake_check_version(const struct reply *reply, char *version, size_t size,
    struct fail *fail)
{
	struct span text;
	uint64_t major;
	size_t digits = 0;

	if (reply->type != REPLY_STRING)
		return fail_info(reply, fail);
	text = reply_info(reply, "redis_version");
	while (digits < text.len && ascii_isdigit(text.p[digits]))
		digits++;
	if (span_to_u64(span_head(text, digits), &major) == -1)
		return fail_set(fail, FAIL_SETUP,
		    "Redis does not tell its redis_version");
	name_server(reply, version, size);
	if (major < VERSION_MIN)
		return fail_set(fail, FAIL_SETUP,
		    "%s is too old: 6.0 or later is needed", version);
	return 0;
}

int
handshake_check_mode(const struct reply *reply, bool is_cluster,
    struct fail *fail)
{
	struct span mode;

	if (reply->type != REPLY_STRING)
		return fail_info(reply, fail);
	mode = reply_info(reply, "redis_mode");
	/* Valkey's name for it.  Where neither is told, CLUSTER INFO will. */
	if (mode.len == 0)
		mode = reply_info(reply, "server_mode");
	if (is_cluster && mode.len > 0 && !span_is(mode, SPAN("cluster")))
		return fail_set(fail, FAIL_SETUP, "this Redis is no node of a "
		    "cluster (cluster-enabled): name it in redis.url, and "
		    "leave redis.cluster out");
	if (!is_cluster && span_is(mode, SPAN("cluster")))
		return fail_set(fail, FAIL_SETUP, "this Redis is a node of a "
		    "cluster: name its nodes in redis.cluster");
	return 0;
}

int
handshake_check_policy(const struct reply *reply, struct fail *fail)
{
	struct span text;

	if (reply->type != REPLY_STRING)
		return fail_info(reply, fail);
	text = reply_info(reply, "maxmemory_policy");
	if (text.len == 0)
		return fail_set(fail, FAIL_SETUP,
		    "Redis does not tell its maxmemory_policy");
	if (!span_is(text, SPAN("noeviction")))
		return fail_set(fail, FAIL_SETUP, "Redis may evict keys, and "
		    "withdrawals with them: set maxmemory-policy to "
		    "noeviction");
	return 0;
}

int
handshake_check_role(const struct reply *reply, struct fail *fail)
{
	if (reply->type != REPLY_STRING)
		return fail_info(reply, fail);
	if (!span_is(reply_info(reply, "role"), SPAN("master")))
		return fail_set(fail, FAIL_TEMP,
		    "this Redis is not the primary any more");
	return 0;
}

static size_t
write_steps(struct buf *out, const struct handshake *h, enum step *steps)
{
	char database[16];
	size_t n = 0;

	if (h->password != NULL) {
		steps[n++] = STEP_AUTH;
		command_log_in(out, h->username, h->password);
	}
	if (h->database != 0) {
		steps[n++] = STEP_SELECT;
		(void)snprintf(database, sizeof(database), "%u", h->database);
		command_format(out, "SELECT", database, (char *)NULL);
	}
	steps[n++] = STEP_VERSION;
	command_format(out, "INFO", "server", (char *)NULL);
	steps[n++] = STEP_POLICY;
	command_format(out, "INFO", "memory", (char *)NULL);
	if (h->is_primary) {
		steps[n++] = STEP_ROLE;
		command_format(out, "INFO", "replication", (char *)NULL);
	}
	steps[n++] = STEP_LOOKUP;
	command_format(out, "HMGET", "c:", "-", "*", (char *)NULL);
	return n;
}

static int
check_step(enum step step, const struct reply *reply, struct handshake *h,
    struct fail *fail)
{
	struct record ignored;

	switch (step) {
	case STEP_AUTH:
	case STEP_SELECT:
		return reply->type == REPLY_STATUS ? 0 :
		    reply_fail(reply, fail);
	case STEP_VERSION:
		if (handshake_check_version(reply, h->version,
		    sizeof(h->version), fail) == -1)
			return -1;
		return handshake_check_mode(reply, h->is_cluster, fail);
	case STEP_POLICY:
		return handshake_check_policy(reply, fail);
	case STEP_ROLE:
		return handshake_check_role(reply, fail);
	case STEP_LOOKUP:
		break;
	}
	/* Nearly always another node has this key. */
	if (h->is_cluster && (reply_is_error(reply, "MOVED") ||
	    reply_is_error(reply, "ASK") ||
	    reply_is_error(reply, "CLUSTERDOWN")))
		return 0;
	return reply_to_record(reply, &ignored, fail) == -1 ? -1 : 0;
}

int
handshake_run(const struct transport *transport, struct reply_reader *reader,
    struct handshake *h, int stop_fd, int64_t deadline_ms, struct fail *fail)
{
	struct buf out = BUF_INIT(LINK_REPLY_SMALL);
	enum step steps[STEPS_MAX];
	size_t n = write_steps(&out, h, steps);
	int rc = out.overflow ? fail_set(fail, FAIL_SETUP,
	    "the Redis password is too long") : 0;

	if (rc == 0)
		rc = transport_send_all(transport, buf_span(&out), stop_fd,
		    deadline_ms, fail);
	if (out.data != NULL)
		explicit_bzero(out.data, out.size);
	buf_fini(&out);
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct reply *reply = NULL;

		rc = transport_read_reply(transport, reader, stop_fd,
		    deadline_ms, &reply, fail);
		if (rc == 0)
			rc = check_step(steps[i], reply, h, fail);
		reply_free(&reply);
	}
	return rc;
}
