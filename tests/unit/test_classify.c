/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "base/xalloc.h"
#include "consent/classify.h"
#include "mail/field.h"
#include "check.h"

static const char *const class_names[] = {
	[CLASS_UNDECIDED] = "undecided", [CLASS_LISTED] = "listed",
	[CLASS_CONFIRMATION] = "confirmation", [CLASS_EXEMPT] = "exempt",
	[CLASS_UNLISTED_BULK] = "unlisted-bulk",
	[CLASS_NOT_BULK] = "not-bulk",
};

/* A rule as one would write it in the configuration. */
struct rule_text {
	const char *sender, *sasl_user, *daemon, *client;
	const char *header, *value, *without;
};

static char *
copy(const char *s)
{
	return s == NULL ? NULL : xstrdup(s);
}

static void
add_rule(struct policy *policy, struct rule **rules, size_t *count,
    struct rule_text text)
{
	struct rule *rule;
	struct fail fail;

	*rules = xrealloc(*rules, *count + 1, sizeof(**rules));
	rule = &(*rules)[(*count)++];
	memset(rule, 0, sizeof(*rule));
	rule->sender = copy(text.sender);
	rule->sasl_user = copy(text.sasl_user);
	rule->daemon = copy(text.daemon);
	rule->header = copy(text.header);
	rule->value = copy(text.value);
	rule->without = copy(text.without);
	rule->has_client = text.client != NULL;
	if (rule->has_client)
		CHECK_INT(network_parse(span_str(text.client), &rule->client,
		    &fail), 0);
	if (rule->header != NULL)
		rule->header_slot = policy->header_slots++;
	if (rule->without != NULL)
		rule->without_slot = policy->header_slots++;
}

static struct policy *
policy_new(void)
{
	struct policy *policy = xcalloc(1, sizeof(*policy));

	policy->lists = xcalloc(2, sizeof(*policy->lists));
	policy->list_count = 2;
	memcpy(policy->lists[0].id, "weekly", sizeof("weekly"));
	memcpy(policy->lists[1].id, "daily", sizeof("daily"));
	return policy;
}

static void
add_match(struct policy *policy, size_t list, struct rule_text text)
{
	add_rule(policy, &policy->lists[list].match,
	    &policy->lists[list].match_count, text);
}

static void
add_confirmation(struct policy *policy, size_t list, struct rule_text text)
{
	add_rule(policy, &policy->lists[list].confirmation,
	    &policy->lists[list].confirmation_count, text);
}

static void
add_exempt(struct policy *policy, struct rule_text text)
{
	add_rule(policy, &policy->exempt, &policy->exempt_count, text);
}

static void
free_rules(struct rule *rules, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(rules[i].sender);
		free(rules[i].sasl_user);
		free(rules[i].daemon);
		free(rules[i].header);
		free(rules[i].value);
		free(rules[i].without);
	}
	free(rules);
}

static void
policy_free(struct policy *policy)
{
	for (size_t i = 0; i < policy->list_count; i++) {
		free_rules(policy->lists[i].match,
		    policy->lists[i].match_count);
		free_rules(policy->lists[i].confirmation,
		    policy->lists[i].confirmation_count);
	}
	free_rules(policy->exempt, policy->exempt_count);
	free(policy->lists);
	free(policy);
}

static struct envelope
envelope_from(const char *sender)
{
	return (struct envelope){ .sender = span_str(sender) };
}

/* "Name: value\n" for each field; a line that starts with a blank goes on. */
static void
add_fields(struct header_facts *facts, const char *text)
{
	while (*text != '\0') {
		const char *colon = strchr(text, ':');
		const char *end = colon;

		do
			end = strchr(end + 1, '\n');
		while (end[1] == ' ' || end[1] == '\t');
		header_facts_add(facts,
		    span_of(text, (size_t)(colon - text)),
		    span_of(colon + 1, (size_t)(end - colon - 1)));
		text = end + 1;
	}
}

static struct classification
classify(const struct policy *policy, const struct envelope *envelope,
    const char *fields)
{
	struct header_facts *facts = header_facts_new(policy);
	struct classification result;

	classify_envelope(policy, envelope, &result);
	add_fields(facts, fields);
	classify_message(policy, envelope, facts, &result);
	header_facts_free(&facts);
	CHECK(facts == NULL);
	return result;
}

static void
check_result(const struct classification *got, enum message_class class,
    const struct list *list, const char *rule)
{
	CHECK_STR(class_names[got->class], class_names[class]);
	CHECK(got->list == list);
	CHECK_STR(got->rule, rule);
}

/* What the tools send (spec 9.1) in its campaign form, no list configured. */
static void
test_campaign_forms(void)
{
	static const struct {
		const char *fields, *rule;
	} cases[] = {
		/* listmonk, with its unsubscribe header and without */
		{ "From: a@b.c\nX-Listmonk-Campaign: 0f1e-22\n"
		  "X-Listmonk-Subscriber: 77aa\n",
		  "bulk:X-Listmonk-Campaign" },
		{ "List-Unsubscribe: <https://l.example/s/1/2>\n"
		  "List-Unsubscribe-Post: List-Unsubscribe=One-Click\n"
		  "X-Listmonk-Campaign: 0f1e-22\n",
		  "bulk:List-Unsubscribe" },
		/* phpList */
		{ "X-phpList-version: 3.6.14\nX-MessageID: 42\n"
		  "X-ListMember: jane@example.com\nPrecedence: bulk\n"
		  "List-Help: <https://p.example/?p=preferences>\n",
		  "bulk:X-phpList-version" },
		{ "X-MessageID: 42\nX-ListMember: jane@example.com\n"
		  "Feedback-ID: 42:sender\n", "bulk:Feedback-ID" },
		/* Mautic */
		{ "X-EMAIL-ID: 5\nPrecedence: Bulk\n", "bulk:Precedence" },
		{ "X-EMAIL-ID: 5\nList-Unsubscribe: <https://m.example/u/1>\n",
		  "bulk:List-Unsubscribe" },
		/* Mailtrain */
		{ "List-ID: News <abc.mt.example>\n", "bulk:List-Id" },
		{ "x-fbl: c1.l2.s3\nx-msys-api: {}\n", "bulk:X-FBL" },
		/* Sendy */
		{ "X-Mailer: Sendy (https://sendy.co)\nPrecedence: Bulk\n",
		  "bulk:X-Mailer" },
		/* MailPoet */
		{ "List-Unsubscribe-Post: List-Unsubscribe=One-Click\n",
		  "bulk:List-Unsubscribe-Post" },
		{ "List-Unsubscribe: <https://w.example/?mailpoet_page=x>\n",
		  "bulk:List-Unsubscribe" },
		/* Keila */
		{ "Precedence: Bulk\n", "bulk:Precedence" },
		/* Mailman */
		{ "X-Mailman-Version: 3.3.8\nList-Id: <a.b.example>\n",
		  "bulk:X-Mailman-Version" },
		{ "X-BeenThere: a@b.example\n", "bulk:X-BeenThere" },
		/* Sympa: two Precedence fields, either one will do */
		{ "X-Loop: a@b.example\nX-Sequence: 9\nPrecedence: list\n"
		  "Precedence: bulk\n", "bulk:Precedence" },
		{ "Precedence: normal\nPrecedence: bulk\n",
		  "bulk:Precedence" },
		{ "Precedence: bulk\nPrecedence: normal\n",
		  "bulk:Precedence" },
		/* ezmlm, Google Groups, CommuniGate */
		{ "Mailing-List: contact a-help@b.example; run by ezmlm\n",
		  "bulk:Mailing-List" },
		{ "X-Google-Group-Id: 1234567\n", "bulk:X-Google-Group-Id" },
		{ "X-Listserver: CommuniGate Pro LIST 6.2\n",
		  "bulk:X-Listserver" },
		/* Mailchimp */
		{ "X-MC-User: 88\n", "bulk:X-MC-User" },
		{ "X-Campaign: mailchimp88.9\n", "bulk:X-Campaign" },
		{ "X-campaignid: mailchimp88.9\n", "bulk:X-CampaignID" },
		{ "X-Mailer: Mailchimp Mailer - **CID0a**\n",
		  "bulk:X-Mailer" },
		{ "X-Accounttype: pd\nFeedback-ID: 88:88.9:us1:mc\n",
		  "bulk:Feedback-ID" },
		/* HubSpot */
		{ "X-HS-Cid: 1=2\n", "bulk:X-HS-Cid" },
		/* Brevo */
		{ "X-Mailin-EID: QQ==\nX-CSA-Complaints: c@eco.example\n",
		  "bulk:X-CSA-Complaints" },
		/* relays and hosted tools: their campaigns by what they all
		 * carry, for their own marks are on other mail too */
		{ "X-SG-EID: a\nList-Unsubscribe: <mailto:u@s.example>\n",
		  "bulk:List-Unsubscribe" },
		{ "X-MarketoID: 1:2\nList-Unsubscribe: <mailto:u@m.example>\n",
		  "bulk:List-Unsubscribe" },
		{ "X-Roving-ID: 1.2\nList-Unsubscribe: <https://c.example>\n",
		  "bulk:List-Unsubscribe" },
		{ "X-ICPINFO: 1\nPrecedence: bulk\n", "bulk:Precedence" },
		{ "X-rext: 6.a\nList-Unsubscribe: <https://r.example>\n",
		  "bulk:List-Unsubscribe" },
		{ "X-SFMC-Stack: 7\nFeedback-ID: 1:2:sfmc\n",
		  "bulk:Feedback-ID" },
		{ "Feedback-ID: 1:2:3:rm\n", "bulk:Feedback-ID" },
		/* the other fields of RFC 2369 */
		{ "List-Post: NO\n", "bulk:List-Post" },
		{ "List-Help: <mailto:h@b.example>\n", "bulk:List-Help" },
		{ "List-Subscribe: <mailto:s@b.example>\n",
		  "bulk:List-Subscribe" },
		{ "List-Owner: <mailto:o@b.example>\n", "bulk:List-Owner" },
		{ "List-Archive: <https://b.example>\n",
		  "bulk:List-Archive" },
		/* written in every way */
		{ "LIST-UNSUBSCRIBE : <https://a.example>\n",
		  "bulk:List-Unsubscribe" },
		{ "precedence:\n\tbulk\n", "bulk:Precedence" },
		{ "Precedence: (nothing) JUNK (really)\n",
		  "bulk:Precedence" },
		{ "Precedence: list; x=y\n", "bulk:Precedence" },
		{ "X-Mailer: phplist v3.6\n", "bulk:X-Mailer" },
		{ "X-Mailer: MailPoet\n", "bulk:X-Mailer" },
		{ "X-Mailer: mailman/3\n", "bulk:X-Mailer" },
		/* the sender can't answer itself out of it */
		{ "Auto-Submitted: auto-generated\nPrecedence: bulk\n",
		  "bulk:Precedence" },
		{ "Auto-Submitted: no\nPrecedence: bulk\n",
		  "bulk:Precedence" },
		{ "Content-Type: multipart/alternative; x=multipart/report\n"
		  "Precedence: bulk\n", "bulk:Precedence" },
		{ "List-Administrivia: no\nList-Id: <a.b.example>\n",
		  "bulk:List-Id" },
		/* without a confirmation rule a system message is bulk */
		{ "X-MessageID: systemmessage\nPrecedence: bulk\n",
		  "bulk:Precedence" },
	};
	struct policy *policy = policy_new();
	struct envelope envelope = envelope_from("<a@b.example>");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct classification c = classify(policy, &envelope,
		    cases[i].fields);

		check_case((long)i);
		check_result(&c, CLASS_UNLISTED_BULK, NULL, cases[i].rule);
	}
	policy_free(policy);
}

/* What has to pass without any rule (spec 9.4). */
static void
test_must_pass(void)
{
	static const struct {
		const char *sender, *fields;
		enum message_class class;
		const char *rule;
	} cases[] = {
		/* a password reset, an order; people and their programs */
		{ "shop@b.example", "Subject: Your new password\n",
		  CLASS_NOT_BULK, "" },
		{ "shop@b.example", "", CLASS_NOT_BULK, "" },
		{ "shop@b.example", "X-Mailer: PHPMailer 6.8.0\n"
		  "Auto-Submitted: auto-generated\n", CLASS_NOT_BULK, "" },
		{ "a@b.example", "X-Mailer: SendYourMail 2\n",
		  CLASS_NOT_BULK, "" },
		{ "a@b.example", "X-Mailer: Apple Mail (Sendy)\n",
		  CLASS_NOT_BULK, "" },
		{ "a@b.example", "X-Mailer: \n", CLASS_NOT_BULK, "" },
		{ "a@b.example", "Precedence: first-class\nPriority: bulk\n",
		  CLASS_NOT_BULK, "" },
		{ "a@b.example", "Precedence:\nPrecedence: bulky\n",
		  CLASS_NOT_BULK, "" },
		{ "a@b.example", "Subject: List-Unsubscribe: bulk\n"
		  "X-List-Id: x\nList-Identity: y\n", CLASS_NOT_BULK, "" },
		/* Mautic transactional, listmonk without a list header */
		{ "a@b.example", "X-EMAIL-ID: 5\n", CLASS_NOT_BULK, "" },
		{ "a@b.example", "X-Listmonk-Subscriber: 77aa\n",
		  CLASS_NOT_BULK, "" },
		/* marks of relays alone */
		{ "a@b.example", "X-SG-EID: a\nX-SES-Outgoing: b\n"
		  "X-Mailgun-Sid: c\nX-PM-Message-Id: d\nX-SMTPAPI: {}\n"
		  "X-Mailin-EID: QQ==\nX-sib-id: e\n", CLASS_NOT_BULK, "" },
		/* DSN, MDN, vacation, each with the bulk marks they carry */
		{ "<>", "Content-Type: multipart/report; "
		  "report-type=delivery-status\nPrecedence: bulk\n",
		  CLASS_EXEMPT, "null-sender" },
		{ "", "List-Unsubscribe: <https://a.example>\n",
		  CLASS_EXEMPT, "null-sender" },
		{ "mdn@b.example", "Content-Type: Multipart/Report;\n"
		  " report-type=disposition-notification\n"
		  "Precedence: bulk\n", CLASS_EXEMPT, "multipart/report" },
		{ "jane@b.example", "Precedence: bulk\n"
		  "Auto-Submitted: auto-replied (vacation)\n",
		  CLASS_EXEMPT, "auto-replied" },
		{ "jane@b.example", "Precedence: junk\nAUTO-SUBMITTED:\n"
		  "\tAuto-Replied; owner-email=\"j@b.example\"\n",
		  CLASS_EXEMPT, "auto-replied" },
		/* Mailman's administration */
		{ "owner@b.example", "List-Id: <a.b.example>\n"
		  "X-List-Administrivia: yes\nPrecedence: bulk\n",
		  CLASS_EXEMPT, "list-administrivia" },
		{ "owner@b.example", "List-Administrivia: Yes\n"
		  "List-Id: <a.b.example>\n", CLASS_EXEMPT,
		  "list-administrivia" },
	};
	struct policy *policy = policy_new();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct envelope envelope = envelope_from(cases[i].sender);
		struct classification c = classify(policy, &envelope,
		    cases[i].fields);

		check_case((long)i);
		check_result(&c, cases[i].class, NULL, cases[i].rule);
	}
	policy_free(policy);
}

/* Double opt-in of listmonk and phpList (spec 9.3, 9.4), Brevo by sender. */
static void
test_confirmation_by_header(void)
{
	static const struct {
		const char *sender, *fields;
		enum message_class class;
		int list;		/* -1: none */
		const char *rule;
	} cases[] = {
		/* listmonk's opt-in mail */
		{ "l@b.example", "X-Listmonk-Subscriber: 77aa\n"
		  "List-Unsubscribe: <https://l.example/u>\n",
		  CLASS_CONFIRMATION, 0, "weekly:confirmation:1" },
		/* its campaigns, whatever the order of the fields */
		{ "l@b.example", "X-Listmonk-Subscriber: 77aa\n"
		  "x-listmonk-campaign: 0f1e\n", CLASS_LISTED, 0,
		  "weekly:match:1" },
		{ "l@b.example", "X-Listmonk-Campaign: \n"
		  "X-Listmonk-Subscriber: 77aa\n", CLASS_LISTED, 0,
		  "weekly:match:1" },
		/* phpList */
		{ "p@b.example", "X-phpList-version: 3.6.14\n"
		  "X-MessageID: systemmessage\nPrecedence: bulk\n"
		  "List-Unsubscribe: <https://p.example/?uid=j@b.example>\n",
		  CLASS_CONFIRMATION, 1, "daily:confirmation:1" },
		{ "p@b.example", "X-MessageID: 42\nPrecedence: bulk\n",
		  CLASS_LISTED, 1, "daily:match:1" },
		{ "p@b.example", "X-MessageID: 42\n"
		  "X-MessageID:\n  SystemMessage \n", CLASS_CONFIRMATION, 1,
		  "daily:confirmation:1" },
		/* Brevo's transactional mail, from its own stream */
		{ "<Order@TX.b.example>", "X-Mailin-EID: QQ==\n"
		  "Feedback-ID: 1\nList-Unsubscribe: <https://b.example>\n",
		  CLASS_EXEMPT, -1, "exempt:1" },
		{ "news@b.example", "X-Mailin-EID: QQ==\nFeedback-ID: 1\n",
		  CLASS_UNLISTED_BULK, -1, "bulk:Feedback-ID" },
	};
	struct policy *policy = policy_new();

	add_confirmation(policy, 0, (struct rule_text){
	    .header = "X-Listmonk-Subscriber",
	    .without = "X-Listmonk-Campaign" });
	add_match(policy, 0, (struct rule_text){
	    .header = "X-Listmonk-Campaign" });
	add_confirmation(policy, 1, (struct rule_text){
	    .header = "X-MessageID", .value = "systemmessage" });
	add_match(policy, 1, (struct rule_text){ .header = "X-MessageID" });
	add_exempt(policy, (struct rule_text){ .sender = "*@tx.b.example" });
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct envelope envelope = envelope_from(cases[i].sender);
		struct classification c = classify(policy, &envelope,
		    cases[i].fields);

		check_case((long)i);
		check_result(&c, cases[i].class, cases[i].list == -1 ? NULL :
		    &policy->lists[cases[i].list], cases[i].rule);
	}
	policy_free(policy);
}

/* Every key of the envelope, alone; and that all keys of a rule must hold. */
static void
test_envelope_keys(void)
{
	static const unsigned char inside[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	    0xff, 0xff, 192, 0, 2, 7 };
	static const unsigned char outside[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0,
	    0, 0xff, 0xff, 192, 0, 3, 7 };
	static const struct {
		struct rule_text rule;
		const char *sender, *user, *daemon;
		const unsigned char *client;
		bool want;
	} cases[] = {
		{ { .sender = "*@news.example" }, "<A@NEWS.example>", "", "",
		    NULL, true },
		{ { .sender = "*@news.example" }, " a@news.example ", "", "",
		    NULL, true },
		{ { .sender = "*@news.example" }, "a@news.example.net", "",
		    "", NULL, false },
		{ { .sender = "a?@news.example" }, "<ab@news.example>", "",
		    "", NULL, true },
		{ { .sasl_user = "camp*" }, "a@b.c", "CAMPAIGNS", "", NULL,
		    true },
		{ { .sasl_user = "*" }, "a@b.c", "", "", NULL, false },
		{ { .daemon = "campaign" }, "a@b.c", "", "Campaign", NULL,
		    true },
		{ { .daemon = "campaign" }, "a@b.c", "", "", NULL, false },
		{ { .client = "192.0.2.0/24" }, "a@b.c", "", "", inside,
		    true },
		{ { .client = "192.0.2.0/24" }, "a@b.c", "", "", outside,
		    false },
		{ { .client = "0.0.0.0/0" }, "a@b.c", "", "", NULL, false },
		{ { .sender = "*@b.c", .sasl_user = "u", .daemon = "d",
		    .client = "192.0.2.0/24" }, "a@b.c", "u", "d", inside,
		    true },
		{ { .sender = "*@b.c", .sasl_user = "u", .daemon = "d",
		    .client = "192.0.2.0/24" }, "a@b.d", "u", "d", inside,
		    false },
		{ { .sender = "*@b.c", .sasl_user = "u", .daemon = "d",
		    .client = "192.0.2.0/24" }, "a@b.c", "v", "d", inside,
		    false },
		{ { .sender = "*@b.c", .sasl_user = "u", .daemon = "d",
		    .client = "192.0.2.0/24" }, "a@b.c", "u", "e", inside,
		    false },
		{ { .sender = "*@b.c", .sasl_user = "u", .daemon = "d",
		    .client = "192.0.2.0/24" }, "a@b.c", "u", "d", outside,
		    false },
		/* headers are asked later */
		{ { .sender = "*@b.c", .header = "X-A" }, "a@b.c", "", "",
		    NULL, false },
		{ { .sender = "*@b.c", .without = "X-A" }, "a@b.c", "", "",
		    NULL, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct policy *policy = policy_new();
		struct envelope e = { .sender = span_str(cases[i].sender),
		    .sasl_user = span_str(cases[i].user),
		    .daemon = span_str(cases[i].daemon),
		    .has_client = cases[i].client != NULL };
		struct classification c;

		check_case((long)i);
		if (e.has_client)
			memcpy(e.client, cases[i].client, 16);
		add_match(policy, 1, (struct rule_text){ .daemon = "never" });
		add_match(policy, 1, cases[i].rule);
		classify_envelope(policy, &e, &c);
		if (cases[i].want)
			check_result(&c, CLASS_LISTED, &policy->lists[1],
			    "daily:match:2");
		else
			check_result(&c, CLASS_UNDECIDED, NULL, "");
		policy_free(policy);
	}
}

/* At MAIL: null sender, confirmation, exempt, match; lists in order. */
static void
test_envelope_order(void)
{
	struct policy *policy = policy_new();
	struct envelope null = envelope_from("< >");
	struct envelope sender = envelope_from("a@b.c");
	struct classification c;

	classify_envelope(policy, &sender, &c);
	check_result(&c, CLASS_UNDECIDED, NULL, "");
	add_match(policy, 1, (struct rule_text){ .sender = "*" });
	classify_envelope(policy, &sender, &c);
	check_result(&c, CLASS_LISTED, &policy->lists[1], "daily:match:1");
	add_match(policy, 0, (struct rule_text){ .sender = "*" });
	classify_envelope(policy, &sender, &c);
	check_result(&c, CLASS_LISTED, &policy->lists[0], "weekly:match:1");
	add_exempt(policy, (struct rule_text){ .sender = "x@*" });
	add_exempt(policy, (struct rule_text){ .sender = "a@*" });
	classify_envelope(policy, &sender, &c);
	check_result(&c, CLASS_EXEMPT, NULL, "exempt:2");
	add_confirmation(policy, 1, (struct rule_text){ .sender = "*" });
	classify_envelope(policy, &sender, &c);
	check_result(&c, CLASS_CONFIRMATION, &policy->lists[1],
	    "daily:confirmation:1");
	classify_envelope(policy, &null, &c);
	check_result(&c, CLASS_EXEMPT, NULL, "null-sender");
	policy_free(policy);
}

/* What MAIL decided stays, but for the list's own confirmation mails. */
static void
test_listed_at_mail(void)
{
	static const struct {
		const char *fields;
		enum message_class class;
		const char *rule;
	} cases[] = {
		{ "", CLASS_LISTED, "weekly:match:1" },
		{ "X-Optin: yes\n", CLASS_CONFIRMATION,
		  "weekly:confirmation:2" },
		{ "X-Optin: no\n", CLASS_LISTED, "weekly:match:1" },
		/* nothing in a header frees it */
		{ "Auto-Submitted: auto-replied\n", CLASS_LISTED,
		  "weekly:match:1" },
		{ "Content-Type: multipart/report\n", CLASS_LISTED,
		  "weekly:match:1" },
		{ "List-Administrivia: yes\nX-Exempt: 1\n", CLASS_LISTED,
		  "weekly:match:1" },
		/* nor another list's rules */
		{ "X-Other-Optin: yes\n", CLASS_LISTED, "weekly:match:1" },
		{ "X-Daily: 1\n", CLASS_LISTED, "weekly:match:1" },
	};
	struct policy *policy = policy_new();
	struct envelope envelope = envelope_from("a@news.example");

	add_match(policy, 0, (struct rule_text){ .sender = "*@news.example" });
	add_match(policy, 1, (struct rule_text){ .header = "X-Daily" });
	add_confirmation(policy, 0, (struct rule_text){ .sender = "x@y.z" });
	add_confirmation(policy, 0, (struct rule_text){ .header = "X-Optin",
	    .value = "yes", .sender = "*@news.example" });
	add_confirmation(policy, 1, (struct rule_text){
	    .header = "X-Other-Optin" });
	add_exempt(policy, (struct rule_text){ .header = "X-Exempt" });
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct classification c = classify(policy, &envelope,
		    cases[i].fields);

		check_case((long)i);
		check_result(&c, cases[i].class, &policy->lists[0],
		    cases[i].rule);
	}
	policy_free(policy);
}

/* EXEMPT and CONFIRMATION of MAIL stay, whatever the header says. */
static void
test_others_at_mail(void)
{
	struct policy *policy = policy_new();
	struct envelope exempt = envelope_from("tx@b.c");
	struct envelope optin = envelope_from("optin@b.c");
	struct classification c;

	add_exempt(policy, (struct rule_text){ .sender = "tx@*" });
	add_confirmation(policy, 1, (struct rule_text){ .sender = "optin@*" });
	add_match(policy, 0, (struct rule_text){ .header = "List-Id" });
	c = classify(policy, &exempt, "List-Id: <a.b>\n");
	check_result(&c, CLASS_EXEMPT, NULL, "exempt:1");
	c = classify(policy, &optin, "List-Id: <a.b>\n");
	check_result(&c, CLASS_CONFIRMATION, &policy->lists[1],
	    "daily:confirmation:1");
	policy_free(policy);
}

/* At the end of headers: confirmation, exempt, match, marks. */
static void
test_header_order(void)
{
	struct policy *policy = policy_new();
	struct envelope e = envelope_from("a@b.c");
	const char *fields = "X-All: 1\nAuto-Submitted: auto-replied\n"
	    "Precedence: bulk\n";
	struct classification c = classify(policy, &e, fields);

	check_result(&c, CLASS_EXEMPT, NULL, "auto-replied");
	/* Security: a list claims it, so the fake reply is no way out. */
	add_match(policy, 1, (struct rule_text){ .header = "X-All" });
	c = classify(policy, &e, fields);
	check_result(&c, CLASS_LISTED, &policy->lists[1], "daily:match:1");
	add_match(policy, 0, (struct rule_text){ .header = "Precedence",
	    .value = "bulk" });
	c = classify(policy, &e, fields);
	check_result(&c, CLASS_LISTED, &policy->lists[0], "weekly:match:1");
	add_exempt(policy, (struct rule_text){ .header = "X-All" });
	c = classify(policy, &e, fields);
	check_result(&c, CLASS_EXEMPT, NULL, "exempt:1");
	add_confirmation(policy, 1, (struct rule_text){ .header = "X-All" });
	c = classify(policy, &e, fields);
	check_result(&c, CLASS_CONFIRMATION, &policy->lists[1],
	    "daily:confirmation:1");
	policy_free(policy);
}

/* A glob over the unfolded value of any instance. */
static void
test_header_values(void)
{
	static const struct {
		const char *fields;
		bool want;
	} cases[] = {
		{ "List-Id: Weekly <weekly.news.example>\n", true },
		{ "LIST-ID : <WEEKLY.NEWS.EXAMPLE>\n", true },
		{ "List-Id: Weekly\n\t<weekly.news.example>\n (x)\n", true },
		{ "List-Id: <daily.x>\nList-Id: <weekly.news.example>\n",
		  true },
		{ "List-Id: <weekly.news.example>\nList-Id: <daily.x>\n",
		  true },
		{ "List-Id: <weekly.news.example.net>\n", false },
		{ "List-Id: \n", false },
		{ "List-Identity: <weekly.news.example>\n", false },
		{ "X-List-Id: <weekly.news.example>\n", false },
		{ "Subject: List-Id: <weekly.news.example>\n", false },
	};
	struct policy *policy = policy_new();
	struct envelope e = envelope_from("a@b.c");

	add_match(policy, 0, (struct rule_text){ .header = "list-id",
	    .value = "*<weekly.news.example>*" });
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct classification c = classify(policy, &e,
		    cases[i].fields);

		check_case((long)i);
		CHECK_INT(c.class == CLASS_LISTED, cases[i].want);
	}
	policy_free(policy);
}

/* `without' holds where the field is nowhere in the header. */
static void
test_without(void)
{
	struct policy *policy = policy_new();
	struct envelope good = envelope_from("a@b.c");
	struct envelope other = envelope_from("a@b.d");
	struct classification c;

	add_match(policy, 0, (struct rule_text){ .sender = "*@b.c",
	    .without = "X-Personal" });
	c = classify(policy, &good, "Subject: x\n");
	check_result(&c, CLASS_LISTED, &policy->lists[0], "weekly:match:1");
	c = classify(policy, &good, "");
	check_result(&c, CLASS_LISTED, &policy->lists[0], "weekly:match:1");
	c = classify(policy, &good, "x-personal:\n");
	check_result(&c, CLASS_NOT_BULK, NULL, "");
	c = classify(policy, &other, "");
	check_result(&c, CLASS_NOT_BULK, NULL, "");
	policy_free(policy);
}

static void
test_awaits_confirmation(void)
{
	struct policy *policy = policy_new();
	const struct list *list = &policy->lists[0];
	struct envelope e = envelope_from("<a@b.c>");

	CHECK(!classify_awaits_confirmation(list, &e));
	/* known at MAIL already: nothing to wait for */
	add_confirmation(policy, 0, (struct rule_text){ .sender = "*@b.c" });
	CHECK(!classify_awaits_confirmation(list, &e));
	add_confirmation(policy, 0, (struct rule_text){ .sender = "*@x.y",
	    .header = "X-A" });
	CHECK(!classify_awaits_confirmation(list, &e));
	add_confirmation(policy, 1, (struct rule_text){ .header = "X-A" });
	CHECK(!classify_awaits_confirmation(list, &e));
	add_confirmation(policy, 0, (struct rule_text){ .sender = "*@b.c",
	    .header = "X-A" });
	CHECK(classify_awaits_confirmation(list, &e));
	policy_free(policy);
	policy = policy_new();
	add_confirmation(policy, 0, (struct rule_text){ .without = "X-A" });
	CHECK(classify_awaits_confirmation(&policy->lists[0], &e));
	policy_free(policy);
}

/* Slots beyond the first byte of the bitmap, each of them its own. */
static void
test_many_rules(void)
{
	struct policy *policy = policy_new();
	struct envelope e = envelope_from("a@b.c");
	char name[32];

	for (int i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof(name), "X-Rule-%d", i);
		add_match(policy, 1, (struct rule_text){ .header = name });
	}
	for (int i = 0; i < 40; i++) {
		struct classification c;
		char fields[64], rule[64];

		check_case(i);
		(void)snprintf(fields, sizeof(fields), "X-Rule-%d: 1\n", i);
		(void)snprintf(rule, sizeof(rule), "daily:match:%d", i + 1);
		c = classify(policy, &e, fields);
		check_result(&c, CLASS_LISTED, &policy->lists[1], rule);
	}
	policy_free(policy);
}

/* The longest name of a list leaves room for the rule. */
static void
test_rule_text(void)
{
	struct policy *policy = policy_new();
	struct envelope e = envelope_from("a@b.c");
	struct classification c;

	memset(policy->lists[0].id, 'a', LIST_NAME_MAX);
	add_confirmation(policy, 0, (struct rule_text){ .sender = "*" });
	classify_envelope(policy, &e, &c);
	check_result(&c, CLASS_CONFIRMATION, &policy->lists[0],
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:confirmation:1");
	policy_free(policy);
}

/* Odd and huge fields: what is beyond FIELD_VALUE_MAX is not looked at. */
static void
test_odd_fields(void)
{
	struct policy *policy = policy_new();
	struct envelope e = envelope_from("a@b.c");
	struct header_facts *facts;
	struct classification c;
	char *huge = xcalloc(FIELD_VALUE_MAX + 5, 1);

	add_match(policy, 0, (struct rule_text){ .header = "X-Huge",
	    .value = "*tail" });
	add_match(policy, 1, (struct rule_text){ .header = "X-Huge",
	    .value = "xx*" });
	memset(huge, 'x', FIELD_VALUE_MAX);
	memcpy(huge + FIELD_VALUE_MAX, "tail", 4);
	facts = header_facts_new(policy);
	header_facts_add(facts, span_of(NULL, 0), span_of(NULL, 0));
	header_facts_add(facts, SPAN("\0\xff"), SPAN("\0\xff\r\n"));
	for (int i = 0; i < 2000; i++)
		header_facts_add(facts, SPAN("X-Many"), SPAN("v"));
	classify_envelope(policy, &e, &c);
	classify_message(policy, &e, facts, &c);
	check_result(&c, CLASS_NOT_BULK, NULL, "");
	header_facts_add(facts, SPAN("X-Huge \t"),
	    span_of(huge, FIELD_VALUE_MAX + 4));
	classify_message(policy, &e, facts, &c);	/* decided: stays */
	check_result(&c, CLASS_NOT_BULK, NULL, "");
	classify_envelope(policy, &e, &c);
	classify_message(policy, &e, facts, &c);
	check_result(&c, CLASS_LISTED, &policy->lists[1], "daily:match:1");
	header_facts_free(&facts);
	header_facts_free(&facts);	/* of nothing */
	free(huge);
	policy_free(policy);
}

static const struct check_test tests[] = {
	{ "campaign_forms", test_campaign_forms },
	{ "must_pass", test_must_pass },
	{ "confirmation_by_header", test_confirmation_by_header },
	{ "envelope_keys", test_envelope_keys },
	{ "envelope_order", test_envelope_order },
	{ "listed_at_mail", test_listed_at_mail },
	{ "others_at_mail", test_others_at_mail },
	{ "header_order", test_header_order },
	{ "header_values", test_header_values },
	{ "without", test_without },
	{ "awaits_confirmation", test_awaits_confirmation },
	{ "many_rules", test_many_rules },
	{ "rule_text", test_rule_text },
	{ "odd_fields", test_odd_fields },
};

CHECK_MAIN("classify", tests)
