/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What is refused before anything is sent.  What is sent is tested against real
 * servers (tests/integration/test_net.py).
 */
#include "net/http.h"
#include "net/net.h"
#include "net/smtp.h"

#include "check.h"

#define MESSAGE	SPAN("Subject: x\r\n\r\nx\r\n")
/* Nobody listens there. */
#define NOBODY	"127.0.0.1:1"

static void
test_servers(void)
{
	static const struct {
		const char	*server;
		enum fail_class	 class;
	} cases[] = {
		{ "", FAIL_SETUP },
		{ ":25", FAIL_SETUP },
		{ "127.0.0.1:", FAIL_SETUP },
		{ "127.0.0.1:0", FAIL_SETUP },
		{ "127.0.0.1:65536", FAIL_SETUP },
		{ "127.0.0.1:smtp", FAIL_SETUP },
		{ "127.0.0.1:025", FAIL_SETUP },
		{ "host/path:25", FAIL_SETUP },
		{ "user@host:25", FAIL_SETUP },
		{ "host?x:25", FAIL_SETUP },
		{ "host#x:25", FAIL_SETUP },
		{ "ho st:25", FAIL_SETUP },
		{ "host\r\nX:25", FAIL_SETUP },
		{ "::1:25", FAIL_SETUP },
		{ "[]:25", FAIL_SETUP },
		{ "[::1", FAIL_SETUP },
		{ "[::1]x:25", FAIL_SETUP },
		{ "[::1]:x", FAIL_SETUP },
		{ NOBODY, FAIL_TEMP },
		{ "[::1]:1", FAIL_TEMP },
		{ "localhost:1", FAIL_TEMP },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct smtp_options options = { .server = cases[i].server,
		    .envelope_sender = "", .recipient = "a@example.org",
		    .timeout_ms = 5000 };
		struct fail fail = { 0 };

		check_case((long)i);
		CHECK_INT(smtp_send(&options, MESSAGE, &fail), -1);
		CHECK_INT(fail.class, cases[i].class);
		CHECK(fail.text[0] != '\0');
	}
}

static void
test_addresses(void)
{
	char longest[322], longer[323];
	const struct {
		const char	*sender, *recipient;
		enum fail_class	 class;
	} cases[] = {
		{ "", "", FAIL_INPUT },
		{ "", "a@example.org\r\nRCPT TO:<b@example.org>", FAIL_INPUT },
		{ "", "a\n@example.org", FAIL_INPUT },
		{ "", "a>@example.org", FAIL_INPUT },
		{ "", "<a@example.org", FAIL_INPUT },
		{ "", "a@example.org NOTIFY=NEVER", FAIL_INPUT },
		{ "", "a\t@example.org", FAIL_INPUT },
		{ "", "a\x7f@example.org", FAIL_INPUT },
		{ "x> SIZE=1", "a@example.org", FAIL_INPUT },
		{ "x\r\n", "a@example.org", FAIL_INPUT },
		{ "", "\"a\"@example.org NOTIFY=NEVER", FAIL_INPUT },
		{ "", "\"a b\"@example.org", FAIL_TEMP },
		{ "", longest, FAIL_TEMP },
		{ "", longer, FAIL_INPUT },
		{ "x@example.org", "a@example.org", FAIL_TEMP },
		{ "", "\xc3\xa5@example.org", FAIL_TEMP },
	};

	memset(longest, 'a', sizeof(longest));
	memset(longer, 'a', sizeof(longer));
	memcpy(longest + 310, "@a.example", 11);
	memcpy(longer + 311, "@a.example", 11);
	longest[320] = longer[321] = '\0';
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct smtp_options options = { .server = NOBODY,
		    .envelope_sender = cases[i].sender,
		    .recipient = cases[i].recipient, .timeout_ms = 5000 };
		struct fail fail = { 0 };

		check_case((long)i);
		CHECK_INT(smtp_send(&options, MESSAGE, &fail), -1);
		CHECK_INT(fail.class, cases[i].class);
	}
}

static void
test_requests(void)
{
	static const struct {
		const char	*method, *url, *ca_file;
		enum fail_class	 class;
	} cases[] = {
		{ "GET", "", NULL, FAIL_SETUP },
		{ "GET", "ftp://" NOBODY "/", NULL, FAIL_SETUP },
		{ "GET", "file:///etc/passwd", NULL, FAIL_SETUP },
		{ "GET", "smtp://" NOBODY "/", NULL, FAIL_SETUP },
		{ "GET", "http://", NULL, FAIL_SETUP },
		{ "GET", "http://" NOBODY "/a b", NULL, FAIL_SETUP },
		{ "GET", "http://" NOBODY "/\r\nX: y", NULL, FAIL_SETUP },
		{ "GET", "http://\xc3\xa5.example/", NULL, FAIL_SETUP },
		{ "PUT", "http://" NOBODY "/", NULL, FAIL_SETUP },
		{ "GET", "http://" NOBODY "/", NULL, FAIL_TEMP },
		{ "HEAD", "http://" NOBODY "/", NULL, FAIL_TEMP },
		{ "POST", "https://" NOBODY "/", NULL, FAIL_TEMP },
		{ "POST", "HTTPS://" NOBODY "/", NULL, FAIL_TEMP },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http_request request = { .url = cases[i].url,
		    .method = cases[i].method, .body = SPAN("x"),
		    .ca_file = cases[i].ca_file, .timeout_ms = 5000 };
		struct http_answer answer;
		struct fail fail = { 0 };

		check_case((long)i);
		CHECK_INT(http_send(&request, &answer, &fail), -1);
		CHECK_INT(fail.class, cases[i].class);
		CHECK(fail.text[0] != '\0');
		CHECK(strstr(fail.text, "/a b") == NULL);
	}
}

static const struct check_test tests[] = {
	{ "servers", test_servers },
	{ "addresses", test_addresses },
	{ "requests", test_requests },
};

int
main(void)
{
	net_open();
	return check_main("test_net", tests, sizeof(tests) / sizeof(tests[0]));
}
