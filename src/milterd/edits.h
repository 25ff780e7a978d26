/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Which header fields a message loses and gains (RFC 8058, RFC 2369, RFC
 * 2919): exactly one List-Unsubscribe, one List-Unsubscribe-Post and one
 * List-Id leave with a newsletter.  Pure.
 */
#ifndef MILTERD_EDITS_H
#define MILTERD_EDITS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/fail.h"
#include "base/span.h"
#include "consent/policy.h"
#include "consent/subject.h"
#include "settings/settings.h"

enum edits_field {		/* in the order in which they shall stand */
	EDITS_LIST_ID,
	EDITS_LIST_UNSUBSCRIBE,
	EDITS_LIST_UNSUBSCRIBE_POST
};
#define EDITS_FIELDS	3

const char *edits_field_name(enum edits_field field);

/* What the message already has; feed it each header field. */
struct edits_facts {
	struct {
		unsigned count;
		unsigned usable;	/* the first well-formed one, counted
					   from 1; 0: none */
		bool	 signed_before;	/* covered by a DKIM-Signature */
	} field[EDITS_FIELDS];
};
void	edits_facts_add(struct edits_facts *facts, struct span name,
	    struct span value);

struct edits {
	struct {
		unsigned remove;	/* delete instances remove .. 1, but
					   not `keep', in this order: Postfix
					   renumbers at once, Sendmail never */
		unsigned keep;
		bool	 add;
		struct buf value;	/* folds are LF and a space */
	} field[EDITS_FIELDS];
	/* A field that somebody has signed is changed: that signature will not
	 * verify; whoever signs after us has to. */
	bool	 breaks_signature;
};

void	edits_init(struct edits *edits);
void	edits_fini(struct edits *edits);
/*
 * Plans the edits for a message of a list.  subject is the only person that
 * gets it, or NULL when several do: then the link names the list only, and
 * there is no List-Unsubscribe-Post, because one click can't be honest there.
 *
 * Returns 0, or -1 with FAIL_SETUP (no token key) or FAIL_BUG.
 */
int	edits_plan(struct edits *edits, const struct edits_facts *facts,
	    const struct settings *settings, const struct list *list,
	    const struct subject *subject, int64_t now_ms, struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
