/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Text with places to fill in: "{name}" stands for a value, "{{" for a brace;
 * a closing brace elsewhere stands for itself.  A value is put in as it is and
 * never looked through for names.  Pure; thread-safe.
 */
#ifndef BASE_TEMPLATE_H
#define BASE_TEMPLATE_H

#include "base/buf.h"
#include "base/fail.h"
#include "base/span.h"

#define TEMPLATE_NAMES_MAX	8

struct template_place {
	const char	*name;
	struct span	 value;
};

/*
 * Is every name in text that of one of the n places (TEMPLATE_NAMES_MAX at
 * most)?  times[i] becomes how often the name of places[i] is there.
 * Returns 0, or -1 with FAIL_SETUP and a text that says what is wrong and what
 * would be right, to be put behind the name of the key.
 */
int	template_check(struct span text, const struct template_place *places,
	    size_t n, size_t *times, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Adds text with the values in their places; nothing for a name that is none
 * of theirs. */
void	template_expand(struct buf *out, struct span text,
	    const struct template_place *places, size_t n);

#endif
