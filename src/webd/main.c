/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * consent-web(8): the endpoint behind the unsubscribe links.
 *
 * Order of the start: options, settings and keys, socket (all of it possibly
 * as root), privileges dropped, signals blocked, then the first threads.
 */
#include <sys/stat.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/listen.h"
#include "base/log.h"
#include "base/privilege.h"
#include "monitor/control.h"
#include "monitor/reloads.h"
#include "net/net.h"
#include "store/store.h"
#include "webd/monitor.h"
#include "webd/server.h"
#include "webd/webhook.h"

struct options {
	const char *path;
	bool test;
};

static void
usage(FILE *to)
{
	fputs("usage: consent-web [-tV] [-c file]\n"
	    "  -c file  configuration file\n"
	    "  -t       test the configuration and exit: 0 good, 78 not\n"
	    "  -V       print versions and exit\n"
	    "It stays in the foreground and logs to stderr as well.\n", to);
}

static void
parse_options(int argc, char **argv, struct options *options)
{
	int c;

	options->path = settings_default_path();
	while ((c = getopt(argc, argv, "c:thV")) != -1)
		switch (c) {
		case 'c':
			options->path = optarg;
			break;
		case 't':
			options->test = true;
			break;
		case 'V':
			printf("consent-web %s\nlibmicrohttpd %s\nlibcurl %s\n"
			    "hiredis %s\n%s\n", PACKAGE_VERSION,
			    server_library_version(), net_library_version(),
			    store_library_version(), crypto_version());
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

/* Returns 0, or -1 with a line for each mistake in errors. */
static int
read_settings(const char *path, struct settings **out, struct buf *errors)
{
	if (settings_load(path, out, errors) == -1)
		return -1;
	if ((*out)->unsubscribe.url != NULL)
		return 0;
	buf_addf(errors, "%s: unsubscribe.url is not set: there is no link to "
	    "answer\n", path);
	settings_put(out);
	return -1;
}

static struct settings *
load_settings(const char *path)
{
	struct buf errors = BUF_INIT(256 * 1024);
	struct settings *settings;

	if (read_settings(path, &settings, &errors) == -1) {
		fputs(buf_get(&errors), stderr);
		exit(EX_CONFIG);
	}
	buf_fini(&errors);
	return settings;
}

static void stop_on(const struct fail *fail) __attribute__((noreturn));

static void
stop_on(const struct fail *fail)
{
	log_error("%s", fail->text);
	exit(fail_exit_code(fail->class));
}

static void
add_signals(sigset_t *set)
{
	(void)sigemptyset(set);
	(void)sigaddset(set, SIGHUP);
	(void)sigaddset(set, SIGINT);
	(void)sigaddset(set, SIGTERM);
	(void)sigaddset(set, SIGUSR1);
}

static void
block_signals(void)
{
	sigset_t set;

	add_signals(&set);
	(void)sigaddset(&set, SIGPIPE);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* A bad file is refused, and everything stays as it is. */
static void
reload(struct server *server, struct reloads *reloads, const char *path)
{
	struct buf errors = BUF_INIT(256 * 1024);
	struct settings *settings = NULL;
	struct texts *texts = NULL;
	struct fail fail;

	if (read_settings(path, &settings, &errors) == -1) {
		log_error("reload refused: %s", buf_get(&errors));
		reloads_note_refusal(reloads, buf_get(&errors));
	} else if (settings_load_keys(settings, &fail) == -1 ||
	    texts_load(settings, &texts, &fail) == -1) {
		log_error("reload refused: %s", fail.text);
		reloads_note_refusal(reloads, fail.text);
	} else {
		reloads_note(reloads);
		server_reload(server, settings, texts);
		log_info("configuration reloaded from %s", path);
	}
	settings_put(&settings);
	texts_put(&texts);
	buf_fini(&errors);
}

static void
wait_for_stop(struct server *server, struct reloads *reloads,
    const char *path)
{
	sigset_t set;
	int signal;

	add_signals(&set);
	for (;;) {
		if (sigwait(&set, &signal) != 0)
			continue;
		if (signal != SIGUSR1)
			return;
		reload(server, reloads, path);
	}
}

/* The configuration is good when we come here. */
static int
test_texts(const struct settings *settings)
{
	const struct languages *languages;
	struct texts *texts;
	struct fail fail;

	if (texts_load(settings, &texts, &fail) == -1) {
		fprintf(stderr, "consent-web: %s\n", fail.text);
		return -1;
	}
	languages = texts_languages(texts);
	for (size_t i = 0; i < languages->count; i++)
		if (languages->all[i].missing != NULL)
			fprintf(stderr, "consent-web: the language %s is not "
			    "complete, and English where it lacks words: "
			    "\"%s\"\n", languages->all[i].tag,
			    languages->all[i].missing);
	texts_put(&texts);
	return 0;
}

/* The secrets of webhooks, which whoever tests may not be allowed to read. */
static int
test_secrets(const struct settings *settings)
{
	struct fail fail;
	int rc = webhooks_check(settings, &fail);

	if (rc == -1)
		fprintf(stderr, "consent-web: %s\n", fail.text);
	return rc;
}

/* What is answered all the same, only not as well. */
static void
warn_of_gaps(const struct settings *settings,
    const struct languages *languages)
{
	for (size_t i = 0; i < languages->count; i++)
		if (languages->all[i].missing != NULL)
			log_warn("the words of language %s are not complete, "
			    "and English where they are missing: \"%s\"",
			    languages->all[i].tag, languages->all[i].missing);
	if (settings->web.url != NULL && settings->link_key == NULL)
		log_warn("there is no link.key, so nobody can sign up or see "
		    "their data: run `consentctl keygen'");
}

/* The sockets, while we may still bind to them. */
struct sockets {
	int links;
	int metrics;	/* -1: nobody wants them */
	int control;	/* -1: none */
};

static int
open_sockets(const struct settings *settings, struct sockets *out,
    struct fail *fail)
{
	const char *metrics = settings->web.metrics;

	out->metrics = -1;
	out->control = -1;
	/* The proxy connects as its own user; links carry their own right. */
	out->links = listen_open("web.listen", settings->web.listen, 0666,
	    fail);
	if (out->links != -1 && metrics != NULL)
		out->metrics = listen_open("web.metrics", metrics, 0666, fail);
	return out->links == -1 || (metrics != NULL && out->metrics == -1) ?
	    -1 : 0;
}

/* No reason to turn opt-outs away: it is said, and that is all. */
static void
open_control(const struct settings *settings, struct sockets *out)
{
	struct fail fail;

	if (settings->web.control == NULL)
		return;
	out->control = control_listen("web.control", settings->web.control,
	    settings->user, &fail);
	if (out->control == -1)
		log_warn("%s: `consentctl status\' can\'t ask consent-web",
		    fail.text);
}

static int
serve(const struct sockets *sockets, struct settings *settings,
    const char *path)
{
	struct monitor_sources sources = { .config_path = path };
	struct metrics metrics = { 0 };
	struct reloads reloads;
	struct texts *texts;
	struct recorder *recorder;
	struct monitor *monitor = NULL;
	struct webhooks *webhooks;
	struct server *server;
	struct fail fail;

	net_open();
	if (texts_load(settings, &texts, &fail) == -1)
		stop_on(&fail);
	warn_of_gaps(settings, texts_languages(texts));
	reloads_init(&reloads);
	if (recorder_open(settings, &metrics, &recorder, &fail) == -1 ||
	    webhooks_open(settings, &webhooks, &fail) == -1)
		stop_on(&fail);
	sources.reloads = &reloads;
	sources.metrics = &metrics;
	sources.recorder = recorder;
	sources.webhooks = webhooks;
	if (monitor_start(sockets->metrics, sockets->control,
	    settings->web.control, &sources, &monitor, &fail) == -1 ||
	    server_start(sockets->links, settings, texts, recorder,
	    &metrics, &server, &fail) == -1)
		stop_on(&fail);
	(void)sd_notify(0, "READY=1");
	log_info("consent-web %s listens on %s for %s", PACKAGE_VERSION,
	    settings->web.listen, settings->unsubscribe.url);
	wait_for_stop(server, &reloads, path);
	(void)sd_notify(0, "STOPPING=1");
	server_stop(&server);
	monitor_stop(&monitor);
	webhooks_close(&webhooks);
	recorder_close(&recorder);
	reloads_fini(&reloads);
	texts_put(&texts);
	log_info("stopped");
	return EX_OK;
}

int
main(int argc, char **argv)
{
	struct options options = { NULL, false };
	struct settings *settings;
	struct sockets sockets;
	struct fail fail;
	int rc;

	parse_options(argc, argv, &options);
	settings = load_settings(options.path);
	if (options.test) {
		rc = test_texts(settings) | test_secrets(settings);
		settings_put(&settings);
		return rc == 0 ? EX_OK : EX_CONFIG;
	}
	log_open("consent-web", true);
	(void)privilege_raise_files();
	if (settings_load_keys(settings, &fail) == -1 ||
	    open_sockets(settings, &sockets, &fail) == -1)
		stop_on(&fail);
	open_control(settings, &sockets);
	if (privilege_drop(settings->user, &fail) == -1)
		stop_on(&fail);
	(void)umask(027);
	block_signals();
	rc = serve(&sockets, settings, options.path);
	settings_put(&settings);
	return rc;
}
