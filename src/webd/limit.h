/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * How often something may happen for one address or one client: so many times
 * at once, one more each period after that (a token bucket).  Keys are hashed
 * with a secret of the table's own, and the table does not grow: where it is
 * full, who was quiet the longest is forgotten, and shared places err on the
 * side of refusing nobody.  For mail that we send on request; opt-outs have no
 * limit.  Thread-safe; the time comes from the caller.
 */
#ifndef WEBD_LIMIT_H
#define WEBD_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct limit;
/* burst at once, then one each period_ms. */
struct limit *limit_new(unsigned burst, int64_t period_ms, size_t places)
	    __attribute__((returns_nonnull));
void	limit_free(struct limit **limit);

/* May it happen once more, now?  Counts it if so. */
bool	limit_take(struct limit *limit, struct span key, int64_t now_ms);

#endif
