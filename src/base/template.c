/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "base/template.h"

#include <string.h>

#include "base/closest.h"

/* What stands at the start of a text. */
struct piece {
	bool		 is_name;
	struct span	 text;	/* as it is, or the name */
};

/* The next piece of *rest, which is not empty; -1: "{" without "}". */
static int
next_piece(struct span *rest, struct piece *out)
{
	ptrdiff_t brace = span_index(*rest, '{'), end;
	size_t taken;

	if (brace != 0) {
		out->text = span_head(*rest, brace == -1 ? rest->len :
		    (size_t)brace);
		out->is_name = false;
		taken = out->text.len;
	} else if (rest->len > 1 && rest->p[1] == '{') {
		out->text = span_head(*rest, 1);
		out->is_name = false;
		taken = 2;
	} else {
		end = span_index(*rest, '}');
		if (end == -1)
			return -1;
		out->text = span_from(span_head(*rest, (size_t)end), 1);
		out->is_name = true;
		taken = (size_t)end + 1;
	}
	*rest = span_from(*rest, taken);
	return 0;
}

/* n where there is none. */
static size_t
find_place(struct span name, const struct template_place *places, size_t n)
{
	size_t i = 0;

	while (i < n && !span_is(name, span_str(places[i].name)))
		i++;
	return i;
}

static int
refuse_name(struct span name, const struct template_place *places, size_t n,
    struct fail *fail)
{
	const char *names[TEMPLATE_NAMES_MAX], *near;
	struct buf typed = BUF_INIT(40), known = BUF_INIT(200);
	int rc;

	buf_add_span(&typed, span_head(name, 40));
	for (size_t i = 0; i < n; i++) {
		names[i] = places[i].name;
		buf_addf(&known, "%s{%s}", i == 0 ? "" : ", ", names[i]);
	}
	near = closest_name(buf_get(&typed), names, n);
	rc = near != NULL ?
	    fail_set(fail, FAIL_SETUP, "{%s} stands for nothing here, did you "
	    "mean {%s}?", buf_get(&typed), near) :
	    fail_set(fail, FAIL_SETUP, "{%s} stands for nothing here, known "
	    "are %s, and {{ for a brace", buf_get(&typed), buf_get(&known));
	buf_fini(&typed);
	buf_fini(&known);
	return rc;
}

int
template_check(struct span text, const struct template_place *places,
    size_t n, size_t *times, struct fail *fail)
{
	struct piece piece;

	memset(times, 0, n * sizeof(*times));
	while (text.len > 0) {
		size_t i;

		if (next_piece(&text, &piece) == -1)
			return fail_set(fail, FAIL_SETUP, "has { without }, "
			    "write {{ for a brace");
		if (!piece.is_name)
			continue;
		i = find_place(piece.text, places, n);
		if (i == n)
			return refuse_name(piece.text, places, n, fail);
		times[i]++;
	}
	return 0;
}

void
template_expand(struct buf *out, struct span text,
    const struct template_place *places, size_t n)
{
	struct piece piece;

	while (text.len > 0 && next_piece(&text, &piece) == 0) {
		size_t i = piece.is_name ? find_place(piece.text, places, n) :
		    n;

		if (!piece.is_name)
			buf_add_span(out, piece.text);
		else if (i < n)
			buf_add_span(out, places[i].value);
	}
}
