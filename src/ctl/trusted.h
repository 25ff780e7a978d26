/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * May what is too old by the clock be removed for good?  A clock that is years
 * ahead makes everything too old.  So it is believed when it is not much later
 * than when it was believed the last time, which `.pruned' in the ledger's
 * directory tells; before the first time, than the ledger was written at.  One
 * thread.
 */
#ifndef CTL_TRUSTED_H
#define CTL_TRUSTED_H

#include <stdint.h>

#include "base/fail.h"

#define TRUSTED_DAYS	62	/* so that once a month is often enough */

/* Returns 0, or -1 with FAIL_TEMP (the clock is later than that; fail says
 * what to look at) or FAIL_SETUP. */
int	trusted_check(const char *ledger, int64_t now_ms, struct fail *fail)
	    __attribute__((warn_unused_result));
/* The clock is believed.  Returns 0, or -1 with FAIL_SETUP. */
int	trusted_note(const char *ledger, int64_t now_ms, struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
