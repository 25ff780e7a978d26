/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The one table of everything that can stand in the configuration file.  It
 * drives reading, ranges, defaults, unknown keys, the dump and freeing; a test
 * compares it with the sample file and the manual page.  Pure but for
 * memory; thread-safe.
 */
#ifndef SETTINGS_OPTION_H
#define SETTINGS_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/fail.h"

/* Where a key may stand.  Those before SCOPE_LIST are fields of struct
 * settings, then come struct list, struct rule, struct webhook and struct
 * replies. */
enum option_scope {
	SCOPE_TOP,
	SCOPE_REDIS,
	SCOPE_SENTINEL,
	SCOPE_AUDIT,
	SCOPE_RETENTION,
	SCOPE_LIMITS,
	SCOPE_UNSUBSCRIBE,
	SCOPE_WEB,
	SCOPE_MAIL,
	SCOPE_CONTROLLER,
	SCOPE_BULK,
	SCOPE_LIST,
	SCOPE_RULE,
	SCOPE_WEBHOOK,
	SCOPE_REPLIES
};

enum option_kind {
	OPTION_TEXT,		/* char *, owned */
	OPTION_OPTIONAL_TEXT,	/* the same; "" stands for NULL */
	OPTION_TEXTS,		/* char *, owned: elements, blanks between */
	OPTION_NAME,		/* char[size] */
	OPTION_NUMBER,		/* int or uint64_t, times unit */
	OPTION_FLAG,		/* bool */
	OPTION_CHOICE,		/* enum or bool: the index of the word */
	OPTION_DURATION,	/* struct duration, from text */
	OPTION_BASES,		/* unsigned: 1 << enum basis each */
	OPTION_EVENTS,		/* unsigned: 1 << enum event_kind each */
	OPTION_TIME,		/* int64_t Unix milliseconds, from text */
	OPTION_OCTAL,		/* int, from text; -1 when not set */
	OPTION_NETWORK,		/* struct network, from text */
	OPTION_GROUP,		/* { keys of scope `members' } */
	OPTION_LISTS,		/* ( { }, … ): struct list array */
	OPTION_RULES,		/* ( { }, … ): struct rule array */
	OPTION_WEBHOOKS		/* ( { }, … ): struct webhook array */
};

struct option {
	enum option_scope	 scope;
	const char		*name;
	enum option_kind	 kind;
	enum option_scope	 members;	/* GROUP, arrays */
	bool			 required;
	size_t			 offset;	/* GROUP: of its members' base */
	size_t			 size;
	size_t			 extra;	/* offset: element count, or the flag
					   that a network is set */
	const char		*fallback;	/* default as text, or NULL */
	int64_t			 min;	/* number, or bytes of text */
	int64_t			 max;	/* …, or elements */
	uint64_t		 unit;
	const char *const	*words;	/* CHOICE; ends with NULL */
	/* TEXT, NAME: anything beyond length and UTF-8.  TEXTS: of each. */
	int			(*check)(const char *text, struct fail *fail);
	const char		*help;
};

extern const struct option option_table[];
extern const size_t option_count;

/* "redis." and so on; "" for SCOPE_TOP; "rule." for rules. */
const char *option_scope_prefix(enum option_scope scope);
/* The next of a scope after `after' (NULL: the first), or NULL. */
const struct option *option_next(enum option_scope scope,
	    const struct option *after);
const struct option *option_find(enum option_scope scope, const char *name);
/* The name that was most likely meant, or NULL. */
const char *option_closest(enum option_scope scope, const char *typed);

/*
 * Stores a value in its field of *base (struct settings, list, rule, webhook or
 * replies), freeing what was there.  Returns 0, or -1 with FAIL_SETUP, the text
 * saying what is wrong with the value and what would be right.
 */
int	option_set_text(const struct option *option, void *base,
	    const char *text, struct fail *fail)
	    __attribute__((warn_unused_result));
int	option_set_number(const struct option *option, void *base,
	    int64_t value, struct fail *fail)
	    __attribute__((warn_unused_result));

/* Stores the defaults of a scope in zeroed memory. */
void	option_init_scope(enum option_scope scope, void *base);
/* Frees the text of a scope. */
void	option_fini_scope(enum option_scope scope, void *base);

/* Adds the value as the file would have it; false when it is not set or not a
 * single value. */
bool	option_format(struct buf *out, const struct option *option,
	    const void *base);

#endif
