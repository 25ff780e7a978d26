/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The line of an element of a document: where there is such an element, there
 * is a line, and it is in the text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define LOOKED_AT	64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* 1 when it is there, of whatever type; 0 behind the last. */
static int
has_element(const struct json_object *document, size_t i)
{
	struct json_object *element = NULL;
	int rc = json_object_element(document, "events", i, &element);

	json_object_free(&element);
	return rc;
}

static void
look(struct span text, const struct json_object *document, uint64_t lines)
{
	bool is_plain = span_index(text, '\\') == -1;

	for (size_t i = 0; i < LOOKED_AT; i++) {
		uint64_t line = json_element_line(text, "events", i);
		int has = has_element(document, i);

		if (line > lines || (has == 0 && line != 0) ||
		    (is_plain && has == 1 && line == 0))
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_of(data, size);
	struct json_object *document = NULL;
	uint64_t lines = 1;
	struct fail fail;

	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	/* It ends, whatever the text is. */
	if (json_element_line(text, "events", 1) > lines)
		abort();
	if (json_document_parse(text, &document, &fail) == 0)
		look(text, document, lines);
	json_object_free(&document);
	return 0;
}
