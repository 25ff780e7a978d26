/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/dialog.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define ANSWER_MAX	4096

/* Of the milter protocol: what Postfix and Sendmail offer. */
#define PROTOCOL	6
#define ACTIONS		0x1ff
#define STEPS		0x1fffff
#define NEGOTIATION	17	/* bytes, both ways at the least */

static int
wait_until(int fd, short events, int64_t deadline_ms, struct fail *fail)
{
	struct pollfd polled = { .fd = fd, .events = events };
	int64_t left_ms;

	do {
		left_ms = deadline_ms - clock_monotonic_ms();
		if (left_ms <= 0)
			return fail_errno(fail, FAIL_TEMP, ETIMEDOUT,
			    "no answer");
	} while (poll(&polled, 1, (int)left_ms) <= 0);
	return 0;
}

static int
open_one(int family, const struct sockaddr *address, socklen_t len,
    int64_t deadline_ms, struct fail *fail)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(int);
	int err = 0;

	if (fd == -1)
		return fail_errno(fail, FAIL_TEMP, errno, "socket");
	if (connect(fd, address, len) == -1)
		err = errno;
	if (err == EINPROGRESS) {
		if (wait_until(fd, POLLOUT, deadline_ms, fail) == -1) {
			(void)close(fd);
			return -1;
		}
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) == -1)
			err = errno;
	}
	if (err == 0)
		return fd;
	(void)close(fd);
	return fail_errno(fail, FAIL_TEMP, err, "connect");
}

static int
open_unix(const struct mta_socket *place, int64_t deadline_ms,
    struct fail *fail)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(place->path);

	if (len >= sizeof(address.sun_path))
		return fail_set(fail, FAIL_TEMP, "the path is too long for a "
		    "socket");
	memcpy(address.sun_path, place->path, len + 1);
	return open_one(AF_UNIX, (const struct sockaddr *)(const void *)
	    &address, sizeof(address), deadline_ms, fail);
}

int
dialog_open(const struct mta_socket *place, int timeout_ms, struct fail *fail)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
	struct addrinfo *all, *a;
	int fd = -1, rc;

	fail->error = 0;
	if (place->is_unix)
		return open_unix(place, deadline_ms, fail);
	rc = getaddrinfo(place->host[0] == '\0' ? "127.0.0.1" : place->host,
	    place->port, &hints, &all);
	if (rc != 0)
		return fail_set(fail, FAIL_TEMP, "%s: %s", place->host,
		    gai_strerror(rc));
	for (a = all; a != NULL && fd == -1; a = a->ai_next)
		fd = open_one(a->ai_family, a->ai_addr, a->ai_addrlen,
		    deadline_ms, fail);
	freeaddrinfo(all);
	return fd;
}

bool
dialog_peer(int fd, pid_t *pid, uid_t *uid)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == -1 ||
	    peer.pid <= 0)
		return false;
	*pid = peer.pid;
	*uid = peer.uid;
	return true;
}

int
dialog_ask(int fd, struct span question, size_t want, int timeout_ms,
    struct buf *out, struct fail *fail)
{
	int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
	char piece[1024];
	ssize_t n = 1;

	while (question.len > 0) {
		n = send(fd, question.p, question.len, MSG_NOSIGNAL);
		if (n == -1 && errno != EAGAIN && errno != EINTR)
			return fail_errno(fail, FAIL_TEMP, errno, "send");
		if (n > 0)
			question = span_from(question, (size_t)n);
		else if (wait_until(fd, POLLOUT, deadline_ms, fail) == -1)
			return -1;
	}
	while (out->len < want && !out->overflow) {
		if (wait_until(fd, POLLIN, deadline_ms, fail) == -1)
			return -1;
		n = recv(fd, piece, sizeof(piece), 0);
		if (n == -1 && errno != EAGAIN && errno != EINTR)
			return fail_errno(fail, FAIL_TEMP, errno, "recv");
		if (n == 0)
			break;
		if (n > 0)
			buf_add(out, piece, (size_t)n);
	}
	return 0;
}

/* -- a filter -- */

static void
add_u32(struct buf *out, uint32_t n)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		buf_add_char(out, (char)(unsigned char)(n >> shift));
}

static uint32_t
read_u32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
}

int
dialog_read_negotiation(struct span answer, struct fail *fail)
{
	uint32_t len, version;

	if (answer.len < NEGOTIATION)
		return fail_set(fail, FAIL_TEMP, "who listens there hangs up: "
		    "it is no filter");
	len = read_u32(answer.p);
	version = read_u32(answer.p + 5);
	if (len < NEGOTIATION - 4 || len > ANSWER_MAX || answer.p[4] != 'O' ||
	    version < 2 || version > 1000)
		return fail_set(fail, FAIL_TEMP, "who listens there does not "
		    "speak the milter protocol");
	return (int)version;
}

int
dialog_milter(int fd, int timeout_ms, struct fail *fail)
{
	struct buf question = BUF_INIT(64), answer = BUF_INIT(ANSWER_MAX);
	int rc;

	add_u32(&question, NEGOTIATION - 4);
	buf_add_char(&question, 'O');
	add_u32(&question, PROTOCOL);
	add_u32(&question, ACTIONS);
	add_u32(&question, STEPS);
	rc = dialog_ask(fd, buf_span(&question), NEGOTIATION, timeout_ms,
	    &answer, fail);
	if (rc == 0)
		rc = dialog_read_negotiation(buf_span(&answer), fail);
	if (rc != -1)
		(void)send(fd, "\0\0\0\1Q", 5, MSG_NOSIGNAL);
	buf_fini(&question);
	buf_fini(&answer);
	return rc;
}

/* -- a web server -- */

/* "HTTP/1.1 503", and the first line behind the header, as plain text. */
int
dialog_read_http(struct span answer, char *text, size_t size,
    struct fail *fail)
{
	size_t n = 0;
	int status = 0;

	text[0] = '\0';
	if (answer.len < 12 || !span_has_prefix(answer, SPAN("HTTP/1.")) ||
	    answer.p[8] != ' ')
		return fail_set(fail, FAIL_TEMP, "who listens there does not "
		    "speak HTTP");
	for (size_t i = 9; i < 12; i++) {
		if (!ascii_isdigit(answer.p[i]))
			return fail_set(fail, FAIL_TEMP, "who listens there "
			    "does not speak HTTP");
		status = status * 10 + answer.p[i] - '0';
	}
	for (size_t i = 3; i < answer.len; i++)
		if (memcmp(answer.p + i - 3, "\r\n\r\n", 4) == 0) {
			answer = span_from(answer, i + 1);
			while (n < answer.len && n + 1 < size &&
			    ascii_isprint(answer.p[n])) {
				text[n] = (char)answer.p[n];
				n++;
			}
			text[n] = '\0';
			break;
		}
	return status;
}

int
dialog_get(int fd, const char *path, int timeout_ms, char *text, size_t size,
    struct fail *fail)
{
	struct buf question = BUF_INIT(1024), answer = BUF_INIT(ANSWER_MAX);
	int rc;

	buf_addf(&question, "GET %s HTTP/1.1\r\nHost: localhost\r\n"
	    "Connection: close\r\n\r\n", path);
	rc = dialog_ask(fd, buf_span(&question), ANSWER_MAX, timeout_ms,
	    &answer, fail);
	if (rc == 0)
		rc = dialog_read_http(buf_span(&answer), text, size, fail);
	buf_fini(&question);
	buf_fini(&answer);
	return rc;
}
