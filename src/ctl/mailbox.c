/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/mailbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "mail/mime.h"

#define NEWS_MAX	((size_t)64 * 1024 * 1024)	/* of an mbox */
#define PATH_ROOM	4096
/* Clocks of files lag behind the one that tells the time. */
#define SLACK_SEC	2

/* -- pure -- */

void
mailbox_add_crlf(struct buf *out, struct span text)
{
	while (text.len > 0) {
		ptrdiff_t end = span_index(text, '\n');
		struct span line = end == -1 ? text :
		    span_head(text, (size_t)end);

		text = span_from(text, line.len + 1);
		if (end != -1 && line.len > 0 && line.p[line.len - 1] == '\r')
			line.len--;
		buf_add_span(out, line);
		if (end != -1)
			buf_add_str(out, "\r\n");
	}
}

bool
mailbox_next(struct span *rest, struct span *message)
{
	static const char mark[] = "\n\nFrom ";
	ptrdiff_t line;
	const unsigned char *next;

	if (!span_has_prefix(*rest, SPAN("From ")))
		return false;
	line = span_index(*rest, '\n');
	if (line == -1)
		return false;
	*rest = span_from(*rest, (size_t)line + 1);
	next = memmem(rest->p, rest->len, mark, sizeof(mark) - 1);
	*message = next == NULL ? *rest :
	    span_head(*rest, (size_t)(next - rest->p) + 1);
	*rest = span_from(*rest, message->len + 1);
	return true;
}

static bool
is_it(struct span message, const struct mailbox_mark *mark)
{
	struct span header, body, value = SPAN("");

	mime_split(message, &header, &body);
	return memmem(body.p, body.len, mark->end.p, mark->end.len) != NULL &&
	    mime_count_fields(header, SPAN("Message-ID"), &value) == 1 &&
	    span_is(span_trim(value), mark->message_id);
}

/* -- files -- */

int
mailbox_init(struct mailbox *m, const char *path, struct fail *fail)
{
	struct stat st;

	*m = (struct mailbox){ .path = path,
	    .since_sec = (int64_t)time(NULL) - SLACK_SEC };
	if (stat(path, &st) == -1)
		return errno == ENOENT ? 0 : fail_errno(fail, FAIL_SETUP,
		    errno, "the mailbox %s", path);
	m->is_maildir = S_ISDIR(st.st_mode);
	if (!m->is_maildir && !S_ISREG(st.st_mode))
		return fail_set(fail, FAIL_SETUP, "the mailbox %s is neither "
		    "an mbox file nor a Maildir", path);
	m->start = m->is_maildir ? 0 : (int64_t)st.st_size;
	return 0;
}

/* Adds what is behind `start', as far as out has room. */
static int
read_from(int fd, off_t start, struct buf *out)
{
	char piece[65536];
	ssize_t n;

	if (lseek(fd, start, SEEK_SET) == -1)
		return -1;
	while ((n = read(fd, piece, sizeof(piece))) > 0 && !out->overflow)
		buf_add(out, piece, (size_t)n);
	return n == -1 ? -1 : 0;
}

static int
find_in_mbox(const struct mailbox *m, const struct mailbox_mark *mark,
    struct buf *out, struct fail *fail)
{
	int fd = open(m->path, O_RDONLY | O_CLOEXEC);
	struct buf news = BUF_INIT(NEWS_MAX);
	struct span rest, message;
	struct stat st;
	int rc = 0;

	if (fd == -1)
		return errno == ENOENT ? 0 : fail_errno(fail, FAIL_SETUP,
		    errno, "the mailbox %s", m->path);
	/* One that was emptied since begins anew. */
	if (fstat(fd, &st) == -1 || read_from(fd, st.st_size <
	    (off_t)m->start ? 0 : (off_t)m->start, &news) == -1)
		rc = fail_errno(fail, FAIL_SETUP, errno, "the mailbox %s",
		    m->path);
	(void)close(fd);
	rest = buf_span(&news);
	/* Behind a message without an empty line at its end. */
	while (rest.len > 0 && rest.p[0] == '\n')
		rest = span_from(rest, 1);
	while (rc == 0 && mailbox_next(&rest, &message))
		if (is_it(message, mark)) {
			mailbox_add_crlf(out, message);
			rc = 1;
		}
	buf_fini(&news);
	return rc;
}

/* 1 when it is the one; what can't be read is none. */
static int
take_file(const struct mailbox *m, int directory, const char *name,
    const struct mailbox_mark *mark, struct buf *out)
{
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct buf text = BUF_INIT(MAILBOX_MESSAGE_MAX);
	struct stat st;
	int rc = 0;

	if (fd == -1)
		return 0;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	    (int64_t)st.st_mtime >= m->since_sec &&
	    read_from(fd, 0, &text) == 0 &&
	    is_it(buf_span(&text), mark)) {
		mailbox_add_crlf(out, buf_span(&text));
		rc = 1;
	}
	(void)close(fd);
	buf_fini(&text);
	return rc;
}

static int
find_in_directory(const struct mailbox *m, const char *name,
    const struct mailbox_mark *mark, struct buf *out, struct fail *fail)
{
	struct buf path = BUF_INIT(PATH_ROOM);
	const struct dirent *entry;
	DIR *directory;
	int rc = 0;

	buf_addf(&path, "%s/%s", m->path, name);
	directory = opendir(buf_get(&path));
	if (directory == NULL)
		rc = fail_errno(fail, FAIL_SETUP, errno, "the Maildir has no "
		    "%s that can be read", buf_get(&path));
	while (rc == 0 && (entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.')
			rc = take_file(m, dirfd(directory), entry->d_name,
			    mark, out);
	if (directory != NULL)
		(void)closedir(directory);
	buf_fini(&path);
	return rc;
}

int
mailbox_find(const struct mailbox *m, const struct mailbox_mark *mark,
    struct buf *out, struct fail *fail)
{
	int rc;

	if (!m->is_maildir)
		return find_in_mbox(m, mark, out, fail);
	rc = find_in_directory(m, "new", mark, out, fail);
	return rc != 0 ? rc : find_in_directory(m, "cur", mark, out, fail);
}
