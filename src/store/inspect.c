/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "store/inspect.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "store/private.h"

#define NO_STOP	(-1)	/* poll() passes over it */

struct inspector {
	struct transport transport;
	struct reply_reader *reader;	/* NULL: there is no connection */
	int		 timeout_ms;
	int64_t		 certificate_ends_ms;
	char		 place[URL_HOST_MAX + 32];
};

static void
hang_up(struct inspector *i)
{
	if (i->reader == NULL)
		return;
	reply_reader_free(&i->reader);
	transport_close(&i->transport);
}

void
inspect_close(struct inspector **inspector)
{
	if (*inspector == NULL)
		return;
	hang_up(*inspector);
	free(*inspector);
	*inspector = NULL;
}

/* What an error that was answered means to the caller. */
static int
fail_answer(const struct reply *reply, struct fail *fail)
{
	bool denied = reply_is_error(reply, "NOPERM") ||
	    reply_is_error(reply, "NOAUTH");

	(void)reply_fail(reply, fail);
	fail->class = denied ? FAIL_SETUP : FAIL_INPUT;
	return -1;
}

/* Elements are texts and numbers; what else there may be has neither. */
static void
add_text(struct buf *out, const struct reply *reply)
{
	if (reply->type == REPLY_INTEGER)
		buf_addf(out, "%lld", reply->integer);
	else if (reply->type != REPLY_NIL && reply->type != REPLY_ARRAY)
		buf_add_span(out, reply_span(reply));
}

static int
take_answer(const struct reply *reply, struct buf *out, struct fail *fail)
{
	if (reply->type == REPLY_ERROR)
		return fail_answer(reply, fail);
	if (reply->type != REPLY_ARRAY) {
		add_text(out, reply);
		return 0;
	}
	for (size_t n = 0; n < reply->len; n++) {
		add_text(out, reply->elements[n]);
		buf_add_char(out, '\n');
	}
	return 0;
}

/* Sends what is in *command, and wipes it, for it may hold a password. */
static int
exchange(struct inspector *i, struct buf *command, struct buf *out,
    struct fail *fail)
{
	int64_t deadline_ms = clock_monotonic_ms() + i->timeout_ms;
	struct reply *reply = NULL;
	int rc;

	if (i->reader == NULL)
		rc = fail_set(fail, FAIL_TEMP, "the connection is gone");
	else
		rc = transport_send_all(&i->transport, buf_span(command),
		    NO_STOP, deadline_ms, fail);
	if (command->data != NULL)
		explicit_bzero(command->data, command->size);
	buf_fini(command);
	if (rc == 0)
		rc = transport_read_reply(&i->transport, i->reader, NO_STOP,
		    deadline_ms, &reply, fail);
	if (rc == -1) {
		hang_up(i);
		return -1;
	}
	rc = take_answer(reply, out, fail);
	reply_free(&reply);
	return rc;
}

int
inspect_ask(struct inspector *i, const char *const *words, struct buf *out,
    struct fail *fail)
{
	struct buf command = BUF_INIT(LINK_REPLY_SMALL);
	size_t n = 0;

	while (words[n] != NULL)
		n++;
	command_begin(&command, n);
	for (size_t w = 0; w < n; w++)
		command_add(&command, span_str(words[w]));
	return exchange(i, &command, out, fail);
}

static int
log_in(struct inspector *i, const struct store_options *options,
    unsigned database, struct fail *fail)
{
	struct buf command = BUF_INIT(LINK_REPLY_SMALL);
	struct buf unused = BUF_INIT(LINK_REPLY_SMALL);
	char number[16];
	int rc = 0;

	if (options->password != NULL) {
		command_log_in(&command, options->username,
		    options->password);
		rc = exchange(i, &command, &unused, fail);
	}
	if (rc == 0 && database != 0) {
		(void)snprintf(number, sizeof(number), "%u", database);
		command_format(&command, "SELECT", number, (char *)NULL);
		rc = exchange(i, &command, &unused, fail);
	}
	buf_fini(&command);
	buf_fini(&unused);
	if (rc == -1 && fail->class == FAIL_SETUP)
		fail->class = FAIL_INPUT;
	return rc;
}

/* Where the primary is, by the Sentinels. */
static int
find_primary(const struct store_options *options,
    const struct tls_files *files, struct url *url, struct fail *fail)
{
	struct primary told = { .url = *url };
	struct sentinels *sentinels;
	int rc;

	if (sentinel_new(options, files, url->is_tls, &sentinels, fail) == -1)
		return -1;
	rc = sentinel_ask(sentinels, 0, NO_STOP, &told, fail);
	if (rc == 0)
		*url = told.url;
	sentinel_free(&sentinels);
	return rc;
}

static void
name_place(struct inspector *i, const struct url *url)
{
	if (url->is_unix)
		(void)snprintf(i->place, sizeof(i->place), "unix:%s",
		    url->path);
	else
		(void)snprintf(i->place, sizeof(i->place), "redis%s://%s:%s",
		    url->is_tls ? "s" : "", url->host, url->port);
}

int
inspect_open(const struct store_options *options, struct inspector **out,
    struct fail *fail)
{
	struct tls_files files = { options->ca_file != NULL ?
	    xstrdup(options->ca_file) : NULL, options->certificate != NULL ?
	    xstrdup(options->certificate) : NULL, options->key != NULL ?
	    xstrdup(options->key) : NULL };
	struct inspector *i = xcalloc(1, sizeof(*i));
	struct url url;
	int rc = url_parse(options->url, &url, fail);

	i->timeout_ms = options->timeout_ms;
	if (rc == 0 && options->sentinels != NULL)
		rc = find_primary(options, &files, &url, fail);
	if (rc == 0)
		rc = transport_open(&url, &files, options->timeout_ms,
		    NO_STOP, &i->transport, fail);
	if (rc == 0) {
		i->reader = reply_reader_new();
		name_place(i, &url);
		if (i->transport.tls != NULL)
			i->certificate_ends_ms =
			    tls_certificate_ends_ms(i->transport.tls);
		rc = log_in(i, options, url.database, fail);
	}
	free(files.ca_file);
	free(files.certificate);
	free(files.key);
	if (rc == -1)
		inspect_close(&i);
	else
		*out = i;
	return rc;
}

struct span
inspect_info(struct span info, const char *name)
{
	return reply_text_info(info, name);
}

const char *
inspect_place(const struct inspector *i)
{
	return i->place;
}

int64_t
inspect_certificate_ends_ms(const struct inspector *i)
{
	return i->certificate_ends_ms;
}
