/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "consent/event.h"
#include "check.h"

#define SHA	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SHA_UP	"E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"

static void
test_basis(void)
{
	static const char *const names[BASES] = { "consent",
	    "explicit-consent", "soft-opt-in", "charity-soft-opt-in",
	    "casl-implied", "legitimate-interest" };
	struct fail fail = { .class = FAIL_BUG };
	enum basis basis;

	for (int i = 0; i < BASES; i++) {
		check_case(i);
		CHECK_STR(evidence_basis_name((enum basis)i), names[i]);
		CHECK_INT(evidence_basis_parse(span_str(names[i]), &basis,
		    &fail), 1);
		CHECK_INT(basis, i);
	}
	check_case(-1);
	basis = BASIS_CASL_IMPLIED;
	CHECK_INT(evidence_basis_parse(SPAN(""), &basis, &fail), 1);
	CHECK_INT(basis, BASIS_CONSENT);
	CHECK_INT(evidence_basis_parse(SPAN("consent\0"), &basis, &fail),
	    0);
	CHECK_INT(evidence_basis_parse(SPAN("soft-optin"), &basis, &fail),
	    0);
	CHECK_INT(fail.class, FAIL_INPUT);
	CHECK(strstr(fail.text, "did you mean \"soft-opt-in\"?") != NULL);
	CHECK_INT(evidence_basis_parse(SPAN("a basis that is longer than "
	    "everything that we would ever want to print in a message"),
	    &basis, &fail), 0);
	CHECK(strstr(fail.text, "legitimate-interest") != NULL);
}

/* What evidence_check() makes of a value: NULL when it is refused. */
static void
test_check(void)
{
	static const struct {
		const char *name, *value, *want;
	} cases[] = {
		{ "language", "", "" }, { "language", "en", "en" },
		{ "language", "pt-BR", "pt-BR" },
		{ "language", "zh-Hant-TW", "zh-Hant-TW" },
		{ "language", "de-CH-1901", "de-CH-1901" },
		{ "language", "en-a-bbb-x-a", "en-a-bbb-x-a" },
		{ "language", "x-klingon", "x-klingon" },
		{ "language", "i-enochian", "i-enochian" },
		{ "language", "x", NULL }, { "language", "e", NULL },
		{ "language", "a-b", NULL }, { "language", "en-", NULL },
		{ "language", "-en", NULL }, { "language", "en--US", NULL },
		{ "language", "en_US", NULL }, { "language", "e1", NULL },
		{ "language", "english12", NULL },
		{ "language", "en-a", NULL },
		{ "language", "en-abcdefghi", NULL },
		{ "language", "svensk\xc3\xa5", NULL },
		{ "basis", "soft-opt-in", "soft-opt-in" },
		{ "basis", "Consent", NULL }, { "basis", "none", NULL },
		{ "ip", "192.0.2.77", "192.0.2.0" },
		{ "ip", "192.0.2.0", "192.0.2.0" },
		{ "ip", "2001:DB8:1:2:3:4:5:6", "2001:db8:1::" },
		{ "ip", "::1", "::" },
		{ "ip", "::ffff:192.0.2.77", "192.0.2.0" },
		{ "ip", "192.0.2", NULL }, { "ip", "192.0.2.0/24", NULL },
		{ "ip", "fe80::1%eth0", NULL }, { "ip", "localhost", NULL },
		{ "digest", SHA, SHA }, { "digest", SHA_UP, SHA },
		{ "digest", SHA "0", NULL }, { "digest", "e3", NULL },
		{ "digest", "x" SHA, NULL },
		{ "jurisdiction", "SE", "SE" },
		{ "jurisdiction", "ca-qc", "CA-QC" },
		{ "jurisdiction", "GB-ENG", "GB-ENG" },
		{ "jurisdiction", "S", NULL }, { "jurisdiction", "S1", NULL },
		{ "jurisdiction", "SWE", NULL },
		{ "jurisdiction", "SE-", NULL },
		{ "jurisdiction", "SE-ABCD", NULL },
		{ "jurisdiction", "SE_AB", NULL },
		{ "jurisdiction", "SE-A.", NULL },
		{ "purpose", "News, once a week", "News, once a week" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct evidence e = { .source = "shop" };
		struct fail fail = { .class = FAIL_BUG };
		unsigned field = 0;

		check_case((long)i);
		while (strcmp(evidence_name(field), cases[i].name) != 0)
			field++;
		CHECK_INT(evidence_set(&e, cases[i].name,
		    span_str(cases[i].value), &fail), 0);
		CHECK_INT(evidence_check(&e, EVIDENCE_IP_TRUNCATED, &fail),
		    cases[i].want == NULL ? -1 : 0);
		if (cases[i].want != NULL)
			CHECK_STR(evidence_get(&e, field), cases[i].want);
		else
			CHECK_INT(fail.class, FAIL_INPUT);
		CHECK_STR(e.source, "shop");
	}
}

static void
test_ip_forms(void)
{
	static const struct {
		enum evidence_ip form;
		const char *v4, *v6;
	} cases[] = {
		{ EVIDENCE_IP_TRUNCATED, "192.0.2.0", "2001:db8::" },
		{ EVIDENCE_IP_OFF, "", "" },
		{ EVIDENCE_IP_FULL, "192.0.2.9", "2001:db8::9" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct evidence v4 = { .ip = "192.0.2.9" };
		struct evidence v6 = { .ip = "2001:0db8::0009" };
		struct evidence none = { .ip = "" }, bad = { .ip = "9" };
		struct fail fail;

		check_case((long)i);
		CHECK_INT(evidence_check(&v4, cases[i].form, &fail), 0);
		CHECK_INT(evidence_check(&v6, cases[i].form, &fail), 0);
		CHECK_INT(evidence_check(&none, cases[i].form, &fail), 0);
		CHECK_INT(evidence_check(&bad, cases[i].form, &fail), -1);
		CHECK_STR(v4.ip, cases[i].v4);
		CHECK_STR(v6.ip, cases[i].v6);
		CHECK_STR(none.ip, "");
	}
}

static const struct check_test tests[] = {
	{ "basis", test_basis },
	{ "check", test_check },
	{ "ip_forms", test_ip_forms },
};

CHECK_MAIN("evidence", tests)
