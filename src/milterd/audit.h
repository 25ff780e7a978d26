/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A decision on record: an entry of the decision log, written before the SMTP
 * answer goes out, and a line of the mail log after it.
 */
#ifndef MILTERD_AUDIT_H
#define MILTERD_AUDIT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/fail.h"
#include "base/span.h"
#include "consent/classify.h"
#include "consent/decision.h"
#include "consent/subject.h"
#include "journal/journal.h"
#include "milterd/reply.h"
#include "settings/settings.h"

#define AUDIT_REF_LEN	13	/* characters, without the NUL */

enum stage {
	STAGE_RCPT,
	STAGE_EOM
};

/* The facts of a message, the same for all its recipients.  Borrowed. */
struct audit_message {
	const struct settings	*settings;
	const char		*host;
	const char		*queue_id;	/* NULL: not known yet */
	const char		*sender;	/* as received */
	const char		*client;	/* IP address or "" */
	const char		*auth;		/* SASL user or "" */
	const char		*message_id;	/* "" until the headers came */
	const struct classification *class;
};

/* One recipient's part.  Borrowed. */
struct audit_decision {
	enum stage	 stage;
	const char	*recipient;	/* as received */
	const struct subject *subject;	/* NULL: the address can't be read */
	enum action	 action;
	enum reason	 reason;
	const char	*ref;
	enum reply_kind	 reply;
	size_t		 reply_others;	/* who share the reply */
};

/* Makes a new reference: base32, AUDIT_REF_LEN characters. */
void	audit_make_ref(char ref[AUDIT_REF_LEN + 1]);

/*
 * Writes n decisions to the log, in one batch.  Returns 0, or -1 with
 * FAIL_TEMP: nothing may be decided then.
 */
int	audit_write(struct journal *journal,
	    const struct audit_message *message,
	    const struct audit_decision *decisions, size_t n,
	    struct fail *fail) __attribute__((warn_unused_result));

/* The envelope sender, for it tells the streams of mail apart.  A VERP address
 * (bounce+user=example.org@news.example.com) carries the recipient, so what
 * follows the first '+' or '=' of the local part is masked unless recipients
 * are shown in clear.  Printable ASCII. */
void	audit_add_sender(struct buf *out, const struct settings *settings,
	    const char *sender);

#endif
