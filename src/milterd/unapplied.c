/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Nearly always there is nothing to apply, and a look-up costs one atomic
 * read.  What came in while Redis was away is an array in the order of the
 * ledger, with an index by person.
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

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "journal/journal.h"
#include "ledger/applied.h"

#define POLL_MS		300
/* So long Redis may lack what it had before anybody is told: a replica that lags
 * does, and a Redis that comes back is filled again by then. */
#define TELL_MS		5000
#define REST_MS		3000	/* before a ledger that makes no sense is read again */
#define UNAPPLIED_MAX	100000	/* events kept; beyond, nothing is trusted */
#define CHAINS		16384	/* a power of two */
#define NO_EVENT	UINT32_MAX

struct waiting {
	uint32_t	 next;		/* in the same chain, or NO_EVENT */
	uint64_t	 seq;
	enum event_kind	 kind;
	struct subject	 subject;
	char		 list[LIST_NAME_MAX + 1];
	int64_t		 at_ms;
};

struct unapplied {
	struct unapplied_options options;
	char		*ledger;

	pthread_mutex_t	 looking;	/* for the next, and comes before lock */
	uint64_t	 in_redis[STORE_PARTITIONS_MAX]; /* as it said last */
	_Atomic uint64_t begun;		/* looks */
	bool		 in_vain;	/* the last one, for: */
	struct fail	 why_not;
	int64_t		 rests_until_ms;
	/* What Redis has to reach for not to lack the same any more, and since
	 * when it is waited for; 0: it lacks nothing. */
	uint64_t	 awaited[STORE_PARTITIONS_MAX];
	int64_t		 awaited_since_ms;
	atomic_bool	 is_told;
	/* By this connection or a later one; another writes it under lock. */
	_Atomic uint64_t compared;

	/* Is it worth to take the lock?  Set as soon as it may be, and taken
	 * back only by who has looked at all. */
	atomic_bool	 waits;
	atomic_bool	 has_lost;	/* the same, of lost[] */

	pthread_rwlock_t lock;		/* for all below */
	struct journal_reader *reader;
	char		 id[UNAPPLIED_ID_BYTES];	/* "": no entry yet */
	struct applied	 confirmed;	/* what is kept lies behind it */
	/* The highest that .applied has been, of each partition. */
	uint64_t	 peaks[STORE_PARTITIONS_MAX];
	bool		 lost[STORE_PARTITIONS_MAX];	/* some of that */
	uint64_t	 last;		/* the entry that was read last */
	struct waiting	*events;
	size_t		 room;
	size_t		 count;
	/* The first and last event of those whose subjects begin alike. */
	struct {
		uint32_t first, last;
	} chains[CHAINS];
	bool		 unknown;	/* what waits is not known */
	char		 why[256];
};

static int
identify(struct unapplied *u, struct fail *fail)
{
	unsigned char bytes[LEDGER_ID_BYTES];
	struct buf id = BUF_INIT(64);
	bool found;

	(void)pthread_rwlock_wrlock(&u->lock);
	if (u->id[0] == '\0' &&
	    ledger_identity(u->ledger, bytes, fail) == 1) {
		hex_format(&id, bytes, sizeof(bytes));
		memcpy(u->id, buf_get(&id), sizeof(u->id));
	}
	found = u->id[0] != '\0';
	(void)pthread_rwlock_unlock(&u->lock);
	buf_fini(&id);
	return found;
}

/* Without an answer the last one stands, *connection is 0, and *fail tells why.
 * Returns how many partitions there are. */
static unsigned
ask_redis(struct unapplied *u, uint64_t *connection, bool *answered,
    struct fail *fail)
{
	uint64_t seqs[STORE_PARTITIONS_MAX];
	unsigned partitions;
	const char *id = identify(u, fail) ? u->id : NULL;
	int rc = u->options.ask(id, &partitions, connection, seqs,
	    u->options.context, fail);

	/* Another store: of that nothing is known yet. */
	if (partitions != u->confirmed.partitions)
		memset(u->in_redis, 0xff, sizeof(u->in_redis));
	*answered = rc == 0;
	if (rc == 0)
		memcpy(u->in_redis, seqs, partitions * sizeof(*seqs));
	else if (id != NULL)
		*connection = 0;	/* not compared */
	return partitions;
}

static unsigned
partition_of(const struct unapplied *u, const struct subject *subject)
{
	return store_partition_of(subject, u->confirmed.partitions);
}

/* A subject is the output of an HMAC: nobody can choose how it begins. */
static size_t
chain_of(const struct subject *subject)
{
	return (subject->id[0] << 8 | subject->id[1]) % CHAINS;
}

static void
chain_event(struct unapplied *u, size_t i)
{
	size_t chain = chain_of(&u->events[i].subject);

	u->events[i].next = NO_EVENT;
	if (u->chains[chain].first == NO_EVENT)
		u->chains[chain].first = (uint32_t)i;
	else
		u->events[u->chains[chain].last].next = (uint32_t)i;
	u->chains[chain].last = (uint32_t)i;
}

/* Keeps the first n events. */
static void
chain_all(struct unapplied *u, size_t n)
{
	u->count = n;
	for (size_t i = 0; i < CHAINS; i++)
		u->chains[i].first = NO_EVENT;
	for (size_t i = 0; i < n; i++)
		chain_event(u, i);
}

static void
forget_confirmed(struct unapplied *u)
{
	size_t kept = 0;

	for (size_t i = 0; i < u->count; i++) {
		struct waiting *w = &u->events[i];

		if (w->seq > u->confirmed.seqs[partition_of(u, &w->subject)])
			u->events[kept++] = *w;
	}
	if (kept < u->count)
		chain_all(u, kept);
}

static void
keep_event(struct unapplied *u, uint64_t seq, const struct event *event)
{
	struct waiting *w;

	if (u->count == u->room) {
		u->room = u->room ? u->room * 2 : 64;
		u->events = xrealloc(u->events, u->room, sizeof(*u->events));
	}
	w = &u->events[u->count++];
	w->seq = seq;
	w->kind = event->kind;
	w->subject = event->subject;
	memcpy(w->list, event->list, sizeof(w->list));
	w->at_ms = event->at_ms;
	chain_event(u, u->count - 1);
	atomic_store(&u->waits, true);
}

/* A line that can't be read is passed over: consentctl reports it, and one
 * bad line must not stop all mail. */
static void
take_entry(struct unapplied *u, const struct journal_entry *entry)
{
	struct event event;
	struct fail fail;
	unsigned p;

	if (entry->blanked || !span_is(entry->type, SPAN("event")))
		return;
	if (event_read_body(entry->body, &event, &fail) == 0) {
		p = partition_of(u, &event.subject);
		if (entry->seq > u->confirmed.seqs[p] &&
		    (entry->seq > u->peaks[p] ||
		    event_kind_is_opt_out(event.kind)))
			keep_event(u, entry->seq, &event);
	} else
		log_warn("ledger entry %llu can't be read: %s",
		    (unsigned long long)entry->seq, fail.text);
}

/* What was confirmed and is not any more is read again, and so is what became
 * another: a writer whose disk is full takes entries back.  Who looks meanwhile
 * waits for the end of it (unapplied_waits). */
static void
go_back(struct unapplied *u)
{
	journal_reader_close(&u->reader);
	atomic_store(&u->waits, true);
	chain_all(u, 0);
}

static int
open_reader(struct unapplied *u, struct fail *fail)
{
	if (u->reader != NULL)
		return 0;
	u->last = u->confirmed.through;
	return journal_reader_open(u->ledger, "ledger",
	    u->confirmed.through + 1, &u->reader, fail);
}

/* Reads to the end.  Under the write lock, and only while there is room: what
 * is not read yet makes all records doubtful. */
static int
read_on(struct unapplied *u, struct fail *fail)
{
	struct journal_entry entry;
	bool again = false;
	int rc;

	for (;;) {
		if (open_reader(u, fail) == -1)
			return -1;
		if (u->count >= UNAPPLIED_MAX)
			return fail_set(fail, FAIL_TEMP, "more than %d events "
			    "of the ledger wait for Redis: run `consentctl "
			    "rebuild'", UNAPPLIED_MAX);
		rc = journal_reader_next(u->reader, &entry, fail);
		if (rc == 0)
			return 0;
		if (rc == -1 && fail->class != FAIL_INPUT)
			return -1;
		if (rc == -1) {
			log_warn("%s", fail->text);
			continue;
		}
		if (entry.seq <= u->last) {
			go_back(u);
			if (again) {
				u->rests_until_ms = clock_monotonic_ms() +
				    REST_MS;
				return fail_set(fail, FAIL_TEMP, "ledger "
				    "entry %llu comes behind one with a higher "
				    "number: run `consentctl verify'",
				    (unsigned long long)entry.seq);
			}
			again = true;
			continue;
		}
		u->last = entry.seq;
		if (entry.seq > u->confirmed.through)
			take_entry(u, &entry);
	}
}

/* Has it less than it had?  Notes the peaks. */
static bool
went_back(struct unapplied *u, const struct applied *now)
{
	bool back = now->through < u->confirmed.through;

	for (unsigned i = 0; i < now->partitions; i++)
		back |= now->seqs[i] < u->confirmed.seqs[i];
	return back;
}

static void
note_peaks(struct unapplied *u, const struct applied *now)
{
	/* Of another store, nothing has been confirmed. */
	if (now->partitions != u->confirmed.partitions)
		memset(u->peaks, 0, sizeof(u->peaks));
	for (unsigned i = 0; i < now->partitions; i++)
		if (now->seqs[i] > u->peaks[i])
			u->peaks[i] = now->seqs[i];
}

/* Which partitions have less than they had when Redis was asked?  Not more than
 * the ledger still has: one that was restored may be shorter. */
static void
note_lost(struct unapplied *u, const uint64_t *had)
{
	bool has_all = u->confirmed.through >= u->last;
	bool any = false, same = false;
	int64_t now_ms = clock_monotonic_ms();

	for (unsigned i = 0; i < u->confirmed.partitions; i++) {
		if (has_all)
			u->peaks[i] = u->confirmed.seqs[i];
		u->lost[i] = !has_all && u->in_redis[i] < had[i] &&
		    u->in_redis[i] < u->last;
		any |= u->lost[i];
		same |= u->lost[i] && u->in_redis[i] < u->awaited[i];
	}
	atomic_store(&u->has_lost, any);
	if (!any)
		u->awaited_since_ms = 0;
	else if (!same || u->awaited_since_ms == 0) {
		memcpy(u->awaited, had, sizeof(u->awaited));
		u->awaited_since_ms = now_ms;
	}
}

static void
forget_lost(struct unapplied *u)
{
	memset(u->lost, 0, sizeof(u->lost));
	atomic_store(&u->has_lost, false);
	u->awaited_since_ms = 0;
}

/* Reads what the ledger has beyond the cursor.  Under the write lock. */
static int
follow(struct unapplied *u, unsigned partitions, bool answered,
    struct fail *fail)
{
	uint64_t had[STORE_PARTITIONS_MAX];
	struct applied now;
	bool back;
	int rc;

	if (partitions == u->confirmed.partitions)
		memcpy(had, u->peaks, sizeof(had));
	else {
		memset(had, 0, sizeof(had));
		forget_lost(u);
	}
	if (applied_read(u->ledger, partitions, &now, fail) == -1) {
		fail->class = FAIL_SETUP;
		return -1;
	}
	note_peaks(u, &now);
	(void)applied_lower(&now, u->in_redis);
	back = partitions != u->confirmed.partitions || went_back(u, &now);
	u->confirmed = now;
	if (back)
		go_back(u);
	else
		forget_confirmed(u);
	rc = read_on(u, fail);
	if (rc == 0 && answered)
		note_lost(u, had);
	return rc;
}

/* It is told once, and taken back once. */
static void
tell_lost(struct unapplied *u)
{
	bool tell = u->awaited_since_ms != 0 &&
	    clock_monotonic_ms() >= u->awaited_since_ms + TELL_MS;

	if (tell == atomic_load(&u->is_told) ||
	    (!tell && u->awaited_since_ms != 0))
		return;
	atomic_store(&u->is_told, tell);
	if (tell)
		log_error("Redis lacks what it had confirmed of this host's "
		    "ledger: whose opt-in it does not know is deferred, not "
		    "refused, until it has all again (consentctl rebuild)");
	else
		log_info("Redis has all again that it had confirmed");
}

/* By one thread at a time.  Where it returns 0 and Redis was not compared, *fail
 * tells why. */
static int
look(struct unapplied *u, struct fail *fail)
{
	/* Written by us alone. */
	bool was_unknown = u->unknown, answered;
	uint64_t connection;
	struct fail asked;
	unsigned partitions;
	int rc;

	if (clock_monotonic_ms() < u->rests_until_ms)
		return fail_set(fail, FAIL_TEMP, "%s", u->why);
	atomic_fetch_add(&u->begun, 1);
	/* For who looks up in a Redis that is not the one asked here. */
	(void)fail_set(&asked, FAIL_TEMP, "another one is used by now");
	partitions = ask_redis(u, &connection, &answered, &asked);
	(void)pthread_rwlock_wrlock(&u->lock);
	rc = follow(u, partitions, answered, fail);
	if (rc == -1)
		(void)snprintf(u->why, sizeof(u->why), "%s", fail->text);
	u->unknown = rc == -1;
	atomic_store(&u->waits, u->unknown || u->count > 0);
	if (connection > atomic_load(&u->compared))
		atomic_store(&u->compared, connection);
	(void)pthread_rwlock_unlock(&u->lock);
	tell_lost(u);
	if (rc == -1 && !was_unknown)
		log_error("the ledger can't be followed, mail to lists is "
		    "deferred: %s", fail->text);
	else if (rc == 0 && was_unknown)
		log_info("the ledger can be followed again");
	if (rc == 0)
		*fail = asked;
	u->in_vain = rc == -1 || connection == 0;
	u->why_not = *fail;
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
		(void)pthread_mutex_lock(&u->looking);
		(void)look(u, &fail);
		(void)pthread_mutex_unlock(&u->looking);
	}
	return NULL;
}

/* Who follows the ledger comes before those who look up: there are so many that
 * some always hold the lock, and what waits would never be heard of. */
static void
init_locks(struct unapplied *u)
{
	pthread_rwlockattr_t attr;

	(void)pthread_mutex_init(&u->looking, NULL);
	(void)pthread_rwlockattr_init(&attr);
	(void)pthread_rwlockattr_setkind_np(&attr,
	    PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	(void)pthread_rwlock_init(&u->lock, &attr);
	(void)pthread_rwlockattr_destroy(&attr);
}

int
unapplied_new(const struct unapplied_options *options,
    struct unapplied **out, struct fail *fail)
{
	struct unapplied *u = xcalloc(1, sizeof(*u));
	pthread_t thread;
	int err;

	u->options = *options;
	u->ledger = xstrdup(options->ledger);
	init_locks(u);
	chain_all(u, 0);
	/* Twice: the first tells what Redis should have. */
	for (int i = 0; i < 2; i++)
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
unapplied_compare(struct unapplied *u, uint64_t connection, struct fail *fail)
{
	uint64_t begun = atomic_load(&u->begun);
	int rc = 0;

	if (connection <= atomic_load(&u->compared))
		return 0;
	(void)pthread_mutex_lock(&u->looking);
	/* One that began after we came has failed for us as well: whoever waits
	 * behind many would wait for as many time-outs. */
	if (connection > atomic_load(&u->compared)) {
		if (u->in_vain && atomic_load(&u->begun) != begun)
			*fail = u->why_not;
		else
			rc = look(u, fail);
	}
	(void)pthread_mutex_unlock(&u->looking);
	if (rc == 0 && connection > atomic_load(&u->compared))
		rc = fail_prefix(fail,
		    "Redis can't be compared with the ledger");
	if (rc == -1)
		fail->class = FAIL_TEMP;
	return rc;
}

void
unapplied_get(struct unapplied *u, struct unapplied_state *out)
{
	(void)pthread_rwlock_rdlock(&u->lock);
	out->events = u->count;
	out->is_known = !u->unknown;
	out->lacks = atomic_load(&u->has_lost);
	out->has_lost = atomic_load(&u->is_told);
	(void)pthread_rwlock_unlock(&u->lock);
}

bool *
unapplied_lost(struct unapplied *u, const struct subject *subjects, size_t n)
{
	bool *lost;

	if (!atomic_load(&u->has_lost))
		return NULL;
	lost = xcalloc(n, sizeof(*lost));
	(void)pthread_rwlock_rdlock(&u->lock);
	for (size_t i = 0; i < n; i++)
		lost[i] = u->lost[partition_of(u, &subjects[i])];
	(void)pthread_rwlock_unlock(&u->lock);
	return lost;
}

bool
unapplied_waits(struct unapplied *u)
{
	return atomic_load(&u->waits);
}

/* Under the lock. */
static void
put_on_top(const struct unapplied *u, const struct subject *subject,
    const char *list, struct record *record)
{
	for (uint32_t i = u->chains[chain_of(subject)].first; i != NO_EVENT;
	    i = u->events[i].next) {
		const struct waiting *w = &u->events[i];
		struct event event = { .kind = w->kind, .at_ms = w->at_ms };

		if (!subject_is(&w->subject, subject) ||
		    (w->list[0] != '\0' && strcmp(w->list, list) != 0))
			continue;
		memcpy(event.list, w->list, sizeof(event.list));
		record_apply(record, &event);
	}
}

int
unapplied_apply(struct unapplied *u, const struct subject *subject,
    const char *list, struct record *record, struct fail *fail)
{
	int rc = 0;

	if (!unapplied_waits(u))
		return 0;
	(void)pthread_rwlock_rdlock(&u->lock);
	if (u->unknown)
		rc = fail_set(fail, FAIL_TEMP, "%s", u->why);
	else
		put_on_top(u, subject, list, record);
	(void)pthread_rwlock_unlock(&u->lock);
	return rc;
}

static int
catch_up(struct unapplied *u, unsigned partitions, struct fail *fail)
{
	if (u->unknown)
		return fail_set(fail, FAIL_TEMP, "%s", u->why);
	if (u->confirmed.partitions != partitions)
		return fail_set(fail, FAIL_TEMP,
		    "Redis is being compared with the ledger");
	if (read_on(u, fail) == -1) {
		fail->class = FAIL_TEMP;
		return -1;
	}
	return 0;
}

int
unapplied_view(struct unapplied *u, unsigned partitions,
    const struct subject *subjects, size_t n, const char *list,
    struct unapplied_view *out, struct fail *fail)
{
	int rc;

	(void)pthread_rwlock_wrlock(&u->lock);
	rc = catch_up(u, partitions, fail);
	memcpy(out->id, u->id, sizeof(out->id));
	for (size_t i = 0; i < n && rc == 0; i++) {
		out->seqs[i] = u->confirmed.seqs[partition_of(u,
		    &subjects[i])];
		memset(&out->records[i], 0, sizeof(out->records[i]));
		put_on_top(u, &subjects[i], list, &out->records[i]);
	}
	(void)pthread_rwlock_unlock(&u->lock);
	return rc;
}
