/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The clock decides which of an opt-in and an opt-out was later.
 */
#include <sys/timex.h>

#include <errno.h>
#include <string.h>

#include "ctl/doctor.h"

void
doctor_clock(struct doctor *d)
{
	struct timex now = { .modes = 0 };	/* only looks */
	struct findings *f = &d->findings;

	if (adjtimex(&now) == -1) {
		findings_add(f, "clock", FINDING_SKIPPED, "whether the clock "
		    "is set by NTP can't be looked at here");
		return;
	}
	if ((now.status & STA_UNSYNC) == 0) {
		findings_add(f, "clock", FINDING_OK, "the clock is set by "
		    "NTP");
		return;
	}
	findings_add(f, "clock", FINDING_WARN, "nobody sets the clock by NTP: "
	    "it decides which of an opt-in and an opt-out was later, and when "
	    "a consent has expired");
	findings_fix(f, "timedatectl set-ntp true (on a virtual machine whose "
	    "host sets the clock, nothing)");
}
