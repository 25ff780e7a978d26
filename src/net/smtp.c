/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "net/smtp.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define SERVER_MAX	255	/* bytes */
#define URL_MORE	32
#define ADDRESS_MAX	(64 + 1 + 255)	/* RFC 5321 section 4.5.3.1 */

struct upload {
	struct span	 rest;		/* of the message */
	/* Of a refusal: "550 5.1.1". */
	char		 codes[SMTP_CODES_ROOM];
};

/* host[:port] or [IPv6][:port]; nothing that means more in a URL. */
static bool
server_is_valid(struct span server)
{
	struct span host = server, port = SPAN("25");
	ptrdiff_t colon = span_rindex(server, ':');
	ptrdiff_t bracket = span_rindex(server, ']');
	uint64_t number;

	if (colon != -1 && colon > bracket) {
		host = span_head(server, (size_t)colon);
		port = span_from(server, (size_t)colon + 1);
	}
	if (server.len > SERVER_MAX || host.len == 0 ||
	    span_to_u64(port, &number) == -1 || number < 1 || number > 65535)
		return false;
	if (bracket != -1) {
		if (host.len < 4 || host.p[0] != '[' ||
		    host.p[host.len - 1] != ']')
			return false;
		host = span_head(span_from(host, 1), host.len - 2);
	}
	for (size_t i = 0; i < host.len; i++)
		if (!ascii_isalnum(host.p[i]) && host.p[i] != '.' &&
		    host.p[i] != (bracket != -1 ? ':' : '-'))
			return false;
	return true;
}

/* Security: nothing that ends the command, and no blank, behind which a
 * parameter could follow, but in a quoted local part. */
static bool
address_is_valid(const char *address)
{
	size_t len = strlen(address);
	const char *quote = address[0] == '"' ? strrchr(address, '"') :
	    address;

	for (const char *p = address; *p != '\0'; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f || *p == '<' ||
		    *p == '>' || (*p == ' ' && p >= quote))
			return false;
	return len <= ADDRESS_MAX;
}

static size_t
on_read(char *to, size_t size, size_t count, void *context)
{
	struct upload *u = context;
	struct span piece = span_head(u->rest, size * count);

	if (piece.len > 0)
		memcpy(to, piece.p, piece.len);
	u->rest = span_from(u->rest, piece.len);
	return piece.len;
}

/* How much of a reply is codes (RFC 5321 section 4.2, RFC 3463): its words may
 * hold the address. */
static size_t
codes_length(struct span reply)
{
	size_t len = 3, dots = 0, i;

	if (reply.len < 4 || (reply.p[3] != ' ' && reply.p[3] != '-'))
		return reply.len < 3 ? 0 : 3;
	for (i = 4; i < reply.len && i < SMTP_CODES_ROOM - 1 &&
	    (ascii_isdigit(reply.p[i]) || reply.p[i] == '.'); i++)
		dots += reply.p[i] == '.';
	if (dots == 2 && (i == reply.len || reply.p[i] == ' '))
		len = i;
	return len;
}

/* Told each line that the server says.  What follows a refusal (the answer to
 * QUIT) is no news. */
static size_t
on_reply(char *line, size_t size, size_t count, void *context)
{
	struct upload *u = context;
	struct span text = span_trim(span_of(line, size * count));
	size_t len = codes_length(text);
	uint64_t code;

	if (span_to_u64(span_head(text, 3), &code) == 0 && code >= 400 &&
	    code <= 599) {
		memcpy(u->codes, text.p, len);
		u->codes[len] = '\0';
		if (len > 3)
			u->codes[3] = ' ';
	}
	return size * count;
}

static int
check(const struct smtp_options *options, struct fail *fail)
{
	if (!server_is_valid(span_str(options->server)))
		return fail_set(fail, FAIL_SETUP, "\"%.100s\" is no mail "
		    "server, want host:port such as \"127.0.0.1:25\"",
		    options->server);
	if (options->recipient[0] == '\0' ||
	    !address_is_valid(options->recipient))
		return fail_set(fail, FAIL_INPUT, "this recipient can't be "
		    "written to");
	if (!address_is_valid(options->envelope_sender))
		return fail_set(fail, FAIL_INPUT, "this envelope sender can't "
		    "be used");
	return 0;
}

/* Only out of memory keeps libcurl from taking these. */
static void
set_options(CURL *curl, const struct smtp_options *options,
    struct curl_slist *recipients, struct upload *upload, char *error)
{
	struct buf url = BUF_INIT(SERVER_MAX + URL_MORE);
	struct buf sender = BUF_INIT(ADDRESS_MAX + 16);

	/* The name that we greet with: the server knows ours. */
	buf_addf(&url, "smtp://%s/localhost", options->server);
	buf_addf(&sender, "<%s>", options->envelope_sender);
	(void)curl_easy_setopt(curl, CURLOPT_URL, buf_get(&url));
	(void)curl_easy_setopt(curl, CURLOPT_MAIL_FROM, buf_get(&sender));
	(void)curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, recipients);
	(void)curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
	(void)curl_easy_setopt(curl, CURLOPT_READDATA, upload);
	(void)curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE,
	    (curl_off_t)upload->rest.len);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_reply);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, upload);
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
	    (long)options->timeout_ms);
	/* For the answer to QUIT, which is outside of it. */
	(void)curl_easy_setopt(curl, CURLOPT_SERVER_RESPONSE_TIMEOUT,
	    1 + options->timeout_ms / 1000L);
	buf_fini(&url);
	buf_fini(&sender);
}

static int
failed(const struct smtp_options *options, const struct upload *upload,
    CURLcode rc, const char *error, struct fail *fail)
{
	if (upload->codes[0] == '5')
		return fail_set(fail, FAIL_INPUT, "the mail server %.100s "
		    "refused it (%s); its log says why", options->server,
		    upload->codes);
	if (upload->codes[0] == '4')
		return fail_set(fail, FAIL_TEMP, "the mail server %.100s said "
		    "\"later\" (%s)", options->server, upload->codes);
	return fail_set(fail, FAIL_TEMP, "the mail server %.100s: %s",
	    options->server, error[0] != '\0' ? error :
	    curl_easy_strerror(rc));
}

int
smtp_send(const struct smtp_options *options, struct span message,
    struct fail *fail)
{
	struct upload upload = { .rest = message };
	struct curl_slist *recipients;
	char error[CURL_ERROR_SIZE] = "";
	CURLcode rc;
	CURL *curl;

	if (options->codes != NULL)
		options->codes[0] = '\0';
	if (check(options, fail) == -1)
		return -1;
	curl = curl_easy_init();
	recipients = curl_slist_append(NULL, options->recipient);
	if (curl == NULL || recipients == NULL)
		abort();
	set_options(curl, options, recipients, &upload, error);
	rc = curl_easy_perform(curl);
	curl_easy_cleanup(curl);
	curl_slist_free_all(recipients);
	if (options->codes != NULL)
		memcpy(options->codes, upload.codes, SMTP_CODES_ROOM);
	return rc == CURLE_OK ? 0 : failed(options, &upload, rc, error, fail);
}
