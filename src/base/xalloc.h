/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Memory that is there or the process is not.  Out of memory ends the process:
 * the MTA defers mail meanwhile and nothing is lost.  This is acceptable only
 * because every size that a peer controls is bounded before it is allocated.
 * Results are owned by the caller, who calls free().  Thread-safe.
 */
#ifndef BASE_XALLOC_H
#define BASE_XALLOC_H

#include <stddef.h>

/* Zeroed memory for count objects of size bytes. */
void	*xcalloc(size_t count, size_t size)
	    __attribute__((malloc, returns_nonnull, warn_unused_result));
/* Like realloc() for count objects of size bytes; new memory is not zeroed. */
void	*xrealloc(void *p, size_t count, size_t size)
	    __attribute__((returns_nonnull, warn_unused_result));
char	*xstrdup(const char *s)
	    __attribute__((malloc, returns_nonnull, warn_unused_result));
/* len bytes of p and a NUL behind them. */
char	*xmemdupz(const void *p, size_t len)
	    __attribute__((malloc, returns_nonnull, warn_unused_result));

#endif
