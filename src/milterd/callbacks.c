/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Interop: Debian's libmilter runs the callbacks of one session on different
 * threads of a pool, one after the other; others give each connection a
 * thread.  Nothing here depends on which.
 *
 * No reply is asked for where there is nothing to say (SMFIP_NR_*), and the
 * body never travels: that saves most of the protocol's round trips.  RCPT
 * must be answered: with SMFIP_NR_RCPT both MTAs drop a refusal silently.
 */
#include "milterd/callbacks.h"

#include <sys/socket.h>

#include <libmilter/mfapi.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "milterd/message.h"

#define WANTED_ACTIONS	(SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_DELRCPT)
#define WANTED_STEPS	(SMFIP_NOHELO | SMFIP_NODATA | SMFIP_NOUNKNOWN | \
	SMFIP_NOBODY | SMFIP_NOEOH | SMFIP_NR_CONN | SMFIP_NR_MAIL | \
	SMFIP_NR_HDR)

/* libmilter hands its callbacks no pointer of ours at registration. */
static struct runtime *application;
static atomic_int in_flight;
static atomic_size_t connections;
static atomic_uint told;		/* TOLD_ bits: the log knows that ... */

#define TOLD_FULL	1u		/* further ones are turned away */
#define TOLD_CLOSED	2u		/* further ones are closed */

/* connect .. close */
struct session {
	unsigned long	 steps;		/* negotiated SMFIP_ bits */
	bool		 turned_away;	/* one more than there is room for */
	bool		 has_client;
	unsigned char	 client[16];
	struct message	*message;	/* MAIL .. end of message; or NULL */
};

static struct capacity
capacity(void)
{
	struct snapshot *snapshot = runtime_get(application);
	struct capacity found = snapshot->capacity;

	snapshot_put(&snapshot);
	return found;
}

/* Counts a connection in; is there room for it? */
static bool
enter(void)
{
	size_t max = capacity().served;

	tally_connection(runtime_tally(application));
	if (atomic_fetch_add(&connections, 1) < max)
		return true;
	tally_limit(runtime_tally(application), TALLY_CONNECTIONS);
	if ((atomic_fetch_or(&told, TOLD_FULL) & TOLD_FULL) == 0)
		log_warn("more than %zu connections of MTAs at once: mail "
		    "that comes by further ones is deferred (raise "
		    "limits.connections, or LimitNOFILE of the unit)", max);
	return false;
}

static void
leave(void)
{
	size_t left = atomic_fetch_sub(&connections, 1) - 1;
	size_t max;

	if (atomic_load(&told) == 0)
		return;
	/* Well below, or the log would be told again and again. */
	max = capacity().served;
	if (left < max - max / 10 && atomic_exchange(&told, 0) != 0)
		log_info("there is room for connections of MTAs again");
}

/*
 * Is there no room even for words?  Sessions that are turned away may stay for
 * long, and each has a descriptor of those that we need to serve the others.
 */
static bool
is_beyond_words(void)
{
	size_t max = capacity().open;

	if (atomic_load(&connections) < max)
		return false;
	tally_connection(runtime_tally(application));
	tally_limit(runtime_tally(application), TALLY_CONNECTIONS);
	if ((atomic_fetch_or(&told, TOLD_CLOSED) & TOLD_CLOSED) == 0)
		log_warn("%zu connections of MTAs leave no file descriptors "
		    "for more: further ones are closed at once (raise "
		    "LimitNOFILE of the unit)", max);
	return true;
}

static struct session *
session_get(SMFICTX *ctx)
{
	struct session *session = smfi_getpriv(ctx);

	if (session == NULL) {
		session = xcalloc(1, sizeof(*session));
		session->turned_away = !enter();
		(void)smfi_setpriv(ctx, session);
	}
	return session;
}

/* What a callback answers when it has nothing to say. */
static sfsistat
go_on(const struct session *session, unsigned long no_reply_step)
{
	return (session->steps & no_reply_step) != 0 ? SMFIS_NOREPLY :
	    SMFIS_CONTINUE;
}

static sfsistat
on_negotiate(SMFICTX *ctx, unsigned long offered_actions,
    unsigned long offered_steps, unsigned long unused2,
    unsigned long unused3, unsigned long *actions, unsigned long *steps,
    unsigned long *out2, unsigned long *out3)
{
	/* Only what we read, whatever the MTA is configured to send. */
	static char connect_macros[] = "{daemon_name}";
	static char mail_macros[] = "i {auth_authen}";
	static char rcpt_macros[] = "i {rcpt_addr}";
	static char end_macros[] = "i";

	(void)unused2;
	(void)unused3;
	if ((offered_actions & WANTED_ACTIONS) != WANTED_ACTIONS) {
		log_error("the MTA doesn't let a milter add and change header "
		    "fields and delete recipients: consent-milter needs that");
		return SMFIS_REJECT;
	}
	if (is_beyond_words())
		return SMFIS_REJECT;
	*actions = WANTED_ACTIONS;
	*steps = WANTED_STEPS & offered_steps;
	*out2 = 0;
	*out3 = 0;
	if ((offered_actions & SMFIF_SETSYMLIST) != 0) {
		*actions |= SMFIF_SETSYMLIST;
		(void)smfi_setsymlist(ctx, SMFIM_CONNECT, connect_macros);
		(void)smfi_setsymlist(ctx, SMFIM_ENVFROM, mail_macros);
		(void)smfi_setsymlist(ctx, SMFIM_ENVRCPT, rcpt_macros);
		(void)smfi_setsymlist(ctx, SMFIM_EOM, end_macros);
	}
	session_get(ctx)->steps = *steps;
	return SMFIS_CONTINUE;
}

static sfsistat
on_connect(SMFICTX *ctx, char *host, _SOCK_ADDR *address)
{
	struct session *session = session_get(ctx);

	(void)host;
	/* Interop: Sendmail -bs has no address at all. */
	session->has_client = false;
	memset(session->client, 0, sizeof(session->client));
	if (address != NULL && address->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, address, sizeof(in));
		session->client[10] = session->client[11] = 0xff;
		memcpy(session->client + 12, &in.sin_addr, 4);
		session->has_client = true;
	} else if (address != NULL && address->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, address, sizeof(in6));
		memcpy(session->client, &in6.sin6_addr, 16);
		session->has_client = true;
	}
	return go_on(session, SMFIP_NR_CONN);
}

static char *
macro(SMFICTX *ctx, const char *name)
{
	char text[32];

	/* libmilter wants a char *, and does not write to it. */
	(void)snprintf(text, sizeof(text), "%s", name);
	return smfi_getsymval(ctx, text);
}

static sfsistat
on_mail(SMFICTX *ctx, char **argv)
{
	struct session *session = session_get(ctx);
	struct message_origin origin = {
		.sender = argv[0],
		.sasl_user = macro(ctx, "{auth_authen}"),
		.daemon = macro(ctx, "{daemon_name}"),
		.has_client = session->has_client,
	};

	memcpy(origin.client, session->client, sizeof(origin.client));
	/* No abort reaches us after an end of message. */
	message_free(&session->message);
	if (!session->turned_away)
		session->message = message_new(application, &origin);
	return go_on(session, SMFIP_NR_MAIL);
}

/* Gives the reply its words; a '%' is libmilter's escape. */
static sfsistat
answer(SMFICTX *ctx, const struct reply *reply)
{
	char text[2 * sizeof(reply->text)], code[4], status[8];
	char *to = text;

	if (reply->kind == REPLY_NONE)
		return SMFIS_CONTINUE;
	for (const char *p = reply->text; *p != '\0'; p++) {
		if (*p == '%')
			*to++ = '%';
		*to++ = *p;
	}
	*to = '\0';
	(void)snprintf(code, sizeof(code), "%s", reply->code);
	(void)snprintf(status, sizeof(status), "%s", reply->status);
	/* Without its words the refusal still stands, in the MTA's own. */
	(void)smfi_setreply(ctx, code, status, text);
	return code[0] == '5' ? SMFIS_REJECT : SMFIS_TEMPFAIL;
}

/* The answer where there is no message: none was begun, or there was no room
 * for it. */
static sfsistat
answer_without_message(SMFICTX *ctx, const struct session *session)
{
	struct snapshot *snapshot = runtime_get(application);
	bool observe = policy_observes_all(&snapshot->settings->policy);
	struct reply reply;

	reply_format(&reply, REPLY_TOO_MANY_CONNECTIONS,
	    &(struct reply_facts){ .settings = snapshot->settings,
	    .recipient = "", .ref = "" });
	snapshot_put(&snapshot);
	if (!session->turned_away)
		return SMFIS_TEMPFAIL;
	return observe ? SMFIS_CONTINUE : answer(ctx, &reply);
}

static void
note_reply(enum tally_stage stage, int64_t since_us)
{
	tally_reply(runtime_tally(application), stage,
	    clock_monotonic_us() - since_us);
}

static sfsistat
on_rcpt(SMFICTX *ctx, char **argv)
{
	struct session *session = session_get(ctx);
	int64_t since_us = clock_monotonic_us();
	struct reply reply;

	if (session->message == NULL)
		return answer_without_message(ctx, session);
	message_set_queue_id(session->message, macro(ctx, "i"));
	message_add_recipient(session->message, argv[0],
	    macro(ctx, "{rcpt_addr}"), &reply);
	note_reply(TALLY_RCPT, since_us);
	return answer(ctx, &reply);
}

static sfsistat
on_header(SMFICTX *ctx, char *name, char *value)
{
	struct session *session = session_get(ctx);

	if (session->message != NULL)
		message_add_header(session->message, name, value);
	return go_on(session, SMFIP_NR_HDR);
}

static int
remove_recipients(SMFICTX *ctx, const struct outcome *out)
{
	for (size_t i = 0; i < out->remove_count; i++) {
		/* Exactly as received: both MTAs compare bytes, and report
		 * success for an address that they do not have. */
		char *address = xstrdup(out->remove[i]);
		int rc = smfi_delrcpt(ctx, address);

		free(address);
		if (rc != MI_SUCCESS)
			return -1;
	}
	return 0;
}

static int
edit_field(SMFICTX *ctx, const struct edits *edits, enum edits_field field)
{
	char name[64], *value;
	int rc = MI_SUCCESS;

	(void)snprintf(name, sizeof(name), "%s", edits_field_name(field));
	for (unsigned i = edits->field[field].remove;
	    i > 0 && rc == MI_SUCCESS; i--)
		if (i != edits->field[field].keep)
			rc = smfi_chgheader(ctx, name, (int)i, NULL);
	if (rc == MI_SUCCESS && edits->field[field].add) {
		value = xstrdup(buf_get(&edits->field[field].value));
		/* 1: right below the MTA's own Received field. */
		rc = smfi_insheader(ctx, 1, name, value);
		free(value);
	}
	return rc == MI_SUCCESS ? 0 : -1;
}

/* Last field first: of two that are inserted at one place, the later call ends
 * up above. */
static int
edit_header(SMFICTX *ctx, const struct edits *edits)
{
	for (unsigned i = EDITS_FIELDS; i > 0; i--)
		if (edit_field(ctx, edits, i - 1) == -1)
			return -1;
	return 0;
}

static sfsistat
on_end(SMFICTX *ctx)
{
	struct session *session = session_get(ctx);
	int64_t since_us = clock_monotonic_us();
	struct outcome out;
	sfsistat result;

	if (session->message == NULL)
		return answer_without_message(ctx, session);
	message_set_queue_id(session->message, macro(ctx, "i"));
	message_end(session->message, &out);
	result = answer(ctx, &out.reply);
	if (result == SMFIS_CONTINUE && (remove_recipients(ctx, &out) == -1 ||
	    (out.edits != NULL && edit_header(ctx, out.edits) == -1))) {
		log_error("the MTA refused a change to the message: deferred");
		result = SMFIS_TEMPFAIL;
	}
	message_free(&session->message);
	note_reply(TALLY_EOM, since_us);
	return result;
}

static sfsistat
on_abort(SMFICTX *ctx)
{
	struct session *session = smfi_getpriv(ctx);

	if (session != NULL)
		message_free(&session->message);
	return SMFIS_CONTINUE;
}

static sfsistat
on_close(SMFICTX *ctx)
{
	struct session *session = smfi_getpriv(ctx);

	/* An MTA that leaves before it negotiates has no session. */
	if (session == NULL)
		return SMFIS_CONTINUE;
	message_free(&session->message);
	free(session);
	leave();
	(void)smfi_setpriv(ctx, NULL);
	return SMFIS_CONTINUE;
}

/* Counts what runs, so that a stop can wait for it. */
#define COUNTED(name, params, args)					\
static sfsistat								\
name##_counted params							\
{									\
	sfsistat result;						\
									\
	atomic_fetch_add(&in_flight, 1);				\
	result = name args;						\
	atomic_fetch_sub(&in_flight, 1);				\
	return result;							\
}

COUNTED(on_mail, (SMFICTX *ctx, char **argv), (ctx, argv))
COUNTED(on_rcpt, (SMFICTX *ctx, char **argv), (ctx, argv))
COUNTED(on_end, (SMFICTX *ctx), (ctx))
COUNTED(on_abort, (SMFICTX *ctx), (ctx))
COUNTED(on_close, (SMFICTX *ctx), (ctx))

int
callbacks_register(struct fail *fail)
{
	static char name[] = "consent-milter";
	struct smfiDesc filter = {
		.xxfi_name = name,
		.xxfi_version = SMFI_VERSION,
		.xxfi_flags = WANTED_ACTIONS,
		.xxfi_connect = on_connect,
		.xxfi_envfrom = on_mail_counted,
		.xxfi_envrcpt = on_rcpt_counted,
		.xxfi_header = on_header,
		.xxfi_eom = on_end_counted,
		.xxfi_abort = on_abort_counted,
		.xxfi_close = on_close_counted,
		.xxfi_negotiate = on_negotiate,
	};

	if (smfi_register(filter) == MI_FAILURE)
		return fail_set(fail, FAIL_SETUP, "libmilter refuses to "
		    "register: another version than we were built with?");
	return 0;
}

void
callbacks_start(struct runtime *runtime)
{
	application = runtime;
}

void
callbacks_drain(int timeout_ms)
{
	int64_t until = clock_monotonic_ms() + timeout_ms;
	struct timespec pause = { .tv_nsec = 2000000 };

	/* The answer is sent by libmilter after the callback has returned. */
	do
		(void)nanosleep(&pause, NULL);
	while (atomic_load(&in_flight) != 0 && clock_monotonic_ms() < until);
}

size_t
callbacks_connections(void)
{
	return atomic_load(&connections);
}

void
callbacks_version(char *buf, size_t size)
{
	unsigned major, minor, patch;

	(void)smfi_version(&major, &minor, &patch);
	(void)snprintf(buf, size, "%u.%u.%u", major, minor, patch);
}
