/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "settings/problems.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

#define PROBLEM_TEXT_MAX	1024

void
problems_init(struct problems *problems, const char *main_file)
{
	memset(problems, 0, sizeof(*problems));
	problems->main_file = main_file;
}

static size_t
problems_kept(const struct problems *problems)
{
	return problems->count < PROBLEMS_MAX ? problems->count : PROBLEMS_MAX;
}

void
problems_fini(struct problems *problems)
{
	for (size_t i = 0; i < problems_kept(problems); i++) {
		free(problems->list[i].file);
		free(problems->list[i].text);
	}
	free(problems->list);
	memset(problems, 0, sizeof(*problems));
}

void
problems_add(struct problems *problems, const char *file, unsigned line,
    const char *fmt, ...)
{
	char text[PROBLEM_TEXT_MAX];
	struct problem *problem;
	va_list ap;

	if (problems->count >= PROBLEMS_MAX) {
		problems->count++;
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (problems->list == NULL)
		problems->list = xcalloc(PROBLEMS_MAX, sizeof(*problem));
	problem = &problems->list[problems->count];
	problem->file = xstrdup(file != NULL ? file : problems->main_file);
	problem->line = line;
	problem->order = problems->count++;
	problem->text = xstrdup(text);
}

static int
compare(const void *a, const void *b)
{
	const struct problem *x = a, *y = b;
	int files = strcmp(x->file, y->file);

	if (files != 0)
		return files;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

/* Security: text from the file can't make up a line of its own. */
static void
add_printable(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		buf_add_char(out, c < 0x20 || c == 0x7f ? '?' : *text);
	}
}

static void
add_files(struct buf *out, const struct problems *problems, bool main_file)
{
	for (size_t i = 0; i < problems_kept(problems); i++) {
		const struct problem *p = &problems->list[i];

		if ((strcmp(p->file, problems->main_file) == 0) != main_file)
			continue;
		add_printable(out, p->file);
		if (p->line != 0)
			buf_addf(out, ":%u", p->line);
		buf_add_str(out, ": ");
		add_printable(out, p->text);
		buf_add_char(out, '\n');
	}
}

void
problems_format(struct buf *out, struct problems *problems)
{
	size_t kept = problems_kept(problems);

	if (kept > 0)
		qsort(problems->list, kept, sizeof(problems->list[0]),
		    compare);
	add_files(out, problems, true);
	add_files(out, problems, false);
	if (problems->count > kept) {
		add_printable(out, problems->main_file);
		buf_addf(out, ": %zu more mistakes are not shown\n",
		    problems->count - kept);
	}
}
