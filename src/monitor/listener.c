/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "monitor/listener.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "monitor/prometheus.h"

#define IDLE_SECONDS	30
#define CONNECTIONS_MAX	16
#define MEMORY_MAX	((size_t)16 * 1024)	/* of one connection */
#define TEXT_MAX	((size_t)16 * 1024 * 1024)

struct listener {
	struct MHD_Daemon *daemon;
	void		(*add)(struct buf *, void *);
	void		*context;
};

static enum MHD_Result
answer(struct MHD_Connection *connection, unsigned status, const char *type,
    const struct buf *body)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
	    body->len, (void *)body->data, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result rc;

	if (response == NULL)
		return MHD_NO;
	(void)MHD_add_response_header(response, "Content-Type", type);
	(void)MHD_add_response_header(response, "Cache-Control", "no-store");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		(void)MHD_add_response_header(response, "Allow", "GET, HEAD");
	rc = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return rc;
}

static enum MHD_Result
answer_word(struct MHD_Connection *connection, unsigned status,
    const char *word)
{
	struct buf body = BUF_INIT(200);
	enum MHD_Result rc;

	buf_addf(&body, "%s\n", word);
	rc = answer(connection, status, "text/plain; charset=utf-8", &body);
	buf_fini(&body);
	return rc;
}

static enum MHD_Result
answer_metrics(const struct listener *l, struct MHD_Connection *connection)
{
	struct buf body = BUF_INIT(TEXT_MAX);
	enum MHD_Result rc;

	l->add(&body, l->context);
	/* Half of it would be taken for all. */
	rc = body.overflow ? answer_word(connection,
	    MHD_HTTP_INTERNAL_SERVER_ERROR, "too long") :
	    answer(connection, MHD_HTTP_OK, PROMETHEUS_TYPE, &body);
	buf_fini(&body);
	return rc;
}

/* Called with the head, which is all that we need: an answer at once closes
 * the connection of whoever sends more. */
static enum MHD_Result
on_request(void *context, struct MHD_Connection *connection, const char *url,
    const char *method, const char *version, const char *data, size_t *size,
    void **request_context)
{
	(void)version;
	(void)data;
	(void)size;
	(void)request_context;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 &&
	    strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return answer_word(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
		    "method not allowed");
	if (strcmp(url, "/metrics") != 0)
		return answer_word(connection, MHD_HTTP_NOT_FOUND,
		    "there is /metrics and nothing else");
	return answer_metrics(context, connection);
}

int
listener_start(const char *key, int fd, void (*add)(struct buf *, void *),
    void *context, struct listener **out, struct fail *fail)
{
	struct listener *l = xcalloc(1, sizeof(*l));

	l->add = add;
	l->context = context;
	l->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL,
	    NULL, on_request, l,
	    MHD_OPTION_LISTEN_SOCKET, fd,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, MEMORY_MAX,
	    MHD_OPTION_END);
	if (l->daemon == NULL) {
		free(l);
		return fail_errno(fail, FAIL_SETUP, errno,
		    "%s: can't start the HTTP server", key);
	}
	*out = l;
	return 0;
}

void
listener_stop(struct listener **listener)
{
	struct listener *l = *listener;

	if (l == NULL)
		return;
	*listener = NULL;
	MHD_stop_daemon(l->daemon);
	free(l);
}

const char *
listener_library_version(void)
{
	return MHD_get_version();
}
