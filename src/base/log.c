/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The filter logs a line for each recipient, and syslog(3) takes several system
 * calls and a lock for each: so we speak to /dev/log ourselves, in the form of
 * RFC 3164 that syslog(3) uses.  A datagram socket can be connected again while
 * others send on it, so that there is nothing to lock.  What isn't a datagram
 * socket is left to syslog(3).
 */
#include "base/log.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/span.h"

#define LOG_LINE_MAX	1024
#define HEAD_MAX	128
#define RETRY_MS	100

static struct {
	const char *ident;
	char before[64];	/* each line on standard error */
	pid_t pid;
	_Atomic bool to_stderr;
	int fd;			/* -1: syslog(3) does it */
	_Atomic bool connected;
	_Atomic int64_t retry_ms; /* when nobody listens */
} sink = { .fd = -1 };

/* Standard error may be the journal, which gets the line by syslog: systemd
 * tells by device and inode. */
static bool
is_journal(int fd)
{
	const char *told = getenv("JOURNAL_STREAM");
	char own[64];
	struct stat st;

	if (told == NULL || fstat(fd, &st) == -1)
		return false;
	(void)snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev,
	    (uintmax_t)st.st_ino);
	return strcmp(own, told) == 0;
}

void
log_open(const char *ident, bool to_stderr)
{
	sink.ident = ident;
	(void)snprintf(sink.before, sizeof(sink.before), "%.60s: ", ident);
	sink.pid = getpid();
	sink.to_stderr = to_stderr && !is_journal(STDERR_FILENO);
	/* For libraries, and for us where a datagram does not do. */
	openlog(ident, LOG_PID | LOG_NDELAY, LOG_MAIL);
	if (sink.fd == -1)
		sink.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

void
log_leave_stderr(void)
{
	sink.to_stderr = false;
}

static void
sanitise(char *line)
{
	for (; *line != '\0'; line++)
		if ((unsigned char)*line < 0x20 || *line == 0x7f)
			*line = '?';
}

/* "Nov  5 09:00:00", remembered while the second lasts: the C library takes a
 * lock to know the zone. */
static const char *
time_text(void)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	static _Thread_local char text[64];
	static _Thread_local time_t of;
	time_t now = (time_t)(clock_now_ms() / 1000);
	struct tm tm;

	if (now == of || localtime_r(&now, &tm) == NULL)
		return text;
	of = now;
	(void)snprintf(text, sizeof(text), "%.3s %2d %02d:%02d:%02d",
	    months + tm.tm_mon * 3, tm.tm_mday, tm.tm_hour, tm.tm_min,
	    tm.tm_sec);
	return text;
}

/* With the priority, the time and the program before it. */
static bool
send_text(int level, struct span text)
{
	char head[HEAD_MAX];
	int len = snprintf(head, sizeof(head), "<%d>%s %.60s[%ld]: ",
	    LOG_MAIL | level, time_text(), sink.ident ? sink.ident : "",
	    (long)sink.pid);
	struct iovec pieces[] = {
		{ .iov_base = head, .iov_len = (size_t)len },
		{ .iov_base = (void *)(uintptr_t)text.p, .iov_len = text.len },
	};
	struct msghdr message = { .msg_iov = pieces, .msg_iovlen = 2 };
	ssize_t n;

	do
		n = sendmsg(sink.fd, &message, MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	return n != -1;
}

/* Returns false when only syslog(3) may know what to do. */
static bool
connect_again(void)
{
	static const struct sockaddr_un address =
	    { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	bool connected = connect(sink.fd, (const struct sockaddr *)&address,
	    sizeof(address)) == 0;

	atomic_store(&sink.connected, connected);
	if (!connected)
		atomic_store(&sink.retry_ms, clock_monotonic_ms() + RETRY_MS);
	return connected || errno == ENOENT || errno == ECONNREFUSED;
}

/* While nobody listens, only what is urgent looks each time whether that is
 * still so. */
static void
send_line(int level, struct span text)
{
	if (sink.fd == -1) {
		syslog(level, "%.*s", (int)text.len, (const char *)text.p);
		return;
	}
	if (atomic_load(&sink.connected) && send_text(level, text))
		return;
	if (level == LOG_INFO && !atomic_load(&sink.connected) &&
	    clock_monotonic_ms() < atomic_load(&sink.retry_ms))
		return;
	if (!connect_again())
		syslog(level, "%.*s", (int)text.len, (const char *)text.p);
	else if (atomic_load(&sink.connected))
		(void)send_text(level, text);
}

static void emit(int level, const char *word, const char *fmt, va_list ap)
	    __attribute__((format(printf, 3, 0)));

static void
emit(int level, const char *word, const char *fmt, va_list ap)
{
	char text[sizeof(sink.before) + LOG_LINE_MAX + sizeof("\n")];
	size_t before = strlen(sink.before), head = strlen(word), len;
	char *line = text + before;

	memcpy(text, sink.before, before);
	memcpy(line, word, head + 1);
	(void)vsnprintf(line + head, LOG_LINE_MAX + 1 - head, fmt, ap);
	sanitise(line);
	len = strlen(line);
	send_line(level, span_of(line, len));
	if (!sink.to_stderr)
		return;
	/* One write, so that lines of several threads do not mix. */
	line[len] = '\n';
	(void)!write(STDERR_FILENO, text, before + len + 1);
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
