/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/trusted.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/file.h"
#include "base/json.h"
#include "journal/journal.h"

#define DAY_MS	(INT64_C(24) * 60 * 60 * 1000)

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

/* The latest time in the last segment; 0 where there is none. */
static int
read_latest(const char *ledger, int64_t *ms, struct fail *fail)
{
	struct journal_reader *reader;
	struct journal_entry entry;
	uint64_t *starts;
	size_t count;
	int64_t one;
	int rc;

	*ms = 0;
	if (journal_segment_starts(ledger, "ledger", &starts, &count, fail) ==
	    -1)
		return -1;
	rc = journal_reader_open(ledger, "ledger", count > 0 ?
	    starts[count - 1] : 1, &reader, fail);
	free(starts);
	if (rc == -1)
		return -1;
	while ((rc = journal_reader_next(reader, &entry, fail)) == 1 ||
	    (rc == -1 && fail->class == FAIL_INPUT))
		if (rc == 1 && entry_time(&entry, &one) && one > *ms)
			*ms = one;
	journal_reader_close(&reader);
	return rc;
}

static int
refuse(int64_t now_ms, int64_t last_ms, bool is_first, struct fail *fail)
{
	struct buf now = BUF_INIT(64), last = BUF_INIT(64);

	date_format(&now, now_ms);
	date_format(&last, last_ms);
	(void)fail_set(fail, FAIL_TEMP, "the clock says %s, and %s was at %s, "
	    "%" PRId64 " days before: if the clock is ahead, far too much "
	    "would be removed for good.  Compare it, look at what --dry-run "
	    "counts, and say --clock-is-right if it is", buf_get(&now),
	    is_first ? "the latest entry of the ledger" : "the last prune",
	    buf_get(&last), (now_ms - last_ms) / DAY_MS);
	buf_fini(&now);
	buf_fini(&last);
	return -1;
}

int
trusted_check(const char *ledger, int64_t now_ms, struct fail *fail)
{
	int64_t last_ms;
	int known = read_last(ledger, &last_ms, fail);

	if (known == -1 ||
	    (known == 0 && read_latest(ledger, &last_ms, fail) == -1))
		return -1;
	if (last_ms == 0 || now_ms - last_ms <= TRUSTED_DAYS * DAY_MS)
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
