/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * consentctl(1): the admin's, marketer's and auditor's command.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/closest.h"
#include "base/crypto.h"
#include "ctl/command.h"
#include "ctl/help.h"
#include "ledger/applier.h"
#include "ledger/known_time.h"
#include "ledger/redis.h"

/* The ledger is read from the start of a segment to find what Redis has not
 * confirmed, so its segments are small. */
#define LEDGER_SEGMENT_BYTES	(UINT64_C(16) * 1024 * 1024)

static struct ctl ctl;

void
ctl_warn(const char *fmt, ...)
{
	va_list ap;

	fputs("consentctl: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void
ctl_on_warning(const char *text, void *context)
{
	(void)context;
	ctl_warn("%s", text);
}

bool
ctl_is_interrupted(void *context)
{
	const struct ctl *c = context;

	return c->interrupted != 0;
}

int
ctl_exit_code(const struct fail *fail)
{
	if (fail->class != FAIL_SETUP)
		return fail_exit_code(fail->class);
	switch (fail->error) {
	case EACCES:
	case EPERM:
		return EX_NOPERM;
	case ENOSPC:
	case EDQUOT:
	case EROFS:
		return EX_TEMPFAIL;
	default:
		return EX_CONFIG;
	}
}

int
ctl_error(const struct fail *fail)
{
	ctl_warn("%s", fail->text);
	return ctl_exit_code(fail);
}

bool
ctl_is_terminal(int fd)
{
	return isatty(fd) == 1;
}

int
ctl_need_settings(struct ctl *c)
{
	struct buf errors = BUF_INIT(256 * 1024);
	int rc = EX_OK;

	if (c->settings != NULL)
		return EX_OK;
	if (settings_load(c->config_path, &c->settings, &errors) == -1) {
		fputs(buf_get(&errors), stderr);
		rc = access(c->config_path, R_OK) == -1 && errno == EACCES ?
		    EX_NOPERM : EX_CONFIG;
	}
	buf_fini(&errors);
	return rc;
}

int
ctl_need_keys(struct ctl *c)
{
	struct fail fail;
	int rc = ctl_need_settings(c);

	if (rc != EX_OK || c->has_keys)
		return rc;
	if (settings_load_keys(c->settings, &fail) == -1) {
		rc = errno == EACCES ? EX_NOPERM : EX_CONFIG;
		ctl_warn("%s", fail.text);
		return rc;
	}
	c->has_keys = true;
	return EX_OK;
}

int
ctl_need_ledger(struct ctl *c)
{
	struct journal_options options = {
		.name = "ledger", .host = c->host,
		.segment_bytes = LEDGER_SEGMENT_BYTES,
	};
	uint64_t recovered = 0;
	struct fail fail;
	int rc = ctl_need_settings(c);

	if (rc != EX_OK || c->ledger != NULL)
		return rc;
	options.directory = c->settings->audit.ledger;
	if (c->settings->checkpoint_key == NULL &&
	    settings_load_checkpoint_key(c->settings, &fail) == -1)
		ctl_warn("the ledger gets no signed checkpoint: %s",
		    fail.text);
	options.signer = c->settings->checkpoint_key;
	errno = 0;
	if (applier_mend_cursor(options.directory, &fail) == -1 ||
	    journal_open(&options, &c->ledger, &recovered, &fail) == -1) {
		rc = errno == EACCES || errno == EPERM ? EX_NOPERM :
		    EX_TEMPFAIL;
		ctl_warn("nothing is recorded: %s", fail.text);
		return rc;
	}
	/* Remembered for who opts out after the clock was set back. */
	(void)known_time_ms(options.directory);
	if (recovered != 0)
		ctl_warn("the ledger ended in half an entry: %llu bytes cut "
		    "off", (unsigned long long)recovered);
	return EX_OK;
}

int
ctl_need_store(struct ctl *c)
{
	struct store_options options;
	char *password = NULL;
	struct fail fail;
	int rc = ctl_need_settings(c);

	if (rc != EX_OK || c->store != NULL)
		return rc;
	/* Nobody waits behind us, so a slow server may take its time. */
	options = ledger_redis_options(c->settings,
	    c->settings->redis.timeout_ms < 5000 ? 5000 :
	    c->settings->redis.timeout_ms);
	if (settings_writer_password(c->settings, &password, &fail) == -1)
		return ctl_error(&fail);
	if (password != NULL) {
		options.username = c->settings->redis.writer_username;
		options.password = password;
	}
	if (store_open(&options, &c->store, &fail) == -1)
		rc = ctl_error(&fail);
	if (password != NULL)
		crypto_wipe(password, strlen(password));
	free(password);
	return rc;
}

const struct list *
ctl_list(const struct ctl *c, const char *id)
{
	const struct policy *policy = &c->settings->policy;
	const struct list *list = policy_list(policy, span_str(id));
	const char **names, *near;

	if (list != NULL)
		return list;
	names = calloc(policy->list_count + 1, sizeof(*names));
	if (names == NULL)
		abort();
	for (size_t i = 0; i < policy->list_count; i++)
		names[i] = policy->lists[i].id;
	near = closest_name(id, names, policy->list_count);
	ctl_warn("there is no list \"%s\"%s%s%s", id, near ? ": did you mean \""
	    : "", near ? near : "", near ? "\"?" : "");
	free(names);
	return NULL;
}

int
ctl_subject(const struct ctl *c, const char *text, struct address *address,
    struct subject *subject)
{
	struct fail fail;

	if (address_parse(span_str(text), address, &fail) == -1) {
		ctl_warn("%s: %s", text, fail.text);
		return EX_DATAERR;
	}
	subject_of(c->settings->pseudonym_key, address, subject);
	return EX_OK;
}

static void
on_interrupt(int signal)
{
	(void)signal;
	ctl.interrupted = 1;
}

/* Parses what stands before the command.  Returns -1 to go on, or a code. */
static int
parse_global(int argc, char **argv)
{
	int c;

	while ((c = ctl_getopt(argc, argv)) != -1)
		switch (c) {
		case 'c':
			ctl.config_path = optarg;
			break;
		case 'h':
			return EX_OK;
		case 'V':
			printf("consentctl %s\n", PACKAGE_VERSION);
			return EX_OK;
		default:
			return EX_USAGE;
		}
	if (optind < argc)
		return -1;
	help_commands(stderr);
	return EX_USAGE;
}

/* Half an answer must not look like a whole one. */
static int
finish_output(int rc)
{
	bool had_failed = ferror(stdout) != 0;
	struct fail fail;

	if (fflush(stdout) == 0 && !had_failed)
		return rc;
	/* Why an earlier piece was not written is forgotten by now. */
	if (had_failed)
		(void)fail_set(&fail, FAIL_TEMP, "the output is not complete");
	else
		(void)fail_errno(&fail, FAIL_TEMP, errno,
		    "the output is not complete");
	ctl_warn("%s", fail.text);
	return rc == EX_OK ? EX_IOERR : rc;
}

int
main(int argc, char **argv)
{
	const struct command *command;
	struct sigaction action = { .sa_handler = on_interrupt };
	int rc;

	ctl.config_path = settings_default_path();
	ctl.now_ms = clock_now_ms();
	if (gethostname(ctl.host, sizeof(ctl.host) - 1) == -1)
		(void)snprintf(ctl.host, sizeof(ctl.host), "localhost");
	rc = parse_global(argc, argv);
	if (rc != -1)
		return rc;
	command = command_find(argv[optind]);
	if (command == NULL)
		return ctl_unknown_command(argv[optind]);
	(void)sigaction(SIGINT, &action, NULL);
	argc -= optind;
	argv += optind;
	optind = 0;		/* GNU: start anew, with another argv */
	rc = command->run(&ctl, argc, argv);
	applier_close(&ctl.applier);
	if (ctl.ledger != NULL)
		journal_close(&ctl.ledger);
	if (ctl.store != NULL)
		store_close(&ctl.store);
	if (ctl.settings != NULL)
		settings_put(&ctl.settings);
	return finish_output(rc);
}
