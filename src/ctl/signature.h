/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Verifies the DKIM signatures of a message (RFC 6376) by libopendkim, which
 * this file alone knows: the same code that signs on most of the machines where
 * this runs.  One thread at a time.
 */
#ifndef CTL_SIGNATURE_H
#define CTL_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/fail.h"
#include "base/span.h"

#define SIGNATURES_MAX		8	/* further ones are not looked at */
#define SIGNATURE_KEY_MAX	4000	/* of the text of a key */

enum signature_state {
	SIGNATURE_GOOD,
	SIGNATURE_HEADER_CHANGED,
	SIGNATURE_BODY_CHANGED,
	SIGNATURE_NO_KEY,	/* there is none, it is revoked or too short */
	SIGNATURE_LATER,	/* the DNS can't be asked now */
	SIGNATURE_UNREADABLE	/* it is not well-formed, or has expired */
};

struct signature {
	enum signature_state state;
	char		 why[128];	/* libopendkim's word where not good */
	char		 domain[256];	/* d= */
	char		 selector[256];	/* s= */
	char		 fields[1024];	/* h=, what is longer is cut */
	bool		 has_length;	/* l= */
};

/*
 * Reads a public key as a file holds it: the TXT record "v=DKIM1; p=…", or the
 * zone file that opendkim-genkey(8) makes, whose quoted strings are joined.
 * out has SIGNATURE_KEY_MAX + 1 bytes.  Returns 0, or -1 with FAIL_INPUT.
 */
int	signature_read_key(struct span text, char *out, struct fail *fail)
	    __attribute__((warn_unused_result));

/*
 * Verifies the signatures of a message that has CRLF line ends, in order.  key
 * is what signature_read_key() read and stands for whatever selector; NULL asks
 * the DNS.  Returns how many there are, at most SIGNATURES_MAX.
 */
size_t	signature_check(struct span message, const char *key,
	    struct signature out[SIGNATURES_MAX]);

/* How often h= names this field. */
size_t	signature_covers(const struct signature *signature,
	    struct span name);


#endif
