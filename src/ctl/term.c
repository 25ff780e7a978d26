/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/term.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/ctl.h"

bool
term_has_colour(void)
{
	const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return (no == NULL || no[0] == '\0') && terminal != NULL &&
	    terminal[0] != '\0' && strcmp(terminal, "dumb") != 0 &&
	    ctl_is_terminal(1);
}

const char *
term_begin(enum term_style style)
{
	switch (style) {
	case TERM_GOOD:
		return "\033[32m";
	case TERM_WARN:
		return "\033[33m";
	case TERM_BAD:
		return "\033[31m";
	}
	return "";
}

const char *
term_end(void)
{
	return "\033[0m";
}

void
term_put(enum term_style style, const char *text)
{
	if (term_has_colour())
		printf("%s%s%s", term_begin(style), text, term_end());
	else
		fputs(text, stdout);
}
