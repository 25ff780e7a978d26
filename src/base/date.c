/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Proleptic Gregorian calendar arithmetic on day numbers, so that neither the
 * C library's time zone nor its static buffers are touched (RFC 3339).
 */
#include "base/date.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define MS_PER_DAY	INT64_C(86400000)

struct civil {
	int64_t year;
	unsigned month;		/* 1..12 */
	unsigned day;		/* 1..31 */
};

/* Days since 1970-01-01; years start in March so that the leap day is last. */
static int64_t
days_from_civil(struct civil c)
{
	int64_t year = c.year - (c.month <= 2);
	int64_t era = year / 400;
	int64_t year_of_era = year % 400;
	int64_t month = (c.month + 9) % 12;
	int64_t day_of_year = (153 * month + 2) / 5 + c.day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 -
	    year_of_era / 100 + day_of_year - 719468;
}

static struct civil
civil_from_days(int64_t days)
{
	int64_t z = days + 719468;
	int64_t era = z / 146097;
	int64_t day_of_era = z % 146097;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 +
	    day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era -
	    (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month = (5 * day_of_year + 2) / 153;
	struct civil c;

	c.day = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1);
	c.month = (unsigned)(month < 10 ? month + 3 : month - 9);
	c.year = year_of_era + era * 400 + (c.month <= 2);
	return c;
}

static unsigned
days_in_month(int64_t year, unsigned month)
{
	static const unsigned char days[] =
	    { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

/* Exactly n digits at the start of *s, which moves on. */
static int
take_digits(struct span *s, size_t n, unsigned *out)
{
	unsigned value = 0;

	if (s->len < n)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!ascii_isdigit(s->p[i]))
			return -1;
		value = value * 10 + (unsigned)(s->p[i] - '0');
	}
	*s = span_from(*s, n);
	*out = value;
	return 0;
}

static int
take_char(struct span *s, const char *any)
{
	if (s->len == 0)
		return -1;
	for (; *any != '\0'; any++)
		if (s->p[0] == (unsigned char)*any) {
			*s = span_from(*s, 1);
			return 0;
		}
	return -1;
}

static int
take_full_date(struct span *s, int64_t *days)
{
	unsigned year, month, day;

	if (take_digits(s, 4, &year) == -1 || take_char(s, "-") == -1 ||
	    take_digits(s, 2, &month) == -1 || take_char(s, "-") == -1 ||
	    take_digits(s, 2, &day) == -1)
		return -1;
	if (year < 1970 || month < 1 || month > 12 || day < 1 ||
	    day > days_in_month(year, month))
		return -1;
	*days = days_from_civil((struct civil){ year, month, day });
	return 0;
}

/* time-secfrac = "." 1*DIGIT; what is finer than a millisecond is dropped. */
static int
take_fraction(struct span *s, int64_t *ms)
{
	int64_t scale = 100;

	*ms = 0;
	if (take_char(s, ".") == -1)
		return 0;
	if (s->len == 0 || !ascii_isdigit(s->p[0]))
		return -1;
	while (s->len > 0 && ascii_isdigit(s->p[0])) {
		*ms += (s->p[0] - '0') * scale;
		scale /= 10;
		*s = span_from(*s, 1);
	}
	return 0;
}

/* time-offset = "Z" / ("+" / "-") time-hour ":" time-minute */
static int
take_offset(struct span *s, int64_t *ms)
{
	unsigned hour, minute;
	bool west;

	*ms = 0;
	if (take_char(s, "Zz") == 0)
		return 0;
	west = s->len > 0 && s->p[0] == '-';
	if (take_char(s, "+-") == -1 || take_digits(s, 2, &hour) == -1 ||
	    take_char(s, ":") == -1 || take_digits(s, 2, &minute) == -1 ||
	    hour > 23 || minute > 59)
		return -1;
	*ms = (int64_t)(hour * 60 + minute) * 60000 * (west ? -1 : 1);
	return 0;
}

int
date_parse(struct span text, int64_t *ms)
{
	int64_t days, fraction, offset, result;
	unsigned hour, minute, second;

	if (take_full_date(&text, &days) == -1)
		return -1;
	if (text.len == 0) {
		*ms = days * MS_PER_DAY;
		return 0;
	}
	if (take_char(&text, "Tt ") == -1 ||
	    take_digits(&text, 2, &hour) == -1 ||
	    take_char(&text, ":") == -1 ||
	    take_digits(&text, 2, &minute) == -1 ||
	    take_char(&text, ":") == -1 ||
	    take_digits(&text, 2, &second) == -1 ||
	    take_fraction(&text, &fraction) == -1 ||
	    take_offset(&text, &offset) == -1 || text.len != 0)
		return -1;
	/* A leap second (60) counts as the first of the next minute. */
	if (hour > 23 || minute > 59 || second > 60)
		return -1;
	result = days * MS_PER_DAY +
	    ((int64_t)hour * 3600 + minute * 60 + second) * 1000 + fraction -
	    offset;
	if (result < 0 || result > DATE_MAX_MS)
		return -1;
	*ms = result;
	return 0;
}

static int64_t
clamp(int64_t ms)
{
	return ms < 0 ? 0 : ms > DATE_MAX_MS ? DATE_MAX_MS : ms;
}

static void
put_digits(char *to, size_t n, unsigned value)
{
	while (n > 0) {
		to[--n] = (char)('0' + value % 10);
		value /= 10;
	}
}

void
date_format(struct buf *out, int64_t ms)
{
	char text[] = "yyyy-mm-ddThh:mm:ss.mmmZ";
	struct civil c;
	unsigned rest;

	ms = clamp(ms);
	c = civil_from_days(ms / MS_PER_DAY);
	rest = (unsigned)(ms % MS_PER_DAY);
	put_digits(text, 4, (unsigned)c.year);
	put_digits(text + 5, 2, c.month);
	put_digits(text + 8, 2, c.day);
	put_digits(text + 11, 2, rest / 3600000);
	put_digits(text + 14, 2, rest / 60000 % 60);
	put_digits(text + 17, 2, rest / 1000 % 60);
	put_digits(text + 20, 3, rest % 1000);
	buf_add_str(out, text);
}

/* Without the locale that strftime() would ask. */
void
date_format_mail(struct buf *out, int64_t ms)
{
	static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu",
	    "Fri", "Sat" };
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May",
	    "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL)
		memset(&tm, 0, sizeof(tm));
	buf_addf(out, "%s, %d %s %d %02d:%02d:%02d +0000",
	    days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
	    tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void
date_format_day(struct buf *out, int64_t ms)
{
	struct civil c = civil_from_days(clamp(ms) / MS_PER_DAY);

	buf_addf(out, "%04d%02u%02u", (int)c.year, c.month, c.day);
}

int64_t
date_add(int64_t ms, struct duration length)
{
	ms = clamp(ms);
	if (length.months != 0) {
		struct civil c = civil_from_days(ms / MS_PER_DAY);
		int64_t month = c.year * 12 + (c.month - 1) + length.months;
		unsigned last;

		c.year = month / 12;
		c.month = (unsigned)(month % 12) + 1;
		if (c.year > 9999)
			return DATE_MAX_MS;
		last = days_in_month(c.year, c.month);
		if (c.day > last)
			c.day = last;
		ms = days_from_civil(c) * MS_PER_DAY + ms % MS_PER_DAY;
	}
	return ms > DATE_MAX_MS - length.ms ? DATE_MAX_MS : ms + length.ms;
}

int
duration_parse(struct span text, struct duration *out)
{
	static const struct {
		const char *name;
		struct duration unit;
	} units[] = {
		{ "second", { 0, 1000 } },
		{ "minute", { 0, 60000 } },
		{ "hour", { 0, 3600000 } },
		{ "day", { 0, MS_PER_DAY } },
		{ "week", { 0, 7 * MS_PER_DAY } },
		{ "month", { 1, 0 } },
		{ "year", { 12, 0 } },
	};
	struct span word;
	size_t digits = 0;
	uint64_t count;

	text = span_trim(text);
	while (digits < text.len && ascii_isdigit(text.p[digits]))
		digits++;
	if (span_to_u64(span_head(text, digits), &count) == -1 ||
	    count < 1 || count > 1000000)
		return -1;
	word = span_trim(span_from(text, digits));
	if (word.len > 1 && ascii_tolower(word.p[word.len - 1]) == 's')
		word.len--;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (span_is_nocase(word, span_str(units[i].name))) {
			out->months = (int32_t)count * units[i].unit.months;
			out->ms = (int64_t)count * units[i].unit.ms;
			return 0;
		}
	return -1;
}

void
duration_format(struct buf *out, struct duration length)
{
	int64_t days = length.ms / MS_PER_DAY;
	int64_t seconds = length.ms % MS_PER_DAY / 1000;

	buf_add_char(out, 'P');
	if (length.months % 12 == 0 && length.months != 0)
		buf_addf(out, "%" PRId32 "Y", length.months / 12);
	else if (length.months != 0)
		buf_addf(out, "%" PRId32 "M", length.months);
	if (days != 0)
		buf_addf(out, "%" PRId64 "D", days);
	if (seconds != 0 || (days == 0 && length.months == 0))
		buf_addf(out, "T%" PRId64 "S", seconds);
}

int
duration_is_set(struct duration length)
{
	return length.months != 0 || length.ms != 0;
}

int64_t
date_subtract(int64_t ms, struct duration length)
{
	int64_t low = 0, high = ms;

	while (low < high) {
		int64_t middle = low + (high - low + 1) / 2;

		if (date_add(middle, length) <= ms)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}
