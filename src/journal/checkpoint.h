/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A signed statement that a journal had this chain at this entry.  It stands
 * in the journal as an entry of type "checkpoint" right behind the entry that
 * it speaks of, and goes as one line of text to other places (mail log, a mail
 * to the data protection officer), where nobody who rewrites the journal can
 * reach it.  The signature (Ed25519) is over, each with its length as in
 * journal.h,
 *
 *	"consent-milter checkpoint v1" NUL, journal, host, last, head, time
 *
 * A tombstone says that the entries up to seq were pruned.  It stands in a file
 * of its own, named like the segment that it replaces, and has "tombstone"
 * instead of "checkpoint" under its signature: nobody without the key can make
 * one out of a checkpoint.
 *
 * Pure; thread-safe.
 */
#ifndef JOURNAL_CHECKPOINT_H
#define JOURNAL_CHECKPOINT_H

#include "base/crypto.h"
#include "base/json.h"
#include "journal/journal.h"

#define JOURNAL_HOST_MAX	255

struct checkpoint {
	bool		 is_tombstone;	/* no reader sets it: the caller knows
					   from where it took the text */
	char		 journal[JOURNAL_TYPE_MAX + 1];
	char		 host[JOURNAL_HOST_MAX + 1];	/* [A-Za-z0-9._-]* */
	uint64_t	 seq;		/* "last": the last entry that it covers */
	unsigned char	 chain[JOURNAL_CHAIN_BYTES];	/* "head": that entry's */
	int64_t		 time_ms;
	unsigned char	 key[CRYPTO_PUBLIC_BYTES];
	unsigned char	 signature[CRYPTO_SIGNATURE_BYTES];
};

/* Fills key and signature; the other fields are the caller's.  Characters that
 * a host name does not have become '-'. */
void	checkpoint_sign(struct checkpoint *checkpoint,
	    const struct crypto_signer *signer);
/* Is it signed by the key that it names? */
bool	checkpoint_is_good(const struct checkpoint *checkpoint);

/* JSON members without braces, and back from the object that holds them.
 * Returns 0, or -1 with FAIL_INPUT. */
void	checkpoint_format(struct buf *out,
	    const struct checkpoint *checkpoint);
int	checkpoint_parse(const struct json_object *object,
	    struct checkpoint *out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* "checkpoint journal=ledger host=mx1 last=7 head=… time=… key=…
 * signature=…"; read from anywhere in a line.  Returns 1, or 0 when the line
 * has none that can be read. */
void	checkpoint_format_text(struct buf *out,
	    const struct checkpoint *checkpoint);
int	checkpoint_find(struct span line, struct checkpoint *out)
	    __attribute__((warn_unused_result));

#endif
