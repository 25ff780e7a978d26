/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/daemon.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"

#define FORMAT		1	/* CONTROL_FORMAT */
#define ANSWER_MS	5000
#define ITEMS_MAX	64	/* of an array, or of an object of numbers */
#define NAMES_SHOWN	5	/* of lists */

/* -- asking -- */

static int
dial(const char *path, struct fail *fail)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(sun.sun_path))
		return fail_errno(fail, FAIL_SETUP, ENAMETOOLONG, "%s", path);
	memcpy(sun.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd != -1 && connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return fd;
	err = errno;
	if (fd != -1)
		(void)close(fd);
	return fail_errno(fail, err == EACCES ? FAIL_SETUP : FAIL_TEMP, err,
	    "%s", path);
}

static int
read_all(int fd, const char *path, struct buf *text, struct fail *fail)
{
	int64_t until = clock_monotonic_ms() + ANSWER_MS, left;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char bytes[4096];
	ssize_t n;

	while ((left = until - clock_monotonic_ms()) > 0) {
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		n = recv(fd, bytes, sizeof(bytes), 0);
		if (n == 0)
			return text->len > 0 ? 0 : fail_set(fail, FAIL_TEMP,
			    "%s: no answer", path);
		if (n == -1)
			return fail_errno(fail, FAIL_TEMP, errno, "%s", path);
		buf_add(text, bytes, (size_t)n);
		if (text->overflow)
			return fail_set(fail, FAIL_TEMP, "%s: the answer has "
			    "no end", path);
	}
	return fail_set(fail, FAIL_TEMP, "%s: no answer within %d seconds",
	    path, ANSWER_MS / 1000);
}

int
daemon_ask(const char *path, struct buf *text, struct fail *fail)
{
	int fd = dial(path, fail), rc;

	if (fd == -1)
		return -1;
	rc = read_all(fd, path, text, fail);
	(void)close(fd);
	return rc;
}

/* -- for people -- */

static void
add_printable(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		buf_add_char(out, text.p[i] < 0x20 || text.p[i] == 0x7f ?
		    '?' : (char)text.p[i]);
}

/* A text of the object with words around it; false where there is none. */
static bool
add_text(struct buf *out, const char *before,
    const struct json_object *object, const char *name)
{
	struct span text;

	if (json_object_string(object, name, &text) != 1 || text.len == 0)
		return false;
	buf_add_str(out, before);
	add_printable(out, text);
	return true;
}

static int64_t
number(const struct json_object *object, const char *name)
{
	int64_t n;

	return json_object_i64(object, name, &n) == 1 ? n : 0;
}

/* The heading of a line below the first. */
static void
add_heading(struct buf *out, const char *heading)
{
	buf_addf(out, "  %-13s  ", heading);
}

/* "2 d 3 h", the two largest parts. */
static void
add_span(struct buf *out, int64_t seconds)
{
	static const struct {
		int64_t seconds;
		const char *unit;
	} units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "min" },
	    { 1, "s" } };
	int parts = 0;

	if (seconds < 0)
		seconds = 0;
	for (size_t i = 0; i < 4 && parts < 2; i++) {
		int64_t n = seconds / units[i].seconds;

		if (n == 0 && parts == 0 && i < 3)
			continue;
		buf_addf(out, "%s%" PRId64 " %s", parts > 0 ? " " : "", n,
		    units[i].unit);
		seconds %= units[i].seconds;
		parts++;
	}
}

static void
add_bytes(struct buf *out, int64_t bytes)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB",
	    "TiB" };
	double n = (double)bytes;
	size_t i = 0;

	while (n >= 1024 && i < 4) {
		n /= 1024;
		i++;
	}
	buf_addf(out, i == 0 ? "%.0f %s" : "%.1f %s", n, units[i]);
}

/* The members that are numbers above 0: "accept 3, reject 1". */
static bool
add_counts(struct buf *out, const struct json_object *object)
{
	void *cursor = NULL;
	const char *name;
	struct span text;
	bool is_string, any = false;
	int64_t n;

	for (int i = 0; i < ITEMS_MAX && json_object_next(object, &cursor,
	    &name, &is_string, &text); i++) {
		if (is_string || json_object_i64(object, name, &n) != 1 ||
		    n <= 0)
			continue;
		buf_add_str(out, any ? ", " : "");
		add_printable(out, span_str(name));
		buf_addf(out, " %" PRId64, n);
		any = true;
	}
	return any;
}

static void
add_counts_line(struct buf *out, const char *heading,
    const struct json_object *object, const char *name)
{
	struct json_object *counts;

	if (json_object_object(object, name, &counts) != 1)
		return;
	add_heading(out, heading);
	if (!add_counts(out, counts))
		buf_add_str(out, "none yet");
	buf_add_char(out, '\n');
	json_object_free(&counts);
}

static void
add_config(struct buf *out, const struct json_object *object)
{
	struct json_object *config;

	if (json_object_object(object, "config", &config) != 1)
		return;
	add_heading(out, "configuration");
	(void)add_text(out, "", config, "file");
	buf_addf(out, ", generation %" PRId64, number(config, "generation"));
	(void)add_text(out, ", read ", config, "loaded");
	buf_add_char(out, '\n');
	if (number(config, "generation") > 0 && add_text(out,
	    "                 the last reload was refused ", config,
	    "refused")) {
		(void)add_text(out, ": ", config, "error");
		buf_add_char(out, '\n');
	}
	json_object_free(&config);
}

static void
add_store_numbers(struct buf *out, const struct json_object *store)
{
	struct json_object *failures;
	int64_t us = number(store, "latency_us");

	add_heading(out, "");
	buf_addf(out, "%" PRId64 " requests", number(store, "requests"));
	if (us > 0)
		buf_addf(out, ", on average %.2f ms", (double)us / 1000);
	buf_addf(out, "; %" PRId64 " connections in %" PRId64 " attempts",
	    number(store, "connections"), number(store, "attempts"));
	if (number(store, "failed_fast") > 0)
		buf_addf(out, "; %" PRId64 " requests failed at once",
		    number(store, "failed_fast"));
	buf_add_char(out, '\n');
	if (json_object_object(store, "failures", &failures) != 1)
		return;
	buf_addf(out, "  %-13s  failures: ", "");
	if (!add_counts(out, failures))
		buf_add_str(out, "none");
	buf_add_char(out, '\n');
	json_object_free(&failures);
}

static void
add_store(struct buf *out, const struct json_object *object)
{
	struct json_object *store;
	bool reachable = false;

	if (json_object_object(object, "store", &store) != 1)
		return;
	add_heading(out, "store");
	(void)!json_object_bool(store, "reachable", &reachable);
	buf_add_str(out, reachable ? "reachable" : "NOT reachable");
	(void)add_text(out, " since ", store, "since");
	(void)add_text(out, ": ", store, "why");
	buf_add_char(out, '\n');
	add_store_numbers(out, store);
	json_object_free(&store);
}

static void
add_journal(struct buf *out, const struct json_object *journal)
{
	int64_t unsynced_ms = number(journal, "unsynced_ms");

	add_heading(out, "journal");
	(void)add_text(out, "", journal, "name");
	buf_addf(out, ": entry %" PRId64 ", ", number(journal, "seq"));
	add_bytes(out, number(journal, "bytes"));
	buf_add_str(out, " (");
	add_bytes(out, number(journal, "free_bytes"));
	buf_add_str(out, " free)");
	(void)add_text(out, ", synced ", journal, "synced");
	if (unsynced_ms > 0)
		buf_addf(out, ", the rest waits for %" PRId64 " ms",
		    unsynced_ms);
	if (number(journal, "failures") > 0)
		buf_addf(out, ", %" PRId64 " failures",
		    number(journal, "failures"));
	buf_add_char(out, '\n');
}

static void
add_journals(struct buf *out, const struct json_object *object)
{
	struct json_object *journal;

	for (size_t i = 0; i < ITEMS_MAX && json_object_element(object,
	    "journals", i, &journal) == 1; i++) {
		add_journal(out, journal);
		json_object_free(&journal);
	}
}

static void
add_connections(struct buf *out, const struct json_object *object)
{
	struct json_object *limits;
	int64_t n;

	if (json_object_i64(object, "connections", &n) != 1)
		return;
	add_heading(out, "connections");
	buf_addf(out, "%" PRId64, n);
	if (json_object_object(object, "limits", &limits) == 1) {
		buf_addf(out, " of %" PRId64, number(limits, "connections"));
		json_object_free(&limits);
	}
	buf_add_char(out, '\n');
}

static void
add_backlog(struct buf *out, const struct json_object *object)
{
	add_heading(out, "ledger");
	buf_addf(out, "%" PRId64 " entries that Redis is not known to have",
	    number(object, "unapplied"));
	(void)add_text(out, ", behind since ", object, "behind_since");
	buf_add_char(out, '\n');
}

/* Whoever answers may say anything, and these are added. */
static int64_t
lists_in(const struct json_object *lists, const char *mode)
{
	int64_t n = number(lists, mode);

	return n < 0 ? 0 : n > INT32_MAX ? INT32_MAX : n;
}

/* " (daily, weekly and 3 more)"; of an older filter nothing. */
static void
add_list_names(struct buf *out, const struct json_object *lists, int64_t count)
{
	struct span id;
	int64_t n = 0;

	while (n < count && n < NAMES_SHOWN && json_object_word(lists,
	    "others", (size_t)n, &id) == 1) {
		buf_add_str(out, n++ == 0 ? " (" : ", ");
		add_printable(out, id);
	}
	if (n > 0 && n < count)
		buf_addf(out, " and %" PRId64 " more", count - n);
	if (n > 0)
		buf_add_char(out, ')');
}

/* Those that the filter's own mode does not tell of. */
static void
add_other_modes(struct buf *out, const struct json_object *object)
{
	struct json_object *lists;
	int64_t enforce, observe, others;
	struct span mode;
	bool observes;

	if (json_object_string(object, "mode", &mode) != 1 ||
	    json_object_object(object, "lists", &lists) != 1)
		return;
	observes = span_is(mode, SPAN("observe"));
	enforce = lists_in(lists, "enforce");
	observe = lists_in(lists, "observe");
	others = observes ? enforce : observe;
	if (others > 0) {
		buf_addf(out, ", but %" PRId64 " of %" PRId64 " lists in mode "
		    "%s", others, enforce + observe, observes ? "enforce" :
		    "observe");
		add_list_names(out, lists, others);
	}
	json_object_free(&lists);
}

static void
add_first(struct buf *out, const char *program,
    const struct json_object *object)
{
	buf_add_str(out, program);
	(void)add_text(out, " ", object, "version");
	buf_add_str(out, ": running");
	(void)add_text(out, " since ", object, "started");
	buf_add_str(out, " (");
	add_span(out, number(object, "uptime_seconds"));
	buf_addf(out, "), process %" PRId64, number(object, "pid"));
	(void)add_text(out, ", mode ", object, "mode");
	add_other_modes(out, object);
	buf_add_char(out, '\n');
}

/* The words of the daemon; what they mean is in the manual. */
static int
add_problems(struct buf *out, const struct json_object *object,
    bool *has_problem)
{
	struct span word;
	size_t i = 0;
	int rc;

	while (i < ITEMS_MAX && (rc = json_object_word(object, "problems", i,
	    &word)) == 1) {
		if (i++ == 0)
			add_heading(out, "PROBLEMS");
		else
			buf_add_str(out, ", ");
		add_printable(out, word);
	}
	if (i > 0)
		buf_add_char(out, '\n');
	*has_problem = i > 0;
	return rc == -1 ? -1 : 0;
}

static int
check(const struct json_object *object, const char *program,
    struct fail *fail)
{
	struct span name;

	if (number(object, "format") != FORMAT)
		return fail_set(fail, FAIL_INPUT, "the answer has format %"
		    PRId64 ", and this consentctl knows %d: another version?",
		    number(object, "format"), FORMAT);
	if (json_object_string(object, "program", &name) != 1 ||
	    !span_is(name, span_str(program)))
		return fail_set(fail, FAIL_INPUT, "the answer is not that of "
		    "%s", program);
	return 0;
}

int
daemon_describe(struct span text, const char *program, struct buf *out,
    bool *has_problem, struct fail *fail)
{
	struct json_object *object;
	int rc;

	if (json_object_parse(text, &object, fail) == -1)
		return fail_prefix(fail, "the answer can't be read");
	rc = check(object, program, fail);
	if (rc == 0) {
		add_first(out, program, object);
		add_config(out, object);
		add_store(out, object);
		add_counts_line(out, "decisions", object, "decisions");
		add_counts_line(out, "answers", object, "answers");
		add_connections(out, object);
		add_journals(out, object);
		add_backlog(out, object);
		rc = add_problems(out, object, has_problem);
		if (rc == -1)
			rc = fail_set(fail, FAIL_INPUT,
			    "the answer does not tell its problems");
	}
	json_object_free(&object);
	return rc;
}
