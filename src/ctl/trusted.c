/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/trusted.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/file.h"
#include "base/json.h"
#include "journal/journal.h"

#define DAY_MS		(INT64_C(24) * 60 * 60 * 1000)
#define TRUSTED_MS	(TRUSTED_DAYS * DAY_MS)

static void
set_path(struct buf *path, const char *ledger)
{
	buf_addf(path, "%s/.pruned", ledger);
}

/* Returns 1, 0 where there is none that can be read, or -1. */
static int
read_last(const char *ledger, int64_t *ms, struct fail *fail)
{
	struct buf path = BUF_INIT(8192), text = BUF_INIT(64);
	int rc = 0;

	set_path(&path, ledger);
	if (access(buf_get(&path), F_OK) == 0 || errno != ENOENT) {
		rc = file_read(buf_get(&path), &text, fail);
		if (rc == 0)
			rc = date_parse(span_trim(buf_span(&text)), ms) == 0;
	}
	buf_fini(&path);
	buf_fini(&text);
	return rc;
}

/* When an entry was written, for those that tell. */
static bool
entry_time(const struct journal_entry *entry, int64_t *ms)
{
	struct json_object *object;
	struct fail unused;
	struct span text;
	bool found;

	if ((!span_is(entry->type, SPAN("segment")) &&
	    !span_is(entry->type, SPAN("checkpoint"))) ||
	    json_object_parse(entry->object, &object, &unused) == -1)
		return false;
	found = json_object_string(object, "time", &text) == 1 &&
	    date_parse(text, ms) == 0;
	json_object_free(&object);
	return found;
}

/* When the ledger was last written to; but before a leap that ended not long
 * ago, for others may have written by a clock that is ahead.  0 where it does
 * not tell. */
static int
read_latest(const char *ledger, int64_t now_ms, int64_t *ms,
    struct fail *fail)
{
	struct journal_reader *reader;
	struct journal_entry entry;
	int64_t one, latest_ms = 0;
	int rc;

	*ms = 0;
	if (journal_reader_open(ledger, "ledger", 1, &reader, fail) == -1)
		return -1;
	while ((rc = journal_reader_next(reader, &entry, fail)) == 1 ||
	    (rc == -1 && fail->class == FAIL_INPUT)) {
		if (rc == -1 || !entry_time(&entry, &one) || one <= latest_ms)
			continue;
		if (latest_ms != 0 && one - latest_ms > TRUSTED_MS &&
		    now_ms - one <= TRUSTED_MS)
			*ms = latest_ms;
		latest_ms = one;
	}
	journal_reader_close(&reader);
	if (*ms == 0)
		*ms = latest_ms;
	return rc;
}

static int
refuse(int64_t now_ms, int64_t last_ms, bool is_first, struct fail *fail)
{
	struct buf now = BUF_INIT(64);

	date_format(&now, now_ms);
	(void)fail_set(fail, FAIL_TEMP, "the clock says %.10s, %" PRId64
	    " days after %s: if it is ahead, far too much would be gone for "
	    "good; compare it, look at --dry-run, and say --clock-is-right if "
	    "it is", buf_get(&now), (now_ms - last_ms) / DAY_MS, is_first ?
	    "the ledger's entries before" : "the last prune");
	buf_fini(&now);
	return -1;
}

int
trusted_check(const char *ledger, int64_t now_ms, struct fail *fail)
{
	int64_t last_ms;
	int known = read_last(ledger, &last_ms, fail);

	if (known == -1 ||
	    (known == 0 && read_latest(ledger, now_ms, &last_ms, fail) == -1))
		return -1;
	if (last_ms == 0 || now_ms - last_ms <= TRUSTED_MS)
		return 0;
	return refuse(now_ms, last_ms, known == 0, fail);
}

int
trusted_note(const char *ledger, int64_t now_ms, struct fail *fail)
{
	struct buf path = BUF_INIT(8192), text = BUF_INIT(64);
	int rc;

	set_path(&path, ledger);
	date_format(&text, now_ms);
	buf_add_char(&text, '\n');
	rc = file_replace(buf_get(&path), buf_span(&text), 0640, fail);
	buf_fini(&path);
	buf_fini(&text);
	return rc;
}
