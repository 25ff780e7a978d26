/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The consent that a self-test needs.  The test ends with an opt-out, so it must
 * not take a real consent away unasked; and no person may be opted in who did
 * not do that.  Hence: it is recorded only for an address of which nothing is
 * known but earlier self-tests, only when asked for, with a method that tells
 * what it is.  Whoever begins a trial ends it with trial_opt_out(), whatever
 * happens between.  One thread.
 */
#ifndef CTL_TRIAL_H
#define CTL_TRIAL_H

#include <stdbool.h>

#include "consent/decision.h"
#include "ctl/ctl.h"

struct trial {
	struct ctl	*ctl;		/* with keys and store */
	const struct list *list;
	const struct subject *subject;
	const char	*address;	/* the subject's, as it was given */
	bool		 may_grant;	/* the admin said so */
	bool		 may_end;	/* a real consent, the same */
	bool		 has_granted;	/* so it has to be withdrawn */
};

/* Makes sure that the person has a consent.  Returns 0, or an exit code after
 * saying why not; has_granted may be set then, too. */
int	trial_begin(struct trial *trial);
/* What the filter would say now; REASON_STORE_FAILURE when it can't be
 * asked. */
enum reason trial_state(const struct trial *trial);
/* Opts the person out of the list.  Returns whether it is recorded, though Redis
 * may have to wait; says what is wrong. */
bool	trial_opt_out(struct trial *trial);

#endif
