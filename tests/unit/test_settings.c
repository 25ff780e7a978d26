/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Loading: defaults, every value, every mistake; and that table, sample file
 * and manual page tell the same.
 */
#include <sys/stat.h>

#include <libconfig.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/xalloc.h"
#include "check.h"
#include "settings/load.h"
#include "settings/option.h"
#include "settings/source.h"

#define N(table)	(sizeof(table) / sizeof((table)[0]))

/* What every test here needs: users of the build machine don't matter. */
#define HEAD	"user = \"\"; "
#define URL	"unsubscribe = { url = \"https://n.example/u/\"; }; "
#define HOOK(name, url, more)						\
	"webhooks = ( { name = \"" name "\"; url = \"" url "\"; "		\
	"secret_file = \"/s\"; " more "} );"
#define RULE	"match = ( { sender = \"*@n.example\"; } ); "

static char directory[] = "/tmp/test_settings.XXXXXX";

/* Writes a file in the test's directory; the path is the caller's. */
static char *
write_file(const char *name, const char *text, mode_t mode)
{
	struct buf path = BUF_INIT(1000);
	struct fail fail;

	buf_addf(&path, "%s/%s", directory, name);
	(void)unlink(buf_get(&path));
	CHECK_INT(file_create(buf_get(&path), span_str(text), mode, &fail), 0);
	return buf_take(&path);
}

static struct settings *
load(const char *text)
{
	struct buf errors = BUF_INIT(100000);
	struct settings *settings = NULL;

	if (settings_load_text("c", span_str(text), &settings, &errors) == -1)
		CHECK_STR(buf_get(&errors), "");
	CHECK_INT(errors.len, 0);
	buf_fini(&errors);
	return settings;
}

static void
check_errors(const char *text, const char *want)
{
	struct buf errors = BUF_INIT(100000);
	struct settings *settings = NULL;

	CHECK_INT(settings_load_text("c", span_str(text), &settings, &errors),
	    -1);
	CHECK(settings == NULL);
	CHECK_STR(buf_get(&errors), want);
	settings_put(&settings);
	buf_fini(&errors);
}

static void
test_defaults(void)
{
	struct settings *s = load(HEAD);

	if (s == NULL)
		return;
	CHECK(!s->policy.observe);
	CHECK_STR(s->socket, "unix:/run/consent-milter/milter.sock");
	CHECK(s->socket_group == NULL);
	CHECK_INT(s->socket_mode, -1);
	CHECK_STR(s->user, "");
	CHECK_STR(s->keys, SYSCONFDIR "/consent-milter/keys");
	CHECK(s->metrics == NULL && s->web.metrics == NULL);
	CHECK_STR(s->control, "/run/consent-milter/milter.control");
	CHECK_STR(s->web.control, "/run/consent-milter/web.control");
	CHECK_STR(s->redis.url, "redis://127.0.0.1:6379/0");
	CHECK(s->redis.username == NULL && s->redis.password == NULL);
	CHECK_INT(s->redis.timeout_ms, 200);
	CHECK_INT(s->policy.on_store_failure, FAILURE_TEMPFAIL);
	CHECK_STR(s->audit.directory, "/var/lib/consent-milter/audit");
	CHECK_STR(s->audit.ledger, "/var/lib/consent-milter/audit/ledger");
	CHECK_INT(s->audit.recipients, RECIPIENTS_MASKED);
	CHECK_INT(s->policy.evidence_ip, EVIDENCE_IP_TRUNCATED);
	CHECK_INT(s->audit.segment_bytes, 256 * 1024 * 1024);
	CHECK_INT(s->limits.recipients, 10000);
	CHECK_INT(s->limits.header_bytes, 1024 * 1024);
	CHECK_INT(s->limits.connections, 0);
	CHECK(s->unsubscribe.url == NULL && s->unsubscribe.mailto == NULL);
	CHECK(s->unsubscribe.authserv_id == NULL);
	CHECK(!s->unsubscribe.keep_existing);
	CHECK(s->controller.name == NULL && s->controller.dpo == NULL);
	CHECK_INT(s->policy.list_count, 0);
	CHECK_INT(s->policy.exempt_count, 0);
	CHECK_INT(s->policy.unlisted_bulk, FAILURE_REJECT);
	CHECK(s->pseudonym_key == NULL);
	settings_put(&s);
	CHECK(s == NULL);
	settings_put(&s);
}

static const char full[] =
    "mode = \"observe\";\n"
    "socket = \"local:/run/x/s\"; socket_group = \"\";\n"
    "socket_mode = \"660\";\n"
    "user = \"\"; keys = \"/k\";\n"
    "metrics = \"unix:/m\"; control = \"/c\";\n"
    "redis = { url = \"unix:/r?db=3\"; timeout_ms = 10000; };\n"
    "on_store_failure = \"reject\";\n"
    "audit = { directory = \"/a\"; ledger = \"/l\"; recipients = \"clear\";\n"
    "  evidence_ip = \"off\"; segment_mib = 4096L; };\n"
    "unsubscribe = { url = \"https://n.example/u?t=\";\n"
    "  mailto = \"ab@n.example\"; authserv_id = \"mx-1.n_e\";\n"
    "  existing = \"keep\"; };\n"
    "web = { listen = \"[::1]:80\"; languages = \"/w\";\n"
    "  metrics = \"[::1]:9092\"; control = \"\";\n"
    "  url = \"https://n.example/my/\"; confirm_within = \"36 hours\";\n"
    "  embed = \"https://a.example https://*.b.example:8443\";\n"
    "  api_keys = \"/a.keys\"; };\n"
    "mail = { server = \"[::1]:2525\"; from = \"n@n.example\";\n"
    "  envelope_sender = \"b@n.example\"; };\n"
    "controller = { name = \"\xc3\x85""B \\\"x\\\"\"; address = \"A 1\";\n"
    "  email = \"p@n.example\"; dpo = \"D\"; recipients = \"R\";\n"
    "  transfers = \"T\"; authority = \"S\"; };\n"
    "lists = ( { id = \"weekly\"; name = \"Weekly\"; purpose = \"news\";\n"
    "    list_id = \"w.n.example\";\n"
    "    match = ( { sender = \"*@n.example\"; sasl_user = \"c\";\n"
    "        client = \"192.0.2.0/24\"; daemon = \"d\"; },\n"
    "      { header = \"List-Id\"; value = \"*<w>*\"; } );\n"
    "    confirmation = ( { header = \"X-S\"; without = \"X-C\"; } );\n"
    "    max_age = \"2 years\"; double_opt_in = true;\n"
    "    notice = \"signup 3\"; notice_since = \"2026-12-01\";\n"
    "    special_category = true; sign_up = false;\n"
    "    children = true; multiple_recipients = \"single\"; mode = \"observe\"; },\n"
    "  { id = \"b\"; name = \"B\";\n"
    "    match = ( { client = \"2001:db8::/32\"; } );\n"
    "    max_age = \"36 hours\";\n"
    "    basis = \"soft-opt-in  consent\"; multiple_recipients = \"reject\"; } );\n"
    "exempt = ( { without = \"X-A\"; }, { header = \"X-B\"; } );\n"
    "webhooks = ( { name = \"crm\"; url = \"https://c.example/h?a=b\";\n"
    "    secret_file = \"/c\"; ca_file = \"/ca\";\n"
    "    events = \" withdraw  object-profiling\"; from_start = true; },\n"
    "  { name = \"0-b\"; url = \"http://[::1]:80/\"; secret_file = \"/b\"; } );\n"
    "limits = { recipients = 1; header_bytes = 16384;\n"
    "  connections = 100000; };\n"
    "bulk = { unlisted = \"accept\"; };\n";

static const char full_dump[] =
    "mode = \"observe\"\n"
    "socket = \"local:/run/x/s\"\n"
    "socket_mode = \"0660\"\n"
    "user = \"\"\n"
    "keys = \"/k\"\n"
    "metrics = \"unix:/m\"\n"
    "control = \"/c\"\n"
    "on_store_failure = \"reject\"\n"
    "redis.url = \"unix:/r?db=3\"\n"
    "redis.timeout_ms = 10000\n"
    "redis.wait_replicas = 0\n"
    "redis.read_within_ms = 1000\n"
    "audit.directory = \"/a\"\n"
    "audit.ledger = \"/l\"\n"
    "audit.recipients = \"clear\"\n"
    "audit.evidence_ip = \"off\"\n"
    "audit.segment_mib = 4096\n"
    "retention.decisions = \"12 months\"\n"
    "retention.proof = \"36 months\"\n"
    "retention.full_ip = \"6 months\"\n"
    "retention.ip = \"36 months\"\n"
    "retention.pending = \"90 days\"\n"
    "retention.requests = \"36 months\"\n"
    "limits.recipients = 1\n"
    "limits.header_bytes = 16384\n"
    "limits.connections = 100000\n"
    "unsubscribe.url = \"https://n.example/u?t=\"\n"
    "unsubscribe.mailto = \"ab@n.example\"\n"
    "unsubscribe.authserv_id = \"mx-1.n_e\"\n"
    "unsubscribe.existing = \"keep\"\n"
    "web.listen = \"[::1]:80\"\n"
    "web.languages = \"/w\"\n"
    "web.metrics = \"[::1]:9092\"\n"
    "web.url = \"https://n.example/my/\"\n"
    "web.confirm_within = \"36 hours\"\n"
    "web.embed = \"https://a.example https://*.b.example:8443\"\n"
    "web.api_keys = \"/a.keys\"\n"
    "mail.server = \"[::1]:2525\"\n"
    "mail.from = \"n@n.example\"\n"
    "mail.envelope_sender = \"b@n.example\"\n"
    "controller.name = \"\xc3\x85""B \\\"x\\\"\"\n"
    "controller.address = \"A 1\"\n"
    "controller.email = \"p@n.example\"\n"
    "controller.dpo = \"D\"\n"
    "controller.recipients = \"R\"\n"
    "controller.transfers = \"T\"\n"
    "controller.authority = \"S\"\n"
    "bulk.unlisted = \"accept\"\n"
    "lists[1].id = \"weekly\"\n"
    "lists[1].name = \"Weekly\"\n"
    "lists[1].purpose = \"news\"\n"
    "lists[1].list_id = \"w.n.example\"\n"
    "lists[1].max_age = \"24 months\"\n"
    "lists[1].notice = \"signup 3\"\n"
    "lists[1].notice_since = \"2026-12-01T00:00:00.000Z\"\n"
    "lists[1].double_opt_in = true\n"
    "lists[1].basis = \"explicit-consent\"\n"
    "lists[1].special_category = true\n"
    "lists[1].sign_up = false\n"
    "lists[1].children = true\n"
    "lists[1].multiple_recipients = \"single\"\n"
    "lists[1].mode = \"observe\"\n"
    "lists[1].match[1].sender = \"*@n.example\"\n"
    "lists[1].match[1].sasl_user = \"c\"\n"
    "lists[1].match[1].client = \"192.0.2.0/24\"\n"
    "lists[1].match[1].daemon = \"d\"\n"
    "lists[1].match[2].header = \"List-Id\"\n"
    "lists[1].match[2].value = \"*<w>*\"\n"
    "lists[1].confirmation[1].header = \"X-S\"\n"
    "lists[1].confirmation[1].without = \"X-C\"\n"
    "lists[2].id = \"b\"\n"
    "lists[2].name = \"B\"\n"
    "lists[2].max_age = \"36 hours\"\n"
    "lists[2].double_opt_in = false\n"
    "lists[2].basis = \"consent soft-opt-in\"\n"
    "lists[2].special_category = false\n"
    "lists[2].sign_up = true\n"
    "lists[2].children = false\n"
    "lists[2].multiple_recipients = \"reject\"\n"
    "lists[2].mode = \"default\"\n"
    "lists[2].match[1].client = \"2001:db8::/32\"\n"
    "exempt[1].without = \"X-A\"\n"
    "exempt[2].header = \"X-B\"\n"
    "webhooks[1].name = \"crm\"\n"
    "webhooks[1].url = \"https://c.example/h?a=b\"\n"
    "webhooks[1].secret_file = \"/c\"\n"
    "webhooks[1].ca_file = \"/ca\"\n"
    "webhooks[1].events = \"withdraw object-profiling\"\n"
    "webhooks[1].from_start = true\n"
    "webhooks[2].name = \"0-b\"\n"
    "webhooks[2].url = \"http://[::1]:80/\"\n"
    "webhooks[2].secret_file = \"/b\"\n"
    "webhooks[2].from_start = false\n";

static void
test_everything(void)
{
	struct settings *s = load(full);
	struct buf dump = BUF_INIT(10000);

	if (s == NULL)
		return;
	settings_dump(&dump, s);
	CHECK_STR(buf_get(&dump), full_dump);
	buf_fini(&dump);
	/* what the dump can't show */
	CHECK(s->socket_group == NULL);
	CHECK_INT(s->socket_mode, 0660);
	CHECK_INT(s->audit.segment_bytes, INT64_C(4096) * 1024 * 1024);
	CHECK_INT(s->policy.header_slots, 5);
	const struct list *weekly = &s->policy.lists[0];
	CHECK_INT(weekly->match_count, 2);
	CHECK(weekly->match[0].has_client && !weekly->match[1].has_client);
	CHECK_INT(weekly->match[1].header_slot, 0);
	CHECK_INT(weekly->confirmation[0].header_slot, 1);
	CHECK_INT(weekly->confirmation[0].without_slot, 2);
	CHECK_INT(s->policy.exempt[0].without_slot, 3);
	CHECK_INT(s->policy.exempt[1].header_slot, 4);
	settings_put(&s);
}

static void
test_mistakes(void)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		/* types, ranges, words */
		{ HEAD "mode = 1;", "c:1: mode: is a number, want text in "
		  "double quotes\n" },
		{ HEAD "\nmode = \"enforec\";", "c:2: mode: \"enforec\" is not "
		  "known, did you mean \"enforce\"? It can be \"enforce\" or "
		  "\"observe\"\n" },
		{ HEAD "on_store_failure = \"\";", "c:1: on_store_failure: "
		  "\"\" is not known, it can be \"tempfail\", \"accept\" or "
		  "\"reject\"\n" },
		{ HEAD "redis = { timeout_ms = 0; };", "c:1: redis.timeout_ms: "
		  "0 is out of range, it must be 1 to 10000\n" },
		{ HEAD "redis = { timeout_ms = 10001; };", "c:1: "
		  "redis.timeout_ms: 10001 is out of range, it must be 1 to "
		  "10000\n" },
		{ HEAD "redis = { timeout_ms = -5; };", "c:1: "
		  "redis.timeout_ms: -5 is out of range, it must be 1 to "
		  "10000\n" },
		{ HEAD "limits = { recipients = 100001; };", "c:1: "
		  "limits.recipients: 100001 is out of range, it must be 1 to "
		  "100000\n" },
		{ HEAD "limits = { header_bytes = 16383; };", "c:1: "
		  "limits.header_bytes: 16383 is out of range, it must be "
		  "16384 to 16777216\n" },
		{ HEAD "limits = { connections = -1; };", "c:1: "
		  "limits.connections: -1 is out of range, it must be 0 to "
		  "100000\n" },
		{ HEAD "redis = { timeout_ms = 1.5; };", "c:1: "
		  "redis.timeout_ms: is a number with a fraction, want a whole "
		  "number without quotes\n" },
		/* pages that send mail */
		{ HEAD "web = { url = \"https://n.example/my/\"; };",
		  "c:1: web.url: its pages send mail, give mail.from, an "
		  "address such as \"news@news.example.com\"\n"
		  "c:1: web.url: its pages say who is responsible (GDPR Art. "
		  "13), give controller.name and controller.email\n" },
		{ HEAD "web = { url = \"https://n.example/my\"; };",
		  "c:1: web.url: \"https://n.example/my\" must end in a /, "
		  "without a query, such as "
		  "\"https://news.example.com/my/\"\n" },
		{ HEAD "web = { url = \"https://n.example\"; };",
		  "c:1: web.url: \"https://n.example\" must end in a /, "
		  "without a query, such as "
		  "\"https://news.example.com/my/\"\n" },
		{ HEAD "web = { embed = \"https://a.example 'self'\"; };",
		  "c:1: web.embed: \"'self'\" is no origin, want sites such "
		  "as \"https://www.example.com\", blanks between\n" },
		{ HEAD "web = { embed = \"https://a.example;x\"; };",
		  "c:1: web.embed: \"https://a.example;x\" is no origin, "
		  "want sites such as \"https://www.example.com\", blanks "
		  "between\n" },
		{ HEAD "mail = { server = \"/usr/sbin/sendmail\"; };",
		  "c:1: mail.server: \"/usr/sbin/sendmail\" is no mail "
		  "server, want \"127.0.0.1:25\", \"[::1]:25\" or "
		  "\"mail.example.com:25\"\n" },
		{ HEAD "mail = { server = \"h:0\"; };",
		  "c:1: mail.server: \"h:0\" is no mail server, want "
		  "\"127.0.0.1:25\", \"[::1]:25\" or "
		  "\"mail.example.com:25\"\n" },
		/* libconfig would take it for 200 */
		{ HEAD "redis = { timeout_ms = 4294967496; };", "c:1: the "
		  "number 4294967496 is too large, no setting takes more than "
		  "nine digits\n" },
		{ HEAD "redis = { timeout_ms = 0x1000000c8; };", "c:1: the "
		  "number 0x1000000c8 is too large, no setting takes more than "
		  "nine digits\n" },
		{ HEAD "audit = { segment_mib = 4097; };", "c:1: "
		  "audit.segment_mib: 4097 is out of range, it must be 1 to "
		  "4096\n" },
		{ HEAD "redis = \"x\";", "c:1: redis: is text, want a group, "
		  "{ key = value; ... }\n" },
		{ HEAD "lists = { };", "c:1: lists: is a group { }, want a "
		  "list of groups, ( { ... }, { ... } )\n" },
		{ HEAD "lists = [ ];", "c:1: lists: is an array [ ], want a "
		  "list of groups, ( { ... }, { ... } )\n" },
		{ HEAD "exempt = ( 1 );", "c:1: exempt[1]: is a number, want a "
		  "group, { key = value; ... }\n" },
		/* webhooks */
		{ HEAD "webhooks = ( { } );", "c:1: webhooks[1]: has no name, "
		  "which must be given: what logs and its cursor call it\n"
		  "c:1: webhooks[1]: has no url, which must be given: what the "
		  "changes are posted to\n"
		  "c:1: webhooks[1]: has no secret_file, which must be given: "
		  "file of the secrets that they are signed with\n" },
		{ HEAD HOOK("../a", "https://h/", ""), "c:1: webhooks[1].name: "
		  "\"../a\" is no name of a webhook: 1 to 32 of a-z, 0-9 and "
		  "-, the first not a -\n" },
		{ HEAD HOOK("a", "ftp://h/", ""), "c:1: webhooks[1].url: "
		  "\"ftp://h/\" must start with https://\n" },
		{ HEAD HOOK("a", "https://", ""), "c:1: webhooks[1].url: there "
		  "is no host in this URL, want one such as "
		  "\"https://crm.example.com/hooks/consent\"\n" },
		{ HEAD HOOK("a", "https://u:p@h/", ""), "c:1: webhooks[1].url: "
		  "user and password don't belong in the URL: the signature "
		  "tells who is calling\n" },
		{ HEAD HOOK("a", "https://h/a b", ""), "c:1: webhooks[1].url: "
		  "byte 0x20 can't stand in this URL; write it as %20\n" },
		{ HEAD HOOK("a", "http://127.0.0.1.example/", ""), "c:1: "
		  "webhooks[1].url: \"http://127.0.0.1.example/\" must start "
		  "with https://, for http:// goes to 127.0.0.1, [::1] or "
		  "localhost only\n" },
		{ HEAD HOOK("a", "https://h/", "events = \"withdrawn\"; "),
		  "c:1: webhooks[1].events: \"withdrawn\" is no kind of "
		  "event, did you mean \"withdraw\"?\n" },
		{ HEAD HOOK("a", "https://h/", "events = \" \"; "),
		  "c:1: webhooks[1].events: is empty; give it a value, or "
		  "leave it out\n" },
		{ HEAD "webhooks = ( { name = \"a\"; url = \"https://h/\"; "
		  "secret_file = \"/s\"; },\n { name = \"a\"; url = "
		  "\"https://i/\"; secret_file = \"/s\"; } );", "c:2: "
		  "webhooks[2]: the name \"a\" is that of webhooks[1] "
		  "already, each needs its own\n" },
		/* unknown keys */
		{ HEAD "replies = {\nno_consent = \"no\";\nstore_failure = "
		  "\"{contact} {ref}\";\nunlisted_bulk = \"{list} {ref}\";\n"
		  "rejected = \"\"; };", "c:2: replies.no_consent: has no "
		  "{ref}, by which the decision log tells what was refused and "
		  "why; add (ref {ref})\nc:3: replies.store_failure: {contact} "
		  "is controller.email, which is not set: set it, or leave "
		  "{contact} out\nc:4: replies.unlisted_bulk: is for mail that "
		  "belongs to no list, leave {list} out\nc:5: "
		  "replies.rejected: unknown key, known here are no_consent, "
		  "store_failure, second_recipient, unlisted_bulk\n" },
		{ HEAD URL "lists = ( { id = \"a\"; name = \"A\"; " RULE
		  "replies = { unlisted_bulk = \"{ref}\"; no_consent = "
		  "\"{reason} {ref}\"; }; } );", "c:1: "
		  "lists[1].replies.no_consent: {reason} stands for nothing "
		  "here, known are {recipient}, {list}, {ref}, {contact}, "
		  "{url}, and {{ for a brace\nc:1: "
		  "lists[1].replies.unlisted_bulk: is for mail that belongs to "
		  "no list, want it in the replies outside of lists\n" },
		{ HEAD "sokcet = 1;", "c:1: sokcet: unknown key, did you mean "
		  "\"socket\"?\n" },
		{ HEAD "\n\nredis = {\n timout_ms = 5; };", "c:4: "
		  "redis.timout_ms: unknown key, did you mean "
		  "\"timeout_ms\"?\n" },
		{ HEAD "double_opt_in = true;", "c:1: double_opt_in: unknown "
		  "key here, did you mean \"lists.double_opt_in\"?\n" },
		{ HEAD "bulk = { zzzz = 1; };", "c:1: bulk.zzzz: unknown key, "
		  "known here are unlisted\n" },
		/* sockets */
		{ HEAD "socket = \"inet:8892\";", "c:1: socket: \"inet:8892\" "
		  "names no address to listen on, want inet:port@host, such as "
		  "\"inet:8892@127.0.0.1\"\n" },
		{ HEAD "socket = \"inet:0@::1\";", "c:1: socket: "
		  "\"inet:0@::1\": the port must be a number from 1 to 65535, "
		  "as in \"inet:8892@127.0.0.1\"\n" },
		{ HEAD "socket = \"inet6:1@\";", "c:1: socket: "
		  "\"inet6:1@\": no host behind the @, want one as in "
		  "\"inet:8892@127.0.0.1\"\n" },
		{ HEAD "socket = \"unix:run/x\";", "c:1: socket: \"run/x\" is "
		  "not the absolute path of a socket, such as "
		  "\"unix:/run/consent-milter/milter.sock\"\n" },
		{ HEAD "socket = \"/1234567890123456789012345678901234567890"
		  "1234567890123456789012345678901234567890123456789012345678"
		  "901234567\";", "c:1: socket: the path of the socket has 108 "
		  "bytes, the system takes 107\n" },
		{ HEAD "socket = \"inet:1@h\";\nsocket_mode = \"0600\";",
		  "c:2: socket_mode: only a UNIX socket has a mode, and socket is "
		  "\"inet:1@h\"\n" },
		{ HEAD "socket_mode = \"0800\";", "c:1: socket_mode: \"0800\" "
		  "is no mode, want three or four octal digits in quotes, such "
		  "as \"0660\"\n" },
		{ HEAD "socket_mode = \"7777\";", "c:1: socket_mode: \"7777\" "
		  "is out of range, it must be \"0000\" to \"0777\"\n" },
		/* Redis */
		{ HEAD "redis = { sentinel = { }; };", "c:1: redis.sentinel: "
		  "has no master, which must be given: name of the primary\n"
		  "c:1: redis.sentinel: has no hosts, which must be given: "
		  "where the Sentinels are\n" },
		{ HEAD "redis = { sentinel = { master = \"a b\"; hosts = "
		  "\"h:1\"; }; };", "c:1: redis.sentinel.master: \"a b\" is no "
		  "name of a primary: letters, digits and .-_\nc:1: "
		  "redis.sentinel.hosts: is text, want a list of text, ( "
		  "\"...\", \"...\" )\n" },
		{ HEAD "redis = { sentinel = { master = \"m\"; hosts = ( \"h\", "
		  "\"a:1 b:1\", 7, \"::1:5\" ); }; };", "c:1: "
		  "redis.sentinel.hosts[1]: \"h\" is no place of a Sentinel, "
		  "want \"host:26379\" or \"[::1]:26379\"\nc:1: "
		  "redis.sentinel.hosts[2]: \"a:1 b:1\" is no place of a "
		  "Sentinel, want \"host:26379\" or \"[::1]:26379\"\nc:1: "
		  "redis.sentinel.hosts[3]: is a number, want text in double "
		  "quotes\nc:1: redis.sentinel.hosts[4]: \"::1:5\" is no place "
		  "of a Sentinel, want \"host:26379\" or \"[::1]:26379\"\n" },
		{ HEAD "redis = { sentinel = { master = \"m\"; hosts = ( ); }; "
		  "};", "c:1: redis.sentinel.hosts: is empty, want a list of "
		  "text, ( \"...\", \"...\" )\n" },
		{ HEAD "redis = { url = \"unix:/r\"; sentinel = { master = "
		  "\"m\"; hosts = ( \"h:1\" ); }; };", "c:1: redis.url: is a "
		  "UNIX socket, and redis.sentinel says where Redis is: want "
		  "redis:// or rediss://\n" },
		{ HEAD "redis = { cluster = ( \"h\" ); };", "c:1: "
		  "redis.cluster[1]: \"h\" is no place of a node of a Redis "
		  "Cluster, want \"host:6379\" or \"[::1]:6379\"\n" },
		{ HEAD "redis = { cluster = ( ); };", "c:1: redis.cluster: is "
		  "empty, want a list of text, ( \"...\", \"...\" )\n" },
		{ HEAD "redis = { cluster = ( \"h:1\" ); url = \"unix:/r\"; };",
		  "c:1: redis.url: is a UNIX socket, and redis.cluster says "
		  "where Redis is: want redis:// or rediss://\n" },
		{ HEAD "redis = { cluster = ( \"h:1\" ); url = \"redis://h/1\"; "
		  "};", "c:1: redis.url: names a database, and a Redis Cluster "
		  "has none but 0\n" },
		{ HEAD "redis = { cluster = ( \"h:1\" ); url = \"redis://h\"; "
		  "sentinel = { master = \"m\"; hosts = ( \"h:1\" ); }; "
		  "read_from = \"unix:/r\"; };", "c:1: redis.sentinel: can't "
		  "stand beside redis.cluster, which fails over by itself: "
		  "leave one of them out\nc:1: redis.read_from: can't stand "
		  "beside redis.cluster, whose primaries answer all look-ups: "
		  "leave one of them out\n" },
		{ HEAD "redis = { read_from = \"unix:\"; read_within_ms = 99; "
		  "};", "c:1: redis.read_from: no absolute path behind "
		  "unix:, want one such as \"unix:/run/redis/redis.sock\"\n"
		  "c:1: redis.read_within_ms: 99 is out of range, it must be "
		  "100 to 60000\n" },
		{ HEAD "redis = { read_within_ms = 100; };", "c:1: "
		  "redis.read_within_ms: is for a replica, give "
		  "redis.read_from, too\n" },
		{ HEAD "redis = { ca_file = \"/c\"; read_from = "
		  "\"redis://h:1\"; };", "c:1: redis.ca_file: is for TLS, and "
		  "redis.url does not begin with rediss://\n" },
		{ HEAD "redis = { url = \"rediss://u@h\"; };", "c:1: "
		  "redis.url: user and password don't belong in the URL, use "
		  "username and password_file\n" },
		{ HEAD "redis = { url = \"REDISS://h\"; };", "c:1: redis.url: "
		  "\"REDISS://h\" is no place of a Redis, want "
		  "\"redis://host:port/db\", the same with rediss:// for TLS, "
		  "or \"unix:/path\"\n" },
		{ HEAD "redis = { url = \"rediss://h\";\nca_file = "
		  "\"/nonexistent/x\"; };", "c:2: redis.ca_file: "
		  "/nonexistent/x: No such file or directory\n" },
		{ HEAD "redis = {\nca_file = \"/x\"; };", "c:2: "
		  "redis.ca_file: is for TLS, and redis.url does not begin "
		  "with rediss://\n" },
		{ HEAD "redis = { url = \"rediss://h\";\n"
		  "certificate = \"/\"; };", "c:2: redis.certificate: "
		  "certificate and key go together, give redis.key, too\n" },
		{ HEAD "redis = { url = \"rediss://h\";\nkey = \"/dev/null\"; "
		  "};", "c:2: redis.key: certificate and key go together, give "
		  "redis.certificate, too\nc:2: redis.key: /dev/null is not a "
		  "regular file\n" },
		{ HEAD "redis = { url = \"rediss://h\"; certificate = \"/\";"
		  "\nkey = \"/nonexistent/x\"; };", "c:2: redis.key: "
		  "/nonexistent/x: No such file or directory\n" },
		{ HEAD "redis = { url = \"redis://u:p@h\"; };", "c:1: "
		  "redis.url: user and password don't belong in the URL, use "
		  "username and password_file\n" },
		{ HEAD "redis = { url = \"redis://h/16\"; };", "c:1: "
		  "redis.url: the database behind the last / must be a number "
		  "from 0 to 15\n" },
		{ HEAD "redis = { url = \"redis://h:x\"; };", "c:1: redis.url: "
		  "the port must be a number from 1 to 65535, as in "
		  "\"redis://127.0.0.1:6379/0\"\n" },
		{ HEAD "redis = { url = \"redis://::1\"; };", "c:1: redis.url: "
		  "no host between // and port, want one as in "
		  "\"redis://127.0.0.1:6379/0\" or "
		  "\"redis://[::1]:6379/0\"\n" },
		{ HEAD "redis = { url = \"redis://a b\"; };", "c:1: redis.url: "
		  "no host between // and port, want one as in "
		  "\"redis://127.0.0.1:6379/0\" or "
		  "\"redis://[::1]:6379/0\"\n" },
		{ HEAD "redis = { url = \"unix:/a b\"; };", "c:1: redis.url: "
		  "the path of the socket must be ASCII without blanks\n" },
		{ HEAD "redis = { url = \"unix:/r?db=16\"; };", "c:1: "
		  "redis.url: behind the path only ?db=N may stand, N from 0 "
		  "to 15\n" },
		{ HEAD "redis = { url = \"unix:/r?d\"; };", "c:1: "
		  "redis.url: behind the path only ?db=N may stand, N from 0 "
		  "to 15\n" },
		{ HEAD "redis = {\nusername = \"m\"; };", "c:2: "
		  "redis.username: Redis takes a user name only with a "
		  "password, give redis.password_file, too\n" },
		{ HEAD "web = {\nredis_username = \"w\"; };", "c:2: "
		  "web.redis_username: Redis takes a user name only with a "
		  "password, give web.redis_password_file, too\n" },
		{ HEAD "redis = {\nwriter_username = \"m\"; };", "c:2: "
		  "redis.writer_username: Redis takes a user name only with a "
		  "password, give redis.writer_password_file, too\n" },
		{ HEAD "redis = { sentinel = { master = \"m\"; hosts = ( "
		  "\"h:1\" );\nusername = \"m\"; }; };", "c:2: "
		  "redis.sentinel.username: Sentinels take a user name only "
		  "with a password, give redis.sentinel.password_file, too\n" },
		{ HEAD "redis = { sentinel = { master = \"m\"; hosts = ( "
		  "\"h:1\" );\npassword_file = \"/nonexistent/x\"; }; };",
		  "c:2: redis.sentinel.password_file: /nonexistent/x: No such "
		  "file or directory\n" },
		{ HEAD "redis = { password_file = \"/nonexistent/x\"; };",
		  "c:1: redis.password_file: /nonexistent/x: No such file or "
		  "directory\n" },
		{ HEAD "web = { url = \"https://n.example/my/\"; }; "
		  "mail = { from = \"n@n.example\"; }; controller = "
		  "{ name = \"N\"; email = \"n@n.example\"; }; "
		  "retention = {\npending = \"6 days\"; };",
		  "c:2: retention.pending: is shorter than "
		  "web.confirm_within, and who is erased can't confirm any "
		  "more\n" },
		/* unsubscribe */
		{ HEAD "unsubscribe = { url = \"http://h/\"; };", "c:1: "
		  "unsubscribe.url: \"http://h/\" must start with https:// "
		  "(RFC 8058 section 3.1)\n" },
		{ HEAD "unsubscribe = { url = \"https://h/a,b\"; };", "c:1: "
		  "unsubscribe.url: byte 0x2C (,) can't stand in this URL; "
		  "write it as %2C\n" },
		{ HEAD "unsubscribe = { url = \"https://h/ \"; };", "c:1: "
		  "unsubscribe.url: byte 0x20 ( ) can't stand in this URL; "
		  "write it as %20\n" },
		{ HEAD "unsubscribe = { url = \"https://\xc3\xa5/\"; };",
		  "c:1: unsubscribe.url: byte 0xC3 (not printable) can't stand "
		  "in this URL; write it as %C3\n" },
		{ HEAD "unsubscribe = { url = \"https:///u/\"; };", "c:1: "
		  "unsubscribe.url: no host behind https://, want a URL such "
		  "as \"https://news.example.com/u/\"\n" },
		{ HEAD "unsubscribe = { mailto = \"abc@h.example\"; };", "c:1: "
		  "unsubscribe.mailto: \"abc@h.example\" must have one or two "
		  "characters before the @, such as \"u@news.example.com\": + "
		  "and a token of 61 characters come behind them, and 64 is "
		  "the end\n" },
		{ HEAD "unsubscribe = { mailto = \"\\\"\\\"@h.example\"; };",
		  "c:1: unsubscribe.mailto: \"\"\"@h.example\": only letters, "
		  "digits, - and _ may stand before the @\n" },
		{ HEAD "unsubscribe = { authserv_id = \"mx;a\"; };", "c:1: "
		  "unsubscribe.authserv_id: \"mx;a\" is no authserv-id, want "
		  "what stands first in the Authentication-Results of your "
		  "mail server, such as \"mx.example.com\"\n" },
		/* text */
		{ HEAD "controller = { name = \"\"; dpo = \"a\\nb\"; };",
		  "c:1: controller.name: is empty; give it a value, or leave "
		  "it out\nc:1: controller.dpo: holds the control character "
		  "U+000A; it must be one line of plain text\n" },
		{ HEAD "controller = { name = \"\xff\"; };", "c:1: "
		  "controller.name: byte 0xFF is not UTF-8; save the file as "
		  "UTF-8\n" },
		{ HEAD "keys = \"etc\";", "c:1: keys: \"etc\" must be an "
		  "absolute path, one that starts with /\n" },
		/* lists */
		{ HEAD URL "lists = ( { } );", "c:1: lists[1]: has no id, "
		  "which must be given: what commands and records call the "
		  "list\nc:1: lists[1]: has no name, which must be given: what "
		  "people call the list\nc:1: lists[1]: no rule says which "
		  "mail belongs to it, give match = ( { sender = "
		  "\"*@news.example.com\"; } ) or another one\n" },
		{ HEAD URL "lists = ( { id = \"a\"; name = \"A\"; " RULE "},\n"
		  "{ id = \"a\"; name = \"B\"; " RULE "} );", "c:2: lists[2]: "
		  "the id \"a\" is that of lists[1] already, each list needs "
		  "its own\n" },
		/* the first 24 bits of their SHA-256 are the same */
		{ HEAD URL "lists = ( { id = \"l908\"; name = \"A\"; " RULE
		  "},\n{ id = \"l4335\"; name = \"B\"; " RULE "} );", "c:2: "
		  "lists[2]: the id \"l4335\" makes the same unsubscribe token "
		  "as \"l908\", choose another\n" },
		{ HEAD "lists = (\n{ id = \"a\"; name = \"A\"; " RULE "} );",
		  "c:1: lists: there are lists, and no unsubscribe.url for "
		  "their mail, want one such as "
		  "\"https://news.example.com/u/\"\n" },
		{ HEAD URL "lists = ( { id = \"-a\"; name = \"A\"; list_id = "
		  "\"<a.b>\"; max_age = \"0 days\"; " RULE "} );", "c:1: "
		  "lists[1].id: \"-a\" is no id of a list: 1 to 32 of a-z, 0-9 "
		  "and -, the first not a -\nc:1: lists[1].list_id: \"<a.b>\" "
		  "is no List-Id, want one such as \"weekly.news.example.com\" "
		  "(RFC 2919), without < and >\nc:1: lists[1].max_age: \"0 "
		  "days\" is no length of time, want 1 to 1000000 seconds, "
		  "minutes, hours, days, weeks, months or years, such as \"24 "
		  "months\"\n" },
		{ HEAD URL "lists = ( { id = \"a\"; name = \"12345678901234567"
		  "890123456789012345678901234567890123456789012345678901234567"
		  "89012345678901234567890x\"; " RULE "} );", "c:1: "
		  "lists[1].name: has 101 bytes, it may have 100\n" },
		{ HEAD URL "lists = ( { id = \"a\"; name = \"A\"; "
		  "special_category = true; basis = \"consent\"; " RULE
		  "} );", "c:1: lists[1]: data of a special category (GDPR "
		  "Art. 9) need basis = \"explicit-consent\" and no other\n" },
		{ HEAD URL "lists = ( { id = \"a\"; name = \"A\"; basis = "
		  "\" \"; " RULE "} );", "c:1: lists[1].basis: is empty; give "
		  "it a value, or leave it out\n" },
		/* rules */
		{ HEAD "exempt = ( { } );", "c:1: exempt[1]: holds nothing and "
		  "would hold for all mail, want at least one of sender, "
		  "sasl_user, client, daemon, header, without\n" },
		{ HEAD "exempt = (\n{ value = \"x\"; } );", "c:2: exempt[1]: "
		  "value says what a header field holds, give the name of the "
		  "field as header\n" },
		{ HEAD "exempt = ( { sendr = \"x\"; } );", "c:1: "
		  "exempt[1].sendr: unknown key, did you mean \"sender\"?\n" },
		{ HEAD "exempt = ( { header = \"X-A\"; without = \"x-a\"; } "
		  ");", "c:1: exempt[1]: can never hold: header and without "
		  "are the same field\n" },
		{ HEAD "exempt = ( { header = \"X:\"; } );", "c:1: "
		  "exempt[1].header: \"X:\" is no name of a header field, want "
		  "one such as \"List-Id\": printable ASCII, no blank, no "
		  "colon\n" },
		{ HEAD "exempt = ( { sender = \"\"; } );", "c:1: "
		  "exempt[1].sender: is empty; give it a value, or leave it "
		  "out\n" },
		/* syntax */
		{ HEAD "\na = ;", "c:2: syntax error, want key = value; is a "
		  "semicolon, quote or bracket missing here or on the line "
		  "before?\n" },
		{ HEAD "\nuser = \"\";", "c:2: duplicate setting name, each "
		  "key may stand once\n" },
		{ HEAD "\n/* a\n\n", "c:2: a comment starts here and never "
		  "ends, close it with */\n" },
		{ HEAD "\nkeys = \"/a\n\n", "c:2: text starts here and never "
		  "ends, close it with \"\n" },
		{ HEAD "\n@include \"/nonexistent/x\"\n", "c:2: can't include "
		  "/nonexistent/x: No such file or directory\n" },
		/* libconfig would end the process */
		{ HEAD "\n@include \"/tmp\"\n", "c:2: can't include /tmp: it "
		  "is not a regular file\n" },
		{ HEAD "\n\t@include \"a\\b\"\n", "c:2: @include wants the "
		  "path of a file in double quotes, on one line and without a "
		  "backslash\n" },
		/* sorted by line, whoever finds them */
		{ HEAD "\nkeys = \"x\";\nexempt = ( { },\n{ header = \"\"; } "
		  ");\nmode = 1;", "c:2: keys: \"x\" must be an absolute path, "
		  "one that starts with /\nc:3: exempt[1]: holds nothing and "
		  "would hold for all mail, want at least one of sender, "
		  "sasl_user, client, daemon, header, without\nc:4: "
		  "exempt[2].header: is empty; give it a value, or leave it "
		  "out\nc:5: mode: is a number, want text in double "
		  "quotes\n" },
	};

	for (size_t i = 0; i < N(cases); i++) {
		check_case((long)i);
		check_errors(cases[i].text, cases[i].want);
	}
}

static void
test_good_values(void)
{
	static const char *const cases[] = {
		"", "lists = ( );", "exempt = ( );", "redis = { };",
		"socket = \"/run/x\";", "socket = \"inet6:1@::1\";",
		"socket = \"inet:65535@localhost\";",
		"socket_mode = \"0777\";", "socket_mode = \"000\";",
		"redis = { url = \"redis://h\"; };",
		"redis = { url = \"redis://h/\"; };",
		"redis = { url = \"redis://[::1]\"; };",
		"redis = { url = \"redis://[::1]:1/15\"; };",
		"redis = { url = \"rediss://h\"; ca_file = \"/\"; };",
		"redis = { url = \"rediss://[::1]:1/15\"; };",
		"redis = { sentinel = { master = \"m\"; hosts = [ \"h:1\" ]; }; "
		    "};",
		"redis = { cluster = ( \"h:1\", \"[::1]:2\" ); url = "
		    "\"rediss://h/0\"; };",
		"redis = { timeout_ms = 0x10; };",
		"redis = { url = \"unix:/r\"; read_from = \"rediss://h:1\"; "
		"ca_file = \"/\"; read_within_ms = 60000; };",
		"redis = { timeout_ms = 1; };",
		"redis : { timeout_ms : 1 }",
		"unsubscribe = { url = \"HTTPS://h\"; };",
		"unsubscribe = { mailto = \"u@h.example\"; };",
		"keys = \"/a/123456789012\"; # 123456789012 \"\n",
		"controller = { name = \"\xe2\x82\xac\"; };",
		"exempt = ( { client = \"192.0.2.1\"; } );",
		"exempt = ( { header = \"x\"; value = \"*\"; } );",
		"bulk = { unlisted = \"tempfail\"; }; // {{{{ \"\n/* \" */",
	};

	for (size_t i = 0; i < N(cases); i++) {
		struct buf text = BUF_INIT(1000);
		struct settings *s;

		check_case((long)i);
		buf_addf(&text, HEAD "%s", cases[i]);
		s = load(buf_get(&text));
		CHECK(s != NULL);
		settings_put(&s);
		buf_fini(&text);
	}
}

static void
add_times(struct buf *b, const char *text, int times)
{
	for (int i = 0; i < times; i++)
		buf_add_str(b, text);
}

static void
check_limit(const char *open, const char *each, int times, const char *close,
    const char *want)
{
	struct buf text = BUF_INIT(4 * SOURCE_MAX), errors = BUF_INIT(1 << 20);
	struct settings *settings = NULL;
	int rc;

	buf_add_str(&text, open);
	add_times(&text, each, times);
	buf_add_str(&text, close);
	rc = settings_load_text("c", buf_span(&text), &settings, &errors);
	CHECK_INT(rc, want == NULL ? 0 : -1);
	CHECK_STR(buf_get(&errors), want == NULL ? "" : want);
	settings_put(&settings);
	buf_fini(&text);
	buf_fini(&errors);
}

static void
test_limits(void)
{
	check_limit(HEAD "exempt = ( ", "{ sender = \"a\"; },", 99,
	    "{ sender = \"a\"; } );", NULL);
	check_limit(HEAD "exempt = ( ", "{ sender = \"a\"; },\n", 100,
	    "{ sender = \"a\"; } );", "c:101: exempt[101]: is one too many, "
	    "there may be 100\n");
	check_limit(HEAD "a = ", "(", 1000, "", "c:1: brackets within "
	    "brackets, more than 32 deep; is a closing one missing?\n");
	check_limit(HEAD, "# 345678\n", SOURCE_MAX / 9 + 1, "",
	    "c: more than 1048576 bytes of configuration, included files "
	    "counted\n");

	struct buf errors = BUF_INIT(1000);
	struct settings *settings = NULL;
	CHECK_INT(settings_load_text("c", span_of("\n\0\n", 3), &settings,
	    &errors), -1);
	CHECK_STR(buf_get(&errors),
	    "c:2: a NUL byte; the file must be plain text\n");
	buf_fini(&errors);
}

/* More mistakes than are kept are counted. */
static void
test_many_mistakes(void)
{
	struct buf text = BUF_INIT(100000), errors = BUF_INIT(1000000);
	struct settings *settings = NULL;
	const char *last;

	buf_add_str(&text, HEAD);
	for (int i = 0; i < 1200; i++)
		buf_addf(&text, "zzzzzzzz%d = 1;\n", i);
	CHECK_INT(settings_load_text("c", buf_span(&text), &settings, &errors),
	    -1);
	last = strstr(buf_get(&errors), "c: ");
	CHECK_STR(last == NULL ? "" : last,
	    "c: 200 more mistakes are not shown\n");
	buf_fini(&text);
	buf_fini(&errors);
}

static void
check_load(const char *path, const char *want)
{
	struct buf errors = BUF_INIT(100000);
	struct settings *settings = NULL;
	int rc = settings_load(path, &settings, &errors);

	CHECK_INT(rc, want == NULL ? 0 : -1);
	CHECK_STR(buf_get(&errors), want == NULL ? "" : want);
	settings_put(&settings);
	buf_fini(&errors);
}

static void
test_files(void)
{
	struct buf want = BUF_INIT(1000), big = BUF_INIT(2 * SOURCE_MAX);
	char *good = write_file("good.conf", HEAD, 0600);
	char *path;

	check_load(good, NULL);
	check_load("/nonexistent", "/nonexistent: No such file or "
	    "directory\n");
	buf_addf(&want, "%s: Is a directory\n", directory);
	check_load(directory, buf_get(&want));

	add_times(&big, "#\n", SOURCE_MAX / 2 + 1);
	path = write_file("big.conf", buf_get(&big), 0600);
	buf_clear(&want);
	buf_addf(&want, "%s: longer than 1048576 bytes\n", path);
	check_load(path, buf_get(&want));
	free(path);

	/* a line end in a file's name makes no line of its own */
	check_load("/nonexistent\n/x", "/nonexistent\n/x: No such file or "
	    "directory\n");
	free(good);
	buf_fini(&want);
	buf_fini(&big);
}

static void
test_include(void)
{
	struct buf want = BUF_INIT(SOURCE_MAX);
	char *more, *deep, *main_path;

	/* relative to the main file, and its brackets count on */
	deep = write_file("deep.inc", "timeout_ms = 7;\n", 0600);
	more = write_file("more.inc",
	    "redis = {\n@include \"deep.inc\"\n};\n", 0600);
	main_path = write_file("inc.conf",
	    HEAD "\n  @include \"more.inc\"\nmode = \"observe\";\n", 0600);
	struct buf errors = BUF_INIT(1000);
	struct settings *s = NULL;
	CHECK_INT(settings_load(main_path, &s, &errors), 0);
	CHECK_STR(buf_get(&errors), "");
	CHECK_INT(s == NULL ? 0 : s->redis.timeout_ms, 7);
	settings_put(&s);
	buf_fini(&errors);
	free(deep);

	/* mistakes are told where they are, the main file first */
	deep = write_file("deep.inc", "\ntimeout_ms = 0;\n", 0600);
	free(main_path);
	main_path = write_file("inc.conf",
	    HEAD "\n@include \"more.inc\"\nmode = 1;\n", 0600);
	buf_addf(&want, "%s:3: mode: is a number, want text in double "
	    "quotes\n%s:2: redis.timeout_ms: 0 is out of range, it must be 1 "
	    "to 10000\n", main_path, deep);
	check_load(main_path, buf_get(&want));

	free(deep);
	deep = write_file("deep.inc", "\ntimeout_ms = ;\n", 0600);
	buf_clear(&want);
	buf_addf(&want, "%s:2: syntax error, want key = value; is a semicolon, "
	    "quote or bracket missing here or on the line before?\n", deep);
	check_load(main_path, buf_get(&want));

	/* itself */
	free(deep);
	deep = write_file("deep.inc", "\n\n@include \"deep.inc\"\n", 0600);
	buf_clear(&want);
	buf_addf(&want, "%s:3: files include each other more than 8 deep; "
	    "does one include itself?\n", deep);
	check_load(main_path, buf_get(&want));

	/* by its absolute path, and as often as one likes: up to 1 MiB */
	buf_clear(&want);
	add_times(&want, "# ......................................\n", 4000);
	free(deep);
	deep = write_file("deep.inc", buf_get(&want), 0600);
	buf_clear(&want);
	buf_add_str(&want, HEAD);
	for (int i = 0; i < 8; i++)
		buf_addf(&want, "\n@include \"%s\"\n", deep);
	free(main_path);
	main_path = write_file("inc.conf", buf_get(&want), 0600);
	buf_clear(&want);
	buf_addf(&want, "%s: more than 1048576 bytes of configuration, "
	    "included files counted\n", deep);
	check_load(main_path, buf_get(&want));
	free(deep);
	free(more);
	free(main_path);
	buf_fini(&want);
}

static void
check_password(const char *content, mode_t mode, const char *password,
    const char *error)
{
	char *path = write_file("password", content, mode);
	struct buf text = BUF_INIT(1000), want = BUF_INIT(1000);
	struct buf errors = BUF_INIT(1000);
	struct settings *s = NULL;

	buf_addf(&text, HEAD "redis = { username = \"m\"; password_file = "
	    "\"%s\"; };", path);
	if (error != NULL)
		buf_addf(&want, "c:1: redis.password_file: %s%s\n", path,
		    error);
	CHECK_INT(settings_load_text("c", buf_span(&text), &s, &errors),
	    error == NULL ? 0 : -1);
	CHECK_STR(buf_get(&errors), buf_get(&want));
	CHECK_STR(s == NULL ? "" : s->redis.password,
	    password == NULL ? "" : password);
	if (s != NULL) {
		/* never in a dump */
		buf_clear(&text);
		settings_dump(&text, s);
		CHECK(strstr(buf_get(&text), password) == NULL);
	}
	settings_put(&s);
	buf_fini(&text);
	buf_fini(&want);
	buf_fini(&errors);
	free(path);
}

static void
test_password(void)
{
	static const char one_line[] = " must hold the password and nothing "
	    "else, one line of at most 1024 bytes";
	static const char open[] = " can be read or written by everybody: "
	    "chmod o-rw";
	struct buf longest = BUF_INIT(2000);

	check_password("s3cret", 0600, "s3cret", NULL);
	check_password("s3cret\n", 0640, "s3cret", NULL);
	check_password("s3cret\r\n", 0440, "s3cret", NULL);
	check_password("s3cret\n", 0604, NULL, open);
	check_password("s3cret\n", 0602, NULL, open);
	check_password("a\nb\n", 0600, NULL, one_line);
	check_password("\n", 0600, NULL, " is empty; it must hold the "
	    "password");
	check_password("", 0600, NULL, " is empty; it must hold the "
	    "password");
	add_times(&longest, "x", 1024);
	check_password(buf_get(&longest), 0600, buf_get(&longest), NULL);
	buf_add_char(&longest, 'x');
	check_password(buf_get(&longest), 0600, NULL, one_line);
	add_times(&longest, "x", 100);
	check_password(buf_get(&longest), 0600, NULL, one_line);
	buf_fini(&longest);
}

static void
test_accounts(void)
{
	bool root = geteuid() == 0;
	struct settings *s = NULL;
	struct buf errors = BUF_INIT(1000);

	if (!root) {	/* who can't become them need not have them */
		s = load("\nuser = \"no-such-user\"; socket_group = \"no-g\";");
		settings_put(&s);
		return;
	}
	check_errors("\nuser = \"no-such-user\";\nsocket_group = \"no-g\";",
	    "c:2: user: there is no user \"no-such-user\", make it (useradd "
	    "--system no-such-user), or set user\nc:3: socket_group: there "
	    "is no group \"no-g\", use that of the MTA, such as "
	    "\"postfix\"\n");
	CHECK_INT(settings_load_text("c", SPAN("user = \"root\"; "
	    "socket_group = \"root\";"), &s, &errors), 0);
	CHECK_STR(s == NULL ? "" : s->socket_group, "root");
	settings_put(&s);
	buf_fini(&errors);
}

static void *
count_up_and_down(void *context)
{
	for (int i = 0; i < 1000; i++) {
		struct settings *mine = settings_get(context);

		CHECK_STR(mine->keys, "/k");
		settings_put(&mine);
	}
	return NULL;
}

static void
test_references(void)
{
	struct settings *s = load(full);
	struct settings *second;
	pthread_t threads[2];

	if (s == NULL)
		return;
	second = settings_get(s);
	CHECK(second == s);
	for (size_t i = 0; i < N(threads); i++)
		CHECK_INT(pthread_create(&threads[i], NULL, count_up_and_down,
		    s), 0);
	for (size_t i = 0; i < N(threads); i++)
		CHECK_INT(pthread_join(threads[i], NULL), 0);
	settings_put(&s);
	CHECK_STR(second->keys, "/k");
	settings_put(&second);
}

/* --- table, sample and manual page */

static char *
read_source(const char *path)
{
	const char *srcdir = getenv("srcdir");
	struct buf full_path = BUF_INIT(4000), text = BUF_INIT(1 << 20);
	struct fail fail;

	buf_addf(&full_path, "%s/%s", srcdir != NULL ? srcdir : ".", path);
	if (file_read(buf_get(&full_path), &text, &fail) == -1)
		CHECK_STR(fail.text, "");
	buf_fini(&full_path);
	return buf_take(&text);
}

/* Replaces the first `from' of text, which must be there. */
static char *
replace(char *text, const char *from, const char *to)
{
	char *at = strstr(text, from);
	struct buf out = BUF_INIT(1 << 20);

	CHECK(at != NULL);
	if (at == NULL)
		return text;
	buf_add(&out, text, (size_t)(at - text));
	buf_addf(&out, "%s%s", to, at + strlen(from));
	free(text);
	return buf_take(&out);
}

/* Takes the '#' off settings that are there to be uncommented. */
static char *
uncomment(const char *text)
{
	struct buf out = BUF_INIT(1 << 20);
	bool start = true;

	for (; *text != '\0'; text++) {
		if (*text == '#' && start && text[1] != ' ' && text[1] != '\n')
			continue;
		start = *text == '\n' || (start && *text == '\t');
		buf_add_char(&out, *text);
	}
	return buf_take(&out);
}

static void
check_sample_has(const config_setting_t *group, enum option_scope scope)
{
	const struct option *o = NULL;

	while ((o = option_next(scope, o)) != NULL) {
		const config_setting_t *member =
		    config_setting_get_member(group, o->name);

		/* rules have different keys: any of them will do */
		if (scope == SCOPE_RULE)
			continue;
		if (member == NULL) {
			CHECK_STR(o->name, "in the sample");
			continue;
		}
		/* the groups of a list are those at the top */
		if (o->kind == OPTION_GROUP && scope != SCOPE_LIST)
			check_sample_has(member, o->members);
		if (o->kind == OPTION_LISTS || o->kind == OPTION_WEBHOOKS)
			check_sample_has(config_setting_get_elem(member, 0),
			    o->members);
	}
}

static void
check_sample_defaults(const char *active, const char *uncommented)
{
	/* Where the sample's commented value is an example, not a default. */
	static const char *const examples[] = {
		"socket_mode = ", "socket_group = ", "redis.username",
		"redis.password_file", "redis.writer_", "redis.url",
		"redis.ca_file", "redis.certificate", "redis.key",
		"redis.sentinel.", "redis.read_from", "redis.cluster",
		"metrics = ",
		"unsubscribe.mailto", "unsubscribe.authserv_id",
		"controller.", "replies.", "lists[1].replies.", "lists[1].texts",
		"web.url", "web.embed", "web.api_keys",
		"web.metrics", "web.redis_", "mail.from", "mail.envelope_sender",
		"lists[1].purpose", "lists[1].list_id", "lists[1].max_age",
		"lists[1].notice", "lists[1].match[",
		"lists[1].confirmation[", "exempt[", "webhooks[",
		"keys = ",	/* depends on SYSCONFDIR */
		"web.languages",	/* and on DATADIR */
		"socket = ",	/* is changed for the group */
	};
	struct settings *a = load(active), *b = load(uncommented);
	struct buf x = BUF_INIT(100000), y = BUF_INIT(100000);
	char *line, *rest = NULL;

	if (a == NULL || b == NULL)
		goto out;
	settings_dump(&x, a);
	settings_dump(&y, b);
	for (line = strtok_r(y.data, "\n", &rest); line != NULL;
	    line = strtok_r(NULL, "\n", &rest)) {
		bool skip = false;

		for (size_t i = 0; i < N(examples); i++)
			skip |= strncmp(line, examples[i],
			    strlen(examples[i])) == 0;
		if (!skip && strstr(buf_get(&x), line) == NULL)
			CHECK_STR(line, "a default");
	}
out:
	settings_put(&a);
	settings_put(&b);
	buf_fini(&x);
	buf_fini(&y);
}

static void
test_sample(void)
{
	static const char *const files[] = {
		"/etc/consent-milter/redis-ca.pem",
		"/etc/consent-milter/redis-client.pem",
		"/etc/consent-milter/redis-client.key",
		"/etc/consent-milter/sentinel.password",
	};
	char *password = write_file("password", "secret\n", 0600);
	char *sample = replace(read_source("conf/consent-milter.conf"),
	    "\nuser = \"consent-milter\";", "\nuser = \"\";");
	char *all = uncomment(sample), *some;
	config_t config;

	all = replace(all, "\"/etc/consent-milter/redis.password\"", "\"PW\"");
	all = replace(all, "PW", password);
	for (size_t i = 0; i < N(files); i++) {
		all = replace(all, files[i], "PW");
		all = replace(all, "PW", password);
	}
	all = replace(all, "url = \"redis://", "url = \"rediss://");
	all = replace(all, "\"postfix\"", geteuid() == 0 ? "\"root\"" :
	    "\"postfix\"");
	all = replace(all, "\nsocket = \"inet:8892@127.0.0.1\"",
	    "\nsocket = \"unix:/run/consent-milter/milter.sock\"");
	/* Beside this, sentinel and read_from can't stand. */
	some = replace(xstrdup(all), "\tcluster = (", "\t#cluster = (");
	check_sample_defaults(sample, some);

	config_init(&config);
	CHECK_INT(config_read_string(&config, all), CONFIG_TRUE);
	if (config_root_setting(&config) != NULL)
		check_sample_has(config_root_setting(&config), SCOPE_TOP);
	config_destroy(&config);
	for (const struct option *o = NULL;
	    (o = option_next(SCOPE_RULE, o)) != NULL;)
		if (strstr(all, o->name) == NULL)
			CHECK_STR(o->name, "in a rule of the sample");
	free(sample);
	free(all);
	free(some);
	free(password);
}

static const char *
section_of(enum option_scope scope)
{
	switch (scope) {
	case SCOPE_TOP:
		return "\n.Ss General\n";
	case SCOPE_REDIS:
		return "\n.Ss Redis\n";
	case SCOPE_SENTINEL:
		return "\n.Ss Sentinel\n";
	case SCOPE_AUDIT:
		return "\n.Ss Audit\n";
	case SCOPE_RETENTION:
		return "\n.Ss Retention\n";
	case SCOPE_LIMITS:
		return "\n.Ss Limits\n";
	case SCOPE_UNSUBSCRIBE:
		return "\n.Ss Unsubscribe\n";
	case SCOPE_WEB:
		return "\n.Ss Web\n";
	case SCOPE_MAIL:
		return "\n.Ss Mail\n";
	case SCOPE_CONTROLLER:
		return "\n.Ss Controller\n";
	case SCOPE_BULK:
		return "\n.Ss Bulk\n";
	case SCOPE_LIST:
		return "\n.Ss Lists\n";
	case SCOPE_RULE:
		return "\n.Ss Rules\n";
	case SCOPE_WEBHOOK:
		return "\n.Ss Webhooks\n";
	case SCOPE_REPLIES:
		return "\n.Ss Replies\n";
	}
	return "";
}

/* The text between from (after which it starts) and the next `to'. */
static char *
cut(const char *text, const char *from, const char *to)
{
	const char *start = strstr(text, from), *end;

	if (start == NULL)
		return NULL;
	start += strlen(from);
	end = strstr(start, to);
	return end == NULL ? xstrdup(start) :
	    xmemdupz(start, (size_t)(end - start));
}

static void
check_entry_has(const struct option *o, const char *entry, const char *what)
{
	if (strstr(entry, what) == NULL) {
		CHECK_STR(o->name, "fully told in the manual page");
		CHECK_STR(what, entry);
	}
}

/* Default, range and words of one entry. */
static void
check_entry(const struct option *o, const char *section)
{
	struct buf item = BUF_INIT(200), number = BUF_INIT(100);
	char *entry;

	buf_addf(&item, "\n.It Cm %s No = ", o->name);
	entry = cut(section, buf_get(&item), "\n.It ");
	if (entry == NULL) {
		CHECK_STR(o->name, "in the manual page");
		buf_fini(&item);
		return;
	}
	if (o->fallback != NULL) {
		/* the build decides about these directories */
		size_t below = strncmp(o->fallback, SYSCONFDIR "/",
		    strlen(SYSCONFDIR) + 1) == 0 ? strlen(SYSCONFDIR) :
		    strncmp(o->fallback, DATADIR "/", strlen(DATADIR) + 1) ==
		    0 ? strlen(DATADIR) : 0;

		check_entry_has(o, entry, "Default:");
		check_entry_has(o, strstr(entry, "Default:") != NULL ?
		    strstr(entry, "Default:") : "", o->fallback + below);
	}
	if (o->kind == OPTION_NUMBER) {
		buf_addf(&number, "%lld to %lld", (long long)o->min,
		    (long long)o->max);
		check_entry_has(o, entry, buf_get(&number));
	}
	for (size_t i = 0; o->words != NULL && o->words[i] != NULL; i++)
		check_entry_has(o, entry, o->words[i]);
	free(entry);
	buf_fini(&item);
	buf_fini(&number);
}

static size_t
count_of(const char *text, const char *what)
{
	size_t n = 0;

	for (; (text = strstr(text, what)) != NULL; text++)
		n++;
	return n;
}

static void
test_manual(void)
{
	char *page = read_source("src/settings/consent-milter.conf.5");
	size_t told = 0, known = 0;

	for (size_t i = 0; i < option_count; i++) {
		const struct option *o = &option_table[i];
		char *section = cut(page, section_of(o->scope), "\n.Ss ");

		check_case((long)i);
		CHECK(section != NULL);
		if (section == NULL)
			continue;
		check_entry(o, section);
		known++;
		free(section);
	}
	check_case(-1);
	/* and nothing that the table does not know */
	told = count_of(page, "\n.It Cm ");
	CHECK_INT(told, known);
	free(page);
}

/* Every scope is short enough for option_closest() and has no key twice. */
static void
test_table(void)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option *o = &option_table[i];

		check_case((long)i);
		CHECK(option_find(o->scope, o->name) == o);
		CHECK(o->help != NULL);
		CHECK_STR(option_closest(o->scope, o->name), o->name);
	}
}

static const struct check_test tests[] = {
	{ "defaults", test_defaults },
	{ "everything", test_everything },
	{ "mistakes", test_mistakes },
	{ "good_values", test_good_values },
	{ "limits", test_limits },
	{ "many_mistakes", test_many_mistakes },
	{ "files", test_files },
	{ "include", test_include },
	{ "password", test_password },
	{ "accounts", test_accounts },
	{ "references", test_references },
	{ "sample", test_sample },
	{ "manual", test_manual },
	{ "table", test_table },
};

static void
remove_directory(void)
{
	static const char *const names[] = { "good.conf", "big.conf",
	    "inc.conf", "more.inc", "deep.inc", "password" };
	struct buf path = BUF_INIT(1000);

	for (size_t i = 0; i < N(names); i++) {
		buf_clear(&path);
		buf_addf(&path, "%s/%s", directory, names[i]);
		(void)unlink(buf_get(&path));
	}
	buf_fini(&path);
	(void)rmdir(directory);
}

int
main(void)
{
	int rc;

	if (mkdtemp(directory) == NULL) {
		perror(directory);
		return EXIT_FAILURE;
	}
	rc = check_main("settings", tests, N(tests));
	remove_directory();
	return rc;
}
