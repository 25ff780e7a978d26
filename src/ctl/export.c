/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The export of a person's data (rights/export.h), from the command line.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "ctl/ctl.h"
#include "rights/export.h"

#define DIRECTORIES_MAX	100

struct request {
	struct export_options options;
	const char	*ledgers[DIRECTORIES_MAX];
	const char	*logs[DIRECTORIES_MAX];
};

static int
add_directory(const char **directories, size_t *count, const char *path)
{
	if (*count == DIRECTORIES_MAX)
		return -1;
	directories[(*count)++] = path;
	return 0;
}

/* Returns -1 to go on, or an exit code. */
static int
parse(struct request *q, int argc, char **argv)
{
	int c, rc = 0;

	while (rc == 0 && (c = ctl_getopt(argc, argv)) != -1)
		switch (c) {
		case 'f':
			q->options.csv = strcmp(optarg, "csv") == 0;
			if (!q->options.csv && strcmp(optarg, "json") != 0)
				return ctl_usage(argv[0],
				    "--format is json or csv");
			break;
		case 'l':
			rc = add_directory(q->logs, &q->options.log_count, optarg);
			break;
		case 'L':
			rc = add_directory(q->ledgers, &q->options.ledger_count,
			    optarg);
			break;
		case 'h':
			return EX_OK;
		default:
			return EX_USAGE;
		}
	if (rc == -1)
		return ctl_usage(argv[0], "takes at most %d directories",
		    DIRECTORIES_MAX - 1);
	return optind + 1 == argc ? -1 : ctl_usage(argv[0],
	    "wants one address");
}

static int
run(struct ctl *ctl, struct request *q)
{
	const struct watch watch = { .warn = ctl_on_warning,
	    .is_stopped = ctl_is_interrupted, .context = ctl };
	struct address address;
	struct fail fail;
	bool complete;
	int rc = ctl_need_keys(ctl);

	if (rc != EX_OK || (rc = ctl_need_store(ctl)) != EX_OK ||
	    (rc = ctl_subject(ctl, q->options.given, &address,
	    &q->options.subject)) != EX_OK)
		return rc;
	if (add_directory(q->ledgers, &q->options.ledger_count,
	    ctl->settings->audit.ledger) == -1 || add_directory(q->logs,
	    &q->options.log_count, ctl->settings->audit.directory) == -1)
		return EX_USAGE;
	q->options.settings = ctl->settings;
	q->options.store = ctl->store;
	q->options.now_ms = ctl->now_ms;
	q->options.ledgers = q->ledgers;
	q->options.logs = q->logs;
	q->options.watch = &watch;
	if (export_write(&q->options, stdout, &complete, &fail) == -1)
		return ctl_error(&fail);
	return complete ? EX_OK : EX_UNAVAILABLE;
}

int
command_export(struct ctl *ctl, int argc, char **argv)
{
	struct request q = { .ledgers = { NULL } };
	int rc = parse(&q, argc, argv);

	if (rc != -1)
		return rc;
	q.options.given = argv[optind];
	return run(ctl, &q);
}
