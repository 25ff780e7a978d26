/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "mail/field.h"

#include <string.h>

#include "base/utf8.h"

#define ENCODED_WORD_MAX	75	/* RFC 2047 section 2 */

void
field_unfold(struct buf *out, struct span value)
{
	bool blank = false, fold = false;
	size_t start = out->len;

	value = span_trim(span_head(value, FIELD_VALUE_MAX));
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = value.p[i];

		/* Blanks before and after a line break are one space. */
		if (c == '\r' || c == '\n') {
			fold = true;
			continue;
		}
		if (c == ' ' || c == '\t') {
			size_t j = i;

			while (j < value.len && (value.p[j] == ' ' ||
			    value.p[j] == '\t'))
				j++;
			if (j < value.len && (value.p[j] == '\r' ||
			    value.p[j] == '\n'))
				blank = true;
			else if (!fold) {
				buf_add(out, value.p + i, j - i);
			} else
				blank = true;
			i = j - 1;
			continue;
		}
		if (fold || blank)
			buf_add_char(out, ' ');
		fold = blank = false;
		if (c >= 0x20 && c != 0x7f)
			buf_add_char(out, (char)c);
	}
	while (out->len > start && out->data[out->len - 1] == ' ')
		buf_truncate(out, out->len - 1);
}

/* Position behind the comment that starts at i; comments nest. */
static size_t
skip_comment(struct span s, size_t i)
{
	size_t depth = 0;

	for (; i < s.len; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '(')
			depth++;
		else if (s.p[i] == ')' && --depth == 0)
			return i + 1;
	}
	return s.len;
}

size_t
field_skip_cfws(struct span s, size_t i)
{
	while (i < s.len && (ascii_isspace(s.p[i]) || s.p[i] == '('))
		i = s.p[i] == '(' ? skip_comment(s, i) : i + 1;
	return i;
}

struct span
field_keyword(struct span value)
{
	size_t start = field_skip_cfws(value, 0), end = start;

	while (end < value.len && !ascii_isspace(value.p[end]) &&
	    value.p[end] != '(' && value.p[end] != ';' && value.p[end] != ',')
		end++;
	return span_from(span_head(value, end), start);
}

static size_t
skip_token(struct span s, size_t i)
{
	while (i < s.len && !ascii_isspace(s.p[i]) && s.p[i] != '(' &&
	    s.p[i] != ';' && s.p[i] != '/')
		i++;
	return i;
}

bool
field_is_media_type(struct span value, struct span type)
{
	ptrdiff_t slash = span_index(type, '/');
	size_t start, end;

	value = span_head(value, FIELD_VALUE_MAX);
	start = field_skip_cfws(value, 0);
	end = skip_token(value, start);
	if (!span_is_nocase(span_from(span_head(value, end), start),
	    span_head(type, (size_t)slash)))
		return false;
	start = field_skip_cfws(value, end);
	if (start >= value.len || value.p[start] != '/')
		return false;
	start = field_skip_cfws(value, start + 1);
	end = skip_token(value, start);
	return span_is_nocase(span_from(span_head(value, end), start),
	    span_from(type, (size_t)slash + 1));
}

static bool
is_atext(unsigned char c)
{
	return ascii_isalnum(c) ||
	    (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* "=?UTF-8?B?" base64 "?=", as many as it takes, cut between characters. */
static void
add_encoded(struct buf *out, struct span text)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	/* 12 bytes of frame, four characters for three bytes */
	const size_t max = (ENCODED_WORD_MAX - 12) / 4 * 3;
	bool first = true;

	while (text.len > 0) {
		size_t len = 0;

		while (len < text.len) {
			size_t n = utf8_length(span_from(text, len));

			n = n == 0 ? 1 : n;
			if (len + n > max)
				break;
			len += n;
		}
		buf_add_str(out, first ? "=?UTF-8?B?" : " =?UTF-8?B?");
		for (size_t i = 0; i < len; i += 3) {
			uint32_t v = (uint32_t)text.p[i] << 16;

			if (i + 1 < len)
				v |= (uint32_t)text.p[i + 1] << 8;
			if (i + 2 < len)
				v |= text.p[i + 2];
			buf_add_char(out, alphabet[v >> 18]);
			buf_add_char(out, alphabet[v >> 12 & 63]);
			buf_add_char(out, i + 1 < len ?
			    alphabet[v >> 6 & 63] : '=');
			buf_add_char(out, i + 2 < len ? alphabet[v & 63] : '=');
		}
		buf_add_str(out, "?=");
		text = span_from(text, len);
		first = false;
	}
}

void
field_add_phrase(struct buf *out, struct span text)
{
	struct buf clean = BUF_INIT(FIELD_VALUE_MAX);
	bool atoms = true, ascii = true;

	text = span_trim(span_head(text, FIELD_VALUE_MAX));
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = text.p[i];

		if (c < 0x20 || c == 0x7f)
			continue;
		buf_add_char(&clean, (char)c);
		if (c >= 0x80)
			ascii = false;
		else if (!is_atext(c) && c != ' ')
			atoms = false;
	}
	text = buf_span(&clean);
	/* "=?" would be read as an encoded word. */
	for (size_t i = 0; i + 1 < text.len; i++)
		if (text.p[i] == '=' && text.p[i + 1] == '?')
			atoms = false;
	if (!ascii)
		add_encoded(out, text);
	else if (atoms)
		buf_add_span(out, text);
	else {
		buf_add_char(out, '"');
		for (size_t i = 0; i < text.len; i++) {
			if (text.p[i] == '"' || text.p[i] == '\\')
				buf_add_char(out, '\\');
			buf_add_char(out, (char)text.p[i]);
		}
		buf_add_char(out, '"');
	}
	buf_fini(&clean);
}

/* Is `name' one of the names, separated by colons, of an h= tag? */
static bool
names_have(struct span names, struct span name)
{
	while (names.len > 0) {
		ptrdiff_t colon = span_index(names, ':');
		struct span one = colon == -1 ? names :
		    span_head(names, (size_t)colon);

		if (span_is_nocase(span_trim(one), name))
			return true;
		names = span_from(names, one.len + 1);
	}
	return false;
}

bool
field_dkim_signs(struct span signature, struct span name)
{
	signature = span_head(signature, FIELD_VALUE_MAX);
	while (signature.len > 0) {
		ptrdiff_t end = span_index(signature, ';');
		struct span tag = end == -1 ? signature :
		    span_head(signature, (size_t)end);
		ptrdiff_t equals = span_index(tag, '=');

		if (equals != -1 && span_is(span_trim(span_head(tag,
		    (size_t)equals)), SPAN("h")))
			return names_have(span_from(tag, (size_t)equals + 1),
			    name);
		signature = span_from(signature, tag.len + 1);
	}
	return false;
}
