/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/postconf.h"

#include <stdio.h>
#include <string.h>

#include "ctl/child.h"

#define OUTPUT_MAX	((size_t)1024 * 1024)

struct span
postconf_value(const struct postconf *p, const char *name)
{
	struct span out;

	return mtaconf_value(buf_span(&p->values), name, &out) ? out :
	    span_of(NULL, 0);
}

struct span
postconf_of_service(const struct postconf *p, const struct mta_service *s,
    const char *name)
{
	struct span own;

	return mtaconf_override(buf_span(&p->overrides), s, name, &own) ? own :
	    postconf_value(p, name);
}

static const char *
base_name(struct span command, size_t *len)
{
	ptrdiff_t slash = span_rindex(command, '/');

	command = span_from(command, (size_t)(slash + 1));
	*len = command.len;
	return (const char *)command.p;
}

bool
postconf_is_smtpd(const struct mta_service *s)
{
	size_t len;
	const char *name = base_name(s->command, &len);

	return span_is(span_of(name, len), SPAN("smtpd"));
}

bool
postconf_is_ours(const struct doctor *d, const struct postconf *p,
    const struct mta_milter *milter)
{
	struct mta_socket socket;

	return d->has_socket && mtaconf_socket(milter->socket, &socket) &&
	    mtaconf_same_socket(&d->socket, &socket, p->queue);
}

bool
postconf_find_ours(const struct doctor *d, const struct postconf *p,
    struct span list, struct mta_milter *out)
{
	while (mtaconf_next_milter(&list, out))
		if (postconf_is_ours(d, p, out))
			return true;
	return false;
}

/* -- asking -- */

static int
ask(struct doctor *d, const char *const *words, struct buf *out,
    struct buf *err, struct fail *fail)
{
	const char *argv[32] = { "postconf" };
	size_t n = 1;

	if (d->postfix_directory != NULL) {
		argv[n++] = "-c";
		argv[n++] = d->postfix_directory;
	}
	while (*words != NULL && n < 31)
		argv[n++] = *words++;
	return child_run(argv, DOCTOR_PROGRAM_MS, out, err, fail);
}

/* Returns false after saying why nothing can be said. */
static bool
tell_unusable(struct doctor *d, int rc, const struct buf *err,
    const struct fail *fail)
{
	struct findings *f = &d->findings;
	struct span text = span_trim(buf_span(err));
	ptrdiff_t end = span_index(text, '\n');

	if (end != -1)
		text = span_head(text, (size_t)end);
	if (rc == -1)
		findings_add(f, "postfix", FINDING_SKIPPED, "%s", fail->text);
	else if (d->postfix_directory == NULL &&
	    strstr(buf_get(err), "main.cf: No such file") != NULL)
		findings_add(f, "postfix", FINDING_SKIPPED, "Postfix is not "
		    "set up here");
	else {
		findings_add(f, "postfix", FINDING_FAIL, "Postfix can't read "
		    "its configuration: %.*s", (int)text.len,
		    (const char *)text.p);
		findings_fix(f, "postfix check tells all of it");
	}
	return false;
}

static bool
read_all(struct doctor *d, struct postconf *p)
{
	static const char *const values[] = { "-x", "smtpd_milters",
	    "non_smtpd_milters", "smtpd_milter_maps", "milter_default_action",
	    "milter_protocol", "milter_command_timeout",
	    "milter_content_timeout", "milter_macro_daemon_name",
	    "receive_override_options", "content_filter", "queue_directory",
	    "mail_owner", "maximal_queue_lifetime", "smtpd_sasl_auth_enable",
	    "multi_instance_directories", "inet_interfaces", NULL };
	static const char *const services[] = { "-M", NULL };
	static const char *const overrides[] = { "-P", "-x", NULL };
	static const char *const set[] = { "-n", NULL };
	struct buf err = BUF_INIT(OUTPUT_MAX), unused = BUF_INIT(OUTPUT_MAX);
	struct fail fail;
	int rc = ask(d, values, &p->values, &err, &fail);
	bool good = rc == 0 || tell_unusable(d, rc, &err, &fail);

	if (good && ((rc = ask(d, services, &p->services, &err, &fail)) != 0 ||
	    (rc = ask(d, overrides, &p->overrides, &err, &fail)) != 0 ||
	    (rc = ask(d, set, &unused, &p->warnings, &fail)) != 0))
		good = tell_unusable(d, rc, &err, &fail);
	buf_fini(&err);
	buf_fini(&unused);
	return good;
}

static void
set_up(struct postconf *p)
{
	struct span queue = postconf_value(p, "queue_directory");
	struct span owner = postconf_value(p, "mail_owner");
	char name[128];

	(void)snprintf(p->queue, sizeof(p->queue), "%.*s", (int)queue.len,
	    (const char *)queue.p);
	(void)snprintf(name, sizeof(name), "%.*s", (int)owner.len,
	    (const char *)owner.p);
	p->has_owner = name[0] != '\0' && reach_look_up(name, &p->owner);
}

bool
postconf_read(struct doctor *d, struct postconf *p)
{
	*p = (struct postconf){ .values = BUF_INIT(OUTPUT_MAX),
	    .services = BUF_INIT(OUTPUT_MAX),
	    .overrides = BUF_INIT(OUTPUT_MAX),
	    .warnings = BUF_INIT(OUTPUT_MAX) };
	if (!read_all(d, p))
		return false;
	set_up(p);
	return true;
}

void
postconf_fini(struct postconf *p)
{
	buf_fini(&p->values);
	buf_fini(&p->services);
	buf_fini(&p->overrides);
	buf_fini(&p->warnings);
}
