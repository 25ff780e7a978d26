/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What is held about a person and every use that was made of it (GDPR Art. 15
 * and 20), from three places: the ledgers, the consent store, the decision
 * logs.  The document follows ISO/IEC TS 27560 and the DPV; each event also has
 * the members of our own ledger, so that `consentctl import' takes it.
 *
 * Written as it is found, for a person may have many decisions.
 */
#include "rights/export.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/date.h"
#include "base/json.h"
#include "base/xalloc.h"
#include "consent/decision.h"
#include "journal/journal.h"
#include "rights/cell.h"
#include "rights/notice.h"

#define TEXT_MAX	(1024 * 1024)
#define SUBJECT_HEX	32

/* What is known of one list, by which is decided. */
struct known {
	/* NULL: it is no longer configured, and known by its id. */
	const struct list *list;
	char		 id[LIST_NAME_MAX + 1];
	struct record	 record;
	struct evidence	 evidence;	/* of the latest grant */
	int64_t		 evidence_ms;
	bool		 any;
};

/* An event as it was found in a ledger. */
struct found {
	struct event	 event;
	int64_t		 recorded_ms;	/* 0: by the store alone */
	char		 actor[64];
};

/* Somebody opened the person's page: the entry, and what rows show of it. */
struct seen {
	uint64_t	 seq;
	char		*body;		/* owned */
	char		 time[32], what[64];
};

struct export {
	const struct export_options *options;
	const struct settings *settings;
	FILE		*out;
	char		 hex[SUBJECT_HEX + 1];

	struct known	*lists;		/* those that are configured first */
	size_t		 list_count;
	struct record	 person;
	struct found	*events;
	size_t		 event_count, event_room;
	struct seen	*accesses;
	size_t		 access_count, access_room;
	bool		 has_decisions;	/* printed already */
	bool		 incomplete;	/* something could not be read */
};

/* -- telling -- */

static void warn(struct export *x, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));

/* What goes wrong makes it incomplete. */
static void
warn(struct export *x, const char *fmt, ...)
{
	const struct watch *watch = x->options->watch;
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	watch->warn(text, watch->context);
	x->incomplete = true;
}

static bool
is_stopped(const struct export *x)
{
	const struct watch *watch = x->options->watch;

	return watch->is_stopped != NULL && watch->is_stopped(watch->context);
}

static void
add_time(struct buf *out, const char *name, int64_t ms)
{
	struct buf text = BUF_INIT(64);

	if (ms != 0) {
		date_format(&text, ms);
		json_add_member(out, name, buf_span(&text));
	}
	buf_fini(&text);
}

/* -- gathering -- */

static void
know_configured(struct export *x)
{
	const struct policy *policy = &x->settings->policy;

	x->list_count = policy->list_count;
	x->lists = xcalloc(x->list_count + 1, sizeof(*x->lists));
	for (size_t i = 0; i < x->list_count; i++) {
		x->lists[i].list = &policy->lists[i];
		memcpy(x->lists[i].id, policy->lists[i].id,
		    sizeof(x->lists[i].id));
	}
}

/* A list that has ended is met here for the first time. */
static struct known *
know(struct export *x, const char *id)
{
	struct known *known;

	for (size_t i = 0; i < x->list_count; i++)
		if (strcmp(x->lists[i].id, id) == 0)
			return &x->lists[i];
	x->lists = xrealloc(x->lists, x->list_count + 1, sizeof(*x->lists));
	known = &x->lists[x->list_count++];
	memset(known, 0, sizeof(*known));
	(void)snprintf(known->id, sizeof(known->id), "%s", id);
	known->record = x->person;
	return known;
}

static void
note_event(struct export *x, const struct event *event)
{
	struct known *known;

	if (event->list[0] == '\0') {
		record_apply(&x->person, event);
		for (size_t i = 0; i < x->list_count; i++)
			record_apply(&x->lists[i].record, event);
		return;
	}
	known = know(x, event->list);
	known->any = true;
	record_apply(&known->record, event);
	if (event->kind == EVENT_GRANT && event->at_ms >= known->evidence_ms) {
		known->evidence = event->evidence;
		known->evidence_ms = event->at_ms;
	}
}

static struct found *
add_found(struct export *x, const struct event *event)
{
	struct found *found;

	if (x->event_count == x->event_room) {
		x->event_room = x->event_room ? x->event_room * 2 : 64;
		x->events = xrealloc(x->events, x->event_room,
		    sizeof(*x->events));
	}
	found = &x->events[x->event_count++];
	memset(found, 0, sizeof(*found));
	found->event = *event;
	return found;
}

/* Looking for the text comes first, for parsing costs much more. */
static bool
may_be_about(const struct export *x, const struct journal_entry *entry)
{
	return !entry->blanked && memmem(entry->body.p, entry->body.len,
	    x->hex, SUBJECT_HEX) != NULL;
}

/* Security: a stranger may write this pseudonym into a field of somebody
 * else's entry, which must not get into this person's hands. */
static bool
is_about(const struct export *x, const struct json_object *object)
{
	struct span subject;

	return json_object_string(object, "subject", &subject) == 1 &&
	    span_is(subject, span_str(x->hex));
}

static void
take_event(struct export *x, const struct json_object *object)
{
	struct found *found;
	struct event event;
	struct fail fail;
	struct span text;

	if (event_parse(object, &event, &fail) == 0 &&
	    subject_is(&event.subject, &x->options->subject)) {
		note_event(x, &event);
		found = add_found(x, &event);
		if (json_object_string(object, "time", &text) == 1)
			(void)!date_parse(text, &found->recorded_ms);
		if (json_object_string(object, "actor", &text) == 1) {
			text = span_head(text, sizeof(found->actor) - 1);
			memcpy(found->actor, text.p, text.len);
		}
	} else
		x->incomplete = true;
}

static void
copy_member(char *to, size_t room, const struct json_object *object,
    const char *name)
{
	struct span text = span_of(NULL, 0);

	if (json_object_string(object, name, &text) == 1)
		text = span_head(text, room - 1);
	if (text.len > 0)
		memcpy(to, text.p, text.len);
	to[text.len] = '\0';
}

static void
take_access(struct export *x, const struct journal_entry *entry,
    const struct json_object *object)
{
	struct seen *seen;

	if (x->access_count == x->access_room) {
		x->access_room = x->access_room ? x->access_room * 2 : 16;
		x->accesses = xrealloc(x->accesses, x->access_room,
		    sizeof(*x->accesses));
	}
	seen = &x->accesses[x->access_count++];
	seen->seq = entry->seq;
	seen->body = xmemdupz(entry->body.p, entry->body.len);
	copy_member(seen->time, sizeof(seen->time), object, "time");
	copy_member(seen->what, sizeof(seen->what), object, "what");
}

static void
take_ledger_entry(struct export *x, const struct journal_entry *entry,
    const struct json_object *object)
{
	if (span_is(entry->type, SPAN("access")))
		take_access(x, entry, object);
	else
		take_event(x, object);
}

typedef void (*take_entry)(struct export *x,
    const struct journal_entry *entry, const struct json_object *object);

static void
offer(struct export *x, const struct journal_entry *entry, take_entry take)
{
	struct json_object *object;
	struct fail fail;

	if (!may_be_about(x, entry))
		return;
	if (json_object_parse(entry->object, &object, &fail) == -1) {
		warn(x, "entry %" PRIu64 ": %s", entry->seq, fail.text);
		return;
	}
	if (is_about(x, object))
		take(x, entry, object);
	json_object_free(&object);
}

static bool
tells_of_people(const struct journal_entry *entry)
{
	return span_is(entry->type, SPAN("event")) ||
	    span_is(entry->type, SPAN("access")) ||
	    span_is(entry->type, SPAN("decision"));
}

/* Calls take for each entry that is about the person. */
static int
read_journal(struct export *x, const char *directory, const char *name,
    take_entry take, struct fail *fail)
{
	struct journal_reader *reader;
	struct journal_entry entry;
	int rc = 1;

	/* One that is not there would look like one without entries. */
	if (access(directory, R_OK | X_OK) == -1) {
		(void)fail_errno(fail, FAIL_SETUP, errno, "%s", directory);
		warn(x, "%s", fail->text);
		return 0;
	}
	if (journal_reader_open(directory, name, 1, &reader, fail) == -1)
		return -1;
	while (!is_stopped(x) &&
	    (rc = journal_reader_next(reader, &entry, fail)) != 0) {
		if (rc == -1) {
			warn(x, "%s", fail->text);
			if (fail->class != FAIL_INPUT)
				break;
		} else if (tells_of_people(&entry))
			offer(x, &entry, take);
	}
	if (rc == 1)
		x->incomplete = true;
	journal_reader_close(&reader);
	return 0;
}

static bool
is_known_event(const struct export *x, const struct event *event)
{
	for (size_t i = 0; i < x->event_count; i++) {
		const struct event *have = &x->events[i].event;

		if (have->kind == event->kind && have->at_ms == event->at_ms &&
		    strcmp(have->list, event->list) == 0)
			return true;
	}
	return false;
}

/* Events that only the store knows: another host recorded them. */
static void
add_from_store(struct export *x, enum event_kind kind, const char *list,
    int64_t at_ms, const struct evidence *evidence)
{
	struct event event = { .kind = kind, .subject = x->options->subject,
	    .at_ms = at_ms };

	if (at_ms == 0)
		return;
	(void)snprintf(event.list, sizeof(event.list), "%s", list);
	if (evidence != NULL)
		event.evidence = *evidence;
	if (is_known_event(x, &event))
		return;
	note_event(x, &event);
	(void)add_found(x, &event);
}

static void
visit(const char *list, const struct record *r,
    const struct evidence *evidence, void *context)
{
	struct export *x = context;

	if (list[0] == '\0') {
		add_from_store(x, EVENT_WITHDRAW, "", r->all_withdraw_ms,
		    NULL);
		add_from_store(x, EVENT_OBJECT, "", r->object_ms, NULL);
		add_from_store(x, EVENT_ERASE, "", r->erase_ms, NULL);
		add_from_store(x, EVENT_RESTRICT, "", r->restrict_ms, NULL);
		add_from_store(x, EVENT_UNRESTRICT, "", r->unrestrict_ms,
		    NULL);
		add_from_store(x, EVENT_OBJECT_PROFILING, "",
		    r->object_profiling_ms, NULL);
		add_from_store(x, EVENT_ALLOW_PROFILING, "",
		    r->allow_profiling_ms, NULL);
		return;
	}
	add_from_store(x, EVENT_GRANT, list, r->grant_ms, evidence);
	add_from_store(x, EVENT_CONFIRM, list, r->confirm_ms, NULL);
	add_from_store(x, EVENT_WITHDRAW, list, r->withdraw_ms, NULL);
	add_from_store(x, EVENT_UNPROVEN, list, r->unproven_ms, NULL);
}

static int
by_time(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return x->event.at_ms < y->event.at_ms ? -1 :
	    x->event.at_ms > y->event.at_ms;
}

/* Another host's ledger may still hold what was erased since: that is told as
 * an event, but no consent rests on it. */
static void
drop_erased(struct known *known)
{
	if (known->evidence_ms == known->record.grant_ms)
		return;
	memset(&known->evidence, 0, sizeof(known->evidence));
	known->evidence_ms = 0;
}

static int
gather(struct export *x, struct fail *fail)
{
	const struct export_options *o = x->options;

	for (size_t i = 0; i < o->ledger_count; i++)
		if (read_journal(x, o->ledgers[i], "ledger",
		    take_ledger_entry, fail) == -1)
			return -1;
	if (store_visit(o->store, &o->subject, visit, x, fail) == -1)
		warn(x, "the consent store is not in the export: %s",
		    fail->text);
	for (size_t i = 0; i < x->list_count; i++)
		drop_erased(&x->lists[i]);
	if (x->event_count > 0)
		qsort(x->events, x->event_count, sizeof(*x->events), by_time);
	return 0;
}

/* -- words of the DPV -- */

static const char *
basis_code(const char *basis)
{
	static const struct {
		const char *basis, *code;
	} codes[] = {
		{ "", "eu-gdpr:A6-1-a" },
		{ "consent", "eu-gdpr:A6-1-a" },
		{ "explicit-consent", "eu-gdpr:A9-2-a" },
		{ "soft-opt-in", "ePrivacy:Art13-2" },
		{ "charity-soft-opt-in", "uk-pecr:22-3A" },
		{ "casl-implied", "ca-casl:10-9" },
		{ "legitimate-interest", "eu-gdpr:A6-1-f" },
	};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(codes[i].basis, basis) == 0)
			return codes[i].code;
	return basis;
}

/* What an event makes of the consent, by itself. */
static const char *
event_state(const struct event *event, bool double_opt_in)
{
	switch (event->kind) {
	case EVENT_GRANT:
		return double_opt_in ? "dpv:ConsentRequested" :
		    "dpv:ConsentGiven";
	case EVENT_CONFIRM:
		return "dpv:ConsentGiven";
	case EVENT_UNPROVEN:
		return "dpv:ConsentUnknown";
	case EVENT_WITHDRAW:
		return "dpv:ConsentWithdrawn";
	case EVENT_OBJECT:
	case EVENT_OBJECT_PROFILING:
	case EVENT_ALLOW_PROFILING:
		return "eu-gdpr:A21";
	case EVENT_ERASE:
		return "eu-gdpr:A17";
	case EVENT_RESTRICT:
	case EVENT_UNRESTRICT:
		return "eu-gdpr:A18";
	}
	return "dpv:ConsentUnknown";
}

/* The words of the specification for a state. */
static const char *
state_word(enum reason reason)
{
	switch (reason) {
	case REASON_GRANTED:
		return "given";
	case REASON_PENDING:
		return "requested";
	case REASON_WITHDRAWN:
		return "withdrawn";
	case REASON_EXPIRED:
		return "expired";
	case REASON_OBJECTED:
		return "objected";
	case REASON_RESTRICTED:
		return "restricted";
	case REASON_ERASED:
		return "terminated";
	case REASON_UNPROVEN:
		return "unproven";
	case REASON_NO_CONSENT:
	case REASON_STORE_FAILURE:
	case REASON_UNLISTED_BULK:
	case REASON_NOT_BULK:
	case REASON_EXEMPT:
	case REASON_SECOND_RECIPIENT:
		break;
	}
	return "unknown";
}

/* -- JSON -- */

static void
add_text(struct buf *out, const char *name, const char *value)
{
	if (value != NULL && value[0] != '\0')
		json_add_member_str(out, name, value);
}

static void
flush(const struct export *x, struct buf *out)
{
	fputs(buf_get(out), x->out);
	buf_clear(out);
}

/* A party of the processing, where it is configured. */
static void
add_party(struct buf *out, const char *id, const char *role,
    const char *name, const char *contact)
{
	if (name == NULL && contact == NULL)
		return;
	buf_addf(out, ",{\"party_id\":\"%s\"", id);
	json_add_member_str(out, "party_role", role);
	add_text(out, "party_name", name);
	add_text(out, "party_contact", contact);
	buf_add_char(out, '}');
}

static void
print_head(const struct export *x, struct buf *out)
{
	const struct settings *s = x->settings;

	buf_add_char(out, '{');
	json_add_member_str(out, "schema_version", EXPORT_SCHEMA);
	json_add_member_str(out, "dct:conformsTo",
	    "https://w3id.org/dpv/schema/dpv-27560#record-eu-gdpr");
	add_time(out, "exported_at", x->options->now_ms);
	json_add_member_str(out, "pii_principal_id",
	    x->options->given != NULL ? x->options->given : x->hex);
	json_add_member_str(out, "subject", x->hex);
	buf_add_str(out, ",\n\"parties\":[{\"party_id\":\"p1\"");
	json_add_member_str(out, "party_role", "controller");
	json_add_member_str(out, "party_type", "organisation");
	add_text(out, "party_name", s->controller.name);
	add_text(out, "party_address", s->controller.address);
	add_text(out, "party_contact", s->controller.email);
	buf_add_char(out, '}');
	add_party(out, "p2", "data protection officer", NULL,
	    s->controller.dpo);
	add_party(out, "p3", "recipients", s->controller.recipients, NULL);
	add_party(out, "p4", "authority", s->controller.authority, NULL);
	buf_add_str(out, "],\n\"records\":[");
	flush(x, out);
}

/* The same for the same person and list, so that two exports can be compared;
 * a UUID by its form (RFC 9562, version 8). */
static void
add_record_id(struct buf *out, const struct export *x, const char *list)
{
	struct span pieces[] = { span_str("consent-milter record"),
	    span_str(x->hex), span_str(list) };
	unsigned char sum[CRYPTO_DIGEST_BYTES];
	struct buf text = BUF_INIT(64);

	crypto_sha256(pieces, 3, sum);
	sum[6] = (unsigned char)((sum[6] & 0x0f) | 0x80);
	sum[8] = (unsigned char)((sum[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < 16; i++)
		buf_addf(&text, "%s%02x", i == 4 || i == 6 || i == 8 ||
		    i == 10 ? "-" : "", sum[i]);
	json_add_member(out, "record_id", buf_span(&text));
	buf_fini(&text);
}

/* "signup 3.1": the version is behind the last blank of a notice that is
 * stored; any other is what somebody wrote. */
static void
add_notice_name(struct buf *out, const struct evidence *e)
{
	const char *notice = e->notice;
	const char *blank = e->digest[0] != '\0' ? strrchr(notice, ' ') : NULL;
	struct span id = span_str(notice);

	if (blank != NULL)
		id = span_head(id, (size_t)(blank - notice));
	if (id.len > 0)
		json_add_member(out, "id", id);
	if (blank != NULL)
		add_text(out, "version", blank + 1);
}

/* With the words that the person saw, where they are stored. */
static void
add_notice(struct buf *out, struct export *x, const struct evidence *e)
{
	struct buf text = BUF_INIT(NOTICE_TEXT_MAX);
	struct fail fail;

	if (e->notice[0] == '\0' && e->digest[0] == '\0')
		return;
	json_add_name(out, "privacy_notice");
	buf_add_char(out, '{');
	add_notice_name(out, e);
	add_text(out, "sha256", e->digest);
	add_text(out, "language", e->language);
	switch (notice_text(x->settings, e->digest, &text, &fail)) {
	case 1:
		json_add_member(out, "text", buf_span(&text));
		break;
	case -1:
		warn(x, "%s", fail.text);
		break;
	default:
		break;
	}
	buf_fini(&text);
	buf_add_char(out, '}');
}

/* What one party or rule of the list says. */
static void
add_circumstances(struct buf *out, const struct export *x,
    const struct list *list)
{
	const struct settings *s = x->settings;
	struct buf length = BUF_INIT(64);

	buf_add_str(out, ",\"pii_controllers\":[\"p1\"]");
	if (s->controller.recipients != NULL)
		buf_add_str(out, ",\"recipient_third_parties\":[\"p3\"]");
	add_text(out, "third_country_transfers", s->controller.transfers);
	if (s->controller.authority != NULL)
		json_add_member_str(out, "authority_party", "p4");
	if (duration_is_set(s->retention.proof)) {
		duration_format(&length, s->retention.proof);
		buf_add_str(&length, " after the consent has ended");
		json_add_member(out, "retention_period", buf_span(&length));
	}
	if (list != NULL)
		json_add_member_bool(out, "special_pii_category",
		    list->special_category);
	buf_fini(&length);
}

static void
add_processing(struct buf *out, const struct export *x,
    const struct known *known)
{
	const struct settings *s = x->settings;
	const struct evidence *e = &known->evidence;
	const struct list *list = known->list;

	json_add_name(out, "processing");
	buf_add_str(out, "{\"purpose\":[{\"code\":\"dpv:DirectMarketing\"");
	add_text(out, "text", e->purpose[0] != '\0' ? e->purpose :
	    list != NULL ? list->purpose : NULL);
	buf_add_str(out, "}]");
	json_add_member_str(out, "lawful_basis", basis_code(e->basis));
	buf_add_str(out, ",\"pii_information\":[\"pd:EmailAddress\"]");
	json_add_name(out, "collection_method");
	buf_add_char(out, '{');
	add_text(out, "method", e->method);
	add_text(out, "source", e->source);
	buf_add_char(out, '}');
	add_text(out, "jurisdiction", e->jurisdiction);
	add_text(out, "withdrawal_method", s->unsubscribe.url != NULL ?
	    "one click or page, linked in every message" :
	    "as told in every message");
	add_circumstances(out, x, list);
	json_add_member_str(out, "service", known->id);
	if (list != NULL) {
		add_text(out, "service_name", list->name);
		add_text(out, "list_id", list->list_id);
	}
	buf_add_char(out, '}');
}

/* A list that has ended is asked by the plainest rules: they tell whether the
 * person had opted out of it. */
static void
add_state(struct buf *out, const struct export *x, const struct known *known)
{
	const struct list ended = { .name = NULL };
	const struct list *list = known->list != NULL ? known->list : &ended;
	enum reason reason = consent_state(list, &known->record,
	    x->options->now_ms);
	bool is_over = known->list == NULL && (reason == REASON_GRANTED ||
	    reason == REASON_NO_CONSENT);

	json_add_member_str(out, "state", is_over ? "terminated" :
	    state_word(reason));
	json_add_member_str(out, "reason", is_over ? "list-ended" :
	    reason_name(reason));
	json_add_member_bool(out, "mail_allowed", known->list != NULL &&
	    reason == REASON_GRANTED);
}

static void
print_record(struct export *x, struct buf *out, const struct known *known)
{
	int64_t last_ms = known->list == NULL ? INT64_MAX :
	    consent_last_ms(known->list, known->record.grant_ms);

	buf_add_str(out, "\n{");
	add_record_id(out, x, known->id);
	json_add_member_str(out, "list", known->id);
	add_state(out, x, known);
	add_notice(out, x, &known->evidence);
	add_processing(out, x, known);
	if (known->record.grant_ms != 0 && last_ms != INT64_MAX)
		add_time(out, "valid_until", last_ms);
	buf_add_char(out, '}');
}

static void
print_records(struct export *x, struct buf *out)
{
	bool first = true;

	for (size_t i = 0; i < x->list_count; i++) {
		if (!x->lists[i].any)
			continue;
		if (!first)
			buf_add_char(out, ',');
		first = false;
		print_record(x, out, &x->lists[i]);
		flush(x, out);
	}
	buf_add_str(out, "],\n\"events\":[");
	flush(x, out);
}

/* A confirmation has the basis of what it confirms. */
static const char *
event_type(const struct export *x, const struct event *event)
{
	if (event->kind == EVENT_GRANT)
		return basis_code(event->evidence.basis);
	if (event->kind != EVENT_CONFIRM)
		return event_state(event, false);
	for (size_t i = x->event_count; i > 0; i--) {
		const struct event *grant = &x->events[i - 1].event;

		if (grant->kind == EVENT_GRANT &&
		    strcmp(grant->list, event->list) == 0 &&
		    grant->at_ms <= event->at_ms)
			return basis_code(grant->evidence.basis);
	}
	return event_state(event, false);
}

/* First the members that import reads, then those of the specification. */
static void
print_event(const struct export *x, struct buf *out,
    const struct found *found)
{
	const struct event *event = &found->event;
	const struct list *list = policy_list(&x->settings->policy,
	    span_str(event->list));

	buf_add_str(out, "\n{");
	event_format(out, event);
	add_time(out, "event_time", event->at_ms);
	json_add_member_str(out, "event_type", event_type(x, event));
	json_add_member_str(out, "event_state", event_state(event,
	    list != NULL && list->double_opt_in));
	json_add_member_str(out, "entity_id",
	    event->evidence.guardian[0] != '\0' ? "guardian" :
	    "data-subject");
	if (list != NULL && duration_is_set(list->max_age) &&
	    event->kind == EVENT_GRANT) {
		struct buf length = BUF_INIT(64);

		duration_format(&length, list->max_age);
		json_add_member(out, "validity_duration", buf_span(&length));
		buf_fini(&length);
	}
	add_time(out, "recorded_at", found->recorded_ms);
	add_text(out, "recorded_by", found->actor);
	json_add_member_str(out, "held_in", found->recorded_ms != 0 ?
	    "ledger" : "consent store");
	buf_add_char(out, '}');
}

static void
print_events(const struct export *x, struct buf *out)
{
	for (size_t i = 0; i < x->event_count; i++) {
		if (i > 0)
			buf_add_char(out, ',');
		print_event(x, out, &x->events[i]);
		flush(x, out);
	}
	buf_add_str(out, "],\n\"decisions\":[");
	flush(x, out);
}

/* The entry as it stands in its journal, without what secures it there. */
static void
print_entry(const struct export *x, bool is_first, uint64_t seq,
    struct span body)
{
	fprintf(x->out, "%s\n{\"log_index\":%" PRIu64 ",", is_first ? "" : ",",
	    seq);
	(void)fwrite(body.p, 1, body.len, x->out);
	putc('}', x->out);
}

static void
print_decision(struct export *x, const struct journal_entry *entry,
    const struct json_object *object)
{
	(void)object;
	print_entry(x, !x->has_decisions, entry->seq, entry->body);
	x->has_decisions = true;
}

static int
read_decisions(struct export *x, take_entry take, struct fail *fail)
{
	const struct export_options *o = x->options;

	for (size_t i = 0; i < o->log_count; i++)
		if (read_journal(x, o->logs[i], "decisions", take,
		    fail) == -1)
			return -1;
	return 0;
}

static int
print_json(struct export *x, struct fail *fail)
{
	struct buf out = BUF_INIT(TEXT_MAX);

	print_head(x, &out);
	print_records(x, &out);
	print_events(x, &out);
	buf_fini(&out);
	if (read_decisions(x, print_decision, fail) == -1)
		return -1;
	fputs("],\n\"accesses\":[", x->out);
	for (size_t i = 0; i < x->access_count; i++)
		print_entry(x, i == 0, x->accesses[i].seq,
		    span_str(x->accesses[i].body));
	/* Only now is it known. */
	fprintf(x->out, "],\n\"complete\":%s", x->incomplete ? "false" :
	    "true");
	fputs(",\n\"rights\":\"access, rectification, erasure, restriction, "
	    "portability, objection (GDPR Art. 15 to 21), withdrawal at any "
	    "time (Art. 7(3)), complaint to a supervisory authority "
	    "(Art. 77)\"}\n", x->out);
	return 0;
}

/* -- CSV (RFC 4180) -- */

/* After these come the names of the evidence. */
static const char *const csv_columns[] = {
	"kind", "time", "list", "what", "reason", "recorded_at",
	"recorded_by", "held_in", "reference", "queue_id", "host", "sender",
	"client"
};
#define CSV_FIXED	(sizeof(csv_columns) / sizeof(csv_columns[0]))
#define CSV_COLUMNS	(CSV_FIXED + EVIDENCE_FIELDS)

static void
print_event_row(const struct export *x, const struct found *found)
{
	const struct event *event = &found->event;
	struct buf at = BUF_INIT(64), recorded = BUF_INIT(64);
	struct span cells[CSV_COLUMNS] = { SPAN("event") };

	date_format(&at, event->at_ms);
	if (found->recorded_ms != 0)
		date_format(&recorded, found->recorded_ms);
	cells[1] = buf_span(&at);
	cells[2] = span_str(event->list);
	cells[3] = span_str(event_kind_name(event->kind));
	cells[5] = buf_span(&recorded);
	cells[6] = span_str(found->actor);
	cells[7] = found->recorded_ms != 0 ? SPAN("ledger") :
	    SPAN("consent store");
	for (unsigned i = 0; i < EVIDENCE_FIELDS; i++)
		cells[CSV_FIXED + i] = span_str(evidence_get(
		    &event->evidence, i));
	cell_print_row(x->out, cells, CSV_COLUMNS);
	buf_fini(&at);
	buf_fini(&recorded);
}

static void
print_decision_row(struct export *x, const struct journal_entry *entry,
    const struct json_object *object)
{
	static const char *const names[CSV_FIXED] = { NULL, "time", "list",
	    "action", "reason", NULL, NULL, NULL, "ref", "queue_id", "host",
	    "sender", "client" };
	struct span cells[CSV_COLUMNS] = { SPAN("decision") };

	(void)entry;
	cells[7] = SPAN("decision log");
	for (size_t i = 0; i < CSV_FIXED; i++)
		if (names[i] != NULL)
			(void)!json_object_string(object, names[i],
			    &cells[i]);
	cell_print_row(x->out, cells, CSV_COLUMNS);
}

static void
print_access_row(const struct export *x, const struct seen *seen)
{
	struct span cells[CSV_COLUMNS] = { SPAN("access") };

	cells[1] = span_str(seen->time);
	cells[3] = span_str(seen->what);
	cells[7] = SPAN("ledger");
	cell_print_row(x->out, cells, CSV_COLUMNS);
}

static int
print_csv(struct export *x, struct fail *fail)
{
	struct span header[CSV_COLUMNS];

	for (size_t i = 0; i < CSV_COLUMNS; i++)
		header[i] = span_str(i < CSV_FIXED ? csv_columns[i] :
		    evidence_name((unsigned)(i - CSV_FIXED)));
	cell_print_row(x->out, header, CSV_COLUMNS);
	for (size_t i = 0; i < x->event_count; i++)
		print_event_row(x, &x->events[i]);
	for (size_t i = 0; i < x->access_count; i++)
		print_access_row(x, &x->accesses[i]);
	return read_decisions(x, print_decision_row, fail);
}

int
export_write(const struct export_options *options, FILE *out, bool *complete,
    struct fail *fail)
{
	struct export x = { .options = options,
	    .settings = options->settings, .out = out };
	struct buf hex = BUF_INIT(64);
	int rc;

	subject_format(&hex, &options->subject);
	memcpy(x.hex, buf_get(&hex), sizeof(x.hex));
	buf_fini(&hex);
	know_configured(&x);
	rc = gather(&x, fail);
	if (rc == 0)
		rc = options->csv ? print_csv(&x, fail) :
		    print_json(&x, fail);
	if (rc == 0 && (fflush(out) == EOF || ferror(out)))
		rc = fail_errno(fail, FAIL_TEMP, errno, "can't write");
	free(x.lists);
	free(x.events);
	for (size_t i = 0; i < x.access_count; i++)
		free(x.accesses[i].body);
	free(x.accesses);
	*complete = !x.incomplete;
	return rc;
}
