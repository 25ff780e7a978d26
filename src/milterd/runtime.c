/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Snapshots and stores are counted separately, since a reload that leaves the
 * redis group alone keeps the connection that it has.
 */
#include "milterd/runtime.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "journal/checkpoint.h"
#include "ledger/redis.h"
#include "monitor/reach.h"
#include "monitor/reloads.h"

/* A decision is on disk this long after its answer, at the latest. */
#define SYNC_INTERVAL_MS	500
/* A look-up during which Redis was connected to anew starts again. */
#define CONNECTIONS_TRIED	3

struct pooled_store {
	struct store	*store;
	struct reach	 reach;		/* what it told */
	unsigned	 refs;		/* under runtime->lock */
};

struct counted_snapshot {
	struct snapshot	 public;	/* first: handed out as such */
	struct runtime	*runtime;
	struct pooled_store *pool;
	unsigned	 refs;		/* under runtime->lock */
};

struct runtime {
	pthread_mutex_t	 lock;
	struct counted_snapshot *current;
	struct journal	*decisions;
	struct settings	*first;		/* whose key signs checkpoints */
	struct unapplied *unapplied;
	const char	*path;
	struct reloads	 reloads;
	struct tally	 tally;
	char		 host[256];
};

static void
on_store_state(bool reachable, const char *text, void *context)
{
	reach_note(context, reachable, text);
	if (reachable)
		log_info("the consent store can be reached: %s", text);
	else
		log_error("the consent store can't be reached, mail to lists "
		    "is answered as on_store_failure says: %s", text);
}

/* The mail log often goes to another machine, where who rewrites our log can't
 * reach it. */
static void
log_checkpoint(const struct checkpoint *checkpoint, void *context)
{
	struct buf text = BUF_INIT(2048);

	(void)context;
	checkpoint_format_text(&text, checkpoint);
	log_info("%s", buf_get(&text));
	buf_fini(&text);
}

static void
free_pool(struct pooled_store *pool)
{
	store_close(&pool->store);
	reach_fini(&pool->reach);
	free(pool);
}

static int
open_store(const struct settings *settings, struct pooled_store **out,
    struct fail *fail)
{
	struct store_options options = ledger_redis_options(settings,
	    settings->redis.timeout_ms);
	struct pooled_store *pool = xcalloc(1, sizeof(*pool));

	reach_init(&pool->reach);
	options.read_from = settings->redis.read_from;
	options.read_within_ms = settings->redis.read_within_ms;
	options.on_state = on_store_state;
	options.context = &pool->reach;
	if (store_open(&options, &pool->store, fail) == -1) {
		free_pool(pool);
		return -1;
	}
	*out = pool;
	return 0;
}

static struct counted_snapshot *
snapshot_new(struct runtime *runtime, struct settings *settings,
    const struct capacity *capacity, struct pooled_store *pool)
{
	struct counted_snapshot *snapshot = xcalloc(1, sizeof(*snapshot));

	snapshot->public.settings = settings;
	snapshot->public.store = pool->store;
	snapshot->public.capacity = *capacity;
	snapshot->runtime = runtime;
	snapshot->pool = pool;
	snapshot->refs = 1;
	snapshot->public.tallies = xcalloc(settings->policy.list_count + 1,
	    sizeof(*snapshot->public.tallies));
	for (size_t i = 0; i < settings->policy.list_count; i++)
		snapshot->public.tallies[i] = tally_list(&runtime->tally,
		    settings->policy.lists[i].id);
	pool->refs++;
	return snapshot;
}

/* For those who follow the ledger. */
static int
ask_cursor(const char *id, unsigned *partitions, uint64_t *connection,
    uint64_t *seqs, void *context, struct fail *fail)
{
	struct snapshot *snapshot = runtime_get(context);
	int rc = -1;

	*connection = store_connection(snapshot->store);
	*partitions = store_partitions(snapshot->store);
	if (id != NULL)
		rc = store_cursor_get(snapshot->store, id, seqs, fail);
	snapshot_put(&snapshot);
	return rc;
}

/* Needs the store. */
static int
follow_ledger(struct runtime *runtime, const struct settings *settings,
    struct fail *fail)
{
	const struct unapplied_options options = {
		.ledger = settings->audit.ledger, .ask = ask_cursor,
		.context = runtime };

	return unapplied_new(&options, &runtime->unapplied, fail);
}

int
runtime_new(const char *path, struct settings *settings,
    struct runtime **out, struct fail *fail)
{
	struct runtime *runtime = xcalloc(1, sizeof(*runtime));
	struct journal_options options = {
		.directory = settings->audit.directory,
		.name = "decisions",
		.host = runtime->host,
		.segment_bytes = settings->audit.segment_bytes,
		.exclusive = true,
		.sync_interval_ms = SYNC_INTERVAL_MS,
		.signer = settings->checkpoint_key,
		.on_checkpoint = log_checkpoint,
	};
	struct pooled_store *pool;
	uint64_t recovered = 0;
	struct capacity capacity;

	runtime->path = path;
	(void)pthread_mutex_init(&runtime->lock, NULL);
	if (gethostname(runtime->host, sizeof(runtime->host) - 1) == -1)
		(void)snprintf(runtime->host, sizeof(runtime->host), "localhost");
	if (capacity_find(settings, &capacity, fail) == -1 ||
	    journal_open(&options, &runtime->decisions, &recovered,
	    fail) == -1) {
		free(runtime);
		return -1;
	}
	if (settings->checkpoint_key == NULL)
		log_warn("the decision log gets no signed checkpoints, for "
		    "there is no checkpoint.key in %s: run `consentctl "
		    "keygen' and start again", settings->keys);
	if (recovered != 0)
		log_warn("the decision log in %s ended in half an entry: "
		    "%llu bytes cut off", settings->audit.directory,
		    (unsigned long long)recovered);
	if (open_store(settings, &pool, fail) == -1) {
		journal_close(&runtime->decisions);
		free(runtime);
		return -1;
	}
	reloads_init(&runtime->reloads);
	tally_init(&runtime->tally);
	runtime->current = snapshot_new(runtime, settings, &capacity, pool);
	runtime->first = settings_get(settings);
	/* The process ends where this fails. */
	if (follow_ledger(runtime, settings, fail) == -1) {
		runtime_close(runtime);
		return -1;
	}
	*out = runtime;
	return 0;
}

void
runtime_close(struct runtime *runtime)
{
	journal_stop(runtime->decisions);
}

struct snapshot *
runtime_get(struct runtime *runtime)
{
	struct counted_snapshot *snapshot;

	(void)pthread_mutex_lock(&runtime->lock);
	snapshot = runtime->current;
	snapshot->refs++;
	(void)pthread_mutex_unlock(&runtime->lock);
	return &snapshot->public;
}

void
snapshot_put(struct snapshot **public)
{
	struct counted_snapshot *snapshot = (struct counted_snapshot *)*public;
	struct pooled_store *dead_pool = NULL;
	bool dead;

	if (snapshot == NULL)
		return;
	*public = NULL;
	(void)pthread_mutex_lock(&snapshot->runtime->lock);
	dead = --snapshot->refs == 0;
	if (dead && --snapshot->pool->refs == 0)
		dead_pool = snapshot->pool;
	(void)pthread_mutex_unlock(&snapshot->runtime->lock);
	if (!dead)
		return;
	settings_put(&snapshot->public.settings);
	free(snapshot->public.tallies);
	free(snapshot);
	if (dead_pool != NULL)
		free_pool(dead_pool);
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
same_redis(const struct settings *a, const struct settings *b)
{
	return same_text(a->redis.url, b->redis.url) &&
	    same_text(a->redis.username, b->redis.username) &&
	    same_text(a->redis.password, b->redis.password) &&
	    same_text(a->redis.ca_file, b->redis.ca_file) &&
	    same_text(a->redis.certificate, b->redis.certificate) &&
	    same_text(a->redis.key, b->redis.key) &&
	    same_text(a->redis.sentinel.hosts, b->redis.sentinel.hosts) &&
	    same_text(a->redis.sentinel.master, b->redis.sentinel.master) &&
	    same_text(a->redis.sentinel.username,
	    b->redis.sentinel.username) &&
	    same_text(a->redis.sentinel.password,
	    b->redis.sentinel.password) &&
	    same_text(a->redis.cluster, b->redis.cluster) &&
	    same_text(a->redis.read_from, b->redis.read_from) &&
	    a->redis.read_within_ms == b->redis.read_within_ms &&
	    a->redis.timeout_ms == b->redis.timeout_ms;
}

/* What is bound or opened once is said to need a restart, not ignored. */
static void
warn_of_restart(const struct settings *running, const struct settings *fresh)
{
	static const char text[] =
	    "%s changed: takes effect after a restart";

	if (!same_text(running->socket, fresh->socket) ||
	    !same_text(running->socket_group, fresh->socket_group) ||
	    running->socket_mode != fresh->socket_mode)
		log_warn(text, "socket");
	if (!same_text(running->user, fresh->user))
		log_warn(text, "user");
	if (!same_text(running->audit.directory, fresh->audit.directory) ||
	    !same_text(running->audit.ledger, fresh->audit.ledger) ||
	    running->audit.segment_bytes != fresh->audit.segment_bytes)
		log_warn(text, "audit");
	if (!same_text(running->metrics, fresh->metrics))
		log_warn(text, "metrics");
	if (!same_text(running->control, fresh->control))
		log_warn(text, "control");
}

static void
log_lines(struct span text)
{
	while (text.len > 0) {
		struct span line = span_take(&text, '\n');

		log_error("%.*s", (int)line.len, (const char *)line.p);
	}
}

int
runtime_check(const struct settings *settings, struct fail *fail)
{
	if (settings->policy.list_count > 0)
		return 0;
	return fail_set(fail, FAIL_SETUP, "no lists: nobody's consent would "
	    "be asked for, give at least one, lists = ( { ... } );");
}

/* *fail: the first mistake; all of them are logged. */
static int
read_settings(const char *path, struct settings **out, struct fail *fail)
{
	struct buf errors = BUF_INIT(64 * 1024);
	int rc = settings_load(path, out, &errors);

	if (rc == -1) {
		log_lines(buf_span(&errors));
		(void)fail_set(fail, FAIL_SETUP, "%s", buf_get(&errors));
	} else if (runtime_check(*out, fail) == -1 ||
	    settings_load_keys(*out, fail) == -1) {
		log_error("%s", fail->text);
		settings_put(out);
		rc = -1;
	}
	buf_fini(&errors);
	return rc;
}

void
runtime_reload(struct runtime *runtime)
{
	struct settings *fresh = NULL;
	struct snapshot *running;
	struct counted_snapshot *old = NULL;
	struct pooled_store *pool = NULL;
	struct fail fail = { .text = "" };
	struct capacity capacity;

	if (read_settings(runtime->path, &fresh, &fail) == -1) {
		reloads_note_refusal(&runtime->reloads, fail.text);
		log_error("reload refused, the running configuration stays");
		return;
	}
	running = runtime_get(runtime);
	warn_of_restart(running->settings, fresh);
	if (same_redis(running->settings, fresh))
		pool = ((struct counted_snapshot *)running)->pool;
	if (capacity_find(fresh, &capacity, &fail) == -1 ||
	    (pool == NULL && open_store(fresh, &pool, &fail) == -1)) {
		reloads_note_refusal(&runtime->reloads, fail.text);
		log_error("reload refused, the running configuration stays: "
		    "%s", fail.text);
		settings_put(&fresh);
	}
	if (fresh != NULL) {
		(void)pthread_mutex_lock(&runtime->lock);
		old = runtime->current;
		runtime->current = snapshot_new(runtime, fresh, &capacity,
		    pool);
		(void)pthread_mutex_unlock(&runtime->lock);
		reloads_note(&runtime->reloads);
		log_info("configuration reloaded from %s", runtime->path);
	}
	snapshot_put(&running);
	if (old != NULL)
		snapshot_put(&(struct snapshot *){ &old->public });
}

/* May who answers look-ups lack what the one has confirmed who was written to?
 * A replica may, and in a cluster one that was a replica a moment ago. */
static bool
may_lag(const struct settings *settings)
{
	return settings->redis.read_from != NULL ||
	    settings->redis.cluster != NULL;
}

static void
fail_all(int *results, size_t n)
{
	for (size_t i = 0; i < n; i++)
		results[i] = -1;
}

/* Results of store_lookup_many() become ours.  What unapplied_lost() said before
 * Redis was asked is freed. */
static void
note_lost(struct runtime *runtime, const struct subject *subjects,
    bool *before, int *results, size_t n)
{
	bool *after = unapplied_lost(runtime->unapplied, subjects, n);

	for (size_t i = 0; i < n; i++)
		if (results[i] != -1)
			results[i] = (before != NULL && before[i]) ||
			    (after != NULL && after[i]) ?
			    LOOKUP_LACKS_OPT_INS : LOOKUP_WHOLE;
	free(before);
	free(after);
}

/* Then it has to have at least all that is not on top any more. */
static int
ask_laggard(struct runtime *runtime, const struct snapshot *snapshot,
    const struct subject *subjects, size_t n, const char *list,
    struct record *out, int *results, struct fail *fail)
{
	struct unapplied_view view = {
	    .records = xcalloc(n, sizeof(*view.records)),
	    .seqs = xcalloc(n, sizeof(*view.seqs)) };
	const struct store_mark mark = { .id = view.id, .seqs = view.seqs };
	bool *lost = unapplied_lost(runtime->unapplied, subjects, n);
	int rc;

	fail_all(results, n);
	rc = unapplied_view(runtime->unapplied,
	    store_partitions(snapshot->store), subjects, n, list, &view, fail);
	if (rc == 0)
		rc = store_lookup_since(snapshot->store, view.id[0] != '\0' ?
		    &mark : NULL, subjects, n, list, out, results, fail);
	for (size_t i = 0; i < n; i++)
		if (results[i] != -1)
			record_merge(&out[i], &view.records[i]);
	note_lost(runtime, subjects, lost, results, n);
	free(view.records);
	free(view.seqs);
	return rc;
}

/* First what Redis may not have yet: unapplied_waits(). */
static int
ask_primary(struct runtime *runtime, const struct snapshot *snapshot,
    const struct subject *subjects, size_t n, const char *list,
    struct record *out, int *results, struct fail *fail)
{
	bool *lost = unapplied_lost(runtime->unapplied, subjects, n);
	struct record *ahead = NULL;
	struct fail later;
	int rc, known = 0;

	if (unapplied_waits(runtime->unapplied)) {
		ahead = xcalloc(n, sizeof(*ahead));
		for (size_t i = 0; i < n && known == 0; i++)
			known = unapplied_apply(runtime->unapplied,
			    &subjects[i], list, &ahead[i], &later);
	}
	rc = store_lookup_many(snapshot->store, subjects, n, list, out,
	    results, fail);
	for (size_t i = 0; i < n && ahead != NULL; i++)
		if (results[i] != -1 && known == -1)
			results[i] = -1;
		else if (results[i] != -1)
			record_merge(&out[i], &ahead[i]);
	note_lost(runtime, subjects, lost, results, n);
	free(ahead);
	if (rc == 0 && known == -1) {
		*fail = later;
		rc = -1;
	}
	return rc;
}

/* The same, from a Redis of which it is known what it has. */
static int
ask_compared(struct runtime *runtime, const struct snapshot *snapshot,
    const struct subject *subjects, size_t n, const char *list,
    struct record *out, int *results, struct fail *fail)
{
	int64_t until_ms = clock_monotonic_ms() +
	    snapshot->settings->redis.timeout_ms;

	for (int tries = 0; tries == 0 || (tries < CONNECTIONS_TRIED &&
	    clock_monotonic_ms() < until_ms); tries++) {
		uint64_t connection = store_connection(snapshot->store);
		int rc = unapplied_compare(runtime->unapplied, connection,
		    fail);

		if (rc == 0)
			rc = ask_primary(runtime, snapshot, subjects, n, list,
			    out, results, fail);
		else
			fail_all(results, n);
		if (store_connection(snapshot->store) == connection)
			return rc;
	}
	fail_all(results, n);
	return fail_set(fail, FAIL_TEMP, "the connection to Redis does not "
	    "last");
}

int
runtime_lookup(struct runtime *runtime, const struct snapshot *snapshot,
    const struct subject *subjects, size_t n, const char *list,
    struct record *out, int *results, struct fail *fail)
{
	return may_lag(snapshot->settings) ?
	    ask_laggard(runtime, snapshot, subjects, n, list, out, results,
	    fail) :
	    ask_compared(runtime, snapshot, subjects, n, list, out, results,
	    fail);
}

struct tally *
runtime_tally(struct runtime *runtime)
{
	return &runtime->tally;
}

struct tally_list *
runtime_tally_list(struct runtime *runtime, const struct snapshot *snapshot,
    const struct list *list)
{
	return list == NULL ? runtime->tally.none :
	    snapshot->tallies[list - snapshot->settings->policy.lists];
}

void
runtime_report(struct runtime *runtime, const struct snapshot *snapshot,
    struct report *report, struct unapplied_state *unapplied)
{
	const struct counted_snapshot *counted = (const void *)snapshot;
	const struct settings *first = runtime->first;

	report->config_path = runtime->path;
	reloads_get(&runtime->reloads, &report->reloads);
	reach_get(&counted->pool->reach, &report->reach);
	report->store_is_reachable = store_is_reachable(snapshot->store);
	store_stats_sum(snapshot->store, &report->store);
	report_take_journal(report, "decisions", first->audit.directory,
	    runtime->decisions);
	unapplied_get(runtime->unapplied, unapplied);
}

struct journal *
runtime_decisions(struct runtime *runtime)
{
	return runtime->decisions;
}

const char *
runtime_host(const struct runtime *runtime)
{
	return runtime->host;
}
