/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The words of the pages and mails, a file TAG.lang for each language, which an
 * administrator can add: "key = text" a line, '#' for comments, UTF-8.  Pure
 * but for words_load(); what is loaded is immutable and may be shared.
 */
#ifndef WEBD_WORDS_H
#define WEBD_WORDS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/fail.h"
#include "base/span.h"
#include "base/template.h"

#define WORDS_TAG_MAX	35		/* RFC 5646 section 4.4.1 */
#define WORDS_FILE_MAX	((size_t)64 * 1024)
#define WORDS_LANGUAGES_MAX	100

/* In the order of en.lang, which tells what each is for. */
enum word {
	WORD_LANGUAGE, WORD_NEWSLETTER, WORD_ASK_TITLE, WORD_ASK_TEXT,
	WORD_ASK_BUTTON, WORD_ALL_BUTTON, WORD_DONE_TITLE, WORD_DONE_TEXT,
	WORD_ALL_TITLE, WORD_ALL_TEXT, WORD_SEVERAL_TITLE, WORD_SEVERAL_TEXT,
	WORD_UNKNOWN_TITLE, WORD_UNKNOWN_TEXT, WORD_LATER_TITLE,
	WORD_LATER_TEXT, WORD_RESPONSIBLE, WORD_AGAIN_TEXT, WORD_AGAIN_LINK,
	WORD_DATA_LINK, WORD_SUBSCRIBE_TITLE, WORD_SUBSCRIBE_TEXT,
	WORD_SUBSCRIBE_CONFIRM_TEXT, WORD_ADDRESS_LABEL, WORD_PURPOSE_LABEL,
	WORD_NOTICE_LABEL, WORD_AGREE_LABEL, WORD_LEAVE_TEXT,
	WORD_SUBSCRIBE_BUTTON, WORD_ADDRESS_WRONG, WORD_AGREE_MISSING,
	WORD_SENT_TITLE, WORD_SENT_TEXT, WORD_SUBSCRIBED_TITLE,
	WORD_SUBSCRIBED_TEXT, WORD_SIGNED_TITLE, WORD_SIGNED_TEXT,
	WORD_CONFIRM_TITLE, WORD_CONFIRM_TEXT,
	WORD_CONFIRM_BUTTON, WORD_LAPSED_TITLE, WORD_LAPSED_TEXT,
	WORD_OFTEN_TITLE, WORD_OFTEN_TEXT, WORD_DATA_TITLE,
	WORD_DATA_ASK_TEXT, WORD_DATA_ASK_BUTTON, WORD_DATA_SENT_TEXT,
	WORD_DATA_OPEN_TEXT, WORD_DATA_OPEN_BUTTON, WORD_DATA_OVER_TITLE,
	WORD_DATA_OVER_TEXT, WORD_DATA_CHANGED, WORD_LISTS_TITLE,
	WORD_STATE_GRANTED, WORD_STATE_NO_CONSENT, WORD_STATE_PENDING,
	WORD_STATE_WITHDRAWN, WORD_STATE_EXPIRED, WORD_STATE_OBJECTED,
	WORD_STATE_ERASED, WORD_STATE_RESTRICTED, WORD_STATE_UNPROVEN,
	WORD_SINCE_LABEL, WORD_UNTIL_LABEL, WORD_SOURCE_LABEL,
	WORD_METHOD_LABEL, WORD_BASIS_LABEL, WORD_WORDING_LABEL,
	WORD_LIST_ON_BUTTON, WORD_LIST_OFF_BUTTON, WORD_MARKETING_TITLE,
	WORD_MARKETING_TEXT, WORD_MARKETING_BUTTON, WORD_MARKETING_OBJECTED,
	WORD_PROFILING_TITLE, WORD_PROFILING_TEXT, WORD_PROFILING_OFF_BUTTON,
	WORD_PROFILING_ON_BUTTON, WORD_PROFILING_OBJECTED, WORD_TAKE_TITLE,
	WORD_TAKE_TEXT, WORD_TAKE_JSON_BUTTON, WORD_TAKE_CSV_BUTTON,
	WORD_ERASE_TITLE, WORD_ERASE_TEXT, WORD_ERASE_BUTTON,
	WORD_ERASE_ASK_TITLE, WORD_ERASE_ASK_TEXT, WORD_ERASE_CONFIRM_BUTTON,
	WORD_ERASE_BACK_BUTTON, WORD_ERASE_DONE_TITLE, WORD_ERASE_DONE_TEXT,
	WORD_WHO_TITLE, WORD_CONTROLLER_LABEL, WORD_CONTACT_LABEL,
	WORD_OFFICER_LABEL, WORD_RECIPIENTS_LABEL, WORD_TRANSFERS_LABEL,
	WORD_RETENTION_LABEL, WORD_RETENTION_DECISIONS, WORD_RETENTION_PROOF,
	WORD_RETENTION_IP, WORD_RETENTION_PENDING, WORD_RETENTION_REQUESTS,
	WORD_RETENTION_SUPPRESSION, WORD_AUTHORITY_LABEL, WORD_RIGHTS_TEXT,
	WORD_BASIS_CONSENT, WORD_BASIS_EXPLICIT_CONSENT,
	WORD_BASIS_SOFT_OPT_IN, WORD_BASIS_CHARITY_SOFT_OPT_IN,
	WORD_BASIS_CASL_IMPLIED, WORD_BASIS_LEGITIMATE_INTEREST, WORD_MONTHS,
	WORD_DAYS, WORD_MAIL_CONFIRM_SUBJECT, WORD_MAIL_CONFIRM_TEXT,
	WORD_MAIL_CONFIRM_LINK, WORD_MAIL_CONFIRM_IGNORE,
	WORD_MAIL_DATA_SUBJECT, WORD_MAIL_DATA_TEXT, WORD_MAIL_DATA_IGNORE
};
#define WORDS	123

struct words {
	char	tag[WORDS_TAG_MAX + 1];
	char	*text[WORDS];		/* owned; never NULL */
	const char *missing;	/* a key that is English; NULL */
};

struct languages {
	struct words	*all;		/* English, which is built in, first */
	size_t		 count;
};

/* Reads the content of a file.  No key may be there twice.  One that is missing
 * is taken from `instead' and noted, for a file of an older version must not
 * keep opt-outs from being answered; with NULL it is an error.  Returns 0, or -1
 * with FAIL_SETUP that names the line or the key, and nothing to free. */
int	words_parse(struct span text, const struct words *instead,
	    struct words *out, struct fail *fail)
	    __attribute__((warn_unused_result));
void	words_fini(struct words *words);

/*
 * Reads the content of a file of a list, which has some words of its own: only
 * those that may differ (no button, and nothing that the law wants said), and
 * with the places filled in: "list", and "controller", whose value is empty
 * where it is not known.  The others are those of `instead'.  As above.
 */
#define WORDS_PLACES	2
int	words_parse_own(struct span text, const struct words *instead,
	    const struct template_place places[WORDS_PLACES],
	    struct words *out, struct fail *fail)
	    __attribute__((warn_unused_result));

/* Hands over the content of each file TAG.lang of a directory.  Returns 0, or
 * -1 with FAIL_SETUP, which names the file when take() returned -1. */
typedef int words_take(void *context, struct span tag, struct span text,
	    struct fail *fail);
int	words_read_directory(const char *directory, bool may_be_missing,
	    words_take *take, void *context, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Reads all files TAG.lang of a directory; one that does not exist has none.
 * Returns 0, or -1 with FAIL_SETUP. */
int	words_load(const char *directory, struct languages *out,
	    struct fail *fail) __attribute__((warn_unused_result));
void	words_free(struct languages *languages);

/*
 * The language for the value of Accept-Language (RFC 9110 section 12.5.4), NULL
 * or hostile for all we know: of what is wanted most, the first that we have,
 * by lookup (RFC 4647 section 3.4: de-CH finds de); otherwise English.
 */
const struct words *words_choose(const struct languages *languages,
	    const char *accept_language);

#endif
