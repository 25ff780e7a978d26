/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The configuration file, the keys and what else is secret: who can read them,
 * and who has to.
 */
#include <sys/stat.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/date.h"
#include "ctl/doctor.h"
#include "journal/journal.h"

/* Can't be looked at by who runs this. */
static void
skip(struct doctor *d, const char *check, const char *path)
{
	findings_add(&d->findings, check, FINDING_SKIPPED, "%s can't be "
	    "looked at by who runs this", path);
	findings_fix(&d->findings, "run it as root%s%s",
	    d->user_name[0] != '\0' ? ", or as user " : "", d->user_name);
}

static void
judge_config(struct doctor *d)
{
	const char *path = d->ctl->config_path;
	struct findings *f = &d->findings;
	struct stat st;

	if (stat(path, &st) == -1)
		return;
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		findings_add(f, "config-file", FINDING_FAIL, "%s can be "
		    "written by others than its owner (mode %04o): whoever "
		    "does so decides who gets mail", path,
		    (unsigned)st.st_mode & 07777);
		findings_fix(f, "chmod go-w %s", path);
	} else if (st.st_uid != 0 && st.st_uid != geteuid()) {
		findings_add(f, "config-file", FINDING_WARN, "%s belongs to "
		    "uid %u, not to root: whoever takes over that user decides "
		    "who gets mail", path, (unsigned)st.st_uid);
		findings_fix(f, "chown root %s", path);
	} else
		findings_add(f, "config-file", FINDING_OK, "%s can be changed "
		    "by its owner alone", path);
}

/* Returns whether it is as it should be; what is not there is the caller's to
 * tell. */
static bool
judge_secret(struct doctor *d, const char *check, const char *path)
{
	struct findings *f = &d->findings;
	char where[PATH_MAX];
	struct stat st;

	if (stat(path, &st) == -1)
		return true;
	if ((st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0) {
		findings_add(f, check, FINDING_FAIL, "%s is secret, and others "
		    "can read it, or write to it (mode %04o)", path,
		    (unsigned)st.st_mode & 07777);
		findings_fix(f, "chmod 0640 %s, and make a new one if it may "
		    "have leaked", path);
		return false;
	}
	if (!d->has_user || reach_path(&d->user, path, REACH_READ, where,
	    sizeof(where)) != REACH_NO)
		return true;
	findings_add(f, check, FINDING_FAIL, "%s can't be read by the "
	    "daemons' user \"%s\": %s is in the way, and a reload is refused",
	    path, d->user_name, where);
	findings_fix(f, "chgrp %u %s && chmod g+r%s %s", (unsigned)d->user.gid,
	    where, strcmp(where, path) == 0 ? "" : "x", where);
	return false;
}

/* -- keys -- */

static void
key_path(const struct doctor *d, const char *name, char path[PATH_MAX])
{
	(void)snprintf(path, PATH_MAX, "%s/%s", d->settings->keys, name);
}

/* Returns whether the file is there. */
static bool
judge_key(struct doctor *d, const char *name, bool *good)
{
	char path[PATH_MAX];

	key_path(d, name, path);
	if (access(path, F_OK) == -1)
		return false;
	*good = judge_secret(d, "keys", path) && *good;
	return true;
}

static void
tell_missing(struct doctor *d, const char *name, const char *without)
{
	findings_add(&d->findings, "keys", FINDING_FAIL, "%s/%s is not there: "
	    "%s", d->settings->keys, name, without);
	findings_fix(&d->findings, "put it back from your backup; only where "
	    "there never was one: consentctl keygen");
}

static bool
judge_token_keys(struct doctor *d, bool *good)
{
	bool found = false;
	char name[32];

	for (unsigned i = 0; i < TOKEN_KEYS; i++) {
		(void)snprintf(name, sizeof(name), "token-%u.key", i);
		found = judge_key(d, name, good) || found;
	}
	return found;
}

/* The time of the ledger's first event, 0 where there is none. */
static int64_t
first_event_ms(const struct doctor *d)
{
	struct journal_reader *reader;
	struct journal_entry entry;
	struct json_object *object;
	struct span text;
	int64_t ms = 0;
	struct fail unused;
	int rc;

	if (journal_reader_open(d->settings->audit.ledger, "ledger", 1,
	    &reader, &unused) == -1)
		return 0;
	while ((rc = journal_reader_next(reader, &entry, &unused)) == 1 &&
	    !span_is(entry.type, SPAN("event")))
		;
	if (rc == 1 && !entry.blanked && json_object_parse(entry.object,
	    &object, &unused) == 0) {
		if (json_object_string(object, "time", &text) != 1 ||
		    date_parse(text, &ms) == -1)
			ms = 0;
		json_object_free(&object);
	}
	journal_reader_close(&reader);
	return ms;
}

/*
 * Of the ledger's events only pseudonyms are known, so nothing proves that they
 * were made with this key.  But a key that is newer than the first of them is
 * not the one that made it, unless it was copied back.
 */
static bool
judge_age(struct doctor *d)
{
	int64_t first_ms = first_event_ms(d);
	struct findings *f = &d->findings;
	struct buf then = BUF_INIT(64), made = BUF_INIT(64);
	char path[PATH_MAX];
	struct stat st;
	bool good = true;

	key_path(d, "pseudonym.key", path);
	/* The clock of a file system is a little coarse. */
	if (first_ms != 0 && stat(path, &st) == 0 &&
	    (int64_t)st.st_mtime * 1000 > first_ms + 2000) {
		good = false;
		date_format(&then, first_ms);
		date_format(&made, (int64_t)st.st_mtime * 1000);
		findings_add(f, "key-age", FINDING_WARN, "%s is of %.16s, "
		    "newer than the ledger's first event (%.16s): unless it "
		    "is a copy of the first one, nobody's consent is found, "
		    "nor their opt-out", path, buf_get(&made), buf_get(&then));
		findings_fix(f, "consentctl show ADDRESS of somebody who has "
		    "opted in tells; if nothing is found, put the key back "
		    "from your backup; if all is, touch -d @%lld %s",
		    (long long)(first_ms / 1000), path);
	}
	buf_fini(&then);
	buf_fini(&made);
	return good;
}

/* What is left is in the files themselves. */
static bool
load_keys(struct doctor *d)
{
	struct fail fail;

	if (d->ctl->has_keys)
		return true;
	if (settings_load_keys(d->ctl->settings, &fail) == 0) {
		d->ctl->has_keys = true;
		return true;
	}
	findings_add(&d->findings, "keys", FINDING_FAIL, "%s", fail.text);
	findings_fix(&d->findings, "put it back from your backup");
	return false;
}

static void
judge_keys(struct doctor *d)
{
	const struct settings *s = d->settings;
	struct findings *f = &d->findings;
	bool good = true;

	if (access(s->keys, R_OK | X_OK) == -1 && errno == EACCES) {
		skip(d, "keys", s->keys);
		return;
	}
	if (!judge_key(d, "pseudonym.key", &good)) {
		tell_missing(d, "pseudonym.key", "without it nobody's consent "
		    "can be found");
		good = false;
	}
	if (!judge_token_keys(d, &good)) {
		tell_missing(d, "token-0.key", "without it there are no links "
		    "to opt out, and those of earlier mail are dead");
		good = false;
	}
	(void)judge_key(d, "link.key", &good);
	if (!judge_key(d, "checkpoint.key", &good)) {
		findings_add(f, "checkpoint-key", FINDING_WARN, "%s/"
		    "checkpoint.key is not there: nothing proves that the "
		    "logs are as they were written", s->keys);
		findings_fix(f, "consentctl keygen, and systemctl restart "
		    "consent-milter consent-web");
	}
	if (good && load_keys(d)) {
		findings_add(f, "keys", FINDING_OK, "the keys are there, and "
		    "nobody else can read them");
		if (judge_age(d))
			findings_add(f, "key-age", FINDING_OK, "pseudonym.key "
			    "is as old as the ledger");
	}
}

/* -- other files -- */

static void
judge_file(struct doctor *d, const char *name, const char *path, bool secret,
    bool *good)
{
	struct findings *f = &d->findings;

	if (path == NULL)
		return;
	if (access(path, F_OK) == -1 && errno == EACCES) {
		skip(d, "secrets", path);
		*good = false;
	} else if (access(path, F_OK) == -1) {
		findings_add(f, "secrets", FINDING_FAIL, "%s, the %s, is not "
		    "there", path, name);
		findings_fix(f, "consent-milter.conf: %s = \"...\";, or make "
		    "the file", name);
		*good = false;
	} else if (secret && !judge_secret(d, "secrets", path))
		*good = false;
}

/* consentctl's alone: the filter's user need not read it. */
static void
judge_writer(struct doctor *d, bool *good)
{
	const char *path = d->settings->redis.writer_password_file;
	bool has_user = d->has_user;

	d->has_user = false;
	judge_file(d, "redis.writer_password_file", path, true, good);
	d->has_user = has_user;
}

static void
judge_secrets(struct doctor *d)
{
	const struct settings *s = d->settings;
	bool good = true;

	judge_file(d, "redis.password_file", s->redis.password_file, true,
	    &good);
	judge_writer(d, &good);
	judge_file(d, "web.redis_password_file", s->web.redis_password_file,
	    true, &good);
	judge_file(d, "redis.key", s->redis.key, true, &good);
	judge_file(d, "redis.certificate", s->redis.certificate, false, &good);
	judge_file(d, "redis.ca_file", s->redis.ca_file, false, &good);
	judge_file(d, "web.api_keys", s->web.api_keys, true, &good);
	judge_file(d, "web.languages", s->web.languages, false, &good);
	for (size_t i = 0; i < s->webhook_count; i++) {
		judge_file(d, "webhooks.secret_file",
		    s->webhooks[i].secret_file, true, &good);
		judge_file(d, "webhooks.ca_file", s->webhooks[i].ca_file,
		    false, &good);
	}
	if (good)
		findings_add(&d->findings, "secrets", FINDING_OK, "files with "
		    "passwords can be read by those who need them alone");
}

void
doctor_files(struct doctor *d)
{
	judge_config(d);
	judge_keys(d);
	judge_secrets(d);
}
