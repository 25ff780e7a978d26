/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * For people on a terminal: 80 columns, whatever was counted.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/date.h"
#include "ctl/report.h"

#define WIDTH		80
#define LABEL_WIDTH	22
#define BAR_WIDTH	12
#define REQUESTS_SHOWN	20	/* the latest */

/* Names may come from a log: nothing of them reaches the terminal as a
 * command. */
static int
print_label_part(const char *text, int most)
{
	int n = 0;

	for (; *text != '\0' && n < most; text++, n++)
		putchar((unsigned char)*text < 0x20 || *text == 0x7f ||
		    (unsigned char)*text >= 0x80 ? '?' : *text);
	return n;
}

static void
print_label(const char *text, int width)
{
	printf("%*s", width - print_label_part(text, width), "");
}

/* Lines of at most WIDTH columns, broken at blanks. */
static void
print_wrapped(const char *text, int indent)
{
	while (*text != '\0') {
		int room = WIDTH - indent, len = (int)strnlen(text,
		    (size_t)room + 1);

		if (len > room) {
			for (len = room; len > 0 && text[len] != ' '; len--)
				;
			if (len == 0)
				len = room;
		}
		printf("%*s", indent, "");
		print_label_part(text, len);
		putchar('\n');
		text += len;
		while (*text == ' ')
			text++;
	}
}

static void
print_sums(const char *label, const struct report_sums *sums, uint64_t most)
{
	print_label(label, LABEL_WIDTH);
	for (int i = 0; i < OUTCOMES; i++)
		printf(" %10" PRIu64, sums->outcomes[i]);
	if (most > 0 && sums->total > 0) {
		uint64_t len = (sums->total * BAR_WIDTH + most - 1) / most;

		fputs("  ", stdout);
		for (uint64_t i = 0; i < len; i++)
			putchar('#');
	}
	putchar('\n');
}

static void
print_heading(const char *label)
{
	putchar('\n');
	print_label(label, LABEL_WIDTH);
	for (int i = 0; i < OUTCOMES; i++)
		printf(" %10s", report_outcome_name((enum outcome)i));
	putchar('\n');
}

static void
print_days(const struct report *r)
{
	struct report_bar bars[REPORT_BARS_MAX];
	struct report_sums sums;
	const char *unit;
	size_t n = report_bars(r, bars, &unit);
	uint64_t most = 0;
	char label[64];

	(void)snprintf(label, sizeof(label), "By %s (UTC)", unit);
	print_heading(label);
	for (size_t i = 0; i < n; i++) {
		report_sum_days(r, NULL, bars[i].from, bars[i].to, &sums);
		if (sums.total > most)
			most = sums.total;
	}
	for (size_t i = 0; i < n; i++) {
		report_sum_days(r, NULL, bars[i].from, bars[i].to, &sums);
		if (sums.total > 0)
			print_sums(bars[i].label, &sums, most);
	}
	report_sum_days(r, NULL, 0, r->day_count - 1, &sums);
	print_sums("all", &sums, 0);
}

static void
print_lists(const struct report *r)
{
	struct report_sums sums;

	print_heading("By list");
	for (size_t i = 0; i < r->list_count; i++) {
		report_sum_days(r, &r->lists[i], 0, r->day_count - 1, &sums);
		if (sums.total > 0)
			print_sums(r->lists[i].id[0] != '\0' ?
			    r->lists[i].id : "(no list)", &sums, 0);
	}
}

static void
print_reasons(const struct report *r)
{
	struct report_sums sums;

	print_heading("By reason");
	for (int i = 0; i < REPORT_REASONS; i++) {
		report_sum_reason(r, (enum reason)i, &sums);
		if (sums.total > 0)
			print_sums(reason_name((enum reason)i), &sums, 0);
	}
}

static void
print_events(const struct report *r)
{
	static const enum event_kind kinds[] = { EVENT_GRANT, EVENT_CONFIRM,
	    EVENT_UNPROVEN, EVENT_WITHDRAW };

	putchar('\n');
	print_label("Opt-ins and opt-outs", LABEL_WIDTH);
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
		printf(" %10s", event_kind_name(kinds[k]));
	putchar('\n');
	for (size_t i = 0; i < r->list_count; i++) {
		uint64_t sums[4], any = 0;

		for (size_t k = 0; k < 4; k++) {
			sums[k] = report_sum_events(r, &r->lists[i], kinds[k],
			    0, r->day_count - 1);
			any |= sums[k];
		}
		if (any == 0)
			continue;
		print_label(r->lists[i].id[0] != '\0' ? r->lists[i].id :
		    "(all lists at once)", LABEL_WIDTH);
		for (size_t k = 0; k < 4; k++)
			printf(" %10" PRIu64, sums[k]);
		putchar('\n');
	}
}

static void
print_date(int64_t ms)
{
	struct buf text = BUF_INIT(64);

	date_format(&text, ms);
	printf("  %.10s", buf_get(&text));
	buf_fini(&text);
}

static void
print_requests(const struct report *r)
{
	size_t from = r->request_count > REQUESTS_SHOWN ?
	    r->request_count - REQUESTS_SHOWN : 0;

	printf("\nRequests of data subjects: %zu, of which %" PRIu64
	    " recorded after their due date\n", r->request_count, r->late);
	if (r->request_count == 0)
		return;
	print_label("", 38);
	puts("  made        recorded    due");
	for (size_t i = from; i < r->request_count; i++) {
		const struct report_request *q = &r->requests[i];

		print_label(report_request_article(q->kind), 38);
		print_date(q->at_ms);
		print_date(q->recorded_ms);
		print_date(q->due_ms);
		puts(q->recorded_ms > q->due_ms ? "  late" : "");
	}
	if (from > 0)
		printf("(%zu earlier ones: --format csv lists them all)\n",
		    from);
	if (r->late > 0)
		puts("What another system did in time and was imported later "
		    "counts as late here.");
}

static void
print_chains(const struct report *r)
{
	puts("\nLogs");
	for (size_t i = 0; i < r->chain_count; i++) {
		const struct report_chain *c = &r->chains[i];

		fputs("  ", stdout);
		print_label(c->journal, 10);
		print_label(report_chain_state(r, c), 12);
		if (r->verified)
			printf("%" PRIu64 " entries, %" PRIu64 " blanked, %"
			    PRIu64 " not under a checkpoint", c->tally.entries,
			    c->tally.blanked, report_chain_tail(c));
		putchar('\n');
		if (c->problems > 0) {
			print_wrapped(c->first, 4);
			printf("    (%" PRIu64 " in all: consentctl verify)\n",
			    c->problems);
		}
		if (r->directory_count > 0) {
			fputs("    in ", stdout);
			(void)print_label_part(c->directory, WIDTH - 7);
			putchar('\n');
		}
	}
	if (r->verified && !r->has_key)
		puts("  without a public key: whose checkpoints they are was "
		    "not checked");
	if (r->unreadable > 0)
		printf("  %" PRIu64 " lines could not be read, and are not "
		    "counted\n", r->unreadable);
}

void
report_text(const struct report *r)
{
	struct report_sums failures;

	fputs("Consent report", stdout);
	print_date(r->since_ms);
	fputs(" to", stdout);
	print_date(r->until_ms);
	fputs(" (UTC)", stdout);
	if (r->only != NULL) {
		fputs(", list ", stdout);
		(void)print_label_part(r->only, LABEL_WIDTH);
	}
	putchar('\n');
	report_sum_reason(r, REASON_STORE_FAILURE, &failures);
	printf("%" PRIu64 " decisions, %" PRIu64 " of them while the consent "
	    "store could not be asked\n", r->decisions, failures.total);
	if (r->decisions > 0) {
		print_days(r);
		print_lists(r);
		print_reasons(r);
	}
	if (r->events > 0)
		print_events(r);
	print_requests(r);
	print_chains(r);
}
