/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "consent/reply_text.h"

#include <stdio.h>
#include <string.h>

#include "base/template.h"
#include "base/utf8.h"

/* What is left to a recipient and a list's name, however long the rest is. */
#define RECIPIENT_ROOM	64
#define NAME_ROOM	40

enum place {
	PLACE_RECIPIENT,
	PLACE_LIST,
	PLACE_REF,
	PLACE_CONTACT,
	PLACE_URL,
	PLACES
};

static const struct template_place empty[PLACES] = {
	[PLACE_RECIPIENT] = { .name = "recipient" },
	[PLACE_LIST] = { .name = "list" },
	[PLACE_REF] = { .name = "ref" },
	[PLACE_CONTACT] = { .name = "contact" },
	[PLACE_URL] = { .name = "url" },
};

/* Bytes of the text itself, and how often each name is there. */
static size_t
own_length(const char *text, size_t times[PLACES])
{
	struct buf own = BUF_INIT(REPLY_TEXT_MAX + 1);
	struct fail unused;
	size_t len;

	(void)!template_check(span_str(text), empty, PLACES, times, &unused);
	template_expand(&own, span_str(text), empty, PLACES);
	len = own.overflow ? REPLY_TEXT_MAX : own.len;
	buf_fini(&own);
	return len;
}

/* "550 ", "4.7.1 ": the filter says that itself. */
static bool
has_code(struct span s)
{
	size_t digits = 0;

	while (digits < s.len && ascii_isdigit(s.p[digits]))
		digits++;
	return (digits == 3 && (s.len == 3 || s.p[3] == ' ' ||
	    s.p[3] == '-')) || (digits == 1 && s.len > 2 && s.p[1] == '.' &&
	    ascii_isdigit(s.p[2]));
}

static int
check_ascii(struct span text, struct fail *fail)
{
	for (size_t i = 0; i < text.len; i++)
		if (!ascii_isprint(text.p[i]))
			return fail_set(fail, FAIL_SETUP, "byte %zu is 0x%02X, "
			    "want printable ASCII: not every mail server takes "
			    "more in a reply", i + 1, text.p[i]);
	return 0;
}

int
reply_text_check(const char *text, struct fail *fail)
{
	size_t times[PLACES];
	struct span s = span_str(text);

	if (check_ascii(s, fail) == -1)
		return -1;
	if (has_code(s))
		return fail_set(fail, FAIL_SETUP, "begins with a code, which "
		    "can't be chosen: give the words alone");
	if (template_check(s, empty, PLACES, times, fail) == -1)
		return -1;
	for (size_t i = 0; i < PLACES; i++)
		if (times[i] > 1)
			return fail_set(fail, FAIL_SETUP, "has {%s} twice, "
			    "each may stand once", empty[i].name);
	return times[PLACE_REF] == 1 ? 0 : fail_set(fail, FAIL_SETUP, "has no "
	    "{ref}, by which the decision log tells what was refused and why; "
	    "add (ref {ref})");
}

/* In ASCII, with what no reply may hold escaped. */
static void
add_value(struct buf *out, const char *value)
{
	utf8_add_ascii(out, span_str(value));
}

/* Where people see what is held about them. */
static void
add_pages(struct buf *out, const char *url)
{
	add_value(out, url);
	buf_add_str(out, "data");
}

/* At most room bytes of it. */
static void
cut(struct buf *value, size_t room)
{
	if (value->len <= room)
		return;
	buf_truncate(value, room < 3 ? room : room - 3);
	buf_add_str(value, room < 3 ? "" : "...");
}

/* "<address> (+7)", at most room bytes. */
static void
make_recipient(struct buf *out, const struct reply_values *values,
    size_t room)
{
	char end[40] = ">";

	if (values->others > 0)
		(void)snprintf(end, sizeof(end), "> (+%zu)", values->others);
	buf_add_char(out, '<');
	add_value(out, values->recipient);
	cut(out, room > strlen(end) ? room - strlen(end) : 0);
	buf_add_str(out, end);
}

static size_t
minimum(size_t a, size_t b)
{
	return a < b ? a : b;
}

int
reply_text_check_values(const char *text, const struct reply_values *values,
    struct fail *fail)
{
	size_t times[PLACES], own = own_length(text, times);
	struct buf same = BUF_INIT(64 * 1024);
	size_t rest = REPLY_TEXT_MAX - REPLY_TEXT_REF_MAX -
	    times[PLACE_RECIPIENT] * RECIPIENT_ROOM -
	    times[PLACE_LIST] * NAME_ROOM;
	int rc = 0;

	if (times[PLACE_LIST] > 0 && values->list == NULL)
		return fail_set(fail, FAIL_SETUP, "is for mail that belongs to "
		    "no list, leave {list} out");
	if (times[PLACE_CONTACT] > 0 && values->contact == NULL)
		return fail_set(fail, FAIL_SETUP, "{contact} is "
		    "controller.email, which is not set: set it, or leave "
		    "{contact} out");
	if (times[PLACE_URL] > 0 && values->pages == NULL)
		return fail_set(fail, FAIL_SETUP, "{url} is below web.url, "
		    "which is not set: set it, or leave {url} out");
	if (times[PLACE_CONTACT] > 0)
		add_value(&same, values->contact);
	if (times[PLACE_URL] > 0)
		add_pages(&same, values->pages);
	if (same.overflow || own + same.len > rest)
		rc = fail_set(fail, FAIL_SETUP, "makes %zu bytes%s, it may "
		    "have %zu: a reply is one line", own + same.len,
		    same.len > 0 ? " with {contact} and {url}" : "", rest);
	buf_fini(&same);
	return rc;
}

void
reply_text_expand(char out[REPLY_TEXT_MAX + 1], const char *text,
    const struct reply_values *values)
{
	struct buf value[PLACES], line = BUF_INIT(64 * 1024);
	struct template_place places[PLACES];
	size_t times[PLACES], own = own_length(text, times), room, list_room;

	memcpy(places, empty, sizeof(places));
	for (size_t i = 0; i < PLACES; i++)
		buf_init(&value[i], 16 * 1024);
	add_value(&value[PLACE_LIST], values->list);
	cut(&value[PLACE_LIST], REPLY_TEXT_NAME_MAX);
	add_value(&value[PLACE_REF], values->ref);
	add_value(&value[PLACE_CONTACT], values->contact);
	add_pages(&value[PLACE_URL], values->pages);
	for (size_t i = PLACE_REF; i < PLACES; i++)
		own += times[i] * value[i].len;
	room = own < REPLY_TEXT_MAX ? REPLY_TEXT_MAX - own : 0;
	if (times[PLACE_RECIPIENT] > 0) {
		list_room = room - minimum(room, RECIPIENT_ROOM);
		cut(&value[PLACE_LIST], list_room);
		if (times[PLACE_LIST] > 0)
			room -= value[PLACE_LIST].len;
		make_recipient(&value[PLACE_RECIPIENT], values, room);
	} else
		cut(&value[PLACE_LIST], room);
	for (size_t i = 0; i < PLACES; i++)
		places[i].value = buf_span(&value[i]);
	template_expand(&line, span_str(text), places, PLACES);
	buf_truncate(&line, minimum(line.len, REPLY_TEXT_MAX));
	memcpy(out, buf_get(&line), line.len + 1);
	for (size_t i = 0; i < PLACES; i++)
		buf_fini(&value[i]);
	buf_fini(&line);
}
