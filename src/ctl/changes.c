/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What changed, for other systems that keep their own list of subscribers: they
 * ask for what came after the last entry that they have seen.  The ledger names
 * pseudonyms only, so whoever wants addresses brings those that it knows.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/date.h"
#include "base/json.h"
#include "base/xalloc.h"
#include "ctl/ctl.h"
#include "ctl/progress.h"

#define LINE_MAX_BYTES	4096

struct known {
	struct subject	 subject;
	char		*address;	/* as it was given; owned */
};

struct changes {
	struct ctl	*ctl;
	const struct list *list;	/* NULL: all */
	uint64_t	 after;		/* entry number */
	int64_t		 since_ms;	/* when it was recorded */
	bool		 json;
	struct known	*known;		/* by subject */
	size_t		 known_count, known_room;
	bool		 only_known;
	bool		 any;
};

/* -- the addresses that the other system knows -- */

static int
by_subject(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	return memcmp(&x->subject, &y->subject, sizeof(x->subject));
}

static int
add_known(struct changes *c, const char *path, unsigned line, struct span text)
{
	struct address address;
	struct fail fail;
	struct known *k;

	if (text.len == 0 || text.p[0] == '#')
		return EX_OK;
	if (address_parse(text, &address, &fail) == -1) {
		ctl_warn("%s:%u: %s", path, line, fail.text);
		return EX_DATAERR;
	}
	if (c->known_count == c->known_room) {
		c->known_room = c->known_room ? c->known_room * 2 : 1024;
		c->known = xrealloc(c->known, c->known_room,
		    sizeof(*c->known));
	}
	k = &c->known[c->known_count++];
	subject_of(c->ctl->settings->pseudonym_key, &address, &k->subject);
	k->address = xmemdupz(text.p, text.len);
	return EX_OK;
}

/* One address a line.  Returns 0, or the exit code for lines that are none,
 * after reading all. */
static int
read_known(struct changes *c, const char *path)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char line[LINE_MAX_BYTES];
	unsigned number = 0;
	struct fail fail;
	int rc = EX_OK;

	if (f == NULL) {
		(void)fail_errno(&fail, FAIL_SETUP, errno, "%s", path);
		ctl_warn("%s", fail.text);
		return EX_NOINPUT;
	}
	while (fgets(line, sizeof(line), f) != NULL) {
		int one = add_known(c, path, ++number,
		    span_trim(span_str(line)));

		rc = one != EX_OK ? one : rc;
	}
	if (f != stdin)
		(void)fclose(f);
	if (c->known_count > 0)
		qsort(c->known, c->known_count, sizeof(*c->known),
		    by_subject);
	c->only_known = true;
	return rc;
}

static const char *
find_known(const struct changes *c, const struct subject *subject)
{
	struct known key = { .subject = *subject };
	const struct known *found = c->known_count == 0 ? NULL :
	    bsearch(&key, c->known, c->known_count, sizeof(*c->known),
	    by_subject);

	return found != NULL ? found->address : NULL;
}

/* -- the changes -- */

static void
print_json(struct changes *c, uint64_t seq, const struct event *event,
    int64_t recorded_ms, const char *address)
{
	struct buf out = BUF_INIT(16 * 1024), subject = BUF_INIT(64);

	buf_add_str(&out, c->any ? ",\n{" : "[\n{");
	json_add_member_i64(&out, "seq", (int64_t)seq);
	ctl_add_time(&out, "recorded_at", recorded_ms);
	ctl_add_time(&out, "at", event->at_ms);
	json_add_member_str(&out, "event", event_kind_name(event->kind));
	if (event->list[0] != '\0')
		json_add_member_str(&out, "list", event->list);
	subject_format(&subject, &event->subject);
	json_add_member(&out, "subject", buf_span(&subject));
	if (address != NULL)
		json_add_member_str(&out, "address", address);
	buf_add_char(&out, '}');
	fputs(buf_get(&out), stdout);
	buf_fini(&out);
	buf_fini(&subject);
}

static void
print_text(uint64_t seq, const struct event *event, int64_t recorded_ms,
    const char *address)
{
	struct buf time = BUF_INIT(64), subject = BUF_INIT(64);

	date_format(&time, recorded_ms);
	subject_format(&subject, &event->subject);
	printf("%-8" PRIu64 " %s %-16s %-16s %s\n", seq, buf_get(&time),
	    event_kind_name(event->kind), event->list[0] != '\0' ?
	    event->list : "-", address != NULL ? address :
	    buf_get(&subject));
	buf_fini(&time);
	buf_fini(&subject);
}

static void
take_entry(struct changes *c, const struct journal_entry *entry)
{
	struct json_object *object;
	struct event event;
	struct span text;
	struct fail unused;
	const char *address;
	int64_t recorded_ms = 0;
	int rc;

	if (entry->blanked || !span_is(entry->type, SPAN("event")) ||
	    json_object_parse(entry->object, &object, &unused) == -1)
		return;
	rc = event_parse(object, &event, &unused);
	if (json_object_string(object, "time", &text) == 1)
		(void)!date_parse(text, &recorded_ms);
	json_object_free(&object);
	/* What is about the person is about each list. */
	if (rc == -1 || event.restated || recorded_ms < c->since_ms || (c->list != NULL &&
	    event.list[0] != '\0' && strcmp(event.list, c->list->id) != 0))
		return;
	address = find_known(c, &event.subject);
	if (c->only_known && address == NULL)
		return;
	if (c->json)
		print_json(c, entry->seq, &event, recorded_ms, address);
	else
		print_text(entry->seq, &event, recorded_ms, address);
	c->any = true;
}

static int
print_changes(struct changes *c)
{
	struct progress progress = { .terminal = ctl_is_terminal(2) &&
	    !ctl_is_terminal(1) };
	struct journal_reader *reader;
	struct journal_entry entry;
	struct fail fail;
	uint64_t bytes = 0;
	int rc, result = EX_OK;

	if (journal_reader_open(c->ctl->settings->audit.ledger, "ledger",
	    c->after + 1, &reader, &fail) == -1)
		return ctl_error(&fail);
	progress_begin(&progress, "ledger");
	while ((rc = journal_reader_next(reader, &entry, &fail)) != 0 &&
	    c->ctl->interrupted == 0 && !ferror(stdout)) {
		if (rc == 1) {
			bytes += entry.object.len + 1;
			progress_bytes(&progress, bytes);
			take_entry(c, &entry);
			continue;
		}
		ctl_warn("%s: passed over", fail.text);
		result = EX_DATAERR;
		if (fail.class != FAIL_INPUT)
			break;
	}
	progress_clear(&progress);
	journal_reader_close(&reader);
	if (c->json)
		puts(c->any ? "\n]" : "[]");
	return c->ctl->interrupted != 0 ? EX_TEMPFAIL : result;
}

/* Returns -1 to go on, or an exit code. */
static int
parse(struct changes *c, int argc, char **argv)
{
	const char *list = NULL;
	int option, rc;

	while ((option = ctl_getopt(argc, argv)) != -1)
		switch (option) {
		case 'a':
			if (span_to_u64(span_str(optarg), &c->after) == -1 ||
			    c->after == UINT64_MAX)
				return ctl_usage(argv[0],
				    "--after is the number of an entry");
			break;
		case 's':
			if (ctl_time(c->ctl, optarg, &c->since_ms) == -1)
				return ctl_usage(argv[0], "\"%s\" is neither a "
				    "time nor a length of time", optarg);
			break;
		case 'l':
			list = optarg;
			break;
		case 'j':
			c->json = true;
			break;
		case 'h':
			return EX_OK;
		default:
			return EX_USAGE;
		}
	if (optind + 1 < argc)
		return ctl_usage(argv[0], "takes one file of addresses");
	rc = optind < argc ? ctl_need_keys(c->ctl) :
	    ctl_need_settings(c->ctl);
	if (rc != EX_OK)
		return rc;
	if (list != NULL && (c->list = ctl_list(c->ctl, list)) == NULL)
		return EX_DATAERR;
	return -1;
}

int
command_changes(struct ctl *ctl, int argc, char **argv)
{
	struct changes c = { .ctl = ctl };
	int rc = parse(&c, argc, argv), result;

	if (rc != -1)
		return rc;
	rc = optind < argc ? read_known(&c, argv[optind]) : EX_OK;
	if (rc != EX_NOINPUT) {
		result = print_changes(&c);
		rc = result != EX_OK ? result : rc;
	}
	for (size_t i = 0; i < c.known_count; i++)
		free(c.known[i].address);
	free(c.known);
	return rc;
}
