/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Of an object, the scanner says what the parser says, or nothing.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "ctl/member.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "time", "list", "action",
	    "reason" };
	struct span text = span_of(data, size), values[4];
	struct json_object *object;
	struct fail unused;

	if (member_scan(text, names, 4, values) == -1 ||
	    json_object_parse(text, &object, &unused) == -1)
		return 0;
	for (size_t i = 0; i < 4; i++) {
		struct span want;
		bool has = json_object_string(object, names[i], &want) == 1;

		if (has != (values[i].p != NULL) ||
		    (has && !span_is(values[i], want)))
			abort();
	}
	json_object_free(&object);
	return 0;
}
