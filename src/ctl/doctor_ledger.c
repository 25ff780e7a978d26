/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The ledger and the decision log: who can write them, whether there is room,
 * and whether they end well.  All of a chain is for verify; here the last file
 * is read, if it is not large.
 */
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/date.h"
#include "base/file.h"
#include "ctl/doctor.h"
#include "journal/verify.h"

#define VERIFY_BYTES	(64 * 1024 * 1024)	/* of the last file */
#define FILES_SHOWN	5
#define MIB		UINT64_C(1048576)
#define DAY_MS		INT64_C(86400000)
#define SLACK_DAYS	3	/* of a file that holds a whole day */
#define PRUNE_DAYS	31	/* it is meant to run each day */
/* Of "-YYYYMMDD-NNNNNN.jsonl", behind a journal's name. */
#define NAME_NUMBER	10
#define NAME_REST	22

struct place {
	const char *directory;
	const char *journal;	/* the name of its files */
	const char *what;	/* for people */
};

/* -- room -- */

static void
judge_room(struct doctor *d, const char *path)
{
	struct findings *f = &d->findings;
	struct statvfs fs;
	uint64_t mib, percent, files;

	if (statvfs(path, &fs) == -1) {
		findings_add(f, "disk", FINDING_SKIPPED, "%s can't be looked "
		    "at by who runs this", path);
		findings_fix(f, "run it as root");
		return;
	}
	mib = (uint64_t)fs.f_bavail * fs.f_frsize / MIB;
	percent = fs.f_blocks == 0 ? 100 :
	    (uint64_t)fs.f_bavail * 100 / fs.f_blocks;
	/* Some file systems have no number of files. */
	files = fs.f_files == 0 ? UINT64_MAX : (uint64_t)fs.f_favail;
	if ((fs.f_flag & ST_RDONLY) != 0) {
		findings_add(f, "disk", FINDING_FAIL, "%s is on a file system "
		    "that is mounted read-only: no event and no decision can "
		    "be recorded, and mail waits", path);
		findings_fix(f, "mount -o remount,rw, once the kernel's log "
		    "says why; systemd: ReadWritePaths=%s", path);
	} else if (mib < 16 || files < 64) {
		findings_add(f, "disk", FINDING_FAIL, "the disk of %s is full "
		    "(%" PRIu64 " MiB left%s): no event and no decision can be "
		    "recorded, and mail waits", path, mib, files < 64 ?
		    ", and hardly a file" : "");
		findings_fix(f, "make room there; consentctl prune, which has "
		    "to record what it removes, can't begin on a full disk");
	} else if (percent < 5 && mib < 2048) {
		findings_add(f, "disk", FINDING_WARN, "the disk of %s has %"
		    PRIu64 " MiB left", path, mib);
		findings_fix(f, "make room there, or consentctl prune");
	} else
		findings_add(f, "disk", FINDING_OK, "%s has %" PRIu64 " MiB of "
		    "room", path, mib);
}

/* Is it there, and on another disk? */
static bool
is_elsewhere(const char *path, const char *other)
{
	struct stat a, b;

	return stat(path, &a) == 0 && stat(other, &b) == 0 &&
	    a.st_dev != b.st_dev;
}

/* -- owners -- */

static void
judge_owner(struct doctor *d, const char *path, const struct stat *st,
    size_t *bad)
{
	if (reach_path(&d->user, path, REACH_READ | REACH_WRITE, NULL, 0) !=
	    REACH_NO || ++*bad > FILES_SHOWN)
		return;
	findings_add(&d->findings, "owner", FINDING_FAIL, "%s belongs to uid "
	    "%u (mode %04o), and the daemons' user \"%s\" can't write to it: "
	    "nothing more is recorded there", path, (unsigned)st->st_uid,
	    (unsigned)st->st_mode & 07777, d->user_name);
	findings_fix(&d->findings, "chown %s: %s", d->user_name, path);
}

static bool
is_ours(const char *file)
{
	return strncmp(file, "ledger-", 7) == 0 ||
	    strncmp(file, "decisions-", 10) == 0 ||
	    strncmp(file, ".applied", 8) == 0 ||
	    strncmp(file, ".webhook-", 9) == 0 ||
	    strcmp(file, ".pruned") == 0 ||
	    strncmp(file, ".ledger", 7) == 0 ||
	    strncmp(file, ".decisions", 10) == 0;
}

/* All files in it that are ours, and it. */
static void
judge_owners(struct doctor *d, const char *directory, size_t *bad)
{
	struct dirent *entry;
	char path[PATH_MAX];
	struct stat st;
	DIR *dir = opendir(directory);

	if (dir == NULL)
		return;
	if (stat(directory, &st) == 0)
		judge_owner(d, directory, &st, bad);
	while ((entry = readdir(dir)) != NULL) {
		int n = snprintf(path, sizeof(path), "%s/%s", directory,
		    entry->d_name);

		if (is_ours(entry->d_name) && n > 0 && n < PATH_MAX &&
		    stat(path, &st) == 0 && S_ISREG(st.st_mode))
			judge_owner(d, path, &st, bad);
	}
	(void)closedir(dir);
}

/* -- how they end -- */

/* The last file of a journal by its name, and the first. */
static bool
find_files(const struct place *p, char last[PATH_MAX], char first[NAME_MAX + 1])
{
	size_t len = strlen(p->journal);
	char name[NAME_MAX + 1] = "";
	struct dirent *entry;
	DIR *dir = opendir(p->directory);
	int n;

	if (dir == NULL)
		return false;
	first[0] = '\0';
	while ((entry = readdir(dir)) != NULL) {
		const char *one = entry->d_name;
		size_t size = strlen(one);

		if (strncmp(one, p->journal, len) != 0 || one[len] != '-' ||
		    size != len + NAME_REST ||
		    strcmp(one + size - 6, ".jsonl") != 0)
			continue;
		/* By number: a clock that was set back changes the days. */
		if (name[0] == '\0' || strcmp(one + len + NAME_NUMBER,
		    name + len + NAME_NUMBER) > 0)
			(void)snprintf(name, sizeof(name), "%s", one);
		if (first[0] == '\0' || strcmp(one + len + NAME_NUMBER,
		    first + len + NAME_NUMBER) < 0)
			(void)snprintf(first, NAME_MAX + 1, "%s", one);
	}
	(void)closedir(dir);
	n = snprintf(last, PATH_MAX, "%s/%s", p->directory, name);
	return name[0] != '\0' && n > 0 && n < PATH_MAX;
}

/* Does the file end in half a line, twice in a row?  Somebody may be writing
 * it. */
static bool
is_torn(const char *path)
{
	const struct timespec pause = { 0, 200 * 1000000 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool torn = true;
	struct stat st;
	char c;

	if (fd == -1)
		return false;
	for (int i = 0; torn && i < 2; i++) {
		if (i > 0)
			(void)nanosleep(&pause, NULL);
		torn = fstat(fd, &st) == 0 && st.st_size > 0 &&
		    pread(fd, &c, 1, st.st_size - 1) == 1 && c != '\n';
	}
	(void)close(fd);
	return torn;
}

struct problems_seen {
	uint64_t count;
	char	 text[512];
};

static void
on_problem(const struct journal_problem *p, void *context)
{
	struct problems_seen *seen = context;

	/* Somebody may be writing: these two end by themselves. */
	if (p->fault == FAULT_TORN || p->fault == FAULT_UNSIGNED)
		return;
	if (seen->count++ == 0)
		(void)snprintf(seen->text, sizeof(seen->text), "%s:%" PRIu64
		    ": %s", p->file, p->line, p->text);
}

static void
judge_checkpoint(struct doctor *d, const struct place *p,
    const struct journal_tally *t)
{
	struct findings *f = &d->findings;
	char text[32];

	/* One that holds no more than its beginning has none yet. */
	if (d->settings->checkpoint_key == NULL || t->entries <= 1)
		return;
	if (t->covered_seq != 0 && (t->last_seq <= t->covered_seq + 1 ||
	    d->now_ms - t->covered_ms < DAY_MS)) {
		findings_add(f, "checkpoints", FINDING_OK, "the %s has a "
		    "checkpoint of %s ago", p->what, doctor_span_of_time(
		    d->now_ms - t->covered_ms, text));
		return;
	}
	findings_add(f, "checkpoints", FINDING_WARN, "no signed checkpoint "
	    "covers the end of the %s: what is changed there now, nobody can "
	    "prove", p->what);
	findings_fix(f, "systemctl restart consent-milter consent-web, which "
	    "read checkpoint.key when they start");
}

/* By the checkpoints' key, where we have it. */
static void
verify_last(struct doctor *d, const struct place *p, const char *path)
{
	unsigned char key[CRYPTO_PUBLIC_BYTES];
	struct problems_seen seen = { 0, "" };
	struct journal_verify_options options = { .name = p->journal,
	    .on_problem = on_problem, .context = &seen };
	struct findings *f = &d->findings;
	struct journal_verifier *verifier;
	struct journal_tally tally;
	struct fail fail;

	if (d->settings->checkpoint_key != NULL) {
		crypto_signer_public(d->settings->checkpoint_key, key);
		options.key = key;
	}
	verifier = journal_verifier_new(&options);
	if (journal_verifier_file(verifier, path, &fail) == -1) {
		findings_add(f, "chain", FINDING_SKIPPED, "%s", fail.text);
		journal_verifier_free(&verifier);
		return;
	}
	journal_verifier_finish(verifier, &tally);
	if (seen.count == 0)
		findings_add(f, "chain", FINDING_OK, "the last file of the %s "
		    "is as it was written (consentctl verify checks all of "
		    "it)", p->what);
	else {
		findings_add(f, "chain", FINDING_FAIL, "the %s is not as it "
		    "was written: %s", p->what, seen.text);
		findings_fix(f, "consentctl verify tells all; compare with a "
		    "backup before anything else is done");
	}
	judge_checkpoint(d, p, &tally);
	journal_verifier_free(&verifier);
}

/* The day in the name of a journal's file; 0 where it is none. */
static int64_t
begun_ms(const struct place *p, const char *file)
{
	struct span day = span_head(span_from(span_str(file),
	    strlen(p->journal) + 1), 8);
	struct buf date = BUF_INIT(32);
	int64_t ms = 0;

	buf_addf(&date, "%.4s-%.2s-%.2s", (const char *)day.p,
	    (const char *)day.p + 4, (const char *)day.p + 6);
	if (date_parse(buf_span(&date), &ms) == -1)
		ms = 0;
	buf_fini(&date);
	return ms;
}

static void
fix_pruning(struct doctor *d)
{
	findings_fix(&d->findings, "cron: 17 3 * * * %s consentctl prune",
	    d->user_name[0] != '\0' ? d->user_name : "root");
}

/* Pruning removes whole files. */
static void
judge_retention(struct doctor *d, const struct place *p, const char *first)
{
	struct duration keep = d->settings->retention.decisions;
	int64_t ms = begun_ms(p, first);
	struct findings *f = &d->findings;

	if (ms == 0 || !duration_is_set(keep))
		return;
	if (date_add(ms, keep) + SLACK_DAYS * DAY_MS >= d->now_ms) {
		findings_add(f, "retention", FINDING_OK, "the decision log is "
		    "not older than it may be");
		return;
	}
	findings_add(f, "retention", FINDING_WARN, "the decision log begins "
	    "with %s, and is kept longer than retention.decisions says",
	    first);
	fix_pruning(d);
}

/* Of the ledger it removes parts of entries, and notes when. */
static void
judge_pruning(struct doctor *d, const struct place *p, const char *first)
{
	int64_t ms = begun_ms(p, first), pruned_ms = 0;
	struct findings *f = &d->findings;
	char path[PATH_MAX], text[32];
	struct stat st;
	int n = snprintf(path, sizeof(path), "%s/.pruned", p->directory);

	if (ms == 0 || d->now_ms - ms < PRUNE_DAYS * DAY_MS ||
	    n < 0 || n >= PATH_MAX)
		return;
	if (stat(path, &st) == 0)
		pruned_ms = (int64_t)st.st_mtime * 1000;
	if (d->now_ms - pruned_ms < PRUNE_DAYS * DAY_MS)
		findings_add(f, "prune", FINDING_OK, "consentctl prune ran %s "
		    "ago", doctor_span_of_time(d->now_ms - pruned_ms, text));
	else {
		findings_add(f, "prune", FINDING_WARN, "consentctl prune has "
		    "not run for %s: proof, IP addresses and sign-ups are kept "
		    "longer than `retention' says", doctor_span_of_time(
		    d->now_ms - (pruned_ms != 0 ? pruned_ms : ms), text));
		fix_pruning(d);
	}
}

static void
judge_end(struct doctor *d, const struct place *p)
{
	unsigned char chain[JOURNAL_CHAIN_BYTES];
	char last[PATH_MAX], first[NAME_MAX + 1];
	struct findings *f = &d->findings;
	struct fail fail;
	struct stat st;
	uint64_t seq;

	if (!find_files(p, last, first))
		return;
	if (journal_head(p->directory, p->journal, &seq, chain, &fail) == -1) {
		bool denied = access(last, R_OK) == -1 && errno == EACCES;

		findings_add(f, "chain", denied ? FINDING_SKIPPED :
		    FINDING_FAIL, "%s", fail.text);
		findings_fix(f, denied ? "run it as root" : "nothing is "
		    "recorded until that is mended: consentctl verify tells "
		    "all");
		return;
	}
	if (is_torn(last)) {
		findings_add(f, "torn", FINDING_WARN, "%s ends in half an "
		    "entry, as after a crash: who writes next cuts it off and "
		    "notes that", last);
		findings_fix(f, "nothing, unless it comes back: then look at "
		    "the disk (dmesg)");
	}
	if (stat(last, &st) == 0 && st.st_size <= VERIFY_BYTES)
		verify_last(d, p, last);
	if (strcmp(p->journal, "decisions") == 0)
		judge_retention(d, p, first);
	else
		judge_pruning(d, p, first);
}

static bool
may_look(struct doctor *d, const char *directory)
{
	if (access(directory, R_OK | X_OK) == 0 || errno != EACCES)
		return true;
	findings_add(&d->findings, "owner", FINDING_SKIPPED, "%s can't be "
	    "looked at by who runs this", directory);
	findings_fix(&d->findings, "run it as root");
	return false;
}

void
doctor_ledger(struct doctor *d)
{
	const struct settings *s = d->settings;
	const struct place places[] = {
		{ s->audit.ledger, "ledger", "ledger" },
		{ s->audit.directory, "decisions", "decision log" } };
	struct findings *f = &d->findings;
	bool saw_all = d->has_user;
	size_t bad = 0;

	if (access(s->audit.directory, F_OK) == -1 && errno == ENOENT) {
		findings_add(f, "owner", FINDING_WARN, "%s is not there: "
		    "neither daemon has ever run here", s->audit.directory);
		findings_fix(f, "systemctl enable --now consent-milter "
		    "consent-web");
		return;
	}
	for (size_t i = 0; i < 2; i++) {
		saw_all = may_look(d, places[i].directory) && saw_all;
		if (d->has_user)
			judge_owners(d, places[i].directory, &bad);
		judge_end(d, &places[i]);
	}
	if (saw_all && bad == 0)
		findings_add(f, "owner", FINDING_OK, "the daemons can write to "
		    "%s", s->audit.directory);
	judge_room(d, s->audit.directory);
	if (is_elsewhere(s->audit.ledger, s->audit.directory))
		judge_room(d, s->audit.ledger);
	doctor_events(d);
}
