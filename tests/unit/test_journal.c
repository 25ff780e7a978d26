/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The journal on a real disk, with the faults made to happen: kill -9, full
 * disk, torn lines, several processes.  The chain is verified by code that
 * shares nothing with the writer but SHA-256.
 */
#include "journal/private.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/file.h"
#include "base/json.h"
#include "check.h"

static char top[] = "/tmp/test_journal.XXXXXX";
static char directory[128];

static void
fresh_directory(void)
{
	static int number;

	(void)snprintf(directory, sizeof(directory), "%s/%d", top, number++);
}

static struct journal *
open_journal(bool exclusive, uint64_t segment_bytes, uint64_t *recovered)
{
	struct journal_options options = { .directory = directory,
	    .name = "decisions", .host = "host \"1\"", .exclusive = exclusive,
	    .segment_bytes = segment_bytes };
	struct journal *j = NULL;
	struct fail fail = { .text = "" };

	if (journal_open(&options, &j, recovered, &fail) == -1)
		fprintf(stderr, "%s\n", fail.text);
	return j;
}

static int
add(struct journal *j, const char *body, bool durable)
{
	struct fail fail;

	return journal_append(j, "decision", span_str(body), durable, NULL,
	    &fail);
}

/* -- the verifier -- */

static void
put_length(struct buf *out, uint64_t value)
{
	for (int shift = 56; shift >= 0; shift -= 8)
		buf_add_char(out, (char)(value >> shift));
}

static void
put_text(struct buf *out, struct span s)
{
	put_length(out, s.len);
	buf_add_span(out, s);
}

/* The text between two marks, searched from the end. */
static struct span
between(struct span line, const char *before, const char *after)
{
	const char *text = (const char *)line.p;
	size_t blen = strlen(before);

	for (size_t i = line.len - blen; i > 0; i--)
		if (memcmp(text + i, before, blen) == 0) {
			struct span rest = span_from(line, i + blen);
			const char *end = memmem(rest.p, rest.len, after,
			    strlen(after));

			return span_head(rest, (size_t)(end -
			    (const char *)rest.p));
		}
	return span_of(NULL, 0);
}

static bool
verify_line(struct span line, uint64_t *seq, unsigned char chain[32])
{
	struct buf bytes = BUF_INIT(1 << 20);
	unsigned char salt[16], want[32], sum[32];
	struct span type, body, piece;
	char *end;
	bool ok;

	*seq = strtoull((const char *)line.p + 7, &end, 10);
	type = between(span_head(line, 80), "\"type\":\"", "\"");
	body = span_from(line, (size_t)(type.p + type.len + 2 - line.p));
	piece = between(line, ",\"salt\":\"", "\"");
	/* an empty body has no comma of its own before the salt */
	body = span_head(body, piece.p - 9 < body.p ? 0 :
	    (size_t)(piece.p - 9 - body.p));
	ok = hex_parse(between(line, ",\"salt\":\"", "\""), salt, 16) == 0 &&
	    hex_parse(between(line, "\"digest\":\"", "\""), want, 32) == 0;
	put_text(&bytes, span_of("consent-milter journal body v1", 31));
	put_text(&bytes, span_of(salt, 16));
	put_text(&bytes, body);
	piece = buf_span(&bytes);
	crypto_sha256(&piece, 1, sum);
	ok = ok && memcmp(sum, want, 32) == 0;
	buf_clear(&bytes);
	put_text(&bytes, span_of("consent-milter journal chain v1", 32));
	put_text(&bytes, span_of(chain, 32));
	put_length(&bytes, *seq);
	put_text(&bytes, type);
	put_text(&bytes, span_of(sum, 32));
	piece = buf_span(&bytes);
	crypto_sha256(&piece, 1, chain);
	ok = ok && hex_parse(between(line, "\"chain\":\"", "\""), want,
	    32) == 0 && memcmp(chain, want, 32) == 0;
	buf_fini(&bytes);
	return ok;
}

/* Verifies every segment; returns the number of entries, or -1. */
static long
verify(void)
{
	unsigned char chain[32] = { 0 };
	uint64_t expected = 1, seq = 0;
	char **names, path[512];
	size_t count;
	struct fail fail;
	long entries = 0;

	if (journal_segments(directory, "decisions", &names, &count,
	    &fail) == -1)
		return -1;
	for (size_t i = 0; i < count && entries != -1; i++) {
		struct buf text = BUF_INIT(64 << 20);
		struct span rest;

		(void)snprintf(path, sizeof(path), "%s/%s", directory,
		    names[i]);
		if (file_read(path, &text, &fail) == -1)
			entries = -1;
		rest = buf_span(&text);
		while (rest.len > 0 && entries != -1) {
			ptrdiff_t end = span_index(rest, '\n');

			if (end == -1 || !verify_line(span_head(rest,
			    (size_t)end), &seq, chain) || seq != expected) {
				fprintf(stderr, "%s: entry %ju after %ld\n",
				    path, (uintmax_t)seq, entries);
				entries = -1;
				break;
			}
			expected++;
			entries++;
			rest = span_from(rest, (size_t)end + 1);
		}
		buf_fini(&text);
	}
	journal_segments_free(names, count);
	return entries;
}

/* How many entries the reader finds that have this in their body. */
static long
count_entries(const char *needle)
{
	struct journal_reader *reader;
	struct journal_entry entry;
	struct fail fail;
	long n = 0;
	int rc;

	if (journal_reader_open(directory, "decisions", 1, &reader,
	    &fail) == -1)
		return -1;
	while ((rc = journal_reader_next(reader, &entry, &fail)) == 1)
		n += memmem(entry.object.p, entry.object.len, needle,
		    strlen(needle)) != NULL;
	journal_reader_close(&reader);
	return rc == 0 ? n : -1;
}

/* The path of the last segment. */
static void
last_segment(char *path, size_t size)
{
	char **names;
	size_t count;
	struct fail fail;

	CHECK_INT(journal_segments(directory, "decisions", &names, &count,
	    &fail), 0);
	(void)snprintf(path, size, "%s/%s", directory, names[count - 1]);
	journal_segments_free(names, count);
}

/* -- the tests -- */

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
	char path[512];

	fresh_directory();
	j = open_journal(true, 0, NULL);
	journal_set_clock(j, test_clock);
	test_now_ms = INT64_C(4102444800000);	/* 2100-01-01 */
	CHECK_INT(add(j, "\"a\":1", false), 0);
	last_segment(path, sizeof(path));
	CHECK(strstr(path, "decisions-21000101-000002.jsonl") != NULL);
	test_now_ms += 86400000;
	CHECK_INT(add(j, "\"a\":2", false), 0);
	last_segment(path, sizeof(path));
	CHECK(strstr(path, "decisions-21000102-000003.jsonl") != NULL);
	/* a clock that is set back starts nothing */
	test_now_ms -= 10 * INT64_C(86400000);
	CHECK_INT(add(j, "\"a\":3", false), 0);
	last_segment(path, sizeof(path));
	CHECK(strstr(path, "-000003.jsonl") != NULL);
	journal_close(&j);
	CHECK_INT(verify(), 6);
}

/* A crash in the middle of the last line, at each of its bytes. */
static void
test_torn_tail(void)
{
	char path[512];
	struct buf whole = BUF_INIT(1 << 20);
	struct fail fail;
	size_t last;

	fresh_directory();
	struct journal *j = open_journal(true, 0, NULL);
	CHECK_INT(add(j, "\"keep\":1", true), 0);
	CHECK_INT(add(j, "\"torn\":1", true), 0);
	journal_close(&j);
	last_segment(path, sizeof(path));
	CHECK_INT(file_read(path, &whole, &fail), 0);
	last = (size_t)span_rindex(span_head(buf_span(&whole), whole.len - 1),
	    '\n') + 1;
	for (size_t len = last; len < whole.len; len++) {
		uint64_t recovered = 0;
		int fd = open(path, O_WRONLY | O_TRUNC);

		check_case((long)(len - last));
		CHECK(fd != -1 && file_write_all(fd,
		    span_head(buf_span(&whole), len)) == 0);
		(void)close(fd);
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
		int fd;

		check_case((long)i);
		fresh_directory();
		j = open_journal(true, 0, NULL);
		CHECK_INT(add(j, "\"a\":1", true), 0);
		journal_close(&j);
		(void)snprintf(path, sizeof(path),
		    "%s/decisions-21000101-000002.jsonl", directory);
		fd = open(path, O_WRONLY | O_CREAT, 0640);
		CHECK(fd != -1 && file_write_all(fd,
		    span_str(starts[i])) == 0);
		(void)close(fd);
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

/* A last entry that was changed is nothing to go on from. */
static void
test_changed_tail(void)
{
	char path[512];
	struct buf text = BUF_INIT(1 << 20);
	struct fail fail;
	char *at;
	int fd;

	fresh_directory();
	struct journal *j = open_journal(true, 0, NULL);
	CHECK_INT(add(j, "\"value\":1", true), 0);
	journal_close(&j);
	last_segment(path, sizeof(path));
	CHECK_INT(file_read(path, &text, &fail), 0);
	at = strstr(text.data, "\"value\":1");
	at[8] = '2';
	fd = open(path, O_WRONLY | O_TRUNC);
	CHECK_INT(file_write_all(fd, buf_span(&text)), 0);
	(void)close(fd);
	CHECK(open_journal(true, 0, NULL) == NULL);
	buf_fini(&text);
}

#define WRITERS		8
#define EACH		300

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

static void
test_processes(void)
{
	pid_t pids[4];

	fresh_directory();
	for (int p = 0; p < 4; p++) {
		pids[p] = fork();
		if (pids[p] == 0) {
			struct journal *j = open_journal(false, 50000, NULL);

			_exit(j == NULL || write_many(j) != NULL);
		}
	}
	for (int p = 0; p < 4; p++) {
		int status = -1;

		CHECK_INT(waitpid(pids[p], &status, 0), pids[p]);
		CHECK_INT(status, 0);
	}
	CHECK(verify() > 4 * EACH);
	CHECK_INT(count_entries("\"w\":1"), 4 * EACH);
}

/* What was acknowledged as durable is there after a kill -9. */
static void
test_kill(void)
{
	uint32_t random = 12345;
	long acknowledged = 0;

	fresh_directory();
	for (int round = 0; round < 25; round++) {
		int pipe_fds[2], status;
		unsigned char byte;
		pid_t pid;

		CHECK_INT(pipe(pipe_fds), 0);
		pid = fork();
		if (pid == 0) {
			struct journal *j = open_journal(false, 20000, NULL);

			while (add(j, "\"k\":1", true) == 0)
				(void)!write(pipe_fds[1], "", 1);
			_exit(1);
		}
		(void)close(pipe_fds[1]);
		random = random * 1103515245 + 12345;
		(void)usleep(2000 + random / 65536 % 8000);
		(void)kill(pid, SIGKILL);
		CHECK_INT(waitpid(pid, &status, 0), pid);
		CHECK(WIFSIGNALED(status));
		while (read(pipe_fds[0], &byte, 1) == 1)
			acknowledged++;
		(void)close(pipe_fds[0]);
	}
	struct journal *j = open_journal(false, 0, NULL);
	CHECK(j != NULL);
	journal_close(&j);
	CHECK(acknowledged > 0);
	CHECK(verify() >= acknowledged);
	CHECK(count_entries("\"k\":1") >= acknowledged);
}

/* A disk that is full in the middle of an entry, and then has room again. */
static void
test_full_disk(void)
{
	struct rlimit old, small;
	struct journal *j;
	struct fail fail;
	int accepted = 0, refused = 0;

	fresh_directory();
	(void)signal(SIGXFSZ, SIG_IGN);
	j = open_journal(true, 0, NULL);
	CHECK_INT(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 5000;
	CHECK_INT(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (int i = 0; i < 40; i++) {
		if (journal_append(j, "decision", SPAN("\"full\":1"),
		    i % 2 == 0, NULL, &fail) == 0)
			accepted++;
		else {
			CHECK_INT(fail.class, FAIL_TEMP);
			refused++;
		}
	}
	CHECK_INT(setrlimit(RLIMIT_FSIZE, &old), 0);
	CHECK(accepted > 5 && refused > 5);
	CHECK_INT(verify(), accepted + 1);
	CHECK_INT(add(j, "\"full\":1", true), 0);
	journal_close(&j);
	CHECK_INT(verify(), accepted + 2);
	CHECK_INT(count_entries("\"full\":1"), accepted + 1);
}

/* The file is taken away under us: the chain goes on in a new one. */
static void
test_removed(void)
{
	char path[512];
	struct journal *j;

	fresh_directory();
	j = open_journal(true, 0, NULL);
	CHECK_INT(add(j, "\"a\":1", true), 0);
	last_segment(path, sizeof(path));
	CHECK_INT(unlink(path), 0);
	CHECK_INT(add(j, "\"a\":2", true), 0);
	CHECK_INT(add(j, "\"a\":3", true), 0);
	journal_close(&j);
	CHECK_INT(count_entries("\"a\":2"), 1);
	CHECK_INT(count_entries("\"a\":3"), 1);
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
	struct journal_entry entry;
	struct fail fail;
	char blanked[512];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		check_case((long)i);
		CHECK_INT(journal_line_parse(span_str(bad[i]), &entry, &fail),
		    -1);
	}
	check_case(-1);
	journal_line_format(&line, 7, SPAN("event"), SPAN("\"x\":\"y\""),
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
	buf_fini(&line);
}

static void
clean_up(void)
{
	char command[256];
	pid_t pid = fork();

	if (pid == 0) {
		(void)snprintf(command, sizeof(command), "%s", top);
		(void)execlp("rm", "rm", "-rf", command, (char *)NULL);
		_exit(1);
	}
	(void)waitpid(pid, NULL, 0);
}

static const struct check_test tests[] = {
	{ "append_and_read", test_append_and_read },
	{ "refused", test_refused },
	{ "segments_by_size", test_segments_by_size },
	{ "segments_by_day", test_segments_by_day },
	{ "torn_tail", test_torn_tail },
	{ "torn_rotation", test_torn_rotation },
	{ "changed_tail", test_changed_tail },
	{ "threads", test_threads },
	{ "processes", test_processes },
	{ "kill", test_kill },
	{ "full_disk", test_full_disk },
	{ "removed", test_removed },
	{ "lines", test_lines },
};

int
main(void)
{
	int rc;

	if (mkdtemp(top) == NULL) {
		perror(top);
		return EXIT_FAILURE;
	}
	rc = check_main("journal", tests, sizeof(tests) / sizeof(tests[0]));
	clean_up();
	return rc;
}
