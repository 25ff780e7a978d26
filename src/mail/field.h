/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Header field values (RFC 5322 section 2.2, RFC 2045, RFC 2047).  Pure;
 * thread-safe.
 */
#ifndef MAIL_FIELD_H
#define MAIL_FIELD_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

/* The longest part of a field's value that anything here looks at. */
#define FIELD_VALUE_MAX	65536

/* Adds the value on one line: each fold with the blanks around it becomes one
 * space, control characters go, both ends are trimmed.  At most
 * FIELD_VALUE_MAX bytes are read. */
void	field_unfold(struct buf *out, struct span value);

/* The position behind the blanks and comments (RFC 5322 CFWS, comments nest)
 * that start at s[i]; i itself when there are none. */
size_t	field_skip_cfws(struct span s, size_t i);

/* The first token of a structured value such as Auto-Submitted or Precedence,
 * comments and parameters left out: "auto-replied (vacation); x=y" gives
 * "auto-replied".  Borrowed from value; empty when there is none. */
struct span field_keyword(struct span value);

/* Is the media type (RFC 2045 5.1) of a Content-Type value this one?  A type
 * is "multipart/report", compared without case. */
bool	field_is_media_type(struct span value, struct span type);

/* Adds text as an RFC 5322 phrase: atoms as they are, a quoted string where
 * needed, RFC 2047 encoded words (UTF-8, B) where it is not ASCII, each at
 * most 75 characters and separated by one space.  CR, LF, NUL and other
 * control characters are left out.  Output is printable ASCII. */
void	field_add_phrase(struct buf *out, struct span text);

/* Does a DKIM-Signature value (RFC 6376 3.5) name this header field in its h=
 * tag?  Blanks and folds inside the tag are ignored. */
bool	field_dkim_signs(struct span signature, struct span name);

#endif
