/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Connecting without ever blocking for longer than was asked for.
 * Limit: getaddrinfo() can't be given a deadline, so the time for connecting
 * begins behind it.  Only the store's thread waits for it; callers keep their
 * own time.
 */
#include "store/private.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

int
dial_wait(int fd, short events, int stop_fd, int64_t deadline_ms,
    struct fail *fail)
{
	struct pollfd fds[2] = {
		{ .fd = fd, .events = events },
		{ .fd = stop_fd, .events = POLLIN },
	};

	for (;;) {
		int64_t left_ms = deadline_ms - clock_monotonic_ms();
		int n;

		if (left_ms <= 0)
			return fail_set(fail, FAIL_TEMP,
			    "Redis did not answer in time");
		n = poll(fds, 2, (int)left_ms);
		if (n == -1 && errno != EINTR)
			return fail_errno(fail, FAIL_TEMP, errno, "poll");
		if (n > 0 && fds[1].revents != 0)
			return fail_set(fail, FAIL_TEMP, "stopped");
		if (n > 0)
			return 0;
	}
}

static int
connect_within(int fd, const struct sockaddr *address, socklen_t len,
    int stop_fd, int64_t deadline_ms, struct fail *fail)
{
	socklen_t size = sizeof(int);
	int err = 0;

	if (connect(fd, address, len) == 0)
		return 0;
	/* A UNIX socket whose backlog is full says EAGAIN, and there is nothing
	 * to wait for: the next attempt will tell. */
	if (errno != EINPROGRESS)
		return fail_errno(fail, FAIL_TEMP, errno, "connect");
	if (dial_wait(fd, POLLOUT, stop_fd, deadline_ms, fail) == -1)
		return -1;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) == -1)
		err = errno;
	return err == 0 ? 0 : fail_errno(fail, FAIL_TEMP, err, "connect");
}

static int
open_one(int family, const struct sockaddr *address, socklen_t len,
    int stop_fd, int64_t deadline_ms, struct fail *fail)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd == -1)
		return fail_errno(fail, FAIL_TEMP, errno, "socket");
	if (connect_within(fd, address, len, stop_fd, deadline_ms, fail) ==
	    -1) {
		(void)close(fd);
		return -1;
	}
	if (family != AF_UNIX) {
		/* Neither is needed for being right, only for being quick. */
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
		    sizeof(on));
		(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on,
		    sizeof(on));
	}
	return fd;
}

static int
open_unix(const struct url *url, int timeout_ms, int stop_fd,
    struct fail *fail)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, url->path, sizeof(address.sun_path));
	return open_one(AF_UNIX, (const struct sockaddr *)(const void *)
	    &address, sizeof(address), stop_fd,
	    clock_monotonic_ms() + timeout_ms, fail);
}

/* Each address of the host gets its share of the time. */
static int
open_tcp(const struct url *url, int timeout_ms, int stop_fd, struct fail *fail)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *all, *a;
	int left = 0, fd = -1, rc;
	int64_t deadline_ms;

	rc = getaddrinfo(url->host, url->port, &hints, &all);
	if (rc != 0)
		return fail_set(fail, FAIL_TEMP, "%s", gai_strerror(rc));
	for (a = all; a != NULL; a = a->ai_next)
		left++;
	deadline_ms = clock_monotonic_ms() + timeout_ms;
	for (a = all; a != NULL && fd == -1; a = a->ai_next, left--) {
		int64_t now_ms = clock_monotonic_ms();

		fd = open_one(a->ai_family, a->ai_addr, a->ai_addrlen, stop_fd,
		    now_ms + (deadline_ms - now_ms) / left, fail);
	}
	freeaddrinfo(all);
	return fd;
}

int
dial_open(const struct url *url, int timeout_ms, int stop_fd,
    struct fail *fail)
{
	int fd = url->is_unix ? open_unix(url, timeout_ms, stop_fd, fail) :
	    open_tcp(url, timeout_ms, stop_fd, fail);

	if (fd == -1 && url->is_unix)
		(void)fail_prefix(fail, "unix:%s", url->path);
	else if (fd == -1)
		(void)fail_prefix(fail, "redis%s://%s:%s",
		    url->is_tls ? "s" : "", url->host, url->port);
	return fd;
}
