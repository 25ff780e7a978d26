/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "consent/reply_text.h"

#include "base/template.h"
#include "check.h"

#define N(table)	(sizeof(table) / sizeof((table)[0]))

static void
test_template(void)
{
	static const struct {
		const char *text, *want;	/* want NULL: a mistake */
		const char *error;
	} cases[] = {
		{ "", "", NULL },
		{ "plain", "plain", NULL },
		{ "{a}", "A{b}", NULL },
		{ "{a}{b}{a}", "A{b}A{b}", NULL },
		{ "x{a}y{b}z", "xA{b}yz", NULL },
		{ "{{a}", "{a}", NULL },
		{ "{{{a}}", "{A{b}}", NULL },
		{ "}a}", "}a}", NULL },
		{ "{{", "{", NULL },
		{ "{", NULL, "has { without }, write {{ for a brace" },
		{ "x{a", NULL, "has { without }, write {{ for a brace" },
		{ "{{{", NULL, "has { without }, write {{ for a brace" },
		{ "{}", NULL, "{} stands for nothing here, did you mean "
		    "{a}?" },
		{ "{ a}", NULL, "{ a} stands for nothing here, did you mean "
		    "{a}?" },
		{ "{x\x01y}", NULL, "{x\x01y} stands for nothing here, known "
		    "are {a}, {b}, and {{ for a brace" },
	};
	const struct template_place places[] = { { "a", SPAN("A{b}") },
	    { "b", SPAN("") } };

	for (size_t i = 0; i < N(cases); i++) {
		struct buf out = BUF_INIT(100);
		size_t times[2];
		struct fail fail;

		check_case((long)i);
		CHECK_INT(template_check(span_str(cases[i].text), places, 2,
		    times, &fail), cases[i].want != NULL ? 0 : -1);
		template_expand(&out, span_str(cases[i].text), places, 2);
		if (cases[i].want != NULL)
			CHECK_STR(buf_get(&out), cases[i].want);
		else
			CHECK_STR(fail.text, cases[i].error);
		buf_fini(&out);
	}
}

static void
test_check(void)
{
	static const struct {
		const char *text, *error;	/* NULL: it is good */
	} cases[] = {
		{ "{ref}", NULL },
		{ "{recipient} wants no \"{list}\" (100% sure, {ref}) {url} "
		    "{contact} {{}", NULL },
		{ "5 of 550 (ref {ref})", NULL },
		{ "5500 (ref {ref})", NULL },
		{ "no", "has no {ref}, by which the decision log tells what "
		    "was refused and why; add (ref {ref})" },
		{ "{{ref}", "has no {ref}, by which the decision log tells "
		    "what was refused and why; add (ref {ref})" },
		{ "{ref} {ref}", "has {ref} twice, each may stand once" },
		{ "{reason} {ref}", "{reason} stands for nothing here, known "
		    "are {recipient}, {list}, {ref}, {contact}, {url}, and {{ "
		    "for a brace" },
		{ "{recipent} {ref}", "{recipent} stands for nothing here, did "
		    "you mean {recipient}?" },
		{ "250 {ref}", "begins with a code, which can't be chosen: "
		    "give the words alone" },
		{ "250-{ref}", "begins with a code, which can't be chosen: "
		    "give the words alone" },
		{ "2.0.0 {ref}", "begins with a code, which can't be chosen: "
		    "give the words alone" },
		{ "{ref} n\xc3\xa4h", "byte 8 is 0xC3, want printable ASCII: "
		    "not every mail server takes more in a reply" },
		{ "{ref}\r\n250 ok", "byte 6 is 0x0D, want printable ASCII: "
		    "not every mail server takes more in a reply" },
		{ "{ref", "has { without }, write {{ for a brace" },
	};

	for (size_t i = 0; i < N(cases); i++) {
		struct fail fail = { .text = "" };
		int rc = reply_text_check(cases[i].text, &fail);

		check_case((long)i);
		CHECK_INT(rc, cases[i].error == NULL ? 0 : -1);
		CHECK_STR(rc == 0 ? "" : fail.text, cases[i].error != NULL ?
		    cases[i].error : "");
	}
}

static void
test_values(void)
{
	struct reply_values values = { .list = "" };
	char text[REPLY_TEXT_MAX], contact[600];
	struct fail fail;

	CHECK_INT(reply_text_check_values("{ref} {list}", &values, &fail), 0);
	CHECK_INT(reply_text_check_values("{ref} {contact}", &values, &fail),
	    -1);
	CHECK(strstr(fail.text, "controller.email") != NULL);
	CHECK_INT(reply_text_check_values("{ref} {url}", &values, &fail), -1);
	CHECK(strstr(fail.text, "web.url") != NULL);
	memset(contact, 'c', sizeof(contact) - 1);
	contact[sizeof(contact) - 1] = '\0';
	values.contact = contact;
	values.pages = "https://n.example/my/";
	CHECK_INT(reply_text_check_values("{ref} {url}", &values, &fail), 0);
	CHECK_INT(reply_text_check_values("{ref} {contact}", &values, &fail),
	    -1);
	CHECK_STR(fail.text, "makes 600 bytes with {contact} and {url}, it may "
	    "have 474: a reply is one line");
	memset(text, 'x', 300);
	memcpy(text + 300, "{ref}", 6);
	CHECK_INT(reply_text_check_values(text, &values, &fail), 0);
	values.list = NULL;
	CHECK_INT(reply_text_check_values(text, &values, &fail), 0);
	CHECK_INT(reply_text_check_values("{ref} {list}", &values, &fail), -1);
	CHECK_STR(fail.text, "is for mail that belongs to no list, leave "
	    "{list} out");
}

static void
test_expand(void)
{
	static const struct {
		const char *text;
		struct reply_values values;
		const char *want;
	} cases[] = {
		{ "{recipient} wants no \"{list}\" ({ref}), 100%",
		    { .recipient = "a@example.org", .list = "News",
		    .ref = "abc" },
		    "<a@example.org> wants no \"News\" (abc), 100%" },
		{ "{recipient} {ref}", { .recipient = "a@example.org",
		    .others = 7, .ref = "abc" }, "<a@example.org> (+7) abc" },
		{ "{contact}, {url} {ref} {{", { .ref = "abc",
		    .contact = "p@example.com", .pages = "https://n/my/" },
		    "p@example.com, https://n/my/data abc {" },
		/* Neither a line nor a name comes out of a value. */
		{ "{recipient} {list} {ref}", { .recipient = "{ref}\r\n250 ok",
		    .list = "%s{url}\n\xc3\xbc\xff", .ref = "abc" },
		    "<{ref}\\x{D}\\x{A}250 ok> %s{url}\\x{A}\\x{FC}\\x{FF} "
		    "abc" },
	};

	for (size_t i = 0; i < N(cases); i++) {
		char out[REPLY_TEXT_MAX + 1];

		check_case((long)i);
		reply_text_expand(out, cases[i].text, &cases[i].values);
		CHECK_STR(out, cases[i].want);
	}
}

/* The recipient is cut first, then the list; the reference never is. */
static void
test_bounds(void)
{
	char recipient[1000], list[1000], contact[200], text[600];
	char out[REPLY_TEXT_MAX + 1];
	struct reply_values values = { .recipient = recipient,
	    .others = SIZE_MAX, .list = list, .ref = "aaaaaaaaaaaaa",
	    .contact = contact, .pages = "https://n.example/my/" };

	memset(recipient, 'r', sizeof(recipient) - 1);
	recipient[sizeof(recipient) - 1] = '\0';
	for (size_t i = 0; i + 2 < sizeof(list); i += 2)
		memcpy(list + i, "\xc3\xbc", 3);
	memset(contact, 'c', sizeof(contact) - 1);
	contact[sizeof(contact) - 1] = '\0';
	for (size_t n = 0; n <= 300; n++) {
		struct fail fail;
		int rc;

		check_case((long)n);
		memset(text, '%', n);
		memcpy(text + n, "{recipient}|{list}|{contact}|({ref})", 37);
		rc = reply_text_check_values(text, &values, &fail);
		CHECK_INT(rc, n + 199 + 5 <= REPLY_TEXT_MAX - 120 ? 0 : -1);
		reply_text_expand(out, text, &values);
		CHECK(strlen(out) <= REPLY_TEXT_MAX);
		for (const char *p = out; *p != '\0'; p++)
			CHECK(*p >= 0x20 && *p <= 0x7e);
		if (rc == -1)
			continue;
		CHECK(strstr(out, "<rrrrr") != NULL);
		CHECK(strstr(out, "...> (+18446744073709551615)|\\x{FC}") !=
		    NULL);
		CHECK(strstr(out, "(aaaaaaaaaaaaa)") != NULL);
	}
	values.others = 0;
	reply_text_expand(out, "{recipient} {list} {ref}", &values);
	CHECK_INT(strlen(out), REPLY_TEXT_MAX);
	CHECK(strstr(out, "rrr...> \\x{FC}") != NULL);
	recipient[20] = '\0';
	reply_text_expand(out, "{recipient} {list} {ref}", &values);
	CHECK_INT(strlen(out), 22 + 1 + REPLY_TEXT_NAME_MAX + 1 + 13);
}

static const struct check_test tests[] = {
	{ "template", test_template },
	{ "check", test_check },
	{ "values", test_values },
	{ "expand", test_expand },
	{ "bounds", test_bounds },
};

CHECK_MAIN("reply_text", tests)
