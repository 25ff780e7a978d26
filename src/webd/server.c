/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * One-click unsubscription (RFC 8058) and the page behind the link.  POST with
 * a good token opts out, whatever the body: clients send it empty or as
 * text/plain, and refusing an opt-out is the worse mistake.  Nothing else ever
 * changes anything.
 */
#include "webd/server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "webd/page.h"
#include "webd/target.h"

#define THREADS		16	/* each may wait for an fsync */
#define BACKLOG		1024
#define IDLE_SECONDS	30
#define CONNECTIONS_MAX	4000
#define MEMORY_MAX	((size_t)64 * 1024)	/* of one connection */
#define BODY_MAX	((size_t)16 * 1024)
#define BODY_END	((size_t)1024 * 1024)	/* not read any further */
#define TARGET_MAX	2000
#define ACTION_MAX	32
#define PAGE_MAX	((size_t)64 * 1024)

struct server {
	struct MHD_Daemon *daemon;
	pthread_mutex_t	 lock;		/* for settings */
	struct settings	*settings;	/* one reference */
	const struct languages *languages;
	struct optout	*optout;
	char		*policy;	/* Content-Security-Policy */
};

struct request {
	struct settings	*settings;	/* one reference; NULL at first */
	char		 target[TARGET_MAX + 1];
	bool		 target_too_long;
	bool		 begun;
	struct MHD_PostProcessor *form;	/* NULL: no form that we know */
	size_t		 body_bytes;
	char		 action[ACTION_MAX + 1];
	bool		 is_one_click;	/* the body says so */
};

/* -- requests -- */

/* Before anything else, with the target as it came. */
static void *
on_target(void *context, const char *uri, struct MHD_Connection *connection)
{
	struct request *request = xcalloc(1, sizeof(*request));
	size_t len = strlen(uri);

	(void)context;
	(void)connection;
	request->target_too_long = len > TARGET_MAX;
	memcpy(request->target, uri, len > TARGET_MAX ? TARGET_MAX : len);
	return request;
}

static void
on_completed(void *context, struct MHD_Connection *connection,
    void **request_context, enum MHD_RequestTerminationCode code)
{
	struct request *request = *request_context;

	(void)context;
	(void)connection;
	(void)code;
	if (request == NULL)
		return;
	if (request->form != NULL)
		(void)MHD_destroy_post_processor(request->form);
	settings_put(&request->settings);
	free(request);
	*request_context = NULL;
}

static enum MHD_Result
on_field(void *context, enum MHD_ValueKind kind, const char *key,
    const char *filename, const char *content_type,
    const char *transfer_encoding, const char *data, uint64_t offset,
    size_t size)
{
	struct request *r = context;

	(void)kind;
	(void)filename;
	(void)content_type;
	(void)transfer_encoding;
	if (key == NULL)
		return MHD_YES;
	if (strcmp(key, "List-Unsubscribe") == 0)
		r->is_one_click = true;
	/* A value may come in pieces. */
	if (strcmp(key, "action") == 0 && offset < ACTION_MAX &&
	    size <= ACTION_MAX - offset) {
		memcpy(r->action + offset, data, size);
		r->action[offset + size] = '\0';
	}
	return MHD_YES;
}

/* -- answers -- */

static enum MHD_Result
answer(const struct server *s, struct MHD_Connection *connection,
    unsigned status, const char *type, const char *language,
    const struct buf *body)
{
	static const char *const headers[][2] = {
		{ "Cache-Control", "no-store" },
		{ "Referrer-Policy", "no-referrer" },
		{ "X-Robots-Tag", "noindex" },
		{ "X-Content-Type-Options", "nosniff" },
		{ "Strict-Transport-Security", "max-age=31536000" },
	};
	struct MHD_Response *response = MHD_create_response_from_buffer(
	    body->len, (void *)body->data, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result rc;

	if (response == NULL)
		return MHD_NO;
	(void)MHD_add_response_header(response, "Content-Type", type);
	(void)MHD_add_response_header(response, "Content-Security-Policy",
	    s->policy);
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		(void)MHD_add_response_header(response, headers[i][0],
		    headers[i][1]);
	(void)MHD_add_response_header(response, "Vary", "Accept-Language");
	if (language != NULL)
		(void)MHD_add_response_header(response, "Content-Language",
		    language);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)MHD_add_response_header(response, "Allow",
		    "GET, HEAD, POST");
	rc = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return rc;
}

static enum MHD_Result
answer_page(const struct server *s, struct MHD_Connection *connection,
    const struct request *r, unsigned status, enum page page,
    const struct list *list)
{
	const struct words *words = words_choose(s->languages,
	    MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
	    "Accept-Language"));
	struct buf body = BUF_INIT(PAGE_MAX);
	enum MHD_Result rc;

	page_add(&body, page, words, r->settings, list);
	rc = answer(s, connection, status, "text/html; charset=utf-8",
	    words->tag, &body);
	buf_fini(&body);
	return rc;
}

static enum MHD_Result
answer_word(const struct server *s, struct MHD_Connection *connection,
    unsigned status, const char *word)
{
	struct buf body = BUF_INIT(200);
	enum MHD_Result rc;

	buf_addf(&body, "%s\n", word);
	rc = answer(s, connection, status, "text/plain; charset=utf-8", NULL,
	    &body);
	buf_fini(&body);
	return rc;
}

/* -- the unsubscribe link -- */

static const struct list *
list_of(const struct settings *settings, const struct token *token)
{
	for (size_t i = 0; i < settings->policy.list_count; i++) {
		const struct list *list = &settings->policy.lists[i];
		unsigned char id[TOKEN_LIST_BYTES];

		token_list(span_str(list->id), id);
		if (memcmp(id, token->list, sizeof(id)) == 0)
			return list;
	}
	return NULL;
}

/* Enough to follow one link through the log, and not enough to use it. */
static void
log_request(const char *what, const struct token *token, struct span text,
    const struct list *list)
{
	unsigned char digest[CRYPTO_DIGEST_BYTES];
	struct buf hex = BUF_INIT(64);

	crypto_sha256(&text, 1, digest);
	hex_format(&hex, digest, 4);
	log_info("%s: list=%s, key=%u, token=%s", what, list != NULL ?
	    list->id : "-", token->key_id, buf_get(&hex));
	buf_fini(&hex);
}

static const char *
actor_of(const struct request *r)
{
	if (r->action[0] != '\0')
		return "web page";
	return r->is_one_click ? "one-click" : "one-click, nonconforming body";
}

static enum MHD_Result
unsubscribe(struct server *s, struct MHD_Connection *connection,
    const struct request *r, const struct token *token, struct span text)
{
	const struct list *list = list_of(r->settings, token);
	bool all = strcmp(r->action, PAGE_ACTION_ALL) == 0;
	const char *actor = actor_of(r);
	struct fail fail;

	/* A list that is gone may come back: better out of too much. */
	if (list == NULL)
		all = true;
	if (optout_record(s->optout, &token->subject, all ? NULL : list,
	    actor, &fail) == -1) {
		log_error("an opt-out was not recorded, and the client was "
		    "told so: %s", fail.text);
		return answer_page(s, connection, r,
		    MHD_HTTP_SERVICE_UNAVAILABLE, PAGE_LATER, list);
	}
	log_request(actor, token, text, list);
	return answer_page(s, connection, r, MHD_HTTP_OK, all ?
	    PAGE_DONE_ALL : PAGE_DONE, list);
}

/* A client that says it means something else than POST gets nothing done. */
static bool
is_overridden(struct MHD_Connection *connection)
{
	static const char *const names[] = { "X-HTTP-Method-Override",
	    "X-HTTP-Method", "X-Method-Override" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = MHD_lookup_connection_value(connection,
		    MHD_HEADER_KIND, names[i]);

		if (value != NULL && strcasecmp(value, "POST") != 0)
			return true;
	}
	return false;
}

static enum MHD_Result
answer_link(struct server *s, struct MHD_Connection *connection,
    const struct request *r, const char *method, struct span text)
{
	bool is_post = strcmp(method, MHD_HTTP_METHOD_POST) == 0;
	struct token token;
	struct fail unused;

	if (!is_post && strcmp(method, MHD_HTTP_METHOD_GET) != 0 &&
	    strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return answer_word(s, connection,
		    MHD_HTTP_METHOD_NOT_ALLOWED, "method not allowed");
	if (token_check(&r->settings->token_keys, text, &token, &unused) ==
	    -1)
		return answer_page(s, connection, r, MHD_HTTP_NOT_FOUND,
		    PAGE_UNKNOWN, NULL);
	if (!token_is_personal(&token))
		return answer_page(s, connection, r, is_post ?
		    MHD_HTTP_BAD_REQUEST : MHD_HTTP_OK, PAGE_NOT_PERSONAL,
		    NULL);
	if (!is_post)
		return answer_page(s, connection, r, MHD_HTTP_OK, PAGE_ASK,
		    list_of(r->settings, &token));
	if (r->body_bytes > BODY_MAX)
		return answer_word(s, connection,
		    MHD_HTTP_CONTENT_TOO_LARGE, "body too large");
	if (is_overridden(connection))
		return answer_word(s, connection, MHD_HTTP_BAD_REQUEST,
		    "a POST that says it is none");
	return unsubscribe(s, connection, r, &token, text);
}

/* Whether opt-outs can be taken; Redis may be away. */
static enum MHD_Result
answer_health(const struct server *s, struct MHD_Connection *connection)
{
	const char *fault = optout_fault(s->optout);

	return answer_word(s, connection, fault == NULL ? MHD_HTTP_OK :
	    MHD_HTTP_SERVICE_UNAVAILABLE, fault == NULL ? "ok" : fault);
}

static enum MHD_Result
dispatch(struct server *s, struct MHD_Connection *connection,
    struct request *r, const char *method)
{
	struct span target = span_str(r->target);
	struct buf token = BUF_INIT(4 * TOKEN_URL_LEN);
	enum MHD_Result rc;

	if (target_is(target, SPAN("/healthz")))
		return answer_health(s, connection);
	(void)pthread_mutex_lock(&s->lock);
	r->settings = settings_get(s->settings);
	(void)pthread_mutex_unlock(&s->lock);
	if (!r->target_too_long && target_token(target,
	    target_prefix(r->settings->unsubscribe.url), &token))
		rc = answer_link(s, connection, r, method, buf_span(&token));
	else
		rc = answer_page(s, connection, r, MHD_HTTP_NOT_FOUND,
		    PAGE_UNKNOWN, NULL);
	buf_fini(&token);
	return rc;
}

/* Called once with the head, then for each piece of the body, then once more. */
static enum MHD_Result
on_request(void *context, struct MHD_Connection *connection, const char *url,
    const char *method, const char *version, const char *data, size_t *size,
    void **request_context)
{
	struct request *r = *request_context;

	(void)url;
	(void)version;
	if (!r->begun) {
		r->begun = true;
		if (strcmp(method, MHD_HTTP_METHOD_POST) == 0)
			r->form = MHD_create_post_processor(connection, 1024,
			    on_field, r);
		return MHD_YES;
	}
	if (*size > 0) {
		r->body_bytes += *size;
		if (r->body_bytes > BODY_END)
			return MHD_NO;	/* hangs up */
		if (r->form != NULL && r->body_bytes <= BODY_MAX)
			(void)MHD_post_process(r->form, data, *size);
		*size = 0;
		return MHD_YES;
	}
	return dispatch(context, connection, r, method);
}

/* -- the socket -- */

static int
listen_unix(const char *path, struct fail *fail)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(sun.sun_path))
		return fail_set(fail, FAIL_SETUP, "web.listen: the path is "
		    "longer than %zu bytes", sizeof(sun.sun_path) - 1);
	memcpy(sun.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd != -1 && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) ==
	    0) {
		(void)close(fd);
		return fail_set(fail, FAIL_SETUP, "%s is in use by a "
		    "consent-web that runs", path);
	}
	if (fd != -1)
		(void)unlink(path);
	/* The proxy connects as its own user; links carry their own right. */
	if (fd == -1 || bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    chmod(path, 0666) == -1 || listen(fd, BACKLOG) == -1) {
		(void)fail_errno(fail, FAIL_SETUP, errno,
		    "web.listen: %s", path);
		if (fd != -1)
			(void)close(fd);
		return -1;
	}
	return fd;
}

static int
listen_on(const struct addrinfo *at)
{
	int one = 1;
	int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC |
	    SOCK_NONBLOCK, at->ai_protocol);

	if (fd == -1)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, at->ai_addr, at->ai_addrlen) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

/* host:port, checked by settings. */
static int
listen_inet(const char *address, struct fail *fail)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
	    .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV };
	struct addrinfo *found = NULL;
	char *host = xstrdup(address), *name = host;
	char *colon = strrchr(host, ':');
	int fd = -1, err = EAI_NONAME;

	if (colon != NULL) {
		*colon = '\0';
		if (name[0] == '[' && colon > name && colon[-1] == ']') {
			colon[-1] = '\0';
			name++;
		}
		err = getaddrinfo(name, colon + 1, &hints, &found);
	}
	if (err != 0)
		(void)fail_set(fail, FAIL_SETUP, "web.listen: \"%.80s\": %s",
		    address, gai_strerror(err));
	else if ((fd = listen_on(found)) == -1)
		(void)fail_errno(fail, FAIL_SETUP, errno, "web.listen: %s",
		    address);
	if (found != NULL)
		freeaddrinfo(found);
	free(host);
	return fd;
}

int
server_listen(const struct settings *settings, struct fail *fail)
{
	const char *address = settings->web.listen;

	return strncmp(address, "unix:", 5) == 0 ?
	    listen_unix(address + 5, fail) : listen_inet(address, fail);
}

static void
free_server(struct server *s)
{
	settings_put(&s->settings);
	(void)pthread_mutex_destroy(&s->lock);
	free(s->policy);
	free(s);
}

int
server_start(int fd, struct settings *settings,
    const struct languages *languages, struct optout *optout,
    struct server **out, struct fail *fail)
{
	struct server *s = xcalloc(1, sizeof(*s));
	struct buf policy = BUF_INIT(1024);

	(void)pthread_mutex_init(&s->lock, NULL);
	s->settings = settings_get(settings);
	s->languages = languages;
	s->optout = optout;
	page_add_policy(&policy);
	s->policy = buf_take(&policy);
	s->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL,
	    NULL, on_request, s,
	    MHD_OPTION_LISTEN_SOCKET, fd,
	    MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, MEMORY_MAX,
	    MHD_OPTION_URI_LOG_CALLBACK, on_target, NULL,
	    MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
	    MHD_OPTION_END);
	if (s->daemon == NULL) {
		free_server(s);
		return fail_errno(fail, FAIL_SETUP, errno,
		    "can't start the HTTP server");
	}
	*out = s;
	return 0;
}

void
server_stop(struct server **server)
{
	struct server *s = *server;

	if (s == NULL)
		return;
	*server = NULL;
	MHD_stop_daemon(s->daemon);
	free_server(s);
}

void
server_reload(struct server *s, struct settings *settings)
{
	struct settings *old;

	(void)pthread_mutex_lock(&s->lock);
	old = s->settings;
	s->settings = settings_get(settings);
	(void)pthread_mutex_unlock(&s->lock);
	settings_put(&old);
}

const char *
server_library_version(void)
{
	return MHD_get_version();
}
