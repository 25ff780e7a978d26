/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What the tests of the journal share: a directory of their own, and a
 * verifier that shares nothing with the writer but SHA-256.
 */
#ifndef TESTS_UNIT_JOURNAL_RIG_H
#define TESTS_UNIT_JOURNAL_RIG_H

#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/file.h"
#include "check.h"
#include "journal/private.h"

#define RIG_FILES	2000

static char top[64] = "/tmp/test_journal.XXXXXX";
static char directory[128];

static inline void
fresh_directory(void)
{
	static int number;

	(void)snprintf(directory, sizeof(directory), "%s/%d", top, number++);
}

static inline struct journal *
open_with(bool exclusive, uint64_t segment_bytes, int sync_interval_ms,
    uint64_t *recovered, struct fail *fail)
{
	struct journal_options options = { .directory = directory,
	    .name = "decisions", .host = "host \"1\"", .exclusive = exclusive,
	    .segment_bytes = segment_bytes,
	    .sync_interval_ms = sync_interval_ms };
	struct journal *j = NULL;

	return journal_open(&options, &j, recovered, fail) == -1 ? NULL : j;
}

/* The same where nothing should go wrong. */
static inline struct journal *
open_journal(bool exclusive, uint64_t segment_bytes, uint64_t *recovered)
{
	struct fail fail = { .text = "" };
	struct journal *j = open_with(exclusive, segment_bytes, 0, recovered,
	    &fail);

	if (j == NULL)
		fprintf(stderr, "%s\n", fail.text);
	CHECK(j != NULL);
	return j;
}

static inline int
add(struct journal *j, const char *body, bool durable)
{
	struct fail fail;

	return journal_append(j, "decision", span_str(body), durable, NULL,
	    &fail);
}

/* -- files -- */

static inline int
rig_is_segment(const struct dirent *entry)
{
	return strncmp(entry->d_name, "decisions-", 10) == 0 &&
	    strstr(entry->d_name, ".jsonl") != NULL;
}

static inline int
rig_by_number(const struct dirent **a, const struct dirent **b)
{
	return strcmp(strrchr((*a)->d_name, '-'), strrchr((*b)->d_name, '-'));
}

/* The paths of the segments, ascending; returns how many. */
static inline int
rig_segments(char paths[RIG_FILES][400])
{
	struct dirent **entries;
	int n = scandir(directory, &entries, rig_is_segment, rig_by_number);

	for (int i = 0; i < n; i++) {
		if (i < RIG_FILES)
			(void)snprintf(paths[i], 400, "%s/%s", directory,
			    entries[i]->d_name);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	CHECK(n <= RIG_FILES);
	return n;
}

static char rig_paths[RIG_FILES][400];

static inline const char *
last_segment(void)
{
	int n = rig_segments(rig_paths);

	CHECK(n > 0);
	return n > 0 ? rig_paths[n - 1] : "";
}

static inline void
read_file(const char *path, struct buf *out)
{
	struct fail fail;

	buf_clear(out);
	CHECK_INT(file_read(path, out, &fail), 0);
}

static inline void
write_file(const char *path, struct span content)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);

	CHECK(fd != -1 && file_write_all(fd, content) == 0);
	(void)close(fd);
}

/* -- the verifier -- */

static inline void
rig_put_number(struct buf *out, uint64_t value)
{
	for (int shift = 56; shift >= 0; shift -= 8)
		buf_add_char(out, (char)(value >> shift));
}

static inline void
rig_put_text(struct buf *out, const void *p, size_t len)
{
	rig_put_number(out, len);
	buf_add(out, p, len);
}

static inline bool
rig_hex(const char *text, size_t text_len, unsigned char *out, size_t len)
{
	if (text == NULL || text_len < 2 * len)
		return false;
	for (size_t i = 0; i < 2 * len; i++) {
		int c = text[i];
		int v = c >= '0' && c <= '9' ? c - '0' :
		    c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

		if (v == -1)
			return false;
		out[i / 2] = (unsigned char)(i % 2 == 0 ? v << 4 :
		    out[i / 2] | v);
	}
	return true;
}

/* What follows the last (or first) occurrence of a mark in a line. */
static inline const char *
rig_after(const char *line, size_t len, const char *mark, bool last)
{
	const char *found = NULL, *at = line;
	size_t n = strlen(mark);

	while ((at = memmem(at, len - (size_t)(at - line), mark, n)) != NULL) {
		found = at + n;
		if (!last)
			break;
		at++;
	}
	return found;
}

static inline void
rig_sum(struct buf *bytes, unsigned char out[32])
{
	struct span piece = buf_span(bytes);

	crypto_sha256(&piece, 1, out);
	buf_clear(bytes);
}

/* One line without its line break; chain becomes the one after it. */
static inline bool
verify_line(const char *line, size_t len, uint64_t *seq,
    unsigned char chain[32])
{
	struct buf bytes = BUF_INIT(1 << 20);
	unsigned char salt[16], digest[32], want[32], sum[32];
	const char *end = line + len;
	const char *type = rig_after(line, len, ",\"type\":\"", false);
	const char *type_end = type == NULL ? NULL :
	    memchr(type, '"', (size_t)(end - type));
	const char *d = rig_after(line, len, "\"digest\":\"", true);
	const char *c = rig_after(line, len, "\",\"chain\":\"", true);
	const char *s = rig_after(line, len, "\"salt\":\"", true);
	const char *body, *previous;
	bool ok;

	if (memcmp(line, "{\"seq\":", 7) != 0 || type_end == NULL ||
	    d == NULL || c == NULL || c + 66 != end || d + 75 != c ||
	    memcmp(end - 2, "\"}", 2) != 0 ||
	    !rig_hex(d, 64, digest, 32) || !rig_hex(c, 64, want, 32))
		return false;
	*seq = strtoull(line + 7, NULL, 10);
	body = type_end + 2;
	ok = true;
	if (strncmp(body, "\"blanked\":true,", 15) != 0) {
		size_t n = s == NULL ? 0 : (size_t)(s - 8 - body);

		if (n > 0)
			n--;	/* the comma between body and salt */
		/* 32 digits and `","digest":"' */
		ok = s != NULL && s + 44 == d &&
		    memcmp(s + 32, "\",", 2) == 0 && rig_hex(s, 32, salt, 16);
		rig_put_text(&bytes, "consent-milter journal body v1", 31);
		rig_put_text(&bytes, salt, 16);
		rig_put_text(&bytes, body, n);
		rig_sum(&bytes, sum);
		ok = ok && memcmp(sum, digest, 32) == 0;
	}
	if (strncmp(type, "segment\"", 8) == 0) {
		previous = rig_after(line, len, "\"previous\":\"", true);
		ok = ok && rig_hex(previous, 64, sum, 32) &&
		    memcmp(sum, chain, 32) == 0;
	}
	rig_put_text(&bytes, "consent-milter journal chain v1", 32);
	rig_put_text(&bytes, chain, 32);
	rig_put_number(&bytes, *seq);
	rig_put_text(&bytes, type, (size_t)(type_end - type));
	rig_put_text(&bytes, digest, 32);
	rig_sum(&bytes, chain);
	buf_fini(&bytes);
	return ok && memcmp(chain, want, 32) == 0;
}

/* Verifies every segment; returns the number of entries, or -1. */
static inline long
verify_quietly(void)
{
	static char paths[RIG_FILES][400];
	unsigned char chain[32] = { 0 };
	int n = rig_segments(paths);
	uint64_t seq = 0;
	long entries = 0;

	for (int i = 0; i < n && entries != -1; i++) {
		struct buf text = BUF_INIT(64 << 20);
		const char *at, *end, *line_end;

		read_file(paths[i], &text);
		at = buf_get(&text);
		end = at + text.len;
		for (bool first = true; at < end; first = false) {
			line_end = memchr(at, '\n', (size_t)(end - at));
			if (line_end == NULL || line_end - at < 100 ||
			    !verify_line(at, (size_t)(line_end - at), &seq,
			    chain) || seq != (uint64_t)entries + 1 ||
			    first != (memmem(at, (size_t)(line_end - at),
			    "\"type\":\"segment\"", 16) != NULL)) {
				entries = -1;
				break;
			}
			entries++;
			at = line_end + 1;
		}
		buf_fini(&text);
	}
	return entries;
}

static inline long
verify(void)
{
	long entries = verify_quietly();

	if (entries == -1)
		fprintf(stderr, "%s does not verify\n", directory);
	return entries;
}

/* How many entries the reader finds that have this in their line. */
static inline long
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

static inline int
rig_main(const char *name, const struct check_test *tests, size_t n)
{
	pid_t pid;
	int rc;

	if (mkdtemp(top) == NULL) {
		perror(top);
		return EXIT_FAILURE;
	}
	rc = check_main(name, tests, n);
	pid = fork();
	if (pid == 0) {
		(void)execlp("rm", "rm", "-rf", top, (char *)NULL);
		_exit(1);
	}
	(void)waitpid(pid, NULL, 0);
	return rc;
}

#endif
