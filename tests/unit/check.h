/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Unit tests: functions without arguments, named in one table per program.
 * A failed check prints where, the case of the table that was being tried
 * (check_case) and both values, and the test goes on.
 */
#ifndef TESTS_UNIT_CHECK_H
#define TESTS_UNIT_CHECK_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check_test {
	const char *name;
	void (*run)(void);
};

static int check_failures;
static long check_index = -1;

/* Names the row of a table for the messages that follow; -1 for none. */
static inline void
check_case(long i)
{
	check_index = i;
}

static inline void
check_where(const char *file, int line, const char *what)
{
	check_failures++;
	fprintf(stderr, "%s:%d: ", file, line);
	if (check_index != -1)
		fprintf(stderr, "case %ld: ", check_index);
	fprintf(stderr, "%s", what);
}

#define CHECK(condition) do {						\
	if (!(condition)) {						\
		check_where(__FILE__, __LINE__, #condition);		\
		fputs(" is false\n", stderr);				\
	}								\
} while (0)

#define CHECK_INT(got, want) do {					\
	intmax_t check_got = (intmax_t)(got);				\
	intmax_t check_want = (intmax_t)(want);				\
	if (check_got != check_want) {					\
		check_where(__FILE__, __LINE__, #got);			\
		fprintf(stderr, " is %jd, want %jd\n", check_got,	\
		    check_want);					\
	}								\
} while (0)

static inline void
check_print(const void *p, size_t len)
{
	const unsigned char *s = p;

	putc('"', stderr);
	for (size_t i = 0; i < len; i++)
		if (s[i] >= 0x20 && s[i] <= 0x7e)
			putc(s[i], stderr);
		else
			fprintf(stderr, "\\x%02x", s[i]);
	putc('"', stderr);
}

static inline void
check_bytes(const char *file, int line, const char *what, const void *got,
    size_t got_len, const void *want, size_t want_len)
{
	if (got_len == want_len &&
	    (got_len == 0 || memcmp(got, want, got_len) == 0))
		return;
	check_where(file, line, what);
	fputs(" is ", stderr);
	check_print(got, got_len);
	fputs(", want ", stderr);
	check_print(want, want_len);
	putc('\n', stderr);
}

/* Bytes with lengths, and NUL-terminated strings. */
#define CHECK_BYTES(got, got_len, want, want_len)			\
	check_bytes(__FILE__, __LINE__, #got, (got), (got_len), (want),	\
	    (want_len))
#define CHECK_STR(got, want) do {					\
	const char *check_got = (got);					\
	const char *check_want = (want);				\
	CHECK_BYTES(check_got, strlen(check_got), check_want,		\
	    strlen(check_want));					\
} while (0)

static inline int
check_main(const char *program, const struct check_test *tests, size_t n)
{
	size_t failed = 0;

	for (size_t i = 0; i < n; i++) {
		int before = check_failures;

		check_index = -1;
		tests[i].run();
		if (check_failures != before) {
			failed++;
			fprintf(stderr, "FAIL %s\n", tests[i].name);
		}
	}
	printf("%s: %zu passed, %zu failed\n", program, n - failed, failed);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#define CHECK_MAIN(program, tests)					\
int									\
main(void)								\
{									\
	return check_main((program), (tests),				\
	    sizeof(tests) / sizeof((tests)[0]));			\
}

#endif
