/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#ifndef BASE_CLOSEST_H
#define BASE_CLOSEST_H

#include <stddef.h>

/*
 * The name that a typing mistake most likely meant (fewest insertions,
 * deletions, replacements and swaps of neighbours), or NULL when none of the n
 * is near.  Borrowed from names.  Pure.
 */
const char *closest_name(const char *typed, const char *const *names,
	    size_t n);

#endif
