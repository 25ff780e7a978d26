/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * CSV (RFC 4180) that is safe to open in a spreadsheet.
 */
#ifndef CTL_CELL_H
#define CTL_CELL_H

#include <stddef.h>

#include "base/span.h"

/* Prints a row to stdout, each cell quoted; one that a spreadsheet would take
 * for a formula begins with an apostrophe. */
void	cell_print_row(const struct span *cells, size_t n);

#endif
