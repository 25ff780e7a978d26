/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Rules that can never decide, because an earlier one takes all that they
 * would.  The order is classify.h's: exempt rules, then match rules by lists,
 * those without header keys before all that have one.
 */
#include <stdio.h>
#include <string.h>

#include "consent/classify.h"
#include "ctl/doctor.h"

/* A rule and where it stands in the order. */
struct placed {
	const struct rule *rule;
	const struct list *list;	/* NULL: exempt */
	size_t	number;			/* from 1, within the list */
};

static bool
needs_header(const struct rule *r)
{
	return r->header != NULL || r->without != NULL;
}

/*
 * Does the pattern match all that the other one does?  "*" of the other is a
 * byte that only "*" of this one stands for, so matching the other's text will
 * do, unless a "?" takes part.
 */
static bool
covers_glob(const char *pattern, const char *other)
{
	if (pattern == NULL)
		return true;
	if (other == NULL)
		return false;
	return span_is_nocase(span_str(pattern), span_str(other)) ||
	    (strchr(pattern, '?') == NULL &&
	    span_glob(span_str(pattern), span_str(other)));
}

static bool
covers_client(const struct rule *a, const struct rule *b)
{
	if (!a->has_client)
		return true;
	return b->has_client &&
	    b->client.prefix_bits >= a->client.prefix_bits &&
	    network_has(&a->client, b->client.address);
}

static bool
same_name(const char *a, const char *b)
{
	return a == NULL || (b != NULL &&
	    span_is_nocase(span_str(a), span_str(b)));
}

/* Does a hold whenever b does? */
static bool
covers(const struct rule *a, const struct rule *b)
{
	return covers_glob(a->sender, b->sender) &&
	    covers_glob(a->sasl_user, b->sasl_user) &&
	    covers_glob(a->daemon, b->daemon) && covers_client(a, b) &&
	    same_name(a->header, b->header) &&
	    (a->header == NULL || covers_glob(a->value, b->value)) &&
	    same_name(a->without, b->without);
}

/* Is a asked before b? */
static bool
is_before(const struct placed *a, const struct placed *b)
{
	if (needs_header(a->rule) != needs_header(b->rule))
		return !needs_header(a->rule);
	if (a->list == NULL || b->list == NULL)
		return a->list == NULL;
	return a->list < b->list;
}

/* The rule that takes what b would, or false. */
static bool
find_cover(const struct policy *p, const struct placed *b, struct placed *out)
{
	for (size_t i = 0; i < p->exempt_count; i++) {
		*out = (struct placed){ &p->exempt[i], NULL, i + 1 };
		if (is_before(out, b) && covers(out->rule, b->rule))
			return true;
	}
	for (size_t l = 0; l < p->list_count; l++)
		for (size_t i = 0; i < p->lists[l].match_count &&
		    &p->lists[l] != b->list; i++) {
			*out = (struct placed){ &p->lists[l].match[i],
			    &p->lists[l], i + 1 };
			if (is_before(out, b) && covers(out->rule, b->rule))
				return true;
		}
	return false;
}

/* Returns how many rules of the list can decide. */
static size_t
judge_rules(struct doctor *d, const struct list *list)
{
	const struct policy *p = &d->settings->policy;
	struct findings *f = &d->findings;
	size_t alive = 0;

	for (size_t i = 0; i < list->match_count; i++) {
		struct placed rule = { &list->match[i], list, i + 1 }, cover;

		if (!find_cover(p, &rule, &cover)) {
			alive++;
			continue;
		}
		findings_add(f, "rules", FINDING_WARN, "rule %s:match:%zu never "
		    "decides: %s:%s%zu takes all of its mail before it",
		    list->id, i + 1, cover.list != NULL ? cover.list->id :
		    "exempt", cover.list != NULL ? "match:" : "",
		    cover.number);
		findings_fix(f, "consent-milter.conf: make that rule narrower, "
		    "or put list \"%s\" before it in lists = ( ... )",
		    list->id);
	}
	return alive;
}

static void
judge_lists(struct doctor *d)
{
	const struct policy *p = &d->settings->policy;
	struct findings *f = &d->findings;
	bool good = true;

	for (size_t i = 0; i < p->list_count; i++) {
		size_t alive = judge_rules(d, &p->lists[i]);

		good = good && alive == p->lists[i].match_count;
		if (alive > 0)
			continue;
		findings_add(f, "lists", FINDING_FAIL, "no mail can belong to "
		    "list \"%s\": none of its rules ever decides",
		    p->lists[i].id);
		findings_fix(f, "consent-milter.conf: match = ( { sender = "
		    "\"...\"; } ); with what tells its mail from that of "
		    "the lists before it");
	}
	if (good)
		findings_add(f, "rules", FINDING_OK, "no rule stands in the "
		    "shadow of another");
}

/* Mails of our own that have a sender are judged as any other. */
static void
judge_letters(struct doctor *d)
{
	const struct settings *s = d->settings;
	struct findings *f = &d->findings;
	struct envelope envelope = {
	    .sender = span_str(s->mail.envelope_sender) };
	struct classification class;

	if (s->web.url == NULL || s->mail.envelope_sender == NULL)
		return;
	classify_envelope(&s->policy, &envelope, &class);
	if (class.class != CLASS_LISTED) {
		findings_add(f, "envelope-sender", FINDING_OK, "no list claims "
		    "the mails that ask for a confirmation");
		return;
	}
	findings_add(f, "envelope-sender", FINDING_FAIL, "mails that ask for a "
	    "confirmation have the sender %s, which rule %s claims: they are "
	    "refused, for who confirms has not opted in yet",
	    s->mail.envelope_sender, class.rule);
	findings_fix(f, "consent-milter.conf: mail = { envelope_sender = "
	    "\"bounces@...\"; }; with an address that no list claims, or "
	    "without envelope_sender, for the null sender");
}

void
doctor_rules(struct doctor *d)
{
	judge_lists(d);
	judge_letters(d);
}
