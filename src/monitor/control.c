/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "monitor/control.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/listen.h"
#include "base/privilege.h"
#include "base/xalloc.h"

#define MODE	0660

struct control {
	int		 fd, stop_fd;
	char		*path;
	void		(*add)(struct buf *, void *);
	void		*context;
	pthread_t	 thread;
};

static int
give_away(const char *path, const char *user, struct fail *fail)
{
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0 || user[0] == '\0')
		return 0;
	if (privilege_user(user, &uid, &gid, fail) == -1)
		return -1;
	return chown(path, uid, gid) == 0 ? 0 : fail_errno(fail, FAIL_SETUP,
	    errno, "%s", path);
}

int
control_listen(const char *key, const char *path, const char *user,
    struct fail *fail)
{
	struct buf place = BUF_INIT(8192);
	int fd;

	buf_addf(&place, "unix:%s", path);
	fd = listen_open(key, buf_get(&place), MODE, fail);
	buf_fini(&place);
	if (fd != -1 && give_away(path, user, fail) == -1) {
		(void)close(fd);
		(void)unlink(path);
		fd = -1;
	}
	return fd;
}

static void
describe(const struct control *c, int peer)
{
	struct buf text = BUF_INIT(CONTROL_TEXT_MAX);

	buf_add_char(&text, '{');
	json_add_member_i64(&text, "format", CONTROL_FORMAT);
	c->add(&text, c->context);
	buf_add_str(&text, "}\n");
	if (!text.overflow)
		(void)send(peer, text.data, text.len, MSG_DONTWAIT |
		    MSG_NOSIGNAL);
	buf_fini(&text);
}

static void *
serve(void *argument)
{
	const struct control *c = argument;
	const struct timespec pause = { .tv_nsec = 100000000 };
	struct pollfd fds[2] = {
		{ .fd = c->fd, .events = POLLIN },
		{ .fd = c->stop_fd, .events = POLLIN },
	};
	int peer;

	while (poll(fds, 2, -1) >= 0 || errno == EINTR) {
		if (fds[1].revents != 0)
			break;
		if (fds[0].revents == 0)
			continue;
		peer = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);
		if (peer == -1) {
			/* No descriptor is left: not for ever. */
			(void)nanosleep(&pause, NULL);
			continue;
		}
		describe(c, peer);
		(void)close(peer);
	}
	return NULL;
}

static void
free_control(struct control *c)
{
	(void)close(c->fd);
	if (c->stop_fd != -1)
		(void)close(c->stop_fd);
	(void)unlink(c->path);
	free(c->path);
	free(c);
}

int
control_start(int fd, const char *path, void (*add)(struct buf *, void *),
    void *context, struct control **out, struct fail *fail)
{
	struct control *c = xcalloc(1, sizeof(*c));
	int err;

	c->fd = fd;
	c->path = xstrdup(path);
	c->add = add;
	c->context = context;
	c->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = c->stop_fd == -1 ? errno :
	    pthread_create(&c->thread, NULL, serve, c);
	if (err != 0) {
		free_control(c);
		return fail_errno(fail, FAIL_SETUP, err,
		    "starting the thread of the control socket");
	}
	*out = c;
	return 0;
}

void
control_stop(struct control **control)
{
	struct control *c = *control;
	uint64_t one = 1;

	if (c == NULL)
		return;
	*control = NULL;
	(void)!write(c->stop_fd, &one, sizeof(one));
	(void)pthread_join(c->thread, NULL);
	free_control(c);
}
