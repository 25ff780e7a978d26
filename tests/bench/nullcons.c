/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * What consent-milter is measured against: a libmilter program with the
 * callbacks that a consent filter needs, and no look-up.  A recipient is
 * refused when the number in its address ends in 0, as in the benchmark's data.
 *
 *	nullcons SOCKET		MAIL and headers without reply, RCPT answered,
 *				two header fields with an HMAC at the end
 *	nullcons -n SOCKET	a filter that does nothing: all is negotiated
 *				away but the end of the message
 *	nullcons -N SOCKET REDIS	a naive filter: no negotiation, and each
 *				session its own blocking connection to Redis
 */
#include <sys/stat.h>

#include <hiredis/hiredis.h>
#include <libmilter/mfapi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/crypto.h"

#define CONS_STEPS	(SMFIP_NOHELO | SMFIP_NODATA | SMFIP_NOUNKNOWN | \
	SMFIP_NOBODY | SMFIP_NOEOH | SMFIP_NOCONNECT | SMFIP_NR_MAIL | \
	SMFIP_NR_HDR)
#define NULL_STEPS	(SMFIP_NOCONNECT | SMFIP_NOHELO | SMFIP_NOMAIL | \
	SMFIP_NORCPT | SMFIP_NODATA | SMFIP_NOHDRS | SMFIP_NOEOH | \
	SMFIP_NOBODY | SMFIP_NOUNKNOWN)

static unsigned long steps = CONS_STEPS;
static struct crypto_hmac *key;
static const char *redis_path;

static sfsistat
on_negotiate(SMFICTX *ctx, unsigned long f0, unsigned long f1,
    unsigned long f2, unsigned long f3, unsigned long *p0, unsigned long *p1,
    unsigned long *p2, unsigned long *p3)
{
	(void)ctx;
	(void)f0;
	(void)f2;
	(void)f3;
	*p0 = SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_DELRCPT;
	*p1 = steps & f1;
	*p2 = *p3 = 0;
	return SMFIS_CONTINUE;
}

static sfsistat
quiet(unsigned long step)
{
	return (steps & step) != 0 ? SMFIS_NOREPLY : SMFIS_CONTINUE;
}

static sfsistat
on_mail(SMFICTX *ctx, char **argv)
{
	(void)ctx;
	(void)argv;
	return quiet(SMFIP_NR_MAIL);
}

static sfsistat
on_header(SMFICTX *ctx, char *name, char *value)
{
	(void)ctx;
	(void)name;
	(void)value;
	return quiet(SMFIP_NR_HDR);
}

static int
is_refused(SMFICTX *ctx, const char *address)
{
	const char *at = strchr(address, '@');
	redisContext *redis = smfi_getpriv(ctx);
	redisReply *reply;
	int refused;

	if (redis_path == NULL)
		return at != NULL && at > address && at[-1] == '0';
	if (redis == NULL) {
		redis = redisConnectUnix(redis_path);
		(void)smfi_setpriv(ctx, redis);
	}
	reply = redisCommand(redis, "HGET naive:%s list", address);
	refused = reply == NULL || reply->type != REDIS_REPLY_STRING;
	if (reply != NULL)
		freeReplyObject(reply);
	return refused;
}

static sfsistat
on_rcpt(SMFICTX *ctx, char **argv)
{
	static char code[] = "550", status[] = "5.7.1", text[] = "refused";

	if (!is_refused(ctx, argv[0]))
		return SMFIS_CONTINUE;
	(void)smfi_setreply(ctx, code, status, text);
	return SMFIS_REJECT;
}

static sfsistat
on_end(SMFICTX *ctx)
{
	static char post[] = "List-Unsubscribe-Post",
	    one_click[] = "List-Unsubscribe=One-Click",
	    unsubscribe[] = "List-Unsubscribe";
	struct buf value = BUF_INIT(1000);
	unsigned char sum[CRYPTO_DIGEST_BYTES];
	struct span piece = SPAN("0123456789abcdef012345");

	if (steps == NULL_STEPS)
		return SMFIS_CONTINUE;
	crypto_hmac_sum(key, &piece, 1, sum);
	buf_add_str(&value, "<https://news.example.com/u/");
	base64url_format(&value, sum, sizeof(sum));
	buf_add_char(&value, '>');
	(void)smfi_insheader(ctx, 1, post, one_click);
	(void)smfi_insheader(ctx, 1, unsubscribe, value.data);
	buf_fini(&value);
	return SMFIS_CONTINUE;
}

static sfsistat
on_close(SMFICTX *ctx)
{
	redisContext *redis = smfi_getpriv(ctx);

	if (redis != NULL)
		redisFree(redis);
	(void)smfi_setpriv(ctx, NULL);
	return SMFIS_CONTINUE;
}

int
main(int argc, char **argv)
{
	static char name[] = "nullcons";
	struct smfiDesc filter = { .xxfi_name = name,
	    .xxfi_version = SMFI_VERSION,
	    .xxfi_flags = SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_DELRCPT,
	    .xxfi_envfrom = on_mail, .xxfi_envrcpt = on_rcpt,
	    .xxfi_header = on_header, .xxfi_eom = on_end,
	    .xxfi_close = on_close, .xxfi_negotiate = on_negotiate };
	int option;

	while ((option = getopt(argc, argv, "nN")) != -1) {
		if (option == 'n')
			steps = NULL_STEPS;
		else if (option == 'N')
			steps = 0;
		else
			return EXIT_FAILURE;
	}
	if (steps == 0)
		redis_path = argv[optind + 1];
	key = crypto_hmac_new((const unsigned char *)
	    "0123456789abcdef0123456789abcdef");
	(void)umask(0);		/* Postfix has to get in */
	(void)signal(SIGPIPE, SIG_IGN);
	if (smfi_register(filter) == MI_FAILURE ||
	    smfi_setconn(argv[optind]) == MI_FAILURE ||
	    smfi_opensocket(1) == MI_FAILURE)
		return EXIT_FAILURE;
	return smfi_main() == MI_SUCCESS ? EXIT_SUCCESS : EXIT_FAILURE;
}
