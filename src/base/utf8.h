/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above
 * U+10FFFF.  Pure; thread-safe.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/* How many bytes the character at the start of s takes, 0 if it is none. */
size_t	utf8_length(struct span s);
/* The character at the start of s, of which *len bytes are part; -1 and
 * *len = 1 when there is none. */
int32_t	utf8_decode(struct span s, size_t *len);
bool	utf8_is_valid(struct span s);
/* Printable ASCII as it is, everything else as \x{HEX}: RFC 6533 section 3,
 * utf-8-addr-xtext.  A byte that is no UTF-8 is written by its value. */
void	utf8_add_ascii(struct buf *out, struct span s);

#endif
