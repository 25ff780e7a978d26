/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The commands that only look: check, show, token, and keygen, which only
 * makes what is not there.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/date.h"
#include "base/json.h"
#include "base/xalloc.h"
#include "consent/decision.h"
#include "ctl/ctl.h"
#include "ctl/term.h"
#include "ledger/identity.h"

struct look {
	const struct list *list;
	struct address	 address;
	struct subject	 subject;
	bool		 json;
	bool		 mailto;
	bool		 profiling;
	bool		 enforced;	/* the list does not only observe */
};

/* Returns -1 to go on, or an exit code. */
static int
parse(struct ctl *ctl, struct look *look, bool wants_list, int argc,
    char **argv)
{
	const char *list = NULL;
	int c, rc;

	while ((c = ctl_getopt(argc, argv)) != -1)
		switch (c) {
		case 'l':
			list = optarg;
			break;
		case 'j':
			look->json = true;
			break;
		case 'm':
			look->mailto = true;
			break;
		case 'p':
			look->profiling = true;
			break;
		case 'h':
			return EX_OK;
		default:
			return EX_USAGE;
		}
	if (look->profiling && list != NULL)
		return ctl_usage(argv[0],
		    "--profiling is about the person and takes no --list");
	if (wants_list && list == NULL && !look->profiling)
		return ctl_usage(argv[0], "wants --list L");
	if (optind + 1 != argc)
		return ctl_usage(argv[0], "wants one address");
	rc = ctl_need_keys(ctl);
	if (rc != EX_OK)
		return rc;
	if (list != NULL && (look->list = ctl_list(ctl, list)) == NULL)
		return EX_DATAERR;
	look->enforced = !policy_observes(&ctl->settings->policy, look->list);
	rc = ctl_subject(ctl, argv[optind], &look->address, &look->subject);
	return rc == EX_OK ? -1 : rc;
}

static void
take_person(const char *list, const struct record *record,
    const struct evidence *evidence, void *context)
{
	(void)evidence;
	if (list[0] == '\0')
		*(struct record *)context = *record;
}

/* The word, or all of it for a program. */
static void
tell(const struct look *look, const char *given, bool allowed,
    const char *reason)
{
	struct buf out = BUF_INIT(64 * 1024);

	if (!look->json) {
		term_put(allowed ? TERM_GOOD : TERM_BAD, reason);
		putchar('\n');
		return;
	}
	buf_add_char(&out, '{');
	json_add_member_str(&out, "address", given);
	if (look->list != NULL)
		json_add_member_str(&out, "list", look->list->id);
	json_add_member_bool(&out, "profiling", look->profiling);
	json_add_member_bool(&out, "allowed", allowed);
	if (look->list != NULL)
		json_add_member_bool(&out, "enforced", look->enforced);
	json_add_member_str(&out, "reason", reason);
	buf_add_char(&out, '}');
	puts(buf_get(&out));
	buf_fini(&out);
}

static int
tell_failure(const struct look *look, const char *given,
    const struct fail *fail)
{
	tell(look, given, false, reason_name(REASON_STORE_FAILURE));
	ctl_warn("%s", fail->text);
	return EX_UNAVAILABLE;
}

/* For those who segment: 0 when the person did not object to it. */
static int
check_profiling(struct ctl *ctl, const struct look *look, const char *given)
{
	struct record person;
	struct fail fail;
	bool objected;

	memset(&person, 0, sizeof(person));
	if (store_visit(ctl->store, &look->subject, take_person, &person,
	    &fail) == -1)
		return tell_failure(look, given, &fail);
	objected = consent_objects_to_profiling(&person);
	tell(look, given, !objected, objected ? "objected" : "not-objected");
	return objected ? 1 : 0;
}

int
command_check(struct ctl *ctl, int argc, char **argv)
{
	struct look look = { 0 };
	struct record record;
	struct decision decision;
	struct fail fail;
	int rc = parse(ctl, &look, true, argc, argv);

	if (rc != -1 || (rc = ctl_need_store(ctl)) != EX_OK)
		return rc;
	if (look.profiling)
		return check_profiling(ctl, &look, argv[argc - 1]);
	if (store_lookup(ctl->store, &look.subject, look.list->id, &record,
	    &fail) == -1)
		return tell_failure(&look, argv[argc - 1], &fail);
	decision = decide_listed(look.list, &record, ctl->now_ms);
	tell(&look, argv[argc - 1], decision.action == ACTION_ACCEPT,
	    reason_name(decision.reason));
	return decision.action == ACTION_ACCEPT ? 0 : 1;
}

int
command_token(struct ctl *ctl, int argc, char **argv)
{
	struct look look = { 0 };
	unsigned char token[TOKEN_BYTES];
	struct buf text = BUF_INIT(4096);
	struct fail fail;
	int rc = parse(ctl, &look, true, argc, argv);

	if (rc != -1)
		return rc;
	if (token_make(&ctl->settings->token_keys, span_str(look.list->id),
	    &look.subject, ctl->now_ms, token, &fail) == -1)
		return ctl_error(&fail);
	token_add_url(&text, ctl->settings->unsubscribe.url, token);
	puts(buf_get(&text));
	if (look.mailto && ctl->settings->unsubscribe.mailto != NULL) {
		buf_clear(&text);
		token_add_address(&text, ctl->settings->unsubscribe.mailto,
		    token);
		printf("mailto:%s\n", buf_get(&text));
	} else if (look.mailto) {
		ctl_warn("unsubscribe.mailto is not configured");
		rc = EX_CONFIG;
	}
	buf_fini(&text);
	return rc == -1 ? EX_OK : rc;
}

/* What the store holds of one person, list by list as configured. */
struct person {
	const struct ctl *ctl;
	struct record	*records;	/* one for each list */
	struct evidence	*evidence;
	bool		*known;
	struct record	 all;
};

static void
take_list(const char *list, const struct record *record,
    const struct evidence *evidence, void *context)
{
	struct person *p = context;
	const struct policy *policy = &p->ctl->settings->policy;
	const struct list *found = policy_list(policy, span_str(list));
	size_t i;

	if (list[0] == '\0') {
		p->all = *record;
		return;
	}
	if (found == NULL)
		return;
	i = (size_t)(found - policy->lists);
	p->records[i] = *record;
	p->known[i] = true;
	if (evidence != NULL)
		p->evidence[i] = *evidence;
}

static const struct {
	const char *name;
	size_t offset;
} times[] = {
	{ "granted_at", offsetof(struct record, grant_ms) },
	{ "confirmed_at", offsetof(struct record, confirm_ms) },
	{ "withdrawn_at", offsetof(struct record, withdraw_ms) },
	{ "unproven_at", offsetof(struct record, unproven_ms) },
}, person_times[] = {
	{ "all_withdrawn_at", offsetof(struct record, all_withdraw_ms) },
	{ "objected_at", offsetof(struct record, object_ms) },
	{ "erased_at", offsetof(struct record, erase_ms) },
	{ "restricted_at", offsetof(struct record, restrict_ms) },
	{ "unrestricted_at", offsetof(struct record, unrestrict_ms) },
	{ "profiling_objected_at",
	  offsetof(struct record, object_profiling_ms) },
	{ "profiling_allowed_at",
	  offsetof(struct record, allow_profiling_ms) },
};
#define TIMES		(sizeof(times) / sizeof(times[0]))
#define PERSON_TIMES	(sizeof(person_times) / sizeof(person_times[0]))

static int64_t
time_at(const struct record *record, size_t offset)
{
	return *(const int64_t *)(const void *)((const char *)record + offset);
}

static void
add_list_json(struct buf *out, const struct person *p, size_t i)
{
	const struct list *list = &p->ctl->settings->policy.lists[i];
	enum reason reason = consent_state(list, &p->records[i],
	    p->ctl->now_ms);

	buf_add_str(out, out->data[out->len - 1] == '[' ? "{" : ",{");
	json_add_member_str(out, "list", list->id);
	json_add_member_str(out, "name", list->name);
	if (list->purpose != NULL)
		json_add_member_str(out, "purpose", list->purpose);
	json_add_member_bool(out, "allowed", reason == REASON_GRANTED);
	json_add_member_str(out, "reason", reason_name(reason));
	for (size_t t = 0; t < TIMES; t++)
		ctl_add_time(out, times[t].name,
		    time_at(&p->records[i], times[t].offset));
	json_add_name(out, "evidence");
	buf_add_char(out, '{');
	for (unsigned e = 0; e < EVIDENCE_FIELDS; e++)
		if (evidence_get(&p->evidence[i], e)[0] != '\0')
			json_add_member_str(out, evidence_name(e),
			    evidence_get(&p->evidence[i], e));
	buf_add_str(out, "}}");
}

static void
add_optional(struct buf *out, const char *name, const char *value)
{
	if (value != NULL)
		json_add_member_str(out, name, value);
}

static void
show_json(const struct person *p, const struct look *look, const char *given)
{
	const struct settings *s = p->ctl->settings;
	struct buf out = BUF_INIT(16 * 1024 * 1024);
	struct buf subject = BUF_INIT(64);

	buf_add_char(&out, '{');
	json_add_member_str(&out, "address", given);
	json_add_member(&out, "canonical", address_span(&look->address));
	subject_format(&subject, &look->subject);
	json_add_member(&out, "subject", buf_span(&subject));
	for (size_t t = 0; t < PERSON_TIMES; t++)
		ctl_add_time(&out, person_times[t].name,
		    time_at(&p->all, person_times[t].offset));
	json_add_name(&out, "lists");
	buf_add_char(&out, '[');
	for (size_t i = 0; i < s->policy.list_count; i++)
		add_list_json(&out, p, i);
	buf_add_char(&out, ']');
	json_add_name(&out, "controller");
	buf_add_char(&out, '{');
	add_optional(&out, "name", s->controller.name);
	add_optional(&out, "address", s->controller.address);
	add_optional(&out, "email", s->controller.email);
	add_optional(&out, "dpo", s->controller.dpo);
	buf_add_str(&out, "}}");
	puts(buf_get(&out));
	buf_fini(&out);
	buf_fini(&subject);
}

static void
print_time(const char *name, int64_t ms)
{
	struct buf text = BUF_INIT(64);

	if (ms != 0) {
		date_format(&text, ms);
		printf("    %-16s %s\n", name, buf_get(&text));
	}
	buf_fini(&text);
}

static void
show_text(const struct person *p, const struct look *look)
{
	const struct policy *policy = &p->ctl->settings->policy;
	bool colour = term_has_colour();
	struct buf subject = BUF_INIT(64);

	subject_format(&subject, &look->subject);
	printf("%s  (subject %s)\n", look->address.text, buf_get(&subject));
	buf_fini(&subject);
	for (size_t t = 0; t < PERSON_TIMES; t++)
		print_time(person_times[t].name,
		    time_at(&p->all, person_times[t].offset));
	for (size_t i = 0; i < policy->list_count; i++) {
		const struct list *list = &policy->lists[i];
		enum reason reason = consent_state(list, &p->records[i],
		    p->ctl->now_ms);
		bool allowed = reason == REASON_GRANTED;

		printf("  %-20s %s%-8s%s %s\n", list->id, colour ?
		    term_begin(allowed ? TERM_GOOD : TERM_BAD) : "",
		    allowed ? "allowed" : "blocked",
		    colour ? term_end() : "",
		    reason_name(reason));
		for (size_t t = 0; t < TIMES; t++)
			print_time(times[t].name,
			    time_at(&p->records[i], times[t].offset));
		for (unsigned e = 0; e < EVIDENCE_FIELDS; e++)
			if (evidence_get(&p->evidence[i], e)[0] != '\0')
				printf("    %-16s %s\n", evidence_name(e),
				    evidence_get(&p->evidence[i], e));
	}
}

int
command_show(struct ctl *ctl, int argc, char **argv)
{
	struct look look = { 0 };
	struct person p = { .ctl = ctl };
	struct fail fail;
	size_t n;
	int rc = parse(ctl, &look, false, argc, argv);

	if (rc != -1 || (rc = ctl_need_store(ctl)) != EX_OK)
		return rc;
	n = ctl->settings->policy.list_count;
	p.records = xcalloc(n, sizeof(*p.records));
	p.evidence = xcalloc(n, sizeof(*p.evidence));
	p.known = xcalloc(n, sizeof(*p.known));
	rc = EX_OK;
	if (store_visit(ctl->store, &look.subject, take_list, &p, &fail) ==
	    -1) {
		ctl_warn("%s", fail.text);
		rc = EX_UNAVAILABLE;
	}
	/* What is known of the person holds for lists without a field too. */
	for (size_t i = 0; i < n; i++)
		if (!p.known[i])
			p.records[i] = p.all;
	if (rc == EX_OK && look.json)
		show_json(&p, &look, argv[argc - 1]);
	else if (rc == EX_OK)
		show_text(&p, &look);
	free(p.records);
	free(p.evidence);
	free(p.known);
	return rc;
}

static void
say_made(const char *path, void *context)
{
	++*(unsigned *)context;
	printf("made %s\n", path);
}

/* With another pseudonym key nobody would be found in the ledger, and those who
 * opted out could be opted in again. */
static int
check_ledger_has_its_key(const struct settings *s, struct fail *fail)
{
	unsigned char id[LEDGER_ID_BYTES];

	if (settings_has_pseudonym_key(s) ||
	    ledger_identity(s->audit.ledger, id, fail) != 1)
		return 0;
	return fail_set(fail, FAIL_SETUP, "%s has no pseudonym.key, and the "
	    "ledger in %s was written with one: put it back from the backup; "
	    "if there is none, move the ledger away first, for nobody can be "
	    "found in it any more", s->keys, s->audit.ledger);
}

int
command_keygen(struct ctl *ctl, int argc, char **argv)
{
	unsigned made = 0;
	struct fail fail;
	int rc = ctl_no_arguments(argc, argv);

	if (rc != -1)
		return rc;
	rc = ctl_need_settings(ctl);
	if (rc != EX_OK)
		return rc;
	if (check_ledger_has_its_key(ctl->settings, &fail) == -1 ||
	    settings_make_keys(ctl->settings, say_made, &made, &fail) == -1)
		return ctl_error(&fail);
	if (made == 0)
		printf("all keys are there, in %s\n", ctl->settings->keys);
	else
		printf("Back them up: without the pseudonym key no record can "
		    "be found again.\n");
	return EX_OK;
}
