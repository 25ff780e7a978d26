/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Numbers for performance.md, never part of `make check':
 *	bench_store SOCKET [SECONDS [PERSONS]]
 * runs against an empty Redis of one's own: look-ups through the store and
 * through one blocking hiredis connection per thread, for 1, 8 and 64 threads,
 * and an import of PERSONS grants against a bare pipelined HSET loader.
 *	bench_store SOCKET SECONDS PERSONS fill
 *	bench_store SOCKET SECONDS PERSONS look
 * fills an empty Redis with grants, and only looks them up.
 *	bench_store HOST:PORT [SECONDS [PERSONS]]
 * does all of the first, without comparison, on an empty Redis Cluster.
 */
#include "store/store.h"

#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define SAMPLES		200000	/* of each thread, at the most */
#define THREADS_MAX	64
#define PIPELINE	256

static const char *sock;
static unsigned persons = 100000;
static double seconds = 2;
static atomic_bool stop;

struct worker {
	pthread_t	 thread;
	struct store	*store;		/* NULL: a connection of its own */
	unsigned	 seed;
	size_t		 n;
	unsigned	*us;		/* of each look-up */
};

static double
now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double
cpu_seconds(void)
{
	struct rusage r;

	(void)getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	    (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static struct subject
person(unsigned n)
{
	struct subject s = { { 0 } };

	/* Spread as an HMAC is. */
	for (unsigned i = 0; i < SUBJECT_BYTES; i++)
		s.id[i] = (unsigned char)((n * 2654435761u) >> (i % 4 * 8)) ^
		    (unsigned char)(i * 37);
	return s;
}

static int
look_up_alone(redisContext *c, const struct subject *s)
{
	char key[40] = "c:";
	redisReply *r;
	int rc;

	for (size_t i = 0; i < SUBJECT_BYTES; i++)
		(void)snprintf(key + 2 + 2 * i, 3, "%02x", s->id[i]);
	r = redisCommand(c, "HMGET %s weekly *", key);
	rc = r != NULL && r->type == REDIS_REPLY_ARRAY && r->elements == 2 &&
	    r->element[0]->type == REDIS_REPLY_STRING;
	if (r != NULL)
		freeReplyObject(r);
	return rc;
}

static void *
work(void *context)
{
	struct worker *w = context;
	redisContext *c = w->store == NULL ? redisConnectUnix(sock) : NULL;
	struct record record;
	struct fail fail;

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		struct subject s = person((unsigned)rand_r(&w->seed) %
		    persons);
		double start = now();

		if ((c != NULL ? look_up_alone(c, &s) : store_lookup(w->store,
		    &s, "weekly", &record, &fail)) != 1) {
			fprintf(stderr, "a look-up failed\n");
			exit(EXIT_FAILURE);
		}
		w->us[w->n++ % SAMPLES] = (unsigned)((now() - start) * 1e6);
	}
	if (c != NULL)
		redisFree(c);
	return NULL;
}

static int
compare(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return x < y ? -1 : x > y;
}

static double
bench_lookups(struct store *store, size_t threads)
{
	static struct worker workers[THREADS_MAX];
	unsigned *all = calloc(threads, SAMPLES * sizeof(*all));
	size_t total = 0, samples = 0;
	double start = now(), cpu = cpu_seconds(), took;
	struct timespec pause = { (time_t)seconds,
	    (long)((seconds - (double)(time_t)seconds) * 1e9) };

	atomic_store(&stop, false);
	for (size_t i = 0; i < threads; i++) {
		workers[i] = (struct worker){ .store = store,
		    .seed = (unsigned)i, .us = calloc(SAMPLES,
		    sizeof(unsigned)) };
		(void)pthread_create(&workers[i].thread, NULL, work,
		    &workers[i]);
	}
	(void)nanosleep(&pause, NULL);
	atomic_store(&stop, true);
	for (size_t i = 0; i < threads; i++) {
		size_t n;

		(void)pthread_join(workers[i].thread, NULL);
		n = workers[i].n < SAMPLES ? workers[i].n : SAMPLES;
		memcpy(all + samples, workers[i].us, n * sizeof(*all));
		samples += n;
		total += workers[i].n;
		free(workers[i].us);
	}
	took = now() - start;
	qsort(all, samples, sizeof(*all), compare);
	printf("%-22s %2zu threads %8.0f look-ups/s  p50 %5u us  p99 %6u us  "
	    "p99.9 %6u us  CPU %5.1f us\n",
	    store != NULL ? "store" : "connection per thread", threads,
	    (double)total / took, all[samples / 2], all[samples * 99 / 100],
	    all[samples * 999 / 1000],
	    (cpu_seconds() - cpu) * 1e6 / (double)total);
	free(all);
	return (double)total / took;
}

static void
flush_all(void)
{
	redisContext *c = redisConnectUnix(sock);

	freeReplyObject(redisCommand(c, "FLUSHALL"));
	redisFree(c);
}

#define EVIDENCE	"g1764000000000 source=shop&method=web-form"

static double
import_bare(unsigned n, const char *evidence)
{
	redisContext *c = redisConnectUnix(sock);
	double start = now();

	for (unsigned from = 0; from < n; from += PIPELINE) {
		unsigned k = n - from < PIPELINE ? n - from : PIPELINE;

		for (unsigned i = 0; i < k; i++) {
			struct subject s = person(from + i);
			char key[40] = "c:";
			char value[32];
			const char *argv[] = { "HSET", key, "weekly", value,
			    "weekly.e", evidence };

			for (size_t j = 0; j < SUBJECT_BYTES; j++) {
				key[2 + 2 * j] =
				    "0123456789abcdef"[s.id[j] >> 4];
				key[3 + 2 * j] =
				    "0123456789abcdef"[s.id[j] & 15];
			}
			(void)snprintf(value, sizeof(value), "g%lld",
			    1764000000000ll + from + i);
			redisAppendCommandArgv(c, evidence != NULL ? 6 : 4,
			    argv, NULL);
		}
		for (unsigned i = 0; i < k; i++) {
			void *reply = NULL;

			if (redisGetReply(c, &reply) != REDIS_OK)
				exit(EXIT_FAILURE);
			freeReplyObject(reply);
		}
	}
	redisFree(c);
	return n / (now() - start);
}

static double
import_store(struct store *store, unsigned n, bool with_evidence)
{
	struct event *events = calloc(n, sizeof(*events));
	double start, rate;
	struct fail fail;
	size_t applied;

	for (unsigned i = 0; i < n; i++) {
		events[i] = (struct event){ .kind = EVENT_GRANT,
		    .subject = person(i), .list = "weekly",
		    .at_ms = 1764000000000 + i };
		if (with_evidence) {
			strcpy(events[i].evidence.source, "shop");
			strcpy(events[i].evidence.method, "web-form");
		}
	}
	start = now();
	if (store_apply(store, events, n, &applied, &fail) == -1) {
		fprintf(stderr, "%s\n", fail.text);
		exit(EXIT_FAILURE);
	}
	rate = n / (now() - start);
	free(events);
	return rate;
}

static void
bench_imports(struct store *store)
{
	for (int evidence = 0; evidence < 2; evidence++)
		for (int round = 0; round < 3; round++) {
			double bare, ours;

			flush_all();
			bare = import_bare(persons, evidence ? EVIDENCE : NULL);
			flush_all();
			ours = import_store(store, persons, evidence);
			printf("import%s: bare HSET %.0f/s, store %.0f/s, "
			    "ratio %.2f\n", evidence ? " with evidence" : "",
			    bare, ours, ours / bare);
		}
}

static const size_t threads[] = { 1, 8, 64 };

static void
bench_one(struct store *store)
{
	bench_imports(store);
	for (size_t i = 0; i < 3; i++) {
		double alone = bench_lookups(NULL, threads[i]);

		printf("%.2f times as many\n",
		    bench_lookups(store, threads[i]) / alone);
	}
}

static void
bench_cluster(struct store *store)
{
	for (int evidence = 0; evidence < 2; evidence++)
		printf("import%s: store %.0f/s\n",
		    evidence ? " with evidence" : "",
		    import_store(store, persons, evidence));
	for (size_t i = 0; i < 3; i++)
		(void)bench_lookups(store, threads[i]);
}

int
main(int argc, char **argv)
{
	char url[256];
	struct store_options options = { .url = url, .timeout_ms = 5000 };
	struct store *store;
	struct fail fail = { .text = "" };

	if (argc < 2)
		return EXIT_FAILURE;
	sock = argv[1];
	if (argc > 2)
		seconds = strtod(argv[2], NULL);
	if (argc > 3)
		persons = (unsigned)strtoul(argv[3], NULL, 10);
	(void)snprintf(url, sizeof(url), "unix:%s", sock);
	if (sock[0] != '/') {
		options.url = "redis://cluster";
		options.cluster = sock;
	}
	if (argc > 4 && strcmp(argv[4], "fill") == 0) {
		printf("bare HSET %.0f/s\n", import_bare(persons, EVIDENCE));
		return EXIT_SUCCESS;
	}
	if (store_open(&options, &store, &fail) == -1 || fail.text[0] != '\0') {
		fprintf(stderr, "%s\n", fail.text);
		return EXIT_FAILURE;
	}
	if (options.cluster != NULL)
		bench_cluster(store);
	else if (argc > 4 && strcmp(argv[4], "look") == 0)
		(void)bench_lookups(store, 8);
	else
		bench_one(store);
	store_close(&store);
	return EXIT_SUCCESS;
}
