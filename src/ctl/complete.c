/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * complete: what may stand for the last of the words, for a shell.  It tells
 * nothing of mistakes: the command itself does.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "ctl/command.h"

struct completion {
	struct ctl	*ctl;
	char		**words;
	int		 count;		/* without the last one */
	const struct command *command;
	const char	*word;		/* the last one, as far as it is */
	const char	*before;	/* "--format=", in the same word */
	size_t		 before_len;
};

static void
offer(const struct completion *c, const char *text, size_t len)
{
	size_t typed = strlen(c->word);

	if (len >= typed && memcmp(text, c->word, typed) == 0)
		printf("%.*s%.*s\n", (int)c->before_len, c->before, (int)len,
		    text);
}

static void
offer_lists(const struct completion *c)
{
	struct buf errors = BUF_INIT(256 * 1024);
	const struct policy *policy;

	if (c->ctl->settings != NULL || settings_load(c->ctl->config_path,
	    &c->ctl->settings, &errors) == 0) {
		policy = &c->ctl->settings->policy;
		for (size_t i = 0; i < policy->list_count; i++)
			offer(c, policy->lists[i].id,
			    strlen(policy->lists[i].id));
	}
	buf_fini(&errors);
}

/* `what' is as in the table of commands. */
static void
offer_all(const struct completion *c, const char *what)
{
	while (what != NULL && *what != '\0') {
		size_t len = strcspn(what, " ");
		struct span one = span_of(what, len);

		if (span_is(one, SPAN(COMPLETE_LISTS)))
			offer_lists(c);
		else if (span_is(one, SPAN(COMPLETE_COMMANDS))) {
			for (size_t i = 0; i < command_count; i++)
				if (command_table[i].group != GROUP_HIDDEN)
					offer(c, command_table[i].name,
					    strlen(command_table[i].name));
		} else if (*what == '@')
			printf("%.*s\n", (int)len, what);
		else
			offer(c, what, len);
		what += len + strspn(what + len, " ");
	}
}

/* The option of this spelling, with its hyphens, or NULL. */
static const struct command_option *
find_option(const struct command *command, const char *word, size_t len)
{
	size_t hyphens = len > 2 && word[1] == '-' ? 2 : 1;

	if (len <= hyphens || word[0] != '-')
		return NULL;
	word += hyphens;
	len -= hyphens;
	for (const struct command_option *o = command->options; o != NULL &&
	    o->name != NULL; o++)
		if ((len == 1) == (hyphens == 1) && strlen(o->name) == len &&
		    memcmp(o->name, word, len) == 0)
			return o;
	return NULL;
}

static void
offer_options(const struct completion *c)
{
	char text[64];

	for (const struct command_option *o = c->command->options; o != NULL &&
	    o->name != NULL; o++) {
		(void)snprintf(text, sizeof(text), "%s%s", o->name[1] == '\0' ?
		    "-" : "--", o->name);
		offer(c, text, strlen(text));
	}
	offer(c, "--help", strlen("--help"));
}

/* Takes the program's options and the command off the words. */
static void
find_command(struct completion *c)
{
	int i = 0;

	c->command = &command_program;
	while (i < c->count && c->words[i][0] == '-') {
		const char *word = c->words[i++];
		size_t len = strcspn(word, "=");
		const struct command_option *o = find_option(c->command, word,
		    len);

		if (o == NULL || o->argument == NULL)
			continue;
		if (word[len] == '=')
			c->ctl->config_path = word + len + 1;
		/* Shells take --config=FILE apart. */
		else if (i + 1 < c->count && strcmp(c->words[i], "=") == 0)
			c->ctl->config_path = c->words[(i += 2) - 1];
		else if (i < c->count)
			c->ctl->config_path = c->words[i++];
		else {
			i--;
			break;
		}
	}
	if (i < c->count && c->words[i][0] != '-')
		c->command = command_find(c->words[i++]);
	c->words += i;
	c->count -= i;
}

/* The option whose value the last word is, or NULL. */
static const struct command_option *
option_before(struct completion *c)
{
	const char *equals = strchr(c->word, '=');
	const struct command_option *o = NULL;
	const char *last;
	int n = c->count;

	if (c->word[0] == '-' && equals != NULL) {
		o = find_option(c->command, c->word, (size_t)(equals -
		    c->word));
		c->before = c->word;
		c->before_len = (size_t)(equals + 1 - c->word);
		c->word = equals + 1;
	} else if (strcmp(c->word, "=") == 0) {
		c->word = "";
	} else if (n > 0 && strcmp(c->words[n - 1], "=") == 0)
		n--;
	if (o == NULL && n > 0) {
		last = c->words[n - 1];
		o = find_option(c->command, last, strlen(last));
	}
	return o != NULL && o->argument != NULL ? o : NULL;
}

int
command_complete(struct ctl *ctl, int argc, char **argv)
{
	struct completion c = { .ctl = ctl, .before = "" };
	const struct command_option *o;

	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		ctl_help(argv[0]);
		return EX_OK;
	}
	if (argc > 1 && strcmp(argv[1], "--") == 0) {
		argc--;
		argv++;
	}
	if (argc == 1)
		return EX_OK;
	c.words = argv + 1;
	c.count = argc - 2;
	c.word = argv[argc - 1];
	find_command(&c);
	if (c.command == NULL)
		return EX_OK;
	o = option_before(&c);
	if (o != NULL)
		offer_all(&c, o->completes);
	else if (c.word[0] == '-')
		offer_options(&c);
	else
		offer_all(&c, c.command->completes);
	return EX_OK;
}
