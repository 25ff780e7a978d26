/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/optout.h"

#include <sys/statvfs.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "consent/decision.h"
#include "ledger/append.h"
#include "ledger/applier.h"

#define LEDGER_SEGMENT_BYTES	(UINT64_C(64) * 1024 * 1024)
#define RETRY_MS	500	/* while Redis is away */
#define IDLE_MS		5000	/* others write the ledger, too */
#define APPLY_MS	10000	/* for one batch */
#define LOOKUP_PAUSE_MS	5000	/* after one that failed */

struct optout {
	const struct settings *settings;
	struct journal	*ledger;
	struct store	*reader;	/* NULL: Redis must not be used */
	char		*password;	/* of who writes; NULL */
	_Atomic int64_t	 lookups_from_ms;	/* none before */
	char		 host[256];

	/* the thread's own */
	struct store	*writer;
	struct applier	*applier;

	pthread_t	 thread;
	pthread_mutex_t	 lock;		/* for what follows */
	pthread_cond_t	 wakes;
	bool		 is_due;	/* there is something to apply */
	bool		 stopping;
	int64_t		 behind_since_ms;
};

/* -- applying -- */

static void
on_warning(const char *text, void *context)
{
	(void)context;
	log_warn("%s", text);
}

static bool
is_stopped(void *context)
{
	struct optout *o = context;
	bool stopped;

	(void)pthread_mutex_lock(&o->lock);
	stopped = o->stopping;
	(void)pthread_mutex_unlock(&o->lock);
	return stopped;
}

/* Waits until there is something to do.  Returns false at the end. */
static bool
wait_for_work(struct optout *o, bool failed)
{
	struct timespec until;
	int64_t ms = failed ? RETRY_MS : IDLE_MS;
	bool go_on;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_nsec -= 1000000000L;
		until.tv_sec++;
	}
	(void)pthread_mutex_lock(&o->lock);
	/* After a failure a new click is no reason to try at once. */
	while (!o->stopping && (failed || !o->is_due) &&
	    pthread_cond_timedwait(&o->wakes, &o->lock, &until) !=
	    ETIMEDOUT)
		;
	o->is_due = false;
	go_on = !o->stopping;
	(void)pthread_mutex_unlock(&o->lock);
	return go_on;
}

static void
note_result(struct optout *o, int rc, const struct fail *fail)
{
	int64_t before;

	(void)pthread_mutex_lock(&o->lock);
	before = o->behind_since_ms;
	o->behind_since_ms = rc == 0 ? 0 : before != 0 ? before :
	    clock_now_ms();
	(void)pthread_mutex_unlock(&o->lock);
	if (rc == -1 && before == 0)
		log_warn("opt-outs are recorded, and Redis gets them later: "
		    "%s", fail->text);
	else if (rc == 0 && before != 0)
		log_info("Redis has all opt-outs again");
}

/* A Redis that must not be used now may be put right later. */
static int
open_applier(struct optout *o, struct fail *fail)
{
	const struct settings *s = o->settings;
	struct store_options store = { .url = s->redis.url,
	    .username = s->redis.username, .password = s->redis.password,
	    .timeout_ms = APPLY_MS };
	struct applier_options options = {
		.directory = s->audit.ledger, .warn = on_warning,
		.is_stopped = is_stopped, .context = o };

	if (o->password != NULL) {
		store.username = s->redis.writer_username;
		store.password = o->password;
	}
	if (o->writer == NULL && store_open(&store, &o->writer, fail) == -1)
		return -1;
	options.store = o->writer;
	return o->applier != NULL ? 0 : applier_open(&options, &o->applier,
	    fail);
}

static void *
keep_applying(void *argument)
{
	struct optout *o = argument;
	struct fail fail;
	int rc = 0;

	while (wait_for_work(o, rc == -1)) {
		rc = open_applier(o, &fail);
		if (rc == 0)
			rc = applier_apply(o->applier, &fail);
		if (!is_stopped(o))
			note_result(o, rc, &fail);
	}
	return NULL;
}

/* -- recording -- */

/*
 * When it happened: now; or, where a host whose clock is ahead recorded a
 * grant `later', at that grant, for whoever clicks now is out.
 */
static int64_t
time_of(struct optout *o, const struct subject *subject,
    const struct list *list)
{
	int64_t now_ms = clock_now_ms(), monotonic = clock_monotonic_ms();
	struct record record;
	struct fail unused;
	int rc;

	if (list == NULL || o->reader == NULL || monotonic <
	    atomic_load(&o->lookups_from_ms) || !store_is_reachable(o->reader))
		return now_ms;
	rc = store_lookup(o->reader, subject, list->id, &record, &unused);
	if (rc == -1)
		atomic_store(&o->lookups_from_ms, monotonic +
		    LOOKUP_PAUSE_MS);
	if (rc != 1)
		return now_ms;
	return record.grant_ms > now_ms && record.grant_ms <= now_ms +
	    DECISION_CLOCK_SKEW_MS ? record.grant_ms : now_ms;
}

int
optout_record(struct optout *o, const struct subject *subject,
    const struct list *list, const char *actor, struct fail *fail)
{
	struct event event = { .kind = EVENT_WITHDRAW, .subject = *subject };

	event.at_ms = time_of(o, subject, list);
	if (list != NULL)
		memcpy(event.list, list->id, sizeof(event.list));
	if (ledger_append(o->ledger, &event, 1, actor, fail) == -1)
		return -1;
	(void)pthread_mutex_lock(&o->lock);
	o->is_due = true;
	(void)pthread_cond_signal(&o->wakes);
	(void)pthread_mutex_unlock(&o->lock);
	return 0;
}

const char *
optout_fault(const struct optout *o)
{
	const char *directory = o->settings->audit.ledger;
	struct statvfs fs;

	if (access(directory, W_OK | X_OK) == -1 ||
	    statvfs(directory, &fs) == -1)
		return "ledger-not-writable";
	if ((fs.f_flag & ST_RDONLY) != 0)
		return "ledger-read-only";
	/* One block takes several opt-outs. */
	return fs.f_bavail == 0 ? "disk-full" : NULL;
}

/* -- opening -- */

static int
open_ledger(struct optout *o, struct fail *fail)
{
	const struct settings *s = o->settings;
	struct journal_options options = {
		.directory = s->audit.ledger, .name = "ledger",
		.host = o->host, .segment_bytes = LEDGER_SEGMENT_BYTES,
		.signer = s->checkpoint_key,
	};
	uint64_t recovered = 0;

	if (journal_open(&options, &o->ledger, &recovered, fail) == -1)
		return -1;
	if (recovered != 0)
		log_warn("the ledger ended in half an entry: %llu bytes cut "
		    "off", (unsigned long long)recovered);
	return 0;
}

/* For the look-ups.  What is wrong with Redis is no reason to refuse
 * opt-outs. */
static void
open_reader(struct optout *o)
{
	const struct settings *s = o->settings;
	const struct store_options options = { .url = s->redis.url,
	    .username = s->redis.username, .password = s->redis.password,
	    .timeout_ms = s->redis.timeout_ms };
	struct fail fail;

	if (store_open(&options, &o->reader, &fail) == -1)
		log_error("%s (opt-outs are recorded all the same)",
		    fail.text);
}

static int
start_thread(struct optout *o, struct fail *fail)
{
	pthread_condattr_t monotonic;
	int err;

	(void)pthread_mutex_init(&o->lock, NULL);
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&o->wakes, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	o->is_due = true;	/* what waited while we were not there */
	err = pthread_create(&o->thread, NULL, keep_applying, o);
	return err == 0 ? 0 : fail_errno(fail, FAIL_SETUP, err,
	    "can't start a thread");
}

static void
free_optout(struct optout *o)
{
	applier_close(&o->applier);
	journal_close(&o->ledger);
	store_close(&o->reader);
	store_close(&o->writer);
	if (o->password != NULL)
		crypto_wipe(o->password, strlen(o->password));
	free(o->password);
	free(o);
}

int
optout_open(const struct settings *settings, struct optout **out,
    struct fail *fail)
{
	struct optout *o = xcalloc(1, sizeof(*o));

	o->settings = settings;
	if (gethostname(o->host, sizeof(o->host) - 1) == -1)
		memcpy(o->host, "localhost", sizeof("localhost"));
	if (settings_writer_password(settings, &o->password, fail) == 0 &&
	    open_ledger(o, fail) == 0) {
		open_reader(o);
		if (start_thread(o, fail) == 0) {
			*out = o;
			return 0;
		}
	}
	free_optout(o);
	return -1;
}

void
optout_close(struct optout **optout)
{
	struct optout *o = *optout;

	if (o == NULL)
		return;
	*optout = NULL;
	(void)pthread_mutex_lock(&o->lock);
	o->stopping = true;
	(void)pthread_cond_signal(&o->wakes);
	(void)pthread_mutex_unlock(&o->lock);
	(void)pthread_join(o->thread, NULL);
	(void)pthread_cond_destroy(&o->wakes);
	(void)pthread_mutex_destroy(&o->lock);
	free_optout(o);
}
