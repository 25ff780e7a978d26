/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A campaign of random tampering with a journal of several segments, by
 * somebody who may do everything but sign.  Verifying has to find each, and
 * name a line where the first of it is.  What alone may pass is what no
 * checkpoint covers: then the count of uncovered entries has to say so, and
 * who kept a checkpoint elsewhere has to find it.
 */
#include "journal/verify.h"

#include <stdlib.h>

#include "base/codec.h"
#include "journal_rig.h"

#define ROUNDS		12	/* of each kind */
#define ENTRIES		90
#define LINES_MAX	400
#define FILES_MAX	40

struct line {
	char	*p;
	size_t	 len;
	unsigned file;		/* its number in names */
};

static const unsigned char seed[CRYPTO_KEY_BYTES] = { 1, 2, 3 };
static const unsigned char other_seed[CRYPTO_KEY_BYTES] = { 9 };
static struct crypto_signer *signer, *foreign;
static unsigned char key[CRYPTO_PUBLIC_BYTES];
static uint64_t dice = 1;

/* xorshift64*; the state is never 0. */
static size_t
below(size_t n)
{
	dice ^= dice >> 12;
	dice ^= dice << 25;
	dice ^= dice >> 27;
	return (size_t)((dice * UINT64_C(2685821657736338717)) >> 33) % n;
}

/* -- journals as lines -- */

struct copy {
	struct line	 lines[LINES_MAX];
	size_t		 count;
	char		*names[FILES_MAX];
	unsigned	 files;
};
static struct copy good, other;		/* other: of another directory */
static struct checkpoint last_held;	/* the last of good */
static uint64_t covered_seq;		/* by it */

static void
free_copy(struct copy *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->lines[i].p);
	for (unsigned i = 0; i < c->files; i++)
		free(c->names[i]);
	memset(c, 0, sizeof(*c));
}

static char *
bytes_dup(const void *p, size_t len)
{
	char *to = malloc(len + 1);

	CHECK(to != NULL);
	memcpy(to, p, len);
	to[len] = '\0';
	return to;
}

static void
insert_line(struct copy *c, size_t at, const void *p, size_t len,
    unsigned file)
{
	CHECK(c->count < LINES_MAX);
	memmove(&c->lines[at + 1], &c->lines[at],
	    (c->count - at) * sizeof(*c->lines));
	c->lines[at] = (struct line){ bytes_dup(p, len), len, file };
	c->count++;
}

static void
delete_line(struct copy *c, size_t at)
{
	free(c->lines[at].p);
	memmove(&c->lines[at], &c->lines[at + 1],
	    (c->count - at - 1) * sizeof(*c->lines));
	c->count--;
}

static void
read_copy(struct copy *c)
{
	int n = rig_segments(rig_paths);
	struct buf text = BUF_INIT(16 * 1024 * 1024);

	for (int i = 0; i < n && i < FILES_MAX; i++) {
		struct span rest;
		ptrdiff_t end;

		c->names[c->files++] = strdup(strrchr(rig_paths[i], '/') + 1);
		read_file(rig_paths[i], &text);
		rest = buf_span(&text);
		while ((end = span_index(rest, '\n')) != -1) {
			insert_line(c, c->count, rest.p, (size_t)end,
			    c->files - 1);
			rest = span_from(rest, (size_t)end + 1);
		}
	}
	buf_fini(&text);
}

static void
copy_of(struct copy *to, const struct copy *from)
{
	for (size_t i = 0; i < from->count; i++)
		insert_line(to, i, from->lines[i].p, from->lines[i].len,
		    from->lines[i].file);
	for (unsigned i = 0; i < from->files; i++)
		to->names[i] = strdup(from->names[i]);
	to->files = from->files;
}

static void
write_copy(const struct copy *c)
{
	struct fail fail;

	fresh_directory();
	CHECK_INT(file_make_directory(directory, &fail), 0);
	for (unsigned f = 0; f < c->files; f++) {
		struct buf text = BUF_INIT(16 * 1024 * 1024);
		char path[400];
		bool any = false;

		for (size_t i = 0; i < c->count; i++)
			if (c->lines[i].file == f) {
				buf_add(&text, c->lines[i].p,
				    c->lines[i].len);
				buf_add_char(&text, '\n');
				any = true;
			}
		(void)snprintf(path, sizeof(path), "%s/%s", directory,
		    c->names[f]);
		if (any)
			write_file(path, buf_span(&text));
		buf_fini(&text);
	}
}

static void
make_journal(struct copy *to, const char *host)
{
	struct journal_options options = { .name = "decisions", .host = host,
	    .exclusive = true, .segment_bytes = 5000, .signer = signer };
	struct journal *j = NULL;
	struct fail fail;

	fresh_directory();
	options.directory = directory;
	CHECK_INT(journal_open(&options, &j, NULL, &fail), 0);
	for (int i = 0; i < ENTRIES; i++) {
		char body[120];

		(void)snprintf(body, sizeof(body), "\"time\":\"2026-01-05T09:"
		    "00:%02d.000Z\",\"n\":%d,\"host\":\"%s\"", i % 60, i,
		    host);
		CHECK_INT(add(j, body, false), 0);
	}
	journal_close(&j);
	read_copy(to);
}

static struct journal_entry
entry_of(const struct line *line)
{
	struct journal_entry entry;
	struct fail fail;

	CHECK_INT(journal_line_parse(span_of(line->p, line->len), &entry,
	    &fail), 0);
	return entry;
}

static bool
is_type(const struct line *line, const char *type)
{
	return span_is(entry_of(line).type, span_str(type));
}

/* -- what verify says -- */

static struct journal_tally tally;
static size_t problems;
static struct {
	enum journal_fault fault;
	char file[64], text[300];
	uint64_t line, seq;
} first;

static void
on_problem(const struct journal_problem *problem, void *context)
{
	(void)context;
	if (problems++ > 0)
		return;
	first.fault = problem->fault;
	(void)snprintf(first.file, sizeof(first.file), "%s", problem->file);
	(void)snprintf(first.text, sizeof(first.text), "%s", problem->text);
	first.line = problem->line;
	first.seq = problem->seq;
}

static void
verify_held(const struct checkpoint *held)
{
	struct journal_verify_options options = { .name = "decisions",
	    .key = key, .held = held, .held_count = held != NULL,
	    .whole = true, .on_problem = on_problem };
	struct journal_verifier *v = journal_verifier_new(&options);
	struct fail fail;

	problems = 0;
	memset(&first, 0, sizeof(first));
	CHECK_INT(journal_verifier_directory(v, directory, &fail), 0);
	journal_verifier_finish(v, &tally);
	tally.ranges = NULL;
	journal_verifier_free(&v);
}

/* The place of the line that was named, or the count of all. */
static size_t
named_line(const struct copy *c)
{
	size_t in_file = 0;

	for (size_t i = 0; i < c->count; i++) {
		in_file = i == 0 || c->lines[i].file != c->lines[i - 1].file ?
		    1 : in_file + 1;
		if (strcmp(c->names[c->lines[i].file], first.file) == 0 &&
		    in_file == first.line)
			return i;
	}
	return c->count;
}

/* It is found, in the first line that was touched or the one behind. */
static void
check_found(const struct copy *c, size_t touched)
{
	size_t named;

	write_copy(c);
	verify_held(NULL);
	CHECK(problems > 0);
	named = named_line(c);
	CHECK(named >= touched && named <= touched + 1);
	if (problems == 0 || named < touched || named > touched + 1)
		fprintf(stderr, "  touched %zu, named %zu of %zu: %s:%llu "
		    "%s\n", touched, named, c->count, first.file,
		    (unsigned long long)first.line, first.text);
}

/* -- the attacker's tools -- */

/* Gives the segment's first entry the chain that it is behind now. */
static void
fix_previous(struct buf *body, const unsigned char chain[JOURNAL_CHAIN_BYTES])
{
	static const char name[] = "\"previous\":\"";
	struct buf hex = BUF_INIT(80);
	char *at = strstr(body->data, name);

	hex_format(&hex, chain, JOURNAL_CHAIN_BYTES);
	CHECK(at != NULL);
	if (at != NULL)
		memcpy(at + sizeof(name) - 1, buf_get(&hex),
		    2 * JOURNAL_CHAIN_BYTES);
	buf_fini(&hex);
}

/* Makes line i fit behind the one before it; seq, body and all. */
static void
rechain(struct copy *c, size_t i)
{
	struct crypto_hash *hash = crypto_hash_new();
	struct journal_entry entry = entry_of(&c->lines[i]);
	struct buf out = BUF_INIT(JOURNAL_LINE_MAX);
	struct buf body = BUF_INIT(JOURNAL_BODY_MAX);
	unsigned char chain[JOURNAL_CHAIN_BYTES] = { 0 };
	uint64_t seq = 1;

	if (i > 0) {
		struct journal_entry before = entry_of(&c->lines[i - 1]);

		memcpy(chain, before.chain, sizeof(chain));
		seq = before.seq + 1;
	}
	buf_add_span(&body, entry.body);
	if (span_is(entry.type, SPAN("segment")))
		fix_previous(&body, chain);
	journal_line_format(&out, hash, seq, entry.type, buf_span(&body),
	    entry.salt, chain);
	free(c->lines[i].p);
	c->lines[i].len = out.len - 1;
	c->lines[i].p = bytes_dup(out.data, out.len - 1);
	crypto_hash_free(&hash);
	buf_fini(&out);
	buf_fini(&body);
}

static void
rechain_from(struct copy *c, size_t i)
{
	for (; i < c->count; i++)
		rechain(c, i);
}

/* Says something else in a decision. */
static void
change_body(struct copy *c, size_t i)
{
	char *at = strstr(c->lines[i].p, "\"n\":");

	CHECK(at != NULL);
	if (at != NULL)
		at[4] = at[4] == '7' ? '8' : '7';
}

static size_t
some_decision(const struct copy *c, size_t from)
{
	size_t i;

	do
		i = from + below(c->count - from);
	while (!is_type(&c->lines[i], "decision"));
	return i;
}

/* Where the last checkpoint stands. */
static size_t
last_checkpoint(const struct copy *c)
{
	size_t i = c->count - 1;

	while (i > 0 && !is_type(&c->lines[i], "checkpoint"))
		i--;
	return i;
}

/* -- the campaign -- */

static void
start(void)
{
	struct journal *j = NULL;
	struct journal_options options = { .name = "decisions",
	    .host = "mx1", .exclusive = true, .signer = NULL };
	struct json_object *object;
	struct fail fail;

	if (good.count > 0)
		return;
	make_journal(&other, "mx2");
	make_journal(&good, "mx1");
	free_copy(&good);
	/* A tail that nobody signed. */
	options.directory = directory;
	CHECK_INT(journal_open(&options, &j, NULL, &fail), 0);
	for (int i = 0; i < 8; i++)
		CHECK_INT(add(j, "\"time\":\"2026-01-05T09:01:00.000Z\","
		    "\"n\":1000", false), 0);
	journal_close(&j);
	read_copy(&good);
	CHECK(good.files >= 5 && good.count > ENTRIES);
	verify_held(NULL);
	CHECK_INT(problems, 0);
	CHECK_STR(first.text, "");
	covered_seq = tally.covered_seq;
	CHECK(tally.last_seq > covered_seq + 5);
	CHECK_INT(json_object_parse(span_str(good.lines[last_checkpoint(
	    &good)].p), &object, &fail), 0);
	CHECK_INT(checkpoint_parse(object, &last_held, &fail), 0);
	json_object_free(&object);
	verify_held(&last_held);
	CHECK_INT(problems, 0);
	CHECK_INT(tally.held_compared, 1);
}

static void
begin_round(struct copy *c, long round)
{
	start();
	check_case(round);
	memset(c, 0, sizeof(*c));
	copy_of(c, &good);
}

static void
test_flipped_bits(void)
{
	for (long round = 0; round < 10L * ROUNDS; round++) {
		struct copy c;
		size_t i, at;

		begin_round(&c, round);
		i = below(c.count);
		at = below(c.lines[i].len);
		c.lines[i].p[at] = (char)(c.lines[i].p[at] ^ 1 << below(8));
		write_copy(&c);
		verify_held(NULL);
		CHECK(problems > 0);
		if (problems == 0)
			fprintf(stderr, "  %s\n  byte %zu\n", c.lines[i].p,
			    at);
		/* It may have become a line break. */
		else if (memchr(c.lines[i].p, '\n', c.lines[i].len) == NULL)
			check_found(&c, i);
		free_copy(&c);
	}
	check_case(-1);
}

static void
test_other_bytes(void)
{
	for (long round = 0; round < 5L * ROUNDS; round++) {
		static const char bytes[] = { ' ', '\0', '\r', '0', '"', ',',
		    '}', '\\', '\xff' };
		struct buf text = BUF_INIT(64 * 1024);
		struct copy c;
		size_t i, at;

		begin_round(&c, round);
		i = below(c.count);
		at = below(c.lines[i].len + 1);
		buf_add(&text, c.lines[i].p, at);
		if (round % 2 == 0)
			buf_add_char(&text, bytes[below(sizeof(bytes))]);
		else if (at < c.lines[i].len)
			at++;
		buf_add(&text, c.lines[i].p + at, c.lines[i].len - at);
		if (text.len != c.lines[i].len) {
			free(c.lines[i].p);
			c.lines[i].len = text.len;
			c.lines[i].p = bytes_dup(text.data, text.len);
			check_found(&c, i);
		}
		buf_fini(&text);
		free_copy(&c);
	}
	check_case(-1);
}

static void
test_lines(void)
{
	for (long round = 0; round < 4L * ROUNDS; round++) {
		struct copy c;
		struct line swap;
		size_t i, k;

		begin_round(&c, round);
		/* The last can go: that is cutting off the tail. */
		i = below(c.count - 2);
		k = i + 1 + below(c.count - i - 1);
		switch (round % 4) {
		case 0:
			delete_line(&c, i);
			break;
		case 1:
			swap = c.lines[i];
			c.lines[i].p = c.lines[k].p;
			c.lines[i].len = c.lines[k].len;
			c.lines[k].p = swap.p;
			c.lines[k].len = swap.len;
			break;
		case 2:
			insert_line(&c, k, c.lines[i].p, c.lines[i].len,
			    c.lines[k].file);
			i = k;
			break;
		default:
			insert_line(&c, i, c.lines[k].p, c.lines[k].len,
			    c.lines[i].file);
		}
		check_found(&c, i);
		free_copy(&c);
	}
	check_case(-1);
}

/* The rest is made to fit; checkpoints are left as they are, signed by
 * somebody else, blanked, or taken out. */
static void
test_rechained(void)
{
	for (long round = 0; round < 5L * ROUNDS; round++) {
		struct copy c;
		size_t k, last;
		uint64_t seq;

		begin_round(&c, round);
		last = last_checkpoint(&c);
		k = some_decision(&c, 0);
		seq = entry_of(&c.lines[k]).seq;
		switch (round % 5) {
		case 0:
			change_body(&c, k);
			break;
		case 1:
			delete_line(&c, k);
			break;
		case 2:
			insert_line(&c, k, c.lines[k].p, c.lines[k].len,
			    c.lines[k].file);
			break;
		case 3:
			/* Nothing that is signed is left. */
			for (size_t i = c.count; i > 0; i--)
				if (is_type(&c.lines[i - 1], "checkpoint"))
					delete_line(&c, i - 1);
			k = 0;
			break;
		default:
			/* Only the rest has none. */
			change_body(&c, k);
			for (size_t i = c.count; i > k; i--)
				if (is_type(&c.lines[i - 1], "checkpoint"))
					delete_line(&c, i - 1);
		}
		rechain_from(&c, k);
		write_copy(&c);
		verify_held(NULL);
		if (k > last || round % 5 == 4) {
			/* Nobody can tell, but how much of it that is. */
			CHECK(problems > 0 || (tally.covered_seq < seq &&
			    tally.last_seq > tally.covered_seq));
			if (k < last) {
				verify_held(&last_held);
				CHECK(problems > 0);
			}
		} else {
			CHECK(problems > 0);
			CHECK(first.seq <= seq + 1);
			CHECK_STR(journal_fault_name(first.fault),
			    round % 5 == 3 ? "unsigned" : "checkpoint");
		}
		free_copy(&c);
	}
	check_case(-1);
}

static void
sign_again(struct copy *c, size_t i, const char *journal, const char *host,
    const struct crypto_signer *with)
{
	struct journal_entry before = entry_of(&c->lines[i - 1]);
	struct checkpoint made = { .seq = before.seq,
	    .time_ms = 1767603600000 };
	struct crypto_hash *hash = crypto_hash_new();
	struct buf body = BUF_INIT(JOURNAL_BODY_MAX);
	struct buf out = BUF_INIT(JOURNAL_LINE_MAX);
	unsigned char chain[JOURNAL_CHAIN_BYTES];

	memcpy(made.chain, before.chain, sizeof(made.chain));
	(void)snprintf(made.journal, sizeof(made.journal), "%s", journal);
	(void)snprintf(made.host, sizeof(made.host), "%s", host);
	checkpoint_sign(&made, with);
	checkpoint_format(&body, &made);
	memcpy(chain, before.chain, sizeof(chain));
	journal_line_format(&out, hash, before.seq + 1, SPAN("checkpoint"),
	    buf_span(&body), entry_of(&c->lines[i]).salt, chain);
	free(c->lines[i].p);
	c->lines[i].len = out.len - 1;
	c->lines[i].p = bytes_dup(out.data, out.len - 1);
	crypto_hash_free(&hash);
	buf_fini(&body);
	buf_fini(&out);
}

/* Everything is made to fit, checkpoints as well: by a foreign key it is found
 * at once; by the key itself, which lies on the host, only who kept one can
 * tell. */
static void
test_signed_again(void)
{
	for (long round = 0; round < 2L * ROUNDS; round++) {
		const struct crypto_signer *with = round % 2 == 0 ? foreign :
		    signer;
		struct copy c;
		size_t k;

		begin_round(&c, round);
		k = below(last_checkpoint(&c));
		if (is_type(&c.lines[k], "decision"))
			change_body(&c, k);
		else
			k = some_decision(&c, 0), change_body(&c, k);
		for (size_t i = k; i < c.count; i++)
			if (is_type(&c.lines[i], "checkpoint"))
				sign_again(&c, i, "decisions", "mx1", with);
			else
				rechain(&c, i);
		write_copy(&c);
		verify_held(NULL);
		if (with == foreign && k < last_checkpoint(&c))
			CHECK_INT(first.fault, FAULT_KEY);
		if (with == signer)
			CHECK_INT(problems, 0);
		if (k < last_checkpoint(&c)) {
			verify_held(&last_held);
			CHECK(problems > 0);
		}
		free_copy(&c);
	}
	check_case(-1);
}

/* Files that are missing, twice there, in each other's place, or another
 * host's. */
static void
test_files(void)
{
	for (long round = 0; round < 4L * ROUNDS; round++) {
		struct copy c;
		unsigned f, g;
		char *name, more[80];

		begin_round(&c, round);
		f = (unsigned)below(c.files - 1);
		g = f + 1 + (unsigned)below(c.files - f - 1);
		switch (round % 4) {
		case 0:
			for (size_t i = c.count; i > 0; i--)
				if (c.lines[i - 1].file == f)
					delete_line(&c, i - 1);
			break;
		case 1:
			name = c.names[f];
			c.names[f] = c.names[g];
			c.names[g] = name;
			break;
		case 2:
			/* once more, behind all */
			(void)snprintf(more, sizeof(more),
			    "decisions-20991231-%06d.jsonl", 900000);
			c.names[c.files++] = strdup(more);
			for (size_t i = 0, n = c.count; i < n; i++)
				if (c.lines[i].file == f)
					insert_line(&c, c.count, c.lines[i].p,
					    c.lines[i].len, c.files - 1);
			break;
		default:
			for (size_t i = c.count; i > 0; i--)
				if (c.lines[i - 1].file == f)
					delete_line(&c, i - 1);
			for (size_t i = 0; i < other.count; i++)
				if (other.lines[i].file == f)
					insert_line(&c, c.count,
					    other.lines[i].p,
					    other.lines[i].len, f);
		}
		write_copy(&c);
		verify_held(NULL);
		CHECK(problems > 0);
		free_copy(&c);
	}
	check_case(-1);
}

/* All of another host's journal, which is good in itself. */
static void
test_another_journal(void)
{
	start();
	write_copy(&other);
	verify_held(NULL);
	CHECK_INT(problems, 0);
	CHECK_STR(tally.host, "mx2");
	verify_held(&last_held);
	CHECK_INT(problems, 1);
	CHECK_INT(first.fault, FAULT_CHECKPOINT);
	CHECK_INT(tally.held_foreign, 1);
}

/* The tail is cut off: what is left is good, and who kept a checkpoint of what
 * is gone knows. */
static void
test_cut_off(void)
{
	for (long round = 0; round < 2L * ROUNDS; round++) {
		struct copy c;
		size_t left;

		begin_round(&c, round);
		left = 3 + below(c.count - 3);
		while (c.count > left)
			delete_line(&c, c.count - 1);
		if (round % 2 == 0) {
			write_copy(&c);
			verify_held(NULL);
			CHECK_STR(first.text, "");
			CHECK_INT(tally.last_seq,
			    entry_of(&c.lines[left - 1]).seq);
			CHECK(tally.covered_seq < tally.last_seq);
			verify_held(&last_held);
			CHECK_INT(problems > 0, tally.last_seq < covered_seq);
		} else {
			/* in the middle of a line */
			struct stat st;

			write_copy(&c);
			CHECK_INT(stat(last_segment(), &st), 0);
			CHECK_INT(truncate(last_segment(), st.st_size - 1 -
			    (off_t)below(c.lines[left - 1].len - 1)), 0);
			verify_held(NULL);
			CHECK_INT(first.fault, FAULT_TORN);
			CHECK(named_line(&c) == left - 1);
		}
		free_copy(&c);
	}
	check_case(-1);
}

/* Blanked: what is about somebody is counted, for the ledger to explain; what
 * is about nobody never is. */
static void
test_blanked(void)
{
	for (long round = 0; round < ROUNDS; round++) {
		struct copy c;
		struct span middle;
		uint64_t seq;
		size_t i;
		char *at;

		begin_round(&c, round);
		i = below(c.count);
		CHECK(journal_line_frame(span_of(c.lines[i].p,
		    c.lines[i].len), &seq, &middle));
		at = c.lines[i].p + (middle.p -
		    (const unsigned char *)c.lines[i].p);
		memset(at, ' ', middle.len);
		memcpy(at, JOURNAL_BLANKED, sizeof(JOURNAL_BLANKED) - 1);
		write_copy(&c);
		verify_held(NULL);
		CHECK_INT(tally.blanked, 1);
		CHECK_INT(problems > 0, !is_type(&c.lines[i], "decision"));
		if (problems > 0)
			check_found(&c, i);
		free_copy(&c);
	}
	check_case(-1);
}

/* A tombstone over the first files: forged, or signed for something else. */
static void
test_tombstones(void)
{
	for (long round = 0; round < ROUNDS; round++) {
		struct checkpoint made = { .time_ms = 1767603600000 };
		struct buf text = BUF_INIT(4096);
		struct journal_entry entry;
		struct copy c;
		unsigned f;
		char path[400];

		begin_round(&c, round);
		f = 1 + (unsigned)below(c.files - 2);
		while (c.lines[1].file < f)
			delete_line(&c, 0);
		entry = entry_of(&c.lines[0]);
		made.seq = entry.seq;
		made.is_tombstone = round % 3 != 0;
		memcpy(made.chain, entry.chain, sizeof(made.chain));
		(void)snprintf(made.journal, sizeof(made.journal), "%s",
		    round % 3 == 1 ? "ledger" : "decisions");
		memcpy(made.host, "mx1", 4);
		checkpoint_sign(&made, round % 3 == 2 ? foreign : signer);
		buf_add_char(&text, '{');
		checkpoint_format(&text, &made);
		buf_add_str(&text, "}\n");
		delete_line(&c, 0);
		write_copy(&c);
		(void)snprintf(path, sizeof(path), "%s/%.*s.tombstone",
		    directory, (int)(strlen(c.names[f - 1]) - 6),
		    c.names[f - 1]);
		write_file(path, buf_span(&text));
		verify_held(NULL);
		CHECK(problems > 0);
		CHECK_INT(first.fault, FAULT_KEY);
		buf_fini(&text);
		free_copy(&c);
	}
	check_case(-1);
}

/* Whatever stands there instead of an entry. */
static void
test_garbage(void)
{
	static const size_t lengths[] = { 0, 1, 100, JOURNAL_LINE_MAX,
	    JOURNAL_LINE_MAX + 1, 3 * 1024 * 1024 };

	for (long round = 0; round < ROUNDS; round++) {
		size_t len = lengths[(size_t)round %
		    (sizeof(lengths) / sizeof(lengths[0]))];
		char *text = malloc(len + 1);
		struct copy c;
		size_t i;

		begin_round(&c, round);
		CHECK(text != NULL);
		memset(text, round % 2 == 0 ? '\0' : '{', len);
		i = below(c.count);
		insert_line(&c, i, text, len, c.lines[i].file);
		check_found(&c, i);
		CHECK_INT(first.fault, FAULT_UNREADABLE);
		free(text);
		free_copy(&c);
	}
	check_case(-1);
}

static const struct check_test tests[] = {
	{ "flipped_bits", test_flipped_bits },
	{ "other_bytes", test_other_bytes },
	{ "lines", test_lines },
	{ "rechained", test_rechained },
	{ "signed_again", test_signed_again },
	{ "files", test_files },
	{ "another_journal", test_another_journal },
	{ "cut_off", test_cut_off },
	{ "blanked", test_blanked },
	{ "tombstones", test_tombstones },
	{ "garbage", test_garbage },
};

int
main(void)
{
	int rc;

	signer = crypto_signer_new(seed);
	foreign = crypto_signer_new(other_seed);
	crypto_signer_public(signer, key);
	rc = rig_main("tamper", tests, sizeof(tests) / sizeof(tests[0]));
	free_copy(&good);
	free_copy(&other);
	crypto_signer_free(&signer);
	crypto_signer_free(&foreign);
	return rc;
}
