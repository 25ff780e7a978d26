/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "webd/webhook_body.h"

#include "check.h"

#define N(table)	(sizeof(table) / sizeof((table)[0]))

#define CHAIN	"000102030405060708090a0b0c0d0e0f"			\
	"101112131415161718191a1b1c1d1e1f"
#define LEDGER	"a0a1a2a3a4a5a6a7"
/* Of 24, 32 and 64 bytes. */
#define SECRET	"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define SECRET_32	"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define SECRET_64	"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8" \
	"gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw=="

static struct webhook_cursor
some_cursor(uint64_t seq)
{
	struct webhook_cursor cursor = { .seq = seq };

	for (unsigned char i = 0; i < sizeof(cursor.chain); i++)
		cursor.chain[i] = i;
	for (unsigned char i = 0; i < sizeof(cursor.ledger); i++)
		cursor.ledger[i] = 0xa0 + i;
	return cursor;
}

static void
test_cursor(void)
{
	static const char *const bad[] = {
		"", "\n", "7", "7 " CHAIN, "7 " CHAIN " ",
		"07 " CHAIN " " LEDGER, "-7 " CHAIN " " LEDGER,
		"18446744073709551616 " CHAIN " " LEDGER,
		" 7 " CHAIN " " LEDGER, "7  " CHAIN " " LEDGER,
		"7 " CHAIN " " LEDGER " ", "7 " CHAIN " " LEDGER "\n\n",
		"7 " CHAIN "00 " LEDGER, "7 " CHAIN " A0A1A2A3A4A5A6A7",
	};
	struct webhook_cursor cursor = some_cursor(7), back;
	struct buf text = BUF_INIT(200);

	webhook_cursor_format(&text, &cursor);
	CHECK_STR(buf_get(&text), "7 " CHAIN " " LEDGER "\n");
	CHECK_INT(webhook_cursor_parse(buf_span(&text), &back), 0);
	CHECK_BYTES(&back, sizeof(back), &cursor, sizeof(cursor));
	for (size_t i = 0; i < N(bad); i++) {
		check_case((long)i);
		CHECK_INT(webhook_cursor_parse(span_str(bad[i]), &back), -1);
	}
	CHECK_INT(back.seq, 7);
	buf_fini(&text);
}

static void
add(struct webhook_batch *batch, uint64_t seq, enum event_kind kind,
    const char *list, int64_t at_ms)
{
	struct event event = { .kind = kind, .at_ms = at_ms };

	for (unsigned char i = 0; i < SUBJECT_BYTES; i++)
		event.subject.id[i] = i;
	(void)snprintf(event.list, sizeof(event.list), "%s", list);
	webhook_batch_add(batch, seq, &event, at_ms + 1500);
}

static void
test_batch(void)
{
	struct webhook_batch batch;
	struct buf id = BUF_INIT(64), again = BUF_INIT(64);

	webhook_batch_init(&batch);
	for (int i = 0; i < 2; i++) {
		webhook_batch_clear(&batch);
		batch.from = 5;
		batch.end = some_cursor(9);
		add(&batch, 6, EVENT_WITHDRAW, "weekly", 1795000000000);
		add(&batch, 8, EVENT_OBJECT, "", 1795000001000);
		webhook_batch_finish(&batch);
		webhook_batch_id(i == 0 ? &id : &again, &batch);
	}
	CHECK_STR(buf_get(&batch.body), "{\"type\":\"consent.changed\","
	    "\"timestamp\":\"2026-11-18T11:06:42.500Z\",\"data\":{\"ledger\":"
	    "\"" LEDGER "\",\"from\":5,\"to\":9,\"events\":[{\"seq\":6,"
	    "\"recorded_at\":\"2026-11-18T11:06:41.500Z\","
	    "\"at\":\"2026-11-18T11:06:40.000Z\",\"event\":\"withdraw\","
	    "\"list\":\"weekly\","
	    "\"subject\":\"000102030405060708090a0b0c0d0e0f\"},{\"seq\":8,"
	    "\"recorded_at\":\"2026-11-18T11:06:42.500Z\","
	    "\"at\":\"2026-11-18T11:06:41.000Z\",\"event\":\"object\","
	    "\"subject\":\"000102030405060708090a0b0c0d0e0f\"}]}}");
	CHECK_INT(id.len, 4 + 32);
	CHECK_STR(buf_get(&id), buf_get(&again));
	add(&batch, 10, EVENT_ERASE, "", 1795000001000);
	webhook_batch_finish(&batch);
	buf_clear(&again);
	webhook_batch_id(&again, &batch);
	CHECK(!span_is(buf_span(&id), buf_span(&again)));
	buf_fini(&id);
	buf_fini(&again);
	webhook_batch_fini(&batch);
}

/* The longest of everything fits. */
static void
test_full_batch(void)
{
	struct webhook_batch batch;

	webhook_batch_init(&batch);
	batch.from = 1;
	batch.end = some_cursor(INT64_MAX);
	for (int i = 0; i < WEBHOOK_EVENTS_MAX; i++)
		add(&batch, INT64_MAX, EVENT_OBJECT_PROFILING,
		    "abcdefghijklmnopqrstuvwxyz012345", 1795000000000);
	webhook_batch_finish(&batch);
	CHECK(!batch.events.overflow && !batch.body.overflow);
	CHECK(batch.body.len > 0);
	webhook_batch_fini(&batch);
}

static void
test_secrets(void)
{
	static const struct {
		const char	*text;
		size_t		 count;		/* 0: refused */
		const char	*why;
	} cases[] = {
		{ SECRET, 1, NULL },
		{ SECRET "\n", 1, NULL },
		{ "# comment\r\n\r\n  " SECRET "\t\r\n" SECRET_32 "\n", 2,
		  NULL },
		{ SECRET_64 "\n" SECRET "\n" SECRET "\n" SECRET, 4, NULL },
		{ SECRET "\n" SECRET "\n" SECRET "\n" SECRET "\n" SECRET, 0,
		  "line 5 is one secret too many" },
		{ "", 0, "it holds no secret" },
		{ "\n# " SECRET "\n", 0, "it holds no secret" },
		{ "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 0, "line 1 is no" },
		{ "whsec_", 0, "line 1 is no" },
		{ "\nwhsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRY=\n", 0,
		  "line 2 is no" },			/* 23 bytes */
		{ SECRET_32 "A", 0, "line 1 is no" },
		{ "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS_", 0,
		  "line 1 is no" },
		{ SECRET " " SECRET, 0, "line 1 is no" },
		{ SECRET "\nwhsec_x", 0, "line 2 is no" },
	};
	struct webhook_secrets secrets;
	struct fail fail;

	for (size_t i = 0; i < N(cases); i++) {
		int rc = webhook_secrets_parse(span_str(cases[i].text),
		    &secrets, &fail);

		check_case((long)i);
		CHECK_INT(rc, cases[i].count > 0 ? 0 : -1);
		CHECK_INT(secrets.count, cases[i].count);
		if (rc == -1) {
			CHECK_INT(fail.class, FAIL_SETUP);
			CHECK(strncmp(fail.text, cases[i].why,
			    strlen(cases[i].why)) == 0);
			CHECK(strstr(fail.text, "MfKQ") == NULL);
		}
		webhook_secrets_free(&secrets);
	}
}

static void
test_signatures(void)
{
	static const struct {
		const char	*secrets, *want;
	} cases[] = {
		/* The example of the specification's own libraries. */
		{ SECRET,
		  "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" },
		/* Of openssl dgst -sha256 -mac HMAC. */
		{ SECRET_32,
		  "v1,O4Gjv1HqPqsMrjmczoggs/sWA8gZD0VyHG+fLh4+ktI=" },
		{ SECRET_64 "\n" SECRET,
		  "v1,LZ5zuwHTqQH3VM8ERUusjzVQq1FXzemvpR8Mk7Ivp5c= "
		  "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" },
	};

	for (size_t i = 0; i < N(cases); i++) {
		struct webhook_secrets secrets;
		struct buf out = BUF_INIT(300);
		struct fail fail;

		check_case((long)i);
		CHECK_INT(webhook_secrets_parse(span_str(cases[i].secrets),
		    &secrets, &fail), 0);
		webhook_secrets_sign(&out, &secrets,
		    SPAN("msg_p5jXN8AQM9LWM0D4loKWxJek"), 1614265330,
		    SPAN("{\"test\": 2432232314}"));
		CHECK_STR(buf_get(&out), cases[i].want);
		webhook_secrets_free(&secrets);
		buf_fini(&out);
	}
}

static void
test_pauses(void)
{
	static const struct {
		unsigned	failures;
		int64_t		least, most;
	} cases[] = {
		{ 1, 1000, 2000 }, { 2, 2000, 4000 }, { 3, 4000, 8000 },
		{ 8, 128000, 256000 }, { 9, 150000, 300000 },
		{ 10, 150000, 300000 }, { 4294967295u, 150000, 300000 },
	};

	for (size_t i = 0; i < N(cases); i++) {
		int64_t least = INT64_MAX, most = 0;

		check_case((long)i);
		for (uint32_t random = 0; random < 400000; random += 7) {
			int64_t ms = webhook_pause_ms(cases[i].failures,
			    random);

			least = ms < least ? ms : least;
			most = ms > most ? ms : most;
		}
		CHECK_INT(least, cases[i].least);
		CHECK(most <= cases[i].most &&
		    most > cases[i].most - cases[i].most / 100);
		CHECK(webhook_pause_ms(cases[i].failures, UINT32_MAX) <=
		    cases[i].most);
	}
}

static const struct check_test tests[] = {
	{ "cursor", test_cursor },
	{ "batch", test_batch },
	{ "full batch", test_full_batch },
	{ "secrets", test_secrets },
	{ "signatures", test_signatures },
	{ "pauses", test_pauses },
};

CHECK_MAIN("webhook", tests)
