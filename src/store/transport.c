/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What a connection is made of.  A plain one costs a test more than the system
 * call.
 */
#include "store/private.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

int
transport_open(const struct url *url, const struct tls_files *files,
    int timeout_ms, int stop_fd, struct transport *out, struct fail *fail)
{
	struct transport t = { .fd = -1 };

	t.fd = dial_open(url, timeout_ms, stop_fd, fail);
	if (t.fd == -1)
		return -1;
	if (url->is_tls && tls_open(files, url->host, t.fd, stop_fd,
	    clock_monotonic_ms() + timeout_ms, &t.tls, fail) == -1) {
		(void)fail_prefix(fail, "rediss://%s:%s", url->host,
		    url->port);
		transport_close(&t);
		return -1;
	}
	*out = t;
	return 0;
}

void
transport_close(struct transport *t)
{
	tls_close(&t->tls);
	if (t->fd != -1)
		(void)close(t->fd);
	t->fd = -1;
}

ssize_t
transport_send(const struct transport *t, const void *p, size_t len)
{
	if (t->tls != NULL)
		return tls_send(t->tls, p, len);
	return send(t->fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

ssize_t
transport_recv(const struct transport *t, void *p, size_t len)
{
	if (t->tls != NULL)
		return tls_recv(t->tls, p, len);
	return recv(t->fd, p, len, 0);
}

bool
transport_is_pending(const struct transport *t)
{
	return t->tls != NULL && tls_is_pending(t->tls);
}

int
transport_send_all(const struct transport *t, struct span bytes, int stop_fd,
    int64_t deadline_ms, struct fail *fail)
{
	while (bytes.len > 0) {
		ssize_t n = transport_send(t, bytes.p, bytes.len);

		if (n >= 0)
			bytes = span_from(bytes, (size_t)n);
		else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			if (dial_wait(t->fd, POLLOUT, stop_fd, deadline_ms,
			    fail) == -1)
				return -1;
		} else if (errno != EINTR)
			return transport_fail(t, n, errno, "writing to Redis",
			    fail);
	}
	return 0;
}

int
transport_read_reply(const struct transport *t, struct reply_reader *reader,
    int stop_fd, int64_t deadline_ms, struct reply **out, struct fail *fail)
{
	char bytes[4096];
	ssize_t n;
	int rc;

	while ((rc = reply_reader_next(reader, LINK_REPLY_SMALL, out,
	    fail)) == 0) {
		n = transport_recv(t, bytes, sizeof(bytes));
		if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR))
			return transport_fail(t, n, errno,
			    "reading from Redis", fail);
		if (n == -1 && dial_wait(t->fd, POLLIN, stop_fd, deadline_ms,
		    fail) == -1)
			return -1;
		if (n > 0 && reply_reader_feed(reader, bytes, (size_t)n,
		    fail) == -1)
			return -1;
	}
	return rc == 1 ? 0 : -1;
}

int
transport_fail(const struct transport *t, ssize_t n, int err,
    const char *doing, struct fail *fail)
{
	if (t->tls != NULL && tls_explain(t->tls, fail))
		return -1;
	if (n == 0)
		return fail_set(fail, FAIL_TEMP,
		    "Redis closed the new connection");
	return fail_errno(fail, FAIL_TEMP, err, "%s", doing);
}
