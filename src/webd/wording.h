/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The words that a person is shown before consenting (GDPR Art. 7(1)): the
 * stored notice that the list's `notice' names, or else one whose id is the
 * list's.  Thread-safe; reads files.
 */
#ifndef WEBD_WORDING_H
#define WEBD_WORDING_H

#include "consent/link.h"
#include "rights/notice.h"
#include "settings/settings.h"

struct wording {
	struct notice	 notice;
	struct buf	 text;
};
void	wording_init(struct wording *wording);
void	wording_fini(struct wording *wording);

/*
 * The newest, in the language or else in English or any other.  Returns 1; 0
 * where there is none and the list wants none; or -1 with FAIL_SETUP: the list
 * wants one that is not stored, or it can't be read.
 */
int	wording_newest(const struct settings *settings,
	    const struct list *list, const char *language,
	    struct wording *out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* The one with this digest, if it suffices for the list.  Returns 1, 0 or
 * -1. */
int	wording_shown(const struct settings *settings,
	    const struct list *list, const char *digest, struct wording *out,
	    struct fail *fail) __attribute__((warn_unused_result));
/* The one that a link to confirm speaks of.  Returns 1, 0 or -1. */
int	wording_of_link(const struct settings *settings,
	    const struct list *list, const struct link *link,
	    struct wording *out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* The other way round.  The empty digest gives zeroes. */
void	wording_detail(const struct wording *wording,
	    unsigned char detail[LINK_DETAIL_BYTES]);

/* Writes what was shown into the evidence. */
void	wording_prove(const struct wording *wording,
	    struct evidence *evidence);

#endif
