/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "journal/checkpoint.h"

#include <inttypes.h>
#include <string.h>

#include "base/codec.h"
#include "base/date.h"

#define MESSAGE_MAX	1024

static void
add_number(struct buf *out, uint64_t value)
{
	for (int shift = 56; shift >= 0; shift -= 8)
		buf_add_char(out, (char)(value >> shift & 0xff));
}

static void
add_text(struct buf *out, const void *text, size_t len)
{
	add_number(out, len);
	buf_add(out, text, len);
}

static void
add_message(struct buf *out, const struct checkpoint *c)
{
	static const char live[] = "consent-milter checkpoint v1";
	static const char pruned[] = "consent-milter tombstone v1";

	if (c->is_tombstone)
		add_text(out, pruned, sizeof(pruned));
	else
		add_text(out, live, sizeof(live));
	add_text(out, c->journal, strlen(c->journal));
	add_text(out, c->host, strlen(c->host));
	add_number(out, c->seq);
	add_text(out, c->chain, sizeof(c->chain));
	add_number(out, (uint64_t)c->time_ms);
}

static bool
is_host_byte(unsigned char c)
{
	return ascii_isalnum(c) || c == '.' || c == '-' || c == '_';
}

void
checkpoint_sign(struct checkpoint *c, const struct crypto_signer *signer)
{
	struct buf message = BUF_INIT(MESSAGE_MAX);

	for (char *p = c->host; *p != '\0'; p++)
		if (!is_host_byte((unsigned char)*p))
			*p = '-';
	add_message(&message, c);
	crypto_signer_public(signer, c->key);
	crypto_sign(signer, buf_span(&message), c->signature);
	buf_fini(&message);
}

bool
checkpoint_is_good(const struct checkpoint *c)
{
	struct buf message = BUF_INIT(MESSAGE_MAX);
	bool good;

	add_message(&message, c);
	good = crypto_signature_is_good(c->key, buf_span(&message),
	    c->signature);
	buf_fini(&message);
	return good;
}

/* Both forms have the same fields in the same order, all of them texts. */
#define FIELDS	7
static const char *const names[FIELDS] = {
	"journal", "host", "last", "head", "time", "key", "signature"
};

static void
add_field(struct buf *out, const struct checkpoint *c, unsigned field)
{
	switch (field) {
	case 0:
		buf_add_str(out, c->journal);
		break;
	case 1:
		buf_add_str(out, c->host);
		break;
	case 2:
		buf_addf(out, "%" PRIu64, c->seq);
		break;
	case 3:
		hex_format(out, c->chain, sizeof(c->chain));
		break;
	case 4:
		date_format(out, c->time_ms);
		break;
	case 5:
		hex_format(out, c->key, sizeof(c->key));
		break;
	default:
		hex_format(out, c->signature, sizeof(c->signature));
	}
}

static int
set_name(char *to, size_t max, struct span value)
{
	if (value.len > max)
		return -1;
	for (size_t i = 0; i < value.len; i++)
		if (!is_host_byte(value.p[i]))
			return -1;
	if (value.len > 0)
		memcpy(to, value.p, value.len);
	to[value.len] = '\0';
	return 0;
}

static int
set_field(struct checkpoint *c, unsigned field, struct span value)
{
	switch (field) {
	case 0:
		return set_name(c->journal, sizeof(c->journal) - 1, value);
	case 1:
		return set_name(c->host, sizeof(c->host) - 1, value);
	case 2:
		return span_to_u64(value, &c->seq);
	case 3:
		return hex_parse(value, c->chain, sizeof(c->chain));
	case 4:
		return date_parse(value, &c->time_ms);
	case 5:
		return hex_parse(value, c->key, sizeof(c->key));
	default:
		return hex_parse(value, c->signature, sizeof(c->signature));
	}
}

void
checkpoint_format(struct buf *out, const struct checkpoint *c)
{
	struct buf value = BUF_INIT(MESSAGE_MAX);

	for (unsigned i = 0; i < FIELDS; i++) {
		buf_clear(&value);
		add_field(&value, c, i);
		buf_addf(out, "%s\"%s\":", i == 0 ? "" : ",", names[i]);
		json_add_string(out, buf_span(&value));
	}
	buf_fini(&value);
}

int
checkpoint_parse(const struct json_object *object, struct checkpoint *out,
    struct fail *fail)
{
	struct checkpoint c = { .seq = 0 };
	struct span value;

	for (unsigned i = 0; i < FIELDS; i++)
		if (json_object_string(object, names[i], &value) != 1 ||
		    set_field(&c, i, value) == -1)
			return fail_set(fail, FAIL_INPUT, "a checkpoint whose "
			    "\"%s\" can't be read", names[i]);
	*out = c;
	return 0;
}

void
checkpoint_format_text(struct buf *out, const struct checkpoint *c)
{
	buf_add_str(out, "checkpoint");
	for (unsigned i = 0; i < FIELDS; i++) {
		buf_addf(out, " %s=", names[i]);
		add_field(out, c, i);
	}
}

/* What stands behind the first "checkpoint journal=", from "journal" on. */
static bool
find_start(struct span *line)
{
	static const char start[] = "checkpoint journal=";
	const unsigned char *at = line->len == 0 ? NULL :
	    memmem(line->p, line->len, start, sizeof(start) - 1);

	if (at == NULL)
		return false;
	*line = span_from(*line, (size_t)(at - line->p) +
	    sizeof("checkpoint ") - 1);
	return true;
}

int
checkpoint_find(struct span line, struct checkpoint *out)
{
	struct checkpoint c = { .seq = 0 };

	if (!find_start(&line))
		return 0;
	for (unsigned i = 0; i < FIELDS; i++) {
		struct span name = span_str(names[i]), value;
		size_t len = 0;

		if (!span_has_prefix(line, name) || line.len <= name.len ||
		    line.p[name.len] != '=')
			return 0;
		value = span_from(line, name.len + 1);
		while (len < value.len && !ascii_isspace(value.p[len]))
			len++;
		if (set_field(&c, i, span_head(value, len)) == -1)
			return 0;
		line = span_from(value, len + 1);
	}
	*out = c;
	return 1;
}
