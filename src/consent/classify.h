/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Which list, if any, does a message belong to?  Known from the envelope at
 * MAIL (each recipient gets its own answer), or from the header fields at the
 * end of headers (spec: header rules are the fallback).  Pure; thread-safe;
 * memory does not grow with the message.
 */
#ifndef CONSENT_CLASSIFY_H
#define CONSENT_CLASSIFY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"
#include "consent/policy.h"

#define RULE_TEXT_MAX	80	/* bytes, NUL included */

enum message_class {
	CLASS_UNDECIDED,	/* envelope: the headers will tell */
	CLASS_LISTED,		/* belongs to a list */
	CLASS_CONFIRMATION,	/* a list's double-opt-in mail */
	CLASS_EXEMPT,		/* never touched */
	CLASS_UNLISTED_BULK,	/* bulk marks, but no list claims it */
	CLASS_NOT_BULK
};

struct classification {
	enum message_class	 class;
	const struct list	*list;	/* LISTED, CONFIRMATION; borrowed */
	/* Which rule decided: "weekly:match:1", "weekly:confirmation:2",
	 * "exempt:1", "null-sender", "auto-replied", "multipart/report",
	 * "list-administrivia", "bulk:Precedence".  Counted from 1; never
	 * bytes of the message.  Empty for UNDECIDED and NOT_BULK. */
	char			 rule[RULE_TEXT_MAX];
};

/* The facts of MAIL.  All borrowed. */
struct envelope {
	struct span	sender;		/* with or without brackets */
	struct span	sasl_user;	/* empty when not authenticated */
	struct span	daemon;
	bool		has_client;
	unsigned char	client[16];	/* IPv4 as IPv4-mapped */
};

/*
 * The verdict at MAIL.  EXEMPT for the null sender; LISTED or CONFIRMATION
 * when a rule without header keys holds: confirmation rules are asked first,
 * in the order of the lists, then exempt rules, then match rules; the first
 * decides.  Otherwise CLASS_UNDECIDED.
 */
void	classify_envelope(const struct policy *policy,
	    const struct envelope *envelope, struct classification *out);

/*
 * Does the list have a confirmation rule that needs the headers and whose
 * envelope keys hold?  Then a recipient of a LISTED message who lacks consent
 * can't be refused before the headers are known.
 */
bool	classify_awaits_confirmation(const struct list *list,
	    const struct envelope *envelope);

/* What the header fields said; fed one by one, in any order. */
struct header_facts;
struct header_facts *header_facts_new(const struct policy *policy)
	    __attribute__((returns_nonnull));	/* policy is borrowed */
void	header_facts_free(struct header_facts **facts);
/* name as received (trailing blanks allowed), value possibly folded. */
void	header_facts_add(struct header_facts *facts, struct span name,
	    struct span value);

/*
 * The verdict at the end of headers, given the one of MAIL.  A LISTED message
 * stays with its list, but a confirmation rule of that list that holds makes
 * it CONFIRMATION; EXEMPT and CONFIRMATION stay.  UNDECIDED becomes, in this
 * order: CONFIRMATION (rules with header keys, lists in order), EXEMPT
 * (configured rules), LISTED (match rules), then EXEMPT for Auto-Submitted:
 * auto-replied (RFC 3834), multipart/report (RFC 6522) and
 * List-Administrivia: yes, then UNLISTED_BULK, then NOT_BULK.
 *
 * Security: a fake Auto-Submitted does not free a message that a list claims.
 */
void	classify_message(const struct policy *policy,
	    const struct envelope *envelope, const struct header_facts *facts,
	    struct classification *inout);

/*
 * The marks of bulk mail (spec section 9): Precedence bulk, list or junk;
 * List-Id, List-Unsubscribe, List-Unsubscribe-Post, List-Post, List-Help,
 * List-Subscribe, List-Owner, List-Archive, Mailing-List; Feedback-ID, X-FBL,
 * X-CSA-Complaints, X-Campaign, X-CampaignID, X-Listmonk-Campaign,
 * X-phpList-version, X-MC-User, X-HS-Cid, X-Mailman-Version, X-BeenThere,
 * X-Google-Group-Id, X-Listserver, and X-Mailer whose first word is a campaign
 * tool's: Sendy, Mailchimp, phpList, MailPoet, Mailman, listmonk, Mailtrain,
 * Sympa.
 */

#endif
