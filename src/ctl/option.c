/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Options, by the table of commands, and what is said of mistakes in them.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/closest.h"
#include "ctl/command.h"
#include "ctl/help.h"

#define OPTIONS_MAX	32	/* of one command */

/* The options as getopt_long(3) wants them, and their names to compare with. */
struct table {
	struct option	 longs[OPTIONS_MAX + 2];
	const char	*names[OPTIONS_MAX + 1];
	size_t		 count;
	char		 shorts[2 * OPTIONS_MAX + 4];
};

static void
add_option(struct table *t, int value, const char *name, bool has_argument)
{
	size_t len = strlen(t->shorts);

	if (name[1] == '\0') {
		t->shorts[len] = name[0];
		t->shorts[len + 1] = has_argument ? ':' : '\0';
		return;
	}
	t->longs[t->count] = (struct option){ name, has_argument ?
	    required_argument : no_argument, NULL, value };
	t->names[t->count++] = name;
}

static void
make_table(struct table *t, const struct command *command)
{
	size_t n = 0;

	memset(t, 0, sizeof(*t));
	/* Those of the program stand before the command.  The colon: what is
	 * wrong is told here. */
	(void)snprintf(t->shorts, sizeof(t->shorts), "%s", command ==
	    &command_program ? "+:h" : ":");
	for (const struct command_option *o = command->options; o != NULL &&
	    o->name != NULL && n < OPTIONS_MAX; o++, n++)
		add_option(t, o->value, o->name, o->argument != NULL);
	add_option(t, 'h', "help", false);
}

static int
usage(const struct command *command, const char *text)
{
	if (text[0] != '\0')
		fprintf(stderr, "consentctl: %s%s%s\n", command->name,
		    command->name[0] != '\0' ? ": " : "", text);
	help_synopsis(stderr, command);
	if (command == &command_program)
		fputs("`consentctl help' lists the commands\n", stderr);
	return EX_USAGE;
}

/* How an option is spelled that getopt did not like. */
static void
spell(char *out, size_t room, const char *word)
{
	if (strncmp(word, "--", 2) == 0)
		(void)snprintf(out, room, "%.*s", (int)strcspn(word, "="),
		    word);
	else
		(void)snprintf(out, room, "-%c", optopt);
}

/* What the word may have meant: all names that it begins, or the nearest. */
static void
say_unknown(struct buf *out, const struct table *t, const char *option)
{
	const char *name = option + 2, *near;
	size_t len = option[1] == '-' ? strlen(name) : 0, found = 0;

	for (size_t i = 0; len > 0 && i < t->count; i++)
		if (strncmp(t->names[i], name, len) == 0)
			buf_addf(out, "%s'--%s'", found++ == 0 ?
			    "option is not unique: " : " or ", t->names[i]);
	if (found > 0)
		return;
	near = option[1] == '-' ? closest_name(name, t->names, t->count) :
	    NULL;
	buf_addf(out, "unknown option '%s'", option);
	if (near != NULL)
		buf_addf(out, ", did you mean '--%s'?", near);
}

static int
mistake(const struct command *command, const struct table *t, int c,
    const char *word)
{
	struct buf text = BUF_INIT(4096);
	char option[64];

	spell(option, sizeof(option), word);
	if (c == ':')
		buf_addf(&text, "option '%s' wants an argument", option);
	else if (option[1] == '-' && optopt != 0)
		buf_addf(&text, "option '%s' takes no argument", option);
	else
		say_unknown(&text, t, option);
	(void)usage(command, buf_get(&text));
	buf_fini(&text);
	return '?';
}

int
ctl_getopt(int argc, char **argv)
{
	const struct command *command = command_find(argv[0]);
	struct table t;
	int c;

	if (command == NULL)
		command = &command_program;
	make_table(&t, command);
	opterr = 0;
	c = getopt_long(argc, argv, t.shorts, t.longs, NULL);
	if (c == '?' || c == ':')
		return mistake(command, &t, c, argv[optind - 1]);
	if (c == 'h')
		ctl_help(command->name);
	return c;
}

int
ctl_usage(const char *command, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return usage(command_find(command), text);
}

int
ctl_no_arguments(int argc, char **argv)
{
	int c = ctl_getopt(argc, argv);

	if (c != -1)
		return c == 'h' ? EX_OK : EX_USAGE;
	return optind == argc ? -1 : ctl_usage(argv[0], "takes no argument");
}

int
ctl_unknown_command(const char *name)
{
	const char *names[128], *near;
	char text[512];
	size_t n = 0;

	for (size_t i = 0; i < command_count && n < 128; i++)
		if (command_table[i].group != GROUP_HIDDEN)
			names[n++] = command_table[i].name;
	near = closest_name(name, names, n);
	(void)snprintf(text, sizeof(text), "unknown command '%.64s'%s%s%s",
	    name, near != NULL ? ", did you mean '" : "", near != NULL ? near :
	    "", near != NULL ? "'?" : "");
	return usage(&command_program, text);
}
