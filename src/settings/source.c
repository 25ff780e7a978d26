/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Follows libconfig's scanner as far as comments, strings and @include go: the
 * latter counts at the start of a line only.
 */
#include "settings/source.h"

#include <sys/stat.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/fail.h"
#include "base/file.h"
#include "base/xalloc.h"

#define NUMBER_MAX_LEN	9	/* digits that surely fit an int */
#define HEX_MAX_LEN	9	/* 0x and seven digits */

struct scan {
	struct source	*source;
	const char	*file;
	const char	*directory;	/* of the main file */
	struct problems	*problems;
	size_t		*total_bytes;	/* of all files so far */
	unsigned	 includes;	/* how deep in files */
	struct span	 text;
	size_t		 at;
	size_t		 taken;		/* of text into the whole text */
	unsigned	 line;
	unsigned	 depth;		/* of brackets */
	bool		 too_deep;	/* said so already */
};

static void scan_text(struct scan *scan);

/* The directory of a file; relative paths of @include start there. */
static char *
directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return xstrdup(".");
	return slash == path ? xstrdup("/") :
	    xmemdupz(path, (size_t)(slash - path));
}

static char *
resolve(const char *directory, const char *file)
{
	struct buf path = BUF_INIT(SOURCE_MAX * 2);

	if (file[0] != '/' && strcmp(directory, ".") != 0)
		buf_addf(&path, "%s/", directory);
	buf_add_str(&path, file);
	return buf_take(&path);
}

/* What is added to the whole text from now on comes from this line. */
static void
add_piece(struct scan *scan)
{
	struct source *source = scan->source;
	struct source_piece *piece;
	unsigned line = 1;

	if (source->count > 0) {
		piece = &source->pieces[source->count - 1];
		line = piece->line;
	}
	for (size_t i = source->lines_counted; i < source->text.len; i++)
		line += source->text.data[i] == '\n';
	source->lines_counted = source->text.len;
	source->pieces = xrealloc(source->pieces, source->count + 1,
	    sizeof(*source->pieces));
	piece = &source->pieces[source->count++];
	piece->line = line;
	piece->file = xstrdup(scan->file);
	piece->file_line = scan->line;
}

/* Adds what was scanned and not yet added. */
static void
take_text(struct scan *scan)
{
	buf_add(&scan->source->text, scan->text.p + scan->taken,
	    scan->at - scan->taken);
	scan->taken = scan->at;
}

/* The byte that many places ahead, or -1 at the end. */
static int
peek(const struct scan *scan, size_t ahead)
{
	return ahead < scan->text.len - scan->at ?
	    scan->text.p[scan->at + ahead] : -1;
}

static void
next(struct scan *scan)
{
	if (peek(scan, 0) == '\n')
		scan->line++;
	scan->at++;
}

static void
skip_line(struct scan *scan)
{
	while (peek(scan, 0) != -1 && peek(scan, 0) != '\n')
		next(scan);
}

static void
skip_comment(struct scan *scan)
{
	unsigned start = scan->line;

	scan->at += 2;
	while (peek(scan, 0) != -1) {
		if (peek(scan, 0) == '*' && peek(scan, 1) == '/') {
			scan->at += 2;
			return;
		}
		next(scan);
	}
	problems_add(scan->problems, scan->file, start,
	    "a comment starts here and never ends, close it with */");
}

static void
skip_string(struct scan *scan)
{
	unsigned start = scan->line;

	scan->at++;
	while (peek(scan, 0) != -1) {
		if (peek(scan, 0) == '"') {
			scan->at++;
			return;
		}
		if (peek(scan, 0) == '\\' && peek(scan, 1) != -1)
			next(scan);
		next(scan);
	}
	problems_add(scan->problems, scan->file, start,
	    "text starts here and never ends, close it with \"");
}

/* A number or a name. */
static void
skip_word(struct scan *scan)
{
	size_t start = scan->at, len, max;
	struct span word;

	while (peek(scan, 0) != -1 &&
	    (ascii_isalnum((unsigned char)peek(scan, 0)) ||
	    peek(scan, 0) == '_' || peek(scan, 0) == '-'))
		scan->at++;
	word = span_of(scan->text.p + start, scan->at - start);
	len = word.len;
	if (!ascii_isdigit(word.p[0]))
		return;
	while (len > 0 && word.p[len - 1] == 'L')	/* 64-bit suffix */
		len--;
	max = span_has_prefix_nocase(word, SPAN("0x")) ? HEX_MAX_LEN :
	    NUMBER_MAX_LEN;
	if (len > max)
		problems_add(scan->problems, scan->file, scan->line,
		    "the number %.*s%s is too large, no setting takes more "
		    "than nine digits", (int)(len < 30 ? len : 30),
		    (const char *)word.p, len < 30 ? "" : "...");
}

static void
bracket(struct scan *scan, int c)
{
	if (c == ')' || c == ']' || c == '}') {
		if (scan->depth > 0)
			scan->depth--;
	} else if (++scan->depth > SOURCE_DEPTH_MAX && !scan->too_deep) {
		problems_add(scan->problems, scan->file, scan->line,
		    "brackets within brackets, more than %d deep; is a "
		    "closing one missing?", SOURCE_DEPTH_MAX);
		scan->too_deep = true;
	}
}

static int
read_included(const char *path, struct buf *content, struct fail *fail)
{
	struct stat st;

	if (stat(path, &st) == -1)
		return fail_errno(fail, FAIL_SETUP, errno,
		    "can't include %.150s", path);
	/* libconfig ends the process when it can't read what it opened. */
	if (!S_ISREG(st.st_mode))
		return fail_set(fail, FAIL_SETUP, "can't include %.150s: it "
		    "is not a regular file", path);
	return file_read(path, content, fail);
}

static void
include(struct scan *scan, const char *name)
{
	char *path = resolve(scan->directory, name);
	struct buf content = BUF_INIT(SOURCE_MAX);
	struct scan inner = *scan;
	struct fail fail;

	if (*scan->total_bytes > SOURCE_MAX)
		;	/* said already, and no more is read */
	else if (scan->includes >= SOURCE_INCLUDES_MAX)
		problems_add(scan->problems, scan->file, scan->line,
		    "files include each other more than %d deep; does one "
		    "include itself?", SOURCE_INCLUDES_MAX);
	else if (read_included(path, &content, &fail) == -1)
		problems_add(scan->problems, scan->file, scan->line, "%s",
		    fail.text);
	else {
		inner.file = path;
		inner.text = buf_span(&content);
		inner.at = inner.taken = 0;
		inner.line = 1;
		inner.includes++;
		scan_text(&inner);
		scan->depth = inner.depth;
		scan->too_deep = inner.too_deep;
	}
	buf_fini(&content);
	free(path);
}

/* ^[ \t]*@include[ \t]+"path", the '@' being next. */
static void
scan_include(struct scan *scan)
{
	struct buf path = BUF_INIT(1024);
	unsigned line = scan->line;
	int c;

	take_text(scan);
	scan->at += strlen("@include");
	while (peek(scan, 0) == ' ' || peek(scan, 0) == '\t')
		scan->at++;
	if (peek(scan, 0) != '"')
		return;		/* a syntax error, libconfig says so */
	scan->at++;
	while ((c = peek(scan, 0)) != -1 && c != '"' && c != '\n') {
		if (c == '\\')
			break;
		buf_add_char(&path, (char)c);
		scan->at++;
	}
	if (c != '"' || path.len == 0 || path.overflow)
		problems_add(scan->problems, scan->file, line,
		    "@include wants the path of a file in double quotes, on "
		    "one line and without a backslash");
	else
		include(scan, buf_get(&path));
	if (c == '"')
		scan->at++;
	else
		skip_line(scan);
	scan->taken = scan->at;
	/* What stands behind it is on a line of its own, so that each line
	 * comes from one file. */
	buf_add_char(&scan->source->text, '\n');
	add_piece(scan);
	buf_fini(&path);
}

static bool
at_include(const struct scan *scan)
{
	size_t i = scan->at;

	if (!span_has_prefix(span_from(scan->text, i), SPAN("@include")))
		return false;
	while (i > 0 && (scan->text.p[i - 1] == ' ' ||
	    scan->text.p[i - 1] == '\t'))
		i--;
	return i == 0 || scan->text.p[i - 1] == '\n';
}

static void
scan_token(struct scan *scan)
{
	int c = peek(scan, 0);

	if (c == '#' || (c == '/' && peek(scan, 1) == '/'))
		skip_line(scan);
	else if (c == '/' && peek(scan, 1) == '*')
		skip_comment(scan);
	else if (c == '"')
		skip_string(scan);
	else if (c == '@' && at_include(scan))
		scan_include(scan);
	else if (ascii_isalnum((unsigned char)c) || c == '_')
		skip_word(scan);
	else {
		if (strchr("(){}[]", c) != NULL)
			bracket(scan, c);
		next(scan);
	}
}

static unsigned
lines_before(const unsigned char *start, const unsigned char *end)
{
	unsigned n = 1;

	for (; start < end; start++)
		n += *start == '\n';
	return n;
}

static void
scan_text(struct scan *scan)
{
	const unsigned char *nul = scan->text.len == 0 ? NULL :
	    memchr(scan->text.p, '\0', scan->text.len);

	add_piece(scan);
	*scan->total_bytes += scan->text.len;
	if (*scan->total_bytes > SOURCE_MAX)
		problems_add(scan->problems, scan->file, 0, "more than %d "
		    "bytes of configuration, included files counted",
		    SOURCE_MAX);
	else if (nul != NULL)
		problems_add(scan->problems, scan->file,
		    lines_before(scan->text.p, nul),
		    "a NUL byte; the file must be plain text");
	else
		while (peek(scan, 0) != -1)
			scan_token(scan);
	take_text(scan);
}

void
source_init(struct source *source, struct span text,
    struct problems *problems)
{
	char *directory = directory_of(problems->main_file);
	size_t total_bytes = 0;
	struct scan scan = {
		.source = source,
		.file = problems->main_file,
		.directory = directory,
		.problems = problems,
		.total_bytes = &total_bytes,
		.text = text,
		.line = 1,
	};

	memset(source, 0, sizeof(*source));
	buf_init(&source->text, 2 * SOURCE_MAX);
	scan_text(&scan);
	free(directory);
}

void
source_fini(struct source *source)
{
	for (size_t i = 0; i < source->count; i++)
		free(source->pieces[i].file);
	free(source->pieces);
	buf_fini(&source->text);
}

void
source_locate(const struct source *source, unsigned line, const char **file,
    unsigned *file_line)
{
	const struct source_piece *piece = &source->pieces[0];

	for (size_t i = 1; i < source->count; i++)
		if (source->pieces[i].line <= line)
			piece = &source->pieces[i];
	*file = piece->file;
	/* Line 0 is the file as a whole. */
	*file_line = line < piece->line ? 0 :
	    piece->file_line + (line - piece->line);
}
