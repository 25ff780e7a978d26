/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The commands that record an event: grant, confirm, withdraw, object,
 * restrict, unrestrict.  They differ in a row of a table.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/date.h"
#include "base/json.h"
#include "base/xalloc.h"
#include "consent/decision.h"
#include "ctl/command.h"
#include "rights/notice.h"

struct change {
	const char	*command;
	enum event_kind	 kind;
	const struct list *list;	/* NULL: the person */
	bool		 all;
	bool		 profiling, lift;	/* object */
	bool		 dry_run, json;
	int64_t		 at_ms;
	bool		 is_given;	/* at_ms, by --at */
	struct evidence	 evidence;
};

static int
set_evidence(struct change *c, unsigned field, const char *text)
{
	struct fail fail;

	if (evidence_set(&c->evidence, evidence_name(field), span_str(text),
	    &fail) == -1)
		return ctl_error(&fail);
	return EX_OK;
}

static int
set_time(const struct ctl *ctl, struct change *c, const char *text)
{
	if (date_parse(span_str(text), &c->at_ms) == -1 || c->at_ms == 0)
		return ctl_usage(c->command, "--at takes a time like "
		    "2026-01-05T09:00:00Z, not \"%s\"", text);
	if (c->at_ms > ctl->now_ms + DECISION_CLOCK_SKEW_MS)
		return ctl_usage(c->command, "--at %s is in the future", text);
	c->is_given = true;
	return EX_OK;
}

/* The digest of a notice that is stored; one that is not is worth a word. */
static int
complete_notice(struct ctl *ctl, struct change *c)
{
	struct notices notices;
	struct fail fail;
	int rc;

	if (c->evidence.notice[0] == '\0')
		return EX_OK;
	if (notices_read(ctl->settings, &notices, &fail) == -1)
		return ctl_error(&fail);
	rc = notices_complete(&notices, &c->evidence, &fail);
	if (rc == 0 && notices.count > 0)
		ctl_warn("notice \"%s\" in language \"%s\" is not stored: "
		    "its words can't be shown later", c->evidence.notice,
		    c->evidence.language);
	notices_fini(&notices);
	return rc == -1 ? ctl_error(&fail) : EX_OK;
}

/* Do the options fit the command, and each other? */
static int
check_options(struct change *c, const char *list)
{
	if (c->lift && !c->profiling)
		return ctl_usage(c->command, "--lift belongs to object "
		    "--profiling: an objection to mail ends with a new opt-in");
	if (event_kind_has_list(c->kind) && (list != NULL) == c->all)
		return ctl_usage(c->command, c->kind == EVENT_WITHDRAW ?
		    "wants --list L or --all" : "wants --list L");
	if (c->profiling)
		c->kind = c->lift ? EVENT_ALLOW_PROFILING :
		    EVENT_OBJECT_PROFILING;
	return EX_OK;
}

/* Returns -1 to go on, or an exit code. */
static int
parse(struct ctl *ctl, struct change *c, int argc, char **argv)
{
	const char *list = NULL;
	struct fail fail;
	int option, rc = EX_OK;

	while (rc == EX_OK && (option = ctl_getopt(argc, argv)) != -1) {
		if (option >= COMMAND_EVIDENCE)
			rc = set_evidence(c, (unsigned)option -
			    COMMAND_EVIDENCE, optarg);
		else if (option == 'l')
			list = optarg;
		else if (option == 'A')
			c->all = true;
		else if (option == 't')
			rc = set_time(ctl, c, optarg);
		else if (option == 'p')
			c->profiling = true;
		else if (option == 'L')
			c->lift = true;
		else if (option == 'n')
			c->dry_run = true;
		else if (option == 'j')
			c->json = true;
		else if (option == 'h')
			return EX_OK;
		else
			rc = EX_USAGE;
	}
	if (rc == EX_OK)
		rc = check_options(c, list);
	if (rc != EX_OK)
		return rc;
	if (optind == argc)
		return ctl_usage(c->command, "wants an address");
	rc = ctl_need_keys(ctl);
	if (rc != EX_OK)
		return rc;
	if (list != NULL && (c->list = ctl_list(ctl, list)) == NULL)
		return EX_DATAERR;
	if (evidence_check(&c->evidence, ctl->settings->policy.evidence_ip,
	    &fail) == -1)
		return ctl_error(&fail);
	rc = complete_notice(ctl, c);
	return rc == EX_OK ? -1 : rc;
}

/* The state on the list, with the event in a dry run. */
static enum reason
state_with(struct ctl *ctl, const struct change *c, const struct event *event)
{
	struct record record;
	struct fail fail;

	if (ctl->store == NULL || store_lookup(ctl->store, &event->subject,
	    c->list->id, &record, &fail) == -1)
		return REASON_STORE_FAILURE;
	if (c->dry_run)
		record_apply(&record, event);
	return consent_state(c->list, &record, ctl->now_ms);
}

/* Tells what a grant is worth, where that may surprise; in a dry run of each
 * event what would become of it. */
static void
say_state(struct ctl *ctl, const struct change *c, const char *address,
    const struct event *event)
{
	enum reason reason;

	if (c->dry_run && c->list == NULL) {
		printf("%s: would be recorded\n", address);
		return;
	}
	if (!c->dry_run && c->kind != EVENT_GRANT)
		return;
	reason = state_with(ctl, c, event);
	if (c->dry_run) {
		printf("%s: would be recorded: %s\n", address,
		    reason_name(reason));
		return;
	}
	if (reason == REASON_STORE_FAILURE)
		return;
	if (reason == REASON_PENDING)
		printf("%s: pending, until confirmed\n", address);
	else if (reason != REASON_GRANTED)
		printf("%s: recorded, but not allowed: %s\n", address,
		    reason_name(reason));
}

static struct event
make_event(struct ctl *ctl, const struct change *c,
    const struct subject *subject)
{
	struct event event = { .kind = c->kind, .subject = *subject,
	    .at_ms = c->at_ms, .evidence = c->evidence };

	if (c->list != NULL)
		memcpy(event.list, c->list->id, sizeof(event.list));
	if (!c->is_given && (c->kind == EVENT_WITHDRAW ||
	    c->kind == EVENT_OBJECT))
		event.at_ms = ledger_opt_out_ms(ctl, subject,
		    c->list != NULL ? c->list->id : NULL);
	if (c->kind == EVENT_GRANT)
		event.kind = policy_grant_kind(c->list, c->at_ms,
		    &c->evidence);
	return event;
}

static void
print_json(struct ctl *ctl, const struct change *c, char **given,
    const struct event *events, size_t n, bool in_redis)
{
	struct buf out = BUF_INIT(64 * 1024 * 1024);

	buf_add_char(&out, '{');
	json_add_member_bool(&out, "dry_run", c->dry_run);
	json_add_member_bool(&out, "in_redis", in_redis);
	json_add_name(&out, "events");
	buf_add_char(&out, '[');
	for (size_t i = 0; i < n; i++) {
		buf_add_str(&out, i > 0 ? ",{" : "{");
		json_add_member_str(&out, "address", given[i]);
		json_add_member_str(&out, "event",
		    event_kind_name(events[i].kind));
		if (c->list != NULL)
			json_add_member_str(&out, "list", c->list->id);
		ctl_add_time(&out, "at", events[i].at_ms);
		if (c->list != NULL && (in_redis || c->dry_run))
			json_add_member_str(&out, "state", reason_name(
			    state_with(ctl, c, &events[i])));
		buf_add_char(&out, '}');
	}
	buf_add_str(&out, "]}");
	puts(buf_get(&out));
	buf_fini(&out);
}

/* Records them, or tells what recording them would do. */
static int
carry_out(struct ctl *ctl, const struct change *c, char **given,
    const struct event *events, size_t n)
{
	bool recorded = false;
	int rc;

	if (c->dry_run)
		rc = ctl_need_store(ctl);
	else
		rc = n == 0 ? EX_OK : ledger_record(ctl, events, n, &recorded);
	if (c->json && (rc == EX_OK || recorded))
		print_json(ctl, c, given, events, n, rc == EX_OK && recorded);
	for (size_t i = 0; rc == EX_OK && !c->json && i < n; i++)
		say_state(ctl, c, given[i], &events[i]);
	if (rc == EX_OK && c->dry_run && !c->json)
		printf("nothing is changed (--dry-run): %zu events would be "
		    "recorded\n", n);
	return rc;
}

/* Why the grants do not count, which needs no look at Redis.  Returns 1 where
 * that may be news. */
static int
say_fault(const struct change *c)
{
	const struct evidence *e = &c->evidence;
	enum grant_fault fault = c->kind != EVENT_GRANT ? GRANT_COUNTS :
	    policy_grant_fault(c->list, c->at_ms, e);
	const char *would = c->dry_run ? "would be " : "";

	switch (fault) {
	case GRANT_COUNTS:
		return EX_OK;
	case GRANT_METHOD:
		ctl_warn("%srecorded as unproven: method \"%s\" can't count "
		    "as consent", would, e->method);
		return EX_OK;	/* which whoever says so knows */
	case GRANT_BASIS:
		ctl_warn("%srecorded as unproven: list \"%s\" does not "
		    "accept the basis \"%s\"", would, c->list->id, e->basis[0] != '\0' ?
		    e->basis : evidence_basis_name(BASIS_CONSENT));
		break;
	case GRANT_NOTICE:
		ctl_warn("%srecorded as unproven: list \"%s\" wants notice "
		    "\"%s\" or newer, not \"%s\"", would, c->list->id,
		    c->list->notice, e->notice);
		break;
	}
	return 1;
}

int
command_change(struct ctl *ctl, int argc, char **argv)
{
	struct change c = { .command = argv[0], .at_ms = ctl->now_ms };
	struct event *events;
	char **given;
	size_t n = 0;
	int rc, bad = EX_OK;

	if (event_kind_parse(span_str(argv[0]), &c.kind) == 0)
		return EX_SOFTWARE;
	rc = parse(ctl, &c, argc, argv);
	if (rc != -1)
		return rc;
	events = xcalloc((size_t)(argc - optind), sizeof(*events));
	given = xcalloc((size_t)(argc - optind), sizeof(*given));
	for (int i = optind; i < argc; i++) {
		struct address address;
		struct subject subject;

		if (ctl_subject(ctl, argv[i], &address, &subject) != EX_OK) {
			bad = EX_DATAERR;
			continue;
		}
		given[n] = argv[i];
		events[n++] = make_event(ctl, &c, &subject);
	}
	rc = carry_out(ctl, &c, given, events, n);
	if (rc == EX_OK && n > 0 && bad == EX_OK)
		bad = say_fault(&c);
	free(events);
	free(given);
	return rc != EX_OK ? rc : bad;
}
