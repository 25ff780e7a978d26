/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "mail/mime.h"

#include <string.h>

#include "mail/field.h"

/* Takes the first line off, with its end. */
static struct span
take_line(struct span *text)
{
	ptrdiff_t end = span_index(*text, '\n');
	struct span line = end == -1 ? *text :
	    span_head(*text, (size_t)end + 1);

	*text = span_from(*text, line.len);
	return line;
}

bool
mime_next_field(struct span *header, struct mime_field *out)
{
	while (header->len > 0) {
		struct span all = *header;
		ptrdiff_t colon;

		do
			(void)take_line(header);
		while (header->len > 0 && (header->p[0] == ' ' ||
		    header->p[0] == '\t'));
		all = span_head(all, all.len - header->len);
		colon = span_index(all, ':');
		if (colon == -1)
			continue;
		out->name = span_trim(span_head(all, (size_t)colon));
		out->value = span_trim(span_from(all, (size_t)colon + 1));
		return true;
	}
	return false;
}

size_t
mime_count_fields(struct span header, struct span name, struct span *value)
{
	struct mime_field field;
	size_t count = 0;

	while (mime_next_field(&header, &field))
		if (span_is_nocase(field.name, name) && count++ == 0)
			*value = field.value;
	return count;
}

void
mime_split(struct span entity, struct span *header, struct span *body)
{
	struct span rest = entity;

	while (rest.len > 0) {
		size_t at = entity.len - rest.len;
		struct span line = take_line(&rest);

		if (span_is(line, SPAN("\n")) || span_is(line, SPAN("\r\n"))) {
			*header = span_head(entity, at);
			*body = rest;
			return;
		}
	}
	*header = entity;
	*body = rest;
}

/* The position behind a quoted string that starts at s[i]. */
static size_t
skip_quoted(struct span s, size_t i)
{
	for (i++; i < s.len && s.p[i] != '"'; i++)
		if (s.p[i] == '\\')
			i++;
	return i < s.len ? i + 1 : s.len;
}

/* The position of the ';' at or after s[i] that is not quoted or in a
 * comment. */
static size_t
find_semicolon(struct span s, size_t i)
{
	while (i < s.len && s.p[i] != ';')
		if (s.p[i] == '"')
			i = skip_quoted(s, i);
		else if (s.p[i] == '(')
			i = field_skip_cfws(s, i);
		else
			i++;
	return i;
}

static void
add_value(struct buf *out, struct span s)
{
	size_t start = field_skip_cfws(s, 0);

	if (start >= s.len || s.p[start] != '"') {
		buf_add_span(out, field_keyword(s));
		return;
	}
	s = span_from(span_head(s, skip_quoted(s, start)), start + 1);
	for (size_t i = 0; i < s.len && s.p[i] != '"'; i++) {
		if (s.p[i] == '\\' && ++i == s.len)
			break;
		buf_add_char(out, (char)s.p[i]);
	}
}

bool
mime_parameter(struct buf *out, struct span value, struct span name)
{
	size_t count = 0;

	value = span_head(value, FIELD_VALUE_MAX);
	for (size_t i = find_semicolon(value, 0); i < value.len;) {
		size_t end = find_semicolon(value, i + 1);
		struct span one = span_from(span_head(value, end), i + 1);
		ptrdiff_t equals;

		one = span_from(one, field_skip_cfws(one, 0));
		equals = span_index(one, '=');
		if (equals != -1 && span_is_nocase(span_trim(span_head(one,
		    (size_t)equals)), name) && count++ == 0)
			add_value(out, span_from(one, (size_t)equals + 1));
		i = end;
	}
	return count == 1;
}

enum line { LINE_TEXT, LINE_DELIMITER, LINE_CLOSES };

/* The whole line counts: a boundary may be the start of an inner one. */
static enum line
line_kind(struct span line, struct span boundary)
{
	if (!span_has_prefix(line, SPAN("--")) ||
	    !span_has_prefix(span_from(line, 2), boundary))
		return LINE_TEXT;
	line = span_from(line, 2 + boundary.len);
	if (span_trim(line).len == 0)
		return LINE_DELIMITER;
	return span_has_prefix(line, SPAN("--")) &&
	    span_trim(span_from(line, 2)).len == 0 ? LINE_CLOSES : LINE_TEXT;
}

bool
mime_next_part(struct span *body, struct span boundary, struct span *part)
{
	enum line kind = LINE_TEXT;
	struct span rest;

	if (boundary.len == 0 || boundary.len > MIME_BOUNDARY_MAX)
		return false;
	while (body->len > 0 && kind == LINE_TEXT)
		kind = line_kind(take_line(body), boundary);
	if (kind != LINE_DELIMITER) {
		*body = span_from(*body, body->len);
		return false;
	}
	/* The delimiter behind it stays, for the next call. */
	rest = *part = *body;
	while (rest.len > 0) {
		*body = rest;
		if (line_kind(take_line(&rest), boundary) != LINE_TEXT) {
			*part = span_head(*part, part->len - body->len);
			return true;
		}
	}
	*body = rest;
	return true;
}

static int
base64_value(unsigned char c)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c == '\0' ? NULL : strchr(alphabet, c);

	return at == NULL ? -1 : (int)(at - alphabet);
}

/* RFC 2045 section 6.8: other bytes are ignored, '=' is the end. */
static void
decode_base64(struct buf *out, struct span s)
{
	uint32_t acc = 0;
	unsigned have = 0;

	for (size_t i = 0; i < s.len && s.p[i] != '='; i++) {
		int value = base64_value(s.p[i]);

		if (value == -1)
			continue;
		acc = ((acc << 6) | (uint32_t)value) & 0xffff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			buf_add_char(out, (char)(acc >> have & 0xff));
		}
	}
}

static int
hex_value(unsigned char c)
{
	if (ascii_isdigit(c))
		return c - '0';
	c = ascii_tolower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 2045 section 6.7; what is no encoding stands for itself. */
static void
decode_quoted_printable(struct buf *out, struct span s)
{
	for (size_t i = 0; i < s.len; i++) {
		struct span next = span_head(span_from(s, i + 1), 2);
		int high = next.len == 2 ? hex_value(next.p[0]) : -1;
		int low = next.len == 2 ? hex_value(next.p[1]) : -1;

		if (s.p[i] != '=')
			buf_add_char(out, (char)s.p[i]);
		else if (high != -1 && low != -1) {
			buf_add_char(out, (char)(high << 4 | low));
			i += 2;
		} else if (span_has_prefix(next, SPAN("\n")))
			i++;
		else if (span_has_prefix(next, SPAN("\r\n")))
			i += 2;
		else
			buf_add_char(out, '=');
	}
}

bool
mime_decode(struct buf *out, struct span body, struct span encoding)
{
	encoding = field_keyword(encoding);
	body = span_head(body, out->max - out->len);
	if (span_is_nocase(encoding, SPAN("base64")))
		decode_base64(out, body);
	else if (span_is_nocase(encoding, SPAN("quoted-printable")))
		decode_quoted_printable(out, body);
	else if (encoding.len == 0 || span_is_nocase(encoding, SPAN("7bit")) ||
	    span_is_nocase(encoding, SPAN("8bit")) ||
	    span_is_nocase(encoding, SPAN("binary")))
		buf_add_span(out, body);
	else
		return false;
	return true;
}
