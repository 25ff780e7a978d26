/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The lists and rules that an administrator configured, as plain data.  Made
 * by settings/, immutable afterwards, shared by all threads.  Every pointer is
 * owned by whoever owns the policy; NULL means `not set'.
 */
#ifndef CONSENT_POLICY_H
#define CONSENT_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/date.h"
#include "consent/event.h"
#include "consent/token.h"

enum multiple_recipients {
	MULTIPLE_SHARED,	/* all pass together, no personal link */
	MULTIPLE_SINGLE,	/* the second and later: 452 4.5.3 */
	MULTIPLE_REJECT		/* the second and later: 550 5.5.3 */
};

enum failure_action {		/* on_store_failure, bulk.unlisted */
	FAILURE_TEMPFAIL,
	FAILURE_ACCEPT,
	FAILURE_REJECT
};

/* An IP network: client addresses match when the first prefix_bits agree.
 * IPv4 is kept as IPv4-mapped IPv6, prefix_bits + 96. */
struct network {
	unsigned char	address[16];
	unsigned	prefix_bits;
};

/* All keys that are set must hold.  A rule has at least one. */
struct rule {
	char	*sender;	/* glob over the envelope sender, no case */
	char	*sasl_user;	/* glob over the authenticated user, no case */
	char	*daemon;	/* glob over {daemon_name}, no case */
	bool	 has_client;
	struct network client;
	char	*header;	/* field name */
	char	*value;		/* glob over the unfolded value; NULL any */
	char	*without;	/* field name: must be absent */
	/* Numbers for header and without, from one counter for the whole
	 * policy; settings/ hands them out. */
	size_t	 header_slot;
	size_t	 without_slot;
};

enum list_mode {
	LIST_MODE_DEFAULT,	/* as the filter's */
	LIST_MODE_ENFORCE,
	LIST_MODE_OBSERVE
};

/* The words of SMTP replies, by the reason that the decision log gives, see
 * reply_text.h; NULL: those of the whole policy, or else the built-in ones. */
struct replies {
	char	*no_consent;		/* whatever the reason is */
	char	*store_failure;
	char	*second_recipient;
	char	*unlisted_bulk;		/* NULL in a list */
};

struct list {
	char	 id[LIST_NAME_MAX + 1];
	char	*name;			/* never NULL */
	char	*purpose;		/* may be NULL */
	char	*list_id;		/* may be NULL: none is injected */
	struct duration max_age;	/* not set: never expires */
	char	*notice;		/* "ID MAJOR"; may be NULL */
	int64_t	 notice_since_ms;	/* from when; 0: always */
	bool	 double_opt_in;
	bool	 special_category;	/* Art. 9 */
	bool	 children;		/* its notice is for them */
	bool	 sign_up;		/* consent-web has a page for that */
	unsigned bases;			/* 1 << enum basis; 0: the default */
	enum multiple_recipients multiple_recipients;
	enum list_mode mode;
	struct replies replies;
	char	*texts;			/* directory of its own words of pages */
	struct rule *match;		/* any of them */
	size_t	 match_count;
	struct rule *confirmation;	/* double-opt-in mails, any of them */
	size_t	 confirmation_count;
};

struct policy {
	bool	 observe;		/* where no list says otherwise */
	enum evidence_ip evidence_ip;	/* audit.evidence_ip */
	enum failure_action on_store_failure;
	enum failure_action unlisted_bulk;
	struct replies replies;
	struct list *lists;
	size_t	 list_count;
	struct rule *exempt;		/* mail that is never bulk */
	size_t	 exempt_count;
	size_t	 header_slots;		/* how many numbers were handed out */
};

/* Borrowed; NULL when there is none. */
const struct list *policy_list(const struct policy *policy, struct span id);
/* The same for the part of a token that names a list. */
const struct list *policy_list_of_token(const struct policy *policy,
	    const unsigned char list[TOKEN_LIST_BYTES]);

/* Does mail of the list (NULL: of none) pass whatever is decided? */
bool	policy_observes(const struct policy *policy, const struct list *list);
/* Does all mail, whatever list it turns out to be of? */
bool	policy_observes_all(const struct policy *policy);

/* The bases that suffice for the list: as configured, otherwise consent and
 * explicit consent, or for a special category only the latter. */
unsigned policy_bases(const struct list *list);
/* Can a person opt in by a form: is consent, or explicit consent, among them?
 * And is it the explicit one alone, so that a box has to be ticked? */
bool	policy_takes_consent(const struct list *list);
bool	policy_takes_explicit_only(const struct list *list);
/* The id of the notice that the list names, otherwise the list's own.
 * Borrowed. */
struct span policy_notice_id(const struct list *list);
/* Has a notice ("ID VERSION") the ID that is wanted and at least the major
 * version ("ID MAJOR")?  The major version is the number that VERSION starts
 * with, before its end or a dot: 3 of "3", "3.1". */
bool	policy_notice_suffices(struct span wanted, struct span notice);
/* Is it "ID MAJOR"? */
bool	policy_notice_is_valid(struct span wanted);

/* Why a grant does not count. */
enum grant_fault {
	GRANT_COUNTS,
	GRANT_METHOD,		/* pre-ticked and the like */
	GRANT_BASIS,		/* one that the list does not take */
	GRANT_NOTICE		/* not the list's notice, or an older one */
};
/* What is wrong with a grant of this time and with this evidence. */
enum grant_fault policy_grant_fault(const struct list *list, int64_t at_ms,
	    const struct evidence *evidence);
/* The same as the kind of event that is recorded: EVENT_GRANT where it
 * counts, EVENT_UNPROVEN otherwise. */
enum event_kind policy_grant_kind(const struct list *list, int64_t at_ms,
	    const struct evidence *evidence);

/* Reads "192.0.2.0/24", "2001:db8::/32", "192.0.2.1".  Host bits that are set
 * are an error.  Returns 0, or -1 with FAIL_INPUT. */
int	network_parse(struct span text, struct network *out,
	    struct fail *fail) __attribute__((warn_unused_result));
/* address is 16 bytes, IPv4 as IPv4-mapped. */
bool	network_has(const struct network *network,
	    const unsigned char address[16]);

#endif
