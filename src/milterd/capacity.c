/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "milterd/capacity.h"

#include "base/privilege.h"

/* Of our own: logs, ledger, Redis twice while a reload changes it, libmilter's
 * pipes, the configuration, and connections that are being turned away. */
#define RESERVED_FILES	64
/* Those connections'; without it new ones would take what we need to follow
 * the ledger, and nobody would be served any more. */
#define TURNED_AWAY_FILES	(RESERVED_FILES / 2)

int
capacity_find(const struct settings *settings, struct capacity *out,
    struct fail *fail)
{
	size_t files = privilege_raise_files();
	size_t room = files > 2 * RESERVED_FILES ? files - RESERVED_FILES :
	    files / 2;
	size_t asked = settings->limits.connections;

	if (asked > room)
		return fail_set(fail, FAIL_SETUP, "limits.connections = %zu "
		    "needs %zu file descriptors and %zu are allowed: raise "
		    "LimitNOFILE of the unit, or ulimit -n", asked,
		    asked + RESERVED_FILES, files);
	out->served = asked != 0 ? asked : room;
	out->open = room + (files - room) * TURNED_AWAY_FILES / RESERVED_FILES;
	return 0;
}
