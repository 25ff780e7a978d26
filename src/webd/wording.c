/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/wording.h"

#include <stdio.h>
#include <string.h>

#include "base/codec.h"
#include "consent/policy.h"

void
wording_init(struct wording *w)
{
	memset(&w->notice, 0, sizeof(w->notice));
	buf_init(&w->text, NOTICE_TEXT_MAX);
}

void
wording_fini(struct wording *w)
{
	buf_fini(&w->text);
}

/* Is it that, and new enough? */
static bool
suffices(const struct list *list, const struct notice *notice)
{
	char name[EVIDENCE_TEXT_MAX + 1];

	if (!span_is(policy_notice_id(list), span_str(notice->id)))
		return false;
	(void)snprintf(name, sizeof(name), "%s %s", notice->id,
	    notice->version);
	return list->notice == NULL || policy_notice_suffices(
	    span_str(list->notice), span_str(name));
}

/* Takes it and reads its text. */
static int
take(const struct settings *settings, const struct notice *notice,
    struct wording *out, struct fail *fail)
{
	int rc;

	out->notice = *notice;
	rc = notice_text(settings, notice->digest, &out->text, fail);
	return rc == 0 ? fail_set(fail, FAIL_SETUP, "the text of notice %s %s "
	    "is gone", notice->id, notice->version) : rc;
}

/* How well a language fits: 3 as wanted, 2 its base, 1 English, 0 other. */
static int
fit(const char *language, const struct notice *notice)
{
	struct span want = span_str(language), has =
	    span_str(notice->language), base = want;
	ptrdiff_t dash = span_index(want, '-');

	if (dash != -1)
		base = span_head(want, (size_t)dash);
	if (span_is_nocase(has, want))
		return 3;
	if (span_is_nocase(has, base) || (has.len > base.len &&
	    has.p[base.len] == '-' && span_has_prefix_nocase(has, base)))
		return 2;
	return span_has_prefix_nocase(has, SPAN("en"));
}

int
wording_newest(const struct settings *settings, const struct list *list,
    const char *language, struct wording *out, struct fail *fail)
{
	const struct notice *best = NULL;
	struct notices notices;
	int rc = 0;

	if (notices_read(settings, &notices, fail) == -1)
		return -1;
	/* Later ones are newer. */
	for (size_t i = 0; i < notices.count; i++) {
		const struct notice *n = &notices.all[i];

		if (suffices(list, n) && (best == NULL ||
		    fit(language, n) >= fit(language, best)))
			best = n;
	}
	if (best != NULL)
		rc = take(settings, best, out, fail);
	else if (list->notice != NULL)
		rc = fail_set(fail, FAIL_SETUP, "list \"%s\" wants notice "
		    "\"%s\", which is not stored: run `consentctl notice add'",
		    list->id, list->notice);
	notices_fini(&notices);
	return rc;
}

/* The last one whose digest begins so. */
static int
find_digest(const struct settings *settings, const struct list *list,
    struct span digest, struct wording *out, struct fail *fail)
{
	struct notices notices;
	int rc = 0;

	if (notices_read(settings, &notices, fail) == -1)
		return -1;
	for (size_t i = notices.count; rc == 0 && i > 0; i--) {
		const struct notice *n = &notices.all[i - 1];

		if (span_has_prefix(span_str(n->digest), digest) &&
		    suffices(list, n))
			rc = take(settings, n, out, fail);
	}
	notices_fini(&notices);
	return rc;
}

int
wording_shown(const struct settings *settings, const struct list *list,
    const char *digest, struct wording *out, struct fail *fail)
{
	return strlen(digest) != NOTICE_DIGEST_LEN ? 0 : find_digest(settings,
	    list, span_str(digest), out, fail);
}

int
wording_of_link(const struct settings *settings, const struct list *list,
    const struct link *link, struct wording *out, struct fail *fail)
{
	static const unsigned char none[LINK_DETAIL_BYTES];
	struct buf hex = BUF_INIT(2 * LINK_DETAIL_BYTES);
	int rc;

	if (memcmp(link->detail, none, sizeof(none)) == 0)
		return 0;
	hex_format(&hex, link->detail, sizeof(link->detail));
	rc = find_digest(settings, list, buf_span(&hex), out, fail);
	buf_fini(&hex);
	return rc;
}

void
wording_detail(const struct wording *w,
    unsigned char detail[LINK_DETAIL_BYTES])
{
	memset(detail, 0, LINK_DETAIL_BYTES);
	if (w->notice.digest[0] != '\0')
		(void)!hex_parse(span_head(span_str(w->notice.digest),
		    2 * LINK_DETAIL_BYTES), detail, LINK_DETAIL_BYTES);
}

void
wording_prove(const struct wording *w, struct evidence *evidence)
{
	if (w->notice.digest[0] == '\0')
		return;
	(void)snprintf(evidence->notice, sizeof(evidence->notice), "%s %s",
	    w->notice.id, w->notice.version);
	(void)snprintf(evidence->language, sizeof(evidence->language), "%s",
	    w->notice.language);
	(void)snprintf(evidence->digest, sizeof(evidence->digest), "%s",
	    w->notice.digest);
}
