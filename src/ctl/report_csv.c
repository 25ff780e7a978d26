/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The tables for those who want to count for themselves: CSV, and JSON.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/date.h"
#include "base/json.h"
#include "rights/cell.h"
#include "ctl/report.h"

/* Called for each number that is not 0. */
struct walk {
	void		(*row)(struct walk *walk, const char *day,
			    const char *list, const char *what,
			    const char *reason, uint64_t count);
	bool		 any;
};

static void
walk_decisions(const struct report *r, struct walk *w)
{
	for (size_t d = 0; d < r->day_count; d++)
		for (size_t i = 0; i < r->list_count; i++) {
			const struct report_day *day = r->lists[i].days[d];
			char name[16];

			if (day == NULL)
				continue;
			report_day_name(r, d, name);
			for (unsigned a = 0; a < REPORT_ACTIONS; a++)
				for (int e = 0; e < REPORT_REASONS; e++)
					if (day->decisions[a][e] != 0)
						w->row(w, name,
						    r->lists[i].id,
						    report_action_name(a),
						    reason_name((enum reason)
						    e), day->decisions[a][e]);
		}
}

static void
walk_events(const struct report *r, struct walk *w)
{
	for (size_t d = 0; d < r->day_count; d++)
		for (size_t i = 0; i < r->list_count; i++) {
			const struct report_day *day = r->lists[i].days[d];
			char name[16];

			if (day == NULL)
				continue;
			report_day_name(r, d, name);
			for (int k = 0; k < EVENT_KINDS; k++)
				if (day->events[k] != 0)
					w->row(w, name, r->lists[i].id,
					    event_kind_name((enum event_kind)
					    k), NULL, day->events[k]);
		}
}

/* -- CSV -- */

enum { CELL_TABLE, CELL_DAY, CELL_LIST, CELL_WHAT, CELL_REASON, CELL_COUNT,
    CELL_RECORDED, CELL_DUE, CELLS };

static void
set_count(struct span cells[CELLS], char text[24], uint64_t count)
{
	int len = snprintf(text, 24, "%" PRIu64, count);

	cells[CELL_COUNT] = span_of(text, (size_t)len);
}

static void
csv_row(struct walk *w, const char *day, const char *list, const char *what,
    const char *reason, uint64_t count)
{
	struct span cells[CELLS] = { [CELL_DAY] = span_str(day),
	    [CELL_LIST] = span_str(list), [CELL_WHAT] = span_str(what),
	    [CELL_REASON] = span_str(reason) };
	char text[24];

	(void)w;
	cells[CELL_TABLE] = reason != NULL ? SPAN("decision") : SPAN("event");
	set_count(cells, text, count);
	cell_print_row(stdout, cells, CELLS);
}

static void
csv_requests(const struct report *r)
{
	struct buf at = BUF_INIT(64), recorded = BUF_INIT(64),
	    due = BUF_INIT(64);

	for (size_t i = 0; i < r->request_count; i++) {
		const struct report_request *q = &r->requests[i];
		struct span cells[CELLS] = { SPAN("request") };

		buf_clear(&at);
		buf_clear(&recorded);
		buf_clear(&due);
		date_format(&at, q->at_ms);
		date_format(&recorded, q->recorded_ms);
		date_format(&due, q->due_ms);
		cells[CELL_DAY] = span_head(buf_span(&at), 10);
		cells[CELL_WHAT] = span_str(event_kind_name(q->kind));
		cells[CELL_COUNT] = SPAN("1");
		cells[CELL_RECORDED] = span_head(buf_span(&recorded), 10);
		cells[CELL_DUE] = span_head(buf_span(&due), 10);
		cell_print_row(stdout, cells, CELLS);
	}
	buf_fini(&at);
	buf_fini(&recorded);
	buf_fini(&due);
}

void
report_csv(const struct report *r)
{
	static const char *const names[CELLS] = { "table", "day", "list",
	    "what", "reason", "count", "recorded", "due" };
	struct span cells[CELLS];
	struct walk walk = { .row = csv_row };

	for (size_t i = 0; i < CELLS; i++)
		cells[i] = span_str(names[i]);
	cell_print_row(stdout, cells, CELLS);
	walk_decisions(r, &walk);
	walk_events(r, &walk);
	csv_requests(r);
	for (size_t i = 0; i < r->chain_count; i++) {
		struct span row[CELLS] = { SPAN("chain") };
		char text[24];

		row[CELL_WHAT] = span_str(r->chains[i].journal);
		row[CELL_REASON] = span_str(report_chain_state(r,
		    &r->chains[i]));
		set_count(row, text, r->chains[i].tally.entries);
		cell_print_row(stdout, row, CELLS);
	}
}

/* -- JSON -- */

static void
flush(struct buf *out)
{
	(void)fwrite(buf_get(out), 1, out->len, stdout);
	buf_clear(out);
}

static void
json_row(struct walk *w, const char *day, const char *list, const char *what,
    const char *reason, uint64_t count)
{
	struct buf out = BUF_INIT(64 * 1024);

	buf_add_str(&out, w->any ? ",\n{" : "\n{");
	w->any = true;
	json_add_member_str(&out, "day", day);
	json_add_member_str(&out, "list", list);
	json_add_member_str(&out, reason != NULL ? "action" : "event", what);
	if (reason != NULL)
		json_add_member_str(&out, "reason", reason);
	json_add_member_i64(&out, "count", (int64_t)count);
	buf_add_char(&out, '}');
	flush(&out);
	buf_fini(&out);
}

static void
json_totals(const struct report *r, struct buf *out)
{
	struct report_sums sums, failures;

	report_sum_days(r, NULL, 0, r->day_count - 1, &sums);
	report_sum_reason(r, REASON_STORE_FAILURE, &failures);
	json_add_name(out, "totals");
	buf_add_char(out, '{');
	json_add_member_i64(out, "decisions", (int64_t)sums.total);
	for (int i = 0; i < OUTCOMES; i++)
		json_add_member_i64(out, report_outcome_name((enum outcome)i),
		    (int64_t)sums.outcomes[i]);
	json_add_member_i64(out, "store_failures", (int64_t)failures.total);
	json_add_member_i64(out, "events", (int64_t)r->events);
	json_add_member_i64(out, "requests", (int64_t)r->request_count);
	json_add_member_i64(out, "requests_late", (int64_t)r->late);
	json_add_member_i64(out, "blanked", (int64_t)r->blanked);
	json_add_member_i64(out, "unreadable_lines", (int64_t)r->unreadable);
	buf_add_char(out, '}');
}

static void
json_requests(const struct report *r, struct buf *out)
{
	for (size_t i = 0; i < r->request_count; i++) {
		const struct report_request *q = &r->requests[i];

		buf_add_str(out, i == 0 ? "\n{" : ",\n{");
		json_add_member_str(out, "request", event_kind_name(q->kind));
		ctl_add_time(out, "made_at", q->at_ms);
		ctl_add_time(out, "recorded_at", q->recorded_ms);
		ctl_add_time(out, "due_at", q->due_ms);
		json_add_member_bool(out, "late", q->recorded_ms > q->due_ms);
		buf_add_char(out, '}');
		flush(out);
	}
}

static void
json_chains(const struct report *r, struct buf *out)
{
	for (size_t i = 0; i < r->chain_count; i++) {
		const struct report_chain *c = &r->chains[i];

		buf_add_str(out, i == 0 ? "\n{" : ",\n{");
		json_add_member_str(out, "journal", c->journal);
		json_add_member_str(out, "directory", c->directory);
		json_add_member_str(out, "state", report_chain_state(r, c));
		if (r->verified) {
			json_add_member_str(out, "host", c->tally.host);
			json_add_member_i64(out, "entries",
			    (int64_t)c->tally.entries);
			json_add_member_i64(out, "blanked",
			    (int64_t)c->tally.blanked);
			json_add_member_i64(out, "unproven_tail",
			    (int64_t)report_chain_tail(c));
			json_add_member_i64(out, "problems",
			    (int64_t)c->problems);
		}
		if (c->problems > 0)
			json_add_member_str(out, "first_problem", c->first);
		buf_add_char(out, '}');
	}
}

void
report_json(const struct report *r)
{
	struct buf out = BUF_INIT(1024 * 1024);
	struct walk walk = { .row = json_row };

	buf_add_char(&out, '{');
	json_add_member_str(&out, "host", r->ctl->host);
	ctl_add_time(&out, "generated_at", r->ctl->now_ms);
	ctl_add_time(&out, "since", r->since_ms);
	ctl_add_time(&out, "until", r->until_ms);
	if (r->only != NULL)
		json_add_member_str(&out, "list", r->only);
	json_totals(r, &out);
	buf_add_str(&out, ",\n\"decisions\":[");
	flush(&out);
	walk_decisions(r, &walk);
	buf_add_str(&out, "],\n\"events\":[");
	flush(&out);
	walk.any = false;
	walk_events(r, &walk);
	buf_add_str(&out, "],\n\"requests\":[");
	json_requests(r, &out);
	buf_add_str(&out, "],\n\"chains\":[");
	json_chains(r, &out);
	buf_add_char(&out, ']');
	json_add_member_bool(&out, "checked_with_key", r->verified &&
	    r->has_key);
	buf_add_str(&out, "}\n");
	flush(&out);
	buf_fini(&out);
}
