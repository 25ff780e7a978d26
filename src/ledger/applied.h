/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * How far Redis has confirmed a ledger: the file `.applied' beside it.  Its
 * first line is the sequence number up to which everything is confirmed, as a
 * decimal number.  Of a Redis Cluster further lines say it for each partition
 * (store.h) that has any events, "ab 1234": all events of that partition up to
 * this one, which may be beyond the first line where another partition has to be
 * applied again.
 *
 * Who writes it holds `.applied.lock'; who only reads it needs no lock.
 */
#ifndef LEDGER_APPLIED_H
#define LEDGER_APPLIED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "store/store.h"

struct applied {
	unsigned	 partitions;
	uint64_t	 through;	/* entries of all partitions */
	uint64_t	 seqs[STORE_PARTITIONS_MAX];	/* events of each */
};

/*
 * Reads the file; what is not there, or was written for a store with other
 * partitions, confirms nothing, except that the first line will do for a store
 * with one.  Returns 0, or -1 with FAIL_SETUP when it can't be read, and
 * FAIL_INPUT when it makes no sense; *out confirms nothing then.
 */
int	applied_read(const char *directory, unsigned partitions,
	    struct applied *out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Returns 0, or -1 with FAIL_SETUP or FAIL_TEMP. */
int	applied_write(const char *directory, const struct applied *applied,
	    struct fail *fail) __attribute__((warn_unused_result));
/* Takes the lower of the two: seqs is what Redis says, of each partition.
 * Returns whether Redis has less. */
bool	applied_lower(struct applied *applied, const uint64_t *seqs);

#endif
