/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The store against a real Redis: what is written comes back, merge.lua and
 * record.c agree byte for byte, threads get their own answers, and the sample
 * ACL gives each program what it needs and no more.
 */
#include "store/store.h"

#include <glob.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "check.h"
#include "redis_server.h"

static struct server server;
static const char *srcdir;

static struct subject
person(uint32_t n)
{
	struct subject s = { { 0 } };

	memcpy(s.id, &n, sizeof(n));
	s.id[15] = 0x5a;
	return s;
}

static const char *
key_of(uint32_t n)
{
	static char key[2 + 2 * SUBJECT_BYTES + 1];
	struct subject s = person(n);

	strcpy(key, "c:");
	for (size_t i = 0; i < SUBJECT_BYTES; i++)
		(void)snprintf(key + 2 + 2 * i, 3, "%02x", s.id[i]);
	return key;
}

static struct event
event_of(uint32_t n, enum event_kind kind, const char *list, int64_t at_ms)
{
	struct event e = { .kind = kind, .subject = person(n),
	    .at_ms = at_ms };

	(void)snprintf(e.list, sizeof(e.list), "%s", list);
	return e;
}

static struct store *
open_at(const struct server *at, const char *username, const char *password)
{
	struct store_options options = { .url = at->url,
	    .username = username, .password = password, .timeout_ms = 2000 };
	struct store *store = NULL;
	struct fail fail = { .text = "" };

	CHECK_INT(store_open(&options, &store, &fail), 0);
	CHECK_STR(fail.text, "");
	if (store == NULL)
		exit(EXIT_FAILURE);
	return store;
}

static struct store *
open_as(const char *username, const char *password)
{
	return open_at(&server, username, password);
}

static int
apply_one(struct store *store, struct event e)
{
	struct fail fail;
	int rc = store_apply(store, &e, 1, NULL, &fail);

	if (rc == -1)
		CHECK(fail.class == FAIL_TEMP || fail.class == FAIL_INPUT);
	return rc;
}

static void
test_round_trip(void)
{
	struct store *store = open_as(NULL, NULL);
	struct subject who = person(1);
	struct record r;
	struct fail fail;
	size_t applied = 0;
	struct event events[] = {
		event_of(1, EVENT_GRANT, "weekly", 1764000000000),
		event_of(1, EVENT_CONFIRM, "weekly", 1764000300000),
		event_of(1, EVENT_GRANT, "weekly", 1763000000000),
		event_of(1, EVENT_OBJECT, "", 1762000000000),
		event_of(2, EVENT_WITHDRAW, "", 253402300799999),
		event_of(1, EVENT_WITHDRAW, "weekly", 1),
	};

	(void)SERVER_ASK(&server, "FLUSHALL");
	CHECK_INT(store_lookup(store, &who, "weekly", &r, &fail), 0);
	CHECK_INT(r.grant_ms, 0);
	CHECK_INT(store_apply(store, events, 6, &applied, &fail), 0);
	CHECK_INT(applied, 6);
	CHECK_STR(SERVER_ASK(&server, "HGET", key_of(1), "weekly"),
	    "g1764000000000 c1764000300000 w1");
	CHECK_STR(SERVER_ASK(&server, "HGET", key_of(1), "*"),
	    "o1762000000000");
	CHECK_STR(SERVER_ASK(&server, "HGET", key_of(2), "*"),
	    "w253402300799999");
	CHECK_INT(store_lookup(store, &who, "weekly", &r, &fail), 1);
	CHECK_INT(r.grant_ms, 1764000000000);
	CHECK_INT(r.withdraw_ms, 1);
	CHECK_INT(r.object_ms, 1762000000000);
	/* Another list: the person's times are there, the list's are not. */
	CHECK_INT(store_lookup(store, &who, "daily", &r, &fail), 1);
	CHECK_INT(r.grant_ms, 0);
	CHECK_INT(r.object_ms, 1762000000000);
	/* "*" is a field, and no list. */
	CHECK_INT(store_lookup(store, &who, "*", &r, &fail), -1);
	CHECK_INT(fail.class, FAIL_BUG);
	CHECK_INT(store_apply(store, events, 0, &applied, &fail), 0);
	CHECK_INT(applied, 0);
	events[2].at_ms = 0;
	CHECK_INT(store_apply(store, events, 6, &applied, &fail), -1);
	CHECK_INT(fail.class, FAIL_BUG);
	store_close(&store);
	CHECK(store == NULL);
}

struct seen {
	char	text[2048];
};

static void
see(const char *list, const struct record *record,
    const struct evidence *evidence, void *context)
{
	struct seen *seen = context;
	size_t len = strlen(seen->text);

	(void)snprintf(seen->text + len, sizeof(seen->text) - len,
	    "[%s g%" PRId64 " w%" PRId64 " o%" PRId64 " %s]", list,
	    record->grant_ms, record->withdraw_ms, record->object_ms,
	    evidence != NULL ? evidence->source : "-");
}

static const char *
visit(struct store *store, uint32_t n, int want)
{
	static struct seen seen;
	struct subject who = person(n);
	struct fail fail;

	seen.text[0] = '\0';
	CHECK_INT(store_visit(store, &who, see, &seen, &fail), want);
	if (want == -1)
		CHECK_INT(fail.class, FAIL_TEMP);
	return seen.text;
}

static void
test_visit(void)
{
	struct store *store = open_as(NULL, NULL);
	struct event e;

	(void)SERVER_ASK(&server, "FLUSHALL");
	CHECK_STR(visit(store, 1, 0), "");
	e = event_of(1, EVENT_GRANT, "weekly", 2000);
	strcpy(e.evidence.source, "shop & \xc3\xa4");
	CHECK_INT(apply_one(store, e), 0);
	CHECK_INT(apply_one(store, event_of(1, EVENT_GRANT, "a", 3)), 0);
	CHECK_INT(apply_one(store, event_of(1, EVENT_OBJECT, "", 7)), 0);
	CHECK_STR(visit(store, 1, 1), "[ g0 w0 o7 -][a g3 w0 o7 -]"
	    "[weekly g2000 w0 o7 shop & \xc3\xa4]");
	/* An older grant's evidence is not that of the latest. */
	CHECK_INT(apply_one(store, event_of(1, EVENT_GRANT, "weekly", 2001)),
	    0);
	CHECK_STR(visit(store, 1, 1), "[ g0 w0 o7 -][a g3 w0 o7 -]"
	    "[weekly g2001 w0 o7 -]");
	(void)SERVER_ASK(&server, "HSET", key_of(1), "weekly.e", "x");
	CHECK_STR(visit(store, 1, -1), "");
	(void)SERVER_ASK(&server, "HDEL", key_of(1), "weekly.e");
	(void)SERVER_ASK(&server, "HSET", key_of(1), "No List", "g1");
	CHECK_STR(visit(store, 1, -1), "");
	(void)SERVER_ASK(&server, "SET", key_of(3), "x");
	CHECK_STR(visit(store, 3, -1), "");
	store_close(&store);
}

/* Grants up to the erasure go, and their evidence, whatever comes first. */
static void
test_erasure(void)
{
	struct store *store = open_as(NULL, NULL);
	struct event grant = event_of(0, EVENT_GRANT, "weekly", 1000);

	strcpy(grant.evidence.ip, "192.0.2.1");
	(void)SERVER_ASK(&server, "FLUSHALL");
	for (uint32_t n = 1; n <= 2; n++) {
		struct event erase = event_of(n, EVENT_ERASE, "", 1000);

		grant.subject = person(n);
		CHECK_INT(apply_one(store, n == 1 ? grant : erase), 0);
		CHECK_INT(apply_one(store, n == 1 ? erase : grant), 0);
		CHECK_STR(SERVER_ASK(&server, "HEXISTS", key_of(n),
		    "weekly.e"), "0");
		CHECK_STR(SERVER_ASK(&server, "HEXISTS", key_of(n), "weekly"),
		    "0");
		CHECK_STR(SERVER_ASK(&server, "HGET", key_of(n), "*"),
		    "e1000");
	}
	grant.at_ms = 1001;
	CHECK_INT(apply_one(store, grant), 0);
	CHECK_STR(SERVER_ASK(&server, "HGET", key_of(2), "weekly.e"),
	    "g1001 ip=192.0.2.1");
	store_close(&store);
}

/* Fields as a version that kept more has left them: nothing of before the
 * erasure is told, and what touches them cleans up. */
static void
test_erasure_of_old(void)
{
	struct store *store = open_as(NULL, NULL);
	struct subject who = person(1);
	struct record r;
	struct fail fail;

	(void)SERVER_ASK(&server, "FLUSHALL");
	(void)SERVER_ASK(&server, "HSET", key_of(1), "*", "w7 o4 e5 r5 l1",
	    "a", "g5", "b", "g6 w5", "a.e", "g5 source=x", "c", "g5", "c.e",
	    "g5 source=x", "d", "u5", "d.e", "g4 source=x");
	CHECK_INT(store_lookup(store, &who, "a", &r, &fail), 1);
	CHECK_INT(r.grant_ms, 0);
	CHECK_INT(r.restrict_ms, 0);
	CHECK_INT(r.all_withdraw_ms, 7);
	CHECK_STR(visit(store, 1, 1), "[ g0 w0 o0 -][b g6 w0 o0 -]");
	CHECK_INT(apply_one(store, event_of(1, EVENT_CONFIRM, "a", 5)), 0);
	CHECK_STR(SERVER_ASK(&server, "HEXISTS", key_of(1), "a"), "0");
	CHECK_INT(apply_one(store, event_of(1, EVENT_OBJECT, "", 5)), 0);
	CHECK_STR(SERVER_ASK(&server, "HGET", key_of(1), "*"), "w7 e5");
	CHECK_INT(apply_one(store, event_of(1, EVENT_ERASE, "", 4)), 0);
	CHECK_STR(SERVER_ASK(&server, "HLEN", key_of(1)), "2");
	CHECK_STR(SERVER_ASK(&server, "HGET", key_of(1), "*"), "w7 e5");
	CHECK_STR(SERVER_ASK(&server, "HGET", key_of(1), "b"), "g6");
	store_close(&store);
}

/* What an erasure can't read goes with the rest; long after the fact, when
 * there may be a withdrawal in it, one takes its place. */
static void
test_erasure_of_unreadable(void)
{
	static const struct {
		const char *field, *value;
		bool stays;		/* as a withdrawal, long after */
	} cases[] = {
		{ "daily", "x", true }, { "daily", "", true },
		{ "daily", "g01", true }, { "daily.e", "x", false },
		{ "No List", "x", false },
	};
	struct store *store = open_as(NULL, NULL);
	int64_t now = clock_now_ms();

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		size_t c = i / 2;
		bool late = i % 2 == 1;
		const char *left;

		check_case((long)i);
		(void)SERVER_ASK(&server, "FLUSHALL");
		(void)SERVER_ASK(&server, "HSET", key_of(1), "a", "g1",
		    "weekly", "g1", "weekly.e", "g1 source=x", "x", "g1");
		(void)SERVER_ASK(&server, "HSET", key_of(1), cases[c].field,
		    cases[c].value);
		CHECK_INT(apply_one(store, event_of(1, EVENT_ERASE, "",
		    late ? 5 : now)), 0);
		CHECK_STR(SERVER_ASK(&server, "HLEN", key_of(1)),
		    late && cases[c].stays ? "2" : "1");
		left = SERVER_ASK(&server, "HGET", key_of(1), cases[c].field);
		CHECK_INT(left[0] == 'w', late && cases[c].stays);
		if (left[0] == 'w')
			CHECK(strtoll(left + 1, NULL, 10) >= now);
	}
	check_case(-1);
	store_close(&store);
}

/* In the field of the person only what is later than the erasure would
 * count, and at once there is none. */
static void
test_erasure_of_unreadable_person(void)
{
	struct store *store = open_as(NULL, NULL);
	int64_t now = clock_now_ms();
	char want[32];

	(void)SERVER_ASK(&server, "FLUSHALL");
	(void)SERVER_ASK(&server, "HSET", key_of(1), "a", "g1", "*", "x");
	CHECK_INT(apply_one(store, event_of(1, EVENT_ERASE, "", 5)), -1);
	CHECK_STR(SERVER_ASK(&server, "HGET", key_of(1), "*"), "x");
	CHECK_STR(SERVER_ASK(&server, "HGET", key_of(1), "a"), "g1");
	CHECK_INT(apply_one(store, event_of(1, EVENT_ERASE, "", now)), 0);
	(void)snprintf(want, sizeof(want), "e%" PRId64, now);
	CHECK_STR(SERVER_ASK(&server, "HGET", key_of(1), "*"), want);
	CHECK_STR(SERVER_ASK(&server, "HLEN", key_of(1)), "1");
	store_close(&store);
}

/* More fields than Lua takes as arguments. */
static void
test_erasure_of_many(void)
{
	enum { N = 9000 };
	struct event *events = calloc(N, sizeof(*events));
	struct store *store = open_as(NULL, NULL);
	struct fail fail;
	char list[32];

	(void)SERVER_ASK(&server, "FLUSHALL");
	for (int i = 0; i < N; i++) {
		(void)snprintf(list, sizeof(list), "list-%d", i);
		events[i] = event_of(1, EVENT_GRANT, list, 1000);
	}
	CHECK_INT(store_apply(store, events, N, NULL, &fail), 0);
	CHECK_INT(apply_one(store, event_of(1, EVENT_ERASE, "", 1000)), 0);
	CHECK_STR(SERVER_ASK(&server, "HLEN", key_of(1)), "1");
	free(events);
	store_close(&store);
}

/*
 * merge.lua against record.c.
 */

#define MODEL_LISTS	3
static const char *const model_lists[MODEL_LISTS] = { "a", "weekly", "x-2" };

struct model {
	struct record lists[MODEL_LISTS];	/* both halves in each */
	struct record person;
	struct buf evidence[MODEL_LISTS];
};

static uint64_t random_state = 0x9e3779b97f4a7c15;

static unsigned
random_below(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)((random_state >> 11) % n);
}

static struct event
random_event(uint32_t n)
{
	static const char *const sources[] = { "", "shop", "shop/2", "\xc3\xa4",
	    "a=b&c d", "~" };
	/* Erasures change most: one event in five is one. */
	enum event_kind kind = random_below(9) == 0 ? EVENT_ERASE :
	    (enum event_kind)random_below(EVENT_KINDS);
	bool on_list = event_kind_has_list(kind) &&
	    (!event_kind_has_person(kind) || random_below(2));
	struct event e = event_of(n, kind, on_list ?
	    model_lists[random_below(MODEL_LISTS)] : "", 0);

	/* Few different times, of different lengths, so that ties happen. */
	e.at_ms = random_below(4) == 0 ? 9 + (int64_t)random_below(3) :
	    253402300799990 + (int64_t)random_below(10);
	if (kind == EVENT_GRANT || kind == EVENT_UNPROVEN) {
		(void)snprintf(e.evidence.source, sizeof(e.evidence.source),
		    "%s", sources[random_below(6)]);
		(void)snprintf(e.evidence.method, sizeof(e.evidence.method),
		    "%s", sources[random_below(6)]);
	}
	return e;
}

static void
model_evidence(struct buf *have, const struct event *e)
{
	struct buf text = BUF_INIT(8192);

	if (e->kind == EVENT_GRANT && (e->evidence.source[0] != '\0' ||
	    e->evidence.method[0] != '\0')) {
		evidence_field_format(&text, e->at_ms, &e->evidence);
		if (have->len == 0 ||
		    evidence_field_wins(buf_span(&text), buf_span(have))) {
			buf_clear(have);
			buf_add_span(have, buf_span(&text));
		}
	}
	buf_fini(&text);
}

static void
model_apply(struct model *m, const struct event *e)
{
	if (e->list[0] == '\0')
		record_apply(&m->person, e);
	for (size_t i = 0; i < MODEL_LISTS; i++) {
		bool mine = strcmp(e->list, model_lists[i]) == 0;

		if (mine || e->list[0] == '\0')
			record_apply(&m->lists[i], e);
		if (mine)
			model_evidence(&m->evidence[i], e);
	}
}

/* Returns how many fields it is, 1 or none. */
static int
check_field(uint32_t n, const char *field, struct span want)
{
	const char *got = SERVER_ASK(&server, "HGET", key_of(n), field);

	if (want.len == 0)
		CHECK_STR(got, "nil");
	else
		CHECK_BYTES(got, strlen(got), want.p, want.len);
	return want.len != 0;
}

static void
model_check(struct model *m, uint32_t n)
{
	struct buf text = BUF_INIT(256);
	struct span kept;
	char name[LIST_NAME_MAX + 3];
	struct evidence evidence;
	struct fail fail;
	int64_t at_ms = 0;
	int fields;

	record_person_format(&text, &m->person);
	fields = check_field(n, "*", buf_span(&text));
	for (size_t i = 0; i < MODEL_LISTS; i++) {
		buf_clear(&text);
		record_list_format(&text, &m->lists[i]);
		fields += check_field(n, model_lists[i], buf_span(&text));
		(void)snprintf(name, sizeof(name), "%s.e", model_lists[i]);
		kept = buf_span(&m->evidence[i]);
		if (kept.len > 0) {
			CHECK_INT(evidence_field_parse(kept, &at_ms, &evidence,
			    &fail), 0);
			if (at_ms <= m->person.erase_ms)
				kept = span_of(NULL, 0);
		}
		fields += check_field(n, name, kept);
		buf_fini(&m->evidence[i]);
	}
	/* ... and nothing else is there. */
	CHECK_INT(atoi(SERVER_ASK(&server, "HLEN", key_of(n))), fields);
	buf_fini(&text);
}

#define MODEL_EVENTS	14

/* The same events twice in another order and in other portions, the second
 * time for another person: the hashes must agree with the model. */
static void
model_round(struct store *store, uint32_t n)
{
	struct event events[2 * MODEL_EVENTS];
	struct model model = { 0 };
	size_t count = 1 + random_below(MODEL_EVENTS), done = 0;
	struct fail fail;

	for (size_t i = 0; i < MODEL_LISTS; i++)
		buf_init(&model.evidence[i], 8192);
	for (size_t i = 0; i < count; i++) {
		events[i] = events[count + i] = random_event(n);
		model_apply(&model, &events[i]);
	}
	count *= 1 + random_below(2);
	for (size_t i = count - 1; i > 0; i--) {
		size_t j = random_below((unsigned)i + 1);
		struct event swap = events[i];

		events[i] = events[j];
		events[j] = swap;
	}
	while (done < count) {
		size_t k = 1 + random_below((unsigned)(count - done));
		size_t applied;

		CHECK_INT(store_apply(store, events + done, k, &applied,
		    &fail), 0);
		CHECK_INT(applied, k);
		done += k;
	}
	model_check(&model, n);
}

static void
test_merge_as_model(void)
{
	struct store *store = open_as(NULL, NULL);

	(void)SERVER_ASK(&server, "FLUSHALL");
	for (uint32_t n = 0; n < 400; n++) {
		check_case((long)n);
		model_round(store, n);
	}
	store_close(&store);
}

/* A field that can't be read stays, and nothing beside it changes. */
static void
test_merge_refuses(void)
{
	static const struct {
		const char *field, *value;
	} cases[] = {
		{ "weekly", "" }, { "weekly", "g" }, { "weekly", "g01" },
		{ "weekly", "g0" }, { "weekly", "w2 g1" },
		{ "weekly", "g1  w2" }, { "weekly", "g1 g2" },
		{ "weekly", " g1" }, { "weekly", "g1 " },
		{ "weekly", "x1" }, { "weekly", "G1" }, { "weekly", "o1" },
		{ "weekly", "g253402300800000" },
		{ "weekly", "g99999999999999999999999" },
		{ "weekly", "g-1" }, { "weekly", "g1e3" },
		{ "weekly", "g1\n" }, { "*", "g1" }, { "*", "nonsense" },
		{ "weekly.e", "x" }, { "weekly.e", "g0 source=a" },
		{ "weekly.e", "g1source=a" },
	};
	struct store *store = open_as(NULL, NULL);
	struct event events[3];
	struct subject who = person(5);
	struct record r;
	struct fail fail;
	size_t applied;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_case((long)i);
		(void)SERVER_ASK(&server, "FLUSHALL");
		(void)SERVER_ASK(&server, "HSET", key_of(5), cases[i].field,
		    cases[i].value);
		events[0] = event_of(4, EVENT_OBJECT, "", 5);
		events[1] = event_of(5, EVENT_GRANT, "weekly", 5);
		strcpy(events[1].evidence.source, "shop");
		events[2] = event_of(5, EVENT_OBJECT, "", 5);
		CHECK_INT(store_apply(store, events, 3, &applied, &fail), -1);
		CHECK_INT(fail.class, FAIL_INPUT);
		CHECK(strstr(fail.text, "can't be read") != NULL);
		CHECK(strstr(fail.text, key_of(5) + 2) != NULL);
		CHECK_INT(applied, 1);
		CHECK_STR(SERVER_ASK(&server, "HGET", key_of(5),
		    cases[i].field), cases[i].value);
		CHECK_STR(SERVER_ASK(&server, "HLEN", key_of(5)), "1");
		if (strcmp(cases[i].field, "weekly.e") != 0) {
			CHECK_INT(store_lookup(store, &who, "weekly", &r,
			    &fail), -1);
			CHECK_INT(fail.class, FAIL_TEMP);
			CHECK_INT(r.grant_ms, 0);
		}
	}
	check_case(-1);
	(void)SERVER_ASK(&server, "SET", key_of(6), "x");
	CHECK_INT(apply_one(store, event_of(6, EVENT_OBJECT, "", 5)), -1);
	who = person(6);
	CHECK_INT(store_lookup(store, &who, "weekly", &r, &fail), -1);
	CHECK(strstr(fail.text, "WRONGTYPE") != NULL);
	store_close(&store);
}

static void
test_many(void)
{
	enum { N = 1000 };
	static struct subject who[N];
	static struct record r[N];
	static int results[N];
	static struct event events[N];
	struct store *store = open_as(NULL, NULL);
	struct fail fail;
	size_t applied;

	(void)SERVER_ASK(&server, "FLUSHALL");
	for (uint32_t i = 0; i < N; i++) {
		who[i] = person(i);
		events[i] = event_of(i / 3 * 3, EVENT_GRANT, "weekly", i + 1);
	}
	CHECK_INT(store_apply(store, events, N, &applied, &fail), 0);
	CHECK_INT(applied, N);
	(void)SERVER_ASK(&server, "SET", key_of(301), "x");
	(void)SERVER_ASK(&server, "HSET", key_of(700), "weekly", "x");
	CHECK_INT(store_lookup_many(store, who, N, "weekly", r, results,
	    &fail), -1);
	CHECK(strstr(fail.text, "WRONGTYPE") != NULL);
	for (int i = 0; i < N; i++) {
		check_case(i);
		CHECK_INT(results[i], i == 301 || i == 700 ? -1 :
		    i % 3 == 0 ? 1 : 0);
		CHECK_INT(r[i].grant_ms, results[i] != 1 ? 0 :
		    i == N - 1 ? N : i + 3);
	}
	check_case(-1);
	CHECK_INT(store_lookup_many(store, who, 300, "weekly", r, results,
	    &fail), 0);
	CHECK_INT(store_lookup_many(store, who, 0, "weekly", r, results,
	    &fail), 0);
	store_close(&store);
}

/* Only from a Redis that has the ledger up to there. */
static void
test_since(void)
{
	static const struct {
		const char	*id;
		uint64_t	 seq;
		int		 rc;
	} cases[] = {
		{ "a", 0, 0 }, { "a", 6, 0 }, { "a", 7, 0 }, { "a", 8, -1 },
		{ "none", 0, 0 }, { "none", 1, -1 }, { "bad", 0, -1 },
		{ "no id", 0, -1 },
	};
	struct store *store = open_as(NULL, NULL);
	struct subject who = person(1);
	struct event event = event_of(1, EVENT_GRANT, "weekly", 5);
	struct record r;
	struct fail fail;
	int result;

	(void)SERVER_ASK(&server, "FLUSHALL");
	CHECK_INT(store_apply(store, &event, 1, NULL, &fail), 0);
	CHECK_INT(store_cursor_set(store, "a", 7, &fail), 0);
	(void)SERVER_ASK(&server, "HSET", "c:applied", "bad", "x");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct store_mark mark = { .id = cases[i].id,
		    .seqs = &cases[i].seq };

		check_case((long)i);
		CHECK_INT(store_lookup_since(store, &mark, &who, 1, "weekly",
		    &r, &result, &fail), cases[i].rc);
		CHECK_INT(result, cases[i].rc == 0 ? 1 : -1);
		CHECK_INT(r.grant_ms, cases[i].rc == 0 ? 5 : 0);
	}
	store_close(&store);
}

/* Threads that look up, apply, and forget the script, all at once. */
struct worker {
	struct store	*store;
	pthread_t	 thread;
	uint32_t	 first;
	long		 wrong;
};

#define WORKERS		8
#define PER_WORKER	400

static void *
look_up_mine(void *context)
{
	struct worker *w = context;
	struct record r;
	struct fail fail;

	for (uint32_t i = 0; i < PER_WORKER; i++) {
		uint32_t n = w->first + i % 50;
		struct subject who = person(n);
		int64_t at_ms = (int64_t)n + 1000;
		struct event e = event_of(n, EVENT_GRANT, "weekly", at_ms);

		if (i < 50 && store_apply(w->store, &e, 1, NULL, &fail) == -1)
			w->wrong++;
		if (store_lookup(w->store, &who, "weekly", &r, &fail) != 1 ||
		    r.grant_ms != at_ms)
			w->wrong++;
	}
	return NULL;
}

static void
test_threads(void)
{
	struct store *store = open_as(NULL, NULL);
	struct worker workers[WORKERS];

	(void)SERVER_ASK(&server, "FLUSHALL");
	for (size_t i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){ .store = store,
		    .first = (uint32_t)i * 1000 };
		(void)pthread_create(&workers[i].thread, NULL, look_up_mine,
		    &workers[i]);
	}
	for (int i = 0; i < 20; i++) {
		CHECK_STR(SERVER_ASK(&server, "SCRIPT", "FLUSH"), "OK");
		sleep_ms(2);
	}
	for (size_t i = 0; i < WORKERS; i++) {
		(void)pthread_join(workers[i].thread, NULL);
		CHECK_INT(workers[i].wrong, 0);
	}
	store_close(&store);
}

/* Callers who are alone now and then. */
static void *
come_and_go(void *context)
{
	struct worker *w = context;
	unsigned state = w->first + 7;
	struct record r;
	struct fail fail;

	for (int burst = 0; burst < 40; burst++) {
		for (uint32_t i = 0; i < 60; i++) {
			struct subject who = person(w->first + i);

			if (store_lookup(w->store, &who, "weekly", &r,
			    &fail) != 1 ||
			    r.grant_ms != (int64_t)(w->first + i + 1))
				w->wrong++;
		}
		state = state * 1103515245 + 12345;
		sleep_ms((int)(state >> 16) % 12);
	}
	return NULL;
}

static void
test_come_and_go(void)
{
	struct store *store = open_as(NULL, NULL);
	struct worker workers[3];

	(void)SERVER_ASK(&server, "FLUSHALL");
	for (uint32_t i = 0; i < 180; i++)
		CHECK_INT(apply_one(store, event_of(i, EVENT_GRANT, "weekly",
		    i + 1)), 0);
	for (size_t i = 0; i < 3; i++) {
		workers[i] = (struct worker){ .store = store,
		    .first = (uint32_t)i * 60 };
		(void)pthread_create(&workers[i].thread, NULL, come_and_go,
		    &workers[i]);
	}
	for (size_t i = 0; i < 3; i++) {
		(void)pthread_join(workers[i].thread, NULL);
		CHECK_INT(workers[i].wrong, 0);
	}
	store_close(&store);
}

static void *
flush_scripts(void *context)
{
	(void)context;
	for (int i = 0; i < 3; i++) {
		sleep_ms(5);
		(void)SERVER_ASK(&server, "SCRIPT", "FLUSH");
	}
	return NULL;
}

static void
test_script_flush_in_import(void)
{
	enum { N = 20000 };
	struct event *events = calloc(N, sizeof(*events));
	struct store *store = open_as(NULL, NULL);
	struct fail fail;
	size_t applied = 0;
	pthread_t thread;
	char want[16];

	(void)SERVER_ASK(&server, "FLUSHALL");
	for (uint32_t i = 0; i < N; i++)
		events[i] = event_of(i, EVENT_GRANT, "weekly", 1764000000000);
	(void)pthread_create(&thread, NULL, flush_scripts, NULL);
	CHECK_INT(store_apply(store, events, N, &applied, &fail), 0);
	(void)pthread_join(thread, NULL);
	CHECK_INT(applied, N);
	(void)snprintf(want, sizeof(want), "%d", N);
	CHECK_STR(SERVER_ASK(&server, "DBSIZE"), want);
	free(events);
	store_close(&store);
}

/*
 * conf/redis-acl.conf
 */

static void
load_acl(struct server *to)
{
	char path[512], line[512];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/conf/redis-acl.conf", srcdir);
	f = fopen(path, "r");
	CHECK(f != NULL);
	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		const char *argv[64] = { "ACL", "SETUSER" };
		size_t n = 2;
		char *rest = NULL;

		if (strncmp(line, "user ", 5) != 0)
			continue;
		for (char *word = strtok_r(line + 5, " \n", &rest);
		    word != NULL; word = strtok_r(NULL, " \n", &rest))
			argv[n++] = word;
		CHECK_STR(server_ask(to, n, argv), "OK");
		argv[3] = ">secret";
		CHECK_STR(server_ask(to, 4, argv), "OK");
	}
	if (f != NULL)
		(void)fclose(f);
}

static void
test_acl(void)
{
	struct store *milter, *ctl;
	struct subject who = person(1);
	struct record r;
	struct fail fail;
	struct event e = event_of(1, EVENT_GRANT, "weekly", 1764000000000);
	uint64_t seq;

	(void)SERVER_ASK(&server, "FLUSHALL");
	load_acl(&server);
	milter = open_as("consent-milter", "secret");
	ctl = open_as("consentctl", "secret");
	CHECK_INT(store_lookup(milter, &who, "weekly", &r, &fail), 0);
	CHECK_INT(store_apply(milter, &e, 1, NULL, &fail), -1);
	CHECK(strstr(fail.text, "NOPERM") != NULL);
	CHECK_INT(store_lookup(milter, &who, "weekly", &r, &fail), 0);
	strcpy(e.evidence.source, "shop");
	CHECK_INT(store_apply(ctl, &e, 1, NULL, &fail), 0);
	CHECK_INT(apply_one(ctl, event_of(1, EVENT_ERASE, "", 1764000000000)),
	    0);
	CHECK_INT(store_lookup(milter, &who, "weekly", &r, &fail), 1);
	CHECK_INT(r.grant_ms, 0);
	CHECK_INT(r.erase_ms, 1764000000000);
	CHECK_STR(visit(ctl, 1, 1), "[ g0 w0 o0 -]");
	CHECK_INT(store_cursor_set(milter, "a", 1, &fail), -1);
	CHECK_INT(fail.class, FAIL_TEMP);
	CHECK(strstr(fail.text, "NOPERM") != NULL);
	CHECK_INT(store_cursor_set(ctl, "a", 7, &fail), 0);
	CHECK_INT(store_cursor_get(milter, "a", &seq, &fail), 0);
	CHECK_INT((int64_t)seq, 7);
	/* The script is loaded by now, and still the filter can't run it. */
	CHECK_INT(store_apply(milter, &e, 1, NULL, &fail), -1);
	store_close(&milter);
	store_close(&ctl);
}

/*
 * What is asked for beside records.
 */

static void
test_cursor(void)
{
	static const char longest[] = "0123456789abcdef0123456789ABCDEF"
	    "0123456789abcdef0123456789ABC._-";
	static const char *const bad[] = { "", "a b", "a:b", "*", "\xc3\xa4",
	    ("0123456789abcdef0123456789ABCDEF0123456789abcdef"
	    "0123456789ABC._-x") };
	static const char *const nonsense[] = { "", "x", "-1", "+1", " 1",
	    "01", "1.0", "18446744073709551616" };
	static const uint64_t numbers[] = { 1, UINT64_MAX, 0, 5 };
	struct store *store = open_as(NULL, NULL);
	struct fail fail;
	uint64_t seq = 99;

	(void)SERVER_ASK(&server, "FLUSHALL");
	CHECK_INT(store_cursor_get(store, longest, &seq, &fail), 0);
	CHECK(seq == 0);
	for (size_t i = 0; i < 4; i++) {
		CHECK_INT(store_cursor_set(store, longest, numbers[i], &fail),
		    0);
		CHECK_INT(store_cursor_get(store, longest, &seq, &fail), 0);
		CHECK(seq == numbers[i]);
	}
	CHECK_STR(SERVER_ASK(&server, "HGET", "c:applied", longest), "5");
	/* Another ledger's is another number. */
	CHECK_INT(store_cursor_get(store, "b", &seq, &fail), 0);
	CHECK(seq == 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		check_case((long)i);
		CHECK_INT(store_cursor_get(store, bad[i], &seq, &fail), -1);
		CHECK_INT(fail.class, FAIL_BUG);
		CHECK_INT(store_cursor_set(store, bad[i], 1, &fail), -1);
		CHECK_INT(fail.class, FAIL_BUG);
	}
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		check_case((long)i);
		(void)SERVER_ASK(&server, "HSET", "c:applied", "b",
		    nonsense[i]);
		CHECK_INT(store_cursor_get(store, "b", &seq, &fail), -1);
		CHECK_INT(fail.class, FAIL_TEMP);
		CHECK(seq == 0);
	}
	check_case(-1);
	(void)SERVER_ASK(&server, "FLUSHALL");
	CHECK_INT(store_cursor_get(store, longest, &seq, &fail), 0);
	CHECK(seq == 0);
	(void)SERVER_ASK(&server, "SET", "c:applied", "7");
	CHECK_INT(store_cursor_get(store, "b", &seq, &fail), -1);
	CHECK_INT(fail.class, FAIL_TEMP);
	CHECK_INT(store_cursor_set(store, "b", 1, &fail), -1);
	CHECK_INT(fail.class, FAIL_TEMP);
	CHECK(strstr(fail.text, "WRONGTYPE") != NULL);
	store_close(&store);
}

/* The append-only file, in one or several parts, and the dump. */
static void
find_files(const struct server *s, glob_t *out)
{
	static const char *const patterns[] = { "appendonlydir/*",
	    "appendonly.aof", "*.rdb" };
	char path[160];

	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", s->dir,
		    patterns[i]);
		(void)glob(path, i > 0 ? GLOB_APPEND : 0, NULL, out);
	}
}

/* In how many of its files a text stands. */
static int
files_with(const struct server *s, const char *text)
{
	static char bytes[1024 * 1024];
	glob_t files;
	int found = 0;

	find_files(s, &files);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		FILE *f = fopen(files.gl_pathv[i], "r");
		size_t n = f != NULL ? fread(bytes, 1, sizeof(bytes), f) : 0;

		CHECK(n < sizeof(bytes));
		if (memmem(bytes, n, text, strlen(text)) != NULL)
			found++;
		if (f != NULL)
			(void)fclose(f);
	}
	globfree(&files);
	return found;
}

static void
end_with_files(struct server *s)
{
	char path[160];
	glob_t files;

	server_kill(s);
	find_files(s, &files);
	for (size_t i = 0; i < files.gl_pathc; i++)
		(void)unlink(files.gl_pathv[i]);
	globfree(&files);
	(void)snprintf(path, sizeof(path), "%s/appendonlydir", s->dir);
	(void)rmdir(path);
	server_end(s);
}

/* Until it has read its files again. */
static void
restart(struct server *s)
{
	server_kill(s);
	server_exec(s);
	server_await(s);
	for (int i = 0; i < 500 &&
	    strcmp(SERVER_ASK(s, "PING"), "PONG") != 0; i++)
		sleep_ms(10);
}

/* Until Redis writes none of its files, nor means to. */
static void
await_files(struct server *s)
{
	static const char *const busy[] = { "aof_rewrite_in_progress:1",
	    "aof_rewrite_scheduled:1", "rdb_bgsave_in_progress:1" };

	/* A BGSAVE that is scheduled is told nowhere: it has to be idle for
	 * longer than its timer takes. */
	for (int i = 0, idle = 0; i < 1000 && idle < 30; i++) {
		const char *info = SERVER_ASK(s, "INFO", "persistence");

		idle++;
		for (size_t k = 0; k < 3; k++)
			if (strstr(info, busy[k]) != NULL)
				idle = 0;
		sleep_ms(10);
	}
}

#define SECRET	"consent-form-of-mallory"
#define OTHER	"consent-form-of-trent"

/* Person 1 with SECRET, who is erased later, and person 2 with OTHER. */
static void
grant_both(struct store *store)
{
	struct event e = event_of(1, EVENT_GRANT, "mallorys-list", 1000);

	strcpy(e.evidence.source, SECRET);
	CHECK_INT(apply_one(store, e), 0);
	e.subject = person(2);
	strcpy(e.list, "weekly");
	strcpy(e.evidence.source, OTHER);
	CHECK_INT(apply_one(store, e), 0);
}

static void
start_with_log(struct server *s)
{
	/* The text of a compressed dump would not be found. */
	static const char *const args[] = { "--appendonly", "yes",
	    "--rdbcompression", "no", "--auto-aof-rewrite-percentage", "0",
	    NULL };

	server_start(s, args);
}

/* Nothing of the person is left in the files, and all else is. */
/* Enough for several windows. */
#define FOLLOWED	1300

static void
test_progress(void)
{
	static struct event events[FOLLOWED];
	static uint64_t seqs[FOLLOWED];
	struct store *store = open_as(NULL, NULL);
	uint64_t from = 0, end_to = 7;
	struct store_progress p = { .id = "a", .from = &from, .seqs = seqs,
	    .to = 3 * FOLLOWED + 1 };
	struct fail fail;
	size_t applied;

	(void)SERVER_ASK(&server, "FLUSHALL");
	for (unsigned i = 0; i < FOLLOWED; i++) {
		events[i] = event_of(i, EVENT_GRANT, "weekly", 1764000000000);
		seqs[i] = 3 * ((uint64_t)i + 1);
	}
	CHECK_INT(store_apply_from(store, events, FOLLOWED, &p, &applied,
	    &fail), 0);
	CHECK_INT((int64_t)applied, FOLLOWED);
	CHECK_INT((int64_t)from, 3 * FOLLOWED + 1);
	CHECK_STR(SERVER_ASK(&server, "HGET", "c:applied", "a"), "3901");
	/* Without events, and with the end of something else. */
	p.to = 5000;
	p.end_id = "b";
	p.end_to = &end_to;
	CHECK_INT(store_apply_from(store, NULL, 0, &p, NULL, &fail), 0);
	CHECK_STR(SERVER_ASK(&server, "HGET", "c:applied", "a"), "5000");
	CHECK_STR(SERVER_ASK(&server, "HGET", "c:applied", "b"), "7");
	/* Redis lost what it had: nothing is merged on top of that. */
	(void)SERVER_ASK(&server, "FLUSHALL");
	for (unsigned i = 0; i < FOLLOWED; i++)
		seqs[i] += 5000;
	p.to = 10000;
	CHECK_INT(store_apply_from(store, events, FOLLOWED, &p, &applied,
	    &fail), -1);
	CHECK_INT(fail.class, FAIL_TEMP);
	CHECK(p.lost);
	CHECK_INT((int64_t)applied, 0);
	CHECK_STR(SERVER_ASK(&server, "DBSIZE"), "0");
	/* From the start on; one that can't be merged leaves the cursor. */
	from = 0;
	p.end_id = NULL;
	(void)SERVER_ASK(&server, "HSET", key_of(40), "weekly", "nonsense");
	CHECK_INT(store_apply_from(store, events, FOLLOWED, &p, &applied,
	    &fail), -1);
	CHECK_INT(fail.class, FAIL_INPUT);
	CHECK(!p.lost);
	CHECK_INT((int64_t)applied, 40);
	/* One call was taken as a whole. */
	CHECK_STR(SERVER_ASK(&server, "HGET", "c:applied", "a"), "5096");
	CHECK_STR(SERVER_ASK(&server, "EXISTS", key_of(100)), "0");
	p.id = "a b";
	CHECK_INT(store_apply_from(store, events, 1, &p, NULL, &fail), -1);
	CHECK_INT(fail.class, FAIL_BUG);
	/* What can't be a cursor. */
	p.id = "a";
	(void)SERVER_ASK(&server, "SET", "c:applied", "7");
	CHECK_INT(store_apply_from(store, events, 1, &p, NULL, &fail), -1);
	CHECK_INT(fail.class, FAIL_TEMP);
	CHECK(strstr(fail.text, "WRONGTYPE") != NULL);
	store_close(&store);
	(void)SERVER_ASK(&server, "FLUSHALL");
}

static void
test_compact(void)
{
	struct server s;
	struct store *store;
	struct fail fail;
	bool asked = false;

	start_with_log(&s);
	load_acl(&s);
	store = open_at(&s, "consentctl", "secret");
	grant_both(store);
	CHECK_STR(SERVER_ASK(&s, "SAVE"), "OK");
	CHECK_INT(files_with(&s, SECRET), 2);
	CHECK_INT(apply_one(store, event_of(1, EVENT_ERASE, "", 1000)), 0);
	CHECK_INT(files_with(&s, SECRET), 2);
	CHECK_INT(store_compact(store, &asked, &fail), 0);
	CHECK(asked);
	CHECK_STR(fail.text, "");
	await_files(&s);
	/* Old parts are deleted in the background. */
	for (int i = 0; i < 200 && files_with(&s, SECRET) > 0; i++)
		sleep_ms(10);
	CHECK_INT(files_with(&s, SECRET), 0);
	CHECK_INT(files_with(&s, "mallorys-list"), 0);
	CHECK_INT(files_with(&s, OTHER), 2);
	/* ... and comes back with the files. */
	restart(&s);
	CHECK_STR(SERVER_ASK(&s, "HGET", key_of(1), "*"), "e1000");
	CHECK_STR(SERVER_ASK(&s, "HGET", key_of(2), "weekly"), "g1000");
	store_close(&store);
	end_with_files(&s);
}

/* The ACL lacks a command, or Redis is at it already: nothing is promised. */
static void
test_compact_refused(void)
{
	struct server s;
	struct store *store;
	struct fail fail;
	bool asked = true;

	start_with_log(&s);
	load_acl(&s);
	store = open_at(&s, "consentctl", "secret");
	grant_both(store);
	CHECK_STR(SERVER_ASK(&s, "ACL", "SETUSER", "consentctl",
	    "-bgrewriteaof"), "OK");
	CHECK_INT(store_compact(store, &asked, &fail), 0);
	CHECK(!asked);
	CHECK_INT(fail.class, FAIL_SETUP);
	CHECK(strstr(fail.text, "+bgrewriteaof") != NULL);
	CHECK_STR(SERVER_ASK(&s, "ACL", "SETUSER", "consentctl",
	    "+bgrewriteaof", "-bgsave"), "OK");
	CHECK_STR(SERVER_ASK(&s, "SAVE"), "OK");
	CHECK_INT(store_compact(store, &asked, &fail), 0);
	CHECK(!asked);
	CHECK_INT(fail.class, FAIL_SETUP);
	CHECK(strstr(fail.text, "+bgsave") != NULL);
	CHECK_STR(SERVER_ASK(&s, "ACL", "SETUSER", "consentctl", "+bgsave"),
	    "OK");
	await_files(&s);
	/* Writing takes half a second for each person. */
	CHECK_STR(SERVER_ASK(&s, "CONFIG", "SET", "rdb-key-save-delay",
	    "500000"), "OK");
	for (int i = 0; i < 2; i++) {
		check_case(i);
		(void)SERVER_ASK(&s, i == 0 ? "BGSAVE" : "BGREWRITEAOF");
		CHECK_INT(store_compact(store, &asked, &fail), 0);
		CHECK(!asked);
		CHECK_INT(fail.class, FAIL_TEMP);
		CHECK(strstr(fail.text, i == 0 ? "dump" : "append-only") !=
		    NULL);
		await_files(&s);
	}
	check_case(-1);
	CHECK_INT(store_compact(store, &asked, &fail), 0);
	CHECK(asked);
	await_files(&s);
	store_close(&store);
	end_with_files(&s);
}

/* A Redis that keeps no files is not made to. */
static void
test_compact_nothing(void)
{
	struct server s;
	struct store *store;
	struct fail fail = { .text = "before" };
	bool asked = false;

	server_start(&s, NULL);
	store = open_at(&s, NULL, NULL);
	grant_both(store);
	CHECK_INT(store_compact(store, &asked, &fail), 0);
	CHECK(asked);
	CHECK_STR(fail.text, "");
	await_files(&s);
	CHECK_INT(files_with(&s, OTHER), 0);
	/* A dump that it has read is written anew. */
	CHECK_STR(SERVER_ASK(&s, "CONFIG", "SET", "rdbcompression", "no"),
	    "OK");
	CHECK_STR(SERVER_ASK(&s, "SAVE"), "OK");
	CHECK_INT(files_with(&s, SECRET), 1);
	store_close(&store);
	restart(&s);
	store = open_at(&s, NULL, NULL);
	CHECK_STR(SERVER_ASK(&s, "CONFIG", "SET", "rdbcompression", "no"),
	    "OK");
	CHECK_INT(apply_one(store, event_of(1, EVENT_ERASE, "", 1000)), 0);
	CHECK_INT(store_compact(store, &asked, &fail), 0);
	CHECK(asked);
	await_files(&s);
	CHECK_INT(files_with(&s, SECRET), 0);
	CHECK_INT(files_with(&s, OTHER), 1);
	server_kill(&s);
	CHECK_INT(store_compact(store, &asked, &fail), -1);
	CHECK_INT(fail.class, FAIL_TEMP);
	CHECK(!asked);
	store_close(&store);
	end_with_files(&s);
}

static void
test_database(void)
{
	struct server *s = &server;
	char url[400];
	struct store_options options = { .url = url, .timeout_ms = 1000 };
	struct store *store = NULL;
	struct fail fail;

	(void)SERVER_ASK(s, "FLUSHALL");
	(void)snprintf(url, sizeof(url), "%s?db=7", s->url);
	CHECK_INT(store_open(&options, &store, NULL), 0);
	CHECK_INT(apply_one(store, event_of(1, EVENT_OBJECT, "", 1)), 0);
	CHECK_STR(SERVER_ASK(s, "DBSIZE"), "0");
	CHECK_STR(SERVER_ASK(s, "SWAPDB", "0", "7"), "OK");
	CHECK_STR(SERVER_ASK(s, "DBSIZE"), "1");
	CHECK(store_is_reachable(store));
	store_close(&store);
	options.url = "tcp://h";
	CHECK_INT(store_open(&options, &store, &fail), -1);
	CHECK_INT(fail.class, FAIL_SETUP);
	options.url = url;
	options.timeout_ms = 0;
	CHECK_INT(store_open(&options, &store, &fail), -1);
}

/* By number, and by a name that may also mean an address where nobody
 * listens. */
static void
test_tcp(void)
{
	static const char *const hosts[] = { "127.0.0.1", "localhost" };
	char port[8], url[64];
	struct store_options options = { .url = url, .timeout_ms = 1000 };
	struct fail fail = { .text = "" };

	(void)snprintf(port, sizeof(port), "%u", server_free_port());
	CHECK_STR(SERVER_ASK(&server, "CONFIG", "SET", "bind", "127.0.0.1",
	    "port", port), "OK");
	for (size_t i = 0; i < 2; i++) {
		struct store *store = NULL;

		check_case((long)i);
		(void)SERVER_ASK(&server, "FLUSHALL");
		(void)snprintf(url, sizeof(url), "redis://%s:%s/3", hosts[i],
		    port);
		CHECK_INT(store_open(&options, &store, &fail), 0);
		CHECK_STR(fail.text, "");
		CHECK_INT(apply_one(store, event_of(1, EVENT_OBJECT, "", 1)),
		    0);
		CHECK_STR(SERVER_ASK(&server, "DBSIZE"), "0");
		CHECK(store_is_reachable(store));
		store_close(&store);
	}
	check_case(-1);
	CHECK_STR(SERVER_ASK(&server, "CONFIG", "SET", "port", "0"), "OK");
	struct store *store = NULL;
	CHECK_INT(store_open(&options, &store, &fail), 0);
	CHECK_INT(fail.class, FAIL_TEMP);
	CHECK(strstr(fail.text, "refused") != NULL);
	CHECK_INT(apply_one(store, event_of(1, EVENT_OBJECT, "", 1)), -1);
	store_close(&store);
}

int
main(void)
{
	static const struct check_test tests[] = {
		{ "round trip", test_round_trip },
		{ "visit", test_visit },
		{ "erasure", test_erasure },
		{ "erasure of old fields", test_erasure_of_old },
		{ "erasure of unreadable", test_erasure_of_unreadable },
		{ "erasure of unreadable person",
		  test_erasure_of_unreadable_person },
		{ "erasure of many", test_erasure_of_many },
		{ "merge as model", test_merge_as_model },
		{ "merge refuses", test_merge_refuses },
		{ "many", test_many },
	{ "since", test_since },
		{ "threads", test_threads },
		{ "come and go", test_come_and_go },
		{ "script flush in import", test_script_flush_in_import },
		{ "acl", test_acl },
		{ "cursor", test_cursor },
		{ "progress", test_progress },
		{ "compact", test_compact },
		{ "compact refused", test_compact_refused },
		{ "compact nothing", test_compact_nothing },
		{ "database", test_database },
		{ "tcp", test_tcp },
	};
	int rc;

	srcdir = getenv("srcdir");
	if (srcdir == NULL)
		srcdir = ".";
	if (!server_is_installed())
		return server_skip();
	server_start(&server, NULL);
	rc = check_main("test_store_redis", tests,
	    sizeof(tests) / sizeof(tests[0]));
	server_end(&server);
	return rc;
}
