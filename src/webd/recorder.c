/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/recorder.h"

#include <sys/statvfs.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/crypto.h"
#include "base/date.h"
#include "base/json.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "ledger/append.h"
#include "ledger/applier.h"
#include "ledger/known_time.h"
#include "ledger/redis.h"
#include "ledger/when.h"

#define LEDGER_SEGMENT_BYTES	(UINT64_C(64) * 1024 * 1024)
#define RETRY_MS	500	/* while Redis is away */
#define IDLE_MS		5000	/* others write the ledger, too */
#define APPLY_MS	10000	/* for one batch */
#define LOOKUP_PAUSE_MS	5000	/* after one that failed */
#define CATCH_UP_MS	5000

struct recorder {
	const struct settings *settings;
	struct metrics	*metrics;
	struct journal	*ledger;
	struct store	*reader;	/* NULL: Redis must not be used */
	const char	*username;	/* as whom we use Redis; NULL */
	char		*password;	/* NULL */
	struct reach	 reach;		/* what the reader told */
	_Atomic int64_t	 lookups_from_ms;	/* none before */
	_Atomic int64_t	 latest_ms;	/* that the clock ever showed */
	char		 host[256];

	/* the thread's own; the writer is set under the lock */
	struct store	*writer;
	struct applier	*applier;

	pthread_t	 thread;
	pthread_mutex_t	 lock;		/* for what follows */
	pthread_cond_t	 wakes;
	pthread_cond_t	 finishes;	/* a try has ended */
	uint64_t	 begun, ended;	/* tries to apply */
	int		 result;	/* of the last that ended */
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
	struct recorder *r = context;
	bool stopped;

	(void)pthread_mutex_lock(&r->lock);
	stopped = r->stopping;
	(void)pthread_mutex_unlock(&r->lock);
	return stopped;
}

/* Waits until there is something to do.  Returns false at the end. */
static bool
wait_for_work(struct recorder *r, bool failed)
{
	struct timespec until;
	int64_t ms = failed ? RETRY_MS : IDLE_MS;
	bool go_on;

	until = clock_deadline(clock_monotonic_ms() + ms);
	(void)pthread_mutex_lock(&r->lock);
	/* After a failure a new click is no reason to try at once. */
	while (!r->stopping && (failed || !r->is_due) &&
	    pthread_cond_timedwait(&r->wakes, &r->lock, &until) !=
	    ETIMEDOUT)
		;
	r->is_due = false;
	r->begun++;
	go_on = !r->stopping;
	(void)pthread_mutex_unlock(&r->lock);
	return go_on;
}

static void
note_result(struct recorder *r, int rc, const struct fail *fail)
{
	int64_t before;

	(void)pthread_mutex_lock(&r->lock);
	r->ended = r->begun;
	r->result = rc;
	(void)pthread_cond_broadcast(&r->finishes);
	before = r->behind_since_ms;
	r->behind_since_ms = rc == 0 ? 0 : before != 0 ? before :
	    clock_now_ms();
	(void)pthread_mutex_unlock(&r->lock);
	if (rc == -1 && before == 0)
		log_warn("opt-outs are recorded, and Redis gets them later: "
		    "%s", fail->text);
	else if (rc == 0 && before != 0)
		log_info("Redis has all opt-outs again");
}

/* As our own user, or else who writes, or else who there is. */
static int
choose_user(struct recorder *r, struct fail *fail)
{
	const struct settings *s = r->settings;

	r->username = s->web.redis_username;
	if (settings_web_password(s, &r->password, fail) == -1)
		return -1;
	if (r->password != NULL)
		return 0;
	r->username = s->redis.writer_username;
	return settings_writer_password(s, &r->password, fail);
}

static struct store_options
store_options_of(const struct recorder *r, int timeout_ms)
{
	struct store_options options = ledger_redis_options(r->settings,
	    timeout_ms);

	if (r->password != NULL) {
		options.username = r->username;
		options.password = r->password;
	}
	return options;
}

static int
open_writer(struct recorder *r, const struct store_options *options,
    struct fail *fail)
{
	struct store *writer;

	if (r->writer != NULL)
		return 0;
	if (store_open(options, &writer, fail) == -1)
		return -1;
	(void)pthread_mutex_lock(&r->lock);
	r->writer = writer;
	(void)pthread_mutex_unlock(&r->lock);
	return 0;
}

/* A Redis that must not be used now may be put right later. */
static int
open_applier(struct recorder *r, struct fail *fail)
{
	const struct store_options store = store_options_of(r, APPLY_MS);
	struct applier_options options = {
		.directory = r->settings->audit.ledger, .warn = on_warning,
		.is_stopped = is_stopped, .context = r };

	if (open_writer(r, &store, fail) == -1)
		return -1;
	options.store = r->writer;
	return r->applier != NULL ? 0 : applier_open(&options, &r->applier,
	    fail);
}

/* Did the clock go back?  Opt-ins may be of later than now then. */
static bool
went_back(struct recorder *r, int64_t now_ms)
{
	int64_t latest_ms = atomic_load(&r->latest_ms);

	while (now_ms > latest_ms && !atomic_compare_exchange_weak(
	    &r->latest_ms, &latest_ms, now_ms))
		;
	return now_ms < latest_ms;
}

static void *
keep_applying(void *argument)
{
	struct recorder *r = argument;
	struct fail fail;
	int rc = 0;

	while (wait_for_work(r, rc == -1)) {
		(void)went_back(r, clock_now_ms());
		(void)known_time_ms(r->settings->audit.ledger);
		rc = open_applier(r, &fail);
		if (rc == 0)
			rc = applier_apply(r->applier, &fail);
		if (!is_stopped(r))
			note_result(r, rc, &fail);
	}
	return NULL;
}

int
recorder_catch_up(struct recorder *r, struct fail *fail)
{
	struct timespec until = clock_deadline(clock_monotonic_ms() +
	    CATCH_UP_MS);
	uint64_t mine;
	int rc = 0;

	(void)pthread_mutex_lock(&r->lock);
	/* One that has begun may have read the end of the ledger already. */
	mine = r->begun + 1;
	r->is_due = true;
	(void)pthread_cond_signal(&r->wakes);
	while (r->ended < mine && !r->stopping && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&r->finishes, &r->lock, &until);
	rc = r->ended >= mine ? r->result : -1;
	(void)pthread_mutex_unlock(&r->lock);
	return rc == 0 ? 0 : fail_set(fail, FAIL_TEMP, "Redis does not have "
	    "all of the ledger yet");
}

/* -- recording -- */

/* By Redis.  Returns -1 when it can't be asked: nobody who clicks waits for one
 * that is away. */
static int
ask_when(struct recorder *r, const struct subject *subject, const char *list,
    int64_t now_ms, int64_t *at_ms)
{
	int64_t monotonic = clock_monotonic_ms();
	struct fail unused;

	if (r->reader == NULL || monotonic <
	    atomic_load(&r->lookups_from_ms) || !store_is_reachable(r->reader))
		return -1;
	if (when_opted_out(r->reader, subject, list, now_ms, at_ms,
	    &unused) == 0)
		return 0;
	atomic_store(&r->lookups_from_ms, monotonic + LOOKUP_PAUSE_MS);
	return -1;
}

int64_t
recorder_opt_out_ms(struct recorder *r, const struct subject *subject,
    const struct list *list)
{
	const char *id = list != NULL ? list->id : NULL;
	bool back = went_back(r, clock_now_ms());
	int64_t now_ms = known_time_ms(r->settings->audit.ledger);
	int64_t at_ms = now_ms;
	struct fail fail;

	if (ask_when(r, subject, id, now_ms, &at_ms) == 0 || !back)
		return at_ms;
	if (when_opted_out_by_ledger(r->settings->audit.ledger, subject, id,
	    now_ms, &at_ms, &fail) == -1)
		log_warn("the clock went back, and the ledger can't tell of "
		    "opt-ins before that: %s", fail.text);
	return at_ms;
}

int
recorder_opt_out(struct recorder *r, const struct subject *subject,
    const struct list *list, const char *actor, struct fail *fail)
{
	struct event event = { .kind = EVENT_WITHDRAW, .subject = *subject };

	/* Also what was recorded a moment ago: an opt-in in between may be in
	 * the ledger of another host, or in ours and not yet in Redis. */
	event.at_ms = recorder_opt_out_ms(r, subject, list);
	if (list != NULL)
		memcpy(event.list, list->id, sizeof(event.list));
	return recorder_append(r, &event, 1, actor, fail);
}

int
recorder_append(struct recorder *r, const struct event *events, size_t n,
    const char *actor, struct fail *fail)
{
	int rc = ledger_append(r->ledger, events, n, actor, fail);

	metrics_count_events(r->metrics, events, n, rc == 0);
	if (rc == -1)
		return -1;
	(void)pthread_mutex_lock(&r->lock);
	r->is_due = true;
	(void)pthread_cond_signal(&r->wakes);
	(void)pthread_mutex_unlock(&r->lock);
	return 0;
}

/* -- who looked at their data -- */

int
recorder_note_access(struct recorder *r, const struct subject *subject,
    const char *what, const unsigned char link[LINK_DETAIL_BYTES],
    struct fail *fail)
{
	struct buf body = BUF_INIT(JOURNAL_BODY_MAX), text = BUF_INIT(64);
	int rc;

	date_format(&text, clock_now_ms());
	buf_addf(&body, "\"time\":\"%s\"", buf_get(&text));
	buf_clear(&text);
	subject_format(&text, subject);
	json_add_member(&body, "subject", buf_span(&text));
	json_add_member_str(&body, "what", what);
	if (link != NULL) {
		buf_clear(&text);
		hex_format(&text, link, LINK_DETAIL_BYTES);
		json_add_member(&body, "link", buf_span(&text));
	}
	rc = journal_append(r->ledger, "access", buf_span(&body), true, NULL,
	    fail);
	buf_fini(&body);
	buf_fini(&text);
	return rc;
}

/* What an entry says of a link.  false when it says nothing. */
static bool
read_used_link(const struct journal_entry *entry, struct link *out)
{
	struct json_object *object;
	struct span subject, link, time;
	struct fail unused;
	bool found;

	if (entry->blanked || !span_is(entry->type, SPAN("access")) ||
	    json_object_parse(entry->object, &object, &unused) == -1)
		return false;
	memset(out, 0, sizeof(*out));
	out->purpose = LINK_ACCESS;
	found = json_object_string(object, "subject", &subject) == 1 &&
	    subject_parse(subject, &out->subject) == 0 &&
	    json_object_string(object, "link", &link) == 1 &&
	    hex_parse(link, out->detail, sizeof(out->detail)) == 0 &&
	    json_object_string(object, "time", &time) == 1 &&
	    date_parse(time, &out->at_ms) == 0;
	json_object_free(&object);
	return found;
}

int
recorder_used_links(const struct recorder *r, int64_t since_ms,
    void (*take)(const struct link *link, void *context), void *context,
    struct fail *fail)
{
	const char *directory = r->settings->audit.ledger;
	struct journal_reader *reader;
	struct journal_entry entry;
	struct link link;
	uint64_t from;
	int rc;

	if (journal_seq_at(directory, "ledger", since_ms, &from, fail) == -1 ||
	    journal_reader_open(directory, "ledger", from, &reader, fail) ==
	    -1)
		return -1;
	while ((rc = journal_reader_next(reader, &entry, fail)) != 0) {
		if (rc == -1 && fail->class != FAIL_INPUT)
			break;
		if (rc == 1 && read_used_link(&entry, &link) &&
		    link.at_ms >= since_ms)
			take(&link, context);
	}
	journal_reader_close(&reader);
	return rc;
}

struct store *
recorder_store(const struct recorder *r)
{
	return r->reader;
}

struct journal *
recorder_ledger(const struct recorder *r)
{
	return r->ledger;
}

const char *
recorder_fault(const struct recorder *r)
{
	const char *directory = r->settings->audit.ledger;
	struct statvfs fs;

	if (access(directory, W_OK | X_OK) == -1 ||
	    statvfs(directory, &fs) == -1)
		return "ledger-not-writable";
	if ((fs.f_flag & ST_RDONLY) != 0)
		return "ledger-read-only";
	/* One block takes several opt-outs. */
	return fs.f_bavail == 0 ? "disk-full" : NULL;
}

int64_t
recorder_behind_since_ms(struct recorder *r)
{
	int64_t since_ms;

	(void)pthread_mutex_lock(&r->lock);
	since_ms = r->behind_since_ms;
	(void)pthread_mutex_unlock(&r->lock);
	return since_ms;
}

uint64_t
recorder_backlog(const struct recorder *r)
{
	uint64_t entries = 0;
	struct fail unused;

	(void)!applier_backlog(r->settings->audit.ledger, &entries, &unused);
	return entries;
}

void
recorder_report(struct recorder *r, struct report *report)
{
	struct store *writer;

	reach_get(&r->reach, &report->reach);
	report->store_is_reachable = r->reader != NULL &&
	    store_is_reachable(r->reader);
	if (r->reader != NULL)
		store_stats_sum(r->reader, &report->store);
	(void)pthread_mutex_lock(&r->lock);
	writer = r->writer;
	(void)pthread_mutex_unlock(&r->lock);
	/* Once there, it stays. */
	if (writer != NULL)
		store_stats_sum(writer, &report->store);
	report_take_journal(report, "ledger", r->settings->audit.ledger,
	    r->ledger);
}

/* -- opening -- */

static int
open_ledger(struct recorder *r, struct fail *fail)
{
	const struct settings *s = r->settings;
	struct journal_options options = {
		.directory = s->audit.ledger, .name = "ledger",
		.host = r->host, .segment_bytes = LEDGER_SEGMENT_BYTES,
		.signer = s->checkpoint_key,
	};
	uint64_t recovered = 0;

	if (applier_mend_cursor(options.directory, fail) == -1 ||
	    journal_open(&options, &r->ledger, &recovered, fail) == -1)
		return -1;
	if (recovered != 0)
		log_warn("the ledger ended in half an entry: %llu bytes cut "
		    "off", (unsigned long long)recovered);
	return 0;
}

/* No line for the log: note_result() says what it means. */
static void
on_state(bool reachable, const char *text, void *context)
{
	reach_note(context, reachable, text);
}

/* For the look-ups.  What is wrong with Redis is no reason to refuse
 * opt-outs. */
static void
open_reader(struct recorder *r)
{
	struct store_options options = store_options_of(r,
	    r->settings->redis.timeout_ms);
	struct fail fail;

	options.on_state = on_state;
	options.context = &r->reach;
	if (store_open(&options, &r->reader, &fail) == -1) {
		reach_note(&r->reach, false, fail.text);
		log_error("%s (opt-outs are recorded all the same)",
		    fail.text);
	}
}

static int
start_thread(struct recorder *r, struct fail *fail)
{
	int err;

	clock_cond_init(&r->wakes);
	clock_cond_init(&r->finishes);
	r->is_due = true;	/* what waited while we were not there */
	err = pthread_create(&r->thread, NULL, keep_applying, r);
	return err == 0 ? 0 : fail_errno(fail, FAIL_SETUP, err,
	    "can't start a thread");
}

static void
free_recorder(struct recorder *r)
{
	applier_close(&r->applier);
	journal_close(&r->ledger);
	store_close(&r->reader);
	store_close(&r->writer);
	if (r->password != NULL)
		crypto_wipe(r->password, strlen(r->password));
	free(r->password);
	reach_fini(&r->reach);
	(void)pthread_mutex_destroy(&r->lock);
	free(r);
}

int
recorder_open(const struct settings *settings, struct metrics *metrics,
    struct recorder **out, struct fail *fail)
{
	struct recorder *r = xcalloc(1, sizeof(*r));
	struct fail blind;

	if (known_time_check(&blind) == -1)
		log_warn("opt-outs go by the clock even when it is set back: "
		    "%s", blind.text);
	r->settings = settings;
	r->metrics = metrics;
	(void)pthread_mutex_init(&r->lock, NULL);
	reach_init(&r->reach);
	if (gethostname(r->host, sizeof(r->host) - 1) == -1)
		memcpy(r->host, "localhost", sizeof("localhost"));
	if (choose_user(r, fail) == 0 &&
	    open_ledger(r, fail) == 0) {
		open_reader(r);
		if (start_thread(r, fail) == 0) {
			*out = r;
			return 0;
		}
	}
	free_recorder(r);
	return -1;
}

void
recorder_close(struct recorder **recorder)
{
	struct recorder *r = *recorder;

	if (r == NULL)
		return;
	*recorder = NULL;
	(void)pthread_mutex_lock(&r->lock);
	r->stopping = true;
	(void)pthread_cond_signal(&r->wakes);
	(void)pthread_mutex_unlock(&r->lock);
	(void)pthread_join(r->thread, NULL);
	(void)pthread_cond_destroy(&r->wakes);
	(void)pthread_cond_destroy(&r->finishes);
	free_recorder(r);
}
