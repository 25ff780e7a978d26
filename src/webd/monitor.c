/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/monitor.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/xalloc.h"
#include "monitor/control.h"
#include "monitor/listener.h"
#include "monitor/report.h"

struct monitor {
	struct monitor_sources sources;
	int64_t		 started_ms;
	struct listener	*listener;	/* NULL: none */
	struct control	*control;	/* NULL: none */
};

static void
take_report(const struct monitor *m, struct report *report)
{
	memset(report, 0, sizeof(*report));
	report->program = "consent-web";
	report->prefix = METRICS_PREFIX;
	report->config_path = m->sources.config_path;
	report->started_ms = m->started_ms;
	report->now_ms = clock_now_ms();
	reloads_get(m->sources.reloads, &report->reloads);
	recorder_report(m->sources.recorder, report);
	report_find_problems(report);
	if (recorder_fault(m->sources.recorder) != NULL)
		report_add_problem(report, "ledger-not-writable");
	if (recorder_behind_since_ms(m->sources.recorder) != 0)
		report_add_problem(report, "redis-behind");
}

static void
add_metrics(struct buf *out, void *context)
{
	const struct monitor *m = context;
	size_t count = webhooks_count(m->sources.webhooks);
	struct webhook_status *webhooks = xcalloc(count + 1,
	    sizeof(*webhooks));
	const struct metrics_state state = {
		.ledger_is_writable =
		    recorder_fault(m->sources.recorder) == NULL,
		.behind_since_ms =
		    recorder_behind_since_ms(m->sources.recorder),
		.unapplied = recorder_backlog(m->sources.recorder),
		.webhooks = webhooks, .webhook_count = count,
	};
	struct report report;

	for (size_t i = 0; i < count; i++)
		webhooks_status(m->sources.webhooks, i, &webhooks[i]);
	take_report(m, &report);
	report_add_metrics(out, &report);
	metrics_format(out, m->sources.metrics, &state);
	free(webhooks);
}

static void
add_members(struct buf *out, void *context)
{
	const struct monitor *m = context;
	struct report report;

	take_report(m, &report);
	report_add_members(out, &report);
	json_add_member_i64(out, "unapplied",
	    (int64_t)recorder_backlog(m->sources.recorder));
	report_add_time(out, "behind_since",
	    recorder_behind_since_ms(m->sources.recorder));
	metrics_add_members(out, m->sources.metrics);
}

int
monitor_start(int metrics_fd, int control_fd, const char *control_path,
    const struct monitor_sources *sources, struct monitor **out,
    struct fail *fail)
{
	struct monitor *m = xcalloc(1, sizeof(*m));

	m->sources = *sources;
	m->started_ms = clock_now_ms();
	if ((metrics_fd != -1 && listener_start("web.metrics", metrics_fd,
	    add_metrics, m, &m->listener, fail) == -1) ||
	    (control_fd != -1 && control_start(control_fd, control_path,
	    add_members, m, &m->control, fail) == -1)) {
		monitor_stop(&m);
		return -1;
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
	listener_stop(&m->listener);
	control_stop(&m->control);
	free(m);
}
