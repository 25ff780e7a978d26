/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * libconfig stops at the first error of syntax; what comes after is ours, and
 * nothing here stops: each mistake is added to the problems and reading goes
 * on.  Checks over several keys come at the end and only speak about values
 * that were good by themselves.
 */
#include "settings/reader.h"

#include <errno.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/date.h"
#include "base/privilege.h"
#include "base/xalloc.h"
#include "consent/reply_text.h"
#include "settings/option.h"
#include "settings/source.h"
#include "settings/value.h"

struct reader {
	struct settings		*settings;
	struct problems		*problems;
	const struct source	*source;
	const config_setting_t	*root;
};

#define STRING_OF(x)	STRING_OF_VALUE(x)
#define STRING_OF_VALUE(x)	#x

const char *
reader_library_version(void)
{
	/* libconfig can't be asked at run time; its soname changes with its
	 * interface. */
	return STRING_OF(LIBCONFIG_VER_MAJOR) "."
	    STRING_OF(LIBCONFIG_VER_MINOR) "."
	    STRING_OF(LIBCONFIG_VER_REVISION);
}

/* "lists[1].match[2].sender"; elements count from 1, as in decision logs. */
static void
add_path(struct buf *out, const config_setting_t *setting)
{
	const config_setting_t *parent = config_setting_parent(setting);

	if (parent == NULL)
		return;
	add_path(out, parent);
	if (config_setting_name(setting) == NULL)
		buf_addf(out, "[%d]", config_setting_index(setting) + 1);
	else
		buf_addf(out, "%s%s", out->len > 0 ? "." : "",
		    config_setting_name(setting));
}

static void mistake(struct reader *reader, const config_setting_t *setting,
	    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Adds "file:line: path.of.setting: text". */
static void
mistake(struct reader *reader, const config_setting_t *setting,
    const char *fmt, ...)
{
	struct buf path = BUF_INIT(300);
	char text[600];
	const char *file;
	unsigned line;
	va_list ap;

	add_path(&path, setting);
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	source_locate(reader->source, config_setting_source_line(setting),
	    &file, &line);
	problems_add(reader->problems, file, line, "%s%s%s", buf_get(&path),
	    path.len > 0 ? ": " : "", text);
	buf_fini(&path);
}

static const char *
type_name(const config_setting_t *setting)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return "a number";
	case CONFIG_TYPE_FLOAT:
		return "a number with a fraction";
	case CONFIG_TYPE_STRING:
		return "text";
	case CONFIG_TYPE_BOOL:
		return "true or false";
	case CONFIG_TYPE_GROUP:
		return "a group { }";
	case CONFIG_TYPE_ARRAY:
		return "an array [ ]";
	case CONFIG_TYPE_LIST:
		return "a list ( )";
	default:
		return "nothing";
	}
}

/* What to write instead, for a value of the wrong type. */
static const char *
want_of(const struct option *option)
{
	switch (option->kind) {
	case OPTION_NUMBER:
		return "a whole number without quotes";
	case OPTION_FLAG:
		return "true or false, without quotes";
	case OPTION_GROUP:
		return "a group, { key = value; ... }";
	case OPTION_LISTS:
	case OPTION_RULES:
	case OPTION_WEBHOOKS:
		return "a list of groups, ( { ... }, { ... } )";
	case OPTION_TEXTS:
		return "a list of text, ( \"...\", \"...\" )";
	case OPTION_TEXT:
	case OPTION_OPTIONAL_TEXT:
	case OPTION_NAME:
	case OPTION_CHOICE:
	case OPTION_DURATION:
	case OPTION_BASES:
	case OPTION_EVENTS:
	case OPTION_TIME:
	case OPTION_OCTAL:
	case OPTION_NETWORK:
		break;
	}
	return "text in double quotes";
}

static bool
has_type_of(const config_setting_t *setting, const struct option *option)
{
	int type = config_setting_type(setting);

	switch (option->kind) {
	case OPTION_NUMBER:
		return type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64;
	case OPTION_FLAG:
		return type == CONFIG_TYPE_BOOL;
	case OPTION_GROUP:
		return type == CONFIG_TYPE_GROUP;
	case OPTION_LISTS:
	case OPTION_RULES:
	case OPTION_WEBHOOKS:
		return type == CONFIG_TYPE_LIST;
	case OPTION_TEXTS:
		return type == CONFIG_TYPE_LIST || type == CONFIG_TYPE_ARRAY;
	case OPTION_TEXT:
	case OPTION_OPTIONAL_TEXT:
	case OPTION_NAME:
	case OPTION_CHOICE:
	case OPTION_DURATION:
	case OPTION_BASES:
	case OPTION_EVENTS:
	case OPTION_TIME:
	case OPTION_OCTAL:
	case OPTION_NETWORK:
		break;
	}
	return type == CONFIG_TYPE_STRING;
}

/* The group where another scope has this key, or NULL. */
static const char *
home_of(const char *name)
{
	for (size_t i = 0; i < option_count; i++)
		if (strcmp(option_table[i].name, name) == 0)
			return option_scope_prefix(option_table[i].scope);
	return NULL;
}

static void
mistake_unknown(struct reader *reader, enum option_scope scope,
    const config_setting_t *setting)
{
	const char *name = config_setting_name(setting);
	const char *near = option_closest(scope, name);
	const char *home = home_of(name);
	struct buf known = BUF_INIT(400);
	const struct option *o = NULL;

	if (near != NULL)
		mistake(reader, setting, "unknown key, did you mean \"%s\"?",
		    near);
	else if (home != NULL)
		mistake(reader, setting, "unknown key here, did you mean "
		    "\"%s%s\"?", home, name);
	else {
		while ((o = option_next(scope, o)) != NULL)
			buf_addf(&known, "%s%s", known.len > 0 ? ", " : "",
			    o->name);
		mistake(reader, setting, "unknown key, known here are %s",
		    buf_get(&known));
	}
	buf_fini(&known);
}

static void read_members(struct reader *reader, enum option_scope scope,
	    const config_setting_t *group, void *base);

static void
read_value(struct reader *reader, const struct option *option,
    const config_setting_t *setting, void *base)
{
	struct fail fail;
	int rc;

	if (option->kind == OPTION_FLAG)
		rc = option_set_number(option, base,
		    config_setting_get_bool(setting), &fail);
	else if (option->kind == OPTION_NUMBER)
		rc = option_set_number(option, base,
		    config_setting_get_int64(setting), &fail);
	else
		rc = option_set_text(option, base,
		    config_setting_get_string(setting), &fail);
	if (rc == -1)
		mistake(reader, setting, "%s", fail.text);
}

/*
 * Reads ( { }, { } ) into a new array of size bytes each, whose address and
 * length go to their fields of *base.
 */
static void
read_array(struct reader *reader, const struct option *option,
    const config_setting_t *setting, void *base, size_t size)
{
	size_t count = (size_t)config_setting_length(setting);
	char *array;

	if (count > (size_t)option->max) {
		mistake(reader, config_setting_get_elem(setting,
		    (unsigned)option->max), "is one too many, there may be "
		    "%lld", (long long)option->max);
		count = (size_t)option->max;
	}
	if (count == 0)
		return;
	array = xcalloc(count, size);
	memcpy((char *)base + option->offset, &array, sizeof(array));
	memcpy((char *)base + option->extra, &count, sizeof(count));
	for (size_t i = 0; i < count; i++) {
		const config_setting_t *element =
		    config_setting_get_elem(setting, (unsigned)i);

		option_init_scope(option->members, array + i * size);
		if (config_setting_type(element) == CONFIG_TYPE_GROUP)
			read_members(reader, option->members, element,
			    array + i * size);
		else
			mistake(reader, element, "is %s, want a group, "
			    "{ key = value; ... }", type_name(element));
	}
}

/* Reads ( "a", "b" ) as "a b". */
static void
read_texts(struct reader *reader, const struct option *option,
    const config_setting_t *setting, void *base)
{
	int count = config_setting_length(setting);
	struct buf all = BUF_INIT((size_t)option->max + 1);
	struct fail fail;

	for (int i = 0; i < count; i++) {
		const config_setting_t *element =
		    config_setting_get_elem(setting, (unsigned)i);
		const char *text = config_setting_get_string(element);

		if (text == NULL)
			mistake(reader, element, "is %s, want text in double "
			    "quotes", type_name(element));
		else if (option->check(text, &fail) == -1)
			mistake(reader, element, "%s", fail.text);
		else
			buf_addf(&all, "%s%s", all.len > 0 ? " " : "", text);
	}
	if (all.overflow)
		mistake(reader, setting, "is longer than %lld bytes",
		    (long long)option->max);
	else if (count == 0)
		mistake(reader, setting, "is empty, want %s", want_of(option));
	else if (all.len > 0 && option_set_text(option, base, buf_get(&all),
	    &fail) == -1)
		mistake(reader, setting, "%s", fail.text);
	buf_fini(&all);
}

static void
read_option(struct reader *reader, const struct option *option,
    const config_setting_t *setting, void *base)
{
	if (!has_type_of(setting, option))
		mistake(reader, setting, "is %s, want %s", type_name(setting),
		    want_of(option));
	else if (option->kind == OPTION_GROUP)
		read_members(reader, option->members, setting,
		    (char *)base + option->offset);
	else if (option->kind == OPTION_LISTS)
		read_array(reader, option, setting, base,
		    sizeof(struct list));
	else if (option->kind == OPTION_RULES)
		read_array(reader, option, setting, base,
		    sizeof(struct rule));
	else if (option->kind == OPTION_WEBHOOKS)
		read_array(reader, option, setting, base,
		    sizeof(struct webhook));
	else if (option->kind == OPTION_TEXTS)
		read_texts(reader, option, setting, base);
	else
		read_value(reader, option, setting, base);
}

static void
read_members(struct reader *reader, enum option_scope scope,
    const config_setting_t *group, void *base)
{
	const struct option *o = NULL;
	int count = config_setting_length(group);

	for (int i = 0; i < count; i++) {
		const config_setting_t *setting =
		    config_setting_get_elem(group, (unsigned)i);
		const struct option *option =
		    option_find(scope, config_setting_name(setting));

		if (option == NULL)
			mistake_unknown(reader, scope, setting);
		else
			read_option(reader, option, setting, base);
	}
	while ((o = option_next(scope, o)) != NULL)
		if (o->required &&
		    config_setting_get_member(group, o->name) == NULL)
			mistake(reader, group, "has no %s, which must be "
			    "given: %s", o->name, o->help);
}

/* The setting where a mistake over several keys is shown: path, or what is
 * there of it. */
static const config_setting_t *
near_setting(const struct reader *reader, const char *group, const char *key)
{
	const config_setting_t *at =
	    config_setting_get_member(reader->root, group), *member;

	if (at == NULL || key == NULL ||
	    config_setting_type(at) != CONFIG_TYPE_GROUP)
		return at != NULL ? at : reader->root;
	member = config_setting_get_member(at, key);
	return member != NULL ? member : at;
}

/* An element of a list below parent, which was read from it. */
static const config_setting_t *
element_of(const config_setting_t *parent, const char *key, size_t i)
{
	return config_setting_get_elem(config_setting_get_member(parent, key),
	    (unsigned)i);
}

static void
check_rule(struct reader *reader, const config_setting_t *setting,
    struct rule *rule)
{
	struct policy *policy = &reader->settings->policy;

	if (config_setting_type(setting) != CONFIG_TYPE_GROUP)
		return;
	if (rule->header != NULL)
		rule->header_slot = policy->header_slots++;
	if (rule->without != NULL)
		rule->without_slot = policy->header_slots++;
	if (config_setting_length(setting) == 0)
		mistake(reader, setting, "holds nothing and would hold for "
		    "all mail, want at least one of sender, sasl_user, "
		    "client, daemon, header, without");
	else if (config_setting_get_member(setting, "value") != NULL &&
	    config_setting_get_member(setting, "header") == NULL)
		mistake(reader, setting, "value says what a header field "
		    "holds, give the name of the field as header");
	else if (rule->header != NULL && rule->without != NULL &&
	    span_is_nocase(span_str(rule->header), span_str(rule->without)))
		mistake(reader, setting, "can never hold: header and without "
		    "are the same field");
}

static void
check_rules(struct reader *reader, const config_setting_t *parent,
    const char *key, struct rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check_rule(reader, element_of(parent, key, i), &rules[i]);
}

/* Two lists may share neither id nor token: an unsubscribe must hit one. */
static void
check_list_ids(struct reader *reader, const config_setting_t *setting,
    size_t i)
{
	const struct list *lists = reader->settings->policy.lists;
	unsigned char mine[TOKEN_LIST_BYTES], other[TOKEN_LIST_BYTES];

	if (lists[i].id[0] == '\0')
		return;
	token_list(span_str(lists[i].id), mine);
	for (size_t j = 0; j < i; j++) {
		token_list(span_str(lists[j].id), other);
		if (strcmp(lists[i].id, lists[j].id) == 0) {
			mistake(reader, setting, "the id \"%s\" is that of "
			    "lists[%zu] already, each list needs its own",
			    lists[i].id, j + 1);
			return;
		}
		if (memcmp(mine, other, sizeof(mine)) == 0)
			mistake(reader, setting, "the id \"%s\" makes the same "
			    "unsubscribe token as \"%s\", choose another",
			    lists[i].id, lists[j].id);
	}
}

/* A key that is there and was refused has been told of already. */
static bool
is_missing(const struct reader *reader, const char *group, const char *key)
{
	const config_setting_t *at =
	    config_setting_get_member(reader->root, group);

	return at == NULL || config_setting_get_member(at, key) == NULL;
}

/* Are the values there that the texts name, and is there room for them? */
static void
check_replies(struct reader *reader, const config_setting_t *parent,
    const struct replies *replies)
{
	const struct settings *s = reader->settings;
	const config_setting_t *group =
	    config_setting_get_member(parent, "replies");
	struct reply_values values = { .contact = s->controller.email,
	    .pages = s->web.url };
	const struct option *o = NULL;
	struct fail fail;

	if (values.contact == NULL && !is_missing(reader, "controller",
	    "email"))
		values.contact = "";
	if (values.pages == NULL && !is_missing(reader, "web", "url"))
		values.pages = "";
	while ((o = option_next(SCOPE_REPLIES, o)) != NULL) {
		const char *text;

		memcpy(&text, (const char *)replies + o->offset,
		    sizeof(text));
		values.list = o->offset == offsetof(struct replies,
		    unlisted_bulk) ? NULL : "";
		if (text != NULL && reply_text_check_values(text, &values,
		    &fail) == -1)
			mistake(reader, config_setting_get_member(group,
			    o->name), "%s", fail.text);
	}
	if (parent != reader->root && replies->unlisted_bulk != NULL)
		mistake(reader, config_setting_get_member(group,
		    "unlisted_bulk"), "is for mail that belongs to no list, "
		    "want it in the replies outside of lists");
}

static void
check_list(struct reader *reader, const config_setting_t *setting, size_t i)
{
	struct list *list = &reader->settings->policy.lists[i];

	if (config_setting_type(setting) != CONFIG_TYPE_GROUP)
		return;
	check_rules(reader, setting, "match", list->match, list->match_count);
	check_rules(reader, setting, "confirmation", list->confirmation,
	    list->confirmation_count);
	check_list_ids(reader, setting, i);
	check_replies(reader, setting, &list->replies);
	if (list->special_category &&
	    (policy_bases(list) & ~(1u << BASIS_EXPLICIT_CONSENT)) != 0)
		mistake(reader, setting, "data of a special category (GDPR "
		    "Art. 9) need basis = \"explicit-consent\" and no other");
	list->bases = policy_bases(list);
	if (list->match_count == 0 && (config_setting_get_member(setting,
	    "match") == NULL || config_setting_type(
	    config_setting_get_member(setting, "match")) == CONFIG_TYPE_LIST))
		mistake(reader, setting, "no rule says which mail belongs to "
		    "it, give match = ( { sender = \"*@news.example.com\"; } ) "
		    "or another one");
}

static void
check_lists(struct reader *reader)
{
	struct policy *policy = &reader->settings->policy;

	for (size_t i = 0; i < policy->list_count; i++)
		check_list(reader, element_of(reader->root, "lists", i), i);
	check_rules(reader, reader->root, "exempt", policy->exempt,
	    policy->exempt_count);
	check_replies(reader, reader->root, &policy->replies);
	if (policy->list_count > 0 &&
	    reader->settings->unsubscribe.url == NULL &&
	    config_setting_get_member(near_setting(reader, "unsubscribe",
	    NULL), "url") == NULL)
		mistake(reader, config_setting_get_member(reader->root,
		    "unsubscribe") != NULL ?
		    near_setting(reader, "unsubscribe", NULL) :
		    near_setting(reader, "lists", NULL), "there are lists, "
		    "and no unsubscribe.url for their mail, want one such as "
		    "\"https://news.example.com/u/\"");
}

static void
check_socket(struct reader *reader)
{
	const struct settings *s = reader->settings;
	bool inet = strncmp(s->socket, "inet", 4) == 0;

	if (inet && s->socket_group != NULL)
		mistake(reader, near_setting(reader, "socket_group", NULL),
		    "only a UNIX socket has a group, and socket is \"%s\"",
		    s->socket);
	if (inet && s->socket_mode != -1)
		mistake(reader, near_setting(reader, "socket_mode", NULL),
		    "only a UNIX socket has a mode, and socket is \"%s\"",
		    s->socket);
}

/* Who does not start as root can't become anybody else either. */
static void
check_accounts(struct reader *reader)
{
	const struct settings *s = reader->settings;
	struct fail fail;
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0)
		return;
	if (s->user[0] != '\0' &&
	    privilege_user(s->user, &uid, &gid, &fail) == -1)
		mistake(reader, near_setting(reader, "user", NULL),
		    "%s, make it (useradd --system %s), or set user", fail.text,
		    s->user);
	if (s->socket_group != NULL &&
	    privilege_group(s->socket_group, &gid, &fail) == -1)
		mistake(reader, near_setting(reader, "socket_group", NULL),
		    "%s, use that of the MTA, such as \"postfix\"", fail.text);
}

/* A start would fail, which is late to learn of a slip in a path. */
static void
check_redis_file(struct reader *reader, const char *key, const char *path)
{
	struct fail fail;

	if (path == NULL || access(path, R_OK) == 0)
		return;
	(void)fail_errno(&fail, FAIL_SETUP, errno, "%.150s", path);
	mistake(reader, near_setting(reader, "redis", key), "%s", fail.text);
}

/* Nothing of TLS is left out without a word. */
static void
check_redis_tls(struct reader *reader)
{
	const struct settings *s = reader->settings;
	const char *only = s->redis.ca_file != NULL ? "ca_file" :
	    s->redis.certificate != NULL ? "certificate" :
	    s->redis.key != NULL ? "key" : NULL;
	struct fail fail;

	if (only != NULL && strncmp(s->redis.url, "rediss://", 9) != 0 &&
	    (s->redis.read_from == NULL ||
	    strncmp(s->redis.read_from, "rediss://", 9) != 0))
		mistake(reader, near_setting(reader, "redis", only), "is for "
		    "TLS, and redis.url does not begin with rediss://");
	else {
		check_redis_file(reader, "ca_file", s->redis.ca_file);
		check_redis_file(reader, "certificate", s->redis.certificate);
	}
	if ((s->redis.certificate == NULL) != (s->redis.key == NULL))
		mistake(reader, near_setting(reader, "redis",
		    s->redis.key == NULL ? "certificate" : "key"),
		    "certificate and key go together, give redis.%s, too",
		    s->redis.key == NULL ? "key" : "certificate");
	if (s->redis.key != NULL &&
	    value_check_secret(s->redis.key, &fail) == -1)
		mistake(reader, near_setting(reader, "redis", "key"), "%s",
		    fail.text);
}

/* Who says where Redis is, and that only one does. */
static void
check_redis_topology(struct reader *reader)
{
	const struct settings *s = reader->settings;
	bool cluster = s->redis.cluster != NULL;
	const char *host = strstr(s->redis.url, "://");
	const char *slash = host == NULL ? NULL : strchr(host + 3, '/');

	if ((cluster || s->redis.sentinel.master != NULL) &&
	    strncmp(s->redis.url, "unix:", 5) == 0)
		mistake(reader, near_setting(reader, "redis", "url"), "is a "
		    "UNIX socket, and redis.%s says where Redis is: want "
		    "redis:// or rediss://", cluster ? "cluster" : "sentinel");
	else if (cluster && slash != NULL && strcmp(slash, "/") != 0 &&
	    strcmp(slash, "/0") != 0)
		mistake(reader, near_setting(reader, "redis", "url"), "names "
		    "a database, and a Redis Cluster has none but 0");
	if (cluster && s->redis.sentinel.master != NULL)
		mistake(reader, near_setting(reader, "redis", "sentinel"),
		    "can't stand beside redis.cluster, which fails over by "
		    "itself: leave one of them out");
	if (cluster && s->redis.read_from != NULL)
		mistake(reader, near_setting(reader, "redis", "read_from"),
		    "can't stand beside redis.cluster, whose primaries answer "
		    "all look-ups: leave one of them out");
}

/* A key of redis.sentinel, or what is near it. */
static const config_setting_t *
near_sentinel(const struct reader *reader, const char *key)
{
	const config_setting_t *at = near_setting(reader, "redis", "sentinel");
	const config_setting_t *member =
	    config_setting_type(at) == CONFIG_TYPE_GROUP ?
	    config_setting_get_member(at, key) : NULL;

	return member != NULL ? member : at;
}

static void
check_sentinel(struct reader *reader)
{
	struct settings *s = reader->settings;
	struct fail fail;

	if (s->redis.sentinel.password_file != NULL &&
	    value_read_password(s->redis.sentinel.password_file,
	    &s->redis.sentinel.password, &fail) == -1)
		mistake(reader, near_sentinel(reader, "password_file"), "%s",
		    fail.text);
	if (s->redis.sentinel.username != NULL &&
	    s->redis.sentinel.password_file == NULL)
		mistake(reader, near_sentinel(reader, "username"),
		    "Sentinels take a user name only with a password, give "
		    "redis.sentinel.password_file, too");
}

static void
check_redis(struct reader *reader)
{
	struct settings *s = reader->settings;
	struct fail fail;

	if (s->redis.password_file != NULL &&
	    value_read_password(s->redis.password_file, &s->redis.password,
	    &fail) == -1)
		mistake(reader, near_setting(reader, "redis",
		    "password_file"), "%s", fail.text);
	if (s->redis.username != NULL && s->redis.password_file == NULL &&
	    config_setting_get_member(near_setting(reader, "redis", NULL),
	    "password_file") == NULL)
		mistake(reader, near_setting(reader, "redis", "username"),
		    "Redis takes a user name only with a password, give "
		    "redis.password_file, too");
	if (s->redis.writer_username != NULL &&
	    s->redis.writer_password_file == NULL)
		mistake(reader, near_setting(reader, "redis",
		    "writer_username"), "Redis takes a user name only with a "
		    "password, give redis.writer_password_file, too");
	check_redis_tls(reader);
	if (s->redis.read_from == NULL && config_setting_get_member(
	    near_setting(reader, "redis", NULL), "read_within_ms") != NULL &&
	    config_setting_get_member(near_setting(reader, "redis", NULL),
	    "read_from") == NULL)
		mistake(reader, near_setting(reader, "redis",
		    "read_within_ms"), "is for a replica, give "
		    "redis.read_from, too");
	check_redis_topology(reader);
	check_sentinel(reader);
	if (s->web.redis_username != NULL &&
	    s->web.redis_password_file == NULL)
		mistake(reader, near_setting(reader, "web",
		    "redis_username"), "Redis takes a user name only with a "
		    "password, give web.redis_password_file, too");
}

/* Who is erased meanwhile can't confirm any more. */
static void
check_pending(struct reader *reader)
{
	const struct settings *s = reader->settings;

	if (s->web.url != NULL && date_add(0, s->retention.pending) <
	    date_add(0, s->web.confirm_within))
		mistake(reader, near_setting(reader, "retention", "pending"),
		    "is shorter than web.confirm_within, and who is erased "
		    "can't confirm any more");
}

/* Pages that send mail need somebody to be from. */
static void
check_pages(struct reader *reader)
{
	const struct settings *s = reader->settings;

	if (s->web.url == NULL)
		return;
	if (s->mail.from == NULL && config_setting_get_member(near_setting(
	    reader, "mail", NULL), "from") == NULL)
		mistake(reader, near_setting(reader, "web", "url"), "its pages "
		    "send mail, give mail.from, an address such as "
		    "\"news@news.example.com\"");
	/* What people have to be told (GDPR Art. 13). */
	if (s->controller.name == NULL || s->controller.email == NULL)
		mistake(reader, near_setting(reader, "web", "url"), "its pages "
		    "say who is responsible (GDPR Art. 13), give "
		    "controller.name and controller.email");
	if (s->unsubscribe.url != NULL &&
	    strcmp(s->web.url, s->unsubscribe.url) == 0)
		mistake(reader, near_setting(reader, "web", "url"), "is the "
		    "same as unsubscribe.url, give the pages a path of their "
		    "own");
}

/* Each has a cursor of its own, by its name. */
static void
check_webhooks(struct reader *reader)
{
	const struct settings *s = reader->settings;

	for (size_t i = 0; i < s->webhook_count; i++)
		for (size_t j = 0; j < i; j++)
			if (s->webhooks[i].name != NULL &&
			    s->webhooks[j].name != NULL &&
			    strcmp(s->webhooks[i].name,
			    s->webhooks[j].name) == 0) {
				mistake(reader, element_of(reader->root,
				    "webhooks", i), "the name \"%s\" is that "
				    "of webhooks[%zu] already, each needs its "
				    "own", s->webhooks[i].name, j + 1);
				break;
			}
}

static void
complete(struct settings *settings)
{
	struct buf path = BUF_INIT(2000);

	if (settings->audit.ledger != NULL)
		return;
	buf_addf(&path, "%s/ledger", settings->audit.directory);
	settings->audit.ledger = buf_take(&path);
}

static void
add_syntax_error(struct reader *reader, const config_t *config)
{
	const char *text = config_error_text(config);
	int where = config_error_line(config);
	const char *hint = "", *file;
	unsigned line;

	if (text == NULL)
		text = "syntax error";
	if (strcmp(text, "syntax error") == 0)
		hint = ", want key = value; is a semicolon, quote or bracket "
		    "missing here or on the line before?";
	else if (strncmp(text, "duplicate", 9) == 0)
		hint = ", each key may stand once";
	source_locate(reader->source, where > 0 ? (unsigned)where : 0, &file,
	    &line);
	problems_add(reader->problems, file, line, "%s%s", text, hint);
}

static void
read_root(struct reader *reader, const config_t *config)
{
	reader->root = config_root_setting(config);
	read_members(reader, SCOPE_TOP, reader->root, reader->settings);
	check_lists(reader);
	check_socket(reader);
	check_accounts(reader);
	check_redis(reader);
	check_pages(reader);
	check_pending(reader);
	check_webhooks(reader);
	complete(reader->settings);
}

void
reader_read(struct span text, struct settings *settings,
    struct problems *problems)
{
	struct source source;
	struct reader reader = { settings, problems, &source, NULL };
	config_t config;

	source_init(&source, text, problems);
	/* Robustness: libconfig sees only what it survives. */
	if (problems->count == 0) {
		config_init(&config);
		if (config_read_string(&config, buf_get(&source.text)) ==
		    CONFIG_TRUE)
			read_root(&reader, &config);
		else
			add_syntax_error(&reader, &config);
		config_destroy(&config);
	}
	source_fini(&source);
}
