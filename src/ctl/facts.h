/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The whole ledger as facts about people and lists, for the commands that look
 * at everybody: an event in as little room as it takes, for there may be
 * millions.
 */
#ifndef CTL_FACTS_H
#define CTL_FACTS_H

#include "ctl/ctl.h"

#define FACT_PERSON	-1	/* about the person, and so about all lists */

struct fact {
	struct subject	 subject;
	/* Its number in the policy; list_count for one that is no longer
	 * configured. */
	int32_t		 list;
	enum event_kind	 kind;
	int64_t		 at_ms;
};

/* By subject, then by list, FACT_PERSON first. */
struct facts {
	struct fact	*all;
	size_t		 count, room;
};

/* Reads our own ledger, with progress on a terminal; lines that can't be read
 * are reported and passed over.  Returns 0, or -1 with *fail (FAIL_TEMP when
 * it was interrupted: part of the facts is none). */
int	facts_read(struct ctl *ctl, struct facts *out, struct fail *fail)
	    __attribute__((warn_unused_result));
void	facts_fini(struct facts *facts);

/* How many from place i on are about the same person, and the same list. */
size_t	facts_same_person(const struct facts *facts, size_t i);
size_t	facts_same_list(const struct facts *facts, size_t i);

#endif
