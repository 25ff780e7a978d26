/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What nodes of a Redis Cluster say, and a small real one: slots, redirections,
 * and threads that look up and apply while a slot goes to and fro.
 */
#include "store/private.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/xalloc.h"
#include "check.h"
#include "redis_server.h"

#define NODES		2
#define PERSONS		400
#define AT_MS		INT64_C(1764000000000)

static struct server nodes[NODES];
static char places[NODES][32];		/* host:port */
static char ports[NODES][8];
static char ids[NODES][48];

/* CRC-16/XMODEM of "123456789" is 0x31C3; the rest is what CLUSTER KEYSLOT
 * answers. */
static void
test_slots(void)
{
	static const struct {
		const char	*key;
		unsigned	 slot;
	} cases[] = {
		{ "", 0 }, { "123456789", 0x31c3 }, { "foo", 12182 },
		{ "{foo}bar", 12182 }, { "a{foo}{bar}", 12182 },
		{ "foo{}{bar}", 8363 }, { "foo{{bar}}zap", 4015 },
		{ "{user1000}.following", 3443 },
		{ "{user1000}.followers", 3443 },
	};
	unsigned seen[STORE_PARTITIONS_MAX];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		CHECK_INT(slots_of_key(span_str(cases[i].key)),
		    cases[i].slot);
	}
	CHECK_INT(slots_of_partition(0xab), slots_of_key(SPAN("c:{ab}x")));
	for (unsigned i = 0; i < STORE_PARTITIONS_MAX; i++) {
		seen[i] = slots_of_partition(i);
		for (unsigned j = 0; j < i; j++)
			CHECK(seen[i] != seen[j]);
	}
}

static void
test_keys(void)
{
	struct subject s = { { 0xab, 0x01, [15] = 0xff } };
	struct buf b = BUF_INIT(1000);

	command_key(&b, &s, STORE_PARTITIONS_MAX);
	CHECK_STR(buf_get(&b),
	    "$38\r\nc:{ab}ab0100000000000000000000000000ff\r\n");
	buf_clear(&b);
	command_cursor_key(&b, 0xab, STORE_PARTITIONS_MAX);
	command_cursor_key(&b, 0, 1);
	CHECK_STR(buf_get(&b),
	    "$14\r\nc:applied:{ab}\r\n$9\r\nc:applied\r\n");
	buf_fini(&b);
	CHECK_INT(store_partition_of(&s, 1), 0);
	CHECK_INT(store_partition_of(&s, STORE_PARTITIONS_MAX), 0xab);
}

static struct reply *
reply_of(const char *bytes)
{
	struct reply_reader *reader = reply_reader_new();
	struct reply *reply = NULL;
	struct fail fail;

	reply_reader_allow_nested(reader);
	if (reply_reader_feed(reader, bytes, strlen(bytes), &fail) == -1 ||
	    reply_reader_next(reader, 65536, &reply, &fail) != 1)
		reply = NULL;
	reply_reader_free(&reader);
	return reply;
}

static void
test_redirects(void)
{
	static const struct {
		const char	*text;
		int		 rc;
		bool		 is_ask;
		const char	*host, *port;
	} cases[] = {
		{ "-MOVED 3999 127.0.0.1:6381", 1, false, "127.0.0.1", "6381" },
		{ "-ASK 3999 h-1.example:1", 1, true, "h-1.example", "1" },
		{ "-MOVED 3999 2001:db8::1:6381", 1, false, "2001:db8::1",
		  "6381" },
		{ "-MOVED 3999 :6381", 1, false, "asked", "6381" },
		{ "-MOVED 3999 ?:6381", 1, false, "asked", "6381" },
		{ "-MOVED 3998 127.0.0.1:6381", -1, false, NULL, NULL },
		{ "-MOVED -1 127.0.0.1:6381", -1, false, NULL, NULL },
		{ "-MOVED 3999", -1, false, NULL, NULL },
		{ "-MOVED", -1, false, NULL, NULL },
		{ "-MOVED 3999 h", -1, false, NULL, NULL },
		{ "-MOVED 3999 h:", -1, false, NULL, NULL },
		{ "-MOVED 3999 h:0", -1, false, NULL, NULL },
		{ "-MOVED 3999 h:65536", -1, false, NULL, NULL },
		{ "-MOVED 3999 a/b:1", -1, false, NULL, NULL },
		{ "-MOVED 3999 a\tb:1", -1, false, NULL, NULL },
		{ "-MOVEDX 3999 h:1", 0, false, NULL, NULL },
		{ "+MOVED 3999 h:1", 0, false, NULL, NULL },
		{ "-TRYAGAIN Multiple keys", 0, false, NULL, NULL },
		{ ":1", 0, false, NULL, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct redirect redirect = { .url = { .host = "asked" } };
		struct reply *reply;
		struct fail fail;
		char text[80];

		check_case((long)i);
		(void)snprintf(text, sizeof(text), "%s\r\n", cases[i].text);
		reply = reply_of(text);
		CHECK_INT(slots_read_redirect(reply, 3999, &redirect, &fail),
		    cases[i].rc);
		if (cases[i].rc == 1) {
			CHECK_INT(redirect.is_ask, cases[i].is_ask);
			CHECK_STR(redirect.url.host, cases[i].host);
			CHECK_STR(redirect.url.port, cases[i].port);
		}
		reply_free(&reply);
	}
}

#define NODE(host, port)	"*2\r\n" host ":" port "\r\n"
#define RANGE(from, to, node)	"*3\r\n:" from "\r\n:" to "\r\n" node

static void
test_map(void)
{
	static const struct {
		const char	*text;
		int		 rc;
		unsigned	 count;
		const char	*first, *last;	/* of slots 0 and 16383 */
	} cases[] = {
		{ "*0\r\n", 0, 0, NULL, NULL },
		{ "*2\r\n" RANGE("0", "8191", NODE("$1\r\na\r\n", "1"))
		  RANGE("8192", "16383", NODE("$1\r\nb\r\n", "2")), 0, 2, "a",
		  "b" },
		/* the one that was asked */
		{ "*1\r\n" RANGE("0", "16383", NODE("$-1\r\n", "1")), 0, 1,
		  "asked", "asked" },
		{ "*1\r\n" RANGE("0", "16383", NODE("$0\r\n\r\n", "1")), 0, 1,
		  "asked", "asked" },
		/* the first counts */
		{ "*2\r\n" RANGE("0", "16383", NODE("$1\r\na\r\n", "1"))
		  RANGE("0", "16383", NODE("$1\r\nb\r\n", "2")), 0, 1, "a",
		  "a" },
		/* a part that nobody has */
		{ "*1\r\n" RANGE("0", "8191", NODE("$1\r\na\r\n", "1")), 0, 1,
		  "a", NULL },
		/* empty ones, and such as there are not */
		{ "*2\r\n" RANGE("9", "8", NODE("$1\r\na\r\n", "0"))
		  RANGE("16384", "99999", NODE("$1\r\na\r\n", "0")), 0, 0,
		  NULL, NULL },
		{ "*1\r\n" RANGE("0", "16383", NODE("$1\r\na\r\n", "0")), -1,
		  0, NULL, NULL },
		{ "*1\r\n" RANGE("0", "16383", NODE("$1\r\n/\r\n", "1")), -1,
		  0, NULL, NULL },
		{ "*1\r\n" RANGE("0", "16383", "$1\r\na\r\n"), -1, 0, NULL,
		  NULL },
		{ "*1\r\n*2\r\n:0\r\n:16383\r\n", -1, 0, NULL, NULL },
		{ "*1\r\n:1\r\n", -1, 0, NULL, NULL },
		{ "+OK\r\n", -1, 0, NULL, NULL },
		{ "-NOPERM no\r\n", -1, 0, NULL, NULL },
	};
	static const struct url asked = { .host = "asked", .port = "9" };
	unsigned low = 0, high = 0;

	for (unsigned i = 0; i < STORE_PARTITIONS_MAX; i++) {
		if (slots_of_partition(i) < slots_of_partition(low))
			low = i;
		if (slots_of_partition(i) > slots_of_partition(high))
			high = i;
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct slots_map *map = slots_map_new();
		struct reply *reply = reply_of(cases[i].text);
		struct fail fail = { .class = FAIL_TEMP };
		const unsigned ends[] = { low, high };
		const char *hosts[] = { cases[i].first, cases[i].last };

		check_case((long)i);
		CHECK(reply != NULL);
		CHECK_INT(slots_read_map(reply, &asked, map, &fail),
		    cases[i].rc);
		if (cases[i].rc == -1)
			CHECK_INT(fail.class, strstr(cases[i].text, "NOPERM") !=
			    NULL ? FAIL_SETUP : FAIL_TEMP);
		else
			CHECK_INT(map->count, cases[i].count);
		for (size_t k = 0; k < 2 && cases[i].rc == 0; k++) {
			unsigned owner = map->owners[ends[k]];

			CHECK((owner == SLOTS_NOBODY) == (hosts[k] == NULL));
			if (owner != SLOTS_NOBODY && hosts[k] != NULL)
				CHECK_STR(map->nodes[owner].host, hosts[k]);
		}
		reply_free(&reply);
		free(map);
	}
	/* Deep, or with more than could ever be meant. */
	CHECK(reply_of("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n") == NULL);
	CHECK(reply_of("*2\r\n*16384\r\n") == NULL);
}

/*
 * A real one.
 */

static void
make_cluster(void)
{
	const char *args[NODES][12];
	static char bus[NODES][8];

	for (size_t i = 0; i < NODES; i++) {
		(void)snprintf(ports[i], sizeof(ports[i]), "%u",
		    server_free_port());
		(void)snprintf(bus[i], sizeof(bus[i]), "%u",
		    server_free_port());
		(void)snprintf(places[i], sizeof(places[i]), "127.0.0.1:%s",
		    ports[i]);
		const char *all[] = { "--port", ports[i], "--bind",
		    "127.0.0.1", "--cluster-enabled", "yes",
		    "--cluster-port", bus[i], "--cluster-node-timeout",
		    "5000", NULL };

		memcpy(args[i], all, sizeof(all));
		server_start(&nodes[i], args[i]);
		(void)snprintf(ids[i], sizeof(ids[i]), "%.40s",
		    SERVER_ASK(&nodes[i], "CLUSTER", "MYID"));
	}
	CHECK_STR(SERVER_ASK(&nodes[0], "CLUSTER", "ADDSLOTSRANGE", "0",
	    "8191"), "OK");
	CHECK_STR(SERVER_ASK(&nodes[1], "CLUSTER", "ADDSLOTSRANGE", "8192",
	    "16383"), "OK");
	CHECK_STR(SERVER_ASK(&nodes[1], "CLUSTER", "SET-CONFIG-EPOCH", "7"),
	    "OK");
	CHECK_STR(SERVER_ASK(&nodes[1], "CLUSTER", "MEET", "127.0.0.1",
	    ports[0], bus[0]), "OK");
	for (size_t i = 0; i < 2 * NODES; i++) {
		struct server *node = &nodes[i % NODES];

		for (int n = 0; n < 2000 && strstr(SERVER_ASK(node, "CLUSTER",
		    "INFO"), "cluster_state:ok") == NULL; n++)
			sleep_ms(10);
	}
}

static void
end_cluster(void)
{
	char path[96];

	for (size_t i = 0; i < NODES; i++) {
		(void)snprintf(path, sizeof(path), "%s/nodes.conf",
		    nodes[i].dir);
		(void)unlink(path);
		server_end(&nodes[i]);
	}
}

static struct store *
open_cluster(int timeout_ms)
{
	struct store_options options = { .url = "redis://c",
	    .cluster = places[1], .timeout_ms = timeout_ms };
	struct store *store = NULL;
	struct fail fail;

	CHECK_INT(store_open(&options, &store, &fail), 0);
	CHECK_STR(fail.text, "");
	CHECK(store_is_reachable(store));
	CHECK_INT(store_partitions(store), STORE_PARTITIONS_MAX);
	return store;
}

static struct subject
person(uint32_t n)
{
	struct subject s = { { (unsigned char)n, (unsigned char)(n >> 8),
	    (unsigned char)(n >> 16) } };

	return s;
}

static struct event
event_of(uint32_t n, enum event_kind kind, int64_t at_ms)
{
	return (struct event){ .kind = kind, .subject = person(n),
	    .list = "weekly", .at_ms = at_ms };
}

static void
test_apply(void)
{
	static struct event events[PERSONS];
	static struct subject who[PERSONS];
	static uint64_t seqs[PERSONS], from[STORE_PARTITIONS_MAX],
	    told[STORE_PARTITIONS_MAX];
	static struct record records[PERSONS];
	static int results[PERSONS];
	struct store_progress p = { .id = "a", .from = from, .seqs = seqs,
	    .end_to = from };
	struct store *store = open_cluster(5000);
	struct fail fail;
	size_t applied;

	for (uint32_t i = 0; i < PERSONS; i++) {
		who[i] = person(i);
		events[i] = event_of(i, EVENT_GRANT, AT_MS + i);
		seqs[i] = 10 + i;
	}
	CHECK_INT(store_apply_from(store, events, PERSONS, &p, &applied,
	    &fail), 0);
	CHECK_INT((int64_t)applied, PERSONS);
	CHECK_INT(store_lookup_many(store, who, PERSONS, "weekly", records,
	    results, &fail), 0);
	for (uint32_t i = 0; i < PERSONS; i++) {
		check_case((long)i);
		CHECK_INT(results[i], 1);
		CHECK_INT(records[i].grant_ms, AT_MS + i);
		/* The second person of a partition came later. */
		if (i < STORE_PARTITIONS_MAX)
			CHECK_INT((int64_t)from[i], i + 256 < PERSONS ?
			    266 + i : 10 + i);
	}
	check_case(-1);
	CHECK_INT(store_cursor_get(store, "a", told, &fail), 0);
	CHECK(memcmp(told, from, sizeof(told)) == 0);
	/* With cursors alone, and a second one. */
	p.end_id = "b";
	CHECK_INT(store_apply_from(store, NULL, 0, &p, NULL, &fail), 0);
	CHECK_INT(store_cursor_get(store, "b", told, &fail), 0);
	CHECK(memcmp(told, from, sizeof(told)) == 0);
	p.end_id = NULL;
	/* Somebody who can't be merged with; everybody else before is. */
	for (uint32_t i = 0; i < PERSONS; i++) {
		events[i].at_ms += 1000000;
		seqs[i] += 1000;
	}
	for (size_t i = 0; i < NODES; i++)
		(void)SERVER_ASK(&nodes[i], "HSET",
		    "c:{07}07000000000000000000000000000000", "weekly",
		    "nonsense");
	CHECK_INT(store_apply_from(store, events, PERSONS, &p, &applied,
	    &fail), -1);
	CHECK_INT(fail.class, FAIL_INPUT);
	CHECK(strstr(fail.text, "person 0700") != NULL);
	CHECK_INT((int64_t)applied, 7);
	CHECK(!p.lost);
	CHECK_INT((int64_t)from[8], 266 + 8 + 1000);
	for (size_t i = 0; i < NODES; i++)
		(void)SERVER_ASK(&nodes[i], "DEL",
		    "c:{07}07000000000000000000000000000000");
	/* A node that lost it all takes no more. */
	(void)SERVER_ASK(&nodes[0], "FLUSHALL");
	for (uint32_t i = 0; i < PERSONS; i++)
		seqs[i] += 1000;
	CHECK_INT(store_apply_from(store, events, PERSONS, &p, &applied,
	    &fail), -1);
	CHECK_INT(fail.class, FAIL_TEMP);
	CHECK(p.lost);
	CHECK_STR(SERVER_ASK(&nodes[0], "DBSIZE"), "0");
	(void)SERVER_ASK(&nodes[1], "FLUSHALL");
	store_close(&store);
}

/* One node that may evict keys is one too many. */
static void
test_policy(void)
{
	struct store_options options = { .url = "redis://c",
	    .cluster = places[1], .timeout_ms = 5000 };
	struct store *store = NULL;
	struct fail fail;

	(void)SERVER_ASK(&nodes[0], "CONFIG", "SET", "maxmemory-policy",
	    "allkeys-lru");
	CHECK_INT(store_open(&options, &store, &fail), -1);
	CHECK_INT(fail.class, FAIL_SETUP);
	CHECK(strstr(fail.text, "may evict keys") != NULL);
	CHECK(strstr(fail.text, places[0]) != NULL);
	(void)SERVER_ASK(&nodes[0], "CONFIG", "SET", "maxmemory-policy",
	    "noeviction");
	options.cluster = "127.0.0.1:1";
	options.timeout_ms = 200;
	CHECK_INT(store_open(&options, &store, &fail), 0);
	CHECK(strstr(fail.text, "127.0.0.1:1: connect: ") != NULL);
	CHECK(!store_is_reachable(store));
	store_close(&store);
	options.url = "unix:/x";
	CHECK_INT(store_open(&options, &store, &fail), -1);
	CHECK_INT(fail.class, FAIL_SETUP);
}

/* Of a mark each person has the partition's own. */
static void
test_since(void)
{
	struct event events[] = { event_of(1, EVENT_GRANT, AT_MS),
	    event_of(2, EVENT_GRANT, AT_MS) };
	const struct subject who[] = { person(1), person(2) };
	uint64_t from[STORE_PARTITIONS_MAX] = { 0 }, seqs[] = { 5, 9 };
	const uint64_t enough[] = { 5, 9 }, much[] = { 6, 9 };
	struct store_progress p = { .id = "since", .from = from,
	    .seqs = seqs };
	struct store_mark mark = { .id = "since", .seqs = enough };
	struct store *store = open_cluster(5000);
	struct record records[2];
	struct fail fail;
	int results[2];

	CHECK_INT(store_apply_from(store, events, 2, &p, NULL, &fail), 0);
	CHECK_INT(store_lookup_since(store, &mark, who, 2, "weekly", records,
	    results, &fail), 0);
	mark.seqs = much;
	CHECK_INT(store_lookup_since(store, &mark, who, 2, "weekly", records,
	    results, &fail), -1);
	CHECK_INT(results[0], -1);
	CHECK_INT(results[1], 1);
	CHECK_INT(records[0].grant_ms, 0);
	store_close(&store);
}

struct worker {
	struct store	*store;
	pthread_t	 thread;
	uint32_t	 first;
	long		 asked, answers, wrong;
};

static atomic_bool stop;

/* What is confirmed is seen from then on. */
static void *
work(void *argument)
{
	struct worker *w = argument;
	int64_t confirmed[64] = { 0 }, at_ms = AT_MS;
	struct record r;
	struct fail fail;
	uint32_t n = 0;

	while (!atomic_load(&stop)) {
		uint32_t i = n++ % 64;
		struct event event = event_of(w->first + i, EVENT_WITHDRAW,
		    ++at_ms);
		int found;

		if (store_apply(w->store, &event, 1, NULL, &fail) == 0)
			confirmed[i] = at_ms;
		found = store_lookup(w->store, &event.subject, "weekly", &r,
		    &fail);
		w->answers += found != -1;
		if (found != -1 && r.withdraw_ms < confirmed[i])
			w->wrong++;
	}
	w->asked = n;
	return NULL;
}

/* Nodes may need a moment to agree on the move before. */
static void
set_slot(struct server *node, const char *slot, const char *what,
    const char *id)
{
	for (int n = 0; n < 1000 && strcmp(SERVER_ASK(node, "CLUSTER",
	    "SETSLOT", slot, what, id), "OK") != 0; n++)
		sleep_ms(10);
}

static long
epoch_of(struct server *node)
{
	const char *name = "cluster_current_epoch:";
	const char *at = strstr(SERVER_ASK(node, "CLUSTER", "INFO"), name);

	return at == NULL ? -1 : strtol(at + strlen(name), NULL, 10);
}

/*
 * Who takes a slot raises its epoch above all that it has heard of.  One that
 * has not yet heard of the other's latest loses the slot to it again, keys and
 * all; an admin's tool waits in between, and so do we.
 */
static void
await_agreement(void)
{
	for (int n = 0; n < 2000 && epoch_of(&nodes[0]) != epoch_of(&nodes[1]);
	    n++)
		sleep_ms(5);
	CHECK_INT(epoch_of(&nodes[0]), epoch_of(&nodes[1]));
}

static void
move_slot(unsigned slot, size_t from, size_t to)
{
	char text[8], keys[64];
	const char *answer;
	struct server *source = &nodes[from], *target = &nodes[to];

	(void)snprintf(text, sizeof(text), "%u", slot);
	set_slot(target, text, "IMPORTING", ids[from]);
	set_slot(source, text, "MIGRATING", ids[to]);
	for (uint32_t n = 0; n < 4 * 64; n++) {
		struct subject s = person(n);

		if (slots_of_partition(s.id[0]) != slot)
			continue;
		(void)snprintf(keys, sizeof(keys),
		    "c:{%02x}%02x%02x%02x%026d", s.id[0], s.id[0], s.id[1],
		    s.id[2], 0);
		answer = SERVER_ASK(source, "MIGRATE", "127.0.0.1", ports[to],
		    keys, "0", "5000");
		CHECK(strcmp(answer, "OK") == 0 ||
		    strcmp(answer, "NOKEY") == 0);
	}
	set_slot(target, text, "NODE", ids[to]);
	set_slot(source, text, "NODE", ids[to]);
	await_agreement();
}

static void
test_threads(void)
{
	struct worker workers[4];
	struct store *store = open_cluster(10000);

	for (size_t i = 0; i < 4; i++) {
		workers[i] = (struct worker){ .store = store,
		    .first = (uint32_t)i * 64 };
		CHECK_INT(pthread_create(&workers[i].thread, NULL, work,
		    &workers[i]), 0);
	}
	for (unsigned p = 0; p < 2 * 64; p += 3) {
		unsigned slot = slots_of_partition(p);
		size_t owner = slot > 8191;

		move_slot(slot, owner, !owner);
		move_slot(slot, !owner, owner);
	}
	atomic_store(&stop, true);
	for (size_t i = 0; i < 4; i++) {
		(void)pthread_join(workers[i].thread, NULL);
		CHECK_INT(workers[i].wrong, 0);
		CHECK(workers[i].answers > workers[i].asked / 2);
	}
	store_close(&store);
}

static const struct check_test tests[] = {
	{ "slots", test_slots },
	{ "keys", test_keys },
	{ "redirects", test_redirects },
	{ "map", test_map },
	{ "apply", test_apply },
	{ "policy", test_policy },
	{ "since", test_since },
	{ "threads", test_threads },
};

int
main(void)
{
	int rc;

	if (!server_is_installed())
		return server_skip();
	make_cluster();
	rc = check_main("test_store_cluster", tests,
	    sizeof(tests) / sizeof(tests[0]));
	end_cluster();
	return rc;
}
