/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The List-* fields: RFC 2369 (List-Unsubscribe), RFC 8058
 * (List-Unsubscribe-Post) and RFC 2919 (List-Id).  Pure; thread-safe.
 */
#ifndef MAIL_LIST_FIELD_H
#define MAIL_LIST_FIELD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/fail.h"
#include "base/span.h"

#define LIST_ID_MAX		255	/* octets, RFC 2919 section 3 */
#define LIST_UNSUBSCRIBE_URIS	8	/* further ones are not looked at */
#define FIELD_LINE_MAX		990	/* no line that we write is longer */

/* The one value that RFC 8058 section 5 allows. */
#define LIST_UNSUBSCRIBE_POST_VALUE	"List-Unsubscribe=One-Click"

struct list_unsubscribe {
	size_t		count;
	struct span	uri[LIST_UNSUBSCRIBE_URIS];	/* borrowed, trimmed */
};

/*
 * Reads a List-Unsubscribe value by the three rules of RFC 2369 section 2:
 * comments are ignored, a value that does not start with '<' holds nothing,
 * after a URI everything up to the comma is ignored, a sub-item without
 * brackets ends it.  Blanks inside the brackets at both ends are dropped.
 * value may be folded.  Never fails: nothing usable is count == 0.
 */
void	list_unsubscribe_parse(struct span value,
	    struct list_unsubscribe *out);
/* Is there a URI with this scheme ("https", "mailto")? */
bool	list_unsubscribe_has_scheme(const struct list_unsubscribe *lu,
	    struct span scheme);

/*
 * Adds "<https URL>" and, when mailto is not empty, ",\n <mailto:ADDRESS>":
 * the https URI first (RFC 2369: order is preference), folded between URIs
 * only.  The fold is LF and a space, as libmilter wants it.
 *
 * Returns 0, or -1 with FAIL_INPUT when the URL is not https, when either
 * holds a byte that RFC 3986 does not allow or one of ',<>"', or when a line
 * would pass FIELD_LINE_MAX.
 */
int	list_unsubscribe_format(struct buf *out, struct span url,
	    struct span mailto, struct fail *fail)
	    __attribute__((warn_unused_result));

/* Finds the list-id between the last angle brackets of a List-Id value
 * (borrowed, without brackets).  Returns 1, or 0 when it has none that is
 * well-formed by list_id_is_valid(). */
int	list_id_parse(struct span value, struct span *out)
	    __attribute__((warn_unused_result));
/* list-label "." namespace, both dot-atom-text, at most LIST_ID_MAX octets. */
bool	list_id_is_valid(struct span list_id);
/* Adds `Phrase <list-id>', or only `<list-id>' when the phrase is empty. */
void	list_id_format(struct buf *out, struct span phrase,
	    struct span list_id);

#endif
