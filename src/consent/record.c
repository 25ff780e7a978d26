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
	{ 'p', offsetof(struct record, object_profiling_ms) },
	{ 'a', offsetof(struct record, allow_profiling_ms) },
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

static void
drop_letters(struct record *record, const struct letter *letters, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int64_t *time = time_at(record, &letters[i]);

		if (time != &record->erase_ms && *time <= record->erase_ms)
			*time = 0;
	}
}

void
record_normalise(struct record *record)
{
	if (record->erase_ms == 0)
		return;
	drop_letters(record, list_letters, LIST_LETTERS);
	drop_letters(record, person_letters, PERSON_LETTERS);
}

void
record_apply(struct record *r, const struct event *event)
{
	int64_t at_ms = event->at_ms;

	if (at_ms <= r->erase_ms)
		return;
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
		record_normalise(r);
		break;
	case EVENT_RESTRICT:
		raise_to(&r->restrict_ms, at_ms);
		break;
	case EVENT_UNRESTRICT:
		raise_to(&r->unrestrict_ms, at_ms);
		break;
	case EVENT_OBJECT_PROFILING:
		raise_to(&r->object_profiling_ms, at_ms);
		break;
	case EVENT_ALLOW_PROFILING:
		raise_to(&r->allow_profiling_ms, at_ms);
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
	record_normalise(a);
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

/* The time at the start of *text, up to a space or the end; *text moves on. */
static int
take_time(struct span *text, int64_t *ms)
{
	size_t digits = 0;
	int64_t value;

	while (digits < text->len && text->p[digits] != ' ')
		digits++;
	if (span_to_i64(span_head(*text, digits), &value) == -1 || value < 1 ||
	    value > DATE_MAX_MS)
		return -1;
	*text = span_from(*text, digits);
	*ms = value;
	return 0;
}

/* *text moves on only when the letter is there. */
static bool
take_letter(struct span *text, char letter)
{
	if (text->len == 0 || text->p[0] != (unsigned char)letter)
		return false;
	*text = span_from(*text, 1);
	return true;
}

static int
unreadable(struct fail *fail)
{
	return fail_set(fail, FAIL_INPUT,
	    "a consent record that can't be read");
}

static int
parse_letters(struct span text, struct record *record,
    const struct letter *letters, size_t n, struct fail *fail)
{
	struct record copy = *record;
	bool more = true;	/* a time has to follow */

	/* Each letter is tried once, which is what keeps them in order. */
	for (size_t i = 0; i < n; i++) {
		int64_t *time = time_at(&copy, &letters[i]);

		*time = 0;
		if (!take_letter(&text, letters[i].letter))
			continue;
		if (take_time(&text, time) == -1)
			return unreadable(fail);
		more = take_letter(&text, ' ');
	}
	if (more || text.len != 0)
		return unreadable(fail);
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

/* The number of the evidence with this name, or EVIDENCE_FIELDS. */
static unsigned
evidence_number(struct span name)
{
	unsigned i = 0;

	while (i < EVIDENCE_FIELDS &&
	    !span_is(name, span_str(evidence_name(i))))
		i++;
	return i;
}

/* NAME=VALUE */
static int
parse_pair(struct span pair, struct evidence *out, struct fail *fail)
{
	ptrdiff_t equals = span_index(pair, '=');
	size_t name_len = equals == -1 ? pair.len : (size_t)equals;
	unsigned i = evidence_number(span_head(pair, name_len));
	struct buf value = BUF_INIT(EVIDENCE_TEXT_MAX);
	int rc = -1;

	if (equals != -1 && i < EVIDENCE_FIELDS &&
	    decode_percent(span_from(pair, name_len + 1), &value) == 0)
		rc = evidence_set(out, evidence_name(i), buf_span(&value),
		    fail);
	buf_fini(&value);
	return rc;
}

int
evidence_field_parse(struct span text, int64_t *grant_ms,
    struct evidence *out, struct fail *fail)
{
	struct evidence evidence = { .source = "" };
	int64_t ms = 0;
	int rc = take_letter(&text, 'g') ? take_time(&text, &ms) : -1;

	/* text starts with the separator, a space and then '&' */
	while (rc == 0 && text.len > 0) {
		struct span pair = span_from(text, 1);
		ptrdiff_t end = span_index(pair, '&');

		if (end != -1)
			pair = span_head(pair, (size_t)end);
		rc = parse_pair(pair, &evidence, fail);
		text = span_from(text, pair.len + 1);
	}
	if (rc == -1)
		return fail_set(fail, FAIL_INPUT,
		    "evidence that can't be read");
	*grant_ms = ms;
	*out = evidence;
	return 0;
}

/* The time that an evidence field starts with, or 0. */
static int64_t
evidence_time(struct span text)
{
	int64_t ms = 0;

	return take_letter(&text, 'g') && take_time(&text, &ms) == 0 ? ms : 0;
}

/* The IP address in an evidence field, or nothing. */
static struct span
evidence_ip(struct span text)
{
	for (size_t i = 0; i + 4 <= text.len; i++) {
		struct span value = span_from(text, i + 4);
		ptrdiff_t end;

		if ((text.p[i] != ' ' && text.p[i] != '&') ||
		    memcmp(text.p + i + 1, "ip=", 3) != 0)
			continue;
		end = span_index(value, '&');
		return end == -1 ? value : span_head(value, (size_t)end);
	}
	return span_of(NULL, 0);
}

static int
compare_bytes(struct span a, struct span b)
{
	size_t common = a.len < b.len ? a.len : b.len;
	int order = common == 0 ? 0 : memcmp(a.p, b.p, common);

	if (order != 0)
		return order;
	return a.len == b.len ? 0 : a.len < b.len ? -1 : 1;
}

bool
evidence_field_wins(struct span a, struct span b)
{
	int64_t a_ms = evidence_time(a), b_ms = evidence_time(b);
	struct span a_ip = evidence_ip(a), b_ip = evidence_ip(b);
	int order = compare_bytes(a_ip, b_ip);

	if (a_ms != b_ms)
		return a_ms > b_ms;
	if (a_ip.len != b_ip.len)
		return a_ip.len < b_ip.len;
	return order != 0 ? order < 0 : compare_bytes(a, b) > 0;
}
