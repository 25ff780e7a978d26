/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <arpa/inet.h>

#include "consent/policy.h"
#include "check.h"

static void
test_list_by_name(void)
{
	struct list lists[] = { { .id = "weekly" }, { .id = "week" } };
	struct policy policy = { .lists = lists, .list_count = 2 };
	struct policy none = { .list_count = 0 };

	CHECK(policy_list(&policy, SPAN("week")) == &lists[1]);
	CHECK(policy_list(&policy, SPAN("weekly")) == &lists[0]);
	CHECK(policy_list(&policy, SPAN("Weekly")) == NULL);
	CHECK(policy_list(&policy, SPAN("week\0ly")) == NULL);
	CHECK(policy_list(&policy, SPAN("")) == NULL);
	CHECK(policy_list(&none, SPAN("weekly")) == NULL);
}

static void
test_network_parse(void)
{
	static const struct {
		struct span text;
		int prefix;		/* -1: refused */
	} cases[] = {
		{ SPAN("192.0.2.0/24"), 120 }, { SPAN("192.0.2.1"), 128 },
		{ SPAN("192.0.2.1/32"), 128 }, { SPAN("0.0.0.0/0"), 96 },
		{ SPAN("10.0.0.0/7"), 103 }, { SPAN("192.0.2.128/25"), 121 },
		{ SPAN("2001:db8::/32"), 32 }, { SPAN("::/0"), 0 },
		{ SPAN("2001:db8::1"), 128 }, { SPAN("2001:DB8::1/128"), 128 },
		{ SPAN("::ffff:192.0.2.0/120"), 120 },
		{ SPAN("192.0.2.1/24"), -1 }, { SPAN("192.0.2.128/24"), -1 },
		{ SPAN("0.0.0.1/0"), -1 }, { SPAN("2001:db8::1/127"), -1 },
		{ SPAN("192.0.2.0/33"), -1 }, { SPAN("2001:db8::/129"), -1 },
		{ SPAN("192.0.2.0/"), -1 }, { SPAN("192.0.2.0/024"), -1 },
		{ SPAN("192.0.2.0/+24"), -1 }, { SPAN("192.0.2.0/-1"), -1 },
		{ SPAN("192.0.2.0/24 "), -1 }, { SPAN("192.0.2.0/24/8"), -1 },
		{ SPAN("192.0.2.0/18446744073709551616"), -1 },
		{ SPAN("192.0.2"), -1 }, { SPAN("192.0.2.256"), -1 },
		{ SPAN("192.0.2.1\0"), -1 }, { SPAN("192.0.2.1\0/24"), -1 },
		{ SPAN("fe80::1%eth0"), -1 }, { SPAN("[::1]"), -1 },
		{ SPAN("localhost"), -1 }, { SPAN("/24"), -1 },
		{ SPAN(""), -1 },
		/* as long as an address can be with its NUL, and longer */
		{ SPAN("1111:2222:3333:4444:5555:6666:7777:8888:9999:a"),
		    -1 },
		{ SPAN("1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa"),
		    -1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct network network = { { 0 }, 999 };
		struct fail fail = { .class = FAIL_BUG };
		int rc = network_parse(cases[i].text, &network, &fail);

		check_case((long)i);
		CHECK_INT(rc, cases[i].prefix == -1 ? -1 : 0);
		CHECK_INT(network.prefix_bits,
		    cases[i].prefix == -1 ? 999 : cases[i].prefix);
		if (rc == -1)
			CHECK_INT(fail.class, FAIL_INPUT);
	}
}

static void
read_address(const char *text, unsigned char out[16])
{
	static const unsigned char mapped[12] =
	    { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	memcpy(out, mapped, sizeof(mapped));
	if (inet_pton(AF_INET, text, out + 12) != 1)
		CHECK_INT(inet_pton(AF_INET6, text, out), 1);
}

static void
test_network_has(void)
{
	static const struct {
		const char *network, *address;
		bool want;
	} cases[] = {
		{ "192.0.2.0/24", "192.0.2.0", true },
		{ "192.0.2.0/24", "192.0.2.255", true },
		{ "192.0.2.0/24", "192.0.3.0", false },
		{ "192.0.2.0/24", "192.0.1.255", false },
		{ "192.0.2.128/25", "192.0.2.127", false },
		{ "192.0.2.128/25", "192.0.2.128", true },
		{ "192.0.2.8/31", "192.0.2.9", true },
		{ "192.0.2.8/31", "192.0.2.10", false },
		{ "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1", "192.0.2.3", false },
		{ "0.0.0.0/0", "203.0.113.7", true },
		{ "0.0.0.0/0", "2001:db8::1", false },
		{ "2001:db8::/32", "2001:db8:ffff::1", true },
		{ "2001:db8::/32", "2001:db9::", false },
		{ "2001:db8::/33", "2001:db8:8000::", false },
		{ "::/0", "2001:db8::1", true },
		{ "::/0", "192.0.2.1", true },
		{ "::1", "::1", true },
		{ "::1", "::", false },
		{ "::ffff:192.0.2.0/120", "192.0.2.77", true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct network network;
		unsigned char address[16];
		struct fail fail;

		check_case((long)i);
		CHECK_INT(network_parse(span_str(cases[i].network), &network,
		    &fail), 0);
		read_address(cases[i].address, address);
		CHECK_INT(network_has(&network, address), cases[i].want);
	}
}

static void
test_grant_kind(void)
{
	static const struct list plain = { .id = "a" };
	static const struct list special = { .special_category = true };
	static const struct list soft = { .bases = 1u << BASIS_SOFT_OPT_IN };
	static const struct {
		const struct list *list;
		struct evidence evidence;
		enum event_kind want;
	} cases[] = {
		{ &plain, { .basis = "" }, EVENT_GRANT },
		{ &plain, { .basis = "explicit-consent" }, EVENT_GRANT },
		{ &plain, { .basis = "soft-opt-in" }, EVENT_UNPROVEN },
		{ &plain, { .basis = "former" }, EVENT_UNPROVEN },
		{ &plain, { .method = "implied" }, EVENT_UNPROVEN },
		{ &special, { .basis = "" }, EVENT_UNPROVEN },
		{ &special, { .basis = "explicit-consent" }, EVENT_GRANT },
		{ &soft, { .basis = "soft-opt-in" }, EVENT_GRANT },
		{ &soft, { .basis = "consent" }, EVENT_UNPROVEN },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		CHECK_INT(policy_grant_kind(cases[i].list, 1,
		    &cases[i].evidence), cases[i].want);
	}
}

/* A list's own word wins, whatever the filter's is. */
static void
test_modes(void)
{
	static struct list lists[] = { { .id = "a" }, { .id = "b" } };
	static const struct {
		bool observe;
		enum list_mode a, b;
		bool none, first, all;	/* observed */
	} cases[] = {
		{ false, LIST_MODE_DEFAULT, LIST_MODE_DEFAULT, false, false,
		  false },
		{ true, LIST_MODE_DEFAULT, LIST_MODE_DEFAULT, true, true,
		  true },
		{ true, LIST_MODE_ENFORCE, LIST_MODE_DEFAULT, true, false,
		  false },
		{ true, LIST_MODE_OBSERVE, LIST_MODE_ENFORCE, true, true,
		  false },
		{ true, LIST_MODE_OBSERVE, LIST_MODE_OBSERVE, true, true,
		  true },
		{ false, LIST_MODE_OBSERVE, LIST_MODE_DEFAULT, false, true,
		  false },
		/* Bulk mail of no list is still refused. */
		{ false, LIST_MODE_OBSERVE, LIST_MODE_OBSERVE, false, true,
		  false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct policy policy = { .observe = cases[i].observe,
		    .lists = lists, .list_count = 2 };

		lists[0].mode = cases[i].a;
		lists[1].mode = cases[i].b;
		check_case((long)i);
		CHECK(policy_observes(&policy, NULL) == cases[i].none);
		CHECK(policy_observes(&policy, &lists[0]) == cases[i].first);
		CHECK(policy_observes_all(&policy) == cases[i].all);
	}
}

static void
test_grant_notice(void)
{
	static char wanted[] = "sign up 3";
	static const struct list always = { .notice = wanted };
	static const struct list since = { .notice = wanted,
	    .notice_since_ms = 100 };
	static const struct {
		const struct list *list;
		int64_t at_ms;
		const char *notice;
		enum grant_fault want;
	} cases[] = {
		{ &always, 1, "sign up 3", GRANT_COUNTS },
		{ &always, 1, "sign up 3.1", GRANT_COUNTS },
		{ &always, 1, " sign up  12.0-beta ", GRANT_COUNTS },
		{ &always, 1, "sign up 2.9", GRANT_NOTICE },
		{ &always, 1, "sign up", GRANT_NOTICE },
		{ &always, 1, "sign up 3a", GRANT_NOTICE },
		{ &always, 1, "sign up x", GRANT_NOTICE },
		{ &always, 1, "sign up -4", GRANT_NOTICE },
		{ &always, 1, "sign up 99999999999999999999", GRANT_NOTICE },
		{ &always, 1, "Sign up 3", GRANT_NOTICE },
		{ &always, 1, "3", GRANT_NOTICE },
		{ &always, 1, "", GRANT_NOTICE },
		{ &since, 99, "", GRANT_COUNTS },
		{ &since, 99, "sign up 2", GRANT_COUNTS },
		{ &since, 100, "sign up 2", GRANT_NOTICE },
		{ &since, 100, "sign up 3", GRANT_COUNTS },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct evidence evidence = { .source = "" };

		(void)snprintf(evidence.notice, sizeof(evidence.notice), "%s",
		    cases[i].notice);
		check_case((long)i);
		CHECK_INT(policy_grant_fault(cases[i].list, cases[i].at_ms,
		    &evidence), cases[i].want);
	}
	CHECK(policy_notice_is_valid(SPAN("a 3")));
	CHECK(policy_notice_is_valid(SPAN("a.b c 0")));
	CHECK(!policy_notice_is_valid(SPAN("a")));
	CHECK(!policy_notice_is_valid(SPAN("3")));
	CHECK(!policy_notice_is_valid(SPAN(" 3")));
	CHECK(!policy_notice_is_valid(SPAN("a 3.1")));
	CHECK(!policy_notice_is_valid(SPAN("a x")));
	CHECK(!policy_notice_is_valid(SPAN("a ")));
	CHECK(!policy_notice_is_valid(SPAN("")));
}

static const struct check_test tests[] = {
	{ "list_by_name", test_list_by_name },
	{ "network_parse", test_network_parse },
	{ "network_has", test_network_has },
	{ "grant_kind", test_grant_kind },
	{ "modes", test_modes },
	{ "grant_notice", test_grant_notice },
};

CHECK_MAIN("policy", tests)
