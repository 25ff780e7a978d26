/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What tells a ledger from all others, wherever a copy of it is: the start of
 * its first chain, which has a random salt in it.  Thread-safe.
 */
#ifndef LEDGER_IDENTITY_H
#define LEDGER_IDENTITY_H

#include "base/fail.h"

#define LEDGER_ID_BYTES	8

/* Returns 1; 0 when it has no entry yet, with id untouched; or -1 with *fail. */
int	ledger_identity(const char *directory,
	    unsigned char id[LEDGER_ID_BYTES], struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
