/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Does all mail that Postfix takes pass the filter, and the signer behind it?
 * postconf(1) says how Postfix understands its files.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/child.h"
#include "ctl/doctor.h"

#define OUTPUT_MAX	((size_t)1024 * 1024)
#define QUEUE_MS	INT64_C(432000000)	/* Postfix' default, 5 days */
#define WARNINGS_SHOWN	10

struct postfix {
	struct buf	values;		/* postconf -x NAME... */
	struct buf	services;	/* postconf -M */
	struct buf	overrides;	/* postconf -P */
	struct buf	warnings;	/* of postconf -n */
	char		queue[PATH_MAX];
	struct reach_user owner;
	bool		has_owner;
};

static struct span
value(const struct postfix *p, const char *name)
{
	struct span out;

	return mtaconf_value(buf_span(&p->values), name, &out) ? out :
	    span_of(NULL, 0);
}

/* What counts for a service: its own value, or main.cf's. */
static struct span
service_value(const struct postfix *p, const struct mta_service *s,
    const char *name)
{
	struct span own;

	return mtaconf_override(buf_span(&p->overrides), s, name, &own) ? own :
	    value(p, name);
}

static const char *
base_name(struct span command, size_t *len)
{
	ptrdiff_t slash = span_rindex(command, '/');

	command = span_from(command, (size_t)(slash + 1));
	*len = command.len;
	return (const char *)command.p;
}

static bool
is_smtpd(const struct mta_service *s)
{
	size_t len;
	const char *name = base_name(s->command, &len);

	return span_is(span_of(name, len), SPAN("smtpd"));
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
read_all(struct doctor *d, struct postfix *p)
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

/* -- the list of filters -- */

/* Is it our filter?  The mistakes below are about a list that has it. */
static bool
is_ours(const struct doctor *d, const struct postfix *p,
    const struct mta_milter *milter)
{
	struct mta_socket socket;

	return d->has_socket && mtaconf_socket(milter->socket, &socket) &&
	    mtaconf_same_socket(&d->socket, &socket, p->queue);
}

static bool
find_ours(const struct doctor *d, const struct postfix *p, struct span list,
    struct mta_milter *out)
{
	while (mtaconf_next_milter(&list, out))
		if (is_ours(d, p, out))
			return true;
	return false;
}

/* How Postfix writes our socket. */
static void
add_ours(const struct doctor *d, const struct postfix *p, struct buf *out)
{
	size_t len = strlen(p->queue);

	if (!d->socket.is_unix)
		buf_addf(out, "inet:%s:%s", d->socket.host[0] == '\0' ?
		    "127.0.0.1" : d->socket.host, d->socket.port);
	else if (strncmp(d->socket.path, p->queue, len) == 0 &&
	    d->socket.path[len] == '/')
		buf_addf(out, "unix:%s", d->socket.path + len + 1);
	else
		buf_addf(out, "unix:%s", d->socket.path);
}

static void
fix_list(struct doctor *d, const struct postfix *p, const char *name,
    struct span list)
{
	struct buf ours = BUF_INIT(4096);

	add_ours(d, p, &ours);
	findings_fix(&d->findings, "main.cf: %s = %s%s%.*s", name,
	    buf_get(&ours), list.len > 0 ? ", " : "", (int)list.len,
	    (const char *)list.p);
	findings_fix(&d->findings, "postfix reload");
	buf_fini(&ours);
}

static void
judge_list(struct doctor *d, const struct postfix *p, const char *check,
    const char *name, const char *whose)
{
	struct findings *f = &d->findings;
	struct span list = value(p, name);
	struct mta_milter ours;

	if (find_ours(d, p, list, &ours))
		findings_add(f, check, FINDING_OK, "%s passes the filter",
		    whose);
	else if (list.len == 0) {
		findings_add(f, check, FINDING_FAIL, "%s does not pass the "
		    "filter: %s is empty", whose, name);
		fix_list(d, p, name, list);
	} else {
		findings_add(f, check, FINDING_FAIL, "%s does not pass the "
		    "filter: %s does not have its socket, %s", whose, name,
		    d->settings->socket);
		fix_list(d, p, name, list);
	}
}

/* Before ours: what is added is not signed.  None behind: neither is it. */
static void
judge_signers(struct doctor *d, const struct postfix *p)
{
	struct doctor_signer signer = { false, false, false, false };
	struct span list = value(p, "smtpd_milters");
	struct findings *f = &d->findings;
	struct mta_milter one;
	struct mta_socket socket;
	bool seen = false;

	while (mtaconf_next_milter(&list, &one)) {
		if (is_ours(d, p, &one))
			seen = true;
		else if (mtaconf_socket(one.socket, &socket) &&
		    doctor_signer_is(d, &socket, &signer)) {
			signer.is_behind = signer.is_behind || seen;
			signer.is_before = signer.is_before || !seen;
		}
	}
	if (!seen)
		return;
	if (signer.is_before && !signer.is_behind) {
		findings_add(f, "signer-order", FINDING_FAIL, "the signer "
		    "comes before the filter: the links that the filter adds "
		    "are not signed, or break the signature");
		findings_fix(f, "main.cf: smtpd_milters with the filter in "
		    "front: it has to be %s, and the signer behind it",
		    d->settings->socket);
	} else if (signer.is_behind)
		findings_add(f, "signer-order", FINDING_OK, "the signer comes "
		    "behind the filter");
	doctor_signer_judge(d, &signer);
}

/* -- what becomes of mail when the filter does not answer -- */

static void
judge_action(struct doctor *d, const struct postfix *p)
{
	struct span action = value(p, "milter_default_action");
	struct findings *f = &d->findings;
	struct mta_milter ours = { .action = span_of(NULL, 0) };
	bool own = find_ours(d, p, value(p, "smtpd_milters"), &ours) &&
	    ours.action.len > 0;

	if (own)
		action = ours.action;
	if (span_is(action, SPAN("accept"))) {
		findings_add(f, "postfix-action", FINDING_FAIL, "when the "
		    "filter does not answer, mail goes out unchecked: %s = "
		    "accept", own ? "its own default_action" :
		    "milter_default_action");
		findings_fix(f, own ? "main.cf: smtpd_milters: default_action="
		    "tempfail in its braces" : "main.cf: "
		    "milter_default_action = tempfail");
		findings_fix(f, "postfix reload");
	} else if (span_is(action, SPAN("reject"))) {
		findings_add(f, "postfix-action", FINDING_WARN, "when the "
		    "filter does not answer, mail is refused for good "
		    "(%s = reject)", own ? "its own default_action" :
		    "milter_default_action");
		findings_fix(f, "main.cf: milter_default_action = tempfail");
	} else
		findings_add(f, "postfix-action", FINDING_OK, "when the filter "
		    "does not answer, mail waits (%.*s)", (int)action.len,
		    (const char *)action.p);
}

static void
judge_protocol(struct doctor *d, const struct postfix *p)
{
	struct span text = value(p, "milter_protocol");
	struct findings *f = &d->findings;
	int64_t n;

	if (span_to_i64(text, &n) == -1 || n >= 6) {
		findings_add(f, "postfix-protocol", FINDING_OK, "Postfix "
		    "speaks milter protocol %.*s", (int)text.len,
		    (const char *)text.p);
		return;
	}
	findings_add(f, "postfix-protocol", FINDING_FAIL, "milter_protocol is "
	    "%" PRId64 ": the filter does not get what it asks for", n);
	findings_fix(f, "main.cf: milter_protocol = 6");
	findings_fix(f, "postfix reload");
}

/* Of one question to Redis; a message may need several. */
static void
judge_timeouts(struct doctor *d, const struct postfix *p)
{
	struct span text = value(p, "milter_command_timeout");
	struct mta_milter ours = { .timeout = span_of(NULL, 0) };
	struct findings *f = &d->findings;
	int64_t ms, needed_ms;

	if (d->settings == NULL)
		return;
	needed_ms = (int64_t)d->settings->redis.timeout_ms * 3;
	if (find_ours(d, p, value(p, "smtpd_milters"), &ours) &&
	    ours.timeout.len > 0)
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
why_unfiltered(const struct doctor *d, const struct postfix *p,
    const struct mta_service *s)
{
	struct mta_milter ours;

	if (mtaconf_has_word(service_value(p, s, "receive_override_options"),
	    SPAN("no_milters")))
		return "receive_override_options=no_milters";
	if (!find_ours(d, p, service_value(p, s, "smtpd_milters"), &ours))
		return "smtpd_milters without the filter";
	return NULL;
}

static void
judge_services(struct doctor *d, const struct postfix *p)
{
	struct span rest = buf_span(&p->services);
	struct findings *f = &d->findings;
	struct mta_service s;
	bool good = true;

	while (mtaconf_next_service(&rest, &s)) {
		const char *why = is_smtpd(&s) ? why_unfiltered(d, p, &s) :
		    NULL;

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
judge_chroot(struct doctor *d, const struct postfix *p)
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
		if (!is_smtpd(&s) || !span_is(s.chroot, SPAN("y")) ||
		    !find_ours(d, p, service_value(p, &s, "smtpd_milters"),
		    &ours))
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
judge_socket(struct doctor *d, const struct postfix *p)
{
	struct span owner = value(p, "mail_owner");
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
has_daemon(const struct postfix *p, const char *glob)
{
	struct span rest = buf_span(&p->services);
	struct mta_service s;

	while (mtaconf_next_service(&rest, &s))
		if (is_smtpd(&s) && glob_fits(glob, service_value(p, &s,
		    "milter_macro_daemon_name")))
			return true;
	return false;
}

static bool
has_login(const struct postfix *p, const char *glob)
{
	struct span rest = buf_span(&p->services);
	struct mta_service s;

	(void)glob;
	while (mtaconf_next_service(&rest, &s))
		if (is_smtpd(&s) && mtaconf_is_yes(service_value(p, &s,
		    "smtpd_sasl_auth_enable")))
			return true;
	return false;
}

/* What a key of rules needs of Postfix. */
struct need {
	const char *check;
	rule_text text;		/* the key's glob; NULL where a rule has none */
	bool (*holds)(const struct postfix *p, const char *glob);
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
judge_need(struct doctor *d, const struct postfix *p, const struct need *need)
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

/* -- all the rest -- */

/* "postconf: warning: /etc/postfix/main.cf: unused parameter: x=y". */
static void
judge_warnings(struct doctor *d, const struct postfix *p)
{
	struct span rest = buf_span(&p->warnings);
	struct findings *f = &d->findings;
	int shown = 0;

	while (rest.len > 0 && shown < WARNINGS_SHOWN) {
		ptrdiff_t end = span_index(rest, '\n');
		struct span line = end == -1 ? rest :
		    span_head(rest, (size_t)end);
		struct buf text = BUF_INIT(OUTPUT_MAX);
		bool ours;

		rest = span_from(rest, line.len + 1);
		buf_add_span(&text, line);
		ours = strstr(buf_get(&text), "milter") != NULL;
		if (strstr(buf_get(&text), "unused parameter") != NULL) {
			findings_add(f, "postfix-typo", ours ? FINDING_FAIL :
			    FINDING_WARN, "%.400s", buf_get(&text));
			findings_fix(f, "Postfix has no parameter of that "
			    "name, so it does nothing: correct it in main.cf "
			    "or master.cf");
			shown++;
		}
		buf_fini(&text);
	}
	if (shown == 0)
		findings_add(f, "postfix-typo", FINDING_OK, "Postfix knows all "
		    "parameters that are set");
}

static void
judge_content(struct doctor *d, const struct postfix *p)
{
	struct span rest = buf_span(&p->services);
	struct findings *f = &d->findings;
	struct mta_service s;

	if (value(p, "content_filter").len == 0)
		return;
	while (mtaconf_next_service(&rest, &s))
		if (is_smtpd(&s) && !is_front(s.name) &&
		    why_unfiltered(d, p, &s) != NULL)
			return;
	findings_add(f, "postfix-content", FINDING_WARN, "what comes back from "
	    "content_filter passes the filter a second time");
	findings_fix(f, "master.cf: below the smtpd that takes it back, -o "
	    "receive_override_options=no_milters");
}

static void
judge_queue(struct doctor *d, const struct postfix *p)
{
	struct span text = value(p, "maximal_queue_lifetime");
	struct findings *f = &d->findings;
	int64_t ms;

	if (!mtaconf_time(text, 'd', &ms) || ms <= QUEUE_MS) {
		findings_add(f, "postfix-queue", FINDING_OK, "mail stays in "
		    "the queue for %.*s at most", (int)text.len,
		    (const char *)text.p);
		return;
	}
	findings_add(f, "postfix-queue", FINDING_WARN, "mail may leave the "
	    "queue up to %.*s after the consent was looked up, also to who "
	    "has opted out meanwhile", (int)text.len, (const char *)text.p);
	findings_fix(f, "main.cf: maximal_queue_lifetime = 5d");
}

static void
judge_others(struct doctor *d, const struct postfix *p)
{
	struct span others = value(p, "multi_instance_directories");
	struct span maps = value(p, "smtpd_milter_maps");
	struct findings *f = &d->findings;

	if (others.len > 0) {
		findings_add(f, "postfix-instances", FINDING_WARN, "there are "
		    "other instances of Postfix, which were not looked at: "
		    "%.*s", (int)others.len, (const char *)others.p);
		findings_fix(f, "consentctl doctor --postfix-config DIR, for "
		    "each that takes newsletters");
	}
	if (maps.len > 0) {
		findings_add(f, "postfix-maps", FINDING_WARN, "smtpd_milter_maps "
		    "(%.*s) may switch the filter off for some clients",
		    (int)maps.len, (const char *)maps.p);
		findings_fix(f, "see that no client that sends newsletters "
		    "gets DISABLE, or a list without the filter");
	}
}

static void
judge_all(struct doctor *d, const struct postfix *p)
{
	judge_warnings(d, p);
	judge_action(d, p);
	judge_protocol(d, p);
	judge_queue(d, p);
	judge_others(d, p);
	if (d->settings == NULL || !d->has_socket)
		return;
	judge_list(d, p, "postfix-milter", "smtpd_milters",
	    "mail that comes by SMTP");
	judge_list(d, p, "postfix-non-smtp", "non_smtpd_milters",
	    "mail that programs here give to sendmail(1)");
	judge_signers(d, p);
	judge_services(d, p);
	judge_chroot(d, p);
	judge_socket(d, p);
	judge_timeouts(d, p);
	judge_content(d, p);
	for (size_t i = 0; i < sizeof(needs) / sizeof(*needs); i++)
		judge_need(d, p, &needs[i]);
}

static void
set_up(struct postfix *p)
{
	struct span queue = value(p, "queue_directory");
	struct span owner = value(p, "mail_owner");
	char name[128];

	(void)snprintf(p->queue, sizeof(p->queue), "%.*s", (int)queue.len,
	    (const char *)queue.p);
	(void)snprintf(name, sizeof(name), "%.*s", (int)owner.len,
	    (const char *)owner.p);
	p->has_owner = name[0] != '\0' && reach_look_up(name, &p->owner);
}

void
doctor_postfix(struct doctor *d)
{
	struct postfix p = { .values = BUF_INIT(OUTPUT_MAX),
	    .services = BUF_INIT(OUTPUT_MAX),
	    .overrides = BUF_INIT(OUTPUT_MAX),
	    .warnings = BUF_INIT(OUTPUT_MAX) };

	if (read_all(d, &p)) {
		d->sees_postfix = true;
		set_up(&p);
		findings_add(&d->findings, "postfix", FINDING_OK, "Postfix can "
		    "read its configuration");
		judge_all(d, &p);
	}
	buf_fini(&p.values);
	buf_fini(&p.services);
	buf_fini(&p.overrides);
	buf_fini(&p.warnings);
}
