/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "base/xalloc.h"

#define LINE_MAX_BYTES	2048	/* of a text or a fix; what is longer is cut */

static const struct {
	const char *word, *shown, *colour;
} words[] = {
	[FINDING_OK] = { "ok", "ok", "\033[32m" },
	[FINDING_WARN] = { "warn", "warn", "\033[33m" },
	[FINDING_FAIL] = { "fail", "FAIL", "\033[31m" },
	[FINDING_SKIPPED] = { "skipped", "skip", "\033[33m" },
};

void
findings_fini(struct findings *f)
{
	for (size_t i = 0; i < f->count; i++) {
		free(f->all[i].text);
		free(f->all[i].fixes);
		free(f->all[i].about);
	}
	free(f->all);
	*f = (struct findings){ NULL, 0, 0 };
}

void
findings_add(struct findings *f, const char *check,
    enum finding_status status, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES];
	va_list ap;

	if (f->count == f->room) {
		f->room = f->room * 2 + 16;
		f->all = xrealloc(f->all, f->room, sizeof(*f->all));
	}
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f->all[f->count++] = (struct finding){ .check = check,
	    .status = status, .text = xstrdup(text) };
}

void
findings_fix(struct findings *f, const char *fmt, ...)
{
	struct finding *last = &f->all[f->count - 1];
	struct buf lines = BUF_INIT(64 * 1024);
	char text[LINE_MAX_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (last->fixes != NULL)
		buf_add_str(&lines, last->fixes);
	buf_addf(&lines, "%s\n", text);
	free(last->fixes);
	last->fixes = buf_take(&lines);
}

void
findings_about(struct findings *f, const char *name, struct span value)
{
	struct finding *last = &f->all[f->count - 1];
	struct buf members = BUF_INIT(LINE_MAX_BYTES);

	if (last->about != NULL)
		buf_add_str(&members, last->about);
	json_add_name(&members, name);
	if (value.p != NULL)
		json_add_string(&members, value);
	else
		buf_add_str(&members, "null");
	free(last->about);
	last->about = buf_take(&members);
}

const struct finding *
findings_find(const struct findings *f, const char *check)
{
	for (size_t i = 0; i < f->count; i++)
		if (strcmp(f->all[i].check, check) == 0)
			return &f->all[i];
	return NULL;
}

size_t
findings_count(const struct findings *f, enum finding_status status)
{
	size_t n = 0;

	for (size_t i = 0; i < f->count; i++)
		n += f->all[i].status == status;
	return n;
}

void
findings_sort(struct findings *f)
{
	static const enum finding_status order[] = { FINDING_FAIL,
	    FINDING_WARN, FINDING_SKIPPED, FINDING_OK };
	struct finding *sorted = xcalloc(f->room + 1, sizeof(*sorted));
	size_t n = 0;

	for (size_t s = 0; s < sizeof(order) / sizeof(*order); s++)
		for (size_t i = 0; i < f->count; i++)
			if (f->all[i].status == order[s])
				sorted[n++] = f->all[i];
	free(f->all);
	f->all = sorted;
}

/* Security: what a message or a server says must not drive the terminal, and
 * what is no UTF-8, or a control character of it (C1), drives some. */
static void
add_printable(struct buf *out, struct span text)
{
	while (text.len > 0) {
		size_t n;
		int32_t c = utf8_decode(text, &n);

		if (c < 0x20 || (c >= 0x7f && c < 0xa0))
			buf_add_char(out, '?');
		else
			buf_add_span(out, span_head(text, n));
		text = span_from(text, n);
	}
}

/* Takes the first line off *rest. */
static bool
next_line(struct span *rest, struct span *line)
{
	ptrdiff_t end = span_index(*rest, '\n');

	if (end == -1)
		return false;
	*line = span_head(*rest, (size_t)end);
	*rest = span_from(*rest, (size_t)end + 1);
	return true;
}

/* An earlier one that the same mends; NULL where there is none. */
static const struct finding *
find_same_fixes(const struct findings *f, const struct finding *one)
{
	for (const struct finding *other = f->all; other < one; other++)
		if (one->fixes != NULL && other->fixes != NULL &&
		    strcmp(one->fixes, other->fixes) == 0)
			return other;
	return NULL;
}

static void
print_fixes(struct buf *out, const struct findings *f,
    const struct finding *one)
{
	const struct finding *same = find_same_fixes(f, one);
	struct span rest = span_str(one->fixes), line;

	if (same != NULL) {
		buf_addf(out, "      fix: as for %s\n", same->check);
		return;
	}
	while (next_line(&rest, &line)) {
		buf_add_str(out, "      fix: ");
		add_printable(out, line);
		buf_add_char(out, '\n');
	}
}

void
findings_print(struct buf *out, const struct findings *f, bool colour)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct finding *one = &f->all[i];

		buf_addf(out, "%s%-4s%s  %-17s ", colour ?
		    words[one->status].colour : "", words[one->status].shown,
		    colour ? "\033[0m" : "", one->check);
		add_printable(out, span_str(one->text));
		buf_add_char(out, '\n');
		print_fixes(out, f, one);
	}
}

static const char *
result_of(const struct findings *f)
{
	if (findings_count(f, FINDING_FAIL) > 0)
		return words[FINDING_FAIL].word;
	if (findings_count(f, FINDING_SKIPPED) > 0)
		return words[FINDING_SKIPPED].word;
	return findings_count(f, FINDING_WARN) > 0 ?
	    words[FINDING_WARN].word : words[FINDING_OK].word;
}

void
findings_print_json(struct buf *out, const struct findings *f)
{
	buf_add_char(out, '{');
	json_add_member_str(out, "result", result_of(f));
	json_add_name(out, "checks");
	buf_add_char(out, '[');
	for (size_t i = 0; i < f->count; i++) {
		const struct finding *one = &f->all[i];
		struct span rest = span_str(one->fixes), line;

		buf_add_str(out, i == 0 ? "{" : ",{");
		json_add_member_str(out, "check", one->check);
		json_add_member_str(out, "status", words[one->status].word);
		if (one->about != NULL)
			buf_addf(out, ",%s", one->about);
		json_add_member_str(out, "text", one->text);
		json_add_name(out, "fixes");
		buf_add_char(out, '[');
		for (bool first = true; next_line(&rest, &line);
		    first = false) {
			if (!first)
				buf_add_char(out, ',');
			json_add_string(out, line);
		}
		buf_add_str(out, "]}");
	}
	buf_add_str(out, "]}\n");
}
