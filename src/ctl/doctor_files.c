/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The configuration file and what is secret: who can read it, and who has to.
 */
#include <sys/stat.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/doctor.h"

void
doctor_files_skip(struct doctor *d, const char *check, const char *path)
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

bool
doctor_files_secret(struct doctor *d, const char *check, const char *path)
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

static void
judge_file(struct doctor *d, const char *name, const char *path, bool secret,
    bool *good)
{
	struct findings *f = &d->findings;

	if (path == NULL)
		return;
	if (access(path, F_OK) == -1 && errno == EACCES) {
		doctor_files_skip(d, "secrets", path);
		*good = false;
	} else if (access(path, F_OK) == -1) {
		findings_add(f, "secrets", FINDING_FAIL, "%s, the %s, is not "
		    "there", path, name);
		findings_fix(f, "consent-milter.conf: %s = \"...\";, or make "
		    "the file", name);
		*good = false;
	} else if (secret && !doctor_files_secret(d, "secrets", path))
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
	judge_file(d, "redis.sentinel.password_file",
	    s->redis.sentinel.password_file, true, &good);
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
	doctor_keys(d);
	judge_secrets(d);
}
