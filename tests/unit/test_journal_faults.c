/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The journal on a disk that is full, fails or loses its file.  The linker
 * puts our functions before the system's (--wrap), so that a call can be made
 * to fail when a test wants it; a limit on the size of files and a small file
 * system do the same without us.
 */
#include "journal/private.h"

#include <sys/mount.h>
#include <sys/resource.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "journal_rig.h"

/* -- calls that fail -- */

/* How many of the next calls fail. */
static atomic_int bad_writes, bad_truncates, bad_syncs;
/* So many calls of fsync work before. */
static atomic_int good_syncs;
/* A write that fails has written this much before, but never all. */
static size_t written_before;
static atomic_long writes, syncs;
/* How long a disk takes for a sync, on top of what it really takes. */
static atomic_int sync_ms;

ssize_t	__real_write(int fd, const void *p, size_t len);
ssize_t	__wrap_write(int fd, const void *p, size_t len);
int	__real_ftruncate(int fd, off_t len);
int	__wrap_ftruncate(int fd, off_t len);
int	__real_ftruncate64(int fd, off_t len);
int	__wrap_ftruncate64(int fd, off_t len);
int	__real_fsync(int fd);
int	__wrap_fsync(int fd);
int	__real_fdatasync(int fd);
int	__wrap_fdatasync(int fd);

static bool
is_bad(atomic_int *left, int err)
{
	if (*left == 0)
		return false;
	(*left)--;
	errno = err;
	return true;
}

ssize_t
__wrap_write(int fd, const void *p, size_t len)
{
	writes++;
	if (bad_writes > 0 && written_before > 0) {
		ssize_t n = __real_write(fd, p, written_before < len ?
		    written_before : len - 1);

		written_before = 0;
		return n;
	}
	return is_bad(&bad_writes, ENOSPC) ? -1 : __real_write(fd, p, len);
}

int
__wrap_ftruncate(int fd, off_t len)
{
	return is_bad(&bad_truncates, EIO) ? -1 : __real_ftruncate(fd, len);
}

/* What it is called where files are large by an option of the compiler. */
int
__wrap_ftruncate64(int fd, off_t len)
{
	return is_bad(&bad_truncates, EIO) ? -1 : __real_ftruncate64(fd, len);
}

static void
pause_for_disk(void)
{
	struct timespec pause = { 0, sync_ms * 1000000L };

	if (sync_ms > 0)
		(void)nanosleep(&pause, NULL);
}

int
__wrap_fsync(int fd)
{
	syncs++;
	pause_for_disk();
	if (good_syncs > 0) {
		good_syncs--;
		return __real_fsync(fd);
	}
	return is_bad(&bad_syncs, EIO) ? -1 : __real_fsync(fd);
}

int
__wrap_fdatasync(int fd)
{
	syncs++;
	pause_for_disk();
	return is_bad(&bad_syncs, EIO) ? -1 : __real_fdatasync(fd);
}

/* Every test starts with calls that work. */
static void
fresh_disk(void)
{
	bad_writes = bad_truncates = bad_syncs = good_syncs = 0;
	sync_ms = 0;
	written_before = 0;
	fresh_directory();
}

static void
check_refused(struct journal *j, const char *body, bool durable)
{
	struct fail fail = { .class = FAIL_BUG, .text = "" };

	CHECK_INT(journal_append(j, "decision", span_str(body), durable, NULL,
	    &fail), -1);
	CHECK_INT(fail.class, FAIL_TEMP);
	CHECK(strstr(fail.text, directory) != NULL);
}

/* -- the tests -- */

/* A write that stops after so many bytes counts for nothing, whether it can
 * be taken back at once or only later; one process or several. */
static void
test_short_write(void)
{
	/* of two entries of about 240 bytes each */
	static const size_t lengths[] = { 0, 1, 100, 300, 10000 };
	const struct span bodies[] = { SPAN("\"lost\":1"),
	    SPAN("\"lost\":2") };

	for (int i = 0; i < 20; i++) {
		struct journal *j;
		struct fail fail;

		check_case(i);
		fresh_disk();
		j = open_journal(i % 2 == 0, 0, NULL);
		CHECK_INT(add(j, "\"keep\":1", false), 0);
		written_before = lengths[i / 4];
		bad_writes = 1;
		bad_truncates = i / 2 % 2;
		CHECK_INT(journal_append_many(j, "decision", bodies, 2,
		    false, &fail), -1);
		CHECK_INT(fail.class, FAIL_TEMP);
		CHECK_INT(bad_writes, 0);
		CHECK_INT(bad_truncates, 0);
		CHECK_INT(add(j, "\"keep\":2", true), 0);
		journal_close(&j);
		CHECK_INT(verify(), 3);
		CHECK_INT(count_entries("\"lost\""), 0);
		CHECK_INT(count_entries("\"keep\""), 2);
	}
}

/* What can't be taken back at all keeps the journal from going on; it is
 * taken back at the end. */
static void
test_taken_back_late(void)
{
	for (int i = 0; i < 2; i++) {
		struct journal *j;

		check_case(i);
		fresh_disk();
		j = open_journal(true, 0, NULL);
		written_before = 250;
		bad_writes = 1;
		bad_truncates = 4;
		check_refused(j, "\"lost\":1", false);
		check_refused(j, "\"lost\":2", true);
		check_refused(j, "\"lost\":3", false);
		CHECK_INT(bad_truncates, 1);
		if (i == 0) {
			bad_truncates = 0;
			CHECK_INT(add(j, "\"keep\":1", true), 0);
		}
		bad_truncates = 0;
		journal_close(&j);
		CHECK_INT(verify(), i == 0 ? 2 : 1);
	}
}

/* Another process has gone on behind what we could not take back: then it
 * stays, and nothing of theirs is lost. */
static void
test_taken_over(void)
{
	struct journal *ours, *other;

	fresh_disk();
	ours = open_journal(false, 0, NULL);
	other = open_journal(false, 0, NULL);
	written_before = 100;
	bad_writes = 1;
	bad_truncates = 1;
	check_refused(ours, "\"lost\":1", true);
	CHECK_INT(add(other, "\"keep\":1", true), 0);
	CHECK_INT(add(ours, "\"keep\":2", true), 0);
	CHECK_INT(add(other, "\"keep\":3", true), 0);
	journal_close(&ours);
	journal_close(&other);
	CHECK_INT(verify(), 5);
	CHECK_INT(count_entries("\"keep\""), 3);
	CHECK_INT(count_entries("\"type\":\"recovered\""), 1);
}

/* After a sync that failed the entry does not count, and the journal goes on
 * from what is in the file. */
static void
test_failed_sync(void)
{
	struct journal *j;

	fresh_disk();
	j = open_journal(true, 0, NULL);
	CHECK_INT(add(j, "\"keep\":1", true), 0);
	bad_syncs = 1;
	check_refused(j, "\"unsure\":1", true);
	CHECK_INT(add(j, "\"keep\":2", true), 0);
	journal_close(&j);
	CHECK_INT(verify(), 4);
	CHECK_INT(count_entries("\"keep\""), 2);
}

/* Neither the end of a segment nor its start may fail unheard. */
static void
test_failed_rotation(void)
{
	/* the old segment, the new one and the directory, in this order */
	for (int good = 0; good <= 2; good++) {
		struct journal *j;

		check_case(good);
		fresh_disk();
		j = open_journal(true, 1, NULL);
		good_syncs = good;
		bad_syncs = 1;
		check_refused(j, "\"lost\":1", false);
		CHECK_INT(rig_segments(rig_paths), good == 0 ? 1 : 2);
		CHECK_INT(bad_syncs, 0);
		CHECK_INT(add(j, "\"keep\":1", false), 0);
		bad_writes = 1;
		written_before = 20;
		check_refused(j, "\"lost\":1", false);
		CHECK_INT(add(j, "\"keep\":2", true), 0);
		journal_close(&j);
		CHECK(verify() >= 4);
		CHECK_INT(count_entries("\"keep\""), 2);
		CHECK_INT(count_entries("\"lost\""), 0);
	}
}

/* The cut of a torn line that could not be told of is told of later. */
static void
test_recovery_on_a_full_disk(void)
{
	struct journal *j;
	struct fail fail;
	int fd;

	fresh_disk();
	j = open_journal(true, 0, NULL);
	journal_close(&j);
	fd = open(last_segment(), O_WRONLY | O_APPEND);
	CHECK_INT(__real_write(fd, "torn", 4), 4);
	(void)close(fd);
	bad_writes = 1;
	CHECK(open_with(true, 0, 0, NULL, &fail) == NULL);
	CHECK_INT(fail.class, FAIL_SETUP);
	j = open_journal(false, 0, NULL);
	fd = open(last_segment(), O_WRONLY | O_APPEND);
	CHECK_INT(__real_write(fd, "again", 5), 5);
	(void)close(fd);
	bad_writes = 1;
	check_refused(j, "\"lost\":1", true);
	CHECK_INT(add(j, "\"keep\":1", true), 0);
	journal_close(&j);
	CHECK_INT(verify(), 3);
	CHECK_INT(count_entries("\"recovered\",\"bytes\":5"), 1);
}

static bool
wait_for(atomic_int *left)
{
	for (int i = 0; i < 500 && *left > 0; i++)
		(void)usleep(10000);
	return *left == 0;
}

/* The thread syncs what nobody waited for, once, and says when it can't. */
static void
test_background_sync(void)
{
	struct fail fail;
	struct journal *j;
	long before;

	fresh_disk();
	j = open_with(true, 0, 20, NULL, &fail);
	CHECK(j != NULL);
	bad_syncs = 1;
	CHECK_INT(add(j, "\"a\":1", false), 0);
	CHECK(wait_for(&bad_syncs));
	(void)usleep(20000);
	check_refused(j, "\"lost\":1", false);
	CHECK_INT(add(j, "\"a\":2", false), 0);
	(void)usleep(100000);
	before = syncs;
	(void)usleep(100000);
	CHECK_INT(syncs, before);
	CHECK_INT(add(j, "\"a\":3", false), 0);
	for (int i = 0; i < 500 && syncs == before; i++)
		(void)usleep(10000);
	CHECK_INT(syncs, before + 1);
	CHECK_INT(add(j, "\"a\":4", false), 0);
	journal_close(&j);
	CHECK(syncs > before + 1);
	CHECK_INT(verify(), 5);
	CHECK_INT(count_entries("\"lost\""), 0);
}

/* A limit on the size of files stands for a disk that is full in the middle
 * of an entry, and then has room again. */
static void
test_full_disk(void)
{
	struct rlimit old, small;
	struct journal *j;
	struct fail fail;
	int accepted = 0, refused = 0;

	fresh_disk();
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

/* Fills a file system of 64 KiB, makes room, goes on.  Only root can mount;
 * the limit above stands for it elsewhere. */
static void
test_full_file_system(void)
{
	struct journal *j;
	char filler[200];
	int accepted = 0, refused = 0, fd;

	fresh_disk();
	CHECK_INT(mkdir(directory, 0750), 0);
	if (mount("tmpfs", directory, "tmpfs", 0, "size=64k") == -1) {
		fprintf(stderr, "no small file system: %s; "
		    "full_disk alone tests this\n", strerror(errno));
		return;
	}
	(void)snprintf(filler, sizeof(filler), "%s/filler", directory);
	fd = open(filler, O_WRONLY | O_CREAT, 0600);
	CHECK(fd != -1 && ftruncate(fd, 0) == 0 &&
	    posix_fallocate(fd, 0, 32768) == 0);
	(void)close(fd);
	/* segments of 8 KiB: it is full in rotations as well */
	j = open_journal(true, 8192, NULL);
	for (int i = 0; i < 400; i++)
		if (add(j, "\"full\":1", i % 5 == 0) == 0)
			accepted++;
		else
			refused++;
	CHECK(accepted > 50 && refused > 50);
	CHECK_INT(count_entries("\"full\":1"), accepted);
	CHECK_INT(unlink(filler), 0);
	for (int i = 0; i < 10; i++)
		CHECK_INT(add(j, "\"full\":1", true), 0);
	journal_close(&j);
	CHECK(verify() > accepted + 10);
	CHECK_INT(count_entries("\"full\":1"), accepted + 10);
	CHECK_INT(umount(directory), 0);
}

static char *
kept_line(struct buf *text)
{
	read_file(last_segment(), text);
	return strstr(text->data, "\"previous\":\"") + 12;
}

enum loss { REMOVED, RENAMED, REPLACED, EMPTIED, SHORTENED };

/* The file is taken away or cut under us: somebody hears of it, and the chain
 * goes on in another segment, from where it was. */
static void
test_lost_file(void)
{
	struct buf text = BUF_INIT(1 << 20);
	char chain[65];

	for (int i = 0; i < 10; i++) {
		enum loss loss = (enum loss)(i / 2);
		char path[512], aside[520];
		struct journal *j;

		check_case(i);
		fresh_disk();
		j = open_journal(i % 2 == 0, 0, NULL);
		CHECK_INT(add(j, "\"a\":1", true), 0);
		read_file(last_segment(), &text);
		memcpy(chain, text.data + text.len - 67, 64);
		(void)snprintf(path, sizeof(path), "%s", last_segment());
		(void)snprintf(aside, sizeof(aside), "%s.1", path);
		if (loss == REMOVED)
			CHECK_INT(unlink(path), 0);
		if (loss == RENAMED || loss == REPLACED)
			CHECK_INT(rename(path, aside), 0);
		if (loss == REPLACED)
			write_file(path, buf_span(&text));
		if (loss == EMPTIED || loss == SHORTENED)
			CHECK_INT(truncate(path, loss == EMPTIED ? 0 : 30),
			    0);
		/* without a sync it may be noticed a little later */
		(void)usleep(20000);
		check_refused(j, "\"a\":2", i / 2 % 2 == 0);
		CHECK_INT(add(j, "\"a\":3", true), 0);
		CHECK(strstr(last_segment(), "-000002.jsonl") != NULL);
		CHECK(strncmp(kept_line(&text), chain, 64) == 0);
		CHECK(strstr(text.data, "{\"seq\":4,") != NULL);
		CHECK(strstr(text.data, "\"a\":3") != NULL);
		journal_close(&j);
	}
	buf_fini(&text);
}

/* A syncing writer is not waited for by the lock's holder alone: threads that
 * come together share the fsync.  The disk is slow enough for them to come
 * together on a machine that has other things to do. */
#define TOGETHER	16
#define EACH		20

static void *
append_durably(void *argument)
{
	struct journal *j = argument;

	for (int i = 0; i < EACH; i++)
		if (add(j, "\"t\":1", true) == -1)
			return argument;
	return NULL;
}

static void
test_group_commit(void)
{
	pthread_t threads[TOGETHER];
	struct journal *j;
	long before;

	fresh_disk();
	j = open_journal(true, 0, NULL);
	before = syncs;
	sync_ms = 5;
	for (int i = 0; i < TOGETHER; i++)
		CHECK_INT(pthread_create(&threads[i], NULL, append_durably,
		    j), 0);
	for (int i = 0; i < TOGETHER; i++) {
		void *result = j;

		CHECK_INT(pthread_join(threads[i], &result), 0);
		CHECK(result == NULL);
	}
	CHECK(syncs - before < TOGETHER * EACH / 2);
	before = writes;
	CHECK_INT(add(j, "\"t\":1", false), 0);
	CHECK_INT(writes, before + 1);
	journal_close(&j);
	CHECK_INT(verify(), TOGETHER * EACH + 2);
}

/* A crowd of which some want a sync, and a stop amid it: who is told that his
 * entry counts finds it, everybody else hears that it doesn't, and nobody waits
 * for ever. */
struct member {
	pthread_t	 thread;
	struct journal	*journal;
	bool		 durable;
	long		 counted;
};

static void *
append_until_stopped(void *argument)
{
	struct member *m = argument;

	while (add(m->journal, "\"t\":1", m->durable) == 0)
		m->counted++;
	return NULL;
}

static void
test_stop_in_a_crowd(void)
{
	struct member crowd[TOGETHER];
	struct journal *j;
	long counted = 0;

	fresh_disk();
	for (int round = 0; round < 8; round++) {
		j = open_journal(true, 0, NULL);
		sync_ms = round % 2;
		for (int i = 0; i < TOGETHER; i++) {
			crowd[i] = (struct member){ .journal = j,
			    .durable = i % 4 == 0 && round < 6 };
			CHECK_INT(pthread_create(&crowd[i].thread, NULL,
			    append_until_stopped, &crowd[i]), 0);
		}
		(void)usleep(20000);
		journal_stop(j);
		for (int i = 0; i < TOGETHER; i++) {
			CHECK_INT(pthread_join(crowd[i].thread, NULL), 0);
			counted += crowd[i].counted;
		}
		journal_close(&j);
	}
	CHECK(counted > 8);
	CHECK_INT(verify(), counted + 1);
}

/* Two who come together, again and again, and nobody after them: whoever is
 * overlooked by the other, just as he ends to write, would wait for ever. */
#define MEETINGS	50000

struct pair {
	struct journal	*journal;
	pthread_barrier_t meeting;
};

static void *
append_in_pairs(void *argument)
{
	struct pair *pair = argument;

	for (int i = 0; i < MEETINGS; i++) {
		(void)pthread_barrier_wait(&pair->meeting);
		if (add(pair->journal, "\"t\":1", false) == -1)
			return argument;
	}
	return NULL;
}

static void
test_nobody_is_overlooked(void)
{
	struct pair pair;
	pthread_t other;
	void *result = &pair;

	fresh_disk();
	pair.journal = open_journal(true, 0, NULL);
	(void)pthread_barrier_init(&pair.meeting, NULL, 2);
	(void)alarm(120);
	CHECK_INT(pthread_create(&other, NULL, append_in_pairs, &pair), 0);
	CHECK(append_in_pairs(&pair) == NULL);
	CHECK_INT(pthread_join(other, &result), 0);
	CHECK(result == NULL);
	(void)alarm(0);
	(void)pthread_barrier_destroy(&pair.meeting);
	journal_close(&pair.journal);
	CHECK_INT(verify(), 2 * MEETINGS + 1);
}

/* What could not be synced waits for the next time, and is told of. */
static void
test_no_descriptor_to_sync(void)
{
	struct rlimit limit, none;
	struct journal_stats stats;
	struct fail fail;
	struct journal *j;
	int64_t until;

	fresh_directory();
	j = open_with(true, 0, 20, NULL, &fail);
	CHECK(j != NULL);
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &none), 0);
	CHECK_INT(add(j, "\"n\":1", false), 0);
	(void)usleep(200000);
	journal_stats(j, &stats);
	CHECK(stats.unsynced_ms != 0);
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
	until = clock_monotonic_ms() + 20000;
	do {
		(void)usleep(10000);
		journal_stats(j, &stats);
	} while (stats.unsynced_ms != 0 && clock_monotonic_ms() < until);
	CHECK_INT(stats.unsynced_ms, 0);
	journal_close(&j);
}

static const struct check_test tests[] = {
	{ "short_write", test_short_write },
	{ "taken_back_late", test_taken_back_late },
	{ "taken_over", test_taken_over },
	{ "failed_sync", test_failed_sync },
	{ "failed_rotation", test_failed_rotation },
	{ "recovery_on_a_full_disk", test_recovery_on_a_full_disk },
	{ "background_sync", test_background_sync },
	{ "no_descriptor_to_sync", test_no_descriptor_to_sync },
	{ "full_disk", test_full_disk },
	{ "full_file_system", test_full_file_system },
	{ "lost_file", test_lost_file },
	{ "group_commit", test_group_commit },
	{ "stop_in_a_crowd", test_stop_in_a_crowd },
	{ "nobody_is_overlooked", test_nobody_is_overlooked },
};

int
main(void)
{
	return rig_main("journal_faults", tests,
	    sizeof(tests) / sizeof(tests[0]));
}
