/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The mails that people ask for: the link to confirm a sign-up, and the link to
 * what is held about them.  Plain text, no advertising, with the marks of mail
 * that no program should answer (RFC 3834).  Pure; thread-safe.
 */
#ifndef WEBD_LETTER_H
#define WEBD_LETTER_H

#include <stdint.h>

#include "base/buf.h"
#include "settings/settings.h"
#include "webd/words.h"

#define LETTER_MAX		((size_t)256 * 1024)
#define LETTER_ID_BYTES		16

struct letter {
	const struct settings *settings;
	const struct words *words;
	const char	*recipient;	/* a mailbox, without brackets */
	const char	*link;		/* https://… */
	int64_t		 now_ms;
	unsigned char	 id[LETTER_ID_BYTES];	/* random, for Message-ID */
};

/*
 * Adds a message with CRLF line ends, every line within 998 octets, all of it
 * ASCII but for an address that is not (SMTPUTF8).  lapses_ms: until when it
 * can be confirmed; notice: the words that were shown, empty for none.
 */
void	letter_confirm(struct buf *out, const struct letter *letter,
	    const struct list *list, int64_t lapses_ms, struct span notice);
void	letter_data(struct buf *out, const struct letter *letter);

#endif
