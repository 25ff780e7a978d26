/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/mtaconf.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* -- pieces of text -- */

/* Takes the first line off *rest, without its end. */
static bool
next_line(struct span *rest, struct span *line)
{
	if (rest->len == 0)
		return false;
	*line = span_take(rest, '\n');
	return true;
}

static bool
is_separator(unsigned char c)
{
	return ascii_isspace(c) || c == ',';
}

/* Takes a word off *rest, that ends at a blank, or a comma if that counts. */
static bool
next_word(struct span *rest, bool commas, struct span *word)
{
	size_t start = 0, end;

	while (start < rest->len && (commas ? is_separator(rest->p[start]) :
	    ascii_isspace(rest->p[start])))
		start++;
	for (end = start; end < rest->len && !(commas ?
	    is_separator(rest->p[end]) : ascii_isspace(rest->p[end])); end++)
		;
	*word = span_head(span_from(*rest, start), end - start);
	*rest = span_from(*rest, end);
	return word->len > 0;
}

/* Splits at the first '=', without the blanks around it. */
static bool
split(struct span text, struct span *name, struct span *value)
{
	ptrdiff_t equal = span_index(text, '=');

	if (equal == -1)
		return false;
	*name = span_trim(span_head(text, (size_t)equal));
	*value = span_trim(span_from(text, (size_t)equal + 1));
	return true;
}

static bool
copy(char *to, size_t size, struct span from)
{
	if (from.len >= size || span_index(from, '\0') != -1)
		return false;
	if (from.len > 0)
		memcpy(to, from.p, from.len);
	to[from.len] = '\0';
	return true;
}

/* -- sockets -- */

static bool
set_inet(struct mta_socket *out, struct span host, struct span port)
{
	if (host.len >= 2 && host.p[0] == '[' && host.p[host.len - 1] == ']')
		host = span_head(span_from(host, 1), host.len - 2);
	return port.len > 0 && copy(out->host, sizeof(out->host), host) &&
	    copy(out->port, sizeof(out->port), port);
}

static bool
parse_inet(struct span text, struct mta_socket *out)
{
	ptrdiff_t at = span_index(text, '@');
	ptrdiff_t colon = span_rindex(text, ':');

	if (at != -1)
		return set_inet(out, span_from(text, (size_t)at + 1),
		    span_head(text, (size_t)at));
	if (colon != -1)
		return set_inet(out, span_head(text, (size_t)colon),
		    span_from(text, (size_t)colon + 1));
	return set_inet(out, span_of(NULL, 0), text);
}

bool
mtaconf_socket(struct span text, struct mta_socket *out)
{
	static const struct span unixes[] = { SPAN("unix:"), SPAN("local:") };
	static const struct span inets[] = { SPAN("inet:"), SPAN("inet6:") };

	memset(out, 0, sizeof(*out));
	text = span_trim(text);
	for (size_t i = 0; i < 2; i++)
		if (span_has_prefix_nocase(text, unixes[i])) {
			out->is_unix = true;
			text = span_from(text, unixes[i].len);
			return text.len > 0 && copy(out->path,
			    sizeof(out->path), text);
		}
	for (size_t i = 0; i < 2; i++)
		if (span_has_prefix_nocase(text, inets[i]))
			return parse_inet(span_from(text, inets[i].len), out);
	out->is_unix = text.len > 0 && text.p[0] == '/';
	return out->is_unix ? copy(out->path, sizeof(out->path), text) :
	    text.len > 0 && parse_inet(text, out);
}

bool
mtaconf_is_loopback(const char *host)
{
	struct span s = span_str(host);

	return span_has_prefix(s, SPAN("127.")) || span_is(s, SPAN("::1")) ||
	    span_is_nocase(s, SPAN("localhost"));
}

/* Listening there, or asking for it, is the same as on the loopback. */
static bool
is_here(const char *host)
{
	struct span s = span_str(host);

	return s.len == 0 || mtaconf_is_loopback(host) ||
	    span_is(s, SPAN("0.0.0.0")) || span_is(s, SPAN("::")) ||
	    span_is(s, SPAN("*"));
}

static bool
same_path(const char *a, const char *b, const char *queue)
{
	char whole[PATH_MAX];

	if (strcmp(a, b) == 0)
		return true;
	if (queue == NULL)
		return false;
	(void)snprintf(whole, sizeof(whole), "%s%s%s", queue,
	    b[0] == '/' ? "" : "/", b);
	return strcmp(a, whole) == 0;
}

bool
mtaconf_same_socket(const struct mta_socket *a, const struct mta_socket *b,
    const char *queue)
{
	if (a->is_unix != b->is_unix)
		return false;
	if (a->is_unix)
		return same_path(a->path, b->path, queue) ||
		    same_path(b->path, a->path, queue);
	return strcmp(a->port, b->port) == 0 && (span_is_nocase(
	    span_str(a->host), span_str(b->host)) ||
	    (is_here(a->host) && is_here(b->host)));
}

/* -- postconf -- */

bool
mtaconf_value(struct span text, const char *name, struct span *value)
{
	struct span line, left;

	while (next_line(&text, &line))
		if (split(line, &left, value) && span_is(left, span_str(name)))
			return true;
	return false;
}

bool
mtaconf_time(struct span text, char unit, int64_t *ms)
{
	static const struct {
		char letter;
		int64_t ms;
	} units[] = { { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 },
	    { 'd', 86400000 }, { 'w', 604800000 } };
	int64_t n;

	text = span_trim(text);
	if (text.len > 0 && !ascii_isdigit(text.p[text.len - 1])) {
		unit = (char)text.p[text.len - 1];
		text = span_head(text, text.len - 1);
	}
	if (text.len > 9 || span_to_i64(text, &n) == -1)
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (units[i].letter == unit) {
			*ms = n * units[i].ms;
			return true;
		}
	return false;
}

bool
mtaconf_is_yes(struct span value)
{
	return span_is_nocase(span_trim(value), SPAN("yes"));
}

bool
mtaconf_has_word(struct span list, struct span word)
{
	struct span one;

	while (next_word(&list, true, &one))
		if (span_is_nocase(one, word))
			return true;
	return false;
}

/* Up to the brace that closes the first one; all where none does. */
static struct span
braced(struct span text)
{
	size_t depth = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] == '{')
			depth++;
		else if (text.p[i] == '}' && --depth == 0)
			return span_head(text, i + 1);
	}
	return text;
}

/* What stands between the braces. */
static void
take_group(struct span group, struct mta_milter *out)
{
	struct span word, name, value, rest = span_from(group, 1);

	if (rest.len > 0 && rest.p[rest.len - 1] == '}')
		rest = span_head(rest, rest.len - 1);
	(void)next_word(&rest, true, &out->socket);
	while (next_word(&rest, true, &word)) {
		/* "name = value" as well as "name=value". */
		if (span_index(word, '=') == -1) {
			struct span sign = span_trim(rest), skipped;

			if (sign.len == 0 || sign.p[0] != '=')
				continue;
			name = word;
			rest = span_from(sign, 1);
			(void)next_word(&rest, true, &skipped);
			value = skipped;
		} else if (!split(word, &name, &value))
			continue;
		if (value.len == 0)
			(void)next_word(&rest, true, &value);
		if (span_is(name, SPAN("default_action")))
			out->action = value;
		else if (span_is(name, SPAN("command_timeout")))
			out->timeout = value;
	}
}

bool
mtaconf_next_milter(struct span *rest, struct mta_milter *out)
{
	memset(out, 0, sizeof(*out));
	while (rest->len > 0 && is_separator(rest->p[0]))
		*rest = span_from(*rest, 1);
	if (rest->len == 0)
		return false;
	if (rest->p[0] == '{') {
		out->text = braced(*rest);
		*rest = span_from(*rest, out->text.len);
		take_group(out->text, out);
		return true;
	}
	(void)next_word(rest, true, &out->text);
	out->socket = out->text;
	return true;
}

bool
mtaconf_next_service(struct span *rest, struct mta_service *out)
{
	struct span line, words[8];

	while (next_line(rest, &line)) {
		size_t n = 0;

		while (n < 8 && next_word(&line, false, &words[n]))
			n++;
		if (n == 8 && words[0].p[0] != '#') {
			*out = (struct mta_service){ .name = words[0],
			    .type = words[1], .chroot = words[4],
			    .command = words[7] };
			return true;
		}
	}
	return false;
}

bool
mtaconf_next_override(struct span *rest, struct mta_override *out)
{
	struct span line, left;

	while (next_line(rest, &line)) {
		ptrdiff_t last, first;

		if (!split(line, &left, &out->value) ||
		    (last = span_rindex(left, '/')) == -1)
			continue;
		out->name = span_from(left, (size_t)last + 1);
		left = span_head(left, (size_t)last);
		/* A service may be a path. */
		if ((first = span_rindex(left, '/')) == -1)
			continue;
		out->service = span_head(left, (size_t)first);
		out->type = span_from(left, (size_t)first + 1);
		return true;
	}
	return false;
}

bool
mtaconf_override(struct span text, const struct mta_service *service,
    const char *name, struct span *value)
{
	struct mta_override one;

	while (mtaconf_next_override(&text, &one))
		if (span_is(one.service, service->name) &&
		    span_is(one.type, service->type) &&
		    span_is(one.name, span_str(name))) {
			*value = one.value;
			return true;
		}
	return false;
}

/* -- sendmail.cf -- */

bool
mtaconf_next_filter(struct span *rest, struct mta_filter *out)
{
	struct span line, part, name, value;
	ptrdiff_t comma;

	while (next_line(rest, &line)) {
		if (line.len < 2 || line.p[0] != 'X')
			continue;
		memset(out, 0, sizeof(*out));
		line = span_from(line, 1);
		do {
			comma = span_index(line, ',');
			part = span_trim(comma == -1 ? line :
			    span_head(line, (size_t)comma));
			line = span_from(line, comma == -1 ? line.len :
			    (size_t)comma + 1);
			if (!split(part, &name, &value)) {
				if (out->name.len == 0)
					out->name = part;
			} else if (span_is(name, SPAN("S")))
				out->socket = value;
			else if (span_is(name, SPAN("F")))
				out->flags = value;
		} while (comma != -1);
		return true;
	}
	return false;
}

bool
mtaconf_sendmail_option(struct span text, const char *name,
    struct span *value)
{
	struct span line, left;

	while (next_line(&text, &line))
		if (span_has_prefix(line, SPAN("O ")) &&
		    split(span_from(line, 2), &left, value) &&
		    span_is_nocase(left, span_str(name)))
			return true;
	return false;
}

/* -- signers -- */

bool
mtaconf_opendkim(struct span text, const char *name, struct span *value)
{
	struct span line, word;
	bool found = false;

	while (next_line(&text, &line)) {
		ptrdiff_t hash = span_index(line, '#');

		if (hash != -1)
			line = span_head(line, (size_t)hash);
		if (!next_word(&line, false, &word) ||
		    !span_is_nocase(word, span_str(name)))
			continue;
		*value = span_trim(line);
		found = true;
	}
	return found;
}

bool
mtaconf_rspamd(struct span text, const char *name, struct span *value)
{
	struct span line, left;

	while (next_line(&text, &line)) {
		line = span_trim(line);
		if (!split(line, &left, value) ||
		    !span_is(left, span_str(name)))
			continue;
		while (value->len > 0 && (value->p[value->len - 1] == ';' ||
		    value->p[value->len - 1] == '"'))
			*value = span_head(*value, value->len - 1);
		if (value->len > 0 && value->p[0] == '"')
			*value = span_from(*value, 1);
		return true;
	}
	return false;
}

bool
mtaconf_names_header(struct span value, struct span header, bool by_default)
{
	bool named = false, delta = false;
	struct span rest = value, word;

	while (next_word(&rest, true, &word))
		delta = delta || span_is(word, SPAN("*"));
	if (delta)
		named = by_default;
	rest = value;
	while (next_word(&rest, true, &word)) {
		bool minus = word.p[0] == '-';

		if (minus || word.p[0] == '+')
			word = span_from(word, 1);
		if (span_is_nocase(word, header))
			named = !minus;
	}
	return named;
}

bool
mtaconf_rspamd_signs(struct span value, struct span header)
{
	for (;;) {
		ptrdiff_t colon = span_index(value, ':');
		struct span one = span_trim(colon == -1 ? value :
		    span_head(value, (size_t)colon));

		/* "(o)name" is signed once more than it is there, "(x)name" if
		 * it is there at all. */
		if (one.len > 3 && one.p[0] == '(' && one.p[2] == ')')
			one = span_from(one, 3);
		if (span_is_nocase(one, header))
			return true;
		if (colon == -1)
			return false;
		value = span_from(value, (size_t)colon + 1);
	}
}
