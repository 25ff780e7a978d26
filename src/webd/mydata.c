/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What is held about a person, for that person to see, change, take along and
 * erase (GDPR Art. 15, 17, 20, 21).  A link that was mailed to the address opens
 * it, once; the token of a newsletter never does, for newsletters get forwarded.
 *
 *	data		asks for an address, and has the link mailed
 *	data/LINK	GET: a button, for scanners open links; POST: opens it
 *	data/session	POST alone: the pages behind it
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "consent/decision.h"
#include "ledger/known_time.h"
#include "rights/export.h"
#include "webd/page.h"
#include "webd/site.h"
#include "webd/wording.h"

#define LINK_MS		(INT64_C(60) * 60 * 1000)
#define RECEIPT_BYTES	10
#define LISTS_MAX	2000	/* that one person has, configured or not */
#define EVENTS_MAX	2

#define ACTION_ASK	"send"
#define ACTION_OPEN	"open"
#define ACTION_SHOW	"show"
#define ACTION_ON	"list-on"
#define ACTION_OFF	"list-off"
#define ACTION_OBJECT	"object"
#define ACTION_PROFILE	"profiling-on"
#define ACTION_NO_PROFILE "profiling-off"
#define ACTION_JSON	"json"
#define ACTION_CSV	"csv"
#define ACTION_ERASE	"erase"
#define ACTION_ERASE_NOW "erase-confirm"

/* -- what is known -- */

struct known {
	char		 id[LIST_NAME_MAX + 1];
	const struct list *list;	/* NULL: no longer configured */
	struct record	 record;
	struct evidence	 evidence;	/* of the latest grant */
	bool		 has_evidence;
};

/* The person's own times are in `person', and in each list's record. */
struct person {
	struct subject	 subject;
	struct record	 person;
	struct known	*lists;
	size_t		 count;
	const struct policy *policy;
};

static void
take_list(const char *id, const struct record *record,
    const struct evidence *evidence, void *context)
{
	struct person *p = context;
	struct known *k = NULL;

	if (id[0] == '\0') {
		p->person = *record;
		for (size_t i = 0; i < p->count; i++)
			p->lists[i].record = *record;
		return;
	}
	for (size_t i = 0; i < p->count && k == NULL; i++)
		if (strcmp(p->lists[i].id, id) == 0)
			k = &p->lists[i];
	if (k == NULL && p->count == LISTS_MAX)
		return;
	if (k == NULL) {
		k = &p->lists[p->count++];
		memset(k, 0, sizeof(*k));
		(void)snprintf(k->id, sizeof(k->id), "%s", id);
	}
	k->record = *record;
	k->has_evidence = evidence != NULL;
	if (evidence != NULL)
		k->evidence = *evidence;
}

/* Each list that is configured is there, known or not. */
static int
read_person(struct site *site, const struct request *r,
    const struct subject *subject, struct person *out, struct fail *fail)
{
	const struct policy *policy = &r->settings->policy;
	struct store *store = recorder_store(site->recorder);

	memset(out, 0, sizeof(*out));
	out->subject = *subject;
	out->policy = policy;
	out->lists = xcalloc(LISTS_MAX, sizeof(*out->lists));
	for (size_t i = 0; i < policy->list_count; i++) {
		struct known *k = &out->lists[out->count++];

		k->list = &policy->lists[i];
		memcpy(k->id, k->list->id, sizeof(k->id));
	}
	if (store == NULL)
		return fail_set(fail, FAIL_TEMP, "Redis must not be used");
	return store_visit(store, subject, take_list, out, fail) == -1 ? -1 :
	    0;
}

static void
person_fini(struct person *p)
{
	free(p->lists);
}

/* Redis hears of them a moment later. */
static void
apply(struct person *p, const struct event *events, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (events[i].list[0] == '\0')
			record_apply(&p->person, &events[i]);
		for (size_t j = 0; j < p->count; j++) {
			struct known *k = &p->lists[j];

			if (events[i].list[0] != '\0' &&
			    strcmp(events[i].list, k->id) != 0)
				continue;
			record_apply(&k->record, &events[i]);
			if (events[i].kind != EVENT_GRANT)
				continue;
			k->evidence = events[i].evidence;
			k->has_evidence = true;
		}
	}
}

/* -- asking for the link -- */

static void
show_ask(const struct request *r, unsigned status, struct answer *answer)
{
	struct buf *out = &answer->body;

	page_begin(answer, r, status, WORD_DATA_TITLE);
	if (status == 400)
		page_mistake(out, r, WORD_ADDRESS_WRONG);
	page_paragraph(out, r, WORD_DATA_ASK_TEXT);
	page_form(out, r, "data");
	page_address_field(out, r, status == 400);
	page_button(out, r, WORD_DATA_ASK_BUTTON, ACTION_ASK, false);
	buf_add_str(out, "</form>\n");
	page_who(out, r);
	page_end(answer, r);
}

/* The answer does not depend on whether anything is known. */
static void
take_ask(struct site *site, const struct request *r, struct answer *answer)
{
	struct span text = address_strip_brackets(span_trim(span_str(
	    r->form.address)));
	char *mailbox = xmemdupz(text.p, text.len);
	struct address address;
	struct subject subject;
	struct buf key = BUF_INIT(64);
	struct fail unused;

	if (address_parse(text, &address, &unused) == -1)
		show_ask(r, 400, answer);
	else {
		subject_of(r->settings->pseudonym_key, &address, &subject);
		subject_format(&key, &subject);
		if (!site_may_mail(site, r, site->per_data, buf_span(&key)))
			page_say(answer, r, 429, WORD_OFTEN_TITLE,
			    WORD_OFTEN_TEXT);
		else if (!courier_ask(site->courier, r->settings, r->words,
		    mailbox, &subject))
			page_add(answer, r, 503, PAGE_LATER, NULL);
		else
			page_say(answer, r, 200, WORD_SENT_TITLE,
			    WORD_DATA_SENT_TEXT);
	}
	buf_fini(&key);
	free(mailbox);
}

/* -- one list -- */

static enum word
word_of_state(enum reason reason)
{
	switch (reason) {
	case REASON_GRANTED:
		return WORD_STATE_GRANTED;
	case REASON_PENDING:
		return WORD_STATE_PENDING;
	case REASON_WITHDRAWN:
		return WORD_STATE_WITHDRAWN;
	case REASON_EXPIRED:
		return WORD_STATE_EXPIRED;
	case REASON_OBJECTED:
		return WORD_STATE_OBJECTED;
	case REASON_ERASED:
		return WORD_STATE_ERASED;
	case REASON_RESTRICTED:
		return WORD_STATE_RESTRICTED;
	case REASON_UNPROVEN:
		return WORD_STATE_UNPROVEN;
	case REASON_NO_CONSENT:
	case REASON_STORE_FAILURE:
	case REASON_UNLISTED_BULK:
	case REASON_NOT_BULK:
	case REASON_EXEMPT:
	case REASON_SECOND_RECIPIENT:
		break;
	}
	return WORD_STATE_NO_CONSENT;
}

static int64_t
later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Since when the state is what it is; 0: nothing is known. */
static int64_t
since_ms(enum reason reason, const struct record *record)
{
	switch (reason) {
	case REASON_GRANTED:
	case REASON_PENDING:
	case REASON_EXPIRED:
		return record->grant_ms;
	case REASON_WITHDRAWN:
		return later(record->withdraw_ms, record->all_withdraw_ms);
	case REASON_OBJECTED:
		return record->object_ms;
	case REASON_ERASED:
		return record->erase_ms;
	case REASON_RESTRICTED:
		return record->restrict_ms;
	case REASON_UNPROVEN:
		return record->unproven_ms;
	case REASON_NO_CONSENT:
	case REASON_STORE_FAILURE:
	case REASON_UNLISTED_BULK:
	case REASON_NOT_BULK:
	case REASON_EXEMPT:
	case REASON_SECOND_RECIPIENT:
		break;
	}
	return 0;
}

static void
add_time_row(struct buf *out, const struct request *r, enum word label,
    int64_t ms)
{
	if (ms == 0 || ms == INT64_MAX)
		return;
	buf_add_str(out, "<dt>");
	page_word(out, r, label);
	buf_add_str(out, "</dt><dd>");
	page_time(out, ms);
	buf_add_str(out, "</dd>\n");
}

static const char *
basis_text(const struct request *r, const char *basis)
{
	static const enum word words[BASES] = {
		[BASIS_CONSENT] = WORD_BASIS_CONSENT,
		[BASIS_EXPLICIT_CONSENT] = WORD_BASIS_EXPLICIT_CONSENT,
		[BASIS_SOFT_OPT_IN] = WORD_BASIS_SOFT_OPT_IN,
		[BASIS_CHARITY_SOFT_OPT_IN] = WORD_BASIS_CHARITY_SOFT_OPT_IN,
		[BASIS_CASL_IMPLIED] = WORD_BASIS_CASL_IMPLIED,
		[BASIS_LEGITIMATE_INTEREST] = WORD_BASIS_LEGITIMATE_INTEREST,
	};
	struct fail unused;
	enum basis b;

	if (basis[0] == '\0')
		return r->words->text[WORD_BASIS_CONSENT];
	return evidence_basis_parse(span_str(basis), &b, &unused) == 1 ?
	    r->words->text[words[b]] : basis;
}

/* How the latest consent was given, and with which words. */
static void
add_evidence(struct buf *out, const struct request *r, const struct known *k)
{
	const struct evidence *e = &k->evidence;

	page_row(out, r, WORD_PURPOSE_LABEL, e->purpose[0] != '\0' ?
	    e->purpose : k->list != NULL ? k->list->purpose : NULL);
	page_row(out, r, WORD_SOURCE_LABEL, e->source);
	page_row(out, r, WORD_METHOD_LABEL, e->method);
	if (k->record.grant_ms != 0)
		page_row(out, r, WORD_BASIS_LABEL, basis_text(r, e->basis));
}

static const char *
name_of(const struct known *k)
{
	return k->list != NULL ? k->list->name : k->id;
}

static void
add_wording(struct buf *out, const struct request *r, const struct known *k)
{
	struct buf text = BUF_INIT(NOTICE_TEXT_MAX);
	struct fail fail;
	int rc;

	if (!k->has_evidence || k->evidence.digest[0] == '\0')
		return;
	rc = notice_text(r->settings, k->evidence.digest, &text, &fail);
	if (rc == 1)
		page_details(out, r, WORD_WORDING_LABEL, name_of(k),
		    buf_span(&text));
	else if (rc == -1)
		log_error("%s", fail.text);
	buf_fini(&text);
}

static void
add_session_form(struct buf *out, const struct request *r, const char *key,
    const char *list)
{
	page_form(out, r, "data/session");
	page_hidden(out, "key", key);
	if (list != NULL)
		page_hidden(out, "list", list);
}

/* To opt in, the words come before the button. */
static void
add_switch(struct buf *out, const struct request *r, const struct known *k,
    const char *key, bool is_on)
{
	struct wording wording;
	struct fail fail;
	int rc = 0;

	wording_init(&wording);
	if (!is_on) {
		rc = wording_newest(r->settings, k->list, r->words->tag,
		    &wording, &fail);
		if (rc == 1)
			page_details(out, r, WORD_NOTICE_LABEL, name_of(k),
			    buf_span(&wording.text));
	}
	add_session_form(out, r, key, k->id);
	if (is_on)
		page_button_about(out, r, WORD_LIST_OFF_BUTTON, name_of(k),
		    ACTION_OFF, false);
	else if (rc != -1) {
		if (rc == 1)
			page_hidden(out, "notice", wording.notice.digest);
		page_button_about(out, r, WORD_LIST_ON_BUTTON, name_of(k),
		    ACTION_ON, true);
	}
	buf_add_str(out, "</form>\n");
	wording_fini(&wording);
}

/* Can people opt in to it here? */
static bool
can_opt_in(const struct list *list)
{
	return list->sign_up && policy_takes_consent(list);
}

static void
add_list(struct buf *out, const struct request *r, const struct known *k,
    const char *key)
{
	int64_t now_ms = clock_now_ms();
	enum reason reason = k->list == NULL ? REASON_NO_CONSENT :
	    consent_state(k->list, &k->record, now_ms);
	bool is_on = reason == REASON_GRANTED || reason == REASON_PENDING;

	/* Nothing is held, and nothing offered. */
	if (k->list != NULL && reason == REASON_NO_CONSENT &&
	    !k->list->sign_up)
		return;
	buf_add_str(out, "<section>\n<h3><bdi>");
	page_text(out, name_of(k));
	buf_add_str(out, "</bdi></h3>\n<p><strong>");
	page_word(out, r, word_of_state(reason));
	buf_add_str(out, "</strong></p>\n<dl>\n");
	add_time_row(out, r, WORD_SINCE_LABEL, k->list != NULL ?
	    since_ms(reason, &k->record) : k->record.grant_ms);
	if (reason == REASON_GRANTED)
		add_time_row(out, r, WORD_UNTIL_LABEL,
		    consent_last_ms(k->list, k->record.grant_ms));
	add_evidence(out, r, k);
	buf_add_str(out, "</dl>\n");
	add_wording(out, r, k);
	if (k->list != NULL && (is_on || (can_opt_in(k->list) &&
	    reason != REASON_RESTRICTED)))
		add_switch(out, r, k, key, is_on);
	buf_add_str(out, "</section>\n");
}

/* -- the page -- */

static void
add_one_button(struct buf *out, const struct request *r, const char *key,
    enum word word, const char *action)
{
	add_session_form(out, r, key, NULL);
	page_button(out, r, word, action, true);
	buf_add_str(out, "</form>\n");
}

static void
add_objections(struct buf *out, const struct request *r,
    const struct person *p, const char *key)
{
	bool no_profiling = consent_objects_to_profiling(&p->person);

	page_heading(out, r, WORD_MARKETING_TITLE);
	page_paragraph(out, r, p->person.object_ms != 0 ?
	    WORD_MARKETING_OBJECTED : WORD_MARKETING_TEXT);
	if (p->person.object_ms == 0)
		add_one_button(out, r, key, WORD_MARKETING_BUTTON,
		    ACTION_OBJECT);
	page_heading(out, r, WORD_PROFILING_TITLE);
	page_paragraph(out, r, WORD_PROFILING_TEXT);
	if (no_profiling)
		page_paragraph(out, r, WORD_PROFILING_OBJECTED);
	add_one_button(out, r, key, no_profiling ? WORD_PROFILING_ON_BUTTON :
	    WORD_PROFILING_OFF_BUTTON, no_profiling ? ACTION_PROFILE :
	    ACTION_NO_PROFILE);
}

static void
show_person(const struct request *r, const struct person *p, const char *key,
    bool changed, struct answer *answer)
{
	struct buf *out = &answer->body;

	page_begin(answer, r, 200, WORD_DATA_TITLE);
	if (changed) {
		buf_add_str(out, "<p class=\"say\" role=\"status\">");
		page_word(out, r, WORD_DATA_CHANGED);
		buf_add_str(out, "</p>\n");
	}
	page_heading(out, r, WORD_LISTS_TITLE);
	for (size_t i = 0; i < p->count; i++)
		add_list(out, r, &p->lists[i], key);
	add_objections(out, r, p, key);
	page_heading(out, r, WORD_TAKE_TITLE);
	page_paragraph(out, r, WORD_TAKE_TEXT);
	add_session_form(out, r, key, NULL);
	page_button(out, r, WORD_TAKE_JSON_BUTTON, ACTION_JSON, true);
	page_button(out, r, WORD_TAKE_CSV_BUTTON, ACTION_CSV, true);
	buf_add_str(out, "</form>\n");
	page_heading(out, r, WORD_ERASE_TITLE);
	page_paragraph(out, r, WORD_ERASE_TEXT);
	add_one_button(out, r, key, WORD_ERASE_BUTTON, ACTION_ERASE);
	page_who(out, r);
	page_end(answer, r);
}

/* Shows it after these events, which are recorded. */
static void
show_after(struct site *site, const struct request *r,
    const struct subject *subject, const char *key,
    const struct event *events, size_t n, struct answer *answer)
{
	struct person person;
	struct fail fail;

	if (read_person(site, r, subject, &person, &fail) == 0) {
		apply(&person, events, n);
		show_person(r, &person, key, n > 0, answer);
	} else if (n > 0)
		page_say(answer, r, 200, WORD_DATA_TITLE, WORD_DATA_CHANGED);
	else {
		log_error("data can't be shown: %s", fail.text);
		page_add(answer, r, 503, PAGE_LATER, NULL);
	}
	person_fini(&person);
}

/* -- changes -- */

/* When an opt-in has to be, to be later than all that stands against it: a
 * host whose clock is ahead may have recorded that, or this one when its clock
 * had been set back; then it counts once the clock has come that far. */
static int64_t
opt_in_ms(const struct record *record, int64_t now_ms, int64_t known_ms)
{
	int64_t out_ms = later(later(record->withdraw_ms,
	    record->all_withdraw_ms), later(record->object_ms,
	    record->erase_ms));

	return out_ms >= now_ms && out_ms <= known_ms +
	    DECISION_CLOCK_SKEW_MS ? out_ms + 1 : now_ms;
}

/* The address is proven by the link, so it is confirmed at once. */
static int
make_opt_in(struct site *site, const struct request *r,
    const struct list *list, const struct subject *subject,
    struct event events[EVENTS_MAX], struct fail *fail)
{
	struct event *grant = &events[0], *confirm = &events[1];
	struct evidence *e = &grant->evidence;
	struct store *store = recorder_store(site->recorder);
	struct wording wording;
	struct record record;
	int rc;

	if (store == NULL || store_lookup(store, subject, list->id, &record,
	    fail) == -1)
		return -1;
	*grant = (struct event){ .subject = *subject,
	    .at_ms = opt_in_ms(&record, clock_now_ms(),
	    known_time_ms(r->settings->audit.ledger)) };
	memcpy(grant->list, list->id, sizeof(grant->list));
	(void)snprintf(e->source, sizeof(e->source), "data page");
	(void)snprintf(e->method, sizeof(e->method), "web-form");
	(void)snprintf(e->language, sizeof(e->language), "%s",
	    r->words->tag);
	(void)snprintf(e->ip, sizeof(e->ip), "%s", r->client);
	if (policy_takes_explicit_only(list))
		(void)snprintf(e->basis, sizeof(e->basis), "%s",
		    evidence_basis_name(BASIS_EXPLICIT_CONSENT));
	wording_init(&wording);
	rc = wording_shown(r->settings, list, r->form.notice, &wording, fail);
	if (rc != -1) {
		wording_prove(&wording, e);
		rc = evidence_check(e, r->settings->policy.evidence_ip, fail);
	}
	wording_fini(&wording);
	grant->kind = policy_grant_kind(list, grant->at_ms, e);
	if (rc == 0 && grant->kind != EVENT_GRANT)
		rc = fail_set(fail, FAIL_INPUT, "not with the words that list "
		    "\"%s\" wants", list->id);
	*confirm = (struct event){ .kind = EVENT_CONFIRM,
	    .subject = *subject, .at_ms = grant->at_ms };
	memcpy(confirm->list, list->id, sizeof(confirm->list));
	return rc;
}

/* Returns how many events the button means, 0 for none, or -1. */
static int
events_of(struct site *site, const struct request *r,
    const struct subject *subject, struct event events[EVENTS_MAX],
    struct fail *fail)
{
	static const struct {
		const char *action;
		enum event_kind kind;
		bool of_list;
	} actions[] = {
		{ ACTION_OFF, EVENT_WITHDRAW, true },
		{ ACTION_OBJECT, EVENT_OBJECT, false },
		{ ACTION_NO_PROFILE, EVENT_OBJECT_PROFILING, false },
		{ ACTION_PROFILE, EVENT_ALLOW_PROFILING, false },
	};
	const char *action = r->form.action;
	const struct list *list = policy_list(&r->settings->policy,
	    span_str(r->form.list));

	if (strcmp(action, ACTION_ON) == 0)
		return list == NULL || !can_opt_in(list) ? 0 :
		    make_opt_in(site, r, list, subject, events, fail) == -1 ?
		    -1 : 2;
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (strcmp(actions[i].action, action) != 0 ||
		    (actions[i].of_list && list == NULL))
			continue;
		events[0] = (struct event){ .kind = actions[i].kind,
		    .subject = *subject, .at_ms = clock_now_ms() };
		if (actions[i].of_list)
			memcpy(events[0].list, list->id,
			    sizeof(events[0].list));
		if (actions[i].kind == EVENT_WITHDRAW ||
		    actions[i].kind == EVENT_OBJECT)
			events[0].at_ms = recorder_opt_out_ms(site->recorder,
			    subject, actions[i].of_list ? list : NULL);
		return 1;
	}
	return 0;
}

static void
change(struct site *site, const struct request *r,
    const struct subject *subject, struct answer *answer)
{
	struct event events[EVENTS_MAX];
	struct fail fail;
	int n = events_of(site, r, subject, events, &fail);

	if (n == -1 || (n > 0 && recorder_append(site->recorder, events,
	    (size_t)n, "data page", &fail) == -1)) {
		log_error("a change on a data page was not recorded, and the "
		    "person was told so: %s", fail.text);
		page_add(answer, r, 503, PAGE_LATER, NULL);
		return;
	}
	if (n > 0)
		log_info("data page: %s", r->form.action);
	show_after(site, r, subject, r->form.key, events, (size_t)n, answer);
}

/* -- taking it along -- */

static void
on_warning(const char *text, void *context)
{
	(void)context;
	log_warn("download: %s", text);
}

static int
write_export(struct site *site, const struct request *r,
    const struct subject *subject, bool csv, FILE *out, struct fail *fail)
{
	const char *const ledgers[] = { r->settings->audit.ledger };
	const char *const logs[] = { r->settings->audit.directory };
	const struct watch watch = { .warn = on_warning };
	const struct export_options options = { .settings = r->settings,
	    .store = recorder_store(site->recorder), .subject = *subject,
	    .csv = csv, .now_ms = clock_now_ms(), .ledgers = ledgers,
	    .ledger_count = 1, .logs = logs, .log_count = 1,
	    .watch = &watch };
	bool complete;

	if (options.store == NULL)
		return fail_set(fail, FAIL_TEMP, "Redis must not be used");
	if (export_write(&options, out, &complete, fail) == -1)
		return -1;
	/* The document says so as well. */
	if (!complete)
		log_warn("a person was given an incomplete download");
	return 0;
}

/* In memory alone: it is somebody's data. */
static int
export_to_memory(struct site *site, const struct request *r,
    const struct subject *subject, bool csv, int *fd, struct fail *fail)
{
	FILE *out;
	int rc;

	*fd = memfd_create("export", MFD_CLOEXEC);
	out = *fd == -1 ? NULL : fdopen(dup(*fd), "w");
	if (out == NULL)
		return fail_errno(fail, FAIL_TEMP, errno, "no memory file");
	rc = write_export(site, r, subject, csv, out, fail);
	if (fclose(out) == EOF && rc == 0)
		rc = fail_errno(fail, FAIL_TEMP, errno, "no room");
	return rc;
}

static void
download(struct site *site, const struct request *r,
    const struct subject *subject, struct answer *answer)
{
	bool csv = strcmp(r->form.action, ACTION_CSV) == 0;
	struct fail fail;

	if (!limit_take(site->per_download, span_of(subject->id,
	    sizeof(subject->id)), clock_now_ms())) {
		page_say(answer, r, 429, WORD_OFTEN_TITLE, WORD_OFTEN_TEXT);
		return;
	}
	if (recorder_note_access(site->recorder, subject, csv ?
	    "downloaded as CSV" : "downloaded as JSON", NULL, &fail) == -1 ||
	    export_to_memory(site, r, subject, csv, &answer->fd, &fail) ==
	    -1) {
		log_error("a download failed: %s", fail.text);
		if (answer->fd != -1)
			(void)close(answer->fd);
		answer->fd = -1;
		page_add(answer, r, 503, PAGE_LATER, NULL);
		return;
	}
	answer->status = 200;
	answer->type = csv ? "text/csv; charset=utf-8" : "application/json";
	answer->file_name = csv ? "consent.csv" : "consent.json";
	log_info("data page: %s", r->form.action);
}

/* -- erasing -- */

static void
show_erase(const struct request *r, struct answer *answer)
{
	struct buf *out = &answer->body;

	page_begin(answer, r, 200, WORD_ERASE_ASK_TITLE);
	page_paragraph(out, r, WORD_ERASE_ASK_TEXT);
	add_session_form(out, r, r->form.key, NULL);
	page_button(out, r, WORD_ERASE_CONFIRM_BUTTON, ACTION_ERASE_NOW,
	    false);
	page_button(out, r, WORD_ERASE_BACK_BUTTON, ACTION_SHOW, true);
	buf_add_str(out, "</form>\n");
	page_end(answer, r);
}

static void
erase(struct site *site, const struct request *r,
    const struct subject *subject, struct answer *answer)
{
	const struct event event = { .kind = EVENT_ERASE,
	    .subject = *subject, .at_ms = recorder_opt_out_ms(site->recorder,
	    subject, NULL) };
	unsigned char bytes[RECEIPT_BYTES];
	struct buf receipt = BUF_INIT(64);
	struct buf *out = &answer->body;
	struct fail fail;

	if (eraser_prepare(site->eraser, &fail) == -1 ||
	    recorder_append(site->recorder, &event, 1, "data page", &fail) ==
	    -1) {
		log_error("an erasure was not recorded, and the person was "
		    "told so: %s", fail.text);
		page_add(answer, r, 503, PAGE_LATER, NULL);
		return;
	}
	eraser_begin(site->eraser);
	sessions_end(site->sessions, subject);
	crypto_random(bytes, sizeof(bytes));
	base32_format(&receipt, bytes, sizeof(bytes));
	log_info("data page: erasure, receipt %s", buf_get(&receipt));
	page_begin(answer, r, 200, WORD_ERASE_DONE_TITLE);
	page_paragraph(out, r, WORD_ERASE_DONE_TEXT);
	buf_addf(out, "<p><strong>%s</strong></p>\n", buf_get(&receipt));
	page_end(answer, r);
	buf_fini(&receipt);
}

/* -- behind the link -- */

static void
show_open(const struct request *r, struct answer *answer)
{
	struct buf *out = &answer->body;

	page_begin(answer, r, 200, WORD_DATA_TITLE);
	page_paragraph(out, r, WORD_DATA_OPEN_TEXT);
	page_form(out, r, NULL);
	page_button(out, r, WORD_DATA_OPEN_BUTTON, ACTION_OPEN, false);
	buf_add_str(out, "</form>\n");
	page_end(answer, r);
}

static void
show_lapsed(const struct request *r, enum word title, enum word text,
    struct answer *answer)
{
	page_begin(answer, r, 410, title);
	page_paragraph(&answer->body, r, text);
	page_link(&answer->body, r, "data", "", WORD_DATA_ASK_BUTTON);
	page_end(answer, r);
}

/* Used links are remembered on disk, so that they open once, whatever
 * happens. */
static void
open_link(struct site *site, const struct request *r,
    const struct link *link, struct answer *answer)
{
	int64_t now_ms = clock_now_ms();
	struct buf key = BUF_INIT(64);
	struct fail fail;

	if (!sessions_use_link(site->sessions, link, now_ms,
	    link->at_ms + 2 * LINK_MS)) {
		show_lapsed(r, WORD_LAPSED_TITLE, WORD_LAPSED_TEXT, answer);
		return;
	}
	if (recorder_note_access(site->recorder, &link->subject, "opened",
	    link->detail, &fail) == -1) {
		sessions_unuse_link(site->sessions, link);
		log_error("a data page was not opened: %s", fail.text);
		page_add(answer, r, 503, PAGE_LATER, NULL);
		return;
	}
	sessions_begin(site->sessions, &link->subject, now_ms, &key);
	log_info("data page: opened");
	show_after(site, r, &link->subject, buf_get(&key), NULL, 0, answer);
	buf_fini(&key);
}

static void
answer_link(struct site *site, const struct request *r, struct span text,
    struct answer *answer)
{
	struct link link;
	int rc = r->settings->link_key == NULL ? -1 :
	    link_check(r->settings->link_key, text, LINK_ACCESS,
	    clock_now_ms(), LINK_MS, &link);

	if (rc == -1)
		page_add(answer, r, 404, PAGE_UNKNOWN, NULL);
	else if (rc == 0)
		show_lapsed(r, WORD_LAPSED_TITLE, WORD_LAPSED_TEXT, answer);
	else if (r->method == METHOD_POST)
		open_link(site, r, &link, answer);
	else
		show_open(r, answer);
}

static void
answer_session(struct site *site, const struct request *r,
    struct answer *answer)
{
	const char *action = r->form.action;
	struct subject subject;

	if (r->method != METHOD_POST)
		page_add(answer, r, 404, PAGE_UNKNOWN, NULL);
	else if (!sessions_find(site->sessions, span_str(r->form.key),
	    clock_now_ms(), &subject))
		show_lapsed(r, WORD_DATA_OVER_TITLE, WORD_DATA_OVER_TEXT,
		    answer);
	else if (strcmp(action, ACTION_JSON) == 0 ||
	    strcmp(action, ACTION_CSV) == 0)
		download(site, r, &subject, answer);
	else if (strcmp(action, ACTION_ERASE) == 0)
		show_erase(r, answer);
	else if (strcmp(action, ACTION_ERASE_NOW) == 0)
		erase(site, r, &subject, answer);
	else
		change(site, r, &subject, answer);
}

void
mydata_answer(struct site *site, const struct request *r, struct span rest,
    struct answer *answer)
{
	if (rest.len == 0 && r->settings->link_key == NULL)
		page_add(answer, r, 404, PAGE_UNKNOWN, NULL);
	else if (rest.len == 0 && r->method == METHOD_POST)
		take_ask(site, r, answer);
	else if (rest.len == 0)
		show_ask(r, 200, answer);
	else if (span_is(rest, SPAN("/session")))
		answer_session(site, r, answer);
	else
		answer_link(site, r, span_from(rest, 1), answer);
}
