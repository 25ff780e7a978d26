/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Header rules are decided field by field as they come, one bit for each, so
 * a message of a hundred thousand fields costs no more memory than one of ten.
 */
#include "consent/classify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "mail/address.h"
#include "mail/field.h"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

struct header_facts {
	const struct policy *policy;
	unsigned char	*seen;		/* a bit for each slot */
	const char	*bulk_mark;	/* the first; NULL: none */
	const char	*exempt_mark;	/* the first; NULL: none */
	struct buf	 value;		/* scratch: the field, unfolded */
};

/* Fields that only bulk mail has, whatever their value. */
static const char *const bulk_fields[] = {
	"List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Post",
	"List-Help", "List-Subscribe", "List-Owner", "List-Archive",
	"Mailing-List", "Feedback-ID", "X-FBL", "X-CSA-Complaints",
	"X-Campaign", "X-CampaignID", "X-Listmonk-Campaign",
	"X-phpList-version", "X-MC-User", "X-HS-Cid", "X-Mailman-Version",
	"X-BeenThere", "X-Google-Group-Id", "X-Listserver",
};

/* Campaign tools, by the first word of X-Mailer: further words are free text
 * ("SendYourMail 2" is no Sendy).  PHPMailer and its like send all sorts. */
static const char *const campaign_mailers[] = {
	"Sendy", "Mailchimp", "phpList", "MailPoet", "Mailman", "listmonk",
	"Mailtrain", "Sympa",
};

static bool
glob(const char *pattern, struct span text)
{
	return span_glob(span_str(pattern), text);
}

/* Do the keys that speak of the envelope hold? */
static bool
envelope_holds(const struct rule *rule, const struct envelope *e)
{
	struct span sender = address_strip_brackets(e->sender);

	if (rule->sender != NULL &&
	    (sender.len == 0 || !glob(rule->sender, sender)))
		return false;
	if (rule->sasl_user != NULL && (e->sasl_user.len == 0 ||
	    !glob(rule->sasl_user, e->sasl_user)))
		return false;
	if (rule->daemon != NULL && !glob(rule->daemon, e->daemon))
		return false;
	if (rule->has_client && (!e->has_client ||
	    !network_has(&rule->client, e->client)))
		return false;
	return true;
}

static bool
needs_headers(const struct rule *rule)
{
	return rule->header != NULL || rule->without != NULL;
}

static bool
seen(const struct header_facts *facts, size_t slot)
{
	return (facts->seen[slot / 8] >> slot % 8 & 1) != 0;
}

static bool
headers_hold(const struct rule *rule, const struct header_facts *facts)
{
	if (rule->header != NULL && !seen(facts, rule->header_slot))
		return false;
	return rule->without == NULL || !seen(facts, rule->without_slot);
}

/*
 * The number, from 1, of the first of n rules that holds; 0 when none does.
 * facts == NULL: at MAIL, where rules that need headers can't hold.
 */
static size_t
first_rule(const struct rule *rules, size_t n, const struct envelope *e,
    const struct header_facts *facts)
{
	for (size_t i = 0; i < n; i++) {
		if (facts == NULL ? needs_headers(&rules[i]) :
		    !headers_hold(&rules[i], facts))
			continue;
		if (envelope_holds(&rules[i], e))
			return i + 1;
	}
	return 0;
}

static void
decide(struct classification *out, enum message_class class,
    const struct list *list, const char *kind, size_t number)
{
	out->class = class;
	out->list = list;
	(void)snprintf(out->rule, sizeof(out->rule), "%s%s%s:%zu",
	    list != NULL ? list->id : "", list != NULL ? ":" : "", kind,
	    number);
}

static bool
find_confirmation(const struct policy *policy, const struct envelope *e,
    const struct header_facts *facts, struct classification *out)
{
	for (size_t i = 0; i < policy->list_count; i++) {
		const struct list *list = &policy->lists[i];
		size_t number = first_rule(list->confirmation,
		    list->confirmation_count, e, facts);

		if (number != 0) {
			decide(out, CLASS_CONFIRMATION, list, "confirmation",
			    number);
			return true;
		}
	}
	return false;
}

static bool
find_list(const struct policy *policy, const struct envelope *e,
    const struct header_facts *facts, struct classification *out)
{
	for (size_t i = 0; i < policy->list_count; i++) {
		const struct list *list = &policy->lists[i];
		size_t number = first_rule(list->match, list->match_count, e,
		    facts);

		if (number != 0) {
			decide(out, CLASS_LISTED, list, "match", number);
			return true;
		}
	}
	return false;
}

static bool
find_exempt(const struct policy *policy, const struct envelope *e,
    const struct header_facts *facts, struct classification *out)
{
	size_t number = first_rule(policy->exempt, policy->exempt_count, e,
	    facts);

	if (number != 0)
		decide(out, CLASS_EXEMPT, NULL, "exempt", number);
	return number != 0;
}

void
classify_envelope(const struct policy *policy, const struct envelope *e,
    struct classification *out)
{
	memset(out, 0, sizeof(*out));
	if (address_is_null_path(e->sender)) {
		out->class = CLASS_EXEMPT;
		(void)snprintf(out->rule, sizeof(out->rule), "null-sender");
		return;
	}
	if (find_confirmation(policy, e, NULL, out) ||
	    find_exempt(policy, e, NULL, out))
		return;
	(void)find_list(policy, e, NULL, out);
}

bool
classify_awaits_confirmation(const struct list *list, const struct envelope *e)
{
	for (size_t i = 0; i < list->confirmation_count; i++)
		if (needs_headers(&list->confirmation[i]) &&
		    envelope_holds(&list->confirmation[i], e))
			return true;
	return false;
}

struct header_facts *
header_facts_new(const struct policy *policy)
{
	struct header_facts *facts = xcalloc(1, sizeof(*facts));

	facts->policy = policy;
	facts->seen = xcalloc(policy->header_slots / 8 + 1, 1);
	buf_init(&facts->value, FIELD_VALUE_MAX);
	return facts;
}

void
header_facts_free(struct header_facts **facts)
{
	if (*facts == NULL)
		return;
	buf_fini(&(*facts)->value);
	free((*facts)->seen);
	free(*facts);
	*facts = NULL;
}

static void
mark(struct header_facts *facts, size_t slot)
{
	facts->seen[slot / 8] |= (unsigned char)(1u << slot % 8);
}

/* Any instance of a field will do, so a slot once marked costs no more. */
static void
look_for_rules(struct header_facts *facts, const struct rule *rules, size_t n,
    struct span name, struct span value)
{
	for (size_t i = 0; i < n; i++) {
		const struct rule *rule = &rules[i];

		if (rule->header != NULL && !seen(facts, rule->header_slot) &&
		    span_is_nocase(name, span_str(rule->header)) &&
		    (rule->value == NULL || glob(rule->value, value)))
			mark(facts, rule->header_slot);
		if (rule->without != NULL &&
		    span_is_nocase(name, span_str(rule->without)))
			mark(facts, rule->without_slot);
	}
}

/* The one of the n words that this is, as we spell it, or NULL. */
static const char *
find_word(struct span word, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (span_is_nocase(word, span_str(words[i])))
			return words[i];
	return NULL;
}

static bool
is_campaign_mailer(struct span value)
{
	struct span word = field_keyword(value);
	size_t len = 0;

	while (len < word.len && ascii_isalnum(word.p[len]))
		len++;
	return find_word(span_head(word, len), campaign_mailers,
	    COUNT(campaign_mailers)) != NULL;
}

/* The name of the mark of bulk mail that this field is, or NULL. */
static const char *
bulk_mark(struct span name, struct span value)
{
	static const char *const bulk[] = { "bulk", "list", "junk" };

	if (span_is_nocase(name, SPAN("Precedence")))
		return find_word(field_keyword(value), bulk, COUNT(bulk)) !=
		    NULL ? "Precedence" : NULL;
	if (span_is_nocase(name, SPAN("X-Mailer")))
		return is_campaign_mailer(value) ? "X-Mailer" : NULL;
	return find_word(name, bulk_fields, COUNT(bulk_fields));
}

/* RFC 3834 (automatic replies), RFC 6522 (reports), Mailman (administration):
 * mail between machines and people that may carry Precedence: bulk. */
static const char *
exempt_mark(struct span name, struct span value)
{
	if (span_is_nocase(name, SPAN("Auto-Submitted")) &&
	    span_is_nocase(field_keyword(value), SPAN("auto-replied")))
		return "auto-replied";
	if (span_is_nocase(name, SPAN("Content-Type")) &&
	    field_is_media_type(value, SPAN("multipart/report")))
		return "multipart/report";
	if ((span_is_nocase(name, SPAN("List-Administrivia")) ||
	    span_is_nocase(name, SPAN("X-List-Administrivia"))) &&
	    span_is_nocase(field_keyword(value), SPAN("yes")))
		return "list-administrivia";
	return NULL;
}

void
header_facts_add(struct header_facts *facts, struct span name,
    struct span value)
{
	const struct policy *policy = facts->policy;

	name = span_trim(name);
	buf_clear(&facts->value);
	field_unfold(&facts->value, value);
	value = buf_span(&facts->value);
	for (size_t i = 0; i < policy->list_count; i++) {
		const struct list *list = &policy->lists[i];

		look_for_rules(facts, list->match, list->match_count, name,
		    value);
		look_for_rules(facts, list->confirmation,
		    list->confirmation_count, name, value);
	}
	look_for_rules(facts, policy->exempt, policy->exempt_count, name,
	    value);
	if (facts->bulk_mark == NULL)
		facts->bulk_mark = bulk_mark(name, value);
	if (facts->exempt_mark == NULL)
		facts->exempt_mark = exempt_mark(name, value);
}

static void
classify_by_marks(const struct header_facts *facts, struct classification *out)
{
	if (facts->exempt_mark != NULL) {
		out->class = CLASS_EXEMPT;
		(void)snprintf(out->rule, sizeof(out->rule), "%s",
		    facts->exempt_mark);
	} else if (facts->bulk_mark != NULL) {
		out->class = CLASS_UNLISTED_BULK;
		(void)snprintf(out->rule, sizeof(out->rule), "bulk:%s",
		    facts->bulk_mark);
	} else
		out->class = CLASS_NOT_BULK;
}

void
classify_message(const struct policy *policy, const struct envelope *e,
    const struct header_facts *facts, struct classification *inout)
{
	const struct list *list = inout->list;
	size_t number;

	if (inout->class == CLASS_LISTED) {
		number = first_rule(list->confirmation,
		    list->confirmation_count, e, facts);
		if (number != 0)
			decide(inout, CLASS_CONFIRMATION, list,
			    "confirmation", number);
		return;
	}
	if (inout->class != CLASS_UNDECIDED)
		return;
	if (find_confirmation(policy, e, facts, inout) ||
	    find_exempt(policy, e, facts, inout) ||
	    find_list(policy, e, facts, inout))
		return;
	classify_by_marks(facts, inout);
}
