/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Does all mail that Postfix takes pass the filter, and the signer behind it,
 * by what main.cf says for all?
 */
#include <inttypes.h>
#include <string.h>

#include "ctl/doctor.h"
#include "ctl/postconf.h"

#define LINE_MAX_BYTES	((size_t)1024 * 1024)
#define QUEUE_MS	INT64_C(432000000)	/* Postfix' default, 5 days */
#define WARNINGS_SHOWN	10

/* -- the list of filters -- */

/* How Postfix writes our socket. */
static void
add_ours(const struct doctor *d, const struct postconf *p, struct buf *out)
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
fix_list(struct doctor *d, const struct postconf *p, const char *name,
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
judge_list(struct doctor *d, const struct postconf *p, const char *check,
    const char *name, const char *whose)
{
	struct findings *f = &d->findings;
	struct span list = postconf_value(p, name);
	struct mta_milter ours;

	if (postconf_find_ours(d, p, list, &ours))
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
judge_signers(struct doctor *d, const struct postconf *p)
{
	struct doctor_signer signer = { false, false, false, false };
	struct span list = postconf_value(p, "smtpd_milters");
	struct findings *f = &d->findings;
	struct mta_milter one;
	struct mta_socket socket;
	bool seen = false;

	while (mtaconf_next_milter(&list, &one)) {
		if (postconf_is_ours(d, p, &one))
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
judge_action(struct doctor *d, const struct postconf *p)
{
	struct span action = postconf_value(p, "milter_default_action");
	struct findings *f = &d->findings;
	struct mta_milter ours = { .action = span_of(NULL, 0) };
	bool own = postconf_find_ours(d, p, postconf_value(p,
	    "smtpd_milters"), &ours) && ours.action.len > 0;

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
judge_protocol(struct doctor *d, const struct postconf *p)
{
	struct span text = postconf_value(p, "milter_protocol");
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

/* -- all the rest -- */

/* "postconf: warning: /etc/postfix/main.cf: unused parameter: x=y". */
static void
judge_warnings(struct doctor *d, const struct postconf *p)
{
	struct span rest = buf_span(&p->warnings);
	struct findings *f = &d->findings;
	int shown = 0;

	while (rest.len > 0 && shown < WARNINGS_SHOWN) {
		struct buf text = BUF_INIT(LINE_MAX_BYTES);
		bool ours;

		buf_add_span(&text, span_take(&rest, '\n'));
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
judge_queue(struct doctor *d, const struct postconf *p)
{
	struct span text = postconf_value(p, "maximal_queue_lifetime");
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
judge_others(struct doctor *d, const struct postconf *p)
{
	struct span others = postconf_value(p, "multi_instance_directories");
	struct span maps = postconf_value(p, "smtpd_milter_maps");
	struct findings *f = &d->findings;

	if (others.len > 0) {
		findings_add(f, "postfix-instances", FINDING_WARN, "there are "
		    "other instances of Postfix, which were not looked at: "
		    "%.*s", (int)others.len, (const char *)others.p);
		findings_fix(f, "consentctl doctor --postfix-config DIR, for "
		    "each that takes newsletters");
	}
	if (maps.len > 0) {
		findings_add(f, "postfix-maps", FINDING_WARN,
		    "smtpd_milter_maps (%.*s) may switch the filter off for "
		    "some clients", (int)maps.len, (const char *)maps.p);
		findings_fix(f, "see that no client that sends newsletters "
		    "gets DISABLE, or a list without the filter");
	}
}

static void
judge_all(struct doctor *d, const struct postconf *p)
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
	doctor_smtpd(d, p);
}

void
doctor_postfix(struct doctor *d)
{
	struct postconf p;

	if (postconf_read(d, &p)) {
		d->sees_postfix = true;
		findings_add(&d->findings, "postfix", FINDING_OK, "Postfix can "
		    "read its configuration");
		judge_all(d, &p);
	}
	postconf_fini(&p);
}
