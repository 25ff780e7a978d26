/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A request and its answer as those see them who know nothing of HTTP
 * libraries.  One thread at a time has a request.
 */
#ifndef WEBD_EXCHANGE_H
#define WEBD_EXCHANGE_H

#include <stdbool.h>

#include "base/buf.h"
#include "consent/event.h"
#include "mail/address.h"
#include "settings/settings.h"
#include "webd/texts.h"

#define EXCHANGE_TARGET_MAX	2000
#define EXCHANGE_BODY_MAX	((size_t)16 * 1024)
#define EXCHANGE_PAGE_MAX	((size_t)4 * 1024 * 1024)

enum method {
	METHOD_GET,
	METHOD_HEAD,
	METHOD_POST,
	METHOD_OTHER
};

/* Fields of a form, cut to what they may have. */
struct form {
	char	action[32 + 1];
	char	address[ADDRESS_PATH_MAX + 1];
	char	key[64 + 1];
	char	list[LIST_NAME_MAX + 1];
	char	notice[64 + 1];		/* digest of the one that was shown */
	char	agree[8];
	bool	is_one_click;		/* List-Unsubscribe is there */
};

struct request {
	struct settings	*settings;	/* one reference */
	struct texts	*texts;		/* one reference */
	const struct words *words;	/* in the reader's language; of texts */
	enum method	 method;
	bool		 is_overridden;	/* a POST that says it is none */
	char		 target[EXCHANGE_TARGET_MAX + 1];
	bool		 target_too_long;
	size_t		 body_bytes;	/* as many came, kept or not */
	struct form	 form;
	struct buf	 json;		/* a body of application/json */
	bool		 is_json;
	char		 client[64];	/* its address; "" unknown */
	bool		 is_program;	/* that has shown a good key */
	char		 authorization[256];	/* the field; "" none */
};

struct answer {
	unsigned	 status;
	const char	*type;		/* static; NULL: text/html */
	struct buf	 body;
	bool		 has_language;	/* it is that of the request */
	bool		 may_be_framed;	/* by web.embed */
	const char	*file_name;	/* static; NULL: shown, not saved */
	int		 fd;		/* the body, from its start; -1 */
};

void	request_init(struct request *request);
void	request_fini(struct request *request);
/* The same with the list's own words; list may be NULL.  It borrows all that r
 * has and is not finished. */
struct request request_for_list(const struct request *r,
	    const struct list *list);
void	answer_init(struct answer *answer);
void	answer_fini(struct answer *answer);

/* A line of plain text. */
void	answer_word(struct answer *answer, unsigned status, const char *word);

#endif
