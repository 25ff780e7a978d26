/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/member.h"

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

/* A string behind its opening quote.  *plain: its bytes are its value. */
static int
take_string(struct scan *s, struct span *out, bool *plain)
{
	const unsigned char *from = s->p;

	*plain = true;
	while (s->p < s->end && *s->p != '"') {
		if (*s->p < 0x20)
			return -1;
		/* Whether it is UTF-8 is for the parser to say. */
		if (*s->p >= 0x80)
			*plain = false;
		if (*s->p == '\\') {
			*plain = false;
			if (++s->p == s->end)
				return -1;
		}
		s->p++;
	}
	*out = span_of(from, (size_t)(s->p - from));
	return take(s, '"') ? 0 : -1;
}

/* A number, true, false or null. */
static int
take_word(struct scan *s)
{
	const unsigned char *from = s->p;

	while (s->p < s->end && (ascii_isalnum(*s->p) || *s->p == '-' ||
	    *s->p == '+' || *s->p == '.'))
		s->p++;
	return s->p > from ? 0 : -1;
}

/* Which of the names it is, or n. */
static size_t
find_name(struct span name, const char *const *names, size_t n)
{
	size_t i = 0;

	while (i < n && !span_is(name, span_str(names[i])))
		i++;
	return i;
}

/* "name":value; *seen has a bit for each name that came. */
static int
take_member(struct scan *s, const char *const *names, size_t n,
    struct span *values, unsigned *seen)
{
	struct span name, value;
	bool plain;
	size_t i;

	if (!take(s, '"') || take_string(s, &name, &plain) == -1 || !plain ||
	    !take(s, ':'))
		return -1;
	i = find_name(name, names, n);
	if (i < n && (*seen & 1u << i) != 0)
		return -1;
	if (i < n)
		*seen |= 1u << i;
	if (!take(s, '"'))
		return take_word(s);
	if (take_string(s, &value, &plain) == -1 || (i < n && !plain))
		return -1;
	if (i < n)
		values[i] = value;
	return 0;
}

int
member_scan(struct span text, const char *const *names, size_t n,
    struct span *values)
{
	struct scan s = { text.p, text.p + text.len };
	unsigned seen = 0;

	memset(values, 0, n * sizeof(*values));
	if (n > 8 * sizeof(seen) || !take(&s, '{'))
		return -1;
	do {
		if (take_member(&s, names, n, values, &seen) == -1)
			return -1;
	} while (take(&s, ','));
	return take(&s, '}') && s.p == s.end ? 0 : -1;
}
