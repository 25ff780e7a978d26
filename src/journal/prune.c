/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * For each segment, in this order: its tombstone is made and synced, the
 * segment removed, the tombstone before it removed.  What a crash leaves in
 * between verifies too.
 */
#include "journal/prune.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "journal/checkpoint.h"
#include "journal/private.h"

struct prune {
	const char	*directory;
	const char	*name;
	const char	*host;
	const struct crypto_signer *signer;
	bool		 dry_run;
	struct journal_pruned *out;
};

static void
set_path(const struct prune *p, struct buf *path, const char *file)
{
	buf_clear(path);
	buf_addf(path, "%s/%s", p->directory, file);
}

/* When a segment was begun: all entries before it are older. */
static int
begin_time(const struct prune *p, const char *file, int64_t *ms,
    struct fail *fail)
{
	struct buf path = BUF_INIT(8192);
	char line[JOURNAL_LINE_MAX + 1];
	struct journal_entry entry;
	struct fail unused;
	FILE *f;
	int rc = 0;

	set_path(p, &path, file);
	f = fopen(buf_get(&path), "re");
	if (f == NULL)
		rc = fail_errno(fail, FAIL_SETUP, errno, "%s",
		    buf_get(&path));
	else if (fgets(line, sizeof(line), f) == NULL || journal_line_parse(
	    span_trim(span_str(line)), &entry, &unused) == -1 ||
	    !journal_segment_time(&entry, ms))
		rc = fail_set(fail, FAIL_SETUP, "%s:1: this entry can't be "
		    "read, so nobody knows how old it is", buf_get(&path));
	if (f != NULL)
		(void)fclose(f);
	buf_fini(&path);
	return rc;
}

static int
read_tail(const struct prune *p, const char *file, struct checkpoint *c,
    struct fail *fail)
{
	struct crypto_hash *hash = crypto_hash_new();
	struct buf path = BUF_INIT(8192);
	struct journal_tail tail;
	struct stat st;
	int fd, rc;

	set_path(p, &path, file);
	fd = open(buf_get(&path), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1)
		rc = fail_errno(fail, FAIL_SETUP, errno, "%s",
		    buf_get(&path));
	else
		rc = journal_tail_read(fd, buf_get(&path), hash, &tail, fail);
	if (rc == 0 && (!tail.has_entry || tail.torn > 0))
		rc = fail_set(fail, FAIL_SETUP, "%s does not end with an "
		    "entry: run `consentctl verify'", buf_get(&path));
	if (rc == 0) {
		c->seq = tail.seq;
		memcpy(c->chain, tail.chain, sizeof(c->chain));
		p->out->bytes += (uint64_t)st.st_size;
	}
	if (fd != -1)
		(void)close(fd);
	crypto_hash_free(&hash);
	buf_fini(&path);
	return rc;
}

/* segment's name with the suffix of a tombstone */
static void
tombstone_name(struct buf *out, const char *segment)
{
	buf_clear(out);
	buf_add(out, segment, (size_t)(strrchr(segment, '.') - segment));
	buf_add_str(out, ".tombstone");
}

static int
make_tombstone(const struct prune *p, const char *segment,
    struct checkpoint *c, struct fail *fail)
{
	struct buf file = BUF_INIT(256), path = BUF_INIT(8192);
	struct buf text = BUF_INIT(4096);
	int rc;

	c->is_tombstone = true;
	(void)snprintf(c->journal, sizeof(c->journal), "%s", p->name);
	(void)snprintf(c->host, sizeof(c->host), "%s", p->host);
	c->time_ms = clock_now_ms();
	checkpoint_sign(c, p->signer);
	buf_add_char(&text, '{');
	checkpoint_format(&text, c);
	buf_add_str(&text, "}\n");
	tombstone_name(&file, segment);
	set_path(p, &path, buf_get(&file));
	/* One that an interrupted run left may be half a file. */
	(void)unlink(buf_get(&path));
	rc = file_create(buf_get(&path), buf_span(&text), 0640, fail);
	if (rc == 0 && file_give_to_owner(buf_get(&path)) == -1)
		rc = fail_errno(fail, FAIL_SETUP, errno, "%s",
		    buf_get(&path));
	buf_fini(&file);
	buf_fini(&path);
	buf_fini(&text);
	return rc;
}

static int
remove_file(const struct prune *p, const char *file, struct fail *fail)
{
	struct buf path = BUF_INIT(8192);
	int rc = 0;

	set_path(p, &path, file);
	if (unlink(buf_get(&path)) == -1 && errno != ENOENT)
		rc = fail_errno(fail, FAIL_SETUP, errno, "%s",
		    buf_get(&path));
	else if (file_sync_directory(p->directory) == -1)
		rc = fail_errno(fail, FAIL_SETUP, errno, "%s", p->directory);
	buf_fini(&path);
	return rc;
}

static int
prune_segment(const struct prune *p, const char *segment, struct fail *fail)
{
	struct checkpoint c = { .seq = 0 };

	if (read_tail(p, segment, &c, fail) == -1)
		return -1;
	p->out->segments++;
	p->out->last_seq = c.seq;
	if (p->dry_run)
		return 0;
	if (make_tombstone(p, segment, &c, fail) == -1)
		return -1;
	return remove_file(p, segment, fail);
}

/* The last tombstone stands for all before it. */
static int
remove_old_tombstones(const struct prune *p, struct fail *fail)
{
	char **names;
	size_t count, last = 0;
	int rc = 0;

	if (journal_files(p->directory, p->name, &names, &count, fail) == -1)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (journal_is_tombstone(names[i], p->name) && (i == 0 ||
		    journal_is_tombstone(names[i - 1], p->name)))
			last = i;
	for (size_t i = 0; rc == 0 && i < last; i++)
		rc = remove_file(p, names[i], fail);
	journal_segments_free(names, count);
	return rc;
}

int
journal_prune(const char *directory, const char *name, const char *host,
    const struct crypto_signer *signer, int64_t before_ms, bool dry_run,
    struct journal_pruned *out, struct fail *fail)
{
	struct prune p = { directory, name, host, signer, dry_run, out };
	char **names;
	size_t count;
	int rc = 0;

	memset(out, 0, sizeof(*out));
	if (journal_segments(directory, name, &names, &count, fail) == -1)
		return -1;
	for (size_t i = 0; rc == 0 && i + 1 < count; i++) {
		int64_t next_ms;

		rc = begin_time(&p, names[i + 1], &next_ms, fail);
		if (rc == -1 || next_ms >= before_ms)
			break;
		rc = prune_segment(&p, names[i], fail);
	}
	journal_segments_free(names, count);
	if (rc == 0 && !dry_run)
		rc = remove_old_tombstones(&p, fail);
	return rc;
}
