/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/page.h"

#include "base/codec.h"
#include "base/crypto.h"

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--paper:#fff;"
    "--panel:#f6f8fa;--line:#8c959f;--do:#0b57d0;--on-do:#fff}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa4af;"
    "--paper:#0d1117;--panel:#161b22;--line:#6e7681;--do:#a8c7fa;"
    "--on-do:#062e6f}}"
    "*{box-sizing:border-box}"
    "body{margin:0;background:var(--paper);color:var(--ink);"
    "font:1.0625rem/1.55 system-ui,sans-serif}"
    "main{max-width:34rem;margin:0 auto;padding:2rem 1.25rem}"
    "h1{font-size:1.6rem;line-height:1.25;margin:0 0 1rem}"
    "p{margin:0 0 1rem}bdi{overflow-wrap:anywhere}"
    "form{margin:1.5rem 0}"
    "button{display:block;width:100%;margin:0 0 .75rem;padding:.85rem 1rem;"
    "min-height:3rem;font:inherit;font-weight:600;border-radius:.5rem;"
    "border:2px solid var(--do);background:var(--do);color:var(--on-do);"
    "cursor:pointer}"
    "button.second{background:transparent;color:var(--ink);"
    "border-color:var(--line);font-weight:400}"
    "button:focus-visible,a:focus-visible{outline:3px solid var(--ink);"
    "outline-offset:3px}"
    "a{color:inherit}footer{margin-top:2.5rem;padding-top:1rem;"
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

static void
add_text(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++)
		switch (*text) {
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
		default:
			buf_add_char(out, *text);
		}
}

/* The form goes where the page came from: no address is in it. */
static void
add_form(struct buf *out, enum page page, const struct words *words)
{
	buf_add_str(out, "<form method=\"post\">");
	if (page == PAGE_ASK || page == PAGE_LATER) {
		buf_add_str(out, "<button name=\"action\" value=\""
		    PAGE_ACTION_LIST "\">");
		add_text(out, words->text[WORD_ASK_BUTTON]);
		buf_add_str(out, "</button>");
	}
	buf_add_str(out, "<button class=\"second\" name=\"action\" value=\""
	    PAGE_ACTION_ALL "\">");
	add_text(out, words->text[WORD_ALL_BUTTON]);
	buf_add_str(out, "</button></form>\n");
}

static void
add_footer(struct buf *out, const struct settings *settings,
    const struct words *words)
{
	const char *name = settings->controller.name;
	const char *email = settings->controller.email;

	if (name == NULL && email == NULL)
		return;
	buf_add_str(out, "<footer>");
	add_text(out, words->text[WORD_RESPONSIBLE]);
	buf_add_str(out, ": <bdi>");
	add_text(out, name != NULL ? name : email);
	buf_add_str(out, "</bdi>");
	if (email != NULL) {
		buf_add_str(out, " (<a href=\"mailto:");
		add_text(out, email);
		buf_add_str(out, "\">");
		add_text(out, email);
		buf_add_str(out, "</a>)");
	}
	buf_add_str(out, "</footer>\n");
}

void
page_add(struct buf *out, enum page page, const struct words *words,
    const struct settings *settings, const struct list *list)
{
	buf_addf(out, "<!DOCTYPE html>\n<html lang=\"%s\"><head><meta ",
	    words->tag);
	buf_add_str(out, "charset=\"utf-8\">\n<meta name=\"viewport\" content=\""
	    "width=device-width, initial-scale=1\">\n<title>");
	add_text(out, words->text[parts[page].title]);
	buf_add_str(out, "</title>\n<style>");
	buf_add_str(out, style);
	buf_add_str(out, "</style></head>\n<body><main>\n<h1>");
	add_text(out, words->text[parts[page].title]);
	buf_add_str(out, "</h1>\n");
	if (list != NULL && (page == PAGE_ASK || page == PAGE_DONE ||
	    page == PAGE_LATER)) {
		buf_add_str(out, "<p>");
		add_text(out, words->text[WORD_NEWSLETTER]);
		buf_add_str(out, ": <strong><bdi>");
		add_text(out, list->name);
		buf_add_str(out, "</bdi></strong></p>\n");
	}
	buf_add_str(out, "<p>");
	add_text(out, words->text[parts[page].text]);
	buf_add_str(out, "</p>\n");
	if (page == PAGE_ASK || page == PAGE_DONE || page == PAGE_LATER)
		add_form(out, page, words);
	add_footer(out, settings, words);
	buf_add_str(out, "</main></body></html>\n");
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
	    "frame-ancestors 'none'");
}
