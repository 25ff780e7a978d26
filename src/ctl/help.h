/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What the table of commands says, as text for people.  Thread-safe.
 */
#ifndef CTL_HELP_H
#define CTL_HELP_H

#include <stdio.h>

#include "ctl/command.h"

/* "usage: consentctl COMMAND ...", each form on lines of its own. */
void	help_synopsis(FILE *to, const struct command *command);
/* The commands, by group. */
void	help_commands(FILE *to);
/* One command, with its options. */
void	help_command(FILE *to, const struct command *command);

#endif
