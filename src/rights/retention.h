/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What single entries of the ledger hold for longer than it may be kept
 * (GDPR Art. 5(1)(e)), while what else is known of the person stays: the IP
 * address behind a grant, and who looked at their data.
 *
 * An entry is blanked as a whole or not at all.  So a grant whose address has
 * to go is recorded once more without it, with the times of the old entry and
 *	"restated_at":"…","restates":NUMBER
 * behind its members, and then the old entry is blanked.  Killed at any point
 * and run again, it completes.  People under a restriction are left alone
 * (Art. 18(2)).
 */
#ifndef RIGHTS_RETENTION_H
#define RIGHTS_RETENTION_H

#include "rights/redaction.h"

struct retention_counts {
	uint64_t	 addresses;	/* of grants, cut down or removed */
	uint64_t	 requests;	/* entries of type "access" */
};

/*
 * Does it for our own ledger, or with dry_run only counts.  now_ms is what ages
 * are counted from; redaction as for redaction_run(), but for its "why".  What
 * is recorded anew has still to be applied to Redis, where an address that was
 * cut down takes the place of the longer one.
 * Returns 0, or -1: it has to be done again once that is mended.
 */
int	retention_run(const struct redaction *redaction, int64_t now_ms,
	    bool dry_run, struct retention_counts *counts, struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
