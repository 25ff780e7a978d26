/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The time of an opt-out that is made now.  Thread-safe.
 */
#ifndef LEDGER_WHEN_H
#define LEDGER_WHEN_H

#include <stdint.h>

#include "base/fail.h"
#include "store/store.h"

/*
 * now_ms (known_time.h); or, where a clock that is or was ahead recorded an
 * opt-in `later', at that opt-in, however late: whoever opts out now is out,
 * and stays out when the clock has come that far.  list NULL: of all lists.
 *
 * Returns 0, or -1 with FAIL_TEMP when Redis can't be asked, which is no reason
 * not to record it: *at_ms is now then.
 */
int	when_opted_out(struct store *store, const struct subject *subject,
	    const char *list, int64_t now_ms, int64_t *at_ms,
	    struct fail *fail) __attribute__((warn_unused_result));

/*
 * The same by this host's ledger, for when Redis can't be asked: only opt-ins
 * of it that were recorded at now_ms or later are looked at, which takes
 * reading all that was recorded since.  Returns 0, or -1 with FAIL_SETUP when
 * it can't be read; *at_ms is now then.
 */
int	when_opted_out_by_ledger(const char *directory,
	    const struct subject *subject, const char *list, int64_t now_ms,
	    int64_t *at_ms, struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
