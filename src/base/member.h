/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A few members of a line of JSON without a parser: of millions of lines that
 * are counted, all have the same plain shape.  Pure; thread-safe.
 */
#ifndef BASE_MEMBER_H
#define BASE_MEMBER_H

#include <stddef.h>

#include "base/span.h"

/*
 * Finds the members with these names in the text of an object, without its
 * braces.  values[i] borrows from text; its p is NULL where the member is not
 * there, or null.
 *
 * Returns 0; or -1, with values[] meaning nothing, when the text is not of the
 * plain shape (nested, escaped where it matters, one of the values no string, a
 * name twice, or no JSON): then json_members_parse() is to be asked.  What is
 * returned for an object is what that would say; whether the text is one, this
 * does not tell.
 */
int	member_scan(struct span text, const struct span *names, size_t n,
	    struct span *values) __attribute__((warn_unused_result));

#endif
