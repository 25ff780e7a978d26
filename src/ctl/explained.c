/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/explained.h"

#include "base/json.h"

static int
journal_number(struct span name)
{
	static const char *const journals[EXPLAINED_JOURNALS] =
	    { "ledger", "decisions" };

	for (int i = 0; i < EXPLAINED_JOURNALS; i++)
		if (span_is(name, span_str(journals[i])))
			return i;
	return -1;
}

/* What was done to journal i. */
static void
take_members(struct explained *e, int i, const struct json_object *object,
    bool pruned)
{
	struct span entries;
	struct fail unused;
	int64_t up_to;

	if (!pruned && json_object_string(object, "entries", &entries) == 1)
		(void)!journal_set_parse(&e->sets[i], entries, &unused);
	if (pruned && json_object_i64(object, "up_to", &up_to) == 1 &&
	    up_to > 0 && (uint64_t)up_to > e->pruned_to[i])
		e->pruned_to[i] = (uint64_t)up_to;
}

void
explained_take(struct explained *e, const struct journal_entry *entry)
{
	bool pruned = span_is(entry->type, SPAN("pruned"));
	struct json_object *object;
	struct span name;
	struct fail unused;
	int i;

	if (entry->blanked || (!pruned &&
	    !span_is(entry->type, SPAN("redaction"))) ||
	    json_object_parse(entry->object, &object, &unused) == -1)
		return;
	if (json_object_string(object, "journal", &name) == 1 &&
	    (i = journal_number(name)) != -1)
		take_members(e, i, object, pruned);
	json_object_free(&object);
}

bool
explained_has_pruned(const struct explained *e, const char *journal,
    const struct journal_tally *t)
{
	int i = journal_number(span_str(journal));

	return i == -1 || !e->has_ledger || t->pruned_seq <= e->pruned_to[i];
}

uint64_t
explained_first_other(struct explained *e, const char *journal,
    const struct journal_tally *t)
{
	int i = journal_number(span_str(journal));

	if (i == -1 || !e->has_ledger)
		return 0;
	journal_set_tidy(&e->sets[i]);
	for (size_t r = 0; r < t->range_count; r++)
		for (uint64_t seq = t->ranges[r].from; seq <= t->ranges[r].to;
		    seq++)
			if (!journal_set_has(&e->sets[i], seq))
				return seq;
	return 0;
}

void
explained_fini(struct explained *e)
{
	for (int i = 0; i < EXPLAINED_JOURNALS; i++)
		journal_set_fini(&e->sets[i]);
}
