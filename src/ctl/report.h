/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What `report' counted, and how each format shows it.  Counts only: nothing in
 * here is about one person, so a report can be mailed.  List ids and names and
 * the host may be hostile text.
 */
#ifndef CTL_REPORT_H
#define CTL_REPORT_H

#include "base/crypto.h"
#include "consent/decision.h"
#include "ctl/ctl.h"
#include "journal/verify.h"

/* Actions are counted as they are and as they would have been. */
#define REPORT_ACTIONS	(2 * 4)
#define REPORT_REASONS	(REASON_SECOND_RECIPIENT + 1)
#define REPORT_CHAINS_MAX	200

/* What an action means to a reader. */
enum outcome {
	OUTCOME_ACCEPTED,
	OUTCOME_REFUSED,	/* rejected or removed */
	OUTCOME_DEFERRED,
	OUTCOME_OBSERVED	/* only logged: observe mode */
};
#define OUTCOMES	4

/* One list on one day. */
struct report_day {
	uint64_t	 decisions[REPORT_ACTIONS][REPORT_REASONS];
	uint64_t	 events[EVENT_KINDS];
};

struct report_list {
	char		*id;		/* owned; "" for none */
	const char	*name;		/* NULL: not configured */
	struct report_day **days;	/* NULL where nothing was */
};

/* A request that a right be granted (GDPR Art. 12(3)). */
struct report_request {
	enum event_kind	 kind;
	int64_t		 at_ms, recorded_ms, due_ms;
};

struct report_chain {
	char		*directory;	/* owned */
	const char	*journal;
	struct journal_tally tally;	/* without ranges */
	uint64_t	 problems;
	char		 first[300];	/* the first of them */
};

struct would;

struct report {
	struct ctl	*ctl;
	const char	*only;		/* this list, or NULL */
	int64_t		 since_ms, until_ms;
	int64_t		 first_day;	/* days since 1970, UTC */
	size_t		 day_count;
	struct report_list *lists;
	size_t		 list_count, list_room;
	struct report_request *requests;
	size_t		 request_count, request_room;
	uint64_t	 late;		/* of the requests */
	uint64_t	 decisions, events;	/* in the period */
	uint64_t	 blanked;	/* entries without a time, in all */
	uint64_t	 unreadable;	/* lines */
	struct would	*would;		/* NULL: count all that was decided */
	bool		 verified;
	bool		 has_key;
	struct report_chain chains[REPORT_CHAINS_MAX];
	size_t		 chain_count;
	const char	*directories[REPORT_CHAINS_MAX / 2];
	size_t		 directory_count;	/* 0: our own */
};

/* Hands members of an entry that is a decision to count, in the order of
 * names; an absent one is empty.  What can't be read, or of which count makes
 * nothing (-1), is counted as unreadable. */
#define REPORT_MEMBERS_MAX	12
void	report_read_decision(struct report *report,
	    const struct journal_entry *entry, const char *const *names,
	    size_t n, int (*count)(struct report *report,
	    const struct span *values));

const char *report_action_name(unsigned action);	/* "would-reject" */
/* Returns 0, or -1 when no action has this name. */
int	report_action_parse(struct span name, unsigned *out)
	    __attribute__((warn_unused_result));
enum outcome report_outcome(unsigned action);
const char *report_outcome_name(enum outcome outcome);	/* "refused" */
const char *report_request_article(enum event_kind kind);

/* Sums of decisions; list NULL: all. */
struct report_sums {
	uint64_t	 outcomes[OUTCOMES];
	uint64_t	 total;
};
void	report_sum_days(const struct report *report,
	    const struct report_list *list, size_t from, size_t to,
	    struct report_sums *out);
void	report_sum_reason(const struct report *report, enum reason reason,
	    struct report_sums *out);
uint64_t report_sum_events(const struct report *report,
	    const struct report_list *list, enum event_kind kind, size_t from,
	    size_t to);

/* A chart has room for so many; days, weeks or months, as the period needs. */
#define REPORT_BARS_MAX	64
struct report_bar {
	size_t		 from, to;	/* days of the period */
	char		 label[16];	/* "2026-11-24", "2026-11" */
};
/* Returns how many. */
size_t	report_bars(const struct report *report,
	    struct report_bar bars[REPORT_BARS_MAX], const char **unit);
/* "2026-11-24" of a day of the period. */
void	report_day_name(const struct report *report, size_t day,
	    char name[16]);
/* "good", "broken", "not checked", "empty" */
const char *report_chain_state(const struct report *report,
	    const struct report_chain *chain);
/* Entries that no checkpoint covers. */
uint64_t report_chain_tail(const struct report_chain *chain);

/* -- the formats; all print to stdout -- */
void	report_text(const struct report *report);
void	report_csv(const struct report *report);
void	report_json(const struct report *report);
void	report_html(const struct report *report);

/* The start of a page, up to its heading; and text in it, of which at most so
 * many characters are shown. */
void	report_html_begin(const char *title);
void	report_html_text(const char *text, size_t most);

#endif
