/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The first line is the envelope sender, the rest header fields.  Whatever
 * they hold, the class does not depend on the order of the fields, and its
 * parts agree with each other.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "consent/classify.h"

#define FIELDS_MAX	64

struct field {
	struct span name, value;
};

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Cuts a line and the lines that continue it from *text. */
static struct span
take_field(struct span *text)
{
	size_t len = 0;
	struct span field;

	while (len < text->len && (text->p[len] != '\n' ||
	    (len + 1 < text->len && (text->p[len + 1] == ' ' ||
	    text->p[len + 1] == '\t'))))
		len++;
	field = span_head(*text, len);
	*text = span_from(*text, len + 1);
	return field;
}

static size_t
split(struct span text, struct field fields[FIELDS_MAX])
{
	size_t n = 0;

	while (text.len > 0 && n < FIELDS_MAX) {
		struct span line = take_field(&text);
		ptrdiff_t colon = span_index(line, ':');
		size_t name = colon == -1 ? line.len : (size_t)colon;

		fields[n].name = span_head(line, name);
		fields[n++].value = span_from(line, name + 1);
	}
	return n;
}

static void
check_parts(const struct classification *c)
{
	bool has_list = c->class == CLASS_LISTED ||
	    c->class == CLASS_CONFIRMATION;

	if (c->class == CLASS_UNDECIDED || (c->list != NULL) != has_list ||
	    memchr(c->rule, '\0', sizeof(c->rule)) == NULL ||
	    (c->rule[0] == '\0') != (c->class == CLASS_NOT_BULK) ||
	    !span_is_ascii(span_str(c->rule)))
		abort();
}

static struct classification
classify(const struct policy *policy, const struct envelope *envelope,
    const struct field *fields, size_t n, bool backwards)
{
	struct header_facts *facts = header_facts_new(policy);
	struct classification c;

	classify_envelope(policy, envelope, &c);
	for (size_t i = 0; i < n; i++) {
		const struct field *f = &fields[backwards ? n - 1 - i : i];

		header_facts_add(facts, f->name, f->value);
	}
	classify_message(policy, envelope, facts, &c);
	header_facts_free(&facts);
	check_parts(&c);
	return c;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char news[] = "*@news.example", tx[] = "*@tx.example",
	    list_id[] = "List-Id", weekly_id[] = "*<weekly.news.example>*",
	    subscriber[] = "X-Listmonk-Subscriber",
	    campaign[] = "X-Listmonk-Campaign", message[] = "X-MessageID",
	    system[] = "systemmessage", stars[] = "*a*b*c*d*", x[] = "X";
	static struct rule match[] = {
		{ .sender = news },
		{ .header = list_id, .value = weekly_id, .header_slot = 0 },
		{ .header = x, .value = stars, .header_slot = 1 },
	};
	static struct rule confirmation[] = {
		{ .header = subscriber, .header_slot = 2, .without = campaign,
		    .without_slot = 3 },
		{ .header = message, .value = system, .header_slot = 4 },
	};
	static struct rule exempt[] = { { .sender = tx } };
	static struct list lists[] = { { .id = "weekly", .match = match,
	    .match_count = 3, .confirmation = confirmation,
	    .confirmation_count = 2 } };
	static const struct policy policy = { .lists = lists, .list_count = 1,
	    .exempt = exempt, .exempt_count = 1, .header_slots = 5 };
	struct span text = span_of(data, size);
	struct envelope envelope = { .sender = take_field(&text) };
	struct field fields[FIELDS_MAX];
	size_t n = split(text, fields);
	struct classification a, b;

	a = classify(&policy, &envelope, fields, n, false);
	b = classify(&policy, &envelope, fields, n, true);
	if (a.class != b.class || a.list != b.list)
		abort();
	return 0;
}
