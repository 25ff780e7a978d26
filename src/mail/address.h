/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Mailboxes as SMTP writes them, and the one canonical form that identity is
 * made from.  Pure; thread-safe.
 *
 * Canonical form (RFC 5321 4.1.2, RFC 6531 3.3, RFC 5890): local part without
 * needless quoting, in NFC, simple case fold; domain as lower-case A-labels
 * without the trailing dot, or an address literal in lower case.  Dots and
 * +tags are kept: consent given for one address is not consent for another.
 * The local part stands unquoted even where SMTP would have to quote it: the
 * last '@' separates, so the form stays unambiguous.
 */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/fail.h"
#include "base/span.h"

#define ADDRESS_LOCAL_MAX	64	/* octets as received, RFC 5321 4.5.3.1 */
#define ADDRESS_DOMAIN_MAX	255
#define ADDRESS_PATH_MAX	1024	/* what we look at, comments and all */

struct address {
	size_t	local_len;	/* text[local_len] is the '@' */
	size_t	len;
	char	text[512];	/* canonical form, NUL-terminated */
};

/*
 * Reads a mailbox: "user@domain", or the same in angle brackets as RCPT TO has
 * it; blanks around it are ignored.  Quoted strings, UTF-8, U-labels and
 * A-labels, address literals and one trailing dot are understood.  Refused:
 * source routes, the null path, a missing local part or domain, control
 * characters, NUL, text that is not UTF-8, names that IDNA2008 forbids, and
 * what is over the lengths above.
 *
 * Returns 0, or -1 with FAIL_INPUT (the text says what is wrong).
 */
int	address_parse(struct span text, struct address *out,
	    struct fail *fail) __attribute__((warn_unused_result));

struct span address_local(const struct address *a);	/* borrowed */
struct span address_domain(const struct address *a);	/* borrowed */
struct span address_span(const struct address *a);	/* borrowed */

/* What stands between the angle brackets of a path, or all of it when there
 * are none; blanks around it dropped.  Borrowed. */
struct span address_strip_brackets(struct span path);

/* Is the reverse path empty, "<>" or ""? */
bool	address_is_null_path(struct span path);

/*
 * Adds "a***@example.org": the first character of the local part and the
 * domain.  Takes the address as received, whatever it holds; output is
 * printable ASCII (utf8_add_ascii) and at most 300 bytes long.
 */
void	address_add_masked(struct buf *out, struct span path);

/* Adds the address as received (without brackets) as printable ASCII, RFC 6533
 * section 3 for the rest, at most max_bytes of it and "..." where cut. */
void	address_add_printable(struct buf *out, struct span path,
	    size_t max_bytes);

#endif
