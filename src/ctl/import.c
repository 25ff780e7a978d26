/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Imports rows as a stream: physical lines are fed one by one, so that each
 * refusal names its line; events are gathered and recorded in batches, the
 * ledger first.
 *
 * A row without a time gets the start of the import as its time, but only for
 * people of whom no opt-out is known: otherwise an old opt-in would become a
 * consent over a newer opt-out.  Should a later row of the same import bring
 * an older opt-out of such a person, a withdrawal with the import's own time
 * is added, which wins.
 */
#include <sys/stat.h>

#include <csv.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/xalloc.h"
#include "consent/decision.h"
#include "ctl/ctl.h"
#include "rights/export.h"
#include "rights/notice.h"
#include "ctl/row.h"

#define READ_BYTES	(64 * 1024)
#define BATCH_ROWS	1000
#define PROGRESS_MS	100
#define LOOK_BYTES	256	/* to tell what a file is */

enum format {
	FORMAT_UNKNOWN,
	FORMAT_CSV,
	FORMAT_JSON
};

struct gathered {
	struct row_events row;
	uint64_t	 line;
};

struct import {
	struct ctl	*ctl;
	const char	*file;
	enum format	 format;
	bool		 dry_run;
	bool		 json;

	/* where we are */
	int		 fd;
	off_t		 size;		/* of the file; 0: not known */
	uint64_t	 bytes;
	uint64_t	 line;		/* physical, of what is fed now */
	uint64_t	 row_line;	/* where the row began */

	/* CSV */
	struct csv_parser csv;
	bool		 has_header;
	unsigned	 columns[ROW_COLUMNS];
	size_t		 column_count;
	struct buf	 text;		/* the fields of the row, end to end */
	size_t		 field_end[ROW_COLUMNS + 1];
	size_t		 field_count;	/* may pass the above */
	size_t		 row_bytes;

	struct buf	 start;		/* of the file, read to look at it */
	struct gathered	 batch[BATCH_ROWS];
	size_t		 batch_count;

	struct notices	 notices;
	bool		 told_notice;	/* that one is not stored */
	uint64_t	 taken, refused, events;
	int64_t		 start_ms, said_ms;
	bool		 terminal;
	int		 code;		/* EX_OK, or why to stop */
};

static void
clear_progress(const struct import *im)
{
	if (im->terminal)
		fputs("\r\033[K", stderr);
}

static void
refuse(struct import *im, uint64_t line, const char *why)
{
	clear_progress(im);
	fprintf(stderr, "%s:%" PRIu64 ": %s\n", im->file, line, why);
	im->refused++;
}

static void
say_progress(struct import *im)
{
	int64_t now = clock_monotonic_ms(), took = now - im->start_ms;
	uint64_t rows = im->taken + im->refused;

	if (!im->terminal || now - im->said_ms < PROGRESS_MS)
		return;
	im->said_ms = now;
	fprintf(stderr, "\r%" PRIu64 " rows, %" PRIu64 " refused, %" PRId64
	    "/s", rows, im->refused,
	    took > 0 ? (int64_t)rows * 1000 / took : 0);
	if (im->size > 0)
		fprintf(stderr, ", %" PRIu64 "%%",
		    im->bytes * 100 / (uint64_t)im->size);
	fputc(' ', stderr);
}

/* Looks up the people of the rows that `wanted' picks, list by list.
 * records[i] belongs to batch[i].  Returns 0 or -1. */
static int
look_up(struct import *im, bool (*wanted)(const struct row_events *),
    struct record *records, struct fail *fail)
{
	const struct policy *policy = &im->ctl->settings->policy;
	struct subject *subjects = xcalloc(BATCH_ROWS, sizeof(*subjects));
	struct record *found = xcalloc(BATCH_ROWS, sizeof(*found));
	size_t *from = xcalloc(BATCH_ROWS, sizeof(*from));
	int *results = xcalloc(BATCH_ROWS, sizeof(*results));
	int rc;

	/* The rows before these count. */
	rc = ledger_wait(im->ctl, fail);
	for (size_t l = 0; rc == 0 && l < policy->list_count; l++) {
		const struct list *list = &policy->lists[l];
		size_t n = 0;

		for (size_t i = 0; i < im->batch_count; i++)
			if (im->batch[i].row.list == list &&
			    wanted(&im->batch[i].row)) {
				from[n] = i;
				subjects[n++] = im->batch[i].row.subject;
			}
		if (n > 0)
			rc = store_lookup_many(im->ctl->store, subjects, n,
			    list->id, found, results, fail);
		for (size_t i = 0; rc == 0 && i < n; i++)
			records[from[i]] = found[i];
	}
	free(subjects);
	free(found);
	free(from);
	free(results);
	return rc;
}

static bool
is_timeless(const struct row_events *row)
{
	return row->timeless;
}

static bool
brings_opt_out(const struct row_events *row)
{
	return row->opts_out;
}

static bool
has_opted_out(const struct record *r)
{
	return r->withdraw_ms != 0 || r->all_withdraw_ms != 0 ||
	    r->object_ms != 0 || r->erase_ms != 0;
}

/* Does another row of the batch bring an opt-out of this person? */
static bool
batch_opts_out(const struct import *im, const struct row_events *row)
{
	for (size_t i = 0; i < im->batch_count; i++) {
		const struct row_events *other = &im->batch[i].row;

		if (other->opts_out &&
		    subject_is(&other->subject, &row->subject))
			return true;
	}
	return false;
}

static bool
any(const struct import *im, bool (*wanted)(const struct row_events *))
{
	for (size_t i = 0; i < im->batch_count; i++)
		if (wanted(&im->batch[i].row))
			return true;
	return false;
}

/* Takes rows without a time out of the batch, where an opt-out is known. */
static int
refuse_doubtful(struct import *im, struct record *records, struct fail *fail)
{
	bool opt_outs = any(im, brings_opt_out);
	size_t kept = 0;

	if (!any(im, is_timeless))
		return 0;
	if (look_up(im, is_timeless, records, fail) == -1)
		return -1;
	for (size_t i = 0; i < im->batch_count; i++)
		if (im->batch[i].row.timeless &&
		    (has_opted_out(&records[i]) || (opt_outs &&
		    batch_opts_out(im, &im->batch[i].row))))
			im->batch[i].row.count = 0;
	for (size_t i = 0; i < im->batch_count; i++) {
		if (im->batch[i].row.count == 0) {
			refuse(im, im->batch[i].line, "this person opted out, "
			    "and the row has no time of its own (at)");
			continue;
		}
		if (kept != i)
			im->batch[kept] = im->batch[i];
		kept++;
	}
	im->batch_count = kept;
	return 0;
}

/* An opt-out that is older than the time that this import gave to an opt-in
 * of the same person has to win all the same. */
static size_t
add_late_withdrawals(struct import *im, struct record *records,
    struct event *events, size_t n, struct fail *fail)
{
	size_t added = 0;

	if (!any(im, brings_opt_out))
		return 0;
	if (look_up(im, brings_opt_out, records, fail) == -1)
		return SIZE_MAX;
	for (size_t i = 0; i < im->batch_count; i++) {
		const struct row_events *row = &im->batch[i].row;
		struct event *event = &events[n + added];

		if (!row->opts_out ||
		    records[i].grant_ms != im->ctl->now_ms)
			continue;
		memset(event, 0, sizeof(*event));
		event->kind = EVENT_WITHDRAW;
		event->subject = row->subject;
		event->at_ms = im->ctl->now_ms;
		memcpy(event->list, row->list->id, sizeof(event->list));
		added++;
	}
	return added;
}

static int
stop(struct import *im, int code, const char *why)
{
	clear_progress(im);
	if (why != NULL)
		ctl_warn("%s", why);
	im->code = code;
	return -1;
}

/* How many events the batch has at most, with late withdrawals. */
static size_t
events_of(const struct import *im)
{
	size_t n = 0;

	for (size_t i = 0; i < im->batch_count; i++)
		n += im->batch[i].row.count + im->batch[i].row.opts_out;
	return n;
}

/* Records what was gathered.  Returns 0 or -1 (im->code is set). */
static int
flush_batch(struct import *im)
{
	size_t n = 0, late;
	struct event *events = xrealloc(NULL, events_of(im), sizeof(*events));
	struct record *records = xcalloc(BATCH_ROWS, sizeof(*records));
	struct fail fail;
	bool recorded = false;
	int rc = 0;

	if (refuse_doubtful(im, records, &fail) == -1)
		rc = stop(im, EX_UNAVAILABLE, fail.text);
	for (size_t i = 0; rc == 0 && i < im->batch_count; i++)
		for (size_t e = 0; e < im->batch[i].row.count; e++)
			events[n++] = im->batch[i].row.event[e];
	if (rc == 0 && (late = add_late_withdrawals(im, records, events, n,
	    &fail)) == SIZE_MAX)
		rc = stop(im, EX_UNAVAILABLE, fail.text);
	else if (rc == 0)
		n += late;
	if (rc == 0 && n > 0 && !im->dry_run) {
		int code = ledger_record(im->ctl, events, n, &recorded);

		if (code != EX_OK)
			rc = stop(im, code, NULL);
	}
	if (rc == 0 || recorded) {
		im->taken += im->batch_count;
		im->events += n;
	}
	im->batch_count = 0;
	free(events);
	free(records);
	say_progress(im);
	return rc;
}

/* The digest of the notice, where it is stored. */
static int
complete_notices(struct import *im, struct row_events *row, struct fail *fail)
{
	for (size_t i = 0; i < row->count; i++) {
		struct evidence *evidence = &row->event[i].evidence;
		int rc = notices_complete(&im->notices, evidence, fail);

		if (rc == -1)
			return -1;
		if (rc == 0 && evidence->notice[0] != '\0' &&
		    im->notices.count > 0 && !im->told_notice) {
			im->told_notice = true;
			clear_progress(im);
			ctl_warn("%s:%" PRIu64 ": notice \"%s\" is not "
			    "stored (told once)", im->file, im->row_line,
			    evidence->notice);
		}
	}
	return 0;
}

static void
take_row(struct import *im, const struct row *row)
{
	struct gathered *g = &im->batch[im->batch_count];
	struct ctl *ctl = im->ctl;
	struct fail fail;

	if (row_to_events(row, &ctl->settings->policy,
	    ctl->settings->pseudonym_key, ctl->now_ms, ctl->now_ms, &g->row,
	    &fail) == -1 || complete_notices(im, &g->row, &fail) == -1) {
		refuse(im, im->row_line, fail.text);
		return;
	}
	g->line = im->row_line;
	if (++im->batch_count == BATCH_ROWS)
		(void)flush_batch(im);
}

/* -- CSV (RFC 4180), by libcsv -- */

static void
on_field(void *p, size_t len, void *context)
{
	struct import *im = context;

	if (im->field_count < ROW_COLUMNS) {
		buf_add(&im->text, p, len);
		im->field_end[im->field_count] = im->text.len;
	}
	im->field_count++;
}

static struct span
field(const struct import *im, size_t i)
{
	size_t start = i == 0 ? 0 : im->field_end[i - 1];

	return span_from(span_head(buf_span(&im->text), im->field_end[i]),
	    start);
}

static void
take_header(struct import *im)
{
	bool address = false, list = false;
	struct fail fail;

	im->has_header = true;
	if (im->field_count > ROW_COLUMNS) {
		(void)stop(im, EX_DATAERR, "the header names more columns "
		    "than there are");
		return;
	}
	for (size_t i = 0; i < im->field_count; i++) {
		if (row_column_parse(field(im, i), &im->columns[i],
		    &fail) == 0) {
			refuse(im, im->row_line, fail.text);
			im->code = EX_DATAERR;
		}
		address |= im->columns[i] == 0;
		list |= im->columns[i] == 1;
		for (size_t j = 0; j < i; j++)
			if (im->columns[i] == im->columns[j] &&
			    im->code == EX_OK)
				(void)stop(im, EX_DATAERR, "the header names "
				    "a column twice");
	}
	im->column_count = im->field_count;
	if (im->code == EX_OK && (!address || !list))
		(void)stop(im, EX_DATAERR, "the first line has to name the "
		    "columns, address and list among them");
}

static void
on_row(int end, void *context)
{
	struct import *im = context;
	struct row row = { 0 };

	(void)end;
	if (im->code != EX_OK) {
		/* nothing more is taken */
	} else if (!im->has_header) {
		take_header(im);
	} else if (im->field_count != im->column_count) {
		refuse(im, im->row_line, im->field_count > im->column_count ?
		    "more fields than the header has columns" :
		    "fewer fields than the header has columns");
	} else {
		for (size_t i = 0; i < im->field_count; i++)
			row.value[im->columns[i]] = field(im, i);
		take_row(im, &row);
	}
	buf_clear(&im->text);
	im->field_count = 0;
	im->row_bytes = 0;
	im->row_line = im->line + 1;
}

static int
start_csv(struct import *im)
{
	if (csv_init(&im->csv, CSV_STRICT | CSV_STRICT_FINI) != 0)
		return stop(im, EX_OSERR, "libcsv can't start");
	return 0;
}

/* A row that can't be read is passed over; reading goes on with the next
 * line. */
static int
drop_csv_row(struct import *im, const char *why)
{
	if (!im->has_header)
		return stop(im, EX_DATAERR, why);
	refuse(im, im->row_line, why);
	csv_free(&im->csv);
	buf_clear(&im->text);
	im->field_count = 0;
	im->row_bytes = 0;
	im->row_line = im->line + 1;
	return start_csv(im);
}

static int
feed_csv(struct import *im, struct span line)
{
	/* An empty line between rows is no row. */
	if (im->row_bytes == 0 && span_trim(line).len == 0) {
		im->row_line = im->line + 1;
		return 0;
	}
	im->row_bytes += line.len;
	if (im->row_bytes > ROW_BYTES_MAX)
		return drop_csv_row(im, "a row of more than 64 KiB: is a "
		    "quote not closed?");
	if (csv_parse(&im->csv, line.p, line.len, on_field, on_row, im) !=
	    line.len)
		return drop_csv_row(im, "not CSV: a quote inside a field has "
		    "to be doubled, and the field quoted");
	return im->code == EX_OK ? 0 : -1;
}

/* -- JSON lines -- */

static int
feed_json(struct import *im, struct span line)
{
	struct json_object *object = NULL;
	struct row row;
	struct fail fail;

	im->row_line = im->line;
	line = span_trim(line);
	if (line.len == 0)
		return 0;
	if (row_from_json(line, &object, &row, &fail) == -1)
		refuse(im, im->line, fail.text);
	else
		take_row(im, &row);
	json_object_free(&object);
	return im->code == EX_OK ? 0 : -1;
}

/* -- lines -- */

static int
feed_line(struct import *im, struct span line)
{
	im->line++;
	if (im->line == 1 && span_has_prefix(line, SPAN("\xef\xbb\xbf")))
		line = span_from(line, 3);
	if (im->format == FORMAT_UNKNOWN && span_trim(line).len > 0)
		im->format = span_trim(line).p[0] == '{' ? FORMAT_JSON :
		    FORMAT_CSV;
	if (im->format == FORMAT_JSON)
		return feed_json(im, line);
	return im->format == FORMAT_CSV ? feed_csv(im, line) : 0;
}

/* Passes over the rest of a line that is too long. */
static int
feed_long_line(struct import *im, bool *skipping)
{
	if (!*skipping) {
		im->line++;
		im->row_line = im->line;
		if (im->format != FORMAT_JSON &&
		    drop_csv_row(im, "a line of more than 64 KiB") == -1)
			return -1;
		if (im->format == FORMAT_JSON)
			refuse(im, im->line, "a line of more than 64 KiB");
	}
	*skipping = true;
	return 0;
}

static int
feed_lines(struct import *im, struct buf *pending, bool *skipping, bool last)
{
	size_t used = 0;
	int rc = 0;

	while (rc == 0 && used < pending->len) {
		struct span rest = span_from(buf_span(pending), used);
		ptrdiff_t end = span_index(rest, '\n');

		if (end == -1 && !last)
			break;
		rest = end == -1 ? rest : span_head(rest, (size_t)end + 1);
		used += rest.len;
		if (!*skipping)
			rc = feed_line(im, rest);
		*skipping = false;
	}
	buf_consume(pending, used);
	if (rc == 0 && !last && pending->len > ROW_BYTES_MAX) {
		rc = feed_long_line(im, skipping);
		buf_clear(pending);
	}
	return rc;
}

static int
read_all(struct import *im)
{
	struct buf pending = BUF_INIT(ROW_BYTES_MAX + 2 * READ_BYTES);
	struct fail fail;
	bool skipping = false;
	ssize_t n = 1;
	int rc = 0;

	buf_add_span(&pending, buf_span(&im->start));

	while (rc == 0 && n > 0 && im->ctl->interrupted == 0) {
		char *to = buf_reserve(&pending, READ_BYTES);

		n = read(im->fd, to, READ_BYTES);
		if (n == -1 && errno == EINTR) {
			n = 1;
			continue;
		}
		if (n == -1) {
			(void)fail_errno(&fail, FAIL_TEMP, errno, "%s",
			    im->file);
			rc = stop(im, EX_IOERR, fail.text);
			break;
		}
		pending.len += (size_t)n;
		im->bytes += (uint64_t)n;
		rc = feed_lines(im, &pending, &skipping, n == 0);
	}
	buf_fini(&pending);
	if (rc == 0 && im->format == FORMAT_CSV && im->ctl->interrupted == 0 &&
	    csv_fini(&im->csv, on_field, on_row, im) != 0)
		rc = drop_csv_row(im, "the file ends inside a quoted field");
	/* What was gathered is good, whatever ended the reading. */
	if (im->batch_count > 0 && (im->code == EX_OK ||
	    im->code == EX_IOERR) && flush_batch(im) == -1)
		rc = -1;
	return rc;
}

/* -- the document that `export' writes -- */

static int
read_some(struct import *im, struct buf *to, size_t len)
{
	struct fail fail;
	ssize_t n;

	do
		n = read(im->fd, buf_reserve(to, len), len);
	while (n == -1 && errno == EINTR);
	if (n == -1) {
		(void)fail_errno(&fail, FAIL_TEMP, errno, "%s", im->file);
		return stop(im, EX_IOERR, fail.text);
	}
	to->len += (size_t)n;
	im->bytes += (uint64_t)n;
	return n > 0;
}

/* 1 when the file begins as an exported document does, however somebody has
 * laid it out since; 0, or -1. */
static int
is_document(struct import *im)
{
	struct span mark = SPAN("{\"schema_version\":\"" EXPORT_SCHEMA "\"");
	size_t same = 0;
	int rc = 1;

	while (rc == 1 && im->start.len < LOOK_BYTES)
		rc = read_some(im, &im->start, LOOK_BYTES - im->start.len);
	if (rc == -1)
		return -1;
	for (size_t i = 0; i < im->start.len && same < mark.len; i++) {
		unsigned char c = (unsigned char)im->start.data[i];

		if (c == mark.p[same])
			same++;
		else if (!ascii_isspace(c))
			return 0;
	}
	return same == mark.len;
}

/* An event as this installation may record it: an opt-in that can't count
 * does not become one on the way, and no more of an IP address is kept. */
static int
take_document_event(struct import *im, const struct json_object *element,
    struct event *event, struct fail *fail)
{
	if (event_parse(element, event, fail) == -1 ||
	    evidence_check(&event->evidence,
	    im->ctl->settings->policy.evidence_ip, fail) == -1)
		return -1;
	if (event->at_ms > im->ctl->now_ms + DECISION_CLOCK_SKEW_MS)
		return fail_set(fail, FAIL_INPUT, "it is from the future");
	if (event->kind == EVENT_GRANT &&
	    !evidence_method_counts(span_str(event->evidence.method)))
		event->kind = EVENT_UNPROVEN;
	return 0;
}

/* "FILE:LINE: event N: …" */
static int
fail_document_event(struct import *im, struct span text, size_t i,
    struct fail *fail)
{
	(void)fail_prefix(fail, "event %zu of the document", i + 1);
	return fail_prefix(fail, "%s:%" PRIu64, im->file,
	    json_element_line(text, "events", i));
}

static int
fail_document(struct import *im, struct fail *fail, const char *why)
{
	return fail_set(fail, FAIL_INPUT, "%s: %s", im->file, why);
}

static int
document_subject(struct import *im, const struct json_object *document,
    struct subject *out, struct fail *fail)
{
	struct address address;
	struct span text;

	if (json_object_string(document, "pii_principal_id", &text) != 1)
		return fail_document(im, fail,
		    "the document has no \"pii_principal_id\"");
	if (address_parse(text, &address, fail) == -1)
		return fail_prefix(fail, "%s: pii_principal_id, which has to "
		    "be the address", im->file);
	subject_of(im->ctl->settings->pseudonym_key, &address, out);
	return 0;
}

/* All events of the document, or none with *fail. */
static int
take_document(struct import *im, const struct json_object *document,
    struct span text, struct event **events, size_t *count,
    struct fail *fail)
{
	struct json_object *element;
	struct subject subject;
	size_t room = 0;
	int rc;

	if (document_subject(im, document, &subject, fail) == -1)
		return -1;
	while ((rc = json_object_element(document, "events", *count,
	    &element)) == 1) {
		if (*count == room) {
			room = room ? room * 2 : 64;
			*events = xrealloc(*events, room, sizeof(**events));
		}
		rc = take_document_event(im, element, &(*events)[*count],
		    fail);
		json_object_free(&element);
		if (rc == -1)
			return fail_document_event(im, text, *count, fail);
		(*events)[(*count)++].subject = subject;
	}
	return rc == 0 ? 0 : fail_document(im, fail,
	    "the document has no \"events\" that are an array of objects");
}

static int
record_document(struct import *im, const struct event *events, size_t n)
{
	bool recorded = false;
	int code = EX_OK;

	if (!im->dry_run && n > 0)
		code = ledger_record(im->ctl, events, n, &recorded);
	if (code == EX_OK || recorded) {
		im->taken++;
		im->events += n;
	}
	return code == EX_OK ? 0 : stop(im, code, NULL);
}

static int
read_document(struct import *im)
{
	struct buf text = BUF_INIT(JSON_DOCUMENT_MAX + 2 * READ_BYTES);
	struct json_object *document = NULL;
	struct event *events = NULL;
	size_t count = 0;
	struct fail fail;
	int rc = 1;

	buf_add_span(&text, buf_span(&im->start));
	while (rc == 1 && text.len <= JSON_DOCUMENT_MAX)
		rc = read_some(im, &text, READ_BYTES);
	if (rc != -1) {
		rc = json_document_parse(buf_span(&text), &document, &fail);
		if (rc == -1)
			(void)fail_prefix(&fail, "%s", im->file);
		else
			rc = take_document(im, document, buf_span(&text),
			    &events, &count, &fail);
		if (rc == -1) {
			ctl_warn("%s", fail.text);
			im->refused++;
		} else
			rc = record_document(im, events, count);
	}
	json_object_free(&document);
	free(events);
	buf_fini(&text);
	return rc;
}

/* Returns -1 to go on, or an exit code. */
static int
parse(struct import *im, int argc, char **argv)
{
	int c;

	while ((c = ctl_getopt(argc, argv)) != -1)
		switch (c) {
		case 'f':
			if (strcmp(optarg, "csv") == 0)
				im->format = FORMAT_CSV;
			else if (strcmp(optarg, "json") == 0)
				im->format = FORMAT_JSON;
			else
				return ctl_usage(argv[0],
				    "--format is csv or json");
			break;
		case 'n':
			im->dry_run = true;
			break;
		case 'j':
			im->json = true;
			break;
		case 'h':
			return EX_OK;
		default:
			return EX_USAGE;
		}
	if (optind + 1 != argc)
		return ctl_usage(argv[0], "wants one file, or - for standard "
		    "input");
	im->file = argv[optind];
	return -1;
}

static int
open_file(struct import *im)
{
	struct fail fail;
	struct stat st;

	if (strcmp(im->file, "-") == 0) {
		im->file = "stdin";
		im->fd = STDIN_FILENO;
	} else
		im->fd = open(im->file, O_RDONLY | O_CLOEXEC);
	if (im->fd == -1) {
		(void)fail_errno(&fail, FAIL_INPUT, errno, "%s", im->file);
		ctl_warn("%s", fail.text);
		return EX_NOINPUT;
	}
	if (fstat(im->fd, &st) == 0 && S_ISREG(st.st_mode))
		im->size = st.st_size;
	return EX_OK;
}

static void
summarise(const struct import *im)
{
	struct buf out = BUF_INIT(1024);

	clear_progress(im);
	if (im->json) {
		buf_add_char(&out, '{');
		json_add_member_i64(&out, "rows", (int64_t)(im->taken +
		    im->refused));
		json_add_member_i64(&out, "imported", (int64_t)im->taken);
		json_add_member_i64(&out, "refused", (int64_t)im->refused);
		json_add_member_i64(&out, "events", (int64_t)im->events);
		json_add_member_bool(&out, "dry_run", im->dry_run);
		buf_add_char(&out, '}');
		puts(buf_get(&out));
	} else
		printf("%" PRIu64 " rows %s, %" PRIu64 " refused, %" PRIu64
		    " events\n", im->taken, im->dry_run ?
		    "would be imported" : "imported", im->refused,
		    im->events);
	buf_fini(&out);
}

static int
run(struct import *im)
{
	bool recorded;
	struct fail fail;
	int rc;

	if ((rc = ctl_need_keys(im->ctl)) != EX_OK ||
	    (rc = ctl_need_store(im->ctl)) != EX_OK ||
	    (rc = open_file(im)) != EX_OK)
		return rc;
	if (notices_read(im->ctl->settings, &im->notices, &fail) == -1)
		return ctl_error(&fail);
	/* Opt-outs that wait count when rows without a time are judged. */
	if (!im->dry_run && (rc = ledger_record(im->ctl, NULL, 0,
	    &recorded)) != EX_OK && rc != EX_TEMPFAIL && rc != EX_DATAERR)
		return rc;
	if (start_csv(im) == -1)
		return im->code;
	if (!im->dry_run && (rc = ledger_apply_behind(im->ctl)) != EX_OK)
		return rc;
	im->row_line = 1;
	rc = is_document(im);
	if (rc != -1)
		(void)(rc == 1 ? read_document(im) : read_all(im));
	ledger_end_behind(im->ctl);
	if (im->code == EX_OK && !im->dry_run && (rc = ledger_record(im->ctl,
	    NULL, 0, &recorded)) != EX_OK)
		(void)stop(im, rc, NULL);
	csv_free(&im->csv);
	buf_fini(&im->text);
	buf_fini(&im->start);
	if (im->fd != STDIN_FILENO)
		(void)close(im->fd);
	summarise(im);
	if (im->ctl->interrupted != 0) {
		ctl_warn("interrupted at line %" PRIu64 ": what is counted "
		    "above is recorded, and importing the file again does no "
		    "harm", im->line);
		return EX_TEMPFAIL;
	}
	/* Where the file is not to blame, a count would be all that tells of the
	 * rest. */
	if (im->code == EX_TEMPFAIL || im->code == EX_UNAVAILABLE ||
	    im->code == EX_IOERR)
		ctl_warn("stopped at line %" PRIu64 ": what is counted above "
		    "is %s, and importing the file again does no harm",
		    im->line, im->dry_run ? "good" : "recorded");
	if (im->code != EX_OK)
		return im->code;
	return im->refused > 0 ? 1 : EX_OK;
}

int
command_import(struct ctl *ctl, int argc, char **argv)
{
	struct import *im = xcalloc(1, sizeof(*im));
	int rc;

	im->ctl = ctl;
	im->start_ms = clock_monotonic_ms();
	im->terminal = ctl_is_terminal(2);
	buf_init(&im->text, ROW_BYTES_MAX);
	buf_init(&im->start, READ_BYTES);
	rc = parse(im, argc, argv);
	if (rc == -1)
		rc = run(im);
	notices_fini(&im->notices);
	free(im);
	return rc;
}
