/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What time it is when the clock was set back, by the time remembered.
 */
#include "ledger/known_time.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "check.h"

#define SEC	INT64_C(1000)
#define HOUR	(3600 * SEC)
#define DAY	(24 * HOUR)
#define BOOTED	(INT64_C(1764000000) * SEC)

static const char first_boot[] = "0c3a7b52-93d5-4f0e-8a4e-3d1f6b1f2c77";
static const char second_boot[] = "5e1de2f4-2f0e-4c39-bb07-0f8f5f0a9d10";

static struct known_time known;
static bool news;

/* What known_time_at() says at so much after boot, by a clock that is so much
 * too late (ahead) or early, less the right time. */
static int64_t
look(const char *boot, int64_t since_boot_ms, int64_t ahead_ms,
    int64_t written_ms)
{
	struct clock_reading reading = {
	    .now_ms = BOOTED + since_boot_ms + ahead_ms,
	    .since_boot_ms = since_boot_ms };

	(void)snprintf(reading.boot, sizeof(reading.boot), "%s", boot);
	return known_time_at(&known, &reading, written_ms, &news) -
	    (BOOTED + since_boot_ms);
}

static void
forget(void)
{
	memset(&known, 0, sizeof(known));
}

static void
test_right_clock(void)
{
	forget();
	CHECK_INT(look(first_boot, 10 * SEC, 0, 0), 0);
	CHECK(news);
	/* Once an hour is enough to remember it. */
	CHECK_INT(look(first_boot, 11 * SEC, 0, 0), 0);
	CHECK(!news);
	CHECK_INT(look(first_boot, HOUR, 0, 0), 0);
	CHECK(!news);
	CHECK_INT(look(first_boot, HOUR + 11 * SEC, 0, 0), 0);
	CHECK(news);
	/* Slewing is not worth the writing, nor a jump. */
	CHECK_INT(look(first_boot, HOUR + 12 * SEC, SEC, 0), SEC);
	CHECK(!news);
	CHECK_INT(look(first_boot, HOUR + 13 * SEC, -SEC, 0), -SEC);
	CHECK(!news);
}

static void
test_set_back(void)
{
	forget();
	CHECK_INT(look(first_boot, 10 * SEC, 0, 0), 0);
	CHECK_INT(look(first_boot, 20 * SEC, -2 * HOUR, 0), 0);
	CHECK(!news);
	CHECK_INT(look(first_boot, 3 * HOUR, -2 * HOUR, 0), 0);
	/* Right again. */
	CHECK_INT(look(first_boot, 4 * HOUR, 0, 0), 0);
	CHECK(news);
	/* Also by a second look at a clock that goes back further. */
	CHECK_INT(look(first_boot, 5 * HOUR, -3 * HOUR, 0), 0);
	CHECK_INT(look(first_boot, 5 * HOUR, -DAY, 0), 0);
}

static void
test_believed_for_a_day(void)
{
	forget();
	/* Two hours ahead until somebody sets it right. */
	CHECK_INT(look(first_boot, 10 * SEC, 2 * HOUR, 0), 2 * HOUR);
	CHECK_INT(look(first_boot, HOUR, 0, 0), 2 * HOUR);
	CHECK_INT(look(first_boot, DAY, 0, 0), 2 * HOUR);
	CHECK_INT(look(first_boot, DAY + 11 * SEC, 0, 0), 0);
	CHECK(news);
	CHECK_INT(look(first_boot, DAY + 12 * SEC, 0, 0), 0);
	CHECK(!news);
	CHECK_INT(look(first_boot, DAY + 13 * SEC, -HOUR, 0), 0);
}

static void
test_more_than_a_day(void)
{
	forget();
	/* A clock that was years ahead must not keep people out for years. */
	CHECK_INT(look(first_boot, 10 * SEC, 1000 * DAY, 0), 1000 * DAY);
	CHECK_INT(look(first_boot, 20 * SEC, 0, 0), 0);
	CHECK(news);
	CHECK_INT(look(first_boot, 30 * SEC, -HOUR, 0), 0);
	CHECK_INT(look(first_boot, 40 * SEC, -DAY - 2 * SEC, 0),
	    -DAY - 2 * SEC);
}

static void
test_boot(void)
{
	forget();
	CHECK_INT(look(first_boot, DAY, 0, 0), 0);
	/* The ledger was written after the machine booted, by the clock. */
	CHECK_INT(look(second_boot, 10 * SEC, -3 * HOUR, BOOTED - HOUR),
	    -HOUR - 10 * SEC);
	CHECK(news);
	/* That was the ledger's time at the first look; now it goes on. */
	CHECK_INT(look(second_boot, 20 * SEC, -3 * HOUR, 0),
	    -HOUR - 10 * SEC);
	CHECK(!news);
	CHECK_INT(look(second_boot, HOUR, 0, 0), 0);
	CHECK(news);
	/* Nothing known, and a ledger written before. */
	forget();
	CHECK_INT(look(first_boot, 10 * SEC, 0, BOOTED - DAY), 0);
	CHECK(news);
	/* By a clock that was years ahead. */
	forget();
	CHECK_INT(look(first_boot, 10 * SEC, 0, BOOTED + 1000 * DAY), 0);
	CHECK_INT(known.booted_ms, BOOTED);
}

static void
test_hostile_numbers(void)
{
	static const int64_t numbers[] = { INT64_MIN, INT64_MIN + 1, -1, 0, 1,
	    INT64_MAX };

	for (unsigned i = 0; i < 6; i++)
		for (unsigned j = 0; j < 6; j++) {
			check_case(i * 6 + j);
			forget();
			memcpy(known.boot, first_boot, sizeof(known.boot));
			known.booted_ms = numbers[i];
			known.until_ms = numbers[j];
			CHECK_INT(look(first_boot, HOUR, 0, 0), 0);
		}
	check_case(-1);
}

static void
test_text(void)
{
	static const char *const wrong[] = { "", "\n", "x 1 2\n",
	    "0c3a7b52-93d5-4f0e-8a4e-3d1f6b1f2c77",
	    "0c3a7b52-93d5-4f0e-8a4e-3d1f6b1f2c77 1",
	    "0c3a7b52-93d5-4f0e-8a4e-3d1f6b1f2c77 1 2 3",
	    "0c3a7b52-93d5-4f0e-8a4e-3d1f6b1f2c77 1 x",
	    "0c3a7b52-93d5-4f0e-8a4e-3d1f6b1f2c7 1 2",
	    "0c3a7b52-93d5-4f0e-8a4e-3d1f6b1f2c770 1 2",
	    "0C3A7B52-93D5-4F0E-8A4E-3D1F6B1F2C77 1 2",
	    "0c3a7b52-93d5-4f0e-8a4e-3d1f6b1f2c77 99999999999999999999 2" };
	struct buf text = BUF_INIT(KNOWN_TIME_TEXT_MAX);
	struct known_time back;
	struct fail fail;

	forget();
	CHECK_INT(look(first_boot, 10 * SEC, 0, 0), 0);
	known_time_format(&text, &known);
	CHECK_INT(known_time_parse(buf_span(&text), &back, &fail), 0);
	CHECK(strcmp(back.boot, first_boot) == 0);
	CHECK_INT(back.booted_ms, BOOTED);
	CHECK_INT(back.until_ms, DAY + 10 * SEC);
	buf_fini(&text);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		check_case((long)i);
		CHECK_INT(known_time_parse(span_str(wrong[i]), &back, &fail),
		    -1);
	}
	check_case(-1);
}

/* The file, by the clock that this machine has. */
static void
test_file(void)
{
	char directory[] = "/tmp/test_known_time.XXXXXX";
	char path[64];
	struct buf text = BUF_INIT(KNOWN_TIME_TEXT_MAX);
	struct stat st;
	struct fail fail;
	int64_t before = clock_now_ms(), ms;

	CHECK_INT(known_time_check(&fail), 0);
	CHECK(mkdtemp(directory) != NULL);
	(void)snprintf(path, sizeof(path), "%s/.clock", directory);
	ms = known_time_ms(directory);
	CHECK(ms >= before && ms <= clock_now_ms());
	CHECK_INT(file_read(path, &text, &fail), 0);
	CHECK_INT(known_time_parse(buf_span(&text), &known, &fail), 0);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0640);

	/* As if the clock had been two hours ahead until now. */
	known.booted_ms += 2 * HOUR;
	buf_clear(&text);
	known_time_format(&text, &known);
	CHECK_INT(file_replace(path, buf_span(&text), 0640, &fail), 0);
	ms = known_time_ms(directory) - clock_now_ms();
	/* Each of the two is read to the millisecond, at its own moment. */
	CHECK(ms > 2 * HOUR - 10 * SEC && ms < 2 * HOUR + 10 * SEC);

	CHECK_INT(file_replace(path, SPAN("half a li"), 0640, &fail), 0);
	before = clock_now_ms();
	ms = known_time_ms(directory);
	CHECK(ms >= before && ms <= clock_now_ms());

	CHECK_INT(unlink(path), 0);
	CHECK_INT(rmdir(directory), 0);
	ms = known_time_ms(directory);
	CHECK(ms >= before && ms <= clock_now_ms());
	buf_fini(&text);
}

int
main(void)
{
	static const struct check_test tests[] = {
		{ "right_clock", test_right_clock },
		{ "set_back", test_set_back },
		{ "believed_for_a_day", test_believed_for_a_day },
		{ "more_than_a_day", test_more_than_a_day },
		{ "boot", test_boot },
		{ "hostile_numbers", test_hostile_numbers },
		{ "text", test_text },
		{ "file", test_file },
	};

	return check_main("test_known_time", tests,
	    sizeof(tests) / sizeof(tests[0]));
}
