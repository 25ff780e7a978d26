/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What went wrong, in the caller's own memory.  The class is what a program
 * acts on; the text is one line for people, without secrets, and names what to
 * do where that is not obvious.  It may hold bytes from outside: log.h
 * sanitises what it writes, other sinks escape for themselves.
 *
 * Everything that can fail returns 0 (or 1/0 for a look-up) or -1, and fills
 * its last argument on -1 only.
 */
#ifndef BASE_FAIL_H
#define BASE_FAIL_H

enum fail_class {
	FAIL_INPUT,	/* the peer's data is wrong; retrying will not help */
	FAIL_TEMP,	/* store, network or resource; retrying may help */
	FAIL_SETUP,	/* configuration or environment; an operator must act */
	FAIL_BUG	/* our own invariant broke */
};

struct fail {
	enum fail_class	class;
	char		text[256];
	int		error;		/* of errno, or 0 */
};

/* Fills *fail and returns -1, so that one can write `return fail_set(...)'. */
int	fail_set(struct fail *fail, enum fail_class class, const char *fmt, ...)
	    __attribute__((format(printf, 3, 4)));
/* The same with ": " and the text of the errno value err behind it. */
int	fail_errno(struct fail *fail, enum fail_class class, int err,
	    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
/* Puts "prefix: " before the text that is there; returns -1. */
int	fail_prefix(struct fail *fail, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
/* The sysexits(3) code for a class: 65, 75, 78, 70. */
int	fail_exit_code(enum fail_class class);

#endif
