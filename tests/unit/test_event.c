/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "consent/event.h"
#include "check.h"

#define SUBJECT	"00112233445566778899aabbccddeeff"
#define HEAD	"\"subject\":\"" SUBJECT "\",\"at\":\"2026-01-05T09:00:00Z\""

static void
test_kinds(void)
{
	static const struct {
		const char *name;
		bool list, person;
	} want[EVENT_KINDS] = {
		[EVENT_GRANT] = { "grant", true, false },
		[EVENT_UNPROVEN] = { "unproven", true, false },
		[EVENT_CONFIRM] = { "confirm", true, false },
		[EVENT_WITHDRAW] = { "withdraw", true, true },
		[EVENT_OBJECT] = { "object", false, true },
		[EVENT_ERASE] = { "erase", false, true },
		[EVENT_RESTRICT] = { "restrict", false, true },
		[EVENT_UNRESTRICT] = { "unrestrict", false, true },
		[EVENT_OBJECT_PROFILING] = { "object-profiling", false, true },
		[EVENT_ALLOW_PROFILING] = { "allow-profiling", false, true },
	};
	enum event_kind kind;

	for (int i = 0; i < EVENT_KINDS; i++) {
		check_case(i);
		CHECK_STR(event_kind_name((enum event_kind)i), want[i].name);
		CHECK_INT(event_kind_has_list((enum event_kind)i),
		    want[i].list);
		CHECK_INT(event_kind_has_person((enum event_kind)i),
		    want[i].person);
		CHECK_INT(event_kind_parse(span_str(want[i].name), &kind), 1);
		CHECK_INT(kind, i);
	}
	check_case(-1);
	CHECK_INT(event_kind_parse(SPAN("Grant"), &kind), 0);
	CHECK_INT(event_kind_parse(SPAN("grants"), &kind), 0);
	CHECK_INT(event_kind_parse(SPAN("grant\0"), &kind), 0);
	CHECK_INT(event_kind_parse(SPAN(""), &kind), 0);
}

static void
test_list_name(void)
{
	static const struct {
		struct span name;
		bool want;
	} cases[] = {
		{ SPAN("weekly"), true }, { SPAN("a"), true },
		{ SPAN("0"), true }, { SPAN("a-b-"), true },
		{ SPAN("abcdefghijklmnopqrstuvwxyz012345"), true },
		{ SPAN("abcdefghijklmnopqrstuvwxyz0123456"), false },
		{ SPAN(""), false }, { SPAN("-a"), false },
		{ SPAN("Weekly"), false }, { SPAN("a_b"), false },
		{ SPAN("a.e"), false }, { SPAN("*"), false },
		{ SPAN("a b"), false }, { SPAN("a\0"), false },
		{ SPAN("gr\xc3\xbcn"), false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		CHECK_INT(list_name_is_valid(cases[i].name), cases[i].want);
	}
}

static void
test_method(void)
{
	static const struct {
		struct span method;
		bool want;
	} cases[] = {
		{ SPAN(""), true }, { SPAN("web-form"), true },
		{ SPAN("paper"), true }, { SPAN("ticked"), true },
		{ SPAN("unknownish"), true }, { SPAN("not-implied"), true },
		{ SPAN("-"), true }, { SPAN("implie"), true },
		{ SPAN("unknown"), false }, { SPAN("UNKNOWN"), false },
		{ SPAN("pre-ticked"), false }, { SPAN("Pre Ticked"), false },
		{ SPAN("pre_ticked"), false }, { SPAN("preticked"), false },
		{ SPAN("implied"), false }, { SPAN("purchased"), false },
		{ SPAN(" Purchased "), false },
		/* the end of a word is not a character of it */
		{ SPAN("unknown\0"), true }, { SPAN("unknown\0\0x"), true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		CHECK_INT(evidence_method_counts(cases[i].method),
		    cases[i].want);
	}
}

static void
test_evidence_set(void)
{
	static const struct {
		const char *name;
		struct span value;
		int rc;
		const char *want;
	} cases[] = {
		{ "source", SPAN("shop"), 0, "shop" },
		{ "source", SPAN(" \tshop form \r\n"), 0, "shop form" },
		{ "source", SPAN(""), 0, "" },
		{ "source", SPAN("gr\xc3\xbcn"), 0, "gr\xc3\xbcn" },
		{ "source", SPAN("\xc2\xa0"), 0, "\xc2\xa0" },
		{ "source", SPAN("\xc2\x85"), -1, "before" },
		{ "source", SPAN("a\0b"), -1, "before" },
		{ "source", SPAN("a\nb"), -1, "before" },
		{ "source", SPAN("a\x7f"), -1, "before" },
		{ "source", SPAN("\xff"), -1, "before" },
		{ "source", SPAN("\xc3"), -1, "before" },
		{ "Source", SPAN("shop"), -1, "before" },
		{ "colour", SPAN("shop"), -1, "before" },
		{ "", SPAN("shop"), -1, "before" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct evidence evidence = { .source = "before" };
		struct fail fail = { .class = FAIL_BUG };

		check_case((long)i);
		CHECK_INT(evidence_set(&evidence, cases[i].name,
		    cases[i].value, &fail), cases[i].rc);
		CHECK_STR(evidence.source, cases[i].want);
		CHECK_INT(fail.class, cases[i].rc == -1 ? FAIL_INPUT :
		    FAIL_BUG);
	}
}

static void
test_evidence_length(void)
{
	struct evidence evidence = { .source = "" };
	char text[EVIDENCE_TEXT_MAX + 1];
	struct fail fail;

	memset(text, 'x', sizeof(text));
	CHECK_INT(evidence_set(&evidence, "ip", span_of(text,
	    EVIDENCE_TEXT_MAX), &fail), 0);
	CHECK_BYTES(evidence.ip, strlen(evidence.ip), text, EVIDENCE_TEXT_MAX);
	CHECK_INT(evidence_set(&evidence, "ip", span_of(text,
	    EVIDENCE_TEXT_MAX + 1), &fail), -1);
}

/* Each name reaches its own field. */
static void
test_evidence_names(void)
{
	static const char *const want[EVIDENCE_FIELDS] = { "source", "notice",
	    "language", "method", "basis", "guardian", "ip", "digest",
	    "jurisdiction", "purpose" };
	struct evidence e = { .source = "" };
	struct fail fail;

	for (unsigned i = 0; i < EVIDENCE_FIELDS; i++) {
		check_case((long)i);
		CHECK_STR(evidence_name(i), want[i]);
		CHECK_INT(evidence_set(&e, want[i], span_str(want[i]), &fail),
		    0);
	}
	for (unsigned i = 0; i < EVIDENCE_FIELDS; i++) {
		check_case((long)i);
		CHECK_STR(evidence_get(&e, i), want[i]);
	}
	CHECK_STR(e.guardian, "guardian");
	CHECK_STR(e.ip, "ip");
	CHECK_STR(e.digest, "digest");
	CHECK_STR(e.jurisdiction, "jurisdiction");
	CHECK_STR(e.purpose, "purpose");
}

static int
parse(const char *text, struct event *event, struct fail *fail)
{
	struct json_object *object = NULL;
	int rc;

	CHECK_INT(json_object_parse(span_str(text), &object, fail), 0);
	if (object == NULL)
		return -2;
	rc = event_parse(object, event, fail);
	json_object_free(&object);
	return rc;
}

static void
test_format(void)
{
	static const struct {
		const char *json, *members;
	} cases[] = {
		{ "{\"event\":\"grant\",\"list\":\"weekly\"," HEAD ","
		    "\"source\":\"shop\",\"ip\":\"192.0.2.1\"}",
		  "\"event\":\"grant\",\"list\":\"weekly\",\"subject\":\""
		    SUBJECT "\",\"at\":\"2026-01-05T09:00:00.000Z\","
		    "\"source\":\"shop\",\"ip\":\"192.0.2.1\"" },
		/* the digest of an entry of the ledger is another one, and a
		 * basis that nobody knows any more is still what was said */
		{ "{\"event\":\"grant\",\"list\":\"weekly\"," HEAD ","
		    "\"basis\":\"former\",\"ip\":\"unknown\","
		    "\"notice_digest\":\"a\",\"purpose\":\"p\","
		    "\"jurisdiction\":\"SE\",\"digest\":\"b\"}",
		  "\"event\":\"grant\",\"list\":\"weekly\",\"subject\":\""
		    SUBJECT "\",\"at\":\"2026-01-05T09:00:00.000Z\","
		    "\"basis\":\"former\",\"ip\":\"unknown\","
		    "\"notice_digest\":\"a\",\"jurisdiction\":\"SE\","
		    "\"purpose\":\"p\"" },
		{ "{\"event\":\"withdraw\",\"subject\":\"" SUBJECT "\","
		    "\"at\":\"2026-01-05T11:00:00.1239+02:00\"}",
		  "\"event\":\"withdraw\",\"subject\":\"" SUBJECT "\","
		    "\"at\":\"2026-01-05T09:00:00.123Z\"" },
		{ "{\"event\":\"erase\",\"list\":null," HEAD ",\"time\":7}",
		  "\"event\":\"erase\",\"subject\":\"" SUBJECT "\","
		    "\"at\":\"2026-01-05T09:00:00.000Z\"" },
	};
	struct buf text = BUF_INIT(4096);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct event event;
		struct fail fail;

		check_case((long)i);
		CHECK_INT(parse(cases[i].json, &event, &fail), 0);
		buf_clear(&text);
		event_format(&text, &event);
		CHECK_STR(buf_get(&text), cases[i].members);
	}
	buf_fini(&text);
}

/* Every kind with everything in it, and quotes that need an escape. */
static void
test_round_trip(void)
{
	struct buf text = BUF_INIT(4096);
	struct event event = { .at_ms = 1 }, back;
	struct fail fail;

	for (unsigned i = 0; i < EVIDENCE_FIELDS; i++)
		CHECK_INT(evidence_set(&event.evidence, evidence_name(i),
		    SPAN("a\"b\\c/\xc3\xbc{}"), &fail), 0);
	memset(event.subject.id, 0xa5, SUBJECT_BYTES);
	for (int kind = 0; kind < EVENT_KINDS; kind++) {
		check_case(kind);
		event.kind = (enum event_kind)kind;
		memset(event.list, 0, sizeof(event.list));
		if (event_kind_has_list(event.kind))
			memset(event.list, 'a', LIST_NAME_MAX);
		buf_clear(&text);
		buf_add_char(&text, '{');
		event_format(&text, &event);
		buf_add_char(&text, '}');
		CHECK_INT(parse(buf_get(&text), &back, &fail), 0);
		CHECK_INT(back.kind, event.kind);
		CHECK_INT(back.at_ms, event.at_ms);
		CHECK_STR(back.list, event.list);
		CHECK(subject_is(&back.subject, &event.subject));
		CHECK(memcmp(&back.evidence, &event.evidence,
		    sizeof(back.evidence)) == 0);
	}
	buf_fini(&text);
}

static void
test_parse(void)
{
	static const struct {
		const char *json;
		int rc;
	} cases[] = {
		{ "{\"event\":\"grant\",\"list\":\"weekly\"," HEAD "}", 0 },
		{ "{\"event\":\"withdraw\",\"list\":\"weekly\"," HEAD "}", 0 },
		{ "{\"event\":\"withdraw\"," HEAD "}", 0 },
		{ "{\"event\":\"object\"," HEAD "}", 0 },
		{ "{\"event\":\"restrict\"," HEAD ",\"colour\":[1]}", 0 },
		{ "{\"event\":\"grant\",\"list\":\"weekly\"," HEAD
		    ",\"source\":null}", 0 },
		/* a list where there must be one, none where there must not */
		{ "{\"event\":\"grant\"," HEAD "}", -1 },
		{ "{\"event\":\"confirm\"," HEAD "}", -1 },
		{ "{\"event\":\"unproven\",\"list\":null," HEAD "}", -1 },
		{ "{\"event\":\"object\",\"list\":\"weekly\"," HEAD "}", -1 },
		{ "{\"event\":\"erase\",\"list\":\"\"," HEAD "}", -1 },
		{ "{\"event\":\"restrict\",\"list\":\"a\"," HEAD "}", -1 },
		{ "{\"event\":\"unrestrict\",\"list\":\"a\"," HEAD "}", -1 },
		{ "{\"event\":\"withdraw\",\"list\":\"\"," HEAD "}", -1 },
		{ "{\"event\":\"grant\",\"list\":\"Weekly\"," HEAD "}", -1 },
		{ "{\"event\":\"grant\",\"list\":\"a\\u0000\"," HEAD "}", -1 },
		{ "{\"event\":\"grant\",\"list\":7," HEAD "}", -1 },
		{ "{\"event\":\"grant\",\"list\":"
		    "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"," HEAD "}", -1 },
		{ "{\"event\":\"opt-in\",\"list\":\"a\"," HEAD "}", -1 },
		{ "{\"event\":1,\"list\":\"a\"," HEAD "}", -1 },
		{ "{\"list\":\"a\"," HEAD "}", -1 },
		{ "{\"event\":\"object\",\"subject\":\"" SUBJECT "\"}", -1 },
		{ "{\"event\":\"object\",\"at\":\"2026-01-05\"}", -1 },
		{ "{\"event\":\"object\",\"subject\":\"" SUBJECT "0\","
		    "\"at\":\"2026-01-05\"}", -1 },
		{ "{\"event\":\"object\",\"subject\":\"\","
		    "\"at\":\"2026-01-05\"}", -1 },
		{ "{\"event\":\"object\",\"subject\":\"" SUBJECT "\","
		    "\"at\":1767603600000}", -1 },
		{ "{\"event\":\"object\",\"subject\":\"" SUBJECT "\","
		    "\"at\":\"yesterday\"}", -1 },
		/* 0 is `never' and no time */
		{ "{\"event\":\"object\",\"subject\":\"" SUBJECT "\","
		    "\"at\":\"1970-01-01T00:00:00Z\"}", -1 },
		{ "{\"event\":\"grant\",\"list\":\"a\"," HEAD
		    ",\"source\":7}", -1 },
		{ "{\"event\":\"grant\",\"list\":\"a\"," HEAD
		    ",\"notice\":\"a\\nb\"}", -1 },
		{ "{\"event\":\"grant\",\"list\":\"a\"," HEAD
		    ",\"ip\":\"a\\u0000\"}", -1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct event event = { .at_ms = -7 };
		struct fail fail = { .class = FAIL_BUG };

		check_case((long)i);
		CHECK_INT(parse(cases[i].json, &event, &fail), cases[i].rc);
		if (cases[i].rc == 0)
			continue;
		CHECK_INT(fail.class, FAIL_INPUT);
		CHECK_INT(event.at_ms, -7);	/* untouched */
	}
}

static const struct check_test tests[] = {
	{ "kinds", test_kinds },
	{ "list_name", test_list_name },
	{ "method", test_method },
	{ "evidence_set", test_evidence_set },
	{ "evidence_length", test_evidence_length },
	{ "evidence_names", test_evidence_names },
	{ "format", test_format },
	{ "round_trip", test_round_trip },
	{ "parse", test_parse },
};

CHECK_MAIN("event", tests)
