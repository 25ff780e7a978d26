/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The auditor against the attacker: each way to tamper with a journal, on a
 * copy of a good one, has to be named with the first bad entry; blanking and
 * pruning done right have to pass.
 */
#include "journal/verify.h"

#include "base/codec.h"
#include "base/date.h"
#include "journal/prune.h"
#include "journal/redact.h"
#include "journal_rig.h"

#define ENTRIES		60
#define LINES_MAX	1000

static const unsigned char seed[CRYPTO_KEY_BYTES] = { 1, 2, 3 };
static const unsigned char other_seed[CRYPTO_KEY_BYTES] = { 9 };
static struct crypto_signer *signer, *foreign;
static unsigned char key[CRYPTO_PUBLIC_BYTES];

/* -- a journal as lines -- */

static char *lines[LINES_MAX];
static size_t line_count;
static char segment_path[512];

static struct journal *
open_signed(uint64_t segment_bytes, const struct crypto_signer *with)
{
	struct journal_options options = { .directory = directory,
	    .name = "decisions", .host = "mx1", .exclusive = true,
	    .segment_bytes = segment_bytes, .signer = with };
	struct journal *j = NULL;
	struct fail fail;

	CHECK_INT(journal_open(&options, &j, NULL, &fail), 0);
	return j;
}

static void
write_entries(struct journal *j, int n)
{
	for (int i = 0; i < n; i++) {
		char body[100];

		(void)snprintf(body, sizeof(body), "\"n\":%d,\"text\":\"some "
		    "more of it\"", i);
		CHECK_INT(add(j, body, false), 0);
	}
}

static void
find_segment(size_t number)
{
	struct fail fail;
	char **names;
	size_t count;

	CHECK_INT(journal_segments(directory, "decisions", &names, &count,
	    &fail), 0);
	CHECK(number < count);
	(void)snprintf(segment_path, sizeof(segment_path), "%s/%s", directory,
	    names[number]);
	journal_segments_free(names, count);
}

static void
read_lines(void)
{
	struct buf text = BUF_INIT(16 * 1024 * 1024);
	struct fail fail;
	char *p;

	while (line_count > 0)
		free(lines[--line_count]);
	CHECK_INT(file_read(segment_path, &text, &fail), 0);
	for (p = text.data; p != NULL && *p != '\0';) {
		char *end = strchr(p, '\n');

		CHECK(end != NULL && line_count < LINES_MAX);
		*end = '\0';
		lines[line_count++] = strdup(p);
		p = end + 1;
	}
	buf_fini(&text);
}

static void
write_lines(void)
{
	FILE *f = fopen(segment_path, "w");

	CHECK(f != NULL);
	for (size_t i = 0; i < line_count; i++)
		fprintf(f, "%s\n", lines[i]);
	(void)fclose(f);
}

/* The first segment of a fresh good journal, with checkpoints at the start and
 * at the end. */
static void
good_journal(void)
{
	struct journal *j;

	fresh_directory();
	j = open_signed(0, signer);
	write_entries(j, ENTRIES);
	journal_close(&j);
	find_segment(0);
	read_lines();
}

/* Makes line i anew behind line i-1, as somebody would who has no key. */
static void
rechain(size_t i, const char *body)
{
	struct crypto_hash *hash = crypto_hash_new();
	struct journal_entry before, entry;
	struct buf out = BUF_INIT(JOURNAL_LINE_MAX);
	unsigned char chain[JOURNAL_CHAIN_BYTES];
	struct fail fail;

	CHECK_INT(journal_line_parse(span_str(lines[i - 1]), &before, &fail),
	    0);
	CHECK_INT(journal_line_parse(span_str(lines[i]), &entry, &fail), 0);
	memcpy(chain, before.chain, sizeof(chain));
	journal_line_format(&out, hash, before.seq + 1, entry.type,
	    body != NULL ? span_str(body) : entry.body, entry.salt, chain);
	buf_truncate(&out, out.len - 1);
	free(lines[i]);
	lines[i] = buf_take(&out);
	crypto_hash_free(&hash);
}

/* -- what verify says -- */

static struct journal_tally tally;
static enum journal_fault first_fault;
static uint64_t first_seq, first_line;
static char first_text[512];
static size_t problem_count;

static void
on_problem(const struct journal_problem *problem, void *context)
{
	(void)context;
	if (problem_count++ > 0)
		return;
	first_fault = problem->fault;
	first_seq = problem->seq;
	first_line = problem->line;
	(void)snprintf(first_text, sizeof(first_text), "%s", problem->text);
}

static void
verify_with(const unsigned char *with, const struct checkpoint *held,
    size_t held_count)
{
	struct journal_verify_options options = { .name = "decisions",
	    .key = with, .held = held, .held_count = held_count,
	    .whole = true, .on_problem = on_problem };
	struct journal_verifier *v = journal_verifier_new(&options);
	struct fail fail;

	problem_count = 0;
	first_text[0] = '\0';
	CHECK_INT(journal_verifier_directory(v, directory, &fail), 0);
	journal_verifier_finish(v, &tally);
	tally.ranges = NULL;
	journal_verifier_free(&v);
}

static void
check_good(void)
{
	verify_with(key, NULL, 0);
	CHECK_STR(first_text, "");
	CHECK_INT(problem_count, 0);
}

/* Exactly one problem, for one tampering. */
static void
check_bad(enum journal_fault fault, uint64_t seq)
{
	verify_with(key, NULL, 0);
	CHECK_INT(problem_count, 1);
	CHECK_STR(journal_fault_name(first_fault), journal_fault_name(fault));
	CHECK_INT(first_seq, seq);
}

static void
test_good(void)
{
	good_journal();
	check_good();
	/* segment, first entry, its checkpoint, the others, the last one */
	CHECK_INT(tally.entries, ENTRIES + 3);
	CHECK_INT(tally.checkpoints, 2);
	CHECK_INT(tally.last_seq, ENTRIES + 3);
	CHECK_INT(tally.covered_seq, ENTRIES + 2);
	CHECK_STR(tally.host, "mx1");
	CHECK_INT(verify(), ENTRIES + 3);
}

static void
test_flipped(void)
{
	char *at;

	good_journal();
	at = strstr(lines[10], "some");
	*at ^= 1;
	write_lines();
	check_bad(FAULT_BODY, 11);
	CHECK_INT(first_line, 11);
	/* in the frame */
	good_journal();
	lines[20][3] ^= 1;
	write_lines();
	verify_with(key, NULL, 0);
	CHECK_INT(first_fault, FAULT_UNREADABLE);
	CHECK_INT(first_line, 21);
	/* in the digest */
	good_journal();
	at = strstr(lines[10], "digest\":\"") + 9;
	*at = *at == '0' ? '1' : '0';
	write_lines();
	verify_with(key, NULL, 0);
	CHECK_INT(first_seq, 11);
	/* in the chain: then it and the next do not follow */
	good_journal();
	at = strstr(lines[10], "chain\":\"") + 8;
	*at = *at == '0' ? '1' : '0';
	write_lines();
	verify_with(key, NULL, 0);
	CHECK_INT(first_fault, FAULT_CHAIN);
	CHECK_INT(first_seq, 11);
}

/* Every byte of a line counts, whatever it is changed to. */
static void
test_every_byte(void)
{
	size_t len;

	good_journal();
	len = strlen(lines[10]);
	for (size_t i = 0; i < len; i++) {
		char was = lines[10][i];

		lines[10][i] = was == '7' ? '8' : '7';
		write_lines();
		verify_with(key, NULL, 0);
		CHECK(problem_count > 0);
		lines[10][i] = was;
	}
	write_lines();
	check_good();
}

static void
test_deleted(void)
{
	good_journal();
	free(lines[10]);
	memmove(&lines[10], &lines[11], (line_count - 11) * sizeof(*lines));
	line_count--;
	write_lines();
	check_bad(FAULT_MISSING, 11);
	CHECK_STR(first_text, "entry 11 is missing");
}

static void
test_swapped(void)
{
	char *line;

	good_journal();
	line = lines[10];
	lines[10] = lines[11];
	lines[11] = line;
	write_lines();
	check_bad(FAULT_ORDER, 11);
}

static void
test_inserted(void)
{
	good_journal();
	memmove(&lines[11], &lines[10], (line_count - 10) * sizeof(*lines));
	line_count++;
	lines[10] = strdup(lines[11]);
	rechain(10, "\"n\":999");
	write_lines();
	verify_with(key, NULL, 0);
	CHECK_INT(first_fault, FAULT_ORDER);
	CHECK_INT(first_seq, 11);
	/* the same line twice */
	good_journal();
	memmove(&lines[11], &lines[10], (line_count - 10) * sizeof(*lines));
	line_count++;
	lines[10] = strdup(lines[11]);
	write_lines();
	check_bad(FAULT_ORDER, 11);
}

/* The whole rest is made to fit again: only the checkpoint knows better. */
static void
test_rechained(void)
{
	good_journal();
	rechain(30, "\"n\":999");
	for (size_t i = 31; i < line_count; i++)
		rechain(i, NULL);
	write_lines();
	verify_with(key, NULL, 0);
	CHECK_INT(problem_count, 1);
	CHECK_INT(first_fault, FAULT_CHECKPOINT);
	/* the checkpoint before it covers up to entry 2 */
	CHECK_INT(first_seq, 3);
}

/* Without the checkpoint behind it nobody can tell, but for who kept one. */
static void
test_rechained_unsigned(void)
{
	struct checkpoint held;
	struct json_object *object;
	struct fail fail;

	good_journal();
	CHECK_INT(json_object_parse(span_str(lines[line_count - 1]), &object,
	    &fail), 0);
	CHECK_INT(checkpoint_parse(object, &held, &fail), 0);
	json_object_free(&object);
	rechain(30, "\"n\":999");
	for (size_t i = 31; i < line_count; i++)
		rechain(i, NULL);
	free(lines[--line_count]);
	write_lines();
	check_good();
	CHECK_INT(tally.last_seq - tally.covered_seq, ENTRIES);
	verify_with(key, &held, 1);
	CHECK_INT(problem_count, 1);
	CHECK_INT(first_fault, FAULT_CHECKPOINT);
	/* the tail cut off instead */
	while (line_count > 40)
		free(lines[--line_count]);
	write_lines();
	check_good();
	verify_with(key, &held, 1);
	CHECK_INT(first_fault, FAULT_TRUNCATED);
	CHECK_INT(first_seq, 41);
}

static void
test_torn(void)
{
	struct stat st;

	good_journal();
	CHECK_INT(stat(segment_path, &st), 0);
	CHECK_INT(truncate(segment_path, st.st_size - 20), 0);
	check_bad(FAULT_TORN, ENTRIES + 3);
}

static void
test_foreign_key(void)
{
	struct journal *j;

	fresh_directory();
	j = open_signed(0, foreign);
	write_entries(j, 3);
	journal_close(&j);
	verify_with(key, NULL, 0);
	CHECK_INT(problem_count, 2);
	CHECK_INT(first_fault, FAULT_KEY);
	CHECK_INT(tally.covered_seq, 0);
	verify_with(NULL, NULL, 0);
	CHECK_INT(problem_count, 0);
}

static void
test_missing_segment(void)
{
	struct journal *j;

	fresh_directory();
	j = open_signed(1, signer);
	write_entries(j, 9);
	journal_close(&j);
	check_good();
	CHECK(tally.files >= 9);
	find_segment(4);
	CHECK_INT(unlink(segment_path), 0);
	verify_with(key, NULL, 0);
	CHECK_INT(first_fault, FAULT_MISSING);
	/* and the first: what comes before is not there */
	find_segment(0);
	CHECK_INT(unlink(segment_path), 0);
	verify_with(key, NULL, 0);
	CHECK_INT(first_fault, FAULT_MISSING);
	CHECK_INT(first_seq, 1);
}

/* -- blanking -- */

static void
test_blanked(void)
{
	struct journal_set set = { .count = 0 };
	struct journal *j;
	struct stat before, after;
	struct fail fail;
	uint64_t blanked;

	good_journal();
	CHECK_INT(stat(segment_path, &before), 0);
	journal_set_add(&set, 11, 13);
	journal_set_add(&set, 5, 5);
	journal_set_add(&set, 900, 900);
	journal_set_tidy(&set);
	CHECK_INT(journal_set_count(&set), 5);
	CHECK_INT(journal_redact(directory, "decisions", &set, NULL, NULL,
	    &blanked,
	    &fail), 0);
	CHECK_INT(blanked, 4);
	CHECK_INT(stat(segment_path, &after), 0);
	CHECK_INT(after.st_size, before.st_size);
	CHECK_INT(after.st_ino, before.st_ino);
	check_good();
	CHECK_INT(tally.blanked, 4);
	/* again: nothing is left to do */
	CHECK_INT(journal_redact(directory, "decisions", &set, NULL, NULL,
	    &blanked,
	    &fail), 0);
	CHECK_INT(blanked, 0);
	read_lines();
	CHECK(strstr(lines[10], "some") == NULL);
	CHECK(strstr(lines[9], "some") != NULL);
	/* the journal goes on behind a blanked last entry */
	j = open_signed(0, NULL);
	write_entries(j, 1);
	journal_close(&j);
	journal_set_add(&set, ENTRIES + 4, ENTRIES + 4);
	journal_set_tidy(&set);
	CHECK_INT(journal_redact(directory, "decisions", &set, NULL, NULL,
	    &blanked,
	    &fail), 0);
	CHECK_INT(blanked, 1);
	j = open_signed(0, signer);
	write_entries(j, 2);
	journal_close(&j);
	check_good();
	journal_set_fini(&set);
	/* a checkpoint is about nobody */
	good_journal();
	journal_set_add(&set, ENTRIES + 3, ENTRIES + 3);
	CHECK_INT(journal_redact(directory, "decisions", &set, NULL, NULL,
	    &blanked, &fail), 0);
	check_bad(FAULT_BODY, ENTRIES + 3);
	journal_set_fini(&set);
}

/* Blanking that stopped after any number of bytes is completed by another. */
static void
test_blanked_half(void)
{
	struct journal_set set = { .count = 0 };
	struct fail fail;
	uint64_t blanked, seq;
	struct span middle;
	char *whole;
	size_t from;

	good_journal();
	journal_set_add(&set, 11, 11);
	whole = strdup(lines[10]);
	CHECK(journal_line_frame(span_str(whole), &seq, &middle));
	CHECK_INT(seq, 11);
	from = (size_t)((const char *)middle.p - whole);
	for (size_t done = 0; done < middle.len; done += 7) {
		memcpy(lines[10], whole, strlen(whole));
		for (size_t i = 0; i < done; i++)
			lines[10][from + i] = i < sizeof(JOURNAL_BLANKED) - 1 ?
			    JOURNAL_BLANKED[i] : ' ';
		write_lines();
		CHECK_INT(journal_redact(directory, "decisions",
		    &set, NULL, NULL, &blanked, &fail), 0);
		CHECK_INT(blanked, 1);
		check_good();
		CHECK_INT(tally.blanked, 1);
	}
	free(whole);
	journal_set_fini(&set);
}

static void
test_sets(void)
{
	struct journal_set set = { .count = 0 }, copy = { .count = 0 };
	struct buf text = BUF_INIT(10000);
	struct fail fail;
	size_t at = 0;

	journal_set_add(&set, 7, 9);
	journal_set_add(&set, 1, 1);
	journal_set_add(&set, 8, 12);
	journal_set_add(&set, 2, 3);
	journal_set_add(&set, 40, 40);
	journal_set_tidy(&set);
	CHECK_INT(set.count, 3);
	CHECK(journal_set_has(&set, 3) && !journal_set_has(&set, 4));
	CHECK(journal_set_has(&set, 12) && !journal_set_has(&set, 13));
	CHECK(!journal_set_has(&set, 0) && journal_set_has(&set, 40));
	journal_set_format(&text, &set, &at, 5000);
	CHECK_STR(buf_get(&text), "1-3 7-12 40");
	CHECK_INT(journal_set_parse(&copy, buf_span(&text), &fail), 0);
	CHECK_INT(journal_set_count(&copy), 10);
	CHECK_INT(journal_set_parse(&copy, SPAN("3-"), &fail), -1);
	CHECK_INT(journal_set_parse(&copy, SPAN("9-3"), &fail), -1);
	CHECK_INT(journal_set_parse(&copy, SPAN("1  2"), &fail), -1);
	buf_fini(&text);
	journal_set_fini(&set);
	journal_set_fini(&copy);
}

/* -- pruning -- */

static void
test_pruned(void)
{
	struct journal_pruned pruned;
	struct journal *j;
	struct fail fail;
	char forged[600];

	fresh_directory();
	j = open_signed(1, signer);
	write_entries(j, 9);
	journal_close(&j);
	CHECK_INT(journal_prune(directory, "decisions", "mx1", signer,
	    DATE_MAX_MS, true, &pruned, &fail), 0);
	CHECK(pruned.segments >= 8);
	check_good();
	CHECK_INT(tally.pruned, 0);
	CHECK_INT(journal_prune(directory, "decisions", "mx1", signer,
	    1000, false, &pruned, &fail), 0);
	CHECK_INT(pruned.segments, 0);
	CHECK_INT(journal_prune(directory, "decisions", "mx1", signer,
	    DATE_MAX_MS, false, &pruned, &fail), 0);
	check_good();
	CHECK_INT(tally.pruned, pruned.last_seq);
	CHECK_INT(tally.first_seq, pruned.last_seq + 1);
	/* a tombstone and the last segment */
	CHECK_INT(tally.files, 2);
	/* it goes on, and can be pruned again */
	j = open_signed(1, signer);
	write_entries(j, 3);
	journal_close(&j);
	CHECK_INT(journal_prune(directory, "decisions", "mx1", signer,
	    DATE_MAX_MS, false, &pruned, &fail), 0);
	CHECK(pruned.segments > 0);
	check_good();
	CHECK_INT(tally.files, 2);
	/* signed by somebody else */
	verify_with(other_seed, NULL, 0);
	CHECK(problem_count > 0);
	CHECK_INT(first_fault, FAULT_KEY);

	/* A checkpoint out of the journal makes no tombstone. */
	fresh_directory();
	j = open_signed(1, signer);
	write_entries(j, 2);
	journal_close(&j);
	find_segment(0);
	CHECK_INT(unlink(segment_path), 0);
	find_segment(0);
	read_lines();
	(void)snprintf(forged, sizeof(forged), "%.*s.tombstone",
	    (int)(strlen(segment_path) - 6), segment_path);
	CHECK(strstr(lines[line_count - 1], "checkpoint") != NULL);
	CHECK_INT(file_create(forged, span_str(lines[line_count - 1]), 0640,
	    &fail), 0);
	CHECK_INT(unlink(segment_path), 0);
	verify_with(key, NULL, 0);
	CHECK(problem_count > 0);
	CHECK_INT(first_fault, FAULT_KEY);
}

/* -- checkpoints as text -- */

static void
test_checkpoint_text(void)
{
	struct checkpoint c = { .seq = 7, .time_ms = 1764000000123 }, back;
	struct buf text = BUF_INIT(4096);

	memcpy(c.journal, "ledger", 7);
	memcpy(c.host, "mx 1", 5);
	memset(c.chain, 0xab, sizeof(c.chain));
	checkpoint_sign(&c, signer);
	CHECK_STR(c.host, "mx-1");
	CHECK(checkpoint_is_good(&c));
	buf_add_str(&text, "Nov 24 08:00:00 mx1 consent-milter[1]: ");
	checkpoint_format_text(&text, &c);
	buf_add_str(&text, " and more");
	CHECK_INT(checkpoint_find(buf_span(&text), &back), 1);
	CHECK(checkpoint_is_good(&back));
	CHECK_INT(back.seq, 7);
	back.seq = 8;
	CHECK(!checkpoint_is_good(&back));
	back.seq = 7;
	back.is_tombstone = true;
	CHECK(!checkpoint_is_good(&back));
	/* cut anywhere it is none */
	for (size_t i = 0; i < text.len - 10; i++)
		CHECK(checkpoint_find(span_head(buf_span(&text), i), &back) ==
		    0 || !checkpoint_is_good(&back));
	buf_fini(&text);
}

static const struct check_test tests[] = {
	{ "good", test_good },
	{ "flipped", test_flipped },
	{ "every_byte", test_every_byte },
	{ "deleted", test_deleted },
	{ "swapped", test_swapped },
	{ "inserted", test_inserted },
	{ "rechained", test_rechained },
	{ "rechained_unsigned", test_rechained_unsigned },
	{ "torn", test_torn },
	{ "foreign_key", test_foreign_key },
	{ "missing_segment", test_missing_segment },
	{ "blanked", test_blanked },
	{ "blanked_half", test_blanked_half },
	{ "sets", test_sets },
	{ "pruned", test_pruned },
	{ "checkpoint_text", test_checkpoint_text },
};

int
main(void)
{
	int rc;

	signer = crypto_signer_new(seed);
	foreign = crypto_signer_new(other_seed);
	crypto_signer_public(signer, key);
	rc = rig_main("verify", tests, sizeof(tests) / sizeof(tests[0]));
	while (line_count > 0)
		free(lines[--line_count]);
	crypto_signer_free(&signer);
	crypto_signer_free(&foreign);
	return rc;
}
