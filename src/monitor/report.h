/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What both daemons tell of themselves, to Prometheus and at the control
 * socket.  Nothing of it is about a person.
 */
#ifndef MONITOR_REPORT_H
#define MONITOR_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "journal/journal.h"
#include "monitor/reach.h"
#include "monitor/reloads.h"
#include "store/store.h"

#define REPORT_JOURNALS		2
#define REPORT_PROBLEMS		8
/* What waits for a sync for longer is a problem: the disk hangs. */
#define REPORT_UNSYNCED_MS	10000
/* What waits is written together, up to this and a bit: where there is less room
 * a write may fail, and leaves as much again when it was taken back. */
#define REPORT_FULL_BYTES	(UINT64_C(1024) * 1024)

struct report_journal {
	const char	*name;		/* "decisions", "ledger" */
	const char	*directory;
	struct journal_stats stats;
	bool		 has_size;
	uint64_t	 bytes, free_bytes;
};

/* A moment of a daemon.  Borrowed. */
struct report {
	const char	*program;	/* "consent-milter" */
	const char	*prefix;	/* "consent_milter_" */
	const char	*config_path;
	int64_t		 started_ms, now_ms;	/* Unix time */
	struct reloads_state reloads;
	struct reach_state reach;
	bool		 store_is_reachable;	/* now */
	struct store_stats store;
	struct report_journal journals[REPORT_JOURNALS];
	size_t		 journal_count;
	/* Words such as "store-unreachable"; static. */
	const char	*problems[REPORT_PROBLEMS];
	size_t		 problem_count;
};

/* Adds a journal with its numbers and size; for a journal that another process
 * writes, journal is NULL and the numbers are 0. */
void	report_take_journal(struct report *report, const char *name,
	    const char *directory, struct journal *journal);
void	report_add_problem(struct report *report, const char *problem);
/* Adds those that both daemons may have, when all else is filled. */
void	report_find_problems(struct report *report);

void	report_add_metrics(struct buf *out, const struct report *report);
/* Members of an object of JSON. */
void	report_add_members(struct buf *out, const struct report *report);
/* A time as a member, null where it is 0. */
void	report_add_time(struct buf *out, const char *name, int64_t ms);

#endif
