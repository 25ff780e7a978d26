/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What each smtpd of Postfix does with the filter: may mail go round it, can it
 * be reached, is it waited for, and is it told what the rules rely on?
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "ctl/doctor.h"
#include "ctl/postconf.h"

/* -- services of their own mind -- */

/* Ports that senders use, never a content filter that gives mail back. */
static bool
is_front(struct span name)
{
	static const struct span ports[] = { SPAN("smtp"), SPAN("25"),
	    SPAN("submission"), SPAN("587"), SPAN("submissions"),
	    SPAN("smtps"), SPAN("465") };
	ptrdiff_t colon = span_rindex(name, ':');

	name = span_from(name, (size_t)(colon + 1));
	for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++)
		if (span_is(name, ports[i]))
			return true;
	return false;
}

/* Bound to the loopback: a content filter gives mail back there. */
static bool
is_inside(struct span name)
{
	ptrdiff_t colon = span_rindex(name, ':');
	char host[64];

	if (colon == -1 || colon >= (ptrdiff_t)sizeof(host))
		return false;
	if (name.p[0] == '[' && name.p[colon - 1] == ']')
		(void)snprintf(host, sizeof(host), "%.*s", (int)colon - 2,
		    (const char *)name.p + 1);
	else
		(void)snprintf(host, sizeof(host), "%.*s", (int)colon,
		    (const char *)name.p);
	return mtaconf_is_loopback(host);
}

/* Why mail of this service passes no filter of ours; NULL when it does. */
static const char *
why_unfiltered(const struct doctor *d, const struct postconf *p,
    const struct mta_service *s)
{
	struct mta_milter ours;

	if (mtaconf_has_word(postconf_of_service(p, s,
	    "receive_override_options"), SPAN("no_milters")))
		return "receive_override_options=no_milters";
	if (!postconf_find_ours(d, p, postconf_of_service(p, s,
	    "smtpd_milters"), &ours))
		return "smtpd_milters without the filter";
	return NULL;
}

static void
judge_services(struct doctor *d, const struct postconf *p)
{
	struct span rest = buf_span(&p->services);
	struct findings *f = &d->findings;
	struct mta_service s;
	bool good = true;

	while (mtaconf_next_service(&rest, &s)) {
		const char *why = postconf_is_smtpd(&s) ?
		    why_unfiltered(d, p, &s) : NULL;

		if (why == NULL || (is_inside(s.name) && !is_front(s.name)))
			continue;
		good = false;
		findings_add(f, "postfix-service", is_front(s.name) ?
		    FINDING_FAIL : FINDING_WARN, "mail that comes in at "
		    "service %.*s is not checked: it has %s%s", (int)s.name.len,
		    (const char *)s.name.p, why, is_front(s.name) ? "" :
		    ", which is right for mail that was checked already");
		findings_fix(f, "master.cf: below %.*s, remove that -o line, "
		    "or see that only a content filter reaches this port",
		    (int)s.name.len, (const char *)s.name.p);
	}
	if (good)
		findings_add(f, "postfix-service", FINDING_OK, "every smtpd "
		    "of master.cf asks the filter");
}

/* The whole path of our socket, as a chrooted smtpd sees it. */
static void
judge_chroot(struct doctor *d, const struct postconf *p)
{
	struct span rest = buf_span(&p->services);
	struct findings *f = &d->findings;
	size_t len = strlen(p->queue);
	struct mta_milter ours;
	struct mta_service s;

	if (!d->socket.is_unix || (strncmp(d->socket.path, p->queue, len) ==
	    0 && d->socket.path[len] == '/'))
		return;
	while (mtaconf_next_service(&rest, &s)) {
		if (!postconf_is_smtpd(&s) || !span_is(s.chroot, SPAN("y")) ||
		    !postconf_find_ours(d, p, postconf_of_service(p, &s,
		    "smtpd_milters"), &ours))
			continue;
		findings_add(f, "postfix-chroot", FINDING_FAIL, "service %.*s "
		    "is chrooted to %s, and can't see %s: mail is deferred, "
		    "or unchecked", (int)s.name.len, (const char *)s.name.p,
		    p->queue, d->socket.path);
		findings_fix(f, "consent-milter.conf: socket = "
		    "\"unix:%s/consent-milter/milter.sock\"; socket_group = "
		    "\"postfix\";", p->queue);
		findings_fix(f, "main.cf: smtpd_milters = "
		    "unix:consent-milter/milter.sock, ...");
		return;
	}
	findings_add(f, "postfix-chroot", FINDING_OK, "no smtpd is chrooted "
	    "away from the filter's socket");
}

static void
judge_socket(struct doctor *d, const struct postconf *p)
{
	struct span owner = postconf_value(p, "mail_owner");
	struct findings *f = &d->findings;
	char where[PATH_MAX];

	if (!d->socket.is_unix || !p->has_owner)
		return;
	switch (reach_path(&p->owner, d->socket.path, REACH_READ | REACH_WRITE,
	    where, sizeof(where))) {
	case REACH_YES:
		findings_add(f, "postfix-socket", FINDING_OK, "Postfix' user "
		    "may use the filter's socket");
		break;
	case REACH_NO:
		findings_add(f, "postfix-socket", FINDING_FAIL, "Postfix' user "
		    "\"%.*s\" may not use the filter's socket: %s is in the "
		    "way", (int)owner.len, (const char *)owner.p, where);
		findings_fix(f, "consent-milter.conf: socket_group = \"%.*s\"; "
		    "socket_mode = \"0660\";, systemctl restart "
		    "consent-milter, and for a directory chmod a+x",
		    (int)owner.len, (const char *)owner.p);
		break;
	case REACH_UNKNOWN:
		findings_add(f, "postfix-socket", FINDING_SKIPPED, "whether "
		    "Postfix' user may use %s can't be looked at by who runs "
		    "this", d->socket.path);
		findings_fix(f, "run it as root");
		break;
	case REACH_ABSENT:
		break;		/* "filter" tells */
	}
}

/* Of one question to Redis; a message may need several. */
static void
judge_timeouts(struct doctor *d, const struct postconf *p)
{
	struct span text = postconf_value(p, "milter_command_timeout");
	struct mta_milter ours = { .timeout = span_of(NULL, 0) };
	struct findings *f = &d->findings;
	int64_t ms, needed_ms;

	if (d->settings == NULL)
		return;
	needed_ms = (int64_t)d->settings->redis.timeout_ms * 3;
	if (postconf_find_ours(d, p, postconf_value(p, "smtpd_milters"),
	    &ours) && ours.timeout.len > 0)
		text = ours.timeout;
	if (!mtaconf_time(text, 's', &ms))
		return;
	if (ms >= needed_ms) {
		findings_add(f, "postfix-timeout", FINDING_OK, "Postfix waits "
		    "long enough for an answer");
		return;
	}
	findings_add(f, "postfix-timeout", FINDING_FAIL, "Postfix gives the "
	    "filter up after %.*s, and that may ask Redis for %d ms: then all "
	    "mail of the session is deferred", (int)text.len,
	    (const char *)text.p, d->settings->redis.timeout_ms);
	findings_fix(f, "main.cf: milter_command_timeout = 30s, or "
	    "consent-milter.conf: redis = { timeout_ms = 200; };");
}

static void
judge_content(struct doctor *d, const struct postconf *p)
{
	struct span rest = buf_span(&p->services);
	struct findings *f = &d->findings;
	struct mta_service s;

	if (postconf_value(p, "content_filter").len == 0)
		return;
	while (mtaconf_next_service(&rest, &s))
		if (postconf_is_smtpd(&s) && !is_front(s.name) &&
		    why_unfiltered(d, p, &s) != NULL)
			return;
	findings_add(f, "postfix-content", FINDING_WARN, "what comes back from "
	    "content_filter passes the filter a second time");
	findings_fix(f, "master.cf: below the smtpd that takes it back, -o "
	    "receive_override_options=no_milters");
}

/* -- what rules rely on -- */

typedef const char *(*rule_text)(const struct rule *rule);

static const char *
daemon_of(const struct rule *r)
{
	return r->daemon;
}

static const char *
sasl_user_of(const struct rule *r)
{
	return r->sasl_user;
}

static bool
glob_fits(const char *glob, struct span text)
{
	return span_glob(span_str(glob), text);
}

/* Does any smtpd call itself so? */
static bool
has_daemon(const struct postconf *p, const char *glob)
{
	struct span rest = buf_span(&p->services);
	struct mta_service s;

	while (mtaconf_next_service(&rest, &s))
		if (postconf_is_smtpd(&s) && glob_fits(glob,
		    postconf_of_service(p, &s, "milter_macro_daemon_name")))
			return true;
	return false;
}

static bool
has_login(const struct postconf *p, const char *glob)
{
	struct span rest = buf_span(&p->services);
	struct mta_service s;

	(void)glob;
	while (mtaconf_next_service(&rest, &s))
		if (postconf_is_smtpd(&s) && mtaconf_is_yes(
		    postconf_of_service(p, &s, "smtpd_sasl_auth_enable")))
			return true;
	return false;
}

/* What a key of rules needs of Postfix. */
struct need {
	const char *check;
	rule_text text;		/* the key's glob; NULL where a rule has none */
	bool (*holds)(const struct postconf *p, const char *glob);
	const char *lack, *fix;
};

static const struct need needs[] = {
	{ "postfix-daemon", daemon_of, has_daemon,
	    "no smtpd of Postfix has that name (milter_macro_daemon_name)",
	    "master.cf: below the port of the campaigns, "
	    "-o milter_macro_daemon_name=NAME with that name" },
	{ "postfix-sasl", sasl_user_of, has_login,
	    "nobody can log in to any smtpd of Postfix",
	    "master.cf: below submission, -o smtpd_sasl_auth_enable=yes" },
};

static void
judge_need(struct doctor *d, const struct postconf *p, const struct need *need)
{
	const struct policy *policy = &d->settings->policy;
	struct findings *f = &d->findings;
	bool good = true, any = false;

	for (size_t l = 0; l < policy->list_count; l++)
		for (size_t i = 0; i < policy->lists[l].match_count; i++) {
			const char *glob =
			    need->text(&policy->lists[l].match[i]);

			any = any || glob != NULL;
			if (glob == NULL || need->holds(p, glob))
				continue;
			good = false;
			findings_add(f, need->check, FINDING_FAIL, "rule "
			    "%s:match:%zu wants \"%s\", and %s",
			    policy->lists[l].id, i + 1, glob, need->lack);
			findings_fix(f, "%s", need->fix);
		}
	if (any && good)
		findings_add(f, need->check, FINDING_OK, "what the rules want, "
		    "Postfix tells");
}

void
doctor_smtpd(struct doctor *d, const struct postconf *p)
{
	judge_services(d, p);
	judge_chroot(d, p);
	judge_socket(d, p);
	judge_timeouts(d, p);
	judge_content(d, p);
	for (size_t i = 0; i < sizeof(needs) / sizeof(*needs); i++)
		judge_need(d, p, &needs[i]);
}
