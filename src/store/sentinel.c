/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Which Redis is the primary now, told by Sentinels.  Each says by which
 * failover it knows (config-epoch), so that one that was away for a while, and
 * still names the primary of yesterday, is told from one that knows better.
 *
 * The first Sentinel that answers is asked from then on, over a connection that
 * is kept; the next one takes its place when it fails.
 */
#include "store/private.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/xalloc.h"

#define WATCH_MS	500

struct sentinels {
	char		*master;
	char		*username;	/* NULL: the default user */
	char		*password;	/* NULL: they want none */
	struct url	*places;
	size_t		 count;
	size_t		 now;		/* whom we ask */
	const struct tls_files *files;	/* borrowed */
	int		 timeout_ms;
	struct transport transport;
	struct reply_reader *reader;	/* NULL: not connected */
};

static void
hang_up(struct sentinels *s)
{
	if (s->reader == NULL)
		return;
	reply_reader_free(&s->reader);
	transport_close(&s->transport);
}

int
sentinel_new(const struct store_options *options,
    const struct tls_files *files, bool is_tls, struct sentinels **out,
    struct fail *fail)
{
	struct sentinels *s = xcalloc(1, sizeof(*s));

	s->master = xstrdup(options->master);
	if (options->sentinel_username != NULL)
		s->username = xstrdup(options->sentinel_username);
	if (options->sentinel_password != NULL)
		s->password = xstrdup(options->sentinel_password);
	s->files = files;
	s->timeout_ms = options->timeout_ms;
	s->transport.fd = -1;
	if (url_parse_hosts(options->sentinels, is_tls, &s->places, &s->count,
	    fail) == -1) {
		sentinel_free(&s);
		return fail_prefix(fail, "Sentinel");
	}
	*out = s;
	return 0;
}

void
sentinel_free(struct sentinels **sp)
{
	if (*sp == NULL)
		return;
	hang_up(*sp);
	free((*sp)->places);
	free((*sp)->master);
	free((*sp)->username);
	if ((*sp)->password != NULL)
		explicit_bzero((*sp)->password, strlen((*sp)->password));
	free((*sp)->password);
	free(*sp);
	*sp = NULL;
}

static int
hold_line(struct sentinels *s, int stop_fd, struct fail *fail)
{
	if (s->reader != NULL)
		return 0;
	if (transport_open(&s->places[s->now], s->files, s->timeout_ms,
	    stop_fd, &s->transport, fail) == -1)
		return -1;
	s->reader = reply_reader_new();
	return 0;
}

/* The text behind a name, in an array of names and values. */
static struct span
value_of(const struct reply *reply, const char *name)
{
	for (size_t i = 0; i + 1 < reply->len; i += 2)
		if (reply->elements[i]->type == REPLY_STRING &&
		    reply->elements[i + 1]->type == REPLY_STRING &&
		    span_is(reply_span(reply->elements[i]), span_str(name)))
			return reply_span(reply->elements[i + 1]);
	return span_of(NULL, 0);
}

int
sentinel_read(const struct reply *address, const struct reply *details,
    struct primary *out, struct fail *fail)
{
	if (reply_is_error(address, "NOAUTH"))
		return fail_set(fail, FAIL_TEMP, "wants a password: set "
		    "redis.sentinel.password_file");
	if (address->type == REPLY_NIL)
		return fail_set(fail, FAIL_TEMP, "this Sentinel watches no "
		    "primary of that name: check redis.sentinel.master");
	if (address->type != REPLY_ARRAY || address->len != 2 ||
	    address->elements[0]->type != REPLY_STRING ||
	    address->elements[1]->type != REPLY_STRING)
		return reply_fail(address, fail);
	if (details->type != REPLY_ARRAY ||
	    span_to_u64(value_of(details, "config-epoch"), &out->epoch) == -1)
		return reply_fail(details, fail);
	if (url_set_host(&out->url, reply_span(address->elements[0]),
	    reply_span(address->elements[1]), fail) == -1)
		return fail_set(fail, FAIL_TEMP, "Sentinel tells an address "
		    "of the primary that is none");
	return 0;
}

static void
write_question(const struct sentinels *s, bool logs_in, struct buf *out)
{
	if (logs_in)
		command_log_in(out, s->username, s->password);
	command_format(out, "SENTINEL", "get-master-addr-by-name", s->master,
	    (char *)NULL);
	command_format(out, "SENTINEL", "MASTER", s->master, (char *)NULL);
}

static int
read_login(struct sentinels *s, int stop_fd, int64_t deadline_ms,
    struct fail *fail)
{
	struct reply *reply = NULL;
	int rc = transport_read_reply(&s->transport, s->reader, stop_fd,
	    deadline_ms, &reply, fail);

	if (rc == 0 && reply->type != REPLY_STATUS)
		rc = reply_fail(reply, fail);
	reply_free(&reply);
	return rc;
}

/* One question, one answer, from the one whom we ask now. */
static int
ask_one(struct sentinels *s, int stop_fd, struct primary *out,
    struct fail *fail)
{
	int64_t deadline_ms;
	struct buf question = BUF_INIT(LINK_REPLY_SMALL);
	struct reply *address = NULL, *details = NULL;
	bool logs_in = s->reader == NULL && s->password != NULL;
	int rc = hold_line(s, stop_fd, fail);

	if (rc == -1)
		return -1;
	deadline_ms = clock_monotonic_ms() + s->timeout_ms;
	write_question(s, logs_in, &question);
	rc = transport_send_all(&s->transport, buf_span(&question), stop_fd,
	    deadline_ms, fail);
	explicit_bzero(question.data, question.size);
	buf_fini(&question);
	if (rc == 0 && logs_in)
		rc = read_login(s, stop_fd, deadline_ms, fail);
	if (rc == 0)
		rc = transport_read_reply(&s->transport, s->reader, stop_fd,
		    deadline_ms, &address, fail);
	if (rc == 0)
		rc = transport_read_reply(&s->transport, s->reader, stop_fd,
		    deadline_ms, &details, fail);
	if (rc == 0)
		rc = sentinel_read(address, details, out, fail);
	reply_free(&address);
	reply_free(&details);
	if (rc == -1) {
		hang_up(s);
		(void)fail_prefix(fail, "Sentinel %s:%s",
		    s->places[s->now].host, s->places[s->now].port);
	}
	return rc;
}

/* A connection that was kept may be dead, which says nothing of the Sentinel. */
static int
ask_again(struct sentinels *s, int stop_fd, struct primary *out,
    struct fail *fail)
{
	bool kept = s->reader != NULL;

	if (ask_one(s, stop_fd, out, fail) == 0)
		return 0;
	return kept ? ask_one(s, stop_fd, out, fail) : -1;
}

int
sentinel_ask(struct sentinels *s, uint64_t epoch, int stop_fd,
    struct primary *out, struct fail *fail)
{
	struct primary told = *out;
	bool found = false;

	for (size_t i = 0; i < s->count; i++) {
		if (ask_again(s, stop_fd, &told, fail) == 0) {
			if (!found || told.epoch > out->epoch)
				*out = told;
			found = true;
			if (told.epoch >= epoch)
				return 0;
			hang_up(s);
		}
		s->now = (s->now + 1) % s->count;
	}
	return found ? 0 : -1;
}

/*
 * A thread that asks for as long as it lives.
 */

struct watch {
	struct sentinels *sentinels;
	struct url	 url;
	void		(*hear)(const struct primary *, void *);
	void		*context;
	int		 stop_fd;
	pthread_t	 thread;
};

static void *
keep_asking(void *context)
{
	struct watch *w = context;
	struct pollfd stop = { .fd = w->stop_fd, .events = POLLIN };
	struct primary told = { .url = w->url };
	struct fail ignored;

	while (poll(&stop, 1, WATCH_MS) <= 0)
		if (sentinel_ask(w->sentinels, told.epoch, w->stop_fd, &told,
		    &ignored) == 0)
			w->hear(&told, w->context);
	return NULL;
}

int
sentinel_watch(struct sentinels *sentinels, const struct url *url,
    void (*hear)(const struct primary *, void *), void *context,
    struct watch **out, struct fail *fail)
{
	struct watch *w = xcalloc(1, sizeof(*w));
	int err;

	w->sentinels = sentinels;
	w->url = *url;
	w->hear = hear;
	w->context = context;
	w->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = w->stop_fd == -1 ? errno :
	    pthread_create(&w->thread, NULL, keep_asking, w);
	if (err != 0) {
		if (w->stop_fd != -1)
			(void)close(w->stop_fd);
		sentinel_free(&w->sentinels);
		free(w);
		return fail_errno(fail, FAIL_SETUP, err,
		    "starting the thread that asks Sentinels");
	}
	*out = w;
	return 0;
}

void
sentinel_unwatch(struct watch **wp)
{
	struct watch *w = *wp;
	uint64_t one = 1;

	if (w == NULL)
		return;
	(void)!write(w->stop_fd, &one, sizeof(one));
	(void)pthread_join(w->thread, NULL);
	sentinel_free(&w->sentinels);
	(void)close(w->stop_fd);
	free(w);
	*wp = NULL;
}
