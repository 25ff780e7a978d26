/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What systemd says of the units, where it runs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/child.h"
#include "ctl/doctor.h"

#define RESTARTS	3	/* more look like a loop */
#define FILES_BESIDE	64	/* as in doctor_daemons.c */

static bool
is(struct span shown, const char *name, const char *wanted)
{
	struct span value;

	return mtaconf_value(shown, name, &value) &&
	    span_is(value, span_str(wanted));
}

static uint64_t
number(struct span shown, const char *name, uint64_t otherwise)
{
	struct span value;
	uint64_t n;

	return mtaconf_value(shown, name, &value) &&
	    span_to_u64(value, &n) == 0 ? n : otherwise;
}

static void
judge_active(struct findings *f, const char *unit, struct span shown,
    bool *good)
{
	if (!is(shown, "ActiveState", "active")) {
		*good = false;
		findings_add(f, "unit", FINDING_FAIL, "%s does not run", unit);
		findings_fix(f, "systemctl start %s; journalctl -u %s says why "
		    "it stopped", unit, unit);
	} else if (number(shown, "NRestarts", 0) > RESTARTS) {
		*good = false;
		findings_add(f, "unit", FINDING_WARN, "%s ended %" PRIu64
		    " times by itself and was started again", unit,
		    number(shown, "NRestarts", 0));
		findings_fix(f, "journalctl -u %s says why", unit);
	}
	if (is(shown, "UnitFileState", "disabled") ||
	    is(shown, "UnitFileState", "masked")) {
		*good = false;
		findings_add(f, "unit", FINDING_FAIL, "%s does not start with "
		    "the machine", unit);
		findings_fix(f, "systemctl unmask %s; systemctl enable %s",
		    unit, unit);
	}
	if (is(shown, "NeedDaemonReload", "yes")) {
		*good = false;
		findings_add(f, "unit", FINDING_WARN, "the file of %s was "
		    "changed, and systemd does not know yet", unit);
		findings_fix(f, "systemctl daemon-reload; systemctl restart "
		    "%s", unit);
	}
}

void
doctor_units_judge(struct findings *f, const char *unit, struct span shown,
    uint64_t connections)
{
	/* "infinity" is no number, and enough. */
	uint64_t files = number(shown, "LimitNOFILE", UINT64_MAX);
	bool good = true;

	if (is(shown, "LoadState", "not-found")) {
		findings_add(f, "unit", FINDING_WARN, "systemd has no %s: "
		    "nobody starts it with the machine, or again when it "
		    "ends", unit);
		findings_fix(f, "cp contrib/%s /etc/systemd/system/ && "
		    "systemctl daemon-reload && systemctl enable --now %s",
		    unit, unit);
		return;
	}
	judge_active(f, unit, shown, &good);
	if (files < connections + FILES_BESIDE) {
		good = false;
		findings_add(f, "unit", FINDING_FAIL, "%s may open %" PRIu64
		    " files, too few for limits.connections = %" PRIu64, unit,
		    files, connections);
		findings_fix(f, "systemctl edit %s: [Service] "
		    "LimitNOFILE=65536", unit);
	}
	if (good)
		findings_add(f, "unit", FINDING_OK, "%s runs", unit);
}

static void
look_at(struct doctor *d, const char *unit)
{
	const char *argv[] = { "systemctl", "show", "--no-pager", "-p",
	    "LoadState,ActiveState,SubState,UnitFileState,NRestarts,"
	    "NeedDaemonReload,LimitNOFILE", "--", unit, NULL };
	struct buf out = BUF_INIT(64 * 1024), err = BUF_INIT(64 * 1024);
	struct findings *f = &d->findings;
	struct fail fail;
	int rc = child_run(argv, DOCTOR_PROGRAM_MS, &out, &err, &fail);

	if (rc == 0)
		doctor_units_judge(f, unit, buf_span(&out),
		    d->settings != NULL ? d->settings->limits.connections : 0);
	else if (rc == -1)
		findings_add(f, "unit", FINDING_SKIPPED, "%s: %s", unit,
		    fail.text);
	else
		findings_add(f, "unit", FINDING_SKIPPED, "%s: systemctl ended "
		    "with %d", unit, rc);
	buf_fini(&out);
	buf_fini(&err);
}

void
doctor_units(struct doctor *d)
{
	/* As sd_booted(3). */
	if (access("/run/systemd/system", F_OK) == -1) {
		findings_add(&d->findings, "unit", FINDING_SKIPPED, "systemd "
		    "does not run here: whether the daemons start with the "
		    "machine can't be looked at");
		return;
	}
	look_at(d, "consent-milter.service");
	look_at(d, "consent-web.service");
}
