/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What is written in the configuration as it may be, and is not what one wants.
 */
#include <stdio.h>
#include <string.h>

#include "ctl/child.h"
#include "ctl/doctor.h"

static void
judge_mode(struct doctor *d)
{
	struct findings *f = &d->findings;

	const struct policy *p = &d->settings->policy;
	struct buf lists = BUF_INIT(64 * 1024);

	for (size_t i = 0; i < p->list_count; i++)
		if (policy_observes(p, &p->lists[i]))
			buf_addf(&lists, "%s%s", lists.len > 0 ? ", " : "",
			    p->lists[i].id);
	if (lists.len == 0)
		findings_add(f, "mode", FINDING_OK, "the filter enforces");
	else {
		findings_add(f, "mode", FINDING_WARN, "the filter only "
		    "observes %s: nobody is refused, and no link is added",
		    policy_observes_all(p) ? "all lists" : buf_get(&lists));
		findings_fix(f, "consentctl log --action would-reject --since "
		    "\"7 days\" shows whom it would refuse; when that is "
		    "right, consent-milter.conf: mode = \"enforce\";");
		findings_fix(f, "systemctl reload consent-milter");
	}
	buf_fini(&lists);
}

static void
judge_failure(struct doctor *d)
{
	struct findings *f = &d->findings;

	switch (d->settings->policy.on_store_failure) {
	case FAILURE_TEMPFAIL:
		findings_add(f, "store-failure", FINDING_OK, "while Redis "
		    "can't be asked, mail waits");
		return;
	case FAILURE_ACCEPT:
		findings_add(f, "store-failure", FINDING_WARN, "while Redis "
		    "can't be asked, mail goes out unchecked, also to who has "
		    "opted out");
		break;
	case FAILURE_REJECT:
		findings_add(f, "store-failure", FINDING_WARN, "while Redis "
		    "can't be asked, mail is refused for good, also to who "
		    "has opted in");
		break;
	}
	findings_fix(f, "consent-milter.conf: on_store_failure = "
	    "\"tempfail\";");
}

static void
judge_unlisted(struct doctor *d)
{
	struct findings *f = &d->findings;

	if (d->settings->policy.unlisted_bulk != FAILURE_ACCEPT) {
		findings_add(f, "unlisted-bulk", FINDING_OK, "bulk mail that "
		    "no list claims does not go out");
		return;
	}
	findings_add(f, "unlisted-bulk", FINDING_WARN, "bulk mail that no "
	    "list claims goes out unchecked: a campaign with a new sender "
	    "address is one");
	findings_fix(f, "consent-milter.conf: bulk = { unlisted = \"reject\"; "
	    "};");
}

/* -- links -- */

/* Names that nobody can have (RFC 2606). */
static bool
is_example(struct span host)
{
	static const struct span names[] = { SPAN("example.com"),
	    SPAN("example.org"), SPAN("example.net"), SPAN("example"),
	    SPAN("invalid"), SPAN("test") };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		size_t n = names[i].len;

		if (host.len >= n && span_is_nocase(span_from(host,
		    host.len - n), names[i]) && (host.len == n ||
		    host.p[host.len - n - 1] == '.'))
			return true;
	}
	return false;
}

/* The host of a URL, without brackets and port. */
static bool
host_of(const char *url, char host[256])
{
	struct span s = span_str(url);
	size_t end = 0;

	for (size_t i = 0; i + 2 < s.len; i++)
		if (memcmp(s.p + i, "://", 3) == 0) {
			s = span_from(s, i + 3);
			break;
		}
	if (s.len > 0 && s.p[0] == '[') {
		ptrdiff_t bracket = span_index(s, ']');

		s = bracket == -1 ? s : span_head(span_from(s, 1),
		    (size_t)bracket - 1);
		end = s.len;
	} else
		while (end < s.len && strchr("/:?#", s.p[end]) == NULL)
			end++;
	if (end == 0 || end > 255)
		return false;
	memcpy(host, s.p, end);
	host[end] = '\0';
	return true;
}

/* By getent(1), which can be given up; getaddrinfo() can't. */
static void
judge_host(struct doctor *d, const char *host)
{
	const char *argv[] = { "getent", "ahosts", host, NULL };
	struct buf out = BUF_INIT(64 * 1024), err = BUF_INIT(64 * 1024);
	struct findings *f = &d->findings;
	struct fail fail;
	int rc = host[0] == '-' ? 2 : child_run(argv, DOCTOR_PROGRAM_MS, &out,
	    &err, &fail);

	buf_fini(&out);
	buf_fini(&err);
	if (rc == 0)
		findings_add(f, "unsubscribe-host", FINDING_OK, "%s has an "
		    "address", host);
	else if (rc == 2) {
		findings_add(f, "unsubscribe-host", FINDING_FAIL, "%s, the "
		    "host of the unsubscribe links, has no address that is "
		    "found from here: nobody can opt out", host);
		findings_fix(f, "DNS: %s. A (and AAAA) the address of the "
		    "reverse proxy before consent-web; or consent-milter.conf: "
		    "unsubscribe = { url = \"https://...\"; };", host);
	} else if (rc == -1)
		findings_add(f, "unsubscribe-host", FINDING_SKIPPED, "%s "
		    "can't be looked up: %s", host, fail.text);
	else
		findings_add(f, "unsubscribe-host", FINDING_SKIPPED, "%s "
		    "can't be looked up: getent ended with %d", host, rc);
}

static void
judge_links(struct doctor *d)
{
	const char *url = d->settings->unsubscribe.url;
	struct findings *f = &d->findings;
	char host[256];

	if (!host_of(url, host))
		findings_add(f, "unsubscribe-url", FINDING_FAIL, "%s names no "
		    "host", url);
	else if (is_example(span_str(host))) {
		findings_add(f, "unsubscribe-url", FINDING_FAIL, "%s is still "
		    "the sample's: nobody can opt out by it", url);
		findings_fix(f, "consent-milter.conf: unsubscribe = { url = "
		    "\"https://HOST/u/\"; }; with the host name of your "
		    "reverse proxy");
	} else {
		findings_add(f, "unsubscribe-url", FINDING_OK, "links begin "
		    "with %s", url);
		judge_host(d, host);
	}
	if (!d->settings->unsubscribe.keep_existing) {
		findings_add(f, "existing-links", FINDING_OK, "links that a "
		    "message has already are replaced");
		return;
	}
	findings_add(f, "existing-links", FINDING_WARN, "links that a message "
	    "has already are kept: an opt-out by them is not recorded here");
	findings_fix(f, "consent-milter.conf: unsubscribe = { existing = "
	    "\"replace\"; }; unless the program behind those links reports "
	    "opt-outs (consentctl withdraw, or import)");
}

/* -- lists -- */

static void
judge_controller(struct doctor *d)
{
	const struct settings *s = d->settings;
	struct findings *f = &d->findings;

	if (s->controller.name != NULL && s->controller.email != NULL) {
		findings_add(f, "controller", FINDING_OK, "pages and exports "
		    "name %s", s->controller.name);
		return;
	}
	findings_add(f, "controller", FINDING_WARN, "pages, exports and the "
	    "record of processing do not say who is responsible (GDPR "
	    "Art. 13, 30): %s%s%s is missing",
	    s->controller.name == NULL ? "controller.name" : "",
	    s->controller.name == NULL && s->controller.email == NULL ?
	    " and " : "", s->controller.email == NULL ?
	    "controller.email" : "");
	findings_fix(f, "consent-milter.conf: controller = { name = \"...\"; "
	    "address = \"...\"; email = \"...\"; };");
}

/* A list that asks for a confirmation, and the mail that asks for it. */
static void
judge_double_opt_in(struct doctor *d)
{
	const struct settings *s = d->settings;
	struct findings *f = &d->findings;
	bool good = true;

	for (size_t i = 0; i < s->policy.list_count; i++) {
		const struct list *list = &s->policy.lists[i];

		if (!list->double_opt_in || list->confirmation_count > 0 ||
		    (list->sign_up && s->web.url != NULL))
			continue;
		good = false;
		findings_add(f, "double-opt-in", FINDING_WARN, "list \"%s\" "
		    "has double_opt_in, but no page to sign up and no rule "
		    "for the mails that ask for the confirmation: if these "
		    "come through the filter, they are refused", list->id);
		findings_fix(f, "consent-milter.conf: web = { url = "
		    "\"https://.../my/\"; }; for pages of our own, or in the "
		    "list confirmation = ( { header = \"...\"; } ); for those "
		    "of your newsletter program");
	}
	if (good)
		findings_add(f, "double-opt-in", FINDING_OK, "what asks for a "
		    "confirmation can be sent");
}

void
doctor_settings(struct doctor *d)
{
	judge_mode(d);
	judge_failure(d);
	judge_unlisted(d);
	judge_links(d);
	judge_controller(d);
	judge_double_opt_in(d);
}
