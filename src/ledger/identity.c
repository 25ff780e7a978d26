/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ledger/identity.h"

#include <string.h>

#include "journal/journal.h"

int
ledger_identity(const char *directory, unsigned char id[LEDGER_ID_BYTES],
    struct fail *fail)
{
	struct journal_reader *reader;
	struct journal_entry entry;
	int rc;

	if (journal_reader_open(directory, "ledger", 1, &reader, fail) == -1)
		return -1;
	rc = journal_reader_next(reader, &entry, fail);
	if (rc == 1)
		memcpy(id, entry.chain, LEDGER_ID_BYTES);
	journal_reader_close(&reader);
	return rc;
}
