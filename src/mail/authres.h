/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Authentication-Results (RFC 8601): what our own mail server found out about a
 * message.  Whether the field is its own is a matter of the authserv-id, and
 * of the server taking away what others wrote under that name.  Pure;
 * thread-safe.
 */
#ifndef MAIL_AUTHRES_H
#define MAIL_AUTHRES_H

#include <stdbool.h>

#include "base/span.h"

/*
 * Does a good DKIM signature of exactly this domain (in the form of
 * address_domain()) stand in the topmost field of the header section that has
 * this authserv-id?  What stands in comments and quoted strings counts for
 * nothing; a field that can't be read says nothing.
 */
bool	authres_has_dkim(struct span header, struct span authserv_id,
	    struct span domain);

#endif
