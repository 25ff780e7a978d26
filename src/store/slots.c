/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Who has what in a Redis Cluster: hash slots, and the three answers of a node
 * that tell of them, CLUSTER INFO, CLUSTER SLOTS, and MOVED or ASK.  Of 16384
 * slots our keys are in one for each partition, and only those are looked at.
 *
 * Security: every address that a node names is held to the syntax of a host
 * and a port; a slot of which nothing good is said is nobody's.
 */
#include "store/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/* CRC-16/XMODEM, as the Redis Cluster specification has it. */
static unsigned
crc16(struct span text)
{
	unsigned crc = 0;

	for (size_t i = 0; i < text.len; i++) {
		crc ^= (unsigned)text.p[i] << 8;
		for (int bit = 0; bit < 8; bit++)
			crc = (crc << 1 ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff;
	}
	return crc;
}

unsigned
slots_of_key(struct span key)
{
	ptrdiff_t open = span_index(key, '{'), end;

	if (open != -1) {
		struct span rest = span_from(key, (size_t)open + 1);

		end = span_index(rest, '}');
		if (end > 0)
			key = span_head(rest, (size_t)end);
	}
	return crc16(key) % SLOTS;
}

unsigned
slots_of_partition(unsigned partition)
{
	char tag[8];

	(void)snprintf(tag, sizeof(tag), "{%02x}", partition & 0xff);
	return slots_of_key(span_str(tag));
}

/* The host "" or "?", or none, is the one that was asked. */
static int
set_place(struct url *url, struct span host, struct span port,
    struct fail *fail)
{
	const struct url asked = *url;

	if (host.len == 0 || span_is(host, SPAN("?")))
		host = span_str(asked.host);
	return url_set_host(url, host, port, fail);
}

/*
 * The redirections.
 */

/* The word at the start, with the blank behind it taken as well. */
static struct span
take_word(struct span *text)
{
	ptrdiff_t blank = span_index(*text, ' ');
	struct span word = blank == -1 ? *text :
	    span_head(*text, (size_t)blank);

	*text = span_from(*text, word.len + (blank != -1));
	return word;
}

int
slots_read_redirect(const struct reply *reply, unsigned slot,
    struct redirect *redirect, struct fail *fail)
{
	struct span rest, place;
	ptrdiff_t colon;
	uint64_t told;

	redirect->is_ask = reply_is_error(reply, "ASK");
	if (!redirect->is_ask && !reply_is_error(reply, "MOVED"))
		return 0;
	rest = reply_span(reply);
	(void)take_word(&rest);
	if (span_to_u64(take_word(&rest), &told) == -1 || told != slot)
		return fail_set(fail, FAIL_TEMP, "Redis redirects with a slot "
		    "that was not asked for");
	place = take_word(&rest);
	colon = span_rindex(place, ':');
	if (colon == -1 || set_place(&redirect->url,
	    span_head(place, (size_t)colon),
	    span_from(place, (size_t)colon + 1), fail) == -1)
		return fail_set(fail, FAIL_TEMP,
		    "Redis redirects to an address that is none");
	return 1;
}

/*
 * The map.
 */

struct slots_map *
slots_map_new(void)
{
	struct slots_map *map = xcalloc(1, sizeof(*map));

	for (unsigned i = 0; i < STORE_PARTITIONS_MAX; i++)
		map->owners[i] = SLOTS_NOBODY;
	return map;
}

/* Which of the nodes it is; one more where it is none. */
static unsigned
number_of(struct slots_map *map, const struct url *url)
{
	unsigned i = 0;

	while (i < map->count && !url_is_same(&map->nodes[i], url))
		i++;
	if (i == map->count)
		map->nodes[map->count++] = *url;
	return i;
}

/* The primary of a range: host or nil, and port. */
static int
read_primary(const struct reply *node, struct url *url, struct fail *fail)
{
	char port[24];
	struct span host = span_of(NULL, 0);

	if (node->type != REPLY_ARRAY || node->len < 2 ||
	    node->elements[1]->type != REPLY_INTEGER ||
	    (node->elements[0]->type != REPLY_STRING &&
	    node->elements[0]->type != REPLY_NIL))
		return fail_set(fail, FAIL_TEMP, "no host and port");
	if (node->elements[0]->type == REPLY_STRING)
		host = reply_span(node->elements[0]);
	(void)snprintf(port, sizeof(port), "%lld", node->elements[1]->integer);
	return set_place(url, host, span_str(port), fail);
}

static int
read_range(const struct reply *range, const struct url *asked,
    const unsigned *slots, struct slots_map *map, struct fail *fail)
{
	struct url url = *asked;
	long long from, to;

	if (range->type != REPLY_ARRAY || range->len < 3 ||
	    range->elements[0]->type != REPLY_INTEGER ||
	    range->elements[1]->type != REPLY_INTEGER)
		return fail_set(fail, FAIL_TEMP, "Redis answered CLUSTER SLOTS "
		    "with something else than ranges of slots");
	from = range->elements[0]->integer;
	to = range->elements[1]->integer;
	for (unsigned i = 0; i < STORE_PARTITIONS_MAX; i++) {
		/* So there are no more nodes than partitions. */
		if (slots[i] < from || slots[i] > to ||
		    map->owners[i] != SLOTS_NOBODY)
			continue;
		if (read_primary(range->elements[2], &url, fail) == -1)
			return fail_set(fail, FAIL_TEMP, "Redis answered "
			    "CLUSTER SLOTS with a node that has no address");
		map->owners[i] = number_of(map, &url);
	}
	return 0;
}

static int
fail_cluster(const struct reply *reply, struct fail *fail)
{
	if (reply_is_error(reply, "NOPERM"))
		return fail_set(fail, FAIL_SETUP, "the Redis user may not ask "
		    "who is in the cluster: add +cluster|slots +cluster|info "
		    "+asking to its ACL rule");
	return reply_fail(reply, fail);
}

int
slots_read_map(const struct reply *reply, const struct url *asked,
    struct slots_map *map, struct fail *fail)
{
	unsigned slots[STORE_PARTITIONS_MAX];

	if (reply->type != REPLY_ARRAY)
		return fail_cluster(reply, fail);
	for (unsigned i = 0; i < STORE_PARTITIONS_MAX; i++)
		slots[i] = slots_of_partition(i);
	for (size_t i = 0; i < reply->len; i++)
		if (read_range(reply->elements[i], asked, slots, map, fail) ==
		    -1)
			return -1;
	return 0;
}

int
slots_read_info(const struct reply *reply, bool *is_ok, uint64_t *epoch,
    struct fail *fail)
{
	if (reply->type != REPLY_STRING)
		return fail_cluster(reply, fail);
	*is_ok = span_is(reply_info(reply, "cluster_state"), SPAN("ok"));
	if (span_to_u64(reply_info(reply, "cluster_current_epoch"), epoch) ==
	    -1)
		return fail_set(fail, FAIL_TEMP, "Redis does not tell its "
		    "cluster_current_epoch");
	return 0;
}
