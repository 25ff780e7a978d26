/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "rights/notice.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "base/date.h"
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "base/xalloc.h"

#define INDEX_MAX	((size_t)64 * 1024 * 1024)
#define LINE_BYTES	4096

static void
path_in_store(const struct settings *settings, struct buf *out, const char *file)
{
	buf_addf(out, "%s/notices%s%s", settings->audit.directory,
	    file[0] != '\0' ? "/" : "", file);
}

/* -- reading -- */

int
notice_copy_name(char *to, size_t room, struct span text)
{
	if (text.len == 0 || text.len >= room)
		return -1;
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_isalnum(text.p[i]) &&
		    (text.p[i] == '\0' || strchr("._-", text.p[i]) == NULL))
			return -1;
	memcpy(to, text.p, text.len);
	to[text.len] = '\0';
	return 0;
}

static int
parse_notice(struct span line, struct notice *out, struct fail *fail)
{
	struct json_object *object;
	struct span id, version, language, digest;
	unsigned char bytes[CRYPTO_DIGEST_BYTES];
	int rc = 0;

	if (json_object_parse(line, &object, fail) == -1)
		return -1;
	if (json_object_string(object, "id", &id) != 1 ||
	    json_object_string(object, "version", &version) != 1 ||
	    json_object_string(object, "language", &language) != 1 ||
	    json_object_string(object, "digest", &digest) != 1 ||
	    notice_copy_name(out->id, sizeof(out->id), id) == -1 ||
	    notice_copy_name(out->version, sizeof(out->version), version) == -1 ||
	    notice_copy_name(out->language, sizeof(out->language), language) == -1 ||
	    hex_parse(digest, bytes, sizeof(bytes)) == -1 ||
	    notice_copy_name(out->digest, sizeof(out->digest), digest) == -1)
		rc = fail_set(fail, FAIL_INPUT, "not an entry of the index");
	json_object_free(&object);
	return rc;
}

static void
add_notice(struct notices *notices, const struct notice *notice)
{
	if (notices->count == notices->room) {
		notices->room = notices->room ? notices->room * 2 : 16;
		notices->all = xrealloc(notices->all, notices->room,
		    sizeof(*notices->all));
	}
	notices->all[notices->count++] = *notice;
}

int
notices_read(const struct settings *settings, struct notices *out, struct fail *fail)
{
	struct buf path = BUF_INIT(8192), text = BUF_INIT(INDEX_MAX);
	unsigned long long line = 0;
	struct span rest;
	int rc = 0;

	memset(out, 0, sizeof(*out));
	path_in_store(settings, &path, "index.jsonl");
	/* What can't be looked at is not the same as nothing. */
	if (access(buf_get(&path), F_OK) == 0 || errno != ENOENT)
		rc = file_read(buf_get(&path), &text, fail);
	for (rest = buf_span(&text); rc == 0 && rest.len > 0;) {
		ptrdiff_t end = span_index(rest, '\n');
		struct notice notice;

		/* Half a line: adding it was interrupted, and not told. */
		if (end == -1)
			break;
		line++;
		rc = parse_notice(span_head(rest, (size_t)end), &notice,
		    fail);
		if (rc == 0)
			add_notice(out, &notice);
		else
			(void)fail_prefix(fail, "%s:%llu", buf_get(&path),
			    line);
		rest = span_from(rest, (size_t)end + 1);
	}
	buf_fini(&path);
	buf_fini(&text);
	if (rc == -1)
		notices_fini(out);
	return rc;
}

void
notices_fini(struct notices *notices)
{
	free(notices->all);
	memset(notices, 0, sizeof(*notices));
}

const struct notice *
notices_find(const struct notices *notices, struct span id, struct span version,
    struct span language)
{
	for (size_t i = 0; i < notices->count; i++) {
		const struct notice *n = &notices->all[i];

		if (span_is(id, span_str(n->id)) &&
		    span_is(version, span_str(n->version)) &&
		    span_is_nocase(language, span_str(n->language)))
			return n;
	}
	return NULL;
}

int
notices_complete(const struct notices *notices, struct evidence *evidence,
    struct fail *fail)
{
	struct span name = span_str(evidence->notice);
	ptrdiff_t blank = span_index(name, ' ');
	const struct notice *n;

	if (blank == -1)
		return 0;
	n = notices_find(notices, span_head(name, (size_t)blank),
	    span_from(name, (size_t)blank + 1),
	    span_str(evidence->language));
	if (n == NULL)
		return 0;
	if (evidence->digest[0] != '\0' &&
	    strcmp(evidence->digest, n->digest) != 0)
		return fail_set(fail, FAIL_INPUT, "the digest is not that of "
		    "notice %s %s in %s", n->id, n->version, n->language);
	memcpy(evidence->digest, n->digest, sizeof(n->digest));
	return 1;
}

static void
digest_of(struct span text, char hex[NOTICE_DIGEST_LEN + 1])
{
	unsigned char sum[CRYPTO_DIGEST_BYTES];
	struct buf out = BUF_INIT(80);

	crypto_sha256(&text, 1, sum);
	hex_format(&out, sum, sizeof(sum));
	memcpy(hex, buf_get(&out), NOTICE_DIGEST_LEN + 1);
	buf_fini(&out);
}

int
notice_text(const struct settings *settings, const char *digest, struct buf *out,
    struct fail *fail)
{
	char file[NOTICE_DIGEST_LEN + 8], found[NOTICE_DIGEST_LEN + 1];
	struct buf path = BUF_INIT(8192), text = BUF_INIT(NOTICE_TEXT_MAX);
	unsigned char bytes[CRYPTO_DIGEST_BYTES];
	int rc;

	/* Security: it becomes the name of a file. */
	if (hex_parse(span_str(digest), bytes, sizeof(bytes)) == -1)
		return 0;
	(void)snprintf(file, sizeof(file), "%s.txt", digest);
	path_in_store(settings, &path, file);
	rc = access(buf_get(&path), F_OK) == 0 || errno != ENOENT;
	if (rc == 1 && file_read(buf_get(&path), &text, fail) == -1)
		rc = -1;
	if (rc == 1) {
		digest_of(buf_span(&text), found);
		if (strcmp(found, digest) != 0)
			rc = fail_set(fail, FAIL_INPUT, "%s: this is not the "
			    "text that was stored", buf_get(&path));
		else
			buf_add_span(out, buf_span(&text));
	}
	buf_fini(&path);
	buf_fini(&text);
	return rc;
}

/* -- notice add -- */

static int
write_text(const struct settings *settings, const char *digest, struct span text,
    struct fail *fail)
{
	struct buf path = BUF_INIT(8192), found = BUF_INIT(NOTICE_TEXT_MAX);
	char file[NOTICE_DIGEST_LEN + 8];
	int rc = notice_text(settings, digest, &found, fail);

	(void)snprintf(file, sizeof(file), "%s.txt", digest);
	path_in_store(settings, &path, file);
	/* A crash may have left half of it, before the index named it. */
	if (rc == -1 && fail->class == FAIL_INPUT) {
		(void)unlink(buf_get(&path));
		rc = 0;
	}
	if (rc == 0) {
		rc = file_create(buf_get(&path), text, 0640, fail);
		if (rc == 0 && file_give_to_owner(buf_get(&path)) == -1)
			rc = fail_errno(fail, FAIL_SETUP, errno, "%s",
			    buf_get(&path));
	}
	buf_fini(&path);
	buf_fini(&found);
	return rc == -1 ? -1 : 0;
}

/* Half a line at the end is of a run that was interrupted, and nobody's notice:
 * it was not told. */
static int
cut_half_line(int fd, off_t *size, struct fail *fail)
{
	char tail[LINE_BYTES];
	off_t from = *size > LINE_BYTES ? *size - LINE_BYTES : 0;
	size_t len = (size_t)(*size - from);
	const char *end;

	if (pread(fd, tail, len, from) != (ssize_t)len)
		return fail_errno(fail, FAIL_TEMP, errno, "index.jsonl");
	end = memrchr(tail, '\n', len);
	if (end == NULL && from > 0)
		return fail_set(fail, FAIL_SETUP, "notices/index.jsonl ends in "
		    "something that is no line: look at it, and remove that");
	from += end == NULL ? 0 : end - tail + 1;
	if (from < *size && ftruncate(fd, from) == -1)
		return fail_errno(fail, FAIL_TEMP, errno, "index.jsonl");
	*size = from;
	return 0;
}

/* Under the lock on fd, which is the index. */
static int
append_index(int fd, const struct notice *n, const struct notice_adder *by,
    struct fail *fail)
{
	struct buf line = BUF_INIT(LINE_BYTES), time = BUF_INIT(64);
	struct stat st;
	int rc;

	date_format(&time, by->now_ms);
	rc = fstat(fd, &st) == -1 ? fail_errno(fail, FAIL_TEMP, errno,
	    "index.jsonl") : cut_half_line(fd, &st.st_size, fail);
	buf_addf(&line, "{\"id\":\"%s\"", n->id);
	json_add_member_str(&line, "version", n->version);
	json_add_member_str(&line, "language", n->language);
	json_add_member_str(&line, "digest", n->digest);
	json_add_member(&line, "added_at", buf_span(&time));
	json_add_member_str(&line, "actor", by->actor);
	buf_add_str(&line, "}\n");
	if (rc == 0 && (file_write_all(fd, buf_span(&line)) == -1 ||
	    fsync(fd) == -1)) {
		rc = fail_errno(fail, FAIL_TEMP, errno, "index.jsonl");
		(void)!ftruncate(fd, st.st_size);
	}
	buf_fini(&line);
	buf_fini(&time);
	return rc;
}

/* Returns 1 when it is new, 0 when it was there, or -1. */
static int
store_notice(const struct settings *settings, int fd, const struct notice *n,
    struct span text, const struct notice_adder *by, struct fail *fail)
{
	struct notices notices;
	const struct notice *have;
	int rc = 1;

	if (notices_read(settings, &notices, fail) == -1)
		return -1;
	have = notices_find(&notices, span_str(n->id), span_str(n->version),
	    span_str(n->language));
	if (have != NULL)
		rc = strcmp(have->digest, n->digest) == 0 ? 0 :
		    fail_set(fail, FAIL_INPUT, "notice %s %s in %s is stored "
		    "with another text and can't be changed: give the new text "
		    "a new version", n->id, n->version, n->language);
	notices_fini(&notices);
	/* Its words may have been lost since. */
	if (rc == 0 && write_text(settings, n->digest, text, fail) == -1)
		return -1;
	if (rc != 1)
		return rc;
	if (write_text(settings, n->digest, text, fail) == -1 ||
	    append_index(fd, n, by, fail) == -1)
		return -1;
	return 1;
}

static int
lock_and_store(const struct settings *settings, const struct notice *n,
    struct span text, const struct notice_adder *by, struct fail *fail)
{
	struct buf directory = BUF_INIT(8192), index = BUF_INIT(8192);
	int fd = -1, rc;

	path_in_store(settings, &directory, "");
	path_in_store(settings, &index, "index.jsonl");
	rc = file_make_directory(buf_get(&directory), fail);
	if (rc == 0) {
		fd = open(buf_get(&index), O_RDWR | O_CREAT | O_APPEND |
		    O_NOFOLLOW | O_CLOEXEC, 0640);
		if (fd == -1 || flock(fd, LOCK_EX) == -1 ||
		    file_give_to_owner(buf_get(&index)) == -1 ||
		    file_sync_directory(buf_get(&directory)) == -1)
			rc = fail_errno(fail, FAIL_SETUP, errno, "%s",
			    buf_get(&index));
	}
	if (rc == 0)
		rc = store_notice(settings, fd, n, text, by, fail);
	if (fd != -1)
		(void)close(fd);
	buf_fini(&directory);
	buf_fini(&index);
	return rc;
}

int
notice_add(const struct settings *settings, struct notice *notice,
    struct span text, const struct notice_adder *by, struct fail *fail)
{
	if (text.len == 0 || !utf8_is_valid(text))
		return fail_set(fail, FAIL_INPUT, "no text in UTF-8");
	digest_of(text, notice->digest);
	return lock_and_store(settings, notice, text, by, fail);
}
