/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The words that an administrator chose for a reply of the filter: one line of
 * printable ASCII, for an SMTP client need not understand more (RFC 5321 4.2,
 * RFC 6531 3.7.4), with names of values in braces.  Reply code and status are
 * no part of it.  Pure; thread-safe.
 */
#ifndef CONSENT_REPLY_TEXT_H
#define CONSENT_REPLY_TEXT_H

#include <stddef.h>

#include "base/fail.h"

/* RFC 5321 4.5.3.1.5: a reply line has 512 octets with code and CRLF. */
#define REPLY_TEXT_MAX		490
/* Of a reference into the decision log, and of a list's name, in ASCII. */
#define REPLY_TEXT_REF_MAX	16
#define REPLY_TEXT_NAME_MAX	120

/* Each may be NULL or hostile; what is not ASCII is escaped. */
struct reply_values {
	const char	*recipient;	/* {recipient}: "<a@example.org>" */
	size_t		 others;	/* … and " (+7)" that share the reply */
	const char	*list;		/* {list}: its name */
	const char	*ref;		/* {ref} */
	const char	*contact;	/* {contact}: controller.email */
	const char	*pages;		/* {url}: web.url, and "data" */
};

/* Is it a text that can be filled in?  Returns 0, or -1 with FAIL_SETUP: what
 * is wrong, and what would be right. */
int	reply_text_check(const char *text, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Are the values of a good text there that are the same for all mail, and is
 * there room for the others?  Of values, contact and pages count, and whether
 * there is a list.  As above. */
int	reply_text_check_values(const char *text,
	    const struct reply_values *values, struct fail *fail)
	    __attribute__((warn_unused_result));

/* Fills it in, within REPLY_TEXT_MAX: the recipient is cut first, then the
 * name of the list; {ref} is whole. */
void	reply_text_expand(char out[REPLY_TEXT_MAX + 1], const char *text,
	    const struct reply_values *values);

#endif
