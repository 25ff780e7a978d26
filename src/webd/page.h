/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The pages behind an unsubscribe link: without script, without anything from
 * elsewhere, and without a word about the person, for newsletters get
 * forwarded.  Pure; thread-safe.
 */
#ifndef WEBD_PAGE_H
#define WEBD_PAGE_H

#include "base/buf.h"
#include "settings/settings.h"
#include "webd/words.h"

/* What the buttons of the pages send as `action'. */
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
void	page_add(struct buf *out, enum page page, const struct words *words,
	    const struct settings *settings, const struct list *list);

/* The Content-Security-Policy that fits these pages, with the digest of their
 * style. */
void	page_add_policy(struct buf *out);

#endif
