/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Times as they are told, and as they are asked for.
 */
#include "base/date.h"
#include "base/json.h"
#include "ctl/ctl.h"

void
ctl_add_time(struct buf *out, const char *name, int64_t ms)
{
	struct buf text = BUF_INIT(64);

	if (ms != 0) {
		date_format(&text, ms);
		json_add_member(out, name, buf_span(&text));
	}
	buf_fini(&text);
}

int
ctl_time(const struct ctl *c, const char *text, int64_t *ms)
{
	struct duration ago;

	if (date_parse(span_str(text), ms) == 0)
		return 0;
	if (duration_parse(span_str(text), &ago) == -1)
		return -1;
	*ms = date_subtract(c->now_ms, ago);
	return 0;
}
