/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Events that this host's ledger holds and Redis has not confirmed yet.  An
 * opt-out taken while Redis was away has been acknowledged: it must count the
 * moment Redis is back, before anybody has applied it there.  So a thread
 * follows the ledger, and each record that is looked up gets the events on top.
 *
 * consentctl keeps the sequence number up to which Redis has confirmed
 * everything in the file `.applied' beside the ledger.  Redis is asked for it,
 * too: one that was restored from an old dump or failed over to a replica that
 * lagged has less, and opt-outs that it lost count all the same.  Opt-ins that
 * it lost do not: an opt-out that another host recorded may be lost with them.
 * Locks inside.
 */
#ifndef MILTERD_UNAPPLIED_H
#define MILTERD_UNAPPLIED_H

#include <stdint.h>

#include "base/fail.h"
#include "consent/record.h"
#include "consent/subject.h"

struct unapplied;

/*
 * How far Redis says that it has the ledger with this id (store_cursor_get()).
 * Called by the thread, and by _new.  Returns 0, or -1 when it can't be asked.
 */
typedef int (*unapplied_ask)(const char *id, uint64_t *seq, void *context);

/* Starts the thread, after a first look.  ledger is copied; it need not exist
 * yet.  Returns 0, or -1 with FAIL_SETUP when it is there and can't be read. */
int	unapplied_new(const char *ledger, unapplied_ask ask, void *context,
	    struct unapplied **out, struct fail *fail)
	    __attribute__((warn_unused_result));

/*
 * Applies the events about this person and list to *record.  Returns 0, or -1
 * with FAIL_TEMP when the events are not known: the ledger can't be read any
 * more, or more wait than are kept.  Then the record can't be trusted.
 */
int	unapplied_apply(struct unapplied *unapplied,
	    const struct subject *subject, const char *list,
	    struct record *record, struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
