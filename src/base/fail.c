/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "base/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

int
fail_set(struct fail *fail, enum fail_class class, const char *fmt, ...)
{
	va_list ap;

	fail->class = class;
	fail->error = 0;
	va_start(ap, fmt);
	(void)vsnprintf(fail->text, sizeof(fail->text), fmt, ap);
	va_end(ap);
	return -1;
}

int
fail_errno(struct fail *fail, enum fail_class class, int err, const char *fmt,
    ...)
{
	va_list ap;
	char reason[128];
	size_t len;

	fail->class = class;
	fail->error = err;
	va_start(ap, fmt);
	(void)vsnprintf(fail->text, sizeof(fail->text), fmt, ap);
	va_end(ap);
	len = strlen(fail->text);
	/* The GNU strerror_r may return a constant instead of using reason. */
	(void)snprintf(fail->text + len, sizeof(fail->text) - len, ": %s",
	    strerror_r(err, reason, sizeof(reason)));
	return -1;
}

int
fail_prefix(struct fail *fail, const char *fmt, ...)
{
	va_list ap;
	char rest[sizeof(fail->text)];
	size_t len;

	memcpy(rest, fail->text, sizeof(rest));
	va_start(ap, fmt);
	(void)vsnprintf(fail->text, sizeof(fail->text), fmt, ap);
	va_end(ap);
	len = strlen(fail->text);
	(void)snprintf(fail->text + len, sizeof(fail->text) - len, ": %s",
	    rest);
	return -1;
}

int
fail_exit_code(enum fail_class class)
{
	switch (class) {
	case FAIL_INPUT:
		return EX_DATAERR;
	case FAIL_TEMP:
		return EX_TEMPFAIL;
	case FAIL_SETUP:
		return EX_CONFIG;
	case FAIL_BUG:
		break;
	}
	return EX_SOFTWARE;
}
