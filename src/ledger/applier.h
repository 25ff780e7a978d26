/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The ledger is the truth, Redis follows.  The file `.applied' in the ledger's
 * directory (applied.h) holds the sequence number up to which Redis has
 * confirmed everything without a gap; whoever writes applies what
 * lies behind it, whoever wrote that.  Redis holds the same number, so that a
 * Redis that lost what it had confirmed (flushed, restored from an old dump,
 * failed over) says so itself, and gets it again; it moves there together with
 * the events, in one script.  In a cluster there is a number for each partition,
 * and only those that are lost are applied again.  Processes take turns under a
 * lock, and merging is idempotent, so a crash anywhere costs a repetition and
 * no more.
 *
 * An applier belongs to one thread at a time; the store it uses may be shared.
 */
#ifndef LEDGER_APPLIER_H
#define LEDGER_APPLIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail.h"
#include "store/store.h"

struct applier_options {
	const char	*directory;	/* of the ledger; borrowed until _close */
	struct store	*store;		/* borrowed until _close */
	/* Told what a person should hear of; without a line break. */
	void		(*warn)(const char *text, void *context);
	/* Asked between batches; may be NULL. */
	bool		(*is_stopped)(void *context);
	void		*context;
};

/*
 * To be called before the ledger is opened for appending.  A disk that loses
 * power may forget the end of the ledger and keep `.applied': then new entries
 * get numbers that Redis seems to have.  Sets it back to the ledger's end.
 * Returns 0, or -1 with FAIL_SETUP or FAIL_TEMP.
 */
int	applier_mend_cursor(const char *directory, struct fail *fail)
	    __attribute__((warn_unused_result));

/* How many entries of the ledger lie behind `.applied': Redis is not known to
 * have them.  Returns 0, or -1 with FAIL_SETUP or FAIL_TEMP. */
int	applier_backlog(const char *directory, uint64_t *entries,
	    struct fail *fail) __attribute__((warn_unused_result));

struct applier;
/* The directory has to exist.  Returns 0, or -1 with FAIL_SETUP. */
int	applier_open(const struct applier_options *options,
	    struct applier **out, struct fail *fail)
	    __attribute__((warn_unused_result));
void	applier_close(struct applier **applier);

/*
 * Brings Redis up to the ledger's end, or, where Redis has lost some, through
 * it again, opt-outs first.  Waits for other processes that do so.  Returns 0, or -1 with
 * *fail: FAIL_TEMP when Redis can't be reached or it was stopped; then the
 * next call goes on.  The same when Redis holds something of a person that
 * can't be merged with: then all other events are applied, and those behind
 * that one are applied again with each try, once a minute for one applier.
 */
int	applier_apply(struct applier *applier, struct fail *fail)
	    __attribute__((warn_unused_result));

/*
 * Applies the opt-outs of a whole ledger, ours (directory NULL) or another
 * host's, and keeps no account of it.  To be called for all ledgers before any is
 * rebuilt: otherwise an opt-in of one counts in an empty Redis until the opt-out
 * of another is there.  progress may be NULL; it hears how many entries were
 * read.  Returns 0, or -1 with *fail.
 */
int	applier_apply_opt_outs(struct applier *applier, const char *directory,
	    void (*progress)(size_t entries, void *context), void *context,
	    struct fail *fail) __attribute__((warn_unused_result));

/*
 * Applies a whole ledger: ours (directory NULL) or another host's.  One that
 * was interrupted goes on where it stopped, unless from_start or Redis was
 * emptied since.  progress may be NULL; it hears the events of this call.
 * Returns 0, or -1 with *fail.
 */
int	applier_rebuild(struct applier *applier, const char *directory,
	    bool from_start, void (*progress)(size_t events, void *context),
	    void *context, struct fail *fail)
	    __attribute__((warn_unused_result));

/*
 * Counts the events that applier_rebuild() would apply and the entries that it
 * would pass over, and adds both to what is there.  Needs no applier, and
 * writes nothing.  Returns 0, or -1 with *fail.
 */
int	applier_count(const struct applier_options *options,
	    const char *directory, bool from_start, size_t *events,
	    size_t *unreadable, struct fail *fail)
	    __attribute__((warn_unused_result));

/* Entries that could not be read and were passed over, since _open. */
size_t	applier_unreadable(const struct applier *applier);

#endif
