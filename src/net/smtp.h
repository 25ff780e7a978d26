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

#define SMTP_CODES_ROOM	16

struct smtp_options {
	const char	*server;	/* "host:port", "[::1]:port"; port 25
					   where none is */
	const char	*envelope_sender;	/* "": the null sender */
	const char	*recipient;	/* a mailbox, without brackets */
	int		 timeout_ms;	/* for all of it */
	/* SMTP_CODES_ROOM bytes, for the codes of a refusal ("550 5.7.1"), and
	 * "" where there was none; may be NULL. */
	char		*codes;
};

/*
 * message is RFC 5322 with CRLF line ends; a dot at the start of a line needs
 * no care.  A recipient that is not ASCII goes by SMTPUTF8 (RFC 6531).
 *
 * Returns 0 when the server has taken it, or -1: FAIL_TEMP when it can't be
 * reached or said "later" (4xx), and when its answer to the end of the message
 * was lost, so that it may have taken it; FAIL_INPUT when it refused recipient
 * or message for good (5xx), or an address can't stand in a command, and
 * nothing is sent; FAIL_SETUP when `server' is none.  The text holds the
 * reply's codes, and never its words, which may hold the address.
 */
int	smtp_send(const struct smtp_options *options, struct span message,
	    struct fail *fail) __attribute__((warn_unused_result));

#endif
