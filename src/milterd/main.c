/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * consent-milter(8): lets mail of a list reach only those who opted in to it.
 *
 * Order of the start: options, settings and keys, socket (all of it possibly
 * as root), privileges dropped, signals blocked, then the first threads.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libmilter/mfapi.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/listen.h"
#include "base/log.h"
#include "base/privilege.h"
#include "base/xalloc.h"
#include "milterd/callbacks.h"
#include "milterd/overview.h"
#include "milterd/runtime.h"
#include "monitor/listener.h"

/* Sessions that wait for a store that hangs are answered within this. */
#define DRAIN_MS	15000
/* libmilter notices a stop within five seconds; when it has not ended after
 * this time it never will, and its sessions get so much more. */
#define STOP_MS		10000
#define STUCK_DRAIN_MS	2000

/* Who gets the socket when the configuration says nothing: Postfix connects
 * as its user. */
#define MTA_GROUP	"postfix"

/* Of libmilter's threads.  ThreadSanitizer takes most of it. */
#define STACK_BYTES	((size_t)1024 * 1024)
#define HEAPS		2

struct options {
	const char *path;
	bool foreground;
	bool test;
};

static void
usage(FILE *to)
{
	fputs("usage: consent-milter [-ftV] [-c file]\n"
	    "  -c file  configuration file\n"
	    "  -f       stay in the foreground, log to stderr as well\n"
	    "  -t       test the configuration and exit: 0 good, 78 not\n"
	    "  -V       print versions and exit\n", to);
}

static void
print_versions(void)
{
	char milter[32];

	callbacks_version(milter, sizeof(milter));
	printf("consent-milter %s\nlibmilter %s\nhiredis %s\nlibconfig %s\n"
	    "libmicrohttpd %s\n%s\n", PACKAGE_VERSION, milter, store_library_version(),
	    settings_library_version(), listener_library_version(),
	    crypto_version());
}

static void
parse_options(int argc, char **argv, struct options *options)
{
	int c;

	options->path = settings_default_path();
	while ((c = getopt(argc, argv, "c:fthV")) != -1)
		switch (c) {
		case 'c':
			options->path = optarg;
			break;
		case 'f':
			options->foreground = true;
			break;
		case 't':
			options->test = true;
			break;
		case 'V':
			print_versions();
			exit(EX_OK);
		case 'h':
			usage(stdout);
			exit(EX_OK);
		default:
			usage(stderr);
			exit(EX_USAGE);
		}
	if (optind != argc) {
		usage(stderr);
		exit(EX_USAGE);
	}
}

static struct settings *
load_settings(const char *path)
{
	struct buf errors = BUF_INIT(256 * 1024);
	struct settings *settings;
	struct fail fail;

	if (settings_load(path, &settings, &errors) == -1) {
		fputs(buf_get(&errors), stderr);
		exit(EX_CONFIG);
	}
	if (runtime_check(settings, &fail) == -1) {
		fprintf(stderr, "%s: %s\n", path, fail.text);
		exit(EX_CONFIG);
	}
	buf_fini(&errors);
	return settings;
}

static int
test_configuration(const struct options *options)
{
	struct settings *settings = load_settings(options->path);
	struct fail fail;

	/* The keys are no part of the file, so this is said and no more. */
	if (settings_load_keys(settings, &fail) == -1)
		fprintf(stderr, "consent-milter: warning: %s\n", fail.text);
	settings_put(&settings);
	return EX_OK;
}

static void stop_on(const struct fail *fail) __attribute__((noreturn));

static void
stop_on(const struct fail *fail)
{
	log_error("%s", fail->text);
	exit(fail_exit_code(fail->class));
}

/* The path of a UNIX socket in libmilter's notation, or NULL. */
static const char *
unix_path(const char *address)
{
	if (strncmp(address, "unix:", 5) == 0)
		return address + 5;
	if (strncmp(address, "local:", 6) == 0)
		return address + 6;
	return address[0] == '/' ? address : NULL;
}

static int
set_socket_rights(const struct settings *settings, const char *path,
    struct fail *fail)
{
	int mode = settings->socket_mode;
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1, unused;
	struct fail unknown;

	if (settings->socket_group != NULL) {
		if (privilege_group(settings->socket_group, &gid, fail) == -1)
			return -1;
		if (mode == -1)
			mode = 0660;
	} else if (mode == -1 && geteuid() == 0 &&
	    privilege_group(MTA_GROUP, &gid, &unknown) == 0) {
		/* Root's socket with the usual umask is of use to nobody. */
		mode = 0660;
	}
	if (geteuid() == 0 && settings->user[0] != '\0' &&
	    privilege_user(settings->user, &uid, &unused, fail) == -1)
		return -1;
	if ((mode != -1 && chmod(path, (mode_t)mode) == -1) ||
	    chown(path, uid, gid) == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "socket %s", path);
	return 0;
}

static int
open_socket(const struct settings *settings, struct fail *fail)
{
	const char *path = unix_path(settings->socket);
	char *address = xstrdup(settings->socket);
	mode_t mask = 0;
	bool keep_mask = settings->socket_group == NULL &&
	    settings->socket_mode == -1;
	int rc = 0;

	/* Robustness: libmilter would take the socket away from it. */
	if (path != NULL && listen_is_alive(path))
		rc = fail_set(fail, FAIL_SETUP, "%s is in use by a "
		    "consent-milter that runs", path);
	/* libmilter keeps the pointer it gets: the copy stays. */
	if (rc == 0 && smfi_setconn(address) == MI_FAILURE)
		rc = fail_set(fail, FAIL_SETUP, "socket \"%s\": libmilter "
		    "can't read it", address);
	/* Nobody gets in before the rights are set. */
	if (!keep_mask)
		mask = umask(0177);
	if (rc == 0 && smfi_opensocket(true) == MI_FAILURE)
		rc = fail_set(fail, FAIL_SETUP, "can't listen on %s: is its "
		    "directory there, may we write to it, is the port free?",
		    address);
	if (!keep_mask)
		(void)umask(mask);
	if (rc == 0 && path != NULL)
		rc = set_socket_rights(settings, path, fail);
	return rc;
}

/* Made here as long as we may; the journal works in it as the user. */
static int
make_audit_directory(const struct settings *settings, struct fail *fail)
{
	const char *path = settings->audit.directory;
	uid_t uid;
	gid_t gid;

	if (access(path, F_OK) == 0)
		return 0;
	if (file_make_directory(path, fail) == -1)
		return -1;
	if (geteuid() != 0 || settings->user[0] == '\0')
		return 0;
	if (privilege_user(settings->user, &uid, &gid, fail) == -1)
		return -1;
	if (chown(path, uid, gid) == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s", path);
	return 0;
}

/*
 * Goes to the background.  The parent stays until the child is ready or has
 * given up, and leaves with its exit code, so that whoever started us knows.
 * Returns the descriptor on which to say so.
 */
static int
daemonize(void)
{
	unsigned char code;
	int pipe_fds[2];
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) == -1 || (pid = fork()) == -1) {
		perror("consent-milter: fork");
		exit(EX_OSERR);
	}
	if (pid != 0) {
		(void)close(pipe_fds[1]);
		_exit(read(pipe_fds[0], &code, 1) == 1 ? EX_OK : EX_CONFIG);
	}
	(void)close(pipe_fds[0]);
	(void)setsid();
	return pipe_fds[1];
}

static void
tell_ready(int ready_fd)
{
	int null;

	(void)sd_notify(0, "READY=1");
	if (ready_fd == -1)
		return;
	log_leave_stderr();
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null != -1) {
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		(void)close(null);
	}
	(void)!write(ready_fd, "", 1);
	(void)close(ready_fd);
}

static void *
reload_on_signal(void *argument)
{
	struct runtime *runtime = argument;
	sigset_t set;
	int signal;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	for (;;)
		if (sigwait(&set, &signal) == 0)
			runtime_reload(runtime);
	return NULL;
}

/* SIGUSR1 reloads.  SIGHUP, SIGTERM and SIGINT are for wait_for_stop(). */
static void
start_reload_thread(struct runtime *runtime)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, reload_on_signal, runtime) != 0) {
		log_error("can't start a thread");
		exit(EX_OSERR);
	}
	(void)pthread_detach(thread);
}

/* Before the first thread.  The signals that libmilter takes wait until it
 * does: one that comes early would kill us otherwise. */
static void
block_signals(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigaddset(&set, SIGPIPE);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/*
 * libmilter ends threads that have nothing to do and starts others when a burst
 * comes.  The C library keeps 40 MiB of stacks for that: a few at its usual 8
 * MiB, enough for all of them at this size, which is many times what our
 * callbacks use.  Nor shall each bring a heap of its own.
 */
static void
make_threads_cheap(void)
{
	pthread_attr_t attr;

	(void)mallopt(M_ARENA_MAX, HEAPS);
	if (pthread_attr_init(&attr) != 0)
		return;
	/* Where it is refused the usual size does as well. */
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	(void)pthread_setattr_default_np(&attr);
	(void)pthread_attr_destroy(&attr);
}

/* libmilter, in a thread of its own. */
struct filtering {
	pthread_t	 main;
	pthread_mutex_t	 lock;		/* for what follows */
	pthread_cond_t	 ends;
	bool		 has_ended;
	int		 result;
};

static void *
run_libmilter(void *argument)
{
	struct filtering *f = argument;
	int result = smfi_main();

	(void)pthread_mutex_lock(&f->lock);
	f->has_ended = true;
	f->result = result;
	(void)pthread_cond_signal(&f->ends);
	(void)pthread_mutex_unlock(&f->lock);
	/* In case that nobody has told the main thread to stop. */
	(void)pthread_kill(f->main, SIGTERM);
	return NULL;
}

static void
start_libmilter(struct filtering *f)
{
	pthread_t thread;

	f->main = pthread_self();
	(void)pthread_mutex_init(&f->lock, NULL);
	clock_cond_init(&f->ends);
	f->has_ended = false;
	if (pthread_create(&thread, NULL, run_libmilter, f) != 0) {
		log_error("can't start a thread");
		exit(EX_OSERR);
	}
	(void)pthread_detach(thread);
}

/*
 * libmilter has a thread that waits for these signals as well.  The kernel
 * gives one that is sent to the process to its first thread when that waits,
 * so we know of it, and then pass it on.
 */
static void
wait_for_stop(void)
{
	sigset_t set;
	int signal;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	while (sigwait(&set, &signal) != 0)
		;
	(void)kill(getpid(), SIGTERM);
}

/* Returns false when libmilter does not end. */
static bool
wait_for_end(struct filtering *f, int *result)
{
	struct timespec until = clock_deadline(clock_monotonic_ms() +
	    STOP_MS);
	bool has_ended;

	(void)pthread_mutex_lock(&f->lock);
	while (!f->has_ended && pthread_cond_timedwait(&f->ends, &f->lock,
	    &until) != ETIMEDOUT)
		;
	has_ended = f->has_ended;
	*result = has_ended ? f->result : MI_SUCCESS;
	(void)pthread_mutex_unlock(&f->lock);
	return has_ended;
}

/*
 * Interop: the threads of libmilter's pool can all wait for its lock for ever
 * when it is told to stop right after many connections ended.  We leave without
 * it then: an MTA whose connection breaks defers its mail.
 */
static int
stop_libmilter(struct filtering *f)
{
	int result;

	(void)sd_notify(0, "STOPPING=1");
	if (wait_for_end(f, &result)) {
		callbacks_drain(DRAIN_MS);
		return result;
	}
	callbacks_drain(STUCK_DRAIN_MS);
	log_warn("libmilter has not ended %d seconds after it was told to: "
	    "leaving without it, with %zu connections of MTAs open, which "
	    "defer what they have under way", STOP_MS / 1000,
	    callbacks_connections());
	return result;
}

/* Said beside the filter's mode. */
static const char *
other_modes(const struct policy *policy)
{
	for (size_t i = 0; i < policy->list_count; i++)
		if (policy_observes(policy, &policy->lists[i]) !=
		    policy->observe)
			return policy->observe ? ", some lists enforce" :
			    ", some lists observe";
	return "";
}

static int
serve(const struct options *options, struct settings *settings,
    const struct overview_sockets *sockets, int ready_fd)
{
	struct filtering filtering;
	struct overview *overview;
	struct runtime *runtime;
	struct fail fail;
	int rc;

	if (runtime_new(options->path, settings, &runtime, &fail) == -1)
		stop_on(&fail);
	callbacks_start(runtime);
	if (overview_start(sockets, runtime, settings, &overview, &fail) ==
	    -1)
		stop_on(&fail);
	start_reload_thread(runtime);
	tell_ready(ready_fd);
	log_info("consent-milter %s listens on %s, mode %s%s", PACKAGE_VERSION,
	    settings->socket, settings->policy.observe ? "observe" :
	    "enforce", other_modes(&settings->policy));
	make_threads_cheap();
	start_libmilter(&filtering);
	wait_for_stop();
	rc = stop_libmilter(&filtering);
	overview_stop(&overview);
	runtime_close(runtime);
	log_info("stopped");
	return rc == MI_SUCCESS ? EX_OK : EX_SOFTWARE;
}

int
main(int argc, char **argv)
{
	struct options options = { NULL, false, false };
	struct overview_sockets sockets;
	struct settings *settings;
	struct fail fail, warning;
	int ready_fd = -1;

	parse_options(argc, argv, &options);
	if (options.test)
		return test_configuration(&options);
	settings = load_settings(options.path);
	if (!options.foreground)
		ready_fd = daemonize();
	/* Until it is ready, whoever started it sees what is wrong. */
	log_open("consent-milter", true);
	if (settings_load_keys(settings, &fail) == -1 ||
	    callbacks_register(&fail) == -1 ||
	    open_socket(settings, &fail) == -1 ||
	    overview_listen(settings, &sockets, &warning, &fail) == -1 ||
	    make_audit_directory(settings, &fail) == -1 ||
	    privilege_drop(settings->user, &fail) == -1)
		stop_on(&fail);
	if (warning.text[0] != '\0')
		log_warn("%s: `consentctl status\' can\'t ask this filter",
		    warning.text);
	(void)umask(027);
	block_signals();
	/* Sessions may still hold what we share: no clean-up, no exit(). */
	_exit(serve(&options, settings, &sockets, ready_fd));
}
