/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Blanks entries in place: numbers, digests and chain stay, the body and its
 * salt go, the line keeps its length.  So a writer and readers of the same
 * file are not disturbed, and a blanking that was interrupted at any byte is
 * completed by doing it again.
 *
 * Who blanks says so first, in the ledger: an entry of type "redaction" with
 * "journal", "entries" (ranges as below) and "why".  Blanked entries that no
 * such entry explains are what verify reports.
 */
#ifndef JOURNAL_REDACT_H
#define JOURNAL_REDACT_H

#include "base/buf.h"
#include "journal/journal.h"
#include "journal/verify.h"

/* Entry numbers, ascending, as ranges.  Owned by whoever has the struct. */
struct journal_set {
	struct journal_range *ranges;
	size_t		 count, room;
};
/* seq may be any; adding in ascending order is cheap. */
void	journal_set_add(struct journal_set *set, uint64_t from, uint64_t to);
/* Sorts and joins what was added.  Before _has. */
void	journal_set_tidy(struct journal_set *set);
bool	journal_set_has(const struct journal_set *set, uint64_t seq);
uint64_t journal_set_count(const struct journal_set *set);
void	journal_set_fini(struct journal_set *set);
/* "3 7-12 40": adds ranges from *at on, at most max bytes; *at moves on. */
void	journal_set_format(struct buf *out, const struct journal_set *set,
	    size_t *at, size_t max);
/* Adds what the text has.  Returns 0, or -1 with FAIL_INPUT. */
int	journal_set_parse(struct journal_set *set, struct span text,
	    struct fail *fail) __attribute__((warn_unused_result));

/*
 * Blanks these entries (a tidy set) wherever the journal in this directory has
 * them, and syncs.  on_bytes (may be NULL) hears how much of the files is read.
 * *blanked counts those that were not blank before.
 * Returns 0, or -1 with FAIL_SETUP: do it again.
 */
int	journal_redact(const char *directory, const char *name,
	    const struct journal_set *entries,
	    void (*on_bytes)(uint64_t bytes, void *context), void *context,
	    uint64_t *blanked, struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
