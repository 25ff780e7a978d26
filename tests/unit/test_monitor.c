/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <fcntl.h>
#include <unistd.h>

#include "base/json.h"
#include "base/listen.h"
#include "check.h"
#include "monitor/control.h"
#include "monitor/report.h"

static char directory[] = "/tmp/test-monitor-XXXXXX";
static char path[64];

static void
test_reach(void)
{
	struct reach reach;
	struct reach_state state;

	reach_init(&reach);
	reach_get(&reach, &state);
	CHECK(!state.is_known && !state.is_reachable);
	reach_note(&reach, true, "there");
	reach_get(&reach, &state);
	CHECK(state.is_known && state.is_reachable && state.since_ms > 0);
	CHECK_INT(state.opened, 0);
	CHECK_INT(state.closed, 1);
	/* Another primary. */
	reach_note(&reach, true, "elsewhere");
	reach_note(&reach, false, "gone");
	reach_note(&reach, false, "still gone");
	reach_get(&reach, &state);
	CHECK(!state.is_reachable);
	CHECK_INT(state.opened, 1);
	CHECK_INT(state.closed, 1);
	CHECK_STR(state.text, "still gone");
	reach_fini(&reach);
}

static void
test_reloads(void)
{
	struct reloads reloads;
	struct reloads_state state;

	reloads_init(&reloads);
	reloads_note_refusal(&reloads, "x.conf:1: first\nx.conf:2: second\n");
	reloads_get(&reloads, &state);
	CHECK_INT(state.generation, 1);
	CHECK_INT(state.refused, 1);
	CHECK(state.refused_ms >= state.loaded_ms && state.loaded_ms > 0);
	CHECK_STR(state.error, "x.conf:1: first");
	reloads_note(&reloads);
	reloads_get(&reloads, &state);
	CHECK_INT(state.generation, 2);
	CHECK_INT(state.refused, 1);
	CHECK_INT(state.refused_ms, 0);
	CHECK_STR(state.error, "");
	reloads_fini(&reloads);
}

static void
test_report(void)
{
	static struct report report = {
		.program = "consent-milter", .prefix = "consent_milter_",
		.config_path = "/a \"b\".conf", .started_ms = 1000,
		.now_ms = 61000, .store = { .failures = { [2] = 7 } },
	};
	static const char *const lines[] = {
		"consent_milter_store_reachable 0",
		"consent_milter_store_breaker_open 1",
		"consent_milter_store_breaker_changes_total{to=\"open\"} 3",
		"consent_milter_store_failures_total{kind=\"timeout\"} 7",
		"consent_milter_start_time_seconds 1.000",
		"consent_milter_journal_lag_seconds{journal=\"decisions\"} "
		"0.000",
		"consent_milter_config_reload_success 1",
	};
	struct buf text = BUF_INIT(256 * 1024);
	struct json_object *object;
	char want[200];
	struct fail fail;

	report.reach.is_known = true;
	report.reach.opened = 3;
	report_take_journal(&report, "decisions", "/nowhere", NULL);
	report_find_problems(&report);
	CHECK_INT(report.problem_count, 2);
	CHECK_STR(report.problems[0], "store-unreachable");
	CHECK_STR(report.problems[1], "journal-missing");
	report_add_metrics(&text, &report);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		check_case((long)i);
		(void)snprintf(want, sizeof(want), "\n%s\n", lines[i]);
		CHECK(strstr(buf_get(&text), want) != NULL);
	}
	check_case(-1);
	buf_clear(&text);
	buf_add_char(&text, '{');
	report_add_members(&text, &report);
	buf_add_char(&text, '}');
	CHECK_INT(json_object_parse(buf_span(&text), &object, &fail), 0);
	json_object_free(&object);
	buf_fini(&text);
}

/* -- sockets -- */

static int
dial(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(sun.sun_path, path, strlen(path) + 1);
	CHECK_INT(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

/* What is left behind is replaced, what lives is not, and a file stays. */
static void
test_listen(void)
{
	struct buf place = BUF_INIT(100);
	struct stat st;
	struct fail fail;
	int first, second;

	buf_addf(&place, "unix:%s", path);
	first = listen_open("key", buf_get(&place), 0600, &fail);
	CHECK(first != -1);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 0777, 0600);
	CHECK(listen_is_alive(path));
	CHECK_INT(listen_open("key", buf_get(&place), 0600, &fail), -1);
	CHECK(strstr(fail.text, "is in use by a process that runs") != NULL);
	CHECK(listen_is_alive(path));
	(void)close(first);
	CHECK(!listen_is_alive(path));
	CHECK_INT(access(path, F_OK), 0);
	second = listen_open("key", buf_get(&place), 0600, &fail);
	CHECK(second != -1);
	(void)close(second);
	(void)unlink(path);
	/* Somebody's file. */
	first = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	CHECK(first != -1);
	(void)close(first);
	CHECK_INT(listen_open("key", buf_get(&place), 0600, &fail), -1);
	CHECK(strstr(fail.text, "is there, and no socket") != NULL);
	CHECK_INT(unlink(path), 0);
	buf_fini(&place);
}

static void
add_answer(struct buf *out, void *context)
{
	json_add_member_str(out, "word", context);
}

static void
check_answer(void)
{
	static const char want[] = "{\"format\":1,\"word\":\"well\"}\n";
	char got[100];
	size_t len = 0;
	ssize_t n;
	int fd = dial();

	while ((n = read(fd, got + len, sizeof(got) - 1 - len)) > 0)
		len += (size_t)n;
	got[len] = '\0';
	CHECK_STR(got, want);
	(void)close(fd);
}

/* Those who do not read, do not leave, or talk keep nobody waiting. */
static void
test_control(void)
{
	static char word[] = "well";
	int silent[50], talker;
	struct control *control;
	struct stat st;
	struct fail fail;
	int fd = control_listen("control", path, "", &fail);

	CHECK(fd != -1);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 0777, 0660);
	CHECK_INT(control_start(fd, path, add_answer, word, &control, &fail),
	    0);
	for (size_t i = 0; i < 50; i++)
		silent[i] = dial();
	talker = dial();
	(void)!send(talker, word, sizeof(word), MSG_NOSIGNAL);
	check_answer();
	for (size_t i = 0; i < 50; i++)
		(void)close(silent[i]);
	(void)close(talker);
	check_answer();
	control_stop(&control);
	CHECK_INT(access(path, F_OK), -1);
}

static const struct check_test tests[] = {
	{ "reach", test_reach },
	{ "reloads", test_reloads },
	{ "report", test_report },
	{ "listen", test_listen },
	{ "control", test_control },
};

int
main(void)
{
	int rc;

	if (mkdtemp(directory) == NULL)
		return EXIT_FAILURE;
	(void)snprintf(path, sizeof(path), "%s/socket", directory);
	rc = check_main("monitor", tests, sizeof(tests) / sizeof(tests[0]));
	(void)rmdir(directory);
	return rc;
}
