/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The commands of consentctl, in one table: what the command line is parsed by,
 * --help prints, mistakes are compared with, and a shell completes.  Constant;
 * thread-safe.
 */
#ifndef CTL_COMMAND_H
#define CTL_COMMAND_H

#include <stddef.h>

#include "ctl/ctl.h"

/* What completes an argument, besides fixed words: the ids of the lists that
 * are configured, the names of the commands, files, directories. */
#define COMPLETE_LISTS		"@lists"
#define COMPLETE_COMMANDS	"@commands"
#define COMPLETE_FILES		"@files"
#define COMPLETE_DIRECTORIES	"@directories"

struct command_option {
	int		 value;		/* what ctl_getopt() returns; not 'h' */
	const char	*name;		/* of one letter: -f; NULL: the end */
	const char	*argument;	/* its name in --help; NULL: takes none */
	const char	*completes;	/* words and COMPLETE_..., a blank between
					   two; NULL: nothing */
	const char	*help;		/* the same value twice: said once */
};

/* The options of `grant' from here on are fields of evidence. */
#define COMMAND_EVIDENCE	256

enum command_group {
	GROUP_CONSENTS,
	GROUP_RIGHTS,
	GROUP_LOG,
	GROUP_OPERATION,
	GROUP_HIDDEN		/* for programs: not in the list */
};

struct command {
	const char	*name;
	ctl_command	 run;
	enum command_group group;
	const struct command_option *options;	/* all but --help, which each
						   has; NULL: no other */
	const char	*synopsis;	/* forms of it, one a line */
	const char	*completes;	/* its arguments; as for an option */
	const char	*summary;	/* one line */
	const char	*details;	/* what --help tells beyond; NULL */
};

/* In the order of --help. */
extern const struct command command_table[];
extern const size_t command_count;
/* What stands before the command, as if it were one. */
extern const struct command command_program;

/* NULL when there is none of this name. */
const struct command *command_find(const char *name);

#endif
