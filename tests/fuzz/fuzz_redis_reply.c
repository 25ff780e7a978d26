/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Bytes of a hostile Redis, read in two pieces (the first byte says where they
 * part), and every reply taken for the answer to each of our questions.
 */
#include "store/private.h"

#include <stdlib.h>
#include <string.h>

#define REPLY_MAX	4096

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

/* Any time that comes out stands in the reply, in just this form, but for what
 * an erasure covers, of which nothing comes out. */
static void
take_as_record(const struct reply *reply)
{
	static const struct record nothing;
	struct record record;
	struct fail fail;
	struct buf text = BUF_INIT(512);
	int rc = reply_to_record(reply, &record, &fail);

	if (rc != 1)
		require(memcmp(&record, &nothing, sizeof(record)) == 0);
	if (rc == 1 && record.erase_ms != 0) {
		struct record again = record;

		record_normalise(&again);
		require(memcmp(&record, &again, sizeof(record)) == 0);
	} else if (rc == 1) {
		record_list_format(&text, &record);
		require(span_is(buf_span(&text),
		    reply_span(reply->elements[0])));
		buf_clear(&text);
		record_person_format(&text, &record);
		require(span_is(buf_span(&text),
		    reply_span(reply->elements[1])));
	}
	buf_fini(&text);
}

static void
visit(const char *list, const struct record *record,
    const struct evidence *evidence, void *context)
{
	size_t *visits = context;

	require((list[0] == '\0') == (*visits == 0));
	require(list[0] == '\0' || list_name_is_valid(span_str(list)));
	require(record->grant_ms >= 0);
	require(evidence == NULL || record->grant_ms > 0);
	++*visits;
}

/* A host and a port come out, or nothing. */
static void
take_as_primary(const struct reply *reply)
{
	struct primary primary = { .epoch = 0 };
	struct fail fail;

	if (sentinel_read(reply, reply, &primary, &fail) == -1)
		return;
	require(primary.url.host[0] != '\0' && primary.url.port[0] != '\0');
	for (const char *p = primary.url.host; *p != '\0'; p++)
		require(ascii_isprint((unsigned char)*p) && *p != '/');
}

static void
take_as_position(const struct reply *reply)
{
	struct freshness freshness = { .within_ms = 100 };
	struct position position;
	struct fail fail;

	if (freshness_read(reply, &position, &fail) == -1)
		return;
	require(strlen(position.history) == HISTORY_ID_LEN);
	require(position.is_linked || !position.is_primary);
	if (freshness_add(&freshness, &position, 1, &fail) == 0)
		require(freshness_prove(&freshness, &position, 1, &fail) == 0);
	else
		require(freshness_prove(&freshness, &position, 1, &fail) == -1);
}

static void
take_as_anything(const struct reply *reply)
{
	char version[32];
	struct fail fail;
	size_t visits = 0;
	int rc;

	take_as_record(reply);
	rc = reply_visit(reply, visit, &visits, &fail);
	require((rc == 1) == (visits > 0));
	(void)!handshake_check_version(reply, version, sizeof(version), &fail);
	(void)!handshake_check_policy(reply, &fail);
	(void)!handshake_check_role(reply, &fail);
	take_as_primary(reply);
	take_as_position(reply);
	(void)reply_fail(reply, &fail);
	for (const char *p = fail.text; *p != '\0'; p++)
		require(ascii_isprint((unsigned char)*p));
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct reply_reader *reader;
	struct reply *reply = NULL;
	struct fail fail;
	size_t part;
	int rc = 0;

	if (size < 1)
		return 0;
	reader = reply_reader_new();
	part = data[0] < size - 1 ? data[0] : size - 1;
	for (int i = 0; i < 2 && rc != -1; i++) {
		const unsigned char *p = data + 1 + (i == 0 ? 0 : part);
		size_t len = i == 0 ? part : size - 1 - part;

		rc = reply_reader_feed(reader, p, len, &fail);
		while (rc != -1 && (rc = reply_reader_next(reader, REPLY_MAX,
		    &reply, &fail)) == 1) {
			take_as_anything(reply);
			reply_free(&reply);
		}
	}
	reply_reader_free(&reader);
	return 0;
}
