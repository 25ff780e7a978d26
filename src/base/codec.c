/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * All these codecs are the same walk over bits; they differ in the alphabet
 * and in how many bits a character holds.
 */
#include "base/codec.h"

#include <stdint.h>
#include <string.h>

static const char hex_alphabet[] = "0123456789abcdef";
static const char base32_alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
static const char base64url_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* @UNSAFE */
static void
encode(struct buf *out, const void *p, size_t len, const char *alphabet,
    unsigned width)
{
	const unsigned char *in = p;
	uint32_t acc = 0;
	unsigned have = 0;
	size_t written = (len * 8 + width - 1) / width;
	char *to = buf_reserve(out, written);

	if (to == NULL)
		return;
	for (size_t i = 0; i < len; i++) {
		acc = (acc << 8) | in[i];
		have += 8;
		while (have >= width) {
			have -= width;
			*to++ = alphabet[(acc >> have) & ((1u << width) - 1)];
		}
		acc &= (1u << have) - 1;
	}
	if (have > 0)
		*to++ = alphabet[acc << (width - have)];
	*to = '\0';
	out->len += written;
}

static int
decode(struct span text, void *p, size_t len, const char *alphabet,
    unsigned width)
{
	unsigned char *out = p;
	uint32_t acc = 0;
	unsigned have = 0;
	size_t n = 0;

	if (text.len != (len * 8 + width - 1) / width)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		const char *at = text.p[i] == '\0' ? NULL :
		    strchr(alphabet, text.p[i]);

		if (at == NULL)
			return -1;
		acc = (acc << width) | (uint32_t)(at - alphabet);
		have += width;
		if (have >= 8) {
			have -= 8;
			out[n++] = (unsigned char)(acc >> have);
			acc &= (1u << have) - 1;
		}
	}
	/* Left-over bits must be zero, or two texts would give one value. */
	return acc == 0 && n == len ? 0 : -1;
}

void
hex_format(struct buf *out, const void *p, size_t len)
{
	encode(out, p, len, hex_alphabet, 4);
}

/* What each byte is worth, with 1 added; 0: it is no digit. */
static const unsigned char nibbles[256] = {
	['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6,
	['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12,
	['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16
};

/* By itself: searching the alphabet was half of the time of reading a
 * journal. */
int
hex_parse(struct span text, void *out, size_t len)
{
	unsigned char *to = out;
	bool good = true;

	if (text.len != 2 * len)
		return -1;
	for (size_t i = 0; i < len; i++) {
		unsigned high = nibbles[text.p[2 * i]];
		unsigned low = nibbles[text.p[2 * i + 1]];

		good &= high != 0 && low != 0;
		to[i] = (unsigned char)((high - 1) << 4 | (low - 1));
	}
	return good ? 0 : -1;
}

void
base32_format(struct buf *out, const void *p, size_t len)
{
	encode(out, p, len, base32_alphabet, 5);
}

int
base32_parse(struct span text, void *out, size_t len)
{
	unsigned char lower[128];

	if (text.len > sizeof(lower))
		return -1;
	for (size_t i = 0; i < text.len; i++)
		lower[i] = ascii_tolower(text.p[i]);
	return decode(span_of(lower, text.len), out, len, base32_alphabet, 5);
}

void
base64url_format(struct buf *out, const void *p, size_t len)
{
	encode(out, p, len, base64url_alphabet, 6);
}

int
base64url_parse(struct span text, void *out, size_t len)
{
	return decode(text, out, len, base64url_alphabet, 6);
}

void
base64_format(struct buf *out, const void *p, size_t len)
{
	encode(out, p, len, base64_alphabet, 6);
	for (; len % 3 != 0; len++)
		buf_add_char(out, '=');
}

int
base64_parse(struct span text, void *out, size_t max, size_t *len)
{
	size_t padding = 0, n;

	if (text.len % 4 != 0)
		return -1;
	while (padding < 2 && padding < text.len &&
	    text.p[text.len - 1 - padding] == '=')
		padding++;
	n = text.len / 4 * 3 - padding;
	if (n > max || decode(span_head(text, text.len - padding), out, n,
	    base64_alphabet, 6) == -1)
		return -1;
	*len = n;
	return 0;
}
