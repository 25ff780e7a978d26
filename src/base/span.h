/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Bytes with a length: neither NUL-terminated nor owned.  Everything that
 * comes from outside travels in a span.  Pure functions, safe to use from any
 * thread.
 */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
	const unsigned char *p;		/* borrowed; may be NULL when len is 0 */
	size_t len;
};

/* A string literal as a span, usable in constant expressions. */
#define SPAN(literal) \
	((struct span){ (const unsigned char *)("" literal), \
	    sizeof(literal) - 1 })

/* Borrows p[0..len-1]. */
struct span	span_of(const void *p, size_t len);
/* Borrows a NUL-terminated string; NULL gives the empty span. */
struct span	span_str(const char *s);

bool		span_is(struct span a, struct span b);
/* ASCII letters compare equal whatever their case; other bytes exactly. */
bool		span_is_nocase(struct span a, struct span b);
bool		span_has_prefix(struct span s, struct span prefix);
bool		span_has_prefix_nocase(struct span s, struct span prefix);
/* Position of the first/last byte c, or -1. */
ptrdiff_t	span_index(struct span s, unsigned char c);
ptrdiff_t	span_rindex(struct span s, unsigned char c);
/* s[from..]; empty when from is past the end. */
struct span	span_from(struct span s, size_t from);
/* s[0..len-1], or all of s when it is shorter. */
struct span	span_head(struct span s, size_t len);
/* Takes what stands before the first byte c off *rest, and c with it; where
 * there is no c, all of it. */
struct span	span_take(struct span *rest, unsigned char c);
/* Without the spaces, tabs, CRs and LFs at both ends. */
struct span	span_trim(struct span s);
bool		span_is_ascii(struct span s);	/* no byte >= 0x80 */

/*
 * Reads a whole unsigned decimal number: digits only, no sign, no blanks, no
 * leading zero except for "0" itself.  Returns 0, or -1 with *out untouched.
 */
int		span_to_u64(struct span s, uint64_t *out)
		    __attribute__((warn_unused_result));
/* The same for 0..INT64_MAX. */
int		span_to_i64(struct span s, int64_t *out)
		    __attribute__((warn_unused_result));

/* <ctype.h> depends on the locale and is undefined for negative values. */
bool		ascii_isalpha(unsigned char c);
bool		ascii_isdigit(unsigned char c);
bool		ascii_isalnum(unsigned char c);
bool		ascii_isspace(unsigned char c);	/* SP HT CR LF */
bool		ascii_isprint(unsigned char c);	/* 0x20..0x7e */
unsigned char	ascii_tolower(unsigned char c);

/*
 * Shell-like match of the whole text: '*' any bytes, '?' one byte, everything
 * else itself, ASCII case ignored.  Time is bounded by text length times
 * pattern length.
 */
bool		span_glob(struct span pattern, struct span text);

#endif
