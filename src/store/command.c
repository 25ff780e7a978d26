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
command_key(struct buf *out, const struct subject *subject)
{
	static const char digits[] = "0123456789abcdef";
	char key[2 + 2 * SUBJECT_BYTES] = "c:";

	for (size_t i = 0; i < SUBJECT_BYTES; i++) {
		key[2 + 2 * i] = digits[subject->id[i] >> 4];
		key[3 + 2 * i] = digits[subject->id[i] & 15];
	}
	command_add(out, span_of(key, sizeof(key)));
}
