/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Each node has a link of its own, with all that a link does: its checks, its
 * breaker, its probes.  So a dead node costs its partitions and nobody else's.
 *
 * A thread reads the map of slots: at the start, when a node redirects us,
 * when a link is lost, as long as a partition is not served, and now and then.
 * It asks the nodes one after the other until one answers that is content with
 * its cluster and knows of the latest failover we have heard of: a primary that
 * was cut off still has the map of before.
 */
#include "store/private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/xalloc.h"

#define NODES_MAX	(STORE_PARTITIONS_MAX + UNLISTED_MAX)
/* Nodes that redirections alone have named, at a time. */
#define UNLISTED_MAX	16
#define MAP_BYTES	((size_t)4 * 1024 * 1024)
/* Between two looks at the map: when there is doubt, the longer the less they
 * bring, and when there is none. */
#define SOON_MS		100
#define SOON_MAX_MS	500
#define LATER_MS	5000
/* A node without partitions keeps its link for so long. */
#define IDLE_MS		5000

struct node {
	struct cluster	*cluster;
	struct url	 url;
	struct link	*link;

	/* Under cluster->lock. */
	unsigned	 refs;
	unsigned	 partitions;	/* that it has */
	bool		 listed;	/* in the map */
	bool		 up;		/* as its link told */
	struct fail	 why;		/* while it is not */
	int64_t		 used_ms;
};

/* What a node says. */
struct view {
	bool		 is_ok;		/* its cluster is */
	uint64_t	 epoch;
	struct slots_map *map;
};

struct cluster {
	/* Immutable. */
	struct store_options options;	/* its texts are these */
	char		*username;
	char		*password;
	struct tls_files files;
	struct url	*seeds;
	size_t		 seed_count;
	int		 stop_fd;
	pthread_t	 thread;

	/* Of the thread. */
	bool		 told, told_up;
	int64_t		 next_ms;	/* the next look, when in doubt */
	int		 delay_ms;
	size_t		 turn;		/* whom to ask first */

	pthread_mutex_t	 lock;		/* for all below */
	pthread_cond_t	 changed;
	struct node	*nodes[NODES_MAX];
	size_t		 count;
	struct node	*owners[STORE_PARTITIONS_MAX];
	uint64_t	 epoch;		/* the highest we have heard of */
	struct fail	 fail;		/* why there is no map */
	bool		 doubt;
	bool		 news;		/* of a link */
	bool		 opened;
	bool		 stop;
	bool		 first_ended;
	struct store_stats gone;	/* of links that have ended */
};

struct link *
cluster_link(struct node *node)
{
	return node->link;
}

const struct url *
cluster_url(const struct node *node)
{
	return &node->url;
}

/* Called by the node's link. */
static void
on_link_state(bool reachable, const char *text, void *context)
{
	struct node *node = context;
	struct cluster *c = node->cluster;

	(void)pthread_mutex_lock(&c->lock);
	node->up = reachable;
	(void)fail_set(&node->why, FAIL_TEMP, "%s", text);
	c->news = true;
	c->doubt |= !reachable;
	(void)pthread_cond_broadcast(&c->changed);
	(void)pthread_mutex_unlock(&c->lock);
}

/*
 * The nodes.  Those that follow are called with the lock held.
 */

static struct node *
node_new(struct cluster *c, const struct url *url, struct fail *fail)
{
	struct store_options options = c->options;
	struct node *node = xcalloc(1, sizeof(*node));
	struct buf where = BUF_INIT(512);
	int rc;

	node->cluster = c;
	node->url = *url;
	url_format(&where, url);
	(void)fail_set(&node->why, FAIL_TEMP, "%s: not connected yet",
	    buf_get(&where));
	options.url = buf_get(&where);
	options.on_state = on_link_state;
	options.context = node;
	rc = link_new(&options, &node->link, fail);
	buf_fini(&where);
	if (rc == -1) {
		free(node);
		return NULL;
	}
	node->used_ms = clock_monotonic_ms();
	return c->nodes[c->count++] = node;
}

static size_t
unlisted(const struct cluster *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->count; i++)
		n += !c->nodes[i]->listed;
	return n;
}

static struct node *
find_node(struct cluster *c, const struct url *url, bool listed,
    struct fail *fail)
{
	for (size_t i = 0; i < c->count; i++)
		if (url_is_same(&c->nodes[i]->url, url))
			return c->nodes[i];
	if (c->count == NODES_MAX || (!listed && unlisted(c) >= UNLISTED_MAX)) {
		(void)fail_set(fail, FAIL_TEMP,
		    "Redis redirects to too many nodes");
		return NULL;
	}
	return node_new(c, url, fail);
}

static void
give_partition(struct cluster *c, unsigned partition, struct node *node)
{
	if (c->owners[partition] != NULL)
		c->owners[partition]->partitions--;
	c->owners[partition] = node;
	if (node != NULL)
		node->partitions++;
}

static struct node *
hold(struct node *node)
{
	node->refs++;
	return node;
}

static void
doubt(struct cluster *c)
{
	if (c->doubt)
		return;
	c->doubt = true;
	(void)pthread_cond_broadcast(&c->changed);
}

struct node *
cluster_hold(struct cluster *c, unsigned partition, struct fail *fail)
{
	struct node *node;

	(void)pthread_mutex_lock(&c->lock);
	node = c->owners[partition];
	if (node != NULL) {
		node->refs++;
	} else {
		*fail = c->fail;
		doubt(c);
	}
	(void)pthread_mutex_unlock(&c->lock);
	return node;
}

struct node *
cluster_hold_redirected(struct cluster *c, unsigned partition,
    const struct redirect *redirect, struct fail *fail)
{
	struct node *node;

	(void)pthread_mutex_lock(&c->lock);
	node = find_node(c, &redirect->url, false, fail);
	if (node != NULL)
		node->refs++;
	if (!redirect->is_ask) {
		if (node != NULL)
			give_partition(c, partition, node);
		doubt(c);
	}
	(void)pthread_mutex_unlock(&c->lock);
	return node;
}

size_t
cluster_hold_each(struct cluster *c, bool all, struct node ***nodes)
{
	size_t n = 0;

	(void)pthread_mutex_lock(&c->lock);
	*nodes = xcalloc(c->count + 1, sizeof(**nodes));
	for (size_t i = 0; i < c->count; i++)
		if (all || c->nodes[i]->partitions > 0)
			(*nodes)[n++] = hold(c->nodes[i]);
	(void)pthread_mutex_unlock(&c->lock);
	return n;
}

void
cluster_release(struct cluster *c, struct node *node)
{
	(void)pthread_mutex_lock(&c->lock);
	node->refs--;
	node->used_ms = clock_monotonic_ms();
	(void)pthread_mutex_unlock(&c->lock);
}

void
cluster_doubt(struct cluster *c)
{
	(void)pthread_mutex_lock(&c->lock);
	doubt(c);
	(void)pthread_mutex_unlock(&c->lock);
}

void
cluster_stats_sum(struct cluster *c, struct store_stats *sum)
{
	(void)pthread_mutex_lock(&c->lock);
	stats_add_sum(&c->gone, sum);
	for (size_t i = 0; i < c->count; i++)
		link_stats_sum(c->nodes[i]->link, sum);
	(void)pthread_mutex_unlock(&c->lock);
}

/* Ends the links that nobody needs any more.  Returns one at a time. */
static struct node *
take_idle(struct cluster *c)
{
	int64_t now_ms = clock_monotonic_ms();
	struct node *idle = NULL;

	(void)pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->count && idle == NULL; i++) {
		struct node *node = c->nodes[i];

		if (node->refs > 0 || node->partitions > 0 ||
		    now_ms - node->used_ms < IDLE_MS)
			continue;
		idle = node;
		c->nodes[i] = c->nodes[--c->count];
		link_stats_sum(node->link, &c->gone);
	}
	(void)pthread_mutex_unlock(&c->lock);
	return idle;
}

static void
reap(struct cluster *c)
{
	struct node *node;

	while ((node = take_idle(c)) != NULL) {
		link_close(&node->link);
		free(node);
	}
}

/*
 * The map.
 */

static int
read_view(struct reply *const replies[2], const struct url *asked,
    struct view *view, struct fail *fail)
{
	view->map = slots_map_new();
	if (slots_read_info(replies[0], &view->is_ok, &view->epoch, fail) ==
	    0 && slots_read_map(replies[1], asked, view->map, fail) == 0)
		return 0;
	free(view->map);
	view->map = NULL;
	return -1;
}

static void
add_questions(struct buf *out)
{
	command_format(out, "CLUSTER", "INFO", (char *)NULL);
	command_format(out, "CLUSTER", "SLOTS", (char *)NULL);
}

static int
ask_node(struct node *node, struct view *view, struct fail *fail)
{
	struct buf questions = BUF_INIT(256);
	struct reply *replies[2] = { NULL };
	struct request request = {
		.expected = 2,
		.replies = replies,
		.max_bytes = MAP_BYTES,
		.deadline_ms = link_deadline(node->link),
	};
	int rc;

	add_questions(&questions);
	request.bytes = buf_span(&questions);
	rc = link_ask(node->link, &request, fail);
	if (rc == 0)
		rc = read_view(replies, &node->url, view, fail);
	link_request_clear(&request);
	buf_fini(&questions);
	return rc;
}

static int
talk_to_seed(const struct cluster *c, const struct url *url,
    const struct transport *transport, struct view *view, struct fail *fail)
{
	struct handshake handshake = { .username = c->options.username,
	    .password = c->options.password, .is_cluster = true };
	int64_t deadline_ms = clock_monotonic_ms() + c->options.timeout_ms;
	struct reply_reader *reader = reply_reader_new();
	struct buf questions = BUF_INIT(256);
	struct reply *replies[2] = { NULL };
	int rc;

	reply_reader_allow_nested(reader);
	add_questions(&questions);
	rc = handshake_run(transport, reader, &handshake, c->stop_fd,
	    deadline_ms, fail);
	if (rc == 0)
		rc = transport_send_all(transport, buf_span(&questions),
		    c->stop_fd, deadline_ms, fail);
	for (size_t i = 0; i < 2 && rc == 0; i++)
		rc = transport_read_reply(transport, reader, c->stop_fd,
		    deadline_ms, &replies[i], fail);
	if (rc == 0)
		rc = read_view(replies, url, view, fail);
	reply_free(&replies[0]);
	reply_free(&replies[1]);
	buf_fini(&questions);
	reply_reader_free(&reader);
	return rc;
}

/* One that the configuration names, over a connection for this only. */
static int
ask_seed(const struct cluster *c, const struct url *url, struct view *view,
    struct fail *fail)
{
	struct transport transport;
	int rc;

	if (transport_open(url, &c->files, c->options.timeout_ms, c->stop_fd,
	    &transport, fail) == -1)
		return -1;
	rc = talk_to_seed(c, url, &transport, view, fail);
	transport_close(&transport);
	if (rc == -1)
		(void)fail_prefix(fail, "redis%s://%s:%s",
		    url->is_tls ? "s" : "", url->host, url->port);
	return rc;
}

/* Takes one more view: the better one stays.  Is it good enough? */
static bool
take_view(struct cluster *c, struct view *best, struct view *view)
{
	bool better = best->map == NULL ||
	    (view->is_ok && !best->is_ok) ||
	    (view->is_ok == best->is_ok && view->epoch > best->epoch);
	bool good;

	free(better ? best->map : view->map);
	if (better)
		*best = *view;
	(void)pthread_mutex_lock(&c->lock);
	good = best->is_ok && best->epoch >= c->epoch;
	(void)pthread_mutex_unlock(&c->lock);
	return good;
}

/* By those that have a link which is up.  Returns whether it will do. */
static bool
ask_nodes(struct cluster *c, struct view *best, struct fail *fail)
{
	struct node **nodes;
	size_t n = cluster_hold_each(c, false, &nodes);
	bool good = false;
	struct view view;

	for (size_t i = 0; i < n; i++) {
		struct node *node = nodes[(c->turn + i) % n];

		if (!good && link_is_up(node->link) &&
		    ask_node(node, &view, fail) == 0)
			good = take_view(c, best, &view);
	}
	c->turn++;
	for (size_t i = 0; i < n; i++)
		cluster_release(c, nodes[i]);
	free(nodes);
	return good;
}

static bool
is_stopping(struct cluster *c)
{
	bool stop;

	(void)pthread_mutex_lock(&c->lock);
	stop = c->stop;
	(void)pthread_mutex_unlock(&c->lock);
	return stop;
}

static bool
ask_seeds(struct cluster *c, struct view *best, struct fail *fail)
{
	struct view view;
	struct fail one;

	for (size_t i = 0; i < c->seed_count && !is_stopping(c); i++)
		if (ask_seed(c, &c->seeds[i], &view, &one) == 0) {
			if (take_view(c, best, &view))
				return true;
		} else if (fail->text[0] == '\0' || one.class == FAIL_SETUP) {
			/* What has to be mended says more than who is away. */
			*fail = one;
		}
	return false;
}

static void
adopt(struct cluster *c, const struct view *view)
{
	const struct slots_map *map = view->map;
	struct node *nodes[STORE_PARTITIONS_MAX] = { NULL };
	struct fail fail;

	(void)pthread_mutex_lock(&c->lock);
	c->epoch = view->epoch;
	for (size_t i = 0; i < c->count; i++)
		c->nodes[i]->listed = false;
	for (unsigned i = 0; i < map->count; i++)
		if ((nodes[i] = find_node(c, &map->nodes[i], true, &fail)) !=
		    NULL)
			nodes[i]->listed = true;
	for (unsigned i = 0; i < STORE_PARTITIONS_MAX; i++)
		give_partition(c, i, map->owners[i] == SLOTS_NOBODY ? NULL :
		    nodes[map->owners[i]]);
	(void)fail_set(&c->fail, FAIL_TEMP, "no node of the Redis Cluster has "
	    "the slot");
	(void)pthread_mutex_unlock(&c->lock);
}

/* Without an answer the last map stands.  Returns whether what came will do. */
static bool
look(struct cluster *c)
{
	struct view best = { .map = NULL };
	struct fail fail = { .text = "" };
	bool good;

	(void)pthread_mutex_lock(&c->lock);
	c->doubt = false;
	(void)pthread_mutex_unlock(&c->lock);
	good = ask_nodes(c, &best, &fail);
	if (!good)
		good = ask_seeds(c, &best, &fail);
	if (best.map != NULL)
		adopt(c, &best);
	(void)pthread_mutex_lock(&c->lock);
	if (best.map == NULL)
		c->fail = fail;
	/* Only who opens the store hears that it must not be used. */
	if (c->first_ended)
		c->fail.class = FAIL_TEMP;
	c->first_ended = true;
	(void)pthread_cond_broadcast(&c->changed);
	(void)pthread_mutex_unlock(&c->lock);
	free(best.map);
	return good;
}

/*
 * The thread.
 */

/* How many partitions are not served, and why the first is not.  With the lock
 * held. */
static unsigned
count_unserved(const struct cluster *c, struct fail *why, size_t *primaries)
{
	unsigned n = 0;

	*primaries = 0;
	for (size_t i = 0; i < c->count; i++)
		*primaries += c->nodes[i]->partitions > 0;
	for (unsigned i = STORE_PARTITIONS_MAX; i-- > 0;) {
		const struct node *node = c->owners[i];

		/* It may not have been told yet. */
		if (node != NULL && (node->up || link_is_up(node->link)))
			continue;
		n++;
		*why = node != NULL ? node->why : c->fail;
	}
	return n;
}

bool
cluster_is_up(struct cluster *c)
{
	bool up = true;

	(void)pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i < STORE_PARTITIONS_MAX && up; i++)
		up = c->owners[i] != NULL && link_is_up(c->owners[i]->link);
	(void)pthread_mutex_unlock(&c->lock);
	return up;
}

static void
tell(struct cluster *c)
{
	char text[sizeof(((struct fail *)0)->text) + 64];
	struct fail why;
	size_t primaries;
	unsigned unserved;
	bool opened;

	(void)pthread_mutex_lock(&c->lock);
	unserved = count_unserved(c, &why, &primaries);
	c->news = false;
	c->doubt |= unserved > 0;
	opened = c->opened;
	(void)pthread_mutex_unlock(&c->lock);
	if (!opened || (c->told && c->told_up == (unserved == 0)))
		return;
	c->told = true;
	c->told_up = unserved == 0;
	if (unserved == 0)
		(void)snprintf(text, sizeof(text),
		    "Redis Cluster with %zu primaries", primaries);
	else
		(void)snprintf(text, sizeof(text), "%u of %u parts of the "
		    "Redis Cluster: %s", unserved, STORE_PARTITIONS_MAX,
		    why.text);
	if (c->options.on_state != NULL)
		c->options.on_state(c->told_up, text, c->options.context);
}

/* Waits until there is something to do.  Is it to look at the map? */
static bool
await_reason(struct cluster *c)
{
	int64_t due_ms;
	bool due;

	(void)pthread_mutex_lock(&c->lock);
	for (;;) {
		struct timespec ts;

		due_ms = c->next_ms + (c->doubt ? 0 : LATER_MS);
		due = clock_monotonic_ms() >= due_ms;
		if (c->stop || c->news || due)
			break;
		ts = clock_deadline(due_ms);
		(void)pthread_cond_timedwait(&c->changed, &c->lock, &ts);
	}
	(void)pthread_mutex_unlock(&c->lock);
	return due;
}

static void *
keep_looking(void *context)
{
	struct cluster *c = context;

	do {
		bool good = look(c);

		c->delay_ms = good ? SOON_MS : c->delay_ms * 2;
		if (c->delay_ms > SOON_MAX_MS)
			c->delay_ms = SOON_MAX_MS;
		c->next_ms = clock_monotonic_ms() + c->delay_ms;
		do {
			tell(c);
			reap(c);
		} while (!is_stopping(c) && !await_reason(c));
	} while (!is_stopping(c));
	return NULL;
}

/*
 * From open to close.
 */

static void
copy_options(struct cluster *c, const struct store_options *options)
{
	c->options = *options;
	c->options.url = NULL;
	c->options.cluster = "";	/* links only ask whether it is set */
	c->options.sentinels = c->options.read_from = NULL;
	if (options->username != NULL)
		c->options.username = c->username = xstrdup(options->username);
	if (options->password != NULL)
		c->options.password = c->password = xstrdup(options->password);
	tls_copy_files(&c->files, options);
	c->options.ca_file = c->files.ca_file;
	c->options.certificate = c->files.certificate;
	c->options.key = c->files.key;
}

static void
cluster_free(struct cluster *c)
{
	for (size_t i = 0; i < c->count; i++) {
		link_close(&c->nodes[i]->link);
		free(c->nodes[i]);
	}
	if (c->stop_fd != -1)
		(void)close(c->stop_fd);
	(void)pthread_cond_destroy(&c->changed);
	(void)pthread_mutex_destroy(&c->lock);
	free(c->username);
	if (c->password != NULL)
		explicit_bzero(c->password, strlen(c->password));
	free(c->password);
	tls_free_files(&c->files);
	free(c->seeds);
	free(c);
}

static int
cluster_new(const struct store_options *options, struct cluster **out,
    struct fail *fail)
{
	struct cluster *c;
	struct url url;

	if (url_parse(options->url, &url, fail) == -1)
		return -1;
	if (url.is_unix || url.database != 0)
		return fail_set(fail, FAIL_SETUP, "with a cluster the Redis "
		    "URL begins with redis:// or rediss://, and the database "
		    "is 0");
	c = xcalloc(1, sizeof(*c));
	c->stop_fd = -1;
	c->delay_ms = SOON_MS;
	copy_options(c, options);
	(void)pthread_mutex_init(&c->lock, NULL);
	clock_cond_init(&c->changed);
	if (url_parse_hosts(options->cluster, url.is_tls, &c->seeds,
	    &c->seed_count, fail) == -1 ||
	    (url.is_tls && tls_check_files(&c->files, fail) == -1)) {
		cluster_free(c);
		return -1;
	}
	*out = c;
	return 0;
}

/* Waits for the first map, and then for the first attempt of each link.
 * Returns 0, or -1 when this cluster must not be used. */
static int
await_first(struct cluster *c, struct fail *fail)
{
	int64_t until_ms = clock_monotonic_ms() + 2 * c->options.timeout_ms;
	struct timespec ts = clock_deadline(until_ms);
	struct node **nodes;
	struct fail one;
	size_t n;
	int rc = 0;

	(void)pthread_mutex_lock(&c->lock);
	(void)fail_set(&one, FAIL_TEMP, "the Redis Cluster did not answer");
	while (!c->first_ended && rc == 0)
		rc = pthread_cond_timedwait(&c->changed, &c->lock, &ts);
	*fail = c->first_ended ? c->fail : one;
	(void)pthread_mutex_unlock(&c->lock);
	if (fail->class == FAIL_SETUP)
		return -1;
	rc = 0;
	n = cluster_hold_each(c, false, &nodes);
	if (n > 0)
		fail->text[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		if (rc == 0 && link_await(nodes[i]->link, until_ms, &one) ==
		    -1)
			rc = -1;
		if (one.text[0] != '\0')
			*fail = one;
		cluster_release(c, nodes[i]);
	}
	free(nodes);
	return rc;
}

int
cluster_open(const struct store_options *options, struct cluster **out,
    struct fail *fail)
{
	struct cluster *c;
	int err;

	if (cluster_new(options, &c, fail) == -1)
		return -1;
	c->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = c->stop_fd == -1 ? errno :
	    pthread_create(&c->thread, NULL, keep_looking, c);
	if (err != 0) {
		cluster_free(c);
		return fail_errno(fail, FAIL_SETUP, err,
		    "starting the cluster's thread");
	}
	if (await_first(c, fail) == -1) {
		cluster_close(&c);
		return -1;
	}
	(void)pthread_mutex_lock(&c->lock);
	c->opened = c->news = true;
	(void)pthread_cond_broadcast(&c->changed);
	(void)pthread_mutex_unlock(&c->lock);
	*out = c;
	return 0;
}

void
cluster_close(struct cluster **cp)
{
	struct cluster *c = *cp;
	uint64_t one = 1;

	if (c == NULL)
		return;
	(void)pthread_mutex_lock(&c->lock);
	c->stop = true;
	(void)pthread_cond_broadcast(&c->changed);
	(void)pthread_mutex_unlock(&c->lock);
	(void)!write(c->stop_fd, &one, sizeof(one));
	(void)pthread_join(c->thread, NULL);
	cluster_free(c);
	*cp = NULL;
}
