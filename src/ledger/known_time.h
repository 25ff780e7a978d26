/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The time for what must not be put too early: an opt-out that a clock which
 * was set back puts hours before its true time would lose to an opt-in from in
 * between, when somebody imports that later.
 *
 * Beside the ledger lies the file .clock.  It holds the latest time that this
 * machine's clock has shown, as the Unix time at which the machine booted, and
 * so holds it for all programs and without telling the time again and again:
 *
 *	BOOT-ID BOOTED-MS BELIEVED-UNTIL-MS
 */
#ifndef LEDGER_KNOWN_TIME_H
#define LEDGER_KNOWN_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/fail.h"
#include "base/span.h"

#define KNOWN_TIME_TEXT_MAX	128

/*
 * Now; or later, where the clock was set back by up to a day: then what it
 * would show if nobody had.  Believed for a day, for it may be the clock before
 * that was wrong.  Across a boot it is the time at which the ledger was last
 * written, and what passed since the first look.
 *
 * Whoever has to do with the ledger looks now and then, an hour apart at most,
 * so that there is a time to remember.  Thread-safe; reads and writes .clock,
 * and does without where it can't.
 */
int64_t	known_time_ms(const char *directory);
/* Can it tell at all?  Returns 0, or -1 with FAIL_SETUP where the machine does
 * not say which boot this is: then known_time_ms() is what the clock shows. */
int	known_time_check(struct fail *fail) __attribute__((warn_unused_result));

/* -- the pure part, for tests -- */

struct known_time {
	char	boot[37];	/* the boot's id, a UUID */
	int64_t	booted_ms;	/* Unix time */
	int64_t	until_ms;	/* since boot: no longer believed */
};

struct clock_reading {
	char	boot[37];
	int64_t	now_ms;		/* Unix time by the clock */
	int64_t	since_boot_ms;
};

/* Returns 0, or -1 with FAIL_INPUT. */
int	known_time_parse(struct span text, struct known_time *out,
	    struct fail *fail) __attribute__((warn_unused_result));
void	known_time_format(struct buf *out, const struct known_time *known);
/* What known_time_ms() says.  known becomes what is to be remembered; boot is
 * "" when nothing is.  written_ms: when the ledger was last written, 0 when
 * nobody knows; only looked at in a new boot.  Returns in *news whether known
 * is worth writing. */
int64_t	known_time_at(struct known_time *known,
	    const struct clock_reading *reading, int64_t written_ms,
	    bool *news);

#endif
