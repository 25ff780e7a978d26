/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The record of processing activities (GDPR Art. 30(1)) as far as this software
 * knows it: what is configured, and what it does with data.  What it can't know
 * is asked for, not made up.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/date.h"
#include "base/json.h"
#include "ctl/ctl.h"

struct sheet {
	struct buf	 out;
	bool		 json;
	bool		 open;		/* JSON: a section has been begun */
};

/* The names of the JSON members are those of Art. 30(1)(a) to (g). */
static void
section(struct sheet *s, const char *member, const char *title)
{
	if (s->json) {
		if (s->open)
			buf_add_char(&s->out, '}');
		json_add_name(&s->out, member);
		buf_add_char(&s->out, '{');
	} else
		buf_addf(&s->out, "\n%s\n", title);
	s->open = true;
}

static void
item(struct sheet *s, const char *member, const char *label,
    const char *value)
{
	if (value == NULL)
		return;
	if (s->json)
		json_add_member_str(&s->out, member, value);
	else
		buf_addf(&s->out, "  %-22s %s\n", label, value);
}

static const char *
length_text(struct duration length, char *text, size_t room)
{
	int64_t days = length.ms / 86400000;

	if (!duration_is_set(length))
		return NULL;
	if (length.months != 0)
		(void)snprintf(text, room, "%d months", (int)length.months);
	else if (days > 0)
		(void)snprintf(text, room, "%lld days", (long long)days);
	else
		(void)snprintf(text, room, "%lld seconds",
		    (long long)(length.ms / 1000));
	return text;
}

static void
add_controller(struct sheet *s, const struct settings *settings)
{
	section(s, "controller", "Controller (Art. 30(1)(a))");
	item(s, "name", "name", settings->controller.name);
	item(s, "address", "address", settings->controller.address);
	item(s, "email", "contact", settings->controller.email);
	item(s, "dpo", "data protection officer", settings->controller.dpo);
	item(s, "authority", "supervisory authority",
	    settings->controller.authority);
}

/* What mail of the list may rest on. */
static void
add_bases(struct sheet *s, const struct list *list)
{
	static const char *const texts[BASES] = {
		[BASIS_CONSENT] = "consent (GDPR Art. 6(1)(a), ePrivacy "
		    "Art. 13(1))",
		[BASIS_EXPLICIT_CONSENT] = "explicit consent (GDPR "
		    "Art. 9(2)(a))",
		[BASIS_SOFT_OPT_IN] = "soft opt-in of customers (ePrivacy "
		    "Art. 13(2))",
		[BASIS_CHARITY_SOFT_OPT_IN] = "soft opt-in of supporters "
		    "(PECR reg. 22(3A))",
		[BASIS_CASL_IMPLIED] = "implied consent (CASL s. 10(9))",
		[BASIS_LEGITIMATE_INTEREST] = "legitimate interest (GDPR "
		    "Art. 6(1)(f))",
	};
	struct buf text = BUF_INIT(4096);

	for (unsigned i = 0; i < BASES; i++)
		if ((policy_bases(list) & 1u << i) != 0)
			buf_addf(&text, "%s%s", text.len > 0 ? "; " : "",
			    texts[i]);
	if (list->double_opt_in)
		buf_add_str(&text, "; confirmed in a second step");
	item(s, "legal_basis", "  legal basis", buf_get(&text));
	buf_fini(&text);
}

static void
add_list(struct sheet *s, const struct list *list)
{
	char age[64];

	if (s->json) {
		buf_add_str(&s->out, s->out.data[s->out.len - 1] == '[' ?
		    "{" : ",{");
		json_add_member_str(&s->out, "list", list->id);
	} else
		buf_addf(&s->out, "  %s\n", list->id);
	item(s, "name", "  name", list->name);
	item(s, "purpose", "  purpose", list->purpose);
	add_bases(s, list);
	if (list->special_category)
		item(s, "special_category", "  special category", "being on "
		    "the list tells of it (GDPR Art. 9)");
	item(s, "consent_expires_after", "  consent expires after",
	    length_text(list->max_age, age, sizeof(age)));
	if (list->mode == LIST_MODE_OBSERVE)
		item(s, "mode", "  mode", "observe mode: decisions are logged "
		    "and NOT enforced");
	if (s->json)
		buf_add_char(&s->out, '}');
}

static void
add_purposes(struct sheet *s, const struct policy *policy)
{
	section(s, "purposes", "Purposes (Art. 30(1)(b))");
	item(s, "service", "service", "sending newsletters to those who "
	    "opted in, and proving it");
	if (s->json) {
		json_add_name(&s->out, "lists");
		buf_add_char(&s->out, '[');
	}
	for (size_t i = 0; i < policy->list_count; i++)
		add_list(s, &policy->lists[i]);
	if (s->json)
		buf_add_char(&s->out, ']');
}

static void
add_categories(struct sheet *s, const struct settings *settings)
{
	static const char *const forms[] = {
		"masked addresses", "pseudonyms", "addresses in clear"
	};

	section(s, "categories", "Categories (Art. 30(1)(c))");
	item(s, "data_subjects", "data subjects", "recipients and former "
	    "recipients of the lists, and people mailed without consent, who "
	    "were refused");
	item(s, "identity", "identity", "keyed pseudonym of the address "
	    "(HMAC-SHA256), in the consent store and the ledger");
	item(s, "consent", "consent", "times of opt-in, confirmation, opt-out, "
	    "objection, restriction and erasure, by list");
	item(s, "evidence", "evidence", "source, notice, language, method, "
	    "legal basis, jurisdiction, guardian, IP address, as far as given");
	item(s, "decisions", "decisions", "time, list, reason, sender, client "
	    "and message of each attempt to send");
	item(s, "recipients_in_logs", "recipients in logs",
	    forms[settings->audit.recipients]);
}

/* Who is told of changes, at once and by pseudonym. */
static void
add_webhooks(struct sheet *s, const struct settings *settings)
{
	struct buf text = BUF_INIT(64 * 1024);

	for (size_t i = 0; i < settings->webhook_count; i++)
		buf_addf(&text, "%s%s (%s)", i > 0 ? ", " : "",
		    settings->webhooks[i].name, settings->webhooks[i].url);
	if (text.len > 0)
		item(s, "webhooks", "told of changes", buf_get(&text));
	buf_fini(&text);
}

static void
add_recipients(struct sheet *s, const struct settings *settings)
{
	const char *recipients = settings->controller.recipients;
	const char *transfers = settings->controller.transfers;

	section(s, "recipients", "Recipients and transfers "
	    "(Art. 30(1)(d), (e))");
	item(s, "recipients", "recipients", recipients != NULL ? recipients :
	    "none by this software; name in controller.recipients whoever "
	    "runs the mail server, Redis and backups for you");
	add_webhooks(s, settings);
	item(s, "third_countries", "third countries", transfers != NULL ?
	    transfers : "no transfer by this software; name in "
	    "controller.transfers where your servers and processors are");
}

static void
add_retention(struct sheet *s, const struct settings *settings)
{
	char text[64];

	section(s, "retention", "Time limits (Art. 30(1)(f))");
	item(s, "decisions", "decisions", length_text(
	    settings->retention.decisions, text, sizeof(text)));
	item(s, "proof_after_end", "proof of consent", length_text(
	    settings->retention.proof, text, sizeof(text)));
	item(s, "proof_counts_from", "  counted from", "the withdrawal or "
	    "expiry of the last consent");
	item(s, "full_ip", "complete IP addresses", length_text(
	    settings->retention.full_ip, text, sizeof(text)));
	item(s, "ip", "IP addresses", length_text(settings->retention.ip,
	    text, sizeof(text)));
	item(s, "pending", "never confirmed", length_text(
	    settings->retention.pending, text, sizeof(text)));
	item(s, "requests", "accesses", length_text(
	    settings->retention.requests, text, sizeof(text)));
	item(s, "suppression", "suppression", "without limit, as a pseudonym "
	    "and a time (Art. 17(3)(b), 21(3))");
	item(s, "done_by", "done by", "consentctl prune, which has to be run "
	    "daily");
}

static const char *
connection(const struct settings *settings)
{
	if (strncmp(settings->redis.url, "rediss:", 7) == 0)
		return "TLS, with the certificate of the store checked";
	return strncmp(settings->redis.url, "unix:", 5) == 0 ?
	    "UNIX socket, on this machine" :
	    "TCP without encryption: protect the network, or use a socket";
}

static void
add_measures(struct sheet *s, const struct settings *settings)
{
	section(s, "measures", "Measures (Art. 30(1)(g), 32)");
	item(s, "default", "by default", settings->policy.observe ?
	    "observe mode: decisions are logged and NOT enforced" :
	    "no record of consent: no mail (Art. 25(2))");
	item(s, "pseudonyms", "pseudonymisation", "keyed; keys are kept apart "
	    "from the store");
	item(s, "integrity", "integrity", "ledger and decision log are "
	    "hash-chained and signed (Ed25519)");
	item(s, "privileges", "privileges", settings->user[0] != '\0' ?
	    "the filter gives up root at its start" :
	    "the filter keeps the user that starts it");
	item(s, "store", "consent store", connection(settings));
	item(s, "store_access", "access to the store",
	    settings->redis.writer_username != NULL ?
	    "the filter's Redis user and the writing one are two" :
	    "one Redis user for reading and writing");
}

static int
missing(const char *value, const char *key)
{
	if (value != NULL)
		return 0;
	ctl_warn("%s is not configured: the sheet is not complete", key);
	return 1;
}

static int
say_missing(const struct settings *settings)
{
	int n = missing(settings->controller.name, "controller.name") +
	    missing(settings->controller.address, "controller.address") +
	    missing(settings->controller.email, "controller.email");

	for (size_t i = 0; i < settings->policy.list_count; i++)
		if (settings->policy.lists[i].purpose == NULL) {
			ctl_warn("list %s has no purpose: the sheet is not "
			    "complete", settings->policy.lists[i].id);
			n++;
		}
	return n > 0 ? 1 : EX_OK;
}

static void
fill(struct sheet *s, const struct ctl *ctl)
{
	const struct settings *settings = ctl->settings;
	struct buf time = BUF_INIT(64);

	date_format(&time, ctl->now_ms);
	if (s->json) {
		buf_add_char(&s->out, '{');
		json_add_member(&s->out, "printed_at", buf_span(&time));
	} else
		buf_addf(&s->out, "Record of processing activities "
		    "(GDPR Art. 30), printed %s\n", buf_get(&time));
	buf_fini(&time);
	add_controller(s, settings);
	add_purposes(s, &settings->policy);
	add_categories(s, settings);
	add_recipients(s, settings);
	add_retention(s, settings);
	add_measures(s, settings);
	if (s->json)
		buf_add_str(&s->out, "}}\n");
}

int
command_ropa(struct ctl *ctl, int argc, char **argv)
{
	struct sheet s = { .out = BUF_INIT(16 * 1024 * 1024) };
	int c, rc;

	while ((c = ctl_getopt(argc, argv)) != -1)
		switch (c) {
		case 'j':
			s.json = true;
			break;
		case 'h':
			return EX_OK;
		default:
			return EX_USAGE;
		}
	if (optind != argc)
		return ctl_usage(argv[0], "takes options only");
	if ((rc = ctl_need_settings(ctl)) != EX_OK)
		return rc;
	fill(&s, ctl);
	fputs(buf_get(&s.out), stdout);
	buf_fini(&s.out);
	return say_missing(ctl->settings);
}
