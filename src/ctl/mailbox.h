/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Finds one message in a mailbox that others deliver into: an mbox file, or a
 * Maildir (a directory with new/ and cur/).  Only reads, and takes no lock: a
 * message that is being written is found the next time.  One thread.
 */
#ifndef CTL_MAILBOX_H
#define CTL_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/fail.h"
#include "base/span.h"

#define MAILBOX_MESSAGE_MAX	((size_t)4 * 1024 * 1024)

struct mailbox {
	const char	*path;		/* borrowed */
	bool		 is_maildir;
	int64_t		 start;		/* of an mbox: what came later is
					   behind this byte */
	int64_t		 since_sec;	/* of a Maildir: files from then on */
};

/* What is in it now is not looked at later.  A file that is not there yet is an
 * mbox.  Returns 0, or -1 with FAIL_SETUP. */
int	mailbox_init(struct mailbox *mailbox, const char *path,
	    struct fail *fail) __attribute__((warn_unused_result));
/* What a message is known by. */
struct mailbox_mark {
	struct span	 message_id;	/* with its brackets */
	struct span	 end;		/* stands in its last line: without it
					   the message is not there as a whole */
};
/* Adds the message with CRLF line ends.  Returns 1, 0 when it has not come, or
 * -1 with FAIL_SETUP. */
int	mailbox_find(const struct mailbox *mailbox,
	    const struct mailbox_mark *mark, struct buf *out,
	    struct fail *fail)
	    __attribute__((warn_unused_result));

/* Takes the next message off the text of an mbox (RFC 4155), without its
 * "From " line; false at the end.  Pure. */
bool	mailbox_next(struct span *rest, struct span *message);
/* Adds text with CRLF for each LF and CRLF.  Pure. */
void	mailbox_add_crlf(struct buf *out, struct span text);

#endif
