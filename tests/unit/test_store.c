/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The parts of the store that need no Redis: URLs, requests, replies.
 */
#include "store/private.h"

#include "check.h"

static void
test_url(void)
{
	static const struct {
		const char *text;
		int rc;
		const char *path, *host, *port;
		unsigned database;
	} cases[] = {
		{ "unix:/run/redis/redis.sock", 0, "/run/redis/redis.sock",
		    "", "", 0 },
		{ "unix:/r?db=15", 0, "/r", "", "", 15 },
		{ "unix:/r?db=0", 0, "/r", "", "", 0 },
		{ "unix:/r?db=16", -1, "", "", "", 0 },
		{ "unix:/r?db=", -1, "", "", "", 0 },
		{ "unix:/r?db=01", -1, "", "", "", 0 },
		{ "unix:/r?DB=1", -1, "", "", "", 0 },
		{ "unix:/r?", -1, "", "", "", 0 },
		{ "unix:/", -1, "", "", "", 0 },
		{ "unix:r", -1, "", "", "", 0 },
		{ "unix:", -1, "", "", "", 0 },
		{ "redis://h", 0, "", "h", "6379", 0 },
		{ "redis://h/", 0, "", "h", "6379", 0 },
		{ "redis://h/3", 0, "", "h", "6379", 3 },
		{ "redis://a-b_c.example.com:1/15", 0, "",
		    "a-b_c.example.com", "1", 15 },
		{ "redis://127.0.0.1:65535", 0, "", "127.0.0.1", "65535", 0 },
		{ "redis://[::1]", 0, "", "::1", "6379", 0 },
		{ "redis://[fe80::1%eth0]:7000/1", 0, "", "fe80::1%eth0",
		    "7000", 1 },
		{ "redis://[::1]x", -1, "", "", "", 0 },
		{ "redis://[::1", -1, "", "", "", 0 },
		{ "redis://[]", -1, "", "", "", 0 },
		{ "redis://::1", -1, "", "", "", 0 },
		{ "redis://h:", -1, "", "", "", 0 },
		{ "redis://h:0", -1, "", "", "", 0 },
		{ "redis://h:65536", -1, "", "", "", 0 },
		{ "redis://h:6379x", -1, "", "", "", 0 },
		{ "redis://h:18446744073709551617", -1, "", "", "", 0 },
		{ "redis://h/16", -1, "", "", "", 0 },
		{ "redis://h/1/2", -1, "", "", "", 0 },
		{ "redis://h?db=1", -1, "", "", "", 0 },
		{ "redis://", -1, "", "", "", 0 },
		{ "redis:///1", -1, "", "", "", 0 },
		{ "redis://user:secret@h", -1, "", "", "", 0 },
		{ "redis://h\n", -1, "", "", "", 0 },
		{ "redis://h h", -1, "", "", "", 0 },
		{ "redis://h\xc3\xa4", -1, "", "", "", 0 },
		{ "rediss://h", 0, "", "h", "6379", 0 },
		{ "rediss://[::1]:1/2", 0, "", "::1", "1", 2 },
		{ "rediss://u:secret@h", -1, "", "", "", 0 },
		{ "rediss:/h", -1, "", "", "", 0 },
		{ "REDISS://h", -1, "", "", "", 0 },
		{ "REDIS://h", -1, "", "", "", 0 },
		{ "tcp://h", -1, "", "", "", 0 },
		{ "", -1, "", "", "", 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct url url;
		struct fail fail = { .class = FAIL_BUG };

		check_case((long)i);
		CHECK_INT(store_url_check(cases[i].text, &fail), cases[i].rc);
		CHECK_INT(url_parse(cases[i].text, &url, &fail), cases[i].rc);
		if (cases[i].rc == -1) {
			CHECK_INT(fail.class, FAIL_SETUP);
			CHECK(strstr(fail.text, "secret") == NULL);
			continue;
		}
		CHECK_STR(url.path, cases[i].path);
		CHECK_STR(url.host, cases[i].host);
		CHECK_STR(url.port, cases[i].port);
		CHECK_INT(url.database, cases[i].database);
		CHECK_INT(url.is_unix, cases[i].path[0] != '\0');
		CHECK_INT(url.is_tls, strstr(cases[i].text, "ss:") != NULL);
	}
}

static void
test_url_length(void)
{
	char text[400];
	struct fail fail;

	for (size_t len = 106; len <= 109; len++) {
		(void)snprintf(text, sizeof(text), "unix:/%0*d",
		    (int)len - 1, 0);
		CHECK_INT(store_url_check(text, &fail), len < 108 ? 0 : -1);
	}
	for (size_t len = 254; len <= 257; len++) {
		(void)snprintf(text, sizeof(text), "redis://%0*d", (int)len,
		    0);
		CHECK_INT(store_url_check(text, &fail), len < 256 ? 0 : -1);
	}
}

static void
test_command(void)
{
	struct buf b = BUF_INIT(1000);
	struct subject s = { { 0x01, 0xab, [15] = 0xff } };
	static const char want[] = "*3\r\n$4\r\nA\0\r\n\r\n$0\r\n\r\n"
	    "$34\r\nc:01ab00000000000000000000000000ff\r\n";

	command_begin(&b, 3);
	command_add(&b, span_of("A\0\r\n", 4));
	command_add(&b, span_of(NULL, 0));
	command_key(&b, &s, 1);
	CHECK_BYTES(b.data, b.len, want, sizeof(want) - 1);
	buf_clear(&b);
	command_format(&b, "AUTH", "0123456789", (char *)NULL);
	CHECK_STR(buf_get(&b), "*2\r\n$4\r\nAUTH\r\n$10\r\n0123456789\r\n");
	buf_fini(&b);
}

/* The first reply in bytes, NULL when there is none. */
static struct reply *
reply_of(struct span bytes)
{
	struct reply_reader *reader = reply_reader_new();
	struct reply *reply = NULL;
	struct fail fail;

	if (reply_reader_feed(reader, bytes.p, bytes.len, &fail) == -1 ||
	    reply_reader_next(reader, 4096, &reply, &fail) != 1)
		reply = NULL;
	reply_reader_free(&reader);
	return reply;
}

static void
test_reader(void)
{
	static const char text[] = "+OK\r\n:-7\r\n$3\r\na\0b\r\n$-1\r\n-ERR x\r\n"
	    "*2\r\n$1\r\nx\r\n:1\r\n*0\r\n";
	static const enum reply_type want[] = { REPLY_STATUS, REPLY_INTEGER,
	    REPLY_STRING, REPLY_NIL, REPLY_ERROR, REPLY_ARRAY, REPLY_ARRAY };
	struct reply_reader *reader = reply_reader_new();
	struct reply *reply;
	struct fail fail;
	size_t n = 0;

	/* A byte at a time. */
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		CHECK_INT(reply_reader_feed(reader, text + i, 1, &fail), 0);
		while (reply_reader_next(reader, 20, &reply, &fail) == 1) {
			check_case((long)n);
			CHECK_INT(reply->type, n < 7 ? (int)want[n] : -1);
			if (n == 1)
				CHECK_INT(reply->integer, -7);
			if (n == 2)
				CHECK_BYTES(reply->text, reply->len, "a\0b",
				    3);
			if (n == 5)
				CHECK_INT(reply->elements[1]->integer, 1);
			n++;
			reply_free(&reply);
			CHECK(reply == NULL);
		}
	}
	CHECK_INT(n, 7);
	/* The limit is for one reply, not for all. */
	check_case(-1);
	CHECK_INT(reply_reader_feed(reader, "$20\r\n", 5, &fail), 0);
	CHECK_INT(reply_reader_next(reader, 20, &reply, &fail), 0);
	CHECK_INT(reply_reader_feed(reader, "0123456789012345", 16, &fail), 0);
	CHECK_INT(reply_reader_next(reader, 20, &reply, &fail), -1);
	CHECK_INT(fail.class, FAIL_TEMP);
	reply_reader_free(&reader);
	reply_reader_free(&reader);
}

static void
test_reader_refuses(void)
{
	static const char *const cases[] = {
		"x\r\n", "*2147483647\r\n", "*16385\r\n", "*-2\r\n",
		"*1\r\n*0\r\n", "$-2\r\n", "$x\r\n", "*99999999999999999999\r\n",
		"%1\r\n+a\r\n+b\r\n", "_\r\n", "#t\r\n", ",1.5\r\n",
		"\r\n", ">1\r\n+x\r\n", "$1\r\n", "+OK",
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reply *reply = reply_of(span_str(cases[i]));

		check_case((long)i);
		CHECK(reply == NULL);
		reply_free(&reply);
	}
}

static void
test_record(void)
{
	static const struct {
		const char *text;
		int rc;
		int64_t grant_ms, object_ms;
	} cases[] = {
		{ "*2\r\n$-1\r\n$-1\r\n", 0, 0, 0 },
		{ "*2\r\n$2\r\ng5\r\n$-1\r\n", 1, 5, 0 },
		{ "*2\r\n$-1\r\n$2\r\no6\r\n", 1, 0, 6 },
		{ "*2\r\n$2\r\ng5\r\n$2\r\no6\r\n", 1, 5, 6 },
		/* Good halves of bad records are not consent. */
		{ "*2\r\n$2\r\ng5\r\n$2\r\nx6\r\n", -1, 0, 0 },
		{ "*2\r\n$3\r\ng5 \r\n$-1\r\n", -1, 0, 0 },
		{ "*2\r\n$3\r\ng5\0\r\n$-1\r\n", -1, 0, 0 },
		{ "*2\r\n$0\r\n\r\n$-1\r\n", -1, 0, 0 },
		{ "*2\r\n:5\r\n$-1\r\n", -1, 0, 0 },
		{ "*2\r\n+g5\r\n$-1\r\n", -1, 0, 0 },
		{ "*2\r\n$2\r\ng5\r\n-o6\r\n", -1, 0, 0 },
		{ "*1\r\n$2\r\ng5\r\n", -1, 0, 0 },
		{ "*3\r\n$2\r\ng5\r\n$-1\r\n$-1\r\n", -1, 0, 0 },
		{ "*0\r\n", -1, 0, 0 },
		{ "*-1\r\n", -1, 0, 0 },
		{ "$2\r\ng5\r\n", -1, 0, 0 },
		{ ":1\r\n", -1, 0, 0 },
		{ "+g5\r\n", -1, 0, 0 },
		{ "-g5\r\n", -1, 0, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct record r = { .confirm_ms = 1 };
		struct fail fail = { .class = FAIL_BUG };
		struct reply *reply;

		check_case((long)i);
		/* The NUL in one of them is meant. */
		reply = i == 6 ? reply_of(
		    SPAN("*2\r\n$3\r\ng5\0\r\n$-1\r\n")) :
		    reply_of(span_str(cases[i].text));
		CHECK(reply != NULL);
		if (reply == NULL)
			continue;
		CHECK_INT(reply_to_record(reply, &r, &fail), cases[i].rc);
		CHECK_INT(r.grant_ms, cases[i].grant_ms);
		CHECK_INT(r.object_ms, cases[i].object_ms);
		CHECK_INT(r.confirm_ms, 0);
		if (cases[i].rc == -1)
			CHECK_INT(fail.class, FAIL_TEMP);
		reply_free(&reply);
	}
}

static void
count_visit(const char *list, const struct record *record,
    const struct evidence *evidence, void *context)
{
	char *seen = context;
	size_t len = strlen(seen);

	(void)snprintf(seen + len, 200 - len, "%s,%d,%d,%s;", list,
	    (int)record->grant_ms, (int)record->object_ms,
	    evidence != NULL ? evidence->source : "-");
}

static void
test_visit(void)
{
	static const struct {
		const char *text;
		int rc;
		const char *seen;
	} cases[] = {
		{ "*0\r\n", 0, "" },
		{ "*2\r\n$1\r\n*\r\n$2\r\no6\r\n", 1, ",0,6,-;" },
		{ "*2\r\n$1\r\na\r\n$2\r\ng5\r\n", 1, ",0,0,-;a,5,0,-;" },
		/* Sorted, with evidence of its own list and grant only. */
		{ "*12\r\n$1\r\nb\r\n$2\r\ng5\r\n$3\r\na.e\r\n$11\r\n"
		    "g5 source=x\r\n$1\r\na\r\n$2\r\ng5\r\n$1\r\n*\r\n$2\r\n"
		    "o6\r\n$3\r\nb.e\r\n$11\r\ng4 source=y\r\n$2\r\nab\r\n"
		    "$2\r\ng7\r\n", 1,
		    ",0,6,-;a,5,6,x;ab,7,6,-;b,5,6,-;" },
		{ "*1\r\n$1\r\na\r\n", -1, "" },
		{ "*2\r\n$1\r\na\r\n$-1\r\n", -1, "" },
		{ "*2\r\n$1\r\na\r\n:5\r\n", -1, "" },
		{ "*2\r\n$1\r\na\r\n$2\r\nx5\r\n", -1, "" },
		{ "*2\r\n$1\r\nA\r\n$2\r\ng5\r\n", -1, "" },
		{ "*2\r\n$0\r\n\r\n$2\r\ng5\r\n", -1, "" },
		{ "*2\r\n$2\r\n.e\r\n$2\r\ng5\r\n", -1, "" },
		{ "*2\r\n$3\r\na.e\r\n$1\r\nx\r\n", -1, "" },
		{ "*4\r\n$1\r\na\r\n$2\r\ng5\r\n$1\r\na\r\n$2\r\ng6\r\n", -1,
		    "" },
		{ "*4\r\n$1\r\na\r\n$2\r\ng5\r\n$1\r\n*\r\n$2\r\ng6\r\n", -1,
		    "" },
		{ "-WRONGTYPE x\r\n", -1, "" },
		{ "+OK\r\n", -1, "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reply *reply = reply_of(span_str(cases[i].text));
		struct fail fail;
		char seen[200] = "";

		check_case((long)i);
		CHECK(reply != NULL);
		if (reply == NULL)
			continue;
		CHECK_INT(reply_visit(reply, count_visit, seen, &fail),
		    cases[i].rc);
		CHECK_STR(seen, cases[i].seen);
		reply_free(&reply);
	}
}

static void
test_errors(void)
{
	struct reply *reply = reply_of(span_str("-NOPERM no\x07\x1b[0m\r\n"));
	struct fail fail;
	char text[300];

	CHECK(reply_is_error(reply, "NOPERM"));
	CHECK(!reply_is_error(reply, "NOPE"));
	CHECK_INT(reply_fail(reply, &fail), -1);
	CHECK_STR(fail.text, "Redis answered: NOPERM no??[0m");
	reply_free(&reply);
	(void)snprintf(text, sizeof(text), "-%0200d\r\n", 7);
	reply = reply_of(span_str(text));
	(void)reply_fail(reply, &fail);
	CHECK_INT(strlen(fail.text), strlen("Redis answered: ") + 100);
	reply_free(&reply);
}

static void
test_info(void)
{
	static const struct {
		const char *text;
		int rc;
		const char *version;
	} cases[] = {
		{ "$42\r\n# Server\r\nredis_version:7.0.15\r\nredis_x:1\r\n\r\n"
		    "\r\n", 0, "Redis 7.0.15" },
		{ "$19\r\nredis_version:6.0.0\r\n", 0, "Redis 6.0.0" },
		{ "$20\r\nredis_version:10.0.0\r\n", 0, "Redis 10.0.0" },
		{ "$45\r\nredis_version:7.2.4\r\nvalkey_version:8.0.1\r\n\r\n"
		    "\r\n", 0, "Valkey 8.0.1" },
		{ "$66\r\nredis_version:7.2.4\r\nvalkey_version:"
		    "123456789012345678012345678901\r\n", 0,
		    "Valkey 123456789012345678012345" },
		{ "$20\r\nredis_version:5.0.14\r\n", -1, "Redis 5.0.14" },
		{ "$20\r\nxredis_version:7.0.1\r\n", -1, "" },
		{ "$15\r\nredis_version:x\r\n", -1, "" },
		{ "$14\r\nredis_version:\r\n", -1, "" },
		{ "$0\r\n\r\n", -1, "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reply *reply = reply_of(span_str(cases[i].text));
		char version[32] = "";
		struct fail fail;

		check_case((long)i);
		CHECK(reply != NULL);
		if (reply == NULL)
			continue;
		CHECK_INT(handshake_check_version(reply, version,
		    sizeof(version), &fail), cases[i].rc);
		CHECK_STR(version, cases[i].version);
		if (cases[i].rc == -1)
			CHECK_INT(fail.class, FAIL_SETUP);
		CHECK_INT(handshake_check_policy(reply, &fail), -1);
		reply_free(&reply);
	}
}

static void
test_role(void)
{
	static const struct {
		const char	*text;
		int		 rc;
		enum fail_class	 class;
	} cases[] = {
		{ "$11\r\nrole:master\r\n", 0, FAIL_TEMP },
		{ "$13\r\n\r\nrole:master\r\n", 0, FAIL_TEMP },
		{ "$10\r\nrole:slave\r\n", -1, FAIL_TEMP },
		{ "$12\r\nrole:masters\r\n", -1, FAIL_TEMP },
		{ "$0\r\n\r\n", -1, FAIL_TEMP },
		{ "+role:master\r\n", -1, FAIL_TEMP },
		{ "-NOPERM no\r\n", -1, FAIL_SETUP },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reply *reply = reply_of(span_str(cases[i].text));
		struct fail fail = { .class = FAIL_TEMP };

		check_case((long)i);
		CHECK(reply != NULL);
		CHECK_INT(handshake_check_role(reply, &fail), cases[i].rc);
		CHECK_INT(fail.class, cases[i].class);
		reply_free(&reply);
	}
}

static void
test_sentinel(void)
{
#define DETAILS	"*4\r\n$4\r\nname\r\n$1\r\nm\r\n" \
		"$12\r\nconfig-epoch\r\n$2\r\n12\r\n"
	static const struct {
		const char	*address, *details;
		const char	*host, *port;	/* "": refused */
	} cases[] = {
		{ "*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n", DETAILS,
		  "127.0.0.1", "6379" },
		{ "*2\r\n$3\r\n::1\r\n$5\r\n65535\r\n", DETAILS,
		  "::1", "65535" },
		{ "*2\r\n$3\r\na-b\r\n$1\r\n1\r\n", DETAILS, "a-b", "1" },
		{ "*-1\r\n", "-ERR No such master\r\n", "", "" },
		{ "*2\r\n$3\r\na/b\r\n$1\r\n1\r\n", DETAILS, "", "" },
		{ "*2\r\n$0\r\n\r\n$1\r\n1\r\n", DETAILS, "", "" },
		{ "*2\r\n$1\r\na\r\n$1\r\n0\r\n", DETAILS, "", "" },
		{ "*2\r\n$1\r\na\r\n$5\r\n65536\r\n", DETAILS, "", "" },
		{ "*2\r\n$1\r\na\r\n:1\r\n", DETAILS, "", "" },
		{ "*1\r\n$1\r\na\r\n", DETAILS, "", "" },
		{ "$1\r\na\r\n", DETAILS, "", "" },
		{ "-NOAUTH Authentication required.\r\n", DETAILS, "", "" },
		{ "*2\r\n$1\r\na\r\n$1\r\n1\r\n", "*0\r\n", "", "" },
		{ "*2\r\n$1\r\na\r\n$1\r\n1\r\n",
		  "*1\r\n$12\r\nconfig-epoch\r\n", "", "" },
		{ "*2\r\n$1\r\na\r\n$1\r\n1\r\n",
		  "*2\r\n$12\r\nconfig-epoch\r\n$1\r\nx\r\n", "", "" },
		{ "*2\r\n$1\r\na\r\n$1\r\n1\r\n", "+OK\r\n", "", "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reply *address = reply_of(span_str(cases[i].address));
		struct reply *details = reply_of(span_str(cases[i].details));
		struct primary p = { .url.is_tls = true };
		struct fail fail = { .class = FAIL_BUG };
		bool good = cases[i].host[0] != '\0';

		check_case((long)i);
		CHECK(address != NULL && details != NULL);
		CHECK_INT(sentinel_read(address, details, &p, &fail),
		    good ? 0 : -1);
		if (good) {
			CHECK_STR(p.url.host, cases[i].host);
			CHECK_STR(p.url.port, cases[i].port);
			CHECK_INT(p.epoch, 12);
		} else
			CHECK_INT(fail.class, FAIL_TEMP);
		CHECK(p.url.is_tls);
		reply_free(&address);
		reply_free(&details);
	}
#undef DETAILS
}

#define HISTORY	"0123456789abcdef0123456789abcdef01234567"
#define OTHER	"0123456789abcdef0123456789abcdef01234568"

static void
test_position(void)
{
	static const struct {
		const char	*text;
		int		 rc;
		bool		 is_primary, is_linked;
		uint64_t	 offset;
	} cases[] = {
		{ "role:master\r\nmaster_replid:" HISTORY "\r\n"
		  "master_repl_offset:12\r\n", 0, true, true, 12 },
		{ "role:slave\r\nmaster_link_status:up\r\n"
		  "slave_read_repl_offset:9\r\nslave_repl_offset:7\r\n"
		  "master_replid:" HISTORY "\r\nmaster_repl_offset:12\r\n",
		  0, false, true, 7 },
		{ "role:slave\r\nmaster_link_status:down\r\n"
		  "slave_repl_offset:7\r\nmaster_replid:" HISTORY "\r\n",
		  0, false, false, 7 },
		{ "role:slave\r\nslave_repl_offset:18446744073709551615\r\n"
		  "master_replid:" HISTORY "\r\n", 0, false, false,
		  UINT64_MAX },
		{ "role:slave\r\nmaster_replid:" HISTORY "\r\n"
		  "master_repl_offset:12\r\n", -1, false, false, 0 },
		{ "role:slave\r\nslave_repl_offset:-1\r\n"
		  "master_replid:" HISTORY "\r\n", -1, false, false, 0 },
		{ "role:master\r\nmaster_replid:" HISTORY "8\r\n"
		  "master_repl_offset:12\r\n", -1, true, true, 0 },
		{ "role:master\r\nmaster_replid:?\r\n"
		  "master_repl_offset:12\r\n", -1, true, true, 0 },
		{ "role:master\r\nmaster_repl_offset:12\r\n", -1, true, true,
		  0 },
		{ "role:sentinel\r\nmaster_replid:" HISTORY "\r\n"
		  "master_repl_offset:12\r\n", -1, false, false, 0 },
		{ "", -1, false, false, 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf text = BUF_INIT(512);
		struct reply *reply;
		struct position p;
		struct fail fail;

		check_case((long)i);
		buf_addf(&text, "$%zu\r\n%s\r\n", strlen(cases[i].text),
		    cases[i].text);
		reply = reply_of(buf_span(&text));
		CHECK_INT(freshness_read(reply, &p, &fail), cases[i].rc);
		if (cases[i].rc == 0) {
			CHECK_INT(p.is_primary, cases[i].is_primary);
			CHECK_INT(p.is_linked, cases[i].is_linked);
			CHECK(p.offset == cases[i].offset);
			CHECK_STR(p.history, HISTORY);
		} else
			CHECK_INT(fail.class, FAIL_TEMP);
		reply_free(&reply);
		buf_fini(&text);
	}
}

static struct position
position_of(const char *history, uint64_t offset, bool is_primary,
    bool is_linked)
{
	struct position p = { .offset = offset, .is_primary = is_primary,
	    .is_linked = is_linked };

	memcpy(p.history, history, HISTORY_ID_LEN);
	return p;
}

/* The primary writes a byte each millisecond, and is asked each 25. */
static void
test_freshness(void)
{
	struct freshness f = { .within_ms = 100 };
	struct position p = position_of(HISTORY, 0, false, true);
	struct fail fail;

	CHECK_INT(freshness_add(&f, &p, 0, &fail), -1);
	check_case(1);	/* nobody was asked yet */
	CHECK_INT(freshness_prove(&f, &p, 1, &fail), -1);
	CHECK(!freshness_holds(&f, 0));
	for (int ms = 1000; ms <= 2000; ms += 25) {
		p = position_of(HISTORY, (uint64_t)ms, true, true);
		CHECK_INT(freshness_add(&f, &p, ms, &fail), 0);
	}
	check_case(2);	/* it has everything, and more */
	p = position_of(HISTORY, 2010, false, true);
	CHECK_INT(freshness_prove(&f, &p, 7, &fail), 0);
	CHECK_INT(f.proven_ms, 2000);
	CHECK_INT(f.connection, 7);
	CHECK(freshness_holds(&f, 2100));
	CHECK(!freshness_holds(&f, 2101));
	check_case(3);	/* it lags by 40 ms */
	p = position_of(HISTORY, 1960, false, true);
	CHECK_INT(freshness_prove(&f, &p, 7, &fail), 0);
	CHECK(f.proven_ms <= 1960 && f.proven_ms > 1960 - 25);
	check_case(4);	/* by as much as twice the bound */
	p = position_of(HISTORY, 1800, false, true);
	CHECK_INT(freshness_prove(&f, &p, 7, &fail), 0);
	CHECK(f.proven_ms <= 1800);
	CHECK(!freshness_holds(&f, 2000));
	check_case(5);	/* without its link it only grows older */
	p = position_of(HISTORY, 2000, false, true);
	CHECK_INT(freshness_prove(&f, &p, 7, &fail), 0);
	p = position_of(HISTORY, 2500, false, false);
	CHECK_INT(freshness_prove(&f, &p, 8, &fail), -1);
	CHECK_INT(f.proven_ms, 2000);
	CHECK_INT(f.connection, 7);
	check_case(6);	/* out of sight */
	p = position_of(HISTORY, 999, false, true);
	CHECK_INT(freshness_prove(&f, &p, 7, &fail), -1);
	CHECK(!freshness_holds(&f, 2000));
	check_case(7);	/* another history */
	p = position_of(OTHER, 5000, false, true);
	CHECK_INT(freshness_prove(&f, &p, 7, &fail), -1);
	CHECK(!freshness_holds(&f, 2000));
	check_case(8);	/* to which the primary goes over, from behind */
	p = position_of(OTHER, 10, true, true);
	CHECK_INT(freshness_add(&f, &p, 2025, &fail), 0);
	p = position_of(OTHER, 10, false, true);
	CHECK_INT(freshness_prove(&f, &p, 7, &fail), 0);
	CHECK_INT(f.proven_ms, 2025);
}

static const struct check_test tests[] = {
	{ "position", test_position },
	{ "freshness", test_freshness },
	{ "role", test_role },
	{ "sentinel", test_sentinel },
	{ "url", test_url },
	{ "url length", test_url_length },
	{ "command", test_command },
	{ "reader", test_reader },
	{ "reader refuses", test_reader_refuses },
	{ "record", test_record },
	{ "visit", test_visit },
	{ "errors", test_errors },
	{ "info", test_info },
};

CHECK_MAIN("test_store", tests)
