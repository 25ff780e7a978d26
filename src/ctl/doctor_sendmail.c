/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Sendmail: sendmail.cf is what it reads, whatever sendmail.mc says.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "ctl/doctor.h"

#define SENDMAIL_FILE	"/etc/mail/sendmail.cf"

static bool
find_ours(const struct doctor *d, struct span text, struct mta_filter *out)
{
	struct mta_socket socket;

	while (mtaconf_next_filter(&text, out))
		if (mtaconf_socket(out->socket, &socket) &&
		    mtaconf_same_socket(&d->socket, &socket, NULL))
			return true;
	return false;
}

/* The filter of this name. */
static bool
find_named(struct span text, struct span name, struct mta_filter *out)
{
	while (mtaconf_next_filter(&text, out))
		if (span_is(out->name, name))
			return true;
	return false;
}

static void
fix_filter(struct doctor *d, const char *flags)
{
	findings_fix(&d->findings, "sendmail.mc: INPUT_MAIL_FILTER(`consent', "
	    "`S=%s, %s')", d->settings->socket, flags);
	findings_fix(&d->findings, "make -C /etc/mail && systemctl restart "
	    "sendmail");
}

static void
judge_flags(struct doctor *d, const struct mta_filter *ours)
{
	struct findings *f = &d->findings;

	if (span_is(ours->flags, SPAN("T")) ||
	    span_is(ours->flags, SPAN("4")))
		findings_add(f, "sendmail-action", FINDING_OK, "when the "
		    "filter does not answer, mail waits");
	else if (ours->flags.len == 0) {
		findings_add(f, "sendmail-action", FINDING_FAIL, "when the "
		    "filter does not answer, mail goes out unchecked: filter "
		    "%.*s has no F=", (int)ours->name.len,
		    (const char *)ours->name.p);
		fix_filter(d, "F=T");
	} else {
		findings_add(f, "sendmail-action", FINDING_WARN, "when the "
		    "filter does not answer, mail is refused for good: filter "
		    "%.*s has F=%.*s", (int)ours->name.len,
		    (const char *)ours->name.p, (int)ours->flags.len,
		    (const char *)ours->flags.p);
		fix_filter(d, "F=T");
	}
}

/* The order is that of InputMailFilters; what is not there is not asked. */
static void
judge_order(struct doctor *d, struct span text, struct span order,
    const struct mta_filter *ours)
{
	struct doctor_signer signer = { false, false, false, false };
	struct findings *f = &d->findings;
	struct mta_milter name;
	bool seen = false;

	while (mtaconf_next_milter(&order, &name)) {
		struct mta_filter other;
		struct mta_socket socket;

		if (span_is(name.socket, ours->name))
			seen = true;
		else if (find_named(text, name.socket, &other) &&
		    mtaconf_socket(other.socket, &socket) &&
		    doctor_signer_is(d, &socket, &signer)) {
			signer.is_behind = signer.is_behind || seen;
			signer.is_before = signer.is_before || !seen;
		}
	}
	if (!seen) {
		findings_add(f, "sendmail-milter", FINDING_FAIL, "Sendmail "
		    "knows the filter as %.*s, and does not ask it: it is not "
		    "among InputMailFilters", (int)ours->name.len,
		    (const char *)ours->name.p);
		fix_filter(d, "F=T");
		return;
	}
	findings_add(f, "sendmail-milter", FINDING_OK, "mail that comes by "
	    "SMTP passes the filter");
	if (signer.is_before && !signer.is_behind) {
		findings_add(f, "signer-order", FINDING_FAIL, "the signer "
		    "comes before the filter: the links that the filter adds "
		    "are not signed, or break the signature");
		findings_fix(f, "sendmail.mc: INPUT_MAIL_FILTER of the filter "
		    "before that of the signer");
	} else if (signer.is_behind)
		findings_add(f, "signer-order", FINDING_OK, "the signer comes "
		    "behind the filter");
	doctor_signer_judge(d, &signer);
}

static void
judge(struct doctor *d, struct span text)
{
	struct span order = span_of(NULL, 0);
	struct findings *f = &d->findings;
	struct mta_filter ours;

	if (d->settings == NULL || !d->has_socket)
		return;
	(void)mtaconf_sendmail_option(text, "InputMailFilters", &order);
	if (!find_ours(d, text, &ours)) {
		findings_add(f, "sendmail-milter", FINDING_FAIL, "Sendmail has "
		    "no filter with our socket, %s: no mail is checked",
		    d->settings->socket);
		fix_filter(d, "F=T");
		return;
	}
	judge_flags(d, &ours);
	judge_order(d, text, order, &ours);
}

void
doctor_sendmail(struct doctor *d)
{
	const char *path = d->sendmail_file != NULL ? d->sendmail_file :
	    SENDMAIL_FILE;
	struct buf text = BUF_INIT(DOCTOR_FILE_MAX);
	struct findings *f = &d->findings;
	struct fail fail;

	if (access(path, F_OK) == -1 && d->sendmail_file == NULL) {
		if (!d->sees_postfix) {
			findings_add(f, "mta", FINDING_WARN, "no mail server "
			    "is set up here that was found: whether mail "
			    "passes the filter can't be said");
			findings_fix(f, "run it where the mail server is, or "
			    "with --postfix-config DIR, --sendmail-config "
			    "FILE");
		}
		return;
	}
	if (file_read(path, &text, &fail) == 0)
		judge(d, buf_span(&text));
	else {
		findings_add(f, "sendmail", FINDING_SKIPPED, "%s", fail.text);
		findings_fix(f, "run it as root");
	}
	buf_fini(&text);
}
