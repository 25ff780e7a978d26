/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What would have been blocked had the filter enforced, by list, sender and
 * reason, out of the decision log of observe mode (report --would).  Memory is
 * bounded, whatever the log holds.  Recipients are shown as the log has them.
 */
#ifndef CTL_WOULD_H
#define CTL_WOULD_H

#include "ctl/report.h"

#define WOULD_EXAMPLES	3
#define WOULD_TEXT_MAX	160	/* of a text out of the log; the rest is cut */

struct would_example {
	char		 recipient[WOULD_TEXT_MAX + 1];
	char		 ref[WOULD_TEXT_MAX + 1];
};

/* One kind of block for one sender: the domain of the envelope sender, where
 * it came from, and who logged in. */
struct would_row {
	char		*key;		/* owned: the parts, each with its NUL */
	size_t		 key_len;
	const char	*list, *domain, *client, *auth;	/* in it */
	unsigned	 action;	/* as for report_action_name() */
	enum reason	 reason;
	char		 sender[WOULD_TEXT_MAX + 1];	/* the latest */
	uint64_t	 recipients, messages;
	int64_t		 first_ms, last_ms;
	char		 queue_id[WOULD_TEXT_MAX + 1];	/* of the latest */
	struct would_example examples[WOULD_EXAMPLES];
	size_t		 example_count;
};

struct would_list {
	char		*id;		/* owned; "" for none */
	uint64_t	 passed;	/* would-accept */
	uint64_t	 blocked[REPORT_REASONS];
	uint64_t	 enforced;	/* decisions that were carried out */
};

/* What a list needs to be switched over. */
enum would_state {
	WOULD_ENFORCED,		/* it is, by the configuration */
	WOULD_UNSEEN,		/* no mail of it in the period */
	WOULD_READY,		/* nothing would have been blocked */
	WOULD_OPTED_OUT,	/* only who does not want it any more */
	WOULD_BLOCKS		/* people who may only lack a record */
};

struct would;
struct would *would_new(void) __attribute__((returns_nonnull));
void	would_free(struct would **would);
/* Counts an entry, or counts it as unreadable. */
void	would_count(struct report *report, const struct journal_entry *entry);
/* To be called before the rest: sorts, and adds the lists of the configuration
 * that had no mail. */
void	would_finish(struct report *report);

size_t	would_rows(const struct report *report, const struct would_row **rows);
size_t	would_lists(const struct report *report,
	    const struct would_list **lists);
uint64_t would_blocked(const struct would_list *list);
enum would_state would_state(const struct report *report,
	    const struct would_list *list);
/* What to do now, in a sentence, and the line of the configuration. */
void	would_advise(struct buf *out, const struct report *report,
	    const struct would_list *list);

/* -- the formats; all print to stdout -- */
void	would_text(const struct report *report);
void	would_csv(const struct report *report);
void	would_json(const struct report *report);
void	would_html(const struct report *report);

#endif
