/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "milterd/edits.h"

#include <string.h>

#include "consent/token.h"
#include "mail/field.h"
#include "mail/list_field.h"

#define VALUE_MAX	4096

static const char *const field_names[EDITS_FIELDS] = {
	[EDITS_LIST_ID] = "List-Id",
	[EDITS_LIST_UNSUBSCRIBE] = "List-Unsubscribe",
	[EDITS_LIST_UNSUBSCRIBE_POST] = "List-Unsubscribe-Post",
};

const char *
edits_field_name(enum edits_field field)
{
	return field_names[field];
}

static bool
is_usable(enum edits_field field, struct span value)
{
	struct list_unsubscribe lu;
	struct span list_id;

	switch (field) {
	case EDITS_LIST_ID:
		return list_id_parse(value, &list_id) == 1;
	case EDITS_LIST_UNSUBSCRIBE:
		list_unsubscribe_parse(value, &lu);
		return lu.count > 0;
	case EDITS_LIST_UNSUBSCRIBE_POST:
		return span_is(span_trim(value),
		    SPAN(LIST_UNSUBSCRIBE_POST_VALUE));
	}
	return false;
}

void
edits_facts_add(struct edits_facts *facts, struct span name, struct span value)
{
	bool signature = span_is_nocase(name, SPAN("DKIM-Signature"));

	value = span_head(value, FIELD_VALUE_MAX);
	for (unsigned i = 0; i < EDITS_FIELDS; i++) {
		struct span own = span_str(field_names[i]);

		if (signature && field_dkim_signs(value, own))
			facts->field[i].signed_before = true;
		if (!span_is_nocase(name, own))
			continue;
		facts->field[i].count++;
		if (facts->field[i].usable == 0 && is_usable(i, value))
			facts->field[i].usable = facts->field[i].count;
	}
}

void
edits_init(struct edits *edits)
{
	memset(edits, 0, sizeof(*edits));
	for (unsigned i = 0; i < EDITS_FIELDS; i++)
		buf_init(&edits->field[i].value, VALUE_MAX);
}

void
edits_fini(struct edits *edits)
{
	for (unsigned i = 0; i < EDITS_FIELDS; i++)
		buf_fini(&edits->field[i].value);
}

/* Every instance but `keep' (0: none) goes, our own one comes. */
static void
replace(struct edits *edits, const struct edits_facts *facts,
    enum edits_field field, unsigned keep, bool add)
{
	unsigned count = facts->field[field].count;

	edits->field[field].remove = count;
	edits->field[field].keep = keep;
	edits->field[field].add = add;
	if (facts->field[field].signed_before && (add || count != keep))
		edits->breaks_signature = true;
}

static void
plan_list_id(struct edits *edits, const struct edits_facts *facts,
    const struct list *list)
{
	unsigned usable = facts->field[EDITS_LIST_ID].usable;

	/* One that can be read is the sender's, and stays. */
	if (usable != 0 || list->list_id == NULL) {
		if (facts->field[EDITS_LIST_ID].count > 1)
			replace(edits, facts, EDITS_LIST_ID,
			    usable != 0 ? usable : 1, false);
		return;
	}
	replace(edits, facts, EDITS_LIST_ID, 0, true);
	list_id_format(&edits->field[EDITS_LIST_ID].value,
	    span_str(list->name), span_str(list->list_id));
}

static int
add_links(struct buf *out, const struct settings *settings,
    const unsigned char token[TOKEN_BYTES], struct fail *fail)
{
	struct buf url = BUF_INIT(VALUE_MAX), mailto = BUF_INIT(VALUE_MAX);
	int rc;

	token_add_url(&url, settings->unsubscribe.url, token);
	if (settings->unsubscribe.mailto != NULL)
		token_add_address(&mailto, settings->unsubscribe.mailto,
		    token);
	rc = list_unsubscribe_format(out, buf_span(&url), buf_span(&mailto),
	    fail);
	buf_fini(&url);
	buf_fini(&mailto);
	return rc;
}

int
edits_plan(struct edits *edits, const struct edits_facts *facts,
    const struct settings *settings, const struct list *list,
    const struct subject *subject, int64_t now_ms, struct fail *fail)
{
	unsigned char token[TOKEN_BYTES];

	plan_list_id(edits, facts, list);
	if (settings->unsubscribe.keep_existing &&
	    facts->field[EDITS_LIST_UNSUBSCRIBE].usable != 0)
		return 0;
	if (token_make(&settings->token_keys, span_str(list->id), subject,
	    now_ms, token, fail) == -1)
		return -1;
	replace(edits, facts, EDITS_LIST_UNSUBSCRIBE, 0, true);
	replace(edits, facts, EDITS_LIST_UNSUBSCRIBE_POST, 0,
	    subject != NULL);
	if (subject != NULL)
		buf_add_str(&edits->field[EDITS_LIST_UNSUBSCRIBE_POST].value,
		    LIST_UNSUBSCRIBE_POST_VALUE);
	return add_links(&edits->field[EDITS_LIST_UNSUBSCRIBE].value,
	    settings, token, fail);
}
