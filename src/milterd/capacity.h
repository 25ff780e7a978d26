/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * How many connections of MTAs fit into this process.  Each takes one file
 * descriptor, and when those run out libmilter's listener spins without a
 * word while clients hang; so we turn mail away, in words, before that, and
 * connections when too many of them stay nevertheless.
 */
#ifndef MILTERD_CAPACITY_H
#define MILTERD_CAPACITY_H

#include <stddef.h>

#include "base/fail.h"
#include "settings/settings.h"

struct capacity {
	size_t	served;		/* mail by further ones is deferred in words */
	size_t	open;		/* further ones are closed; >= served */
};

/*
 * served: limits.connections, or where that is 0 what the limit on open files
 * leaves room for (after privilege_raise_files).  Returns 0, or -1 with
 * FAIL_SETUP when the setting asks for more than that.  Thread-safe.
 */
int	capacity_find(const struct settings *settings, struct capacity *out,
	    struct fail *fail) __attribute__((warn_unused_result));

#endif
