/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Nearly always there is nothing to apply, and a look-up costs one atomic
 * read.  The events are few otherwise (what came in while Redis was away), so
 * a plain array serves.
 */
#include "milterd/unapplied.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "journal/journal.h"
#include "ledger/identity.h"

#define POLL_MS		300
#define UNAPPLIED_MAX	100000	/* events kept; beyond, nothing is trusted */

struct waiting {
	uint64_t	 seq;
	enum event_kind	 kind;
	struct subject	 subject;
	char		 list[LIST_NAME_MAX + 1];
	int64_t		 at_ms;
};

struct unapplied {
	char		*ledger;
	char		*cursor_path;
	unapplied_ask	 ask;
	void		*context;

	/* Of the thread alone. */
	char		 id[2 * LEDGER_ID_BYTES + 1];	/* "": no entry yet */
	struct journal_reader *reader;
	uint64_t	 confirmed;	/* events are kept from here on */
	uint64_t	 applied;	/* the highest that `.applied' ever had */
	uint64_t	 redis_has;	/* as last heard */

	pthread_rwlock_t lock;		/* for all below but `count' */
	struct waiting	*events;
	size_t		 room;
	atomic_size_t	 count;		/* written under the lock */
	atomic_bool	 unknown;	/* what waits is not known */
	char		 why[256];
};

/* 0 when the file is not there: then nothing is confirmed. */
static int
read_cursor(const struct unapplied *u, uint64_t *seq, struct fail *fail)
{
	struct buf text = BUF_INIT(64);
	int rc = 0;

	*seq = 0;
	if (access(u->cursor_path, F_OK) == -1 && errno == ENOENT)
		return 0;
	if (file_read(u->cursor_path, &text, fail) == -1)
		rc = -1;
	else if (span_to_u64(span_trim(buf_span(&text)), seq) == -1)
		rc = fail_set(fail, FAIL_SETUP, "%s holds no number",
		    u->cursor_path);
	buf_fini(&text);
	return rc;
}

static void
forget_confirmed(struct unapplied *u, uint64_t confirmed)
{
	size_t kept = 0, count = atomic_load(&u->count);

	for (size_t i = 0; i < count; i++)
		if (u->events[i].seq > confirmed)
			u->events[kept++] = u->events[i];
	atomic_store(&u->count, kept);
}

static void
keep_event(struct unapplied *u, uint64_t seq, const struct event *event)
{
	size_t count = atomic_load(&u->count);
	struct waiting *w;

	if (count == u->room) {
		u->room = u->room ? u->room * 2 : 64;
		u->events = xrealloc(u->events, u->room, sizeof(*u->events));
	}
	w = &u->events[count];
	w->seq = seq;
	w->kind = event->kind;
	w->subject = event->subject;
	memcpy(w->list, event->list, sizeof(w->list));
	w->at_ms = event->at_ms;
	atomic_store(&u->count, count + 1);
}

static void
ask_redis(struct unapplied *u)
{
	unsigned char bytes[LEDGER_ID_BYTES];
	struct buf id = BUF_INIT(64);
	struct fail unused;
	uint64_t seq;

	if (u->id[0] == '\0' &&
	    ledger_identity(u->ledger, bytes, &unused) == 1) {
		hex_format(&id, bytes, sizeof(bytes));
		memcpy(u->id, buf_get(&id), sizeof(u->id));
	}
	buf_fini(&id);
	/* While it can't be asked, no look-up succeeds either. */
	if (u->id[0] != '\0' && u->ask(u->id, &seq, u->context) == 0)
		u->redis_has = seq;
}

/* Up to where everything is in Redis.  The file first: Redis is told before
 * it. */
static int
read_confirmed(struct unapplied *u, uint64_t *confirmed, struct fail *fail)
{
	if (read_cursor(u, confirmed, fail) == -1)
		return -1;
	if (*confirmed > u->applied)
		u->applied = *confirmed;
	if (u->redis_has < *confirmed)
		*confirmed = u->redis_has;
	return 0;
}

/* What was confirmed once and is lost may have been undone on another host,
 * by an event that is lost with it. */
static bool
is_safe_when_lost(enum event_kind kind)
{
	return kind != EVENT_GRANT && kind != EVENT_CONFIRM &&
	    kind != EVENT_UNRESTRICT && kind != EVENT_ALLOW_PROFILING;
}

/* A line that can't be read is passed over: consentctl reports it, and one
 * bad line must not stop all mail. */
static void
take_entry(struct unapplied *u, const struct journal_entry *entry)
{
	struct event event;
	struct fail fail;

	if (entry->blanked || !span_is(entry->type, SPAN("event")))
		return;
	if (event_read(entry->object, &event, &fail) == 0) {
		if (entry->seq > u->applied || is_safe_when_lost(event.kind))
			keep_event(u, entry->seq, &event);
	} else
		log_warn("ledger entry %llu can't be read: %s",
		    (unsigned long long)entry->seq, fail.text);
}

/*
 * Reads what the ledger has beyond the cursor.  Under the write lock, and only
 * while there is room: what is not read yet makes all records doubtful.
 */
static int
follow(struct unapplied *u, struct fail *fail)
{
	struct journal_entry entry;
	uint64_t confirmed;
	int rc;

	if (read_confirmed(u, &confirmed, fail) == -1)
		return -1;
	if (confirmed < u->confirmed) {		/* Redis has lost some */
		journal_reader_close(&u->reader);
		atomic_store(&u->count, 0);
	}
	u->confirmed = confirmed;
	forget_confirmed(u, confirmed);
	if (u->reader == NULL && journal_reader_open(u->ledger, "ledger",
	    confirmed + 1, &u->reader, fail) == -1)
		return -1;
	for (;;) {
		if (atomic_load(&u->count) >= UNAPPLIED_MAX)
			return fail_set(fail, FAIL_TEMP, "more than %d events "
			    "of the ledger wait for Redis: run `consentctl "
			    "rebuild'", UNAPPLIED_MAX);
		rc = journal_reader_next(u->reader, &entry, fail);
		if (rc == 0)
			return 0;
		if (rc == -1 && fail->class != FAIL_INPUT)
			return -1;
		if (rc == -1)
			log_warn("%s", fail->text);
		else if (entry.seq > confirmed)
			take_entry(u, &entry);
	}
}

static int
look(struct unapplied *u, struct fail *fail)
{
	bool was_unknown = atomic_load(&u->unknown);
	int rc;

	ask_redis(u);
	(void)pthread_rwlock_wrlock(&u->lock);
	rc = follow(u, fail);
	if (rc == -1)
		(void)snprintf(u->why, sizeof(u->why), "%s", fail->text);
	atomic_store(&u->unknown, rc == -1);
	(void)pthread_rwlock_unlock(&u->lock);
	if (rc == -1 && !was_unknown)
		log_error("the ledger can't be followed, mail to lists is "
		    "deferred: %s", fail->text);
	else if (rc == 0 && was_unknown)
		log_info("the ledger can be followed again");
	return rc;
}

static void *
follow_ledger(void *argument)
{
	struct unapplied *u = argument;
	struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	struct fail fail;

	for (;;) {
		(void)nanosleep(&pause, NULL);
		(void)look(u, &fail);
	}
	return NULL;
}

int
unapplied_new(const char *ledger, unapplied_ask ask, void *context,
    struct unapplied **out, struct fail *fail)
{
	struct unapplied *u = xcalloc(1, sizeof(*u));
	struct buf path = BUF_INIT(8192);
	pthread_t thread;
	int err;

	u->ledger = xstrdup(ledger);
	u->ask = ask;
	u->context = context;
	u->redis_has = UINT64_MAX;
	buf_addf(&path, "%s/.applied", ledger);
	u->cursor_path = buf_take(&path);
	(void)pthread_rwlock_init(&u->lock, NULL);
	if (look(u, fail) == -1 && fail->class == FAIL_SETUP)
		return -1;
	err = pthread_create(&thread, NULL, follow_ledger, u);
	if (err != 0)
		return fail_errno(fail, FAIL_SETUP, err, "can't start a "
		    "thread");
	(void)pthread_detach(thread);
	*out = u;
	return 0;
}

int
unapplied_apply(struct unapplied *u, const struct subject *subject,
    const char *list, struct record *record, struct fail *fail)
{
	int rc = 0;

	if (atomic_load(&u->count) == 0 && !atomic_load(&u->unknown))
		return 0;
	(void)pthread_rwlock_rdlock(&u->lock);
	if (atomic_load(&u->unknown))
		rc = fail_set(fail, FAIL_TEMP, "%s", u->why);
	for (size_t i = 0; rc == 0 && i < atomic_load(&u->count); i++) {
		const struct waiting *w = &u->events[i];
		struct event event = { .kind = w->kind, .at_ms = w->at_ms };

		if (!subject_is(&w->subject, subject) ||
		    (w->list[0] != '\0' && strcmp(w->list, list) != 0))
			continue;
		memcpy(event.list, w->list, sizeof(event.list));
		record_apply(record, &event);
	}
	(void)pthread_rwlock_unlock(&u->lock);
	return rc;
}
