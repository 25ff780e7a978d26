/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Who is connected, and since when we wait for their request.  An idle
 * connection ends by itself; one that gets a byte now and then does not, and
 * many of those would leave no place for a click.  So a request has to be
 * complete within a minute, and within two seconds when most places are taken.
 * Thread-safe.
 */
#ifndef WEBD_VISITS_H
#define WEBD_VISITS_H

#include <stddef.h>

#include "base/fail.h"

struct visits;
struct visit;

/* places: how many can be connected at once.  Returns 0, or -1 with
 * FAIL_SETUP. */
int	visits_open(size_t places, struct visits **out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* No visit may be left. */
void	visits_close(struct visits **visits);

/* Somebody has connected; the socket is theirs and open until _end. */
struct visit *visits_begin(struct visits *visits, int fd)
	    __attribute__((returns_nonnull));
void	visits_end(struct visits *visits, struct visit *visit);

/* Their request is complete: now they wait for us. */
void	visits_serve(struct visits *visits, struct visit *visit);
/* They have been answered: now we wait for them. */
void	visits_await(struct visits *visits, struct visit *visit);

#endif
