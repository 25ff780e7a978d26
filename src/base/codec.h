/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Bytes as text: hexadecimal, base32 and base64url (RFC 4648 sections 6 and 5)
 * without padding, and base64 (section 4) with it.  Decoders are strict: one
 * text for one value, so that nothing can be written in two ways.  Pure;
 * thread-safe.
 */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"

void	hex_format(struct buf *out, const void *p, size_t len);
/* Lower case only.  Returns 0 when text is exactly len bytes, else -1. */
int	hex_parse(struct span text, void *out, size_t len)
	    __attribute__((warn_unused_result));

/* Lower case. */
void	base32_format(struct buf *out, const void *p, size_t len);
/* Either case, for it stands in local parts, which get folded. */
int	base32_parse(struct span text, void *out, size_t len)
	    __attribute__((warn_unused_result));

void	base64url_format(struct buf *out, const void *p, size_t len);
int	base64url_parse(struct span text, void *out, size_t len)
	    __attribute__((warn_unused_result));

void	base64_format(struct buf *out, const void *p, size_t len);
/* Of up to max bytes; *len tells how many.  Returns 0, or -1. */
int	base64_parse(struct span text, void *out, size_t max, size_t *len)
	    __attribute__((warn_unused_result));

#endif
