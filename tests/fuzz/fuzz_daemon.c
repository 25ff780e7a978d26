/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What a control socket answers, for people: no control character but the ends
 * of lines gets through.
 */
#include <stdint.h>
#include <stdlib.h>

#include "ctl/daemon.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = BUF_INIT(2 * DAEMON_TEXT_MAX);
	bool has_problem;
	struct fail fail;

	(void)!daemon_describe(span_of(data, size), "consent-milter", &out,
	    &has_problem, &fail);
	for (size_t i = 0; i < out.len; i++)
		if ((unsigned char)out.data[i] < 0x20 && out.data[i] != '\n')
			abort();
	buf_fini(&out);
	return 0;
}
