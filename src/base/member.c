/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "base/member.h"

#include <stdbool.h>
#include <string.h>

struct scan {
	const unsigned char *p, *end;
};

static bool
take(struct scan *s, unsigned char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

/* A string behind its opening quote, as it is written. */
static int
take_string(struct scan *s, struct span *out)
{
	const unsigned char *from = s->p, *at = from;

	for (;;) {
		const unsigned char *quote = memchr(at, '"',
		    (size_t)(s->end - at));
		size_t slashes = 0;

		if (quote == NULL)
			return -1;
		while (quote - slashes > from &&
		    quote[-(ptrdiff_t)slashes - 1] == '\\')
			slashes++;
		at = quote + 1;
		if (slashes % 2 == 0) {
			*out = span_of(from, (size_t)(quote - from));
			s->p = at;
			return 0;
		}
	}
}

/* Are the bytes of a string its value?  Of what is not ASCII the parser has to
 * say whether it is UTF-8. */
static bool
is_plain(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.p[i] < 0x20 || text.p[i] >= 0x80 ||
		    text.p[i] == '\\')
			return false;
	return true;
}

/* A number, true, false or null; of one that is asked for, null alone. */
static int
take_word(struct scan *s, bool asked)
{
	const unsigned char *from = s->p;

	while (s->p < s->end && (ascii_isalnum(*s->p) || *s->p == '-' ||
	    *s->p == '+' || *s->p == '.'))
		s->p++;
	if (asked && !span_is(span_of(from, (size_t)(s->p - from)),
	    SPAN("null")))
		return -1;
	return s->p > from ? 0 : -1;
}

/* Which of the names it is, or n. */
static size_t
find_name(struct span name, const struct span *names, size_t n)
{
	size_t i = 0;

	while (i < n && (name.len != names[i].len ||
	    memcmp(name.p, names[i].p, name.len) != 0))
		i++;
	return i;
}

/* "name":value; *seen has a bit for each name that came. */
static int
take_member(struct scan *s, const struct span *names, size_t n,
    struct span *values, unsigned *seen)
{
	struct span name, value;
	size_t i;

	if (!take(s, '"') || take_string(s, &name) == -1 ||
	    !is_plain(name) || !take(s, ':'))
		return -1;
	i = find_name(name, names, n);
	if (i < n && (*seen & 1u << i) != 0)
		return -1;
	if (i < n)
		*seen |= 1u << i;
	if (!take(s, '"'))
		return take_word(s, i < n);
	if (take_string(s, &value) == -1 || (i < n && !is_plain(value)))
		return -1;
	if (i < n)
		values[i] = value;
	return 0;
}

int
member_scan(struct span text, const struct span *names, size_t n,
    struct span *values)
{
	struct scan s = { text.p, text.p + text.len };
	unsigned seen = 0;

	memset(values, 0, n * sizeof(*values));
	if (n > 8 * sizeof(seen) || text.len == 0)
		return -1;
	do {
		if (take_member(&s, names, n, values, &seen) == -1)
			return -1;
	} while (take(&s, ','));
	return s.p == s.end ? 0 : -1;
}
