/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/exchange.h"

#include <string.h>
#include <unistd.h>

#include "base/crypto.h"

void
request_init(struct request *r)
{
	memset(r, 0, sizeof(*r));
	buf_init(&r->json, EXCHANGE_BODY_MAX);
}

void
request_fini(struct request *r)
{
	settings_put(&r->settings);
	texts_put(&r->texts);
	buf_fini(&r->json);
	crypto_wipe(&r->form, sizeof(r->form));
	crypto_wipe(r->authorization, sizeof(r->authorization));
}

struct request
request_for_list(const struct request *r, const struct list *list)
{
	struct request own = *r;

	own.words = texts_of_list(r->texts, r->words, list);
	return own;
}

void
answer_init(struct answer *a)
{
	memset(a, 0, sizeof(*a));
	buf_init(&a->body, EXCHANGE_PAGE_MAX);
	a->fd = -1;
}

void
answer_fini(struct answer *a)
{
	buf_fini(&a->body);
	if (a->fd != -1)
		(void)close(a->fd);
	a->fd = -1;
}

void
answer_word(struct answer *a, unsigned status, const char *word)
{
	a->status = status;
	a->type = "text/plain; charset=utf-8";
	buf_addf(&a->body, "%s\n", word);
}
