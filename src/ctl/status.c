/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * consentctl status: do the daemons run, and are they well?
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/json.h"
#include "ctl/ctl.h"
#include "ctl/daemon.h"

#define DAEMONS		2
#define EX_PROBLEM	1

struct daemon {
	const char	*program;
	const char	*key;		/* of its socket, in the configuration */
	const char	*path;		/* NULL: none */
	bool		 is_asked;
};

struct status {
	struct daemon	 daemons[DAEMONS];
	bool		 json;
	size_t		 printed;	/* of JSON */
};

/* Of two the worse: no answer, a problem, none. */
static int
worse(int a, int b)
{
	if (a == EX_OK || b == EX_OK)
		return a == EX_OK ? b : a;
	return a == EX_PROBLEM ? b : a;
}

static void
print_json(struct status *s, const struct daemon *d, const struct buf *text,
    const struct fail *fail)
{
	struct buf out = BUF_INIT(2 * DAEMON_TEXT_MAX);

	buf_add_str(&out, s->printed++ > 0 ? ",{" : "{");
	json_add_member_str(&out, "program", d->program);
	json_add_name(&out, "socket");
	if (d->path != NULL)
		json_add_string(&out, span_str(d->path));
	else
		buf_add_str(&out, "null");
	if (fail != NULL)
		json_add_member_str(&out, "error", fail->text);
	json_add_name(&out, "status");
	/* It has been read as an object of JSON. */
	if (fail == NULL)
		buf_add_span(&out, span_trim(buf_span(text)));
	else
		buf_add_str(&out, "null");
	buf_add_char(&out, '}');
	fputs(buf_get(&out), stdout);
	buf_fini(&out);
}

/* Returns an exit code. */
static int
print_failure(struct status *s, const struct daemon *d,
    const struct fail *fail)
{
	if (s->json)
		print_json(s, d, NULL, fail);
	else
		printf("%s: no answer\n", d->program);
	ctl_warn("%s does not answer: %s", d->program, fail->text);
	return fail->class == FAIL_SETUP ? ctl_exit_code(fail) :
	    EX_UNAVAILABLE;
}

static int
ask(struct status *s, const struct daemon *d)
{
	struct buf text = BUF_INIT(DAEMON_TEXT_MAX);
	struct buf lines = BUF_INIT(2 * DAEMON_TEXT_MAX);
	bool has_problem = false;
	struct fail fail;
	int rc;

	if (d->path == NULL)
		rc = fail_set(&fail, FAIL_SETUP, "%s = \"\" in the "
		    "configuration", d->key);
	else
		rc = daemon_ask(d->path, &text, &fail);
	if (rc == 0)
		rc = daemon_describe(buf_span(&text), d->program, &lines,
		    &has_problem, &fail);
	if (rc == -1)
		rc = print_failure(s, d, &fail);
	else {
		if (s->json)
			print_json(s, d, &text, NULL);
		else
			fputs(buf_get(&lines), stdout);
		rc = has_problem ? EX_PROBLEM : EX_OK;
	}
	buf_fini(&text);
	buf_fini(&lines);
	return rc;
}

/* Who is named is asked, or who is configured. */
static int
choose(struct status *s, const struct settings *settings, int argc,
    char **argv)
{
	for (int i = optind; i < argc; i++) {
		size_t k = 0;

		while (k < DAEMONS && strcmp(argv[i],
		    s->daemons[k].program) != 0)
			k++;
		if (k == DAEMONS)
			return ctl_usage(argv[0], "there is no daemon \"%s\", "
			    "but consent-milter and consent-web", argv[i]);
		s->daemons[k].is_asked = true;
	}
	if (optind < argc)
		return -1;
	s->daemons[0].is_asked = settings->control != NULL;
	/* Without it consent-web does not run. */
	s->daemons[1].is_asked = settings->web.control != NULL &&
	    settings->unsubscribe.url != NULL;
	if (s->daemons[0].is_asked || s->daemons[1].is_asked)
		return -1;
	ctl_warn("control and web.control are empty: nobody can be asked");
	return EX_CONFIG;
}

/* Returns -1 to go on, or an exit code. */
static int
parse(struct ctl *ctl, struct status *s, int argc, char **argv)
{
	int c, rc;

	while ((c = ctl_getopt(argc, argv)) != -1)
		switch (c) {
		case 'j':
			s->json = true;
			break;
		case 'h':
			return EX_OK;
		default:
			return EX_USAGE;
		}
	if ((rc = ctl_need_settings(ctl)) != EX_OK)
		return rc;
	s->daemons[0] = (struct daemon){ "consent-milter", "control",
	    ctl->settings->control, false };
	s->daemons[1] = (struct daemon){ "consent-web", "web.control",
	    ctl->settings->web.control, false };
	return choose(s, ctl->settings, argc, argv);
}

int
command_status(struct ctl *ctl, int argc, char **argv)
{
	struct status s = { .json = false };
	int rc = parse(ctl, &s, argc, argv);

	if (rc != -1)
		return rc;
	rc = EX_OK;
	if (s.json)
		fputs("{\"daemons\":[", stdout);
	for (size_t i = 0; i < DAEMONS; i++)
		if (s.daemons[i].is_asked)
			rc = worse(rc, ask(&s, &s.daemons[i]));
	if (s.json)
		puts("]}");
	return rc;
}
