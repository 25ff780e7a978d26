/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Retention (GDPR Art. 5(1)(e)): old segments of the decision log go as a
 * whole; IP addresses of grants and accesses go alone (rights/retention.h);
 * people whose last consent ended long ago, and those who signed up and never
 * confirmed, are erased, which leaves their opt-out as a suppression.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/date.h"
#include "base/json.h"
#include "base/xalloc.h"
#include "consent/decision.h"
#include "ctl/facts.h"
#include "ctl/ctl.h"
#include "ctl/trusted.h"
#include "journal/prune.h"

struct pruning {
	struct ctl	*ctl;
	bool		 dry_run, json;
	bool		 clock_is_right;	/* somebody looked */
	struct journal_pruned decisions;
	struct retention_counts entries;	/* of the ledger */
	/* Erased: their proof is too old, they never confirmed. */
	size_t		 persons, pending;
	uint64_t	 counts[REDACT_JOURNALS];
};

/* When the consent to one list ended; now_ms when it has not. */
static int64_t
list_end(const struct ctl *ctl, int list, int64_t in_ms, int64_t out_ms)
{
	const struct policy *policy = &ctl->settings->policy;
	int64_t last_ms;

	if (in_ms <= out_ms)
		return out_ms;
	/* Nobody gets the mail of a list that is no longer configured, and
	 * its proof is due by its age alone. */
	if (list < 0 || (size_t)list >= policy->list_count)
		return in_ms;
	last_ms = consent_last_ms(&policy->lists[list], in_ms);
	return last_ms < ctl->now_ms ? last_ms : ctl->now_ms;
}

static bool
opts_in(enum event_kind kind)
{
	return kind == EVENT_GRANT || kind == EVENT_CONFIRM ||
	    kind == EVENT_UNPROVEN;
}

static bool
opts_out(enum event_kind kind)
{
	return kind == EVENT_WITHDRAW || kind == EVENT_OBJECT ||
	    kind == EVENT_ERASE;
}

/* What is restricted is stored, whatever its age (Art. 18(2)). */
static bool
is_restricted(const struct fact *facts, size_t n)
{
	int64_t restrict_ms = 0, lift_ms = 0;

	for (size_t i = 0; i < n; i++) {
		int64_t *to = facts[i].kind == EVENT_RESTRICT ? &restrict_ms :
		    facts[i].kind == EVENT_UNRESTRICT ? &lift_ms : NULL;

		if (to != NULL && facts[i].at_ms > *to)
			*to = facts[i].at_ms;
	}
	return restrict_ms != 0 && restrict_ms >= lift_ms;
}

/*
 * The facts of one person: is there proof that is kept too long?  Opt-outs
 * alone are none.
 */
static bool
is_due(const struct ctl *ctl, const struct fact *facts, size_t n)
{
	int64_t person_out = 0, end = 0;
	bool has_proof = false;

	for (size_t i = 0; i < n && facts[i].list == FACT_PERSON; i++)
		if (opts_out(facts[i].kind) && facts[i].at_ms > person_out)
			person_out = facts[i].at_ms;
	for (size_t i = 0; i < n;) {
		int list = facts[i].list;
		int64_t in_ms = 0, out_ms = person_out, list_ms;

		for (; i < n && facts[i].list == list; i++) {
			int64_t *to = opts_in(facts[i].kind) ? &in_ms :
			    opts_out(facts[i].kind) ? &out_ms : NULL;

			if (to != NULL && facts[i].at_ms > *to)
				*to = facts[i].at_ms;
		}
		has_proof |= in_ms != 0;
		list_ms = list_end(ctl, list, in_ms, out_ms);
		if (list_ms > end)
			end = list_ms;
	}
	return has_proof && end != 0 && !is_restricted(facts, n) &&
	    date_add(end, ctl->settings->retention.proof) < ctl->now_ms;
}

/*
 * Did the person sign up, long ago, and never confirm any of it?  A list that
 * asks for no second step, or is no longer configured, is proof's concern.
 */
static bool
is_pending_too_long(const struct ctl *ctl, const struct fact *facts,
    size_t n)
{
	const struct policy *policy = &ctl->settings->policy;
	int64_t before_ms = date_subtract(ctl->now_ms,
	    ctl->settings->retention.pending);
	bool found = false;

	for (size_t i = 0; i < n; i++) {
		const struct fact *f = &facts[i];

		if (f->kind == EVENT_CONFIRM || f->kind == EVENT_UNPROVEN)
			return false;
		if (f->kind != EVENT_GRANT)
			continue;
		if ((size_t)f->list >= policy->list_count ||
		    !policy->lists[f->list].double_opt_in ||
		    f->at_ms >= before_ms)
			return false;
		found = true;
	}
	return found && !is_restricted(facts, n);
}

static int64_t
latest_ms(const struct fact *facts, size_t n)
{
	int64_t at_ms = 0;

	for (size_t i = 0; i < n; i++)
		if (facts[i].at_ms > at_ms)
			at_ms = facts[i].at_ms;
	return at_ms;
}

/* They are erased as of the last thing that is known of them, not as of now:
 * so an opt-in that we do not know of stays, be it on a line that can't be
 * read, on its way here from another host, or recorded while we look. */
static void
find_due(struct pruning *p, const struct facts *f, struct erasures *out)
{
	for (size_t i = 0, n; i < f->count; i += n) {
		bool pending;

		n = facts_same_person(f, i);
		pending = is_pending_too_long(p->ctl, &f->all[i], n);
		if (!pending && !is_due(p->ctl, &f->all[i], n))
			continue;
		erasures_add(out, &f->all[i].subject,
		    latest_ms(&f->all[i], n), 0);
		if (pending)
			p->pending++;
		else
			p->persons++;
	}
}

static int
announce_pruned(struct ctl *ctl, const struct journal_pruned *pruned,
    struct fail *fail)
{
	struct buf body = BUF_INIT(4096), time = BUF_INIT(64);
	int rc;

	date_format(&time, clock_now_ms());
	buf_add_str(&body, "\"journal\":\"decisions\"");
	json_add_member(&body, "time", buf_span(&time));
	json_add_member_i64(&body, "up_to", (int64_t)pruned->last_seq);
	json_add_member_str(&body, "why", "retention");
	ledger_add_actor(&body);
	rc = journal_append(ctl->ledger, "pruned", buf_span(&body), true,
	    NULL, fail);
	buf_fini(&time);
	buf_fini(&body);
	return rc;
}

static int
prune_decisions(struct pruning *p)
{
	struct ctl *ctl = p->ctl;
	const struct settings *s = ctl->settings;
	int64_t before_ms = date_subtract(ctl->now_ms,
	    s->retention.decisions);
	struct fail fail;
	int rc;

	rc = journal_prune(s->audit.directory, "decisions", ctl->host,
	    s->checkpoint_key, before_ms, true, &p->decisions, &fail);
	if (rc == 0 && p->decisions.segments > 0 && !p->dry_run) {
		rc = announce_pruned(ctl, &p->decisions, &fail);
		if (rc == 0)
			rc = journal_prune(s->audit.directory, "decisions",
			    ctl->host, s->checkpoint_key, before_ms, false,
			    &p->decisions, &fail);
	}
	return rc == 0 ? EX_OK : ctl_error(&fail);
}

static int
erase_due(struct pruning *p, struct erasures *due)
{
	struct journal_set announced[REDACT_JOURNALS] = { { .count = 0 } };
	struct event *events = xcalloc(due->count + 1, sizeof(*events));
	struct erasures own = { .count = 0 };
	bool recorded = false;
	int rc;

	for (size_t i = 0; i < due->count; i++)
		events[i] = (struct event){ .kind = EVENT_ERASE,
		    .subject = due->all[i].subject,
		    .at_ms = due->all[i].at_ms };
	rc = ledger_record(p->ctl, events, due->count, &recorded);
	if (recorded) {
		rc = ctl_read_erasures(p->ctl->settings->audit.ledger, true,
		    &own, announced);
		erasures_tidy(&own);
	}
	/* All erasures: what an interrupted one left is done with it. */
	if (recorded && rc == EX_OK)
		rc = ctl_redact(p->ctl, &own, announced, "retention",
		    p->counts);
	for (int i = 0; i < REDACT_JOURNALS; i++)
		journal_set_fini(&announced[i]);
	erasures_fini(&own);
	free(events);
	return rc;
}

static int
prune_persons(struct pruning *p)
{
	struct facts facts = { .count = 0 };
	struct erasures due = { .count = 0 };
	struct fail fail;
	int rc = EX_OK;

	if (facts_read(p->ctl, &facts, &fail) == -1)
		rc = ctl_error(&fail);
	else
		find_due(p, &facts, &due);
	facts_fini(&facts);
	if (rc == EX_OK && !p->dry_run)
		rc = erase_due(p, &due);
	erasures_fini(&due);
	return rc;
}

static void
summarise(const struct pruning *p)
{
	const char *would = p->dry_run ? "would be " : "";
	struct buf out = BUF_INIT(1024);

	if (!p->json) {
		printf("decision log: %" PRIu64 " files %sremoved, %" PRIu64
		    " MiB, up to entry %" PRIu64 "\n", p->decisions.segments,
		    would, p->decisions.bytes >> 20, p->decisions.last_seq);
		printf("IP addresses: %" PRIu64 " of grants %scut down or "
		    "removed\n", p->entries.addresses, would);
		printf("requests: %" PRIu64 " accesses %sblanked\n",
		    p->entries.requests, would);
		printf("never confirmed: %zu persons %serased\n", p->pending,
		    would);
		printf("proof: %zu persons %serased\n", p->persons, would);
		if (!p->dry_run)
			printf("for those: %" PRIu64 " entries of the ledger "
			    "and %" PRIu64 " decisions blanked\n",
			    p->counts[REDACT_LEDGER],
			    p->counts[REDACT_DECISIONS]);
		return;
	}
	buf_add_char(&out, '{');
	json_add_member_bool(&out, "dry_run", p->dry_run);
	json_add_member_i64(&out, "files", (int64_t)p->decisions.segments);
	json_add_member_i64(&out, "bytes", (int64_t)p->decisions.bytes);
	json_add_member_i64(&out, "up_to", (int64_t)p->decisions.last_seq);
	json_add_member_i64(&out, "addresses",
	    (int64_t)p->entries.addresses);
	json_add_member_i64(&out, "requests", (int64_t)p->entries.requests);
	json_add_member_i64(&out, "pending", (int64_t)p->pending);
	json_add_member_i64(&out, "persons", (int64_t)p->persons);
	json_add_member_i64(&out, "ledger_entries_blanked",
	    (int64_t)p->counts[REDACT_LEDGER]);
	json_add_member_i64(&out, "decisions_blanked",
	    (int64_t)p->counts[REDACT_DECISIONS]);
	buf_add_char(&out, '}');
	puts(buf_get(&out));
	buf_fini(&out);
}

/* Returns -1 to go on, or an exit code. */
static int
parse(struct pruning *p, int argc, char **argv)
{
	int c;

	while ((c = ctl_getopt(argc, argv)) != -1)
		switch (c) {
		case 'n':
			p->dry_run = true;
			break;
		case 'c':
			p->clock_is_right = true;
			break;
		case 'j':
			p->json = true;
			break;
		case 'h':
			return EX_OK;
		default:
			return EX_USAGE;
		}
	return optind == argc ? -1 : ctl_usage(argv[0], "takes options only");
}

/* Before anything is written, which may be taken for the latest entry. */
static int
check_clock(const struct pruning *p)
{
	const struct ctl *ctl = p->ctl;
	const char *ledger = ctl->settings->audit.ledger;
	struct fail fail;

	if (p->clock_is_right || trusted_check(ledger, ctl->now_ms, &fail) ==
	    0)
		return EX_OK;
	if (!p->dry_run || fail.class != FAIL_TEMP)
		return ctl_error(&fail);
	ctl_warn("%s", fail.text);
	return EX_OK;
}

static int
note_clock(const struct pruning *p)
{
	const struct ctl *ctl = p->ctl;
	struct fail fail;

	return trusted_note(ctl->settings->audit.ledger, ctl->now_ms,
	    &fail) == 0 ? EX_OK : ctl_error(&fail);
}

int
command_prune(struct ctl *ctl, int argc, char **argv)
{
	struct pruning p = { .ctl = ctl };
	struct fail fail;
	int rc = parse(&p, argc, argv);

	if (rc != -1 || (rc = ctl_need_settings(ctl)) != EX_OK)
		return rc;
	if (settings_load_checkpoint_key(ctl->settings, &fail) == -1)
		return ctl_error(&fail);
	if (ctl->settings->checkpoint_key == NULL) {
		ctl_warn("pruning is signed, and there is no checkpoint.key "
		    "in %s: run `consentctl keygen'", ctl->settings->keys);
		return EX_CONFIG;
	}
	rc = check_clock(&p);
	if (rc == EX_OK && !p.dry_run && (rc = ctl_need_ledger(ctl)) == EX_OK)
		rc = note_clock(&p);
	if (rc == EX_OK)
		rc = prune_decisions(&p);
	if (rc == EX_OK)
		rc = ctl_retain(ctl, p.dry_run, &p.entries);
	if (rc == EX_OK)
		rc = prune_persons(&p);
	if (rc == EX_OK)
		summarise(&p);
	return rc;
}
