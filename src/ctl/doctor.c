/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * doctor: looks at everything around the filter, and says in words what is
 * wrong and what mends it.  Looking is all that it does: it opens no ledger for
 * writing, applies no event, sends no mail.
 */
#include "ctl/doctor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/closest.h"
#include "ctl/term.h"

#define OUTPUT_MAX	((size_t)4 * 1024 * 1024)
#define ERRORS_SHOWN	20	/* of the configuration */

static const struct area {
	const char *name;
	void (*look)(struct doctor *doctor);
	bool wants_settings;
} areas[] = {
	{ "configuration", doctor_settings, true },
	{ "rules", doctor_rules, true },
	{ "files", doctor_files, true },
	{ "redis", doctor_redis, true },
	{ "ledger", doctor_ledger, true },
	{ "clock", doctor_clock, false },
	{ "daemons", doctor_daemons, true },
	{ "units", doctor_units, false },
	{ "postfix", doctor_postfix, false },
	{ "sendmail", doctor_sendmail, false },
};
#define AREAS	(sizeof(areas) / sizeof(areas[0]))

struct run {
	struct doctor	doctor;
	bool		json, strict, verbose;
	bool		is_skipped[AREAS];
};

/* -- the command line -- */

static int
skip_area(struct run *r, const char *name)
{
	const char *names[AREAS], *near;

	for (size_t i = 0; i < AREAS; i++) {
		names[i] = areas[i].name;
		if (strcmp(names[i], name) == 0) {
			r->is_skipped[i] = true;
			return EX_OK;
		}
	}
	near = closest_name(name, names, AREAS);
	return ctl_usage("doctor", "--skip %s: there is no such area%s%s%s",
	    name, near != NULL ? ": did you mean " : "",
	    near != NULL ? near : "", near != NULL ? "?" : "");
}

static int
take_option(struct run *r, int option)
{
	const struct {
		int letter;
		const char **text;
	} texts[] = {
		{ 'p', &r->doctor.postfix_directory },
		{ 'm', &r->doctor.sendmail_file },
		{ 'o', &r->doctor.opendkim_file },
		{ 'r', &r->doctor.rspamd_directory },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (texts[i].letter == option) {
			*texts[i].text = optarg;
			return EX_OK;
		}
	switch (option) {
	case 'j':
		r->json = true;
		return EX_OK;
	case 'S':
		r->strict = true;
		return EX_OK;
	case 'v':
		r->verbose = true;
		return EX_OK;
	case 's':
		return skip_area(r, optarg);
	default:
		return EX_USAGE;
	}
}

/* Returns -1 to go on, or an exit code. */
static int
parse(struct run *r, int argc, char **argv)
{
	int option, rc = EX_OK;

	while (rc == EX_OK && (option = ctl_getopt(argc, argv)) != -1) {
		if (option == 'h')
			return EX_OK;
		rc = take_option(r, option);
	}
	if (rc != EX_OK)
		return rc;
	return optind == argc ? -1 : ctl_usage(argv[0], "takes options only");
}

/* -- the configuration -- */

/* Each mistake is a line "file:line: what is wrong". */
static void
tell_errors(struct findings *f, const char *path, const struct buf *errors)
{
	/* Which file is named, too: the configuration or a password. */
	bool denied = geteuid() != 0 &&
	    strstr(buf_get(errors), "Permission denied") != NULL;
	struct span rest = buf_span(errors);
	int shown = 0;

	while (rest.len > 0 && shown++ < ERRORS_SHOWN) {
		struct span line = span_take(&rest, '\n');

		findings_add(f, "configuration", denied ? FINDING_SKIPPED :
		    FINDING_FAIL, "%.*s", (int)line.len,
		    (const char *)line.p);
	}
	if (denied)
		findings_fix(f, "run it as root");
	else if (access(path, F_OK) == -1)
		findings_fix(f, "consentctl -c FILE doctor; or put the sample "
		    "there, which works as it stands: conf/consent-milter.conf "
		    "of the source");
	else
		findings_fix(f, "consent-milter -t, once this is mended, and then "
	    "consentctl doctor again: what needs the configuration was not "
	    "looked at");
}

static void
load(struct doctor *d)
{
	struct buf errors = BUF_INIT(256 * 1024);
	struct ctl *ctl = d->ctl;
	struct findings *f = &d->findings;

	if (settings_load(ctl->config_path, &ctl->settings, &errors) == 0) {
		d->settings = ctl->settings;
		findings_add(f, "configuration", FINDING_OK, "%s can be read",
		    ctl->config_path);
	} else
		tell_errors(f, ctl->config_path, &errors);
	buf_fini(&errors);
}

/* What the parts ask of the configuration again and again. */
static void
prepare(struct doctor *d)
{
	const struct settings *s = d->settings;

	d->user_name = s != NULL ? s->user : "";
	/* "" is whoever starts them, and we are nobody to tell unless that may
	 * do anything. */
	d->has_user = (d->user_name[0] != '\0' || geteuid() == 0) &&
	    reach_look_up(d->user_name, &d->user);
	if (s != NULL)
		d->has_socket = mtaconf_socket(span_str(s->socket),
		    &d->socket);
}

/* -- the end -- */

const char *
doctor_span_of_time(int64_t ms, char text[32])
{
	static const struct {
		int64_t ms;
		const char *name;
	} units[] = { { 86400000, "day" }, { 3600000, "hour" },
	    { 60000, "minute" }, { 1000, "second" } };
	size_t i = 0;
	int64_t n;

	if (ms < 0)
		ms = -ms;
	while (i < 3 && ms < 2 * units[i].ms)
		i++;
	n = ms / units[i].ms;
	(void)snprintf(text, 32, "%" PRId64 " %s%s", n, units[i].name,
	    n == 1 ? "" : "s");
	return text;
}

static void
print_text(struct buf *out, struct run *r)
{
	struct findings *f = &r->doctor.findings;
	const size_t all = f->count, good = findings_count(f, FINDING_OK);

	findings_sort(f);
	if (!r->verbose)
		f->count -= good;
	findings_print(out, f, term_has_colour());
	f->count = all;
	buf_addf(out, "%s%zu wrong, %zu to think about, %zu not looked at, "
	    "%zu good%s\n", r->verbose || good < all ? "\n" : "",
	    findings_count(f, FINDING_FAIL), findings_count(f, FINDING_WARN),
	    findings_count(f, FINDING_SKIPPED), good, r->verbose ? "" :
	    " (--verbose shows them)");
	buf_addf(out, "For a probe through the real mail server and the "
	    "public URL, run consentctl selftest.\n");
}

static int
report(struct run *r)
{
	struct buf out = BUF_INIT(OUTPUT_MAX);
	const struct findings *f = &r->doctor.findings;

	if (r->json)
		findings_print_json(&out, f);
	else
		print_text(&out, r);
	fputs(buf_get(&out), stdout);
	buf_fini(&out);
	if (findings_count(f, FINDING_FAIL) > 0)
		return 1;
	return r->strict && (findings_count(f, FINDING_WARN) > 0 ||
	    findings_count(f, FINDING_SKIPPED) > 0);
}

static void
say_area(const char *name)
{
	if (!ctl_is_terminal(2))
		return;
	if (name[0] != '\0')
		fprintf(stderr, "\rlooking at %s\033[K", name);
	else
		fputs("\r\033[K", stderr);
	(void)fflush(stderr);
}

int
command_doctor(struct ctl *ctl, int argc, char **argv)
{
	struct run r = { .doctor = { .ctl = ctl, .now_ms = ctl->now_ms } };
	struct doctor *d = &r.doctor;
	int rc = parse(&r, argc, argv);

	if (rc != -1)
		return rc;
	load(d);
	prepare(d);
	for (size_t i = 0; i < AREAS && !ctl_is_interrupted(ctl); i++)
		if (!r.is_skipped[i] &&
		    (d->settings != NULL || !areas[i].wants_settings)) {
			say_area(areas[i].name);
			areas[i].look(d);
		}
	say_area("");
	if (ctl_is_interrupted(ctl))
		findings_add(&d->findings, "interrupted", FINDING_SKIPPED,
		    "not all was looked at");
	rc = report(&r);
	findings_fini(&d->findings);
	return rc;
}
