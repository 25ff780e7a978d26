/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/webhook_body.h"

#include <inttypes.h>
#include <string.h>

#include "base/codec.h"
#include "base/crypto.h"
#include "base/date.h"
#include "base/json.h"

#define SECRET_MIN	24	/* bytes, as the specification has it */
#define SECRET_MAX	64
#define ID_BYTES	16
#define PAUSE_FIRST_MS	2000
#define PAUSE_MAX_MS	300000

/* -- how far a receiver was told -- */

void
webhook_cursor_format(struct buf *out, const struct webhook_cursor *cursor)
{
	buf_addf(out, "%" PRIu64 " ", cursor->seq);
	hex_format(out, cursor->chain, sizeof(cursor->chain));
	buf_add_char(out, ' ');
	hex_format(out, cursor->ledger, sizeof(cursor->ledger));
	buf_add_char(out, '\n');
}

/* The bytes up to the next blank, which is passed over. */
static struct span
next_word(struct span *rest)
{
	ptrdiff_t blank = span_index(*rest, ' ');
	struct span word = span_head(*rest, blank == -1 ? rest->len :
	    (size_t)blank);

	*rest = span_from(*rest, word.len + 1);
	return word;
}

int
webhook_cursor_parse(struct span text, struct webhook_cursor *out)
{
	struct span rest = text.len > 0 && text.p[text.len - 1] == '\n' ?
	    span_head(text, text.len - 1) : text;
	struct webhook_cursor cursor;

	if (span_to_u64(next_word(&rest), &cursor.seq) == -1 ||
	    hex_parse(next_word(&rest), cursor.chain,
	    sizeof(cursor.chain)) == -1 ||
	    hex_parse(rest, cursor.ledger, sizeof(cursor.ledger)) == -1)
		return -1;
	*out = cursor;
	return 0;
}

/* -- what is told -- */

void
webhook_batch_init(struct webhook_batch *batch)
{
	*batch = (struct webhook_batch){ 0 };
	buf_init(&batch->events, WEBHOOK_BODY_MAX);
	buf_init(&batch->body, WEBHOOK_BODY_MAX);
}

void
webhook_batch_fini(struct webhook_batch *batch)
{
	buf_fini(&batch->events);
	buf_fini(&batch->body);
}

void
webhook_batch_clear(struct webhook_batch *batch)
{
	batch->from = 0;
	batch->count = 0;
	batch->last_ms = 0;
	buf_clear(&batch->events);
	buf_clear(&batch->body);
}

static void
add_time(struct buf *out, const char *name, int64_t ms)
{
	struct buf text = BUF_INIT(64);

	date_format(&text, ms);
	json_add_member(out, name, buf_span(&text));
	buf_fini(&text);
}

void
webhook_batch_add(struct webhook_batch *batch, uint64_t seq,
    const struct event *event, int64_t recorded_ms)
{
	struct buf *out = &batch->events, subject = BUF_INIT(64);

	buf_add_str(out, batch->count > 0 ? ",{" : "{");
	json_add_member_i64(out, "seq", (int64_t)seq);
	add_time(out, "recorded_at", recorded_ms);
	add_time(out, "at", event->at_ms);
	json_add_member_str(out, "event", event_kind_name(event->kind));
	if (event->list[0] != '\0')
		json_add_member_str(out, "list", event->list);
	subject_format(&subject, &event->subject);
	json_add_member(out, "subject", buf_span(&subject));
	buf_add_char(out, '}');
	buf_fini(&subject);
	batch->count++;
	batch->last_ms = recorded_ms;
}

void
webhook_batch_finish(struct webhook_batch *batch)
{
	struct buf *out = &batch->body, ledger = BUF_INIT(64);

	hex_format(&ledger, batch->end.ledger, sizeof(batch->end.ledger));
	buf_clear(out);
	buf_add_char(out, '{');
	json_add_member_str(out, "type", "consent.changed");
	add_time(out, "timestamp", batch->last_ms);
	json_add_name(out, "data");
	buf_add_char(out, '{');
	json_add_member(out, "ledger", buf_span(&ledger));
	json_add_member_i64(out, "from", (int64_t)batch->from);
	json_add_member_i64(out, "to", (int64_t)batch->end.seq);
	json_add_name(out, "events");
	buf_add_char(out, '[');
	buf_add_span(out, buf_span(&batch->events));
	buf_add_str(out, "]}}");
	buf_fini(&ledger);
}

void
webhook_batch_id(struct buf *out, const struct webhook_batch *batch)
{
	unsigned char digest[CRYPTO_DIGEST_BYTES];
	struct span body = buf_span(&batch->body);

	crypto_sha256(&body, 1, digest);
	buf_add_str(out, "msg_");
	hex_format(out, digest, ID_BYTES);
}

/* -- signing -- */

static int
add_secret(struct webhook_secrets *secrets, struct span line, unsigned number,
    struct fail *fail)
{
	unsigned char key[SECRET_MAX];
	size_t len;

	if (!span_has_prefix(line, SPAN("whsec_")) ||
	    base64_parse(span_from(line, strlen("whsec_")), key, sizeof(key),
	    &len) == -1 || len < SECRET_MIN)
		return fail_set(fail, FAIL_SETUP, "line %u is no secret, want "
		    "whsec_ and the base64 of %d to %d bytes (echo "
		    "\"whsec_$(openssl rand -base64 32)\")", number,
		    SECRET_MIN, SECRET_MAX);
	if (secrets->count == WEBHOOK_SECRETS_MAX) {
		crypto_wipe(key, sizeof(key));
		return fail_set(fail, FAIL_SETUP, "line %u is one secret too "
		    "many, there may be %d", number, WEBHOOK_SECRETS_MAX);
	}
	secrets->key[secrets->count++] =
	    crypto_hmac_new_sized(span_of(key, len));
	crypto_wipe(key, sizeof(key));
	return 0;
}

int
webhook_secrets_parse(struct span text, struct webhook_secrets *out,
    struct fail *fail)
{
	unsigned number = 0;
	int rc = 0;

	*out = (struct webhook_secrets){ 0 };
	while (rc == 0 && text.len > 0) {
		ptrdiff_t end = span_index(text, '\n');
		struct span line = span_head(text, end == -1 ? text.len :
		    (size_t)end);

		text = span_from(text, line.len + 1);
		line = span_trim(line);
		number++;
		if (line.len > 0 && line.p[0] != '#')
			rc = add_secret(out, line, number, fail);
	}
	if (rc == 0 && out->count == 0)
		rc = fail_set(fail, FAIL_SETUP, "it holds no secret (echo "
		    "\"whsec_$(openssl rand -base64 32)\")");
	if (rc == -1)
		webhook_secrets_free(out);
	return rc;
}

void
webhook_secrets_free(struct webhook_secrets *secrets)
{
	for (size_t i = 0; i < secrets->count; i++)
		crypto_hmac_free(&secrets->key[i]);
	secrets->count = 0;
}

void
webhook_secrets_sign(struct buf *out, const struct webhook_secrets *secrets,
    struct span id, int64_t seconds, struct span body)
{
	unsigned char sum[CRYPTO_DIGEST_BYTES];
	struct buf time = BUF_INIT(32);
	struct span pieces[3];

	buf_addf(&time, ".%" PRId64 ".", seconds);
	pieces[0] = id;
	pieces[1] = buf_span(&time);
	pieces[2] = body;
	for (size_t i = 0; i < secrets->count; i++) {
		crypto_hmac_sum(secrets->key[i], pieces, 3, sum);
		buf_add_str(out, i > 0 ? " v1," : "v1,");
		base64_format(out, sum, sizeof(sum));
	}
	buf_fini(&time);
}

/* -- trying again -- */

int64_t
webhook_pause_ms(unsigned failures, uint32_t random)
{
	int64_t most = PAUSE_FIRST_MS;

	for (unsigned i = 1; i < failures && most < PAUSE_MAX_MS; i++)
		most *= 2;
	if (most > PAUSE_MAX_MS)
		most = PAUSE_MAX_MS;
	return most / 2 + (int64_t)(random % (uint32_t)(most / 2 + 1));
}
