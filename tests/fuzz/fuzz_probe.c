/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A mailbox, a key and a message that came back: no link is ever found good
 * that our key did not make, and what is printed is one line for each line.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/mailbox.h"
#include "ctl/probe.h"

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
judge(struct span message)
{
	static const unsigned char secret[CRYPTO_KEY_BYTES] = { 1 };
	static struct list list = { .id = "weekly" };
	struct settings settings = { .socket = (char[]){ "inet:1@h" },
	    .keys = (char[]){ "/k" },
	    .unsubscribe = { .url = (char[]){ "https://h/u/" } },
	    .token_keys = { .key = { crypto_hmac_new(secret) } } };
	struct probe probe = { .settings = &settings, .list = &list,
	    .from = "a@h", .envelope_sender = "a@h", .is_listed = true };
	struct signature signature = { .state = SIGNATURE_GOOD };
	struct findings findings = { NULL, 0, 0 };
	struct buf out = BUF_INIT(65536);

	memcpy(signature.fields, message.p, message.len <
	    sizeof(signature.fields) ? message.len :
	    sizeof(signature.fields) - 1);
	probe_judge_fields(&findings, &probe, message);
	probe_judge_signatures(&findings, &probe, &signature, 1);
	if (findings_find(&findings, "link")->status == FINDING_OK)
		abort();
	findings_print(&out, &findings, false);
	if (memchr(out.data, '\033', out.len) != NULL)
		abort();
	findings_print_json(&out, &findings);
	findings_fini(&findings);
	buf_fini(&out);
	crypto_hmac_free(&settings.token_keys.key[0]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span rest = span_of(data, size), message;
	struct buf text = BUF_INIT(2 * size + 1);
	char key[SIGNATURE_KEY_MAX + 1];
	struct fail fail;

	if (size == 0)
		return 0;
	while (mailbox_next(&rest, &message))
		if (message.p < data || message.p + message.len > data + size)
			abort();
	if (signature_read_key(span_of(data, size), key, &fail) == 0 &&
	    strlen(key) > SIGNATURE_KEY_MAX)
		abort();
	(void)probe_field_is_valid(span_of(data, size));
	mailbox_add_crlf(&text, span_of(data, size));
	judge(buf_span(&text));
	buf_fini(&text);
	return 0;
}
