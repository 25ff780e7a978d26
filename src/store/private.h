/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of this room share.  hiredis' parser is known to reply.c
 * alone, the connection to link.c and dial.c, Redis' manners to handshake.c,
 * what keys and values mean to store.c, apply.c, upkeep.c and merge.lua.
 */
#ifndef STORE_PRIVATE_H
#define STORE_PRIVATE_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
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
	char		path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char		host[URL_HOST_MAX + 1];
	char		port[sizeof("65535")];
	unsigned	database;
};

/* Returns 0, or -1 with FAIL_SETUP. */
int	url_parse(const char *text, struct url *out, struct fail *fail)
	    __attribute__((warn_unused_result));

/*
 * command.c: requests in RESP, binary-safe.  _begin announces count words,
 * each of which _add writes.
 */
void	command_begin(struct buf *out, size_t count);
void	command_add(struct buf *out, struct span word);
/* The same for a few strings, up to a NULL. */
void	command_format(struct buf *out, ...) __attribute__((sentinel));
/* "c:" and the subject in hexadecimal. */
void	command_key(struct buf *out, const struct subject *subject);

/*
 * reply.c: answers, from a peer that is not trusted.  One reader per
 * connection, used by one thread; replies belong to whoever took them.
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
	struct reply	**elements;	/* of an array; never arrays */
	unsigned char	  text[];	/* of a string, a status, an error */
};

struct reply_reader;
struct reply_reader *reply_reader_new(void) __attribute__((returns_nonnull));
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
 * handshake.c: what is said on a new connection, and whether this Redis may be
 * used at all.
 */
struct handshake {
	const char	*username;	/* may be NULL; all borrowed */
	const char	*password;	/* may be NULL */
	unsigned	 database;
	char		 version[32];	/* out: of Redis */
};

/* Returns 0, or -1 with FAIL_TEMP, or FAIL_SETUP when it must not be used. */
int	handshake_run(int fd, struct reply_reader *reader,
	    struct handshake *handshake, int stop_fd, int64_t deadline_ms,
	    struct fail *fail) __attribute__((warn_unused_result));
/* The answers to INFO server and INFO memory. */
int	handshake_check_version(const struct reply *reply, char *version,
	    size_t size, struct fail *fail) __attribute__((warn_unused_result));
int	handshake_check_policy(const struct reply *reply, struct fail *fail)
	    __attribute__((warn_unused_result));

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

	/* Of link.c. */
	TAILQ_ENTRY(request) entry;
	size_t		 received;
	unsigned	 tries;
	bool		 queued;
	bool		 waiting;	/* for a connection; else sent */
	_Atomic bool	 done;
	bool		 failed;
	struct fail	 fail;
	sem_t		 posted;
};

struct link;
int	link_open(const struct store_options *options, struct link **out,
	    struct fail *fail) __attribute__((warn_unused_result));
void	link_close(struct link **link);
bool	link_is_up(struct link *link);
int64_t	link_deadline(const struct link *link);
/* Sends a request without waiting.  What fails is told by _finish, which has
 * to follow. */
void	link_start(struct link *link, struct request *request);
/* Waits for all replies.  Returns 0, or -1 with FAIL_TEMP; either way the
 * caller frees the replies that are there (link_request_clear). */
int	link_finish(struct link *link, struct request *request,
	    struct fail *fail) __attribute__((warn_unused_result));
void	link_request_clear(struct request *request);
/* link_start and link_finish. */
int	link_ask(struct link *link, struct request *request,
	    struct fail *fail) __attribute__((warn_unused_result));

/*
 * apply.c: events, merged by a script on the server.
 */
#define SCRIPT_SHA_LEN	40

struct script {
	pthread_mutex_t	lock;
	char		sha[SCRIPT_SHA_LEN + 1]; /* "" until Redis has told */
};

int	apply_events(struct link *link, struct script *script,
	    const struct event *events, size_t n, size_t *applied,
	    struct fail *fail) __attribute__((warn_unused_result));

/*
 * upkeep.c: as the functions of store.h with these names.
 */
int	upkeep_cursor_get(struct link *link, const char *id, uint64_t *seq,
	    struct fail *fail) __attribute__((warn_unused_result));
int	upkeep_cursor_set(struct link *link, const char *id, uint64_t seq,
	    struct fail *fail) __attribute__((warn_unused_result));
int	upkeep_cursor_move(struct link *link, const char *id, uint64_t from,
	    uint64_t to, struct fail *fail) __attribute__((warn_unused_result));
int	upkeep_compact(struct link *link, bool *asked, struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
