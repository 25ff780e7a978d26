/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * unsubscribe-mail: what a pipe transport or an alias runs for mail to
 * u+TOKEN@host, and for complaint reports.  Nothing is ever answered.  Whatever
 * goes wrong, the mail stays in the queue (75): it is an opt-out.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "ctl/complaint.h"
#include "ctl/ctl.h"
#include "ctl/mailto.h"
#include "mail/mime.h"

#define MESSAGE_MAX	((size_t)1024 * 1024)
#define HEADER_MAX	((size_t)256 * 1024)

/* The start of the message; reads the rest as well, for whom writes to us would
 * take a closed pipe for a failure. */
static int
read_message(struct buf *message, struct fail *fail)
{
	char chunk[8192];
	size_t n;

	while ((n = fread(chunk, 1, sizeof(chunk), stdin)) > 0)
		if (!message->overflow)
			buf_add(message, chunk, n);
	return ferror(stdin) == 0 ? 0 : fail_errno(fail, FAIL_TEMP, errno,
	    "the message can't be read");
}

static struct event
make_event(struct ctl *ctl, const struct token *token)
{
	struct event event = { .kind = EVENT_WITHDRAW,
	    .subject = token->subject };
	const struct list *list = policy_list_of_token(
	    &ctl->settings->policy, token->list);

	/* A list that is gone may come back: then it is out of all. */
	if (list != NULL)
		memcpy(event.list, list->id, sizeof(event.list));
	event.at_ms = ledger_opt_out_ms(ctl, &token->subject,
	    list != NULL ? list->id : NULL);
	return event;
}

static int
opt_out(struct ctl *ctl, const struct mailto *mailto, const char *by)
{
	struct event events[MAILTO_TOKENS_MAX];
	bool recorded = false;

	for (size_t i = 0; i < mailto->count; i++)
		events[i] = make_event(ctl, &mailto->tokens[i]);
	/* What is recorded counts, though Redis may have to wait. */
	(void)ledger_record(ctl, events, mailto->count, &recorded);
	for (size_t i = 0; recorded && i < mailto->count; i++)
		log_info("unsubscribed by %s: list=%s", by,
		    events[i].list[0] != '\0' ? events[i].list : "-");
	return recorded ? EX_OK : EX_TEMPFAIL;
}

static int
pass_over(const char *why)
{
	log_info("mail to an unsubscribe address is passed over: %s", why);
	return EX_OK;
}

/* Whatever address it was sent to: only the message that came back counts. */
static int
take_complaint(struct ctl *ctl, struct span authserv_id, struct span message)
{
	struct mailto mailto = { .count = 0 };
	const char *why = complaint_take(&mailto, &ctl->settings->token_keys,
	    authserv_id, message);

	if (why != NULL)
		return pass_over(why);
	ctl->actor = "complaint report";
	return opt_out(ctl, &mailto, "complaint report");
}

static int
take_mail(struct ctl *ctl, struct span header, char **recipients)
{
	static const char *const from_mta[] = { "ORIGINAL_RECIPIENT",
	    "EXTENSION" };
	const struct token_keys *keys = &ctl->settings->token_keys;
	struct mailto mailto = { .count = 0 };
	const char *why = mailto_automatic(header);

	if (why != NULL)
		return pass_over(why);
	for (; *recipients != NULL; recipients++)
		mailto_take(&mailto, keys, span_str(*recipients));
	for (size_t i = 0; i < sizeof(from_mta) / sizeof(from_mta[0]); i++)
		mailto_take(&mailto, keys, span_str(getenv(from_mta[i])));
	mailto_take_header(&mailto, keys, header);
	return mailto.count == 0 ? pass_over("no good token in it") :
	    opt_out(ctl, &mailto, "mail");
}

int
command_unsubscribe_mail(struct ctl *ctl, int argc, char **argv)
{
	struct buf message = BUF_INIT(MESSAGE_MAX);
	const char *authserv_id = NULL;
	struct span header, body;
	struct fail fail;
	int rc = EX_TEMPFAIL;

	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		ctl_help(argv[0]);
		return EX_OK;
	}
	log_open("consentctl", ctl_is_terminal(2));
	/* Security: only here, and no getopt: what follows is what a stranger
	 * wrote to. */
	if (argc > 2 && strcmp(argv[1], "--authserv-id") == 0) {
		authserv_id = argv[2];
		argv += 2;
	}
	if (read_message(&message, &fail) == -1) {
		log_error("%s", fail.text);
		buf_fini(&message);
		return EX_TEMPFAIL;
	}
	mime_split(buf_span(&message), &header, &body);
	header = span_head(header, HEADER_MAX);
	if (ctl_need_keys(ctl) == EX_OK) {
		if (authserv_id == NULL)
			authserv_id = ctl->settings->unsubscribe.authserv_id;
		rc = complaint_is_report(header) ? take_complaint(ctl,
		    span_str(authserv_id), buf_span(&message)) :
		    take_mail(ctl, header, argv + 1);
	}
	buf_fini(&message);
	return rc;
}
