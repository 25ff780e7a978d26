/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "rights/cell.h"

#include <stdbool.h>
#include <string.h>

static bool
is_formula(struct span text)
{
	return text.len > 0 && text.p[0] != '\0' &&
	    strchr("=+-@\t\r", text.p[0]) != NULL;
}

static void
print_cell(FILE *out, struct span text, bool last)
{
	fputc('"', out);
	if (is_formula(text))
		fputc('\'', out);
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] == '"')
			fputc('"', out);
		fputc(text.p[i], out);
	}
	fputs(last ? "\"\r\n" : "\",", out);
}

void
cell_print_row(FILE *out, const struct span *cells, size_t n)
{
	for (size_t i = 0; i < n; i++)
		print_cell(out, cells[i], i + 1 == n);
}
