/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * List-* fields as tools send them, and links as a configuration might make
 * them: what is written holds exactly what was put in.
 */
#include <stdlib.h>

#include "mail/list_field.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(int ok)
{
	if (!ok)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_of(data, size), id;
	struct list_unsubscribe lu;
	struct buf out = BUF_INIT(8192), url = BUF_INIT(8192);
	struct fail fail;

	list_unsubscribe_parse(in, &lu);
	must(lu.count <= LIST_UNSUBSCRIBE_URIS);
	for (size_t i = 0; i < lu.count; i++)
		must(lu.uri[i].len > 0 && lu.uri[i].p >= data &&
		    lu.uri[i].p + lu.uri[i].len <= data + size);
	if (list_id_parse(in, &id) == 1)
		must(list_id_is_valid(id));
	buf_add_str(&url, "https://x.example/");
	buf_add_span(&url, span_head(in, 4096));
	if (list_unsubscribe_format(&out, buf_span(&url), span_head(in, 64),
	    &fail) == 0) {
		list_unsubscribe_parse(buf_span(&out), &lu);
		must(lu.count == (size > 0 ? 2 : 1));
		must(span_is(lu.uri[0], buf_span(&url)));
	}
	buf_fini(&out);
	buf_fini(&url);
	return 0;
}
