/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The same opt-out again: a double click, a mailbox provider that sends its POST
 * twice or repeats it, somebody who wants to fill the disk with one link.  It is
 * recorded once as long as that was a moment ago and nobody opted in since.
 * Remembers some thousand persons; who is forgotten is recorded again, which
 * changes nothing.  Thread-safe.
 */
#ifndef WEBD_REPEATS_H
#define WEBD_REPEATS_H

#include <stdbool.h>
#include <stdint.h>

#include "consent/subject.h"

/* For how long an opt-out of this process is a moment ago. */
#define REPEATS_MS	10000

struct repeats;
struct repeat;

struct repeats *repeats_new(void) __attribute__((returns_nonnull));
void	repeats_free(struct repeats **repeats);

/*
 * An opt-out is to be recorded, of this list ("": of all).  Nobody else records
 * one of this person until _end; who comes meanwhile waits.
 *
 * *at_ms becomes the time of the same opt-out when it was recorded up to
 * REPEATS_MS before monotonic_ms, which a stopped or changed clock does not
 * prolong; otherwise 0.
 */
struct repeat *repeats_begin(struct repeats *repeats,
	    const struct subject *subject, const char *list,
	    int64_t monotonic_ms, int64_t *at_ms)
	    __attribute__((returns_nonnull));
/* It is recorded, durably, as of at_ms; or, with 0, nothing has changed. */
void	repeats_end(struct repeat *repeat, int64_t at_ms,
	    int64_t monotonic_ms);

/* As _begin, for anything else about the person: what was remembered is no
 * longer so. */
struct repeat *repeats_begin_other(struct repeats *repeats,
	    const struct subject *subject) __attribute__((returns_nonnull));

#endif
