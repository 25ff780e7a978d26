/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A recipient is decided at RCPT when the envelope has told the list, and at
 * the end of the message otherwise: when header rules decide, when the
 * message may still turn out to be a double-opt-in confirmation, and for mail
 * that was not submitted by SMTP, where Postfix can't pass on the refusal of
 * one recipient (it would keep the whole message in its maildrop for ever).
 *
 * Order: decide, put on record, answer.  In observe mode, the filter's or that
 * of the list, everything happens but the answer.
 */
#include "milterd/message.h"

#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "consent/classify.h"
#include "consent/decision.h"
#include "mail/address.h"
#include "mail/field.h"
#include "milterd/audit.h"

#define MESSAGE_ID_MAX	250

struct recipient {
	char		*argument;	/* as received, for the MTA */
	bool		 has_subject;	/* the address could be read */
	struct subject	 subject;
	bool		 decided;	/* accepted, and on record, at RCPT */
	bool		 blocked;	/* taken off at the end */
	struct decision	 decision;
	char		 ref[AUDIT_REF_LEN + 1];
};

struct message {
	struct runtime	*runtime;	/* borrowed */
	struct snapshot	*snapshot;
	char		*sender;
	char		*sasl_user;
	char		*daemon;
	char		*queue_id;	/* NULL until known */
	char		 client[INET6_ADDRSTRLEN];
	char		 message_id[MESSAGE_ID_MAX + 1];
	bool		 by_smtp;
	struct envelope	 envelope;	/* borrows from the above */
	struct classification class;
	bool		 may_be_confirmation;
	struct header_facts *headers;
	struct edits_facts header_counts;
	size_t		 header_bytes;	/* that the MTA has told */
	struct recipient *recipients;
	size_t		 count;
	size_t		 room;
	struct edits	 edits;
	const char	**remove;
	size_t		 remove_count;
};

static const struct settings *
settings_of(const struct message *m)
{
	return m->snapshot->settings;
}

static const struct policy *
policy_of(const struct message *m)
{
	return &m->snapshot->settings->policy;
}

/* Does it pass whatever is decided?  Before a list is known it may turn out to
 * be of any. */
static bool
observes(const struct message *m)
{
	return m->class.class == CLASS_UNDECIDED ?
	    policy_observes_all(policy_of(m)) :
	    policy_observes(policy_of(m), m->class.list);
}

/* How the mail log calls this message, in Postfix's manner. */
static const char *
log_id(const struct message *m)
{
	return m->queue_id != NULL ? m->queue_id : "NOQUEUE";
}

static void
set_client(struct message *m, const struct message_origin *origin)
{
	static const unsigned char mapped[12] =
	    { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	m->envelope.has_client = origin->has_client;
	if (!origin->has_client)
		return;
	memcpy(m->envelope.client, origin->client, 16);
	if (memcmp(origin->client, mapped, 12) == 0)
		(void)inet_ntop(AF_INET, origin->client + 12, m->client,
		    sizeof(m->client));
	else
		(void)inet_ntop(AF_INET6, origin->client, m->client,
		    sizeof(m->client));
}

struct message *
message_new(struct runtime *runtime, const struct message_origin *origin)
{
	struct message *m = xcalloc(1, sizeof(*m));

	m->runtime = runtime;
	m->snapshot = runtime_get(runtime);
	m->sender = xstrdup(origin->sender);
	m->sasl_user = xstrdup(origin->sasl_user ? origin->sasl_user : "");
	m->daemon = xstrdup(origin->daemon ? origin->daemon : "");
	/* Interop: Postfix gives envelope addresses of mail that came by
	 * sendmail(1) without the angle brackets. */
	m->by_smtp = origin->sender[0] == '<';
	m->envelope.sender = span_str(m->sender);
	m->envelope.sasl_user = span_str(m->sasl_user);
	m->envelope.daemon = span_str(m->daemon);
	set_client(m, origin);
	classify_envelope(policy_of(m), &m->envelope, &m->class);
	if (m->class.class == CLASS_LISTED)
		m->may_be_confirmation =
		    classify_awaits_confirmation(m->class.list, &m->envelope);
	m->headers = header_facts_new(policy_of(m));
	edits_init(&m->edits);
	return m;
}

void
message_free(struct message **message)
{
	struct message *m = *message;

	if (m == NULL)
		return;
	*message = NULL;
	for (size_t i = 0; i < m->count; i++)
		free(m->recipients[i].argument);
	free(m->recipients);
	free(m->remove);
	edits_fini(&m->edits);
	header_facts_free(&m->headers);
	free(m->sender);
	free(m->sasl_user);
	free(m->daemon);
	free(m->queue_id);
	snapshot_put(&m->snapshot);
	free(m);
}

void
message_set_queue_id(struct message *m, const char *queue_id)
{
	if (queue_id == NULL || (m->queue_id != NULL &&
	    strcmp(m->queue_id, queue_id) == 0))
		return;
	free(m->queue_id);
	m->queue_id = xstrdup(queue_id);
}

/* Puts n decisions on record; a failure is logged here, once. */
static int
record_decisions(struct message *m, const struct audit_decision *decisions,
    size_t n)
{
	struct audit_message facts = {
		.settings = settings_of(m),
		.host = runtime_host(m->runtime),
		.queue_id = m->queue_id,
		.sender = m->sender,
		.client = m->client,
		.auth = m->sasl_user,
		.message_id = m->message_id,
		.class = &m->class,
	};
	struct tally_list *tally = runtime_tally_list(m->runtime,
	    m->snapshot, m->class.list);
	struct fail fail;

	if (audit_write(runtime_decisions(m->runtime), &facts, decisions, n,
	    &fail) == 0) {
		for (size_t i = 0; i < n; i++)
			tally_decision(tally, policy_observes(policy_of(m),
			    m->class.list),
			    (struct decision){ decisions[i].action,
			    decisions[i].reason });
		return 0;
	}
	tally_unrecorded(runtime_tally(m->runtime), n);
	log_error("%s: the decision log can't be written, mail is deferred: "
	    "%s", log_id(m), fail.text);
	return -1;
}

static struct audit_decision
decision_of(const struct recipient *r, enum stage stage)
{
	return (struct audit_decision){
		.stage = stage,
		.recipient = r->argument,
		.subject = r->has_subject ? &r->subject : NULL,
		.action = r->decision.action,
		.reason = r->decision.reason,
		.ref = r->ref,
		.reply = reply_for(r->decision),
	};
}

static void
word_reply(struct message *m, struct reply *reply, enum reply_kind kind,
    const struct recipient *r, size_t others)
{
	char room[256];
	struct buf shown = BUF_ON(room, 4096);

	if (r != NULL)
		address_add_printable(&shown, span_str(r->argument), 250);
	reply_format(reply, kind, &(struct reply_facts){
	    .settings = settings_of(m), .list = m->class.list,
	    .recipient = buf_get(&shown), .others = others,
	    .ref = r != NULL ? r->ref : "" });
	buf_fini(&shown);
}

static struct recipient *
new_recipient(struct message *m, const char *argument, const char *rewritten)
{
	struct recipient *r;
	struct address address;
	struct fail fail;

	if (m->count == m->room) {
		m->room = m->room ? m->room * 2 : 8;
		m->recipients = xrealloc(m->recipients, m->room,
		    sizeof(*m->recipients));
	}
	r = &m->recipients[m->count++];
	memset(r, 0, sizeof(*r));
	r->argument = xstrdup(argument);
	audit_make_ref(r->ref);
	/* RCPT TO:<user> means a mailbox of the MTA's own domain, which only
	 * the MTA knows (RFC 5321 4.1.1.3 has it for postmaster). */
	if (rewritten != NULL && strchr(argument, '@') == NULL)
		argument = rewritten;
	r->has_subject = address_parse(span_str(argument), &address,
	    &fail) == 0;
	if (r->has_subject)
		subject_of(settings_of(m)->pseudonym_key, &address,
		    &r->subject);
	return r;
}

/* What the core says of a recipient, given what the look-up brought.  Whose
 * opt-in was lost is not turned away for good. */
static struct decision
decide(const struct message *m, const struct record *record, int result,
    int64_t now_ms)
{
	struct decision d;

	if (result == -1)
		return decide_store_failure(policy_of(m));
	d = m->class.class == CLASS_CONFIRMATION ?
	    decide_confirmation(m->class.list, record, now_ms) :
	    decide_listed(m->class.list, record, now_ms);
	if (result == LOOKUP_LACKS_OPT_INS)
		d = decide_without_opt_ins(policy_of(m), &d);
	return d;
}

/* An address that can't be read has no record: nobody opted in with it. */
static struct decision
decide_unreadable(void)
{
	return (struct decision){ ACTION_REJECT, REASON_NO_CONSENT };
}

static size_t
accepted_count(const struct message *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->count; i++)
		n += m->recipients[i].decided;
	return n;
}

/* Fills r->decision.  Returns false when the headers have to be waited for. */
static bool
decide_at_rcpt(struct message *m, struct recipient *r)
{
	struct record record;
	struct fail fail;
	int64_t now_ms = clock_now_ms();
	int result;

	if (m->class.list->multiple_recipients != MULTIPLE_SHARED &&
	    accepted_count(m) > 0) {
		r->decision = decide_further_recipient(m->class.list);
		return true;
	}
	if (!r->has_subject) {
		r->decision = decide_unreadable();
		return true;
	}
	if (runtime_lookup(m->runtime, m->snapshot, &r->subject, 1,
	    m->class.list->id, &record, &result, &fail) == -1) {
		log_warn("%s: look-up failed: %s", log_id(m), fail.text);
		result = -1;
	}
	r->decision = decide(m, &record, result, now_ms);
	return !(m->may_be_confirmation && result != -1 &&
	    r->decision.action != ACTION_ACCEPT &&
	    decide_confirmation(m->class.list, &record, now_ms).action ==
	    ACTION_ACCEPT);
}

void
message_add_recipient(struct message *m, const char *argument,
    const char *rewritten, struct reply *reply)
{
	bool observe = observes(m);
	struct audit_decision entry;
	struct recipient *r;

	word_reply(m, reply, REPLY_NONE, NULL, 0);
	if (m->count >= settings_of(m)->limits.recipients) {
		tally_limit(runtime_tally(m->runtime), TALLY_RECIPIENTS);
		if (!observe)
			word_reply(m, reply, REPLY_TOO_MANY, NULL, 0);
		return;
	}
	r = new_recipient(m, argument, rewritten);
	if (!m->by_smtp || (m->class.class != CLASS_LISTED &&
	    m->class.class != CLASS_CONFIRMATION) || !decide_at_rcpt(m, r))
		return;
	entry = decision_of(r, STAGE_RCPT);
	if (record_decisions(m, &entry, 1) == -1)
		entry.reply = REPLY_UNRECORDED;
	if (entry.reply == REPLY_NONE) {
		r->decided = true;
		return;
	}
	if (!observe)
		word_reply(m, reply, entry.reply, r, 0);
	/* Refused: the MTA forgets this recipient, and so do we. */
	free(r->argument);
	m->count--;
}

static bool
header_is_too_large(const struct message *m)
{
	return m->header_bytes > settings_of(m)->limits.header_bytes;
}

void
message_add_header(struct message *m, const char *name, const char *value)
{
	struct span n = span_trim(span_str(name));
	struct span v = span_str(value);

	m->header_bytes += n.len + v.len;
	if (header_is_too_large(m))
		return;
	header_facts_add(m->headers, n, v);
	edits_facts_add(&m->header_counts, n, v);
	if (m->message_id[0] == '\0' &&
	    span_is_nocase(n, SPAN("Message-ID"))) {
		struct buf text = BUF_INIT(FIELD_VALUE_MAX);

		field_unfold(&text, span_head(v, MESSAGE_ID_MAX));
		buf_truncate(&text, MESSAGE_ID_MAX);
		memcpy(m->message_id, buf_get(&text), text.len + 1);
		buf_fini(&text);
	}
}

/* Asks for all recipients that are not decided yet in one round trip. */
static void
decide_waiting(struct message *m)
{
	struct subject *subjects = xcalloc(m->count, sizeof(*subjects));
	struct record *records = xcalloc(m->count, sizeof(*records));
	int *results = xcalloc(m->count, sizeof(*results));
	int64_t now_ms = clock_now_ms();
	struct fail fail;
	size_t n = 0;

	for (size_t i = 0; i < m->count; i++)
		if (!m->recipients[i].decided && m->recipients[i].has_subject)
			subjects[n++] = m->recipients[i].subject;
	if (n > 0 && runtime_lookup(m->runtime, m->snapshot, subjects, n,
	    m->class.list->id, records, results, &fail) == -1)
		log_warn("%s: look-up failed: %s", log_id(m), fail.text);
	n = 0;
	for (size_t i = 0; i < m->count; i++) {
		struct recipient *r = &m->recipients[i];

		if (r->decided)
			continue;
		if (!r->has_subject)
			r->decision = decide_unreadable();
		else
			r->decision = decide(m, &records[n], results[n],
			    now_ms);
		n += r->has_subject;
	}
	free(subjects);
	free(records);
	free(results);
}

/*
 * Puts the recipients that were not on record yet on it.  When `whole' is set
 * the message as such is refused with that answer: everybody shares the reply
 * and its reference.
 */
static int
record_waiting(struct message *m, const struct recipient *whole)
{
	struct audit_decision *entries = xcalloc(m->count, sizeof(*entries));
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; i < m->count; i++) {
		struct recipient *r = &m->recipients[i];
		struct audit_decision *e = &entries[n];

		if (r->decided && whole == NULL)
			continue;
		*e = decision_of(r, STAGE_EOM);
		if (whole != NULL) {
			*e = decision_of(whole, STAGE_EOM);
			e->recipient = r->argument;
			e->subject = r->has_subject ? &r->subject : NULL;
			e->reply_others = m->count - 1;
			if (r->decision.action == whole->decision.action)
				e->reason = r->decision.reason;
		} else if (r->decision.action == ACTION_REMOVE)
			e->reply = REPLY_NONE;
		n++;
	}
	if (n > 0)
		rc = record_decisions(m, entries, n);
	free(entries);
	return rc;
}

/* Refuses the whole message as `r' was refused. */
static void
refuse_all(struct message *m, const struct recipient *r, struct outcome *out)
{
	enum reply_kind kind = reply_for(r->decision);

	if (record_waiting(m, r) == -1)
		kind = REPLY_UNRECORDED;
	if (!observes(m))
		word_reply(m, &out->reply, kind, r, m->count - 1);
}

/* The only person among those who get the message, or NULL. */
static const struct subject *
only_subject(const struct message *m)
{
	const struct subject *only = NULL;

	for (size_t i = 0; i < m->count; i++) {
		const struct recipient *r = &m->recipients[i];

		if (r->decision.action != ACTION_ACCEPT)
			continue;
		if (!r->has_subject ||
		    (only != NULL && !subject_is(only, &r->subject)))
			return NULL;
		only = &r->subject;
	}
	return only;
}

static int
plan_edits(struct message *m, struct outcome *out)
{
	const struct subject *subject = only_subject(m);
	struct fail fail;

	if (edits_plan(&m->edits, &m->header_counts, settings_of(m),
	    m->class.list, subject, clock_now_ms(), &fail) == -1) {
		log_error("%s: the unsubscribe header can't be made: %s",
		    log_id(m), fail.text);
		return -1;
	}
	if (m->edits.breaks_signature)
		log_warn("%s: list=%s: replaced a header field that a "
		    "DKIM-Signature of the sender covers: sign after "
		    "consent-milter, not before it", log_id(m), m->class.list->id);
	if (subject == NULL) {
		struct buf sender = BUF_INIT(4096);

		audit_add_sender(&sender, settings_of(m), m->sender);
		log_info("%s: list=%s, from=<%s>: several recipients in one "
		    "message, so no personal unsubscribe link", log_id(m),
		    m->class.list->id, buf_get(&sender));
		buf_fini(&sender);
	}
	out->edits = &m->edits;
	return 0;
}

static void
collect_blocked(struct message *m, struct outcome *out)
{
	m->remove = xcalloc(m->count, sizeof(*m->remove));
	for (size_t i = 0; i < m->count; i++)
		if (m->recipients[i].decision.action == ACTION_REMOVE)
			m->remove[m->remove_count++] =
			    m->recipients[i].argument;
	out->remove = m->remove;
	out->remove_count = m->remove_count;
}

/* What becomes of all of them together; returns as decide_message() does. */
static size_t
decide_together(struct message *m)
{
	struct decision *decisions = xcalloc(m->count, sizeof(*decisions));
	size_t whole;

	for (size_t i = 0; i < m->count; i++)
		decisions[i] = m->recipients[i].decision;
	whole = decide_message(m->class.list, decisions, m->count,
	    only_subject(m) == NULL);
	for (size_t i = 0; i < m->count; i++)
		m->recipients[i].decision = decisions[i];
	free(decisions);
	return whole;
}

static void
end_listed(struct message *m, struct outcome *out)
{
	size_t whole;

	decide_waiting(m);
	whole = decide_together(m);
	if (whole < m->count) {
		refuse_all(m, &m->recipients[whole], out);
		return;
	}
	if (record_waiting(m, NULL) == -1) {
		if (!observes(m))
			word_reply(m, &out->reply, REPLY_UNRECORDED,
			    &m->recipients[0], 0);
		return;
	}
	if (observes(m))
		return;
	collect_blocked(m, out);
	if (m->class.class == CLASS_LISTED && plan_edits(m, out) == -1)
		word_reply(m, &out->reply, REPLY_INTERNAL, &m->recipients[0],
		    0);
}

static void
end_unlisted(struct message *m, struct outcome *out)
{
	struct decision decision = decide_unlisted(policy_of(m),
	    m->class.class);
	int rc;

	for (size_t i = 0; i < m->count; i++) {
		m->recipients[i].decision = decision;
		/* Who writes to whom outside the lists is not our business:
		 * no pseudonym, unless the log shows recipients by it. */
		if (settings_of(m)->audit.recipients != RECIPIENTS_HASHED)
			m->recipients[i].has_subject = false;
	}
	if (decision.action != ACTION_ACCEPT) {
		refuse_all(m, &m->recipients[0], out);
		return;
	}
	rc = record_waiting(m, NULL);
	if (rc == -1 && !observes(m))
		word_reply(m, &out->reply, REPLY_UNRECORDED,
		    &m->recipients[0], 0);
}

void
message_end(struct message *m, struct outcome *out)
{
	memset(out, 0, sizeof(*out));
	word_reply(m, &out->reply, REPLY_NONE, NULL, 0);
	/* Everybody was refused at RCPT, or Sendmail ends an empty one. */
	if (m->count == 0)
		return;
	/* What was not read may hold what decides. */
	if (header_is_too_large(m) && m->class.class != CLASS_EXEMPT &&
	    !observes(m)) {
		tally_limit(runtime_tally(m->runtime), TALLY_HEADER_BYTES);
		log_warn("%s: the header has more than limits.header_bytes = "
		    "%zu bytes: deferred", log_id(m),
		    settings_of(m)->limits.header_bytes);
		word_reply(m, &out->reply, REPLY_HEADER_TOO_LARGE,
		    &m->recipients[0], 0);
		return;
	}
	classify_message(policy_of(m), &m->envelope, m->headers, &m->class);
	switch (m->class.class) {
	case CLASS_LISTED:
	case CLASS_CONFIRMATION:
		end_listed(m, out);
		break;
	case CLASS_UNDECIDED:
	case CLASS_EXEMPT:
	case CLASS_UNLISTED_BULK:
	case CLASS_NOT_BULK:
		end_unlisted(m, out);
		break;
	}
}
