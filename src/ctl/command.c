/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * A new command is a row here, its function in ctl.h, and an item in
 * consentctl.1, which the tests hold against this table.
 */
#include "ctl/command.h"

#include <string.h>

#define END		{ 0, NULL, NULL, NULL, NULL }
#define JSON		{ 'j', "json", NULL, NULL, "print JSON" }
#define LIST(help)	{ 'l', "list", "L", COMPLETE_LISTS, help }
#define AT		{ 't', "at", "TIME", NULL, \
			    "when it happened (2026-01-05T09:00:00Z); now" }
#define DRY_RUN		{ 'n', "dry-run", NULL, NULL, \
			    "tell what would happen, and change nothing" }
#define SINCE		{ 's', "since", "T", NULL, \
			    "from this time or date on, or so long ago" }
#define UNTIL		{ 'u', "until", "T", NULL, "up to it" }
#define DIRECTORY	{ 'd', "dir", "DIR", COMPLETE_DIRECTORIES, \
			    "read these logs instead; may be repeated" }

static const struct command_option program_options[] = {
	{ 'c', "c", "FILE", COMPLETE_FILES, "read this configuration" },
	{ 'c', "config", "FILE", COMPLETE_FILES, "" },
	{ 'V', "V", NULL, NULL, "print the version" },
	{ 'V', "version", NULL, NULL, "" },
	END
};
static const struct command_option grant_options[] = {
	LIST("the list they opted in to"),
	AT,
	{ COMMAND_EVIDENCE, "source", "TEXT", NULL,
	  "evidence: where, such as a form or a shop" },
	{ COMMAND_EVIDENCE + 1, "notice", "\"ID VERSION\"", NULL,
	  "what they were told" },
	{ COMMAND_EVIDENCE + 2, "language", "TAG", NULL,
	  "in which language (BCP 47)" },
	{ COMMAND_EVIDENCE + 3, "method", "TEXT", NULL,
	  "how, such as web-form" },
	{ COMMAND_EVIDENCE + 4, "basis", "WORD", "consent explicit-consent "
	  "soft-opt-in charity-soft-opt-in casl-implied legitimate-interest",
	  "the legal basis; consent" },
	{ COMMAND_EVIDENCE + 5, "guardian", "TEXT", NULL,
	  "who consented for a child" },
	{ COMMAND_EVIDENCE + 6, "ip", "ADDRESS", NULL,
	  "the IP address it came from" },
	{ COMMAND_EVIDENCE + 7, "digest", "SHA256", NULL,
	  "of the notice's text" },
	{ COMMAND_EVIDENCE + 8, "jurisdiction", "CODE", NULL,
	  "whose law holds (ISO 3166)" },
	{ COMMAND_EVIDENCE + 9, "purpose", "TEXT", NULL, "what for" },
	DRY_RUN, JSON, END
};
static const struct command_option confirm_options[] = {
	LIST("the list"), AT, DRY_RUN, JSON, END
};
static const struct command_option withdraw_options[] = {
	LIST("from this list"),
	{ 'A', "all", NULL, NULL, "from all lists of today" },
	AT, DRY_RUN, JSON, END
};
static const struct command_option object_options[] = {
	{ 'p', "profiling", NULL, NULL, "to profiling only" },
	{ 'L', "lift", NULL, NULL, "take that objection back" },
	AT, DRY_RUN, JSON, END
};
static const struct command_option restrict_options[] = {
	AT, DRY_RUN, JSON, END
};
static const struct command_option json_options[] = { JSON, END };
static const struct command_option check_options[] = {
	LIST("may mail of this list go there?"),
	{ 'p', "profiling", NULL, NULL, "may the person be profiled?" },
	JSON, END
};
static const struct command_option explain_options[] = {
	{ 'f', "f", "SENDER", NULL, "the envelope sender" },
	{ 'f', "sender", "SENDER", NULL, "" },
	{ 'a', "a", "SASL_USER", NULL, "who logged in" },
	{ 'a', "sasl-user", "SASL_USER", NULL, "" },
	{ 'i', "client", "IP", NULL, "where it came from" },
	{ 'd', "daemon", "NAME", NULL, "Postfix' milter_macro_daemon_name" },
	JSON, END
};
static const struct command_option import_options[] = {
	{ 'f', "format", "WORD", "csv json", "csv or json; what it looks like" },
	DRY_RUN, JSON, END
};
static const struct command_option token_options[] = {
	LIST("the list to leave by it"),
	{ 'm', "mailto", NULL, NULL, "print the mailto form as well" },
	END
};
static const struct command_option unsubscribe_options[] = {
	{ 'i', "authserv-id", "ID", NULL, "whose Authentication-Results to "
	  "trust; has to come first" },
	END
};
static const struct command_option changes_options[] = {
	{ 'a', "after", "SEQ", NULL, "behind this entry" },
	{ 's', "since", "T", NULL, "recorded from this time on, or so long "
	  "ago" },
	LIST("of this list"), JSON, END
};
static const struct command_option log_options[] = {
	LIST("of this list"),
	{ 'a', "address", "A", NULL, "about mail to this address" },
	{ 'x', "action", "X", "accept reject remove tempfail would-accept "
	  "would-reject would-remove would-tempfail", "with this action" },
	{ 'r', "reason", "R", "granted no-consent pending withdrawn expired "
	  "objected erased restricted unproven store-failure unlisted-bulk "
	  "not-bulk exempt second-recipient", "for this reason" },
	{ 'R', "ref", "REF", NULL, "that a reply names" },
	SINCE, UNTIL,
	{ 'n', "last", "N", NULL, "only the latest N" },
	DIRECTORY, JSON, END
};
static const struct command_option erase_options[] = {
	{ 'r', "replay", NULL, NULL, "carry out all erasures again" },
	{ 'l', "list", NULL, NULL, "print the erasures there were" },
	DRY_RUN, JSON, END
};
static const struct command_option notice_options[] = {
	{ 'i', "id", "ID", NULL, "add: its name" },
	{ 'v', "version", "V", NULL, "add: its version" },
	{ 'l', "language", "TAG", NULL, "add: its language (BCP 47)" },
	{ 'L', "list", "L", COMPLETE_LISTS, "lint: of this list" },
	JSON, END
};
static const struct command_option export_options[] = {
	{ 'f', "format", "WORD", "json csv", "json or csv; json" },
	{ 'L', "ledger", "DIR", COMPLETE_DIRECTORIES,
	  "another host's ledger; may be repeated" },
	{ 'l', "log", "DIR", COMPLETE_DIRECTORIES,
	  "another host's decision log; may be repeated" },
	END
};
static const struct command_option prune_options[] = {
	DRY_RUN,
	{ 'c', "clock-is-right", NULL, NULL,
	  "though much time has passed since the last run" },
	JSON, END
};
static const struct command_option verify_options[] = {
	{ 'k', "key", "FILE", COMPLETE_FILES, "the public key" },
	{ 'C', "checkpoint", "FILE", COMPLETE_FILES,
	  "checkpoints that were kept elsewhere; may be repeated" },
	{ 'd', "dir", "DIR", COMPLETE_DIRECTORIES, "a copy of the logs" },
	JSON, END
};
static const struct command_option stale_options[] = {
	{ 'd', "days", "N", NULL, "within so many days; 30" },
	LIST("of this list"),
	{ 's', "subjects", NULL, NULL, "print each of them" },
	JSON, END
};
static const struct command_option report_options[] = {
	{ 'w', "would", NULL, NULL, "what observe mode let pass, and which "
	  "list is ready to enforce" },
	SINCE, UNTIL, LIST("of this list"),
	{ 'f', "format", "WORD", "text html csv json",
	  "text, html, csv or json; text" },
	DIRECTORY,
	{ 'k', "key", "FILE", COMPLETE_FILES, "the public key" },
	{ 'n', "no-verify", NULL, NULL, "leave out the check of the chains" },
	END
};
static const struct command_option selftest_options[] = {
	LIST("the list to send for"),
	{ 'f', "from", "SENDER", NULL, "who sends its newsletters" },
	{ 't', "to", "ADDR", NULL, "an address of your own" },
	{ 'g', "grant", NULL, NULL, "record a consent for the test" },
	{ 'E', "end-consent", NULL, NULL, "use and end the one that it has" },
	{ 'b', "mailbox", "FILE|MAILDIR", COMPLETE_FILES,
	  "where the probe arrives" },
	{ 'm', "message", "FILE|-", COMPLETE_FILES, "the probe as it arrived" },
	{ 'w', "wait", "SECONDS", NULL, "for it to arrive; 60" },
	{ 's', "smtp", "HOST:PORT", NULL, "the mail server; mail.server" },
	{ 'e', "envelope-sender", "ADDR", NULL, "where it is not SENDER" },
	{ 'H', "header", "\"NAME: VALUE\"", NULL,
	  "a further field; may be repeated" },
	{ 'k', "dkim-key", "FILE", COMPLETE_FILES,
	  "a DKIM key that is not in the DNS yet" },
	{ 'c', "ca", "FILE", COMPLETE_FILES,
	  "the authority of the public URL's certificate" },
	JSON, END
};
static const struct command_option doctor_options[] = {
	{ 's', "skip", "AREA", "configuration rules files redis ledger clock "
	  "daemons units postfix sendmail",
	  "leave an area out; may be repeated" },
	{ 'v', "verbose", NULL, NULL, "show what is good, too" },
	{ 'S', "strict", NULL, NULL, "exit 1 for warnings as well" },
	{ 'p', "postfix-config", "DIR", COMPLETE_DIRECTORIES,
	  "of another instance of Postfix" },
	{ 'm', "sendmail-config", "FILE", COMPLETE_FILES,
	  "/etc/mail/sendmail.cf" },
	{ 'o', "opendkim-config", "FILE", COMPLETE_FILES,
	  "/etc/opendkim.conf" },
	{ 'r', "rspamd-config", "DIR", COMPLETE_DIRECTORIES, "/etc/rspamd" },
	JSON, END
};
static const struct command_option rebuild_options[] = {
	{ 's', "from-start", NULL, NULL,
	  "do not go on where the last run was interrupted" },
	DRY_RUN, JSON, END
};

const struct command command_program = {
	.name = "", .options = program_options,
	.synopsis = "[-c FILE] COMMAND [OPTION...] [ARGUMENT...]",
	.completes = COMPLETE_COMMANDS,
};

const struct command command_table[] = {
	{ "grant", command_change, GROUP_CONSENTS, grant_options,
	  "--list L [--at TIME] [EVIDENCE...] [--dry-run] [--json] ADDR...",
	  NULL, "record an opt-in",
	  "Evidence is whatever shows later that the person wanted it. "
	  "Exit code 1: recorded, but it can't count as consent." },
	{ "confirm", command_change, GROUP_CONSENTS, confirm_options,
	  "--list L [--at TIME] [--dry-run] [--json] ADDR...",
	  NULL, "record the second step of a double opt-in", NULL },
	{ "withdraw", command_change, GROUP_CONSENTS, withdraw_options,
	  "--list L|--all [--at TIME] [--dry-run] [--json] ADDR...",
	  NULL, "record an opt-out", NULL },
	{ "import", command_import, GROUP_CONSENTS, import_options,
	  "[--format csv|json] [--dry-run] [--json] FILE|-",
	  COMPLETE_FILES,
	  "CSV or JSON lines; refused rows are reported by line",
	  "Only the columns address and list are needed. Importing a file "
	  "again changes nothing, and an opt-in never prevails over a newer "
	  "opt-out. Exit code 1: some rows were refused." },
	{ "show", command_show, GROUP_CONSENTS, json_options,
	  "[--json] ADDR", NULL,
	  "every consent of a person, with its state and evidence", NULL },
	{ "check", command_check, GROUP_CONSENTS, check_options,
	  "--list L|--profiling [--json] ADDR", NULL,
	  "exit 0 allowed, 1 blocked; prints the reason word",
	  "Exit code 69: the store can't be asked, which is no consent." },
	{ "explain", command_explain, GROUP_CONSENTS, explain_options,
	  "[-f SENDER] [-a SASL_USER] [--client IP] [--daemon NAME] [--json] "
	  "RCPT... < message", NULL,
	  "what the filter would do with this message, and by which rule",
	  "It is the filter's own code that answers." },
	{ "stale", command_stale, GROUP_CONSENTS, stale_options,
	  "[--days N] [--list L] [--subjects] [--json]", NULL,
	  "consents that expire soon, by list", NULL },
	{ "token", command_token, GROUP_CONSENTS, token_options,
	  "--list L [--mailto] ADDR", NULL,
	  "the unsubscribe URL of this person", NULL },
	{ "changes", command_changes, GROUP_CONSENTS, changes_options,
	  "[--after SEQ] [--since T] [--list L] [--json] [ADDRESSES|-]",
	  COMPLETE_FILES,
	  "what was recorded since, for systems that keep a list of their own",
	  "The ledger knows no address; with a file of addresses, one a line, "
	  "those people are named." },
	{ "subject", command_subject, GROUP_CONSENTS, json_options,
	  "[--json] ADDR...|-", NULL, "the pseudonyms of addresses, which "
	  "changes and webhooks name", NULL },
	{ "notice", command_notice, GROUP_CONSENTS, notice_options,
	  "add FILE --id ID --version V --language TAG\n"
	  "list [--json]\n"
	  "lint [--list L] [--json]\n"
	  "show DIGEST | show ID VERSION TAG",
	  "add list lint show " COMPLETE_FILES,
	  "keep the exact words that people saw",
	  "They can't be changed afterwards: another text is another "
	  "version. lint tells what is missing in them (GDPR Art. 13), with "
	  "exit code 1." },

	{ "export", command_export, GROUP_RIGHTS, export_options,
	  "[--format json|csv] [--ledger DIR]... [--log DIR]... ADDR", NULL,
	  "what is held about a person, and how it was used",
	  "GDPR Art. 15 and 20. Exit code 69: not complete." },
	{ "erase", command_erase, GROUP_RIGHTS, erase_options,
	  "[--dry-run] [--json] ADDR...\n"
	  "--replay [--dry-run] [--json] [LEDGER...]\n"
	  "--list", COMPLETE_DIRECTORIES,
	  "forget a person; older grants do not come back",
	  "GDPR Art. 17. Entries are blanked for good; a keyed suppression "
	  "stays. Whatever interrupts it, running it again completes it." },
	{ "object", command_change, GROUP_RIGHTS, object_options,
	  "[--profiling [--lift]] [--at TIME] [--dry-run] [--json] ADDR...",
	  NULL, "no direct marketing, or no profiling for it (GDPR Art. 21)",
	  NULL },
	{ "restrict", command_change, GROUP_RIGHTS, restrict_options,
	  "[--at TIME] [--dry-run] [--json] ADDR...", NULL,
	  "keep what is stored, do not use it (GDPR Art. 18)", NULL },
	{ "unrestrict", command_change, GROUP_RIGHTS, restrict_options,
	  "[--at TIME] [--dry-run] [--json] ADDR...", NULL,
	  "lift a restriction", NULL },
	{ "unsubscribe-mail", command_unsubscribe_mail, GROUP_RIGHTS,
	  unsubscribe_options,
	  "[--authserv-id ID] [RECIPIENT...] < message", NULL,
	  "opt out by mail to u+TOKEN@host or by a complaint report, for a "
	  "pipe transport or an alias",
	  "Nothing is ever answered. Exit code 75: the opt-out is not "
	  "recorded, keep the mail in the queue." },
	{ "ropa", command_ropa, GROUP_RIGHTS, json_options, "[--json]", NULL,
	  "the record of processing (GDPR Art. 30)",
	  "Exit code 1: something is missing that only the configuration can "
	  "tell." },

	{ "log", command_log, GROUP_LOG, log_options,
	  "[--list L] [--address A] [--action X] [--reason R] [--ref REF] "
	  "[--since T] [--until T] [--last N] [--dir DIR]... [--json]", NULL,
	  "find decisions", NULL },
	{ "report", command_report, GROUP_LOG, report_options,
	  "[--since T] [--until T] [--list L] [--format text|html|csv|json] "
	  "[--dir DIR]... [--key FILE] [--no-verify]\n"
	  "--would [--since T] [--until T] [--list L] "
	  "[--format text|html|csv|json] [--dir DIR]...", NULL,
	  "what was decided, by day, list and reason, and whether the logs "
	  "are whole",
	  "The last 30 days, with --would 7, unless --since and --until say "
	  "otherwise. Exit code 1: a log is broken." },
	{ "verify", command_verify, GROUP_LOG, verify_options,
	  "[--key FILE] [--checkpoint FILE]... [--json] [--dir DIR | "
	  "FILE...]", COMPLETE_FILES,
	  "check the hash chains and signed checkpoints",
	  "With --key and --dir or files no configuration is read. Exit code "
	  "1: something is wrong." },
	{ "checkpoint", command_checkpoint, GROUP_LOG, NULL, "", NULL,
	  "print where the chains stand, signed, for somebody else to keep",
	  NULL },

	{ "keygen", command_keygen, GROUP_OPERATION, NULL, "", NULL,
	  "make the keys that are missing, never overwrite one", NULL },
	{ "selftest", command_selftest, GROUP_OPERATION, selftest_options,
	  "--list L --from SENDER --to ADDR [--grant | --end-consent] "
	  "[--mailbox FILE|MAILDIR | --message FILE|-] [--wait SECONDS] "
	  "[--smtp HOST:PORT] [--envelope-sender ADDR] "
	  "[--header \"NAME: VALUE\"]... [--dkim-key FILE] [--ca FILE] "
	  "[--json]", NULL,
	  "a probe through mail server and public URL: what is wrong, and "
	  "what mends it",
	  "Without --grant or --end-consent nothing is sent." },
	{ "status", command_status, GROUP_OPERATION, json_options,
	  "[--json] [consent-milter] [consent-web]",
	  "consent-milter consent-web",
	  "do the daemons run, and are they well", NULL },
	{ "doctor", command_doctor, GROUP_OPERATION, doctor_options,
	  "[--skip AREA]... [--verbose] [--strict] [--postfix-config DIR] "
	  "[--sendmail-config FILE] [--opendkim-config FILE] "
	  "[--rspamd-config DIR] [--json]", NULL,
	  "look at everything, change nothing: what is wrong, and what mends "
	  "it",
	  "Root sees all of it; anybody else is told what he may not see." },
	{ "rebuild", command_rebuild, GROUP_OPERATION, rebuild_options,
	  "[--from-start] [--dry-run] [--json] [LEDGER...]",
	  COMPLETE_DIRECTORIES,
	  "fill Redis from the ledger, and from those of other hosts",
	  "It can be run at any time, and again." },
	{ "prune", command_prune, GROUP_OPERATION, prune_options,
	  "[--dry-run] [--clock-is-right] [--json]", NULL,
	  "remove what is older than `retention' allows",
	  "What goes is gone for good. Run it once a day, on each host." },
	{ "help", command_help, GROUP_OPERATION, NULL, "[COMMAND]",
	  COMPLETE_COMMANDS, "this list, or more about a command", NULL },

	{ "complete", command_complete, GROUP_HIDDEN, NULL, "[WORD...]", NULL,
	  "what may stand for the last word, for a shell",
	  "The words are those behind consentctl. One candidate a line; "
	  COMPLETE_FILES " and " COMPLETE_DIRECTORIES " stand for names that "
	  "the shell knows better." },
};
const size_t command_count = sizeof(command_table) /
    sizeof(command_table[0]);

const struct command *
command_find(const char *name)
{
	for (size_t i = 0; i < command_count; i++)
		if (strcmp(command_table[i].name, name) == 0)
			return &command_table[i];
	return NULL;
}
