/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The mistakes of one configuration, collected in any order and told by file
 * and line.  Not thread-safe.
 */
#ifndef SETTINGS_PROBLEMS_H
#define SETTINGS_PROBLEMS_H

#include <stddef.h>

#include "base/buf.h"

#define PROBLEMS_MAX	1000	/* further ones are only counted */

struct problem {
	char		*file;
	unsigned	 line;	/* 0: of the file as a whole */
	size_t		 order;
	char		*text;
};

struct problems {
	const char	*main_file;	/* borrowed; told first */
	struct problem	*list;
	size_t		 count;		/* those beyond PROBLEMS_MAX too */
};

void	problems_init(struct problems *problems, const char *main_file);
void	problems_fini(struct problems *problems);
/* file NULL is the main file. */
void	problems_add(struct problems *problems, const char *file,
	    unsigned line, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));
/* Adds "file:line: text" lines, each one line of text without control
 * characters, sorted. */
void	problems_format(struct buf *out, struct problems *problems);

#endif
