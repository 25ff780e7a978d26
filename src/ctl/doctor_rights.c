/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * May the users of Redis do what they have to, and no more?  That is found out
 * by commands that change nothing even where they are allowed: about the key
 * "c:", which nobody has, or with arguments that are refused once the right was
 * looked at.  What is denied stands in ACL LOG then.
 */
#include <stdio.h>
#include <string.h>

#include "ctl/doctor.h"
#include "store/inspect.h"

#define ANSWER_MAX	((size_t)256 * 1024)

struct command {
	const char *words[8];
	const char *rule;	/* of the ACL */
};

/* What conf/redis-acl.conf allows who writes. */
static const struct command needed[] = {
	{ { "HMGET", "c:", "-", "*" }, "+hmget" },
	{ { "HGETALL", "c:" }, "+hgetall" },
	{ { "HGET", "c:", "-" }, "+hget" },
	{ { "HKEYS", "c:" }, "+hkeys" },
	{ { "HDEL", "c:", "-" }, "+hdel" },
	/* A field without a value. */
	{ { "HSET", "c:", "-", "-", "-" }, "+hset" },
	/* No script has this sum. */
	{ { "EVALSHA", "0000000000000000000000000000000000000000", "1",
	    "c:" }, "+evalsha" },
	/* No script. */
	{ { "SCRIPT", "LOAD", ")" }, "+script|load" },
	{ { "WAIT", "0", "1" }, "+wait" },
	/* No word that it knows. */
	{ { "BGSAVE", "-" }, "+bgsave" },
};
static const struct command write_command =
    { { "HSET", "c:", "-", "-", "-" }, "+hset" };

/* Returns 1 when it may, 0 when not, -1 when nobody knows. */
static int
may(struct inspector *redis, const struct command *command, struct fail *fail)
{
	struct buf out = BUF_INIT(ANSWER_MAX);
	int rc = inspect_ask(redis, command->words, &out, fail);

	buf_fini(&out);
	if (rc == 0 || fail->class == FAIL_INPUT)
		return 1;
	return fail->class == FAIL_SETUP ? 0 : -1;
}

static void
judge_filter_rights(struct doctor *d, struct inspector *redis)
{
	const char *user = d->settings->redis.username;
	struct findings *f = &d->findings;
	struct fail fail;

	switch (may(redis, &write_command, &fail)) {
	case 0:
		findings_add(f, "redis-acl-filter", FINDING_OK, "the filter's "
		    "user may only look up");
		return;
	case 1:
		break;
	default:
		findings_add(f, "redis-acl-filter", FINDING_SKIPPED, "%s",
		    fail.text);
		return;
	}
	findings_add(f, "redis-acl-filter", FINDING_WARN, "the filter, which "
	    "talks to strangers, uses Redis as \"%s\", who may write: whoever "
	    "takes it over can invent consents", user != NULL ? user :
	    "default");
	findings_fix(f, "redis.conf: include the users of redis-acl.conf (ACL "
	    "LOAD, or a restart)");
	findings_fix(f, "consent-milter.conf: redis = { username = "
	    "\"consent-milter\"; password_file = \"...\"; writer_username = "
	    "\"consentctl\"; writer_password_file = \"...\"; };");
}

/* Does Redis take a write at all?  HSET says what stands against it. */
static void
judge_writes(struct doctor *d, const struct fail *answer)
{
	static const char *const words[] = { "MISCONF", "OOM", "READONLY",
	    "NOREPLICAS", "CLUSTERDOWN", "MASTERDOWN" };
	struct findings *f = &d->findings;

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strstr(answer->text, words[i]) != NULL) {
			findings_add(f, "redis-writes", FINDING_FAIL, "Redis "
			    "takes no events now: %s", answer->text);
			findings_fix(f, "what stands there; the events wait in "
			    "the ledger, and are applied then");
			return;
		}
	findings_add(f, "redis-writes", FINDING_OK, "Redis takes events");
}

static void
judge_login(struct doctor *d, enum doctor_login login, const char *check,
    const char *who, const char *where)
{
	struct findings *f = &d->findings;
	struct inspector *redis = NULL;
	struct buf missing = BUF_INIT(1024);
	struct fail fail;

	if (doctor_redis_open(d, login, &redis, &fail) == -1) {
		bool denied = fail.error != 0 && fail.class == FAIL_SETUP;

		findings_add(f, check, denied ? FINDING_SKIPPED :
		    FINDING_FAIL, "%s can't use Redis: %s", who, fail.text);
		if (denied)
			findings_fix(f, "run it as root");
		else
			findings_fix(f, "%s, and in Redis the same: redis-cli "
			    "ACL SETUSER NAME on '>PASSWORD'", where);
		buf_fini(&missing);
		return;
	}
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++) {
		int rc = may(redis, &needed[i], &fail);

		if (rc == 0)
			buf_addf(&missing, "%s%s", missing.len > 0 ? " " : "",
			    needed[i].rule);
		else if (rc == 1 && login == DOCTOR_WRITER &&
		    strcmp(needed[i].rule, "+hset") == 0)
			judge_writes(d, &fail);
	}
	if (missing.len == 0)
		findings_add(f, check, FINDING_OK, "%s may do what it must",
		    who);
	else {
		findings_add(f, check, FINDING_FAIL, "%s lacks rights in "
		    "Redis: %s", who, buf_get(&missing));
		findings_fix(f, "redis-cli ACL SETUSER NAME '~c:*' %s, and the "
		    "same in redis.conf or its aclfile (conf/redis-acl.conf "
		    "has all of it)", buf_get(&missing));
	}
	buf_fini(&missing);
	inspect_close(&redis);
}

/* -- strangers -- */

/* The value in an answer to CONFIG GET of one name: its second line. */
static struct span
config_value(const struct buf *answer)
{
	struct span s = buf_span(answer);

	(void)span_take(&s, '\n');
	return span_trim(s);
}

static bool
get_config(struct inspector *redis, const char *name, struct buf *out)
{
	const char *words[] = { "CONFIG", "GET", name, NULL };
	struct fail unused;

	buf_clear(out);
	return inspect_ask(redis, words, out, &unused) == 0;
}

/* Does Redis listen on other addresses than the loopback? */
static bool
is_bound_beyond(struct span bind)
{
	while (bind.len > 0) {
		ptrdiff_t blank = span_index(bind, ' ');
		struct span one = blank == -1 ? bind :
		    span_head(bind, (size_t)blank);

		bind = span_from(bind, one.len + 1);
		if (one.len > 0 && one.p[0] == '-')
			one = span_from(one, 1);
		if (one.len > 0 && !span_has_prefix(one, SPAN("127.")) &&
		    !span_is(one, SPAN("::1")) &&
		    !span_is(one, SPAN("localhost")))
			return true;
	}
	return false;
}

static void
judge_stranger(struct doctor *d, struct inspector *redis)
{
	struct buf bind = BUF_INIT(4096), mode = BUF_INIT(4096);
	struct buf port = BUF_INIT(4096);
	struct findings *f = &d->findings;

	if (!get_config(redis, "bind", &bind) ||
	    !get_config(redis, "protected-mode", &mode) ||
	    !get_config(redis, "port", &port))
		findings_add(f, "redis-open", FINDING_WARN, "Redis' default "
		    "user has no password, and may look up whatever is known");
	else if (span_is(config_value(&port), SPAN("0")) ||
	    span_is(config_value(&mode), SPAN("yes")) ||
	    (config_value(&bind).len > 0 &&
	    !is_bound_beyond(config_value(&bind))))
		findings_add(f, "redis-open", FINDING_OK, "without a password "
		    "Redis can be used from this machine alone");
	else
		findings_add(f, "redis-open", FINDING_FAIL, "Redis can be used "
		    "from other machines without a password: whoever reaches "
		    "it can write consents, and read who has one");
	if (f->all[f->count - 1].status != FINDING_OK) {
		findings_fix(f, "redis.conf: user default off (or requirepass "
		    "...), and bind 127.0.0.1 -::1");
		findings_fix(f, "redis-cli CONFIG SET protected-mode yes "
		    "closes it at once to other machines");
	}
	buf_fini(&bind);
	buf_fini(&mode);
	buf_fini(&port);
}

static void
judge_open(struct doctor *d)
{
	static const struct command look = { { "HMGET", "c:", "-", "*" }, "" };
	struct findings *f = &d->findings;
	struct inspector *redis = NULL;
	struct store_options options;
	struct fail fail;

	doctor_redis_options(d, &options);
	options.username = options.password = NULL;
	if (inspect_open(&options, &redis, &fail) == -1)
		return;
	if (may(redis, &look, &fail) == 1)
		judge_stranger(d, redis);
	else
		findings_add(f, "redis-open", FINDING_OK, "without a password "
		    "Redis tells nothing");
	inspect_close(&redis);
}

void
doctor_rights(struct doctor *d, struct inspector *redis)
{
	judge_filter_rights(d, redis);
	judge_login(d, DOCTOR_WRITER, "redis-acl-writer", "consentctl",
	    "consent-milter.conf: redis = { writer_username = \"...\"; "
	    "writer_password_file = \"...\"; };");
	if (d->settings->web.redis_username != NULL)
		judge_login(d, DOCTOR_WEB, "redis-acl-web", "consent-web",
		    "consent-milter.conf: web = { redis_username = \"...\"; "
		    "redis_password_file = \"...\"; };");
	judge_open(d);
}
