/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Mail to the mailto: form of an unsubscribe link (RFC 2369, u+TOKEN@host): is
 * it from a person, and whom does it name?  Everything in it is hostile; the
 * token alone gives a right.  Pure; thread-safe.
 */
#ifndef CTL_MAILTO_H
#define CTL_MAILTO_H

#include <stdbool.h>

#include "base/span.h"
#include "consent/token.h"

#define MAILTO_TOKENS_MAX	16

/* Why a message opts nobody out, for the log: "answered automatically", …;
 * NULL when nothing speaks against it.  header is the header section (RFC
 * 3834; bounces and list mail as well). */
const char *mailto_automatic(struct span header);

struct mailto {
	struct token	tokens[MAILTO_TOKENS_MAX];
	size_t		count;
};
/* Adds the token that this text is, in either form, if it is good and names a
 * person.  Twice the same is once. */
void	mailto_add(struct mailto *mailto, const struct token_keys *keys,
	    struct span text);
/* Adds the good tokens that stand in a text in the place of an address
 * extension: behind '+' and before '@', or alone. */
void	mailto_take(struct mailto *mailto, const struct token_keys *keys,
	    struct span text);
/* The same for the fields that name recipients: Delivered-To, X-Original-To,
 * Envelope-To, To, Cc. */
void	mailto_take_header(struct mailto *mailto,
	    const struct token_keys *keys, struct span header);

#endif
