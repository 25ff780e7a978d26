/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/span.h"

#define LOG_LINE_MAX	1024

static struct {
	const char *ident;
	bool to_stderr;
} sink;

void
log_open(const char *ident, bool to_stderr)
{
	sink.ident = ident;
	sink.to_stderr = to_stderr;
	openlog(ident, LOG_PID | LOG_NDELAY, LOG_MAIL);
}

static void
sanitise(char *line)
{
	for (; *line != '\0'; line++)
		if ((unsigned char)*line < 0x20 || *line == 0x7f)
			*line = '?';
}

static void emit(int level, const char *word, const char *fmt, va_list ap)
	    __attribute__((format(printf, 3, 0)));

static void
emit(int level, const char *word, const char *fmt, va_list ap)
{
	char line[LOG_LINE_MAX], full[LOG_LINE_MAX + 128];
	int n;

	(void)vsnprintf(line, sizeof(line), fmt, ap);
	sanitise(line);
	syslog(level, "%s%s", word, line);
	if (!sink.to_stderr)
		return;
	n = snprintf(full, sizeof(full), "%s: %s%s\n",
	    sink.ident ? sink.ident : "", word, line);
	/* One write, so that lines of several threads do not mix. */
	if (n > 0)
		(void)!write(STDERR_FILENO, full, (size_t)n < sizeof(full) ?
		    (size_t)n : sizeof(full) - 1);
}

#define LOG_FUNCTION(name, level, word)		\
void						\
name(const char *fmt, ...)			\
{						\
	va_list ap;				\
						\
	va_start(ap, fmt);			\
	emit(level, word, fmt, ap);		\
	va_end(ap);				\
}

LOG_FUNCTION(log_info, LOG_INFO, "")
LOG_FUNCTION(log_warn, LOG_WARNING, "warning: ")
LOG_FUNCTION(log_error, LOG_ERR, "error: ")
