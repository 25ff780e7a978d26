/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The store of notices (rights/notice.h), from the command line.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/file.h"
#include "ctl/ctl.h"
#include "ctl/notice_lint.h"
#include "ctl/term.h"
#include "rights/notice.h"

struct arguments {
	struct notice	 notice;
	const char	*list;
	bool		 json;
};

static int
set_name(const char *what, char *to, size_t room, const char *text)
{
	if (notice_copy_name(to, room, span_str(text)) == 0)
		return EX_OK;
	return ctl_usage("notice", "--%s is 1 to %zu letters, digits, dots, "
	    "hyphens and underscores", what, room - 1);
}

/* Returns -1 to go on, or an exit code. */
static int
parse(struct arguments *a, int argc, char **argv)
{
	struct notice *n = &a->notice;
	int c, rc = EX_OK;

	while (rc == EX_OK && (c = ctl_getopt(argc, argv)) != -1)
		switch (c) {
		case 'i':
			rc = set_name("id", n->id, sizeof(n->id), optarg);
			break;
		case 'v':
			rc = set_name("version", n->version,
			    sizeof(n->version), optarg);
			break;
		case 'l':
			rc = set_name("language", n->language,
			    sizeof(n->language), optarg);
			break;
		case 'L':
			a->list = optarg;
			break;
		case 'j':
			a->json = true;
			break;
		case 'h':
			return EX_OK;
		default:
			rc = EX_USAGE;
		}
	return rc == EX_OK ? -1 : rc;
}

static int
add(struct ctl *ctl, struct arguments *a, const char *path)
{
	struct buf text = BUF_INIT(NOTICE_TEXT_MAX);
	struct notice *n = &a->notice;
	char actor[CTL_ACTOR_ROOM];
	const struct notice_adder by = { actor, ctl->now_ms };
	struct fail fail;
	int rc;

	if (n->id[0] == '\0' || n->version[0] == '\0' ||
	    n->language[0] == '\0')
		return ctl_usage("notice", "add wants --id, --version and "
		    "--language");
	rc = file_read(path, &text, &fail);
	if (rc == 0) {
		ledger_name_actor(actor);
		rc = notice_add(ctl->settings, n, buf_span(&text), &by, &fail);
		if (rc == -1 && fail.class == FAIL_INPUT)
			(void)fail_prefix(&fail, "%s", path);
	}
	buf_fini(&text);
	if (rc == -1)
		return fail.class == FAIL_INPUT ? (ctl_error(&fail), 1) :
		    ctl_error(&fail);
	printf("%s  %s %s %s%s\n", n->digest, n->id, n->version, n->language,
	    rc == 0 ? "  (was stored already)" : "");
	return EX_OK;
}

static int
list(const struct ctl *ctl, bool json)
{
	struct notices notices;
	struct fail fail;

	if (notices_read(ctl->settings, &notices, &fail) == -1)
		return ctl_error(&fail);
	if (json)
		putchar('[');
	for (size_t i = 0; i < notices.count; i++) {
		const struct notice *n = &notices.all[i];

		/* The names need no escape: copy_name() saw to that. */
		if (json)
			printf("%s\n{\"id\":\"%s\",\"version\":\"%s\","
			    "\"language\":\"%s\",\"digest\":\"%s\"}",
			    i > 0 ? "," : "", n->id, n->version, n->language,
			    n->digest);
		else
			printf("%s  %s %s %s\n", n->digest, n->id, n->version,
			    n->language);
	}
	if (json)
		puts("]");
	notices_fini(&notices);
	return EX_OK;
}

/* DIGEST, or ID VERSION LANGUAGE */
static int
show(const struct ctl *ctl, char **names, int count)
{
	struct buf text = BUF_INIT(NOTICE_TEXT_MAX);
	const char *digest = names[0];
	const struct notice *n = NULL;
	struct notices notices;
	struct fail fail;
	int rc = notices_read(ctl->settings, &notices, &fail);

	if (rc == 0 && count == 3) {
		n = notices_find(&notices, span_str(names[0]), span_str(names[1]),
		    span_str(names[2]));
		digest = n != NULL ? n->digest : "";
	}
	if (rc == 0)
		rc = notice_text(ctl->settings, digest, &text, &fail);
	if (rc == 1)
		(void)fwrite(text.data, 1, text.len, stdout);
	else if (rc == 0)
		ctl_warn("this notice is not stored");
	notices_fini(&notices);
	buf_fini(&text);
	return rc == -1 ? ctl_error(&fail) : rc == 1 ? EX_OK : 1;
}

static int
lint(struct ctl *ctl, const struct arguments *a)
{
	const struct policy *policy = &ctl->settings->policy;
	struct buf out = BUF_INIT(16 * 1024 * 1024);
	struct findings findings = { .count = 0 };
	const struct list *only = NULL;
	struct notices notices;
	struct fail fail;
	int rc = 0;

	if (a->list != NULL && (only = ctl_list(ctl, a->list)) == NULL)
		return EX_DATAERR;
	if (notices_read(ctl->settings, &notices, &fail) == -1)
		return ctl_error(&fail);
	for (size_t i = 0; rc == 0 && i < policy->list_count; i++)
		if (only == NULL || only == &policy->lists[i])
			rc = notice_lint_list(&findings, ctl->settings,
			    &notices, &policy->lists[i], &fail);
	if (rc == -1)
		rc = ctl_error(&fail);
	else {
		rc = findings_count(&findings, FINDING_FAIL) > 0 ? 1 : EX_OK;
		if (a->json)
			findings_print_json(&out, &findings);
		else
			findings_print(&out, &findings, term_has_colour());
		fputs(buf_get(&out), stdout);
	}
	notices_fini(&notices);
	findings_fini(&findings);
	buf_fini(&out);
	return rc;
}

int
command_notice(struct ctl *ctl, int argc, char **argv)
{
	struct arguments a = { .json = false };
	int rc = parse(&a, argc, argv), left;

	if (rc != -1 || (rc = ctl_need_settings(ctl)) != EX_OK)
		return rc;
	argv += optind;
	left = argc - optind;
	if (left == 1 && strcmp(argv[0], "lint") == 0 &&
	    a.notice.id[0] == '\0' && a.notice.version[0] == '\0' &&
	    a.notice.language[0] == '\0')
		return lint(ctl, &a);
	if (a.list != NULL)
		return ctl_usage("notice", "--list belongs to lint, which "
		    "takes --list and --json only");
	if (left == 2 && strcmp(argv[0], "add") == 0)
		return add(ctl, &a, argv[1]);
	if (left == 1 && strcmp(argv[0], "list") == 0)
		return list(ctl, a.json);
	if ((left == 2 || left == 4) && strcmp(argv[0], "show") == 0)
		return show(ctl, argv + 1, left - 1);
	return ctl_usage("notice", "wants add FILE, list, lint, or show "
	    "and a notice");
}
