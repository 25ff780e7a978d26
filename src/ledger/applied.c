/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ledger/applied.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/span.h"

#define FILE_BYTES	(STORE_PARTITIONS_MAX * 32)

/* "ab 1234" */
static int
read_partition(struct span line, struct applied *out)
{
	unsigned char partition;
	uint64_t seq;

	if (line.len < 4 || line.p[2] != ' ' ||
	    hex_parse(span_head(line, 2), &partition, 1) == -1 ||
	    span_to_u64(span_from(line, 3), &seq) == -1)
		return -1;
	out->seqs[partition] = seq;
	return 0;
}

static int
parse(struct span text, struct applied *out)
{
	struct span first = span_take(&text, '\n');
	bool any = false;

	if (span_to_u64(span_trim(first), &out->through) == -1)
		return -1;
	if (out->partitions == 1) {
		out->seqs[0] = out->through;
		return 0;
	}
	while (text.len > 0) {
		if (read_partition(span_take(&text, '\n'), out) == -1)
			return -1;
		any = true;
	}
	/* Of a Redis that was no cluster. */
	if (!any)
		out->through = 0;
	return 0;
}

int
applied_read(const char *directory, unsigned partitions, struct applied *out,
    struct fail *fail)
{
	struct buf path = BUF_INIT(8192), text = BUF_INIT(FILE_BYTES);
	bool there;
	int rc = 0;

	*out = (struct applied){ .partitions = partitions };
	buf_addf(&path, "%s/.applied", directory);
	there = access(buf_get(&path), F_OK) == 0 || errno != ENOENT;
	if (there)
		rc = file_read(buf_get(&path), &text, fail);
	if (rc == 0 && there && parse(buf_span(&text), out) == -1) {
		*out = (struct applied){ .partitions = partitions };
		rc = fail_set(fail, FAIL_INPUT, "%s holds no number",
		    buf_get(&path));
	}
	buf_fini(&path);
	buf_fini(&text);
	return rc;
}

int
applied_write(const char *directory, const struct applied *a,
    struct fail *fail)
{
	struct buf path = BUF_INIT(8192), text = BUF_INIT(FILE_BYTES);
	int rc;

	buf_addf(&path, "%s/.applied", directory);
	buf_addf(&text, "%" PRIu64 "\n", a->through);
	for (unsigned i = 0; i < a->partitions && a->partitions > 1; i++)
		if (a->seqs[i] > 0)
			buf_addf(&text, "%02x %" PRIu64 "\n", i, a->seqs[i]);
	rc = file_replace(buf_get(&path), buf_span(&text), 0640, fail);
	buf_fini(&path);
	buf_fini(&text);
	return rc;
}

bool
applied_lower(struct applied *a, const uint64_t *seqs)
{
	bool less = false;

	for (unsigned i = 0; i < a->partitions; i++) {
		if (seqs[i] >= a->seqs[i])
			continue;
		less = true;
		a->seqs[i] = seqs[i];
		if (seqs[i] < a->through)
			a->through = seqs[i];
	}
	return less;
}
