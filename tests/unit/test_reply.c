/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "milterd/reply.h"

#include "check.h"

static char weekly_name[] = "Weekly news";
static const struct list weekly = { .id = "weekly", .name = weekly_name };
static const struct settings settings;

static void
test_texts(void)
{
	static const struct {
		enum reply_kind kind;
		size_t others;
		const char *want;
	} cases[] = {
		{ REPLY_NO_CONSENT, 0, "550 5.7.1 <user@example.org> has not "
		    "opted in to \"Weekly news\" (ref abc)" },
		{ REPLY_NO_CONSENT, 1, "550 5.7.1 <user@example.org>, like 1 "
		    "other, has not opted in to \"Weekly news\" (ref abc)" },
		{ REPLY_NO_CONSENT, 7, "550 5.7.1 <user@example.org>, like 7 "
		    "others, has not opted in to \"Weekly news\" (ref abc)" },
		{ REPLY_STORE_TEMPFAIL, 0, "451 4.4.3 consent can't be "
		    "verified now, try again later (ref abc)" },
		{ REPLY_STORE_REJECT, 0,
		    "550 5.7.1 consent can't be verified (ref abc)" },
		{ REPLY_SECOND_TEMPFAIL, 0, "452 4.5.3 one recipient per "
		    "message for \"Weekly news\"" },
		{ REPLY_BULK_REJECT, 0, "550 5.7.1 bulk mail that belongs to "
		    "no configured list (ref abc)" },
		{ REPLY_BULK_TEMPFAIL, 0, "451 4.3.5 bulk mail that belongs "
		    "to no configured list (ref abc)" },
		{ REPLY_UNRECORDED, 0, "451 4.3.0 the decision can't be "
		    "recorded now, try again later (ref abc)" },
		{ REPLY_TOO_MANY, 0, "452 4.5.3 too many recipients" },
		{ REPLY_HEADER_TOO_LARGE, 0, "451 4.3.4 the header of the "
		    "message is too large for the consent filter" },
		{ REPLY_TOO_MANY_CONNECTIONS, 0, "451 4.3.2 too many "
		    "connections to the consent filter, try again later" },
		{ REPLY_NONE, 0, "250 2.0.0 " },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reply reply;
		char line[600];

		check_case((long)i);
		reply_format(&reply, cases[i].kind, &(struct reply_facts){
		    .settings = &settings, .list = &weekly,
		    .recipient = "user@example.org",
		    .others = cases[i].others, .ref = "abc" });
		(void)snprintf(line, sizeof(line), "%s %s %s", reply.code,
		    reply.status, reply.text);
		CHECK_STR(line, cases[i].want);
		CHECK_INT(reply.kind, cases[i].kind);
	}
}

/* A reply is ASCII and fits one line whatever the list is called. */
static void
test_hostile_names(void)
{
	char name[1000], recipient[600];
	struct list list = { .name = name };
	struct reply_facts facts = { .settings = &settings, .list = &list,
	    .recipient = recipient, .others = SIZE_MAX,
	    .ref = "aaaaaaaaaaaaa" };
	struct reply reply;

	for (size_t i = 0; i + 2 < sizeof(name); i += 2)
		memcpy(name + i, "\xc3\xbc", 3);
	memset(recipient, 'r', sizeof(recipient) - 1);
	recipient[sizeof(recipient) - 1] = '\0';
	for (int kind = REPLY_NONE; kind <= REPLY_INTERNAL; kind++) {
		check_case(kind);
		reply_format(&reply, (enum reply_kind)kind, &facts);
		CHECK(strlen(reply.text) <= REPLY_TEXT_MAX);
		CHECK(strlen(reply.text) + 12 <= 512);
		for (const char *p = reply.text; *p != '\0'; p++)
			CHECK(*p >= 0x20 && *p <= 0x7e);
	}
	reply_format(&reply, REPLY_NO_CONSENT, &facts);
	CHECK(strstr(reply.text, "(ref aaaaaaaaaaaaa)") != NULL);
}

/* The list's words, or those of all, or ours; codes never change. */
static void
test_configured(void)
{
	static char of_list[] = "{recipient} is not on {list} ({ref})";
	static char of_all[] = "not on {list} ({ref})";
	static char later[] = "later ({ref}) {contact} {url}";
	static char one[] = "one each ({ref})", bulk[] = "what? ({ref})";
	static char email[] = "p@example.com", pages[] = "https://n/my/";
	const struct settings all = { .policy.replies = { of_all, later, one,
	    bulk }, .controller.email = email, .web.url = pages };
	const struct list own = { .name = weekly_name,
	    .replies.no_consent = of_list };
	static const struct {
		enum reply_kind kind;
		bool has_own;
		const char *want;
	} cases[] = {
		{ REPLY_NO_CONSENT, true, "550 5.7.1 <u@example.org> (+2) is "
		    "not on Weekly news (abc)" },
		{ REPLY_NO_CONSENT, false, "550 5.7.1 not on Weekly news "
		    "(abc)" },
		{ REPLY_STORE_TEMPFAIL, true, "451 4.4.3 later (abc) "
		    "p@example.com https://n/my/data" },
		{ REPLY_STORE_REJECT, true, "550 5.7.1 later (abc) "
		    "p@example.com https://n/my/data" },
		{ REPLY_SECOND_TEMPFAIL, true, "452 4.5.3 one each (abc)" },
		{ REPLY_SECOND_REJECT, true, "550 5.5.3 one each (abc)" },
		{ REPLY_BULK_REJECT, false, "550 5.7.1 what? (abc)" },
		{ REPLY_BULK_TEMPFAIL, false, "451 4.3.5 what? (abc)" },
		{ REPLY_UNRECORDED, true, "451 4.3.0 the decision can't be "
		    "recorded now, try again later (ref abc)" },
		{ REPLY_NONE, true, "250 2.0.0 " },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct reply reply;
		char line[600];

		check_case((long)i);
		reply_format(&reply, cases[i].kind, &(struct reply_facts){
		    .settings = &all, .list = cases[i].has_own ? &own :
		    &weekly, .recipient = "u@example.org", .others = 2,
		    .ref = "abc" });
		(void)snprintf(line, sizeof(line), "%s %s %s", reply.code,
		    reply.status, reply.text);
		CHECK_STR(line, cases[i].want);
	}
}

static void
test_kinds(void)
{
	static const struct {
		struct decision decision;
		enum reply_kind want;
	} cases[] = {
		{ { ACTION_ACCEPT, REASON_GRANTED }, REPLY_NONE },
		{ { ACTION_ACCEPT, REASON_STORE_FAILURE }, REPLY_NONE },
		{ { ACTION_REJECT, REASON_NO_CONSENT }, REPLY_NO_CONSENT },
		{ { ACTION_REJECT, REASON_OBJECTED }, REPLY_NO_CONSENT },
		{ { ACTION_REJECT, REASON_PENDING }, REPLY_NO_CONSENT },
		{ { ACTION_REJECT, REASON_STORE_FAILURE }, REPLY_STORE_REJECT },
		{ { ACTION_REJECT, REASON_UNLISTED_BULK }, REPLY_BULK_REJECT },
		{ { ACTION_REJECT, REASON_SECOND_RECIPIENT },
		    REPLY_SECOND_REJECT },
		{ { ACTION_TEMPFAIL, REASON_STORE_FAILURE },
		    REPLY_STORE_TEMPFAIL },
		{ { ACTION_TEMPFAIL, REASON_UNLISTED_BULK },
		    REPLY_BULK_TEMPFAIL },
		{ { ACTION_TEMPFAIL, REASON_SECOND_RECIPIENT },
		    REPLY_SECOND_TEMPFAIL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		CHECK_INT(reply_for(cases[i].decision), cases[i].want);
	}
}

static const struct check_test tests[] = {
	{ "texts", test_texts },
	{ "hostile_names", test_hostile_names },
	{ "configured", test_configured },
	{ "kinds", test_kinds },
};

CHECK_MAIN("reply", tests)
