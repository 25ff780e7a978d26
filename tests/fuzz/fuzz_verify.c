/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A whole segment from an attacker, given to the verifier; the same bytes as
 * text that may hold a checkpoint, and as numbers of entries.
 */
#include <sys/mman.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "journal/redact.h"
#include "journal/verify.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t told;

static void
on_problem(const struct journal_problem *problem, void *context)
{
	(void)context;
	/* What is told has to be told in words. */
	if (problem->text[0] == '\0' ||
	    journal_fault_name(problem->fault)[0] == '\0')
		abort();
	told++;
}

static void
verify(struct span bytes)
{
	struct journal_verify_options options = { .name = "decisions",
	    .whole = true, .on_problem = on_problem };
	struct journal_verifier *v = journal_verifier_new(&options);
	struct journal_tally tally;
	struct fail fail;
	char path[64];
	int fd = memfd_create("segment", MFD_CLOEXEC);

	if (fd == -1 || file_write_all(fd, bytes) == -1)
		abort();
	told = 0;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (journal_verifier_file(v, path, &fail) == -1)
		abort();
	journal_verifier_finish(v, &tally);
	if (tally.problems != told || tally.bytes != bytes.len ||
	    tally.blanked > tally.entries)
		abort();
	journal_verifier_free(&v);
	(void)close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span bytes = span_of(data, size);
	struct journal_set set = { .count = 0 };
	struct checkpoint checkpoint;
	struct buf text = BUF_INIT(4096);
	struct fail fail;

	verify(bytes);
	if (checkpoint_find(bytes, &checkpoint) == 1) {
		struct checkpoint again;

		checkpoint_format_text(&text, &checkpoint);
		if (checkpoint_find(buf_span(&text), &again) == 0 ||
		    again.seq != checkpoint.seq)
			abort();
	}
	if (journal_set_parse(&set, bytes, &fail) == 0) {
		journal_set_tidy(&set);
		if (set.count > 0 && !journal_set_has(&set,
		    set.ranges[0].from))
			abort();
	}
	journal_set_fini(&set);
	buf_fini(&text);
	return 0;
}
