/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What the chain and the queue of the journal cost: entries per second from
 * 1, 8 and 64 threads, against a bare loop of write(2) that writes the same
 * bytes in the same batches to the same file system.  The batches are those
 * that the journal made, recorded by standing before write(2).
 *
 * usage: bench_journal [DIRECTORY [ENTRIES [ROUNDS]]]
 */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "journal/journal.h"

#define ROUNDS_MAX	99

/* A decision as the filter writes it. */
#define BODY \
	"\"time\":\"2026-01-05T09:00:00.000Z\",\"verdict\":\"reject\"," \
	"\"reason\":\"withdrawn\",\"mode\":\"enforce\",\"stage\":\"rcpt\"," \
	"\"queue_id\":\"4WxYz12AbC\",\"client\":\"192.0.2.17\"," \
	"\"list\":\"weekly\",\"sender\":\"news@example.com\"," \
	"\"subject\":\"0123456789abcdef0123456789abcdef\"," \
	"\"rule\":\"list-id\",\"record\":\"withdrawn 2026-01-04T21:14:02Z\""

struct worker {
	pthread_t	 thread;
	struct journal	*journal;
	long		 entries;
};

/* One writes at a time, so these need no lock. */
static size_t *batches;
static size_t batch_count, batch_size;
static bool recording;

ssize_t	__real_write(int fd, const void *p, size_t len);
ssize_t	__wrap_write(int fd, const void *p, size_t len);

ssize_t
__wrap_write(int fd, const void *p, size_t len)
{
	if (recording && batch_count < batch_size)
		batches[batch_count++] = len;
	return __real_write(fd, p, len);
}

static double
seconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void
must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(EXIT_FAILURE);
}

static void *
append_all(void *argument)
{
	struct worker *worker = argument;
	struct fail fail;

	for (long i = 0; i < worker->entries; i++)
		if (journal_append(worker->journal, "decision", SPAN(BODY),
		    false, NULL, &fail) == -1) {
			fprintf(stderr, "%s\n", fail.text);
			exit(EXIT_FAILURE);
		}
	return NULL;
}

static double
time_journal(const char *directory, int threads, long entries)
{
	struct journal_options options = { .directory = directory,
	    .name = "bench", .host = "bench", .exclusive = true,
	    .segment_bytes = UINT64_MAX, .sync_interval_ms = 1000 };
	struct worker workers[64];
	struct journal *journal;
	struct fail fail;
	double begun, took;

	if (journal_open(&options, &journal, NULL, &fail) == -1) {
		fprintf(stderr, "%s\n", fail.text);
		exit(EXIT_FAILURE);
	}
	batch_count = 0;
	recording = true;
	begun = seconds();
	for (int i = 0; i < threads; i++) {
		workers[i].journal = journal;
		workers[i].entries = entries / threads;
		must(pthread_create(&workers[i].thread, NULL, append_all,
		    &workers[i]) == 0, "pthread_create");
	}
	for (int i = 0; i < threads; i++)
		(void)pthread_join(workers[i].thread, NULL);
	took = seconds() - begun;
	recording = false;
	journal_close(&journal);
	return took;
}

static double
time_writes(const char *path)
{
	static char bytes[4 * 1024 * 1024];
	double begun, took;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);

	must(fd != -1, path);
	memset(bytes, 'x', sizeof(bytes));
	begun = seconds();
	for (size_t i = 0; i < batch_count; i++)
		must(__real_write(fd, bytes, batches[i]) ==
		    (ssize_t)batches[i], "write");
	took = seconds() - begun;
	(void)close(fd);
	(void)unlink(path);
	return took;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double
median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), by_value);
	return values[n / 2];
}

static void
remove_all(const char *directory)
{
	char command[512];

	(void)snprintf(command, sizeof(command), "%s", directory);
	if (fork() == 0) {
		(void)execlp("rm", "rm", "-rf", command, (char *)NULL);
		_exit(EXIT_FAILURE);
	}
}

int
main(int argc, char **argv)
{
	static const int threads[] = { 1, 8, 64 };
	const char *parent = argc > 1 ? argv[1] : "/tmp";
	long entries = argc > 2 ? strtol(argv[2], NULL, 10) : 200000;
	int rounds = argc > 3 ? (int)strtol(argv[3], NULL, 10) : 7;
	char directory[256], path[320];

	if (rounds < 1 || rounds > ROUNDS_MAX || entries < 64) {
		fprintf(stderr, "usage: bench_journal [DIRECTORY [ENTRIES "
		    "[ROUNDS]]]\n");
		return EXIT_FAILURE;
	}
	(void)snprintf(directory, sizeof(directory), "%s/bench.XXXXXX",
	    parent);
	must(mkdtemp(directory) != NULL, directory);
	batch_size = (size_t)entries + 64;
	batches = xcalloc(batch_size, sizeof(*batches));
	printf("%-8s %12s %12s %12s %8s\n", "threads", "entries/s",
	    "write(2)/s", "per batch", "ratio");
	for (size_t t = 0; t < sizeof(threads) / sizeof(threads[0]); t++) {
		double ratio[ROUNDS_MAX], ours[ROUNDS_MAX], bare[ROUNDS_MAX];
		double done = (double)(entries / threads[t] * threads[t]);

		for (int i = 0; i < rounds; i++) {
			(void)snprintf(path, sizeof(path), "%s/%d-%d",
			    directory, threads[t], i);
			ours[i] = done / time_journal(path, threads[t],
			    entries);
			(void)snprintf(path, sizeof(path), "%s/bare",
			    directory);
			bare[i] = done / time_writes(path);
			ratio[i] = ours[i] / bare[i];
		}
		printf("%-8d %12.0f %12.0f %12.1f %8.2f\n", threads[t],
		    median(ours, rounds), median(bare, rounds),
		    done / (double)batch_count, median(ratio, rounds));
		(void)fflush(stdout);
	}
	remove_all(directory);
	free(batches);
	return EXIT_SUCCESS;
}
