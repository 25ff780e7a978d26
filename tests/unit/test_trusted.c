/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Whether the clock is believed.
 */
#include "ctl/trusted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/date.h"
#include "base/file.h"

#include "check.h"

#define ZEROES	"00000000000000000000000000000000"

static char directory[] = "/tmp/test_trusted.XXXXXX";

/* Makes, or with NULL removes, a file in the directory. */
static void
set_file(const char *name, const char *text)
{
	struct buf path = BUF_INIT(256);
	struct fail fail;

	buf_addf(&path, "%s/%s", directory, name);
	if (text == NULL)
		(void)unlink(buf_get(&path));
	else
		CHECK_INT(file_replace(buf_get(&path), span_str(text), 0640,
		    &fail), 0);
	buf_fini(&path);
}

/* A ledger that was written at these times, blanks between. */
static void
set_ledger(const char *times)
{
	struct span rest = span_str(times);
	struct buf text = BUF_INIT(64 * 1024);

	for (int seq = 1; rest.len > 0; seq++) {
		ptrdiff_t blank = span_index(rest, ' ');
		struct span day = span_head(rest, blank == -1 ? rest.len :
		    (size_t)blank);

		buf_addf(&text, "{\"seq\":%d,\"type\":\"%s\",\"time\":\"", seq,
		    seq == 1 ? "segment" : "checkpoint");
		buf_add_span(&text, day);
		buf_addf(&text, "T09:00:00.000Z\",\"salt\":\"%s\",\"digest\":"
		    "\"%s%s\",\"chain\":\"%s%s\"}\n", ZEROES, ZEROES, ZEROES,
		    ZEROES, ZEROES);
		rest = span_from(rest, day.len + 1);
	}
	set_file("ledger-20260101-000001.jsonl", text.len > 0 ?
	    buf_get(&text) : NULL);
	buf_fini(&text);
}

static void
test_check(void)
{
	static const struct {
		const char *pruned;	/* NULL: never was */
		const char *ledger, *now;
		const char *since;	/* NULL: it is believed */
	} rows[] = {
		{ NULL, "", "2026-06-01", NULL },
		{ NULL, "2026-05-01", "2026-06-01", NULL },
		{ NULL, "2026-05-01", "2026-04-01", NULL },
		{ NULL, "2026-05-01", "2036-05-01", "3652 days after the "
		  "ledger" },
		/* Others wrote by the clock that is ahead. */
		{ NULL, "2026-05-01 2036-05-01 2036-05-02", "2036-05-02",
		  "3653 days after the ledger" },
		/* A quiet time long ago is none of that. */
		{ NULL, "2025-05-01 2026-01-01 2026-03-01 2026-05-01",
		  "2026-05-02", NULL },
		{ "2026-05-01T00:00:00Z\n", "2036-05-01", "2026-07-02", NULL },
		{ "2026-05-01T00:00:00Z\n", "2036-05-01", "2026-07-03",
		  "63 days after the last prune" },
		{ "2036-05-01T00:00:00Z\n", "2026-05-01", "2026-05-02",
		  NULL },
		{ "", "2026-05-01", "2026-05-02", NULL },
		{ "20", "2026-05-01", "2036-05-02", "after the ledger" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fail fail = { .text = "" };
		int64_t now_ms;

		check_case((long)i);
		set_file(".pruned", rows[i].pruned);
		set_ledger(rows[i].ledger);
		CHECK_INT(date_parse(span_str(rows[i].now), &now_ms), 0);
		CHECK_INT(trusted_check(directory, now_ms, &fail),
		    rows[i].since == NULL ? 0 : -1);
		if (rows[i].since == NULL)
			continue;
		CHECK_INT(fail.class, FAIL_TEMP);
		CHECK(strstr(fail.text, rows[i].since) != NULL);
		CHECK(strstr(fail.text, "--clock-is-right if it is") != NULL);
		CHECK_INT(trusted_note(directory, now_ms, &fail), 0);
		CHECK_INT(trusted_check(directory, now_ms, &fail), 0);
	}
	set_file(".pruned", NULL);
	set_ledger("");
}

static const struct check_test tests[] = {
	{ "check", test_check },
};

int
main(void)
{
	int rc;

	if (mkdtemp(directory) == NULL)
		return 1;
	rc = check_main("trusted", tests, sizeof(tests) / sizeof(tests[0]));
	(void)rmdir(directory);
	return rc;
}
