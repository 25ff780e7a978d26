/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What a self-test or doctor found: one line for each check, and for one that
 * failed the lines of a configuration that mend it.  One thread.
 */
#ifndef CTL_FINDING_H
#define CTL_FINDING_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

enum finding_status {
	FINDING_OK,
	FINDING_WARN,		/* it works, and will not for ever */
	FINDING_FAIL,
	FINDING_SKIPPED		/* could not be tried; the text says why */
};

struct finding {
	const char	*check;	/* its stable name; static */
	enum finding_status status;
	char		*text;	/* owned */
	char		*fixes;	/* lines, each ended by LF; owned, NULL */
	char		*about;	/* members of JSON; owned, NULL */
};

struct findings {
	struct finding	*all;
	size_t		 count, room;
};

void	findings_fini(struct findings *findings);

void	findings_add(struct findings *findings, const char *check,
	    enum finding_status status, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));
/* Adds a line to what mends the finding that was added last: "where: line", or
 * a sentence. */
void	findings_fix(struct findings *findings, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));

/* Names what the finding that was added last is about, for programs: a member
 * of its JSON; null where value.p is NULL. */
void	findings_about(struct findings *findings, const char *name,
	    struct span value);

/* NULL where there is none of this name. */
const struct finding *findings_find(const struct findings *findings,
	    const char *check);
size_t	findings_count(const struct findings *findings,
	    enum finding_status status);

/* What is wrong first, what is good last; otherwise as they were. */
void	findings_sort(struct findings *findings);

/* Text for people, a line for each and its fixes below it, those that were told
 * already by the check's name; colour where the reader is a terminal.  Control
 * characters are shown as '?'. */
void	findings_print(struct buf *out, const struct findings *findings,
	    bool colour);
/* The same as the JSON array "checks" and the word "result". */
void	findings_print_json(struct buf *out, const struct findings *findings);

#endif
