/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * The life of a snapshot: load, share, dump, free.  What may stand in the file
 * is in option.c, how it is read in reader.c.
 */
#include "settings/settings.h"
#include "settings/value.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/xalloc.h"
#include "settings/load.h"
#include "settings/option.h"
#include "settings/problems.h"
#include "settings/reader.h"
#include "settings/source.h"

struct counted {
	struct settings	settings;	/* first: the same address */
	atomic_uint	references;
};

static struct settings *
settings_new(void)
{
	struct counted *counted = xcalloc(1, sizeof(*counted));

	atomic_init(&counted->references, 1);
	for (enum option_scope s = SCOPE_TOP; s < SCOPE_LIST; s++)
		option_init_scope(s, &counted->settings);
	return &counted->settings;
}

static void
free_rules(struct rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++)
		option_fini_scope(SCOPE_RULE, &rules[i]);
	free(rules);
}

static void
free_policy(struct policy *policy)
{
	for (size_t i = 0; i < policy->list_count; i++) {
		struct list *list = &policy->lists[i];

		free_rules(list->match, list->match_count);
		free_rules(list->confirmation, list->confirmation_count);
		option_fini_scope(SCOPE_REPLIES, &list->replies);
		option_fini_scope(SCOPE_LIST, list);
	}
	free(policy->lists);
	free_rules(policy->exempt, policy->exempt_count);
	option_fini_scope(SCOPE_REPLIES, &policy->replies);
}

static void
free_password(char *password)
{
	if (password != NULL)
		crypto_wipe(password, strlen(password));
	free(password);
}

static void
settings_free(struct settings *settings)
{
	free_password(settings->redis.password);
	free_password(settings->redis.sentinel.password);
	crypto_hmac_free(&settings->pseudonym_key);
	for (size_t i = 0; i < TOKEN_KEYS; i++)
		crypto_hmac_free(&settings->token_keys.key[i]);
	crypto_signer_free(&settings->checkpoint_key);
	crypto_hmac_free(&settings->link_key);
	free_policy(&settings->policy);
	for (size_t i = 0; i < settings->webhook_count; i++)
		option_fini_scope(SCOPE_WEBHOOK, &settings->webhooks[i]);
	free(settings->webhooks);
	for (enum option_scope s = SCOPE_TOP; s < SCOPE_LIST; s++)
		option_fini_scope(s, settings);
	free(settings);
}

static int
read_password(const char *path, char **out, struct fail *fail)
{
	*out = NULL;
	return path == NULL ? 0 : value_read_password(path, out, fail);
}

int
settings_writer_password(const struct settings *settings, char **out,
    struct fail *fail)
{
	return read_password(settings->redis.writer_password_file, out, fail);
}

int
settings_web_password(const struct settings *settings, char **out,
    struct fail *fail)
{
	return read_password(settings->web.redis_password_file, out, fail);
}

struct settings *
settings_get(struct settings *settings)
{
	struct counted *counted = (struct counted *)settings;

	atomic_fetch_add(&counted->references, 1);
	return settings;
}

void
settings_put(struct settings **settings)
{
	struct counted *counted = (struct counted *)*settings;

	if (counted == NULL)
		return;
	*settings = NULL;
	if (atomic_fetch_sub(&counted->references, 1) == 1)
		settings_free(&counted->settings);
}

int
settings_load_text(const char *path, struct span text, struct settings **out,
    struct buf *errors)
{
	struct settings *settings = settings_new();
	struct problems problems;
	int rc = 0;

	problems_init(&problems, path);
	reader_read(text, settings, &problems);
	if (problems.count > 0) {
		problems_format(errors, &problems);
		settings_put(&settings);
		rc = -1;
	} else
		*out = settings;
	problems_fini(&problems);
	return rc;
}

int
settings_load(const char *path, struct settings **out, struct buf *errors)
{
	struct buf text = BUF_INIT(SOURCE_MAX);
	struct fail fail;
	int rc = -1;

	if (file_read(path, &text, &fail) == -1)
		buf_addf(errors, "%s\n", fail.text);
	else
		rc = settings_load_text(path, buf_span(&text), out, errors);
	buf_fini(&text);
	return rc;
}

static void
dump_scope(struct buf *out, const char *prefix, enum option_scope scope,
    const void *base)
{
	const struct option *o = NULL;
	struct buf value = BUF_INIT(8192);

	while ((o = option_next(scope, o)) != NULL) {
		buf_clear(&value);
		if (option_format(&value, o, base))
			buf_addf(out, "%s%s = %s\n", prefix, o->name,
			    buf_get(&value));
	}
	buf_fini(&value);
}

static void
dump_rules(struct buf *out, const char *prefix, const char *name,
    const struct rule *rules, size_t count)
{
	struct buf path = BUF_INIT(200);

	for (size_t i = 0; i < count; i++) {
		buf_clear(&path);
		buf_addf(&path, "%s%s[%zu].", prefix, name, i + 1);
		dump_scope(out, buf_get(&path), SCOPE_RULE, &rules[i]);
	}
	buf_fini(&path);
}

void
settings_dump(struct buf *out, const struct settings *settings)
{
	const struct policy *policy = &settings->policy;
	struct buf path = BUF_INIT(100);

	for (enum option_scope s = SCOPE_TOP; s < SCOPE_LIST; s++)
		dump_scope(out, option_scope_prefix(s), s, settings);
	for (size_t i = 0; i < policy->list_count; i++) {
		const struct list *list = &policy->lists[i];

		buf_clear(&path);
		buf_addf(&path, "lists[%zu].", i + 1);
		dump_scope(out, buf_get(&path), SCOPE_LIST, list);
		dump_rules(out, buf_get(&path), "match", list->match,
		    list->match_count);
		dump_rules(out, buf_get(&path), "confirmation",
		    list->confirmation, list->confirmation_count);
		buf_add_str(&path, option_scope_prefix(SCOPE_REPLIES));
		dump_scope(out, buf_get(&path), SCOPE_REPLIES,
		    &list->replies);
	}
	dump_scope(out, option_scope_prefix(SCOPE_REPLIES), SCOPE_REPLIES,
	    &policy->replies);
	dump_rules(out, "", "exempt", policy->exempt, policy->exempt_count);
	for (size_t i = 0; i < settings->webhook_count; i++) {
		buf_clear(&path);
		buf_addf(&path, "webhooks[%zu].", i + 1);
		dump_scope(out, buf_get(&path), SCOPE_WEBHOOK,
		    &settings->webhooks[i]);
	}
	buf_fini(&path);
}

const char *
settings_default_path(void)
{
	return SYSCONFDIR "/consent-milter/consent-milter.conf";
}

const char *
settings_library_version(void)
{
	return reader_library_version();
}
