/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Counts what the decision log and the ledger hold of a period, and asks the
 * verifier about both.
 */
#include "ctl/report.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/date.h"
#include "base/json.h"
#include "base/xalloc.h"
#include "ctl/explained.h"
#include "ctl/progress.h"
#include "ctl/would.h"

#define DAY_MS		INT64_C(86400000)
#define DEFAULT_DAYS	30
#define WOULD_DAYS	7
#define DAYS_MAX	40000
#define LISTS_MAX	2000	/* in a log; the rest counts as one */
#define REQUESTS_MAX	100000	/* that are listed; all are counted */
#define SLACK_MS	(10 * 60 * 1000)

struct gathering {
	struct report	*report;
	struct progress	 progress;
	struct explained explained;
	uint64_t	 bytes;
	unsigned char	 key[CRYPTO_PUBLIC_BYTES];
	const char	*key_path;
	void		(*print)(const struct report *report);
	void		(*print_would)(const struct report *report);
	struct report_chain *chain;	/* that is being checked */
};

/* -- what was counted -- */

static struct report_list *
find_list(struct report *r, struct span id)
{
	static const char other[] = "(other lists)";
	const struct list *known;

	for (size_t i = 0; i < r->list_count; i++)
		if (span_is(id, span_str(r->lists[i].id)))
			return &r->lists[i];
	if (r->list_count >= LISTS_MAX && !span_is(id, span_str(other)))
		return find_list(r, span_str(other));
	if (r->list_count == r->list_room) {
		r->list_room = r->list_room ? r->list_room * 2 : 16;
		r->lists = xrealloc(r->lists, r->list_room,
		    sizeof(*r->lists));
	}
	known = r->ctl->settings == NULL ? NULL :
	    policy_list(&r->ctl->settings->policy, id);
	r->lists[r->list_count] = (struct report_list){
		.id = xmemdupz(id.p, id.len),
		.name = known != NULL ? known->name : NULL,
		.days = xcalloc(r->day_count, sizeof(struct report_day *)) };
	return &r->lists[r->list_count++];
}

/* Where something of this time is counted, or NULL. */
static struct report_day *
find_day(struct report *r, struct span list, int64_t ms)
{
	struct report_list *found;
	size_t day;

	if (ms < r->since_ms || ms > r->until_ms ||
	    (r->only != NULL && !span_is(list, span_str(r->only))))
		return NULL;
	found = find_list(r, list);
	day = (size_t)(ms / DAY_MS - r->first_day);
	if (found->days[day] == NULL)
		found->days[day] = xcalloc(1, sizeof(**found->days));
	return found->days[day];
}

enum { MEMBER_TIME, MEMBER_LIST, MEMBER_ACTION, MEMBER_REASON, MEMBERS };

static int
count_members(struct report *r, const struct span *values)
{
	struct report_day *day;
	unsigned action;
	enum reason reason;
	int64_t ms;

	if (date_parse(values[MEMBER_TIME], &ms) == -1 ||
	    report_action_parse(values[MEMBER_ACTION], &action) == -1 ||
	    reason_parse(values[MEMBER_REASON], &reason) == 0)
		return -1;
	day = find_day(r, values[MEMBER_LIST], ms);
	if (day != NULL) {
		day->decisions[action][reason]++;
		r->decisions++;
	}
	return 0;
}

static void
count_decision(struct report *r, const struct journal_entry *entry)
{
	static const char *const names[MEMBERS] =
	    { "time", "list", "action", "reason" };

	report_read_decision(r, entry, names, MEMBERS, count_members);
}

static void
note_request(struct report *r, const struct event *event, int64_t recorded_ms)
{
	static const struct duration month = { 1, 0 };
	struct report_request *request;
	int64_t due_ms = date_add(event->at_ms, month);

	if (recorded_ms > due_ms)
		r->late++;
	if (r->request_count == REQUESTS_MAX)
		return;
	if (r->request_count == r->request_room) {
		r->request_room = r->request_room ? r->request_room * 2 : 64;
		r->requests = xrealloc(r->requests, r->request_room,
		    sizeof(*r->requests));
	}
	request = &r->requests[r->request_count++];
	request->kind = event->kind;
	request->at_ms = event->at_ms;
	request->recorded_ms = recorded_ms;
	request->due_ms = due_ms;
}

/* With the parser, for what is written in another way than ours. */
static int
parse_event(const struct journal_entry *entry, struct event *event,
    int64_t *recorded_ms)
{
	struct json_object *object;
	struct span text;
	struct fail unused;
	int rc;

	if (json_object_parse(entry->object, &object, &unused) == -1)
		return -1;
	rc = event_parse(object, event, &unused);
	*recorded_ms = 0;
	if (json_object_string(object, "time", &text) == 1)
		(void)!date_parse(text, recorded_ms);
	json_object_free(&object);
	return rc;
}

static void
count_event(struct report *r, const struct journal_entry *entry)
{
	struct report_day *day;
	struct event event;
	int64_t recorded_ms;

	if (!span_is(entry->type, SPAN("event")))
		return;
	if (event_scan(entry->body, &event, &recorded_ms) == -1 &&
	    parse_event(entry, &event, &recorded_ms) == -1) {
		r->unreadable++;
		return;
	}
	day = find_day(r, span_str(event.list), event.at_ms);
	if (day == NULL)
		return;
	day->events[event.kind]++;
	r->events++;
	if (report_request_article(event.kind) != NULL)
		note_request(r, &event, recorded_ms);
}

/* -- reading -- */

static int
read_journal(struct gathering *g, const char *directory, const char *name,
    uint64_t from, void (*count)(struct report *, const struct journal_entry *))
{
	struct report *r = g->report;
	struct journal_reader *reader;
	struct journal_entry entry;
	struct fail fail;
	uint64_t bytes = 0;
	int rc;

	if (journal_reader_open(directory, name, from, &reader, &fail) == -1)
		return ctl_error(&fail);
	progress_begin(&g->progress, name);
	while ((rc = journal_reader_next(reader, &entry, &fail)) != 0 &&
	    r->ctl->interrupted == 0) {
		if (rc == -1 && fail.class != FAIL_INPUT)
			break;
		if (rc == -1) {
			if (r->unreadable++ == 0)
				ctl_warn("%s: not counted, nor are others "
				    "like it", fail.text);
			continue;
		}
		bytes += entry.object.len + 1;
		if ((entry.seq & 0xfff) == 0)
			progress_bytes(&g->progress, bytes);
		if (entry.blanked)
			r->blanked++;
		else
			count(r, &entry);
	}
	progress_clear(&g->progress);
	journal_reader_close(&reader);
	if (r->ctl->interrupted != 0)
		return EX_TEMPFAIL;
	return rc == 0 ? EX_OK : ctl_error(&fail);
}

static void
on_problem(const struct journal_problem *problem, void *context)
{
	struct gathering *g = context;
	struct report_chain *chain = g->chain;

	if (chain->problems++ > 0)
		return;
	if (problem->file[0] != '\0')
		(void)snprintf(chain->first, sizeof(chain->first),
		    "%.80s:%llu: %.180s", problem->file,
		    (unsigned long long)problem->line, problem->text);
	else
		(void)snprintf(chain->first, sizeof(chain->first), "%.250s",
		    problem->text);
}

static void
on_entry(const struct journal_entry *entry, void *context)
{
	struct gathering *g = context;

	explained_take(&g->explained, entry);
}

static void
on_bytes(uint64_t bytes, void *context)
{
	struct gathering *g = context;

	progress_bytes(&g->progress, bytes);
}

static int
check_chain(struct gathering *g, const char *directory, const char *name)
{
	struct report *r = g->report;
	struct journal_verify_options options = { .name = name,
		.key = r->has_key ? g->key : NULL, .whole = true,
		.on_problem = on_problem, .on_entry = on_entry,
		.on_bytes = on_bytes, .context = g };
	struct journal_verifier *verifier;
	struct report_chain *chain = &r->chains[r->chain_count++];
	struct journal_problem problem = { .fault = FAULT_BODY, .file = "",
	    .text = "entries are blanked that the ledger does not explain" };
	const struct journal_problem pruned = { .fault = FAULT_MISSING,
	    .file = "", .text = "entries are gone that no pruning of the "
	    "ledger explains" };
	struct fail fail;
	int rc;

	chain->directory = xstrdup(directory);
	chain->journal = name;
	if (!r->verified)
		return EX_OK;
	g->chain = chain;
	verifier = journal_verifier_new(&options);
	progress_begin(&g->progress, strcmp(name, "ledger") == 0 ?
	    "checking the ledger" : "checking the decision log");
	rc = journal_verifier_directory(verifier, directory, &fail);
	if (rc == 0) {
		journal_verifier_finish(verifier, &chain->tally);
		g->explained.has_ledger |= strcmp(name, "ledger") == 0;
		if (explained_first_other(&g->explained, name,
		    &chain->tally) != 0)
			on_problem(&problem, g);
		if (!explained_has_pruned(&g->explained, name,
		    &chain->tally))
			on_problem(&pruned, g);
		chain->tally.ranges = NULL;
	}
	journal_verifier_free(&verifier);
	progress_clear(&g->progress);
	return rc == 0 ? EX_OK : ctl_error(&fail);
}

static int
read_installation(struct gathering *g, const char *ledger, const char *log)
{
	struct report *r = g->report;
	struct fail fail;
	uint64_t from = 1;
	int rc;

	/* Events may be recorded long after they happened: all are read. */
	rc = r->would != NULL ? EX_OK : read_journal(g, ledger, "ledger", 1,
	    count_event);
	if (rc == EX_OK && r->since_ms > SLACK_MS && journal_seq_at(log,
	    "decisions", r->since_ms - SLACK_MS, &from, &fail) == -1)
		return ctl_error(&fail);
	if (rc == EX_OK)
		rc = read_journal(g, log, "decisions", from, r->would != NULL ?
		    would_count : count_decision);
	if (r->would != NULL)
		return rc;
	if (rc == EX_OK)
		rc = check_chain(g, ledger, "ledger");
	if (rc == EX_OK)
		rc = check_chain(g, log, "decisions");
	explained_fini(&g->explained);
	memset(&g->explained, 0, sizeof(g->explained));
	return rc;
}

static int
read_all(struct gathering *g)
{
	struct report *r = g->report;
	const struct settings *s = r->ctl->settings;
	int rc = EX_OK;

	if (r->directory_count == 0)
		return read_installation(g, s->audit.ledger,
		    s->audit.directory);
	for (size_t i = 0; rc == EX_OK && i < r->directory_count; i++) {
		struct buf ledger = BUF_INIT(8192);
		struct fail fail;

		if (access(r->directories[i], R_OK | X_OK) == -1) {
			(void)fail_errno(&fail, FAIL_SETUP, errno, "%s",
			    r->directories[i]);
			ctl_warn("%s", fail.text);
			return EX_NOINPUT;
		}
		buf_addf(&ledger, "%s/ledger", r->directories[i]);
		rc = read_installation(g, buf_get(&ledger),
		    r->directories[i]);
		buf_fini(&ledger);
	}
	return rc;
}

/* -- the command -- */

static int
set_format(struct gathering *g, const char *command, const char *name)
{
	static const struct {
		const char *name;
		void (*print)(const struct report *report);
		void (*print_would)(const struct report *report);
	} formats[] = {
		{ "text", report_text, would_text },
		{ "csv", report_csv, would_csv },
		{ "json", report_json, would_json },
		{ "html", report_html, would_html },
	};

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (strcmp(formats[i].name, name) == 0) {
			g->print = formats[i].print;
			g->print_would = formats[i].print_would;
			return EX_OK;
		}
	return ctl_usage(command, "--format is text, html, csv or json");
}

static int
set_time(struct report *r, const char *command, int option, const char *text)
{
	int64_t *to = option == 's' ? &r->since_ms : &r->until_ms;

	if (ctl_time(r->ctl, text, to) == 0)
		return EX_OK;
	return ctl_usage(command, "\"%s\" is neither a time (2026-01-05, "
	    "2026-01-05T09:00:00Z) nor a length of time (\"90 days\")", text);
}

static int
take_option(struct gathering *g, const char *command, int option)
{
	struct report *r = g->report;

	switch (option) {
	case 's':
	case 'u':
		return set_time(r, command, option, optarg);
	case 'l':
		r->only = optarg;
		return EX_OK;
	case 'f':
		return set_format(g, command, optarg);
	case 'd':
		if (r->directory_count == REPORT_CHAINS_MAX / 2)
			return ctl_usage(command, "takes at most %d "
			    "directories", REPORT_CHAINS_MAX / 2);
		r->directories[r->directory_count++] = optarg;
		return EX_OK;
	case 'k':
		g->key_path = optarg;
		return EX_OK;
	case 'n':
		r->verified = false;
		return EX_OK;
	case 'w':
		if (r->would == NULL)
			r->would = would_new();
		return EX_OK;
	default:
		return EX_USAGE;
	}
}

/* The period, in whole days of UTC where no time was given. */
static int
set_period(struct report *r, const char *command)
{
	int64_t days;

	if (r->until_ms == -1)
		r->until_ms = r->ctl->now_ms;
	if (r->since_ms == -1 && r->would != NULL)
		r->since_ms = r->until_ms - WOULD_DAYS * DAY_MS;
	else if (r->since_ms == -1)
		r->since_ms = (r->until_ms / DAY_MS - (DEFAULT_DAYS - 1)) *
		    DAY_MS;
	if (r->since_ms < 0)
		r->since_ms = 0;
	if (r->since_ms > r->until_ms)
		return ctl_usage(command, "--since is after --until");
	r->first_day = r->since_ms / DAY_MS;
	days = r->until_ms / DAY_MS - r->first_day + 1;
	if (days > DAYS_MAX)
		return ctl_usage(command, "the period has %lld days, it may "
		    "have %d", (long long)days, DAYS_MAX);
	r->day_count = (size_t)days;
	return EX_OK;
}

/* Returns -1 to go on, or an exit code. */
static int
parse(struct gathering *g, int argc, char **argv)
{
	struct report *r = g->report;
	struct fail fail;
	int c, rc = EX_OK;

	while (rc == EX_OK && (c = ctl_getopt(argc, argv)) != -1) {
		if (c == 'h')
			return EX_OK;
		rc = take_option(g, argv[0], c);
	}
	if (rc == EX_OK && optind != argc)
		rc = ctl_usage(argv[0], "takes options only");
	if (rc == EX_OK && r->would != NULL && (g->key_path != NULL ||
	    !r->verified))
		rc = ctl_usage(argv[0], "--would checks no chain: it takes "
		    "neither --key nor --no-verify");
	if (rc == EX_OK)
		rc = set_period(r, argv[0]);
	/* Files of others are read without a configuration. */
	if (rc == EX_OK && r->directory_count == 0)
		rc = ctl_need_settings(r->ctl);
	if (rc != EX_OK)
		return rc;
	if (r->would != NULL || (g->key_path == NULL &&
	    r->ctl->settings == NULL))
		return -1;
	r->has_key = settings_read_public_key(r->ctl->settings, g->key_path,
	    g->key, &fail) == 0;
	if (!r->has_key && g->key_path != NULL)
		return ctl_error(&fail);
	return -1;
}

static void
free_report(struct report *r)
{
	for (size_t i = 0; i < r->list_count; i++) {
		for (size_t d = 0; d < r->day_count; d++)
			free(r->lists[i].days[d]);
		free(r->lists[i].days);
		free(r->lists[i].id);
	}
	for (size_t i = 0; i < r->chain_count; i++)
		free(r->chains[i].directory);
	would_free(&r->would);
	free(r->lists);
	free(r->requests);
	free(r);
}

static int
by_id(const void *a, const void *b)
{
	const struct report_list *x = a, *y = b;

	return strcmp(x->id, y->id);
}

static int
by_request_time(const void *a, const void *b)
{
	const struct report_request *x = a, *y = b;

	return x->at_ms < y->at_ms ? -1 : x->at_ms > y->at_ms;
}

int
command_report(struct ctl *ctl, int argc, char **argv)
{
	struct gathering g = { .print = report_text,
	    .print_would = would_text };
	struct report *r = xcalloc(1, sizeof(*r));
	int rc;

	r->ctl = ctl;
	r->since_ms = r->until_ms = -1;
	r->verified = true;
	g.report = r;
	g.progress.terminal = ctl_is_terminal(2);
	rc = parse(&g, argc, argv);
	if (rc == -1 && (rc = read_all(&g)) == EX_OK) {
		if (r->list_count > 0)
			qsort(r->lists, r->list_count, sizeof(*r->lists),
			    by_id);
		if (r->request_count > 0)
			qsort(r->requests, r->request_count,
			    sizeof(*r->requests), by_request_time);
		if (r->would != NULL) {
			would_finish(r);
			g.print = g.print_would;
		}
		g.print(r);
		if (r->unreadable > 0)
			rc = EX_DATAERR;
		for (size_t i = 0; i < r->chain_count; i++)
			if (r->chains[i].problems > 0)
				rc = 1;
	}
	free_report(r);
	return rc;
}
