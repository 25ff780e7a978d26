/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Complaint reports (ARF, RFC 5965; RFC 9477): somebody pressed "this is spam",
 * and their provider sends back the message with the links that we put in.
 * Everything in it is hostile.  Pure; thread-safe.
 */
#ifndef CTL_COMPLAINT_H
#define CTL_COMPLAINT_H

#include <stdbool.h>

#include "base/span.h"
#include "ctl/mailto.h"

/* Does the header section announce a feedback report? */
bool	complaint_is_report(struct span header);

/*
 * Adds the tokens that List-Unsubscribe or CFBL-Feedback-ID of the message
 * complained about carry.  The report counts when the server called
 * authserv_id verified a DKIM signature of its From domain (RFC 9477 3.1) and
 * it says abuse.  A message that is cut off is fine, as long as that header
 * section is there.  Returns NULL, or why the report opts nobody out.
 */
const char *complaint_take(struct mailto *mailto,
    const struct token_keys *keys, struct span authserv_id,
    struct span message);

#endif
