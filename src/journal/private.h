/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of the journal share:
 *
 *	line.c		one line, both ways
 *	segment.c	the files by name
 *	tail.c		where a segment ends, and whether it ends well
 *	writer.c	one batch after the other into the files
 *	journal.c	the queue before the writer
 *	reader.c	reading
 *	checkpoint.c	signed statements about the chain
 *	redact.c	blanking
 *	verify.c	checking all of it
 */
#ifndef JOURNAL_PRIVATE_H
#define JOURNAL_PRIVATE_H

#include <sys/types.h>

#include <limits.h>
#include <time.h>

#include "base/crypto.h"
#include "journal/journal.h"

#define JOURNAL_SALT_BYTES	16
/* What a line has beside its body, at most, with the line break. */
#define JOURNAL_FRAME_MAX	512
#define JOURNAL_LINE_MAX	(JOURNAL_BODY_MAX + JOURNAL_FRAME_MAX)
/* More entries without a checkpoint, or a longer time, is not for a writer
 * that can sign. */
#define CHECKPOINT_ENTRIES	10000
#define CHECKPOINT_MS		(5 * 60 * 1000)

/* line.c */
void	journal_digest(struct crypto_hash *hash,
	    const unsigned char salt[JOURNAL_SALT_BYTES],
	    struct span body, unsigned char out[CRYPTO_DIGEST_BYTES]);
void	journal_chain(struct crypto_hash *hash,
	    const unsigned char previous[JOURNAL_CHAIN_BYTES],
	    uint64_t seq, struct span type,
	    const unsigned char digest[CRYPTO_DIGEST_BYTES],
	    unsigned char out[JOURNAL_CHAIN_BYTES]);
bool	journal_type_is_valid(struct span type);
/* What stands where the body stood; blanks follow. */
#define JOURNAL_BLANKED	"\"blanked\":true,"
/* Is this part of a line that mark, and blanks only? */
bool	journal_is_blanked(struct span middle);
/* What the entry that begins a segment tells; false when it is none, or can't
 * be read. */
bool	journal_segment_previous(const struct journal_entry *entry,
	    unsigned char chain[JOURNAL_CHAIN_BYTES]);
bool	journal_segment_time(const struct journal_entry *entry, int64_t *ms);
/* The part of a line that blanking overwrites, whatever state it is in. */
bool	journal_line_frame(struct span line, uint64_t *seq,
	    struct span *middle);
/* Adds a line with its line break; chain becomes the one after it.  type and
 * body are valid. */
void	journal_line_format(struct buf *out, struct crypto_hash *hash,
	    uint64_t seq, struct span type, struct span body,
	    const unsigned char salt[JOURNAL_SALT_BYTES],
	    unsigned char chain[JOURNAL_CHAIN_BYTES]);

/*
 * segment.c: the segments of a journal in a directory, by number, ascending.
 * The caller frees *names and each of them.  Returns 0, or -1 with
 * FAIL_SETUP; a missing directory has none.
 */
int	journal_segments(const char *directory, const char *name,
	    char ***names, size_t *count, struct fail *fail)
	    __attribute__((warn_unused_result));
/* The same with tombstones (checkpoint.h), where the segment is gone. */
int	journal_files(const char *directory, const char *name, char ***names,
	    size_t *count, struct fail *fail)
	    __attribute__((warn_unused_result));
bool	journal_is_tombstone(const char *file, const char *name);
void	journal_segments_free(char **names, size_t count);
/* The number in a segment's file name. */
uint64_t journal_segment_number(const char *file);
/* The highest number, 0 without any.  Returns 0, or -1 with FAIL_SETUP. */
int	journal_segment_last(const char *directory, const char *name,
	    uint64_t *number, struct fail *fail)
	    __attribute__((warn_unused_result));

/*
 * tail.c: how an open segment ends.  Behind `size' lie `torn' bytes that are
 * no entry (half a line, or a last line that can't be read).  seq and chain
 * are the last entry's, if there is one.  Changes nothing.
 *
 * Returns 0, or -1 with FAIL_SETUP when the last entry does not fit the one
 * before it; then the text names file and line.
 */
struct journal_tail {
	uint64_t	 size, torn;
	bool		 has_entry;
	uint64_t	 seq;
	unsigned char	 chain[JOURNAL_CHAIN_BYTES];
};
int	journal_tail_read(int fd, const char *path, struct crypto_hash *hash,
	    struct journal_tail *out, struct fail *fail)
	    __attribute__((warn_unused_result));

/*
 * writer.c: used by one thread at a time.
 */
#define JOURNAL_SALTS	64	/* drawn at once */

/* What one caller wants written.  writer.c fills first_seq. */
struct journal_request {
	struct journal_request *next;
	struct span	 type;
	const struct span *bodies;
	size_t		 n;
	bool		 durable;
	bool		 checkpoint;	/* one is due, whatever it covers */
	uint64_t	 first_seq;
};

struct journal_writer {
	char		*directory;
	char		*name;
	char		*host;
	uint64_t	 segment_bytes;
	bool		 exclusive;
	int		 lock_wait_ms;
	int64_t		 (*now_ms)(void);

	int		 lock_fd;
	int		 fd;		/* -1: the end is not known */
	char		 path[PATH_MAX];	/* of the segment */
	uint64_t	 number;	/* of the segment */
	int64_t		 day_ends_ms;	/* the segment's day, UTC */
	dev_t		 device;	/* of the segment's file */
	ino_t		 inode;
	int64_t		 looked_ms;	/* when the file was looked at last */

	uint64_t	 size;		/* up to the last entry that counts */
	uint64_t	 next_seq;
	unsigned char	 chain[JOURNAL_CHAIN_BYTES];

	bool		 cut_due;	/* a failed write left something */
	struct timespec	 left_at;	/* when, and how long the file was */
	uint64_t	 left_size;
	bool		 distrust;	/* a sync failed: read from the disk */
	uint64_t	 cut_off;	/* bytes cut off since _init */
	uint64_t	 untold;	/* of these: without an entry as yet */

	const struct crypto_signer *signer;	/* NULL: no checkpoints */
	void		(*on_checkpoint)(const struct checkpoint *, void *);
	void		*context;
	uint64_t	 covered_seq;	/* the entry behind our last one */
	int64_t		 signed_ms;	/* when; 0: not yet */

	struct crypto_hash *hash;
	struct buf	 out;
	unsigned char	 salts[JOURNAL_SALTS][JOURNAL_SALT_BYTES];
	size_t		 salts_left;
};

/* Takes the lock where it is to be kept, and finds the end. */
int	journal_writer_init(struct journal_writer *w,
	    const struct journal_options *options, struct fail *fail)
	    __attribute__((warn_unused_result));
void	journal_writer_fini(struct journal_writer *w);
/* All of it or nothing.  Returns 0, or -1 with FAIL_TEMP. */
int	journal_writer_write(struct journal_writer *w,
	    struct journal_request *first, struct fail *fail)
	    __attribute__((warn_unused_result));
/* Is there an entry that we wrote and that no checkpoint covers? */
bool	journal_writer_is_uncovered(const struct journal_writer *w);
/* What was written last may not be on the disk: the end is looked for again
 * there before the next entry. */
void	journal_writer_distrust(struct journal_writer *w);

/* For tests: the clock that names segments (NULL: the real one), and how long
 * to wait for other processes. */
void	journal_set_clock(struct journal *journal, int64_t (*now_ms)(void));
void	journal_set_lock_wait(struct journal *journal, int ms);

#endif
