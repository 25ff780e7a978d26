/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * selftest: one newsletter to an address of the admin's own, through the real
 * mail server and the public URL, and in words what is wrong.  What it needs a
 * consent for, and whose, is in trial.h; it is withdrawn however the test ends.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/file.h"
#include "consent/decision.h"
#include "ctl/ctl.h"
#include "ctl/endpoint.h"
#include "ctl/finding.h"
#include "ctl/mailbox.h"
#include "ctl/probe.h"
#include "ctl/signature.h"
#include "ctl/term.h"
#include "ctl/trial.h"
#include "net/net.h"
#include "net/smtp.h"

#define SEND_MS		60000
#define WAIT_SEC	60
#define WAIT_MAX_SEC	3600
#define POLL_MS		200
#define EFFECT_MS	2000		/* an opt-out has to count by then */
#define EFFECT_MAX_MS	10000		/* and is late until then */
#define FIELDS_MAX	16
#define OUTPUT_MAX	((size_t)1024 * 1024)

struct selftest {
	struct ctl	*ctl;
	struct trial	 trial;
	struct findings	 findings;
	struct probe	 probe;
	struct mailbox	 mailbox;
	struct buf	 message;	/* what arrived; CRLF */
	char		 key[SIGNATURE_KEY_MAX + 1];
	const char	*fields[FIELDS_MAX];
	const char	*list, *smtp;
	const char	*mailbox_path, *message_path, *key_path, *ca_path;
	int64_t		 wait_sec;
	bool		 json;
};

/* -- the command line -- */

static int
add_field(struct selftest *t, const char *text)
{
	if (t->probe.field_count == FIELDS_MAX)
		return ctl_usage("selftest", "takes %d times --header",
		    FIELDS_MAX);
	if (!probe_field_is_valid(span_str(text)))
		return ctl_usage("selftest", "--header takes \"Name: value\" "
		    "in ASCII");
	t->fields[t->probe.field_count++] = text;
	return EX_OK;
}

static int
set_wait(struct selftest *t, const char *text)
{
	if (span_to_i64(span_str(text), &t->wait_sec) == -1 ||
	    t->wait_sec < 1 || t->wait_sec > WAIT_MAX_SEC)
		return ctl_usage("selftest", "--wait takes 1 to %d seconds",
		    WAIT_MAX_SEC);
	return EX_OK;
}

/* Stores one option; EX_OK, or a code. */
static int
take_option(struct selftest *t, int option)
{
	const struct {
		int		  letter;
		const char	**text;
	} texts[] = {
		{ 'l', &t->list }, { 'f', &t->probe.from },
		{ 't', &t->probe.to }, { 'e', &t->probe.envelope_sender },
		{ 's', &t->smtp }, { 'b', &t->mailbox_path },
		{ 'm', &t->message_path }, { 'k', &t->key_path },
		{ 'c', &t->ca_path },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].letter == option) {
			*texts[i].text = optarg;
			return EX_OK;
		}
	if (option == 'H')
		return add_field(t, optarg);
	if (option == 'w')
		return set_wait(t, optarg);
	if (option == 'g')
		t->trial.may_grant = true;
	else if (option == 'E')
		t->trial.may_end = true;
	else if (option == 'j')
		t->json = true;
	else
		return EX_USAGE;
	return EX_OK;
}

/* Reads the addresses, the list and the files that were named. */
static int
resolve(struct selftest *t)
{
	struct ctl *ctl = t->ctl;
	struct buf key = BUF_INIT(64 * 1024);
	struct address to;
	struct fail fail;
	int rc;

	t->probe.settings = ctl->settings;
	t->probe.list = ctl_list(ctl, t->list);
	if (t->probe.list == NULL)
		return EX_DATAERR;
	if (address_parse(span_str(t->probe.from), &t->probe.sender,
	    &fail) == -1) {
		ctl_warn("--from %s: %s", t->probe.from, fail.text);
		return EX_DATAERR;
	}
	if (t->probe.envelope_sender == NULL)
		t->probe.envelope_sender = t->probe.from;
	/* The null sender is one, too. */
	if (t->probe.envelope_sender[0] != '\0' && address_parse(span_str(
	    t->probe.envelope_sender), &to, &fail) == -1) {
		ctl_warn("--envelope-sender %s: %s", t->probe.envelope_sender,
		    fail.text);
		return EX_DATAERR;
	}
	rc = ctl_subject(ctl, t->probe.to, &to, &t->probe.subject);
	t->trial.ctl = ctl;
	t->trial.list = t->probe.list;
	t->trial.subject = &t->probe.subject;
	t->trial.address = t->probe.to;
	if (rc == EX_OK && t->key_path != NULL &&
	    (file_read(t->key_path, &key, &fail) == -1 ||
	    signature_read_key(buf_span(&key), t->key, &fail) == -1)) {
		ctl_warn("--dkim-key %s: %s", t->key_path, fail.text);
		rc = EX_NOINPUT;
	}
	buf_fini(&key);
	if (rc == EX_OK && t->ca_path != NULL &&
	    access(t->ca_path, R_OK) == -1) {
		(void)fail_errno(&fail, FAIL_SETUP, errno, "--ca %s",
		    t->ca_path);
		ctl_warn("%s", fail.text);
		rc = EX_NOINPUT;
	}
	if (t->smtp == NULL)
		t->smtp = ctl->settings->mail.server;
	return rc;
}

/* Returns -1 to go on, or an exit code. */
static int
parse(struct selftest *t, int argc, char **argv)
{
	int option, rc = EX_OK;

	while (rc == EX_OK && (option = ctl_getopt(argc, argv)) != -1) {
		if (option == 'h')
			return EX_OK;
		rc = take_option(t, option);
	}
	if (rc != EX_OK)
		return rc;
	if (optind != argc)
		return ctl_usage(argv[0], "takes options only");
	if (t->list == NULL || t->probe.from == NULL || t->probe.to == NULL)
		return ctl_usage(argv[0], "wants --list L, --from SENDER and "
		    "--to ADDRESS");
	if (t->mailbox_path != NULL && t->message_path != NULL)
		return ctl_usage(argv[0], "--mailbox is where the probe will "
		    "come, --message one that came: not both");
	rc = ctl_need_keys(t->ctl);
	if (rc == EX_OK)
		rc = resolve(t);
	return rc == EX_OK ? -1 : rc;
}

/* -- the end -- */

/* However the test went.  What was interrupted is not interrupted here. */
static void
clean_up(struct selftest *t)
{
	if (!t->trial.has_granted)
		return;
	t->ctl->interrupted = 0;
	if (trial_opt_out(&t->trial)) {
		findings_add(&t->findings, "clean-up", FINDING_OK, "the "
		    "consent of the test is withdrawn");
		return;
	}
	findings_add(&t->findings, "clean-up", FINDING_FAIL, "the consent of "
	    "the test could not be withdrawn");
	findings_fix(&t->findings, "consentctl withdraw --list %s %s",
	    t->probe.list->id, t->probe.to);
	ctl_warn("the consent of the test could not be withdrawn: run "
	    "`consentctl withdraw --list %s %s'", t->probe.list->id,
	    t->probe.to);
}

/* -- sending -- */

static int
send_probe(struct selftest *t, char codes[SMTP_CODES_ROOM],
    struct fail *fail)
{
	struct buf message = BUF_INIT(PROBE_MAX);
	const struct smtp_options smtp = { .server = t->smtp,
	    .envelope_sender = t->probe.envelope_sender,
	    .recipient = t->probe.to, .timeout_ms = SEND_MS, .codes = codes };
	int rc;

	crypto_random(t->probe.id, sizeof(t->probe.id));
	t->probe.now_ms = clock_now_ms();
	probe_format(&message, &t->probe);
	rc = smtp_send(&smtp, buf_span(&message), fail);
	buf_fini(&message);
	return rc;
}

/* Is the mail server asked over loopback, which is what it sees of us? */
static bool
is_local(const char *server)
{
	struct span s = span_str(server);

	return span_has_prefix(s, SPAN("127.")) ||
	    span_has_prefix(s, SPAN("localhost"));
}

static void
judge_list(struct selftest *t)
{
	static const unsigned char loopback[16] = { [10] = 0xff, [11] = 0xff,
	    [12] = 127, [15] = 1 };
	struct classification class = { .class = CLASS_UNDECIDED };

	probe_classify(&t->probe, is_local(t->smtp) ? loopback : NULL, &class);
	t->probe.is_listed = class.class == CLASS_LISTED &&
	    class.list == t->probe.list;
	if (t->probe.is_listed) {
		findings_add(&t->findings, "list", FINDING_OK, "mail from %s "
		    "belongs to list \"%s\" by rule %s",
		    t->probe.envelope_sender, t->probe.list->id, class.rule);
		return;
	}
	findings_add(&t->findings, "list", FINDING_WARN, "by its sender and "
	    "header, mail from %s does not belong to list \"%s\"%s%s; a rule "
	    "with client, sasl_user or daemon may still hold",
	    t->probe.envelope_sender, t->probe.list->id, class.list != NULL ?
	    " but to " : "", class.list != NULL ? class.list->id : "");
	probe_fix_list(&t->findings, &t->probe);
}

static void
judge_mode(struct selftest *t)
{
	const struct list *list = t->probe.list;

	if (!policy_observes(&t->ctl->settings->policy, list)) {
		findings_add(&t->findings, "mode", FINDING_OK, "the filter "
		    "enforces");
		return;
	}
	findings_add(&t->findings, "mode", FINDING_FAIL, "the filter only "
	    "observes%s: mail passes without links, and nobody is refused",
	    list->mode == LIST_MODE_OBSERVE ? " this list" : "");
	probe_fix_mode(&t->findings, &t->probe);
	findings_fix(&t->findings, "systemctl reload consent-milter");
}

/* The first probe.  Returns whether it is on its way. */
static bool
send_first(struct selftest *t)
{
	struct findings *f = &t->findings;
	char codes[SMTP_CODES_ROOM];
	struct fail fail;

	if (send_probe(t, codes, &fail) == 0) {
		findings_add(f, "sent", FINDING_OK, "the mail server %s took "
		    "the probe", t->smtp);
		return true;
	}
	if (fail.class == FAIL_TEMP) {
		findings_add(f, "sent", FINDING_SKIPPED, "%s", fail.text);
		return false;
	}
	findings_add(f, "sent", FINDING_FAIL, "%s", fail.text);
	if (strcmp(codes, "550 5.7.1") == 0 && !t->probe.is_listed)
		probe_fix_list(f, &t->probe);
	else if (strcmp(codes, "550 5.7.1") == 0) {
		findings_fix(f, "consent-milter.conf: redis = { url = \"%s\"; "
		    "}; keys = \"%s\"; (the filter that refused has others, or "
		    "another list claims the probe: consentctl log --since "
		    "\"1 hour\")", t->ctl->settings->redis.url,
		    t->ctl->settings->keys);
		findings_fix(f, "systemctl reload consent-milter");
	} else if (fail.class == FAIL_SETUP)
		findings_fix(f, "consent-milter.conf: mail = { server = "
		    "\"127.0.0.1:25\"; }; or --smtp HOST:PORT");
	else
		findings_fix(f, "main.cf: mynetworks = 127.0.0.0/8 (or what "
		    "the mail log names)");
	return false;
}

/* -- receiving -- */

static void
pause_ms(long ms)
{
	const struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

	(void)nanosleep(&time, NULL);
}

static void
say_waiting(const struct selftest *t, int64_t ms)
{
	if (ctl_is_terminal(2))
		fprintf(stderr, "\rwaiting for the probe, %" PRId64 " of %"
		    PRId64 " s ", ms / 1000, t->wait_sec);
}

/* Returns what mailbox_find() does. */
static int
wait_for_probe(struct selftest *t, struct fail *fail)
{
	int64_t start_ms = clock_monotonic_ms(), ms = 0;
	struct buf id = BUF_INIT(512);
	struct mailbox_mark mark = { .end = PROBE_END };
	int rc = 0;

	probe_add_id(&id, &t->probe);
	mark.message_id = buf_span(&id);
	while (rc == 0 && ms < t->wait_sec * 1000 &&
	    !ctl_is_interrupted(t->ctl)) {
		rc = mailbox_find(&t->mailbox, &mark, &t->message, fail);
		if (rc == 0)
			pause_ms(POLL_MS);
		ms = clock_monotonic_ms() - start_ms;
		say_waiting(t, ms);
	}
	if (ctl_is_terminal(2))
		fputs("\r\033[K", stderr);
	buf_fini(&id);
	return rc;
}

/* Returns whether there is a message to look at. */
static bool
receive(struct selftest *t)
{
	struct findings *f = &t->findings;
	struct fail fail;
	int rc;

	if (t->mailbox_path == NULL) {
		findings_add(f, "arrived", FINDING_SKIPPED, "when it has "
		    "arrived, save it as it came (\"show original\") and run "
		    "this again with --message FILE");
		return false;
	}
	rc = wait_for_probe(t, &fail);
	if (rc == 1) {
		findings_add(f, "arrived", FINDING_OK, "it arrived");
		return true;
	}
	if (rc == -1)
		findings_add(f, "arrived", FINDING_SKIPPED, "%s", fail.text);
	else if (!ctl_is_interrupted(t->ctl)) {
		findings_add(f, "arrived", FINDING_SKIPPED, "it did not arrive "
		    "in %s within %" PRId64 " s", t->mailbox_path,
		    t->wait_sec);
		findings_fix(f, "postqueue -p and the mail log say where it "
		    "is; --wait SECONDS waits longer");
	}
	return false;
}

/* The message that the admin saved. */
static int
read_message(struct selftest *t)
{
	struct buf text = BUF_INIT(MAILBOX_MESSAGE_MAX);
	char piece[8192];
	struct fail fail;
	int rc = 0;
	size_t n;

	if (strcmp(t->message_path, "-") == 0) {
		while ((n = fread(piece, 1, sizeof(piece), stdin)) > 0 &&
		    !text.overflow)
			buf_add(&text, piece, n);
		if (text.overflow || ferror(stdin) != 0)
			rc = fail_set(&fail, FAIL_SETUP, "stdin is no message "
			    "that can be read");
	} else
		rc = file_read(t->message_path, &text, &fail);
	mailbox_add_crlf(&t->message, buf_span(&text));
	buf_fini(&text);
	if (rc == -1) {
		ctl_warn("--message: %s", fail.text);
		return EX_NOINPUT;
	}
	return EX_OK;
}

static void
judge_message(struct selftest *t)
{
	struct signature signatures[SIGNATURES_MAX];
	size_t n = signature_check(buf_span(&t->message), t->key[0] != '\0' ?
	    t->key : NULL, signatures);

	probe_judge_fields(&t->findings, &t->probe, buf_span(&t->message));
	probe_judge_signatures(&t->findings, &t->probe, signatures, n);
}

/* -- opting out -- */

/* Waits until the opt-out counts.  Returns how long it took, or -1. */
static int64_t
wait_for_effect(struct selftest *t)
{
	int64_t start_ms = clock_monotonic_ms(), ms = 0;

	while (ms < EFFECT_MAX_MS && !ctl_is_interrupted(t->ctl)) {
		if (trial_state(&t->trial) == REASON_WITHDRAWN)
			return ms;
		pause_ms(POLL_MS / 4);
		ms = clock_monotonic_ms() - start_ms;
	}
	return -1;
}

static void
judge_effect(struct selftest *t)
{
	struct findings *f = &t->findings;
	int64_t ms = wait_for_effect(t);

	if (ms >= 0 && ms <= EFFECT_MS) {
		findings_add(f, "opt-out", FINDING_OK, "the opt-out counted "
		    "within %d s", EFFECT_MS / 1000);
		return;
	}
	if (ctl_is_interrupted(t->ctl))
		return;
	if (ms == -1 && trial_state(&t->trial) == REASON_STORE_FAILURE) {
		findings_add(f, "opt-out", FINDING_SKIPPED, "Redis can't be "
		    "asked whether it counts");
		return;
	}
	if (ms >= 0)
		findings_add(f, "opt-out", FINDING_WARN, "the opt-out took %"
		    PRId64 " ms to count", ms);
	else
		findings_add(f, "opt-out", FINDING_FAIL, "the opt-out was "
		    "acknowledged, and does not count here");
	findings_fix(f, "where consent-web runs: redis = { url = \"%s\"; }; "
	    "and the same pseudonym.key as here, then systemctl restart "
	    "consent-web; its log says what it waits for",
	    t->ctl->settings->redis.url);
}

/* The same link as in a message; nothing that was in one is ever opened. */
static int
make_link(struct selftest *t, struct buf *out)
{
	unsigned char token[TOKEN_BYTES];
	struct fail fail;

	if (token_make(&t->ctl->settings->token_keys,
	    span_str(t->probe.list->id), &t->probe.subject, t->ctl->now_ms,
	    token, &fail) == -1)
		return ctl_error(&fail);
	token_add_url(out, t->ctl->settings->unsubscribe.url, token);
	return EX_OK;
}

/* What may be opened without a click must not opt out. */
static void
judge_looking(struct selftest *t)
{
	enum reason state = trial_state(&t->trial);

	if (state == REASON_GRANTED) {
		findings_add(&t->findings, "link-safe", FINDING_OK,
		    "opening the link opts nobody out");
		return;
	}
	if (state == REASON_STORE_FAILURE) {
		findings_add(&t->findings, "link-safe", FINDING_SKIPPED,
		    "Redis can't be asked");
		return;
	}
	findings_add(&t->findings, "link-safe", FINDING_FAIL, "opening the "
	    "link has opted out: the consent is now \"%s\"",
	    reason_name(state));
	findings_fix(&t->findings, "nginx: proxy_method must not be set in "
	    "the location of %s", t->ctl->settings->unsubscribe.url);
}

static int
judge_endpoint(struct selftest *t)
{
	const struct settings *s = t->ctl->settings;
	struct buf link = BUF_INIT(4096);
	struct endpoint e = { .base = s->unsubscribe.url,
	    .listen = s->web.listen, .ca_file = t->ca_path,
	    .now_ms = clock_now_ms(), .is_stopped = ctl_is_interrupted,
	    .context = t->ctl };
	int rc = make_link(t, &link);

	e.link = buf_get(&link);
	if (rc == EX_OK && endpoint_look(&t->findings, &e)) {
		judge_looking(t);
		if (endpoint_click(&t->findings, &e))
			judge_effect(t);
		else
			findings_add(&t->findings, "opt-out", FINDING_SKIPPED,
			    "the click failed");
	} else if (rc == EX_OK)
		findings_add(&t->findings, "opt-out", FINDING_SKIPPED,
		    "the public URL can't be reached");
	crypto_wipe(link.data, link.len);
	buf_fini(&link);
	return rc;
}

/* The second probe, to somebody who has opted out. */
static void
judge_refusal(struct selftest *t)
{
	struct findings *f = &t->findings;
	char codes[SMTP_CODES_ROOM];
	struct fail fail;
	int rc = send_probe(t, codes, &fail);

	if (rc == 0) {
		findings_add(f, "refused", FINDING_FAIL, "mail to who has "
		    "opted out is not refused");
		probe_fix_milter(f, &t->probe);
	} else if (fail.class != FAIL_INPUT)
		findings_add(f, "refused", FINDING_SKIPPED, "%s", fail.text);
	else if (strcmp(codes, "550 5.7.1") == 0)
		findings_add(f, "refused", FINDING_OK, "mail to who has opted "
		    "out is refused (550 5.7.1)");
	else {
		findings_add(f, "refused", FINDING_FAIL, "mail to who has "
		    "opted out is refused, but not by the filter (%s)",
		    codes);
		findings_fix(f, "main.cf: mynetworks = 127.0.0.0/8 (or what "
		    "the mail log names)");
	}
}

static void
judge_opt_out(struct selftest *t)
{
	if (judge_endpoint(t) != EX_OK || ctl_is_interrupted(t->ctl))
		return;
	/* The rest is about the filter, whatever became of the click. */
	if (trial_state(&t->trial) == REASON_GRANTED &&
	    !trial_opt_out(&t->trial)) {
		findings_add(&t->findings, "refused", FINDING_SKIPPED,
		    "no opt-out could be recorded");
		return;
	}
	judge_refusal(t);
}

/* -- all of it -- */

/* SIGTERM and SIGHUP must not leave the consent behind either. */
static void
catch_signals(void)
{
	struct sigaction action;

	if (sigaction(SIGINT, NULL, &action) == 0) {
		(void)sigaction(SIGTERM, &action, NULL);
		(void)sigaction(SIGHUP, &action, NULL);
	}
}

static void
run(struct selftest *t)
{
	judge_mode(t);
	judge_list(t);
	if (t->message_path == NULL && (!send_first(t) || !receive(t)))
		return;
	judge_message(t);
	if (!ctl_is_interrupted(t->ctl))
		judge_opt_out(t);
}

static int
report(struct selftest *t)
{
	struct buf out = BUF_INIT(OUTPUT_MAX);

	if (t->json)
		findings_print_json(&out, &t->findings);
	else
		findings_print(&out, &t->findings, term_has_colour());
	fputs(buf_get(&out), stdout);
	buf_fini(&out);
	if (findings_count(&t->findings, FINDING_FAIL) > 0)
		return 1;
	return findings_count(&t->findings, FINDING_SKIPPED) > 0 ?
	    EX_TEMPFAIL : EX_OK;
}

static int
run_prepared(struct selftest *t)
{
	struct fail fail;
	bool interrupted;
	int rc = t->message_path != NULL ? read_message(t) : EX_OK;

	if (rc == EX_OK && t->mailbox_path != NULL &&
	    mailbox_init(&t->mailbox, t->mailbox_path, &fail) == -1)
		rc = ctl_error(&fail);
	if (rc != EX_OK)
		return rc;
	catch_signals();
	rc = trial_begin(&t->trial);
	if (rc == EX_OK)
		run(t);
	interrupted = ctl_is_interrupted(t->ctl);
	clean_up(t);
	if (interrupted)
		findings_add(&t->findings, "interrupted", FINDING_SKIPPED,
		    "the test was interrupted");
	return rc != EX_OK ? rc : report(t);
}

int
command_selftest(struct ctl *ctl, int argc, char **argv)
{
	struct selftest t = { .ctl = ctl, .wait_sec = WAIT_SEC };
	int rc;

	buf_init(&t.message, 2 * MAILBOX_MESSAGE_MAX);
	t.probe.fields = t.fields;
	rc = parse(&t, argc, argv);
	if (rc == -1 && (rc = ctl_need_store(ctl)) == EX_OK) {
		net_open();
		rc = run_prepared(&t);
	}
	findings_fini(&t.findings);
	buf_fini(&t.message);
	return rc;
}
