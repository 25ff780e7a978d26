/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Who has opened a link to their own data, for as long as they look: a secret
 * key in the page's forms stands for the person, so there is no cookie and no
 * secret in a URL.  And which links have been opened, for each opens once.
 * In memory, bounded; a restart ends the sessions and the caller remembers the
 * links.  Thread-safe; the time comes from the caller.
 */
#ifndef WEBD_SESSION_H
#define WEBD_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "consent/link.h"
#include "consent/subject.h"

#define SESSION_MS	(INT64_C(30) * 60 * 1000)	/* since the last use */
#define SESSION_KEY_LEN	32				/* hex digits */

struct sessions;
struct sessions *sessions_new(void) __attribute__((returns_nonnull));
void	sessions_free(struct sessions **sessions);

/* Marks a link as used, to be remembered until it lapses.  Returns true the
 * first time; false also when more links are remembered than there is room
 * for, which refuses the new one. */
bool	sessions_use_link(struct sessions *sessions, const struct link *link,
	    int64_t now_ms, int64_t lapses_ms);
/* Takes that back, for a link whose use could not be recorded. */
void	sessions_unuse_link(struct sessions *sessions,
	    const struct link *link);

/* Begins a session and adds its key.  Of too many, the one that was not used
 * the longest ends. */
void	sessions_begin(struct sessions *sessions,
	    const struct subject *subject, int64_t now_ms, struct buf *key);
/* Whose session is it?  false: nobody's (any more).  Using it keeps it. */
bool	sessions_find(struct sessions *sessions, struct span key,
	    int64_t now_ms, struct subject *subject);
/* Ends all sessions of a person. */
void	sessions_end(struct sessions *sessions, const struct subject *subject);

#endif
