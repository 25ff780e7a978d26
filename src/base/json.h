/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * JSON (RFC 8259) at our borders.  Writing is ours, for it is on the path of
 * every decision and has to be the same bytes each time; reading is jansson's,
 * which this module alone knows.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/fail.h"
#include "base/span.h"

/*
 * Adds a quoted string.  Control characters are escaped; bytes that are not
 * UTF-8 become U+FFFD, one for each, so that the output is always valid.
 */
void	json_add_string(struct buf *out, struct span s);
/* Adds `,"name":"value"' (without the comma at the start of an object or after
 * an opening bracket).  The name must need no escape. */
void	json_add_member(struct buf *out, const char *name, struct span value);
void	json_add_member_str(struct buf *out, const char *name,
	    const char *value);
void	json_add_member_i64(struct buf *out, const char *name, int64_t value);
void	json_add_member_bool(struct buf *out, const char *name, bool value);
/* Adds `,"name":' for a value that the caller adds. */
void	json_add_name(struct buf *out, const char *name);

/*
 * A parsed object.  Values are borrowed from it.  One object per thread.
 */
struct json_object;
/* text is one JSON object and nothing else, at most 1 MiB, no duplicate
 * names.  Returns 0, or -1 with FAIL_INPUT. */
int	json_object_parse(struct span text, struct json_object **out,
	    struct fail *fail) __attribute__((warn_unused_result));
/* The same for the members of one, without its braces. */
int	json_members_parse(struct span members, struct json_object **out,
	    struct fail *fail) __attribute__((warn_unused_result));
/* The same for a document of up to JSON_DOCUMENT_MAX bytes. */
#define JSON_DOCUMENT_MAX	(64 * 1024 * 1024)
int	json_document_parse(struct span text, struct json_object **out,
	    struct fail *fail) __attribute__((warn_unused_result));
void	json_object_free(struct json_object **object);
/* The object at place i of the array that a member is; the caller frees it.
 * Returns 1, 0 behind the last, -1 when there is no such array, or that element
 * is no object. */
int	json_object_element(const struct json_object *object,
	    const char *name, size_t i, struct json_object **out)
	    __attribute__((warn_unused_result));
/* The line of text, counted from 1, where the element at place i of that array
 * begins; 0 when there is none, or the name is written with escapes.  text is
 * what was parsed. */
uint64_t json_element_line(struct span text, const char *name, size_t i)
	    __attribute__((warn_unused_result));
/* Look-ups: 1 found, 0 not there (or null), -1 there with another type.
 * A string may hold any byte, NUL included. */
int	json_object_string(const struct json_object *object,
	    const char *name, struct span *out)
	    __attribute__((warn_unused_result));
int	json_object_i64(const struct json_object *object, const char *name,
	    int64_t *out) __attribute__((warn_unused_result));
int	json_object_bool(const struct json_object *object, const char *name,
	    bool *out) __attribute__((warn_unused_result));
/* The text at place i of the array that a member is; 0 behind the last, -1 when
 * there is no such array, or that element is no text. */
int	json_object_word(const struct json_object *object, const char *name,
	    size_t i, struct span *out) __attribute__((warn_unused_result));
/* The object that a member is; the caller frees it. */
int	json_object_object(const struct json_object *object,
	    const char *name, struct json_object **out)
	    __attribute__((warn_unused_result));
/* Walks the members in the order of the text: *cursor starts at NULL; returns
 * false after the last.  is_string tells whether *value is filled. */
bool	json_object_next(const struct json_object *object, void **cursor,
	    const char **name, bool *is_string, struct span *value);

#endif
