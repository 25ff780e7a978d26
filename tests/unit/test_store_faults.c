/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Everything that can happen to the connection, with real processes where a
 * real Redis does it and with a small fake where it never would.  Each fault
 * asserts three things: nothing but a failure comes out, it comes out in time,
 * and the store recovers by itself.
 */
#include "store/store.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "check.h"
#include "redis_server.h"

#define TIMEOUT_MS	250
/* How much later a loaded machine may run us. */
#define SLACK_MS	250
#define RECOVERY_MS	(500 + 2 * TIMEOUT_MS + SLACK_MS)

/* What on_state was called with. */
struct states {
	atomic_int	ups;
	atomic_int	downs;
	char		text[300];	/* the latest; read when it is quiet */
};

static void
on_state(bool reachable, const char *text, void *context)
{
	struct states *states = context;

	(void)snprintf(states->text, sizeof(states->text), "%s", text);
	atomic_fetch_add(reachable ? &states->ups : &states->downs, 1);
}

static struct states states;

static struct store_options
options_for(const struct server *s)
{
	atomic_store(&states.ups, 0);
	atomic_store(&states.downs, 0);
	return (struct store_options){ .url = s->url,
	    .timeout_ms = TIMEOUT_MS, .on_state = on_state,
	    .context = &states };
}

static struct store *
open_store(const struct server *s)
{
	struct store_options options = options_for(s);
	struct store *store = NULL;
	struct fail fail;

	CHECK_INT(store_open(&options, &store, &fail), 0);
	if (store == NULL)
		exit(EXIT_FAILURE);
	return store;
}

static struct subject
person(uint32_t n)
{
	struct subject s = { { 0 } };

	memcpy(s.id, &n, sizeof(n));
	return s;
}

static int
apply(struct store *store, uint32_t n)
{
	struct event e = { .kind = EVENT_GRANT, .subject = person(n),
	    .list = "weekly", .at_ms = (int64_t)n + 1 };
	struct fail fail;

	return store_apply(store, &e, 1, NULL, &fail);
}

/* Looks one up; a failure must be in time and say why.  Returns 1, 0, -1. */
static int
look_up(struct store *store, uint32_t n, const char *why)
{
	int64_t start_ms = clock_monotonic_ms(), took_ms;
	struct subject who = person(n);
	struct record r;
	struct fail fail = { .text = "" };
	int rc = store_lookup(store, &who, "weekly", &r, &fail);

	took_ms = clock_monotonic_ms() - start_ms;
	CHECK(took_ms <= TIMEOUT_MS + SLACK_MS);
	if (rc == 1)
		CHECK_INT(r.grant_ms, (int64_t)n + 1);
	else
		CHECK_INT(r.grant_ms, 0);
	if (rc == -1)
		CHECK_INT(fail.class, FAIL_TEMP);
	if (rc == -1 && why != NULL && strstr(fail.text, why) == NULL)
		CHECK_STR(fail.text, why);
	return rc;
}

/* Until look-ups of person n succeed again. */
static void
await_recovery(struct store *store, uint32_t n)
{
	int64_t start_ms = clock_monotonic_ms();

	while (look_up(store, n, NULL) == -1) {
		if (clock_monotonic_ms() - start_ms > 5000)
			break;
		sleep_ms(10);
	}
	CHECK(clock_monotonic_ms() - start_ms <= RECOVERY_MS);
	CHECK(store_is_reachable(store));
}

static struct store_stats
stats_of(struct store *store)
{
	struct store_stats stats = { .attempts = 0 };

	store_stats_sum(store, &stats);
	return stats;
}

static bool
has_failed(struct store *store, enum store_failure kind)
{
	return stats_of(store).failures[kind] > 0;
}

/* Until look-ups fail for this reason: the first attempts may have met a Redis
 * that was dying. */
static void
await_failure(struct store *store, const char *why)
{
	int64_t start_ms = clock_monotonic_ms();
	struct subject who = person(1);
	struct record r;
	struct fail fail = { .text = "" };

	while (store_lookup(store, &who, "weekly", &r, &fail) != -1 ||
	    strstr(fail.text, why) == NULL) {
		if (clock_monotonic_ms() - start_ms > 10000)
			break;
		sleep_ms(10);
	}
	CHECK(strstr(fail.text, why) != NULL);
}

/* A busy machine may need more than one attempt to connect. */
static void
await_connection(struct store *store)
{
	int64_t start_ms = clock_monotonic_ms();

	while (!store_is_reachable(store) &&
	    clock_monotonic_ms() - start_ms < 10000)
		sleep_ms(10);
	CHECK(store_is_reachable(store));
}

/* How long n look-ups take that must all fail. */
static int64_t
fail_quickly(struct store *store, int n, const char *why)
{
	int64_t start_ms = clock_monotonic_ms();

	for (int i = 0; i < n; i++)
		CHECK_INT(look_up(store, 1, why), -1);
	return clock_monotonic_ms() - start_ms;
}

static void
test_absent_at_open(void)
{
	struct server s;
	struct store_options options;
	struct store *store = NULL;
	struct fail fail;

	server_prepare(&s, NULL);
	options = options_for(&s);
	CHECK_INT(store_open(&options, &store, &fail), 0);
	CHECK_INT(fail.class, FAIL_TEMP);
	CHECK(strstr(fail.text, "No such file") != NULL);
	CHECK(!store_is_reachable(store));
	CHECK(fail_quickly(store, 1000, "No such file") < SLACK_MS);
	server_exec(&s);
	server_await(&s);
	await_recovery(store, 1);
	CHECK_INT(apply(store, 1), 0);
	CHECK_INT(look_up(store, 1, NULL), 1);
	server_kill(&s);
	/* Now the socket is there and nobody listens. */
	await_failure(store, "refused");
	CHECK(fail_quickly(store, 1000, "refused") < SLACK_MS);
	CHECK_INT(apply(store, 1), -1);
	CHECK(!store_is_reachable(store));
	store_close(&store);
	CHECK_INT(atomic_load(&states.ups), 1);
	CHECK_INT(atomic_load(&states.downs), 2);
	CHECK_INT(store_open(&options, &store, &fail), 0);
	CHECK(strstr(fail.text, "refused") != NULL);
	store_close(&store);
	server_end(&s);
}

/*
 * A stream of look-ups from several threads.
 */
#define STREAMS	8

/* How many there are; a caller who is alone reads for himself, and everything
 * has to be as true for him. */
static size_t stream_count = STREAMS;

struct stream {
	pthread_t	 thread;
	struct store	*store;
	atomic_bool	*stop;
	uint32_t	 first;
	long		 good, failed, wrong;
	int64_t		 longest_ms;
};

static void *
run_stream(void *context)
{
	struct stream *s = context;

	for (uint32_t i = 0; !atomic_load(s->stop); i++) {
		uint32_t n = s->first + i % 10;
		int64_t start_ms = clock_monotonic_ms(), took_ms;
		struct subject who = person(n);
		struct record r;
		struct fail fail;
		int rc = store_lookup(s->store, &who, "weekly", &r, &fail);

		took_ms = clock_monotonic_ms() - start_ms;
		if (took_ms > s->longest_ms)
			s->longest_ms = took_ms;
		if (rc == -1) {
			s->failed++;
			sleep_ms(1);
		} else if (rc == 1 && r.grant_ms == (int64_t)n + 1)
			s->good++;
		else
			s->wrong++;
	}
	return NULL;
}

static atomic_bool stop_streams;

static void
start_streams(struct stream *streams, struct store *store)
{
	atomic_store(&stop_streams, false);
	for (uint32_t i = 0; i < stream_count; i++) {
		streams[i] = (struct stream){ .store = store,
		    .stop = &stop_streams, .first = i * 10 };
		(void)pthread_create(&streams[i].thread, NULL, run_stream,
		    &streams[i]);
	}
}

/* Returns how many failed. */
static long
end_streams(struct stream *streams)
{
	long failed = 0;

	atomic_store(&stop_streams, true);
	for (size_t i = 0; i < stream_count; i++) {
		(void)pthread_join(streams[i].thread, NULL);
		CHECK_INT(streams[i].wrong, 0);
		CHECK(streams[i].good > 0);
		CHECK(streams[i].longest_ms <= TIMEOUT_MS + SLACK_MS);
		failed += streams[i].failed;
	}
	return failed;
}

static void
fill(struct store *store)
{
	for (uint32_t n = 0; n < STREAMS * 10; n++)
		CHECK_INT(apply(store, n), 0);
}

static void
test_kill_and_restart(void)
{
	static const char *const args[] = { "--appendonly", "yes", NULL };
	struct stream streams[STREAMS];
	struct server s;
	struct store *store;

	server_start(&s, args);
	store = open_store(&s);
	fill(store);
	sleep_ms(50);
	start_streams(streams, store);
	sleep_ms(100);
	server_kill(&s);
	sleep_ms(100);
	CHECK(!store_is_reachable(store));
	server_exec(&s);
	server_await(&s);
	await_recovery(store, 3);
	CHECK(end_streams(streams) > 0);
	CHECK_INT(atomic_load(&states.ups), 2);
	CHECK_INT(atomic_load(&states.downs), 1);
	CHECK(has_failed(store, STORE_FAILURE_CONNECT));
	CHECK_INT(stats_of(store).connections, 2);
	CHECK(stats_of(store).attempts > 2);
	store_close(&store);
	(void)SERVER_ASK(&s, "CONFIG", "SET", "appendonly", "no");
	server_kill(&s);
	char command[128];
	(void)snprintf(command, sizeof(command), "rm -rf %s/appendonlydir",
	    s.dir);
	CHECK_INT(system(command), 0);
	server_end(&s);
}

static void
test_hung(void)
{
	struct stream streams[STREAMS];
	struct server s;
	struct store *store;

	server_start(&s, NULL);
	store = open_store(&s);
	fill(store);
	start_streams(streams, store);
	sleep_ms(50);
	(void)kill(s.pid, SIGSTOP);
	/* One time-out for what is under way, one for the new connection... */
	sleep_ms(2 * TIMEOUT_MS + SLACK_MS);
	/* ... and from then on nobody waits. */
	CHECK(!store_is_reachable(store));
	CHECK(stats_of(store).failed_fast > 0);
	CHECK(has_failed(store, STORE_FAILURE_TIMEOUT));
	CHECK(fail_quickly(store, 500, NULL) < SLACK_MS);
	(void)kill(s.pid, SIGCONT);
	await_recovery(store, 3);
	CHECK(end_streams(streams) > 0);
	CHECK_INT(atomic_load(&states.downs), 1);
	CHECK_INT(atomic_load(&states.ups), 2);
	store_close(&store);
	server_end(&s);
}

/* Closing the connection, by command or because it was idle, is no fault. */
static void
test_closed_by_redis(void)
{
	struct stream streams[STREAMS];
	struct server s;
	struct store *store;

	server_start(&s, NULL);
	store = open_store(&s);
	fill(store);
	/* Between two look-ups. */
	(void)SERVER_ASK(&s, "CLIENT", "KILL", "TYPE", "normal");
	CHECK_INT(look_up(store, 2, NULL), 1);
	CHECK_STR(SERVER_ASK(&s, "CONFIG", "SET", "timeout", "1"), "OK");
	sleep_ms(1600);
	CHECK_INT(look_up(store, 1, NULL), 1);
	CHECK_INT(apply(store, 1), 0);
	start_streams(streams, store);
	for (int i = 0; i < 2; i++) {
		sleep_ms(200);
		(void)SERVER_ASK(&s, "CLIENT", "KILL", "TYPE", "normal");
	}
	sleep_ms(100);
	CHECK_INT(end_streams(streams), 0);
	CHECK_INT(atomic_load(&states.ups), 1);
	CHECK_INT(atomic_load(&states.downs), 0);
	CHECK(has_failed(store, STORE_FAILURE_CLOSED));
	CHECK(!has_failed(store, STORE_FAILURE_TIMEOUT));
	CHECK_INT(stats_of(store).failed_fast, 0);
	CHECK(stats_of(store).latency.sum_us > 0);
	CHECK(stats_of(store).average_us > 0);
	store_close(&store);
	server_end(&s);
}

static void
test_alone(void)
{
	stream_count = 1;
	test_kill_and_restart();
	test_hung();
	test_closed_by_redis();
	stream_count = STREAMS;
}

static void
test_eviction(void)
{
	static const char *const args[] = { "--maxmemory-policy",
	    "allkeys-lru", NULL };
	struct store_options options;
	struct store *store = NULL;
	struct fail fail;
	struct server s;
	int64_t start_ms;

	server_start(&s, args);
	options = options_for(&s);
	options.timeout_ms = 20 * TIMEOUT_MS;
	CHECK_INT(store_open(&options, &store, &fail), -1);
	CHECK_INT(fail.class, FAIL_SETUP);
	CHECK(strstr(fail.text, "noeviction") != NULL);
	CHECK(store == NULL);
	store_close(&store);
	CHECK_INT(atomic_load(&states.downs), 0);
	(void)SERVER_ASK(&s, "CONFIG", "SET", "maxmemory-policy",
	    "noeviction");
	store = open_store(&s);
	CHECK_INT(apply(store, 1), 0);
	(void)SERVER_ASK(&s, "CONFIG", "SET", "maxmemory-policy",
	    "volatile-ttl");
	/* Noticed within five seconds. */
	start_ms = clock_monotonic_ms();
	while (store_is_reachable(store) &&
	    clock_monotonic_ms() - start_ms < 8000)
		sleep_ms(10);
	CHECK(clock_monotonic_ms() - start_ms < 5500);
	CHECK(fail_quickly(store, 100, "noeviction") < SLACK_MS);
	CHECK_INT(apply(store, 2), -1);
	sleep_ms(300);
	CHECK(!store_is_reachable(store));
	CHECK(strstr(states.text, "noeviction") != NULL);
	(void)SERVER_ASK(&s, "CONFIG", "SET", "maxmemory-policy",
	    "noeviction");
	await_recovery(store, 1);
	CHECK_INT(atomic_load(&states.downs), 1);
	store_close(&store);
	server_end(&s);
}

static void
test_write_refused(void)
{
	struct server s;
	struct store *store;

	server_start(&s, NULL);
	store = open_store(&s);
	CHECK_INT(apply(store, 1), 0);
	/* Full: reading goes on. */
	(void)SERVER_ASK(&s, "CONFIG", "SET", "maxmemory", "1");
	CHECK_INT(apply(store, 2), -1);
	CHECK_INT(look_up(store, 1, NULL), 1);
	CHECK_INT(look_up(store, 2, NULL), 0);
	(void)SERVER_ASK(&s, "CONFIG", "SET", "maxmemory", "0");
	CHECK_INT(apply(store, 2), 0);
	/* A replica whose master is gone. */
	(void)SERVER_ASK(&s, "REPLICAOF", "127.0.0.1", "1");
	CHECK_INT(apply(store, 3), -1);
	CHECK_INT(look_up(store, 1, NULL), 1);
	CHECK_INT(look_up(store, 3, NULL), 0);
	(void)SERVER_ASK(&s, "CONFIG", "SET", "replica-serve-stale-data",
	    "no");
	CHECK_INT(look_up(store, 1, "MASTERDOWN"), -1);
	(void)SERVER_ASK(&s, "REPLICAOF", "NO", "ONE");
	CHECK_INT(apply(store, 3), 0);
	CHECK_INT(look_up(store, 1, NULL), 1);
	CHECK_INT(atomic_load(&states.downs), 0);
	store_close(&store);
	server_end(&s);
}

static void
test_rights(void)
{
	static const struct {
		const char *username, *password;
		int rc;
		const char *text;
	} cases[] = {
		{ NULL, NULL, 0, "NOAUTH" },
		{ NULL, "wrong", 0, "WRONGPASS" },
		{ "nobody", "x", 0, "WRONGPASS" },
		{ NULL, "master", 0, "" },
		{ "default", "master", 0, "" },
		{ "noinfo", "x", -1, "+info" },
		{ "noread", "x", 0, "NOPERM" },
		{ "nokeys", "x", 0, "NOPERM" },
		{ "no\r\nPING", "\r\n", 0, "WRONGPASS" },
	};
	struct server s;

	server_start(&s, NULL);
	(void)SERVER_ASK(&s, "ACL", "SETUSER", "noinfo", "on", ">x", "~c:*",
	    "-@all", "+hmget");
	(void)SERVER_ASK(&s, "ACL", "SETUSER", "noread", "on", ">x", "~c:*",
	    "-@all", "+info");
	(void)SERVER_ASK(&s, "ACL", "SETUSER", "nokeys", "on", ">x",
	    "-@all", "+info", "+hmget");
	(void)SERVER_ASK(&s, "ACL", "SETUSER", "default", ">master",
	    "resetpass", ">master");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store_options options = options_for(&s);
		struct store *store = NULL;
		struct fail fail;

		check_case((long)i);
		options.username = cases[i].username;
		options.password = cases[i].password;
		CHECK_INT(store_open(&options, &store, &fail), cases[i].rc);
		if (strstr(fail.text, cases[i].text) == NULL)
			CHECK_STR(fail.text, cases[i].text);
		CHECK_INT(fail.text[0] == '\0', cases[i].text[0] == '\0');
		CHECK(strstr(fail.text, "master") == NULL);
		if (cases[i].rc == 0)
			CHECK_INT(look_up(store, 1, cases[i].text),
			    cases[i].text[0] == '\0' ? 0 : -1);
		store_close(&store);
	}
	server_end(&s);
}

/*
 * The fake: answers the handshake of the first connections, then each command
 * with given bytes.
 */
#define GOOD	"*2\r\n$2\r\ng2\r\n$-1\r\n"	/* person 1 has consented */
#define HELLO	"$22\r\nredis_version:7.0.15\r\n\r\n"			\
		"$29\r\nmaxmemory_policy:noeviction\r\n\r\n"		\
		"*2\r\n$-1\r\n$-1\r\n"
#define HANG	"\x01"		/* answer no more */
#define HANG_UP	"\x02"

struct fake {
	struct server	 place;		/* for its folder and URL */
	int		 listener;
	pthread_t	 thread;
	const char	*hello;
	_Atomic(const char *) answer;
	atomic_bool	 stop;
	atomic_int	 delay_ms;
};

static void
say(int fd, const char *text)
{
	size_t len = strlen(text);

	if (len > 0 && (text[len - 1] == HANG[0] ||
	    text[len - 1] == HANG_UP[0]))
		len--;
	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

/* One command arrives in one piece here, the handshake's three as well. */
static void
fake_serve(struct fake *f, int fd)
{
	const char *text = f->hello;
	char bytes[4096];

	while (!atomic_load(&f->stop)) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (poll(&p, 1, 10) <= 0)
			continue;
		if (recv(fd, bytes, sizeof(bytes), 0) <= 0)
			break;
		if (text != f->hello) {
			text = atomic_load(&f->answer);
			sleep_ms(atomic_load(&f->delay_ms));
		}
		say(fd, text);
		if (text[0] != '\0' &&
		    text[strlen(text) - 1] == HANG_UP[0])
			break;
		text = "";
	}
	(void)close(fd);
}

struct fake_connection {
	struct fake *fake;
	int fd;
};

static void *
fake_connection(void *context)
{
	struct fake_connection *c = context;

	fake_serve(c->fake, c->fd);
	free(c);
	return NULL;
}

static void *
fake_run(void *context)
{
	struct fake *f = context;
	pthread_t threads[64];
	size_t n = 0;

	while (!atomic_load(&f->stop)) {
		struct pollfd p = { .fd = f->listener, .events = POLLIN };
		struct fake_connection *c;

		if (poll(&p, 1, 10) <= 0 || n == 64)
			continue;
		c = malloc(sizeof(*c));
		c->fake = f;
		c->fd = accept(f->listener, NULL, NULL);
		(void)pthread_create(&threads[n++], NULL, fake_connection, c);
	}
	while (n > 0)
		(void)pthread_join(threads[--n], NULL);
	return NULL;
}

static void
fake_start(struct fake *f, const char *hello, const char *answer)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	memset(f, 0, sizeof(*f));
	server_prepare(&f->place, NULL);
	memcpy(a.sun_path, f->place.sock, sizeof(f->place.sock));
	f->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	CHECK_INT(bind(f->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	CHECK_INT(listen(f->listener, 64), 0);
	f->hello = hello;
	atomic_store(&f->answer, answer);
	(void)pthread_create(&f->thread, NULL, fake_run, f);
}

static void
fake_end(struct fake *f)
{
	atomic_store(&f->stop, true);
	(void)pthread_join(f->thread, NULL);
	(void)close(f->listener);
	server_end(&f->place);
}

static void
test_nonsense(void)
{
	static const struct {
		const char *answer;
		const char *text;
	} cases[] = {
		{ "HTTP/1.1 400 Bad Request\r\n\r\n", "protocol" },
		{ "*2\r\n$2\r\ng2\r\n" HANG, "within" },
		{ "*2\r\n$2\r\ng2" HANG, "within" },
		{ HANG, "within" },
		{ "$2147483647\r\nabc" HANG, "within" },
		{ "$99999999999999999999\r\n", "protocol" },
		{ "$-2\r\n", "protocol" },
		{ "*2147483647\r\n", "protocol" },
		{ "*16385\r\n", "protocol" },
		{ "*99999999999\r\n", "protocol" },
		{ "*1\r\n*1\r\n*1\r\n*1\r\n$1\r\nx\r\n", "protocol" },
		{ "+OK\r\n", "wrong type" },
		{ ":1\r\n", "wrong type" },
		{ "$2\r\ng2\r\n", "wrong type" },
		{ "$-1\r\n", "wrong type" },
		{ "*-1\r\n", "wrong type" },
		{ "*0\r\n", "two fields" },
		{ "*1\r\n$2\r\ng2\r\n", "two fields" },
		{ "*3\r\n$2\r\ng2\r\n$-1\r\n$-1\r\n", "two fields" },
		{ "*2\r\n:1\r\n$-1\r\n", "two fields" },
		{ "*2\r\n+g2\r\n$-1\r\n", "two fields" },
		{ "*2\r\n-g2\r\n$-1\r\n", "two fields" },
		{ "*2\r\n$2\r\nx2\r\n$-1\r\n", "can't be read" },
		{ "*2\r\n$2\r\ng2\r\n$2\r\ng2\r\n", "can't be read" },
		{ "*2\r\n$0\r\n\r\n$-1\r\n", "can't be read" },
		{ "-LOADING Redis is loading\r\n", "LOADING" },
		{ "-MOVED 1 127.0.0.1:1\r\n", "MOVED" },
		{ "-\x1b[31mred\r\n", "answered: ?[31mred" },
		{ "-\r\n", "answered: " },
		{ GOOD HANG_UP "", NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake f;
		struct store *store;

		check_case((long)i);
		fake_start(&f, HELLO, cases[i].answer);
		store = open_store(&f.place);
		await_connection(store);
		CHECK_INT(look_up(store, 1, cases[i].text),
		    cases[i].text == NULL ? 1 : -1);
		/* A node of a cluster that sends us on has not failed. */
		if (cases[i].answer[0] == '-')
			CHECK(has_failed(store, STORE_FAILURE_ERROR) !=
			    (strcmp(cases[i].text, "MOVED") == 0));
		else if (cases[i].text != NULL &&
		    strcmp(cases[i].text, "protocol") == 0)
			CHECK(has_failed(store, STORE_FAILURE_PROTOCOL));
		/* A fake that has come to its senses is believed again. */
		atomic_store(&f.answer, GOOD);
		if (i % 4 == 0)
			await_recovery(store, 1);
		store_close(&store);
		fake_end(&f);
	}
}

/* A reply that never ends must not take our memory. */
static void
test_endless(void)
{
	size_t size = 300000;
	char *endless = malloc(size + 1);
	struct fake f;
	struct store *store;

	memset(endless, 'x', size);
	endless[size] = '\0';
	memcpy(endless, "$1000000000\r\n", 13);
	fake_start(&f, HELLO, endless);
	store = open_store(&f.place);
	await_connection(store);
	CHECK_INT(look_up(store, 1, "too long"), -1);
	store_close(&store);
	fake_end(&f);
	free(endless);
}

/* An answer too many is given to nobody. */
static void
test_unasked(void)
{
	struct fake f;
	struct store *store;

	fake_start(&f, HELLO, GOOD "*2\r\n$2\r\ng9\r\n$-1\r\n");
	store = open_store(&f.place);
	await_connection(store);
	CHECK_INT(look_up(store, 1, NULL), 1);
	for (int i = 0; i < 10; i++) {
		sleep_ms(10);
		/* Checks that it is not g9; after a few times of this the
		 * store takes a rest. */
		(void)look_up(store, 1, NULL);
	}
	store_close(&store);
	fake_end(&f);
}

/* The answer to a look-up that was given up must not be taken for the next
 * one's. */
static void
test_late(void)
{
	struct fake f;
	struct store *store;

	fake_start(&f, HELLO, "*2\r\n$2\r\ng9\r\n$-1\r\n");
	atomic_store(&f.delay_ms, TIMEOUT_MS + 100);
	store = open_store(&f.place);
	await_connection(store);
	CHECK_INT(look_up(store, 1, "within"), -1);
	atomic_store(&f.answer, GOOD);
	atomic_store(&f.delay_ms, 0);
	sleep_ms(50);
	for (int i = 0; i < 10; i++) {
		CHECK_INT(look_up(store, 1, NULL), 1);
		sleep_ms(20);
	}
	store_close(&store);
	fake_end(&f);
}

static void
test_bad_hello(void)
{
	static const struct {
		const char *hello;
		int rc;
		const char *text;
	} cases[] = {
		{ "-LOADING Redis is loading the dataset in memory\r\n", 0,
		    "LOADING" },
		{ "$22\r\nredis_version:7.0.15\r\n\r\n"
		    "$29\r\nmaxmemory_policy:noeviction\r\n\r\n"
		    "-LOADING Redis is loading\r\n", 0, "LOADING" },
		{ "-ERR max number of clients reached\r\n" HANG_UP, 0,
		    "max number" },
		{ "$21\r\nredis_version:5.0.9\r\n\r\n", -1, "too old" },
		{ "$2\r\n\r\n\r\n", -1, "redis_version" },
		{ "$22\r\nredis_version:7.0.15\r\n\r\n$1\r\nx\r\n", -1,
		    "maxmemory_policy" },
		{ "$22\r\nredis_version:7.0.15\r\n\r\n"
		    "$29\r\nmaxmemory_policy:noevictioX\r\n\r\n", -1,
		    "may evict" },
		{ "-NOPERM this user has no permissions\r\n", -1, "+info" },
		{ "SSH-2.0-OpenSSH_9.2\r\n", 0, "protocol" },
		{ "+OK\r\n", 0, "wrong type" },
		{ "" HANG, 0, "answer" },
		{ "" HANG_UP, 0, "closed" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fake f;
		struct store_options options;
		struct store *store = NULL;
		struct fail fail;
		int64_t start_ms = clock_monotonic_ms();

		check_case((long)i);
		fake_start(&f, cases[i].hello, GOOD);
		options = options_for(&f.place);
		CHECK_INT(store_open(&options, &store, &fail), cases[i].rc);
		CHECK_INT(fail.class, cases[i].rc == 0 ? FAIL_TEMP :
		    FAIL_SETUP);
		CHECK(clock_monotonic_ms() - start_ms <=
		    TIMEOUT_MS + SLACK_MS);
		if (strstr(fail.text, cases[i].text) == NULL)
			CHECK_STR(fail.text, cases[i].text);
		if (cases[i].rc == 0)
			(void)fail_quickly(store, 3, NULL);
		store_close(&store);
		fake_end(&f);
	}
}

/* A server that closes each connection at once must not keep us busy, nor
 * count as reachable for long. */
static void
test_flapping(void)
{
	struct fake f;
	struct store *store;

	fake_start(&f, HELLO HANG_UP, "");
	store = open_store(&f.place);
	sleep_ms(900);
	CHECK(atomic_load(&states.ups) <= 6);
	CHECK(atomic_load(&states.downs) >= 1);
	store_close(&store);
	fake_end(&f);
}

/* Most of the time is spent waiting, so that several processes are
 * faster than one. */
#define GROUPS	4

static int
run_group(int group)
{
	static const struct check_test tests[GROUPS][8] = { {
		{ "eviction", test_eviction },
		{ "endless", test_endless },
		{ "unasked", test_unasked },
	}, {
		{ "kill and restart", test_kill_and_restart },
		{ "closed by Redis", test_closed_by_redis },
		{ "hung", test_hung },
		{ "absent at open", test_absent_at_open },
		{ "write refused", test_write_refused },
		{ "rights", test_rights },
	}, {
		{ "nonsense", test_nonsense },
		{ "late", test_late },
		{ "bad hello", test_bad_hello },
		{ "flapping", test_flapping },
	}, {
		{ "alone", test_alone },
	} };
	size_t n = 0;
	char name[32];

	while (n < 8 && tests[group][n].run != NULL)
		n++;
	(void)snprintf(name, sizeof(name), "test_store_faults %d", group + 1);
	return check_main(name, tests[group], n);
}

int
main(void)
{
	int rc = EXIT_SUCCESS, status;

	if (!server_is_installed())
		return server_skip();
	for (int i = 0; i < GROUPS; i++)
		if (fork() == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			exit(run_group(i));
		}
	while (wait(&status) != -1)
		if (status != 0)
			rc = EXIT_FAILURE;
	return rc;
}
