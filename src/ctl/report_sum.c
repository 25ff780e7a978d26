/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Sums and names that all formats share, so that they agree.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/date.h"
#include "ctl/report.h"

#define DAY_MS		INT64_C(86400000)
#define WEEK		7

const char *
report_action_name(unsigned action)
{
	static const char *const names[REPORT_ACTIONS] = { "accept", "reject",
	    "remove", "tempfail", "would-accept", "would-reject",
	    "would-remove", "would-tempfail" };

	return names[action];
}

int
report_action_parse(struct span name, unsigned *out)
{
	unsigned would = 0;

	if (span_has_prefix(name, SPAN("would-"))) {
		name = span_from(name, strlen("would-"));
		would = REPORT_ACTIONS / 2;
	}
	for (unsigned i = 0; i < REPORT_ACTIONS / 2; i++)
		if (span_is(name, span_str(action_name((enum action)i)))) {
			*out = i + would;
			return 0;
		}
	return -1;
}

enum outcome
report_outcome(unsigned action)
{
	if (action >= REPORT_ACTIONS / 2)
		return OUTCOME_OBSERVED;
	switch ((enum action)action) {
	case ACTION_ACCEPT:
		return OUTCOME_ACCEPTED;
	case ACTION_TEMPFAIL:
		return OUTCOME_DEFERRED;
	case ACTION_REJECT:
	case ACTION_REMOVE:
		break;
	}
	return OUTCOME_REFUSED;
}

const char *
report_outcome_name(enum outcome outcome)
{
	static const char *const names[OUTCOMES] = { "accepted", "refused",
	    "deferred", "observed" };

	return names[outcome];
}

const char *
report_request_article(enum event_kind kind)
{
	switch (kind) {
	case EVENT_ERASE:
		return "erasure (Art. 17)";
	case EVENT_RESTRICT:
		return "restriction (Art. 18)";
	case EVENT_UNRESTRICT:
		return "end of a restriction (Art. 18)";
	case EVENT_OBJECT:
		return "objection (Art. 21)";
	case EVENT_OBJECT_PROFILING:
		return "objection to profiling (Art. 21)";
	case EVENT_ALLOW_PROFILING:
		return "end of that objection (Art. 21)";
	case EVENT_GRANT:
	case EVENT_UNPROVEN:
	case EVENT_CONFIRM:
	case EVENT_WITHDRAW:
		break;
	}
	return NULL;
}

static void
add_day(const struct report_day *day, int only_reason,
    struct report_sums *out)
{
	for (unsigned a = 0; a < REPORT_ACTIONS; a++)
		for (int r = 0; r < REPORT_REASONS; r++) {
			if (only_reason != -1 && r != only_reason)
				continue;
			out->outcomes[report_outcome(a)] +=
			    day->decisions[a][r];
			out->total += day->decisions[a][r];
		}
}

void
report_sum_days(const struct report *r, const struct report_list *list,
    size_t from, size_t to, struct report_sums *out)
{
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < r->list_count; i++)
		for (size_t d = from; d <= to; d++)
			if ((list == NULL || list == &r->lists[i]) &&
			    r->lists[i].days[d] != NULL)
				add_day(r->lists[i].days[d], -1, out);
}

void
report_sum_reason(const struct report *r, enum reason reason,
    struct report_sums *out)
{
	memset(out, 0, sizeof(*out));
	for (size_t i = 0; i < r->list_count; i++)
		for (size_t d = 0; d < r->day_count; d++)
			if (r->lists[i].days[d] != NULL)
				add_day(r->lists[i].days[d], (int)reason, out);
}

uint64_t
report_sum_events(const struct report *r, const struct report_list *list,
    enum event_kind kind, size_t from, size_t to)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < r->list_count; i++)
		for (size_t d = from; d <= to; d++)
			if ((list == NULL || list == &r->lists[i]) &&
			    r->lists[i].days[d] != NULL)
				sum += r->lists[i].days[d]->events[kind];
	return sum;
}

void
report_day_name(const struct report *r, size_t day, char name[16])
{
	struct buf text = BUF_INIT(64);

	date_format(&text, (r->first_day + (int64_t)day) * DAY_MS);
	(void)snprintf(name, 16, "%.10s", buf_get(&text));
	buf_fini(&text);
}

/* Bars of so many days; calendar months when days is 0. */
static size_t
make_bars(const struct report *r, size_t days,
    struct report_bar bars[REPORT_BARS_MAX])
{
	size_t n = 0;

	for (size_t d = 0; d < r->day_count; d++) {
		char name[16];
		bool begins;

		report_day_name(r, d, name);
		if (days == 0)
			name[7] = '\0';
		begins = n == 0 || (days != 0 ? d % days == 0 :
		    strcmp(name, bars[n - 1].label) != 0);
		if (begins && n == REPORT_BARS_MAX)
			return n + 1;
		if (begins) {
			bars[n].from = d;
			memcpy(bars[n++].label, name, sizeof(name));
		}
		bars[n - 1].to = d;
	}
	return n;
}

static size_t
make_years(const struct report *r, struct report_bar bars[REPORT_BARS_MAX])
{
	size_t n = 0;

	for (size_t d = 0; d < r->day_count; d++) {
		char name[16];

		report_day_name(r, d, name);
		name[4] = '\0';
		if (n == 0 || (n < REPORT_BARS_MAX &&
		    strcmp(name, bars[n - 1].label) != 0)) {
			bars[n].from = d;
			memcpy(bars[n++].label, name, sizeof(name));
		}
		bars[n - 1].to = d;
	}
	return n;
}

size_t
report_bars(const struct report *r, struct report_bar bars[REPORT_BARS_MAX],
    const char **unit)
{
	size_t n;

	*unit = "day";
	if ((n = make_bars(r, 1, bars)) <= REPORT_BARS_MAX)
		return n;
	*unit = "week";
	if ((n = make_bars(r, WEEK, bars)) <= REPORT_BARS_MAX)
		return n;
	*unit = "month";
	if ((n = make_bars(r, 0, bars)) <= REPORT_BARS_MAX)
		return n;
	*unit = "year";
	return make_years(r, bars);
}

const char *
report_chain_state(const struct report *r, const struct report_chain *chain)
{
	if (!r->verified)
		return "not checked";
	if (chain->problems > 0)
		return "BROKEN";
	return chain->tally.entries == 0 ? "empty" : "good";
}

uint64_t
report_chain_tail(const struct report_chain *chain)
{
	const struct journal_tally *t = &chain->tally;

	if (t->covered_seq == 0)
		return t->entries;
	return t->last_seq > t->covered_seq ? t->last_seq - t->covered_seq : 0;
}
