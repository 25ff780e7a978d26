/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * net/ from the command line, for the integration tests:
 *
 *	netcall smtp SERVER SENDER RECIPIENT MS < message
 *	netcall http METHOD URL MS [ca=FILE] [to=CONNECT_TO] [NAME: VALUE]... < body
 *
 * Prints "ok", and what an answer has, or "CLASS TEXT".  With MS below 0 an
 * http call is cancelled that long after its start.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/buf.h"
#include "base/clock.h"
#include "net/http.h"
#include "net/net.h"
#include "net/smtp.h"

#define INPUT_MAX	(8 * 1024 * 1024)
#define HEADERS_MAX	20

static int64_t cancel_at_ms;

static bool
is_over(void *context)
{
	(void)context;
	return clock_monotonic_ms() >= cancel_at_ms;
}

static void
read_input(struct buf *out)
{
	char piece[4096];
	size_t n;

	while ((n = fread(piece, 1, sizeof(piece), stdin)) > 0)
		buf_add(out, piece, n);
}

static int
print_fail(const struct fail *fail)
{
	static const char *const names[] = { "INPUT", "TEMP", "SETUP", "BUG" };

	printf("%s %s\n", names[fail->class], fail->text);
	return EX_OK;
}

static int
call_smtp(char **argv, struct span message)
{
	struct smtp_options options = { .server = argv[0],
	    .envelope_sender = argv[1], .recipient = argv[2],
	    .timeout_ms = (int)strtol(argv[3], NULL, 10) };
	struct fail fail;

	if (smtp_send(&options, message, &fail) == -1)
		return print_fail(&fail);
	puts("ok");
	return EX_OK;
}

static int
call_http(int argc, char **argv, struct span body)
{
	const char *headers[HEADERS_MAX + 1] = { NULL };
	struct http_request request = { .method = argv[0], .url = argv[1],
	    .body = body, .timeout_ms = (int)strtol(argv[2], NULL, 10),
	    .headers = headers };
	struct http_answer answer;
	struct fail fail;
	size_t n = 0;

	if (request.timeout_ms < 0) {
		cancel_at_ms = clock_monotonic_ms() - request.timeout_ms;
		request.timeout_ms = 60000;
		request.is_stopped = is_over;
	}
	for (int i = 3; i < argc; i++)
		if (strncmp(argv[i], "ca=", 3) == 0)
			request.ca_file = argv[i] + 3;
		else if (strncmp(argv[i], "to=", 3) == 0)
			request.connect_to = argv[i] + 3;
		else if (n < HEADERS_MAX)
			headers[n++] = argv[i];
	if (http_send(&request, &answer, &fail) == -1)
		return print_fail(&fail);
	printf("ok %d %zu %" PRId64 " %s\n", answer.status, answer.body.len,
	    answer.certificate_ends_ms, answer.location != NULL ?
	    answer.location : "-");
	http_answer_fini(&answer);
	return EX_OK;
}

int
main(int argc, char **argv)
{
	struct buf input = BUF_INIT(INPUT_MAX);
	int rc = EX_USAGE;

	net_open();
	read_input(&input);
	if (argc == 6 && strcmp(argv[1], "smtp") == 0)
		rc = call_smtp(argv + 2, buf_span(&input));
	else if (argc >= 5 && strcmp(argv[1], "http") == 0)
		rc = call_http(argc - 2, argv + 2, buf_span(&input));
	buf_fini(&input);
	return rc;
}
