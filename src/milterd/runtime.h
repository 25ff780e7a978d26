/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What the sessions share: the current settings with the store that belongs to
 * them, and the decision log.  A message takes a snapshot at MAIL and keeps it
 * to its end, so that a reload never changes rules in the middle of a message.
 * Locks inside; thread-safe.
 */
#ifndef MILTERD_RUNTIME_H
#define MILTERD_RUNTIME_H

#include "base/buf.h"
#include "base/fail.h"
#include "journal/journal.h"
#include "milterd/capacity.h"
#include "milterd/tally.h"
#include "milterd/unapplied.h"
#include "monitor/report.h"
#include "settings/settings.h"
#include "store/store.h"

struct snapshot {
	struct settings	*settings;	/* owned: one reference */
	struct store	*store;		/* borrowed from its pool */
	struct capacity	 capacity;	/* for connections of MTAs */
	struct tally_list **tallies;	/* of each list, by its place */
};

/* Settings that are good as such, and not for a filter: without lists it would
 * let all newsletters pass that bear no mark of bulk mail.  A file that was cut
 * off may be so.  Returns 0, or -1 with FAIL_SETUP. */
int	runtime_check(const struct settings *settings, struct fail *fail)
	    __attribute__((warn_unused_result));

struct runtime;

/*
 * Opens decision log and store for settings, whose reference passes in.
 * path (of the configuration file) is borrowed for ever.
 * Returns 0, or -1 with FAIL_SETUP.  Starts threads: call after privileges are
 * dropped and signals are blocked.
 */
int	runtime_new(const char *path, struct settings *settings,
	    struct runtime **out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Syncs the decision log and takes no more entries: who still wants to write
 * one defers its mail.  Everything stays valid, for sessions may go on until the
 * process ends, which is next. */
void	runtime_close(struct runtime *runtime);

/* Reads the configuration again.  A bad one is refused and the running one
 * stays; what was done or refused goes to the log. */
void	runtime_reload(struct runtime *runtime);

struct snapshot *runtime_get(struct runtime *runtime);
void	snapshot_put(struct snapshot **snapshot);

/*
 * Reads the record of each subject for one list: from the store, with what
 * this host's ledger holds beyond it on top.  results[i] becomes LOOKUP_WHOLE;
 * LOOKUP_LACKS_OPT_INS when Redis has lost what it had confirmed, and may have
 * known of opt-ins; or -1 when the record isn't known.  Returns 0, or -1 when
 * any isn't (*fail: the first).
 */
#define LOOKUP_WHOLE		0
#define LOOKUP_LACKS_OPT_INS	1
int	runtime_lookup(struct runtime *runtime,
	    const struct snapshot *snapshot, const struct subject *subjects,
	    size_t n, const char *list, struct record *out, int *results,
	    struct fail *fail) __attribute__((warn_unused_result));

struct tally *runtime_tally(struct runtime *runtime);
/* The counters for decisions about this list, which is of the snapshot; NULL:
 * mail of no list. */
struct tally_list *runtime_tally_list(struct runtime *runtime,
	    const struct snapshot *snapshot, const struct list *list);
/* Fills in what the filter knows beside its start. */
void	runtime_report(struct runtime *runtime,
	    const struct snapshot *snapshot, struct report *report,
	    struct unapplied_state *unapplied);
struct journal *runtime_decisions(struct runtime *runtime);
const char *runtime_host(const struct runtime *runtime);

#endif
