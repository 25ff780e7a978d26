/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/words.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/closest.h"
#include "base/file.h"
#include "base/utf8.h"
#include "base/xalloc.h"

#define TEXT_MAX	1000	/* bytes of one text */
#define SUBJECT_MAX	250	/* … that is one line of a mail */
#define ACCEPT_MAX	1000	/* of a header that is looked at */
#define SUFFIX		".lang"

static const char english[] =
#include "webd/english.inc"
;

static const char *const keys[WORDS] = {
	[WORD_LANGUAGE] = "language",
	[WORD_NEWSLETTER] = "newsletter",
	[WORD_ASK_TITLE] = "ask_title",
	[WORD_ASK_TEXT] = "ask_text",
	[WORD_ASK_BUTTON] = "ask_button",
	[WORD_ALL_BUTTON] = "all_button",
	[WORD_DONE_TITLE] = "done_title",
	[WORD_DONE_TEXT] = "done_text",
	[WORD_ALL_TITLE] = "all_title",
	[WORD_ALL_TEXT] = "all_text",
	[WORD_SEVERAL_TITLE] = "several_title",
	[WORD_SEVERAL_TEXT] = "several_text",
	[WORD_UNKNOWN_TITLE] = "unknown_title",
	[WORD_UNKNOWN_TEXT] = "unknown_text",
	[WORD_LATER_TITLE] = "later_title",
	[WORD_LATER_TEXT] = "later_text",
	[WORD_RESPONSIBLE] = "responsible",
	[WORD_AGAIN_TEXT] = "again_text",
	[WORD_AGAIN_LINK] = "again_link",
	[WORD_DATA_LINK] = "data_link",
	[WORD_SUBSCRIBE_TITLE] = "subscribe_title",
	[WORD_SUBSCRIBE_TEXT] = "subscribe_text",
	[WORD_SUBSCRIBE_CONFIRM_TEXT] = "subscribe_confirm_text",
	[WORD_ADDRESS_LABEL] = "address_label",
	[WORD_PURPOSE_LABEL] = "purpose_label",
	[WORD_NOTICE_LABEL] = "notice_label",
	[WORD_AGREE_LABEL] = "agree_label",
	[WORD_LEAVE_TEXT] = "leave_text",
	[WORD_SUBSCRIBE_BUTTON] = "subscribe_button",
	[WORD_ADDRESS_WRONG] = "address_wrong",
	[WORD_AGREE_MISSING] = "agree_missing",
	[WORD_SENT_TITLE] = "sent_title",
	[WORD_SENT_TEXT] = "sent_text",
	[WORD_SUBSCRIBED_TITLE] = "subscribed_title",
	[WORD_SUBSCRIBED_TEXT] = "subscribed_text",
	[WORD_SIGNED_TITLE] = "signed_title",
	[WORD_SIGNED_TEXT] = "signed_text",
	[WORD_CONFIRM_TITLE] = "confirm_title",
	[WORD_CONFIRM_TEXT] = "confirm_text",
	[WORD_CONFIRM_BUTTON] = "confirm_button",
	[WORD_LAPSED_TITLE] = "lapsed_title",
	[WORD_LAPSED_TEXT] = "lapsed_text",
	[WORD_OFTEN_TITLE] = "often_title",
	[WORD_OFTEN_TEXT] = "often_text",
	[WORD_DATA_TITLE] = "data_title",
	[WORD_DATA_ASK_TEXT] = "data_ask_text",
	[WORD_DATA_ASK_BUTTON] = "data_ask_button",
	[WORD_DATA_SENT_TEXT] = "data_sent_text",
	[WORD_DATA_OPEN_TEXT] = "data_open_text",
	[WORD_DATA_OPEN_BUTTON] = "data_open_button",
	[WORD_DATA_OVER_TITLE] = "data_over_title",
	[WORD_DATA_OVER_TEXT] = "data_over_text",
	[WORD_DATA_CHANGED] = "data_changed",
	[WORD_LISTS_TITLE] = "lists_title",
	[WORD_STATE_GRANTED] = "state_granted",
	[WORD_STATE_NO_CONSENT] = "state_no_consent",
	[WORD_STATE_PENDING] = "state_pending",
	[WORD_STATE_WITHDRAWN] = "state_withdrawn",
	[WORD_STATE_EXPIRED] = "state_expired",
	[WORD_STATE_OBJECTED] = "state_objected",
	[WORD_STATE_ERASED] = "state_erased",
	[WORD_STATE_RESTRICTED] = "state_restricted",
	[WORD_STATE_UNPROVEN] = "state_unproven",
	[WORD_SINCE_LABEL] = "since_label",
	[WORD_UNTIL_LABEL] = "until_label",
	[WORD_SOURCE_LABEL] = "source_label",
	[WORD_METHOD_LABEL] = "method_label",
	[WORD_BASIS_LABEL] = "basis_label",
	[WORD_WORDING_LABEL] = "wording_label",
	[WORD_LIST_ON_BUTTON] = "list_on_button",
	[WORD_LIST_OFF_BUTTON] = "list_off_button",
	[WORD_MARKETING_TITLE] = "marketing_title",
	[WORD_MARKETING_TEXT] = "marketing_text",
	[WORD_MARKETING_BUTTON] = "marketing_button",
	[WORD_MARKETING_OBJECTED] = "marketing_objected",
	[WORD_PROFILING_TITLE] = "profiling_title",
	[WORD_PROFILING_TEXT] = "profiling_text",
	[WORD_PROFILING_OFF_BUTTON] = "profiling_off_button",
	[WORD_PROFILING_ON_BUTTON] = "profiling_on_button",
	[WORD_PROFILING_OBJECTED] = "profiling_objected",
	[WORD_TAKE_TITLE] = "take_title",
	[WORD_TAKE_TEXT] = "take_text",
	[WORD_TAKE_JSON_BUTTON] = "take_json_button",
	[WORD_TAKE_CSV_BUTTON] = "take_csv_button",
	[WORD_ERASE_TITLE] = "erase_title",
	[WORD_ERASE_TEXT] = "erase_text",
	[WORD_ERASE_BUTTON] = "erase_button",
	[WORD_ERASE_ASK_TITLE] = "erase_ask_title",
	[WORD_ERASE_ASK_TEXT] = "erase_ask_text",
	[WORD_ERASE_CONFIRM_BUTTON] = "erase_confirm_button",
	[WORD_ERASE_BACK_BUTTON] = "erase_back_button",
	[WORD_ERASE_DONE_TITLE] = "erase_done_title",
	[WORD_ERASE_DONE_TEXT] = "erase_done_text",
	[WORD_WHO_TITLE] = "who_title",
	[WORD_CONTROLLER_LABEL] = "controller_label",
	[WORD_CONTACT_LABEL] = "contact_label",
	[WORD_OFFICER_LABEL] = "officer_label",
	[WORD_RECIPIENTS_LABEL] = "recipients_label",
	[WORD_TRANSFERS_LABEL] = "transfers_label",
	[WORD_RETENTION_LABEL] = "retention_label",
	[WORD_RETENTION_DECISIONS] = "retention_decisions",
	[WORD_RETENTION_PROOF] = "retention_proof",
	[WORD_RETENTION_IP] = "retention_ip",
	[WORD_RETENTION_PENDING] = "retention_pending",
	[WORD_RETENTION_REQUESTS] = "retention_requests",
	[WORD_RETENTION_SUPPRESSION] = "retention_suppression",
	[WORD_AUTHORITY_LABEL] = "authority_label",
	[WORD_RIGHTS_TEXT] = "rights_text",
	[WORD_BASIS_CONSENT] = "basis_consent",
	[WORD_BASIS_EXPLICIT_CONSENT] = "basis_explicit_consent",
	[WORD_BASIS_SOFT_OPT_IN] = "basis_soft_opt_in",
	[WORD_BASIS_CHARITY_SOFT_OPT_IN] = "basis_charity_soft_opt_in",
	[WORD_BASIS_CASL_IMPLIED] = "basis_casl_implied",
	[WORD_BASIS_LEGITIMATE_INTEREST] = "basis_legitimate_interest",
	[WORD_MONTHS] = "months",
	[WORD_DAYS] = "days",
	[WORD_MAIL_CONFIRM_SUBJECT] = "mail_confirm_subject",
	[WORD_MAIL_CONFIRM_TEXT] = "mail_confirm_text",
	[WORD_MAIL_CONFIRM_LINK] = "mail_confirm_link",
	[WORD_MAIL_CONFIRM_IGNORE] = "mail_confirm_ignore",
	[WORD_MAIL_DATA_SUBJECT] = "mail_data_subject",
	[WORD_MAIL_DATA_TEXT] = "mail_data_text",
	[WORD_MAIL_DATA_IGNORE] = "mail_data_ignore",
};

/* What a list may say in its own words. */
static const enum word own_words[] = {
	WORD_ASK_TITLE, WORD_ASK_TEXT, WORD_DONE_TITLE, WORD_DONE_TEXT,
	WORD_AGAIN_TEXT, WORD_SUBSCRIBE_TITLE, WORD_SUBSCRIBE_TEXT,
	WORD_SUBSCRIBE_CONFIRM_TEXT, WORD_SUBSCRIBED_TITLE,
	WORD_SUBSCRIBED_TEXT, WORD_CONFIRM_TITLE, WORD_CONFIRM_TEXT,
	WORD_MAIL_CONFIRM_SUBJECT, WORD_MAIL_CONFIRM_TEXT
};
#define OWN_WORDS	(sizeof(own_words) / sizeof(own_words[0]))

/* -- one file -- */

void
words_fini(struct words *words)
{
	for (size_t i = 0; i < WORDS; i++)
		free(words->text[i]);
	memset(words, 0, sizeof(*words));
}

static bool
has_control(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] < 0x20 || s.p[i] == 0x7f)
			return true;
	return false;
}

/* Blanks of all kinds, and what is not seen at all. */
static bool
is_blank(int32_t c)
{
	return c == 0x20 || c == 0xa0 || c == 0xad || c == 0x34f ||
	    c == 0x61c || c == 0x115f || c == 0x1160 || c == 0x1680 ||
	    (c >= 0x17b4 && c <= 0x17b5) || (c >= 0x180b && c <= 0x180f) ||
	    (c >= 0x2000 && c <= 0x200f) || (c >= 0x2028 && c <= 0x202f) ||
	    (c >= 0x205f && c <= 0x206f) || c == 0x2800 || c == 0x3000 ||
	    c == 0x3164 || (c >= 0xfe00 && c <= 0xfe0f) || c == 0xfeff ||
	    c == 0xffa0;
}

/* No button is to be without a word. */
static bool
can_be_seen(struct span s)
{
	while (s.len > 0) {
		size_t len;

		if (!is_blank(utf8_decode(s, &len)))
			return true;
		s = span_from(s, len);
	}
	return false;
}

static int
check_text(size_t word, struct span text, struct fail *fail)
{
	size_t max = word == WORD_MAIL_CONFIRM_SUBJECT ||
	    word == WORD_MAIL_DATA_SUBJECT ? SUBJECT_MAX : TEXT_MAX;

	if (text.len > max || !utf8_is_valid(text) || has_control(text) ||
	    !can_be_seen(text))
		return fail_set(fail, FAIL_SETUP, "the text has to be UTF-8, 1 "
		    "to %zu bytes, without control characters", max);
	return 0;
}

static int
refuse_key(struct span key, const char *const *known, size_t n,
    struct fail *fail)
{
	struct buf typed = BUF_INIT(40);
	const char *near;
	int rc;

	buf_add_span(&typed, span_head(key, 40));
	near = closest_name(buf_get(&typed), known, n);
	rc = near != NULL ?
	    fail_set(fail, FAIL_SETUP, "there is no key \"%s\", did you mean "
	    "\"%s\"?", buf_get(&typed), near) :
	    fail_set(fail, FAIL_SETUP, "there is no key \"%s\"",
	    buf_get(&typed));
	buf_fini(&typed);
	return rc;
}

/* WORDS where there is none. */
static size_t
find_key(struct span key)
{
	size_t i = 0;

	while (i < WORDS && !span_is(key, span_str(keys[i])))
		i++;
	return i;
}

static int
check_own_key(struct span key, struct fail *fail)
{
	const char *known[OWN_WORDS];
	size_t word = find_key(key);

	for (size_t i = 0; i < OWN_WORDS; i++) {
		if (own_words[i] == word)
			return 0;
		known[i] = keys[own_words[i]];
	}
	if (word == WORDS)
		return refuse_key(key, known, OWN_WORDS, fail);
	return fail_set(fail, FAIL_SETUP, "\"%s\" is the same for all lists",
	    keys[word]);
}

/* Fills in the places, of which *out is the caller's. */
static int
fill_in(struct span text, const struct template_place *places,
    struct buf *out, struct fail *fail)
{
	size_t times[WORDS_PLACES];

	if (template_check(text, places, WORDS_PLACES, times, fail) == -1)
		return -1;
	for (size_t i = 0; i < WORDS_PLACES; i++)
		if (times[i] > 0 && places[i].value.len == 0)
			return fail_set(fail, FAIL_SETUP, "{%s} is not known: "
			    "set controller.name, or leave it out",
			    places[i].name);
	template_expand(out, text, places, WORDS_PLACES);
	if (out->overflow)
		return fail_set(fail, FAIL_SETUP, "the text is longer than %d "
		    "bytes once it is filled in", TEXT_MAX);
	return 0;
}

static int
take_text(size_t word, struct span text, const struct template_place *places,
    struct words *out, struct fail *fail)
{
	struct buf filled = BUF_INIT(TEXT_MAX);
	int rc = check_text(word, text, fail);

	if (rc == 0 && places != NULL) {
		rc = fill_in(text, places, &filled, fail);
		text = buf_span(&filled);
		if (rc == 0)
			rc = check_text(word, text, fail);
	}
	if (rc == 0 && out->text[word] != NULL)
		rc = fail_set(fail, FAIL_SETUP, "\"%s\" is there twice",
		    keys[word]);
	if (rc == 0)
		out->text[word] = xmemdupz(text.p, text.len);
	buf_fini(&filled);
	return rc;
}

/* key = text; places are those of a list's own words, or NULL. */
static int
take_line(struct span line, const struct template_place *places,
    struct words *out, struct fail *fail)
{
	ptrdiff_t equals = span_index(line, '=');
	struct span key, text;
	size_t word;

	if (line.len == 0 || line.p[0] == '#')
		return 0;
	if (equals == -1)
		return fail_set(fail, FAIL_SETUP, "wants \"key = text\"");
	key = span_trim(span_head(line, (size_t)equals));
	text = span_trim(span_from(line, (size_t)equals + 1));
	word = find_key(key);
	if (places != NULL && check_own_key(key, fail) == -1)
		return -1;
	if (word == WORDS)
		return refuse_key(key, keys, WORDS, fail);
	return take_text(word, text, places, out, fail);
}

static int
take_lines(struct span text, const struct template_place *places,
    struct words *out, struct fail *fail)
{
	unsigned line_number = 0;

	while (text.len > 0) {
		ptrdiff_t end = span_index(text, '\n');
		struct span line = span_head(text, end == -1 ? text.len :
		    (size_t)end);

		line_number++;
		if (take_line(span_trim(line), places, out, fail) == -1)
			return fail_prefix(fail, "line %u", line_number);
		text = span_from(text, line.len + 1);
	}
	return 0;
}

static int
parse(struct span text, const struct words *instead, struct words *out,
    struct fail *fail)
{
	if (take_lines(text, NULL, out, fail) == -1)
		return -1;
	for (size_t i = 0; i < WORDS; i++) {
		if (out->text[i] != NULL)
			continue;
		if (instead == NULL)
			return fail_set(fail, FAIL_SETUP, "the key \"%s\" is "
			    "missing", keys[i]);
		out->text[i] = xstrdup(instead->text[i]);
		out->missing = keys[i];
	}
	return 0;
}

int
words_parse(struct span text, const struct words *instead, struct words *out,
    struct fail *fail)
{
	int rc;

	memset(out, 0, sizeof(*out));
	rc = parse(text, instead, out, fail);
	if (rc == -1)
		words_fini(out);
	return rc;
}

int
words_parse_own(struct span text, const struct words *instead,
    const struct template_place places[WORDS_PLACES], struct words *out,
    struct fail *fail)
{
	memset(out, 0, sizeof(*out));
	if (take_lines(text, places, out, fail) == -1) {
		words_fini(out);
		return -1;
	}
	memcpy(out->tag, instead->tag, sizeof(out->tag));
	for (size_t i = 0; i < WORDS; i++)
		if (out->text[i] == NULL)
			out->text[i] = xstrdup(instead->text[i]);
	return 0;
}

/* -- a directory -- */

/* The tag in a file's name; the empty span: it is no such file. */
static struct span
tag_of(const char *file)
{
	struct span name = span_str(file), tag;
	size_t suffix = strlen(SUFFIX);

	if (name.len <= suffix || !span_is(span_from(name, name.len - suffix),
	    SPAN(SUFFIX)))
		return span_of(NULL, 0);
	tag = span_head(name, name.len - suffix);
	for (size_t i = 0; i < tag.len; i++)
		if (!ascii_isalnum(tag.p[i]) && (tag.p[i] != '-' || i == 0))
			return span_of(NULL, 0);
	return tag.len <= WORDS_TAG_MAX ? tag : span_of(NULL, 0);
}

static struct words *
find_words(const struct languages *languages, struct span tag)
{
	for (size_t i = 0; i < languages->count; i++)
		if (span_is_nocase(span_str(languages->all[i].tag), tag))
			return &languages->all[i];
	return NULL;
}

/* One that is there already (English) is replaced. */
static int
add_words(void *context, struct span tag, struct span text,
    struct fail *fail)
{
	struct languages *languages = context;
	struct words words, *at;

	if (words_parse(text, languages->count > 0 ? &languages->all[0] :
	    NULL, &words, fail) == -1)
		return -1;
	memcpy(words.tag, tag.p, tag.len);
	at = find_words(languages, tag);
	if (at == NULL && languages->count == WORDS_LANGUAGES_MAX) {
		words_fini(&words);
		return fail_set(fail, FAIL_SETUP, "more than %d languages",
		    WORDS_LANGUAGES_MAX);
	}
	if (at == NULL)
		at = &languages->all[languages->count++];
	else
		words_fini(at);
	*at = words;
	return 0;
}

static int
take_file(const char *directory, const char *file, words_take *take,
    void *context, struct fail *fail)
{
	struct buf path = BUF_INIT(8192), text = BUF_INIT(WORDS_FILE_MAX);
	int rc;

	buf_addf(&path, "%s/%s", directory, file);
	rc = file_read(buf_get(&path), &text, fail);
	if (rc == 0 && take(context, tag_of(file), buf_span(&text), fail) ==
	    -1)
		rc = fail_prefix(fail, "%s", buf_get(&path));
	buf_fini(&path);
	buf_fini(&text);
	return rc;
}

int
words_read_directory(const char *directory, bool may_be_missing,
    words_take *take, void *context, struct fail *fail)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	int rc = 0;

	if (dir == NULL)
		return errno == ENOENT && may_be_missing ? 0 :
		    fail_errno(fail, FAIL_SETUP, errno, "%s", directory);
	while (rc == 0 && (entry = readdir(dir)) != NULL)
		if (tag_of(entry->d_name).len > 0)
			rc = take_file(directory, entry->d_name, take,
			    context, fail);
	(void)closedir(dir);
	return rc;
}

int
words_load(const char *directory, struct languages *out, struct fail *fail)
{
	out->all = xcalloc(WORDS_LANGUAGES_MAX, sizeof(*out->all));
	out->count = 0;
	if (add_words(out, SPAN("en"), span_str(english), fail) == 0 &&
	    words_read_directory(directory, true, add_words, out, fail) == 0)
		return 0;
	words_free(out);
	return -1;
}

void
words_free(struct languages *languages)
{
	for (size_t i = 0; i < languages->count; i++)
		words_fini(&languages->all[i]);
	free(languages->all);
	memset(languages, 0, sizeof(*languages));
}

/* -- Accept-Language -- */

/* ";q=0.8" in thousandths, -1 when it can't be read. */
static int
read_weight(struct span text)
{
	int weight = 0, unit = 1000;

	text = span_trim(text);
	if (text.len == 0)
		return 1000;
	if (!span_has_prefix_nocase(text, SPAN("q=")) || text.len > 7)
		return -1;
	text = span_from(text, 2);
	for (size_t i = 0; i < text.len; i++) {
		if (i == 1 ? text.p[i] != '.' : !ascii_isdigit(text.p[i]))
			return -1;
		if (i != 1) {
			weight += (text.p[i] - '0') * unit;
			unit /= 10;
		}
	}
	return text.len == 0 || weight > 1000 ? -1 : weight;
}

/* With its last subtags taken away one by one. */
static const struct words *
look_up(const struct languages *languages, struct span range)
{
	while (range.len > 0) {
		const struct words *found = find_words(languages, range);
		ptrdiff_t dash = span_rindex(range, '-');

		if (found != NULL)
			return found;
		range = span_head(range, dash == -1 ? 0 : (size_t)dash);
	}
	return NULL;
}

const struct words *
words_choose(const struct languages *languages, const char *accept_language)
{
	struct span rest = span_head(span_str(accept_language), ACCEPT_MAX);
	const struct words *best = &languages->all[0];
	int best_weight = 0;

	while (rest.len > 0) {
		ptrdiff_t comma = span_index(rest, ','), semicolon;
		struct span item = span_head(rest, comma == -1 ? rest.len :
		    (size_t)comma);
		const struct words *found;
		int weight;

		rest = span_from(rest, item.len + 1);
		semicolon = span_index(item, ';');
		weight = semicolon == -1 ? 1000 :
		    read_weight(span_from(item, (size_t)semicolon + 1));
		found = look_up(languages, span_trim(span_head(item,
		    semicolon == -1 ? item.len : (size_t)semicolon)));
		if (found != NULL && weight > best_weight) {
			best = found;
			best_weight = weight;
		}
	}
	return best;
}
