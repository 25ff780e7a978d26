/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What the ledger says was blanked, for comparing it with what is: entries
 * that nobody owned up to are tampering.  The ledger is read first.
 */
#ifndef CTL_EXPLAINED_H
#define CTL_EXPLAINED_H

#include "journal/redact.h"
#include "journal/verify.h"

#define EXPLAINED_JOURNALS	2	/* ledger, decisions */

struct explained {
	struct journal_set sets[EXPLAINED_JOURNALS];
	uint64_t	 pruned_to[EXPLAINED_JOURNALS];
	bool		 has_ledger;	/* it was read */
};

/* Takes what an entry of the ledger says; others say nothing. */
void	explained_take(struct explained *explained,
	    const struct journal_entry *entry);
/* The first entry of this journal that is blanked without a reason in the
 * ledger, or 0.  Where no ledger was read, all are taken as explained. */
uint64_t explained_first_other(struct explained *explained,
	    const char *journal, const struct journal_tally *tally);
/* Does the ledger tell of the pruning that the journal's tombstones stand for?
 * Whoever has the key can make one over what he wants to hide. */
bool	explained_has_pruned(const struct explained *explained,
	    const char *journal, const struct journal_tally *tally);
void	explained_fini(struct explained *explained);

#endif
