/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "mail/authres.h"

#include "check.h"

#define AR	"Authentication-Results: "

static void
test_has_dkim(void)
{
	static const struct {
		const char *header;
		bool good;
	} cases[] = {
		{ AR "mx.a; dkim=pass header.d=b.example", true },
		/* as OpenDKIM and rspamd write it */
		{ AR "mx.a;\n\tdkim=pass (2048-bit key; unprotected) "
		  "header.d=b.example header.i=@b.example "
		  "header.a=rsa-sha256 header.s=s header.b=Ab+/c=;\n"
		  "\tdkim-atps=neutral\n", true },
		{ AR "mx.a;\r\n\tspf=pass smtp.mailfrom=x@b.example;\r\n"
		  "\tdkim=pass header.d=b.example header.s=s\r\n", true },
		{ AR "mx.a 1; dkim/1 = PASS reason=\"x;y\" "
		  "HEADER.D=B.EXAMPLE;", true },
		{ AR "(c) \"mx.a\" (d); dkim=pass header.i=u@b.example",
		  true },
		{ AR "MX.A; dkim=fail header.d=b.example; dkim=pass "
		  "header.d=b.example", true },
		{ AR "mx.b; dkim=fail header.d=b.example\n"
		  AR "mx.a; dkim=pass header.d=b.example", true },

		{ "", false }, { AR "\n", false }, { AR "mx.a", false },
		{ AR "mx.a; none", false }, { AR "mx.a;", false },
		{ AR "mx.a; dkim=pass", false },
		{ AR "mx.a; dkim=fail header.d=b.example", false },
		{ AR "mx.a; dkim=none", false },
		{ AR "mx.a 2; dkim=pass header.d=b.example", false },
		{ AR "mx.a; spf=pass header.d=b.example", false },
		{ AR "mx.a; xdkim=pass header.d=b.example", false },
		{ AR "mx.a; dkim=passed header.d=b.example", false },
		{ AR "mx.a; dkim=pass header.d=x.b.example", false },
		{ AR "mx.a; dkim=pass header.d=example", false },
		{ AR "mx.a; dkim=pass header.d=b.example.c", false },
		{ AR "mx.a; dkim=pass header.from=b.example", false },
		{ AR "mx.a; dkim=pass header.d=c.example; "
		  "spf=pass header.d=b.example", false },
		{ AR "mx.a; dkim=pass header.i=b.example@c.example", false },
		/* another server, or somebody who claims to be ours below */
		{ AR "mx.b; dkim=pass header.d=b.example", false },
		{ AR "mx.a.b; dkim=pass header.d=b.example", false },
		{ AR "x mx.a; dkim=pass header.d=b.example", false },
		{ AR "mx.a; dkim=fail header.d=b.example\n"
		  AR "mx.a; dkim=pass header.d=b.example", false },
		{ AR "mx.a; none\n" AR "mx.a; dkim=pass header.d=b.example",
		  false },
		{ "X-" AR "mx.a; dkim=pass header.d=b.example", false },
		{ "Subject: x\n " AR "mx.a; dkim=pass header.d=b.example",
		  false },
		/* hidden where it counts for nothing */
		{ AR "mx.a; spf=none (; dkim=pass header.d=b.example)",
		  false },
		{ AR "mx.a; spf=none reason=\"; dkim=pass "
		  "header.d=b.example\"", false },
		{ AR "mx.a; spf=none reason=\"\\\"; dkim=pass "
		  "header.d=b.example\"", false },
		{ AR "mx.a; dkim=pass header.s=\"header.d=b.example", false },
		{ AR "mx.a; dkim=pass header.d=\"@b.example\"", false },
		/* what can't be read */
		{ AR "mx.a; dkim=pass header.d=b.example; x", false },
		{ AR "mx.a; dkim=pass header.d=b.example y", false },
		{ AR "mx.a; dkim=pass header.d=", false },
		{ AR "mx.a dkim=pass header.d=b.example", false },
		{ AR "\"", false }, { AR "mx.a; \"\\", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		CHECK_INT(authres_has_dkim(span_str(cases[i].header),
		    SPAN("mx.a"), SPAN("b.example")), cases[i].good);
		CHECK(!authres_has_dkim(span_str(cases[i].header), SPAN(""),
		    SPAN("b.example")));
	}
}

static const struct check_test tests[] = {
	{ "has dkim", test_has_dkim },
};

CHECK_MAIN("authres", tests)
