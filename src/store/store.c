/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The room's door: what is asked of Redis, and what its answers mean.
 */
#include "store/private.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/xalloc.h"

#define CHUNK		256	/* look-ups sent together */
#define LOOKUP_BYTES	((size_t)160)	/* no HMGET of ours is longer */

struct store {
	struct link	*link;
	struct replica	*replica;	/* NULL: look-ups ask link as well */
	struct cluster	*cluster;	/* then there is neither of them */
	unsigned	 partitions;
	int		 timeout_ms;
	struct script	 script;
	struct wait	 wait;
};

unsigned
store_partitions(const struct store *store)
{
	return store->partitions;
}

unsigned
store_partition_of(const struct subject *subject, unsigned partitions)
{
	return partitions > 1 ? subject->id[0] : 0;
}

int
store_url_check(const char *url, struct fail *fail)
{
	struct url ignored;

	return url_parse(url, &ignored, fail);
}

/* Of two connections only the one that look-ups need tells its state. */
static int
open_links(struct store *store, const struct store_options *options,
    struct fail *fail)
{
	struct store_options primary = *options;

	if (options->cluster != NULL)
		return cluster_open(options, &store->cluster, fail);
	if (options->read_from == NULL)
		return link_open(options, &store->link, fail);
	if (options->read_within_ms < 100 || options->read_within_ms > 60000)
		return fail_set(fail, FAIL_SETUP,
		    "the bound for a replica must be 100 to 60000 ms");
	primary.on_state = NULL;
	if (link_open(&primary, &store->link, fail) == -1)
		return -1;
	return replica_open(options, store->link, &store->replica, fail);
}

/* For look-ups and cursors, without a cluster. */
static struct link *
reads(const struct store *store)
{
	return store->replica != NULL ? replica_link(store->replica) :
	    store->link;
}

int
store_open(const struct store_options *options, struct store **out,
    struct fail *fail)
{
	struct store *store = xcalloc(1, sizeof(*store));
	struct fail first;

	if (options->timeout_ms < 1 || options->timeout_ms > 60000) {
		free(store);
		return fail_set(fail, FAIL_SETUP,
		    "the time-out for Redis must be 1 to 60000 ms");
	}
	if (fail == NULL)
		fail = &first;
	if (open_links(store, options, fail) == -1) {
		link_close(&store->link);
		free(store);
		return -1;
	}
	store->partitions = options->cluster != NULL ? STORE_PARTITIONS_MAX :
	    1;
	store->timeout_ms = options->timeout_ms;
	(void)pthread_mutex_init(&store->script.lock, NULL);
	store->wait.replicas = options->wait_replicas;
	/* The answer has to be there in time, however few have it. */
	store->wait.ms = (options->timeout_ms + 1) / 2;
	*out = store;
	return 0;
}

void
store_close(struct store **store)
{
	if (*store == NULL)
		return;
	cluster_close(&(*store)->cluster);
	replica_close(&(*store)->replica);
	link_close(&(*store)->link);
	(void)pthread_mutex_destroy(&(*store)->script.lock);
	free(*store);
	*store = NULL;
}

bool
store_is_reachable(struct store *store)
{
	struct fail unused;

	if (store->cluster != NULL)
		return cluster_is_up(store->cluster);
	return link_is_up(reads(store)) && (store->replica == NULL ||
	    replica_check(store->replica, &unused) == 0);
}

uint64_t
store_connection(struct store *store)
{
	return store->cluster != NULL ? 0 : link_connection(reads(store));
}

void
store_stats_sum(struct store *store, struct store_stats *sum)
{
	if (store->cluster != NULL)
		cluster_stats_sum(store->cluster, sum);
	else
		link_stats_sum(store->link, sum);
	if (store->replica != NULL)
		link_stats_sum(replica_link(store->replica), sum);
}

const char *
store_library_version(void)
{
	return reply_library_version();
}

/* "*" and "LIST.e" are fields as well, and no lists. */
static int
check_list(const char *list, struct fail *fail)
{
	if (list_name_is_valid(span_str(list)))
		return 0;
	return fail_set(fail, FAIL_BUG, "\"%.40s\" is no name of a list",
	    list);
}

static int
fail_person(struct fail *fail, const struct subject *subject)
{
	struct buf text = BUF_INIT((size_t)2 * SUBJECT_BYTES);

	subject_format(&text, subject);
	(void)fail_prefix(fail, "person %s", buf_get(&text));
	buf_fini(&text);
	return -1;
}

static void
add_lookup(const struct store *store, struct buf *out,
    const struct subject *subject, struct span list)
{
	command_begin(out, 4);
	command_add(out, SPAN("HMGET"));
	command_key(out, subject, store->partitions);
	command_add(out, list);
	command_add(out, SPAN("*"));
}

/*
 * Sends a request to whoever answers look-ups.  Of a replica only what it
 * answers while its data are known to be new enough counts; a new connection to
 * it gets a second try.
 */
static int
ask(struct store *store, struct request *request, struct fail *fail)
{
	int rc = 0;

	if (store->replica == NULL)
		return link_ask(store->link, request, fail);
	if (replica_check(store->replica, fail) == -1)
		return -1;
	for (int tries = 0; tries < 2 && (tries == 0 ||
	    clock_monotonic_ms() < request->deadline_ms); tries++) {
		rc = link_ask(reads(store), request, fail);
		if (rc == 0)
			rc = replica_check_answer(store->replica,
			    request->connection, fail);
		if (rc != 0)
			break;
		link_request_clear(request);
		(void)fail_set(fail, FAIL_TEMP,
		    "the connection to the replica does not last");
	}
	return rc == 1 ? 0 : -1;
}

/* A look-up, the same for all its chunks. */
struct question {
	struct store	*store;
	const struct store_mark *mark;	/* may be NULL */
	struct span	 list;
	int64_t		 deadline_ms;
};

/* Does this Redis have what it has to have? */
static int
check_mark(uint64_t least, const struct reply *reply, struct fail *fail)
{
	uint64_t seq;

	if (upkeep_read_cursor(reply, &seq, fail) == -1)
		return -1;
	return seq >= least ? 0 : fail_set(fail, FAIL_TEMP, "Redis does "
	    "not have any more what it had of the ledger");
}

static int
read_record(const struct reply *reply, const struct subject *subject,
    struct record *out, struct fail *fail)
{
	int result = reply_to_record(reply, out, fail);

	return result != -1 ? result : fail_person(fail, subject);
}

/* One round trip for up to CHUNK persons.  The mark goes first: what comes
 * after it is not older. */
static int
lookup_chunk(const struct question *question, const struct subject *subjects,
    size_t n, struct record *out, int *results, struct fail *fail)
{
	struct reply *all[1 + CHUNK];
	size_t marks = question->mark != NULL;
	struct reply **replies = all + marks;
	char room[2 * LOOKUP_BYTES + 1];	/* for one person */
	struct buf commands = BUF_ON(room, (1 + CHUNK) * LOOKUP_BYTES);
	struct request request = {
		.expected = marks + n,
		.replies = all,
		.max_bytes = LINK_REPLY_SMALL,
		.deadline_ms = question->deadline_ms,
	};
	struct fail later;
	int rc;

	(void)buf_reserve(&commands, (marks + n) * LOOKUP_BYTES);
	if (marks > 0)
		upkeep_add_cursor(&commands, question->mark->id, 0, 1);
	for (size_t i = 0; i < n; i++)
		add_lookup(question->store, &commands, &subjects[i],
		    question->list);
	request.bytes = buf_span(&commands);
	rc = ask(question->store, &request, fail);
	if (rc == 0 && marks > 0)
		rc = check_mark(question->mark->seqs[0], all[0], fail);
	if (rc == -1)
		n = 0;
	for (size_t i = 0; i < n; i++) {
		results[i] = read_record(replies[i], &subjects[i], &out[i],
		    rc == 0 ? fail : &later);
		if (results[i] == -1)
			rc = -1;
	}
	link_request_clear(&request);
	buf_fini(&commands);
	return rc;
}

/* The same in a cluster, each person with the mark of the partition. */
static int
lookup_spread(const struct question *question, const struct subject *subjects,
    size_t n, struct record *out, int *results, struct fail *fail)
{
	struct store *store = question->store;
	const struct store_mark *mark = question->mark;
	struct buf commands = BUF_INIT(2 * CHUNK * LOOKUP_BYTES);
	struct errand *errands = xcalloc(n, sizeof(*errands));
	struct fail later;
	int rc;

	for (size_t i = 0; i < n; i++) {
		struct errand *e = &errands[i];

		e->partition = store_partition_of(&subjects[i],
		    store->partitions);
		if (mark != NULL) {
			upkeep_add_cursor(&commands, mark->id, e->partition,
			    store->partitions);
			e->ends[e->count++] = commands.len;
		}
		add_lookup(store, &commands, &subjects[i], question->list);
		e->ends[e->count++] = commands.len;
	}
	rc = errand_run(store->cluster, errands, n, buf_span(&commands),
	    LINK_REPLY_SMALL, question->deadline_ms, fail);
	for (size_t i = 0; i < n; i++) {
		struct errand *e = &errands[i];
		struct fail *why = rc == 0 ? fail : &later;

		if (!e->failed && (mark == NULL || check_mark(mark->seqs[i],
		    e->replies[0], why) == 0))
			results[i] = read_record(e->replies[e->count - 1],
			    &subjects[i], &out[i], why);
		if (results[i] == -1)
			rc = -1;
	}
	errand_clear(errands, n);
	free(errands);
	buf_fini(&commands);
	return rc;
}

static int64_t
deadline_of(const struct store *store)
{
	return clock_monotonic_ms() + store->timeout_ms;
}

int
store_lookup_since(struct store *store, const struct store_mark *mark,
    const struct subject *subjects, size_t n, const char *list,
    struct record *out, int *results, struct fail *fail)
{
	struct store_mark here = { NULL, NULL };
	const struct question question = {
		.store = store,
		.mark = mark != NULL ? &here : NULL,
		.list = span_str(list),
		.deadline_ms = deadline_of(store),
	};
	struct fail later;
	int rc;

	for (size_t i = 0; i < n; i++)
		results[i] = -1;
	if (n > 0)
		memset(out, 0, n * sizeof(*out));
	rc = check_list(list, fail);
	if (rc == 0 && mark != NULL)
		rc = upkeep_check_id(mark->id, fail);
	if (rc == -1)
		return -1;
	for (size_t i = 0; i < n; i += CHUNK) {
		size_t k = n - i < CHUNK ? n - i : CHUNK;

		if (mark != NULL)
			here = (struct store_mark){ mark->id,
			    store->cluster != NULL ? mark->seqs + i :
			    mark->seqs };
		if ((store->cluster != NULL ? lookup_spread : lookup_chunk)(
		    &question, subjects + i, k, out + i, results + i,
		    rc == 0 ? fail : &later) == -1)
			rc = -1;
	}
	return rc;
}

int
store_lookup_many(struct store *store, const struct subject *subjects,
    size_t n, const char *list, struct record *out, int *results,
    struct fail *fail)
{
	return store_lookup_since(store, NULL, subjects, n, list, out, results,
	    fail);
}

int
store_lookup(struct store *store, const struct subject *subject,
    const char *list, struct record *out, struct fail *fail)
{
	int result;

	return store_lookup_many(store, subject, 1, list, out, &result,
	    fail) == -1 ? -1 : result;
}

/* The answer to one command about a person. */
static int
ask_about(struct store *store, const struct subject *subject,
    const struct buf *command, struct reply **reply, struct fail *fail)
{
	struct request request = {
		.bytes = buf_span(command),
		.expected = 1,
		.replies = reply,
		.max_bytes = LINK_REPLY_LARGE,
		.deadline_ms = deadline_of(store),
	};
	struct errand e = {
		.partition = store_partition_of(subject, store->partitions),
		.count = 1,
		.ends = { command->len },
	};
	int rc;

	if (store->cluster == NULL)
		return ask(store, &request, fail);
	rc = errand_run(store->cluster, &e, 1, request.bytes,
	    request.max_bytes, request.deadline_ms, fail);
	*reply = e.replies[0];
	return rc;
}

int
store_visit(struct store *store, const struct subject *subject,
    void (*visit)(const char *list, const struct record *record,
    const struct evidence *evidence, void *context), void *context,
    struct fail *fail)
{
	struct buf command = BUF_INIT(LOOKUP_BYTES);
	struct reply *reply = NULL;
	int rc;

	command_begin(&command, 2);
	command_add(&command, SPAN("HGETALL"));
	command_key(&command, subject, store->partitions);
	rc = ask_about(store, subject, &command, &reply, fail);
	if (rc == 0) {
		rc = reply_visit(reply, visit, context, fail);
		if (rc == -1)
			(void)fail_person(fail, subject);
	}
	reply_free(&reply);
	buf_fini(&command);
	return rc;
}

int
store_apply(struct store *store, const struct event *events, size_t n,
    size_t *applied, struct fail *fail)
{
	if (n > 0)
		return store_apply_from(store, events, n, NULL, applied, fail);
	if (applied != NULL)
		*applied = 0;
	return 0;
}

static int
apply_on_one(struct store *store, const struct event *events, size_t n,
    struct store_progress *progress, size_t *done, struct fail *fail)
{
	int rc = apply_events(store->link, &store->script, events, n,
	    progress, done, fail);

	if (rc == 0 && progress != NULL && store->wait.replicas > 0)
		rc = apply_wait(store->link, &store->script, progress,
		    &store->wait, fail);
	return rc;
}

int
store_apply_from(struct store *store, const struct event *events, size_t n,
    struct store_progress *progress, size_t *applied, struct fail *fail)
{
	size_t done;
	int rc = store->cluster != NULL ?
	    spread_events(store->cluster, &store->script, events, n, progress,
	    &store->wait, store->timeout_ms, &done, fail) :
	    apply_on_one(store, events, n, progress, &done, fail);

	if (rc == -1 && fail->class == FAIL_INPUT)
		(void)fail_person(fail, &events[done].subject);
	if (applied != NULL)
		*applied = done;
	return rc;
}

/* One command for each partition, which follow each other in commands. */
static int
ask_partitions(struct store *store, struct link *link,
    const struct buf *commands, struct errand *errands, struct fail *fail)
{
	struct request request = {
		.bytes = buf_span(commands),
		.expected = 1,
		.replies = errands[0].replies,
		.max_bytes = LINK_REPLY_SMALL,
		.deadline_ms = deadline_of(store),
	};

	if (store->cluster == NULL)
		return link_ask(link, &request, fail);
	return errand_run(store->cluster, errands, store->partitions,
	    request.bytes, request.max_bytes, request.deadline_ms, fail);
}

int
store_cursor_get(struct store *store, const char *id, uint64_t *seqs,
    struct fail *fail)
{
	struct buf commands = BUF_INIT((size_t)STORE_PARTITIONS_MAX * 256);
	struct errand *errands;
	int rc;

	memset(seqs, 0, store->partitions * sizeof(*seqs));
	if (upkeep_check_id(id, fail) == -1)
		return -1;
	errands = xcalloc(store->partitions, sizeof(*errands));
	for (unsigned i = 0; i < store->partitions; i++) {
		upkeep_add_cursor(&commands, id, i, store->partitions);
		errands[i] = (struct errand){ .partition = i, .count = 1,
		    .ends = { commands.len } };
	}
	rc = ask_partitions(store, reads(store), &commands, errands, fail);
	for (unsigned i = 0; i < store->partitions && rc == 0; i++)
		rc = upkeep_read_cursor(errands[i].replies[0], &seqs[i], fail);
	errand_clear(errands, store->partitions);
	free(errands);
	buf_fini(&commands);
	return rc;
}

int
store_cursor_set(struct store *store, const char *id, uint64_t seq,
    struct fail *fail)
{
	struct buf commands = BUF_INIT((size_t)STORE_PARTITIONS_MAX * 256);
	struct errand *errands;
	int rc;

	if (upkeep_check_id(id, fail) == -1)
		return -1;
	errands = xcalloc(store->partitions, sizeof(*errands));
	for (unsigned i = 0; i < store->partitions; i++) {
		upkeep_set_cursor(&commands, id, i, store->partitions, seq);
		errands[i] = (struct errand){ .partition = i, .count = 1,
		    .ends = { commands.len } };
	}
	rc = ask_partitions(store, store->link, &commands, errands, fail);
	for (unsigned i = 0; i < store->partitions && rc == 0; i++)
		rc = upkeep_read_set(errands[i].replies[0], fail);
	if (rc == -1 && store->link != NULL &&
	    strstr(fail->text, "READONLY") != NULL)
		link_distrust(store->link);
	errand_clear(errands, store->partitions);
	free(errands);
	buf_fini(&commands);
	return rc;
}

/* Each node of a cluster; of several that fail the first tells why. */
static int
compact_each(struct store *store, bool *asked, struct fail *fail)
{
	struct node **nodes;
	size_t n = cluster_hold_each(store->cluster, false, &nodes);
	struct fail one;
	bool taken;
	int rc = n > 0 ? 0 : fail_set(fail, FAIL_TEMP,
	    "no node of the Redis Cluster can be asked");

	*asked = n > 0;
	if (n > 0)
		fail->text[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		int was = upkeep_compact(cluster_link(nodes[i]), &taken, &one);

		if ((was == -1 && rc == 0) || (!taken && *asked))
			*fail = one;
		if (was == -1)
			rc = -1;
		*asked &= taken;
		cluster_release(store->cluster, nodes[i]);
	}
	free(nodes);
	return rc;
}

int
store_compact(struct store *store, bool *asked, struct fail *fail)
{
	return store->cluster != NULL ? compact_each(store, asked, fail) :
	    upkeep_compact(store->link, asked, fail);
}
