/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Events that this host's ledger holds and Redis has not confirmed yet.  An
 * opt-out taken while Redis was away has been acknowledged: it must count when
 * Redis is back, before anybody has applied it there.  So a thread follows the
 * ledger, 0.3 s behind at most, and each record that is looked up gets the
 * events on top.
 *
 * Who applies keeps the sequence number up to which Redis has confirmed
 * everything in the file `.applied' beside the ledger, and Redis has the same
 * number (in a cluster, both have one for each partition): the lower of the two
 * counts, so that it does not take anybody to notice that Redis has lost what
 * it confirmed.  The number is that of whoever is asked for records: a replica
 * may not have yet what the primary has confirmed.  Of what was lost, opt-ins
 * do not count until they are applied again, for the later opt-out may be on
 * another host; but neither is it known then that there was none.
 * Locks inside.
 */
#ifndef MILTERD_UNAPPLIED_H
#define MILTERD_UNAPPLIED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "consent/record.h"
#include "consent/subject.h"
#include "ledger/identity.h"
#include "store/store.h"

struct unapplied;

struct unapplied_options {
	const char	*ledger;	/* copied; need not exist yet */
	/* How far Redis has the ledger with this id: store_cursor_get().  Tells
	 * how many partitions there are in any case, and by which connection it
	 * asks or one before (store_connection()); id NULL asks for these
	 * alone.  Called by one thread at a time. */
	int		(*ask)(const char *id, unsigned *partitions,
			    uint64_t *connection,
			    uint64_t seqs[STORE_PARTITIONS_MAX], void *context,
			    struct fail *fail);
	void		*context;	/* for ever */
};
/* Starts the thread, after a first look.  Returns 0, or -1 with FAIL_SETUP when
 * the ledger is there and can't be read. */
int	unapplied_new(const struct unapplied_options *options,
	    struct unapplied **out, struct fail *fail)
	    __attribute__((warn_unused_result));

/* Of some persons, what is on top, and what is so no longer. */
#define UNAPPLIED_ID_BYTES	(2 * LEDGER_ID_BYTES + 1)
struct unapplied_view {
	struct record	*records;	/* out, of each person */
	/* Out: up to which entry events of each have been forgotten, of the
	 * ledger with this id ("" when it has no entry yet). */
	uint64_t	*seqs;
	char		 id[UNAPPLIED_ID_BYTES];
};
/*
 * For look-ups that ask a Redis which may lag behind the one that has confirmed,
 * so that an opt-out may be nowhere but in the ledger: reads what that holds by
 * now, without waiting for the thread.  To be asked before Redis is; its answer
 * is to be trusted, with the records on top, when it has the ledger up to seqs.
 * Both are of one moment: the thread may go back in any other, where a replica
 * came up with an old dump, and then neither the records of before nor that
 * replica have what the thread has just put on top again.
 *
 * Returns 0, or -1 with FAIL_TEMP: the events are not known (unapplied_apply),
 * or how far a store with as many partitions is, is not known yet.
 */
int	unapplied_view(struct unapplied *unapplied, unsigned partitions,
	    const struct subject *subjects, size_t n, const char *list,
	    struct unapplied_view *out, struct fail *fail)
	    __attribute__((warn_unused_result));

struct unapplied_state {
	size_t		 events;	/* that are put on top */
	bool		 is_known;	/* the ledger can be followed */
	bool		 lacks;		/* Redis, of what it had confirmed */
	bool		 has_lost;	/* ... and for some seconds */
};
void	unapplied_get(struct unapplied *unapplied,
	    struct unapplied_state *out);

/*
 * Behind a new connection may be a Redis that has less, and what it lacks has to
 * be on top before it is believed: compares it with the ledger, unless that has
 * been done since.  Whoever looks up calls it before and asks afterwards whether
 * the connection is still the same.  Returns 0, or -1 with FAIL_TEMP.
 */
int	unapplied_compare(struct unapplied *unapplied, uint64_t connection,
	    struct fail *fail) __attribute__((warn_unused_result));

/*
 * Of which persons may Redis have lost opt-ins, or not have them yet, where it is
 * a replica?  To be asked before Redis is, for what is applied again in between
 * may not be in its answer; and after, for what it lacks may be known by then
 * only.  NULL when it has all that it had confirmed; the caller frees.
 */
bool	*unapplied_lost(struct unapplied *unapplied,
	    const struct subject *subjects, size_t n)
	    __attribute__((warn_unused_result));

/*
 * Is there anything to put on top?  To be asked before Redis is: what Redis
 * confirms in between is in its answer then, and would be nowhere the other
 * way round.
 */
bool	unapplied_waits(struct unapplied *unapplied);
/*
 * Applies the events about this person and list to *record, before Redis is
 * asked as well; what Redis has is merged with it (record_merge).  Returns 0,
 * or -1 with FAIL_TEMP when the events are not known: the ledger can't be read
 * any more, or more wait than are kept.  Then no record can be trusted.
 */
int	unapplied_apply(struct unapplied *unapplied,
	    const struct subject *subject, const char *list,
	    struct record *record, struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
