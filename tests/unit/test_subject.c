/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "consent/subject.h"
#include "check.h"

static const unsigned char key_bytes[CRYPTO_KEY_BYTES] =
    "0123456789abcdef0123456789abcde";	/* and a NUL: 32 bytes */

static struct subject
subject_for(const struct crypto_hmac *key, const char *text)
{
	struct address address;
	struct subject subject;
	struct fail fail;

	memset(&subject, 0, sizeof(subject));
	CHECK_INT(address_parse(span_str(text), &address, &fail), 0);
	subject_of(key, &address, &subject);
	return subject;
}

/* Made with Python's hmac module: a stored pseudonym must never change. */
static void
test_vectors(void)
{
	static const struct {
		const char *address, *subject;
	} cases[] = {
		{ "jane.doe@example.com",
		    "9fc5f3a687d50a09650a7c94ae171844" },
		{ "user@xn--bcher-kva.example",
		    "7388e7396146428c9bca6d579282385e" },
		{ "a b@example.com",
		    "f7e0353417064942a0fe98b23c80b7f2" },
	};
	struct crypto_hmac *key = crypto_hmac_new(key_bytes);
	struct buf text = BUF_INIT(100);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct address address = { 0, 0, "" };
		struct subject subject;

		check_case((long)i);
		address.len = strlen(cases[i].address);
		memcpy(address.text, cases[i].address, address.len);
		subject_of(key, &address, &subject);
		buf_clear(&text);
		subject_format(&text, &subject);
		CHECK_STR(buf_get(&text), cases[i].subject);
	}
	buf_fini(&text);
	crypto_hmac_free(&key);
}

/* One mailbox, one pseudonym, however it is written. */
static void
test_spellings(void)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{ "Jane.Doe@Example.COM", "jane.doe@example.com", true },
		{ "<jane.doe@example.com>", "jane.doe@example.com", true },
		{ "\"jane.doe\"@example.com", "jane.doe@example.com", true },
		{ "user@b\xc3\xbc" "cher.example",
		    "user@xn--bcher-kva.example", true },
		{ "janedoe@example.com", "jane.doe@example.com", false },
		{ "jane.doe+x@example.com", "jane.doe@example.com", false },
		{ "jane.doe@example.org", "jane.doe@example.com", false },
	};
	struct crypto_hmac *key = crypto_hmac_new(key_bytes);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct subject a = subject_for(key, cases[i].a);
		struct subject b = subject_for(key, cases[i].b);

		check_case((long)i);
		CHECK_INT(subject_is(&a, &b), cases[i].same);
	}
	crypto_hmac_free(&key);
}

static void
test_key_matters(void)
{
	unsigned char other_bytes[CRYPTO_KEY_BYTES];
	struct crypto_hmac *key = crypto_hmac_new(key_bytes), *other;
	struct subject a, b;

	memcpy(other_bytes, key_bytes, sizeof(other_bytes));
	other_bytes[31] ^= 1;
	other = crypto_hmac_new(other_bytes);
	a = subject_for(key, "jane.doe@example.com");
	b = subject_for(other, "jane.doe@example.com");
	CHECK(!subject_is(&a, &b));
	crypto_hmac_free(&key);
	crypto_hmac_free(&other);
}

static void
test_parse(void)
{
	static const char good[] = "00112233445566778899aabbccddeeff";
	static const struct span bad[] = {
		SPAN(""), SPAN("00112233445566778899aabbccddeef"),
		SPAN("00112233445566778899aabbccddeeff0"),
		SPAN("00112233445566778899AABBCCDDEEFF"),
		SPAN("00112233445566778899aabbccddeefg"),
		SPAN("00112233445566778899aabbccddee\0f"),
		SPAN(" 0112233445566778899aabbccddeeff"),
	};
	struct subject subject;
	struct buf text = BUF_INIT(100);

	CHECK_INT(subject_parse(span_str(good), &subject), 0);
	subject_format(&text, &subject);
	CHECK_STR(buf_get(&text), good);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		check_case((long)i);
		CHECK_INT(subject_parse(bad[i], &subject), -1);
	}
	buf_fini(&text);
}

/* The last byte counts as much as the first. */
static void
test_is(void)
{
	struct subject a = { { 0 } }, b = { { 0 } };

	CHECK(subject_is(&a, &b));
	for (int i = 0; i < SUBJECT_BYTES; i++) {
		check_case(i);
		b = a;
		b.id[i] = 1;
		CHECK(!subject_is(&a, &b));
	}
}

static const struct check_test tests[] = {
	{ "vectors", test_vectors },
	{ "spellings", test_spellings },
	{ "key_matters", test_key_matters },
	{ "parse", test_parse },
	{ "is", test_is },
};

CHECK_MAIN("subject", tests)
