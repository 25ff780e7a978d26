/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "base/listen.h"

#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/xalloc.h"

#define BACKLOG		1024
#define LOCK_TRIES	100	/* 10 ms apart */

static int
set_path(const char *path, struct sockaddr_un *sun)
{
	if (strlen(path) >= sizeof(sun->sun_path))
		return -1;
	memset(sun, 0, sizeof(*sun));
	sun->sun_family = AF_UNIX;
	memcpy(sun->sun_path, path, strlen(path) + 1);
	return 0;
}

bool
listen_is_alive(const char *path)
{
	struct sockaddr_un sun;
	bool alive;
	int fd;

	if (set_path(path, &sun) == -1)
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return false;
	/* EAGAIN: so many wait for it already. */
	alive = connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 ||
	    errno == EAGAIN;
	(void)close(fd);
	return alive;
}

/*
 * Of two that start together one must not take the other's fresh socket for one
 * that was left behind.  Whoever may read the directory can hold this lock, so
 * it is not waited for for ever.
 */
static int
lock_directory(const char *path)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	char *directory = xstrdup(path), *slash = strrchr(directory, '/');
	int fd;

	if (slash != NULL)
		slash[slash == directory ? 1 : 0] = '\0';
	fd = open(slash != NULL ? directory : ".", O_RDONLY | O_DIRECTORY |
	    O_CLOEXEC);
	free(directory);
	for (int i = 0; fd != -1 && i < LOCK_TRIES &&
	    flock(fd, LOCK_EX | LOCK_NB) == -1; i++)
		(void)nanosleep(&pause, NULL);
	return fd;
}

/* What is no socket is not ours to remove. */
static bool
is_in_the_way(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode);
}

/* The mode holds from the first moment on: nobody can connect before listen(),
 * and it is set before that. */
static int
bind_unix(const char *key, const char *path, mode_t mode, struct fail *fail)
{
	struct sockaddr_un sun;
	int fd;

	if (set_path(path, &sun) == -1)
		return fail_set(fail, FAIL_SETUP, "%s: the path is longer "
		    "than %zu bytes", key, sizeof(sun.sun_path) - 1);
	if (listen_is_alive(path))
		return fail_set(fail, FAIL_SETUP, "%s: %s is in use by a "
		    "process that runs", key, path);
	if (is_in_the_way(path))
		return fail_set(fail, FAIL_SETUP, "%s: %s is there, and no "
		    "socket", key, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd != -1)
		(void)unlink(path);
	if (fd != -1 &&
	    bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0 &&
	    chmod(path, mode) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	(void)fail_errno(fail, FAIL_SETUP, errno, "%s: %s", key, path);
	if (fd != -1)
		(void)close(fd);
	return -1;
}

static int
listen_unix(const char *key, const char *path, mode_t mode, struct fail *fail)
{
	int lock = lock_directory(path);
	int fd = bind_unix(key, path, mode, fail);

	if (lock != -1)
		(void)close(lock);
	return fd;
}

static int
listen_on(const struct addrinfo *at)
{
	int one = 1;
	int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, at->ai_protocol);

	if (fd == -1)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

/* host:port, checked by settings. */
static int
listen_inet(const char *key, const char *place, struct fail *fail)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV };
	struct addrinfo *found = NULL;
	char *host = xstrdup(place), *name = host;
	char *colon = strrchr(host, ':');
	int fd = -1, err = EAI_NONAME;

	if (colon != NULL) {
		*colon = '\0';
		if (name[0] == '[' && colon > name && colon[-1] == ']') {
			colon[-1] = '\0';
			name++;
		}
		err = getaddrinfo(name, colon + 1, &hints, &found);
	}
	if (err != 0)
		(void)fail_set(fail, FAIL_SETUP, "%s: \"%.80s\": %s", key,
		    place, gai_strerror(err));
	else if ((fd = listen_on(found)) == -1)
		(void)fail_errno(fail, FAIL_SETUP, errno, "%s: %s", key,
		    place);
	if (found != NULL)
		freeaddrinfo(found);
	free(host);
	return fd;
}

int
listen_open(const char *key, const char *place, mode_t mode,
    struct fail *fail)
{
	return strncmp(place, "unix:", 5) == 0 ?
	    listen_unix(key, place + 5, mode, fail) :
	    listen_inet(key, place, fail);
}
