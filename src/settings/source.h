/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The text of a configuration, with included files in their places, and where
 * each line comes from.  libconfig does not include files for us: version 1.5
 * ends the process when one is a directory, and takes no absolute path where
 * relative ones are to work.  Also found here is what it silently gets wrong:
 * a comment that never ends, bytes behind a NUL, large numbers, and nesting
 * without bound.
 */
#ifndef SETTINGS_SOURCE_H
#define SETTINGS_SOURCE_H

#include "base/buf.h"
#include "base/span.h"
#include "settings/problems.h"

#define SOURCE_MAX		(1024 * 1024)	/* bytes, with included files */
#define SOURCE_DEPTH_MAX	32		/* brackets within brackets */
#define SOURCE_INCLUDES_MAX	8		/* files within files */

/* From this line of the whole text on, lines are those of a file. */
struct source_piece {
	unsigned	 line;
	char		*file;
	unsigned	 file_line;
};

struct source {
	struct buf		 text;	/* for libconfig */
	struct source_piece	*pieces;
	size_t			 count;
	size_t			 lines_counted;	/* bytes of text */
};

/* Takes the text of the problems' main file and adds what is wrong with it and
 * the files that it includes.  Usable only when nothing was. */
void	source_init(struct source *source, struct span text,
	    struct problems *problems);
void	source_fini(struct source *source);
/* Where a line of the whole text stands.  file is borrowed. */
void	source_locate(const struct source *source, unsigned line,
	    const char **file, unsigned *file_line);

#endif
