/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/probe.h"

#include <string.h>

#include "base/codec.h"
#include "base/date.h"
#include "mail/field.h"
#include "mail/list_field.h"
#include "mail/mime.h"

#define UNSUBSCRIBE	SPAN("List-Unsubscribe")
#define UNSUBSCRIBE_POST	SPAN("List-Unsubscribe-Post")
#define FIELD_MAX	900	/* of a field that is given */

/* -- the message -- */

bool
probe_field_is_valid(struct span field)
{
	ptrdiff_t colon = span_index(field, ':');

	if (colon < 1 || field.len > FIELD_MAX)
		return false;
	for (size_t i = 0; i < field.len; i++)
		if (!ascii_isprint(field.p[i]) && field.p[i] != '\t')
			return false;
	for (size_t i = 0; i < (size_t)colon; i++)
		if (field.p[i] == ' ' || field.p[i] == '\t')
			return false;
	return true;
}

void
probe_add_id(struct buf *out, const struct probe *p)
{
	buf_add_str(out, "<selftest-");
	hex_format(out, p->id, sizeof(p->id));
	buf_add_char(out, '@');
	buf_add_span(out, address_domain(&p->sender));
	buf_add_char(out, '>');
}

void
probe_format(struct buf *out, const struct probe *p)
{
	buf_addf(out, "From: <%s>\r\nTo: <%s>\r\n"
	    "Subject: Self-test of list %s\r\n", p->from, p->to,
	    p->list->id);
	buf_add_str(out, "Date: ");
	date_format_mail(out, p->now_ms);
	buf_add_str(out, "\r\n");
	buf_add_str(out, "Message-ID: ");
	probe_add_id(out, p);
	buf_add_str(out, "\r\n");
	if (p->list->list_id != NULL)
		buf_addf(out, "List-Id: <%s>\r\n", p->list->list_id);
	for (size_t i = 0; i < p->field_count; i++)
		buf_addf(out, "%s\r\n", p->fields[i]);
	buf_add_str(out, "MIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n\r\n"
	    "consentctl selftest sent this, to see what the mail server makes "
	    "of a newsletter.\r\nNobody has to do anything.\r\n\r\n");
	buf_add_span(out, PROBE_END);
	buf_add_str(out, "\r\n");
}

void
probe_classify(const struct probe *p, const unsigned char *client,
    struct classification *out)
{
	struct envelope envelope = { .sender = span_str(p->envelope_sender),
	    .has_client = client != NULL };
	struct header_facts *facts = header_facts_new(&p->settings->policy);
	struct buf message = BUF_INIT(PROBE_MAX);
	struct span header, body;
	struct mime_field field;

	if (client != NULL)
		memcpy(envelope.client, client, sizeof(envelope.client));
	probe_format(&message, p);
	mime_split(buf_span(&message), &header, &body);
	while (mime_next_field(&header, &field))
		header_facts_add(facts, field.name, field.value);
	classify_envelope(&p->settings->policy, &envelope, out);
	classify_message(&p->settings->policy, &envelope, facts, out);
	header_facts_free(&facts);
	buf_fini(&message);
}

/* -- what mends it -- */

void
probe_add_milter(struct buf *out, const char *socket)
{
	static const char *const prefixes[] = { "unix:", "local:", "" };
	struct span queue = SPAN("/var/spool/postfix/"), s = span_str(socket);
	ptrdiff_t at = span_index(s, '@');

	if (span_has_prefix(s, SPAN("inet"))) {
		struct span port = span_head(s, at == -1 ? s.len : (size_t)at);
		struct span host = at == -1 ? SPAN("127.0.0.1") :
		    span_from(s, (size_t)at + 1);

		buf_add_str(out, "inet:");
		buf_add_span(out, host);
		buf_add_span(out, span_from(port, (size_t)span_index(port,
		    ':')));
		return;
	}
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (span_has_prefix(s, span_str(prefixes[i]))) {
			s = span_from(s, strlen(prefixes[i]));
			break;
		}
	buf_add_str(out, "unix:");
	buf_add_span(out, span_has_prefix(s, queue) ?
	    span_from(s, queue.len) : s);
}

static void
fix_order(struct findings *f, const struct probe *p)
{
	struct buf milter = BUF_INIT(1024);

	probe_add_milter(&milter, p->settings->socket);
	findings_fix(f, "main.cf: smtpd_milters = %s, inet:127.0.0.1:8891",
	    buf_get(&milter));
	findings_fix(f, "(consent-milter first, the signer, here OpenDKIM on "
	    "port 8891, behind it; the same where master.cf sets -o "
	    "smtpd_milters for this port)");
	buf_fini(&milter);
}

void
probe_fix_list(struct findings *f, const struct probe *p)
{
	const char *at = strrchr(p->envelope_sender, '@');

	findings_fix(f, "consent-milter.conf: in list \"%s\": match = "
	    "( { sender = \"*%s\"; } );", p->list->id, at != NULL ? at : "");
	findings_fix(f, "systemctl reload consent-milter");
}

void
probe_fix_mode(struct findings *f, const struct probe *p)
{
	if (p->list->mode == LIST_MODE_OBSERVE)
		findings_fix(f, "consent-milter.conf: in list \"%s\": mode = "
		    "\"enforce\";", p->list->id);
	else
		findings_fix(f, "consent-milter.conf: mode = \"enforce\";");
}

void
probe_fix_milter(struct findings *f, const struct probe *p)
{
	if (policy_observes(&p->settings->policy, p->list))
		probe_fix_mode(f, p);
	else if (!p->is_listed)
		probe_fix_list(f, p);
	else
		fix_order(f, p);
}

static void
fix_existing(struct findings *f)
{
	findings_fix(f, "consent-milter.conf: unsubscribe = { existing = "
	    "\"replace\"; };");
}

static void
fix_sign_headers(struct findings *f)
{
	findings_fix(f, "opendkim.conf: SignHeaders *,+List-Unsubscribe,"
	    "+List-Unsubscribe-Post,+List-Id");
	findings_fix(f, "opendkim.conf: OversignHeaders From,"
	    "List-Unsubscribe,List-Unsubscribe-Post,List-Id");
}

/* -- the fields -- */

/* Is it there once?  Otherwise that is a finding. */
static bool
is_once(struct findings *f, const struct probe *p, const char *check,
    const char *name, size_t count)
{
	if (count == 1)
		return true;
	if (count == 0) {
		findings_add(f, check, FINDING_FAIL, "%s is not there: the "
		    "filter did not add it", name);
		probe_fix_milter(f, p);
		return false;
	}
	findings_add(f, check, FINDING_FAIL, "%s is there %zu times: "
	    "something adds one behind the filter, which leaves one", name,
	    count);
	fix_order(f, p);
	fix_existing(f);
	return false;
}

static void
judge_post(struct findings *f, const struct probe *p, struct span header)
{
	struct buf value = BUF_INIT(FIELD_VALUE_MAX);
	struct span raw = SPAN("");
	size_t count = mime_count_fields(header, UNSUBSCRIBE_POST, &raw);

	if (!is_once(f, p, "unsubscribe-post", "List-Unsubscribe-Post", count))
		return;
	field_unfold(&value, raw);
	if (span_is(buf_span(&value), SPAN(LIST_UNSUBSCRIBE_POST_VALUE)))
		findings_add(f, "unsubscribe-post", FINDING_OK,
		    "List-Unsubscribe-Post is there, once");
	else {
		findings_add(f, "unsubscribe-post", FINDING_FAIL,
		    "List-Unsubscribe-Post is not \"%s\"",
		    LIST_UNSUBSCRIBE_POST_VALUE);
		fix_existing(f);
	}
	buf_fini(&value);
}

/* The first https link; empty when there is none. */
static struct span
find_link(struct span value)
{
	struct list_unsubscribe lu;

	list_unsubscribe_parse(value, &lu);
	for (size_t i = 0; i < lu.count; i++)
		if (span_has_prefix_nocase(lu.uri[i], SPAN("https:")))
			return lu.uri[i];
	return SPAN("");
}

/* Whom does the token name? */
static void
judge_token(struct findings *f, const struct probe *p, struct span text)
{
	unsigned char list[TOKEN_LIST_BYTES];
	struct token token;
	struct fail unused;

	token_list(span_str(p->list->id), list);
	if (token_check(&p->settings->token_keys, text, &token, &unused) ==
	    -1) {
		findings_add(f, "link", FINDING_FAIL, "the link has a token "
		    "that the keys here did not make");
		findings_fix(f, "consent-milter.conf: keys = \"%s\"; (the "
		    "same files on each host)", p->settings->keys);
		findings_fix(f, "systemctl reload consent-milter");
	} else if (memcmp(token.list, list, sizeof(list)) != 0) {
		findings_add(f, "link", FINDING_FAIL, "the link opts out of "
		    "another list than \"%s\"", p->list->id);
		probe_fix_list(f, p);
	} else if (!token_is_personal(&token)) {
		findings_add(f, "link", FINDING_FAIL, "the link names no "
		    "person, as in a message to several recipients");
		findings_fix(f, "main.cf: smtp_destination_recipient_limit = "
		    "1 (of a Postfix in front of this one)");
	} else if (!subject_is(&token.subject, &p->subject)) {
		findings_add(f, "link", FINDING_FAIL, "the link opts somebody "
		    "else out: the address is rewritten before the filter "
		    "sees it");
		findings_fix(f, "master.cf: -o receive_override_options="
		    "no_address_mappings (for this port)");
	} else
		findings_add(f, "link", FINDING_OK, "the link is this "
		    "person's own, for list \"%s\"", p->list->id);
}

static void
judge_link(struct findings *f, const struct probe *p, struct span value)
{
	struct span base = span_str(p->settings->unsubscribe.url);
	struct span link = find_link(value);

	if (link.len == 0) {
		findings_add(f, "link", FINDING_FAIL, "List-Unsubscribe has no "
		    "https link");
		fix_existing(f);
	} else if (!span_has_prefix(link, base)) {
		findings_add(f, "link", FINDING_FAIL, "the link does not begin "
		    "with %s, so it is not the filter's, or of another "
		    "configuration", p->settings->unsubscribe.url);
		fix_existing(f);
		findings_fix(f, "consent-milter.conf: unsubscribe = { url = "
		    "\"%s\"; };", p->settings->unsubscribe.url);
		findings_fix(f, "systemctl reload consent-milter");
	} else
		judge_token(f, p, span_from(link, base.len));
}

void
probe_judge_fields(struct findings *f, const struct probe *p,
    struct span message)
{
	struct span header, body, value = SPAN("");
	size_t count;

	mime_split(message, &header, &body);
	count = mime_count_fields(header, UNSUBSCRIBE, &value);
	if (is_once(f, p, "unsubscribe", "List-Unsubscribe", count))
		findings_add(f, "unsubscribe", FINDING_OK,
		    "List-Unsubscribe is there, once");
	judge_post(f, p, header);
	if (count > 0)
		judge_link(f, p, span_head(value, FIELD_VALUE_MAX));
	else
		findings_add(f, "link", FINDING_SKIPPED, "there is no "
		    "List-Unsubscribe to look at");
}

/* -- the signatures -- */

/* Is one domain the other, or below it? */
static bool
is_within(struct span inner, struct span outer)
{
	struct span tail = span_from(inner, inner.len - outer.len);

	if (inner.len < outer.len || outer.len == 0)
		return false;
	return span_is_nocase(tail, outer) && (inner.len == outer.len ||
	    inner.p[inner.len - outer.len - 1] == '.');
}

static bool
is_aligned(const struct probe *p, const struct signature *s)
{
	struct span domain = span_str(s->domain);
	struct span from = address_domain(&p->sender);

	return is_within(domain, from) || is_within(from, domain);
}

static bool
covers_both(const struct signature *s)
{
	return signature_covers(s, UNSUBSCRIBE) > 0 &&
	    signature_covers(s, UNSUBSCRIBE_POST) > 0;
}

static int
worth(const struct probe *p, const struct signature *s)
{
	return (s->state == SIGNATURE_GOOD ? 8 : 0) +
	    (is_aligned(p, s) ? 4 : 0) + (covers_both(s) ? 2 : 0) +
	    (s->has_length ? 0 : 1);
}

static void
judge_state(struct findings *f, const struct probe *p,
    const struct signature *s)
{
	switch (s->state) {
	case SIGNATURE_GOOD:
		findings_add(f, "dkim", FINDING_OK, "the signature of %s "
		    "(selector %s) is valid", s->domain, s->selector);
		return;
	case SIGNATURE_HEADER_CHANGED:
		findings_add(f, "dkim", FINDING_FAIL, "the signature of %s is "
		    "not valid: the header was changed after it was signed "
		    "(or the key is not the signer's)", s->domain);
		fix_order(f, p);
		return;
	case SIGNATURE_BODY_CHANGED:
		findings_add(f, "dkim", FINDING_FAIL, "the signature of %s is "
		    "not valid: the body was changed after it was signed",
		    s->domain);
		findings_fix(f, "main.cf: smtpd_milters: let the signer be "
		    "the last; content filters (footers, scanners) run "
		    "before it");
		findings_fix(f, "opendkim.conf: Canonicalization "
		    "relaxed/relaxed");
		return;
	case SIGNATURE_NO_KEY:
		findings_add(f, "dkim", FINDING_FAIL, "the signature of %s "
		    "can't be verified: %s", s->domain, s->why);
		findings_fix(f, "DNS: %s._domainkey.%s. IN TXT \"v=DKIM1; "
		    "k=rsa; p=...\" (the .txt file of opendkim-genkey)",
		    s->selector, s->domain);
		return;
	case SIGNATURE_LATER:
		findings_add(f, "dkim", FINDING_SKIPPED, "the DNS can't be "
		    "asked for the key %s._domainkey.%s now: %s",
		    s->selector, s->domain, s->why);
		return;
	case SIGNATURE_UNREADABLE:
		findings_add(f, "dkim", FINDING_FAIL, "the signature of %s is "
		    "not valid: %s", s->domain, s->why);
		findings_fix(f, "opendkim.conf: Canonicalization "
		    "relaxed/relaxed");
		return;
	}
}

static void
judge_coverage(struct findings *f, const struct probe *p,
    const struct signature *s)
{
	size_t link = signature_covers(s, UNSUBSCRIBE);
	size_t post = signature_covers(s, UNSUBSCRIBE_POST);

	if (link > 0 && post > 0) {
		bool twice = link > 1 && post > 1;

		findings_add(f, "dkim-covers", twice ? FINDING_OK :
		    FINDING_WARN, twice ? "both fields are signed, and so is "
		    "that there is no second one" : "both fields are signed, "
		    "but a second one put on top would not break the "
		    "signature");
		if (!twice)
			findings_fix(f, "opendkim.conf: OversignHeaders From,"
			    "List-Unsubscribe,List-Unsubscribe-Post,List-Id");
		return;
	}
	findings_add(f, "dkim-covers", FINDING_FAIL, "not signed: %s%s%s",
	    link == 0 ? "List-Unsubscribe" : "",
	    link == 0 && post == 0 ? ", " : "",
	    post == 0 ? "List-Unsubscribe-Post" : "");
	fix_sign_headers(f);
	/* OpenDKIM signs it unasked, but only what it sees. */
	if (link == 0)
		fix_order(f, p);
}

static void
judge_domain(struct findings *f, const struct probe *p,
    const struct signature *s)
{
	struct span from = address_domain(&p->sender);

	if (is_aligned(p, s)) {
		findings_add(f, "dkim-aligned", FINDING_OK, "it is of the "
		    "domain of From");
		return;
	}
	findings_add(f, "dkim-aligned", FINDING_FAIL, "the signature is of "
	    "%s, and From is of %.*s", s->domain, (int)from.len,
	    (const char *)from.p);
	findings_fix(f, "opendkim.conf: Domain %.*s (with the KeyFile and "
	    "Selector of that domain)", (int)from.len, (const char *)from.p);
}

void
probe_judge_signatures(struct findings *f, const struct probe *p,
    const struct signature *signatures, size_t n)
{
	const struct signature *best = signatures;

	if (n == 0) {
		findings_add(f, "dkim", FINDING_FAIL, "there is no DKIM "
		    "signature");
		fix_order(f, p);
		fix_sign_headers(f);
		return;
	}
	for (size_t i = 1; i < n; i++)
		if (worth(p, &signatures[i]) > worth(p, best))
			best = &signatures[i];
	judge_state(f, p, best);
	judge_coverage(f, p, best);
	if (best->has_length) {
		findings_add(f, "dkim-length", FINDING_FAIL, "the signature "
		    "covers only the start of the body (l=)");
		findings_fix(f, "opendkim.conf: remove BodyLengthDB");
	} else
		findings_add(f, "dkim-length", FINDING_OK, "all of the body "
		    "is signed");
	judge_domain(f, p, best);
}
