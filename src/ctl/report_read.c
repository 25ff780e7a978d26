/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Decisions out of a log that may hold anything: with the quick scanner, and
 * with the parser what is written in another way than ours.
 */
#include <string.h>

#include "base/json.h"
#include "base/member.h"
#include "ctl/report.h"

void
report_read_decision(struct report *r, const struct journal_entry *entry,
    const char *const *texts, size_t n,
    int (*count)(struct report *report, const struct span *values))
{
	struct span names[REPORT_MEMBERS_MAX];
	struct span values[REPORT_MEMBERS_MAX];
	struct json_object *object;
	struct fail unused;
	int rc = -1;

	if (!span_is(entry->type, SPAN("decision")))
		return;
	for (size_t i = 0; i < n; i++)
		names[i] = span_str(texts[i]);
	if (member_scan(entry->body, names, n, values) == 0)
		rc = count(r, values);
	else if (json_object_parse(entry->object, &object, &unused) == 0) {
		memset(values, 0, sizeof(values));
		for (size_t i = 0; i < n; i++)
			(void)!json_object_string(object, texts[i],
			    &values[i]);
		rc = count(r, values);
		json_object_free(&object);
	}
	if (rc == -1)
		r->unreadable++;
}
