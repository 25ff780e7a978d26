/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The mail log: syslog, facility mail, and stderr as well where a daemon stays
 * in the foreground, unless stderr is systemd's journal, which gets it by syslog.
 * Text is sanitised (control characters become '?') and bounded here, so that no
 * caller can forget.  Only programs log; libraries fill struct fail.
 *
 * When nobody listens at /dev/log a line is lost, as with syslog(3); then
 * log_info() looks again each 100 ms only, the others each time.  Thread-safe
 * after log_open().
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

/* ident is borrowed for ever. */
void	log_open(const char *ident, bool to_stderr);
/* From here on syslog only: a daemon goes to the background. */
void	log_leave_stderr(void);
void	log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void	log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
