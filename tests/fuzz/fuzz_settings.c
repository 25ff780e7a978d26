/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A configuration file: either it loads and holds what the other rooms rely
 * on, or there is at least one line that says why not.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "settings/load.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void)
	    __attribute__((visibility("default")));

/* libconfig 1.5 loses the text it has just scanned when the next token is an
 * error of syntax. */
const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfig.so\n";
}

static void
require(bool condition)
{
	if (!condition)
		abort();
}

static void
check_rules(const struct settings *s, const struct rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct rule *r = &rules[i];

		require(r->sender != NULL || r->sasl_user != NULL ||
		    r->daemon != NULL || r->has_client || r->header != NULL ||
		    r->without != NULL);
		require(r->value == NULL || r->header != NULL);
		require(r->header == NULL ||
		    r->header_slot < s->policy.header_slots);
		require(r->without == NULL ||
		    r->without_slot < s->policy.header_slots);
	}
}

static void
check_settings(const struct settings *s)
{
	require(s->socket != NULL && s->user != NULL && s->keys != NULL);
	require(s->redis.url != NULL && s->redis.timeout_ms >= 1 &&
	    s->redis.timeout_ms <= 10000);
	require(s->audit.directory != NULL && s->audit.ledger != NULL &&
	    s->audit.segment_bytes >= 1024 * 1024);
	require(s->policy.list_count == 0 || s->unsubscribe.url != NULL);
	for (size_t i = 0; i < s->policy.list_count; i++) {
		const struct list *list = &s->policy.lists[i];

		require(list->id[0] != '\0' && list->name != NULL);
		require(list->match_count > 0);
		check_rules(s, list->match, list->match_count);
		check_rules(s, list->confirmation, list->confirmation_count);
	}
	check_rules(s, s->policy.exempt, s->policy.exempt_count);
	for (size_t i = 0; i < s->webhook_count; i++) {
		const struct webhook *w = &s->webhooks[i];

		/* Part of a file's name, and what libcurl gets. */
		require(list_name_is_valid(span_str(w->name)));
		require(strncasecmp(w->url, "https://", 8) == 0 ||
		    strncasecmp(w->url, "http://", 7) == 0);
		require(w->secret_file != NULL && w->secret_file[0] == '/');
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf errors = BUF_INIT(1024 * 1024), dump = BUF_INIT(1 << 22);
	struct settings *settings = NULL;

	if (settings_load_text("fuzz.conf", span_of(data, size), &settings,
	    &errors) == -1) {
		require(settings == NULL);
		require(errors.len > 0 && !errors.overflow &&
		    buf_get(&errors)[errors.len - 1] == '\n');
	} else {
		require(errors.len == 0);
		check_settings(settings);
		settings_dump(&dump, settings);
		require(dump.len > 0 && !dump.overflow);
		settings_put(&settings);
	}
	buf_fini(&errors);
	buf_fini(&dump);
	return 0;
}
