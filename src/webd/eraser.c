/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/eraser.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "rights/redaction.h"

#define RETRY_MS	60000

struct eraser {
	const struct settings *settings;
	struct recorder	*recorder;
	char		*marker;
	pthread_t	 thread;
	pthread_mutex_t	 lock;		/* for what follows */
	pthread_cond_t	 wakes;
	uint64_t	 asked, done;	/* how often */
	/* Prepared, and perhaps recorded by now: the file has to stay.  One
	 * that is not recorded after all counts until the end, which costs a
	 * look at the ledger at the next start. */
	uint64_t	 prepared;
	atomic_bool	 stopping;
};

static void
on_warning(const char *text, void *context)
{
	(void)context;
	log_warn("erasure: %s", text);
}

static bool
is_stopped(void *context)
{
	struct eraser *e = context;

	return atomic_load(&e->stopping);
}

/* Redis has the event by now, or gets it; its files are another matter. */
static void
compact(const struct eraser *e)
{
	struct store *store = recorder_store(e->recorder);
	struct fail fail;
	bool asked = false;

	if (store == NULL)
		(void)fail_set(&fail, FAIL_TEMP, "Redis is away");
	else if (store_compact(store, &asked, &fail) == 0 && asked)
		return;
	log_warn("erasure: Redis was not asked to rewrite its files, which "
	    "hold what was erased until it does: %s", fail.text);
}

/* All erasures of our ledger: those that are done cost only the reading. */
static int
run(struct eraser *e, struct fail *fail)
{
	const struct watch watch = { .warn = on_warning,
	    .is_stopped = is_stopped, .context = e };
	const struct redaction redaction = { .settings = e->settings,
	    .ledger = recorder_ledger(e->recorder),
	    .actor = "consent-web", .why = "erasure", .watch = &watch };
	struct journal_set announced[REDACT_JOURNALS] = { { .count = 0 } };
	uint64_t counts[REDACT_JOURNALS] = { 0 };
	struct erasures erasures = { .count = 0 };
	int rc = erasures_read(e->settings->audit.ledger, true, &erasures,
	    announced, &watch, fail);

	erasures_tidy(&erasures);
	if (rc == 0)
		rc = redaction_run(&redaction, &erasures, announced, counts,
		    fail);
	if (rc == 0) {
		log_info("erasure: %" PRIu64 " entries of the ledger and %"
		    PRIu64 " of the decision log blanked",
		    counts[REDACT_LEDGER], counts[REDACT_DECISIONS]);
		compact(e);
	}
	erasures_fini(&erasures);
	for (int i = 0; i < REDACT_JOURNALS; i++)
		journal_set_fini(&announced[i]);
	return rc;
}

/* The file goes only when nobody asked meanwhile. */
static void
finish(struct eraser *e, uint64_t until)
{
	(void)pthread_mutex_lock(&e->lock);
	e->done = until;
	if (e->asked == until && e->prepared == 0 && unlink(e->marker) == 0)
		(void)!file_sync_directory(e->settings->audit.ledger);
	(void)pthread_mutex_unlock(&e->lock);
}

static void
pause_before_retry(struct eraser *e)
{
	struct timespec until = clock_deadline(clock_monotonic_ms() +
	    RETRY_MS);

	(void)pthread_mutex_lock(&e->lock);
	while (!atomic_load(&e->stopping) && pthread_cond_timedwait(&e->wakes,
	    &e->lock, &until) != ETIMEDOUT)
		;
	(void)pthread_mutex_unlock(&e->lock);
}

/* false at the end. */
static bool
wait_for_work(struct eraser *e, uint64_t *until)
{
	bool go_on;

	(void)pthread_mutex_lock(&e->lock);
	while (!atomic_load(&e->stopping) && e->asked == e->done)
		(void)pthread_cond_wait(&e->wakes, &e->lock);
	*until = e->asked;
	go_on = !atomic_load(&e->stopping);
	(void)pthread_mutex_unlock(&e->lock);
	return go_on;
}

static void *
work(void *argument)
{
	struct eraser *e = argument;
	struct fail fail;
	uint64_t until;

	while (wait_for_work(e, &until)) {
		if (run(e, &fail) == 0) {
			finish(e, until);
			continue;
		}
		if (atomic_load(&e->stopping))
			break;
		log_error("not everything is erased yet, and it is tried "
		    "again each minute: %s", fail.text);
		pause_before_retry(e);
	}
	return NULL;
}

int
eraser_prepare(struct eraser *e, struct fail *fail)
{
	int fd, rc = 0;

	(void)pthread_mutex_lock(&e->lock);
	fd = open(e->marker, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW,
	    0640);
	e->prepared += fd != -1;
	(void)pthread_mutex_unlock(&e->lock);
	if (fd == -1 || fsync(fd) == -1 ||
	    file_sync_directory(e->settings->audit.ledger) == -1)
		rc = fail_errno(fail, FAIL_TEMP, errno, "%s", e->marker);
	if (fd != -1)
		(void)close(fd);
	return rc;
}

void
eraser_begin(struct eraser *e)
{
	(void)pthread_mutex_lock(&e->lock);
	e->asked++;
	e->prepared -= e->prepared > 0;
	(void)pthread_cond_broadcast(&e->wakes);
	(void)pthread_mutex_unlock(&e->lock);
}

int
eraser_open(const struct settings *settings, struct recorder *recorder,
    struct eraser **out, struct fail *fail)
{
	struct eraser *e = xcalloc(1, sizeof(*e));
	struct buf marker = BUF_INIT(8192);
	int err;

	e->settings = settings;
	e->recorder = recorder;
	buf_addf(&marker, "%s/.erasing", settings->audit.ledger);
	e->marker = buf_take(&marker);
	(void)pthread_mutex_init(&e->lock, NULL);
	clock_cond_init(&e->wakes);
	if (access(e->marker, F_OK) == 0)
		e->asked = 1;
	err = pthread_create(&e->thread, NULL, work, e);
	if (err != 0) {
		free(e->marker);
		free(e);
		return fail_errno(fail, FAIL_SETUP, err,
		    "can't start a thread");
	}
	*out = e;
	return 0;
}

void
eraser_close(struct eraser **eraser)
{
	struct eraser *e = *eraser;

	if (e == NULL)
		return;
	*eraser = NULL;
	atomic_store(&e->stopping, true);
	(void)pthread_mutex_lock(&e->lock);
	(void)pthread_cond_broadcast(&e->wakes);
	(void)pthread_mutex_unlock(&e->lock);
	(void)pthread_join(e->thread, NULL);
	(void)pthread_cond_destroy(&e->wakes);
	(void)pthread_mutex_destroy(&e->lock);
	free(e->marker);
	free(e);
}
