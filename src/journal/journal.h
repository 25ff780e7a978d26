/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Append-only, hash-chained JSON lines.  The decision log and the ledger of
 * consent events are two uses of it.
 *
 * A journal is a directory and a name; its segments are files
 * NAME-YYYYMMDD-NNNNNN.jsonl, NNNNNN counting up for ever.  A new segment
 * starts with the day (UTC) and when one passes its size.  Each line:
 *
 *	{"seq":7,"type":"decision",BODY,"salt":"32 hex","digest":"64 hex","chain":"64 hex"}
 *
 * BODY is JSON members; a line has no line break inside.  With every integer
 * as 8 bytes big-endian and every text preceded by its length as such:
 *
 *	digest = SHA-256("consent-milter journal body v1" NUL, salt, BODY)
 *	chain  = SHA-256("consent-milter journal chain v1" NUL, previous chain,
 *	         seq, type, digest)
 *
 * (salt: 16 random bytes; the chain before the first entry is 32 zero bytes.)
 * So a body can be blanked later, {"seq":7,"type":"decision","blanked":true,
 * "digest":…,"chain":…}, with blanks behind "true," up to the old length, and
 * the chain still verifies; the salt keeps a blanked body from being guessed.  The first entry of each segment has type
 * "segment" and BODY "version":1,"journal":NAME,"host":…,"time":…,"previous":
 * (chain before it, hex).  What is cut off after a crash leaves an entry of
 * type "recovered" with "bytes" and "time".  Readers skip types they do not
 * know.
 */
#ifndef JOURNAL_JOURNAL_H
#define JOURNAL_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/fail.h"
#include "base/span.h"

struct checkpoint;
struct crypto_signer;

#define JOURNAL_TYPE_MAX	16		/* [a-z]{1,16} */
#define JOURNAL_BODY_MAX	(64 * 1024)	/* bytes */
#define JOURNAL_CHAIN_BYTES	32

struct journal_options {
	const char	*directory;	/* borrowed during _open */
	const char	*name;		/* [a-z]{1,16}; borrowed during _open */
	const char	*host;		/* for the segment entry */
	uint64_t	 segment_bytes;	/* 0: 256 MiB */
	/* One process keeps the journal to itself until _close (a second one
	 * fails to open); otherwise processes take turns, batch by batch. */
	bool		 exclusive;
	/* A thread syncs what was written without waiting, each so often;
	 * 0: no thread. */
	int		 sync_interval_ms;
	/* Signs checkpoints (checkpoint.h): with the first batch of a process,
	 * then each 10,000 entries and five minutes, at the end of a segment
	 * and in _close, where there is something new to cover.  NULL: none.
	 * Borrowed until _close. */
	const struct crypto_signer *signer;
	/* Told each checkpoint once it is written, so that a copy gets out of
	 * the reach of who can write the journal; called by the thread that
	 * wrote it, which waits.  May be NULL. */
	void		(*on_checkpoint)(const struct checkpoint *checkpoint,
			    void *context);
	void		*context;
};

/*
 * Opens for appending; makes the directory and the first segment where they
 * are missing.  A file made by root gets the owner and group of the directory;
 * mode 0640.  A torn last line is cut off; *recovered_bytes (may be NULL)
 * tells how much, so that the program can log it.
 *
 * Returns 0, or -1 with FAIL_SETUP (directory, rights, in use elsewhere, or a
 * last entry that does not fit its chain: then a person has to look).
 * The object locks inside; share it freely.
 */
struct journal;
int	journal_open(const struct journal_options *options,
	    struct journal **out, uint64_t *recovered_bytes,
	    struct fail *fail) __attribute__((warn_unused_result));
/* Writes what waits, signs and syncs all of it.  Appends that come later fail
 * with FAIL_TEMP.  For who can't wait for all threads that may append. */
void	journal_stop(struct journal *journal);
/* The same, then closes.  No append may be running. */
void	journal_close(struct journal **journal);

/*
 * Appends one entry; blocks until it is written to the file, and with durable
 * until it is on disk (fsync).  Threads that come together share one write and
 * one fsync.  body is JSON members without braces, UTF-8, no line break.
 * seq_out may be NULL.
 *
 * Returns 0, or -1 with FAIL_TEMP: the entry does not count then, and what a
 * failed write left of it is cut off before the next.  After a failed fsync
 * the batch does not count either, whatever the disk holds (its entries are
 * chained and may be seen by readers: at-least-once).
 */
int	journal_append(struct journal *journal, const char *type,
	    struct span body, bool durable, uint64_t *seq_out,
	    struct fail *fail) __attribute__((warn_unused_result));
/* The same for n bodies of one type, all or none acknowledged. */
int	journal_append_many(struct journal *journal, const char *type,
	    const struct span *bodies, size_t n, bool durable,
	    struct fail *fail) __attribute__((warn_unused_result));

/* What a monitor wants to know of a writer. */
struct journal_stats {
	uint64_t	 seq;		/* of its last entry; 0: none */
	int64_t		 synced_ms;	/* Unix time of its last sync; 0: none */
	/* clock_monotonic_ms() since when something waits for a sync; 0: all
	 * is on disk. */
	int64_t		 unsynced_ms;
	uint64_t	 failures;	/* batches or syncs that failed */
};
/* Waits for nobody who writes. */
void	journal_stats(struct journal *journal, struct journal_stats *out);
/* The bytes of all its segments, and the room left on their disk.  Returns 0,
 * or -1 with FAIL_SETUP. */
int	journal_size(const char *directory, const char *name,
	    uint64_t *bytes, uint64_t *free_bytes, struct fail *fail)
	    __attribute__((warn_unused_result));

/* When its last segment was last written to, by the clock of then, in Unix
 * milliseconds; 0 without one.  Returns 0, or -1 with FAIL_SETUP. */
int	journal_written_ms(const char *directory, const char *name,
	    int64_t *ms, struct fail *fail)
	    __attribute__((warn_unused_result));

/*
 * Reading.  One reader per thread; needs no lock and sees whole lines only.
 * While others append, the end moves.
 */
struct journal_entry {
	uint64_t	 seq;
	struct span	 type;		/* borrowed until the next _next */
	bool		 blanked;
	struct span	 body;		/* members without braces; borrowed */
	struct span	 object;	/* the whole line, a JSON object */
	unsigned char	 salt[16];	/* zeroes when blanked */
	unsigned char	 digest[32];
	unsigned char	 chain[32];
};

/*
 * Reads one line (without the line break).  Checks its form, not its chain.
 * Returns 0, or -1 with FAIL_INPUT.  Pure.
 */
int	journal_line_parse(struct span line, struct journal_entry *out,
	    struct fail *fail) __attribute__((warn_unused_result));

/* The last entry that is whole.  Returns 1, 0 when there is none, or -1 with
 * FAIL_SETUP. */
int	journal_head(const char *directory, const char *name, uint64_t *seq,
	    unsigned char chain[JOURNAL_CHAIN_BYTES], struct fail *fail)
	    __attribute__((warn_unused_result));

struct journal_reader;
/* from_seq: entries before it are passed over, whole segments by their first
 * line.  A journal that does not exist yet has no entries.  Returns 0, or -1
 * with FAIL_SETUP. */
int	journal_reader_open(const char *directory, const char *name,
	    uint64_t from_seq, struct journal_reader **out,
	    struct fail *fail) __attribute__((warn_unused_result));
void	journal_reader_close(struct journal_reader **reader);
/* From where to read to see all that was written at this time and later: the
 * first entry of the last segment that was begun before it.
 * Returns 0, or -1 with FAIL_SETUP. */
int	journal_seq_at(const char *directory, const char *name, int64_t ms,
	    uint64_t *seq, struct fail *fail)
	    __attribute__((warn_unused_result));
/* The numbers of the first entries of the segments, ascending; *starts is the
 * caller's.  Returns 0, or -1 with FAIL_SETUP. */
int	journal_segment_starts(const char *directory, const char *name,
	    uint64_t **starts, size_t *count, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Returns 1 with an entry, 0 at the end (for now: may be asked again), -1 with
 * FAIL_INPUT for a line that can't be read (names file and line; the next call
 * goes on after it) or FAIL_SETUP. */
int	journal_reader_next(struct journal_reader *reader,
	    struct journal_entry *out, struct fail *fail)
	    __attribute__((warn_unused_result));
/* A reader may see what its writer has not synced yet.  When this returns 0,
 * what was read so far is on disk; -1 with FAIL_TEMP when nobody knows. */
int	journal_reader_sync(struct journal_reader *reader, struct fail *fail)
	    __attribute__((warn_unused_result));

#endif
