/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The link of a mail that a person asked for: to confirm an opt-in (the second
 * step of a double opt-in), or to see and change what is held about them.  50
 * bytes, 67 characters base64url:
 *
 *	version << 4 | purpose (1) | list (3) | subject (16) | time (6) |
 *	detail (8) | MAC (16)
 *
 * Version is 1; list as in token.h, zeroes for an access; time in Unix
 * milliseconds, big-endian, when it was asked for.  detail is, to confirm, the
 * start of the digest of the notice that was shown (zeroes: none), and to
 * access, random, by which a link is used once.  MAC is HMAC-SHA256 over the
 * 34 bytes before it, cut to 128 bits, with a key (link.key) that signs nothing
 * else: newsletters get forwarded, and the token that they carry must open none
 * of this.
 *
 * Whoever holds the link has read the mail of the address, which is all that it
 * proves.  Pure; thread-safe.
 */
#ifndef CONSENT_LINK_H
#define CONSENT_LINK_H

#include <stdint.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/fail.h"
#include "base/span.h"
#include "consent/subject.h"
#include "consent/token.h"

#define LINK_BYTES		50
#define LINK_LEN		67	/* characters */
#define LINK_DETAIL_BYTES	8

enum link_purpose {
	LINK_CONFIRM = 1,
	LINK_ACCESS = 2
};

struct link {
	enum link_purpose purpose;
	unsigned char	list[TOKEN_LIST_BYTES];
	struct subject	subject;
	int64_t		at_ms;
	unsigned char	detail[LINK_DETAIL_BYTES];
};

/* Adds the text of a link. */
void	link_add(struct buf *out, const struct crypto_hmac *key,
	    const struct link *link);

/*
 * Checks the text of a link for this purpose, asked for not longer than
 * valid_ms before now_ms, and not later by more than DECISION_CLOCK_SKEW_MS.
 * Hostile text of any length is fine.  Returns 1; 0 for a link of ours whose
 * time is over, with *out filled; or -1: nothing of ours, whatever is wrong.
 * The MAC is compared in constant time.
 */
int	link_check(const struct crypto_hmac *key, struct span text,
	    enum link_purpose purpose, int64_t now_ms, int64_t valid_ms,
	    struct link *out) __attribute__((warn_unused_result));

#endif
