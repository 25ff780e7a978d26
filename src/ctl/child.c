/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/child.h"

#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

#define STEP_MS	50

struct running {
	pid_t		 pid;
	int		 fds[2];	/* its stdout and stderr; -1: ended */
	struct buf	*texts[2];
};

bool
child_find(const char *name, char *path, size_t size)
{
	static const char *const directories[] = { "/usr/sbin", "/usr/bin",
	    "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin" };

	for (size_t i = 0; i < sizeof(directories) / sizeof(*directories);
	    i++) {
		int n = snprintf(path, size, "%s/%s", directories[i], name);

		if (n > 0 && (size_t)n < size && access(path, X_OK) == 0)
			return true;
	}
	return false;
}

/* Returns 0, or an errno value. */
static int
spawn(const char *path, const char *const *argv, const int out[2],
    const int err[2], pid_t *pid)
{
	static const char *const environment[] = { "LC_ALL=C",
	    "PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int rc;

	if (posix_spawn_file_actions_init(&actions) != 0)
		return ENOMEM;
	if (posix_spawnattr_init(&attributes) != 0) {
		(void)posix_spawn_file_actions_destroy(&actions);
		return ENOMEM;
	}
	(void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
	(void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null",
	    O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	(void)posix_spawn_file_actions_adddup2(&actions, err[1], 2);
	/* It takes char *const *, and changes none of them. */
	rc = posix_spawn(pid, path, &actions, &attributes,
	    (char *const *)(uintptr_t)argv,
	    (char *const *)(uintptr_t)environment);
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	return rc;
}

static void
close_pipe(const int fds[2])
{
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static int
start(struct running *r, const char *path, const char *const *argv,
    struct fail *fail)
{
	int out[2], err[2], rc;

	if (pipe2(out, O_CLOEXEC) == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "pipe");
	if (pipe2(err, O_CLOEXEC) == -1) {
		(void)fail_errno(fail, FAIL_SETUP, errno, "pipe");
		close_pipe(out);
		return -1;
	}
	rc = spawn(path, argv, out, err, &r->pid);
	if (rc != 0) {
		close_pipe(out);
		close_pipe(err);
		return fail_errno(fail, FAIL_SETUP, rc, "%s", path);
	}
	(void)close(out[1]);
	(void)close(err[1]);
	r->fds[0] = out[0];
	r->fds[1] = err[0];
	return 0;
}

/* Takes what is there of one of its outputs. */
static void
take(struct running *r, int i)
{
	char piece[4096];
	ssize_t n = read(r->fds[i], piece, sizeof(piece));

	if (n > 0)
		buf_add(r->texts[i], piece, (size_t)n);
	else if (n == 0 || errno != EINTR) {
		(void)close(r->fds[i]);
		r->fds[i] = -1;
	}
}

static int
listen_to(struct running *r, int64_t deadline_ms, const char *name,
    struct fail *fail)
{
	while (r->fds[0] != -1 || r->fds[1] != -1) {
		struct pollfd polled[2] = {
			{ .fd = r->fds[0], .events = POLLIN },
			{ .fd = r->fds[1], .events = POLLIN } };

		if (clock_monotonic_ms() > deadline_ms)
			return fail_set(fail, FAIL_TEMP, "%s did not end in "
			    "time", name);
		(void)poll(polled, 2, STEP_MS);
		for (int i = 0; i < 2; i++)
			if (polled[i].revents != 0)
				take(r, i);
		if (r->texts[0]->overflow || r->texts[1]->overflow)
			return fail_set(fail, FAIL_TEMP, "%s prints without "
			    "an end", name);
	}
	return 0;
}

/* Who closed its output may still run, and for ever. */
static int
wait_for_end(const struct running *r, int64_t deadline_ms, const char *name,
    struct fail *fail)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(r->pid, &status, WNOHANG)) == 0) {
		if (clock_monotonic_ms() > deadline_ms)
			return fail_set(fail, FAIL_TEMP, "%s did not end in "
			    "time", name);
		(void)poll(NULL, 0, 1);
	}
	if (pid == -1 || !WIFEXITED(status))
		return fail_set(fail, FAIL_TEMP, "%s did not end by itself",
		    name);
	return WEXITSTATUS(status);
}

int
child_run(const char *const *argv, int timeout_ms, struct buf *out,
    struct buf *err, struct fail *fail)
{
	struct running r = { .texts = { out, err } };
	int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
	char path[PATH_MAX];
	int rc;

	if (!child_find(argv[0], path, sizeof(path)))
		return fail_set(fail, FAIL_SETUP, "%s is not installed",
		    argv[0]);
	if (start(&r, path, argv, fail) == -1)
		return -1;
	rc = listen_to(&r, deadline_ms, argv[0], fail);
	if (rc == 0)
		rc = wait_for_end(&r, deadline_ms, argv[0], fail);
	for (int i = 0; i < 2; i++)
		if (r.fds[i] != -1)
			(void)close(r.fds[i]);
	if (rc == -1) {
		(void)kill(-r.pid, SIGKILL);
		(void)waitpid(r.pid, NULL, 0);
	}
	return rc;
}
