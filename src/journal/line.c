/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * One line of a journal, both ways.  The frame around the body has a fixed
 * form, so that a line can be taken apart without parsing JSON, and the bytes
 * that the digest covers are beyond doubt.
 */
#include "journal/private.h"

#include <inttypes.h>
#include <string.h>

#include "base/codec.h"
#include "base/crypto.h"

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

void
journal_digest(const unsigned char salt[JOURNAL_SALT_BYTES], struct span body,
    unsigned char out[CRYPTO_DIGEST_BYTES])
{
	static const char context[] = "consent-milter journal body v1";
	unsigned char lengths[3][8] = { { 0 } };
	struct span pieces[] = {
		span_of(lengths[0], 8), span_of(context, sizeof(context)),
		span_of(lengths[1], 8), span_of(salt, JOURNAL_SALT_BYTES),
		span_of(lengths[2], 8), body
	};

	big_endian(lengths[0], sizeof(context));
	big_endian(lengths[1], JOURNAL_SALT_BYTES);
	big_endian(lengths[2], body.len);
	crypto_sha256(pieces, 6, out);
}

void
journal_chain(const unsigned char previous[JOURNAL_CHAIN_BYTES], uint64_t seq,
    struct span type, const unsigned char digest[CRYPTO_DIGEST_BYTES],
    unsigned char out[JOURNAL_CHAIN_BYTES])
{
	static const char context[] = "consent-milter journal chain v1";
	unsigned char lengths[4][8] = { { 0 } }, number[8] = { 0 };
	struct span pieces[] = {
		span_of(lengths[0], 8), span_of(context, sizeof(context)),
		span_of(lengths[1], 8),
		span_of(previous, JOURNAL_CHAIN_BYTES), span_of(number, 8),
		span_of(lengths[2], 8), type,
		span_of(lengths[3], 8), span_of(digest, CRYPTO_DIGEST_BYTES)
	};

	big_endian(lengths[0], sizeof(context));
	big_endian(lengths[1], JOURNAL_CHAIN_BYTES);
	big_endian(number, seq);
	big_endian(lengths[2], type.len);
	big_endian(lengths[3], CRYPTO_DIGEST_BYTES);
	crypto_sha256(pieces, 9, out);
}

void
journal_line_format(struct buf *out, uint64_t seq, struct span type,
    struct span body, const unsigned char salt[JOURNAL_SALT_BYTES],
    unsigned char chain[JOURNAL_CHAIN_BYTES])
{
	unsigned char digest[CRYPTO_DIGEST_BYTES];

	journal_digest(salt, body, digest);
	journal_chain(chain, seq, type, digest, chain);
	buf_addf(out, "{\"seq\":%" PRIu64 ",\"type\":\"%.*s\",", seq,
	    (int)type.len, (const char *)type.p);
	buf_add_span(out, body);
	buf_add_str(out, body.len > 0 ? "," SALT_PART : SALT_PART);
	hex_format(out, salt, JOURNAL_SALT_BYTES);
	buf_add_str(out, DIGEST_PART);
	hex_format(out, digest, CRYPTO_DIGEST_BYTES);
	buf_add_str(out, CHAIN_PART);
	hex_format(out, chain, JOURNAL_CHAIN_BYTES);
	buf_add_str(out, "\"}\n");
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
	if (span_is(out->body, SPAN("\"blanked\":true,"))) {
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
