/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "mail/mime.h"

#include "check.h"

static void
check_span(struct span got, const char *want)
{
	if (span_is(got, span_str(want)))
		return;
	CHECK(!"the text");
	fprintf(stderr, "got \"%.*s\", want \"%s\"\n", (int)got.len,
	    (const char *)got.p, want);
}

static void
test_fields(void)
{
	struct span header = SPAN("no colon\nA: 1\r\n\t2\r\nb :\nA:3\n x");
	struct span first = SPAN("");
	struct mime_field field;

	CHECK_INT(mime_count_fields(header, SPAN("a"), &first), 2);
	check_span(first, "1\r\n\t2");
	CHECK_INT(mime_count_fields(header, SPAN("B"), &first), 1);
	check_span(first, "");
	CHECK_INT(mime_count_fields(header, SPAN("no"), &first), 0);
	while (mime_next_field(&header, &field))
		continue;
	CHECK_INT(header.len, 0);
	check_span(field.value, "3\n x");
}

static void
test_split(void)
{
	static const struct {
		const char *entity, *header, *body;
	} cases[] = {
		{ "", "", "" }, { "A: 1", "A: 1", "" }, { "\nb", "", "b" },
		{ "A: 1\n\nb\n\nc", "A: 1\n", "b\n\nc" },
		{ "A: 1\r\n\r\nb", "A: 1\r\n", "b" },
		{ "A: 1\n \nb", "A: 1\n \nb", "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct span header, body;

		check_case((long)i);
		mime_split(span_str(cases[i].entity), &header, &body);
		check_span(header, cases[i].header);
		check_span(body, cases[i].body);
	}
}

static void
test_parameter(void)
{
	static const struct {
		const char *value, *want;	/* NULL: there is none */
	} cases[] = {
		{ "a/b; boundary=x", "x" }, { "a/b;BOUNDARY = x ; c=d", "x" },
		{ "a/b; boundary=\"x y\"", "x y" },
		{ "a/b; boundary=\"x;\\\"y\"; c=d", "x;\"y" },
		{ "a/b;\r\n\tboundary=\"x\"", "x" },
		{ "a/b (; boundary=no); (c) boundary=x (d)", "x" },
		{ "a/b; c=\"; boundary=no\"; boundary=x", "x" },
		{ "a/b; boundary=\"x", "x" }, { "a/b; boundary=\"x\\", "x" },
		{ "a/b; boundary=", "" }, { "a/b; boundary=\"", "" },
		{ "a/b; boundary", NULL }, { "boundary=x", NULL },
		{ "a/b; xboundary=x", NULL }, { "", NULL }, { ";", NULL },
		{ "a/b; boundary=x; boundary=y", NULL },
		{ "a/b; boundary*0=x", NULL }, { "a/b; (boundary=x", NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_INIT(MIME_BOUNDARY_MAX);

		check_case((long)i);
		CHECK_INT(mime_parameter(&out, span_str(cases[i].value),
		    SPAN("boundary")), cases[i].want != NULL);
		if (cases[i].want != NULL)
			check_span(buf_span(&out), cases[i].want);
		buf_fini(&out);
	}
}

static void
test_parts(void)
{
	static const struct {
		const char *body, *want[4];
	} cases[] = {
		{ "", { NULL } }, { "--x", { "", NULL } },
		{ "--x--\n--x\na", { NULL } }, { "x\n", { NULL } },
		{ "before\n--x\na\n--x\nb\n--x--\nbehind\n--x\nc",
		  { "a\n", "b\n", NULL } },
		{ "--x \r\na\r\n--x\t\nb", { "a\r\n", "b", NULL } },
		{ "--x\n--x\n--x\n", { "", "", "", NULL } },
		/* an inner boundary that starts with the outer one */
		{ "--x\n--xy\na\n--xy--\n--x--\n",
		  { "--xy\na\n--xy--\n", NULL } },
		{ "--x\na --x\n--X\n -- x\n--x-\n",
		  { "a --x\n--X\n -- x\n--x-\n", NULL } },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct span body = span_str(cases[i].body), part;
		size_t n = 0;

		check_case((long)i);
		for (; n < 3 && mime_next_part(&body, SPAN("x"), &part); n++) {
			if (cases[i].want[n] == NULL)
				break;
			check_span(part, cases[i].want[n]);
		}
		CHECK(cases[i].want[n] == NULL);
		CHECK(!mime_next_part(&body, SPAN("x"), &part));
	}
}

/* Without a boundary, or with one too long, there are no parts. */
static void
test_boundary(void)
{
	char body[200] = "--";
	struct span text = span_of(body, sizeof(body)), part;

	CHECK(!mime_next_part(&text, SPAN(""), &part));
	memset(body + 2, 'x', sizeof(body) - 2);
	body[2 + MIME_BOUNDARY_MAX] = body[3 + MIME_BOUNDARY_MAX] = '\n';
	CHECK(mime_next_part(&text, span_of(body + 2, MIME_BOUNDARY_MAX),
	    &part));
	text = span_of(body, sizeof(body));
	CHECK(!mime_next_part(&text, span_of(body + 2,
	    MIME_BOUNDARY_MAX + 1), &part));
}

static void
test_decode(void)
{
	static const struct {
		const char *encoding, *body, *want;	/* NULL: unknown */
	} cases[] = {
		{ "", "a=3D", "a=3D" }, { "7bit", "a", "a" },
		{ " 8BIT (c)", "a", "a" }, { "binary", "", "" },
		{ "x-uuencode", "a", NULL }, { "base64x", "a", NULL },
		{ "Base64", "QTog\r\nMQo=", "A: 1\n" },
		{ "base64", "QUI=QUI=", "AB" }, { "base64", "Q", "" },
		{ "base64", "!Q*U-I", "AB" }, { "base64", "====", "" },
		{ "quoted-printable", "a=3Db=3d=\nc=\r\nd", "a=b=cd" },
		{ "QUOTED-PRINTABLE", "=", "=" },
		{ "quoted-printable", "=4", "=4" },
		{ "quoted-printable", "=zz=4Z=\r", "=zz=4Z=\r" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = BUF_INIT(100);

		check_case((long)i);
		CHECK_INT(mime_decode(&out, span_str(cases[i].body),
		    span_str(cases[i].encoding)), cases[i].want != NULL);
		check_span(buf_span(&out), cases[i].want != NULL ?
		    cases[i].want : "");
		buf_fini(&out);
	}
}

/* What does not fit is cut. */
static void
test_decode_bounded(void)
{
	static const char *const encodings[] = { "7bit", "base64",
	    "quoted-printable" };
	static char body[100000];

	memset(body, 'Q', sizeof(body));
	for (size_t i = 0; i < 3; i++) {
		struct buf out = BUF_INIT(1000);

		check_case((long)i);
		CHECK(mime_decode(&out, span_of(body, sizeof(body)),
		    span_str(encodings[i])));
		CHECK(out.len >= 750 && out.len <= 1000);
		buf_fini(&out);
	}
}

static const struct check_test tests[] = {
	{ "fields", test_fields },
	{ "split", test_split },
	{ "parameter", test_parameter },
	{ "parts", test_parts },
	{ "boundary", test_boundary },
	{ "decode", test_decode },
	{ "decode bounded", test_decode_bounded },
};

CHECK_MAIN("mime", tests)
