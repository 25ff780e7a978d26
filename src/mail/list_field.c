/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "mail/list_field.h"

#include <string.h>

#include "mail/field.h"

void
list_unsubscribe_parse(struct span value, struct list_unsubscribe *out)
{
	size_t i = 0;

	out->count = 0;
	value = span_head(value, FIELD_VALUE_MAX);
	while (out->count < LIST_UNSUBSCRIBE_URIS) {
		struct span uri;
		ptrdiff_t end;

		i = field_skip_cfws(value, i);
		if (i >= value.len || value.p[i] != '<')
			return;
		end = span_index(span_from(value, i), '>');
		if (end == -1)
			return;
		uri = span_trim(span_of(value.p + i + 1, (size_t)end - 1));
		if (uri.len > 0)
			out->uri[out->count++] = uri;
		i += (size_t)end + 1;
		end = span_index(span_from(value, i), ',');
		if (end == -1)
			return;
		i += (size_t)end + 1;
	}
}

bool
list_unsubscribe_has_scheme(const struct list_unsubscribe *lu,
    struct span scheme)
{
	for (size_t i = 0; i < lu->count; i++)
		if (lu->uri[i].len > scheme.len &&
		    span_has_prefix_nocase(lu->uri[i], scheme) &&
		    lu->uri[i].p[scheme.len] == ':')
			return true;
	return false;
}

/* unreserved, reserved and percent of RFC 3986, without the comma, which
 * would end the URI for a careless reader. */
static int
check_uri(struct span uri, const char *what, struct fail *fail)
{
	for (size_t i = 0; i < uri.len; i++)
		if (!ascii_isalnum(uri.p[i]) && (uri.p[i] == '\0' ||
		    strchr("-._~:/?#[]@!$&'()*+;=%", uri.p[i]) == NULL))
			return fail_set(fail, FAIL_INPUT, "the %s has a byte "
			    "(0x%02x) that no URI may have", what, uri.p[i]);
	if (uri.len + sizeof("List-Unsubscribe: <>,") > FIELD_LINE_MAX)
		return fail_set(fail, FAIL_INPUT,
		    "the %s is too long for a line of mail", what);
	return 0;
}

int
list_unsubscribe_format(struct buf *out, struct span url, struct span mailto,
    struct fail *fail)
{
	if (!span_has_prefix(url, SPAN("https://")))
		return fail_set(fail, FAIL_INPUT, "the unsubscribe URL does "
		    "not start with https:// (RFC 8058 section 3.1)");
	if (check_uri(url, "unsubscribe URL", fail) == -1 ||
	    check_uri(mailto, "unsubscribe address", fail) == -1)
		return -1;
	buf_add_char(out, '<');
	buf_add_span(out, url);
	buf_add_char(out, '>');
	if (mailto.len > 0) {
		buf_add_str(out, ",\n <mailto:");
		buf_add_span(out, mailto);
		buf_add_char(out, '>');
	}
	return out->overflow ? fail_set(fail, FAIL_INPUT,
	    "the unsubscribe links are too long") : 0;
}

bool
list_id_is_valid(struct span list_id)
{
	bool dot = false, label = false;

	if (list_id.len == 0 || list_id.len > LIST_ID_MAX)
		return false;
	for (size_t i = 0; i < list_id.len; i++) {
		unsigned char c = list_id.p[i];

		if (c == '.') {
			if (!label)
				return false;
			dot = true;
			label = false;
		} else if (ascii_isalnum(c) || (c != '\0' &&
		    strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL))
			label = true;
		else
			return false;
	}
	return dot && label;
}

int
list_id_parse(struct span value, struct span *out)
{
	ptrdiff_t open, close;
	struct span list_id;

	value = span_head(value, FIELD_VALUE_MAX);
	close = span_rindex(value, '>');
	if (close == -1)
		return 0;
	open = span_rindex(span_head(value, (size_t)close), '<');
	if (open == -1)
		return 0;
	list_id = span_from(span_head(value, (size_t)close), (size_t)open + 1);
	if (!list_id_is_valid(list_id))
		return 0;
	*out = list_id;
	return 1;
}

void
list_id_format(struct buf *out, struct span phrase, struct span list_id)
{
	size_t start = out->len;

	field_add_phrase(out, phrase);
	if (out->len > start)
		buf_add_char(out, ' ');
	buf_add_char(out, '<');
	buf_add_span(out, list_id);
	buf_add_char(out, '>');
}
