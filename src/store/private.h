/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of this room share.  hiredis' parser is known to reply.c
 * alone, OpenSSL to tls.c, the connection to link.c, dial.c and transport.c,
 * Redis' manners to handshake.c, how old a replica's data are to freshness.c
 * and replica.c, the nodes of a cluster to slots.c, cluster.c and errand.c,
 * what keys and values mean to store.c, apply.c, spread.c, upkeep.c and
 * merge.lua.
 */
#ifndef STORE_PRIVATE_H
#define STORE_PRIVATE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <sys/un.h>

#include "base/buf.h"
#include "base/fail.h"
#include "base/span.h"
#include "consent/event.h"
#include "consent/record.h"
#include "store/store.h"

/*
 * url.c: where Redis is.
 */
#define URL_HOST_MAX	255

struct url {
	bool		is_unix;
	bool		is_tls;
	char		path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char		host[URL_HOST_MAX + 1];
	char		port[sizeof("65535")];
	unsigned	database;
};

/* Returns 0, or -1 with FAIL_SETUP. */
int	url_parse(const char *text, struct url *out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* "host:port" alone. */
int	url_parse_host(struct span text, bool is_tls, struct url *out,
	    struct fail *fail) __attribute__((warn_unused_result));
/* Several of them with blanks between; *out is to be freed. */
int	url_parse_hosts(const char *text, bool is_tls, struct url **out,
	    size_t *count, struct fail *fail)
	    __attribute__((warn_unused_result));
/* "redis://host:port", or with rediss://, as people write it. */
void	url_format(struct buf *out, const struct url *url);
/* The same host, port and TLS or not? */
bool	url_is_same(const struct url *a, const struct url *b);
/* Another host and port for a URL.  A host with colons is an IPv6 address. */
int	url_set_host(struct url *url, struct span host, struct span port,
	    struct fail *fail) __attribute__((warn_unused_result));

/*
 * command.c: requests in RESP, binary-safe.  _begin announces count words,
 * each of which _add writes.
 */
void	command_begin(struct buf *out, size_t count);
void	command_add(struct buf *out, struct span word);
/* The same for a few strings, up to a NULL. */
void	command_format(struct buf *out, ...) __attribute__((sentinel));
/* AUTH; username may be NULL. */
void	command_log_in(struct buf *out, const char *username,
	    const char *password);
/*
 * Keys.  A person's is "c:" and the subject in hexadecimal; of several
 * partitions, where all keys of one are in the same slot, "c:{ab}abcd..." with
 * the partition as hash tag, in hexadecimal as well.  Cursors are in "c:applied"
 * or "c:applied:{ab}".
 */
void	command_key(struct buf *out, const struct subject *subject,
	    unsigned partitions);
void	command_cursor_key(struct buf *out, unsigned partition,
	    unsigned partitions);

/*
 * reply.c: answers, from a peer that is not trusted.  One reader per
 * connection, used by one thread at a time; replies belong to whoever took
 * them.
 */
enum reply_type {
	REPLY_STRING,
	REPLY_ARRAY,
	REPLY_INTEGER,
	REPLY_NIL,
	REPLY_STATUS,
	REPLY_ERROR
};

struct reply {
	enum reply_type	  type;
	size_t		  len;		/* bytes of text, or elements */
	long long	  integer;
	struct reply	**elements;	/* of an array, in place of a text;
					   may be arrays */
	unsigned char	  text[];	/* of a string, a status, an error */
};

struct reply_reader;
struct reply_reader *reply_reader_new(void) __attribute__((returns_nonnull));
/* Arrays within arrays are an error but for those that CLUSTER SLOTS has, and
 * only after this. */
void	reply_reader_allow_nested(struct reply_reader *reader);
void	reply_reader_free(struct reply_reader **reader);
/*
 * Takes bytes; then _next gives one reply after the other.  Returns 1, 0 when
 * more bytes are needed, and -1 with FAIL_TEMP when this is not RESP, or more
 * than max_bytes came without an end.  After -1 the reader is only to be
 * freed.
 */
int	reply_reader_feed(struct reply_reader *reader, const void *p,
	    size_t len, struct fail *fail) __attribute__((warn_unused_result));
int	reply_reader_next(struct reply_reader *reader, size_t max_bytes,
	    struct reply **out, struct fail *fail)
	    __attribute__((warn_unused_result));
const char *reply_library_version(void);
/* Accepts NULL. */
void	reply_free(struct reply **reply);
struct span reply_span(const struct reply *reply);
/*
 * Fails with the error that Redis answered, sanitised and cut, or with
 * "unexpected answer".  Always returns -1 with FAIL_TEMP.
 */
int	reply_fail(const struct reply *reply, struct fail *fail);
/* The same with the text of a string. */
int	reply_fail_text(const struct reply *reply, struct fail *fail);
/* Is it an error whose first word is this one? */
bool	reply_is_error(const struct reply *reply, const char *word);
/* The value behind "name:" at the start of a line, in the answer to INFO; ""
 * when there is none. */
struct span reply_info(const struct reply *reply, const char *name);
struct span reply_text_info(struct span text, const char *name);
/* The answer to HMGET key LIST *.  Returns 1, 0, -1 as store_lookup(). */
int	reply_to_record(const struct reply *reply, struct record *out,
	    struct fail *fail) __attribute__((warn_unused_result));
/* The answer to HGETALL key, as store_visit(); nothing is visited unless all
 * of it is good. */
int	reply_visit(const struct reply *reply,
	    void (*visit)(const char *list, const struct record *record,
	    const struct evidence *evidence, void *context), void *context,
	    struct fail *fail) __attribute__((warn_unused_result));

/*
 * dial.c: sockets with a deadline (clock_monotonic_ms).  Waiting ends early,
 * with FAIL_TEMP, when stop_fd can be read.
 */
int	dial_wait(int fd, short events, int stop_fd, int64_t deadline_ms,
	    struct fail *fail) __attribute__((warn_unused_result));
/* Returns a connected, non-blocking socket, or -1 with FAIL_TEMP. */
int	dial_open(const struct url *url, int timeout_ms, int stop_fd,
	    struct fail *fail) __attribute__((warn_unused_result));

/*
 * tls.c: one TLS connection, on a socket that stays the caller's.  _send and
 * _recv may be called by two threads at a time, the others not.
 */
struct tls_files {
	char		*ca_file;	/* NULL: those of the system */
	char		*certificate;	/* NULL: none; else with key */
	char		*key;
};

/* Out of options; and frees them. */
void	tls_copy_files(struct tls_files *files,
	    const struct store_options *options);
void	tls_free_files(struct tls_files *files);

struct tls;
/* Can the files be used?  Returns 0, or -1 with FAIL_SETUP. */
int	tls_check_files(const struct tls_files *files, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Shakes hands; host is whom the certificate has to name (RFC 9525).  Returns
 * 0, or -1 with FAIL_TEMP, or FAIL_SETUP when it is our own files. */
int	tls_open(const struct tls_files *files, const char *host, int fd,
	    int stop_fd, int64_t deadline_ms, struct tls **out,
	    struct fail *fail) __attribute__((warn_unused_result));
/* Accepts NULL. */
void	tls_close(struct tls **tls);
/* As send() and recv() on a non-blocking socket; EPROTO: see _explain. */
ssize_t	tls_send(struct tls *tls, const void *p, size_t len);
ssize_t	tls_recv(struct tls *tls, void *p, size_t len);
/* Was more read from the socket than _recv gave?  poll() does not know. */
bool	tls_is_pending(struct tls *tls);
/* When the certificate of Redis ends, Unix milliseconds; 0: not known. */
int64_t	tls_certificate_ends_ms(struct tls *tls);
/* Why TLS ended the connection; false when it did not.  For one thread. */
bool	tls_explain(struct tls *tls, struct fail *fail);

/*
 * transport.c: bytes over a non-blocking socket, through TLS unless that is
 * NULL.
 */
struct transport {
	int		 fd;		/* -1: none */
	struct tls	*tls;		/* NULL: plain */
};

/* Connects, with timeout_ms for that and as much again for TLS.  Returns 0,
 * or -1 as dial_open() and tls_open(). */
int	transport_open(const struct url *url, const struct tls_files *files,
	    int timeout_ms, int stop_fd, struct transport *out,
	    struct fail *fail) __attribute__((warn_unused_result));
void	transport_close(struct transport *transport);
/* As send() and recv(); SIGPIPE is not raised. */
ssize_t	transport_send(const struct transport *transport, const void *p,
	    size_t len);
ssize_t	transport_recv(const struct transport *transport, void *p,
	    size_t len);
/* Is there more that poll() does not know of? */
bool	transport_is_pending(const struct transport *transport);
/* All of it, or one reply, before the deadline.  Return 0, or -1 with
 * FAIL_TEMP. */
int	transport_send_all(const struct transport *transport,
	    struct span bytes, int stop_fd, int64_t deadline_ms,
	    struct fail *fail) __attribute__((warn_unused_result));
int	transport_read_reply(const struct transport *transport,
	    struct reply_reader *reader, int stop_fd, int64_t deadline_ms,
	    struct reply **out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* After -1, or 0 of _recv: says what happened.  Always returns -1 with
 * FAIL_TEMP. */
int	transport_fail(const struct transport *transport, ssize_t n, int err,
	    const char *doing, struct fail *fail);

/*
 * handshake.c: what is said on a new connection, and whether this Redis may be
 * used at all.
 */
struct handshake {
	const char	*username;	/* may be NULL; all borrowed */
	const char	*password;	/* may be NULL */
	unsigned	 database;
	bool		 is_primary;	/* it must be one */
	bool		 is_cluster;	/* it must be a node of one, or not */
	char		 version[32];	/* out: "Redis 7.0.15" */
};

/* Returns 0, or -1 with FAIL_TEMP, or FAIL_SETUP when it must not be used. */
int	handshake_run(const struct transport *transport,
	    struct reply_reader *reader, struct handshake *handshake, int stop_fd, int64_t deadline_ms,
	    struct fail *fail) __attribute__((warn_unused_result));
/* The answers to INFO server, INFO memory and INFO replication. */
int	handshake_check_version(const struct reply *reply, char *version,
	    size_t size, struct fail *fail) __attribute__((warn_unused_result));
int	handshake_check_policy(const struct reply *reply, struct fail *fail)
	    __attribute__((warn_unused_result));
/* INFO server again. */
int	handshake_check_mode(const struct reply *reply, bool is_cluster,
	    struct fail *fail) __attribute__((warn_unused_result));
int	handshake_check_role(const struct reply *reply, struct fail *fail)
	    __attribute__((warn_unused_result));

/*
 * sentinel.c: where the primary is.  Each object is for one thread.
 */
struct primary {
	struct url	 url;		/* is_tls and database are the caller's */
	uint64_t	 epoch;		/* of the failover that made it so */
};

struct sentinels;
/* Of options: sentinels, master, their user and password, timeout_ms.  files
 * is borrowed.  Returns 0, or -1 with FAIL_SETUP. */
int	sentinel_new(const struct store_options *options,
	    const struct tls_files *files, bool is_tls,
	    struct sentinels **out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Accepts NULL. */
void	sentinel_free(struct sentinels **sentinels);
/*
 * Asks one after the other, each for timeout_ms at most, until one answers
 * that knows of this epoch; where none does, out is what the best of them
 * knows.  Returns 0, or -1 with FAIL_TEMP when none answers.
 */
int	sentinel_ask(struct sentinels *sentinels, uint64_t epoch, int stop_fd,
	    struct primary *out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* The answers to SENTINEL get-master-addr-by-name and SENTINEL MASTER. */
int	sentinel_read(const struct reply *address, const struct reply *details,
	    struct primary *out, struct fail *fail)
	    __attribute__((warn_unused_result));

/* A thread that asks twice a second and tells each answer.  Takes sentinels,
 * also when it fails; url is what answers are filled into.  Returns 0, or -1
 * with FAIL_SETUP. */
struct watch;
int	sentinel_watch(struct sentinels *sentinels, const struct url *url,
	    void (*hear)(const struct primary *primary, void *context),
	    void *context, struct watch **out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Accepts NULL. */
void	sentinel_unwatch(struct watch **watch);

/*
 * stats.c: what a link counts.  Thread-safe.
 */
struct stats {			/* all zero at the start */
	_Atomic uint64_t attempts;
	_Atomic uint64_t connections;
	_Atomic uint64_t failures[STORE_FAILURES];
	_Atomic uint64_t failed_fast;
	struct histogram latency;
	_Atomic int64_t	 average_us;
};

void	stats_count_attempt(struct stats *stats);
void	stats_count_connection(struct stats *stats);
void	stats_count_failure(struct stats *stats, enum store_failure kind);
void	stats_count_failed_fast(struct stats *stats);
void	stats_count_answer(struct stats *stats, int64_t us);
/* Adds to *sum; of averages the larger stays. */
void	stats_sum(const struct stats *stats, struct store_stats *sum);
/* The counters of what has ended, without its average. */
void	stats_add_sum(const struct store_stats *part, struct store_stats *sum);

/*
 * link.c: the connection that all threads share.
 */
#define LINK_REPLY_SMALL	((size_t)64 * 1024)
#define LINK_REPLY_LARGE	((size_t)1024 * 1024)

/* Commands of one caller, sent together.  The memory is the caller's, from
 * _start to the end of _finish, and must stay where it is. */
struct request {
	struct span	 bytes;		/* the commands; borrowed */
	size_t		 expected;	/* how many replies they have */
	struct reply	**replies;	/* room for them; link.c fills it */
	size_t		 max_bytes;	/* of one reply */
	int64_t		 deadline_ms;	/* clock_monotonic_ms() */
	uint64_t	 connection;	/* out: on which the replies came */

	int64_t		 started_us;	/* of link.c, as what follows */
	TAILQ_ENTRY(request) entry;
	size_t		 received;
	unsigned	 tries;
	bool		 queued;
	bool		 waiting;	/* for a connection; else sent */
	bool		 asleep;	/* its caller is, until posted */
	bool		 reads;		/* posted because it falls to him */
	unsigned	 posts;
	_Atomic bool	 done;
	bool		 failed;
	struct fail	 fail;
	sem_t		 posted;
};

struct link;
/* _new starts the thread without waiting for anything, _open waits as
 * store_open() does. */
int	link_new(const struct store_options *options, struct link **out,
	    struct fail *fail) __attribute__((warn_unused_result));
int	link_open(const struct store_options *options, struct link **out,
	    struct fail *fail) __attribute__((warn_unused_result));
/* After _new: waits for the first attempt to end.  Returns 0 with *fail as
 * store_open(), or -1 with FAIL_SETUP. */
int	link_await(struct link *link, int64_t deadline_ms, struct fail *fail)
	    __attribute__((warn_unused_result));
void	link_close(struct link **link);
bool	link_is_up(struct link *link);
/* The number of the last connection, which no other has and later ones pass; 0
 * before the first. */
uint64_t link_connection(struct link *link);
void	link_stats_sum(const struct link *link, struct store_stats *sum);
int64_t	link_deadline(const struct link *link);
/* Sends a request without waiting.  What fails is told by _finish, which has
 * to follow. */
void	link_start(struct link *link, struct request *request);
/* Waits for all replies.  Returns 0, or -1 with FAIL_TEMP; either way the
 * caller frees the replies that are there (link_request_clear). */
int	link_finish(struct link *link, struct request *request,
	    struct fail *fail) __attribute__((warn_unused_result));
void	link_request_clear(struct request *request);
/* Somebody was told that this Redis takes no writes.  Where Sentinels are
 * asked, the connection is ended, so that they are asked again. */
void	link_distrust(struct link *link);
/* link_start and link_finish. */
int	link_ask(struct link *link, struct request *request,
	    struct fail *fail) __attribute__((warn_unused_result));

/*
 * freshness.c: how old the data of a replica are.  The primary is asked how far
 * it is, then the replica how far it has come in the same history: it has all
 * that the primary had when that was asked.  Pure; times are the caller's.
 */
#define HISTORY_ID_LEN	40

/* How far a Redis is, and in which history: another one when a primary starts
 * anew, or a replica takes its place. */
struct position {
	bool		is_primary;
	bool		is_linked;	/* a primary, or in touch with it */
	char		history[HISTORY_ID_LEN + 1];
	uint64_t	offset;
};

/* The answer to INFO replication.  Returns 0, or -1 with FAIL_TEMP. */
int	freshness_read(const struct reply *reply, struct position *out,
	    struct fail *fail) __attribute__((warn_unused_result));

/* As many as cover twice the bound. */
#define FRESHNESS_SAMPLES	16

struct freshness {		/* all zero but within_ms: nothing is known */
	int		 within_ms;	/* the bound */
	struct {
		int64_t		at_ms;
		struct position	position;
	} samples[FRESHNESS_SAMPLES];	/* of the primary */
	size_t		 taken;		/* all there have been */
	/* What the replica has on this connection.  On another there may be
	 * one that was started with an old dump. */
	bool		 is_proven;
	int64_t		 proven_ms;	/* all that the primary had then */
	uint64_t	 connection;
};

/* at_ms: before the primary was asked.  Returns 0, or -1 with FAIL_TEMP when it
 * isn't the primary. */
int	freshness_add(struct freshness *freshness,
	    const struct position *primary, int64_t at_ms, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Where the replica is.  Returns 0, or -1 with FAIL_TEMP when that proves
 * nothing. */
int	freshness_prove(struct freshness *freshness,
	    const struct position *replica, uint64_t connection,
	    struct fail *fail) __attribute__((warn_unused_result));
/* Are the data not older than the bound? */
bool	freshness_holds(const struct freshness *freshness, int64_t now_ms);

/*
 * replica.c: the connection to a replica, and a thread that keeps an eye on how
 * old its data are.
 */
struct replica;
/* Of options as link_open(), and read_from, read_within_ms.  primary is
 * borrowed.  Returns 0 with *fail as store_open(), or -1 with FAIL_SETUP. */
int	replica_open(const struct store_options *options, struct link *primary,
	    struct replica **out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Accepts NULL. */
void	replica_close(struct replica **replica);
struct link *replica_link(struct replica *replica);
/* Are its data new enough now?  Returns 0, or -1 with FAIL_TEMP. */
int	replica_check(struct replica *replica, struct fail *fail)
	    __attribute__((warn_unused_result));
/*
 * Were they, in answers that just came on this connection?  Returns 1; 0 when
 * the connection is a new one about which nothing was known until now: then ask
 * again; or -1 with FAIL_TEMP.
 */
int	replica_check_answer(struct replica *replica, uint64_t connection,
	    struct fail *fail) __attribute__((warn_unused_result));

/*
 * slots.c: what the nodes of a cluster say about who has what.  Pure.
 */
#define SLOTS		16384
#define SLOTS_NOBODY	UINT16_MAX

/* A key's slot, by what is between its first "{" and the next "}", or by all of
 * it; and that of all keys of a partition. */
unsigned slots_of_key(struct span key);
unsigned slots_of_partition(unsigned partition);

struct redirect {
	bool		is_ask;		/* this once; else from now on */
	struct url	url;		/* in: who was asked; out: who to ask */
};
/* Returns 1 when the answer is MOVED or ASK for this slot, 0 when it is
 * something else, and -1 with FAIL_TEMP when it is for another slot or has no
 * address. */
int	slots_read_redirect(const struct reply *reply, unsigned slot,
	    struct redirect *redirect, struct fail *fail)
	    __attribute__((warn_unused_result));

struct slots_map {
	struct url	nodes[STORE_PARTITIONS_MAX];
	unsigned	count;		/* of those that have any of ours */
	uint16_t	owners[STORE_PARTITIONS_MAX];	/* or SLOTS_NOBODY */
};
/* Nobody has anything yet.  To be freed. */
struct slots_map *slots_map_new(void) __attribute__((returns_nonnull));
/* The answer of `asked' to CLUSTER SLOTS.  Returns 0, or -1 with FAIL_TEMP, or
 * FAIL_SETUP when our user may not ask. */
int	slots_read_map(const struct reply *reply, const struct url *asked,
	    struct slots_map *map, struct fail *fail)
	    __attribute__((warn_unused_result));
/* That to CLUSTER INFO; epoch grows with each failover. */
int	slots_read_info(const struct reply *reply, bool *is_ok,
	    uint64_t *epoch, struct fail *fail)
	    __attribute__((warn_unused_result));

/*
 * cluster.c: a link to each node, and who has which partition.  Locks inside.
 * A node that is held stays until it is released.
 */
struct cluster;
struct node;
/* Of options as link_open(), and cluster.  Returns as store_open(). */
int	cluster_open(const struct store_options *options,
	    struct cluster **out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Accepts NULL. */
void	cluster_close(struct cluster **cluster);
/* Are all partitions served? */
bool	cluster_is_up(struct cluster *cluster);
void	cluster_stats_sum(struct cluster *cluster, struct store_stats *sum);
/* Who has this partition; NULL with FAIL_TEMP: nobody. */
struct node *cluster_hold(struct cluster *cluster, unsigned partition,
	    struct fail *fail);
/* The node where a redirection sends us; with MOVED it has the partition from
 * now on.  NULL with FAIL_TEMP when there are too many. */
struct node *cluster_hold_redirected(struct cluster *cluster,
	    unsigned partition, const struct redirect *redirect,
	    struct fail *fail);
/* All nodes that have anything, or with `all' all that are known; the caller
 * releases each and frees the array. */
size_t	cluster_hold_each(struct cluster *cluster, bool all,
	    struct node ***nodes);
void	cluster_release(struct cluster *cluster, struct node *node);
struct link *cluster_link(struct node *node);
const struct url *cluster_url(const struct node *node);
/* Something is not as the map says: it is read anew, soon. */
void	cluster_doubt(struct cluster *cluster);

/*
 * errand.c: commands that go to whoever has their partition.
 */
#define ERRAND_COMMANDS	2

/* Commands for one partition, in this order, each with keys of that partition
 * alone.  While its slot is on its way, they may be answered by different
 * nodes, unless they are tied: then the last ones follow the first. */
struct errand {
	unsigned	 partition;
	bool		 is_tied;
	size_t		 count;
	size_t		 ends[ERRAND_COMMANDS];	/* in the bytes of all */
	struct reply	*replies[ERRAND_COMMANDS];
	bool		 failed;	/* then there are no replies */

	/* Of errand.c. */
	struct node	*node;		/* held */
	struct batch	*batch;
	size_t		 done;		/* commands that are answered */
	size_t		 sent;		/* of the batch */
	bool		 is_asking;	/* for the first of them */
	bool		 is_pending;
};

/*
 * Sends all errands, whose commands follow each other in bytes, and waits for
 * the answers, wherever the nodes redirect us.  Errors that are no redirections
 * are answers.  Returns 0, or -1 with FAIL_TEMP when any has failed (*fail: the
 * first); either way the caller frees the replies (errand_clear).
 */
int	errand_run(struct cluster *cluster, struct errand *errands, size_t n,
	    struct span bytes, size_t max_bytes, int64_t deadline_ms,
	    struct fail *fail) __attribute__((warn_unused_result));
void	errand_clear(struct errand *errands, size_t n);

/*
 * apply.c: events, merged by a script on the server.
 */
#define SCRIPT_SHA_LEN	40

struct script {
	pthread_mutex_t	lock;
	char		sha[SCRIPT_SHA_LEN + 1]; /* "" until Redis has told */
};

/* How many replicas have to have it, and how long they may take. */
struct wait {
	int	replicas;	/* 0: WAIT is not sent */
	int	ms;		/* at least 1 */
};

/* Events of one partition, one after the other, and its cursor. */
struct job {
	const struct event *events;
	const size_t	*order;		/* which of them; NULL: all */
	size_t		 n;
	unsigned	 partition;
	unsigned	 partitions;
	const struct store_progress *progress;	/* NULL: no cursor */
	uint64_t	 to;		/* what the cursor becomes */
};

/* The script, called for the events of a job from `from' to before `end'. */
void	apply_add_call(struct buf *out, const char *sha,
	    const struct job *job, size_t from, size_t end);
/* Its answer, for k events: 1 when all are merged, 0 when Redis does not know
 * the script, -1 with *fail otherwise, FAIL_INPUT when it is a person's record.
 * *applied grows by those that are. */
int	apply_read_merged(const struct reply *reply, size_t k,
	    size_t *applied, struct fail *fail)
	    __attribute__((warn_unused_result));
void	apply_add_wait(struct buf *out, const struct wait *wait);
int	apply_read_waited(const struct reply *reply, const struct wait *wait,
	    struct fail *fail) __attribute__((warn_unused_result));
/* Can these events, with these cursors, be?  Returns 0, or -1 with FAIL_BUG. */
int	apply_check(const struct event *events, size_t n,
	    const struct store_progress *progress, struct fail *fail)
	    __attribute__((warn_unused_result));
/* What Redis said last the script's digest is; "" when it has not. */
void	apply_get_sha(struct script *script, char sha[SCRIPT_SHA_LEN + 1]);
/* Gives the script to a Redis.  Returns 0, or -1 with FAIL_TEMP. */
int	apply_load_script(struct link *link, struct script *script,
	    struct fail *fail) __attribute__((warn_unused_result));
bool	apply_is_lost(const struct fail *fail);

/* store_apply_from() on one Redis. */
int	apply_events(struct link *link, struct script *script,
	    const struct event *events, size_t n,
	    struct store_progress *progress, size_t *applied,
	    struct fail *fail) __attribute__((warn_unused_result));
/* Waits until they have what apply_events() has moved progress to.  Returns 0,
 * or -1 with FAIL_TEMP. */
int	apply_wait(struct link *link, struct script *script,
	    struct store_progress *progress, const struct wait *wait,
	    struct fail *fail) __attribute__((warn_unused_result));

/*
 * spread.c: the same on a cluster, with wait.
 */
int	spread_events(struct cluster *cluster, struct script *script,
	    const struct event *events, size_t n,
	    struct store_progress *progress, const struct wait *wait,
	    int timeout_ms, size_t *applied, struct fail *fail)
	    __attribute__((warn_unused_result));

/*
 * upkeep.c: as the functions of store.h with these names.
 */
/* Is it a cursor's id? */
int	upkeep_check_id(const char *id, struct fail *fail)
	    __attribute__((warn_unused_result));
/* HMGET for a cursor, not HGET, which the filter's user may not use; and its
 * answer, 0 where there is no cursor.  Returns 0, or -1 with FAIL_TEMP. */
void	upkeep_add_cursor(struct buf *out, const char *id, unsigned partition,
	    unsigned partitions);
int	upkeep_read_cursor(const struct reply *reply, uint64_t *seq,
	    struct fail *fail) __attribute__((warn_unused_result));
void	upkeep_set_cursor(struct buf *out, const char *id, unsigned partition,
	    unsigned partitions, uint64_t seq);
/* The answer to that.  Returns 0, or -1 with FAIL_TEMP. */
int	upkeep_read_set(const struct reply *reply, struct fail *fail)
	    __attribute__((warn_unused_result));
int	upkeep_compact(struct link *link, bool *asked, struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
