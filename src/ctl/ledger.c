/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The ledger is the truth, Redis follows.  The file `.applied' in the ledger's
 * directory holds the sequence number up to which Redis has confirmed
 * everything without a gap (decimal, one line); whoever writes applies what
 * lies behind it, whoever wrote that.  Runs take turns under a lock, and merge
 * is idempotent, so a crash anywhere costs a repetition and no more.
 */
#include <sys/file.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/date.h"
#include "base/file.h"
#include "base/json.h"
#include "base/xalloc.h"
#include "ctl/ctl.h"

#define BATCH		512	/* events applied between two steps */
#define PROGRESS_MS	100

struct applier {
	int		 lock_fd;
	struct journal_reader *reader;
	uint64_t	 cursor;	/* as last read or written */
	uint64_t	 done;		/* the last entry that we applied */
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
	journal_reader_close(&a->reader);
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
read_batch(struct applier *a, uint64_t skip, uint64_t *seq, struct fail *fail)
{
	struct journal_entry entry;
	size_t n = 0;
	int rc;

	while (n < BATCH) {
		rc = journal_reader_next(a->reader, &entry, fail);
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

/* Applies what is behind `from' to the ledger's end, telling progress. */
static int
apply_from(struct ctl *ctl, uint64_t from, bool keep_cursor,
    void (*progress)(size_t done, void *context), void *context,
    struct fail *fail)
{
	struct applier *a = ctl->applier;
	size_t total = 0;

	if (a->reader == NULL && journal_reader_open(
	    ctl->settings->audit.ledger, "ledger", from + 1, &a->reader,
	    fail) == -1)
		return -1;
	for (;;) {
		uint64_t seq = a->done;
		ptrdiff_t n = read_batch(a, from, &seq, fail);

		if (n == -1)
			return -1;
		if (n == 0 && seq == a->done)
			return 0;
		if (store_apply(ctl->store, a->events, (size_t)n, NULL,
		    fail) == -1) {
			/* Read it again the next time. */
			journal_reader_close(&a->reader);
			return -1;
		}
		a->done = seq;
		total += (size_t)n;
		if (progress != NULL)
			progress(total, context);
		if (keep_cursor && seq > a->cursor) {
			if (write_cursor(ctl, seq, fail) == -1)
				return -1;
			a->cursor = seq;
		}
		if (ctl->interrupted != 0)
			return fail_set(fail, FAIL_TEMP, "interrupted");
	}
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
	rc = read_cursor(ctl, &a->cursor, fail);
	if (rc == 0) {
		/* A cursor that went back: somebody wants a repetition. */
		if (a->reader != NULL && a->cursor < a->done)
			journal_reader_close(&a->reader);
		if (a->reader == NULL)
			a->done = a->cursor;
		rc = apply_from(ctl, a->cursor, true, NULL, NULL, fail);
	}
	(void)flock(a->lock_fd, LOCK_UN);
	return rc;
}

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

static void
count_progress(size_t done, void *context)
{
	size_t *total = ((void **)context)[0];

	*total = done;
	say_progress(done, ((void **)context)[1]);
}

int
command_rebuild(struct ctl *ctl, int argc, char **argv)
{
	struct rate rate = { clock_monotonic_ms(), 0, ctl_is_terminal(2) };
	size_t total = 0;
	void *context[] = { &total, &rate };
	struct fail fail;
	int rc = ctl_no_arguments(argc, argv);

	if (rc != -1)
		return rc;
	if ((rc = ctl_need_ledger(ctl)) != EX_OK ||
	    (rc = ctl_need_store(ctl)) != EX_OK)
		return rc;
	if (open_applier(ctl, &fail) == -1)
		return ctl_error(&fail);
	rc = apply_from(ctl, 0, false, count_progress, context, &fail);
	if (rate.terminal)
		fputs("\r\033[K", stderr);
	if (rc == -1) {
		ctl_warn("%s (after %zu events; run it again: nothing is "
		    "lost by a repetition)", fail.text, total);
		return fail.class == FAIL_TEMP ? EX_UNAVAILABLE :
		    fail_exit_code(fail.class);
	}
	printf("%zu events applied\n", total);
	/* Everything up to here is confirmed. */
	if (flock(ctl->applier->lock_fd, LOCK_EX) == 0 &&
	    read_cursor(ctl, &ctl->applier->cursor, &fail) == 0 &&
	    ctl->applier->done > ctl->applier->cursor &&
	    write_cursor(ctl, ctl->applier->done, &fail) == -1)
		return ctl_error(&fail);
	return ctl->applier->unreadable > 0 ? EX_DATAERR : EX_OK;
}
