/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "net/http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xalloc.h"

#define CONNECT_MS	10000

/* Once it is full, the rest is read and dropped. */
static size_t
take_body(char *data, size_t size, size_t count, void *context)
{
	struct http_answer *answer = context;
	size_t room = answer->body.max - answer->body.len;

	buf_add_span(&answer->body, span_head(span_of(data, size * count),
	    room));
	return size * count;
}

static size_t
take_header(char *data, size_t size, size_t count, void *context)
{
	struct http_answer *answer = context;

	if (span_has_prefix_nocase(span_of(data, size * count),
	    SPAN("set-cookie:")))
		answer->sets_cookie = true;
	return size * count;
}

static int
ask(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct http_request *request = context;

	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return request->is_stopped(request->context);
}

/* The earliest end of the chain's certificates. */
static void
note_certificate(CURL *curl, struct http_answer *answer)
{
	struct curl_certinfo *info = NULL;

	if (curl_easy_getinfo(curl, CURLINFO_CERTINFO, &info) != CURLE_OK ||
	    info == NULL)
		return;
	for (int i = 0; i < info->num_of_certs; i++)
		for (struct curl_slist *s = info->certinfo[i]; s != NULL;
		    s = s->next) {
			time_t end;

			if (strncmp(s->data, "Expire date:", 12) != 0)
				continue;
			end = curl_getdate(s->data + 12, NULL);
			if (end != -1 && (answer->certificate_ends_ms == 0 ||
			    (int64_t)end * 1000 < answer->certificate_ends_ms))
				answer->certificate_ends_ms = (int64_t)end *
				    1000;
		}
}

static void
note_answer(CURL *curl, struct http_answer *answer)
{
	char *location = NULL;
	long status = 0;

	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	answer->status = (int)status;
	(void)curl_easy_getinfo(curl, CURLINFO_REDIRECT_URL, &location);
	if (location != NULL)
		answer->location = xstrdup(location);
	note_certificate(curl, answer);
}

static struct curl_slist *
list_of(const char *const *texts)
{
	struct curl_slist *list = NULL;

	for (; texts != NULL && *texts != NULL; texts++) {
		list = curl_slist_append(list, *texts);
		if (list == NULL)
			abort();
	}
	return list;
}

static void
set_request(CURL *curl, const struct http_request *r,
    struct http_answer *answer)
{
	(void)curl_easy_setopt(curl, CURLOPT_URL, r->url);
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(curl, CURLOPT_SSLVERSION,
	    (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(curl, CURLOPT_CERTINFO, 1L);
	if (r->ca_file != NULL) {
		(void)curl_easy_setopt(curl, CURLOPT_CAINFO, r->ca_file);
		(void)curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	}
	if (strcmp(r->method, "POST") == 0) {
		(void)curl_easy_setopt(curl, CURLOPT_POST, 1L);
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
		    (curl_off_t)r->body.len);
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS,
		    r->body.len > 0 ? (const char *)r->body.p : "");
	}
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, answer);
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
	(void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
	    (long)(r->timeout_ms < CONNECT_MS ? r->timeout_ms : CONNECT_MS));
	(void)curl_easy_setopt(curl, CURLOPT_USERAGENT,
	    "consent-milter/" PACKAGE_VERSION);
	if (r->is_stopped != NULL) {
		(void)curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
		(void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, ask);
		(void)curl_easy_setopt(curl, CURLOPT_XFERINFODATA, r);
	}
}

static int
explain(CURLcode rc, const char *text, struct fail *fail)
{
	bool setup = rc == CURLE_PEER_FAILED_VERIFICATION ||
	    rc == CURLE_URL_MALFORMAT || rc == CURLE_UNSUPPORTED_PROTOCOL ||
	    rc == CURLE_SSL_CACERT_BADFILE || rc == CURLE_SSL_ISSUER_ERROR;

	return fail_set(fail, setup ? FAIL_SETUP : FAIL_TEMP, "%s%s%s",
	    curl_easy_strerror(rc), text[0] != '\0' ? ": " : "", text);
}

int
http_send(const struct http_request *r, struct http_answer *answer,
    struct fail *fail)
{
	const char *const places[] = { r->connect_to, NULL };
	struct curl_slist *headers = list_of(r->headers);
	struct curl_slist *connect_to = list_of(places);
	char error[CURL_ERROR_SIZE] = "";
	CURL *curl = curl_easy_init();
	CURLcode rc;

	if (curl == NULL)
		abort();
	memset(answer, 0, sizeof(*answer));
	buf_init(&answer->body, HTTP_ANSWER_MAX);
	set_request(curl, r, answer);
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	(void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	(void)curl_easy_setopt(curl, CURLOPT_CONNECT_TO, connect_to);
	rc = curl_easy_perform(curl);
	if (rc == CURLE_OK)
		note_answer(curl, answer);
	else {
		http_answer_fini(answer);
		(void)explain(rc, error, fail);
	}
	curl_slist_free_all(headers);
	curl_slist_free_all(connect_to);
	curl_easy_cleanup(curl);
	return rc == CURLE_OK ? 0 : -1;
}

void
http_answer_fini(struct http_answer *answer)
{
	buf_fini(&answer->body);
	free(answer->location);
	answer->location = NULL;
}
