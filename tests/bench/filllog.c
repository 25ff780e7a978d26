/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * filllog DIRECTORY decisions|ledger COUNT SEED [SUBJECT]: a journal of COUNT
 * entries of the real form, with salts, chain and signed checkpoints, for
 * measuring what reads them.  People are one in ten entries, a year passes as
 * they go.  SEED is what checkpoint.key holds; one of the people gets the
 * pseudonym SUBJECT.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/crypto.h"
#include "base/date.h"
#include "journal/journal.h"

#define BATCH	1000
#define START_MS	INT64_C(1735689600000)	/* 2025-01-01 */
#define YEAR_MS		INT64_C(31536000000)

/* The pseudonym of person 1, or NULL. */
static const char *somebody;

static void
add_subject(struct buf *out, uint64_t person)
{
	if (person == 1 && somebody != NULL) {
		buf_add_str(out, somebody);
		return;
	}
	buf_addf(out, "%016" PRIx64 "%016" PRIx64,
	    person * UINT64_C(0x9e3779b97f4a7c15),
	    person * UINT64_C(0xc2b2ae3d27d4eb4f));
}

static void
add_decision(struct buf *out, uint64_t i, uint64_t person, const char *time)
{
	static const char *const reasons[] = { "granted", "granted", "granted",
	    "no-consent", "withdrawn", "expired", "pending", "granted" };
	const char *reason = reasons[i * 7 % 8];
	bool good = strcmp(reason, "granted") == 0;

	buf_addf(out, "\"time\":\"%s\",\"host\":\"mx1\",\"ref\":\"r%012"
	    PRIu64 "\",\"queue_id\":\"4XyZ%08" PRIX64 "\",\"stage\":\"rcpt\","
	    "\"list\":\"list%" PRIu64 "\",\"rule\":\"weekly:match:1\","
	    "\"subject\":\"", time, i, i, i % 3);
	add_subject(out, person);
	buf_addf(out, "\",\"recipient\":\"u***@example.org\",\"action\":"
	    "\"%s\",\"reason\":\"%s\",\"sender\":\"news@news.example.com\","
	    "\"client\":\"192.0.2.1\",\"auth\":null,\"message_id\":null,"
	    "\"reply\":null", good ? "accept" : "reject", reason);
}

static void
add_event(struct buf *out, uint64_t i, uint64_t person, const char *time)
{
	static const char *const kinds[] = { "grant", "grant", "confirm",
	    "grant", "withdraw" };
	const char *kind = kinds[i % 5];

	buf_addf(out, "\"time\":\"%s\",\"event\":\"%s\",\"list\":\"list%"
	    PRIu64 "\",\"subject\":\"", time, kind, i % 3);
	add_subject(out, person);
	buf_addf(out, "\",\"at\":\"%s\"", time);
	if (strcmp(kind, "grant") == 0)
		buf_addf(out, ",\"source\":\"shop\",\"notice\":\"signup 1\","
		    "\"language\":\"en\",\"method\":\"web-form\",\"ip\":"
		    "\"192.0.%" PRIu64 ".0\"", person % 256);
	buf_add_str(out, ",\"actor\":\"root\"");
}

int
main(int argc, char **argv)
{
	unsigned char seed[CRYPTO_KEY_BYTES];
	struct journal_options options = { .host = "mx1", .exclusive = true };
	struct journal *journal;
	struct buf bodies[BATCH], time = BUF_INIT(64);
	struct span spans[BATCH];
	struct fail fail;
	uint64_t count;
	bool ledger;

	if (argc < 5 || argc > 6 ||
	    hex_parse(span_str(argv[4]), seed, sizeof(seed)) == -1) {
		fputs("usage: filllog DIRECTORY decisions|ledger COUNT SEED "
		    "[SUBJECT]\n", stderr);
		return 64;
	}
	somebody = argv[5];
	count = strtoull(argv[3], NULL, 10);
	ledger = strcmp(argv[2], "ledger") == 0;
	options.directory = argv[1];
	options.name = argv[2];
	options.signer = crypto_signer_new(seed);
	if (journal_open(&options, &journal, NULL, &fail) == -1) {
		fprintf(stderr, "%s\n", fail.text);
		return 1;
	}
	for (size_t i = 0; i < BATCH; i++)
		buf_init(&bodies[i], JOURNAL_BODY_MAX);
	for (uint64_t done = 0; done < count; done += BATCH) {
		for (uint64_t i = 0; i < BATCH; i++) {
			uint64_t n = done + i;

			buf_clear(&time);
			date_format(&time, START_MS +
			    (int64_t)((double)n / (double)count *
			    (double)YEAR_MS));
			buf_clear(&bodies[i]);
			(ledger ? add_event : add_decision)(&bodies[i], n,
			    n * 31 % (count / 10 + 1), buf_get(&time));
			spans[i] = buf_span(&bodies[i]);
		}
		if (journal_append_many(journal, ledger ? "event" :
		    "decision", spans, BATCH, false, &fail) == -1) {
			fprintf(stderr, "%s\n", fail.text);
			return 1;
		}
	}
	journal_close(&journal);
	return 0;
}
