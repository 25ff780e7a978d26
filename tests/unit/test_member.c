/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "base/member.h"

#include <string.h>

#include "check.h"
#include "consent/event.h"

static const struct span names[] = { SPAN("a"), SPAN("b") };

/* NULL: the parser has to be asked; "-": not there or no string. */
static void
test_scan(void)
{
	static const struct {
		const char *text;
		const char *a, *b;
	} cases[] = {
		{ "\"a\":\"x\",\"b\":\"y\"", "x", "y" },
		{ "\"b\":\"\",\"c\":\"z\"", "-", "" },
		{ "\"a\":null,\"c\":-1.5e+3", "-", "-" },
		{ "\"a\":null,\"b\":-1.5e+3", NULL, NULL },
		{ "\"a\":\"x\",\"b\":true", NULL, NULL },
		{ "\"c\":\"q\\\"\\\\\",\"a\":\"x\"", "x", "-" },
		{ "\"c\":\"\\\\\\\"\",\"a\":\"x\"", "x", "-" },
		{ "\"c\":\"\xc3\xa4\",\"a\":\"x\"", "x", "-" },
		{ "\"c\":\"a\",\"d\":\"\\\"a\\\":\"", "-", "-" },
		{ "\"aa\":\"x\",\"\":\"y\"", "-", "-" },
		{ "\"c\":1,\"c\":2,\"a\":\"x\"", "x", "-" },
		{ "\"a\":\"x\",\"a\":\"y\"", NULL, NULL },
		{ "\"a\":1,\"a\":\"y\"", NULL, NULL },
		{ "\"a\":\"\\u0078\"", NULL, NULL },
		{ "\"a\":\"\xc3\xa4\"", NULL, NULL },
		{ "\"a\":\"\n\"", NULL, NULL },
		{ "\"\\u0061\":\"x\"", NULL, NULL },
		{ "\"c\":{\"a\":\"x\"}", NULL, NULL },
		{ "\"c\":[\"a\"]", NULL, NULL }, { "", NULL, NULL },
		{ "{\"a\":\"x\"}", NULL, NULL },
		{ "\"a\":\"x", NULL, NULL },
		{ "\"a\":\"x\"}", NULL, NULL },
		{ "\"a\":\"x\" ", NULL, NULL },
		{ "\"a\":\"x\",", NULL, NULL },
		{ "\"a\" :\"x\"", NULL, NULL },
		{ "\"a\":", NULL, NULL }, { "\"a\":\"", NULL, NULL },
		{ "\"a\":\"\\", NULL, NULL }, { "\"a\":\"\\\"", NULL, NULL },
		{ "[\"a\"]", NULL, NULL }, { "\"a", NULL, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *const want[2] = { cases[i].a, cases[i].b };
		struct span values[2];
		int rc = member_scan(span_str(cases[i].text), names, 2,
		    values);

		check_case((long)i);
		CHECK_INT(rc, cases[i].a == NULL ? -1 : 0);
		for (size_t v = 0; rc == 0 && v < 2; v++) {
			CHECK_INT(values[v].p == NULL,
			    strcmp(want[v], "-") == 0);
			if (values[v].p != NULL)
				CHECK(span_is(values[v], span_str(want[v])));
		}
	}
}

/* No byte of what comes after the text is looked at. */
static void
test_bounds(void)
{
	static const char whole[] = "\"a\":\"x\",\"d\":true,\"c\":\"\\\"\"";
	struct span values[2];

	for (size_t len = 0; len < sizeof(whole) - 1; len++) {
		char *copy = malloc(len + 1);

		memcpy(copy, whole, len);
		check_case((long)len);
		/* a whole member, a shorter word, or a piece */
		CHECK_INT(member_scan(span_of(copy, len), names, 2, values),
		    len == 7 || (len > 12 && len < 17) ? 0 : -1);
		free(copy);
	}
	CHECK_INT(member_scan(span_str(whole), names, 2, values), 0);
}

static void
test_event(void)
{
#define WHO	"\"subject\":\"00112233445566778899aabbccddeeff\","
#define AT	"\"at\":\"1970-01-01T00:00:00.007Z\""
	static const struct {
		const char *body;
		int rc;
		enum event_kind kind;
		const char *list;
	} cases[] = {
		{ "\"event\":\"grant\",\"list\":\"a\"," WHO AT, 0, EVENT_GRANT,
		    "a" },
		{ "\"event\":\"withdraw\"," WHO AT, 0, EVENT_WITHDRAW, "" },
		{ "\"event\":\"erase\"," WHO AT ",\"source\":\"\\u00e4\"", 0,
		    EVENT_ERASE, "" },
		{ "\"event\":\"grant\"," WHO AT, -1, 0, "" },
		{ "\"event\":\"erase\",\"list\":\"a\"," WHO AT, -1, 0, "" },
		{ "\"event\":\"grant\",\"list\":\"A\"," WHO AT, -1, 0, "" },
		{ "\"event\":\"grant\",\"list\":\"\"," WHO AT, -1, 0, "" },
		{ "\"event\":\"grants\",\"list\":\"a\"," WHO AT, -1, 0, "" },
		{ "\"event\":\"erase\"," AT, -1, 0, "" },
		{ "\"event\":\"erase\"," WHO "\"at\":\"soon\"", -1, 0, "" },
		{ "\"event\":\"erase\"," WHO
		    "\"at\":\"1970-01-01T00:00:00Z\"", -1, 0, "" },
		{ "\"event\":5," WHO AT, -1, 0, "" }, { "", -1, 0, "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct event event;
		int64_t recorded_ms;
		int rc = event_scan(span_str(cases[i].body), &event,
		    &recorded_ms);

		check_case((long)i);
		CHECK_INT(rc, cases[i].rc);
		if (rc == -1)
			continue;
		CHECK_INT(event.kind, cases[i].kind);
		CHECK_STR(event.list, cases[i].list);
		CHECK_INT(event.at_ms, 7);
		CHECK_INT(event.subject.id[1], 0x11);
		CHECK_INT(recorded_ms, 0);
	}
}

/* With its evidence, whether the scanner or the parser read it. */
static void
test_event_body(void)
{
	static const struct {
		const char *more;
		int rc;
		const char *source, *digest;
		bool restated;
	} cases[] = {
		{ ",\"source\":\"shop\"", 0, "shop", "", false },
		{ ",\"notice_digest\":\"ab\",\"digest\":\"no\"", 0, "", "ab",
		    false },
		{ ",\"source\":\"B\xc3\xa4r\"", 0, "B\xc3\xa4r", "", false },
		{ ",\"source\":\"B\\u00e4r\"", 0, "B\xc3\xa4r", "", false },
		{ ",\"restated_at\":\"1\",\"source\":\"a\"", 0, "a", "",
		    true },
		{ ",\"more\":{\"source\":\"x\"}", 0, "", "", false },
		{ ",\"source\":\"\xff\"", -1, "", "", false },
		{ ",\"source\":5", -1, "", "", false },
		{ ",\"list\":\"b\"", -1, "", "", false },
		{ ",\"source\":\"a\",\"source\":\"b\"", -1, "", "", false },
		{ "}", -1, "", "", false }, { ",", -1, "", "", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf body = BUF_INIT(1024);
		struct event event;
		struct fail fail;

		check_case((long)i);
		buf_add_str(&body, "\"event\":\"grant\",\"list\":\"a\"," WHO AT);
		buf_add_str(&body, cases[i].more);
		CHECK_INT(event_read_body(buf_span(&body), &event, &fail),
		    cases[i].rc);
		buf_fini(&body);
		if (cases[i].rc == -1)
			continue;
		CHECK_STR(event.list, "a");
		CHECK_STR(event.evidence.source, cases[i].source);
		CHECK_STR(event.evidence.digest, cases[i].digest);
		CHECK_INT(event.restated, cases[i].restated);
	}
}

static const struct check_test tests[] = {
	{ "event_body", test_event_body },
	{ "scan", test_scan },
	{ "bounds", test_bounds },
	{ "event", test_event },
};

CHECK_MAIN("member", tests)
