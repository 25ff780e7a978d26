/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Mails the link to what is held about a person, to the address that was typed,
 * if anything is held about it; and other mails that only some people get.
 * Behind the back of whoever asked: neither the answer nor how long it takes
 * tells whether an address is known.  Tries again for some minutes while Redis
 * or the mail server is away; what waits is lost with the process, and the
 * person asks again.  Thread-safe.
 */
#ifndef WEBD_COURIER_H
#define WEBD_COURIER_H

#include "settings/settings.h"
#include "webd/recorder.h"
#include "webd/words.h"

struct courier;
/* recorder is borrowed until _close.  Returns 0, or -1 with FAIL_SETUP. */
int	courier_open(struct recorder *recorder, struct courier **out,
	    struct fail *fail) __attribute__((warn_unused_result));
void	courier_close(struct courier **courier);

/* Takes a reference to settings; words are borrowed until _close.  address is
 * a mailbox without brackets.  false: too many wait. */
bool	courier_ask(struct courier *courier, struct settings *settings,
	    const struct words *words, const char *address,
	    const struct subject *subject);

/* Mails a message, which is copied, in the same way. */
bool	courier_post(struct courier *courier, struct settings *settings,
	    const char *address, struct span message);

/* Mails what is in message now.  Returns 0, or -1 with FAIL_TEMP or
 * FAIL_INPUT. */
int	courier_send(const struct settings *settings, const char *address,
	    struct span message, struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
