/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What happened to a consent, as the ledger keeps it for ever.  State follows
 * from the set of events (record.h); an event once written never changes.
 * Pure; thread-safe.
 */
#ifndef CONSENT_EVENT_H
#define CONSENT_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/fail.h"
#include "base/json.h"
#include "base/span.h"
#include "consent/subject.h"

#define LIST_NAME_MAX	32	/* [a-z0-9][a-z0-9-]{0,31} */

enum event_kind {
	EVENT_GRANT,		/* list: an opt-in that counts */
	EVENT_UNPROVEN,		/* list: an opt-in claimed without proof */
	EVENT_CONFIRM,		/* list: second step of a double opt-in */
	EVENT_WITHDRAW,		/* list, or the person: every list */
	EVENT_OBJECT,		/* person: no direct marketing, Art. 21 */
	EVENT_ERASE,		/* person: forgotten, Art. 17 */
	EVENT_RESTRICT,		/* person: stored, not used, Art. 18 */
	EVENT_UNRESTRICT,	/* person: the restriction is lifted */
	EVENT_OBJECT_PROFILING,	/* person: mail yes, profiling no, Art. 21(2) */
	EVENT_ALLOW_PROFILING	/* person: that objection is taken back */
};
#define EVENT_KINDS	10

/* How a grant was given (GDPR Art. 7(1)).  Empty means not recorded.  Text is
 * UTF-8 without control characters; evidence_set() sees to that. */
#define EVIDENCE_TEXT_MAX	200	/* bytes, each */
struct evidence {
	char source[EVIDENCE_TEXT_MAX + 1];	/* form, shop, import file */
	char notice[EVIDENCE_TEXT_MAX + 1];	/* id and version of the text */
	char language[EVIDENCE_TEXT_MAX + 1];	/* BCP 47 */
	char method[EVIDENCE_TEXT_MAX + 1];	/* web-form, paper, phone, … */
	char basis[EVIDENCE_TEXT_MAX + 1];	/* consent, soft-opt-in, … */
	char guardian[EVIDENCE_TEXT_MAX + 1];	/* Art. 8 */
	char ip[EVIDENCE_TEXT_MAX + 1];
	char digest[EVIDENCE_TEXT_MAX + 1];	/* SHA-256 of the notice */
	char jurisdiction[EVIDENCE_TEXT_MAX + 1];	/* ISO 3166 */
	char purpose[EVIDENCE_TEXT_MAX + 1];	/* as the person was told */
};

struct event {
	enum event_kind	kind;
	struct subject	subject;
	char		list[LIST_NAME_MAX + 1];  /* "" for the person */
	int64_t		at_ms;		/* when it happened */
	struct evidence	evidence;	/* of EVENT_GRANT and EVENT_UNPROVEN */
	/* It was recorded before, and stands again with less evidence: nothing
	 * happened anew.  Read from a ledger only. */
	bool		restated;
};

const char *event_kind_name(enum event_kind kind);	/* "grant", … */
/* Returns 1, or 0 when no kind has this name. */
int	event_kind_parse(struct span name, enum event_kind *out)
	    __attribute__((warn_unused_result));
/* May an event of this kind name a list / go without one? */
bool	event_kind_has_list(enum event_kind kind);
bool	event_kind_has_person(enum event_kind kind);
/* Does it only take away? */
bool	event_kind_is_opt_out(enum event_kind kind);

/* [a-z0-9][a-z0-9-]{0,31} */
bool	list_name_is_valid(struct span name);

/* A method that can't count as consent: "unknown", "pre-ticked", "implied",
 * "purchased" and what is spelt nearly so (GDPR Art. 4(11)).  Empty counts. */
bool	evidence_method_counts(struct span method);
/* Sets one field by its name ("source", …).  Returns 0, or -1 with FAIL_INPUT:
 * no such field, too long, not UTF-8, a control character. */
int	evidence_set(struct evidence *evidence, const char *name,
	    struct span value, struct fail *fail)
	    __attribute__((warn_unused_result));
/* The names, in the order of the struct, for loops over all of them. */
#define EVIDENCE_FIELDS	10
const char *evidence_name(unsigned i);
const char *evidence_get(const struct evidence *evidence, unsigned i);

/* Why mail may be sent.  Empty text means BASIS_CONSENT. */
enum basis {
	BASIS_CONSENT,
	BASIS_EXPLICIT_CONSENT,		/* Art. 9(2)(a) */
	BASIS_SOFT_OPT_IN,		/* of customers: ePrivacy Art. 13(2) */
	BASIS_CHARITY_SOFT_OPT_IN,	/* of supporters: United Kingdom */
	BASIS_CASL_IMPLIED,		/* Canada */
	BASIS_LEGITIMATE_INTEREST
};
#define BASES	6
const char *evidence_basis_name(enum basis basis);	/* "consent", … */
/* Returns 1; or 0 when no basis has this name, with FAIL_INPUT and the nearest
 * in *fail. */
int	evidence_basis_parse(struct span name, enum basis *out,
	    struct fail *fail) __attribute__((warn_unused_result));

/* What is kept of the address that a grant came from. */
enum evidence_ip {
	EVIDENCE_IP_TRUNCATED,		/* 24 bits of IPv4, 48 of IPv6 */
	EVIDENCE_IP_OFF,
	EVIDENCE_IP_FULL
};
/*
 * Strict, for what is about to be recorded; what a ledger holds already is
 * read without.  The language has the shape of BCP 47, the basis is known, ip
 * is an address, digest a SHA-256, jurisdiction a country and perhaps a part
 * of it.  Writes ip in the form wanted, digest in lower case and jurisdiction
 * in upper case.  Returns 0, or -1 with FAIL_INPUT.
 */
int	evidence_check(struct evidence *evidence, enum evidence_ip ip,
	    struct fail *fail) __attribute__((warn_unused_result));
/* Leaves no more of the ip of recorded evidence than this; what is no address
 * goes as a whole.  Returns whether there was more. */
bool	evidence_limit_ip(struct evidence *evidence, enum evidence_ip most);

/*
 * The ledger's form: JSON members without braces,
 *   "event":"grant","list":"weekly","subject":"…","at":"2026-01-05T09:00:00.000Z","source":"shop"
 * Empty evidence is left out; "list" too for an event about the person.  The
 * digest stands there as "notice_digest": each entry of a journal has a
 * "digest" of its own.  "restated_at" among the other members makes it
 * restated.
 */
void	event_format(struct buf *out, const struct event *event);
/* Reads a JSON object that holds these members among others: whole, or without
 * its braces as the body of an entry is.  Returns 0, or -1 with FAIL_INPUT and
 * *out untouched. */
int	event_read(struct span text, struct event *out, struct fail *fail)
	    __attribute__((warn_unused_result));
int	event_read_body(struct span body, struct event *out,
	    struct fail *fail) __attribute__((warn_unused_result));
/* The same for an object that has been parsed. */
int	event_parse(const struct json_object *object, struct event *out,
	    struct fail *fail) __attribute__((warn_unused_result));
/*
 * Of the body of an entry, what happened, without the evidence, and when it was
 * recorded (0: it does not tell): of millions of entries that are counted, all
 * have the same plain shape (base/member.h).  Returns 0; or -1 when
 * event_read_body() has to be asked, also about what is no event at all.
 */
int	event_scan(struct span body, struct event *out, int64_t *recorded_ms)
	    __attribute__((warn_unused_result));

#endif
