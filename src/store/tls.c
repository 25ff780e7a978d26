/*
 * Copyright the consent-milter authors.
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * TLS to Redis, from version 1.2 on, with OpenSSL; hiredis sees bytes alone.
 * The files are read at each new connection, so that a renewed certificate is
 * used without a restart.
 *
 * An SSL object is for one thread at a time, and two use it: the one that
 * writes and the one that reads.  The lock is held for one call of OpenSSL,
 * which never waits.
 *
 * Security: without a certificate that is valid, known here, and for the host
 * in the URL, not a byte of ours goes out.
 */
#include "store/private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/xalloc.h"

/* Not an error of TLS. */
#define HUNG_UP		ERR_PACK(ERR_LIB_SSL, 0,			\
			    SSL_R_UNEXPECTED_EOF_WHILE_READING)

struct tls {
	SSL		*ssl;
	BIO_METHOD	*method;	/* of its BIO */
	int		 fd;
	pthread_mutex_t	 lock;
	unsigned long	 error;		/* of OpenSSL, that ended it; or 0 */
};

/*
 * The socket, as OpenSSL sees it.  Its own BIO for sockets would raise SIGPIPE.
 */

static int
socket_write(BIO *bio, const char *p, int len)
{
	const struct tls *tls = BIO_get_data(bio);
	ssize_t n = send(tls->fd, p, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_write(bio);
	return (int)n;
}

static int
socket_read(BIO *bio, char *p, int len)
{
	const struct tls *tls = BIO_get_data(bio);
	ssize_t n = recv(tls->fd, p, (size_t)len, MSG_DONTWAIT);

	BIO_clear_retry_flags(bio);
	if (n == -1 && (errno == EAGAIN || errno == EINTR))
		BIO_set_retry_read(bio);
	return (int)n;
}

static long
socket_control(BIO *bio, int command, long number, void *p)
{
	(void)bio;
	(void)number;
	(void)p;
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *
socket_method_new(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK,
	    "socket without SIGPIPE");

	if (method == NULL)
		abort();
	(void)BIO_meth_set_write(method, socket_write);
	(void)BIO_meth_set_read(method, socket_read);
	(void)BIO_meth_set_ctrl(method, socket_control);
	return method;
}

/*
 * The files.
 */

/* What OpenSSL holds against a file of ours. */
static int
fail_file(const char *path, const char *what, struct fail *fail)
{
	unsigned long error = ERR_get_error();
	const char *reason = ERR_reason_error_string(error);

	ERR_clear_error();
	if (ERR_SYSTEM_ERROR(error))
		return fail_errno(fail, FAIL_SETUP, ERR_GET_REASON(error),
		    "%.150s", path);
	return fail_set(fail, FAIL_SETUP, "%.150s holds no %s that can be "
	    "used: %s", path, what, reason != NULL ? reason : "unknown error");
}

/* Nobody is there to be asked for the passphrase of a key. */
static int
no_passphrase(char *out, int size, int writing, void *context)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)context;
	return -1;
}

static int
use_certificate(SSL_CTX *ctx, const struct tls_files *files, struct fail *fail)
{
	if (SSL_CTX_use_certificate_chain_file(ctx, files->certificate) != 1)
		return fail_file(files->certificate, "certificate", fail);
	SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
	if (SSL_CTX_use_PrivateKey_file(ctx, files->key, SSL_FILETYPE_PEM) !=
	    1)
		return fail_file(files->key, "private key without a "
		    "passphrase", fail);
	return 0;
}

static int
use_files(SSL_CTX *ctx, const struct tls_files *files, struct fail *fail)
{
	if (files->ca_file == NULL) {
		if (SSL_CTX_set_default_verify_paths(ctx) != 1)
			return fail_set(fail, FAIL_SETUP, "the system's "
			    "certificate authorities can't be read: set "
			    "redis.ca_file");
	} else if (SSL_CTX_load_verify_locations(ctx, files->ca_file, NULL) !=
	    1)
		return fail_file(files->ca_file, "certificates", fail);
	return files->certificate == NULL ? 0 :
	    use_certificate(ctx, files, fail);
}

static SSL_CTX *
context_new(const struct tls_files *files, struct fail *fail)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (ctx == NULL)
		abort();
	ERR_clear_error();
	(void)SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_COMPRESSION);
	/* The rest of a write may come from another place in memory. */
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	if (use_files(ctx, files, fail) == -1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

void
tls_copy_files(struct tls_files *files, const struct store_options *options)
{
	if (options->ca_file != NULL)
		files->ca_file = xstrdup(options->ca_file);
	if (options->certificate != NULL)
		files->certificate = xstrdup(options->certificate);
	if (options->key != NULL)
		files->key = xstrdup(options->key);
}

void
tls_free_files(struct tls_files *files)
{
	free(files->ca_file);
	free(files->certificate);
	free(files->key);
}

int
tls_check_files(const struct tls_files *files, struct fail *fail)
{
	SSL_CTX *ctx = context_new(files, fail);

	SSL_CTX_free(ctx);
	return ctx == NULL ? -1 : 0;
}

/*
 * What went wrong, in words for an operator.
 */

/* Of alerts that Redis sends, and of errors that are seen here. */
static const struct {
	int		 reason;
	const char	*text;
} reasons[] = {
	{ SSL_R_WRONG_VERSION_NUMBER, "does not speak TLS on this port: give "
	    "its tls-port, or redis:// without TLS" },
	{ SSL_R_PACKET_LENGTH_TOO_LONG, "does not speak TLS on this port: give "
	    "its tls-port, or redis:// without TLS" },
	{ SSL_R_UNSUPPORTED_PROTOCOL, "offers nothing newer than TLS 1.1: set "
	    "tls-protocols there" },
	{ SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "wants another version of TLS "
	    "than 1.2 or 1.3: set tls-protocols there" },
	{ SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "wants a certificate of "
	    "ours: set redis.certificate and redis.key" },
	{ SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "refused the handshake; if it "
	    "wants a certificate of ours, set redis.certificate and "
	    "redis.key" },
	{ SSL_R_TLSV1_ALERT_UNKNOWN_CA, "does not know the authority that our "
	    "certificate comes from: have redis.certificate issued by one that "
	    "it knows" },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "says that our certificate "
	    "has expired: renew redis.certificate" },
	{ SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "does not take our certificate: "
	    "check redis.certificate" },
	{ SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, "does not take our "
	    "certificate: redis.certificate is not made for clients" },
	{ SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "does not take our "
	    "certificate: check redis.certificate" },
};

static int
fail_error(unsigned long error, struct fail *fail)
{
	const char *text = ERR_reason_error_string(error);

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
		    ERR_GET_REASON(error) == reasons[i].reason)
			return fail_set(fail, FAIL_TEMP, "Redis %s",
			    reasons[i].text);
	return fail_set(fail, FAIL_TEMP, "TLS to Redis failed: %s",
	    text != NULL ? text : "unknown error");
}

/* Of the certificate that Redis has. */
static int
fail_verdict(long verdict, const char *host, struct fail *fail)
{
	switch (verdict) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return fail_set(fail, FAIL_TEMP, "the certificate of Redis is "
		    "not for %.60s: give a host that stands in it, or have one "
		    "issued for this host", host);
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return fail_set(fail, FAIL_TEMP, "the certificate of Redis, or "
		    "of its authority, has expired: renew it there");
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return fail_set(fail, FAIL_TEMP, "the certificate of Redis is "
		    "not valid yet: check the clock of this host");
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return fail_set(fail, FAIL_TEMP, "the certificate of Redis is "
		    "self-signed: if it is the right one, set redis.ca_file to "
		    "a copy of it");
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return fail_set(fail, FAIL_TEMP, "the certificate of Redis "
		    "comes from an authority that is not known here: set "
		    "redis.ca_file to the certificate of that authority");
	default:
		return fail_set(fail, FAIL_TEMP, "the certificate of Redis is "
		    "not valid: %s", X509_verify_cert_error_string(verdict));
	}
}

/*
 * The connection.
 */

/* Whom the certificate has to name.  A zone is for the kernel alone. */
static void
expect_host(SSL *ssl, const char *host)
{
	struct span s = span_str(host);
	ptrdiff_t zone = span_index(s, '%');
	char *bare = xmemdupz(s.p, zone == -1 ? s.len : (size_t)zone);
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	X509_VERIFY_PARAM_set_hostflags(param,
	    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	/* An address is not sent as a server name (RFC 6066 3). */
	if (X509_VERIFY_PARAM_set1_ip_asc(param, bare) != 1 &&
	    (X509_VERIFY_PARAM_set1_host(param, bare, 0) != 1 ||
	    SSL_set_tlsext_host_name(ssl, bare) != 1))
		abort();
	ERR_clear_error();
	free(bare);
}

static struct tls *
tls_new(SSL_CTX *ctx, const char *host, int fd)
{
	struct tls *tls = xcalloc(1, sizeof(*tls));
	BIO *bio;

	tls->fd = fd;
	tls->ssl = SSL_new(ctx);
	tls->method = socket_method_new();
	bio = BIO_new(tls->method);
	if (tls->ssl == NULL || bio == NULL)
		abort();
	BIO_set_data(bio, tls);
	BIO_set_init(bio, 1);
	SSL_set_bio(tls->ssl, bio, bio);
	expect_host(tls->ssl, host);
	(void)pthread_mutex_init(&tls->lock, NULL);
	return tls;
}

static int
fail_connect(const struct tls *tls, int how, const char *host,
    struct fail *fail)
{
	int err = errno;
	unsigned long error = ERR_peek_error();
	long verdict = SSL_get_verify_result(tls->ssl);

	ERR_clear_error();
	if (verdict != X509_V_OK)
		return fail_verdict(verdict, host, fail);
	if (how == SSL_ERROR_SSL)
		return fail_error(error, fail);
	if (err != 0)
		return fail_errno(fail, FAIL_TEMP, err, "TLS handshake");
	return fail_set(fail, FAIL_TEMP,
	    "Redis closed the connection during the TLS handshake");
}

static int
shake_hands(struct tls *tls, const char *host, int stop_fd,
    int64_t deadline_ms, struct fail *fail)
{
	int rc, how;

	for (;;) {
		ERR_clear_error();
		errno = 0;
		rc = SSL_connect(tls->ssl);
		if (rc == 1)
			return 0;
		how = SSL_get_error(tls->ssl, rc);
		if (how != SSL_ERROR_WANT_READ && how != SSL_ERROR_WANT_WRITE)
			return fail_connect(tls, how, host, fail);
		if (dial_wait(tls->fd, how == SSL_ERROR_WANT_READ ? POLLIN :
		    POLLOUT, stop_fd, deadline_ms, fail) == -1)
			return fail_prefix(fail,
			    "TLS handshake (is this its tls-port?)");
	}
}

int
tls_open(const struct tls_files *files, const char *host, int fd, int stop_fd,
    int64_t deadline_ms, struct tls **out, struct fail *fail)
{
	SSL_CTX *ctx = context_new(files, fail);
	struct tls *tls;

	if (ctx == NULL)
		return -1;
	tls = tls_new(ctx, host, fd);
	SSL_CTX_free(ctx);
	if (shake_hands(tls, host, stop_fd, deadline_ms, fail) == -1) {
		tls_close(&tls);
		return -1;
	}
	*out = tls;
	return 0;
}

void
tls_close(struct tls **tlsp)
{
	struct tls *tls = *tlsp;

	if (tls == NULL)
		return;
	/* So that Redis logs no error.  A broken connection stays as it is. */
	if (tls->error == 0)
		(void)SSL_shutdown(tls->ssl);
	ERR_clear_error();
	SSL_free(tls->ssl);
	BIO_meth_free(tls->method);
	(void)pthread_mutex_destroy(&tls->lock);
	free(tls);
	*tlsp = NULL;
}

/* How send() or recv() would say it.  Called with the lock held. */
static ssize_t
translate(struct tls *tls, int rc, int err)
{
	switch (SSL_get_error(tls->ssl, rc)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		tls->error = HUNG_UP;
		errno = err;
		return err == 0 ? 0 : -1;
	default:
		tls->error = ERR_peek_error();
		ERR_clear_error();
		errno = EPROTO;
		return -1;
	}
}

ssize_t
tls_send(struct tls *tls, const void *p, size_t len)
{
	size_t done = 0;
	ssize_t n = 1;

	while (done < len && n > 0) {
		size_t part = 0;

		(void)pthread_mutex_lock(&tls->lock);
		ERR_clear_error();
		errno = 0;
		if (SSL_write_ex(tls->ssl, (const char *)p + done, len - done,
		    &part) != 1)
			n = translate(tls, 0, errno);
		(void)pthread_mutex_unlock(&tls->lock);
		done += part;
	}
	return done > 0 ? (ssize_t)done : n;
}

ssize_t
tls_recv(struct tls *tls, void *p, size_t len)
{
	size_t done = 0, part;
	ssize_t n = 1;

	(void)pthread_mutex_lock(&tls->lock);
	do {
		part = 0;
		ERR_clear_error();
		errno = 0;
		if (SSL_read_ex(tls->ssl, (char *)p + done, len - done,
		    &part) != 1)
			n = translate(tls, 0, errno);
		done += part;
	} while (n > 0 && done < len && SSL_has_pending(tls->ssl));
	(void)pthread_mutex_unlock(&tls->lock);
	return done > 0 ? (ssize_t)done : n;
}

bool
tls_is_pending(struct tls *tls)
{
	bool pending;

	(void)pthread_mutex_lock(&tls->lock);
	pending = SSL_has_pending(tls->ssl) != 0;
	(void)pthread_mutex_unlock(&tls->lock);
	return pending;
}

int64_t
tls_certificate_ends_ms(struct tls *tls)
{
	X509 *certificate = SSL_get1_peer_certificate(tls->ssl);
	struct tm tm;
	int64_t ms = 0;

	if (certificate == NULL)
		return 0;
	if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) == 1)
		ms = (int64_t)timegm(&tm) * 1000;
	X509_free(certificate);
	return ms;
}

bool
tls_explain(struct tls *tls, struct fail *fail)
{
	char ignored[1];

	/* A server that refuses our certificate says so after the handshake
	 * (RFC 8446 4.4.2.4), and hangs up while we write already. */
	if (tls->error == HUNG_UP)
		(void)tls_recv(tls, ignored, sizeof(ignored));
	if (tls->error == 0 || tls->error == HUNG_UP)
		return false;
	(void)fail_error(tls->error, fail);
	return true;
}
