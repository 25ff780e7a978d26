/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A text twice, with an empty line between, has twice of everything; and no
 * count is more than what it is made of.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "ctl/readable.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct readable once = readable_measure(span_of(data, size)), twice;
	struct buf both = BUF_INIT(2 * 1024 * 1024);

	if (once.words > size || once.long_words > once.words ||
	    once.sentences > once.words ||
	    (once.sentences == 0) != (once.words == 0))
		abort();
	if (readable_words_per_sentence(&once) > once.words ||
	    readable_lix(&once) > once.words + 100)
		abort();
	buf_add(&both, data, size);
	buf_add_str(&both, "\n\n");
	buf_add(&both, data, size);
	twice = readable_measure(buf_span(&both));
	if (!both.overflow && (twice.words != 2 * once.words ||
	    twice.long_words != 2 * once.long_words ||
	    twice.sentences != 2 * once.sentences))
		abort();
	buf_fini(&both);
	return 0;
}
