/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The store over TLS with many threads, large requests and connections that
 * Redis ends in the middle: for ThreadSanitizer above all, since one SSL object
 * serves a thread that reads and others that write.
 */
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

#include "check.h"
#include "redis_server.h"

#define TIMEOUT_MS	5000
#define PERSONS		3000
#define THREADS		8
#define ROUNDS		200

static char port[8], pem[96], url[64];
static atomic_bool done;

static struct event
event_of(uint32_t n)
{
	struct event e = { .kind = EVENT_GRANT, .list = "weekly",
	    .at_ms = (int64_t)n + 1 };

	memcpy(e.subject.id, &n, sizeof(n));
	return e;
}

static struct store *
open_store(void)
{
	struct store_options options = { .url = url, .ca_file = pem,
	    .certificate = pem, .key = pem, .timeout_ms = TIMEOUT_MS };
	struct store *store = NULL;
	struct fail fail = { .text = "" };

	CHECK_INT(store_open(&options, &store, &fail), 0);
	CHECK_STR(fail.text, "");
	if (store == NULL)
		exit(EXIT_FAILURE);
	return store;
}

static void
fill(struct store *store)
{
	struct event *events = calloc(PERSONS, sizeof(*events));
	struct fail fail = { .text = "" };
	size_t applied;

	for (uint32_t n = 0; n < PERSONS; n++)
		events[n] = event_of(n);
	CHECK_INT(store_apply(store, events, PERSONS, &applied, &fail), 0);
	CHECK_STR(fail.text, "");
	CHECK_INT(applied, PERSONS);
	free(events);
}

/* Both records that are there and those that are not; failures only where the
 * connection may be ended. */
static void *
look_up(void *context)
{
	struct store *store = context;
	struct record records[64];
	struct subject who[64];
	int results[64];
	struct fail fail;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		size_t n = i % 4 == 0 ? 64 : 1;

		for (size_t k = 0; k < n; k++)
			who[k] = event_of((i * 97 + (uint32_t)k) %
			    (2 * PERSONS)).subject;
		if (store_lookup_many(store, who, n, "weekly", records,
		    results, &fail) == -1)
			continue;
		for (size_t k = 0; k < n; k++) {
			uint32_t p = (i * 97 + (uint32_t)k) % (2 * PERSONS);

			CHECK_INT(results[k], p < PERSONS);
			CHECK_INT(records[k].grant_ms,
			    p < PERSONS ? (int64_t)p + 1 : 0);
		}
	}
	return NULL;
}

static void *
cut(void *context)
{
	while (!atomic_load(&done)) {
		(void)SERVER_ASK(context, "CLIENT", "KILL", "TYPE", "normal",
		    "SKIPME", "yes");
		sleep_ms(20);
	}
	return NULL;
}

static void
look_up_in_threads(struct store *store)
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		CHECK_INT(pthread_create(&threads[i], NULL, look_up, store),
		    0);
	for (size_t i = 0; i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
}

static struct server server;

static void
test_threads(void)
{
	struct store *store = open_store();

	fill(store);
	look_up_in_threads(store);
	/* requests of more than the socket and OpenSSL take at once */
	fill(store);
	CHECK(store_is_reachable(store));
	store_close(&store);
}

static void
test_cut(void)
{
	struct store *store = open_store();
	pthread_t cutter;

	CHECK_INT(pthread_create(&cutter, NULL, cut, &server), 0);
	for (int i = 0; i < 3; i++)
		look_up_in_threads(store);
	atomic_store(&done, true);
	(void)pthread_join(cutter, NULL);
	store_close(&store);
}

static void
test_large_answer(void)
{
	struct store *store = open_store();
	struct subject who[5000];
	struct record *records = calloc(5000, sizeof(*records));
	int results[5000];
	struct fail fail = { .text = "" };

	for (uint32_t n = 0; n < 5000; n++)
		who[n] = event_of(n % PERSONS).subject;
	CHECK_INT(store_lookup_many(store, who, 5000, "weekly", records,
	    results, &fail), 0);
	CHECK_STR(fail.text, "");
	for (size_t n = 0; n < 5000; n++)
		CHECK_INT(records[n].grant_ms, (int64_t)(n % PERSONS) + 1);
	free(records);
	store_close(&store);
}

static const struct check_test tests[] = {
	{ "threads", test_threads },
	{ "large answer", test_large_answer },
	{ "cut", test_cut },
};

/* A certificate for "localhost" that is its own authority. */
static int
make_certificate(const char *dir)
{
	char command[1000];

	(void)snprintf(pem, sizeof(pem), "%s/pem", dir);
	(void)snprintf(command, sizeof(command), "openssl req -x509 -newkey ec "
	    "-pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "
	    "/CN=localhost -addext subjectAltName=DNS:localhost -keyout %s "
	    "-out %s.crt 2>%s.log && cat %s.crt >>%s && rm %s.crt %s.log", pem,
	    pem, pem, pem, pem, pem, pem);
	return system(command);
}

int
main(void)
{
	const char *args[] = { "--tls-port", port, "--tls-cert-file", pem,
	    "--tls-key-file", pem, "--tls-ca-cert-file", pem,
	    "--tls-auth-clients", "yes", NULL };
	int rc;

	if (!server_is_installed())
		return server_skip();
	(void)snprintf(port, sizeof(port), "%u", server_free_port());
	(void)snprintf(url, sizeof(url), "rediss://localhost:%s", port);
	server_prepare(&server, args);
	if (make_certificate(server.dir) != 0)
		exit(EXIT_FAILURE);
	server_exec(&server);
	server_await(&server);
	rc = check_main("test_store_tls", tests,
	    sizeof(tests) / sizeof(tests[0]));
	(void)unlink(pem);
	server_end(&server);
	return rc;
}
