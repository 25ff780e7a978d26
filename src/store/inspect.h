/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Looking at a Redis, or a Sentinel, that may be in any state: one connection,
 * without the demands that store_open() makes, and one command at a time.  For
 * who wants to know what is wrong with it.  Blocking; one object per thread.
 */
#ifndef STORE_INSPECT_H
#define STORE_INSPECT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/fail.h"
#include "base/span.h"
#include "store/store.h"

/*
 * Connects and logs in.  Of the options url, username, password, the files for
 * TLS, sentinels with master and what is theirs, and timeout_ms (for each step)
 * count.
 * Returns 0, or -1: FAIL_TEMP when nobody can be reached, FAIL_INPUT when who
 * is there refuses the user or the database, and FAIL_SETUP for a URL or a file
 * that can't be used.
 */
struct inspector;
int	inspect_open(const struct store_options *options,
	    struct inspector **out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Accepts NULL. */
void	inspect_close(struct inspector **inspector);

/*
 * Sends a command, words up to a NULL, and adds the answer to *out: the text of
 * a string or status, a number in decimal, of an array each element and a line
 * break.  Returns 0, or -1: FAIL_SETUP when this user may not (NOPERM, NOAUTH),
 * FAIL_INPUT for another error that was answered, and FAIL_TEMP when there was
 * no answer, also of any later command.
 */
int	inspect_ask(struct inspector *inspector, const char *const *words,
	    struct buf *out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* The value of "name:" in an answer to INFO; "" where it has none. */
struct span inspect_info(struct span info, const char *name);
/* Where it is connected: "unix:/path", "redis://host:port"; borrowed. */
const char *inspect_place(const struct inspector *inspector);
/* When the certificate of Redis ends; 0 without TLS. */
int64_t	inspect_certificate_ends_ms(const struct inspector *inspector);

#endif
