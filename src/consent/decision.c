/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "consent/decision.h"

static const char *const reason_names[] = {
	[REASON_GRANTED] = "granted",
	[REASON_NO_CONSENT] = "no-consent",
	[REASON_PENDING] = "pending",
	[REASON_WITHDRAWN] = "withdrawn",
	[REASON_EXPIRED] = "expired",
	[REASON_OBJECTED] = "objected",
	[REASON_ERASED] = "erased",
	[REASON_RESTRICTED] = "restricted",
	[REASON_UNPROVEN] = "unproven",
	[REASON_STORE_FAILURE] = "store-failure",
	[REASON_UNLISTED_BULK] = "unlisted-bulk",
	[REASON_NOT_BULK] = "not-bulk",
	[REASON_EXEMPT] = "exempt",
	[REASON_SECOND_RECIPIENT] = "second-recipient",
};

static const char *const action_names[] = {
	[ACTION_ACCEPT] = "accept",
	[ACTION_REJECT] = "reject",
	[ACTION_REMOVE] = "remove",
	[ACTION_TEMPFAIL] = "tempfail",
};

const char *
reason_name(enum reason reason)
{
	return reason_names[reason];
}

const char *
action_name(enum action action)
{
	return action_names[action];
}

int
reason_parse(struct span name, enum reason *out)
{
	size_t n = sizeof(reason_names) / sizeof(reason_names[0]);

	for (size_t i = 0; i < n; i++)
		if (span_is(name, span_str(reason_names[i]))) {
			*out = (enum reason)i;
			return 1;
		}
	return 0;
}

static int64_t
later_of(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Written so that no clock can overflow it: times of a record are >= 0. */
static bool
is_future(int64_t at_ms, int64_t now_ms)
{
	return at_ms - DECISION_CLOCK_SKEW_MS > now_ms;
}

static int64_t
withdrawn_ms(const struct record *r)
{
	return later_of(r->withdraw_ms, r->all_withdraw_ms);
}

static int64_t
latest_opt_out(const struct record *r)
{
	return later_of(withdrawn_ms(r), later_of(r->object_ms, r->erase_ms));
}

/* The gravest opt-out that a grant of this time does not outlive. */
static enum reason
opt_out_since(const struct record *r, int64_t grant_ms)
{
	if (r->object_ms != 0 && r->object_ms >= grant_ms)
		return REASON_OBJECTED;
	if (r->erase_ms != 0 && r->erase_ms >= grant_ms)
		return REASON_ERASED;
	if (withdrawn_ms(r) != 0 && withdrawn_ms(r) >= grant_ms)
		return REASON_WITHDRAWN;
	return REASON_NO_CONSENT;
}

int64_t
consent_last_ms(const struct list *list, int64_t grant_ms)
{
	int64_t last_ms = INT64_MAX;

	if (duration_is_set(list->max_age))
		last_ms = date_add(grant_ms, list->max_age);
	if (grant_ms < list->notice_since_ms &&
	    list->notice_since_ms <= last_ms)
		last_ms = list->notice_since_ms - 1;
	return last_ms;
}

bool
consent_objects_to_profiling(const struct record *r)
{
	int64_t objected_ms = later_of(r->object_profiling_ms,
	    later_of(r->object_ms, r->erase_ms));

	return objected_ms != 0 && objected_ms >= r->allow_profiling_ms;
}

/* Of a normalised record. */
static enum reason
state_of(const struct list *list, const struct record *r, int64_t now_ms)
{
	int64_t out_ms = latest_opt_out(r);

	if (r->restrict_ms != 0 && r->restrict_ms >= r->unrestrict_ms)
		return REASON_RESTRICTED;
	/* At equal times the opt-out wins; 0 against 0: nothing is known. */
	if (r->grant_ms <= out_ms)
		return r->unproven_ms > out_ms ? REASON_UNPROVEN :
		    opt_out_since(r, r->grant_ms);
	if (is_future(r->grant_ms, now_ms))
		return REASON_NO_CONSENT;
	if (consent_last_ms(list, r->grant_ms) < now_ms)
		return REASON_EXPIRED;
	if (list->double_opt_in && (r->confirm_ms < r->grant_ms ||
	    is_future(r->confirm_ms, now_ms)))
		return REASON_PENDING;
	return REASON_GRANTED;
}

enum reason
consent_state(const struct list *list, const struct record *record,
    int64_t now_ms)
{
	struct record r = *record;

	/* Its halves may have been read one by one, out of fields that were
	 * written before and after the erasure. */
	record_normalise(&r);
	return state_of(list, &r, now_ms);
}

struct decision
decide_listed(const struct list *list, const struct record *record,
    int64_t now_ms)
{
	enum reason reason = consent_state(list, record, now_ms);

	return (struct decision){ reason == REASON_GRANTED ? ACTION_ACCEPT :
	    ACTION_REJECT, reason };
}

struct decision
decide_confirmation(const struct list *list, const struct record *record,
    int64_t now_ms)
{
	struct record r = *record;
	enum reason reason;

	record_normalise(&r);
	reason = state_of(list, &r, now_ms);
	/* Security: a claim without proof, or a grant that no clock has
	 * reached, must not reopen the way to somebody who objected. */
	if (reason == REASON_UNPROVEN)
		reason = opt_out_since(&r, r.grant_ms);
	else if (reason == REASON_NO_CONSENT)
		reason = opt_out_since(&r, 0);
	if (reason == REASON_OBJECTED || reason == REASON_ERASED ||
	    reason == REASON_RESTRICTED)
		return (struct decision){ ACTION_REJECT, reason };
	return (struct decision){ ACTION_ACCEPT, REASON_EXEMPT };
}

static enum action
action_for(enum failure_action configured)
{
	switch (configured) {
	case FAILURE_ACCEPT:
		return ACTION_ACCEPT;
	case FAILURE_REJECT:
		return ACTION_REJECT;
	case FAILURE_TEMPFAIL:
		break;
	}
	return ACTION_TEMPFAIL;
}

struct decision
decide_store_failure(const struct policy *policy)
{
	return (struct decision){ action_for(policy->on_store_failure),
	    REASON_STORE_FAILURE };
}

/* Is it a refusal of somebody of whom no opt-out is known?  With one, that is
 * believed, though a later opt-in may be lost. */
static bool
lacks_opt_in(const struct decision *d)
{
	return d->action == ACTION_REJECT &&
	    (d->reason == REASON_NO_CONSENT || d->reason == REASON_PENDING ||
	    d->reason == REASON_EXPIRED || d->reason == REASON_UNPROVEN);
}

struct decision
decide_without_opt_ins(const struct policy *policy,
    const struct decision *decision)
{
	struct decision failure = decide_store_failure(policy);

	return lacks_opt_in(decision) && failure.action != ACTION_ACCEPT ?
	    failure : *decision;
}

struct decision
decide_unlisted(const struct policy *policy, enum message_class class)
{
	switch (class) {
	case CLASS_EXEMPT:
		return (struct decision){ ACTION_ACCEPT, REASON_EXEMPT };
	case CLASS_NOT_BULK:
		return (struct decision){ ACTION_ACCEPT, REASON_NOT_BULK };
	case CLASS_UNDECIDED:
	case CLASS_LISTED:
	case CLASS_CONFIRMATION:
	case CLASS_UNLISTED_BULK:
		break;
	}
	return (struct decision){ action_for(policy->unlisted_bulk),
	    REASON_UNLISTED_BULK };
}

struct decision
decide_further_recipient(const struct list *list)
{
	return (struct decision){
	    list->multiple_recipients == MULTIPLE_SINGLE ? ACTION_TEMPFAIL :
	    ACTION_REJECT, REASON_SECOND_RECIPIENT };
}

/* The first decision with this action, or n. */
static size_t
first_with(const struct decision *decisions, size_t n, enum action action)
{
	size_t i = 0;

	while (i < n && decisions[i].action != action)
		i++;
	return i;
}

size_t
decide_message(const struct list *list, struct decision *decisions, size_t n,
    bool several_people)
{
	size_t waits = first_with(decisions, n, ACTION_TEMPFAIL);
	size_t accepted = first_with(decisions, n, ACTION_ACCEPT);

	if (waits < n)
		return waits;
	if (accepted == n)
		return first_with(decisions, n, ACTION_REJECT);
	if (several_people && list->multiple_recipients != MULTIPLE_SHARED) {
		for (size_t i = 0; i < n; i++)
			decisions[i] = (struct decision)
			    { ACTION_REJECT, REASON_SECOND_RECIPIENT };
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		if (decisions[i].action == ACTION_REJECT)
			decisions[i].action = ACTION_REMOVE;
	return n;
}
