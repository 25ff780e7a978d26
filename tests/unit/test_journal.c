/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The journal as its users see it: one and several writers, segments, crashes
 * of the machine (torn lines) and of the program (kill -9), reading.  What
 * takes a disk that fails is in test_journal_faults.c.
 */
#include "journal/private.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "base/json.h"
#include "journal_rig.h"

static void
test_append_and_read(void)
{
	struct journal *j;
	struct journal_reader *reader;
	struct journal_entry entry;
	struct json_object *object;
	struct fail fail;
	struct span host;
	uint64_t seq = 0;

	fresh_directory();
	j = open_journal(true, 0, NULL);
	CHECK_INT(journal_append(j, "decision", SPAN("\"a\":1"), true, &seq,
	    &fail), 0);
	CHECK_INT(seq, 2);
	CHECK_INT(journal_append(j, "event", SPAN(""), false, &seq, &fail), 0);
	journal_close(&j);
	CHECK(j == NULL);
	CHECK_INT(verify(), 3);
	CHECK_INT(journal_reader_open(directory, "decisions", 1, &reader,
	    &fail), 0);
	CHECK_INT(journal_reader_next(reader, &entry, &fail), 1);
	CHECK(span_is(entry.type, SPAN("segment")));
	CHECK_INT(json_object_parse(entry.object, &object, &fail), 0);
	CHECK_INT(json_object_string(object, "host", &host), 1);
	CHECK(span_is(host, SPAN("host \"1\"")));
	json_object_free(&object);
	CHECK_INT(journal_reader_next(reader, &entry, &fail), 1);
	CHECK(span_is(entry.body, SPAN("\"a\":1")));
	CHECK_INT(journal_reader_next(reader, &entry, &fail), 1);
	CHECK_INT(entry.body.len, 0);
	CHECK_INT(journal_reader_next(reader, &entry, &fail), 0);
	/* the end moves while others append */
	j = open_journal(true, 0, NULL);
	CHECK_INT(add(j, "\"b\":2", false), 0);
	CHECK_INT(journal_reader_next(reader, &entry, &fail), 1);
	CHECK(span_is(entry.body, SPAN("\"b\":2")));
	journal_reader_close(&reader);
	journal_close(&j);
}

static void
test_refused(void)
{
	static char big[JOURNAL_BODY_MAX + 2];
	struct journal *j, *second = NULL;
	struct journal_options options = { .directory = directory,
	    .name = "decisions", .host = "h", .exclusive = true };
	struct fail fail;

	fresh_directory();
	j = open_journal(true, 0, NULL);
	memset(big, 'x', JOURNAL_BODY_MAX + 1);
	CHECK_INT(add(j, big, false), -1);
	CHECK_INT(add(j, "\"a\":\n1", false), -1);
	CHECK_INT(journal_append(j, "Bad Type", SPAN(""), false, NULL, &fail),
	    -1);
	CHECK_INT(fail.class, FAIL_BUG);
	big[JOURNAL_BODY_MAX] = '\0';
	CHECK_INT(add(j, big, false), 0);
	/* one process keeps it to itself */
	CHECK_INT(journal_open(&options, &second, NULL, &fail), -1);
	CHECK_INT(fail.class, FAIL_SETUP);
	CHECK(strstr(fail.text, "in use") != NULL);
	journal_close(&j);
	CHECK_INT(verify(), 2);
}

static void
test_segments_by_size(void)
{
	struct journal *j;
	struct journal_reader *reader;
	struct journal_entry entry;
	struct fail fail;

	fresh_directory();
	j = open_journal(true, 2000, NULL);
	for (int i = 0; i < 100; i++)
		CHECK_INT(add(j, "\"a\":1", i % 7 == 0), 0);
	journal_close(&j);
	CHECK(verify() > 110);
	CHECK_INT(count_entries("\"a\":1"), 100);
	for (uint64_t from = 1; from < 100; from += 13) {
		CHECK_INT(journal_reader_open(directory, "decisions", from,
		    &reader, &fail), 0);
		CHECK_INT(journal_reader_next(reader, &entry, &fail), 1);
		CHECK_INT(entry.seq, from);
		journal_reader_close(&reader);
	}
}

/* Another process has started a segment, and left ours as it was. */
static void
test_segment_of_another(void)
{
	struct journal *ours, *other;

	fresh_directory();
	ours = open_journal(false, 0, NULL);
	other = open_journal(false, 1, NULL);
	CHECK_INT(add(other, "\"a\":1", true), 0);
	CHECK(strstr(last_segment(), "-000002.jsonl") != NULL);
	CHECK_INT(add(ours, "\"a\":2", true), 0);
	CHECK_INT(rig_segments(rig_paths), 2);
	journal_close(&ours);
	journal_close(&other);
	CHECK_INT(verify(), 4);
}

static int64_t test_now_ms = 1767603600000;	/* 2026-01-05 */

static int64_t
test_clock(void)
{
	return test_now_ms;
}

static void
test_segments_by_day(void)
{
	struct journal *j;

	fresh_directory();
	j = open_journal(true, 0, NULL);
	journal_set_clock(j, test_clock);
	test_now_ms = INT64_C(4102444800000);	/* 2100-01-01 */
	CHECK_INT(add(j, "\"a\":1", false), 0);
	CHECK(strstr(last_segment(), "decisions-21000101-000002.jsonl") != NULL);
	test_now_ms += 86400000;
	CHECK_INT(add(j, "\"a\":2", false), 0);
	CHECK(strstr(last_segment(), "decisions-21000102-000003.jsonl") != NULL);
	/* a clock that is set back starts nothing */
	test_now_ms -= 10 * INT64_C(86400000);
	CHECK_INT(add(j, "\"a\":3", false), 0);
	CHECK(strstr(last_segment(), "-000003.jsonl") != NULL);
	journal_close(&j);
	CHECK_INT(verify(), 6);
}

/* A crash in the middle of the last line, at each of its bytes. */
static void
test_torn_tail(void)
{
	char path[512];
	struct buf whole = BUF_INIT(1 << 20);
	struct journal *j;
	size_t last;

	fresh_directory();
	j = open_journal(true, 0, NULL);
	CHECK_INT(add(j, "\"keep\":1", true), 0);
	CHECK_INT(add(j, "\"torn\":1", true), 0);
	journal_close(&j);
	(void)snprintf(path, sizeof(path), "%s", last_segment());
	read_file(path, &whole);
	last = (size_t)span_rindex(span_head(buf_span(&whole), whole.len - 1),
	    '\n') + 1;
	for (size_t len = last; len < whole.len; len++) {
		uint64_t recovered = 0;

		check_case((long)(len - last));
		write_file(path, span_head(buf_span(&whole), len));
		j = open_journal(true, 0, &recovered);
		CHECK(j != NULL);
		if (j == NULL)
			break;
		CHECK_INT(recovered, len - last);
		CHECK_INT(add(j, "\"after\":1", true), 0);
		journal_close(&j);
		CHECK_INT(verify(), len == last ? 3 : 4);
		CHECK_INT(count_entries("\"keep\":1"), 1);
		CHECK_INT(count_entries("\"torn\":1"), 0);
		CHECK_INT(count_entries("\"type\":\"recovered\""),
		    len != last);
	}
	buf_fini(&whole);
}

/* A crash while a segment is being started. */
static void
test_torn_rotation(void)
{
	static const char *const starts[] = { "", "{\"seq\":9,\"ty" };
	char path[512];

	for (size_t i = 0; i < 2; i++) {
		struct journal *j;

		check_case((long)i);
		fresh_directory();
		j = open_journal(true, 0, NULL);
		CHECK_INT(add(j, "\"a\":1", true), 0);
		journal_close(&j);
		(void)snprintf(path, sizeof(path),
		    "%s/decisions-21000101-000002.jsonl", directory);
		write_file(path, span_str(starts[i]));
		j = open_journal(true, 0, NULL);
		CHECK(j != NULL);
		if (j == NULL)
			continue;
		CHECK_INT(add(j, "\"b\":2", true), 0);
		journal_close(&j);
		CHECK(verify() >= 3);
		CHECK_INT(count_entries("\"b\":2"), 1);
	}
}

/* A file system may leave zeroes, many of them; nothing else may go. */
static void
test_long_tear(void)
{
	static const size_t lengths[] = { 1, 4095, 4096, 200000, 1500000 };
	static char zeroes[1500000];

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint64_t recovered = 0;
		struct journal *j;
		int fd;

		check_case((long)i);
		fresh_directory();
		j = open_journal(true, 0, NULL);
		CHECK_INT(add(j, "\"keep\":1", true), 0);
		journal_close(&j);
		fd = open(last_segment(), O_WRONLY | O_APPEND);
		CHECK(fd != -1 && file_write_all(fd,
		    span_of(zeroes, lengths[i])) == 0);
		(void)close(fd);
		j = open_journal(true, 0, &recovered);
		CHECK_INT(recovered, lengths[i]);
		CHECK_INT(add(j, "\"after\":1", true), 0);
		journal_close(&j);
		CHECK_INT(verify(), 4);
		CHECK_INT(count_entries("\"keep\":1"), 1);
	}
}

/* One whole line that is no entry is cut off as well; two are too much. */
static void
test_unreadable_last_line(void)
{
	struct buf whole = BUF_INIT(1 << 20);
	struct journal *j;
	struct fail fail;
	uint64_t recovered = 0;

	fresh_directory();
	j = open_journal(true, 0, NULL);
	CHECK_INT(add(j, "\"keep\":1", true), 0);
	journal_close(&j);
	read_file(last_segment(), &whole);
	buf_add_str(&whole, "half of a line that another fsck mended\n");
	write_file(last_segment(), buf_span(&whole));
	j = open_journal(true, 0, &recovered);
	CHECK_INT(recovered, 40);
	journal_close(&j);
	CHECK_INT(verify(), 3);
	buf_add_str(&whole, "and one more\n");
	write_file(last_segment(), buf_span(&whole));
	CHECK(open_with(true, 0, 0, NULL, &fail) == NULL);
	CHECK_INT(fail.class, FAIL_SETUP);
	CHECK(strstr(fail.text, ".jsonl:3: ") != NULL);
	buf_fini(&whole);
}

/* A last entry that was changed is nothing to go on from. */
static void
test_changed_tail(void)
{
	static const char *const marks[] = { "\"value\":1", "\"seq\":3",
	    "\"digest\":\"", "\"chain\":\"", "\"salt\":\"" };
	struct buf text = BUF_INIT(1 << 20);

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		struct journal *j;
		struct fail fail = { .text = "" };
		char *line, *at;

		check_case((long)i);
		fresh_directory();
		j = open_journal(true, 0, NULL);
		CHECK_INT(add(j, "\"value\":0", true), 0);
		CHECK_INT(add(j, "\"value\":1", true), 0);
		journal_close(&j);
		read_file(last_segment(), &text);
		line = strstr(text.data, "{\"seq\":3");
		at = strstr(line, marks[i]) + strlen(marks[i]);
		if (i < 2)
			at--;
		*at = *at == '7' ? '8' : '7';
		write_file(last_segment(), buf_span(&text));
		CHECK(open_with(true, 0, 0, NULL, &fail) == NULL);
		CHECK_INT(fail.class, FAIL_SETUP);
		CHECK(strstr(fail.text, ".jsonl:3: ") != NULL);
		/* and nothing was done to the file */
		CHECK_INT(verify_quietly(), -1);
	}
	buf_fini(&text);
}

/* The verifier of these tests is not blind; and an entry that was blanked
 * verifies. */
static void
test_verifier(void)
{
	struct buf text = BUF_INIT(1 << 20), blank = BUF_INIT(1 << 20);
	char *body, *digest, good;
	struct journal *j;

	fresh_directory();
	j = open_journal(true, 0, NULL);
	CHECK_INT(add(j, "\"value\":1", true), 0);
	CHECK_INT(add(j, "\"value\":2", true), 0);
	journal_close(&j);
	CHECK_INT(verify_quietly(), 3);
	read_file(last_segment(), &text);
	for (size_t i = 0; i < text.len; i += 7) {
		good = text.data[i];
		text.data[i] = good == '6' ? '9' : '6';
		write_file(last_segment(), buf_span(&text));
		check_case((long)i);
		CHECK_INT(verify_quietly(), -1);
		text.data[i] = good;
	}
	check_case(-1);
	body = strstr(text.data, "\"value\":1");
	digest = strstr(body, "\"digest\"");
	buf_add(&blank, text.data, (size_t)(body - text.data));
	buf_add_str(&blank, "\"blanked\":true,");
	buf_add_str(&blank, digest);
	write_file(last_segment(), buf_span(&blank));
	CHECK_INT(verify(), 3);
	CHECK_INT(count_entries("\"value\":1"), 0);
	j = open_journal(true, 0, NULL);
	CHECK_INT(add(j, "\"value\":3", true), 0);
	journal_close(&j);
	CHECK_INT(verify(), 4);
	buf_fini(&text);
	buf_fini(&blank);
}

static void
check_file(const char *path, uid_t uid)
{
	struct stat st;

	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 07777, 0640);
	CHECK_INT(st.st_uid, uid);
	CHECK_INT(st.st_gid, uid == 0 ? st.st_gid : uid);
}

/* Files are the directory's owner's; links lead nowhere. */
static void
test_ownership(void)
{
	char path[512], victim[512];
	uid_t uid = geteuid() == 0 ? 12345 : geteuid();
	mode_t mask = umask(077);
	struct fail fail;
	struct journal *j;
	struct stat st;

	fresh_directory();
	CHECK_INT(mkdir(directory, 0750), 0);
	if (geteuid() == 0)
		CHECK_INT(chown(directory, uid, uid), 0);
	j = open_journal(false, 0, NULL);
	journal_close(&j);
	if (geteuid() == 0)
		check_file(last_segment(), uid);
	(void)snprintf(path, sizeof(path), "%s/.decisions.lock", directory);
	if (geteuid() == 0)
		check_file(path, uid);
	(void)umask(mask);
	(void)snprintf(victim, sizeof(victim), "%s/victim", top);
	write_file(victim, SPAN("secret"));
	CHECK_INT(unlink(path), 0);
	CHECK_INT(symlink(victim, path), 0);
	CHECK(open_with(false, 0, 0, NULL, &fail) == NULL);
	CHECK_INT(fail.class, FAIL_SETUP);
	CHECK_INT(unlink(path), 0);
	(void)snprintf(path, sizeof(path), "%s", last_segment());
	CHECK_INT(unlink(path), 0);
	CHECK_INT(symlink(victim, path), 0);
	CHECK(open_with(false, 0, 0, NULL, &fail) == NULL);
	CHECK_INT(stat(victim, &st), 0);
	CHECK_INT(st.st_uid, geteuid());
	CHECK_INT(st.st_size, 6);
}

/* Who keeps the journal to itself is waited for, but not for ever; a lock
 * file that somebody removed is made again. */
static void
test_locks(void)
{
	struct journal *shared, *other, *keeper;
	struct fail fail;
	char path[512];

	fresh_directory();
	shared = open_journal(false, 0, NULL);
	keeper = open_journal(true, 0, NULL);
	journal_set_lock_wait(shared, 20);
	CHECK_INT(journal_append(shared, "event", SPAN("\"a\":1"), true, NULL,
	    &fail), -1);
	CHECK_INT(fail.class, FAIL_TEMP);
	CHECK(strstr(fail.text, "in use by another process") != NULL);
	CHECK_INT(add(keeper, "\"k\":1", true), 0);
	journal_close(&keeper);
	CHECK_INT(add(shared, "\"a\":2", true), 0);
	(void)snprintf(path, sizeof(path), "%s/.decisions.lock", directory);
	CHECK_INT(unlink(path), 0);
	CHECK_INT(add(shared, "\"a\":3", true), 0);
	CHECK_INT(access(path, F_OK), 0);
	other = open_journal(false, 0, NULL);
	CHECK_INT(add(other, "\"a\":4", true), 0);
	journal_close(&shared);
	journal_close(&other);
	CHECK_INT(verify(), 5);
	CHECK_INT(count_entries("\"a\":1"), 0);
}

/* What a monitor is told. */
static void
test_stats(void)
{
	struct journal_stats stats;
	uint64_t bytes, free_bytes;
	struct journal *j;
	struct stat st;
	struct fail fail;

	fresh_directory();
	j = open_journal(true, 0, NULL);
	journal_stats(j, &stats);
	CHECK_INT(stats.seq, 1);
	CHECK_INT(add(j, "\"a\":1", false), 0);
	journal_stats(j, &stats);
	CHECK_INT(stats.seq, 2);
	CHECK_INT(stats.synced_ms, 0);
	CHECK(stats.unsynced_ms > 0);
	CHECK_INT(add(j, "\"a\":2", true), 0);
	journal_stats(j, &stats);
	CHECK_INT(stats.seq, 3);
	CHECK(stats.synced_ms > 0);
	CHECK_INT(stats.unsynced_ms, 0);
	CHECK_INT(stats.failures, 0);
	CHECK_INT(journal_size(directory, "decisions", &bytes, &free_bytes,
	    &fail), 0);
	CHECK_INT(stat(last_segment(), &st), 0);
	CHECK_INT(bytes, st.st_size);
	CHECK(free_bytes > 0);
	CHECK_INT(journal_size("/nowhere", "decisions", &bytes, &free_bytes,
	    &fail), -1);
	CHECK_INT(fail.class, FAIL_SETUP);
	journal_close(&j);
}

struct endless {
	struct journal	*journal;
	unsigned	 taken;
};

static void *
append_until_stopped(void *argument)
{
	struct endless *e = argument;
	struct fail fail;

	while (journal_append(e->journal, "decision", SPAN("\"x\":1"),
	    e->taken % 3 == 0, NULL, &fail) == 0)
		e->taken++;
	CHECK_INT(fail.class, FAIL_TEMP);
	CHECK(strstr(fail.text, "is closed") != NULL);
	return NULL;
}

/* Stopped under those who append: what was taken is there, the rest was
 * refused. */
static void
test_stop(void)
{
	struct endless endless[4] = { { .taken = 0 } };
	pthread_t threads[4];
	unsigned taken = 0;
	struct journal_stats stats;
	struct journal *j;
	struct fail fail;

	fresh_directory();
	j = open_with(true, 0, 5, NULL, &fail);
	for (int i = 0; i < 4; i++) {
		endless[i].journal = j;
		CHECK_INT(pthread_create(&threads[i], NULL,
		    append_until_stopped, &endless[i]), 0);
	}
	do
		journal_stats(j, &stats);
	while (stats.seq < 200);
	journal_stop(j);
	for (int i = 0; i < 4; i++) {
		CHECK_INT(pthread_join(threads[i], NULL), 0);
		taken += endless[i].taken;
	}
	journal_stats(j, &stats);
	CHECK_INT(stats.seq, taken + 1);
	CHECK_INT(stats.unsynced_ms, 0);
	journal_stop(j);
	journal_close(&j);
	CHECK_INT(verify(), (int)taken + 1);
}

/* Half a line at the end is not seen, before it is whole. */
static void
test_reader_at_the_end(void)
{
	struct buf whole = BUF_INIT(1 << 20);
	struct journal_reader *reader;
	struct journal_entry entry;
	struct journal *j;
	struct fail fail;

	fresh_directory();
	/* no journal yet */
	CHECK_INT(journal_reader_open(directory, "decisions", 1, &reader,
	    &fail), 0);
	CHECK_INT(journal_reader_next(reader, &entry, &fail), 0);
	j = open_journal(true, 0, NULL);
	CHECK_INT(add(j, "\"a\":1", true), 0);
	journal_close(&j);
	read_file(last_segment(), &whole);
	for (size_t len = 0; len < whole.len; len += 13) {
		write_file(last_segment(), span_head(buf_span(&whole), len));
		while (journal_reader_next(reader, &entry, &fail) == 1)
			CHECK(entry.seq == 1);
	}
	write_file(last_segment(), buf_span(&whole));
	CHECK_INT(journal_reader_next(reader, &entry, &fail), 1);
	CHECK_INT(entry.seq, 2);
	CHECK_INT(journal_reader_next(reader, &entry, &fail), 0);
	/* rotation while we wait */
	j = open_journal(true, 1, NULL);
	for (int i = 0; i < 5; i++)
		CHECK_INT(add(j, "\"b\":1", false), 0);
	for (uint64_t seq = 3; seq <= 12; seq++) {
		CHECK_INT(journal_reader_next(reader, &entry, &fail), 1);
		CHECK_INT(entry.seq, seq);
	}
	CHECK_INT(journal_reader_next(reader, &entry, &fail), 0);
	journal_close(&j);
	journal_reader_close(&reader);
	buf_fini(&whole);
}

/* A reader that waits in a segment without an entry (the writer died just
 * then) goes on there. */
static void
test_reader_and_empty_segment(void)
{
	struct journal_reader *reader;
	struct journal_entry entry;
	struct journal *j;
	struct fail fail;
	char path[512];

	fresh_directory();
	j = open_journal(true, 0, NULL);
	CHECK_INT(add(j, "\"a\":1", true), 0);
	journal_close(&j);
	(void)snprintf(path, sizeof(path),
	    "%s/decisions-21000101-000002.jsonl", directory);
	write_file(path, SPAN("{\"seq\":3,\"ty"));
	CHECK_INT(journal_reader_open(directory, "decisions", 1, &reader,
	    &fail), 0);
	CHECK_INT(journal_reader_next(reader, &entry, &fail), 1);
	CHECK_INT(journal_reader_next(reader, &entry, &fail), 1);
	CHECK_INT(journal_reader_next(reader, &entry, &fail), 0);
	j = open_journal(true, 0, NULL);
	CHECK_INT(add(j, "\"b\":2", true), 0);
	journal_close(&j);
	for (uint64_t seq = 3; seq <= 5; seq++) {
		CHECK_INT(journal_reader_next(reader, &entry, &fail), 1);
		CHECK_INT(entry.seq, seq);
	}
	CHECK(span_is(entry.body, SPAN("\"b\":2")));
	journal_reader_close(&reader);
	CHECK_INT(verify(), 5);
}

/* What a reader saw of a write that failed is taken back; what was written
 * there instead is read, also when it has the same length. */
static void
test_reader_and_cut(void)
{
	static const char *const instead[] = { "\"x\":2", "\"longer\":2" };
	struct buf good = BUF_INIT(1 << 20);

	for (size_t i = 0; i < 2; i++) {
		struct journal_reader *reader;
		struct journal_entry entry;
		struct journal *j;
		struct fail fail;

		check_case((long)i);
		fresh_directory();
		j = open_journal(true, 0, NULL);
		CHECK_INT(add(j, "\"a\":1", true), 0);
		journal_close(&j);
		read_file(last_segment(), &good);
		CHECK_INT(journal_reader_open(directory, "decisions", 1,
		    &reader, &fail), 0);
		while (journal_reader_next(reader, &entry, &fail) == 1)
			;
		j = open_journal(true, 0, NULL);
		CHECK_INT(add(j, "\"x\":1", true), 0);
		journal_close(&j);
		CHECK_INT(journal_reader_next(reader, &entry, &fail), 1);
		CHECK(span_is(entry.body, SPAN("\"x\":1")));
		CHECK_INT(journal_reader_next(reader, &entry, &fail), 0);
		CHECK_INT(truncate(last_segment(), (off_t)good.len), 0);
		j = open_journal(true, 0, NULL);
		CHECK_INT(add(j, instead[i], true), 0);
		CHECK_INT(add(j, "\"y\":3", true), 0);
		journal_close(&j);
		CHECK_INT(journal_reader_next(reader, &entry, &fail), 1);
		CHECK(span_is(entry.body, span_str(instead[i])));
		CHECK_INT(journal_reader_next(reader, &entry, &fail), 1);
		CHECK(span_is(entry.body, SPAN("\"y\":3")));
		CHECK_INT(journal_reader_next(reader, &entry, &fail), 0);
		journal_reader_close(&reader);
	}
	buf_fini(&good);
}

/* Lines that are no entries are named, and passed over. */
static void
test_reader_and_bad_lines(void)
{
	static char big[3 * JOURNAL_LINE_MAX];
	struct buf text = BUF_INIT(1 << 20), all = BUF_INIT(1 << 20);
	struct journal_reader *reader;
	struct journal_entry entry;
	struct journal *j;
	struct fail fail;

	fresh_directory();
	j = open_journal(true, 0, NULL);
	journal_close(&j);
	read_file(last_segment(), &text);
	memset(big, 'x', sizeof(big) - 1);
	buf_add_span(&all, buf_span(&text));
	buf_add_str(&all, "nonsense\n");
	buf_add_str(&all, big);
	buf_add_char(&all, '\n');
	buf_add_span(&all, buf_span(&text));
	write_file(last_segment(), buf_span(&all));
	CHECK_INT(journal_reader_open(directory, "decisions", 1, &reader,
	    &fail), 0);
	CHECK_INT(journal_reader_next(reader, &entry, &fail), 1);
	for (int line = 2; line <= 3; line++) {
		CHECK_INT(journal_reader_next(reader, &entry, &fail), -1);
		CHECK_INT(fail.class, FAIL_INPUT);
		CHECK(strstr(fail.text, line == 2 ? ".jsonl:2" :
		    ".jsonl:3") != NULL);
	}
	CHECK_INT(journal_reader_next(reader, &entry, &fail), 1);
	CHECK_INT(journal_reader_next(reader, &entry, &fail), 0);
	journal_reader_close(&reader);
	buf_fini(&text);
	buf_fini(&all);
}

#define WRITERS		8
#define EACH		500

static void *
write_many(void *argument)
{
	struct journal *j = argument;
	char body[64];

	for (int i = 0; i < EACH; i++) {
		(void)snprintf(body, sizeof(body), "\"w\":1,\"i\":%d", i);
		if (add(j, body, i % 16 == 0) == -1)
			return argument;
	}
	return NULL;
}

static void
test_threads(void)
{
	pthread_t threads[WRITERS];
	struct journal *j;

	fresh_directory();
	j = open_journal(true, 100000, NULL);
	for (int i = 0; i < WRITERS; i++)
		CHECK_INT(pthread_create(&threads[i], NULL, write_many, j), 0);
	for (int i = 0; i < WRITERS; i++) {
		void *result = j;

		CHECK_INT(pthread_join(threads[i], &result), 0);
		CHECK(result == NULL);
	}
	journal_close(&j);
	CHECK(verify() > WRITERS * EACH);
	CHECK_INT(count_entries("\"w\":1"), WRITERS * EACH);
}

/* Each process has its own number in its entries. */
static void
write_as(int process)
{
	struct fail fail;
	struct journal *j = open_with(false, 30000, 0, NULL, &fail);
	char body[64];

	for (int i = 0; j != NULL && i < EACH / 2; i++) {
		(void)snprintf(body, sizeof(body), "\"p%d\":%d,\"n\":1",
		    process, i);
		if (add(j, body, i % 16 == 0) == -1)
			_exit(1);
	}
	if (j == NULL)
		_exit(1);
	journal_close(&j);
	_exit(0);
}

static void
test_processes(void)
{
	static const int counts[] = { 2, 4 };

	for (size_t c = 0; c < 2; c++) {
		pid_t pids[4];
		char needle[16];

		check_case(counts[c]);
		fresh_directory();
		for (int p = 0; p < counts[c]; p++) {
			pids[p] = fork();
			if (pids[p] == 0)
				write_as(p);
		}
		for (int p = 0; p < counts[c]; p++) {
			int status = -1;

			CHECK_INT(waitpid(pids[p], &status, 0), pids[p]);
			CHECK_INT(status, 0);
		}
		CHECK(verify() > counts[c] * EACH / 2);
		for (int p = 0; p < counts[c]; p++) {
			(void)snprintf(needle, sizeof(needle), "\"p%d\":", p);
			CHECK_INT(count_entries(needle), EACH / 2);
		}
	}
}

#define KILL_ROUNDS	30
#define KILL_WAIT_MS	10000
#define KILL_MAX	200000

/* Appends numbered entries until it is killed; tells of each. */
static void
append_until_killed(int to, uint32_t from)
{
	struct fail fail;
	struct journal *j = open_with(false, 20000, 0, NULL, &fail);
	char body[64];

	if (j == NULL)
		_exit(1);
	for (uint32_t i = from;; i++) {
		(void)snprintf(body, sizeof(body), "\"k\":%" PRIu32, i);
		if (add(j, body, true) == -1 ||
		    write(to, &i, sizeof(i)) != sizeof(i))
			_exit(1);
	}
}

/* Counts how often each number was written. */
static void
count_numbers(unsigned char *seen)
{
	struct journal_reader *reader;
	struct journal_entry entry;
	struct fail fail;
	int rc;

	CHECK_INT(journal_reader_open(directory, "decisions", 1, &reader,
	    &fail), 0);
	while ((rc = journal_reader_next(reader, &entry, &fail)) == 1)
		if (span_has_prefix(entry.body, SPAN("\"k\":")))
			seen[strtoul((const char *)entry.body.p + 4, NULL,
			    10)]++;
	CHECK_INT(rc, 0);
	journal_reader_close(&reader);
}

/* What was acknowledged as durable is there after a kill -9, once. */
static void
test_kill(void)
{
	static bool acknowledged[KILL_MAX];
	static unsigned char seen[KILL_MAX];
	uint32_t random = 12345, number = 0, next = 0;
	long total = 0, lost = 0, twice = 0;
	struct journal *j;

	fresh_directory();
	for (int round = 0; round < KILL_ROUNDS; round++) {
		int fds[2], status;
		pid_t pid;

		CHECK_INT(pipe(fds), 0);
		pid = fork();
		if (pid == 0)
			append_until_killed(fds[1], next);
		(void)close(fds[1]);
		random = random * 1103515245 + 12345;
		/* Every other round has something to lose, however slow the
		 * machine is. */
		if (round % 2 == 0)
			CHECK_INT(poll(&(struct pollfd){ .fd = fds[0],
			    .events = POLLIN }, 1, KILL_WAIT_MS), 1);
		(void)usleep(2000 + random / 65536 % 30000);
		(void)kill(pid, SIGKILL);
		CHECK_INT(waitpid(pid, &status, 0), pid);
		CHECK(WIFSIGNALED(status));
		while (read(fds[0], &number, sizeof(number)) ==
		    sizeof(number) && number < KILL_MAX - 2) {
			acknowledged[number] = true;
			total++;
			next = number + 1;
		}
		/* one more may be written that nobody told of */
		next++;
		(void)close(fds[0]);
	}
	j = open_journal(false, 0, NULL);
	journal_close(&j);
	CHECK(total >= KILL_ROUNDS / 2);
	CHECK(verify() >= total);
	count_numbers(seen);
	for (uint32_t i = 0; i < next; i++) {
		lost += acknowledged[i] && seen[i] == 0;
		twice += seen[i] > 1;
	}
	CHECK_INT(lost, 0);
	CHECK_INT(twice, 0);
}

static void
test_lines(void)
{
	static const char *const bad[] = {
		"", "{}", "{\"seq\":1}", "{\"seq\":01,\"type\":\"a\",}",
		"{\"seq\":1,\"type\":\"A\",\"salt\":\"\"}",
		"{\"seq\":-1,\"type\":\"a\",\"blanked\":true,",
	};
	struct buf line = BUF_INIT(4096);
	unsigned char chain[32] = { 0 }, salt[16] = { 1 };
	struct crypto_hash *hash = crypto_hash_new();
	struct journal_entry entry;
	struct fail fail;
	char blanked[512];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		check_case((long)i);
		CHECK_INT(journal_line_parse(span_str(bad[i]), &entry, &fail),
		    -1);
	}
	check_case(-1);
	journal_line_format(&line, hash, 7, SPAN("event"), SPAN("\"x\":\"y\""),
	    salt, chain);
	for (size_t len = 0; len < line.len - 1; len++)
		CHECK_INT(journal_line_parse(span_head(buf_span(&line), len),
		    &entry, &fail), -1);
	CHECK_INT(journal_line_parse(span_head(buf_span(&line),
	    line.len - 1), &entry, &fail), 0);
	CHECK(span_is(entry.body, SPAN("\"x\":\"y\"")) && !entry.blanked);
	CHECK_BYTES(entry.chain, 32, chain, 32);
	/* blanked: body and salt are gone, the hashes stay */
	(void)snprintf(blanked, sizeof(blanked), "{\"seq\":7,\"type\":"
	    "\"event\",\"blanked\":true,%s",
	    strstr(buf_get(&line), "\"digest\""));
	CHECK_INT(journal_line_parse(span_of(blanked, strlen(blanked) - 1),
	    &entry, &fail), 0);
	CHECK(entry.blanked && entry.seq == 7 && entry.body.len == 0);
	CHECK_BYTES(entry.chain, 32, chain, 32);
	crypto_hash_free(&hash);
	buf_fini(&line);
}

static const struct check_test tests[] = {
	{ "append_and_read", test_append_and_read },
	{ "refused", test_refused },
	{ "segments_by_size", test_segments_by_size },
	{ "segment_of_another", test_segment_of_another },
	{ "segments_by_day", test_segments_by_day },
	{ "torn_tail", test_torn_tail },
	{ "torn_rotation", test_torn_rotation },
	{ "long_tear", test_long_tear },
	{ "unreadable_last_line", test_unreadable_last_line },
	{ "changed_tail", test_changed_tail },
	{ "verifier", test_verifier },
	{ "ownership", test_ownership },
	{ "locks", test_locks },
	{ "stats", test_stats },
	{ "stop", test_stop },
	{ "reader_at_the_end", test_reader_at_the_end },
	{ "reader_and_empty_segment", test_reader_and_empty_segment },
	{ "reader_and_cut", test_reader_and_cut },
	{ "reader_and_bad_lines", test_reader_and_bad_lines },
	{ "threads", test_threads },
	{ "processes", test_processes },
	{ "kill", test_kill },
	{ "lines", test_lines },
};

int
main(void)
{
	return rig_main("journal", tests, sizeof(tests) / sizeof(tests[0]));
}
