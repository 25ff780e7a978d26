/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * One page that stands by itself: no script, nothing from elsewhere, for a
 * screen, a phone and paper.  Each chart has its figures in a table, so colour
 * never tells alone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/date.h"
#include "base/utf8.h"
#include "ctl/report.h"

#define WIDTH		720
#define HEIGHT		230
#define LEFT		64
#define RIGHT		8
#define TOP		10
#define BOTTOM		28
#define ROW_HEIGHT	24
#define ROW_LABEL	190
#define ROW_NUMBER	96
#define LABELS_MAX	9	/* below a chart */
#define ROWS_MAX	25	/* lists in a chart */
#define TABLE_MAX	500	/* rows of lists and of requests */
#define NAME_MAX_CHARS	26

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;"
    "--line:#d0d7de;--paper:#fff;--panel:#f6f8fa;--accepted:#8cc5e3;"
    "--refused:#8f2d20;--deferred:#e0a030;--observed:#c9ced6;"
    "--in:#8cc5e3;--out:#8f2d20;--good:#1a7f37;--bad:#b3261e}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa4af;"
    "--line:#3d444d;--paper:#0d1117;--panel:#161b22;--accepted:#9ad0ec;"
    "--refused:#b5483a;--deferred:#d79a2b;--observed:#5a626d;--in:#9ad0ec;"
    "--out:#b5483a;--good:#4ac26b;--bad:#ff8f85}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;max-width:60rem;padding:1rem;background:"
    "var(--paper);color:var(--ink);font:1rem/1.5 system-ui,sans-serif}\n"
    "h1{font-size:1.6rem;margin:0 0 .25rem}\n"
    "h2{font-size:1.15rem;margin:2rem 0 .5rem}\n"
    "p{margin:.25rem 0}.soft{color:var(--soft)}\n"
    ".tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax("
    "9rem,1fr));gap:.75rem;margin:1rem 0}\n"
    ".tiles div{background:var(--panel);border:1px solid var(--line);"
    "border-radius:.5rem;padding:.6rem .8rem}\n"
    ".tiles b{display:block;font-size:1.35rem;font-variant-numeric:"
    "tabular-nums}\n"
    ".wide{overflow-x:auto}svg{display:block;width:100%;min-width:38rem;"
    "height:auto}\n"
    "svg text{font:12px system-ui,sans-serif;fill:var(--ink);unicode-bidi:"
    "isolate}svg .soft{fill:var(--soft)}svg line{stroke:var(--line)}\n"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0;"
    "font-variant-numeric:tabular-nums}\n"
    "th,td{padding:.25rem .6rem;border-bottom:1px solid var(--line);"
    "text-align:right;white-space:nowrap}\n"
    "th:first-child,td:first-child{text-align:left;white-space:normal;"
    "overflow-wrap:anywhere;min-width:7rem}"
    "@media(max-width:40rem){table{font-size:.875rem}th,td{padding:.25rem "
    ".35rem}}thead th{color:var(--soft);font-weight:600}\n"
    ".key{display:flex;flex-wrap:wrap;gap:.25rem 1rem;margin:.25rem 0;"
    "padding:0;list-style:none}.key i{display:inline-block;width:.8em;"
    "height:.8em;margin-right:.4em;border:1px solid var(--soft)}\n"
    ".good{color:var(--good)}.bad{color:var(--bad);font-weight:600}\n"
    ".accepted{fill:var(--accepted);background:var(--accepted)}\n"
    ".refused{fill:var(--refused);background:var(--refused)}\n"
    ".deferred{fill:var(--deferred);background:var(--deferred)}\n"
    ".observed{fill:var(--observed);background:var(--observed)}\n"
    ".in{fill:var(--in);background:var(--in)}"
    ".out{fill:var(--out);background:var(--out)}\n"
    "@media print{:root{--ink:#000;--soft:#444;--line:#bbb;--paper:#fff;"
    "--panel:#fff;--accepted:#8cc5e3;--refused:#8f2d20;--deferred:#e0a030;"
    "--observed:#c9ced6;--in:#8cc5e3;--out:#8f2d20;--good:#1a7f37;"
    "--bad:#b3261e}body{max-width:none;padding:0;font-size:10pt}"
    "*{-webkit-print-color-adjust:exact;print-color-adjust:exact}"
    "svg{min-width:0}.wide{overflow:visible}h2{break-after:avoid}"
    "tr,svg,.tiles{break-inside:avoid}thead{display:table-header-group}}\n";

/* -- text -- */

static void
put_char(unsigned char c)
{
	switch (c) {
	case '&':
		fputs("&amp;", stdout);
		break;
	case '<':
		fputs("&lt;", stdout);
		break;
	case '>':
		fputs("&gt;", stdout);
		break;
	case '"':
		fputs("&quot;", stdout);
		break;
	case '\'':
		fputs("&#39;", stdout);
		break;
	default:
		putchar(c < 0x20 || c == 0x7f ? '?' : c);
	}
}

/* At most so many characters; what is not UTF-8 becomes '?'. */
void
report_html_text(const char *text, size_t most)
{
	struct span s = span_str(text);
	bool valid = utf8_is_valid(s);
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		/* A byte that goes on with a character counts for nothing. */
		if ((!valid || (s.p[i] & 0xc0) != 0x80) && n++ == most) {
			fputs("\xe2\x80\xa6", stdout);
			return;
		}
		if (s.p[i] < 0x80)
			put_char(s.p[i]);
		else
			putchar(valid ? s.p[i] : '?');
	}
}

/* With spaces between thousands, which no locale reads wrongly. */
static void
put_number(uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);

	for (int i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			fputs("\xe2\x80\xaf", stdout);
		putchar(digits[i]);
	}
}

static void
put_date(int64_t ms)
{
	struct buf text = BUF_INIT(64);

	date_format(&text, ms);
	printf("%.10s", buf_get(&text));
	buf_fini(&text);
}

static const char *
list_label(const struct report_list *list)
{
	if (list->id[0] == '\0')
		return "(no list)";
	return list->name != NULL ? list->name : list->id;
}

/* -- charts -- */

/* The least of 1, 2, 5 times a power of ten that is not below. */
static uint64_t
round_up(uint64_t n)
{
	static const unsigned steps[] = { 1, 2, 5, 10 };
	uint64_t power = 1;

	while (n > power * 10 && power < UINT64_MAX / 100)
		power *= 10;
	for (size_t i = 0; i < 4; i++)
		if (n <= power * steps[i])
			return power * steps[i];
	return n;
}

static void
svg_begin(int height, const char *title, const char *text)
{
	printf("<div class=\"wide\"><svg viewBox=\"0 0 %d %d\" role=\"img\">"
	    "<title>%s</title><desc>%s The table below has the figures."
	    "</desc>\n", WIDTH, height, title, text);
}

static void
svg_end(void)
{
	puts("</svg></div>");
}

static void
svg_rect(double x, double y, double width, double height, const char *class)
{
	if (height > 0 && width > 0)
		printf("<rect x=\"%.1f\" y=\"%.2f\" width=\"%.2f\" "
		    "height=\"%.2f\" class=\"%s\"/>\n", x, y, width, height,
		    class);
}

static void
svg_grid(double y, uint64_t value)
{
	printf("<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text "
	    "x=\"%d\" y=\"%.1f\" text-anchor=\"end\" class=\"soft\">", LEFT,
	    WIDTH - RIGHT, y, y, LEFT - 6, y + 4);
	put_number(value);
	fputs("</text>\n", stdout);
}

/* Below the bars, as many labels as there is room for. */
static void
svg_labels(const struct report_bar *bars, size_t n, double step)
{
	size_t every = (n + LABELS_MAX - 1) / LABELS_MAX;

	for (size_t i = 0; i < n; i += every)
		printf("<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" "
		    "class=\"soft\">%s</text>\n", LEFT + step * ((double)i +
		    0.5), HEIGHT - 8, strlen(bars[i].label) == 10 ?
		    bars[i].label + 2 : bars[i].label);
}

static void
chart_days(const struct report *r, const struct report_bar *bars, size_t n)
{
	double step = (double)(WIDTH - LEFT - RIGHT) / (double)n;
	double room = HEIGHT - TOP - BOTTOM;
	struct report_sums sums;
	uint64_t most = 1;

	for (size_t i = 0; i < n; i++) {
		report_sum_days(r, NULL, bars[i].from, bars[i].to, &sums);
		if (sums.total > most)
			most = sums.total;
	}
	most = round_up(most);
	svg_begin(HEIGHT, "Decisions over time", "Stacked bars: accepted, "
	    "refused, deferred, observed.");
	for (unsigned i = 0; i <= 2; i++)
		if (i != 1 || most % 2 == 0)
			svg_grid(TOP + room - room * i / 2, most * i / 2);
	for (size_t i = 0; i < n; i++) {
		double y = TOP + room;

		report_sum_days(r, NULL, bars[i].from, bars[i].to, &sums);
		for (int o = 0; o < OUTCOMES; o++) {
			double h = room * (double)sums.outcomes[o] /
			    (double)most;

			y -= h;
			svg_rect(LEFT + step * ((double)i + 0.1), y,
			    step * 0.8, h, report_outcome_name((enum outcome)
			    o));
		}
	}
	svg_labels(bars, n, step);
	svg_end();
}

static uint64_t
opt_outs(const struct report *r, const struct report_list *list, size_t from,
    size_t to)
{
	return report_sum_events(r, list, EVENT_WITHDRAW, from, to) +
	    report_sum_events(r, list, EVENT_OBJECT, from, to) +
	    report_sum_events(r, list, EVENT_ERASE, from, to);
}

/* Opt-ins go up from the middle, opt-outs down. */
static void
chart_events(const struct report *r, const struct report_bar *bars, size_t n)
{
	double step = (double)(WIDTH - LEFT - RIGHT) / (double)n;
	double room = (HEIGHT - TOP - BOTTOM) / 2.0, middle = TOP + room;
	uint64_t most = 1;

	for (size_t i = 0; i < n; i++) {
		uint64_t in = report_sum_events(r, NULL, EVENT_GRANT,
		    bars[i].from, bars[i].to);
		uint64_t out = opt_outs(r, NULL, bars[i].from, bars[i].to);

		most = in > most ? in : most;
		most = out > most ? out : most;
	}
	most = round_up(most);
	svg_begin(HEIGHT, "Opt-ins and opt-outs over time", "Bars: opt-ins "
	    "above the line, opt-outs below.");
	svg_grid(TOP, most);
	svg_grid(middle, 0);
	svg_grid(middle + room, most);
	for (size_t i = 0; i < n; i++) {
		double x = LEFT + step * ((double)i + 0.1);
		double in = room * (double)report_sum_events(r, NULL,
		    EVENT_GRANT, bars[i].from, bars[i].to) / (double)most;
		double out = room * (double)opt_outs(r, NULL, bars[i].from,
		    bars[i].to) / (double)most;

		svg_rect(x, middle - in, step * 0.8, in, "in");
		svg_rect(x, middle, step * 0.8, out, "out");
	}
	svg_labels(bars, n, step);
	svg_end();
}

struct row {
	const char	*label;
	struct report_sums sums;
};

static void
chart_rows(const struct row *rows, size_t n, const char *title)
{
	uint64_t most = 1;

	if (n > ROWS_MAX)
		n = ROWS_MAX;
	for (size_t i = 0; i < n; i++)
		if (rows[i].sums.total > most)
			most = rows[i].sums.total;
	svg_begin((int)n * ROW_HEIGHT + 4, title, "Bars, one below the "
	    "other.");
	for (size_t i = 0; i < n; i++) {
		double x = ROW_LABEL, y = (double)i * ROW_HEIGHT + 4;

		printf("<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">",
		    ROW_LABEL - 8, y + 14);
		report_html_text(rows[i].label, NAME_MAX_CHARS);
		fputs("</text>\n", stdout);
		for (int o = 0; o < OUTCOMES; o++) {
			double w = (WIDTH - ROW_LABEL - ROW_NUMBER) *
			    (double)rows[i].sums.outcomes[o] / (double)most;

			svg_rect(x, y, w, ROW_HEIGHT - 6,
			    report_outcome_name((enum outcome)o));
			x += w;
		}
		printf("<text x=\"%.1f\" y=\"%.1f\">", x + 6, y + 14);
		put_number(rows[i].sums.total);
		fputs("</text>\n", stdout);
	}
	svg_end();
}

/* -- tables -- */

static void
put_key(void)
{
	fputs("<ul class=\"key\">", stdout);
	for (int o = 0; o < OUTCOMES; o++)
		printf("<li><i class=\"%s\"></i>%s</li>",
		    report_outcome_name((enum outcome)o),
		    report_outcome_name((enum outcome)o));
	puts("</ul>");
}

static void
table_begin(const char *first, const char *const *columns, size_t n)
{
	printf("<div class=\"wide\"><table><thead><tr><th scope=\"col\">%s"
	    "</th>", first);
	for (size_t i = 0; i < n; i++)
		printf("<th scope=\"col\">%s</th>", columns[i]);
	puts("</tr></thead><tbody>");
}

static void
table_label(const char *label)
{
	fputs("<tr><td><bdi>", stdout);
	report_html_text(label, 200);
	fputs("</bdi></td>", stdout);
}

static void
table_number(uint64_t n)
{
	fputs("<td>", stdout);
	put_number(n);
	fputs("</td>", stdout);
}

static void
table_end(void)
{
	puts("</tbody></table></div>");
}

static void
table_of_sums(const char *first, const struct row *rows, size_t n)
{
	const char *columns[OUTCOMES + 1];

	for (int o = 0; o < OUTCOMES; o++)
		columns[o] = report_outcome_name((enum outcome)o);
	columns[OUTCOMES] = "all";
	table_begin(first, columns, OUTCOMES + 1);
	for (size_t i = 0; i < n && i < TABLE_MAX; i++) {
		if (rows[i].sums.total == 0)
			continue;
		table_label(rows[i].label);
		for (int o = 0; o < OUTCOMES; o++)
			table_number(rows[i].sums.outcomes[o]);
		table_number(rows[i].sums.total);
		puts("</tr>");
	}
	table_end();
	if (n > TABLE_MAX)
		printf("<p class=\"soft\">The first %d of %zu.</p>\n",
		    TABLE_MAX, n);
}

/* -- sections -- */

static void
section_days(const struct report *r, const struct report_bar *bars, size_t n,
    const char *unit)
{
	struct row rows[REPORT_BARS_MAX];

	for (size_t i = 0; i < n; i++) {
		rows[i].label = bars[i].label;
		report_sum_days(r, NULL, bars[i].from, bars[i].to,
		    &rows[i].sums);
	}
	printf("<h2>Decisions by %s</h2>\n", unit);
	put_key();
	chart_days(r, bars, n);
	table_of_sums(strcmp(unit, "week") == 0 ? "week from" : unit, rows,
	    n);
}

static void
section_lists(const struct report *r)
{
	struct row rows[TABLE_MAX];
	size_t n = 0;

	for (size_t i = 0; i < r->list_count && n < TABLE_MAX; i++) {
		report_sum_days(r, &r->lists[i], 0, r->day_count - 1,
		    &rows[n].sums);
		rows[n].label = list_label(&r->lists[i]);
		if (rows[n].sums.total > 0)
			n++;
	}
	puts("<h2>Decisions by list</h2>");
	chart_rows(rows, n, "Decisions by list");
	table_of_sums("list", rows, n);
}

static void
section_reasons(const struct report *r)
{
	struct row rows[REPORT_REASONS];
	size_t n = 0;

	for (int i = 0; i < REPORT_REASONS; i++) {
		report_sum_reason(r, (enum reason)i, &rows[n].sums);
		rows[n].label = reason_name((enum reason)i);
		if (rows[n].sums.total > 0)
			n++;
	}
	puts("<h2>Decisions by reason</h2>");
	chart_rows(rows, n, "Decisions by reason");
	table_of_sums("reason", rows, n);
}

static void
event_row(const struct report *r, const struct report_list *list,
    const char *label, size_t from, size_t to)
{
	uint64_t in = report_sum_events(r, list, EVENT_GRANT, from, to);
	uint64_t unproven = report_sum_events(r, list, EVENT_UNPROVEN, from,
	    to);
	uint64_t confirmed = report_sum_events(r, list, EVENT_CONFIRM, from,
	    to);
	uint64_t out = opt_outs(r, list, from, to);

	if (in + unproven + confirmed + out == 0)
		return;
	table_label(label);
	table_number(in);
	table_number(confirmed);
	table_number(unproven);
	table_number(out);
	puts("</tr>");
}

static void
section_events(const struct report *r, const struct report_bar *bars,
    size_t n, const char *unit)
{
	static const char *const columns[] = { "opt-ins", "confirmed",
	    "unproven", "opt-outs" };

	puts("<h2>Opt-ins and opt-outs</h2>");
	if (r->events == 0) {
		puts("<p>None in this period.</p>");
		return;
	}
	puts("<ul class=\"key\"><li><i class=\"in\"></i>opt-ins</li>"
	    "<li><i class=\"out\"></i>opt-outs, objections and erasures</li>"
	    "</ul>");
	chart_events(r, bars, n);
	table_begin(unit, columns, 4);
	for (size_t i = 0; i < n; i++)
		event_row(r, NULL, bars[i].label, bars[i].from, bars[i].to);
	table_end();
	table_begin("list", columns, 4);
	for (size_t i = 0; i < r->list_count && i < TABLE_MAX; i++)
		event_row(r, &r->lists[i], r->lists[i].id[0] != '\0' ?
		    list_label(&r->lists[i]) : "(about all lists)", 0,
		    r->day_count - 1);
	table_end();
}

static void
section_requests(const struct report *r)
{
	static const char *const columns[] = { "made", "recorded", "due", "" };
	size_t from = r->request_count > TABLE_MAX ?
	    r->request_count - TABLE_MAX : 0;

	puts("<h2>Requests of data subjects</h2>");
	fputs("<p>", stdout);
	put_number(r->request_count);
	fputs(" in this period; ", stdout);
	put_number(r->late);
	puts(" recorded after the month that GDPR Art. 12(3) allows"
	    " (among them what another system did and was imported later).</p>");
	if (r->request_count == 0)
		return;
	table_begin("request", columns, 4);
	for (size_t i = from; i < r->request_count; i++) {
		const struct report_request *q = &r->requests[i];

		table_label(report_request_article(q->kind));
		fputs("<td>", stdout);
		put_date(q->at_ms);
		fputs("</td><td>", stdout);
		put_date(q->recorded_ms);
		fputs("</td><td>", stdout);
		put_date(q->due_ms);
		puts(q->recorded_ms > q->due_ms ?
		    "</td><td class=\"bad\">late</td></tr>" :
		    "</td><td></td></tr>");
	}
	table_end();
	if (from > 0)
		printf("<p class=\"soft\">The latest %d.</p>\n", TABLE_MAX);
}

static void
section_chains(const struct report *r)
{
	static const char *const columns[] = { "state", "entries", "blanked",
	    "not under a checkpoint" };

	puts("<h2>Are the logs as they were written?</h2>");
	table_begin("log", columns, 4);
	for (size_t i = 0; i < r->chain_count; i++) {
		const struct report_chain *c = &r->chains[i];
		const char *state = report_chain_state(r, c);

		fputs("<tr><td>", stdout);
		report_html_text(c->journal, 40);
		if (c->tally.host[0] != '\0') {
			fputs(" of <bdi>", stdout);
			report_html_text(c->tally.host, 80);
			fputs("</bdi>", stdout);
		}
		printf("</td><td class=\"%s\">%s</td>", c->problems > 0 ?
		    "bad" : r->verified ? "good" : "soft", state);
		table_number(c->tally.entries);
		table_number(c->tally.blanked);
		table_number(report_chain_tail(c));
		puts("</tr>");
	}
	table_end();
	for (size_t i = 0; i < r->chain_count; i++)
		if (r->chains[i].problems > 0) {
			fputs("<p class=\"bad\">", stdout);
			report_html_text(r->chains[i].first, sizeof(r->chains[i].
			    first));
			puts("</p>");
		}
	if (r->verified && !r->has_key)
		puts("<p class=\"soft\">Without a public key, whose "
		    "checkpoints they are was not checked.</p>");
}

static void
put_tile(uint64_t n, const char *label)
{
	fputs("<div><b>", stdout);
	put_number(n);
	printf("</b>%s</div>\n", label);
}

/* What an auditor looks for first. */
static void
put_status(const struct report *r)
{
	uint64_t broken = 0, entries = 0;

	for (size_t i = 0; i < r->chain_count; i++) {
		broken += r->chains[i].problems > 0;
		entries += r->chains[i].tally.entries;
	}
	if (!r->verified)
		puts("<p class=\"soft\">The logs were not checked.</p>");
	else if (broken > 0)
		puts("<p class=\"bad\">A log is not as it was written: see "
		    "the end of this page.</p>");
	else if (entries > 0)
		puts("<p class=\"good\">The logs are as they were written."
		    "</p>");
}

void
report_html_begin(const char *title)
{
	puts("<!DOCTYPE html>\n<html lang=\"en\"><head><meta "
	    "charset=\"utf-8\">\n<meta http-equiv=\"Content-Security-Policy\" "
	    "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
	    "<meta name=\"viewport\" content=\"width=device-width, "
	    "initial-scale=1\">");
	printf("<title>%s</title>\n<style>\n%s</style></head><body>\n"
	    "<h1>%s</h1>\n", title, style, title);
}

static void
put_head(const struct report *r)
{
	report_html_begin("Consent report");
	fputs("<p>", stdout);
	put_date(r->since_ms);
	fputs(" to ", stdout);
	put_date(r->until_ms);
	fputs(" (days of UTC)", stdout);
	if (r->only != NULL) {
		fputs(", list <bdi>", stdout);
		report_html_text(r->only, 80);
		fputs("</bdi>", stdout);
	}
	fputs("</p>\n<p class=\"soft\">Made on <bdi>", stdout);
	report_html_text(r->ctl->host, 100);
	fputs("</bdi>, ", stdout);
	put_date(r->ctl->now_ms);
	puts(". Counts only: nothing here is about one person.</p>");
}

void
report_html(const struct report *r)
{
	struct report_bar bars[REPORT_BARS_MAX];
	struct report_sums sums, failures;
	const char *unit;
	size_t n = report_bars(r, bars, &unit);

	put_head(r);
	put_status(r);
	report_sum_days(r, NULL, 0, r->day_count - 1, &sums);
	report_sum_reason(r, REASON_STORE_FAILURE, &failures);
	puts("<div class=\"tiles\">");
	put_tile(sums.total, "decisions");
	for (int o = 0; o < OUTCOMES; o++)
		if (o != OUTCOME_OBSERVED || sums.outcomes[o] > 0)
			put_tile(sums.outcomes[o],
			    report_outcome_name((enum outcome)o));
	put_tile(failures.total, "while the consent store failed");
	puts("</div>");
	if (r->unreadable > 0) {
		fputs("<p class=\"bad\">", stdout);
		put_number(r->unreadable);
		puts(" lines could not be read, and are not counted.</p>");
	}
	if (sums.total > 0) {
		section_days(r, bars, n, unit);
		section_lists(r);
		section_reasons(r);
	}
	section_events(r, bars, n, unit);
	section_requests(r);
	section_chains(r);
	puts("</body></html>");
}
