/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ledger/applier.h"

#include <sys/file.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/xalloc.h"
#include "journal/journal.h"
#include "ledger/applied.h"
#include "ledger/identity.h"

#define BATCH		4096	/* events applied between two steps */
/* Between two notes of how far it is, each of which waits for Redis and the
 * disk.  What is applied twice after a crash does no harm. */
#define NOTE_MS		500
#define LEDGER_ID_ROOM	32
#define STUCK_MS	60000	/* between two tries */

/* A ledger that is read into Redis. */
struct source {
	const char	*directory;
	char		 id[2 * LEDGER_ID_BYTES + 1];	/* "": no entry yet */
	struct journal_reader *reader;
	uint64_t	 done;		/* the last entry that we applied */
	/* Of each partition: the last event that is applied, and what the
	 * cursor in Redis is now. */
	uint64_t	 seqs[STORE_PARTITIONS_MAX];
	uint64_t	 in_redis[STORE_PARTITIONS_MAX];
	bool		 rebuilding;	/* with a cursor of its own */
	bool		 stuck;		/* an event before `done' is missing */
	bool		 lost;		/* Redis was not where we left it */
};

struct applier {
	struct applier_options options;
	int		 lock_fd;
	struct source	 own;
	struct applied	 cursor;	/* as last read or written */
	unsigned	 partitions;
	size_t		 unreadable;
	struct event	*events;	/* so many */
	uint64_t	*seqs;		/* and their numbers */

	/* While the own ledger is stuck: the cursor stays before the event that
	 * Redis does not take, and that event is tried again so often. */
	uint64_t	 stuck_cursor;
	int64_t		 stuck_since_ms;
	struct fail	 stuck_fail;
};

static void warn(const struct applier *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
warn(const struct applier *a, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	a->options.warn(text, a->options.context);
}

static void
path_in_ledger(const struct applier *a, struct buf *out, const char *file)
{
	buf_addf(out, "%s/%s", a->options.directory, file);
}

int
applier_open(const struct applier_options *options, struct applier **out,
    struct fail *fail)
{
	struct applier *a = xcalloc(1, sizeof(*a));
	struct buf path = BUF_INIT(8192);
	int rc = 0;

	a->options = *options;
	a->partitions = store_partitions(options->store);
	a->events = xcalloc(BATCH, sizeof(*a->events));
	a->seqs = xcalloc(BATCH, sizeof(*a->seqs));
	a->own.directory = options->directory;
	path_in_ledger(a, &path, ".applied.lock");
	a->lock_fd = open(buf_get(&path), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	/* That others can take it too is their concern, not this run's. */
	if (a->lock_fd != -1)
		(void)!file_give_to_owner(buf_get(&path));
	else
		rc = fail_errno(fail, FAIL_SETUP, errno, "%s",
		    buf_get(&path));
	buf_fini(&path);
	if (rc == -1)
		applier_close(&a);
	*out = a;
	return rc;
}

void
applier_close(struct applier **applier)
{
	struct applier *a = *applier;

	if (a == NULL)
		return;
	*applier = NULL;
	journal_reader_close(&a->own.reader);
	if (a->lock_fd != -1)
		(void)close(a->lock_fd);
	free(a->events);
	free(a->seqs);
	free(a);
}

/* What can't be read is taken as nothing: applying all again does no harm. */
static int
read_cursor(const char *directory, unsigned partitions, struct applied *out,
    struct fail *fail)
{
	int rc = applied_read(directory, partitions, out, fail);

	return rc == -1 && fail->class != FAIL_INPUT ? -1 : 0;
}

static bool
cut_cursor(struct applied *cursor, uint64_t end)
{
	bool cut = cursor->through > end;

	if (cut)
		cursor->through = end;
	for (unsigned i = 0; i < cursor->partitions; i++)
		if (cursor->seqs[i] > end) {
			cursor->seqs[i] = end;
			cut = true;
		}
	return cut;
}

int
applier_mend_cursor(const char *directory, struct fail *fail)
{
	unsigned char chain[JOURNAL_CHAIN_BYTES];
	struct applied cursor;
	uint64_t end = 0;

	/* The end first: who appends meanwhile moves the cursor later. */
	if (journal_head(directory, "ledger", &end, chain, fail) == -1 ||
	    read_cursor(directory, STORE_PARTITIONS_MAX, &cursor, fail) == -1)
		return -1;
	if (cut_cursor(&cursor, end))
		return applied_write(directory, &cursor, fail);
	/* It has none where the file is not a cluster's. */
	for (unsigned i = 0; i < cursor.partitions; i++)
		if (cursor.seqs[i] > 0)
			return 0;
	if (read_cursor(directory, 1, &cursor, fail) == -1)
		return -1;
	return cut_cursor(&cursor, end) ?
	    applied_write(directory, &cursor, fail) : 0;
}

int
applier_backlog(const char *directory, uint64_t *entries, struct fail *fail)
{
	unsigned char chain[JOURNAL_CHAIN_BYTES];
	struct applied cursor;
	uint64_t end = 0;

	/* The cursor first: it never passes an end that is read later.  Of a
	 * cluster the first line will do, too. */
	if (read_cursor(directory, 1, &cursor, fail) == -1 ||
	    journal_head(directory, "ledger", &end, chain, fail) == -1)
		return -1;
	*entries = end > cursor.through ? end - cursor.through : 0;
	return 0;
}

/* Reads an event out of an entry.  Returns 1, 0 when it holds none. */
static int
event_of(struct applier *a, const struct journal_entry *entry,
    struct event *event)
{
	struct fail fail;

	if (entry->blanked || !span_is(entry->type, SPAN("event")))
		return 0;
	if (event_read_body(entry->body, event, &fail) == 0)
		return 1;
	warn(a, "ledger entry %" PRIu64 " can't be read and is passed "
	    "over: %s", entry->seq, fail.text);
	a->unreadable++;
	return 0;
}

/* Of numbers that count as applied, other entries have become: a writer took
 * back what it could not finish, or an older ledger was put back.  How far that
 * goes nobody knows, so all is applied again. */
static int
begin_anew(struct applier *a, struct source *source, uint64_t seq,
    struct fail *fail)
{
	const struct applied nothing = { .partitions = a->partitions };

	warn(a, "ledger entry %" PRIu64 " is another than the one that was "
	    "applied (a full disk, or an older ledger was put back): applying "
	    "the ledger again", seq);
	journal_reader_close(&source->reader);
	source->lost = true;
	if (applied_write(a->options.directory, &nothing, fail) == -1)
		return -1;
	return fail_set(fail, FAIL_TEMP, "the ledger's end is another");
}

static unsigned
partition_of(const struct applier *a, const struct event *event)
{
	return store_partition_of(&event->subject, a->partitions);
}

/*
 * Reads up to a batch of events behind the last one.  *seq is the last entry that
 * was read.  Returns how many, -1 with *fail.
 */
static ptrdiff_t
read_batch(struct applier *a, struct source *source, uint64_t skip,
    uint64_t *seq, struct fail *fail)
{
	struct journal_entry entry;
	size_t n = 0;
	int rc;

	while (n < BATCH) {
		rc = journal_reader_next(source->reader, &entry, fail);
		if (rc == 0)
			break;
		if (rc == -1 && fail->class != FAIL_INPUT)
			return -1;
		if (rc == -1) {
			warn(a, "%s: passed over", fail->text);
			a->unreadable++;
			continue;
		}
		if (entry.seq <= *seq && source == &a->own &&
		    !source->rebuilding)
			return begin_anew(a, source, entry.seq, fail);
		*seq = entry.seq;
		a->seqs[n] = entry.seq;
		/* Of another partition it may be applied already. */
		if (entry.seq > skip &&
		    event_of(a, &entry, &a->events[n]) == 1 && entry.seq >
		    source->seqs[partition_of(a, &a->events[n])])
			n++;
	}
	/* What a power cut takes away must not have been applied: its number is
	 * that of another event then, which would be taken for applied. */
	if (n > 0 && source == &a->own &&
	    journal_reader_sync(source->reader, fail) == -1)
		return -1;
	return (ptrdiff_t)n;
}

static int
identify(struct source *source, struct fail *fail)
{
	unsigned char bytes[LEDGER_ID_BYTES];
	struct buf id = BUF_INIT(64);
	int rc;

	if (source->id[0] != '\0')
		return 0;
	rc = ledger_identity(source->directory, bytes, fail);
	if (rc == 1) {
		hex_format(&id, bytes, sizeof(bytes));
		memcpy(source->id, buf_get(&id), sizeof(source->id));
	}
	buf_fini(&id);
	return rc == -1 ? -1 : 0;
}

/* How far Redis has this ledger. */
static int
redis_cursor(const struct applier *a, struct source *source,
    struct fail *fail)
{
	memset(source->in_redis, 0, sizeof(source->in_redis));
	if (identify(source, fail) == -1)
		return -1;
	return source->id[0] == '\0' ? 0 : store_cursor_get(a->options.store,
	    source->id, source->in_redis, fail);
}

/* The name of the cursor of a rebuild that is under way. */
static void
rebuild_id(const struct source *source, char id[LEDGER_ID_ROOM])
{
	(void)snprintf(id, LEDGER_ID_ROOM, "rebuild-%s", source->id);
}

/* Redis has all up to source->done, and says so itself. */
static int
keep_cursor(struct applier *a, struct source *source, struct fail *fail)
{
	struct applied cursor = { .partitions = a->partitions,
	    .through = source->done };

	if (source->stuck || source->rebuilding || source != &a->own ||
	    source->done <= a->cursor.through)
		return 0;
	memcpy(cursor.seqs, source->seqs, sizeof(cursor.seqs));
	if (applied_write(a->options.directory, &cursor, fail) == -1)
		return fail_prefix(fail, "Redis has it, which can't be noted");
	a->cursor = cursor;
	return 0;
}

static void
note_stuck(struct applier *a, struct source *source, const struct fail *fail)
{
	if (!source->stuck) {
		warn(a, "%s; everybody else's events are applied.  Delete the "
		    "damaged field or key in Redis, and run `consentctl "
		    "rebuild --from-start' with the ledgers of all hosts",
		    fail->text);
		a->stuck_fail = *fail;
		a->stuck_fail.class = FAIL_TEMP;
		a->stuck_cursor = a->cursor.through;
		a->stuck_since_ms = clock_monotonic_ms();
	}
	source->stuck = true;
}

/*
 * Applies the first n events, which reach to entry seq, with the cursor.
 * Behind one that can't be merged with what Redis has of its person the cursor
 * stays, and the others are applied all the same.
 */
static int
apply_batch(struct applier *a, struct source *source, size_t n, uint64_t seq,
    struct fail *fail)
{
	char rebuild[LEDGER_ID_ROOM];
	struct store_progress progress = { .from = source->in_redis,
	    .seqs = a->seqs, .to = seq };
	size_t at = 0, applied;
	int rc;

	if (identify(source, fail) == -1)
		return -1;
	rebuild_id(source, rebuild);
	progress.id = source->rebuilding ? rebuild : source->id;
	while (at < n || (at == 0 && !source->stuck)) {
		rc = store_apply_from(a->options.store, a->events + at, n - at,
		    source->stuck ? NULL : &progress, &applied, fail);
		source->lost = progress.lost;
		if (rc == 0)
			return 0;
		if (progress.lost)
			return fail_set(fail, FAIL_TEMP, "Redis has lost what "
			    "it confirmed just now (flushed, failed over?)");
		if (fail->class != FAIL_INPUT)
			return -1;
		note_stuck(a, source, fail);
		at += applied + 1;
	}
	return 0;
}

static bool
is_stopped(const struct applier *a)
{
	return a->options.is_stopped != NULL &&
	    a->options.is_stopped(a->options.context);
}

/* All up to entry seq is applied, the first n events among it. */
static void
note_done(const struct applier *a, struct source *source, size_t n,
    uint64_t seq)
{
	source->done = seq;
	for (size_t i = 0; i < n; i++)
		source->seqs[partition_of(a, &a->events[i])] = a->seqs[i];
	if (a->partitions == 1)
		source->seqs[0] = seq;
}

/* Applies the next batch.  Returns 1, 0 at the ledger's end, or -1. */
static int
apply_next(struct applier *a, struct source *source, uint64_t from,
    size_t *applied, struct fail *fail)
{
	uint64_t seq = source->done;
	ptrdiff_t n = read_batch(a, source, from, &seq, fail);

	if (n == -1)
		return -1;
	if (n == 0 && seq == source->done)
		return 0;
	if (apply_batch(a, source, (size_t)n, seq, fail) == -1) {
		/* Read it again the next time. */
		journal_reader_close(&source->reader);
		return -1;
	}
	note_done(a, source, (size_t)n, seq);
	*applied += (size_t)n;
	return 1;
}

/* Applies what is behind `from' to the ledger's end, telling progress. */
static int
apply_from(struct applier *a, struct source *source, uint64_t from,
    void (*progress)(size_t done, void *context), void *context,
    struct fail *fail)
{
	int64_t noted_ms = clock_monotonic_ms();
	uint64_t noted = source->done;
	bool stopped = false;
	size_t total = 0;
	int rc = 1;

	if (source->reader == NULL && journal_reader_open(source->directory,
	    "ledger", from + 1, &source->reader, fail) == -1)
		return -1;
	while (rc == 1 && !stopped) {
		rc = apply_next(a, source, from, &total, fail);
		if (rc == -1)
			return -1;
		if (rc == 1 && progress != NULL)
			progress(total, context);
		stopped = rc == 1 && is_stopped(a);
		if (rc == 1 && !stopped &&
		    clock_monotonic_ms() - noted_ms < NOTE_MS)
			continue;
		if (source->done != noted &&
		    keep_cursor(a, source, fail) == -1)
			return -1;
		noted = source->done;
		noted_ms = clock_monotonic_ms();
	}
	if (stopped)
		return fail_set(fail, FAIL_TEMP, "interrupted");
	if (!source->stuck)
		return 0;
	*fail = a->stuck_fail;
	return -1;
}

/* What Redis does not take is told of when it comes again, in its turn. */
static int
apply_apart(struct applier *a, size_t n, struct fail *fail)
{
	size_t at = 0, applied;

	while (at < n) {
		if (store_apply_from(a->options.store, a->events + at, n - at,
		    NULL, &applied, fail) == 0)
			return 0;
		if (fail->class != FAIL_INPUT)
			return -1;
		at += applied + 1;
	}
	return 0;
}

/* Who hears how many entries have been read. */
struct hearer {
	void	(*progress)(size_t entries, void *context);	/* or NULL */
	void	*context;
};

/* Is it an opt-out?  Read into *event. */
static bool
is_opt_out(const struct journal_entry *entry, struct event *event)
{
	struct fail unused;

	return !entry->blanked && span_is(entry->type, SPAN("event")) &&
	    event_read_body(entry->body, event, &unused) == 0 &&
	    event_kind_is_opt_out(event->kind);
}

/* Reads up to a batch of entries, and applies the opt-outs among them.  Returns
 * how many were read, -1 with *fail. */
static ptrdiff_t
apply_opt_outs(struct applier *a, struct journal_reader *reader, bool own,
    struct fail *fail)
{
	struct journal_entry entry;
	size_t n = 0, read = 0;
	int rc;

	while (read < BATCH &&
	    (rc = journal_reader_next(reader, &entry, fail)) != 0) {
		read++;
		if (rc == -1 && fail->class != FAIL_INPUT)
			return -1;
		if (rc == 1 && is_opt_out(&entry, &a->events[n]))
			n++;
	}
	/* As in read_batch(). */
	if (n > 0 && ((own && journal_reader_sync(reader, fail) == -1) ||
	    apply_apart(a, n, fail) == -1))
		return -1;
	return (ptrdiff_t)read;
}

/* Those behind entry `from', before anything else is applied to a Redis that has
 * lost them: mail would go out on opt-ins that come first. */
static int
apply_opt_outs_from(struct applier *a, const char *ledger, uint64_t from,
    const struct hearer *hearer, struct fail *fail)
{
	struct journal_reader *reader = NULL;
	ptrdiff_t n = journal_reader_open(ledger, "ledger", from + 1, &reader,
	    fail) == -1 ? -1 : 1;
	size_t total = 0;

	while (n > 0) {
		n = apply_opt_outs(a, reader, ledger == a->own.directory,
		    fail);
		if (n > 0)
			total += (size_t)n;
		if (n > 0 && hearer->progress != NULL)
			hearer->progress(total, hearer->context);
		if (n > 0 && is_stopped(a))
			n = fail_set(fail, FAIL_TEMP, "interrupted");
	}
	journal_reader_close(&reader);
	return (int)n;
}

/* Has what is behind the cursor been applied, but for what Redis does not take,
 * and that a short while ago? */
static bool
may_skip(const struct applier *a)
{
	return a->own.stuck && a->own.reader != NULL &&
	    a->cursor.through == a->stuck_cursor &&
	    clock_monotonic_ms() - a->stuck_since_ms < STUCK_MS;
}

/*
 * Where to go on: what the file says, unless Redis has less.  Then the file is
 * set back first, so that the filter goes by the ledger until Redis has it
 * again.
 */
static int
find_start(struct applier *a, bool *less, struct fail *fail)
{
	uint64_t had;

	if (read_cursor(a->options.directory, a->partitions, &a->cursor,
	    fail) == -1 || redis_cursor(a, &a->own, fail) == -1)
		return -1;
	had = a->cursor.through;
	*less = applied_lower(&a->cursor, a->own.in_redis);
	if (*less) {
		warn(a, "Redis has lost what it confirmed (it has entry %"
		    PRIu64 " of %" PRIu64 "): applying the ledger again",
		    a->cursor.through, had);
		if (applied_write(a->options.directory, &a->cursor, fail) ==
		    -1)
			return -1;
	}
	memcpy(a->own.seqs, a->cursor.seqs, sizeof(a->own.seqs));
	return 0;
}

static int
apply_own(struct applier *a, struct fail *fail)
{
	const struct hearer nobody = { .progress = NULL };
	bool anew = a->own.lost, less;

	a->own.lost = false;
	if (find_start(a, &less, fail) == -1)
		return -1;
	if ((anew || less) && apply_opt_outs_from(a, a->own.directory,
	    a->cursor.through, &nobody, fail) == -1)
		return -1;
	/* A cursor that went back: somebody wants a repetition.  When it has
	 * moved while we are stuck, somebody else got further. */
	if (a->own.reader != NULL && (a->own.stuck ||
	    a->cursor.through < a->own.done) && !may_skip(a))
		journal_reader_close(&a->own.reader);
	if (a->own.reader == NULL) {
		a->own.done = a->cursor.through;
		a->own.stuck = false;
	}
	return apply_from(a, &a->own, a->cursor.through, NULL, NULL, fail);
}

/* Waits for other processes that apply. */
static int
lock(const struct applier *a, struct fail *fail)
{
	if (flock(a->lock_fd, LOCK_EX) == -1)
		return fail_errno(fail, FAIL_TEMP, errno, "%s/.applied.lock",
		    a->options.directory);
	return 0;
}

/* The same, for a ledger that can be read; NULL: ours. */
static int
lock_with(const struct applier *a, const char *directory, struct fail *fail)
{
	if (directory != NULL && access(directory, R_OK | X_OK) == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s", directory);
	return lock(a, fail);
}

int
applier_apply(struct applier *a, struct fail *fail)
{
	int rc;

	if (lock(a, fail) == -1)
		return -1;
	rc = apply_own(a, fail);
	/* The Redis of a moment ago is no longer the same. */
	if (rc == -1 && a->own.lost)
		rc = apply_own(a, fail);
	(void)flock(a->lock_fd, LOCK_UN);
	return rc;
}

/* -- whole ledgers -- */

/* Where a rebuild was interrupted; 0 when none was.  Redis itself knows, so
 * that one that was flushed since knows nothing. */
static int
rebuild_start(const struct applier *a, struct source *source,
    bool from_start, struct fail *fail)
{
	char id[LEDGER_ID_ROOM];
	uint64_t last = 0;

	source->done = 0;
	memset(source->in_redis, 0, sizeof(source->in_redis));
	memset(source->seqs, 0, sizeof(source->seqs));
	if (identify(source, fail) == -1)
		return -1;
	if (source->id[0] == '\0')
		return 0;
	rebuild_id(source, id);
	if (from_start)
		return store_cursor_set(a->options.store, id, 0, fail);
	if (store_cursor_get(a->options.store, id, source->in_redis, fail) ==
	    -1)
		return -1;
	memcpy(source->seqs, source->in_redis, sizeof(source->seqs));
	for (unsigned i = 0; i < a->partitions; i++)
		if (source->seqs[i] > last)
			last = source->seqs[i];
	if (last > 0)
		warn(a, "%s: going on behind entry %" PRIu64 ", where the "
		    "last run was interrupted", source->directory, last);
	/* Partitions are not equally far, so each is read from the start. */
	if (a->partitions == 1)
		source->done = last;
	return 0;
}

/* The ledger's own cursor takes the place of that of the rebuild, which goes
 * when replicas have both. */
static int
finish_rebuild(struct applier *a, struct source *source, struct fail *fail)
{
	char id[LEDGER_ID_ROOM];
	struct store_progress progress = { .id = id,
	    .from = source->in_redis, .to = source->done,
	    .end_id = source->id, .end_to = source->seqs };

	if (identify(source, fail) == -1)
		return -1;
	if (source->id[0] == '\0')
		return 0;
	rebuild_id(source, id);
	if (store_apply_from(a->options.store, NULL, 0, &progress, NULL,
	    fail) == -1)
		return -1;
	return store_cursor_set(a->options.store, id, 0, fail);
}

/* Has Redis more than it confirmed?  Then an answer went down with a connection,
 * and what was sent again came twice; it has lost nothing. */
static bool
is_further(const struct applier *a, struct source *source)
{
	uint64_t seqs[STORE_PARTITIONS_MAX];
	char id[LEDGER_ID_ROOM];
	bool further = false;
	struct fail unused;

	rebuild_id(source, id);
	if (!source->lost || store_cursor_get(a->options.store, id, seqs,
	    &unused) == -1)
		return false;
	for (unsigned i = 0; i < a->partitions; i++) {
		if (seqs[i] < source->in_redis[i])
			return false;
		further |= seqs[i] > source->in_redis[i];
	}
	if (!further)
		return false;
	memcpy(source->in_redis, seqs, sizeof(*seqs) * a->partitions);
	memcpy(source->seqs, seqs, sizeof(*seqs) * a->partitions);
	if (a->partitions == 1)
		source->done = seqs[0];
	return true;
}

static int
rebuild_from(struct applier *a, struct source *source, bool from_start,
    void (*progress)(size_t events, void *context), void *context,
    struct fail *fail)
{
	int rc;

	if (rebuild_start(a, source, from_start, fail) == -1)
		return -1;
	source->rebuilding = true;
	source->stuck = false;
	do
		rc = apply_from(a, source, source->done, progress, context,
		    fail);
	while (rc == -1 && is_further(a, source));
	if (rc == 0)
		rc = finish_rebuild(a, source, fail);
	source->rebuilding = false;
	if (rc == 0)
		rc = keep_cursor(a, source, fail);
	journal_reader_close(&source->reader);
	return rc;
}

int
applier_apply_opt_outs(struct applier *a, const char *directory,
    void (*progress)(size_t entries, void *context), void *context,
    struct fail *fail)
{
	const struct hearer hearer = { progress, context };
	int rc;

	if (lock_with(a, directory, fail) == -1)
		return -1;
	rc = apply_opt_outs_from(a, directory == NULL ? a->own.directory :
	    directory, 0, &hearer, fail);
	(void)flock(a->lock_fd, LOCK_UN);
	return rc;
}

int
applier_rebuild(struct applier *a, const char *directory, bool from_start,
    void (*progress)(size_t events, void *context), void *context,
    struct fail *fail)
{
	struct source other = { .directory = directory };
	int rc;

	if (lock_with(a, directory, fail) == -1)
		return -1;
	journal_reader_close(&a->own.reader);
	rc = read_cursor(a->options.directory, a->partitions, &a->cursor,
	    fail);
	if (rc == 0)
		rc = rebuild_from(a, directory == NULL ? &a->own : &other,
		    from_start, progress, context, fail);
	(void)flock(a->lock_fd, LOCK_UN);
	return rc;
}

static int
count_from(struct applier *a, const struct source *source, size_t *events,
    struct fail *fail)
{
	struct journal_reader *reader;
	struct journal_entry entry;
	struct event event;
	int rc;

	if (journal_reader_open(source->directory, "ledger", source->done + 1,
	    &reader, fail) == -1)
		return -1;
	while ((rc = journal_reader_next(reader, &entry, fail)) != 0) {
		if (rc == -1 && fail->class != FAIL_INPUT)
			break;
		if (rc == -1) {
			warn(a, "%s: passed over", fail->text);
			a->unreadable++;
		} else if (event_of(a, &entry, &event) == 1)
			*events += entry.seq >
			    source->seqs[partition_of(a, &event)];
		if (is_stopped(a)) {
			rc = fail_set(fail, FAIL_TEMP, "interrupted");
			break;
		}
	}
	journal_reader_close(&reader);
	return rc;
}

int
applier_count(const struct applier_options *options, const char *directory,
    bool from_start, size_t *events, size_t *unreadable, struct fail *fail)
{
	struct applier a = { .options = *options, .lock_fd = -1,
	    .partitions = 1 };
	struct source source = { .directory = directory != NULL ? directory :
	    options->directory };
	int rc = 0;

	a.partitions = 1;

	if (access(source.directory, R_OK | X_OK) == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s",
		    source.directory);
	/* From the start is a note in Redis: not here. */
	if (!from_start) {
		a.partitions = store_partitions(options->store);
		rc = rebuild_start(&a, &source, false, fail);
	}
	if (rc == 0)
		rc = count_from(&a, &source, events, fail);
	*unreadable += a.unreadable;
	return rc;
}

size_t
applier_unreadable(const struct applier *a)
{
	return a->unreadable;
}
