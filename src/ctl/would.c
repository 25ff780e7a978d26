/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/would.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/date.h"
#include "base/xalloc.h"

#define ROWS_MAX	2000	/* what is beyond counts as one sender */
#define LISTS_MAX	500
#define SLOTS		8192	/* a power of two, much more than rows */

struct would {
	struct would_row *rows;
	size_t		 row_count, row_room;
	struct would_list *lists;
	size_t		 list_count, list_room;
	uint16_t	 slots[SLOTS];	/* number of a row + 1; 0: free */
	uint64_t	 seed;		/* a log must not choose the slots */
};

enum { MEMBER_TIME, MEMBER_LIST, MEMBER_ACTION, MEMBER_REASON, MEMBER_SENDER,
    MEMBER_CLIENT, MEMBER_AUTH, MEMBER_QUEUE_ID, MEMBER_RECIPIENT, MEMBER_REF,
    MEMBERS };

static const char *const member_names[MEMBERS] = { "time", "list", "action",
    "reason", "sender", "client", "auth", "queue_id", "recipient", "ref" };

struct would *
would_new(void)
{
	struct would *w = xcalloc(1, sizeof(*w));

	crypto_random(&w->seed, sizeof(w->seed));
	return w;
}

void
would_free(struct would **would)
{
	struct would *w = *would;

	if (w == NULL)
		return;
	*would = NULL;
	for (size_t i = 0; i < w->row_count; i++)
		free(w->rows[i].key);
	for (size_t i = 0; i < w->list_count; i++)
		free(w->lists[i].id);
	free(w->rows);
	free(w->lists);
	free(w);
}

static void
copy_text(char to[WOULD_TEXT_MAX + 1], struct span text)
{
	text = span_head(text, WOULD_TEXT_MAX);
	if (text.len > 0)
		memcpy(to, text.p, text.len);
	to[text.len] = '\0';
}

static struct would_list *
find_list(struct would *w, struct span id)
{
	id = span_head(id, WOULD_TEXT_MAX);
	for (size_t i = 0; i < w->list_count; i++)
		if (span_is(id, span_str(w->lists[i].id)))
			return &w->lists[i];
	if (w->list_count >= LISTS_MAX && !span_is(id, SPAN("(other lists)")))
		return find_list(w, SPAN("(other lists)"));
	if (w->list_count == w->list_room) {
		w->list_room = w->list_room * 2 + 16;
		w->lists = xrealloc(w->lists, w->list_room,
		    sizeof(*w->lists));
	}
	w->lists[w->list_count] = (struct would_list){
		.id = xmemdupz(id.p, id.len) };
	return &w->lists[w->list_count++];
}

static size_t
slot_of(const struct would *w, struct span key)
{
	uint64_t h = w->seed ^ UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < key.len; i++)
		h = (h ^ key.p[i]) * UINT64_C(0x100000001b3);
	return (size_t)(h ^ h >> 32) & (SLOTS - 1);
}

static struct would_row *
new_row(struct would *w, struct span key)
{
	struct would_row *row;

	if (w->row_count == w->row_room) {
		w->row_room = w->row_room * 2 + 16;
		w->rows = xrealloc(w->rows, w->row_room, sizeof(*w->rows));
	}
	row = &w->rows[w->row_count++];
	memset(row, 0, sizeof(*row));
	row->key = xmemdupz(key.p, key.len);
	row->key_len = key.len;
	row->list = row->key;
	row->domain = row->list + strlen(row->list) + 1;
	row->client = row->domain + strlen(row->domain) + 1;
	row->auth = row->client + strlen(row->client) + 1;
	row->first_ms = INT64_MAX;
	return row;
}

static void
add_part(struct buf *key, struct span text)
{
	text = span_head(text, WOULD_TEXT_MAX);
	/* Of a text with a NUL only what is before it can be told. */
	if (text.len > 0)
		buf_add(key, text.p, strnlen((const char *)text.p, text.len));
	buf_add_char(key, '\0');
}

static struct span
domain_of(struct span sender)
{
	ptrdiff_t at = span_rindex(sender, '@');

	return at == -1 ? sender : span_from(sender, (size_t)at + 1);
}

/* The row of this list, sender, action and reason, which is made. */
static struct would_row *
find_row(struct would *w, const struct span v[MEMBERS], unsigned action,
    enum reason reason)
{
	bool full = w->row_count >= ROWS_MAX;
	struct buf key = BUF_INIT(8192);
	struct would_row *row = NULL;
	size_t slot;

	for (int round = 0; round < 2 && row == NULL; round++) {
		bool other = round == 1;

		buf_clear(&key);
		add_part(&key, v[MEMBER_LIST]);
		add_part(&key, other ? SPAN("(other senders)") :
		    domain_of(v[MEMBER_SENDER]));
		add_part(&key, other ? SPAN("") : v[MEMBER_CLIENT]);
		add_part(&key, other ? SPAN("") : v[MEMBER_AUTH]);
		buf_add_char(&key, (char)('a' + action));
		buf_add_char(&key, (char)('a' + (int)reason));
		slot = slot_of(w, buf_span(&key));
		while (w->slots[slot] != 0 && row == NULL) {
			struct would_row *one = &w->rows[w->slots[slot] - 1];

			if (span_is(buf_span(&key), span_of((const unsigned
			    char *)one->key, one->key_len)))
				row = one;
			slot = (slot + 1) & (SLOTS - 1);
		}
		/* Beyond, a row for each list and reason at most, in the space
		 * that is left: lists are bounded as well. */
		if (row == NULL && (!full || (other && w->row_count <
		    SLOTS / 2))) {
			row = new_row(w, buf_span(&key));
			row->action = action;
			row->reason = reason;
			w->slots[slot] = (uint16_t)w->row_count;
		}
	}
	buf_fini(&key);
	return row;
}

/*
 * Postfix has no queue id yet at the first recipient of a message: an entry
 * without one begins a message, and one with an id belongs to it when it comes
 * next.  So with several connections at a time the number is not exact.
 */
static bool
begins_message(const struct would_row *row, struct span queue_id)
{
	if (row->recipients == 0 || queue_id.len == 0)
		return true;
	return row->queue_id[0] != '\0' && !span_is(span_head(queue_id,
	    WOULD_TEXT_MAX), span_str(row->queue_id));
}

static void
add_to_row(struct would_row *row, const struct span v[MEMBERS], int64_t ms)
{
	row->messages += begins_message(row, v[MEMBER_QUEUE_ID]);
	row->recipients++;
	copy_text(row->queue_id, v[MEMBER_QUEUE_ID]);
	copy_text(row->sender, v[MEMBER_SENDER]);
	if (ms < row->first_ms)
		row->first_ms = ms;
	if (ms > row->last_ms)
		row->last_ms = ms;
	for (size_t i = 0; i < row->example_count; i++)
		if (span_is(span_head(v[MEMBER_RECIPIENT], WOULD_TEXT_MAX),
		    span_str(row->examples[i].recipient)))
			return;
	if (row->example_count < WOULD_EXAMPLES) {
		struct would_example *e = &row->examples[row->example_count++];

		copy_text(e->recipient, v[MEMBER_RECIPIENT]);
		copy_text(e->ref, v[MEMBER_REF]);
	}
}

static int
count_members(struct report *r, const struct span *v)
{
	struct would_list *list;
	struct would_row *row;
	enum reason reason;
	unsigned action;
	int64_t ms;

	if (date_parse(v[MEMBER_TIME], &ms) == -1 ||
	    report_action_parse(v[MEMBER_ACTION], &action) == -1 ||
	    reason_parse(v[MEMBER_REASON], &reason) == 0)
		return -1;
	if (ms < r->since_ms || ms > r->until_ms || (r->only != NULL &&
	    !span_is(v[MEMBER_LIST], span_str(r->only))))
		return 0;
	r->decisions++;
	list = find_list(r->would, v[MEMBER_LIST]);
	if (action < REPORT_ACTIONS / 2)
		list->enforced++;
	else if (action == REPORT_ACTIONS / 2 + ACTION_ACCEPT)
		list->passed++;
	else {
		list->blocked[reason]++;
		row = find_row(r->would, v, action, reason);
		if (row != NULL)
			add_to_row(row, v, ms);
	}
	return 0;
}

void
would_count(struct report *r, const struct journal_entry *entry)
{
	report_read_decision(r, entry, member_names, MEMBERS, count_members);
}

static int
by_list_and_number(const void *a, const void *b)
{
	const struct would_row *x = a, *y = b;
	int order = strcmp(x->list, y->list);

	if (order != 0)
		return order;
	if (x->recipients != y->recipients)
		return x->recipients > y->recipients ? -1 : 1;
	order = strcmp(x->domain, y->domain);
	return order != 0 ? order : (int)x->reason - (int)y->reason;
}

static int
by_id(const void *a, const void *b)
{
	const struct would_list *x = a, *y = b;

	return strcmp(x->id, y->id);
}

void
would_finish(struct report *r)
{
	struct would *w = r->would;
	const struct policy *policy = r->ctl->settings == NULL ? NULL :
	    &r->ctl->settings->policy;

	for (size_t i = 0; policy != NULL && i < policy->list_count; i++)
		if (r->only == NULL || strcmp(r->only,
		    policy->lists[i].id) == 0)
			(void)find_list(w, span_str(policy->lists[i].id));
	if (w->row_count > 0)
		qsort(w->rows, w->row_count, sizeof(*w->rows),
		    by_list_and_number);
	if (w->list_count > 0)
		qsort(w->lists, w->list_count, sizeof(*w->lists), by_id);
}

size_t
would_rows(const struct report *r, const struct would_row **rows)
{
	*rows = r->would->rows;
	return r->would->row_count;
}

size_t
would_lists(const struct report *r, const struct would_list **lists)
{
	*lists = r->would->lists;
	return r->would->list_count;
}

uint64_t
would_blocked(const struct would_list *list)
{
	uint64_t n = 0;

	for (size_t i = 0; i < REPORT_REASONS; i++)
		n += list->blocked[i];
	return n;
}

static const struct list *
configured(const struct report *r, const struct would_list *list)
{
	return r->ctl->settings == NULL ? NULL : policy_list(
	    &r->ctl->settings->policy, span_str(list->id));
}

enum would_state
would_state(const struct report *r, const struct would_list *list)
{
	const struct list *l = configured(r, list);
	uint64_t out = list->blocked[REASON_WITHDRAWN] +
	    list->blocked[REASON_OBJECTED] + list->blocked[REASON_ERASED] +
	    list->blocked[REASON_RESTRICTED];

	if (r->ctl->settings != NULL && (l != NULL || list->id[0] == '\0') &&
	    !policy_observes(&r->ctl->settings->policy, l))
		return WOULD_ENFORCED;
	if (would_blocked(list) > 0)
		return would_blocked(list) == out ? WOULD_OPTED_OUT :
		    WOULD_BLOCKS;
	return list->passed > 0 ? WOULD_READY : WOULD_UNSEEN;
}

static void
add_setting(struct buf *out, const struct would_list *list)
{
	if (list->id[0] == '\0')
		buf_add_str(out, "set mode = \"enforce\"; with mode = "
		    "\"observe\"; in each list that is not ready");
	else
		buf_addf(out, "set mode = \"enforce\"; in list \"%s\"",
		    list->id);
	buf_add_str(out, ", then systemctl reload consent-milter");
}

void
would_advise(struct buf *out, const struct report *r,
    const struct would_list *list)
{
	uint64_t n = would_blocked(list);

	switch (would_state(r, list)) {
	case WOULD_ENFORCED:
		buf_add_str(out, "enforced already");
		return;
	case WOULD_UNSEEN:
		buf_add_str(out, "no mail of it was seen: wait for one, or "
		    "see `consentctl explain'");
		return;
	case WOULD_READY:
		buf_add_str(out, "ready, nothing would have been blocked: ");
		add_setting(out, list);
		return;
	case WOULD_OPTED_OUT:
		buf_addf(out, "ready, only people who do not want it would "
		    "have been left out (%" PRIu64 "): ", n);
		add_setting(out, list);
		return;
	case WOULD_BLOCKS:
		break;
	}
	buf_addf(out, "not ready, %" PRIu64 " would have been blocked: ", n);
	if (list->id[0] == '\0')
		buf_add_str(out, "give this mail a list, exempt it, or see "
		    "bulk.unlisted; then ");
	else if (list->blocked[REASON_STORE_FAILURE] > 0)
		buf_add_str(out, "see why Redis could not be asked, and "
		    "import consents that are missing; then ");
	else
		buf_add_str(out, "import consents that are missing, or take "
		    "these people off; then ");
	add_setting(out, list);
}
