/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "milterd/overview.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/listen.h"
#include "base/xalloc.h"
#include "milterd/callbacks.h"
#include "monitor/control.h"
#include "monitor/listener.h"
#include "monitor/prometheus.h"
#include "monitor/report.h"

#define PREFIX	"consent_milter_"

struct overview {
	struct runtime	*runtime;
	int64_t		 started_ms;
	struct listener	*listener;	/* NULL: none */
	struct control	*control;	/* NULL: none */
};

/* A moment of the filter. */
struct moment {
	struct report	 report;
	struct snapshot	*snapshot;
	struct unapplied_state unapplied;
	size_t		 connections;
};

static void
take(const struct overview *o, struct moment *m)
{
	memset(m, 0, sizeof(*m));
	m->report.program = "consent-milter";
	m->report.prefix = PREFIX;
	m->report.started_ms = o->started_ms;
	m->report.now_ms = clock_now_ms();
	m->snapshot = runtime_get(o->runtime);
	m->connections = callbacks_connections();
	runtime_report(o->runtime, m->snapshot, &m->report, &m->unapplied);
	report_find_problems(&m->report);
	if (!m->unapplied.is_known)
		report_add_problem(&m->report, "ledger-not-followed");
	if (m->unapplied.has_lost)
		report_add_problem(&m->report, "redis-incomplete");
	if (m->connections > m->snapshot->capacity.served)
		report_add_problem(&m->report, "too-many-connections");
}

/* A list's mode, with that of the filter where it has none of its own. */
static void
add_list_modes(const struct prometheus *p, const struct policy *policy)
{
	char label[96];

	prometheus_head(p, "list_observe", "gauge", "Whether decisions on "
	    "mail of the list are only logged: 1 yes, 0 no.");
	for (size_t i = 0; i < policy->list_count; i++) {
		const struct list *list = &policy->lists[i];

		(void)snprintf(label, sizeof(label), "{list=\"%s\"}",
		    list->id);
		prometheus_add(p, "list_observe", label,
		    policy_observes(policy, list));
	}
}

static void
add_metrics(struct buf *out, void *context)
{
	const struct overview *o = context;
	const struct policy *policy;
	const struct prometheus p = { out, PREFIX };
	struct moment m;

	take(o, &m);
	policy = &m.snapshot->settings->policy;
	report_add_metrics(out, &m.report);
	tally_add_metrics(out, runtime_tally(o->runtime));
	prometheus_one(&p, "connections", "gauge",
	    "Connections of MTAs that are open.", m.connections);
	prometheus_one(&p, "connections_max", "gauge", "How many of them "
	    "there may be.", m.snapshot->capacity.served);
	prometheus_one(&p, "unapplied_events", "gauge", "Events of this "
	    "host's ledger that Redis has not confirmed and the filter puts "
	    "on top of its answers.", m.unapplied.events);
	prometheus_one(&p, "ledger_followed", "gauge", "Whether the ledger "
	    "can be followed: 1 yes, 0 no, and mail to lists is deferred.",
	    m.unapplied.is_known);
	prometheus_one(&p, "store_complete", "gauge", "Whether Redis has all "
	    "that it had confirmed of this host's ledger: 1 yes, 0 no, and "
	    "whose opt-in it does not know is deferred.",
	    !m.unapplied.has_lost);
	prometheus_one(&p, "observe", "gauge", "Whether decisions are only "
	    "logged where no list says otherwise: 1 yes, 0 no.",
	    policy->observe);
	add_list_modes(&p, policy);
	snapshot_put(&m.snapshot);
}

/* How many lists are in each mode, and which are not in the filter's own. */
static void
add_lists(struct buf *out, const struct policy *policy)
{
	struct buf others = BUF_INIT(CONTROL_TEXT_MAX);
	int64_t observe = 0;

	for (size_t i = 0; i < policy->list_count; i++) {
		const struct list *list = &policy->lists[i];
		bool observes = policy_observes(policy, list);

		observe += observes;
		if (observes == policy->observe)
			continue;
		if (others.len > 0)
			buf_add_char(&others, ',');
		json_add_string(&others, span_str(list->id));
	}
	json_add_name(out, "lists");
	buf_add_char(out, '{');
	json_add_member_i64(out, "enforce",
	    (int64_t)policy->list_count - observe);
	json_add_member_i64(out, "observe", observe);
	json_add_name(out, "others");
	buf_addf(out, "[%s]}", buf_get(&others));
	buf_fini(&others);
}

static void
add_members(struct buf *out, void *context)
{
	const struct overview *o = context;
	const struct settings *s;
	struct moment m;

	take(o, &m);
	s = m.snapshot->settings;
	report_add_members(out, &m.report);
	json_add_member_str(out, "mode", s->policy.observe ? "observe" :
	    "enforce");
	add_lists(out, &s->policy);
	tally_add_members(out, runtime_tally(o->runtime));
	json_add_member_i64(out, "connections", (int64_t)m.connections);
	json_add_member_i64(out, "unapplied", (int64_t)m.unapplied.events);
	json_add_member_bool(out, "ledger_followed", m.unapplied.is_known);
	json_add_member_bool(out, "store_complete", !m.unapplied.lacks);
	json_add_name(out, "limits");
	buf_add_char(out, '{');
	json_add_member_i64(out, "connections",
	    (int64_t)m.snapshot->capacity.served);
	json_add_member_i64(out, "recipients", (int64_t)s->limits.recipients);
	json_add_member_i64(out, "header_bytes",
	    (int64_t)s->limits.header_bytes);
	buf_add_char(out, '}');
	snapshot_put(&m.snapshot);
}

int
overview_listen(const struct settings *settings,
    struct overview_sockets *out, struct fail *warning, struct fail *fail)
{
	out->metrics = out->control = -1;
	warning->text[0] = '\0';
	if (settings->metrics != NULL) {
		out->metrics = listen_open("metrics", settings->metrics, 0666,
		    fail);
		if (out->metrics == -1)
			return -1;
	}
	if (settings->control != NULL)
		out->control = control_listen("control", settings->control,
		    settings->user, warning);
	return 0;
}

int
overview_start(const struct overview_sockets *sockets,
    struct runtime *runtime, const struct settings *settings,
    struct overview **out, struct fail *fail)
{
	struct overview *o = xcalloc(1, sizeof(*o));

	o->runtime = runtime;
	o->started_ms = clock_now_ms();
	if ((sockets->metrics != -1 && listener_start("metrics",
	    sockets->metrics, add_metrics, o, &o->listener, fail) == -1) ||
	    (sockets->control != -1 && control_start(sockets->control,
	    settings->control, add_members, o, &o->control, fail) == -1)) {
		overview_stop(&o);
		return -1;
	}
	*out = o;
	return 0;
}

void
overview_stop(struct overview **overview)
{
	struct overview *o = *overview;

	if (o == NULL)
		return;
	*overview = NULL;
	listener_stop(&o->listener);
	control_stop(&o->control);
	free(o);
}
