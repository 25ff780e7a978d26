/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "milterd/tally.h"

#include <stdio.h>
#include <string.h>

#include "base/counter.h"
#include "base/json.h"
#include "base/xalloc.h"
#include "monitor/prometheus.h"

#define NO_LIST		"-"		/* as in the mail log; no id of a list */
#define OTHER_LISTS	"_other"	/* neither is this */

static const char *const prefixes[2] = { "", "would-" };

/* With the lock held. */
static struct tally_list *
find_list(const struct tally *tally, const char *id)
{
	struct tally_list *list = atomic_load(&tally->lists);

	while (list != NULL && strcmp(list->id, id) != 0)
		list = list->next;
	return list;
}

static struct tally_list *
new_list(struct tally *tally, const char *id)
{
	struct tally_list *list = xcalloc(1, sizeof(*list));

	(void)snprintf(list->id, sizeof(list->id), "%s", id);
	list->next = atomic_load(&tally->lists);
	tally->list_count++;
	atomic_store(&tally->lists, list);
	return list;
}

void
tally_init(struct tally *tally)
{
	memset(tally, 0, sizeof(*tally));
	(void)pthread_mutex_init(&tally->lock, NULL);
	tally->none = new_list(tally, NO_LIST);
}

struct tally_list *
tally_list(struct tally *tally, const char *id)
{
	struct tally_list *list;

	(void)pthread_mutex_lock(&tally->lock);
	list = find_list(tally, id);
	if (list == NULL && tally->list_count >= TALLY_LISTS_MAX) {
		id = OTHER_LISTS;
		list = find_list(tally, id);
	}
	if (list == NULL)
		list = new_list(tally, id);
	(void)pthread_mutex_unlock(&tally->lock);
	return list;
}

void
tally_decision(struct tally_list *list, bool observe,
    struct decision decision)
{
	counter_add(
	    &list->decisions[observe][decision.action][decision.reason], 1);
}

void
tally_unrecorded(struct tally *tally, size_t n)
{
	counter_add(&tally->unrecorded, n);
}

void
tally_limit(struct tally *tally, enum tally_limit limit)
{
	counter_add(&tally->limits[limit], 1);
}

void
tally_connection(struct tally *tally)
{
	counter_add(&tally->connections, 1);
}

void
tally_reply(struct tally *tally, enum tally_stage stage, int64_t us)
{
	histogram_add(&tally->replies[stage], us);
}

/* -- for Prometheus -- */

/* So that a list and its usual refusal are there before their first mail: a
 * rate needs two numbers. */
static bool
is_usual(const struct tally_list *list, int observe, unsigned action,
    unsigned reason)
{
	return observe == 0 && list->id[0] != NO_LIST[0] &&
	    ((action == ACTION_ACCEPT && reason == REASON_GRANTED) ||
	    (action == ACTION_REJECT && reason == REASON_NO_CONSENT));
}

static void
add_list(const struct prometheus *p, const struct tally_list *list,
    int observe)
{
	char labels[160];

	for (unsigned a = 0; a < TALLY_ACTIONS; a++)
		for (unsigned r = 0; r < TALLY_REASONS; r++) {
			uint64_t n = counter_get(
			    &list->decisions[observe][a][r]);

			if (n == 0 && !is_usual(list, observe, a, r))
				continue;
			(void)snprintf(labels, sizeof(labels), "{list=\"%s\","
			    "action=\"%s%s\",reason=\"%s\"}", list->id,
			    prefixes[observe], action_name(a),
			    reason_name(r));
			prometheus_add(p, "decisions_total", labels, n);
		}
}

static void
add_limits(const struct prometheus *p, const struct tally *tally)
{
	prometheus_head(p, "limit_reached_total", "counter", "Recipients, "
	    "messages and connections that passed a limit of the "
	    "configuration.");
	prometheus_add(p, "limit_reached_total", "{limit=\"recipients\"}",
	    counter_get(&tally->limits[TALLY_RECIPIENTS]));
	prometheus_add(p, "limit_reached_total", "{limit=\"header_bytes\"}",
	    counter_get(&tally->limits[TALLY_HEADER_BYTES]));
	prometheus_add(p, "limit_reached_total", "{limit=\"connections\"}",
	    counter_get(&tally->limits[TALLY_CONNECTIONS]));
}

static void
add_replies(const struct prometheus *p, const struct tally *tally)
{
	static const char *const labels[TALLY_STAGES] =
	    { "stage=\"rcpt\"", "stage=\"eom\"" };

	prometheus_head(p, "reply_duration_seconds", "histogram", "How long "
	    "the filter took for its answer to a recipient and to the end of "
	    "a message.");
	for (size_t i = 0; i < TALLY_STAGES; i++) {
		struct histogram_counts counts = { .sum_us = 0 };

		histogram_sum(&tally->replies[i], &counts);
		prometheus_add_histogram(p, "reply_duration_seconds",
		    labels[i], &counts);
	}
}

void
tally_add_metrics(struct buf *out, struct tally *tally)
{
	const struct prometheus p = { out, "consent_milter_" };

	prometheus_head(&p, "decisions_total", "counter", "Decisions on "
	    "record, by list (- is none), action and reason.");
	for (const struct tally_list *list = atomic_load(&tally->lists);
	    list != NULL; list = list->next)
		for (int observe = 0; observe < 2; observe++)
			add_list(&p, list, observe);
	prometheus_one(&p, "decisions_unrecorded_total", "counter",
	    "Decisions that could not be put on record, so that their mail "
	    "was deferred.", counter_get(&tally->unrecorded));
	add_limits(&p, tally);
	prometheus_one(&p, "connections_total", "counter",
	    "Connections of MTAs.", counter_get(&tally->connections));
	add_replies(&p, tally);
}

/* -- at the control socket -- */

static uint64_t
sum_action(struct tally *tally, int observe, unsigned action)
{
	uint64_t sum = 0;

	for (const struct tally_list *list = atomic_load(&tally->lists);
	    list != NULL; list = list->next)
		for (unsigned r = 0; r < TALLY_REASONS; r++)
			sum += counter_get(&list->decisions[observe][action][r]);
	return sum;
}

void
tally_add_members(struct buf *out, struct tally *tally)
{
	char name[32];

	json_add_name(out, "decisions");
	buf_add_char(out, '{');
	for (int observe = 0; observe < 2; observe++)
		for (unsigned a = 0; a < TALLY_ACTIONS; a++) {
			(void)snprintf(name, sizeof(name), "%s%s",
			    prefixes[observe], action_name(a));
			json_add_member_i64(out, name,
			    (int64_t)sum_action(tally, observe, a));
		}
	json_add_member_i64(out, "unrecorded",
	    (int64_t)counter_get(&tally->unrecorded));
	buf_add_char(out, '}');
}
