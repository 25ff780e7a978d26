/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/program.h"

#include <stdio.h>
#include <string.h>

#include "base/crypto.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"

#define KEYS_MAX	((size_t)64 * 1024)
#define KEY_MIN		20	/* characters */
#define NAME_MAX_LEN	32

void
program_answer(struct answer *answer, unsigned status, const char *json)
{
	answer->status = status;
	answer->type = "application/json";
	buf_addf(&answer->body, "%s\n", json);
}

void
program_refuse(struct answer *answer, unsigned status, const char *why)
{
	struct buf json = BUF_INIT(2048);

	buf_add_char(&json, '{');
	json_add_member_str(&json, "error", why);
	buf_add_char(&json, '}');
	program_answer(answer, status, buf_get(&json));
	buf_fini(&json);
}

/* -- who it is -- */

static bool
is_name(struct span name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!ascii_isalnum(name.p[i]) && name.p[i] != '-' &&
		    name.p[i] != '_' && name.p[i] != '.')
			return false;
	return name.len > 0 && name.len <= NAME_MAX_LEN;
}

/* "NAME KEY" a line.  All are compared, and digests of them: the time tells
 * nothing. */
static bool
find_key(struct span text, struct span key, struct span *name)
{
	unsigned char want[CRYPTO_DIGEST_BYTES], has[CRYPTO_DIGEST_BYTES];
	bool found = false;

	crypto_sha256(&key, 1, want);
	while (text.len > 0) {
		ptrdiff_t end = span_index(text, '\n');
		struct span line = span_head(text, end == -1 ? text.len :
		    (size_t)end), one, its;
		ptrdiff_t blank;

		text = span_from(text, line.len + 1);
		line = span_trim(line);
		blank = span_index(line, ' ');
		if (line.len == 0 || line.p[0] == '#' || blank == -1)
			continue;
		its = span_head(line, (size_t)blank);
		one = span_trim(span_from(line, (size_t)blank));
		crypto_sha256(&one, 1, has);
		if (crypto_equal(want, has, sizeof(want)) && is_name(its) &&
		    one.len >= KEY_MIN) {
			*name = its;
			found = true;
		}
	}
	return found;
}

bool
program_is_known(const struct request *r, char *actor, size_t room,
    struct answer *answer)
{
	struct span key = span_str(r->authorization), name;
	struct buf keys = BUF_INIT(KEYS_MAX);
	bool known = false;
	struct fail fail;

	if (r->settings->web.api_keys == NULL) {
		program_refuse(answer, 404, "web.api_keys is not set");
		return false;
	}
	if (file_read_secret(r->settings->web.api_keys, &keys, &fail) == -1)
		log_error("web.api_keys: %s", fail.text);
	else if (span_has_prefix_nocase(key, SPAN("Bearer "))) {
		key = span_trim(span_from(key, strlen("Bearer ")));
		known = key.len >= KEY_MIN && find_key(buf_span(&keys), key,
		    &name);
	}
	if (known)
		(void)snprintf(actor, room, "api %.*s", (int)name.len,
		    (const char *)name.p);
	else
		program_refuse(answer, 401, "want Authorization: Bearer KEY, "
		    "with a key of web.api_keys");
	if (keys.data != NULL)
		crypto_wipe(keys.data, keys.len);
	buf_fini(&keys);
	return known;
}

/* -- what it wants -- */

static int
copy(const char *name, char *to, size_t room, struct span value,
    struct fail *fail)
{
	if (value.len == 0 || value.len >= room ||
	    memchr(value.p, '\0', value.len) != NULL)
		return fail_set(fail, FAIL_INPUT, "%s: 1 to %zu bytes", name,
		    room - 1);
	memcpy(to, value.p, value.len);
	to[value.len] = '\0';
	return 0;
}

/* Which basis a list takes is no matter of a program. */
static int
take_member(const char *name, struct span value, struct program_wish *out,
    struct fail *fail)
{
	if (strcmp(name, "address") == 0)
		return copy(name, out->address, sizeof(out->address), value,
		    fail);
	if (strcmp(name, "list") == 0)
		return copy(name, out->list, sizeof(out->list), value, fail);
	if (strcmp(name, "basis") == 0)
		return fail_set(fail, FAIL_INPUT, "basis: not a matter of the "
		    "program");
	return evidence_set(&out->evidence, name, value, fail);
}

static int
parse(const struct json_object *object, struct program_wish *out,
    struct fail *fail)
{
	void *cursor = NULL;
	const char *name;
	struct span value;
	bool is_string;

	while (json_object_next(object, &cursor, &name, &is_string, &value)) {
		if (!is_string)
			return fail_set(fail, FAIL_INPUT, "%.40s: want text",
			    name);
		if (take_member(name, value, out, fail) == -1)
			return -1;
	}
	if (out->address[0] == '\0' || out->list[0] == '\0')
		return fail_set(fail, FAIL_INPUT, "want an address and a "
		    "list");
	if (out->evidence.method[0] != '\0' &&
	    !evidence_method_counts(span_str(out->evidence.method)))
		return fail_set(fail, FAIL_INPUT, "method: \"%.40s\" is no "
		    "consent", out->evidence.method);
	return 0;
}

int
program_parse(struct span text, struct program_wish *out, struct fail *fail)
{
	struct json_object *object;
	int rc;

	memset(out, 0, sizeof(*out));
	if (json_object_parse(text, &object, fail) == -1)
		return -1;
	rc = parse(object, out, fail);
	json_object_free(&object);
	return rc;
}

bool
program_read(const struct request *r, struct program_wish *out,
    struct answer *answer)
{
	struct fail fail;

	if (r->method != METHOD_POST)
		program_refuse(answer, 405, "want POST");
	else if (!r->is_json)
		program_refuse(answer, 415, "want Content-Type: "
		    "application/json");
	else if (program_parse(buf_span(&r->json), out, &fail) == -1)
		program_refuse(answer, 400, fail.text);
	else
		return true;
	return false;
}

const struct words *
program_words(const struct languages *languages,
    const struct program_wish *wish, const struct words *otherwise)
{
	return wish->evidence.language[0] == '\0' ? otherwise :
	    words_choose(languages, wish->evidence.language);
}

int
program_wording(const struct settings *settings, const struct list *list,
    struct program_wish *wish, struct wording *out, struct fail *fail)
{
	struct evidence *e = &wish->evidence;
	struct notices notices;
	int rc;

	if (e->source[0] == '\0')
		(void)snprintf(e->source, sizeof(e->source), "api");
	if (notices_read(settings, &notices, fail) == -1)
		return -1;
	rc = notices_complete(&notices, e, fail);
	notices_fini(&notices);
	if (rc == -1)
		return -1;
	if (rc == 1 && wording_shown(settings, list, e->digest, out, fail) ==
	    -1)
		return -1;
	if (list->notice != NULL && out->notice.digest[0] == '\0')
		return fail_set(fail, FAIL_INPUT, "notice: list \"%s\" wants "
		    "\"%s\", as it is stored, and its language", list->id,
		    list->notice);
	return 0;
}
