/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * hiredis parses, we build the objects, because hiredis' own would let a peer
 * allocate as much as it likes with a few bytes ("*2147483647").  Whatever a
 * reply says is checked in full before any of it is used: type, number, type
 * of each element, and the text of each field.
 */
#include "store/private.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/* None of our commands has an array with more elements than this, nor, but for
 * CLUSTER SLOTS, arrays within an array. */
#define ELEMENTS_MAX	16384
#define NESTED_DEPTH	4
/* Of one reply, all arrays together: a few bytes each from the peer. */
#define BUDGET		(16 * ELEMENTS_MAX)
#define ERROR_TEXT_MAX	100

struct reply_reader {
	redisReader	*parser;
	uint64_t	 fed;		/* bytes, ever */
	uint64_t	 taken;		/* up to the end of the last reply */
	int		 depth;		/* of arrays */
	size_t		 budget;	/* elements that are left for this one */
};

/* room: bytes behind it. */
static struct reply *
make(const redisReadTask *task, enum reply_type type, size_t room)
{
	struct reply *reply = xcalloc(1, sizeof(*reply) + room);

	reply->type = type;
	if (task->parent != NULL)
		((struct reply *)task->parent->obj)->elements[task->idx] =
		    reply;
	return reply;
}

static void *
make_string(const redisReadTask *task, char *text, size_t len)
{
	struct reply *reply = make(task,
	    task->type == REDIS_REPLY_ERROR ? REPLY_ERROR :
	    task->type == REDIS_REPLY_STATUS ? REPLY_STATUS : REPLY_STRING,
	    len + 1);

	memcpy(reply->text, text, len);
	reply->len = len;
	return reply;
}

#if HIREDIS_MAJOR >= 1
static void *
make_array(const redisReadTask *task, size_t elements)
#else
static void *
make_array(const redisReadTask *task, int elements)
#endif
{
	struct reply_reader *reader = task->privdata;
	struct reply *reply;
	int depth = 0;

	for (const redisReadTask *t = task->parent; t != NULL; t = t->parent)
		depth++;
	if (depth == 0)
		reader->budget = BUDGET;
	/* NULL makes the parser give up. */
	if (depth >= reader->depth || elements > ELEMENTS_MAX ||
	    (size_t)elements > reader->budget)
		return NULL;
	reader->budget -= (size_t)elements;
	reply = make(task, REPLY_ARRAY,
	    (size_t)elements * sizeof(struct reply *));
	reply->elements = (struct reply **)(void *)reply->text;
	reply->len = (size_t)elements;
	return reply;
}

static void *
make_integer(const redisReadTask *task, long long value)
{
	struct reply *reply = make(task, REPLY_INTEGER, 0);

	reply->integer = value;
	return reply;
}

static void *
make_nil(const redisReadTask *task)
{
	return make(task, REPLY_NIL, 0);
}

#if HIREDIS_MAJOR >= 1
/* RESP3, which we never ask for. */
static void *
refuse_double(const redisReadTask *task, double value, char *text, size_t len)
{
	(void)task, (void)value, (void)text, (void)len;
	return NULL;
}

static void *
refuse_bool(const redisReadTask *task, int value)
{
	(void)task, (void)value;
	return NULL;
}
#endif

static void
free_object(void *object)
{
	struct reply *reply = object;

	reply_free(&reply);
}

static redisReplyObjectFunctions functions = {
	.createString = make_string,
	.createArray = make_array,
	.createInteger = make_integer,
	.createNil = make_nil,
#if HIREDIS_MAJOR >= 1
	.createDouble = refuse_double,
	.createBool = refuse_bool,
#endif
	.freeObject = free_object,
};

void
reply_free(struct reply **replyp)
{
	struct reply *reply = *replyp;

	if (reply == NULL)
		return;
	if (reply->elements != NULL)
		for (size_t i = 0; i < reply->len; i++)
			reply_free(&reply->elements[i]);
	free(reply);
	*replyp = NULL;
}

struct reply_reader *
reply_reader_new(void)
{
	struct reply_reader *reader = xcalloc(1, sizeof(*reader));

	reader->parser = redisReaderCreateWithFunctions(&functions);
	if (reader->parser == NULL)
		abort();	/* out of memory, see xalloc.h */
	reader->parser->privdata = reader;
	reader->depth = 1;
	return reader;
}

void
reply_reader_allow_nested(struct reply_reader *reader)
{
	reader->depth = NESTED_DEPTH;
}

void
reply_reader_free(struct reply_reader **reader)
{
	if (*reader == NULL)
		return;
	redisReaderFree((*reader)->parser);
	free(*reader);
	*reader = NULL;
}

static int
fail_protocol(struct fail *fail, const char *what)
{
	return fail_set(fail, FAIL_TEMP, "Redis broke the protocol: %s", what);
}

int
reply_reader_feed(struct reply_reader *reader, const void *p, size_t len,
    struct fail *fail)
{
	if (redisReaderFeed(reader->parser, p, len) != REDIS_OK)
		return fail_protocol(fail, reader->parser->errstr);
	reader->fed += len;
	return 0;
}

int
reply_reader_next(struct reply_reader *reader, size_t max_bytes,
    struct reply **out, struct fail *fail)
{
	redisReader *parser = reader->parser;
	void *object = NULL;
	uint64_t end, size;

	if (redisReaderGetReply(parser, &object) != REDIS_OK)
		return fail_protocol(fail, parser->err == REDIS_ERR_OOM ?
		    "a reply with too many elements" : parser->errstr);
	end = object == NULL ? reader->fed :
	    reader->fed - (parser->len - parser->pos);
	size = end - reader->taken;
	if (object != NULL)
		reader->taken = end;
	if (size > max_bytes) {
		if (object != NULL)
			free_object(object);
		return fail_protocol(fail, "a reply that is too long");
	}
	*out = object;
	return object != NULL;
}

#define TEXT(x)			#x
#define DOTTED(a, b, c)		TEXT(a) "." TEXT(b) "." TEXT(c)

const char *
reply_library_version(void)
{
	return DOTTED(HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
}

struct span
reply_span(const struct reply *reply)
{
	return span_of(reply->text, reply->len);
}

struct span
reply_info(const struct reply *reply, const char *name)
{
	return reply_text_info(reply_span(reply), name);
}

struct span
reply_text_info(struct span rest, const char *name)
{
	size_t name_len = strlen(name);

	while (rest.len > 0) {
		ptrdiff_t end = span_index(rest, '\n');
		struct span line = end == -1 ? rest :
		    span_head(rest, (size_t)end);

		if (span_has_prefix(line, span_str(name)) &&
		    line.len > name_len && line.p[name_len] == ':')
			return span_trim(span_from(line, name_len + 1));
		rest = span_from(rest, line.len + 1);
	}
	return span_of(NULL, 0);
}

bool
reply_is_error(const struct reply *reply, const char *word)
{
	struct span s = reply_span(reply), w = span_str(word);

	return reply->type == REPLY_ERROR && span_has_prefix(s, w) &&
	    (s.len == w.len || s.p[w.len] == ' ');
}

int
reply_fail(const struct reply *reply, struct fail *fail)
{
	if (reply->type != REPLY_ERROR)
		return fail_set(fail, FAIL_TEMP,
		    "Redis answered with something of the wrong type");
	return reply_fail_text(reply, fail);
}

int
reply_fail_text(const struct reply *reply, struct fail *fail)
{
	char text[ERROR_TEXT_MAX + 1];
	size_t len = reply->len < ERROR_TEXT_MAX ? reply->len : ERROR_TEXT_MAX;

	for (size_t i = 0; i < len; i++)
		text[i] = (char)(ascii_isprint(reply->text[i]) ?
		    reply->text[i] : '?');
	text[len] = '\0';
	return fail_set(fail, FAIL_TEMP, "Redis answered: %s", text);
}

/* What can't be read is the store's failure, not the peer's. */
static int
fail_field(struct fail *fail, const char *what)
{
	return fail_set(fail, FAIL_TEMP,
	    "Redis holds %s that can't be read", what);
}

/* Returns 1 for a string, 0 for nil, -1 for anything else. */
static int
string_of(const struct reply *reply, struct span *out)
{
	if (reply->type == REPLY_NIL)
		return 0;
	if (reply->type != REPLY_STRING)
		return -1;
	*out = reply_span(reply);
	return 1;
}

int
reply_to_record(const struct reply *reply, struct record *out,
    struct fail *fail)
{
	struct span list, person;
	int has_list, has_person;

	memset(out, 0, sizeof(*out));
	if (reply->type != REPLY_ARRAY)
		return reply_fail(reply, fail);
	if (reply->len != 2 ||
	    (has_list = string_of(reply->elements[0], &list)) == -1 ||
	    (has_person = string_of(reply->elements[1], &person)) == -1)
		return fail_set(fail, FAIL_TEMP,
		    "Redis answered HMGET with something else than two fields");
	if ((has_list && record_list_parse(list, out, fail) == -1) ||
	    (has_person && record_person_parse(person, out, fail) == -1)) {
		memset(out, 0, sizeof(*out));
		return fail_field(fail, "a consent record");
	}
	record_normalise(out);
	return has_list || has_person;
}

/* One field of a person's hash. */
struct field {
	struct span name;
	struct span value;
};

static int
compare_fields(const void *pa, const void *pb)
{
	const struct field *a = pa, *b = pb;
	size_t common = a->name.len < b->name.len ? a->name.len : b->name.len;
	int order = common == 0 ? 0 : memcmp(a->name.p, b->name.p, common);

	if (order != 0)
		return order;
	return a->name.len < b->name.len ? -1 : a->name.len > b->name.len;
}

/* Sorted, so that "*" comes first and "LIST.e" soon after "LIST". */
static int
sorted_fields(const struct reply *reply, struct field *fields, size_t n,
    struct fail *fail)
{
	for (size_t i = 0; i < n; i++)
		if (string_of(reply->elements[2 * i], &fields[i].name) != 1 ||
		    string_of(reply->elements[2 * i + 1], &fields[i].value) !=
		    1)
			return fail_set(fail, FAIL_TEMP, "Redis answered "
			    "HGETALL with something else than strings");
	qsort(fields, n, sizeof(*fields), compare_fields);
	for (size_t i = 1; i < n; i++)
		if (compare_fields(&fields[i - 1], &fields[i]) == 0)
			return fail_set(fail, FAIL_TEMP,
			    "Redis answered HGETALL with a field twice");
	return 0;
}

static bool
is_person(const struct field *field)
{
	return span_is(field->name, SPAN("*"));
}

static bool
is_evidence(const struct field *field)
{
	return field->name.len > 2 && span_is(span_from(field->name,
	    field->name.len - 2), SPAN(".e")) && list_name_is_valid(
	    span_head(field->name, field->name.len - 2));
}

static int
check_fields(const struct field *fields, size_t n, struct record *person,
    struct fail *fail)
{
	struct evidence evidence;
	struct record record;
	int64_t at_ms;

	for (size_t i = 0; i < n; i++) {
		struct span value = fields[i].value;

		if (is_person(&fields[i])) {
			if (record_person_parse(value, person, fail) == -1)
				return fail_field(fail, "a person's record");
		} else if (is_evidence(&fields[i])) {
			if (evidence_field_parse(value, &at_ms, &evidence,
			    fail) == -1)
				return fail_field(fail, "evidence");
		} else if (!list_name_is_valid(fields[i].name)) {
			return fail_field(fail, "the name of a list");
		} else if (record_list_parse(value, &record, fail) == -1) {
			return fail_field(fail, "a consent record");
		}
	}
	record_normalise(person);
	return 0;
}

/* The evidence of the list's latest grant; that of an older one is none. */
static bool
find_evidence(const struct field *fields, size_t n, const struct field *list,
    int64_t grant_ms, struct evidence *out)
{
	struct fail ignored;
	int64_t at_ms;

	for (size_t i = 0; i < n; i++)
		if (fields[i].name.len == list->name.len + 2 &&
		    is_evidence(&fields[i]) &&
		    span_has_prefix(fields[i].name, list->name))
			return evidence_field_parse(fields[i].value, &at_ms,
			    out, &ignored) == 0 && at_ms == grant_ms;
	return false;
}

static bool
knows_list(const struct record *record)
{
	return record->grant_ms != 0 || record->confirm_ms != 0 ||
	    record->withdraw_ms != 0 || record->unproven_ms != 0;
}

static void
visit_fields(const struct field *fields, size_t n, const struct record *person,
    void (*visit)(const char *list, const struct record *record,
    const struct evidence *evidence, void *context), void *context)
{
	struct fail ignored;

	visit("", person, NULL, context);
	for (size_t i = 0; i < n; i++) {
		char list[LIST_NAME_MAX + 1] = "";
		struct record record = *person;
		struct evidence evidence;

		if (is_person(&fields[i]) || is_evidence(&fields[i]) ||
		    record_list_parse(fields[i].value, &record, &ignored) == -1)
			continue;
		/* The name of a list is not to outlive an erasure either. */
		record_normalise(&record);
		if (!knows_list(&record))
			continue;
		memcpy(list, fields[i].name.p, fields[i].name.len);
		visit(list, &record, find_evidence(fields, n, &fields[i],
		    record.grant_ms, &evidence) ? &evidence : NULL, context);
	}
}

int
reply_visit(const struct reply *reply, void (*visit)(const char *list,
    const struct record *record, const struct evidence *evidence,
    void *context), void *context, struct fail *fail)
{
	struct record person = { 0 };
	struct field *fields;
	size_t n = reply->len / 2;
	int rc = -1;

	if (reply->type != REPLY_ARRAY)
		return reply_fail(reply, fail);
	if (reply->len % 2 != 0)
		return fail_set(fail, FAIL_TEMP,
		    "Redis answered HGETALL with half a pair");
	if (n == 0)
		return 0;
	fields = xcalloc(n, sizeof(*fields));
	if (sorted_fields(reply, fields, n, fail) == 0 &&
	    check_fields(fields, n, &person, fail) == 0) {
		visit_fields(fields, n, &person, visit, context);
		rc = 1;
	}
	free(fields);
	return rc;
}
