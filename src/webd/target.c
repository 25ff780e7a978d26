/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/target.h"

#include <string.h>

static int
hex_value(unsigned char c)
{
	if (ascii_isdigit(c))
		return c - '0';
	c = ascii_tolower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct span
target_prefix(const char *url)
{
	struct span rest = span_from(span_str(url), strlen("https://"));
	size_t i = 0;

	while (i < rest.len && rest.p[i] != '/' && rest.p[i] != '?')
		i++;
	return span_from(rest, i);
}

struct span
target_path(struct span target)
{
	struct span rest;
	ptrdiff_t slash;

	if (span_has_prefix_nocase(target, SPAN("http://")))
		rest = span_from(target, strlen("http://"));
	else if (span_has_prefix_nocase(target, SPAN("https://")))
		rest = span_from(target, strlen("https://"));
	else
		return target;
	slash = span_index(rest, '/');
	return slash == -1 ? SPAN("/") : span_from(rest, (size_t)slash);
}

static bool
ends_token(unsigned char c)
{
	return c == '?' || c == '&' || c == '#';
}

bool
target_token(struct span target, struct span prefix, struct buf *out)
{
	buf_clear(out);
	if (prefix.len == 0 || !span_has_prefix(target, prefix))
		return false;
	for (size_t i = prefix.len; i < target.len &&
	    !ends_token(target.p[i]); i++) {
		int high = -1, low = -1;

		if (target.p[i] == '%' && i + 2 < target.len) {
			high = hex_value(target.p[i + 1]);
			low = hex_value(target.p[i + 2]);
		}
		if (high != -1 && low != -1) {
			buf_add_char(out, (char)(high << 4 | low));
			i += 2;
		} else
			buf_add_char(out, (char)target.p[i]);
	}
	return out->len > 0 && !out->overflow;
}

bool
target_is(struct span target, struct span path)
{
	return span_has_prefix(target, path) && (target.len == path.len ||
	    target.p[path.len] == '?');
}
