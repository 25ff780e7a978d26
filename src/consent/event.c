/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "consent/event.h"

#include <string.h>

#include "base/date.h"
#include "base/member.h"
#include "base/utf8.h"

static const struct {
	const char *name;
	bool list, person;
} kinds[EVENT_KINDS] = {
	[EVENT_GRANT] = { "grant", true, false },
	[EVENT_UNPROVEN] = { "unproven", true, false },
	[EVENT_CONFIRM] = { "confirm", true, false },
	[EVENT_WITHDRAW] = { "withdraw", true, true },
	[EVENT_OBJECT] = { "object", false, true },
	[EVENT_ERASE] = { "erase", false, true },
	[EVENT_RESTRICT] = { "restrict", false, true },
	[EVENT_UNRESTRICT] = { "unrestrict", false, true },
	[EVENT_OBJECT_PROFILING] = { "object-profiling", false, true },
	[EVENT_ALLOW_PROFILING] = { "allow-profiling", false, true },
};

static const struct {
	const char *name;
	const char *member;	/* of the ledger's JSON */
	size_t offset;
} fields[EVIDENCE_FIELDS] = {
	{ "source", "source", offsetof(struct evidence, source) },
	{ "notice", "notice", offsetof(struct evidence, notice) },
	{ "language", "language", offsetof(struct evidence, language) },
	{ "method", "method", offsetof(struct evidence, method) },
	{ "basis", "basis", offsetof(struct evidence, basis) },
	{ "guardian", "guardian", offsetof(struct evidence, guardian) },
	{ "ip", "ip", offsetof(struct evidence, ip) },
	{ "digest", "notice_digest", offsetof(struct evidence, digest) },
	{ "jurisdiction", "jurisdiction",
	  offsetof(struct evidence, jurisdiction) },
	{ "purpose", "purpose", offsetof(struct evidence, purpose) },
};

const char *
event_kind_name(enum event_kind kind)
{
	return kinds[kind].name;
}

int
event_kind_parse(struct span name, enum event_kind *out)
{
	for (unsigned i = 0; i < EVENT_KINDS; i++)
		if (span_is(name, span_str(kinds[i].name))) {
			*out = (enum event_kind)i;
			return 1;
		}
	return 0;
}

bool
event_kind_has_list(enum event_kind kind)
{
	return kinds[kind].list;
}

bool
event_kind_has_person(enum event_kind kind)
{
	return kinds[kind].person;
}

bool
event_kind_is_opt_out(enum event_kind kind)
{
	return kind == EVENT_WITHDRAW || kind == EVENT_OBJECT ||
	    kind == EVENT_ERASE || kind == EVENT_RESTRICT;
}

bool
list_name_is_valid(struct span name)
{
	if (name.len == 0 || name.len > LIST_NAME_MAX || name.p[0] == '-')
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!(name.p[i] >= 'a' && name.p[i] <= 'z') &&
		    !ascii_isdigit(name.p[i]) && name.p[i] != '-')
			return false;
	return true;
}

/* Compared without case, blanks, '-' and '_': "Pre Ticked" is pre-ticked. */
static bool
is_nearly(struct span method, struct span word)
{
	size_t same = 0;

	for (size_t i = 0; i < method.len; i++) {
		unsigned char c = ascii_tolower(method.p[i]);

		if (ascii_isspace(c) || c == '-' || c == '_')
			continue;
		if (same == word.len || c != word.p[same])
			return false;
		same++;
	}
	return same == word.len;
}

bool
evidence_method_counts(struct span method)
{
	static const char *const none[] = {
		"unknown", "preticked", "prechecked", "implied", "implicit",
		"purchased", "bought", "scraped", "none"
	};

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (is_nearly(method, span_str(none[i])))
			return false;
	return true;
}

const char *
evidence_name(unsigned i)
{
	return fields[i].name;
}

const char *
evidence_get(const struct evidence *evidence, unsigned i)
{
	return (const char *)evidence + fields[i].offset;
}

/* C0, DEL, or C1 (U+0080 to U+009F in UTF-8). */
static bool
has_control(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < 0x20 || s.p[i] == 0x7f || (s.p[i] == 0xc2 &&
		    i + 1 < s.len && s.p[i + 1] < 0xa0))
			return true;
	return false;
}

int
evidence_set(struct evidence *evidence, const char *name, struct span value,
    struct fail *fail)
{
	char *to = NULL;

	for (unsigned i = 0; i < EVIDENCE_FIELDS && to == NULL; i++)
		if (strcmp(fields[i].name, name) == 0)
			to = (char *)evidence + fields[i].offset;
	if (to == NULL)
		return fail_set(fail, FAIL_INPUT,
		    "there is no evidence called \"%s\"", name);
	value = span_trim(value);
	if (value.len > EVIDENCE_TEXT_MAX)
		return fail_set(fail, FAIL_INPUT, "%s is longer than %d bytes",
		    name, EVIDENCE_TEXT_MAX);
	if (!utf8_is_valid(value))
		return fail_set(fail, FAIL_INPUT, "%s is not UTF-8", name);
	if (has_control(value))
		return fail_set(fail, FAIL_INPUT, "%s has a control character",
		    name);
	if (value.len != 0)
		memcpy(to, value.p, value.len);
	to[value.len] = '\0';
	return 0;
}

void
event_format(struct buf *out, const struct event *event)
{
	char room[65];
	struct buf text = BUF_ON(room, 64);

	/* Members without braces: no comma before the first. */
	buf_addf(out, "\"event\":\"%s\"", event_kind_name(event->kind));
	if (event->list[0] != '\0')
		json_add_member_str(out, "list", event->list);
	subject_format(&text, &event->subject);
	json_add_member(out, "subject", buf_span(&text));
	buf_clear(&text);
	date_format(&text, event->at_ms);
	json_add_member(out, "at", buf_span(&text));
	for (unsigned i = 0; i < EVIDENCE_FIELDS; i++)
		if (evidence_get(&event->evidence, i)[0] != '\0')
			json_add_member_str(out, fields[i].member,
			    evidence_get(&event->evidence, i));
	buf_fini(&text);
}

/* What an entry may tell of; the evidence comes behind these. */
enum { NAME_EVENT, NAME_LIST, NAME_SUBJECT, NAME_AT, NAME_TIME, NAME_RESTATED,
    NAMES };

static const struct span names_told[NAMES] = { SPAN("event"), SPAN("list"),
    SPAN("subject"), SPAN("at"), SPAN("time"), SPAN("restated_at") };

/* What happened to whom and when; a value's p is NULL where it is missing, or
 * no text. */
static int
read_head(const struct span *v, struct event *out, struct fail *fail)
{
	static const int needed[] = { NAME_EVENT, NAME_SUBJECT, NAME_AT };

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (v[needed[i]].p == NULL)
			return fail_set(fail, FAIL_INPUT,
			    "the event has no text \"%s\"",
			    (const char *)names_told[needed[i]].p);
	if (event_kind_parse(v[NAME_EVENT], &out->kind) == 0)
		return fail_set(fail, FAIL_INPUT, "an event of unknown kind");
	if (subject_parse(v[NAME_SUBJECT], &out->subject) == -1)
		return fail_set(fail, FAIL_INPUT,
		    "the event's subject is not 32 hexadecimal digits");
	/* 0 is how a record says `never'. */
	if (date_parse(v[NAME_AT], &out->at_ms) == -1 || out->at_ms == 0)
		return fail_set(fail, FAIL_INPUT,
		    "the event's time is not RFC 3339");
	out->restated = v[NAME_RESTATED].p != NULL;
	return 0;
}

static int
read_list(struct span list, struct event *out, struct fail *fail)
{
	if (list.p == NULL)
		return event_kind_has_person(out->kind) ? 0 :
		    fail_set(fail, FAIL_INPUT, "the event names no list");
	if (!event_kind_has_list(out->kind))
		return fail_set(fail, FAIL_INPUT,
		    "an event of the person names a list");
	if (!list_name_is_valid(list))
		return fail_set(fail, FAIL_INPUT,
		    "the event's list has no valid name");
	memcpy(out->list, list.p, list.len);
	return 0;
}

static int
parse_evidence(const struct json_object *object, struct event *out,
    struct fail *fail)
{
	for (unsigned i = 0; i < EVIDENCE_FIELDS; i++) {
		struct span value;
		int rc = json_object_string(object, fields[i].member, &value);

		if (rc == -1)
			return fail_set(fail, FAIL_INPUT,
			    "\"%s\" is not a text", fields[i].member);
		if (rc == 1 && evidence_set(&out->evidence, evidence_name(i),
		    value, fail) == -1)
			return -1;
	}
	return 0;
}

int
event_parse(const struct json_object *object, struct event *out,
    struct fail *fail)
{
	struct event event = { .at_ms = 0 };
	struct span v[NAMES];
	int found[NAMES];

	for (unsigned i = 0; i < NAMES; i++) {
		found[i] = json_object_string(object,
		    (const char *)names_told[i].p, &v[i]);
		if (found[i] != 1)
			v[i].p = NULL;
	}
	if (read_head(v, &event, fail) == -1)
		return -1;
	if (found[NAME_LIST] == -1)
		return fail_set(fail, FAIL_INPUT, "\"list\" is not a text");
	if (read_list(v[NAME_LIST], &event, fail) == -1 ||
	    parse_evidence(object, &event, fail) == -1)
		return -1;
	*out = event;
	return 0;
}

int
event_read(struct span text, struct event *out, struct fail *fail)
{
	struct json_object *object;
	int rc;

	if (json_object_parse(text, &object, fail) == -1)
		return -1;
	rc = event_parse(object, out, fail);
	json_object_free(&object);
	return rc;
}

int
event_scan(struct span body, struct event *out, int64_t *recorded_ms)
{
	struct span v[NAMES];
	struct fail unused;

	memset(out, 0, sizeof(*out));
	*recorded_ms = 0;
	if (member_scan(body, names_told, NAMES, v) == -1 ||
	    read_head(v, out, &unused) == -1 ||
	    read_list(v[NAME_LIST], out, &unused) == -1)
		return -1;
	if (v[NAME_TIME].p != NULL)
		(void)!date_parse(v[NAME_TIME], recorded_ms);
	return 0;
}

static int
scan_all(struct span body, struct event *out)
{
	struct span names[NAMES + EVIDENCE_FIELDS];
	struct span v[NAMES + EVIDENCE_FIELDS];
	struct fail unused;

	memcpy(names, names_told, sizeof(names_told));
	for (unsigned i = 0; i < EVIDENCE_FIELDS; i++)
		names[NAMES + i] = span_str(fields[i].member);
	if (member_scan(body, names, NAMES + EVIDENCE_FIELDS, v) == -1 ||
	    read_head(v, out, &unused) == -1 ||
	    read_list(v[NAME_LIST], out, &unused) == -1)
		return -1;
	for (unsigned i = 0; i < EVIDENCE_FIELDS; i++)
		if (v[NAMES + i].p != NULL && evidence_set(&out->evidence,
		    evidence_name(i), v[NAMES + i], &unused) == -1)
			return -1;
	return 0;
}

int
event_read_body(struct span body, struct event *out, struct fail *fail)
{
	struct event event = { .at_ms = 0 };
	struct json_object *object;
	int rc;

	if (scan_all(body, &event) == 0) {
		*out = event;
		return 0;
	}
	if (json_members_parse(body, &object, fail) == -1)
		return -1;
	rc = event_parse(object, out, fail);
	json_object_free(&object);
	return rc;
}
