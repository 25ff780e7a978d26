/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "base/span.h"

#include <string.h>

struct span
span_of(const void *p, size_t len)
{
	return (struct span){ p, len };
}

struct span
span_str(const char *s)
{
	return (struct span){ (const unsigned char *)s, s ? strlen(s) : 0 };
}

bool
span_is(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

bool
span_is_nocase(struct span a, struct span b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (ascii_tolower(a.p[i]) != ascii_tolower(b.p[i]))
			return false;
	return true;
}

bool
span_has_prefix(struct span s, struct span prefix)
{
	return s.len >= prefix.len && span_is(span_head(s, prefix.len), prefix);
}

bool
span_has_prefix_nocase(struct span s, struct span prefix)
{
	return s.len >= prefix.len &&
	    span_is_nocase(span_head(s, prefix.len), prefix);
}

ptrdiff_t
span_index(struct span s, unsigned char c)
{
	const unsigned char *at = s.len ? memchr(s.p, c, s.len) : NULL;

	return at ? at - s.p : -1;
}

ptrdiff_t
span_rindex(struct span s, unsigned char c)
{
	const unsigned char *at = s.len ? memrchr(s.p, c, s.len) : NULL;

	return at ? at - s.p : -1;
}

struct span
span_from(struct span s, size_t from)
{
	if (from >= s.len)
		return (struct span){ s.p, 0 };
	return (struct span){ s.p + from, s.len - from };
}

struct span
span_head(struct span s, size_t len)
{
	return (struct span){ s.p, len < s.len ? len : s.len };
}

struct span
span_take(struct span *rest, unsigned char c)
{
	ptrdiff_t at = span_index(*rest, c);
	struct span taken = at == -1 ? *rest : span_head(*rest, (size_t)at);

	*rest = span_from(*rest, taken.len + 1);
	return taken;
}

struct span
span_trim(struct span s)
{
	while (s.len > 0 && ascii_isspace(s.p[0])) {
		s.p++;
		s.len--;
	}
	while (s.len > 0 && ascii_isspace(s.p[s.len - 1]))
		s.len--;
	return s;
}

bool
span_is_ascii(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] >= 0x80)
			return false;
	return true;
}

int
span_to_u64(struct span s, uint64_t *out)
{
	uint64_t value = 0;

	if (s.len == 0 || (s.len > 1 && s.p[0] == '0'))
		return -1;
	for (size_t i = 0; i < s.len; i++) {
		if (!ascii_isdigit(s.p[i]))
			return -1;
		uint64_t digit = (uint64_t)(s.p[i] - '0');
		if (value > (UINT64_MAX - digit) / 10)
			return -1;
		value = value * 10 + digit;
	}
	*out = value;
	return 0;
}

int
span_to_i64(struct span s, int64_t *out)
{
	uint64_t value;

	if (span_to_u64(s, &value) == -1 || value > INT64_MAX)
		return -1;
	*out = (int64_t)value;
	return 0;
}

bool
ascii_isalpha(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool
ascii_isdigit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

bool
ascii_isalnum(unsigned char c)
{
	return ascii_isalpha(c) || ascii_isdigit(c);
}

bool
ascii_isspace(unsigned char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool
ascii_isprint(unsigned char c)
{
	return c >= 0x20 && c <= 0x7e;
}

unsigned char
ascii_tolower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

bool
span_glob(struct span pattern, struct span text)
{
	size_t p = 0, t = 0;
	size_t star = SIZE_MAX, retry = 0;	/* the last '*' and where it ended */

	while (t < text.len) {
		if (p < pattern.len && pattern.p[p] == '*') {
			star = p++;
			retry = t;
		} else if (p < pattern.len && (pattern.p[p] == '?' ||
		    ascii_tolower(pattern.p[p]) == ascii_tolower(text.p[t]))) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			t = ++retry;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.p[p] == '*')
		p++;
	return p == pattern.len;
}
