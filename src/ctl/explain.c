/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What the filter would do with a message, found out by the very functions
 * that the filter calls.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/json.h"
#include "base/xalloc.h"
#include "consent/classify.h"
#include "consent/decision.h"
#include "ctl/ctl.h"

#define HEADER_MAX	(1024 * 1024)

struct explain {
	struct envelope	 envelope;
	bool		 json;
	struct classification at_mail;	/* what the envelope said */
	struct classification class;
	bool		 late;		/* decided at the end of the message */
};

/* A client is a network of one address. */
static int
set_client(struct envelope *e, const char *text)
{
	struct network network;
	struct fail fail;

	if (network_parse(span_str(text), &network, &fail) == -1 ||
	    network.prefix_bits != 128 || strchr(text, '/') != NULL)
		return -1;
	memcpy(e->client, network.address, sizeof(e->client));
	e->has_client = true;
	return 0;
}

static int
parse(struct ctl *ctl, struct explain *x, int argc, char **argv)
{
	int c, rc;

	while ((c = ctl_getopt(argc, argv)) != -1)
		switch (c) {
		case 'f':
			x->envelope.sender = span_str(optarg);
			break;
		case 'a':
			x->envelope.sasl_user = span_str(optarg);
			break;
		case 'd':
			x->envelope.daemon = span_str(optarg);
			break;
		case 'i':
			if (set_client(&x->envelope, optarg) == -1)
				return ctl_usage(argv[0],
				    "--client takes an IP address");
			break;
		case 'j':
			x->json = true;
			break;
		case 'h':
			return EX_OK;
		default:
			return EX_USAGE;
		}
	if (optind == argc)
		return ctl_usage(argv[0], "wants a recipient");
	rc = ctl_need_keys(ctl);
	return rc == EX_OK ? -1 : rc;
}

/* The header section, up to the empty line, with LF line breaks. */
static void
read_header(struct buf *out)
{
	char line[8192];
	bool at_start = true;

	while (fgets(line, sizeof(line), stdin) != NULL) {
		size_t len = strlen(line);
		bool ended = len > 0 && line[len - 1] == '\n';

		if (at_start && (strcmp(line, "\n") == 0 ||
		    strcmp(line, "\r\n") == 0))
			return;
		if (len > 1 && ended && line[len - 2] == '\r') {
			line[len - 2] = '\n';
			len--;
		}
		/* What is beyond the bound is not looked at. */
		if (!out->overflow)
			buf_add(out, line, len);
		at_start = ended;
	}
}

/* Feeds the fields one by one; a fold belongs to the field above it. */
static void
feed_fields(struct header_facts *facts, struct span header)
{
	while (header.len > 0) {
		size_t end = 0;
		struct span field;
		ptrdiff_t colon;

		do {
			ptrdiff_t line = span_index(span_from(header, end),
			    '\n');

			end = line == -1 ? header.len :
			    end + (size_t)line + 1;
		} while (end < header.len && (header.p[end] == ' ' ||
		    header.p[end] == '\t'));
		field = span_head(header, end);
		colon = span_index(field, ':');
		if (colon > 0)
			header_facts_add(facts,
			    span_head(field, (size_t)colon),
			    span_trim(span_from(field, (size_t)colon + 1)));
		header = span_from(header, end);
	}
}

/* *subject stays all zero for an address that can't be read. */
static struct decision
decide(struct ctl *ctl, const struct explain *x, const char *recipient,
    struct subject *subject)
{
	const struct policy *policy = &ctl->settings->policy;
	struct address address;
	struct record record;
	struct fail fail;

	if (x->class.class != CLASS_LISTED &&
	    x->class.class != CLASS_CONFIRMATION)
		return decide_unlisted(policy, x->class.class);
	if (address_parse(span_str(recipient), &address, &fail) == -1)
		return (struct decision){ ACTION_REJECT, REASON_NO_CONSENT };
	subject_of(ctl->settings->pseudonym_key, &address, subject);
	if (store_lookup(ctl->store, subject, x->class.list->id, &record,
	    &fail) == -1) {
		ctl_warn("%s", fail.text);
		return decide_store_failure(policy);
	}
	return x->class.class == CLASS_CONFIRMATION ?
	    decide_confirmation(x->class.list, &record, ctl->now_ms) :
	    decide_listed(x->class.list, &record, ctl->now_ms);
}

/* Several recipients: what each becomes at RCPT, or all at the end. */
static void
decide_together(const struct explain *x, const struct subject *subjects,
    struct decision *decisions, size_t n)
{
	const struct list *list = x->class.list;
	const struct subject *first = NULL;
	bool several = false;
	size_t whole;

	for (size_t i = 0; i < n; i++) {
		if (decisions[i].action != ACTION_ACCEPT)
			continue;
		if (first != NULL && !x->late &&
		    list->multiple_recipients != MULTIPLE_SHARED)
			decisions[i] = decide_further_recipient(list);
		else if (first != NULL && !subject_is(first, &subjects[i]))
			several = true;
		else
			first = &subjects[i];
	}
	if (!x->late)
		return;
	whole = decide_message(list, decisions, n, several);
	for (size_t i = 0; whole < n && i < n; i++)
		if (decisions[i].action != decisions[whole].action)
			decisions[i] = decisions[whole];
}

static const char *
class_name(enum message_class class)
{
	switch (class) {
	case CLASS_LISTED:
		return "listed";
	case CLASS_CONFIRMATION:
		return "confirmation";
	case CLASS_EXEMPT:
		return "exempt";
	case CLASS_UNLISTED_BULK:
		return "unlisted-bulk";
	case CLASS_UNDECIDED:
	case CLASS_NOT_BULK:
		break;
	}
	return "not-bulk";
}

static void
print_text(struct ctl *ctl, const struct explain *x, char **recipients,
    const struct decision *decisions, size_t n)
{
	const struct settings *s = ctl->settings;
	size_t accepted = 0;

	if (policy_observes(&s->policy, x->class.list))
		printf("mode%s%s is observe: this is logged, and everything "
		    "passes\n", x->class.list != NULL &&
		    x->class.list->mode == LIST_MODE_OBSERVE ? " of list " :
		    "", x->class.list != NULL && x->class.list->mode ==
		    LIST_MODE_OBSERVE ? x->class.list->id : "");
	if (x->class.list != NULL)
		printf("list    %s (\"%s\")\n", x->class.list->id,
		    x->class.list->name);
	printf("class   %s\n", class_name(x->class.class));
	if (x->class.rule[0] != '\0')
		printf("rule    %s\n", x->class.rule);
	printf("when    %s\n", x->late ? "at the end of the message" :
	    "at each RCPT");
	for (size_t i = 0; i < n; i++) {
		printf("  %-8s %-14s <%s>\n",
		    action_name(decisions[i].action),
		    reason_name(decisions[i].reason), recipients[i]);
		accepted += decisions[i].action == ACTION_ACCEPT;
	}
	if (x->class.class != CLASS_LISTED || accepted == 0)
		puts("header  untouched");
	else if (s->unsubscribe.keep_existing)
		puts("header  List-Unsubscribe is kept where the message has "
		    "one, added where not");
	else
		printf("header  List-Unsubscribe%s, one of each\n",
		    accepted == 1 ? " and List-Unsubscribe-Post" :
		    " for the list only (several recipients)");
}

static void
print_json(const struct explain *x, bool observe, char **recipients,
    const struct decision *decisions, size_t n)
{
	struct buf out = BUF_INIT(64 * 1024 * 1024);

	buf_add_char(&out, '{');
	json_add_member_bool(&out, "observe", observe);
	json_add_member_str(&out, "class", class_name(x->class.class));
	json_add_name(&out, "list");
	if (x->class.list != NULL)
		json_add_string(&out, span_str(x->class.list->id));
	else
		buf_add_str(&out, "null");
	json_add_member_str(&out, "rule", x->class.rule);
	json_add_member_str(&out, "stage", x->late ? "eom" : "rcpt");
	json_add_name(&out, "recipients");
	buf_add_char(&out, '[');
	for (size_t i = 0; i < n; i++) {
		buf_add_str(&out, i == 0 ? "{" : ",{");
		json_add_member_str(&out, "recipient", recipients[i]);
		json_add_member_str(&out, "action",
		    action_name(decisions[i].action));
		json_add_member_str(&out, "reason",
		    reason_name(decisions[i].reason));
		buf_add_char(&out, '}');
	}
	buf_add_str(&out, "]}");
	puts(buf_get(&out));
	buf_fini(&out);
}

int
command_explain(struct ctl *ctl, int argc, char **argv)
{
	/* Not the null sender, which would be exempt, but nobody's address. */
	struct explain x = { .envelope = { .sender = SPAN("unknown") } };
	struct buf header = BUF_INIT(HEADER_MAX);
	struct header_facts *facts;
	struct decision *decisions;
	struct subject *subjects;
	size_t n;
	int rc = parse(ctl, &x, argc, argv);

	if (rc != -1 || (rc = ctl_need_store(ctl)) != EX_OK)
		return rc;
	n = (size_t)(argc - optind);
	read_header(&header);
	classify_envelope(&ctl->settings->policy, &x.envelope, &x.at_mail);
	x.class = x.at_mail;
	facts = header_facts_new(&ctl->settings->policy);
	feed_fields(facts, buf_span(&header));
	classify_message(&ctl->settings->policy, &x.envelope, facts,
	    &x.class);
	header_facts_free(&facts);
	buf_fini(&header);
	x.late = x.at_mail.class != CLASS_LISTED &&
	    x.at_mail.class != CLASS_CONFIRMATION;
	decisions = xcalloc(n, sizeof(*decisions));
	subjects = xcalloc(n, sizeof(*subjects));
	for (size_t i = 0; i < n; i++)
		decisions[i] = decide(ctl, &x, argv[optind + (int)i],
		    &subjects[i]);
	if (x.class.class == CLASS_LISTED ||
	    x.class.class == CLASS_CONFIRMATION)
		decide_together(&x, subjects, decisions, n);
	free(subjects);
	if (x.json)
		print_json(&x, policy_observes(&ctl->settings->policy,
		    x.class.list), argv + optind, decisions, n);
	else
		print_text(ctl, &x, argv + optind, decisions, n);
	free(decisions);
	return EX_OK;
}
