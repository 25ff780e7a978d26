/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Bytes that we build.  A buffer has a hard maximum; what would pass it is not
 * added at all and sets `overflow', which stays set, so that a caller can add
 * piece by piece and test once at the end.  The content always has a NUL
 * behind it that does not count.  One buffer belongs to one thread at a time.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

struct buf {
	char	*data;		/* NULL until the first byte */
	size_t	 len;
	size_t	 size;
	size_t	 max;		/* content never grows beyond this */
	bool	 overflow;
	bool	 borrowed;	/* data is the caller's array */
};

#define BUF_INIT(max_bytes)	{ .max = (max_bytes) }
/* Begins in an array of the caller's, which has to outlive it, and only takes
 * memory of its own when that gets too small: for short texts on a path where
 * each allocation counts. */
#define BUF_ON(array, max_bytes)					\
	{ .data = (array), .size = sizeof(array), .max = (max_bytes),	\
	    .borrowed = true }

void		 buf_init(struct buf *b, size_t max_bytes);
/* Frees the content; the buffer can be used again. */
void		 buf_fini(struct buf *b);
/* Empties it and forgets an overflow; keeps the memory. */
void		 buf_clear(struct buf *b);
void		 buf_add(struct buf *b, const void *p, size_t len);
void		 buf_add_span(struct buf *b, struct span s);
void		 buf_add_str(struct buf *b, const char *s);
void		 buf_add_char(struct buf *b, char c);
void		 buf_addf(struct buf *b, const char *fmt, ...)
		    __attribute__((format(printf, 2, 3)));
/* Makes room for len more bytes and returns where they go, or NULL on
 * overflow; the caller adds what it wrote to b->len.  @UNSAFE */
char		*buf_reserve(struct buf *b, size_t len);
/* Drops the first len bytes. */
void		 buf_consume(struct buf *b, size_t len);
/* Cuts the content to len bytes. */
void		 buf_truncate(struct buf *b, size_t len);

/* Borrowed, valid until the next change; never NULL. */
const char	*buf_get(const struct buf *b);
struct span	 buf_span(const struct buf *b);
/* The content as a string that the caller frees; the buffer is empty after. */
char		*buf_take(struct buf *b);

#endif
