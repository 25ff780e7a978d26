/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A look at the text of a configuration before libconfig gets it, for what
 * libconfig 1.5 does not survive or silently gets wrong: it ends the process
 * when an included file is a directory, recurses without bound, takes a comment
 * that never ends for a good one, stops at NUL and cuts large numbers.
 */
#ifndef SETTINGS_SOURCE_H
#define SETTINGS_SOURCE_H

#include "base/span.h"
#include "settings/problems.h"

#define SOURCE_MAX		(1024 * 1024)	/* bytes, with included files */
#define SOURCE_DEPTH_MAX	32		/* brackets within brackets */
#define SOURCE_INCLUDES_MAX	8		/* files within files */

/* The directory of a file, which relative @include paths start from; owned by
 * the caller. */
char	*source_directory(const char *path)
	    __attribute__((returns_nonnull, warn_unused_result));
/* file as it stands in an @include, seen from directory; owned by the
 * caller. */
char	*source_resolve(const char *directory, const char *file)
	    __attribute__((returns_nonnull, warn_unused_result));
/* Adds what is wrong with the text and the files that it includes. */
void	source_check(struct span text, const char *directory,
	    struct problems *problems);

#endif
