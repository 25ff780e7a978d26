/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/row.h"

#include <string.h>

#include "base/closest.h"
#include "base/date.h"
#include "base/json.h"
#include "consent/decision.h"
#include "mail/address.h"

enum column {
	COLUMN_ADDRESS,
	COLUMN_LIST,
	COLUMN_AT,
	COLUMN_CONFIRMED_AT,
	COLUMN_WITHDRAWN_AT,
	COLUMN_OBJECTED_AT,
	COLUMN_PROFILING_OBJECTED_AT,
	COLUMN_EVIDENCE		/* and the EVIDENCE_FIELDS - 1 after it */
};

static const char *const names[ROW_COLUMNS] = {
	"address", "list", "at", "confirmed_at", "withdrawn_at",
	"objected_at", "profiling_objected_at", "source", "notice",
	"language", "method", "basis", "guardian", "ip", "digest",
	"jurisdiction", "purpose"
};
_Static_assert(ROW_COLUMNS == COLUMN_EVIDENCE + EVIDENCE_FIELDS, "columns");

int
row_column_parse(struct span name, unsigned *column, struct fail *fail)
{
	char text[64];
	const char *near;

	name = span_trim(name);
	for (unsigned i = 0; i < ROW_COLUMNS; i++)
		if (span_is_nocase(name, span_str(names[i]))) {
			*column = i;
			return 1;
		}
	name = span_head(name, sizeof(text) - 1);
	if (name.len != 0)
		memcpy(text, name.p, name.len);
	text[name.len] = '\0';
	near = closest_name(text, names, ROW_COLUMNS);
	(void)fail_set(fail, FAIL_INPUT, "there is no column \"%s\"%s%s%s",
	    text, near ? ": did you mean \"" : "", near ? near : "",
	    near ? "\"?" : "");
	return 0;
}

/* Reads a time column; *ms stays 0 when it is empty. */
static int
read_time(const struct row *row, enum column column, int64_t now_ms,
    int64_t *ms, struct fail *fail)
{
	struct span text = span_trim(row->value[column]);

	*ms = 0;
	if (text.len == 0)
		return 0;
	if (date_parse(text, ms) == -1 || *ms == 0)
		return fail_set(fail, FAIL_INPUT, "%s is no time like "
		    "2026-01-05T09:00:00Z", names[column]);
	if (*ms > now_ms + DECISION_CLOCK_SKEW_MS)
		return fail_set(fail, FAIL_INPUT, "%s is in the future",
		    names[column]);
	return 0;
}

static struct event *
add_event(struct row_events *out, enum event_kind kind, int64_t at_ms)
{
	struct event *event = &out->event[out->count++];

	memset(event, 0, sizeof(*event));
	event->kind = kind;
	event->subject = out->subject;
	event->at_ms = at_ms;
	if (event_kind_has_list(kind))
		memcpy(event->list, out->list->id, sizeof(event->list));
	return event;
}

static int
add_grant(struct row_events *out, const struct row *row,
    enum evidence_ip ip, int64_t at_ms, struct fail *fail)
{
	struct event *event = add_event(out, EVENT_GRANT, at_ms);

	for (unsigned i = 0; i < EVIDENCE_FIELDS; i++) {
		struct span value = row->value[COLUMN_EVIDENCE + i];

		if (value.len > 0 && evidence_set(&event->evidence,
		    names[COLUMN_EVIDENCE + i], value, fail) == -1)
			return -1;
	}
	if (evidence_check(&event->evidence, ip, fail) == -1)
		return -1;
	event->kind = policy_grant_kind(out->list, at_ms, &event->evidence);
	return 0;
}

static int
identify(const struct row *row, const struct policy *policy,
    const struct crypto_hmac *pseudonym_key, struct row_events *out,
    struct fail *fail)
{
	struct span id = span_trim(row->value[COLUMN_LIST]);
	struct address address;

	if (span_trim(row->value[COLUMN_ADDRESS]).len == 0)
		return fail_set(fail, FAIL_INPUT, "no address");
	if (id.len == 0)
		return fail_set(fail, FAIL_INPUT, "no list");
	out->list = policy_list(policy, id);
	if (out->list == NULL)
		return fail_set(fail, FAIL_INPUT, "there is no list \"%.*s\"",
		    (int)span_head(id, 40).len, (const char *)id.p);
	if (address_parse(row->value[COLUMN_ADDRESS], &address, fail) == -1)
		return -1;
	subject_of(pseudonym_key, &address, &out->subject);
	return 0;
}

int
row_to_events(const struct row *row, const struct policy *policy,
    const struct crypto_hmac *pseudonym_key, int64_t default_at_ms,
    int64_t now_ms, struct row_events *out, struct fail *fail)
{
	int64_t at, confirmed, withdrawn, objected, profiling;

	/* Not the events: they are large, and add_event() clears them. */
	out->list = NULL;
	memset(&out->subject, 0, sizeof(out->subject));
	out->count = 0;
	out->timeless = out->opts_out = false;
	if (identify(row, policy, pseudonym_key, out, fail) == -1 ||
	    read_time(row, COLUMN_AT, now_ms, &at, fail) == -1 ||
	    read_time(row, COLUMN_CONFIRMED_AT, now_ms, &confirmed,
	    fail) == -1 ||
	    read_time(row, COLUMN_WITHDRAWN_AT, now_ms, &withdrawn,
	    fail) == -1 ||
	    read_time(row, COLUMN_OBJECTED_AT, now_ms, &objected,
	    fail) == -1 ||
	    read_time(row, COLUMN_PROFILING_OBJECTED_AT, now_ms, &profiling,
	    fail) == -1)
		return -1;
	if (at != 0 && confirmed != 0 && confirmed < at)
		return fail_set(fail, FAIL_INPUT, "confirmed_at is before at: "
		    "that confirms nothing");
	out->opts_out = withdrawn != 0 || objected != 0;
	/* The opt-in was no later than its confirmation. */
	if (at == 0 && confirmed != 0)
		at = confirmed;
	if (at == 0 && !out->opts_out && profiling == 0) {
		at = default_at_ms;
		out->timeless = true;
	}
	if (at != 0 && add_grant(out, row, policy->evidence_ip, at,
	    fail) == -1)
		return -1;
	if (confirmed != 0)
		(void)add_event(out, EVENT_CONFIRM, confirmed);
	if (withdrawn != 0)
		(void)add_event(out, EVENT_WITHDRAW, withdrawn);
	if (objected != 0)
		(void)add_event(out, EVENT_OBJECT, objected);
	if (profiling != 0)
		(void)add_event(out, EVENT_OBJECT_PROFILING, profiling);
	return 0;
}

int
row_from_json(struct span line, struct json_object **object, struct row *out,
    struct fail *fail)
{
	void *cursor = NULL;
	const char *name;
	struct span value;
	bool is_string;

	memset(out, 0, sizeof(*out));
	if (json_object_parse(line, object, fail) == -1)
		return -1;
	while (json_object_next(*object, &cursor, &name, &is_string, &value)) {
		unsigned column;

		if (row_column_parse(span_str(name), &column, fail) == 0) {
			json_object_free(object);
			return -1;
		}
		if (!is_string) {
			struct span unused;

			if (json_object_string(*object, name, &unused) == 0)
				continue;	/* null */
			json_object_free(object);
			return fail_set(fail, FAIL_INPUT,
			    "\"%s\" is not a text", names[column]);
		}
		out->value[column] = value;
	}
	return 0;
}
