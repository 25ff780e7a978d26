/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What `report --would' makes of a decision log, a line for each entry: nothing
 * is counted twice or not at all, and no format can be broken out of.  A log
 * that begins with '+' is read with the configuration, with '-' also for one
 * list and one year alone.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "ctl/would.h"

#define LINE_MAX_BYTES	(64 * 1024)
#define YEAR_BEGINS_MS	INT64_C(1767225600000)	/* 2026 */
#define YEAR_ENDS_MS	INT64_C(1798761599999)

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All that a format prints. */
static char *
capture(void (*print)(const struct report *report), const struct report *r,
    size_t *len)
{
	FILE *real = stdout;
	char *text = NULL;

	stdout = open_memstream(&text, len);
	if (stdout == NULL)
		abort();
	print(r);
	if (fclose(stdout) != 0 || text == NULL)
		abort();
	stdout = real;
	return text;
}

/* Printable ASCII, in lines. */
static void
check_text(const struct report *r)
{
	size_t len;
	char *text = capture(would_text, r, &len);

	for (size_t i = 0; i < len; i++)
		if (text[i] != '\n' && (text[i] < 0x20 || text[i] > 0x7e))
			abort();
	free(text);
}

static void
check_json(const struct report *r)
{
	struct json_object *object;
	struct fail unused;
	size_t len;
	char *text = capture(would_json, r, &len);

	if (json_object_parse(span_trim(span_of((const unsigned char *)text,
	    len)), &object, &unused) == -1)
		abort();
	json_object_free(&object);
	free(text);
}

/* The head and a line for each row, each of twelve cells, of which none is a
 * formula. */
static void
check_csv(const struct report *r)
{
	const struct would_row *rows;
	size_t len, lines = 0, cells = 1;
	char *text = capture(would_csv, r, &len);
	bool quoted = false;

	for (size_t i = 0; i < len; i++) {
		/* Behind another quote it goes on with a cell. */
		if (text[i] == '"' && !quoted && i > 0 &&
		    text[i - 1] != '"' && i + 1 < len &&
		    strchr("=+-@\t\r", text[i + 1]) != NULL)
			abort();
		if (text[i] == '"')
			quoted = !quoted;
		else if (text[i] == ',' && !quoted)
			cells++;
		else if (text[i] == '\n' && !quoted) {
			if (cells != 12)
				abort();
			lines++;
			cells = 1;
		}
	}
	if (quoted || lines != 1 + would_rows(r, &rows))
		abort();
	free(text);
}

/* A seed has "<x" where it could become a tag; we have none of that name. */
static void
check_html(const struct report *r)
{
	size_t len;
	char *text = capture(would_html, r, &len);

	if (strstr(text, "<x") != NULL || strlen(text) != len)
		abort();
	for (size_t i = 0; i < len; i++)
		if ((text[i] >= 0 && text[i] < 0x20 && text[i] != '\n') ||
		    text[i] == 0x7f)
			abort();
	free(text);
}

static void
check_counts(const struct report *r)
{
	const struct would_list *lists;
	const struct would_row *rows;
	size_t row_count = would_rows(r, &rows);
	size_t list_count = would_lists(r, &lists);
	uint64_t blocked = 0, others = 0, in_rows = 0;

	for (size_t i = 0; i < list_count; i++) {
		blocked += would_blocked(&lists[i]);
		others += lists[i].passed + lists[i].enforced;
	}
	for (size_t i = 0; i < row_count; i++) {
		in_rows += rows[i].recipients;
		if (rows[i].recipients == 0 ||
		    rows[i].messages > rows[i].recipients ||
		    rows[i].first_ms > rows[i].last_ms)
			abort();
	}
	if (blocked + others != r->decisions || in_rows != blocked)
		abort();
}

/* The members of a decision, without their braces. */
static void
count_line(struct report *r, struct span body)
{
	struct journal_entry entry = { .type = SPAN("decision"),
	    .body = body };
	uint64_t before = r->decisions + r->unreadable;
	struct buf object = BUF_INIT(LINE_MAX_BYTES + 2);

	buf_add_char(&object, '{');
	buf_add_span(&object, body);
	buf_add_char(&object, '}');
	entry.object = buf_span(&object);
	would_count(r, &entry);
	if (r->only == NULL && r->decisions + r->unreadable != before + 1)
		abort();
	buf_fini(&object);
}

static void
count_log(struct report *r, struct span rest)
{
	while (rest.len > 0) {
		ptrdiff_t end = span_index(rest, '\n');
		struct span line = end == -1 ? rest :
		    span_head(rest, (size_t)end);

		rest = span_from(rest, line.len + 1);
		if (line.len <= LINE_MAX_BYTES)
			count_line(r, line);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct list lists[] = {
		{ .id = "daily", .mode = LIST_MODE_ENFORCE },
		{ .id = "weekly" } };
	struct settings settings = { .policy = { .observe = true,
	    .lists = lists, .list_count = 2 } };
	static struct report report;
	struct span log = span_of(data, size);
	struct ctl ctl = { .settings = NULL };

	report = (struct report){ .ctl = &ctl, .since_ms = INT64_MIN,
	    .until_ms = INT64_MAX, .would = would_new() };
	if (size > 0 && (data[0] == '+' || data[0] == '-')) {
		ctl.settings = &settings;
		log = span_from(log, 1);
	}
	if (size > 0 && data[0] == '-') {
		report.only = "weekly";
		report.since_ms = YEAR_BEGINS_MS;
		report.until_ms = YEAR_ENDS_MS;
	}
	count_log(&report, log);
	would_finish(&report);
	check_counts(&report);
	check_text(&report);
	check_json(&report);
	check_csv(&report);
	check_html(&report);
	would_free(&report.would);
	return 0;
}
