/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

void
buf_init(struct buf *b, size_t max_bytes)
{
	*b = (struct buf)BUF_INIT(max_bytes);
}

void
buf_fini(struct buf *b)
{
	if (!b->borrowed)
		free(b->data);
	buf_init(b, b->max);
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
	b->overflow = false;
	if (b->data != NULL)
		b->data[0] = '\0';
}

/* @UNSAFE */
static void
grow(struct buf *b, size_t size)
{
	if (b->borrowed) {
		char *own = xrealloc(NULL, size, 1);

		memcpy(own, b->data, b->len);
		own[b->len] = '\0';
		b->data = own;
		b->borrowed = false;
	} else
		b->data = xrealloc(b->data, size, 1);
	b->size = size;
}

char *
buf_reserve(struct buf *b, size_t len)
{
	if (b->overflow || len > b->max - b->len) {
		b->overflow = true;
		return NULL;
	}
	if (b->size - b->len < len + 1) {
		size_t size = b->size ? b->size : 64;

		while (size - b->len < len + 1)
			size *= 2;
		grow(b, size);
	}
	return b->data + b->len;
}

void
buf_add(struct buf *b, const void *p, size_t len)
{
	char *to = buf_reserve(b, len);

	if (to == NULL)
		return;
	if (len != 0)
		memcpy(to, p, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void
buf_add_span(struct buf *b, struct span s)
{
	buf_add(b, s.p, s.len);
}

void
buf_add_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_add_char(struct buf *b, char c)
{
	char *to = buf_reserve(b, 1);

	if (to == NULL)
		return;
	to[0] = c;
	to[1] = '\0';
	b->len++;
}

void
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	char small[256];
	int n;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->overflow = true;
	} else if ((size_t)n < sizeof(small)) {
		buf_add(b, small, (size_t)n);
	} else {
		char *to = buf_reserve(b, (size_t)n);

		if (to == NULL)
			return;
		va_start(ap, fmt);
		(void)vsnprintf(to, (size_t)n + 1, fmt, ap);
		va_end(ap);
		b->len += (size_t)n;
	}
}

void
buf_consume(struct buf *b, size_t len)
{
	if (len == 0)
		return;
	memmove(b->data, b->data + len, b->len - len);
	b->len -= len;
	b->data[b->len] = '\0';
}

void
buf_truncate(struct buf *b, size_t len)
{
	if (len >= b->len)
		return;
	b->len = len;
	b->data[len] = '\0';
}

const char *
buf_get(const struct buf *b)
{
	return b->len != 0 ? b->data : "";
}

struct span
buf_span(const struct buf *b)
{
	return span_of(b->data, b->len);
}

char *
buf_take(struct buf *b)
{
	char *data = b->data;

	if (b->borrowed || b->len == 0) {
		data = xmemdupz(b->data, b->len);
		buf_fini(b);
	}
	buf_init(b, b->max);
	return data;
}
