/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The mail log: syslog, facility mail, and stderr as well where a daemon stays
 * in the foreground.  Text is sanitised (control characters become '?') and
 * bounded here, so that no caller can forget.  Only programs log; libraries
 * fill struct fail.  Thread-safe after log_open().
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

/* ident is borrowed for ever. */
void	log_open(const char *ident, bool to_stderr);
void	log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
