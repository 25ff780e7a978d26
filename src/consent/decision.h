/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * May this person get mail of this list now?  The whole product rests on this
 * function, which the filter, `check' and `explain' share.  Pure; thread-safe.
 */
#ifndef CONSENT_DECISION_H
#define CONSENT_DECISION_H

#include <stdbool.h>
#include <stdint.h>

#include "consent/classify.h"
#include "consent/policy.h"
#include "consent/record.h"

/* How far ahead of our clock another host's may be. */
#define DECISION_CLOCK_SKEW_MS	(5 * 60 * 1000)

enum reason {
	REASON_GRANTED,
	REASON_NO_CONSENT,
	REASON_PENDING,		/* double opt-in not confirmed */
	REASON_WITHDRAWN,
	REASON_EXPIRED,
	REASON_OBJECTED,
	REASON_ERASED,
	REASON_RESTRICTED,
	REASON_UNPROVEN,
	REASON_STORE_FAILURE,
	REASON_UNLISTED_BULK,
	REASON_NOT_BULK,
	REASON_EXEMPT,
	REASON_SECOND_RECIPIENT	/* the list takes one per message */
};

enum action {
	ACTION_ACCEPT,
	ACTION_REJECT,
	ACTION_REMOVE,
	ACTION_TEMPFAIL
};

struct decision {
	enum action	action;		/* ACTION_REMOVE: decide_message() */
	enum reason	reason;
};

const char *reason_name(enum reason reason);	/* as in interface.md */
const char *action_name(enum action action);
/* Returns 1, or 0 when no reason/action has this name. */
int	reason_parse(struct span name, enum reason *out)
	    __attribute__((warn_unused_result));

/*
 * The state of a consent.  GRANTED when the latest grant is strictly later
 * than the latest withdrawal (of the list or of all), objection and erasure,
 * is not in the future by more than DECISION_CLOCK_SKEW_MS, is not older than
 * max_age nor than a notice_since that has come, is confirmed at or after it (and not in the future) where the list
 * wants that, and the person is not restricted (restrict >= unrestrict).
 * What is not later than the erasure counts for nothing, be the record
 * normalised or not: a restriction or an objection of before it is no reason.
 * Otherwise the reason, in this order: RESTRICTED; when no grant is later than
 * the opt-outs: OBJECTED, ERASED, WITHDRAWN, whichever is there first in this
 * order and not older than the grant, unless an unproven claim is later than
 * all of them (UNPROVEN); NO_CONSENT when nothing is known or the grant is
 * from the future; EXPIRED; PENDING.
 */
enum reason consent_state(const struct list *list,
	    const struct record *record, int64_t now_ms);
/* The last millisecond at which a grant of this time is not EXPIRED;
 * INT64_MAX when it never is. */
int64_t	consent_last_ms(const struct list *list, int64_t grant_ms);
/*
 * Did the person object to profiling for marketing (GDPR Art. 21(2)), by that
 * or by objecting to all of it, and not allow it since?  An erasure counts as
 * well, for what was objected to before is no longer known.  No mail depends
 * on it: it is for those who segment.
 */
bool	consent_objects_to_profiling(const struct record *record);

/* The answer for one recipient of a LISTED message. */
struct decision decide_listed(const struct list *list,
	    const struct record *record, int64_t now_ms);
/*
 * ... of a CONFIRMATION: everybody but those who are restricted, or objected
 * or were erased since their last grant; reason EXEMPT when accepted.  An
 * unproven claim and a grant from the future lift neither.
 */
struct decision decide_confirmation(const struct list *list,
	    const struct record *record, int64_t now_ms);
/* ... when the store could not be asked, or answered nonsense. */
struct decision decide_store_failure(const struct policy *policy);
/* ... when the store answered, and is known to have lost opt-ins: a refusal for
 * want of one is a store failure then, unless that would let mail pass. */
struct decision decide_without_opt_ins(const struct policy *policy,
	    const struct decision *decision);
/* ... when a list takes one recipient per message and this is a further one. */
struct decision decide_further_recipient(const struct list *list);
/* ... for a message that no list claims (class UNLISTED_BULK, NOT_BULK or
 * EXEMPT). */
struct decision decide_unlisted(const struct policy *policy,
	    enum message_class class);

/*
 * The end of a message of a list whose n recipients the MTA has taken, given
 * the decision for each.  One that has to wait makes all wait; several people
 * in a message of a list that takes one are refused, for a deferral would
 * bring the same message again for ever; otherwise those who are refused are
 * removed (ACTION_REMOVE), unless nobody would be left.
 *
 * several_people: those who are accepted are not all the same person.
 * Returns the number of the recipient whose answer the whole message gets, or
 * n when the message goes on.
 */
size_t	decide_message(const struct list *list, struct decision *decisions,
	    size_t n, bool several_people);

#endif
