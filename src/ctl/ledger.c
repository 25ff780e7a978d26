/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Events go to the ledger first, then Redis is brought up to its end.
 */
#include <getopt.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "ctl/applying.h"
#include "ctl/ctl.h"
#include "ctl/progress.h"
#include "ledger/append.h"
#include "ledger/applier.h"
#include "ledger/known_time.h"
#include "ledger/when.h"

#define PROGRESS_MS	100

/* Who did it, for the ledger. */
void
ledger_name_actor(char name[CTL_ACTOR_ROOM])
{
	const char *sudo = getenv("SUDO_USER");
	struct passwd pw, *found = NULL;
	char text[4096];

	if (sudo != NULL && sudo[0] != '\0') {
		(void)snprintf(name, CTL_ACTOR_ROOM, "%s", sudo);
		return;
	}
	(void)getpwuid_r(getuid(), &pw, text, sizeof(text), &found);
	if (found != NULL)
		(void)snprintf(name, CTL_ACTOR_ROOM, "%s", pw.pw_name);
	else
		(void)snprintf(name, CTL_ACTOR_ROOM, "uid %lu",
		    (unsigned long)getuid());
}

void
ledger_add_actor(struct buf *out)
{
	char name[CTL_ACTOR_ROOM];

	ledger_name_actor(name);
	json_add_member_str(out, "actor", name);
}

static void
on_progress(const char *what, uint64_t bytes, void *context)
{
	struct progress *progress = context;

	if (what == NULL)
		progress_clear(progress);
	else if (bytes == 0)
		progress_begin(progress, what);
	else
		progress_bytes(progress, bytes);
}

int
ctl_read_erasures(const char *path, bool own, struct erasures *out,
    struct journal_set announced[REDACT_JOURNALS])
{
	const struct watch watch = { .warn = ctl_on_warning };
	struct fail fail;

	return erasures_read(path, own, out, announced, &watch, &fail) == 0 ?
	    EX_OK : ctl_error(&fail);
}

int
ctl_redact(struct ctl *ctl, const struct erasures *erasures,
    struct journal_set announced[REDACT_JOURNALS], const char *why,
    uint64_t counts[REDACT_JOURNALS])
{
	struct progress progress = { .terminal = ctl_is_terminal(2) };
	const struct watch watch = { .warn = ctl_on_warning,
	    .progress = on_progress, .context = &progress };
	char actor[CTL_ACTOR_ROOM];
	const struct redaction redaction = { .settings = ctl->settings,
	    .ledger = ctl->ledger, .actor = actor, .why = why,
	    .watch = &watch };
	struct fail fail;

	ledger_name_actor(actor);
	if (why == NULL)
		return redaction_count(&redaction, erasures, counts, &fail) ==
		    0 ? EX_OK : ctl_error(&fail);
	if (redaction_run(&redaction, erasures, announced, counts, &fail) ==
	    0)
		return EX_OK;
	ctl_warn("%s", fail.text);
	ctl_warn("not everything is blanked yet: run `consentctl erase "
	    "--replay' once that is mended");
	return ctl_exit_code(&fail);
}

int
ctl_retain(struct ctl *ctl, bool dry_run, struct retention_counts *counts)
{
	const struct watch watch = { .warn = ctl_on_warning,
	    .is_stopped = ctl_is_interrupted, .context = ctl };
	char actor[CTL_ACTOR_ROOM];
	const struct redaction redaction = { .settings = ctl->settings,
	    .ledger = ctl->ledger, .actor = actor, .watch = &watch };
	struct fail fail;

	ledger_name_actor(actor);
	if (retention_run(&redaction, ctl->now_ms, dry_run, counts, &fail) ==
	    0)
		return EX_OK;
	ctl_warn("%s", fail.text);
	if (!dry_run)
		ctl_warn("not everything that is due is gone: run `consentctl "
		    "prune' again once that is mended");
	return ctl_exit_code(&fail);
}

static struct applier_options
applier_options(struct ctl *ctl)
{
	return (struct applier_options){
		.directory = ctl->settings->audit.ledger,
		.store = ctl->store, .warn = ctl_on_warning,
		.is_stopped = ctl_is_interrupted, .context = ctl };
}

/* Needs the store. */
static int
need_applier(struct ctl *ctl, struct fail *fail)
{
	const struct applier_options options = applier_options(ctl);

	return ctl->applier != NULL ? 0 :
	    applier_open(&options, &ctl->applier, fail);
}

/* Brings Redis up to the ledger's end, or sees to it that it gets there. */
static int
apply(struct ctl *ctl, struct fail *fail)
{
	if (ctl->applying != NULL)
		return applying_go_on(ctl->applying, fail);
	if (need_applier(ctl, fail) == -1)
		return -1;
	return applier_apply(ctl->applier, fail);
}

int
ledger_record(struct ctl *ctl, const struct event *events, size_t n,
    bool *recorded)
{
	char actor[CTL_ACTOR_ROOM];
	struct fail fail;
	int rc = ctl_need_ledger(ctl);

	*recorded = false;
	if (rc != EX_OK)
		return rc;
	ledger_name_actor(actor);
	if (n > 0 && ledger_append(ctl->ledger, events, n, ctl->actor != NULL ?
	    ctl->actor : actor, &fail) == -1) {
		ctl_warn("nothing is recorded: %s", fail.text);
		return EX_TEMPFAIL;
	}
	*recorded = true;
	rc = ctl_need_store(ctl);
	if (rc != EX_OK && n > 0)
		ctl_warn("recorded on disk; Redis gets it from the next "
		    "consentctl that can use it");
	if (rc == EX_OK && apply(ctl, &fail) == -1) {
		ctl_warn("%s%s", n > 0 ? "recorded on disk, but Redis may not "
		    "have it yet: " : "Redis may not have all of the ledger "
		    "yet: ", fail.text);
		if (n > 0)
			ctl_warn("the filter on this host goes by it already; "
			    "the next consentctl that reaches Redis applies it "
			    "there");
		rc = EX_TEMPFAIL;
	}
	if (rc == EX_OK && ctl->applying == NULL &&
	    applier_unreadable(ctl->applier) > 0)
		rc = EX_DATAERR;
	return rc;
}

int
ledger_apply_behind(struct ctl *ctl)
{
	struct fail fail;
	int rc = ctl_need_store(ctl);

	if (rc == EX_OK && (need_applier(ctl, &fail) == -1 ||
	    applying_begin(ctl->applier, &ctl->applying, &fail) == -1))
		rc = ctl_error(&fail);
	return rc;
}

int
ledger_wait(struct ctl *ctl, struct fail *fail)
{
	return ctl->applying == NULL ? 0 : applying_wait(ctl->applying, fail);
}

void
ledger_end_behind(struct ctl *ctl)
{
	applying_end(&ctl->applying);
}

int64_t
ledger_opt_out_ms(struct ctl *ctl, const struct subject *subject,
    const char *list)
{
	const char *directory = ctl->settings->audit.ledger;
	int64_t now_ms = known_time_ms(directory), at_ms;
	struct fail unused;

	/* What is wrong with either is told when the event is recorded. */
	if (ctl_need_store(ctl) != EX_OK || when_opted_out(ctl->store,
	    subject, list, now_ms, &at_ms, &unused) == -1)
		(void)!when_opted_out_by_ledger(directory, subject, list,
		    now_ms, &at_ms, &unused);
	return at_ms;
}

struct rate {
	int64_t	start_ms, said_ms;
	bool	terminal;
};

static void
say(size_t done, const char *what, struct rate *rate)
{
	int64_t now = clock_monotonic_ms();
	int64_t took = now - rate->start_ms;

	if (!rate->terminal || now - rate->said_ms < PROGRESS_MS)
		return;
	rate->said_ms = now;
	fprintf(stderr, "\r%zu %s, %" PRId64 "/s \033[K", done, what,
	    took > 0 ? (int64_t)done * 1000 / took : 0);
}

static void
say_progress(size_t done, void *context)
{
	say(done, "events", context);
}

static void
say_read(size_t entries, void *context)
{
	say(entries, "entries read for opt-outs", context);
}

struct rebuilding {
	struct ctl	*ctl;
	struct rate	 rate;
	bool		 anew;		/* from the first entry on */
	bool		 dry_run, json;
	size_t		 before, total;	/* events: of other ledgers, of all */
};

static void
count_progress(size_t done, void *context)
{
	struct rebuilding *r = context;

	r->total = r->before + done;
	say_progress(r->total, &r->rate);
}

/* What it would do, which needs no right to write. */
static int
count_all(struct rebuilding *r, char **directories, size_t n,
    size_t *unreadable, struct fail *fail)
{
	const struct applier_options options = applier_options(r->ctl);
	int rc = applier_count(&options, NULL, r->anew, &r->total, unreadable,
	    fail);

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = applier_count(&options, directories[i], r->anew,
		    &r->total, unreadable, fail);
	return rc;
}

static int
rebuild_all(struct rebuilding *r, char **directories, size_t n,
    struct fail *fail)
{
	struct applier *applier = r->ctl->applier;
	int rc = applier_apply_opt_outs(applier, NULL, say_read, &r->rate,
	    fail);

	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = applier_apply_opt_outs(applier, directories[i], say_read,
		    &r->rate, fail);
	r->rate.start_ms = clock_monotonic_ms();
	if (rc == 0)
		rc = applier_rebuild(applier, NULL, r->anew, count_progress, r,
		    fail);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		r->before = r->total;
		rc = applier_rebuild(applier, directories[i], r->anew,
		    count_progress, r, fail);
	}
	return rc;
}

/* Returns -1 to go on, or an exit code. */
static int
parse_rebuild(struct rebuilding *r, int argc, char **argv)
{
	int c;

	while ((c = ctl_getopt(argc, argv)) != -1)
		switch (c) {
		case 's':
			r->anew = true;
			break;
		case 'n':
			r->dry_run = true;
			break;
		case 'j':
			r->json = true;
			break;
		case 'h':
			return EX_OK;
		default:
			return EX_USAGE;
		}
	return -1;
}

static int
tell_rebuilt(const struct rebuilding *r, size_t unreadable)
{
	struct buf out = BUF_INIT(1024);

	if (r->json) {
		buf_add_char(&out, '{');
		json_add_member_i64(&out, "events", (int64_t)r->total);
		json_add_member_i64(&out, "unreadable", (int64_t)unreadable);
		json_add_member_bool(&out, "dry_run", r->dry_run);
		buf_add_char(&out, '}');
		puts(buf_get(&out));
	} else
		printf("%zu events %sapplied\n", r->total, r->dry_run ?
		    "would be " : "");
	buf_fini(&out);
	return unreadable > 0 ? EX_DATAERR : EX_OK;
}

int
command_rebuild(struct ctl *ctl, int argc, char **argv)
{
	struct rebuilding r = { .ctl = ctl, .rate = { clock_monotonic_ms(), 0,
	    ctl_is_terminal(2) } };
	size_t unreadable = 0, n;
	struct fail fail;
	int rc = parse_rebuild(&r, argc, argv);

	if (rc != -1)
		return rc;
	if ((rc = r.dry_run ? ctl_need_settings(ctl) : ctl_need_ledger(ctl)) !=
	    EX_OK || (rc = ctl_need_store(ctl)) != EX_OK)
		return rc;
	if (!r.dry_run && need_applier(ctl, &fail) == -1)
		return ctl_error(&fail);
	argv += optind;
	n = (size_t)(argc - optind);
	rc = r.dry_run ? count_all(&r, argv, n, &unreadable, &fail) :
	    rebuild_all(&r, argv, n, &fail);
	if (r.rate.terminal)
		fputs("\r\033[K", stderr);
	if (rc == -1) {
		ctl_warn("%s (after %zu events; run it again, and it goes on "
		    "there)", fail.text, r.total);
		return fail.class == FAIL_TEMP ? EX_UNAVAILABLE :
		    ctl_exit_code(&fail);
	}
	if (!r.dry_run)
		unreadable = applier_unreadable(ctl->applier);
	return tell_rebuilt(&r, unreadable);
}
