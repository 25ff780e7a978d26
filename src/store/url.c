/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * unix:/path[?db=N], redis://host[:port][/N] and rediss:// for TLS, with an IPv6
 * address in brackets.  Nothing is guessed and nothing ignored: a URL that other clients
 * would read in another way is refused.
 */
#include "store/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

#define DATABASE_MAX	15

static int
parse_database(struct span text, struct url *out, struct fail *fail)
{
	uint64_t n;

	if (span_to_u64(text, &n) == -1 || n > DATABASE_MAX)
		return fail_set(fail, FAIL_SETUP,
		    "the database in the Redis URL must be 0 to %d",
		    DATABASE_MAX);
	out->database = (unsigned)n;
	return 0;
}

static int
parse_unix(struct span text, struct url *out, struct fail *fail)
{
	ptrdiff_t query = span_index(text, '?');

	if (query != -1) {
		struct span rest = span_from(text, (size_t)query + 1);

		if (!span_has_prefix(rest, SPAN("db=")))
			return fail_set(fail, FAIL_SETUP,
			    "only ?db=N may follow the path in the Redis URL");
		if (parse_database(span_from(rest, 3), out, fail) == -1)
			return -1;
		text = span_head(text, (size_t)query);
	}
	if (text.len < 2 || text.p[0] != '/')
		return fail_set(fail, FAIL_SETUP,
		    "unix: in the Redis URL needs an absolute path");
	if (text.len >= sizeof(out->path))
		return fail_set(fail, FAIL_SETUP,
		    "the path in the Redis URL is longer than %zu bytes",
		    sizeof(out->path) - 1);
	out->is_unix = true;
	memcpy(out->path, text.p, text.len);
	return 0;
}

static bool
is_host(struct span host, bool bracketed)
{
	if (host.len == 0 || host.len > URL_HOST_MAX)
		return false;
	for (size_t i = 0; i < host.len; i++) {
		unsigned char c = host.p[i];

		if (!ascii_isalnum(c) && c != '.' &&
		    (bracketed ? c != ':' && c != '%' : c != '-' && c != '_'))
			return false;
	}
	return true;
}

/* Takes the host from the start of *text. */
static int
take_host(struct span *text, struct url *out, struct fail *fail)
{
	bool bracketed = text->len > 0 && text->p[0] == '[';
	struct span host;
	ptrdiff_t end;

	if (bracketed) {
		end = span_index(*text, ']');
		host = end == -1 ? span_of(NULL, 0) :
		    span_head(span_from(*text, 1), (size_t)end - 1);
		*text = span_from(*text, (size_t)(end + 1));
	} else {
		end = span_index(*text, ':');
		host = end == -1 ? *text : span_head(*text, (size_t)end);
		*text = span_from(*text, host.len);
	}
	if (!is_host(host, bracketed))
		return fail_set(fail, FAIL_SETUP, "the host in the Redis URL "
		    "must be a name, an IPv4 address or [an IPv6 address]");
	memcpy(out->host, host.p, host.len);
	return 0;
}

static int
parse_tcp(struct span text, struct url *out, struct fail *fail)
{
	ptrdiff_t slash = span_index(text, '/');
	uint64_t port = 6379;

	if (span_index(text, '@') != -1)
		return fail_set(fail, FAIL_SETUP, "the Redis URL must not hold "
		    "a user or password: set username and password_file");
	if (slash != -1) {
		struct span rest = span_from(text, (size_t)slash + 1);

		if (rest.len > 0 && parse_database(rest, out, fail) == -1)
			return -1;
		text = span_head(text, (size_t)slash);
	}
	if (take_host(&text, out, fail) == -1)
		return -1;
	if (text.len > 0 && (text.p[0] != ':' ||
	    span_to_u64(span_from(text, 1), &port) == -1 || port < 1 ||
	    port > 65535))
		return fail_set(fail, FAIL_SETUP,
		    "the port in the Redis URL must be 1 to 65535");
	(void)snprintf(out->port, sizeof(out->port), "%u", (unsigned)port);
	return 0;
}

int
url_parse_host(struct span text, bool is_tls, struct url *out,
    struct fail *fail)
{
	ptrdiff_t colon = span_rindex(text, ':');

	memset(out, 0, sizeof(*out));
	out->is_tls = is_tls;
	if (colon == -1 || span_index(text, '/') != -1 ||
	    colon < span_rindex(text, ']'))
		return fail_set(fail, FAIL_SETUP, "want host:port");
	return parse_tcp(text, out, fail);
}

int
url_parse_hosts(const char *text, bool is_tls, struct url **out, size_t *count,
    struct fail *fail)
{
	struct span rest = span_str(text), one;

	*count = 0;
	*out = NULL;
	while (rest.len > 0) {
		ptrdiff_t blank = span_index(rest, ' ');

		one = blank == -1 ? rest : span_head(rest, (size_t)blank);
		rest = span_from(rest, one.len + (blank != -1));
		*out = xrealloc(*out, *count + 1, sizeof(**out));
		if (url_parse_host(one, is_tls, &(*out)[*count], fail) == -1) {
			free(*out);
			*out = NULL;
			return fail_prefix(fail, "%.*s", (int)one.len,
			    (const char *)one.p);
		}
		++*count;
	}
	return 0;
}

void
url_format(struct buf *out, const struct url *url)
{
	bool bracketed = strchr(url->host, ':') != NULL;

	buf_addf(out, "redis%s://%s%s%s:%s", url->is_tls ? "s" : "",
	    bracketed ? "[" : "", url->host, bracketed ? "]" : "", url->port);
}

bool
url_is_same(const struct url *a, const struct url *b)
{
	return a->is_tls == b->is_tls && strcmp(a->host, b->host) == 0 &&
	    strcmp(a->port, b->port) == 0;
}

int
url_set_host(struct url *url, struct span host, struct span port,
    struct fail *fail)
{
	uint64_t number;

	if (!is_host(host, span_index(host, ':') != -1) ||
	    span_to_u64(port, &number) == -1 || number < 1 || number > 65535)
		return fail_set(fail, FAIL_SETUP, "no host and port");
	memset(url->host, 0, sizeof(url->host));
	memcpy(url->host, host.p, host.len);
	(void)snprintf(url->port, sizeof(url->port), "%u", (unsigned)number);
	return 0;
}

int
url_parse(const char *text, struct url *out, struct fail *fail)
{
	struct span s = span_str(text);

	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < s.len; i++)
		if (!ascii_isprint(s.p[i]) || s.p[i] == ' ')
			return fail_set(fail, FAIL_SETUP,
			    "the Redis URL holds a blank or control character");
	if (span_has_prefix(s, SPAN("unix:")))
		return parse_unix(span_from(s, 5), out, fail);
	if (span_has_prefix(s, SPAN("redis://")))
		return parse_tcp(span_from(s, 8), out, fail);
	out->is_tls = span_has_prefix(s, SPAN("rediss://"));
	if (out->is_tls)
		return parse_tcp(span_from(s, 9), out, fail);
	return fail_set(fail, FAIL_SETUP, "the Redis URL must begin with "
	    "unix:/, redis:// or rediss://");
}
