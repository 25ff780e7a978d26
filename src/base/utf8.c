/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "base/utf8.h"

int32_t
utf8_decode(struct span s, size_t *len)
{
	static const int32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n;
	int32_t c;

	*len = 1;
	if (s.len == 0)
		return -1;
	if (s.p[0] < 0x80)
		return s.p[0];
	if (s.p[0] >= 0xc2 && s.p[0] <= 0xdf)
		n = 2;
	else if ((s.p[0] & 0xf0) == 0xe0)
		n = 3;
	else if (s.p[0] >= 0xf0 && s.p[0] <= 0xf4)
		n = 4;
	else
		return -1;
	if (s.len < n)
		return -1;
	c = s.p[0] & (0xff >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((s.p[i] & 0xc0) != 0x80)
			return -1;
		c = (c << 6) | (s.p[i] & 0x3f);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return -1;
	*len = n;
	return c;
}

size_t
utf8_length(struct span s)
{
	size_t len;

	return utf8_decode(s, &len) == -1 ? 0 : len;
}

bool
utf8_is_valid(struct span s)
{
	while (s.len > 0) {
		size_t len = utf8_length(s);

		if (len == 0)
			return false;
		s = span_from(s, len);
	}
	return true;
}

/* How many bytes at the start are printable ASCII: nearly always all. */
static size_t
printable_length(struct span s)
{
	size_t n = 0;

	while (n < s.len && s.p[n] >= 0x20 && s.p[n] <= 0x7e)
		n++;
	return n;
}

void
utf8_add_ascii(struct buf *out, struct span s)
{
	while (s.len > 0) {
		size_t len = printable_length(s);
		int32_t c;

		if (len > 0)
			buf_add(out, s.p, len);
		else {
			c = utf8_decode(s, &len);
			buf_addf(out, "\\x{%X}",
			    c == -1 ? s.p[0] : (unsigned)c);
		}
		s = span_from(s, len);
	}
}
