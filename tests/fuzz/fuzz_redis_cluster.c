/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Bytes of a hostile node of a Redis Cluster, each reply of which is taken for
 * the answer to CLUSTER INFO, CLUSTER SLOTS, and any command that it could
 * redirect.
 */
#include "store/private.h"

#include <stdlib.h>
#include <string.h>

#define REPLY_MAX	65536

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

/* Whatever is dialled is a host and a port. */
static void
require_place(const struct url *url)
{
	struct url again;
	struct fail fail;
	struct buf text = BUF_INIT(512);

	require(url->host[0] != '\0' && !url->is_unix);
	url_format(&text, url);
	require(url_parse(buf_get(&text), &again, &fail) == 0);
	require(url_is_same(url, &again));
	buf_fini(&text);
}

static void
take_as_map(const struct reply *reply, const struct url *asked)
{
	struct slots_map *map = slots_map_new();
	struct fail fail;

	if (slots_read_map(reply, asked, map, &fail) == 0) {
		require(map->count <= STORE_PARTITIONS_MAX);
		for (unsigned i = 0; i < map->count; i++)
			require_place(&map->nodes[i]);
		for (unsigned i = 0; i < STORE_PARTITIONS_MAX; i++)
			require(map->owners[i] == SLOTS_NOBODY ||
			    map->owners[i] < map->count);
	}
	free(map);
}

static void
take_as_anything(const struct reply *reply)
{
	static const struct url asked = { .host = "h", .port = "1" };
	struct redirect redirect = { .url = asked };
	struct fail fail;
	uint64_t epoch;
	bool is_ok;

	take_as_map(reply, &asked);
	if (slots_read_redirect(reply, slots_of_partition(0), &redirect,
	    &fail) == 1)
		require_place(&redirect.url);
	(void)!slots_read_info(reply, &is_ok, &epoch, &fail);
	(void)!handshake_check_mode(reply, true, &fail);
	if (reply->type == REPLY_STRING)
		require(slots_of_key(reply_span(reply)) < SLOTS);
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct reply_reader *reader = reply_reader_new();
	struct reply *reply = NULL;
	struct fail fail;

	reply_reader_allow_nested(reader);
	if (reply_reader_feed(reader, data, size, &fail) == 0)
		while (reply_reader_next(reader, REPLY_MAX, &reply, &fail) ==
		    1) {
			take_as_anything(reply);
			reply_free(&reply);
		}
	reply_reader_free(&reader);
	return 0;
}
