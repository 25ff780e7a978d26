/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What a request is about, from its target (RFC 9112 section 3.2) as it came.
 * Pure; hostile text of any length is fine.
 */
#ifndef WEBD_TARGET_H
#define WEBD_TARGET_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

/* The part of unsubscribe.url behind the host, which the token follows: "/u/",
 * "/u?t=".  Borrowed from url. */
struct span target_prefix(const char *url);

/* Without scheme and host, which a client may put before the path (RFC 9112
 * section 3.2.2).  Borrowed from target, or static. */
struct span target_path(struct span target);

/*
 * Is the target prefix + TOKEN, perhaps with something behind '?', '&' or '#'
 * that a mail client or scanner added?  The token, with its percent-encoding
 * undone, goes to out, which has room for little more than a token: a longer
 * one is false as well.
 */
bool	target_token(struct span target, struct span prefix, struct buf *out);

/* Is it this path, whatever its query? */
bool	target_is(struct span target, struct span path);

#endif
