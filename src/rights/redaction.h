/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Forgetting people in the journals (GDPR Art. 17): which entries are about
 * them, the ledger told first, then the entries blanked.  Everything here may
 * be interrupted anywhere and done again.
 */
#ifndef RIGHTS_REDACTION_H
#define RIGHTS_REDACTION_H

#include "consent/subject.h"
#include "journal/redact.h"
#include "rights/watch.h"
#include "settings/settings.h"

/* Who was erased, and up to when. */
struct erasure {
	struct subject	 subject;
	int64_t		 at_ms;
	uint64_t	 seq;		/* of the event in our own ledger, or 0 */
};

/* One for each person, the latest; sorted by _tidy. */
struct erasures {
	struct erasure	*all;
	size_t		 count, room;
};
void	erasures_add(struct erasures *erasures,
	    const struct subject *subject, int64_t at_ms, uint64_t seq);
void	erasures_tidy(struct erasures *erasures);
/* Borrowed, or NULL. */
const struct erasure *erasures_find(const struct erasures *erasures,
	    const struct subject *subject);
void	erasures_fini(struct erasures *erasures);

/* Adds the erasures that a ledger holds: a directory, or a file of lines as
 * `erase --list' prints them.  own: the numbers of entries count, and the
 * redactions that were announced are added to announced[].  Returns 0, or -1
 * with FAIL_INPUT or FAIL_SETUP. */
enum { REDACT_LEDGER, REDACT_DECISIONS, REDACT_JOURNALS };
int	erasures_read(const char *path, bool own, struct erasures *out,
	    struct journal_set announced[REDACT_JOURNALS],
	    const struct watch *watch, struct fail *fail)
	    __attribute__((warn_unused_result));

/* All borrowed. */
struct redaction {
	const struct settings *settings;
	struct journal	*ledger;	/* for announcing */
	const char	*actor;
	const char	*why;		/* goes into the announcement */
	const struct watch *watch;
};

/*
 * Announces and blanks, on this host, all entries about the people in
 * erasures (tidy) that are not later than their erasure, and completes what
 * was announced and not done.  counts: what was blanked now.  Several processes
 * and threads may call it: they take turns, under a lock on the file
 * `.erasing.lock' in the ledger's directory.  Returns 0, or -1: not everything
 * is blanked, and has to be done again once that is mended.
 */
int	redaction_run(const struct redaction *redaction,
	    const struct erasures *erasures,
	    struct journal_set announced[REDACT_JOURNALS],
	    uint64_t counts[REDACT_JOURNALS], struct fail *fail)
	    __attribute__((warn_unused_result));
/* What it would blank now; changes nothing.  Of an erasure that is not recorded
 * yet, seq is UINT64_MAX. */
int	redaction_count(const struct redaction *redaction,
	    const struct erasures *erasures,
	    uint64_t counts[REDACT_JOURNALS], struct fail *fail)
	    __attribute__((warn_unused_result));
/* Waits for the turn.  Returns the lock's file, to be closed when the turn is
 * over, or -1 with *fail. */
int	redaction_turn(const struct redaction *redaction, struct fail *fail)
	    __attribute__((warn_unused_result));
/* The same for entries of one journal (a tidy set), whatever they are about; by
 * whoever has the turn.  What was interrupted is done by giving them again. */
int	redaction_entries(const struct redaction *redaction, int journal,
	    const struct journal_set *entries, uint64_t *count,
	    struct fail *fail) __attribute__((warn_unused_result));

#endif
