/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A data subject's pseudonym (GDPR Art. 4(5)): HMAC-SHA256 with a secret key
 * over the canonical address, 128 bits of it.  Stores, logs and links hold the
 * pseudonym and never the address.  Pure; thread-safe.
 */
#ifndef CONSENT_SUBJECT_H
#define CONSENT_SUBJECT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/crypto.h"
#include "base/span.h"
#include "mail/address.h"

#define SUBJECT_BYTES	16

struct subject {
	unsigned char id[SUBJECT_BYTES];
};

void	subject_of(const struct crypto_hmac *pseudonym_key,
	    const struct address *address, struct subject *out);
/* 32 lower-case hexadecimal digits, the form used everywhere. */
void	subject_format(struct buf *out, const struct subject *subject);
int	subject_parse(struct span text, struct subject *out)
	    __attribute__((warn_unused_result));
bool	subject_is(const struct subject *a, const struct subject *b);

#endif
