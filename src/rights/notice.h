/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The exact words that people saw when they consented (GDPR Art. 7(1)): texts
 * that never change, named by their SHA-256, below audit.directory/notices.
 *
 *	DIGEST.txt	the text
 *	index.jsonl	{"id":…,"version":…,"language":…,"digest":…,
 *			"added_at":…,"actor":…} a line
 *
 * Evidence names a notice as "ID VERSION", with its language.
 */
#ifndef RIGHTS_NOTICE_H
#define RIGHTS_NOTICE_H

#include "base/buf.h"
#include "consent/event.h"
#include "settings/settings.h"

#define NOTICE_TEXT_MAX		(64 * 1024)
#define NOTICE_DIGEST_LEN	64

struct notice {
	char	id[65], version[33], language[36];
	char	digest[NOTICE_DIGEST_LEN + 1];
};

/* All that are stored; read once and kept by the caller. */
struct notices {
	struct notice	*all;
	size_t		 count, room;
};
/* No store has none.  Returns 0, or -1 with *fail. */
int	notices_read(const struct settings *settings, struct notices *out,
	    struct fail *fail) __attribute__((warn_unused_result));
void	notices_fini(struct notices *notices);
/* Borrowed; NULL when it is not stored.  The language without case. */
const struct notice *notices_find(const struct notices *notices,
	    struct span id, struct span version, struct span language);

/*
 * Completes evidence whose notice is stored with its digest.  Returns 1, 0 when
 * the notice is not stored (or none is named), or -1 with FAIL_INPUT when the
 * evidence has another digest than the notice.
 */
int	notices_complete(const struct notices *notices,
	    struct evidence *evidence, struct fail *fail)
	    __attribute__((warn_unused_result));

/* Adds the text with this digest, checked against it.  Returns 1, 0 when it is
 * not stored, or -1 with *fail. */
int	notice_text(const struct settings *settings, const char *digest,
	    struct buf *out, struct fail *fail)
	    __attribute__((warn_unused_result));

/* Copies a name of 1 to room-1 letters, digits, dots, hyphens and underscores;
 * returns 0, or -1 for anything else. */
int	notice_copy_name(char *to, size_t room, struct span text)
	    __attribute__((warn_unused_result));

/* Who adds it, and when. */
struct notice_adder {
	const char	*actor;
	int64_t		 now_ms;
};
/* Stores a text under notice's names for ever, and fills its digest.  Returns 1
 * when it is new, 0 when it was stored already, or -1: FAIL_INPUT where the
 * names are taken by another text, or it is no text. */
int	notice_add(const struct settings *settings, struct notice *notice,
	    struct span text, const struct notice_adder *by,
	    struct fail *fail) __attribute__((warn_unused_result));

#endif
