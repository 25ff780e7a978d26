/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/endpoint.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/crypto.h"
#include "base/span.h"
#include "consent/token.h"
#include "net/http.h"

#define URL_MAX		4096
#define ANSWER_MS	20000
#define DAY_MS		(INT64_C(24) * 60 * 60 * 1000)
#define DAYS_FAIL	7
#define DAYS_WARN	21

/* -- what mends it -- */

/* The host of the URL, with its port, and then the path. */
static struct span
host_of(const char *url, struct span *path)
{
	struct span rest = span_from(span_str(url), strlen("https://"));
	ptrdiff_t slash = span_index(rest, '/');
	struct span host = slash == -1 ? rest :
	    span_head(rest, (size_t)slash);

	*path = span_from(rest, host.len);
	return host;
}

static struct span
name_of(const struct endpoint *e)
{
	struct span unused, host = host_of(e->base, &unused);
	ptrdiff_t colon = span_rindex(host, ':');

	return colon == -1 ? host : span_head(host, (size_t)colon);
}

static void
fix_location(struct findings *f, const struct endpoint *e)
{
	struct span path;

	(void)host_of(e->base, &path);
	findings_fix(f, "nginx: location %.*s { proxy_pass http://%s; }",
	    path.len > 0 ? (int)path.len : 1, path.len > 0 ?
	    (const char *)path.p : "/", e->listen);
}

static void
fix_keys(struct findings *f)
{
	findings_fix(f, "where consent-web runs: the same token-*.key and "
	    "pseudonym.key as here, then systemctl reload consent-web");
}

static void
fix_unreachable(struct findings *f, const struct endpoint *e)
{
	struct span name = name_of(e);

	findings_fix(f, "consent-milter.conf: unsubscribe = { url = "
	    "\"https://HOST/u/\"; }; (HOST is where the proxy in front of "
	    "consent-web is reached from outside)");
	findings_fix(f, "nginx: listen 443 ssl; server_name %.*s;",
	    (int)name.len, (const char *)name.p);
}

static void
fix_renewal(struct findings *f, const struct endpoint *e)
{
	struct span name = name_of(e);

	findings_fix(f, "certbot renew --cert-name %.*s --deploy-hook "
	    "\"systemctl reload nginx\"", (int)name.len,
	    (const char *)name.p);
}

/* -- requests -- */

static int
ask(const struct endpoint *e, const char *method, const char *url,
    struct http_answer *answer, struct fail *fail)
{
	static const char *const form[] = {
		"Content-Type: application/x-www-form-urlencoded", NULL };
	bool posts = strcmp(method, "POST") == 0;
	const struct http_request request = {
		.url = url, .method = method, .ca_file = e->ca_file,
		.headers = posts ? form : NULL,
		.body = posts ? SPAN("List-Unsubscribe=One-Click") : SPAN(""),
		.timeout_ms = ANSWER_MS, .is_stopped = e->is_stopped,
		.context = e->context };

	return http_send(&request, answer, fail);
}

/* A certificate that is not good, as told by http_send(). */
static void
judge_bad_certificate(struct findings *f, const struct endpoint *e,
    const char *text)
{
	struct span name = name_of(e);

	findings_add(f, "certificate", FINDING_FAIL, "%.*s: %s",
	    (int)name.len, (const char *)name.p, text);
	if (strstr(text, "expired") != NULL)
		fix_renewal(f, e);
	else if (strstr(text, "authority") != NULL ||
	    strstr(text, "self-signed") != NULL)
		findings_fix(f, "nginx: ssl_certificate /etc/letsencrypt/live/"
		    "%.*s/fullchain.pem;", (int)name.len,
		    (const char *)name.p);
	else
		findings_fix(f, "certbot certonly --nginx -d %.*s",
		    (int)name.len, (const char *)name.p);
}

static void
judge_certificate(struct findings *f, const struct endpoint *e, int64_t ends_ms)
{
	int64_t days = (ends_ms - e->now_ms) / DAY_MS;

	findings_add(f, "certificate", days < DAYS_FAIL ? FINDING_FAIL :
	    days < DAYS_WARN ? FINDING_WARN : FINDING_OK,
	    "the certificate is valid for another %" PRId64 " days", days);
	if (days < DAYS_WARN)
		fix_renewal(f, e);
}

/* The host does not answer. */
static void
judge_silence(struct findings *f, const struct endpoint *e, const char *check,
    const struct fail *fail)
{
	if (e->is_stopped != NULL && e->is_stopped(e->context)) {
		findings_add(f, check, FINDING_SKIPPED, "interrupted");
		return;
	}
	if (fail->class == FAIL_SETUP &&
	    findings_find(f, "certificate") == NULL) {
		judge_bad_certificate(f, e, fail->text);
		return;
	}
	findings_add(f, check, FINDING_FAIL, "%s does not answer: %s",
	    e->base, fail->text);
	fix_unreachable(f, e);
}

static bool
is_redirect(const struct http_answer *answer)
{
	return answer->status >= 300 && answer->status <= 399;
}

/* Where links would have to begin to be where this one was sent to; empty when
 * that is no place for them. */
static struct span
new_base(const struct endpoint *e, const char *url,
    const struct http_answer *answer)
{
	struct span to = span_str(answer->location);
	struct span token = span_from(span_str(url), strlen(e->base));
	struct span base = span_head(to, to.len - token.len);

	/* Security: the token is to be shown nowhere. */
	return to.len > token.len && span_has_prefix_nocase(to,
	    SPAN("https://")) && span_is(span_from(to, base.len), token) &&
	    memmem(base.p, base.len, token.p, token.len) == NULL ? base :
	    SPAN("");
}

static void
fix_redirect(struct findings *f, const struct endpoint *e, const char *url,
    const struct http_answer *answer)
{
	struct span base = new_base(e, url, answer);

	findings_fix(f, "nginx: remove \"return 301 ...\" and \"rewrite\" from "
	    "the server and location of %s", e->base);
	fix_location(f, e);
	if (base.len > 0)
		findings_fix(f, "or, consent-milter.conf: unsubscribe = { url "
		    "= \"%.*s\"; }; (where it leads to)", (int)base.len,
		    (const char *)base.p);
}

/* -- looking -- */

/* One of the right length that nobody made. */
static void
add_forged(struct buf *out, const char *base)
{
	unsigned char token[TOKEN_BYTES];

	crypto_random(token, sizeof(token));
	/* Version and key id of a real one: it is the MAC that is wrong. */
	token[0] = 1 << 4;
	token_add_url(out, base, token);
}

static void
judge_forged(struct findings *f, const struct endpoint *e, const char *url,
    const struct http_answer *answer)
{
	if (answer->status == 404) {
		findings_add(f, "link-forged", FINDING_OK, "a forged link is "
		    "answered 404");
		return;
	}
	findings_add(f, "link-forged", FINDING_FAIL, "a forged link is "
	    "answered %d, not 404", answer->status);
	if (is_redirect(answer))
		fix_redirect(f, e, url, answer);
	else
		fix_location(f, e);
}

static bool
look_forged(struct findings *f, const struct endpoint *e)
{
	struct buf url = BUF_INIT(URL_MAX);
	struct http_answer answer;
	struct fail fail;
	int rc;

	add_forged(&url, e->base);
	rc = ask(e, "GET", buf_get(&url), &answer, &fail);
	if (rc == -1)
		judge_silence(f, e, "link-forged", &fail);
	else {
		judge_certificate(f, e, answer.certificate_ends_ms);
		judge_forged(f, e, buf_get(&url), &answer);
		http_answer_fini(&answer);
	}
	buf_fini(&url);
	return rc == 0;
}

static void
fix_status(struct findings *f, const struct endpoint *e,
    const struct http_answer *answer)
{
	if (is_redirect(answer)) {
		fix_redirect(f, e, e->link, answer);
		return;
	}
	if (answer->status == 404)
		fix_keys(f);
	if (answer->status == 502 || answer->status == 503 ||
	    answer->status == 504)
		findings_fix(f, "systemctl restart consent-web (it does not "
		    "answer the proxy, or can't record)");
	fix_location(f, e);
}

static void
look_good(struct findings *f, const struct endpoint *e, const char *check,
    const char *method)
{
	struct http_answer answer;
	struct fail fail;

	if (ask(e, method, e->link, &answer, &fail) == -1) {
		judge_silence(f, e, check, &fail);
		return;
	}
	if (answer.status == 200)
		findings_add(f, check, FINDING_OK, "%s of a good link is "
		    "answered 200", method);
	else {
		findings_add(f, check, FINDING_FAIL, "%s of a good link is "
		    "answered %d, not 200", method, answer.status);
		fix_status(f, e, &answer);
	}
	http_answer_fini(&answer);
}

bool
endpoint_look(struct findings *f, const struct endpoint *e)
{
	if (!look_forged(f, e))
		return false;
	look_good(f, e, "link-get", "GET");
	look_good(f, e, "link-head", "HEAD");
	return true;
}

/* -- the click -- */

static void
judge_click(struct findings *f, const struct endpoint *e,
    const struct http_answer *answer)
{
	if (answer->status == 200)
		findings_add(f, "one-click", FINDING_OK, "a POST with "
		    "List-Unsubscribe=One-Click is answered 200");
	else {
		findings_add(f, "one-click", FINDING_FAIL, "a POST with "
		    "List-Unsubscribe=One-Click is answered %d, not 200",
		    answer->status);
		fix_status(f, e, answer);
	}
	if (is_redirect(answer)) {
		findings_add(f, "redirect", FINDING_FAIL, "the POST is "
		    "redirected, and mailbox providers do not follow (RFC "
		    "8058, 3.1)");
		fix_redirect(f, e, e->link, answer);
	} else
		findings_add(f, "redirect", FINDING_OK, "the POST is not "
		    "redirected");
	if (answer->sets_cookie) {
		findings_add(f, "cookie", FINDING_FAIL, "the answer to the "
		    "POST sets a cookie");
		findings_fix(f, "nginx: remove add_header Set-Cookie, sticky "
		    "and userid from the location of %s", e->base);
		findings_fix(f, "nginx: proxy_hide_header Set-Cookie;");
	} else
		findings_add(f, "cookie", FINDING_OK, "no cookie is set");
}

bool
endpoint_click(struct findings *f, const struct endpoint *e)
{
	struct http_answer answer;
	struct fail fail;
	bool done;

	if (ask(e, "POST", e->link, &answer, &fail) == -1) {
		judge_silence(f, e, "one-click", &fail);
		return false;
	}
	judge_click(f, e, &answer);
	done = answer.status == 200;
	http_answer_fini(&answer);
	return done;
}
