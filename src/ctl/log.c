/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Finds decisions in the decision log, as a stream.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/date.h"
#include "base/json.h"
#include "ctl/ctl.h"

struct filter {
	/* Members that have to be equal; NULL: any. */
	const char	*list;
	const char	*action;
	const char	*reason;
	const char	*ref;
	char		 subject[2 * SUBJECT_BYTES + 1];	/* "" any */
	int64_t		 since_ms;
	int64_t		 until_ms;
	bool		 json;
};

static const struct option options[] = {
	{ "list", required_argument, NULL, 'l' },
	{ "address", required_argument, NULL, 'a' },
	{ "action", required_argument, NULL, 'x' },
	{ "reason", required_argument, NULL, 'r' },
	{ "ref", required_argument, NULL, 'R' },
	{ "since", required_argument, NULL, 's' },
	{ "until", required_argument, NULL, 'u' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
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

/* Returns -1 to go on, or an exit code. */
static int
parse(struct ctl *ctl, struct filter *f, int argc, char **argv)
{
	int c, rc = EX_OK;

	while (rc == EX_OK &&
	    (c = getopt_long(argc, argv, "", options, NULL)) != -1)
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
		case 'j':
			f->json = true;
			break;
		case 'h':
			ctl_help(argv[0]);
			return EX_OK;
		default:
			rc = ctl_usage(argv[0], "%s", "");
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

/* Returns 0, or an exit code after saying why. */
static int
search(struct ctl *ctl, const struct filter *f, struct journal_reader *reader)
{
	struct journal_entry raw;
	struct json_object *entry;
	struct fail fail;
	bool first = true;
	int rc, result = EX_OK;

	while ((rc = journal_reader_next(reader, &raw, &fail)) != 0 &&
	    ctl->interrupted == 0 && !ferror(stdout)) {
		if (rc == -1) {
			ctl_warn("%s", fail.text);
			result = EX_DATAERR;
			if (fail.class != FAIL_INPUT)
				break;
			continue;
		}
		/* Parsing costs more than looking for the text first. */
		if (raw.blanked || !span_is(raw.type, SPAN("decision")) ||
		    (f->ref != NULL && memmem(raw.body.p, raw.body.len,
		    f->ref, strlen(f->ref)) == NULL) ||
		    (f->subject[0] != '\0' && memmem(raw.body.p, raw.body.len,
		    f->subject, strlen(f->subject)) == NULL) ||
		    json_object_parse(raw.object, &entry, &fail) == -1)
			continue;
		if (matches(f, entry))
			print_entry(f, &raw, entry, &first);
		json_object_free(&entry);
	}
	if (f->json)
		puts(first ? "[]" : "\n]");
	return result;
}

int
command_log(struct ctl *ctl, int argc, char **argv)
{
	struct filter filter = { .until_ms = INT64_MAX };
	struct journal_reader *reader;
	struct fail fail;
	int rc = parse(ctl, &filter, argc, argv);

	if (rc != -1 || (rc = ctl_need_settings(ctl)) != EX_OK)
		return rc;
	if (journal_reader_open(ctl->settings->audit.directory, "decisions", 1,
	    &reader, &fail) == -1)
		return ctl_error(&fail);
	rc = search(ctl, &filter, reader);
	journal_reader_close(&reader);
	return rc;
}
