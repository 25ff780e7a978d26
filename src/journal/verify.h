/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Checks a journal from its first entry to its last: bodies against digests,
 * digests against the chain, the chain against signed checkpoints, and those
 * against what others hold of them.  Files are read as streams, of any size;
 * everything in them may be hostile.
 */
#ifndef JOURNAL_VERIFY_H
#define JOURNAL_VERIFY_H

#include "journal/checkpoint.h"
#include "journal/journal.h"

enum journal_fault {
	FAULT_UNREADABLE,	/* a line that is no entry */
	FAULT_BODY,		/* a body that is not the one that was written */
	FAULT_CHAIN,		/* an entry that does not follow from the last */
	FAULT_MISSING,		/* entries that are not there */
	FAULT_ORDER,		/* entries that changed places, or come twice */
	FAULT_SEGMENT,		/* a file that does not begin as it must */
	FAULT_CHECKPOINT,	/* speaks of a chain that is not this one */
	FAULT_KEY,		/* signed by somebody else, or by nobody */
	FAULT_UNSIGNED,		/* entries that should have a checkpoint */
	FAULT_TRUNCATED,	/* ends before what others hold of it */
	FAULT_TORN		/* ends in half a line */
};
#define JOURNAL_FAULTS	11
/* "unreadable", "body", … */
const char *journal_fault_name(enum journal_fault fault);

struct journal_range {
	uint64_t	 from, to;	/* both included */
};

struct journal_problem {
	enum journal_fault fault;
	const char	*file;		/* "" when it is about none */
	uint64_t	 line;		/* 0: the file as a whole */
	uint64_t	 seq;		/* the first bad entry; 0: not known */
	const char	*text;
};

struct journal_verify_options {
	const char	*name;		/* "ledger", "decisions"; borrowed */
	/* Whose checkpoints count; NULL: all count that are what they say. */
	const unsigned char *key;
	/* Checkpoints that were kept elsewhere; borrowed.  Those of other
	 * journals are passed over; those of other hosts too, unless there
	 * are only such. */
	const struct checkpoint *held;
	size_t		 held_count;
	/* The journal has to begin with its first entry, or a tombstone. */
	bool		 whole;
	void		(*on_problem)(const struct journal_problem *problem,
			    void *context);
	/* Entries other than events and decisions; may be NULL. */
	void		(*on_entry)(const struct journal_entry *entry,
			    void *context);
	/* Each MiB or so; may be NULL. */
	void		(*on_bytes)(uint64_t bytes, void *context);
	void		*context;
};

struct journal_tally {
	uint64_t	 entries, blanked, recovered, checkpoints, files;
	uint64_t	 pruned;	/* entries that tombstones stand for */
	uint64_t	 pruned_seq;	/* the last of them; 0: none */
	/* Of options.held, those about this journal: that could be compared,
	 * that are about pruned or missing entries, and of other hosts. */
	uint64_t	 held_compared, held_pruned, held_foreign;
	uint64_t	 problems;
	uint64_t	 first_seq, last_seq;	/* 0: none */
	uint64_t	 covered_seq;	/* by a good checkpoint; 0: none */
	int64_t		 covered_ms;	/* that checkpoint's time */
	uint64_t	 bytes;
	unsigned char	 chain[JOURNAL_CHAIN_BYTES];	/* the last */
	char		 host[JOURNAL_HOST_MAX + 1];
	/* What is blanked; owned by the verifier. */
	const struct journal_range *ranges;
	size_t		 range_count;
};

/*
 * One thread.  Files are given in their order; _directory finds them itself.
 * Both return 0 whatever they find, and -1 with FAIL_SETUP when a file can't be
 * read.  _finish says what only the end shows and fills *out, which lives as
 * long as the verifier.
 */
struct journal_verifier;
struct journal_verifier *journal_verifier_new(
	    const struct journal_verify_options *options)
	    __attribute__((returns_nonnull));
int	journal_verifier_file(struct journal_verifier *verifier,
	    const char *path, struct fail *fail)
	    __attribute__((warn_unused_result));
int	journal_verifier_directory(struct journal_verifier *verifier,
	    const char *directory, struct fail *fail)
	    __attribute__((warn_unused_result));
void	journal_verifier_finish(struct journal_verifier *verifier,
	    struct journal_tally *out);
void	journal_verifier_free(struct journal_verifier **verifier);

#endif
