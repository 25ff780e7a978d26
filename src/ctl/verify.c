/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What an auditor runs: verify, on this machine or on a copy elsewhere with
 * nothing but the public key; and checkpoint, whose lines somebody else keeps.
 *
 * What was blanked is explained by the ledger ("redaction" entries), so the
 * ledger is read before the decision log.
 */
#include <sys/stat.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/date.h"
#include "base/file.h"
#include "base/json.h"
#include "base/xalloc.h"
#include "ctl/ctl.h"
#include "ctl/explained.h"
#include "ctl/progress.h"
#include "ctl/term.h"

#define HELD_MAX	10000		/* checkpoints kept elsewhere */
#define HELD_BYTES	(UINT64_C(64) * 1024 * 1024)
#define PROBLEMS_SHOWN	100

static const char *const journals[] = { "ledger", "decisions" };
#define JOURNALS	(sizeof(journals) / sizeof(journals[0]))

struct verify {
	struct ctl	*ctl;
	bool		 json;
	const char	*key_path;
	const char	*directory;	/* of --dir, or NULL */
	unsigned char	 key[CRYPTO_PUBLIC_BYTES];
	struct checkpoint *held;
	size_t		 held_count;

	const char	*name;		/* of the journal being read */
	struct explained explained;
	struct buf	 out;		/* the JSON document */
	uint64_t	 problems;
	uint64_t	 shown;
	uint64_t	 files;		/* of all journals */
	struct progress	 progress;
};

static void
on_bytes(uint64_t bytes, void *context)
{
	struct verify *v = context;

	progress_bytes(&v->progress, bytes);
}

static void
on_problem(const struct journal_problem *p, void *context)
{
	struct verify *v = context;

	v->problems++;
	if (++v->shown > PROBLEMS_SHOWN)
		return;
	if (v->json) {
		if (v->out.data[v->out.len - 1] == '}')
			buf_add_char(&v->out, ',');
		buf_add_char(&v->out, '{');
		json_add_member_str(&v->out, "fault",
		    journal_fault_name(p->fault));
		json_add_member_str(&v->out, "journal", v->name);
		json_add_member_str(&v->out, "file", p->file);
		json_add_member_i64(&v->out, "line", (int64_t)p->line);
		json_add_member_i64(&v->out, "seq", (int64_t)p->seq);
		json_add_member_str(&v->out, "text", p->text);
		buf_add_char(&v->out, '}');
		return;
	}
	progress_clear(&v->progress);
	printf("BAD  %s", v->name);
	if (p->file[0] != '\0')
		printf(" %s:%" PRIu64, p->file, p->line);
	printf(": %s\n", p->text);
	if (v->shown == PROBLEMS_SHOWN)
		puts("BAD  (more are counted, and not shown)");
}

/* Gathers what the ledger says was blanked. */
static void
on_entry(const struct journal_entry *entry, void *context)
{
	struct verify *v = context;

	explained_take(&v->explained, entry);
}

/* Blanked entries that nobody owned up to. */
static void
check_blanked(struct verify *v, const struct journal_tally *t)
{
	struct journal_problem problem = { .fault = FAULT_BODY, .file = "",
	    .text = "entries are blanked that no erasure and no pruning of "
	    "the ledger explains" };

	problem.seq = explained_first_other(&v->explained, v->name, t);
	if (problem.seq == 0)
		return;
	on_problem(&problem, v);
	if (!v->json && v->shown <= PROBLEMS_SHOWN)
		printf("     the first of them is entry %" PRIu64 "\n",
		    problem.seq);
}

static void
check_pruned(struct verify *v, const struct journal_tally *t)
{
	const struct journal_problem problem = { .fault = FAULT_MISSING,
	    .file = "", .seq = 1, .text = "a tombstone stands for entries "
	    "that no pruning of the ledger explains" };

	if (!explained_has_pruned(&v->explained, v->name, t))
		on_problem(&problem, v);
}

static void
say_held(const struct verify *v, const struct journal_tally *t)
{
	if (v->held_count > 0)
		printf("  kept elsewhere %" PRIu64 " checkpoints compared, %"
		    PRIu64 " about what was pruned since, %" PRIu64
		    " of other hosts\n", t->held_compared, t->held_pruned,
		    t->held_foreign);
}

static void
say_tally(struct verify *v, const struct journal_tally *t)
{
	struct buf time = BUF_INIT(64), chain = BUF_INIT(80);

	if (t->covered_ms != 0)
		date_format(&time, t->covered_ms);
	hex_format(&chain, t->chain, sizeof(t->chain));
	progress_clear(&v->progress);
	if (t->files == 0)
		printf("%s: there is none here; whether there was one, only "
		    "a checkpoint that was kept elsewhere tells\n", v->name);
	printf("%s%s%s: %" PRIu64 " entries in %" PRIu64 " files, ", v->name,
	    t->host[0] != '\0' ? " of " : "", t->host, t->entries, t->files);
	printf("numbers %" PRIu64 " to %" PRIu64 "\n", t->first_seq,
	    t->last_seq);
	printf("  blanked       %" PRIu64 "%s\n", t->blanked,
	    t->blanked > 0 && !v->explained.has_ledger ?
	    " (whether rightly, the ledger tells)" : "");
	printf("  pruned        %" PRIu64 "\n", t->pruned);
	printf("  recovered     %" PRIu64 " times after a crash\n",
	    t->recovered);
	printf("  checkpoints   %" PRIu64 "\n", t->checkpoints);
	if (t->covered_seq == 0)
		printf("  unproven tail %" PRIu64 " entries: no checkpoint "
		    "covers them\n", t->entries);
	else
		printf("  unproven tail %" PRIu64 " entries after number %"
		    PRIu64 " (signed %s)\n", t->last_seq > t->covered_seq ?
		    t->last_seq - t->covered_seq : 0, t->covered_seq,
		    buf_get(&time));
	say_held(v, t);
	printf("  head          %s\n", buf_get(&chain));
	buf_fini(&time);
	buf_fini(&chain);
}

static void
add_tally(struct verify *v, const struct journal_tally *t)
{
	struct buf text = BUF_INIT(80);
	struct buf *out = &v->out;

	buf_add_char(out, ']');
	json_add_member_str(out, "journal", v->name);
	json_add_member_str(out, "host", t->host);
	json_add_member_i64(out, "entries", (int64_t)t->entries);
	json_add_member_i64(out, "files", (int64_t)t->files);
	json_add_member_i64(out, "first_seq", (int64_t)t->first_seq);
	json_add_member_i64(out, "last_seq", (int64_t)t->last_seq);
	json_add_member_i64(out, "blanked", (int64_t)t->blanked);
	json_add_member_i64(out, "pruned", (int64_t)t->pruned);
	json_add_member_i64(out, "recovered", (int64_t)t->recovered);
	json_add_member_i64(out, "checkpoints", (int64_t)t->checkpoints);
	json_add_member_i64(out, "covered_seq", (int64_t)t->covered_seq);
	json_add_member_i64(out, "unproven_tail", (int64_t)(t->covered_seq ==
	    0 ? t->entries : t->last_seq > t->covered_seq ?
	    t->last_seq - t->covered_seq : 0));
	json_add_member_i64(out, "held_compared", (int64_t)t->held_compared);
	json_add_member_i64(out, "held_pruned", (int64_t)t->held_pruned);
	json_add_member_i64(out, "held_foreign", (int64_t)t->held_foreign);
	json_add_member_i64(out, "bytes", (int64_t)t->bytes);
	hex_format(&text, t->chain, sizeof(t->chain));
	json_add_member(out, "head", buf_span(&text));
	buf_add_char(out, '}');
	buf_fini(&text);
}

/* Reads one journal: files of a directory, or those that are named. */
static int
verify_journal(struct verify *v, const char *name, const char *directory,
    char **files, size_t count)
{
	struct journal_verify_options options = {
		.name = name, .key = v->key,
		.held = v->held, .held_count = v->held_count,
		.whole = directory != NULL,
		.on_problem = on_problem, .on_entry = on_entry,
		.on_bytes = on_bytes, .context = v };
	struct journal_verifier *verifier = journal_verifier_new(&options);
	struct journal_tally tally;
	struct fail fail;
	int rc = 0;

	v->name = name;
	progress_begin(&v->progress, name);
	if (v->json)
		buf_add_str(&v->out, v->out.data[v->out.len - 1] == '[' ?
		    "{\"problems\":[" : ",{\"problems\":[");
	if (directory != NULL)
		rc = journal_verifier_directory(verifier, directory, &fail);
	for (size_t i = 0; rc == 0 && i < count; i++)
		rc = journal_verifier_file(verifier, files[i], &fail);
	if (rc == 0) {
		journal_verifier_finish(verifier, &tally);
		v->files += tally.files;
		v->explained.has_ledger |= strcmp(name, "ledger") == 0;
		check_blanked(v, &tally);
		check_pruned(v, &tally);
		if (v->json)
			add_tally(v, &tally);
		else
			say_tally(v, &tally);
	}
	journal_verifier_free(&verifier);
	progress_clear(&v->progress);
	return rc == 0 ? EX_OK : ctl_error(&fail);
}

/* -- files that are named -- */

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static int
by_base_name(const void *a, const void *b)
{
	return strcmp(base_name(*(char *const *)a),
	    base_name(*(char *const *)b));
}

static int
verify_files(struct verify *v, char **files, size_t count)
{
	char **mine = xcalloc(count, sizeof(*mine));
	size_t known = 0;
	int rc = EX_OK;

	for (size_t j = 0; rc == EX_OK && j < JOURNALS; j++) {
		size_t len = strlen(journals[j]), n = 0;

		for (size_t i = 0; i < count; i++)
			if (strncmp(base_name(files[i]), journals[j], len) ==
			    0 && base_name(files[i])[len] == '-')
				mine[n++] = files[i];
		known += n;
		if (n == 0)
			continue;
		qsort(mine, n, sizeof(*mine), by_base_name);
		rc = verify_journal(v, journals[j], NULL, mine, n);
	}
	free(mine);
	if (rc == EX_OK && known < count) {
		ctl_warn("%zu of the files are named neither ledger-* nor "
		    "decisions-*, and were not read", count - known);
		rc = EX_DATAERR;
	}
	return rc;
}

static int
verify_directories(struct verify *v)
{
	const struct settings *s = v->ctl->settings;
	struct buf ledger = BUF_INIT(8192);
	const char *decisions = v->directory;
	int rc;

	if (v->directory == NULL) {
		buf_add_str(&ledger, s->audit.ledger);
		decisions = s->audit.directory;
	} else
		buf_addf(&ledger, "%s/ledger", v->directory);
	rc = verify_journal(v, "ledger", buf_get(&ledger), NULL, 0);
	if (rc == EX_OK)
		rc = verify_journal(v, "decisions", decisions, NULL, 0);
	/* Not good, for nothing was looked at. */
	if (rc == EX_OK && v->files == 0) {
		ctl_warn("neither %s nor %s has a journal", buf_get(&ledger),
		    decisions);
		rc = EX_NOINPUT;
	}
	buf_fini(&ledger);
	return rc;
}

/* -- what others hold -- */

/* Any text: a mail, a mail log. */
static int
read_held(struct verify *v, const char *path)
{
	struct buf text = BUF_INIT(HELD_BYTES);
	struct span rest;
	struct fail fail;
	size_t before = v->held_count;

	if (file_read(path, &text, &fail) == -1) {
		buf_fini(&text);
		return ctl_error(&fail);
	}
	for (rest = buf_span(&text); rest.len > 0;) {
		struct checkpoint c;

		if (checkpoint_find(span_take(&rest, '\n'), &c) == 1 &&
		    checkpoint_is_good(&c) && v->held_count < HELD_MAX)
			v->held[v->held_count++] = c;
	}
	buf_fini(&text);
	if (v->held_count > before)
		return EX_OK;
	ctl_warn("%s: no checkpoint in it that is signed well", path);
	return EX_DATAERR;
}

/* Returns -1 to go on, or an exit code. */
static int
parse(struct verify *v, int argc, char **argv)
{
	int c, rc = EX_OK;

	while (rc == EX_OK && (c = ctl_getopt(argc, argv)) != -1)
		switch (c) {
		case 'k':
			v->key_path = optarg;
			break;
		case 'd':
			v->directory = optarg;
			break;
		case 'C':
			rc = read_held(v, optarg);
			break;
		case 'j':
			v->json = true;
			break;
		case 'h':
			return EX_OK;
		default:
			rc = EX_USAGE;
		}
	if (rc == EX_OK && v->directory != NULL && optind != argc)
		rc = ctl_usage(argv[0], "takes --dir or files, not both");
	return rc == EX_OK ? -1 : rc;
}

/* With --key and --dir or files no configuration is wanted: an auditor has
 * none. */
static int
need_key(struct verify *v, bool has_files)
{
	struct fail fail;
	int rc;

	if (v->key_path == NULL || (v->directory == NULL && !has_files)) {
		rc = ctl_need_settings(v->ctl);
		if (rc != EX_OK)
			return rc;
	}
	if (settings_read_public_key(v->ctl->settings, v->key_path, v->key,
	    &fail) == 0)
		return EX_OK;
	ctl_warn("%s: --key FILE names the public key; `consentctl keygen' "
	    "makes one", fail.text);
	return EX_CONFIG;
}

static int
run(struct verify *v, char **files, size_t count)
{
	int rc = need_key(v, count > 0);

	if (rc != EX_OK)
		return rc;
	if (v->json)
		buf_add_str(&v->out, "{\"journals\":[");
	rc = count > 0 ? verify_files(v, files, count) :
	    verify_directories(v);
	if (v->json && rc == EX_OK) {
		buf_add_char(&v->out, ']');
		json_add_member_bool(&v->out, "good", v->problems == 0);
		json_add_member_i64(&v->out, "problem_count",
		    (int64_t)v->problems);
		buf_add_char(&v->out, '}');
		puts(buf_get(&v->out));
	} else if (rc == EX_OK) {
		if (v->problems == 0)
			term_put(TERM_GOOD, "good: nothing was changed");
		else
			term_put(TERM_BAD, "NOT GOOD");
		putchar('\n');
	}
	return rc != EX_OK ? rc : v->problems == 0 ? EX_OK : 1;
}

int
command_verify(struct ctl *ctl, int argc, char **argv)
{
	struct verify v = { .ctl = ctl, .progress.terminal = ctl_is_terminal(2) };
	int rc;

	buf_init(&v.out, 1024 * 1024);
	v.held = xcalloc(HELD_MAX, sizeof(*v.held));
	rc = parse(&v, argc, argv);
	if (rc == -1)
		rc = run(&v, argv + optind, (size_t)(argc - optind));
	explained_fini(&v.explained);
	buf_fini(&v.out);
	free(v.held);
	return rc;
}

/* -- checkpoint -- */

static void
print_head(const struct ctl *ctl, const char *directory, const char *name,
    int *rc)
{
	struct checkpoint c = { .time_ms = ctl->now_ms };
	struct buf text = BUF_INIT(2048);
	struct fail fail = { .text = "" };

	(void)snprintf(c.journal, sizeof(c.journal), "%s", name);
	(void)snprintf(c.host, sizeof(c.host), "%s", ctl->host);
	if (journal_head(directory, name, &c.seq, c.chain, &fail) == 1) {
		checkpoint_sign(&c, ctl->settings->checkpoint_key);
		checkpoint_format_text(&text, &c);
		puts(buf_get(&text));
	} else if (fail.text[0] != '\0') {
		ctl_warn("%s", fail.text);
		*rc = EX_DATAERR;
	} else
		ctl_warn("the journal \"%s\" in %s has no entry yet", name,
		    directory);
	buf_fini(&text);
}

int
command_checkpoint(struct ctl *ctl, int argc, char **argv)
{
	struct fail fail;
	int rc = ctl_no_arguments(argc, argv);

	if (rc != -1)
		return rc;
	if ((rc = ctl_need_settings(ctl)) != EX_OK)
		return rc;
	if (settings_load_checkpoint_key(ctl->settings, &fail) == -1)
		return ctl_error(&fail);
	if (ctl->settings->checkpoint_key == NULL) {
		ctl_warn("there is no checkpoint.key in %s: run `consentctl "
		    "keygen'", ctl->settings->keys);
		return EX_CONFIG;
	}
	print_head(ctl, ctl->settings->audit.ledger, "ledger", &rc);
	print_head(ctl, ctl->settings->audit.directory, "decisions", &rc);
	return rc;
}
