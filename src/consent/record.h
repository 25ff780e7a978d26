/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What is known about one person and one list: for each kind of event the
 * latest time.  Applying events is taking maxima, so order, repetition and
 * splitting do not matter; two records of the same person merge the same way.
 * An erasure (GDPR Art. 17) leaves nothing of what is not later than it: all
 * other times up to and at its own are dropped, whichever came first, and only
 * its own stays, to keep what is older from coming back.  Pure; thread-safe.
 *
 * Redis form: one hash per person, key "c:" + subject in hex; the field named
 * like the list holds the list's times, the field "*" the person's, the field
 * "LIST.e" the evidence of the latest grant (never read for a decision).
 * Times are decimal Unix milliseconds behind a letter, absent ones left out,
 * always in this order, one space between:
 *	weekly    g1764000000000 c1764000300000 w1764000400000 u1763000000000
 *	*         w… o… e… r… l… p… a…
 *	weekly.e  source=shop&method=web-form   (times: g…, then the evidence;
 *	          see evidence_field_format)
 * g grant, c confirm, w withdraw, u unproven, o object, e erase, r restrict,
 * l unrestrict, p object to profiling, a allow profiling.  store/merge.lua merges the same forms on the server; there an
 * erasure drops the evidence of grants that are not later than it as well, and
 * fields that have nothing left.
 */
#ifndef CONSENT_RECORD_H
#define CONSENT_RECORD_H

#include <stdint.h>

#include "base/buf.h"
#include "base/fail.h"
#include "base/span.h"
#include "consent/event.h"

/* Times are Unix milliseconds, 0 for never. */
struct record {
	/* this list */
	int64_t grant_ms;
	int64_t confirm_ms;
	int64_t withdraw_ms;
	int64_t unproven_ms;
	/* the person */
	int64_t all_withdraw_ms;
	int64_t object_ms;
	int64_t erase_ms;
	int64_t restrict_ms;
	int64_t unrestrict_ms;
	int64_t object_profiling_ms;
	int64_t allow_profiling_ms;
};

/* Applies an event about this person and (when it names one) this list.  What
 * is not later than erase_ms is ignored; an erasure drops what it covers. */
void	record_apply(struct record *record, const struct event *event);
/* a becomes the normalised record of both sets of events. */
void	record_merge(struct record *a, const struct record *b);
/* Drops each time that is not later than erase_ms, but for that itself.  For a
 * record whose halves were read one by one; all others are so already. */
void	record_normalise(struct record *record);

/* The value of the list's field and of the field "*"; nothing is added when
 * there is no time to write. */
void	record_list_format(struct buf *out, const struct record *record);
void	record_person_format(struct buf *out, const struct record *record);
/*
 * Reads a field's value into its half of *record, leaving the other half;
 * nothing is normalised, for the other half may be still to come.
 * Strict: letters in order, each once, no sign, no leading zero, 1 to
 * DATE_MAX_MS, nothing else.  What can't be read is not consent: returns -1
 * with FAIL_INPUT and the caller treats the store as broken.
 */
int	record_list_parse(struct span text, struct record *record,
	    struct fail *fail) __attribute__((warn_unused_result));
int	record_person_parse(struct span text, struct record *record,
	    struct fail *fail) __attribute__((warn_unused_result));

/*
 * The evidence field: "g1764000000000 source=shop&method=web-form", values
 * percent-encoded but for [A-Za-z0-9._~:/@-].  Of two, the one with the later
 * time stays; at equal times the one whose ip is shorter, or else smaller: so
 * an address that was cut down does not come back; or else the greater bytes.
 * So order never matters.
 */
void	evidence_field_format(struct buf *out, int64_t grant_ms,
	    const struct evidence *evidence);
int	evidence_field_parse(struct span text, int64_t *grant_ms,
	    struct evidence *out, struct fail *fail)
	    __attribute__((warn_unused_result));
bool	evidence_field_wins(struct span a, struct span b);

#endif
