/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Removes whole segments from the front of a journal.  A signed tombstone
 * (checkpoint.h) takes their place, so that the rest still verifies and a
 * segment that merely vanished does not look like one that was pruned.
 */
#ifndef JOURNAL_PRUNE_H
#define JOURNAL_PRUNE_H

#include "base/crypto.h"
#include "journal/journal.h"

struct journal_pruned {
	uint64_t	 segments;
	uint64_t	 last_seq;	/* the last entry that is gone; 0: none */
	uint64_t	 bytes;
};

/*
 * Prunes the segments all of whose entries are from before before_ms; never the
 * last segment.  dry_run: only counts.  Interrupted anywhere and called again
 * it completes.  Returns 0, or -1 with FAIL_SETUP.
 */
int	journal_prune(const char *directory, const char *name,
	    const char *host, const struct crypto_signer *signer,
	    int64_t before_ms, bool dry_run, struct journal_pruned *out,
	    struct fail *fail) __attribute__((warn_unused_result));

#endif
