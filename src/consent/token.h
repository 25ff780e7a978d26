/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The unsubscribe token (RFC 8058 section 3.1: hard to forge, names recipient
 * and list by itself).  38 bytes:
 *
 *	version << 4 | key id (1) | list (3) | subject (16) | day (2) | MAC (16)
 *
 * Version is 1; list is the start of SHA-256 over the list's id; day counts
 * from 2024-01-01, for the records only: a token never expires, for an
 * unsubscribe link that stopped working is a lie.  MAC is HMAC-SHA256 over
 * the 22 bytes before it, cut to 128 bits.  51 characters base64url in a URL,
 * 61 base32 in the local part of a mailto address.
 *
 * A token authorises withdrawal from its list and nothing else.  With a
 * subject of zeroes it names a list and no person: messages to several
 * recipients carry it, and the page behind it asks for the address.
 *
 * HMAC and not a signature, because 16 bytes of MAC fit a local part of 64
 * octets.  Whoever has the key can unsubscribe people, and no more than that.
 * Pure; a keyset is immutable and may be shared by threads.
 */
#ifndef CONSENT_TOKEN_H
#define CONSENT_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/fail.h"
#include "base/span.h"
#include "consent/subject.h"

#define TOKEN_BYTES		38
#define TOKEN_URL_LEN		51
#define TOKEN_MAILTO_LEN	61
#define TOKEN_LIST_BYTES	3
#define TOKEN_KEYS		16	/* key ids 0 to 15 */

struct token_keys {
	struct crypto_hmac *key[TOKEN_KEYS];	/* NULL: no such key; owned
						   by whoever owns this */
};

struct token {
	unsigned	key_id;
	unsigned char	list[TOKEN_LIST_BYTES];
	struct subject	subject;
	uint16_t	day;
};

/* The list part for a list's id. */
void	token_list(struct span list_id, unsigned char out[TOKEN_LIST_BYTES]);
bool	token_is_personal(const struct token *token);	/* names a subject */

/*
 * Makes the bytes of a token, signed with the key of the highest id.  subject
 * may be NULL for a token that names a list only.  Returns 0, or -1 with
 * FAIL_SETUP when there is no key.
 */
int	token_make(const struct token_keys *keys, struct span list_id,
	    const struct subject *subject, int64_t now_ms,
	    unsigned char out[TOKEN_BYTES], struct fail *fail)
	    __attribute__((warn_unused_result));
void	token_format_url(struct buf *out,
	    const unsigned char token[TOKEN_BYTES]);
void	token_format_mailto(struct buf *out,
	    const unsigned char token[TOKEN_BYTES]);
/* The links that carry it: base with the token behind it, and for an address
 * u@host (which has an '@') the address u+TOKEN@host. */
void	token_add_url(struct buf *out, const char *base,
	    const unsigned char token[TOKEN_BYTES]);
void	token_add_address(struct buf *out, const char *address,
	    const unsigned char token[TOKEN_BYTES]);

/*
 * Checks a token in either form, told apart by its length.  Hostile text of
 * any length is fine.  Returns 0, or -1 with FAIL_INPUT; the text is for logs,
 * the peer must not see what was wrong.  The MAC is compared in constant time.
 */
int	token_check(const struct token_keys *keys, struct span text,
	    struct token *out, struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
