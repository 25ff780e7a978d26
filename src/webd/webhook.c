/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A ledger is known by the start of its first chain, which has a random salt
 * in it; each receiver keeps the one it was told first, for the first segment
 * may be pruned later.
 */
#include "webd/webhook.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/date.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "journal/journal.h"
#include "ledger/identity.h"
#include "net/http.h"
#include "webd/webhook_body.h"

#define POLL_MS		500	/* for the ledger's next entry */
#define REQUEST_MS	20000
#define ENTRIES_MAX	5000	/* read between two looks whether to stop */

struct receiver {
	struct webhooks	*all;
	const struct webhook *config;
	pthread_t	 thread;

	/* The thread's own. */
	char		*cursor_path;
	bool		 is_placed;	/* done holds where to go on */
	struct webhook_cursor done;	/* the end of the last request */
	bool		 keeping_fails;
	struct journal_reader *reader;
	struct webhook_batch batch;	/* behind done: what is to be told */
	unsigned	 failed_in_row;
	bool		 is_gone;	/* it answered 410 */

	/* For all, under all->lock. */
	uint64_t	 looked_seq;	/* nothing to tell up to here */
	uint64_t	 failures;
	bool		 is_failing;
	int64_t		 last_success_ms;
};

struct webhooks {
	struct settings	*settings;
	pthread_mutex_t	 lock;
	pthread_cond_t	 wakes;
	atomic_bool	 stopping;
	size_t		 count;		/* threads that run */
	struct receiver	*receivers;
};

/* -- how far it was told -- */

static void
note_looked(struct receiver *r, uint64_t seq)
{
	(void)pthread_mutex_lock(&r->all->lock);
	r->looked_seq = seq;
	(void)pthread_mutex_unlock(&r->all->lock);
}

static void
set_done(struct receiver *r, const struct webhook_cursor *cursor)
{
	r->done = *cursor;
	webhook_batch_clear(&r->batch);
	note_looked(r, cursor->seq);
}

/* A disk that is full keeps nobody from being told; a crash then costs a
 * repetition. */
static void
keep_cursor(struct receiver *r)
{
	struct buf text = BUF_INIT(200);
	struct fail fail;
	bool failed;

	webhook_cursor_format(&text, &r->done);
	failed = file_replace(r->cursor_path, buf_span(&text), 0640,
	    &fail) == -1;
	buf_fini(&text);
	if (failed && !r->keeping_fails)
		log_warn("webhook %s: how far it was told can't be kept, so it "
		    "may be told again: %s", r->config->name, fail.text);
	r->keeping_fails = failed;
}

static int
identify(const struct receiver *r, struct webhook_cursor *cursor,
    struct fail *fail)
{
	static const unsigned char none[LEDGER_ID_BYTES];

	if (memcmp(cursor->ledger, none, sizeof(none)) != 0)
		return 0;
	return ledger_identity(r->all->settings->audit.ledger, cursor->ledger,
	    fail) == -1 ? -1 : 0;
}

/* Returns 1, or 0 when it was never told, or -1 with *fail. */
static int
read_cursor(const struct receiver *r, struct webhook_cursor *cursor,
    struct fail *fail)
{
	struct buf text = BUF_INIT(200);
	int rc = 1;

	if (access(r->cursor_path, F_OK) == -1 && errno == ENOENT)
		return 0;
	if (file_read(r->cursor_path, &text, fail) == -1)
		rc = -1;
	else if (webhook_cursor_parse(buf_span(&text), cursor) == -1) {
		log_warn("webhook %s: %s can't be read, so it is told all "
		    "again", r->config->name, r->cursor_path);
		*cursor = (struct webhook_cursor){ 0 };
	}
	buf_fini(&text);
	return rc;
}

/* A new one is told what comes from now on. */
static int
place(struct receiver *r, struct fail *fail)
{
	struct webhook_cursor cursor = { 0 };
	int rc = read_cursor(r, &cursor, fail);
	bool is_new = rc == 0;

	if (is_new && !r->config->from_start)
		rc = journal_head(r->all->settings->audit.ledger, "ledger",
		    &cursor.seq, cursor.chain, fail);
	if (rc == -1 || identify(r, &cursor, fail) == -1)
		return -1;
	set_done(r, &cursor);
	r->is_placed = true;
	if (is_new) {
		keep_cursor(r);
		log_info("webhook %s is new, and told what comes after entry "
		    "%" PRIu64 " of the ledger", r->config->name, cursor.seq);
	}
	return 0;
}

/* -- reading the ledger -- */

static int
open_at(struct receiver *r, uint64_t seq, struct fail *fail)
{
	journal_reader_close(&r->reader);
	return journal_reader_open(r->all->settings->audit.ledger, "ledger",
	    seq, &r->reader, fail);
}

/* Starts with the first entry: the ledger is not the one that was told. */
static int
start_again(struct receiver *r, struct fail *fail)
{
	struct webhook_cursor start = { 0 };

	log_warn("webhook %s: the ledger does not have the entry %" PRIu64
	    " that was told (was it restored from a backup?), so all of it is "
	    "told again", r->config->name, r->done.seq);
	if (identify(r, &start, fail) == -1 || open_at(r, 1, fail) == -1)
		return -1;
	set_done(r, &start);
	return 0;
}

/* Opens the ledger behind the last entry that was told, which has to be
 * there. */
static int
open_reader(struct receiver *r, struct fail *fail)
{
	struct journal_entry entry;
	int rc;

	if (r->done.seq == 0)
		return identify(r, &r->done, fail) == -1 ? -1 :
		    open_at(r, 1, fail);
	if (open_at(r, r->done.seq, fail) == -1)
		return -1;
	do
		rc = journal_reader_next(r->reader, &entry, fail);
	while (rc == -1 && fail->class == FAIL_INPUT);
	if (rc == -1) {
		journal_reader_close(&r->reader);
		return -1;
	}
	if (rc == 1 && entry.seq > r->done.seq) {
		log_warn("webhook %s: entries before %" PRIu64 " are gone, so "
		    "they are not told", r->config->name, entry.seq);
		return open_at(r, entry.seq, fail);
	}
	return rc == 1 && memcmp(entry.chain, r->done.chain,
	    sizeof(entry.chain)) == 0 ? 0 : start_again(r, fail);
}

static bool
is_wanted(const struct receiver *r, const struct event *event)
{
	return r->config->events == 0 ||
	    (r->config->events & 1u << event->kind) != 0;
}

static void
take_entry(struct receiver *r, const struct journal_entry *entry)
{
	struct json_object *object;
	struct event event;
	struct span text;
	struct fail fail;
	int64_t recorded_ms = 0;
	int rc;

	/* The ledger's end may have been taken back and written anew. */
	if (entry->seq < r->batch.from)
		r->batch.from = entry->seq;
	r->batch.end.seq = entry->seq;
	memcpy(r->batch.end.chain, entry->chain, sizeof(entry->chain));
	if (entry->blanked || !span_is(entry->type, SPAN("event")))
		return;
	rc = json_object_parse(entry->object, &object, &fail);
	if (rc == 0) {
		rc = event_parse(object, &event, &fail);
		if (json_object_string(object, "time", &text) == 1)
			(void)!date_parse(text, &recorded_ms);
		json_object_free(&object);
	}
	if (rc == -1)
		log_warn("webhook %s: ledger entry %" PRIu64 " can't be read "
		    "and is not told: %s", r->config->name, entry->seq,
		    fail.text);
	else if (is_wanted(r, &event) && !event.restated)
		webhook_batch_add(&r->batch, entry->seq, &event, recorded_ms);
}

/* Reads on until there is enough to tell.  Returns how many entries, or -1 with
 * *fail. */
static int
read_on(struct receiver *r, struct fail *fail)
{
	struct journal_entry entry;
	int n = 0;

	while (n < ENTRIES_MAX && r->batch.count < WEBHOOK_EVENTS_MAX) {
		int rc = journal_reader_next(r->reader, &entry, fail);

		if (rc == 0)
			break;
		if (rc == -1 && fail->class != FAIL_INPUT)
			return -1;
		n++;
		if (rc == 1)
			take_entry(r, &entry);
		else
			log_warn("webhook %s: %s: passed over",
			    r->config->name, fail->text);
	}
	return n;
}

/* The same; what can't be read is read again from where it was told last. */
static int
fill(struct receiver *r, struct fail *fail)
{
	int n;

	if (r->batch.from == 0) {
		r->batch.from = r->done.seq + 1;
		r->batch.end = r->done;
	}
	n = read_on(r, fail);
	/* Where the ledger was empty before, this is the time to know it. */
	if (n == -1 || (r->batch.count > 0 && identify(r, &r->batch.end,
	    fail) == -1)) {
		webhook_batch_clear(&r->batch);
		journal_reader_close(&r->reader);
		return -1;
	}
	if (r->batch.count > 0)
		webhook_batch_finish(&r->batch);
	else
		note_looked(r, r->batch.end.seq);
	return n;
}

/* -- telling -- */

static int
read_secrets(const struct webhook *config, struct webhook_secrets *out,
    struct fail *fail)
{
	struct buf text = BUF_INIT(WEBHOOK_SECRETS_BYTES);
	int rc;

	/* At once, so that no smaller copy stays behind. */
	(void)buf_reserve(&text, WEBHOOK_SECRETS_BYTES);
	rc = file_read_secret(config->secret_file, &text, fail);
	if (rc == 0) {
		rc = webhook_secrets_parse(buf_span(&text), out, fail);
		if (rc == -1)
			(void)fail_prefix(fail, "%s", config->secret_file);
	}
	crypto_wipe(text.data, text.size);
	buf_fini(&text);
	return rc;
}

static bool
is_stopping(void *context)
{
	const struct receiver *r = context;

	return atomic_load(&r->all->stopping);
}

static int
judge(struct receiver *r, const struct http_answer *answer, struct fail *fail)
{
	r->is_gone = answer->status == 410;
	if (answer->status >= 200 && answer->status <= 299)
		return 0;
	if (r->is_gone)
		return fail_set(fail, FAIL_TEMP, "it answers 410: it does not "
		    "want to be told any more; then take it out of webhooks");
	return fail_set(fail, FAIL_TEMP, "it answers %d%s", answer->status,
	    answer->location != NULL ? ", a redirect, which is not followed: "
	    "set url to where that leads" : "");
}

static int
post_signed(struct receiver *r, struct span id, int64_t seconds,
    struct span signatures, struct fail *fail)
{
	struct buf lines[3] = { BUF_INIT(100), BUF_INIT(100), BUF_INIT(400) };
	const char *headers[] = { "Content-Type: application/json", NULL, NULL,
	    NULL, NULL };
	const struct http_request request = { .url = r->config->url,
	    .method = "POST", .body = buf_span(&r->batch.body),
	    .headers = headers, .ca_file = r->config->ca_file,
	    .timeout_ms = REQUEST_MS, .is_stopped = is_stopping,
	    .context = r };
	struct http_answer answer;
	int rc;

	buf_add_str(&lines[0], "webhook-id: ");
	buf_add_span(&lines[0], id);
	buf_addf(&lines[1], "webhook-timestamp: %" PRId64, seconds);
	buf_add_str(&lines[2], "webhook-signature: ");
	buf_add_span(&lines[2], signatures);
	for (size_t i = 0; i < 3; i++)
		headers[i + 1] = buf_get(&lines[i]);
	rc = http_send(&request, &answer, fail);
	if (rc == 0) {
		rc = judge(r, &answer, fail);
		http_answer_fini(&answer);
	}
	for (size_t i = 0; i < 3; i++)
		buf_fini(&lines[i]);
	return rc;
}

static int
post(struct receiver *r, struct fail *fail)
{
	struct webhook_secrets secrets;
	struct buf id = BUF_INIT(64), signatures = BUF_INIT(300);
	int64_t now_ms = clock_now_ms();
	int rc;

	if (read_secrets(r->config, &secrets, fail) == -1)
		return -1;
	webhook_batch_id(&id, &r->batch);
	webhook_secrets_sign(&signatures, &secrets, buf_span(&id),
	    now_ms / 1000, buf_span(&r->batch.body));
	webhook_secrets_free(&secrets);
	rc = post_signed(r, buf_span(&id), now_ms / 1000,
	    buf_span(&signatures), fail);
	buf_fini(&id);
	buf_fini(&signatures);
	return rc;
}

static void
finish(struct receiver *r)
{
	const struct webhook_cursor end = r->batch.end;

	set_done(r, &end);
	keep_cursor(r);
	(void)pthread_mutex_lock(&r->all->lock);
	r->last_success_ms = clock_now_ms();
	(void)pthread_mutex_unlock(&r->all->lock);
}

/* Returns 1 when there may be more at once, 0 at the ledger's end, or -1 with
 * *fail; then what is to be told stays as it is. */
static int
step(struct receiver *r, struct fail *fail)
{
	int n = 0;

	if (!r->is_placed && place(r, fail) == -1)
		return -1;
	if (r->reader == NULL && open_reader(r, fail) == -1)
		return -1;
	if (r->batch.count == 0 && (n = fill(r, fail)) == -1)
		return -1;
	if (r->batch.count == 0)
		return n > 0;
	if (post(r, fail) == -1)
		return -1;
	finish(r);
	return 1;
}

/* -- the thread -- */

/* Each change of state once. */
static void
note_result(struct receiver *r, int rc, const struct fail *fail, bool was_gone)
{
	bool was_failing;

	if (is_stopping(r))
		return;
	(void)pthread_mutex_lock(&r->all->lock);
	was_failing = r->is_failing;
	r->is_failing = rc == -1;
	r->failures += rc == -1;
	(void)pthread_mutex_unlock(&r->all->lock);
	if (rc == -1 && (!was_failing || (r->is_gone && !was_gone)))
		log_warn("webhook %s: not told for now, and tried until it is: "
		    "%s", r->config->name, fail->text);
	else if (rc != -1 && was_failing)
		log_info("webhook %s is told again, after %u failures",
		    r->config->name, r->failed_in_row);
	r->failed_in_row = rc == -1 ? r->failed_in_row + 1 : 0;
}

static void
pause_for(struct webhooks *w, int64_t ms)
{
	struct timespec until;

	until = clock_deadline(clock_monotonic_ms() + ms);
	(void)pthread_mutex_lock(&w->lock);
	while (!atomic_load(&w->stopping) && pthread_cond_timedwait(&w->wakes,
	    &w->lock, &until) != ETIMEDOUT)
		;
	(void)pthread_mutex_unlock(&w->lock);
}

static void *
keep_telling(void *argument)
{
	struct receiver *r = argument;
	struct fail fail;
	uint32_t random;

	while (!is_stopping(r)) {
		bool was_gone = r->is_gone;
		int rc = step(r, &fail);

		note_result(r, rc, &fail, was_gone);
		crypto_random(&random, sizeof(random));
		if (rc != 1)
			pause_for(r->all, rc == 0 ? POLL_MS :
			    webhook_pause_ms(r->failed_in_row, random));
	}
	return NULL;
}

static int
start(struct webhooks *w, size_t i, struct fail *fail)
{
	struct receiver *r = &w->receivers[i];
	struct buf path = BUF_INIT(8192);
	struct fail unused;
	int err;

	r->all = w;
	r->config = &w->settings->webhooks[i];
	buf_addf(&path, "%s/.webhook-%s", w->settings->audit.ledger,
	    r->config->name);
	r->cursor_path = buf_take(&path);
	webhook_batch_init(&r->batch);
	/* Now, for a new one is told what comes from now on.  The thread tries
	 * again and says what is wrong. */
	(void)!place(r, &unused);
	err = pthread_create(&r->thread, NULL, keep_telling, r);
	if (err != 0)
		return fail_errno(fail, FAIL_SETUP, err, "can't start a "
		    "thread");
	w->count++;
	return 0;
}

int
webhooks_open(struct settings *settings, struct webhooks **out,
    struct fail *fail)
{
	struct webhooks *w = xcalloc(1, sizeof(*w));

	w->settings = settings_get(settings);
	(void)pthread_mutex_init(&w->lock, NULL);
	clock_cond_init(&w->wakes);
	w->receivers = xcalloc(settings->webhook_count + 1,
	    sizeof(*w->receivers));
	for (size_t i = 0; i < settings->webhook_count; i++)
		if (start(w, i, fail) == -1) {
			webhooks_close(&w);
			return -1;
		}
	*out = w;
	return 0;
}

void
webhooks_close(struct webhooks **webhooks)
{
	struct webhooks *w = *webhooks;

	if (w == NULL)
		return;
	*webhooks = NULL;
	(void)pthread_mutex_lock(&w->lock);
	atomic_store(&w->stopping, true);
	(void)pthread_cond_broadcast(&w->wakes);
	(void)pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; i < w->count; i++)
		(void)pthread_join(w->receivers[i].thread, NULL);
	for (size_t i = 0; i < w->settings->webhook_count; i++) {
		journal_reader_close(&w->receivers[i].reader);
		webhook_batch_fini(&w->receivers[i].batch);
		free(w->receivers[i].cursor_path);
	}
	free(w->receivers);
	settings_put(&w->settings);
	(void)pthread_cond_destroy(&w->wakes);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}

/* -- for others -- */

size_t
webhooks_count(const struct webhooks *w)
{
	return w->count;
}

void
webhooks_status(struct webhooks *w, size_t i, struct webhook_status *out)
{
	struct receiver *r = &w->receivers[i];
	unsigned char chain[JOURNAL_CHAIN_BYTES];
	uint64_t head = 0, looked;
	struct fail unused;
	int rc = journal_head(w->settings->audit.ledger, "ledger", &head,
	    chain, &unused);

	(void)pthread_mutex_lock(&w->lock);
	*out = (struct webhook_status){ .name = r->config->name,
	    .failures = r->failures, .is_failing = r->is_failing,
	    .last_success_ms = r->last_success_ms };
	looked = r->looked_seq;
	(void)pthread_mutex_unlock(&w->lock);
	out->backlog = rc == -1 ? -1 : head <= looked ? 0 :
	    (int64_t)(head - looked);
}

int
webhooks_check(const struct settings *settings, struct fail *fail)
{
	struct webhook_secrets secrets;

	for (size_t i = 0; i < settings->webhook_count; i++) {
		if (read_secrets(&settings->webhooks[i], &secrets, fail) == -1)
			return fail_prefix(fail, "webhook %s",
			    settings->webhooks[i].name);
		webhook_secrets_free(&secrets);
	}
	return 0;
}
