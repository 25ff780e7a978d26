/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/monitor.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

#define IDLE_SECONDS	30
#define CONNECTIONS_MAX	16
#define MEMORY_MAX	((size_t)16 * 1024)	/* of one connection */
#define TEXT_MAX	((size_t)64 * 1024)

struct monitor {
	struct MHD_Daemon *daemon;
	const struct metrics *metrics;
	struct recorder	*recorder;
	struct webhooks	*webhooks;
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
answer_metrics(const struct monitor *m, struct MHD_Connection *connection)
{
	size_t count = webhooks_count(m->webhooks);
	struct webhook_status *webhooks = xcalloc(count + 1,
	    sizeof(*webhooks));
	const struct metrics_state state = {
		.ledger_is_writable = recorder_fault(m->recorder) == NULL,
		.behind_since_ms = recorder_behind_since_ms(m->recorder),
		.webhooks = webhooks, .webhook_count = count,
	};
	struct buf body = BUF_INIT(TEXT_MAX);
	enum MHD_Result rc;

	for (size_t i = 0; i < count; i++)
		webhooks_status(m->webhooks, i, &webhooks[i]);
	metrics_format(&body, m->metrics, &state);
	rc = answer(connection, MHD_HTTP_OK, METRICS_TYPE, &body);
	free(webhooks);
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
monitor_start(int fd, const struct metrics *metrics,
    struct recorder *recorder, struct webhooks *webhooks,
    struct monitor **out, struct fail *fail)
{
	struct monitor *m = xcalloc(1, sizeof(*m));

	m->metrics = metrics;
	m->recorder = recorder;
	m->webhooks = webhooks;
	m->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL,
	    NULL, on_request, m,
	    MHD_OPTION_LISTEN_SOCKET, fd,
	    MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	    MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
	    MHD_OPTION_CONNECTION_MEMORY_LIMIT, MEMORY_MAX,
	    MHD_OPTION_END);
	if (m->daemon == NULL) {
		free(m);
		return fail_errno(fail, FAIL_SETUP, errno,
		    "web.metrics: can't start the HTTP server");
	}
	*out = m;
	return 0;
}

void
monitor_stop(struct monitor **monitor)
{
	struct monitor *m = *monitor;

	if (m == NULL)
		return;
	*monitor = NULL;
	MHD_stop_daemon(m->daemon);
	free(m);
}
