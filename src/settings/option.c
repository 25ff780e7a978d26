/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "settings/option.h"

#include <arpa/inet.h>

#include <stdlib.h>
#include <string.h>

#include "base/closest.h"
#include "base/date.h"
#include "base/span.h"
#include "base/xalloc.h"
#include "consent/policy.h"
#include "consent/reply_text.h"
#include "mail/list_field.h"
#include "settings/settings.h"
#include "settings/value.h"

#define NAMES_MAX	64	/* keys of one scope */
#define SHORT_MAX	100	/* bytes of text */
#define TEXT_MAX	500
#define PATH_BYTES_MAX	1000
#define SOCKET_MAX	107	/* what sockaddr_un holds */
#define URL_MAX		900	/* a token and "<>" fit FIELD_LINE_MAX */
#define LISTS_MAX	1000
#define RULES_MAX	100
#define WEBHOOKS_MAX	16
#define REPLY_BYTES_MAX	300
#define MIB		(UINT64_C(1024) * 1024)

/* Where a field is. */
#define AT(type, field)							\
	.offset = offsetof(type, field),				\
	.size = sizeof(((type *)0)->field)
#define TOP(field)	AT(struct settings, field)
#define LIST(field)	AT(struct list, field)
#define RULE(field)	AT(struct rule, field)
#define WEBHOOK(field)	AT(struct webhook, field)
#define REPLY(field)	AT(struct replies, field)
#define TEXT(bytes)	.kind = OPTION_TEXT, .min = 1, .max = (bytes)

/* The order of the words is that of the enums, or false and true. */
static const char *const modes[] = { "enforce", "observe", NULL };
static const char *const list_modes[] = { "default", "enforce", "observe",
	NULL };
static const char *const failures[] = { "tempfail", "accept", "reject", NULL };
static const char *const forms[] = { "masked", "hashed", "clear", NULL };
static const char *const ips[] = { "truncated", "off", "full", NULL };
static const char *const existing[] = { "replace", "keep", NULL };
static const char *const multiples[] = { "shared", "single", "reject", NULL };

_Static_assert(FAILURE_TEMPFAIL == 0 && FAILURE_ACCEPT == 1 &&
    FAILURE_REJECT == 2, "order of failures[]");
_Static_assert(RECIPIENTS_MASKED == 0 && RECIPIENTS_HASHED == 1 &&
    RECIPIENTS_CLEAR == 2, "order of forms[]");
_Static_assert(EVIDENCE_IP_TRUNCATED == 0 && EVIDENCE_IP_OFF == 1 &&
    EVIDENCE_IP_FULL == 2, "order of ips[]");
_Static_assert(LIST_MODE_DEFAULT == 0 && LIST_MODE_ENFORCE == 1 &&
    LIST_MODE_OBSERVE == 2, "order of list_modes[]");
_Static_assert(MULTIPLE_SHARED == 0 && MULTIPLE_SINGLE == 1 &&
    MULTIPLE_REJECT == 2, "order of multiples[]");

const struct option option_table[] = {
	{ SCOPE_TOP, "mode", .kind = OPTION_CHOICE, .words = modes,
	  TOP(policy.observe), .fallback = "enforce",
	  .help = "act on decisions, or only log them" },
	{ SCOPE_TOP, "socket", TEXT(200), TOP(socket),
	  .fallback = "unix:/run/consent-milter/milter.sock",
	  .check = value_check_socket,
	  .help = "where the MTA finds the filter" },
	{ SCOPE_TOP, "socket_group", .kind = OPTION_OPTIONAL_TEXT,
	  .max = SHORT_MAX, TOP(socket_group),
	  .help = "group of the UNIX socket" },
	{ SCOPE_TOP, "socket_mode", .kind = OPTION_OCTAL, TOP(socket_mode),
	  .max = 0777,
	  .help = "permissions of the UNIX socket" },
	{ SCOPE_TOP, "user", .kind = OPTION_TEXT, .max = SHORT_MAX, TOP(user),
	  .fallback = "consent-milter",
	  .help = "who to become when started as root" },
	{ SCOPE_TOP, "keys", TEXT(PATH_BYTES_MAX), TOP(keys),
	  .fallback = SYSCONFDIR "/consent-milter/keys",
	  .check = value_check_path,
	  .help = "directory of the secret keys" },
	{ SCOPE_TOP, "metrics", TEXT(200), TOP(metrics),
	  .check = value_check_listen,
	  .help = "where Prometheus finds the metrics of the filter" },
	{ SCOPE_TOP, "control", .kind = OPTION_OPTIONAL_TEXT,
	  .max = SOCKET_MAX, TOP(control), .check = value_check_path,
	  .fallback = "/run/consent-milter/milter.control",
	  .help = "socket at which the filter describes itself" },
	{ SCOPE_TOP, "redis", .kind = OPTION_GROUP, .members = SCOPE_REDIS,
	  .help = "the consent cache" },
	{ SCOPE_TOP, "on_store_failure", .kind = OPTION_CHOICE,
	  .words = failures, TOP(policy.on_store_failure),
	  .fallback = "tempfail",
	  .help = "what list mail gets while Redis can't be asked" },
	{ SCOPE_TOP, "audit", .kind = OPTION_GROUP, .members = SCOPE_AUDIT,
	  .help = "the decision log and the ledger" },
	{ SCOPE_TOP, "retention", .kind = OPTION_GROUP,
	  .members = SCOPE_RETENTION,
	  .help = "how long what is kept" },
	{ SCOPE_TOP, "limits", .kind = OPTION_GROUP, .members = SCOPE_LIMITS,
	  .help = "beyond which mail is deferred" },
	{ SCOPE_TOP, "unsubscribe", .kind = OPTION_GROUP,
	  .members = SCOPE_UNSUBSCRIBE,
	  .help = "the links that are put into list mail" },
	{ SCOPE_TOP, "web", .kind = OPTION_GROUP, .members = SCOPE_WEB,
	  .help = "the endpoint behind those links" },
	{ SCOPE_TOP, "mail", .kind = OPTION_GROUP, .members = SCOPE_MAIL,
	  .help = "the mails that consent-web sends" },
	{ SCOPE_TOP, "controller", .kind = OPTION_GROUP,
	  .members = SCOPE_CONTROLLER,
	  .help = "who is responsible for the data" },
	{ SCOPE_TOP, "lists", .kind = OPTION_LISTS, .members = SCOPE_LIST,
	  TOP(policy.lists), .max = LISTS_MAX,
	  .extra = offsetof(struct settings, policy.list_count),
	  .help = "the newsletters" },
	{ SCOPE_TOP, "exempt", .kind = OPTION_RULES, .members = SCOPE_RULE,
	  TOP(policy.exempt), .max = RULES_MAX,
	  .extra = offsetof(struct settings, policy.exempt_count),
	  .help = "mail that is never touched" },
	{ SCOPE_TOP, "webhooks", .kind = OPTION_WEBHOOKS,
	  .members = SCOPE_WEBHOOK, TOP(webhooks), .max = WEBHOOKS_MAX,
	  .extra = offsetof(struct settings, webhook_count),
	  .help = "who is told of each change" },
	{ SCOPE_TOP, "replies", .kind = OPTION_GROUP,
	  .members = SCOPE_REPLIES, TOP(policy.replies),
	  .help = "the words of SMTP replies" },
	{ SCOPE_TOP, "bulk", .kind = OPTION_GROUP, .members = SCOPE_BULK,
	  .help = "bulk mail outside the lists" },

	{ SCOPE_REDIS, "url", TEXT(PATH_BYTES_MAX), TOP(redis.url),
	  .fallback = "redis://127.0.0.1:6379/0",
	  .check = value_check_redis_url,
	  .help = "where Redis is" },
	{ SCOPE_REDIS, "username", TEXT(SHORT_MAX), TOP(redis.username),
	  .help = "ACL user" },
	{ SCOPE_REDIS, "password_file", TEXT(PATH_BYTES_MAX),
	  TOP(redis.password_file), .check = value_check_path,
	  .help = "file that holds the password" },
	{ SCOPE_REDIS, "writer_username", TEXT(SHORT_MAX),
	  TOP(redis.writer_username),
	  .help = "ACL user of consentctl" },
	{ SCOPE_REDIS, "writer_password_file", TEXT(PATH_BYTES_MAX),
	  TOP(redis.writer_password_file), .check = value_check_path,
	  .help = "file that holds that user's password" },
	{ SCOPE_REDIS, "timeout_ms", .kind = OPTION_NUMBER,
	  TOP(redis.timeout_ms), .fallback = "200", .min = 1, .max = 10000,
	  .unit = 1,
	  .help = "for one look-up, connecting included" },
	{ SCOPE_REDIS, "sentinel", .kind = OPTION_GROUP,
	  .members = SCOPE_SENTINEL,
	  .help = "who tells where Redis is" },
	{ SCOPE_REDIS, "wait_replicas", .kind = OPTION_NUMBER,
	  TOP(redis.wait_replicas), .fallback = "0", .min = 0, .max = 16,
	  .unit = 1,
	  .help = "replicas that must have what counts as applied" },
	{ SCOPE_REDIS, "read_from", TEXT(PATH_BYTES_MAX),
	  TOP(redis.read_from), .check = value_check_redis_url,
	  .help = "replica that answers the filter's look-ups" },
	{ SCOPE_REDIS, "read_within_ms", .kind = OPTION_NUMBER,
	  TOP(redis.read_within_ms), .fallback = "1000", .min = 100,
	  .max = 60000, .unit = 1,
	  .help = "how old the replica's data may be" },
	{ SCOPE_REDIS, "cluster", .kind = OPTION_TEXTS, .min = 1,
	  .max = PATH_BYTES_MAX, TOP(redis.cluster),
	  .check = value_check_cluster,
	  .help = "nodes of a Redis Cluster" },
	{ SCOPE_REDIS, "ca_file", TEXT(PATH_BYTES_MAX), TOP(redis.ca_file),
	  .check = value_check_path,
	  .help = "authorities that its certificate may come from" },
	{ SCOPE_REDIS, "certificate", TEXT(PATH_BYTES_MAX),
	  TOP(redis.certificate), .check = value_check_path,
	  .help = "certificate that is shown to it" },
	{ SCOPE_REDIS, "key", TEXT(PATH_BYTES_MAX), TOP(redis.key),
	  .check = value_check_path,
	  .help = "key of that certificate" },

	{ SCOPE_SENTINEL, "master", TEXT(SHORT_MAX),
	  TOP(redis.sentinel.master), .required = true,
	  .check = value_check_master,
	  .help = "name of the primary" },
	{ SCOPE_SENTINEL, "hosts", .kind = OPTION_TEXTS, .min = 1,
	  .max = PATH_BYTES_MAX, TOP(redis.sentinel.hosts), .required = true,
	  .check = value_check_sentinel,
	  .help = "where the Sentinels are" },
	{ SCOPE_SENTINEL, "username", TEXT(SHORT_MAX),
	  TOP(redis.sentinel.username),
	  .help = "ACL user of the Sentinels" },
	{ SCOPE_SENTINEL, "password_file", TEXT(PATH_BYTES_MAX),
	  TOP(redis.sentinel.password_file), .check = value_check_path,
	  .help = "file that holds the password for them" },

	{ SCOPE_AUDIT, "directory", TEXT(PATH_BYTES_MAX), TOP(audit.directory),
	  .fallback = "/var/lib/consent-milter/audit",
	  .check = value_check_path,
	  .help = "where the decision log is kept" },
	{ SCOPE_AUDIT, "ledger", TEXT(PATH_BYTES_MAX), TOP(audit.ledger),
	  .check = value_check_path,
	  .help = "where the consent events are kept" },
	{ SCOPE_AUDIT, "recipients", .kind = OPTION_CHOICE, .words = forms,
	  TOP(audit.recipients), .fallback = "masked",
	  .help = "how addresses are written to the logs" },
	{ SCOPE_AUDIT, "evidence_ip", .kind = OPTION_CHOICE, .words = ips,
	  TOP(policy.evidence_ip), .fallback = "truncated",
	  .help = "what is kept of the address behind a grant" },
	{ SCOPE_AUDIT, "segment_mib", .kind = OPTION_NUMBER,
	  TOP(audit.segment_bytes), .fallback = "256", .min = 1, .max = 4096,
	  .unit = MIB,
	  .help = "size at which a log starts a new file" },

	{ SCOPE_RETENTION, "decisions", .kind = OPTION_DURATION,
	  TOP(retention.decisions), .fallback = "12 months",
	  .help = "the decision log" },
	{ SCOPE_RETENTION, "proof", .kind = OPTION_DURATION,
	  TOP(retention.proof), .fallback = "36 months",
	  .help = "proof of a consent, from its end on" },
	{ SCOPE_RETENTION, "full_ip", .kind = OPTION_DURATION,
	  TOP(retention.full_ip), .fallback = "6 months",
	  .help = "a complete IP address behind a grant; then its network" },
	{ SCOPE_RETENTION, "ip", .kind = OPTION_DURATION,
	  TOP(retention.ip), .fallback = "36 months",
	  .help = "what is kept of that address at all" },
	{ SCOPE_RETENTION, "pending", .kind = OPTION_DURATION,
	  TOP(retention.pending), .fallback = "90 days",
	  .help = "sign-ups that nobody confirmed" },
	{ SCOPE_RETENTION, "requests", .kind = OPTION_DURATION,
	  TOP(retention.requests), .fallback = "36 months",
	  .help = "who looked at or downloaded their data" },

	{ SCOPE_LIMITS, "recipients", .kind = OPTION_NUMBER,
	  TOP(limits.recipients), .fallback = "10000", .min = 1,
	  .max = 100000, .unit = 1,
	  .help = "of one message" },
	{ SCOPE_LIMITS, "header_bytes", .kind = OPTION_NUMBER,
	  TOP(limits.header_bytes), .fallback = "1048576", .min = 16384,
	  .max = 16777216, .unit = 1,
	  .help = "of one message" },
	{ SCOPE_LIMITS, "connections", .kind = OPTION_NUMBER,
	  TOP(limits.connections), .fallback = "0", .max = 100000, .unit = 1,
	  .help = "of MTAs at once; 0: as many as there are descriptors for" },

	{ SCOPE_UNSUBSCRIBE, "url", TEXT(URL_MAX), TOP(unsubscribe.url),
	  .check = value_check_link,
	  .help = "the token is appended" },
	{ SCOPE_UNSUBSCRIBE, "mailto", TEXT(SHORT_MAX),
	  TOP(unsubscribe.mailto), .check = value_check_mailto,
	  .help = "+ and the token are put before the @" },
	{ SCOPE_UNSUBSCRIBE, "authserv_id", TEXT(SHORT_MAX),
	  TOP(unsubscribe.authserv_id), .check = value_check_authserv_id,
	  .help = "whose DKIM results complaint reports are trusted by" },
	{ SCOPE_UNSUBSCRIBE, "existing", .kind = OPTION_CHOICE,
	  .words = existing, TOP(unsubscribe.keep_existing),
	  .fallback = "replace",
	  .help = "what becomes of links that a message has" },

	{ SCOPE_WEB, "listen", TEXT(200), TOP(web.listen),
	  .fallback = "127.0.0.1:8092", .check = value_check_listen,
	  .help = "where the reverse proxy finds consent-web" },
	{ SCOPE_WEB, "languages", TEXT(PATH_BYTES_MAX), TOP(web.languages),
	  .fallback = DATADIR "/consent-milter/languages",
	  .check = value_check_path,
	  .help = "directory of the words of its pages" },
	{ SCOPE_WEB, "metrics", TEXT(200), TOP(web.metrics),
	  .check = value_check_listen,
	  .help = "where Prometheus finds the metrics of consent-web" },
	{ SCOPE_WEB, "control", .kind = OPTION_OPTIONAL_TEXT,
	  .max = SOCKET_MAX, TOP(web.control), .check = value_check_path,
	  .fallback = "/run/consent-milter/web.control",
	  .help = "socket at which consent-web describes itself" },

	{ SCOPE_WEB, "url", TEXT(URL_MAX), TOP(web.url),
	  .check = value_check_pages,
	  .help = "where people sign up and see their data" },
	{ SCOPE_WEB, "confirm_within", .kind = OPTION_DURATION,
	  TOP(web.confirm_within), .fallback = "7 days",
	  .help = "how long the link of a sign-up can be confirmed" },
	{ SCOPE_WEB, "embed", TEXT(TEXT_MAX), TOP(web.embed),
	  .check = value_check_origins,
	  .help = "sites that may show the sign-up pages in a frame" },
	{ SCOPE_WEB, "api_keys", TEXT(PATH_BYTES_MAX), TOP(web.api_keys),
	  .check = value_check_path,
	  .help = "file of the keys of programs that sign people up" },
	{ SCOPE_WEB, "redis_username", TEXT(SHORT_MAX),
	  TOP(web.redis_username),
	  .help = "the Redis user of consent-web" },
	{ SCOPE_WEB, "redis_password_file", TEXT(PATH_BYTES_MAX),
	  TOP(web.redis_password_file), .check = value_check_path,
	  .help = "file that holds that user's password" },

	{ SCOPE_MAIL, "server", TEXT(200), TOP(mail.server),
	  .fallback = "127.0.0.1:25", .check = value_check_server,
	  .help = "the mail server that takes our mails" },
	{ SCOPE_MAIL, "from", TEXT(TEXT_MAX), TOP(mail.from),
	  .check = value_check_email,
	  .help = "whom our mails are from" },
	{ SCOPE_MAIL, "envelope_sender", .kind = OPTION_OPTIONAL_TEXT,
	  .max = TEXT_MAX, TOP(mail.envelope_sender),
	  .check = value_check_email,
	  .help = "where their bounces go" },

	{ SCOPE_CONTROLLER, "name", TEXT(TEXT_MAX), TOP(controller.name),
	  .help = "of the company or person" },
	{ SCOPE_CONTROLLER, "address", TEXT(TEXT_MAX),
	  TOP(controller.address), .help = "postal address" },
	{ SCOPE_CONTROLLER, "email", TEXT(TEXT_MAX), TOP(controller.email),
	  .check = value_check_email, .help = "for questions of privacy" },
	{ SCOPE_CONTROLLER, "dpo", TEXT(TEXT_MAX), TOP(controller.dpo),
	  .help = "data protection officer" },
	{ SCOPE_CONTROLLER, "recipients", TEXT(TEXT_MAX),
	  TOP(controller.recipients),
	  .help = "who else gets the data" },
	{ SCOPE_CONTROLLER, "transfers", TEXT(TEXT_MAX),
	  TOP(controller.transfers),
	  .help = "countries outside the EEA, and the safeguard" },
	{ SCOPE_CONTROLLER, "authority", TEXT(TEXT_MAX),
	  TOP(controller.authority),
	  .help = "supervisory authority for complaints" },

	{ SCOPE_BULK, "unlisted", .kind = OPTION_CHOICE, .words = failures,
	  TOP(policy.unlisted_bulk), .fallback = "reject",
	  .help = "what bulk mail gets that no list claims" },

	{ SCOPE_LIST, "id", .kind = OPTION_NAME, .min = 1,
	  .max = LIST_NAME_MAX, LIST(id), .required = true,
	  .check = value_check_list_name,
	  .help = "what commands and records call the list" },
	{ SCOPE_LIST, "name", TEXT(SHORT_MAX), LIST(name), .required = true,
	  .help = "what people call the list" },
	{ SCOPE_LIST, "purpose", TEXT(TEXT_MAX), LIST(purpose),
	  .help = "what the data are used for" },
	{ SCOPE_LIST, "list_id", TEXT(LIST_ID_MAX), LIST(list_id),
	  .check = value_check_list_id,
	  .help = "List-Id that is injected where none stands" },
	{ SCOPE_LIST, "match", .kind = OPTION_RULES, .members = SCOPE_RULE,
	  LIST(match), .max = RULES_MAX,
	  .extra = offsetof(struct list, match_count),
	  .help = "which mail belongs to the list" },
	{ SCOPE_LIST, "confirmation", .kind = OPTION_RULES,
	  .members = SCOPE_RULE, LIST(confirmation), .max = RULES_MAX,
	  .extra = offsetof(struct list, confirmation_count),
	  .help = "which mail asks for a confirmation" },
	{ SCOPE_LIST, "max_age", .kind = OPTION_DURATION, LIST(max_age),
	  .help = "how long a grant counts" },
	{ SCOPE_LIST, "notice", TEXT(SHORT_MAX), LIST(notice),
	  .check = value_check_notice,
	  .help = "which notice a grant has to name, and its major version" },
	{ SCOPE_LIST, "notice_since", .kind = OPTION_TIME,
	  LIST(notice_since_ms),
	  .help = "when older grants end, for a new notice" },
	{ SCOPE_LIST, "double_opt_in", .kind = OPTION_FLAG,
	  LIST(double_opt_in), .fallback = "false",
	  .help = "a grant counts once it is confirmed" },
	{ SCOPE_LIST, "basis", .kind = OPTION_BASES, LIST(bases),
	  .help = "why mail of the list may be sent" },
	{ SCOPE_LIST, "special_category", .kind = OPTION_FLAG,
	  LIST(special_category), .fallback = "false",
	  .help = "subscribing tells of health, belief and the like" },
	{ SCOPE_LIST, "sign_up", .kind = OPTION_FLAG, LIST(sign_up),
	  .fallback = "true",
	  .help = "anybody can sign up on a page of consent-web" },
	{ SCOPE_LIST, "children", .kind = OPTION_FLAG, LIST(children),
	  .fallback = "false",
	  .help = "children are addressed: its notice has to be easy" },
	{ SCOPE_LIST, "multiple_recipients", .kind = OPTION_CHOICE,
	  .words = multiples, LIST(multiple_recipients),
	  .fallback = "shared",
	  .help = "what a message to several people gets" },
	{ SCOPE_LIST, "mode", .kind = OPTION_CHOICE, .words = list_modes,
	  LIST(mode), .fallback = "default",
	  .help = "act on decisions about its mail, or only log them" },

	{ SCOPE_LIST, "texts", TEXT(PATH_BYTES_MAX), LIST(texts),
	  .check = value_check_path,
	  .help = "directory of its own words of pages and mails" },
	{ SCOPE_LIST, "replies", .kind = OPTION_GROUP,
	  .members = SCOPE_REPLIES, LIST(replies),
	  .help = "the words of SMTP replies" },

	{ SCOPE_RULE, "sender", TEXT(TEXT_MAX), RULE(sender),
	  .help = "glob over the envelope sender" },
	{ SCOPE_RULE, "sasl_user", TEXT(TEXT_MAX), RULE(sasl_user),
	  .help = "glob over the login name" },
	{ SCOPE_RULE, "client", .kind = OPTION_NETWORK, RULE(client),
	  .extra = offsetof(struct rule, has_client),
	  .help = "network of the client" },
	{ SCOPE_RULE, "daemon", TEXT(TEXT_MAX), RULE(daemon),
	  .help = "glob over the daemon_name of the MTA" },
	{ SCOPE_RULE, "header", TEXT(SHORT_MAX), RULE(header),
	  .check = value_check_field_name,
	  .help = "header field that is there" },
	{ SCOPE_RULE, "value", TEXT(TEXT_MAX), RULE(value),
	  .help = "glob over the value of header" },
	{ SCOPE_RULE, "without", TEXT(SHORT_MAX), RULE(without),
	  .check = value_check_field_name,
	  .help = "header field that is not there" },

	{ SCOPE_WEBHOOK, "name", TEXT(LIST_NAME_MAX), WEBHOOK(name),
	  .required = true, .check = value_check_webhook_name,
	  .help = "what logs and its cursor call it" },
	{ SCOPE_WEBHOOK, "url", TEXT(URL_MAX), WEBHOOK(url),
	  .required = true, .check = value_check_webhook_url,
	  .help = "what the changes are posted to" },
	{ SCOPE_WEBHOOK, "secret_file", TEXT(PATH_BYTES_MAX),
	  WEBHOOK(secret_file), .required = true, .check = value_check_path,
	  .help = "file of the secrets that they are signed with" },
	{ SCOPE_WEBHOOK, "ca_file", TEXT(PATH_BYTES_MAX), WEBHOOK(ca_file),
	  .check = value_check_path,
	  .help = "authorities that its certificate may come from" },
	{ SCOPE_WEBHOOK, "events", .kind = OPTION_EVENTS, WEBHOOK(events),
	  .help = "which kinds of change it is told" },
	{ SCOPE_WEBHOOK, "from_start", .kind = OPTION_FLAG,
	  WEBHOOK(from_start), .fallback = "false",
	  .help = "a new one is told the whole ledger first" },

	{ SCOPE_REPLIES, "no_consent", TEXT(REPLY_BYTES_MAX),
	  REPLY(no_consent), .check = reply_text_check,
	  .help = "to who has not opted in, whatever the reason" },
	{ SCOPE_REPLIES, "store_failure", TEXT(REPLY_BYTES_MAX),
	  REPLY(store_failure), .check = reply_text_check,
	  .help = "while Redis can't be asked" },
	{ SCOPE_REPLIES, "second_recipient", TEXT(REPLY_BYTES_MAX),
	  REPLY(second_recipient), .check = reply_text_check,
	  .help = "to more than one recipient, where a list takes one" },
	{ SCOPE_REPLIES, "unlisted_bulk", TEXT(REPLY_BYTES_MAX),
	  REPLY(unlisted_bulk), .check = reply_text_check,
	  .help = "to bulk mail that no list claims" },
};
const size_t option_count = sizeof(option_table) / sizeof(option_table[0]);

const char *
option_scope_prefix(enum option_scope scope)
{
	switch (scope) {
	case SCOPE_TOP:
		return "";
	case SCOPE_REDIS:
		return "redis.";
	case SCOPE_SENTINEL:
		return "redis.sentinel.";
	case SCOPE_AUDIT:
		return "audit.";
	case SCOPE_RETENTION:
		return "retention.";
	case SCOPE_LIMITS:
		return "limits.";
	case SCOPE_UNSUBSCRIBE:
		return "unsubscribe.";
	case SCOPE_WEB:
		return "web.";
	case SCOPE_MAIL:
		return "mail.";
	case SCOPE_CONTROLLER:
		return "controller.";
	case SCOPE_BULK:
		return "bulk.";
	case SCOPE_LIST:
		return "lists.";
	case SCOPE_RULE:
		return "rule.";
	case SCOPE_WEBHOOK:
		return "webhooks.";
	case SCOPE_REPLIES:
		return "replies.";
	}
	return "";
}

const struct option *
option_next(enum option_scope scope, const struct option *after)
{
	size_t i = after == NULL ? 0 : (size_t)(after - option_table) + 1;

	for (; i < option_count; i++)
		if (option_table[i].scope == scope)
			return &option_table[i];
	return NULL;
}

const struct option *
option_find(enum option_scope scope, const char *name)
{
	const struct option *o = NULL;

	while ((o = option_next(scope, o)) != NULL)
		if (strcmp(o->name, name) == 0)
			return o;
	return NULL;
}

const char *
option_closest(enum option_scope scope, const char *typed)
{
	const char *names[NAMES_MAX];
	const struct option *o = NULL;
	size_t n = 0;

	while (n < NAMES_MAX && (o = option_next(scope, o)) != NULL)
		names[n++] = o->name;
	return closest_name(typed, names, n);
}

static void *
field_of(const struct option *option, void *base)
{
	return (char *)base + option->offset;
}

static const void *
const_field_of(const struct option *option, const void *base)
{
	return (const char *)base + option->offset;
}

/* Fields are bool, int, an enum or uint64_t; the size tells which. */
static void
store_number(const struct option *option, void *base, uint64_t value)
{
	if (option->size == sizeof(bool))
		*(bool *)field_of(option, base) = value != 0;
	else if (option->size == sizeof(int)) {
		int n = (int)value;

		memcpy(field_of(option, base), &n, sizeof(n));
	} else
		memcpy(field_of(option, base), &value, sizeof(value));
}

static uint64_t
fetch_number(const struct option *option, const void *base)
{
	uint64_t value;
	int n;

	if (option->size == sizeof(bool))
		return *(const bool *)const_field_of(option, base);
	if (option->size == sizeof(int)) {
		memcpy(&n, const_field_of(option, base), sizeof(n));
		return (uint64_t)n;
	}
	memcpy(&value, const_field_of(option, base), sizeof(value));
	return value;
}

int
option_set_number(const struct option *option, void *base, int64_t value,
    struct fail *fail)
{
	if (option->kind == OPTION_FLAG)
		store_number(option, base, value != 0);
	else if (value < option->min || value > option->max)
		return fail_set(fail, FAIL_SETUP, "%lld is out of range, it "
		    "must be %lld to %lld", (long long)value,
		    (long long)option->min, (long long)option->max);
	else
		store_number(option, base, (uint64_t)value * option->unit);
	return 0;
}

static int
set_choice(const struct option *option, void *base, const char *text,
    struct fail *fail)
{
	struct buf words = BUF_INIT(150);
	const char *near;
	size_t n;
	int rc;

	for (n = 0; option->words[n] != NULL; n++)
		if (strcmp(option->words[n], text) == 0) {
			store_number(option, base, n);
			return 0;
		}
	near = closest_name(text, option->words, n);
	for (size_t i = 0; i < n; i++)
		buf_addf(&words, "%s\"%s\"", i == 0 ? "" :
		    i + 1 < n ? ", " : " or ", option->words[i]);
	rc = near != NULL ?
	    fail_set(fail, FAIL_SETUP, "\"%.60s\" is not known, did you mean "
	    "\"%s\"? It can be %s", text, near, buf_get(&words)) :
	    fail_set(fail, FAIL_SETUP, "\"%.60s\" is not known, it can be %s",
	    text, buf_get(&words));
	buf_fini(&words);
	return rc;
}

static int
set_octal(const struct option *option, void *base, const char *text,
    struct fail *fail)
{
	size_t len = strspn(text, "01234567");
	int mode = 0;

	if (text[len] != '\0' || len < 3 || len > 4)
		return fail_set(fail, FAIL_SETUP, "\"%.60s\" is no mode, want "
		    "three or four octal digits in quotes, such as \"0660\"",
		    text);
	for (size_t i = 0; i < len; i++)
		mode = mode * 8 + (text[i] - '0');
	if (mode > option->max)
		return fail_set(fail, FAIL_SETUP, "\"%.60s\" is out of range, "
		    "it must be \"0000\" to \"0%llo\"", text,
		    (unsigned long long)option->max);
	store_number(option, base, (uint64_t)mode);
	return 0;
}

static int
set_network(const struct option *option, void *base, const char *text,
    struct fail *fail)
{
	struct fail why;

	if (network_parse(span_str(text), field_of(option, base), &why) == -1)
		return fail_set(fail, FAIL_SETUP, "\"%.60s\" is no network "
		    "(%.100s), want one such as \"192.0.2.0/24\"", text,
		    why.text);
	*(bool *)((char *)base + option->extra) = true;
	return 0;
}

static int
set_duration(const struct option *option, void *base, const char *text,
    struct fail *fail)
{
	if (duration_parse(span_str(text), field_of(option, base)) == -1)
		return fail_set(fail, FAIL_SETUP, "\"%.60s\" is no length of "
		    "time, want 1 to 1000000 seconds, minutes, hours, days, "
		    "weeks, months or years, such as \"24 months\"", text);
	return 0;
}

/* Words with blanks between. */
static int
set_bases(const struct option *option, void *base, const char *text,
    struct fail *fail)
{
	unsigned bases = 0;

	for (;;) {
		enum basis basis;
		struct fail why;
		size_t len;

		text += strspn(text, " ");
		len = strcspn(text, " ");
		if (len == 0)
			break;
		if (evidence_basis_parse(span_of(text, len), &basis,
		    &why) == 0)
			return fail_set(fail, FAIL_SETUP, "%s", why.text);
		bases |= 1u << basis;
		text += len;
	}
	if (bases == 0)
		return fail_set(fail, FAIL_SETUP, "is empty; give it a value, "
		    "or leave it out");
	store_number(option, base, bases);
	return 0;
}

static int
refuse_event(struct span word, struct fail *fail)
{
	const char *names[EVENT_KINDS], *near;
	struct buf text = BUF_INIT(60);

	for (unsigned i = 0; i < EVENT_KINDS; i++)
		names[i] = event_kind_name((enum event_kind)i);
	buf_add_span(&text, span_head(word, 60));
	near = closest_name(buf_get(&text), names, EVENT_KINDS);
	(void)fail_set(fail, FAIL_SETUP, "\"%s\" is no kind of event%s%s%s",
	    buf_get(&text), near != NULL ? ", did you mean \"" : "",
	    near != NULL ? near : "", near != NULL ? "\"?" : "");
	buf_fini(&text);
	return -1;
}

/* Words with blanks between. */
static int
set_events(const struct option *option, void *base, const char *text,
    struct fail *fail)
{
	unsigned events = 0;

	for (;;) {
		enum event_kind kind;
		size_t len;

		text += strspn(text, " ");
		len = strcspn(text, " ");
		if (len == 0)
			break;
		if (event_kind_parse(span_of(text, len), &kind) == 0)
			return refuse_event(span_of(text, len), fail);
		events |= 1u << kind;
		text += len;
	}
	if (events == 0)
		return fail_set(fail, FAIL_SETUP, "is empty; give it a value, "
		    "or leave it out");
	store_number(option, base, events);
	return 0;
}

static int
set_time(const struct option *option, void *base, const char *text,
    struct fail *fail)
{
	int64_t ms;

	if (date_parse(span_str(text), &ms) == -1 || ms == 0)
		return fail_set(fail, FAIL_SETUP, "\"%s\" is no time like "
		    "\"2026-01-05\" or \"2026-01-05T09:00:00Z\"", text);
	store_number(option, base, (uint64_t)ms);
	return 0;
}

static int
check_text(const struct option *option, const char *text, struct fail *fail)
{
	size_t len = strlen(text);

	if (len < (size_t)option->min)
		return fail_set(fail, FAIL_SETUP, "is empty; give it a value, "
		    "or leave it out");
	if (len > (size_t)option->max)
		return fail_set(fail, FAIL_SETUP, "has %zu bytes, it may have "
		    "%lld", len, (long long)option->max);
	if (value_check_line(text, fail) == -1)
		return -1;
	/* Of texts each one has been checked. */
	if (option->check != NULL && len > 0 && option->kind != OPTION_TEXTS)
		return option->check(text, fail);
	return 0;
}

static int
set_string(const struct option *option, void *base, const char *text,
    struct fail *fail)
{
	char **field = field_of(option, base);

	if (check_text(option, text, fail) == -1)
		return -1;
	free(*field);
	*field = option->kind == OPTION_OPTIONAL_TEXT && text[0] == '\0' ?
	    NULL : xstrdup(text);
	return 0;
}

int
option_set_text(const struct option *option, void *base, const char *text,
    struct fail *fail)
{
	switch (option->kind) {
	case OPTION_TEXT:
	case OPTION_OPTIONAL_TEXT:
	case OPTION_TEXTS:
		return set_string(option, base, text, fail);
	case OPTION_NAME:
		if (check_text(option, text, fail) == -1)
			return -1;
		memcpy(field_of(option, base), text, strlen(text) + 1);
		return 0;
	case OPTION_CHOICE:
		return set_choice(option, base, text, fail);
	case OPTION_DURATION:
		return set_duration(option, base, text, fail);
	case OPTION_BASES:
		return set_bases(option, base, text, fail);
	case OPTION_EVENTS:
		return set_events(option, base, text, fail);
	case OPTION_TIME:
		return set_time(option, base, text, fail);
	case OPTION_OCTAL:
		return set_octal(option, base, text, fail);
	case OPTION_NETWORK:
		return set_network(option, base, text, fail);
	case OPTION_NUMBER:
	case OPTION_FLAG:
	case OPTION_GROUP:
	case OPTION_LISTS:
	case OPTION_RULES:
	case OPTION_WEBHOOKS:
		break;
	}
	return fail_set(fail, FAIL_BUG, "%s is not text", option->name);
}

static int
set_fallback(const struct option *option, void *base, struct fail *fail)
{
	uint64_t number;

	if (option->kind == OPTION_OCTAL && option->fallback == NULL) {
		store_number(option, base, (uint64_t)-1);
		return 0;
	}
	if (option->fallback == NULL)
		return 0;
	if (option->kind == OPTION_FLAG)
		return option_set_number(option, base,
		    strcmp(option->fallback, "true") == 0, fail);
	if (option->kind != OPTION_NUMBER)
		return option_set_text(option, base, option->fallback, fail);
	if (span_to_u64(span_str(option->fallback), &number) == -1)
		return fail_set(fail, FAIL_BUG, "default of %s", option->name);
	return option_set_number(option, base, (int64_t)number, fail);
}

void
option_init_scope(enum option_scope scope, void *base)
{
	const struct option *o = NULL;
	struct fail fail;

	/* A default that its own check refuses is ours to find: a test
	 * loads the empty file. */
	while ((o = option_next(scope, o)) != NULL)
		if (set_fallback(o, base, &fail) == -1)
			abort();
}

void
option_fini_scope(enum option_scope scope, void *base)
{
	const struct option *o = NULL;

	while ((o = option_next(scope, o)) != NULL)
		if (o->kind == OPTION_TEXT || o->kind == OPTION_TEXTS ||
		    o->kind == OPTION_OPTIONAL_TEXT) {
			char **field = field_of(o, base);

			free(*field);
			*field = NULL;
		}
}

static void
add_quoted(struct buf *out, const char *text)
{
	buf_add_char(out, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			buf_add_char(out, '\\');
		buf_add_char(out, *text);
	}
	buf_add_char(out, '"');
}

static void
add_texts(struct buf *out, const char *text)
{
	buf_add_str(out, "( \"");
	for (; *text != '\0'; text++)
		if (*text == ' ')
			buf_add_str(out, "\", \"");
		else
			buf_add_char(out, *text);
	buf_add_str(out, "\" )");
}

static bool
add_network(struct buf *out, const struct network *network)
{
	char text[INET6_ADDRSTRLEN];
	bool v4 = network->prefix_bits >= 96 &&
	    memcmp(network->address, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0;

	if (inet_ntop(v4 ? AF_INET : AF_INET6,
	    network->address + (v4 ? 12 : 0), text, sizeof(text)) == NULL)
		return false;
	buf_addf(out, "\"%s/%u\"", text,
	    network->prefix_bits - (v4 ? 96 : 0));
	return true;
}

static bool
add_duration(struct buf *out, const struct duration *duration)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {
		{ "weeks", INT64_C(7) * 86400000 }, { "days", 86400000 },
		{ "hours", 3600000 }, { "minutes", 60000 }, { "seconds", 1000 },
	};

	if (duration->months != 0) {
		buf_addf(out, "\"%d months\"", (int)duration->months);
		return true;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (duration->ms != 0 && duration->ms % units[i].ms == 0) {
			buf_addf(out, "\"%lld %s\"",
			    (long long)(duration->ms / units[i].ms),
			    units[i].name);
			return true;
		}
	return false;
}

static bool
add_bases(struct buf *out, unsigned bases)
{
	const char *separator = "\"";

	for (unsigned i = 0; i < BASES; i++)
		if ((bases & 1u << i) != 0) {
			buf_addf(out, "%s%s", separator,
			    evidence_basis_name((enum basis)i));
			separator = " ";
		}
	buf_add_str(out, bases != 0 ? "\"" : "");
	return bases != 0;
}

static bool
add_events(struct buf *out, unsigned events)
{
	const char *separator = "\"";

	for (unsigned i = 0; i < EVENT_KINDS; i++)
		if ((events & 1u << i) != 0) {
			buf_addf(out, "%s%s", separator,
			    event_kind_name((enum event_kind)i));
			separator = " ";
		}
	buf_add_str(out, events != 0 ? "\"" : "");
	return events != 0;
}

static bool
add_time(struct buf *out, int64_t ms)
{
	if (ms == 0)
		return false;
	buf_add_char(out, '"');
	date_format(out, ms);
	buf_add_char(out, '"');
	return true;
}

bool
option_format(struct buf *out, const struct option *option, const void *base)
{
	const void *field = const_field_of(option, base);
	const char *text;

	switch (option->kind) {
	case OPTION_TEXT:
	case OPTION_OPTIONAL_TEXT:
	case OPTION_TEXTS:
		memcpy(&text, field, sizeof(text));
		if (text == NULL)
			return false;
		if (option->kind == OPTION_TEXTS)
			add_texts(out, text);
		else
			add_quoted(out, text);
		return true;
	case OPTION_NAME:
		add_quoted(out, field);
		return true;
	case OPTION_NUMBER:
		buf_addf(out, "%llu", (unsigned long long)
		    (fetch_number(option, base) / option->unit));
		return true;
	case OPTION_FLAG:
		buf_add_str(out, fetch_number(option, base) ? "true" :
		    "false");
		return true;
	case OPTION_CHOICE:
		add_quoted(out, option->words[fetch_number(option, base)]);
		return true;
	case OPTION_DURATION:
		return add_duration(out, field);
	case OPTION_BASES:
		return add_bases(out, (unsigned)fetch_number(option, base));
	case OPTION_EVENTS:
		return add_events(out, (unsigned)fetch_number(option, base));
	case OPTION_TIME:
		return add_time(out, (int64_t)fetch_number(option, base));
	case OPTION_OCTAL:
		if ((int)fetch_number(option, base) == -1)
			return false;
		buf_addf(out, "\"%04o\"",
		    (unsigned)fetch_number(option, base));
		return true;
	case OPTION_NETWORK:
		return *(const bool *)((const char *)base + option->extra) &&
		    add_network(out, field);
	case OPTION_GROUP:
	case OPTION_LISTS:
	case OPTION_RULES:
	case OPTION_WEBHOOKS:
		break;
	}
	return false;
}
