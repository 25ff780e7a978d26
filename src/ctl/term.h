/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Colour, where a person reads and wants it.  Text that goes to a file or a
 * pipe is the same bytes without it.
 */
#ifndef CTL_TERM_H
#define CTL_TERM_H

#include <stdbool.h>

enum term_style { TERM_GOOD, TERM_WARN, TERM_BAD };

/* stdout is a terminal that is not dumb, and NO_COLOR is not set to something
 * (no-color.org). */
bool	term_has_colour(void);
/* What begins the style and what ends it, for whoever asked. */
const char *term_begin(enum term_style style);
const char *term_end(void);
/* Writes text to stdout, in colour where there is some. */
void	term_put(enum term_style style, const char *text);

#endif
