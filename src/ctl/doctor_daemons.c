/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Are the daemons there, and do they run with what is configured?
 */
#include <sys/stat.h>

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/date.h"
#include "base/file.h"
#include "base/json.h"
#include "ctl/daemon.h"
#include "ctl/dialog.h"
#include "ctl/doctor.h"
#include "settings/settings.h"

#define FILES_PER_CONNECTION	1
#define FILES_BESIDE	64	/* logs, Redis, listeners */

#define MILTER	"consent-milter"	/* the programs, and their units */
#define WEB	"consent-web"

/* -- what the kernel tells of a process -- */

static bool
read_proc(pid_t pid, const char *name, struct buf *out)
{
	char path[64];
	struct fail unused;

	(void)snprintf(path, sizeof(path), "/proc/%ld/%s", (long)pid, name);
	return file_read(path, out, &unused) == 0;
}

/* The next text of a command line, each ended by NUL. */
static bool
next_argument(struct span *rest, struct span *out)
{
	ptrdiff_t end = span_index(*rest, '\0');

	if (rest->len == 0)
		return false;
	*out = end == -1 ? *rest : span_head(*rest, (size_t)end);
	*rest = span_from(*rest, out->len + 1);
	return true;
}

/* The file behind -c, where there is one: "-c FILE", "-cFILE", "-fc FILE". */
static bool
find_config(struct span command, char path[PATH_MAX])
{
	struct span one;

	(void)next_argument(&command, &one);
	while (next_argument(&command, &one)) {
		ptrdiff_t c = one.len > 1 && one.p[0] == '-' ?
		    span_index(one, 'c') : -1;

		if (c == -1)
			continue;
		one = span_from(one, (size_t)c + 1);
		if (one.len == 0 && !next_argument(&command, &one))
			return false;
		if (one.len >= PATH_MAX)
			return false;
		memcpy(path, one.p, one.len);
		path[one.len] = '\0';
		return true;
	}
	return false;
}

static bool
is_same_file(const char *a, const char *b)
{
	char *real_a = realpath(a, NULL), *real_b = realpath(b, NULL);
	bool same = real_a != NULL && real_b != NULL &&
	    strcmp(real_a, real_b) == 0;

	free(real_a);
	free(real_b);
	return same;
}

static void
judge_config(struct doctor *d, const char *check, pid_t pid, const char *name)
{
	struct buf command = BUF_INIT(64 * 1024);
	struct findings *f = &d->findings;
	char path[PATH_MAX];

	if (!read_proc(pid, "cmdline", &command) || command.len == 0) {
		buf_fini(&command);
		return;
	}
	if (!find_config(buf_span(&command), path))
		(void)snprintf(path, sizeof(path), "%s",
		    settings_default_path());
	/* A relative path starts where the daemon did. */
	if (path[0] != '/' || is_same_file(path, d->ctl->config_path))
		findings_add(f, check, FINDING_OK, "%s (process %ld) runs with "
		    "this configuration", name, (long)pid);
	else {
		findings_add(f, check, FINDING_FAIL, "%s (process %ld) runs "
		    "with %s, and what was looked at here is %s", name,
		    (long)pid, path, d->ctl->config_path);
		findings_fix(f, "consentctl -c %s doctor, or ExecStart=... -c "
		    "%s in the unit", path, d->ctl->config_path);
	}
	buf_fini(&command);
}

/* The number in "Name:  number ..." of a file in /proc; -1 without. */
static int64_t
proc_number(pid_t pid, const char *file, const char *name, size_t word)
{
	struct buf text = BUF_INIT(64 * 1024);
	struct span rest;
	int64_t n = -1;

	if (!read_proc(pid, file, &text)) {
		buf_fini(&text);
		return -1;
	}
	for (rest = buf_span(&text); rest.len > 0 && n == -1;) {
		ptrdiff_t end = span_index(rest, '\n');
		struct span line = end == -1 ? rest :
		    span_head(rest, (size_t)end), one;

		rest = span_from(rest, line.len + 1);
		if (!span_has_prefix(line, span_str(name)))
			continue;
		line = span_from(line, strlen(name));
		for (size_t i = 0; i <= word; i++) {
			size_t len = 0;

			line = span_trim(line);
			while (len < line.len && !ascii_isspace(line.p[len]))
				len++;
			one = span_head(line, len);
			line = span_from(line, len);
		}
		if (span_to_i64(one, &n) == -1)
			n = -1;
	}
	buf_fini(&text);
	return n;
}

static void
judge_user(struct doctor *d, const char *check, pid_t pid, const char *name)
{
	/* Real, effective, saved, of the file system. */
	int64_t uid = proc_number(pid, "status", "Uid:", 1);
	struct findings *f = &d->findings;

	if (uid == -1 || !d->has_user || d->user_name[0] == '\0' ||
	    uid == (int64_t)d->user.uid)
		return;
	findings_add(f, check, FINDING_FAIL, "%s (process %ld) runs as uid %"
	    PRId64 ", and the configuration says \"%s\"", name, (long)pid, uid,
	    d->user_name);
	findings_fix(f, "start it as root (no User= in the unit), so that it "
	    "can become that user; systemctl restart %s", name);
}

static void
judge_limits(struct doctor *d, pid_t pid)
{
	int64_t files = proc_number(pid, "limits", "Max open files", 0);
	size_t wanted = d->settings->limits.connections;
	struct findings *f = &d->findings;

	if (files == -1)
		return;
	if (wanted == 0)
		wanted = 500;	/* what a small mail server may open */
	if ((uint64_t)files >= wanted * FILES_PER_CONNECTION + FILES_BESIDE) {
		findings_add(f, "filter-files", FINDING_OK, "it may open %"
		    PRId64 " files", files);
		return;
	}
	findings_add(f, "filter-files", FINDING_WARN, "the filter may open %"
	    PRId64 " files, and each of %zu connections of the MTA takes one: "
	    "further ones are turned away with 451", files, wanted);
	findings_fix(f, "systemd: LimitNOFILE=65536, and systemctl restart "
	    "consent-milter");
}

/* -- what a daemon tells of itself -- */

/* As which file its configuration is known, and since when. */
static void
judge_loaded(struct doctor *d, const char *check, const char *name,
    const struct json_object *config)
{
	struct span file, loaded, refused, error = span_of(NULL, 0);
	struct findings *f = &d->findings;
	char path[PATH_MAX];
	struct stat st;
	int64_t ms;

	if (json_object_string(config, "file", &file) != 1 ||
	    file.len >= sizeof(path) ||
	    json_object_string(config, "loaded", &loaded) != 1 ||
	    date_parse(loaded, &ms) == -1)
		return;
	(void)snprintf(path, sizeof(path), "%.*s", (int)file.len,
	    (const char *)file.p);
	/* That it runs with another file is told elsewhere. */
	if (!is_same_file(path, d->ctl->config_path) ||
	    stat(path, &st) == -1)
		return;
	if (json_object_string(config, "refused", &refused) == 1) {
		(void)!json_object_string(config, "error", &error);
		findings_add(f, check, FINDING_FAIL, "%s runs with an older "
		    "configuration, for it refused the last one: %.*s", name,
		    (int)error.len, (const char *)error.p);
		findings_fix(f, "%s -t tells all that is wrong; then systemctl "
		    "reload %s", MILTER, name);
	} else if ((int64_t)st.st_mtim.tv_sec * 1000 +
	    st.st_mtim.tv_nsec / 1000000 > ms) {
		findings_add(f, check, FINDING_WARN, "%s was changed since %s "
		    "has read it (%.16s)", path, name,
		    (const char *)loaded.p);
		findings_fix(f, "systemctl reload %s", name);
	} else
		findings_add(f, check, FINDING_OK, "%s runs with this "
		    "configuration as it is now", name);
}

/* By its control socket; that nobody answers there is told by the other one. */
static void
judge_control(struct doctor *d, const char *check, const char *name,
    const char *socket)
{
	struct json_object *object, *config;
	struct buf text = BUF_INIT(DAEMON_TEXT_MAX);
	struct fail fail;

	if (socket == NULL || daemon_ask(socket, &text, &fail) == -1 ||
	    json_object_parse(span_trim(buf_span(&text)), &object,
	    &fail) == -1) {
		buf_fini(&text);
		return;
	}
	if (json_object_object(object, "config", &config) == 1) {
		judge_loaded(d, check, name, config);
		json_object_free(&config);
	}
	json_object_free(&object);
	buf_fini(&text);
}

/* -- the filter -- */

static void
tell_absent(struct doctor *d, const struct fail *fail)
{
	const char *socket = d->settings->socket;
	struct findings *f = &d->findings;

	if (fail->error == EACCES || fail->error == EPERM) {
		findings_add(f, "filter", FINDING_SKIPPED, "%s can't be "
		    "reached by who runs this", socket);
		findings_fix(f, "run it as root");
		return;
	}
	findings_add(f, "filter", FINDING_FAIL, "nobody answers at %s (%s): "
	    "the filter does not run, and mail waits, or goes out unchecked "
	    "where milter_default_action is accept", socket, fail->text);
	findings_fix(f, "systemctl enable --now consent-milter; where it does "
	    "not start, journalctl -u consent-milter says why");
}

/* Returns whether it answers. */
static bool
judge_filter(struct doctor *d)
{
	struct findings *f = &d->findings;
	struct fail fail;
	int fd, version;
	uid_t uid;
	pid_t pid;

	if (!d->has_socket)
		return false;
	fd = dialog_open(&d->socket, DOCTOR_TIMEOUT_MS, &fail);
	if (fd == -1) {
		tell_absent(d, &fail);
		return false;
	}
	version = dialog_milter(fd, DOCTOR_TIMEOUT_MS, &fail);
	if (version == -1) {
		findings_add(f, "filter", FINDING_FAIL, "%s: %s",
		    d->settings->socket, fail.text);
		findings_fix(f, "ss -lp tells who listens there; systemctl "
		    "restart consent-milter");
	} else
		findings_add(f, "filter", FINDING_OK, "the filter answers at "
		    "%s", d->settings->socket);
	if (dialog_peer(fd, &pid, &uid)) {
		judge_config(d, "filter-config", pid, MILTER);
		judge_user(d, "filter-user", pid, MILTER);
		judge_limits(d, pid);
	}
	(void)close(fd);
	return version != -1;
}

/* -- consent-web -- */

static bool
judge_health(struct doctor *d, int fd)
{
	struct findings *f = &d->findings;
	struct fail fail;
	char text[128];
	int status = dialog_get(fd, "/healthz", DOCTOR_TIMEOUT_MS, text,
	    sizeof(text), &fail);

	if (status == 200)
		findings_add(f, "web", FINDING_OK, "consent-web answers at %s",
		    d->settings->web.listen);
	else if (status == 503) {
		findings_add(f, "web", FINDING_FAIL, "consent-web is not well: "
		    "%s", text);
		findings_fix(f, "journalctl -u consent-web says what it waits "
		    "for");
	} else if (status == -1) {
		findings_add(f, "web", FINDING_FAIL, "%s: %s",
		    d->settings->web.listen, fail.text);
		findings_fix(f, "ss -lp tells who listens there; systemctl "
		    "restart consent-web");
	} else {
		findings_add(f, "web", FINDING_FAIL, "who listens at %s is not "
		    "consent-web (GET /healthz: %d)", d->settings->web.listen,
		    status);
		findings_fix(f, "consent-milter.conf: web = { listen = "
		    "\"...\"; }; with a port that is free");
	}
	return status != -1;
}

/* Returns whether it answers. */
static bool
judge_web(struct doctor *d)
{
	struct findings *f = &d->findings;
	struct mta_socket place;
	struct fail fail;
	bool answers;
	uid_t uid;
	pid_t pid;
	int fd;

	if (!mtaconf_socket(span_str(d->settings->web.listen), &place))
		return false;
	fd = dialog_open(&place, DOCTOR_TIMEOUT_MS, &fail);
	if (fd == -1) {
		findings_add(f, "web", fail.error == EACCES ?
		    FINDING_SKIPPED : FINDING_FAIL, "nobody answers at %s "
		    "(%s): links to opt out are dead",
		    d->settings->web.listen, fail.text);
		findings_fix(f, "systemctl enable --now consent-web; where it "
		    "runs on another machine, --skip daemons");
		return false;
	}
	answers = judge_health(d, fd);
	if (dialog_peer(fd, &pid, &uid)) {
		judge_config(d, "web-config", pid, WEB);
		judge_user(d, "web-user", pid, WEB);
	}
	(void)close(fd);
	return answers;
}

/* Mails that ask for a confirmation, and others of our own. */
static void
judge_mail_server(struct doctor *d)
{
	const char *server = d->settings->mail.server;
	struct findings *f = &d->findings;
	struct mta_socket place;
	struct fail fail;
	int fd;

	if (d->settings->web.url == NULL ||
	    !mtaconf_socket(span_str(server), &place))
		return;
	fd = dialog_open(&place, DOCTOR_TIMEOUT_MS, &fail);
	if (fd != -1) {
		findings_add(f, "mail-server", FINDING_OK, "the mail server %s "
		    "can be reached", server);
		(void)close(fd);
		return;
	}
	findings_add(f, "mail-server", FINDING_FAIL, "consent-web can't send "
	    "its mails: nobody answers at %s (%s)", server, fail.text);
	findings_fix(f, "consent-milter.conf: mail = { server = "
	    "\"127.0.0.1:25\"; }; or start the mail server");
}

void
doctor_daemons(struct doctor *d)
{
	/* Who hangs there hangs here as well. */
	if (judge_filter(d))
		judge_control(d, "filter-reload", MILTER,
		    d->settings->control);
	if (judge_web(d))
		judge_control(d, "web-reload", WEB,
		    d->settings->web.control);
	judge_mail_server(d);
}
