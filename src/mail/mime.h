/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A message taken apart: header sections (RFC 5322 section 2.2), parameters
 * (RFC 2045 section 5.1), parts (RFC 2046 section 5.1) and their encodings
 * (RFC 2045 section 6).  Lines end in LF or CRLF.  Spans are borrowed from what
 * was given.  Hostile text of any length is fine: time is linear and nothing
 * is nested.  Pure; thread-safe.
 */
#ifndef MAIL_MIME_H
#define MAIL_MIME_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

#define MIME_BOUNDARY_MAX	70	/* RFC 2046 section 5.1.1 */

struct mime_field {
	struct span	name, value;	/* value with its folds, trimmed */
};

/* Takes the first field off *header; false at its end.  Lines without a colon
 * are passed over. */
bool	mime_next_field(struct span *header, struct mime_field *out);
/* How many fields have this name; *value is the first one's, where there is
 * one. */
size_t	mime_count_fields(struct span header, struct span name,
	    struct span *value);

/* Cuts an entity at its first empty line.  Without one it is all header. */
void	mime_split(struct span entity, struct span *header, struct span *body);

/* Adds the parameter of a Content-Type value, comments and quoting undone.
 * False where there is none, or it is there twice. */
bool	mime_parameter(struct buf *out, struct span value, struct span name);

/*
 * Takes the next part off the body of a multipart entity; what stands before
 * the first delimiter is skipped.  A part that the end of the body cuts off is
 * one as well.  False when there is none, and after the closing delimiter,
 * where *body becomes empty.
 */
bool	mime_next_part(struct span *body, struct span boundary,
	    struct span *part);

/* Adds a body with its Content-Transfer-Encoding undone, as far as out has
 * room; 7bit, 8bit, binary and an empty encoding leave it as it is.  False for
 * an encoding that is not known. */
bool	mime_decode(struct buf *out, struct span body, struct span encoding);

#endif
