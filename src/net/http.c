/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "net/http.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/xalloc.h"

#define URL_MAX		4096
#define CONNECT_MS	10000

struct call {
	const struct http_request *request;
	struct http_answer *answer;
	CURL		*curl;
	struct curl_slist *headers;
	struct curl_slist *connect_to;
	bool		 is_full;	/* there is more body than we take */
	char		 error[CURL_ERROR_SIZE];
};

/* What is wrong with a certificate: the numbers of X509_verify_cert(3), which
 * CURLINFO_SSL_VERIFYRESULT hands through. */
static const struct {
	long		 number;
	const char	*what;
} verdicts[] = {
	{ 9, "is not valid yet (is this host's clock right?)" },
	{ 10, "has expired" },
	{ 18, "is self-signed" },
	{ 19, "comes from an authority that is not known here" },
	{ 20, "comes from an authority that is not known here, or its "
	    "intermediate certificate is not sent" },
	{ 21, "comes from an authority that is not known here, or its "
	    "intermediate certificate is not sent" },
};

static const char *
verdict_of(CURL *curl)
{
	long number = 0;

	(void)curl_easy_getinfo(curl, CURLINFO_SSL_VERIFYRESULT, &number);
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
		if (verdicts[i].number == number)
			return verdicts[i].what;
	return NULL;
}

static bool
url_is_valid(const char *url)
{
	struct span text = span_str(url);

	/* Security: libcurl knows more schemes than these. */
	if (text.len > URL_MAX || (!span_has_prefix_nocase(text,
	    SPAN("https://")) && !span_has_prefix_nocase(text,
	    SPAN("http://"))))
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_isprint(text.p[i]) || text.p[i] == ' ')
			return false;
	return true;
}

static size_t
on_body(char *data, size_t size, size_t count, void *context)
{
	struct call *c = context;
	size_t room = HTTP_ANSWER_MAX - c->answer->body.len;

	size *= count;
	buf_add(&c->answer->body, data, size < room ? size : room);
	c->is_full = size > room;
	/* Less than all of it ends the transfer. */
	return c->is_full ? 0 : size;
}

static size_t
on_header(char *data, size_t size, size_t count, void *context)
{
	struct call *c = context;

	if (span_has_prefix_nocase(span_of(data, size * count),
	    SPAN("set-cookie:")))
		c->answer->sets_cookie = true;
	return size * count;
}

static int
on_progress(void *context, curl_off_t download, curl_off_t downloaded,
    curl_off_t upload, curl_off_t uploaded)
{
	struct call *c = context;

	(void)download;
	(void)downloaded;
	(void)upload;
	(void)uploaded;
	return c->request->is_stopped != NULL &&
	    c->request->is_stopped(c->request->context);
}

static void
add(struct curl_slist **list, const char *text)
{
	struct curl_slist *longer = curl_slist_append(*list, text);

	if (longer == NULL)
		abort();
	*list = longer;
}

static void
set_request(struct call *c)
{
	const struct http_request *r = c->request;
	bool posts = strcmp(r->method, "POST") == 0;

	for (size_t i = 0; r->headers != NULL && r->headers[i] != NULL; i++)
		add(&c->headers, r->headers[i]);
	if (r->connect_to != NULL)
		add(&c->connect_to, r->connect_to);
	(void)curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers);
	(void)curl_easy_setopt(c->curl, CURLOPT_CONNECT_TO, c->connect_to);
	if (posts) {
		(void)curl_easy_setopt(c->curl, CURLOPT_POST, 1L);
		(void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE,
		    (curl_off_t)r->body.len);
		(void)curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS,
		    r->body.len > 0 ? (const char *)r->body.p : "");
	}
	if (strcmp(r->method, "HEAD") == 0)
		(void)curl_easy_setopt(c->curl, CURLOPT_NOBODY, 1L);
	(void)curl_easy_setopt(c->curl, CURLOPT_URL, r->url);
}

static void
set_options(struct call *c)
{
	CURL *curl = c->curl;

	(void)curl_easy_setopt(curl, CURLOPT_USERAGENT,
	    PACKAGE_NAME "/" PACKAGE_VERSION);
	(void)curl_easy_setopt(curl, CURLOPT_HTTP_VERSION,
	    (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(curl, CURLOPT_SSLVERSION,
	    (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
	(void)curl_easy_setopt(curl, CURLOPT_CERTINFO, 1L);
	if (c->request->ca_file != NULL) {
		(void)curl_easy_setopt(curl, CURLOPT_CAINFO,
		    c->request->ca_file);
		(void)curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	}
	(void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, c);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, c);
	(void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	(void)curl_easy_setopt(curl, CURLOPT_XFERINFODATA, c);
	(void)curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, c->error);
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
	    (long)c->request->timeout_ms);
	(void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
	    (long)(c->request->timeout_ms < CONNECT_MS ?
	    c->request->timeout_ms : CONNECT_MS));
}

/* When one certificate ends, or -1. */
static int64_t
certificate_end(const struct curl_slist *fields)
{
	static const char name[] = "Expire date:";
	time_t end;

	for (; fields != NULL; fields = fields->next)
		if (span_has_prefix_nocase(span_str(fields->data),
		    SPAN("Expire date:"))) {
			end = curl_getdate(fields->data + sizeof(name) - 1,
			    NULL);
			return end == -1 ? -1 : (int64_t)end * 1000;
		}
	return -1;
}

/* Servers send certificates that no longer matter, too; the chain that was
 * found valid has none that has ended. */
static int64_t
chain_end(CURL *curl)
{
	struct curl_certinfo *chain = NULL;
	int64_t now_ms = clock_now_ms(), first = 0;

	if (curl_easy_getinfo(curl, CURLINFO_CERTINFO, &chain) != CURLE_OK ||
	    chain == NULL)
		return 0;
	for (int i = 0; i < chain->num_of_certs; i++) {
		int64_t end = certificate_end(chain->certinfo[i]);

		if (end > now_ms && (first == 0 || end < first))
			first = end;
	}
	return first;
}

static void
take_answer(struct call *c)
{
	char *location = NULL;
	long status = 0;

	(void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	(void)curl_easy_getinfo(c->curl, CURLINFO_REDIRECT_URL, &location);
	c->answer->status = (int)status;
	c->answer->location = location != NULL ? xstrdup(location) : NULL;
	c->answer->certificate_ends_ms = chain_end(c->curl);
}

static int
failed(const struct call *c, CURLcode rc, struct fail *fail)
{
	const char *text = c->error[0] != '\0' ? c->error :
	    curl_easy_strerror(rc);
	const char *verdict;

	if (rc == CURLE_URL_MALFORMAT || rc == CURLE_SSL_CACERT_BADFILE ||
	    rc == CURLE_SETOPT_OPTION_SYNTAX)
		return fail_set(fail, FAIL_SETUP, "%s", text);
	if (rc == CURLE_ABORTED_BY_CALLBACK)
		return fail_set(fail, FAIL_TEMP, "given up");
	if (rc != CURLE_PEER_FAILED_VERIFICATION)
		return fail_set(fail, FAIL_TEMP, "%s", text);
	verdict = verdict_of(c->curl);
	if (verdict != NULL)
		return fail_set(fail, FAIL_SETUP, "the server's certificate "
		    "%s", verdict);
	return fail_set(fail, FAIL_SETUP, "the server's certificate is not "
	    "valid: %s", text);
}

static int
check(const struct http_request *request, struct fail *fail)
{
	if (!url_is_valid(request->url))
		return fail_set(fail, FAIL_SETUP, "this is no URL that starts "
		    "with https:// or http://");
	if (strcmp(request->method, "GET") != 0 &&
	    strcmp(request->method, "HEAD") != 0 &&
	    strcmp(request->method, "POST") != 0)
		return fail_set(fail, FAIL_SETUP, "the method is none of GET, "
		    "HEAD and POST");
	return 0;
}

int
http_send(const struct http_request *request, struct http_answer *answer,
    struct fail *fail)
{
	struct call c = { .request = request, .answer = answer };
	CURLcode rc;
	int result;

	if (check(request, fail) == -1)
		return -1;
	*answer = (struct http_answer){ 0 };
	buf_init(&answer->body, HTTP_ANSWER_MAX);
	c.curl = curl_easy_init();
	if (c.curl == NULL)
		abort();
	set_request(&c);
	set_options(&c);
	rc = curl_easy_perform(c.curl);
	if (rc == CURLE_OK || (rc == CURLE_WRITE_ERROR && c.is_full)) {
		take_answer(&c);
		result = 0;
	} else {
		result = failed(&c, rc, fail);
		http_answer_fini(answer);
	}
	curl_easy_cleanup(c.curl);
	curl_slist_free_all(c.headers);
	curl_slist_free_all(c.connect_to);
	return result;
}

void
http_answer_fini(struct http_answer *answer)
{
	buf_fini(&answer->body);
	free(answer->location);
	*answer = (struct http_answer){ 0 };
}
