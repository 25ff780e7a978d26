/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Private redis-servers for tests: each in a folder of its own, on a UNIX
 * socket (and a loopback port where asked for), killed at the latest when the
 * test dies.
 */
#ifndef TESTS_UNIT_REDIS_SERVER_H
#define TESTS_UNIT_REDIS_SERVER_H

#include <errno.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define SERVER_ARGS		32

struct server {
	pid_t	 pid;
	char	 dir[64];
	char	 sock[96];
	char	 url[112];
	/* Kept for restarts. */
	const char *args[SERVER_ARGS];
};

/* CONSENT_MILTER_REDIS: another one that stands in for it. */
static inline const char *
server_path(void)
{
	const char *path = getenv("CONSENT_MILTER_REDIS");

	return path != NULL && path[0] != '\0' ? path :
	    "/usr/bin/redis-server";
}

static inline void
sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, (ms % 1000) * 1000000L };

	while (nanosleep(&ts, &ts) == -1 && errno == EINTR)
		continue;
}

/* Runs one command; the reply's text, number or "nil" in a static buffer.  For
 * one thread only. */
static inline const char *
server_ask(struct server *s, size_t argc, const char **argv)
{
	static char text[4096];
	struct timeval limit = { 5, 0 };
	redisContext *c = redisConnectUnixWithTimeout(s->sock, limit);
	redisReply *r = NULL;

	(void)snprintf(text, sizeof(text), "no connection");
	if (c != NULL && c->err == 0)
		r = redisCommandArgv(c, (int)argc, argv, NULL);
	if (r != NULL && r->type == REDIS_REPLY_INTEGER)
		(void)snprintf(text, sizeof(text), "%lld", r->integer);
	else if (r != NULL && r->str != NULL)
		(void)snprintf(text, sizeof(text), "%s", r->str);
	else if (r != NULL)
		(void)snprintf(text, sizeof(text), "nil");
	if (r != NULL)
		freeReplyObject(r);
	if (c != NULL)
		redisFree(c);
	return text;
}

#define SERVER_ASK(server, ...)						\
	server_ask((server),						\
	    sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *),	\
	    (const char *[]){ __VA_ARGS__ })

static inline void
server_exec(struct server *s)
{
	const char *argv[SERVER_ARGS + 16] = {
		server_path(), "--port", "0", "--unixsocket", s->sock,
		"--save", "", "--dir", s->dir, "--logfile", "log",
		"--appendfsync", "no",
	};
	size_t n = 13;

	for (size_t i = 0; s->args[i] != NULL; i++)
		argv[n++] = s->args[i];
	s->pid = fork();
	if (s->pid != 0)
		return;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (freopen("/dev/null", "w", stdout) == NULL)
		_exit(126);
	union {
		const char **in;
		char **out;
	} u = { argv };
	(void)execv(argv[0], u.out);
	_exit(127);
}

/* Waits until it can be connected to. */
static inline void
server_await(struct server *s)
{
	for (int i = 0; i < 500; i++) {
		const char *answer = SERVER_ASK(s, "PING");

		if (strcmp(answer, "no connection") != 0)
			return;
		sleep_ms(10);
	}
	fprintf(stderr, "redis-server does not start in %s\n", s->dir);
	exit(EXIT_FAILURE);
}

/* Makes the folder only; args is a NULL-terminated list or NULL. */
static inline void
server_prepare(struct server *s, const char *const *args)
{
	memset(s, 0, sizeof(*s));
	(void)snprintf(s->dir, sizeof(s->dir), "/tmp/store-test-XXXXXX");
	if (mkdtemp(s->dir) == NULL) {
		perror(s->dir);
		exit(EXIT_FAILURE);
	}
	(void)snprintf(s->sock, sizeof(s->sock), "%s/sock", s->dir);
	(void)snprintf(s->url, sizeof(s->url), "unix:%s", s->sock);
	for (size_t i = 0; args != NULL && args[i] != NULL; i++)
		s->args[i] = args[i];
}

static inline void
server_start(struct server *s, const char *const *args)
{
	server_prepare(s, args);
	server_exec(s);
	server_await(s);
}

static inline void
server_kill(struct server *s)
{
	if (s->pid <= 0)
		return;
	(void)kill(s->pid, SIGKILL);
	(void)waitpid(s->pid, NULL, 0);
	s->pid = 0;
}

static inline void
server_end(struct server *s)
{
	char path[160];

	server_kill(s);
	(void)unlink(s->sock);
	(void)snprintf(path, sizeof(path), "%s/log", s->dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/acl", s->dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/dump.rdb", s->dir);
	(void)unlink(path);
	(void)rmdir(s->dir);
}

/* A loopback port that was free a moment ago. */
static inline unsigned
server_free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (bind(fd, (struct sockaddr *)&a, len) == -1 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) == -1)
		a.sin_port = 0;
	(void)close(fd);
	return ntohs(a.sin_port);
}

/* Tests that need Redis are skipped without it, unless skips are failures. */
static inline bool
server_is_installed(void)
{
	return access(server_path(), X_OK) == 0;
}

static inline int
server_skip(void)
{
	fprintf(stderr, "%s is missing\n", server_path());
	return getenv("SKIPS_AS_FAILS") != NULL ? EXIT_FAILURE : 77;
}

#endif
