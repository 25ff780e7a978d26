/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The request side of RESP: an array of strings with their lengths, so that no
 * byte of a word can become syntax.  Written by hand because it is done for
 * every recipient and 10^7 times in an import.
 */
#include "store/private.h"

#include <stdarg.h>
#include <string.h>

static void
add_length(struct buf *out, char type, size_t n)
{
	char text[24];
	size_t at = sizeof(text);

	text[--at] = '\n';
	text[--at] = '\r';
	do {
		text[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n != 0);
	text[--at] = type;
	buf_add(out, text + at, sizeof(text) - at);
}

void
command_begin(struct buf *out, size_t count)
{
	add_length(out, '*', count);
}

void
command_add(struct buf *out, struct span word)
{
	add_length(out, '$', word.len);
	buf_add_span(out, word);
	buf_add(out, "\r\n", 2);
}

void
command_format(struct buf *out, ...)
{
	const char *word;
	size_t count = 0;
	va_list ap;

	va_start(ap, out);
	while (va_arg(ap, const char *) != NULL)
		count++;
	va_end(ap);
	command_begin(out, count);
	va_start(ap, out);
	while ((word = va_arg(ap, const char *)) != NULL)
		command_add(out, span_str(word));
	va_end(ap);
}

void
command_log_in(struct buf *out, const char *username, const char *password)
{
	if (username != NULL)
		command_format(out, "AUTH", username, password, (char *)NULL);
	else
		command_format(out, "AUTH", password, (char *)NULL);
}

static size_t
add_hex(char *out, size_t at, unsigned byte)
{
	static const char digits[] = "0123456789abcdef";

	out[at++] = digits[byte >> 4 & 15];
	out[at++] = digits[byte & 15];
	return at;
}

/* "{ab}" */
static size_t
add_tag(char *out, size_t at, unsigned partition)
{
	out[at++] = '{';
	at = add_hex(out, at, partition);
	out[at++] = '}';
	return at;
}

void
command_key(struct buf *out, const struct subject *subject,
    unsigned partitions)
{
	char key[sizeof("c:{ab}") + 2 * SUBJECT_BYTES] = "c:";
	size_t at = 2;

	if (partitions > 1)
		at = add_tag(key, at, store_partition_of(subject, partitions));
	for (size_t i = 0; i < SUBJECT_BYTES; i++)
		at = add_hex(key, at, subject->id[i]);
	command_add(out, span_of(key, at));
}

void
command_cursor_key(struct buf *out, unsigned partition, unsigned partitions)
{
	char key[sizeof("c:applied:{ab}")] = "c:applied:";
	size_t at = strlen(key);

	if (partitions > 1)
		at = add_tag(key, at, partition);
	else
		at--;
	command_add(out, span_of(key, at));
}
