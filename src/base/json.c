/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "base/json.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "base/xalloc.h"

#define JSON_TEXT_MAX	(1024 * 1024)

struct json_object {
	json_t *root;
};

/* How many bytes from i on stand for themselves: nearly always all. */
static size_t
plain_length(struct span s, size_t i)
{
	size_t n = i;

	while (n < s.len && s.p[n] >= 0x20 && s.p[n] < 0x7f &&
	    s.p[n] != '"' && s.p[n] != '\\')
		n++;
	return n - i;
}

void
json_add_string(struct buf *out, struct span s)
{
	size_t i = 0;

	buf_add_char(out, '"');
	while (i < s.len) {
		unsigned char c = s.p[i];
		size_t n = plain_length(s, i);

		if (n > 0) {
			buf_add(out, s.p + i, n);
			i += n;
		} else if (c == '"' || c == '\\') {
			buf_add_char(out, '\\');
			buf_add_char(out, (char)c);
			i++;
		} else if (c < 0x20 || c == 0x7f) {
			buf_addf(out, "\\u%04x", c);
			i++;
		} else if ((n = utf8_length(span_from(s, i))) != 0) {
			buf_add(out, s.p + i, n);
			i += n;
		} else {
			buf_add_str(out, "\xef\xbf\xbd");
			i++;
		}
	}
	buf_add_char(out, '"');
}

void
json_add_name(struct buf *out, const char *name)
{
	char last = out->len != 0 ? out->data[out->len - 1] : '{';

	if (last != '{' && last != '[')
		buf_add_char(out, ',');
	buf_add_char(out, '"');
	buf_add_str(out, name);
	buf_add_str(out, "\":");
}

void
json_add_member(struct buf *out, const char *name, struct span value)
{
	json_add_name(out, name);
	json_add_string(out, value);
}

void
json_add_member_str(struct buf *out, const char *name, const char *value)
{
	json_add_member(out, name, span_str(value));
}

void
json_add_member_i64(struct buf *out, const char *name, int64_t value)
{
	json_add_name(out, name);
	buf_addf(out, "%" PRId64, value);
}

void
json_add_member_bool(struct buf *out, const char *name, bool value)
{
	json_add_name(out, name);
	buf_add_str(out, value ? "true" : "false");
}

static int
parse(struct span text, size_t max, struct json_object **out,
    struct fail *fail)
{
	json_error_t error;
	json_t *root;

	if (text.len > max)
		return fail_set(fail, FAIL_INPUT,
		    "JSON text of %zu bytes is longer than %zu", text.len,
		    max);
	root = json_loadb((const char *)text.p, text.len,
	    JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (root == NULL)
		return fail_set(fail, FAIL_INPUT, "not JSON: %s at column %d "
		    "of line %d", error.text, error.column, error.line);
	if (!json_is_object(root)) {
		json_decref(root);
		return fail_set(fail, FAIL_INPUT,
		    "JSON, but not an object: it has to start with {");
	}
	*out = xcalloc(1, sizeof(**out));
	(*out)->root = root;
	return 0;
}

int
json_object_parse(struct span text, struct json_object **out,
    struct fail *fail)
{
	return parse(text, JSON_TEXT_MAX, out, fail);
}

int
json_members_parse(struct span members, struct json_object **out,
    struct fail *fail)
{
	struct buf text = BUF_INIT(JSON_TEXT_MAX);
	int rc;

	buf_add_char(&text, '{');
	buf_add_span(&text, members);
	buf_add_char(&text, '}');
	rc = text.overflow ? fail_set(fail, FAIL_INPUT, "JSON text of %zu bytes "
	    "is longer than %d", members.len, JSON_TEXT_MAX) :
	    parse(buf_span(&text), JSON_TEXT_MAX, out, fail);
	buf_fini(&text);
	return rc;
}

int
json_document_parse(struct span text, struct json_object **out,
    struct fail *fail)
{
	return parse(text, JSON_DOCUMENT_MAX, out, fail);
}

int
json_object_element(const struct json_object *object, const char *name,
    size_t i, struct json_object **out)
{
	json_t *array = json_object_get(object->root, name), *element;

	if (!json_is_array(array))
		return -1;
	element = json_array_get(array, i);
	if (element == NULL)
		return 0;
	if (!json_is_object(element))
		return -1;
	*out = xcalloc(1, sizeof(**out));
	(*out)->root = json_incref(element);
	return 1;
}

/* A walk over text that is known to be JSON. */
struct walk {
	struct span	 rest;
	uint64_t	 line;
	unsigned	 depth;		/* brackets that are open */
};

static void
step(struct walk *w)
{
	w->line += w->rest.p[0] == '\n';
	w->rest = span_from(w->rest, 1);
}

/* A whole string, a bracket, or one byte of something else; blanks before it
 * are passed over.  Empty at the end. */
static struct span
next_piece(struct walk *w)
{
	struct span piece;
	size_t len = 1;

	while (w->rest.len > 0 && ascii_isspace(w->rest.p[0]))
		step(w);
	piece = w->rest;
	if (piece.len == 0)
		return piece;
	if (piece.p[0] == '"') {
		while (len < piece.len && piece.p[len] != '"')
			len += piece.p[len] == '\\' ? 2 : 1;
		len++;
	}
	w->depth += piece.p[0] == '{' || piece.p[0] == '[';
	w->depth -= w->depth > 0 && (piece.p[0] == '}' || piece.p[0] == ']');
	w->rest = span_from(w->rest, len);
	return span_head(piece, len);
}

/* Stops behind the bracket that opens the array. */
static bool
find_array(struct walk *w, struct span name)
{
	bool is_name = false;	/* what comes next is its value */

	for (;;) {
		struct span piece = next_piece(w);

		if (piece.len == 0)
			return false;
		if (is_name && w->depth == 2 && piece.p[0] == '[')
			return true;
		if (piece.p[0] == ':')
			continue;
		is_name = w->depth == 1 && piece.len == name.len + 2 &&
		    span_is(span_head(span_from(piece, 1), name.len), name);
	}
}

uint64_t
json_element_line(struct span text, const char *name, size_t i)
{
	struct walk w = { .rest = text, .line = 1 };

	if (!find_array(&w, span_str(name)))
		return 0;
	for (;;) {
		struct span piece;

		while (w.rest.len > 0 && ascii_isspace(w.rest.p[0]))
			step(&w);
		if (i == 0 && w.rest.len > 0 && w.rest.p[0] != ']')
			return w.line;
		piece = next_piece(&w);
		if (piece.len == 0 || w.depth < 2)
			return 0;
		i -= i > 0 && w.depth == 2 && piece.p[0] == ',';
	}
}

void
json_object_free(struct json_object **object)
{
	if (*object == NULL)
		return;
	json_decref((*object)->root);
	free(*object);
	*object = NULL;
}

int
json_object_string(const struct json_object *object, const char *name,
    struct span *out)
{
	const json_t *value = json_object_get(object->root, name);

	if (value == NULL || json_is_null(value))
		return 0;
	if (!json_is_string(value))
		return -1;
	*out = span_of(json_string_value(value), json_string_length(value));
	return 1;
}

int
json_object_i64(const struct json_object *object, const char *name,
    int64_t *out)
{
	const json_t *value = json_object_get(object->root, name);

	if (value == NULL || json_is_null(value))
		return 0;
	if (!json_is_integer(value))
		return -1;
	*out = json_integer_value(value);
	return 1;
}

int
json_object_bool(const struct json_object *object, const char *name,
    bool *out)
{
	const json_t *value = json_object_get(object->root, name);

	if (value == NULL || json_is_null(value))
		return 0;
	if (!json_is_boolean(value))
		return -1;
	*out = json_is_true(value);
	return 1;
}

int
json_object_object(const struct json_object *object, const char *name,
    struct json_object **out)
{
	json_t *value = json_object_get(object->root, name);

	if (value == NULL || json_is_null(value))
		return 0;
	if (!json_is_object(value))
		return -1;
	*out = xcalloc(1, sizeof(**out));
	(*out)->root = json_incref(value);
	return 1;
}

int
json_object_word(const struct json_object *object, const char *name,
    size_t i, struct span *out)
{
	const json_t *array = json_object_get(object->root, name);
	const json_t *element;

	if (!json_is_array(array))
		return -1;
	element = json_array_get(array, i);
	if (element == NULL)
		return 0;
	if (!json_is_string(element))
		return -1;
	*out = span_of(json_string_value(element),
	    json_string_length(element));
	return 1;
}

bool
json_object_next(const struct json_object *object, void **cursor,
    const char **name, bool *is_string, struct span *value)
{
	const json_t *member;

	*cursor = *cursor == NULL ? json_object_iter(object->root) :
	    json_object_iter_next(object->root, *cursor);
	if (*cursor == NULL)
		return false;
	*name = json_object_iter_key(*cursor);
	member = json_object_iter_value(*cursor);
	*is_string = json_is_string(member);
	if (*is_string)
		*value = span_of(json_string_value(member),
		    json_string_length(member));
	return true;
}
