/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Finds decisions in the decision log, as a stream.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/date.h"
#include "base/json.h"
#include "base/xalloc.h"
#include "ctl/ctl.h"

#define DIRECTORIES_MAX	100
#define TIME_LEN	24	/* 2026-01-05T09:00:00.000Z */
#define SLACK_MS	(10 * 60 * 1000)
#define PROGRESS_MS	100
#define LAST_MAX	100000

struct filter {
	/* Members that have to be equal; NULL: any. */
	const char	*list;
	const char	*action;
	const char	*reason;
	const char	*ref;
	char		 subject[2 * SUBJECT_BYTES + 1];	/* "" any */
	int64_t		 since_ms;
	int64_t		 until_ms;
	size_t		 last;		/* only so many; 0: all */
	bool		 json;
	const char	*directories[DIRECTORIES_MAX];	/* none: our own */
	size_t		 directory_count;
};

static int
set_address(struct ctl *ctl, struct filter *f, const char *text)
{
	struct buf hex = BUF_INIT(64);
	struct address address;
	struct subject subject;
	int rc = ctl_need_keys(ctl);

	if (rc == EX_OK)
		rc = ctl_subject(ctl, text, &address, &subject);
	if (rc != EX_OK)
		return rc;
	subject_format(&hex, &subject);
	memcpy(f->subject, buf_get(&hex), sizeof(f->subject));
	buf_fini(&hex);
	return EX_OK;
}

static int
set_last(struct filter *f, const char *command, const char *text)
{
	uint64_t n;

	if (span_to_u64(span_str(text), &n) == -1 || n == 0 || n > LAST_MAX)
		return ctl_usage(command, "--last is a number, 1 to %d",
		    LAST_MAX);
	f->last = (size_t)n;
	return EX_OK;
}

/* Returns -1 to go on, or an exit code. */
static int
parse(struct ctl *ctl, struct filter *f, int argc, char **argv)
{
	int c, rc = EX_OK;

	while (rc == EX_OK && (c = ctl_getopt(argc, argv)) != -1)
		switch (c) {
		case 'l':
			f->list = optarg;
			break;
		case 'a':
			rc = set_address(ctl, f, optarg);
			break;
		case 'x':
			f->action = optarg;
			break;
		case 'r':
			f->reason = optarg;
			break;
		case 'R':
			f->ref = optarg;
			break;
		case 's':
		case 'u':
			if (ctl_time(ctl, optarg, c == 's' ? &f->since_ms :
			    &f->until_ms) == -1)
				rc = ctl_usage(argv[0], "\"%s\" is neither a "
				    "time (2026-01-05, 2026-01-05T09:00:00Z) "
				    "nor a length of time (\"2 hours\")",
				    optarg);
			break;
		case 'n':
			rc = set_last(f, argv[0], optarg);
			break;
		case 'd':
			if (f->directory_count == DIRECTORIES_MAX)
				rc = ctl_usage(argv[0], "takes at most %d "
				    "directories", DIRECTORIES_MAX);
			else
				f->directories[f->directory_count++] = optarg;
			break;
		case 'j':
			f->json = true;
			break;
		case 'h':
			return EX_OK;
		default:
			rc = EX_USAGE;
		}
	if (rc == EX_OK && optind != argc)
		rc = ctl_usage(argv[0], "takes options only");
	return rc == EX_OK ? -1 : rc;
}

static bool
member_is(const struct json_object *entry, const char *name, const char *want)
{
	struct span value;

	return want == NULL || (json_object_string(entry, name, &value) == 1 &&
	    span_is(value, span_str(want)));
}

static bool
matches(const struct filter *f, const struct json_object *entry)
{
	struct span text;
	int64_t ms = 0;

	if (!member_is(entry, "list", f->list) ||
	    !member_is(entry, "action", f->action) ||
	    !member_is(entry, "reason", f->reason) ||
	    !member_is(entry, "ref", f->ref) ||
	    !member_is(entry, "subject",
	    f->subject[0] != '\0' ? f->subject : NULL))
		return false;
	if (f->since_ms == 0 && f->until_ms == INT64_MAX)
		return true;
	return json_object_string(entry, "time", &text) == 1 &&
	    date_parse(text, &ms) == 0 && ms >= f->since_ms &&
	    ms <= f->until_ms;
}

static void
print_member(const struct json_object *entry, const char *name, int width)
{
	struct span value = SPAN("-");

	(void)!json_object_string(entry, name, &value);
	/* Control characters have no business on a terminal. */
	for (size_t i = 0; i < value.len; i++)
		putchar(value.p[i] < 0x20 || value.p[i] == 0x7f ? '?' :
		    value.p[i]);
	for (size_t i = value.len; i < (size_t)width; i++)
		putchar(' ');
	putchar(' ');
}

static void
print_line(const struct json_object *entry)
{
	print_member(entry, "time", 24);
	print_member(entry, "queue_id", 12);
	print_member(entry, "list", 12);
	print_member(entry, "action", 8);
	print_member(entry, "reason", 14);
	print_member(entry, "stage", 4);
	print_member(entry, "recipient", 24);
	print_member(entry, "ref", 0);
	putchar('\n');
}

static void
print_entry(const struct filter *f, const struct journal_entry *raw,
    const struct json_object *entry, bool *first)
{
	if (!f->json)
		print_line(entry);
	else {
		fputs(*first ? "[\n" : ",\n", stdout);
		(void)fwrite(raw->object.p, 1, raw->object.len, stdout);
	}
	*first = false;
}

/* `"name":"want"' in the text?  No value can have it unless as a member: our
 * writer escapes quotes. */
static bool
may_have(struct span body, const char *name, const char *want)
{
	char text[300];
	int len;

	if (want == NULL)
		return true;
	len = snprintf(text, sizeof(text), "\"%s\":\"%s\"", name, want);
	/* What JSON writes in another way is left to the parser. */
	if (len < 0 || (size_t)len >= sizeof(text) ||
	    strpbrk(want, "\"\\") != NULL)
		return true;
	return memmem(body.p, body.len, text, (size_t)len) != NULL;
}

/* When an entry was written, by its first member; -1: it tells not. */
static int64_t
quick_time(struct span body)
{
	struct span name = SPAN("\"time\":\"");
	int64_t ms;

	if (!span_has_prefix(body, name) || body.len < name.len + TIME_LEN ||
	    date_parse(span_head(span_from(body, name.len), TIME_LEN), &ms) ==
	    -1)
		return -1;
	return ms;
}

/* Parsing costs much more than looking at the text first. */
static bool
may_match(const struct filter *f, const struct journal_entry *raw)
{
	struct span body = raw->body;
	int64_t ms;

	if (raw->blanked || !span_is(raw->type, SPAN("decision")) ||
	    !may_have(body, "ref", f->ref) ||
	    !may_have(body, "reason", f->reason) ||
	    !may_have(body, "action", f->action) ||
	    !may_have(body, "list", f->list) ||
	    (f->subject[0] != '\0' &&
	    !may_have(body, "subject", f->subject)))
		return false;
	ms = quick_time(body);
	return ms == -1 || (ms >= f->since_ms && ms <= f->until_ms);
}

/* Is everything that follows too late?  Clocks may be set back a little. */
static bool
is_past(const struct filter *f, const struct journal_entry *raw)
{
	return f->until_ms <= DATE_MAX_MS - SLACK_MS && !raw->blanked &&
	    quick_time(raw->body) > f->until_ms + SLACK_MS;
}

/* The latest that were found, in their order, as they stand in the log. */
struct latest {
	char		**lines;	/* room of them */
	size_t		 room;
	size_t		 count;		/* that were found, ever */
};

struct search {
	struct ctl	*ctl;
	const struct filter *filter;
	struct latest	*latest;	/* NULL: print at once */
	uint64_t	 until_seq;	/* that one and the rest are not read */
	bool		 first;		/* nothing was found yet */
	bool		 terminal;
	int64_t		 said_ms;
	uint64_t	 entries;
};

static void
say_progress(struct search *s)
{
	int64_t now_ms;

	if (!s->terminal || ++s->entries % 16384 != 0)
		return;
	now_ms = clock_monotonic_ms();
	if (now_ms - s->said_ms < PROGRESS_MS)
		return;
	s->said_ms = now_ms;
	fprintf(stderr, "\r%" PRIu64 " entries ", s->entries);
}

/* The oldest makes room. */
static void
keep(struct latest *latest, const struct journal_entry *raw)
{
	char **line = &latest->lines[latest->count++ % latest->room];

	free(*line);
	*line = xmemdupz(raw->object.p, raw->object.len);
}

static void
look_at(struct search *s, const struct journal_entry *raw)
{
	struct json_object *entry;
	struct fail unused;

	if (!may_match(s->filter, raw) ||
	    json_object_parse(raw->object, &entry, &unused) == -1)
		return;
	if (matches(s->filter, entry)) {
		if (s->latest != NULL)
			keep(s->latest, raw);
		else if (s->terminal)
			fputs("\r\033[K", stderr);
		if (s->latest == NULL)
			print_entry(s->filter, raw, entry, &s->first);
	}
	json_object_free(&entry);
}

/* Returns 0, or an exit code after saying why. */
static int
search(struct search *s, struct journal_reader *reader)
{
	struct journal_entry raw;
	struct fail fail;
	int rc, result = EX_OK;

	while ((rc = journal_reader_next(reader, &raw, &fail)) != 0 &&
	    s->ctl->interrupted == 0 && !ferror(stdout)) {
		say_progress(s);
		if (rc == 1 && (raw.seq >= s->until_seq ||
		    is_past(s->filter, &raw)))
			break;
		if (rc == 1) {
			look_at(s, &raw);
			continue;
		}
		ctl_warn("%s", fail.text);
		result = EX_DATAERR;
		if (fail.class != FAIL_INPUT)
			break;
	}
	return result;
}

static int
search_from(struct search *s, const char *directory, uint64_t from)
{
	struct journal_reader *reader;
	struct fail fail;
	int rc;

	if (journal_reader_open(directory, "decisions", from, &reader,
	    &fail) == -1)
		return ctl_error(&fail);
	rc = search(s, reader);
	journal_reader_close(&reader);
	return rc;
}

static void
print_kept(struct search *s, char **lines, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct journal_entry raw = { .object =
		    span_str(lines[i]) };
		struct json_object *entry;
		struct fail unused;

		if (json_object_parse(raw.object, &entry, &unused) == 0) {
			print_entry(s->filter, &raw, entry, &s->first);
			json_object_free(&entry);
		}
		free(lines[i]);
	}
}

/* What the search of one file kept, in front of what later files have.
 * Returns how many are wanted still. */
static size_t
put_in_front(struct latest *latest, char **lines, size_t wanted)
{
	size_t n = latest->count < latest->room ? latest->count :
	    latest->room;

	for (size_t i = 0; i < n; i++)
		lines[wanted - n + i] = latest->lines[(latest->count - n +
		    i) % latest->room];
	return wanted - n;
}

/* From the last file backwards, until there are enough. */
static int
search_backwards(struct search *s, const char *directory, uint64_t from,
    const uint64_t *starts, size_t count)
{
	size_t wanted = s->filter->last;
	char **lines = xcalloc(wanted, sizeof(*lines));
	int rc = EX_OK;

	for (size_t i = count; i > 0 && wanted > 0; i--) {
		struct latest latest = { .room = wanted };
		uint64_t start = starts[i - 1] > from ? starts[i - 1] : from;
		int one;

		s->until_seq = i < count ? starts[i] : UINT64_MAX;
		if (s->until_seq <= from)
			break;
		latest.lines = xcalloc(wanted, sizeof(*latest.lines));
		s->latest = &latest;
		one = search_from(s, directory, start);
		rc = one != EX_OK ? one : rc;
		wanted = put_in_front(&latest, lines, wanted);
		free(latest.lines);
	}
	s->latest = NULL;
	s->until_seq = UINT64_MAX;
	if (s->terminal)
		fputs("\r\033[K", stderr);
	print_kept(s, lines + wanted, s->filter->last - wanted);
	free(lines);
	return rc;
}

static int
search_last(struct search *s, const char *directory, uint64_t from)
{
	uint64_t *starts;
	struct fail fail;
	size_t count;
	int rc;

	if (journal_segment_starts(directory, "decisions", &starts, &count,
	    &fail) == -1)
		return ctl_error(&fail);
	rc = search_backwards(s, directory, from, starts, count);
	free(starts);
	return rc;
}

static int
search_directory(struct search *s, const char *directory)
{
	const struct filter *f = s->filter;
	struct fail fail;
	uint64_t from = 1;

	if (f->directory_count > 0 && access(directory, R_OK | X_OK) == -1) {
		(void)fail_errno(&fail, FAIL_SETUP, errno, "%s", directory);
		ctl_warn("%s", fail.text);
		return EX_NOINPUT;
	}
	if (f->since_ms > SLACK_MS && journal_seq_at(directory, "decisions",
	    f->since_ms - SLACK_MS, &from, &fail) == -1)
		return ctl_error(&fail);
	return f->last > 0 ? search_last(s, directory, from) :
	    search_from(s, directory, from);
}

int
command_log(struct ctl *ctl, int argc, char **argv)
{
	struct filter filter = { .until_ms = INT64_MAX };
	struct search s = { .ctl = ctl, .filter = &filter, .first = true,
	    .until_seq = UINT64_MAX, .terminal = ctl_is_terminal(2) };
	int rc = parse(ctl, &filter, argc, argv), one;

	if (rc != -1 || (filter.directory_count == 0 &&
	    (rc = ctl_need_settings(ctl)) != EX_OK))
		return rc;
	if (filter.directory_count == 0)
		rc = search_directory(&s, ctl->settings->audit.directory);
	else
		rc = EX_OK;
	for (size_t i = 0; i < filter.directory_count; i++) {
		one = search_directory(&s, filter.directories[i]);
		rc = one != EX_OK ? one : rc;
	}
	if (s.terminal)
		fputs("\r\033[K", stderr);
	if (filter.json)
		puts(s.first ? "[]" : "\n]");
	return rc;
}
