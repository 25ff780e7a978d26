/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "mail/authres.h"

#include "base/buf.h"
#include "mail/address.h"
#include "mail/field.h"
#include "mail/mime.h"

struct cursor {
	struct span	s;
	size_t		i;
};

/* Is the byte next behind blanks and comments this one?  Takes it then. */
static bool
take_byte(struct cursor *c, unsigned char byte)
{
	c->i = field_skip_cfws(c->s, c->i);
	if (c->i >= c->s.len || c->s.p[c->i] != byte)
		return false;
	c->i++;
	return true;
}

static bool
ends_word(unsigned char c, bool is_key)
{
	return ascii_isspace(c) || c == '(' || c == ';' ||
	    (is_key && c == '=');
}

/* Up to a blank, a comment or ';', and a key up to '=' as well.  A quoted
 * string is one piece, whatever it holds; that it is quoted stays visible. */
static struct span
take_word(struct cursor *c, bool is_key)
{
	size_t start = c->i = field_skip_cfws(c->s, c->i);

	while (c->i < c->s.len && !ends_word(c->s.p[c->i], is_key)) {
		if (c->s.p[c->i] == '"')
			do
				c->i += c->s.p[c->i] == '\\' ? 2 : 1;
			while (c->i < c->s.len && c->s.p[c->i] != '"');
		c->i++;
	}
	if (c->i > c->s.len)
		c->i = c->s.len;
	return span_from(span_head(c->s, c->i), start);
}

/* key "=" value; both may be empty only where false is returned. */
static bool
take_pair(struct cursor *c, struct span *key, struct span *value)
{
	*key = take_word(c, true);
	if (key->len == 0 || !take_byte(c, '='))
		return false;
	*value = take_word(c, false);
	return value->len > 0;
}

/* header.d is a domain; header.i may have a local part before it. */
static bool
is_domain(struct span value, struct span domain)
{
	ptrdiff_t at = span_rindex(value, '@');
	struct buf text = BUF_INIT(ADDRESS_PATH_MAX);
	struct address address;
	struct fail unused;
	bool same;

	buf_add_str(&text, "x@");
	buf_add_span(&text, at == -1 ? value :
	    span_from(value, (size_t)at + 1));
	same = !text.overflow && address_parse(buf_span(&text), &address,
	    &unused) == 0 && span_is(address_domain(&address), domain);
	buf_fini(&text);
	return same;
}

static bool
is_good_dkim(struct span method, struct span result)
{
	return (span_is_nocase(method, SPAN("dkim")) ||
	    span_is_nocase(method, SPAN("dkim/1"))) &&
	    span_is_nocase(result, SPAN("pass"));
}

/* resinfo: the method's result, a reason, and properties.  False: it can't be
 * read. */
static bool
take_result(struct cursor *c, struct span domain, bool *found)
{
	struct span key, value;
	bool good;

	if (!take_pair(c, &key, &value))
		return false;
	good = is_good_dkim(key, value);
	for (;;) {
		c->i = field_skip_cfws(c->s, c->i);
		if (c->i >= c->s.len || c->s.p[c->i] == ';')
			return true;
		if (!take_pair(c, &key, &value))
			return false;
		if (good && (span_is_nocase(key, SPAN("header.d")) ||
		    span_is_nocase(key, SPAN("header.i"))))
			*found |= is_domain(value, domain);
	}
}

/* The id, perhaps in quotes, that the field starts with. */
static bool
is_from(struct cursor *c, struct span authserv_id)
{
	struct span id = take_word(c, false);

	if (id.len >= 2 && id.p[0] == '"' && id.p[id.len - 1] == '"')
		id = span_from(span_head(id, id.len - 1), 1);
	return id.len > 0 && span_is_nocase(id, authserv_id);
}

/* Behind the id: a version, which has to be 1, and results. */
static bool
results_have(struct cursor *c, struct span domain)
{
	struct span version = take_word(c, false);
	bool found = false;

	if (version.len > 0 && !span_is(version, SPAN("1")))
		return false;
	while (take_byte(c, ';')) {
		/* An empty one at the end is common. */
		c->i = field_skip_cfws(c->s, c->i);
		if (c->i < c->s.len && !take_result(c, domain, &found))
			return false;
	}
	return found && c->i >= c->s.len;
}

bool
authres_has_dkim(struct span header, struct span authserv_id,
    struct span domain)
{
	struct mime_field field;

	while (mime_next_field(&header, &field)) {
		struct cursor c = { .s = field.value };

		if (!span_is_nocase(field.name,
		    SPAN("Authentication-Results")) ||
		    !is_from(&c, authserv_id))
			continue;
		return field.value.len <= FIELD_VALUE_MAX &&
		    results_have(&c, domain);
	}
	return false;
}
