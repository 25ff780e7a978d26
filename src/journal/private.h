/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of the journal share.
 */
#ifndef JOURNAL_PRIVATE_H
#define JOURNAL_PRIVATE_H

#include "base/crypto.h"
#include "journal/journal.h"

#define JOURNAL_SALT_BYTES	16
#define JOURNAL_LINE_MAX	(JOURNAL_BODY_MAX + 512)

void	journal_digest(const unsigned char salt[JOURNAL_SALT_BYTES],
	    struct span body, unsigned char out[CRYPTO_DIGEST_BYTES]);
void	journal_chain(const unsigned char previous[JOURNAL_CHAIN_BYTES],
	    uint64_t seq, struct span type,
	    const unsigned char digest[CRYPTO_DIGEST_BYTES],
	    unsigned char out[JOURNAL_CHAIN_BYTES]);
bool	journal_type_is_valid(struct span type);
/* Adds a line with its line break; chain becomes the one after it. */
void	journal_line_format(struct buf *out, uint64_t seq, struct span type,
	    struct span body, const unsigned char salt[JOURNAL_SALT_BYTES],
	    unsigned char chain[JOURNAL_CHAIN_BYTES]);

/* The segments of a journal in a directory, by number, ascending.  The caller
 * frees *names and each of them.  Returns 0, or -1 with FAIL_SETUP; a missing
 * directory has none. */
int	journal_segments(const char *directory, const char *name,
	    char ***names, size_t *count, struct fail *fail)
	    __attribute__((warn_unused_result));
void	journal_segments_free(char **names, size_t count);
/* The number in a segment's file name. */
uint64_t journal_segment_number(const char *file);

/* For tests: the clock that names segments.  NULL: the real one. */
void	journal_set_clock(struct journal *journal, int64_t (*now_ms)(void));

#endif
