/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Whether Redis has what the ledger holds when the two part ways: entries that
 * were taken back, a person whom Redis can't merge, a second who applies.
 */
#include "ledger/applier.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/codec.h"
#include "check.h"
#include "ledger/append.h"
#include "ledger/identity.h"
#include "redis_server.h"

#define TIMEOUT_MS	5000
#define FIRST_MS	INT64_C(1764000000000)

static struct server server;
static char port[8];
static struct store *store;
static char top[] = "/tmp/test_applier.XXXXXX";
static char warned[2048];	/* all that was since begin() */

/* A ledger of its own for each test, and an empty Redis. */
static char directory[64];
static struct journal *ledger;
static int64_t now_ms;

static void
on_warning(const char *text, void *context)
{
	size_t len = strlen(warned);

	(void)context;
	(void)snprintf(warned + len, sizeof(warned) - len, "%s\n", text);
}

static struct applier *
open_applier(void)
{
	const struct applier_options options = { .directory = directory,
	    .store = store, .warn = on_warning };
	struct applier *applier = NULL;
	struct fail fail;

	CHECK_INT(applier_open(&options, &applier, &fail), 0);
	if (applier == NULL)
		exit(EXIT_FAILURE);
	return applier;
}

static void
open_ledger(void)
{
	struct journal_options options = { .directory = directory,
	    .name = "ledger", .host = "test" };
	struct fail fail;
	uint64_t recovered;

	CHECK_INT(journal_open(&options, &ledger, &recovered, &fail), 0);
	CHECK_INT(recovered, 0);
}

static void
begin(const char *name)
{
	(void)snprintf(directory, sizeof(directory), "%s/%s", top, name);
	CHECK_INT(mkdir(directory, 0700), 0);
	CHECK_STR(SERVER_ASK(&server, "FLUSHALL"), "OK");
	warned[0] = '\0';
	now_ms = FIRST_MS;
	open_ledger();
}

static struct subject
person(char name)
{
	return (struct subject){ { (unsigned char)name } };
}

static void
record(enum event_kind kind, char name)
{
	struct event event = { .kind = kind, .subject = person(name),
	    .list = "weekly", .at_ms = ++now_ms };
	struct fail fail;

	CHECK_INT(ledger_append(ledger, &event, 1, "test", &fail), 0);
}

/* Is there a grant in Redis, and no withdrawal after it? */
static bool
is_granted(char name)
{
	struct subject who = person(name);
	struct record r;
	struct fail fail;

	return store_lookup(store, &who, "weekly", &r, &fail) == 1 &&
	    r.grant_ms > r.withdraw_ms;
}

static int
apply(struct applier *applier)
{
	struct fail fail;

	return applier_apply(applier, &fail);
}

/* The only segment; its size, or cut to that size. */
static long
segment_size(long cut_to)
{
	char command[256], path[160] = "";
	struct stat st;
	FILE *names;

	(void)snprintf(command, sizeof(command), "ls %s/ledger*.jsonl",
	    directory);
	names = popen(command, "r");
	if (names == NULL || fscanf(names, "%159s", path) != 1)
		CHECK(false);
	if (names != NULL)
		(void)pclose(names);
	if (cut_to >= 0)
		CHECK_INT(truncate(path, cut_to), 0);
	CHECK_INT(stat(path, &st), 0);
	return (long)st.st_size;
}

/*
 * A writer whose disk is full takes back what it wrote of a batch.  Who applies
 * may have read that, and the numbers come again, for what others record.
 */
static void
test_taken_back(void)
{
	struct applier *applier;
	long size;

	begin("taken-back");
	applier = open_applier();
	record(EVENT_GRANT, 'a');
	record(EVENT_GRANT, 'b');
	CHECK_INT(apply(applier), 0);
	size = segment_size(-1);
	record(EVENT_GRANT, 'x');
	record(EVENT_GRANT, 'y');
	CHECK_INT(apply(applier), 0);
	journal_close(&ledger);
	(void)segment_size(size);
	open_ledger();
	record(EVENT_WITHDRAW, 'a');
	record(EVENT_GRANT, 'c');
	record(EVENT_GRANT, 'd');
	CHECK_INT(apply(applier), 0);
	CHECK(!is_granted('a'));
	CHECK(is_granted('b'));
	CHECK(is_granted('c'));
	CHECK(is_granted('d'));
	applier_close(&applier);
	journal_close(&ledger);
}

/* Somebody repairs a person and applies the ledger, while another one who
 * applies it still knows of the damage. */
static void
test_repaired_by_another(void)
{
	struct applier *first, *second;

	begin("repaired");
	first = open_applier();
	second = open_applier();
	CHECK_STR(SERVER_ASK(&server, "HSET",
	    "c:61000000000000000000000000000000", "weekly", "?"), "1");
	record(EVENT_GRANT, 'a');
	record(EVENT_GRANT, 'b');
	CHECK_INT(apply(first), -1);
	CHECK(is_granted('b'));
	CHECK_STR(SERVER_ASK(&server, "DEL",
	    "c:61000000000000000000000000000000"), "1");
	CHECK_INT(apply(second), 0);
	CHECK(is_granted('a'));
	CHECK_INT(apply(first), 0);
	applier_close(&first);
	applier_close(&second);
	journal_close(&ledger);
}

/* The other host, whose ledger is read into Redis here: it goes on. */
static char other_id[2 * LEDGER_ID_BYTES + 1];
static atomic_bool is_rebuilt;

static void *
go_on(void *unused)
{
	redisContext *c = redisConnectUnix(server.sock);

	while (c != NULL && !atomic_load(&is_rebuilt)) {
		redisReply *r = redisCommand(c, "HINCRBY c:applied %s 1",
		    other_id);

		if (r == NULL)
			break;
		freeReplyObject(r);
	}
	if (c != NULL)
		redisFree(c);
	return unused;
}

static void
identify(const char *of)
{
	unsigned char bytes[LEDGER_ID_BYTES];
	struct buf text = BUF_INIT(64);
	struct fail fail;

	CHECK_INT(ledger_identity(of, bytes, &fail), 1);
	hex_format(&text, bytes, sizeof(bytes));
	(void)snprintf(other_id, sizeof(other_id), "%s", buf_get(&text));
	buf_fini(&text);
}

static void
start_replica(struct server *replica)
{
	const char *const args[] = { "--replicaof", "127.0.0.1", port, NULL };

	server_start(replica, args);
	for (int i = 0; i < 500 &&
	    strcmp(SERVER_ASK(&server, "WAIT", "1", "100"), "1") != 0; i++)
		sleep_ms(10);
}

/* While replicas are waited for, too. */
static void
test_other_goes_on(void)
{
	struct store_options options = { .url = server.url,
	    .timeout_ms = TIMEOUT_MS, .wait_replicas = 1 };
	struct store *plain = store;
	struct applier *applier;
	struct server replica;
	char theirs[sizeof(directory)];
	pthread_t thread;
	struct fail fail;

	begin("theirs");
	record(EVENT_GRANT, 'a');
	journal_close(&ledger);
	memcpy(theirs, directory, sizeof(theirs));
	identify(theirs);
	begin("ours");
	start_replica(&replica);
	CHECK_INT(store_open(&options, &store, &fail), 0);
	applier = open_applier();
	CHECK_INT(pthread_create(&thread, NULL, go_on, NULL), 0);
	for (int i = 0; i < 20; i++) {
		check_case(i);
		fail.text[0] = '\0';
		CHECK_INT(applier_rebuild(applier, theirs, true, NULL, NULL,
		    &fail), 0);
		CHECK_STR(fail.text, "");
	}
	CHECK(is_granted('a'));
	atomic_store(&is_rebuilt, true);
	(void)pthread_join(thread, NULL);
	applier_close(&applier);
	store_close(&store);
	store = plain;
	server_end(&replica);
	journal_close(&ledger);
}

#define MANY	9000		/* more than twice what is applied at once */

#define OPT_OUT_STEPS	3		/* in which it is read for opt-outs */

static int stops_left;

static bool
is_stopped(void *context)
{
	(void)context;
	return stops_left-- <= 0;
}

/* In a Redis that has lost everything no opt-in counts before the opt-outs are
 * there, wherever they stand in the ledger. */
static void
test_opt_outs_first(void)
{
	struct applier_options options = { .directory = directory,
	    .store = store, .warn = on_warning, .is_stopped = is_stopped };
	struct event *events = calloc(MANY, sizeof(*events));
	struct applier *applier = NULL;
	struct fail fail;

	begin("opt-outs-first");
	record(EVENT_GRANT, 'a');
	record(EVENT_GRANT, 'b');
	for (size_t i = 0; i < MANY; i++)
		events[i] = (struct event){ .kind = EVENT_GRANT,
		    .subject = person('c'), .list = "weekly",
		    .at_ms = ++now_ms };
	CHECK_INT(ledger_append(ledger, events, MANY, "test", &fail), 0);
	free(events);
	record(EVENT_WITHDRAW, 'a');
	stops_left = 1000;
	CHECK_INT(applier_open(&options, &applier, &fail), 0);
	CHECK_INT(apply(applier), 0);
	CHECK(!is_granted('a'));
	for (int rebuild = 0; rebuild < 2; rebuild++) {
		CHECK_STR(SERVER_ASK(&server, "FLUSHALL"), "OK");
		/* In the middle of what follows the opt-outs. */
		stops_left = rebuild ? 1000 : OPT_OUT_STEPS + 1;
		CHECK_INT(rebuild ? applier_apply_opt_outs(applier, NULL,
		    NULL, NULL, &fail) : 0, 0);
		if (rebuild)
			stops_left = 1;
		CHECK_INT(rebuild ? applier_rebuild(applier, NULL, false, NULL,
		    NULL, &fail) : applier_apply(applier, &fail), -1);
		CHECK_STR(fail.text, "interrupted");
		CHECK(is_granted('b'));
		CHECK(!is_granted('a'));
		stops_left = 1000;
		CHECK_INT(apply(applier), 0);
		CHECK(!is_granted('a'));
		CHECK(is_granted('c'));
	}
	applier_close(&applier);
	journal_close(&ledger);
}

static const struct check_test tests[] = {
	{ "opt-outs first", test_opt_outs_first },
	{ "taken-back", test_taken_back },
	{ "repaired by another", test_repaired_by_another },
	{ "other goes on", test_other_goes_on },
};

int
main(void)
{
	struct store_options options = { .url = server.url,
	    .timeout_ms = TIMEOUT_MS };
	const char *const args[] = { "--port", port, "--bind", "127.0.0.1",
	    "--repl-diskless-sync-delay", "0", NULL };
	char command[128];
	struct fail fail;
	int rc;

	if (!server_is_installed())
		return server_skip();
	if (mkdtemp(top) == NULL)
		return EXIT_FAILURE;
	(void)snprintf(port, sizeof(port), "%u", server_free_port());
	server_start(&server, args);
	if (store_open(&options, &store, &fail) == -1)
		return EXIT_FAILURE;
	rc = check_main("test_applier", tests,
	    sizeof(tests) / sizeof(tests[0]));
	store_close(&store);
	server_end(&server);
	(void)snprintf(command, sizeof(command), "rm -rf %s", top);
	return system(command) == 0 ? rc : EXIT_FAILURE;
}
