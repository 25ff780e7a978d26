/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "settings/value.h"

#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/span.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "consent/event.h"
#include "consent/policy.h"
#include "mail/address.h"
#include "mail/list_field.h"

#define MAILTO_LOCAL_MAX	2	/* 64 octets, less '+' and a token */
#define PASSWORD_MAX		1024
#define REDIS_DATABASE_MAX	15
#define REDIS_HOST_MAX		253

/* UTF-8 without line ends and other control characters. */
int
value_check_line(const char *text, struct fail *fail)
{
	struct span rest = span_str(text);

	while (rest.len > 0) {
		size_t len;
		int32_t c = utf8_decode(rest, &len);

		if (c == -1)
			return fail_set(fail, FAIL_SETUP, "byte 0x%02X is not "
			    "UTF-8; save the file as UTF-8", rest.p[0]);
		if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 ||
		    c == 0x2029)
			return fail_set(fail, FAIL_SETUP, "holds the control "
			    "character U+%04X; it must be one line of plain "
			    "text", (unsigned)c);
		rest = span_from(rest, len);
	}
	return 0;
}

int
value_check_path(const char *text, struct fail *fail)
{
	if (text[0] != '/')
		return fail_set(fail, FAIL_SETUP, "\"%.80s\" must be an "
		    "absolute path, one that starts with /", text);
	return 0;
}

/* Neither blank nor '@', printable ASCII; at least one byte. */
static bool
is_host(struct span host)
{
	for (size_t i = 0; i < host.len; i++)
		if (host.p[i] <= 0x20 || host.p[i] >= 0x7f ||
		    host.p[i] == '@' || host.p[i] == '/')
			return false;
	return host.len > 0;
}

static bool
is_port(struct span text)
{
	uint64_t port;

	return span_to_u64(text, &port) == 0 && port >= 1 && port <= 65535;
}

/* port@host, behind "inet:" or "inet6:". */
static int
check_inet_socket(const char *text, struct span rest, struct fail *fail)
{
	ptrdiff_t at = span_index(rest, '@');

	if (at == -1)
		return fail_set(fail, FAIL_SETUP, "\"%.80s\" names no address "
		    "to listen on, want inet:port@host, such as "
		    "\"inet:8892@127.0.0.1\"", text);
	if (!is_port(span_head(rest, (size_t)at)))
		return fail_set(fail, FAIL_SETUP, "\"%.80s\": the port must be "
		    "a number from 1 to 65535, as in \"inet:8892@127.0.0.1\"",
		    text);
	if (!is_host(span_from(rest, (size_t)at + 1)))
		return fail_set(fail, FAIL_SETUP, "\"%.80s\": no host behind "
		    "the @, want one as in \"inet:8892@127.0.0.1\"", text);
	return 0;
}

static int
check_unix_path(const char *path, struct fail *fail)
{
	size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (path[0] != '/' || path[1] == '\0')
		return fail_set(fail, FAIL_SETUP, "\"%.80s\" is not the "
		    "absolute path of a socket, such as "
		    "\"unix:/run/consent-milter/milter.sock\"", path);
	if (strlen(path) > max)
		return fail_set(fail, FAIL_SETUP, "the path of the socket has "
		    "%zu bytes, the system takes %zu", strlen(path), max);
	return 0;
}

int
value_check_socket(const char *text, struct fail *fail)
{
	struct span s = span_str(text);

	if (span_has_prefix(s, SPAN("unix:")))
		return check_unix_path(text + 5, fail);
	if (span_has_prefix(s, SPAN("local:")))
		return check_unix_path(text + 6, fail);
	if (text[0] == '/')
		return check_unix_path(text, fail);
	if (span_has_prefix(s, SPAN("inet:")))
		return check_inet_socket(text, span_from(s, 5), fail);
	if (span_has_prefix(s, SPAN("inet6:")))
		return check_inet_socket(text, span_from(s, 6), fail);
	return fail_set(fail, FAIL_SETUP, "\"%.80s\" is no socket, want "
	    "\"unix:/path\", \"inet:port@host\" or \"inet6:port@host\"", text);
}

static bool
is_database(struct span text)
{
	uint64_t n;

	return span_to_u64(text, &n) == 0 && n <= REDIS_DATABASE_MAX;
}

/* unix:/path[?db=N] */
static int
check_redis_unix(struct span rest, struct fail *fail)
{
	ptrdiff_t query = span_index(rest, '?');
	struct span path = query == -1 ? rest :
	    span_head(rest, (size_t)query);
	struct span number = query == -1 ? SPAN("0") :
	    span_from(rest, (size_t)query + 4);

	if (query != -1 && (!span_has_prefix(span_from(rest, (size_t)query),
	    SPAN("?db=")) || !is_database(number)))
		return fail_set(fail, FAIL_SETUP, "behind the path only ?db=N "
		    "may stand, N from 0 to %d", REDIS_DATABASE_MAX);
	if (span_index(path, ' ') != -1 || !span_is_ascii(path))
		return fail_set(fail, FAIL_SETUP, "the path of the socket "
		    "must be ASCII without blanks");
	if (path.len < 2 || path.p[0] != '/')
		return fail_set(fail, FAIL_SETUP, "no absolute path behind "
		    "unix:, want one such as \"unix:/run/redis/redis.sock\"");
	if (path.len >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return fail_set(fail, FAIL_SETUP, "the path of the socket is "
		    "too long for the system");
	return 0;
}

static bool
is_redis_host(struct span host)
{
	bool brackets = host.len > 2 && host.p[0] == '[' &&
	    host.p[host.len - 1] == ']';

	if (brackets)
		host = span_head(span_from(host, 1), host.len - 2);
	for (size_t i = 0; i < host.len; i++)
		if (!ascii_isalnum(host.p[i]) &&
		    (host.p[i] == '\0' || strchr(brackets ? ".:%" : ".-_",
		    host.p[i]) == NULL))
			return false;
	return host.len > 0 && host.len <= REDIS_HOST_MAX;
}

/* Cuts ":port" off the end of a host; IPv6 stands in brackets. */
static int
check_redis_host(struct span host, struct fail *fail)
{
	ptrdiff_t colon = span_rindex(host, ':');
	ptrdiff_t bracket = span_rindex(host, ']');

	if (colon > bracket && !is_port(span_from(host, (size_t)colon + 1)))
		return fail_set(fail, FAIL_SETUP, "the port must be a number "
		    "from 1 to 65535, as in \"redis://127.0.0.1:6379/0\"");
	if (colon > bracket)
		host = span_head(host, (size_t)colon);
	if (!is_redis_host(host))
		return fail_set(fail, FAIL_SETUP, "no host between // and "
		    "port, want one as in \"redis://127.0.0.1:6379/0\" or "
		    "\"redis://[::1]:6379/0\"");
	return 0;
}

/* The forms that store_url_check() takes. */
int
value_check_redis_url(const char *text, struct fail *fail)
{
	struct span s = span_str(text), rest;
	ptrdiff_t slash;

	if (span_has_prefix(s, SPAN("unix:")))
		return check_redis_unix(span_from(s, 5), fail);
	if (span_has_prefix(s, SPAN("rediss://")))
		rest = span_from(s, 9);
	else if (span_has_prefix(s, SPAN("redis://")))
		rest = span_from(s, 8);
	else
		return fail_set(fail, FAIL_SETUP, "\"%.80s\" is no place of a "
		    "Redis, want \"redis://host:port/db\", the same with "
		    "rediss:// for TLS, or \"unix:/path\"", text);
	/* Security: a secret in the file is soon in a backup, too. */
	if (span_index(rest, '@') != -1)
		return fail_set(fail, FAIL_SETUP, "user and password don't "
		    "belong in the URL, use username and password_file");
	slash = span_index(rest, '/');
	if (slash != -1 && (size_t)slash + 1 < rest.len &&
	    !is_database(span_from(rest, (size_t)slash + 1)))
		return fail_set(fail, FAIL_SETUP, "the database behind the "
		    "last / must be a number from 0 to %d",
		    REDIS_DATABASE_MAX);
	return check_redis_host(slash == -1 ? rest :
	    span_head(rest, (size_t)slash), fail);
}

/* host:port */
static int
check_place(const char *text, const char *what, const char *port,
    struct fail *fail)
{
	struct span s = span_str(text);
	ptrdiff_t colon = span_rindex(s, ':');

	if (colon == -1 || colon < span_rindex(s, ']') ||
	    !is_port(span_from(s, (size_t)colon + 1)) ||
	    !is_redis_host(span_head(s, (size_t)colon)))
		return fail_set(fail, FAIL_SETUP, "\"%.80s\" is no place of a "
		    "%s, want \"host:%s\" or \"[::1]:%s\"", text, what, port,
		    port);
	return 0;
}

int
value_check_sentinel(const char *text, struct fail *fail)
{
	return check_place(text, "Sentinel", "26379", fail);
}

int
value_check_cluster(const char *text, struct fail *fail)
{
	return check_place(text, "node of a Redis Cluster", "6379", fail);
}

/* What Sentinel itself takes as a name. */
int
value_check_master(const char *text, struct fail *fail)
{
	for (const char *p = text; *p != '\0'; p++)
		if (!ascii_isalnum((unsigned char)*p) &&
		    strchr(".-_", *p) == NULL)
			return fail_set(fail, FAIL_SETUP, "\"%.80s\" is no name "
			    "of a primary: letters, digits and .-_", text);
	return 0;
}

/*
 * RFC 3986 characters but for the comma, which separates URIs in
 * List-Unsubscribe, and '#', behind which a server would never see the token.
 */
static bool
is_link_byte(unsigned char c)
{
	return ascii_isalnum(c) ||
	    (c != '\0' && strchr("-._~:/?[]@!$&'()*+;=%", c) != NULL);
}

int
value_check_link(const char *text, struct fail *fail)
{
	struct span rest = span_str(text);

	if (!span_has_prefix_nocase(rest, SPAN("https://")))
		return fail_set(fail, FAIL_SETUP, "\"%.80s\" must start with "
		    "https:// (RFC 8058 section 3.1)", text);
	rest = span_from(rest, 8);
	if (rest.len == 0 || rest.p[0] == '/' || rest.p[0] == '?')
		return fail_set(fail, FAIL_SETUP, "no host behind https://, "
		    "want a URL such as \"https://news.example.com/u/\"");
	for (size_t i = 0; i < rest.len; i++)
		if (!is_link_byte(rest.p[i]))
			return fail_set(fail, FAIL_SETUP, "byte 0x%02X (%s) "
			    "can't stand in this URL; write it as %%%02X",
			    rest.p[i], ascii_isprint(rest.p[i]) ?
			    (char[]){ (char)rest.p[i], '\0' } :
			    "not printable", rest.p[i]);
	return 0;
}

/* Paths are put behind it. */
int
value_check_pages(const char *text, struct fail *fail)
{
	size_t len = strlen(text);

	if (value_check_link(text, fail) == -1)
		return -1;
	if (strpbrk(text, "?=") != NULL || text[len - 1] != '/' ||
	    strchr(text + strlen("https://"), '/') == NULL)
		return fail_set(fail, FAIL_SETUP, "\"%.80s\" must end in a /, "
		    "without a query, such as \"https://news.example.com/my/\"",
		    text);
	return 0;
}

/* https://host[:port], blanks between (CSP 3, section 2.3). */
int
value_check_origins(const char *text, struct fail *fail)
{
	struct span rest = span_str(text);

	while (rest.len > 0) {
		ptrdiff_t blank = span_index(rest, ' ');
		struct span one = span_head(rest, blank == -1 ? rest.len :
		    (size_t)blank);
		struct span host = span_from(one, strlen("https://"));
		bool good = span_has_prefix_nocase(one, SPAN("https://")) &&
		    host.len > 0;

		for (size_t i = 0; i < host.len; i++)
			good = good && (ascii_isalnum(host.p[i]) ||
			    host.p[i] == '.' || host.p[i] == '-' ||
			    host.p[i] == ':' || host.p[i] == '*');
		if (!good)
			return fail_set(fail, FAIL_SETUP, "\"%.*s\" is no "
			    "origin, want sites such as "
			    "\"https://www.example.com\", blanks between",
			    (int)(one.len > 80 ? 80 : one.len),
			    (const char *)one.p);
		rest = span_from(rest, one.len + 1);
	}
	return 0;
}

int
value_check_server(const char *text, struct fail *fail)
{
	struct span s = span_str(text), host = s;
	ptrdiff_t colon = span_rindex(s, ':');
	uint64_t port = 25;
	bool v6 = s.len > 0 && s.p[0] == '[';
	bool good = true;

	if (colon != -1 && (!v6 || s.p[s.len - 1] != ']')) {
		host = span_head(s, (size_t)colon);
		good = span_to_u64(span_from(s, (size_t)colon + 1), &port) ==
		    0 && port >= 1 && port <= 65535;
	}
	if (v6)
		good = good && host.len > 2 && host.p[host.len - 1] == ']';
	for (size_t i = 0; i < host.len; i++)
		good = good && (ascii_isalnum(host.p[i]) ||
		    host.p[i] == '.' || host.p[i] == '-' ||
		    (v6 && (host.p[i] == ':' || host.p[i] == '[' ||
		    host.p[i] == ']')));
	if (!good || host.len == 0)
		return fail_set(fail, FAIL_SETUP, "\"%.80s\" is no mail server, "
		    "want \"127.0.0.1:25\", \"[::1]:25\" or "
		    "\"mail.example.com:25\"", text);
	return 0;
}

static bool
is_local_byte(unsigned char c)
{
	return ascii_isalnum(c) || c == '-' || c == '_';
}

int
value_check_email(const char *text, struct fail *fail)
{
	struct address address;
	struct fail why;

	if (address_parse(span_str(text), &address, &why) == -1)
		return fail_set(fail, FAIL_SETUP, "\"%.80s\" is no e-mail "
		    "address: %.100s", text, why.text);
	return 0;
}

int
value_check_mailto(const char *text, struct fail *fail)
{
	struct span s = span_str(text);
	ptrdiff_t at = span_rindex(s, '@');

	if (!span_is_ascii(s))
		return fail_set(fail, FAIL_SETUP, "\"%.80s\" must be ASCII; "
		    "write the domain as xn--...", text);
	if (at < 1 || at > MAILTO_LOCAL_MAX)
		return fail_set(fail, FAIL_SETUP, "\"%.80s\" must have one or "
		    "two characters before the @, such as "
		    "\"u@news.example.com\": + and a token of 61 characters "
		    "come behind them, and 64 is the end", text);
	for (size_t i = 0; i < (size_t)at; i++)
		if (!is_local_byte(s.p[i]))
			return fail_set(fail, FAIL_SETUP, "\"%.80s\": only "
			    "letters, digits, - and _ may stand before the @",
			    text);
	if (span_index(s, ',') != -1 || span_index(s, '[') != -1)
		return fail_set(fail, FAIL_SETUP, "\"%.80s\" needs the name "
		    "of a domain behind the @", text);
	return value_check_email(text, fail);
}

/* RFC 8601 section 2.5: nearly always the name of a host. */
int
value_check_authserv_id(const char *text, struct fail *fail)
{
	for (const char *p = text; *p != '\0'; p++)
		if (!ascii_isalnum((unsigned char)*p) &&
		    strchr(".-_", *p) == NULL)
			return fail_set(fail, FAIL_SETUP, "\"%.80s\" is no "
			    "authserv-id, want what stands first in the "
			    "Authentication-Results of your mail server, such "
			    "as \"mx.example.com\"", text);
	return 0;
}

int
value_check_list_name(const char *text, struct fail *fail)
{
	if (!list_name_is_valid(span_str(text)))
		return fail_set(fail, FAIL_SETUP, "\"%.80s\" is no id of a "
		    "list: 1 to %d of a-z, 0-9 and -, the first not a -",
		    text, LIST_NAME_MAX);
	return 0;
}

/* It becomes part of a file's name. */
int
value_check_webhook_name(const char *text, struct fail *fail)
{
	if (!list_name_is_valid(span_str(text)))
		return fail_set(fail, FAIL_SETUP, "\"%.80s\" is no name of a "
		    "webhook: 1 to %d of a-z, 0-9 and -, the first not a -",
		    text, LIST_NAME_MAX);
	return 0;
}

/* Does http:// lead to this machine?  What is behind // . */
static bool
is_loopback(struct span authority)
{
	static const char *const hosts[] = { "127.0.0.1", "localhost",
	    "[::1]" };

	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		struct span host = span_str(hosts[i]);
		struct span rest = span_from(authority, host.len);

		if (span_has_prefix_nocase(authority, host) &&
		    (rest.len == 0 || rest.p[0] == ':'))
			return true;
	}
	return false;
}

int
value_check_webhook_url(const char *text, struct fail *fail)
{
	struct span s = span_str(text), authority;
	bool tls = span_has_prefix_nocase(s, SPAN("https://"));
	size_t len = 0;

	if (!tls && !span_has_prefix_nocase(s, SPAN("http://")))
		return fail_set(fail, FAIL_SETUP, "\"%.80s\" must start with "
		    "https://", text);
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '#')
			return fail_set(fail, FAIL_SETUP, "byte 0x%02X can't "
			    "stand in this URL; write it as %%%02X", s.p[i],
			    s.p[i]);
	authority = span_from(s, tls ? 8 : 7);
	while (len < authority.len && authority.p[len] != '/' &&
	    authority.p[len] != '?')
		len++;
	authority = span_head(authority, len);
	if (authority.len == 0)
		return fail_set(fail, FAIL_SETUP, "there is no host in this "
		    "URL, want one such as "
		    "\"https://crm.example.com/hooks/consent\"");
	/* Security: a secret in the file is soon in a backup, too. */
	if (span_index(authority, '@') != -1)
		return fail_set(fail, FAIL_SETUP, "user and password don't "
		    "belong in the URL: the signature tells who is calling");
	if (!tls && !is_loopback(authority))
		return fail_set(fail, FAIL_SETUP, "\"%.80s\" must start with "
		    "https://, for http:// goes to 127.0.0.1, [::1] or "
		    "localhost only", text);
	return 0;
}

int
value_check_list_id(const char *text, struct fail *fail)
{
	if (!list_id_is_valid(span_str(text)))
		return fail_set(fail, FAIL_SETUP, "\"%.80s\" is no List-Id, "
		    "want one such as \"weekly.news.example.com\" "
		    "(RFC 2919), without < and >", text);
	return 0;
}

/* RFC 5322 section 3.6.8: ftext. */
int
value_check_field_name(const char *text, struct fail *fail)
{
	for (const char *p = text; *p != '\0'; p++) {
		unsigned char c = (unsigned char)*p;

		if (c <= 0x20 || c >= 0x7f || c == ':')
			return fail_set(fail, FAIL_SETUP, "\"%.80s\" is no "
			    "name of a header field, want one such as "
			    "\"List-Id\": printable ASCII, no blank, no colon",
			    text);
	}
	return 0;
}

/* No name: it would be asked for before there is a network. */
int
value_check_listen(const char *text, struct fail *fail)
{
	struct span s = span_str(text), host;
	ptrdiff_t colon = span_rindex(s, ':');
	uint64_t port;

	if (span_has_prefix(s, SPAN("unix:")))
		return value_check_path(text + strlen("unix:"), fail);
	host = span_head(s, colon == -1 ? 0 : (size_t)colon);
	if (host.len == 0 || span_to_u64(span_from(s, (size_t)colon + 1),
	    &port) == -1 || port == 0 || port > 65535)
		return fail_set(fail, FAIL_SETUP, "\"%.80s\" is no place to "
		    "listen at, want \"127.0.0.1:8092\", \"[::1]:8092\" or "
		    "\"unix:/path\"", text);
	return 0;
}

int
value_check_notice(const char *text, struct fail *fail)
{
	if (!policy_notice_is_valid(span_str(text)))
		return fail_set(fail, FAIL_SETUP, "\"%s\" is not the ID of a "
		    "notice, a blank, and a major version, as in \"signup "
		    "3\"", text);
	return 0;
}

/* Everything about the file that can be wrong before it is read. */
static int
check_secret(const char *path, int fd, struct fail *fail)
{
	struct stat st;

	if (fd == -1 || fstat(fd, &st) == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%.150s", path);
	if (!S_ISREG(st.st_mode))
		return fail_set(fail, FAIL_SETUP,
		    "%.150s is not a regular file", path);
	if ((st.st_mode & (S_IROTH | S_IWOTH)) != 0)
		return fail_set(fail, FAIL_SETUP, "%.150s can be read or "
		    "written by everybody: chmod o-rw", path);
	return 0;
}

static int
take_secret(const char *path, char *text, size_t len, char **out,
    struct fail *fail)
{
	if (len > 0 && text[len - 1] == '\n')
		len--;
	if (len > 0 && text[len - 1] == '\r')
		len--;
	if (len == 0)
		return fail_set(fail, FAIL_SETUP,
		    "%.150s is empty; it must hold the password", path);
	if (len > PASSWORD_MAX || memchr(text, '\n', len) != NULL ||
	    memchr(text, '\0', len) != NULL)
		return fail_set(fail, FAIL_SETUP, "%.150s must hold the "
		    "password and nothing else, one line of at most %d bytes",
		    path, PASSWORD_MAX);
	*out = xmemdupz(text, len);
	return 0;
}

int
value_check_secret(const char *path, struct fail *fail)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int rc = check_secret(path, fd, fail);

	if (fd != -1)
		(void)close(fd);
	return rc;
}

int
value_read_password(const char *path, char **out, struct fail *fail)
{
	char text[PASSWORD_MAX + 8];
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	int rc = check_secret(path, fd, fail);
	ssize_t n = 0;

	if (rc == 0) {
		n = read(fd, text, sizeof(text));
		if (n == -1)
			rc = fail_errno(fail, FAIL_SETUP, errno, "%.150s",
			    path);
		else
			rc = take_secret(path, text, (size_t)n, out, fail);
		crypto_wipe(text, sizeof(text));
	}
	if (fd != -1)
		(void)close(fd);
	return rc;
}
