/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/site.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdlib.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "webd/page.h"
#include "webd/target.h"

#define HOUR_MS		(INT64_C(60) * 60 * 1000)
#define DAY_MS		(24 * HOUR_MS)
#define PLACES		65536

enum route {
	ROUTE_NONE,
	ROUTE_UNSUBSCRIBE,
	ROUTE_SUBSCRIBE,
	ROUTE_CONFIRM,
	ROUTE_PROGRAM,
	ROUTE_DATA
};

/* What follows the route in the target, without a query. */
static bool
follows(struct span target, const char *path, struct span *rest)
{
	struct span name = span_str(path);

	if (!span_has_prefix(target, name))
		return false;
	*rest = span_from(target, name.len);
	return true;
}

/* The pages first: the prefix of the links may be one of theirs. */
static enum route
route_of_page(const struct request *r, struct span *rest)
{
	struct span target = span_str(r->target), prefix;
	ptrdiff_t query = span_index(target, '?');

	if (r->settings->web.url == NULL)
		return ROUTE_NONE;
	prefix = target_prefix(r->settings->web.url);
	if (!span_has_prefix(target, prefix))
		return ROUTE_NONE;
	if (query != -1)
		target = span_head(target, (size_t)query);
	target = span_from(target, prefix.len);
	if (follows(target, "subscribe/", rest))
		return ROUTE_SUBSCRIBE;
	if (follows(target, "confirm/", rest))
		return ROUTE_CONFIRM;
	if (span_is(target, SPAN("api/subscribe")))
		return ROUTE_PROGRAM;
	if (follows(target, "data", rest) &&
	    (rest->len == 0 || rest->p[0] == '/'))
		return ROUTE_DATA;
	return ROUTE_NONE;
}

/* token has room for one. */
static enum route
route_of(const struct request *r, struct span *rest, struct buf *token)
{
	enum route route;

	if (r->target_too_long)
		return ROUTE_NONE;
	route = route_of_page(r, rest);
	if (route != ROUTE_NONE)
		return route;
	return target_token(span_str(r->target),
	    target_prefix(r->settings->unsubscribe.url), token) ?
	    ROUTE_UNSUBSCRIBE : ROUTE_NONE;
}

bool
site_is_slow(const struct request *r)
{
	struct span rest;

	return !r->target_too_long && route_of_page(r, &rest) != ROUTE_NONE;
}

/* What holds for all pages, where a link takes any POST. */
static bool
is_refused(const struct request *r, struct answer *answer)
{
	if (r->method == METHOD_OTHER)
		answer_word(answer, 405, "method not allowed");
	else if (r->body_bytes > EXCHANGE_BODY_MAX)
		answer_word(answer, 413, "body too large");
	else if (r->is_overridden)
		answer_word(answer, 400, "a POST that says it is none");
	else
		return false;
	return true;
}

void
site_answer(struct site *s, const struct request *r, struct answer *answer)
{
	struct buf token = BUF_INIT(4 * TOKEN_URL_LEN);
	struct span rest = span_of(NULL, 0);
	enum route route = route_of(r, &rest, &token);

	if (route == ROUTE_UNSUBSCRIBE)
		unsubscribe_answer(s, r, buf_span(&token), answer);
	else if (route == ROUTE_NONE)
		page_add(answer, r, 404, PAGE_UNKNOWN, NULL);
	else if (!is_refused(r, answer)) {
		if (route == ROUTE_SUBSCRIBE)
			signup_answer(s, r, rest, answer);
		else if (route == ROUTE_CONFIRM)
			signup_answer_confirm(s, r, rest, answer);
		else if (route == ROUTE_PROGRAM)
			signup_answer_program(s, r, answer);
		else
			mydata_answer(s, r, rest, answer);
	}
	buf_fini(&token);
}

/* -- limits -- */

/* Who has one address of IPv6 has all those of a network (RFC 6177), of which
 * this keeps the first 64 bits. */
static struct span
client_of(const struct request *r, struct in6_addr *room)
{
	if (inet_pton(AF_INET6, r->client, room) != 1 ||
	    IN6_IS_ADDR_V4MAPPED(room))
		return span_str(r->client);
	return span_of(room, sizeof(*room) / 2);
}

bool
site_may_try(struct site *s, const struct request *r)
{
	struct in6_addr room;

	return limit_take(s->per_client, client_of(r, &room), clock_now_ms());
}

bool
site_may_mail(struct site *s, const struct request *r, struct limit *per,
    struct span key)
{
	/* A program that has a key asks for many people. */
	if (!r->is_program && !site_may_try(s, r))
		return false;
	return limit_take(per, key, clock_now_ms()) &&
	    limit_take(s->of_all, SPAN("all"), clock_now_ms());
}

/* -- opening -- */

/* A link that was opened before we were started opens no more. */
static void
remember_link(const struct link *link, void *context)
{
	struct site *s = context;

	(void)!sessions_use_link(s->sessions, link, link->at_ms,
	    link->at_ms + 2 * HOUR_MS);
}

int
site_open(const struct settings *settings, struct recorder *recorder,
    struct site **out, struct fail *fail)
{
	struct site *s = xcalloc(1, sizeof(*s));

	s->recorder = recorder;
	s->sessions = sessions_new();
	/* Three mails to confirm a list each week (spec 9.3), three links to
	 * their data each day, four downloads an hour, for each reads whole
	 * journals; 20 requests of one client at once and 20 an hour; 300 of
	 * all at once and five a second. */
	s->per_sign_up = limit_new(3, 7 * DAY_MS / 3, PLACES);
	s->per_data = limit_new(3, DAY_MS / 3, PLACES);
	s->per_download = limit_new(4, HOUR_MS / 4, PLACES);
	s->per_client = limit_new(20, HOUR_MS / 20, PLACES);
	s->of_all = limit_new(300, 200, 1);
	if (recorder_used_links(recorder, clock_now_ms() - 2 * HOUR_MS,
	    remember_link, s, fail) == -1 ||
	    courier_open(recorder, &s->courier, fail) == -1 ||
	    eraser_open(settings, recorder, &s->eraser, fail) == -1) {
		site_close(&s);
		return -1;
	}
	*out = s;
	return 0;
}

void
site_close(struct site **site)
{
	struct site *s = *site;

	if (s == NULL)
		return;
	*site = NULL;
	courier_close(&s->courier);
	eraser_close(&s->eraser);
	sessions_free(&s->sessions);
	limit_free(&s->per_sign_up);
	limit_free(&s->per_data);
	limit_free(&s->per_download);
	limit_free(&s->per_client);
	limit_free(&s->of_all);
	free(s);
}
