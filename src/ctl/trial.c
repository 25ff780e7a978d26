/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/trial.h"

#include <string.h>
#include <sysexits.h>

#include "base/clock.h"

#define METHOD		"selftest"	/* of the evidence */

struct known {
	const char	*list;
	struct record	 record;
	bool		 is_ours;	/* the latest grant is of a self-test */
	bool		 has_list;
};

static void
take_known(const char *list, const struct record *record,
    const struct evidence *evidence, void *context)
{
	struct known *known = context;

	if (list[0] == '\0' && !known->has_list)
		known->record = *record;
	if (strcmp(list, known->list) != 0)
		return;
	known->has_list = true;
	known->record = *record;
	known->is_ours = evidence != NULL &&
	    strcmp(evidence->method, METHOD) == 0;
}

static bool
has_opted_out(const struct record *r)
{
	return r->all_withdraw_ms != 0 || r->object_ms != 0 ||
	    r->erase_ms != 0 || r->restrict_ms != 0 || r->unproven_ms != 0;
}

static int
refuse_consent(const struct trial *t)
{
	ctl_warn("%s has a consent to list \"%s\", which the test would end",
	    t->address, t->list->id);
	ctl_warn("take an address of your own that has none; or say "
	    "--end-consent, and that consent is withdrawn for good");
	return EX_USAGE;
}

static int
refuse_opted_out(const struct trial *t)
{
	ctl_warn("%s has opted out, or is on record with something else: the "
	    "test gives no consent to such an address", t->address);
	ctl_warn("take an address of your own that is not, such as one with "
	    "+selftest in it");
	return EX_USAGE;
}

static int
refuse_without_grant(const struct trial *t)
{
	ctl_warn("%s has no consent to list \"%s\"", t->address,
	    t->list->id);
	ctl_warn("if the address is your own, say --grant: a consent with "
	    "method " METHOD " is recorded for the test, and withdrawn at its "
	    "end");
	return EX_USAGE;
}

static void
set_text(struct evidence *evidence, const char *name, const char *text)
{
	struct fail unused;

	(void)!evidence_set(evidence, name, span_str(text), &unused);
}

/* What the list asks for, so that the grant counts there. */
static struct evidence
make_evidence(const struct list *list)
{
	struct evidence evidence = { .source = "consentctl selftest",
	    .method = METHOD };
	unsigned bases = policy_bases(list);

	for (int i = 0; i < BASES; i++)
		if ((bases & 1U << i) != 0) {
			set_text(&evidence, "basis",
			    evidence_basis_name((enum basis)i));
			break;
		}
	if (list->notice != NULL)
		set_text(&evidence, "notice", list->notice);
	return evidence;
}

/* Later than what ended the last test. */
static int
grant(struct trial *t, const struct record *record)
{
	const struct list *list = t->list;
	int64_t now_ms = clock_now_ms();
	struct event events[2] = { { .kind = EVENT_GRANT,
	    .subject = *t->subject } };

	events[0].at_ms = record->withdraw_ms >= now_ms ?
	    record->withdraw_ms + 1 : now_ms;
	memcpy(events[0].list, list->id, sizeof(events[0].list));
	events[0].evidence = make_evidence(list);
	events[0].kind = policy_grant_kind(list, events[0].at_ms,
	    &events[0].evidence);
	events[1] = (struct event){ .kind = EVENT_CONFIRM,
	    .subject = *t->subject, .at_ms = events[0].at_ms };
	memcpy(events[1].list, list->id, sizeof(events[1].list));
	return ledger_record(t->ctl, events, list->double_opt_in ? 2 : 1,
	    &t->has_granted);
}

enum reason
trial_state(const struct trial *t)
{
	struct record record;
	struct fail fail;

	if (store_lookup(t->ctl->store, t->subject, t->list->id,
	    &record, &fail) == -1)
		return REASON_STORE_FAILURE;
	return consent_state(t->list, &record, clock_now_ms());
}

int
trial_begin(struct trial *t)
{
	struct known known = { .list = t->list->id };
	struct fail fail;
	enum reason state;
	bool unused;
	/* Redis may have lost an opt-out that the ledger has. */
	int rc = ledger_record(t->ctl, NULL, 0, &unused);

	if (rc != EX_OK)
		return rc;
	if (store_visit(t->ctl->store, t->subject, take_known, &known,
	    &fail) == -1) {
		ctl_warn("%s", fail.text);
		return EX_UNAVAILABLE;
	}
	state = consent_state(t->list, &known.record, clock_now_ms());
	if (state == REASON_GRANTED && !known.is_ours)
		return t->may_end ? EX_OK : refuse_consent(t);
	if (has_opted_out(&known.record) || (!known.is_ours &&
	    (known.record.grant_ms != 0 || known.record.withdraw_ms != 0)))
		return refuse_opted_out(t);
	if (!t->may_grant)
		return refuse_without_grant(t);
	rc = grant(t, &known.record);
	if (rc != EX_OK)
		return rc;
	state = trial_state(t);
	if (state == REASON_GRANTED)
		return EX_OK;
	ctl_warn("the consent that the test needs does not count: %s",
	    reason_name(state));
	return EX_TEMPFAIL;
}

bool
trial_opt_out(struct trial *t)
{
	struct event event = { .kind = EVENT_WITHDRAW,
	    .subject = *t->subject };
	bool recorded;

	memcpy(event.list, t->list->id, sizeof(event.list));
	event.at_ms = ledger_opt_out_ms(t->ctl, t->subject,
	    t->list->id);
	(void)ledger_record(t->ctl, &event, 1, &recorded);
	return recorded;
}
