/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * unsubscribe-mail: what a pipe transport or an alias runs for mail to
 * u+TOKEN@host.  Nothing is ever answered.  Whatever goes wrong, the mail stays
 * in the queue (75): it is an opt-out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "ctl/ctl.h"
#include "ctl/mailto.h"

#define HEADER_MAX	((size_t)256 * 1024)

/* The header section with LF line ends; reads the rest as well, for whom writes
 * to us would take a closed pipe for a failure. */
static void
read_message(struct buf *header)
{
	char line[8192];
	bool at_start = true, in_header = true;

	while (fgets(line, sizeof(line), stdin) != NULL) {
		size_t len = strlen(line);
		bool ended = len > 0 && line[len - 1] == '\n';

		if (in_header && at_start && (strcmp(line, "\n") == 0 ||
		    strcmp(line, "\r\n") == 0))
			in_header = false;
		if (len > 1 && ended && line[len - 2] == '\r') {
			line[len - 2] = '\n';
			len--;
		}
		if (in_header && !header->overflow)
			buf_add(header, line, len);
		at_start = ended;
	}
}

static struct event
make_event(const struct ctl *ctl, const struct token *token)
{
	struct event event = { .kind = EVENT_WITHDRAW,
	    .subject = token->subject, .at_ms = ctl->now_ms };
	const struct policy *policy = &ctl->settings->policy;

	/* A list that is gone may come back: then it is out of all. */
	for (size_t i = 0; i < policy->list_count; i++) {
		unsigned char id[TOKEN_LIST_BYTES];

		token_list(span_str(policy->lists[i].id), id);
		if (memcmp(id, token->list, sizeof(id)) == 0)
			memcpy(event.list, policy->lists[i].id,
			    sizeof(event.list));
	}
	return event;
}

static int
opt_out(struct ctl *ctl, const struct mailto *mailto)
{
	struct event events[MAILTO_TOKENS_MAX];
	bool recorded = false;

	for (size_t i = 0; i < mailto->count; i++)
		events[i] = make_event(ctl, &mailto->tokens[i]);
	/* What is recorded counts, though Redis may have to wait. */
	(void)ledger_record(ctl, events, mailto->count, &recorded);
	for (size_t i = 0; recorded && i < mailto->count; i++)
		log_info("unsubscribed by mail: list=%s", events[i].list[0] !=
		    '\0' ? events[i].list : "-");
	return recorded ? EX_OK : EX_TEMPFAIL;
}

int
command_unsubscribe_mail(struct ctl *ctl, int argc, char **argv)
{
	static const char *const from_mta[] = { "ORIGINAL_RECIPIENT",
	    "EXTENSION" };
	struct buf header = BUF_INIT(HEADER_MAX);
	struct mailto mailto = { .count = 0 };
	const char *why;
	int rc = EX_OK;

	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		ctl_help(argv[0]);
		return EX_OK;
	}
	log_open("consentctl", ctl_is_terminal(2));
	read_message(&header);
	if (ctl_need_keys(ctl) != EX_OK) {
		buf_fini(&header);
		return EX_TEMPFAIL;
	}
	for (int i = 1; i < argc; i++)
		mailto_take(&mailto, &ctl->settings->token_keys,
		    span_str(argv[i]));
	for (size_t i = 0; i < sizeof(from_mta) / sizeof(from_mta[0]); i++)
		mailto_take(&mailto, &ctl->settings->token_keys,
		    span_str(getenv(from_mta[i])));
	mailto_take_header(&mailto, &ctl->settings->token_keys,
	    buf_span(&header));
	why = mailto_automatic(buf_span(&header));
	if (why != NULL)
		log_info("mail to an unsubscribe address is passed over: %s",
		    why);
	else if (mailto.count == 0)
		log_info("mail to an unsubscribe address is passed over: no "
		    "good token in it");
	else
		rc = opt_out(ctl, &mailto);
	buf_fini(&header);
	return rc;
}
