/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "milterd/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/crypto.h"
#include "base/date.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "mail/address.h"

#define RECIPIENT_TEXT_MAX	400
#define LINE_MAX_BYTES		(16 * 1024)
#define BODY_USUAL		800
#define LINE_USUAL		200
#define REF_BYTES		8
#define REFS_DRAWN		32

/* Drawn for many at once: that takes a lock and a system call. */
static const unsigned char *
random_ref(void)
{
	static _Thread_local unsigned char drawn[REFS_DRAWN][REF_BYTES];
	static _Thread_local size_t left;

	if (left == 0) {
		crypto_random(drawn[0], sizeof(drawn));
		left = REFS_DRAWN;
	}
	return drawn[--left];
}

void
audit_make_ref(char ref[AUDIT_REF_LEN + 1])
{
	char room[AUDIT_REF_LEN + 1];
	struct buf text = BUF_ON(room, AUDIT_REF_LEN);

	base32_format(&text, random_ref(), REF_BYTES);
	memcpy(ref, buf_get(&text), AUDIT_REF_LEN + 1);
	buf_fini(&text);
}

/* The recipient as the configuration wants it shown: masked, pseudonym or
 * clear; printable ASCII. */
static void
add_recipient(struct buf *out, const struct settings *settings,
    const char *recipient, const struct subject *subject)
{
	switch (settings->audit.recipients) {
	case RECIPIENTS_MASKED:
		address_add_masked(out, span_str(recipient));
		break;
	case RECIPIENTS_HASHED:
		if (subject != NULL)
			subject_format(out, subject);
		else
			buf_add_str(out, "unreadable-address");
		break;
	case RECIPIENTS_CLEAR:
		address_add_printable(out, span_str(recipient),
		    RECIPIENT_TEXT_MAX);
		break;
	}
}

void
audit_add_sender(struct buf *out, const struct settings *settings,
    const char *sender)
{
	struct span path = address_strip_brackets(span_str(sender));
	ptrdiff_t at = span_rindex(path, '@');
	struct span local = at == -1 ? path : span_head(path, (size_t)at);
	size_t keep = 0;

	while (keep < local.len && local.p[keep] != '+' &&
	    local.p[keep] != '=')
		keep++;
	if (settings->audit.recipients == RECIPIENTS_CLEAR ||
	    keep == local.len) {
		address_add_printable(out, path, RECIPIENT_TEXT_MAX);
		return;
	}
	address_add_printable(out, span_head(local, keep),
	    RECIPIENT_TEXT_MAX / 2);
	buf_add_str(out, "+***");
	address_add_printable(out, span_from(path, local.len),
	    RECIPIENT_TEXT_MAX / 2);
}

/* A member that is null when there is nothing to tell. */
_Static_assert(AUDIT_REF_LEN <= REPLY_TEXT_REF_MAX, "a reply has room");

static void
add_member(struct buf *out, const char *name, const char *value)
{
	if (value != NULL && value[0] != '\0')
		json_add_member_str(out, name, value);
	else {
		json_add_name(out, name);
		buf_add_str(out, "null");
	}
}

static void
add_action(struct buf *out, const struct audit_message *m,
    enum action action)
{
	if (policy_observes(&m->settings->policy, m->class->list))
		buf_add_str(out, "would-");
	buf_add_str(out, action_name(action));
}

static const char *
stage_name(enum stage stage)
{
	return stage == STAGE_RCPT ? "rcpt" : "eom";
}

/* The reply with the recipient in the form that the log may hold. */
static void
add_reply(struct buf *out, const struct audit_message *m,
    const struct audit_decision *d, const char *recipient)
{
	struct reply reply;
	char line[REPLY_TEXT_MAX + 16];

	if (d->reply == REPLY_NONE) {
		add_member(out, "reply", NULL);
		return;
	}
	reply_format(&reply, d->reply, &(struct reply_facts){
	    .settings = m->settings, .list = m->class->list,
	    .recipient = recipient, .others = d->reply_others,
	    .ref = d->ref });
	(void)snprintf(line, sizeof(line), "%s %s %s", reply.code,
	    reply.status, reply.text);
	add_member(out, "reply", line);
}

/* The line of the mail log, in Postfix's manner. */
static void
add_line(struct buf *out, const struct audit_message *m,
    const struct audit_decision *d, const char *recipient, const char *action)
{
	const struct {
		const char *before, *value;
	} parts[] = {
		{ "", m->queue_id != NULL ? m->queue_id : "NOQUEUE" },
		{ ": list=", m->class->list != NULL ? m->class->list->id :
		    "-" },
		{ ", to=<", recipient },
		{ ">, action=", action },
		{ ", reason=", reason_name(d->reason) },
		{ ", stage=", stage_name(d->stage) },
		{ ", ref=", d->ref },
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		buf_add_str(out, parts[i].before);
		buf_add_str(out, parts[i].value);
	}
}

static void
add_entry(struct buf *out, struct buf *line, const struct audit_message *m,
    const struct audit_decision *d, int64_t now_ms)
{
	char text_room[256], action_room[64], recipient_room[256];
	struct buf text = BUF_ON(text_room, 4096);
	struct buf action = BUF_ON(action_room, 64);
	struct buf recipient = BUF_ON(recipient_room, 4096);

	date_format(&text, now_ms);
	buf_add_str(out, "\"time\":");
	json_add_string(out, buf_span(&text));
	add_member(out, "host", m->host);
	add_member(out, "ref", d->ref);
	add_member(out, "queue_id", m->queue_id);
	add_member(out, "stage", stage_name(d->stage));
	add_member(out, "list",
	    m->class->list != NULL ? m->class->list->id : NULL);
	add_member(out, "rule", m->class->rule);
	buf_clear(&text);
	if (d->subject != NULL)
		subject_format(&text, d->subject);
	add_member(out, "subject", buf_get(&text));
	add_recipient(&recipient, m->settings, d->recipient, d->subject);
	add_member(out, "recipient", buf_get(&recipient));
	add_action(&action, m, d->action);
	add_member(out, "action", buf_get(&action));
	add_member(out, "reason", reason_name(d->reason));
	buf_clear(&text);
	audit_add_sender(&text, m->settings, m->sender);
	add_member(out, "sender", buf_get(&text));
	add_member(out, "client", m->client);
	add_member(out, "auth", m->auth);
	add_member(out, "message_id", m->message_id);
	add_reply(out, m, d, buf_get(&recipient));
	add_line(line, m, d, buf_get(&recipient), buf_get(&action));
	buf_fini(&recipient);
	buf_fini(&action);
	buf_fini(&text);
}

/* One decision on its way: what goes into the journal, and into the mail
 * log. */
struct entry {
	struct buf	body, line;
	/* As long as they usually are. */
	char		body_room[BODY_USUAL], line_room[LINE_USUAL];
};

static void
make_entry(struct entry *e, const struct audit_message *message,
    const struct audit_decision *decision, int64_t now_ms)
{
	e->body = (struct buf)BUF_ON(e->body_room, JOURNAL_BODY_MAX);
	e->line = (struct buf)BUF_ON(e->line_room, LINE_MAX_BYTES);
	add_entry(&e->body, &e->line, message, decision, now_ms);
}

static void
end_entry(struct entry *e, bool is_on_record)
{
	if (is_on_record)
		log_info("%s", buf_get(&e->line));
	buf_fini(&e->body);
	buf_fini(&e->line);
}

int
audit_write(struct journal *journal, const struct audit_message *message,
    const struct audit_decision *decisions, size_t n, struct fail *fail)
{
	int64_t now_ms = clock_now_ms();
	/* One, nearly always, and once for each recipient. */
	struct entry one, *entries = n == 1 ? &one :
	    xcalloc(n, sizeof(*entries));
	struct span body, *bodies = n == 1 ? &body :
	    xcalloc(n, sizeof(*bodies));
	int rc;

	for (size_t i = 0; i < n; i++) {
		make_entry(&entries[i], message, &decisions[i], now_ms);
		bodies[i] = buf_span(&entries[i].body);
	}
	rc = journal_append_many(journal, "decision", bodies, n, false, fail);
	for (size_t i = 0; i < n; i++)
		end_entry(&entries[i], rc == 0);
	if (n != 1) {
		free(entries);
		free(bodies);
	}
	return rc;
}
