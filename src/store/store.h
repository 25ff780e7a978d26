/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The consent cache on Redis (record.h describes keys and values).  One
 * connection serves all threads: each caller writes its own command, and one of
 * those who wait reads the replies of all, so that look-ups of many sessions
 * share the connection, and a caller waits for one round trip at the most.
 *
 * Failure: a command that takes longer than timeout_ms fails and the
 * connection is given up; while there is none, commands fail at once (the
 * breaker) and the store's thread tries to connect again in the background,
 * first at once, then each 100 to 500 ms.  Between the loss of a working
 * connection and the end of the first attempt to replace it, commands wait,
 * within their time-out: a restart or an idle time-out of Redis that is quick
 * costs nobody anything.
 *
 * Every failure is a failure: nothing here ever makes up a record.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fail.h"
#include "base/histogram.h"
#include "consent/event.h"
#include "consent/record.h"
#include "consent/subject.h"

struct store_options {
	/* "unix:/path", "redis://host[:port][/db]" ("[::1]" for IPv6), or the
	 * same with rediss:// for TLS.  Database 0 to 15 may also follow a
	 * unix path as "?db=N". */
	const char	*url;
	const char	*username;	/* NULL: default user */
	const char	*password;	/* NULL: no AUTH is sent */
	/* For rediss://.  PEM files, read at each connection. */
	const char	*ca_file;	/* NULL: those of the system */
	const char	*certificate;	/* ours, with its chain; NULL: none */
	const char	*key;		/* of certificate */
	/* "host:port" with blanks between: of url only TLS or not and the
	 * database count, and the primary that these Sentinels name is used.
	 * They are asked with TLS or without, as the primary is. */
	const char	*sentinels;	/* NULL: none */
	const char	*master;	/* its name; with sentinels */
	/* Theirs, which have nothing to do with those of Redis. */
	const char	*sentinel_username;	/* NULL: default user */
	const char	*sentinel_password;	/* NULL: no AUTH is sent */
	/* "host:port" of some nodes of a Redis Cluster, with blanks between: of
	 * url only TLS or not counts, and the others are found by themselves.
	 * Without sentinels and read_from. */
	const char	*cluster;	/* NULL: none */
	/* A replica, as url, that answers look-ups and tells cursors instead;
	 * NULL: none.  What is older there than read_within_ms counts as not
	 * reachable: on each look-up, the data may lack nothing that the primary
	 * had so long ago, which is measured by the offsets of replication.
	 * username, password and files for TLS serve both. */
	const char	*read_from;
	int		 read_within_ms;	/* 100 to 60000; with read_from */
	int		 wait_replicas;	/* for store_apply_from() */
	int		 timeout_ms;	/* 1 to 60000, connecting included */
	/* Called from the store's thread on each change between reachable and
	 * not, once per change, with the reason, and when another Redis has
	 * become the primary; may be NULL. */
	void		(*on_state)(bool reachable, const char *text,
			    void *context);
	void		*context;
};

/* Checks the form of a URL.  Returns 0, or -1 with FAIL_SETUP. */
int	store_url_check(const char *url, struct fail *fail)
	    __attribute__((warn_unused_result));

/*
 * Starts the store's thread and waits for the first connection attempt to
 * end, timeout_ms at most; with read_from as long for the replica, and twice
 * that for a first comparison; with cluster twice as long, for its nodes as
 * well.  Everything in options is copied.
 *
 * Returns 0 with *out set whether or not Redis can be reached (then *fail, if
 * not NULL, says why: class FAIL_TEMP, otherwise its text is ""), and -1 with
 * FAIL_SETUP when it must not be used: it may evict keys (maxmemory-policy is
 * not noeviction, read from INFO memory), it is older than 6.0, or the URL or
 * a file for TLS is bad.  A certificate of Redis that can't be relied on is
 * FAIL_TEMP, as a wrong password is: who is there may not be Redis.  All of this is checked again at each new connection, and the
 * eviction policy each five seconds; a Redis that must not be used later
 * counts as not reachable.  Thread-safe after _open.
 */
struct store;
int	store_open(const struct store_options *options, struct store **out,
	    struct fail *fail) __attribute__((warn_unused_result));
/* Ends the thread.  No call may be running. */
void	store_close(struct store **store);

/*
 * In a cluster the keys of persons are in as many partitions, each of which is
 * in one slot and has its own cursors; otherwise there is one.  A node that
 * can't be reached costs its partitions only.
 */
#define STORE_PARTITIONS_MAX	256
unsigned store_partitions(const struct store *store);
unsigned store_partition_of(const struct subject *subject,
	    unsigned partitions);

/*
 * The number of the last connection to who answers look-ups, which no other of
 * this process has and later ones pass; 0 before the first.  Behind another
 * number may be a Redis that has less: it was restarted with an old dump, or
 * another took its place.  Not of a cluster, where it is 0.
 */
uint64_t store_connection(struct store *store);

/*
 * Reads what is known about a person for one list: HMGET key LIST *.  Out of
 * fields of before an erasure, which an older version may have left, comes
 * nothing but the erasure (record_normalise).
 * Returns 1 with *out filled, 0 when nothing is recorded (*out all zero), -1
 * with FAIL_TEMP when the store can't be asked or answers nonsense.
 */
int	store_lookup(struct store *store, const struct subject *subject,
	    const char *list, struct record *out, struct fail *fail)
	    __attribute__((warn_unused_result));
/*
 * The same for n persons with one round trip (pipelined; in chunks when n is
 * large) and one time-out for all of them.  results[i] becomes 1, 0 or -1 as
 * above.  Returns 0, or -1 when any of them failed (*fail: the first).
 */
int	store_lookup_many(struct store *store, const struct subject *subjects,
	    size_t n, const char *list, struct record *out, int *results,
	    struct fail *fail) __attribute__((warn_unused_result));

/* A place in a ledger. */
struct store_mark {
	const char	*id;		/* of its cursor, see below */
	/* For each person, that of the partition; without a cluster the first
	 * is for all. */
	const uint64_t	*seqs;
};
/*
 * As store_lookup_many(), from a Redis that has all of a ledger up to there, by
 * its cursor, at the moment of the look-up; one that has not is FAIL_TEMP.
 * With mark NULL it is store_lookup_many().
 */
int	store_lookup_since(struct store *store, const struct store_mark *mark,
	    const struct subject *subjects, size_t n, const char *list,
	    struct record *out, int *results, struct fail *fail)
	    __attribute__((warn_unused_result));

/* Calls visit for each list field of a person and once with list "" before
 * them (the person's own field; its times are in record in every call).  A list
 * of which an erasure leaves nothing is left out.  evidence is NULL where none is kept.  Returns 1, 0 when nothing is recorded,
 * -1 with FAIL_TEMP. */
int	store_visit(struct store *store, const struct subject *subject,
	    void (*visit)(const char *list, const struct record *record,
	    const struct evidence *evidence, void *context), void *context,
	    struct fail *fail) __attribute__((warn_unused_result));

/*
 * Merges events on the server (merge.lua through EVALSHA), pipelined, any
 * number of them, in any order, as often as one likes.  An erasure deletes all
 * that is known about the person and not later than it, fields that can't be
 * read among it (merge.lua); other events fail on those.
 * Returns 0 when Redis has confirmed all, else -1 with FAIL_TEMP; or with
 * FAIL_INPUT when the record of the person whom the event at *applied is about
 * can't be read, which is no reason not to go on with the next.  (*applied, may
 * be NULL, counts those at the front that are confirmed.)
 */
int	store_apply(struct store *store, const struct event *events, size_t n,
	    size_t *applied, struct fail *fail)
	    __attribute__((warn_unused_result));

/*
 * Events of a ledger, and how far Redis has it after them: both at once, in one
 * script, so that a Redis that loses what it confirmed (flushed, restored,
 * failed over to a replica that lags) loses both, and at whatever moment that
 * is, the next events are not taken until it has got what it lost.
 */
struct store_progress {
	const char	*id;		/* of the cursor, see below */
	/* Of each partition: what it has to be; becomes what it is, or after
	 * FAIL_INPUT what was applied reaches to. */
	uint64_t	*from;
	const uint64_t	*seqs;		/* of each event: what it then is */
	/* Without a cluster, after the last; seqs' last or above. */
	uint64_t	 to;
	/* A second cursor (or NULL) that becomes end_to, of each partition,
	 * whatever it is, when all is applied. */
	const char	*end_id;
	const uint64_t	*end_to;
	bool		 lost;		/* set: the cursor is another number */
};
/* As store_apply(); with a cursor that is another number, nothing more is
 * applied: -1 with FAIL_TEMP, and progress->lost.  n may be 0.  With
 * wait_replicas Redis confirms when so many replicas have all that was written
 * to it (WAIT), for which they get half of timeout_ms; without their word it is
 * FAIL_TEMP, and progress->from is where Redis itself is.
 * In a cluster each partition goes its way: what is behind *applied may be
 * applied as well, and progress->from tells. */
int	store_apply_from(struct store *store, const struct event *events,
	    size_t n, struct store_progress *progress, size_t *applied,
	    struct fail *fail) __attribute__((warn_unused_result));

/*
 * How far Redis has a ledger, for each partition its last event: kept in Redis
 * itself (hash "c:applied", or of a partition "c:applied:{ab}", field = id,
 * value = decimal sequence number), so that it goes back with the data when
 * Redis loses writes (flush, old dump, failover).  id is [A-Za-z0-9._-]{1,64},
 * anything else FAIL_BUG.
 *
 * _get returns 0 with store_partitions() numbers (0 when absent), -1 with
 * FAIL_TEMP, also when what is there is no number.  _set sets all of them;
 * returns 0 when Redis has confirmed, else -1 with FAIL_TEMP; then a number may
 * be the old or the new one.  It sets what it is given, also a lower number:
 * that is for making somebody begin anew, and store_apply_from() for what was
 * applied.
 */
int	store_cursor_get(struct store *store, const char *id, uint64_t *seqs,
	    struct fail *fail) __attribute__((warn_unused_result));
int	store_cursor_set(struct store *store, const char *id, uint64_t seq,
	    struct fail *fail) __attribute__((warn_unused_result));

/*
 * After an erasure the append-only file and the dump still hold what was
 * erased, until they are written anew.  Asks Redis for that, without waiting
 * for the end: BGREWRITEAOF when INFO persistence shows aof_enabled, BGSAVE
 * SCHEDULE when Redis has written or read a dump since it started (or does not
 * tell, as Redis 6).  Reading counts the base of an append-only file as a dump,
 * so one may be written where there was none.
 *
 * Returns 0 with *asked true when Redis took all there was to ask, which is
 * nothing when it keeps no files (*fail: text ""); 0 with *asked false when it
 * did not, and *fail says why and what to do: FAIL_SETUP when the ACL lacks the
 * command, FAIL_TEMP when the file is being written just now, perhaps from data
 * of before the erasure, or Redis can't; -1 with FAIL_TEMP when Redis can't be
 * asked.
 *
 * Not reached: a dump of an earlier life of a Redis that has since read only an
 * append-only file without RDB preamble; append-only files of a time before
 * that was switched off; replicas, nodes of a cluster that have no slots any
 * more, backups, and free blocks of the disk.
 * Whether the writing succeeded is told by INFO persistence and Redis' log.
 */
int	store_compact(struct store *store, bool *asked, struct fail *fail)
	    __attribute__((warn_unused_result));

enum store_failure {
	STORE_FAILURE_CONNECT,	/* no connection, TLS, or Sentinel's word */
	STORE_FAILURE_REFUSED,	/* connected, and of no use: password, version,
				   role, maxmemory-policy */
	STORE_FAILURE_TIMEOUT,	/* no answer within timeout_ms */
	STORE_FAILURE_CLOSED,	/* by Redis, while in use */
	STORE_FAILURE_PROTOCOL,	/* an answer that makes no sense */
	STORE_FAILURE_OVERLOAD,	/* too many requests under way */
	STORE_FAILURE_ERROR	/* a command was answered with an error */
};
#define STORE_FAILURES	(STORE_FAILURE_ERROR + 1)
const char *store_failure_name(enum store_failure kind);

/* Since _open, of all connections of the store together. */
struct store_stats {
	uint64_t	 attempts;	/* to connect */
	uint64_t	 connections;	/* of these, that could be used */
	uint64_t	 failures[STORE_FAILURES];
	uint64_t	 failed_fast;	/* requests, by the breaker */
	/* Of requests that were answered: one look-up of many persons is one
	 * request. */
	struct histogram_counts latency;
	int64_t		 average_us;	/* of the last ones; 0: none yet */
};
/* Adds what the store has counted to *sum. */
void	store_stats_sum(struct store *store, struct store_stats *sum);

/* Is the connection up now?  That to the replica, where there is one, and are
 * its data new enough?  In a cluster, that to each node that has slots of ours,
 * and has each such slot a node? */
bool	store_is_reachable(struct store *store);
/* For -V: hiredis' version.  Static. */
const char *store_library_version(void);

#endif
