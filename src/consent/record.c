/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Two tables say which letter stands for which time, in the order of the text;
 * everything else is a loop over them.
 */
#include "consent/record.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/date.h"

struct letter {
	char letter;
	size_t offset;
};

static const struct letter list_letters[] = {
	{ 'g', offsetof(struct record, grant_ms) },
	{ 'c', offsetof(struct record, confirm_ms) },
	{ 'w', offsetof(struct record, withdraw_ms) },
	{ 'u', offsetof(struct record, unproven_ms) },
};
static const struct letter person_letters[] = {
	{ 'w', offsetof(struct record, all_withdraw_ms) },
	{ 'o', offsetof(struct record, object_ms) },
	{ 'e', offsetof(struct record, erase_ms) },
	{ 'r', offsetof(struct record, restrict_ms) },
	{ 'l', offsetof(struct record, unrestrict_ms) },
};
#define LIST_LETTERS	(sizeof(list_letters) / sizeof(list_letters[0]))
#define PERSON_LETTERS	(sizeof(person_letters) / sizeof(person_letters[0]))

static int64_t *
time_at(struct record *record, const struct letter *letter)
{
	return (int64_t *)(void *)((char *)record + letter->offset);
}

static int64_t
time_of(const struct record *record, const struct letter *letter)
{
	return *(const int64_t *)(const void *)
	    ((const char *)record + letter->offset);
}

static void
raise_to(int64_t *time, int64_t at_ms)
{
	if (at_ms > *time)
		*time = at_ms;
}

void
record_apply(struct record *r, const struct event *event)
{
	int64_t at_ms = event->at_ms;

	switch (event->kind) {
	case EVENT_GRANT:
		raise_to(&r->grant_ms, at_ms);
		break;
	case EVENT_UNPROVEN:
		raise_to(&r->unproven_ms, at_ms);
		break;
	case EVENT_CONFIRM:
		raise_to(&r->confirm_ms, at_ms);
		break;
	case EVENT_WITHDRAW:
		raise_to(event->list[0] != '\0' ? &r->withdraw_ms :
		    &r->all_withdraw_ms, at_ms);
		break;
	case EVENT_OBJECT:
		raise_to(&r->object_ms, at_ms);
		break;
	case EVENT_ERASE:
		raise_to(&r->erase_ms, at_ms);
		break;
	case EVENT_RESTRICT:
		raise_to(&r->restrict_ms, at_ms);
		break;
	case EVENT_UNRESTRICT:
		raise_to(&r->unrestrict_ms, at_ms);
		break;
	}
}

static void
merge_letters(struct record *a, const struct record *b,
    const struct letter *letters, size_t n)
{
	for (size_t i = 0; i < n; i++)
		raise_to(time_at(a, &letters[i]), time_of(b, &letters[i]));
}

void
record_merge(struct record *a, const struct record *b)
{
	merge_letters(a, b, list_letters, LIST_LETTERS);
	merge_letters(a, b, person_letters, PERSON_LETTERS);
}

static void
format_letters(struct buf *out, const struct record *record,
    const struct letter *letters, size_t n)
{
	bool first = true;

	for (size_t i = 0; i < n; i++) {
		int64_t ms = time_of(record, &letters[i]);

		if (ms == 0)
			continue;
		buf_addf(out, "%s%c%" PRId64, first ? "" : " ",
		    letters[i].letter, ms);
		first = false;
	}
}

void
record_list_format(struct buf *out, const struct record *record)
{
	format_letters(out, record, list_letters, LIST_LETTERS);
}

void
record_person_format(struct buf *out, const struct record *record)
{
	format_letters(out, record, person_letters, PERSON_LETTERS);
}

/* One letter and its time at the start of *text, which moves on. */
static int
take_time(struct span *text, const struct letter *letters, size_t n,
    size_t *next, struct record *record)
{
	size_t digits = 0;
	int64_t ms;

	if (text->len == 0)
		return -1;
	while (*next < n && letters[*next].letter != text->p[0])
		++*next;
	if (*next == n)
		return -1;
	*text = span_from(*text, 1);
	while (digits < text->len && text->p[digits] != ' ')
		digits++;
	if (span_to_i64(span_head(*text, digits), &ms) == -1 || ms < 1 ||
	    ms > DATE_MAX_MS)
		return -1;
	*time_at(record, &letters[*next]) = ms;
	++*next;
	*text = span_from(*text, digits);
	return 0;
}

static int
parse_letters(struct span text, struct record *record,
    const struct letter *letters, size_t n, struct fail *fail)
{
	struct record copy = *record;
	size_t next = 0;

	for (size_t i = 0; i < n; i++)
		*time_at(&copy, &letters[i]) = 0;
	for (;;) {
		if (take_time(&text, letters, n, &next, &copy) == -1)
			return fail_set(fail, FAIL_INPUT,
			    "a consent record that can't be read");
		if (text.len == 0)
			break;
		text = span_from(text, 1);	/* the space */
	}
	*record = copy;
	return 0;
}

int
record_list_parse(struct span text, struct record *record, struct fail *fail)
{
	return parse_letters(text, record, list_letters, LIST_LETTERS, fail);
}

int
record_person_parse(struct span text, struct record *record,
    struct fail *fail)
{
	return parse_letters(text, record, person_letters, PERSON_LETTERS,
	    fail);
}

static void
add_percent_encoded(struct buf *out, struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (ascii_isalnum(s.p[i]) || (s.p[i] != '\0' &&
		    strchr("._~:/@-", s.p[i]) != NULL))
			buf_add_char(out, (char)s.p[i]);
		else
			buf_addf(out, "%%%02X", s.p[i]);
}

void
evidence_field_format(struct buf *out, int64_t grant_ms,
    const struct evidence *evidence)
{
	const char *separator = " ";

	buf_addf(out, "g%" PRId64, grant_ms);
	for (unsigned i = 0; i < EVIDENCE_FIELDS; i++) {
		const char *value = evidence_get(evidence, i);

		if (value[0] == '\0')
			continue;
		buf_addf(out, "%s%s=", separator, evidence_name(i));
		add_percent_encoded(out, span_str(value));
		separator = "&";
	}
}

/* "g" and digits up to a space or the end. */
static int
take_grant(struct span *text, int64_t *grant_ms)
{
	size_t digits = 1;

	if (text->len == 0 || text->p[0] != 'g')
		return -1;
	while (digits < text->len && text->p[digits] != ' ')
		digits++;
	if (span_to_i64(span_from(span_head(*text, digits), 1), grant_ms) ==
	    -1 || *grant_ms < 1 || *grant_ms > DATE_MAX_MS)
		return -1;
	*text = span_from(*text, digits);
	return 0;
}

static int
hex_value(unsigned char c)
{
	if (ascii_isdigit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int
decode_percent(struct span s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		int high, low;

		if (s.p[i] != '%') {
			buf_add_char(out, (char)s.p[i]);
			continue;
		}
		if (i + 2 >= s.len || (high = hex_value(s.p[i + 1])) == -1 ||
		    (low = hex_value(s.p[i + 2])) == -1)
			return -1;
		buf_add_char(out, (char)(high << 4 | low));
		i += 2;
	}
	return out->overflow ? -1 : 0;
}

static int
take_pair(struct span pair, struct evidence *out, struct fail *fail)
{
	ptrdiff_t equals = span_index(pair, '=');
	struct buf value = BUF_INIT(EVIDENCE_TEXT_MAX);
	char name[16];
	int rc = -1;

	if (equals != -1 && (size_t)equals < sizeof(name) &&
	    decode_percent(span_from(pair, (size_t)equals + 1),
	    &value) == 0) {
		memcpy(name, pair.p, (size_t)equals);
		name[equals] = '\0';
		rc = evidence_set(out, name, buf_span(&value), fail);
	}
	buf_fini(&value);
	return rc;
}

int
evidence_field_parse(struct span text, int64_t *grant_ms,
    struct evidence *out, struct fail *fail)
{
	memset(out, 0, sizeof(*out));
	if (take_grant(&text, grant_ms) == -1)
		return fail_set(fail, FAIL_INPUT,
		    "evidence that can't be read");
	while (text.len > 0) {
		struct span pair = span_from(text, 1);
		ptrdiff_t end = span_index(pair, '&');

		if (end != -1)
			pair = span_head(pair, (size_t)end);
		if (take_pair(pair, out, fail) == -1)
			return fail_set(fail, FAIL_INPUT,
			    "evidence that can't be read");
		text = span_from(text, pair.len + 1);
	}
	return 0;
}

bool
evidence_field_wins(struct span a, struct span b)
{
	int64_t a_ms = 0, b_ms = 0;
	struct span rest_a = a, rest_b = b;
	bool a_ok = take_grant(&rest_a, &a_ms) == 0;
	bool b_ok = take_grant(&rest_b, &b_ms) == 0;
	size_t common = a.len < b.len ? a.len : b.len;
	int order;

	if (a_ok != b_ok)
		return a_ok;
	if (a_ms != b_ms)
		return a_ms > b_ms;
	order = common == 0 ? 0 : memcmp(a.p, b.p, common);
	return order != 0 ? order > 0 : a.len > b.len;
}
