/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ledger/known_time.h"

#include <sys/file.h>

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "journal/journal.h"

#define HOUR_MS		((int64_t)60 * 60 * 1000)
#define DAY_MS		(24 * HOUR_MS)
/* A clock that is slewed, or stepped by less, was not set back. */
#define SLACK_MS	1000

/* -- the pure part -- */

static bool
is_boot_id(struct span id)
{
	for (size_t i = 0; i < id.len; i++)
		if (!ascii_isdigit(id.p[i]) && id.p[i] != '-' &&
		    (id.p[i] < 'a' || id.p[i] > 'f'))
			return false;
	return id.len == sizeof(((struct known_time *)0)->boot) - 1;
}

int
known_time_parse(struct span text, struct known_time *out, struct fail *fail)
{
	struct span rest = span_trim(text);
	struct span boot = span_take(&rest, ' ');
	struct span booted = span_take(&rest, ' ');

	memset(out, 0, sizeof(*out));
	if (!is_boot_id(boot) || span_to_i64(booted, &out->booted_ms) == -1 ||
	    span_to_i64(rest, &out->until_ms) == -1)
		return fail_set(fail, FAIL_INPUT, "no boot and two times");
	memcpy(out->boot, boot.p, boot.len);
	return 0;
}

void
known_time_format(struct buf *out, const struct known_time *known)
{
	buf_addf(out, "%s %" PRId64 " %" PRId64 "\n", known->boot,
	    known->booted_ms, known->until_ms);
}

/* By what the clock shows, the machine booted so much earlier than known. */
static bool
is_set_back(int64_t by_ms)
{
	return by_ms > SLACK_MS && by_ms <= DAY_MS;
}

int64_t
known_time_at(struct known_time *known, const struct clock_reading *reading,
    int64_t written_ms, bool *news)
{
	int64_t booted_ms = reading->now_ms - reading->since_boot_ms;
	int64_t until_ms = reading->since_boot_ms + DAY_MS;
	bool same_boot = strcmp(known->boot, reading->boot) == 0;
	int64_t known_ms = same_boot ? known->booted_ms :
	    written_ms - reading->since_boot_ms;
	int64_t by_ms = 0;

	if (!same_boot || (reading->since_boot_ms <= known->until_ms &&
	    known->until_ms <= until_ms))
		(void)!__builtin_sub_overflow(known_ms, booted_ms, &by_ms);
	if (is_set_back(by_ms)) {
		*news = !same_boot;
		booted_ms = known_ms;
	} else {
		*news = !same_boot || by_ms < -SLACK_MS || by_ms > SLACK_MS ||
		    known->until_ms < until_ms - HOUR_MS ||
		    known->until_ms > until_ms;
		by_ms = 0;
	}
	if (*news) {
		memcpy(known->boot, reading->boot, sizeof(known->boot));
		known->booted_ms = booted_ms;
		known->until_ms = until_ms;
	}
	return reading->now_ms + by_ms;
}

/* -- the file -- */

static int
read_clock(struct clock_reading *out, struct fail *fail)
{
	struct buf id = BUF_INIT(64);
	struct span boot;
	int rc = file_read("/proc/sys/kernel/random/boot_id", &id, fail);

	out->now_ms = clock_now_ms();
	out->since_boot_ms = clock_since_boot_ms();
	boot = span_trim(buf_span(&id));
	if (rc == 0 && !is_boot_id(boot))
		rc = fail_set(fail, FAIL_SETUP, "boot_id is no id");
	if (rc == 0) {
		memcpy(out->boot, boot.p, boot.len);
		out->boot[boot.len] = '\0';
	}
	buf_fini(&id);
	return rc;
}

/* known->boot is "" when there is none that can be read. */
static void
read_known(const char *path, struct known_time *known)
{
	struct buf text = BUF_INIT(KNOWN_TIME_TEXT_MAX);
	struct fail unused;

	memset(known, 0, sizeof(*known));
	if (file_read(path, &text, &unused) == -1 ||
	    known_time_parse(buf_span(&text), known, &unused) == -1)
		known->boot[0] = '\0';
	buf_fini(&text);
}

/* Nobody waits for another who writes it, nor does without the time because it
 * can't be written. */
static void
write_known(const char *directory, const char *path,
    const struct known_time *known)
{
	struct buf text = BUF_INIT(KNOWN_TIME_TEXT_MAX);
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct fail unused;

	known_time_format(&text, known);
	if (fd != -1 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		(void)!file_replace(path, buf_span(&text), 0640, &unused);
	if (fd != -1)
		(void)close(fd);
	buf_fini(&text);
}

int
known_time_check(struct fail *fail)
{
	struct clock_reading unused;

	return read_clock(&unused, fail);
}

int64_t
known_time_ms(const char *directory)
{
	struct buf path = BUF_INIT(8192);
	struct clock_reading reading;
	struct known_time known;
	int64_t written_ms = 0, ms;
	struct fail unused;
	bool news;

	if (read_clock(&reading, &unused) == -1)
		return clock_now_ms();
	buf_addf(&path, "%s/.clock", directory);
	read_known(buf_get(&path), &known);
	if (strcmp(known.boot, reading.boot) != 0)
		(void)!journal_written_ms(directory, "ledger", &written_ms,
		    &unused);
	ms = known_time_at(&known, &reading, written_ms, &news);
	if (news)
		write_known(directory, buf_get(&path), &known);
	buf_fini(&path);
	return ms;
}
