/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What the ledger owns up to, and what it does not.
 */
#include "ctl/explained.h"

#include <string.h>

#include "check.h"

static void
take(struct explained *e, const char *type, const char *object)
{
	const struct journal_entry entry = { .type = span_str(type),
	    .object = span_str(object) };

	explained_take(e, &entry);
}

static void
test_pruned(void)
{
	static const struct {
		uint64_t pruned_seq;
		const char *journal;
		bool good;
	} rows[] = {
		{ 0, "decisions", true },
		{ 7, "decisions", true },
		{ 900, "decisions", true },
		{ 901, "decisions", false },
		/* The ledger is never pruned. */
		{ 0, "ledger", true },
		{ 1, "ledger", false },
	};
	struct explained e = { .has_ledger = true };
	struct journal_tally t = { .pruned_seq = 1 };

	CHECK(!explained_has_pruned(&e, "decisions", &t));
	take(&e, "event", "{\"journal\":\"decisions\",\"up_to\":5000}");
	take(&e, "pruned", "{\"journal\":\"decisions\",\"up_to\":900}");
	take(&e, "pruned", "{\"journal\":\"decisions\",\"up_to\":7}");
	take(&e, "pruned", "{\"journal\":\"decisions\",\"up_to\":-1}");
	take(&e, "pruned", "{\"journal\":\"decisions\",\"up_to\":\"9999\"}");
	take(&e, "pruned", "{\"journal\":\"others\",\"up_to\":9999}");
	take(&e, "pruned", "no JSON");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		check_case((long)i);
		t.pruned_seq = rows[i].pruned_seq;
		CHECK_INT(explained_has_pruned(&e, rows[i].journal, &t),
		    rows[i].good);
	}
	check_case(-1);
	/* Nobody was asked. */
	e.has_ledger = false;
	t.pruned_seq = 100000;
	CHECK(explained_has_pruned(&e, "decisions", &t));
	explained_fini(&e);
}

static void
test_blanked(void)
{
	struct journal_range ranges[] = { { 3, 4 }, { 9, 11 } };
	struct journal_tally t = { .ranges = ranges, .range_count = 2 };
	struct explained e = { .has_ledger = true };

	CHECK_INT(explained_first_other(&e, "decisions", &t), 3);
	take(&e, "redaction",
	    "{\"journal\":\"decisions\",\"entries\":\"1-4 11\"}");
	CHECK_INT(explained_first_other(&e, "decisions", &t), 9);
	CHECK_INT(explained_first_other(&e, "ledger", &t), 3);
	take(&e, "redaction",
	    "{\"journal\":\"decisions\",\"entries\":\"9-10\"}");
	CHECK_INT(explained_first_other(&e, "decisions", &t), 0);
	e.has_ledger = false;
	CHECK_INT(explained_first_other(&e, "ledger", &t), 0);
	explained_fini(&e);
}

static const struct check_test tests[] = {
	{ "pruned", test_pruned },
	{ "blanked", test_blanked },
};

int
main(void)
{
	return check_main("explained", tests,
	    sizeof(tests) / sizeof(tests[0]));
}
