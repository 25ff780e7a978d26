/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * After each problem the check goes on from what stands there, so that one bad
 * entry does not hide the next, and does not make all that follow look bad.
 *
 * The chain alone needs no secret to be computed: who rewrites the journal from
 * an entry on can make it fit.  What he can't make are the checkpoints.
 */
#include "journal/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/xalloc.h"
#include "journal/private.h"

#define READ_BYTES	(1024 * 1024)
/* A writer signs each CHECKPOINT_ENTRIES, but a batch may be large. */
#define UNSIGNED_MAX	(4 * CHECKPOINT_ENTRIES)

/* Some entries are not where they should be: missing, unless they come yet. */
struct gap {
	uint64_t	 from, to;	/* to 0: no gap */
	uint64_t	 line;		/* where it was seen */
	char		*file;
};

struct journal_verifier {
	struct journal_verify_options options;
	struct crypto_hash *hash;
	struct journal_tally tally;
	struct journal_range *ranges;
	size_t		 range_room;

	const char	*file;		/* the base name that is being read */
	uint64_t	 line;
	uint64_t	 told_bytes;

	bool		 has_last;	/* seq and chain of the last entry */
	uint64_t	 seq;
	unsigned char	 chain[JOURNAL_CHAIN_BYTES];
	struct gap	 gap;
	uint64_t	 signed_seq;	/* by the last good checkpoint */
	bool		 told_unsigned;
	bool		 first_of_file;
	/* options.held by number, and which of them were compared. */
	size_t		*held_order;
	bool		*held_done;
};

const char *
journal_fault_name(enum journal_fault fault)
{
	static const char *const names[JOURNAL_FAULTS] = {
		"unreadable", "body", "chain", "missing", "order", "segment",
		"checkpoint", "key", "unsigned", "truncated", "torn"
	};

	return names[fault];
}

static void	tell(struct journal_verifier *v, enum journal_fault fault,
		    const char *file, uint64_t line, uint64_t seq,
		    const char *fmt, ...)
		    __attribute__((format(printf, 6, 7)));

static void
tell(struct journal_verifier *v, enum journal_fault fault, const char *file,
    uint64_t line, uint64_t seq, const char *fmt, ...)
{
	char text[512];
	struct journal_problem problem = { .fault = fault, .file = file,
	    .line = line, .seq = seq, .text = text };
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	v->tally.problems++;
	v->options.on_problem(&problem, v->options.context);
}

/* By insertion: there are few, and they mostly come in order. */
static void
sort_held(struct journal_verifier *v)
{
	const struct checkpoint *held = v->options.held;

	for (size_t i = 0; i < v->options.held_count; i++) {
		size_t k = i;

		while (k > 0 && held[v->held_order[k - 1]].seq > held[i].seq) {
			v->held_order[k] = v->held_order[k - 1];
			k--;
		}
		v->held_order[k] = i;
	}
}

struct journal_verifier *
journal_verifier_new(const struct journal_verify_options *options)
{
	struct journal_verifier *v = xcalloc(1, sizeof(*v));

	v->options = *options;
	v->hash = crypto_hash_new();
	v->held_done = xcalloc(options->held_count + 1,
	    sizeof(*v->held_done));
	v->held_order = xcalloc(options->held_count + 1,
	    sizeof(*v->held_order));
	sort_held(v);
	v->file = "";
	return v;
}

void
journal_verifier_free(struct journal_verifier **verifier)
{
	struct journal_verifier *v = *verifier;

	if (v == NULL)
		return;
	*verifier = NULL;
	crypto_hash_free(&v->hash);
	free(v->held_done);
	free(v->held_order);
	free(v->gap.file);
	free(v->ranges);
	free(v);
}

/* -- gaps -- */

static void
close_gap(struct journal_verifier *v)
{
	struct gap *gap = &v->gap;

	if (gap->to == 0)
		return;
	if (gap->from == gap->to)
		tell(v, FAULT_MISSING, gap->file, gap->line, gap->from,
		    "entry %" PRIu64 " is missing", gap->from);
	else
		tell(v, FAULT_MISSING, gap->file, gap->line, gap->from,
		    "entries %" PRIu64 " to %" PRIu64 " are missing",
		    gap->from, gap->to);
	gap->to = 0;
}

static void
open_gap(struct journal_verifier *v, uint64_t from, uint64_t to)
{
	close_gap(v);
	free(v->gap.file);
	v->gap = (struct gap){ from, to, v->line, xstrdup(v->file) };
}

/* An entry with a number that was passed already. */
static void
check_early(struct journal_verifier *v, const struct journal_entry *entry)
{
	if (v->gap.to != 0 && entry->seq >= v->gap.from &&
	    entry->seq <= v->gap.to) {
		uint64_t first = v->gap.from;

		v->gap.to = 0;
		tell(v, FAULT_ORDER, v->file, v->line, first, "entry %" PRIu64
		    " stands behind entry %" PRIu64 ": they changed places",
		    entry->seq, v->seq);
		return;
	}
	if (entry->seq == v->seq) {
		tell(v, FAULT_ORDER, v->file, v->line, entry->seq,
		    "there are two entries %" PRIu64 ": one was inserted",
		    entry->seq);
		/* Those that follow tell which: they fit the last. */
		memcpy(v->chain, entry->chain, sizeof(v->chain));
		return;
	}
	tell(v, FAULT_ORDER, v->file, v->line, entry->seq, "entry %" PRIu64
	    " stands behind entry %" PRIu64, entry->seq, v->seq);
}

/* -- one entry -- */

static bool
follows(struct journal_verifier *v, const struct journal_entry *entry)
{
	unsigned char sum[JOURNAL_CHAIN_BYTES];

	journal_chain(v->hash, v->chain, entry->seq, entry->type,
	    entry->digest, sum);
	return memcmp(sum, entry->chain, sizeof(sum)) == 0;
}

static bool
digest_fits(struct journal_verifier *v, const struct journal_entry *entry)
{
	unsigned char sum[CRYPTO_DIGEST_BYTES];

	if (entry->blanked)
		return true;
	journal_digest(v->hash, entry->salt, entry->body, sum);
	return memcmp(sum, entry->digest, sizeof(sum)) == 0;
}

/* Returns false when the entry is not the one that comes next. */
static bool
check_place(struct journal_verifier *v, const struct journal_entry *entry)
{
	uint64_t expected = v->seq + 1;

	if (entry->seq < expected) {
		check_early(v, entry);
		return false;
	}
	close_gap(v);
	if (entry->seq > expected)
		open_gap(v, expected, entry->seq - 1);
	else if (!follows(v, entry))
		tell(v, FAULT_CHAIN, v->file, v->line, entry->seq,
		    "entry %" PRIu64 " does not follow from the one before it: "
		    "one of the two was changed, replaced or inserted",
		    entry->seq);
	return true;
}

static void
note_blanked(struct journal_verifier *v, uint64_t seq)
{
	struct journal_range *last = v->tally.range_count == 0 ? NULL :
	    &v->ranges[v->tally.range_count - 1];

	v->tally.blanked++;
	if (last != NULL && seq == last->to + 1) {
		last->to = seq;
		return;
	}
	if (v->tally.range_count == v->range_room) {
		v->range_room = v->range_room ? v->range_room * 2 : 64;
		v->ranges = xrealloc(v->ranges, v->range_room,
		    sizeof(*v->ranges));
	}
	v->ranges[v->tally.range_count++] = (struct journal_range){ seq, seq };
}

/* -- checkpoints -- */

/* Whose signature is it?  Returns true when it counts. */
static bool
check_key(struct journal_verifier *v, const struct checkpoint *c,
    const char *what)
{
	if (strcmp(c->journal, v->options.name) != 0 ||
	    !checkpoint_is_good(c)) {
		tell(v, FAULT_KEY, v->file, v->line, c->seq,
		    "the signature of this %s does not fit it", what);
		return false;
	}
	if (v->options.key != NULL && memcmp(c->key, v->options.key,
	    sizeof(c->key)) != 0) {
		tell(v, FAULT_KEY, v->file, v->line, c->seq,
		    "this %s is signed with a foreign key", what);
		return false;
	}
	return true;
}

static void
take_host(struct journal_verifier *v, const struct checkpoint *c)
{
	memcpy(v->tally.host, c->host, sizeof(v->tally.host));
}

/* before: seq and chain of the entry before this one are known. */
static void
check_checkpoint(struct journal_verifier *v, const struct checkpoint *c,
    bool before)
{
	if (before && (c->seq != v->seq || memcmp(c->chain, v->chain,
	    sizeof(c->chain)) != 0)) {
		tell(v, FAULT_CHECKPOINT, v->file, v->line,
		    v->signed_seq + 1, "this checkpoint was made for another "
		    "chain: entries were rewritten, the first of them after "
		    "entry %" PRIu64, v->signed_seq);
		return;
	}
	if (!check_key(v, c, "checkpoint"))
		return;
	v->tally.checkpoints++;
	v->tally.covered_seq = v->signed_seq = c->seq;
	v->tally.covered_ms = c->time_ms;
	v->told_unsigned = false;
	take_host(v, c);
}

static void
take_checkpoint(struct journal_verifier *v, const struct journal_entry *entry,
    bool before)
{
	struct json_object *object;
	struct checkpoint c;
	struct fail fail;

	if (entry->blanked)
		return;
	if (json_object_parse(entry->object, &object, &fail) == -1) {
		tell(v, FAULT_CHECKPOINT, v->file, v->line, entry->seq, "%s",
		    fail.text);
		return;
	}
	if (checkpoint_parse(object, &c, &fail) == 0)
		check_checkpoint(v, &c, before);
	else
		tell(v, FAULT_CHECKPOINT, v->file, v->line, entry->seq, "%s",
		    fail.text);
	json_object_free(&object);
}

static void
check_unsigned(struct journal_verifier *v, uint64_t seq)
{
	if (v->tally.checkpoints == 0 || v->told_unsigned ||
	    seq - v->signed_seq <= UNSIGNED_MAX)
		return;
	v->told_unsigned = true;
	tell(v, FAULT_UNSIGNED, v->file, v->line, v->signed_seq + 1,
	    "there is no checkpoint for more than %d entries, from entry %"
	    PRIu64 " on", UNSIGNED_MAX, v->signed_seq + 1);
}

static bool
is_of_this_host(const struct journal_verifier *v, const struct checkpoint *c)
{
	return v->tally.host[0] == '\0' || strcmp(c->host, v->tally.host) == 0;
}

/* Where in held_order those for this entry begin. */
static size_t
find_held(const struct journal_verifier *v, uint64_t seq)
{
	size_t low = 0, high = v->options.held_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (v->options.held[v->held_order[middle]].seq < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The checkpoints that others hold, for the entry that was just read. */
static void
compare_held(struct journal_verifier *v)
{
	for (size_t k = find_held(v, v->seq); k < v->options.held_count; k++) {
		size_t i = v->held_order[k];
		const struct checkpoint *c = &v->options.held[i];

		if (c->seq != v->seq)
			return;
		if (v->held_done[i] || strcmp(c->journal, v->options.name) !=
		    0 || !is_of_this_host(v, c))
			continue;
		v->held_done[i] = true;
		if (memcmp(c->chain, v->chain, sizeof(c->chain)) != 0)
			tell(v, FAULT_CHECKPOINT, v->file, v->line, v->seq,
			    "a checkpoint that was kept elsewhere has another "
			    "chain for entry %" PRIu64 ": this entry or one "
			    "before it was rewritten", v->seq);
	}
}

/* Those that nothing was found to compare with. */
static void
check_held(struct journal_verifier *v)
{
	struct journal_tally *t = &v->tally;
	bool cut_off = false;

	for (size_t i = 0; i < v->options.held_count; i++) {
		const struct checkpoint *c = &v->options.held[i];

		if (strcmp(c->journal, v->options.name) != 0)
			continue;
		if (v->held_done[i])
			t->held_compared++;
		else if (!is_of_this_host(v, c))
			t->held_foreign++;
		else if (c->seq > v->seq) {
			cut_off = true;
			tell(v, FAULT_TRUNCATED, "", 0, v->seq + 1,
			    "a checkpoint that was kept elsewhere speaks of "
			    "entry %" PRIu64 ", and the journal ends with %"
			    PRIu64 ": the rest was cut off", c->seq, v->seq);
		} else
			t->held_pruned++;
	}
	if (t->held_foreign > 0 && !cut_off &&
	    t->held_compared + t->held_pruned == 0)
		tell(v, FAULT_CHECKPOINT, "", 0, 0, "the checkpoints that "
		    "were kept elsewhere are of other hosts than %s: another "
		    "journal was put in its place, or they belong to another",
		    t->host);
}

/* Does any signature stand for it?  A writer signs with its first entry. */
static void
check_signed_at_all(struct journal_verifier *v)
{
	if (v->options.key != NULL && v->tally.covered_seq == 0 &&
	    v->tally.pruned_seq == 0 && v->tally.entries > 1 &&
	    v->tally.problems == 0)
		tell(v, FAULT_UNSIGNED, "", 0, v->tally.first_seq,
		    "no checkpoint of this key is in it: nothing shows that "
		    "this is what was written");
}

/* -- segments -- */

/* The first entry that is read of the whole journal. */
static void
begin(struct journal_verifier *v, const struct journal_entry *entry)
{
	v->has_last = true;
	v->seq = entry->seq - 1;
	v->signed_seq = v->seq;
	if (!journal_segment_previous(entry, v->chain)) {
		/* check_segment() says so. */
		memcpy(v->chain, entry->chain, sizeof(v->chain));
		v->seq = entry->seq;
		return;
	}
	if (entry->seq > 1 && v->options.whole)
		tell(v, FAULT_MISSING, v->file, v->line, 1, "entries 1 to %"
		    PRIu64 " are missing, and no tombstone stands for them",
		    entry->seq - 1);
}

static void
check_segment(struct journal_verifier *v, const struct journal_entry *entry)
{
	unsigned char chain[JOURNAL_CHAIN_BYTES];

	if (!journal_segment_previous(entry, chain))
		tell(v, FAULT_SEGMENT, v->file, v->line, entry->seq,
		    "the file does not begin with the entry that begins a "
		    "segment");
	else if (entry->seq == v->seq + 1 && memcmp(chain, v->chain,
	    sizeof(chain)) != 0)
		tell(v, FAULT_SEGMENT, v->file, v->line, entry->seq,
		    "this segment continues another journal than the one "
		    "before it");
}

static void
count_entry(struct journal_verifier *v, const struct journal_entry *entry)
{
	struct journal_tally *t = &v->tally;

	if (t->entries++ == 0)
		t->first_seq = entry->seq;
	if (entry->seq > t->last_seq)
		t->last_seq = entry->seq;
	if (entry->blanked)
		note_blanked(v, entry->seq);
	if (span_is(entry->type, SPAN("recovered")))
		t->recovered++;
}

/* What erasing and pruning may blank. */
static bool
may_be_blanked(const struct journal_entry *entry)
{
	return span_is(entry->type, SPAN("event")) ||
	    span_is(entry->type, SPAN("decision")) ||
	    span_is(entry->type, SPAN("access"));
}

static void
take_entry(struct journal_verifier *v, const struct journal_entry *entry)
{
	bool contiguous;

	if (!v->has_last)
		begin(v, entry);
	if (v->first_of_file)
		check_segment(v, entry);
	v->first_of_file = false;
	count_entry(v, entry);
	if (entry->blanked && !may_be_blanked(entry))
		tell(v, FAULT_BODY, v->file, v->line, entry->seq,
		    "entry %" PRIu64 " is blanked, and what is about nobody "
		    "never is", entry->seq);
	if (!digest_fits(v, entry))
		tell(v, FAULT_BODY, v->file, v->line, entry->seq,
		    "the content of entry %" PRIu64 " was changed",
		    entry->seq);
	contiguous = entry->seq == v->seq + 1;
	if (!check_place(v, entry))
		return;
	if (span_is(entry->type, SPAN("checkpoint")))
		take_checkpoint(v, entry, contiguous);
	else if (v->options.on_entry != NULL &&
	    !span_is(entry->type, SPAN("event")) &&
	    !span_is(entry->type, SPAN("decision")))
		v->options.on_entry(entry, v->options.context);
	v->seq = entry->seq;
	memcpy(v->chain, entry->chain, sizeof(v->chain));
	check_unsigned(v, entry->seq);
	if (v->options.held_count > 0)
		compare_held(v);
}

/* -- files -- */

static void
take_line(struct journal_verifier *v, struct span line)
{
	struct journal_entry entry;
	struct fail fail;

	v->line++;
	if (journal_line_parse(line, &entry, &fail) == -1) {
		tell(v, FAULT_UNREADABLE, v->file, v->line,
		    v->has_last ? v->seq + 1 : 0, "%s", fail.text);
		return;
	}
	if (entry.seq == 0 || entry.seq == UINT64_MAX) {
		tell(v, FAULT_UNREADABLE, v->file, v->line, 0,
		    "an entry with an impossible number");
		return;
	}
	take_entry(v, &entry);
}

/* Takes the whole lines off the front of ahead. */
static void
take_lines(struct journal_verifier *v, struct buf *ahead)
{
	struct span rest = buf_span(ahead);
	ptrdiff_t end;

	while ((end = span_index(rest, '\n')) != -1) {
		take_line(v, span_head(rest, (size_t)end));
		rest = span_from(rest, (size_t)end + 1);
	}
	buf_consume(ahead, ahead->len - rest.len);
}

static void
count_bytes(struct journal_verifier *v, size_t n)
{
	v->tally.bytes += n;
	if (v->options.on_bytes != NULL &&
	    v->tally.bytes - v->told_bytes >= READ_BYTES) {
		v->told_bytes = v->tally.bytes;
		v->options.on_bytes(v->tally.bytes, v->options.context);
	}
}

static int
read_file(struct journal_verifier *v, int fd, const char *path,
    struct buf *ahead, struct fail *fail)
{
	ssize_t n;

	do {
		n = read(fd, buf_reserve(ahead, READ_BYTES), READ_BYTES);
		if (n == -1 && errno != EINTR)
			return fail_errno(fail, FAIL_SETUP, errno, "%s", path);
		if (n <= 0)
			continue;
		ahead->len += (size_t)n;
		count_bytes(v, (size_t)n);
		take_lines(v, ahead);
		if (ahead->len > JOURNAL_LINE_MAX) {
			/* The rest of it is a line that can't be read. */
			buf_clear(ahead);
		}
	} while (n != 0);
	if (ahead->len > 0)
		tell(v, FAULT_TORN, v->file, v->line + 1,
		    v->has_last ? v->seq + 1 : 0, "the file ends in half a "
		    "line of %zu bytes: it was cut, or whoever wrote it was "
		    "interrupted and has not come back since", ahead->len);
	return 0;
}

static void
take_tombstone(struct journal_verifier *v, struct checkpoint *c)
{
	c->is_tombstone = true;
	v->line = 1;
	if (!check_key(v, c, "tombstone"))
		return;
	if (v->has_last && c->seq <= v->seq) {
		tell(v, FAULT_ORDER, v->file, 1, c->seq,
		    "this tombstone stands for entries that are there");
		return;
	}
	close_gap(v);
	v->tally.pruned += c->seq - (v->has_last ? v->seq : 0);
	v->tally.pruned_seq = c->seq;
	v->has_last = true;
	v->seq = v->signed_seq = c->seq;
	memcpy(v->chain, c->chain, sizeof(v->chain));
	take_host(v, c);
	if (v->options.held_count > 0)
		compare_held(v);
}

static int
read_tombstone(struct journal_verifier *v, const char *path,
    struct fail *fail)
{
	struct buf text = BUF_INIT(64 * 1024);
	struct json_object *object;
	struct checkpoint c;

	if (file_read(path, &text, fail) == -1) {
		buf_fini(&text);
		return -1;
	}
	if (json_object_parse(span_trim(buf_span(&text)), &object, fail) ==
	    -1)
		tell(v, FAULT_UNREADABLE, v->file, 1, 0, "%s", fail->text);
	else {
		if (checkpoint_parse(object, &c, fail) == 0)
			take_tombstone(v, &c);
		else
			tell(v, FAULT_UNREADABLE, v->file, 1, 0, "%s",
			    fail->text);
		json_object_free(&object);
	}
	buf_fini(&text);
	return 0;
}

static int
read_segment(struct journal_verifier *v, const char *path, struct fail *fail)
{
	struct buf ahead = BUF_INIT(JOURNAL_LINE_MAX + 2 * READ_BYTES);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc;

	if (fd == -1)
		return fail_errno(fail, FAIL_SETUP, errno, "%s", path);
	v->first_of_file = true;
	rc = read_file(v, fd, path, &ahead, fail);
	(void)close(fd);
	buf_fini(&ahead);
	return rc;
}

int
journal_verifier_file(struct journal_verifier *v, const char *path,
    struct fail *fail)
{
	const char *slash = strrchr(path, '/');
	int rc;

	v->file = slash != NULL ? slash + 1 : path;
	v->line = 0;
	v->tally.files++;
	rc = journal_is_tombstone(v->file, v->options.name) ?
	    read_tombstone(v, path, fail) : read_segment(v, path, fail);
	v->file = "";
	return rc;
}

int
journal_verifier_directory(struct journal_verifier *v, const char *directory,
    struct fail *fail)
{
	struct buf path = BUF_INIT(8192);
	char **names;
	size_t count;
	int rc = 0;

	if (journal_files(directory, v->options.name, &names, &count, fail) ==
	    -1)
		return -1;
	for (size_t i = 0; rc == 0 && i < count; i++) {
		buf_clear(&path);
		buf_addf(&path, "%s/%s", directory, names[i]);
		rc = journal_verifier_file(v, buf_get(&path), fail);
	}
	journal_segments_free(names, count);
	buf_fini(&path);
	return rc;
}

void
journal_verifier_finish(struct journal_verifier *v, struct journal_tally *out)
{
	close_gap(v);
	check_signed_at_all(v);
	check_held(v);
	memcpy(v->tally.chain, v->chain, sizeof(v->tally.chain));
	v->tally.ranges = v->ranges;
	*out = v->tally;
}
