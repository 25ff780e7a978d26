/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * HTTP.  What only takes thought is answered where it comes in.  Opt-outs wait
 * for the disk, many for the same write; other things wait for Redis, for the
 * mail server or for whole journals.  Either has threads of its own, and the
 * connection sleeps meanwhile.
 */
#include "webd/server.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "webd/jobs.h"
#include "webd/page.h"
#include "webd/target.h"
#include "webd/visits.h"

#define THREADS		16
#define CLICK_THREADS	64	/* opt-outs that share an fsync */
#define SLOW_THREADS	8
#define SLOW_WAITING	500
#define IDLE_SECONDS	30
#define CONNECTIONS_MAX	4000
#define MEMORY_MAX	((size_t)64 * 1024)	/* of one connection */
#define BODY_END	((size_t)1024 * 1024)	/* not read any further */
#define POLICY_MAX	4096

struct server {
	struct MHD_Daemon *daemon;
	struct jobs	*clicks, *slow;
	struct visits	*visits;
	pthread_mutex_t	 lock;		/* for settings and texts */
	struct settings	*settings;	/* one reference */
	struct texts	*texts;		/* one reference */
	struct recorder	*recorder;
	struct metrics	*metrics;
	struct site	*site;
	char		*policy;	/* Content-Security-Policy, open */
};

/* A request under way. */
struct pending {
	struct server	*server;
	struct visit	*visit;
	struct MHD_Connection *connection;
	struct request	 request;
	struct answer	 answer;
	struct MHD_PostProcessor *form;	/* NULL: no form that we know */
	bool		 begun;
	bool		 is_ambiguous;	/* where its body ends */
	bool		 is_answered;	/* by another thread */
};

/* -- reading -- */

static void
copy_text(char *to, size_t room, struct span text)
{
	text = span_head(text, room - 1);
	if (text.len > 0)
		memcpy(to, text.p, text.len);
	to[text.len] = '\0';
}

static void
on_connection(void *context, struct MHD_Connection *connection,
    void **visit, enum MHD_ConnectionNotificationCode code)
{
	struct server *s = context;
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
	    connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		*visit = visits_begin(s->visits, info->connect_fd);
	else
		visits_end(s->visits, *visit);
}

/* Before anything else, with the target as it came. */
static void *
on_target(void *context, const char *uri, struct MHD_Connection *connection)
{
	struct pending *p = xcalloc(1, sizeof(*p));
	struct span path = target_path(span_str(uri));

	p->server = context;
	p->visit = MHD_get_connection_info(connection,
	    MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
	p->connection = connection;
	request_init(&p->request);
	answer_init(&p->answer);
	p->request.target_too_long = path.len > EXCHANGE_TARGET_MAX;
	copy_text(p->request.target, sizeof(p->request.target), path);
	return p;
}

static void
on_completed(void *context, struct MHD_Connection *connection,
    void **request_context, enum MHD_RequestTerminationCode code)
{
	struct pending *p = *request_context;

	(void)context;
	(void)connection;
	(void)code;
	if (p == NULL)
		return;
	visits_await(p->server->visits, p->visit);
	if (p->form != NULL)
		(void)MHD_destroy_post_processor(p->form);
	request_fini(&p->request);
	answer_fini(&p->answer);
	free(p);
	*request_context = NULL;
}

/* A value may come in pieces; what does not fit, or has a NUL in it, leaves the
 * field empty. */
static void
take_value(char *to, size_t room, const char *data, uint64_t offset,
    size_t size)
{
	if (offset >= room || size >= room - offset ||
	    memchr(data, '\0', size) != NULL) {
		to[0] = '\0';
		return;
	}
	memcpy(to + offset, data, size);
	to[offset + size] = '\0';
}

static enum MHD_Result
on_field(void *context, enum MHD_ValueKind kind, const char *key,
    const char *filename, const char *content_type,
    const char *transfer_encoding, const char *data, uint64_t offset,
    size_t size)
{
	struct form *f = context;
	const struct {
		const char *name;
		char *to;
		size_t room;
	} fields[] = {
		{ "action", f->action, sizeof(f->action) },
		{ "address", f->address, sizeof(f->address) },
		{ "key", f->key, sizeof(f->key) },
		{ "list", f->list, sizeof(f->list) },
		{ "notice", f->notice, sizeof(f->notice) },
		{ "agree", f->agree, sizeof(f->agree) },
	};

	(void)kind;
	(void)filename;
	(void)content_type;
	(void)transfer_encoding;
	if (key == NULL)
		return MHD_YES;
	if (strcmp(key, "List-Unsubscribe") == 0)
		f->is_one_click = true;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcmp(key, fields[i].name) == 0)
			take_value(fields[i].to, fields[i].room, data, offset,
			    size);
	return MHD_YES;
}

static const char *
header_of(const struct pending *p, const char *name)
{
	return MHD_lookup_connection_value(p->connection, MHD_HEADER_KIND,
	    name);
}

/* A client that says it means something else than POST gets nothing done. */
static bool
is_overridden(const struct pending *p)
{
	static const char *const names[] = { "X-HTTP-Method-Override",
	    "X-HTTP-Method", "X-Method-Override" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = header_of(p, names[i]);

		if (value != NULL && strcasecmp(value, "POST") != 0)
			return true;
	}
	return false;
}

/* Writes who is connected; false unless that is a proxy on this machine. */
static bool
read_peer(const struct pending *p, char *client, socklen_t room)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(
	    p->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	const struct sockaddr *at = info != NULL ? info->client_addr : NULL;

	if (at != NULL && at->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)at;

		(void)inet_ntop(AF_INET, &in->sin_addr, client, room);
		return ntohl(in->sin_addr.s_addr) >> 24 == 127;
	}
	if (at != NULL && at->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in = (const void *)at;

		(void)inet_ntop(AF_INET6, &in->sin6_addr, client, room);
		return IN6_IS_ADDR_LOOPBACK(&in->sin6_addr) ||
		    (IN6_IS_ADDR_V4MAPPED(&in->sin6_addr) &&
		    in->sin6_addr.s6_addr[12] == 127);
	}
	return true;
}

/*
 * The client's address: a proxy on this machine says it, last in what it
 * passes on, and perhaps in a line of its own behind one of the client's.
 * Leaves the empty text where it can't be read.
 */
static void
read_client(struct pending *p, const char *forwarded)
{
	struct span text = span_str(forwarded);
	char canonical[INET6_ADDRSTRLEN];
	unsigned char bytes[16];
	ptrdiff_t comma = span_rindex(text, ',');

	if (!read_peer(p, p->request.client, sizeof(p->request.client)) ||
	    text.len == 0)
		return;
	copy_text(canonical, sizeof(canonical), span_trim(span_from(text,
	    comma == -1 ? 0 : (size_t)comma + 1)));
	if (inet_pton(AF_INET, canonical, bytes) == 1 ||
	    inet_pton(AF_INET6, canonical, bytes) == 1)
		copy_text(p->request.client, sizeof(p->request.client),
		    span_str(canonical));
}

/* Of fields that may be there several times. */
struct seen {
	const char	*forwarded;	/* the last X-Forwarded-For */
	unsigned	 framings;	/* of the body */
	bool		 has_odd_framing;
};

static enum MHD_Result
on_header(void *context, enum MHD_ValueKind kind, const char *name,
    const char *value)
{
	struct seen *seen = context;

	(void)kind;
	if (strcasecmp(name, "X-Forwarded-For") == 0)
		seen->forwarded = value;
	if (strcasecmp(name, "Transfer-Encoding") == 0) {
		seen->framings++;
		if (value == NULL || strcasecmp(value, "chunked") != 0)
			seen->has_odd_framing = true;
	}
	seen->framings += strcasecmp(name, "Content-Length") == 0;
	/* "Transfer-Encoding : chunked" is a framing to some. */
	if (strpbrk(name, " \t") != NULL)
		seen->has_odd_framing = true;
	return MHD_YES;
}

static enum method
method_of(const char *method)
{
	if (strcmp(method, MHD_HTTP_METHOD_POST) == 0)
		return METHOD_POST;
	if (strcmp(method, MHD_HTTP_METHOD_GET) == 0)
		return METHOD_GET;
	return strcmp(method, MHD_HTTP_METHOD_HEAD) == 0 ? METHOD_HEAD :
	    METHOD_OTHER;
}

static void
read_head(struct pending *p, const char *method)
{
	struct request *r = &p->request;
	struct span type = span_str(header_of(p, "Content-Type"));
	struct seen seen = { .forwarded = NULL };

	(void)MHD_get_connection_values(p->connection, MHD_HEADER_KIND,
	    on_header, &seen);
	p->is_ambiguous = seen.framings > 1 || seen.has_odd_framing;
	r->method = method_of(method);
	r->is_overridden = is_overridden(p);
	r->is_json = span_has_prefix_nocase(type, SPAN("application/json"));
	copy_text(r->authorization, sizeof(r->authorization),
	    span_str(header_of(p, "Authorization")));
	read_client(p, seen.forwarded);
	if (r->method == METHOD_POST && !r->is_json)
		p->form = MHD_create_post_processor(p->connection, 1024,
		    on_field, &r->form);
	(void)pthread_mutex_lock(&p->server->lock);
	r->settings = settings_get(p->server->settings);
	r->texts = texts_get(p->server->texts);
	(void)pthread_mutex_unlock(&p->server->lock);
	r->words = words_choose(texts_languages(r->texts), header_of(p,
	    "Accept-Language"));
}

static void
read_body(struct pending *p, const char *data, size_t size)
{
	struct request *r = &p->request;

	r->body_bytes += size;
	if (r->body_bytes > EXCHANGE_BODY_MAX)
		return;
	if (p->form != NULL)
		(void)MHD_post_process(p->form, data, size);
	if (r->is_json)
		buf_add(&r->json, data, size);
}

/* -- answering -- */

static struct MHD_Response *
make_response(struct answer *answer)
{
	struct MHD_Response *response;
	struct stat st;

	if (answer->fd == -1)
		return MHD_create_response_from_buffer(answer->body.len,
		    (void *)answer->body.data, MHD_RESPMEM_MUST_COPY);
	if (fstat(answer->fd, &st) == -1)
		return NULL;
	response = MHD_create_response_from_fd64((uint64_t)st.st_size,
	    answer->fd);
	if (response != NULL)
		answer->fd = -1;	/* the response's now */
	return response;
}

static void
add_header(struct MHD_Response *response, const char *name,
    const char *value)
{
	(void)MHD_add_response_header(response, name, value);
}

static void
add_policy(struct MHD_Response *response, const struct pending *p)
{
	const char *embed = p->request.settings->web.embed;
	struct buf policy = BUF_INIT(POLICY_MAX);

	buf_addf(&policy, "%s%s", p->server->policy,
	    p->answer.may_be_framed && embed != NULL ? embed : "'none'");
	add_header(response, "Content-Security-Policy", buf_get(&policy));
	buf_fini(&policy);
}

static void
add_headers(struct MHD_Response *response, const struct pending *p)
{
	static const char *const fixed[][2] = {
		{ "Cache-Control", "no-store" },
		{ "Referrer-Policy", "no-referrer" },
		{ "X-Robots-Tag", "noindex" },
		{ "X-Content-Type-Options", "nosniff" },
		{ "Strict-Transport-Security", "max-age=31536000" },
		{ "Vary", "Accept-Language" },
	};
	const struct answer *a = &p->answer;
	struct buf text = BUF_INIT(200);

	add_header(response, "Content-Type", a->type != NULL ? a->type :
	    "text/html; charset=utf-8");
	add_policy(response, p);
	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		add_header(response, fixed[i][0], fixed[i][1]);
	if (a->has_language)
		add_header(response, "Content-Language",
		    p->request.words->tag);
	if (a->status == 405)
		add_header(response, "Allow", "GET, HEAD, POST");
	if (a->status == 401)
		add_header(response, "WWW-Authenticate", "Bearer");
	if (a->status == 429 || a->status == 503)
		add_header(response, "Retry-After", a->status == 503 ? "60" :
		    "3600");
	if (a->file_name != NULL) {
		buf_addf(&text, "attachment; filename=\"%s\"", a->file_name);
		add_header(response, "Content-Disposition", buf_get(&text));
	}
	buf_fini(&text);
}

static enum MHD_Result
send_answer(struct pending *p)
{
	struct MHD_Response *response = make_response(&p->answer);
	enum MHD_Result rc;

	if (response == NULL)
		return MHD_NO;
	add_headers(response, p);
	metrics_count_answer(p->server->metrics, p->answer.status);
	rc = MHD_queue_response(p->connection, p->answer.status, response);
	MHD_destroy_response(response);
	return rc;
}

/* Whether opt-outs can be taken; Redis may be away. */
static void
answer_health(const struct server *s, struct answer *answer)
{
	const char *fault = recorder_fault(s->recorder);

	answer_word(answer, fault == NULL ? 200 : 503,
	    fault == NULL ? "ok" : fault);
}

/* On a thread of its own; the connection sleeps. */
static void
run_job(void *argument)
{
	struct pending *p = argument;

	site_answer(p->server->site, &p->request, &p->answer);
	p->is_answered = true;
	MHD_resume_connection(p->connection);
}

/* An opt-out is never refused for want of a thread. */
static enum MHD_Result
answer_later(struct pending *p)
{
	struct server *s = p->server;
	bool is_slow = site_is_slow(&p->request);

	MHD_suspend_connection(p->connection);
	if (jobs_add(is_slow ? s->slow : s->clicks, run_job, p))
		return MHD_YES;
	if (!is_slow) {
		run_job(p);
		return MHD_YES;
	}
	page_add(&p->answer, &p->request, 503, PAGE_LATER, NULL);
	p->is_answered = true;
	MHD_resume_connection(p->connection);
	return MHD_YES;
}

static enum MHD_Result
dispatch(struct pending *p)
{
	struct server *s = p->server;

	visits_serve(s->visits, p->visit);
	if (target_is(span_str(p->request.target), SPAN("/healthz")))
		answer_health(s, &p->answer);
	else if (p->request.method == METHOD_POST ||
	    site_is_slow(&p->request))
		return answer_later(p);
	else
		site_answer(s->site, &p->request, &p->answer);
	return send_answer(p);
}

/* Security: a proxy may see another end of this request than we do, and what
 * follows is then somebody else's (RFC 9112 section 11.2).  The answer comes
 * before the body, which ends the connection. */
static enum MHD_Result
refuse(struct pending *p)
{
	answer_word(&p->answer, 400, "want one Content-Length, or "
	    "Transfer-Encoding: chunked");
	return send_answer(p);
}

/* Called once with the head, then for each piece of the body, then once more;
 * and again when the connection was woken. */
static enum MHD_Result
on_request(void *context, struct MHD_Connection *connection, const char *url,
    const char *method, const char *version, const char *data, size_t *size,
    void **request_context)
{
	struct pending *p = *request_context;

	(void)context;
	(void)connection;
	(void)url;
	(void)version;
	if (!p->begun) {
		p->begun = true;
		read_head(p, method);
		return p->is_ambiguous ? refuse(p) : MHD_YES;
	}
	if (*size > 0) {
		read_body(p, data, *size);
		*size = 0;
		/* Hangs up. */
		return p->request.body_bytes > BODY_END ? MHD_NO : MHD_YES;
	}
	return p->is_answered ? send_answer(p) : dispatch(p);
}

/* -- its life -- */

static void
free_server(struct server *s)
{
	jobs_close(&s->clicks);
	jobs_close(&s->slow);
	visits_close(&s->visits);
	site_close(&s->site);
	settings_put(&s->settings);
	texts_put(&s->texts);
	(void)pthread_mutex_destroy(&s->lock);
	free(s->policy);
	free(s);
}

static struct MHD_Daemon *
start_daemon(struct server *s, int fd)
{
	return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD |
	    MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, s,
	    MHD_OPTION_LISTEN_SOCKET, fd,
	    MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, MEMORY_MAX,
	    MHD_OPTION_URI_LOG_CALLBACK, on_target, s,
	    MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
	    MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
	    MHD_OPTION_END);
}

int
server_start(int fd, struct settings *settings, struct texts *texts,
    struct recorder *recorder, struct metrics *metrics, struct server **out,
    struct fail *fail)
{
	struct server *s = xcalloc(1, sizeof(*s));
	struct buf policy = BUF_INIT(POLICY_MAX);

	(void)pthread_mutex_init(&s->lock, NULL);
	s->settings = settings_get(settings);
	s->texts = texts_get(texts);
	s->recorder = recorder;
	s->metrics = metrics;
	page_add_policy(&policy);
	s->policy = buf_take(&policy);
	if (site_open(settings, recorder, &s->site, fail) == -1 ||
	    jobs_open(CLICK_THREADS, CONNECTIONS_MAX, &s->clicks, fail) ==
	    -1 || jobs_open(SLOW_THREADS, SLOW_WAITING, &s->slow, fail) == -1 ||
	    visits_open(CONNECTIONS_MAX, &s->visits, fail) == -1) {
		free_server(s);
		return -1;
	}
	s->daemon = start_daemon(s, fd);
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
	/* Nobody may sleep when the daemon stops; who comes later is
	 * refused. */
	jobs_stop(s->clicks);
	jobs_stop(s->slow);
	MHD_stop_daemon(s->daemon);
	free_server(s);
}

void
server_reload(struct server *s, struct settings *settings,
    struct texts *texts)
{
	struct settings *old;
	struct texts *old_texts;

	(void)pthread_mutex_lock(&s->lock);
	old = s->settings;
	s->settings = settings_get(settings);
	old_texts = s->texts;
	s->texts = texts_get(texts);
	(void)pthread_mutex_unlock(&s->lock);
	settings_put(&old);
	texts_put(&old_texts);
}

const char *
server_library_version(void)
{
	return MHD_get_version();
}
