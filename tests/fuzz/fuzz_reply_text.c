/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The words of a reply, a NUL, a recipient, a NUL, a list's name: whatever they
 * are, a reply is one line of printable ASCII, and where the words were taken
 * it has its reference.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/span.h"
#include "base/xalloc.h"
#include "consent/reply_text.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REF	"k7d3mzq2x5b4e"

/* What comes before the next NUL. */
static char *
next(struct span *rest)
{
	ptrdiff_t end = span_index(*rest, '\0');
	struct span text = span_head(*rest, end == -1 ? rest->len :
	    (size_t)end);

	*rest = span_from(*rest, text.len + 1);
	return xmemdupz(text.p, text.len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_of(data, size);
	char *text = next(&rest), *recipient = next(&rest);
	char *list = next(&rest), out[REPLY_TEXT_MAX + 1];
	struct reply_values values = { .recipient = recipient, .others = size,
	    .list = list, .ref = REF, .contact = "privacy@example.com",
	    .pages = "https://news.example.com/my/" };
	struct fail unused;

	reply_text_expand(out, text, &values);
	if (strlen(out) > REPLY_TEXT_MAX)
		abort();
	if (reply_text_check(text, &unused) == 0 &&
	    reply_text_check_values(text, &values, &unused) == 0) {
		for (const char *p = out; *p != '\0'; p++)
			if (!ascii_isprint((unsigned char)*p))
				abort();
		if (strstr(out, REF) == NULL)
			abort();
	}
	free(text);
	free(recipient);
	free(list);
	return 0;
}
