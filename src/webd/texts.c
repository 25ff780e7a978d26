/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/texts.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/template.h"
#include "base/xalloc.h"

/* What a list has of its own. */
struct list_texts {
	char		 list[LIST_NAME_MAX + 1];
	struct words	**own;	/* by language; NULL: none */
};

struct texts {
	struct languages languages;
	struct list_texts *lists;
	size_t		 count;
	atomic_uint	 references;
};

/* Whose files are read. */
struct reading {
	struct texts	*texts;
	struct list_texts *to;
	struct template_place places[WORDS_PLACES];
};

/* How many languages there are: none of that name. */
static size_t
find_language(const struct texts *t, struct span tag)
{
	size_t i = 0;

	while (i < t->languages.count &&
	    !span_is_nocase(span_str(t->languages.all[i].tag), tag))
		i++;
	return i;
}

static int
take_file(void *context, struct span tag, struct span text,
    struct fail *fail)
{
	struct reading *r = context;
	size_t i = find_language(r->texts, tag);
	struct words *own;

	if (i == r->texts->languages.count)
		return fail_set(fail, FAIL_SETUP, "web.languages has no such "
		    "language, add it there first");
	if (r->to->own[i] != NULL)
		return fail_set(fail, FAIL_SETUP, "this language is there "
		    "twice");
	own = xcalloc(1, sizeof(*own));
	if (words_parse_own(text, &r->texts->languages.all[i], r->places, own,
	    fail) == -1) {
		free(own);
		return -1;
	}
	r->to->own[i] = own;
	return 0;
}

static int
load_list(struct texts *t, const struct settings *s, const struct list *list,
    struct fail *fail)
{
	struct list_texts *to = &t->lists[t->count++];
	struct reading reading = { .texts = t, .to = to, .places = {
	    { "list", span_str(list->name) },
	    { "controller", span_str(s->controller.name) } } };

	memcpy(to->list, list->id, sizeof(to->list));
	to->own = xcalloc(t->languages.count, sizeof(*to->own));
	return words_read_directory(list->texts, false, take_file, &reading,
	    fail);
}

static int
load_lists(struct texts *t, const struct settings *s, struct fail *fail)
{
	t->lists = xcalloc(s->policy.list_count + 1, sizeof(*t->lists));
	for (size_t i = 0; i < s->policy.list_count; i++) {
		const struct list *list = &s->policy.lists[i];

		if (list->texts != NULL && load_list(t, s, list, fail) == -1)
			return -1;
	}
	return 0;
}

int
texts_load(const struct settings *settings, struct texts **out,
    struct fail *fail)
{
	struct texts *t = xcalloc(1, sizeof(*t));

	atomic_init(&t->references, 1);
	if (words_load(settings->web.languages, &t->languages, fail) == 0 &&
	    load_lists(t, settings, fail) == 0) {
		*out = t;
		return 0;
	}
	texts_put(&t);
	return -1;
}

struct texts *
texts_get(struct texts *t)
{
	atomic_fetch_add(&t->references, 1);
	return t;
}

void
texts_put(struct texts **texts)
{
	struct texts *t = *texts;

	*texts = NULL;
	if (t == NULL || atomic_fetch_sub(&t->references, 1) != 1)
		return;
	for (size_t i = 0; i < t->count; i++) {
		struct words **own = t->lists[i].own;

		for (size_t j = 0; j < t->languages.count; j++)
			if (own[j] != NULL) {
				words_fini(own[j]);
				free(own[j]);
			}
		free(own);
	}
	free(t->lists);
	words_free(&t->languages);
	free(t);
}

const struct languages *
texts_languages(const struct texts *t)
{
	return &t->languages;
}

const struct words *
texts_of_list(const struct texts *t, const struct words *words,
    const struct list *list)
{
	size_t i = 0, language;

	if (list == NULL)
		return words;
	while (i < t->count && strcmp(t->lists[i].list, list->id) != 0)
		i++;
	language = find_language(t, span_str(words->tag));
	if (i == t->count || language == t->languages.count ||
	    t->lists[i].own[language] == NULL)
		return words;
	return t->lists[i].own[language];
}
