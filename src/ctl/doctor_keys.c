/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The keys: are they there, can only those read them who have to, and are they
 * those that the logs were written with?
 */
#include <sys/stat.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/date.h"
#include "base/json.h"
#include "ctl/doctor.h"
#include "journal/journal.h"
#include "mail/address.h"

#define DECISIONS_LOOKED_AT	1000	/* for one that tells */
#define DECISIONS_TAIL	64

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
	*good = doctor_files_secret(d, "keys", path) && *good;
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

/* Is it a decision about an address that we can read?  Then whether its
 * pseudonym was made with our key. */
static bool
compare(const struct doctor *d, const struct journal_entry *entry, bool *same)
{
	struct subject theirs, ours;
	struct json_object *object;
	struct address address;
	struct span id, recipient;
	struct fail unused;
	bool told = false;

	if (entry->blanked || !span_is(entry->type, SPAN("decision")) ||
	    json_object_parse(entry->object, &object, &unused) == -1)
		return false;
	if (json_object_string(object, "subject", &id) == 1 &&
	    subject_parse(id, &theirs) == 0 &&
	    json_object_string(object, "recipient", &recipient) == 1 &&
	    address_parse(recipient, &address, &unused) == 0) {
		subject_of(d->settings->pseudonym_key, &address, &ours);
		*same = subject_is(&ours, &theirs);
		told = true;
	}
	json_object_free(&object);
	return told;
}

/* The first from there on that tells, or the last; false where none does. */
static bool
compare_from(const struct doctor *d, uint64_t from, bool last, bool *same)
{
	struct journal_reader *reader;
	struct journal_entry entry;
	struct fail unused;
	bool told = false;

	if (journal_reader_open(d->settings->audit.directory, "decisions",
	    from, &reader, &unused) == -1)
		return false;
	for (int i = 0; i < DECISIONS_LOOKED_AT && (last || !told) &&
	    journal_reader_next(reader, &entry, &unused) == 1; i++)
		told = compare(d, &entry, same) || told;
	journal_reader_close(&reader);
	return told;
}

/*
 * Where addresses stand in the decision log as they are, it tells with which
 * key their pseudonyms were made: the first one with that of old, the last one
 * with that of the filter that runs.
 */
static void
judge_match(struct doctor *d)
{
	const struct settings *s = d->settings;
	unsigned char chain[JOURNAL_CHAIN_BYTES];
	struct findings *f = &d->findings;
	bool first = true, last = true, told;
	struct fail unused;
	uint64_t head;

	if (s->audit.recipients != RECIPIENTS_CLEAR ||
	    journal_head(s->audit.directory, "decisions", &head, chain,
	    &unused) != 1)
		return;
	told = compare_from(d, 1, false, &first);
	told = compare_from(d, head > DECISIONS_TAIL ? head - DECISIONS_TAIL :
	    1, true, &last) || told;
	if (!told)
		return;
	if (first && last)
		findings_add(f, "key-match", FINDING_OK, "the decision log was "
		    "written with this pseudonym.key");
	else {
		findings_add(f, "key-match", FINDING_FAIL, "%s: nobody who "
		    "opted in with the other one is found, nor their opt-out",
		    last ? "the decision log was begun with another "
		    "pseudonym.key" : "the filter uses another pseudonym.key "
		    "than this");
		findings_fix(f, "put %s/pseudonym.key back from your backup, "
		    "and systemctl restart consent-milter consent-web",
		    s->keys);
	}
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

void
doctor_keys(struct doctor *d)
{
	const struct settings *s = d->settings;
	struct findings *f = &d->findings;
	bool good = true;

	if (access(s->keys, R_OK | X_OK) == -1 && errno == EACCES) {
		doctor_files_skip(d, "keys", s->keys);
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
		judge_match(d);
	}
}
