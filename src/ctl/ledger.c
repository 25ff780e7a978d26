/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The ledger is the truth, Redis follows.  The file `.applied' in the ledger's
 * directory holds the sequence number up to which Redis has confirmed
 * everything without a gap (decimal, one line); whoever writes applies what
 * lies behind it, whoever wrote that.  Redis holds the same number, so that a
 * Redis that lost what it had confirmed (flushed, restored from an old dump,
 * failed over) says so itself, and gets it again.  Runs take turns under a
 * lock, and merge is idempotent, so a crash anywhere costs a repetition and no
 * more.
 */
#include <sys/file.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/date.h"
#include "base/file.h"
#include "base/json.h"
#include "base/xalloc.h"
#include "ctl/ctl.h"

#define BATCH		512	/* events applied between two steps */
#define PROGRESS_MS	100
#define LEDGER_ID_BYTES	8
#define LEDGER_ID_ROOM	32

/* A ledger that is read into Redis. */
struct source {
	const char	*directory;
	char		 id[2 * LEDGER_ID_BYTES + 1];	/* "": no entry yet */
	struct journal_reader *reader;
	uint64_t	 done;		/* the last entry that we applied */
	bool		 rebuilding;	/* Redis notes that, too */
};

struct applier {
	int		 lock_fd;
	struct source	 own;
	uint64_t	 cursor;	/* as last read or written */
	size_t		 unreadable;
	struct event	*events;	/* BATCH of them */
};

static void
path_in_ledger(const struct ctl *ctl, struct buf *out, const char *file)
{
	buf_addf(out, "%s/%s", ctl->settings->audit.ledger, file);
}

static int
open_applier(struct ctl *ctl, struct fail *fail)
{
	struct applier *a = ctl->applier;
	struct buf path = BUF_INIT(8192);

	if (a != NULL)
		return 0;
	path_in_ledger(ctl, &path, ".applied.lock");
	a = xcalloc(1, sizeof(*a));
	a->events = xcalloc(BATCH, sizeof(*a->events));
	a->own.directory = ctl->settings->audit.ledger;
	a->lock_fd = open(buf_get(&path), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	/* That others can take it too is their concern, not this run's. */
	if (a->lock_fd != -1)
		(void)!file_give_to_owner(buf_get(&path));
	ctl->applier = a;
	if (a->lock_fd == -1) {
		(void)fail_errno(fail, FAIL_SETUP, errno, "%s",
		    buf_get(&path));
		buf_fini(&path);
		return -1;
	}
	buf_fini(&path);
	return 0;
}

void
ledger_close(struct ctl *ctl)
{
	struct applier *a = ctl->applier;

	if (a == NULL)
		return;
	journal_reader_close(&a->own.reader);
	if (a->lock_fd != -1)
		(void)close(a->lock_fd);
	free(a->events);
	free(a);
	ctl->applier = NULL;
}

static int
read_cursor(const struct ctl *ctl, uint64_t *seq, struct fail *fail)
{
	struct buf path = BUF_INIT(8192), text = BUF_INIT(64);
	int rc = 0;

	*seq = 0;
	path_in_ledger(ctl, &path, ".applied");
	if (access(buf_get(&path), F_OK) == 0) {
		rc = file_read(buf_get(&path), &text, fail);
		/* What can't be read is taken as nothing: applying all again
		 * does no harm. */
		if (rc == 0 && span_to_u64(span_trim(buf_span(&text)),
		    seq) == -1)
			*seq = 0;
	}
	buf_fini(&path);
	buf_fini(&text);
	return rc;
}

static int
write_cursor(const struct ctl *ctl, uint64_t seq, struct fail *fail)
{
	struct buf path = BUF_INIT(8192), fresh = BUF_INIT(8192);
	struct buf text = BUF_INIT(64);
	int rc;

	path_in_ledger(ctl, &path, ".applied");
	path_in_ledger(ctl, &fresh, ".applied.new");
	buf_addf(&text, "%" PRIu64 "\n", seq);
	(void)unlink(buf_get(&fresh));
	rc = file_create(buf_get(&fresh), buf_span(&text), 0640, fail);
	if (rc == 0 && file_give_to_owner(buf_get(&fresh)) == -1)
		rc = fail_errno(fail, FAIL_SETUP, errno, "%s",
		    buf_get(&fresh));
	if (rc == 0 && rename(buf_get(&fresh), buf_get(&path)) == -1)
		rc = fail_errno(fail, FAIL_SETUP, errno, "%s",
		    buf_get(&path));
	buf_fini(&path);
	buf_fini(&fresh);
	buf_fini(&text);
	return rc;
}

/* Reads an event out of an entry.  Returns 1, 0 when it holds none. */
static int
event_of(struct applier *a, const struct journal_entry *entry,
    struct event *event)
{
	struct fail fail;

	if (entry->blanked || !span_is(entry->type, SPAN("event")))
		return 0;
	if (event_read(entry->object, event, &fail) == 0)
		return 1;
	ctl_warn("ledger entry %" PRIu64 " can't be read and is passed "
	    "over: %s", entry->seq, fail.text);
	a->unreadable++;
	return 0;
}

/*
 * Reads up to BATCH events behind the last one.  *seq is the last entry that
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
			ctl_warn("%s: passed over", fail->text);
			a->unreadable++;
			continue;
		}
		*seq = entry.seq;
		if (entry.seq > skip)
			n += (size_t)event_of(a, &entry, &a->events[n]);
	}
	return (ptrdiff_t)n;
}

/*
 * What tells this ledger from all others, wherever a copy of it is: the start
 * of its first chain, which has a random salt in it.
 */
static int
identify(struct source *source, struct fail *fail)
{
	struct journal_reader *reader;
	struct journal_entry entry;
	struct buf id = BUF_INIT(64);
	int rc;

	if (source->id[0] != '\0')
		return 0;
	if (journal_reader_open(source->directory, "ledger", 1, &reader,
	    fail) == -1)
		return -1;
	rc = journal_reader_next(reader, &entry, fail);
	if (rc == 1) {
		hex_format(&id, entry.chain, LEDGER_ID_BYTES);
		memcpy(source->id, buf_get(&id), sizeof(source->id));
	}
	journal_reader_close(&reader);
	buf_fini(&id);
	return rc == -1 ? -1 : 0;
}

/* How far Redis has this ledger. */
static int
redis_cursor(struct ctl *ctl, struct source *source, uint64_t *seq,
    struct fail *fail)
{
	*seq = 0;
	if (identify(source, fail) == -1)
		return -1;
	return source->id[0] == '\0' ? 0 :
	    store_cursor_get(ctl->store, source->id, seq, fail);
}

/* The name of the cursor of a rebuild that is under way. */
static void
rebuild_id(const struct source *source, char id[LEDGER_ID_ROOM])
{
	(void)snprintf(id, LEDGER_ID_ROOM, "rebuild-%s", source->id);
}

static int
note_rebuild(struct ctl *ctl, const struct source *source, uint64_t seq,
    struct fail *fail)
{
	char id[LEDGER_ID_ROOM];

	if (!source->rebuilding || source->id[0] == '\0')
		return 0;
	rebuild_id(source, id);
	return store_cursor_set(ctl->store, id, seq, fail);
}

/* Redis has all up to source->done. */
static int
keep_cursor(struct ctl *ctl, struct source *source, struct fail *fail)
{
	struct applier *a = ctl->applier;

	if (identify(source, fail) == -1 || store_cursor_set(ctl->store,
	    source->id, source->done, fail) == -1 ||
	    note_rebuild(ctl, source, source->done, fail) == -1)
		return -1;
	if (source != &a->own || source->done <= a->cursor)
		return 0;
	if (write_cursor(ctl, source->done, fail) == -1)
		return -1;
	a->cursor = source->done;
	return 0;
}

/* Applies what is behind `from' to the ledger's end, telling progress. */
static int
apply_from(struct ctl *ctl, struct source *source, uint64_t from,
    void (*progress)(size_t done, void *context), void *context,
    struct fail *fail)
{
	struct applier *a = ctl->applier;
	size_t total = 0;

	if (source->reader == NULL && journal_reader_open(source->directory,
	    "ledger", from + 1, &source->reader, fail) == -1)
		return -1;
	for (;;) {
		uint64_t seq = source->done;
		ptrdiff_t n = read_batch(a, source, from, &seq, fail);

		if (n == -1)
			return -1;
		if (n == 0 && seq == source->done)
			return 0;
		if (store_apply(ctl->store, a->events, (size_t)n, NULL,
		    fail) == -1) {
			/* Read it again the next time. */
			journal_reader_close(&source->reader);
			return -1;
		}
		source->done = seq;
		total += (size_t)n;
		if (progress != NULL)
			progress(total, context);
		if (keep_cursor(ctl, source, fail) == -1)
			return -1;
		if (ctl->interrupted != 0)
			return fail_set(fail, FAIL_TEMP, "interrupted");
	}
}

/*
 * Where to go on: what the file says, unless Redis has less.  Then the file is
 * set back first, so that the filter goes by the ledger until Redis has it
 * again.
 */
static int
find_start(struct ctl *ctl, struct fail *fail)
{
	struct applier *a = ctl->applier;
	uint64_t seq;

	if (read_cursor(ctl, &a->cursor, fail) == -1 ||
	    redis_cursor(ctl, &a->own, &seq, fail) == -1)
		return -1;
	if (seq >= a->cursor)
		return 0;
	if (a->cursor > 0)
		ctl_warn("Redis has lost what it confirmed (it has entry %"
		    PRIu64 " of %" PRIu64 "): applying the ledger again",
		    seq, a->cursor);
	if (write_cursor(ctl, seq, fail) == -1)
		return -1;
	a->cursor = seq;
	return 0;
}

int
ledger_apply(struct ctl *ctl, struct fail *fail)
{
	struct applier *a;
	int rc;

	if (open_applier(ctl, fail) == -1)
		return -1;
	a = ctl->applier;
	if (flock(a->lock_fd, LOCK_EX) == -1)
		return fail_errno(fail, FAIL_TEMP, errno, ".applied.lock");
	rc = find_start(ctl, fail);
	if (rc == 0) {
		/* A cursor that went back: somebody wants a repetition. */
		if (a->own.reader != NULL && a->cursor < a->own.done)
			journal_reader_close(&a->own.reader);
		if (a->own.reader == NULL)
			a->own.done = a->cursor;
		rc = apply_from(ctl, &a->own, a->cursor, NULL, NULL, fail);
	}
	(void)flock(a->lock_fd, LOCK_UN);
	return rc;
}

/* Who did it, for the ledger. */
void
ledger_add_actor(struct buf *out)
{
	const char *name = getenv("SUDO_USER");
	struct passwd pw, *found = NULL;
	char text[4096], number[32];

	if (name == NULL || name[0] == '\0') {
		(void)getpwuid_r(getuid(), &pw, text, sizeof(text), &found);
		(void)snprintf(number, sizeof(number), "uid %lu",
		    (unsigned long)getuid());
		name = found != NULL ? pw.pw_name : number;
	}
	json_add_member_str(out, "actor", name);
}

static int
write_ledger(struct ctl *ctl, const struct event *events, size_t n,
    struct fail *fail)
{
	struct buf *bodies = xcalloc(n, sizeof(*bodies));
	struct span *spans = xcalloc(n, sizeof(*spans));
	struct buf now = BUF_INIT(64), actor = BUF_INIT(1024);
	int rc;

	date_format(&now, clock_now_ms());
	/* A comma comes first, for add_member thinks of a member before. */
	buf_add_char(&actor, '"');
	ledger_add_actor(&actor);
	for (size_t i = 0; i < n; i++) {
		buf_init(&bodies[i], JOURNAL_BODY_MAX);
		buf_addf(&bodies[i], "\"time\":\"%s\",", buf_get(&now));
		event_format(&bodies[i], &events[i]);
		buf_add_str(&bodies[i], buf_get(&actor) + 1);
		spans[i] = buf_span(&bodies[i]);
	}
	rc = journal_append_many(ctl->ledger, "event", spans, n, true, fail);
	for (size_t i = 0; i < n; i++)
		buf_fini(&bodies[i]);
	buf_fini(&now);
	buf_fini(&actor);
	free(bodies);
	free(spans);
	return rc;
}

int
ledger_record(struct ctl *ctl, const struct event *events, size_t n,
    bool *recorded)
{
	struct fail fail;
	int rc = ctl_need_ledger(ctl);

	*recorded = false;
	if (rc != EX_OK)
		return rc;
	if (n > 0 && write_ledger(ctl, events, n, &fail) == -1) {
		ctl_warn("nothing is recorded: %s", fail.text);
		return EX_TEMPFAIL;
	}
	*recorded = true;
	rc = ctl_need_store(ctl);
	if (rc != EX_OK && n > 0)
		ctl_warn("recorded on disk; Redis gets it from the next "
		    "consentctl that can use it");
	if (rc == EX_OK && ledger_apply(ctl, &fail) == -1) {
		ctl_warn("recorded on disk, but Redis does not have it yet: "
		    "%s", fail.text);
		ctl_warn("the filter on this host goes by it already; the "
		    "next consentctl that reaches Redis applies it there");
		rc = EX_TEMPFAIL;
	}
	if (rc == EX_OK && ctl->applier->unreadable > 0)
		rc = EX_DATAERR;
	return rc;
}

struct rate {
	int64_t	start_ms, said_ms;
	bool	terminal;
};

static void
say_progress(size_t done, void *context)
{
	struct rate *rate = context;
	int64_t now = clock_monotonic_ms();
	int64_t took = now - rate->start_ms;

	if (!rate->terminal || now - rate->said_ms < PROGRESS_MS)
		return;
	rate->said_ms = now;
	fprintf(stderr, "\r%zu events, %" PRId64 "/s ", done,
	    took > 0 ? (int64_t)done * 1000 / took : 0);
}

struct rebuilding {
	struct ctl	*ctl;
	struct rate	 rate;
	bool		 anew;		/* from the first entry on */
	size_t		 before, total;	/* events: of other ledgers, of all */
};

static void
count_progress(size_t done, void *context)
{
	struct rebuilding *r = context;

	r->total = r->before + done;
	say_progress(r->total, &r->rate);
}

/* Where a rebuild was interrupted; 0 when none was.  Redis itself knows, so
 * that one that was flushed since knows nothing. */
static int
rebuild_start(struct rebuilding *r, struct source *source, uint64_t *from,
    struct fail *fail)
{
	char id[LEDGER_ID_ROOM];

	*from = 0;
	if (identify(source, fail) == -1)
		return -1;
	if (r->anew || source->id[0] == '\0')
		return 0;
	rebuild_id(source, id);
	if (store_cursor_get(r->ctl->store, id, from, fail) == -1)
		return -1;
	if (*from > 0)
		ctl_warn("%s: going on behind entry %" PRIu64 ", where the "
		    "last run was interrupted", source->directory, *from);
	return 0;
}

/* One ledger, as a whole. */
static int
rebuild_from(struct rebuilding *r, struct source *source, struct fail *fail)
{
	uint64_t from;
	int rc;

	if (rebuild_start(r, source, &from, fail) == -1)
		return -1;
	source->rebuilding = true;
	source->done = from;
	r->before = r->total;
	rc = apply_from(r->ctl, source, from, count_progress, r, fail);
	if (rc == 0)
		rc = note_rebuild(r->ctl, source, 0, fail);
	source->rebuilding = false;
	journal_reader_close(&source->reader);
	return rc;
}

static int
rebuild_all(struct rebuilding *r, char **directories, size_t n,
    struct fail *fail)
{
	int rc = rebuild_from(r, &r->ctl->applier->own, fail);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct source source = { .directory = directories[i] };

		if (access(directories[i], R_OK | X_OK) == -1)
			return fail_errno(fail, FAIL_SETUP, errno, "%s",
			    directories[i]);
		rc = rebuild_from(r, &source, fail);
	}
	return rc;
}

static const struct option options[] = {
	{ "from-start", no_argument, NULL, 's' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

/* Returns -1 to go on, or an exit code. */
static int
parse_rebuild(struct rebuilding *r, int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 's':
			r->anew = true;
			break;
		case 'h':
			ctl_help(argv[0]);
			return EX_OK;
		default:
			return ctl_usage(argv[0], "%s", "");
		}
	return -1;
}

int
command_rebuild(struct ctl *ctl, int argc, char **argv)
{
	struct rebuilding r = { .ctl = ctl, .rate = { clock_monotonic_ms(), 0,
	    ctl_is_terminal(2) } };
	struct fail fail;
	int rc = parse_rebuild(&r, argc, argv);

	if (rc != -1)
		return rc;
	if ((rc = ctl_need_ledger(ctl)) != EX_OK ||
	    (rc = ctl_need_store(ctl)) != EX_OK)
		return rc;
	if (open_applier(ctl, &fail) == -1)
		return ctl_error(&fail);
	if (flock(ctl->applier->lock_fd, LOCK_EX) == -1 ||
	    read_cursor(ctl, &ctl->applier->cursor, &fail) == -1)
		return EX_TEMPFAIL;
	rc = rebuild_all(&r, argv + optind, (size_t)(argc - optind), &fail);
	if (r.rate.terminal)
		fputs("\r\033[K", stderr);
	if (rc == -1) {
		ctl_warn("%s (after %zu events; run it again, and it goes on "
		    "there)", fail.text, r.total);
		return fail.class == FAIL_TEMP ? EX_UNAVAILABLE :
		    fail_exit_code(fail.class);
	}
	printf("%zu events applied\n", r.total);
	return ctl->applier->unreadable > 0 ? EX_DATAERR : EX_OK;
}
