/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/notice.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
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
path_in_store(const struct ctl *ctl, struct buf *out, const char *file)
{
	buf_addf(out, "%s/notices%s%s", ctl->settings->audit.directory,
	    file[0] != '\0' ? "/" : "", file);
}

/* -- reading -- */

static int
copy_name(char *to, size_t room, struct span text)
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
	    copy_name(out->id, sizeof(out->id), id) == -1 ||
	    copy_name(out->version, sizeof(out->version), version) == -1 ||
	    copy_name(out->language, sizeof(out->language), language) == -1 ||
	    hex_parse(digest, bytes, sizeof(bytes)) == -1 ||
	    copy_name(out->digest, sizeof(out->digest), digest) == -1)
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
notices_read(const struct ctl *ctl, struct notices *out, struct fail *fail)
{
	struct buf path = BUF_INIT(8192), text = BUF_INIT(INDEX_MAX);
	unsigned long long line = 0;
	struct span rest;
	int rc = 0;

	memset(out, 0, sizeof(*out));
	path_in_store(ctl, &path, "index.jsonl");
	if (access(buf_get(&path), F_OK) == 0)
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

static const struct notice *
find(const struct notices *notices, struct span id, struct span version,
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
	n = find(notices, span_head(name, (size_t)blank),
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
notice_text(const struct ctl *ctl, const char *digest, struct buf *out,
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
	path_in_store(ctl, &path, file);
	rc = access(buf_get(&path), F_OK) == 0;
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
write_text(const struct ctl *ctl, const char *digest, struct span text,
    struct fail *fail)
{
	struct buf path = BUF_INIT(8192), found = BUF_INIT(NOTICE_TEXT_MAX);
	char file[NOTICE_DIGEST_LEN + 8];
	int rc = notice_text(ctl, digest, &found, fail);

	(void)snprintf(file, sizeof(file), "%s.txt", digest);
	path_in_store(ctl, &path, file);
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

/* Under the lock on fd, which is the index. */
static int
append_index(const struct ctl *ctl, int fd, const struct notice *n,
    struct fail *fail)
{
	struct buf line = BUF_INIT(LINE_BYTES), time = BUF_INIT(64);
	struct stat st;
	char last = '\n';
	int rc = 0;

	date_format(&time, ctl->now_ms);
	if (fstat(fd, &st) == 0 && st.st_size > 0 &&
	    pread(fd, &last, 1, st.st_size - 1) != 1)
		rc = fail_errno(fail, FAIL_TEMP, errno, "index.jsonl");
	/* Half a line of a run that was interrupted is nobody's notice. */
	if (rc == 0 && last != '\n')
		rc = fail_set(fail, FAIL_SETUP, "notices/index.jsonl ends in "
		    "half a line: remove that line");
	buf_addf(&line, "{\"id\":\"%s\"", n->id);
	json_add_member_str(&line, "version", n->version);
	json_add_member_str(&line, "language", n->language);
	json_add_member_str(&line, "digest", n->digest);
	json_add_member(&line, "added_at", buf_span(&time));
	ledger_add_actor(&line);
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
store_notice(const struct ctl *ctl, int fd, const struct notice *n,
    struct span text, struct fail *fail)
{
	struct notices notices;
	const struct notice *have;
	int rc = 1;

	if (notices_read(ctl, &notices, fail) == -1)
		return -1;
	have = find(&notices, span_str(n->id), span_str(n->version),
	    span_str(n->language));
	if (have != NULL)
		rc = strcmp(have->digest, n->digest) == 0 ? 0 :
		    fail_set(fail, FAIL_INPUT, "notice %s %s in %s is stored "
		    "with another text and can't be changed: give the new text "
		    "a new version", n->id, n->version, n->language);
	notices_fini(&notices);
	if (rc != 1)
		return rc;
	if (write_text(ctl, n->digest, text, fail) == -1 ||
	    append_index(ctl, fd, n, fail) == -1)
		return -1;
	return 1;
}

static int
lock_and_store(const struct ctl *ctl, const struct notice *n,
    struct span text, struct fail *fail)
{
	struct buf directory = BUF_INIT(8192), index = BUF_INIT(8192);
	int fd = -1, rc;

	path_in_store(ctl, &directory, "");
	path_in_store(ctl, &index, "index.jsonl");
	rc = file_make_directory(buf_get(&directory), fail);
	if (rc == 0) {
		fd = open(buf_get(&index), O_RDWR | O_CREAT | O_APPEND |
		    O_NOFOLLOW | O_CLOEXEC, 0640);
		if (fd == -1 || flock(fd, LOCK_EX) == -1 ||
		    file_give_to_owner(buf_get(&index)) == -1)
			rc = fail_errno(fail, FAIL_SETUP, errno, "%s",
			    buf_get(&index));
	}
	if (rc == 0)
		rc = store_notice(ctl, fd, n, text, fail);
	if (fd != -1)
		(void)close(fd);
	buf_fini(&directory);
	buf_fini(&index);
	return rc;
}

static const struct option options[] = {
	{ "id", required_argument, NULL, 'i' },
	{ "version", required_argument, NULL, 'v' },
	{ "language", required_argument, NULL, 'l' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

struct arguments {
	struct notice	 notice;
	bool		 json;
};

static int
set_name(const char *what, char *to, size_t room, const char *text)
{
	if (copy_name(to, room, span_str(text)) == 0)
		return EX_OK;
	return ctl_usage("notice", "--%s is 1 to %zu letters, digits, dots, "
	    "hyphens and underscores", what, room - 1);
}

/* Returns -1 to go on, or an exit code. */
static int
parse(struct arguments *a, int argc, char **argv)
{
	struct notice *n = &a->notice;
	int c, rc = EX_OK;

	while (rc == EX_OK &&
	    (c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'i':
			rc = set_name("id", n->id, sizeof(n->id), optarg);
			break;
		case 'v':
			rc = set_name("version", n->version,
			    sizeof(n->version), optarg);
			break;
		case 'l':
			rc = set_name("language", n->language,
			    sizeof(n->language), optarg);
			break;
		case 'j':
			a->json = true;
			break;
		case 'h':
			ctl_help("notice");
			return EX_OK;
		default:
			rc = ctl_usage("notice", "%s", "");
		}
	return rc == EX_OK ? -1 : rc;
}

static int
add(struct ctl *ctl, struct arguments *a, const char *path)
{
	struct buf text = BUF_INIT(NOTICE_TEXT_MAX);
	struct notice *n = &a->notice;
	struct fail fail;
	int rc;

	if (n->id[0] == '\0' || n->version[0] == '\0' ||
	    n->language[0] == '\0')
		return ctl_usage("notice", "add wants --id, --version and "
		    "--language");
	rc = file_read(path, &text, &fail);
	if (rc == 0 && (text.len == 0 || !utf8_is_valid(buf_span(&text))))
		rc = fail_set(&fail, FAIL_INPUT, "%s: no text in UTF-8", path);
	if (rc == 0) {
		digest_of(buf_span(&text), n->digest);
		rc = lock_and_store(ctl, n, buf_span(&text), &fail);
	}
	buf_fini(&text);
	if (rc == -1)
		return fail.class == FAIL_INPUT ? (ctl_error(&fail), 1) :
		    ctl_error(&fail);
	printf("%s  %s %s %s%s\n", n->digest, n->id, n->version, n->language,
	    rc == 0 ? "  (was stored already)" : "");
	return EX_OK;
}

static int
list(const struct ctl *ctl, bool json)
{
	struct notices notices;
	struct fail fail;

	if (notices_read(ctl, &notices, &fail) == -1)
		return ctl_error(&fail);
	if (json)
		putchar('[');
	for (size_t i = 0; i < notices.count; i++) {
		const struct notice *n = &notices.all[i];

		/* The names need no escape: copy_name() saw to that. */
		if (json)
			printf("%s\n{\"id\":\"%s\",\"version\":\"%s\","
			    "\"language\":\"%s\",\"digest\":\"%s\"}",
			    i > 0 ? "," : "", n->id, n->version, n->language,
			    n->digest);
		else
			printf("%s  %s %s %s\n", n->digest, n->id, n->version,
			    n->language);
	}
	if (json)
		puts("]");
	notices_fini(&notices);
	return EX_OK;
}

/* DIGEST, or ID VERSION LANGUAGE */
static int
show(const struct ctl *ctl, char **names, int count)
{
	struct buf text = BUF_INIT(NOTICE_TEXT_MAX);
	const char *digest = names[0];
	const struct notice *n = NULL;
	struct notices notices;
	struct fail fail;
	int rc = notices_read(ctl, &notices, &fail);

	if (rc == 0 && count == 3) {
		n = find(&notices, span_str(names[0]), span_str(names[1]),
		    span_str(names[2]));
		digest = n != NULL ? n->digest : "";
	}
	if (rc == 0)
		rc = notice_text(ctl, digest, &text, &fail);
	if (rc == 1)
		(void)fwrite(text.data, 1, text.len, stdout);
	else if (rc == 0)
		ctl_warn("this notice is not stored");
	notices_fini(&notices);
	buf_fini(&text);
	return rc == -1 ? ctl_error(&fail) : rc == 1 ? EX_OK : 1;
}

int
command_notice(struct ctl *ctl, int argc, char **argv)
{
	struct arguments a = { .json = false };
	int rc = parse(&a, argc, argv), left;

	if (rc != -1 || (rc = ctl_need_settings(ctl)) != EX_OK)
		return rc;
	argv += optind;
	left = argc - optind;
	if (left == 2 && strcmp(argv[0], "add") == 0)
		return add(ctl, &a, argv[1]);
	if (left == 1 && strcmp(argv[0], "list") == 0)
		return list(ctl, a.json);
	if ((left == 2 || left == 4) && strcmp(argv[0], "show") == 0)
		return show(ctl, argv + 1, left - 1);
	return ctl_usage("notice", "wants add FILE, list, or show and a "
	    "notice");
}
