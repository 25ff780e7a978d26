/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "net/smtp.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static size_t
read_message(char *to, size_t size, size_t count, void *context)
{
	struct span *rest = context;
	struct span piece = span_head(*rest, size * count);

	memcpy(to, piece.p, piece.len);
	*rest = span_from(*rest, piece.len);
	return piece.len;
}

/* Security: what is not a mailbox must not become a command. */
static int
check_mailbox(const char *text, struct fail *fail)
{
	for (const char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == '<' ||
		    *p == '>')
			return fail_set(fail, FAIL_INPUT, "no mailbox");
	return 0;
}

static int
explain(CURL *curl, CURLcode rc, const char *server, struct fail *fail)
{
	long code = 0;

	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
	if (code >= 500 && code <= 599)
		return fail_set(fail, FAIL_INPUT, "the mail server %s refused "
		    "it (%ld); its log says why", server, code);
	if (code >= 400 && code <= 499)
		return fail_set(fail, FAIL_TEMP, "the mail server %s said "
		    "\"later\" (%ld)", server, code);
	return fail_set(fail, FAIL_TEMP, "the mail server %s: %s", server,
	    curl_easy_strerror(rc));
}

static int
perform(CURL *curl, const struct smtp_options *o, struct span message,
    struct curl_slist *recipients, struct fail *fail)
{
	struct buf url = BUF_INIT(1024);
	struct span rest = message;
	CURLcode rc;

	/* The name that we greet with: the server knows ours. */
	buf_addf(&url, "smtp://%s/localhost", o->server);
	(void)curl_easy_setopt(curl, CURLOPT_URL, buf_get(&url));
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "smtp");
	(void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
	(void)curl_easy_setopt(curl, CURLOPT_MAIL_FROM, o->envelope_sender);
	(void)curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, recipients);
	(void)curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_READFUNCTION, read_message);
	(void)curl_easy_setopt(curl, CURLOPT_READDATA, &rest);
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)o->timeout_ms);
	rc = curl_easy_perform(curl);
	buf_fini(&url);
	return rc == CURLE_OK ? 0 : explain(curl, rc, o->server, fail);
}

int
smtp_send(const struct smtp_options *o, struct span message,
    struct fail *fail)
{
	struct curl_slist *recipients;
	CURL *curl;
	int rc;

	if (check_mailbox(o->recipient, fail) == -1 ||
	    check_mailbox(o->envelope_sender, fail) == -1)
		return -1;
	curl = curl_easy_init();
	recipients = curl_slist_append(NULL, o->recipient);
	if (curl == NULL || recipients == NULL)
		abort();
	rc = perform(curl, o, message, recipients, fail);
	curl_slist_free_all(recipients);
	curl_easy_cleanup(curl);
	return rc;
}
