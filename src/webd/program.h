/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Programs that sign people up: who they are (a key each, RFC 6750), what they
 * send, and answers in JSON.  program_parse() is pure; the others read files.
 * Thread-safe.
 */
#ifndef WEBD_PROGRAM_H
#define WEBD_PROGRAM_H

#include "webd/exchange.h"
#include "webd/wording.h"

struct program_wish {
	char	address[ADDRESS_PATH_MAX + 1];
	char	list[LIST_NAME_MAX + 1];
	struct evidence evidence;
};

/* Is the request's key one of web.api_keys?  The name behind "api " goes to
 * actor.  Otherwise false, with the answer. */
bool	program_is_known(const struct request *request, char *actor,
	    size_t room, struct answer *answer);
/*
 * Reads the body: "address" and "list", and whatever evidence there is:
 * "source", "notice", "language", "method", "guardian", "ip", "digest",
 * "jurisdiction", "purpose".  Unknown members are refused.  Returns 0, or -1
 * with FAIL_INPUT.
 */
int	program_parse(struct span text, struct program_wish *out,
	    struct fail *fail) __attribute__((warn_unused_result));
/* The same, false with the answer. */
bool	program_read(const struct request *request, struct program_wish *out,
	    struct answer *answer);
/* The language of the mail: that of the evidence, or else the request's. */
const struct words *program_words(const struct languages *languages,
	    const struct program_wish *wish, const struct words *otherwise);
/* The words that the program says it has shown, completed where they are
 * stored.  Returns 0, or -1 with FAIL_INPUT (the list wants others) or
 * FAIL_SETUP. */
int	program_wording(const struct settings *settings,
	    const struct list *list, struct program_wish *wish,
	    struct wording *out, struct fail *fail)
	    __attribute__((warn_unused_result));

/* json is a whole object. */
void	program_answer(struct answer *answer, unsigned status,
	    const char *json);
void	program_refuse(struct answer *answer, unsigned status,
	    const char *why);

#endif
