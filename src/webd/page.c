/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/page.h"

#include <string.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "base/date.h"
#include "base/utf8.h"
#include "webd/target.h"

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--paper:#fff;"
    "--panel:#f6f8fa;--line:#767f89;--do:#0b57d0;--on-do:#fff}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa4af;"
    "--paper:#0d1117;--panel:#161b22;--line:#808a95;--do:#a8c7fa;"
    "--on-do:#062e6f}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--paper);color:var(--ink);"
    "font:1.0625rem/1.55 system-ui,sans-serif}"
    "main{max-width:34rem;margin:0 auto;padding:2rem 1.25rem}"
    "h1{font-size:1.6rem;line-height:1.25;margin:0 0 1rem}"
    "h2{font-size:1.25rem;line-height:1.3;margin:2.5rem 0 .75rem}"
    "h3{font-size:1.0625rem;margin:0 0 .25rem}"
    "p{margin:0 0 1rem}bdi,dd,pre{overflow-wrap:anywhere}"
    "form{margin:1.5rem 0}section form{margin:1rem 0 0}"
    "button{display:block;width:100%;margin:0 0 .75rem;padding:.85rem 1rem;"
    "min-height:3rem;font:inherit;font-weight:600;border-radius:.5rem;"
    "border:2px solid var(--do);background:var(--do);color:var(--on-do);"
    "cursor:pointer}"
    "button.second{background:transparent;color:var(--ink);"
    "border-color:var(--line);font-weight:400}"
    "label{display:block;font-weight:600;margin:0 0 .35rem}"
    "label.box{font-weight:400;margin:0 0 1rem;padding:.35rem 0}"
    "label.box input{width:1.5rem;height:1.5rem;margin:0 .5rem 0 0;"
    "vertical-align:middle}"
    "input[type=email]{display:block;width:100%;margin:0 0 1rem;"
    "padding:.7rem .8rem;min-height:3rem;font:inherit;color:var(--ink);"
    "background:var(--paper);border:2px solid var(--line);"
    "border-radius:.5rem}"
    "section{margin:0 0 1rem;padding:1rem;background:var(--panel);"
    "border:1px solid var(--line);border-radius:.5rem}"
    "section button:last-child{margin-bottom:0}"
    "dl{margin:.5rem 0 1rem}dt{color:var(--soft);font-size:.9375rem}"
    "dd{margin:0 0 .5rem}"
    "summary{cursor:pointer;padding:.35rem 0}"
    "pre{white-space:pre-wrap;font:inherit;margin:.5rem 0;padding:0 0 0 1rem;"
    "border-left:3px solid var(--line)}"
    ".say{padding:.75rem 1rem;border-left:4px solid var(--do);"
    "background:var(--panel)}"
    "button:focus-visible,a:focus-visible,input:focus-visible,"
    "summary:focus-visible{outline:3px solid var(--ink);outline-offset:3px}"
    "a{color:inherit;display:inline-block;padding:.2rem 0}"
    "footer{margin-top:2.5rem;padding-top:1rem;"
    "border-top:1px solid var(--line);color:var(--soft);font-size:.9375rem}"
    "@media print{button{border:1px solid #000}}";

static const struct {
	enum word title, text;
} parts[] = {
	[PAGE_ASK] = { WORD_ASK_TITLE, WORD_ASK_TEXT },
	[PAGE_DONE] = { WORD_DONE_TITLE, WORD_DONE_TEXT },
	[PAGE_DONE_ALL] = { WORD_ALL_TITLE, WORD_ALL_TEXT },
	[PAGE_NOT_PERSONAL] = { WORD_SEVERAL_TITLE, WORD_SEVERAL_TEXT },
	[PAGE_UNKNOWN] = { WORD_UNKNOWN_TITLE, WORD_UNKNOWN_TEXT },
	[PAGE_LATER] = { WORD_LATER_TITLE, WORD_LATER_TEXT },
};

/* -- pieces -- */

static void
add_escaped(struct buf *out, unsigned char c)
{
	switch (c) {
	case '&':
		buf_add_str(out, "&amp;");
		break;
	case '<':
		buf_add_str(out, "&lt;");
		break;
	case '>':
		buf_add_str(out, "&gt;");
		break;
	case '"':
		buf_add_str(out, "&quot;");
		break;
	case '\'':
		buf_add_str(out, "&#39;");
		break;
	default:
		buf_add_char(out, (char)c);
	}
}

static void
add_text(struct buf *out, struct span text)
{
	while (text.len > 0) {
		size_t len = utf8_length(text);
		unsigned char c = text.p[0];

		if (len == 0 || (c < 0x20 && c != '\n' && c != '\t') ||
		    c == 0x7f)
			buf_add_str(out, "\xef\xbf\xbd");
		else if (len == 1)
			add_escaped(out, c);
		else
			buf_add_span(out, span_head(text, len));
		text = span_from(text, len == 0 ? 1 : len);
	}
}

void
page_text(struct buf *out, const char *text)
{
	add_text(out, span_str(text));
}

void
page_word(struct buf *out, const struct request *r, enum word word)
{
	page_text(out, r->words->text[word]);
}

void
page_paragraph(struct buf *out, const struct request *r, enum word word)
{
	buf_add_str(out, "<p>");
	page_word(out, r, word);
	buf_add_str(out, "</p>\n");
}

void
page_heading(struct buf *out, const struct request *r, enum word word)
{
	buf_add_str(out, "<h2>");
	page_word(out, r, word);
	buf_add_str(out, "</h2>\n");
}

void
page_labelled(struct buf *out, const struct request *r, enum word label,
    const char *text)
{
	buf_add_str(out, "<p>");
	page_word(out, r, label);
	buf_add_str(out, ": <strong><bdi>");
	page_text(out, text);
	buf_add_str(out, "</bdi></strong></p>\n");
}

void
page_row(struct buf *out, const struct request *r, enum word label,
    const char *text)
{
	if (text == NULL || text[0] == '\0')
		return;
	buf_add_str(out, "<dt>");
	page_word(out, r, label);
	buf_add_str(out, "</dt><dd><bdi>");
	page_text(out, text);
	buf_add_str(out, "</bdi></dd>\n");
}

/* "2026-01-05 09:00 UTC" */
void
page_time(struct buf *out, int64_t ms)
{
	struct buf time = BUF_INIT(64);

	date_format(&time, ms);
	buf_addf(out, "<time datetime=\"%s\">%.10s %.5s UTC</time>",
	    buf_get(&time), buf_get(&time), buf_get(&time) + 11);
	buf_fini(&time);
}

static void
add_place(struct buf *out, const struct request *r, const char *path)
{
	struct span prefix = target_prefix(r->settings->web.url);

	add_text(out, prefix);
	page_text(out, path);
}

void
page_link(struct buf *out, const struct request *r, const char *path,
    const char *name, enum word word)
{
	if (r->settings->web.url == NULL)
		return;
	buf_add_str(out, "<p><a href=\"");
	add_place(out, r, path);
	buf_addf(out, "%s\">", name);
	page_word(out, r, word);
	buf_add_str(out, "</a></p>\n");
}

void
page_form(struct buf *out, const struct request *r, const char *path)
{
	buf_add_str(out, "<form method=\"post\"");
	if (path != NULL) {
		buf_add_str(out, " action=\"");
		add_place(out, r, path);
		buf_add_char(out, '"');
	}
	buf_add_str(out, ">\n");
}

void
page_hidden(struct buf *out, const char *name, const char *value)
{
	buf_addf(out, "<input type=\"hidden\" name=\"%s\" value=\"", name);
	page_text(out, value);
	buf_add_str(out, "\">\n");
}

/* The name that is heard begins with the one that is seen (WCAG 2.5.3). */
static void
add_heard_name(struct buf *out, const struct request *r, enum word word,
    const char *about)
{
	if (about == NULL)
		return;
	buf_add_str(out, " aria-label=\"");
	page_word(out, r, word);
	buf_add_str(out, ": ");
	page_text(out, about);
	buf_add_char(out, '"');
}

void
page_button_about(struct buf *out, const struct request *r, enum word word,
    const char *about, const char *action, bool is_second)
{
	buf_addf(out, "<button%s name=\"action\" value=\"%s\"",
	    is_second ? " class=\"second\"" : "", action);
	add_heard_name(out, r, word, about);
	buf_add_char(out, '>');
	page_word(out, r, word);
	buf_add_str(out, "</button>\n");
}

void
page_button(struct buf *out, const struct request *r, enum word word,
    const char *action, bool is_second)
{
	page_button_about(out, r, word, NULL, action, is_second);
}

void
page_mistake(struct buf *out, const struct request *r, enum word word)
{
	buf_add_str(out, "<p class=\"say\" role=\"alert\" id=\"mistake\">");
	page_word(out, r, word);
	buf_add_str(out, "</p>\n");
}

void
page_address_field(struct buf *out, const struct request *r, bool is_wrong)
{
	buf_add_str(out, "<label for=\"address\">");
	page_word(out, r, WORD_ADDRESS_LABEL);
	buf_add_str(out, "</label>\n<input type=\"email\" id=\"address\" "
	    "name=\"address\" autocomplete=\"email\" required "
	    "maxlength=\"320\" value=\"");
	page_text(out, r->form.address);
	buf_addf(out, "\"%s>\n", is_wrong ? PAGE_MISTAKE : "");
}

void
page_words(struct buf *out, struct span text)
{
	buf_add_str(out, "<pre>");
	add_text(out, span_trim(text));
	buf_add_str(out, "</pre>\n");
}

void
page_details(struct buf *out, const struct request *r, enum word summary,
    const char *about, struct span text)
{
	buf_add_str(out, "<details><summary");
	add_heard_name(out, r, summary, about);
	buf_add_char(out, '>');
	page_word(out, r, summary);
	buf_add_str(out, "</summary>");
	page_words(out, text);
	buf_add_str(out, "</details>\n");
}

/* -- who is responsible -- */

static void
add_duration(struct buf *out, const struct request *r,
    const struct duration *length)
{
	if (length->months != 0)
		buf_addf(out, "%d %s", (int)length->months,
		    r->words->text[WORD_MONTHS]);
	else
		buf_addf(out, "%lld %s", (long long)(length->ms / 86400000),
		    r->words->text[WORD_DAYS]);
}

static void
add_kept(struct buf *out, const struct request *r, enum word what,
    const struct duration *length)
{
	struct buf text = BUF_INIT(4096);

	buf_addf(&text, "%s: ", r->words->text[what]);
	add_duration(&text, r, length);
	buf_add_str(out, "<dd><bdi>");
	page_text(out, buf_get(&text));
	buf_add_str(out, "</bdi></dd>\n");
	buf_fini(&text);
}

static void
add_retention(struct buf *out, const struct request *r)
{
	const struct settings *s = r->settings;

	buf_add_str(out, "<dt>");
	page_word(out, r, WORD_RETENTION_LABEL);
	buf_add_str(out, "</dt>\n");
	add_kept(out, r, WORD_RETENTION_DECISIONS, &s->retention.decisions);
	add_kept(out, r, WORD_RETENTION_PROOF, &s->retention.proof);
	if (s->policy.evidence_ip != EVIDENCE_IP_OFF)
		add_kept(out, r, WORD_RETENTION_IP, &s->retention.ip);
	add_kept(out, r, WORD_RETENTION_PENDING, &s->retention.pending);
	add_kept(out, r, WORD_RETENTION_REQUESTS, &s->retention.requests);
	buf_add_str(out, "<dd><bdi>");
	page_word(out, r, WORD_RETENTION_SUPPRESSION);
	buf_add_str(out, "</bdi></dd>\n");
}

void
page_who(struct buf *out, const struct request *r)
{
	const struct settings *s = r->settings;
	struct buf name = BUF_INIT(4096);

	page_heading(out, r, WORD_WHO_TITLE);
	buf_add_str(out, "<dl>\n");
	buf_addf(&name, "%s%s%s", s->controller.name != NULL ?
	    s->controller.name : "", s->controller.address != NULL ? ", " :
	    "", s->controller.address != NULL ? s->controller.address : "");
	page_row(out, r, WORD_CONTROLLER_LABEL, buf_get(&name));
	page_row(out, r, WORD_CONTACT_LABEL, s->controller.email);
	page_row(out, r, WORD_OFFICER_LABEL, s->controller.dpo);
	page_row(out, r, WORD_RECIPIENTS_LABEL, s->controller.recipients);
	page_row(out, r, WORD_TRANSFERS_LABEL, s->controller.transfers);
	add_retention(out, r);
	page_row(out, r, WORD_AUTHORITY_LABEL, s->controller.authority);
	buf_add_str(out, "</dl>\n");
	page_paragraph(out, r, WORD_RIGHTS_TEXT);
	buf_fini(&name);
}

static void
add_footer(struct buf *out, const struct request *r)
{
	const char *name = r->settings->controller.name;
	const char *email = r->settings->controller.email;

	if (name == NULL && email == NULL)
		return;
	buf_add_str(out, "<footer>");
	page_word(out, r, WORD_RESPONSIBLE);
	buf_add_str(out, ": ");
	if (name != NULL) {
		buf_add_str(out, "<bdi>");
		page_text(out, name);
		buf_add_str(out, email != NULL ? "</bdi>, " : "</bdi>");
	}
	if (email != NULL) {
		buf_add_str(out, "<a href=\"mailto:");
		page_text(out, email);
		buf_add_str(out, "\">");
		page_text(out, email);
		buf_add_str(out, "</a>");
	}
	buf_add_str(out, "</footer>\n");
}

/* -- pages -- */

void
page_begin(struct answer *answer, const struct request *r, unsigned status,
    enum word title)
{
	struct buf *out = &answer->body;

	answer->status = status;
	answer->has_language = true;
	buf_addf(out, "<!DOCTYPE html>\n<html lang=\"%s\"><head><meta ",
	    r->words->tag);
	buf_add_str(out, "charset=\"utf-8\">\n<meta name=\"viewport\" content=\""
	    "width=device-width, initial-scale=1\">\n<title>");
	page_word(out, r, title);
	buf_add_str(out, "</title>\n<style>");
	buf_add_str(out, style);
	buf_add_str(out, "</style></head>\n<body><main>\n<h1>");
	page_word(out, r, title);
	buf_add_str(out, "</h1>\n");
}

void
page_end(struct answer *answer, const struct request *r)
{
	add_footer(&answer->body, r);
	buf_add_str(&answer->body, "</main></body></html>\n");
}

void
page_say(struct answer *answer, const struct request *r, unsigned status,
    enum word title, enum word text)
{
	page_begin(answer, r, status, title);
	page_paragraph(&answer->body, r, text);
	page_end(answer, r);
}

/* -- behind an unsubscribe link -- */

/* The form goes where the page came from: no address is in it. */
static void
add_opt_out_form(struct buf *out, const struct request *r, enum page page)
{
	page_form(out, r, NULL);
	if (page != PAGE_DONE)
		page_button(out, r, WORD_ASK_BUTTON, PAGE_ACTION_LIST, false);
	page_button(out, r, WORD_ALL_BUTTON, PAGE_ACTION_ALL, true);
	buf_add_str(out, "</form>\n");
}

/* The way back is the way in: the link alone must not opt anybody in. */
static void
add_ways_on(struct buf *out, const struct request *r, enum page page,
    const struct list *list)
{
	if (page == PAGE_DONE && list != NULL && list->sign_up &&
	    r->settings->web.url != NULL) {
		page_paragraph(out, r, WORD_AGAIN_TEXT);
		page_link(out, r, "subscribe/", list->id, WORD_AGAIN_LINK);
	}
	if (page != PAGE_UNKNOWN && page != PAGE_LATER)
		page_link(out, r, "data", "", WORD_DATA_LINK);
}

void
page_add(struct answer *answer, const struct request *request,
    unsigned status, enum page page, const struct list *list)
{
	const struct request own = request_for_list(request, list), *r = &own;
	struct buf *out = &answer->body;
	bool has_form = page == PAGE_ASK || page == PAGE_DONE ||
	    page == PAGE_LATER;

	page_begin(answer, r, status, parts[page].title);
	if (list != NULL && has_form)
		page_labelled(out, r, WORD_NEWSLETTER, list->name);
	page_paragraph(out, r, parts[page].text);
	if (has_form)
		add_opt_out_form(out, r, page);
	add_ways_on(out, r, page, list);
	page_end(answer, r);
}

void
page_add_policy(struct buf *out)
{
	const struct span text = span_of(style, sizeof(style) - 1);
	unsigned char digest[CRYPTO_DIGEST_BYTES];

	crypto_sha256(&text, 1, digest);
	buf_add_str(out, "default-src 'none'; style-src 'sha256-");
	/* The digest in the URL's alphabet is as good (CSP 3, 2.3.1). */
	base64url_format(out, digest, sizeof(digest));
	buf_add_str(out, "='; form-action 'self'; base-uri 'none'; "
	    "frame-ancestors ");
}
