/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Signing up, and the second step of a double opt-in.
 *
 * Where a list wants a confirmation, or the person opted out of something
 * before, a mail goes out first, and nothing counts until its link was
 * confirmed: nobody can sign up somebody else, nor lift an opt-out.  The answer
 * does not tell who opted out before.  What was asked for is recorded as a grant
 * that waits, unless the person is subscribed: a stranger must not turn a
 * consent into one that waits.  The link holds all that a confirmation needs, so
 * nothing about a request is kept elsewhere, and one that nobody confirms lapses
 * by itself.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/date.h"
#include "base/log.h"
#include "consent/decision.h"
#include "webd/letter.h"
#include "webd/page.h"
#include "webd/program.h"
#include "webd/site.h"
#include "webd/wording.h"

#define ACTION_SUBSCRIBE	"subscribe"
#define ACTION_CONFIRM		"confirm"

enum outcome {
	OUTCOME_SENT,		/* a mail is on its way */
	OUTCOME_DONE,		/* subscribed */
	OUTCOME_OFTEN,		/* too many mails were asked for */
	OUTCOME_REFUSED,	/* the mail server refuses the address */
	OUTCOME_LATER		/* nothing changed; *fail says why */
};

/* Who wants what, and how it is proven. */
struct wish {
	const struct list *list;
	struct subject	 subject;
	char		 address[ADDRESS_PATH_MAX + 1];	/* without brackets */
	struct evidence	 evidence;
	struct wording	 wording;
	const char	*actor;
	int64_t		 at_ms;
};

/* -- what a list takes -- */

static bool
is_open(const struct request *r, const struct list *list)
{
	return list != NULL && list->sign_up &&
	    r->settings->link_key != NULL && policy_takes_consent(list);
}

/* When the link of a request of that time can't be confirmed any more. */
static int64_t
valid_ms(const struct settings *settings, int64_t now_ms)
{
	return now_ms - date_subtract(now_ms, settings->web.confirm_within);
}

/* -- recording -- */

static bool
has_opted_out(const struct record *record)
{
	return record->withdraw_ms != 0 || record->all_withdraw_ms != 0 ||
	    record->object_ms != 0 || record->erase_ms != 0 ||
	    record->restrict_ms > record->unrestrict_ms;
}

static struct event
grant_of(const struct wish *w)
{
	struct event event = { .kind = policy_grant_kind(w->list, w->at_ms,
	    &w->evidence), .subject = w->subject, .at_ms = w->at_ms,
	    .evidence = w->evidence };

	memcpy(event.list, w->list->id, sizeof(event.list));
	return event;
}

static int
record_grant(struct site *site, const struct wish *w, struct fail *fail)
{
	struct event event = grant_of(w);

	if (event.kind != EVENT_GRANT)
		return fail_set(fail, FAIL_SETUP, "what the sign-up page of "
		    "list \"%s\" records does not suffice for it", w->list->id);
	return recorder_append(site->recorder, &event, 1, w->actor, fail);
}

static int
look_up(struct site *site, const struct subject *subject,
    const struct list *list, struct record *out, struct fail *fail)
{
	struct store *store = recorder_store(site->recorder);

	if (store == NULL)
		return fail_set(fail, FAIL_TEMP, "Redis must not be used");
	/* A Redis that was emptied, or was away, knows of no opt-out. */
	if (recorder_catch_up(site->recorder, fail) == -1)
		return -1;
	return store_lookup(store, subject, list->id, out, fail);
}

/* Adds the mail with the link that confirms it. */
static void
add_letter(struct buf *message, const struct request *r, const struct wish *w)
{
	struct link link = { .purpose = LINK_CONFIRM, .subject = w->subject,
	    .at_ms = w->at_ms };
	struct buf url = BUF_INIT(4096);
	struct letter letter = { .settings = r->settings, .words = r->words,
	    .recipient = w->address, .now_ms = w->at_ms };

	token_list(span_str(w->list->id), link.list);
	wording_detail(&w->wording, link.detail);
	crypto_random(letter.id, sizeof(letter.id));
	buf_addf(&url, "%sconfirm/", r->settings->web.url);
	link_add(&url, r->settings->link_key, &link);
	letter.link = buf_get(&url);
	letter_confirm(message, &letter, w->list, w->at_ms +
	    valid_ms(r->settings, w->at_ms), buf_span(&w->wording.text));
	buf_fini(&url);
}

static bool
may_ask(struct site *site, const struct request *r, const struct wish *w)
{
	struct buf key = BUF_INIT(128);
	bool allowed;

	subject_format(&key, &w->subject);
	buf_addf(&key, " %s", w->list->id);
	allowed = site_may_mail(site, r, site->per_sign_up, buf_span(&key));
	buf_fini(&key);
	return allowed;
}

static enum outcome
ask_to_confirm(struct site *site, const struct request *r,
    const struct wish *w, const struct record *record, struct fail *fail)
{
	bool waits = consent_state(w->list, record, w->at_ms) !=
	    REASON_GRANTED;
	struct buf message = BUF_INIT(LETTER_MAX);
	int rc;

	add_letter(&message, r, w);
	rc = courier_send(r->settings, w->address, buf_span(&message), fail);
	buf_fini(&message);
	if (rc == -1)
		return fail->class == FAIL_INPUT ? OUTCOME_REFUSED :
		    OUTCOME_LATER;
	return waits && record_grant(site, w, fail) == -1 ? OUTCOME_LATER :
	    OUTCOME_SENT;
}

/* Later, for whoever asked must not learn that there was an opt-out. */
static enum outcome
ask_again(struct site *site, const struct request *r, const struct wish *w,
    struct fail *fail)
{
	struct buf message = BUF_INIT(LETTER_MAX);
	bool taken;

	add_letter(&message, r, w);
	taken = courier_post(site->courier, r->settings, w->address,
	    buf_span(&message));
	buf_fini(&message);
	if (taken)
		return OUTCOME_SENT;
	(void)fail_set(fail, FAIL_TEMP, "too many mails wait");
	return OUTCOME_LATER;
}

static enum outcome
sign_up(struct site *site, const struct request *r, const struct wish *w,
    struct fail *fail)
{
	struct record record;

	if (look_up(site, &w->subject, w->list, &record, fail) == -1)
		return OUTCOME_LATER;
	if (!may_ask(site, r, w))
		return OUTCOME_OFTEN;
	if (w->list->double_opt_in)
		return ask_to_confirm(site, r, w, &record, fail);
	if (has_opted_out(&record))
		return ask_again(site, r, w, fail);
	return record_grant(site, w, fail) == -1 ? OUTCOME_LATER :
	    OUTCOME_DONE;
}

/* Without whom: addresses are in no log. */
static void
log_outcome(const struct wish *w, enum outcome outcome,
    const struct fail *fail)
{
	static const char *const words[] = {
		[OUTCOME_SENT] = "a link to confirm was mailed",
		[OUTCOME_DONE] = "subscribed",
		[OUTCOME_OFTEN] = "refused, too many mails were asked for",
		[OUTCOME_REFUSED] = "the mail server refused the address",
		[OUTCOME_LATER] = "put off",
	};

	if (outcome == OUTCOME_LATER)
		log_error("%s: list=%s, %s: %s", w->actor, w->list->id,
		    words[outcome], fail->text);
	else
		log_info("%s: list=%s, %s", w->actor, w->list->id,
		    words[outcome]);
}

/* -- the page -- */

static void
add_form(struct buf *out, const struct request *r, const struct list *list,
    const struct wording *wording, bool has_mistake, enum word mistake)
{
	bool is_box = has_mistake && mistake == WORD_AGREE_MISSING;

	page_form(out, r, NULL);
	page_address_field(out, r, has_mistake && !is_box);
	if (wording->notice.digest[0] != '\0')
		page_hidden(out, "notice", wording->notice.digest);
	if (policy_takes_explicit_only(list)) {
		buf_addf(out, "<label class=\"box\"><input "
		    "type=\"checkbox\" name=\"agree\" value=\"yes\" "
		    "required%s>", is_box ? PAGE_MISTAKE : "");
		page_word(out, r, WORD_AGREE_LABEL);
		buf_add_str(out, "</label>\n");
	}
	page_button(out, r, WORD_SUBSCRIBE_BUTTON, ACTION_SUBSCRIBE, false);
	buf_add_str(out, "</form>\n");
}

static void
show_form(const struct request *r, const struct list *list,
    const struct wording *wording, unsigned status, enum word mistake,
    struct answer *answer)
{
	struct buf *out = &answer->body;

	page_begin(answer, r, status, WORD_SUBSCRIBE_TITLE);
	answer->may_be_framed = true;
	if (status != 200)
		page_mistake(out, r, mistake);
	page_labelled(out, r, WORD_NEWSLETTER, list->name);
	if (list->purpose != NULL)
		page_labelled(out, r, WORD_PURPOSE_LABEL, list->purpose);
	if (wording->text.len > 0) {
		page_heading(out, r, WORD_NOTICE_LABEL);
		page_words(out, buf_span(&wording->text));
	}
	page_paragraph(out, r, list->double_opt_in ?
	    WORD_SUBSCRIBE_CONFIRM_TEXT : WORD_SUBSCRIBE_TEXT);
	add_form(out, r, list, wording, status != 200, mistake);
	page_paragraph(out, r, WORD_LEAVE_TEXT);
	page_who(out, r);
	page_end(answer, r);
}

static void
show_outcome(const struct request *r, const struct wish *w,
    enum outcome outcome, bool is_confirmed, struct answer *answer)
{
	static const struct {
		unsigned status;
		enum word title, text;
	} pages[] = {
		[OUTCOME_SENT] = { 200, WORD_SENT_TITLE, WORD_SENT_TEXT },
		[OUTCOME_DONE] = { 200, WORD_SUBSCRIBED_TITLE,
		    WORD_SUBSCRIBED_TEXT },
		[OUTCOME_OFTEN] = { 429, WORD_OFTEN_TITLE, WORD_OFTEN_TEXT },
		[OUTCOME_LATER] = { 503, WORD_LATER_TITLE, WORD_LATER_TEXT },
	};

	/* Whether there was an opt-out is between the person and us. */
	bool is_open_end = !is_confirmed && !w->list->double_opt_in &&
	    (outcome == OUTCOME_SENT || outcome == OUTCOME_DONE);

	if (outcome == OUTCOME_REFUSED) {
		show_form(r, w->list, &w->wording, 400, WORD_ADDRESS_WRONG,
		    answer);
		return;
	}
	page_begin(answer, r, pages[outcome].status, is_open_end ?
	    WORD_SIGNED_TITLE : pages[outcome].title);
	answer->may_be_framed = !is_confirmed;
	page_labelled(&answer->body, r, WORD_NEWSLETTER, w->list->name);
	page_paragraph(&answer->body, r, is_open_end ? WORD_SIGNED_TEXT :
	    pages[outcome].text);
	if (is_open_end || outcome == OUTCOME_DONE)
		page_paragraph(&answer->body, r, WORD_LEAVE_TEXT);
	page_end(answer, r);
}

/* Who is not told, but looked up: whoever types an address. */
static int
read_address(const struct request *r, const char *typed, struct wish *w)
{
	struct span text = address_strip_brackets(span_trim(span_str(typed)));
	struct address address;
	struct fail unused;

	if (text.len >= sizeof(w->address) ||
	    address_parse(text, &address, &unused) == -1)
		return -1;
	subject_of(r->settings->pseudonym_key, &address, &w->subject);
	memcpy(w->address, text.p, text.len);
	w->address[text.len] = '\0';
	return 0;
}

/* Returns 0, or -1 with FAIL_SETUP or FAIL_INPUT. */
static int
prove(const struct request *r, struct wish *w, struct fail *fail)
{
	struct evidence *e = &w->evidence;

	wording_prove(&w->wording, e);
	if (policy_takes_explicit_only(w->list))
		(void)snprintf(e->basis, sizeof(e->basis), "%s",
		    evidence_basis_name(BASIS_EXPLICIT_CONSENT));
	if (e->purpose[0] == '\0' && w->list->purpose != NULL)
		(void)snprintf(e->purpose, sizeof(e->purpose), "%.*s",
		    EVIDENCE_TEXT_MAX, w->list->purpose);
	return evidence_check(e, r->settings->policy.evidence_ip, fail);
}

static void
take_form(struct site *site, const struct request *r, struct wish *w,
    struct answer *answer)
{
	enum outcome outcome;
	struct fail fail;

	if (read_address(r, r->form.address, w) == -1) {
		show_form(r, w->list, &w->wording, 400, WORD_ADDRESS_WRONG,
		    answer);
		return;
	}
	if (policy_takes_explicit_only(w->list) &&
	    strcmp(r->form.agree, "yes") != 0) {
		show_form(r, w->list, &w->wording, 400, WORD_AGREE_MISSING,
		    answer);
		return;
	}
	(void)snprintf(w->evidence.source, sizeof(w->evidence.source),
	    "sign-up page");
	(void)snprintf(w->evidence.method, sizeof(w->evidence.method),
	    "web-form");
	(void)snprintf(w->evidence.language, sizeof(w->evidence.language),
	    "%s", r->words->tag);
	(void)snprintf(w->evidence.ip, sizeof(w->evidence.ip), "%s",
	    r->client);
	outcome = prove(r, w, &fail) == -1 ? OUTCOME_LATER :
	    sign_up(site, r, w, &fail);
	log_outcome(w, outcome, &fail);
	show_outcome(r, w, outcome, false, answer);
}

void
signup_answer(struct site *site, const struct request *request,
    struct span id, struct answer *answer)
{
	const struct list *list = policy_list(&request->settings->policy, id);
	const struct request own = request_for_list(request, list), *r = &own;
	struct wish w = { .list = list, .actor = "sign-up page",
	    .at_ms = clock_now_ms() };
	bool is_post = r->method == METHOD_POST;
	struct fail fail;
	int rc = 0;

	if (!is_open(r, w.list)) {
		page_add(answer, r, 404, PAGE_UNKNOWN, NULL);
		return;
	}
	wording_init(&w.wording);
	/* The words that were shown, though newer ones may be stored since. */
	if (is_post && r->form.notice[0] != '\0')
		rc = wording_shown(r->settings, w.list, r->form.notice,
		    &w.wording, &fail);
	if (rc == 0)
		rc = wording_newest(r->settings, w.list, r->words->tag,
		    &w.wording, &fail);
	if (rc == -1) {
		log_error("the sign-up page of list %s: %s", w.list->id,
		    fail.text);
		page_add(answer, r, 503, PAGE_LATER, NULL);
	} else if (is_post)
		take_form(site, r, &w, answer);
	else
		show_form(r, w.list, &w.wording, 200, 0, answer);
	wording_fini(&w.wording);
}

/* -- the link to confirm -- */

static void
show_lapsed(const struct request *r, const struct list *list,
    struct answer *answer)
{
	page_begin(answer, r, 410, WORD_LAPSED_TITLE);
	page_paragraph(&answer->body, r, WORD_LAPSED_TEXT);
	if (is_open(r, list))
		page_link(&answer->body, r, "subscribe/", list->id,
		    WORD_AGAIN_LINK);
	page_end(answer, r);
}

static void
show_confirm(const struct request *r, const struct list *list,
    struct answer *answer)
{
	struct buf *out = &answer->body;

	page_begin(answer, r, 200, WORD_CONFIRM_TITLE);
	page_labelled(out, r, WORD_NEWSLETTER, list->name);
	page_paragraph(out, r, WORD_CONFIRM_TEXT);
	page_form(out, r, NULL);
	page_button(out, r, WORD_CONFIRM_BUTTON, ACTION_CONFIRM, false);
	buf_add_str(out, "</form>\n");
	page_paragraph(out, r, WORD_LEAVE_TEXT);
	page_end(answer, r);
}

/* Did the person opt out since the link was asked for? */
static bool
is_overtaken(const struct record *record, int64_t at_ms)
{
	return record->withdraw_ms >= at_ms ||
	    record->all_withdraw_ms >= at_ms || record->object_ms >= at_ms ||
	    record->erase_ms >= at_ms ||
	    record->restrict_ms > record->unrestrict_ms;
}

/* What a grant that was not recorded when it was asked for is proven by. */
static int
prove_again(const struct request *r, const struct link *link, struct wish *w,
    struct fail *fail)
{
	(void)snprintf(w->evidence.source, sizeof(w->evidence.source),
	    "sign-up page, confirmed by mail");
	(void)snprintf(w->evidence.method, sizeof(w->evidence.method),
	    "web-form");
	(void)snprintf(w->evidence.language, sizeof(w->evidence.language),
	    "%s", r->words->tag);
	if (wording_of_link(r->settings, w->list, link, &w->wording, fail) ==
	    -1)
		return -1;
	return prove(r, w, fail);
}

/* Returns 1 when it is confirmed, 0 when it is not to be any more, or -1. */
static int
confirm(struct site *site, const struct request *r, const struct link *link,
    struct wish *w, struct fail *fail)
{
	struct event events[2];
	struct record record;
	int64_t now_ms = clock_now_ms();
	size_t n = 0;

	if (look_up(site, &w->subject, w->list, &record, fail) == -1)
		return -1;
	if (is_overtaken(&record, link->at_ms))
		return 0;
	if (record.grant_ms < link->at_ms) {
		if (prove_again(r, link, w, fail) == -1)
			return -1;
		events[n++] = grant_of(w);
		if (events[0].kind != EVENT_GRANT)
			return fail_set(fail, FAIL_SETUP, "list \"%s\" wants "
			    "another notice by now", w->list->id);
	}
	events[n] = (struct event){ .kind = EVENT_CONFIRM,
	    .subject = w->subject,
	    .at_ms = now_ms > link->at_ms ? now_ms : link->at_ms };
	memcpy(events[n].list, w->list->id, sizeof(events[n].list));
	return recorder_append(site->recorder, events, n + 1, w->actor,
	    fail) == -1 ? -1 : 1;
}

static void
take_confirmation(struct site *site, const struct request *r,
    const struct link *link, const struct list *list, struct answer *answer)
{
	struct wish w = { .list = list, .subject = link->subject,
	    .actor = "confirmation link", .at_ms = link->at_ms };
	struct fail fail;
	int rc;

	wording_init(&w.wording);
	rc = confirm(site, r, link, &w, &fail);
	wording_fini(&w.wording);
	if (rc == 0) {
		log_info("confirmation link: list=%s, overtaken by an opt-out",
		    list->id);
		show_lapsed(r, list, answer);
	} else if (rc == -1) {
		log_error("confirmation link: list=%s, put off: %s", list->id,
		    fail.text);
		page_add(answer, r, 503, PAGE_LATER, NULL);
	} else {
		log_info("confirmation link: list=%s, confirmed", list->id);
		show_outcome(r, &w, OUTCOME_DONE, true, answer);
	}
}

void
signup_answer_confirm(struct site *site, const struct request *request,
    struct span text, struct answer *answer)
{
	struct request own = *request, *r = &own;
	int64_t now_ms = clock_now_ms();
	const struct list *list = NULL;
	struct link link;
	int rc = r->settings->link_key == NULL ? -1 :
	    link_check(r->settings->link_key, text, LINK_CONFIRM, now_ms,
	    valid_ms(r->settings, now_ms), &link);

	if (rc != -1)
		list = policy_list_of_token(&r->settings->policy, link.list);
	own = request_for_list(request, list);
	if (rc == -1)
		page_add(answer, r, 404, PAGE_UNKNOWN, NULL);
	else if (rc == 0 || list == NULL)
		show_lapsed(r, list, answer);
	else if (r->method == METHOD_POST)
		take_confirmation(site, r, &link, list, answer);
	else
		show_confirm(r, list, answer);
}

/* -- programs -- */

static void
answer_program(struct answer *answer, enum outcome outcome)
{
	static const struct {
		unsigned status;
		const char *text;
	} answers[] = {
		[OUTCOME_SENT] = { 202, "{\"state\":\"pending\"}" },
		[OUTCOME_DONE] = { 200, "{\"state\":\"granted\"}" },
		[OUTCOME_OFTEN] = { 429, "{\"error\":\"too many mails were "
		    "asked for, for this address\"}" },
		[OUTCOME_REFUSED] = { 400, "{\"error\":\"the mail server "
		    "refuses this address\"}" },
		[OUTCOME_LATER] = { 503, "{\"error\":\"not recorded, try again "
		    "later\"}" },
	};

	program_answer(answer, answers[outcome].status,
	    answers[outcome].text);
}

void
signup_answer_program(struct site *site, const struct request *r,
    struct answer *answer)
{
	struct program_wish asked;
	struct wish w = { .at_ms = clock_now_ms() };
	enum outcome outcome;
	struct fail fail;
	char actor[64];
	struct request in_language = *r;
	int rc;

	if (!program_is_known(r, actor, sizeof(actor), answer) ||
	    !program_read(r, &asked, answer))
		return;
	w.list = policy_list(&r->settings->policy, span_str(asked.list));
	w.actor = actor;
	if (!is_open(r, w.list)) {
		program_refuse(answer, 404, "no list of this name takes "
		    "sign-ups");
		return;
	}
	if (read_address(r, asked.address, &w) == -1) {
		program_refuse(answer, 400, "address: no e-mail address");
		return;
	}
	in_language.is_program = true;
	in_language.words = texts_of_list(r->texts, program_words(
	    texts_languages(r->texts), &asked, r->words), w.list);
	wording_init(&w.wording);
	rc = program_wording(r->settings, w.list, &asked, &w.wording, &fail);
	w.evidence = asked.evidence;
	if (rc == 0 && prove(r, &w, &fail) == -1)
		rc = -1;
	if (rc == -1)
		program_refuse(answer, fail.class == FAIL_INPUT ? 400 : 503,
		    fail.text);
	else {
		outcome = sign_up(site, &in_language, &w, &fail);
		log_outcome(&w, outcome, &fail);
		answer_program(answer, outcome);
	}
	wording_fini(&w.wording);
}
