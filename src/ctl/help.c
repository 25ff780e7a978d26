/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "ctl/help.h"

#include <string.h>
#include <sysexits.h>

#define WIDTH		79
#define NAME_COLUMN	19	/* where summaries begin */
#define OPTION_COLUMN	27	/* where the help of options begins */

static const char *const groups[] = {
	[GROUP_CONSENTS] = "Consents",
	[GROUP_RIGHTS] = "Persons' rights",
	[GROUP_LOG] = "The log",
	[GROUP_OPERATION] = "Operation",
};
#define GROUPS	(sizeof(groups) / sizeof(groups[0]))

/* Where a line may be broken: at a blank outside of brackets and quotes. */
static size_t
word_length(const char *text, size_t len)
{
	bool quoted = false;
	int depth = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		if (text[i] == '"')
			quoted = !quoted;
		depth += text[i] == '[';
		depth -= text[i] == ']';
		if (text[i] == ' ' && depth <= 0 && !quoted)
			break;
	}
	return i;
}

/* Prints words up to the margin; *column is where the line stands. */
static void
wrap(FILE *to, const char *text, size_t len, int indent, int *column)
{
	while (len > 0) {
		size_t n = word_length(text, len);

		if (*column > indent && *column + 1 + (int)n > WIDTH) {
			fprintf(to, "\n%*s", indent, "");
			*column = indent;
		} else if (*column > indent)
			*column += fprintf(to, " ");
		*column += fprintf(to, "%.*s", (int)n, text);
		n += strspn(text + n, " ");
		text += n;
		len -= n < len ? n : len;
	}
}

void
help_synopsis(FILE *to, const struct command *command)
{
	const char *form = command->synopsis;
	bool first = true;

	for (;;) {
		size_t len = strcspn(form, "\n");
		int column = fprintf(to, "%s consentctl%s%s", first ?
		    "usage:" : "      ", command->name[0] != '\0' ? " " : "",
		    command->name);

		wrap(to, form, len, 11, &column);
		fputc('\n', to);
		if (form[len] == '\0')
			return;
		form += len + 1;
		first = false;
	}
}

static void
print_paragraph(FILE *to, const char *text)
{
	int column = 0;

	wrap(to, text, strlen(text), 0, &column);
	fputc('\n', to);
}

/* "-f, --sender SENDER", from the rows that have the same value. */
static int
print_names(FILE *to, const struct command_option *o)
{
	int column = fprintf(to, "  ");
	int value = o->value;

	for (const char *comma = ""; o->name != NULL && o->value == value;
	    o++, comma = ", ") {
		column += fprintf(to, "%s%s%s", comma, o->name[1] == '\0' ?
		    "-" : "--", o->name);
		if (o->argument != NULL && o[1].value != value)
			column += fprintf(to, " %s", o->argument);
	}
	return column;
}

static void
print_help_of(FILE *to, int column, const char *text)
{
	if (column > OPTION_COLUMN - 2) {
		fputc('\n', to);
		column = 0;
	}
	column += fprintf(to, "%*s", OPTION_COLUMN - column, "");
	wrap(to, text, strlen(text), OPTION_COLUMN, &column);
	fputc('\n', to);
}

static void
print_options(FILE *to, const struct command_option *options)
{
	fputs("\nOptions:\n", to);
	for (const struct command_option *o = options; o != NULL &&
	    o->name != NULL; o++)
		if (o == options || o->value != o[-1].value)
			print_help_of(to, print_names(to, o), o->help);
	print_help_of(to, fprintf(to, "  --help"), "this text");
}

void
help_commands(FILE *to)
{
	help_synopsis(to, &command_program);
	for (size_t g = 0; g < GROUPS; g++) {
		fprintf(to, "\n%s:\n", groups[g]);
		for (size_t i = 0; i < command_count; i++) {
			const struct command *c = &command_table[i];
			int column;

			if ((size_t)c->group != g)
				continue;
			column = fprintf(to, "  %-*s", NAME_COLUMN - 2,
			    c->name);
			wrap(to, c->summary, strlen(c->summary), NAME_COLUMN,
			    &column);
			fputc('\n', to);
		}
	}
	print_options(to, command_program.options);
	fputs("\n`consentctl help COMMAND' tells more; consentctl(1) "
	    "everything.\n", to);
}

void
help_command(FILE *to, const struct command *command)
{
	help_synopsis(to, command);
	fputc('\n', to);
	print_paragraph(to, command->summary);
	if (command->details != NULL) {
		fputc('\n', to);
		print_paragraph(to, command->details);
	}
	print_options(to, command->options);
}

void
ctl_help(const char *command)
{
	const struct command *c = command_find(command);

	if (c == NULL)
		help_commands(stdout);
	else
		help_command(stdout, c);
}

int
command_help(struct ctl *ctl, int argc, char **argv)
{
	(void)ctl;
	if (argc == 1)
		help_commands(stdout);
	else if (argc > 2)
		return ctl_usage(argv[0], "takes one command");
	else if (strcmp(argv[1], "--help") == 0)
		ctl_help(argv[0]);
	else if (command_find(argv[1]) == NULL)
		return ctl_unknown_command(argv[1]);
	else
		ctl_help(argv[1]);
	return EX_OK;
}
