/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Redis: can it be used, and does it keep what it is given?  All but the
 * Sentinels and CONFIG comes from one INFO.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "ctl/doctor.h"
#include "ledger/redis.h"
#include "store/inspect.h"

#define ANSWER_MAX	((size_t)256 * 1024)
#define CLOCK_WARN_MS	2000
#define CLOCK_FAIL_MS	60000
#define DAY_MS		INT64_C(86400000)
#define LAG_SEC		10
#define MAX_REPLICAS	16
#define NO_SAVE_MS	INT64_C(7200000)	/* longer than Redis' default */

/* -- logging in -- */

void
doctor_redis_options(const struct doctor *d, struct store_options *o)
{
	*o = ledger_redis_options(d->settings, DOCTOR_TIMEOUT_MS);
	if (d->redis_url != NULL) {
		o->url = d->redis_url;
		o->cluster = NULL;
	}
}

int
doctor_redis_open(const struct doctor *d, enum doctor_login login,
    struct inspector **out, struct fail *fail)
{
	const struct settings *s = d->settings;
	struct store_options options;
	char *password = NULL;
	int rc = 0;

	doctor_redis_options(d, &options);
	if (login == DOCTOR_WEB)
		rc = settings_web_password(s, &password, fail);
	if (password != NULL)
		options.username = s->web.redis_username;
	else if (rc == 0 && login != DOCTOR_FILTER) {
		rc = settings_writer_password(s, &password, fail);
		if (password != NULL)
			options.username = s->redis.writer_username;
	}
	if (password != NULL)
		options.password = password;
	if (rc == 0)
		rc = inspect_open(&options, out, fail);
	if (password != NULL)
		crypto_wipe(password, strlen(password));
	free(password);
	return rc;
}

/* -- what INFO tells -- */

static int64_t
number(struct span info, const char *name)
{
	int64_t n;

	return span_to_i64(inspect_info(info, name), &n) == 0 ? n : -1;
}

static bool
is(struct span info, const char *name, const char *value)
{
	return span_is(inspect_info(info, name), span_str(value));
}

static void
judge_eviction(struct findings *f, struct span info)
{
	struct span policy = inspect_info(info, "maxmemory_policy");
	int64_t used = number(info, "used_memory");
	int64_t max = number(info, "maxmemory");

	if (span_is(policy, SPAN("noeviction")))
		findings_add(f, "redis-eviction", FINDING_OK, "Redis throws "
		    "no keys away");
	else {
		findings_add(f, "redis-eviction", FINDING_FAIL, "Redis throws "
		    "keys away when memory runs out (maxmemory-policy %.*s), "
		    "and opt-outs with them: the filter does not use it",
		    (int)policy.len, (const char *)policy.p);
		findings_fix(f, "redis.conf: maxmemory-policy noeviction");
		findings_fix(f, "redis-cli CONFIG SET maxmemory-policy "
		    "noeviction");
	}
	if (max <= 0 || used < max - max / 10) {
		findings_add(f, "redis-memory", FINDING_OK, "there is room "
		    "for more");
		return;
	}
	findings_add(f, "redis-memory", used < max - max / 50 ? FINDING_WARN :
	    FINDING_FAIL, "Redis uses %" PRId64 " of the %" PRId64 " MiB that "
	    "it may: when they are full, no event is applied",
	    used / 1048576, max / 1048576);
	findings_fix(f, "redis.conf: maxmemory %" PRId64 "mb", max / 1048576 *
	    2 + 1);
}

static void
judge_saves(struct findings *f, struct span info)
{
	static const char *const states[] = { "rdb_last_bgsave_status",
	    "aof_last_write_status", "aof_last_bgrewrite_status" };
	bool good = true;

	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++) {
		struct span state = inspect_info(info, states[i]);

		if (state.len == 0 || span_is(state, SPAN("ok")))
			continue;
		good = false;
		findings_add(f, "redis-saving", FINDING_FAIL, "Redis could not "
		    "write its files (%s: %.*s), and takes no events until it "
		    "can", states[i], (int)state.len, (const char *)state.p);
		findings_fix(f, "Redis' log says why: mostly a full disk, or a "
		    "directory (`dir' in redis.conf) that it may not write "
		    "to");
	}
	if (good)
		findings_add(f, "redis-saving", FINDING_OK, "Redis could write "
		    "its files");
}

/* Does Redis write dumps?  Asking needs CONFIG, which our users lack; then what
 * it has not saved for long is the sign. */
static bool
writes_dumps(struct doctor *d, struct inspector *redis, struct span info)
{
	static const char *const words[] = { "CONFIG", "GET", "save", NULL };
	int64_t saved_ms = number(info, "rdb_last_save_time") * 1000;
	struct buf out = BUF_INIT(4096);
	struct fail unused;
	bool writes;

	if (d->settings->redis.username == NULL &&
	    inspect_ask(redis, words, &out, &unused) == 0)
		writes = out.len > strlen("save\n\n");
	else
		writes = number(info, "rdb_changes_since_last_save") <= 0 ||
		    d->now_ms - saved_ms < NO_SAVE_MS;
	buf_fini(&out);
	return writes;
}

static void
judge_persistence(struct doctor *d, struct inspector *redis, struct span info)
{
	struct findings *f = &d->findings;

	if (is(info, "aof_enabled", "1")) {
		findings_add(f, "redis-persistence", FINDING_OK, "Redis keeps "
		    "an append-only file");
		return;
	}
	if (writes_dumps(d, redis, info)) {
		findings_add(f, "redis-persistence", FINDING_OK, "Redis writes "
		    "dumps; what it loses in a crash it gets from the ledger "
		    "again");
		return;
	}
	findings_add(f, "redis-persistence", FINDING_WARN, "Redis keeps "
	    "nothing: after its restart all mail of lists waits until the "
	    "ledger was applied again");
	findings_fix(f, "redis.conf: appendonly yes");
}

static void
judge_version(struct doctor *d, struct inspector *redis, struct span info)
{
	struct span version = inspect_info(info, "redis_version");
	struct span valkey = inspect_info(info, "valkey_version");
	struct findings *f = &d->findings;
	int64_t major = 0;

	for (size_t i = 0; i < version.len && ascii_isdigit(version.p[i]); i++)
		major = major * 10 + version.p[i] - '0';
	if (is(info, "loading", "1")) {
		findings_add(f, "redis", FINDING_FAIL, "%s is loading its "
		    "data: until it is done, mail waits", inspect_place(redis));
		findings_fix(f, "wait; redis-cli INFO persistence tells "
		    "loading_eta_seconds");
	} else if (major < 6) {
		findings_add(f, "redis", FINDING_FAIL, "%s is Redis %.*s, and "
		    "6.0 or later is needed", inspect_place(redis),
		    (int)version.len, (const char *)version.p);
		findings_fix(f, "update Redis");
	} else if (valkey.len > 0)
		/* Which tells as Redis' the version that it can stand in for. */
		findings_add(f, "redis", FINDING_OK, "%s is Valkey %.*s",
		    inspect_place(redis), (int)valkey.len,
		    (const char *)valkey.p);
	else
		findings_add(f, "redis", FINDING_OK, "%s is Redis %.*s",
		    inspect_place(redis), (int)version.len,
		    (const char *)version.p);
}

static void
judge_clock(struct findings *f, struct span info, int64_t asked_ms)
{
	int64_t usec = number(info, "server_time_usec");
	int64_t ahead_ms = usec / 1000 - asked_ms;
	char text[32];

	if (usec == -1)
		return;
	if (llabs(ahead_ms) < CLOCK_WARN_MS) {
		findings_add(f, "redis-clock", FINDING_OK, "Redis' clock and "
		    "ours agree");
		return;
	}
	findings_add(f, "redis-clock", llabs(ahead_ms) < CLOCK_FAIL_MS ?
	    FINDING_WARN : FINDING_FAIL, "Redis' clock is %s %s of ours: the "
	    "order of opt-ins and opt-outs of several machines may be wrong",
	    doctor_span_of_time(ahead_ms, text), ahead_ms > 0 ? "ahead" :
	    "behind");
	findings_fix(f, "on both machines: timedatectl set-ntp true");
}

/* -- replication -- */

/* The number behind "name=" in "ip=...,state=online,lag=1"; -1 without. */
static int64_t
field(struct span line, const char *name)
{
	struct span wanted = span_str(name);

	while (line.len > 0) {
		ptrdiff_t comma = span_index(line, ',');
		struct span one = comma == -1 ? line :
		    span_head(line, (size_t)comma);
		int64_t n;

		if (span_has_prefix(one, wanted) && span_to_i64(span_from(one,
		    wanted.len), &n) == 0)
			return n;
		line = span_from(line, one.len + 1);
	}
	return -1;
}

static void
judge_lag(struct findings *f, struct span info)
{
	int64_t offset = number(info, "master_repl_offset");
	bool good = true;
	char name[32];

	for (int i = 0; i < MAX_REPLICAS; i++) {
		struct span line;
		int64_t lag, has;

		(void)snprintf(name, sizeof(name), "slave%d", i);
		line = inspect_info(info, name);
		if (line.len == 0)
			break;
		lag = field(line, "lag=");
		has = field(line, "offset=");
		if (lag >= 0 && lag <= LAG_SEC)
			continue;
		good = false;
		findings_add(f, "redis-lag", FINDING_WARN, "a replica (%.*s) "
		    "was last heard of %" PRId64 " s ago, and lacks %" PRId64
		    " bytes", (int)line.len, (const char *)line.p, lag,
		    has == -1 ? -1 : offset - has);
		findings_fix(f, "look at that replica's log, and at the net "
		    "between them");
	}
	if (good)
		findings_add(f, "redis-lag", FINDING_OK, "no replica lags "
		    "behind");
}

static void
judge_role(struct doctor *d, struct span info)
{
	int64_t replicas = number(info, "connected_slaves");
	int wanted = d->settings->redis.wait_replicas;
	struct findings *f = &d->findings;

	/* In a cluster each node is one or the other. */
	if (d->settings->redis.cluster != NULL) {
		judge_lag(f, info);
		return;
	}
	if (!is(info, "role", "master")) {
		findings_add(f, "redis-role", FINDING_FAIL, "this Redis is a "
		    "replica (of %.*s): no event can be applied to it",
		    (int)inspect_info(info, "master_host").len,
		    (const char *)inspect_info(info, "master_host").p);
		findings_fix(f, "consent-milter.conf: redis = { url = \"...\"; "
		    "}; with the primary, and read_from for this one; or "
		    "redis-cli REPLICAOF NO ONE");
		return;
	}
	findings_add(f, "redis-role", FINDING_OK, "it is a primary");
	if (replicas < wanted) {
		findings_add(f, "redis-replicas", FINDING_FAIL, "Redis has %"
		    PRId64 " replicas, and wait_replicas wants %d: no event "
		    "counts as applied", replicas, wanted);
		findings_fix(f, "start them, or consent-milter.conf: redis = { "
		    "wait_replicas = %" PRId64 "; };", replicas);
	} else if (wanted > 0)
		findings_add(f, "redis-replicas", FINDING_OK, "%" PRId64
		    " replicas", replicas);
	judge_lag(f, info);
}

static void
judge_replica(struct doctor *d)
{
	static const char *const words[] = { "INFO", "replication", NULL };
	struct buf info = BUF_INIT(ANSWER_MAX);
	struct findings *f = &d->findings;
	struct store_options options;
	struct inspector *redis = NULL;
	struct fail fail;

	if (d->settings->redis.read_from == NULL)
		return;
	doctor_redis_options(d, &options);
	options.url = d->settings->redis.read_from;
	options.sentinels = NULL;
	if (inspect_open(&options, &redis, &fail) == -1 ||
	    inspect_ask(redis, words, &info, &fail) == -1) {
		findings_add(f, "redis-read-from", FINDING_FAIL, "the replica "
		    "that answers look-ups: %s", fail.text);
		findings_fix(f, "start it, or consent-milter.conf: redis = { } "
		    "without read_from");
	} else if (is(buf_span(&info), "role", "slave") &&
	    !is(buf_span(&info), "master_link_status", "up")) {
		findings_add(f, "redis-read-from", FINDING_FAIL, "the replica "
		    "that answers look-ups is not in touch with its primary: "
		    "mail waits");
		findings_fix(f, "its log says why: mostly masteruser, "
		    "masterauth or the net");
	} else
		findings_add(f, "redis-read-from", FINDING_OK, "%s answers "
		    "look-ups", inspect_place(redis));
	inspect_close(&redis);
	buf_fini(&info);
}

/* -- Sentinels -- */

static void
judge_sentinel(struct doctor *d, struct span host)
{
	const char *master = d->settings->redis.sentinel.master;
	const char *words[] = { "SENTINEL", "CKQUORUM", master, NULL };
	struct buf url = BUF_INIT(512), out = BUF_INIT(ANSWER_MAX);
	struct findings *f = &d->findings;
	struct store_options options;
	struct inspector *sentinel = NULL;
	struct fail fail;

	doctor_redis_options(d, &options);
	buf_addf(&url, "redis%s://%.*s", span_has_prefix(span_str(options.url),
	    SPAN("rediss:")) ? "s" : "", (int)host.len, (const char *)host.p);
	options.url = buf_get(&url);
	options.sentinels = NULL;
	options.username = options.sentinel_username;
	options.password = options.sentinel_password;
	if (inspect_open(&options, &sentinel, &fail) == 0 &&
	    inspect_ask(sentinel, words, &out, &fail) == 0)
		findings_add(f, "redis-sentinel", FINDING_OK, "Sentinel %.*s: "
		    "%s", (int)host.len, (const char *)host.p, buf_get(&out));
	else {
		bool is_login = fail.class ==
		    (sentinel == NULL ? FAIL_INPUT : FAIL_SETUP);

		findings_add(f, "redis-sentinel", fail.class == FAIL_TEMP ?
		    FINDING_WARN : FINDING_FAIL, "Sentinel %.*s: %s",
		    (int)host.len, (const char *)host.p, fail.text);
		if (is_login)
			findings_fix(f, "consent-milter.conf: redis = { "
			    "sentinel = { username = \"...\"; password_file = "
			    "\"...\"; }; }; as its sentinel.conf has them");
		else
			findings_fix(f, "redis-cli -p PORT SENTINEL MASTERS "
			    "on that machine; consent-milter.conf: redis = { "
			    "sentinel = { master = \"%s\"; hosts = ( ... ); }; "
			    "};", master);
	}
	inspect_close(&sentinel);
	buf_fini(&url);
	buf_fini(&out);
}

static void
judge_sentinels(struct doctor *d)
{
	struct span rest = span_str(d->settings->redis.sentinel.hosts);

	while (rest.len > 0) {
		ptrdiff_t blank = span_index(rest, ' ');
		struct span one = blank == -1 ? rest :
		    span_head(rest, (size_t)blank);

		rest = span_from(rest, one.len + 1);
		if (one.len > 0)
			judge_sentinel(d, one);
	}
}

static void
judge_certificate(struct doctor *d, const struct inspector *redis)
{
	int64_t ends_ms = inspect_certificate_ends_ms(redis);
	int64_t days = (ends_ms - d->now_ms) / DAY_MS;
	struct findings *f = &d->findings;

	if (ends_ms == 0)
		return;
	if (days > 21) {
		findings_add(f, "redis-tls", FINDING_OK, "its certificate is "
		    "good for another %" PRId64 " days", days);
		return;
	}
	findings_add(f, "redis-tls", days > 7 ? FINDING_WARN : FINDING_FAIL,
	    "the certificate of Redis ends in %" PRId64 " days: from then on "
	    "mail waits", days);
	findings_fix(f, "redis.conf: tls-cert-file with a new one");
}

static void
judge_server(struct doctor *d, struct inspector *redis)
{
	static const char *const words[] = { "INFO", NULL };
	struct buf info = BUF_INIT(ANSWER_MAX);
	struct findings *f = &d->findings;
	int64_t asked_ms = clock_now_ms();
	struct fail fail;

	if (inspect_ask(redis, words, &info, &fail) == -1) {
		bool denied = fail.class == FAIL_SETUP;

		findings_add(f, "redis", FINDING_FAIL, "%s: %s",
		    inspect_place(redis), fail.text);
		findings_fix(f, denied ? "consent-milter.conf: redis = { "
		    "username = \"...\"; password_file = \"...\"; }; of a user "
		    "with +info and what else conf/redis-acl.conf allows" :
		    "Redis' log says more");
	} else {
		judge_version(d, redis, buf_span(&info));
		judge_eviction(f, buf_span(&info));
		judge_persistence(d, redis, buf_span(&info));
		judge_saves(f, buf_span(&info));
		judge_role(d, buf_span(&info));
		judge_clock(f, buf_span(&info), asked_ms);
		judge_certificate(d, redis);
		doctor_rights(d, redis);
	}
	buf_fini(&info);
}

/* The Redis, or the node, that the options name. */
static void
judge_redis(struct doctor *d)
{
	struct findings *f = &d->findings;
	struct inspector *redis = NULL;
	struct fail fail;

	if (doctor_redis_open(d, DOCTOR_FILTER, &redis, &fail) == -1) {
		findings_add(f, "redis", FINDING_FAIL, "%s", fail.text);
		findings_fix(f, fail.class == FAIL_TEMP ? "systemctl start "
		    "redis-server, or consent-milter.conf: redis = { url = "
		    "\"...\"; }; as `port', `unixsocket' and `unixsocketperm' "
		    "of redis.conf have it" : "consent-milter.conf: redis = { "
		    "username = \"...\"; password_file = \"...\"; }; as Redis "
		    "has them (redis-cli ACL LIST)");
	} else
		judge_server(d, redis);
	inspect_close(&redis);
}

/* Of a cluster, the nodes that are named. */
static void
judge_nodes(struct doctor *d)
{
	struct span rest = span_str(d->settings->redis.cluster);
	bool is_tls = span_has_prefix(span_str(d->settings->redis.url),
	    SPAN("rediss:"));
	struct buf url = BUF_INIT(512);

	while (rest.len > 0) {
		ptrdiff_t blank = span_index(rest, ' ');
		struct span one = blank == -1 ? rest :
		    span_head(rest, (size_t)blank);

		rest = span_from(rest, one.len + 1);
		if (one.len == 0)
			continue;
		buf_clear(&url);
		buf_addf(&url, "redis%s://%.*s", is_tls ? "s" : "",
		    (int)one.len, (const char *)one.p);
		d->redis_url = buf_get(&url);
		judge_redis(d);
	}
	d->redis_url = NULL;
	buf_fini(&url);
}

void
doctor_redis(struct doctor *d)
{
	if (d->settings->redis.sentinel.hosts != NULL)
		judge_sentinels(d);
	if (d->settings->redis.cluster != NULL)
		judge_nodes(d);
	else
		judge_redis(d);
	judge_replica(d);
}
