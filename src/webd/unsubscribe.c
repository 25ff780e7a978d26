/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * One-click unsubscription (RFC 8058) and the page behind the link.  POST with
 * a good token opts out, whatever the body: clients send it empty or as
 * text/plain, and refusing an opt-out is the worse mistake.  Nothing else ever
 * changes anything.
 */
#include <string.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "base/log.h"
#include "webd/page.h"
#include "webd/site.h"
#include "webd/target.h"

/* Enough to follow one link through the log, and not enough to use it. */
static void
log_request(const char *what, const struct token *token, struct span text,
    const struct list *list)
{
	unsigned char digest[CRYPTO_DIGEST_BYTES];
	struct buf hex = BUF_INIT(64);

	crypto_sha256(&text, 1, digest);
	hex_format(&hex, digest, 4);
	log_info("%s: list=%s, key=%u, token=%s", what, list != NULL ?
	    list->id : "-", token->key_id, buf_get(&hex));
	buf_fini(&hex);
}

static const char *
actor_of(const struct form *form)
{
	if (form->action[0] != '\0')
		return "web page";
	return form->is_one_click ? "one-click" :
	    "one-click, nonconforming body";
}

static void
opt_out(struct site *site, const struct request *r,
    const struct token *token, struct span text, struct answer *answer)
{
	const struct list *list = policy_list_of_token(&r->settings->policy,
	    token->list);
	bool all = strcmp(r->form.action, PAGE_ACTION_ALL) == 0;
	const char *actor = actor_of(&r->form);
	struct fail fail;

	/* A list that is gone may come back: better out of too much. */
	if (list == NULL)
		all = true;
	if (recorder_opt_out(site->recorder, &token->subject, all ? NULL :
	    list, actor, &fail) == -1) {
		log_error("an opt-out was not recorded, and the client was "
		    "told so: %s", fail.text);
		page_add(answer, r, 503, PAGE_LATER, list);
		return;
	}
	log_request(actor, token, text, list);
	page_add(answer, r, 200, all ? PAGE_DONE_ALL : PAGE_DONE, list);
}

void
unsubscribe_answer(struct site *site, const struct request *r,
    struct span text, struct answer *answer)
{
	bool is_post = r->method == METHOD_POST;
	struct token token;
	struct fail unused;

	if (r->method == METHOD_OTHER)
		answer_word(answer, 405, "method not allowed");
	else if (token_check(&r->settings->token_keys, text, &token,
	    &unused) == -1)
		page_add(answer, r, 404, PAGE_UNKNOWN, NULL);
	else if (!token_is_personal(&token))
		page_add(answer, r, is_post ? 400 : 200, PAGE_NOT_PERSONAL,
		    NULL);
	else if (!is_post)
		page_add(answer, r, 200, PAGE_ASK,
		    policy_list_of_token(&r->settings->policy, token.list));
	else if (r->body_bytes > EXCHANGE_BODY_MAX)
		answer_word(answer, 413, "body too large");
	else if (r->is_overridden)
		answer_word(answer, 400, "a POST that says it is none");
	else
		opt_out(site, r, &token, text, answer);
}
