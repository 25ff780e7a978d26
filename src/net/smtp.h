/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Gives one message to the mail server of this machine, by SMTP.  Blocking;
 * thread-safe after net_open().
 */
#ifndef NET_SMTP_H
#define NET_SMTP_H

#include "base/fail.h"
#include "base/span.h"

struct smtp_options {
	const char	*server;	/* "host:port"; port 25 where none is */
	const char	*envelope_sender;	/* "": the null sender */
	const char	*recipient;	/* a mailbox, without brackets */
	int		 timeout_ms;	/* for all of it */
};

/*
 * message is RFC 5322 with CRLF line ends.  Returns 0 when the server has taken
 * it, or -1: FAIL_TEMP when it can't be reached or said "later" (4xx),
 * FAIL_INPUT when it refused recipient or message for good (5xx).  The text
 * holds the reply's code, and never its words, which may hold the address.
 */
int	smtp_send(const struct smtp_options *options, struct span message,
	    struct fail *fail) __attribute__((warn_unused_result));

#endif
