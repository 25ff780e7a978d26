/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/cell.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool
is_formula(struct span text)
{
	return text.len > 0 && text.p[0] != '\0' &&
	    strchr("=+-@\t\r", text.p[0]) != NULL;
}

static void
print_cell(struct span text, bool last)
{
	putchar('"');
	if (is_formula(text))
		putchar('\'');
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] == '"')
			putchar('"');
		putchar(text.p[i]);
	}
	fputs(last ? "\"\r\n" : "\",", stdout);
}

void
cell_print_row(const struct span *cells, size_t n)
{
	for (size_t i = 0; i < n; i++)
		print_cell(cells[i], i + 1 == n);
}
