/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The formats of report --would.  Whatever comes out of a log may be hostile.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/date.h"
#include "base/json.h"
#include "ctl/would.h"
#include "rights/cell.h"

static const char *const state_names[] = {
	[WOULD_ENFORCED] = "enforced",
	[WOULD_UNSEEN] = "unseen",
	[WOULD_READY] = "ready",
	[WOULD_OPTED_OUT] = "ready-but-opted-out",
	[WOULD_BLOCKS] = "not-ready",
};

static const char *
or_dash(const char *text)
{
	return text[0] != '\0' ? text : "-";
}

static const char *
list_label(const char *id)
{
	return id[0] != '\0' ? id : "(no list)";
}

/* -- text -- */

/* Nothing of a log reaches the terminal as a command. */
static void
put_plain(const char *text)
{
	for (; *text != '\0'; text++)
		putchar((unsigned char)*text < 0x20 || *text == 0x7f ||
		    (unsigned char)*text >= 0x80 ? '?' : *text);
}

static void
put_time(int64_t ms)
{
	struct buf text = BUF_INIT(64);

	date_format(&text, ms);
	printf("%.16s", buf_get(&text));
	buf_fini(&text);
}

static void
print_row(const struct would_row *row)
{
	printf("  %s, %s: %" PRIu64 " recipients, about %" PRIu64
	    " messages, ", report_action_name(row->action),
	    reason_name(row->reason), row->recipients, row->messages);
	put_time(row->first_ms);
	fputs(" to ", stdout);
	put_time(row->last_ms);
	fputs("\n    from ", stdout);
	put_plain(or_dash(row->domain));
	fputs(" <", stdout);
	put_plain(row->sender);
	fputs(">, client ", stdout);
	put_plain(or_dash(row->client));
	fputs(", login ", stdout);
	put_plain(or_dash(row->auth));
	for (size_t i = 0; i < row->example_count; i++) {
		fputs(i == 0 ? "\n    such as <" : ">, <", stdout);
		put_plain(row->examples[i].recipient);
		fputs("> (ref ", stdout);
		put_plain(row->examples[i].ref);
		putchar(')');
	}
	putchar('\n');
}

void
would_text(const struct report *r)
{
	const struct would_list *lists;
	const struct would_row *rows;
	size_t row_count = would_rows(r, &rows);
	size_t n = would_lists(r, &lists);

	fputs("What would have been blocked, ", stdout);
	put_time(r->since_ms);
	fputs(" to ", stdout);
	put_time(r->until_ms);
	puts(" UTC");
	for (size_t i = 0; i < n; i++) {
		uint64_t blocked = would_blocked(&lists[i]);

		putchar('\n');
		put_plain(list_label(lists[i].id));
		printf(": %" PRIu64 " of %" PRIu64 " recipients\n", blocked,
		    blocked + lists[i].passed);
		for (size_t k = 0; k < row_count; k++)
			if (strcmp(rows[k].list, lists[i].id) == 0)
				print_row(&rows[k]);
	}
	putchar('\n');
	for (size_t i = 0; i < n; i++) {
		struct buf advice = BUF_INIT(4096);

		would_advise(&advice, r, &lists[i]);
		put_plain(list_label(lists[i].id));
		fputs(": ", stdout);
		put_plain(buf_get(&advice));
		putchar('\n');
		buf_fini(&advice);
	}
	if (r->unreadable > 0)
		printf("%" PRIu64 " lines could not be read, and are not "
		    "counted\n", r->unreadable);
}

/* -- CSV -- */

void
would_csv(const struct report *r)
{
	static const char head[] = "list,action,reason,domain,sender,client,"
	    "auth,recipients,messages,first,last,examples\n";
	const struct would_row *rows;
	size_t n = would_rows(r, &rows);

	fputs(head, stdout);
	for (size_t i = 0; i < n; i++) {
		const struct would_row *row = &rows[i];
		struct buf first = BUF_INIT(64), last = BUF_INIT(64);
		struct buf examples = BUF_INIT(4096);
		char recipients[24], messages[24];

		date_format(&first, row->first_ms);
		date_format(&last, row->last_ms);
		for (size_t e = 0; e < row->example_count; e++)
			buf_addf(&examples, "%s%s %s", e > 0 ? "; " : "",
			    row->examples[e].recipient, row->examples[e].ref);
		(void)snprintf(recipients, sizeof(recipients), "%" PRIu64,
		    row->recipients);
		(void)snprintf(messages, sizeof(messages), "%" PRIu64,
		    row->messages);
		cell_print_row(stdout, (const struct span[]){
		    span_str(row->list),
		    span_str(report_action_name(row->action)),
		    span_str(reason_name(row->reason)), span_str(row->domain),
		    span_str(row->sender), span_str(row->client),
		    span_str(row->auth), span_str(recipients),
		    span_str(messages), buf_span(&first), buf_span(&last),
		    buf_span(&examples) }, 12);
		buf_fini(&first);
		buf_fini(&last);
		buf_fini(&examples);
	}
}

/* -- JSON -- */

static void
add_list(struct buf *out, const struct report *r,
    const struct would_list *list)
{
	struct buf advice = BUF_INIT(4096);

	would_advise(&advice, r, list);
	buf_add_char(out, '{');
	json_add_member_str(out, "list", list->id);
	json_add_member_str(out, "state", state_names[would_state(r, list)]);
	json_add_member_i64(out, "would_accept", (int64_t)list->passed);
	json_add_member_i64(out, "would_block",
	    (int64_t)would_blocked(list));
	json_add_member_i64(out, "enforced", (int64_t)list->enforced);
	json_add_name(out, "reasons");
	buf_add_char(out, '{');
	for (int i = 0; i < REPORT_REASONS; i++)
		if (list->blocked[i] > 0)
			json_add_member_i64(out, reason_name((enum reason)i),
			    (int64_t)list->blocked[i]);
	buf_add_char(out, '}');
	json_add_member(out, "advice", buf_span(&advice));
	buf_add_char(out, '}');
	buf_fini(&advice);
}

static void
add_row(struct buf *out, const struct would_row *row)
{
	buf_add_char(out, '{');
	json_add_member_str(out, "list", row->list);
	json_add_member_str(out, "action", report_action_name(row->action));
	json_add_member_str(out, "reason", reason_name(row->reason));
	json_add_member_str(out, "domain", row->domain);
	json_add_member_str(out, "sender", row->sender);
	json_add_member_str(out, "client", row->client);
	json_add_member_str(out, "auth", row->auth);
	json_add_member_i64(out, "recipients", (int64_t)row->recipients);
	json_add_member_i64(out, "messages", (int64_t)row->messages);
	ctl_add_time(out, "first", row->first_ms);
	ctl_add_time(out, "last", row->last_ms);
	json_add_name(out, "examples");
	buf_add_char(out, '[');
	for (size_t i = 0; i < row->example_count; i++) {
		buf_add_str(out, i > 0 ? ",{" : "{");
		json_add_member_str(out, "recipient",
		    row->examples[i].recipient);
		json_add_member_str(out, "ref", row->examples[i].ref);
		buf_add_char(out, '}');
	}
	buf_add_str(out, "]}");
}

void
would_json(const struct report *r)
{
	struct buf out = BUF_INIT(64 * 1024 * 1024);
	const struct would_list *lists;
	const struct would_row *rows;
	size_t n = would_lists(r, &lists);

	buf_add_char(&out, '{');
	ctl_add_time(&out, "since", r->since_ms);
	ctl_add_time(&out, "until", r->until_ms);
	json_add_name(&out, "lists");
	buf_add_char(&out, '[');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_add_char(&out, ',');
		add_list(&out, r, &lists[i]);
	}
	buf_add_char(&out, ']');
	json_add_name(&out, "blocked");
	buf_add_char(&out, '[');
	n = would_rows(r, &rows);
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_add_char(&out, ',');
		add_row(&out, &rows[i]);
	}
	buf_add_char(&out, ']');
	json_add_member_i64(&out, "unreadable", (int64_t)r->unreadable);
	buf_add_char(&out, '}');
	puts(buf_get(&out));
	buf_fini(&out);
}

/* -- HTML -- */

static void
put_cell(const char *text)
{
	fputs("<td><bdi>", stdout);
	report_html_text(text, WOULD_TEXT_MAX);
	fputs("</bdi></td>", stdout);
}

static void
put_row(const struct would_row *row)
{
	fputs("<tr>", stdout);
	put_cell(list_label(row->list));
	put_cell(report_action_name(row->action));
	put_cell(reason_name(row->reason));
	put_cell(or_dash(row->sender));
	put_cell(or_dash(row->client));
	put_cell(or_dash(row->auth));
	printf("<td>%" PRIu64 "</td><td>%" PRIu64 "</td><td>",
	    row->recipients, row->messages);
	put_time(row->first_ms);
	fputs("</td><td>", stdout);
	put_time(row->last_ms);
	fputs("</td><td>", stdout);
	for (size_t i = 0; i < row->example_count; i++) {
		fputs(i > 0 ? "<br><bdi>" : "<bdi>", stdout);
		report_html_text(row->examples[i].recipient, WOULD_TEXT_MAX);
		fputs("</bdi> ", stdout);
		report_html_text(row->examples[i].ref, WOULD_TEXT_MAX);
	}
	puts("</td></tr>");
}

void
would_html(const struct report *r)
{
	const struct would_list *lists;
	const struct would_row *rows;
	size_t row_count = would_rows(r, &rows);
	size_t n = would_lists(r, &lists);

	report_html_begin("What would have been blocked");
	fputs("<p>", stdout);
	put_time(r->since_ms);
	fputs(" to ", stdout);
	put_time(r->until_ms);
	puts(" UTC</p>\n<table><thead><tr><th>List</th><th>Would pass</th>"
	    "<th>Would be blocked</th><th>What to do</th></tr></thead><tbody>");
	for (size_t i = 0; i < n; i++) {
		struct buf advice = BUF_INIT(4096);

		would_advise(&advice, r, &lists[i]);
		fputs("<tr>", stdout);
		put_cell(list_label(lists[i].id));
		printf("<td>%" PRIu64 "</td><td>%" PRIu64 "</td><td><bdi>",
		    lists[i].passed, would_blocked(&lists[i]));
		report_html_text(buf_get(&advice), 1000);
		puts("</bdi></td></tr>");
		buf_fini(&advice);
	}
	puts("</tbody></table>\n<table><thead><tr><th>List</th><th>Action</th>"
	    "<th>Reason</th><th>Sender</th><th>Client</th><th>Login</th>"
	    "<th>Recipients</th><th>Messages, about</th><th>First</th>"
	    "<th>Last</th><th>Such as</th></tr></thead><tbody>");
	for (size_t i = 0; i < row_count; i++)
		put_row(&rows[i]);
	puts("</tbody></table>");
	if (r->unreadable > 0)
		printf("<p class=\"bad\">%" PRIu64 " lines could not be read, "
		    "and are not counted.</p>\n", r->unreadable);
	puts("</body></html>");
}
