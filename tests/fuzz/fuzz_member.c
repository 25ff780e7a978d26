/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Of an object, the scanner says what the parser says, or nothing.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/member.h"
#include "consent/event.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_same(const struct event *a, const struct event *b)
{
	if (a->kind != b->kind || a->at_ms != b->at_ms ||
	    a->restated != b->restated ||
	    !subject_is(&a->subject, &b->subject) ||
	    strcmp(a->list, b->list) != 0)
		abort();
}

/* ... and an event is the one that the parser reads. */
static void
check_event(struct span body, struct span whole)
{
	struct event scanned, read, parsed;
	struct fail unused;
	int64_t recorded_ms;
	int rc = event_read_body(body, &read, &unused);

	if (event_read(whole, &parsed, &unused) == -1)
		return;
	if (rc == -1)
		abort();
	check_same(&read, &parsed);
	if (memcmp(&read.evidence, &parsed.evidence,
	    sizeof(read.evidence)) != 0)
		abort();
	if (event_scan(body, &scanned, &recorded_ms) == 0)
		check_same(&scanned, &parsed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const texts[] = { "time", "list", "action",
	    "reason" };
	struct buf whole = BUF_INIT(1024 * 1024);
	struct span names[4], values[4];
	struct json_object *object;
	struct fail unused;

	for (size_t i = 0; i < 4; i++)
		names[i] = span_str(texts[i]);
	buf_add_char(&whole, '{');
	buf_add(&whole, data, size);
	buf_add_char(&whole, '}');
	check_event(span_of(data, size), buf_span(&whole));
	if (member_scan(span_of(data, size), names, 4, values) == -1 ||
	    json_object_parse(buf_span(&whole), &object, &unused) == -1) {
		buf_fini(&whole);
		return 0;
	}
	for (size_t i = 0; i < 4; i++) {
		struct span want;
		bool has = json_object_string(object, texts[i], &want) == 1;

		if (has != (values[i].p != NULL) ||
		    (has && !span_is(values[i], want)))
			abort();
	}
	json_object_free(&object);
	buf_fini(&whole);
	return 0;
}
