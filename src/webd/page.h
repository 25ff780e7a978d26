/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * HTML: pages without script and without anything from elsewhere.  Pieces first,
 * then the pages behind an unsubscribe link, which say no word about the person,
 * for newsletters get forwarded.  Pure; thread-safe.
 */
#ifndef WEBD_PAGE_H
#define WEBD_PAGE_H

#include "webd/exchange.h"

/* -- pieces -- */

/* The page up to its first heading, and from its end on: who is responsible. */
void	page_begin(struct answer *answer, const struct request *r,
	    unsigned status, enum word title);
void	page_end(struct answer *answer, const struct request *r);

/* Escaped for HTML; bytes that are not UTF-8 or control characters become
 * U+FFFD. */
void	page_text(struct buf *out, const char *text);
void	page_word(struct buf *out, const struct request *r, enum word word);
void	page_paragraph(struct buf *out, const struct request *r,
	    enum word word);
void	page_heading(struct buf *out, const struct request *r,
	    enum word word);
/* "Label: text", the text in its own direction. */
void	page_labelled(struct buf *out, const struct request *r,
	    enum word label, const char *text);
/* A row of a <dl>; none where text is NULL or empty. */
void	page_row(struct buf *out, const struct request *r, enum word label,
	    const char *text);
/* A time to the minute, UTC. */
void	page_time(struct buf *out, int64_t ms);
/* A link below web.url to path, and behind it name, which needs no escape
 * ("" for none).  Nothing where there is no web.url. */
void	page_link(struct buf *out, const struct request *r, const char *path,
	    const char *name, enum word word);
/* The start of a form that goes to that place, or back to where the page came
 * from (NULL).  </form> is the caller's. */
void	page_form(struct buf *out, const struct request *r, const char *path);
void	page_hidden(struct buf *out, const char *name, const char *value);
/* A button that sends `action'. */
void	page_button(struct buf *out, const struct request *r, enum word word,
	    const char *action, bool is_second);
/* One of several that say the same: who can't see what it stands below hears
 * what it is about as well. */
void	page_button_about(struct buf *out, const struct request *r,
	    enum word word, const char *about, const char *action,
	    bool is_second);
/* What was wrong with what was typed; the field refers to it by PAGE_MISTAKE,
 * attributes for it. */
#define PAGE_MISTAKE	" aria-invalid=\"true\" aria-describedby=\"mistake\""
void	page_mistake(struct buf *out, const struct request *r,
	    enum word word);
/* The field for an e-mail address. */
void	page_address_field(struct buf *out, const struct request *r,
	    bool is_wrong);
/* Words of several lines, as they are; and behind a summary, which is about
 * something as a button may be (NULL: it is the only one). */
void	page_words(struct buf *out, struct span text);
void	page_details(struct buf *out, const struct request *r,
	    enum word summary, const char *about, struct span text);
/* Who is responsible, and what people can ask for (GDPR Art. 13). */
void	page_who(struct buf *out, const struct request *r);

/* A page that says one thing. */
void	page_say(struct answer *answer, const struct request *r,
	    unsigned status, enum word title, enum word text);

/* -- behind an unsubscribe link -- */

/* What the buttons send as `action'. */
#define PAGE_ACTION_LIST	"confirm-unsubscribe"
#define PAGE_ACTION_ALL		"stop-everything"

enum page {
	PAGE_ASK,		/* before: one button, and one for all */
	PAGE_DONE,		/* out of the list */
	PAGE_DONE_ALL,		/* out of everything */
	PAGE_NOT_PERSONAL,	/* the link names no person */
	PAGE_UNKNOWN,		/* no such link, whatever is wrong with it */
	PAGE_LATER		/* could not be recorded: try again */
};

/* list may be NULL (a list that is no longer configured). */
void	page_add(struct answer *answer, const struct request *r,
	    unsigned status, enum page page, const struct list *list);

/* The Content-Security-Policy that fits these pages, with the digest of their
 * style, up to the sites that may frame them: `frame-ancestors' is open. */
void	page_add_policy(struct buf *out);

#endif
