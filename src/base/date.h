/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Points in time are Unix milliseconds, UTC, int64_t; 0 means `never' wherever
 * a record or an event holds one.  Pure: the clock is in clock.h.
 */
#ifndef BASE_DATE_H
#define BASE_DATE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/* 9999-12-31T23:59:59.999Z, the last that RFC 3339 can write. */
#define DATE_MAX_MS	INT64_C(253402300799999)

/* A length of time.  Months are calendar months, so they are kept apart. */
struct duration {
	int32_t months;
	int64_t ms;
};

/*
 * Reads RFC 3339 date-time ("2026-01-05T09:00:00Z", "+02:00", fractions of a
 * second), a space instead of the T, and a bare full-date ("2026-01-05"),
 * which means its first millisecond in UTC.  Years 1970 to 9999.
 * Returns 0, or -1 with *ms untouched.
 */
int	date_parse(struct span text, int64_t *ms)
	    __attribute__((warn_unused_result));
/* "2026-01-05T09:00:00.000Z"; ms is clamped to 0..DATE_MAX_MS. */
void	date_format(struct buf *out, int64_t ms);
/* "Mon, 5 Jan 2026 09:00:00 +0000", RFC 5322 section 3.3. */
void	date_format_mail(struct buf *out, int64_t ms);
/* "20260105", for file names. */
void	date_format_day(struct buf *out, int64_t ms);
/* ms + length.  A day that the month lacks becomes its last day.  Saturates
 * at DATE_MAX_MS. */
int64_t	date_add(int64_t ms, struct duration length);

/* The latest time from which that long leads no further than ms: calendar
 * months have no inverse. */
int64_t	date_subtract(int64_t ms, struct duration length);

/* "N seconds|minutes|hours|days|weeks|months|years" (the s may be missing).
 * N is 1 to 1,000,000.  Returns 0, or -1 with *out untouched. */
int	duration_parse(struct span text, struct duration *out)
	    __attribute__((warn_unused_result));
/* ISO 8601: "P3Y", "P18M", "P30D", "PT3600S", both parts where there are. */
void	duration_format(struct buf *out, struct duration length);
/* Is there a length at all? */
int	duration_is_set(struct duration length);

#endif
