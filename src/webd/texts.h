/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The words of pages and mails in all languages, and those that a list has of
 * its own: what a list lacks in a language is that language's word for all.
 * Immutable; users count references; may be shared by all threads.
 */
#ifndef WEBD_TEXTS_H
#define WEBD_TEXTS_H

#include "settings/settings.h"
#include "webd/words.h"

struct texts;

/* Reads web.languages and the `texts' of each list.  Returns 0 with *out owned
 * by the caller (one reference), or -1 with FAIL_SETUP that names file and
 * line. */
int	texts_load(const struct settings *settings, struct texts **out,
	    struct fail *fail) __attribute__((warn_unused_result));
struct texts *texts_get(struct texts *texts);
void	texts_put(struct texts **texts);

/* Borrowed. */
const struct languages *texts_languages(const struct texts *texts);
/* The words of a list in the language of `words', which are of these texts;
 * list may be NULL. */
const struct words *texts_of_list(const struct texts *texts,
	    const struct words *words, const struct list *list);

#endif
