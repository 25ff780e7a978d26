/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * CSV (RFC 4180) that is safe to open in a spreadsheet.
 */
#ifndef RIGHTS_CELL_H
#define RIGHTS_CELL_H

#include <stddef.h>
#include <stdio.h>

#include "base/span.h"

/* Prints a row, each cell quoted; one that a spreadsheet would take
 * for a formula begins with an apostrophe. */
void	cell_print_row(FILE *out, const struct span *cells, size_t n);

#endif
