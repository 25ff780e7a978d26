/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "milterd/edits.h"

#include "check.h"
#include "consent/token.h"

#define LU	EDITS_LIST_UNSUBSCRIBE
#define POST	EDITS_LIST_UNSUBSCRIBE_POST

static char url[] = "https://news.example.com/u/";
static char mailto[] = "u@news.example.com";
static char name[] = "Weekly news";
static char list_id[] = "weekly.news.example.com";
static const struct list weekly =
    { .id = "weekly", .name = name, .list_id = list_id };
static const struct subject somebody = { "0123456789abcdef" };
static struct settings settings;

static void
set_up(void)
{
	static const unsigned char key[CRYPTO_KEY_BYTES] = "token key";

	if (settings.token_keys.key[0] == NULL)
		settings.token_keys.key[0] = crypto_hmac_new(key);
	settings.unsubscribe.url = url;
	settings.unsubscribe.mailto = mailto;
	settings.unsubscribe.keep_existing = false;
}

static void
add(struct edits_facts *facts, const char *field, const char *value)
{
	edits_facts_add(facts, span_str(field), span_str(value));
}

static void
plan(struct edits *edits, const struct edits_facts *facts,
    const struct subject *subject)
{
	struct fail fail;

	edits_init(edits);
	CHECK_INT(edits_plan(edits, facts, &settings, &weekly, subject,
	    1767603600000, &fail), 0);
}

static void
test_fresh_message(void)
{
	struct edits_facts facts = { 0 };
	struct edits edits;
	struct token token;
	struct fail fail;
	struct span value;

	set_up();
	plan(&edits, &facts, &somebody);
	CHECK_STR(buf_get(&edits.field[EDITS_LIST_ID].value),
	    "Weekly news <weekly.news.example.com>");
	CHECK_STR(buf_get(&edits.field[POST].value),
	    "List-Unsubscribe=One-Click");
	CHECK(edits.field[EDITS_LIST_ID].add && edits.field[LU].add &&
	    edits.field[POST].add && !edits.breaks_signature);
	/* both links carry a token of this person and list */
	value = buf_span(&edits.field[LU].value);
	CHECK(span_has_prefix(value, SPAN("<https://news.example.com/u/")));
	value = span_from(value, 1 + strlen(url));
	CHECK_INT(token_check(&settings.token_keys,
	    span_head(value, TOKEN_URL_LEN), &token, &fail), 0);
	CHECK(subject_is(&token.subject, &somebody));
	value = span_from(value, TOKEN_URL_LEN);
	CHECK(span_has_prefix(value, SPAN(">,\n <mailto:u+")));
	value = span_from(value, strlen(">,\n <mailto:u+"));
	CHECK_INT(token_check(&settings.token_keys,
	    span_head(value, TOKEN_MAILTO_LEN), &token, &fail), 0);
	CHECK(subject_is(&token.subject, &somebody));
	CHECK(span_is(span_from(value, TOKEN_MAILTO_LEN),
	    SPAN("@news.example.com>")));
	edits_fini(&edits);
}

static void
test_several_people(void)
{
	struct edits_facts facts = { 0 };
	struct edits edits;
	struct token token;
	struct fail fail;

	set_up();
	add(&facts, "list-unsubscribe-post", "List-Unsubscribe=One-Click");
	plan(&edits, &facts, NULL);
	CHECK(edits.field[LU].add);
	CHECK(!edits.field[POST].add);
	CHECK_INT(edits.field[POST].remove, 1);
	CHECK_INT(token_check(&settings.token_keys, span_head(span_from(
	    buf_span(&edits.field[LU].value), 1 + strlen(url)),
	    TOKEN_URL_LEN), &token, &fail), 0);
	CHECK(!token_is_personal(&token));
	edits_fini(&edits);
}

static void
test_replace(void)
{
	struct edits_facts facts = { 0 };
	struct edits edits;

	set_up();
	add(&facts, "List-Unsubscribe", "<https://tool.example/1>");
	add(&facts, "LIST-UNSUBSCRIBE", "<mailto:x@tool.example>");
	add(&facts, "List-Unsubscribe", "rubbish");
	add(&facts, "List-Unsubscribe-Post", "List-Unsubscribe=One-Click");
	add(&facts, "List-Id", "not an id");
	add(&facts, "List-ID", "x <a.tool.example>");
	add(&facts, "List-ID", "y <b.tool.example>");
	plan(&edits, &facts, &somebody);
	CHECK_INT(edits.field[LU].remove, 3);
	CHECK_INT(edits.field[LU].keep, 0);
	CHECK_INT(edits.field[POST].remove, 1);
	/* the first List-Id that can be read stays, alone */
	CHECK_INT(edits.field[EDITS_LIST_ID].remove, 3);
	CHECK_INT(edits.field[EDITS_LIST_ID].keep, 2);
	CHECK(!edits.field[EDITS_LIST_ID].add);
	edits_fini(&edits);
}

static void
test_keep(void)
{
	struct edits_facts facts = { 0 };
	struct edits edits;

	set_up();
	settings.unsubscribe.keep_existing = true;
	add(&facts, "List-Unsubscribe", "<https://tool.example/1>");
	plan(&edits, &facts, &somebody);
	CHECK(!edits.field[LU].add && !edits.field[POST].add);
	CHECK_INT(edits.field[LU].remove, 0);
	edits_fini(&edits);

	/* one that no client could use is not worth keeping */
	memset(&facts, 0, sizeof(facts));
	add(&facts, "List-Unsubscribe", "https://tool.example/1");
	plan(&edits, &facts, &somebody);
	CHECK(edits.field[LU].add && edits.field[POST].add);
	CHECK_INT(edits.field[LU].remove, 1);
	edits_fini(&edits);
}

static void
test_signed_before(void)
{
	struct edits_facts facts = { 0 };
	struct edits edits;

	set_up();
	add(&facts, "DKIM-Signature",
	    "v=1; a=rsa-sha256; h=From:Subject:List-Unsubscribe; b=x");
	plan(&edits, &facts, &somebody);
	CHECK(edits.breaks_signature);
	edits_fini(&edits);
	memset(&facts, 0, sizeof(facts));
	add(&facts, "DKIM-Signature", "v=1; a=rsa-sha256; h=From:To; b=x");
	plan(&edits, &facts, &somebody);
	CHECK(!edits.breaks_signature);
	edits_fini(&edits);
}

static void
test_no_key(void)
{
	struct edits_facts facts = { 0 };
	struct settings bare = { .unsubscribe = { .url = url } };
	struct edits edits;
	struct fail fail;

	edits_init(&edits);
	CHECK_INT(edits_plan(&edits, &facts, &bare, &weekly, &somebody, 0,
	    &fail), -1);
	CHECK_INT(fail.class, FAIL_SETUP);
	edits_fini(&edits);
	set_up();
	crypto_hmac_free(&settings.token_keys.key[0]);
}

static const struct check_test tests[] = {
	{ "fresh_message", test_fresh_message },
	{ "several_people", test_several_people },
	{ "replace", test_replace },
	{ "keep", test_keep },
	{ "signed_before", test_signed_before },
	{ "no_key", test_no_key },
};

CHECK_MAIN("edits", tests)
