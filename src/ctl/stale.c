/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Which consents are about to expire, for asking again while that is allowed.
 * The answer comes from the ledger and the function that decides about mail, and
 * then from Redis, which knows what other hosts recorded: so nobody who opted
 * out is in it.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/date.h"
#include "base/json.h"
#include "base/xalloc.h"
#include "consent/decision.h"
#include "ctl/facts.h"

#define DAY_MS		INT64_C(86400000)
#define DAYS_MAX	36500
#define CHUNK		1000	/* looked up at once */

/* A consent that expires soon, by our ledger. */
struct soon {
	struct subject	 subject;
	int32_t		 list;		/* its number in the policy */
	int64_t		 ends_ms;
};

struct stale {
	struct ctl	*ctl;
	const struct list *list;	/* NULL: all */
	int64_t		 days;
	bool		 json, subjects;
	uint64_t	*granted, *expiring;	/* by list */
	struct soon	*soon;
	size_t		 soon_count, soon_room;
	struct buf	 out;		/* JSON: the subjects */
};

static void
apply(const struct fact *fact, const struct list *list,
    struct record *record)
{
	struct event event = { .kind = fact->kind,
	    .subject = fact->subject, .at_ms = fact->at_ms };

	if (list != NULL)
		memcpy(event.list, list->id, sizeof(event.list));
	record_apply(record, &event);
}

static void
tell_subject(struct stale *s, const struct soon *soon,
    const struct list *list)
{
	struct buf subject = BUF_INIT(64), ends = BUF_INIT(64);

	subject_format(&subject, &soon->subject);
	date_format(&ends, soon->ends_ms);
	if (s->json) {
		if (s->out.len > 0)
			buf_add_char(&s->out, ',');
		buf_add_char(&s->out, '{');
		json_add_member_str(&s->out, "list", list->id);
		json_add_member(&s->out, "subject", buf_span(&subject));
		json_add_member(&s->out, "expires_at", buf_span(&ends));
		buf_add_char(&s->out, '}');
	} else
		printf("%s %s %s\n", list->id, buf_get(&subject),
		    buf_get(&ends));
	buf_fini(&subject);
	buf_fini(&ends);
}

static void
add_soon(struct stale *s, const struct fact *fact, int64_t ends_ms)
{
	if (s->soon_count == s->soon_room) {
		s->soon_room = s->soon_room ? s->soon_room * 2 : 1024;
		s->soon = xrealloc(s->soon, s->soon_room, sizeof(*s->soon));
	}
	s->soon[s->soon_count++] = (struct soon){ fact->subject, fact->list,
	    ends_ms };
}

/* The facts of one person about one list, on top of those about the person. */
static void
judge(struct stale *s, const struct fact *facts, size_t n,
    const struct record *person)
{
	size_t number = (size_t)facts[0].list;
	const struct list *list = &s->ctl->settings->policy.lists[number];
	struct record record = *person;
	int64_t now_ms = s->ctl->now_ms;

	if (s->list != NULL && s->list != list)
		return;
	for (size_t i = 0; i < n; i++)
		apply(&facts[i], list, &record);
	if (consent_state(list, &record, now_ms) != REASON_GRANTED)
		return;
	s->granted[number]++;
	if (consent_state(list, &record, now_ms + s->days * DAY_MS) !=
	    REASON_EXPIRED)
		return;
	add_soon(s, &facts[0], consent_last_ms(list, record.grant_ms));
}

static void
judge_all(struct stale *s, const struct facts *facts)
{
	int32_t lists = (int32_t)s->ctl->settings->policy.list_count;
	struct record person;

	for (size_t i = 0, n; i < facts->count; i += n) {
		const struct fact *first = &facts->all[i];

		if (i == 0 || !subject_is(&first->subject,
		    &first[-1].subject))
			memset(&person, 0, sizeof(person));
		n = facts_same_list(facts, i);
		if (first->list != FACT_PERSON && first->list < lists)
			judge(s, first, n, &person);
		for (size_t k = 0; first->list == FACT_PERSON && k < n; k++)
			apply(&first[k], NULL, &person);
	}
}

/* What Redis says of it: an opt-out, or a new consent, that another host has
 * recorded. */
static void
judge_again(struct stale *s, const struct soon *soon,
    const struct record *record, bool is_known)
{
	const struct list *list = &s->ctl->settings->policy.lists[soon->list];
	int64_t now_ms = s->ctl->now_ms;

	if (is_known && consent_state(list, record, now_ms) !=
	    REASON_GRANTED) {
		s->granted[soon->list]--;
		return;
	}
	if (is_known && consent_state(list, record, now_ms + s->days *
	    DAY_MS) == REASON_GRANTED)
		return;
	s->expiring[soon->list]++;
	if (s->subjects)
		tell_subject(s, soon, list);
}

/* The people of n that are about this list.  results[] of others stay. */
static int
look_up(struct stale *s, const struct soon *soon, size_t n, int32_t list,
    struct record *records, int *results, struct fail *fail)
{
	const char *id = s->ctl->settings->policy.lists[list].id;
	struct subject subjects[CHUNK];
	struct record found[CHUNK];
	int is_there[CHUNK];
	size_t from[CHUNK], k = 0;

	for (size_t i = 0; i < n; i++)
		if (soon[i].list == list) {
			from[k] = i;
			subjects[k++] = soon[i].subject;
		}
	if (k > 0 && store_lookup_many(s->ctl->store, subjects, k, id, found,
	    is_there, fail) == -1)
		return -1;
	for (size_t i = 0; i < k; i++) {
		records[from[i]] = found[i];
		results[from[i]] = is_there[i];
	}
	return 0;
}

static int
judge_soon(struct stale *s)
{
	int32_t lists = (int32_t)s->ctl->settings->policy.list_count;
	struct record records[CHUNK];
	int results[CHUNK];
	struct fail fail;
	int rc = s->soon_count > 0 ? ctl_need_store(s->ctl) : EX_OK;

	for (size_t at = 0; rc == EX_OK && at < s->soon_count; at += CHUNK) {
		const struct soon *soon = &s->soon[at];
		size_t n = s->soon_count - at < CHUNK ? s->soon_count - at :
		    CHUNK;

		for (int32_t list = 0; rc == EX_OK && list < lists; list++)
			if (look_up(s, soon, n, list, records, results,
			    &fail) == -1) {
				ctl_warn("not everybody is told, for who "
				    "opted out on another host is not "
				    "known: %s", fail.text);
				rc = EX_UNAVAILABLE;
			}
		for (size_t i = 0; rc == EX_OK && i < n; i++)
			judge_again(s, &soon[i], &records[i], results[i] ==
			    1);
	}
	return rc;
}

static void
print_counts(struct stale *s)
{
	const struct policy *policy = &s->ctl->settings->policy;
	struct buf out = BUF_INIT(SIZE_MAX);

	buf_addf(&out, "{\"days\":%" PRId64 ",\"lists\":[", s->days);
	for (size_t i = 0; i < policy->list_count; i++) {
		const struct list *list = &policy->lists[i];

		if (s->list != NULL && s->list != list)
			continue;
		if (!s->json) {
			printf("%-20s %" PRIu64 " of %" PRIu64 " consents "
			    "expire within %" PRId64 " days%s\n", list->id,
			    s->expiring[i], s->granted[i], s->days,
			    consent_last_ms(list, 1) != INT64_MAX ? "" :
			    " (no max_age: they never do)");
			continue;
		}
		buf_add_str(&out, out.data[out.len - 1] == '[' ? "{" : ",{");
		json_add_member_str(&out, "list", list->id);
		json_add_member_i64(&out, "granted", (int64_t)s->granted[i]);
		json_add_member_i64(&out, "expiring",
		    (int64_t)s->expiring[i]);
		buf_add_char(&out, '}');
	}
	buf_add_char(&out, ']');
	if (s->json && s->subjects)
		buf_addf(&out, ",\"subjects\":[%s]", buf_get(&s->out));
	buf_add_char(&out, '}');
	if (s->json)
		puts(buf_get(&out));
	buf_fini(&out);
}

/* Returns -1 to go on, or an exit code. */
static int
parse(struct stale *s, int argc, char **argv)
{
	const char *list = NULL;
	int c, rc;

	while ((c = ctl_getopt(argc, argv)) != -1)
		switch (c) {
		case 'd':
			if (span_to_i64(span_str(optarg), &s->days) == -1 ||
			    s->days > DAYS_MAX)
				return ctl_usage(argv[0], "--days is a number "
				    "of days, 0 to %d", DAYS_MAX);
			break;
		case 'l':
			list = optarg;
			break;
		case 's':
			s->subjects = true;
			break;
		case 'j':
			s->json = true;
			break;
		case 'h':
			return EX_OK;
		default:
			return EX_USAGE;
		}
	if (optind != argc)
		return ctl_usage(argv[0], "takes options only");
	if ((rc = ctl_need_settings(s->ctl)) != EX_OK)
		return rc;
	if (list != NULL && (s->list = ctl_list(s->ctl, list)) == NULL)
		return EX_DATAERR;
	return -1;
}

int
command_stale(struct ctl *ctl, int argc, char **argv)
{
	struct stale s = { .ctl = ctl, .days = 30 };
	struct facts facts = { .count = 0 };
	struct fail fail;
	int rc = parse(&s, argc, argv);

	if (rc != -1)
		return rc;
	buf_init(&s.out, SIZE_MAX);
	s.granted = xcalloc(ctl->settings->policy.list_count + 1,
	    sizeof(*s.granted));
	s.expiring = xcalloc(ctl->settings->policy.list_count + 1,
	    sizeof(*s.expiring));
	rc = EX_OK;
	if (facts_read(ctl, &facts, &fail) == -1)
		rc = ctl_error(&fail);
	else {
		judge_all(&s, &facts);
		rc = judge_soon(&s);
	}
	if (rc == EX_OK && (s.json || !s.subjects))
		print_counts(&s);
	facts_fini(&facts);
	free(s.granted);
	free(s.expiring);
	free(s.soon);
	buf_fini(&s.out);
	return rc;
}
