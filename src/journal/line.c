/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * One line of a journal, both ways.  The frame around the body has a fixed
 * form, so that a line can be taken apart without parsing JSON, and the bytes
 * that the digest covers are beyond doubt.
 */
#include "journal/private.h"

#include <string.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "base/date.h"
#include "base/json.h"

/* ,"salt":"32","digest":"64","chain":"64"} */
#define SALT_PART	"\"salt\":\""
#define DIGEST_PART	"\",\"digest\":\""
#define CHAIN_PART	"\",\"chain\":\""
#define SALT_HEX	(2 * JOURNAL_SALT_BYTES)
#define DIGEST_HEX	(2 * CRYPTO_DIGEST_BYTES)
#define HASHES_LEN	(sizeof("\"digest\":\"") - 1 + DIGEST_HEX + \
	sizeof(CHAIN_PART) - 1 + DIGEST_HEX + sizeof("\"}") - 1)

static void
big_endian(unsigned char out[8], uint64_t value)
{
	for (int i = 7; i >= 0; i--) {
		out[i] = (unsigned char)value;
		value >>= 8;
	}
}

/* Adds a text with its length before it; returns where it ends.  @UNSAFE */
static unsigned char *
put_text(unsigned char *to, const void *text, size_t len)
{
	big_endian(to, len);
	memcpy(to + 8, text, len);
	return to + 8 + len;
}

void
journal_digest(struct crypto_hash *hash,
    const unsigned char salt[JOURNAL_SALT_BYTES], struct span body,
    unsigned char out[CRYPTO_DIGEST_BYTES])
{
	static const char context[] = "consent-milter journal body v1";
	unsigned char head[8 + sizeof(context) + 8 + JOURNAL_SALT_BYTES + 8];
	unsigned char *to = head;
	struct span pieces[2];

	to = put_text(to, context, sizeof(context));
	to = put_text(to, salt, JOURNAL_SALT_BYTES);
	big_endian(to, body.len);
	pieces[0] = span_of(head, sizeof(head));
	pieces[1] = body;
	crypto_hash_sum(hash, pieces, 2, out);
}

void
journal_chain(struct crypto_hash *hash,
    const unsigned char previous[JOURNAL_CHAIN_BYTES], uint64_t seq,
    struct span type, const unsigned char digest[CRYPTO_DIGEST_BYTES],
    unsigned char out[JOURNAL_CHAIN_BYTES])
{
	static const char context[] = "consent-milter journal chain v1";
	unsigned char all[8 + sizeof(context) + 8 + JOURNAL_CHAIN_BYTES + 8 +
	    8 + JOURNAL_TYPE_MAX + 8 + CRYPTO_DIGEST_BYTES];
	unsigned char *to = all;
	struct span piece;

	to = put_text(to, context, sizeof(context));
	to = put_text(to, previous, JOURNAL_CHAIN_BYTES);
	big_endian(to, seq);
	to = put_text(to + 8, type.p, type.len);
	to = put_text(to, digest, CRYPTO_DIGEST_BYTES);
	piece = span_of(all, (size_t)(to - all));
	crypto_hash_sum(hash, &piece, 1, out);
}

/* What follows writes into memory that was reserved for the whole line: it is
 * on the path of each decision.  @UNSAFE */
static char *
put_bytes(char *to, const void *p, size_t len)
{
	if (len != 0)
		memcpy(to, p, len);
	return to + len;
}

#define PUT(to, literal)	put_bytes(to, literal, sizeof(literal) - 1)

static char *
put_number(char *to, uint64_t value)
{
	char digits[20];
	size_t n = 0;

	do
		digits[sizeof(digits) - ++n] = (char)('0' + value % 10);
	while ((value /= 10) != 0);
	return put_bytes(to, digits + sizeof(digits) - n, n);
}

static char *
put_hex(char *to, const unsigned char *p, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*to++ = digits[p[i] >> 4];
		*to++ = digits[p[i] & 15];
	}
	return to;
}

void
journal_line_format(struct buf *out, struct crypto_hash *hash, uint64_t seq,
    struct span type, struct span body,
    const unsigned char salt[JOURNAL_SALT_BYTES],
    unsigned char chain[JOURNAL_CHAIN_BYTES])
{
	unsigned char digest[CRYPTO_DIGEST_BYTES];
	char *to = buf_reserve(out, body.len + JOURNAL_FRAME_MAX);

	if (to == NULL)
		return;
	journal_digest(hash, salt, body, digest);
	journal_chain(hash, chain, seq, type, digest, chain);
	to = PUT(to, "{\"seq\":");
	to = put_number(to, seq);
	to = PUT(to, ",\"type\":\"");
	to = put_bytes(to, type.p, type.len);
	to = PUT(to, "\",");
	to = put_bytes(to, body.p, body.len);
	if (body.len > 0)
		*to++ = ',';
	to = PUT(to, SALT_PART);
	to = put_hex(to, salt, JOURNAL_SALT_BYTES);
	to = PUT(to, DIGEST_PART);
	to = put_hex(to, digest, CRYPTO_DIGEST_BYTES);
	to = PUT(to, CHAIN_PART);
	to = put_hex(to, chain, JOURNAL_CHAIN_BYTES);
	to = PUT(to, "\"}\n");
	*to = '\0';
	out->len = (size_t)(to - out->data);
}

bool
journal_type_is_valid(struct span type)
{
	if (type.len == 0 || type.len > JOURNAL_TYPE_MAX)
		return false;
	for (size_t i = 0; i < type.len; i++)
		if (type.p[i] < 'a' || type.p[i] > 'z')
			return false;
	return true;
}

static bool
take(struct span *s, const char *literal)
{
	struct span prefix = span_str(literal);

	if (!span_has_prefix(*s, prefix))
		return false;
	*s = span_from(*s, prefix.len);
	return true;
}

static bool
take_hex(struct span *s, unsigned char *out, size_t bytes)
{
	if (s->len < 2 * bytes ||
	    hex_parse(span_head(*s, 2 * bytes), out, bytes) == -1)
		return false;
	*s = span_from(*s, 2 * bytes);
	return true;
}

static bool
take_head(struct span *s, struct journal_entry *out)
{
	ptrdiff_t end;

	if (!take(s, "{\"seq\":") || (end = span_index(*s, ',')) == -1 ||
	    span_to_u64(span_head(*s, (size_t)end), &out->seq) == -1)
		return false;
	*s = span_from(*s, (size_t)end);
	if (!take(s, ",\"type\":\"") || (end = span_index(*s, '"')) == -1)
		return false;
	out->type = span_head(*s, (size_t)end);
	*s = span_from(*s, (size_t)end);
	return journal_type_is_valid(out->type) && take(s, "\",");
}

bool
journal_is_blanked(struct span body)
{
	if (!take(&body, JOURNAL_BLANKED))
		return false;
	for (size_t i = 0; i < body.len; i++)
		if (body.p[i] != ' ')
			return false;
	return true;
}

bool
journal_line_frame(struct span line, uint64_t *seq, struct span *middle)
{
	struct journal_entry entry;
	struct span rest = line;

	if (line.len > JOURNAL_LINE_MAX || !take_head(&rest, &entry) ||
	    rest.len < HASHES_LEN)
		return false;
	*seq = entry.seq;
	*middle = span_head(rest, rest.len - HASHES_LEN);
	return true;
}

int
journal_line_parse(struct span line, struct journal_entry *out,
    struct fail *fail)
{
	struct span rest = line, tail;

	memset(out, 0, sizeof(*out));
	out->object = line;
	if (line.len > JOURNAL_LINE_MAX || span_index(line, '\n') != -1 ||
	    !take_head(&rest, out) || rest.len < HASHES_LEN)
		return fail_set(fail, FAIL_INPUT, "not an entry of a journal");
	tail = span_from(rest, rest.len - HASHES_LEN);
	out->body = span_head(rest, rest.len - HASHES_LEN);
	if (!take(&tail, "\"digest\":\"") ||
	    !take_hex(&tail, out->digest, sizeof(out->digest)) ||
	    !take(&tail, CHAIN_PART) ||
	    !take_hex(&tail, out->chain, sizeof(out->chain)) ||
	    !take(&tail, "\"}"))
		return fail_set(fail, FAIL_INPUT, "not an entry of a journal");
	if (journal_is_blanked(out->body)) {
		out->blanked = true;
		out->body.len = 0;
		return 0;
	}
	if (out->body.len < sizeof(SALT_PART) - 1 + SALT_HEX + 2)
		return fail_set(fail, FAIL_INPUT, "not an entry of a journal");
	tail = span_from(out->body, out->body.len -
	    (sizeof(SALT_PART) - 1 + SALT_HEX + 2));
	out->body.len -= tail.len;
	if (!take(&tail, SALT_PART) ||
	    !take_hex(&tail, out->salt, sizeof(out->salt)) ||
	    !take(&tail, "\","))
		return fail_set(fail, FAIL_INPUT, "not an entry of a journal");
	if (out->body.len > 0) {
		if (out->body.p[out->body.len - 1] != ',')
			return fail_set(fail, FAIL_INPUT,
			    "not an entry of a journal");
		out->body.len--;
	}
	return 0;
}

/* A text of the entry that begins a segment, and whose body is JSON. */
static bool
segment_member(const struct journal_entry *entry, const char *name,
    bool (*read)(struct span text, void *out), void *out)
{
	struct json_object *object;
	struct fail unused;
	struct span text;
	bool ok;

	if (!span_is(entry->type, SPAN("segment")) || entry->blanked ||
	    json_object_parse(entry->object, &object, &unused) == -1)
		return false;
	ok = json_object_string(object, name, &text) == 1 && read(text, out);
	json_object_free(&object);
	return ok;
}

static bool
read_chain(struct span text, void *out)
{
	return hex_parse(text, out, JOURNAL_CHAIN_BYTES) == 0;
}

static bool
read_time(struct span text, void *out)
{
	return date_parse(text, out) == 0;
}

bool
journal_segment_previous(const struct journal_entry *entry,
    unsigned char chain[JOURNAL_CHAIN_BYTES])
{
	return segment_member(entry, "previous", read_chain, chain);
}

bool
journal_segment_time(const struct journal_entry *entry, int64_t *ms)
{
	return segment_member(entry, "time", read_time, ms);
}
